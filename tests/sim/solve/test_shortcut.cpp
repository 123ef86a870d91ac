// States of rest without the way there: they are those that an integration ends in, or it integrates.
#include <catch2/catch.hpp>
#include <cmath>

#include "sim/solve/attraction.hpp"
#include "tests/random_circuits.hpp"
#include "tests/support.hpp"

using namespace settle;
using solve::Index;
using solve::MatrixXd;
using solve::Outcome;
using test::Simulation;

namespace {

// An integration whose end is about as exact as the state of rest.
const std::string tight =
    "method = \"dopri5\"\nrtol = 1e-11\natol = 1e-13\nduration = 1e5\n"
    "settled = { tolerance = 1e-9 }\n";

std::string solver(bool shortcut) {
  return "[solver]\n" + (shortcut ? std::string("shortcut = true\nsettled = {}\n") : tight);
}

std::string layer(const std::string& layers, const std::string& controller,
                  const std::string& more = "") {
  return "[model]\nkind = \"dynamic_inversion\"\nlayers = " + layers +
         "\nforward = { init = \"normal\", std = 0.4 }\n"
         "setpoint = { init = \"normal\", std = 0.3 }\n" +
         more + "[model.controller]\n" + controller;
}

bool was_skipped(const solve::SolveSummary& summary) {
  const auto& skipped = summary.phases.back().skipped;
  return std::all_of(skipped.begin(), skipped.end(), [](char one) { return one != 0; });
}

solve::Attraction attraction(const std::string& toml) {
  const Simulation s(toml);
  return solve::find_attraction({s.system, {}});
}

// n units τẋ = −x + 2 tanh x: each rests at 0, which is unstable, or at ±1.915.
const std::string bistable =
    "[[population]]\nname = \"x\"\nsize = 3\ntransfer = \"tanh\"\ninitial = 0.1\n"
    "[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = { init = \"identity\", scale = 2.0 }\n";

}  // namespace

TEST_CASE("a shortcut ends where an integration ends") {
  const std::string circuits[] = {
      layer("[12, 7]", "leak = 0.05\n"),
      layer("[12, 7]", "leak = 0.05\ntau = 0.4\n", "transfer = \"identity\"\n"),
      layer("[12, 7]", "leak = 0.05\ngains = { p = 0.6, i = 2.0 }\n"),
      layer("[5, 9]", "leak = 0.2\n", "transfer = \"relu\"\n"),
      layer("[12, 7]", "leak = 0.05\ngains = { i = 1.0, d = 0.4 }\n", "transfer = \"identity\"\n"),
      layer("[9, 8, 5]", "leak = 0.1\n", "trials = 3\n"),
      layer("[9, 8, 5]", "leak = 0.1\n", "scheme = \"simultaneous\"\n"),
      layer("[9, 8, 5]", "leak = 0.1\n",
            "scheme = \"simultaneous\"\ntransfer = [\"softplus\", \"tanh\"]\n"),
      // Out of reach of tanh: the integral winds up.
      layer("[4, 4]", "leak = 0.01\n") + "[record]\n",
  };
  for (std::size_t k = 0; k < std::size(circuits); ++k) {
    CAPTURE(circuits[k]);
    Simulation s(circuits[k] + solver(true)), full(circuits[k] + solver(false));
    const auto found = s.run(), expected = full.run();
    REQUIRE(found.outcome() == Outcome::settled);
    REQUIRE(expected.outcome() == Outcome::settled);
    CHECK(was_skipped(found));
    CHECK(found.t_end == 0);
    CHECK(found.steps == 0);
    CHECK(std::isnan(found.trials.front().settled_at));
    CHECK(found.trials.front().skipped);
    CHECK_FALSE(expected.trials.front().skipped);
    // The integration stops at a relative residual of 1e-9, a hundred time constants from rest at most.
    CHECK(test::relative(found.final_state, expected.final_state) < 1e-7);
  }
}

TEST_CASE("a shortcut starts from where the circuit is, and a later phase from its end") {
  const std::string circuit = layer("[9, 8, 5]", "leak = 0.1\n", "trials = 2\n");
  const auto with_last = [&](bool shortcut) {
    Simulation s(circuit + "[solver]\nrtol = 1e-9\natol = 1e-12\nduration = 1e4\nshortcut = " +
                 (shortcut ? "true\n" : "false\nsettled = { tolerance = 1e-8 }\n"));
    system::Circuit changed = s.circuit();
    system::Phase last = changed.phases.front();
    last.name = "last";
    last.until_settled = false;
    last.duration = 3;
    last.hold.clear();
    last.reset = {changed.find("hidden_2")};
    changed.phases.push_back(last);
    const system::OdeSystem system = system::compile(changed);
    return test::record(system, s.config.solver, 0.5);
  };
  const auto found = with_last(true), expected = with_last(false);
  REQUIRE(found.summary.phases.size() == 3);
  CHECK(found.summary.phases[1].skipped == std::vector<char>{1, 1});
  CHECK(found.summary.phases[2].skipped == std::vector<char>{0, 0});
  CHECK(found.summary.t_end == 3);
  // Start, the ends of two phases that take no time, and six rows of the last.
  CHECK(found.samples.times == std::vector<double>{0, 0, 0, 0.5, 1, 1.5, 2, 2.5, 3});
  // Rest to a relative residual of 1e-8, with time constants of ten.
  CHECK(test::relative(found.summary.final_state, expected.summary.final_state) < 1e-6);
  CHECK(test::relative(found.samples.states[2], expected.summary.phases[1].state) < 1e-6);
}

TEST_CASE("what is not shown to be reached is integrated, and says why") {
  const std::string ask = "[solver]\nshortcut = true\nduration = 60.0\nsettled = {}\n";
  const auto same_as_without = [](const std::string& toml) {
    CAPTURE(toml);
    Simulation s(toml);
    const auto with = s.run();
    const test::Samples samples = s.samples;
    s.config.solver.shortcut = false;
    const auto without = s.run();
    CHECK_FALSE(was_skipped(with));
    CHECK(with.t_end == without.t_end);
    CHECK(with.outcome() == without.outcome());
    const auto &x = with.final_state, &y = without.final_state;  // NaN where it left
    CHECK((x.array() == y.array() || (x.array().isNaN() && y.array().isNaN())).all());
    CHECK(samples.times == s.samples.times);
    return with;
  };
  SECTION("several states of rest") {
    const auto summary = same_as_without(ask + bistable);
    CHECK(summary.shortcuts.front().find("no proof was found for the loop of x") !=
          std::string::npos);
    CHECK(summary.final_state(0, 0) == Approx(1.9150080481545).epsilon(1e-4));
  }
  SECTION("random feedback to a nonlinear layer") {
    same_as_without(
        ask + layer("[8, 6]", "leak = 0.3\n", "feedback = { init = \"normal\", std = 0.1 }\n"));
  }
  SECTION("an unstable loop") {
    const auto summary = same_as_without(
        ask + layer("[8, 6]", "leak = 0.1\n",
                    "transfer = \"identity\"\nfeedback = { init = \"normal\", std = 1.0 }\n"));
    CHECK(summary.outcome() == Outcome::diverged);
  }
  SECTION("a source that still changes") {
    const auto summary = same_as_without(
        ask + layer("[8, 6]", "leak = 0.3\n") +
        "[[source]]\nto = \"hidden\"\nsignal = { kind = \"sine\", period = 5.0, values = 0.1 }\n");
    CHECK(summary.shortcuts.empty());
  }
}

TEST_CASE("a shortcut begins behind the last breakpoint") {
  Simulation s("[solver]\nshortcut = true\nsettled = {}\n" + layer("[8, 6]", "leak = 0.3\n") +
               "[[source]]\nto = \"hidden\"\nsignal = { kind = \"pulse\", at = 1.0, width = 2.0, "
               "values = 0.5 }\n");
  const auto summary = s.run();
  CHECK(was_skipped(summary));
  CHECK(summary.t_end == 3);
  CHECK(summary.steps > 0);
}

TEST_CASE("trials that are shown to rest wait for the others") {
  // A gate for each trial: with the first the loop is negative feedback, with the second it grows into
  // another loop, of which nothing is shown.
  const std::string circuit =
      "[[population]]\nname = \"x\"\nsize = 1\ntransfer = \"tanh\"\nbias = 0.2\n"
      "[[projection]]\nname = \"self\"\nfrom = \"x\"\nto = \"x\"\nweights = { values = [[1.0]] }\n";
  Simulation s("trials = 2\n[solver]\nshortcut = true\nduration = 200.0\nsettled = {}\n" + circuit);
  system::Circuit gated = s.circuit();
  gated.edges.front().gate = (MatrixXd(1, 2) << -0.5, 2).finished();
  const system::OdeSystem system = system::compile(gated);
  const test::Recorded both = test::record(system, s.config.solver, 1.0);
  CHECK(both.summary.phases.front().skipped == std::vector<char>{1, 0});
  CHECK(both.summary.outcome() == Outcome::settled);
  CHECK(both.summary.t_end > 5);
  const double x = both.summary.final_state(0, 0);
  CHECK(x == Approx(0.2 - 0.5 * std::tanh(x)).epsilon(1e-12));
  // What happened in between is not known.
  REQUIRE(both.samples.times.size() > 3);
  CHECK(std::isnan(both.samples.states[2](0, 0)));
  CHECK(std::isfinite(both.samples.states[2](0, 1)));
  CHECK(both.samples.states.back()(0, 0) == x);
  CHECK(std::isnan(both.summary.trials[0].settled_at));
  CHECK(both.summary.trials[1].settled_at > 0);
  // Steps are made by all or none.
  test::Samples steps({.steps = true});
  const auto shared = solve::solve(system, system.initial_state(), s.config.solver, steps);
  CHECK(shared.phases.front().skipped == std::vector<char>{0, 0});
}

TEST_CASE("proofs that every start ends in one state of rest") {
  const auto proof = [](const std::string& toml) { return attraction(toml).proof; };
  CHECK(proof(layer("[8, 6]", "leak = 0.1\n")) == "by a Lyapunov function");
  CHECK(proof(layer("[8, 6]", "leak = 0.1\ngains = { p = 3.0, i = 5.0 }\n")) ==
        "by a Lyapunov function");
  // Scaled negative feedback is another gain.
  CHECK(proof(layer("[8, 6]", "leak = 0.1\n",
                    "feedback = { init = \"negative_transpose\", scale = 3.0 }\n")) ==
        "by a Lyapunov function");
  // Without a leak nothing of the kind holds of a saturating layer.
  CHECK(proof(layer("[8, 6]", "leak = 0.0\n")).empty());
  // D control and one loop around two populations have other linear proofs only.
  CHECK(proof(layer("[8, 6]", "leak = 0.1\ngains = { i = 1.0, d = 0.5 }\n")).empty());
  CHECK(proof(layer("[8, 6]", "leak = 0.1\ngains = { i = 1.0, d = 0.5 }\n",
                    "transfer = \"identity\"\n")) == "by its poles");
  // sin has slopes of both signs, of size 1 at most.
  const auto sines = [](const std::string& scale) {
    return "[[population]]\nname = \"x\"\nsize = 3\ntransfer = \"sine\"\n[[projection]]\nfrom = "
           "\"x\"\nto = \"x\"\nweights = { init = \"identity\", scale = " +
           scale + " }\n";
  };
  CHECK(proof(sines("0.9")) == "by contraction");
  CHECK(proof(sines("1.1")).empty());
  CHECK(proof(bistable).empty());
}

TEST_CASE("a shortcut needs a method that follows the circuit") {
  CHECK_THROWS_WITH(Simulation("[solver]\nmethod = \"euler\"\nstep = 0.1\nshortcut = true\n" +
                               layer("[4, 3]", "leak = 0.1\n")),
                    Catch::Contains("solver.shortcut") && Catch::Contains("fixed step"));
}

TEST_CASE("a hundred random circuits: a shortcut is taken only to where an integration ends") {
  int taken = 0, integrated = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    const test::RandomCircuit random = test::random_circuit(seed);
    CAPTURE(seed, random.description);
    system::Circuit circuit = random.circuit;
    circuit.phases = {circuit.phases.front()};
    circuit.phases.front() = {};
    circuit.phases.front().until_settled = true;
    solve::SolverOptions options;
    options.method = "dopri5";
    options.rtol = 1e-8;
    options.atol = 1e-11;
    options.duration = 300;
    options.settled.tolerance = 1e-7;
    options.shortcut = true;
    const system::OdeSystem system = system::compile(circuit);
    const test::Recorded found = test::record(system, options, 10);
    options.shortcut = false;
    const test::Recorded expected = test::record(system, options, 10);
    for (Index k = 0; k < system.trials(); ++k) {
      const auto trial = static_cast<std::size_t>(k);
      const Outcome outcome = expected.summary.trials[trial].outcome;
      if (!found.summary.trials[trial].skipped) {
        ++integrated;
        CHECK(found.summary.trials[trial].outcome == outcome);
        continue;
      }
      ++taken;
      CHECK(found.summary.trials[trial].outcome == Outcome::settled);
      CHECK(outcome != Outcome::diverged);
      CHECK(outcome != Outcome::oscillating);
      if (outcome != Outcome::settled) continue;
      // A relative residual of 1e-7, and leaks and poles of about 0.01 at least.
      CHECK(test::relative(found.summary.final_state.col(k), expected.summary.final_state.col(k)) <
            3e-5);
    }
  }
  CHECK(taken >= 25);
  CHECK(integrated >= 25);
}
