// What a user may say about the analysis of a run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/core/params.hpp"

namespace settle::analysis {

/// [analysis]: which measures are taken, of which phase, and their thresholds.
struct AnalysisOptions {
  std::vector<std::string> measures;  ///< names of measures, or "*"; the standard ones where empty
  std::string phase;  ///< that they speak of; "": the last in which not every controller is off
  std::vector<double> bands = {0.05, 0.02, 0.01};  ///< of the settling times
  std::int64_t dense_limit = 400;  ///< up to so many moving states all poles are found
  std::int64_t poles = 12;      ///< of a larger circuit: the rightmost ones, by Arnoldi iteration
  std::int64_t starts = 16;     ///< random ones from which equilibria are looked for
  std::int64_t equilibria = 8;  ///< looked for at most
  std::int64_t frequencies = 400;  ///< of a Bode diagram
  std::vector<std::string>
      break_at;                   ///< projections at which loops are broken; empty: all in a loop
  std::optional<double> epsilon;  ///< of the pseudospectral abscissa; 0.01 over the largest tau
  std::int64_t grid = 60;         ///< points an axis of the pseudospectrum

  void fields(core::Fields& f);
};

}  // namespace settle::analysis
