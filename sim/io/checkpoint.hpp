// Checkpoints: named numbers in a file that is replaced as a whole, and come back bit by bit.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sim/io/hdf5.hpp"

namespace settle::io {

/// Collects what a checkpoint keeps, and writes it at once. A name is a path of groups and a dataset
/// ("rule/momentum/W_1"), each used once. Writers of different files may be at work side by side.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(std::filesystem::path path) : path_(std::move(path)) {}

  void matrix(const std::string& name, const Eigen::MatrixXd& m) { add(name, m); }
  void matrix(const std::string& name, const Eigen::MatrixXf& m) { add(name, m); }
  void integer(const std::string& name, std::int64_t n) { add(name, n); }
  void number(const std::string& name, double x) { add(name, x); }
  void text(const std::string& name, const std::string& text) { add(name, text); }  ///< up to a NUL

  /// Writes PATH.part, brings it to the disk and puts it in PATH's place. Where that fails, or the machine stops
  /// meanwhile, the old checkpoint stands there as it was. @throws OutputError
  void commit();

 private:
  using Entry = std::variant<Eigen::MatrixXd, Eigen::MatrixXf, std::int64_t, double, std::string>;
  void add(const std::string& name, Entry entry) { entries_.emplace_back(name, std::move(entry)); }
  void write(const std::filesystem::path& path) const;

  std::filesystem::path path_;
  std::vector<std::pair<std::string, Entry>> entries_;
};

/// Reads one back. Every call throws InputError for a name that is not there (with the nearest one), and one that
/// holds something else.
class CheckpointReader {
 public:
  /// @throws InputError  for a missing file, one that was cut short, and what is no checkpoint
  explicit CheckpointReader(const std::filesystem::path& path);
  ~CheckpointReader();
  CheckpointReader(const CheckpointReader&) = delete;
  CheckpointReader& operator=(const CheckpointReader&) = delete;

  bool has(const std::string& name) const;
  Eigen::MatrixXd matrix(const std::string& name) const;
  Eigen::MatrixXf matrix_float32(const std::string& name) const;
  /// Into a matrix, of its shape. @throws InputError  also where the shapes differ
  void matrix(const std::string& name, Eigen::MatrixXd& m) const;
  void matrix(const std::string& name, Eigen::MatrixXf& m) const;
  std::int64_t integer(const std::string& name) const;
  double number(const std::string& name) const;
  std::string text(const std::string& name) const;

 private:
  h5::File file_;
};

}  // namespace settle::io
