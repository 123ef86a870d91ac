// The exact derivatives of the canonical equation.
#include <algorithm>

#include "sim/system/ode_system.hpp"

namespace settle::system {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

// d ⊙ φ′(x_from), what one unit of the sender's tangent is multiplied with before W.
void OdeSystem::sender_slope(int k, const ConstBlock& x, Index column, const Workspace& w,
                             VectorXd& slope) const {
  const Edge& edge = circuit_.edges[at(k)];
  slope.resize(circuit_.nodes[at(edge.from)].size);
  circuit_.transfer_of(edge)->slope(value(edge.from, x, w, column).col(0).data(), slope.data(),
                                    slope.size());
  if (edge.gate.size() > 0)
    slope.array() *= edge.gate.col(system::column(edge.gate, w.trial(column))).array();
}

// γ(x_to) ⊙ s, what it is multiplied with after W; empty where that is 1.
void OdeSystem::receiver_factor(int k, const ConstBlock& x, Index column, const Workspace& w,
                                VectorXd& factor) const {
  const Edge& edge = circuit_.edges[at(k)];
  const MatrixXd& s = edge.receiver_gate;
  factor.resize(edge.scales_receiver() ? circuit_.nodes[at(edge.to)].size : 0);
  if (edge.receiver_slope)
    circuit_.nodes[at(edge.to)].transfer->slope(value(edge.to, x, w, column).col(0).data(),
                                                factor.data(), factor.size());
  else
    factor.setOnes();
  if (s.size() > 0) factor.array() *= s.col(system::column(s, w.trial(column))).array();
}

// g γ′(x_to) ⊙ s ⊙ W(d ⊙ φ(x_from)), what the receiver's own tangent is multiplied with; empty where γ
// is 1.
void OdeSystem::receiver_bend(int k, const ConstBlock& x, Index column, Workspace& w,
                              VectorXd& bend) const {
  const Edge& edge = circuit_.edges[at(k)];
  if (!edge.receiver_slope) {
    bend.resize(0);
    return;
  }
  const Node& to = circuit_.nodes[at(edge.to)];
  MatrixXd product = MatrixXd::Zero(to.size, 1), scratch(w.scratch_rows_, 1);
  edge.weights->multiply_add(w.gains_[at(k)][column], edge_input<Eigen::ColMajor>(k, x, w, column),
                             product, scratch);
  const MatrixXd& s = edge.receiver_gate;
  if (s.size() > 0) product.array() *= s.col(system::column(s, w.trial(column))).array();
  bend.resize(to.size);
  to.transfer->curvature(value(edge.to, x, w, column).col(0).data(), bend.data(), bend.size());
  bend.array() *= product.col(0).array();
}

void OdeSystem::edge_tangent(int k, const ConstBlock& x, Index column, Workspace& w,
                             EdgeTangent& out) const {
  out.gain = w.gains_[at(k)][column];
  if (out.gain == 0) return;
  sender_slope(k, x, column, w, out.sender);
  receiver_factor(k, x, column, w, out.receiver);
  receiver_bend(k, x, column, w, out.bend);
}

// sum += what the tangents of all nodes add to that of one. With seed ≥ 0 that node's tangent is the
// identity, which is not stored.
void OdeSystem::add_tangent(int i, double t, const ConstBlock& x, Index column, int seed,
                            bool with_time, Block sum, Workspace& w) const {
  MatrixXd scratch(w.scratch_rows_, sum.cols());
  if (with_time)
    for (const int k : sources_into_[at(i)])
      if (const Source& source = circuit_.sources[at(k)]; source.profile)
        sum.col(0) += source.gain * source.profile->slope(t, w.columns_[at(column)].segment.begin) *
                      source.values.col(system::column(source.values, w.trial(column)));
  for (const int k : edges_into_[at(i)]) {
    const Edge& edge = circuit_.edges[at(k)];
    const double g = w.gains_[at(k)][column];
    if (g == 0) continue;
    VectorXd factor;
    // γ(x) ⊙ s ⊙ W (d φ′ ⊙ v_from)
    if (w.moves_[at(edge.from)]) {
      sender_slope(k, x, column, w, factor);
      MatrixXd part;
      if (edge.from == seed) {
        part = g * (edge.weights->dense() * factor.asDiagonal());
      } else {
        part.setZero(sum.rows(), sum.cols());
        edge.weights->multiply_add(g, factor.asDiagonal() * w.tangents_[at(edge.from)], part,
                                   scratch);
      }
      receiver_factor(k, x, column, w, factor);
      if (factor.size() > 0) part = factor.asDiagonal() * part;
      sum += part;
    }
    // γ′(x) ⊙ s ⊙ W (d ⊙ φ) ⊙ v_to
    if (edge.receiver_slope && w.moves_[at(i)]) {
      receiver_bend(k, x, column, w, factor);
      if (i == seed)
        sum.diagonal() += factor;
      else
        sum += factor.asDiagonal() * w.tangents_[at(i)];
    }
  }
}

// Tangents of the instantaneous nodes for one of the state that stands in w.tangents_, where
// w.moves_; the seed may be one of them.
void OdeSystem::run_value_tangents(double t, const ConstBlock& x, Index column, int seed,
                                   bool with_time, Index columns, Workspace& w) const {
  evaluate(t, x, w, column);
  for (const Operation& operation : values_) {
    if (operation.kind == Operation::rate) continue;
    const int i = operation.index;
    const auto& into = edges_into_[at(i)];
    w.moves_[at(i)] = i == seed || (with_time && !sources_into_[at(i)].empty()) ||
                      std::any_of(into.begin(), into.end(), [&](int k) {
                        return w.moves_[at(circuit_.edges[at(k)].from)] != 0;
                      });
    if (!w.moves_[at(i)] || i == seed) continue;
    w.tangents_[at(i)].setZero(circuit_.nodes[at(i)].size, columns);
    add_tangent(i, t, x, column, seed, with_time, w.tangents_[at(i)], w);
  }
}

// out = J v for the tangent v of the state, or of the seed.
void OdeSystem::run_tangent(double t, const ConstBlock& x, Index column, int seed, bool with_time,
                            Block out, Workspace& w) const {
  run_value_tangents(t, x, column, seed, with_time, out.cols(), w);
  out.setZero();
  for (const int i : dynamic_) {
    if (w.held_[at(i)][at(column)]) continue;
    const Node& node = circuit_.nodes[at(i)];
    Block rows = out.middleRows(offset(i), node.size);
    add_tangent(i, t, x, column, seed, with_time, rows, w);
    if (i == seed)
      rows.diagonal() -= node.leak;
    else if (w.moves_[at(i)])
      rows -= node.leak.asDiagonal() * w.tangents_[at(i)];
    rows = node.tau.cwiseInverse().asDiagonal() * rows;
  }
}

void OdeSystem::jacobian_times(double t, const ConstBlock& x, Index column, const ConstBlock& v,
                               Block jv, Workspace& w) const {
  for (const int i : dynamic_) {
    w.moves_[at(i)] = 1;
    w.tangents_[at(i)] = v.middleRows(offset(i), circuit_.nodes[at(i)].size);
  }
  run_tangent(t, x, column, -1, false, jv, w);
}

MatrixXd OdeSystem::jacobian(double t, const ConstBlock& x, Index column, Workspace& w) const {
  MatrixXd j(dimension_, dimension_);
  for (const int seed : dynamic_) {
    for (const int i : dynamic_) w.moves_[at(i)] = i == seed;
    run_tangent(t, x, column, seed, false,
                j.middleCols(offset(seed), circuit_.nodes[at(seed)].size), w);
  }
  return j;
}

MatrixXd OdeSystem::input_jacobian(int node, double t, const ConstBlock& x, Index column,
                                   Workspace& w) const {
  const Index size = circuit_.nodes[at(node)].size;
  MatrixXd out = MatrixXd::Zero(dimension_, size);
  if (offset(node) >= 0) {
    if (!w.held_[at(node)][at(column)])
      out.middleRows(offset(node), size).diagonal() = circuit_.nodes[at(node)].tau.cwiseInverse();
    return out;
  }
  for (const int i : dynamic_) w.moves_[at(i)] = 0;
  run_tangent(t, x, column, node, false, out, w);
  return out;
}

MatrixXd OdeSystem::value_jacobian(int node, double t, const ConstBlock& x, Index column,
                                   Workspace& w) const {
  const Index size = circuit_.nodes[at(node)].size;
  MatrixXd out = MatrixXd::Zero(size, dimension_);
  if (offset(node) >= 0) {
    out.middleCols(offset(node), size).setIdentity();
    return out;
  }
  for (const int seed : dynamic_) {
    for (const int i : dynamic_) w.moves_[at(i)] = i == seed;
    const Index columns = circuit_.nodes[at(seed)].size;
    run_value_tangents(t, x, column, seed, false, columns, w);
    if (w.moves_[at(node)]) out.middleCols(offset(seed), columns) = w.tangents_[at(node)];
  }
  return out;
}

MatrixXd OdeSystem::edge_jacobian(int k, double t, const ConstBlock& x, Index column,
                                  Workspace& w) const {
  evaluate(t, x, w, column);
  VectorXd factor;
  sender_slope(k, x, column, w, factor);
  MatrixXd out =
      w.gains_[at(k)][column] * circuit_.edges[at(k)].weights->dense() * factor.asDiagonal();
  receiver_factor(k, x, column, w, factor);
  if (factor.size() > 0) out = factor.asDiagonal() * out;
  return out;
}

VectorXd OdeSystem::time_derivative(double t, const ConstBlock& x, Index column,
                                    Workspace& w) const {
  for (const int i : dynamic_) w.moves_[at(i)] = 0;
  MatrixXd out(dimension_, 1);
  run_tangent(t, x, column, -1, true, out, w);
  return out;
}

}  // namespace settle::system
