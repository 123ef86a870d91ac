// Columns that are integrated as one matrix, each with its own time and step.
#pragma once

#include <functional>

#include "sim/solve/run.hpp"

namespace settle::solve {

/// Moves columns by a formula: one evaluation of the right-hand side a stage for all of them, and for each
/// its own time, step, error control and outcome. Columns that wait or are gone leave the matrix, and the
/// rest are moved together. The columns may be trials of several runs, whose systems have one shape and
/// whose options are the same; small systems run in lanes.
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
    bool accepted = false;
  };

  void proceed();
  bool gather();
  void enter();
  void round();
  void evaluate(const VectorXd& x, VectorXd& h_dxdt, double s);
  void take(Index slot, const VectorXd& from, VectorXd& column) const;
  void set(Index slot, const VectorXd& column, VectorXd& to) const;
  void measure_errors();
  Index first(Index slot) const { return lanes_ ? slot : slot * n_; }
  Index stride() const { return lanes_ ? width_ : 1; }

  std::vector<Column*> columns_;
  Next next_;
  std::size_t most_columns_;
  const SolverOptions& options_;
  const system::OdeSystem& system_;  // of the first column
  std::unique_ptr<Formula> formula_;
  bool alone_, lanes_, shares_steps_, fixed_;
  Index n_, width_ = 0;
  system::Workspace workspace_;
  bool several_ = false, driven_ = false;
  std::vector<Slot> slots_;
  VectorXd times_, h_, at_;  // per slot: t, h and t + s h
  VectorXd x_, k_, x_new_, k_new_, error_, ratio_;
  VectorXd candidate_, rates_;  // of one column
  std::vector<Column*> own_;    // of one run
  Formula::Rates rates_of_;
  double evaluated_ = 0;  // since it was set to zero
};

}  // namespace settle::solve
