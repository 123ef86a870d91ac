#include "models/predictive_coding.hpp"

namespace settle::models {

using Eigen::MatrixXd;

system::Circuit predictive_coding(const LayeredNet& net, const MatrixXd& target, double tau,
                                  double output_precision) {
  system::Circuit circuit = layered_circuit(net);
  const std::size_t depth = net.depth();
  std::vector<int> layer(depth), error(depth + 1);
  for (std::size_t l = 1; l < depth; ++l) layer[l] = add_layer(circuit, net, l, tau, 0);
  for (std::size_t l = 1; l <= depth; ++l) {
    MatrixXd constant = -net.drive(l);
    if (l == depth) {
      const MatrixXd drive = std::move(constant);
      constant = target;
      if (drive.size() > 0 && drive.cols() == 1)
        constant.colwise() += drive.col(0);
      else if (drive.size() > 0)  // empty without a bias
        constant += drive;
      constant *= output_precision;
    }
    error[l] = add_sum(circuit, "error_" + std::to_string(l), net.size(l), std::move(constant));
  }
  for (std::size_t l = 1; l < depth; ++l) {
    const system::SharedWeights own = identity_weights(net.size(l));
    connect(circuit, layer[l], error[l], 1, own).transfer = core::transfer("identity");
    connect(circuit, error[l], layer[l], -1, own);
    const system::SharedWeights above = shared(net.weights[l + 1]);
    connect(circuit, layer[l], error[l + 1], l + 1 < depth ? -1 : -output_precision, above);
    connect(circuit, error[l + 1], layer[l], 1,
            std::make_shared<const system::Weights>(above->transposed()))
        .receiver_slope = !net.transfer(l)->is_identity();
  }
  return circuit;
}

}  // namespace settle::models
