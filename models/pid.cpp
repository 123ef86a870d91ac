#include "models/pid.hpp"

namespace settle::models {

using system::Index;
using system::VectorXd;

void add_controller(system::Circuit& circuit, const ControllerSpec& spec,
                    const system::MatrixXd& setpoint, const system::MatrixXd& initial) {
  const Index n = spec.size;
  const auto add_node = [&](const std::string& name, double tau, double leak) {
    system::Node node;
    node.name = name;
    node.size = n;
    node.tau = VectorXd::Constant(n, tau);
    node.leak = VectorXd::Constant(n, leak);
    node.transfer = core::transfer("identity");
    circuit.nodes.push_back(std::move(node));
    return static_cast<int>(circuit.nodes.size()) - 1;
  };
  const auto identity = std::make_shared<const system::Weights>(system::Weights::Identity{n});
  const auto connect = [&](int from, int to, double gain) {
    system::Edge edge;
    edge.name = circuit.nodes[static_cast<std::size_t>(from)].name + "->" +
                circuit.nodes[static_cast<std::size_t>(to)].name;
    edge.from = from;
    edge.to = to;
    edge.gain = gain;
    edge.weights = identity;
    circuit.edges.push_back(std::move(edge));
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

  controller.error = add_node(spec.name + ".error", 0, 1);
  if ((setpoint.array() != 0).any()) circuit.nodes.back().constant = -controller.sign * setpoint;
  if (spec.i != 0) {
    controller.integral = add_node(spec.name + ".integral", spec.tau, spec.leak);
    circuit.nodes.back().initial = initial;
  } else if ((initial.array() != 0).any()) {
    spec.place.fail("initial", "an initial state of an integrator that is not there",
                    "gains.i other than 0");
  }
  if (spec.d != 0)
    controller.derivative = add_node(spec.name + ".derivative", spec.derivative_tau, 1);
  controller.control = add_node(spec.name, 0, 1);

  if (controller.integral >= 0) {
    connect(controller.error, controller.integral, 1);
    connect(controller.integral, controller.control, spec.i);
  }
  const double slope = spec.d / spec.derivative_tau;
  if (spec.p + slope != 0) connect(controller.error, controller.control, spec.p + slope);
  if (controller.derivative >= 0) {
    connect(controller.error, controller.derivative, 1);
    connect(controller.derivative, controller.control, -slope);
  }
  circuit.controllers.push_back(std::move(controller));
}

}  // namespace settle::models
