#include "analysis/measure.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <limits>

#include "analysis/measures.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

std::vector<std::unique_ptr<Measure>> chosen(const AnalysisOptions& options) {
  std::vector<std::unique_ptr<Measure>> out;
  const auto& names = options.measures;
  for (const auto& entry : measures().entries()) {
    std::unique_ptr<Measure> measure = entry.make();
    const bool named = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return name == "*" || name == entry.name;
    });
    // Every run has a verdict.
    const bool wanted =
        named || entry.name == "verdict" || (names.empty() && measure->is_standard());
    if (wanted) out.push_back(std::move(measure));
  }
  return out;
}

}  // namespace

// ---- A run ----

system::Segment Run::whole() const {
  system::Segment segment = phase_result().segment;
  segment.released = true;
  return segment;
}

bool Run::has_shared_gates() const {
  const auto& edges = system.circuit().edges;
  return std::all_of(edges.begin(), edges.end(),
                     [](const auto& edge) { return edge.gate.cols() <= 1; });
}

// ---- A trial ----

Subject::Subject(const Run& r, Index k, const LoopSet* shared) : run(r), trial(k), shared_(shared) {
  if (r.system.trials() > 1)
    own_ = std::make_unique<system::OdeSystem>(r.system.circuit().of_trial(k));
  if (!shared) own_loops_ = std::make_unique<LoopSet>(system().circuit());
}

const solve::Equilibrium& Subject::equilibrium() const {
  if (equilibrium_) return *equilibrium_;
  const solve::PhaseResult& phase = run.phase_result();
  const std::string source = system().changing_source(phase.segment, phase.end);
  if (!source.empty()) {
    equilibrium_.emplace();
    equilibrium_->x = end();
    equilibrium_->residual = equilibrium_->step = nan;
    equilibrium_->reason = "the circuit is driven by \"" + source + "\", which still changes";
    return *equilibrium_;
  }
  const solve::RestProblem problem{system(), run.whole(), phase.end};
  if (!has_left()) equilibrium_ = solve::find_equilibrium(problem, end());
  if (equilibrium_ && equilibrium_->converged) return *equilibrium_;
  // From a wide cycle, or from where all is saturated, Newton's method need not find back.
  const solve::Trajectory& path = run.trajectories.of(trial);
  const auto [first, last] = path.of_phase(static_cast<int>(run.phase));
  const VectorXd start =
      first < last ? VectorXd(path.state(first)) : VectorXd(system().initial_state().col(0));
  solve::Equilibrium found = solve::find_equilibrium(problem, start);
  if (found.converged || !equilibrium_) equilibrium_ = std::move(found);
  return *equilibrium_;
}

const Linearisation* Subject::linearisation() const {
  if (linearisation_ || !why_not_.empty()) return linearisation_.get();
  const solve::RestProblem problem{system(), run.whole(), run.phase_result().end};
  const bool at_rest = equilibrium().converged;
  if (system().moving_rows(problem.segment).empty())
    why_not_ = "nothing moves in the phase";
  else if (!at_rest && has_left() && !run.is_linear())
    why_not_ = "the trial diverged, and no equilibrium was found: " + equilibrium().reason;
  else if (at_rest || !has_left())
    linearisation_ = std::make_unique<Linearisation>(problem, at_rest ? equilibrium().x : end(),
                                                     run.options.dense_limit);
  else  // linear: J is the same everywhere
    linearisation_ = std::make_unique<Linearisation>(
        problem, VectorXd::Zero(run.system.dimension()), run.options.dense_limit);
  return linearisation_.get();
}

std::string Subject::where_linearised() const {
  if (!linearisation()) return "nowhere: " + why_not_;
  if (run.is_linear()) return "everywhere the same";
  return equilibrium().converged ? "at the equilibrium" : "at the end, which is no state of rest";
}

// ---- Cells ----

void Cells::set_text(std::string text) { quantity_.texts[at(trial_)] = std::move(text); }

void Cells::missing(const std::string& reason) {
  const std::size_t each = quantity_.reasons.size() / at(quantity_.trials());
  for (std::size_t c = 0; c < each; ++c) quantity_.reasons[at(trial_) * each + c] = reason;
}

void Cells::missing(Index cell, const std::string& reason) {
  quantity_.reasons[at(trial_ * quantity_.cells() + cell)] = reason;
}

core::QuantityAxis label_axis(std::string name, std::string long_name,
                              std::vector<std::string> labels) {
  core::QuantityAxis axis;
  axis.name = std::move(name);
  axis.size = static_cast<Index>(labels.size());
  axis.long_name = std::move(long_name);
  axis.labels = std::move(labels);
  return axis;
}

core::QuantityAxis index_axis(std::string name, std::string long_name, Index size) {
  core::QuantityAxis axis;
  axis.name = std::move(name);
  axis.size = size;
  axis.long_name = std::move(long_name);
  return axis;
}

std::vector<double> settling_bands(const Run& run) {
  std::vector<double> bands = run.options.bands;
  bands.push_back(run.config.solver.settled_tolerance());
  return bands;
}

core::QuantityAxis band_axis(const Run& run) {
  std::vector<std::string> names;
  for (const double share : run.options.bands)
    names.push_back(core::number_text(100 * share) + " %");
  names.emplace_back("tolerance");
  return label_axis("band", "share of the distance at the start", std::move(names));
}

core::QuantityAxis controller_axis(const system::Circuit& circuit) {
  std::vector<std::string> names;
  for (const system::Controller& controller : circuit.controllers) names.push_back(controller.name);
  return label_axis("controller", "controller", std::move(names));
}

core::Quantity declare(std::string name, std::string units, std::string long_name,
                       std::vector<core::QuantityAxis> axes) {
  core::Quantity quantity;
  quantity.name = std::move(name);
  quantity.units = std::move(units);
  quantity.long_name = std::move(long_name);
  quantity.axes = std::move(axes);
  return quantity;
}

// ---- All of them ----

std::vector<core::Quantity> measure(const Run& run) {
  const std::vector<std::unique_ptr<Measure>> all = chosen(run.options);
  const Index trials = run.system.trials();
  std::vector<std::vector<core::Quantity>> quantities;
  for (const auto& measure : all) {
    quantities.push_back(measure->quantities(run));
    for (core::Quantity& quantity : quantities.back()) {
      const bool is_text = !quantity.texts.empty();
      quantity.values = MatrixXd::Constant(quantity.cells(), trials, nan);
      if (is_text) quantity.texts.assign(at(trials), "");
      const bool each = !quantity.reasons.empty();  // declared as one a cell
      quantity.reasons.assign(at(each ? trials * quantity.cells() : trials), "");
    }
  }
  const bool shared = run.is_linear();
  std::optional<LoopSet> loops;
  if (run.has_shared_gates()) loops.emplace(run.system.circuit());
  tbb::parallel_for(Index{0}, trials, [&](Index k) {
    const Subject subject(run, k, loops ? &*loops : nullptr);
    for (std::size_t m = 0; m < all.size(); ++m) {
      if (k > 0 && shared && all[m]->is_of_jacobian()) continue;
      std::vector<Cells> cells;
      for (core::Quantity& quantity : quantities[m]) cells.emplace_back(quantity, k);
      try {
        all[m]->measure(subject, cells);
      } catch (const std::exception& error) {
        for (Cells& one : cells) one.missing(error.what());
      }
    }
  });
  std::vector<core::Quantity> out;
  for (std::size_t m = 0; m < all.size(); ++m)
    for (core::Quantity& quantity : quantities[m]) {
      if (shared && all[m]->is_of_jacobian()) {
        const std::size_t each = quantity.reasons.size() / at(trials);
        for (Index k = 1; k < trials; ++k) {
          quantity.values.col(k) = quantity.values.col(0);
          std::copy_n(quantity.reasons.begin(), each,
                      quantity.reasons.begin() + static_cast<std::ptrdiff_t>(at(k) * each));
        }
      }
      out.push_back(std::move(quantity));
    }
  return out;
}

const core::Quantity* find(const std::vector<core::Quantity>& quantities, const std::string& name) {
  for (const core::Quantity& quantity : quantities)
    if (quantity.name == name) return &quantity;
  return nullptr;
}

const core::Registry<Measure>& measures() {
  static const core::Registry<Measure> registry(
      "measures",
      {{"verdict", "why the trial did or did not converge, in one line", &verdict},
       {"inversion_error", "‖measured − setpoint‖/‖setpoint‖ at the end, of every controller",
        &inversion_error},
       {"equilibrium", "the state of rest next to the end: how far it is, and its certificate",
        &equilibrium},
       {"slowest_pole", "rightmost eigenvalue of the exact Jacobian at rest", &slowest_pole},
       {"poles", "eigenvalues of the exact Jacobian, their damping, and the nodes that take part",
        &poles},
       {"loop_stability", "every feedback loop by the paper's criterion and by its exact poles",
        &loop_stability},
       {"equilibria", "all states of rest that are found, each with its stability", &equilibria},
       {"poles_along", "the rightmost pole along the trajectory", &poles_along},
       {"parameter_margins", "nearest leak and gains at which stability is lost or regained",
        &parameter_margins},
       {"loop_margins", "gain, phase and delay margins of the loop broken at each projection",
        &loop_margins},
       {"return_ratio", "Bode and Nyquist data of the loop broken at each projection",
        &return_ratio},
       {"nonnormality",
        "how far an error may grow before it decays: e^{Mt}, Kreiss, pseudospectrum",
        &nonnormality},
       {"pseudospectrum", "σ_min(zI − M) on a grid of the complex plane", &pseudospectrum_grid},
       {"prediction", "stability and settling time by the slowest pole, without the run",
        &prediction},
       {"decay_rate", "measured decay of the residual over its last decades", &decay_rate},
       {"response", "settling and rise time, overshoot, ringing and excursion of every node",
        &response},
       {"directions", "the error split over W's singular directions, beside 1/(1 + Gσ²)",
        &directions},
       {"integrator", "‖ξ‖, ‖αξ‖ and wind-up of every controller", &integrator},
       {"feasibility", "the least error that rates within the range of φ can leave", &feasibility},
       {"credit",
        "angle and length ratio of the settled δ to those of NDI, PBP and backpropagation",
        &credit}});
  return registry;
}

}  // namespace settle::analysis
