// The one step loop: from a compiled system and an initial state to a trajectory and its outcome.
#pragma once

#include <string>
#include <vector>

#include "sim/solve/method.hpp"

namespace settle::solve {

enum class Outcome { settled, not_settled, oscillating, diverged, failed };
const char* name(Outcome outcome);
/// The outcomes' names in the order of their values.
const std::vector<std::string>& outcome_names();

/// At which times samples are taken. The beginning, the end of every phase and the end of the run
/// are always sampled. At a breakpoint a sample is the limit from the left.
struct Sampling {
  bool steps = false;      ///< at the solver's own steps; trials then share them
  std::int64_t every = 1;  ///< with `steps`: at every k-th
  double interval = 1.0;   ///< else: at its multiples
};

/// How far a run has come, for those who watch it.
struct Progress {
  double t = 0;  ///< that the trials have reached which have just moved: all, or those of a thread
  double t_limit = 0;  ///< the latest time at which the run can end
  int phase = 0;
  std::int64_t steps = 0;  ///< of these trials
  double residual = 0;     ///< largest relative residual of the trials not yet settled
  double tolerance = 0;    ///< below which they are
};

/// Watches a run; never changes the dynamics.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual Sampling sampling() const { return {}; }
  /// A sample: the state (n × trials; NaN for trials that have left), and a workspace whose segment
  /// the time belongs to, in which the values of instantaneous nodes may be evaluated.
  virtual void sample(double /*t*/, const system::ConstBlock& /*x*/, system::Workspace& /*w*/) {}
  /// Whether arrive() is to be called.
  virtual bool wants_states() const { return false; }
  /// The state (n) of a trial at the beginning of every phase, after its resets, and after every
  /// accepted step of its own. Different trials may arrive in different threads at once.
  virtual void arrive(int /*phase*/, Index /*trial*/, double /*t*/, const VectorXd& /*x*/) {}
  /// Whether the summary's histories are to be complete. Else "exact" leaves out what decides nothing.
  virtual bool wants_histories() const { return true; }
  /// After every round of accepted steps. Returns false to interrupt the run.
  virtual bool step(const Progress&) { return true; }
};

/// The residual ‖T ẋ‖∞ of one trial over time, its maximum in bins of equal width. Bounded in
/// memory: when the bins are full, neighbours are merged and the width doubled.
class ResidualHistory {
 public:
  static constexpr std::size_t capacity = 128;

  explicit ResidualHistory(double start = 0, double width = 1) : start_(start), width_(width) {}

  struct Bin {
    std::int64_t index = 0;  ///< it spans [start + index · width, start + (index + 1) · width)
    double value = 0;        ///< largest residual in it
    double time = 0;         ///< when that was
    double scale = 0;        ///< largest max(‖x‖∞, atol/rtol) in it
    int turns = 0;           ///< how often the direction of motion turned by more than 90° in it
  };
  void add(double t, double residual, double scale, bool turned);
  /// In the order of time; bins in which no step ended are left out.
  const std::vector<Bin>& bins() const { return bins_; }

 private:
  double start_;
  double width_;
  std::vector<Bin> bins_;
};

struct TrialResult {
  Outcome outcome = Outcome::not_settled;
  std::string reason;       ///< why, in words
  int deciding_phase = -1;  ///< the first phase that did not settle; the last one if all did
  /// When the residual fell below tolerance for good in the last phase; NaN if not, and where `skipped`.
  double settled_at = 0;
  double residual = 0;   ///< relative, at the end
  bool skipped = false;  ///< it was put to rest in the last phase (SolverOptions::shortcut)
};

struct PhaseResult {
  std::string name;
  double start = 0;
  double end = 0;
  std::vector<Outcome> outcomes;           ///< per trial
  std::vector<double> settled_at;          ///< per trial, NaN where not settled, or skipped
  std::vector<char> skipped;               ///< per trial: put to rest without the journey
  std::vector<ResidualHistory> histories;  ///< per trial; see Observer::wants_histories
  MatrixXd state;           ///< n × trials at the end; NaN for trials that have left
  system::Segment segment;  ///< the last one, to evaluate the circuit in
};

struct SolveSummary {
  enum class Status { done, failed, interrupted } status = Status::done;
  std::string reason;                   ///< of failed or interrupted
  std::vector<std::string> reductions;  ///< what was solved in place of the circuit, a line each
  /// What became of the shortcut that was asked for, a line for each phase where it could be taken.
  std::vector<std::string> shortcuts;
  std::string method;  ///< that ran, where "auto" was asked for too
  std::string how;  ///< in words, the way that it went, or why "auto" did not take "exact"; or ""
  double t_end = 0;
  std::int64_t steps = 0;  ///< of all trials together; so are the three below
  std::int64_t rejections = 0;
  std::int64_t evaluations = 0;  ///< of the right-hand side of one trial
  std::int64_t jacobians = 0;
  double wall_time = 0;  ///< in seconds
  double smallest_step = 0;
  double largest_step = 0;
  std::vector<TrialResult> trials;
  std::vector<PhaseResult> phases;  ///< those that began
  MatrixXd final_state;             ///< n × trials; NaN for trials that have left

  /// The gravest of the trials' outcomes.
  Outcome outcome() const;
};

/// Integrates from x0 (n × trials) through all phases.
///
/// Every accepted state is checked for finiteness and against divergence_limit; every breakpoint of
/// a source and every end of a phase ends a step exactly and restarts the method. Every trial has its
/// own steps, error control and outcome, and its bits do not depend on which others run beside it. A
/// phase that lasts until it has settled ends when its last trial has; until then the others go on, and
/// keep the outcome that they had when they settled. Where the observer has no use for anything between
/// the ends of phases (no interval, no steps, no states), they leave instead, and their state at the end
/// of the phase is that at which they were found settled. A trial whose solver fails ends alone.
///
/// With SolverOptions::shortcut a trial does not make the way through such a phase's last segment where
/// find_attraction() shows that every start ends in one state of rest, and find_equilibrium() finds that:
/// it is put there. If all are, the phase takes no time, whatever time it was given; else they are at rest
/// when the others have settled. In between their samples are NaN, and so is the time at which they
/// settled. It is not done where a source still changes, in this phase or a later one.
/// @throws InputError  where the options don't fit the system (an unknown node in settled.nodes …)
SolveSummary solve(const system::OdeSystem& system, const MatrixXd& x0,
                   const SolverOptions& options, Observer& observer);

/// A circuit to be solved: what solve() takes. What it refers to must outlive the solving.
struct Task {
  const system::OdeSystem& system;
  const MatrixXd& x0;
  const SolverOptions& options;
  Observer& observer;
};

/// Solves many circuits. Those of one shape (OdeSystem::has_shape_of) and with the same options are
/// integrated together, as the columns of one matrix: points of a study of leaks and gains. The bits of
/// each do not depend on which others there are, or on the number of threads; they may differ by rounding
/// from those of solve() of one. Observers are called from several threads, each from one at a time.
/// @throws InputError  as solve() does, for the first that it concerns
std::vector<SolveSummary> solve(const std::vector<Task>& tasks);

/// @throws InputError  where the options don't fit the system, as solve() does
void check(const system::OdeSystem& system, const SolverOptions& options);

/// How long a trial must stay below the tolerance: settled.dwell, or else five times the largest tau of
/// the states that count.
double settled_dwell(const system::OdeSystem& system, const SolverOptions& options);

/// How long a phase can last: its own duration, or else solver.duration.
double longest_duration(const system::Phase& phase, const SolverOptions& options);

/// Whether a phase ends when every trial has settled: where it says so, or where it has no duration
/// and [solver.settled] is given.
bool ends_when_settled(const system::Phase& phase, const SolverOptions& options);

/// The latest time at which a run can end: the sum of its phases' longest durations.
double longest_duration(const system::Circuit& circuit, const SolverOptions& options);

}  // namespace settle::solve
