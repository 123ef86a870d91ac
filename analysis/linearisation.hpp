// The linear equations of a circuit about a state: ẋ = J x over the states that move.
#pragma once

#include <complex>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/linalg.hpp"
#include "sim/solve/equilibrium.hpp"

namespace settle::analysis {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Above this size the dense eigenvalue problem takes longer than a user waits.
constexpr Index default_dense_limit = 400;

/// J = T⁻¹(−Λ + W diag φ′(x)) at a state x (n), restricted to the rows that the segment
/// lets move. What is asked for is computed once, when it is first asked for.
class Linearisation {
 public:
  /// @param problem  the circuit, the segment and the time at which its sources stand
  /// @param x        the state
  Linearisation(const solve::RestProblem& problem, VectorXd x,
                Index dense_limit = default_dense_limit);

  const solve::RestProblem& problem() const { return problem_; }
  const VectorXd& state() const { return x_; }
  /// Rows of the state that move.
  const std::vector<Index>& rows() const { return rows_; }
  Index size() const { return static_cast<Index>(rows_.size()); }
  /// Whether J is small enough for dense decompositions.
  bool is_dense() const { return size() <= dense_limit_; }

  /// J, size × size. Also of a large circuit, where it is asked for.
  const MatrixXd& jacobian() const;
  /// Every pole with its vectors where J is dense; else the `few` rightmost ones with right vectors.
  /// nullptr where the eigenvalue iteration did not converge.
  const core::EigenSystem* modes(Index few) const;
  /// The rightmost pole, imaginary part ≥ 0; nullopt where nothing moves or the iteration failed.
  std::optional<std::complex<double>> rightmost() const;

  /// Real parts closer to zero than this are taken for zero: 1e-9 over the largest time constant, or
  /// what rounding does to well-conditioned eigenvalues.
  double rounding() const;
  enum class Stability { stable, neutral, unstable, unknown };
  /// By the rightmost pole; neutral where it is zero, also to what rounding does to a defective one.
  Stability stability() const;

  /// ∂ẋ/∂v (size × n_node) for an input to a node, ∂x_node/∂x (n_node × size), and what an edge adds
  /// by its sender (n_to × n_from).
  MatrixXd input(int node) const;
  MatrixXd output(int node) const;
  MatrixXd edge(int edge) const;

 private:
  std::complex<double> rightmost_of_blocks() const;
  bool is_lost_in_rounding(std::complex<double> pole) const;

  solve::RestProblem problem_;
  VectorXd x_;
  Index dense_limit_;
  std::vector<Index> rows_;
  mutable system::Workspace workspace_;
  mutable std::optional<MatrixXd> jacobian_;
  mutable std::optional<core::EigenSystem> modes_;
  mutable Index few_ = 0;  // asked for
  mutable std::optional<std::complex<double>> rightmost_;
  mutable bool tried_ = false;
};

/// "stable", "neutral", "unstable", "unknown".
const char* name(Linearisation::Stability stability);

}  // namespace settle::analysis
