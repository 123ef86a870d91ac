// Norms of all columns of a batch at once: as many columns at a time, or where they don't lie in lanes
// units of one column, as a register has lanes.
#pragma once

#include "sim/solve/options.hpp"
#include "sim/system/panel.hpp"

namespace settle::solve {

using Eigen::Index;
using Eigen::VectorXd;

/// How the numbers of several columns lie in memory (system/panel.hpp).
struct PanelShape {
  Index units = 0, columns = 0;
  bool in_lanes = false;  ///< a unit after the other, in a multiple of lane_width columns
  Index size() const { return units * columns; }
  /// Where the first unit of a column is, and how far apart its units are.
  Index first(Index column) const { return in_lanes ? column : column * units; }
  Index stride() const { return in_lanes ? columns : 1; }
};

/// |error| / (atol + rtol · max(|x|, |x_new|)), the largest of each column: no unit's error is diluted
/// by the number of others. NaN where anything in the column is not finite.
void largest_over_tolerance(const SolverOptions& options, const PanelShape& shape,
                            const double* error, const double* x, const double* x_new,
                            double* ratio);

/// Where a column's state has come to and how it moves.
struct Motion {
  double residual = 0;         ///< ‖T ẋ‖∞ over the units that count
  double scale = 0;            ///< ‖x‖∞ over the units that count
  double along = 0;            ///< d · ẋ for a direction d
  bool is_within = true;       ///< all |x| are numbers and at most `limit`
  bool moves_finitely = true;  ///< all ẋ are numbers
};
/// Per column. `taus` has T's diagonal where a unit counts and 0 else, `direction` d.
void measure_motion(const PanelShape& shape, const double* x, const double* dxdt,
                    const double* taus, const double* direction, double limit, Motion* motion);

/// ‖Δk‖₂ / ‖Δx‖₂ per column, of two states x and x′ and their rates k and k′; 0 where x = x′.
void measure_stiffness(const PanelShape& shape, const double* x, const double* k,
                       const double* other_x, const double* other_k, double* ratio);

}  // namespace settle::solve
