// The states that a run passed through, in memory.
#pragma once

#include <vector>

#include "sim/solve/solve.hpp"

namespace settle::solve {

/// States x (n × trials) at rising times, phase by phase. Bounded in memory: where they would take
/// more than `most_bytes`, every second one is dropped and from then on only every second (fourth …)
/// comes in; the first and the last of every phase always stay.
class Trajectory {
 public:
  Trajectory() = default;
  Trajectory(Index dimension, Index trials, std::size_t most_bytes = std::size_t{256} << 20)
      : dimension_(dimension), trials_(trials), most_bytes_(most_bytes) {}

  void add(int phase, double t, const system::ConstBlock& x);

  std::size_t size() const { return places_.size(); }
  double time(std::size_t k) const { return places_[k].time; }
  int phase(std::size_t k) const { return places_[k].phase; }
  /// n × trials; NaN for trials that have left.
  Eigen::Map<const MatrixXd> state(std::size_t k) const {
    return {states_.data() + k * entries(), dimension_, trials_};
  }
  /// The samples first … last − 1 of a phase.
  std::pair<std::size_t, std::size_t> of_phase(int phase) const;

 private:
  struct Place {
    double time;
    int phase;
    bool stays;  // else the next one of its phase takes its place
  };
  std::size_t entries() const { return static_cast<std::size_t>(dimension_ * trials_); }
  void thin();

  Index dimension_ = 0, trials_ = 0;
  std::size_t most_bytes_ = 0;
  std::vector<Place> places_;
  std::vector<double> states_;
  std::size_t stride_ = 1, arrivals_ = 0;  // of the current phase
};

/// Keeps the trajectory of a run at the solver's own steps.
class TrajectoryKeeper : public Observer {
 public:
  explicit TrajectoryKeeper(const system::OdeSystem& system)
      : trajectory_(system.dimension(), system.trials()) {}

  Sampling sampling() const override {
    return {.interval = std::numeric_limits<double>::infinity()};
  }
  bool wants_states() const override { return true; }
  void arrive(int phase, double t, const system::ConstBlock& x) override {
    trajectory_.add(phase, t, x);
  }
  const Trajectory& trajectory() const { return trajectory_; }

 private:
  Trajectory trajectory_;
};

}  // namespace settle::solve
