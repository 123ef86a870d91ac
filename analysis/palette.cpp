#include "analysis/palette.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace settle::analysis {

std::string named_colour(std::size_t k) {
  static constexpr std::array<const char*, named_colours> colours = {
      "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D"};
  return colours[k % colours.size()];
}

std::string ordered_colour(double fraction) {
  static constexpr std::array<std::array<int, 3>, 8> samples = {{{68, 1, 84},
                                                                 {70, 50, 126},
                                                                 {54, 92, 141},
                                                                 {39, 127, 142},
                                                                 {31, 161, 135},
                                                                 {74, 193, 109},
                                                                 {140, 205, 70},
                                                                 {190, 210, 50}}};
  const double at = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(samples.size() - 1);
  const auto k = std::min(static_cast<std::size_t>(at), samples.size() - 2);
  const double rest = at - static_cast<double>(k);
  std::array<int, 3> rgb{};
  for (std::size_t c = 0; c < 3; ++c)
    rgb[c] = static_cast<int>(std::lround((1 - rest) * samples[k][c] + rest * samples[k + 1][c]));
  char text[16];
  std::snprintf(text, sizeof text, "#%02X%02X%02X", static_cast<unsigned>(rgb[0]),
                static_cast<unsigned>(rgb[1]), static_cast<unsigned>(rgb[2]));
  return text;
}

std::string faded(const std::string& colour) { return "#99" + colour.substr(1); }

}  // namespace settle::analysis
