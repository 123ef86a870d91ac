// A driven problem: one unit that follows a sine, explicitly dependent on time.
#pragma once

#include <cmath>
#include <numbers>

#include "sim/system/circuit.hpp"

namespace settle::problems {

/// τ ẋ = −λ x + A sin(ω t), x(0) = x₀, with ω = 2π/P, k = λ/τ, a = A/τ:
///
///     x(t) = (x₀ + a ω/(k² + ω²)) e^{−k t} + a (k sin ωt − ω cos ωt)/(k² + ω²)
///
/// Stiff where τ is small against P.
struct LeakySine {
  double tau = 1;
  double leak = 1;
  double amplitude = 1;
  double period = 4;
  double initial = 0.5;
  double duration = 5;

  Eigen::MatrixXd exact(double t) const {
    const double omega = 2 * std::numbers::pi / period, k = leak / tau, a = amplitude / tau;
    const double d = k * k + omega * omega;
    return Eigen::MatrixXd::Constant(
        1, 1,
        (initial + a * omega / d) * std::exp(-k * t) +
            a * (k * std::sin(omega * t) - omega * std::cos(omega * t)) / d);
  }

  system::Circuit circuit() const {
    system::Circuit c;
    c.nodes.push_back({.name = "follower",
                       .size = 1,
                       .tau = Eigen::VectorXd::Constant(1, tau),
                       .leak = Eigen::VectorXd::Constant(1, leak),
                       .transfer = core::transfer("identity"),
                       .initial = Eigen::MatrixXd::Constant(1, 1, initial),
                       .constant = {}});
    std::shared_ptr<system::Profile> sine = system::profiles().find("sine")->make();
    core::Value parameters;
    parameters.set("period", period);
    core::Reader reader(parameters, "signal");
    sine->fields(reader);
    c.sources.push_back({.name = "drive",
                         .to = 0,
                         .gain = 1,
                         .values = Eigen::MatrixXd::Constant(1, 1, amplitude),
                         .profile = sine,
                         .noise = {}});
    c.phases.resize(1);
    c.phases[0].name = "run";
    c.phases[0].duration = duration;
    return c;
  }
};

}  // namespace settle::problems
