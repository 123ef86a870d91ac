#include "sim/system/projected_states.hpp"

#include <algorithm>
#include <cmath>

#include "sim/core/linalg.hpp"

namespace settle::system {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

bool all_zero(const MatrixXd& m) { return (m.array() == 0).all(); }

MatrixXd rows_of(const MatrixXd& m, const std::vector<Index>& rows) {
  return rows.empty() ? m : MatrixXd(m(rows, Eigen::all));
}

// g s ⊙ W restricted to some rows; none given: all.
Term rows_of(const Term& term, const std::vector<Index>& rows) {
  if (rows.empty()) return term;
  Term out = term;
  out.weights = std::make_shared<const Weights>(rows_of(*term.weights, rows));
  if (term.receiver_gate)
    out.receiver_gate = std::make_shared<const MatrixXd>(rows_of(*term.receiver_gate, rows));
  return out;
}

// Puts each of n_rows values at its row among n.
SharedWeights scatter(Index n, const std::vector<Index>& rows) {
  Weights::Sparse out(n, static_cast<Index>(rows.size()));
  std::vector<Eigen::Triplet<double>> entries;
  for (std::size_t i = 0; i < rows.size(); ++i)
    entries.emplace_back(static_cast<int>(rows[i]), static_cast<int>(i), 1.0);
  out.setFromTriplets(entries.begin(), entries.end());
  return std::make_shared<const Weights>(std::move(out));
}

double largest_row_sum(const Term& term) {
  const double gated = term.receiver_gate ? term.receiver_gate->cwiseAbs().maxCoeff() : 1;
  return std::abs(term.gain) * gated * largest_row_sum(*term.weights);
}

// The least power of two that is not below x.
double power_of_two(double x) {
  return x > 0 && std::isfinite(x) ? std::exp2(std::ceil(std::log2(x))) : 1;
}

// V = A a + V⊥ with A = [g₁W₁ g₂W₂ …] and a the vector of least squares and least norm, or where that is
// large, a shorter one. Whatever a is, V⊥ is what it leaves, so that the sum is exact to rounding.
class ColumnSpace {
 public:
  explicit ColumnSpace(const std::vector<const Term*>& terms) : terms_(terms) {
    for (const Term* term : terms) size_ += term->weights->cols();
  }

  struct Split {
    std::vector<MatrixXd> inside;  // of each term
    MatrixXd outside;              // empty where nothing is left
  };

  Split operator()(const MatrixXd& v) {
    if (size_ > 0 && transposed_.empty()) prepare();
    MatrixXd a = MatrixXd::Zero(size_, v.cols());
    Split split;
    split.outside = v;
    if (norm_ > 0) {
      // By blocks of one width, so that no column's bits depend on how many there are.
      constexpr Index width = 8;
      MatrixXd block(v.rows(), width);
      for (Index begin = 0; begin < v.cols(); begin += width) {
        const Index count = std::min(width, v.cols() - begin);
        block.setZero();
        block.leftCols(count) = v.middleCols(begin, count);
        split_block(block);
        a.middleCols(begin, count) = found_.leftCols(count);
        split.outside.middleCols(begin, count) = rest_.leftCols(count);
      }
    }
    Index row = 0;
    for (const Term* term : terms_) {
      split.inside.push_back(a.middleRows(row, term->weights->cols()));
      row += term->weights->cols();
    }
    if (all_zero(split.outside)) split.outside.resize(0, 0);
    return split;
  }

 private:
  static constexpr double cut = 1e-12;        // δ over the largest diagonal entry of AᵀA
  static constexpr double strong_cut = 1e-4;  // the same for a shorter a
  static constexpr double most_amplified = 50;  // ‖A‖ ‖a‖ over ‖V‖: by so much rtol can grow in A a

  void prepare() {
    gram_.setZero(size_, size_);
    Index row = 0;
    for (const Term* left : terms_) {
      transposed_.push_back(left->weights->transposed());
      Index column = 0;
      for (const Term* right : terms_) {
        gram_.block(row, column, left->weights->cols(), right->weights->cols()) =
            left->gain * right->gain *
            system::product(transposed_.back(), {}, *right->weights).dense();
        column += right->weights->cols();
      }
      row += left->weights->cols();
      norm_ = std::max(norm_, largest_row_sum(*left));
    }
    if (!std::isfinite(norm_)) norm_ = 0;
    if (norm_ > 0) inverse_ = inverse(cut);
  }

  // (AᵀA + δ I)⁻¹, which leaves to V⊥ the directions of A that are weaker than √δ.
  MatrixXd inverse(double relative) const {
    MatrixXd gram = gram_;
    gram.diagonal().array() += relative * gram_.diagonal().maxCoeff();
    return core::solve_linear(gram, MatrixXd::Identity(size_, size_))
        .value_or(MatrixXd::Zero(size_, size_));
  }

  void split_block(const MatrixXd& v) {
    rest_ = v;
    found_.setZero(size_, v.cols());
    // Each pass takes away all of a direction but δ/(σ² + δ) of it.
    for (int pass = 0; pass < 4; ++pass) {
      found_.noalias() += inverse_ * adjoint(rest_);
      rest_ = v - product(found_);
    }
    const auto is_long = [&](Index c) {
      return !(norm_ * found_.col(c).lpNorm<Eigen::Infinity>() <=
               most_amplified * v.col(c).lpNorm<Eigen::Infinity>());
    };
    bool any = false;
    for (Index c = 0; c < v.cols(); ++c) any |= is_long(c);
    if (any) {
      if (strong_inverse_.size() == 0) strong_inverse_ = inverse(strong_cut);
      const MatrixXd shorter = strong_inverse_ * adjoint(v);
      const MatrixXd left = v - product(shorter);
      for (Index c = 0; c < v.cols(); ++c) {
        if (!is_long(c)) continue;
        found_.col(c) = shorter.col(c);
        rest_.col(c) = left.col(c);
      }
    }
    for (Index c = 0; c < v.cols(); ++c)
      if (rest_.col(c).norm() <= 1e-13 * v.col(c).norm()) rest_.col(c).setZero();
  }

  MatrixXd product(const MatrixXd& a) const {
    MatrixXd out = MatrixXd::Zero(terms_.front()->weights->rows(), a.cols()), none;
    Index row = 0;
    for (const Term* term : terms_) {
      const Index n = term->weights->cols();
      term->weights->multiply_add(term->gain, a.middleRows(row, n), out, none);
      row += n;
    }
    return out;
  }

  MatrixXd adjoint(const MatrixXd& v) const {
    MatrixXd out = MatrixXd::Zero(size_, v.cols()), none;
    Index row = 0;
    for (std::size_t k = 0; k < terms_.size(); ++k) {
      const Index n = terms_[k]->weights->cols();
      transposed_[k].multiply_add(terms_[k]->gain, v, out.middleRows(row, n), none);
      row += n;
    }
    return out;
  }

  std::vector<const Term*> terms_;
  std::vector<Weights> transposed_;
  Index size_ = 0;
  double norm_ = 0;  // a bound of every ‖g W‖∞; 0 where there is nothing to split by
  MatrixXd gram_, inverse_, strong_inverse_, found_, rest_;
};

// What a term with one column that stands for a drive adds: V · drive.
struct Drive {
  int from;
  PhaseSet off;
  SharedMatrix values;
};

class Projector {
 public:
  explicit Projector(SignalGraph& graph) : graph_(graph) {}

  // How many numbers a dynamic vertex hears, seen through the instantaneous ones.
  Index width(int v) {
    widths_.assign(graph_.vertices().size(), -1);
    std::vector<Term> heard;
    for (const Term& term : graph_[v].in) gather(term, heard, false);
    Index sum = 0;
    for (std::size_t k = 0; k < heard.size(); ++k) {
      const bool again = std::any_of(heard.begin(), heard.begin() + static_cast<std::ptrdiff_t>(k),
                                     [&](const Term& t) { return same_signal(t, heard[k]); });
      if (!again && !graph_[heard[k].from].drives()) sum += graph_[heard[k].from].size;
    }
    return sum;
  }

  // Of the nodes that are left the one that hears least, until none hears less than it has states: a
  // node that hears a projection then hears what that is a projection of.
  std::vector<Projection> run(const std::vector<int>& nodes, std::vector<std::string>& steps) {
    std::vector<int> left = nodes;
    while (!left.empty()) {
      auto best = left.end();
      Index least = 0;
      for (auto v = left.begin(); v != left.end(); ++v) {
        const Index w = width(*v);
        if (w < graph_[*v].size && (best == left.end() || w < least)) {
          best = v;
          least = w;
        }
      }
      if (best == left.end()) break;
      const int v = *best;
      left.erase(best);
      project(v, steps);
    }
    return std::move(projections_);
  }

 private:
  struct Group {
    double tau, leak;
    std::vector<Index> rows;  // empty: all
    Index size = 0;
    std::vector<Term> signals;
    std::vector<ColumnSpace::Split> drives;
    ColumnSpace::Split start;
    Index states = 0;
  };
  struct Filter {
    int vertex;
    Term signal;
    double tau, leak;
    bool plain;  // nothing drives it but the signal, from zero
  };

  // Whether what an instantaneous vertex hears can be heard in its place, one by one.
  bool is_transparent(int v) const {
    const Vertex& vertex = graph_[v];
    if (vertex.dynamic() || vertex.drives() || !vertex.noise.empty()) return false;
    return std::all_of(vertex.in.begin(), vertex.in.end(), [](const Term& term) {
      return !per_trial(term.receiver_gate) || term.weights->cols() == 1;
    });
  }
  static bool passes(const Term& term) {
    return !term.transfer && !term.receiver_slope && !per_trial(term.gate);
  }

  // The size of a vertex, or less where it hears less.
  Index width_of(int v) {
    Index& width = widths_[at(v)];
    if (width >= 0) return width;
    width = graph_[v].drives() ? 0 : graph_[v].size;
    if (is_transparent(v)) width = std::min(width, heard_by(v));
    return widths_[at(v)];
  }
  Index heard_by(int v) {
    Index sum = 0;
    for (const Term& term : graph_[v].in)
      sum += passes(term) ? width_of(term.from) : graph_[term.from].size;
    return sum;
  }

  // The terms that `term` stands for, where they are narrower together; with or without the numbers.
  void gather(const Term& term, std::vector<Term>& out, bool numbers) {
    const int v = term.from;
    if (!passes(term) || !is_transparent(v) || heard_by(v) >= graph_[v].size) {
      out.push_back(term);
      return;
    }
    for (const Term& in : graph_[v].in) {
      if (numbers) {
        gather(graph_.compose(term, in), out, numbers);
      } else {
        Term signal = in;
        signal.off = either(term.off, in.off);
        gather(signal, out, numbers);
      }
    }
  }

  // τ ẋ = −λ x + Σ_k g_k W_k s_k(t) + Σ_d V_d a_d(t), x(0) = x₀, s_k any signals, a_d scalar drives, with one
  // τ and λ for all units. Let τ v̇_k = −λ v_k + s_k + Σ_d A_kd a_d, v_k(0) = x_k⁰, and τ ċ_d = −λ c_d + a_d,
  // c_d(0) = 0, and τ ż = −λ z, z(0) = 1. Then x = Σ_k g_k W_k v_k + Σ_d V⊥_d c_d + x⊥₀ z: both sides obey the
  // same linear equation with the same drive where V_d = Σ_k g_k W_k A_kd + V⊥_d, from the same start where
  // x₀ = Σ_k g_k W_k x_k⁰ + x⊥₀, and its solution is unique. W_k are any matrices; where a phase switches
  // an edge off, s_k is zero on both sides; where it holds x, it holds its filters. With several τ and λ
  // this is so for the units of each.
  //
  // Why V_d is split: with V⊥_d = V_d, x would be a difference of large numbers. A leaky integrator of
  // W r − y that has come to rest is x = (W r − y)/λ, small where W r ≈ y; v = r/λ and y c = y/λ are large.
  bool project(int v, std::vector<std::string>& steps) {
    const Index n = graph_[v].size;
    widths_.assign(graph_.vertices().size(), -1);
    const std::vector<Term> before = graph_[v].in;
    std::vector<Term> heard;
    for (const Term& term : before) gather(term, heard, true);
    graph_[v].in.clear();
    for (Term& term : heard) graph_.add_term(v, std::move(term));
    heard = std::exchange(graph_[v].in, before);

    std::vector<Drive> drives;
    std::vector<Term> signals;
    for (Term& term : heard) {
      if (!graph_[term.from].drives())
        signals.push_back(absorbed(std::move(term)));
      else if (SharedMatrix values = compressed(column_values(term)))
        drives.push_back({term.from, term.off, std::move(values)});
    }

    std::vector<Group> groups = groups_of(v);
    std::vector<Index> rest;
    Index states = 0;
    for (Group& group : groups) {
      plan(group, signals, drives, graph_[v].start);
      if (group.states < group.size) {
        states += group.states;
      } else {
        states += group.size;
        rest.insert(rest.end(), group.rows.begin(), group.rows.end());
      }
    }
    if (states >= n) return false;
    std::erase_if(groups, [](const Group& group) { return group.states >= group.size; });
    std::sort(rest.begin(), rest.end());

    const std::string name = graph_[v].name;
    steps.push_back(
        name + " (" + std::to_string(n) + " states) is a projection of " + std::to_string(states) +
        (groups.size() > 1
             ? ", for each of " + std::to_string(groups.size()) + " pairs of tau and leak"
             : ""));
    shared_with_.clear();
    std::vector<Term> in;
    for (const Group& group : groups) {
      std::vector<Term> parts = filters_for(v, group, drives);
      projections_.push_back({v, group.rows, parts});
      if (group.rows.empty()) {
        in = std::move(parts);
        continue;
      }
      Vertex part;
      part.name = name + ".part";
      part.size = group.size;
      part.in = std::move(parts);
      Term term = identity_term(graph_.add(std::move(part)), n);
      term.weights = scatter(n, group.rows);
      in.push_back(std::move(term));
    }
    if (!rest.empty()) {
      Term term = identity_term(keep_rows(v, rest, before), n);
      projections_.push_back({v, rest, {identity_term(term.from, graph_[term.from].size)}});
      term.weights = scatter(n, rest);
      in.push_back(std::move(term));
    }
    if (!shared_with_.empty()) steps.back() += ", shared with " + shared_with_;
    Vertex& vertex = graph_[v];
    vertex.in = std::move(in);
    vertex.tau.resize(0);
    vertex.leak.resize(0);
    vertex.start = vertex.initial = nullptr;
    vertex.held.clear();
    vertex.paused.clear();
    vertex.reset.clear();
    return true;
  }

  // A gate of the receiver that all trials share is a part of the matrix.
  static Term absorbed(Term term) {
    if (!term.receiver_gate || per_trial(term.receiver_gate)) return term;
    term.weights = std::make_shared<const Weights>(
        product(Weights(Weights::Diagonal{term.receiver_gate->col(0)}), {}, *term.weights));
    term.receiver_gate = nullptr;
    return term;
  }

  std::vector<Group> groups_of(int v) const {
    const Vertex& vertex = graph_[v];
    std::map<std::pair<double, double>, std::vector<Index>> rows;
    const bool one = (vertex.tau.array() == vertex.tau[0]).all() &&
                     (vertex.leak.array() == vertex.leak[0]).all();
    std::vector<Group> groups;
    if (one) {
      groups.push_back({.tau = vertex.tau[0], .leak = vertex.leak[0], .size = vertex.size});
      return groups;
    }
    for (Index i = 0; i < vertex.size; ++i) rows[{vertex.tau[i], vertex.leak[i]}].push_back(i);
    for (auto& [values, own] : rows) {
      const auto size = static_cast<Index>(own.size());
      groups.push_back(
          {.tau = values.first, .leak = values.second, .rows = std::move(own), .size = size});
    }
    return groups;
  }

  void plan(Group& group, const std::vector<Term>& signals, const std::vector<Drive>& drives,
            const SharedMatrix& start) const {
    group.states = 0;
    for (std::size_t k = 0; k < signals.size(); ++k) {
      const bool again =
          std::any_of(signals.begin(), signals.begin() + static_cast<std::ptrdiff_t>(k),
                      [&](const Term& term) { return same_signal(term, signals[k]); });
      if (!again) group.states += graph_[signals[k].from].size;
    }
    if (group.states >= group.size) return;
    for (const Term& term : signals) group.signals.push_back(rows_of(term, group.rows));
    // A matrix for each trial, or a filter that is heard twice, has no A.
    std::vector<const Term*> inside;
    std::vector<std::size_t> place;
    for (std::size_t k = 0; k < signals.size(); ++k) {
      const auto same = std::count_if(signals.begin(), signals.end(), [&](const Term& term) {
        return same_signal(term, signals[k]);
      });
      if (signals[k].receiver_gate || same > 1) continue;
      inside.push_back(&group.signals[k]);
      place.push_back(k);
    }
    ColumnSpace space(inside);
    const auto split = [&](const MatrixXd& values) {
      ColumnSpace::Split found = space(rows_of(values, group.rows));
      ColumnSpace::Split out;
      out.outside = std::move(found.outside);
      out.inside.resize(signals.size());
      for (std::size_t k = 0; k < place.size(); ++k)
        if (!all_zero(found.inside[k])) out.inside[place[k]] = std::move(found.inside[k]);
      if (out.outside.size() > 0) ++group.states;
      return out;
    };
    for (const Drive& drive : drives) group.drives.push_back(split(*drive.values));
    group.start.inside.resize(signals.size());
    if (start) group.start = split(*start);
  }

  // The filters of a group, and what the group's units hear of them.
  std::vector<Term> filters_for(int v, const Group& group, const std::vector<Drive>& drives) {
    std::vector<Term> parts;
    const auto hear = [&](int filter, Term part) {
      part.from = filter;
      part.transfer = nullptr;
      part.gate = nullptr;
      part.off.clear();
      Vertex& vertex = graph_[filter];
      vertex.scale = std::max(vertex.scale, power_of_two(largest_row_sum(part)));
      parts.push_back(std::move(part));
    };
    for (std::size_t k = 0; k < group.signals.size(); ++k) {
      const Term& signal = group.signals[k];
      std::vector<Term> driven;
      for (std::size_t d = 0; d < drives.size(); ++d) {
        if (group.drives[d].inside[k].size() == 0) continue;
        driven.push_back(column_term(drives[d].from, group.drives[d].inside[k]));
        driven.back().off = drives[d].off;
      }
      hear(filter(v, group, signal, graph_[signal.from].size, std::move(driven),
                  group.start.inside[k]),
           signal);
    }
    for (std::size_t d = 0; d < drives.size(); ++d) {
      const MatrixXd& outside = group.drives[d].outside;
      if (outside.size() == 0) continue;
      Term signal = identity_term(drives[d].from, 1);
      signal.off = drives[d].off;
      hear(filter(v, group, signal, 1, {}, {}), column_term(drives[d].from, outside));
    }
    if (group.start.outside.size() > 0)
      hear(filter(v, group, {.from = -1}, 1, {}, MatrixXd::Ones(1, 1)),
           column_term(-1, group.start.outside));
    return parts;
  }

  // τ ẋ = −λ x + φ(x_from) + …, made or found: another node's that hears the same with the same τ and λ,
  // and is held, paused and put back with it, is the same function of time.
  int filter(int v, const Group& group, const Term& signal, Index size, std::vector<Term> driven,
             MatrixXd initial) {
    const bool plain = driven.empty() && (initial.size() == 0 || signal.from < 0);
    const Vertex& own = graph_[v];
    for (const Filter& other : filters_) {
      const Vertex& vertex = graph_[other.vertex];
      if (plain && other.plain && same_signal(other.signal, signal) && other.tau == group.tau &&
          other.leak == group.leak && vertex.held == own.held && vertex.paused == own.paused &&
          vertex.reset == own.reset) {
        const std::string owner = vertex.name.substr(0, vertex.name.find(".filtered"));
        if (owner != own.name) shared_with_ = owner;
        return other.vertex;
      }
    }
    Vertex vertex;
    vertex.name = own.name + ".filtered." + (signal.from < 0 ? "start" : graph_[signal.from].name);
    vertex.size = size;
    vertex.tau = VectorXd::Constant(size, group.tau);
    vertex.leak = VectorXd::Constant(size, group.leak);
    vertex.held = own.held;
    vertex.paused = own.paused;
    vertex.reset = own.reset;
    vertex.start = vertex.initial = shared(std::move(initial));
    vertex.scale = 0;  // until it is heard
    if (signal.from >= 0) {
      Term term = signal;
      term.gain = 1;
      term.weights = std::make_shared<const Weights>(Weights::Identity{size});
      term.receiver_gate = nullptr;
      vertex.in.push_back(std::move(term));
    }
    for (Term& term : driven) vertex.in.push_back(std::move(term));
    filters_.push_back({graph_.add(std::move(vertex)), signal, group.tau, group.leak, plain});
    return filters_.back().vertex;
  }

  // Units of a node that stay states, as a vertex of their own.
  int keep_rows(int v, const std::vector<Index>& rows, const std::vector<Term>& heard) {
    Vertex vertex = graph_[v];
    vertex.name += ".rest";
    vertex.size = static_cast<Index>(rows.size());
    vertex.tau = VectorXd(vertex.tau(rows));
    vertex.leak = VectorXd(vertex.leak(rows));
    for (SharedMatrix* state : {&vertex.start, &vertex.initial})
      if (*state) *state = shared(rows_of(**state, rows));
    vertex.in.clear();
    for (const Term& term : heard) vertex.in.push_back(rows_of(term, rows));
    return graph_.add(std::move(vertex));
  }

  SignalGraph& graph_;
  std::vector<Index> widths_;
  std::vector<Filter> filters_;
  std::vector<Projection> projections_;
  std::string shared_with_;
};

}  // namespace

bool can_be_projection(const SignalGraph& graph, int v) {
  const Vertex& vertex = graph[v];
  if (!vertex.dynamic() || !vertex.noise.empty()) return false;
  if (std::any_of(vertex.in.begin(), vertex.in.end(),
                  [](const Term& term) { return term.receiver_slope; }))
    return false;
  if (vertex.reset.empty()) return true;
  // The filters are put back to where they start.
  const auto same = [](const SharedMatrix& a, const SharedMatrix& b) {
    return a == b || (a && b && a->cols() == b->cols() && *a == *b);
  };
  return same(vertex.start, vertex.initial);
}

std::vector<Projection> project_states(SignalGraph& graph, const std::vector<int>& nodes,
                                       std::vector<std::string>& steps) {
  return Projector(graph).run(nodes, steps);
}

}  // namespace settle::system
