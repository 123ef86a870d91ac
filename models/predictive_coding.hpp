// Predictive coding: every layer settles between what the layer below predicts and the errors above.
#pragma once

#include "models/layered_net.hpp"

namespace settle::models {

/// The circuit
///
///     ε_l = v_l − W_l φ(v_{l−1}) − b_l,   l < L,   φ(v_0) the input
///     ε_L = κ (target − W_L φ(v_{L−1}) − b_L)
///     τ v̇_l = −ε_l + φ′(v_l) ⊙ W_{l+1}ᵀ ε_{l+1},   l < L
///
/// the flow of E = ½ Σ_{l<L} ‖ε_l‖² + ‖ε_L‖²/2κ, with nodes hidden_1 … hidden_{L−1} for v and error_1 …
/// error_L for ε (instantaneous). The output's state is the target (d_L × trials) and no node; κ > 0 is the
/// output's precision, that of a hidden layer being 1. At rest every ε_l is what backpropagation makes of
/// ε_{l+1} at v.
///
/// Source: J. C. R. Whittington and R. Bogacz, "An approximation of the error backpropagation algorithm in a
/// predictive coding network with local Hebbian synaptic plasticity", Neural Comput. 2017, equations 2.11–2.19.
system::Circuit predictive_coding(const LayeredNet& net, const Eigen::MatrixXd& target, double tau,
                                  double output_precision);

}  // namespace settle::models
