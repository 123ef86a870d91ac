// What figures of a training run are made of: its numbers by rule, seed and step, lines and panels of them,
// and what is said under them.
#pragma once

#include <array>
#include <functional>
#include <limits>
#include <optional>

#include "analysis/chart.hpp"
#include "analysis/figures.hpp"
#include "sim/io/training_reader.hpp"

namespace settle::analysis {

/// A number of the rule, the seed and the step, by their places in the file; NaN where there is none.
using TrainingNumber = std::function<double(std::size_t rule, std::size_t seed, std::size_t step)>;

/// What stands for several seeds; a geometric mean is of numbers above zero.
enum class SeedMean { plain, geometric };

/// A variable that is an angle of updates, as figures call it.
struct AngleVariable {
  const char *name, *title;
  std::size_t first;  ///< the layer of weights that the lowest hidden layer's is stored with
};
const std::array<AngleVariable, 5>& angle_variables();

/// Ticks at whole parts of a right angle, where the axis spans enough of one.
void set_angle_ticks(ChartAxis& axis);

/// The mean of the finite values (of a geometric one, of those above zero) at x, between the smallest and the
/// largest of them.
ChartPoint over_seeds(double x, const std::vector<double>& values, SeedMean mean);

class TrainingLines {
 public:
  static constexpr std::size_t most_with_bands = 4;  ///< lines of noisy numbers
  static constexpr double most_beyond =
      30;  ///< times the largest error of courses that did not diverge

  /// @throws core::InputError  for a file that is no training run, and a trial other than 0
  TrainingLines(const std::filesystem::path& file, const PlotOptions& options);

  const io::TrainingReader& file() const { return file_; }
  const io::TrainingLayout& axes() const { return axes_; }
  const PlotOptions& options() const { return options_; }
  std::size_t hidden_layers() const { return axes_.layers.empty() ? 0 : axes_.layers.size() - 1; }

  // ---- Numbers ----

  /// A variable's numbers; at a layer (from 0) where it has layers. Nowhere one where there is none.
  TrainingNumber numbers(const std::string& name, std::size_t layer = 0) const;
  /// The largest of all layers' finite numbers.
  TrainingNumber largest(const std::string& name) const;
  /// The mean of those of the first `layers` layers.
  TrainingNumber mean(const std::string& name, std::size_t layers) const;

  static bool finite(double value);
  static bool positive(double value);
  bool any(std::size_t rule, const TrainingNumber& number,
           const std::function<bool(double)>& is) const;
  bool any(const TrainingNumber& number, const std::function<bool(double)>& is) const;
  /// Whether the rule has a number of the variable that a figure of it could show.
  bool holds(std::size_t rule, const char* variable, bool of_hidden) const;

  /// "test_error", or "train_error" where nothing was held out.
  std::string error_variable() const;
  /// "mean squared error on held-out examples"
  std::string error_title() const;
  bool is_share() const;  ///< errors are shares of wrong classes
  /// Of shares, among which there may be zeros, the plain mean is meant.
  SeedMean error_mean() const { return is_share() ? SeedMean::plain : SeedMean::geometric; }
  /// Of each seed: over all rules, where they did not diverge.
  std::vector<double> largest_errors(const TrainingNumber& error) const;

  double total(std::size_t rule, const TrainingNumber& count) const;
  double total(const std::string& count) const;
  /// " (ms)", or nothing.
  std::string unit_of(const std::string& variable) const;

  // ---- Lines ----

  /// A rule's line over the steps, or where `x` is given over x(rule, seed, step), averaged over seeds.
  ChartSeries line(std::size_t rule, const TrainingNumber& number, SeedMean mean,
                   const TrainingNumber& x = {}) const;
  /// Lines of the rules that have a number; the x axis is that of the steps unless `x` is given.
  ChartPanel panel(const std::string& title, const std::string& name,
                   const std::vector<std::size_t>& rules, const TrainingNumber& number, bool log,
                   double height, std::optional<SeedMean> mean = {},
                   const TrainingNumber& x = {}) const;
  /// The first lines are wider, so that those that later ones cover are seen.
  static void widen(ChartPanel& panel);
  /// Panels side by side have one y axis.
  static void share_heights(Chart& chart, const std::vector<double>& more = {},
                            double at_most = std::numeric_limits<double>::infinity());
  // What a panel shows at most: some way beyond what courses had that did not diverge.
  double ceiling(const TrainingNumber& number) const;

  // ---- Words ----

  std::string spread(bool log, const std::string& but = "", bool bands = true) const;
  /// How far the run came, and which courses did not come to their end.
  std::string remarks() const;
  /// What is said of lines that are dashed to be seen.
  const std::string& coincidences() const { return coincidences_; }
  static void add_note(Chart& chart, std::string note);
  Chart new_chart(const std::string& name) const;

 private:
  template <class Merge>
  TrainingNumber merged(const std::string& name, std::size_t layers, const Merge& merge) const;
  void choose_strokes();

  io::TrainingReader file_;
  const io::TrainingLayout& axes_;
  const PlotOptions& options_;
  std::vector<Stroke> strokes_;  // of the rules
  std::string coincidences_;
};

// training_series.cpp

/// Rules of a series with numbers, of which figure "against" is.
std::vector<std::size_t> varied_rules(const TrainingLines& lines);
/// Final numbers against the parameter that a series varies: a line a series, and a dashed one across for each
/// rule that stands alone; a panel each for errors, angles, settling times, poles and what else the file has, or
/// for each of `variables` where there are any. Several parameters stand side by side.
/// @throws core::InputError  for variables without a number there
void draw_against(const TrainingLines& lines, Chart& chart,
                  const std::vector<std::string>& variables);

// training_cost.cpp

/// Rules whose cost is known.
std::vector<std::size_t> costed_rules(const TrainingLines& lines);
/// The error against the seconds and the multiplications that training has taken so far, averaged over seeds.
void draw_cost(const TrainingLines& lines, Chart& chart);
/// What a variable "per example" comes to by each step: the sum of it times the examples since the evaluation
/// before, 0 at the start.
TrainingNumber accumulated(const TrainingLines& lines, const std::string& per_example);

}  // namespace settle::analysis
