#include "sim/system/signal_graph.hpp"

#include <algorithm>
#include <utility>

namespace settle::system {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

bool same_transfer(const core::Transfer& a, const core::Transfer& b) {
  if (a == b) return true;
  return a && b && a->name() == b->name() && write_transfer(a) == write_transfer(b);
}

bool same_matrix(const SharedMatrix& a, const SharedMatrix& b) {
  if (a == b) return true;
  return a && b && a->rows() == b->rows() && a->cols() == b->cols() && *a == *b;
}

bool same_weights(const Term& a, const Term& b) {
  return a.weights == b.weights || (a.weights->is_identity() && b.weights->is_identity());
}

// a ⊙ b for columns, of which either may be shared by all trials.
MatrixXd times(const MatrixXd& a, const MatrixXd& b) {
  if (a.cols() == b.cols()) return a.cwiseProduct(b);
  const MatrixXd& one = a.cols() == 1 ? a : b;
  const MatrixXd& many = a.cols() == 1 ? b : a;
  return one.col(0).asDiagonal() * many;
}

bool has_one_column(const Term& term) { return term.weights->cols() == 1; }

// Whether the two can be one term, given that they hear the same.
bool can_join(const Term& a, const Term& b) {
  if (a.receiver_slope || b.receiver_slope) return false;
  return has_one_column(a) || same_matrix(a.receiver_gate, b.receiver_gate);
}

}  // namespace

SharedMatrix shared(MatrixXd m) {
  return m.size() > 0 ? std::make_shared<const MatrixXd>(std::move(m)) : nullptr;
}

SharedMatrix compressed(const MatrixXd& m) {
  if ((m.array() == 0).all()) return nullptr;
  for (Index c = 1; c < m.cols(); ++c)
    if (m.col(c) != m.col(0)) return shared(m);
  return shared(m.leftCols(1));
}

bool per_trial(const SharedMatrix& m) { return m && m->cols() > 1; }

bool same_signal(const Term& a, const Term& b) {
  return a.from == b.from && a.off == b.off && same_transfer(a.transfer, b.transfer) &&
         same_matrix(a.gate, b.gate);
}

PhaseSet either(const PhaseSet& a, const PhaseSet& b) {
  if (a.empty()) return b;
  PhaseSet out = a;
  for (std::size_t p = 0; p < b.size(); ++p) out[p] = a[p] || b[p];
  return out;
}

Term column_term(int from, const MatrixXd& values) {
  Term term;
  term.from = from;
  term.weights = std::make_shared<const Weights>(
      values.cols() == 1 ? values : MatrixXd(MatrixXd::Ones(values.rows(), 1)));
  if (values.cols() > 1) term.receiver_gate = shared(values);
  return term;
}

MatrixXd column_values(const Term& term) {
  const MatrixXd w = term.gain * term.weights->dense();
  return term.receiver_gate ? times(*term.receiver_gate, w) : w;
}

Term identity_term(int from, Index size) {
  Term term;
  term.from = from;
  term.weights = std::make_shared<const Weights>(Weights::Identity{size});
  return term;
}

SharedWeights Products::operator()(const SharedWeights& a, const VectorXd& d,
                                   const SharedWeights& b) {
  if (d.size() == 0 && a->is_identity()) return b;
  if (d.size() == 0 && b->is_identity()) return a;
  std::vector<Entry>& entries = made_[{a.get(), b.get()}];
  for (const Entry& entry : entries)
    if (entry.d.size() == d.size() && entry.d == d) return entry.product;
  entries.push_back({a, b, std::make_shared<const Weights>(product(*a, d, *b)), d});
  return entries.back().product;
}

SignalGraph::SignalGraph(const Circuit& circuit, const MatrixXd& x0, Products& products)
    : circuit_(&circuit), products_(&products) {
  const std::size_t phases = circuit.phases.size();
  const auto mark = [phases](PhaseSet& set, std::size_t phase) {
    set.resize(phases);
    set[phase] = 1;
  };
  vertices_.reserve(2 * circuit.nodes.size() + circuit.sources.size() + 4);
  Index row = 0;
  for (const Node& node : circuit.nodes) {
    Vertex vertex;
    vertex.name = node.name;
    vertex.size = node.size;
    vertex.transfer = node.transfer;
    if (!node.instantaneous()) {
      vertex.tau = node.tau;
      vertex.leak = node.leak;
      vertex.initial = compressed(node.initial);
      vertex.start = compressed(x0.middleRows(row, node.size));
      row += node.size;
    }
    add(std::move(vertex));
  }
  for (std::size_t p = 0; p < phases; ++p) {
    for (const int i : circuit.phases[p].hold) mark((*this)[i].held, p);
    for (const int i : circuit.phases[p].paused) mark((*this)[i].paused, p);
    for (const int i : circuit.phases[p].reset) mark((*this)[i].reset, p);
  }

  int one = -1;
  for (std::size_t i = 0; i < circuit.nodes.size(); ++i) {
    const MatrixXd& constant = circuit.nodes[i].constant;
    if (constant.size() == 0 || (constant.array() == 0).all()) continue;
    if (one < 0) one = add({.kind = Vertex::Kind::constant, .name = "constant", .size = 1});
    vertices_[i].in.push_back(column_term(one, constant));
  }
  for (std::size_t k = 0; k < circuit.sources.size(); ++k) {
    const Source& source = circuit.sources[k];
    if (!source.profile) {
      (*this)[source.to].noise.push_back(static_cast<int>(k));
      continue;
    }
    const int profile = add({.kind = Vertex::Kind::profile,
                             .name = source.name,
                             .size = 1,
                             .source = static_cast<int>(k)});
    Term term = column_term(profile, source.values);
    term.gain = source.gain;
    (*this)[source.to].in.push_back(std::move(term));
  }

  for (std::size_t k = 0; k < circuit.edges.size(); ++k) {
    const Edge& edge = circuit.edges[k];
    if (edge.gain == 0) continue;
    Term term;
    term.from = edge.from;
    if (const core::Transfer& transfer = circuit.transfer_of(edge); !transfer->is_identity())
      term.transfer = transfer;
    term.gate = shared(edge.gate);
    term.gain = edge.gain;
    term.weights = edge.weights;
    term.receiver_gate = shared(edge.receiver_gate);
    term.receiver_slope = edge.receiver_slope;
    for (std::size_t p = 0; p < phases; ++p) {
      const auto& off = circuit.phases[p].off;
      if (std::find(off.begin(), off.end(), static_cast<int>(k)) != off.end()) mark(term.off, p);
    }
    // W = F₀ F₁ … is a vertex after each factor, which is as cheap and shows how narrow it is.
    if (const auto* low_rank = std::get_if<Weights::LowRank>(&edge.weights->as_variant())) {
      for (std::size_t f = low_rank->factors.size(); --f > 0;) {
        Vertex inner;
        inner.name = edge.name + ".factor";
        inner.size = low_rank->factors[f].rows();
        Term factor;
        factor.from = term.from;
        factor.transfer = std::exchange(term.transfer, nullptr);
        factor.gate = std::exchange(term.gate, nullptr);
        factor.weights = std::make_shared<const Weights>(low_rank->factors[f]);
        inner.in.push_back(std::move(factor));
        term.from = add(std::move(inner));
      }
      term.weights = std::make_shared<const Weights>(low_rank->factors.front());
    }
    (*this)[edge.to].in.push_back(std::move(term));
  }
}

int SignalGraph::add(Vertex vertex) {
  vertices_.push_back(std::move(vertex));
  return size() - 1;
}

// A gate of one column is a matrix; one that differs between trials can only go into what has one column
// itself: W (d_t ⊙ V x) = (W (d_t ⊙ V)) x for scalar x, n × trials numbers.
bool SignalGraph::composable(const Term& out, const Term& in) const {
  if (out.transfer || out.receiver_slope || in.receiver_slope) return false;
  return has_one_column(in) || (!per_trial(out.gate) && !per_trial(in.receiver_gate));
}

Term SignalGraph::compose(const Term& out, const Term& in) const {
  Term term = in;
  term.gain = out.gain * in.gain;
  term.off = either(out.off, in.off);
  term.receiver_gate = out.receiver_gate;
  if (per_trial(out.gate) || per_trial(in.receiver_gate)) {
    MatrixXd values = in.weights->dense();
    if (in.receiver_gate) values = times(*in.receiver_gate, values);
    if (out.gate) values = times(*out.gate, values);
    MatrixXd sent = MatrixXd::Zero(out.weights->rows(), values.cols()), scratch;
    out.weights->multiply_add(1.0, values, sent, scratch);
    if (out.receiver_gate) sent = times(*out.receiver_gate, sent);
    term.weights = std::make_shared<const Weights>(MatrixXd(MatrixXd::Ones(sent.rows(), 1)));
    term.receiver_gate = shared(sent);
    return term;
  }
  VectorXd d;
  if (out.gate) d = out.gate->col(0);
  if (in.receiver_gate)
    d = out.gate ? VectorXd(d.cwiseProduct(in.receiver_gate->col(0)))
                 : VectorXd(in.receiver_gate->col(0));
  term.weights = (*products_)(out.weights, d, in.weights);
  return term;
}

double SignalGraph::multiplications(const Term& term) const {
  // A bias that is never off is added, not multiplied.
  if ((*this)[term.from].kind == Vertex::Kind::constant && term.off.empty()) return 0;
  return static_cast<double>(term.weights->parameters() +
                             (term.receiver_gate ? term.weights->rows() : 0));
}

double SignalGraph::composed_multiplications(const Term& out, const Term& in) const {
  const auto rows = static_cast<double>(out.weights->rows());
  if ((*this)[in.from].kind == Vertex::Kind::constant && out.off.empty() && in.off.empty())
    return 0;
  if (per_trial(out.gate) || per_trial(in.receiver_gate)) return 2 * rows;
  const double gated =
      (out.gate || in.receiver_gate) && out.weights->is_identity() && in.weights->is_identity()
          ? rows
          : 0;
  return product_parameters(*out.weights, *in.weights) + gated + (out.receiver_gate ? rows : 0);
}

Term* SignalGraph::partner(int to, const Term& term) {
  for (Term& other : (*this)[to].in)
    if (same_signal(other, term) && can_join(other, term)) return &other;
  return nullptr;
}

void SignalGraph::add_term(int to, Term term) {
  Term* other = partner(to, term);
  if (!other) {
    (*this)[to].in.push_back(std::move(term));
  } else if (same_weights(*other, term) && same_matrix(other->receiver_gate, term.receiver_gate)) {
    other->gain += term.gain;
  } else if (has_one_column(term) && !term.receiver_slope) {
    const MatrixXd a = column_values(*other), b = column_values(term);
    const Index trials = std::max(a.cols(), b.cols());
    const auto wide = [trials](const MatrixXd& m) -> MatrixXd {
      return m.cols() == trials ? m : MatrixXd(m.replicate(1, trials));
    };
    const Term sum = column_term(term.from, wide(a) + wide(b));
    other->gain = 1;
    other->weights = sum.weights;
    other->receiver_gate = sum.receiver_gate;
  } else {
    other->weights = std::make_shared<const Weights>(
        sum(other->gain, *other->weights, term.gain, *term.weights));
    other->gain = 1;
  }
}

std::pair<double, bool> SignalGraph::growth(int to, const Term& out, const Term& in) const {
  const double alone = composed_multiplications(out, in);
  const PhaseSet off = either(out.off, in.off);
  for (const Term& other : (*this)[to].in) {
    if (&other == &out || other.receiver_slope || other.from != in.from || other.off != off ||
        !same_transfer(other.transfer, in.transfer) || !same_matrix(other.gate, in.gate))
      continue;
    if (has_one_column(other)) return {0, true};
    if (!same_matrix(other.receiver_gate, out.receiver_gate)) continue;
    if (other.weights->is_identity() && alone == 0) return {0, true};
    const auto dense = static_cast<double>(out.weights->rows() * in.weights->cols());
    return {std::min(alone, dense - multiplications(other)), true};
  }
  return {alone, false};
}

std::vector<char> SignalGraph::needed() const {
  std::vector<char> marks(vertices_.size(), 0);
  std::vector<int> open;
  for (int v = 0; v < size(); ++v)
    if ((*this)[v].dynamic()) {
      marks[at(v)] = 1;
      open.push_back(v);
    }
  while (!open.empty()) {
    const int v = open.back();
    open.pop_back();
    for (const Term& term : (*this)[v].in)
      if (!marks[at(term.from)]) {
        marks[at(term.from)] = 1;
        open.push_back(term.from);
      }
  }
  return marks;
}

double SignalGraph::multiplications() const {
  const std::vector<char> marks = needed();
  double sum = 0;
  for (int v = 0; v < size(); ++v)
    if (marks[at(v)])
      for (const Term& term : (*this)[v].in) sum += multiplications(term);
  return sum;
}

Index SignalGraph::states() const {
  Index n = 0;
  for (const Vertex& vertex : vertices_)
    if (vertex.dynamic()) n += vertex.size;
  return n;
}

}  // namespace settle::system
