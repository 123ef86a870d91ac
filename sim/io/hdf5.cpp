#include "sim/io/hdf5.hpp"

#define H5_USE_110_API
#include <hdf5.h>
#include <hdf5_hl.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <set>
#include <system_error>

#include "sim/core/error.hpp"

namespace settle::io::h5 {
namespace {

static_assert(std::is_same_v<hid_t, Id>);
static_assert(sizeof(hsize_t) == sizeof(std::uint64_t));

// ---- Errors ----

// HDF5's own stack dump on stderr, off.
void quiet() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }

// The system's message anywhere in the stack, else the innermost description.
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

std::string place(const Object& object) {
  const std::string file = object.file(), path = object.path();
  return path.empty() || path == "/" ? file : file + ": " + path;
}

[[noreturn]] void write_failed(const Object& object, const std::string& what) {
  const std::string why = reason();
  throw core::OutputError(place(object) + ": cannot " + what + ": " + why);
}

[[noreturn]] void read_failed(const Object& object, const std::string& what) {
  const std::string why = reason();
  throw core::InputError(place(object), "cannot " + what + ": " + why, "");
}

[[noreturn]] void unsuitable(const Object& object, const std::string& found,
                             const std::string& expected) {
  throw core::InputError(place(object), found, expected);
}

// ---- Types and spaces ----

Handle text_type(H5T_cset_t characters = H5T_CSET_UTF8) {
  Handle type(H5Tcopy(H5T_C_S1));
  H5Tset_size(type.id(), H5T_VARIABLE);
  H5Tset_cset(type.id(), characters);
  return type;
}

Handle file_type(Type type) {
  switch (type) {
    case Type::float64: return Handle(H5Tcopy(H5T_IEEE_F64LE));
    case Type::int64: return Handle(H5Tcopy(H5T_STD_I64LE));
    case Type::int32: return Handle(H5Tcopy(H5T_STD_I32LE));
    case Type::int8: return Handle(H5Tcopy(H5T_STD_I8LE));
    case Type::text: break;
  }
  return text_type();
}

Id memory_type(const double*) { return H5T_NATIVE_DOUBLE; }
Id memory_type(const std::int64_t*) { return H5T_NATIVE_INT64; }
Id memory_type(const std::int32_t*) { return H5T_NATIVE_INT32; }
Id memory_type(const std::int8_t*) { return H5T_NATIVE_INT8; }

Handle make_space(const Shape& shape, const Shape& max_shape = {}) {
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

[[maybe_unused]] std::uint64_t product(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
}

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

// ---- Texts ----

std::vector<const char*> pointers(const std::vector<std::string>& texts) {
  std::vector<const char*> out;
  out.reserve(texts.size());
  for (const std::string& text : texts) out.push_back(text.c_str());
  return out;
}

// Texts of either kind, through `read(memory type, buffer)`; nullopt where that fails.
template <class Read>
std::optional<std::vector<std::string>> texts_from(const Handle& type, const Handle& space,
                                                   const Read& read) {
  const std::size_t n = entries_of(space);
  std::vector<std::string> out;
  if (n == 0) return out;
  Handle memory = text_type(H5Tget_cset(type.id()));  // HDF5 doesn't convert between character sets
  if (H5Tis_variable_str(type.id()) > 0) {
    std::vector<char*> raw(n, nullptr);
    if (read(memory.id(), static_cast<void*>(raw.data())) < 0) return std::nullopt;
    for (const char* text : raw) out.emplace_back(text ? text : "");
    H5Dvlen_reclaim(memory.id(), space.id(), H5P_DEFAULT, raw.data());
  } else {
    const std::size_t width = H5Tget_size(type.id()) + 1;
    H5Tset_size(memory.id(), width);
    std::vector<char> raw(n * width, '\0');
    if (read(memory.id(), static_cast<void*>(raw.data())) < 0) return std::nullopt;
    for (std::size_t i = 0; i < n; ++i) out.emplace_back(raw.data() + i * width);
  }
  return out;
}

bool numeric(const Handle& type) {
  const H5T_class_t kind = H5Tget_class(type.id());
  return kind == H5T_INTEGER || kind == H5T_FLOAT;
}

std::string kind_name(const Handle& type) {
  switch (H5Tget_class(type.id())) {
    case H5T_INTEGER: return "integers";
    case H5T_FLOAT: return "floating-point numbers";
    case H5T_STRING: return "texts";
    case H5T_COMPOUND: return "compounds";
    case H5T_ENUM: return "members of an enumeration";
    default: return "entries of an unknown type";
  }
}

// ---- Attributes ----

void put_attribute(Object& object, const std::string& name, const Handle& type, Id memory,
                   const Shape& shape, const void* data) {
  const auto check = [&](bool done) {
    if (!done) write_failed(object, "write the attribute \"" + name + "\"");
  };
  const Handle space = make_space(shape);
  if (H5Aexists(object.id(), name.c_str()) > 0) {
    const Handle old(H5Aopen(object.id(), name.c_str(), H5P_DEFAULT));
    const Handle old_type(H5Aget_type(old.id())), old_space(H5Aget_space(old.id()));
    if (H5Tequal(old_type.id(), type.id()) > 0 &&
        H5Sextent_equal(old_space.id(), space.id()) > 0) {
      check(H5Awrite(old.id(), memory, data) >= 0);
      return;
    }
  }
  if (H5Aexists(object.id(), name.c_str()) > 0) check(H5Adelete(object.id(), name.c_str()) >= 0);
  const Handle attribute(
      H5Acreate2(object.id(), name.c_str(), type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT));
  check(attribute.valid());
  if (entries_of(space) > 0) check(H5Awrite(attribute.id(), memory, data) >= 0);
}

template <class T>
void put_numbers(Object& object, const std::string& name, Type type, const Shape& shape,
                 const T* data) {
  put_attribute(object, name, file_type(type), memory_type(data), shape, data);
}

struct OpenAttribute {
  Handle attribute, type, space;
};

OpenAttribute open_attribute(const Object& object, const std::string& name) {
  if (!object.has_attribute(name))
    unsuitable(object, "no attribute \"" + name + "\"",
               "one of " + core::join(object.attribute_names(), " or ") +
                   core::did_you_mean(name, object.attribute_names()));
  Handle attribute(H5Aopen(object.id(), name.c_str(), H5P_DEFAULT));
  if (!attribute.valid()) read_failed(object, "read the attribute \"" + name + "\"");
  Handle type(H5Aget_type(attribute.id())), space(H5Aget_space(attribute.id()));
  return {std::move(attribute), std::move(type), std::move(space)};
}

// ---- Datasets ----

template <class T>
void put(Dataset& dataset, std::span<const T> data) {
  assert(data.size() == product(dataset.shape()));
  if (H5Dwrite(dataset.id(), memory_type(data.data()), H5S_ALL, H5S_ALL, H5P_DEFAULT,
               data.data()) < 0)
    write_failed(dataset, "write");
}

// The file's space with the block selected.
Handle select(const Dataset& dataset, const Shape& start, const Shape& count) {
  Handle space(H5Dget_space(dataset.id()));
  const std::vector<hsize_t> first(start.begin(), start.end()), size(count.begin(), count.end());
  assert(first.size() == dataset.shape().size() && size.size() == first.size());
  H5Sselect_hyperslab(space.id(), H5S_SELECT_SET, first.data(), nullptr, size.data(), nullptr);
  return space;
}

void put_block(Dataset& dataset, const Shape& start, const Shape& count, Id memory,
               const void* data) {
  if (product(count) == 0) return;
  const Handle space = select(dataset, start, count), block = make_space(count);
  if (H5Dwrite(dataset.id(), memory, block.id(), space.id(), H5P_DEFAULT, data) < 0)
    write_failed(dataset, "write");
}

template <class T>
void put_block(Dataset& dataset, const Shape& start, const Shape& count,
               std::span<const T> data) {
  assert(data.size() == product(count));
  put_block(dataset, start, count, memory_type(data.data()), data.data());
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

bool Handle::reset() noexcept {
  if (id_ < 0) return true;
  const bool done = H5Idec_ref(std::exchange(id_, -1)) >= 0;
  if (!done) H5Eclear2(H5E_DEFAULT);
  return done;
}

// ---- Object ----

std::string Object::path() const {
  const ssize_t length = H5Iget_name(id(), nullptr, 0);
  if (length <= 0) return "";
  std::string name(static_cast<std::size_t>(length), '\0');
  H5Iget_name(id(), name.data(), name.size() + 1);
  return name;
}

std::string Object::file() const {
  const ssize_t length = H5Fget_name(id(), nullptr, 0);
  if (length <= 0) return "";
  std::string name(static_cast<std::size_t>(length), '\0');
  H5Fget_name(id(), name.data(), name.size() + 1);
  return name;
}

void Object::set_attribute(const std::string& name, const std::string& text) {
  const char* raw = text.c_str();
  const Handle type = text_type();
  put_attribute(*this, name, type, type.id(), {}, &raw);
}

void Object::set_attribute(const std::string& name, const char* text) {
  set_attribute(name, std::string(text));
}

void Object::set_attribute(const std::string& name, double number) {
  put_numbers(*this, name, Type::float64, {}, &number);
}

void Object::set_attribute(const std::string& name, std::int64_t number) {
  put_numbers(*this, name, Type::int64, {}, &number);
}

void Object::set_attribute(const std::string& name, std::int32_t number) {
  put_numbers(*this, name, Type::int32, {}, &number);
}

void Object::set_attribute(const std::string& name, std::int8_t number) {
  put_numbers(*this, name, Type::int8, {}, &number);
}

void Object::set_attribute(const std::string& name, const std::vector<std::string>& texts) {
  const std::vector<const char*> raw = pointers(texts);
  const Handle type = text_type();
  put_attribute(*this, name, type, type.id(), {raw.size()}, raw.data());
}

void Object::set_attribute(const std::string& name, const std::vector<double>& numbers) {
  put_numbers(*this, name, Type::float64, {numbers.size()}, numbers.data());
}

void Object::set_attribute(const std::string& name, const std::vector<std::int64_t>& numbers) {
  put_numbers(*this, name, Type::int64, {numbers.size()}, numbers.data());
}

void Object::set_attribute(const std::string& name, const std::vector<std::int8_t>& numbers) {
  put_numbers(*this, name, Type::int8, {numbers.size()}, numbers.data());
}

bool Object::has_attribute(const std::string& name) const {
  return H5Aexists(id(), name.c_str()) > 0;
}

std::vector<std::string> Object::attribute_names() const {
  const auto collect = [](hid_t, const char* name, const H5A_info_t*, void* data) -> herr_t {
    static_cast<std::vector<std::string>*>(data)->emplace_back(name);
    return 0;
  };
  for (const H5_index_t order : {H5_INDEX_CRT_ORDER, H5_INDEX_NAME}) {
    std::vector<std::string> names;
    hsize_t next = 0;
    if (H5Aiterate2(id(), order, H5_ITER_INC, &next, collect, &names) >= 0) return names;
  }
  read_failed(*this, "list the attributes");
}

std::string Object::text_attribute(const std::string& name) const {
  const std::vector<std::string> texts = text_list_attribute(name);
  if (texts.size() != 1)
    unsuitable(*this, "the attribute \"" + name + "\" is a list of " + std::to_string(texts.size()),
               "one text");
  return texts[0];
}

double Object::number_attribute(const std::string& name) const {
  const std::vector<double> numbers = number_list_attribute(name);
  if (numbers.size() != 1)
    unsuitable(*this,
               "the attribute \"" + name + "\" is a list of " + std::to_string(numbers.size()),
               "one number");
  return numbers[0];
}

std::vector<std::string> Object::text_list_attribute(const std::string& name) const {
  const OpenAttribute open = open_attribute(*this, name);
  if (H5Tget_class(open.type.id()) != H5T_STRING)
    unsuitable(*this, "the attribute \"" + name + "\" holds " + kind_name(open.type), "text");
  const auto read = [&](Id memory, void* data) { return H5Aread(open.attribute.id(), memory, data); };
  const auto texts = texts_from(open.type, open.space, read);
  if (!texts) read_failed(*this, "read the attribute \"" + name + "\"");
  return *texts;
}

std::vector<double> Object::number_list_attribute(const std::string& name) const {
  const OpenAttribute open = open_attribute(*this, name);
  if (!numeric(open.type))
    unsuitable(*this, "the attribute \"" + name + "\" holds " + kind_name(open.type), "numbers");
  std::vector<double> out(entries_of(open.space));
  if (!out.empty() && H5Aread(open.attribute.id(), H5T_NATIVE_DOUBLE, out.data()) < 0)
    read_failed(*this, "read the attribute \"" + name + "\"");
  return out;
}

// ---- Dataset ----

Shape Dataset::shape() const { return extents_of(Handle(H5Dget_space(id()))); }

bool Dataset::is_text() const {
  return H5Tget_class(Handle(H5Dget_type(id())).id()) == H5T_STRING;
}

bool Dataset::is_number() const { return numeric(Handle(H5Dget_type(id()))); }

bool Dataset::is_scale() const { return H5DSis_scale(id()) > 0; }

std::optional<double> Dataset::largest_integer() const {
  const Handle type(H5Dget_type(id()));
  if (H5Tget_class(type.id()) != H5T_INTEGER) return std::nullopt;
  const auto bits = static_cast<int>(H5Tget_precision(type.id()));
  return std::ldexp(1.0, H5Tget_sign(type.id()) == H5T_SGN_NONE ? bits : bits - 1) - 1.0;
}

void Dataset::write(std::span<const double> data) { put(*this, data); }
void Dataset::write(std::span<const std::int64_t> data) { put(*this, data); }
void Dataset::write(std::span<const std::int32_t> data) { put(*this, data); }
void Dataset::write(std::span<const std::int8_t> data) { put(*this, data); }

void Dataset::write(const std::vector<std::string>& data) {
  assert(data.size() == product(shape()));
  const std::vector<const char*> raw = pointers(data);
  if (H5Dwrite(id(), text_type().id(), H5S_ALL, H5S_ALL, H5P_DEFAULT, raw.data()) < 0)
    write_failed(*this, "write");
}

void Dataset::write(const std::string& text) { write(std::vector<std::string>{text}); }

void Dataset::write_block(const Shape& start, const Shape& count, std::span<const double> data) {
  put_block(*this, start, count, data);
}
void Dataset::write_block(const Shape& start, const Shape& count,
                          std::span<const std::int64_t> data) {
  put_block(*this, start, count, data);
}
void Dataset::write_block(const Shape& start, const Shape& count,
                          std::span<const std::int32_t> data) {
  put_block(*this, start, count, data);
}
void Dataset::write_block(const Shape& start, const Shape& count,
                          std::span<const std::int8_t> data) {
  put_block(*this, start, count, data);
}
void Dataset::write_block(const Shape& start, const Shape& count,
                          const std::vector<std::string>& data) {
  assert(data.size() == product(count));
  put_block(*this, start, count, text_type().id(), pointers(data).data());
}

void Dataset::resize(const Shape& shape) {
  const std::vector<hsize_t> extents(shape.begin(), shape.end());
  if (H5Dset_extent(id(), extents.data()) < 0) write_failed(*this, "change the extents");
}

void Dataset::flush() {
  if (H5Dflush(id()) < 0) write_failed(*this, "write");
}

void Dataset::make_scale(const std::string& dimension) {
  if (H5DSset_scale(id(), dimension.c_str()) < 0) write_failed(*this, "make it a dimension");
}

void Dataset::attach_scale(const Dataset& scale, unsigned axis) {
  if (H5DSattach_scale(id(), scale.id(), axis) < 0)
    write_failed(*this, "attach the dimension " + scale.path());
}

std::vector<std::string> Dataset::scales() const {
  std::vector<std::string> out(shape().size());
  for (unsigned axis = 0; axis < out.size(); ++axis) {
    const auto first = [](hid_t, unsigned, hid_t scale, void* data) -> herr_t {
      H5Iinc_ref(scale);
      *static_cast<std::string*>(data) = Dataset(Handle(scale)).path();
      return 1;
    };
    H5DSiterate_scales(id(), axis, nullptr, first, &out[axis]);
  }
  H5Eclear2(H5E_DEFAULT);
  return out;
}

Numbers Dataset::read_numbers() const { return read_numbers(Shape(shape().size(), 0), shape()); }

Numbers Dataset::read_numbers(const Shape& start, const Shape& count) const {
  const Handle type(H5Dget_type(id()));
  if (!numeric(type)) unsuitable(*this, "it holds " + kind_name(type), "numbers");
  const Handle block = make_space(count);
  const Handle space = count.empty() ? Handle(H5Dget_space(id())) : select(*this, start, count);
  Numbers out{count, std::vector<double>(std::min(entries_of(block), entries_of(space)))};
  if (out.values.empty()) return out;
  if (H5Dread(id(), H5T_NATIVE_DOUBLE, block.id(), space.id(), H5P_DEFAULT, out.values.data()) < 0)
    read_failed(*this, "read");
  return out;
}

std::vector<std::int64_t> Dataset::read_integers() const {
  const Handle type(H5Dget_type(id())), space(H5Dget_space(id()));
  if (H5Tget_class(type.id()) != H5T_INTEGER)
    unsuitable(*this, "it holds " + kind_name(type), "integers");
  std::vector<std::int64_t> out(entries_of(space));
  if (!out.empty() &&
      H5Dread(id(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()) < 0)
    read_failed(*this, "read");
  return out;
}

std::vector<std::string> Dataset::read_texts() const {
  const Handle type(H5Dget_type(id())), space(H5Dget_space(id()));
  if (!is_text()) unsuitable(*this, "it holds " + kind_name(type), "text");
  const auto read = [&](Id memory, void* data) {
    return H5Dread(id(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
  };
  const auto texts = texts_from(type, space, read);
  if (!texts) read_failed(*this, "read");
  return *texts;
}

std::string Dataset::read_text() const {
  const std::vector<std::string> texts = read_texts();
  if (texts.size() != 1)
    unsuitable(*this, "a list of " + std::to_string(texts.size()), "one text");
  return texts[0];
}

// ---- Group ----

Group Group::create_group(const std::string& name) {
  const Handle list = creation_list(H5P_GROUP_CREATE);
  Handle group(H5Gcreate2(id(), name.c_str(), H5P_DEFAULT, list.id(), H5P_DEFAULT));
  if (!group.valid()) write_failed(*this, "create the group \"" + name + "\"");
  return Group(std::move(group));
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
  if (H5Ldelete(id(), name.c_str(), H5P_DEFAULT) < 0) write_failed(*this, "remove \"" + name + "\"");
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
      for (std::string& name : known) name = (this->path() == "/" ? "/" : this->path() + "/") + name;
    unsuitable(*this, "no dataset \"" + path + "\"", listed(known) + core::did_you_mean(path, known));
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

File File::create(const std::filesystem::path& path) {
  quiet();
  const Handle list = creation_list(H5P_FILE_CREATE);
  Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, list.id(), H5P_DEFAULT));
  if (!file.valid()) throw core::OutputError(path.string() + ": cannot create the file: " + reason());
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

void File::flush() {
  if (H5Fflush(id(), H5F_SCOPE_LOCAL) < 0) write_failed(*this, "write");
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
