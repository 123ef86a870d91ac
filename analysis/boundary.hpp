// The curve on which a function of two parameters is zero: the exact boundary of stability.
#pragma once

#include <Eigen/Core>
#include <functional>
#include <vector>

namespace settle::analysis {

/// f(x, y) or, of one parameter, f(x, 0); NaN where it does not exist. Threads call it at once.
using PlaneFunction = std::function<double(double x, double y)>;

/// A grid of known values: f(x_i, y_j) at values(i, j).
struct PlaneGrid {
  std::vector<double> x, y;  ///< rising or falling; y has one entry where there is one parameter
  bool log_x = false, log_y = false;  ///< equal ratios: how edges are divided
  Eigen::MatrixXd values;             ///< |x| × |y|
};

struct BoundaryPoint {
  double x = 0, y = 0;
  int curve = 0;  ///< points of one curve stand one after another along it
};

/// f = 0 by marching squares: on every edge of the grid whose ends have f of opposite sign the zero is
/// found to a relative 1e-10, and the zeros of one cell are joined; a cell with four of them is divided by
/// f at its middle. What is narrower than a cell is not seen. Of one parameter: the zeros themselves.
/// Bits do not depend on the number of threads.
std::vector<BoundaryPoint> trace_zero(const PlaneGrid& grid, const PlaneFunction& f);

/// The grid with every interval divided into `parts`, f evaluated at what is new.
PlaneGrid refined(const PlaneGrid& grid, int parts, const PlaneFunction& f);

}  // namespace settle::analysis
