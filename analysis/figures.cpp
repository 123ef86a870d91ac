#include "analysis/figures.hpp"

#include <algorithm>
#include <array>

#include "analysis/figure_source.hpp"
#include "analysis/map_figures.hpp"
#include "analysis/training_figures.hpp"
#include "sim/core/error.hpp"
#include "sim/io/training_file.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;

/// A figure made of measures.
struct Kind {
  const char* name;
  const char* measure;   // to ask for
  const char* quantity;  // that it draws, or the beginning of its name
  bool is_standard;      // whether the measure is taken after every run
  Figure (*make)(const FigureSource&, const PlotOptions&);
};

constexpr std::array<Kind, 6> kinds = {{
    {"poles", "poles", "pole_real", true, &poles_figure},
    {"directions", "directions", "direction_error", true, &directions_figure},
    {"bode", "return_ratio", "response_frequency", false, &bode_figure},
    {"nyquist", "return_ratio", "response_frequency", false, &nyquist_figure},
    {"pseudospectrum", "pseudospectrum", "pseudospectrum", false, &pseudospectrum_figure},
    {"poles_along", "poles_along", "pole_along", false, &poles_along_figure},
}};

// Whether it is the quantity, of one controller where there are several.
bool is_of(const Quantity& quantity, const std::string& stem) {
  return quantity.name == stem ||
         (quantity.name.starts_with(stem + "_") && !quantity.name.starts_with(stem + "_linear"));
}

// Why the file cannot be drawn so; "" where it can.
std::string why_not(const FigureSource& source, const Kind& kind) {
  std::string reason = std::string("the measure ") + kind.measure + " was not taken";
  for (const Quantity& quantity : source.quantities()) {
    if (!is_of(quantity, kind.quantity)) continue;
    if (quantity.values.array().isFinite().any()) return "";
    const auto told = std::find_if(quantity.reasons.begin(), quantity.reasons.end(),
                                   [](const std::string& text) { return !text.empty(); });
    reason = told == quantity.reasons.end() ? "it is missing in every trial" : *told;
  }
  return reason;
}

std::vector<std::string> names_of(const FigureSource& source) {
  std::vector<std::string> out;
  if (source.run()) out.emplace_back("trajectories");
  for (const Kind& kind : kinds)
    if (why_not(source, kind).empty()) out.emplace_back(kind.name);
  if (out.empty())
    throw core::InputError(source.path().string(), "nothing that can be drawn",
                           "a file with trajectories or one of the measures poles, directions, "
                           "return_ratio, pseudospectrum and poles_along");
  return out;
}

Figure make_figure(const FigureSource& source, const PlotOptions& options,
                   const std::string& figure) {
  if (source.run() && figure == "trajectories") return trajectories_figure(*source.run(), options);
  const std::vector<std::string> names = names_of(source);
  for (const Kind& kind : kinds) {
    if (figure != kind.name) continue;
    const std::string reason = why_not(source, kind);
    if (reason.empty()) return kind.make(source, options);
    throw core::InputError(source.path().string(), "no figure \"" + figure + "\": " + reason,
                           core::join(names, " or ") + ", or measures = [\"*\"] in [analysis]");
  }
  throw core::InputError(source.path().string(), "no figure \"" + figure + "\"",
                         core::join(names, " or ") + core::did_you_mean(figure, names));
}

// What a file is drawn as that holds many runs: a sweep, a tuning, a training. Empty for one run's.
std::vector<std::string> chart_names(const std::filesystem::path& path) {
  const std::vector<std::string> maps = map_figure_names(path);
  return maps.empty() ? training_figure_names(path) : maps;
}

}  // namespace

std::vector<std::string> figure_names(const std::filesystem::path& path) {
  const std::vector<std::string> charts = chart_names(path);
  return charts.empty() ? names_of(FigureSource(path)) : charts;
}

std::vector<std::string> default_figures(const std::filesystem::path& path) {
  if (const std::vector<std::string> charts = chart_names(path); !charts.empty())
    return {charts.front()};
  const FigureSource source(path);
  const std::vector<std::string> names = names_of(source);
  const bool asked = std::any_of(kinds.begin(), kinds.end(), [&](const Kind& kind) {
    return !kind.is_standard && std::find(names.begin(), names.end(), kind.name) != names.end();
  });
  return asked || !source.run() ? names : std::vector<std::string>{names.front()};
}

void draw_figure(const std::filesystem::path& path, const PlotOptions& options,
                 const std::string& figure, const std::filesystem::path& out) {
  if (!map_figure_names(path).empty()) return plot_map(path, options, figure, out);
  if (io::TrainingFile::is_training(path))
    return draw_chart(training_figure(path, options, figure), out, options.data);
  const FigureSource source(path);
  const Figure made = make_figure(source, options, figure);
  draw(made, out);
  if (!options.data.empty()) write_csv(made.name, rows(made), options.data);
}

void plot_result(const io::ResultFile& result, const PlotOptions& options,
                 const std::filesystem::path& out) {
  const Figure made = trajectories_figure(result, options);
  draw(made, out);
  if (!options.data.empty()) write_csv(made.name, rows(made), options.data);
}

}  // namespace settle::analysis
