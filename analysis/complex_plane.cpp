#include "analysis/complex_plane.hpp"

#include <algorithm>
#include <cmath>

namespace settle::analysis {
namespace {

using core::Quantity;

constexpr double tallest = 440, lowest = 190, narrowest = 330;  // planes, in points

void widen(AxisRange& range, double to) {
  const double more = std::max(0.0, to - (range.high - range.low));
  range = {range.low - more / 2, range.high + more / 2};
}

bool has_equal_scales(AxisRange x, AxisRange y) {
  const double aspect = (y.high - y.low) / (x.high - x.low);
  return aspect > 1.0 / 4 && aspect < 4;
}

}  // namespace

std::vector<Pole> poles_of(const FigureSource& source, Index trial) {
  const Quantity* real = source.find("pole_real");
  const Quantity* imaginary = source.find("pole_angular_frequency");
  if (!real || !imaginary) return {};
  const TrialValues re(*real, trial), im(*imaginary, trial);
  const Quantity* participation = source.find("pole_participation");
  std::vector<Pole> out;
  for (Index k = 0; k < re.size(0); ++k) {
    if (!std::isfinite(re(k)) || !std::isfinite(im(k))) continue;
    Pole pole{re(k), im(k)};
    if (participation) {
      const TrialValues share(*participation, trial);
      double largest = 0;
      for (Index n = 0; n < share.size(1); ++n)
        if (share(k, n) > largest) {
          largest = share(k, n);
          pole.node = n;
        }
    }
    out.push_back(pole);
  }
  return out;
}

std::vector<std::string> node_names(const FigureSource& source) {
  const Quantity* participation = source.find("pole_participation");
  return participation ? participation->axes.at(1).labels : std::vector<std::string>{};
}

void set_plane(Panel& panel, AxisRange x, AxisRange y, double width) {
  const double dx = x.high - x.low, dy = y.high - y.low;
  panel.height = 300;
  if (has_equal_scales(x, y)) {
    const double unit = std::max(dx / width, dy / tallest);  // a point
    panel.height = std::max(dy / unit, lowest);
    widen(x, unit * width);
    widen(y, unit * panel.height);
  }
  panel.x = x;
  panel.y = y;
}

void set_plane(Figure& figure, Panel& panel, AxisRange x, AxisRange y) {
  const double widest = panel_width(figure);
  const double dx = x.high - x.low, dy = y.high - y.low;
  double width = widest;
  if (has_equal_scales(x, y))
    width = std::max(std::min(widest, narrowest), std::min(widest, tallest * dx / dy));
  figure.width += width - widest;
  set_plane(panel, x, y, width);
}

PlotPoint place_in(const Panel& panel, double width, double re, double im) {
  return {(re - panel.x->low) / (panel.x->high - panel.x->low) * width,
          (im - panel.y->low) / (panel.y->high - panel.y->low) * panel.height};
}

std::string half_planes(const Panel& panel) {
  std::string out;
  const double boundary = std::clamp((0 - panel.x->low) / (panel.x->high - panel.x->low), 0.0, 1.0);
  if (boundary > 0)
    out += "set object 1 rectangle from graph 0, graph 0 to graph " + script_number(boundary) +
           ", graph 1 behind fillstyle solid 1.0 noborder fillcolor rgb '" +
           std::string(stable_colour) + "'\n";
  if (boundary > 0 && boundary < 1)
    out +=
        "set arrow from first 0, graph 0 to first 0, graph 1 nohead back lw 1.4 lc rgb "
        "'#202020'\n";
  if (panel.y->low < 0 && panel.y->high > 0)
    out +=
        "set arrow from graph 0, first 0 to graph 1, first 0 nohead back lw 0.8 lc rgb "
        "'#A0A0A0'\n";
  return out;
}

void add_names_of_half_planes(Panel& panel, LabelPlacement& places, double width) {
  const double boundary = std::clamp(place_in(panel, width, 0, 0).x, 0.0, width);
  for (const bool stable : {true, false}) {
    const double room = stable ? boundary : width - boundary;
    if (room < 70) continue;
    std::vector<PlotPoint> corners;
    for (const double y : {panel.height - 12, 12.0})
      for (const double x : {boundary + (stable ? -36.0 : 36.0), stable ? 36.0 : width - 36})
        corners.push_back({x, y});
    if (auto text = places.among(corners, stable ? "stable" : "unstable", 10)) {
      text->colour = "#606060";
      panel.texts.push_back(*text);
    }
  }
}

std::string plane_label(const FigureSource& source, const std::string& part) {
  return part + " (" + source.rate_unit() + ")";
}

std::string where_linearised(const FigureSource& source, Index trial) {
  const Quantity* residual = source.find("equilibrium_residual");
  if (!residual || trial >= residual->trials()) return "";
  return std::isfinite(residual->values(0, trial)) ? " at rest"
                                                   : ", away from rest (no equilibrium was found)";
}

}  // namespace settle::analysis
