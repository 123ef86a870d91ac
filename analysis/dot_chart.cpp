// Settling time and error of a sweep over names: a row of dots for each combination.
#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/map_charts.hpp"
#include "analysis/palette.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t most_rows = 40;
constexpr double row_height = 21;
constexpr double most_beyond = 30;  // times the largest value at rest that is still shown

class DotChart {
 public:
  DotChart(const SweepMaps& maps, const PlotOptions& options) : maps_(maps), roles_(roles(maps)) {
    labels_ = roles_.texts;
    seeds_ = roles_.seeds;
    if (labels_.empty()) std::swap(labels_, seeds_);  // each seed is a row
    if (labels_.empty()) labels_ = {0};               // a single point
    std::size_t all = 1;
    for (const std::size_t a : labels_) all *= maps.axes()[a].size();
    rows_ = combinations(maps, labels_, most_rows);
    chart_.title = maps.title();
    chart_.notes = sweep_notes(maps, rows_.size(), all, "rows");
    if (!seeds_.empty())
      chart_.notes.back() += " A dot a seed (" + std::to_string(seeds().size()) +
                             "), bars their range, large dots their mean, of those that have a "
                             "value.";
    const auto& outcomes = maps.outcomes();
    const bool all_settled =
        std::all_of(outcomes.begin(), outcomes.end(), [](int kind) { return kind < 0; });
    std::vector<MapQuantity> quantities;
    for (const std::string& variable : options.variables)
      quantities.push_back(maps.quantity(variable));
    if (quantities.empty()) {
      quantities = maps.beside_error();
      // Beside the outcomes there is room for two.
      if (!all_settled && quantities.size() > 1)
        quantities.erase(quantities.begin() + 1, quantities.end());
      if (const auto error = maps.inversion_error()) quantities.push_back(*error);
    }
    if (quantities.empty())
      throw core::InputError(maps.path().string(), "a sweep without settling times and errors",
                             "the names of maps to draw: " + core::join(maps.names()));
    for (const MapQuantity& quantity : quantities)
      if (quantity.has_values())
        add(quantity);
      else
        chart_.notes.push_back("No point has a value of: " + quantity.title + ".");
    if ((!all_settled && chart_.panels.size() <= 2) || chart_.panels.empty()) add_outcomes();
    chart_.columns = std::min<std::size_t>(chart_.panels.size(), all_settled ? 2 : 3);
  }

  Chart chart() const { return chart_; }

 private:
  std::vector<std::vector<std::size_t>> seeds() const {
    return combinations(maps_, seeds_, 100000);
  }

  std::vector<std::size_t> points(std::size_t row) const {
    std::vector<std::size_t> out;
    for (const auto& seed : seeds()) {
      std::vector<std::size_t> places = rows_[row];
      for (const std::size_t a : seeds_) places[a] = seed[a];
      out.push_back(maps_.point(places));
    }
    return out;
  }

  // The first row is at the top.
  double height_of(std::size_t row) const { return static_cast<double>(rows_.size() - 1 - row); }

  ChartAxis row_axis() const {
    ChartAxis out;
    out.name = "row";
    out.names.assign(rows_.size(), "");
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      std::string& name = out.names[rows_.size() - 1 - r];
      for (const std::size_t a : labels_) {
        const MapAxis& axis = maps_.axes()[a];
        name += (name.empty() ? "" : ", ") + (axis.is_numeric ? axis.symbol + " " : std::string()) +
                axis.names[rows_[r][a]];
      }
    }
    out.low = -0.5;
    out.high = static_cast<double>(rows_.size()) - 0.5;
    return out;
  }

  void add(const MapQuantity& quantity) {
    ChartPanel panel;
    panel.title = quantity.title + quantity.unit();
    panel.x.name = quantity.name;
    panel.x.log = quantity.log;
    panel.y = row_axis();
    panel.height = row_height * static_cast<double>(rows_.size()) + 8;
    const bool repeated = !seeds_.empty();
    ChartSeries dots, mean, expected, moving;
    dots.name = "each seed";
    dots.stroke = mean.stroke = expected.stroke = Stroke::none;
    dots.mark = mean.mark = 7;
    dots.mark_size = 0.3;
    dots.colour = "#7FB2D6";
    mean.name = repeated ? "mean" : "simulated";
    mean.mark_size = 0.65;
    mean.colour = named_colour(0);
    mean.has_range = mean.range_of_x = repeated;
    expected.name = quantity.expected_by + (repeated ? " (mean)" : "");
    expected.mark = 12;
    expected.mark_size = 0.75;
    expected.colour = named_colour(1);
    moving.name = "not at rest at the end";
    moving.stroke = Stroke::none;
    moving.mark = 6;
    moving.mark_size = 0.5;
    moving.colour = "#606060";
    std::vector<double> shown;
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      const double y = height_of(r);
      ChartPoint one{nan, y, nan, nan};
      double sum = 0, predicted = 0;
      int n = 0, predictions = 0;
      for (const std::size_t p : points(r)) {
        const double value = quantity.values[p];
        const double other = quantity.expected.empty() ? nan : quantity.expected[p];
        if (std::isfinite(other)) {
          predicted += other;
          ++predictions;
        }
        if (!std::isfinite(value) || (quantity.log && !(value > 0))) continue;
        if (quantity.of_rest && maps_.still_moves(p)) {
          moving.points.push_back({value, y});
          continue;
        }
        if (repeated) dots.points.push_back({value, y});
        sum += value;
        ++n;
        if (!(value >= one.low)) one.low = value;
        if (!(value <= one.high)) one.high = value;
      }
      if (n > 0) one.x = sum / n;
      mean.points.push_back(one);
      if (predictions > 0) expected.points.push_back({predicted / predictions, y});
      for (const double value : {one.low, one.high}) shown.push_back(value);
      if (predictions > 0) shown.push_back(predicted / predictions);
    }
    double largest = 0;
    for (const double value : shown)
      if (value > largest) largest = value;
    for (const ChartPoint& point : moving.points)
      shown.push_back(largest > 0 ? std::min(point.x, most_beyond * largest) : point.x);
    fit(panel.x, shown, 0.08);
    if (!expected.points.empty()) panel.series.push_back(std::move(expected));
    const bool any = std::any_of(mean.points.begin(), mean.points.end(),
                                 [](const ChartPoint& point) { return std::isfinite(point.x); });
    if (any) panel.series.push_back(std::move(mean));
    if (any && repeated) panel.series.push_back(std::move(dots));
    if (!moving.points.empty()) panel.series.push_back(std::move(moving));
    chart_.panels.push_back(std::move(panel));
  }

  // What became of every point: a cell a seed.
  void add_outcomes() {
    chart_.kinds = SweepMaps::kinds();
    ChartPanel panel;
    panel.title = "outcome";
    panel.y = row_axis();
    panel.height = row_height * static_cast<double>(rows_.size()) + 8;
    const auto n = seeds().size();
    panel.share = std::min(0.18 + 0.06 * static_cast<double>(n), 0.8);
    panel.x.low = -0.5;
    panel.x.high = static_cast<double>(n) - 0.5;
    panel.x.names.assign(n, "");
    if (n > 1) {
      panel.x.label = "seed";
      panel.x.name = "seed";
      for (std::size_t s = 0; s < n; ++s) {
        const std::vector<std::size_t> places = seeds()[s];
        for (const std::size_t a : seeds_)
          panel.x.names[s] +=
              (panel.x.names[s].empty() ? "" : ", ") + maps_.axes()[a].names[places[a]];
      }
    }
    for (std::size_t r = 0; r < rows_.size(); ++r) {
      const std::vector<std::size_t> all = points(r);
      for (std::size_t s = 0; s < n; ++s) {
        ChartCell cell;
        cell.x = static_cast<double>(s);
        cell.y = height_of(r);
        cell.left = cell.x - 0.5;
        cell.right = cell.x + 0.5;
        cell.bottom = cell.y - 0.5;
        cell.top = cell.y + 0.5;
        cell.value = nan;
        cell.kind =
            maps_.outcomes()[all[s]] < 0 ? SweepMaps::kind("settled") : maps_.outcomes()[all[s]];
        panel.cells.push_back(cell);
      }
    }
    chart_.panels.push_back(std::move(panel));
  }

  const SweepMaps& maps_;
  AxisRoles roles_;
  std::vector<std::size_t> labels_, seeds_;
  std::vector<std::vector<std::size_t>> rows_;
  Chart chart_;
};

}  // namespace

Chart dot_chart(const SweepMaps& maps, const PlotOptions& options) {
  return DotChart(maps, options).chart();
}

}  // namespace settle::analysis
