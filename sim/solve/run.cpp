#include "sim/solve/run.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace settle::solve {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double epsilon = std::numeric_limits<double>::epsilon();
// Rows of samples in a window: fixed, since the columns that have settled end a step where it ends.
constexpr std::int64_t window_rows = 16;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

bool integrates_reduction(const SolverOptions& options, const std::string& method) {
  return options.reduce && method != "exact" && method != "semi_implicit_euler";
}

Run::Run(const system::OdeSystem& system, const MatrixXd& x0, const SolverOptions& options,
         Observer& observer)
    : system_(system),
      options_(options),
      observer_(observer),
      sampling_(observer.sampling()),
      sees_steps_(sampling_.steps || observer.wants_states()),
      monitor_(system, options),
      watched_(system.make_workspace()),
      columns_(at(system.trials())) {
  t_limit_ = longest_duration(system.circuit(), options);
  choice_ = choose_method(system, options);
  method_ = methods().find(choice_.method)->make();
  fixed_ = method_->control() == Method::Control::fixed || !options.adaptive;
  dense_ = method_->has_dense_output();
  summary_.trials.resize(columns_.size());
  for (Index k = 0; k < system.trials(); ++k) {
    Column& column = columns_[at(k)];
    column.run = this;
    column.trial = k;
    column.x = x0.col(k);
    column.dxdt = VectorXd::Zero(x0.rows());
  }
}

// What is integrated from here on, where that is not the circuit itself.
void Run::reduce() {
  if (!integrates_reduction(options_, choice_.method)) return;
  MatrixXd start(system_.dimension(), system_.trials());
  for (const Column& column : columns_)
    if (column.gone)
      start.col(column.trial).setZero();
    else
      start.col(column.trial) = column.x;
  reduction_ = system::reduce(system_.circuit(), start);
  summary_.reductions = reduction_.steps;
  if (!reduction_.changed()) return;
  reduced_ = std::make_unique<const system::OdeSystem>(system::compile(reduction_.circuit));
  for (Column& column : columns_) {
    column.x = reduction_.start.col(column.trial);
    column.dxdt = VectorXd::Zero(column.x.size());
  }
}

std::size_t Run::present() const {
  return at(std::count_if(columns_.begin(), columns_.end(),
                          [](const Column& column) { return !column.gone; }));
}

bool Run::is_waiting() const {
  return is_halted() || std::none_of(columns_.begin(), columns_.end(),
                                     [](const Column& column) { return column.moves(); });
}

bool Run::all_settled() const {
  return std::all_of(columns_.begin(), columns_.end(),
                     [](const Column& column) { return column.gone || column.settled; });
}

double Run::latest() const {
  const bool none = present() == 0;
  double t = t_;
  for (const Column& column : columns_)
    if (none || !column.gone) t = std::max(t, column.t);
  return t;
}

double Run::wall_time(Clock::time_point now) const {
  return std::chrono::duration<double>(now - start_).count();
}

bool Run::has_shape_of(const Run& other) const {
  if (!system().has_shape_of(other.system()) || !reduced_ != !other.reduced_) return false;
  return !reduced_ || (system_.dimension() == other.system_.dimension() &&
                       reduction_.expands_as(other.reduction_));
}

bool Run::proceed() {
  for (;;) {
    if (is_halted() && stage_ != Stage::over) {
      // Whatever all trials have passed has been sampled.
      double earliest = infinity;
      for (const Column& column : columns_)
        if (!column.gone) earliest = std::min(earliest, column.t);
      emit_rows(earliest);
      t_ = latest();
      if (interrupted_)
        summary_.status = SolveSummary::Status::interrupted;
      else
        for (Column& column : columns_)
          if (!column.gone && !column.settled) fail(column, why_halted_);
      if (stage_ != Stage::phase) end_phase();
      stage_ = Stage::over;
      finish();
    }
    switch (stage_) {
      case Stage::over:
        return false;
      case Stage::phase:
        if (phase_ + 1 == static_cast<int>(system_.circuit().phases.size()) || present() == 0) {
          stage_ = Stage::over;
          finish();
          break;
        }
        begin_phase();
        stage_ = Stage::segment;
        break;
      case Stage::segment:
        if (phase_settled_ || present() == 0 || !(t_ < phase_end_)) {
          end_phase();
          stage_ = Stage::phase;
          break;
        }
        begin_segment();
        open_window();
        stage_ = Stage::window;
        if (!is_waiting()) return true;
        break;
      case Stage::window:
        if (present() == 0) {
          t_ = latest();
          emit_rows(t_);
          stage_ = Stage::segment;
        } else if (may_settle_ && all_settled()) {
          t_ = latest();
          stage_ = Stage::tail;
          if (fetch(t_)) return true;
        } else if (fetch(window_)) {
          return true;
        } else {
          emit_rows(window_);
          if (window_ < segment_.end) {
            open_window();
            return true;
          }
          t_ = segment_.end;
          stage_ = Stage::segment;
        }
        break;
      case Stage::tail:
        emit_rows(t_);
        phase_settled_ = true;
        stage_ = Stage::segment;
        break;
    }
  }
}

void Run::begin_phase() {
  ++phase_;
  const system::Phase& phase = system_.circuit().phases[at(phase_)];
  phase_end_ = t_ + longest_duration(phase, options_);
  phase_settled_ = false;
  summary_.phases.emplace_back();
  summary_.phases.back().name = phase.name;
  summary_.phases.back().start = summary_.phases.back().end = t_;
  const system::OdeSystem& own = this->system();
  const std::vector<int>& reset = own.circuit().phases[at(phase_)].reset;
  const MatrixXd initial = reset.empty() ? MatrixXd() : own.initial_state();
  monitor_.begin_phase(phase_, t_);
  for (Column& column : columns_) {
    column.settled = column.skips = false;
    column.control.step = 0;
    if (column.gone) continue;
    column.t = t_;
    for (const int i : reset) {
      const Index rows = own.circuit().nodes[at(i)].size, offset = own.offset(i);
      column.x.segment(offset, rows) = initial.col(column.trial).segment(offset, rows);
    }
    whole(column, column.x, column.seen);
    if (observer_.wants_states()) observer_.arrive(phase_, column.trial, t_, seen(column));
  }
}

// The circuit's state, or its rate of change, from that of what is integrated.
const VectorXd& Run::whole(const Column& column, const VectorXd& x, VectorXd& expanded) const {
  if (!reduced_) return x;
  expanded.resize(system_.dimension());
  reduction_.expand(x, expanded, {&column.trial, 1});
  return expanded;
}

void Run::begin_segment() {
  double stop = system_.next_breakpoint(t_);
  const bool last = stop >= phase_end_ || same_time(stop, phase_end_);
  if (last) stop = phase_end_;
  // Where a breakpoint of a source is still ahead, rest now says nothing about rest then.
  may_settle_ = last && ends_when_settled(system_.circuit().phases[at(phase_)], options_);
  segment_ = {phase_, t_, stop};
  watched_stands_ = false;
  if (!begun_) {
    begun_ = true;
    sample(t_, states());
  }
  for (Column& column : columns_) {
    if (column.gone) continue;
    column.segment = segment_;
    column.t = t_;
    column.part = 0;
    column.fresh = true;
    column.settled = column.stiff = false;
    column.limited = 0;
  }
  if (may_skip()) skip();
  const bool moves = std::any_of(columns_.begin(), columns_.end(), [](const Column& column) {
    return !column.gone && !column.skips;
  });
  if (!moves || integrates_) return;
  integrates_ = true;
  reduce();
}

// The next goals: the end of the segment, or of the next few rows of samples where trials have to be
// kept together.
void Run::open_window() {
  window_ = segment_.end;
  const bool gathers = columns_.size() > 1 && !sampling_.steps && std::isfinite(sampling_.interval);
  if (gathers) {
    const double full = due(rows_from_ + window_rows - 1);
    if (full < segment_.end && !same_time(full, segment_.end)) window_ = full;
  }
  for (Column& column : columns_) {
    if (column.gone) continue;
    column.goal = window_;
    column.lands = window_ == segment_.end;
    column.waits = column.t >= column.goal || (may_settle_ && column.settled);
  }
}

// Sends the columns that settled before `goal` there, those that nobody watches without moving them.
// Whether there are any that move.
bool Run::fetch(double goal) {
  bool any = false;
  for (Column& column : columns_) {
    if (column.gone || column.t >= goal) continue;
    if (column.skips || (column.settled && !is_watched())) {
      column.t = goal;
      continue;
    }
    column.goal = goal;
    column.lands = true;
    column.waits = false;
    any = true;
  }
  return any;
}

double Run::stop(Column& column) const {
  const double end = column.lands ? column.goal : column.segment.end;
  if (dense_ || sampling_.steps || !std::isfinite(sampling_.interval)) return end;
  while (due(column.next_sample) <= column.t || same_time(due(column.next_sample), column.t))
    ++column.next_sample;
  return std::min(end, due(column.next_sample));
}

// How many fixed steps a segment is divided into.
double Run::parts_of(const system::Segment& segment) const {
  return std::ceil((segment.end - segment.begin) / *options_.step * (1 - 1e-12));
}

double Run::next_part(Column& column) const {
  const system::Segment& segment = column.segment;
  const double length = segment.end - segment.begin, parts = parts_of(segment);
  ++column.part;
  return static_cast<double>(column.part) >= parts
             ? segment.end
             : segment.begin + length * (static_cast<double>(column.part) / parts);
}

bool Run::enter(Column& column) {
  whole(column, column.x, column.seen);
  const VectorXd& rates = whole(column, column.dxdt, column.seen_dxdt);
  if (leave(column, rates, "the rate of change of ", infinity)) return false;
  column.fresh = false;
  monitor_.observe(column.trial, column.t, seen(column), rates);
  if (column.control.step == 0) column.control.step = options_.initial_step.value_or(0);
  if (fixed_ && parts_of(column.segment) > 1e15) {
    fail(column, "a step of " + core::brief(*options_.step) + " divides the segment from t = " +
                     core::brief(column.segment.begin) + " into too many to count (solver.step)");
    return false;
  }
  return true;
}

bool Run::admits(Column& column, const VectorXd& candidate) {
  return !leave(column, whole(column, candidate, column.seen), "", options_.divergence_limit);
}

bool Run::leave(Column& column, const VectorXd& values, const std::string& what, double limit) {
  if (values.allFinite() && (limit == infinity || values.cwiseAbs().maxCoeff() <= limit))
    return false;
  Index row = 0;
  while (std::isfinite(values[row]) && std::abs(values[row]) <= limit) ++row;
  const auto [node, unit] = system_.unit_of(row);
  const std::string where =
      what + system_.circuit().nodes[at(node)].name + "[" + std::to_string(unit) + "]";
  const std::string when = " at t = " + core::brief(column.t);
  TrialResult& trial = summary_.trials[at(column.trial)];
  trial.outcome = Outcome::diverged;
  trial.deciding_phase = phase_;
  trial.reason = std::isfinite(values[row]) ? where + " passed the divergence limit of " +
                                                  core::brief(limit) + " after" + when.substr(3)
                                            : where + " left the numbers" + when;
  column.gone = true;
  return true;
}

void Run::fail(Column& column, const std::string& why) {
  TrialResult& trial = summary_.trials[at(column.trial)];
  trial.outcome = Outcome::failed;
  trial.deciding_phase = phase_;
  trial.reason = why;
  column.gone = true;
}

void Run::reject(Column& column, int times) {
  column.rejections += times;
  if (column.rejections > options_.max_rejections)
    fail(column, "the budget of " + std::to_string(options_.max_rejections) +
                     " rejected steps ran out at t = " + core::brief(column.t) +
                     " (solver.max_rejections)");
}

bool Run::is_seen(const Column& column) const {
  if (sees_steps_) return true;
  if (!std::isfinite(sampling_.interval)) return false;
  const double next = due(column.next_sample);
  return next <= column.t || same_time(next, column.t);
}

void Run::count_step(Column& column, double t_old) {
  ++column.steps;
  const double t = column.t;
  if (!(t - t_old > 16 * epsilon * std::abs(t))) return;  // a rest that rounding left
  column.smallest_step = std::min(column.smallest_step, t - t_old);
  column.largest_step = std::max(column.largest_step, t - t_old);
}

void Run::keep_budget(Column& column) {
  if (column.steps >= options_.max_steps)
    fail(column, "the budget of " + std::to_string(options_.max_steps) +
                     " steps ran out at t = " + core::brief(column.t) + " (solver.max_steps)");
  else if (column.evaluations > static_cast<double>(options_.max_evaluations))
    fail(column, "the budget of " + std::to_string(options_.max_evaluations) +
                     " evaluations ran out (solver.max_evaluations)");
}

void Run::passed(Column& column, double t, const SettlingMonitor::Residual& residual) {
  const double t_old = std::exchange(column.t, t);
  count_step(column, t_old);
  monitor_.observe(column.trial, t, residual);
  keep_budget(column);
}

// Whether the column goes on, after a step that has been observed.
void Run::conclude(Column& column) {
  if (!column.settled) {
    column.settled = may_settle_ && monitor_.is_settled(column.trial);
    column.waits = column.settled;
  }
  if (column.t >= column.goal) column.waits = true;
  keep_budget(column);
}

void Run::stepped(Column& column, double t_old, const SettlingMonitor::Residual& known,
                  const Between& between) {
  count_step(column, t_old);
  if (is_seen(column)) show(column, between);
  if (!column.settled) monitor_.observe(column.trial, column.t, known);
  conclude(column);
}

void Run::stepped(Column& column, double t_old, const Between& between) {
  whole(column, column.x, column.seen);
  whole(column, column.dxdt, column.seen_dxdt);
  const VectorXd& x = seen(column);
  Motion motion;
  measure_motion({x.size(), 1}, x.data(), seen_dxdt(column).data(), monitor_.taus().data(),
                 monitor_.direction(column.trial).data(), infinity, &motion);
  if (!stepped(column, t_old, motion, between)) turn(column, seen_dxdt(column));
}

bool Run::stepped(Column& column, double t_old, const Motion& motion, const Between& between) {
  count_step(column, t_old);
  if (is_seen(column)) show(column, between);
  if (!motion.moves_finitely &&
      leave(column, seen_dxdt(column), "the rate of change of ", infinity))
    return true;
  // What has settled keeps its outcome while it waits for the others.
  const bool goes_straight_on = column.settled || monitor_.observe(column.trial, column.t, motion);
  conclude(column);
  return goes_straight_on;
}

// To those who sample, or follow the column.
void Run::show(Column& column, const Between& between) {
  const double t = column.t;
  if (!sampling_.steps && std::isfinite(sampling_.interval)) {
    std::int64_t& k = column.next_sample;
    VectorXd x, expanded;
    while (due(k) <= t || same_time(due(k), t)) {
      const std::int64_t row = k++;
      if (due(row) >= t || same_time(due(row), t)) {
        put(row, t, column, seen(column));
      } else if (dense_) {
        x.resize(column.x.size());
        between(due(row), x);
        put(row, due(row), column, whole(column, x, expanded));
      } else {
        // A fixed step is not changed for the sake of those who watch.
        put(row, t, column, seen(column));
        while (due(k) <= t) ++k;
      }
    }
  }
  if (observer_.wants_states()) observer_.arrive(phase_, column.trial, t, seen(column));
}

void Run::tell(const std::string& how) {
  const std::lock_guard lock(watching_);
  if (!how.empty()) summary_.how = how;
}

void Run::watch(std::span<Column* const> own, Clock::time_point now) {
  // Nobody else watches the run where all columns are here.
  std::unique_lock lock(watching_, std::defer_lock);
  if (own.size() < columns_.size()) lock.lock();
  if (is_halted()) return;
  Progress progress{infinity, t_limit_, phase_, 0, 0, monitor_.tolerance()};
  bool together = true;
  const Column* first = nullptr;
  for (const Column* column : own) {
    progress.steps += column->steps;
    if (column->gone) continue;
    if (!first) first = column;
    together = together && column->t == first->t;
    progress.t = std::min(progress.t, column->t);
    if (!column->settled)
      progress.residual = std::max(progress.residual, monitor_.relative_residual(column->trial));
  }
  if (!first) return;
  if (sampling_.steps && together && first->steps > sampled_step_) {
    sampled_step_ = first->steps;
    if (sampled_step_ % sampling_.every == 0) sample(progress.t, states());
  }
  if (wall_time(now) > options_.max_wall_time) {
    why_halted_ = "the budget of " + core::brief(options_.max_wall_time) +
                  " s of wall time ran out at t = " + core::brief(progress.t) +
                  " (solver.max_wall_time)";
    halted_ = true;
  } else if (!observer_.step(progress)) {
    why_halted_ = "interrupted at t = " + core::brief(progress.t);
    interrupted_ = true;
    halted_ = true;
  }
}

void Run::put(std::int64_t k, double t, const Column& column, const VectorXd& x) {
  if (columns_.size() == 1) {
    rows_from_ = k + 1;
    sample(t, x);
    return;
  }
  const std::lock_guard lock(gathering_);
  while (k >= rows_from_ + static_cast<std::int64_t>(rows_.size()))
    rows_.push_back({due(rows_from_ + static_cast<std::int64_t>(rows_.size())), false,
                     MatrixXd::Constant(system_.dimension(), system_.trials(), nan)});
  Row& row = rows_[at(k - rows_from_)];
  row.time = t;
  row.is_sampled = true;
  row.x.col(column.trial) = x;
}

void Run::emit_rows(double until) {
  while (!rows_.empty() && (rows_.front().time <= until || same_time(rows_.front().time, until))) {
    if (rows_.front().is_sampled) sample(rows_.front().time, rows_.front().x);
    rows_.pop_front();
    ++rows_from_;
  }
}

void Run::sample(double t, const MatrixXd& x, bool again) {
  if (t == last_sample_ && !again) return;
  last_sample_ = t;
  if (!watched_stands_) system_.begin(segment_, watched_);
  watched_stands_ = true;
  observer_.sample(t, x, watched_);
}

// The states with NaN for trials that have left, or failed before others went on.
MatrixXd Run::states() const {
  MatrixXd x(system_.dimension(), system_.trials());
  VectorXd expanded;
  for (const Column& column : columns_) {
    const bool has_left =
        column.gone &&
        (summary_.trials[at(column.trial)].outcome == Outcome::diverged || column.t < t_);
    if (has_left)
      x.col(column.trial).setConstant(nan);
    else
      x.col(column.trial) = whole(column, column.x, expanded);
  }
  return x;
}

// The limit from the left, where a phase ends at a time that is not a multiple of the interval too.
void Run::end_phase() {
  const bool together = std::all_of(columns_.begin(), columns_.end(), [&](const Column& column) {
    return column.gone || column.t == t_;
  });
  PhaseResult& result = summary_.phases.back();
  result.end = t_;
  result.state = states();
  result.segment = segment_;
  // A phase that took no time has another state at its end than at its beginning.
  const bool skipped = std::any_of(columns_.begin(), columns_.end(), [](const Column& column) {
    return !column.gone && column.skips;
  });
  if (together) sample(t_, result.state, skipped && t_ == result.start);
  VectorXd expanded;
  for (const Column& column : columns_) {
    if (column.skips && !column.gone && observer_.wants_states())
      observer_.arrive(phase_, column.trial, t_, whole(column, column.x, expanded));
    TrialResult& trial = summary_.trials[at(column.trial)];
    std::pair<Outcome, std::string> outcome{trial.outcome, trial.reason};
    const bool has_left = column.gone && trial.outcome == Outcome::diverged;
    if (!column.gone)
      outcome = interrupted_ && !monitor_.is_settled(column.trial)
                    ? std::pair<Outcome, std::string>{Outcome::not_settled, "interrupted"}
                    : monitor_.classify(column.trial, segment_);
    const bool settled = outcome.first == Outcome::settled;
    result.outcomes.push_back(outcome.first);
    result.settled_at.push_back(settled ? monitor_.below_since(column.trial) : nan);
    result.histories.push_back(monitor_.history(column.trial));
    result.skipped.push_back(column.skips);
    trial.settled_at = result.settled_at.back();
    trial.skipped = column.skips;
    trial.residual = has_left ? nan : monitor_.relative_residual(column.trial);
    if (trial.deciding_phase >= 0 && trial.outcome != Outcome::settled) continue;
    trial.outcome = outcome.first;
    trial.reason = outcome.second;
    trial.deciding_phase = phase_;
  }
}

void Run::finish() {
  summary_.method = choice_.method;
  if (!choice_.reason.empty()) summary_.how = choice_.reason;
  const auto stiff = std::count_if(columns_.begin(), columns_.end(),
                                   [](const Column& column) { return column.was_stiff; });
  if (stiff > 0)
    summary_.how += "; " + choice_.when_stiff +
                    " took over where stability limited the steps, in " + std::to_string(stiff) +
                    " of " + std::to_string(columns_.size()) +
                    (columns_.size() == 1 ? " trial" : " trials");
  summary_.t_end = t_;
  summary_.smallest_step = infinity;
  double evaluations = 0, jacobians = 0;
  for (const Column& column : columns_) {
    summary_.steps += column.steps;
    summary_.rejections += column.rejections;
    evaluations += column.evaluations;
    jacobians += column.jacobians;
    summary_.smallest_step = std::min(summary_.smallest_step, column.smallest_step);
    summary_.largest_step = std::max(summary_.largest_step, column.largest_step);
    const TrialResult& trial = summary_.trials[at(column.trial)];
    if (trial.outcome == Outcome::failed && summary_.status == SolveSummary::Status::done) {
      summary_.status = SolveSummary::Status::failed;
      summary_.reason = trial.reason;
    }
  }
  if (interrupted_) summary_.reason = why_halted_;
  summary_.evaluations = std::llround(evaluations);
  summary_.jacobians = std::llround(jacobians);
  summary_.wall_time = wall_time();
  if (summary_.smallest_step == infinity) summary_.smallest_step = nan;
  summary_.final_state = states();
}

}  // namespace settle::solve
