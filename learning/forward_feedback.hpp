// Feedback that is left on while a network goes forward: what wrong setpoints make of its rates and answers.
#pragma once

#include "learning/rule.hpp"

namespace settle::learning {

/// forward_feedback = { gate = g, setpoint_error = ε }: at every evaluation the held-out examples go up the
/// network a second time, layer by layer, with the rule's feedback loops left on. A loop's setpoint in the
/// forward pass would be none; it is wrong by ε_l, and the loop of layer l = 2 … L moves the rate below it by its
/// settled state with feedback g B_l,
///
///     h_{l−1} ← h_{l−1} + r,   r = B_l (W_l B_l − (α/g) I)⁻¹ ε_l   (a loop that sees W r, k_i = 1, k_p = 0)
///
/// before the pass goes on with it. For other loops r is what the loop hears: φ′(a) ⊙ r, φ(r) or
/// φ(a + r) − φ(a). In general 1/(gG) stands for α/g, G = k_i/α + k_p.
///
/// ε_l has a random direction, of the stream "setpoint_error_l" by seed and held-out example alone, so that all
/// rules, gates and evaluations have the same; its length is relative,
///
///     |ε_l| = setpoint_error · ‖W_l h_{l−1}‖
///
/// of the example itself, h_{l−1} as it comes up: 0.1 is a setpoint that is a tenth of the layer's own drive
/// away from what it should be, whatever the size of a network's weights and rates.
///
/// For B_l = −W_lᵀ, and any φ with 0 ≤ φ′ ≤ 1 (and φ(0) = 0 where a loop hears φ(r)),
///
///     ‖r‖ ≤ ½ √(g G) |ε_l|
///
/// with equality along a singular direction of W_l with σ² = 1/(gG); for other B there is no such bound.
///
/// Parameters: gate g in [0, 1] (default 0: nothing is displaced), setpoint_error ≥ 0 (0: likewise). Without the
/// table there is no second pass. What is learnt does not change: training goes forward without feedback.
/// A loop that does not settle is counted; an example of which nothing can be used (a diverged loop, or
/// unsettled = "skip") is not judged.
///
/// Source: science.md section 9, question 8.
struct ForwardFeedbackSpec {
  bool is_given = false;
  double gate = 0;            ///< g
  double setpoint_error = 0;  ///< |ε_l|/‖W_l h_{l−1}‖

  void fields(core::Fields& f);
  bool displaces() const { return gate > 0 && setpoint_error > 0; }
  /// For Rule::forward_feedback(): null where it is not given.
  const ForwardFeedbackSpec* pointer() const { return is_given ? this : nullptr; }
};

/// One such pass through all held-out examples, in pieces.
template <class S>
class ForwardWithFeedback {
 public:
  /// @param rule  with a forward_feedback(); its tally is added to
  ForwardWithFeedback(const Network<S>& network, Rule<S>& rule, std::uint64_t seed);

  /// The outputs of examples first, first + 1, …; columns of NaN for those that cannot be judged.
  Matrix<S> outputs(const Matrix<S>& inputs, Index first);

  /// Means over the examples so far that could be judged, by layer 1 … L: ‖r‖, and ‖r‖/(½ √(gG) |ε|). NaN for
  /// the last, which has no loop above, and the latter where nothing is displaced.
  std::vector<double> displacement() const { return means(displacement_); }
  std::vector<double> share_of_bound() const { return means(share_); }

 private:
  struct Mean {
    double sum = 0;
    Index count = 0;
  };
  static std::vector<double> means(const std::vector<Mean>& sums);
  // ε of layer l, |ε| relative to the drive W h.
  Matrix<S> setpoints(Index l, const Matrix<S>& drive, Index first) const;

  const Network<S>& network_;
  Rule<S>& rule_;
  const ForwardFeedbackSpec spec_;
  std::uint64_t seed_;
  std::vector<Mean> displacement_, share_;
  Activity<S> activity_;
};

}  // namespace settle::learning
