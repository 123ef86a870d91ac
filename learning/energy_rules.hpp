// Rules whose circuit is the whole network, driven to another state of rest by what is wanted at its output.
#pragma once

#include "learning/rule.hpp"

namespace settle::learning {

/// dfc, equilibrium_propagation, predictive_coding, by circuits that the engine compiles and integrates
/// (models/deep_feedback_control.hpp, models/equilibrium_propagation.hpp, models/predictive_coding.hpp); a
/// batch's examples are the trials of one circuit. All start from the forward pass. The networks are float64
/// and without batch normalisation.
///
/// All take tolerance (‖T ẋ‖∞ over ‖x‖∞, default 1e-6, 1e-12 … .1), duration (time, 1000, > 0), unsettled
/// (skip | use: an example that is not at rest by then; it is counted in either case) and accuracy (dynamics |
/// rest: integrated, or the state of rest by Newton's method from the same start, whose stability is then not
/// looked at). The rest, with δ_L = −∂loss/∂a_L of the forward pass, a_L the output before its softmax or
/// logistic function:
///
/// **dfc**  ΔW_l = (φ(v_l) − φ(W_l r_{l−1} + b_l)) r_{l−1}ᵀ, r = φ(v) under control towards the target
/// a_L + λ δ_L. The controlled output is a_L itself, linear; a softmax is a part of the loss. For small λ
/// φ(v_l) − φ(…) → λ φ′(a_l) ⊙ Q_l (J Q + I/G)⁻¹ δ_L, J = ∂a_L/∂v, G = i/leak + p.
/// - leak α (1, .0015, >= 0), gains = { p = 1.5, i = 1 } (1, not both 0), tau τ_v (time, .2, > 0),
///   controller_tau τ_u (time, 1, > 0), target_step λ (1, .05, > 0)
/// - update: rest | continuous: the average of the update over the whole duration in place of that at rest, from
///   `samples` (20, 1 … 10 000) equal stretches of it by the trapezoidal rule
/// - feedback: Q_l of the hidden layers (one initialisation or L − 1; one that is a function of weights is of
///   W_L … W_{l+1} unless it says `of`; default transpose); Q_L = I
/// - feedback_updates: fixed | follow (made anew from the weights as they move) | learned: after every batch
///   ΔQ_l = η_Q (−⟨(Q_l u + ε_l) uᵀ⟩/σ² − γ Q_l), Q_L with them, in a phase in which noise ε moves all layers
///   of the circuit and u = a_L − v_L is sent nowhere; then Q → Jᵀ(J Jᵀ + γ I)⁻¹. noise = { std σ (1, .01, > 0),
///   interval (time, 4, > 0: between draws; u is read at its end), samples (10, 1 … 10 000: draws an example),
///   rate η_Q (1, .1, > 0), decay γ (1, .1, >= 0) }
///
/// **equilibrium_propagation**  ΔW_l = (c_l/β) [ρ(s_l) ρ(s_{l−1})ᵀ]^β_0, between the free state of rest and the
/// one nudged by β, which starts from it; with `symmetric` [·]^β_{−β}/2. c_l = γ^{l−L}. It is the gradient of
/// the cost of the free state, off by O(β), symmetric O(β²). The nudging cost is ½‖s_L − t‖² for a linear
/// output with squared error, the cross-entropy for a logistic one, else −δ_Lᵀ s_L with δ_L of the free
/// output, which has the same limit.
/// - beta β (1, .1, > 0), symmetric (false), tau (time, 1, > 0)
/// - energy: hopfield | rate, feedback_gain γ (1, 1, > 0; 1: tied weights): with the energy of rates and γ → 0
///   the free state is the forward pass and the update BP's, off by O(γ)
///
/// **predictive_coding**  ΔW_l = ε_l φ(v_{l−1})ᵀ/(λ κ), with the output held at a_L + λ δ_L: for a linear output
/// with squared error and λ = 1 the target. It is BP's update for the error that is left at the output, at a
/// state that is displaced by the order of λ δ_L: for small λ that error is (I + κ Σ_{l<L} J_l J_lᵀ)⁻¹ δ_L,
/// J_l = ∂a_L/∂a_l. As κ → 0 it is BP's update of δ_L, off by O(κ).
/// - target_step λ (1, 1, > 0), output_precision κ (1, 1, > 0), tau (time, 1, > 0)
///
/// Source: Meulemans et al., NeurIPS 2021; Scellier & Bengio 2017; Laborieux et al., "Scaling equilibrium
/// propagation to deep convnets by drastically reducing its gradient estimator bias", Front. Neurosci. 2021
/// (symmetric); Whittington & Bogacz 2017.
std::vector<core::Entry<RuleKind>> energy_rules();

}  // namespace settle::learning
