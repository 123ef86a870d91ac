#include "sim/io/toml.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <optional>
#include <system_error>

#include "sim/io/hdf5.hpp"

namespace settle::io {
namespace {

using core::InputError;
using core::Position;
using core::Value;

// Where a place in toml++'s input was written.
using Locator = std::function<Position(const toml::source_position&)>;

bool before(const toml::source_position& a, const toml::source_position& b) {
  return a.line != b.line ? a.line < b.line : a.column < b.column;
}

Value to_value(const toml::node& node, const Locator& locate);

Value to_table(const toml::table& table, const Locator& locate) {
  std::vector<std::pair<const toml::key*, const toml::node*>> members;
  for (const auto& [key, node] : table) members.emplace_back(&key, &node);
  std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) {
    return before(a.first->source().begin, b.first->source().begin);
  });
  core::Table out;
  for (const auto& [key, node] : members)
    out.push_back({std::string(key->str()), to_value(*node, locate), locate(key->source().begin)});
  return out;
}

Value to_value(const toml::node& node, const Locator& locate) {
  const Position position = locate(node.source().begin);
  Value out;
  if (const auto* table = node.as_table()) {
    out = to_table(*table, locate);
  } else if (const auto* array = node.as_array()) {
    core::Array items;
    items.reserve(array->size());
    for (const toml::node& item : *array) items.push_back(to_value(item, locate));
    out = std::move(items);
  } else if (const auto* text = node.as_string()) {
    out = text->get();
  } else if (const auto* integer = node.as_integer()) {
    out = integer->get();
  } else if (const auto* number = node.as_floating_point()) {
    out = number->get();
  } else if (const auto* boolean = node.as_boolean()) {
    out = boolean->get();
  } else {
    throw InputError(position, "a date or a time", "a number, or a text in quotes");
  }
  out.position = position;
  return out;
}

// toml++'s description in this program's words.
std::string in_words(std::string description) {
  const auto has = [&](const char* part) { return description.find(part) != std::string::npos; };
  if (const auto at = description.find("cannot redefine existing "); at != std::string::npos) {
    const auto open = description.find('\'', at), close = description.rfind('\'');
    if (open != std::string::npos && close > open)
      return "the key \"" + description.substr(open + 1, close - open - 1) + "\" stands twice";
  }
  if (has("parsing boolean") || has("could not determine value type"))
    return "a word that is no value; a text stands in quotes";
  if (has("unescaped control characters"))
    return "a text that is not closed on its line, or holds a control character";
  if (has("invalid utf-8")) return "bytes that are no UTF-8";
  const std::string prefix = "Error while parsing ";
  if (description.starts_with(prefix)) {
    description.erase(0, prefix.size());
    const bool vowel = std::string_view("aeiou").find(description[0]) != std::string_view::npos;
    description.insert(0, vowel ? "in an " : "in a ");
  }
  if (const auto at = description.find("'\n'"); at != std::string::npos)
    description.replace(at, 3, "the end of the line");
  return "this is not TOML: " + description;
}

Value parse(std::string_view text, const Locator& locate) {
  try {
    Value out = to_table(toml::parse(text), locate);
    out.position = locate({1, 1});
    return out;
  } catch (const toml::parse_error& error) {
    throw InputError(locate(error.source().begin), in_words(std::string(error.description())), "");
  }
}

// The file's bytes.
std::string read_text(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  const std::string expected = "a TOML configuration";
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    std::vector<std::string> neighbours;
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error))
      if (entry->path().extension() == ".toml")
        neighbours.push_back(entry->path().filename().string());
    std::sort(neighbours.begin(), neighbours.end());
    throw InputError(path.string(), "no such file",
                     expected + core::did_you_mean(path.filename().string(), neighbours));
  }
  if (fs::is_directory(status)) throw InputError(path.string(), "a folder", expected);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string text;
  constexpr std::size_t limit = std::size_t{1} << 28;
  std::vector<char> buffer(1 << 16);
  while (file && text.size() <= limit) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    text.append(buffer.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (text.size() > limit) throw InputError(path.string(), "more than 256 MiB", expected);
  if (!file.eof())
    throw InputError(path.string(), std::string("it cannot be read: ") + std::strerror(errno),
                     expected);
  return text;
}

// ---- Overrides ----

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// The first "=" that is not in a quoted key.
std::size_t equals_sign(std::string_view text) {
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quote) {
      if (text[i] == quote) quote = 0;
    } else if (text[i] == '"' || text[i] == '\'') {
      quote = text[i];
    } else if (text[i] == '=') {
      return i;
    }
  }
  return std::string_view::npos;
}

// Whether a text that is no TOML may stand for itself: no quote, bracket or line break, and no
// number with a slip in it.
bool is_bare_word(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789+-._,eE ") == std::string_view::npos)
    return false;
  return text.find_first_of("\"'[]{}\n\r") == std::string_view::npos;
}

// Gives the members that are new since `old` the position of their override.
void mark_new_members(Value& value, const Value* old, const Position& position) {
  if (value.is_table()) {
    for (core::Member& member : value.table()) {
      const Value* twin = old ? old->find(member.key) : nullptr;
      if (!twin) member.position = position;
      if (twin) mark_new_members(member.value, twin, position);
    }
  } else if (value.is_array() && old && old->is_array()) {
    const std::size_t common = std::min(value.array().size(), old->array().size());
    for (std::size_t i = 0; i < common; ++i)
      mark_new_members(value.array()[i], &old->array()[i], position);
  }
}

}  // namespace

Value parse_toml(std::string_view text, const std::string& source_name) {
  return parse(text, [&](const toml::source_position& at) {
    return Position{source_name, static_cast<int>(at.line), static_cast<int>(at.column)};
  });
}

void apply_override(Value& root, const std::string& assignment) {
  const std::size_t equals = equals_sign(assignment);
  if (equals == std::string::npos)
    throw InputError("--set " + assignment, "no \"=\" in it",
                     "KEY=VALUE, such as solver.rtol=1e-8");
  const std::string key(trimmed(std::string_view(assignment).substr(0, equals)));
  if (key.empty())
    throw InputError("--set " + assignment, "no key in front of \"=\"",
                     "KEY=VALUE, such as solver.rtol=1e-8");
  const std::string_view text = trimmed(std::string_view(assignment).substr(equals + 1));
  Position position{"--set " + key, 0, static_cast<int>(equals) + 2};
  if (text.empty())
    throw InputError(position, "nothing after \"=\"", "a value; an empty text is written \"\"");
  position.column = static_cast<int>(text.data() - assignment.data()) + 1;

  constexpr int prefix = 6;  // of "value="
  const Locator locate = [&](const toml::source_position& at) {
    Position out = position;
    out.column += static_cast<int>(at.column) - prefix - 1;
    return out;
  };
  Value value;
  std::optional<InputError> error;
  try {
    if (text.find_first_of("\n\r") != std::string_view::npos)
      throw InputError(position, "a line break", "a value on one line");
    value = parse("value=" + std::string(text), locate).table().at(0).value;
  } catch (const InputError& slip) {
    error.emplace(slip);
  }
  if (error) {
    if (!is_bare_word(text) || error->found == "a date or a time")
      throw InputError(error->where, error->found,
                       error->expected.empty()
                           ? "a TOML value (3, 0.1, true, \"text\", [1, 2]) or a bare word"
                           : error->expected);
    value = std::string(text);
    value.position = position;
  }
  const Value old = root;
  core::set_path(root, key, std::move(value));
  mark_new_members(root, &old, Position{"--set " + key, 0, 1});
}

LoadedFile load(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  if (h5::File::is_hdf5(path))
    throw core::InputError(path.string(), "an HDF5 file",
                           "a configuration (TOML); settle plot reads results");
  LoadedFile out{{}, read_text(path), path};
  out.value = parse_toml(out.text, path.string());
  for (const std::string& assignment : overrides) apply_override(out.value, assignment);
  return out;
}

}  // namespace settle::io
