#include <fstream>
#include <iostream>

#include "analysis/diagram.hpp"
#include "cli/commands.hpp"

namespace settle::cli {

int show(const CommonOptions& options) {
  const std::filesystem::path& file = options.files.front();
  const Prepared ready = prepare(file, options.set);
  check_is_not_input(options.output, file);
  if (options.output.empty() || options.output.extension() == ".toml") {
    // A circuit spelt out has no keys of a model that could be varied: of a sweep it is one point.
    const std::string text =
        (ready.sweep ? "# The first of " + std::to_string(ready.sweep->points()) +
                           " points of a sweep: " + analysis::point_text(*ready.sweep, 0) + "\n"
                     : "") +
        io::toml_text(expanded(ready));
    if (options.output.empty()) {
      std::cout << text;
      return done;
    }
    std::ofstream out(options.output);
    out << text;
    if (!out.flush()) throw core::OutputError(options.output.string() + ": cannot be written");
  } else {
    analysis::draw_circuit(ready.system->circuit(),
                           ready.config.title.empty() ? file.stem().string() : ready.config.title,
                           options.output);
  }
  if (!options.quiet) std::cout << options.output.string() << '\n';
  return done;
}

}  // namespace settle::cli
