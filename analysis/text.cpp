#include "analysis/text.hpp"

#include <algorithm>
#include <array>

namespace settle::analysis {
namespace {

// Bytes of the UTF-8 character that begins at `k`; 0 where there is none.
std::size_t character_at(const std::string& text, std::size_t k) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(k);
  const std::size_t length = first < 0x80                    ? 1
                             : first >= 0xC2 && first < 0xE0 ? 2
                             : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xF0 && first < 0xF5 ? 4
                                                             : 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(k + i) & 0xC0) != 0x80) return 0;
  const unsigned second = byte(k + 1);
  const bool is_overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool is_surrogate = first == 0xED && second >= 0xA0;
  const bool is_too_large = first == 0xF4 && second >= 0x90;
  return is_overlong || is_surrogate || is_too_large ? 0 : length;
}

}  // namespace

double text_width(const std::string& text, double size) {
  // Thousandths of the font size, from the font's table, for U+0020 to U+007E.
  static constexpr std::array<int, 95> ascii = {
      318,  401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337,
      636,  636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531,
      1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787,
      603,  787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500,
      500,  613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612,
      635,  635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838};
  double width = 0;
  for (std::size_t k = 0; k < text.size(); ++k) {
    const auto byte = static_cast<unsigned char>(text[k]);
    if (byte >= 0x80 && byte < 0xC0) continue;  // inside a character
    if (byte < 0x80) {
      width += byte < 0x20 || byte == 0x7F ? 0 : ascii[byte - 0x20u];
    } else if (byte == 0xCC || byte == 0xCD) {
      width += 0;  // combining marks
    } else if (byte == 0xC2) {
      width += text.compare(k, 2, "\u00A0") == 0 ? 318 : 640;
    } else if (byte == 0xE2) {
      width += text.compare(k, 2, "\xE2\x82") == 0 ? 401 : 838;  // subscripts; operators
    } else if (byte == 0xE1) {
      width += 420;  // superscript and subscript letters, ẋ
    } else {
      width += byte < 0xD0 ? 640 : 1000;  // Latin and Greek; wider scripts
    }
  }
  return width * size / 1000;
}

std::string fitted(std::string text, double width, double size) {
  if (text_width(text, size) <= width) return text;
  while (!text.empty() && text_width(text + "…", size) > width) {
    do text.pop_back();
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80);
    // The lead byte of the character that was cut.
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xC0) text.pop_back();
  }
  return text + "…";
}

std::vector<std::string> wrapped(const std::string& text, double width, double size,
                                 std::size_t most) {
  std::vector<std::string> lines = {""};
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    const std::string longer = lines.back().empty() ? word : lines.back() + " " + word;
    if (!lines.back().empty() && lines.size() < most && text_width(longer, size) > width)
      lines.push_back(word);
    else
      lines.back() = longer;
    begin = end + 1;
  }
  for (std::string& line : lines) line = fitted(line, width, size);
  return lines;
}

std::string escaped_html(const std::string& text) {
  std::string out;
  for (std::size_t k = 0; k < text.size();) {
    const std::size_t length = character_at(text, k);
    const char c = text[k];
    if (length == 0)
      out += "\uFFFD";
    else if (length > 1)
      out.append(text, k, length);
    else if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else if ((static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) || c == '\n' || c == '\t')
      out += c;
    k += std::max<std::size_t>(length, 1);
  }
  return out;
}

}  // namespace settle::analysis
