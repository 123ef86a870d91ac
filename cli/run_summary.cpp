#include "cli/run_summary.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>

#include "analysis/summary.hpp"

namespace settle::cli {
namespace {

using analysis::median;
using analysis::sorted;
using analysis::spread;
using Eigen::Index;
using solve::Outcome;
using Json = nlohmann::ordered_json;

constexpr std::size_t most_trials = 32;  // told one by one
constexpr std::size_t most_signals = 8;  // whose settling times are told

std::string coloured(const std::string& word, Outcome outcome, const Style& style) {
  switch (outcome) {
    case Outcome::settled:
      return style.green(word);
    case Outcome::not_settled:
    case Outcome::oscillating:
      return style.yellow(word);
    case Outcome::diverged:
    case Outcome::failed:
      return style.red(word);
  }
  return word;
}

const core::Quantity* find(const RunReport& report, const std::string& name) {
  return analysis::find(report.quantities, name);
}

// "settled at t = 28.91: …": the verdict's own first words carry the outcome's colour.
std::string verdict_text(const RunReport& report, std::size_t trial, const Style& style) {
  const std::string text = find(report, "verdict_text")->texts[trial];
  const std::size_t end = std::min(text.find_first_of(":;("), text.size());
  return coloured(text.substr(0, end), report.summary.trials[trial].outcome, style) +
         text.substr(end);
}

void print_verdict(const RunReport& report, const Style& style) {
  const auto& trials = report.summary.trials;
  if (trials.size() == 1) {
    print_line("verdict", verdict_text(report, 0, style));
    return;
  }
  const core::Quantity& kinds = *find(report, "verdict");
  std::map<int, std::vector<std::size_t>> by_kind;
  for (std::size_t k = 0; k < trials.size(); ++k)
    by_kind[static_cast<int>(kinds.values(0, static_cast<Index>(k)))].push_back(k);
  std::string counts;
  for (const auto& [kind, members] : by_kind)
    counts += (counts.empty() ? "" : ", ") + std::to_string(members.size()) + " " +
              coloured(kinds.meanings[static_cast<std::size_t>(kind)],
                       trials[members.front()].outcome, style);
  print_line("verdict", counts + " of " + std::to_string(trials.size()) + " trials");
  for (const auto& [kind, members] : by_kind)
    if (trials[members.front()].outcome != Outcome::settled || by_kind.size() > 1)
      print_line("  trial " + std::to_string(members.front()),
                 verdict_text(report, members.front(), style));
}

void print_phases(const RunReport& report) {
  const solve::SolveSummary& summary = report.summary;
  if (summary.phases.size() < 2) return;
  for (const auto& phase : summary.phases) {
    std::vector<int> by_outcome(solve::outcome_names().size());
    for (const Outcome outcome : phase.outcomes) ++by_outcome[static_cast<std::size_t>(outcome)];
    std::string text;
    for (std::size_t i = 0; i < by_outcome.size(); ++i)
      if (by_outcome[i] > 0)
        text += (text.empty() ? "" : ", ") +
                (phase.outcomes.size() > 1 ? std::to_string(by_outcome[i]) + " " : "") +
                solve::outcome_names()[i];
    print_line("  " + phase.name, "t = " + core::brief(phase.start) + " to " +
                                      core::brief(phase.end, report.ready.config.time_unit) + ", " +
                                      text);
  }
}

// Until each controller's error stays within the bands.
void print_settling_times(const RunReport& report) {
  const core::Quantity* times = find(report, "settling_time");
  if (!times || times->trials() == 0) return;
  const auto& signals = times->axes[0].labels;
  const auto& bands = times->axes[1].labels;
  const auto is_error = [](const std::string& name) { return name.ends_with(".error"); };
  const bool any_error = std::any_of(signals.begin(), signals.end(), is_error);
  std::size_t shown = 0;
  for (std::size_t s = 0; s < signals.size(); ++s) {
    if (any_error && !is_error(signals[s])) continue;
    if (++shown > most_signals) break;
    std::string text;
    for (std::size_t b = 0; b < bands.size(); ++b) {
      const std::vector<double> values = sorted(*times, static_cast<Index>(s * bands.size() + b));
      if (values.empty()) continue;
      text += (text.empty() ? "" : ", ") + core::brief(median(values)) + " to " +
              (bands[b] == "tolerance" ? "the tolerance" : bands[b]);
    }
    if (text.empty()) continue;
    print_line("settling time",
               text + "  (" + signals[s] + (times->trials() > 1 ? ", median of the trials)" : ")"));
  }
}

// Errors that first grow, and by how much any could.
void print_growth(const RunReport& report) {
  constexpr double worth_telling = 1.5;
  if (const core::Quantity* excursion = find(report, "largest_excursion")) {
    const auto& signals = excursion->axes[0].labels;
    for (std::size_t s = 0; s < signals.size(); ++s) {
      const auto cell = static_cast<Index>(s);
      const std::vector<double> values = sorted(*excursion, cell);
      if (signals[s].ends_with(".error") && !values.empty() && values.back() >= worth_telling)
        print_line("excursion", spread(*excursion, cell) +
                                    " times as far from rest as at the start  (" + signals[s] +
                                    ")");
    }
  }
  const core::Quantity* growth = find(report, "largest_growth");
  const core::Quantity* when = find(report, "largest_growth_time");
  if (growth && when && growth->trials() > 0)
    print_line("largest growth", spread(*growth) + " at t = " + spread(*when) + "  ‖e^{Mt}‖");
}

void print_rates(const RunReport& report) {
  const core::Quantity* pole = find(report, "slowest_pole");
  const core::Quantity* decay = find(report, "decay_rate");
  if (!pole || !decay) return;
  const std::vector<double> poles = sorted(*pole);
  const std::string measured = spread(*decay);
  std::string text = measured.rfind("none", 0) == 0 ? measured : measured + " measured";
  const double zero = 1e-9 / report.ready.system->tau().maxCoeff();
  if (!poles.empty())
    text +=
        ", " + core::brief(std::abs(median(poles)) > zero ? -median(poles) : 0) +
        " predicted by the slowest pole" +
        (report.summary.phases.size() > 1 ? " of " + report.summary.phases[report.phase].name : "");
  print_line("decay rate", text);
}

// One line a trial, where there are not too many to read.
void print_trials(const RunReport& report) {
  const auto& trials = report.summary.trials;
  if (trials.size() < 2 || trials.size() > most_trials) return;
  const auto number = [](double x) { return std::isfinite(x) ? core::brief(x) : std::string("-"); };
  std::vector<std::string> heading = {"trial", "verdict", "settled at"};
  std::vector<const core::Quantity*> errors;
  for (const auto& quantity : report.quantities)
    if (quantity.name.rfind("inversion_error", 0) == 0) {
      errors.push_back(&quantity);
      heading.push_back(quantity.name);
    }
  Table table(std::move(heading));
  const core::Quantity& kinds = *find(report, "verdict");
  for (std::size_t k = 0; k < trials.size(); ++k) {
    const auto column = static_cast<Index>(k);
    std::vector<std::string> row = {
        std::to_string(k), kinds.meanings[static_cast<std::size_t>(kinds.values(0, column))],
        number(trials[k].settled_at)};
    for (const auto* error : errors) row.push_back(number(error->values(0, column)));
    table.add(std::move(row));
  }
  std::cout << "\n";
  table.print();
}

}  // namespace

void print_line(const std::string& label, const std::string& text) {
  const std::size_t width = display_width(label);
  std::cout << "  " << label << std::string(width < 18 ? 18 - width : 1, ' ') << text << '\n';
}

// "auto: exact by modes of a 10 × 10 matrix"
std::string solver_text(const models::Config& config, const solve::SolveSummary& summary) {
  std::string text = config.solver.method;
  if (summary.method != text) text += ": " + summary.method;
  if (summary.how.empty()) return text;
  return text + (summary.method == "exact" ? " by " : ", since ") + summary.how;
}

void print_report(const RunReport& report, const Style& style) {
  const models::Config& config = report.ready.config;
  const solve::SolveSummary& summary = report.summary;
  std::cout << style.bold(config.title.empty() ? report.ready.file.path.stem().string()
                                               : config.title)
            << '\n';
  print_verdict(report, style);
  if (report.cure) print_line("cure", report.cure->text);
  print_phases(report);
  for (const std::string& text : summary.shortcuts) print_line("shortcut", text);
  print_line(
      "simulated",
      (summary.t_end > 0 ? core::brief(summary.t_end, config.time_unit) : std::string("no time")) +
          " in " + duration_text(summary.wall_time) + ", " + solver_text(config, summary) + ": " +
          std::to_string(summary.steps) + (summary.steps == 1 ? " step, " : " steps, ") +
          std::to_string(summary.rejections) + " rejected, " + std::to_string(summary.evaluations) +
          " evaluations");
  for (const auto& quantity : report.quantities)
    if (quantity.name.rfind("inversion_error", 0) == 0) {
      const std::string who = quantity.name.substr(std::string("inversion_error").size());
      print_line("inversion error", spread(quantity) + "  ‖Wφ(r) − y‖/‖y‖" +
                                        (who.empty() ? "" : " of " + who.substr(1)));
    }
  print_settling_times(report);
  print_growth(report);
  print_rates(report);
  if (!report.result.empty()) print_line("result", report.result.string());
  for (const std::string& text : analysis::disagreements(report.quantities))
    print_line(style.yellow("warning"), text);
  for (const std::string& warning : report.ready.warnings)
    print_line(style.yellow("warning"), warning);
  print_trials(report);
  std::cout.flush();
}

Json json_number(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }

Json report_json(const RunReport& report) {
  const solve::SolveSummary& summary = report.summary;
  Json out;
  out["file"] = report.ready.file.path.string();
  if (!report.result.empty()) out["result"] = report.result.string();
  out["title"] = report.ready.config.title;
  const char* statuses[] = {"done", "failed", "interrupted"};
  out["status"] = statuses[static_cast<int>(summary.status)];
  if (!summary.reason.empty()) out["reason"] = summary.reason;
  out["outcome"] = solve::name(summary.outcome());
  out["t_end"] = json_number(summary.t_end);
  out["wall_time"] = json_number(summary.wall_time);
  out["steps"] = summary.steps;
  out["rejections"] = summary.rejections;
  out["evaluations"] = summary.evaluations;
  out["solver"] = summary.method;
  out["solver_how"] = summary.how;
  if (!summary.shortcuts.empty()) out["solver_shortcuts"] = summary.shortcuts;
  out["jacobians"] = summary.jacobians;
  const core::Quantity& kinds = *find(report, "verdict");
  for (std::size_t k = 0; k < summary.trials.size(); ++k) {
    const solve::TrialResult& trial = summary.trials[k];
    const auto kind = static_cast<std::size_t>(kinds.values(0, static_cast<Index>(k)));
    out["trials"].push_back({{"outcome", solve::name(trial.outcome)},
                             {"reason", trial.reason},
                             {"verdict", kinds.meanings[kind]},
                             {"verdict_text", find(report, "verdict_text")->texts[k]},
                             {"settled_at", json_number(trial.settled_at)},
                             {"residual", json_number(trial.residual)}});
  }
  if (report.cure) {
    const analysis::Cure& cure = *report.cure;
    out["cure"] = {{"parameter", report.ready.system->circuit().controllers[cure.controller].name +
                                     "." + analysis::key(cure.parameter)},
                   {"from", json_number(cure.from)},
                   {"boundary", json_number(cure.boundary)},
                   {"to", json_number(cure.to)},
                   {"confirmed", cure.confirmed},
                   {"text", cure.text}};
  }
  for (const auto& phase : summary.phases) {
    Json entry{
        {"name", phase.name}, {"start", json_number(phase.start)}, {"end", json_number(phase.end)}};
    for (const Outcome outcome : phase.outcomes) entry["outcomes"].push_back(solve::name(outcome));
    out["phases"].push_back(std::move(entry));
  }
  for (const auto& quantity : report.quantities) {
    if (!quantity.texts.empty() || !quantity.meanings.empty()) continue;
    Json values = Json::array();
    for (Index k = 0; k < quantity.values.size(); ++k)
      values.push_back(json_number(quantity.values.data()[k]));
    Json& entry = out["measures"][quantity.name];
    entry = {{"values", values}, {"units", quantity.units}};
    for (const core::QuantityAxis& axis : quantity.axes) {
      entry["axes"].push_back(axis.name);
      entry["shape"].push_back(axis.size);
    }
    for (const std::string& reason : quantity.reasons)
      if (!reason.empty()) {
        entry["reasons"] = quantity.reasons;
        break;
      }
  }
  out["warnings"] = report.ready.warnings;
  return out;
}

}  // namespace settle::cli
