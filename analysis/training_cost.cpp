// What training has cost by each error that it has come to.
#include <algorithm>

#include "analysis/training_lines.hpp"

namespace settle::analysis {

TrainingNumber accumulated(const TrainingLines& lines, const std::string& per_example) {
  const io::TrainingLayout& axes = lines.axes();
  const TrainingNumber number = lines.numbers(per_example);
  const std::size_t seeds = axes.seeds.size(), steps = axes.steps.size();
  std::vector<double> sums;
  for (std::size_t r = 0; r < axes.rules.size(); ++r)
    for (std::size_t s = 0; s < seeds; ++s) {
      double sum = 0;
      for (std::size_t t = 0; t < steps; ++t) {
        if (t > 0) sum += number(r, s, t) * (axes.steps[t] - axes.steps[t - 1]);
        sums.push_back(sum);
      }
    }
  return [=](std::size_t r, std::size_t s, std::size_t t) {
    return sums[(r * seeds + s) * steps + t];
  };
}

std::vector<std::size_t> costed_rules(const TrainingLines& lines) {
  const TrainingNumber error = lines.numbers(lines.error_variable());
  std::vector<std::size_t> out;
  for (std::size_t r = 0; r < lines.axes().rules.size(); ++r)
    if (lines.any(r, error, TrainingLines::finite) &&
        (lines.any(r, lines.numbers("seconds_per_example"), TrainingLines::positive) ||
         lines.any(r, lines.numbers("multiplications"), TrainingLines::positive)))
      out.push_back(r);
  return out;
}

void draw_cost(const TrainingLines& lines, Chart& chart) {
  struct Cost {
    const char *variable, *label, *name;
  };
  const std::vector<std::size_t> rules = costed_rules(lines);
  const std::string variable = lines.error_variable();
  const TrainingNumber error = lines.numbers(variable);
  for (const Cost& cost :
       {Cost{"seconds_per_example", "seconds of training so far", "seconds (s)"},
        Cost{"multiplications", "multiplications of training so far", "multiplications"}}) {
    if (!lines.any(lines.numbers(cost.variable), TrainingLines::positive)) continue;
    ChartPanel one =
        lines.panel(chart.panels.empty() ? lines.error_title() : "", variable, rules, error, true,
                    250, lines.error_mean(), accumulated(lines, cost.variable));
    one.name = std::string("error against ") + cost.name;
    one.x.label = cost.label;
    one.x.name = cost.name;
    one.y.label = lines.is_share() ? "share" : "error";
    chart.panels.push_back(std::move(one));
  }
  chart.columns = chart.panels.size();
  const bool bands = rules.size() <= TrainingLines::most_with_bands;
  for (ChartPanel& panel : chart.panels)
    for (ChartSeries& series : panel.series) series.has_range = series.has_range && bands;
  TrainingLines::add_note(
      chart,
      "Seconds of the machine that trained, evaluations left out; multiplications in products of "
      "matrices, of the forward pass, of credit with settling, and of all updates." +
          lines.spread(!lines.is_share(), "", bands));
  TrainingLines::add_note(chart, lines.remarks());
}

}  // namespace settle::analysis
