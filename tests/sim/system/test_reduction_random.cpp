// Reductions of random circuits: the same trajectories from fewer states.
#include "tests/random_circuits.hpp"
#include "tests/sim/system/reduction_pair.hpp"

using namespace settle;
using Eigen::MatrixXd;
using system::Reduction;
using test::all_steps;
using test::largest;
using test::Pair;

TEST_CASE("a hundred random circuits: the reduced vector field, expanded, is the full one") {
  int changed = 0, states = 0, shared = 0, folded = 0, factored = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    const test::RandomCircuit random = test::random_circuit(seed);
    CAPTURE(seed, random.description);
    Pair pair(random.circuit);
    const Reduction& reduction = pair.reduction;
    const std::string steps = all_steps(reduction);
    CAPTURE(steps);
    CHECK(reduction.before.states == pair.full.dimension());
    CHECK(reduction.after.states == pair.reduced.dimension());
    CHECK(reduction.after.states <= reduction.before.states);
    // Rounding of sums of tens of numbers.
    CHECK(largest(pair.expand(reduction.start) - pair.start) <= 1e-12 * largest(pair.start));
    CHECK(pair.follow() < 1e-10);
    changed += reduction.changed();
    states += reduction.after.states < reduction.before.states;
    shared += steps.find("shared with") != std::string::npos;
    folded += steps.find("one matrix") != std::string::npos;
    factored += steps.find("as their sum") != std::string::npos;
  }
  // The hundred are of many kinds.
  CAPTURE(changed, states, shared, folded, factored);
  CHECK(changed >= 40);
  CHECK(states >= 35);
  CHECK(folded >= 20);
  CHECK(shared >= 1);
  CHECK(factored >= 1);
}

TEST_CASE("three thousand random circuits", "[.long]") {
  for (unsigned seed = 100; seed < 3100; ++seed) {
    const test::RandomCircuit random = test::random_circuit(seed);
    CAPTURE(seed, random.description);
    Pair pair(random.circuit);
    CHECK(pair.reduction.after.states <= pair.reduction.before.states);
    CHECK(largest(pair.expand(pair.reduction.start) - pair.start) <= 1e-12 * largest(pair.start));
    CHECK(pair.follow(4) < 1e-10);
  }
}

TEST_CASE("both systems integrated end in the same state, with and without Jacobians") {
  for (const char* method : {"dopri5", "rosenbrock4"})
    for (unsigned seed = 0; seed < 30; ++seed) {
      const test::RandomCircuit random = test::random_circuit(seed);
      CAPTURE(method, seed, random.description);
      const Pair pair(random.circuit);
      if (!pair.reduction.changed()) continue;
      solve::SolverOptions options;
      options.method = method;
      options.rtol = 1e-9;
      options.atol = 1e-12;
      solve::Observer nobody;
      const MatrixXd x = solve::solve(pair.full, pair.start, options, nobody).final_state;
      const MatrixXd z =
          solve::solve(pair.reduced, pair.reduction.start, options, nobody).final_state;
      // Some hundred steps of an error of 1e-9 each, some of them amplified.
      CHECK(largest(pair.expand(z) - x) < 1e-6 * largest(x));
    }
}
