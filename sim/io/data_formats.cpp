#include "sim/io/data_formats.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>

#include "sim/core/error.hpp"
#include "sim/core/value.hpp"
#include "sim/io/hdf5.hpp"

namespace settle::io {
namespace {

using core::InputError;
using Shape = std::vector<std::uint64_t>;

[[noreturn]] void cut_short(const std::filesystem::path& path) {
  throw InputError(path.string(), "the file is cut short", "as many bytes as its header announces");
}

// ---- Bytes ----

// A file's bytes, unpacked where it is gzipped.
class Bytes {
 public:
  explicit Bytes(const std::filesystem::path& path) : path_(path) {
    errno = 0;
    file_.reset(gzopen(path.c_str(), "rb"));
    if (!file_)
      throw InputError(path.string(), std::string("it cannot be read: ") + std::strerror(errno),
                       "a file of numbers");
    gzbuffer(file_.get(), 1 << 17);
    packed_ = gzdirect(file_.get()) == 0;
    size_ = std::filesystem::file_size(path);
  }

  const std::filesystem::path& path() const { return path_; }

  // Up to `n` bytes; fewer only at the end.
  std::size_t read_some(void* to, std::size_t n) {
    std::size_t done = 0;
    while (done < n) {
      const auto part = static_cast<unsigned>(std::min<std::size_t>(n - done, 1 << 20));
      const int got = gzread(file_.get(), static_cast<char*>(to) + done, part);
      if (got < 0) damaged();
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    int error = Z_OK;
    gzerror(file_.get(), &error);
    if (error != Z_OK && error != Z_STREAM_END) damaged();
    return done;
  }

  void read(void* to, std::size_t n) {
    if (read_some(to, n) < n) cut_short(path_);
  }

  void skip(std::uint64_t n) {
    if (n > static_cast<std::uint64_t>(std::numeric_limits<z_off_t>::max()) ||
        gzseek(file_.get(), static_cast<z_off_t>(n), SEEK_CUR) < 0)
      cut_short(path_);
  }

  void expect_end() {
    char byte = 0;
    if (read_some(&byte, 1) > 0)
      throw InputError(path_.string(), "the file goes on after its last number",
                       "as many bytes as its header announces");
  }

  // An error where so many bytes cannot come out of this file (deflate packs 1032 to one at best).
  void expect(std::uint64_t n) const {
    if (n / (packed_ ? 1040 : 1) > size_) cut_short(path_);
  }

 private:
  [[noreturn]] void damaged() const {
    int error = Z_OK;
    const char* why = gzerror(file_.get(), &error);
    if (error == Z_BUF_ERROR) cut_short(path_);
    throw InputError(path_.string(), "it cannot be unpacked: " + std::string(why),
                     "an undamaged gzip file");
  }

  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::filesystem::path path_;
  std::unique_ptr<std::remove_pointer_t<gzFile>, Close> file_;
  bool packed_ = false;
  std::uintmax_t size_ = 0;
};

// ---- Binary numbers ----

struct NumberType {
  char kind = 'f';  // f: floating point, i: signed, u: unsigned, b: boolean
  std::size_t bytes = 8;
  bool big_endian = false;
};

template <class T>
double decode_as(const unsigned char* raw, bool swap) {
  std::array<unsigned char, sizeof(T)> bytes;
  std::memcpy(bytes.data(), raw, sizeof(T));
  if (swap) std::reverse(bytes.begin(), bytes.end());
  return static_cast<double>(std::bit_cast<T>(bytes));
}

using Decoder = double (*)(const unsigned char*, bool swap);

// nullptr for a type that is not known.
Decoder decoder(const NumberType& type) {
  const auto is = [&](char kind, std::size_t bytes) {
    return type.kind == kind && type.bytes == bytes;
  };
  if (is('f', 4)) return decode_as<float>;
  if (is('f', 8)) return decode_as<double>;
  if (is('i', 1)) return decode_as<std::int8_t>;
  if (is('i', 2)) return decode_as<std::int16_t>;
  if (is('i', 4)) return decode_as<std::int32_t>;
  if (is('i', 8)) return decode_as<std::int64_t>;
  if (is('u', 1) || is('b', 1)) return decode_as<std::uint8_t>;
  if (is('u', 2)) return decode_as<std::uint16_t>;
  if (is('u', 4)) return decode_as<std::uint32_t>;
  if (is('u', 8)) return decode_as<std::uint64_t>;
  return nullptr;
}

std::optional<double> largest_integer(const NumberType& type) {
  const int bits = static_cast<int>(8 * type.bytes);
  if (type.kind == 'b') return 1.0;
  if (type.kind == 'u') return std::ldexp(1.0, bits) - 1.0;
  if (type.kind == 'i') return std::ldexp(1.0, bits - 1) - 1.0;
  return std::nullopt;
}

// n ≤ most_entries numbers; memory grows with what the file really holds.
std::vector<double> read_numbers(Bytes& bytes, const NumberType& type, std::uint64_t n) {
  const Decoder decode = decoder(type);
  const bool swap = type.big_endian != (std::endian::native == std::endian::big);
  constexpr std::uint64_t block = 1 << 16;
  std::vector<unsigned char> raw(block * type.bytes);
  std::vector<double> out;
  while (out.size() < n) {
    const auto part = static_cast<std::size_t>(std::min(block, n - out.size()));
    bytes.read(raw.data(), part * type.bytes);
    for (std::size_t i = 0; i < part; ++i) out.push_back(decode(&raw[i * type.bytes], swap));
  }
  return out;
}

// Entries of the array, or of one row of it; saturates far above any file.
std::uint64_t entries(const Shape& shape, std::size_t from_axis = 0) {
  constexpr std::uint64_t plenty = std::uint64_t{1} << 60;
  std::uint64_t n = 1;
  for (std::size_t axis = from_axis; axis < shape.size(); ++axis)
    n = shape[axis] != 0 && n > plenty / shape[axis] ? plenty : n * shape[axis];
  return n;
}

// The rows asked for of an array of numbers that begins here and is row-major.
FileArray read_rows(Bytes& bytes, const NumberType& type, Shape shape, const RowRange& range) {
  const auto [first, last] = checked_rows(bytes.path(), shape, range);
  bytes.expect(entries(shape) * type.bytes);
  const std::uint64_t row = shape.empty() ? 1 : entries(shape, 1);
  bytes.skip(first * row * type.bytes);
  FileArray out;
  out.values = read_numbers(bytes, type, (last - first) * row);
  out.largest_integer = largest_integer(type);
  out.rows_in_file = shape.empty() ? 1 : shape[0];
  out.shape = std::move(shape);
  if (!out.shape.empty()) out.shape[0] = last - first;
  return out;
}

// ---- NPY ----

// The text after `'key':` in the header's dictionary.
std::string_view npy_entry(const std::string& header, const std::string& key,
                           const std::filesystem::path& path) {
  std::size_t at = header.find('\'' + key + '\'');
  if (at != std::string::npos) at = header.find(':', at);
  if (at != std::string::npos) at = header.find_first_not_of(' ', at + 1);
  if (at == std::string::npos)
    throw InputError(path.string(), "an NPY header without \"" + key + "\"",
                     "what numpy.save writes");
  return std::string_view(header).substr(at);
}

NumberType npy_type(const std::string& header, const std::filesystem::path& path) {
  std::string_view text = npy_entry(header, "descr", path);
  const std::size_t end = text.size() > 1 ? text.find(text[0], 1) : std::string_view::npos;
  const bool is_text = (text[0] == '\'' || text[0] == '"') && end != std::string_view::npos;
  const std::string descr(is_text ? text.substr(1, end - 1) : "");
  NumberType type;
  if (descr.size() == 3 && std::string_view("<>|=").find(descr[0]) != std::string_view::npos) {
    type = {descr[1], static_cast<std::size_t>(descr[2] - '0'), descr[0] == '>'};
    if (decoder(type)) return type;
  }
  throw InputError(path.string(),
                   is_text ? "NumPy's type \"" + descr + "\"" : "a NumPy structured type",
                   "float32, float64, bool or integers of 8 to 64 bits");
}

Shape npy_shape(const std::string& header, const std::filesystem::path& path) {
  std::string_view text = npy_entry(header, "shape", path);
  const auto wrong = [&] {
    return InputError(path.string(), "an NPY header whose shape cannot be read",
                      "what numpy.save writes");
  };
  const std::size_t end = text.find(')');
  if (text[0] != '(' || end == std::string_view::npos) throw wrong();
  text = text.substr(1, end - 1);
  Shape shape;
  while (!text.empty()) {
    if (std::string_view(" ,L").find(text[0]) != std::string_view::npos) {
      text.remove_prefix(1);
      continue;
    }
    std::uint64_t extent = 0;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), extent);
    if (error != std::errc{} || shape.size() == 32) throw wrong();
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    shape.push_back(extent);
  }
  return shape;
}

// Column-major to row-major.
std::vector<double> row_major(const std::vector<double>& values, const Shape& shape) {
  std::vector<double> out(values.size());
  Shape index(shape.size(), 0);
  for (const double value : values) {  // the first index runs fastest
    std::uint64_t to = 0;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) to = to * shape[axis] + index[axis];
    out[to] = value;
    for (std::size_t axis = 0; axis < shape.size() && ++index[axis] == shape[axis]; ++axis)
      index[axis] = 0;
  }
  return out;
}

FileArray read_npy(Bytes& bytes, const RowRange& range) {
  std::array<unsigned char, 12> start{};
  bytes.read(start.data(), 8);  // \x93NUMPY, major, minor
  const int major = start[6];
  if (major < 1 || major > 3)
    throw InputError(bytes.path().string(), "NPY version " + std::to_string(major), "1, 2 or 3");
  const std::size_t width = major == 1 ? 2 : 4;
  bytes.read(start.data() + 8, width);
  std::size_t length = 0;
  for (std::size_t i = width; i-- > 0;) length = length << 8 | start[8 + i];
  if (length > (1 << 20))
    throw InputError(bytes.path().string(), "an NPY header of " + std::to_string(length) + " bytes",
                     "what numpy.save writes");
  std::string header(length, '\0');
  bytes.read(header.data(), length);
  const NumberType type = npy_type(header, bytes.path());
  const Shape shape = npy_shape(header, bytes.path());
  const bool fortran = npy_entry(header, "fortran_order", bytes.path()).starts_with("True");
  if (!fortran || shape.size() < 2) return read_rows(bytes, type, shape, range);

  const auto [first, last] = checked_rows(bytes.path(), shape, range);
  FileArray out = read_rows(bytes, type, shape, std::nullopt);
  const auto row = static_cast<std::ptrdiff_t>(entries(shape, 1));
  const std::vector<double> all = row_major(out.values, shape);
  out.values.assign(all.begin() + static_cast<std::ptrdiff_t>(first) * row,
                    all.begin() + static_cast<std::ptrdiff_t>(last) * row);
  out.shape[0] = last - first;
  return out;
}

// ---- IDX ----

std::optional<NumberType> idx_type(unsigned char code) {
  switch (code) {
    case 0x08:
      return NumberType{'u', 1, true};
    case 0x09:
      return NumberType{'i', 1, true};
    case 0x0B:
      return NumberType{'i', 2, true};
    case 0x0C:
      return NumberType{'i', 4, true};
    case 0x0D:
      return NumberType{'f', 4, true};
    case 0x0E:
      return NumberType{'f', 8, true};
    default:
      return std::nullopt;
  }
}

FileArray read_idx(Bytes& bytes, const RowRange& range) {
  std::array<unsigned char, 4> start{};
  bytes.read(start.data(), start.size());
  const std::optional<NumberType> type = idx_type(start[2]);
  if (start[0] != 0 || start[1] != 0 || !type || start[3] == 0) {
    std::array<char, 11> magic{};
    std::snprintf(magic.data(), magic.size(), "0x%02x%02x%02x%02x", start[0], start[1], start[2],
                  start[3]);
    throw InputError(bytes.path().string(), std::string("the magic number ") + magic.data(),
                     "that of IDX: 0x0000TTDD, with the type TT one of 08, 09, 0b, 0c, 0d and 0e, "
                     "and DD dimensions");
  }
  Shape shape;
  for (int axis = 0; axis < start[3]; ++axis) {
    std::array<unsigned char, 4> extent{};
    bytes.read(extent.data(), extent.size());
    shape.push_back(std::uint64_t{extent[0]} << 24 | extent[1] << 16 | extent[2] << 8 | extent[3]);
  }
  FileArray out = read_rows(bytes, *type, shape, range);
  if (!range || static_cast<std::uint64_t>(range->second) == shape[0]) bytes.expect_end();
  if (shape.size() > 2) out.shape = {out.shape[0], entries(shape, 1)};
  return out;
}

// ---- Text ----

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// The cells of a line, each a part of it.
std::vector<std::string_view> cells_of(std::string_view line, char separator) {
  std::vector<std::string_view> cells;
  if (separator != ' ') {
    for (std::size_t begin = 0; begin <= line.size();) {
      const std::size_t end = std::min(line.find(separator, begin), line.size());
      std::string_view cell = trimmed(line.substr(begin, end - begin));
      cells.push_back(cell.empty() ? line.substr(begin, 0) : cell);
      begin = end + 1;
    }
    return cells;
  }
  for (std::size_t end = 0;;) {
    const std::size_t begin = line.find_first_not_of(" \t\r", end);
    if (begin == std::string_view::npos) return cells;
    end = std::min(line.find_first_of(" \t\r", begin), line.size());
    cells.push_back(line.substr(begin, end - begin));
  }
}

bool parse_number(std::string_view cell, double& number) {
  if (cell.starts_with('+') && cell.size() > 1 && cell[1] != '-') cell.remove_prefix(1);
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
  return error == std::errc{} && end == cell.data() + cell.size();
}

// Rows of numbers in a text, read line by line.
class TextTable {
 public:
  explicit TextTable(const std::filesystem::path& path) : path_(path) {}

  void add_line(std::string_view line) {
    ++line_;
    const std::string_view content = line.substr(0, line.find('#'));
    if (trimmed(content).empty()) return;
    if (separator_ == 0)
      separator_ = content.find(';') != std::string_view::npos   ? ';'
                   : content.find(',') != std::string_view::npos ? ','
                                                                 : ' ';
    const std::vector<std::string_view> cells = cells_of(content, separator_);
    const auto is_number = [](std::string_view cell) {
      double number = 0;
      return parse_number(cell, number);
    };
    const bool header = rows_ == 0 && columns_ == 0 &&
                        std::none_of(cells.begin(), cells.end(), is_number) &&
                        std::any_of(cells.begin(), cells.end(), [](auto c) { return !c.empty(); });
    const auto column = [&](std::string_view cell) {
      return static_cast<std::size_t>(cell.data() - line.data()) + 1;
    };
    if (columns_ == 0) columns_ = cells.size();
    if (cells.size() != columns_)
      throw error(column(cells.back()), "a row of " + std::to_string(cells.size()) + " cells",
                  std::to_string(columns_) + ", as in the rows above");
    if (header) return;
    for (const std::string_view cell : cells) {
      double number = 0;
      if (cell.empty()) throw error(column(cell), "an empty cell", "a number");
      if (!parse_number(cell, number))
        throw error(column(cell), "\"" + std::string(cell.substr(0, 40)) + "\" is no number",
                    "a number such as -1.5e-3");
      if (!std::isfinite(number))
        throw error(column(cell), "the number " + core::number_text(number), "a finite number");
      values_.push_back(number);
    }
    ++rows_;
  }

  FileArray rows(const RowRange& range) {
    if (rows_ == 0) throw InputError(path_.string(), "no row of numbers", "at least one");
    const auto [first, last] = checked_rows(path_, {rows_, columns_}, range);
    const auto at = [&](std::uint64_t row) {
      return values_.begin() + static_cast<std::ptrdiff_t>(row * columns_);
    };
    return {{last - first, columns_}, {at(first), at(last)}, std::nullopt, rows_};
  }

 private:
  InputError error(std::size_t column, std::string found, std::string expected) const {
    return {core::Position{path_.string(), line_, static_cast<int>(column)}, std::move(found),
            std::move(expected)};
  }

  std::filesystem::path path_;
  int line_ = 0;
  char separator_ = 0;
  std::uint64_t rows_ = 0, columns_ = 0;
  std::vector<double> values_;
};

FileArray read_text(Bytes& bytes, const RowRange& range) {
  TextTable table(bytes.path());
  std::string pending;
  std::vector<char> block(1 << 16);
  bool at_start = true;
  for (std::size_t n = block.size(); n == block.size();) {
    n = bytes.read_some(block.data(), block.size());
    std::string_view text(block.data(), n);
    if (at_start && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    at_start = false;
    if (text.find('\0') != std::string_view::npos)
      throw InputError(bytes.path().string(), "a format that is not known",
                       "NumPy (.npy), CSV, IDX or HDF5");
    for (std::size_t end; (end = text.find('\n')) != std::string_view::npos;) {
      pending += text.substr(0, end);
      table.add_line(pending);
      pending.clear();
      text.remove_prefix(end + 1);
    }
    pending += text;
  }
  table.add_line(pending);
  return table.rows(range);
}

}  // namespace

std::pair<std::uint64_t, std::uint64_t> checked_rows(const std::filesystem::path& path,
                                                     const Shape& shape, const RowRange& range) {
  const std::uint64_t rows = shape.empty() ? 1 : shape[0];
  const std::uint64_t row = shape.empty() ? 1 : entries(shape, 1);
  if (rows == 0 || row == 0) throw InputError(path.string(), "no entries", "at least one");
  std::uint64_t first = 0, last = rows;
  if (range) {
    if (shape.empty()) throw InputError(path.string(), "a single number", "no range");
    first = static_cast<std::uint64_t>(range->first);
    last = static_cast<std::uint64_t>(range->second);
    const std::string text = "[" + std::to_string(first) + ", " + std::to_string(last) + "]";
    if (range->first < 0 || first >= last || last > rows)
      throw InputError(path.string(), "range " + text + " of " + std::to_string(rows) + " rows",
                       "[first, last] with 0 <= first < last <= " + std::to_string(rows));
  }
  if (last - first > most_entries / row)
    throw InputError(path.string(), "more than 2^31 numbers", "fewer, by a range of rows");
  return {first, last};
}

std::string index_text(std::uint64_t entry, const Shape& shape, std::uint64_t first_row) {
  std::vector<std::string> parts(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    parts[axis] = std::to_string(entry % shape[axis] + (axis == 0 ? first_row : 0));
    entry /= shape[axis];
  }
  return "[" + core::join(parts) + "]";
}

FileArray read_array(const std::filesystem::path& path, const RowRange& range) {
  std::array<unsigned char, 6> start{};
  const std::size_t n = Bytes(path).read_some(start.data(), start.size());
  Bytes bytes(path);
  if (n == 6 && std::memcmp(start.data(), "\x93NUMPY", 6) == 0) return read_npy(bytes, range);
  if (n >= 4 && start[0] == 0 && start[1] == 0 && start[3] > 0 && idx_type(start[2]))
    return read_idx(bytes, range);
  if (path.extension() == ".npz")
    throw InputError(path.string(), "an archive of arrays", "one array, as numpy.save writes");
  for (const char* extension : {".npy", ".h5", ".hdf5", ".nc"})
    if (path.extension() == extension)
      throw InputError(path.string(),
                       std::string("it does not begin as a ") + extension + " file does",
                       "NumPy (.npy), CSV, IDX or HDF5");
  return read_text(bytes, range);
}

FileArray read_idx_array(const std::filesystem::path& path, const RowRange& range) {
  Bytes bytes(path);
  return read_idx(bytes, range);
}

FileArray read_hdf5_array(const std::filesystem::path& path, const std::string& name,
                          const RowRange& range) {
  const h5::File file = h5::File::open(path);
  std::string chosen = name;
  if (name.empty()) {
    std::vector<std::string> candidates;
    for (const std::string& candidate : file.dataset_paths()) {
      const h5::Dataset dataset = file.dataset(candidate);
      if (dataset.is_number() && !dataset.is_scale()) candidates.push_back("/" + candidate);
    }
    if (candidates.size() != 1)
      throw InputError(path.string(),
                       candidates.empty() ? "it holds no dataset of numbers"
                                          : "which of its datasets is not said",
                       candidates.empty() ? "one" : "dataset = " + core::join(candidates, " or "));
    chosen = candidates[0];
  }
  const h5::Dataset dataset = file.dataset(chosen);
  const Shape shape = dataset.shape();
  const auto [first, last] = checked_rows(path, shape, range);
  Shape start(shape.size(), 0), count = shape;
  if (!shape.empty()) {
    start[0] = first;
    count[0] = last - first;
  }
  h5::Numbers numbers = dataset.read_numbers(start, count);
  if (numbers.values.empty()) throw InputError(path.string(), "no entries", "at least one");
  return {std::move(numbers.shape), std::move(numbers.values), dataset.largest_integer(),
          shape.empty() ? 1 : shape[0]};
}

}  // namespace settle::io
