// What tests of whole circuits share: from a configuration in place to a trajectory.
#pragma once

#include <tbb/global_control.h>

#include <Eigen/Dense>
#include <string>
#include <vector>

#include "analysis/measure.hpp"
#include "models/build.hpp"
#include "sim/io/toml.hpp"
#include "sim/solve/trajectory.hpp"

namespace settle::test {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Keeps every sample.
class Samples final : public solve::Observer {
 public:
  explicit Samples(solve::Sampling sampling = {}) : sampling_(sampling) {}
  solve::Sampling sampling() const override { return sampling_; }
  void sample(double t, const system::ConstBlock& x, system::Workspace&) override {
    times.push_back(t);
    states.emplace_back(x);
  }
  bool wants_states() const override { return true; }
  void arrive(int phase, Index trial, double t, const VectorXd& x) override {
    if (trial < trajectories.trials()) trajectories.add(phase, trial, t, x);
  }
  std::vector<double> times;
  std::vector<MatrixXd> states;
  solve::Trajectories trajectories;  ///< where it was made: at the solver's own steps

 private:
  solve::Sampling sampling_;
};

/// A run from the initial state with its samples.
struct Recorded {
  solve::SolveSummary summary;
  Samples samples;
};
inline Recorded record(const system::OdeSystem& system, const solve::SolverOptions& options,
                       double interval) {
  Recorded out{{}, Samples({.interval = interval})};
  out.summary = solve::solve(system, system.initial_state(), options, out.samples);
  return out;
}

/// The message of the InputError that `act` throws.
template <class Act>
std::string error_of(Act act) {
  try {
    act();
  } catch (const core::InputError& error) {
    return error.what();
  }
  return "no error";
}

/// A configuration, compiled.
struct Simulation {
  explicit Simulation(const std::string& toml)
      : config(models::read_config(io::parse_toml(toml, "test.toml"), ".")),
        system(system::compile(models::build_circuit(config))) {}

  solve::SolveSummary run(double sample_interval = 1.0) {
    samples = Samples({.interval = sample_interval});
    samples.trajectories = solve::Trajectories(system);
    return solve::solve(system, system.initial_state(), config.solver, samples);
  }

  /// What is measured of the last run.
  std::vector<core::Quantity> measure(const solve::SolveSummary& summary,
                                      const analysis::AnalysisOptions& options = {}) const {
    const int phase = analysis::measured_phase(circuit(), options.phase, summary.phases.size());
    return analysis::measure(
        {config, system, summary, samples.trajectories, options, static_cast<std::size_t>(phase)});
  }
  const system::Circuit& circuit() const { return system.circuit(); }
  /// A dynamic node's rows of a state.
  MatrixXd part(const std::string& node, const MatrixXd& state) const {
    const int i = circuit().find(node);
    return state.middleRows(system.offset(i), circuit().nodes.at(static_cast<std::size_t>(i)).size);
  }
  MatrixXd weights(const std::string& projection) const {
    for (const auto& edge : circuit().edges)
      if (edge.name == projection) return edge.weights->dense();
    throw std::out_of_range(projection);
  }
  MatrixXd setpoint(const std::string& controller) const {
    for (const auto& c : circuit().controllers)
      if (c.name == controller) return c.setpoint;
    throw std::out_of_range(controller);
  }

  models::Config config;
  system::OdeSystem system;
  Samples samples;
};

/// At most so many threads while it lives.
class ThreadLimit {
 public:
  explicit ThreadLimit(std::size_t threads)
      : control_(tbb::global_control::max_allowed_parallelism, threads) {}

 private:
  tbb::global_control control_;
};

inline double relative(const MatrixXd& found, const MatrixXd& expected) {
  return (found - expected).norm() / expected.norm();
}

}  // namespace settle::test
