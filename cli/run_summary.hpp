// What is told of a run that is over, to people and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "analysis/verdict.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"

namespace settle::cli {

/// A run, and what was measured of it.
struct RunReport {
  const Prepared& ready;
  const solve::SolveSummary& summary;
  const std::vector<core::Quantity>& quantities;
  std::size_t phase = 0;               ///< that the measures speak of
  std::optional<analysis::Cure> cure;  ///< of the first trial that did not settle
  std::filesystem::path result;        ///< file; empty where there is none
};

void print_report(const RunReport& report, const Style& style);
nlohmann::ordered_json report_json(const RunReport& report);

/// A label and a text, in columns.
void print_line(const std::string& label, const std::string& text);
/// The number, or null.
nlohmann::ordered_json json_number(double x);

}  // namespace settle::cli
