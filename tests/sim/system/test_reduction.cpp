// Reductions: the same trajectories from fewer states.
#include "sim/system/reduction.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <numeric>

#include "tests/allocations.hpp"
#include "tests/random_circuits.hpp"
#include "tests/support.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using settle::test::relative;
using settle::test::Simulation;
using system::Reduction;

namespace {

std::vector<Index> all_trials(Index trials) {
  std::vector<Index> out(static_cast<std::size_t>(trials));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

double largest(const MatrixXd& m) { return m.size() > 0 ? m.cwiseAbs().maxCoeff() : 0; }

// A circuit and what it is reduced to, side by side.
struct Pair {
  explicit Pair(const system::Circuit& circuit)
      : Pair(circuit, system::OdeSystem(circuit).initial_state()) {}
  Pair(const system::Circuit& circuit, const MatrixXd& x0)
      : full(circuit),
        start(x0),
        reduction(system::reduce(circuit, x0)),
        reduced(reduction.circuit),
        full_workspace(full.make_workspace()),
        workspace(reduced.make_workspace()) {}

  MatrixXd expand(const MatrixXd& z) const {
    MatrixXd x(full.dimension(), z.cols());
    reduction.expand(z, x, all_trials(z.cols()));
    return x;
  }
  MatrixXd derivative(double t, const MatrixXd& z) {
    MatrixXd out(z.rows(), z.cols());
    reduced.derivative(t, z, out, workspace);
    return out;
  }
  MatrixXd full_derivative(double t, const MatrixXd& x) {
    MatrixXd out(x.rows(), x.cols());
    full.derivative(t, x, out, full_workspace);
    return out;
  }

  // Follows the reduced system through all phases with a Runge-Kutta method, and compares both vector
  // fields on the way: the largest difference over the largest of ẋ and x.
  double follow(int steps_of_a_segment = 8) {
    MatrixXd z = reduction.start;
    double worst = 0, t = 0;
    const auto& phases = full.circuit().phases;
    for (std::size_t p = 0; p < phases.size(); ++p) {
      if (!phases[p].reset.empty()) {
        MatrixXd x = expand(z);
        reset(full, phases[p], x);
        reset(reduced, reduced.circuit().phases[p], z);
        worst = std::max(worst, largest(expand(z) - x) / std::max(1.0, largest(x)));
      }
      const double end = t + phases[p].duration.value_or(2);
      while (t < end) {
        const double stop = std::min(end, full.next_breakpoint(t));
        const system::Segment segment{static_cast<int>(p), t, stop};
        full.begin(segment, full_workspace);
        reduced.begin(segment, workspace);
        const double h = (stop - t) / steps_of_a_segment;
        for (int k = 0; k < steps_of_a_segment; ++k, t += h) {
          const MatrixXd k1 = derivative(t, z), k2 = derivative(t + h / 2, z + h / 2 * k1);
          const MatrixXd k3 = derivative(t + h / 2, z + h / 2 * k2);
          const MatrixXd x = expand(z), rate = full_derivative(t, x);
          const double scale = std::max({largest(x), largest(rate), 1e-3});
          worst = std::max(worst, largest(expand(k1) - rate) / scale);
          z += h / 6 * (k1 + 2 * k2 + 2 * k3 + derivative(t + h, z + h * k3));
        }
        t = stop;
      }
    }
    return worst;
  }

  static void reset(const system::OdeSystem& system, const system::Phase& phase, MatrixXd& x) {
    const MatrixXd initial = system.initial_state();
    for (const int i : phase.reset) {
      const Index size = system.circuit().nodes[static_cast<std::size_t>(i)].size;
      x.middleRows(system.offset(i), size) = initial.middleRows(system.offset(i), size);
    }
  }

  system::OdeSystem full;
  MatrixXd start;
  Reduction reduction;
  system::OdeSystem reduced;
  system::Workspace full_workspace, workspace;
};

std::string all_steps(const Reduction& reduction) {
  std::string text;
  for (const std::string& step : reduction.steps) text += step + "\n";
  return text;
}

}  // namespace

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
    factored += steps.find("one product") != std::string::npos;
  }
  // The hundred are of many kinds.
  CAPTURE(changed, states, shared, folded, factored);
  CHECK(changed >= 40);
  CHECK(states >= 35);
  CHECK(folded >= 20);
  CHECK(shared >= 1);
  CHECK(factored >= 1);
}
