#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "analysis/complex_plane.hpp"
#include "analysis/palette.hpp"

namespace settle::analysis {
namespace {

// What the curves span, and at least a tenth of their size.
std::optional<AxisRange> readable_range(const std::vector<Curve>& curves) {
  AxisRange range{std::numeric_limits<double>::infinity(),
                  -std::numeric_limits<double>::infinity()};
  for (const Curve& curve : curves)
    for (const PlotPoint& p : curve.points)
      if (std::isfinite(p.y)) range = {std::min(range.low, p.y), std::max(range.high, p.y)};
  if (!(range.low <= range.high)) return std::nullopt;
  const double size = std::max(std::abs(range.low), std::abs(range.high));
  const double span = std::max(1.12 * (range.high - range.low), size > 0 ? 0.1 * size : 1.0);
  const double middle = (range.low + range.high) / 2;
  return AxisRange{middle - span / 2, middle + span / 2};
}

}  // namespace

Figure poles_along_figure(const FigureSource& source, const PlotOptions& options) {
  const core::Quantity& pole = *source.find("pole_along");
  const Index trial = checked_trial(source, pole, options), trials = pole.trials();
  Figure figure;
  figure.name = "poles_along";
  figure.title = source.title();
  figure.width = plane_width * options.width;
  figure.height = options.height;
  Panel panel;
  panel.height = 220;
  panel.title = "rightmost pole along the trajectory";
  panel.symbol = plane_label(source, "Re s");
  panel.x_label = source.time_label();
  const core::Quantity* rest = source.find("slowest_pole");
  const auto& times = pole.axes.at(0).numbers;
  const auto line = [&](Index k) {
    Curve curve;
    for (std::size_t i = 0; i < times.size(); ++i)
      curve.points.push_back({times[i], pole.values(static_cast<Index>(i), k)});
    curve.series = "trial " + std::to_string(k);
    return curve;
  };
  for (const Index k : evenly_chosen(trials, 40)) {
    if (k == trial) continue;
    panel.curves.push_back(line(k));
    panel.curves.back().style = "lc rgb '" + faded(named_colour(0)) + "' lw 0.8";
  }
  Curve own = line(trial);
  own.style = "lc rgb '" + named_colour(0) + "' lw 2";
  own.key = "rightmost pole there";
  panel.curves.push_back(std::move(own));
  if (rest && trial < rest->trials() && std::isfinite(rest->values(0, trial)) && !times.empty()) {
    const double at = rest->values(0, trial);
    panel.curves.push_back({.points = {{times.front(), at}, {times.back(), at}},
                            .style = "lc rgb '#222222' lw 1.2 dt (6,4)",
                            .key = "at rest",
                            .series = "slowest_pole"});
  }
  panel.backdrop =
      "set arrow from graph 0, first 0 to graph 1, first 0 nohead back lw 1.4 lc rgb '#202020'\n";
  if (trials > 1) figure.notes = {trial_text(trial, trials)};
  panel.y = readable_range(panel.curves);
  figure.panels.push_back(std::move(panel));
  return figure;
}

}  // namespace settle::analysis
