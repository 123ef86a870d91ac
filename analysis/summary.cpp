#include "analysis/summary.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/measure.hpp"

namespace settle::analysis {

std::vector<double> sorted(const core::Quantity& quantity, Index cell) {
  std::vector<double> values;
  for (Index k = 0; k < quantity.trials(); ++k)
    if (std::isfinite(quantity.values(cell, k))) values.push_back(quantity.values(cell, k));
  std::sort(values.begin(), values.end());
  return values;
}

std::string counted(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

double median(const std::vector<double>& sorted) {
  return 0.5 * (sorted[sorted.size() / 2] + sorted[(sorted.size() - 1) / 2]);
}

std::string spread(const core::Quantity& quantity, Index cell) {
  const std::vector<double> values = sorted(quantity, cell);
  if (values.empty()) {
    std::string reason = "not a number";
    for (Index k = quantity.trials(); k-- > 0;)
      if (!quantity.reason(cell, k).empty()) reason = quantity.reason(cell, k);
    return "none: " + reason;
  }
  std::string text = core::brief(median(values));
  if (values.size() > 1)
    text += " (median; " + core::brief(values.front()) + " to " + core::brief(values.back()) + ")";
  if (static_cast<Index>(values.size()) < quantity.trials())
    text += ", in " + std::to_string(values.size()) + " of " + std::to_string(quantity.trials()) +
            " trials";
  return text;
}

std::vector<std::string> disagreements(const std::vector<core::Quantity>& quantities) {
  std::vector<std::string> out;
  const core::Quantity *disagree = find(quantities, "criteria_disagree"),
                       *paper = find(quantities, "paper_criterion"),
                       *exact = find(quantities, "loop_pole");
  if (!disagree || !paper || !exact || disagree->trials() == 0) return out;
  for (Index c = 0; c < disagree->cells(); ++c) {
    Index trial = 0;
    while (trial < disagree->trials() && disagree->values(c, trial) != 1) ++trial;
    if (trial == disagree->trials()) continue;
    const double by_paper = paper->values(c, trial), by_poles = exact->values(c, trial);
    out.push_back("the loop of " + disagree->axes[0].labels[static_cast<std::size_t>(c)] + " is " +
                  (by_paper < 0 ? "stable" : "unstable") +
                  " by the paper's criterion (max Re λ(kWB − αI) = " + core::brief(by_paper) +
                  ") and " + (by_poles < 0 ? "stable" : "unstable") +
                  " by its exact poles (max Re s = " + core::brief(by_poles) + ")");
  }
  return out;
}

}  // namespace settle::analysis
