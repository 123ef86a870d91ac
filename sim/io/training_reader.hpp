// A training run's file, read: its axes, what was measured over them, and how its courses ended.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/io/hdf5.hpp"
#include "sim/io/training_file.hpp"

namespace settle::io {

/// A result of training, finished or not.
class TrainingReader {
 public:
  /// @throws InputError  for a missing file and what is no result of a training run
  explicit TrainingReader(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  /// A root attribute; "" where there is none.
  std::string attribute(const std::string& name) const { return text_of(file_, name); }
  /// Its axes and variables, those with their units as the file has them ("1", "1/ms").
  const TrainingLayout& layout() const { return layout_; }
  /// The variable of that name, or nullptr.
  const TrainingVariable* find(const std::string& name) const;
  /// Its numbers over (rule, seed, step) or (rule, seed, step, layer), the last varying fastest; NaN
  /// where nothing was put. @throws InputError  where there is no such variable
  std::vector<double> numbers(const std::string& name) const;
  /// How a course ended, by its places in the layout; nullopt where it has not.
  std::optional<CourseOutcome> outcome(std::size_t rule, std::size_t seed) const;

 private:
  void read_layout();

  std::filesystem::path path_;
  h5::File file_;
  TrainingLayout layout_;
  std::vector<std::int64_t> outcomes_;  // by course
};

/// @throws InputError  for a file that is no result of a training run
void check_is_training(const h5::File& file);

}  // namespace settle::io
