#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <system_error>

#include "sim/core/error.hpp"
#include "sim/io/hdf5.hpp"
#include "sim/io/hdf5_detail.hpp"

namespace settle::io::h5 {

using namespace detail;

namespace {

// Whole rows of about 256 KiB, of an axis that may grow as many as fit.
Shape guessed_chunk(const Shape& shape, const Shape& max_shape, std::size_t entry_bytes) {
  constexpr std::uint64_t budget = 256 * 1024;
  Shape chunk(shape.size(), 1);
  std::uint64_t bytes = entry_bytes;
  for (std::size_t i = shape.size(); i-- > 0;) {
    const std::uint64_t limit = max_shape.empty() ? shape[i] : max_shape[i];
    chunk[i] = std::max<std::uint64_t>(1, std::min(limit, budget / bytes));
    bytes = std::min(bytes * chunk[i], budget);
  }
  return chunk;
}

Handle creation_list(Id kind) {
  Handle list(H5Pcreate(kind));
  H5Pset_attr_creation_order(list.id(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  if (kind != H5P_DATASET_CREATE)
    H5Pset_link_creation_order(list.id(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED);
  return list;
}

std::string listed(const std::vector<std::string>& names) {
  if (names.empty()) return "nothing is in there";
  if (names.size() <= 20) return "one of " + core::join(names, " or ");
  const std::vector<std::string> first(names.begin(), names.begin() + 20);
  return "one of " + core::join(first) + " … (" + std::to_string(names.size()) + " in all)";
}

void collect_datasets(const Group& group, const std::string& prefix, std::set<haddr_t>& seen,
                      std::vector<std::string>& out) {
  H5O_info_t info;
  if (H5Oget_info2(group.id(), &info, H5O_INFO_BASIC) < 0 || !seen.insert(info.addr).second) return;
  for (const std::string& name : group.names()) {
    if (group.is_dataset(name)) out.push_back(prefix + name);
    if (group.is_group(name)) collect_datasets(group.group(name), prefix + name + "/", seen, out);
  }
}

}  // namespace

// ---- Group ----

Group Group::create_group(const std::string& name) {
  const Handle list = creation_list(H5P_GROUP_CREATE);
  Handle group(H5Gcreate2(id(), name.c_str(), H5P_DEFAULT, list.id(), H5P_DEFAULT));
  if (!group.valid()) write_failed(*this, "create the group \"" + name + "\"");
  return Group(std::move(group));
}

Group Group::require_group(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (is_group(path)) return group(path);
  if (slash == std::string::npos) return create_group(path);
  return require_group(path.substr(0, slash)).create_group(path.substr(slash + 1));
}

Dataset Group::create_dataset(const std::string& name, Type type, const Shape& shape,
                              const DatasetOptions& options) {
  const Handle kind = file_type(type), space = make_space(shape, options.max_shape);
  const Handle list = creation_list(H5P_DATASET_CREATE);
  Shape chunk = options.chunk;
  const bool grows = !options.max_shape.empty() && options.max_shape != shape;
  if (chunk.empty() && (grows || options.deflate))
    chunk = guessed_chunk(shape, options.max_shape, H5Tget_size(kind.id()));
  if (!chunk.empty()) {
    const std::vector<hsize_t> extents(chunk.begin(), chunk.end());
    H5Pset_chunk(list.id(), static_cast<int>(extents.size()), extents.data());
  }
  if (options.fill) H5Pset_fill_value(list.id(), H5T_NATIVE_DOUBLE, &*options.fill);
  if (options.allocate_early) H5Pset_alloc_time(list.id(), H5D_ALLOC_TIME_EARLY);
  if (options.deflate) {
    H5Pset_shuffle(list.id());
    H5Pset_deflate(list.id(), 4);
  }
  Handle dataset(
      H5Dcreate2(id(), name.c_str(), kind.id(), space.id(), H5P_DEFAULT, list.id(), H5P_DEFAULT));
  if (!dataset.valid()) write_failed(*this, "create the dataset \"" + name + "\"");
  return Dataset(std::move(dataset));
}

Dataset Group::write_dataset(const std::string& name, const Shape& shape,
                             std::span<const double> data) {
  Dataset dataset = create_dataset(name, Type::float64, shape);
  dataset.write(data);
  return dataset;
}

Dataset Group::write_dataset(const std::string& name, const Shape& shape,
                             std::span<const std::int64_t> data) {
  Dataset dataset = create_dataset(name, Type::int64, shape);
  dataset.write(data);
  return dataset;
}

Dataset Group::write_dataset(const std::string& name, const std::vector<std::string>& data) {
  Dataset dataset = create_dataset(name, Type::text, {data.size()});
  dataset.write(data);
  return dataset;
}

Dataset Group::write_dataset(const std::string& name, const std::string& text) {
  Dataset dataset = create_dataset(name, Type::text, {});
  dataset.write(text);
  return dataset;
}

void Group::remove(const std::string& name) {
  if (H5Ldelete(id(), name.c_str(), H5P_DEFAULT) < 0)
    write_failed(*this, "remove \"" + name + "\"");
}

bool Group::exists(const std::string& path) const {
  for (std::size_t end = path.find('/', 1); !path.empty(); end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (part != "/" && part.back() != '/' && H5Lexists(id(), part.c_str(), H5P_DEFAULT) <= 0) break;
    if (end != std::string::npos) continue;
    return part == "/" || H5Oexists_by_name(id(), part.c_str(), H5P_DEFAULT) > 0;
  }
  H5Eclear2(H5E_DEFAULT);
  return false;
}

bool Group::is_group(const std::string& path) const {
  if (!exists(path)) return false;
  const Handle object(H5Oopen(id(), path.c_str(), H5P_DEFAULT));
  return object.valid() && H5Iget_type(object.id()) == H5I_GROUP;
}

bool Group::is_dataset(const std::string& path) const {
  if (!exists(path)) return false;
  const Handle object(H5Oopen(id(), path.c_str(), H5P_DEFAULT));
  return object.valid() && H5Iget_type(object.id()) == H5I_DATASET;
}

Group Group::group(const std::string& path) const {
  if (!is_group(path))
    unsuitable(*this, "no group \"" + path + "\"",
               listed(names()) + core::did_you_mean(path, names()));
  Handle group(H5Gopen2(id(), path.c_str(), H5P_DEFAULT));
  if (!group.valid()) read_failed(*this, "open the group \"" + path + "\"");
  return Group(std::move(group));
}

Dataset Group::dataset(const std::string& path) const {
  if (!is_dataset(path)) {
    std::vector<std::string> known = dataset_paths();
    if (path.starts_with('/'))
      for (std::string& name : known)
        name = (this->path() == "/" ? "/" : this->path() + "/") + name;
    unsuitable(*this, "no dataset \"" + path + "\"",
               listed(known) + core::did_you_mean(path, known));
  }
  Handle dataset(H5Dopen2(id(), path.c_str(), H5P_DEFAULT));
  if (!dataset.valid()) read_failed(*this, "open the dataset \"" + path + "\"");
  return Dataset(std::move(dataset));
}

std::vector<std::string> Group::names() const {
  const auto collect = [](hid_t, const char* name, const H5L_info_t*, void* data) -> herr_t {
    static_cast<std::vector<std::string>*>(data)->emplace_back(name);
    return 0;
  };
  for (const H5_index_t order : {H5_INDEX_CRT_ORDER, H5_INDEX_NAME}) {
    std::vector<std::string> names;
    hsize_t next = 0;
    if (H5Literate(id(), order, H5_ITER_INC, &next, collect, &names) >= 0) return names;
  }
  read_failed(*this, "list the members");
}

std::vector<std::string> Group::dataset_paths() const {
  std::set<haddr_t> seen;
  std::vector<std::string> out;
  collect_datasets(*this, "", seen, out);
  H5Eclear2(H5E_DEFAULT);
  return out;
}

// ---- File ----

void quiet_thread() { quiet(); }

std::unique_lock<std::mutex> lock_library() {
  static std::mutex library;
  std::unique_lock lock(library);
  quiet();
  return lock;
}

File File::create(const std::filesystem::path& path) {
  quiet();
  const Handle list = creation_list(H5P_FILE_CREATE);
  Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, list.id(), H5P_DEFAULT));
  if (!file.valid())
    throw core::OutputError(path.string() + ": cannot create the file: " + reason());
  return File(std::move(file));
}

File File::open(const std::filesystem::path& path) {
  quiet();
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status))
    throw core::InputError(path.string(), "no such file", "an HDF5 file");
  if (std::filesystem::is_directory(status))
    throw core::InputError(path.string(), "a folder", "an HDF5 file");
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  if (!file.valid()) {
    const std::string why = reason();
    if (why == std::strerror(EAGAIN))  // its lock
      throw core::InputError(path.string(), "another program is writing it",
                             "a file that is not being written");
    throw core::InputError(path.string(), "cannot open it as HDF5: " + why, "an HDF5 file");
  }
  return File(std::move(file));
}

File File::open_to_write(const std::filesystem::path& path) {
  { File readable = open(path); }
  Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  if (!file.valid())
    throw core::OutputError(path.string() + ": cannot open the file to write: " + reason());
  return File(std::move(file));
}

bool File::is_hdf5(const std::filesystem::path& path) {
  quiet();
  const bool is = std::filesystem::is_regular_file(path) && H5Fis_hdf5(path.c_str()) > 0;
  H5Eclear2(H5E_DEFAULT);
  return is;
}

bool File::says(const std::filesystem::path& path, const std::string& attribute) {
  if (!is_hdf5(path)) return false;
  try {
    return open(path).has_attribute(attribute);
  } catch (const core::InputError&) {
    return false;
  }
}

void File::flush() {
  if (H5Fflush(id(), H5F_SCOPE_LOCAL) < 0) write_failed(*this, "write");
}

std::uint64_t File::size() const {
  hsize_t bytes = 0;
  if (H5Fget_filesize(id(), &bytes) < 0) read_failed(*this, "tell the size");
  return bytes;
}

void File::hold_metadata() {
  H5AC_cache_config_t config;
  config.version = H5AC__CURR_CACHE_CONFIG_VERSION;
  bool done = H5Fget_mdc_config(id(), &config) >= 0;
  config.evictions_enabled = false;
  config.incr_mode = H5C_incr__off;
  config.flash_incr_mode = H5C_flash_incr__off;
  config.decr_mode = H5C_decr__off;
  done = done && H5Fset_mdc_config(id(), &config) >= 0;
  if (!done) write_failed(*this, "hold the metadata");
}

void File::close() {
  if (!handle_.valid()) return;
  const std::string name = file();
  const bool flushed = H5Fflush(id(), H5F_SCOPE_LOCAL) >= 0;
  const std::string why = flushed ? "" : reason();
  if (!handle_.reset() || !flushed)
    throw core::OutputError(name + ": cannot write: " + (why.empty() ? "it did not close" : why));
}

}  // namespace settle::io::h5
