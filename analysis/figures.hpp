// Figures of a file: what it can be drawn as, and drawing it, through gnuplot.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sim/io/result_reader.hpp"

namespace settle::analysis {

struct PlotOptions {
  /// Of the trajectories: names of datasets ("hidden", "control_error") or selectors
  /// ("control.error"), a panel each; empty: every population's rate (its state where no rate was
  /// recorded) and every controller's output.
  std::vector<std::string> variables;
  std::int64_t trial =
      0;  ///< the one that is drawn; where there is room the others stand behind it
  double width =
      820;  ///< in points (pixels of an SVG); of a figure of trajectories, of which others
            ///< take a share
  double height = 0;                ///< 0: as much as the panels need
  bool log_time = false;            ///< starts at the first recorded time above zero
  std::filesystem::path data = {};  ///< the drawn numbers as CSV (plot_csv.hpp); empty: none
};

/// What the file can be drawn as, its main figure first. A run: "trajectories". A run or an analysis,
/// as far as it holds the measures: "poles", "directions", "bode", "nyquist", "pseudospectrum",
/// "poles_along". A sweep or a tuning: map_figures.hpp; a training: training_figures.hpp.
/// @throws core::InputError  for a file that is none of settle's, or holds nothing to draw
std::vector<std::string> figure_names(const std::filesystem::path& path);

/// Those that are drawn where none is named: the main one; and all where the file holds what was
/// measured on request.
std::vector<std::string> default_figures(const std::filesystem::path& path);

/// Draws one of figure_names() to a file that ends in .svg, .png or .pdf.
/// @throws core::InputError   for a figure that the file does not hold (with the nearest), a trial or
///                            variable that is not there, numbers that are all missing (with the
///                            reason), and another extension
/// @throws core::OutputError  where gnuplot is not installed or a file cannot be written
void draw_figure(const std::filesystem::path& path, const PlotOptions& options,
                 const std::string& figure, const std::filesystem::path& out);

/// Draws the trajectories of a run.
void plot_result(const io::ResultFile& result, const PlotOptions& options,
                 const std::filesystem::path& out);

}  // namespace settle::analysis
