#include "analysis/equilibria.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/loops.hpp"
#include "analysis/measures.hpp"
#include "sim/core/random.hpp"
#include "sim/solve/solve.hpp"

namespace settle::analysis {
solve::RestProblem rest_problem(const system::OdeSystem& system, const solve::SolverOptions& solver,
                                const AnalysisOptions& options) {
  const system::Circuit& circuit = system.circuit();
  const int phase = measured_phase(circuit, options.phase, circuit.phases.size());
  double t = 0;
  for (int p = 0; p <= phase; ++p)
    t += solve::longest_duration(circuit.phases[static_cast<std::size_t>(p)], solver);
  return {system, {phase, t, t, true}, t};
}

std::vector<double> inversion_errors(const solve::RestProblem& problem, const VectorXd& x) {
  Evaluation at_rest(problem.system, problem.segment, problem.t, x);
  std::vector<double> out;
  for (const system::Controller& controller : problem.system.circuit().controllers)
    out.push_back(controller.measured_edges.empty() ? std::nan("")
                                                    : at_rest.value(controller.error).norm() /
                                                          at_rest.setpoint(controller).norm());
  return out;
}

RestStates find_rest_states(const system::OdeSystem& system, const solve::SolverOptions& solver,
                            const AnalysisOptions& options, std::uint64_t seed) {
  RestStates out;
  const solve::RestProblem problem = rest_problem(system, solver, options);
  if (const std::string source = system.changing_source(problem.segment, problem.t);
      !source.empty()) {
    out.why_none = "\"" + source + "\" drives the circuit without end";
    return out;
  }
  std::vector<VectorXd> starts = {system.initial_state().col(0)};
  const auto moving = static_cast<std::int64_t>(system.moving_rows(problem.segment).size());
  if (moving <= options.dense_limit)
    for (std::int64_t k = 0; k < options.starts; ++k) {
      constexpr double deviations[] = {0.3, 1, 3, 10};
      const core::RandomStream stream(seed, "equilibria.start");
      VectorXd x(system.dimension());
      for (Index i = 0; i < x.size(); ++i)
        x[i] = deviations[k % 4] *
               stream.normal(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(k));
      starts.push_back(std::move(x));
    }
  out.starts = starts.size();
  for (solve::Equilibrium& equilibrium :
       solve::find_equilibria(problem, starts, static_cast<std::size_t>(options.equilibria))) {
    Linearisation linearisation(problem, equilibrium.x, options.dense_limit);
    std::vector<double> errors = inversion_errors(problem, equilibrium.x);
    out.found.push_back({std::move(equilibrium), std::move(linearisation), std::move(errors)});
  }
  if (out.found.empty()) out.why_none = solve::find_equilibrium(problem, starts.front()).reason;
  return out;
}

namespace {

/// Every state of rest that is found from the initial state and from random ones.
class Equilibria final : public Measure {
 public:
  bool is_standard() const override { return false; }

  std::vector<core::Quantity> quantities(const Run& run) const override {
    const core::QuantityAxis found =
        index_axis("equilibrium", "states of rest that were found", run.options.equilibria);
    std::vector<core::Quantity> out = {
        declare("equilibria_found", "1", "number of states of rest that were found"),
        declare("equilibria_pole", "1/time", "real part of the rightmost pole there", {found}),
        declare("equilibria_pole_angular_frequency", "1/time", "imaginary part of that pole (>= 0)",
                {found}),
        declare("equilibria_stability", "1", "stability by that pole", {found}),
        declare("equilibria_residual", "1", "largest |T dx/dt| there", {found}),
        declare("equilibria_distance", "1", "distance from the end of the run, over the end's norm",
                {found})};
    out[3].meanings = {"stable", "neutral", "unstable", "unknown"};
    for (core::Quantity& quantity : out)
      if (!quantity.axes.empty()) quantity.reasons.resize(1);
    for (const int i : run.system.dynamic_nodes()) {
      const system::Node& node = run.system.circuit().nodes[static_cast<std::size_t>(i)];
      out.push_back(declare(
          "equilibria_" + file_name(node.name), "1", "state of " + node.name + " there",
          {found,
           index_axis(file_name(node.name) + "_state_unit", "units of " + node.name, node.size)}));
    }
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    const RestStates states =
        find_rest_states(subject.system(), subject.run.config.solver, subject.run.options,
                         static_cast<std::uint64_t>(subject.run.config.seed));
    out[0].set(0, static_cast<double>(states.found.size()));
    const std::string no_more = states.found.empty()
                                    ? states.why_none
                                    : "only " + std::to_string(states.found.size()) + " found";
    for (Index k = static_cast<Index>(states.found.size()); k < subject.run.options.equilibria; ++k)
      for (std::size_t q = 1; q < 6; ++q) out[q].missing(k, no_more);
    if (static_cast<std::int64_t>(states.found.size()) < subject.run.options.equilibria)
      for (std::size_t q = 6; q < out.size(); ++q) out[q].missing(no_more);
    const VectorXd end = subject.end();
    for (std::size_t k = 0; k < states.found.size(); ++k) {
      const RestState& state = states.found[k];
      const auto cell = static_cast<Index>(k);
      if (const auto pole = state.linearisation.rightmost()) {
        out[1].set(cell, pole->real());
        out[2].set(cell, std::abs(pole->imag()));
      } else {
        for (const std::size_t q : {1, 2})
          out[q].missing(cell, "the eigenvalue iteration did not converge");
      }
      out[3].set(cell, static_cast<double>(state.linearisation.stability()));
      out[4].set(cell, state.equilibrium.residual);
      if (end.allFinite())
        out[5].set(cell, (end - state.equilibrium.x).norm() / end.norm());
      else
        out[5].missing(cell, "the trial diverged");
      std::size_t q = 6;
      for (const int i : subject.system().dynamic_nodes()) {
        const Index size = subject.system().circuit().nodes[static_cast<std::size_t>(i)].size;
        for (Index u = 0; u < size; ++u)
          out[q].set(cell * size + u, state.equilibrium.x[subject.system().offset(i) + u]);
        ++q;
      }
    }
  }

 private:
  static std::string file_name(std::string node) {
    std::replace(node.begin(), node.end(), '.', '_');
    return node;
  }
};

}  // namespace

std::unique_ptr<Measure> equilibria() { return std::make_unique<Equilibria>(); }

}  // namespace settle::analysis
