// The least value of a function of a few bounded numbers, by NLopt.
#pragma once

#include <functional>
#include <vector>

namespace settle::analysis {

/// Asked at points of the unit cube; +∞ or NaN where it does not exist.
using CubeFunction = std::function<double(const std::vector<double>&)>;

enum class Search {
  global,  ///< dividing rectangles, locally biased (DIRECT-L, Gablonsky & Kelley 2001)
  local,   ///< simplex in subspaces (Sbplx, after Rowan 1990): also where f has kinks and steps
};

struct Minimum {
  std::vector<double> at;
  double value = 0;
};

/// The least value found with at most so many evaluations. Deterministic. An exception of f ends the search
/// and is passed on.
/// @param start  of a local search; of a global one: a point that is compared with what it finds
Minimum minimise(const CubeFunction& f, const std::vector<double>& start, Search search,
                 int evaluations);

}  // namespace settle::analysis
