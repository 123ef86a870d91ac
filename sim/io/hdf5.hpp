// HDF5's C interface as a few owning types. A failure to write is an OutputError, a failure to read
// an InputError; both name the file, the object and HDF5's innermost reason ("No space left on
// device"). The library is not thread-safe: one thread at a time may be in here.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace settle::io::h5 {

using Id = std::int64_t;                    ///< HDF5's hid_t
using Shape = std::vector<std::uint64_t>;   ///< extents, slowest first; empty for a scalar
constexpr std::uint64_t unlimited = ~0ULL;  ///< as an entry of DatasetOptions::max_shape

/// Owns one HDF5 identifier of any kind (file, group, dataset, dataspace, datatype, attribute,
/// property list) and gives it back. Move-only; holds one reference.
class Handle {
 public:
  Handle() = default;
  explicit Handle(Id id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle() { reset(); }

  Id id() const { return id_; }
  bool valid() const { return id_ >= 0; }
  /// Closes now; false where HDF5 could not (a file whose last bytes did not reach the disk).
  bool reset() noexcept;

 private:
  Id id_ = -1;
};

/// How numbers and texts stand in a file: IEEE floats, little-endian integers, UTF-8 text of any
/// length.
enum class Type { float64, float32, int64, int32, int8, text };

struct DatasetOptions {
  Shape max_shape = {};  ///< up to where resize() may go, or `unlimited`; empty: the shape itself
  Shape chunk = {};      ///< empty: contiguous, or (where max_shape asks for chunks) a fair guess
  std::optional<double> fill = {};  ///< value of what was never written; NaN for float64 is usual
  bool allocate_early =
      false;  ///< space and fill are written at once, so that a flush moves raw data only
  bool deflate = false;  ///< gzip level 4 with byte shuffle; needs chunks
};

/// What groups, datasets and files share: a name and attributes.
class Object {
 public:
  explicit Object(Handle handle) : handle_(std::move(handle)) {}

  Id id() const { return handle_.id(); }
  std::string path() const;  ///< within the file: "/", "/points/00017/hidden"
  std::string file() const;  ///< the file's name

  // Attributes; one of that name is replaced, whatever its type. @throws OutputError
  void set_attribute(const std::string& name, const std::string& text);
  void set_attribute(const std::string& name, const char* text);
  void set_attribute(const std::string& name, double number);
  void set_attribute(const std::string& name, std::int64_t number);
  void set_attribute(const std::string& name, std::int32_t number);
  void set_attribute(const std::string& name, std::int8_t number);
  void set_attribute(const std::string& name, const std::vector<std::string>& texts);
  void set_attribute(const std::string& name, const std::vector<double>& numbers);
  void set_attribute(const std::string& name, const std::vector<std::int64_t>& numbers);
  void set_attribute(const std::string& name, const std::vector<std::int8_t>& numbers);

  bool has_attribute(const std::string& name) const;
  std::vector<std::string> attribute_names() const;  ///< in order of creation
  // @throws InputError  where there is none, or it is of another kind
  std::string text_attribute(const std::string& name) const;
  double number_attribute(const std::string& name) const;
  std::vector<std::string> text_list_attribute(const std::string& name) const;
  std::vector<double> number_list_attribute(const std::string& name) const;

 protected:
  Handle handle_;
};

/// Keeps HDF5 from printing its errors in this thread. File does so where it creates or opens one; a thread
/// that goes on with what another one opened has to say it.
void quiet_thread();

/// Alone in the library, and quiet, until the lock goes: for threads that write files side by side.
std::unique_lock<std::mutex> lock_library();

/// The text of an attribute; "" where there is none. @throws InputError  where it is no text
std::string text_of(const Object& object, const std::string& attribute);
/// The name at the end of a path.
std::string last_part(const std::string& path);

/// Numbers with their shape, row-major.
struct Numbers {
  Shape shape;
  std::vector<double> values;
};

class Dataset : public Object {
 public:
  using Object::Object;

  Shape shape() const;
  std::optional<Type> type() const;  ///< nullopt where it is none of these
  bool is_text() const;
  bool is_number() const;                         ///< integers and floating point, of any width
  bool is_scale() const;                          ///< the coordinate of a dimension
  std::optional<double> largest_integer() const;  ///< that its type holds; nullopt for no integers

  // Writing; `data` is row-major and of as many entries as the shape or `count`. @throws
  // OutputError
  void write(std::span<const double> data);
  void write(std::span<const float> data);
  void write(std::span<const std::int64_t> data);
  void write(std::span<const std::int32_t> data);
  void write(std::span<const std::int8_t> data);
  void write(const std::vector<std::string>& data);
  void write(const std::string& text);  ///< a scalar dataset

  /// The block of extents `count` that starts at `start`.
  void write_block(const Shape& start, const Shape& count, std::span<const double> data);
  void write_block(const Shape& start, const Shape& count, std::span<const std::int64_t> data);
  void write_block(const Shape& start, const Shape& count, std::span<const std::int32_t> data);
  void write_block(const Shape& start, const Shape& count, std::span<const std::int8_t> data);
  void write_block(const Shape& start, const Shape& count, const std::vector<std::string>& data);

  /// New extents, within max_shape; what is added holds the fill value.
  void resize(const Shape& shape);
  void flush();

  /// Makes this dataset the scale (coordinate) of a dimension called `dimension`.
  void make_scale(const std::string& dimension);
  /// Says that this dataset's `axis` is the dimension of `scale`.
  void attach_scale(const Dataset& scale, unsigned axis);
  /// The path of the first scale of each axis, "" where there is none.
  std::vector<std::string> scales() const;

  // Reading. @throws InputError  also where the entries are of another kind
  Numbers read_numbers() const;
  Numbers read_numbers(const Shape& start, const Shape& count) const;
  std::vector<float> read_floats() const;  ///< of Type::float32 alone, bit by bit
  std::vector<std::int64_t> read_integers() const;
  std::vector<std::string> read_texts() const;  ///< of one entry for a scalar
  std::string read_text() const;                ///< of a dataset of one entry
};

class Group : public Object {
 public:
  using Object::Object;

  /// A new group; links and attributes keep the order of their creation. @throws OutputError
  Group create_group(const std::string& name);
  /// The group at this path below this group, made with all above it where there is none.
  Group require_group(const std::string& path);
  /// A new dataset; its attributes keep their order. An empty `shape` is a scalar. @throws
  /// OutputError
  Dataset create_dataset(const std::string& name, Type type, const Shape& shape,
                         const DatasetOptions& options = {});
  /// create_dataset and write in one.
  Dataset write_dataset(const std::string& name, const Shape& shape, std::span<const double> data);
  Dataset write_dataset(const std::string& name, const Shape& shape,
                        std::span<const std::int64_t> data);
  Dataset write_dataset(const std::string& name, const std::vector<std::string>& data);
  Dataset write_dataset(const std::string& name, const std::string& text);
  /// Takes a link out; the space is not given back. @throws OutputError
  void remove(const std::string& name);

  /// Whether a group or dataset stands at this path below this group.
  bool exists(const std::string& path) const;
  bool is_group(const std::string& path) const;
  bool is_dataset(const std::string& path) const;
  /// @throws InputError  where there is none, with the nearest name
  Group group(const std::string& path) const;
  Dataset dataset(const std::string& path) const;
  /// Names of this group's members, in order of creation where the file kept it, else of the
  /// alphabet.
  std::vector<std::string> names() const;
  /// Paths of all datasets at and below this group, relative to it, in the same order.
  std::vector<std::string> dataset_paths() const;
};

/// An HDF5 file; as a Group it is its root group.
class File : public Group {
 public:
  /// A new file in the library's default format, in place of an old one. @throws OutputError
  static File create(const std::filesystem::path& path);
  /// @throws InputError  for a missing file, a folder, what is no HDF5, or a file that is being
  /// written
  static File open(const std::filesystem::path& path);
  /// Opens for reading and writing. @throws InputError  as open(); OutputError where it is
  /// read-only
  static File open_to_write(const std::filesystem::path& path);
  /// Whether the file begins as HDF5 does; false where it cannot be read.
  static bool is_hdf5(const std::filesystem::path& path);
  /// Whether the file opens, and its root has an attribute of that name.
  static bool says(const std::filesystem::path& path, const std::string& attribute);

  /// Moves everything to the disk. @throws OutputError
  void flush();
  /// In bytes, with what has not reached the disk yet.
  std::uint64_t size() const;
  /// From now on metadata stays in memory until flush(), instead of reaching the disk piece by piece: a
  /// process that is killed in between leaves the file as the last flush left it.
  void hold_metadata();
  /// Flushes and closes; objects that are still held keep the file open until they go. @throws
  /// OutputError
  void close();
  bool is_open() const { return handle_.valid(); }

 private:
  using Group::Group;
};

}  // namespace settle::io::h5
