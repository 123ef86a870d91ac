// Colours that differ for everyone: Okabe and Ito's for names, viridis for what has an order.
#pragma once

#include <cstddef>
#include <string>

namespace settle::analysis {

/// The k-th colour of Okabe and Ito's palette without its yellow, as "#RRGGBB"; after seven it begins
/// again. Source: Okabe and Ito, "Color Universal Design" (2008).
std::string named_colour(std::size_t k);
constexpr std::size_t named_colours = 7;

/// Of viridis without its lightest end, at 0 … 1 of the way.
std::string ordered_colour(double fraction);

/// The same colour, letting 60 % of what is behind it through.
std::string faded(const std::string& colour);

}  // namespace settle::analysis
