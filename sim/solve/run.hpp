// One circuit's way through its phases: what the columns that move it are asked for, and what becomes
// of where they arrive.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <mutex>
#include <span>

#include "sim/solve/settling.hpp"
#include "sim/solve/step_control.hpp"
#include "sim/system/reduction.hpp"

namespace settle::solve {

class Run;

/// Whether a circuit's exact reduction is integrated in its place: where the options ask for it, unless the
/// method is exact, which finds its narrow core by itself, or semi_implicit_euler, whose order of updates is
/// that of the circuit's own nodes.
bool integrates_reduction(const SolverOptions& options, const std::string& method);

/// A trial on its way through a segment.
struct Column {
  Run* run = nullptr;
  Index trial = 0;
  system::Segment segment;
  double t = 0;
  double goal = 0;       ///< it waits when it has come so far
  bool lands = true;     ///< a step ends on the goal; else the goal may be passed
  bool waits = true;     ///< for the run to set the next goal
  bool fresh = true;     ///< enters a segment: ẋ is not known
  bool gone = false;     ///< it left or failed
  bool settled = false;  ///< in this phase, which ends when all have
  StepControl control;
  std::int64_t part = 0;     ///< fixed steps made in the segment
  VectorXd x, dxdt;          ///< of the system that is integrated, at t
  VectorXd seen, seen_dxdt;  ///< of the circuit, where that is not the same
  std::int64_t steps = 0, rejections = 0, next_sample = 1;
  double evaluations = 0, jacobians = 0;
  double smallest_step = std::numeric_limits<double>::infinity(), largest_step = 0;

  bool moves() const;
};

/// The state (n) at a time within the step that a column has just made.
using Between = std::function<void(double t, VectorXd& x)>;

/// Takes a circuit through its phases and segments. It sets goals to its columns, which a Batch or a
/// Convoy moves; those tell it of every step. In the end it has the summary.
///
/// While a phase waits for its last trial to settle, the samples of all trials are gathered in windows
/// of a few rows: columns run ahead of each other by no more than a window. A column that has settled
/// stops there, and is fetched when it is known how far the others go.
class Run {
 public:
  Run(const system::OdeSystem& system, const MatrixXd& x0, const SolverOptions& options,
      Observer& observer);

  /// The system that is integrated: the circuit's own, or one with fewer states that gives the same
  /// trajectories (system/reduction.hpp).
  const system::OdeSystem& system() const { return reduced_ ? *reduced_ : system_; }
  const SolverOptions& options() const { return options_; }
  std::vector<Column>& columns() { return columns_; }
  /// Whether every step has one length, divided into the segment.
  bool is_fixed() const { return fixed_; }
  const Method& method() const { return *method_; }
  const std::string& method_name() const { return choice_.method; }
  /// Whether the trials must share their steps, because those are sampled.
  bool shares_steps() const { return sampling_.steps && columns_.size() > 1; }
  /// Whether steps that decide nothing may be left out in this segment: nobody looks at them, and its
  /// end is known and their length not limited.
  bool may_leap() const {
    return !sampling_.steps && !observer_.wants_states() && !observer_.wants_histories() &&
           !may_settle_ && !options_.max_step;
  }
  /// Whether the phase ends with this segment.
  bool ends_phase() const { return segment_.end == phase_end_; }
  const SettlingMonitor& monitor() const { return monitor_; }
  /// The time of the k-th sample.
  double due(std::int64_t k) const { return static_cast<double>(k) * sampling_.interval; }

  /// Sets the next goals, when all columns wait. False when the run is over.
  bool proceed();
  bool is_waiting() const;

  /// The time at which a column's next step ends at the latest.
  double stop(Column& column) const;
  /// The time at which a column's next fixed step ends.
  double next_part(Column& column) const;
  /// A column's ẋ at the beginning of a segment is known. False where it leaves.
  bool enter(Column& column);
  /// Whether a candidate for the column's next state is finite and within limits; else the column
  /// leaves.
  bool admits(Column& column, const VectorXd& candidate);
  /// A column has made a step and stands at its new t, x and ẋ; or at t and x, with what is to be known of
  /// ẋ, for one that leaps (may_leap).
  void stepped(Column& column, double t_old, const Between& between,
               const SettlingMonitor::Residual* known = nullptr);
  /// A column that leaps has passed a time at which nobody wants to know more of it than that.
  void passed(Column& column, double t, const SettlingMonitor::Residual& residual);
  void reject(Column& column, int times);
  void fail(Column& column, const std::string& why);
  /// In words, which way a method went.
  void tell(const std::string& how);
  /// After a round of steps of some of its columns: reports progress. Halts the run where the observer
  /// says so, or the wall time is up.
  void watch(std::span<Column* const> own);
  /// Whether the columns are to stop where they are.
  bool is_halted() const { return halted_.load(std::memory_order_relaxed); }

  SolveSummary take_summary() { return std::move(summary_); }

 private:
  enum class Stage { phase, segment, window, tail, over };
  struct Row {
    double time;
    bool is_sampled;
    MatrixXd x;
  };

  std::size_t present() const;
  bool all_settled() const;
  double latest() const;
  double parts_of(const system::Segment& segment) const;
  void begin_phase();
  void begin_segment();
  void open_window();
  bool fetch(double goal);
  const VectorXd& whole(const Column& column, const VectorXd& x, VectorXd& expanded) const;
  const VectorXd& seen(const Column& column) const { return reduced_ ? column.seen : column.x; }
  const VectorXd& seen_dxdt(const Column& column) const {
    return reduced_ ? column.seen_dxdt : column.dxdt;
  }
  void put(std::int64_t k, double t, const Column& column, const VectorXd& x);
  void emit_rows(double until);
  void sample(double t, const MatrixXd& x);
  MatrixXd states() const;
  void end_phase();
  void finish();
  void count_step(Column& column, double t_old);
  void keep_budget(Column& column);
  bool leave(Column& column, const VectorXd& values, const std::string& what, double limit);
  double wall_time() const;

  const system::OdeSystem& system_;
  const SolverOptions& options_;
  Observer& observer_;
  system::Reduction reduction_;
  std::unique_ptr<const system::OdeSystem> reduced_;
  Choice choice_;
  std::unique_ptr<Method> method_;
  bool fixed_ = false, dense_ = false;
  Sampling sampling_;
  SettlingMonitor monitor_;
  system::Workspace watched_;  // for those who sample
  bool watched_stands_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::vector<Column> columns_;
  SolveSummary summary_;
  Stage stage_ = Stage::phase;
  int phase_ = -1;
  double t_ = 0, t_limit_ = 0, phase_end_ = 0, window_ = 0;
  bool may_settle_ = false, phase_settled_ = false, begun_ = false;
  system::Segment segment_;
  std::int64_t rows_from_ = 1;  // k of the first row that has not been emitted
  std::deque<Row> rows_;        // from rows_from_ on
  double last_sample_ = std::numeric_limits<double>::quiet_NaN();
  std::int64_t sampled_step_ = 0;
  std::atomic<bool> halted_ = false;
  std::string why_halted_;  // interrupted, or out of its budget
  bool interrupted_ = false;
  std::mutex watching_, gathering_;
};

inline bool Column::moves() const { return !gone && !waits && !run->is_halted(); }

}  // namespace settle::solve
