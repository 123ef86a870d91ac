#include "sim/io/hdf5_detail.hpp"

#include "sim/core/error.hpp"

namespace settle::io::h5::detail {
namespace {

static_assert(std::is_same_v<hid_t, Id>);
static_assert(sizeof(hsize_t) == sizeof(std::uint64_t));

std::string place(const Object& object) {
  const std::string file = object.file(), path = object.path();
  return path.empty() || path == "/" ? file : file + ": " + path;
}

}  // namespace

void quiet() {
  // Handles close everything. HDF5's own closing at exit crashes after a failed write (a full
  // disk).
  static const int no_closing_at_exit = H5dont_atexit();
  (void)no_closing_at_exit;
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

std::string reason() {
  std::vector<std::string> stack;
  const auto collect = [](unsigned, const H5E_error2_t* error, void* data) -> herr_t {
    if (error->desc) static_cast<std::vector<std::string>*>(data)->emplace_back(error->desc);
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect, &stack);
  H5Eclear2(H5E_DEFAULT);
  const std::string mark = "error message = '";
  for (const std::string& text : stack) {
    const std::size_t begin = text.find(mark);
    if (begin == std::string::npos) continue;
    const std::size_t end = text.find('\'', begin + mark.size());
    return text.substr(begin + mark.size(), end - begin - mark.size());
  }
  return stack.empty() ? "no reason given" : stack.front();
}

void write_failed(const Object& object, const std::string& what) {
  const std::string why = reason();
  throw core::OutputError(place(object) + ": cannot " + what + ": " + why);
}

void read_failed(const Object& object, const std::string& what) {
  const std::string why = reason();
  throw core::InputError(place(object), "cannot " + what + ": " + why, "");
}

void unsuitable(const Object& object, const std::string& found, const std::string& expected) {
  throw core::InputError(place(object), found, expected);
}

Handle text_type(H5T_cset_t characters) {
  Handle type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.id(), H5T_VARIABLE);
  H5Tset_cset(type.id(), characters);
  return type;
}

Handle file_type(Type type) {
  switch (type) {
    case Type::float64:
      return Handle(H5Tcopy(H5T_IEEE_F64LE));
    case Type::float32:
      return Handle(H5Tcopy(H5T_IEEE_F32LE));
    case Type::int64:
      return Handle(H5Tcopy(H5T_STD_I64LE));
    case Type::int32:
      return Handle(H5Tcopy(H5T_STD_I32LE));
    case Type::int8:
      return Handle(H5Tcopy(H5T_STD_I8LE));
    case Type::text:
      break;
  }
  return text_type();
}

Handle make_space(const Shape& shape, const Shape& max_shape) {
  if (shape.empty()) return Handle(H5Screate(H5S_SCALAR));
  const std::vector<hsize_t> extents(shape.begin(), shape.end());
  std::vector<hsize_t> limits;
  for (const std::uint64_t limit : max_shape)
    limits.push_back(limit == unlimited ? H5S_UNLIMITED : limit);
  return Handle(H5Screate_simple(static_cast<int>(extents.size()), extents.data(),
                                 limits.empty() ? nullptr : limits.data()));
}

Shape extents_of(const Handle& space) {
  const int rank = H5Sget_simple_extent_ndims(space.id());
  if (rank <= 0) return {};
  std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space.id(), extents.data(), nullptr);
  return {extents.begin(), extents.end()};
}

std::size_t entries_of(const Handle& space) {
  const hssize_t n = H5Sget_simple_extent_npoints(space.id());
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> out;
  out.reserve(texts.size());
  for (const std::string& text : texts) out.push_back(text.c_str());
  return out;
}

bool is_numeric(const Handle& type) {
  const H5T_class_t kind = H5Tget_class(type.id());
  return kind == H5T_INTEGER || kind == H5T_FLOAT;
}

std::string kind_name(const Handle& type) {
  switch (H5Tget_class(type.id())) {
    case H5T_INTEGER:
      return "integers";
    case H5T_FLOAT:
      return "floating-point numbers";
    case H5T_STRING:
      return "texts";
    case H5T_COMPOUND:
      return "compounds";
    case H5T_ENUM:
      return "members of an enumeration";
    default:
      return "entries of an unknown type";
  }
}

}  // namespace settle::io::h5::detail
