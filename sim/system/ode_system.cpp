#include "sim/system/ode_system.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <limits>

namespace settle::system {
namespace {

// Columns that one task evaluates. Fixed, so that no bit depends on the number of threads.
constexpr Index block_columns = 64;
// Multiplications below which a second thread costs more than it brings.
constexpr double parallel_threshold = 1e6;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Column c of a quantity that is shared by all trials (n × 1) or has one column a trial.
Index column(const MatrixXd& m, Index trial) { return m.cols() == 1 ? 0 : trial; }

void add_columns(double g, const MatrixXd& m, Index first, Block out) {
  for (Index c = 0; c < out.cols(); ++c) out.col(c) += g * m.col(column(m, first + c));
}

void multiply_columns(const MatrixXd& m, Index first, Block out) {
  for (Index c = 0; c < out.cols(); ++c) out.col(c).array() *= m.col(column(m, first + c)).array();
}

bool scales_receiver(const Edge& edge) {
  return edge.receiver_slope || edge.receiver_gate.size() > 0;
}

}  // namespace

int Circuit::find(const std::string& name) const {
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (nodes[i].name == name) return static_cast<int>(i);
  return -1;
}

const core::Transfer& Circuit::transfer_of(const Edge& edge) const {
  return edge.transfer ? edge.transfer : nodes[at(edge.from)].transfer;
}

Circuit Circuit::of_trial(Index trial) const {
  Circuit out = *this;
  const auto pick = [trial](MatrixXd& m) {
    if (m.cols() > 1) m = m.col(trial).eval();
  };
  for (Node& node : out.nodes) {
    pick(node.initial);
    pick(node.constant);
  }
  for (Edge& edge : out.edges) {
    pick(edge.gate);
    pick(edge.receiver_gate);
  }
  for (Source& source : out.sources) {
    pick(source.values);
    source.noise.first_trial += trial;
  }
  for (Controller& controller : out.controllers) pick(controller.setpoint);
  out.trials = 1;
  return out;
}

// Depth-first over the instantaneous senders of each instantaneous node.
InstantaneousOrder order_instantaneous(const Circuit& circuit) {
  enum Mark : char { fresh, open, done };
  std::vector<Mark> marks(circuit.nodes.size(), fresh);
  std::vector<std::vector<int>> heard(circuit.nodes.size());  // edges
  for (std::size_t k = 0; k < circuit.edges.size(); ++k) {
    const Edge& edge = circuit.edges[k];
    if (circuit.nodes[at(edge.from)].instantaneous() && circuit.nodes[at(edge.to)].instantaneous())
      heard[at(edge.to)].push_back(static_cast<int>(k));
  }
  InstantaneousOrder out;
  std::vector<int> path;  // edges, each into the sender of the one before
  const std::function<void(int)> visit = [&](int i) {
    marks[at(i)] = open;
    for (const int k : heard[at(i)]) {
      const int from = circuit.edges[at(k)].from;
      path.push_back(k);
      if (marks[at(from)] == open && out.loop.empty()) {
        auto edge = path.rbegin();
        do out.loop.push_back(*edge);
        while (circuit.edges[at(*edge++)].to != from);
      }
      if (marks[at(from)] == fresh) visit(from);
      path.pop_back();
    }
    marks[at(i)] = done;
    out.nodes.push_back(i);
  };
  for (std::size_t i = 0; i < circuit.nodes.size(); ++i)
    if (circuit.nodes[i].instantaneous() && marks[i] == fresh) visit(static_cast<int>(i));
  return out;
}

std::string loop_text(const Circuit& circuit, const std::vector<int>& loop) {
  std::string text = circuit.nodes[at(circuit.edges[at(loop.front())].from)].name;
  for (const int k : loop) text += " -> " + circuit.nodes[at(circuit.edges[at(k)].to)].name;
  return text;
}

OdeSystem compile(Circuit circuit) { return OdeSystem(std::move(circuit)); }

OdeSystem::OdeSystem(Circuit circuit) : circuit_(std::move(circuit)) {
  const std::size_t n_nodes = circuit_.nodes.size();
  offsets_.assign(n_nodes, -1);
  edges_into_.resize(n_nodes);
  sources_into_.resize(n_nodes);
  for (std::size_t i = 0; i < n_nodes; ++i) {
    const Node& node = circuit_.nodes[i];
    if (node.instantaneous()) continue;
    offsets_[i] = dimension_;
    dimension_ += node.size;
    dynamic_.push_back(static_cast<int>(i));
  }
  tau_.resize(dimension_);
  for (const int i : dynamic_)
    tau_.segment(offset(i), circuit_.nodes[at(i)].size) = circuit_.nodes[at(i)].tau;

  for (std::size_t k = 0; k < circuit_.edges.size(); ++k) {
    const Edge& edge = circuit_.edges[k];
    assert(edge.weights->rows() == circuit_.nodes[at(edge.to)].size);
    assert(edge.weights->cols() == circuit_.nodes[at(edge.from)].size);
    edges_into_[at(edge.to)].push_back(static_cast<int>(k));
    const core::Transfer& transfer = circuit_.transfer_of(edge);
    int rate = -1;
    if (!transfer->is_identity() || edge.gate.size() > 0) {
      for (std::size_t r = 0; r < rates_.size() && rate < 0; ++r)
        if (rates_[r].node == edge.from && rates_[r].gate.size() == 0 && edge.gate.size() == 0 &&
            write_transfer(rates_[r].transfer) == write_transfer(transfer))
          rate = static_cast<int>(r);
      if (rate < 0) {
        rate = static_cast<int>(rates_.size());
        rates_.push_back({edge.from, transfer, edge.gate});
      }
    }
    rate_of_edge_.push_back(rate);
  }
  for (std::size_t k = 0; k < circuit_.sources.size(); ++k)
    sources_into_[at(circuit_.sources[k].to)].push_back(static_cast<int>(k));
  InstantaneousOrder order = order_instantaneous(circuit_);
  if (!order.loop.empty())
    throw core::InputError(
        "circuit", "an algebraic loop of instantaneous nodes: " + loop_text(circuit_, order.loop),
        "a time constant tau > 0 somewhere in it");
  instantaneous_ = std::move(order.nodes);
  make_programs();
}

// What must be evaluated, and in which order, for the equations of `targets`.
OdeSystem::Program OdeSystem::program_for(const std::vector<int>& targets) const {
  std::vector<char> node_needed(circuit_.nodes.size(), 0), rate_needed(rates_.size(), 0);
  for (const int i : targets) node_needed[at(i)] = 1;
  const auto need_senders = [&](int i) {
    for (const int k : edges_into_[at(i)]) {
      const int from = circuit_.edges[at(k)].from;
      if (offset(from) < 0) node_needed[at(from)] = 1;
      if (const int rate = rate_of_edge_[at(k)]; rate >= 0) rate_needed[at(rate)] = 1;
    }
  };
  for (const int i : targets) need_senders(i);
  for (auto i = instantaneous_.rbegin(); i != instantaneous_.rend(); ++i)
    if (node_needed[at(*i)]) need_senders(*i);

  Program program;
  const auto add_rates_of = [&](int i) {
    for (std::size_t r = 0; r < rates_.size(); ++r)
      if (rate_needed[r] && rates_[r].node == i)
        program.push_back({Operation::rate, static_cast<int>(r)});
  };
  for (const int i : dynamic_) add_rates_of(i);
  for (const int i : instantaneous_) {
    if (!node_needed[at(i)]) continue;
    program.push_back({Operation::node, i});
    add_rates_of(i);
  }
  for (const int i : targets)
    if (offset(i) >= 0) program.push_back({Operation::node, i});
  return program;
}

void OdeSystem::make_programs() {
  all_ = program_for(dynamic_);
  // Every instantaneous node and every rate, whatever reads them.
  std::vector<int> every = dynamic_;
  every.insert(every.end(), instantaneous_.begin(), instantaneous_.end());
  const Program whole = program_for(every);
  std::copy_if(whole.begin(), whole.end(), std::back_inserter(values_), [this](const Operation& o) {
    return o.kind == Operation::rate || offset(o.index) < 0;
  });
  for (const int i : dynamic_) single_[i] = program_for({i});
}

Index OdeSystem::parameters() const {
  Index n = 0;
  for (const Edge& edge : circuit_.edges) n += edge.weights->parameters();
  return n;
}

bool OdeSystem::is_linear() const {
  return std::all_of(circuit_.edges.begin(), circuit_.edges.end(), [&](const Edge& edge) {
    return circuit_.transfer_of(edge)->is_identity() && !edge.receiver_slope;
  });
}

bool OdeSystem::is_bounded() const {
  for (const int i : dynamic_)
    if ((circuit_.nodes[at(i)].leak.array() <= 0).any()) return false;
  // What only unbounded transfers join must have no cycle: take away, again and again, the nodes that
  // hear nothing of the rest.
  std::vector<char> left(circuit_.nodes.size(), 1);
  const auto is_unbounded = [&](const Edge& edge) {
    const auto [low, high] = circuit_.transfer_of(edge)->range();
    return !std::isfinite(low) || !std::isfinite(high) || edge.receiver_slope;
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = 0; i < left.size(); ++i) {
      if (!left[i]) continue;
      const bool hears = std::any_of(edges_into_[i].begin(), edges_into_[i].end(), [&](int k) {
        const Edge& edge = circuit_.edges[at(k)];
        return left[at(edge.from)] && is_unbounded(edge);
      });
      if (hears) continue;
      left[i] = 0;
      changed = true;
    }
  }
  return std::find(left.begin(), left.end(), 1) == left.end();
}

std::pair<int, Index> OdeSystem::unit_of(Index row) const {
  for (const int i : dynamic_)
    if (row < offset(i) + circuit_.nodes[at(i)].size) return {i, row - offset(i)};
  return {-1, -1};
}

bool OdeSystem::is_held(const Segment& segment, int node) const {
  const Phase& phase = circuit_.phases[at(segment.phase)];
  const auto among = [&](const std::vector<int>& nodes) {
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
  };
  return among(phase.paused) || (!segment.released && among(phase.hold));
}

std::vector<Index> OdeSystem::moving_rows(const Segment& segment) const {
  std::vector<Index> rows;
  for (const int i : dynamic_)
    if (!is_held(segment, i))
      for (Index r = 0; r < circuit_.nodes[at(i)].size; ++r) rows.push_back(offset(i) + r);
  return rows;
}

MatrixXd OdeSystem::initial_state() const {
  MatrixXd x = MatrixXd::Zero(dimension_, trials());
  for (const int i : dynamic_) {
    const Node& node = circuit_.nodes[at(i)];
    if (node.initial.size() > 0)
      add_columns(1, node.initial, 0, x.middleRows(offset(i), node.size));
  }
  return x;
}

double OdeSystem::next_breakpoint(double t) const {
  double next = std::numeric_limits<double>::infinity();
  for (const Source& source : circuit_.sources)
    next = std::min(next, next_breakpoint_of(source, t));
  return next;
}

double OdeSystem::next_breakpoint_of(const Source& source, double t) {
  if (source.profile) return source.profile->next_breakpoint(t);
  const double h = source.noise.interval;
  double k = std::floor(t / h) + 1;
  while (k * h <= t) ++k;  // rounding of the quotient
  return k * h;
}

std::string OdeSystem::changing_source(const Segment& segment, double t) const {
  for (const Source& source : circuit_.sources)
    if (std::isfinite(next_breakpoint_of(source, t)) ||
        (source.profile && (source.profile->slope(t, segment.begin) != 0 ||
                            source.profile->slope(0.5 * (segment.begin + t), segment.begin) != 0)))
      return source.name;
  return "";
}

Workspace OdeSystem::make_workspace() const {
  Workspace w;
  w.values_.resize(circuit_.nodes.size());
  w.constants_.resize(circuit_.nodes.size());
  w.tangents_.resize(circuit_.nodes.size());
  w.moves_.resize(circuit_.nodes.size());
  w.held_.resize(circuit_.nodes.size());
  Index product_rows = 0, receiver_rows = 0;
  for (const int i : instantaneous_) w.values_[at(i)].setZero(circuit_.nodes[at(i)].size, trials());
  for (const Rate& rate : rates_)
    w.rates_.emplace_back(MatrixXd::Zero(circuit_.nodes[at(rate.node)].size, trials()));
  for (const Edge& edge : circuit_.edges) {
    product_rows = std::max(product_rows, edge.weights->scratch_rows());
    if (scales_receiver(edge))
      receiver_rows = std::max(receiver_rows, circuit_.nodes[at(edge.to)].size);
  }
  w.scratch_.setZero(product_rows, trials());
  w.receiver_.setZero(receiver_rows, trials());
  w.slope_.setZero(receiver_rows, trials());
  w.edge_gains_.resize(circuit_.edges.size());
  return w;
}

void OdeSystem::begin(const Segment& segment, Workspace& w) const {
  w.segment_ = segment;
  const Phase& phase = circuit_.phases[at(segment.phase)];
  for (std::size_t k = 0; k < circuit_.edges.size(); ++k) w.edge_gains_[k] = circuit_.edges[k].gain;
  for (const int k : phase.off) w.edge_gains_[at(k)] = 0;
  for (const int i : dynamic_) w.held_[at(i)] = is_held(segment, i);
  for (std::size_t i = 0; i < circuit_.nodes.size(); ++i) {
    const Node& node = circuit_.nodes[i];
    const auto is_constant = [&](int k) {
      const Source& source = circuit_.sources[at(k)];
      return !source.profile || source.profile->is_piecewise_constant();
    };
    const bool any = node.constant.size() > 0 ||
                     std::any_of(sources_into_[i].begin(), sources_into_[i].end(), is_constant);
    if (!any) continue;
    w.constants_[i].setZero(node.size, trials());
    if (node.constant.size() > 0) add_columns(1, node.constant, 0, w.constants_[i]);
    for (const int k : sources_into_[i])
      if (is_constant(k))
        add_source(circuit_.sources[at(k)], segment.begin, w.constants_[i], segment, 0);
  }
}

void OdeSystem::add_source(const Source& source, double t, Block out, const Segment& segment,
                           Index first) const {
  if (source.profile) {
    const double a = source.profile->value(t, segment.begin);
    if (a != 0) add_columns(source.gain * a, source.values, first, out);
    return;
  }
  // The middle of a segment lies safely inside its interval.
  const double middle = segment.begin + 0.5 * (segment.end - segment.begin);
  const auto draw = static_cast<std::uint64_t>(
      static_cast<std::int64_t>(std::floor(middle / source.noise.interval)));
  for (Index c = 0; c < out.cols(); ++c) {
    const Index shared = column(source.values, first + c);
    for (Index i = 0; i < out.rows(); ++i) {
      const Index trial = source.noise.first_trial + first + c;
      const auto index = static_cast<std::uint64_t>(trial * out.rows() + i);
      out(i, c) += source.gain * source.values(i, shared) * source.noise.std *
                   source.noise.stream.normal(index, draw);
    }
  }
}

ConstBlock OdeSystem::value(int node, const ConstBlock& x, const Workspace& w, Index first) const {
  if (offset(node) >= 0) return x.middleRows(offset(node), circuit_.nodes[at(node)].size);
  return w.values_[at(node)].middleCols(first, x.cols());
}

ConstBlock OdeSystem::edge_input(int k, const ConstBlock& x, const Workspace& w,
                                 Index first) const {
  const int rate = rate_of_edge_[at(k)];
  if (rate < 0) return value(circuit_.edges[at(k)].from, x, w, first);
  return w.rates_[at(rate)].middleCols(first, x.cols());
}

// out += Σ_edges g γ(x) ⊙ s ⊙ W (d ⊙ φ(x_from)) + s(t)
void OdeSystem::accumulate(int i, double t, const ConstBlock& x, Block out, Workspace& w,
                           Index first) const {
  const Index columns = x.cols();
  if (w.constants_[at(i)].size() > 0) out += w.constants_[at(i)].middleCols(first, columns);
  for (const int k : sources_into_[at(i)]) {
    const Source& source = circuit_.sources[at(k)];
    if (source.profile && !source.profile->is_piecewise_constant())
      add_source(source, t, out, w.segment_, first);
  }
  for (const int k : edges_into_[at(i)]) {
    const double g = w.edge_gains_[at(k)];
    if (g == 0) continue;
    const Edge& edge = circuit_.edges[at(k)];
    Block scratch = w.scratch_.middleCols(first, columns);
    if (!scales_receiver(edge)) {
      edge.weights->multiply_add(g, edge_input(k, x, w, first), out, scratch);
      continue;
    }
    Block product = w.receiver_.block(0, first, out.rows(), columns);
    product.setZero();
    edge.weights->multiply_add(g, edge_input(k, x, w, first), product, scratch);
    if (edge.receiver_gate.size() > 0) multiply_columns(edge.receiver_gate, first, product);
    if (!edge.receiver_slope) {
      out += product;
      continue;
    }
    const ConstBlock own = value(i, x, w, first);
    for (Index c = 0; c < columns; ++c) {
      auto gamma = w.slope_.col(first + c).head(out.rows());
      circuit_.nodes[at(i)].transfer->slope(own.col(c).data(), gamma.data(), out.rows());
      out.col(c).array() += gamma.array() * product.col(c).array();
    }
  }
}

void OdeSystem::run(const Program& program, double t, const ConstBlock& x, Block* dxdt,
                    Index row_shift, Workspace& w, Index first) const {
  const Index columns = x.cols();
  for (const Operation& operation : program) {
    const int i = operation.index;
    if (operation.kind == Operation::rate) {
      const Rate& rate = rates_[at(i)];
      const ConstBlock from = value(rate.node, x, w, first);
      for (Index c = 0; c < columns; ++c) {
        auto r = w.rates_[at(i)].col(first + c);
        rate.transfer->value(from.col(c).data(), r.data(), r.size());
        if (rate.gate.size() > 0) r.array() *= rate.gate.col(column(rate.gate, first + c)).array();
      }
    } else if (offset(i) < 0) {
      Block out = w.values_[at(i)].middleCols(first, columns);
      out.setZero();
      accumulate(i, t, x, out, w, first);
    } else {
      const Node& node = circuit_.nodes[at(i)];
      Block out = dxdt->middleRows(offset(i) - row_shift, node.size);
      out.setZero();
      if (w.held_[at(i)]) continue;
      accumulate(i, t, x, out, w, first);
      const ConstBlock own = value(i, x, w, first);
      for (Index c = 0; c < columns; ++c)
        out.col(c).array() =
            (out.col(c).array() - node.leak.array() * own.col(c).array()) / node.tau.array();
    }
  }
}

void OdeSystem::derivative(double t, const ConstBlock& x, Block dxdt, Workspace& w,
                           Index first) const {
  const Index columns = x.cols();
  const Index blocks = (columns + block_columns - 1) / block_columns;
  const auto run_block = [&](Index b) {
    const Index begin = b * block_columns;
    const Index count = std::min(block_columns, columns - begin);
    Block out = dxdt.middleCols(begin, count);
    run(all_, t, x.middleCols(begin, count), &out, 0, w, first + begin);
  };
  if (blocks > 1 &&
      static_cast<double>(parameters()) * static_cast<double>(columns) > parallel_threshold)
    tbb::parallel_for(Index{0}, blocks, run_block);
  else
    for (Index b = 0; b < blocks; ++b) run_block(b);
}

void OdeSystem::derivative_of(int node, double t, const ConstBlock& x, Block dxdt,
                              Workspace& w) const {
  run(single_.at(node), t, x, &dxdt, offset(node), w, 0);
}

void OdeSystem::evaluate(double t, const ConstBlock& x, Workspace& w, Index first) const {
  run(values_, t, x, nullptr, 0, w, first);
}

MatrixXd OdeSystem::input(const std::vector<int>& edges, const std::vector<int>& sources, double t,
                          const ConstBlock& x, Workspace& w) const {
  const int to = edges.empty() ? circuit_.sources[at(sources.front())].to
                               : circuit_.edges[at(edges.front())].to;
  MatrixXd sum = MatrixXd::Zero(circuit_.nodes[at(to)].size, x.cols());
  for (const int k : edges) {
    const Edge& edge = circuit_.edges[at(k)];
    const double g = w.edge_gains_[at(k)];
    if (edge.receiver_gate.size() == 0) {
      edge.weights->multiply_add(g, edge_input(k, x, w, 0), sum, w.scratch_);
      continue;
    }
    MatrixXd part = MatrixXd::Zero(sum.rows(), sum.cols());
    edge.weights->multiply_add(g, edge_input(k, x, w, 0), part, w.scratch_);
    multiply_columns(edge.receiver_gate, 0, part);
    sum += part;
  }
  for (const int k : sources) add_source(circuit_.sources[at(k)], t, sum, w.segment_, 0);
  return sum;
}

// d ⊙ φ′(x_from), what one unit of the sender's tangent is multiplied with before W.
VectorXd OdeSystem::edge_slope(const Edge& edge, const ConstBlock& x, Index trial,
                               const Workspace& w) const {
  VectorXd d(circuit_.nodes[at(edge.from)].size);
  circuit_.transfer_of(edge)->slope(value(edge.from, x, w, trial).col(0).data(), d.data(),
                                    d.size());
  if (edge.gate.size() > 0) d.array() *= edge.gate.col(column(edge.gate, trial)).array();
  return d;
}

// sum += what the tangents of all nodes add to that of one. With seed ≥ 0 that node's tangent is the
// identity, which is not stored.
void OdeSystem::add_tangent(int i, double t, const ConstBlock& x, Index trial, int seed,
                            bool with_time, Block sum, Workspace& w) const {
  const Node& node = circuit_.nodes[at(i)];
  MatrixXd scratch(w.scratch_.rows(), sum.cols());
  if (with_time)
    for (const int k : sources_into_[at(i)])
      if (const Source& source = circuit_.sources[at(k)]; source.profile)
        add_columns(source.gain * source.profile->slope(t, w.segment_.begin), source.values, trial,
                    sum);
  for (const int k : edges_into_[at(i)]) {
    const Edge& edge = circuit_.edges[at(k)];
    const double g = w.edge_gains_[at(k)];
    if (g == 0) continue;
    const ConstBlock own = value(i, x, w, trial);
    const auto gate = [&](MatrixXd& part) {
      if (edge.receiver_gate.size() > 0)
        part = edge.receiver_gate.col(column(edge.receiver_gate, trial)).asDiagonal() * part;
    };
    // γ(x) ⊙ s ⊙ W (d φ′ ⊙ v_from)
    if (w.moves_[at(edge.from)]) {
      const VectorXd d = edge_slope(edge, x, trial, w);
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
      MatrixXd one(w.scratch_.rows(), 1);
      edge.weights->multiply_add(g, edge_input(k, x, w, trial), product, one);
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
void OdeSystem::run_value_tangents(double t, const ConstBlock& x, Index trial, int seed,
                                   bool with_time, Index columns, Workspace& w) const {
  evaluate(t, x, w, trial);
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
    add_tangent(i, t, x, trial, seed, with_time, w.tangents_[at(i)], w);
  }
}

// out = J v for the tangent v of the state, or of the seed.
void OdeSystem::run_tangent(double t, const ConstBlock& x, Index trial, int seed, bool with_time,
                            Block out, Workspace& w) const {
  run_value_tangents(t, x, trial, seed, with_time, out.cols(), w);
  out.setZero();
  for (const int i : dynamic_) {
    if (w.held_[at(i)]) continue;
    const Node& node = circuit_.nodes[at(i)];
    Block rows = out.middleRows(offset(i), node.size);
    add_tangent(i, t, x, trial, seed, with_time, rows, w);
    if (i == seed)
      rows.diagonal() -= node.leak;
    else if (w.moves_[at(i)])
      rows -= node.leak.asDiagonal() * w.tangents_[at(i)];
    rows = node.tau.cwiseInverse().asDiagonal() * rows;
  }
}

void OdeSystem::jacobian_times(double t, const ConstBlock& x, Index trial, const ConstBlock& v,
                               Block jv, Workspace& w) const {
  for (const int i : dynamic_) {
    w.moves_[at(i)] = 1;
    w.tangents_[at(i)] = v.middleRows(offset(i), circuit_.nodes[at(i)].size);
  }
  run_tangent(t, x, trial, -1, false, jv, w);
}

MatrixXd OdeSystem::jacobian(double t, const ConstBlock& x, Index trial, Workspace& w) const {
  MatrixXd j(dimension_, dimension_);
  for (const int seed : dynamic_) {
    for (const int i : dynamic_) w.moves_[at(i)] = i == seed;
    run_tangent(t, x, trial, seed, false, j.middleCols(offset(seed), circuit_.nodes[at(seed)].size),
                w);
  }
  return j;
}

MatrixXd OdeSystem::input_jacobian(int node, double t, const ConstBlock& x, Index trial,
                                   Workspace& w) const {
  const Index size = circuit_.nodes[at(node)].size;
  MatrixXd out = MatrixXd::Zero(dimension_, size);
  if (offset(node) >= 0) {
    if (!w.held_[at(node)])
      out.middleRows(offset(node), size).diagonal() = circuit_.nodes[at(node)].tau.cwiseInverse();
    return out;
  }
  for (const int i : dynamic_) w.moves_[at(i)] = 0;
  run_tangent(t, x, trial, node, false, out, w);
  return out;
}

MatrixXd OdeSystem::value_jacobian(int node, double t, const ConstBlock& x, Index trial,
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
    run_value_tangents(t, x, trial, seed, false, columns, w);
    if (w.moves_[at(node)]) out.middleCols(offset(seed), columns) = w.tangents_[at(node)];
  }
  return out;
}

MatrixXd OdeSystem::edge_jacobian(int k, double t, const ConstBlock& x, Index trial,
                                  Workspace& w) const {
  const Edge& edge = circuit_.edges[at(k)];
  evaluate(t, x, w, trial);
  MatrixXd out =
      w.edge_gains_[at(k)] * edge.weights->dense() * edge_slope(edge, x, trial, w).asDiagonal();
  if (edge.receiver_gate.size() > 0)
    out = edge.receiver_gate.col(column(edge.receiver_gate, trial)).asDiagonal() * out;
  if (edge.receiver_slope) {
    const Node& to = circuit_.nodes[at(edge.to)];
    VectorXd gamma(to.size);
    to.transfer->slope(value(edge.to, x, w, trial).col(0).data(), gamma.data(), gamma.size());
    out = gamma.asDiagonal() * out;
  }
  return out;
}

VectorXd OdeSystem::time_derivative(double t, const ConstBlock& x, Index trial,
                                    Workspace& w) const {
  for (const int i : dynamic_) w.moves_[at(i)] = 0;
  MatrixXd out(dimension_, 1);
  run_tangent(t, x, trial, -1, true, out, w);
  return out;
}

}  // namespace settle::system
