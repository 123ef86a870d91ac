#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/analysis_summary.hpp"
#include "cli/each_file.hpp"
#include "cli/interrupt.hpp"
#include "sim/io/analysis_file.hpp"
#include "sim/io/hdf5.hpp"
#include "sim/io/run_reader.hpp"
#include "sim/io/sweep_file.hpp"

namespace settle::cli {
namespace {

using Json = nlohmann::ordered_json;

// A circuit, and a run of it in memory.
struct Subject {
  Prepared ready;
  solve::SolveSummary summary;
  solve::Trajectories trajectories;
};

core::InputError no_run(const std::filesystem::path& file, const std::string& what) {
  return {file.string(), what, "a configuration, or the result of settle run"};
}

// The run that a result file holds; [analysis] may be changed.
Subject from_result(const std::filesystem::path& file, const std::vector<std::string>& set) {
  if (io::SweepFile::is_sweep(file))
    throw no_run(file, "a sweep: what was measured at its points is in it (analysis.measures)");
  if (const std::string kind = io::AnalysisFile::kind_of(file); !kind.empty())
    throw no_run(file, "the result of an " + kind);
  const io::ResultFile result(file);
  for (const std::string& assignment : set)
    if (assignment.rfind("analysis.", 0) != 0)
      throw core::InputError(
          "--set " + assignment, "a change of the circuit, which was run already",
          "analysis.… for a result; or the configuration in place of " + file.string());
  io::LoadedFile loaded;
  loaded.text = result.config_expanded();
  loaded.path = file;
  loaded.value = io::parse_toml(loaded.text, file.string() + ": config_expanded");
  for (const std::string& assignment : set) io::apply_override(loaded.value, assignment);
  // Paths in an expanded configuration are absolute.
  Subject out{prepare(std::move(loaded), "/"), {}, {}};
  io::RunRecord record = io::read_run(result, *out.ready.system, out.ready.config.solver);
  out.summary = std::move(record.summary);
  out.trajectories = std::move(record.trajectories);
  return out;
}

// Shows how far the run has come, and ends it where the user wants it.
class Keeper final : public solve::TrajectoryKeeper {
 public:
  Keeper(const system::OdeSystem& system, ProgressDisplay& display)
      : TrajectoryKeeper(system), display_(display) {}
  bool step(const solve::Progress& progress) override {
    display_.show(progress);
    return !stop_requested();
  }

 private:
  ProgressDisplay& display_;
};

Subject from_configuration(const std::filesystem::path& file, const std::vector<std::string>& set,
                           const CommonOptions& options) {
  Subject out{prepare(file, set), {}, {}};
  if (out.ready.sweep) throw no_run(file, "a configuration with [sweep], which is many runs");
  ProgressDisplay display(options.quiet || options.json, file.stem().string());
  const SignalGuard guard;
  Keeper keeper(*out.ready.system, display);
  out.summary = solve::solve(*out.ready.system, out.ready.system->initial_state(),
                             out.ready.config.solver, keeper);
  out.trajectories = keeper.trajectories();
  return out;
}

int analyze_file(const std::filesystem::path& file, const AnalyzeOptions& options, Json& all) {
  const bool is_result = io::h5::File::is_hdf5(file) || file.extension() == ".h5";
  std::vector<std::string> set = options.set;
  if (!options.measures.empty())
    set.push_back("analysis.measures=[\"" + core::join(options.measures, "\", \"") + "\"]");
  Subject subject = is_result ? from_result(file, set) : from_configuration(file, set, options);
  if (subject.summary.status == solve::SolveSummary::Status::interrupted && !is_result) {
    std::cerr << "settle: interrupted; nothing was measured\n";
    return interrupted;
  }
  analysis::AnalysisOptions& chosen = subject.ready.analysis;
  if (chosen.measures.empty()) chosen.measures = {"*"};
  const std::filesystem::path result =
      options.output.empty() ? std::filesystem::path(file.stem().string() + "_analysis.h5")
                             : options.output;
  check_is_not_input(result, file);
  const auto phase = static_cast<std::size_t>(analysis::measured_phase(
      subject.ready.system->circuit(), chosen.phase, subject.summary.phases.size()));
  const analysis::Run run{subject.ready.config,
                          *subject.ready.system,
                          subject.summary,
                          subject.trajectories,
                          chosen,
                          phase};
  constexpr Eigen::Index soon = 150;  // states that are measured within seconds
  if (subject.ready.system->dimension() > soon && chosen.measures.front() == "*" &&
      !options.quiet && !options.json)
    std::cerr << "settle: measuring everything of " << subject.ready.system->dimension()
              << " states may take minutes; --measures NAME,… takes some of it\n";
  const std::vector<core::Quantity> quantities = analysis::measure(run);
  io::write_analysis(result, "analysis", file.string(), quantities,
                     run_info(subject.ready, options.command), subject.ready.config.solver,
                     options.overwrite);
  const RunReport report{subject.ready, subject.summary, quantities, phase, std::nullopt, result};
  if (options.json) {
    all.push_back(report_json(report));
  } else if (!options.quiet) {
    const Style style(1);
    print_report(report, style);
    print_analysis(report, 0, style);
    if (subject.summary.trials.size() > 1)
      std::cout << "\n  The tables are of trial 0; those of all " << subject.summary.trials.size()
                << " trials are in the file.\n";
  }
  return done;
}

}  // namespace

int analyze(const AnalyzeOptions& options) {
  if (!options.output.empty() && options.files.size() > 1)
    throw core::InputError("-o",
                           "one result file for " + std::to_string(options.files.size()) + " files",
                           "no -o: each result is named after its file");
  return for_each_file(options, [&](const std::filesystem::path& file, Json& all) {
    return analyze_file(file, options, all);
  });
}

}  // namespace settle::cli
