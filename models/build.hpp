// From a configuration to a circuit: what a file says, what its model expands to, and the nodes and
// edges.
#pragma once

#include <array>
#include <filesystem>

#include "models/model.hpp"
#include "sim/io/recorder.hpp"
#include "sim/solve/options.hpp"

namespace settle::models {

/// Tables of a file that floors above bind: a circuit does not depend on them.
inline constexpr std::array tables_of_others = {"analysis", "sweep", "tune"};

/// A configuration file, bound. A model is expanded already: `circuit` spells everything out.
struct Config {
  std::string title;
  std::int64_t seed = 1;
  std::string time_unit = "1";         ///< of every number that has the unit "time"
  std::optional<std::int64_t> trials;  ///< as many as the data has rows unless given
  std::string initial_from;            ///< result file whose final state is the initial one
  CircuitSpec circuit;
  solve::SolverOptions solver;
  io::RecordOptions record;
  std::filesystem::path base;  ///< folder that relative paths are relative to
  Place root;

  /// The keys of the file beside [model].
  void fields(core::Fields& f);
};

/// Binds a file and expands its model.
/// @throws InputError  for anything that is wrong with it by itself
Config read_config(const core::Value& file, const std::filesystem::path& base);

/// The circuit spelt out, with absolute paths: a file that runs to the same bits.
core::Value expanded(const Config& config);

/// Makes nodes, weights, sources and phases.
/// @throws InputError  for names that don't exist or stand twice, shapes that don't fit, data that
///                     is missing, and sizes beyond this machine's memory
system::Circuit build_circuit(const Config& config);

/// A controller's leak α and gains.
struct Gains {
  double leak = 0, p = 0, i = 0, d = 0;
};

void set_gains(Config& config, std::size_t controller, const Gains& gains);

/// The circuit of `config` whose controllers' gains were changed since `circuit`, or one of its trials,
/// was built (nodes of a gain that is zero are not built), and everything else as it is in `circuit`: the
/// weights are the same, whatever an initialisation would make of the new gains.
system::Circuit rebuilt(const Config& config, const system::Circuit& circuit);
/// The same with other gains of one controller.
system::Circuit with_gains(const Config& config, const system::Circuit& circuit,
                           std::size_t controller, const Gains& gains);

}  // namespace settle::models
