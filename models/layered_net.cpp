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
  const int index = add_node(circuit, net.name(l), net.size(l), tau, leak, net.transfer(l));
  circuit.nodes.back().initial = net.start[l];
  circuit.update_order.push_back(index);
  return index;
}

int add_sum(system::Circuit& circuit, const std::string& name, Index size, MatrixXd constant) {
  const int index = add_node(circuit, name, size, 0, 1);
  circuit.nodes.back().constant = std::move(constant);
  return index;
}

system::SharedWeights shared(const MatrixXd& weights) {
  return std::make_shared<const system::Weights>(weights);
}

}  // namespace settle::models
