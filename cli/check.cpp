#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "sim/io/recorder.hpp"

namespace settle::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Expectation {
  double weight_bytes = 0;
  double state_bytes = 0;
  std::optional<std::size_t> file_bytes;
};

Expectation expect(const Prepared& ready) {
  Expectation out;
  for (const auto& edge : ready.system->circuit().edges)
    out.weight_bytes += static_cast<double>(edge.weights->bytes());
  // The solver's stages, the rates and the records: about thirty states.
  out.state_bytes =
      30.0 * 8 * static_cast<double>(ready.system->dimension() * ready.system->trials());
  out.file_bytes = io::expected_bytes(*ready.system, ready.config.solver, ready.config.record);
  return out;
}

Json to_json(const Prepared& ready, const Expectation& expected) {
  const system::OdeSystem& system = *ready.system;
  Json out;
  out["file"] = ready.file.path.string();
  out["valid"] = true;
  out["title"] = ready.config.title;
  for (const auto& population : ready.config.circuit.populations)
    out["populations"].push_back({{"name", population.name}, {"size", population.size}});
  for (const auto& controller : ready.config.circuit.controllers)
    out["controllers"].push_back({{"name", controller.name}, {"size", controller.size}});
  out["states"] = system.dimension();
  out["trials"] = system.trials();
  out["parameters"] = system.parameters();
  out["linear"] = system.is_linear();
  out["longest_duration"] = solve::longest_duration(system.circuit(), ready.config.solver);
  out["memory_bytes"] = expected.weight_bytes + expected.state_bytes;
  out["file_bytes"] = expected.file_bytes ? Json(*expected.file_bytes) : Json(nullptr);
  out["warnings"] = ready.warnings;
  return out;
}

void print(const Prepared& ready, const Expectation& expected) {
  const Style style(1);
  const system::OdeSystem& system = *ready.system;
  const auto line = [](const std::string& label, const std::string& text) {
    std::cout << "  " << label << std::string(label.size() < 14 ? 14 - label.size() : 1, ' ')
              << text << '\n';
  };
  std::cout << style.bold(ready.file.path.string()) << ": " << style.green("valid") << '\n';
  if (!ready.config.title.empty()) line("title", ready.config.title);
  std::vector<std::string> words;
  for (const auto& population : ready.config.circuit.populations)
    words.push_back(population.name + " " + std::to_string(population.size) + " (" +
                    population.transfer->name() + ")");
  if (!words.empty()) line("populations", core::join(words));
  words.clear();
  for (const auto& controller : ready.config.circuit.controllers)
    words.push_back(controller.name + " " + std::to_string(controller.size));
  if (!words.empty()) line("controllers", core::join(words));
  line("states", std::to_string(system.dimension()) + " in " + std::to_string(system.trials()) +
                     (system.trials() == 1 ? " trial" : " trials") +
                     (system.is_linear() ? ", linear" : ", nonlinear"));
  for (const auto& projection : system.circuit().edges) {
    if (projection.weights->is_identity()) continue;
    line("projection", projection.name + ", " + std::to_string(projection.weights->rows()) + " × " +
                           std::to_string(projection.weights->cols()) + ", " +
                           projection.weights->form());
  }
  line("parameters", std::to_string(system.parameters()));
  words.clear();
  for (const auto& phase : system.circuit().phases) {
    const double longest = solve::longest_duration(phase, ready.config.solver);
    const bool early = solve::ends_when_settled(phase, ready.config.solver);
    words.push_back(phase.name + " (" + (early ? "until settled, at most " : "") +
                    core::brief(longest) + ")");
  }
  line("phases", core::join(words));
  line("solver", ready.config.solver.method);
  line("memory", "about " + bytes_text(expected.weight_bytes + expected.state_bytes));
  line("result file", expected.file_bytes
                          ? "at most about " + bytes_text(static_cast<double>(*expected.file_bytes))
                          : "grows with the number of steps");
  for (const std::string& warning : ready.warnings) line(style.yellow("warning"), warning);
}

}  // namespace

int check(const CommonOptions& options) {
  Json all = Json::array();
  int code = done;
  for (const auto& file : options.files) {
    try {
      const Prepared ready = prepare(file, options.set);
      const Expectation expected = expect(ready);
      if (options.json)
        all.push_back(to_json(ready, expected));
      else if (!options.quiet)
        print(ready, expected);
    } catch (const core::InputError& error) {
      code = input_wrong;
      if (options.json)
        all.push_back({{"file", file.string()},
                       {"valid", false},
                       {"where", error.where},
                       {"found", error.found},
                       {"expected", error.expected}});
      else
        std::cerr << Style(2).red("error: ") << error.what() << '\n';
    }
  }
  if (options.json) std::cout << (all.size() == 1 ? all[0] : all).dump(2) << '\n';
  return code;
}

}  // namespace settle::cli
