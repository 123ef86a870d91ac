// Columns that are integrated as one matrix, each with its own time and step.
#pragma once

#include <functional>
#include <optional>

#include "sim/solve/convoy.hpp"

namespace settle::solve {

/// Moves columns by a formula: one evaluation of the right-hand side a stage for all of them, and for each
/// its own time, step, error control and outcome. Columns that wait or are gone leave the matrix, and the
/// rest are moved together. The columns may be trials of several runs, whose systems have one shape and
/// whose options are the same; small systems run in lanes.
///
/// A column that the formula finds stiff leaves the matrix for the rest of the segment, where its run has
/// a method for that.
///
/// What is asked of every step is asked of the whole matrix at once. A column's own x and ẋ are written
/// where somebody looks at them, and when it leaves the matrix.
///
/// A column's bits do not depend on which others are beside it: their number is padded to a multiple of
/// system::lane_width, unless there is one column that is always alone.
class Batch {
 public:
  /// The columns of further runs of the same shape, at most so many; none where there are no more.
  using Next = std::function<std::vector<Column*>(std::size_t room)>;

  /// @param next  asked as runs end
  explicit Batch(std::vector<Column*> columns, Next next = {});

  /// Moves the columns until all of them wait. With `proceeds` it also asks the runs for their next goals
  /// (all of whose columns must be here), until all runs are over.
  void advance(bool proceeds);

 private:
  struct Slot {
    Column* column = nullptr;  // none: padding
    StepControl::Plan plan;
    double t_new = 0;
    bool tries = false;  // a step, in this round
    bool accepted = false;
    bool is_looked_at = false;  // for stiffness
  };
  // The columns of one run in the matrix.
  struct Group {
    Run* run;
    std::size_t first, count;  // of placed_
  };

  void proceed();
  void advance_stiff();
  bool gather();
  void resize(Index width);
  void place(Index slot, Column& column);
  void leave(Slot& slot);
  void enter();
  bool round();
  void plan();
  bool judge(double evaluations);
  void arrive();
  void watch();
  bool look_for_stiffness();
  void hand_over();
  void evaluate(const VectorXd& x, VectorXd& h_dxdt, double s);
  const VectorXd& whole(const VectorXd& x, VectorXd& expanded);
  void take(Index slot, const PanelShape& shape, const VectorXd& from, VectorXd& column) const;
  void set(Index slot, const PanelShape& shape, const VectorXd& column, VectorXd& to) const;

  std::vector<Column*> columns_;
  Next next_;
  std::size_t most_columns_;
  const SolverOptions& options_;
  const system::OdeSystem& system_;  // of the first column
  std::unique_ptr<Formula> formula_;
  bool alone_, shares_steps_, fixed_, several_, may_stiffen_;
  PanelShape shape_, shape_of_circuit_;
  system::Workspace workspace_;
  std::optional<system::Expansion> expansion_;
  bool driven_ = false;
  std::vector<Column*> placed_;  // run by run
  std::vector<Group> groups_;
  std::vector<Slot> slots_;
  std::vector<std::pair<Column*, std::unique_ptr<Convoy>>> stiff_;
  VectorXd times_, h_, at_, per_h_, ratio_, h_lambda_;  // per slot: t, h, t + s h, 1/h …
  std::vector<Motion> motions_;
  VectorXd x_, dxdt_, k_, x_new_, dxdt_new_, k_new_, error_;  // k = h ẋ
  VectorXd seen_, seen_dxdt_, taus_, directions_;             // of the circuits
  VectorXd candidate_, rates_;                                // of one column
  Formula::Rates rates_of_;
  double evaluated_ = 0;  // since it was set to zero
};

}  // namespace settle::solve
