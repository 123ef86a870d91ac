#include "analysis/inline_svg.hpp"

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "analysis/text.hpp"
#include "sim/core/error.hpp"

namespace settle::analysis {
namespace {

constexpr auto npos = std::string::npos;

struct Tag {
  std::string name;  // "g", "/g"
  std::vector<std::pair<std::string, std::string>> attributes;
  bool is_empty = false;  // <g/>
};

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// The end of the tag that begins at `start`: its '>', outside quotes.
std::size_t end_of_tag(const std::string& text, std::size_t start) {
  char quote = 0;
  for (std::size_t k = start; k < text.size(); ++k) {
    if (quote != 0)
      quote = text[k] == quote ? '\0' : quote;
    else if (text[k] == '"' || text[k] == '\'')
      quote = text[k];
    else if (text[k] == '>')
      return k;
  }
  return npos;
}

// `body` is what stands between '<' and '>'.
Tag parse_tag(const std::string& body) {
  Tag out;
  std::size_t k = 0, end = body.size();
  if (end > 0 && body[end - 1] == '/') {
    out.is_empty = true;
    --end;
  }
  while (k < end && !is_space(body[k])) out.name += body[k++];
  while (k < end) {
    while (k < end && is_space(body[k])) ++k;
    std::string name, value;
    while (k < end && body[k] != '=' && !is_space(body[k])) name += body[k++];
    while (k < end && is_space(body[k])) ++k;
    if (k < end && body[k] == '=') {
      ++k;
      while (k < end && is_space(body[k])) ++k;
      if (k < end && (body[k] == '"' || body[k] == '\'')) {
        const char quote = body[k++];
        while (k < end && body[k] != quote) value += body[k++];
        ++k;
      }
    }
    if (!name.empty()) out.attributes.emplace_back(std::move(name), std::move(value));
  }
  return out;
}

std::string with_prefixed_references(std::string value, const std::string& prefix) {
  for (std::size_t at = value.find("url(#"); at != npos; at = value.find("url(#", at + 1))
    value.insert(at + 5, prefix);
  return value;
}

// An attribute as it stands in the page; "" where it doesn't.
std::string kept(const std::string& name, std::string value, const std::string& prefix) {
  std::string as = name;
  if (name == "id") {
    value = prefix + value;
  } else if (name == "href" || name == "xlink:href") {
    as = "href";
    if (value.rfind('#', 0) == 0)
      value = '#' + prefix + value.substr(1);
    else if (value.rfind("data:image/", 0) != 0)
      return "";
  } else if (name.rfind("xmlns", 0) == 0 || name.rfind("on", 0) == 0 || name == "class" ||
             name == "version") {
    return "";
  } else {
    value = with_prefixed_references(std::move(value), prefix);
  }
  // What the file escaped stays so; it was between quotes of either kind.
  for (std::size_t at = value.find('"'); at != npos; at = value.find('"', at))
    value.replace(at, 1, "&quot;");
  return " " + as + "=\"" + value + "\"";
}

// "712pt" is 712 of the drawing's units, in which its letters are of the page's size.
std::string number_of(const std::string& length) {
  return length.substr(0, length.find_first_not_of("0123456789."));
}

std::string root_text(const Tag& tag, const std::string& label) {
  std::string out = "<svg role=\"img\" aria-label=\"" + escaped_html(label) + "\"";
  for (const auto& [name, value] : tag.attributes) {
    if (name == "viewBox") out += " viewBox=\"" + value + "\"";
    if (name == "width" || name == "height") out += " " + name + "=\"" + number_of(value) + "\"";
    if (name == "width") out += " style=\"--own-width:" + number_of(value) + "px\"";
  }
  return out + ">";
}

bool is_left_out(const std::string& name) {
  return name == "title" || name == "desc" || name == "script" || name == "metadata" ||
         name == "style";
}

}  // namespace

std::string inline_svg(const std::string& file, const std::string& prefix,
                       const std::string& label) {
  const std::size_t start = file.find("<svg"), last = file.rfind("</svg>");
  if (start == npos || last == npos || last < start)
    throw core::InputError("a drawing", "no <svg> element", "what gnuplot or Graphviz writes");
  std::string out;
  for (std::size_t k = start; k < last;) {
    if (file[k] != '<') {
      const std::size_t next = std::min(file.find('<', k), last);
      out.append(file, k, next - k);
      k = next;
      continue;
    }
    if (file.compare(k, 4, "<!--") == 0) {
      const std::size_t end = file.find("-->", k);
      k = end == npos ? last : end + 3;
      continue;
    }
    const std::size_t end = std::min(end_of_tag(file, k), last);
    const Tag tag = parse_tag(file.substr(k + 1, end - k - 1));
    k = end + 1;
    if (is_left_out(tag.name)) {
      const std::string closing = "</" + tag.name + ">";
      const std::size_t stop = tag.is_empty ? npos : file.find(closing, k);
      if (stop != npos) k = stop + closing.size();
      continue;
    }
    if (out.empty()) {
      out = root_text(tag, label);
      continue;
    }
    out += '<' + tag.name;
    for (const auto& [name, value] : tag.attributes) out += kept(name, value, prefix);
    out += tag.is_empty ? "/>" : ">";
  }
  return out + "</svg>";
}

}  // namespace settle::analysis
