// The exact derivatives of the canonical equation.
#include <algorithm>

#include "sim/system/ode_system.hpp"

namespace settle::system {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

// d ⊙ φ′(x_from), what one unit of the sender's tangent is multiplied with before W.
VectorXd OdeSystem::edge_slope(const Edge& edge, const ConstBlock& x, Index column,
                               const Workspace& w) const {
  VectorXd d(circuit_.nodes[at(edge.from)].size);
  circuit_.transfer_of(edge)->slope(value(edge.from, x, w, column).col(0).data(), d.data(),
                                    d.size());
  if (edge.gate.size() > 0)
    d.array() *= edge.gate.col(system::column(edge.gate, w.trial(column))).array();
  return d;
}

// sum += what the tangents of all nodes add to that of one. With seed ≥ 0 that node's tangent is the
// identity, which is not stored.
void OdeSystem::add_tangent(int i, double t, const ConstBlock& x, Index column, int seed,
                            bool with_time, Block sum, Workspace& w) const {
  const Node& node = circuit_.nodes[at(i)];
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
    const ConstBlock own = value(i, x, w, column);
    const auto gate = [&](MatrixXd& product) {
      const MatrixXd& s = edge.receiver_gate;
      if (s.size() > 0) product = s.col(system::column(s, w.trial(column))).asDiagonal() * product;
    };
    // γ(x) ⊙ s ⊙ W (d φ′ ⊙ v_from)
    if (w.moves_[at(edge.from)]) {
      const VectorXd d = edge_slope(edge, x, column, w);
      MatrixXd part;
      if (edge.from == seed) {
        part = g * (edge.weights->dense() * d.asDiagonal());
      } else {
        part.setZero(sum.rows(), sum.cols());
        edge.weights->multiply_add(g, d.asDiagonal() * w.tangents_[at(edge.from)], part, scratch);
      }
      gate(part);
      if (edge.receiver_slope) {
        VectorXd gamma(sum.rows());
        node.transfer->slope(own.col(0).data(), gamma.data(), gamma.size());
        part = gamma.asDiagonal() * part;
      }
      sum += part;
    }
    // γ′(x) ⊙ s ⊙ W (d ⊙ φ) ⊙ v_to
    if (edge.receiver_slope && w.moves_[at(i)]) {
      MatrixXd product = MatrixXd::Zero(sum.rows(), 1);
      MatrixXd one(w.scratch_rows_, 1);
      edge.weights->multiply_add(g, edge_input<Eigen::ColMajor>(k, x, w, column), product, one);
      gate(product);
      VectorXd curvature(sum.rows());
      node.transfer->curvature(own.col(0).data(), curvature.data(), curvature.size());
      const VectorXd factor = curvature.cwiseProduct(product.col(0));
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
  const Edge& edge = circuit_.edges[at(k)];
  evaluate(t, x, w, column);
  MatrixXd out =
      w.gains_[at(k)][column] * edge.weights->dense() * edge_slope(edge, x, column, w).asDiagonal();
  if (const MatrixXd& gate = edge.receiver_gate; gate.size() > 0)
    out = gate.col(system::column(gate, w.trial(column))).asDiagonal() * out;
  if (edge.receiver_slope) {
    const Node& to = circuit_.nodes[at(edge.to)];
    VectorXd gamma(to.size);
    to.transfer->slope(value(edge.to, x, w, column).col(0).data(), gamma.data(), gamma.size());
    out = gamma.asDiagonal() * out;
  }
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
