// Equilibrium propagation: a layered net with tied weights that falls to rest in an energy, free or nudged.
#pragma once

#include "models/layered_net.hpp"

namespace settle::models {

/// The cost C by which equilibrium_propagation() is nudged, a function of the output's state s_L.
enum class NudgingCost {
  squared_error,           ///< ½ ‖s_L − t‖²
  logistic_cross_entropy,  ///< of the logistic function of s_L with t
  linear,                  ///< −tᵀ s_L: a constant force t
};

struct EquilibriumPropagation {
  double beta = 0;           ///< β; 0 is the free phase
  double feedback_gain = 1;  ///< γ > 0
  bool rate_energy = false;  ///< whether E is the energy of rates (below)
  double tau = 1;            ///< τ
  NudgingCost cost = NudgingCost::squared_error;
  const Eigen::MatrixXd& target;  ///< t, d_L × trials; not looked at where β = 0
};

/// The flow τ ṡ_l = −(1/c_l) ∂E/∂s_l − β ∂C/∂s_l, c_l = γ^{l−L}, of the Hopfield energy
///
///     E = Σ_l c_l [½ ‖s_l‖² − ρ(s_l)ᵀ(W_l ρ(s_{l−1}) + b_l)],   ρ = φ_l, the identity at the output,
///
/// with ρ(s_0) the input:
///
///     τ ṡ_l = −s_l + ρ′(s_l) ⊙ (W_l ρ(s_{l−1}) + b_l + γ W_{l+1}ᵀ ρ(s_{l+1})),   l < L
///     τ ṡ_L = −s_L + W_L ρ(s_{L−1}) + b_L − β ∂C/∂s_L
///
/// or, with `rate_energy`, that of the energy of the rates r = ρ(s), in which Σ_i ∫ρ⁻¹(r)dr stands for ½ ‖s‖²,
/// by the rates:
///
///     τ ṡ_l = −s_l + W_l ρ(s_{l−1}) + b_l + γ W_{l+1}ᵀ ρ(s_{l+1})
///
/// (increasing ρ), whose free state of rest tends to the forward pass as γ → 0. For γ = 1 the weights are tied.
/// In both ∂E/∂W_l = −c_l ρ(s_l) ρ(s_{l−1})ᵀ, so that ΔW_l = (c_l/β) [ρ(s_l) ρ(s_{l−1})ᵀ]^β_0.
///
/// Nodes: hidden_1 … hidden_{L−1} and output for s, input_1 … input_L for what they hear (instantaneous).
///
/// Source: B. Scellier and Y. Bengio, "Equilibrium propagation", Front. Comput. Neurosci. 2017, equations 1–6;
/// the energy of rates: J. J. Hopfield, PNAS 1984; γ: X. Xie and H. S. Seung, "Equivalence of
/// backpropagation and contrastive Hebbian learning in a layered network", Neural Comput. 2003.
system::Circuit equilibrium_propagation(const LayeredNet& net, const EquilibriumPropagation& spec);

}  // namespace settle::models
