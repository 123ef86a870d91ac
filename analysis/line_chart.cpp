// Error and settling time over one axis of a sweep.
#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/map_charts.hpp"
#include "analysis/palette.hpp"
#include "analysis/plot_data.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t most_lines = 7;
constexpr std::size_t most_directions = 6;
constexpr std::size_t most_marked = 48;  // points of a line that still have marks
constexpr double most_beyond = 30;       // times the largest value at rest that is still shown
constexpr const char* not_at_rest = ", not at rest";
constexpr const char* grey = "#606060";

class LineChart {
 public:
  LineChart(const SweepMaps& maps, const PlotOptions& options)
      : maps_(maps), roles_(roles(maps)), x_(roles_.numeric[0]), axis_(maps.axes()[x_]) {
    for (std::size_t a = 0; a < maps.axes().size(); ++a)
      if (a != x_ && maps.axes()[a].size() > 1 && !maps.axes()[a].is_seed) others_.push_back(a);
    std::size_t all = 1;
    for (const std::size_t a : others_) all *= maps.axes()[a].size();
    lines_ = combinations(maps, others_, most_lines);
    order_.resize(axis_.size());
    for (std::size_t k = 0; k < order_.size(); ++k) order_[k] = k;
    std::sort(order_.begin(), order_.end(),
              [&](std::size_t a, std::size_t b) { return axis_.position(a) < axis_.position(b); });
    chart_.title = maps.title();
    chart_.kinds = SweepMaps::kinds();
    chart_.notes = sweep_notes(maps, lines_.size(), all, "lines");
    if (!roles_.seeds.empty())
      chart_.notes.back() += " Mean and range over " +
                             std::to_string(combinations(maps, roles_.seeds, 100000).size()) +
                             " seeds, of those that have a value.";
    if (options.variables.empty()) {
      add_error();
      if (lines_.size() == 1 && roles_.seeds.empty()) add_directions();
      for (const MapQuantity& quantity : maps.beside_error()) add(quantity);
    } else {
      for (const std::string& variable : options.variables) add(maps.quantity(variable));
    }
    if (chart_.panels.size() > 4)
      for (ChartPanel& panel : chart_.panels) panel.height *= 0.8;
    add_boundary();
    add_outcomes();
    if (chart_.panels.empty())
      throw core::InputError(maps.path().string(), "a sweep without settling times and errors",
                             "the names of maps to draw: " + core::join(maps.names()));
  }

  Chart chart() const { return chart_; }

 private:
  std::string colour(std::size_t line) const {
    const bool ordered = others_.size() == 1 && maps_.axes()[others_[0]].is_numeric;
    return ordered && lines_.size() > 1
               ? viridis(0.9 * static_cast<double>(line) / static_cast<double>(lines_.size() - 1))
               : named_colour(line);
  }

  std::string line_name(std::size_t line) const {
    return combination_text(maps_, others_, lines_[line]);
  }

  // The points of a line at a value of the axis, one a seed.
  std::vector<std::size_t> points(std::size_t line, std::size_t k) const {
    std::vector<std::size_t> out;
    for (const auto& seed : combinations(maps_, roles_.seeds, 100000)) {
      std::vector<std::size_t> places = lines_[line];
      for (const std::size_t a : roles_.seeds) places[a] = seed[a];
      places[x_] = k;
      out.push_back(maps_.point(places));
    }
    return out;
  }

  ChartSeries line(const std::vector<double>& values, std::size_t line, bool log) const {
    ChartSeries out;
    out.colour = colour(line);
    out.has_range = !roles_.seeds.empty();
    for (const std::size_t k : order_) {
      ChartPoint point{axis_.position(k), nan, nan, nan};
      double sum = 0;
      int n = 0;
      for (const std::size_t p : points(line, k)) {
        if (!std::isfinite(values[p]) || (log && !(values[p] > 0))) continue;
        sum += values[p];
        ++n;
        if (!(values[p] >= point.low)) point.low = values[p];
        if (!(values[p] <= point.high)) point.high = values[p];
      }
      if (n > 0) point.y = sum / n;
      out.points.push_back(point);
    }
    return out;
  }

  void mark(ChartSeries& series) const {
    if (order_.size() > most_marked) return;
    series.mark = 7;
    series.mark_size = 0.4;
  }

  // As wide as the points are, not their cells.
  ChartAxis x_axis() const {
    ChartAxis out = axis_.chart_axis();
    std::vector<double> positions;
    for (std::size_t k = 0; k < axis_.size(); ++k) positions.push_back(axis_.position(k));
    fit(out, positions, 0.02);
    return out;
  }

  ChartPanel new_panel(const std::string& title, const std::string& name, bool log) const {
    ChartPanel out;
    out.title = title;
    out.x = x_axis();
    out.y.name = name;
    out.y.log = log;
    out.height = 118;
    return out;
  }

  // The panel with its y axis around its lines; predictions beyond what is measured may leave it.
  void finish(ChartPanel panel, double at_most = std::numeric_limits<double>::infinity()) {
    fit(panel.y, heights(panel, at_most));
    chart_.panels.push_back(std::move(panel));
  }

  void add_prediction_key(ChartPanel& panel, const std::string& name) const {
    ChartSeries key;
    key.name = name;
    key.colour = grey;
    key.stroke = Stroke::dashed;
    panel.series.push_back(key);
  }

  // Those of the points that still move, or of the others; NaN for the rest.
  std::vector<double> split(std::vector<double> values, bool moving) const {
    for (std::size_t p = 0; p < values.size(); ++p)
      if (maps_.still_moves(p) != moving) values[p] = nan;
    return values;
  }

  // Circles at the points that still move.
  void add_moving(ChartPanel& panel, const std::vector<double>& values, std::size_t l,
                  const std::string& name) const {
    ChartSeries moving = line(split(values, true), l, true);
    const bool any = std::any_of(moving.points.begin(), moving.points.end(),
                                 [](const ChartPoint& point) { return std::isfinite(point.y); });
    if (!any) return;
    moving.has_range = false;
    moving.stroke = Stroke::none;
    moving.mark = 6;
    moving.mark_size = 0.45;
    moving.in_key = false;
    moving.name = name + not_at_rest;
    panel.series.push_back(moving);
  }

  static void add_moving_key(ChartPanel& panel) {
    const bool any =
        std::any_of(panel.series.begin(), panel.series.end(),
                    [](const ChartSeries& series) { return series.name.ends_with(not_at_rest); });
    if (!any) return;
    ChartSeries key;
    key.name = "not at rest at the end";
    key.colour = grey;
    key.stroke = Stroke::none;
    key.mark = 6;
    key.mark_size = 0.45;
    panel.series.push_back(key);
  }

  // A quantity, and what is expected of it.
  void add(const MapQuantity& quantity) {
    if (!quantity.has_values()) {
      chart_.notes.push_back("No point has a value of: " + quantity.title + ".");
      return;
    }
    ChartPanel panel = new_panel(quantity.title + quantity.unit(), quantity.name, quantity.log);
    double largest = 0;
    for (std::size_t l = 0; l < lines_.size(); ++l) {
      ChartSeries simulated =
          line(quantity.of_rest ? split(quantity.values, false) : quantity.values, l, quantity.log);
      simulated.name = lines_.size() > 1 ? line_name(l) : "simulated";
      mark(simulated);
      // The first are wider, so that those that later ones cover are seen.
      if (lines_.size() <= 4) simulated.width += 0.5 * static_cast<double>(lines_.size() - 1 - l);
      if (quantity.of_rest) add_moving(panel, quantity.values, l, simulated.name);
      for (const ChartPoint& point : simulated.points)
        if (point.y > largest) largest = point.y;
      if (!quantity.expected.empty()) {
        ChartSeries expected = line(quantity.expected, l, quantity.log);
        expected.stroke = Stroke::dashed;
        expected.width = 1.1;
        expected.has_range = false;
        expected.name = (lines_.size() > 1 ? line_name(l) + ", " : "") + quantity.expected_by;
        expected.in_key = false;
        if (lines_.size() == 1) expected.colour = grey;
        panel.series.push_back(std::move(expected));
      }
      panel.series.push_back(std::move(simulated));
    }
    add_moving_key(panel);
    if (!quantity.expected.empty()) add_prediction_key(panel, quantity.expected_by);
    at_most_ = largest > 0 ? most_beyond * largest : std::numeric_limits<double>::infinity();
    finish(std::move(panel), at_most_);
  }

  // ---- The error ----

  // Ends of the names of maps of a loop: "" or "_control_2".
  std::vector<std::string> loops() const {
    std::vector<std::string> out;
    for (const std::string& name : maps_.inversion_errors())
      out.push_back(name.substr(std::string("inversion_error").size()));
    return out;
  }

  void add_error() {
    const auto error = maps_.inversion_error();
    if (!error) return;
    const std::vector<std::string> names = loops();
    if (lines_.size() > 1 || names.size() == 1) {
      add(*error);
      if (lines_.size() == 1 && roles_.seeds.empty()) add_envelope(names.front());
      return;
    }
    ChartPanel panel =
        new_panel("inversion error of each loop at the end, ‖e‖/‖y‖", "inversion_error", true);
    for (std::size_t c = 0; c < names.size(); ++c) {
      ChartSeries one = line(maps_.values("inversion_error" + names[c], {}), 0, true);
      one.name = names[c].substr(1);
      one.colour = named_colour(c);
      mark(one);
      panel.series.push_back(std::move(one));
    }
    finish(std::move(panel));
  }

  Eigen::Index directions(const std::string& loop) const {
    const std::string name = "direction_error_linear" + loop;
    if (!maps_.has(name)) return 0;
    const auto& axes = maps_.map(name).axes;
    return axes.size() == 2 ? axes[1].size : 0;
  }

  // What a linear loop leaves of the strongest and of the weakest direction: the error as a whole
  // lies between.
  void add_envelope(const std::string& loop) {
    const Eigen::Index n = directions(loop);
    if (n == 0) return;
    ChartPanel panel = std::move(chart_.panels.back());
    chart_.panels.pop_back();
    std::vector<double> strongest(maps_.points(), nan), weakest(maps_.points(), nan);
    for (Eigen::Index d = 0; d < n; ++d) {
      const std::vector<double> one = maps_.values("direction_error_linear" + loop, {d});
      for (std::size_t p = 0; p < one.size(); ++p) {
        if (!(one[p] >= strongest[p])) strongest[p] = one[p];
        if (!(one[p] <= weakest[p])) weakest[p] = one[p];
      }
    }
    ChartSeries band = line(weakest, 0, true);
    const ChartSeries lower = line(strongest, 0, true);
    for (std::size_t k = 0; k < band.points.size(); ++k) {
      ChartPoint& point = band.points[k];
      point = {point.x, nan, lower.points[k].y, point.y};
    }
    band.name = "1/(1 + Gσ²) of the singular values σ";
    band.stroke = Stroke::none;
    band.has_range = true;
    band.colour = grey;
    panel.series.insert(panel.series.begin(), std::move(band));
    finish(std::move(panel), at_most_);
  }

  void add_directions() {
    std::size_t panels = 0;
    for (const std::string& loop : loops()) {
      const Eigen::Index n = directions(loop);
      if (n < 2 || ++panels > 2) continue;
      const auto sigma = [&](Eigen::Index d) { return maps_.values("singular_value" + loop, {d}); };
      const bool fixed = constant(sigma(0)) && constant(sigma(n - 1));
      const std::string ends = fixed ? ", σ = " + core::brief(first(sigma(0))) + " (dark) to " +
                                           core::brief(first(sigma(n - 1))) + " (light)"
                                     : ", strongest (dark) to weakest (light)";
      ChartPanel panel = new_panel("error in each singular direction" +
                                       (loop.empty() ? std::string() : " of " + loop.substr(1)) +
                                       ends + ": dots simulated, lines 1/(1\u00A0+\u00A0Gσ²)",
                                   "direction_error" + loop, true);
      const auto some = evenly_chosen(n, static_cast<Eigen::Index>(most_directions));
      for (std::size_t k = 0; k < some.size(); ++k) {
        const std::string hue =
            viridis(0.9 * static_cast<double>(k) / static_cast<double>(some.size() - 1));
        ChartSeries closed =
            line(maps_.values("direction_error_linear" + loop, {some[k]}), 0, true);
        closed.name = "direction " + std::to_string(some[k]) + ", 1/(1 + Gs²)";
        closed.colour = hue;
        closed.width = 1.1;
        closed.in_key = false;
        ChartSeries simulated =
            line(split(maps_.values("direction_error" + loop, {some[k]}), false), 0, true);
        simulated.name = "direction " + std::to_string(some[k]);
        if (fixed) simulated.name += ", σ = " + core::brief(first(sigma(some[k])));
        simulated.in_key = false;
        simulated.colour = hue;
        simulated.stroke = Stroke::none;
        simulated.mark = 7;
        simulated.mark_size = order_.size() > most_marked ? 0.25 : 0.45;
        panel.series.push_back(std::move(closed));
        panel.series.push_back(std::move(simulated));
      }
      finish(std::move(panel));
    }
  }

  static double first(const std::vector<double>& values) {
    for (const double value : values)
      if (!std::isnan(value)) return value;
    return nan;
  }
  static bool constant(const std::vector<double>& values) {
    const double one = first(values);
    return !std::isnan(one) && std::all_of(values.begin(), values.end(), [&](double value) {
      return std::isnan(value) || std::abs(value - one) <= 1e-9 * std::abs(one);
    });
  }

  // ---- Stability ----

  // Where each line crosses the boundary: traced along the axis, it has points at the very values
  // of the others.
  void add_boundary() {
    const auto& along = maps_.boundary_axes();
    if (std::find(along.begin(), along.end(), x_) == along.end()) return;
    std::vector<std::size_t> free = along;
    std::vector<ChartRule> rules;
    const std::string name =
        std::string("boundary of stability (exact)") + (maps_.trial() == 0 ? "" : ", of trial 0");
    for (std::size_t l = 0; l < lines_.size(); ++l)
      for (const auto& seed : combinations(maps_, roles_.seeds, 100000)) {
        std::vector<std::size_t> places = lines_[l];
        for (const std::size_t a : roles_.seeds) places[a] = seed[a];
        for (const MapBoundary& point : maps_.boundary()) {
          if (!maps_.on_slice(point, places, free)) continue;
          bool here = true;
          for (const std::size_t a : along)
            if (a != x_) {
              const double value = maps_.axes()[a].numbers[places[a]];
              here = here && std::abs(point.numbers[a] - value) <= 1e-9 * std::abs(value);
            }
          if (!here) continue;
          ChartRule rule;
          rule.x = axis_.position_of(point.numbers[x_]);
          rule.name = rules.empty() || lines_.size() == 1 ? name : "";
          rule.colour = lines_.size() == 1 ? "#000000" : colour(l);
          rule.stroke = Stroke::dotted;
          rules.push_back(rule);
        }
      }
    for (ChartPanel& panel : chart_.panels) panel.rules = rules;
  }

  // A strip of cells that says what became of the points, where not all of them settled.
  void add_outcomes() {
    const std::vector<int>& outcomes = maps_.outcomes();
    if (std::all_of(outcomes.begin(), outcomes.end(), [](int kind) { return kind < 0; })) return;
    ChartPanel panel =
        new_panel(std::string("what became of the points") +
                      (roles_.seeds.empty() ? "" : " (the most frequent of what did not settle)"),
                  "line", false);
    panel.value_name = "";
    const auto n = lines_.size();
    panel.y.low = -0.5;
    panel.y.high = static_cast<double>(n) - 0.5;
    panel.height = 13 * static_cast<double>(n) + 2;
    panel.y.names.assign(n, "");
    for (std::size_t l = 0; l < n; ++l) {
      const std::size_t row = n - 1 - l;
      panel.y.names[row] = lines_.size() > 1 ? short_name(l) : "";
      for (const std::size_t k : order_) {
        std::vector<int> count(SweepMaps::kinds().size(), 0);
        int kind = SweepMaps::kind("settled");
        int most = 0;
        for (const std::size_t p : points(l, k)) {
          if (outcomes[p] < 0) continue;
          int& number = count[static_cast<std::size_t>(outcomes[p])];
          if (++number > most) {
            most = number;
            kind = outcomes[p];
          }
        }
        ChartCell cell;
        cell.x = axis_.position(k);
        cell.y = static_cast<double>(row);
        std::tie(cell.left, cell.right) = axis_.cell(k);
        if (k == order_.front()) cell.left = panel.x.low;
        if (k == order_.back()) cell.right = panel.x.high;
        cell.bottom = cell.y - 0.5;
        cell.top = cell.y + 0.5;
        cell.value = nan;
        cell.kind = kind;
        panel.cells.push_back(cell);
      }
    }
    chart_.panels.push_back(std::move(panel));
  }

  std::string short_name(std::size_t line) const {
    std::string out;
    for (const std::size_t a : others_)
      out += (out.empty() ? "" : ", ") + maps_.axes()[a].names[lines_[line][a]];
    return out;
  }

  const SweepMaps& maps_;
  AxisRoles roles_;
  std::size_t x_;
  const MapAxis& axis_;
  std::vector<std::size_t> others_;
  std::vector<std::vector<std::size_t>> lines_;
  double at_most_ = 0;              // that the last panel shows
  std::vector<std::size_t> order_;  // values of the axis, from left to right
  Chart chart_;
};

}  // namespace

Chart line_chart(const SweepMaps& maps, const PlotOptions& options) {
  return LineChart(maps, options).chart();
}

}  // namespace settle::analysis
