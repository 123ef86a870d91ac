// Credit that goes down one layer at a time, in closed form: what the rules of that kind and the
// comparisons with them share.
#pragma once

#include "learning/rule.hpp"

namespace settle::learning {

/// δ_L is the lesson's error, d_L × B; for l = L … 2 carry(l, delta, below) puts δ_{l−1}, d_{l−1} × B, into
/// `below`.
template <class S, class Carry>
void carry_down(const Lesson<S>& lesson, Credit<S>& credit, const Carry& carry) {
  const auto depth = static_cast<std::size_t>(lesson.network.depth());
  credit.reset(depth + 1);
  credit.post[depth] = lesson.error;
  for (std::size_t l = depth; l >= 2; --l)
    carry(static_cast<Index>(l), credit.post[l], credit.post[l - 1]);
}

/// The same for rules in which
///
///     δ_{l−1} = (∂h_{l−1}/∂a_{l−1})ᵀ m,   m = carry(l, δ_l)
///
/// so that φ′ is applied once to each hidden layer, whatever the rule is.
///
/// @param carry  carry(l, delta, below) puts m, d_{l−1} × B, into `below`
/// Source: science.md section 7.
template <class S, class Carry>
void assign_layerwise(const Lesson<S>& lesson, Credit<S>& credit, const Carry& carry) {
  carry_down(lesson, credit, [&](Index l, const Matrix<S>& delta, Matrix<S>& below) {
    carry(l, delta, below);
    lesson.network.pull_back(l - 1, lesson.activity, below);
  });
}

/// Backpropagation: m = W_lᵀ δ_l.
template <class S>
void bp_credit(const Lesson<S>& lesson, Credit<S>& credit);

/// The pseudoinverse rule: m = W_l⁺ δ_l.
template <class S>
void pbp_credit(const Lesson<S>& lesson, Credit<S>& credit);

/// Dynamic inversion's rest without the dynamics (NDI), of linear loops:
///
///     m = B_l (W_l B_l − I/G)⁻¹ δ_l   (d_l ≤ d_{l−1}),   (B_l W_l − I/G)⁻¹ B_l δ_l   (d_l > d_{l−1})
///
/// which are the same matrix where both exist. Where what is inverted is singular to working precision, its
/// pseudoinverse stands for the inverse; with 1/G = ∞ m is 0. Of linearised loops: the rest of a loop that
/// sees W_l D, D = diag(φ′(a_{l−1})) of each example (Activity::slope), is δ_{l−1} itself, a displacement of
/// a_{l−1} (learning/linearised_rest.hpp).
///
/// @param b              B_l, d_{l−1} × d_l, by layer
/// @param inverse_gain   1/G: one number, or one for each example
/// @param is_linearised  of linearised loops
/// Source: science.md sections 4 and 7.
template <class S>
void ndi_credit(const Lesson<S>& lesson, const std::vector<Matrix<S>>& b,
                const VectorXd& inverse_gain, Credit<S>& credit, bool is_linearised = false);

/// m of the loop about layer l alone, of any δ (d_l × B); the rest state itself where it is linearised.
template <class S>
void ndi_rest(const Lesson<S>& lesson, Index l, const Matrix<S>& b, const VectorXd& inverse_gain,
              const Matrix<S>& delta, Matrix<S>& below, bool is_linearised = false);

/// Minus the control of the last loop at rest, −u = (I/G − W B)⁻¹ δ (d_L × B), W B being W D B where it is
/// linearised: its rest state is B u, and as an update of the output −u makes the step Gauss–Newton's.
/// Singular and infinite cases as above.
template <class S>
void ndi_control(const Lesson<S>& lesson, const Matrix<S>& b, const VectorXd& inverse_gain,
                 Matrix<S>& control, bool is_linearised = false);

/// 1/G of each example with which NDI makes of a linear network with one hidden layer and B = −Wᵀ a
/// Gauss–Newton step of damping λ:
///
///     1/G = (‖h_1‖² + β + λ)/(‖h_0‖² + β),   β = 1 with biases, else 0
///
/// (∞ where the denominator is 0). In a deeper network h_{L−1} and h_{L−2} are taken: it is then an analogy.
/// Source: science.md section 7, Gauss–Newton identity.
template <class S>
VectorXd gauss_newton_inverse_gain(const Lesson<S>& lesson, double damping);

}  // namespace settle::learning
