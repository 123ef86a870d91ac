#include "analysis/margins.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/measures.hpp"
#include "analysis/root_finding.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double reach = 1e4;  // times the value that a parameter has
constexpr double tiny = 1e-6;  // the first value tried of a parameter that is 0

}  // namespace

const char* name(Parameter parameter) {
  constexpr const char* names[] = {"leak", "p", "i", "d"};
  return names[static_cast<int>(parameter)];
}

std::string key(Parameter parameter) {
  return (parameter == Parameter::leak ? "" : "gains.") + std::string(name(parameter));
}

double value(const models::Gains& gains, Parameter parameter) {
  const double values[] = {gains.leak, gains.p, gains.i, gains.d};
  return values[static_cast<int>(parameter)];
}

models::Gains with(models::Gains gains, Parameter parameter, double value) {
  double* values[] = {&gains.leak, &gains.p, &gains.i, &gains.d};
  *values[static_cast<int>(parameter)] = value;
  return gains;
}

models::Gains gains_of(const system::Controller& controller) {
  return {controller.leak, controller.gain_p, controller.gain_i, controller.gain_d};
}

// ---- GainStudy ----

GainStudy::GainStudy(const models::Config& config, const solve::RestProblem& problem, VectorXd rest,
                     Index dense_limit)
    : config_(config), problem_(problem), dense_limit_(dense_limit), rest_(std::move(rest)) {}

// The last rest state, node by node; nodes that were not there start at zero.
VectorXd GainStudy::carried_to(const system::OdeSystem& system) const {
  const system::OdeSystem& from = last_ ? *last_ : problem_.system;
  VectorXd x = system.initial_state().col(0);
  for (const int node : system.dynamic_nodes()) {
    const system::Node& own = system.circuit().nodes[static_cast<std::size_t>(node)];
    const int other = from.circuit().find(own.name);
    x.segment(system.offset(node), own.size) =
        other < 0 ? VectorXd::Zero(own.size)
                  : VectorXd(rest_.segment(from.offset(other), own.size));
  }
  return x;
}

GainStudy::Point GainStudy::at(std::size_t controller, const models::Gains& gains) {
  auto system = std::make_unique<const system::OdeSystem>(
      models::with_gains(config_, problem_.system.circuit(), controller, gains));
  const solve::RestProblem problem{*system, problem_.segment, problem_.t};
  VectorXd x = carried_to(*system);
  // J of a linear circuit is the same everywhere, also where a pole at zero takes its rest state
  // away.
  if (!system->is_linear()) {
    solve::Equilibrium found = solve::find_equilibrium(problem, x);
    if (!found.converged) return {"no equilibrium: " + found.reason, nan, nan};
    x = std::move(found.x);
  }
  const Linearisation linearisation(problem, x, dense_limit_);
  const auto pole = linearisation.rightmost();
  if (!pole) return {"the eigenvalue iteration did not converge", nan, nan};
  rest_ = std::move(x);
  last_ = std::move(system);
  const bool is_zero = std::abs(pole->real()) <= linearisation.rounding();
  return {"", is_zero ? 0 : pole->real(), std::abs(pole->imag())};
}

ParameterMargin parameter_margin(GainStudy& study, std::size_t controller,
                                 const models::Gains& gains, Parameter parameter, bool upwards,
                                 double rate) {
  ParameterMargin out{nan, nan, ""};
  const double start = value(gains, parameter);
  if (!upwards && start == 0) {
    out.reason = std::string(name(parameter)) + " is 0";
    return out;
  }
  const auto point = [&](double v) { return study.at(controller, with(gains, parameter, v)); };
  std::string why_not;
  const auto f = [&](double v) {
    const GainStudy::Point found = point(v);
    if (!found.why_not.empty()) why_not = found.why_not;
    return found.abscissa + rate;
  };
  const auto finish = [&](double where) {
    out.at = where;
    out.frequency = point(where).frequency;
    return out;
  };
  const double now = f(start);
  if (std::isnan(now)) {
    out.reason = why_not;
    return out;
  }
  // The size of the parameter moves; its sign stays.
  const double sign = start < 0 ? -1 : 1;
  const auto of_size = [&](double size) { return f(sign * size); };
  double from = std::abs(start), from_value = now;
  if (start == 0) {
    from = tiny;
    from_value = of_size(tiny);
    if (now * from_value < 0) return finish(refined_sign_change(f, 0, now, tiny, from_value).where);
  }
  const double limit = upwards ? (start == 0 ? reach : reach * from) : from / reach;
  const SignChange change = nearest_sign_change(of_size, from, from_value, limit);
  if (change.found()) return finish(sign * change.where);
  if (change.end == SignChange::End::ceased) {
    out.reason = std::string(upwards ? "no change up to " : "no change down to ") +
                 core::brief(sign * change.ended_at) + ", beyond it " + why_not;
    return out;
  }
  if (!upwards) {
    const double last = of_size(limit), zero = f(0);
    if (zero == 0 || last * zero < 0)
      return finish(zero == 0 ? 0
                              : sign * refined_sign_change(of_size, limit, last, 0, zero).where);
    out.reason = "no change down to 0";
    if (std::isnan(zero)) out.reason = "no change down to 0, and there " + why_not;
    return out;
  }
  out.reason = "no change up to " + core::brief(sign * limit);
  return out;
}

// ---- The measure ----

namespace {

/// How far α and each gain may go before the circuit at rest loses stability, or regains it.
class ParameterMargins final : public Measure {
 public:
  bool is_of_jacobian() const override { return true; }
  bool is_standard() const override { return false; }

  std::vector<core::Quantity> quantities(const Run& run) const override {
    const core::QuantityAxis controller = controller_axis(run.system.circuit());
    if (controller.size == 0) return {};
    const core::QuantityAxis parameter =
        label_axis("parameter", "leak or gain of a controller", {"leak", "p", "i", "d"});
    std::vector<core::Quantity> out;
    for (const bool upwards : {false, true}) {
      const std::string side = upwards ? "above" : "below";
      out.push_back(declare("stability_changes_" + side, "1",
                            "nearest value " + side + " at which the circuit's stability changes",
                            {controller, parameter}));
      out.push_back(declare("stability_changes_" + side + "_frequency", "1/time",
                            "angular frequency of the pole that crosses there, 0 for a real one",
                            {controller, parameter}));
    }
    for (core::Quantity& quantity : out) quantity.reasons.resize(1);
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    if (out.empty()) return;
    const auto& controllers = subject.system().circuit().controllers;
    const solve::Equilibrium& rest = subject.equilibrium();
    Index cell = 0;
    for (std::size_t c = 0; c < controllers.size(); ++c)
      for (const Parameter parameter : all_parameters) {
        for (const bool upwards : {false, true}) {
          Cells& value = out[upwards ? 2 : 0];
          Cells& frequency = out[upwards ? 3 : 1];
          std::string reason = rest.converged || subject.run.is_linear() ? "" : rest.reason;
          if (reason.empty()) {
            const VectorXd x = rest.converged ? rest.x : VectorXd(VectorXd::Zero(rest.x.size()));
            GainStudy study(subject.run.config,
                            {subject.system(), subject.run.whole(), subject.run.phase_result().end},
                            x, subject.run.options.dense_limit);
            const ParameterMargin margin =
                parameter_margin(study, c, gains_of(controllers[c]), parameter, upwards);
            value.set(cell, margin.at);
            frequency.set(cell, margin.frequency);
            reason = margin.reason;
          }
          value.missing(cell, reason);
          frequency.missing(cell, reason);
        }
        ++cell;
      }
  }
};

}  // namespace

std::unique_ptr<Measure> parameter_margins() { return std::make_unique<ParameterMargins>(); }

}  // namespace settle::analysis
