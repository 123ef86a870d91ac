// The file of a sweep: every measure over the sweep's axes, point by point, and gone on with later.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/quantity.hpp"
#include "sim/io/layout.hpp"
#include "sim/io/provenance.hpp"
#include "sim/io/running_file.hpp"

namespace settle::io {

/// An axis of a sweep: numbers or texts.
struct SweepDimension {
  std::string name;
  std::string long_name;
  std::vector<double> numbers;      ///< where it is numeric
  std::vector<std::string> labels;  ///< else
  bool logarithmic = false;

  std::uint64_t size() const { return labels.empty() ? numbers.size() : labels.size(); }
};

/// What became of a point.
enum class PointStatus : std::int8_t { pending, done, failed };

/// Every quantity is a variable of the sweep's axes, then `trial`, then its own axes; an axis whose
/// labels or size differ from point to point holds all of them, and one of numbers is an index, beside which
/// stands AXIS_value. Points that are not done are NaN. What was added reaches the file about once a second,
/// all at once: a process that is killed in between leaves a file that can be gone on with.
class SweepWriter {
 public:
  /// A new file. @throws as Recorder
  SweepWriter(const std::filesystem::path& path, const std::vector<SweepDimension>& axes,
              std::uint64_t trials, const ResumableInfo& info, const solve::SolverOptions& solver,
              bool overwrite);
  /// One that was interrupted, to go on with. @throws InputError  for what is no unfinished sweep
  explicit SweepWriter(const std::filesystem::path& path);
  /// Keeps what was added, with the status "interrupted" where finish() was not called.
  ~SweepWriter();
  SweepWriter(const SweepWriter&) = delete;
  SweepWriter& operator=(const SweepWriter&) = delete;

  std::uint64_t trials() const { return trials_; }
  /// What was written of that name until the last flush; nothing where there was none.
  std::optional<core::Quantity> read(const std::string& name) const;
  /// Status of every point, the last axis varying fastest.
  const std::vector<PointStatus>& points() const { return status_; }

  /// Whether the quantities have entries on a labelled axis that no point before had: they are appended
  /// to it, so that the order in which such points are added is the order of the axis.
  bool brings_new_labels(const std::vector<core::Quantity>& quantities) const;
  /// What was measured at a point. Numbers are of the point as a whole ("steps").
  /// @throws InputError  for a quantity or axis that is called as an axis of the sweep
  void add(std::size_t point, std::vector<core::Quantity> quantities,
           std::vector<std::pair<std::string, double>> numbers);
  /// A point that could not be run, and why.
  void add_failure(std::size_t point, std::string reason);
  /// Writes what was added. @throws NoRoom  where the disk is full; the file is as it was
  void flush();
  /// A group for the trajectories of a point, /points/00017, and room for so many bytes in it. @throws NoRoom
  h5::Group point_group(std::size_t point, double bytes);
  /// A table beside the map: columns of one length over the dimension `dimension`.
  struct Column {
    std::string name, units, long_name;
    std::vector<double> values;
  };
  void put_table(const std::string& dimension, const std::string& long_name,
                 const std::vector<Column>& columns);
  void set_attribute(const std::string& name, const std::string& text);
  void set_attribute(const std::string& name, double number);

  /// "done", or "interrupted" with the reason; closes the file.
  void finish(const std::string& status, const std::string& reason);

 private:
  struct OwnAxis {
    std::string long_name;
    std::vector<std::string> labels;  // empty: an index
    std::uint64_t size = 0, written = 0;
  };
  struct Added {
    std::size_t point;
    std::vector<core::Quantity> quantities;
    std::vector<std::pair<std::string, double>> numbers;
    std::string failure;
  };
  void open_maps();
  h5::Dataset& map(const std::string& name, h5::Type type, const std::vector<std::string>& own,
                   const std::string& units, const std::string& long_name);
  void check_name(const std::string& name) const;
  void learn(const core::QuantityAxis& axis);
  std::vector<std::size_t> places(const core::QuantityAxis& axis) const;
  h5::Shape shape_of(const std::vector<std::string>& own) const;
  h5::Shape start_of(std::size_t point, std::size_t more) const;
  void write_added();
  void write_axes();
  void write_quantity(std::size_t point, const core::Quantity& quantity);
  void flush_if_due();
  double unwritten_bytes() const;
  void close(const std::string& status, const std::string& reason);

  std::filesystem::path path_;
  std::optional<RunningFile> file_;
  std::vector<std::string> axes_;  // names
  h5::Shape shape_;                // of the sweep's axes
  std::uint64_t trials_ = 0;
  std::string time_unit_;
  std::vector<PointStatus> status_;
  std::vector<Added> unwritten_;
  std::map<std::string, OwnAxis> own_;
  std::map<std::string, h5::Dataset> maps_;
  std::map<std::string, std::vector<std::string>> axes_of_;  // of each map: its own axes
};

/// A map over the first `axes` dimensions as a quantity whose columns are the points: its cells are
/// trials × own axes (or texts, point by point).
core::Quantity read_map(const h5::Group& group, const std::string& name, std::size_t axes);

/// A sweep's file, read: for figures, and to go on with.
class SweepFile {
 public:
  /// @throws InputError  for a file that is no sweep
  explicit SweepFile(const std::filesystem::path& path);
  /// Whether the file is a sweep's; false where it cannot be opened.
  static bool is_sweep(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const h5::File& file() const { return file_; }
  std::string attribute(const std::string& name) const;
  const std::vector<SweepDimension>& axes() const { return axes_; }
  std::uint64_t trials() const { return trials_; }
  std::vector<PointStatus> points() const;
  Resumption resumption() const { return read_resumption(file_); }

  /// Names of the maps: variables over the sweep's axes.
  const std::vector<std::string>& maps() const { return maps_; }
  core::Quantity map(const std::string& name) const { return read_map(file_, name, axes_.size()); }
  /// The same; nothing where there is none of that name.
  std::optional<core::Quantity> read(const std::string& name) const;

 private:
  std::filesystem::path path_;
  h5::File file_;
  std::vector<SweepDimension> axes_;
  std::uint64_t trials_ = 0;
  std::vector<std::string> maps_;
};

}  // namespace settle::io
