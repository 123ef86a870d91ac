#include "sim/solve/options.hpp"

#include "sim/solve/method.hpp"

namespace settle::solve {
namespace {

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();

core::Bounds below_one() { return {.low = 0, .high = 1, .low_open = true, .high_open = true}; }

core::Bounds positive_or_infinite() {
  core::Bounds bounds = core::positive();
  bounds.infinite = true;
  return bounds;
}

}  // namespace

void SettledOptions::fields(core::Fields& f) {
  f.number(
      {"tolerance", "1", "relative residual below which a trial is at rest; 10 rtol unless given"},
      tolerance, below_one());
  f.number(
      {"dwell", "time", "how long it must stay below; five times the largest tau unless given"},
      dwell, core::non_negative());
  f.texts({"nodes", "", "populations and controllers that count; all unless given"}, nodes);
}

void SolverOptions::fields(core::Fields& f) {
  std::vector<std::string> names = methods().names();
  names.insert(names.begin(), automatic);
  f.choice({"method", "",
            "how the equations are integrated; auto: exact where the circuit is linear between "
            "breakpoints, else dopri5, and rosenbrock4 where that finds stiffness"},
           method, names);
  f.number({"rtol", "1", "error allowed per step, relative to each state"}, rtol, below_one());
  f.number({"atol", "1", "error allowed per step where a state is near zero"}, atol,
           core::positive());
  f.number({"step", "time", "of a fixed-step run; every segment is divided exactly"}, step,
           core::positive());
  f.boolean({"adaptive", "", "false: a method with an error estimate runs at fixed step"},
            adaptive);
  f.number({"initial_step", "time", "first step; chosen from the equation unless given"},
           initial_step, core::positive());
  f.number({"max_step", "time", "longest step"}, max_step, core::positive());
  f.number({"duration", "time", "of a run without phases; the limit of a phase without duration"},
           duration, core::positive());
  f.table(
      {"settled", "", "given: a run without phases ends when every trial has settled"},
      [this](core::Fields& g) { settled.fields(g); }, &ends_when_settled);
  f.number({"divergence_limit", "1", "|x| beyond which a trial has diverged"}, divergence_limit,
           positive_or_infinite());
  f.integer({"max_steps", "1", "budget of accepted steps"}, max_steps, 1, most);
  f.integer({"max_evaluations", "1", "budget of evaluations of the right-hand side"},
            max_evaluations, 1, most);
  f.integer({"max_rejections", "1", "budget of rejected steps"}, max_rejections, 1, most);
  f.number({"max_wall_time", "seconds", "budget of wall time"}, max_wall_time,
           positive_or_infinite());
  f.choice({"linear_solver", "", "of cvode_bdf: dense with the exact Jacobian, or GMRES"},
           linear_solver, {"auto", "dense", "gmres"});
  f.integer({"linear_solver_limit", "1", "\"auto\" is dense up to this many states"},
            linear_solver_limit, 1, 20000);
  f.texts({"update_order", "",
           "order in which semi_implicit_euler updates nodes; populations, then controllers "
           "unless a model or the file says otherwise"},
          update_order);
  f.boolean({"reduce", "",
             "integrate fewer states where the rest follows from them exactly; `settle check` says "
             "which"},
            reduce);
  f.boolean({"shortcut", "",
             "a phase that lasts until it has settled ends at once, in its state of rest, where "
             "that is shown to be the one that is reached; the rest is integrated"},
            shortcut);
}

void SolverOptions::check(const core::Value& table, const std::string& path) const {
  const auto complain = [&](const char* key, const std::string& found,
                            const std::string& expected) {
    const core::Value* value = table.find(key);
    core::fail(value ? *value : table, path + "." + key, found, expected);
  };
  const Method::Control control =
      method == automatic ? Method::Control::error : methods().find(method)->make()->control();
  const bool fixed = control == Method::Control::fixed || !adaptive;
  if (!adaptive && control != Method::Control::error)
    complain("adaptive", "false with method \"" + method + "\"",
             control == Method::Control::fixed
                 ? "no such key: this method has a fixed step anyway"
                 : "true: this method chooses its own steps and order");
  if (fixed && !step)
    complain("step", "no step for the fixed-step method \"" + method + "\"",
             "step = a number > 0, such as 0.01");
  if (!fixed && step)
    complain("step", "a fixed step for the adaptive method \"" + method + "\"",
             control == Method::Control::error
                 ? "adaptive = false beside it, or initial_step or max_step instead"
                 : "initial_step or max_step instead");
  if (step && *step > duration)
    complain("step", "a step longer than the run", "a number <= solver.duration");
  if (fixed && shortcut)
    complain("shortcut", "a shortcut with a fixed step",
             "false: such a scheme may not come to the rest that the circuit comes to; or an "
             "adaptive method");
  if (fixed && max_step) complain("max_step", "max_step with a fixed step", "step alone");
  // What "auto" comes to is known with the circuit alone (choose_method).
  const bool has_noise = method != "exact" && method != automatic && !fixed;
  if (settled.tolerance && ends_when_settled && has_noise && *settled.tolerance < rtol)
    core::fail(*core::find_path(table, "settled.tolerance"), path + ".settled.tolerance",
               core::number_text(*settled.tolerance) + ", below rtol = " + core::number_text(rtol),
               "at least 3 rtol: the residual of an adaptive solver hovers at about rtol");
}

std::vector<std::string> SolverOptions::warnings(const std::string& chosen) const {
  std::vector<std::string> out;
  const bool fixed = step.has_value();
  if (!fixed && chosen != "exact" && settled.tolerance && *settled.tolerance < 3 * rtol)
    out.push_back("solver.settled.tolerance = " + core::number_text(*settled.tolerance) +
                  " is below 3 rtol = " + core::number_text(3 * rtol) +
                  ": the residual of an adaptive solver hovers at about rtol, the run may never "
                  "count as settled");
  return out;
}

}  // namespace settle::solve
