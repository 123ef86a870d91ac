// Predictive coding: every layer settles between what the layer below predicts and the errors above.
#pragma once

#include "models/layered_net.hpp"

namespace settle::models {

/// The circuit
///
///     ε_l = v_l − W_l φ(v_{l−1}) − b_l,   l = 1 … L,   φ(v_0) the input,   v_L = target
///     τ v̇_l = −ε_l + φ′(v_l) ⊙ W_{l+1}ᵀ ε_{l+1},   l = 1 … L − 1
///
/// the flow of E = ½ Σ_l ‖ε_l‖², with nodes hidden_1 … hidden_{L−1} for v and error_1 … error_L for ε
/// (instantaneous). The output's state is the target (d_L × trials) and no node.
///
/// Source: J. C. R. Whittington and R. Bogacz, "An approximation of the error backpropagation algorithm in a
/// predictive coding network with local Hebbian synaptic plasticity", Neural Comput. 2017, equations 2.11–2.19.
system::Circuit predictive_coding(const LayeredNet& net, const Eigen::MatrixXd& target, double tau);

}  // namespace settle::models
