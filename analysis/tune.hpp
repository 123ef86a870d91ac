// The gains and the leak with which a circuit settles soonest, under bounds on its error and stability.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analysis/margins.hpp"
#include "analysis/options.hpp"
#include "sim/core/quantity.hpp"

namespace settle::analysis {

/// [tune]
struct TuneSpec {
  std::vector<std::string> controllers;  ///< that are tuned, all to the same gains; all where empty
  std::vector<double> leak = {1e-4, 1.0};  ///< low and high; one number: it stays there
  std::vector<double> p = {0.0, 10.0};
  std::vector<double> i = {0.01, 100.0};
  std::vector<double> d = {0.0, 1.0};
  double largest_error = 0.05;  ///< ‖measured − setpoint‖/‖setpoint‖ at rest, of every trial
  double margin = 2.0;          ///< stable with each of them alone changed by up to this factor
  double band = 0.02;           ///< of the settling time
  std::int64_t front = 16;      ///< values of α of the Pareto front
  std::int64_t evaluations = 400;  ///< of the poles, in the search
  std::int64_t runs = 200;         ///< of the circuit, to polish what the poles suggest
  std::int64_t trials = 8;         ///< at most, evenly chosen, that are looked at

  void fields(core::Fields& f);
  /// @throws InputError  for bounds that are no bounds, and a controller that is not there
  void check(const core::Value& table, const system::Circuit& circuit) const;
};

/// Gains, and what they come to.
struct TunedPoint {
  models::Gains gains;
  std::string why_not;    ///< why the numbers below do not exist; empty where they do
  double abscissa = 0;    ///< max Re s, of the worst trial
  double frequency = 0;   ///< |Im s| of that pole
  double rest_error = 0;  ///< inversion error at the equilibrium, of the worst trial and controller
  double weakest = 0;     ///< max Re s with one parameter changed by the margin, the worst
  double settling_time =
      0;  ///< of the error to the band by simulation, the worst; NaN: it did not settle
};

/// What tuning came to.
struct Tuning {
  TunedPoint before, after;
  bool feasible = false;  ///< `after` keeps the bounds
  std::string why_not;    ///< what no gains could keep
  double ratio_before = 0,
         ratio_after = 0;         ///< smallest factor on one parameter that loses stability
  std::vector<TunedPoint> front;  ///< the soonest settled at each α, by rising α
  std::vector<bool> dominated;    ///< of the front: another is both sooner and more exact
  std::vector<Index> trials;      ///< that were looked at
};

/// Minimises the settling time of the controllers' error (to `band`, the worst of the trials) over leak and
/// gains, subject to the inversion error at rest and to stability with each parameter alone changed by the
/// margin. First by what the rightmost pole predicts, ln(1/band)/|Re s|, over the whole of the bounds
/// (DIRECT-L, then Sbplx); then by running the circuit (the same two), which keeps the best that it has run,
/// the given gains among them where they are within the bounds. The Pareto front: for each α the same without the bound on the error.
/// Deterministic; uses all cores.
/// @param progress  told the share of the work that is done; returns false to stop
/// @returns nullopt where it was stopped
/// @throws InputError  for a circuit without controllers, and one that a source drives without end
std::optional<Tuning> tune(const models::Config& config, const system::OdeSystem& system,
                           const AnalysisOptions& options, const TuneSpec& spec,
                           const std::function<bool(double)>& progress);

/// For the file: gains and numbers before and after, and the front.
std::vector<core::Quantity> as_quantities(const Tuning& tuning, const TuneSpec& spec);

}  // namespace settle::analysis
