#include <algorithm>

#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "learning/training.hpp"
#include "settle_revision.hpp"
#include "settle_version.hpp"
#include "sim/io/recorder.hpp"
#include "sim/solve/cvode_methods.hpp"

namespace settle::cli {
namespace {

constexpr double most_steps = 1e15;                    // beyond it, a slip
constexpr double largest_result = 1125899906842624.0;  // 1 PiB: beyond it, a slip

core::InputError mistake(const Prepared& ready, const std::string& path, const std::string& found,
                         const std::string& expected) {
  const std::string where = core::locate(ready.file.value, path).text();
  return {(where.empty() ? "" : where + ": ") + path, found, expected};
}

// The steps of a fixed-step run, against what can be counted and against their budget.
void check_steps(Prepared& ready) {
  const solve::SolverOptions& solver = ready.config.solver;
  if (!solver.step) return;
  const double longest = solve::longest_duration(ready.system->circuit(), solver);
  const double steps = longest / *solver.step;
  if (steps > most_steps)
    throw mistake(ready, "solver.step",
                  core::brief(*solver.step) + ", of which " + core::brief(steps) + " make the run",
                  "a longer step, or a shorter solver.duration");
  if (steps > static_cast<double>(solver.max_steps))
    ready.warnings.push_back(
        "the run may take " + core::brief(steps) +
        " steps, more than solver.max_steps = " + std::to_string(solver.max_steps));
}

// What the recorder would refuse.
void check_record(const Prepared& ready) {
  const auto bytes = io::expected_bytes(*ready.system, ready.config.solver, ready.config.record);
  if (!bytes && ready.config.record.steps) return;
  const double size = bytes ? static_cast<double>(*bytes) : largest_result + 1;
  if (size <= largest_result) return;
  throw mistake(ready, "record.interval", "a result of " + bytes_text(size) + " or more",
                "a longer interval, fewer variables or a shorter solver.duration");
}

// Names of phases and projections in [analysis].
void check_analysis(const Prepared& ready) {
  const system::Circuit& circuit = ready.system->circuit();
  const auto check = [&](const std::string& path, const std::string& name,
                         const std::vector<std::string>& names) {
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw mistake(ready, path, "\"" + name + "\", which names nothing",
                    "one of " + core::join(names, " or ") + core::did_you_mean(name, names));
  };
  std::vector<std::string> phases, projections;
  for (const auto& phase : circuit.phases) phases.push_back(phase.name);
  for (const auto& spec : ready.config.circuit.projections) projections.push_back(spec.full_name());
  if (!ready.analysis.phase.empty()) check("analysis.phase", ready.analysis.phase, phases);
  for (const std::string& name : ready.analysis.break_at)
    check("analysis.break_at", name, projections);
}

// What the sweep would set again at every point.
void check_set(const analysis::SweepSpec& sweep, const std::vector<std::string>& set) {
  for (const std::string& one : set) {
    const std::string key = one.substr(0, one.find('='));
    for (const analysis::SweepAxis& axis : sweep.axes)
      if (std::find(axis.parameters.begin(), axis.parameters.end(), key) != axis.parameters.end())
        throw core::InputError("--set " + key,
                               "a key that the sweep varies (its axis \"" + axis.name + "\")",
                               "another key, or other axes: --set 'sweep.axes=[…]'");
  }
}

}  // namespace

std::filesystem::path base_of(const std::filesystem::path& file) {
  return std::filesystem::absolute(file).parent_path();
}

Prepared prepare(const std::filesystem::path& file, const std::vector<std::string>& set) {
  return prepare(io::load(file, set), base_of(file), set);
}

Prepared prepare(io::LoadedFile file, const std::filesystem::path& base,
                 const std::vector<std::string>& set) {
  if (learning::is_plan(file.value))
    throw core::InputError(file.path.string(), "a configuration of training",
                           "one of a circuit, with [model] or [[population]]");
  Prepared out;
  out.file = std::move(file);
  core::Value value = out.file.value;
  if (const core::Value* table = value.find("sweep")) {
    out.sweep = analysis::read_sweep(*table);
    check_set(*out.sweep, set);
    value = analysis::with_point(value, *out.sweep, 0);
  }
  out.config = models::read_config(value, base);
  if (const core::Value* table = value.find("analysis"))
    out.analysis = core::read<analysis::AnalysisOptions>(*table, "analysis");
  out.system =
      std::make_unique<system::OdeSystem>(system::compile(models::build_circuit(out.config)));
  if (const core::Value* table = value.find("tune")) {
    out.tune = core::read<analysis::TuneSpec>(*table, "tune");
    out.tune.check(*table, out.system->circuit());
  }
  check_record(out);
  check_analysis(out);
  out.warnings = out.config.solver.warnings(solve::chosen_method(*out.system, out.config.solver));
  const auto& phases = out.system->circuit().phases;
  if (out.config.solver.shortcut &&
      std::none_of(phases.begin(), phases.end(), [&](const system::Phase& phase) {
        return solve::ends_when_settled(phase, out.config.solver);
      }))
    out.warnings.push_back(
        "solver.shortcut does nothing: no phase lasts until it has settled (until = \"settled\", "
        "or "
        "[solver.settled] without phases)");
  check_steps(out);
  for (const auto& controller : out.system->circuit().controllers) {
    const bool silent = controller.gain_p == 0 && controller.gain_i == 0 && controller.gain_d == 0;
    if (silent)
      out.warnings.push_back("controller " + controller.name + " has no gain: it does nothing");
    if (controller.measured_edges.empty())
      out.warnings.push_back("controller " + controller.name +
                             " measures nothing: no projection leads to it");
  }
  return out;
}

io::RunInfo program_info(const std::string& command) {
  io::RunInfo info;
  info.command = command;
  info.program_version = SETTLE_VERSION;
  info.git_revision = SETTLE_GIT_REVISION;
  info.git_dirty = SETTLE_GIT_DIRTY;
  info.compiler = SETTLE_COMPILER;
  info.build_flags = SETTLE_BUILD_FLAGS;
  if (const std::string version = solve::sundials_version(); !version.empty())
    info.libraries.emplace_back("SUNDIALS", version);
  return info;
}

io::RunInfo run_info(const Prepared& ready, const std::string& command) {
  io::RunInfo info = program_info(command);
  info.title = ready.config.title.empty() ? ready.file.path.stem().string() : ready.config.title;
  info.time_unit = ready.config.time_unit;
  info.config = ready.file.text;
  info.config_expanded = io::toml_text(expanded(ready));
  info.seed = static_cast<std::uint64_t>(ready.config.seed);
  return info;
}

core::Value expanded(const Prepared& ready) {
  core::Value out = models::expanded(ready.config);
  const core::Value options =
      core::without_defaults(core::write(ready.analysis), core::write(analysis::AnalysisOptions{}));
  if (!options.table().empty()) out.set("analysis", options);
  return out;
}

void check_is_not_input(const std::filesystem::path& output, const std::filesystem::path& input) {
  std::error_code none;  // of files that are not there
  if (std::filesystem::equivalent(output, input, none))
    throw core::InputError("-o " + output.string(), "the configuration itself", "another file");
}

}  // namespace settle::cli
