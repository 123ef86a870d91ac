#include <algorithm>
#include <cmath>

#include "analysis/measure.hpp"
#include "analysis/report_parts.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;

class TuningPage {
 public:
  explicit TuningPage(const io::AnalysisFile& file)
      : file_(file), unit_(file.attribute("time_unit")) {}

  double number(const std::string& name, Index cell = 0) const {
    const Quantity* quantity = file_.find(name);
    return quantity && cell < quantity->cells() && quantity->trials() > 0
               ? quantity->values(cell, 0)
               : std::numeric_limits<double>::quiet_NaN();
  }

  std::string reason(const std::string& name, Index cell = 0) const {
    const Quantity* quantity = file_.find(name);
    return quantity && !quantity->reasons.empty() ? quantity->reason(cell, 0) : "";
  }

  PageVerdict verdict() const {
    const Quantity* text = file_.find("infeasible_text");
    const bool is_feasible = file_.find("feasible") ? number("feasible") == 1
                                                    : std::isfinite(number("settling_time_after"));
    if (!is_feasible)
      return {Tone::caution, "Not tuned: no gains keep the bounds",
              text && !text->texts.empty() ? capitalised(text->texts.front()) : ""};
    const double before = number("settling_time_before"), after = number("settling_time_after");
    const std::string gains = "α = " + core::brief(number("gains_after", 0)) +
                              ", p = " + core::brief(number("gains_after", 1)) +
                              ", i = " + core::brief(number("gains_after", 2)) +
                              ", d = " + core::brief(number("gains_after", 3));
    if (!std::isfinite(before))
      return {Tone::good, "It settles, which it did not before", "With " + gains + "."};
    if (!(after < before))
      return {Tone::good, "The gains that were given are as good as any found",
              "They are " + gains + "."};
    return {Tone::good, "It settles " + core::brief(before / after) + " times as fast",
            "With " + gains + ": in " + core::brief(after, unit_) + ", where it took " +
                core::brief(before, unit_) + "."};
  }

  PageTable changes() const {
    PageTable out;
    out.title = "Before and after";
    out.alignment = "l";
    out.heading = {"", "before", "after", "bound"};
    const char* names[] = {"Leak α", "Proportional gain p", "Integral gain i", "Derivative gain d"};
    for (Index p = 0; p < 4; ++p)
      out.rows.push_back({{.text = names[p]},
                          {.text = number_text(number("gains_before", p))},
                          {.text = number_text(number("gains_after", p))},
                          {}});
    add(out, "settling_time", "Settling time of the error", "");
    add(out, "inversion_error", "Inversion error at rest, the worst",
        "at most " + number_text(number("error_bound")));
    add(out, "slowest_pole", "Slowest pole, real part", "below 0");
    add(out, "slowest_pole_angular_frequency", "Its imaginary part", "");
    add(out, "smallest_ratio", "Factor on one parameter that loses stability",
        "at least " + number_text(number("margin_bound")));
    return out;
  }

  PageTable front() const {
    PageTable out;
    out.title = "The soonest settled circuit at each leak";
    out.about =
        "A Pareto front: a smaller leak inverts more exactly and mostly settles later. Pick the "
        "row "
        "whose error is small enough.";
    out.alignment = "rrrrrrl";
    const std::vector<std::pair<const char*, const char*>> columns = {
        {"front_leak", "α"},
        {"front_gains_p", "p"},
        {"front_gains_i", "i"},
        {"front_gains_d", "d"},
        {"front_inversion_error", "inversion error"},
        {"front_settling_time", "settling time"}};
    for (const auto& [name, heading] : columns) out.heading.emplace_back(heading);
    out.heading.emplace_back("remark");
    const Quantity* leak = file_.find("front_leak");
    for (Index k = 0; leak && k < leak->cells(); ++k) {
      std::vector<PageCell> row;
      for (const auto& [name, heading] : columns)
        row.push_back({.text = number_text(number(name, k))});
      const bool is_dominated = number("front_dominated", k) == 1;
      row.push_back({.text = !std::isfinite(number("front_settling_time", k))
                                 ? reason("front_settling_time", k)
                             : is_dominated ? "another is better in both"
                                            : ""});
      out.rows.push_back(std::move(row));
    }
    if (std::all_of(out.rows.begin(), out.rows.end(),
                    [](const auto& row) { return row.back().text.empty(); })) {
      out.heading.pop_back();
      for (auto& row : out.rows) row.pop_back();
    }
    return out;
  }

 private:
  void add(PageTable& table, const std::string& name, const std::string& what,
           const std::string& bound) const {
    std::vector<PageCell> row = {{.text = what}};
    for (const char* side : {"_before", "_after"}) {
      const double value = number(name + side);
      row.push_back(
          {.text = number_text(value), .note = std::isfinite(value) ? "" : reason(name + side)});
    }
    row.push_back({.text = bound});
    table.rows.push_back(std::move(row));
  }

  const io::AnalysisFile& file_;
  std::string unit_;
};

}  // namespace

Page tuning_report(const io::AnalysisFile& file, const ReportOptions& options) {
  const TuningPage tuning(file);
  Page out = titled_page("Tuning", file.file(), file.path(), options);
  out.lead =
      "A search for the leak and the gains of a feedback controller with which a circuit of rate "
      "neurons settles soonest, as long as its error at rest stays small and it stays stable when "
      "one of them changes.";
  out.verdicts = {tuning.verdict()};
  PageSection main{"What was found", report_figures(file.path(), options)};
  main.blocks.emplace_back(tuning.changes());
  main.blocks.emplace_back(tuning.front());
  out.sections.push_back(std::move(main));
  out.sections.push_back(circuit_section(file.file(), "With the gains as they were before."));
  PageSection all{"All numbers", {}};
  for (PageBlock& table : measure_tables(file.quantities())) all.blocks.push_back(std::move(table));
  out.sections.push_back(std::move(all));
  out.sections.push_back(making_section(file.file()));
  return out;
}

}  // namespace settle::analysis
