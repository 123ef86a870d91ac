// Final numbers of training against the parameter that a series of rules varies.
#include <algorithm>
#include <array>
#include <cmath>

#include "analysis/palette.hpp"
#include "analysis/plot_script.hpp"
#include "analysis/training_lines.hpp"
#include "sim/core/error.hpp"

namespace settle::analysis {
namespace {

constexpr std::size_t most_side_by_side = 4;  // parameters that still share a row
constexpr double a_decade = 10;

// A variable as a panel of it.
struct Drawn {
  std::string variable, title, label;
  bool log = true;  // where all numbers are above zero
  bool is_angle = false;
  double sign = 1;  // of what is drawn
  TrainingNumber number{};
};

// Rules that are one line, over their parameter, or one across.
struct Line {
  std::string name, parameter;
  std::vector<std::size_t> rules;
  int mark = 0;
};

// Of gnuplot: dots, squares, triangles and diamonds, filled and open in turn.
constexpr std::array<int, 8> marks = {7, 4, 9, 12, 6, 5, 8, 13};

bool is_varied(const io::TrainingLayout::Series& series) {
  return series.is_varied() && std::isfinite(series.value);
}

class Against {
 public:
  Against(const TrainingLines& lines, const std::vector<std::string>& variables) : lines_(lines) {
    collect_lines();
    if (variables.empty())
      choose_panels();
    else
      for (const std::string& name : variables) add_named(name);
  }

  void draw(Chart& chart) const {
    // Of one parameter panels stand in two columns, each with its own axis; of several there is a column each.
    const bool aligned = parameters_.size() > 1 && parameters_.size() <= most_side_by_side;
    chart.columns = aligned ? parameters_.size() : 2;
    chart.own_heights = !aligned;
    bool logs = false, plains = false;
    for (const Drawn& drawn : panels_) {
      std::vector<ChartPanel> row;
      for (const std::string& parameter : parameters_) {
        ChartPanel one = panel(drawn, parameter);
        if (!aligned && one.series.empty()) continue;
        if (!one.series.empty()) (one.y.log ? logs : plains) = true;
        row.push_back(std::move(one));
      }
      if (std::all_of(row.begin(), row.end(), [](const auto& one) { return one.series.empty(); }))
        continue;
      if (aligned) share_row(row);
      for (ChartPanel& one : row) {
        if (drawn.is_angle) set_angle_ticks(one.y);
        chart.panels.push_back(std::move(one));
      }
    }
    if (chart.panels.empty())
      throw core::InputError(lines_.file().path().string(),
                             "no number of these variables at the last evaluation",
                             "variables that a rule of a series has, of a training that has come "
                             "to its end (settle resume)");
    if (chart.panels.size() == 1) chart.columns = 1;
    const double last = lines_.axes().steps.back();
    TrainingLines::add_note(
        chart, "At the last evaluation, after " + core::number_text(last) + " examples." +
                   (any_across_ ? " Dashed: rules in which no number is varied." : "") +
                   lines_.spread(logs, logs && plains ? " (along linear axes the mean)" : "",
                                 has_bands()));
    TrainingLines::add_note(chart, lines_.remarks());
  }

 private:
  const io::TrainingLayout& axes() const { return lines_.axes(); }

  void collect_lines() {
    std::size_t varied = 0;
    for (std::size_t r = 0; r < axes().rules.size(); ++r) {
      const io::TrainingLayout::Series& series = axes().series[r];
      if (!is_varied(series)) {
        lines_drawn_.push_back({axes().rules[r], "", {r}});
        any_across_ = true;
        continue;
      }
      const auto known =
          std::find_if(lines_drawn_.begin(), lines_drawn_.end(), [&](const Line& line) {
            return line.name == series.name && line.parameter == series.parameter;
          });
      if (known != lines_drawn_.end())
        known->rules.push_back(r);
      else
        lines_drawn_.push_back(
            {series.name, series.parameter, {r}, marks[varied++ % marks.size()]});
      if (std::find(parameters_.begin(), parameters_.end(), series.parameter) == parameters_.end())
        parameters_.push_back(series.parameter);
    }
    for (Line& line : lines_drawn_)
      std::sort(line.rules.begin(), line.rules.end(),
                [&](std::size_t a, std::size_t b) { return value(a) < value(b); });
  }
  double value(std::size_t rule) const { return axes().series[rule].value; }

  bool has_bands() const {
    return static_cast<std::size_t>(
               std::count_if(lines_drawn_.begin(), lines_drawn_.end(), [](const Line& line) {
                 return !line.parameter.empty();
               })) <= TrainingLines::most_with_bands;
  }

  // ---- Which panels ----

  double final_number(std::size_t rule, std::size_t seed, const TrainingNumber& number) const {
    return number(rule, seed, axes().steps.size() - 1);
  }
  bool any_final(const TrainingNumber& number) const {
    for (const std::size_t r : varied_rules(lines_))
      for (std::size_t s = 0; s < axes().seeds.size(); ++s)
        if (std::isfinite(final_number(r, s, number))) return true;
    return false;
  }

  // The number of the first hidden layer that has one; where there are several the title says which.
  void add(Drawn drawn) {
    const io::TrainingVariable* variable = lines_.file().find(drawn.variable);
    if (!variable) return;
    if (!drawn.number) {
      std::size_t layer = 0;
      while (variable->per_layer && layer + 1 < axes().layers.size() &&
             !any_final(lines_.numbers(drawn.variable, layer)))
        ++layer;
      drawn.number = lines_.numbers(drawn.variable, layer);
      if (variable->per_layer && lines_.hidden_layers() > 1)
        drawn.title += ", layer " + std::to_string(axes().layers[layer]);
    }
    if (any_final(drawn.number)) panels_.push_back(std::move(drawn));
  }

  void choose_panels() {
    const auto unit = [&](const char* variable) { return lines_.unit_of(variable); };
    add({lines_.error_variable(), lines_.error_title(), lines_.is_share() ? "share" : "error"});
    add({"test_error_with_feedback", "the same with feedback left on in the forward pass",
         lines_.is_share() ? "share" : "error"});
    for (const AngleVariable& angle : angle_variables())
      if (angle.first == 0)  // of updates
        add({angle.name, angle.title, "angle (°)", false, true});
    add({"departure_from_ndi", "departure of hidden errors from NDI's", "relative departure"});
    add({"settling_time", "mean settling time of an example", "time" + unit("settling_time")});
    add_slowest_pole();
    add({"displacement", "displacement of rates by feedback left on", "displacement"});
  }

  // As a rate of decay where all loops are stable, since those may differ by decades.
  void add_slowest_pole() {
    const TrainingNumber pole = lines_.largest("slowest_pole");
    const bool stable = !lines_.any(
        [&](std::size_t r, std::size_t s, std::size_t t) {
          return t + 1 == axes().steps.size() ? pole(r, s, t) : std::nan("");
        },
        [](double x) { return x >= 0; });
    const std::string unit = lines_.unit_of("slowest_pole");
    const std::string of = lines_.hidden_layers() > 1 ? ", all layers" : "";
    if (stable)
      add({"slowest_pole", "decay rate of the slowest pole: −max Re λ" + of, "rate" + unit, true,
           false, -1, pole});
    else
      add({"slowest_pole", "slowest pole: max Re λ, unstable above 0" + of, "max Re λ" + unit,
           false, false, 1, pole});
  }

  // A variable that was asked for, whatever it is: all its layers.
  void add_named(const std::string& name) {
    lines_.file().numbers(name);  // throws where there is none
    const io::TrainingVariable& variable = *lines_.file().find(name);
    for (std::size_t l = 0; l < (variable.per_layer ? axes().layers.size() : 1); ++l) {
      const TrainingNumber number = lines_.numbers(name, l);
      if (!any_final(number)) continue;
      const std::string layer =
          variable.per_layer ? ", layer " + std::to_string(axes().layers[l]) : "";
      panels_.push_back({name, variable.long_name + layer, plain(name) + lines_.unit_of(name), true,
                         false, 1, number});
    }
  }

  // ---- Panels ----

  // Of a rule's seeds, at x.
  ChartPoint point(double x, std::size_t rule, const Drawn& drawn, SeedMean mean) const {
    std::vector<double> values;
    for (std::size_t s = 0; s < axes().seeds.size(); ++s)
      values.push_back(drawn.sign * final_number(rule, s, drawn.number));
    return over_seeds(x, values, mean);
  }

  // Whether every number of a panel is above zero.
  bool is_positive(const Drawn& drawn) const {
    for (const Line& line : lines_drawn_)
      for (const std::size_t r : line.rules)
        for (std::size_t s = 0; s < axes().seeds.size(); ++s)
          if (drawn.sign * final_number(r, s, drawn.number) <= 0) return false;
    return true;
  }

  ChartAxis x_axis(const std::string& parameter) const {
    std::vector<double> values;
    for (std::size_t r = 0; r < axes().rules.size(); ++r)
      if (is_varied(axes().series[r]) && axes().series[r].parameter == parameter)
        values.push_back(value(r));
    const auto [low, high] = std::minmax_element(values.begin(), values.end());
    ChartAxis out;
    out.name = parameter;
    out.label = plain(parameter);
    out.log = *low > 0 && *high >= a_decade * *low;
    fit(out, values, 0.05);
    return out;
  }

  ChartPanel panel(const Drawn& drawn, const std::string& parameter) const {
    ChartPanel out;
    out.title = drawn.title;
    out.name = drawn.variable + " against " + parameter;
    out.x = x_axis(parameter);
    out.y.log = drawn.log && is_positive(drawn);
    out.y.name = drawn.variable + lines_.unit_of(drawn.variable);
    out.y.label = drawn.label;
    out.height = 118;
    // As in the figure of errors, a geometric mean is not of shares, among which there are zeros.
    const bool is_share = drawn.label == "share";
    const SeedMean mean = out.y.log && !is_share ? SeedMean::geometric : SeedMean::plain;
    std::vector<ChartSeries> across;
    for (std::size_t k = 0; k < lines_drawn_.size(); ++k) {
      const Line& line = lines_drawn_[k];
      const bool is_across = line.parameter.empty();
      if (!is_across && line.parameter != parameter) continue;
      ChartSeries one;
      one.name = line.name;
      one.colour = named_colour(k);
      if (is_across) {
        one.stroke = k < named_colours ? Stroke::dashed : Stroke::dotted;
        for (const double x : {out.x.low, out.x.high})
          one.points.push_back(point(x, line.rules.front(), drawn, mean));
      } else {
        one.mark = line.mark;
        one.mark_size = 0.65;
        one.has_range = axes().seeds.size() > 1 && has_bands();
        for (const std::size_t r : line.rules)
          one.points.push_back(point(value(r), r, drawn, mean));
      }
      if (std::none_of(one.points.begin(), one.points.end(),
                       [](const ChartPoint& p) { return std::isfinite(p.y); }))
        continue;
      (is_across ? across : out.series).push_back(std::move(one));
    }
    if (out.series.empty()) return out;
    TrainingLines::widen(out);
    out.series.insert(out.series.begin(), across.begin(), across.end());
    fit(out.y, all_heights(drawn, out));
    return out;
  }

  static std::vector<double> all_heights(const Drawn& drawn, const ChartPanel& panel) {
    std::vector<double> all = heights(panel);
    constexpr double rounding = 1e-5;  // of degrees: what is below fills no panel
    if (drawn.is_angle) all.insert(all.end(), {0, rounding});
    return all;
  }

  static void share_row(std::vector<ChartPanel>& row) {
    std::vector<double> all;
    for (const ChartPanel& one : row) {
      if (one.series.empty()) continue;
      all.push_back(one.y.low);
      all.push_back(one.y.high);
    }
    for (ChartPanel& one : row) fit(one.y, all, 0);
  }

  const TrainingLines& lines_;
  std::vector<Line> lines_drawn_;  // in the file's order
  std::vector<std::string> parameters_;
  std::vector<Drawn> panels_;
  bool any_across_ = false;
};

}  // namespace

std::vector<std::size_t> varied_rules(const TrainingLines& lines) {
  std::vector<std::size_t> out;
  for (std::size_t r = 0; r < lines.axes().rules.size(); ++r)
    if (is_varied(lines.axes().series[r])) out.push_back(r);
  return out;
}

void draw_against(const TrainingLines& lines, Chart& chart,
                  const std::vector<std::string>& variables) {
  Against(lines, variables).draw(chart);
}

}  // namespace settle::analysis
