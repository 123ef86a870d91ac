// Feedback made stable by smoothed spectral abscissa (SSA) optimisation.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "sim/core/linalg.hpp"

namespace settle::models {

using Eigen::Index;
using Eigen::MatrixXd;

/// Parameters of one loop of a population and its PID controller.
struct LoopParameters {
  double tau = 1;               ///< τ of the population, > 0
  double controller_tau = 1;    ///< τ_u of the integrator, > 0
  double derivative_tau = 0.1;  ///< τ_d of the filter behind the derivative, > 0
  double leak = 0;              ///< α
  double p = 0, i = 1, d = 0;   ///< k_p, k_i, k_d
};

/// The matrix of the linear loop with state (r, ξ, f), e = measured − setpoint,
///
///     τ ṙ = −r + B u,  τ_u ξ̇ = −α ξ + W r,  τ_d ḟ = −f + W r,
///     u = (k_p + k_d/τ_d) W r + k_i ξ − (k_d/τ_d) f
///
/// W is m × n, B n × m; the result is square of n + m [k_i ≠ 0] + m [k_d ≠ 0] rows, for a state
/// whose gain is zero is not there.
/// @throws std::invalid_argument  where W and B don't make a loop
/// Source: science.md sections 3 and 5.
MatrixXd loop_matrix(const MatrixXd& w, const MatrixXd& b, const LoopParameters& loop);

/// g(M, s) = tr P with (M − sI) P + P (M − sI)ᵀ = −2I, for s above the spectral abscissa of M:
/// falling from ∞ to 0 as s grows. nullopt where s is not above it to working precision.
std::optional<double> lyapunov_trace(const MatrixXd& m, double s);

/// The smoothed spectral abscissa of M: the s with g(M, s) = 1/ε. It lies above the spectral
/// abscissa, tends to it as ε → 0, and is differentiable where that is not.
/// @throws std::runtime_error  where M is not finite
/// Source: Vanbiervliet et al., "The smoothed spectral abscissa for robust stability optimization",
/// SIAM J. Optim. 20 (2009), eqs. 1.4 and 3.1.
double smoothed_abscissa(const MatrixXd& m, double epsilon);

/// ∂s/∂B (n × m) of the smoothed spectral abscissa of loop_matrix(w, b, loop), at the ε for which
/// it is s now. With M = A₀ + E B C and (M − sI)ᵀQ + Q(M − sI) = −2I,
///
///     ∂s/∂M = Q P / tr(Q P),   ∂s/∂B = Eᵀ (∂s/∂M) Cᵀ
///
/// nullopt where s is not above the spectral abscissa to working precision.
std::optional<MatrixXd> smoothed_abscissa_gradient(const MatrixXd& w, const MatrixXd& b,
                                                   const LoopParameters& loop, double s);

struct StabiliseOptions {
  double margin = 0;               ///< wanted: max Re λ(M) < −margin; ≥ 0, 1/time
  double step = 0.5;               ///< η, > 0: the first and longest step is η times the gradient
  std::int64_t iterations = 2000;  ///< at most
};

struct StabiliseResult {
  MatrixXd b;
  bool stable = false;  ///< max Re λ(M) < −margin by more than the eigenvalues' rounding error
  double abscissa = std::numeric_limits<double>::infinity();  ///< max Re λ(M) at b
  std::int64_t iterations = 0;                                ///< steps taken
  std::string reason;                                         ///< why it stopped
  std::string remedy;  ///< what would do; empty where it is stable
};

/// Whether a margin is out of reach whatever B is: {reason, remedy}, or nullopt. With n inputs and
/// m outputs of the layer and ρ the rank of W, the loop has n − ρ poles at −1/τ, m − ρ at −α/τ_u
/// (where k_i ≠ 0) and m − ρ at −1/τ_d (where k_d ≠ 0); under integral control alone the other
/// poles stand in pairs of mean −(1/τ + α/τ_u)/2.
struct Obstacle {
  std::string reason, remedy;
};
std::optional<Obstacle> margin_obstacle(const MatrixXd& w, const LoopParameters& loop,
                                        double margin);

/// Moves B until max Re λ(M) < −margin, along minus the exact gradient of the smoothed spectral
/// abscissa s, B ← B − η ∂s/∂B. Each step takes s above the spectral abscissa by a hundredth of
/// ‖M(B) − M(0)‖_F, the distance by which the feedback itself moves poles (and no less than
/// 10⁻⁶ ‖M(0)‖_F), so that the smoothing scales with the weights; that fixes ε for the step. A step
/// that does not lower the smoothed abscissa of this ε (g(M, s) must fall) is halved and tried
/// again; after one that does, η doubles, up to `step`. It ends, with the reason, when B is stable,
/// when the margin is out of reach (told before the first step), when no step lowers s, or when the
/// iterations are used up. The B of lowest spectral abscissa is returned, and never an unstable one
/// as stable. Sources: science.md section 4; Vanbiervliet et al. (2009).
StabiliseResult stabilise(const MatrixXd& w, MatrixXd b, const LoopParameters& loop,
                          const StabiliseOptions& options);

}  // namespace settle::models
