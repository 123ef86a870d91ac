#include "sim/solve/closed_form.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <limits>

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

// The way to the last time at which a trial's residual passes the tolerance: backwards from a time since
// which it is below (a block of times at once), then within a bracket.
struct Search {
  static constexpr int block = 8, probes = 4, most_blocks = 100;

  std::size_t place;  // of the column
  Index trial;
  LinearFlow::Decay decay;
  double begin, end;
  double at_begin;                    // relative residual over tolerance, as those below
  double limit = 0;                   // of the speed, below which the residual is below tolerance
  double lower = 0, upper = 0;        // above tolerance at lower, below from upper on
  double at_lower = 0, at_upper = 0;  // relative residuals over tolerance
  double at_end = 0;                  // the residual itself
  int blocks = 0, probed = -1;        // −1: no bracket yet
  bool over = false, given_up = false;
  std::vector<double> times;  // that are asked for

  void ask() {
    times.clear();
    if (probed < 0) {
      const double step = decay.resolution(upper - begin, limit);
      // At first the proven time itself, whose residual is not known.
      for (int k = blocks == 0 ? 0 : 1; k <= block && upper - k * step > begin; ++k)
        times.push_back(upper - k * step);
      if (++blocks > most_blocks) {
        over = given_up = true;
        times.clear();
      }
      if (over || !times.empty()) return;
      // Nothing is left between the beginning and what is below.
      if (!(at_begin > 1)) {
        over = true;
        return;
      }
      bracket(begin, at_begin);
    }
    // Where the logarithm of the residual, if it were straight, would pass; first a bit behind it,
    // then a bit before.
    const double width = upper - lower;
    const double straight = std::log(at_lower) / (std::log(at_lower) - std::log(at_upper));
    const double share = straight + (probed % 2 == 0 ? 0.02 : -0.02);
    times.push_back(lower + width * std::clamp(share, 0.01, 0.99));
  }

  // The relative residuals over tolerance at the times that were asked for.
  void hear(const std::vector<double>& found) {
    for (std::size_t k = 0; k < found.size(); ++k) {
      if (found[k] > 1) {
        bracket(times[k], found[k]);
        break;
      }
      upper = times[k];
      at_upper = std::max(found[k], 1e-300);
    }
    times.clear();
    if (probed < 0) return;
    given_up = !(lower < upper);  // the bound and the residual differ by rounding
    over = given_up || probed++ == probes;
  }

  void bracket(double t, double ratio) {
    lower = t;
    at_lower = ratio;
    probed = std::max(probed, 0);
  }
};

}  // namespace

// --- Trials that one thread moves ------------------------------------------------------------------

struct ClosedForm::Part {
  ClosedForm& all;
  std::vector<Column*> columns{};
  std::vector<std::vector<double>> visits{};  // per column, times still to come; empty: it steps
  LinearFlow::Scratch scratch{}, scratch_of_samples{};
  std::vector<LinearFlow::Instant> instants{};
  MatrixXd x{}, rate{};
  VectorXd one{}, one_rate{};

  void evaluate() {
    const Index count = static_cast<Index>(instants.size());
    if (x.cols() < count) {
      x.resize(all.system_.dimension(), count);
      rate.resize(all.system_.dimension(), count);
    }
    all.flow_.evaluate(instants, x.leftCols(count), rate.leftCols(count), scratch);
  }
  SettlingMonitor::Residual residual(Index k) {
    one = x.col(k);
    one_rate = rate.col(k);
    return all.run_.monitor().residual(one, one_rate);
  }

  // Chooses the times that are visited in a segment that the columns have just entered.
  void plan() {
    visits.assign(columns.size(), {});
    if (!all.run_.may_leap()) return;
    const double tolerance = all.run_.monitor().tolerance();
    std::vector<Search> searches;
    instants.clear();
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const Column& column = *columns[c];
      if (column.gone) continue;
      auto decay = all.flow_.decay(column.trial);
      if (!decay) continue;
      searches.push_back({c, column.trial, std::move(*decay), column.t, column.segment.end,
                          all.run_.monitor().relative_residual(column.trial) / tolerance});
      instants.push_back({column.trial, column.segment.end});
    }
    if (searches.empty()) return;
    evaluate();
    std::vector<Search*> slow;
    const double slowest = all.system_.tau().maxCoeff();
    for (std::size_t k = 0; k < searches.size(); ++k) {
      Search& search = searches[k];
      const Index own = static_cast<Index>(k);
      const SettlingMonitor::Residual found = residual(own);
      // |x(t)| ≤ |x(end)| + |x(t) − x(∞)| + |x(end) − x(∞)|
      const double most = x.col(own).cwiseAbs().maxCoeff() + 2 * search.decay.distance(0);
      if (!(most <= all.run_.options().divergence_limit)) search.over = search.given_up = true;
      if (!(found.relative() <= tolerance)) {
        // It is not at rest at the end. How it moved decides the outcome where the phase ends there.
        search.over = true;
        search.at_end = found.value;
        if (all.run_.ends_phase()) slow.push_back(&search);
      }
      if (search.over) continue;
      const double scale = 0.9 * found.scale;
      search.limit = tolerance * scale / slowest;
      double rest = search.decay.time_to_slow_to(search.limit);
      if (search.decay.rates.size() > 0)
        while (2 * search.decay.distance(rest) > 0.1 * found.scale)
          rest += 0.5 / search.decay.rates.minCoeff();
      search.upper = std::min(search.begin + rest, search.end);
      search.at_upper = std::max(found.relative() / tolerance, 1e-300);
    }
    see_slow(slow);
    for (;;) {
      instants.clear();
      for (Search& search : searches) {
        if (search.over) continue;
        search.ask();
        for (const double t : search.times) instants.push_back({search.trial, t});
      }
      if (instants.empty()) break;
      evaluate();
      Index k = 0;
      for (Search& search : searches) {
        if (search.over) continue;
        std::vector<double> found;
        for (std::size_t i = 0; i < search.times.size(); ++i)
          found.push_back(residual(k++).relative() / tolerance);
        search.hear(found);
      }
    }
    for (Search& search : searches) {
      if (search.given_up) continue;
      std::vector<double>& own = visits[search.place];
      own = {search.end};
      own.insert(own.end(), search.times.rbegin(), search.times.rend());
      if (search.probed < 0) continue;
      own.push_back(search.upper);
      // What was below at the beginning is seen above before it is seen below for good.
      if (search.at_begin <= 1) own.push_back(search.lower);
    }
  }

  // Of those that still move at the end: where all that is alive in the last half decays without
  // swinging, and the residual falls from each sixteenth of the segment to the next, these times show it.
  void see_slow(const std::vector<Search*>& slow) {
    instants.clear();
    for (Search* search : slow) {
      const double length = search->end - search->begin;
      search->given_up = search->given_up || search->decay.swings(length / 2);
      search->times.clear();
      for (int k = 8; k < 16; ++k) search->times.push_back(search->begin + length * k / 16);
      for (const double t : search->times) instants.push_back({search->trial, t});
    }
    if (instants.empty()) return;
    evaluate();
    Index k = 0;
    for (Search* search : slow) {
      double before = infinity;
      for (std::size_t i = 0; i < search->times.size(); ++i) {
        const double now = residual(k++).value;
        search->given_up = search->given_up || !(now < 0.99 * before);
        before = now;
      }
      search->given_up = search->given_up || !(search->at_end < 0.99 * before);
    }
  }

  // The end of a column's next step.
  double next(std::size_t c) {
    Column& column = *columns[c];
    std::vector<double>& own = visits[c];
    const double stop = all.run_.stop(column);
    while (!own.empty() && own.back() <= column.t) own.pop_back();
    if (!own.empty()) return std::min({own.back(), stop, column.lands ? stop : column.goal});
    const double elapsed = column.t - column.segment.begin, h = stop - column.t;
    double step = std::min({all.flow_.step_after(elapsed), all.longest_,
                            std::max(all.longest_to_rest_, elapsed / 32),
                            all.run_.options().max_step.value_or(infinity)});
    if (2 * step > h) step = step >= h ? h : h / 2;
    return step >= h * (1 - 1e-12) ? stop : column.t + step;
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
        moving.push_back(column);
        instants.push_back({column->trial, next(c)});
      }
      evaluate();
      for (std::size_t k = 0; k < moving.size(); ++k)
        arrive(*moving[k], instants[k].t, static_cast<Index>(k));
      all.run_.watch(columns);
    }
  }

  void arrive(Column& column, double t_new, Index k) {
    one = x.col(k);
    if (!all.run_.admits(column, one)) return;
    const double t_old = column.t;
    column.x = one;
    column.dxdt = rate.col(k);
    column.t = t_new;
    // Samples are evaluated some at once.
    std::vector<LinearFlow::Instant> due;
    MatrixXd samples;
    std::size_t taken = 0;
    all.run_.stepped(column, t_old, [&](double t, VectorXd& state) {
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
    });
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
  flow_.begin(segment, x, workspace_);
  tbb::parallel_for(std::size_t{0}, parts_.size(), [&](std::size_t k) { parts_[k]->plan(); });
}

}  // namespace settle::solve
