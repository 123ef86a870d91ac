#include "sim/system/folding.hpp"

#include <algorithm>

namespace settle::system {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// What an evaluation takes: multiplications by weights, and additions and stores of vectors.
struct Cost {
  double multiplications = 0, additions = 0;
  Cost& operator+=(const Cost& other) {
    multiplications += other.multiplications;
    additions += other.additions;
    return *this;
  }
  double sum() const { return multiplications + additions; }
  bool is_saving() const { return multiplications <= 0 && sum() < 0; }
};

// For an instantaneous k with x_k = Σ_m g_m W_m s_m that j hears as g W x_k (φ the identity):
//
//     g W x_k = Σ_m (g g_m W W_m) s_m
//
// by distributivity and associativity: j hears the s_m themselves, through products that are made once.
// A shared gate is a diagonal matrix between the two. That is elimination of a vertex of a linear graph;
// which order of eliminations is cheapest is hard to say in general, so the best one is taken each time,
// and none that costs multiplications.
class Folder {
 public:
  Folder(SignalGraph& graph, std::vector<std::string>& steps) : graph_(graph), steps_(steps) {}

  void run() {
    do {
      clear_unneeded();
      while (eliminate_best()) clear_unneeded();
    } while (factor());
  }

 private:
  struct Place {
    int to;
    std::size_t term;
  };
  struct Plan {
    int vertex = -1;
    std::vector<Place> places;
    Cost cost;
  };

  void clear_unneeded() {
    needed_ = graph_.needed();
    outs_.assign(needed_.size(), {});
    for (int v = 0; v < graph_.size(); ++v) {
      if (!needed_[at(v)]) graph_[v].in.clear();
      for (std::size_t k = 0; k < graph_[v].in.size(); ++k)
        outs_[at(graph_[v].in[k].from)].push_back({v, k});
    }
  }

  // What changes where one term of k is replaced by those that k hears.
  Cost cost_of(int k, const Place& place) const {
    const Term& out = graph_[place.to].in[place.term];
    const auto rows = static_cast<double>(graph_[place.to].size);
    Cost cost{-graph_.multiplications(out), -rows};
    for (const Term& in : graph_[k].in) {
      const auto [growth, joined] = graph_.growth(place.to, out, in);
      cost += {growth, joined ? 0 : rows};
    }
    return cost;
  }

  bool is_open(int k, const Place& place) const {
    const Term& out = graph_[place.to].in[place.term];
    const auto& in = graph_[k].in;
    return !out.transfer && !out.receiver_slope &&
           std::all_of(in.begin(), in.end(),
                       [&](const Term& term) { return graph_.composable(out, term); });
  }

  Plan best_of(int k) const {
    Plan whole{k, {}, {}}, some{k, {}, {}};
    for (const Place& place : outs_[at(k)]) {
      if (!is_open(k, place)) continue;
      const Cost cost = cost_of(k, place);
      whole.places.push_back(place);
      whole.cost += cost;
      if (!cost.is_saving()) continue;
      some.places.push_back(place);
      some.cost += cost;
    }
    if (whole.places.size() < outs_[at(k)].size()) return some;
    const auto size = static_cast<double>(graph_[k].size);
    for (const Term& in : graph_[k].in) whole.cost += {-graph_.multiplications(in), -size};
    whole.cost.additions -= size;
    return whole.cost.is_saving() && whole.cost.sum() <= some.cost.sum() ? whole : some;
  }

  bool eliminate_best() {
    Plan best;
    for (int k = 0; k < graph_.size(); ++k) {
      const Vertex& vertex = graph_[k];
      if (!needed_[at(k)] || vertex.dynamic() || vertex.drives() || !vertex.noise.empty()) continue;
      Plan plan = best_of(k);
      if (plan.cost.is_saving() && (best.vertex < 0 || plan.cost.sum() < best.cost.sum()))
        best = std::move(plan);
    }
    if (best.vertex < 0) return false;
    replace(best);
    return true;
  }

  void replace(const Plan& plan) {
    std::vector<std::pair<int, Term>> outs;
    for (auto place = plan.places.rbegin(); place != plan.places.rend(); ++place) {
      auto& in = graph_[place->to].in;
      outs.emplace_back(place->to, std::move(in[place->term]));
      in.erase(in.begin() + static_cast<std::ptrdiff_t>(place->term));
    }
    for (const auto& [to, out] : outs)
      for (const Term& in : graph_[plan.vertex].in) {
        tell(plan.vertex, to, out, in);
        graph_.add_term(to, graph_.compose(out, in));
      }
  }

  // Σ_k g_k W s_k = W (Σ_k g_k s_k): terms through one matrix are summed before it.
  bool factor() {
    bool changed = false;
    const int vertices = graph_.size();
    for (int v = 0; v < vertices; ++v)
      for (std::size_t k = 0; k < graph_[v].in.size(); ++k) changed |= factor(v, k);
    return changed;
  }

  bool factor(int v, std::size_t first) {
    const Term shared = graph_[v].in[first];
    if (shared.weights->is_identity() || shared.weights->cols() == 1) return false;
    const auto same = [&](const Term& term) {
      return term.weights == shared.weights && term.off == shared.off &&
             term.receiver_slope == shared.receiver_slope &&
             term.receiver_gate == shared.receiver_gate;
    };
    auto& in = graph_[v].in;
    const auto begin = std::stable_partition(in.begin() + static_cast<std::ptrdiff_t>(first),
                                             in.end(), [&](const Term& t) { return !same(t); });
    if (in.end() - begin < 2) {
      std::rotate(in.begin() + static_cast<std::ptrdiff_t>(first), begin, in.end());
      return false;
    }
    Vertex sum;
    sum.name = graph_[v].name + ".input";
    sum.size = shared.weights->cols();
    for (auto term = begin; term != in.end(); ++term) {
      Term part = identity_term(term->from, sum.size);
      part.transfer = term->transfer;
      part.gate = term->gate;
      part.gain = term->gain;
      sum.in.push_back(std::move(part));
    }
    steps_.push_back(graph_[v].name + " hears " + std::to_string(in.end() - begin) +
                     " senders through that one matrix, as their sum");
    in.erase(begin, in.end());
    const Index size = sum.size;
    Term outer = identity_term(graph_.add(std::move(sum)), size);
    outer.weights = shared.weights;
    outer.off = shared.off;
    outer.receiver_slope = shared.receiver_slope;
    outer.receiver_gate = shared.receiver_gate;
    graph_[v].in.push_back(std::move(outer));
    return true;
  }

  void tell(int k, int to, const Term& out, const Term& in) {
    const auto is_matrix = [](const Weights& w) { return !w.is_identity() && w.cols() > 1; };
    if (!is_matrix(*out.weights) || !is_matrix(*in.weights)) return;
    const auto shape = [](Index rows, Index cols) {
      return std::to_string(rows) + " × " + std::to_string(cols);
    };
    steps_.push_back(graph_[to].name + " hears " + graph_[in.from].name +
                     " through one matrix of " + shape(out.weights->rows(), in.weights->cols()) +
                     ", past " + graph_[k].name + ", in place of " +
                     shape(out.weights->rows(), out.weights->cols()) + " and " +
                     shape(in.weights->rows(), in.weights->cols()));
  }

  SignalGraph& graph_;
  std::vector<std::string>& steps_;
  std::vector<char> needed_;
  std::vector<std::vector<Place>> outs_;
};

}  // namespace

void fold(SignalGraph& graph, std::vector<std::string>& steps) { Folder(graph, steps).run(); }

}  // namespace settle::system
