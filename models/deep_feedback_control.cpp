#include "models/deep_feedback_control.hpp"

#include "models/pid.hpp"

namespace settle::models {

system::Circuit deep_feedback_control(const LayeredNet& net, const FeedbackControl& loop) {
  system::Circuit circuit = layered_circuit(net);
  for (std::size_t l = 1; l <= net.depth(); ++l) {
    const int layer = add_layer(circuit, net, l, loop.tau, 1);
    circuit.nodes.back().constant = net.drive(l);
    if (l > 1) connect(circuit, layer - 1, layer, 1, shared(net.weights[l]));
  }
  const int output = static_cast<int>(net.depth()) - 1;
  const Eigen::Index size = net.size(net.depth());

  ControllerSpec spec = loop.controller;
  spec.name = "control";
  spec.size = size;
  spec.error = "setpoint - measured";
  add_controller(circuit, spec, loop.target, Eigen::MatrixXd::Zero(size, 1));
  system::Controller& controller = circuit.controllers.back();
  controller.measured_edges.push_back(static_cast<int>(circuit.edges.size()));
  connect(circuit, output, controller.error, controller.sign, identity_weights(size));
  for (const int node : {controller.integral, controller.derivative})
    if (node >= 0) circuit.update_order.push_back(node);

  for (std::size_t l = 1; l <= net.depth(); ++l) {
    const Eigen::MatrixXd& q = loop.feedback[l];
    connect(circuit, controller.control, static_cast<int>(l) - 1, 1,
            q.size() > 0 ? shared(q) : identity_weights(size));
  }
  return circuit;
}

}  // namespace settle::models
