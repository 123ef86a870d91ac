// A hundred random circuits: what is integrated in fewer states, together with others or in lanes gives
// what each trial alone gives in all its states.
#include <catch2/catch.hpp>

#include "tests/random_circuits.hpp"
#include "tests/support.hpp"

using namespace settle;
using solve::Index;
using solve::MatrixXd;
using test::Samples;

namespace {

solve::SolverOptions plain() {
  solve::SolverOptions options;
  options.method = "dopri5";
  options.duration = 2;
  options.reduce = false;
  return options;
}

test::Recorded run(const system::OdeSystem& system, const solve::SolverOptions& options) {
  return test::record(system, options, 0.25);
}

// Whether both settle, or not, and have samples that differ by no more than ten times the tolerance, of
// the largest state on the way.
void check_same(const std::string& which, const test::Recorded& a, Index trial_a,
                const test::Recorded& b, Index trial_b, const solve::SolverOptions& options) {
  CAPTURE(which);
  REQUIRE(a.samples.times == b.samples.times);
  // Whether what has not settled grows, is read off the steps, of which so short a run has few.
  const auto settled = [](const test::Recorded& result, Index trial) {
    return result.summary.trials[static_cast<std::size_t>(trial)].outcome ==
           solve::Outcome::settled;
  };
  CHECK(settled(a, trial_a) == settled(b, trial_b));
  double largest = 0, difference = 0;
  for (std::size_t k = 0; k < a.samples.times.size(); ++k) {
    const auto x = a.samples.states[k].col(trial_a), y = b.samples.states[k].col(trial_b);
    largest = std::max(largest, x.cwiseAbs().maxCoeff());
    difference = std::max(difference, (x - y).cwiseAbs().maxCoeff());
  }
  CHECK(difference <= 10 * (options.atol + options.rtol * largest));
}

}  // namespace

TEST_CASE("a hundred random circuits: reduced and batched runs are those of each trial in full") {
  for (unsigned seed = 0; seed < 100; ++seed) {
    const test::RandomCircuit random = test::random_circuit(seed);
    CAPTURE(seed, random.description);
    const solve::SolverOptions full = plain();
    solve::SolverOptions reduced = plain();
    reduced.reduce = true;
    const system::OdeSystem system = system::compile(random.circuit);
    const test::Recorded whole = run(system, full), fewer = run(system, reduced);

    // The same circuit with other leaks beside it, as two points of a study.
    system::Circuit changed = random.circuit;
    for (system::Node& node : changed.nodes) node.leak *= 1.1;
    const system::OdeSystem other = system::compile(changed);
    const MatrixXd x0 = system.initial_state();
    test::Recorded one{{}, Samples({.interval = 0.25})}, two = one;
    const std::vector<solve::SolveSummary> both =
        solve::solve({{system, x0, reduced, one.samples}, {other, x0, reduced, two.samples}});
    one.summary = both[0];
    two.summary = both[1];
    const test::Recorded other_alone = run(other, full);

    for (Index trial = 0; trial < system.trials(); ++trial) {
      CAPTURE(trial);
      const system::OdeSystem single = system::compile(random.circuit.of_trial(trial));
      const test::Recorded alone = run(single, full);
      // A phase that lasts until all have settled is another one for a trial alone.
      const bool waits = std::any_of(random.circuit.phases.begin(), random.circuit.phases.end(),
                                     [](const system::Phase& p) { return p.until_settled; });
      if (!waits || system.trials() == 1) {
        check_same("all trials", alone, 0, whole, trial, full);
        check_same("reduced", alone, 0, fewer, trial, full);
        check_same("reduced, beside another point", alone, 0, one, trial, full);
      }
      check_same("the other point", other_alone, trial, two, trial, full);
    }
  }
}

TEST_CASE("points of a study run together have the bits that each has in any other company") {
  const auto random = test::random_circuit(4);
  std::vector<system::OdeSystem> systems;
  for (int k = 0; k < 30; ++k) {
    system::Circuit changed = random.circuit;
    for (system::Node& node : changed.nodes) node.leak *= 1 + 0.05 * k;
    systems.push_back(system::compile(changed));
  }
  const solve::SolverOptions options = [] {
    solve::SolverOptions o = plain();
    o.reduce = true;
    return o;
  }();
  const MatrixXd x0 = systems.front().initial_state();
  const auto solved = [&](std::size_t first, std::size_t count) {
    std::vector<Samples> samples(count, Samples({.interval = 0.25}));
    std::vector<solve::Task> tasks;
    for (std::size_t k = 0; k < count; ++k)
      tasks.push_back({systems[first + k], x0, options, samples[k]});
    return solve::solve(tasks);
  };
  const auto all = solved(0, 30);
  for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{0, 1}, {7, 1}, {3, 9}}) {
    const auto some = solved(first, count);
    for (std::size_t k = 0; k < count; ++k) {
      CHECK(some[k].final_state == all[first + k].final_state);
      CHECK(some[k].steps == all[first + k].steps);
    }
  }
}
