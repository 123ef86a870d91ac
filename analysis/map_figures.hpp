// Figures of a sweep's file and of a tuning's.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "analysis/chart.hpp"
#include "analysis/figures.hpp"

namespace settle::analysis {

/// What the file can be drawn as, the main figure first: "map" and "lines" for a sweep over two
/// numeric axes or more, "lines" over one, "dots" over none; "tuning" for what settle tune wrote.
/// Empty for any other file.
std::vector<std::string> map_figure_names(const std::filesystem::path& file);

/// The figure of that name, the main one where it is empty. Of `options` it heeds trial, width,
/// height, data, and variables: maps of the file ("overshoot", "overshoot:control.error") in place
/// of the settling time and the error.
/// @throws core::InputError  for a file or figure that is none of these, with the names that there
///                           are, an unknown variable and a trial that is not there
Chart map_figure(const std::filesystem::path& file, const PlotOptions& options,
                 const std::string& figure);

/// Draws it, and writes its numbers to `options.data` where that is set.
/// @throws core::InputError   also for an extension other than .svg, .png and .pdf
/// @throws core::OutputError  where gnuplot is not installed or the file cannot be written
void plot_map(const std::filesystem::path& file, const PlotOptions& options,
              const std::string& figure, const std::filesystem::path& out);

/// Its numbers, as they stand in the file.
std::vector<CsvRow> map_figure_rows(const std::filesystem::path& file, const PlotOptions& options,
                                    const std::string& figure);

}  // namespace settle::analysis
