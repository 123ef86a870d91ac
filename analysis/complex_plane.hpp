// The complex plane as a panel: poles in it, the stable half, equal scales.
#pragma once

#include "analysis/figure_source.hpp"
#include "analysis/label_placement.hpp"

namespace settle::analysis {

struct Pole {
  double re = 0, im = 0;
  Index node = -1;  ///< that takes most part in it, in the order of node_names(); −1: unknown
};

/// Those of the measure `poles`, rightmost first; none where it was not taken.
std::vector<Pole> poles_of(const FigureSource& source, Index trial);
/// The nodes with states.
std::vector<std::string> node_names(const FigureSource& source);

/// Width of such a figure, of the options' one.
constexpr double plane_width = 0.72;
/// Colour of the stable half plane.
constexpr const char* stable_colour = "#EEF4F9";

/// Ranges and height of a panel that shows this much of the plane, with equal scales unless one side
/// would then be four times the other.
void set_plane(Panel& panel, AxisRange x, AxisRange y, double width);
/// The same with the figure no wider than it needs to be.
void set_plane(Figure& figure, Panel& panel, AxisRange x, AxisRange y);

/// A panel's backdrop: the stable half plane, and the axes.
std::string half_planes(const Panel& panel);
/// Writes "stable" and "unstable" where there is room.
void add_names_of_half_planes(Panel& panel, LabelPlacement& places, double width);

/// Where a number stands in the panel, in points from its lower left.
PlotPoint place_in(const Panel& panel, double width, double re, double im);

/// "Re s (1/ms)".
std::string plane_label(const FigureSource& source, const std::string& part);
/// " at rest": where the Jacobian was taken, as far as the file tells.
std::string where_linearised(const FigureSource& source, Index trial);

}  // namespace settle::analysis
