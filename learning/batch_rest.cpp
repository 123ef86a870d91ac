#include "learning/batch_rest.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <limits>

#include "learning/multiplications.hpp"
#include "sim/solve/equilibrium.hpp"

namespace settle::learning {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

void RestSpec::fields(core::Fields& f) {
  f.number({"tolerance", "1", "‖T ẋ‖∞ over ‖x‖∞ below which a circuit is at rest"}, tolerance,
           core::between(1e-12, 0.1));
  f.number({"duration", "time", "in which a circuit must come to rest"}, duration,
           core::positive());
  f.choice(
      {"unsettled", "", "what becomes of an example that does not; one that diverges is skipped"},
      unsettled, {"skip", "use"});
  f.choice({"accuracy", "", "integrated until at rest, or the state of rest by Newton's method"},
           accuracy, {"dynamics", "rest"});
}

solve::SolverOptions RestSpec::solver() const {
  solve::SolverOptions options;
  options.rtol = std::min(options.rtol, tolerance / 10);
  options.atol = 1e-3 * options.rtol;
  options.duration = duration;
  options.settled.tolerance = tolerance;
  return options;
}

BatchRest::BatchRest(const RestSpec& spec, Index examples) : spec_(spec), examples_(at(examples)) {}

MatrixXd BatchRest::settle(const system::OdeSystem& system, const MatrixXd& start,
                           const std::string& name, solve::Observer* observer) {
  Unwatched nobody;
  if (spec_.accuracy == "rest") return search(system, start, name);
  return integrate(system, start, name, spec_.solver(), observer ? *observer : nobody).final_state;
}

solve::SolveSummary BatchRest::integrate(const system::OdeSystem& system, const MatrixXd& start,
                                         const std::string& name,
                                         const solve::SolverOptions& options,
                                         solve::Observer& observer) {
  solve::SolveSummary summary = solve::solve(system, start, options, observer);
  std::vector<double> times(examples_.size());
  for (std::size_t k = 0; k < summary.trials.size(); ++k) {
    const std::size_t of = k % examples_.size();
    const solve::TrialResult& trial = summary.trials[k];
    if (trial.outcome != solve::Outcome::settled) {
      if (examples_[of].failure.empty()) examples_[of].failure = name + ": " + trial.reason;
    } else if (!trial.skipped) {
      times[of] = std::max(times[of], trial.settled_at);
    }
  }
  for (std::size_t k = 0; k < examples_.size(); ++k) examples_[k].time += times[k];
  count(static_cast<double>(summary.evaluations), system);
  mend(summary.final_state, start);
  return summary;
}

void BatchRest::mend(MatrixXd& states, const MatrixXd& start) {
  for (Index k = 0; k < states.cols(); ++k) {
    if (states.col(k).allFinite()) continue;
    examples_[at(k) % examples_.size()].is_finite = false;
    states.col(k) = start.col(k);
  }
}

void BatchRest::count(double evaluations, const system::OdeSystem& system) {
  evaluations_ += evaluations;
  multiplications_ += evaluations * static_cast<double>(system.parameters());
}

MatrixXd BatchRest::search(const system::OdeSystem& system, const MatrixXd& start,
                           const std::string& name) {
  MatrixXd states(start.rows(), start.cols());
  std::vector<int> iterations(examples_.size());
  const system::Segment segment{.phase = 0, .begin = 0, .end = infinity};
  tbb::parallel_for(std::size_t{0}, examples_.size(), [&](std::size_t k) {
    const Index column = static_cast<Index>(k);
    const solve::Equilibrium found =
        solve::find_equilibrium({system, segment, 0, column}, start.col(column));
    states.col(column) = found.x;
    iterations[k] = found.iterations;
    Example& example = examples_[k];
    if (!found.converged && example.failure.empty()) example.failure = name + ": " + found.reason;
  });
  double evaluations = 0;
  for (const int n : iterations) {
    evaluations += n + 1;
    multiplications_ += n * elimination(system.dimension(), 1);
  }
  count(evaluations, system);
  mend(states, start);
  return states;
}

bool BatchRest::counts(Index example) const {
  const Example& own = examples_[at(example)];
  return own.is_finite && (own.failure.empty() || spec_.unsettled == "use");
}

void BatchRest::blank(MatrixXd& m, double value) const {
  const Index batch = static_cast<Index>(examples_.size());
  for (Index c = 0; c < m.cols(); ++c)
    if (!counts(c % batch)) m.col(c).setConstant(value);
}

void BatchRest::report(std::uint64_t first, Settling& tally) const {
  tally.examples += static_cast<std::int64_t>(examples_.size());
  tally.evaluations += evaluations_;
  tally.multiplications += multiplications_;
  for (std::size_t k = 0; k < examples_.size(); ++k) {
    const Example& example = examples_[k];
    if (example.failure.empty()) {
      tally.time += example.time;
      continue;
    }
    ++tally.unsettled;
    if (tally.first_failure.empty())
      tally.first_failure = "example " + std::to_string(first + k) + ", " + example.failure;
  }
}

}  // namespace settle::learning
