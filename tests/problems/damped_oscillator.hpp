// A linear problem: two nodes that drive each other round.
#pragma once

#include <cmath>

#include "sim/system/circuit.hpp"

namespace settle::problems {

/// ẋ = −δ x + ω y, ẏ = −δ y − ω x, x(0) = 1, y(0) = 0:
///
///     x(t) = e^{−δ t} cos ωt,   y(t) = −e^{−δ t} sin ωt
///
/// Eigenvalues −δ ± iω.
struct DampedOscillator {
  double damping = 0.1;
  double omega = 1;
  double duration = 10;

  Eigen::MatrixXd exact(double t) const {
    Eigen::MatrixXd x(2, 1);
    x << std::cos(omega * t), -std::sin(omega * t);
    return std::exp(-damping * t) * x;
  }

  system::Circuit circuit() const {
    system::Circuit c;
    const auto node = [&](const char* name, double initial) {
      return system::Node{.name = name,
                          .size = 1,
                          .tau = Eigen::VectorXd::Ones(1),
                          .leak = Eigen::VectorXd::Constant(1, damping),
                          .transfer = core::transfer("identity"),
                          .initial = Eigen::MatrixXd::Constant(1, 1, initial),
                          .constant = {}};
    };
    const auto edge = [](const char* name, int from, int to, double weight) {
      return system::Edge{.name = name,
                          .from = from,
                          .to = to,
                          .gain = 1,
                          .weights = std::make_shared<const system::Weights>(
                              Eigen::MatrixXd::Constant(1, 1, weight)),
                          .transfer = nullptr,
                          .receiver_slope = false,
                          .gate = {}};
    };
    c.nodes = {node("x", 1), node("y", 0)};
    c.edges = {edge("y->x", 1, 0, omega), edge("x->y", 0, 1, -omega)};
    c.phases.resize(1);
    c.phases[0].name = "run";
    c.phases[0].duration = duration;
    return c;
  }
};

}  // namespace settle::problems
