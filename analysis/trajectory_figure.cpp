#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "analysis/figure_source.hpp"
#include "analysis/palette.hpp"
#include "analysis/plot_data.hpp"
#include "analysis/rest_approach.hpp"
#include "analysis/text.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

constexpr Index most_lines = 40;             // of units in a panel
constexpr Index most_trials = 40;            // in the error panel
constexpr std::size_t most_panels = 12;      // unless variables are named
constexpr std::size_t most_points = 80'000;  // in a figure
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

class Trajectories {
 public:
  Trajectories(const io::ResultFile& result, const PlotOptions& options)
      : result_(result), options_(options), trial_(static_cast<std::size_t>(options.trial)) {
    if (options.trial < 0 || trial_ >= result.trials())
      throw core::InputError(result.path().string(), "no trial " + std::to_string(options.trial),
                             "a trial from 0 to " + std::to_string(result.trials() - 1));
    figure_.name = "trajectories";
    figure_.title = result.title().empty() ? result.path().filename().string() : result.title();
    figure_.width = options.width;
    figure_.height = options.height;
    figure_.shared_x = true;
    find_rows();
    collect_panels();
    figure_.notes = {note()};
    place_marks();
    const std::size_t n = figure_.panels.size();
    for (Panel& panel : figure_.panels) {
      panel.height = n <= 4 ? 150 : n <= 7 ? 115 : 90;
      panel.x_label = time_label();
      panel.log_x = options.log_time;
      panel.x = AxisRange{time_[0], time_[rows_ - 1]};
      panel.backdrop = backdrop();
    }
  }

  Figure figure() && { return std::move(figure_); }

 private:
  // ---- What is drawn ----

  void find_rows() {
    const VectorXd& time = result_.time();
    Index first = 0;
    if (options_.log_time)
      while (first < time.size() && !(time[first] > 0)) ++first;
    rows_ = time.size() - first;
    if (rows_ > 1 && time[time.size() - 1] == time[first])
      throw core::InputError(
          result_.path().string(),
          "a run that took no time: it was put to rest at once (solver.shortcut)",
          "a run without the shortcut, to draw the way to rest");
    if (rows_ < 2)
      throw core::InputError(result_.path().string(),
                             time.size() == 0
                                 ? std::string("a result in which nothing was recorded")
                                 : std::to_string(std::max<Index>(rows_, 0)) +
                                       (rows_ == 1 ? " recorded time" : " recorded times") +
                                       (options_.log_time ? " above zero" : ""),
                             "at least two, to draw a line between");
    time_ = time.tail(rows_);
  }

  // Names of the populations' rates (or states) and the controllers' outputs, populations first.
  std::vector<std::string> chosen_variables() {
    if (!options_.variables.empty()) {
      std::vector<std::string> names;
      for (const std::string& variable : options_.variables)
        names.push_back(result_.trajectory_info(variable).name);
      return names;
    }
    const std::vector<std::string> controllers = controllers_of(result_);
    const auto all = result_.trajectories();
    const auto exists = [&](const std::string& name) {
      return std::any_of(all.begin(), all.end(), [&](const auto& v) { return v.name == name; });
    };
    std::vector<std::string> names, outputs;
    for (const io::VariableInfo& variable : all) {
      const std::string& name = variable.name;
      const bool is_part = std::any_of(controllers.begin(), controllers.end(), [&](const auto& c) {
        return name == c || name == c + "_rate" || name == c + "_error" ||
               name == c + "_error_rate" || name.starts_with(c + "_integral") ||
               name.starts_with(c + "_derivative");
      });
      if (std::find(controllers.begin(), controllers.end(), name) != controllers.end())
        outputs.push_back(name);
      else if (!is_part && !exists(name + "_rate"))
        names.push_back(name);
    }
    names.insert(names.end(), outputs.begin(), outputs.end());
    if (names.empty())
      for (const io::VariableInfo& variable : all) names.push_back(variable.name);
    if (names.size() > most_panels) {
      left_out_ = names.size() - most_panels;
      std::vector<std::string> some;
      for (const Index k : evenly_chosen(static_cast<Index>(names.size()), most_panels))
        some.push_back(names[static_cast<std::size_t>(k)]);
      names = some;
    }
    return names;
  }

  void collect_panels() {
    const std::vector<std::string> names = chosen_variables();
    if (names.empty())
      throw core::InputError(result_.path().string(), "a result without trajectories",
                             "a run that recorded at least one variable");
    std::size_t lines = 0;
    for (const std::string& name : names) {
      const auto& shape = result_.trajectory_info(name).shape;
      lines += std::min<std::size_t>(static_cast<std::size_t>(shape.at(2)), most_lines);
    }
    points_ = std::clamp<std::size_t>(most_points / std::max<std::size_t>(1, lines), 200, 2000);
    for (const std::string& name : names) figure_.panels.push_back(trajectory_panel(name));
    if (options_.variables.empty()) add_error_panels();
  }

  std::string symbol_of(const std::string& name) const {
    for (const std::string& controller : controllers_of(result_)) {
      if (name == controller) return "u";
      if (name == controller + "_error") return "e";
      if (name == controller + "_integral") return "ξ";
      if (name == controller + "_derivative") return "f";
    }
    return name.ends_with("_rate") ? "r" : "x";
  }

  std::vector<PlotPoint> line(const VectorXd& values) const {
    return thinned(time_, values, points_, options_.log_time);
  }

  Panel trajectory_panel(const std::string& name) const {
    const io::VariableInfo& info = result_.trajectory_info(name);
    const MatrixXd values = result_.trajectory(name, trial_).bottomRows(rows_);
    const std::vector<Index> units = evenly_chosen(values.cols(), most_lines);
    Panel panel;
    panel.name = name;
    const std::string count =
        std::to_string(values.cols()) + (values.cols() == 1 ? " unit" : " units");
    panel.title = (info.long_name.empty() ? name : info.long_name) + "   (" +
                  (static_cast<Index>(units.size()) < values.cols()
                       ? std::to_string(units.size()) + " of " + count
                       : count) +
                  ")";
    panel.symbol = symbol_of(name);
    if (!info.units.empty() && info.units != "1") panel.symbol += " (" + info.units + ")";
    for (std::size_t k = 0; k < units.size(); ++k) {
      const double fraction =
          units.size() == 1 ? 0.3 : static_cast<double>(k) / static_cast<double>(units.size() - 1);
      panel.curves.push_back({.points = line(values.col(units[k])),
                              .style = "lc rgb '" + ordered_colour(fraction) + "' lw " +
                                       (units.size() > 12 ? "0.9" : "1.3"),
                              .key = "",
                              .series = "unit " + std::to_string(units[k])});
    }
    return panel;
  }

  // One panel for the relative errors and one for those whose setpoint the file doesn't tell.
  void add_error_panels() {
    std::vector<std::size_t> trials;
    for (const Index k : evenly_chosen(static_cast<Index>(result_.trials()), most_trials))
      if (static_cast<std::size_t>(k) != trial_) trials.push_back(static_cast<std::size_t>(k));
    trials.push_back(trial_);  // on top
    const std::vector<ErrorSeries> all = error_series(result_, trials);
    for (const bool relative : {true, false}) {
      Panel panel;
      panel.log_y = true;
      panel.symbol = relative ? "‖e‖ / ‖y‖" : "‖e‖";
      panel.title = panel.name = relative ? "error relative to the setpoint" : "error";
      if (trials.size() > 1)
        panel.title +=
            "   (trial " + std::to_string(trial_) + " bold, " +
            (trials.size() < result_.trials() ? std::to_string(trials.size() - 1) + " of " : "") +
            std::to_string(result_.trials() - 1) + " others thin)";
      std::vector<const ErrorSeries*> own;
      for (const ErrorSeries& series : all)
        if (series.relative == relative) own.push_back(&series);
      if (own.empty()) continue;
      // Thin lines first, of every controller; then the chosen trial's.
      for (const bool bold : {false, true})
        for (std::size_t c = 0; c < own.size(); ++c)
          add_errors(panel, *own[c], named_colour(c), bold, own.size() > 1);
      const bool any =
          std::any_of(panel.curves.begin(), panel.curves.end(), [](const Curve& curve) {
            return std::any_of(curve.points.begin(), curve.points.end(),
                               [](const PlotPoint& p) { return std::isfinite(p.y); });
          });
      if (!any) continue;
      add_approach(panel, own);
      figure_.panels.push_back(std::move(panel));
    }
  }

  void add_errors(Panel& panel, const ErrorSeries& series, const std::string& hue, bool bold,
                  bool named) const {
    for (std::size_t k = 0; k < series.trials.size(); ++k) {
      if ((k + 1 == series.trials.size()) != bold) continue;
      const VectorXd values = positive(series.values.col(static_cast<Index>(k)).tail(rows_));
      panel.curves.push_back(
          {.points = line(values),
           .style = bold ? "lc rgb '" + hue + "' lw 2" : "lc rgb '" + faded(hue) + "' lw 0.8",
           .key = bold && named ? series.controller : "",
           .series = series.controller + ", trial " + std::to_string(series.trials[k])});
    }
  }

  // The chosen trial's distance from rest, and what the slowest pole predicts of it: of the controller
  // whose error comes to rest last, the others' may not feel that pole.
  void add_approach(Panel& panel, const std::vector<const ErrorSeries*>& all) const {
    std::optional<RestApproach> approach;
    std::size_t c = 0;
    for (std::size_t k = 0; k < all.size(); ++k) {
      auto own = rest_approach(result_, *all[k], all[k]->trials.size() - 1);
      if (!own || (approach && own->last_shown() <= approach->last_shown())) continue;
      approach = std::move(own);
      c = k;
    }
    if (!approach) return;
    double top = 0;
    for (const Curve& curve : panel.curves)
      for (const PlotPoint& p : curve.points)
        if (std::isfinite(p.y)) top = std::max(top, p.y);
    // The phase's rows among those that are drawn.
    VectorXd distance = VectorXd::Constant(rows_, nan), predicted = distance;
    const auto first = [](const VectorXd& times, double t) {
      return static_cast<Index>(std::lower_bound(times.begin(), times.end(), t) - times.begin());
    };
    const Index start = first(time_, approach->time[0]);
    if (start == rows_) return;
    const Index skipped = first(approach->time, time_[start]);
    const Index n = std::min(approach->time.size() - skipped, rows_ - start);
    distance.segment(start, n) = positive(approach->distance.segment(skipped, n));
    predicted.segment(start, n) = approach->predicted.segment(skipped, n);
    predicted = (predicted.array() <= top).select(predicted, nan);
    if (distance.array().isNaN().all()) return;
    const std::string hue = named_colour(c), of = all.size() > 1 ? " of " + all[c]->controller : "";
    panel.curves.push_back({.points = line(distance),
                            .style = "lc rgb '" + hue + "' lw 1",
                            .key = "distance" + of + " from rest",
                            .series = all[c]->controller + ", distance from rest"});
    add_settling_marks(panel, *all[c], *approach, hue);
    if (predicted.array().isNaN().all()) return;
    panel.curves.push_back({.points = line(predicted),
                            .style = "lc rgb '#222222' lw 1.4 dt (9,6)",
                            .key = "predicted by the slowest pole",
                            .series = all[c]->controller + ", predicted by the slowest pole"});
  }

  // Where the distance falls below the bands of the measure `response`.
  void add_settling_marks(Panel& panel, const ErrorSeries& series, const RestApproach& approach,
                          const std::string& hue) const {
    const core::Quantity* times = result_.measure("settling_time");
    if (!times || times->axes.size() != 2) return;
    Curve curve;
    std::vector<std::string> bands;
    for (Index s = 0; s < times->axes[0].size; ++s) {
      std::string signal = times->axes[0].labels.at(static_cast<std::size_t>(s));
      std::replace(signal.begin(), signal.end(), '.', '_');
      if (signal != series.controller + "_error") continue;
      for (Index b = 0; b < times->axes[1].size; ++b) {
        const std::string& band = times->axes[1].labels.at(static_cast<std::size_t>(b));
        const double at = approach.time[0] +
                          times->values(s * times->axes[1].size + b, static_cast<Index>(trial_));
        if (!band.ends_with(" %") || !(at <= time_[rows_ - 1])) continue;
        const double distance = approach.distance_at(at);
        if (!(distance > 0)) continue;
        curve.points.push_back({at, distance});
        bands.push_back(band);
      }
    }
    if (curve.points.empty()) return;
    curve.with = "points";
    curve.style = "pt 6 ps 0.8 lw 1.4 lc rgb '" + hue + "'";
    curve.series = series.controller + ", within " + core::join(bands) + " of the way";
    curve.key = "within " + core::join(bands);
    panel.curves.push_back(std::move(curve));
  }

  // What a logarithmic axis can show.
  static VectorXd positive(const VectorXd& values) {
    return (values.array() > 0).select(values, nan);
  }

  // ---- Above and behind the panels ----

  std::string note() const {
    std::string text;
    if (result_.trials() > 1)
      text = trial_text(static_cast<Index>(trial_), static_cast<Index>(result_.trials())) + ": ";
    if (trial_ < result_.outcomes().size()) {
      text += words(result_.outcomes()[trial_]);
      const std::optional<double> settled = settled_at();
      if (settled)
        text += " at " + core::brief(*settled, result_.time_unit()) + " (dotted line)";
      else if (trial_ < result_.outcome_reasons().size() &&
               !result_.outcome_reasons()[trial_].empty())
        text += ": " + result_.outcome_reasons()[trial_];
    } else {
      text += "status: " + (result_.status().empty() ? "unknown" : result_.status());
    }
    if (left_out_ > 0)
      text += "   (" + std::to_string(left_out_) + " more variables are not drawn)";
    return text;
  }

  // "not settled": an outcome's name as words.
  static std::string words(std::string name) {
    std::replace(name.begin(), name.end(), '_', ' ');
    return name;
  }

  std::optional<double> settled_at() const {
    const core::Quantity* measure = result_.measure("settled_at");
    if (!measure || static_cast<Index>(trial_) >= measure->values.size()) return std::nullopt;
    const double at = measure->values(0, static_cast<Index>(trial_));
    if (!std::isfinite(at) ||
        (trial_ < result_.outcomes().size() && result_.outcomes()[trial_] != "settled"))
      return std::nullopt;
    return at;
  }

  // Where a time stands, in points from the left of the axes.
  double place(double t) const {
    const double low = time_[0], high = time_[rows_ - 1];
    t = std::clamp(t, low, high);
    const double fraction =
        options_.log_time ? std::log(t / low) / std::log(high / low) : (t - low) / (high - low);
    return fraction * panel_width(figure_);
  }

  // Names of phases above their middle, in as many rows as they need (three at most, or left out).
  void place_marks() {
    std::array<double, 3> reach;  // of each row
    reach.fill(-1e9);
    const auto add = [&](double middle, const std::string& text) {
      const double width = text_width(text, 10.5) + 10, inner = panel_width(figure_);
      if (width > inner) return;
      const double at = std::clamp(middle, width / 2, inner - width / 2);
      for (std::size_t row = 0; row < reach.size(); ++row) {
        if (at - width / 2 < reach[row]) continue;
        reach[row] = at + width / 2;
        figure_.marks.push_back({at, text, static_cast<int>(row)});
        return;
      }
    };
    if (result_.phases().size() > 1)
      for (const io::PhaseInfo& phase : result_.phases())
        if (phase.end > time_[0] && phase.start <= time_[rows_ - 1])
          add((place(phase.start) + place(phase.end)) / 2, phase.name);
  }

  std::string time_label() const {
    const std::string unit = result_.time_unit();
    return unit.empty() || unit == "1" ? "time" : "time (" + unit + ")";
  }

  // Bands of the phases, and when the trial had settled.
  std::string backdrop() const {
    std::string out;
    const auto& phases = result_.phases();
    if (phases.size() > 1)
      for (std::size_t k = 0; k < phases.size(); ++k) {
        const double start = std::max(phases[k].start, time_[0]);
        const double end = std::min(phases[k].end, time_[rows_ - 1]);
        if (end < start) continue;
        if (k % 2 == 1 && end > start)
          out += "set object " + std::to_string(k + 1) + " rectangle from first " +
                 script_number(start) + ", graph 0 to first " + script_number(end) +
                 ", graph 1 behind fillstyle solid 1.0 noborder fillcolor rgb '#F0F1F5'\n";
        if (k > 0 && phases[k].start > time_[0])
          out += "set arrow from first " + script_number(start) + ", graph 0 to first " +
                 script_number(start) + ", graph 1 nohead back lw 0.8 lc rgb '#B5B9C6'\n";
      }
    if (const auto at = settled_at(); at && *at >= time_[0] && *at <= time_[rows_ - 1])
      out += "set arrow from first " + script_number(*at) + ", graph 0 to first " +
             script_number(*at) + ", graph 1 nohead front dashtype (2,4) lw 1.4 lc rgb '#333333'\n";
    return out;
  }

  const io::ResultFile& result_;
  const PlotOptions& options_;
  std::size_t trial_;
  Index rows_ = 0;  // the last ones, which are drawn
  VectorXd time_;
  std::size_t points_ = 2000;  // a line
  std::size_t left_out_ = 0;   // variables that are not drawn
  Figure figure_;
};

}  // namespace

Figure trajectories_figure(const io::ResultFile& result, const PlotOptions& options) {
  return Trajectories(result, options).figure();
}

}  // namespace settle::analysis
