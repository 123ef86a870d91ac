#include <catch2/catch.hpp>

#include "learning/inversion_circuit.hpp"
#include "learning/inversion_rules.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using Catch::Contains;
using test::error_of;
using test::relative;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

core::Value parsed(const std::string& toml) {
  return *io::parse_toml("rule = { " + toml + " }", "f.toml").find("rule");
}

std::unique_ptr<RuleKind> kind(const std::string& name, const std::string& toml) {
  for (const auto& entry : inversion_rules()) {
    if (entry.name != name) continue;
    std::unique_ptr<RuleKind> made = entry.make();
    made->place = {parsed(toml), "rule"};
    core::Reader reader(made->place.at, "rule");
    made->fields(reader);
    reader.finish();
    return made;
  }
  throw std::out_of_range(name);
}

// A tanh network with random weights, and a batch that went through it.
struct Batch {
  Network<double> network;
  Activity<double> activity;
  MatrixXd targets, error;

  explicit Batch(const std::vector<std::int64_t>& layers, Index examples = 3,
                 bool normalised = false, std::uint64_t seed = 1) {
    NetworkSpec spec;
    spec.layers = layers;
    spec.batch_normalisation = normalised;
    spec.weights = {
        models::read_init(parsed("init = \"uniform\", low = -0.8, high = 0.8"), "weights")};
    network = make_network<double>(spec, seed, ".");
    look(models::make_columns(spec.weights[0], layers.front(), examples, true,
                              {.seed = seed, .stream = "x", .base = {}, .weights_of = {}}));
  }
  void look(const MatrixXd& inputs) {
    network.forward(inputs, activity, true);
    targets = MatrixXd::Constant(network.size(network.depth()), inputs.cols(), 0.3);
    output_error<double>(Loss::squared_error, network.kind, activity.output(), targets, error);
  }
  Lesson<double> lesson(std::uint64_t example = 0) const {
    return {network, activity, targets, error, Loss::squared_error, example};
  }
  const MatrixXd& slope(Index l) const { return activity.slope[at(l)]; }
};

struct Outcome {
  std::vector<MatrixXd> post;
  std::vector<MatrixXd> feedback;
  Settling settling;
};

Outcome run(const Batch& batch, const std::string& name, const std::string& toml) {
  const auto rule = kind(name, toml)->make(batch.network, RuleContext{});
  Credit<double> credit;
  rule->assign(batch.lesson(), credit);
  return {credit.post, rule->feedback(batch.network), rule->take_settling()};
}

// B (W B − I/G)⁻¹ δ, by whichever of its two forms has a matrix that is sure to be regular.
MatrixXd inverted(const MatrixXd& w, const MatrixXd& b, double inverse_gain, const MatrixXd& y) {
  if (w.rows() <= w.cols())
    return b *
           (w * b - inverse_gain * MatrixXd::Identity(w.rows(), w.rows())).partialPivLu().solve(y);
  return (b * w - inverse_gain * MatrixXd::Identity(w.cols(), w.cols()))
      .partialPivLu()
      .solve(b * y);
}

const std::vector<std::vector<std::int64_t>> shapes = {
    {7, 9, 5, 3}, {4, 5, 8}, {5, 6, 6, 4}, {3, 4, 7, 5}};

// Residuals below 1e-10 of the state, over a slowest pole that is not slower than the leak of .1, leave an
// error of 1e-9 at most; the closed form leaves less.
const std::string strict = "leak = 0.1, tolerance = 1e-10, duration = 2000";
constexpr double strict_error = 3e-9;

TEST_CASE("settled dynamic inversion is the non-dynamic one") {
  const auto [gains, inverse_gain] = GENERATE(Catch::Generators::table<std::string, double>(
      {{"{ i = 1.0 }", 0.1},
       {"{ p = 0.3, i = 1.3 }", 1 / (13 + 0.3)},
       {"{ p = 0.2, i = 1.0, d = 0.05 }", 1 / (10 + 0.2)}}));
  const std::string feedback =
      GENERATE("{ init = \"negative_transpose\" }", "{ init = \"negative_pseudoinverse\" }");
  for (std::size_t k = 0; k < shapes.size(); ++k) {
    const Batch batch(shapes[k], k == 0 ? 1 : 5, false, k + 1);
    const Outcome out =
        run(batch, "di", strict + ", gains = " + gains + ", feedback = " + feedback);
    MatrixXd delta = batch.error;
    for (Index l = batch.network.depth(); l >= 2; --l) {
      delta = batch.slope(l - 1).cwiseProduct(
          inverted(batch.network.w(l), out.feedback[at(l)], inverse_gain, delta));
      CHECK(relative(out.post[at(l - 1)], delta) < strict_error);
    }
    CHECK(out.settling.examples == batch.error.cols());
    CHECK(out.settling.unsettled == 0);
    CHECK(out.settling.time > 0);
    CHECK(out.settling.multiplications > 0);
    CHECK(out.post.back() == batch.error);
  }
}

TEST_CASE("a loop in its narrow coordinates moves as the whole circuit does") {
  const std::string layers = GENERATE("[9, 4]", "[4, 9]", "[5, 5]");
  const std::string method = GENERATE("dopri5", "semi_implicit_euler");
  const std::string solver = method == "dopri5" ? "method = \"dopri5\"\nrtol = 1e-10\natol = 1e-14"
                                                : "method = \"semi_implicit_euler\"\nstep = 0.05";
  test::Simulation whole(R"(
[model]
kind = "dynamic_inversion"
loop = "linear"
layers = )" + layers + R"(
forward = { init = "normal", std = 0.5 }
feedback = { init = "normal", std = 0.5 }
setpoint = { init = "normal" }
trials = 3
[model.controller]
leak = 0.2
gains = { p = 0.4, i = 1.2, d = 0.1 }
[solver]
duration = 3.0
)" + solver);
  const MatrixXd state = whole.run().final_state;
  const MatrixXd w = whole.weights("hidden->control"), b = whole.weights("control->hidden");
  InversionCircuit narrow({.leak = 0.2, .p = 0.4, .i = 1.2, .d = 0.1}, 3);
  narrow.add("", {{{.weights = &w}}, &b}, whole.setpoint("control"));
  narrow.circuit().phases.front() = {.name = "settle", .duration = 3.0};
  const system::OdeSystem system = system::compile(narrow.circuit());
  CHECK(system.dimension() == 3 * std::min(w.rows(), w.cols()));
  test::Samples samples;
  const MatrixXd found =
      solve::solve(system, system.initial_state(), whole.config.solver, samples).final_state;
  // Two runs at a tolerance of 1e-10 a step, some 1000 of them; the fixed steps are the same to rounding.
  CHECK(relative(narrow.rate(0, 1, found), whole.part("hidden", state)) < 1e-8);
}

TEST_CASE("simultaneous dynamic inversion ends where sequential does") {
  const std::string loop = GENERATE("linear", "linearised", "transfer");
  const std::vector<std::int64_t> layers =
      GENERATE(std::vector<std::int64_t>{7, 9, 6, 5, 3}, std::vector<std::int64_t>{4, 3, 5, 6});
  const Batch batch(layers, 4);
  const std::string rest = "leak = 0.1, tolerance = 1e-8, loop = \"" + loop + "\"";
  const Outcome turns = run(batch, "di", rest);
  const Outcome together = run(batch, "di", rest + ", scheme = \"simultaneous\"");
  CHECK(together.settling.unsettled == 0);
  // A residual of 1e-8, over a pole of .1 at the slowest, in each of a few loops.
  for (Index l = 1; l < batch.network.depth(); ++l)
    CHECK(relative(together.post[at(l)], turns.post[at(l)]) < 1e-6);
}

TEST_CASE("single-loop inversion ends in its own linear steady state") {
  // The path's gain limit: sigma_max² of the product stays below it for α = .5.
  const std::vector<std::int64_t> layers =
      GENERATE(std::vector<std::int64_t>{5, 6, 3}, std::vector<std::int64_t>{5, 3, 6},
               std::vector<std::int64_t>{5, 4, 4, 3}, std::vector<std::int64_t>{5, 3, 4, 6});
  const std::string feedback = GENERATE("{ init = \"negative_transpose\" }",
                                        "[{ init = \"negative_transpose\" }, "
                                        "{ init = \"negative_transpose\" }]");
  if (layers.size() == 3 && feedback[0] == '[') return;  // one feedback alone
  Batch batch(layers, 4);
  for (MatrixXd& w : batch.network.weights) w *= 0.6;
  batch.look(batch.activity.h[0]);
  const Outcome out = run(batch, "sdi", "leak = 0.5, tolerance = 1e-10, feedback = " + feedback);
  REQUIRE(out.settling.unsettled == 0);
  const Index depth = batch.network.depth();
  MatrixXd a = batch.network.w(2);
  for (Index l = 3; l <= depth; ++l) a = batch.network.w(l) * a;
  MatrixXd x = inverted(a, -a.transpose(), 0.5, batch.error);
  for (Index l = 1; l < depth; ++l) {
    if (l > 1) x = batch.network.w(l) * x;
    CHECK(relative(out.post[at(l)], batch.slope(l).cwiseProduct(x)) < strict_error);
  }
}

TEST_CASE("with one hidden layer the single loop is the loop of the layer") {
  const std::string loop = GENERATE("linear", "transfer", "linearised");
  const Batch batch({5, 7, 3});
  const std::string toml = "leak = 0.1, loop = \"" + loop + "\"";
  CHECK(relative(run(batch, "sdi", toml).post[1], run(batch, "di", toml).post[1]) < 1e-12);
}

TEST_CASE("a loop with its transfer ends where W φ(r) is what was wanted, but for the leak") {
  const auto [layers, name] =
      GENERATE(Catch::Generators::table<std::vector<std::int64_t>, std::string>(
          {{{5, 7, 3}, "di"}, {{5, 3, 6}, "di"}, {{5, 7, 3}, "sdi"}}));
  const Batch batch(layers, 4);
  const Outcome out = run(batch, name,
                          "leak = 0.1, loop = \"transfer\", gains = { p = 0.2, i = 1.0 }, "
                          "tolerance = 1e-8");
  REQUIRE(out.settling.unsettled == 0);
  const MatrixXd& w = batch.network.w(2);
  const MatrixXd& r = out.post[1];
  const MatrixXd e = w * r.array().tanh().matrix() - batch.error;
  // r = B u and u = G e; no φ′ of the forward pass in it. Tolerance over the slowest pole.
  CHECK(relative(r, 10.2 * out.feedback[2] * e) < 1e-6);
}

TEST_CASE("a linearised loop inverts W diag(φ′) of each example") {
  const auto layers =
      GENERATE(std::vector<std::int64_t>{5, 7, 3}, std::vector<std::int64_t>{5, 3, 6});
  const Index examples = GENERATE(1, 4);
  const bool normalised = GENERATE(false, true);
  if (normalised && examples == 1) return;  // a batch of one has no spread
  const Batch batch(layers, examples, normalised);
  const Outcome out = run(batch, "di", strict + ", loop = \"linearised\"");
  for (Index c = 0; c < examples; ++c) {
    const MatrixXd w = batch.network.w(2) * batch.slope(1).col(c).asDiagonal();
    const MatrixXd expected = inverted(w, out.feedback[2], 0.1, batch.error.col(c));
    CHECK(relative(out.post[1].col(c), expected) < strict_error);
  }
}

TEST_CASE("a folded normalisation is inside the transfer") {
  Batch batch({5, 7, 3}, 4, true);
  batch.network.normalisations[1].variance.setLinSpaced(0.5, 2.0);
  const VectorXd gain = batch.network.normalisations[1].folded_gain();
  const Outcome out = run(batch, "di", "leak = 0.1, loop = \"transfer\", tolerance = 1e-8");
  const MatrixXd& r = out.post[1];
  const MatrixXd e =
      batch.network.w(2) * (gain.asDiagonal() * r).array().tanh().matrix() - batch.error;
  CHECK(relative(r, 10 * out.feedback[2] * e) < 1e-6);
}

TEST_CASE("rest without the way there is rest") {
  const std::string loop = GENERATE("linear", "linearised", "transfer");
  const std::string name = GENERATE("di", "sdi");
  const Batch batch({5, 8, 3}, 4);
  const std::string toml = "leak = 0.1, tolerance = 1e-8, loop = \"" + loop + "\"";
  const Outcome there = run(batch, name, toml + ", accuracy = \"rest\"");
  CHECK(there.settling.unsettled == 0);
  CHECK(there.settling.time == 0);
  CHECK(relative(there.post[1], run(batch, name, toml).post[1]) < 1e-6);
}

TEST_CASE("the paper's scheme comes to the same rest where it has the time") {
  const Batch batch({5, 8, 4, 3}, 4);
  const std::string paper = ", accuracy = \"paper\"", slow = "leak = 1e-5";
  const std::string name = GENERATE("di", "sdi");
  const std::string gentle = name == "di" ? "leak = 0.1" : "leak = 2.0";
  // 500 time units of a pole of .1 or faster leave nothing.
  CHECK(relative(run(batch, name, gentle + paper).post[1],
                 run(batch, name, gentle + ", tolerance = 1e-10").post[1]) < 1e-9);
  if (name == "sdi") return;
  // A direction that hardly moves anything is still on its way: counted, and used all the same.
  Batch flat({5, 8, 3}, 1);
  flat.network.weights[2].row(0) *= 0.01;
  const Outcome cut = run(flat, "di", slow + paper),
                full = run(flat, "di", slow + ", duration = 1e6");
  CHECK(cut.settling.unsettled == 1);
  CHECK(full.settling.unsettled == 0);
  CHECK(relative(cut.post[1], full.post[1]) > 0.1);
  CHECK(cut.post[1].norm() > 0);
}

TEST_CASE("a circuit has the time that its leak takes, unless it is told") {
  Batch batch({30, 20, 10}, 2);
  for (MatrixXd& w : batch.network.weights) w *= 0.01;
  const std::string toml = "leak = 1e-3";
  CHECK(run(batch, "di", toml).settling.unsettled == 0);
  CHECK(run(batch, "di", toml + ", duration = 2000").settling.unsettled == 2);
}

// W B = a I + b J: eigenvalues a ± ib.
Batch spiral(Index examples = 2) {
  Batch batch({2, 2, 2}, examples);
  batch.network.weights[2] = MatrixXd::Identity(2, 2);
  return batch;
}
const std::string swinging = "feedback = { values = [[-0.05, -1.0], [1.0, -0.05]] }, leak = 0.01";

TEST_CASE("a loop that is stable by the paper's condition alone is caught, and corrected") {
  const std::string name = GENERATE("di", "sdi");
  const std::string loop = GENERATE("linear", "transfer");
  const std::string toml = swinging + ", loop = \"" + loop + "\"";
  // (1 + α)² (α − a) = .061 is not above b² = 1; max Re λ(WB − αI) = −.06.
  const Outcome seen =
      run(spiral(), name, toml + ", stability = \"monitor\", unsettled = \"skip\"");
  CHECK(seen.settling.unstable == 1);
  CHECK(seen.settling.unstable_paper == 0);
  CHECK(seen.settling.interventions == 0);
  CHECK(seen.settling.unsettled == 2);
  CHECK(seen.post[1].isZero(0));
  CHECK_FALSE(seen.settling.first_failure.empty());

  const Outcome corrected = run(spiral(), name, toml + ", stability = \"correct\"");
  CHECK(corrected.settling.unstable == 1);
  CHECK(corrected.settling.interventions == 1);
  CHECK(corrected.settling.unsettled == 0);
  CHECK(corrected.post[1].col(0).norm() > 0);
  const MatrixXd w = MatrixXd::Identity(2, 2);
  const models::LoopParameters loops{.leak = 0.01};
  CHECK_FALSE(stability_of({{{.weights = &w}}, &corrected.feedback[2]}, loops).unstable);

  CHECK(run(spiral(), name, toml).settling.unstable == 0);
}

TEST_CASE("a random feedback settles exactly where the exact condition says so") {
  const auto layers =
      GENERATE(std::vector<std::int64_t>{3, 4, 2}, std::vector<std::int64_t>{3, 2, 4});
  int exact = 0, paper = 0, wrong = 0;
  // Some poles are all but zero: the time is long, and costs nothing in closed form.
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Batch batch(layers, 2, false, seed);
    const auto rule = kind("di",
                           "leak = 0.02, duration = 1e6, stability = \"monitor\", "
                           "feedback = { init = \"normal\" }")
                          ->make(batch.network, RuleContext{.seed = seed});
    Credit<double> credit;
    rule->assign(batch.lesson(), credit);
    const Settling found = rule->take_settling();
    exact += static_cast<int>(found.unstable);
    paper += static_cast<int>(found.unstable_paper);
    wrong += (found.unstable == 1) != (found.unsettled == 2);
  }
  CHECK(wrong == 0);
  CHECK(paper > 10);
  CHECK(exact > paper);
  CHECK(exact < 60);
}

TEST_CASE("a check is made in batches that hold every n-th example") {
  const Batch batch = spiral(2);
  const auto rule = kind("di", swinging + ", stability = \"monitor\", stabilise = { every = 5 }")
                        ->make(batch.network, RuleContext{});
  Credit<double> credit;
  std::vector<std::int64_t> found;
  for (std::uint64_t example = 0; example < 12; example += 2) {
    rule->assign(batch.lesson(example), credit);
    found.push_back(rule->take_settling().unstable);
  }
  CHECK(found == std::vector<std::int64_t>{1, 0, 1, 0, 0, 1});  // 0, 5 and 10
}

TEST_CASE("a null direction that only integrates does not make a loop unstable") {
  const MatrixXd w = MatrixXd::Random(6, 3), b = -w.transpose();
  const LoopStability found = stability_of({{{.weights = &w}}, &b}, {.leak = 0});
  CHECK_FALSE(found.unstable);
  CHECK_FALSE(found.unstable_paper);
}

TEST_CASE("an example that does not settle is counted, and skipped or used") {
  const std::string name = GENERATE("di", "sdi");
  const std::string loop = GENERATE("linear", "transfer");
  const std::string toml = "leak = 0.01, duration = 3.0, loop = \"" + loop + "\"";
  Batch batch({5, 6, 3}, 3);
  batch.error.col(1).setZero();  // which is at rest from the start
  const Outcome skipped = run(batch, name, toml + ", unsettled = \"skip\"");
  CHECK(skipped.settling.examples == 3);
  CHECK(skipped.settling.unsettled >= 2);
  CHECK_THAT(skipped.settling.first_failure, Contains("residual"));
  for (Index l = 1; l <= 2; ++l) {
    CHECK(skipped.post[at(l)].col(0).isZero(0));
    CHECK(skipped.post[at(l)].col(2).isZero(0));
  }
  const Outcome used = run(batch, name, toml);
  CHECK(used.settling.unsettled == skipped.settling.unsettled);
  CHECK(used.post[1].col(0).norm() > 0);
  CHECK(used.post[2] == batch.error);
}

TEST_CASE("errors of any size are propagated alike") {
  const std::string scheme = GENERATE("sequential", "simultaneous");
  Batch batch({5, 8, 4, 3}, 2);
  const std::string toml = "leak = 0.05, tolerance = 1e-8, scheme = \"" + scheme + "\"";
  const Outcome one = run(batch, "di", toml);
  batch.error *= 1e-14;
  const Outcome tiny = run(batch, "di", toml);
  CHECK(tiny.settling.unsettled == 0);
  CHECK(relative(1e14 * tiny.post[1], one.post[1]) < 1e-9);
  batch.error.setZero();
  const Outcome none = run(batch, "di", toml);
  CHECK(none.settling.unsettled == 0);
  CHECK(none.post[1].isZero(0));
}

TEST_CASE("inversion has the same bits again, and with any number of threads") {
  const std::string loop = GENERATE("linear", "transfer", "linearised");
  const std::string scheme = GENERATE("sequential", "simultaneous");
  const Batch batch({5, 8, 4, 3}, 150);
  const std::string toml =
      "leak = 0.1, tolerance = 1e-4, loop = \"" + loop + "\", scheme = \"" + scheme + "\"";
  const Outcome first = run(batch, "di", toml);
  CHECK(run(batch, "di", toml).post == first.post);
  const test::ThreadLimit one(1);
  CHECK(run(batch, "di", toml).post == first.post);
}

TEST_CASE("a warm start ends in the same state, sooner") {
  const std::string loop = GENERATE("linear", "transfer");
  Batch batch({5, 8, 4, 3}, 3);
  const std::string toml = "leak = 0.1, tolerance = 1e-6, loop = \"" + loop + "\"";
  const auto warm = kind("di", toml + ", warm_start = true")->make(batch.network, RuleContext{});
  Credit<double> credit;
  warm->assign(batch.lesson(), credit);
  batch.error *= 1.01;
  warm->take_settling();
  warm->assign(batch.lesson(), credit);
  const double time = warm->take_settling().time;
  const Outcome cold = run(batch, "di", toml);
  CHECK(time < cold.settling.time);
  // The tolerance over the slowest pole.
  CHECK(relative(credit.post[1], cold.post[1]) < 1e-4);
  // Another size of batch starts afresh.
  const Batch other({5, 8, 4, 3}, 2);
  warm->assign(other.lesson(), credit);
  CHECK(credit.post[1] == run(other, "di", toml).post[1]);
}

// Keeps what a checkpoint would, or gives it back.
class Memory final : public StateVisitor {
 public:
  void matrix(const std::string&, MatrixXd& m) override {
    if (reads_)
      m = kept_.at(next_++);
    else
      kept_.push_back(m);
  }
  void matrix(const std::string&, Eigen::MatrixXf&) override {}
  void integer(const std::string&, std::int64_t&) override {}
  void number(const std::string&, double&) override {}
  void read() { reads_ = true; }

 private:
  bool reads_ = false;
  std::vector<MatrixXd> kept_;
  std::size_t next_ = 0;
};

TEST_CASE("a rule of settling loops goes on from its state to the same bits") {
  const std::string name = GENERATE("di", "sdi");
  Batch batch({5, 8, 4, 3}, 3);
  const auto made = kind(name,
                         "leak = 0.5, warm_start = true, feedback_updates = \"kolen_pollack\", "
                         "feedback_decay = 0.01, feedback = [{ init = \"negative_transpose\" }, "
                         "{ init = \"negative_transpose\" }]");
  const auto rule = made->make(batch.network, RuleContext{});
  Credit<double> credit, again;
  rule->assign(batch.lesson(), credit);
  rule->learn(batch.lesson(), credit, 0.1);
  Memory memory;
  rule->state(memory);
  memory.read();
  const auto other = made->make(batch.network, RuleContext{.seed = 7});
  other->state(memory);
  rule->assign(batch.lesson(3), credit);
  other->assign(batch.lesson(3), again);
  CHECK(credit.post == again.post);
}

TEST_CASE("Kolen-Pollack feedback of an inverting loop aligns with -Wᵀ") {
  Batch batch({4, 5, 3}, 2);
  const double decay = 0.1, rate = 0.05;
  const auto rule = kind("di",
                         "leak = 0.5, unsettled = \"use\", feedback_updates = \"kolen_pollack\", "
                         "feedback_decay = 0.1, feedback = { init = \"normal\", std = 0.1 }")
                        ->make(batch.network, RuleContext{});
  const auto off = [&] {
    return MatrixXd(rule->feedback(batch.network)[2] + batch.network.w(2).transpose());
  };
  const MatrixXd before = off();
  Credit<double> credit;
  for (int t = 0; t < 5; ++t) {
    rule->assign(batch.lesson(), credit);
    batch.network.weights[2] = (1 - decay) * batch.network.weights[2] +
                               rate * credit.post[2] * batch.activity.h[1].transpose();
    rule->learn(batch.lesson(), credit, rate);
  }
  CHECK(relative(off(), std::pow(1 - decay, 5) * before) < 1e-12);
}

TEST_CASE("feedback that follows is -Wᵀ of the weights as they are") {
  const std::string name = GENERATE("di", "sdi");
  Batch batch({4, 3, 3, 3}, 2);
  const auto rule =
      kind(name, "leak = 0.5, feedback_updates = \"follow\"")->make(batch.network, RuleContext{});
  for (MatrixXd& w : batch.network.weights) w *= 0.5;
  Credit<double> credit;
  rule->assign(batch.lesson(), credit);
  rule->learn(batch.lesson(), credit, 0.1);
  rule->assign(batch.lesson(), credit);
  CHECK(relative(credit.post[1], run(batch, name, "leak = 0.5").post[1]) < 1e-12);
}

TEST_CASE("what inversion rules cannot do is said where it was asked for") {
  const Batch batch({4, 5, 4, 3});
  const auto error = [&](const std::string& name, const std::string& toml) {
    return error_of([&] { kind(name, toml)->make(batch.network, RuleContext{}); });
  };
  CHECK_THAT(error("di", "gains = { i = 0 }"), Contains("rule.gains") && Contains("f.toml:1"));
  CHECK_THAT(error("di", "leak = -1"), Contains("rule.leak"));
  CHECK_THAT(error("di", "loop = \"linearized\""), Contains("linearised"));
  CHECK_THAT(error("sdi", "scheme = \"sequential\""), Contains("scheme"));
  CHECK_THAT(error("di", "feedback = [1.0, 2.0, 3.0]"), Contains("rule.feedback"));
  CHECK_THAT(error("sdi", "stability = \"correct\""), Contains("rule.stability"));
  CHECK_THAT(error("sdi", "feedback_updates = \"kolen_pollack\""),
             Contains("rule.feedback_updates"));
  CHECK_THAT(error("sdi", "feedback = { init = \"ssa\" }"), Contains("rule.feedback"));
  CHECK_THAT(error_of([&] { kind("di", "kind = \"di\""); }), Contains("kind"));
  CHECK_THAT(
      error_of([&] { kind("di", "leak = 0.1")->make(batch.network.cast<float>(), RuleContext{}); }),
      Contains("float64"));
}

TEST_CASE("a network without hidden layers has its output error alone") {
  const Batch batch({4, 3}, 2);
  const Outcome out = run(batch, "di", "leak = 0.1");
  CHECK(out.post[1] == batch.error);
  CHECK(out.settling.examples == 0);
}

}  // namespace
}  // namespace settle::learning
