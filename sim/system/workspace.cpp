// What an evaluation needs of the trials that its columns stand for.
#include <algorithm>
#include <cassert>
#include <numeric>

#include "sim/system/ode_system.hpp"

namespace settle::system {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

Workspace OdeSystem::make_workspace() const {
  std::vector<Index> all(at(trials()));
  std::iota(all.begin(), all.end(), Index{0});
  return make_workspace(all);
}

Workspace OdeSystem::make_workspace(const std::vector<Index>& trials) const {
  Workspace w = make_workspace(static_cast<Index>(trials.size()), false, false);
  for (std::size_t c = 0; c < trials.size(); ++c) w.columns_[c].trial = trials[c];
  return w;
}

Workspace OdeSystem::make_workspace(Index columns, bool lanes, bool several) const {
  assert(!lanes || columns % lane_width == 0);
  const std::size_t nodes = circuit_.nodes.size();
  Workspace w;
  w.lanes_ = lanes;
  w.several_ = several;
  w.columns_.assign(at(columns), {this, 0, {}});
  w.values_.resize(nodes);
  w.constants_.resize(nodes);
  w.tangents_.resize(nodes);
  w.moves_.resize(nodes);
  w.leaks_.resize(nodes);
  w.slowness_.resize(nodes);
  w.held_.assign(nodes, std::vector<char>(at(columns), 0));
  w.some_held_.resize(nodes);
  const auto panel = [columns](Index rows) { return VectorXd(VectorXd::Zero(rows * columns)); };
  for (std::size_t i = 0; i < nodes; ++i) {
    const Node& node = circuit_.nodes[i];
    if (offsets_[i] < 0)
      w.values_[i] = panel(node.size);
    else if (several)
      w.leaks_[i] = w.slowness_[i] = panel(node.size);
    const bool any = std::any_of(sources_into_[i].begin(), sources_into_[i].end(),
                                 [&](int k) { return !circuit_.sources[at(k)].varies(); });
    if (node.constant.size() > 0 || any) w.constants_[i] = panel(node.size);
  }
  for (const Rate& rate : rates_) {
    const Index rows = circuit_.nodes[at(rate.node)].size;
    w.rates_.push_back(panel(rows));
    w.gates_.push_back(rate.gate.size() > 0 ? panel(rows) : VectorXd());
  }
  Index widest = 0;
  for (const Edge& edge : circuit_.edges) {
    w.scratch_rows_ = std::max(w.scratch_rows_, edge.weights->scratch_rows());
    if (edge.scales_receiver())
      w.receiver_rows_ = std::max(w.receiver_rows_, circuit_.nodes[at(edge.to)].size);
    widest = std::max(widest, edge.weights->cols());
    w.receiver_gates_.push_back(edge.receiver_gate.size() > 0 ? panel(edge.receiver_gate.rows())
                                                              : VectorXd());
  }
  w.scratch_ = panel(w.scratch_rows_);
  w.receiver_ = panel(w.receiver_rows_);
  w.slope_ = panel(w.receiver_rows_);
  if (several && !lanes) w.scaled_ = panel(widest);
  w.gains_.assign(circuit_.edges.size(), VectorXd::Zero(columns));
  w.is_off_.assign(circuit_.edges.size(), 0);
  return w;
}

void OdeSystem::begin(const Segment& segment, Workspace& w) const {
  for (Index c = 0; c < w.columns(); ++c) assign(c, w.trial(c), segment, w);
}

void OdeSystem::assign(Index c, Index trial, const Segment& segment, Workspace& w) const {
  w.columns_[at(c)] = {this, trial, segment};
  w.changed_ = true;
  const auto column_of = [&](VectorXd& panel, Index rows) {
    return w.lanes_ ? Strided(panel.data() + c, rows, Eigen::InnerStride<>(w.columns()))
                    : Strided(panel.data() + c * rows, rows, Eigen::InnerStride<>(1));
  };
  const std::vector<double> gains = circuit_.gains(segment.phase);
  for (std::size_t k = 0; k < gains.size(); ++k) w.gains_[k][c] = gains[k];
  for (std::size_t i = 0; i < circuit_.nodes.size(); ++i) {
    const Node& node = circuit_.nodes[i];
    if (offsets_[i] >= 0) {
      w.held_[i][at(c)] = is_held(segment, static_cast<int>(i));
      if (w.several_) {
        column_of(w.leaks_[i], node.size) = node.leak;
        column_of(w.slowness_[i], node.size) = slowness_[i];
      }
    }
    if (w.constants_[i].size() == 0) continue;
    Strided out = column_of(w.constants_[i], node.size);
    if (node.constant.size() > 0)
      out = node.constant.col(column(node.constant, trial));
    else
      out.setZero();
    for (const int k : sources_into_[i])
      if (!circuit_.sources[at(k)].varies())
        add_source(circuit_.sources[at(k)], segment.begin, segment, trial, out);
  }
  for (std::size_t r = 0; r < rates_.size(); ++r)
    if (const MatrixXd& gate = rates_[r].gate; gate.size() > 0)
      column_of(w.gates_[r], gate.rows()) = gate.col(column(gate, trial));
  for (std::size_t k = 0; k < circuit_.edges.size(); ++k)
    if (const MatrixXd& gate = circuit_.edges[k].receiver_gate; gate.size() > 0)
      column_of(w.receiver_gates_[k], gate.rows()) = gate.col(column(gate, trial));
}

// What the columns have in common.
void Workspace::look_over() {
  changed_ = false;
  for (std::size_t k = 0; k < gains_.size(); ++k) is_off_[k] = (gains_[k].array() == 0).all();
  for (std::size_t i = 0; i < held_.size(); ++i)
    some_held_[i] = std::find(held_[i].begin(), held_[i].end(), 1) != held_[i].end();
}

}  // namespace settle::system
