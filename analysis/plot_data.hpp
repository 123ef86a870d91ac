// What a figure draws of a result file: chosen units, thinned lines, relative errors.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sim/io/result_reader.hpp"

namespace settle::analysis {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// `count` of the indices 0 … n − 1, evenly chosen, first and last among them; all where n ≤ count.
std::vector<Index> evenly_chosen(Index n, Index count);

struct PlotPoint {
  double x = 0, y = 0;
};

/// A line of at most `most` points (at least 4) that looks the same: the smallest and the largest
/// value of each of equal stretches of the x axis, so that spikes remain. A value that is missing
/// or infinite is a gap (NaN). Equal stretches of log x where `log_x`; x must rise, and be positive
/// there.
std::vector<PlotPoint> thinned(const VectorXd& x, const VectorXd& y, std::size_t most, bool log_x);

/// ‖e(t)‖ of a controller, over ‖y(t)‖ where the file holds the setpoint.
struct ErrorSeries {
  std::string controller;
  bool relative = false;
  std::vector<std::size_t> trials;  ///< those in `values`
  MatrixXd values;                  ///< time × trials
};

/// Names of the result's controllers, as they stand in the names of its datasets.
std::vector<std::string> controllers_of(const io::ResultFile& result);

/// The error of every controller whose error was recorded, in these trials.
std::vector<ErrorSeries> error_series(const io::ResultFile& result,
                                      const std::vector<std::size_t>& trials);

}  // namespace settle::analysis
