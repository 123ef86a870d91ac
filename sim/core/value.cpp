#include "sim/core/value.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace settle::core {
namespace {

struct Step {
  std::string key;
  std::size_t column;  // 1-based, in the path
};

// Splits `a."b.c".d` at its dots.
std::vector<Step> split(std::string_view path) {
  std::vector<Step> steps;
  std::size_t i = 0;
  const auto fail = [&](const std::string& found) {
    throw InputError("--set " + std::string(path) + ":" + std::to_string(i + 1), found,
                     "keys joined by dots, such as model.controller.leak");
  };
  for (;;) {
    Step step{"", i + 1};
    if (i < path.size() && (path[i] == '"' || path[i] == '\'')) {
      const std::size_t end = path.find(path[i], i + 1);
      if (end == std::string_view::npos) fail("a quote that is not closed");
      step.key = path.substr(i + 1, end - i - 1);
      i = end + 1;
    } else {
      const std::size_t end = std::min(path.find('.', i), path.size());
      step.key = path.substr(i, end - i);
      i = end;
    }
    if (step.key.empty()) fail("an empty key");
    steps.push_back(std::move(step));
    if (i == path.size()) return steps;
    if (path[i] != '.') fail("text after a quoted key");
    ++i;
  }
}

// What an entry of a list of tables is called: its `name`, or the default one of a projection ("from->to")
// and of a source ("source->to"); "" where it has none.
std::string entry_name(const Value& entry) {
  const auto text = [&](const char* key) {
    const Value* value = entry.find(key);
    return value && value->is_text() ? value->text() : std::string();
  };
  if (entry.find("name") || text("to").empty()) return text("name");
  return (entry.find("from") ? text("from") : "source") + "->" + text("to");
}

std::vector<std::string> entry_names(const Value& array) {
  std::vector<std::string> names;
  for (const Value& entry : array.array())
    if (const std::string name = entry_name(entry); !name.empty()) names.push_back(name);
  return names;
}

// The entry of an array that `key` names, else the one of that index.
const Value* entry(const Value& array, const std::string& key) {
  for (const Value& item : array.array())
    if (entry_name(item) == key) return &item;
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (error == std::errc{} && end == key.data() + key.size() && index < array.array().size())
    return &array.array()[index];
  return nullptr;
}

const Value* child(const Value& value, const std::string& key) {
  return value.is_array() ? entry(value, key) : value.find(key);
}

}  // namespace

Value::Value(Array v) : data_(std::move(v)) {}
Value::Value(Table v) : data_(std::move(v)) {}

double Value::number() const {
  return is_integer() ? static_cast<double>(integer()) : std::get<double>(data_);
}

const Value* Value::find(std::string_view key) const {
  if (!is_table()) return nullptr;
  for (const Member& member : table())
    if (member.key == key) return &member.value;
  return nullptr;
}

Value* Value::find(std::string_view key) {
  return const_cast<Value*>(static_cast<const Value*>(this)->find(key));
}

Value& Value::set(std::string_view key, Value value) {
  if (Value* old = find(key)) return *old = std::move(value);
  Position where = value.position;
  table().push_back({std::string(key), std::move(value), std::move(where)});
  return table().back().value;
}

std::string Value::describe() const {
  if (is_boolean()) return boolean() ? "true" : "false";
  if (is_integer()) return "the integer " + std::to_string(integer());
  if (is_number()) return "the number " + number_text(number());
  if (is_text()) return "the text \"" + text() + "\"";
  if (is_array()) {
    const std::size_t n = array().size();
    return n == 0 ? "an empty list" : "a list of " + std::to_string(n);
  }
  return table().empty() ? "an empty table" : "a table";
}

bool Value::operator==(const Value& other) const {
  if (is_table() && other.is_table()) {
    if (table().size() != other.table().size()) return false;
    for (const Member& member : table()) {
      const Value* twin = other.find(member.key);
      if (!twin || !(*twin == member.value)) return false;
    }
    return true;
  }
  if (is_number() && other.is_number()) return number() == other.number();
  if (data_.index() != other.data_.index()) return false;
  if (is_boolean()) return boolean() == other.boolean();
  if (is_text()) return text() == other.text();
  return array() == other.array();
}

const Value* find_path(const Value& root, std::string_view path) {
  const Value* value = &root;
  for (const Step& step : split(path))
    if (!(value = child(*value, step.key))) return nullptr;
  return value;
}

void set_path(Value& root, std::string_view path, Value new_value) {
  Value* value = &root;
  const std::vector<Step> steps = split(path);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    const auto where = [&] {
      return "--set " + std::string(path) + ":" + std::to_string(step.column);
    };
    if (value->is_array()) {
      const Value* found = entry(*value, step.key);
      if (!found) {
        const std::vector<std::string> names = entry_names(*value);
        throw InputError(where(), "no entry is called \"" + step.key + "\"",
                         (names.empty() ? "an index below " + std::to_string(value->array().size())
                                        : join(names, " or ")) +
                             did_you_mean(step.key, names));
      }
      value = const_cast<Value*>(found);
      if (i + 1 == steps.size()) *value = std::move(new_value);
    } else if (value->is_table()) {
      if (i + 1 == steps.size()) {
        value->set(step.key, std::move(new_value));
      } else {
        Value* next = value->find(step.key);
        if (!next) {
          Value made{Table{}};
          made.position = new_value.position;
          next = &value->set(step.key, std::move(made));
        }
        value = next;
      }
    } else {
      throw InputError(where(), "\"" + steps[i - 1].key + "\" is " + value->describe(),
                       "a table or a list of tables there");
    }
  }
}

Position locate(const Value& root, std::string_view path) {
  const Value* value = &root;
  Position position = root.position;
  for (const Step& step : split(path)) {
    if (!(value = child(*value, step.key))) break;
    if (!value->position.source.empty()) position = value->position;
  }
  return position;
}

std::string number_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  char buffer[32];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof buffer, number);
  (void)error;
  return std::string(buffer, end);
}

std::string brief(double number) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.4g", number);
  return buffer;
}

std::string brief(double number, const std::string& unit) {
  return brief(number) + (unit.empty() || unit == "1" ? "" : " " + unit);
}

}  // namespace settle::core
