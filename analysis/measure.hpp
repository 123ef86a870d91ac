// What is measured of a run, as a family of named measures.
#pragma once

#include "sim/core/registry.hpp"
#include "sim/solve/solve.hpp"

namespace settle::analysis {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// A run that is over.
struct Run {
  const system::OdeSystem& system;
  const solve::SolverOptions& options;
  const solve::SolveSummary& summary;
  std::size_t phase = 0;  ///< the one that measures speak of

  const solve::PhaseResult& phase_result() const { return summary.phases[phase]; }
};

/// The phase that measures speak of: the last that ran in which not every controller is switched
/// off; the last that ran where there is none.
std::size_t measured_phase(const system::OdeSystem& system, const solve::SolveSummary& summary);

/// One quantity of a measure: a number a trial.
struct Quantity {
  std::string name;
  std::string units;  ///< "1", or "time" for the circuit's unit, "1/time" …
  std::string long_name;
  VectorXd values;                   ///< per trial; NaN where it does not exist
  std::vector<std::string> reasons;  ///< per trial, why not
};

class Measure {
 public:
  virtual ~Measure() = default;
  virtual std::vector<Quantity> of(const Run& run) const = 0;
  virtual void fields(core::Fields&) {}
};

/// Every measure: inversion_error, slowest_pole, decay_rate.
const core::Registry<Measure>& measures();

/// All measures of a run, in the order of the registry.
std::vector<Quantity> measure(const Run& run);

}  // namespace settle::analysis
