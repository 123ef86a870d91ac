#include <algorithm>
#include <cmath>

#include "analysis/figure_source.hpp"
#include "analysis/palette.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;

constexpr double smallest_share = 1e-9;  // of the largest singular value: below it is rounding

// "_control_1" of every controller whose error was split; "" where there is one.
std::vector<std::string> suffixes(const FigureSource& source) {
  const std::string stem = "direction_error_linear";
  std::vector<std::string> out;
  for (const Quantity& quantity : source.quantities())
    if (quantity.name.starts_with(stem)) {
      const std::string suffix = quantity.name.substr(stem.size());
      if (source.find("singular_value" + suffix) && source.find("direction_error" + suffix))
        out.push_back(suffix);
    }
  return out;
}

}  // namespace

Figure directions_figure(const FigureSource& source, const PlotOptions& options) {
  Figure figure;
  figure.name = "directions";
  figure.title = source.title();
  figure.width = 0.72 * options.width;
  figure.height = options.height;
  Panel panel;
  panel.name = "singular directions";
  panel.title = "error in each singular direction of the weights";
  panel.symbol = "|error| / |setpoint|";
  panel.x_label = "singular value σ of the weights";
  panel.log_x = panel.log_y = true;
  panel.height = 300;
  const std::vector<std::string> all = suffixes(source);
  Index trial = 0, trials = 1;
  double low = 1, high = 0;
  for (std::size_t c = 0; c < all.size(); ++c) {
    const Quantity& sigma = *source.find("singular_value" + all[c]);
    const Quantity& error = *source.find("direction_error" + all[c]);
    const Quantity& linear = *source.find("direction_error_linear" + all[c]);
    trial = checked_trial(source, sigma, options);
    trials = sigma.trials();
    const std::string hue = named_colour(c);
    const std::string name = all[c].empty() ? "measured" : all[c].substr(1);
    const std::string of = all[c].empty() ? "" : name + ", ";
    const double least = smallest_share * sigma.values.col(trial).maxCoeff();
    const auto points = [&](const Quantity& y, Index k) {
      std::vector<PlotPoint> out;
      for (Index i = 0; i < y.cells(); ++i)
        if (sigma.values(i, k) > least && y.values(i, k) > 0)
          out.push_back({sigma.values(i, k), y.values(i, k)});
      return out;
    };
    Curve others{.points = {}, .style = "pt 7 ps 0.4 lc rgb '" + faded(hue) + "'", .key = ""};
    others.with = "points";
    others.series = name + ", other trials";
    for (const Index k : evenly_chosen(trials, 200)) {
      if (k == trial) continue;
      const std::vector<PlotPoint> some = points(error, k);
      others.points.insert(others.points.end(), some.begin(), some.end());
    }
    if (!others.points.empty()) panel.curves.push_back(std::move(others));
    panel.curves.push_back({.points = points(linear, trial),
                            .style = "pt 6 ps 0.5 lc rgb '" + hue + "' lw 1.4 dt (6,4)",
                            .key = c > 0 ? "" : "1/(1 + Gσ²)",
                            .series = of + "1/(1 + Gσ²)",
                            .with = "linespoints"});
    Curve own{
        .points = points(error, trial), .style = "pt 7 ps 0.8 lc rgb '" + hue + "'", .key = name};
    own.with = "points";
    panel.curves.push_back(std::move(own));
    for (const Curve& curve : panel.curves)
      for (const PlotPoint& p : curve.points) {
        low = high == 0 ? p.x : std::min(low, p.x);
        high = std::max(high, p.x);
      }
  }
  if (high == 0)
    throw core::InputError(
        source.path().string(),
        "no error above 0 in any singular direction of trial " + std::to_string(trial),
        "a trial that has one");
  // Room for the outermost points.
  const double room = std::pow(high / low, 0.04) * (high == low ? 2 : 1.03);
  panel.x = AxisRange{low / room, high * room};
  std::string text = trial_text(trial, trials);
  text += (text.empty() ? "" : ", others pale; ") +
          std::string("dashed: what a linear loop with B = −Wᵀ leaves at rest");
  figure.notes = {text};
  figure.panels.push_back(std::move(panel));
  return figure;
}

}  // namespace settle::analysis
