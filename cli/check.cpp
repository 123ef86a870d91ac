#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "analysis/equilibria.hpp"
#include "analysis/stability.hpp"
#include "analysis/sweep.hpp"
#include "cli/run_summary.hpp"
#include "cli/sweep_summary.hpp"
#include "cli/terminal.hpp"
#include "cli/train.hpp"
#include "learning/training.hpp"
#include "sim/io/recorder.hpp"
#include "sim/solve/run.hpp"
#include "sim/system/reduction.hpp"

namespace settle::cli {
namespace {

using Json = nlohmann::ordered_json;
using Eigen::Index;

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

// What the solver integrates in place of the circuit; nothing where that is the circuit itself.
std::optional<system::Reduction> reduction(const Prepared& ready) {
  const solve::SolverOptions& solver = ready.config.solver;
  if (!solve::integrates_reduction(solver, solve::chosen_method(*ready.system, solver)))
    return std::nullopt;
  system::Reduction out = system::reduce(ready.system->circuit(), ready.system->initial_state());
  if (!out.changed()) return std::nullopt;
  return out;
}

// What solver.shortcut can do in each phase, for the first trial.
std::vector<std::string> shortcuts(const Prepared& ready) {
  std::vector<std::string> out;
  const system::OdeSystem& system = *ready.system;
  if (!ready.config.solver.shortcut) return out;
  for (std::size_t p = 0; p < system.circuit().phases.size(); ++p) {
    const system::Phase& phase = system.circuit().phases[p];
    if (!solve::ends_when_settled(phase, ready.config.solver)) continue;
    const solve::Attraction attraction =
        solve::find_attraction({system, {.phase = static_cast<int>(p)}});
    out.push_back(phase.name + ": " +
                  (attraction.is_shown()
                       ? "every start ends in one state of rest, as is shown " + attraction.proof
                       : "integrated, since " + attraction.why_not));
  }
  return out;
}

// Where the first trial can rest, if there is memory and patience enough to look.
analysis::RestStates rest_states(const Prepared& ready, const system::OdeSystem& first) {
  constexpr Index most_states = 5000;
  analysis::RestStates none;
  none.why_none = "not looked for in more than " + std::to_string(most_states) + " states";
  if (first.dimension() > most_states) return none;
  return analysis::find_rest_states(first, ready.config.solver, ready.analysis,
                                    static_cast<std::uint64_t>(ready.config.seed));
}

std::string inversion_errors(const analysis::RestState& state, const system::Circuit& circuit) {
  std::string text;
  for (std::size_t c = 0; c < state.inversion_errors.size(); ++c)
    if (std::isfinite(state.inversion_errors[c]))
      text += (text.empty() ? ", inversion error " : ", ") +
              core::brief(state.inversion_errors[c]) +
              (circuit.controllers.size() > 1 ? " of " + circuit.controllers[c].name : "");
  return text;
}

Json to_json(const analysis::RestStates& states) {
  Json out{{"starts", states.starts}, {"found", Json::array()}};
  for (const analysis::RestState& state : states.found) {
    const auto pole = state.linearisation.rightmost();
    Json entry{
        {"stability", analysis::name(state.linearisation.stability())},
        {"residual", json_number(state.equilibrium.residual)},
        {"newton_steps", state.equilibrium.iterations},
        {"slowest_pole", pole ? json_number(pole->real()) : Json(nullptr)},
        {"slowest_pole_angular_frequency", pole ? json_number(pole->imag()) : Json(nullptr)}};
    for (const double error : state.inversion_errors)
      entry["inversion_errors"].push_back(json_number(error));
    out["found"].push_back(std::move(entry));
  }
  if (!states.why_none.empty()) out["why_none"] = states.why_none;
  return out;
}

Json to_json(const std::optional<system::Reduction>& reduction) {
  if (!reduction) return nullptr;
  return {{"states", reduction->after.states},
          {"multiplications", reduction->after.multiplications},
          {"multiplications_unreduced", reduction->before.multiplications},
          {"steps", reduction->steps}};
}

Json to_json(const Prepared& ready, const Expectation& expected,
             const std::optional<system::Reduction>& reduction,
             const analysis::RestStates& states) {
  const system::OdeSystem& system = *ready.system;
  Json out;
  out["file"] = ready.file.path.string();
  out["valid"] = true;
  out["title"] = ready.config.title;
  if (ready.sweep)
    out["sweep"] = {{"points", ready.sweep->points()},
                    {"axes", axes_json(*ready.sweep)},
                    {"first_point", analysis::point_text(*ready.sweep, 0)}};
  for (const auto& population : ready.config.circuit.populations)
    out["populations"].push_back({{"name", population.name}, {"size", population.size}});
  for (const auto& controller : ready.config.circuit.controllers)
    out["controllers"].push_back({{"name", controller.name}, {"size", controller.size}});
  out["states"] = system.dimension();
  out["trials"] = system.trials();
  out["parameters"] = system.parameters();
  out["linear"] = system.is_linear();
  out["reduction"] = to_json(reduction);
  for (const std::string& text : shortcuts(ready)) out["shortcuts"].push_back(text);
  out["longest_duration"] = solve::longest_duration(system.circuit(), ready.config.solver);
  out["equilibria"] = to_json(states);
  out["memory_bytes"] = expected.weight_bytes + expected.state_bytes;
  out["file_bytes"] = expected.file_bytes ? Json(*expected.file_bytes) : Json(nullptr);
  out["warnings"] = ready.warnings;
  return out;
}

void print(const Prepared& ready, const Expectation& expected,
           const std::optional<system::Reduction>& reduction, const analysis::RestStates& states) {
  const Style style(1);
  const system::OdeSystem& system = *ready.system;
  const auto line = [](const std::string& label, const std::string& text) {
    std::cout << "  " << label << std::string(label.size() < 14 ? 14 - label.size() : 1, ' ')
              << text << '\n';
  };
  std::cout << style.bold(ready.file.path.string()) << ": " << style.green("valid") << '\n';
  if (!ready.config.title.empty()) line("title", ready.config.title);
  if (ready.sweep) {
    line("sweep",
         std::to_string(ready.sweep->points()) + " points, " + analysis::axes_text(*ready.sweep));
    line("first point", analysis::point_text(*ready.sweep, 0) + ", which is:");
  }
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
  if (reduction) {
    const auto whole = [](double x) { return std::to_string(std::llround(x)); };
    line("integrated", std::to_string(reduction->after.states) + " states in place of " +
                           std::to_string(reduction->before.states) + ", " +
                           whole(reduction->after.multiplications) +
                           " multiplications by weights in place of " +
                           whole(reduction->before.multiplications) + ", exactly (solver.reduce):");
    for (const std::string& step : reduction->steps) line("", step);
  }
  words.clear();
  for (const auto& phase : system.circuit().phases) {
    const double longest = solve::longest_duration(phase, ready.config.solver);
    const bool early = solve::ends_when_settled(phase, ready.config.solver);
    words.push_back(phase.name + " (" + (early ? "until settled, at most " : "") +
                    core::brief(longest) + ")");
  }
  line("phases", core::join(words));
  for (const std::string& text : shortcuts(ready)) line("shortcut", text);
  const solve::Choice choice = solve::choose_method(system, ready.config.solver);
  line("solver", choice.method == ready.config.solver.method
                     ? choice.method
                     : ready.config.solver.method + ": " + choice.method +
                           (choice.reason.empty() ? "" : ", since " + choice.reason));
  const std::string of = system.trials() > 1 ? " of trial 0" : "";
  if (states.found.empty()) {
    line("equilibria", "none found" + of + ": " + states.why_none);
  } else {
    line("equilibria", std::to_string(states.found.size()) + " found" + of + " from " +
                           std::to_string(states.starts) +
                           (states.starts == 1 ? " start" : " starts") + ", without integrating");
    for (std::size_t k = 0; k < states.found.size(); ++k) {
      const analysis::RestState& state = states.found[k];
      const auto stability = state.linearisation.stability();
      const std::string word = analysis::name(stability);
      line("  " + std::to_string(k + 1),
           (stability == analysis::Linearisation::Stability::stable ? style.green(word)
                                                                    : style.yellow(word)) +
               ", " + analysis::pole_text(state.linearisation) +
               inversion_errors(state, system.circuit()));
    }
  }
  line("memory", "about " + bytes_text(expected.weight_bytes + expected.state_bytes));
  const double files =
      ready.sweep && ready.sweep->keep == "trajectories" ? double(ready.sweep->points()) : 1;
  if (ready.sweep && ready.sweep->keep != "trajectories")
    line("result file", "measures of every point, no trajectories");
  else
    line("result file",
         expected.file_bytes
             ? "at most about " + bytes_text(files * static_cast<double>(*expected.file_bytes))
             : "grows with the number of steps");
  for (const std::string& warning : ready.warnings) line(style.yellow("warning"), warning);
}

}  // namespace

int check(const CommonOptions& options) {
  Json all = Json::array();
  int code = done;
  for (const auto& file : options.files) {
    try {
      io::LoadedFile loaded = io::load(file, options.set);
      if (learning::is_plan(loaded.value)) {
        check_training(loaded, options, all);
        continue;
      }
      const Prepared ready = prepare(std::move(loaded), base_of(file), options.set);
      if (ready.sweep)  // binds every value
        analysis::SweepStudy(ready.file.value, base_of(file));
      const Expectation expected = expect(ready);
      const std::optional<system::Reduction> reduced = reduction(ready);
      const system::OdeSystem first(ready.system->circuit().of_trial(0));
      const analysis::RestStates states = rest_states(ready, first);
      if (options.json)
        all.push_back(to_json(ready, expected, reduced, states));
      else if (!options.quiet)
        print(ready, expected, reduced, states);
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
