#include "models/layered_net.hpp"

namespace settle::models {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

core::Transfer LayeredNet::transfer(std::size_t l) const {
  return l < depth() ? transfers[l] : core::transfer("identity");
}

MatrixXd LayeredNet::drive(std::size_t l) const {
  if (l > 1) return biases[l];
  MatrixXd out = weights[1] * input;
  if (biases[1].size() > 0) out.colwise() += biases[1];
  return out;
}

std::string LayeredNet::name(std::size_t l) const {
  return l < depth() ? "hidden_" + std::to_string(l) : "output";
}

system::Circuit layered_circuit(const LayeredNet& net) {
  system::Circuit circuit;
  circuit.trials = net.input.cols();
  system::Phase& phase = circuit.phases.emplace_back();
  phase.name = "rest";
  phase.until_settled = true;
  return circuit;
}

int add_layer(system::Circuit& circuit, const LayeredNet& net, std::size_t l, double tau,
              double leak) {
  system::Node node;
  node.name = net.name(l);
  node.size = net.size(l);
  node.tau = VectorXd::Constant(node.size, tau);
  node.leak = VectorXd::Constant(node.size, leak);
  node.transfer = net.transfer(l);
  node.initial = net.start[l];
  circuit.nodes.push_back(std::move(node));
  const int index = static_cast<int>(circuit.nodes.size()) - 1;
  circuit.update_order.push_back(index);
  return index;
}

int add_sum(system::Circuit& circuit, const std::string& name, Index size, MatrixXd constant) {
  system::Node node;
  node.name = name;
  node.size = size;
  node.tau = VectorXd::Zero(size);
  node.leak = VectorXd::Ones(size);
  node.transfer = core::transfer("identity");
  node.constant = std::move(constant);
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

system::SharedWeights shared(const MatrixXd& weights) {
  return std::make_shared<const system::Weights>(weights);
}

}  // namespace settle::models
