// rosenbrock4 on stiff circuits: as exact as the explicit solver, in few steps.
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/random_circuits.hpp"
#include "tests/support.hpp"

using namespace settle;
using solve::Index;
using solve::MatrixXd;
using solve::VectorXd;

namespace {

test::Recorded run(const system::OdeSystem& system, const std::string& method, double rtol,
                   bool reduce) {
  solve::SolverOptions options;
  options.method = method;
  options.rtol = rtol;
  options.atol = 1e-3 * rtol;
  options.duration = 2;
  options.reduce = reduce;
  test::Recorded out = test::record(system, options, 0.25);
  INFO(method << ": " << out.summary.reason);
  CHECK(out.summary.status == solve::SolveSummary::Status::done);
  return out;
}

// The largest difference at any sample, by the largest state.
double difference(const test::Recorded& a, const test::Recorded& b) {
  REQUIRE(a.samples.times == b.samples.times);
  double largest = 0, found = 0;
  for (std::size_t k = 0; k < a.samples.states.size(); ++k) {
    largest = std::max(largest, b.samples.states[k].cwiseAbs().maxCoeff());
    found = std::max(found, (a.samples.states[k] - b.samples.states[k]).cwiseAbs().maxCoeff());
  }
  return found / largest;
}

// 300 fast units that a controller drives through five of its own, not from rest and under a sine.
system::OdeSystem wide_and_fast() {
  return system::compile(models::build_circuit(models::read_config(io::parse_toml(R"(
seed = 3
[[population]]
name = "fast"
size = 300
transfer = "tanh"
tau = 1e-4
initial = { init = "normal", std = 0.5 }
[[population]]
name = "slow"
size = 5
transfer = "tanh"
initial = { init = "normal", std = 0.5 }
[[controller]]
name = "control"
size = 5
leak = 0.01
gains = { p = 0.2, i = 1.0, d = 0.1 }
setpoint = { init = "normal", std = 0.2 }
[[projection]]
from = "fast"
to = "slow"
weights = { init = "normal", std = 0.05 }
[[projection]]
from = "slow"
to = "control"
weights = { init = "identity" }
[[projection]]
from = "control"
to = "fast"
weights = { init = "negative_transpose", of = "fast->slow" }
[[source]]
to = "fast"
signal = { kind = "sine", period = 1.3, values = { init = "normal", std = 0.3 } }
[[phase]]
name = "run"
duration = 1.0
[[phase]]
name = "hold"
duration = 0.5
hold = ["slow"]
[[phase]]
name = "other"
duration = 0.5
hold = ["fast"]
)",
                                                                                  "test"),
                                                                   ".")));
}

}  // namespace

TEST_CASE("a wide stiff circuit is solved as exactly as by dopri5, in a fiftieth of its steps") {
  const system::OdeSystem system = wide_and_fast();
  const double rtol = 1e-5;
  const test::Recorded exact = run(system, "dopri5", 1e-9, true);
  const test::Recorded found = run(system, "rosenbrock4", rtol, false);
  CHECK(difference(found, exact) < 10 * rtol);
  CHECK(50 * found.summary.steps < exact.summary.steps);
  // J once a step, those after the two breakpoints and the start among them.
  CHECK(found.summary.jacobians <= found.summary.steps);
  if (solve::methods().find("cvode_bdf"))
    CHECK(difference(run(system, "cvode_bdf", rtol, true), exact) < 10 * rtol);
}

TEST_CASE("random circuits: rosenbrock4 gives what dopri5 gives, reduced and in full") {
  const double rtol = 1e-6;
  for (unsigned seed = 0; seed < 40; ++seed) {
    const test::RandomCircuit random = test::random_circuit(seed);
    CAPTURE(seed, random.description);
    const system::OdeSystem system = system::compile(random.circuit);
    const test::Recorded exact = run(system, "dopri5", 1e-9, true);
    for (const bool reduce : {false, true})
      CHECK(difference(run(system, "rosenbrock4", rtol, reduce), exact) < 10 * rtol);
  }
}

TEST_CASE("auto goes over to rosenbrock4 where stability limits the steps, and only there") {
  const double rtol = 1e-5;
  const system::OdeSystem stiff = wide_and_fast();
  const test::Recorded exact = run(stiff, "dopri5", 1e-9, true);
  const test::Recorded found = run(stiff, "auto", rtol, true);
  CHECK(found.summary.method == "dopri5");
  CHECK(found.summary.how.find(
            "rosenbrock4 took over where stability limited the steps, in 1 of 1 trial") !=
        std::string::npos);
  CHECK(difference(found, exact) < 10 * rtol);
  CHECK(20 * found.summary.steps < exact.summary.steps);
  // What is not stiff has dopri5's own bits.
  for (unsigned seed = 0; seed < 40; ++seed) {
    const test::RandomCircuit random = test::random_circuit(seed);
    CAPTURE(seed, random.description);
    const system::OdeSystem system = system::compile(random.circuit);
    const test::Recorded by_auto = run(system, "auto", 1e-6, true);
    if (by_auto.summary.method != "dopri5") continue;
    const test::Recorded explicitly = run(system, "dopri5", 1e-6, true);
    const bool went_over = by_auto.summary.how.find("took over") != std::string::npos;
    if (!went_over) CHECK(by_auto.summary.final_state == explicitly.summary.final_state);
    CHECK(difference(by_auto, run(system, "dopri5", 1e-9, true)) < 1e-5);
    CHECK(by_auto.summary.evaluations < 2 * explicitly.summary.evaluations);
  }
}

TEST_CASE("equations that are not narrow are left to dopri5, stiff or not") {
  // 80 units that hear each other, at rates of about 100.
  const system::OdeSystem dense =
      system::compile(models::build_circuit(models::read_config(io::parse_toml(R"(
[[population]]
name = "a"
size = 80
transfer = "tanh"
tau = 0.01
initial = { init = "normal", std = 0.5 }
[[projection]]
from = "a"
to = "a"
weights = { init = "normal", std = 0.05 }
)",
                                                                               "test"),
                                                                ".")));
  const test::Recorded by_auto = run(dense, "auto", 1e-6, true);
  CHECK(by_auto.summary.how.find("took over") == std::string::npos);
  CHECK(by_auto.summary.final_state == run(dense, "dopri5", 1e-6, true).summary.final_state);
}
