// Dynamic inversion as a rule: errors travel backwards because loops settle.
#pragma once

#include "learning/feedback.hpp"

namespace settle::learning {

/// The rules whose hidden errors are the settled states of feedback loops (learning/inversion_circuit.hpp).
///
/// `di`, dynamic inversion: one loop a layer, l = L … 2, with setpoint δ_l, whose r settles to δ_{l−1}
///
///     τ ṙ_l = −r_l + B_l u_l        τ_u ξ̇_l = −α ξ_l + W_l r_l − δ_l        u_l = k_i ξ_l + k_p e_l + …
///
/// - scheme sequential: one circuit a loop, the top first, each until it has settled; simultaneous: one
///   circuit of all loops, each lower one hearing the upper r(t), times φ′(a_{l−1}) where the loop is
///   linear.
///
/// `sdi`, single-loop dynamic inversion: one controller, and the forward path carries the inversion up
///
///     τ ẋ_1 = −x_1 + B u      τ ẋ_l = −x_l + W_l φ(x_{l−1})      τ_u ξ̇ = −α ξ + W_L φ(x_{L−1}) − δ_L
///
///   with one B (d_1 × d_L) where the list of feedbacks is one, else the product B_2 … B_L of one a layer
///   with one minus remaining; δ_l = x_l(∞).
///
/// Errors go through the loops as β δ, and what settles is divided by β: δ_{l−1} = r(β δ_l)/β; with error_sign =
/// both each example is two trials of the same circuit, and δ_{l−1} = [r(β δ_l) − r(−β δ_l)]/(2β). In linear and
/// linearised loops β changes nothing. As β → 0, r/β comes to what the loop's own linearisation makes of δ, at
/// a relative distance of order β² from rest where φ is odd, of order β about an operating point, and of
/// order β² with both signs.
///
/// What a loop sees of r:
/// - linear: W r. φ′(a_{l−1}) is applied once to the settled r (Network::pull_back; in the simultaneous
///   scheme lower loops hear r times the slope at fixed statistics);
/// - linearised: W (φ′(a) ⊙ r), transfer: W φ(r), and operating_point: W (φ(a + r) − φ(a)), a = a_{l−1} of the
///   forward pass. There r is a displacement of a_{l−1} already and φ′ is not applied again. Where layers are
///   normalised, the gain γ/√(v + ε) is part of φ′ (of the running statistics in transfer loops, else of those
///   of the forward pass, which r does not move).
///
/// All examples of a batch are trials of one circuit.
///
/// Parameters (bounds in brackets; times in the circuit's unit):
/// - scheme (di) = sequential | simultaneous; loop = linear | transfer | linearised |
///   operating_point; error_scale β = 1 [> 0]; error_sign = plus | both;
/// - leak α = 0.01 [≥ 0]; gains {p = 0, i = 1, d = 0}, i or p not zero; tau = 1, controller_tau = 1,
///   derivative_tau = 0.1 [> 0]; feedback = negative_transpose, feedback_updates, feedback_decay
///   (FeedbackSpec, with DI's sign);
/// - accuracy = dynamics: integrated ("auto": the exact solution where the loop is linear) until the residual
///   is below tolerance = 1e-6 of the state [1e-12, 0.1], at most for duration (2000, or 20 τ_u/α where that
///   is longer, unless given [> 0]; the exact solution is taken at its end, where it has settled before); rest:
///   put into the state of rest where that is shown to be reached (SolverOptions::shortcut), else the same;
///   paper: its semi-implicit Euler scheme, dt = 0.5, for 500 time units, whose end counts however far from
///   rest it is;
/// - unsettled = skip | use: an example of which a circuit did not settle has no credit, or the one at the end
///   of its time (none where that is not finite). It is counted either way;
/// - warm_start = false: a batch starts from the last one's end, where both have the same size;
/// - stability = off | monitor | correct, stabilise (learning/loop_stability.hpp);
/// - forward_feedback (di): as in ForwardFeedbackSpec, through the rule's own loops; unsettled = skip leaves an
///   example out there as well.
///
/// The products W B of linear loops and B W of expanding layers go with W where B is fixed (`di`; LoopProducts).
///
/// Settling::multiplications is estimated: evaluations times the weights, the products, and for a loop of
/// n units in closed form 10 n³. What Newton's steps to a state of rest take is not in it.
///
/// Errors: InputError for gains without i and p, for lists of feedbacks of another length, and for what a lone
/// B of sdi through several layers does not have (kolen_pollack, correct).
///
/// Source: W. F. Podlaski and C. K. Machens, NeurIPS 2020; science.md sections 4, 5 and 7.
std::vector<core::Entry<RuleKind>> inversion_rules();

}  // namespace settle::learning
