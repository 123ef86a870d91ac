// How a network moves by a batch's credit.
#pragma once

#include "learning/training.hpp"

namespace settle::learning {

/// ⟨A, B⟩ of two updates A = Σ_columns post preᵀ, and of Σ post where there are biases, through the matrices of
/// products of columns: without making the sums, but where columns cancel each other, as those of two phases do.
template <class S>
double update_product(const Matrix<S>& post_a, const Matrix<S>& pre_a, const Matrix<S>& post_b,
                      const Matrix<S>& pre_b, bool has_biases);

/// ‖Σ_columns post preᵀ‖_F
template <class S>
double update_norm(const Matrix<S>& post, const Matrix<S>& pre);

/// The step of LearningSpec, with whatever its optimiser remembers.
template <class S>
class Updater {
 public:
  Updater(const LearningSpec& spec, const Network<S>& network);

  /// What the sum over a batch's examples is multiplied by besides η: 1, or 1/B where its mean counts.
  double share(Index examples) const {
    return spec_.batch_update == "mean" ? 1 / static_cast<double>(examples) : 1;
  }
  /// Clips each column of δ_l, in place.
  void clip(Credit<S>& credit) const;
  /// η of all steps from now on; the specification's at first.
  void set_rate(double rate) { spec_.learning_rate = rate; }
  /// Moves the network: W_l and b_l, and what normalises layers, γ_l and β_l, without decay.
  void move(Network<S>& network, const Activity<S>& activity, const Credit<S>& credit);
  void state(StateVisitor& visitor);

 private:
  // Averages of a parameter's updates and of their squares, where the optimiser has them.
  template <class M>
  struct Moments {
    M mean, square;
  };
  template <class M>
  void step(M& parameter, const M& sum, Moments<M>& moments, double decay) const;
  template <class M>
  void remember(const M& parameter, std::vector<Moments<M>>& moments) const;

  LearningSpec spec_;
  std::int64_t steps_ = 0;                                    // Adam's
  std::vector<Moments<Matrix<S>>> weights_;                   // per layer
  std::vector<Moments<Vector<S>>> biases_, scales_, shifts_;  // likewise
};

}  // namespace settle::learning
