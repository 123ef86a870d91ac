#include "sim/solve/step_control.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/core/value.hpp"

namespace settle::solve {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();
constexpr double safety = 0.9;
constexpr double most_growth = 5.0, most_cut = 0.2, cut_after_nan = 0.1;

}  // namespace

bool same_time(double a, double b) {
  return std::isfinite(a) && std::isfinite(b) &&
         std::abs(a - b) <= 1e-12 * std::max(std::abs(a), std::abs(b));
}

StepControl::Plan StepControl::plan(double t, double stop, double longest) const {
  const double room = stop - t;
  Plan plan;
  plan.h = std::min(step, longest);
  plan.to_stop = plan.h >= room * (1 - 1e-12) || room - plan.h < 16 * epsilon * std::abs(stop);
  if (plan.to_stop)
    plan.h = room;
  else if (2 * plan.h > room)
    plan.h = 0.5 * room;
  plan.smallest = plan.h <= 16 * epsilon * std::max(std::abs(t), std::abs(stop)) && !plan.to_stop;
  return plan;
}

bool StepControl::judge(double error, const Plan& plan, int error_exponent) {
  if (!(error <= 1)) {
    rejected = true;
    step = plan.h * (std::isnan(error)
                         ? cut_after_nan
                         : std::max(most_cut, safety * std::pow(error, -1.0 / error_exponent)));
    return false;
  }
  const double now = std::log(std::max(error, 1e-10));
  double growth = safety * std::exp((0.4 * last_log_error - 0.7 * now) / error_exponent);
  growth = std::min(rejected ? 1.0 : most_growth, std::max(most_cut, growth));
  static const double least = std::log(1e-4);
  last_log_error = std::max(now, least);
  rejected = false;
  // A step that was cut to end on a stop says nothing against the one that was planned.
  step = plan.to_stop ? std::max(step, plan.h * growth) : plan.h * growth;
  return true;
}

std::string StepControl::failure(double h, double error, double t, const std::string& method) {
  return "the step fell to " + core::brief(h) +
         ", below what rounding allows, and its error is still " + core::brief(error) +
         " times the tolerance: the equation is too stiff for \"" + method +
         "\" or has a singularity near t = " + core::brief(t);
}

double first_euler_step(double size, double rate, double room) {
  return std::min(size < 1e-5 || rate < 1e-5 ? 1e-6 : 0.01 * size / rate, room);
}

double first_step(double h0, double rate, double bend, int order, double room) {
  const double steepest = std::max(rate, bend);
  const double h1 = !(steepest > 1e-15) ? std::max(1e-6, 1e-3 * h0)
                                        : std::pow(0.01 / steepest, 1.0 / (order + 1));
  return std::min({100 * h0, h1, room});
}

}  // namespace settle::solve
