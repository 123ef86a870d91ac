#include "sim/system/ode_system.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "sim/system/panel.hpp"

namespace settle::system {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

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
  rows.reserve(at(dimension_));
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
                      return p.to == q.to && p.varies() == q.varies();
                    });
}

bool OdeSystem::suits_lanes() const {
  constexpr Index most = 64 * 64;
  return std::none_of(circuit_.edges.begin(), circuit_.edges.end(),
                      [](const Edge& edge) { return edge.weights->has_dense_beyond(most); });
}

}  // namespace settle::system
