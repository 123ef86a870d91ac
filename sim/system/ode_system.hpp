// The canonical equation, compiled: right-hand side, Jacobian and values of the instantaneous
// nodes.
#pragma once

#include <map>

#include "sim/system/circuit.hpp"

namespace settle::system {

/// A stretch of time without a breakpoint inside, in one phase.
struct Segment {
  int phase = 0;
  double begin = 0;
  double end = 0;
  /// The phase's edges with none of its holds: what the circuit is at rest as a whole. (The phases
  /// of a sequential run hold all loops but one.)
  bool released = false;
};

class OdeSystem;

/// How what an edge adds to its receiver changes with both of its ends,
///
///     δ(g γ(x_to) ⊙ s ⊙ W(d ⊙ φ(x_from))) = g l ⊙ W(r ⊙ δx_from) + b ⊙ δx_to
///
/// with r = d ⊙ φ′(x_from), l = γ(x_to) ⊙ s and b = g γ′(x_to) ⊙ s ⊙ W(d ⊙ φ(x_from)).
struct EdgeTangent {
  double gain = 0;  ///< g; zero where the phase switches the edge off, and nothing else is then set
  VectorXd sender;  ///< r, n_from
  VectorXd receiver;  ///< l, n_to; empty: 1
  VectorXd bend;      ///< b, n_to; empty: 0
};

/// Scratch of one evaluation at a time, and the values of the instantaneous nodes at the last one.
///
/// It holds what a number of columns need, each of them a trial of a system in a segment. All columns
/// of a workspace have the shape of one system (OdeSystem::has_shape_of), whose matrices they share;
/// leaks, time constants, gains, constants and segments are each column's own.
class Workspace {
 public:
  /// Of the first column.
  const Segment& segment() const { return columns_.front().segment; }
  Index columns() const { return static_cast<Index>(columns_.size()); }
  /// The trial that a column stands for.
  Index trial(Index column) const { return columns_[static_cast<std::size_t>(column)].trial; }

 private:
  friend class OdeSystem;
  struct Column {
    const OdeSystem* system;
    Index trial;
    Segment segment;
  };
  void look_over();

  bool lanes_ = false;    // panels are Eigen::RowMajor
  bool several_ = false;  // columns of more than one system
  bool changed_ = true;   // since look_over()
  std::vector<Column> columns_;
  // Panels of n × columns numbers each, in the layout that lanes_ says.
  std::vector<VectorXd> values_;          // per instantaneous node
  std::vector<VectorXd> rates_;           // per rate slot
  std::vector<VectorXd> gates_;           // per rate slot; empty without gate
  std::vector<VectorXd> receiver_gates_;  // per edge; empty without
  std::vector<VectorXd>
      constants_;  // per node: its drive that is constant in the segment; or empty
  std::vector<VectorXd> leaks_, slowness_;  // per dynamic node, λ and 1/τ; empty unless several_
  VectorXd scratch_;                        // of products
  VectorXd receiver_, slope_;               // W(d ⊙ φ) and slopes of edges with γ = φ′
  VectorXd scaled_;              // what an edge sends times the columns' gains, where these differ
  std::vector<VectorXd> gains_;  // per edge; zero where the phase switches it off
  std::vector<char> is_off_;     // per edge: whether all of these are zero
  std::vector<std::vector<char>> held_;  // per node and column
  std::vector<char> some_held_;          // per node
  Index scratch_rows_ = 0, receiver_rows_ = 0;
  std::vector<MatrixXd> tangents_;  // per node
  std::vector<char> moves_;         // per node: whether its tangent differs from zero
};

/// T ẋ = −Λ x + W φ(x) + s(t) with the instantaneous nodes eliminated in topological order.
///
/// The state is n × trials, a trial a column; the dynamic nodes' units stand one below the other in
/// the order of the circuit. Immutable; threads share it, each with its own Workspace. Functions
/// that take a state take the workspace's columns first … first + x.cols(); `column` is one of them.
class OdeSystem {
 public:
  /// @throws InputError  names the nodes of a cycle of instantaneous ones (an algebraic loop)
  explicit OdeSystem(Circuit circuit);

  const Circuit& circuit() const { return circuit_; }
  Index dimension() const { return dimension_; }  ///< n: states of one trial
  Index trials() const { return circuit_.trials; }
  /// Row of a dynamic node's first unit; −1 for an instantaneous one.
  Index offset(int node) const { return offsets_[static_cast<std::size_t>(node)]; }
  const std::vector<int>& dynamic_nodes() const { return dynamic_; }
  const VectorXd& tau() const { return tau_; }  ///< T's diagonal, n
  Index parameters() const;                     ///< stored numbers of all projections
  bool is_linear() const;                       ///< every φ that is used is the identity, no γ
  /// Whether no state can grow without bound: every dynamic node has a leak, and no cycle of nodes
  /// is without an edge whose φ is bounded.
  bool is_bounded() const;
  /// The node and unit of a row of the state.
  std::pair<int, Index> unit_of(Index row) const;
  /// Whether a node has ẋ = 0 in a segment because the phase holds or pauses it.
  bool is_held(const Segment& segment, int node) const;
  /// The rows of the state that are not held in a segment.
  std::vector<Index> moving_rows(const Segment& segment) const;

  MatrixXd initial_state() const;  ///< n × trials
  /// The first breakpoint of any source after t; +∞ where there is none.
  double next_breakpoint(double t) const;

  /// The name of a source that still changes at t or later in the segment's phase; "" where none
  /// does.
  std::string changing_source(const Segment& segment, double t) const;

  /// A workspace whose columns are all trials.
  Workspace make_workspace() const;
  /// One whose columns are these trials.
  Workspace make_workspace(const std::vector<Index>& trials) const;
  /// One for `columns` columns of this system's shape, of more than one system with `several`, in lanes
  /// with `lanes` (their number must then be a multiple of lane_width); each is to be assigned.
  Workspace make_workspace(Index columns, bool lanes, bool several) const;
  /// Prepares all columns of a workspace for evaluations within a segment.
  void begin(const Segment& segment, Workspace& workspace) const;
  /// Makes a column of a workspace stand for a trial of this system in a segment.
  void assign(Index column, Index trial, const Segment& segment, Workspace& workspace) const;
  /// Whether a batch can hold both: same nodes, matrices, transfers and gates, the same kinds of drive.
  bool has_shape_of(const OdeSystem& other) const;
  /// Whether the matrices are so small that a batch is faster in lanes.
  bool suits_lanes() const;

  /// ẋ at (t, x). Allocates nothing.
  void derivative(double t, const ConstBlock& x, Block dxdt, Workspace& workspace,
                  Index first = 0) const;
  /// h_c ẋ_c at (t_c, x_c) for every column c of the workspace, in its layout (n × columns, dense).
  /// Allocates nothing.
  void scaled_derivative(const double* t, const double* h, const double* x, double* h_dxdt,
                         Workspace& workspace) const;
  /// The rows of ẋ that belong to one dynamic node. Allocates nothing.
  void derivative_of(int node, double t, const ConstBlock& x, Block dxdt_of_node,
                     Workspace& workspace) const;
  /// The values of every instantaneous node at (t, x), for value().
  void evaluate(double t, const ConstBlock& x, Workspace& workspace, Index first = 0) const;
  /// The state of a node at x: rows of x, or what the last evaluation at x left in the workspace.
  ConstBlock value(int node, const ConstBlock& x, const Workspace& workspace,
                   Index first = 0) const;
  /// Σ over `edges` and `sources` of what they add to the node they share, at (t, x) after
  /// evaluate().
  MatrixXd input(const std::vector<int>& edges, const std::vector<int>& sources, double t,
                 const ConstBlock& x, Workspace& workspace) const;

  /// J v for each column of v (n × k), J = T⁻¹(−Λ + W diag φ′(x)) of one trial, exact.
  void jacobian_times(double t, const ConstBlock& x, Index column, const ConstBlock& v, Block jv,
                      Workspace& workspace) const;
  /// J itself, n × n.
  MatrixXd jacobian(double t, const ConstBlock& x, Index column, Workspace& workspace) const;
  /// ∂ẋ/∂v for an input v that is added to what a node hears, n × n_node.
  MatrixXd input_jacobian(int node, double t, const ConstBlock& x, Index column,
                          Workspace& workspace) const;
  /// ∂x_node/∂x, n_node × n: the value of a node by the states; rows of I for a dynamic node.
  MatrixXd value_jacobian(int node, double t, const ConstBlock& x, Index column,
                          Workspace& workspace) const;
  /// ∂(what an edge adds)/∂x_from = g γ(x_to) ⊙ W diag(d ⊙ φ′(x_from)), n_to × n_from; zero where the
  /// phase switches the edge off.
  MatrixXd edge_jacobian(int edge, double t, const ConstBlock& x, Index column,
                         Workspace& workspace) const;
  /// The tangent of an edge at x, after evaluate() there. Allocates nothing where the sizes are those
  /// that `out` has, unless the edge has γ.
  void edge_tangent(int edge, const ConstBlock& x, Index column, Workspace& workspace,
                    EdgeTangent& out) const;
  /// ∂ẋ/∂t at fixed x (n), from the sources' slopes; exact.
  VectorXd time_derivative(double t, const ConstBlock& x, Index column, Workspace& workspace) const;

 private:
  // A transfer (and gate) applied to one node, shared by all edges that send the same.
  struct Rate {
    int node;
    core::Transfer transfer;
    MatrixXd gate;
  };
  struct Operation {
    enum Kind { rate, node } kind;
    int index;  // of the rate, or of the node
  };
  using Program = std::vector<Operation>;

  using Strided = Eigen::Map<VectorXd, 0, Eigen::InnerStride<>>;
  // When each column is evaluated: all at one time, or each at its own.
  struct Times {
    const double* t;
    Index stride;
    double operator()(Index column) const { return t[column * stride]; }
  };

  static double next_breakpoint_of(const Source& source, double t);
  void make_programs();
  Program program_for(const std::vector<int>& targets) const;
  template <int Order>
  void run(const Program& program, const Times& t, const ConstPanelRef<Order>& x,
           PanelRef<Order>* dxdt, Index row_shift, const double* scale, Workspace& workspace,
           Index first) const;
  template <int Order>
  void finish(int node, const ConstPanelRef<Order>& own, const double* scale, PanelRef<Order> out,
              const Workspace& workspace, Index first) const;
  template <int Order>
  void accumulate(int node, const Times& t, const ConstPanelRef<Order>& x, PanelRef<Order> out,
                  Workspace& workspace, Index first) const;
  void add_source(const Source& source, double t, const Segment& segment, Index trial,
                  Strided out) const;
  template <int Order>
  ConstPanelRef<Order> node_value(int node, const ConstPanelRef<Order>& x,
                                  const Workspace& workspace, Index first) const;
  template <int Order>
  ConstPanelRef<Order> edge_input(int edge, const ConstPanelRef<Order>& x,
                                  const Workspace& workspace, Index first) const;
  void sender_slope(int edge, const ConstBlock& x, Index column, const Workspace& workspace,
                    VectorXd& slope) const;
  void receiver_factor(int edge, const ConstBlock& x, Index column, const Workspace& workspace,
                       VectorXd& factor) const;
  void receiver_bend(int edge, const ConstBlock& x, Index column, Workspace& workspace,
                     VectorXd& bend) const;
  void add_tangent(int node, double t, const ConstBlock& x, Index column, int seed, bool with_time,
                   Block sum, Workspace& workspace) const;
  void run_value_tangents(double t, const ConstBlock& x, Index column, int seed, bool with_time,
                          Index columns, Workspace& workspace) const;
  void run_tangent(double t, const ConstBlock& x, Index column, int seed, bool with_time, Block out,
                   Workspace& workspace) const;

  Circuit circuit_;
  Index dimension_ = 0;
  std::vector<Index> offsets_;
  std::vector<int> dynamic_;
  std::vector<int> instantaneous_;  // topological order
  VectorXd tau_;
  std::vector<VectorXd> slowness_;  // per node, 1/τ
  std::vector<Rate> rates_;
  std::vector<int> rate_of_edge_;               // −1: the sender's state as it is
  std::vector<std::vector<int>> edges_into_;    // per node
  std::vector<std::vector<int>> sources_into_;  // per node
  Program all_;                                 // for derivative: what ẋ needs
  Program values_;                              // for evaluate
  std::map<int, Program> single_;               // for derivative_of
};

/// Compiles a circuit. @throws InputError  for an algebraic loop
OdeSystem compile(Circuit circuit);

}  // namespace settle::system
