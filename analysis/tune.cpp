#include "analysis/tune.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>

#include "analysis/equilibria.hpp"
#include "analysis/measure.hpp"
#include "analysis/optimise.hpp"
#include "analysis/plot_data.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double dynamic_range =
    1000;                        // of a parameter whose lower bound is 0: log above high/1000
constexpr double penalty = 100;  // above every logarithm of a settling time

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

constexpr int front_share = 4;   // of the search's length for a point of the front
constexpr double run_work = 10;  // of a run, beside finding its poles

struct Stopped {};

/// One parameter between its bounds, as a number in [0, 1].
struct Range {
  double low = 0, high = 0;

  bool is_fixed() const { return !(high > low); }
  double value(double share) const {
    if (low > 0) return low * std::pow(high / low, share);
    return low + (high - low) * std::expm1(share * std::log(dynamic_range)) / (dynamic_range - 1);
  }
  double share(double value) const {
    const double v = std::clamp(value, low, high);
    if (low > 0) return std::log(v / low) / std::log(high / low);
    return std::log1p((v - low) / (high - low) * (dynamic_range - 1)) / std::log(dynamic_range);
  }
};

class Tuner {
 public:
  Tuner(const models::Config& config, const system::OdeSystem& system,
        const AnalysisOptions& options, const TuneSpec& spec,
        const std::function<bool(double)>& progress)
      : config_(config), system_(system), options_(options), spec_(spec), progress_(progress) {
    const auto& controllers = system.circuit().controllers;
    for (std::size_t c = 0; c < controllers.size(); ++c)
      if (spec.controllers.empty() || std::find(spec.controllers.begin(), spec.controllers.end(),
                                                controllers[c].name) != spec.controllers.end())
        chosen_.push_back(c);
    if (chosen_.empty())
      throw core::InputError("tune", "a circuit without controllers", "one with gains to tune");
    const solve::RestProblem problem = rest_problem(system, config.solver, options);
    if (const std::string source = system.changing_source(problem.segment, problem.t);
        !source.empty())
      throw core::InputError("tune", "\"" + source + "\", which drives the circuit without end",
                             "a circuit that can come to rest");
    trials_ = evenly_chosen(system.trials(), static_cast<Index>(spec.trials));
    for (const Index trial : trials_) circuits_.push_back(system.circuit().of_trial(trial));
    const std::vector<double>* bounds[] = {&spec.leak, &spec.p, &spec.i, &spec.d};
    for (std::size_t k = 0; k < 4; ++k) ranges_[k] = {bounds[k]->front(), bounds[k]->back()};
    // A run ends when it has settled, and is asked when, whatever else its file says.
    solver_ = config.solver;
    solver_.ends_when_settled = true;
    solver_.shortcut = false;
    const double front = ranges_[0].is_fixed() ? 1 : static_cast<double>(spec.front);
    work_ = (static_cast<double>(spec.evaluations) + run_work * static_cast<double>(spec.runs)) *
            (1 + front / front_share);
  }

  std::optional<Tuning> tune() {
    try {
      return search();
    } catch (const Stopped&) {
      return std::nullopt;
    }
  }

 private:
  Tuning search() {
    Tuning out;
    out.trials = trials_;
    const models::Gains given = gains_of(system_.circuit().controllers[chosen_.front()]);
    out.before = at_rest(given);
    add_weakest(out.before);
    simulate(out.before);
    out.after = optimum({given}, free_parameters(false), true, spec_.evaluations, spec_.runs);
    if (is_within(given) && simulated_cost(out.before, true) <= simulated_cost(out.after, true))
      out.after = out.before;
    out.feasible = violation(out.after, true) <= 0 && std::isfinite(out.after.settling_time);
    if (!out.feasible) out.why_not = what_is_violated(out.after);
    find_front(out);
    out.ratio_before = smallest_ratio(out.before.gains);
    out.ratio_after = smallest_ratio(out.after.gains);
    return out;
  }

  void find_front(Tuning& out) const {
    const Range& leaks = ranges_[0];
    const auto n = leaks.is_fixed() ? std::size_t{1} : static_cast<std::size_t>(spec_.front);
    out.front.resize(n);
    tbb::parallel_for(std::size_t{0}, n, [&](std::size_t k) {
      const double leak =
          n == 1 ? leaks.low : leaks.value(static_cast<double>(k) / static_cast<double>(n - 1));
      std::vector<models::Gains> starts = {out.after.gains, out.before.gains};
      for (models::Gains& gains : starts) gains.leak = leak;
      out.front[k] = optimum(starts, free_parameters(true), false, spec_.evaluations / front_share,
                             spec_.runs / front_share);
    });
    for (const TunedPoint& a : out.front)
      out.dominated.push_back(std::any_of(out.front.begin(), out.front.end(), [&](const auto& b) {
        return b.settling_time <= a.settling_time && b.rest_error <= a.rest_error &&
               (b.settling_time < a.settling_time || b.rest_error < a.rest_error);
      }));
  }

  // The soonest settled from these starts: what the poles suggest, then what runs of it improve.
  TunedPoint optimum(std::vector<models::Gains> starts, const std::vector<Parameter>& parameters,
                     bool with_error, std::int64_t evaluations, std::int64_t runs) const {
    double lowest = infinity;
    const auto predicted = [&](const models::Gains& gains) {
      TunedPoint point = at_rest(gains);
      double cost = cost_of(point, predicted_time(point), with_error);
      // Robustness is only asked of what would be the best.
      if (cost < lowest) {
        add_weakest(point);
        cost = cost_of(point, predicted_time(point), with_error);
        lowest = std::min(lowest, cost);
      }
      did(1);
      return cost;
    };
    const int half = static_cast<int>(evaluations / 2);
    const models::Gains coarse =
        searched(starts.front(), parameters, Search::global, half, predicted);
    starts.push_back(searched(coarse, parameters, Search::local, half, predicted));

    TunedPoint best;
    lowest = infinity;
    const auto simulated = [&](const models::Gains& gains) {
      TunedPoint point = at_rest(gains);
      if (violation(point, with_error) <= 0) simulate(point);
      double cost = simulated_cost(point, with_error);
      if (cost < lowest) {
        add_weakest(point);
        cost = simulated_cost(point, with_error);
      }
      if (cost < lowest) {
        lowest = cost;
        best = point;
      }
      did(run_work);
      return cost;
    };
    for (const models::Gains& start : starts) simulated(within(start));
    // A settling time has many minima where the error rings: each swing that leaves the band is a step.
    const int half_runs = static_cast<int>(runs / 2);
    searched(best.gains, parameters, Search::global, half_runs, simulated);
    searched(best.gains, parameters, Search::local, half_runs, simulated);
    return best;
  }

  // Minimises over some of the parameters, the others staying as they are in `start`.
  models::Gains searched(const models::Gains& start, const std::vector<Parameter>& parameters,
                         Search search, int evaluations,
                         const std::function<double(const models::Gains&)>& f) const {
    const models::Gains fixed = within(start);
    std::vector<double> x;
    for (const Parameter p : parameters)
      x.push_back(ranges_[static_cast<std::size_t>(p)].share(value(fixed, p)));
    const auto gains_at = [&](const std::vector<double>& shares) {
      models::Gains gains = fixed;
      for (std::size_t k = 0; k < shares.size(); ++k)
        gains = with(gains, parameters[k],
                     printed(ranges_[static_cast<std::size_t>(parameters[k])].value(shares[k])));
      return gains;
    };
    return gains_at(minimise([&](const std::vector<double>& shares) { return f(gains_at(shares)); },
                             x, search, evaluations)
                        .at);
  }

  models::Gains within(models::Gains gains) const {
    for (const Parameter p : all_parameters) {
      const Range& range = ranges_[static_cast<std::size_t>(p)];
      const double v = value(gains, p);
      if (v < range.low || v > range.high)
        gains = with(gains, p, std::clamp(v, range.low, range.high));
    }
    return gains;
  }

  bool is_within(const models::Gains& gains) const {
    return std::all_of(std::begin(all_parameters), std::end(all_parameters),
                       [&](Parameter p) { return value(within(gains), p) == value(gains, p); });
  }

  // As it is told: what a reader runs is what was run here.
  static double printed(double value) { return std::stod(core::brief(value)); }

  std::vector<Parameter> free_parameters(bool leak_is_fixed) const {
    std::vector<Parameter> out;
    for (const Parameter p : all_parameters)
      if (!ranges_[static_cast<std::size_t>(p)].is_fixed() &&
          !(leak_is_fixed && p == Parameter::leak))
        out.push_back(p);
    return out;
  }

  models::Config with_all(const models::Gains& gains) const {
    models::Config changed = config_;
    for (const std::size_t c : chosen_) models::set_gains(changed, c, gains);
    return changed;
  }

  // The rightmost pole of one trial's circuit at rest, and its inversion error.
  struct Rest {
    std::string why_not;
    double abscissa = nan, frequency = nan, error = nan;
  };
  Rest rest_of(const models::Gains& gains, const system::Circuit& circuit) const {
    const system::OdeSystem system(models::rebuilt(with_all(gains), circuit));
    const solve::RestProblem problem = rest_problem(system, solver_, options_);
    const solve::Equilibrium found =
        solve::find_equilibrium(problem, system.initial_state().col(0));
    if (!found.converged) return {"no equilibrium: " + found.reason};
    const Linearisation linearisation(problem, found.x, options_.dense_limit);
    const auto pole = linearisation.rightmost();
    if (!pole) return {"the eigenvalue iteration did not converge"};
    Rest out{"", pole->real(), std::abs(pole->imag()), 0};
    if (std::abs(out.abscissa) <= linearisation.rounding()) out.abscissa = 0;
    const std::vector<double> errors = inversion_errors(problem, found.x);
    for (const std::size_t c : chosen_)
      if (std::isfinite(errors[c])) out.error = std::max(out.error, errors[c]);
    return out;
  }

  // All but the margin and the settling time.
  TunedPoint at_rest(const models::Gains& gains) const {
    TunedPoint out;
    out.gains = gains;
    out.abscissa = -infinity;
    out.weakest = out.settling_time = nan;
    try {
      for (const system::Circuit& circuit : circuits_) {
        const Rest here = rest_of(gains, circuit);
        if (!here.why_not.empty()) return without(std::move(out), here.why_not);
        if (here.abscissa > out.abscissa) {
          out.abscissa = here.abscissa;
          out.frequency = here.frequency;
        }
        out.rest_error = std::max(out.rest_error, here.error);
      }
    } catch (const core::InputError& error) {
      return without(std::move(out), error.what());  // an algebraic loop, say
    }
    return out;
  }

  // max Re s with each parameter alone changed by the margin, and half the way there, of the worst trial.
  void add_weakest(TunedPoint& point) const {
    if (!point.why_not.empty()) return;
    point.weakest = point.abscissa;
    // Of a linear circuit the poles are the same for every trial.
    const std::size_t trials = system_.is_linear() ? 1 : circuits_.size();
    for (std::size_t k = 0; k < trials && point.weakest < 0; ++k)
      for (const Parameter p : all_parameters) {
        const double v = value(point.gains, p);
        if (v == 0 || !(spec_.margin > 1)) continue;
        for (const double power : {-1.0, -0.5, 0.5, 1.0}) {
          const Rest there =
              rest_of(with(point.gains, p, v * std::pow(spec_.margin, power)), circuits_[k]);
          point.weakest =
              there.why_not.empty() ? std::max(point.weakest, there.abscissa) : infinity;
          if (point.weakest >= 0) return;
        }
      }
  }

  static TunedPoint without(TunedPoint point, const std::string& why_not) {
    point.why_not = why_not;
    point.abscissa = point.frequency = point.rest_error = point.weakest = nan;
    return point;
  }

  double predicted_time(const TunedPoint& point) const {
    return point.abscissa < 0 ? std::log(spec_.band) / point.abscissa : infinity;
  }

  // 0 where a point keeps its bounds; else how far it is from them.
  double violation(const TunedPoint& point, bool with_error) const {
    if (!point.why_not.empty()) return 3 * penalty;
    if (point.abscissa >= 0) return penalty * (2 + std::tanh(point.abscissa * slowest_tau()));
    double out = 0;
    if (point.weakest >= 0) out += 1 + std::tanh(point.weakest * slowest_tau());
    if (with_error && point.rest_error > spec_.largest_error)
      out += std::log(point.rest_error / spec_.largest_error);
    return out;
  }

  double cost_of(const TunedPoint& point, double time, bool with_error) const {
    const double broken = violation(point, with_error);
    return broken > 0 ? penalty + broken : std::log(time);
  }
  double simulated_cost(const TunedPoint& point, bool with_error) const {
    const double time = std::isfinite(point.settling_time) ? point.settling_time : 1e30;
    return cost_of(point, time, with_error);
  }

  std::string what_is_violated(const TunedPoint& point) const {
    if (!point.why_not.empty()) return point.why_not;
    if (point.abscissa >= 0)
      return "no gains within the bounds were found with which the circuit is stable";
    if (point.rest_error > spec_.largest_error)
      return "no gains within the bounds were found with which the inversion error is at most " +
             core::brief(spec_.largest_error) + "; the least found is " +
             core::brief(point.rest_error);
    if (point.weakest >= 0)
      return "no gains within the bounds were found that keep the margin of " +
             core::brief(spec_.margin);
    return "with no gains within the bounds did the circuit settle within the run's duration";
  }

  double slowest_tau() const { return system_.tau().maxCoeff(); }

  // Runs every trial, and keeps the longest settling time of the chosen controllers' errors.
  void simulate(TunedPoint& point) const {
    if (!point.why_not.empty()) return;
    std::vector<double> times(circuits_.size(), nan);
    const models::Config changed = with_all(point.gains);
    tbb::parallel_for(std::size_t{0}, circuits_.size(),
                      [&](std::size_t k) { times[k] = simulated_time(changed, circuits_[k]); });
    const bool all =
        std::all_of(times.begin(), times.end(), [](double t) { return std::isfinite(t); });
    point.settling_time = all ? *std::max_element(times.begin(), times.end()) : nan;
  }

  double simulated_time(const models::Config& changed, const system::Circuit& circuit) const {
    const system::OdeSystem system(models::rebuilt(changed, circuit));
    solve::TrajectoryKeeper keeper(system);
    const solve::SolveSummary summary =
        solve::solve(system, system.initial_state(), solver_, keeper);
    AnalysisOptions options = options_;
    options.measures = {"response"};
    options.bands = {spec_.band};
    const auto phase = static_cast<std::size_t>(
        measured_phase(system.circuit(), options.phase, summary.phases.size()));
    const std::vector<core::Quantity> found =
        measure({changed, system, summary, keeper.trajectories(), options, phase});
    const core::Quantity& times = *find(found, "settling_time");
    double longest = nan;
    const auto& signals = times.axes[0].labels;
    for (std::size_t s = 0; s < signals.size(); ++s) {
      const bool wanted = std::any_of(chosen_.begin(), chosen_.end(), [&](std::size_t c) {
        return signals[s] == system.circuit().controllers[c].name + ".error";
      });
      if (!wanted) continue;
      const double t = times.values(static_cast<Index>(s) * times.axes[1].size, 0);
      if (std::isnan(t)) return nan;
      longest = std::isnan(longest) ? t : std::max(longest, t);
    }
    return longest;
  }

  // The smallest factor by which one parameter of one controller can change before stability is lost, of
  // the first trial; ∞ where none was found.
  double smallest_ratio(const models::Gains& gains) const {
    const models::Config changed = with_all(gains);
    const system::OdeSystem system(models::rebuilt(changed, circuits_.front()));
    const solve::RestProblem problem = rest_problem(system, solver_, options_);
    const solve::Equilibrium rest = solve::find_equilibrium(problem, system.initial_state().col(0));
    if (!rest.converged) return nan;
    double out = infinity;
    for (const std::size_t c : chosen_)
      for (const Parameter p : all_parameters)
        for (const bool upwards : {false, true}) {
          if (value(gains, p) == 0) continue;
          GainStudy study(changed, problem, rest.x, options_.dense_limit);
          const ParameterMargin margin = parameter_margin(study, c, gains, p, upwards);
          if (!std::isfinite(margin.at) || margin.at == 0) continue;
          const double ratio = margin.at / value(gains, p);
          out = std::min(out, std::max(ratio, 1 / ratio));
        }
    return out;
  }

  void did(double work) const {
    double now = done_.load();
    while (!done_.compare_exchange_weak(now, now + work)) {
    }
    if (!progress_(std::min(1.0, (now + work) / work_))) throw Stopped{};
  }

  const models::Config& config_;
  const system::OdeSystem& system_;
  const AnalysisOptions& options_;
  const TuneSpec& spec_;
  const std::function<bool(double)>& progress_;
  std::vector<std::size_t> chosen_;
  std::vector<Index> trials_;
  std::vector<system::Circuit> circuits_;  // of these trials
  std::array<Range, 4> ranges_;            // in the order of Parameter
  solve::SolverOptions solver_;
  double work_ = 1;
  mutable std::atomic<double> done_ = 0;
};

}  // namespace

void TuneSpec::fields(core::Fields& f) {
  const core::Bounds nonnegative{.low = 0};
  f.texts({"controllers", "", "that are tuned, all to the same gains; all unless given"},
          controllers);
  f.numbers({"leak", "1", "[low, high] of α; a number: it stays there"}, leak, nonnegative, true);
  f.numbers({"p", "1", "[low, high] of the proportional gain"}, p, nonnegative, true);
  f.numbers({"i", "1", "[low, high] of the integral gain"}, i, nonnegative, true);
  f.numbers({"d", "1", "[low, high] of the derivative gain"}, d, nonnegative, true);
  f.number({"largest_error", "1", "bound of the inversion error ‖Wφ(r) − y‖/‖y‖ at rest"},
           largest_error, core::positive());
  f.number(
      {"margin", "1", "factor by which each of them alone may change without loss of stability"},
      margin, {.low = 1});
  f.number({"band", "1", "of the settling time: share of the error's way to rest"}, band,
           {.low = 0, .high = 1, .low_open = true, .high_open = true});
  f.integer({"front", "1", "values of α of the Pareto front"}, front, 2, 1000);
  f.integer({"evaluations", "1", "of the poles, in the search"}, evaluations, 10, 1'000'000);
  f.integer({"runs", "1", "of the circuit, in the search"}, runs, 2, 1'000'000);
  f.integer({"trials", "1", "that are looked at, evenly chosen, at most"}, trials, 1, 100'000);
}

void TuneSpec::check(const core::Value& table, const system::Circuit& circuit) const {
  const std::vector<double>* bounds[] = {&leak, &p, &i, &d};
  for (const Parameter parameter : all_parameters) {
    const std::vector<double>& pair = *bounds[static_cast<std::size_t>(parameter)];
    const core::Value* value = table.find(name(parameter));
    if (value && (pair.size() > 2 || pair.back() < pair.front()))
      core::fail(*value, "tune." + std::string(name(parameter)), value->describe(),
                 "[low, high] with low <= high, or one number");
  }
  std::vector<std::string> names;
  for (const system::Controller& controller : circuit.controllers) names.push_back(controller.name);
  for (const std::string& wanted : controllers)
    if (std::find(names.begin(), names.end(), wanted) == names.end())
      core::fail(
          *table.find("controllers"), "tune.controllers", "\"" + wanted + "\"",
          "controllers of the circuit: " + core::join(names) + core::did_you_mean(wanted, names));
}

std::optional<Tuning> tune(const models::Config& config, const system::OdeSystem& system,
                           const AnalysisOptions& options, const TuneSpec& spec,
                           const std::function<bool(double)>& progress) {
  return Tuner(config, system, options, spec, progress).tune();
}

std::vector<core::Quantity> as_quantities(const Tuning& tuning, const TuneSpec& spec) {
  std::vector<core::Quantity> out;
  const core::QuantityAxis parameter =
      label_axis("parameter", "leak or gain of the tuned controllers", {"leak", "p", "i", "d"});
  const auto start = [&](const std::string& name, const std::string& units,
                         const std::string& long_name,
                         std::vector<core::QuantityAxis> axes = {}) -> core::Quantity& {
    core::Quantity& quantity = out.emplace_back(declare(name, units, long_name, std::move(axes)));
    quantity.values = MatrixXd::Constant(quantity.cells(), 1, nan);
    quantity.reasons.assign(at(quantity.cells()), "");
    return quantity;
  };
  const auto scalar = [&](const std::string& name, const std::string& units,
                          const std::string& long_name, double value, const std::string& why_not) {
    core::Quantity& quantity = start(name, units, long_name);
    if (std::isfinite(value))
      quantity.values(0, 0) = value;
    else
      quantity.reasons[0] = why_not;
  };
  core::Quantity& feasible = start("feasible", "1", "whether the tuned gains keep the bounds");
  feasible.meanings = {"no", "yes"};
  feasible.values(0, 0) = tuning.feasible;
  if (!tuning.feasible)
    out.emplace_back(declare("infeasible_text", "1", "what no gains could keep")).texts = {
        tuning.why_not};
  const std::string band = core::brief(100 * spec.band) + " %";
  const auto unsettled = [](const TunedPoint& point) {
    return point.why_not.empty() ? std::string("did not settle, or breaks a bound") : point.why_not;
  };
  scalar("error_bound", "1", "largest inversion error that was allowed", spec.largest_error, "");
  scalar("margin_bound", "1", "smallest factor on one parameter that had to leave it stable",
         spec.margin, "");
  for (const bool after : {false, true}) {
    const TunedPoint& point = after ? tuning.after : tuning.before;
    const std::string side = after ? "_after" : "_before",
                      of = after ? ", after tuning" : ", before tuning";
    core::Quantity& gains =
        start("gains" + side, "1", "leak and gains of the tuned controllers" + of, {parameter});
    for (const Parameter p : all_parameters)
      gains.values(static_cast<Index>(p), 0) = value(point.gains, p);
    scalar("settling_time" + side, "time",
           "time until the error stays within " + band + " of its way to rest" + of,
           point.settling_time, unsettled(point));
    scalar("inversion_error" + side, "1", "inversion error at rest, the worst" + of,
           point.rest_error, point.why_not);
    scalar("slowest_pole" + side, "1/time", "real part of the rightmost pole" + of, point.abscissa,
           point.why_not);
    scalar("slowest_pole_angular_frequency" + side, "1/time", "imaginary part of that pole" + of,
           point.frequency, point.why_not);
    scalar(
        "smallest_ratio" + side, "1", "smallest factor on one parameter that loses stability" + of,
        after ? tuning.ratio_after : tuning.ratio_before, "no change of one parameter alone does");
  }
  const auto n = static_cast<Index>(tuning.front.size());
  const core::QuantityAxis front = index_axis("front", "points of the Pareto front, by alpha", n);
  const auto column = [&](const std::string& name, const std::string& units,
                          const std::string& long_name, auto&& of) {
    core::Quantity& quantity = start("front_" + name, units, long_name, {front});
    for (Index k = 0; k < n; ++k) {
      const TunedPoint& point = tuning.front[at(k)];
      if (const double v = of(point); std::isfinite(v))
        quantity.values(k, 0) = v;
      else
        quantity.reasons[at(k)] = unsettled(point);
    }
  };
  for (const Parameter p : all_parameters)
    column(p == Parameter::leak ? "leak" : std::string("gains_") + name(p), "1",
           std::string(p == Parameter::leak ? "leak" : name(p)) +
               " of the soonest settled circuit at that leak",
           [&](const TunedPoint& point) { return value(point.gains, p); });
  column("settling_time", "time", "its settling time to " + band,
         [](const TunedPoint& point) { return point.settling_time; });
  column("inversion_error", "1", "its inversion error at rest",
         [](const TunedPoint& point) { return point.rest_error; });
  core::Quantity& dominated =
      start("front_dominated", "1",
            "whether another point of the front is both sooner and more exact", {front});
  dominated.meanings = {"no", "yes"};
  for (Index k = 0; k < n; ++k) dominated.values(k, 0) = tuning.dominated[at(k)];
  return out;
}

}  // namespace settle::analysis
