#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "sim/solve/settling.hpp"

namespace settle::solve {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double epsilon = std::numeric_limits<double>::epsilon();

// Step control for error pairs: a PI controller on the error over tolerance.
// Source: Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I, II.4 and (IV.2.43).
constexpr double safety = 0.9;
constexpr double most_growth = 5.0, most_cut = 0.2, cut_after_nan = 0.1;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// Two times that differ by rounding alone.
bool same_time(double a, double b) {
  return std::isfinite(a) && std::isfinite(b) &&
         std::abs(a - b) <= 1e-12 * std::max(std::abs(a), std::abs(b));
}

// The times k · interval at which samples are due.
class SampleClock {
 public:
  explicit SampleClock(const Sampling& sampling) : sampling_(sampling) {}
  double next() const {
    return sampling_.steps ? infinity : static_cast<double>(k_) * sampling_.interval;
  }
  void advance() { ++k_; }
  /// Whether the step of that number is to be sampled.
  bool step_is_due(std::int64_t step) const {
    return sampling_.steps && step % sampling_.every == 0;
  }

 private:
  Sampling sampling_;
  std::int64_t k_ = 1;
};

class StepLoop {
 public:
  StepLoop(const system::OdeSystem& system, const MatrixXd& x0, const SolverOptions& options,
           Observer& observer)
      : system_(system),
        options_(options),
        observer_(observer),
        problem_(system, options),
        monitor_(system, options),
        choice_(choose_method(system, options)),
        method_(methods().find(choice_.method)->make()),
        clock_(observer.sampling()),
        start_(std::chrono::steady_clock::now()),
        x_(Eigen::Map<const VectorXd>(x0.data(), x0.size())),
        dxdt_(VectorXd::Zero(x0.size())),
        seen_(x0.rows(), x0.cols()) {
    summary_.trials.resize(at(system.trials()));
    summary_.smallest_step = infinity;
    t_limit_ = longest_duration(system.circuit(), options);
  }

  SolveSummary run() {
    try {
      for (std::size_t p = 0; p < system_.circuit().phases.size() && present() > 0; ++p)
        run_phase(static_cast<int>(p));
    } catch (const StopIntegration& stop) {
      if (summary_.status == SolveSummary::Status::done)
        summary_.status = SolveSummary::Status::failed;
      summary_.reason = stop.what();
      if (in_phase_) end_phase();
    }
    finish();
    return std::move(summary_);
  }

 private:
  Index present() const {
    Index n = 0;
    for (Index k = 0; k < problem_.trials(); ++k) n += !problem_.has_left(k);
    return n;
  }

  double wall_time() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  void run_phase(int p) {
    const system::Phase& phase = system_.circuit().phases[at(p)];
    phase_ = p;
    in_phase_ = true;
    const double begin = t_, end = begin + longest_duration(phase, options_);
    const bool ends_early = ends_when_settled(phase, options_);
    summary_.phases.emplace_back();
    summary_.phases.back().name = phase.name;
    summary_.phases.back().start = summary_.phases.back().end = begin;
    reset_nodes(phase);
    monitor_.begin_phase(p, begin);
    if (observer_.wants_states()) observer_.arrive(p, begin, as_seen(x_));
    step_ = 0;
    while (t_ < end && present() > 0) {
      double stop = system_.next_breakpoint(t_);
      const bool last = stop >= end || same_time(stop, end);
      if (last) stop = end;
      run_segment({p, t_, stop}, ends_early && last);
      if (ends_early && last && all_settled()) break;
    }
    end_phase();
  }

  void reset_nodes(const system::Phase& phase) {
    if (phase.reset.empty()) return;
    const MatrixXd initial = system_.initial_state();
    const Index n = problem_.dimension();
    for (const int i : phase.reset) {
      const Index rows = system_.circuit().nodes[at(i)].size, offset = system_.offset(i);
      for (Index k = 0; k < problem_.trials(); ++k)
        if (!problem_.has_left(k))
          x_.segment(k * n + offset, rows) = initial.col(k).segment(offset, rows);
    }
  }

  // The limit from the left, where a phase ends at a time that is not a multiple of the interval
  // too.
  void end_phase() {
    in_phase_ = false;
    sample(t_, x_);
    PhaseResult& result = summary_.phases.back();
    result.end = t_;
    result.state = as_seen(x_);
    result.segment = problem_.segment();
    const bool failed = summary_.status == SolveSummary::Status::failed;
    const bool interrupted = summary_.status == SolveSummary::Status::interrupted;
    for (Index k = 0; k < problem_.trials(); ++k) {
      TrialResult& trial = summary_.trials[at(k)];
      std::pair<Outcome, std::string> outcome;
      if (problem_.has_left(k))
        outcome = {Outcome::diverged, trial.reason};
      else if (failed)
        outcome = {Outcome::failed, summary_.reason};
      else if (interrupted && !monitor_.is_settled(k))
        outcome = {Outcome::not_settled, "interrupted"};
      else
        outcome = monitor_.classify(k, result.segment);
      const bool settled = outcome.first == Outcome::settled;
      result.outcomes.push_back(outcome.first);
      result.settled_at.push_back(settled ? monitor_.below_since(k) : nan);
      const bool decided = trial.deciding_phase >= 0 && trial.outcome != Outcome::settled;
      if (decided && outcome.first != Outcome::failed && !problem_.has_left(k)) continue;
      trial.outcome = outcome.first;
      trial.reason = outcome.second;
      trial.deciding_phase = phase_;
    }
    for (Index k = 0; k < problem_.trials(); ++k) {
      TrialResult& trial = summary_.trials[at(k)];
      trial.settled_at = result.settled_at[at(k)];
      trial.residual = problem_.has_left(k) ? nan : monitor_.relative_residual(k);
      result.histories.push_back(monitor_.history(k));
    }
  }

  bool all_settled() const {
    for (Index k = 0; k < problem_.trials(); ++k)
      if (!problem_.has_left(k) && !monitor_.is_settled(k)) return false;
    return true;
  }

  // Integrates one stretch without breakpoints. With `may_settle` it ends when every trial has
  // settled; where a breakpoint of a source is still ahead, rest now says nothing about rest then.
  void run_segment(const system::Segment& segment, bool may_settle) {
    problem_.begin(segment);
    if (!begun_) {
      begun_ = true;
      sample(t_, x_);
    }
    enter(segment.begin);
    // What a fixed step divides; a trial that leaves does not change it.
    const auto parts =
        options_.step ? std::ceil((segment.end - segment.begin) / *options_.step * (1 - 1e-12)) : 0;
    if (parts > 1e15)
      throw_failure("a step of " + core::brief(*options_.step) + " divides the segment from t = " +
                    core::brief(segment.begin) + " into too many to count (solver.step)");
    std::int64_t part = 0;
    while (t_ < segment.end && present() > 0) {
      double t_new;
      if (method_->control() == Method::Control::fixed) {
        const double next = static_cast<double>(++part) / parts;
        t_new = part >= static_cast<std::int64_t>(parts)
                    ? segment.end
                    : segment.begin + (segment.end - segment.begin) * next;
        while (!attempt(t_new)) {
          if (present() == 0) return;
        }
      } else {
        t_new = adaptive_step(segment.end);
        if (present() == 0) return;
      }
      arrive(t_new, segment.end);
      if (may_settle && all_settled()) return;
    }
  }

  // Stands at (t, x) with a fresh ẋ, and starts the method there.
  void enter(double t) {
    for (;;) {
      problem_.derivative(t, x_, dxdt_);
      if (!leave_where_not_finite(dxdt_, "the rate of change of ")) break;
    }
    monitor_.observe(t, x_, dxdt_);
    if (present() == 0) return;
    if (step_ == 0) step_ = options_.initial_step.value_or(0);
    method_->restart(problem_, t, x_, dxdt_, step_);
    const bool fixed = method_->control() == Method::Control::fixed;
    if (!fixed && step_ == 0) {
      step_ = first_step(t);
      method_->restart(problem_, t, x_, dxdt_, step_);
    }
  }

  // A first step whose Euler error is about the tolerance. Source: Hairer, Nørsett & Wanner I,
  // II.4.
  double first_step(double t) {
    const VectorXd zero = VectorXd::Zero(x_.size());
    const double d0 = problem_.error_ratio(x_, x_, zero) * options_.rtol;
    const double d1 = problem_.error_ratio(dxdt_, x_, zero) * options_.rtol;
    const double room = problem_.segment().end - t;
    double h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
    h0 = std::min(h0, room);
    VectorXd rate(x_.size());
    problem_.derivative(t + h0, x_ + h0 * dxdt_, rate);
    const double d2 = problem_.error_ratio(rate - dxdt_, x_, zero) * options_.rtol / h0;
    const double steepest = std::max(d1, d2);
    const double h1 = !(steepest > 1e-15) ? std::max(1e-6, 1e-3 * h0)
                                          : std::pow(0.01 / steepest, 1.0 / (method_->order() + 1));
    return std::min({100 * h0, h1, room, options_.max_step.value_or(infinity)});
  }

  // One attempt at a step to t_new. False where a trial left, after which the method stands where
  // it stood.
  bool attempt(double t_new) {
    const Attempt result = method_->attempt(problem_, t_new - t_);
    if (!result.failure.empty()) throw_failure(result.failure);
    return !leave_from_candidate();
  }

  // Steps until one is accepted; returns the time that it reaches, at most `end`.
  double adaptive_step(double end) {
    const bool pair = method_->control() == Method::Control::error;
    const double longest = options_.max_step.value_or(infinity);
    bool rejected = false;
    for (;;) {
      const double stop = method_->has_dense_output() ? end : std::min(end, next_sample_after(t_));
      const double room = stop - t_;
      double h = std::min(pair ? step_ : infinity, longest);
      // Ends on the stop: neither a sliver is left over nor is the last step longer than wanted.
      const bool to_stop = h >= room * (1 - 1e-12) || room - h < 16 * epsilon * std::abs(stop);
      if (to_stop)
        h = room;
      else if (pair && 2 * h > room)
        h = 0.5 * room;
      const bool smallest = h <= 16 * epsilon * std::max(std::abs(t_), std::abs(stop)) && !to_stop;
      const Attempt result = method_->attempt(problem_, h);
      count_rejections(result.rejections);
      if (!pair) {
        if (leave_from_candidate()) {
          if (present() == 0) return t_;
          continue;
        }
        if (!result.failure.empty()) throw_failure(result.failure);
        return result.step >= room * (1 - 1e-12) ? stop : t_ + result.step;
      }
      if (!result.failure.empty()) throw_failure(result.failure);
      const double error = result.error;
      if (error <= 1) {
        if (leave_from_candidate()) {
          if (present() == 0) return t_;
          continue;
        }
        const double k = method_->error_exponent();
        const double now = std::max(error, 1e-10);
        double growth = safety * std::pow(now, -0.7 / k) * std::pow(last_error_, 0.4 / k);
        growth = std::min(rejected ? 1.0 : most_growth, std::max(most_cut, growth));
        last_error_ = std::max(now, 1e-4);
        // A step that was cut to end on a stop says nothing against the one that was planned.
        step_ = to_stop ? std::max(step_, h * growth) : h * growth;
        return to_stop ? stop : t_ + h;
      }
      rejected = true;
      count_rejections(1);
      if (smallest) {
        if (leave_from_candidate()) {
          if (present() == 0) return t_;
          step_ = first_step(t_);
          continue;
        }
        throw_failure("the step fell to " + core::brief(h) +
                      ", below what rounding allows, and its error is still " + core::brief(error) +
                      " times the tolerance: the equation is too stiff for \"" + choice_.method +
                      "\" or has a singularity near t = " + core::brief(t_));
      }
      step_ = h * (std::isnan(error)
                       ? cut_after_nan
                       : std::max(most_cut,
                                  safety * std::pow(error, -1.0 / method_->error_exponent())));
    }
  }

  // A step is accepted: samples within it, ẋ at its end, and all that watches.
  void arrive(double t_new, double segment_end) {
    const double t_old = t_;
    method_->accept(problem_, t_new, dxdt_);
    t_ = t_new;
    x_ = method_->candidate();
    ++summary_.steps;
    if (t_new - t_old > 16 * epsilon * std::abs(t_new)) {  // not a rest that rounding left
      summary_.smallest_step = std::min(summary_.smallest_step, t_new - t_old);
      summary_.largest_step = std::max(summary_.largest_step, t_new - t_old);
    }
    while (clock_.next() <= t_ || same_time(clock_.next(), t_)) {
      const double due = clock_.next();
      clock_.advance();
      if (due >= t_ || same_time(due, t_)) {
        sample(t_, x_);
      } else if (method_->has_dense_output()) {
        method_->interpolate(due, between_);
        sample(due, between_);
      } else {
        // A fixed step is not changed for the sake of those who watch.
        sample(t_, x_);
        while (clock_.next() <= t_) clock_.advance();
      }
    }
    if (clock_.step_is_due(summary_.steps)) sample(t_, x_);
    if (observer_.wants_states()) observer_.arrive(phase_, t_, as_seen(x_));
    if (leave_where_not_finite(dxdt_, "the rate of change of ") && present() > 0 &&
        t_ < segment_end) {
      problem_.derivative(t_, x_, dxdt_);
      method_->restart(problem_, t_, x_, dxdt_, step_);
    }
    monitor_.observe(t_, x_, dxdt_);
    spend();
    Progress progress{t_, t_limit_, phase_, summary_.steps, 0, monitor_.tolerance()};
    for (Index k = 0; k < problem_.trials(); ++k)
      if (!problem_.has_left(k) && !monitor_.is_settled(k))
        progress.residual = std::max(progress.residual, monitor_.relative_residual(k));
    if (!observer_.step(progress)) {
      summary_.status = SolveSummary::Status::interrupted;
      throw StopIntegration("interrupted at t = " + core::brief(t_));
    }
  }

  void spend() const {
    if (summary_.steps >= options_.max_steps)
      throw StopIntegration("the budget of " + std::to_string(options_.max_steps) +
                            " steps ran out at t = " + core::brief(t_) + " (solver.max_steps)");
    if (wall_time() > options_.max_wall_time)
      throw StopIntegration("the budget of " + core::brief(options_.max_wall_time) +
                            " s of wall time ran out at t = " + core::brief(t_) +
                            " (solver.max_wall_time)");
  }

  void count_rejections(int more) {
    summary_.rejections += more;
    if (summary_.rejections > options_.max_rejections)
      throw StopIntegration("the budget of " + std::to_string(options_.max_rejections) +
                            " rejected steps ran out at t = " + core::brief(t_) +
                            " (solver.max_rejections)");
  }

  [[noreturn]] void throw_failure(const std::string& why) const { throw StopIntegration(why); }

  double next_sample_after(double t) {
    while (clock_.next() <= t || same_time(clock_.next(), t)) clock_.advance();
    return clock_.next();
  }

  // Trials whose candidate is not finite or too large leave, and the method starts again without
  // them from where it stands. Whether any did.
  bool leave_from_candidate() {
    const bool any = leave(method_->candidate(), "");
    if (any && present() > 0) {
      problem_.derivative(t_, x_, dxdt_);
      method_->restart(problem_, t_, x_, dxdt_, step_);
    }
    return any;
  }

  bool leave_where_not_finite(const VectorXd& values, const char* what) {
    return leave(values, what, infinity);
  }

  bool leave(const VectorXd& values, const std::string& what) {
    return leave(values, what, options_.divergence_limit);
  }

  bool leave(const VectorXd& values, const std::string& what, double limit) {
    const Index n = problem_.dimension();
    bool any = false;
    for (Index k = 0; k < problem_.trials(); ++k) {
      if (problem_.has_left(k)) continue;
      const auto own = values.segment(k * n, n);
      if (own.allFinite() && (limit == infinity || own.cwiseAbs().maxCoeff() <= limit)) continue;
      Index row = 0;
      while (std::isfinite(own[row]) && std::abs(own[row]) <= limit) ++row;
      const auto [node, unit] = system_.unit_of(row);
      const std::string where =
          what + system_.circuit().nodes[at(node)].name + "[" + std::to_string(unit) + "]";
      const std::string when = " at t = " + core::brief(t_);
      summary_.trials[at(k)].reason = std::isfinite(own[row])
                                          ? where + " passed the divergence limit of " +
                                                core::brief(limit) + " after" + when.substr(3)
                                          : where + " left the numbers" + when;
      problem_.leave(k);
      x_.segment(k * n, n).setZero();
      any = true;
    }
    return any;
  }

  void sample(double t, const VectorXd& x) {
    if (t == last_sample_) return;
    last_sample_ = t;
    observer_.sample(t, as_seen(x), problem_.workspace());
  }

  // The state with NaN for trials that have left.
  const MatrixXd& as_seen(const VectorXd& x) {
    seen_ = Eigen::Map<const MatrixXd>(x.data(), problem_.dimension(), problem_.trials());
    for (Index k = 0; k < problem_.trials(); ++k)
      if (problem_.has_left(k)) seen_.col(k).setConstant(nan);
    return seen_;
  }

  void finish() {
    summary_.method = choice_.method;
    summary_.how = choice_.reason.empty() ? method_->how() : choice_.reason;
    summary_.t_end = t_;
    summary_.evaluations = std::llround(problem_.evaluations);
    summary_.jacobians = std::llround(problem_.jacobians);
    summary_.wall_time = wall_time();
    if (summary_.smallest_step == infinity) summary_.smallest_step = nan;
    summary_.final_state = as_seen(x_);
  }

  const system::OdeSystem& system_;
  const SolverOptions& options_;
  Observer& observer_;
  Problem problem_;
  SettlingMonitor monitor_;
  Choice choice_;
  std::unique_ptr<Method> method_;
  SampleClock clock_;
  std::chrono::steady_clock::time_point start_;
  SolveSummary summary_;
  VectorXd x_, dxdt_, between_;
  MatrixXd seen_;
  double t_ = 0, t_limit_ = 0;
  double step_ = 0;        // that an error pair tries next
  double last_error_ = 1;  // over tolerance, of the last accepted step
  double last_sample_ = nan;
  int phase_ = 0;
  bool begun_ = false, in_phase_ = false;
};

}  // namespace

Outcome SolveSummary::outcome() const {
  Outcome gravest = Outcome::settled;
  for (const TrialResult& trial : trials) gravest = std::max(gravest, trial.outcome);
  return gravest;
}

double longest_duration(const system::Phase& phase, const SolverOptions& options) {
  return phase.duration.value_or(options.duration);
}

bool ends_when_settled(const system::Phase& phase, const SolverOptions& options) {
  return phase.until_settled || (!phase.duration && options.ends_when_settled);
}

double longest_duration(const system::Circuit& circuit, const SolverOptions& options) {
  return std::accumulate(circuit.phases.begin(), circuit.phases.end(), 0.0,
                         [&](double sum, const system::Phase& phase) {
                           return sum + longest_duration(phase, options);
                         });
}

SolveSummary solve(const system::OdeSystem& system, const MatrixXd& x0,
                   const SolverOptions& options, Observer& observer) {
  return StepLoop(system, x0, options, observer).run();
}

}  // namespace settle::solve
