// Difference target propagation.
#include "learning/closed_form_rules.hpp"
#include "models/each.hpp"
#include "sim/core/random.hpp"

namespace settle::learning {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

struct TargetSpec {
  FeedbackSpec inverse{{models::initialisation("orthogonal")}, "fixed", {}};
  double step = 0.1;
  std::string first = "output";
  std::int64_t phases = 1, before = 0;
  double std = 0.1, rate = 0.01;
};

template <class S>
class TargetPropagation final : public Rule<S> {
 public:
  TargetPropagation(const TargetSpec& spec, const Network<S>& network, const RuleContext& context,
                    const models::Place& place)
      : spec_(spec), v_(spec.inverse, network, context, place, +1), c_(network.weights.size()) {
    noise_.reserve(network.weights.size());
    for (Index l = 0; l <= network.depth(); ++l) {
      noise_.emplace_back(context.seed, "target_propagation.noise_" + std::to_string(l));
      if (l >= 2 && network.has_biases()) c_[at(l)].setZero(network.size(l - 1), 1);
    }
  }

  void assign(const Lesson<S>& lesson, Credit<S>& credit) override {
    if (phases_ == 0 && spec_.before > 0) {
      listen(lesson, spec_.before);
      this->settling_.multiplications +=
          of_listening(lesson.network, spec_.before * lesson.error.cols());
    }
    const Network<S>& network = lesson.network;
    const Activity<S>& activity = lesson.activity;
    const Index depth = network.depth();
    const S step = static_cast<S>(spec_.step);
    credit.reset(at(depth) + 1);
    credit.post[at(depth)] = lesson.error;
    difference_ = step * lesson.error;  // t_l − h_l, from the top down
    for (Index l = depth; l >= 2; --l) {
      Matrix<S>& post = credit.post[at(l - 1)];
      if (l == depth && spec_.first == "penultimate") {
        post.noalias() = step * (network.w(l).transpose() * lesson.error);
      } else {
        const Matrix<S>& h = l == depth ? activity.a[at(l)] : activity.h[at(l)];
        invert(l, network, h + difference_, post);
        invert(l, network, h, rates_);
        post -= rates_;
      }
      difference_ = post;
      post /= step;
      network.pull_back(l - 1, activity, post);
    }
  }
  void learn(const Lesson<S>& lesson, const Credit<S>&, double) override {
    listen(lesson, spec_.phases);
  }
  // Two inversions a layer, but one product at a penultimate layer whose target is BP's.
  double multiplications(const Network<S>& network, Index examples) const override {
    double sum = 2 * products(network, 2, examples);
    if (spec_.first == "penultimate" && network.depth() > 1)
      sum -= products(network, network.depth(), examples);
    return sum + of_listening(network, spec_.phases * examples);
  }
  std::vector<Matrix<S>> feedback(const Network<S>&) const override { return v_.all(); }
  void state(StateVisitor& visitor) override {
    v_.state(visitor);
    for (std::size_t l = 2; l < c_.size(); ++l)
      if (c_[l].size() > 0) visitor.matrix("c_" + std::to_string(l), c_[l]);
    visitor.integer("noise_phases", phases_);
    visitor.integer("noise_heard", heard_);
  }

 private:
  // drive_ = V_l z + c_l, out = φ_{l−1}(drive_)
  void invert(Index l, const Network<S>& network, const Matrix<S>& z, Matrix<S>& out) {
    drive_.resize(network.size(l - 1), z.cols());
    drive_.noalias() = v_.b(l) * z;
    if (c_[at(l)].size() > 0) drive_.colwise() += c_[at(l)].col(0);
    transfer_value(*network.transfers[at(l - 1)], drive_, out);
  }

  // Up through W, down through V, and the step of V.
  static double of_listening(const Network<S>& network, std::int64_t examples) {
    return 3 * products(network, 2, examples);
  }

  // Noise phases of all inverses, on the activities of the lesson.
  void listen(const Lesson<S>& lesson, std::int64_t phases) {
    const Network<S>& network = lesson.network;
    const S rate = static_cast<S>(spec_.rate) / static_cast<S>(lesson.activity.count());
    for (std::int64_t phase = 0; phase < phases; ++phase) {
      for (Index l = network.depth(); l >= 2; --l) {
        Matrix<S>& x = residual_;
        x = lesson.activity.h[at(l - 1)];
        for (Index k = 0; k < x.cols(); ++k)
          for (Index i = 0; i < x.rows(); ++i)
            x(i, k) += static_cast<S>(spec_.std *
                                      noise_[at(l)].normal(static_cast<std::uint64_t>(i),
                                                           static_cast<std::uint64_t>(heard_ + k)));
        network.layer(l, x, a_, h_);
        const Matrix<S>& z = l == network.depth() ? a_ : h_;
        invert(l, network, z, rates_);
        residual_ -= rates_;
        transfer_slope(*network.transfers[at(l - 1)], drive_, rates_);
        residual_.array() *= rates_.array();
        v_.b(l).noalias() += rate * residual_ * z.transpose();
        if (c_[at(l)].size() > 0) c_[at(l)] += rate * residual_.rowwise().sum();
      }
      heard_ += lesson.activity.count();
      ++phases_;
    }
  }

  TargetSpec spec_;
  Feedback<S> v_;
  std::vector<Matrix<S>> c_;  // by layer, a column; empty without biases
  std::vector<core::RandomStream> noise_;
  std::int64_t phases_ = 0, heard_ = 0;
  Matrix<S> difference_, drive_, rates_, residual_, a_, h_;
};

/// Difference target propagation. Each layer from the second on has an inverse g_l(z) = φ_{l−1}(V_l z + c_l),
/// V_l d_{l−1} × d_l, c_l there where the network has biases; z is h_l, and of the last layer a_L. From
/// t_L = a_L + s δ_L
///
///     t_{l−1} = h_{l−1} + g_l(t_l) − g_l(z_l),   δ_{l−1} = φ′(a_{l−1}) ⊙ (t_{l−1} − h_{l−1})/s
///
/// the second being minus the gradient of the layer's own loss ½‖h − t‖² over s, so that lengths compare
/// with other rules'. In noise phases, after each step of the network, V_l and c_l descend by
///
///     ½ ‖g_l(f_l(h_{l−1} + ξ)) − (h_{l−1} + ξ)‖²,   ξ ~ N(0, σ²),
///
/// averaged over the lesson's examples, f_l being the layer itself (normalised by its running statistics).
///
/// Parameters: `target_step` s > 0 (default 0.1); `first_target`: "output", t_L as above, or "penultimate",
/// t_{L−1} = h_{L−1} + s W_Lᵀ δ_L as in the source; `feedback`, any initialisation of V_l (orthogonal);
/// `noise_phases` ≥ 0 after each step (1), `noise_before` ≥ 0 on the first lesson (0), `noise_std` σ ≥ 0 (0.1),
/// `noise_rate` ≥ 0 (0.01). Noise is drawn from "target_propagation.noise_l".
///
/// Source: Lee, Zhang, Fischer & Bengio, "Difference target propagation", ECML 2015.
struct TargetPropagationKind final : InBothPrecisions<TargetPropagationKind> {
  TargetSpec spec;

  void fields(core::Fields& f) override {
    constexpr std::int64_t most = 1'000'000'000;
    f.number({"target_step", "1", "s, how far the first target is along the error"}, spec.step,
             core::positive());
    f.choice({"first_target", "", "the output's, or by the gradient that of the layer below"},
             spec.first, {"output", "penultimate"});
    f.custom({"feedback", "1", "V of the inverse of each layer from the second on, at the start"},
             models::inits_form(spec.inverse.init));
    f.integer({"noise_phases", "1", "for the inverses, after every step"}, spec.phases, 0, most);
    f.integer({"noise_before", "1", "phases on the first lesson, before it is learned from"},
              spec.before, 0, most);
    f.number({"noise_std", "1", "σ of the noise"}, spec.std, core::non_negative());
    f.number({"noise_rate", "1", "by which the inverses learn"}, spec.rate, core::non_negative());
  }
  template <class S>
  std::unique_ptr<Rule<S>> rule(const Network<S>& network, const RuleContext& context) const {
    return std::make_unique<TargetPropagation<S>>(spec, network, context, place);
  }
};

}  // namespace

std::unique_ptr<RuleKind> make_target_propagation() {
  return std::make_unique<TargetPropagationKind>();
}

}  // namespace settle::learning
