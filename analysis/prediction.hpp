// What the linearised circuit predicts of a run, without it.
#pragma once

#include <complex>

#include "analysis/linearisation.hpp"
#include "analysis/options.hpp"
#include "sim/solve/options.hpp"

namespace settle::analysis {

struct Prediction {
  std::string why_not;  ///< no equilibrium or pole; empty where there is a prediction
  std::complex<double> pole = std::numeric_limits<double>::quiet_NaN();
  Linearisation::Stability stability = Linearisation::Stability::unknown;

  /// −ln(band)/|Re s|: when what moves with the slowest pole has come within that share of its way; NaN
  /// where it does not decay.
  double settling_time(double band) const;
};

/// About the equilibrium that Newton's method finds from the initial state (of a linear circuit: anywhere),
/// in the phase that an analysis speaks of, its holds released. `system` is of one trial.
Prediction predict(const system::OdeSystem& system, const solve::SolverOptions& solver,
                   const AnalysisOptions& options);

}  // namespace settle::analysis
