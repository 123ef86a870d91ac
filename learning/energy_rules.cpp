#include "learning/energy_rules.hpp"

#include <algorithm>

#include "learning/batch_rest.hpp"
#include "learning/feedback.hpp"
#include "learning/inversion_circuit.hpp"
#include "models/deep_feedback_control.hpp"
#include "models/each.hpp"
#include "models/equilibrium_propagation.hpp"
#include "models/predictive_coding.hpp"

namespace settle::learning {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

models::LayeredNet layered(const Network<double>& network, const Activity<double>& activity) {
  return {.weights = network.weights,
          .biases = network.biases,
          .transfers = network.transfers,
          .input = activity.h[0],
          .start = activity.a};
}

// The rows of a state that belong to a node of this name.
MatrixXd part(const system::OdeSystem& system, const std::string& node, const MatrixXd& state) {
  const int i = system.circuit().find(node);
  return state.middleRows(system.offset(i), system.circuit().nodes[at(i)].size);
}

MatrixXd rate(const core::Transfer& phi, const MatrixXd& x) {
  MatrixXd r(x.rows(), x.cols());
  phi->value(x.data(), r.data(), x.size());
  return r;
}

// φ of every layer's state, from the first on; index 0 is left empty.
std::vector<MatrixXd> rates(const system::OdeSystem& system, const models::LayeredNet& net,
                            const MatrixXd& state) {
  std::vector<MatrixXd> out(net.depth() + 1);
  for (std::size_t l = 1; l <= net.depth(); ++l)
    out[l] = rate(net.transfer(l), part(system, net.name(l), state));
  return out;
}

// W_1 h_0, of which a circuit's first layer is told.
double of_input(const Network<double>& network, Index examples) {
  return static_cast<double>(network.w(1).size()) * static_cast<double>(examples);
}

// A kind of rule that has a Spec with members fields(), check() and rest, and makes a Rule of it.
template <class Rule, class Spec>
class Kind final : public RuleKind {
 public:
  explicit Kind(const char* name) : name_(name) {}
  void fields(core::Fields& f) override {
    spec_.fields(f);
    spec_.rest.fields(f);
  }
  using RuleKind::make;
  std::unique_ptr<learning::Rule<double>> make(const Network<double>& network,
                                               const RuleContext& context) const override {
    if (network.is_normalised())
      place.fail("kind", "\"" + name_ + "\" on a network with batch normalisation",
                 "network.batch_normalisation = false, or a rule whose circuit is not the network");
    spec_.check(place);
    return std::make_unique<Rule>(spec_, network, context, place);
  }

 private:
  std::string name_;
  Spec spec_;
};

// --- Deep feedback control -----------------------------------------------------------------------

struct DfcSpec {
  RestSpec rest;
  double leak = 0.0015, p = 1.5, i = 1;
  double tau = 0.2, controller_tau = 1;
  double target_step = 0.05;
  std::string update = "rest";
  std::int64_t samples = 20;
  std::vector<models::Init> feedback{models::initialisation("transpose")};
  std::string feedback_updates = "fixed";
  struct {
    double std = 0.01, interval = 4, rate = 0.1, decay = 0.1;
    std::int64_t samples = 10;
  } noise;

  void fields(core::Fields& f) {
    f.number({"leak", "1", "α"}, leak, core::non_negative());
    f.table({"gains", "", "of the two paths"}, [this](core::Fields& g) {
      g.number({"p", "1", "k_p"}, p, core::any_number());
      g.number({"i", "1", "k_i"}, i, core::any_number());
    });
    f.number({"tau", "time", "τ_v of every layer"}, tau, core::positive());
    f.number({"controller_tau", "time", "τ_u of the integrator"}, controller_tau, core::positive());
    f.number({"target_step", "1", "λ: the target is output − λ ∂loss/∂output"}, target_step,
             core::positive());
    f.choice({"update", "", "from the state of rest, or averaged over the duration"}, update,
             {"rest", "continuous"});
    f.integer({"samples", "1", "stretches that a continuous update is averaged over"}, samples, 1,
              10'000);
    f.custom({"feedback", "1", "Q of each hidden layer"}, models::inits_form(feedback));
    f.choice({"feedback_updates", "", "what becomes of Q while the network learns"},
             feedback_updates, {"fixed", "follow", "learned"});
    f.table({"noise", "", "by which Q is learned"}, [this](core::Fields& g) {
      g.number({"std", "1", "σ"}, noise.std, core::positive());
      g.number({"interval", "time", "between draws"}, noise.interval, core::positive());
      g.integer({"samples", "1", "draws an example"}, noise.samples, 1, 10'000);
      g.number({"rate", "1", "η_Q"}, noise.rate, core::positive());
      g.number({"decay", "1", "γ"}, noise.decay, core::non_negative());
    });
  }

  void check(const models::Place& place) const {
    if (p == 0 && i == 0) place.fail("gains", "a controller without gains", "p or i other than 0");
    if (update == "continuous" && rest.accuracy == "rest")
      place.fail("accuracy", "\"rest\" for a continuous update", "accuracy = \"dynamics\"");
  }

  models::ControllerSpec controller(const models::Place& place) const {
    models::ControllerSpec out;
    out.leak = leak;
    out.p = p;
    out.i = i;
    out.tau = controller_tau;
    out.place = place;
    return out;
  }
};

// The states at equal stretches of a run.
class Samples final : public solve::Observer {
 public:
  explicit Samples(double interval) : interval_(interval) {}
  solve::Sampling sampling() const override { return {.interval = interval_}; }
  bool wants_histories() const override { return false; }
  void sample(double t, const system::ConstBlock& x, system::Workspace&) override {
    times_.push_back(t);
    states_.emplace_back(x);
  }
  std::size_t size() const { return times_.size(); }
  const MatrixXd& state(std::size_t k) const { return states_[k]; }
  /// The share of sample k in an average over the run, by the trapezoidal rule.
  double weight(std::size_t k) const {
    const double before = k > 0 ? times_[k] - times_[k - 1] : 0;
    const double after = k + 1 < times_.size() ? times_[k + 1] - times_[k] : 0;
    return 0.5 * (before + after) / (times_.back() - times_.front());
  }

 private:
  double interval_;
  std::vector<double> times_;
  std::vector<MatrixXd> states_;
};

// What the noise on every layer and u have in common: Σ (Q_l u + ε_l) uᵀ over draws and examples.
class NoiseCorrelation final : public solve::Observer {
 public:
  NoiseCorrelation(const system::OdeSystem& system, double interval,
                   const std::vector<MatrixXd>& feedback)
      : system_(system), interval_(interval), feedback_(feedback), sums_(feedback.size()) {
    for (std::size_t l = 1; l < sums_.size(); ++l)
      sums_[l] = MatrixXd::Zero(feedback[l].rows(), feedback[l].cols());
  }
  solve::Sampling sampling() const override { return {.interval = interval_}; }
  bool wants_histories() const override { return false; }
  void sample(double t, const system::ConstBlock& x, system::Workspace& workspace) override {
    if (t <= last_) return;  // nothing has moved yet, or the end of the run once more
    last_ = t;
    system_.evaluate(t, x, workspace);
    const MatrixXd u = system_.value(system_.circuit().controllers[0].control, x, workspace);
    for (std::size_t l = 1; l < sums_.size(); ++l) {
      const MatrixXd noise = system_.input({}, {static_cast<int>(l) - 1}, t, x, workspace);
      sums_[l] += (feedback_[l] * u + noise) * u.transpose();
    }
    draws_ += u.cols();
  }
  MatrixXd mean(std::size_t l) const { return sums_[l] / static_cast<double>(draws_); }

 private:
  const system::OdeSystem& system_;
  double interval_, last_ = 0;
  const std::vector<MatrixXd>& feedback_;
  std::vector<MatrixXd> sums_;
  Index draws_ = 0;
};

class Dfc final : public Rule<double> {
 public:
  Dfc(DfcSpec spec, const Network<double>& network, const RuleContext& context, models::Place place)
      : spec_(std::move(spec)), context_(context), place_(std::move(place)) {
    make_feedback_of(network);
  }

  void assign(const Lesson<double>& lesson, Credit<double>& credit) override {
    const models::LayeredNet net = layered(lesson.network, lesson.activity);
    system::Circuit circuit = controlled(net, lesson.error);
    const bool is_continuous = spec_.update == "continuous";
    if (is_continuous) {
      circuit.phases[0].until_settled = false;
      circuit.phases[0].duration = spec_.rest.duration;
    }
    const system::OdeSystem system = system::compile(std::move(circuit));
    BatchRest batch(spec_.rest, net.input.cols());
    Samples samples(spec_.rest.duration / static_cast<double>(spec_.samples));
    const MatrixXd rest =
        batch.settle(system, system.initial_state(), "control", is_continuous ? &samples : nullptr);
    credit.reset(net.depth() + 1);
    if (is_continuous)
      average(net, system, samples, batch, credit);
    else
      compare(net, rates(system, net, rest), credit);
    for (std::size_t l = 1; l <= net.depth(); ++l) batch.blank(credit.post[l]);
    batch.report(lesson.example, settling_);
  }

  void learn(const Lesson<double>& lesson, const Credit<double>&, double) override {
    if (spec_.feedback_updates == "follow")
      make_feedback_of(lesson.network);
    else if (spec_.feedback_updates == "learned")
      learn_from_noise(lesson);
  }

  std::vector<MatrixXd> output_feedback() const override { return q_; }
  // About the forward pass of the batch's first example, of which rest is off by the order of λ.
  Abscissas abscissas(const Lesson<double>& lesson) const override {
    const models::LayeredNet net = layered(lesson.network, lesson.activity);
    const LoopStability loop = stability_of(system::compile(controlled(net, lesson.error)));
    return {{loop.pole}, {loop.paper}};
  }

  // What layers hear at rest, or in every sample; of a noise phase the forward pass that it starts from, and Q_l u
  // and (Q_l u + ε_l) uᵀ of every draw.
  double multiplications(const Network<double>& network, Index examples) const override {
    const bool is_continuous = spec_.update == "continuous";
    double sum = of_input(network, examples) +
                 products(network, 2, examples * (is_continuous ? spec_.samples : 1));
    if (spec_.feedback_updates != "learned") return sum;
    double entries = 0;
    for (const MatrixXd& q : q_) entries += static_cast<double>(q.size());
    return sum + products(network, 1, examples) + of_input(network, examples) +
           2 * entries * static_cast<double>(examples * spec_.noise.samples);
  }

  void state(StateVisitor& visitor) override {
    for (std::size_t l = 1; l < q_.size(); ++l) visitor.matrix("Q_" + std::to_string(l), q_[l]);
  }

 private:
  // The circuit with the target a_L + λ δ_L.
  system::Circuit controlled(const models::LayeredNet& net, const MatrixXd& error) const {
    const MatrixXd target = net.start.back() + spec_.target_step * error;
    return models::deep_feedback_control(net, {.feedback = q_,
                                               .target = target,
                                               .tau = spec_.tau,
                                               .controller = spec_.controller(place_)});
  }

  void make_feedback_of(const Network<double>& network) {
    const Index depth = network.depth();
    q_.resize(network.weights.size());
    std::vector<Index> path;  // L … l + 1
    for (Index l = depth - 1; l >= 1; --l) {
      path.push_back(l + 1);
      const models::Init& init = models::one_each(spec_.feedback, at(l - 1), at(depth - 1), place_,
                                                  "feedback", "one for each hidden layer");
      q_[at(l)] = make_feedback(init, network.size(l), network.size(depth),
                                "Q_" + std::to_string(l), path, network, context_);
    }
    q_[at(depth)] = MatrixXd::Identity(network.size(depth), network.size(depth));
  }

  // post_l = φ(v_l) − φ(W_l r_{l−1} + b_l), pre_l = r_{l−1}
  static void compare(const models::LayeredNet& net, std::vector<MatrixXd> r,
                      Credit<double>& credit) {
    for (std::size_t l = 1; l <= net.depth(); ++l) {
      MatrixXd heard;
      if (l == 1) {
        heard = net.drive(1);
      } else {
        heard = net.weights[l] * r[l - 1];
        if (net.biases[l].size() > 0) heard.colwise() += net.biases[l];
      }
      credit.post[l] = r[l] - rate(net.transfer(l), heard);
    }
    for (std::size_t l = 2; l <= net.depth(); ++l) credit.pre[l] = std::move(r[l - 1]);
    credit.pre[1].resize(0, 0);
  }

  // The same of all samples side by side, each with its share; their sum in the first layer, whose pre is
  // the same for all.
  static void average(const models::LayeredNet& net, const system::OdeSystem& system,
                      const Samples& samples, const BatchRest& batch, Credit<double>& credit) {
    const Index examples = net.input.cols();
    const Index columns = examples * static_cast<Index>(samples.size());
    for (std::size_t l = 1; l <= net.depth(); ++l) {
      credit.post[l] = MatrixXd::Zero(net.size(l), l == 1 ? examples : columns);
      if (l > 1) credit.pre[l].resize(net.size(l - 1), columns);
    }
    credit.pre[1].resize(0, 0);
    Credit<double> one;
    one.reset(net.depth() + 1);
    for (std::size_t k = 0; k < samples.size(); ++k) {
      compare(net, rates(system, net, samples.state(k)), one);
      const Index first = static_cast<Index>(k) * examples;
      credit.post[1] += samples.weight(k) * one.post[1];
      for (std::size_t l = 2; l <= net.depth(); ++l) {
        credit.post[l].middleCols(first, examples) = samples.weight(k) * one.post[l];
        credit.pre[l].middleCols(first, examples) = one.pre[l];
      }
    }
    // Those that have left are not numbers.
    for (std::size_t l = 2; l <= net.depth(); ++l) batch.blank(credit.pre[l]);
  }

  void learn_from_noise(const Lesson<double>& lesson) {
    Activity<double> activity;
    lesson.network.forward(lesson.activity.h[0], activity);
    const models::LayeredNet net = layered(lesson.network, activity);
    models::ControllerSpec reading;  // u = e
    reading.p = 1;
    reading.i = 0;
    system::Circuit circuit = models::deep_feedback_control(
        net,
        {.feedback = q_, .target = activity.a.back(), .tau = spec_.tau, .controller = reading});
    for (std::size_t l = 1; l <= net.depth(); ++l) {
      system::Source source;
      source.name = "noise_" + std::to_string(l);
      source.to = circuit.find(net.name(l));
      source.values = MatrixXd::Ones(net.size(l), 1);
      source.noise = {spec_.noise.std, spec_.noise.interval,
                      core::RandomStream(context_.seed, source.name),
                      static_cast<Index>(lesson.example)};
      circuit.sources.push_back(std::move(source));
    }
    system::Phase& phase = circuit.phases[0];
    phase.until_settled = false;
    phase.duration = spec_.noise.interval * static_cast<double>(spec_.noise.samples);
    for (std::size_t k = 0; k < circuit.edges.size(); ++k)
      if (circuit.edges[k].from == circuit.controllers[0].control)
        phase.off.push_back(static_cast<int>(k));
    const system::OdeSystem system = system::compile(std::move(circuit));
    NoiseCorrelation correlation(system, spec_.noise.interval, q_);
    // The layers are a cascade of poles −1/τ_v while u is sent nowhere: not stiff, and many short stretches
    // that a batch goes through together. What is asked for is a share of the noise's own size.
    solve::SolverOptions options;
    options.method = "dopri5";
    options.rtol = 1e-3 * std::min(1.0, spec_.noise.std);
    options.atol = 1e-3 * options.rtol;
    const double evaluations = static_cast<double>(
        solve::solve(system, system.initial_state(), options, correlation).evaluations);
    settling_.evaluations += evaluations;
    settling_.multiplications += evaluations * static_cast<double>(system.parameters());
    const double variance = spec_.noise.std * spec_.noise.std;
    for (std::size_t l = 1; l <= net.depth(); ++l)
      q_[l] -= spec_.noise.rate * (correlation.mean(l) / variance + spec_.noise.decay * q_[l]);
  }

  DfcSpec spec_;
  RuleContext context_;
  models::Place place_;
  std::vector<MatrixXd> q_;  // Q_l by layer, l = 1 … L
};

// --- Equilibrium propagation ---------------------------------------------------------------------

struct EpSpec {
  RestSpec rest;
  double beta = 0.1, feedback_gain = 1, tau = 1;
  bool symmetric = false;
  std::string energy = "hopfield";

  void fields(core::Fields& f) {
    f.number({"beta", "1", "β, the strength of nudging"}, beta, core::positive());
    f.boolean({"symmetric", "", "compare β with −β in place of 0"}, symmetric);
    f.choice({"energy", "", "of the states, or of their rates"}, energy, {"hopfield", "rate"});
    f.number({"feedback_gain", "1", "γ, of what layers hear from above; 1: tied weights"},
             feedback_gain, core::positive());
    f.number({"tau", "time", "τ of every layer"}, tau, core::positive());
  }
  void check(const models::Place&) const {}
};

class EquilibriumPropagation final : public Rule<double> {
 public:
  EquilibriumPropagation(EpSpec spec, const Network<double>&, const RuleContext&,
                         const models::Place&)
      : spec_(std::move(spec)) {}

  void assign(const Lesson<double>& lesson, Credit<double>& credit) override {
    const models::LayeredNet net = layered(lesson.network, lesson.activity);
    models::NudgingCost cost = models::NudgingCost::linear;
    if (lesson.loss == Loss::squared_error &&
        lesson.network.kind == Network<double>::Output::linear)
      cost = models::NudgingCost::squared_error;
    if (lesson.loss == Loss::cross_entropy &&
        lesson.network.kind == Network<double>::Output::logistic)
      cost = models::NudgingCost::logistic_cross_entropy;
    MatrixXd target = lesson.targets;
    const auto phase = [&](double beta) {
      return system::compile(
          models::equilibrium_propagation(net, {.beta = beta,
                                                .feedback_gain = spec_.feedback_gain,
                                                .rate_energy = spec_.energy == "rate",
                                                .tau = spec_.tau,
                                                .cost = cost,
                                                .target = target}));
    };
    BatchRest batch(spec_.rest, net.input.cols());
    const system::OdeSystem free = phase(0);
    const MatrixXd unforced = batch.settle(free, free.initial_state(), "free phase");
    const std::vector<MatrixXd> r_free = rates(free, net, unforced);
    if (cost == models::NudgingCost::linear) {
      MatrixXd output;
      output_of<double>(lesson.network.kind, r_free.back(), output);
      output_error<double>(lesson.loss, lesson.network.kind, output, lesson.targets, target);
    }
    const auto nudged = [&](double beta) {
      return rates(free, net, batch.settle(phase(beta), unforced, "nudged phase"));
    };
    const std::vector<MatrixXd> above = nudged(spec_.beta);
    const std::vector<MatrixXd> below = spec_.symmetric ? nudged(-spec_.beta) : r_free;
    credit.reset(net.depth() + 1);
    double scale = 1 / (spec_.symmetric ? 2 * spec_.beta : spec_.beta);  // c_l over the distance
    for (std::size_t l = net.depth(); l >= 1; --l, scale /= spec_.feedback_gain) {
      MatrixXd& post = credit.post[l];
      MatrixXd& pre = credit.pre[l];
      if (l == 1) {  // both phases have the input's rate
        post = scale * (above[1] - below[1]);
        pre.resize(0, 0);
      } else {
        post.resize(net.size(l), 2 * net.input.cols());
        post << scale * above[l], -scale * below[l];
        pre.resize(net.size(l - 1), 2 * net.input.cols());
        pre << above[l - 1], below[l - 1];
      }
      batch.blank(post);
    }
    batch.report(lesson.example, settling_);
  }
  double multiplications(const Network<double>& network, Index examples) const override {
    return of_input(network, examples);
  }

 private:
  EpSpec spec_;
};

// --- Predictive coding ---------------------------------------------------------------------------

struct PcSpec {
  RestSpec rest;
  double target_step = 1, output_precision = 1, tau = 1;

  void fields(core::Fields& f) {
    f.number({"target_step", "1", "λ: the output is held at output − λ ∂loss/∂output"}, target_step,
             core::positive());
    f.number({"output_precision", "1", "κ, that of a hidden layer being 1"}, output_precision,
             core::positive());
    f.number({"tau", "time", "τ of every hidden layer"}, tau, core::positive());
  }
  void check(const models::Place&) const {}
};

class PredictiveCoding final : public Rule<double> {
 public:
  PredictiveCoding(PcSpec spec, const Network<double>&, const RuleContext&, const models::Place&)
      : spec_(std::move(spec)) {}

  void assign(const Lesson<double>& lesson, Credit<double>& credit) override {
    const models::LayeredNet net = layered(lesson.network, lesson.activity);
    credit.reset(net.depth() + 1);
    if (net.depth() == 1) {  // nothing is free to settle
      credit.post[1] = lesson.error;
      credit.pre[1].resize(0, 0);
      return;
    }
    const MatrixXd target = net.start.back() + spec_.target_step * lesson.error;
    const system::OdeSystem system =
        system::compile(models::predictive_coding(net, target, spec_.tau, spec_.output_precision));
    BatchRest batch(spec_.rest, net.input.cols());
    const MatrixXd rest = batch.settle(system, system.initial_state(), "inference");
    system::Workspace workspace = system.make_workspace();
    system.begin({.phase = 0, .begin = 0, .end = 0}, workspace);
    system.evaluate(0, rest, workspace);
    const double scale = 1 / (spec_.target_step * spec_.output_precision);
    for (std::size_t l = 1; l <= net.depth(); ++l) {
      const int error = system.circuit().find("error_" + std::to_string(l));
      credit.post[l] = scale * system.value(error, rest, workspace);
      batch.blank(credit.post[l]);
      if (l > 1)
        credit.pre[l] = rate(net.transfer(l - 1), part(system, net.name(l - 1), rest));
      else
        credit.pre[l].resize(0, 0);
    }
    batch.report(lesson.example, settling_);
  }
  // With the errors at rest.
  double multiplications(const Network<double>& network, Index examples) const override {
    return network.depth() == 1 ? 0 : products(network, 1, examples);
  }

 private:
  PcSpec spec_;
};

}  // namespace

std::vector<core::Entry<RuleKind>> energy_rules() {
  return {
      {"dfc",
       "a controller at the output drives all layers of the network towards a target "
       "(Meulemans et al. 2021)",
       []() -> std::unique_ptr<RuleKind> { return std::make_unique<Kind<Dfc, DfcSpec>>("dfc"); }},
      {"equilibrium_propagation",
       "a network with tied weights at rest in an energy, free and nudged (Scellier & Bengio "
       "2017)",
       []() -> std::unique_ptr<RuleKind> {
         return std::make_unique<Kind<EquilibriumPropagation, EpSpec>>("equilibrium_propagation");
       }},
      {"predictive_coding",
       "layers at rest between predictions from below and errors from above (Whittington & "
       "Bogacz 2017)",
       []() -> std::unique_ptr<RuleKind> {
         return std::make_unique<Kind<PredictiveCoding, PcSpec>>("predictive_coding");
       }}};
}

}  // namespace settle::learning
