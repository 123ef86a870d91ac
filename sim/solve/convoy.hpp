// Trials that a method moves together, with one time and one step for all of them.
#pragma once

#include "sim/solve/run.hpp"

namespace settle::solve {

/// Moves trials of one run by a method that is no formula: all that it can move together, or one that
/// chooses its steps and so must be alone.
class Convoy {
 public:
  /// @param method  a name in methods(): the run's own, or what moves its stiff trials
  Convoy(std::vector<Column*> columns, std::string method);

  /// Moves the columns until all of them wait; with `proceeds` until the run is over.
  void advance(bool proceeds);

 private:
  void enter();
  double adaptive_step();
  bool attempt_fixed(double t_new);
  void arrive(double t_new);
  bool leave(const VectorXd& values, bool is_state);
  void restart();
  void fail(const std::string& why);
  void count();
  bool any_present() const;
  bool moves() const;
  double stop() const;
  double first_step_length();
  VectorXd of(Index k, const VectorXd& all) const { return all.segment(k * n_, n_); }

  std::vector<Column*> columns_;
  Run& run_;
  const SolverOptions& options_;
  std::string name_;
  Problem problem_;
  std::unique_ptr<Method> method_;
  Index n_;
  StepControl control_;
  double t_ = 0, evaluations_ = 0, jacobians_ = 0;
  VectorXd x_, dxdt_;
};

}  // namespace settle::solve
