// How an error comes to rest, and what the slowest pole predicts of that.
#pragma once

#include <optional>

#include "analysis/plot_data.hpp"

namespace settle::analysis {

/// An error falls to what the leak holds, e*, not to zero: what decays like the slowest pole s is its
/// distance from rest ‖e(t) − e*‖. e* is the error at the end of the measured phase, so that this is
/// taken of a trial whose end is next to its equilibrium only (equilibrium_distance ≤ 1 %), and shown
/// up to ln 10/|Re s| before that end, where the choice of e* shifts it by 10 % at most, and while it
/// is above ten times the solver's tolerance.
struct RestApproach {
  VectorXd time;      ///< the phase's recorded times
  VectorXd distance;  ///< ‖e(t) − e*‖ in the units of the error series; NaN where it is not shown
  /// c exp(Re s (t − t₀)) at these times, down to a tenth of its value where the distance is shown
  /// last; c is such that it touches the distance from above over the last decade that is shown. All
  /// NaN where the error is at rest before that pole has decayed tenfold: it does not feel it.
  VectorXd predicted;
  double pole = 0;  ///< Re s < 0

  /// The distance at a time, its logarithm taken as linear between the recorded ones; NaN where it is
  /// not shown.
  double distance_at(double t) const;
  /// When the distance is shown last.
  double last_shown() const;
};

/// Of trial number `k` of the series; nullopt where it can't be told.
std::optional<RestApproach> rest_approach(const io::ResultFile& result, const ErrorSeries& series,
                                          std::size_t k);

}  // namespace settle::analysis
