#include "sim/solve/closed_form.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/solve/rest_search.hpp"

namespace settle::solve {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::size_t part_columns = 64;
constexpr Index samples_at_once = 32;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

ModeLimits limits_for(const SolverOptions& options) {
  // The error that an ill-conditioned basis makes is about 4 ε times its condition.
  const double most = std::min(0.1 * options.rtol, 1e-9);
  return {.condition = std::max(1e3, most / (4 * std::numeric_limits<double>::epsilon())),
          .most_states = std::numeric_limits<Index>::max(),
          .most_core = std::numeric_limits<Index>::max()};
}

}  // namespace

// --- Trials that one thread moves ------------------------------------------------------------------

struct ClosedForm::Part {
  ClosedForm& all;
  std::vector<Column*> columns{};
  // Per column, the times still to come that it leaps to, with what is known of them; none: it steps.
  std::vector<std::vector<RestSearch::Point>> leaps{};
  LinearFlow::Scratch scratch{}, scratch_of_samples{};
  std::vector<LinearFlow::Instant> instants{};
  MatrixXd x{}, rate{};
  VectorXd one{};
  SettlingMonitor::Weights weights{};  // of the phase
  std::vector<LinearFlow::Norms> norms{};
  std::vector<SettlingMonitor::Residual> found{};

  void evaluate() {
    const Index count = static_cast<Index>(instants.size());
    if (x.cols() < count) {
      x.resize(all.system_.dimension(), count);
      rate.resize(all.system_.dimension(), count);
    }
    all.flow_.evaluate(instants, x.leftCols(count), rate.leftCols(count), scratch);
  }

  // A column that may leap to the end of a segment which it has just entered, as far as is known.
  struct Leaper {
    std::size_t place;  // of the column, and of its end
    Decay decay;
    RestSearch::Point end;
    std::optional<RestSearch> search{};  // while it is at rest there
    bool may = true;
  };
  using Asked = std::vector<std::pair<Leaper*, LinearFlow::Approach>>;
  // x at the end of the segment.
  struct Ends {
    MatrixXd x;
    std::vector<Index> places;  // per column; −1: not known
  } ends{};

  // Chooses the times that are visited in a segment that the columns have just entered.
  void plan() {
    leaps.assign(columns.size(), {});
    ends.places.assign(columns.size(), -1);
    if (!all.run_.may_leap()) return;
    std::vector<Leaper> leapers;
    instants.clear();
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const Column& column = *columns[c];
      if (column.gone) continue;
      auto decay = all.flow_.decay(column.trial);
      if (!decay) continue;
      ends.places[c] = static_cast<Index>(instants.size());
      instants.push_back({column.trial, column.segment.end});
      leapers.push_back({.place = c, .decay = std::move(*decay)});
    }
    if (leapers.empty()) return;
    ends.x.resize(all.system_.dimension(), static_cast<Index>(instants.size()));
    all.flow_.evaluate(instants, ends.x, scratch);
    weights = all.run_.monitor().weights();
    see_ends(leapers);
    std::vector<Leaper*> slow;
    for (Leaper& leaper : leapers) begin(leaper, slow);
    see_slow(slow);
    search(leapers);
    for (const Leaper& leaper : leapers) {
      if (!leaper.may || (leaper.search && leaper.search->has_failed())) continue;
      std::vector<RestSearch::Point>& own = leaps[leaper.place];
      own = {leaper.end};
      if (!leaper.search || leaper.search->passage().empty()) continue;
      own.push_back(leaper.search->passage()[1]);
      // What was below at the beginning is seen above before it is seen below for good.
      const SettlingMonitor& monitor = all.run_.monitor();
      if (monitor.relative_residual(leaper.decay.trial) <= monitor.tolerance())
        own.push_back(leaper.search->passage()[0]);
    }
  }

  void see_ends(std::vector<Leaper>& leapers) {
    Asked asked;
    for (Leaper& leaper : leapers) {
      const Column& column = *columns[leaper.place];
      const double t = column.segment.end;
      const auto x_end = ends.x.col(ends.places[leaper.place]);
      leaper.end = {t, all.run_.monitor().residual(
                           (weights.of_state.array() * x_end.array().abs()).maxCoeff(), 0)};
      asked.emplace_back(
          &leaper, LinearFlow::Approach{&leaper.decay, t, 0, 1, leaper.decay.speed(t - column.t)});
    }
    measure(asked,
            [](Leaper& leaper, const auto& residuals) { leaper.end.residual = residuals.front(); });
  }

  void begin(Leaper& leaper, std::vector<Leaper*>& slow) {
    const SettlingMonitor& monitor = all.run_.monitor();
    const Column& column = *columns[leaper.place];
    // |x(t)| ≤ |x(end)| + |x(t) − x(∞)| + |x(end) − x(∞)|
    const double most =
        ends.x.col(ends.places[leaper.place]).cwiseAbs().maxCoeff() + 2 * leaper.decay.distance(0);
    leaper.may = most <= all.run_.options().divergence_limit;
    if (!leaper.may) return;
    if (leaper.end.residual.relative() <= monitor.tolerance())
      leaper.search.emplace(leaper.decay, column.t, monitor.relative_residual(column.trial),
                            leaper.end, monitor.tolerance(), slowest());
    else if (all.run_.ends_phase())
      slow.push_back(&leaper);  // how it moved decides the outcome
  }

  double slowest() const { return all.system_.tau().maxCoeff(); }

  // Residuals at times of leapers, by what is still alive then; the scale is that at the end unless it is
  // wanted. They are heard one leaper after another.
  template <class Hear>
  void measure(const Asked& asked, const Hear& hear) {
    if (asked.empty()) return;
    const SettlingMonitor& monitor = all.run_.monitor();
    std::vector<LinearFlow::Approach> approaches;
    for (const auto& [leaper, approach] : asked) approaches.push_back(approach);
    all.flow_.measure(approaches, weights.of_rate, weights.of_state, norms, scratch);
    auto norm = norms.begin();
    for (const auto& [leaper, approach] : asked) {
      found.clear();
      for (Index k = 0; k < approach.count; ++k, ++norm) {
        found.push_back(monitor.residual(norm->state, norm->rate));
        if (!approach.end) found.back().scale = leaper->end.residual.scale;
      }
      hear(*leaper, found);
    }
  }

  void search(std::vector<Leaper>& leapers) {
    Asked asked;
    do {
      asked.clear();
      for (Leaper& leaper : leapers) {
        if (!leaper.search) continue;
        const RestSearch::Request& request = leaper.search->ask();
        if (request.count == 0) continue;
        const auto end = ends.x.col(ends.places[leaper.place]);
        asked.emplace_back(
            &leaper, LinearFlow::Approach{&leaper.decay, request.t, request.step, request.count,
                                          leaper.search->limit(),
                                          request.with_scale ? end.data() : nullptr, leaper.end.t});
      }
      measure(asked, [](Leaper& leaper, const auto& residuals) { leaper.search->hear(residuals); });
    } while (!asked.empty());
  }

  // Of those that still move at the end: they leap where all that is alive in the last half decays without
  // swinging, and the residual falls from each sixteenth of the segment to the next.
  void see_slow(const std::vector<Leaper*>& slow) {
    Asked asked;
    for (Leaper* leaper : slow) {
      const Column& column = *columns[leaper->place];
      const double length = leaper->end.t - column.t, sixteenth = length / 16;
      leaper->may = !leaper->decay.swings(length / 2);
      if (!leaper->may) continue;
      double taus[9];
      for (int k = 0; k <= 8; ++k) taus[k] = length / 2 + k * sixteenth;
      if (leaper->decay.falls(taus, leaper->end.residual.value / slowest())) continue;
      asked.emplace_back(leaper, LinearFlow::Approach{&leaper->decay, leaper->end.t - sixteenth,
                                                      sixteenth, 8, leaper->decay.speed(length)});
    }
    measure(asked, [](Leaper& leaper, const auto& residuals) {
      double after = leaper.end.residual.value;
      for (const SettlingMonitor::Residual& now : residuals) {
        leaper.may = leaper.may && after < 0.99 * now.value;
        after = now.value;
      }
    });
  }

  // The end of a column's next step.
  double next(std::size_t c) {
    Column& column = *columns[c];
    const double stop = all.run_.stop(column);
    if (!leaps[c].empty())
      return std::min({leaps[c].back().t, stop, column.lands ? stop : column.goal});
    const double elapsed = column.t - column.segment.begin, h = stop - column.t;
    double step = std::min({all.flow_.step_after(elapsed), all.longest_,
                            std::max(all.longest_to_rest_, elapsed / 32),
                            all.run_.options().max_step.value_or(infinity)});
    if (2 * step > h) step = step >= h ? h : h / 2;
    return step >= h * (1 - 1e-12) ? stop : column.t + step;
  }

  // Over the times before the column's goal at which only its residual counts, and to the end where the
  // goal is there. Whether it arrived.
  bool leap(std::size_t c) {
    Column& column = *columns[c];
    std::vector<RestSearch::Point>& own = leaps[c];
    while (!own.empty() && own.back().t <= column.t) own.pop_back();
    while (own.size() > 1 && own.back().t < column.goal && !column.gone) {
      all.run_.passed(column, own.back().t, own.back().residual);
      own.pop_back();
    }
    if (column.gone) return true;
    if (own.size() != 1 || column.goal < own.back().t) return false;
    arrive(column, own.back().t, ends.x.col(ends.places[c]), nullptr, &own.back().residual);
    own.clear();
    return true;
  }

  // Until all columns wait.
  void advance() {
    const bool together = all.run_.shares_steps();
    while (std::any_of(columns.begin(), columns.end(),
                       [](const Column* column) { return column->moves(); })) {
      instants.clear();
      std::vector<Column*> moving;
      for (std::size_t c = 0; c < columns.size(); ++c) {
        Column* const column = columns[c];
        if (together ? column->gone : !column->moves()) continue;
        if (leap(c)) continue;
        moving.push_back(column);
        instants.push_back({column->trial, next(c)});
      }
      if (!moving.empty()) evaluate();
      for (std::size_t k = 0; k < moving.size(); ++k) {
        const system::ConstBlock new_rate = rate.col(static_cast<Index>(k));
        arrive(*moving[k], instants[k].t, x.col(static_cast<Index>(k)), &new_rate, nullptr);
      }
      all.run_.watch(columns);
    }
  }

  // With ẋ, or what is known of it.
  void arrive(Column& column, double t_new, const system::ConstBlock& x_new,
              const system::ConstBlock* rate_new, const SettlingMonitor::Residual* known) {
    one = x_new;
    if (!all.run_.admits(column, one)) return;
    const double t_old = column.t;
    column.x.swap(one);
    if (rate_new) column.dxdt = *rate_new;
    column.t = t_new;
    // Samples are evaluated some at once.
    std::vector<LinearFlow::Instant> due;
    MatrixXd samples;
    std::size_t taken = 0;
    const auto between = [&](double t, VectorXd& state) {
      if (taken == due.size()) {
        due.assign(1, {column.trial, t});
        for (std::int64_t s = column.next_sample;
             all.run_.due(s) < t_new && static_cast<Index>(due.size()) < samples_at_once; ++s)
          due.push_back({column.trial, all.run_.due(s)});
        samples.resize(column.x.size(), static_cast<Index>(due.size()));
        all.flow_.evaluate(due, samples, scratch_of_samples);
        taken = 0;
      }
      state = samples.col(static_cast<Index>(taken++));
    };
    if (known)
      all.run_.stepped(column, t_old, *known, between);
    else
      all.run_.stepped(column, t_old, between);
  }
};

// --- The run ---------------------------------------------------------------------------------------

ClosedForm::ClosedForm(Run& run)
    : run_(run),
      system_(run.system()),
      workspace_(system_.make_workspace()),
      flow_(system_, limits_for(run.options())) {
  const std::size_t most = run.shares_steps() ? run.columns().size() : part_columns;
  for (Column& column : run.columns()) {
    if (parts_.empty() || parts_.back()->columns.size() == most)
      parts_.push_back(std::make_unique<Part>(*this));
    parts_.back()->columns.push_back(&column);
  }
}

ClosedForm::~ClosedForm() = default;

void ClosedForm::advance() {
  do {
    if (std::any_of(run_.columns().begin(), run_.columns().end(),
                    [](const Column& column) { return !column.gone && column.fresh; }))
      enter();
    if (parts_.size() == 1)
      parts_.front()->advance();
    else
      tbb::parallel_for(std::size_t{0}, parts_.size(),
                        [&](std::size_t k) { parts_[k]->advance(); });
    run_.tell(flow_.how());
  } while (run_.proceed());
}

// The columns stand at the beginning of a segment.
void ClosedForm::enter() {
  const Index n = system_.dimension();
  MatrixXd x = MatrixXd::Zero(n, system_.trials()), rate(n, system_.trials());
  const Column* first = nullptr;
  for (const Column& column : run_.columns()) {
    if (column.gone) continue;
    first = &column;
    x.col(column.trial) = column.x;
  }
  const system::Segment segment = first->segment;
  const std::string why_not = system::why_not_linear(system_, segment.phase);
  system_.begin(segment, workspace_);
  system_.derivative(segment.begin, x, rate, workspace_);
  for (Column& column : run_.columns()) {
    if (column.gone) continue;
    ++column.evaluations;
    column.dxdt = rate.col(column.trial);
    if (!run_.enter(column)) {
      x.col(column.trial).setZero();
      rate.col(column.trial).setZero();
      continue;
    }
    if (!why_not.empty())
      run_.fail(column, "\"exact\" solves circuits that are linear between breakpoints: " +
                            why_not + " (solver.method)");
  }
  if (!why_not.empty()) return;
  // Steps that the modes don't ask for: a 64th of the phase, and where rest ends it, a quarter of the
  // time for which rest must last, or a 32nd of what has passed.
  const SolverOptions& options = run_.options();
  const system::Phase& phase = system_.circuit().phases[at(segment.phase)];
  longest_ = longest_duration(phase, options) / 64;
  longest_to_rest_ =
      ends_when_settled(phase, options) ? settled_dwell(system_, options) / 4 : infinity;
  flow_.begin(segment, x, workspace_, &rate);
  if (parts_.size() == 1)
    parts_.front()->plan();
  else
    tbb::parallel_for(std::size_t{0}, parts_.size(), [&](std::size_t k) { parts_[k]->plan(); });
}

}  // namespace settle::solve
