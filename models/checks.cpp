#include "models/checks.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "models/initialisation_kinds.hpp"
#include "sim/core/machine.hpp"
#include "sim/io/layout.hpp"

namespace settle::models {
namespace {

using core::Value;
using system::Circuit;

// Names of the result file's own variables and groups.
bool is_reserved(const std::string& name) {
  const std::vector<std::string>& names = io::reserved_names();
  return name == "step" || name == "points" ||
         std::find(names.begin(), names.end(), name) != names.end();
}

// Whether a projection's weights surely are one number an entry.
bool is_dense(const ProjectionSpec& spec, const Config& config) {
  const Initialisation* init = spec.weights.get();
  if (const auto* relative = dynamic_cast<const RelativeInit*>(init);
      relative && relative->of.size() == 1) {
    for (const auto& other : config.circuit.projections)
      if (other.full_name() == relative->of[0] && &other != &spec)
        return !dynamic_cast<const RelativeInit*>(other.weights.get()) && is_dense(other, config);
    return false;
  }
  const std::set<std::string> kinds{"constant", "uniform", "normal", "orthogonal"};
  return kinds.count(init->name()) > 0;
}

}  // namespace

void check_names(const Config& config) {
  std::map<std::string, const Place*> taken;
  const auto take = [&](const std::string& name, const Place& place, const char* what) {
    if (is_reserved(name))
      place.fail("name", std::string("the reserved name \"") + name + "\"", "another name");
    if (!taken.emplace(name, &place).second)
      place.fail("name", std::string("a second ") + what + " called \"" + name + "\"",
                 "a name of its own for each population and controller");
  };
  for (const auto& population : config.circuit.populations)
    take(population.name, population.place, "node");
  for (const auto& controller : config.circuit.controllers)
    take(controller.name, controller.place, "node");
  // A result file names a node's quantity node_quantity.
  for (const auto& [name, place] : taken)
    for (const char* quantity :
         {"_rate", "_unit", "_error", "_integral", "_derivative", "_setpoint"})
      if (const auto other = taken.find(name + quantity); other != taken.end())
        other->second->fail("name", "\"" + other->first + "\" beside \"" + name + "\"",
                            "another name: results name a quantity of " + name + " so");
  std::map<std::string, bool> phases;
  for (const auto& phase : config.circuit.phases)
    if (!phases.emplace(phase.name, true).second)
      phase.place.fail("name", "a second phase called \"" + phase.name + "\"",
                       "a name of its own for each phase");
}

void check_memory(const Config& config, system::Index trial_count) {
  constexpr double gib = 1024.0 * 1024.0 * 1024.0;
  std::map<std::string, double> sizes;
  double units = 0, largest = 0, weights = 0;
  const Place* culprit = nullptr;
  const auto count = [&](const auto& spec, double nodes) {
    const auto size = static_cast<double>(spec.size);
    units += nodes * size;
    sizes[spec.name] = sizes[spec.name + ".setpoint"] = size;
    if (size > largest) culprit = &spec.place;
    largest = std::max(largest, size);
  };
  for (const auto& population : config.circuit.populations) count(population, 1);
  for (const auto& controller : config.circuit.controllers) count(controller, 4);
  for (const auto& projection : config.circuit.projections)
    if (is_dense(projection, config)) weights += 8 * sizes[projection.from] * sizes[projection.to];
  const double state = 30 * 8 * units, trials = static_cast<double>(trial_count);
  const double memory = core::physical_memory();
  if (weights + state * trials <= memory) return;
  const std::string found = core::brief(units) + " states in " + std::to_string(trial_count) +
                            (trial_count == 1 ? " trial and " : " trials and ") +
                            core::brief(weights / 8) + " weights, which would take about " +
                            core::brief((weights + state * trials) / gib) + " GiB";
  const std::string expected =
      "what fits into this machine's " + core::brief(memory / gib) + " GiB";
  const bool fits_once = weights + state <= memory;
  for (const char* path : {"trials", "model.trials"})
    if (const Value* given = core::find_path(config.root.at, path); given && fits_once)
      core::fail(*given, path, found, expected);
  culprit->fail(culprit->at.find("layers") ? "layers" : "size", found, expected);
}

void check_algebraic_loops(const Config& config, const Circuit& circuit) {
  const std::vector<int> loop = system::order_instantaneous(circuit).loop;
  if (loop.empty()) return;
  const std::size_t internal = circuit.edges.size() - config.circuit.projections.size();
  const Place* place = &config.root;  // its first projection's
  for (auto k = loop.rbegin(); k != loop.rend(); ++k)
    if (const auto edge = static_cast<std::size_t>(*k); edge >= internal)
      place = &config.circuit.projections[edge - internal].place;
  core::fail(place->at, place->path,
             "an algebraic loop of instantaneous nodes: " + system::loop_text(circuit, loop),
             "a time constant tau > 0 somewhere in it");
}

}  // namespace settle::models
