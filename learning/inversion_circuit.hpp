// Loops that invert layers of a network, as a circuit that the engine integrates.
#pragma once

#include <limits>

#include "models/stabilise.hpp"
#include "sim/core/transfer.hpp"
#include "sim/system/ode_system.hpp"

namespace settle::learning {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// A population on a loop's path, and what the next one (at the end, the controller) hears of its rate r.
struct LoopStage {
  const MatrixXd* weights = nullptr;  ///< W, out of it
  core::Transfer transfer;            ///< W φ(r); null: W r
  const MatrixXd* slope = nullptr;    ///< D of W diag(D) r, n × examples; null: 1
  VectorXd gain;                      ///< g of W φ(g ⊙ r), a folded normalisation; empty: 1
  /// a of W (φ(a + g ⊙ r) − φ(a)), an operating point from which r is a displacement, n × examples; empty: 0,
  /// without the φ(a)
  MatrixXd about;
};

/// What the next one's weights W are applied to, of rates r (n × examples): r, φ(g ⊙ r), D ⊙ r or
/// φ(a + g ⊙ r) − φ(a).
MatrixXd heard(const LoopStage& stage, MatrixXd r);

/// One controller's loop through populations 1 … N (N = 1: one layer), the first of which it drives.
struct LoopPath {
  std::vector<LoopStage> path;         ///< from the driven population to the measured one
  const MatrixXd* feedback = nullptr;  ///< B, n_1 × m, e = measured − setpoint: B carries the minus
  /// Of a path of one population, the narrower of W B and B W, where it is at hand; null: multiplied where
  /// it is needed.
  const MatrixXd* product = nullptr;
};

/// Loops of populations r and PID controllers u, from zero states,
///
///     τ ṙ_1 = −r_1 + B u,   τ ṙ_k = −r_k + W_{k−1} φ(r_{k−1}),   e = W_N φ(r_N) − y
///     τ_u ξ̇ = −α ξ + e,     u = k_i ξ + k_p e + k_d (e − f)/τ_d,  τ_d ḟ = −f + e
///
/// in coordinates of the narrower of the controller's space and the first population's, exactly:
/// - a population that W sees linearly stays in the range of B, r_1 = B v with τ v̇ = −v + u, and the loop
///   sees W B v: where m ≤ n_1, v is built in place of r_1 (a warm start is one of v);
/// - where m > n_1, all that is felt of the controller is B u, which is the control of a controller of
///   n_1 units with the error B e: its matrix is B W_N, its setpoint B y. The m − n_1 directions in which
///   B u does not feel ξ are not there.
///
/// Its trials are the examples of a batch, or these several times over, side by side.
///
/// Source: science.md sections 3 and 4. Matrices must outlive what is made of them.
class InversionCircuit {
 public:
  InversionCircuit(const models::LoopParameters& parameters, Index trials);

  /// A loop with a constant setpoint y, m × trials. Returns its number.
  std::size_t add(const std::string& name, const LoopPath& loop, const MatrixXd& setpoint);
  /// A loop whose setpoint is the moving rate of another's first population, times `slope` (m × examples)
  /// where it is not null.
  std::size_t add(const std::string& name, const LoopPath& loop, std::size_t above,
                  const MatrixXd* slope);

  /// Its phase is called "settle", lasts until the circuit has settled, and may be changed. Fixed-step
  /// schemes update controllers first, then populations along the path, in the order of the loops.
  system::Circuit& circuit() { return circuit_; }

  /// r_k of a loop (n_k × trials) in a state of the compiled circuit, k = 1 … N.
  MatrixXd rate(std::size_t loop, Index k, const MatrixXd& state) const;

  /// Multiplications that building it took, and that reading all rates of a trial takes.
  double built() const { return built_; }
  double read() const { return read_; }

 private:
  struct Place {
    Index row = 0, size = 0;
    const MatrixXd* lift = nullptr;  // r = lift x; null: r = x
  };
  struct Built {
    std::vector<Place> places;  // per population
    int first = -1;             // node
  };

  std::size_t add(const std::string& name, const LoopPath& loop, const MatrixXd* setpoint,
                  std::size_t above, const MatrixXd* slope);
  MatrixXd product(const MatrixXd& a, const MatrixXd& b);
  // What belongs to the examples, for every trial.
  MatrixXd for_trials(const MatrixXd& m) const;
  Index rows_before(int node) const;

  models::LoopParameters parameters_;
  system::Circuit circuit_;
  std::vector<Built> loops_;
  double built_ = 0, read_ = 0;
};

/// Whether a loop is unstable, by the poles of its states and by the paper's condition.
struct LoopStability {
  bool unstable = false;
  bool unstable_paper = false;
  double pole = std::numeric_limits<double>::quiet_NaN();  ///< max Re λ of the loop, 1/time
  double paper =
      std::numeric_limits<double>::quiet_NaN();  ///< max Re λ(k_i W B − α I); NaN without i
};

/// Of a loop that is linear (stages without transfer, slopes of one trial): unstable where not every pole
/// of the loop has a real part below zero, and where not max Re λ(k_i W B − α I) < 0. A direction in which
/// nothing feels the controller does not count.
/// Source: science.md section 5.
LoopStability stability_of(const LoopPath& loop, const models::LoopParameters& parameters);
/// Of a circuit's first controller, linearised about the initial state of its first trial. Unstable, without
/// numbers, where its matrix is not finite.
LoopStability stability_of(const system::OdeSystem& system);

}  // namespace settle::learning
