// Arrays of numbers from files: NumPy, CSV, IDX (MNIST's format) and HDF5.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/core/params.hpp"

namespace settle::io {

using Eigen::Index;

/// Which numbers of which file. `${NAME}` in `file` stands for an environment variable.
struct DataFile {
  std::string file;
  std::string dataset;  ///< HDF5 only; "" where the file holds one dataset of numbers
  std::optional<std::pair<std::int64_t, std::int64_t>> range;  ///< rows [first, last)
  /// none | unit (over the largest value of the file's integer type: bytes over 255) | zscore (by
  /// mean and standard deviation of all entries read) | mnist (x − 33.318)/78.567, as science.md
  /// section 8
  std::string standardise = "none";
  double scale = 1.0;  ///< after standardising: scale · x + offset
  double offset = 0.0;

  void fields(core::Fields& f);
};

/// Numbers in row-major order.
struct DataArray {
  std::vector<Index> shape;
  std::vector<double> values;
  Index rows_in_file = 0;  ///< whatever the range; 1 for a single number
};

/// What a file has to be: anything that is known, or IDX alone.
enum class DataFormat { any, idx };

/// Reads the array, all its entries finite. A CSV is rows × columns, `#` starts a comment and a
/// first line without numbers is a header; N images of r × c in IDX are N × (r·c); NumPy and HDF5
/// keep their shape. IDX, CSV and NumPy may be gzipped. A relative path is below `base`.
/// @throws InputError  at `at` (the table of the DataFile, found at `path`) for a variable that is
///                     not set, a file that is missing, cut short, longer than its header says (IDX)
///                     or of an unknown or another format, a dataset that is not there, a bad cell
///                     (file:line:column), an entry that is not finite (its index), rows beyond the
///                     file's, more than 2³¹ entries
DataArray read_data(const DataFile& data, const std::filesystem::path& base, const core::Value& at,
                    const std::string& path, DataFormat format = DataFormat::any);

/// `path` with each `${NAME}` replaced by that environment variable, at `at` as above.
/// @throws InputError  that says which variable to set, and to what
std::string expand_variables(const std::string& path, const core::Value& at,
                             const std::string& at_path);

}  // namespace settle::io
