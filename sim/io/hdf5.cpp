#include "sim/io/hdf5.hpp"

#include <hdf5_hl.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "sim/core/error.hpp"
#include "sim/io/hdf5_detail.hpp"

namespace settle::io::h5 {

using namespace detail;

namespace {

Id memory_type(const double*) { return H5T_NATIVE_DOUBLE; }
Id memory_type(const float*) { return H5T_NATIVE_FLOAT; }
Id memory_type(const std::int64_t*) { return H5T_NATIVE_INT64; }
Id memory_type(const std::int32_t*) { return H5T_NATIVE_INT32; }
Id memory_type(const std::int8_t*) { return H5T_NATIVE_INT8; }

std::uint64_t product(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
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
    if (H5Tequal(old_type.id(), type.id()) > 0 && H5Sextent_equal(old_space.id(), space.id()) > 0) {
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
  if (H5Dwrite(dataset.id(), memory_type(data.data()), H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()) <
      0)
    write_failed(dataset, "write");
}

// All entries, converted to T by HDF5 where they are not.
template <class T>
std::vector<T> get(const Dataset& dataset) {
  std::vector<T> out(entries_of(Handle(H5Dget_space(dataset.id()))));
  if (!out.empty() &&
      H5Dread(dataset.id(), memory_type(out.data()), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.data()) < 0)
    read_failed(dataset, "read");
  return out;
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
void put_block(Dataset& dataset, const Shape& start, const Shape& count, std::span<const T> data) {
  assert(data.size() == product(count));
  put_block(dataset, start, count, memory_type(data.data()), data.data());
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

std::string text_of(const Object& object, const std::string& attribute) {
  return object.has_attribute(attribute) ? object.text_attribute(attribute) : "";
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

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
  const auto read = [&](Id memory, void* data) {
    return H5Aread(open.attribute.id(), memory, data);
  };
  const auto texts = texts_from(open.type, open.space, read);
  if (!texts) read_failed(*this, "read the attribute \"" + name + "\"");
  return *texts;
}

std::vector<double> Object::number_list_attribute(const std::string& name) const {
  const OpenAttribute open = open_attribute(*this, name);
  if (!is_numeric(open.type))
    unsuitable(*this, "the attribute \"" + name + "\" holds " + kind_name(open.type), "numbers");
  std::vector<double> out(entries_of(open.space));
  if (!out.empty() && H5Aread(open.attribute.id(), H5T_NATIVE_DOUBLE, out.data()) < 0)
    read_failed(*this, "read the attribute \"" + name + "\"");
  return out;
}

// ---- Dataset ----

Shape Dataset::shape() const { return extents_of(Handle(H5Dget_space(id()))); }

std::optional<Type> Dataset::type() const {
  if (is_text()) return Type::text;
  const Handle own(H5Dget_type(id()));
  for (const Type type : {Type::float64, Type::float32, Type::int64, Type::int32, Type::int8})
    if (H5Tequal(own.id(), file_type(type).id()) > 0) return type;
  return std::nullopt;
}

bool Dataset::is_text() const { return H5Tget_class(Handle(H5Dget_type(id())).id()) == H5T_STRING; }

bool Dataset::is_number() const { return is_numeric(Handle(H5Dget_type(id()))); }

bool Dataset::is_scale() const { return H5DSis_scale(id()) > 0; }

std::optional<double> Dataset::largest_integer() const {
  const Handle type(H5Dget_type(id()));
  if (H5Tget_class(type.id()) != H5T_INTEGER) return std::nullopt;
  const auto bits = static_cast<int>(H5Tget_precision(type.id()));
  return std::ldexp(1.0, H5Tget_sign(type.id()) == H5T_SGN_NONE ? bits : bits - 1) - 1.0;
}

void Dataset::write(std::span<const double> data) { put(*this, data); }
void Dataset::write(std::span<const float> data) { put(*this, data); }
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

namespace {

// A scale's path. HDF5 would look for it through the whole file, but as a rule it stands beside the dataset
// and is called as the dimension.
std::string path_of_scale(const Dataset& scale, const std::string& dataset) {
  const ssize_t length = H5DSget_scale_name(scale.id(), nullptr, 0);
  std::string name(static_cast<std::size_t>(std::max<ssize_t>(length, 0)) + 1, '\0');
  if (length <= 0 || H5DSget_scale_name(scale.id(), name.data(), name.size()) < 0)
    return scale.path();
  name.pop_back();
  const std::string near = dataset.substr(0, dataset.rfind('/') + 1) + name;
  H5O_info_t own, other;
  const bool is_it =
      H5Lexists(scale.id(), near.c_str(), H5P_DEFAULT) > 0 &&
      H5Oget_info2(scale.id(), &own, H5O_INFO_BASIC) >= 0 &&
      H5Oget_info_by_name2(scale.id(), near.c_str(), &other, H5O_INFO_BASIC, H5P_DEFAULT) >= 0 &&
      own.fileno == other.fileno && own.addr == other.addr;
  return is_it ? near : scale.path();
}

}  // namespace

std::vector<std::string> Dataset::scales() const {
  struct Found {
    std::string dataset, scale;
  };
  std::vector<std::string> out(shape().size());
  for (unsigned axis = 0; axis < out.size(); ++axis) {
    const auto first = [](hid_t, unsigned, hid_t scale, void* data) -> herr_t {
      H5Iinc_ref(scale);
      Found& found = *static_cast<Found*>(data);
      found.scale = path_of_scale(Dataset(Handle(scale)), found.dataset);
      return 1;
    };
    Found found{path(), ""};
    H5DSiterate_scales(id(), axis, nullptr, first, &found);
    out[axis] = std::move(found.scale);
  }
  H5Eclear2(H5E_DEFAULT);
  return out;
}

Numbers Dataset::read_numbers() const { return read_numbers(Shape(shape().size(), 0), shape()); }

Numbers Dataset::read_numbers(const Shape& start, const Shape& count) const {
  const Handle type(H5Dget_type(id()));
  if (!is_numeric(type)) unsuitable(*this, "it holds " + kind_name(type), "numbers");
  const Handle block = make_space(count);
  const Handle space = count.empty() ? Handle(H5Dget_space(id())) : select(*this, start, count);
  Numbers out{count, std::vector<double>(std::min(entries_of(block), entries_of(space)))};
  if (out.values.empty()) return out;
  if (H5Dread(id(), H5T_NATIVE_DOUBLE, block.id(), space.id(), H5P_DEFAULT, out.values.data()) < 0)
    read_failed(*this, "read");
  return out;
}

std::vector<float> Dataset::read_floats() const {
  if (type() != Type::float32)
    unsuitable(*this, "it holds " + kind_name(Handle(H5Dget_type(id()))) + " of another width",
               "32-bit floating-point numbers");
  return get<float>(*this);
}

std::vector<std::int64_t> Dataset::read_integers() const {
  const Handle type(H5Dget_type(id()));
  if (H5Tget_class(type.id()) != H5T_INTEGER)
    unsuitable(*this, "it holds " + kind_name(type), "integers");
  return get<std::int64_t>(*this);
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
  if (texts.size() != 1) unsuitable(*this, "a list of " + std::to_string(texts.size()), "one text");
  return texts[0];
}

}  // namespace settle::io::h5
