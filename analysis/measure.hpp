// What is measured of a run, as a family of named measures.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "analysis/linearisation.hpp"
#include "analysis/loops.hpp"
#include "analysis/options.hpp"
#include "models/build.hpp"
#include "sim/core/quantity.hpp"
#include "sim/core/registry.hpp"
#include "sim/solve/trajectory.hpp"

namespace settle::analysis {

/// A run that is over. What it refers to must outlive it.
struct Run {
  const models::Config& config;
  const system::OdeSystem& system;
  const solve::SolveSummary& summary;
  const solve::Trajectories& trajectories;
  const AnalysisOptions& options;
  std::size_t phase = 0;  ///< the one that measures speak of

  const solve::PhaseResult& phase_result() const { return summary.phases[phase]; }
  /// The measured phase's last segment with its holds released: the circuit as a whole.
  system::Segment whole() const;
  /// Whether all trials have the same gates, and so the same weights.
  bool has_shared_gates() const;
  /// Whether J is the same at every state and for every trial.
  bool is_linear() const { return system.is_linear() && has_shared_gates(); }
};

/// One trial of a run, and what several measures need of it: computed once, when it is first asked
/// for.
class Subject {
 public:
  /// @param shared  the loops of a circuit whose gates all trials share; nullptr otherwise
  Subject(const Run& run, Index trial, const LoopSet* shared = nullptr);

  const Run& run;
  const Index trial;

  /// The trial's own system, of one trial.
  const system::OdeSystem& system() const { return own_ ? *own_ : run.system; }

  const LoopSet& loops() const { return shared_ ? *shared_ : *own_loops_; }

  /// The state (n) at the end of the measured phase; NaN where the trial has left.
  VectorXd end() const { return run.phase_result().state.col(trial); }
  bool has_left() const { return !end().allFinite(); }
  /// Where the circuit as a whole rests: by Newton's method from end(), or where that finds nothing
  /// from the phase's beginning. Not looked for while a source still changes.
  const solve::Equilibrium& equilibrium() const;
  /// About the equilibrium; about the end where none was found. nullptr, with the reason in
  /// why_not_linearised(), where neither exists.
  const Linearisation* linearisation() const;
  const std::string& why_not_linearised() const { return why_not_; }
  /// "at the equilibrium", "at the end, which is no state of rest".
  std::string where_linearised() const;

 private:
  std::unique_ptr<const system::OdeSystem> own_;  // where there are several trials
  std::unique_ptr<const LoopSet> own_loops_;
  const LoopSet* shared_;
  mutable std::optional<solve::Equilibrium> equilibrium_;
  mutable std::unique_ptr<Linearisation> linearisation_;
  mutable std::string why_not_;
};

/// What one measure found of one trial: the cells of one quantity.
class Cells {
 public:
  Cells(core::Quantity& quantity, Index trial) : quantity_(quantity), trial_(trial) {}

  void set(Index cell, double value) { quantity_.values(cell, trial_) = value; }
  void set(const VectorXd& values) { quantity_.values.col(trial_) = values; }
  void set_text(std::string text);
  /// All cells are missing, for one reason; or one of them is.
  void missing(const std::string& reason);
  void missing(Index cell, const std::string& reason);

 private:
  core::Quantity& quantity_;
  Index trial_;
};

/// An axis whose coordinate is texts; one that is an index.
core::QuantityAxis label_axis(std::string name, std::string long_name,
                              std::vector<std::string> labels);
core::QuantityAxis index_axis(std::string name, std::string long_name, Index size);
/// Bands of the settling times: the options' shares, and the solver's tolerance.
std::vector<double> settling_bands(const Run& run);
/// Why nothing is known of how a trial came to rest that was put there.
inline constexpr const char* without_the_way =
    "it was put to rest without the way there (solver.shortcut)";
core::QuantityAxis band_axis(const Run& run);
/// The controllers, by name.
core::QuantityAxis controller_axis(const system::Circuit& circuit);

/// A quantity without numbers: name, units, long name, axes beside the trials.
core::Quantity declare(std::string name, std::string units, std::string long_name,
                       std::vector<core::QuantityAxis> axes = {});

class Measure {
 public:
  virtual ~Measure() = default;
  /// Its quantities, without numbers.
  virtual std::vector<core::Quantity> quantities(const Run& run) const = 0;
  /// Of one trial; `out` has the cells of every quantity, in order, all NaN.
  virtual void measure(const Subject& subject, std::vector<Cells>& out) const = 0;
  /// Whether it depends on the state through J alone: then it is the same for every trial of a
  /// linear circuit, and measured once.
  virtual bool is_of_jacobian() const { return false; }
  /// Whether it is taken after every run; others are taken where they are asked for.
  virtual bool is_standard() const { return true; }
  virtual void fields(core::Fields&) {}
};

/// Every measure.
const core::Registry<Measure>& measures();

/// The chosen measures of a run, trial by trial in parallel, in the order of the registry.
std::vector<core::Quantity> measure(const Run& run);

/// The quantity of that name, or nullptr.
const core::Quantity* find(const std::vector<core::Quantity>& quantities, const std::string& name);

}  // namespace settle::analysis
