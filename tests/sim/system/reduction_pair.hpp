// A circuit and what it is reduced to, side by side.
#pragma once

#include <catch2/catch.hpp>
#include <numeric>

#include "sim/system/reduction.hpp"
#include "tests/support.hpp"

namespace settle::test {

inline std::vector<Index> all_trials(Index trials) {
  std::vector<Index> out(static_cast<std::size_t>(trials));
  std::iota(out.begin(), out.end(), 0);
  return out;
}

inline double largest(const MatrixXd& m) { return m.size() > 0 ? m.cwiseAbs().maxCoeff() : 0; }

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
          REQUIRE(std::isfinite(scale));
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
  system::Reduction reduction;
  system::OdeSystem reduced;
  system::Workspace full_workspace, workspace;
};

inline std::string all_steps(const system::Reduction& reduction) {
  std::string text;
  for (const std::string& step : reduction.steps) text += step + "\n";
  return text;
}

}  // namespace settle::test
