// Where nobody looks at the steps, "exact" leaves out those that decide nothing.
#include <catch2/catch.hpp>
#include <cmath>

#include "sim/solve/linear_flow.hpp"
#include "sim/system/linear_structure.hpp"
#include "tests/random_circuits.hpp"
#include "tests/support.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using settle::test::Samples;
using settle::test::Simulation;
using solve::Outcome;

namespace {

// Takes samples, but doesn't look at the steps.
class Seldom final : public solve::Observer {
 public:
  explicit Seldom(double interval) : interval_(interval) {}
  solve::Sampling sampling() const override { return {.interval = interval_}; }
  void sample(double, const system::ConstBlock& x, system::Workspace&) override {
    states.emplace_back(x);
  }
  bool wants_histories() const override { return false; }
  std::vector<MatrixXd> states;

 private:
  double interval_;
};

}  // namespace

TEST_CASE("where nobody looks at the steps, random circuits come to rest as they do step by step") {
  solve::SolverOptions options;
  options.method = "exact";
  options.duration = 200;
  int settled = 0, others = 0;
  std::int64_t steps = 0, fewer = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    test::RandomCircuit random = test::random_circuit(seed);
    random.circuit.phases.back().duration = 200;
    const system::OdeSystem system = system::compile(random.circuit);
    const auto last = static_cast<int>(random.circuit.phases.size()) - 1;
    bool linear = true;
    for (int phase = 0; phase <= last; ++phase)
      linear = linear && system::why_not_linear(system, phase).empty();
    if (!linear) continue;
    CAPTURE(seed, random.description);
    Samples watched({.interval = 10});
    Seldom seldom(10);
    const auto all = solve::solve(system, system.initial_state(), options, watched);
    const auto some = solve::solve(system, system.initial_state(), options, seldom);
    steps += all.steps;
    fewer += some.steps;
    for (std::size_t k = 0; k < all.trials.size(); ++k) {
      const auto &a = all.trials[k], &b = some.trials[k];
      CAPTURE(k, a.reason, b.reason, a.settled_at, b.settled_at);
      CHECK(a.outcome == b.outcome);
      (a.outcome == Outcome::settled ? settled : others) += 1;
      if (a.outcome != Outcome::settled || b.outcome != Outcome::settled) continue;
      // Steps end behind it, or pass over a last short peak: by a length of theirs, at most a 64th of
      // the phase.
      CHECK(std::abs(a.settled_at - b.settled_at) <= 200.0 / 64);
    }
    REQUIRE(watched.states.size() == seldom.states.size());
    // The same formula; a step that ends at the time of a sample but for rounding is the sample.
    for (std::size_t i = 0; i < watched.states.size(); ++i) {
      const auto a = watched.states[i].array(), b = seldom.states[i].array();
      CHECK(((a - b).abs() <= 1e-12 * (1 + a.abs()) || a.isNaN()).all());
    }
  }
  CHECK(settled > 20);
  CHECK(others > 10);
  CHECK(fewer < steps / 2);
}

TEST_CASE(
    "the time at which a trial comes to rest is that at which its residual passes the tolerance") {
  // ẋ = −0.1 (x − 1) from 0: |ẋ| / max(|x|, …) = tolerance at e^{−0.1 t} (0.1 + tolerance) = tolerance.
  Simulation s(R"(
[solver]
method = "exact"
duration = 500.0
settled = { tolerance = 1e-4 }
[[population]]
name = "x"
size = 1
leak = 0.1
bias = 0.1
)");
  s.config.solver.ends_when_settled = false;
  Seldom seldom(std::numeric_limits<double>::infinity());
  const auto summary = solve::solve(s.system, s.system.initial_state(), s.config.solver, seldom);
  REQUIRE(summary.trials[0].outcome == Outcome::settled);
  CHECK(summary.trials[0].settled_at == Approx(10 * std::log((0.1 + 1e-4) / 1e-4)).epsilon(1e-4));
  CHECK(summary.steps == 2);
  // Steps whose length is limited are made.
  s.config.solver.max_step = 10;
  const auto limited = solve::solve(s.system, s.system.initial_state(), s.config.solver, seldom);
  CHECK(limited.steps >= 50);
}

TEST_CASE("a loop is above the tolerance until it comes to rest, and below from then on") {
  for (const std::string feedback :
       {"{ init = \"negative_transpose\" }", "{ init = \"negative_pseudoinverse\" }"})
    for (const std::string layers : {"[30, 12]", "[12, 30]", "[12, 12]"}) {
      Simulation s(
          "[solver]\nmethod = \"exact\"\nduration = 2000.0\n[model]\nkind = "
          "\"dynamic_inversion\"\ntransfer = \"identity\"\nlayers = " +
          layers +
          "\nforward = { init = \"uniform\", low = -0.6, high = 0.6 }\nfeedback = " + feedback +
          "\nsetpoint = { init = \"normal\", std = 0.3 }\n[model.controller]\nleak = 0.05\n");
      CAPTURE(layers, feedback);
      Seldom seldom(std::numeric_limits<double>::infinity());
      const auto summary =
          solve::solve(s.system, s.system.initial_state(), s.config.solver, seldom);
      REQUIRE(summary.trials[0].outcome == Outcome::settled);
      CHECK(summary.steps == 2);
      const double tolerance = s.config.solver.settled_tolerance(),
                   at_rest = summary.trials[0].settled_at;
      solve::LinearFlow flow(s.system, {});
      system::Workspace workspace = s.system.make_workspace();
      const system::Segment segment{0, 0, 2000};
      s.system.begin(segment, workspace);
      flow.begin(segment, s.system.initial_state(), workspace);
      solve::LinearFlow::Scratch scratch;
      const auto residual = [&](double t) {
        MatrixXd x(s.system.dimension(), 1), rate(s.system.dimension(), 1);
        const solve::LinearFlow::Instant instant{0, t};
        flow.evaluate({&instant, 1}, x, rate, scratch);
        return s.system.tau().cwiseProduct(rate.col(0)).cwiseAbs().maxCoeff() /
               x.cwiseAbs().maxCoeff();
      };
      // It is found to a ten-thousandth of the residual, which falls by some per cent a time unit or faster.
      CHECK(residual(at_rest) <= tolerance * (1 + 1e-9));
      CHECK(residual(at_rest - 0.01) > tolerance);
      for (double later = 0.01; later < 500; later *= 1.03)
        CHECK(residual(at_rest + later) <= tolerance);
    }
}

TEST_CASE("trials that leap have the same bits alone and beside others") {
  Simulation s(
      "trials = 70\n[solver]\nmethod = \"exact\"\nduration = 300.0\n[model]\nkind = "
      "\"dynamic_inversion\"\ntransfer = \"identity\"\nlayers = [40, 15]\n"
      "forward = { init = \"uniform\", low = -0.5, high = 0.5 }\n"
      "setpoint = { init = \"normal\", std = 0.3 }\n[model.controller]\nleak = 0.1\n");
  Seldom seldom(std::numeric_limits<double>::infinity());
  const auto all = solve::solve(s.system, s.system.initial_state(), s.config.solver, seldom);
  for (const Index trial : {0, 1, 37, 69}) {
    const system::OdeSystem alone = system::compile(s.circuit().of_trial(trial));
    const auto own = solve::solve(alone, alone.initial_state(), s.config.solver, seldom);
    const auto& beside = all.trials[static_cast<std::size_t>(trial)];
    CHECK(own.trials[0].settled_at == beside.settled_at);
    CHECK(own.trials[0].residual == beside.residual);
    CHECK(own.final_state.col(0) == all.final_state.col(trial));
    CHECK(beside.outcome == Outcome::settled);
  }
}
