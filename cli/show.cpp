#include <fstream>
#include <iostream>

#include "analysis/diagram.hpp"
#include "cli/commands.hpp"
#include "cli/train.hpp"
#include "cli/train_summary.hpp"
#include "learning/training.hpp"

namespace settle::cli {

namespace {

int write_text(const std::string& text, const CommonOptions& options) {
  if (options.output.empty()) {
    std::cout << text;
    return done;
  }
  std::ofstream out(options.output);
  out << text;
  if (!out.flush()) throw core::OutputError(options.output.string() + ": cannot be written");
  if (!options.quiet) std::cout << options.output.string() << '\n';
  return done;
}

}  // namespace

int show(const ShowOptions& options) {
  const std::filesystem::path& file = options.files.front();
  if (options.to_error) {
    print_costs(file, *options.to_error);
    return done;
  }
  check_is_not_input(options.output, file);
  io::LoadedFile loaded = io::load(file, options.set);
  if (learning::is_plan(loaded.value)) {
    if (!options.output.empty() && options.output.extension() != ".toml")
      throw core::InputError("-o " + options.output.string(), "a picture of a training run",
                             "a .toml file: the configuration with every default");
    return write_text(io::toml_text(expanded_training(loaded)), options);
  }
  const Prepared ready = prepare(std::move(loaded), base_of(file), options.set);
  if (options.output.empty() || options.output.extension() == ".toml") {
    // A circuit spelt out has no keys of a model that could be varied: of a sweep it is one point.
    const std::string text =
        (ready.sweep ? "# The first of " + std::to_string(ready.sweep->points()) +
                           " points of a sweep: " + analysis::point_text(*ready.sweep, 0) + "\n"
                     : "") +
        io::toml_text(expanded(ready));
    return write_text(text, options);
  }
  analysis::draw_circuit(ready.system->circuit(),
                         ready.config.title.empty() ? file.stem().string() : ready.config.title,
                         options.output);
  if (!options.quiet) std::cout << options.output.string() << '\n';
  return done;
}

}  // namespace settle::cli
