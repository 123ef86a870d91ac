// Lines of equal value on a grid.
#pragma once

#include "analysis/plot_data.hpp"

namespace settle::analysis {

/// The lines z = level of a function known on a grid, z(i, j) at (x_j, y_i), with x and y rising: by
/// marching squares with linear interpolation, each line from end to end, a closed one with its first
/// point repeated. Cells with a corner that is missing have none; in a saddle the mean of the corners
/// decides. Source: Lorensen and Cline's marching cubes (1987) in two dimensions.
std::vector<std::vector<PlotPoint>> contour_lines(const VectorXd& x, const VectorXd& y,
                                                  const MatrixXd& z, double level);

}  // namespace settle::analysis
