// Eigenvectors of matrices of a few rows, one or two of them in closed form.
#pragma once

#include "sim/core/linalg.hpp"

namespace settle::solve {

/// A = V D V⁻¹ of a real 2 × 2 matrix, laid out as core::RealModes. The eigenvalue of smaller size follows
/// from the determinant, so that a slow pole beside a fast one keeps its digits.
struct TwoModes {
  Eigen::Vector2cd values;
  Eigen::Matrix2d right, inverse;
  double condition =
      1;  ///< 4/|det V|, which bounds ‖V‖₁ ‖V⁻¹‖₁ for columns of norm 1; +∞: no inverse
};
TwoModes modes_of_two(const Eigen::Matrix2d& m);

/// As core::real_modes and core::complex_modes.
/// @throws std::runtime_error  where the iteration does not converge
core::RealModes small_modes(const Eigen::MatrixXd& m);
core::ComplexModes small_modes(const Eigen::MatrixXcd& m);

}  // namespace settle::solve
