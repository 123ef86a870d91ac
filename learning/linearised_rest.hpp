// Where linearised loops come to rest, each example's own: non-dynamic inversion of W diag(φ′).
#pragma once

#include "sim/core/linalg.hpp"

namespace settle::learning {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// The control of a loop at rest, (W B − I/G)⁻¹ y; by the pseudoinverse where that is singular to working
/// precision.
MatrixXd rest_control(const MatrixXd& w, const MatrixXd& b, double inverse_gain, const MatrixXd& y);

/// r of a loop that sees W D of r, D = diag(d) of each example, for the setpoint y:
///
///     r = B (W D B − I/G)⁻¹ y = (B W D − I/G)⁻¹ B y
///
/// by the smaller effort. Units with d = 0 are not in the matrix that is solved: in the second form the others
/// alone are, a part of B W that all examples share, and the rest follows, r = G (B W D r − B y). That costs
/// digits where 1/G is small beside B W D, and isn't taken where it would cost more than 8; without leak and
/// with units of d = 0 it doesn't exist. Where what is inverted is singular to working precision, the
/// pseudoinverse of the first form stands for it; where 1/G = ∞, r is 0.
///
/// @param w             m × n
/// @param b             n × m
/// @param slope         d, n × B
/// @param inverse_gain  1/G: one number, or one for each example
/// @param y             m × B
/// Source: science.md section 4.
MatrixXd linearised_rest(const MatrixXd& w, const MatrixXd& b, const MatrixXd& slope,
                         const VectorXd& inverse_gain, const MatrixXd& y);

}  // namespace settle::learning
