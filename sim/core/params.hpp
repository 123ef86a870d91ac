// Parameters of a Spec, described once: a Spec is a plain struct of defaults with a member
//   void fields(Fields& f);
// that names each of its parameters with unit, bounds and meaning. From that one description the
// same parameters are read from a configuration, written back to one, and documented.
#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/value.hpp"

namespace settle::core {

/// The numbers a parameter may take. Never NaN; infinite only where `infinite` says so.
struct Bounds {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false;   ///< low itself is not allowed
  bool high_open = false;  ///< high itself is not allowed
  bool infinite = false;   ///< ±∞ are allowed (within low and high)

  bool contain(double x) const;
  std::string text() const;  ///< "a number > 0", "a number in [0, 1]"
};
inline Bounds any_number() { return {}; }
inline Bounds positive() { return {.low = 0, .low_open = true}; }
inline Bounds non_negative() { return {.low = 0}; }
inline Bounds between(double low, double high) { return {.low = low, .high = high}; }

/// What is said about one parameter.
struct Key {
  const char* name;
  const char*
      unit;  ///< "1" if dimensionless, "time" for the circuit's unit, "" for what is no number
  const char* doc;
  bool required = false;
};

class Fields;

/// A parameter with a form of its own (a transfer function, an initialisation, one value a loop …).
struct CustomForm {
  std::string form;  ///< what it may be, for documentation
  std::function<void(const Value&, const std::string&)> read;  ///< the value and its path
  std::function<std::optional<Value>()> write;                 ///< nullopt: not given, left out
};

/// A visitor of parameters: reads, writes or documents them.
class Fields {
 public:
  virtual ~Fields() = default;

  virtual void number(Key, double&, Bounds) = 0;
  virtual void number(Key, std::optional<double>&, Bounds) = 0;
  virtual void integer(Key, std::int64_t&, std::int64_t low, std::int64_t high) = 0;
  virtual void boolean(Key, bool&) = 0;
  virtual void text(Key, std::string&) = 0;
  virtual void choice(Key, std::string&, const std::vector<std::string>& names) = 0;
  /// A list of texts, each one of `names` where there are any; an empty one is as good as none.
  virtual void texts(Key, std::vector<std::string>&,
                     const std::vector<std::string>& names = {}) = 0;
  /// A list of numbers; with `scalar` a lone number will do and is a list of one.
  virtual void numbers(Key, std::vector<double>&, Bounds, bool scalar) = 0;
  virtual void integers(Key, std::vector<std::int64_t>&, std::int64_t low, std::int64_t high) = 0;
  virtual void custom(Key, const CustomForm&) = 0;
  /// A table of further parameters. `present` (where given) tells whether it was there.
  virtual void table(Key, const std::function<void(Fields&)>& body, bool* present = nullptr) = 0;
};

/// Binds the members of a table.
/// @throws InputError  with position for a wrong type, a value out of bounds or a missing
///                     parameter; from finish() for an unknown key, with the nearest known one.
class Reader final : public Fields {
 public:
  Reader(const Value& table, std::string path);

  void number(Key, double&, Bounds) override;
  void number(Key, std::optional<double>&, Bounds) override;
  void integer(Key, std::int64_t&, std::int64_t, std::int64_t) override;
  void boolean(Key, bool&) override;
  void text(Key, std::string&) override;
  void choice(Key, std::string&, const std::vector<std::string>&) override;
  void texts(Key, std::vector<std::string>&, const std::vector<std::string>& names) override;
  void numbers(Key, std::vector<double>&, Bounds, bool scalar) override;
  void integers(Key, std::vector<std::int64_t>&, std::int64_t, std::int64_t) override;
  void custom(Key, const CustomForm&) override;
  void table(Key, const std::function<void(Fields&)>&, bool* present) override;

  /// An error for the first member that was not asked for.
  void finish() const;

 private:
  const Value* take(const Key& key);
  std::string path_of(const Key& key) const;

  const Value& table_;
  std::string path_;
  std::vector<std::string> known_;
};

/// Writes parameters as a table. Absent optional ones are left out.
class Writer final : public Fields {
 public:
  void number(Key, double&, Bounds) override;
  void number(Key, std::optional<double>&, Bounds) override;
  void integer(Key, std::int64_t&, std::int64_t, std::int64_t) override;
  void boolean(Key, bool&) override;
  void text(Key, std::string&) override;
  void choice(Key, std::string&, const std::vector<std::string>&) override;
  void texts(Key, std::vector<std::string>&, const std::vector<std::string>& names) override;
  void numbers(Key, std::vector<double>&, Bounds, bool scalar) override;
  void integers(Key, std::vector<std::int64_t>&, std::int64_t, std::int64_t) override;
  void custom(Key, const CustomForm&) override;
  void table(Key, const std::function<void(Fields&)>&, bool* present) override;

  Value result;
};

/// One documented parameter.
struct ParameterDoc {
  std::string name, form, default_value, unit, doc;
};

/// Documents parameters with their defaults.
class Documenter final : public Fields {
 public:
  void number(Key, double&, Bounds) override;
  void number(Key, std::optional<double>&, Bounds) override;
  void integer(Key, std::int64_t&, std::int64_t, std::int64_t) override;
  void boolean(Key, bool&) override;
  void text(Key, std::string&) override;
  void choice(Key, std::string&, const std::vector<std::string>&) override;
  void texts(Key, std::vector<std::string>&, const std::vector<std::string>& names) override;
  void numbers(Key, std::vector<double>&, Bounds, bool scalar) override;
  void integers(Key, std::vector<std::int64_t>&, std::int64_t, std::int64_t) override;
  void custom(Key, const CustomForm&) override;
  void table(Key, const std::function<void(Fields&)>&, bool* present) override;

  std::vector<ParameterDoc> result;

 private:
  void add(const Key&, std::string form, std::string default_value);
  std::string prefix_;
};

/// Binds a whole table to a Spec.
template <class Spec>
Spec read(const Value& value, const std::string& path, Spec spec = {}) {
  Reader reader(value, path);
  spec.fields(reader);
  reader.finish();
  return spec;
}

/// The table that reads back as this Spec.
template <class Spec>
Value write(Spec spec) {
  Writer writer;
  spec.fields(writer);
  return std::move(writer.result);
}

template <class Spec>
std::vector<ParameterDoc> document(Spec spec = {}) {
  Documenter documenter;
  spec.fields(documenter);
  return std::move(documenter.result);
}

/// The members of `value` that differ from `defaults`, name first.
Value without_defaults(const Value& value, const Value& defaults);

/// "path: what" with the position in front, for errors about a bound value.
[[noreturn]] void fail(const Value& value, const std::string& path, const std::string& found,
                       const std::string& expected);

}  // namespace settle::core
