// Text in figures: how wide it is, and how it is broken or cut to fit.
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

}  // namespace settle::analysis
