// Maps over two axes.
#include "analysis/map_charts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "analysis/palette.hpp"
#include "analysis/plot_data.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t most_slices = 6;
constexpr double most_beyond = 3;  // times the longest settling time that is still told apart

// The least and the largest of the finite values (above zero where `log`).
std::pair<double, double> span(const std::vector<double>& values, bool log) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double value : values)
    if (std::isfinite(value) && (!log || value > 0)) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  return {low, high};
}

// Of a flag's word: what became of a point has its own.
std::string flag_colour(const std::string& word, std::size_t k) {
  if (word == "stable" || word == "no") return flag_colour("settled", k);
  if (word == "neutral") return flag_colour("pole at zero (predicted)", k);
  if (word == "unstable" || word == "yes") return flag_colour("unstable (predicted)", k);
  const int kind = SweepMaps::kind(word);
  return kind < 0 ? named_colour(k) : SweepMaps::kinds()[static_cast<std::size_t>(kind)].colour;
}

ColourScale scale_of(const MapQuantity& quantity) {
  ColourScale out;
  out.log = quantity.log;
  auto [low, high] = span(quantity.values, out.log);
  const auto [least, most] = span(quantity.expected, out.log);
  if (low > high) {
    low = least;
    high = most;
  } else if (least <= most) {
    low = std::min(low, std::max(least, low / most_beyond));
    out.more_above = most > most_beyond * high;
    high = std::max(high, std::min(most, most_beyond * high));
  }
  if (low > high) low = out.log ? 0.1 : 0, high = 1;
  if (low == high) {
    low = out.log ? low / 1.5 : low - 0.5 * std::max(1e-3, std::abs(low));
    high = out.log ? high * 1.5 : high + 0.5 * std::max(1e-3, std::abs(high));
  }
  out.low = low;
  out.high = high;
  return out;
}

class MapChart {
 public:
  MapChart(const SweepMaps& maps, const PlotOptions& options)
      : maps_(maps), roles_(roles(maps)), x_(roles_.numeric[0]), y_(roles_.numeric[1]) {
    for (std::size_t a = 0; a < maps.axes().size(); ++a) {
      const bool fixed =
          std::find(roles_.fixed.begin(), roles_.fixed.end(), a) != roles_.fixed.end();
      if (a != x_ && a != y_ && !fixed) others_.push_back(a);
    }
    chart_.title = maps.title();
    chart_.kinds = SweepMaps::kinds();
    std::size_t all = 1;
    for (const std::size_t a : others_) all *= maps.axes()[a].size();
    const std::size_t variables = std::max<std::size_t>(1, options.variables.size());
    slices_ = combinations(maps, others_, std::max<std::size_t>(1, most_slices / variables));
    chart_.notes = sweep_notes(maps, slices_.size(), all, "maps");
    if (!options.variables.empty())
      for (const std::string& variable : options.variables) add_slices(maps.quantity(variable));
    else if (others_.empty())
      add_standard();
    else if (const auto time = maps.settling_time())
      add_slices(*time);
    else if (const auto error = maps.inversion_error())
      add_slices(*error);
    if (chart_.panels.empty())
      throw core::InputError(maps.path().string(), "a sweep without settling times and errors",
                             "the names of maps to draw: " + core::join(maps.names()));
    const std::size_t n = chart_.panels.size();
    chart_.columns = n == 1 ? 1 : n <= 2 || n == 4 ? 2 : others_.empty() ? 2 : 3;
    for (ChartPanel& panel : chart_.panels)
      panel.height = chart_.columns == 1 ? 290 : chart_.columns == 2 ? 165 : 125;
  }

  Chart chart() const { return chart_; }

 private:
  void add_standard() {
    const auto time = maps_.settling_time();
    const auto error = maps_.inversion_error();
    const std::vector<std::size_t>& slice = slices_.front();
    if (time) {
      chart_.scales.push_back(scale_of(*time));
      const int scale = static_cast<int>(chart_.scales.size()) - 1;
      chart_.panels.push_back(panel(slice, time->title + time->unit(), time->name, time->values,
                                    maps_.outcomes(), scale));
      if (!time->expected.empty())
        chart_.panels.push_back(panel(slice, time->expected_by + time->unit(),
                                      "predicted_" + time->name, time->expected, predicted_kinds(),
                                      scale));
    }
    if (error) {
      // The error of what still moves is that of a moment, and may be anything.
      MapQuantity at_rest = *error;
      for (std::size_t p = 0; p < at_rest.values.size(); ++p)
        if (maps_.still_moves(p)) at_rest.values[p] = nan;
      chart_.scales.push_back(scale_of(at_rest));
      ChartPanel one = panel(slice, error->title, error->name, error->values, maps_.outcomes(),
                             static_cast<int>(chart_.scales.size()) - 1);
      one.marks_kinds = false;
      for (std::size_t k = 0; k < one.cells.size(); ++k)
        one.cells[k].flat = maps_.still_moves(points_of(slice)[k]);
      chart_.panels.push_back(std::move(one));
    }
    if (time && !time->expected.empty()) add_ratio(*time, slice);
  }

  void add_ratio(const MapQuantity& time, const std::vector<std::size_t>& slice) {
    std::vector<double> ratio(maps_.points(), nan);
    double most = 2;
    for (std::size_t p = 0; p < ratio.size(); ++p) {
      const double value = time.values[p] / time.expected[p];
      if (!std::isfinite(value) || !(value > 0)) continue;
      ratio[p] = value;
      most = std::max(most, std::max(value, 1 / value));
    }
    if (span(ratio, true).first > span(ratio, true).second) return;
    ColourScale scale{.log = true, .diverging = true};
    scale.high = std::min(most, 10.0);
    scale.low = 1 / scale.high;
    chart_.scales.push_back(scale);
    chart_.panels.push_back(panel(
        slice, "settling time, simulated over predicted", "settling_time / predicted_settling_time",
        ratio, std::vector<int>(maps_.points(), -1), static_cast<int>(chart_.scales.size()) - 1));
  }

  void add_slices(const MapQuantity& quantity) {
    const bool is_flag = !quantity.words.empty();
    std::vector<double> values = quantity.values;
    std::vector<int> kinds = maps_.outcomes();
    if (is_flag) {
      const auto first = static_cast<int>(chart_.kinds.size());
      for (std::size_t k = 0; k < quantity.words.size(); ++k) {
        std::string word = quantity.words[k];
        std::replace(word.begin(), word.end(), '_', ' ');
        chart_.kinds.push_back({word, flag_colour(word, k), 0});
      }
      for (std::size_t p = 0; p < values.size(); ++p)
        if (!std::isnan(values[p])) kinds[p] = first + static_cast<int>(values[p]);
    } else {
      MapQuantity alone = quantity;
      alone.expected.clear();
      chart_.scales.push_back(scale_of(alone));
    }
    for (const auto& slice : slices_) {
      const std::string where = combination_text(maps_, others_, slice);
      const bool several = slices_.size() > 1 && chart_.panels.size() >= slices_.size();
      chart_.panels.push_back(panel(slice,
                                    where.empty() ? quantity.title
                                    : several     ? where + ": " + quantity.title
                                                  : where,
                                    quantity.name, values, kinds,
                                    is_flag ? -1 : static_cast<int>(chart_.scales.size()) - 1));
      if (!where.empty()) chart_.panels.back().name = quantity.title + ", " + where;
    }
    if (!others_.empty())
      chart_.notes.push_back("Colour: " + quantity.title + quantity.unit() + ".");
  }

  // Where there is no time since the pole does not decay.
  std::vector<int> predicted_kinds() const {
    std::vector<int> out(maps_.points(), -1);
    const std::vector<double> stability = maps_.values("predicted_stability", {});
    const std::vector<char> wrong = maps_.paper_is_wrong();
    const std::string against = ", but not by the paper's condition";
    for (std::size_t p = 0; p < out.size(); ++p) {
      const bool unstable = stability[p] == 2, stable = stability[p] == 0;
      const std::string name = unstable ? "unstable (predicted)" : "stable (predicted)";
      if ((unstable || stable) && wrong[p])
        out[p] = SweepMaps::kind(name + against);
      else if (!stable)
        out[p] = unstable            ? SweepMaps::kind(name)
                 : stability[p] == 1 ? SweepMaps::kind("pole at zero (predicted)")
                                     : -1;
    }
    return out;
  }

  // The points of a slice in the order of a panel's cells.
  std::vector<std::size_t> points_of(std::vector<std::size_t> places) const {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < maps_.axes()[x_].size(); ++i)
      for (std::size_t j = 0; j < maps_.axes()[y_].size(); ++j) {
        places[x_] = i;
        places[y_] = j;
        out.push_back(maps_.point(places));
      }
    return out;
  }

  ChartPanel panel(const std::vector<std::size_t>& slice, const std::string& title,
                   const std::string& value_name, const std::vector<double>& values,
                   const std::vector<int>& kinds, int scale) const {
    ChartPanel out;
    out.title = title;
    out.value_name = value_name;
    out.x = maps_.axes()[x_].chart_axis();
    out.y = maps_.axes()[y_].chart_axis();
    out.scale = scale;
    for (const std::size_t p : points_of(slice)) {
      const std::size_t i = maps_.place(p, x_), j = maps_.place(p, y_);
      ChartCell cell;
      cell.x = maps_.axes()[x_].position(i);
      cell.y = maps_.axes()[y_].position(j);
      std::tie(cell.left, cell.right) = maps_.axes()[x_].cell(i);
      std::tie(cell.bottom, cell.top) = maps_.axes()[y_].cell(j);
      cell.value = values[p];
      cell.kind = kinds[p];
      out.cells.push_back(cell);
    }
    add_boundary(out, slice);
    return out;
  }

  void add_boundary(ChartPanel& panel, const std::vector<std::size_t>& slice) const {
    ChartSeries series;
    series.name =
        std::string("boundary of stability (exact)") + (maps_.trial() == 0 ? "" : ", of trial 0");
    series.width = 1.9;
    series.halo = true;
    const auto& along = maps_.boundary_axes();
    const bool along_x = std::find(along.begin(), along.end(), x_) != along.end();
    const bool along_y = std::find(along.begin(), along.end(), y_) != along.end();
    int curve = -1;
    for (const MapBoundary& point : maps_.boundary()) {
      if (!maps_.on_slice(point, slice, {x_, y_})) continue;
      if (along_x && along_y) {
        if (point.curve != curve && curve >= 0) series.points.push_back({nan, nan});
        curve = point.curve;
        series.points.push_back({maps_.axes()[x_].position_of(point.numbers[x_]),
                                 maps_.axes()[y_].position_of(point.numbers[y_])});
      } else if (along_x || along_y) {
        // Along one axis only: a place in each row or column of cells.
        const std::size_t other = along_x ? y_ : x_;
        const auto [low, high] =
            maps_.axes()[other].cell(static_cast<std::size_t>(point.numbers[other]));
        const std::size_t one = along_x ? x_ : y_;
        const double at = maps_.axes()[one].position_of(point.numbers[one]);
        if (!series.points.empty()) series.points.push_back({nan, nan});
        for (const double end : {low, high})
          series.points.push_back(along_x ? ChartPoint{at, end} : ChartPoint{end, at});
      }
    }
    if (!series.points.empty()) panel.series.push_back(std::move(series));
  }

  const SweepMaps& maps_;
  AxisRoles roles_;
  std::size_t x_, y_;
  std::vector<std::size_t> others_;
  std::vector<std::vector<std::size_t>> slices_;
  Chart chart_;
};

}  // namespace

// ---- Axes ----

AxisRoles roles(const SweepMaps& maps) {
  AxisRoles out;
  for (std::size_t a = 0; a < maps.axes().size(); ++a) {
    const MapAxis& axis = maps.axes()[a];
    auto& role = axis.size() < 2   ? out.fixed
                 : axis.is_seed    ? out.seeds
                 : axis.is_numeric ? out.numeric
                                   : out.texts;
    role.push_back(a);
  }
  return out;
}

std::vector<std::vector<std::size_t>> combinations(const SweepMaps& maps,
                                                   const std::vector<std::size_t>& axes,
                                                   std::size_t most) {
  std::vector<std::size_t> counts;
  std::size_t n = 1;
  for (const std::size_t a : axes) {
    counts.push_back(maps.axes()[a].size());
    n *= counts.back();
  }
  while (n > most) {
    const auto longest = std::max_element(counts.begin(), counts.end());
    if (*longest <= 1) break;
    n = n / *longest * (*longest - 1);
    --*longest;
  }
  std::vector<std::vector<std::size_t>> out = {std::vector<std::size_t>(maps.axes().size(), 0)};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    std::vector<std::vector<std::size_t>> longer;
    for (const std::vector<std::size_t>& one : out)
      for (const Index k : evenly_chosen(static_cast<Index>(maps.axes()[axes[i]].size()),
                                         static_cast<Index>(counts[i]))) {
        longer.push_back(one);
        longer.back()[axes[i]] = static_cast<std::size_t>(k);
      }
    out = std::move(longer);
  }
  return out;
}

std::string combination_text(const SweepMaps& maps, const std::vector<std::size_t>& axes,
                             const std::vector<std::size_t>& places) {
  std::string out;
  for (const std::size_t a : axes)
    out +=
        (out.empty() ? "" : ", ") + maps.axes()[a].symbol + " = " + maps.axes()[a].names[places[a]];
  return out;
}

std::vector<std::string> sweep_notes(const SweepMaps& maps, std::size_t drawn, std::size_t of,
                                     const std::string& what) {
  std::vector<std::string> out = maps.remarks();
  const std::vector<std::size_t> fixed = roles(maps).fixed;
  if (!fixed.empty())
    out.back() +=
        " " + combination_text(maps, fixed, std::vector<std::size_t>(maps.axes().size(), 0)) + ".";
  if (drawn < of)
    out.back() +=
        " " + std::to_string(drawn) + " of " + std::to_string(of) + " " + what + " are drawn.";
  return out;
}

Chart map_chart(const SweepMaps& maps, const PlotOptions& options) {
  return MapChart(maps, options).chart();
}

}  // namespace settle::analysis
