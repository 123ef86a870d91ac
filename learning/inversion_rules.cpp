#include "learning/inversion_rules.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "learning/batch_rest.hpp"
#include "learning/forward_feedback.hpp"
#include "learning/inversion_circuit.hpp"
#include "learning/loop_products.hpp"
#include "learning/loop_stability.hpp"
#include "models/each.hpp"
#include "sim/solve/solve.hpp"

namespace settle::learning {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

struct InversionSpec {
  FeedbackSpec feedback{.init = {models::initialisation("negative_transpose")}};
  std::string loop = "linear";
  double error_scale = 1;
  std::string error_sign = "plus";
  models::LoopParameters controller{.leak = 0.01};
  std::string accuracy = "dynamics";
  double tolerance = 1e-6;
  std::optional<double> duration;
  std::string unsettled = "use";
  bool warm_start = false;
  StabilitySpec stability;
  models::Place place;

  void fields(core::Fields& f) {
    f.choice({"loop", "", "what a loop sees of the rates"}, loop,
             {"linear", "transfer", "linearised", "operating_point"});
    f.number({"error_scale", "1", "β, by which errors are scaled on their way through the loops"},
             error_scale, core::positive());
    f.choice({"error_sign", "", "of the errors that go through: β, or β and −β, halved"},
             error_sign, {"plus", "both"});
    loop_fields(f, controller);
    feedback.fields(f);
    f.choice({"accuracy", "", "how the circuits are brought to rest"}, accuracy,
             {"dynamics", "rest", "paper"});
    f.number({"tolerance", "1", "relative residual below which a circuit is at rest"}, tolerance,
             {.low = 1e-12, .high = 0.1});
    f.number({"duration", "time",
              "for which a circuit is integrated at most; 2000 or, if that is longer, 20 τ_u/α "
              "unless given"},
             duration, core::positive());
    f.choice({"unsettled", "",
              "what becomes of an example that does not settle; one that diverges is skipped"},
             unsettled, {"skip", "use"});
    f.boolean({"warm_start", "", "start from where the last batch of this size came to rest"},
              warm_start);
    stability.fields(f);
  }

  void check() const { check_gains(controller, place); }

  bool is_linear() const { return loop == "linear"; }
  bool has_transfer() const { return loop == "transfer" || loop == "operating_point"; }

  // What moves with the integrator's own leak, as weak directions do, falls by e⁻²⁰.
  double longest() const {
    const double leaked =
        controller.leak > 0 ? 20 * controller.controller_tau / controller.leak : 0;
    return duration.value_or(std::max(2000.0, leaked));
  }

  // The paper's scheme ends where it ends.
  RestSpec rest() const {
    return {.tolerance = tolerance,
            .duration = longest(),
            .unsettled = accuracy == "paper" ? "use" : unsettled,
            .accuracy = "dynamics"};
  }
};

// What both rules do with their loops.
class InversionRule : public Rule<double> {
 public:
  void assign(const Lesson<double>& lesson, Credit<double>& credit) final {
    const Network<double>& network = lesson.network;
    const Index examples = lesson.error.cols();
    if (stability_.is_due(lesson)) {
      const std::vector<LoopStability> found = stabilities(lesson);
      if (stability_.tally(found, settling_)) correct(lesson, found);
    }
    credit.reset(network.weights.size());
    credit.post[at(network.depth())] = lesson.error;
    if (network.depth() < 2) return;
    BatchRest batch(spec_.rest(), examples);
    invert(lesson, batch, credit);
    for (Index l = 1; l <= network.depth(); ++l) batch.blank(credit.post[at(l)]);
    batch.report(lesson.example, settling_);
  }

  double feedback_sign() const final { return -1; }
  double inverse_gain() const final { return learning::inverse_gain(spec_.controller); }
  bool is_linearised() const final { return !spec_.is_linear(); }
  bool is_about_rest() const final { return spec_.loop == "transfer"; }
  Abscissas abscissas(const Lesson<double>& lesson) const final {
    return abscissas_of<double>(stabilities(lesson));
  }

  void state(StateVisitor& visitor) override {
    for (std::size_t k = 0; spec_.warm_start && k < starts_.size(); ++k)
      visitor.matrix("start_" + std::to_string(k + 1), starts_[k]);
  }

 protected:
  // `circuits`: that a batch goes through, one after another.
  InversionRule(const InversionSpec& spec, std::size_t circuits)
      : spec_(spec), stability_(spec.stability, spec.controller, spec.loop), starts_(circuits) {}

  // Settles the loops; post_L is there.
  virtual void invert(const Lesson<double>& lesson, BatchRest& batch, Credit<double>& credit) = 0;
  // The stability of every loop, that of the lowest layer first.
  virtual std::vector<LoopStability> stabilities(const Lesson<double>& lesson) const = 0;
  // Corrects the feedback of loops that are unstable.
  virtual void correct(const Lesson<double>& lesson, const std::vector<LoopStability>& found) = 0;

  // The population of layer l on a loop's path, seen as the rule says.
  LoopStage stage(const Lesson<double>& lesson, Index l) const {
    const Network<double>& network = lesson.network;
    LoopStage out{.weights = &network.w(l + 1)};
    if (spec_.loop == "linearised") out.slope = &lesson.activity.slope[at(l)];
    if (!spec_.has_transfer()) return out;
    out.transfer = network.transfers[at(l)];
    if (spec_.loop == "operating_point") {
      out.about = network.argument(l, lesson.activity);
      out.gain = lesson.activity.gain[at(l)];
    } else if (network.is_normalised()) {
      out.gain = network.normalisations[at(l)].folded_gain();
    }
    return out;
  }

  // Errors as they go through the loops, β δ or [β δ, −β δ], and what comes of them: r/β or [r₊ − r₋]/(2β).
  MatrixXd sent(const MatrixXd& delta) const {
    if (spec_.error_sign == "plus") return spec_.error_scale * delta;
    MatrixXd out(delta.rows(), 2 * delta.cols());
    out << spec_.error_scale * delta, -spec_.error_scale * delta;
    return out;
  }
  MatrixXd received(const MatrixXd& r) const {
    if (spec_.error_sign == "plus") return r / spec_.error_scale;
    const Index examples = r.cols() / 2;
    return (r.leftCols(examples) - r.rightCols(examples)) / (2 * spec_.error_scale);
  }

  // The state in which the circuit of a batch settles.
  // @param which  its number among those of a lesson, for a warm start; none: it has no other to start from
  // @param name   what it is, where it fails
  MatrixXd settle(InversionCircuit& loops, std::optional<std::size_t> which,
                  const MatrixXd& setpoint, const std::string& name, BatchRest& batch);

  // r to the credit of layer l, φ′ applied once.
  MatrixXd credit_of(const Lesson<double>& lesson, Index l, const MatrixXd& r,
                     const BatchRest& batch) const {
    MatrixXd out = received(r);
    batch.blank(out);
    if (spec_.is_linear()) lesson.network.pull_back(l, lesson.activity, out);
    return out;
  }

  InversionSpec spec_;
  LoopStabilityPolicy stability_;

 private:
  std::vector<MatrixXd> starts_;  // per circuit: where the last batch ended
};

MatrixXd InversionRule::settle(InversionCircuit& loops, std::optional<std::size_t> which,
                               const MatrixXd& setpoint, const std::string& name,
                               BatchRest& batch) {
  constexpr double paper_step = 0.5, paper_duration = 500;
  solve::SolverOptions options;
  options.rtol = 0.1 * spec_.tolerance;
  // A loop at rest is told from one that has not begun to move by the size of what drives it.
  const double scale = setpoint.size() > 0 ? setpoint.cwiseAbs().maxCoeff() : 0;
  options.atol = 1e-3 * options.rtol * (scale > 0 ? scale : 1);
  options.settled.tolerance = spec_.tolerance;
  options.duration = spec_.longest();
  options.shortcut = spec_.accuracy == "rest";
  system::Phase& phase = loops.circuit().phases.front();
  const auto last_for = [&phase](double duration) {
    phase.until_settled = false;
    phase.duration = duration;
  };
  if (spec_.accuracy == "paper") {
    options.method = "semi_implicit_euler";
    options.step = paper_step;
    options.duration = paper_duration;
    last_for(paper_duration);
  }
  // In closed form the state at the end costs no more than one on the way there.
  const bool leaps = spec_.accuracy == "dynamics" && !spec_.has_transfer();
  if (leaps) last_for(options.duration);
  auto system = std::make_unique<const system::OdeSystem>(system::compile(loops.circuit()));
  if (leaps && solve::chosen_method(*system, options) != "exact") {
    phase = {.name = phase.name, .until_settled = true};
    system = std::make_unique<const system::OdeSystem>(system::compile(loops.circuit()));
  }
  MatrixXd fresh;
  MatrixXd& start = which ? starts_[*which] : fresh;
  if (!spec_.warm_start || start.rows() != system->dimension() || start.cols() != system->trials())
    start = system->initial_state();
  Unwatched observer;
  solve::SolveSummary summary = batch.integrate(*system, start, name, options, observer);
  batch.add_work(loops.built() + static_cast<double>(system->trials()) * loops.read());
  if (summary.method == "exact")
    batch.add_work(10 * std::pow(0.5 * static_cast<double>(system->dimension()), 3));
  if (spec_.warm_start) start = summary.final_state;
  return std::move(summary.final_state);
}

// --- One loop a layer ------------------------------------------------------------------------------

class Inversion final : public InversionRule {
 public:
  Inversion(const InversionSpec& spec, bool simultaneous,
            const ForwardFeedbackSpec& forward_feedback, const Network<double>& network,
            const RuleContext& context)
      : InversionRule(spec, simultaneous ? 1 : at(network.depth() - 1)),
        simultaneous_(simultaneous),
        forward_feedback_(forward_feedback),
        feedback_(spec.feedback.with_loop(spec.controller), network, context, spec.place, -1),
        products_(context, network.weights.size()) {}

  void learn(const Lesson<double>& lesson, const Credit<double>& credit, double rate) override {
    if (spec_.feedback.updates == "fixed")
      products_.learn(lesson, credit, rate, feedback_.all());
    else
      products_.forget();
    settling_.multiplications += products_.take_work();
    feedback_.learn(lesson, credit, rate);
  }
  double multiplications(const Network<double>& network, Index examples) const override {
    return feedback_.multiplications(network, examples);
  }
  std::vector<MatrixXd> feedback(const Network<double>&) const override { return feedback_.all(); }
  const ForwardFeedbackSpec* forward_feedback() const override {
    return forward_feedback_.pointer();
  }
  MatrixXd displacement(const Lesson<double>& lesson, Index l, double gate,
                        const MatrixXd& setpoint) override {
    const LoopStage seen = stage(lesson, l - 1);
    const MatrixXd gated = gate * feedback_.b(l);
    InversionCircuit circuit(spec_.controller, setpoint.cols());
    circuit.add("", {{seen}, &gated}, setpoint);
    BatchRest batch(spec_.rest(), setpoint.cols());
    MatrixXd r =
        heard(seen, circuit.rate(0, 1, settle(circuit, {}, setpoint, loop_name(l), batch)));
    batch.blank(r, std::numeric_limits<double>::quiet_NaN());
    batch.report(lesson.example, settling_);
    return r;
  }
  void state(StateVisitor& visitor) override {
    feedback_.state(visitor);
    products_.state(visitor);
    InversionRule::state(visitor);
  }

 private:
  static std::string loop_name(Index l) { return "the loop of layer " + std::to_string(l); }
  LoopPath loop(const Lesson<double>& lesson, Index l) {
    const MatrixXd& b = feedback_.b(l);
    // Where W sees φ(r), or φ′ ⊙ r, there is a W B of no loop; B W is one of every loop.
    const bool has_product = spec_.is_linear() || b.rows() < b.cols();
    return {{stage(lesson, l - 1)}, &b, has_product ? &products_.of(l, lesson, b) : nullptr};
  }

  void invert(const Lesson<double>& lesson, BatchRest& batch, Credit<double>& credit) override {
    if (simultaneous_)
      invert_together(lesson, batch, credit);
    else
      invert_in_turn(lesson, batch, credit);
    batch.add_work(products_.take_work());
  }

  void invert_in_turn(const Lesson<double>& lesson, BatchRest& batch, Credit<double>& credit) {
    MatrixXd wanted = sent(lesson.error);
    for (Index l = lesson.network.depth(); l >= 2; --l) {
      InversionCircuit circuit(spec_.controller, wanted.cols());
      circuit.add("", loop(lesson, l), wanted);
      MatrixXd r = circuit.rate(0, 1, settle(circuit, at(l - 2), wanted, loop_name(l), batch));
      credit.post[at(l - 1)] = credit_of(lesson, l - 1, r, batch);
      if (l == 2) break;
      // What φ′ is yet to be applied to goes on as a credit, else each sign by itself.
      batch.blank(r);
      wanted = spec_.is_linear() ? sent(credit.post[at(l - 1)]) : std::move(r);
    }
  }

  void invert_together(const Lesson<double>& lesson, BatchRest& batch, Credit<double>& credit) {
    const Index depth = lesson.network.depth();
    const MatrixXd wanted = sent(lesson.error);
    InversionCircuit circuit(spec_.controller, wanted.cols());
    std::size_t above = 0;
    for (Index l = depth; l >= 2; --l) {
      const std::string name = "_" + std::to_string(l - 1);
      above = l == depth ? circuit.add(name, loop(lesson, l), wanted)
                         : circuit.add(name, loop(lesson, l), above,
                                       spec_.is_linear() ? &lesson.activity.slope[at(l)] : nullptr);
    }
    const MatrixXd state = settle(circuit, 0, wanted, "all loops", batch);
    for (Index l = depth; l >= 2; --l)
      credit.post[at(l - 1)] =
          credit_of(lesson, l - 1, circuit.rate(at(depth - l), 1, state), batch);
  }

  std::vector<LoopStability> stabilities(const Lesson<double>& lesson) const override {
    return stability_.stabilities(lesson, feedback_);
  }
  void correct(const Lesson<double>& lesson, const std::vector<LoopStability>& found) override {
    stability_.correct(lesson, found, feedback_, settling_);
    products_.forget();
  }

  bool simultaneous_;
  ForwardFeedbackSpec forward_feedback_;
  Feedback<double> feedback_;
  LoopProducts products_;
};

// --- One loop through all layers -------------------------------------------------------------------

class SingleLoopInversion final : public InversionRule {
 public:
  SingleLoopInversion(const InversionSpec& spec, const Network<double>& network,
                      const RuleContext& context)
      : InversionRule(spec, 1), context_(context) {
    const FeedbackSpec wanted = spec.feedback.with_loop(spec.controller);
    if (wanted.init.size() > 1 || network.depth() <= 2) {
      factors_.emplace(wanted, network, context, spec.place, -1);
      multiply();
      return;
    }
    lone_ = wanted.init.front();
    const std::string lone =
        "of one feedback through " + std::to_string(network.depth() - 1) + " layers";
    const std::string expected =
        "a list of feedbacks, one for each layer from the second on, whose "
        "product it is";
    if (wanted.updates == "kolen_pollack")
      spec.place.fail("feedback_updates", "kolen_pollack " + lone, expected);
    if (spec.stability.corrects())
      spec.place.fail("stability", "correct " + lone, expected + "; or monitor");
    if (lone_->name() == "ssa") spec.place.fail("feedback", "\"ssa\" " + lone, expected);
    make_lone(network);
  }

  void learn(const Lesson<double>& lesson, const Credit<double>& credit, double rate) override {
    if (factors_) {
      factors_->learn(lesson, credit, rate);
      if (spec_.feedback.updates != "fixed") multiply();
    } else if (spec_.feedback.updates == "follow") {
      make_lone(lesson.network);
    }
  }
  // B_2 … B_L anew, wherever they learn.
  double multiplications(const Network<double>& network, Index examples) const override {
    if (!factors_ || spec_.feedback.updates == "fixed") return 0;
    double sum = factors_->multiplications(network, examples);
    for (Index l = 3; l <= network.depth(); ++l)
      sum += static_cast<double>(network.size(1)) * static_cast<double>(network.w(l).size());
    return sum;
  }
  std::vector<MatrixXd> feedback(const Network<double>&) const override {
    return factors_ ? factors_->all() : std::vector<MatrixXd>{};
  }
  void state(StateVisitor& visitor) override {
    if (factors_) {
      factors_->state(visitor);
      multiply();
    } else {
      visitor.matrix("B", b_);
    }
    InversionRule::state(visitor);
  }

 private:
  // B_2 … B_L, each of which carries the minus: one of them remains.
  void multiply() {
    const auto& factors = factors_->all();
    b_ = factors[2];
    for (std::size_t l = 3; l < factors.size(); ++l) b_ = -b_ * factors[l];
  }
  void make_lone(const Network<double>& network) {
    std::vector<Index> path;
    for (Index l = network.depth(); l >= 2; --l) path.push_back(l);
    b_ = make_feedback(lone_, network.size(1), network.size(network.depth()), "B", path, network,
                       context_);
  }

  void invert(const Lesson<double>& lesson, BatchRest& batch, Credit<double>& credit) override {
    const Index depth = lesson.network.depth();
    LoopPath loop{{}, &b_};
    for (Index l = 1; l < depth; ++l) loop.path.push_back(stage(lesson, l));
    const MatrixXd wanted = sent(lesson.error);
    InversionCircuit circuit(spec_.controller, wanted.cols());
    circuit.add("", loop, wanted);
    const MatrixXd state = settle(circuit, 0, wanted, "the loop", batch);
    for (Index l = 1; l < depth; ++l)
      credit.post[at(l)] = credit_of(lesson, l, circuit.rate(0, l, state), batch);
  }

  std::vector<LoopStability> stabilities(const Lesson<double>& lesson) const override {
    std::vector<MatrixXd> weights;
    for (Index l = 2; l <= lesson.network.depth(); ++l)
      weights.push_back(seen_weights(spec_.loop, lesson, l));
    LoopPath loop{{}, &b_};
    for (const MatrixXd& w : weights) loop.path.push_back({.weights = &w});
    return {stability_of(loop, spec_.controller)};
  }
  // SSA knows loops of one population: it makes those of the factors stable.
  void correct(const Lesson<double>& lesson, const std::vector<LoopStability>&) override {
    stability_.correct(lesson, stability_.stabilities(lesson, *factors_), *factors_, settling_);
    multiply();
  }

  RuleContext context_;
  models::Init lone_;
  std::optional<Feedback<double>> factors_;
  MatrixXd b_;  // d_1 × d_L
};

// --- Kinds -----------------------------------------------------------------------------------------

class InversionKind : public RuleKind {
 public:
  using RuleKind::make;
  void fields(core::Fields& f) override { spec_.fields(f); }

 protected:
  InversionSpec checked() const {
    InversionSpec spec = spec_;
    spec.place = place;
    spec.check();
    return spec;
  }

 private:
  InversionSpec spec_;
};

class InversionByLayer final : public InversionKind {
 public:
  using InversionKind::make;
  void fields(core::Fields& f) override {
    f.choice({"scheme", "", "how the loops run"}, scheme_, {"sequential", "simultaneous"});
    InversionKind::fields(f);
    forward_feedback_.fields(f);
  }
  std::unique_ptr<Rule<double>> make(const Network<double>& network,
                                     const RuleContext& context) const override {
    return std::make_unique<Inversion>(checked(), scheme_ == "simultaneous", forward_feedback_,
                                       network, context);
  }

 private:
  std::string scheme_ = "sequential";
  ForwardFeedbackSpec forward_feedback_;
};

class InversionBySingleLoop final : public InversionKind {
 public:
  using InversionKind::make;
  std::unique_ptr<Rule<double>> make(const Network<double>& network,
                                     const RuleContext& context) const override {
    return std::make_unique<SingleLoopInversion>(checked(), network, context);
  }
};

}  // namespace

std::vector<core::Entry<RuleKind>> inversion_rules() {
  return {
      {"di",
       "dynamic inversion: a feedback loop for each layer settles to the error of the one below",
       core::make_entry<RuleKind, InversionByLayer>},
      {"sdi", "single-loop dynamic inversion: one controller, and the forward path carries it up",
       core::make_entry<RuleKind, InversionBySingleLoop>}};
}

}  // namespace settle::learning
