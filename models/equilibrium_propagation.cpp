#include "models/equilibrium_propagation.hpp"

namespace settle::models {

system::Circuit equilibrium_propagation(const LayeredNet& net, const EquilibriumPropagation& spec) {
  system::Circuit circuit = layered_circuit(net);
  const std::size_t depth = net.depth();
  std::vector<int> layer(depth + 1), input(depth + 1);
  for (std::size_t l = 1; l <= depth; ++l) layer[l] = add_layer(circuit, net, l, spec.tau, 1);
  for (std::size_t l = 1; l <= depth; ++l) {
    input[l] = add_sum(circuit, "input_" + std::to_string(l), net.size(l), net.drive(l));
    system::Edge& edge = connect(circuit, input[l], layer[l], 1, identity_weights(net.size(l)));
    edge.receiver_slope = !spec.rate_energy && !net.transfer(l)->is_identity();
  }
  for (std::size_t l = 2; l <= depth; ++l) {
    const system::SharedWeights w = shared(net.weights[l]);
    connect(circuit, layer[l - 1], input[l], 1, w);
    connect(circuit, layer[l], input[l - 1], spec.feedback_gain,
            std::make_shared<const system::Weights>(w->transposed()));
  }
  if (spec.beta == 0) return circuit;

  system::Node& output = circuit.nodes[static_cast<std::size_t>(layer[depth])];
  output.constant = spec.beta * spec.target;
  if (spec.cost == NudgingCost::squared_error)
    output.leak.array() += spec.beta;
  else if (spec.cost == NudgingCost::logistic_cross_entropy)
    connect(circuit, layer[depth], layer[depth], -spec.beta, identity_weights(net.size(depth)))
        .transfer = core::transfer("logistic");
  return circuit;
}

}  // namespace settle::models
