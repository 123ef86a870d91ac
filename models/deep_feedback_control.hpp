// Deep feedback control: one controller at the output reaches every layer of a running forward net.
#pragma once

#include "models/layered_net.hpp"
#include "models/spelt_out.hpp"

namespace settle::models {

/// What the loop of deep_feedback_control() consists of beside the net.
struct FeedbackControl {
  /// Q_l, d_l × d_L, at index l = 1 … L; an empty Q_L is I.
  const std::vector<Eigen::MatrixXd>& feedback;
  const Eigen::MatrixXd& target;  ///< d_L × trials
  double tau = 0.2;               ///< τ_v
  /// Of α, k_i, k_p and τ_u; its name, size and sign are the circuit's own.
  ControllerSpec controller;
};

/// The circuit
///
///     τ_v v̇_l = −v_l + W_l φ(v_{l−1}) + b_l + Q_l u,   l = 1 … L,   φ(v_0) the input
///     e = target − v_L,   τ_u ξ̇ = e − α ξ,   u = k_i ξ + k_p e
///
/// with nodes hidden_1 … hidden_{L−1} and output for v, and the controller "control" (control.error,
/// control.integral). The output that is controlled is linear: where the net has a softmax or logistic output,
/// that is a part of the loss of which the target is made. At rest u = (J Q + I/G)⁻¹ (target − forward output),
/// J = ∂output/∂v and G = k_i/α + k_p, exactly for a linear net.
///
/// Source: A. Meulemans et al., "Credit assignment in neural networks through deep feedback control",
/// NeurIPS 2021, equations 3, 4 and 7; its public code merges a softmax with the cross-entropy likewise.
system::Circuit deep_feedback_control(const LayeredNet& net, const FeedbackControl& loop);

}  // namespace settle::models
