#include "analysis/palette.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <span>

namespace settle::analysis {
namespace {

unsigned number_of(const std::string& colour) {
  return static_cast<unsigned>(std::stoul(colour.substr(1), nullptr, 16));
}

double channel(unsigned rgb, int shift) { return static_cast<double>((rgb >> shift) & 0xFFU); }

std::string between(std::span<const unsigned> samples, double fraction) {
  const double at = std::clamp(fraction, 0.0, 1.0) * static_cast<double>(samples.size() - 1);
  const auto k = std::min(static_cast<std::size_t>(at), samples.size() - 2);
  const double rest = at - static_cast<double>(k);
  unsigned out = 0;
  for (const int shift : {16, 8, 0}) {
    const double mixed =
        (1 - rest) * channel(samples[k], shift) + rest * channel(samples[k + 1], shift);
    out |= static_cast<unsigned>(std::lround(mixed)) << shift;
  }
  char text[16];
  std::snprintf(text, sizeof text, "#%06X", out);
  return text;
}

}  // namespace

std::string named_colour(std::size_t k) {
  static constexpr std::array<const char*, named_colours> colours = {
      "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D"};
  return colours[k % colours.size()];
}

std::string viridis(double fraction) {
  static constexpr std::array<unsigned, 11> samples = {0x440154, 0x482475, 0x414487, 0x355F8D,
                                                       0x2A788E, 0x21918C, 0x22A884, 0x44BF70,
                                                       0x7AD151, 0xBDDF26, 0xFDE725};
  return between(samples, fraction);
}

std::string blue_to_red(double fraction) {
  static constexpr std::array<unsigned, 9> samples = {
      0x2166AC, 0x4393C3, 0x92C5DE, 0xD1E5F0, 0xF7F7F7, 0xFDDBC7, 0xF4A582, 0xD6604D, 0xB2182B};
  return between(samples, fraction);
}

std::string ordered_colour(double fraction) {
  return viridis(0.9 * std::clamp(fraction, 0.0, 1.0));
}

std::string standing_out_from(const std::string& colour) {
  const unsigned rgb = number_of(colour);
  const double luma = 0.299 * channel(rgb, 16) + 0.587 * channel(rgb, 8) + 0.114 * channel(rgb, 0);
  return luma > 120 ? "#000000" : "#FFFFFF";
}

std::string colour_number(const std::string& colour) { return std::to_string(number_of(colour)); }

std::string faded(const std::string& colour) { return "#99" + colour.substr(1); }

}  // namespace settle::analysis
