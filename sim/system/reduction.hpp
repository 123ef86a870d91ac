// The same trajectories from fewer states and fewer multiplications.
#pragma once

#include <span>

#include "sim/system/circuit.hpp"

namespace settle::system {

/// What one evaluation of ẋ takes.
struct EvaluationCost {
  Index states = 0;
  double multiplications = 0;  ///< by weights, for one trial
};

/// A circuit whose trajectories give those of another, exactly (to rounding): x(t) = E z(t) with a fixed
/// linear E. Both are circuits of the canonical equation.
struct Reduction {
  /// Nodes 0 … N − 1 are the original ones. A population that is a projection of fewer states is
  /// instantaneous; a node that ẋ no longer needs has size 0 and hears nothing. Filters and sums are
  /// appended. Controllers keep their nodes, but name no edges.
  Circuit circuit;
  MatrixXd start;                  ///< z(0), n_reduced × trials
  std::vector<std::string> steps;  ///< what was done, a line each, for people; none: nothing
  EvaluationCost before, after;

  bool changed() const { return !steps.empty(); }
  /// x = E z, and ẋ = E ż: the dynamic nodes of the original one, in OdeSystem's layout. Column c is
  /// trial trials[c] of the circuit. Allocates nothing, but for a thread's first call.
  void expand(const ConstBlock& z, Block x, std::span<const Index> trials) const;
  /// Whether both have the same E but for gains and gates.
  bool expands_as(const Reduction& other) const;

  /// g s ⊙ W z[row …] for some rows of x.
  struct Part {
    Index row = 0, size = 0;
    double gain = 1;
    SharedWeights weights;
    MatrixXd receiver_gate;  ///< as in Edge
  };
  struct Rows {
    Index row = 0, size = 0;
    std::vector<Index> places;  ///< from `row`; empty: 0 … size − 1
    std::vector<Part> parts;
  };
  std::vector<Rows> rows;  ///< of E
};

/// x = E z for the columns of a batch (in lanes, or one after the other), each a trial of a circuit whose
/// reduction expands as the others' do.
class Expansion {
 public:
  Expansion(const Reduction& shape, Index columns, bool in_lanes);
  /// Makes a column stand for a trial of a circuit.
  void assign(Index column, const Reduction& reduction, Index trial);
  /// From n_reduced × columns to n × columns. Allocates nothing.
  void expand(const double* z, double* x);

 private:
  // What the columns have of their own.
  struct Factors {
    VectorXd gains;
    VectorXd gates;  // a panel; empty: 1
  };
  template <int Order>
  void expand_in(const double* z, double* x);

  const Reduction& shape_;
  Index columns_, states_;
  bool in_lanes_;
  std::vector<std::vector<Factors>> factors_;  // per rows and part
  VectorXd product_, placed_, none_;           // panels
};

/// Reduces a circuit without algebraic loops that begins at x0 (n × trials, in OdeSystem's layout):
///
/// - a population that hears a narrow projection B u only, with B any matrix, is B v with v of the narrow
///   size: τ v̇ = −λ v + u; with it the controller of an expanding layer, which hears W φ(r), is W p, and
///   what B feeds back is (B W) p;
/// - units with the same τ and λ have their filters in common, and nodes that hear the same too;
/// - linear instantaneous nodes are multiplied out where that takes fewer multiplications.
///
/// Each is proved where it is done. What doesn't make an evaluation cheaper is left as it is.
Reduction reduce(const Circuit& circuit, const MatrixXd& x0);

}  // namespace settle::system
