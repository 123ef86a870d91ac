#include <algorithm>
#include <iostream>

#include "analysis/figures.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"

namespace settle::cli {
namespace {

// `path` itself for the only figure and for a file's main one; else its stem, the figure's name and
// its extension.
std::filesystem::path named(const std::filesystem::path& path, const std::string& figure,
                            bool as_it_is) {
  if (as_it_is) return path;
  return path.parent_path() / (path.stem().string() + "_" + figure + path.extension().string());
}

void plot_file(const std::filesystem::path& file, const PlotOptions& options) {
  const std::vector<std::string> all = analysis::figure_names(file);
  const bool chosen = !options.figures.empty() || !options.variables.empty();
  std::vector<std::string> figures = options.figures;
  if (!chosen) figures = analysis::default_figures(file);
  if (figures.empty()) figures = {all.front()};  // variables are its panels
  // A name that does not exist is told before anything is drawn.
  std::stable_partition(figures.begin(), figures.end(), [&](const std::string& name) {
    return std::find(all.begin(), all.end(), name) == all.end();
  });

  analysis::PlotOptions how;
  how.variables = options.variables;
  how.trial = options.trial;
  how.log_time = options.log_time;
  for (const std::string& figure : figures) {
    const bool is_main = figure == all.front();
    const bool alone = figures.size() == 1;
    const std::filesystem::path out = options.output.empty()
                                          ? named(file.stem().string() + ".svg", figure, is_main)
                                          : named(options.output, figure, is_main || alone);
    check_is_not_input(out, file);
    if (options.with_data) {
      how.data = options.data.empty() ? std::filesystem::path(out).replace_extension(".csv")
                                      : named(options.data, figure, is_main || alone);
      check_is_not_input(how.data, file);
    }
    try {
      analysis::draw_figure(file, how, figure, out);
    } catch (const core::InputError& error) {
      if (chosen || is_main) throw;
      // Of what nobody asked for, what is not there in this trial is left out.
      if (!options.quiet) std::cerr << figure << " is not drawn: " << error.what() << '\n';
      continue;
    }
    if (!options.quiet) std::cout << out.string() << '\n';
    if (!options.quiet && options.with_data) std::cout << how.data.string() << '\n';
  }
  const Style style(1);
  if (!chosen && figures.size() < all.size() && !options.quiet && style.is_terminal()) {
    std::string others;
    for (const std::string& name : all)
      if (std::find(figures.begin(), figures.end(), name) == figures.end())
        others += (others.empty() ? "" : ",") + name;
    std::cout << style.dim("it can also be drawn with --figure " + others) << '\n';
  }
}

}  // namespace

int plot(const PlotOptions& given) {
  PlotOptions options = given;
  // `--data run.h5` means the result, not what the numbers are written to.
  std::error_code ignored;
  if (options.data.extension() != ".csv" && std::filesystem::exists(options.data, ignored)) {
    options.files.push_back(options.data);
    options.data.clear();
  }
  if (options.files.empty())
    throw core::InputError("settle plot", "no file", "a result file (see settle plot --help)");
  for (const auto& [option, path] :
       {std::pair{"-o", options.output}, std::pair{"--data", options.data}})
    if (!path.empty() && options.files.size() > 1)
      throw core::InputError(
          option, "one name for " + std::to_string(options.files.size()) + " results",
          std::string("no ") + (option == std::string("-o") ? "-o" : "name after --data") +
              ": each figure is named after its result");
  for (const auto& file : options.files) plot_file(file, options);
  return done;
}

}  // namespace settle::cli
