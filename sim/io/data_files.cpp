#include "sim/io/data_files.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <system_error>

#include "sim/io/data_formats.hpp"
#include "sim/io/hdf5.hpp"

namespace settle::io {
namespace {

namespace fs = std::filesystem;
using core::InputError;
using core::Value;

const std::vector<std::string> standardisations = {"none", "unit", "zscore", "mnist"};

core::CustomForm range_form(std::optional<std::pair<std::int64_t, std::int64_t>>& range) {
  const std::string form = "[first, last]: rows first to last - 1, from 0";
  return {form,
          [&range, form](const Value& value, const std::string& path) {
            const bool pair = value.is_array() && value.array().size() == 2 &&
                              value.array()[0].is_integer() && value.array()[1].is_integer();
            if (!pair) core::fail(value, path, value.describe(), form);
            range.emplace(value.array()[0].integer(), value.array()[1].integer());
            if (range->first < 0 || range->first >= range->second)
              core::fail(value, path,
                         "the range [" + std::to_string(range->first) + ", " +
                             std::to_string(range->second) + "]",
                         form + ", 0 <= first < last");
          },
          [&range]() -> std::optional<Value> {
            if (!range) return std::nullopt;
            return Value(core::Array{range->first, range->second});
          }};
}

// An InputError where there is no such file, with the nearest of its neighbours.
void check_is_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_regular_file(status)) return;
  if (fs::is_directory(status)) throw InputError(path.string(), "a folder", "a file of numbers");
  if (fs::exists(status)) throw InputError(path.string(), "no regular file", "a file of numbers");
  std::vector<std::string> neighbours;
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (fs::directory_iterator entry(folder, error), end;
       !error && entry != end && neighbours.size() < 1000; entry.increment(error))
    neighbours.push_back(entry->path().filename().string());
  std::sort(neighbours.begin(), neighbours.end());
  throw InputError(path.string(), "no such file",
                   "a file of numbers" + core::did_you_mean(path.filename().string(), neighbours));
}

FileArray read_file(const DataFile& data, const fs::path& path, DataFormat format) {
  check_is_file(path);
  try {
    if (format == DataFormat::idx) return read_idx_array(path, data.range);
    if (h5::File::is_hdf5(path)) return read_hdf5_array(path, data.dataset, data.range);
    if (!data.dataset.empty())
      throw InputError(path.string(), "a dataset is named, and this is no HDF5 file",
                       "no dataset, or an HDF5 file");
    return read_array(path, data.range);
  } catch (const std::bad_alloc&) {
    throw InputError(path.string(), "more numbers than memory holds", "fewer, by a range of rows");
  }
}

void standardise(const DataFile& data, FileArray& array) {
  double minus = 0.0, over = 1.0;
  if (data.standardise == "unit") {
    if (!array.largest_integer)
      throw InputError(data.file, "standardise = \"unit\" for numbers that are no integers",
                       "integers, such as bytes, or zscore");
    over = *array.largest_integer;
  } else if (data.standardise == "mnist") {
    minus = 33.318;
    over = 78.567;
  } else if (data.standardise == "zscore") {
    const auto n = static_cast<double>(array.values.size());
    double sum = 0.0, squares = 0.0;
    for (const double x : array.values) sum += x / n;
    minus = sum;
    for (const double x : array.values) squares += (x - minus) * (x - minus) / n;
    over = std::sqrt(squares);
    if (!(over > std::numeric_limits<double>::epsilon() * std::abs(minus)))
      throw InputError(data.file, "standardise = \"zscore\" for numbers that are all equal",
                       "numbers that differ");
  }
  for (double& x : array.values) x = data.scale * ((x - minus) / over) + data.offset;
}

void check_finite(const FileArray& array, std::uint64_t first_row, const std::string& file) {
  for (std::size_t i = 0; i < array.values.size(); ++i)
    if (!std::isfinite(array.values[i]))
      throw InputError(file,
                       "the entry " + index_text(i, array.shape, first_row) + " is " +
                           core::number_text(array.values[i]),
                       "a finite number");
}

}  // namespace

void DataFile::fields(core::Fields& f) {
  f.text({"file", "", "NumPy, CSV, IDX or HDF5; ${NAME} is an environment variable", true}, file);
  f.text({"dataset", "", "HDF5 only; may be left out where the file holds one"}, dataset);
  f.custom({"range", "1", "the rows to take"}, range_form(range));
  f.choice({"standardise", "",
            "unit: bytes over 255; zscore: by mean and standard deviation of all "
            "entries; mnist: by those of its training set"},
           standardise, standardisations);
  f.number({"scale", "1", "times the standardised numbers"}, scale, core::any_number());
  f.number({"offset", "1", "added after scale"}, offset, core::any_number());
}

std::string expand_variables(const std::string& path, const Value& at, const std::string& at_path) {
  std::string out;
  for (std::size_t i = 0; i < path.size();) {
    if (path.compare(i, 2, "${") != 0) {
      out += path[i++];
      continue;
    }
    const std::size_t end = path.find('}', i);
    if (end == std::string::npos)
      core::fail(at, at_path, "\"${\" without \"}\" in \"" + path + "\"", "${NAME}");
    const std::string name = path.substr(i + 2, end - i - 2);
    const char* value = std::getenv(name.c_str());
    if (!value || !*value) {
      const std::size_t slash = path.find_first_not_of('/', end + 1);
      const std::string rest = slash == std::string::npos ? "" : path.substr(slash);
      core::fail(at, at_path, "the environment variable " + name + " is not set",
                 rest.empty() ? name + " to be the path of a file of numbers"
                              : name + " to be the folder that holds " + rest);
    }
    out += value;
    i = end + 1;
  }
  return out;
}

DataArray read_data(const DataFile& data, const fs::path& base, const Value& at,
                    const std::string& path, DataFormat format) {
  const Value* named = at.find("file");
  const Value& place = named && !named->position.source.empty() ? *named : at;
  const fs::path file =
      base / expand_variables(data.file, place, path);  // an absolute one replaces
  try {
    FileArray array = read_file(data, file, format);
    check_finite(array, data.range ? static_cast<std::uint64_t>(data.range->first) : 0,
                 file.string());
    standardise(data, array);
    return {{array.shape.begin(), array.shape.end()},
            std::move(array.values),
            static_cast<Index>(array.rows_in_file)};
  } catch (const InputError& error) {
    core::fail(place, path, error.what(), "");
  }
}

}  // namespace settle::io
