// core::Value as TOML that a person would have written.
#include <algorithm>
#include <cstdio>

#include "sim/io/toml.hpp"

namespace settle::io {
namespace {

using core::Value;

constexpr std::size_t columns = 100;

// Columns that a UTF-8 text takes, one a code point.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if (byte < 0x20 || byte == 0x7F) {
          char escape[8];
          std::snprintf(escape, sizeof escape, "\\u%04X", byte);
          out += escape;
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

std::string key_text(const std::string& key) {
  const auto bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !key.empty() && std::all_of(key.begin(), key.end(), bare) ? key : quoted(key);
}

std::string float_text(double number) {
  const std::string text = core::number_text(number);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

// A value on one line.
std::string inline_text(const Value& value) {
  if (value.is_boolean()) return value.boolean() ? "true" : "false";
  if (value.is_integer()) return std::to_string(value.integer());
  if (value.is_number()) return float_text(value.number());
  if (value.is_text()) return quoted(value.text());
  std::string out;
  if (value.is_array()) {
    for (const Value& item : value.array()) out += (out.empty() ? "" : ", ") + inline_text(item);
    return "[" + out + "]";
  }
  for (const core::Member& member : value.table())
    out += (out.empty() ? "" : ", ") + key_text(member.key) + " = " + inline_text(member.value);
  return out.empty() ? "{}" : "{ " + out + " }";
}

template <class Test>
bool all_items(const Value& value, const Test& test) {
  return value.is_array() && !value.array().empty() &&
         std::all_of(value.array().begin(), value.array().end(), test);
}

bool is_list_of_tables(const Value& value) {
  return all_items(value, [](const Value& item) { return item.is_table(); });
}

// A list over several lines: lists and tables one a line, other items filled to the width.
std::string wrapped_list(const Value& list, std::size_t indent) {
  const std::string margin(indent + 2, ' ');
  std::string out = "[", line;
  const auto end_line = [&] {
    if (!line.empty()) out += "\n" + margin + line;
    line.clear();
  };
  for (const Value& item : list.array()) {
    const bool nested = item.is_array() || item.is_table();
    std::string text = inline_text(item);
    if (item.is_array() && indent + 3 + width(text) > columns)
      text = wrapped_list(item, indent + 2);
    if (nested || indent + 4 + width(line) + width(text) > columns) end_line();
    line += (line.empty() ? "" : " ") + text + ",";
    if (nested) end_line();
  }
  end_line();
  return out + "\n" + std::string(indent, ' ') + "]";
}

std::string list_text(const Value& list, std::size_t used) {
  const auto is_list = [](const Value& item) { return item.is_array(); };
  const std::string line = inline_text(list);
  const bool rows = all_items(list, is_list) && list.array().size() > 1;
  const bool fits = used + width(line) <= columns;
  return fits && !rows && !is_list_of_tables(list) ? line : wrapped_list(list, 0);
}

bool holds_tables(const Value& table) {
  return std::any_of(table.table().begin(), table.table().end(), [](const core::Member& member) {
    return member.value.is_table() || is_list_of_tables(member.value);
  });
}

// A table without further ones that stands on one line.
bool is_short(const Value& table, std::size_t used) {
  return !holds_tables(table) && used + width(inline_text(table)) <= columns;
}

// Whether a member of the table at `path` is written under a heading of its own.
bool has_heading(const core::Member& member, const std::string& path) {
  const bool top = path.empty();
  const std::size_t used = width(key_text(member.key)) + 3;
  if (member.value.is_table()) return top || !is_short(member.value, used);
  if (!is_list_of_tables(member.value)) return false;
  return top || !all_items(member.value, [](const Value& item) { return is_short(item, 3); });
}

void write_table(const Value& table, const std::string& path, std::string& out) {
  for (const core::Member& member : table.table()) {
    if (has_heading(member, path)) continue;
    const std::string start = key_text(member.key) + " = ";
    out += start;
    out +=
        member.value.is_array() ? list_text(member.value, width(start)) : inline_text(member.value);
    out += '\n';
  }
  for (const core::Member& member : table.table()) {
    if (!has_heading(member, path)) continue;
    const std::string inner = (path.empty() ? "" : path + ".") + key_text(member.key);
    const auto heading = [&](const std::string& text) {
      if (!out.empty()) out += '\n';
      out += text + '\n';
    };
    if (member.value.is_array()) {
      for (const Value& item : member.value.array()) {
        heading("[[" + inner + "]]");
        write_table(item, inner, out);
      }
    } else {
      const core::Table& members = member.value.table();
      const bool only_headings =
          !members.empty() && std::all_of(members.begin(), members.end(),
                                          [&](const auto& m) { return has_heading(m, inner); });
      if (!only_headings) heading("[" + inner + "]");
      write_table(member.value, inner, out);
    }
  }
}

}  // namespace

std::string toml_text(const Value& table) {
  std::string out;
  write_table(table, "", out);
  return out;
}

}  // namespace settle::io
