// The feedback weights of a rule: how they are made, and how they go on while the network learns.
#pragma once

#include <optional>

#include "learning/multiplications.hpp"
#include "learning/rule.hpp"

namespace settle::learning {

/// feedback = { init = … } (one for all layers, or a list of one each), and what becomes of it:
///
///     fixed            B_l stays as it was made
///     follow           B_l is made anew from the network's weights whenever they have moved
///     kolen_pollack    ΔB_l = ± η pre_l post_lᵀ − γ B_l, beside ΔW_l = η post_l pre_lᵀ − γ W_l
///
/// with the sign of the rule's own equation: plus where B_l stands for W_lᵀ (B_l − W_lᵀ decays as (1 − γ)^t),
/// minus where B_l stands for −W_lᵀ (dynamic inversion; B_l + W_lᵀ decays).
///
/// An initialisation that is a function of a projection is one of W_l unless it says `of`.
///
/// Source: Akrout et al., "Deep learning without weight transport", NeurIPS 2019 (Kolen–Pollack).
struct FeedbackSpec {
  std::vector<models::Init> init;
  std::string updates = "fixed";
  /// γ of kolen_pollack, per step; the network's own unless given, and only with that B comes to W.
  std::optional<double> decay;

  void fields(core::Fields& f);
  /// A copy whose initialisations know the loop (models::with_loop).
  FeedbackSpec with_loop(const models::LoopParameters& loop) const;
};

/// B_l, d_{l−1} × d_l, l = 2 … L; index l is the layer's.
template <class S>
class Feedback {
 public:
  /// @param sign  +1 where B_l stands for W_lᵀ, −1 where for −W_lᵀ
  /// @throws InputError  for initialisations that don't fit
  Feedback(const FeedbackSpec& spec, const Network<S>& network, const RuleContext& context,
           const models::Place& place, double sign);

  const std::vector<Matrix<S>>& all() const { return b_; }
  const Matrix<S>& b(Index l) const { return b_[static_cast<std::size_t>(l)]; }
  Matrix<S>& b(Index l) { return b_[static_cast<std::size_t>(l)]; }
  double sign() const { return sign_; }
  bool follows() const { return spec_.updates == "follow"; }

  /// Of learn(), for a batch of so many examples.
  double multiplications(const Network<S>& network, Index examples) const {
    return spec_.updates == "kolen_pollack" ? products(network, 2, examples) : 0;
  }

  /// After the network has moved by that credit at learning rate η.
  void learn(const Lesson<S>& lesson, const Credit<S>& credit, double rate);
  void state(StateVisitor& visitor);

 private:
  void make(Index l, const Network<S>& network);

  FeedbackSpec spec_;
  RuleContext context_;
  models::Place place_;
  double sign_;
  std::vector<Matrix<S>> b_;
};

/// One feedback matrix rows × cols made from the network's weights, as Feedback makes them: `stream` names it,
/// `of` are the layers whose W, or product of them in this order, an initialisation is a function of.
template <class S>
Matrix<S> make_feedback(const models::Init& init, Index rows, Index cols, const std::string& stream,
                        const std::vector<Index>& of, const Network<S>& network,
                        const RuleContext& context);

}  // namespace settle::learning
