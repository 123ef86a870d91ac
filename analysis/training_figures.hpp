// Figures of a training run's file.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "analysis/chart.hpp"
#include "analysis/figures.hpp"

namespace settle::analysis {

/// What the file can be drawn as, the main figure first, each as far as the file holds numbers of it:
/// "errors", "angles" (of updates to those of other rules), "stability" (of the loops), "settling"
/// (its time, and examples that did not), "updates" (their norms), "against" (final numbers over the parameter
/// of a series of rules), "cost" (errors over seconds and multiplications). Empty for any other file.
/// @throws core::InputError  for a training run that holds nothing to draw
std::vector<std::string> training_figure_names(const std::filesystem::path& file);

/// The figure of that name, the main one where it is empty: a line a rule against examples seen, the mean
/// over the seeds that have a number, in a band from the smallest to the largest of them. Along a
/// logarithmic axis the mean is the geometric one. Of `options` it heeds width, height, log_time, and
/// variables: of the file ("test_loss", "feedback_angle"), a panel each, in place of the figure, but for
/// "against", whose panels they choose.
/// @throws core::InputError  for a file that is no training run, a figure or variable that it does
///                           not hold, with the reason or the nearest, and a trial other than 0
Chart training_figure(const std::filesystem::path& file, const PlotOptions& options,
                      const std::string& figure);

}  // namespace settle::analysis
