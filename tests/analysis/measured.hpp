// What tests of measures share: a circuit in place, run and measured, and its numbers by name.
#pragma once

#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support.hpp"

namespace settle::test {

inline std::string number(double x) { return core::number_text(x); }

/// A matrix as it stands in TOML: [[1, 2], [3, 4]].
inline std::string rows(const MatrixXd& m) {
  std::string text = "[";
  for (Index i = 0; i < m.rows(); ++i) {
    text += i == 0 ? "[" : ", [";
    for (Index j = 0; j < m.cols(); ++j) text += (j == 0 ? "" : ", ") + number(m(i, j));
    text += "]";
  }
  return text + "]";
}

/// A vector: [1, 2].
inline std::string list(const VectorXd& v) {
  std::string text = "[";
  for (Index i = 0; i < v.size(); ++i) text += (i == 0 ? "" : ", ") + number(v[i]);
  return text + "]";
}

/// One layer in one loop, everything given; `more` is keys of [model], `controller` of its table.
struct Layer {
  MatrixXd forward, feedback;
  VectorXd setpoint;
  std::string controller = "leak = 0.1\n";
  std::string transfer = "identity";
  std::string more = "";
  std::string solver = "duration = 1.0\n";

  std::string toml() const {
    return "[solver]\n" + solver + "[model]\nkind = \"dynamic_inversion\"\nlayers = [" +
           std::to_string(forward.cols()) + ", " + std::to_string(forward.rows()) +
           "]\ntransfer = \"" + transfer + "\"\nforward = { values = " + rows(forward) +
           " }\nfeedback = { values = " + rows(feedback) + " }\nsetpoint = " + list(setpoint) +
           "\n" + more + "[model.controller]\n" + controller;
  }
};

/// One unit each with W = σ and B = −σ, setpoint 1: a single mode of the loop.
inline Layer one_mode(double sigma, const std::string& controller = "leak = 0.1\n") {
  return {MatrixXd::Constant(1, 1, sigma), MatrixXd::Constant(1, 1, -sigma), VectorXd::Ones(1),
          controller};
}

/// A configuration that is run and measured at once.
class Measured {
 public:
  explicit Measured(const std::string& toml, std::vector<std::string> measures = {"*"},
                    const analysis::AnalysisOptions& others = {})
      : options(others), simulation(toml) {
    options.measures = std::move(measures);
    summary = simulation.run(1e9);  // the trajectory is kept at the solver's own steps
    all = analysis::measure(run());
  }
  explicit Measured(const Layer& layer, std::vector<std::string> measures = {"*"})
      : Measured(layer.toml(), std::move(measures)) {}

  bool has(const std::string& name) const { return analysis::find(all, name) != nullptr; }
  const core::Quantity& of(const std::string& name) const {
    if (const core::Quantity* quantity = analysis::find(all, name)) return *quantity;
    throw std::out_of_range("no quantity " + name);
  }
  /// The cell at these places: labels of the axes that have them, and else indices.
  Index cell(const std::string& name, const std::vector<std::string>& places) const {
    const core::Quantity& quantity = of(name);
    if (places.size() != quantity.axes.size()) throw std::out_of_range("axes of " + name);
    Index cell = 0;
    for (std::size_t a = 0; a < places.size(); ++a) {
      const core::QuantityAxis& axis = quantity.axes[a];
      Index at = -1;
      for (std::size_t k = 0; k < axis.labels.size(); ++k)
        if (axis.labels[k] == places[a]) at = static_cast<Index>(k);
      if (axis.labels.empty()) at = std::stol(places[a]);
      if (at < 0 || at >= axis.size) throw std::out_of_range(places[a] + " of " + name);
      cell = cell * axis.size + at;
    }
    return cell;
  }
  double value(const std::string& name, const std::vector<std::string>& places = {},
               Index trial = 0) const {
    return of(name).values(cell(name, places), trial);
  }
  std::string reason(const std::string& name, const std::vector<std::string>& places = {},
                     Index trial = 0) const {
    return of(name).reason(cell(name, places), trial);
  }
  /// What a flag means.
  std::string meaning(const std::string& name, const std::vector<std::string>& places = {},
                      Index trial = 0) const {
    return of(name).meanings.at(static_cast<std::size_t>(value(name, places, trial)));
  }
  std::string text(const std::string& name, std::size_t trial = 0) const {
    return of(name).texts.at(trial);
  }
  VectorXd values(const std::string& name, Index trial = 0) const {
    return of(name).values.col(trial);
  }

  /// What the measures are taken of.
  analysis::Run run() const {
    const int phase =
        analysis::measured_phase(simulation.circuit(), options.phase, summary.phases.size());
    return {simulation.config, simulation.system,
            summary,           simulation.samples.trajectories,
            options,           static_cast<std::size_t>(phase)};
  }

  analysis::AnalysisOptions options;
  Simulation simulation;
  solve::SolveSummary summary;
  std::vector<core::Quantity> all;
};

}  // namespace settle::test
