// The right-hand side of the canonical equation.
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>

#include "sim/system/ode_system.hpp"

namespace settle::system {
namespace {

// Columns that one task evaluates. Fixed, so that no bit depends on the number of threads.
constexpr Index block_columns = 64;
// Multiplications below which a second thread costs more than it brings.
constexpr double parallel_threshold = 1e6;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

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
inline ConstPanelRef<Order> OdeSystem::node_value(int node, const ConstPanelRef<Order>& x,
                                                  const Workspace& w, Index first) const {
  const Index size = circuit_.nodes[at(node)].size;
  if (offset(node) >= 0) return x.middleRows(offset(node), size);
  return part<Order>(w.values_[at(node)], size, w.columns(), first, x.cols());
}

ConstBlock OdeSystem::value(int node, const ConstBlock& x, const Workspace& w, Index first) const {
  return node_value<Eigen::ColMajor>(node, x, w, first);
}

template <int Order>
inline ConstPanelRef<Order> OdeSystem::edge_input(int k, const ConstPanelRef<Order>& x,
                                                  const Workspace& w, Index first) const {
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
    if (!circuit_.sources[at(k)].varies()) continue;
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
    if (w.is_off_[at(k)]) continue;
    const Edge& edge = circuit_.edges[at(k)];
    const ConstPanelRef<Order> sent = edge_input<Order>(k, x, w, first);
    PanelRef<Order> scratch = part<Order>(w.scratch_, w.scratch_rows_, all, first, columns);
    const double* gains = w.gains_[at(k)].data() + first;
    const auto add = [&](PanelRef<Order> to) {
      if constexpr (Order == Eigen::RowMajor) {
        edge.weights->multiply_add<Order>(gains, sent, to, scratch);
      } else if (!w.several_) {
        edge.weights->multiply_add<Order>(gains[0], sent, to, scratch);
      } else {
        auto scaled = part<Order>(w.scaled_, sent.rows(), all, first, columns);
        for (Index c = 0; c < columns; ++c) scaled.col(c) = gains[c] * sent.col(c);
        edge.weights->multiply_add<Order>(1, scaled, to, scratch);
      }
    };
    if (!edge.scales_receiver()) {
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
    PanelRef<Eigen::ColMajor> out = dxdt.middleCols(begin, count);
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
  PanelRef<Eigen::ColMajor> out = dxdt;
  run<Eigen::ColMajor>(single_.at(node), {&t, 0}, x, &out, offset(node), nullptr, w, 0);
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

template ConstPanelRef<Eigen::ColMajor> OdeSystem::edge_input<Eigen::ColMajor>(
    int, const ConstPanelRef<Eigen::ColMajor>&, const Workspace&, Index) const;

}  // namespace settle::system
