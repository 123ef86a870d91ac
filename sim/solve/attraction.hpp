// Whether a circuit ends in one state of rest, wherever it starts.
#pragma once

#include <string>

#include "sim/solve/equilibrium.hpp"

namespace settle::solve {

/// What is shown of where a circuit ends while its sources stay as they are.
struct Attraction {
  std::string proof;    ///< by what every start is shown to end in the one state of rest; or ""
  std::string why_not;  ///< what no proof was found for; "" with a proof
  bool is_shown() const { return !proof.empty(); }
};

/// Looks for a proof that, if the circuit has a state of rest x*, every start ends in it.
///
/// With the instantaneous nodes eliminated the circuit is T ẋ = −Λ x + M φ(x) + s, with blocks M_ij from
/// node j to node i. Its nodes fall into parts that are loops among themselves (the strongly connected
/// ones); those hear each other in one direction only. If every part, alone and with what it hears at
/// rest, ends in one state and stays bounded while what it hears comes to rest, then so does the whole,
/// part by part (the limits of an asymptotically autonomous system: Markus 1956, Thieme 1992). A part
/// is shown to do so
///
/// - by a Lyapunov function, if every φ_i has slopes in [0, L_i], Λ > 0, and with some weights c_i > 0 and
///   q_i² = min c_i λ_i/L_i the matrix
///
///       N_ij = ‖c_i M_ij + c_j M_jiᵀ‖_F / (2 q_i q_j),   N_ii = c_i λ_max((M_ii + M_iiᵀ)/2)⁺ / q_i²
///
///   has λ_max(N) ≤ 0.9. With Δ for the difference to x*, and V = Σ c_i ∫ τ_i Δφ_i dx_i ≥ 0,
///
///       V̇ = −Σ c_i λ_i Δφ_i·Δx_i + ½ Σ Δφ_iᵀ (c_i M_ij + c_j M_jiᵀ) Δφ_j ≤ −0.1 Σ c_i λ_i Δφ_i·Δx_i,
///
///   since Δφ·Δx ≥ Δφ²/L. So φ comes to φ*, and x, a filter of it, to x*. Drives that are still off by
///   δ → 0 add at most Σ c_i |Δφ_i| |δ_i| where |Δx_i| ≤ 10 |δ_i|/λ_i, which is bounded, while
///   Σ c_i λ_i Δφ_i·Δx_i ≥ min(λ/τ) V. For B = −κ Wᵀ, κ > 0, a loop of a population and a leaky integral
///   controller has N = 0: M_ri = k B and M_ir = W cancel (science.md section 4). Proportional control
///   adds M_rr = k_p B W ⪯ 0.
/// - by contraction, if Λ > 0 and the matrix ‖M_ij‖∞ L_j / min λ_i has a spectral radius below 1, with L_j
///   the steepest slope of φ_j in size: with the weights v of its Perron vector, max_i ‖Δx_i‖∞/v_i decays.
/// - by its poles, if it is linear and they are all stable.
///
/// `problem.system` may have nodes that a phase holds or edges that it switches off: they don't count.
Attraction find_attraction(const RestProblem& problem);

}  // namespace settle::solve
