#include "sim/system/reduction.hpp"

#include <algorithm>
#include <utility>

#include "sim/system/folding.hpp"
#include "sim/system/projected_states.hpp"

namespace settle::system {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }
std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// Multiplications that a state costs besides its input: by its leak and 1/τ, and in the sums and error
// norms of a step, some thirty over the seven evaluations of dopri5.
constexpr double of_a_state = 6;

const core::Transfer& identity() {
  static const core::Transfer transfer = core::transfer("identity");
  return transfer;
}

double cost_of(const SignalGraph& graph) {
  return graph.multiplications() + of_a_state * static_cast<double>(graph.states());
}

struct Attempt {
  SignalGraph graph;
  std::vector<Projection> projections;
  std::vector<std::string> steps;
};

Attempt attempt(const SignalGraph& graph, const std::vector<int>& nodes) {
  Attempt out{graph, {}, {}};
  out.projections = project_states(out.graph, nodes, out.steps);
  fold(out.graph, out.steps);
  return out;
}

// The projections of all nodes that can be, or where these make an evaluation dearer, of those that one
// after the other don't.
Attempt best_attempt(const SignalGraph& graph) {
  std::vector<int> nodes;
  for (int v = 0; v < graph.size(); ++v)
    if (can_be_projection(graph, v)) nodes.push_back(v);
  Attempt all = attempt(graph, nodes);
  if (cost_of(all.graph) <= cost_of(graph)) return all;
  Attempt best = attempt(graph, {});
  std::vector<int> taken;
  for (const int v : nodes) {
    taken.push_back(v);
    Attempt more = attempt(graph, taken);
    if (more.projections.size() > best.projections.size() &&
        cost_of(more.graph) <= cost_of(best.graph))
      best = std::move(more);
    else
      taken.pop_back();
  }
  return best;
}

// The circuit of a graph, and the rows of its state.
class Writer {
 public:
  Writer(const SignalGraph& graph, Reduction& out)
      : graph_(graph), in_(graph.circuit()), out_(out), needed_(graph.needed()) {}

  void run(const std::vector<Projection>& projections) {
    const Circuit& original = graph_.circuit();
    out_.circuit.trials = original.trials;
    out_.circuit.controllers = original.controllers;
    for (Controller& controller : out_.circuit.controllers) {
      controller.measured_edges.clear();
      controller.setpoint_edges.clear();
      controller.setpoint_sources.clear();
    }
    for (const Phase& phase : original.phases) {
      Phase& own = out_.circuit.phases.emplace_back();
      own.name = phase.name;
      own.duration = phase.duration;
      own.until_settled = phase.until_settled;
    }
    find_nodes();
    write_nodes();
    write_order(projections);
    write_rows(projections);
  }

 private:
  bool is_original(int v) const { return at(v) < in_.nodes.size(); }

  // A drive needs a node where an edge from it is switched by a phase.
  static bool is_absorbed(const Vertex& from, const Term& term) {
    return from.drives() && term.off.empty() && !term.receiver_slope;
  }

  void find_nodes() {
    std::vector<char> written = needed_;
    for (int v = 0; v < graph_.size(); ++v)
      if (graph_[v].drives()) written[at(v)] = 0;
    for (int v = 0; v < graph_.size(); ++v)
      if (needed_[at(v)])
        for (const Term& term : graph_[v].in)
          if (!is_absorbed(graph_[term.from], term)) written[at(term.from)] = 1;
    node_.assign(needed_.size(), -1);
    row_.assign(needed_.size(), -1);
    int next = static_cast<int>(in_.nodes.size());
    for (int v = 0; v < graph_.size(); ++v)
      if (is_original(v))
        node_[at(v)] = v;
      else if (written[at(v)])
        node_[at(v)] = next++;
    Index row = 0;
    for (int v = 0; v < graph_.size(); ++v)
      if (node_[at(v)] >= 0 && graph_[v].dynamic()) {
        row_[at(v)] = row;
        row += graph_[v].size;
      }
    out_.start.setZero(row, in_.trials);
  }

  void write_nodes() {
    Circuit& circuit = out_.circuit;
    for (int v = 0; v < graph_.size(); ++v) {
      if (node_[at(v)] < 0) continue;
      const Vertex& vertex = graph_[v];
      Node& node = circuit.nodes.emplace_back();
      node.name = vertex.name;
      node.transfer = vertex.transfer ? vertex.transfer : identity();
      if (is_original(v) && !needed_[at(v)]) continue;
      const double scale = vertex.scale;
      node.size = vertex.size;
      node.tau = vertex.dynamic() ? vertex.tau : VectorXd(VectorXd::Zero(vertex.size));
      node.leak = vertex.dynamic() ? vertex.leak : VectorXd(VectorXd::Ones(vertex.size));
      if (vertex.dynamic()) write_state(v, node);
      if (vertex.kind == Vertex::Kind::constant) node.constant = MatrixXd::Ones(1, 1);
      if (vertex.kind == Vertex::Kind::profile) {
        Source source = in_.sources[at(vertex.source)];
        source.to = node_[at(v)];
        source.gain = 1;
        source.values = MatrixXd::Ones(1, 1);
        circuit.sources.push_back(std::move(source));
      }
      for (const int k : vertex.noise) circuit.sources.push_back(in_.sources[at(k)]);
      for (const Term& term : vertex.in) write_term(v, term, scale);
    }
  }

  // z = scale · v, so that an error in z is never larger in what is made of it.
  void write_state(int v, Node& node) {
    const Vertex& vertex = graph_[v];
    node.initial = vertex.initial ? MatrixXd(vertex.scale * *vertex.initial)
                                  : MatrixXd(MatrixXd::Zero(vertex.size, 1));
    if (vertex.start) {
      Block rows = out_.start.middleRows(row_[at(v)], vertex.size);
      for (Index c = 0; c < rows.cols(); ++c)
        rows.col(c) = vertex.scale * vertex.start->col(per_trial(vertex.start) ? c : 0);
    }
    for (std::size_t p = 0; p < out_.circuit.phases.size(); ++p) {
      Phase& phase = out_.circuit.phases[p];
      const auto mark = [&](const PhaseSet& set, std::vector<int>& list) {
        if (!set.empty() && set[p]) list.push_back(node_[at(v)]);
      };
      mark(vertex.held, phase.hold);
      mark(vertex.paused, phase.paused);
      mark(vertex.reset, phase.reset);
    }
  }

  void write_term(int to, const Term& term, double scale) {
    Circuit& circuit = out_.circuit;
    const Vertex& from = graph_[term.from];
    const double gain = term.gain * scale / from.scale;
    if (gain == 0) return;
    if (is_absorbed(from, term)) {
      const MatrixXd values = scale * column_values(term);
      if (from.kind == Vertex::Kind::constant) {
        circuit.nodes.back().constant = values;
        return;
      }
      Source source = in_.sources[at(from.source)];
      source.to = node_[at(to)];
      source.gain = 1;
      source.values = values;
      circuit.sources.push_back(std::move(source));
      return;
    }
    Edge edge;
    edge.name = from.name + "->" + graph_[to].name;
    edge.from = node_[at(term.from)];
    edge.to = node_[at(to)];
    edge.gain = gain;
    edge.weights = term.weights;
    edge.transfer = term.transfer ? term.transfer : identity();
    edge.receiver_slope = term.receiver_slope;
    if (term.gate) edge.gate = *term.gate;
    if (term.receiver_gate) edge.receiver_gate = *term.receiver_gate;
    for (std::size_t p = 0; p < term.off.size(); ++p)
      if (term.off[p]) circuit.phases[p].off.push_back(static_cast<int>(circuit.edges.size()));
    circuit.edges.push_back(std::move(edge));
  }

  // A node's filters take its turn; those that it shares the turn of the first.
  void write_order(const std::vector<Projection>& projections) {
    std::vector<int>& order = out_.circuit.update_order;
    const auto add = [&](int v) {
      if (std::find(order.begin(), order.end(), node_[at(v)]) == order.end())
        order.push_back(node_[at(v)]);
    };
    for (const int v : in_.update_order) {
      if (graph_[v].dynamic()) add(v);
      for (const Projection& projection : projections)
        if (projection.node == v)
          for (const Term& part : projection.parts) add(part.from);
    }
  }

  void write_rows(const std::vector<Projection>& projections) {
    Index row = 0;
    for (std::size_t i = 0; i < in_.nodes.size(); ++i) {
      const Node& node = in_.nodes[i];
      if (node.instantaneous()) continue;
      const int v = static_cast<int>(i);
      if (graph_[v].dynamic()) write_rows(row, node.size, {v, {}, {identity_term(v, node.size)}});
      for (const Projection& projection : projections)
        if (projection.node == v) write_rows(row, node.size, projection);
      row += node.size;
    }
  }

  void write_rows(Index row, Index size, const Projection& projection) {
    Reduction::Rows& rows = out_.rows.emplace_back();
    rows.row = row;
    rows.size = projection.rows.empty() ? size : static_cast<Index>(projection.rows.size());
    rows.places = projection.rows;
    for (const Term& term : projection.parts) {
      const Vertex& from = graph_[term.from];
      Reduction::Part part{
          row_[at(term.from)], from.size, term.gain / from.scale, term.weights, {}};
      if (term.receiver_gate) part.receiver_gate = *term.receiver_gate;
      rows.parts.push_back(std::move(part));
    }
  }

  const SignalGraph& graph_;
  const Circuit& in_;
  Reduction& out_;
  std::vector<char> needed_;
  std::vector<int> node_;   // of the written circuit, per vertex; −1: none
  std::vector<Index> row_;  // of its state, per vertex; −1: none
};

}  // namespace

Reduction reduce(const Circuit& circuit, const MatrixXd& x0) {
  Products products;
  const SignalGraph graph(circuit, x0, products);
  Reduction out;
  out.before = out.after = {graph.states(), graph.multiplications()};
  Attempt best = x0.allFinite() ? best_attempt(graph) : Attempt{graph, {}, {}};
  if (best.steps.empty()) {
    out.circuit = circuit;
    out.start = x0;
    return out;
  }
  out.steps = std::move(best.steps);
  out.after = {best.graph.states(), best.graph.multiplications()};
  Writer(best.graph, out).run(best.projections);
  return out;
}

namespace {

// x = E z: `add` adds a part of E to some rows; those that don't lie side by side are made in `scratch`.
template <int Order, class Scratch, class Add>
void expand_by(const std::vector<Reduction::Rows>& rows, const ConstPanelRef<Order>& z,
               PanelRef<Order> x, const Scratch& scratch, const Add& add) {
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const Reduction::Rows& own = rows[r];
    PanelRef<Order> out = own.places.empty() ? PanelRef<Order>(x.middleRows(own.row, own.size))
                                             : PanelRef<Order>(scratch(own.size));
    out.setZero();
    for (std::size_t p = 0; p < own.parts.size(); ++p)
      add(r, p, z.middleRows(own.parts[p].row, own.parts[p].size), out);
    for (std::size_t i = 0; i < own.places.size(); ++i)
      x.row(own.row + own.places[i]) = out.row(static_cast<Index>(i));
  }
}

}  // namespace

void Reduction::expand(const ConstBlock& z, Block x, std::span<const Index> trials) const {
  if (rows.empty()) {
    x = z;
    return;
  }
  thread_local MatrixXd store;
  const auto scratch = [](Index place, Index n, Index columns) -> Block {
    if (store.rows() < 2 * n || store.cols() < columns)
      store.resize(std::max(store.rows(), 2 * n), std::max(store.cols(), columns));
    return store.block(place * n, 0, n, columns);
  };
  expand_by<Eigen::ColMajor>(
      rows, z, x, [&](Index n) { return scratch(0, n, x.cols()); },
      [&](std::size_t r, std::size_t p, const ConstBlock& from, Block out) {
        const Part& part = rows[r].parts[p];
        Block none = out.topRows(0);
        if (part.receiver_gate.size() == 0) {
          part.weights->multiply_add(part.gain, from, out, none);
          return;
        }
        Block product = scratch(1, out.rows(), x.cols());
        product.setZero();
        part.weights->multiply_add(part.gain, from, product, none);
        for (Index c = 0; c < x.cols(); ++c) {
          const Index trial = column(part.receiver_gate, trials[at(c)]);
          out.col(c).array() += product.col(c).array() * part.receiver_gate.col(trial).array();
        }
      });
}

bool Reduction::expands_as(const Reduction& other) const {
  const auto same_part = [](const Part& a, const Part& b) {
    return a.row == b.row && a.size == b.size &&
           (a.receiver_gate.size() > 0) == (b.receiver_gate.size() > 0) && *a.weights == *b.weights;
  };
  return std::equal(rows.begin(), rows.end(), other.rows.begin(), other.rows.end(),
                    [&](const Rows& a, const Rows& b) {
                      return a.row == b.row && a.size == b.size && a.places == b.places &&
                             std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(),
                                        b.parts.end(), same_part);
                    });
}

Expansion::Expansion(const Reduction& shape, Index columns, bool in_lanes)
    : shape_(shape), columns_(columns), states_(shape.start.rows()), in_lanes_(in_lanes) {
  Index most = 0;
  for (const Reduction::Rows& rows : shape.rows) {
    most = std::max(most, rows.size);
    std::vector<Factors>& own = factors_.emplace_back();
    for (const Reduction::Part& part : rows.parts)
      own.push_back({VectorXd::Zero(columns),
                     VectorXd::Zero(part.receiver_gate.size() > 0 ? rows.size * columns : 0)});
  }
  product_.setZero(most * columns);
  placed_.setZero(most * columns);
}

void Expansion::assign(Index c, const Reduction& reduction, Index trial) {
  for (std::size_t r = 0; r < factors_.size(); ++r)
    for (std::size_t p = 0; p < factors_[r].size(); ++p) {
      const Reduction::Part& part = reduction.rows[r].parts[p];
      Factors& own = factors_[r][p];
      own.gains[c] = part.gain;
      for (Index i = 0; i < part.receiver_gate.rows(); ++i)
        own.gates[in_lanes_ ? i * columns_ + c : c * part.receiver_gate.rows() + i] =
            part.receiver_gate(i, column(part.receiver_gate, trial));
    }
}

template <int Order>
void Expansion::expand_in(const double* z, double* x) {
  const auto panel = [this](VectorXd& store, Index n) {
    return part<Order>(store, n, columns_, 0, columns_);
  };
  expand_by<Order>(
      shape_.rows, Eigen::Map<const Panel<Order>>(z, states_, columns_),
      Eigen::Map<Panel<Order>>(x, shape_.before.states, columns_),
      [&](Index n) { return panel(placed_, n); },
      [&](std::size_t r, std::size_t p, const ConstPanelRef<Order>& from, PanelRef<Order> out) {
        const Weights& weights = *shape_.rows[r].parts[p].weights;
        const Factors& own = factors_[r][p];
        const auto none = panel(none_, 0);
        constexpr bool in_lanes = Order == Eigen::RowMajor;
        auto product = panel(product_, out.rows());
        if constexpr (in_lanes) {
          if (own.gates.size() == 0)
            return weights.multiply_add<Order>(own.gains.data(), from, out, none);
          product.setZero();
          weights.multiply_add<Order>(nullptr, from, product, none);
        } else {
          product.setZero();
          weights.multiply_add<Order>(1, from, product, none);
        }
        if (own.gates.size() > 0)
          product.array() *= part<Order>(own.gates, out.rows(), columns_, 0, columns_).array();
        out.array() += product.array().rowwise() * own.gains.transpose().array();
      });
}

void Expansion::expand(const double* z, double* x) {
  if (in_lanes_)
    expand_in<Eigen::RowMajor>(z, x);
  else
    expand_in<Eigen::ColMajor>(z, x);
}

}  // namespace settle::system
