// What the files of the HDF5 header share: failures, types, spaces and texts. Nothing for others.
#pragma once

#define H5_USE_110_API
#include <hdf5.h>

#include <optional>
#include <string>
#include <vector>

#include "sim/io/hdf5.hpp"

namespace settle::io::h5::detail {

/// Switches HDF5's own dump of its error stack off, and its closing of what is open at exit. To be
/// called before a file is created or opened.
void quiet();
/// Why the last call failed: the system's message anywhere in the stack, else the innermost one.
std::string reason();
/// "file: /path: cannot `what`: reason". @throws OutputError
[[noreturn]] void write_failed(const Object& object, const std::string& what);
/// The same. @throws InputError
[[noreturn]] void read_failed(const Object& object, const std::string& what);
/// @throws InputError  with the file and path of the object as `where`
[[noreturn]] void unsuitable(const Object& object, const std::string& found,
                             const std::string& expected);

/// Text of any length in memory and in a file.
Handle text_type(H5T_cset_t characters = H5T_CSET_UTF8);
Handle file_type(Type type);
bool is_numeric(const Handle& type);
std::string kind_name(const Handle& type);  ///< "integers", for an error

Handle make_space(const Shape& shape, const Shape& max_shape = {});
Shape extents_of(const Handle& space);
std::size_t entries_of(const Handle& space);

std::vector<const char*> pointers(const std::vector<std::string>& texts);

/// Texts of fixed or variable length, through `read(memory type, buffer)`; nullopt where that
/// fails.
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

}  // namespace settle::io::h5::detail
