#include "learning/closed_form_rules.hpp"

#include <algorithm>
#include <cmath>

#include "learning/forward_feedback.hpp"
#include "learning/layerwise.hpp"
#include "learning/loop_products.hpp"
#include "learning/loop_stability.hpp"
#include "models/each.hpp"
#include "sim/core/random.hpp"

namespace settle::learning {

using core::Fields;

models::Init init_with(const std::string& name,
                       const std::vector<std::pair<std::string, double>>& parameters) {
  core::Value table;
  table.set("init", name);
  for (const auto& [key, value] : parameters) table.set(key, value);
  return models::read_init(table, "");
}

namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// As in the paper's feedback alignment.
models::Init random_feedback() { return init_with("uniform", {{"low", -0.5}, {"high", 0.5}}); }

// A product with one matrix for each layer from the second on.
template <class S>
double carried(const Network<S>& network, Index examples) {
  return products(network, 2, examples);
}

// A rule without anything of its own that changes.
template <class S>
class Formula final : public Rule<S> {
 public:
  using Assign = void (*)(const Lesson<S>&, Credit<S>&);
  using Count = double (*)(const Network<S>&, Index);
  Formula(Assign formula, Count count) : formula_(formula), count_(count) {}
  void assign(const Lesson<S>& lesson, Credit<S>& credit) override { formula_(lesson, credit); }
  double multiplications(const Network<S>& network, Index examples) const override {
    return count_(network, examples);
  }

 private:
  Assign formula_;
  Count count_;
};

/// Backpropagation: δ_{l−1} = φ′(a_{l−1}) ⊙ W_lᵀ δ_l. No parameters.
struct BpKind final : InBothPrecisions<BpKind> {
  template <class S>
  std::unique_ptr<Rule<S>> rule(const Network<S>&, const RuleContext&) const {
    return std::make_unique<Formula<S>>(bp_credit<S>, carried<S>);
  }
};

/// Pseudobackpropagation: δ_{l−1} = φ′(a_{l−1}) ⊙ W_l⁺ δ_l. No parameters.
struct PbpKind final : InBothPrecisions<PbpKind> {
  template <class S>
  std::unique_ptr<Rule<S>> rule(const Network<S>&, const RuleContext&) const {
    return std::make_unique<Formula<S>>(
        pbp_credit<S>, [](const Network<S>& network, Index examples) {
          double sum = carried(network, examples);
          for (Index l = 2; l <= network.depth(); ++l)
            sum += pseudoinversion(network.size(l), network.size(l - 1));
          return sum;
        });
  }
};

// m = B_l δ_l; B goes on as its specification says.
template <class S>
class FeedbackAlignment : public Rule<S> {
 public:
  FeedbackAlignment(const FeedbackSpec& spec, const Network<S>& network, const RuleContext& context,
                    const models::Place& place, const MeantLoop& loop = {})
      : feedback_(spec, network, context, place, +1),
        loop_(loop),
        stability_(loop.stability, loop.parameters, loop.sees) {}

  void assign(const Lesson<S>& lesson, Credit<S>& credit) override {
    stability_.check(lesson, feedback_, this->settling_);
    assign_layerwise(lesson, credit, [&](Index l, const Matrix<S>& delta, Matrix<S>& below) {
      below.noalias() = feedback_.b(l) * delta;
    });
  }
  void learn(const Lesson<S>& lesson, const Credit<S>& credit, double rate) override {
    feedback_.learn(lesson, credit, rate);
  }
  double multiplications(const Network<S>& network, Index examples) const override {
    return carried(network, examples) + feedback_.multiplications(network, examples);
  }
  std::vector<Matrix<S>> feedback(const Network<S>&) const override { return feedback_.all(); }
  // Of the loop that is meant, where there is one.
  double inverse_gain() const override {
    return stability_.is_on() ? learning::inverse_gain(loop_.parameters) : 0;
  }
  bool is_linearised() const override { return stability_.is_on() && loop_.sees != "linear"; }
  bool is_about_rest() const override { return stability_.is_on() && loop_.sees == "transfer"; }
  typename Rule<S>::Abscissas abscissas(const Lesson<S>& lesson) const override {
    if (!stability_.is_on()) return {};
    return abscissas_of<S>(stability_.stabilities(lesson, feedback_));
  }
  void state(StateVisitor& visitor) override { feedback_.state(visitor); }

 protected:
  Feedback<S> feedback_;

 private:
  MeantLoop loop_;
  LoopStabilityPolicy stability_;
};

/// Feedback alignment: δ_{l−1} = φ′(a_{l−1}) ⊙ B_l δ_l, B_l d_{l−1} × d_l.
///
/// Parameters: `feedback`, any initialisation (default U(−0.5, 0.5), from "B_l"), `feedback_updates` and
/// `feedback_decay` as in FeedbackSpec (default fixed). With { init = "transpose" } and "follow" it is BP.
/// `stability`, `stabilise` as in StabilitySpec (default off): B has the corrections that dynamic inversion with
/// the feedback −B would have; `loop` (linear | transfer | linearised), `leak` α ≥ 0 (0.01), `gains`, `tau`,
/// `controller_tau`, `derivative_tau`, as in `di`, say of which loop. While that is on, poles and the angle to
/// NDI are that loop's.
///
/// @throws InputError  for loops without k_i and k_p
/// Source: Lillicrap et al., Nat. Commun. 7 (2016).
struct FaKind final : InBothPrecisions<FaKind> {
  FeedbackSpec spec{{random_feedback()}, "fixed", {}};
  MeantLoop loop;

  void fields(Fields& f) override {
    spec.fields(f);
    f.choice({"loop", "", "of stability: what a loop with the feedback −B sees of the rates"},
             loop.sees, {"linear", "transfer", "linearised"});
    loop_fields(f, loop.parameters);
    loop.stability.fields(f);
  }
  void check() const override { check_gains(loop.parameters, place); }
  template <class S>
  std::unique_ptr<Rule<S>> rule(const Network<S>& network, const RuleContext& context) const {
    return std::make_unique<FeedbackAlignment<S>>(spec.with_loop(loop.parameters), network, context,
                                                  place, loop);
  }
};

/// Kolen–Pollack: feedback alignment whose B_l learns beside W_l, ΔB_l = η h_{l−1} δ_lᵀ − γ B_l, so that
/// under plain gradient descent B_l − W_lᵀ decays as (1 − γ)^t; γ is the network's own decay.
///
/// Parameters: `feedback`, any initialisation (default U(−0.5, 0.5)).
///
/// Source: Akrout et al., "Deep learning without weight transport", NeurIPS 2019.
struct KolenPollackKind final : InBothPrecisions<KolenPollackKind> {
  FeedbackSpec spec{{random_feedback()}, "kolen_pollack", {}};

  void fields(Fields& f) override {
    f.custom({"feedback", "1", "B of each layer from the second on, at the start"},
             models::inits_form(spec.init));
  }
  template <class S>
  std::unique_ptr<Rule<S>> rule(const Network<S>& network, const RuleContext& context) const {
    return std::make_unique<FeedbackAlignment<S>>(spec, network, context, place);
  }
};

template <class S>
class DirectFeedbackAlignment final : public Rule<S> {
 public:
  DirectFeedbackAlignment(const std::vector<models::Init>& init, const Network<S>& network,
                          const RuleContext& context, const models::Place& place)
      : b_(network.weights.size()) {
    const Index depth = network.depth();
    std::vector<Index> path;  // W_L … W_{l+1}
    for (Index l = depth - 1; l >= 1; --l) {
      path.push_back(l + 1);
      b_[at(l)] = make_feedback(models::one_each(init, at(l - 1), at(depth - 1), place, "feedback",
                                                 "one for each hidden layer"),
                                network.size(l), network.size(depth), "B_" + std::to_string(l),
                                path, network, context);
    }
  }

  void assign(const Lesson<S>& lesson, Credit<S>& credit) override {
    assign_layerwise(lesson, credit, [&](Index l, const Matrix<S>&, Matrix<S>& below) {
      below.noalias() = b_[at(l - 1)] * lesson.error;
    });
  }
  double multiplications(const Network<S>&, Index examples) const override {
    double entries = 0;
    for (const Matrix<S>& b : b_) entries += static_cast<double>(b.size());
    return entries * static_cast<double>(examples);
  }
  void state(StateVisitor& visitor) override {
    for (std::size_t l = 1; l + 1 < b_.size(); ++l) visitor.matrix("B_" + std::to_string(l), b_[l]);
  }

 private:
  std::vector<Matrix<S>> b_;  // by hidden layer
};

/// Direct feedback alignment: δ_l = φ′(a_l) ⊙ B_l δ_L of every hidden layer, B_l d_l × d_L.
///
/// Parameters: `feedback`, any initialisation, or a list of one for each hidden layer (default U(−0.5, 0.5), from
/// "B_l"); what is a function of W is one of the product W_L … W_{l+1}.
///
/// Source: Nøkland, "Direct feedback alignment provides learning in deep neural networks", NIPS 2016.
struct DfaKind final : InBothPrecisions<DfaKind> {
  std::vector<models::Init> init{random_feedback()};

  void fields(Fields& f) override {
    f.custom({"feedback", "1", "B from the output to each hidden layer"}, models::inits_form(init));
  }
  template <class S>
  std::unique_ptr<Rule<S>> rule(const Network<S>& network, const RuleContext& context) const {
    return std::make_unique<DirectFeedbackAlignment<S>>(init, network, context, place);
  }
};

template <class S>
class SignSymmetric final : public Rule<S> {
 public:
  explicit SignSymmetric(double scale) : scale_(static_cast<S>(scale)) {}

  void assign(const Lesson<S>& lesson, Credit<S>& credit) override {
    assign_layerwise(lesson, credit, [&](Index l, const Matrix<S>& delta, Matrix<S>& below) {
      sign_ = lesson.network.w(l).cwiseSign();
      below.noalias() = scale_ * (sign_.transpose() * delta);
    });
  }
  double multiplications(const Network<S>& network, Index examples) const override {
    return carried(network, examples);
  }
  std::vector<Matrix<S>> feedback(const Network<S>& network) const override {
    std::vector<Matrix<S>> b(network.weights.size());
    for (Index l = 2; l <= network.depth(); ++l)
      b[at(l)] = scale_ * network.w(l).cwiseSign().transpose();
    return b;
  }

 private:
  S scale_;
  Matrix<S> sign_;
};

/// Sign-symmetric feedback: δ_{l−1} = φ′(a_{l−1}) ⊙ c sign(W_l)ᵀ δ_l, which follows W.
///
/// Parameters: `scale`, c > 0 (default 1).
///
/// Source: Liao, Leibo & Poggio, "How important is weight symmetry in backpropagation?", AAAI 2016.
struct SignSymmetricKind final : InBothPrecisions<SignSymmetricKind> {
  double scale = 1;

  void fields(Fields& f) override {
    f.number({"scale", "1", "c, the size of every entry of the feedback"}, scale, core::positive());
  }
  template <class S>
  std::unique_ptr<Rule<S>> rule(const Network<S>&, const RuleContext&) const {
    return std::make_unique<SignSymmetric<S>>(scale);
  }
};

/// The noise phases of a weight mirror.
struct MirrorSpec {
  std::int64_t examples = 1;  ///< of noise after every step of the network
  std::int64_t before = 0;    ///< of noise before the first
  double std = 1;             ///< σ
  double rate = 0.001;        ///< η
  double decay = 0.001;       ///< γ

  void fields(Fields& f) {
    constexpr std::int64_t most = 1'000'000'000;
    f.integer({"noise_examples", "1", "examples of noise after every step"}, examples, 0, most);
    f.integer({"noise_before", "1", "examples of noise before the first step"}, before, 0, most);
    f.number({"noise_std", "1", "σ of the noise"}, std, core::positive());
    f.number({"noise_rate", "1", "η, by which the feedback learns from noise"}, rate,
             core::positive());
    f.number({"noise_decay", "1", "γ of the feedback, for each example of noise"}, decay,
             {.low = 0, .high = 1, .low_open = true, .high_open = true});
  }
};

template <class S>
class WeightMirror final : public FeedbackAlignment<S> {
 public:
  WeightMirror(const MirrorSpec& mirror, const FeedbackSpec& spec, const Network<S>& network,
               const RuleContext& context, const models::Place& place)
      : FeedbackAlignment<S>(spec, network, context, place), mirror_(mirror), seed_(context.seed) {
    for (Index l = 2; l <= network.depth(); ++l)
      noise_.emplace_back(seed_, "weight_mirror.noise_" + std::to_string(l));
    hear(network, mirror_.before);
    this->settling_.multiplications += of_hearing(network, mirror_.before);
  }

  void learn(const Lesson<S>& lesson, const Credit<S>&, double) override {
    hear(lesson.network, mirror_.examples);
  }
  double multiplications(const Network<S>& network, Index examples) const override {
    return carried(network, examples) + of_hearing(network, mirror_.examples);
  }
  void state(StateVisitor& visitor) override {
    FeedbackAlignment<S>::state(visitor);
    visitor.integer("noise_heard", heard_);
  }

 private:
  // So many steps of ΔB = η ξ (W ξ)ᵀ − γ B, a block of them in one product.
  void hear(const Network<S>& network, std::int64_t examples) {
    constexpr std::int64_t block = 256;
    for (; examples > 0; examples -= block) {
      const Index count = std::min(examples, block);
      for (Index l = 2; l <= network.depth(); ++l) {
        const core::RandomStream& stream = noise_[at(l - 2)];
        xi_.resize(network.size(l - 1), count);
        for (Index k = 0; k < count; ++k)
          for (Index i = 0; i < xi_.rows(); ++i)
            xi_(i, k) =
                static_cast<S>(mirror_.std * stream.normal(static_cast<std::uint64_t>(i),
                                                           static_cast<std::uint64_t>(heard_ + k)));
        heard_by_w_.noalias() = network.w(l) * xi_;
        // What a step adds is still to decay in those after it.
        for (Index k = 0; k < count; ++k)
          xi_.col(k) *= static_cast<S>(mirror_.rate * remaining(count - 1 - k));
        Matrix<S>& b = this->feedback_.b(l);
        b *= static_cast<S>(remaining(count));
        b.noalias() += xi_ * heard_by_w_.transpose();
      }
      heard_ += count;
    }
  }
  // W ξ and ξ (W ξ)ᵀ
  static double of_hearing(const Network<S>& network, std::int64_t examples) {
    return 2 * products(network, 2, examples);
  }
  double remaining(Index steps) const {
    return std::pow(1 - mirror_.decay, static_cast<double>(steps));
  }

  MirrorSpec mirror_;
  std::uint64_t seed_;
  std::vector<core::RandomStream> noise_;  // by layer, from the second on
  std::int64_t heard_ = 0;                 // examples of noise so far
  Matrix<S> xi_, heard_by_w_;
};

/// Weight mirror: feedback alignment whose B_l learns from noise. After every step of the network each layer
/// hears ξ ~ N(0, σ²) of its d_{l−1} inputs and takes ΔB_l = η ξ (W_l ξ)ᵀ − γ B_l, so that B_l comes to
/// (ησ²/γ) W_lᵀ, to a relative √((d_{l−1} + 1) γ/(2 − γ)) (root mean square) of noise that stays.
///
/// Parameters: `noise_examples` ≥ 0 after each step (default 1), `noise_before` ≥ 0 the first (0), `noise_std` σ > 0
/// (1), `noise_rate` η > 0 (0.001), `noise_decay` γ in (0, 1) (0.001); `feedback`, any initialisation
/// (U(−0.5, 0.5)). Noise is drawn from "weight_mirror.noise_l".
///
/// Source: Akrout et al., "Deep learning without weight transport", NeurIPS 2019.
struct WeightMirrorKind final : InBothPrecisions<WeightMirrorKind> {
  FeedbackSpec spec{{random_feedback()}, "fixed", {}};
  MirrorSpec mirror;

  void fields(Fields& f) override {
    f.custom({"feedback", "1", "B of each layer from the second on, at the start"},
             models::inits_form(spec.init));
    mirror.fields(f);
  }
  template <class S>
  std::unique_ptr<Rule<S>> rule(const Network<S>& network, const RuleContext& context) const {
    return std::make_unique<WeightMirror<S>>(mirror, spec, network, context, place);
  }
};

struct NdiSpec {
  FeedbackSpec feedback{{models::initialisation("negative_transpose")}, "fixed", {}};
  MeantLoop loop;
  std::string gain = "fixed";
  double damping = 0;
  std::string output = "error";
  ForwardFeedbackSpec forward_feedback;

  bool is_gauss_newton() const { return gain == "gauss_newton"; }
  bool is_linearised() const { return loop.sees == "linearised"; }
  // 1/G of fixed gains
  double inverse_gain() const { return learning::inverse_gain(loop.parameters); }
};

template <class S>
class Ndi final : public Rule<S> {
 public:
  Ndi(const NdiSpec& spec, const Network<S>& network, const RuleContext& context,
      const models::Place& place)
      : spec_(spec),
        feedback_(spec.feedback.with_loop(spec.loop.parameters), network, context, place, -1),
        stability_(spec.loop.stability, spec.loop.parameters, spec.loop.sees),
        products_(context, network.weights.size()) {}

  void assign(const Lesson<S>& lesson, Credit<S>& credit) override {
    if (stability_.check(lesson, feedback_, this->settling_)) products_.forget();
    const VectorXd inverse_gain = spec_.is_gauss_newton()
                                      ? gauss_newton_inverse_gain(lesson, spec_.damping)
                                      : VectorXd::Constant(1, spec_.inverse_gain());
    invert(lesson, inverse_gain, credit);
    if (spec_.output == "error") return;
    const Index depth = lesson.network.depth();
    ndi_control(lesson, feedback_.b(depth), inverse_gain, credit.post[at(depth)],
                spec_.is_linearised());
  }
  void learn(const Lesson<S>& lesson, const Credit<S>& credit, double rate) override {
    if constexpr (in_double) {
      if (has_products()) products_.learn(lesson, credit, rate, feedback_.all());
    }
    feedback_.learn(lesson, credit, rate);
  }
  double multiplications(const Network<S>& network, Index examples) const override {
    const auto solved = [&](Index n) {  // what examples with gains of their own do not share
      const auto size = static_cast<double>(n);
      const double times = spec_.is_gauss_newton() ? static_cast<double>(examples) : 1;
      return elimination(n, examples) + (times - 1) * size * size * size / 3;
    };
    double sum = carried(network, examples) + feedback_.multiplications(network, examples);
    for (Index l = 2; l <= network.depth(); ++l) {
      if (spec_.is_linearised()) {
        sum += linearised_rests(network.size(l), network.size(l - 1), examples);
        continue;
      }
      const Index n = std::min(network.size(l), network.size(l - 1));
      sum += static_cast<double>(n) * static_cast<double>(network.w(l).size()) + solved(n);
    }
    if (spec_.output == "error") return sum;
    const Index n = network.size(network.depth());
    return sum + static_cast<double>(n) * static_cast<double>(network.w(network.depth()).size()) +
           solved(n);
  }
  std::vector<Matrix<S>> feedback(const Network<S>&) const override { return feedback_.all(); }
  double feedback_sign() const override { return -1; }
  double inverse_gain() const override {
    return spec_.is_gauss_newton() ? std::numeric_limits<double>::quiet_NaN()
                                   : spec_.inverse_gain();
  }
  bool is_linearised() const override { return spec_.is_linearised(); }
  const ForwardFeedbackSpec* forward_feedback() const override {
    return spec_.forward_feedback.pointer();
  }
  Matrix<S> displacement(const Lesson<S>& lesson, Index l, double gate,
                         const Matrix<S>& setpoint) override {
    Matrix<S> out;
    ndi_rest(lesson, l, feedback_.b(l), VectorXd::Constant(1, inverse_gain() / gate), setpoint, out,
             is_linearised());
    if (is_linearised()) out.array() *= lesson.activity.slope[at(l - 1)].array();
    return out;
  }
  typename Rule<S>::Abscissas abscissas(const Lesson<S>& lesson) const override {
    if (!stability_.is_on()) return {};
    return abscissas_of<S>(stability_.stabilities(lesson, feedback_));
  }
  void state(StateVisitor& visitor) override {
    feedback_.state(visitor);
    if (has_products()) products_.state(visitor);
  }

 private:
  static constexpr bool in_double = std::is_same_v<S, double>;

  // Whether a step of W changes what is inverted, and nothing else does.
  bool has_products() const {
    return in_double && spec_.feedback.updates == "fixed" && !spec_.is_gauss_newton() &&
           !spec_.is_linearised();
  }

  void invert(const Lesson<S>& lesson, const VectorXd& inverse_gain, Credit<S>& credit) {
    if constexpr (in_double)
      if (has_products())
        return assign_layerwise(lesson, credit, [&](Index l, const MatrixXd& delta, MatrixXd& r) {
          if (auto kept = products_.rest(l, lesson, feedback_.b(l), inverse_gain[0], delta))
            r = std::move(*kept);
          else
            ndi_rest(lesson, l, feedback_.b(l), inverse_gain, delta, r);
        });
    ndi_credit(lesson, feedback_.all(), inverse_gain, credit, spec_.is_linearised());
  }

  NdiSpec spec_;
  Feedback<S> feedback_;
  LoopStabilityPolicy stability_;
  LoopProducts products_;
};

/// Non-dynamic inversion: the rest of inversion loops, with G = k_i/α + k_p. Of linear ones δ_{l−1} =
/// φ′(a_{l−1}) ⊙ B_l (W_l B_l − I/G)⁻¹ δ_l or in an expanding layer (B_l W_l − I/G)⁻¹ B_l δ_l; of linearised ones,
/// which see W_l D, D = diag(φ′(a_{l−1})) of each example (with the gain of a normalisation, as in `di`),
/// δ_{l−1} = B_l (W_l D B_l − I/G)⁻¹ δ_l. Whether the loops would come to that rest is asked by `stability` alone.
///
/// Parameters: `loop` = linear | linearised; `leak` α ≥ 0 (default 0.01), `gains.p` k_p (0), `gains.i` k_i (1), not
/// both 0; `feedback`, any initialisation (−W_lᵀ), `feedback_updates` and `feedback_decay` as in FeedbackSpec.
/// `inverse_gain`: "fixed" as above, or "gauss_newton", for which each example has the 1/G of
/// gauss_newton_inverse_gain with `damping` λ ≥ 0 (0). `output_update`: the last layer learns from the "error" δ_L,
/// or from the "control" −u at rest. `forward_feedback` as in ForwardFeedbackSpec, with the fixed 1/G. `stability`,
/// `stabilise` as in StabilitySpec (default off): of the loops of leak and gains, for which alone `gains.d`, `tau`,
/// `controller_tau` and `derivative_tau` matter.
///
/// In float64, where B is fixed and 1/G too, what linear loops invert goes with W, and wide ones' inverse
/// (LoopProducts).
///
/// @throws InputError  for no gain at rest; for output_update = "control" without leak in an expanding last
///                     layer, where u has no rest; for stability or forward_feedback beside "gauss_newton"
/// Source: science.md sections 4 and 7.
struct NdiKind final : InBothPrecisions<NdiKind> {
  NdiSpec spec;

  void fields(Fields& f) override {
    f.choice({"loop", "", "what a loop sees of the rates"}, spec.loop.sees,
             {"linear", "linearised"});
    loop_fields(f, spec.loop.parameters);
    spec.feedback.fields(f);
    f.choice({"inverse_gain", "", "1/G: of leak and gains, or of each example"}, spec.gain,
             {"fixed", "gauss_newton"});
    f.number({"damping", "1", "λ of inverse_gain = \"gauss_newton\""}, spec.damping,
             core::non_negative());
    f.choice({"output_update", "", "what the last layer learns from"}, spec.output,
             {"error", "control"});
    spec.forward_feedback.fields(f);
    spec.loop.stability.fields(f);
  }
  void check() const override {
    check_gains(spec.loop.parameters, place);
    if (spec.is_gauss_newton() && spec.forward_feedback.is_given)
      place.fail("forward_feedback", "feedback left on with a 1/G that each lesson has of its own",
                 "inverse_gain = \"fixed\"");
    if (spec.loop.stability.is_on() && spec.is_gauss_newton())
      place.fail("stability", "of loops whose gains are each example's own",
                 "inverse_gain = \"fixed\", or stability = \"off\"");
  }
  template <class S>
  std::unique_ptr<Rule<S>> rule(const Network<S>& network, const RuleContext& context) const {
    const Index depth = network.depth();
    if (spec.output == "control" && !spec.is_gauss_newton() && spec.inverse_gain() == 0 &&
        depth > 1 && network.size(depth) > network.size(depth - 1))
      place.fail("output_update", "the control of a last layer that expands, without leak",
                 "leak > 0, or output_update = \"error\"");
    if (spec.output == "control" && depth == 1)
      place.fail("output_update", "the control of a network without hidden layer",
                 "output_update = \"error\"");
    return std::make_unique<Ndi<S>>(spec, network, context, place);
  }
};

template <class Kind>
core::Entry<RuleKind> entry(const char* name, const char* summary) {
  return {name, summary, core::make_entry<RuleKind, Kind>};
}

}  // namespace

std::vector<core::Entry<RuleKind>> closed_form_rules() {
  return {
      entry<BpKind>("bp", "backpropagation: Wᵀδ"),
      entry<FaKind>("fa", "feedback alignment: Bδ, B random or of any kind"),
      entry<DfaKind>("dfa", "direct feedback alignment: from the output to every layer"),
      entry<SignSymmetricKind>("sign_symmetric", "feedback of the signs of W"),
      entry<KolenPollackKind>("kolen_pollack", "feedback that learns beside W, and comes to Wᵀ"),
      entry<WeightMirrorKind>("weight_mirror", "feedback that learns Wᵀ from noise"),
      entry<PbpKind>("pbp", "the pseudoinverse of W"),
      entry<NdiKind>("ndi", "dynamic inversion's rest state, without the dynamics"),
      {"target_propagation", "differences of targets, through learned inverses",
       make_target_propagation},
  };
}

}  // namespace settle::learning
