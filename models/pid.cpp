#include "models/pid.hpp"

#include "models/circuit_parts.hpp"

namespace settle::models {

using system::Index;

void add_controller(system::Circuit& circuit, const ControllerSpec& spec,
                    const system::MatrixXd& setpoint, const system::MatrixXd& initial) {
  const Index n = spec.size;
  const system::SharedWeights identity = identity_weights(n);
  const auto add = [&](const std::string& name, double tau, double leak) {
    return add_node(circuit, name, n, tau, leak);
  };
  const auto join = [&](int from, int to, double gain) {
    connect(circuit, from, to, gain, identity);
  };

  system::Controller controller;
  controller.name = spec.name;
  controller.sign = spec.error == "measured - setpoint" ? 1 : -1;
  controller.leak = spec.leak;
  controller.gain_p = spec.p;
  controller.gain_i = spec.i;
  controller.gain_d = spec.d;
  controller.tau = spec.tau;
  controller.derivative_tau = spec.derivative_tau;
  controller.setpoint = setpoint;

  controller.error = add(spec.name + ".error", 0, 1);
  if ((setpoint.array() != 0).any()) circuit.nodes.back().constant = -controller.sign * setpoint;
  if (spec.i != 0) {
    controller.integral = add(spec.name + ".integral", spec.tau, spec.leak);
    circuit.nodes.back().initial = initial;
  } else if ((initial.array() != 0).any()) {
    spec.place.fail("initial", "an initial state of an integrator that is not there",
                    "gains.i other than 0");
  }
  if (spec.d != 0) controller.derivative = add(spec.name + ".derivative", spec.derivative_tau, 1);
  controller.control = add(spec.name, 0, 1);

  if (controller.integral >= 0) {
    join(controller.error, controller.integral, 1);
    join(controller.integral, controller.control, spec.i);
  }
  const double slope = spec.d / spec.derivative_tau;
  if (spec.p + slope != 0) join(controller.error, controller.control, spec.p + slope);
  if (controller.derivative >= 0) {
    join(controller.error, controller.derivative, 1);
    join(controller.derivative, controller.control, -slope);
  }
  circuit.controllers.push_back(std::move(controller));
}

}  // namespace settle::models
