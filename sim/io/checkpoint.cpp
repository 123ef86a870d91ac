#include "sim/io/checkpoint.hpp"

#include <system_error>

#include "sim/core/error.hpp"
#include "sim/core/value.hpp"
#include "sim/io/result_path.hpp"
#include "sim/io/row_major.hpp"
#include "sim/io/running_file.hpp"

namespace settle::io {
namespace {

using Eigen::Index;
using h5::Type;

constexpr const char* version_name = "checkpoint_version";
constexpr std::int64_t version = 1;

// ---- Entries, each written and sized by its type ----

template <class S>
void put(h5::Group& group, const std::string& name, const Eigen::MatrixX<S>& m) {
  const RowMajor<S> rows = m;
  const Type type = std::is_same_v<S, float> ? Type::float32 : Type::float64;
  h5::Dataset dataset = group.create_dataset(name, type, shape_of(rows));
  if (rows.size() > 0) dataset.write(entries_of(rows));
}

void put(h5::Group& group, const std::string& name, std::int64_t n) {
  group.write_dataset(name, {}, std::span<const std::int64_t>(&n, 1));
}

void put(h5::Group& group, const std::string& name, double x) {
  group.write_dataset(name, {}, std::span<const double>(&x, 1));
}

void put(h5::Group& group, const std::string& name, const std::string& text) {
  group.write_dataset(name, text);
}

template <class S>
double bytes_of(const Eigen::MatrixX<S>& m) {
  return static_cast<double>(sizeof(S)) * static_cast<double>(m.size());
}
double bytes_of(const std::string& text) { return static_cast<double>(text.size()); }
template <class Number>
requires std::is_arithmetic_v<Number>
double bytes_of(Number) { return sizeof(Number); }

// ---- Reading ----

h5::File open_checkpoint(const std::filesystem::path& path) {
  const auto lock = h5::lock_library();
  h5::File file = h5::File::open(path);
  const char* expected = "a checkpoint of settle";
  if (!file.has_attribute(version_name))
    throw core::InputError(path.string(), "an HDF5 file that is no checkpoint", expected);
  if (const double found = file.number_attribute(version_name); found > version)
    throw core::InputError(path.string(), "a checkpoint of version " + core::number_text(found),
                           expected + std::string(" of version ") + std::to_string(version));
  return file;
}

[[noreturn]] void fail(const h5::Dataset& dataset, const std::string& found,
                       const std::string& expected) {
  throw core::InputError(dataset.file() + ": " + dataset.path(), found, expected);
}

std::string shape_text(const h5::Shape& shape) {
  std::vector<std::string> extents;
  for (const std::uint64_t extent : shape) extents.push_back(std::to_string(extent));
  return extents.empty() ? "one number" : core::join(extents, " × ");
}

h5::Dataset open(const h5::Group& group, const std::string& name, Type type, std::size_t rank,
                 const std::string& expected) {
  h5::Dataset dataset = group.dataset(name);
  if (dataset.type() != type) fail(dataset, "entries of another type", expected);
  if (const h5::Shape shape = dataset.shape(); shape.size() != rank)
    fail(dataset, shape_text(shape), expected);
  return dataset;
}

template <class S>
Eigen::MatrixX<S> read(const h5::Dataset& dataset) {
  const h5::Shape shape = dataset.shape();
  const auto as_matrix = [&](const auto& values) -> Eigen::MatrixX<S> {
    return Eigen::Map<const RowMajor<S>>(values.data(), static_cast<Index>(shape[0]),
                                         static_cast<Index>(shape[1]));
  };
  if constexpr (std::is_same_v<S, float>)
    return as_matrix(dataset.read_floats());
  else
    return as_matrix(dataset.read_numbers().values);
}

template <class S>
h5::Dataset open_matrix(const h5::Group& group, const std::string& name) {
  constexpr bool is_float = std::is_same_v<S, float>;
  return open(group, name, is_float ? Type::float32 : Type::float64, 2,
              is_float ? "a float32 matrix" : "a float64 matrix");
}

template <class S>
void read_into(const h5::Group& group, const std::string& name, Eigen::MatrixX<S>& m) {
  const auto lock = h5::lock_library();
  const h5::Dataset dataset = open_matrix<S>(group, name);
  if (dataset.shape() != shape_of(m))
    fail(dataset, "a matrix of " + shape_text(dataset.shape()), shape_text(shape_of(m)));
  m = read<S>(dataset);
}

}  // namespace

// ---- CheckpointWriter ----

void CheckpointWriter::write(const std::filesystem::path& path) const {
  const auto lock = h5::lock_library();
  constexpr double for_name = 1024;  // headers of a dataset and its group
  double bytes = 0;
  for (const auto& [name, entry] : entries_)
    bytes += for_name + std::visit([](const auto& value) { return bytes_of(value); }, entry);
  RunningFile file(path, h5::File::create(path));
  file.write_out(bytes, [&] {
    file.set_attribute(version_name, version);
    for (const auto& [name, entry] : entries_) {
      const std::string leaf = h5::last_part(name);
      h5::Group group =
          leaf == name ? file.group("/") : file.require_group(name.substr(0, name.rfind('/')));
      std::visit([&](const auto& value) { put(group, leaf, value); }, entry);
    }
  });
  file.close();
}

void CheckpointWriter::commit() {
  std::filesystem::path part = path_;
  part += ".part";
  try {
    write(part);
    replace_file(part, path_);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    throw;
  }
}

// ---- CheckpointReader ----

CheckpointReader::CheckpointReader(const std::filesystem::path& path)
    : file_(open_checkpoint(path)) {}

CheckpointReader::~CheckpointReader() {
  const auto lock = h5::lock_library();
  h5::File closing = std::move(file_);
}

bool CheckpointReader::has(const std::string& name) const {
  const auto lock = h5::lock_library();
  return file_.is_dataset(name);
}

Eigen::MatrixXd CheckpointReader::matrix(const std::string& name) const {
  const auto lock = h5::lock_library();
  return read<double>(open_matrix<double>(file_, name));
}

Eigen::MatrixXf CheckpointReader::matrix_float32(const std::string& name) const {
  const auto lock = h5::lock_library();
  return read<float>(open_matrix<float>(file_, name));
}

void CheckpointReader::matrix(const std::string& name, Eigen::MatrixXd& m) const {
  read_into(file_, name, m);
}

void CheckpointReader::matrix(const std::string& name, Eigen::MatrixXf& m) const {
  read_into(file_, name, m);
}

std::int64_t CheckpointReader::integer(const std::string& name) const {
  const auto lock = h5::lock_library();
  return open(file_, name, Type::int64, 0, "an integer").read_integers().at(0);
}

double CheckpointReader::number(const std::string& name) const {
  const auto lock = h5::lock_library();
  return open(file_, name, Type::float64, 0, "a float64 number").read_numbers().values.at(0);
}

std::string CheckpointReader::text(const std::string& name) const {
  const auto lock = h5::lock_library();
  return open(file_, name, Type::text, 0, "a text").read_text();
}

}  // namespace settle::io
