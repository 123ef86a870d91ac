#include "analysis/training_figures.hpp"

#include <algorithm>
#include <numeric>

#include "analysis/training_lines.hpp"
#include "sim/core/error.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

constexpr std::size_t most_by_layer = 3;  // hidden layers that have panels of their own
constexpr const char* grey = "#606060";

class TrainingCharts : public TrainingLines {
 public:
  using TrainingLines::TrainingLines;

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
    std::vector<std::size_t> (*rules)(const TrainingLines&) = nullptr;  // in place of variables
  };
  static const std::vector<Kind>& kinds();
  const Kind& kind(const std::string& name) const;

  // Rules that a figure is of.
  std::vector<std::size_t> rules(const Kind& kind) const {
    if (kind.rules) return kind.rules(*this);
    std::vector<std::size_t> out;
    for (std::size_t r = 0; r < axes().rules.size(); ++r)
      if (std::any_of(kind.variables.begin(), kind.variables.end(),
                      [&](const char* variable) { return holds(r, variable, kind.of_hidden); }))
        out.push_back(r);
    return out;
  }

  void draw_errors(Chart& chart) const;
  void draw_angles(Chart& chart) const;
  void draw_stability(Chart& chart) const;
  void draw_settling(Chart& chart) const;
  void draw_updates(Chart& chart) const;
  void draw_against(Chart& chart) const {
    analysis::draw_against(*this, chart, options().variables);
  }
  void draw_cost(Chart& chart) const { analysis::draw_cost(*this, chart); }
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
      {"against",
       {},
       false,
       "no rule is one of a series with numbers (vary = { leak = [ … ] } in a [[rule]] makes one)",
       &TrainingCharts::draw_against,
       &varied_rules},
      {"cost",
       {},
       false,
       "no rule's seconds or multiplications are known beside its error",
       &TrainingCharts::draw_cost,
       &costed_rules},
  };
  return all;
}

const TrainingCharts::Kind& TrainingCharts::kind(const std::string& name) const {
  const auto found = std::find_if(kinds().begin(), kinds().end(),
                                  [&](const Kind& one) { return one.name == name; });
  const std::vector<std::string> known = names();
  if (found == kinds().end())
    throw core::InputError(file().path().string(), "no figure \"" + name + "\" of this file",
                           core::join(known, " or ") + core::did_you_mean(name, known));
  if (rules(*found).empty())
    throw core::InputError(file().path().string(),
                           "no figure \"" + name + "\" of this file: " + found->missing,
                           core::join(known, " or "));
  return *found;
}

std::vector<std::string> TrainingCharts::names() const {
  std::vector<std::string> out;
  for (const Kind& kind : kinds())
    if (!rules(kind).empty()) out.emplace_back(kind.name);
  if (out.empty())
    throw core::InputError(file().path().string(), "a training run without any number",
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
  std::vector<std::size_t> all(axes().rules.size());
  std::iota(all.begin(), all.end(), 0);
  bool logs = false, plains = false;
  for (const std::string& name : options().variables) {
    file().numbers(name);  // throws where there is none
    const io::TrainingVariable& variable = *file().find(name);
    const std::size_t layers = variable.per_layer ? axes().layers.size() : 1;
    for (std::size_t l = 0; l < layers; ++l) {
      const TrainingNumber number = numbers(name, l);
      if (!any(number, finite)) continue;
      const bool log = !any(number, [](double value) { return value <= 0; });
      const std::string layer = "layer " + std::to_string(axes().layers[l]);
      out.panels.push_back(
          panel(variable.long_name + unit_of(name) + (variable.per_layer ? ", " + layer : ""),
                name + unit_of(name), all, number, log, 118));
      if (variable.per_layer) out.panels.back().name = name + ", " + layer;
      (log ? logs : plains) = true;
    }
  }
  if (out.panels.empty())
    throw core::InputError(file().path().string(),
                           "no number of " + core::join(options().variables, " or "),
                           "variables that are not missing for every rule");
  add_note(out, spread(logs && !plains, logs && plains ? " (the geometric one along powers)" : ""));
  add_note(out, remarks());
  return out;
}

void TrainingCharts::draw_errors(Chart& chart) const {
  const std::string variable = error_variable();
  const TrainingNumber error = numbers(variable);
  TrainingNumber shown = error;
  if (!is_share())
    shown = [error, most = largest_errors(error)](std::size_t r, std::size_t s, std::size_t t) {
      return most[s] > 0 ? error(r, s, t) / most[s] : error(r, s, t);
    };
  ChartPanel errors = panel(error_title() + (is_share() ? "" : ", over the largest of all rules"),
                            is_share() ? variable : variable + " / largest " + variable,
                            rules(kind("errors")), shown, true, 250, error_mean());
  chart.panels.push_back(std::move(errors));
  add_note(chart, spread(!is_share()) + coincidences() + remarks());
}

void TrainingCharts::draw_angles(Chart& chart) const {
  const std::size_t hidden = hidden_layers();
  const bool by_layer = hidden <= most_by_layer;
  chart.columns = by_layer && hidden > 1 ? hidden : 2;
  const std::vector<std::size_t> all = rules(kind("angles"));
  for (const AngleVariable& reference : angle_variables()) {
    std::vector<ChartPanel> row;
    for (std::size_t l = 0; l < (by_layer ? hidden : 1); ++l) {
      const std::size_t layer = l + reference.first;
      const TrainingNumber angle = by_layer ? numbers(reference.name, layer)
                                            : mean(reference.name, hidden + reference.first);
      std::string title = reference.title;
      if (by_layer && hidden > 1)
        title = "layer " + std::to_string(axes().layers[l]) + ": " + title;
      row.push_back(
          panel(title, std::string(reference.name) + " (degree)", all, angle, false, 112));
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
  for (ChartPanel& panel : chart.panels) set_angle_ticks(panel.y);
  add_note(chart, std::string("Angles of ") +
                      (hidden == 1 ? "the hidden layer"
                       : by_layer  ? "each hidden layer"
                                   : "hidden layers, averaged over " + std::to_string(hidden)) +
                      ", of one batch before each evaluation." + spread(false, "", bands));
  add_note(chart, remarks());
}

void TrainingCharts::draw_stability(Chart& chart) const {
  const std::vector<std::size_t> all = rules(kind("stability"));
  const TrainingNumber corrected = numbers("interventions");
  chart.columns = 2;
  for (const bool exact : {true, false}) {
    const std::string name = exact ? "slowest_pole" : "paper_criterion";
    const TrainingNumber number = largest(name);
    if (!any(number, finite)) continue;
    ChartPanel one =
        panel(std::string(exact ? "slowest pole of the loops: max Re λ"
                                : "the paper's criterion: max Re of kWB\u00A0−\u00A0α") +
                  unit_of(name),
              name + unit_of(name), all, number, false, 190);
    std::vector<ChartSeries> marks;
    for (const std::size_t rule : exact ? all : std::vector<std::size_t>{}) {
      ChartSeries mark = line(rule, number, SeedMean::plain);
      std::erase_if(mark.points, [&](const ChartPoint& point) {
        const auto at = std::find(axes().steps.begin(), axes().steps.end(), point.x);
        const auto t = static_cast<std::size_t>(at - axes().steps.begin());
        double sum = 0;
        for (std::size_t s = 0; s < axes().seeds.size(); ++s)
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
  add_note(chart, (axes().layers.size() > 2 ? " The largest over layers." : "") + spread(false));
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
  const TrainingNumber time = numbers("settling_time"), unsettled = numbers("unsettled");
  const bool any_time = any(time, finite);
  if (any_time)
    chart.panels.push_back(panel("mean settling time of an example" + unit_of("settling_time"),
                                 "settling_time" + unit_of("settling_time"), all, time, true, 170));
  std::string counts;
  for (const std::size_t rule : all)
    if (const double n = total(rule, unsettled); n > 0)
      counts += (counts.empty() ? "" : "; ") + core::number_text(n) + " of " + axes().rules[rule];
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
  const std::size_t layers = axes().layers.size();
  chart.columns = std::min(layers, most_by_layer);
  double most = 0;
  for (std::size_t l = 0; l < layers; ++l) {
    const std::string layer = "layer " + std::to_string(axes().layers[l]);
    const TrainingNumber norm = numbers("update_norm", l);
    most = std::max(most, ceiling(norm));
    chart.panels.push_back(panel("weights of " + layer, "update_norm", all, norm, true,
                                 layers <= most_by_layer ? 190 : 130));
    chart.panels.back().y.label = "norm of the update";
  }
  share_heights(chart, {}, most);
  add_note(chart,
           "Learning rate times the Frobenius norm of the last credit of each layer's weights "
           "before an evaluation." +
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
  if (!options.variables.empty() && figure != "against") return charts.of_variables();
  return charts.figure(figure.empty() ? charts.names().front() : figure);
}

}  // namespace settle::analysis
