// What one rule would do beside another: update directions, angles between them, Gauss–Newton steps.
#pragma once

#include "learning/layerwise.hpp"

namespace settle::learning {

/// The direction in which a credit moves the network, before any learning rate: ΔW_l = post_l pre_lᵀ,
/// Δb_l = post_l 1; by layer, biases empty without.
template <class S>
struct Direction {
  std::vector<Matrix<S>> weights;
  std::vector<Vector<S>> biases;
};
template <class S>
Direction<S> update_direction(const Lesson<S>& lesson, const Credit<S>& credit);

/// The angle in degrees between two matrices of one shape, taken as vectors,
/// 2 atan2(‖â − b̂‖, ‖â + b̂‖), which is accurate near 0 and 180 too; NaN where one is 0 or not finite.
double angle(const Eigen::Ref<const MatrixXd>& a, const Eigen::Ref<const MatrixXd>& b);

/// The angle in degrees between B (n × m) and sign · Wᵀ: sign −1 for dynamic inversion.
template <class S>
double feedback_angle(const Matrix<S>& b, const Matrix<S>& w, double sign);

/// Angles in degrees between the update directions of two credits, weights and biases of a layer together.
struct Angles {
  std::vector<double> layers;  ///< l = 1 … L; entry 0 is NaN
  double all = 0;              ///< of the whole update
};
/// Without forming the updates: ⟨post preᵀ, post' pre'ᵀ⟩ is the sum of postᵀ post' ⊙ preᵀ pre'. By
/// cosines, so that an angle below 1e-5 degrees is rounding; NaN where an update is 0 or not finite.
template <class S>
Angles angles(const Lesson<S>& lesson, const Credit<S>& a, const Credit<S>& b);

/// ‖a − b‖/‖b‖ (Frobenius) of credits of a layer, d_l × B each, one column an example; NaN where b is 0, where one
/// is not finite, and where they have different shapes.
template <class S>
double departure(const Matrix<S>& a, const Matrix<S>& b);

/// Frobenius norms of the update of each layer, weights and biases together; l = 1 … L, entry 0 is 0.
template <class S>
std::vector<double> update_norms(const Lesson<S>& lesson, const Credit<S>& credit);

/// (∂a_L/∂a_l)ᵀ of every example, side by side: d_l × d_L·B at index l = 1 … L, example by example. In double,
/// through φ and the running statistics of normalised layers.
///
/// @throws std::invalid_argument  for an activity normalised by its own batch, whose examples depend on
///                                each other: give it one of the running statistics
template <class S>
std::vector<MatrixXd> output_jacobians(const Lesson<S>& lesson);

/// The damped Gauss–Newton step of all weights and biases, as a credit:
///
///     Δθ = Jᵀ (J Jᵀ + λ I)⁻¹ e,   λ = 0: J⁺ e, of least norm
///
/// J = ∂a_L/∂θ for the whole batch, d_L·B rows, and e is the lesson's error: the step that would move a_L
/// by e. With P_l = (∂a_L/∂a_l)ᵀ of each example (output_jacobians), J Jᵀ = Σ_l (P_lᵀ P_l) ⊙ (h_{l−1}ᵀ h_{l−1} + 1), the last
/// factor blockwise, and + 1 with biases; post_l = P_l v, v = (J Jᵀ + λ I)⁻¹ e. In double.
/// Needs (d_L·B)² numbers, and as many operations times all d_l: it is meant for small outputs.
///
/// @param damping  λ ≥ 0
/// @throws std::invalid_argument  as output_jacobians()
/// Source: science.md section 7.
template <class S>
void gauss_newton_credit(const Lesson<S>& lesson, double damping, Credit<S>& credit);

/// The minimum-norm update: for each example by itself the least displacement of all layers' a_l that moves
/// a_L by the error, as a credit:
///
///     [post_1; …; post_L] = Jᵀ (J Jᵀ)⁻¹ δ_L,   J = [∂a_L/∂a_1 … ∂a_L/∂a_L],   pre_l = h_{l−1}
///
/// J Jᵀ has no eigenvalue below 1, since ∂a_L/∂a_L = I. Of one example it is the Gauss–Newton step where all
/// layers hear equally much (norm_spread() = 0; with biases, of h_{l−1} and 1), and else weighs a layer's ΔW
/// by ‖h_{l−1}‖².
///
/// @throws std::invalid_argument  as output_jacobians()
/// Source: Meulemans et al., NeurIPS 2021, theorem 3.
template <class S>
void minimum_norm_credit(const Lesson<S>& lesson, Credit<S>& credit);

/// ‖P Q‖_F / ‖Q‖_F, mean over the batch, P = Jᵀ(J Jᵀ)⁻¹J of each example with J as above: how much of a
/// feedback from the outputs to all layers is in the row space of J, 1 where DFC at rest makes the
/// minimum-norm update. Of a random Q it is about √(d_L/Σ d_l). NaN where Q is 0 or not finite.
///
/// @param q  Q_l, d_l × d_L, at index l = 1 … L
/// @throws std::invalid_argument  as output_jacobians()
/// Source: Meulemans et al., NeurIPS 2021, condition 2; its public code takes the batch's mean likewise.
template <class S>
double feedback_in_row_space(const Lesson<S>& lesson, const std::vector<Matrix<S>>& q);

/// The spread of what layers hear: the standard deviation of ‖h_l‖, l = 0 … L − 1, over their mean, mean over
/// the batch. 0 where all have one norm, as the minimum-norm update needs to be Gauss–Newton's.
/// Source: Meulemans et al., NeurIPS 2021, condition 1.
template <class S>
double norm_spread(const Activity<S>& activity);

}  // namespace settle::learning
