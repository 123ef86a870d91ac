// Feedback kept such that loops are stable while a network learns: the keys that say which loops, whether they
// are stable, and what is done about it.
#pragma once

#include "learning/feedback.hpp"
#include "learning/inversion_circuit.hpp"

namespace settle::learning {

/// `leak`, `gains` = { p, i, d }, `tau`, `controller_tau`, `derivative_tau` of a loop.
void loop_fields(core::Fields& f, models::LoopParameters& loop);
/// @throws InputError  for a loop whose controller has nothing at rest: k_i = k_p = 0
void check_gains(const models::LoopParameters& loop, const models::Place& place);

/// 1/G, G = k_i/α + k_p: 0 for an integral gain without leak.
double inverse_gain(const models::LoopParameters& loop);

/// W of the loop of layer l = 2 … L (d_l × d_{l−1}) as a linear loop that stands for it sees it. `loop` says
/// what the loop sees of r: linear, W r; linearised and operating_point, W diag(φ′) r with the slope of the batch's
/// first example; transfer, W φ(r) (of a folded normalisation W φ(g ⊙ r)) with φ at its steepest.
template <class S>
MatrixXd seen_weights(const std::string& loop, const Lesson<S>& lesson, Index l);

/// stability = off | monitor | correct, in batches that hold every `every`-th example: monitor counts loops
/// that are unstable by the exact condition and by the paper's; correct moves the B of an unstable loop by SSA
/// (models::stabilise), and counts that.
///
/// Parameters: `stability` = off, `stabilise` = { every = 1 [≥ 1], margin = 0 [≥ 0, 1/time],
/// step = 0.5 [> 0], iterations = 2000 [≥ 1] }.
struct StabilitySpec {
  std::string policy = "off";
  models::StabiliseOptions options;
  std::int64_t every = 1;

  void fields(core::Fields& f);
  bool is_on() const { return policy != "off"; }
  bool corrects() const { return policy == "correct"; }
};

/// The loop that a rule without dynamics stands for, and what is done about its stability.
struct MeantLoop {
  std::string sees = "linear";  ///< key `loop`
  models::LoopParameters parameters{.leak = 0.01};
  StabilitySpec stability;
};

/// The policy at work on loops of one layer each, l = 2 … L, about W_l as they see it and B_l, of which a
/// feedback that stands for W_lᵀ is minus. Loops are judged, and B moved, in float64; in a float32 network
/// the B found is rounded to it, and so less than about 1e-7 of ‖W B‖ inside a margin of 0 may be found
/// unstable, and moved, again. Nothing in it changes.
class LoopStabilityPolicy {
 public:
  LoopStabilityPolicy(const StabilitySpec& spec, const models::LoopParameters& loop,
                      std::string sees)
      : spec_(spec), loop_(loop), sees_(std::move(sees)) {}

  bool is_on() const { return spec_.is_on(); }
  /// Whether the loops of this lesson are to be looked at.
  template <class S>
  bool is_due(const Lesson<S>& lesson) const;
  /// Of every layer, l = 2 first.
  template <class S>
  std::vector<LoopStability> stabilities(const Lesson<S>& lesson,
                                         const Feedback<S>& feedback) const;
  /// Counts those that are unstable. Whether any is, and is to be corrected.
  bool tally(const std::vector<LoopStability>& found, Settling& settling) const;
  /// Moves the B of layers found unstable (stabilities()), and counts that.
  template <class S>
  void correct(const Lesson<S>& lesson, const std::vector<LoopStability>& found,
               Feedback<S>& feedback, Settling& settling) const;

  /// All of that, before a lesson is judged. True where the feedback may have been corrected.
  template <class S>
  bool check(const Lesson<S>& lesson, Feedback<S>& feedback, Settling& settling) const;

 private:
  template <class S>
  static MatrixXd loop_feedback(const Feedback<S>& feedback, Index l);

  StabilitySpec spec_;
  models::LoopParameters loop_;
  std::string sees_;
};

/// The poles and the paper's criterion of loops, as a rule reports them.
template <class S>
typename Rule<S>::Abscissas abscissas_of(const std::vector<LoopStability>& found) {
  typename Rule<S>::Abscissas out;
  for (const LoopStability& loop : found) {
    out.exact.push_back(loop.pole);
    out.paper.push_back(loop.paper);
  }
  return out;
}

}  // namespace settle::learning
