#include "sim/solve/attraction.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "sim/core/linalg.hpp"
#include "sim/core/value.hpp"
#include "sim/solve/mode_basis.hpp"

namespace settle::solve {
namespace {

using system::Edge;
using system::SharedWeights;
using system::Weights;

constexpr std::size_t most_paths = 256;
constexpr double most_numbers = 4e6;   // of a product of matrices that is made for a proof
constexpr Index most_for_poles = 400;  // states; beyond it the eigenvalues take too long
constexpr double most_of_leak = 0.9;   // of the leaks' dissipation that the loops may use up
constexpr double most_contraction = 0.999;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// g W; what joins two nodes, or what a path's edges come to.
struct Block {
  double gain = 0;
  SharedWeights weights;
};

// A way from a moving node to another through instantaneous ones. (All numbers of nodes are places
// among the moving ones.)
struct Path {
  int from, to;
  std::vector<int> edges;  // in the order in which the signal takes them
};

// What cannot be shown, and so what to say.
struct NotShown {
  std::string why;
};

class Prover {
 public:
  explicit Prover(const RestProblem& problem)
      : problem_(problem),
        system_(problem.system),
        circuit_(system_.circuit()),
        gains_(circuit_.gains(problem.segment.phase)) {
    for (const int i : system_.dynamic_nodes())
      if (!system_.is_held(problem.segment, i)) nodes_.push_back(i);
    place_.assign(circuit_.nodes.size(), -1);
    for (std::size_t k = 0; k < nodes_.size(); ++k) place_[at(nodes_[k])] = static_cast<int>(k);
    into_.resize(circuit_.nodes.size());
    for (std::size_t k = 0; k < circuit_.edges.size(); ++k)
      if (gains_[k] != 0) into_[at(circuit_.edges[k].to)].push_back(static_cast<int>(k));
  }

  Attraction run() {
    try {
      for (std::size_t k = 0; k < nodes_.size(); ++k) {
        std::vector<int> way;
        walk(static_cast<int>(k), nodes_[k], way);
      }
      std::vector<std::string> proofs;
      std::string open;
      for (const std::vector<int>& part : parts()) {
        const std::string proof = prove(part);
        if (proof.empty())
          open = names(part);
        else if (std::find(proofs.begin(), proofs.end(), proof) == proofs.end())
          proofs.push_back(proof);
      }
      if (!open.empty() && all_poles_are_stable()) return {"by its poles", ""};
      if (!open.empty()) throw NotShown{"no proof was found for the loop of " + open};
      if (proofs.empty()) proofs.emplace_back("by its leaks");  // no loop at all
      return {core::join(proofs, " and "), ""};
    } catch (const NotShown& what) {
      return {"", what.why};
    }
  }

 private:
  const system::Node& node(int place) const { return circuit_.nodes[at(nodes_[at(place)])]; }

  std::string names(const std::vector<int>& part) const {
    std::vector<std::string> out;
    for (const int i : part) out.push_back(node(i).name);
    return core::join(out, ", ");
  }

  // ---- What hears what ----

  // All ways that end in a moving node, backwards from one of the nodes on them.
  void walk(int to, int here, std::vector<int>& way) {
    for (const int k : into_[at(here)]) {
      const Edge& edge = circuit_.edges[at(k)];
      if (edge.receiver_slope)
        throw NotShown{"\"" + edge.name + "\" is scaled by its receiver's slope"};
      if (system_.offset(edge.from) >= 0 && place_[at(edge.from)] < 0) continue;  // held
      way.push_back(k);
      if (const int from = place_[at(edge.from)]; from >= 0) {
        paths_.push_back({from, to, {way.rbegin(), way.rend()}});
        if (paths_.size() > most_paths) throw NotShown{"too many ways join its nodes"};
      } else {
        walk(to, edge.from, way);
      }
      way.pop_back();
    }
  }

  // The strongly connected parts (Tarjan's algorithm).
  std::vector<std::vector<int>> parts() const {
    const std::size_t n = nodes_.size();
    std::vector<std::vector<int>> senders(n), found;
    for (const Path& path : paths_) senders[at(path.to)].push_back(path.from);
    std::vector<int> index(n, -1), low(n, 0), stack;
    std::vector<char> waits(n, 0);
    int next = 0;
    const std::function<void(int)> visit = [&](int v) {
      index[at(v)] = low[at(v)] = next++;
      stack.push_back(v);
      waits[at(v)] = 1;
      for (const int u : senders[at(v)]) {
        if (index[at(u)] < 0) {
          visit(u);
          low[at(v)] = std::min(low[at(v)], low[at(u)]);
        } else if (waits[at(u)]) {
          low[at(v)] = std::min(low[at(v)], index[at(u)]);
        }
      }
      if (low[at(v)] != index[at(v)]) return;
      std::vector<int>& part = found.emplace_back();
      for (int u = -1; u != v;) {
        u = stack.back();
        stack.pop_back();
        waits[at(u)] = 0;
        part.push_back(u);
      }
      std::sort(part.begin(), part.end());
    };
    for (std::size_t v = 0; v < n; ++v)
      if (index[v] < 0) visit(static_cast<int>(v));
    return found;
  }

  std::vector<const Path*> paths_within(const std::vector<int>& part) const {
    std::vector<const Path*> out;
    const auto is_in = [&](int i) { return std::binary_search(part.begin(), part.end(), i); };
    for (const Path& path : paths_)
      if (is_in(path.from) && is_in(path.to)) out.push_back(&path);
    return out;
  }

  // The matrices that a path goes through, the receiver's first, but for identities and with gates
  // multiplied in; and the product of its gains.
  std::pair<double, std::vector<SharedWeights>> factors(const Path& path) const {
    double gain = 1;
    std::vector<SharedWeights> out;
    for (auto k = path.edges.rbegin(); k != path.edges.rend(); ++k) {
      const Edge& edge = circuit_.edges[at(*k)];
      gain *= gains_[at(*k)];
      SharedWeights w = edge.weights;
      const auto of_trial = [&](const MatrixXd& gate) -> VectorXd {
        return gate.col(system::column(gate, problem_.trial));
      };
      if (edge.gate.size() > 0)
        w = std::make_shared<Weights>(
            product(*w, of_trial(edge.gate), Weights(Weights::Identity{w->cols()})));
      if (edge.receiver_gate.size() > 0)
        w = std::make_shared<Weights>(
            product(Weights(Weights::Diagonal{of_trial(edge.receiver_gate)}), {}, *w));
      if (!w->is_identity()) out.push_back(std::move(w));
    }
    return {gain, std::move(out)};
  }

  // Σ over paths, of one sender and one receiver. nullopt where the matrix is too large to be made.
  std::optional<Block> block(const std::vector<const Path*>& paths) const {
    std::optional<Block> sum;
    for (const Path* path : paths) {
      auto [gain, matrices] = factors(*path);
      SharedWeights w;
      for (SharedWeights& next : matrices) {
        if (w && product_parameters(*w, *next) > most_numbers) return std::nullopt;
        w = w ? std::make_shared<Weights>(product(*w, {}, *next)) : std::move(next);
      }
      if (!w) w = std::make_shared<Weights>(Weights::Identity{node(path->to).size});
      if (!sum)
        sum = Block{gain, std::move(w)};
      else
        sum = Block{1, std::make_shared<Weights>(system::sum(sum->gain, *sum->weights, gain, *w))};
    }
    return sum;
  }

  // ---- One part ----

  std::string prove(const std::vector<int>& part) {
    const std::vector<const Path*> paths = paths_within(part);
    double least_leak = std::numeric_limits<double>::infinity();
    for (const int i : part) least_leak = std::min(least_leak, node(i).leak.minCoeff());
    if (least_leak > 0) {
      if (paths.empty()) return "by its leaks";
      if (has_lyapunov_function(part, paths)) return "by a Lyapunov function";
      if (contracts(part, paths)) return "by contraction";
    }
    return "";
  }

  // λ_max((M + Mᵀ)/2) of one path from a node to itself, or a bound of it.
  double largest_symmetric(const Path& path) const {
    const auto [gain, matrices] = factors(path);
    if (matrices.empty()) return gain;
    if (matrices.size() == 2) {
      // g F G with g G = −κ Fᵀ + R, κ > 0: −κ F Fᵀ ⪯ 0, and what is left is F R.
      const double f = frobenius_norm(*matrices[0]), g = frobenius_norm(*matrices[1]);
      const double kappa = f > 0 ? std::abs(gain) * g / f : 0;
      const double rest = f * difference({gain, matrices[1]}, {kappa, matrices[0]});
      if (rest <= 1e-6 * std::abs(gain) * f * g) return rest;
    }
    const std::optional<Block> m = block({&path});
    const Index n = node(path.to).size;
    if (!m) return std::numeric_limits<double>::infinity();
    if (n <= most_for_poles)
      return core::numerical_abscissa(MatrixXd(m->gain * m->weights->dense()));
    return std::abs(m->gain) *
           (largest_row_sum(*m->weights) + largest_row_sum(m->weights->transposed())) / 2;
  }

  // ‖a + bᵀ‖_F
  static double difference(const Block& a, const Block& b) {
    const auto* left = std::get_if<MatrixXd>(&a.weights->as_variant());
    const auto* right = std::get_if<MatrixXd>(&b.weights->as_variant());
    if (left && right) return (a.gain * *left + b.gain * right->transpose()).norm();
    return frobenius_norm(system::sum(a.gain, *a.weights, b.gain, b.weights->transposed()));
  }

  // The steepest slope of φ of what a node sends within the part; nullopt where that isn't one φ, or not
  // nondecreasing, or something nonlinear is on the way.
  std::optional<double> slope_bound(int i, const std::vector<const Path*>& paths) const {
    const core::Transfer* phi = nullptr;
    for (const Path* path : paths) {
      if (path->from != i) continue;
      for (std::size_t k = 0; k < path->edges.size(); ++k) {
        const core::Transfer& own = circuit_.transfer_of(circuit_.edges[at(path->edges[k])]);
        if (k > 0) {
          if (!own->is_identity()) return std::nullopt;
        } else if (!phi) {
          phi = &own;
        } else if (own != *phi && core::write_transfer(own) != core::write_transfer(*phi)) {
          return std::nullopt;
        }
      }
    }
    const auto [low, high] = (*phi)->slopes();
    if (!(low >= 0) || !std::isfinite(high)) return std::nullopt;
    return high;
  }

  bool has_lyapunov_function(const std::vector<int>& part,
                             const std::vector<const Path*>& paths) const {
    const Index n = static_cast<Index>(part.size());
    VectorXd slopes(n);
    for (Index i = 0; i < n; ++i) {
      const auto own = slope_bound(part[at(i)], paths);
      if (!own) return false;
      slopes[i] = *own;
    }
    // The blocks between different nodes, and their sizes.
    std::vector<std::optional<Block>> blocks(at(n * n));
    MatrixXd size = MatrixXd::Zero(n, n);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j) {
        std::vector<const Path*> own;
        for (const Path* path : paths)
          if (i != j && path->to == part[at(i)] && path->from == part[at(j)]) own.push_back(path);
        if (own.empty()) continue;
        std::optional<Block>& m = blocks[at(i * n + j)];
        m = block(own);
        if (!m) return false;
        size(i, j) = std::abs(m->gain) * frobenius_norm(*m->weights);
      }
    // Weights with which blocks there and back are of one size.
    VectorXd c = VectorXd::Zero(n);
    c[0] = 1;
    for (Index round = 0; round < n; ++round)
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j)
          if (c[i] > 0 && c[j] == 0 && size(i, j) > 0 && size(j, i) > 0)
            c[j] = c[i] * size(i, j) / size(j, i);
    if (!(c.minCoeff() > 0)) return false;
    VectorXd q(n);
    for (Index i = 0; i < n; ++i)
      q[i] = std::sqrt(c[i] * node(part[at(i)]).leak.minCoeff() / slopes[i]);
    MatrixXd used = MatrixXd::Zero(n, n);
    for (Index i = 0; i < n; ++i) {
      double own = 0;
      for (const Path* path : paths)
        if (path->from == part[at(i)] && path->to == part[at(i)]) own += largest_symmetric(*path);
      used(i, i) = std::max(0.0, c[i] * own) / (q[i] * q[i]);
      for (Index j = 0; j < i; ++j) {
        const auto &there = blocks[at(i * n + j)], &back = blocks[at(j * n + i)];
        double r = 0;
        if (there && back)
          r = difference({c[i] * there->gain, there->weights}, {c[j] * back->gain, back->weights});
        else if (there || back)
          r = there ? c[i] * size(i, j) : c[j] * size(j, i);
        used(i, j) = used(j, i) = r / (2 * q[i] * q[j]);
      }
    }
    return used.allFinite() && core::numerical_abscissa(used) <= most_of_leak;
  }

  // ‖·‖∞ of what a path changes at most, for a change of 1.
  double gain_bound(const Path& path) const {
    double gain = 1;
    for (const int k : path.edges) {
      const Edge& edge = circuit_.edges[at(k)];
      const auto [low, high] = circuit_.transfer_of(edge)->slopes();
      gain *= std::abs(gains_[at(k)]) * largest_row_sum(*edge.weights) *
              std::max(std::abs(low), std::abs(high));
      for (const MatrixXd* gate : {&edge.gate, &edge.receiver_gate})
        if (gate->size() > 0) gain *= gate->cwiseAbs().maxCoeff();
    }
    return gain;
  }

  bool contracts(const std::vector<int>& part, const std::vector<const Path*>& paths) const {
    MatrixXd gain =
        MatrixXd::Zero(static_cast<Index>(part.size()), static_cast<Index>(part.size()));
    const auto index = [&](int i) {
      return std::lower_bound(part.begin(), part.end(), i) - part.begin();
    };
    for (const Path* path : paths)
      gain(index(path->to), index(path->from)) +=
          gain_bound(*path) / node(path->to).leak.minCoeff();
    return gain.allFinite() && core::eigenvalues(gain).cwiseAbs().maxCoeff() <= most_contraction;
  }

  // ---- The whole ----

  bool all_poles_are_stable() const {
    if (nodes_.empty() || !why_not_linear(system_, problem_.segment.phase).empty()) return false;
    if (!why_too_large(system_, problem_.segment.phase, ModeLimits{}).empty()) return false;
    system::Workspace workspace = system_.make_workspace({problem_.trial});
    system_.begin(problem_.segment, workspace);
    const MatrixXd x = MatrixXd::Zero(system_.dimension(), 1);
    const auto basis = make_mode_basis(system_, x, 0, workspace, ModeLimits{});
    double rightmost = -std::numeric_limits<double>::infinity();
    for (const Mode& mode : basis->modes()) rightmost = std::max(rightmost, mode.value.real());
    for (const Knot& knot : basis->knots())
      rightmost = std::max(rightmost, core::spectral_abscissa(knot.matrix));
    return rightmost < -1e-9 / system_.tau().maxCoeff();
  }

  const RestProblem& problem_;
  const system::OdeSystem& system_;
  const system::Circuit& circuit_;
  std::vector<double> gains_;           // per edge, in the phase
  std::vector<int> nodes_;              // that move
  std::vector<int> place_;              // per node of the circuit, among these; −1
  std::vector<std::vector<int>> into_;  // per node of the circuit, edges that carry something
  std::vector<Path> paths_;
};

}  // namespace

Attraction find_attraction(const RestProblem& problem) { return Prover(problem).run(); }

}  // namespace settle::solve
