#include <tbb/parallel_for.h>

#include <algorithm>
#include <mutex>
#include <numeric>

#include "sim/solve/batch.hpp"
#include "sim/solve/closed_form.hpp"
#include "sim/solve/convoy.hpp"

namespace settle::solve {
namespace {

// Columns that one thread moves together. Fixed, so that nothing depends on the number of threads.
constexpr std::size_t batch_columns = 64;

// Moves all parts of a run, each in a thread, from one set of goals to the next.
template <class Part>
void advance(Run& run, std::vector<std::unique_ptr<Part>>& parts) {
  if (parts.size() == 1) return parts.front()->advance(true);
  do
    tbb::parallel_for(std::size_t{0}, parts.size(),
                      [&](std::size_t k) { parts[k]->advance(false); });
  while (run.proceed());
}

// `make` makes a part from its columns, at most so many.
template <class Make>
auto divided(Run& run, std::size_t most, const Make& make) {
  std::vector<decltype(make(std::vector<Column*>{}))> parts;
  std::vector<Column*> own;
  for (Column& column : run.columns()) {
    own.push_back(&column);
    if (own.size() < most && &column != &run.columns().back()) continue;
    parts.push_back(make(std::move(own)));
    own.clear();
  }
  return parts;
}

// Takes a run to its end whose first goals are set.
void solve_alone(Run& run) {
  constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  if (run.method().formula()) {
    auto batches = divided(run, run.shares_steps() ? all : batch_columns, [](auto columns) {
      return std::make_unique<Batch>(std::move(columns));
    });
    advance(run, batches);
  } else if (run.method().is_solution()) {
    ClosedForm(run).advance();
  } else {
    auto convoys = divided(run, run.shares_steps() ? all : 1, [&run](auto columns) {
      return std::make_unique<Convoy>(std::move(columns), run.method_name());
    });
    advance(run, convoys);
  }
}

// Runs of one shape, taken one after another by the batches of several threads.
class Queue {
 public:
  explicit Queue(std::vector<std::unique_ptr<Run>> runs) : runs_(std::move(runs)) {}

  /// The columns of as many further runs as fit into `room`.
  std::vector<Column*> take(std::size_t room) {
    const std::lock_guard lock(mutex_);
    std::vector<Column*> columns;
    for (; next_ < runs_.size() && columns.size() + runs_[next_]->columns().size() <= room; ++next_)
      for (Column& column : runs_[next_]->columns()) columns.push_back(&column);
    return columns;
  }

  void run() {
    std::size_t columns = 0;
    for (const auto& run : runs_) columns += run->columns().size();
    const std::size_t batches = (columns + batch_columns - 1) / batch_columns;
    tbb::parallel_for(std::size_t{0}, batches, [this](std::size_t) {
      for (;;) {
        std::vector<Column*> first = take(batch_columns);
        if (first.empty()) return;
        Batch(std::move(first), [this](std::size_t room) { return take(room); }).advance(true);
      }
    });
  }

 private:
  std::vector<std::unique_ptr<Run>> runs_;
  std::size_t next_ = 0;
  std::mutex mutex_;
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
  Run run(system, x0, options, observer);
  if (run.proceed()) solve_alone(run);
  return run.take_summary();
}

std::vector<SolveSummary> solve(const std::vector<Task>& tasks) {
  std::vector<std::unique_ptr<Run>> all(tasks.size());
  std::vector<char> goes_on(tasks.size());
  tbb::parallel_for(std::size_t{0}, tasks.size(), [&](std::size_t k) {
    const Task& task = tasks[k];
    all[k] = std::make_unique<Run>(task.system, task.x0, task.options, task.observer);
    goes_on[k] = all[k]->proceed();
  });
  std::vector<Run*> runs;
  std::vector<std::unique_ptr<Run>> over, alone;
  std::vector<std::vector<std::unique_ptr<Run>>> groups;
  for (std::size_t k = 0; k < all.size(); ++k) {
    std::unique_ptr<Run> run = std::move(all[k]);
    runs.push_back(run.get());
    if (!goes_on[k]) {
      over.push_back(std::move(run));
      continue;
    }
    if (!run->method().formula() || run->shares_steps() || run->columns().size() > batch_columns) {
      alone.push_back(std::move(run));
      continue;
    }
    const auto like = std::find_if(groups.begin(), groups.end(), [&](const auto& group) {
      return group.front()->options() == run->options() && group.front()->has_shape_of(*run);
    });
    if (like == groups.end())
      groups.emplace_back().push_back(std::move(run));
    else
      like->push_back(std::move(run));
  }
  std::vector<std::unique_ptr<Queue>> queues;
  for (auto& group : groups) queues.push_back(std::make_unique<Queue>(std::move(group)));
  tbb::parallel_for(std::size_t{0}, alone.size() + queues.size(), [&](std::size_t k) {
    if (k < alone.size())
      solve_alone(*alone[k]);
    else
      queues[k - alone.size()]->run();
  });
  std::vector<SolveSummary> out;
  for (Run* run : runs) out.push_back(run->take_summary());
  return out;
}

}  // namespace settle::solve
