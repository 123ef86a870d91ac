// What builders put circuits together from.
#pragma once

#include "sim/system/circuit.hpp"

namespace settle::models {

/// The identity, looked up once.
const core::Transfer& identity_transfer();
/// A node of n units, with τ and λ for all of them (τ = 0: instantaneous), from a zero state; its index.
int add_node(system::Circuit& circuit, const std::string& name, Eigen::Index size, double tau,
             double leak, core::Transfer transfer = identity_transfer());
/// The edge "from->to".
system::Edge& connect(system::Circuit& circuit, int from, int to, double gain,
                      system::SharedWeights weights);
system::SharedWeights identity_weights(Eigen::Index size);

}  // namespace settle::models
