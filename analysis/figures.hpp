// Figures of a result: trajectories, control and error over time, through gnuplot.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sim/io/result_reader.hpp"

namespace settle::analysis {

struct PlotOptions {
  /// Names of datasets ("hidden", "control_error") or selectors ("control.error"), a panel each;
  /// empty: every population's rate (its state where no rate was recorded) and every controller's
  /// output.
  std::vector<std::string> variables;
  std::int64_t trial = 0;  ///< the one whose trajectories are drawn
  double width = 820;      ///< in points (pixels of an SVG)
  double height = 0;       ///< 0: as much as the panels need
  bool log_time = false;   ///< starts at the first recorded time above zero
};

/// Panels one below the other over the same time: trajectories of one trial, at most 40 units of
/// each variable, and at the bottom the error ‖e‖/‖y‖ of every controller and trial on a
/// logarithmic axis, with e the recorded error and y the setpoint in the file. Phases are shaded; a
/// dotted line says when the trial had settled.
/// @throws core::InputError   for a result without rows to draw, an unknown variable (with the
/// nearest), a
///                            trial that is not there, and an extension other than .svg, .png and
///                            .pdf
/// @throws core::OutputError  where gnuplot is not installed or the file cannot be written
void plot_result(const io::ResultFile& result, const PlotOptions& options,
                 const std::filesystem::path& out);

}  // namespace settle::analysis
