#include "sim/solve/cvode_methods.hpp"
#include "sim/solve/exact_method.hpp"
#include "sim/solve/mode_basis.hpp"
#include "sim/solve/odeint_methods.hpp"
#include "sim/solve/rosenbrock_methods.hpp"

namespace settle::solve {

const core::Registry<Method>& methods() {
  static const core::Registry<Method> registry("solver", [] {
    std::vector<core::Entry<Method>> all = exact_methods();
    for (auto& family : {odeint_methods(), rosenbrock_methods(), cvode_methods()})
      all.insert(all.end(), family.begin(), family.end());
    return all;
  }());
  return registry;
}

Choice choose_method(const system::OdeSystem& system, const SolverOptions& options) {
  if (options.method != automatic) return {options.method, ""};
  if (!options.adaptive) return {"dopri5", "it has a fixed step"};
  for (std::size_t p = 0; p < system.circuit().phases.size(); ++p) {
    const int phase = static_cast<int>(p);
    std::string why = why_not_linear(system, phase);
    if (why.empty()) why = why_too_large(system, phase, ModeLimits{});
    if (why.empty()) continue;
    const auto& tolerance = options.settled.tolerance;
    if (tolerance && options.ends_when_settled && *tolerance < options.rtol)
      throw core::InputError(
          "solver.settled.tolerance",
          core::number_text(*tolerance) + ", below rtol = " + core::number_text(options.rtol) +
              ", for \"dopri5\", which is taken since " + why,
          "at least 3 rtol: the residual of an adaptive solver hovers at about rtol");
    return {"dopri5", why, "rosenbrock4"};
  }
  return {"exact", ""};
}

std::string chosen_method(const system::OdeSystem& system, const SolverOptions& options) {
  return choose_method(system, options).method;
}

}  // namespace settle::solve
