#include "models/circuit_parts.hpp"

namespace settle::models {

using system::Index;
using system::MatrixXd;
using system::VectorXd;

const core::Transfer& identity_transfer() {
  static const core::Transfer identity = core::transfer("identity");
  return identity;
}

int add_node(system::Circuit& circuit, const std::string& name, Index size, double tau, double leak,
             core::Transfer transfer) {
  system::Node node;
  node.name = name;
  node.size = size;
  node.tau = VectorXd::Constant(size, tau);
  node.leak = VectorXd::Constant(size, leak);
  node.transfer = std::move(transfer);
  if (tau > 0) node.initial = MatrixXd::Zero(size, 1);
  circuit.nodes.push_back(std::move(node));
  return static_cast<int>(circuit.nodes.size()) - 1;
}

system::Edge& connect(system::Circuit& circuit, int from, int to, double gain,
                      system::SharedWeights weights) {
  system::Edge edge;
  edge.name = circuit.nodes[static_cast<std::size_t>(from)].name + "->" +
              circuit.nodes[static_cast<std::size_t>(to)].name;
  edge.from = from;
  edge.to = to;
  edge.gain = gain;
  edge.weights = std::move(weights);
  return circuit.edges.emplace_back(std::move(edge));
}

system::SharedWeights identity_weights(Index size) {
  return std::make_shared<const system::Weights>(system::Weights::Identity{size});
}

}  // namespace settle::models
