// Measures of what the loops arrive at: errors, directions, the leak, credit.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "analysis/loops.hpp"
#include "analysis/measures.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;
using core::QuantityAxis;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// "_control" where there are several controllers.
std::string suffix(const system::Circuit& circuit, const system::Controller& controller) {
  return circuit.controllers.size() == 1 ? "" : "_" + controller.name;
}

Evaluation end_of(const Subject& subject) {
  const solve::PhaseResult& phase = subject.run.phase_result();
  return {subject.system(), phase.segment, phase.end, subject.end()};
}

/// ‖e‖/‖y‖ with e = measured − setpoint and y the setpoint.
class InversionError final : public Measure {
 public:
  std::vector<Quantity> quantities(const Run& run) const override {
    const system::Circuit& circuit = run.system.circuit();
    std::vector<Quantity> out;
    for (const system::Controller& controller : circuit.controllers)
      out.push_back(declare("inversion_error" + suffix(circuit, controller), "1",
                            "norm of measured - setpoint over norm of setpoint of " +
                                controller.name + " at the end of phase " +
                                run.phase_result().name));
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    Evaluation end = end_of(subject);
    const system::Circuit& circuit = subject.system().circuit();
    for (std::size_t c = 0; c < out.size(); ++c) {
      const system::Controller& controller = circuit.controllers[c];
      if (subject.has_left()) {
        out[c].missing("the trial diverged");
        continue;
      }
      const double error = end.value(controller.error).norm();
      const double setpoint = end.setpoint(controller).norm();
      if (controller.measured_edges.empty())
        out[c].missing("nothing is measured");
      else if (setpoint <= 1e-9 * error)
        out[c].missing("the setpoint is zero");
      else
        out[c].set(0, error / setpoint);
    }
  }
};

/// The error at the end, split over the left singular vectors u_i of the path's weights
/// A = Σ σ_i u_i v_iᵀ (of one layer: W): |u_iᵀ e|/|u_iᵀ y|, beside what a linear loop with B = −Aᵀ
/// leaves at rest, 1/(1 + G σ_i²). Source: science.md section 6.
class Directions final : public Measure {
 public:
  std::vector<Quantity> quantities(const Run& run) const override {
    const system::Circuit& circuit = run.system.circuit();
    std::vector<Quantity> out;
    for (const InversionLoop& loop : inversion_loops(circuit)) {
      if (!loop.why_not.empty()) continue;
      const system::Controller& controller = circuit.controllers[at(loop.controller)];
      const std::string end = suffix(circuit, controller);
      const Index first = circuit.nodes[at(loop.populations.front())].size;
      const QuantityAxis direction =
          index_axis("direction" + end, "singular directions of the weights, strongest first",
                     std::min(first, circuit.nodes[at(controller.error)].size));
      const std::string of = " in each singular direction of " + controller.name;
      out.push_back(
          declare("singular_value" + end, "1", "singular value of the weights", {direction}));
      out.push_back(
          declare("direction_error" + end, "1", "|error| over |setpoint|" + of, {direction}));
      out.push_back(declare("direction_error_linear" + end, "1",
                            "1/(1 + G s^2): what a linear loop with B = -W' leaves" + of,
                            {direction}));
      out[out.size() - 2].reasons.resize(1);
    }
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    Evaluation end = end_of(subject);
    const system::Circuit& circuit = subject.system().circuit();
    const LoopSet& set = subject.loops();
    std::size_t q = 0;
    for (std::size_t c = 0; c < set.loops().size(); ++c) {
      if (!set.loops()[c].why_not.empty()) continue;
      const system::Controller& controller = circuit.controllers[c];
      const LoopMatrices& matrices = set.matrices(c);
      const core::SingularValues& parts = set.singular_values(c);
      out[q].set(parts.s);
      out[q + 2].set(
          (matrices.inverse_gain / (matrices.inverse_gain + parts.s.array().square())).matrix());
      if (std::isinf(matrices.inverse_gain)) out[q + 2].set(VectorXd::Ones(parts.s.size()));
      if (subject.has_left()) {
        for (Index i = 0; i < parts.s.size(); ++i) out[q + 1].missing(i, "the trial diverged");
      } else {
        const VectorXd e = parts.u.transpose() * end.value(controller.error);
        const VectorXd y = parts.u.transpose() * end.setpoint(controller);
        for (Index i = 0; i < e.size(); ++i)
          if (std::abs(y[i]) > 1e-12 * y.norm())
            out[q + 1].set(i, std::abs(e[i] / y[i]));
          else
            out[q + 1].missing(i, "the setpoint has no part in this direction");
      }
      q += 3;
    }
  }
};

/// ‖ξ‖ and ‖αξ‖ of each controller at the end (αξ* = e* at rest), and its wind-up: ‖u‖ over the norm of
/// the least control that would meet the setpoint as well as any can, ‖(A B)⁺ y‖ of the linear loop. It
/// is near 1 where the integrator holds what inversion needs, and large where it holds what nothing
/// answers to.
class Integrator final : public Measure {
 public:
  std::vector<Quantity> quantities(const Run& run) const override {
    const QuantityAxis axis = controller_axis(run.system.circuit());
    std::vector<Quantity> out;
    if (axis.size == 0) return out;
    out = {declare("integral_norm", "1", "norm of the integral at the end", {axis}),
           declare("leaked_norm", "1", "norm of leak times integral at the end", {axis}),
           declare("wind_up", "1", "norm of the control over that of the least that would do",
                   {axis})};
    for (Quantity& quantity : out) quantity.reasons.resize(1);
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    if (out.empty()) return;
    Evaluation end = end_of(subject);
    const system::Circuit& circuit = subject.system().circuit();
    const LoopSet& set = subject.loops();
    for (std::size_t c = 0; c < circuit.controllers.size(); ++c) {
      const system::Controller& controller = circuit.controllers[c];
      const auto cell = static_cast<Index>(c);
      std::string reason = subject.has_left() ? "the trial diverged" : "";
      if (reason.empty() && controller.integral < 0) reason = "the controller has no integrator";
      if (!reason.empty()) {
        for (Cells& cells : out) cells.missing(cell, reason);
        continue;
      }
      const double integral = end.value(controller.integral).norm();
      out[0].set(cell, integral);
      out[1].set(cell, controller.leak * integral);
      if (!set.loops()[c].why_not.empty()) {
        out[2].missing(cell, set.loops()[c].why_not);
        continue;
      }
      const double needed = (set.control_inverse(c) * end.setpoint(controller)).norm();
      if (needed > 1e-12 * end.value(controller.control).norm())
        out[2].set(cell, end.value(controller.control).norm() / needed);
      else
        out[2].missing(cell, "no control would bring the output nearer to the setpoint");
    }
  }
};

/// The least ‖Σ g W ρ − y‖/‖y‖ over all rates ρ within the range of φ: no controller can leave a
/// smaller error. 0 for a setpoint that can be met.
class Feasibility final : public Measure {
 public:
  std::vector<Quantity> quantities(const Run& run) const override {
    const system::Circuit& circuit = run.system.circuit();
    std::vector<Quantity> out;
    const QuantityAxis axis = controller_axis(circuit);
    if (axis.size > 0)
      out.push_back(declare("infeasible_error", "1",
                            "least error over setpoint that rates within the range of the transfer "
                            "function can leave",
                            {axis}));
    for (Quantity& quantity : out) quantity.reasons.resize(1);
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    if (out.empty()) return;
    Evaluation end = end_of(subject);
    const system::Circuit& circuit = subject.system().circuit();
    for (std::size_t c = 0; c < circuit.controllers.size(); ++c) {
      const system::Controller& controller = circuit.controllers[c];
      const auto cell = static_cast<Index>(c);
      const bool moving = !controller.setpoint_edges.empty();
      if (controller.measured_edges.empty()) {
        out[0].missing(cell, "nothing is measured");
      } else if (moving && subject.has_left()) {
        out[0].missing(cell, "the trial diverged");
      } else {
        const VectorXd y =
            subject.has_left() ? VectorXd(controller.setpoint.col(0)) : end.setpoint(controller);
        if (y.norm() > 0)
          out[0].set(cell, subject.loops().unreachable(c, y) / y.norm());
        else
          out[0].missing(cell, "the setpoint is zero");
      }
    }
  }
};

/// Angle, and ratio of lengths, between each population's state at the end, the δ of its layer, and the
/// δ of other rules, each with its own chain from the topmost setpoint down, φ taken as the identity:
/// NDI B (W B − I/G)⁻¹ y, PBP W⁺ y, and backpropagation Wᵀ y. Source: science.md section 4.
class Credit final : public Measure {
 public:
  std::vector<Quantity> quantities(const Run& run) const override {
    std::vector<std::string> names;
    for (const int population : populations(inversion_loops(run.system.circuit())))
      names.push_back(run.system.circuit().nodes[at(population)].name);
    std::vector<Quantity> out;
    if (names.empty()) return out;
    const QuantityAxis layer =
        label_axis("layer", "population that is solved for", std::move(names));
    for (const char* rule : rules) {
      const std::string lower = rule == rules[2] ? "bp" : rule == rules[1] ? "pbp" : "ndi";
      out.push_back(declare("angle_to_" + lower, "degree",
                            std::string("angle between the settled state and that of ") + rule,
                            {layer}));
      out.push_back(declare("length_over_" + lower, "1",
                            std::string("length of the settled state over that of ") + rule,
                            {layer}));
    }
    for (Quantity& quantity : out) quantity.reasons.resize(1);
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    if (out.empty()) return;
    Evaluation end = end_of(subject);
    const std::set<int> all = populations(subject.loops().loops());
    for (std::size_t rule = 0; rule < 3; ++rule) {
      const std::vector<VectorXd> deltas = chain(rule, subject, end);
      Index cell = 0;
      for (const int population : all) {
        const VectorXd& delta = deltas[at(population)];
        const VectorXd settled = subject.has_left() ? VectorXd() : end.value(population);
        std::string reason;
        if (subject.has_left())
          reason = "the trial diverged";
        else if (delta.size() == 0)
          reason = std::string(rules[rule]) + " has none: its matrix is singular";
        else if (!(delta.norm() > 0) || !(settled.norm() > 0))
          reason = "one of the two is zero";
        if (reason.empty()) {
          const VectorXd a = delta.normalized(), b = settled.normalized();
          // Accurate for small angles too. Source: W. Kahan.
          out[2 * rule].set(cell, 2 * std::atan2((a - b).norm(), (a + b).norm()) * 180 / M_PI);
          out[2 * rule + 1].set(cell, settled.norm() / delta.norm());
        }
        out[2 * rule].missing(cell, reason);
        out[2 * rule + 1].missing(cell, reason);
        ++cell;
      }
    }
  }

 private:
  static constexpr const char* rules[] = {"NDI", "PBP", "backpropagation"};

  // Of all inversion loops, in the order of the circuit.
  static std::set<int> populations(const std::vector<InversionLoop>& loops) {
    std::set<int> out;
    for (const InversionLoop& loop : loops)
      if (loop.why_not.empty()) out.insert(loop.populations.begin(), loop.populations.end());
    return out;
  }

  // δ of every population by one rule; empty where it has none.
  static std::vector<VectorXd> chain(std::size_t rule, const Subject& subject, Evaluation& end) {
    const LoopSet& set = subject.loops();
    const system::Circuit& circuit = subject.system().circuit();
    const std::vector<InversionLoop>& loops = set.loops();
    std::vector<VectorXd> deltas(circuit.nodes.size());
    if (subject.has_left()) return deltas;
    std::vector<char> done(loops.size(), 0);
    for (std::size_t pass = 0; pass < loops.size(); ++pass)
      for (std::size_t c = 0; c < loops.size(); ++c) {
        const InversionLoop& loop = loops[c];
        if (done[c] || !loop.why_not.empty()) continue;
        if (loop.upstream >= 0 && !done[at(loop.upstream)]) continue;
        done[c] = 1;
        const system::Controller& controller = circuit.controllers[at(loop.controller)];
        VectorXd y =
            loop.upstream < 0 ? end.setpoint(controller) : VectorXd(controller.setpoint.col(0));
        if (loop.upstream >= 0) {
          const VectorXd& above = deltas[at(loops[at(loop.upstream)].populations.front())];
          if (above.size() == 0) continue;
          const system::Edge& edge = circuit.edges[at(loop.setpoint_edge)];
          VectorXd sent = above;
          if (edge.gate.size() > 0) sent = sent.cwiseProduct(edge.gate.col(0));
          y -= controller.sign * edge.gain * (edge.weights->dense() * sent);
        }
        descend(rule, set, c, y, deltas);
      }
    return deltas;
  }

  static void descend(std::size_t rule, const LoopSet& set, std::size_t c, const VectorXd& y,
                      std::vector<VectorXd>& deltas) {
    const InversionLoop& loop = set.loops()[c];
    const LoopMatrices& matrices = set.matrices(c);
    if (rule == 0) {
      const auto first = linear_rest(matrices, y);
      if (!first) return;
      VectorXd delta = first->col(0);
      for (std::size_t k = 0; k < loop.populations.size(); ++k) {
        deltas[at(loop.populations[k])] = delta;
        delta = matrices.layers[k] * delta;
      }
      return;
    }
    VectorXd delta = y;
    for (std::size_t k = loop.populations.size(); k-- > 0;) {
      delta = rule == 1 ? VectorXd(set.inverses(c)[k] * delta)
                        : VectorXd(matrices.layers[k].transpose() * delta);
      deltas[at(loop.populations[k])] = delta;
    }
  }
};

}  // namespace

std::unique_ptr<Measure> inversion_error() { return std::make_unique<InversionError>(); }
std::unique_ptr<Measure> directions() { return std::make_unique<Directions>(); }
std::unique_ptr<Measure> integrator() { return std::make_unique<Integrator>(); }
std::unique_ptr<Measure> feasibility() { return std::make_unique<Feasibility>(); }
std::unique_ptr<Measure> credit() { return std::make_unique<Credit>(); }

}  // namespace settle::analysis
