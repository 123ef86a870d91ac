// Colours that differ for everyone: Okabe and Ito's for names, viridis for what has an order.
#pragma once

#include <cstddef>
#include <string>

namespace settle::analysis {

/// The k-th colour of Okabe and Ito's palette without its yellow, as "#RRGGBB"; after seven it begins
/// again. Source: Okabe and Ito, "Color Universal Design" (2008).
std::string named_colour(std::size_t k);
constexpr std::size_t named_colours = 7;

/// Of viridis at 0 … 1 of the way. Source: van der Walt and Smith, matplotlib (2015).
std::string viridis(double fraction);

/// From blue through white (at 0.5) to red. Source: ColorBrewer, RdBu reversed.
std::string blue_to_red(double fraction);

/// Of viridis without its lightest end, at 0 … 1 of the way.
std::string ordered_colour(double fraction);

/// The same colour, letting 60 % of what is behind it through.
std::string faded(const std::string& colour);

/// Black or white, whichever stands out from the colour.
std::string standing_out_from(const std::string& colour);

/// The colour as gnuplot's `rgb variable` reads it: 0xRRGGBB as a number.
std::string colour_number(const std::string& colour);

}  // namespace settle::analysis
