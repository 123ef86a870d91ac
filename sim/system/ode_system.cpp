#include "sim/system/ode_system.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace settle::system {
namespace {

// Columns that one task evaluates. Fixed, so that no bit depends on the number of threads.
constexpr Index block_columns = 64;
// Multiplications below which a second thread costs more than it brings.
constexpr double parallel_threshold = 1e6;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// Column c of a quantity that is shared by all trials (n × 1) or has one column a trial.
Index column(const MatrixXd& m, Index trial) { return m.cols() == 1 ? 0 : trial; }

// `rows` rows of a panel with the columns first … first + columns, of `all` columns that it has.
template <int Order>
Eigen::Map<Panel<Order>, 0, Eigen::OuterStride<>> part(VectorXd& panel, Index rows, Index all,
                                                       Index first, Index columns) {
  if constexpr (Order == Eigen::RowMajor)
    return {panel.data() + first, rows, columns, Eigen::OuterStride<>(all)};
  else
    return {panel.data() + first * rows, rows, columns, Eigen::OuterStride<>(rows)};
}
template <int Order>
Eigen::Map<const Panel<Order>, 0, Eigen::OuterStride<>> part(const VectorXd& panel, Index rows,
                                                             Index all, Index first,
                                                             Index columns) {
  const auto found = part<Order>(const_cast<VectorXd&>(panel), rows, all, first, columns);
  return {found.data(), rows, columns, Eigen::OuterStride<>(found.outerStride())};
}

// f(from, to, n) over stretches of memory without a gap.
template <int Order, class F>
void over_stretches(const ConstPanelRef<Order>& from, PanelRef<Order> to, const F& f) {
  const Index inner = from.innerSize();
  if (from.outerStride() == inner && to.outerStride() == inner)
    return f(from.data(), to.data(), from.size());
  for (Index k = 0; k < from.outerSize(); ++k)
    f(from.data() + k * from.outerStride(), to.data() + k * to.outerStride(), inner);
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
  slowness_.resize(n_nodes);
  for (const int i : dynamic_) {
    tau_.segment(offset(i), circuit_.nodes[at(i)].size) = circuit_.nodes[at(i)].tau;
    slowness_[at(i)] = circuit_.nodes[at(i)].tau.cwiseInverse();
  }

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
  std::vector<int> every = dynamic_;
  every.insert(every.end(), instantaneous_.begin(), instantaneous_.end());
  const Program whole = program_for(every);
  // Every rate and every instantaneous node, whatever reads them.
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
      for (Index c = 0; c < trials(); ++c)
        x.col(c).segment(offset(i), node.size) = node.initial.col(column(node.initial, c));
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
    const bool any = std::any_of(sources_into_[i].begin(), sources_into_[i].end(), [&](int k) {
      return is_constant_in_segment(circuit_.sources[at(k)]);
    });
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
    if (scales_receiver(edge))
      w.receiver_rows_ = std::max(w.receiver_rows_, circuit_.nodes[at(edge.to)].size);
    widest = std::max(widest, edge.weights->cols());
    w.receiver_gates_.push_back(edge.receiver_gate.size() > 0 ? panel(edge.receiver_gate.rows())
                                                              : VectorXd());
  }
  w.scratch_ = panel(w.scratch_rows_);
  w.receiver_ = panel(w.receiver_rows_);
  w.slope_ = panel(w.receiver_rows_);
  if (columns > 1) w.scaled_ = panel(widest);
  w.gains_.assign(circuit_.edges.size(), VectorXd::Zero(columns));
  w.gain_is_shared_.assign(circuit_.edges.size(), 1);
  return w;
}

bool OdeSystem::is_constant_in_segment(const Source& source) const {
  return !source.profile || source.profile->is_piecewise_constant();
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
  const Phase& phase = circuit_.phases[at(segment.phase)];
  for (std::size_t k = 0; k < circuit_.edges.size(); ++k) w.gains_[k][c] = circuit_.edges[k].gain;
  for (const int k : phase.off) w.gains_[at(k)][c] = 0;
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
      if (is_constant_in_segment(circuit_.sources[at(k)]))
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
  for (std::size_t k = 0; k < gains_.size(); ++k)
    gain_is_shared_[k] = (gains_[k].array() == gains_[k][0]).all();
  for (std::size_t i = 0; i < held_.size(); ++i)
    some_held_[i] = std::find(held_[i].begin(), held_[i].end(), 1) != held_[i].end();
}

bool OdeSystem::has_shape_of(const OdeSystem& other) const {
  if (this == &other) return true;
  const Circuit& a = circuit_;
  const Circuit& b = other.circuit_;
  const auto same = [](const MatrixXd& p, const MatrixXd& q) {
    return (p.size() > 0) == (q.size() > 0);
  };
  return std::equal(a.nodes.begin(), a.nodes.end(), b.nodes.begin(), b.nodes.end(),
                    [&](const Node& p, const Node& q) {
                      return p.size == q.size && p.instantaneous() == q.instantaneous() &&
                             same(p.constant, q.constant) &&
                             write_transfer(p.transfer) == write_transfer(q.transfer);
                    }) &&
         std::equal(a.edges.begin(), a.edges.end(), b.edges.begin(), b.edges.end(),
                    [&](const Edge& p, const Edge& q) {
                      return p.from == q.from && p.to == q.to &&
                             p.receiver_slope == q.receiver_slope && same(p.gate, q.gate) &&
                             same(p.receiver_gate, q.receiver_gate) &&
                             write_transfer(a.transfer_of(p)) == write_transfer(b.transfer_of(q)) &&
                             *p.weights == *q.weights;
                    }) &&
         std::equal(a.sources.begin(), a.sources.end(), b.sources.begin(), b.sources.end(),
                    [&](const Source& p, const Source& q) {
                      return p.to == q.to && is_constant_in_segment(p) == is_constant_in_segment(q);
                    });
}

bool OdeSystem::suits_lanes() const {
  constexpr Index most = 64 * 64;
  return std::none_of(circuit_.edges.begin(), circuit_.edges.end(),
                      [](const Edge& edge) { return edge.weights->has_dense_beyond(most); });
}

void OdeSystem::add_source(const Source& source, double t, const Segment& segment, Index trial,
                           Strided out) const {
  const auto values = source.values.col(column(source.values, trial));
  if (source.profile) {
    const double a = source.profile->value(t, segment.begin);
    if (a != 0) out += source.gain * a * values;
    return;
  }
  // The middle of a segment lies safely inside its interval.
  const double middle = segment.begin + 0.5 * (segment.end - segment.begin);
  const auto draw = static_cast<std::uint64_t>(
      static_cast<std::int64_t>(std::floor(middle / source.noise.interval)));
  for (Index i = 0; i < out.size(); ++i) {
    const auto index =
        static_cast<std::uint64_t>((source.noise.first_trial + trial) * out.size() + i);
    out[i] += source.gain * values[i] * source.noise.std * source.noise.stream.normal(index, draw);
  }
}

template <int Order>
ConstPanelRef<Order> OdeSystem::node_value(int node, const ConstPanelRef<Order>& x,
                                           const Workspace& w, Index first) const {
  const Index size = circuit_.nodes[at(node)].size;
  if (offset(node) >= 0) return x.middleRows(offset(node), size);
  return part<Order>(w.values_[at(node)], size, w.columns(), first, x.cols());
}

ConstBlock OdeSystem::value(int node, const ConstBlock& x, const Workspace& w, Index first) const {
  return node_value<Eigen::ColMajor>(node, x, w, first);
}

template <int Order>
ConstPanelRef<Order> OdeSystem::edge_input(int k, const ConstPanelRef<Order>& x, const Workspace& w,
                                           Index first) const {
  const int rate = rate_of_edge_[at(k)];
  const int from = circuit_.edges[at(k)].from;
  if (rate < 0) return node_value<Order>(from, x, w, first);
  return part<Order>(w.rates_[at(rate)], circuit_.nodes[at(from)].size, w.columns(), first,
                     x.cols());
}

// out = Σ_edges g γ(x) ⊙ s ⊙ W (d ⊙ φ(x_from)) + s(t)
template <int Order>
void OdeSystem::accumulate(int i, const Times& t, const ConstPanelRef<Order>& x,
                           PanelRef<Order> out, Workspace& w, Index first) const {
  const Index columns = x.cols(), all = w.columns(), rows = out.rows();
  if (w.constants_[at(i)].size() > 0)
    over_stretches<Order>(
        part<Order>(w.constants_[at(i)], rows, all, first, columns), out,
        [](const double* from, double* to, Index n) { std::copy_n(from, n, to); });
  else
    out.setZero();
  for (const int k : sources_into_[at(i)]) {
    if (is_constant_in_segment(circuit_.sources[at(k)])) continue;
    for (Index c = 0; c < columns; ++c) {
      const Workspace::Column& column = w.columns_[at(first + c)];
      column.system->add_source(
          column.system->circuit_.sources[at(k)], t(first + c), column.segment, column.trial,
          Order == Eigen::RowMajor
              ? Strided(out.data() + c, rows, Eigen::InnerStride<>(out.outerStride()))
              : Strided(out.data() + c * out.outerStride(), rows, Eigen::InnerStride<>(1)));
    }
  }
  for (const int k : edges_into_[at(i)]) {
    const Edge& edge = circuit_.edges[at(k)];
    const ConstPanelRef<Order> sent = edge_input<Order>(k, x, w, first);
    PanelRef<Order> scratch = part<Order>(w.scratch_, w.scratch_rows_, all, first, columns);
    const auto gains =
        w.gains_[at(k)].segment(first, columns).transpose().array();  // over the columns
    const double g = w.gains_[at(k)][first];
    const auto add = [&](PanelRef<Order> to) {
      if (w.gain_is_shared_[at(k)]) {
        if (g != 0) edge.weights->multiply_add<Order>(g, sent, to, scratch);
        return;
      }
      auto scaled = part<Order>(w.scaled_, sent.rows(), all, first, columns);
      scaled = sent.array().rowwise() * gains;
      edge.weights->multiply_add<Order>(1, scaled, to, scratch);
    };
    if (!scales_receiver(edge)) {
      add(out);
      continue;
    }
    auto product = part<Order>(w.receiver_, rows, all, first, columns);
    auto gamma = part<Order>(w.slope_, rows, all, first, columns);
    product.setZero();
    add(product);
    if (w.receiver_gates_[at(k)].size() > 0)
      product.array() *= part<Order>(w.receiver_gates_[at(k)], rows, all, first, columns).array();
    if (!edge.receiver_slope) {
      out += product;
      continue;
    }
    over_stretches<Order>(node_value<Order>(i, x, w, first), gamma,
                          [&](const double* from, double* to, Index n) {
                            circuit_.nodes[at(i)].transfer->slope(from, to, n);
                          });
    out.array() += gamma.array() * product.array();
  }
}

// out ← h (out − λ x)/τ, with h = 1 where there is no scale; by stretches of memory, which are columns,
// or in lanes units.
template <int Order>
void OdeSystem::finish(int i, const ConstPanelRef<Order>& own, const double* scale,
                       PanelRef<Order> out, const Workspace& w, Index first) const {
  constexpr bool in_lanes = Order == Eigen::RowMajor;
  const double* leak = circuit_.nodes[at(i)].leak.data();
  const double* slow = slowness_[at(i)].data();
  const Index all = w.columns(), rows = out.rows();
  for (Index outer = 0; outer < out.outerSize(); ++outer) {
    const double* from = own.data() + outer * own.outerStride();
    double* to = out.data() + outer * out.outerStride();
    const Index n = out.innerSize();
    const auto stretch = [&](const auto& leak_of, const auto& slow_of, const auto& h_of) {
      for (Index k = 0; k < n; ++k) to[k] = (to[k] - leak_of(k) * from[k]) * (slow_of(k) * h_of(k));
    };
    const auto with_scale = [&](const auto& leak_of, const auto& slow_of) {
      if (!scale) return stretch(leak_of, slow_of, [](Index) { return 1.0; });
      const double* h = scale + first;
      if constexpr (in_lanes)
        stretch(leak_of, slow_of, [h](Index k) { return h[k]; });
      else
        stretch(leak_of, slow_of, [h = h[outer]](Index) { return h; });
    };
    if (w.several_) {
      const Index begin = in_lanes ? outer * all + first : (first + outer) * rows;
      const double* leaks = w.leaks_[at(i)].data() + begin;
      const double* slows = w.slowness_[at(i)].data() + begin;
      with_scale([leaks](Index k) { return leaks[k]; }, [slows](Index k) { return slows[k]; });
    } else if constexpr (in_lanes) {
      with_scale([l = leak[outer]](Index) { return l; }, [s = slow[outer]](Index) { return s; });
    } else {
      with_scale([leak](Index k) { return leak[k]; }, [slow](Index k) { return slow[k]; });
    }
  }
}

template <int Order>
void OdeSystem::run(const Program& program, const Times& t, const ConstPanelRef<Order>& x,
                    PanelRef<Order>* dxdt, Index row_shift, const double* scale, Workspace& w,
                    Index first) const {
  if (w.changed_) w.look_over();
  const Index columns = x.cols(), all = w.columns();
  for (const Operation& operation : program) {
    const int i = operation.index;
    if (operation.kind == Operation::rate) {
      const Rate& rate = rates_[at(i)];
      const ConstPanelRef<Order> from = node_value<Order>(rate.node, x, w, first);
      auto r = part<Order>(w.rates_[at(i)], from.rows(), all, first, columns);
      over_stretches<Order>(from, r, [&](const double* in, double* out, Index n) {
        rate.transfer->value(in, out, n);
      });
      if (w.gates_[at(i)].size() > 0)
        r.array() *= part<Order>(w.gates_[at(i)], from.rows(), all, first, columns).array();
      continue;
    }
    const Node& node = circuit_.nodes[at(i)];
    if (offset(i) < 0) {
      auto out = part<Order>(w.values_[at(i)], node.size, all, first, columns);
      accumulate<Order>(i, t, x, out, w, first);
      continue;
    }
    PanelRef<Order> out = dxdt->middleRows(offset(i) - row_shift, node.size);
    if (w.some_held_[at(i)] &&
        std::find(w.held_[at(i)].begin(), w.held_[at(i)].end(), 0) == w.held_[at(i)].end()) {
      out.setZero();
      continue;
    }
    accumulate<Order>(i, t, x, out, w, first);
    finish<Order>(i, node_value<Order>(i, x, w, first), scale, out, w, first);
    if (w.some_held_[at(i)])
      for (Index c = 0; c < columns; ++c)
        if (w.held_[at(i)][at(first + c)]) out.col(c).setZero();
  }
}

void OdeSystem::derivative(double t, const ConstBlock& x, Block dxdt, Workspace& w,
                           Index first) const {
  if (w.changed_) w.look_over();
  const Index columns = x.cols();
  const Index blocks = (columns + block_columns - 1) / block_columns;
  const auto run_block = [&](Index b) {
    const Index begin = b * block_columns;
    const Index count = std::min(block_columns, columns - begin);
    Block out = dxdt.middleCols(begin, count);
    run<Eigen::ColMajor>(all_, {&t, 0}, x.middleCols(begin, count), &out, 0, nullptr, w,
                         first + begin);
  };
  if (blocks > 1 &&
      static_cast<double>(parameters()) * static_cast<double>(columns) > parallel_threshold)
    tbb::parallel_for(Index{0}, blocks, run_block);
  else
    for (Index b = 0; b < blocks; ++b) run_block(b);
}

void OdeSystem::scaled_derivative(const double* t, const double* h, const double* x, double* h_dxdt,
                                  Workspace& w) const {
  const auto evaluate = [&]<int Order>() {
    const Index columns = w.columns();
    Eigen::Map<const Panel<Order>> state(x, dimension_, columns);
    PanelRef<Order> out = Eigen::Map<Panel<Order>>(h_dxdt, dimension_, columns);
    run<Order>(all_, {t, 1}, state, &out, 0, h, w, 0);
  };
  if (w.lanes_)
    evaluate.template operator()<Eigen::RowMajor>();
  else
    evaluate.template operator()<Eigen::ColMajor>();
}

void OdeSystem::derivative_of(int node, double t, const ConstBlock& x, Block dxdt,
                              Workspace& w) const {
  run<Eigen::ColMajor>(single_.at(node), {&t, 0}, x, &dxdt, offset(node), nullptr, w, 0);
}

void OdeSystem::evaluate(double t, const ConstBlock& x, Workspace& w, Index first) const {
  run<Eigen::ColMajor>(values_, {&t, 0}, x, nullptr, 0, nullptr, w, first);
}

MatrixXd OdeSystem::input(const std::vector<int>& edges, const std::vector<int>& sources, double t,
                          const ConstBlock& x, Workspace& w) const {
  const int to = edges.empty() ? circuit_.sources[at(sources.front())].to
                               : circuit_.edges[at(edges.front())].to;
  MatrixXd sum = MatrixXd::Zero(circuit_.nodes[at(to)].size, x.cols());
  if (w.changed_) w.look_over();
  for (const int k : edges) {
    const Edge& edge = circuit_.edges[at(k)];
    auto scratch = part<Eigen::ColMajor>(w.scratch_, w.scratch_rows_, w.columns(), 0, x.cols());
    MatrixXd product = MatrixXd::Zero(sum.rows(), sum.cols());
    edge.weights->multiply_add(w.gains_[at(k)][0], edge_input<Eigen::ColMajor>(k, x, w, 0), product,
                               scratch);
    if (w.receiver_gates_[at(k)].size() > 0)
      product.array() *=
          part<Eigen::ColMajor>(w.receiver_gates_[at(k)], sum.rows(), w.columns(), 0, x.cols())
              .array();
    sum += product;
  }
  for (const int k : sources)
    for (Index c = 0; c < x.cols(); ++c)
      add_source(circuit_.sources[at(k)], t, w.segment(), w.trial(c),
                 Strided(sum.col(c).data(), sum.rows(), Eigen::InnerStride<>(1)));
  return sum;
}

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
