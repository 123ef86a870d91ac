#include "analysis/figures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "analysis/external.hpp"
#include "analysis/plot_data.hpp"
#include "analysis/plot_script.hpp"
#include "analysis/text.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

constexpr Index most_lines = 40;             // of units in a panel
constexpr Index most_trials = 40;            // in the error panel
constexpr std::size_t most_panels = 12;      // unless variables are named
constexpr std::size_t most_points = 80'000;  // in a figure
constexpr double left_margin = 86, right_margin = 24, bottom_margin = 54;
constexpr double panel_gap = 30;

// Okabe and Ito's palette, for the lines of several controllers.
constexpr std::array<const char*, 7> controller_colours = {
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#4D4D4D"};

// Samples of viridis without its lightest end.
constexpr std::array<std::array<int, 3>, 8> palette = {{{68, 1, 84},
                                                        {70, 50, 126},
                                                        {54, 92, 141},
                                                        {39, 127, 142},
                                                        {31, 161, 135},
                                                        {74, 193, 109},
                                                        {140, 205, 70},
                                                        {190, 210, 50}}};

std::string colour(double fraction) {
  const double at = fraction * static_cast<double>(palette.size() - 1);
  const auto k = std::min(static_cast<std::size_t>(at), palette.size() - 2);
  const double rest = at - static_cast<double>(k);
  std::array<int, 3> rgb{};
  for (std::size_t c = 0; c < 3; ++c)
    rgb[c] = static_cast<int>(std::lround((1 - rest) * palette[k][c] + rest * palette[k + 1][c]));
  char text[16];
  std::snprintf(text, sizeof text, "#%02X%02X%02X", static_cast<unsigned>(rgb[0]),
                static_cast<unsigned>(rgb[1]), static_cast<unsigned>(rgb[2]));
  return text;
}

/// A text above the panels, at a time.
struct Mark {
  double time = 0;  ///< of its middle
  std::string text;
  std::string colour;
  int row = 0;
};

class Figure {
 public:
  Figure(const io::ResultFile& result, const PlotOptions& options)
      : result_(result), options_(options), trial_(static_cast<std::size_t>(options.trial)) {
    if (options.trial < 0 || trial_ >= result.trials())
      throw core::InputError(result.path().string(), "no trial " + std::to_string(options.trial),
                             "a trial from 0 to " + std::to_string(result.trials() - 1));
    find_rows();
    collect_panels();
    header_ = headline();
    place_marks();
    const auto n = static_cast<double>(panels_.size());
    const double each = n <= 4 ? 150 : n <= 7 ? 115 : 90;
    top_margin_ = 14 + header_height() + 17 * mark_rows_ + panel_gap - 6;
    height_ = options.height > 0 ? options.height
                                 : top_margin_ + n * each + (n - 1) * panel_gap + bottom_margin;
  }

  std::string script(const std::string& terminal) const {
    std::string out = "set encoding utf8\n" + terminal +
                      "set datafile missing 'NaN'\n"
                      "set border 3 lw 0.8 lc rgb '#404040'\n"
                      "set tics nomirror out scale 0.6 textcolor rgb '#202020'\n"
                      "set grid xtics ytics lw 0.5 lt 1 lc rgb '#E4E4E4'\n"
                      "unset key\nset multiplot\n";
    for (std::size_t k = 0; k < panels_.size(); ++k)
      out += data_block("panel" + std::to_string(k), panels_[k]);
    for (std::size_t k = 0; k < panels_.size(); ++k) out += panel_text(k);
    return out + "unset multiplot\n";
  }

  double height() const { return height_; }

 private:
  // ---- What is drawn ----

  void find_rows() {
    const VectorXd& time = result_.time();
    first_row_ = 0;
    if (options_.log_time)
      while (first_row_ < time.size() && !(time[first_row_] > 0)) ++first_row_;
    rows_ = time.size() - first_row_;
    if (rows_ < 2 || !(time[time.size() - 1] > time[first_row_]))
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
    const bool with_error = options_.variables.empty();
    if (names.empty())
      throw core::InputError(result_.path().string(), "a result without trajectories",
                             "a run that recorded at least one variable");
    std::size_t lines = 0;
    for (const std::string& name : names) {
      const auto& shape = result_.trajectory_info(name).shape;
      lines += std::min<std::size_t>(static_cast<std::size_t>(shape.at(2)), most_lines);
    }
    points_ = std::clamp<std::size_t>(most_points / std::max<std::size_t>(1, lines), 200, 2000);
    for (const std::string& name : names) panels_.push_back(trajectory_panel(name));
    if (with_error) add_error_panels();
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

  Panel trajectory_panel(const std::string& name) const {
    const io::VariableInfo& info = result_.trajectory_info(name);
    const MatrixXd values = result_.trajectory(name, trial_).bottomRows(rows_);
    const std::vector<Index> units = evenly_chosen(values.cols(), most_lines);
    Panel panel;
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
      panel.curves.push_back(
          {thinned(time_, values.col(units[k]), points_, options_.log_time),
           "lc rgb '" + colour(fraction) + "' lw " + (units.size() > 12 ? "0.9" : "1.3"), ""});
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
      panel.title = relative ? "error relative to the setpoint" : "error";
      if (trials.size() > 1)
        panel.title +=
            "   (trial " + std::to_string(trial_) + " bold, " +
            (trials.size() < result_.trials() ? std::to_string(trials.size() - 1) + " of " : "") +
            std::to_string(result_.trials() - 1) + " others thin)";
      const auto controllers = static_cast<std::size_t>(std::count_if(
          all.begin(), all.end(), [&](const ErrorSeries& s) { return s.relative == relative; }));
      bool any = false;
      // Thin lines first, of every controller; then the chosen trial's.
      for (const bool bold : {false, true}) {
        std::size_t index = 0;
        for (const ErrorSeries& series : all) {
          if (series.relative != relative) continue;
          const std::string hue = controller_colours[index++ % controller_colours.size()];
          for (std::size_t k = 0; k < series.trials.size(); ++k) {
            if ((k + 1 == series.trials.size()) != bold) continue;
            const VectorXd values = positive(series.values.col(static_cast<Index>(k)).tail(rows_));
            any = any || !values.array().isNaN().all();
            panel.curves.push_back(
                {thinned(time_, values, points_, options_.log_time),
                 bold ? "lc rgb '" + hue + "' lw 2" : "lc rgb '#99" + hue.substr(1) + "' lw 0.8",
                 bold && controllers > 1 ? series.controller : ""});
          }
        }
      }
      if (any) panels_.push_back(std::move(panel));
    }
  }

  // What a logarithmic axis can show.
  static VectorXd positive(const VectorXd& values) {
    return (values.array() > 0).select(values, std::numeric_limits<double>::quiet_NaN());
  }

  // ---- Above the panels ----

  struct HeaderLine {
    std::string text;
    bool is_title = false;
  };

  double inner_width() const { return options_.width - left_margin - right_margin; }

  std::vector<HeaderLine> headline() const {
    std::vector<HeaderLine> out;
    const double width = options_.width - 40;
    const std::string title =
        result_.title().empty() ? result_.path().filename().string() : result_.title();
    for (const std::string& line : wrapped(title, width / 1.13, 15, 3)) out.push_back({line, true});
    std::string text;
    if (result_.trials() > 1)
      text = "trial " + std::to_string(trial_) + " (of " + std::to_string(result_.trials()) +
             ", from 0): ";
    if (trial_ < result_.outcomes().size()) {
      text += words(result_.outcomes()[trial_]);
      const std::optional<double> settled = settled_at();
      if (settled)
        text += " at " + core::brief(*settled) +
                (result_.time_unit() == "1" ? "" : " " + result_.time_unit()) + " (dotted line)";
      else if (trial_ < result_.outcome_reasons().size() &&
               !result_.outcome_reasons()[trial_].empty())
        text += ": " + result_.outcome_reasons()[trial_];
    } else {
      text += "status: " + (result_.status().empty() ? "unknown" : result_.status());
    }
    if (left_out_ > 0)
      text += "   (" + std::to_string(left_out_) + " more variables are not drawn)";
    for (const std::string& line : wrapped(text, width, 11.5, 2)) out.push_back({line, false});
    return out;
  }

  // "not settled": an outcome's name as words.
  static std::string words(std::string name) {
    std::replace(name.begin(), name.end(), '_', ' ');
    return name;
  }

  double header_height() const {
    double height = 0;
    for (const HeaderLine& line : header_) height += line.is_title ? 20 : 17;
    return height;
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
    return fraction * inner_width();
  }

  // Names of phases above their middle, in as many rows as they need (three at most, or left out).
  void place_marks() {
    std::array<double, 3> reach;  // of each row
    reach.fill(-1e9);
    const auto add = [&](double middle, const std::string& text, const std::string& hue) {
      const double width = text_width(text, 10.5) + 10;
      if (width > inner_width()) return;
      const double at = std::clamp(middle, width / 2, inner_width() - width / 2);
      for (std::size_t row = 0; row < reach.size(); ++row) {
        if (at - width / 2 < reach[row]) continue;
        reach[row] = at + width / 2;
        marks_.push_back({at, text, hue, static_cast<int>(row)});
        mark_rows_ = std::max(mark_rows_, static_cast<double>(row) + 1);
        return;
      }
    };
    if (result_.phases().size() > 1)
      for (const io::PhaseInfo& phase : result_.phases())
        if (phase.end > time_[0] && phase.start <= time_[rows_ - 1])
          add((place(phase.start) + place(phase.end)) / 2, phase.name, "#404040");
  }

  // ---- gnuplot ----

  std::string screen_y(double from_top) const { return script_number(1 - from_top / height_); }

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

  std::string header_text() const {
    std::string out;
    double y = 14;
    for (const HeaderLine& line : header_) {
      y += line.is_title ? 20 : 17;
      out += "set label " +
             (line.is_title ? quoted("{/:Bold " + plain(line.text) + "}") : quoted(line.text)) +
             " at screen " + script_number(20 / options_.width) + ", screen " + screen_y(y - 8) +
             " left " + (line.is_title ? "enhanced font ',15'" : "noenhanced font ',11.5'") +
             " textcolor rgb '#1A1A1A'\n";
    }
    for (const Mark& mark : marks_)
      out += "set label " + quoted(mark.text) + " at screen " +
             script_number((left_margin + mark.time) / options_.width) + ", screen " +
             screen_y(y + 12 + 17 * (mark_rows_ - 1 - mark.row)) +
             " center noenhanced font ',10.5' textcolor rgb '" + mark.colour + "'\n";
    return out;
  }

  std::string panel_text(std::size_t k) const {
    const Panel& panel = panels_[k];
    const auto n = static_cast<double>(panels_.size());
    const double each =
        std::max(20.0, (height_ - top_margin_ - bottom_margin - (n - 1) * panel_gap) / n);
    const double top = top_margin_ + static_cast<double>(k) * (each + panel_gap);
    const bool is_last = k + 1 == panels_.size();
    std::string out = "unset label\nunset arrow\nunset object\n";
    if (k == 0) out += header_text();
    out += backdrop();
    out += "set lmargin at screen " + script_number(left_margin / options_.width) +
           "\nset rmargin at screen " + script_number(1 - right_margin / options_.width) +
           "\nset tmargin at screen " + screen_y(top) + "\nset bmargin at screen " +
           screen_y(top + each) + "\n";
    out += "set label " + quoted(fitted(panel.title, inner_width(), 11)) +
           " at graph 0, graph 1 left offset character 0, character 0.75 noenhanced font ',11' "
           "textcolor rgb '#1A1A1A'\n";
    out += "set label " + quoted(panel.symbol) + " at screen " +
           script_number(24 / options_.width) +
           ", graph 0.5 center rotate by 90 noenhanced font ',12' textcolor rgb '#1A1A1A'\n";
    out += options_.log_time ? "set logscale x\nset mxtics 10\n" : "";
    out += "set xrange [" + script_number(time_[0]) + ":" + script_number(time_[rows_ - 1]) + "]\n";
    out += options_.log_time ? (is_last ? "set format x '10^{%T}'\n" : "set format x ''\n")
                             : (is_last ? "set format x '%.6g'\n" : "set format x ''\n");
    out += is_last ? "set xlabel " + quoted(time_label()) +
                         " noenhanced font ',12' offset character 0,0.35\n"
                   : std::string("unset xlabel\n");
    out += y_axis(panel, each);
    const bool has_key = std::any_of(panel.curves.begin(), panel.curves.end(),
                                     [](const Curve& curve) { return !curve.key.empty(); });
    out += has_key ? "set key at graph 1, graph 1 right bottom horizontal maxrows 1 samplen 1.4 "
                     "spacing 1 font ',10.5' noenhanced\n"
                   : std::string("unset key\n");
    out += "plot ";
    for (std::size_t c = 0; c < panel.curves.size(); ++c) {
      const Curve& curve = panel.curves[c];
      out += std::string(c > 0 ? ", \\\n  " : "") + "$panel" + std::to_string(k) + " index " +
             std::to_string(c) + " using 1:2 with lines " + curve.style +
             (curve.key.empty() ? " notitle" : " title " + quoted(curve.key));
    }
    return out + "\n";
  }

  const io::ResultFile& result_;
  const PlotOptions& options_;
  std::size_t trial_;
  Index first_row_ = 0, rows_ = 0;  // those that are drawn
  VectorXd time_;
  std::size_t points_ = 2000;  // a line
  std::size_t left_out_ = 0;   // variables that are not drawn
  std::vector<Panel> panels_;
  std::vector<HeaderLine> header_;
  std::vector<Mark> marks_;
  double mark_rows_ = 0;
  double top_margin_ = 0;
  double height_ = 0;
};

}  // namespace

void plot_result(const io::ResultFile& result, const PlotOptions& options,
                 const std::filesystem::path& out) {
  const std::string extension = out.extension().string();
  if (extension != ".svg" && extension != ".png" && extension != ".pdf")
    throw core::InputError(
        out.string(),
        extension.empty() ? "a name without an extension" : "the extension \"" + extension + "\"",
        "a figure that ends in .svg, .png or .pdf");
  check_figure_path(out);
  const Figure figure(result, options);
  run_to_file({"gnuplot", "gnuplot-nox", {"-d"}},
              figure.script(terminal(extension, options.width, figure.height())), out);
}

}  // namespace settle::analysis
