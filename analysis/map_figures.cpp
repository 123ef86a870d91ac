#include "analysis/map_figures.hpp"

#include <algorithm>

#include "analysis/map_charts.hpp"

namespace settle::analysis {

std::vector<std::string> map_figure_names(const std::filesystem::path& file) {
  if (io::AnalysisFile::kind_of(file) == "tuning") return {"tuning"};
  if (!io::SweepFile::is_sweep(file)) return {};
  const std::size_t numeric = roles(SweepMaps(file, 0)).numeric.size();
  if (numeric >= 2) return {"map", "lines"};
  return {numeric == 1 ? "lines" : "dots"};
}

Chart map_figure(const std::filesystem::path& file, const PlotOptions& options,
                 const std::string& figure) {
  const std::vector<std::string> names = map_figure_names(file);
  if (names.empty())
    throw core::InputError(file.string(), "no result of a sweep or a tuning",
                           "a file that settle run wrote of a configuration with [sweep], or "
                           "settle tune");
  const std::string name = figure.empty() ? names.front() : figure;
  if (std::find(names.begin(), names.end(), name) == names.end())
    throw core::InputError(file.string(), "no figure \"" + name + "\" of this file",
                           core::join(names, " or ") + core::did_you_mean(name, names));
  Chart chart;
  if (name == "tuning") {
    chart = tuning_chart(io::AnalysisFile(file), options);
  } else {
    const SweepMaps maps(file, options.trial);
    chart = name == "map"     ? map_chart(maps, options)
            : name == "lines" ? line_chart(maps, options)
                              : dot_chart(maps, options);
  }
  chart.name = name;
  chart.width = options.width;
  chart.height = options.height;
  return chart;
}

void plot_map(const std::filesystem::path& file, const PlotOptions& options,
              const std::string& figure, const std::filesystem::path& out) {
  draw_chart(map_figure(file, options, figure), out, options.data);
}

std::vector<CsvRow> map_figure_rows(const std::filesystem::path& file, const PlotOptions& options,
                                    const std::string& figure) {
  return rows(map_figure(file, options, figure));
}

}  // namespace settle::analysis
