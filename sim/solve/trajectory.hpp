// The states that a run passed through, in memory.
#pragma once

#include <vector>

#include "sim/solve/solve.hpp"

namespace settle::solve {

/// States x (n) of one trial at rising times, phase by phase. Bounded in memory: where they would take
/// more than `most_bytes`, every second one is dropped and from then on only every second (fourth …)
/// comes in; the first and the last of every phase always stay.
class Trajectory {
 public:
  Trajectory() = default;
  explicit Trajectory(Index dimension, std::size_t most_bytes = std::size_t{256} << 20)
      : dimension_(dimension), most_bytes_(most_bytes) {}

  void add(int phase, double t, const VectorXd& x);

  std::size_t size() const { return places_.size(); }
  double time(std::size_t k) const { return places_[k].time; }
  int phase(std::size_t k) const { return places_[k].phase; }
  Eigen::Map<const VectorXd> state(std::size_t k) const {
    return {states_.data() + k * entries(), dimension_};
  }
  /// The samples first … last − 1 of a phase.
  std::pair<std::size_t, std::size_t> of_phase(int phase) const;

 private:
  struct Place {
    double time;
    int phase;
    bool stays;  // else the next one of its phase takes its place
  };
  std::size_t entries() const { return static_cast<std::size_t>(dimension_); }
  void thin();

  Index dimension_ = 0;
  std::size_t most_bytes_ = 0;
  std::vector<Place> places_;
  std::vector<double> states_;
  std::size_t stride_ = 1, arrivals_ = 0;  // of the current phase
};

/// The trajectories of all trials of a run, each at its own times. Threads may add to different trials
/// at once.
class Trajectories {
 public:
  Trajectories() = default;
  /// Bounded in memory all together.
  explicit Trajectories(const system::OdeSystem& system,
                        std::size_t most_bytes = std::size_t{256} << 20)
      : trials_(static_cast<std::size_t>(system.trials()),
                Trajectory(system.dimension(),
                           most_bytes / static_cast<std::size_t>(system.trials()))) {}

  void add(int phase, Index trial, double t, const VectorXd& x) {
    trials_[static_cast<std::size_t>(trial)].add(phase, t, x);
  }
  const Trajectory& of(Index trial) const { return trials_[static_cast<std::size_t>(trial)]; }
  Index trials() const { return static_cast<Index>(trials_.size()); }

 private:
  std::vector<Trajectory> trials_;
};

/// Keeps the trajectories of a run at the solver's own steps.
class TrajectoryKeeper : public Observer {
 public:
  explicit TrajectoryKeeper(const system::OdeSystem& system) : trajectories_(system) {}

  Sampling sampling() const override {
    return {.interval = std::numeric_limits<double>::infinity()};
  }
  bool wants_states() const override { return true; }
  void arrive(int phase, Index trial, double t, const VectorXd& x) override {
    trajectories_.add(phase, trial, t, x);
  }
  const Trajectories& trajectories() const { return trajectories_; }

 private:
  Trajectories trajectories_;
};

}  // namespace settle::solve
