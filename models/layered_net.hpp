// A feedforward net as the circuits that learn in it are made of it, and what their builders share.
#pragma once

#include <string>
#include <vector>

#include "models/circuit_parts.hpp"

namespace settle::models {

/// h_l = φ_l(a_l), a_l = W_l h_{l−1} + b_l, l = 1 … L, h_0 the input, the output a_L; a trial a column. It
/// only refers to what it is made of.
struct LayeredNet {
  const std::vector<Eigen::MatrixXd>& weights;  ///< W_l, d_l × d_{l−1}, at index l; nothing at 0
  const std::vector<Eigen::VectorXd>& biases;   ///< b_l at index l; empty where there is none
  const std::vector<core::Transfer>& transfers;  ///< φ_l of hidden layers at index l
  const Eigen::MatrixXd& input;                  ///< h_0, d_0 × trials
  /// What the states of layer l start from, at index l, d_l × trials.
  const std::vector<Eigen::MatrixXd>& start;

  std::size_t depth() const { return weights.size() - 1; }  ///< L
  Eigen::Index size(std::size_t l) const { return weights[l].rows(); }
  /// φ_l; the identity at the output.
  core::Transfer transfer(std::size_t l) const;
  /// What layer l hears that no state changes: W_1 h_0 + b_1, or else b_l; d_l × trials, d_l × 1 or empty.
  Eigen::MatrixXd drive(std::size_t l) const;
  /// "hidden_l", or "output" for l = L.
  std::string name(std::size_t l) const;
};

/// An empty circuit of the net's trials, with one phase "rest" that lasts until it has settled.
system::Circuit layered_circuit(const LayeredNet& net);

/// A node of layer l with the layer's φ; with τ > 0 it starts from the net's own start.
int add_layer(system::Circuit& circuit, const LayeredNet& net, std::size_t l, double tau,
              double leak);
/// An instantaneous node without φ.
int add_sum(system::Circuit& circuit, const std::string& name, Eigen::Index size,
            Eigen::MatrixXd constant);
system::SharedWeights shared(const Eigen::MatrixXd& weights);

}  // namespace settle::models
