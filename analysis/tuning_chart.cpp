// What a tuning found: the front of settling time against error.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "analysis/map_charts.hpp"
#include "analysis/palette.hpp"
#include "analysis/text.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double about_width = 480;      // of the panel, in points of its design
constexpr double label_distance = 0.13;  // of the panel, between points that are labelled

// Numbers of a quantity, of the trial where there are several.
std::vector<double> column(const io::AnalysisFile& file, const std::string& name,
                           std::int64_t trial) {
  const core::Quantity* found = file.find(name);
  if (!found || found->values.cols() == 0) return {};
  const Eigen::Index k = std::min<Eigen::Index>(trial, found->values.cols() - 1);
  return {found->values.col(k).begin(), found->values.col(k).end()};
}

double scalar(const io::AnalysisFile& file, const std::string& name, std::int64_t trial) {
  const std::vector<double> numbers = column(file, name, trial);
  return numbers.empty() ? nan : numbers.front();
}

// Where a point stands in the panel, as a share of it.
double share(const ChartAxis& axis, double at) {
  return std::log(at / axis.low) / std::log(axis.high / axis.low);
}

// α beside points of the front, from its ends inwards, as many as have room.
void add_labels(ChartPanel& panel, const std::vector<double>& leaks) {
  const std::vector<ChartPoint>& points = panel.series.front().points;
  std::vector<std::size_t> order;
  for (std::size_t k = 0; k < points.size(); ++k) order.push_back(k);
  if (order.size() > 2) std::swap(order[1], order.back());
  std::vector<std::pair<double, double>> taken;
  for (std::size_t s = 1; s < panel.series.size(); ++s)
    for (const ChartPoint& point : panel.series[s].points)
      taken.emplace_back(share(panel.x, point.x), share(panel.y, point.y));
  for (const std::size_t k : order) {
    if (k >= leaks.size() || !std::isfinite(leaks[k]) || !std::isfinite(points[k].x) ||
        !std::isfinite(points[k].y))
      continue;
    const double x = share(panel.x, points[k].x), y = share(panel.y, points[k].y);
    const bool free = std::none_of(taken.begin(), taken.end(), [&](const auto& other) {
      return std::hypot(other.first - x, other.second - y) < label_distance;
    });
    if (!free) continue;
    // The front falls: above to the right of it is free, and below to the left.
    char text[32];
    std::snprintf(text, sizeof text, "α = %.2g", leaks[k]);
    const double length = text_width(text, 10) / about_width;
    const auto fits = [&](double from, double to) {
      return from > 0 && to < 1 &&
             std::none_of(panel.rules.begin(), panel.rules.end(), [&](const ChartRule& rule) {
               const double at = share(panel.x, rule.x);
               return at > from && at < to;
             });
    };
    const bool right = fits(x, x + length), left = fits(x - length, x);
    if (!right && !left) continue;
    taken.emplace_back(x, y);
    panel.texts.push_back({.x = points[k].x,
                           .y = points[k].y,
                           .text = text,
                           .colour = "#404040",
                           .dx = right ? 3.0 : -3.0,
                           .dy = right ? -9.0 : 9.0});
  }
}

}  // namespace

Chart tuning_chart(const io::AnalysisFile& file, const PlotOptions& options) {
  const std::vector<double> error = column(file, "front_inversion_error", options.trial);
  const std::vector<double> time = column(file, "front_settling_time", options.trial);
  const std::vector<double> leaks = column(file, "front_leak", options.trial);
  if (error.empty() || time.size() != error.size())
    throw core::InputError(file.path().string(), "a tuning without its front",
                           "front_inversion_error and front_settling_time, as settle tune writes");
  const core::Quantity* of_time = file.find("front_settling_time");
  const std::string unit = of_time->units.empty() || of_time->units == "1" ? "" : of_time->units;
  Chart chart;
  chart.title =
      file.attribute("title").empty() ? file.path().filename().string() : file.attribute("title");
  ChartPanel panel;
  panel.name = "tuning";
  panel.height = 250;
  panel.x.label = "inversion error, ‖e‖/‖y‖";
  panel.x.name = "inversion_error";
  panel.y.label = "settling time" + (unit.empty() ? "" : " (" + unit + ")");
  panel.y.name = "settling_time" + (unit.empty() ? "" : " (" + unit + ")");
  panel.x.log = panel.y.log = true;

  ChartSeries front;
  front.name = "best settling time for each α";
  front.colour = named_colour(0);
  front.mark = 7;
  front.mark_size = 0.4;
  std::vector<double> xs = error, ys = time;
  for (std::size_t k = 0; k < error.size(); ++k) front.points.push_back({error[k], time[k]});
  panel.series.push_back(std::move(front));
  std::vector<double> gained;
  for (const bool before : {true, false}) {
    const std::string when = before ? "before" : "after";
    const double x = scalar(file, "inversion_error_" + when, options.trial);
    const double y = scalar(file, "settling_time_" + when, options.trial);
    gained.push_back(y);
    if (!std::isfinite(x) || !std::isfinite(y)) {
      chart.notes.push_back(std::string(before ? "As it was" : "As tuned") +
                            ", the circuit has no settling time.");
      continue;
    }
    xs.push_back(x);
    ys.push_back(y);
    ChartSeries one;
    one.name = before ? "as it was" : "as tuned";
    one.colour = before ? "#D55E00" : "#009E73";
    one.stroke = Stroke::none;
    one.mark = before ? 5 : 9;
    one.mark_size = before ? 0.9 : 1.2;
    one.points = {{x, y}};
    panel.series.push_back(std::move(one));
  }
  if (gained[0] > 0 && gained[1] > 0)
    chart.notes.push_back("Settling time " + core::brief(gained[0], unit) + " before, " +
                          core::brief(gained[1], unit) + " after tuning.");
  const double bound = scalar(file, "error_bound", options.trial);
  if (bound > 0) {
    xs.push_back(bound);
    panel.rules.push_back({bound, "largest error allowed", "#404040", Stroke::dashed});
  }
  fit(panel.x, xs, 0.08);
  fit(panel.y, ys, 0.1);
  add_labels(panel, leaks);
  chart.panels.push_back(std::move(panel));
  return chart;
}

}  // namespace settle::analysis
