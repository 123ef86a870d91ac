#include "analysis/equilibria.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/loops.hpp"
#include "sim/core/random.hpp"
#include "sim/solve/solve.hpp"

namespace settle::analysis {
namespace {

std::vector<double> inversion_errors(const system::OdeSystem& system,
                                     const solve::RestProblem& problem, const VectorXd& x) {
  Evaluation at_rest(system, problem.segment, problem.t, x);
  std::vector<double> out;
  for (const system::Controller& controller : system.circuit().controllers)
    out.push_back(controller.measured_edges.empty() ? std::nan("")
                                                    : at_rest.value(controller.error).norm() /
                                                          at_rest.setpoint(controller).norm());
  return out;
}

}  // namespace

solve::RestProblem rest_problem(const system::OdeSystem& system, const solve::SolverOptions& solver,
                                const AnalysisOptions& options) {
  const system::Circuit& circuit = system.circuit();
  const int phase = measured_phase(circuit, options.phase, circuit.phases.size());
  double t = 0;
  for (int p = 0; p <= phase; ++p)
    t += solve::longest_duration(circuit.phases[static_cast<std::size_t>(p)], solver);
  return {system, {phase, t, t, true}, t};
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
    std::vector<double> errors = inversion_errors(system, problem, equilibrium.x);
    out.found.push_back({std::move(equilibrium), std::move(linearisation), std::move(errors)});
  }
  if (out.found.empty()) out.why_none = solve::find_equilibrium(problem, starts.front()).reason;
  return out;
}

}  // namespace settle::analysis
