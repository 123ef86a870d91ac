// The configuration as a tree of values that know where they were written. It is what a file, the
// command line and a sweep give, and what a Spec is bound from and written to; no TOML type is in
// it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sim/core/error.hpp"

namespace settle::core {

class Value;
struct Member;
using Array = std::vector<Value>;
using Table = std::vector<Member>;  ///< in the order of the file

/// One boolean, integer, number, text, array or table, with its position.
class Value {
 public:
  Value() : data_(Table{}) {}
  Value(bool v) : data_(v) {}
  Value(std::int64_t v) : data_(v) {}
  Value(int v) : data_(static_cast<std::int64_t>(v)) {}
  Value(double v) : data_(v) {}
  Value(std::string v) : data_(std::move(v)) {}
  Value(const char* v) : data_(std::string(v)) {}
  Value(Array v);
  Value(Table v);

  bool is_boolean() const { return std::holds_alternative<bool>(data_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(data_); }
  bool is_text() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_table() const { return std::holds_alternative<Table>(data_); }

  // Each expects that the kind was asked for first.
  bool boolean() const { return std::get<bool>(data_); }
  std::int64_t integer() const { return std::get<std::int64_t>(data_); }
  double number() const;  ///< an integer counts as a number
  const std::string& text() const { return std::get<std::string>(data_); }
  const Array& array() const { return std::get<Array>(data_); }
  Array& array() { return std::get<Array>(data_); }
  const Table& table() const { return std::get<Table>(data_); }
  Table& table() { return std::get<Table>(data_); }

  /// The member of a table, or nullptr (also where this is no table).
  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
  /// Sets or appends a member of a table.
  Value& set(std::string_view key, Value value);

  /// "a table", "the text \"tanhh\"", "the number 3": for an error's `found`.
  std::string describe() const;
  bool operator==(const Value& other) const;  ///< by content; positions don't count

  Position position;

 private:
  std::variant<bool, std::int64_t, double, std::string, Array, Table> data_;
};

struct Member {
  std::string key;
  Value value;
  Position position;  ///< of the key
};

/// The value at a dotted path ("model.controller.gains.i"); an entry of an array of tables is
/// addressed by its `name` (or default name, "from->to") or its 0-based index; a key with dots in it is quoted
/// ("rule.\"a.b\".leak"). nullptr where there is none.
const Value* find_path(const Value& root, std::string_view path);

/// Sets the value at a dotted path, making tables on the way.
/// @throws InputError  where the path leads through something that is no table, or names an entry
///                     of an array that does not exist (with the nearest name)
void set_path(Value& root, std::string_view path, Value value);

/// Where `path` below `root` was written: the position of the deepest part of it that exists.
Position locate(const Value& root, std::string_view path);

/// Shortest text that reads back as the same double ("0.1", "1e-06", "nan").
std::string number_text(double number);
/// The number to four significant digits, for sentences.
std::string brief(double number);
/// The same with its unit, which is not told where it is "1".
std::string brief(double number, const std::string& unit);

}  // namespace settle::core
