// A nonlinear problem, in two trials: a unit that inhibits itself through tanh.
#pragma once

#include <cmath>

#include "sim/system/circuit.hpp"

namespace settle::problems {

/// τ ẋ = −tanh x, x(0) = x₀; from d(sinh x)/dt = −sinh(x)/τ
///
///     x(t) = asinh(e^{−t/τ} sinh x₀)
///
/// Trial 0 begins at 2, trial 1 at −1.
struct TanhRelaxation {
  double tau = 1;
  double duration = 4;

  Eigen::MatrixXd exact(double t) const {
    Eigen::MatrixXd x(1, 2);
    x << std::asinh(std::exp(-t / tau) * std::sinh(2.0)),
        std::asinh(std::exp(-t / tau) * std::sinh(-1.0));
    return x;
  }

  system::Circuit circuit() const {
    system::Circuit c;
    Eigen::MatrixXd initial(1, 2);
    initial << 2, -1;
    c.trials = 2;
    c.nodes.push_back({.name = "unit",
                       .size = 1,
                       .tau = Eigen::VectorXd::Constant(1, tau),
                       .leak = Eigen::VectorXd::Zero(1),
                       .transfer = core::transfer("tanh"),
                       .initial = initial,
                       .constant = {}});
    c.edges.push_back(
        {.name = "unit->unit",
         .from = 0,
         .to = 0,
         .gain = 1,
         .weights = std::make_shared<const system::Weights>(Eigen::MatrixXd::Constant(1, 1, -1.0)),
         .transfer = nullptr,
         .receiver_slope = false,
         .gate = {}});
    c.phases.resize(1);
    c.phases[0].name = "run";
    c.phases[0].duration = duration;
    return c;
  }
};

}  // namespace settle::problems
