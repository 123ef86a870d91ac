// Whether and how each trial comes to rest: the settled criterion, and the outcome of a phase.
#pragma once

#include "sim/solve/column_norms.hpp"
#include "sim/solve/solve.hpp"

namespace settle::solve {

/// Follows every trial's residual through one phase at a time.
///
/// A trial is settled where ‖T ẋ‖∞ ≤ tolerance · max(‖x‖∞, atol/rtol) at every accepted step of the
/// last `dwell` (within a step longer than that, the residual counts as falling exponentially), both norms
/// over the units that count: those of solver.settled.nodes (all unless
/// given) that the phase does not hold.
class SettlingMonitor {
 public:
  /// @throws InputError  for an unknown name in settled.nodes
  SettlingMonitor(const system::OdeSystem& system, const SolverOptions& options);

  void begin_phase(int phase, double t);
  /// What the criterion compares in this phase: ‖T ẋ‖∞ and max(‖x‖∞, atol/rtol).
  struct Residual {
    double value = 0, scale = 0;
    double relative() const { return value / scale; }
  };
  Residual residual(const system::ConstBlock& x, const system::ConstBlock& dxdt) const;
  /// The same by two norms, max_i weight_i |ẋ_i| and max_i weight_i |x_i| with these weights.
  struct Weights {
    VectorXd of_rate, of_state;  ///< n each
  };
  Weights weights() const;
  Residual residual(double norm_of_state, double norm_of_rate) const {
    return {norm_of_rate, std::max(floor_, norm_of_state)};
  }
  /// Of the units of the state: T's diagonal where one counts in this phase, 0 else (n).
  const VectorXd& taus() const { return taus_; }
  /// ẋ of the units that count, when the trial's motion last turned by more than 90° (n); 0 before its
  /// first step.
  const VectorXd& direction(Index trial) const { return trials_[at(trial)].direction; }
  /// At every accepted step of a trial, and at the beginning of a segment: how it moves there, against
  /// its direction. False where its motion turns, and turn() must be called. Different trials may be
  /// observed in different threads at once.
  bool observe(Index trial, double t, const Motion& motion);
  void turn(Index trial, const VectorXd& dxdt);
  /// Both, from x and ẋ evaluated afresh (n each).
  void observe(Index trial, double t, const VectorXd& x, const VectorXd& dxdt);
  /// At a time at which nothing but that is known of a trial, chosen such that nothing is missed.
  void observe(Index trial, double t, const Residual& residual);

  /// A trial stands in its state of rest from now on.
  void put_to_rest(Index trial, double t, const VectorXd& x, const VectorXd& dxdt);

  bool is_settled(Index trial) const;
  double tolerance() const { return tolerance_; }
  double dwell() const { return dwell_; }
  double relative_residual(Index trial) const { return trials_[at(trial)].relative; }
  /// Since when the residual has been below tolerance; NaN where it is not.
  double below_since(Index trial) const { return trials_[at(trial)].below_since; }
  const ResidualHistory& history(Index trial) const { return trials_[at(trial)].history; }
  /// The outcome of the phase for a trial that is still there, and why.
  std::pair<Outcome, std::string> classify(Index trial, const system::Segment& last) const;

 private:
  struct Trial {
    double t = 0;
    double relative = 0;
    double below_since = 0;
    ResidualHistory history;
    VectorXd direction;
    bool is_at_rest = false;
  };
  // `by_steps`: nothing is known between the last time and this one.
  void note(Index trial, double t, const Residual& now, bool turned, bool by_steps);
  // Whether every pole of a linear circuit is stable, so that what grows must decay.
  bool decays_at_last(Index trial, const system::Segment& last) const;
  static std::size_t at(Index i) { return static_cast<std::size_t>(i); }

  const system::OdeSystem& system_;
  double rtol_, floor_, tolerance_, dwell_;
  std::vector<char> counts_;  // per node
  VectorXd taus_;
  std::vector<Trial> trials_;
};

}  // namespace settle::solve
