#include "sim/core/params.hpp"

#include <algorithm>
#include <cmath>

namespace settle::core {
namespace {

double checked_number(const Value& value, const std::string& path, const Bounds& bounds) {
  if (!value.is_number()) fail(value, path, value.describe(), bounds.text());
  const double x = value.number();
  if (!bounds.contain(x)) fail(value, path, "the number " + number_text(x), bounds.text());
  return x;
}

std::string integer_form(std::int64_t low, std::int64_t high) {
  constexpr auto none = std::numeric_limits<std::int64_t>::max();
  if (high == none) return "an integer >= " + std::to_string(low);
  return "an integer from " + std::to_string(low) + " to " + std::to_string(high);
}

std::int64_t checked_integer(const Value& value, const std::string& path, std::int64_t low,
                             std::int64_t high) {
  if (!value.is_integer() || value.integer() < low || value.integer() > high) {
    const bool whole =
        !value.is_integer() && value.is_number() && value.number() == std::trunc(value.number());
    fail(value, path, value.describe() + (whole ? ", written with a decimal point" : ""),
         integer_form(low, high));
  }
  return value.integer();
}

std::string list_form(const Bounds& bounds, bool scalar) {
  return (scalar ? bounds.text() + ", or a list of them" : "a list, each " + bounds.text());
}

// Names with a space in them are quoted, so that it is seen where they end.
std::string choice_form(const std::vector<std::string>& names) {
  if (names.size() == 1) return "\"" + names[0] + "\", the only one";
  std::vector<std::string> words;
  for (const std::string& name : names)
    words.push_back(name.find(' ') == std::string::npos ? name : "\"" + name + "\"");
  return "one of " + join(words, " or ");
}

std::string texts_form(const std::vector<std::string>& names) {
  return names.empty() ? "a list of texts" : "a list, each " + choice_form(names);
}

// The key of a table that may be a slip for `name`.
std::string slip_for(const char* name, const Value& table) {
  std::vector<std::string> keys;
  for (const Member& member : table.table()) keys.push_back(member.key);
  const std::string near = nearest(name, keys);
  return near.empty() ? "" : "; is \"" + near + "\" meant to be it?";
}

template <class T>
Value list_value(const std::vector<T>& items) {
  Array array;
  for (const T& item : items) array.emplace_back(item);
  return array;
}

std::string short_text(const Value& value) {
  if (value.is_boolean()) return value.boolean() ? "true" : "false";
  if (value.is_integer()) return std::to_string(value.integer());
  if (value.is_number()) return number_text(value.number());
  if (value.is_text()) return '"' + value.text() + '"';
  std::vector<std::string> parts;
  if (value.is_array()) {
    for (const Value& item : value.array()) parts.push_back(short_text(item));
    return "[" + join(parts) + "]";
  }
  for (const Member& member : value.table())
    parts.push_back(member.key + " = " + short_text(member.value));
  return "{ " + join(parts) + " }";
}

}  // namespace

bool Bounds::contain(double x) const {
  if (std::isnan(x) || (std::isinf(x) && !infinite)) return false;
  return (low_open ? x > low : x >= low) && (high_open ? x < high : x <= high);
}

std::string Bounds::text() const {
  const bool below = std::isfinite(high), above = std::isfinite(low);
  if (above && below)
    return std::string("a number in ") + (low_open ? "(" : "[") + number_text(low) + ", " +
           number_text(high) + (high_open ? ")" : "]");
  if (above) return std::string("a number ") + (low_open ? "> " : ">= ") + number_text(low);
  if (below) return std::string("a number ") + (high_open ? "< " : "<= ") + number_text(high);
  return infinite ? "a number" : "a finite number";
}

void fail(const Value& value, const std::string& path, const std::string& found,
          const std::string& expected) {
  const std::string where = value.position.text();
  throw InputError(where.empty() ? path : where + ": " + path, found, expected);
}

// ---- Reader ----

Reader::Reader(const Value& table, std::string path) : table_(table), path_(std::move(path)) {
  if (!table.is_table()) fail(table, path_, table.describe(), "a table");
}

std::string Reader::path_of(const Key& key) const {
  return path_.empty() ? key.name : path_ + "." + key.name;
}

const Value* Reader::take(const Key& key) {
  known_.emplace_back(key.name);
  const Value* value = table_.find(key.name);
  if (!value && key.required)
    fail(table_, path_.empty() ? "the file" : path_, std::string("\"") + key.name + "\" is missing",
         std::string(key.name) + " = … (" + key.doc + ")" + slip_for(key.name, table_));
  return value;
}

void Reader::number(Key key, double& target, Bounds bounds) {
  if (const Value* value = take(key)) target = checked_number(*value, path_of(key), bounds);
}

void Reader::number(Key key, std::optional<double>& target, Bounds bounds) {
  if (const Value* value = take(key)) target = checked_number(*value, path_of(key), bounds);
}

void Reader::integer(Key key, std::int64_t& target, std::int64_t low, std::int64_t high) {
  if (const Value* value = take(key)) target = checked_integer(*value, path_of(key), low, high);
}

void Reader::boolean(Key key, bool& target) {
  const Value* value = take(key);
  if (!value) return;
  if (!value->is_boolean()) fail(*value, path_of(key), value->describe(), "true or false");
  target = value->boolean();
}

void Reader::text(Key key, std::string& target) {
  const Value* value = take(key);
  if (!value) return;
  if (!value->is_text()) fail(*value, path_of(key), value->describe(), "a text in quotes");
  target = value->text();
}

void Reader::choice(Key key, std::string& target, const std::vector<std::string>& names) {
  if (key.required && !table_.find(key.name))
    fail(table_, path_.empty() ? "the file" : path_, std::string("\"") + key.name + "\" is missing",
         choice_form(names) + slip_for(key.name, table_));
  const Value* value = take(key);
  if (!value) return;
  const bool known =
      value->is_text() && std::find(names.begin(), names.end(), value->text()) != names.end();
  if (!known)
    fail(*value, path_of(key), value->describe(),
         choice_form(names) + (value->is_text() ? did_you_mean(value->text(), names) : ""));
  target = value->text();
}

void Reader::texts(Key key, std::vector<std::string>& target,
                   const std::vector<std::string>& names) {
  const Value* value = take(key);
  if (!value) return;
  if (!value->is_array()) fail(*value, path_of(key), value->describe(), texts_form(names));
  target.clear();
  for (const Value& item : value->array()) {
    if (!item.is_text()) fail(item, path_of(key), item.describe(), "a text in quotes");
    if (!names.empty() && std::find(names.begin(), names.end(), item.text()) == names.end())
      fail(item, path_of(key), item.describe(),
           choice_form(names) + did_you_mean(item.text(), names));
    target.push_back(item.text());
  }
}

void Reader::numbers(Key key, std::vector<double>& target, Bounds bounds, bool scalar) {
  const Value* value = take(key);
  if (!value) return;
  if (value->is_array()) {
    if (value->array().empty())
      fail(*value, path_of(key), "an empty list", list_form(bounds, scalar));
    target.clear();
    for (std::size_t i = 0; i < value->array().size(); ++i)
      target.push_back(
          checked_number(value->array()[i], path_of(key) + "[" + std::to_string(i) + "]", bounds));
  } else if (scalar && value->is_number()) {
    target = {checked_number(*value, path_of(key), bounds)};
  } else {
    fail(*value, path_of(key), value->describe(), list_form(bounds, scalar));
  }
}

void Reader::integers(Key key, std::vector<std::int64_t>& target, std::int64_t low,
                      std::int64_t high) {
  const Value* value = take(key);
  if (!value) return;
  if (!value->is_array())
    fail(*value, path_of(key), value->describe(), "a list, each " + integer_form(low, high));
  target.clear();
  for (std::size_t i = 0; i < value->array().size(); ++i)
    target.push_back(checked_integer(value->array()[i],
                                     path_of(key) + "[" + std::to_string(i) + "]", low, high));
}

void Reader::custom(Key key, const CustomForm& form) {
  if (const Value* value = take(key)) form.read(*value, path_of(key));
}

void Reader::table(Key key, const std::function<void(Fields&)>& body, bool* present) {
  const Value* value = take(key);
  if (present) *present = value != nullptr;
  static const Value nothing;
  if (!value) return;
  Reader inner(*value, path_of(key));
  body(inner);
  inner.finish();
}

void Reader::finish() const {
  for (const Member& member : table_.table()) {
    if (std::find(known_.begin(), known_.end(), member.key) != known_.end()) continue;
    const std::string where = member.position.text();
    const std::string path = path_.empty() ? member.key : path_ + "." + member.key;
    throw InputError(where.empty() ? path : where + ": " + path,
                     "unknown key \"" + member.key + "\"",
                     choice_form(known_) + did_you_mean(member.key, known_));
  }
}

// ---- Writer ----

void Writer::number(Key key, double& v, Bounds) { result.set(key.name, v); }
void Writer::number(Key key, std::optional<double>& v, Bounds) {
  if (v) result.set(key.name, *v);
}
void Writer::integer(Key key, std::int64_t& v, std::int64_t, std::int64_t) {
  result.set(key.name, v);
}
void Writer::boolean(Key key, bool& v) { result.set(key.name, v); }
void Writer::text(Key key, std::string& v) { result.set(key.name, v); }
void Writer::choice(Key key, std::string& v, const std::vector<std::string>&) {
  result.set(key.name, v);
}
void Writer::texts(Key key, std::vector<std::string>& v, const std::vector<std::string>&) {
  if (!v.empty()) result.set(key.name, list_value(v));
}
void Writer::numbers(Key key, std::vector<double>& v, Bounds, bool scalar) {
  if (v.empty()) return;  // none were given, and an empty list would not be read back
  result.set(key.name, scalar && v.size() == 1 ? Value(v[0]) : list_value(v));
}
void Writer::integers(Key key, std::vector<std::int64_t>& v, std::int64_t, std::int64_t) {
  result.set(key.name, list_value(v));
}
void Writer::custom(Key key, const CustomForm& form) {
  if (std::optional<Value> value = form.write()) result.set(key.name, std::move(*value));
}
void Writer::table(Key key, const std::function<void(Fields&)>& body, bool* present) {
  if (present && !*present) return;
  Writer inner;
  body(inner);
  result.set(key.name, std::move(inner.result));
}

// ---- Documenter ----

void Documenter::add(const Key& key, std::string form, std::string default_value) {
  result.push_back({prefix_ + key.name, std::move(form),
                    key.required ? "required" : std::move(default_value), key.unit, key.doc});
}
void Documenter::number(Key key, double& v, Bounds b) { add(key, b.text(), number_text(v)); }
void Documenter::number(Key key, std::optional<double>& v, Bounds b) {
  add(key, b.text(), v ? number_text(*v) : "none");
}
void Documenter::integer(Key key, std::int64_t& v, std::int64_t low, std::int64_t high) {
  add(key, integer_form(low, high), std::to_string(v));
}
void Documenter::boolean(Key key, bool& v) { add(key, "true or false", v ? "true" : "false"); }
void Documenter::text(Key key, std::string& v) { add(key, "a text", '"' + v + '"'); }
void Documenter::choice(Key key, std::string& v, const std::vector<std::string>& names) {
  add(key, choice_form(names), '"' + v + '"');
}
void Documenter::texts(Key key, std::vector<std::string>& v,
                       const std::vector<std::string>& names) {
  add(key, texts_form(names), short_text(list_value(v)));
}
void Documenter::numbers(Key key, std::vector<double>& v, Bounds b, bool scalar) {
  add(key, list_form(b, scalar),
      scalar && v.size() == 1 ? number_text(v[0]) : short_text(list_value(v)));
}
void Documenter::integers(Key key, std::vector<std::int64_t>& v, std::int64_t low,
                          std::int64_t high) {
  add(key, "a list, each " + integer_form(low, high), short_text(list_value(v)));
}
void Documenter::custom(Key key, const CustomForm& form) {
  const std::optional<Value> value = form.write();
  add(key, form.form, value ? short_text(*value) : "none");
}
void Documenter::table(Key key, const std::function<void(Fields&)>& body, bool*) {
  const std::string outer = prefix_;
  prefix_ += std::string(key.name) + ".";
  body(*this);
  prefix_ = outer;
}

Value without_defaults(const Value& value, const Value& defaults) {
  Value out;
  out.position = value.position;
  for (const Member& member : value.table()) {
    const Value* standard = defaults.find(member.key);
    if (!standard || !(*standard == member.value)) out.table().push_back(member);
  }
  return out;
}

}  // namespace settle::core
