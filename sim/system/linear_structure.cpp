#include "sim/system/linear_structure.hpp"

#include <algorithm>
#include <numeric>

namespace settle::system {
namespace {

constexpr std::size_t most_nodes = 16;  // p: beyond it, the small matrices aren't small

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

bool is_uniform(const VectorXd& v) {
  return (v.array() - v[0]).abs().maxCoeff() == 0;  // unlike any(), by vector instructions
}

// The factor of weights that are a multiple of the identity.
std::optional<double> multiple_of_identity(const Weights& weights) {
  if (weights.is_identity()) return 1.0;
  if (const auto* diagonal = std::get_if<Weights::Diagonal>(&weights.as_variant())) {
    const auto& entries = diagonal->entries;
    if (entries.size() > 0 && is_uniform(entries)) return entries[0];
  }
  return std::nullopt;
}

// One matrix that edges carry, by content.
class OneMatrix {
 public:
  /// Whether the weights are those seen before, or the first.
  bool take(const SharedWeights& weights) {
    if (!first_) first_ = weights;
    return first_ == weights || *first_ == *weights;
  }
  const SharedWeights& seen() const { return first_; }

 private:
  SharedWeights first_;
};

class Spaces {
 public:
  explicit Spaces(std::size_t n) : parent_(n) { std::iota(parent_.begin(), parent_.end(), 0); }
  int of(int i) {
    while (parent_[at(i)] != i) i = parent_[at(i)];
    return i;
  }
  void join(int i, int j) { parent_[at(of(i))] = of(j); }

 private:
  std::vector<int> parent_;
};

}  // namespace

namespace {

// Marks the instantaneous nodes that hear one that is marked.
void spread(const OdeSystem& system, const std::vector<double>& gains, std::vector<char>& marks) {
  const Circuit& circuit = system.circuit();
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t k = 0; k < circuit.edges.size(); ++k) {
      const Edge& edge = circuit.edges[k];
      if (gains[k] == 0 || !marks[at(edge.from)] || marks[at(edge.to)] ||
          system.offset(edge.to) >= 0)
        continue;
      marks[at(edge.to)] = changed = true;
    }
  }
}

// Per node: whether its value depends on a state that moves in the segment.
std::vector<char> moving_nodes(const OdeSystem& system, const Segment& segment) {
  std::vector<char> moves(system.circuit().nodes.size(), 0);
  for (const int i : system.dynamic_nodes()) moves[at(i)] = !system.is_held(segment, i);
  spread(system, system.circuit().gains(segment.phase), moves);
  return moves;
}

}  // namespace

template <class Scalar>
void Structure::evaluate(Scalar into_core, double out_of_core, Square<Scalar>& rates,
                         Square<Scalar>& values) const {
  const Index p = static_cast<Index>(parts.size());
  values.setZero(places, p);
  values.topRows(p).setIdentity();
  rates.setZero(p, p);
  for (const Term& term : terms) {
    const Scalar weight = term.kind == Term::scalar        ? Scalar(1)
                          : term.kind == Term::out_of_core ? Scalar(out_of_core)
                                                           : into_core;
    auto target = term.to < p ? rates.row(term.to) : values.row(term.to);
    target += (term.factor * weight) * values.row(term.from);
  }
  for (Index i = 0; i < p; ++i) {
    rates(i, i) -= leak[at(i)];
    rates.row(i) /= tau[at(i)];
  }
}
template void Structure::evaluate(double, double, Square<double>&, Square<double>&) const;
template void Structure::evaluate(std::complex<double>, double, Square<std::complex<double>>&,
                                  Square<std::complex<double>>&) const;

MatrixXd Structure::of_rest() const {
  MatrixXd all, values;
  evaluate(0.0, 0.0, all, values);
  std::vector<Index> lifted;
  for (std::size_t i = 0; i < parts.size(); ++i)
    if (parts[i].lifted) lifted.push_back(static_cast<Index>(i));
  return all(lifted, lifted);
}

std::optional<Structure> find_structure(const OdeSystem& system, const Segment& segment) {
  const Circuit& circuit = system.circuit();
  const std::vector<double> gains = circuit.gains(segment.phase);
  const std::vector<char> moves = moving_nodes(system, segment);
  const auto carries = [&](std::size_t k) {
    return gains[k] != 0 && moves[at(circuit.edges[k].from)];
  };

  // Nodes that move and that a moving state hears, directly or through instantaneous ones.
  std::vector<char> matters(circuit.nodes.size(), 0);
  Structure out;
  std::vector<int> nodes;
  Index row = 0;
  for (const int i : system.dynamic_nodes()) {
    if (!moves[at(i)]) continue;
    const Node& node = circuit.nodes[at(i)];
    if (node.size == 0 || !is_uniform(node.tau) || !is_uniform(node.leak)) return std::nullopt;
    matters[at(i)] = 1;
    nodes.push_back(i);
    out.parts.push_back({row, false});
    out.tau.push_back(node.tau[0]);
    out.leak.push_back(node.leak[0]);
    row += node.size;
  }
  if (nodes.empty() || nodes.size() > most_nodes) return std::nullopt;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t k = 0; k < circuit.edges.size(); ++k) {
      const Edge& edge = circuit.edges[k];
      if (!carries(k) || !matters[at(edge.to)] || matters[at(edge.from)]) continue;
      matters[at(edge.from)] = changed = true;
    }
  }

  // Nodes that identities join are of one space.
  Spaces spaces(circuit.nodes.size());
  std::vector<std::size_t> used, matrices;
  for (std::size_t k = 0; k < circuit.edges.size(); ++k) {
    const Edge& edge = circuit.edges[k];
    if (!carries(k) || !matters[at(edge.to)]) continue;
    if (edge.gate.size() > 0 || edge.scales_receiver()) return std::nullopt;
    used.push_back(k);
    if (multiple_of_identity(*edge.weights))
      spaces.join(edge.from, edge.to);
    else
      matrices.push_back(k);
  }
  std::vector<int> roots;
  for (std::size_t i = 0; i < circuit.nodes.size(); ++i) {
    if (!matters[i]) continue;
    const int root = spaces.of(static_cast<int>(i));
    if (std::find(roots.begin(), roots.end(), root) == roots.end()) roots.push_back(root);
  }
  // A square matrix within a space, or one each way between two.
  int core = roots[0], larger = -1;
  OneMatrix into, lift;
  if (roots.size() == 2) {
    const auto size = [&](int i) { return circuit.nodes[at(i)].size; };
    larger = roots[1];
    if (size(larger) < size(core)) std::swap(core, larger);
    for (const std::size_t k : matrices) {
      const Edge& edge = circuit.edges[k];
      const int from = spaces.of(edge.from), to = spaces.of(edge.to);
      if (from == to || !(from == core ? lift : into).take(edge.weights)) return std::nullopt;
    }
    if (!into.seen() || !lift.seen()) return std::nullopt;
    out.lift = lift.seen();
    out.into = into.seen();
    out.core = size(core);
    out.larger = size(larger);
  } else if (roots.size() == 1) {
    for (const std::size_t k : matrices)
      if (!into.take(circuit.edges[k].weights)) return std::nullopt;
    if (into.seen()) {
      out.into = into.seen();
      out.core = out.into->rows();
    } else {
      larger = core;
      out.larger = circuit.nodes[at(larger)].size;
    }
  } else {
    return std::nullopt;
  }

  // The scalar circuit.
  std::vector<int> place(circuit.nodes.size(), -1);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    out.parts[i].lifted = spaces.of(nodes[i]) == larger;
    place[at(nodes[i])] = static_cast<int>(i);
  }
  out.places = static_cast<int>(nodes.size());
  std::vector<int> order;
  for (const int i : order_instantaneous(circuit).nodes) {
    if (!matters[at(i)]) continue;
    place[at(i)] = out.places++;
    order.push_back(i);
  }
  order.insert(order.end(), nodes.begin(), nodes.end());
  for (const int to : order)
    for (const std::size_t k : used) {
      const Edge& edge = circuit.edges[k];
      if (edge.to != to) continue;
      Structure::Term term{Structure::Term::scalar, place[at(edge.from)], place[at(to)], gains[k]};
      if (const auto factor = multiple_of_identity(*edge.weights))
        term.factor *= *factor;
      else
        term.kind = larger >= 0 && spaces.of(edge.from) == core ? Structure::Term::out_of_core
                                                                : Structure::Term::into_core;
      out.terms.push_back(term);
    }
  return out;
}

std::string why_not_linear(const OdeSystem& system, int phase) {
  const Circuit& circuit = system.circuit();
  const Segment segment{.phase = phase};
  const std::vector<double> gains = circuit.gains(phase);
  std::vector<char> moves = moving_nodes(system, segment);
  // What a source moves between its breakpoints is no state, but a transfer bends it as well.
  for (const Source& source : circuit.sources)
    if (source.varies() && system.offset(source.to) < 0) moves[at(source.to)] = 1;
  spread(system, gains, moves);
  for (std::size_t k = 0; k < circuit.edges.size(); ++k) {
    const Edge& edge = circuit.edges[k];
    if (gains[k] == 0) continue;
    if (moves[at(edge.from)] && !circuit.transfer_of(edge)->is_identity())
      return "the transfer of \"" + edge.name + "\" is not the identity";
    if (edge.receiver_slope && (moves[at(edge.from)] || moves[at(edge.to)]))
      return "\"" + edge.name + "\" is multiplied by the slope of its receiver";
  }
  for (const Source& source : circuit.sources)
    if (source.profile && !source.profile->form(0))
      return "the signal of \"" + source.name + "\" has no closed form";
  return "";
}

std::vector<std::vector<Index>> trials_of_one_matrix(const OdeSystem& system, int phase) {
  const Circuit& circuit = system.circuit();
  const std::vector<double> gains = circuit.gains(phase);
  const std::vector<char> moves = moving_nodes(system, {.phase = phase});
  std::vector<const MatrixXd*> gates;
  for (std::size_t k = 0; k < circuit.edges.size(); ++k) {
    const Edge& edge = circuit.edges[k];
    if (gains[k] == 0 || !moves[at(edge.from)]) continue;
    for (const MatrixXd* gate : {&edge.gate, &edge.receiver_gate})
      if (gate->cols() > 1) gates.push_back(gate);
  }
  std::vector<std::vector<Index>> groups;
  for (Index trial = 0; trial < system.trials(); ++trial) {
    const auto own = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return std::all_of(gates.begin(), gates.end(), [&](const MatrixXd* gate) {
        return gate->col(group.front()) == gate->col(trial);
      });
    });
    if (own == groups.end())
      groups.push_back({trial});
    else
      own->push_back(trial);
  }
  return groups;
}

}  // namespace settle::system
