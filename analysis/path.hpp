// A trial's trajectory through one phase, at any time in it.
#pragma once

#include "sim/solve/trajectory.hpp"

namespace settle::analysis {

using Eigen::Index;
using Eigen::VectorXd;

/// The states of one trial in one phase: at the samples that the trajectory keeps, and between them by
/// cubic Hermite interpolation with the exact ẋ at both ends, whose error is of the fourth order in
/// the step.
class Path {
 public:
  /// @param system      the trial's own, of one trial
  /// @param trajectory  the trial's
  Path(const system::OdeSystem& system, const solve::Trajectory& trajectory, int phase);

  std::size_t size() const { return last_ - first_; }
  double time(std::size_t k) const { return trajectory_.time(first_ + k); }
  VectorXd state(std::size_t k) const { return trajectory_.state(first_ + k); }
  /// The state at t between the samples k and k + 1.
  VectorXd state(std::size_t k, double t) const;
  /// A node's value (of −1: the state) at sample k, or at t between the samples k and k + 1.
  VectorXd value(int node, std::size_t k) const;
  VectorXd value(int node, std::size_t k, double t) const;
  /// A node's value at a state, the sources being as they are at the phase's end.
  VectorXd value_at(int node, const VectorXd& x) const;

 private:
  void begin(std::size_t k) const;
  VectorXd value(int node, double t, const VectorXd& x) const;

  const system::OdeSystem& system_;
  const solve::Trajectory& trajectory_;
  int phase_;
  std::size_t first_, last_;
  mutable system::Workspace workspace_;
  mutable std::size_t interval_ = static_cast<std::size_t>(-1);  // that the workspace stands in
};

}  // namespace settle::analysis
