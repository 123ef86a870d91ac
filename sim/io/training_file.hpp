// The file of a training run: what every rule and seed came to, step by step, and their final weights.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/io/layout.hpp"
#include "sim/io/provenance.hpp"
#include "sim/io/running_file.hpp"

namespace settle::io {

/// The root attribute that a training run's file has: the names of the axes of its variables.
constexpr const char* training_axes_name = "training_axes";

/// Something measured at every scheduled step of a course.
struct TrainingVariable {
  std::string name;
  std::string unit;  ///< as core::Quantity: "time" and "1/time" are the configuration's; "": "1"
  std::string long_name;
  bool per_layer = false;
  bool is_count = false;  ///< stored as numbers anyway, with the attribute is_count = 1
};

/// The axes of a training run, and what is measured over them. A course is one rule with one seed.
struct TrainingLayout {
  std::vector<std::string> rules;
  std::vector<std::int64_t> seeds;
  std::vector<double> steps;         ///< examples seen at each scheduled evaluation
  std::vector<std::int64_t> layers;  ///< l = 1 … L
  std::vector<TrainingVariable> variables;
  /// What a rule is of, by rule: rules of a series differ in one parameter.
  struct Series {
    std::string name;       ///< the rule's own where it stands alone
    std::string parameter;  ///< "" where it stands alone
    double value = std::numeric_limits<double>::quiet_NaN();  ///< NaN where it is no number
    bool is_varied() const { return !parameter.empty(); }
  };
  std::vector<Series> series{};  ///< empty: every rule stands alone
};

/// How a course ended.
enum class CourseOutcome : std::int8_t { trained, diverged, failed, interrupted };
const std::vector<std::string>& course_outcome_names();

/// Writes a training run to an HDF5 file while it runs; courses may run side by side and write from any thread.
///
/// Every variable is (rule, seed, step[, layer]), NaN where nothing was put; `outcome` and `reason` are
/// (rule, seed), outcome −1 for a course that has not ended. `series`, `parameter` and `parameter_value` stand
/// along `rule`, coordinates to xarray. Final weights stand in a group a course, "W_1" of the
/// third rule with seed 7 at /weights/rule_2/seed_7/W_1, which h5py opens by that path and xarray by
/// group = "weights/rule_2/seed_7"; the group says its `rule` and `seed`.
/// What was put reaches the file about once a second: numbers go to their place, for all else the file is written
/// anew beside itself and replaced. After a kill at any moment it opens and can be gone on with; a full disk
/// leaves it as it was.
class TrainingFile {
 public:
  enum class Opening {
    create,     ///< a new file; @throws as Recorder without overwrite
    overwrite,  ///< a new file, whatever was there
    resume,  ///< goes on with one. Its interrupted courses are unended again. @throws InputError  for what is no
    ///< training run, one that is done, one of other axes, variables or another configuration
  };
  TrainingFile(std::filesystem::path path, TrainingLayout layout, const ResumableInfo& info,
               Opening opening);
  /// Keeps what was put, with the status "interrupted" where finish() was not called.
  ~TrainingFile();
  TrainingFile(const TrainingFile&) = delete;
  TrainingFile& operator=(const TrainingFile&) = delete;

  /// Whether the file is a training run's; false where it cannot be opened.
  static bool is_training(const std::filesystem::path& path);

  const TrainingLayout& layout() const { return layout_; }
  /// The numbers of a variable at a step, all by their place in the layout: one, or one a layer.
  /// @throws NoRoom  where the disk is full, OutputError
  void put(const std::string& variable, std::size_t rule, std::size_t seed, std::size_t step,
           std::span<const double> values);
  void put(const std::string& variable, std::size_t rule, std::size_t seed, std::size_t step,
           double value);
  /// How a course ended, and why where it ended early. @throws as put
  void end(std::size_t rule, std::size_t seed, CourseOutcome outcome,
           const std::string& reason = "");
  /// What end() said; nullopt for a course that has not ended.
  std::optional<CourseOutcome> outcome(std::size_t rule, std::size_t seed) const;
  std::string reason(std::size_t rule, std::size_t seed) const;
  /// A matrix of a course's end, in place of the one of that name. Matrices of one course may share dimensions
  /// ("unit_1"), which are called NAME_row and NAME_column where they are not given. @throws as put
  void put_matrix(std::size_t rule, std::size_t seed, const std::string& name,
                  const Eigen::MatrixXd& matrix, std::string rows = "", std::string columns = "");
  /// The same for a vector.
  void put_vector(std::size_t rule, std::size_t seed, const std::string& name,
                  const Eigen::VectorXd& vector, std::string dimension = "");
  /// A root attribute: a text or a number. @throws as put
  template <class T>
  void set_attribute(const std::string& name, const T& value) {
    change(for_text, [=](h5::File& file) { file.set_attribute(name, value); });
  }
  /// Writes what was put. @throws as put
  void flush();
  /// Writes everything, says how the run ended ("done", "interrupted", "failed") and closes the file.
  void finish(const std::string& status, const std::string& reason = "");

 private:
  struct Added {
    std::size_t variable;
    h5::Shape start;
    std::vector<double> values;
  };
  // To be made to the file beyond numbers in their place.
  struct Change {
    double bytes;
    std::function<void(h5::File&)> apply;
  };
  static constexpr double for_text = 4096;  // with all that HDF5 needs to change an attribute

  std::size_t course(std::size_t rule, std::size_t seed) const;
  std::size_t variable_index(const std::string& name) const;
  std::vector<Axis> axes_of(const TrainingVariable& variable) const;
  double expected_bytes(const ResumableInfo& info) const;
  void create(const ResumableInfo& info, bool overwrite);
  void make(h5::File& file, const ResumableInfo& info) const;
  void resume(const ResumableInfo& info);
  void open_variables();
  void change(double bytes, std::function<void(h5::File&)> apply);
  void set_course(std::size_t k, std::int8_t outcome, const std::string& reason);
  void set_status(const std::string& status, const std::string& reason);
  void put_array(std::size_t rule, std::size_t seed, const std::string& name,
                 const std::vector<Axis>& axes, std::function<void(h5::Dataset&)> write);
  void flush_if_due();
  void write_out();

  std::filesystem::path path_;
  TrainingLayout layout_;
  mutable std::mutex mutex_;  // of everything below
  std::optional<RunningFile> file_;
  std::vector<h5::Dataset> variables_;
  std::vector<std::int8_t> outcomes_;  // by course
  std::vector<std::string> reasons_;
  std::vector<Added> added_;
  std::vector<Change> changes_;
};

}  // namespace settle::io
