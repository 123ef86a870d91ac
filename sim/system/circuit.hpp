// A circuit of named nodes and edges: what a model is expanded to and what is compiled.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/transfer.hpp"
#include "sim/system/signal.hpp"
#include "sim/system/weights.hpp"

namespace settle::system {

/// A population, comparator, integrator or filter with n units. Its state x obeys
///
///     τ ẋ = −λ x + Σ_edges … + s(t)      (τ > 0, dynamic)
///       x =        Σ_edges … + s(t)      (τ = 0 for every unit, instantaneous)
///
/// Source: science.md section 2, the one equation for every circuit.
struct Node {
  std::string name;
  Index size = 0;
  VectorXd tau;             ///< n; all positive, or all zero
  VectorXd leak;            ///< λ, n; without meaning for an instantaneous node
  core::Transfer transfer;  ///< φ of what it sends, unless an edge names another
  MatrixXd initial;         ///< x(0), n × 1 or n × trials
  /// Constant part of s: a bias, or a setpoint with its sign; n × 1, n × trials or empty.
  MatrixXd constant;

  bool instantaneous() const { return (tau.array() == 0).all(); }
};

/// The contribution g · γ(x_to) ⊙ s ⊙ W (d ⊙ φ(x_from)) to a node.
struct Edge {
  std::string name;
  int from = 0;
  int to = 0;
  double gain = 1;              ///< g
  SharedWeights weights;        ///< W, n_to × n_from
  core::Transfer transfer;      ///< φ; the sender's where null
  bool receiver_slope = false;  ///< γ = φ′ of the receiver at its own state; else γ = 1
  MatrixXd gate;                ///< d, n_from × 1 or n_from × trials; empty: 1
  MatrixXd receiver_gate;       ///< s, n_to × 1 or n_to × trials; empty: 1

  bool scales_receiver() const { return receiver_slope || receiver_gate.size() > 0; }
};

/// g · profile(t) · values, or noise of that scale, added to a node.
struct Source {
  std::string name;
  int to = 0;
  double gain = 1;
  MatrixXd values;                         ///< n × 1 or n × trials
  std::shared_ptr<const Profile> profile;  ///< null for noise
  Noise noise;

  /// Whether it changes between its breakpoints.
  bool varies() const { return profile && !profile->is_piecewise_constant(); }
};

/// A stretch of the run. A phase without duration lasts until it has settled, or the run is over.
struct Phase {
  std::string name;
  std::optional<double> duration;
  bool until_settled = false;
  std::vector<int> off;     ///< edges that carry nothing
  std::vector<int> paused;  ///< states of controllers that are off: ẋ = 0
  std::vector<int> hold;    ///< dynamic nodes with ẋ = 0 while the phase lasts
  std::vector<int> reset;   ///< dynamic nodes put back to their initial state as the phase begins
};

/// The nodes that stand for one controller, for those who show or measure it; −1 where not built.
///
///     e = ±(measured − setpoint),  τ_u ξ̇ = −α ξ + e,  τ_d ḟ = −f + e,
///     u = k_i ξ + k_p e + k_d (e − f)/τ_d
///
/// Source: science.md section 3.
struct Controller {
  std::string name;
  int control = -1;     ///< u
  int error = -1;       ///< e
  int integral = -1;    ///< ξ
  int derivative = -1;  ///< f
  double sign = 1;  ///< +1: e = measured − setpoint; −1: the textbook's setpoint − measured
  double leak = 0;  ///< α
  double gain_p = 0, gain_i = 1, gain_d = 0;
  double tau = 1;                   ///< τ_u
  double derivative_tau = 0.1;      ///< τ_d
  std::vector<int> measured_edges;  ///< into e, through the measured port
  std::vector<int> setpoint_edges;  ///< into e, through the setpoint port
  std::vector<int> setpoint_sources;
  MatrixXd setpoint;  ///< its constant part y, n × 1 or n × trials (not negated)
};

struct Circuit {
  std::vector<Node> nodes;
  std::vector<Edge> edges;
  std::vector<Source> sources;
  std::vector<Phase> phases;  ///< in order; at least one
  std::vector<Controller> controllers;
  std::vector<int> update_order;  ///< dynamic nodes, for schemes that update one after another
  Index trials = 1;

  /// The index of a node, or −1.
  int find(const std::string& name) const;
  /// φ of what an edge sends: its own, or else its sender's.
  const core::Transfer& transfer_of(const Edge& edge) const;
  /// The gains of a phase's edges: zero where it switches them off.
  std::vector<double> gains(int phase) const;
  /// Whether a source changes between its breakpoints: ∂ẋ/∂t is zero unless one does.
  bool is_driven() const;
  /// The circuit of some of the trials alone, with the same numbers.
  Circuit of_trials(Index first, Index count) const;
  Circuit of_trial(Index trial) const { return of_trials(trial, 1); }
};

/// The instantaneous nodes of a circuit, each after those that it hears.
struct InstantaneousOrder {
  std::vector<int> nodes;
  std::vector<int> loop;  ///< edges of a cycle of such nodes (an algebraic loop), in order; or none
};
InstantaneousOrder order_instantaneous(const Circuit& circuit);

/// "a -> b -> a" for a cycle of edges.
std::string loop_text(const Circuit& circuit, const std::vector<int>& loop);

}  // namespace settle::system
