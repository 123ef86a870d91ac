#include "analysis/training_figures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>

#include "analysis/palette.hpp"
#include "analysis/summary.hpp"
#include "sim/core/error.hpp"
#include "sim/core/value.hpp"
#include "sim/io/training_reader.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::size_t most_by_layer = 3;    // hidden layers that have panels of their own
constexpr std::size_t most_marked = 12;     // points of a line that still have marks
constexpr std::size_t most_with_bands = 4;  // lines of noisy numbers
constexpr double most_beyond = 30;    // times the largest error of courses that did not diverge
constexpr double most_apart = 0.004;  // of the axis, between lines that lie on each other
constexpr const char* grey = "#606060";

// A number of the rule, the seed and the step, by their places in the file.
using Number = std::function<double(std::size_t rule, std::size_t seed, std::size_t step)>;

class TrainingCharts {
 public:
  TrainingCharts(const std::filesystem::path& file, const PlotOptions& options)
      : file_(file), axes_(file_.layout()), options_(options) {
    if (options.trial != 0)
      throw core::InputError(file.string(), "trial " + std::to_string(options.trial),
                             "no trial of a training run: all seeds are drawn");
    choose_strokes();
  }

  /// What the file can be drawn as.
  std::vector<std::string> names() const;
  Chart figure(const std::string& name) const;
  Chart of_variables() const;

 private:
  struct Kind {
    const char* name;
    std::vector<const char*> variables;  // of which a rule must have a number
    bool of_hidden;                      // of hidden layers
    const char* missing;                 // why no rule has
    void (TrainingCharts::*draw)(Chart&) const;
  };
  static const std::vector<Kind>& kinds();

  // ---- What the file holds ----

  std::size_t hidden_layers() const { return axes_.layers.empty() ? 0 : axes_.layers.size() - 1; }

  // A variable's numbers; at a layer (from 0) where it has layers. Nowhere one where there is none.
  Number numbers(const std::string& name, std::size_t layer = 0) const {
    const io::TrainingVariable* variable = file_.find(name);
    if (!variable) return [](std::size_t, std::size_t, std::size_t) { return nan; };
    const std::size_t layers = variable->per_layer ? axes_.layers.size() : 1;
    return [=, values = file_.numbers(name), seeds = axes_.seeds.size(),
            steps = axes_.steps.size()](std::size_t r, std::size_t s, std::size_t t) {
      return values[((r * seeds + s) * steps + t) * layers + layer];
    };
  }

  // The numbers of the first `layers` layers made into one by `merge`, of the finite ones.
  template <class Merge>
  Number merged(const std::string& name, std::size_t layers, const Merge& merge) const {
    std::vector<Number> all;
    for (std::size_t l = 0; l < layers; ++l) all.push_back(numbers(name, l));
    return [=](std::size_t r, std::size_t s, std::size_t t) {
      std::vector<double> found;
      for (const Number& one : all)
        if (const double value = one(r, s, t); std::isfinite(value)) found.push_back(value);
      return found.empty() ? nan : merge(found);
    };
  }
  Number largest(const std::string& name) const {
    return merged(name, axes_.layers.size(), [](const std::vector<double>& all) {
      return *std::max_element(all.begin(), all.end());
    });
  }
  Number mean(const std::string& name, std::size_t layers) const {
    return merged(name, layers, [](const std::vector<double>& all) {
      return std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size());
    });
  }

  bool any(std::size_t rule, const Number& number, const std::function<bool(double)>& is) const {
    for (std::size_t s = 0; s < axes_.seeds.size(); ++s)
      for (std::size_t t = 0; t < axes_.steps.size(); ++t)
        if (is(number(rule, s, t))) return true;
    return false;
  }
  bool any(const Number& number, const std::function<bool(double)>& is) const {
    for (std::size_t r = 0; r < axes_.rules.size(); ++r)
      if (any(r, number, is)) return true;
    return false;
  }
  static bool finite(double value) { return std::isfinite(value); }
  static bool positive(double value) { return std::isfinite(value) && value > 0; }

  bool holds(std::size_t rule, const char* variable, bool of_hidden) const {
    const std::size_t layers = of_hidden ? hidden_layers() : axes_.layers.size();
    const io::TrainingVariable* found = file_.find(variable);
    if (!found) return false;
    // A rule that settles nothing has none unsettled.
    if (found->name == "unsettled") return any(rule, numbers(variable), positive);
    return any(rule, found->per_layer ? mean(variable, layers) : numbers(variable), finite);
  }

  // Of held-out examples, or of those for training where there are no others.
  std::string error_variable() const {
    return any(numbers("test_error"), finite) ? "test_error" : "train_error";
  }

  // Rules that a figure is of.
  std::vector<std::size_t> rules(const Kind& kind) const {
    std::vector<std::size_t> out;
    for (std::size_t r = 0; r < axes_.rules.size(); ++r)
      if (std::any_of(kind.variables.begin(), kind.variables.end(),
                      [&](const char* variable) { return holds(r, variable, kind.of_hidden); }))
        out.push_back(r);
    return out;
  }

  double total(std::size_t rule, const Number& count) const {
    double sum = 0;
    for (std::size_t s = 0; s < axes_.seeds.size(); ++s)
      for (std::size_t t = 0; t < axes_.steps.size(); ++t)
        if (const double value = count(rule, s, t); std::isfinite(value)) sum += value;
    return sum;
  }
  double total(const std::string& count) const {
    const Number number = numbers(count);
    double sum = 0;
    for (std::size_t r = 0; r < axes_.rules.size(); ++r) sum += total(r, number);
    return sum;
  }

  // " (ms)", or nothing.
  std::string unit_of(const std::string& variable) const {
    const io::TrainingVariable* found = file_.find(variable);
    return !found || found->unit.empty() || found->unit == "1" ? "" : " (" + found->unit + ")";
  }

  // ---- Lines ----

  enum class Mean { plain, geometric };

  // What stands for the seeds of a step; a geometric mean is of those above zero.
  static ChartPoint over_seeds(double x, const std::vector<double>& values, Mean mean) {
    const bool log = mean == Mean::geometric;
    ChartPoint out{x, nan, nan, nan};
    double sum = 0;
    std::size_t n = 0;
    for (const double value : values) {
      if (!std::isfinite(value) || (log && !(value > 0))) continue;
      sum += log ? std::log(value) : value;
      ++n;
      if (!(value >= out.low)) out.low = value;
      if (!(value <= out.high)) out.high = value;
    }
    if (n == 0) return out;
    out.y = sum / static_cast<double>(n);
    if (log) out.y = std::exp(out.y);
    // Of one number the mean is that number to the last bit.
    if (out.low == out.high) out.y = out.low;
    return out;
  }

  // Dashed are those that share a colour with one before, and those whose errors lie on one's before, as those
  // of circuits lie on their closed form's, so that both are seen.
  void choose_strokes() {
    const std::size_t n = axes_.rules.size();
    strokes_.assign(n, Stroke::solid);
    for (std::size_t r = named_colours; r < n; ++r)
      strokes_[r] = r < 2 * named_colours ? Stroke::dashed : Stroke::dotted;
    const Number error = numbers(error_variable());
    ChartPanel all;
    for (std::size_t r = 0; r < n; ++r) all.series.push_back(line(r, error, Mean::geometric));
    ChartAxis axis;
    axis.log = true;
    fit(axis, heights(all));
    const double near = most_apart * std::log(axis.high / axis.low);
    const auto apart = [&](std::size_t r, std::size_t before) {
      double most = 0;
      for (std::size_t t = 0; t < all.series[r].points.size(); ++t) {
        const double ratio = all.series[r].points[t].y / all.series[before].points[t].y;
        if (std::isfinite(ratio)) most = std::max(most, std::abs(std::log(ratio)));
      }
      return most;
    };
    for (std::size_t r = 1; r < n; ++r) {
      if (strokes_[r] != Stroke::solid) continue;
      std::size_t nearest = r;
      double least = near;
      for (std::size_t before = 0; before < r; ++before)
        if (strokes_[before] == Stroke::solid && apart(r, before) <= least) {
          nearest = before;
          least = apart(r, before);
        }
      if (nearest == r) continue;
      strokes_[r] = Stroke::dashed;
      coincidences_ += (coincidences_.empty() ? " Coinciding, hence dashed: " : "; ") +
                       axes_.rules[r] + " on " + axes_.rules[nearest];
    }
    if (!coincidences_.empty()) coincidences_ += ".";
  }

  ChartSeries line(std::size_t rule, const Number& number, Mean mean) const {
    ChartSeries out;
    out.name = axes_.rules[rule];
    out.colour = named_colour(rule);
    out.stroke = strokes_[rule];
    out.has_range = axes_.seeds.size() > 1;
    if (axes_.steps.size() <= most_marked) out.mark = 7;
    for (std::size_t t = 0; t < axes_.steps.size(); ++t) {
      if (options_.log_time && !(axes_.steps[t] > 0)) continue;
      std::vector<double> values;
      for (std::size_t s = 0; s < axes_.seeds.size(); ++s) values.push_back(number(rule, s, t));
      out.points.push_back(over_seeds(axes_.steps[t], values, mean));
    }
    return out;
  }

  ChartAxis x_axis() const {
    ChartAxis out;
    out.label = out.name = "examples seen";
    out.log = options_.log_time;
    fit(out, axes_.steps, 0.03);
    return out;
  }

  ChartPanel panel(const std::string& title, const std::string& name,
                   const std::vector<std::size_t>& rules, const Number& number, bool log,
                   double height, std::optional<Mean> mean = {}) const {
    ChartPanel out;
    out.title = title;
    out.x = x_axis();
    out.y.name = name;
    out.y.log = log;
    out.height = height;
    for (const std::size_t rule : rules)
      if (any(rule, number, log ? positive : finite))
        out.series.push_back(
            line(rule, number, mean.value_or(log ? Mean::geometric : Mean::plain)));
    // The first are wider, so that those that later ones cover are seen.
    const auto n = static_cast<double>(out.series.size());
    for (std::size_t k = 0; k < out.series.size(); ++k)
      out.series[k].width += std::min(0.4, 1.6 / n) * (n - 1 - static_cast<double>(k));
    fit(out.y, heights(out));
    return out;
  }

  // Panels side by side have one y axis.
  static void share_heights(Chart& chart, const std::vector<double>& more = {}) {
    std::vector<double> all = more;
    for (const ChartPanel& panel : chart.panels) {
      const std::vector<double> own = heights(panel);
      all.insert(all.end(), own.begin(), own.end());
    }
    for (ChartPanel& panel : chart.panels) fit(panel.y, all);
  }

  // ---- Notes ----

  std::string spread(bool log, const std::string& but = "", bool bands = true) const {
    const std::size_t seeds = axes_.seeds.size();
    if (seeds == 1) return "";
    return std::string(" Lines: ") + (log ? "geometric mean" : "mean") + " over " +
           std::to_string(seeds) + " seeds" + but + (bands ? "; bands: smallest to largest." : ".");
  }

  // How far the run came, and which courses did not come to their end.
  std::string remarks() const {
    const std::string status = file_.attribute("status");
    std::string out;
    if (!status.empty() && status != "done" && status != "failed")
      out = " The training has not come to its end (" + status + ").";
    std::string ended;
    for (std::size_t r = 0; r < axes_.rules.size(); ++r) {
      std::size_t n = 0;
      for (std::size_t s = 0; s < axes_.seeds.size(); ++s) {
        const auto outcome = file_.outcome(r, s);
        n += outcome == io::CourseOutcome::diverged || outcome == io::CourseOutcome::failed;
      }
      if (n > 0)
        ended += (ended.empty() ? "" : "; ") + axes_.rules[r] +
                 (axes_.seeds.size() == 1 ? "" : " with " + counted(n, "seed"));
    }
    if (!ended.empty()) out += " Diverged or failed: " + ended + ".";
    return out;
  }

  static void add_note(Chart& chart, std::string note) {
    note.erase(0, note.find_first_not_of(' '));
    if (!note.empty()) chart.notes.push_back(std::move(note));
  }

  Chart new_chart(const std::string& name) const {
    Chart out;
    out.name = name;
    out.title = file_.attribute("title");
    if (out.title.empty()) out.title = file_.path().filename().string();
    out.width = options_.width;
    out.height = options_.height;
    return out;
  }

  // ---- Figures ----

  void draw_errors(Chart& chart) const;
  void draw_angles(Chart& chart) const;
  void draw_stability(Chart& chart) const;
  void draw_settling(Chart& chart) const;
  void draw_updates(Chart& chart) const;

  std::vector<double> largest_errors(const Number& error) const;
  const Kind& kind(const std::string& name) const;

  io::TrainingReader file_;
  const io::TrainingLayout& axes_;
  const PlotOptions& options_;
  std::vector<Stroke> strokes_;  // of the rules
  std::string coincidences_;     // what is said of those that are dashed to be seen
};

const std::vector<TrainingCharts::Kind>& TrainingCharts::kinds() {
  static const std::vector<Kind> all = {
      {"errors",
       {"test_error", "train_error"},
       false,
       "nothing has been evaluated",
       &TrainingCharts::draw_errors},
      {"angles",
       {"angle_to_bp", "angle_to_pbp", "angle_to_ndi", "angle_to_gauss_newton"},
       true,
       "no update of a hidden layer was compared with other rules' (compare = true in [learning] "
       "does so)",
       &TrainingCharts::draw_angles},
      {"stability",
       {"slowest_pole", "paper_criterion"},
       false,
       "no rule has loops whose poles were found",
       &TrainingCharts::draw_stability},
      {"settling",
       {"settling_time", "unsettled"},
       false,
       "no rule settles circuits",
       &TrainingCharts::draw_settling},
      {"updates", {"update_norm"}, false, "no update was made", &TrainingCharts::draw_updates},
  };
  return all;
}

const TrainingCharts::Kind& TrainingCharts::kind(const std::string& name) const {
  const auto found = std::find_if(kinds().begin(), kinds().end(),
                                  [&](const Kind& one) { return one.name == name; });
  const std::vector<std::string> known = names();
  if (found == kinds().end())
    throw core::InputError(file_.path().string(), "no figure \"" + name + "\" of this file",
                           core::join(known, " or ") + core::did_you_mean(name, known));
  if (rules(*found).empty())
    throw core::InputError(file_.path().string(),
                           "no figure \"" + name + "\" of this file: " + found->missing,
                           core::join(known, " or "));
  return *found;
}

std::vector<std::string> TrainingCharts::names() const {
  std::vector<std::string> out;
  for (const Kind& kind : kinds())
    if (!rules(kind).empty()) out.emplace_back(kind.name);
  if (out.empty())
    throw core::InputError(file_.path().string(), "a training run without any number",
                           "one that came to its first evaluation");
  return out;
}

Chart TrainingCharts::figure(const std::string& name) const {
  Chart out = new_chart(name);
  (this->*kind(name).draw)(out);
  return out;
}

Chart TrainingCharts::of_variables() const {
  Chart out = new_chart("errors");
  std::vector<std::size_t> all(axes_.rules.size());
  std::iota(all.begin(), all.end(), 0);
  bool logs = false, plains = false;
  for (const std::string& name : options_.variables) {
    file_.numbers(name);  // throws where there is none
    const io::TrainingVariable& variable = *file_.find(name);
    const std::size_t layers = variable.per_layer ? axes_.layers.size() : 1;
    for (std::size_t l = 0; l < layers; ++l) {
      const Number number = numbers(name, l);
      if (!any(number, finite)) continue;
      const bool log = !any(number, [](double value) { return value <= 0; });
      const std::string layer = "layer " + std::to_string(axes_.layers[l]);
      out.panels.push_back(
          panel(variable.long_name + unit_of(name) + (variable.per_layer ? ", " + layer : ""),
                name + unit_of(name), all, number, log, 118));
      if (variable.per_layer) out.panels.back().name = name + ", " + layer;
      (log ? logs : plains) = true;
    }
  }
  if (out.panels.empty())
    throw core::InputError(file_.path().string(),
                           "no number of " + core::join(options_.variables, " or "),
                           "variables that are not missing for every rule");
  add_note(out, spread(logs && !plains, logs && plains ? " (the geometric one along powers)" : ""));
  add_note(out, remarks());
  return out;
}

// Of each seed: over all rules, where they did not diverge.
std::vector<double> TrainingCharts::largest_errors(const Number& error) const {
  std::vector<double> out;
  for (std::size_t s = 0; s < axes_.seeds.size(); ++s) {
    double most = 0, most_of_all = 0;
    for (std::size_t r = 0; r < axes_.rules.size(); ++r)
      for (std::size_t t = 0; t < axes_.steps.size(); ++t) {
        const double value = error(r, s, t);
        if (!std::isfinite(value)) continue;
        most_of_all = std::max(most_of_all, value);
        if (file_.outcome(r, s) != io::CourseOutcome::diverged) most = std::max(most, value);
      }
    out.push_back(most > 0 ? most : most_of_all);
  }
  return out;
}

void TrainingCharts::draw_errors(Chart& chart) const {
  std::string measure = file_.attribute("error_measure");
  const bool is_share = measure == "share of wrong classes";
  if (measure.empty()) measure = "error";
  const std::string variable = error_variable();
  const std::string examples = variable == "test_error" ? "held-out examples" : "training examples";
  const Number error = numbers(variable);
  // Of shares, among which there may be zeros, the plain mean is meant.
  const Mean mean = is_share ? Mean::plain : Mean::geometric;
  Number shown = error;
  if (!is_share)
    shown = [error, most = largest_errors(error)](std::size_t r, std::size_t s, std::size_t t) {
      return most[s] > 0 ? error(r, s, t) / most[s] : error(r, s, t);
    };
  ChartPanel errors =
      panel(measure + " on " + examples + (is_share ? "" : ", over the largest of all rules"),
            is_share ? variable : variable + " / largest " + variable, rules(kind("errors")), shown,
            true, 250, mean);
  if (!is_share) fit(errors.y, heights(errors, most_beyond));
  chart.panels.push_back(std::move(errors));
  add_note(chart, spread(!is_share) + coincidences_ + remarks());
}

void TrainingCharts::draw_angles(Chart& chart) const {
  struct Reference {
    const char *variable, *title;
    std::size_t first;  // the layer of weights that the lowest hidden layer's is stored with
  };
  static constexpr std::array<Reference, 5> references = {{
      {"angle_to_bp", "update to backpropagation's", 0},
      {"angle_to_pbp", "update to PBP's (pseudoinverses)", 0},
      {"angle_to_ndi", "update to NDI's (loops at rest)", 0},
      {"angle_to_gauss_newton", "update to the Gauss–Newton step", 0},
      {"feedback_angle", "feedback B to transposed weights", 1},
  }};
  const std::size_t hidden = hidden_layers();
  const bool by_layer = hidden <= most_by_layer;
  chart.columns = by_layer && hidden > 1 ? hidden : 2;
  const std::vector<std::size_t> all = rules(kind("angles"));
  for (const Reference& reference : references) {
    std::vector<ChartPanel> row;
    for (std::size_t l = 0; l < (by_layer ? hidden : 1); ++l) {
      const std::size_t layer = l + reference.first;
      const Number angle = by_layer ? numbers(reference.variable, layer)
                                    : mean(reference.variable, hidden + reference.first);
      std::string title = reference.title;
      if (by_layer && hidden > 1) title = "layer " + std::to_string(axes_.layers[l]) + ": " + title;
      row.push_back(
          panel(title, std::string(reference.variable) + " (degree)", all, angle, false, 112));
      row.back().y.label = "angle (°)";
    }
    if (std::any_of(row.begin(), row.end(), [](const auto& one) { return !one.series.empty(); }))
      chart.panels.insert(chart.panels.end(), row.begin(), row.end());
  }
  // Angles of single batches vary much: the bands of many rules would hide their lines.
  const bool bands = all.size() <= most_with_bands;
  for (ChartPanel& panel : chart.panels)
    for (ChartSeries& series : panel.series) series.has_range = series.has_range && bands;
  share_heights(chart, {0});
  for (ChartPanel& panel : chart.panels) {
    if (panel.y.high < 15) continue;
    const double step = panel.y.high > 100 ? 45 : panel.y.high > 50 ? 30 : 15;
    for (double at = 0; at <= panel.y.high; at += step) panel.y.ticks.push_back(at);
  }
  add_note(chart, std::string("Angles of ") +
                      (hidden == 1 ? "the hidden layer"
                       : by_layer  ? "each hidden layer"
                                   : "hidden layers, averaged over " + std::to_string(hidden)) +
                      ", of one batch before each evaluation." + spread(false, "", bands));
  add_note(chart, remarks());
}

void TrainingCharts::draw_stability(Chart& chart) const {
  const std::vector<std::size_t> all = rules(kind("stability"));
  const Number corrected = numbers("interventions");
  chart.columns = 2;
  for (const bool exact : {true, false}) {
    const std::string name = exact ? "slowest_pole" : "paper_criterion";
    const Number number = largest(name);
    if (!any(number, finite)) continue;
    ChartPanel one =
        panel(std::string(exact ? "slowest pole of the loops: max Re λ"
                                : "the paper's criterion: max Re of kWB\u00A0−\u00A0α") +
                  unit_of(name),
              name + unit_of(name), all, number, false, 190);
    std::vector<ChartSeries> marks;
    for (const std::size_t rule : exact ? all : std::vector<std::size_t>{}) {
      ChartSeries mark = line(rule, number, Mean::plain);
      std::erase_if(mark.points, [&](const ChartPoint& point) {
        const auto at = std::find(axes_.steps.begin(), axes_.steps.end(), point.x);
        const auto t = static_cast<std::size_t>(at - axes_.steps.begin());
        double sum = 0;
        for (std::size_t s = 0; s < axes_.seeds.size(); ++s)
          if (const double n = corrected(rule, s, t); n > 0) sum += n;
        return sum == 0;
      });
      if (mark.points.empty()) continue;
      mark.name += ", corrected";
      mark.stroke = Stroke::none;
      mark.has_range = mark.in_key = false;
      mark.mark = 9;
      mark.mark_size = 0.7;
      marks.push_back(std::move(mark));
    }
    if (!marks.empty()) {
      ChartSeries key;
      key.name = "B corrected since the evaluation before";
      key.colour = grey;
      key.stroke = Stroke::none;
      key.mark = 9;
      key.mark_size = 0.7;
      marks.push_back(std::move(key));
    }
    ChartSeries zero;
    zero.name = "zero, unstable above";
    zero.points = {{one.x.low, 0}, {one.x.high, 0}};
    zero.colour = grey;
    zero.stroke = Stroke::dashed;
    one.series.push_back(std::move(zero));
    one.series.insert(one.series.end(), marks.begin(), marks.end());
    chart.panels.push_back(std::move(one));
  }
  share_heights(chart);
  chart.columns = chart.panels.size();
  add_note(chart, (axes_.layers.size() > 2 ? " The largest over layers." : "") + spread(false));
  const double exact = total("unstable"), paper = total("unstable_paper"),
               corrections = total("interventions");
  if (exact + paper + corrections > 0)
    add_note(chart, "Loops found unstable: " + core::number_text(exact) + " by their poles, " +
                        core::number_text(paper) + " by the paper's criterion; B corrected " +
                        core::number_text(corrections) + " times.");
  add_note(chart, remarks());
}

void TrainingCharts::draw_settling(Chart& chart) const {
  const std::vector<std::size_t> all = rules(kind("settling"));
  const Number time = numbers("settling_time"), unsettled = numbers("unsettled");
  const bool any_time = any(time, finite);
  if (any_time)
    chart.panels.push_back(panel("mean settling time of an example" + unit_of("settling_time"),
                                 "settling_time" + unit_of("settling_time"), all, time, true, 170));
  std::string counts;
  for (const std::size_t rule : all)
    if (const double n = total(rule, unsettled); n > 0)
      counts += (counts.empty() ? "" : "; ") + core::number_text(n) + " of " + axes_.rules[rule];
  if (!counts.empty())
    chart.panels.push_back(panel("examples that did not settle, since the evaluation before",
                                 "unsettled", all, unsettled, false, 100));
  add_note(chart, counts.empty() ? "Every example settled."
                                 : "Examples that did not settle: " + counts + ".");
  add_note(chart, spread(any_time, counts.empty() ? "" : " (of counts the mean)"));
  add_note(chart, remarks());
}

void TrainingCharts::draw_updates(Chart& chart) const {
  const std::vector<std::size_t> all = rules(kind("updates"));
  const std::size_t layers = axes_.layers.size();
  chart.columns = std::min(layers, most_by_layer);
  for (std::size_t l = 0; l < layers; ++l) {
    const std::string layer = "layer " + std::to_string(axes_.layers[l]);
    chart.panels.push_back(panel("weights of " + layer, "update_norm", all,
                                 numbers("update_norm", l), true,
                                 layers <= most_by_layer ? 190 : 130));
    chart.panels.back().y.label = "norm of the update";
  }
  share_heights(chart);
  add_note(chart,
           "Frobenius norm of the last update of each layer's weights before an evaluation." +
               spread(true));
  add_note(chart, remarks());
}

}  // namespace

std::vector<std::string> training_figure_names(const std::filesystem::path& file) {
  if (!io::TrainingFile::is_training(file)) return {};
  return TrainingCharts(file, {}).names();
}

Chart training_figure(const std::filesystem::path& file, const PlotOptions& options,
                      const std::string& figure) {
  const TrainingCharts charts(file, options);
  if (!options.variables.empty()) return charts.of_variables();
  return charts.figure(figure.empty() ? charts.names().front() : figure);
}

}  // namespace settle::analysis
