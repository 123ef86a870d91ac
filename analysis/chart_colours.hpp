// Colours of maps and their lines, told apart by everyone.
#pragma once

#include <cstddef>
#include <string>

namespace settle::analysis {

/// Of viridis at 0 … 1 of the way, as "#RRGGBB". Source: van der Walt and Smith, matplotlib (2015).
std::string viridis(double fraction);

/// From blue through white (at 0.5) to red. Source: ColorBrewer, RdBu reversed.
std::string blue_to_red(double fraction);

/// Okabe and Ito's colours without yellow; after seven they begin again.
std::string series_colour(std::size_t k);

/// Black or white, whichever stands out from the colour.
std::string standing_out_from(const std::string& colour);

/// The colour as gnuplot's `rgb variable` reads it: 0xRRGGBB as a number.
std::string colour_number(const std::string& colour);

}  // namespace settle::analysis
