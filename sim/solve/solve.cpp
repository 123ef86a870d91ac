#include <tbb/parallel_for.h>

#include <algorithm>
#include <numeric>

#include "sim/solve/batch.hpp"
#include "sim/solve/convoy.hpp"

namespace settle::solve {
namespace {

// Columns that one thread moves together. Fixed, so that nothing depends on the number of threads.
constexpr std::size_t batch_columns = 64;

// Moves all parts of a run, each in a thread, from one set of goals to the next.
template <class Part>
void advance(Run& run, std::vector<std::unique_ptr<Part>>& parts) {
  if (parts.size() == 1) return parts.front()->advance(true);
  while (run.proceed())
    tbb::parallel_for(std::size_t{0}, parts.size(),
                      [&](std::size_t k) { parts[k]->advance(false); });
}

template <class Part>
std::vector<std::unique_ptr<Part>> divided(Run& run, std::size_t most) {
  std::vector<std::unique_ptr<Part>> parts;
  std::vector<Column*> own;
  for (Column& column : run.columns()) {
    own.push_back(&column);
    if (own.size() < most && &column != &run.columns().back()) continue;
    parts.push_back(std::make_unique<Part>(std::move(own)));
    own.clear();
  }
  return parts;
}

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
  Run run(system, x0, options, observer);
  constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  if (run.method().formula()) {
    auto batches = divided<Batch>(run, run.shares_steps() ? all : batch_columns);
    advance(run, batches);
  } else {
    const bool together = run.shares_steps() || run.method().moves_trials_together();
    auto convoys = divided<Convoy>(run, together ? all : 1);
    advance(run, convoys);
  }
  return run.take_summary();
}

}  // namespace settle::solve
