#include "cli/analysis_summary.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>

namespace settle::cli {
namespace {

using core::Quantity;
using Eigen::Index;

constexpr Index most_rows = 8;  // of a table

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

class AnalysisPrinter {
 public:
  AnalysisPrinter(const RunReport& report, std::size_t trial, const Style& style)
      : report_(report), trial_(static_cast<Index>(trial)), style_(style) {}

  void print() const {
    equilibria();
    poles();
    loops();
    parameter_margins();
    loop_margins();
    growth();
    response();
    directions();
    integrators();
    credit();
  }

 private:
  const Quantity* find(const std::string& name) const {
    return analysis::find(report_.quantities, name);
  }
  double value(const Quantity& quantity, Index cell) const { return quantity.values(cell, trial_); }
  static std::string number(double x) { return std::isfinite(x) ? core::brief(x) : "-"; }
  std::string number(const Quantity* quantity, Index cell) const {
    return quantity ? number(value(*quantity, cell)) : "-";
  }
  std::string time(double t) const { return core::brief(t, report_.ready.config.time_unit); }
  void heading(const std::string& text) const { std::cout << '\n' << style_.bold(text) << '\n'; }

  // "0.12", or why there is none.
  std::string number_or_reason(const Quantity& quantity, Index cell = 0) const {
    const double x = value(quantity, cell);
    if (std::isfinite(x)) return core::brief(x);
    const std::string& reason = quantity.reason(cell, trial_);
    return "none" + (reason.empty() ? "" : ": " + reason);
  }

  // What rounding leaves of zero is none.
  static bool is_zero(double x, double scale) { return std::abs(x) <= 1e-9 * std::abs(scale); }

  static std::string pole_text(double re, double im) {
    return core::brief(re) + (is_zero(im, re) ? "" : " ± " + core::brief(std::abs(im)) + "i");
  }

  std::string stability(const Quantity& quantity, Index cell) const {
    const double kind = value(quantity, cell);
    if (std::isnan(kind)) return "-";
    const std::string& word = quantity.meanings[static_cast<std::size_t>(kind)];
    return word == "stable" ? style_.green(word) : style_.yellow(word);
  }

  void equilibria() const {
    const Quantity* found = find("equilibria_found");
    if (!found) return;
    const Quantity &pole = *find("equilibria_pole"),
                   &frequency = *find("equilibria_pole_angular_frequency"),
                   &kind = *find("equilibria_stability"), &residual = *find("equilibria_residual"),
                   &distance = *find("equilibria_distance");
    const auto count = static_cast<Index>(value(*found, 0));
    heading("Equilibria");
    if (count == 0) {
      print_line("none found", pole.reason(0, trial_));
      return;
    }
    Table table({"", "stability", "slowest pole", "residual", "distance from the end"}, "rl");
    for (Index k = 0; k < count; ++k)
      table.add({std::to_string(k + 1), stability(kind, k),
                 pole_text(value(pole, k), value(frequency, k)), number(&residual, k),
                 number(&distance, k)});
    table.print();
  }

  void poles() const {
    const Quantity* real = find("pole_real");
    if (!real) return;
    const Quantity &frequency = *find("pole_angular_frequency"),
                   &damping = *find("pole_damping_ratio"), &shares = *find("pole_participation");
    const auto& nodes = shares.axes[1].labels;
    heading("Slowest poles");
    Table table({"Re s", "Im s", "time constant", "damping ratio", "  nodes that take part"},
                "rrrrl");
    Index shown = 0, all = 0;
    for (Index k = 0; k < real->cells(); ++k) {
      const double re = value(*real, k), im = value(frequency, k);
      if (std::isnan(re)) continue;
      ++all;
      if ((im < 0 && !is_zero(im, re)) || shown >= most_rows) continue;  // one of a pair
      ++shown;
      table.add({core::brief(re), is_zero(im, re) ? "0" : "± " + core::brief(im),
                 re < 0 ? time(-1 / re) : "-", number(&damping, k),
                 "  " + parts(shares, nodes, k)});
    }
    if (table.empty()) {
      print_line("none", real->reason(0, trial_));
      return;
    }
    table.print();
    if (all > shown) std::cout << "    … of " << all << " poles\n";
  }

  std::string parts(const Quantity& shares, const std::vector<std::string>& nodes, Index k) const {
    std::vector<std::pair<double, std::string>> found;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const double share =
          value(shares, k * static_cast<Index>(nodes.size()) + static_cast<Index>(i));
      if (share >= 0.05) found.emplace_back(share, nodes[i]);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::string> words;
    for (const auto& [share, node] : found)
      if (words.size() < 3)
        words.push_back(node + " " + core::brief(std::round(100 * share)) + " %");
    return words.empty() ? "-" : core::join(words);
  }

  void loops() const {
    const Quantity* paper = find("paper_criterion");
    const Quantity* exact = find("loop_pole");
    if (!paper || !exact) return;
    heading("Feedback loops");
    Table table({"controller", "paper: max Re λ(kWB − αI)", "exact: max Re s"}, "l");
    for (Index c = 0; c < paper->cells(); ++c)
      table.add({paper->axes[0].labels[at(c)], number(paper, c), number(exact, c)});
    table.print();
  }

  void parameter_margins() const {
    const Quantity* below = find("stability_changes_below");
    const Quantity* above = find("stability_changes_above");
    if (!below || !above) return;
    const Quantity &low = *find("stability_changes_below_frequency"),
                   &high = *find("stability_changes_above_frequency");
    const auto& controllers = report_.ready.system->circuit().controllers;
    heading("Where stability changes as one parameter moves");
    Table table({"parameter", "value", "below", "", "above", ""}, "lrrlrl");
    Index cell = 0;
    for (const system::Controller& controller : controllers)
      for (const analysis::Parameter parameter : analysis::all_parameters) {
        table.add({controller.name + "." + analysis::key(parameter),
                   core::brief(analysis::value(analysis::gains_of(controller), parameter)),
                   number(below, cell), kind_of_change(low, cell), number(above, cell),
                   kind_of_change(high, cell)});
        ++cell;
      }
    table.print();
  }

  std::string kind_of_change(const Quantity& frequency, Index cell) const {
    const double omega = value(frequency, cell);
    if (std::isnan(omega)) return "";
    return omega == 0 ? "(a real pole)" : "(a pair, ω = " + core::brief(omega) + ")";
  }

  void loop_margins() const {
    const Quantity* gain = find("gain_margin");
    if (!gain) return;
    heading("Margins of the loop broken at a projection");
    Table table({"projection", "gain", "at ω", "reduction", "phase", "delay"}, "l");
    for (Index k = 0; k < gain->cells(); ++k) {
      const double up = value(*gain, k), down = value(*find("gain_reduction_margin"), k),
                   phase = value(*find("phase_margin"), k), delay = value(*find("delay_margin"), k);
      // ∞ and 0: at will.
      table.add({gain->axes[0].labels[at(k)], std::isfinite(up) ? "× " + core::brief(up) : "none",
                 number(find("gain_margin_frequency"), k),
                 down > 0 ? "× " + core::brief(down) : "none",
                 std::isfinite(phase) ? core::brief(phase) + "°" : "none",
                 std::isfinite(delay) ? time(delay) : "none"});
    }
    table.print();
  }

  void growth() const {
    if (!find("kreiss_constant")) return;
    heading("Transient growth, in the 2-norm of all states");
    const Quantity &largest = *find("largest_growth"), &when = *find("largest_growth_time");
    print_line("largest growth", number_or_reason(largest) +
                                     (std::isfinite(value(when, 0))
                                          ? " at t = " + time(value(when, 0)) + "  max ‖exp(Mt)‖"
                                          : ""));
    print_line("growth rate", number_or_reason(*find("numerical_abscissa")) +
                                  "  at t = 0, the numerical abscissa");
    print_line("Kreiss constant",
               number_or_reason(*find("kreiss_constant")) + "  the growth is at least that");
    const Quantity& pseudo = *find("pseudospectral_abscissa");
    const std::string& about = pseudo.long_name;
    print_line("pseudospectrum", number_or_reason(pseudo) + "  its abscissa" +
                                     about.substr(std::min(about.find(" for "), about.size())));
    const double omega = value(*find("distance_to_instability_frequency"), 0);
    const double distance = value(*find("distance_to_instability"), 0);
    print_line("to instability",
               number_or_reason(*find("distance_to_instability")) +
                   "  the smallest perturbation of the Jacobian M that makes it unstable" +
                   (std::isfinite(omega)
                        ? ", at ω = " + core::brief(is_zero(1e-3 * omega, distance) ? 0 : omega)
                        : ""));
  }

  void response() const {
    const Quantity* rise = find("rise_time");
    if (!rise) return;
    const Quantity& settling = *find("settling_time");
    const auto& signals = settling.axes[0].labels;
    const auto& bands = settling.axes[1].labels;
    heading("Response");
    std::vector<std::string> head = {"signal", "rise"};
    for (const std::string& band : bands) head.push_back(band == "tolerance" ? band : "to " + band);
    for (const char* more : {"overshoot", "ringing ω", "excursion"}) head.emplace_back(more);
    Table table(head, "l");
    for (std::size_t s = 0; s < signals.size(); ++s) {
      const auto cell = static_cast<Index>(s);
      std::vector<std::string> row = {signals[s], number(rise, cell)};
      for (std::size_t b = 0; b < bands.size(); ++b)
        row.push_back(number(&settling, static_cast<Index>(s * bands.size() + b)));
      for (const char* name : {"overshoot", "ringing_frequency", "largest_excursion"})
        row.push_back(number(find(name), cell));
      table.add(std::move(row));
    }
    table.print();
  }

  void directions() const {
    for (const Quantity& quantity : report_.quantities) {
      if (quantity.name.rfind("direction_error", 0) != 0 ||
          quantity.name.rfind("direction_error_linear", 0) == 0)
        continue;
      const std::string end = quantity.name.substr(std::string("direction_error").size());
      heading("Error by singular direction" + (end.empty() ? "" : " of " + end.substr(1)));
      Table table({"σ", "|e|/|y|", "1/(1 + Gσ²)"});
      const Index n = quantity.cells();
      for (Index k = 0; k < n; ++k) {
        if (n > most_rows && k >= most_rows / 2 && k < n - most_rows / 2) {
          if (k == most_rows / 2) table.add({"…", "…", "…"});
          continue;
        }
        table.add({number(find("singular_value" + end), k), number(&quantity, k),
                   number(find("direction_error_linear" + end), k)});
      }
      table.print();
    }
  }

  void integrators() const {
    const Quantity* norm = find("integral_norm");
    if (!norm) return;
    heading("Integrators");
    Table table({"controller", "‖ξ‖", "‖αξ‖", "wind-up"}, "l");
    for (Index c = 0; c < norm->cells(); ++c)
      table.add({norm->axes[0].labels[at(c)], number(norm, c), number(find("leaked_norm"), c),
                 number(find("wind_up"), c)});
    table.print();
  }

  void credit() const {
    const Quantity* angle = find("angle_to_ndi");
    if (!angle) return;
    heading("The settled δ beside other rules'");
    Table table({"layer", "angle to NDI", "PBP", "BP", "length over NDI", "PBP", "BP"}, "l");
    for (Index k = 0; k < angle->cells(); ++k) {
      std::vector<std::string> row = {angle->axes[0].labels[at(k)]};
      for (const char* rule : {"ndi", "pbp", "bp"}) {
        const Quantity* of = find(std::string("angle_to_") + rule);
        const std::string text = number(of, k);
        row.push_back(text == "-" ? text : text + "°");
      }
      for (const char* rule : {"ndi", "pbp", "bp"})
        row.push_back(number(find(std::string("length_over_") + rule), k));
      table.add(std::move(row));
    }
    table.print();
  }

  const RunReport& report_;
  Index trial_;
  const Style& style_;
};

}  // namespace

void print_analysis(const RunReport& report, std::size_t trial, const Style& style) {
  AnalysisPrinter(report, trial, style).print();
  std::cout.flush();
}

}  // namespace settle::cli
