#include <iostream>

#include "analysis/figures.hpp"
#include "cli/commands.hpp"
#include "sim/io/result_reader.hpp"

namespace settle::cli {

int plot(const PlotOptions& options) {
  if (!options.output.empty() && options.files.size() > 1)
    throw core::InputError("-o",
                           "one figure for " + std::to_string(options.files.size()) + " results",
                           "no -o: each figure is named after its result");
  for (const auto& file : options.files) {
    const io::ResultFile result(file);
    analysis::PlotOptions figure;
    figure.variables = options.variables;
    figure.trial = options.trial;
    figure.log_time = options.log_time;
    const std::filesystem::path out = options.output.empty()
                                          ? std::filesystem::path(file.stem().string() + ".svg")
                                          : options.output;
    analysis::plot_result(result, figure, out);
    if (!options.quiet) std::cout << out.string() << '\n';
  }
  return done;
}

}  // namespace settle::cli
