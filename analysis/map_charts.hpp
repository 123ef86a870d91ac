// The charts that a sweep's file or a tuning's can be drawn as.
#pragma once

#include "analysis/chart.hpp"
#include "analysis/figures.hpp"
#include "analysis/sweep_maps.hpp"
#include "sim/io/analysis_file.hpp"

namespace settle::analysis {

/// Which axes of a sweep play which part in a figure. Those with a single value play none.
struct AxisRoles {
  std::vector<std::size_t> numeric;  ///< numbers that are no seeds
  std::vector<std::size_t> texts;
  std::vector<std::size_t> seeds;
  std::vector<std::size_t> fixed;
};
AxisRoles roles(const SweepMaps& maps);

/// Every combination of the values of some axes, the last varying fastest, the others at their
/// first: an index an axis of the sweep. Where there are more than `most`, the longest axes are
/// thinned evenly.
std::vector<std::vector<std::size_t>> combinations(const SweepMaps& maps,
                                                   const std::vector<std::size_t>& axes,
                                                   std::size_t most);

/// "scheme = sequential, seed = 2".
std::string combination_text(const SweepMaps& maps, const std::vector<std::size_t>& axes,
                             const std::vector<std::size_t>& places);

/// What stands under a sweep's title: counts, what is fixed, and how much is left out.
std::vector<std::string> sweep_notes(const SweepMaps& maps, std::size_t drawn, std::size_t of,
                                     const std::string& what);

/// Maps over the first two numeric axes: settling time, its prediction, inversion error, and the
/// ratio of the first two, with outcomes and the boundary of stability over them; of more axes the
/// settling time for values of the others.
Chart map_chart(const SweepMaps& maps, const PlotOptions& options);

/// Error and settling time over the first numeric axis, a line for each combination of the others.
Chart line_chart(const SweepMaps& maps, const PlotOptions& options);

/// The same where no axis is numeric: a row for each combination.
Chart dot_chart(const SweepMaps& maps, const PlotOptions& options);

/// Settling time against inversion error as α varies, with what was and what was found.
Chart tuning_chart(const io::AnalysisFile& file, const PlotOptions& options);

}  // namespace settle::analysis
