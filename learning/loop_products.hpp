// W B of loops, kept beside W and B while W moves.
#pragma once

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
class LoopProducts {
 public:
  LoopProducts(const RuleContext& context, std::size_t layers) : context_(context), kept_(layers) {}

  /// Of layer l, once a lesson.
  const MatrixXd& of(Index l, const Lesson<double>& lesson, const MatrixXd& b);
  /// Of all layers. @param b  by layer
  const std::vector<MatrixXd>& all(const Lesson<double>& lesson, const std::vector<MatrixXd>& b);
  /// After the network has moved by that credit at learning rate η, with B where it was. @param b  by layer
  void learn(const Lesson<double>& lesson, const Credit<double>& credit, double rate,
             const std::vector<MatrixXd>& b);
  /// After B has moved.
  void forget();
  void state(StateVisitor& visitor);
  /// Takes the number of multiplications since the last call.
  double take_work() { return std::exchange(work_, 0); }

 private:
  RuleContext context_;
  std::vector<MatrixXd> kept_;  // by layer; empty: not known
  double work_ = 0;
};

}  // namespace settle::learning
