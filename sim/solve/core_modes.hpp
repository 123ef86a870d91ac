// Decompositions that many circuits share, kept by the content of the matrices.
#pragma once

#include <cstdint>
#include <memory>

#include "sim/core/linalg.hpp"
#include "sim/system/weights.hpp"

namespace settle::solve {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Columns q of a matrix Q that carry coordinates z to states x = Q z, and what bounds ‖x‖∞:
///
///     |x_i| ≤ Σ_k reach_k |z_k|,   |x_i| ≤ row ‖z‖₂.
struct Image {
  MatrixXd q;
  VectorXd reach;  ///< largest entry of each column
  double row = 0;  ///< largest ‖row of Q‖₂
};

/// K = V D V⁻¹ of a square matrix, or of K = W L, W being m × n and L n × m (n ≥ m). D is K in real modes
/// (core::RealModes). From the larger space to the modes it is D⁻¹ V⁻¹ W, which takes L V to I and what W
/// does not hear to zero.
struct CoreModes {
  Eigen::VectorXcd values;  ///< of K
  Image out;                ///< V
  MatrixXd in;              ///< V⁻¹; empty where there is none
  Image lifted;             ///< L V; empty without L
  MatrixXd project;         ///< D⁻¹ V⁻¹ W
  double condition = 1;     ///< of V
  double lifted_condition = 1;  ///< ‖L V‖₁ ‖D⁻¹ V⁻¹ W‖₁; not finite where K is singular
  double error =
      0;  ///< relative, of one vector through the modes against K, and against itself back
};

/// Those of K = W L, or of K = W where there is no L. The latest are kept; threads share them, and two
/// that need the same make it once. What it answers doesn't depend on what is kept.
/// @throws std::runtime_error  where the iteration does not converge
std::shared_ptr<const CoreModes> core_modes(const system::SharedWeights& w,
                                            const system::SharedWeights& l = nullptr);

/// Lets go of the decompositions that are kept: what comes next is as in a new program.
void forget_decompositions();
/// How many matrices have been decomposed since the program began; those kept don't count again.
std::int64_t decompositions();

}  // namespace settle::solve
