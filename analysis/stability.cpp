#include "analysis/stability.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/loops.hpp"
#include "analysis/measures.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;
using core::QuantityAxis;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// x* with T ẋ = 0 next to the end of the phase, by Newton's method with the exact Jacobian.
class EquilibriumMeasure final : public Measure {
 public:
  std::vector<Quantity> quantities(const Run& run) const override {
    return {declare("equilibrium_distance", "1",
                    "‖end − equilibrium‖ over ‖equilibrium‖, at the end of phase " +
                        run.phase_result().name),
            declare("equilibrium_residual", "1", "largest |T dx/dt| at the equilibrium"),
            declare("equilibrium_step", "1",
                    "last Newton step over the state: how far the exact equilibrium may be")};
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    const solve::Equilibrium& found = subject.equilibrium();
    if (!found.converged) {
      for (Cells& cells : out) cells.missing(found.reason);
      return;
    }
    const VectorXd end = subject.end();
    if (end.allFinite())
      out[0].set(0, (end - found.x).norm() / std::max(found.x.norm(), 1e-300));
    else
      out[0].missing("the trial diverged");
    out[1].set(0, found.residual);
    out[2].set(0, found.step);
  }
};

/// The rightmost eigenvalue s of the Jacobian over the states that move in the phase: a small
/// perturbation decays no faster than e^{Re s t} in general.
class SlowestPole final : public Measure {
 public:
  bool is_of_jacobian() const override { return true; }

  std::vector<Quantity> quantities(const Run& run) const override {
    return {
        declare("slowest_pole", "1/time",
                "real part of the rightmost eigenvalue of the Jacobian over what moves in phase " +
                    run.phase_result().name),
        declare("slowest_pole_angular_frequency", "1/time",
                "imaginary part of that eigenvalue (>= 0)")};
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    const Linearisation* whole = subject.linearisation();
    std::string reason = subject.why_not_linearised();
    if (whole) {
      // What the phase holds does not move in it, and so decays neither.
      solve::RestProblem problem = whole->problem();
      problem.segment.released = false;
      const bool holds = subject.system().moving_rows(problem.segment) != whole->rows();
      const Linearisation own(problem, whole->state(), subject.run.options.dense_limit);
      const auto pole = holds ? own.rightmost() : whole->rightmost();
      if (pole) {
        out[0].set(0, pole->real());
        out[1].set(0, std::abs(pole->imag()));
        return;
      }
      reason = holds && own.size() == 0 ? "nothing moves in the phase"
                                        : "the eigenvalue iteration did not converge";
    }
    for (Cells& cells : out) cells.missing(reason);
  }
};

/// Every pole s of the circuit as a whole, damping ratio ζ = −Re s/|s|, and the participation
/// p_k = Σ_{i in node k} |w_i v_i| / Σ_i |w_i v_i| of each node, w and v the left and right
/// eigenvectors. Source: Pérez-Arriaga, Verghese & Schweppe, IEEE Trans. PAS-101 (1982).
class Poles final : public Measure {
 public:
  bool is_of_jacobian() const override { return true; }

  std::vector<Quantity> quantities(const Run& run) const override {
    const QuantityAxis pole = index_axis("pole", "poles, rightmost first", count(run));
    std::vector<std::string> names;
    for (const int i : run.system.dynamic_nodes())
      names.push_back(run.system.circuit().nodes[at(i)].name);
    const QuantityAxis node = label_axis("node", "node with states", std::move(names));
    return {
        declare("pole_real", "1/time", "real part of the pole", {pole}),
        declare("pole_angular_frequency", "1/time", "imaginary part of the pole", {pole}),
        declare("pole_damping_ratio", "1", "-Re s/|s| of the pole s", {pole}),
        declare("pole_participation", "1", "share of the node's states in the mode", {pole, node})};
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    const Linearisation* linearisation = subject.linearisation();
    const core::EigenSystem* modes =
        linearisation ? linearisation->modes(subject.run.options.poles) : nullptr;
    if (!modes) {
      for (Cells& cells : out)
        cells.missing(linearisation ? "the eigenvalue iteration did not converge"
                                    : subject.why_not_linearised());
      return;
    }
    const Index wanted = std::min(modes->values.size(), count(subject.run));
    const auto& nodes = subject.system().dynamic_nodes();
    for (Index k = 0; k < wanted; ++k) {
      const std::complex<double> s = modes->values[k];
      out[0].set(k, s.real());
      out[1].set(k, s.imag());
      out[2].set(k, std::abs(s) > 0 ? -s.real() / std::abs(s) : nan);
      if (std::abs(s) == 0) out[2].missing("a pole at 0 has none");
      if (modes->left.size() == 0) continue;
      const VectorXd share = participation(*linearisation, *modes, k);
      for (std::size_t i = 0; i < nodes.size(); ++i)
        out[3].set(k * static_cast<Index>(nodes.size()) + static_cast<Index>(i),
                   share[static_cast<Index>(i)]);
    }
    if (wanted < count(subject.run))
      for (const std::size_t q : {0, 1, 2})
        out[q].missing("only the rightmost " + std::to_string(wanted) +
                       " were looked for (analysis.poles)");
    if (modes->left.size() == 0)
      out[3].missing("left eigenvectors are found up to " +
                     std::to_string(subject.run.options.dense_limit) +
                     " states (analysis.dense_limit)");
  }

 private:
  static Index count(const Run& run) {
    const auto n = static_cast<Index>(run.system.moving_rows(run.whole()).size());
    return n <= run.options.dense_limit ? n : std::min<Index>(n, run.options.poles + 1);
  }
};

/// Each controller's feedback loop by two criteria:
/// - the paper's, max Re λ(k_i W B − α I) < 0, with W B the static response of what is measured to the
///   control, linearised: exact for real eigenvalues or fast neurons;
/// - the exact one, max Re s < 0 over the poles of the loop's own states.
/// Source: science.md section 5; Podlaski & Machens 2020, section 3.
class LoopStability final : public Measure {
 public:
  bool is_of_jacobian() const override { return true; }

  std::vector<Quantity> quantities(const Run& run) const override {
    const QuantityAxis axis = controller_axis(run.system.circuit());
    std::vector<Quantity> out;
    if (axis.size == 0) return out;
    out = {declare("paper_criterion", "1", "max Re of the eigenvalues of k_i W B - leak", {axis}),
           declare("loop_pole", "1/time",
                   "real part of the rightmost pole of the loop's own states", {axis}),
           declare("criteria_disagree", "1",
                   "whether the two criteria disagree on the loop's stability", {axis})};
    out[2].meanings = {"no", "yes"};
    for (Quantity& quantity : out) quantity.reasons.resize(1);
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    if (out.empty()) return;
    const Linearisation* linearisation = subject.linearisation();
    const auto& controllers = subject.system().circuit().controllers;
    for (std::size_t c = 0; c < controllers.size(); ++c) {
      const auto cell = static_cast<Index>(c);
      if (!linearisation || !linearisation->is_dense()) {
        for (Cells& cells : out)
          cells.missing(cell, linearisation ? "too many states for dense eigenvalues"
                                            : subject.why_not_linearised());
        continue;
      }
      const auto [paper, why_no_paper] = paper_criterion(*linearisation, controllers[c]);
      const auto [exact, why_no_exact] = loop_pole(*linearisation, controllers[c]);
      if (why_no_paper.empty()) out[0].set(cell, paper);
      if (why_no_exact.empty()) out[1].set(cell, exact);
      out[0].missing(cell, why_no_paper);
      out[1].missing(cell, why_no_exact);
      const std::string& why_not = why_no_paper.empty() ? why_no_exact : why_no_paper;
      if (why_not.empty()) {
        const double zero = linearisation->rounding();
        const bool decided = std::abs(paper) > zero && std::abs(exact) > zero;
        out[2].set(cell, decided && (paper < 0) != (exact < 0) ? 1 : 0);
      }
      out[2].missing(cell, why_not);
    }
  }
};

}  // namespace

VectorXd participation(const Linearisation& linearisation, const core::EigenSystem& modes,
                       Index k) {
  const system::OdeSystem& system = linearisation.problem().system;
  const auto& nodes = system.dynamic_nodes();
  VectorXd shares = VectorXd::Zero(static_cast<Index>(nodes.size()));
  std::vector<Index> place(system.circuit().nodes.size(), 0);
  for (std::size_t i = 0; i < nodes.size(); ++i) place[at(nodes[i])] = static_cast<Index>(i);
  const VectorXd products = modes.left.col(k).cwiseProduct(modes.right.col(k)).cwiseAbs();
  for (Index r = 0; r < linearisation.size(); ++r)
    shares[place[at(system.unit_of(linearisation.rows()[at(r)]).first)]] += products[r];
  return shares / shares.sum();
}

std::string nodes_of_pole(const Linearisation& linearisation) {
  const core::EigenSystem* modes = linearisation.is_dense() ? linearisation.modes(1) : nullptr;
  if (!modes || modes->left.size() == 0) return "";
  const VectorXd share = participation(linearisation, *modes, 0);
  const system::OdeSystem& system = linearisation.problem().system;
  std::vector<std::pair<double, std::string>> parts;
  for (std::size_t i = 0; i < system.dynamic_nodes().size(); ++i)
    if (const double part = share[static_cast<Index>(i)]; part >= 0.05)
      parts.emplace_back(part, system.circuit().nodes[at(system.dynamic_nodes()[i])].name);
  std::stable_sort(parts.begin(), parts.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<std::string> words;
  for (const auto& [part, node] : parts)
    if (words.size() < 2) words.push_back(node + " " + core::brief(std::round(100 * part)) + " %");
  return core::join(words);
}

std::string pole_text(const Linearisation& linearisation) {
  const auto pole = linearisation.rightmost();
  if (!pole) return "no pole that could be found";
  const double zero = linearisation.rounding();
  std::string text = "pole " + core::brief(std::abs(pole->real()) > zero ? pole->real() : 0);
  if (std::abs(pole->imag()) > zero) text += " ± " + core::brief(std::abs(pole->imag())) + "i";
  const std::string nodes = nodes_of_pole(linearisation);
  return text + (nodes.empty() ? "" : " (" + nodes + ")");
}

std::pair<double, std::string> paper_criterion(const Linearisation& linearisation,
                                               const system::Controller& controller) {
  if (controller.control < 0 || controller.integral < 0)
    return {nan, "the controller has no integrator"};
  const system::OdeSystem& system = linearisation.problem().system;
  // u is an input now, and the controller's own states stand aside.
  const MatrixXd b = linearisation.input(controller.control);
  const MatrixXd e = linearisation.output(controller.error);
  const MatrixXd open = linearisation.jacobian() - b * linearisation.output(controller.control);
  std::vector<Index> plant;
  for (Index r = 0; r < linearisation.size(); ++r) {
    const int node = system.unit_of(linearisation.rows()[at(r)]).first;
    if (node != controller.integral && node != controller.derivative) plant.push_back(r);
  }
  const auto response =
      core::solve_linear(MatrixXd(open(plant, plant)), MatrixXd(b(plant, Eigen::all)));
  if (!response) return {nan, "what is measured has no static response to the control"};
  MatrixXd m = -controller.gain_i * e(Eigen::all, plant) * *response;
  m.diagonal().array() -= controller.leak;
  return {core::spectral_abscissa(m), ""};
}

std::pair<double, std::string> loop_pole(const Linearisation& linearisation,
                                         const system::Controller& controller) {
  const solve::RestProblem& problem = linearisation.problem();
  const system::Circuit& circuit = problem.system.circuit();
  const std::vector<int> component = components(circuit, circuit.phases[at(problem.segment.phase)]);
  std::vector<Index> own;
  for (Index r = 0; r < linearisation.size(); ++r) {
    const int node = problem.system.unit_of(linearisation.rows()[at(r)]).first;
    if (component[at(node)] == component[at(controller.error)]) own.push_back(r);
  }
  if (own.empty()) return {nan, "the controller is in no loop"};
  return {core::spectral_abscissa(linearisation.jacobian()(own, own)), ""};
}

std::unique_ptr<Measure> equilibrium() { return std::make_unique<EquilibriumMeasure>(); }
std::unique_ptr<Measure> slowest_pole() { return std::make_unique<SlowestPole>(); }
std::unique_ptr<Measure> poles() { return std::make_unique<Poles>(); }
std::unique_ptr<Measure> loop_stability() { return std::make_unique<LoopStability>(); }

}  // namespace settle::analysis
