#include "analysis/optimise.hpp"

#include <nlopt.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>

namespace settle::analysis {
namespace {

constexpr double worst = 1e30;  // NLopt's searches want finite values

struct Call {
  const CubeFunction& f;
  nlopt_opt search;
  Minimum best;
  std::exception_ptr error;  // NLopt is C: nothing may be thrown through it
};

double evaluate(unsigned n, const double* x, double*, void* data) {
  Call& call = *static_cast<Call*>(data);
  try {
    const std::vector<double> at(x, x + n);
    const double value = call.f(at);
    if (!std::isfinite(value)) return worst;
    if (value < call.best.value) call.best = {at, value};
    return value;
  } catch (...) {
    call.error = std::current_exception();
    nlopt_force_stop(call.search);
    return worst;
  }
}

}  // namespace

Minimum minimise(const CubeFunction& f, const std::vector<double>& start, Search search,
                 int evaluations) {
  const double given = f(start);
  Minimum best{start, std::isfinite(given) ? given : worst};
  if (start.empty() || evaluations < 2) return best;
  const std::unique_ptr<nlopt_opt_s, void (*)(nlopt_opt)> owner(
      nlopt_create(search == Search::global ? NLOPT_GN_DIRECT_L : NLOPT_LN_SBPLX,
                   static_cast<unsigned>(start.size())),
      nlopt_destroy);
  Call call{f, owner.get(), std::move(best), nullptr};
  nlopt_set_min_objective(call.search, evaluate, &call);
  nlopt_set_lower_bounds1(call.search, 0);
  nlopt_set_upper_bounds1(call.search, 1);
  nlopt_set_maxeval(call.search, evaluations - 1);
  nlopt_set_xtol_abs1(call.search, 1e-4);
  if (search == Search::local) nlopt_set_initial_step1(call.search, 0.1);
  std::vector<double> x = start;
  double value = 0;
  nlopt_optimize(call.search, x.data(),
                 &value);  // what it reached is in call.best, however it ended
  if (call.error) std::rethrow_exception(call.error);
  return std::move(call.best);
}

}  // namespace settle::analysis
