#include "analysis/loops.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace settle::analysis {
namespace {

std::size_t at(int i) { return static_cast<std::size_t>(i); }

bool contains(const std::vector<int>& list, int item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// Nodes that belong to some controller.
std::vector<char> controller_nodes(const system::Circuit& circuit) {
  std::vector<char> out(circuit.nodes.size(), 0);
  for (const system::Controller& c : circuit.controllers)
    for (const int node : {c.control, c.error, c.integral, c.derivative})
      if (node >= 0) out[at(node)] = 1;
  return out;
}

VectorXd inverse_leak(const system::Node& node) {
  return node.instantaneous() ? VectorXd::Ones(node.size) : VectorXd(node.leak.cwiseInverse());
}

// g diag(s) W diag(d), as it stands for φ the identity.
MatrixXd linear_edge(const system::Edge& edge) {
  MatrixXd w = edge.gain * edge.weights->dense();
  if (edge.gate.size() > 0) w = w * edge.gate.col(0).asDiagonal();
  if (edge.receiver_gate.size() > 0) w = edge.receiver_gate.col(0).asDiagonal() * w;
  return w;
}

class LoopFinder {
 public:
  explicit LoopFinder(const system::Circuit& circuit)
      : circuit_(circuit), is_controllers_(controller_nodes(circuit)) {}

  InversionLoop find(int c) const {
    const system::Controller& controller = circuit_.controllers[at(c)];
    InversionLoop loop;
    loop.controller = c;
    loop.why_not = trace(controller, loop);
    return loop;
  }

 private:
  // "" where the loop is of the form.
  std::string trace(const system::Controller& controller, InversionLoop& loop) const {
    const std::string name = controller.name;
    std::vector<int> out;
    for (std::size_t k = 0; k < circuit_.edges.size(); ++k)
      if (circuit_.edges[k].from == controller.control) out.push_back(static_cast<int>(k));
    if (out.size() != 1)
      return name + " sends " + std::to_string(out.size()) + " projections, not one";
    if (controller.measured_edges.size() != 1)
      return name + " measures " + std::to_string(controller.measured_edges.size()) +
             " projections, not one";
    if (controller.setpoint_edges.size() > 1) return name + " has several moving setpoints";
    loop.feedback = out.front();
    if (!controller.setpoint_edges.empty()) loop.setpoint_edge = controller.setpoint_edges.front();
    const int last = circuit_.edges[at(controller.measured_edges.front())].from;
    int node = circuit_.edges[at(loop.feedback)].to;
    // Up the forward path, as far as each population hears and leads to one thing alone.
    int heard = loop.feedback;
    while (true) {
      if (is_controllers_[at(node)]) return name + " does not drive a population";
      if (contains(loop.populations, node)) return "the populations of " + name + " are recurrent";
      const system::Node& population = circuit_.nodes[at(node)];
      if (!population.instantaneous() && (population.leak.array() <= 0).any())
        return population.name + " has no leak";
      for (std::size_t k = 0; k < circuit_.edges.size(); ++k)
        if (circuit_.edges[k].to == node && static_cast<int>(k) != heard)
          return population.name + " also hears " + circuit_.edges[k].name;
      loop.populations.push_back(node);
      if (node == last) break;
      int next = -1;
      for (std::size_t k = 0; k < circuit_.edges.size(); ++k) {
        const system::Edge& edge = circuit_.edges[k];
        if (edge.from != node || is_controllers_[at(edge.to)]) continue;
        if (next >= 0) return population.name + " sends to several populations";
        next = static_cast<int>(k);
      }
      if (next < 0) return "what " + name + " drives does not lead to what it measures";
      loop.forward.push_back(next);
      heard = next;
      node = circuit_.edges[at(next)].to;
    }
    loop.forward.push_back(controller.measured_edges.front());
    return "";
  }

  const system::Circuit& circuit_;
  std::vector<char> is_controllers_;
};

}  // namespace

int measured_phase(const system::Circuit& circuit, const std::string& wanted, std::size_t phases) {
  const auto last = static_cast<int>(phases) - 1;
  if (!wanted.empty())
    for (int p = last; p >= 0; --p)
      if (circuit.phases[at(p)].name == wanted) return p;
  for (int p = last; p >= 0; --p) {
    const std::vector<int>& off = circuit.phases[at(p)].off;
    for (const system::Controller& controller : circuit.controllers)
      for (std::size_t k = 0; k < circuit.edges.size(); ++k)
        if (circuit.edges[k].from == controller.control && !contains(off, static_cast<int>(k)))
          return p;
  }
  return last;
}

// Tarjan's algorithm. Source: R. Tarjan, SIAM J. Comput. 1 (1972).
std::vector<int> components(const system::Circuit& circuit, const system::Phase& phase) {
  const std::size_t n = circuit.nodes.size();
  std::vector<std::vector<int>> heard_by(n);
  for (std::size_t k = 0; k < circuit.edges.size(); ++k)
    if (!contains(phase.off, static_cast<int>(k)))
      heard_by[at(circuit.edges[k].from)].push_back(circuit.edges[k].to);
  std::vector<int> component(n, -1), index(n, -1), low(n, 0), stack;
  int next = 0, count = 0;
  const std::function<void(int)> visit = [&](int i) {
    index[at(i)] = low[at(i)] = next++;
    stack.push_back(i);
    for (const int j : heard_by[at(i)]) {
      if (index[at(j)] < 0) {
        visit(j);
        low[at(i)] = std::min(low[at(i)], low[at(j)]);
      } else if (component[at(j)] < 0) {
        low[at(i)] = std::min(low[at(i)], index[at(j)]);
      }
    }
    if (low[at(i)] != index[at(i)]) return;
    for (int j = -1; j != i;) {
      j = stack.back();
      stack.pop_back();
      component[at(j)] = count;
    }
    ++count;
  };
  for (std::size_t i = 0; i < n; ++i)
    if (index[i] < 0) visit(static_cast<int>(i));
  return component;
}

bool is_in_a_loop(const system::Circuit& circuit, const std::vector<int>& components, int edge) {
  const system::Edge& e = circuit.edges[at(edge)];
  return components[at(e.from)] == components[at(e.to)];
}

std::vector<InversionLoop> inversion_loops(const system::Circuit& circuit) {
  const LoopFinder finder(circuit);
  std::vector<InversionLoop> loops;
  for (std::size_t c = 0; c < circuit.controllers.size(); ++c)
    loops.push_back(finder.find(static_cast<int>(c)));
  for (InversionLoop& loop : loops) {
    if (!loop.why_not.empty() || loop.setpoint_edge < 0) continue;
    const int sender = circuit.edges[at(loop.setpoint_edge)].from;
    for (std::size_t k = 0; k < loops.size(); ++k)
      if (loops[k].why_not.empty() && loops[k].populations.front() == sender)
        loop.upstream = static_cast<int>(k);
    if (loop.upstream < 0)
      loop.why_not = "the setpoint of " + circuit.controllers[at(loop.controller)].name + " is " +
                     circuit.nodes[at(sender)].name + ", which no such loop solves for";
  }
  return loops;
}

LoopMatrices loop_matrices(const system::Circuit& circuit, const InversionLoop& loop) {
  const system::Controller& controller = circuit.controllers[at(loop.controller)];
  LoopMatrices out;
  for (std::size_t k = 0; k < loop.populations.size(); ++k) {
    MatrixXd w = linear_edge(circuit.edges[at(loop.forward[k])]);
    // The measured edge carries the sign of the error; the populations above divide by their leak.
    if (k + 1 == loop.populations.size())
      w *= controller.sign;
    else
      w = inverse_leak(circuit.nodes[at(loop.populations[k + 1])]).asDiagonal() * w;
    out.path = k == 0 ? w : MatrixXd(w * out.path);
    out.layers.push_back(std::move(w));
  }
  out.feedback =
      controller.sign * (inverse_leak(circuit.nodes[at(loop.populations.front())]).asDiagonal() *
                         linear_edge(circuit.edges[at(loop.feedback)]));
  const double leak = controller.leak, p = controller.gain_p, i = controller.gain_i;
  out.inverse_gain = i == 0 ? 1 / p : leak / (i + p * leak);
  return out;
}

std::optional<MatrixXd> linear_rest(const MatrixXd& a, const MatrixXd& b, double inverse_gain,
                                    const MatrixXd& y) {
  if (!std::isfinite(inverse_gain)) return std::nullopt;
  const bool outer = a.rows() <= a.cols();
  MatrixXd m = outer ? MatrixXd(a * b) : MatrixXd(b * a);
  m.diagonal().array() -= inverse_gain;
  auto x = core::solve_linear(m, outer ? y : MatrixXd(b * y));
  if (x && outer) *x = b * *x;
  return x;
}

double bounded_distance(const MatrixXd& a, const MatrixXd& inverse, const VectorXd& y,
                        const VectorXd& low, const VectorXd& high) {
  VectorXd x = inverse * y;
  if (((x.array() >= low.array()) && (x.array() <= high.array())).all()) return (a * x - y).norm();
  x = x.cwiseMax(low).cwiseMin(high);
  VectorXd residual = a * x - y;
  const VectorXd squares = a.colwise().squaredNorm();
  for (int sweep = 0; sweep < 20000; ++sweep) {
    const double before = residual.squaredNorm();
    for (Index j = 0; j < a.cols(); ++j) {
      if (squares[j] == 0) continue;
      const double best = x[j] - a.col(j).dot(residual) / squares[j];
      const double next = std::clamp(best, low[j], high[j]);
      residual += (next - x[j]) * a.col(j);
      x[j] = next;
    }
    if (before - residual.squaredNorm() <= 1e-12 * y.squaredNorm()) break;
  }
  return residual.norm();
}

LoopSet::LoopSet(const system::Circuit& circuit)
    : circuit_(circuit), loops_(inversion_loops(circuit)) {
  for (std::size_t k = 0; k < loops_.size(); ++k) parts_.push_back(std::make_unique<Parts>());
}

const LoopMatrices& LoopSet::matrices(std::size_t k) const {
  return made(parts_[k]->matrices, [&] { return loop_matrices(circuit_, loops_[k]); });
}

const core::SingularValues& LoopSet::singular_values(std::size_t k) const {
  return made(parts_[k]->singular_values, [&] { return core::svd(matrices(k).path); });
}

const std::vector<MatrixXd>& LoopSet::inverses(std::size_t k) const {
  return made(parts_[k]->inverses, [&] {
    std::vector<MatrixXd> out;
    for (const MatrixXd& w : matrices(k).layers) out.push_back(core::pseudoinverse(w));
    return out;
  });
}

const MatrixXd& LoopSet::control_inverse(std::size_t k) const {
  return made(parts_[k]->control_inverse,
              [&] { return core::pseudoinverse(matrices(k).path * matrices(k).feedback); });
}

double LoopSet::unreachable(std::size_t k, const VectorXd& y) const {
  const system::Controller& controller = circuit_.controllers[k];
  const Measured& all = made(parts_[k]->measured, [&] {
    Measured out;
    Index columns = 0;
    for (const int e : controller.measured_edges) columns += circuit_.edges[at(e)].weights->cols();
    out.a.resize(y.size(), columns);
    out.low.resize(columns);
    out.high.resize(columns);
    Index first = 0;
    for (const int e : controller.measured_edges) {
      const system::Edge& edge = circuit_.edges[at(e)];
      const Index n = edge.weights->cols();
      out.a.middleCols(first, n) = controller.sign * linear_edge(edge);
      const auto [least, most] = circuit_.transfer_of(edge)->range();
      out.low.segment(first, n).setConstant(least);
      out.high.segment(first, n).setConstant(most);
      first += n;
    }
    out.inverse = core::pseudoinverse(out.a);
    return out;
  });
  return bounded_distance(all.a, all.inverse, y, all.low, all.high);
}

Evaluation::Evaluation(const system::OdeSystem& system, const system::Segment& segment, double t,
                       VectorXd x)
    : system_(system), t_(t), x_(std::move(x)), workspace_(system.make_workspace()) {
  system.begin(segment, workspace_);
  system.evaluate(t, x_, workspace_);
}

VectorXd Evaluation::setpoint(const system::Controller& controller) {
  VectorXd y = controller.setpoint.col(0);
  if (!controller.setpoint_edges.empty() || !controller.setpoint_sources.empty())
    y -= controller.sign *
         system_.input(controller.setpoint_edges, controller.setpoint_sources, t_, x_, workspace_);
  return y;
}

}  // namespace settle::analysis
