// Where a circuit is at rest: Newton's method with the exact Jacobian, and deflation for several.
#pragma once

#include <string>
#include <vector>

#include "sim/system/ode_system.hpp"

namespace settle::solve {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// What is asked to be at rest: the equations of one trial of a circuit in a segment, its sources as they
/// stand at time t.
struct RestProblem {
  const system::OdeSystem& system;
  system::Segment segment;
  double t = 0;
  Index trial = 0;
};

struct EquilibriumOptions {
  double tolerance = 1e-10;  ///< of the last Newton step, relative to x; > 0
  int iterations = 200;      ///< at most
  Index dense_limit = 2000;  ///< order up to which a matrix is factorised, beyond it GMRES is asked
};

/// A state x with T ẋ = −Λx + W φ(x) + s = 0, or the place at which the search for one ended.
struct Equilibrium {
  VectorXd x;              ///< n; what the segment holds stays as it was in the start
  bool converged = false;  ///< certified: see find_equilibrium()
  std::string reason;      ///< why not
  double residual = 0;     ///< ‖T ẋ‖∞ over what moves, in the units of x
  double step = 0;  ///< ‖last Newton step‖∞ / ‖x‖∞: how far the exact root may be
  int iterations = 0;
};

/// Newton's method on F(x) = T ẋ(x) from `start` (n), J_F = −Λ + W diag φ′(x) exact, with a
/// backtracking line search on ‖F‖₂; its equations are solved through the circuit's structure
/// (system::StructuredSolve), up to a dense matrix of order dense_limit. It has converged, and only then,
/// where a full Newton step is below the tolerance relative to x and F is at the level of rounding of its
/// terms: a line search that has come down to rounding is a failure, and so is a state that runs away
/// while F levels off. Where J_F is singular the shortest least-squares step is taken; a root found so is
/// one of a continuum, and counts.
///
/// Where the line search fails, it goes on by pseudo-transient continuation: linearly implicit Euler
/// steps (I/h − J) δ = ẋ, whose h grows as F falls, h ← h ‖F_old‖/‖F_new‖, until they are Newton's.
/// Source: Kelley & Keyes, "Convergence analysis of pseudo-transient continuation", SIAM J. Numer. Anal.
/// 35 (1998).
///
/// With `known` equilibria (n each) it looks for another one, by deflation: Newton's method on
/// F(x) · Π_k (1/‖x − x_k‖² + 1), which has no root at the known ones, and then on F itself.
/// Source: Farrell, Birkisson & Funke, "Deflation techniques for finding distinct solutions of
/// nonlinear partial differential equations", SIAM J. Sci. Comput. 37 (2015).
Equilibrium find_equilibrium(const RestProblem& problem, const VectorXd& start,
                             const std::vector<VectorXd>& known = {},
                             const EquilibriumOptions& options = {});

/// All that are found from these starts (n each), each different, at most `most`: from each start
/// again and again with what is known deflated, until it finds no more.
std::vector<Equilibrium> find_equilibria(const RestProblem& problem,
                                         const std::vector<VectorXd>& starts, std::size_t most,
                                         const EquilibriumOptions& options = {});

}  // namespace settle::solve
