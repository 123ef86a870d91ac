// A small circuit with made-up samples, for the tests of recorder and reader.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <limits>

#include "sim/io/recorder.hpp"
#include "sim/io/result_reader.hpp"
#include "tests/temporary_folder.hpp"

namespace settle::test {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
namespace fs = std::filesystem;

constexpr double missing = std::numeric_limits<double>::quiet_NaN();

inline system::Node node(const std::string& name, Index size, double tau,
                         const std::string& transfer) {
  return {.name = name,
          .size = size,
          .tau = VectorXd::Constant(size, tau),
          .leak = VectorXd::Constant(size, 1.0),
          .transfer = core::transfer(transfer),
          .initial = MatrixXd::Zero(size, 1),
          .constant = {}};
}

inline system::Edge edge(const std::string& name, int from, int to, const MatrixXd& weights,
                         double gain = 1) {
  return {.name = name,
          .from = from,
          .to = to,
          .gain = gain,
          .weights = std::make_shared<system::Weights>(weights),
          .transfer = nullptr,
          .receiver_slope = false,
          .gate = {}};
}

// hidden (3, tanh) with a recurrent loop, read out by W (2 × 3) into a leaky-integral controller.
inline system::Circuit small_circuit(Index trials = 2) {
  system::Circuit circuit;
  circuit.nodes = {node("hidden", 3, 1.0, "tanh"), node("control.error", 2, 0.0, "identity"),
                   node("control.integral", 2, 2.0, "identity"),
                   node("control", 2, 0.0, "identity")};
  MatrixXd w(2, 3);
  w << 1, 2, 3, 4, 5, 6;
  const MatrixXd identity = MatrixXd::Identity(2, 2);
  circuit.edges = {edge("hidden->control", 0, 1, w), edge("e->i", 1, 2, identity),
                   edge("i->u", 2, 3, identity), edge("control->hidden", 3, 0, -w.transpose(), 0.5),
                   edge("hidden->hidden", 0, 0, MatrixXd::Constant(3, 3, 0.125))};
  MatrixXd y(2, trials);
  for (Index k = 0; k < trials; ++k) y.col(k) << 0.5 + static_cast<double>(k), -0.25;
  circuit.nodes[0].constant = VectorXd::Constant(3, 0.75);
  circuit.nodes[1].constant = -y;
  circuit.controllers = {{.name = "control",
                          .control = 3,
                          .error = 1,
                          .integral = 2,
                          .leak = 0.01,
                          .measured_edges = {0},
                          .setpoint_edges = {},
                          .setpoint_sources = {},
                          .setpoint = y}};
  circuit.phases = {{.name = "run",
                     .duration = {},
                     .until_settled = false,
                     .off = {},
                     .paused = {},
                     .hold = {},
                     .reset = {}}};
  circuit.trials = trials;
  return circuit;
}

inline core::Quantity measured(const std::string& name, const std::string& units,
                               const MatrixXd& values, const std::vector<std::string>& reasons) {
  return {.name = name,
          .units = units,
          .long_name = "measured for a test",
          .axes = {},
          .values = values,
          .reasons = reasons,
          .meanings = {},
          .texts = {}};
}

inline io::RunInfo run_info() {
  io::RunInfo info;
  info.title = "A test";
  info.time_unit = "milliseconds";
  info.command = "settle run test.toml";
  info.config = "title = \"A test\"  # α\n";
  info.config_expanded = "title = \"A test\"\n";
  info.program_version = "0.1.0";
  info.seed = 7;
  info.libraries = {{"SUNDIALS", "6.4.1"}};
  return info;
}

inline solve::SolverOptions solver_options(double duration) {
  solve::SolverOptions options;
  options.duration = duration;
  return options;
}

// The state of row k: every unit of every trial its own number.
inline MatrixXd state_at(const system::OdeSystem& system, double t) {
  MatrixXd x(system.dimension(), system.trials());
  for (Index j = 0; j < x.cols(); ++j)
    for (Index i = 0; i < x.rows(); ++i)
      x(i, j) = std::sin(t + static_cast<double>(i)) + static_cast<double>(j);
  return x;
}

struct Feed {
  explicit Feed(const system::OdeSystem& s) : system(s), workspace(s.make_workspace()) {
    system.begin({0, 0.0, 1e9}, workspace);
  }
  void operator()(io::Recorder& recorder, double t) {
    recorder.sample(t, state_at(system, t), workspace);
  }
  const system::OdeSystem& system;
  system::Workspace workspace;
};

inline solve::SolveSummary summary_of(const system::OdeSystem& system, double t_end) {
  solve::SolveSummary summary;
  summary.t_end = t_end;
  summary.steps = 42;
  summary.final_state = state_at(system, t_end);
  solve::PhaseResult phase;
  phase.name = "run";
  phase.end = t_end;
  for (Index k = 0; k < system.trials(); ++k) {
    solve::TrialResult trial;
    trial.outcome = k == 0 ? solve::Outcome::settled : solve::Outcome::oscillating;
    trial.reason = k == 0 ? "the residual stayed below tolerance" : "its envelope does not decay";
    trial.settled_at = k == 0 ? 0.5 * t_end : missing;
    trial.residual = 1e-7;
    phase.outcomes.push_back(trial.outcome);
    phase.settled_at.push_back(trial.settled_at);
    summary.trials.push_back(std::move(trial));
  }
  summary.phases = {phase};
  return summary;
}

template <class Body>
inline std::string input_error(const Body& body) {
  try {
    body();
  } catch (const core::InputError& error) {
    return error.what();
  }
  return "no error";
}

template <class Body>
inline std::string output_error(const Body& body) {
  try {
    body();
  } catch (const core::OutputError& error) {
    return error.what();
  }
  return "no error";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace settle::test
