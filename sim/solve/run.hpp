// One circuit's way through its phases: what the columns that move it are asked for, and what becomes
// of where they arrive.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <span>

#include "sim/solve/attraction.hpp"
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
  bool skips = false;    ///< it was put to rest, without the way there
  bool stiff = false;    ///< in this segment a stiff solver moves it (Choice::when_stiff)
  bool was_stiff = false;
  int limited = 0;  ///< how often of late its steps were found to be limited by stability
  StepControl control;
  std::int64_t part = 0;  ///< fixed steps made in the segment
  /// Of the system that is integrated, at t; and of the circuit, where that is not the same. While a batch
  /// moves the column they are up to date where somebody looks (Run::is_seen).
  VectorXd x, dxdt, seen, seen_dxdt;
  Index slot = -1;  ///< in the batch that moves it
  std::int64_t steps = 0, rejections = 0, next_sample = 1;
  double evaluations = 0, jacobians = 0;
  double smallest_step = std::numeric_limits<double>::infinity(), largest_step = 0;

  bool moves() const;
  /// Whether it moves, and by its method's formula.
  bool is_for_formula() const { return moves() && !stiff; }
};

/// The state (n) at a time within the step that a column has just made: a function of (t, x), which it only
/// refers to.
class Between {
 public:
  template <class F>
  Between(const F& f)
      : f_(&f),
        call_([](const void* g, double t, VectorXd& x) { (*static_cast<const F*>(g))(t, x); }) {}
  void operator()(double t, VectorXd& x) const { call_(f_, t, x); }

 private:
  const void* f_;
  void (*call_)(const void*, double, VectorXd&);
};

/// Takes a circuit through its phases and segments. It sets goals to its columns, which a Batch or a
/// Convoy moves; those tell it of every step. In the end it has the summary.
///
/// While a phase waits for its last trial to settle, the samples of all trials are gathered in windows
/// of a few rows: columns run ahead of each other by no more than a window. A column that has settled
/// stops there, and is fetched when it is known how far the others go, where somebody watches.
class Run {
 public:
  using Clock = std::chrono::steady_clock;

  Run(const system::OdeSystem& system, const MatrixXd& x0, const SolverOptions& options,
      Observer& observer);

  /// The system that is integrated: the circuit's own, or one with fewer states that gives the same
  /// trajectories (system/reduction.hpp); known after the first proceed().
  const system::OdeSystem& system() const { return reduced_ ? *reduced_ : system_; }
  /// How the circuit's states are found from those; none where they are the same.
  const system::Reduction* reduction() const { return reduced_ ? &reduction_ : nullptr; }
  Index dimension_of_circuit() const { return system_.dimension(); }
  /// Whether one batch can hold the columns of both.
  bool has_shape_of(const Run& other) const;
  const SolverOptions& options() const { return options_; }
  std::vector<Column>& columns() { return columns_; }
  /// Whether every step has one length, divided into the segment.
  bool is_fixed() const { return fixed_; }
  const Method& method() const { return *method_; }
  const std::string& method_name() const { return choice_.method; }
  /// What stiff trials are moved by; "" where the method moves all.
  const std::string& method_when_stiff() const { return choice_.when_stiff; }
  /// Whether somebody looks at what lies between the ends of phases.
  bool is_watched() const { return sees_steps_ || std::isfinite(sampling_.interval); }
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

  /// Sets the next goals, when all columns wait; then some column moves. False when the run is over.
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
  /// Whether somebody looks at a column's state at its new time, or between that and the last.
  bool is_seen(const Column& column) const;
  /// A column has made a step and stands at its new t, x and ẋ.
  void stepped(Column& column, double t_old, const Between& between);
  /// The same where its motion has been measured; its x is known where is_seen(), its ẋ where it is not
  /// finite. False where its direction has turned, and turn() must be called.
  bool stepped(Column& column, double t_old, const Motion& motion, const Between& between);
  /// ẋ of the circuit, where the direction has turned.
  void turn(const Column& column, const VectorXd& dxdt) { monitor_.turn(column.trial, dxdt); }
  /// The same of one that leaps (may_leap), by what is to be known of its ẋ; it stands at t and x.
  void stepped(Column& column, double t_old, const SettlingMonitor::Residual& known,
               const Between& between);
  /// A column that leaps has passed a time at which nobody wants to know more of it than that.
  void passed(Column& column, double t, const SettlingMonitor::Residual& residual);
  void reject(Column& column, int times);
  /// A column's steps are limited by stability. Whether it is stiff from here on: where the method has
  /// another for that, and the equations that this solves are narrow.
  bool stiffen(Column& column);
  void fail(Column& column, const std::string& why);
  /// In words, which way a method went.
  void tell(const std::string& how);
  /// After a round of steps of some of its columns: reports progress. Halts the run where the observer
  /// says so, or the wall time is up.
  void watch(std::span<Column* const> own, Clock::time_point now = Clock::now());
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

  // Where a trial ends, or why that is not known without integrating it.
  struct Rest {
    std::string why_not, proof;
    VectorXd x, dxdt;
  };

  bool may_skip() const;
  void skip();
  Rest rest_of(const Column& column, const Attraction& attraction) const;
  void reduce();
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
  void sample(double t, const MatrixXd& x, bool again = false);
  MatrixXd states() const;
  void end_phase();
  void finish();
  void count_step(Column& column, double t_old);
  void conclude(Column& column);
  void keep_budget(Column& column);
  bool leave(Column& column, const VectorXd& values, const std::string& what, double limit);
  void show(Column& column, const Between& between);
  double wall_time(Clock::time_point now = Clock::now()) const;

  const system::OdeSystem& system_;
  const SolverOptions& options_;
  Observer& observer_;
  system::Reduction reduction_;
  std::unique_ptr<const system::OdeSystem> reduced_;
  bool integrates_ = false;  // some column has had to be moved
  Choice choice_;
  std::unique_ptr<Method> method_;
  bool fixed_ = false, dense_ = false;
  Sampling sampling_;
  bool sees_steps_;  // somebody looks at every step
  SettlingMonitor monitor_;
  system::Workspace watched_;  // for those who sample
  bool watched_stands_ = false;
  Clock::time_point start_ = Clock::now();
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
