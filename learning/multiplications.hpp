// How many multiplications a step of training takes, so that rules can be compared by their cost.
//
// What counts are products and decompositions of dense matrices, done as the equations are written,
// whatever the program itself saves or wastes:
//
//     A B, n × k by k × m           n k m
//     A x = Y by elimination        n³/3 + n² m         (A n × n, Y n × m)
//     A⁺ by singular values         10 n³ + 4 n² m      (A n × m or m × n, n ≤ m)
//     a circuit                     the stored numbers of its projections for each evaluation of its
//                                   right-hand side
//
// and what a batch shares is shared by its examples. Left out is what is done element by element
// (transfers, slopes, decay, momentum, normalisation), random numbers, an initialisation that feedback
// follows W by, and what only looks on or keeps stable: evaluations, comparisons, poles, SSA.
//
// Source of the singular values: Golub and Van Loan, "Matrix Computations", 4th ed., figure 8.6.1 (R-SVD, half
// of 20 n³ + 6 n² m flops), and the product of its factors.
#pragma once

#include <algorithm>

#include "learning/network.hpp"

namespace settle::learning {

/// One product with each W_l, or a matrix of its size, for so many columns: Σ_{l ≥ first} d_l d_{l−1} columns.
template <class S>
double products(const Network<S>& network, Index first, Index columns) {
  double sum = 0;
  for (Index l = first; l <= network.depth(); ++l)
    sum += static_cast<double>(network.size(l)) * static_cast<double>(network.size(l - 1));
  return sum * static_cast<double>(columns);
}

/// A x = Y with A n × n, Y n × columns.
inline double elimination(Index n, Index columns) {
  const auto size = static_cast<double>(n);
  return size * size * (size / 3 + static_cast<double>(columns));
}

/// Where so many linearised loops come to rest, each by the smaller of two eliminations, no unit being silent
/// (learning/linearised_rest.hpp).
inline double linearised_rests(Index outputs, Index units, Index examples) {
  const auto m = static_cast<double>(outputs), n = static_cast<double>(units),
             count = static_cast<double>(examples);
  return std::min(count * (m * m * n + elimination(outputs, 1)),
                  n * n * m + count * elimination(units, 1));
}

/// A⁺ of rows × cols.
inline double pseudoinversion(Index rows, Index cols) {
  const auto n = static_cast<double>(std::min(rows, cols)),
             m = static_cast<double>(std::max(rows, cols));
  return n * n * (10 * n + 4 * m);
}

}  // namespace settle::learning
