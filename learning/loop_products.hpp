// W B of loops, and the inverse that is their rest, kept beside W and B while W moves.
#pragma once

#include <optional>

#include "learning/rule.hpp"

namespace settle::learning {

/// The narrower of a loop's two products, W_l B_l (d_l × d_l, where d_l ≤ d_{l−1}) or B_l W_l (d_{l−1} × d_{l−1},
/// else), l = 2 … L. It is not multiplied anew for every batch but goes with W_l, as plain gradient descent
/// moves it:
///
///     W B ← (1 − decay) W B + η post (Bᵀ pre)ᵀ        B W ← (1 − decay) B W + η (B post) preᵀ
///
/// with k columns in k d_l d_{l−1} multiplications in place of min(d_l, d_{l−1}) d_l d_{l−1}. It is multiplied
/// anew where it was forgotten, where a step has more than a quarter of the narrower layer's columns, after
/// every step of which it is not known what it does (RuleContext::is_plain), and in batches that hold every
/// 1000th example, so that rounding does not add up: it is some 1000 roundings off at most.
///
/// Likewise (P_l − I/G)⁻¹ of such a product P_l, by which a linear loop comes to rest. Where P_l goes by U Vᵀ of
/// k columns, the inverse M goes by
///
///     M ← M − M U (I + Vᵀ M U)⁻¹ Vᵀ M
///
/// in 3 k n² multiplications (n the narrower layer) in place of the n³/3 of an elimination, as long as 12 k ≤ n;
/// in smaller loops elimination costs no more. What it gives is refined against P_l itself, whose shift decay
/// doesn't take along, until it solves the equation to ten roundings; where three rounds don't do, M is made anew.
/// Source: Hager, "Updating the inverse of a matrix", SIAM Review 31, 1989 (Sherman, Morrison and Woodbury).
class LoopProducts {
 public:
  LoopProducts(const RuleContext& context, std::size_t layers)
      : context_(context), products_(layers), inverses_(layers) {}

  /// Of layer l, once a lesson.
  const MatrixXd& of(Index l, const Lesson<double>& lesson, const MatrixXd& b);
  /// Of all layers. @param b  by layer
  const std::vector<MatrixXd>& all(const Lesson<double>& lesson, const std::vector<MatrixXd>& b);
  /// The rates at which the linear loop of layer l comes to rest, B (W B − I/G)⁻¹ δ or (B W − I/G)⁻¹ B δ
  /// (ndi_credit), δ having a column for each example; nothing where that is singular to working precision.
  /// @param inverse_gain  1/G, the same in all calls
  std::optional<MatrixXd> rest(Index l, const Lesson<double>& lesson, const MatrixXd& b,
                               double inverse_gain, const MatrixXd& delta);
  /// After the network has moved by that credit at learning rate η, with B where it was. @param b  by layer
  void learn(const Lesson<double>& lesson, const Credit<double>& credit, double rate,
             const std::vector<MatrixXd>& b);
  /// After B has moved.
  void forget();
  void state(StateVisitor& visitor);
  /// Takes the number of multiplications since the last call.
  double take_work() { return std::exchange(work_, 0); }

 private:
  // (P_l − I/G)⁻¹ y
  std::optional<MatrixXd> solve(const MatrixXd& product, MatrixXd& inverse, double inverse_gain,
                                const MatrixXd& y) const;

  RuleContext context_;
  std::vector<MatrixXd> products_, inverses_;  // by layer; empty: not known
  double work_ = 0;
};

}  // namespace settle::learning
