// The formats behind data_files: each reads rows [first, last) of an array from the bytes of one
// file. Every mistake is an InputError whose `where` is the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace settle::io {

using RowRange = std::optional<std::pair<std::int64_t, std::int64_t>>;

/// An array as its file has it, row-major.
struct FileArray {
  std::vector<std::uint64_t> shape;
  std::vector<double> values;
  std::optional<double> largest_integer;  ///< of the file's integer type
  std::uint64_t rows_in_file = 1;         ///< whatever the range
};

/// The most entries that are read into memory.
constexpr std::uint64_t most_entries = std::uint64_t{1} << 31;

/// Reads an NPY, IDX or text file, gzipped or not, telling them by their first bytes.
FileArray read_array(const std::filesystem::path& path, const RowRange& range);

/// Reads an IDX file, gzipped or not; another magic number is an error.
FileArray read_idx_array(const std::filesystem::path& path, const RowRange& range);

/// The named dataset of an HDF5 file, or its only one of numbers that is no dimension's coordinate.
FileArray read_hdf5_array(const std::filesystem::path& path, const std::string& dataset,
                          const RowRange& range);

/// The rows that `range` asks for of an array of that shape, checked: some, within the array, and
/// not beyond most_entries. Everything without a range.
std::pair<std::uint64_t, std::uint64_t> checked_rows(const std::filesystem::path& path,
                                                     const std::vector<std::uint64_t>& shape,
                                                     const RowRange& range);

/// "[3, 5]": the index of an entry in row-major order.
std::string index_text(std::uint64_t entry, const std::vector<std::uint64_t>& shape,
                       std::uint64_t first_row);

}  // namespace settle::io
