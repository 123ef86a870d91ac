// Text in figures and pages: how wide it is, how it is broken or cut to fit, and how it is escaped.
#pragma once

#include <string>
#include <vector>

namespace settle::analysis {

/// How wide the text is in DejaVu Sans of that size, in points: by the font's own table for ASCII,
/// near enough for what else stands in equations and names.
double text_width(const std::string& text, double size);

/// The text, cut with "…" where it is wider.
std::string fitted(std::string text, double width, double size);

/// At most `most` lines of that width, broken between words; what doesn't fit is cut.
std::vector<std::string> wrapped(const std::string& text, double width, double size,
                                 std::size_t most);

/// The text as HTML's, also between quotes; bytes that are no UTF-8 become U+FFFD.
std::string escaped_html(const std::string& text);

}  // namespace settle::analysis
