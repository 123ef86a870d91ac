#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "analysis/measure.hpp"
#include "cli/each_file.hpp"
#include "cli/interrupt.hpp"
#include "cli/run_summary.hpp"
#include "cli/terminal.hpp"
#include "cli/train.hpp"
#include "learning/training.hpp"
#include "sim/io/recorder.hpp"

namespace settle::cli {
namespace {

using Json = nlohmann::ordered_json;
using solve::Outcome;
using solve::SolveSummary;

// Records, shows the progress, and ends the run where the user wants it.
class Watch final : public solve::Observer {
 public:
  Watch(io::Recorder& recorder, ProgressDisplay& display, const system::OdeSystem& system,
        bool quick)
      : recorder_(recorder), display_(display), trajectories_(system), quick_(quick) {}

  solve::Sampling sampling() const override { return recorder_.sampling(); }
  void sample(double t, const system::ConstBlock& x, system::Workspace& workspace) override {
    recorder_.sample(t, x, workspace);
  }
  bool step(const solve::Progress& progress) override {
    recorder_.step(progress);
    display_.show(progress);
    if (stop_requested()) return false;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    rehearsed_ = quick_ && seconds > quick_seconds;
    return !rehearsed_;
  }
  bool wants_states() const override { return true; }
  void arrive(int phase, solve::Index trial, double t, const solve::VectorXd& x) override {
    trajectories_.add(phase, trial, t, x);
  }
  bool rehearsed() const { return rehearsed_; }
  const solve::Trajectories& trajectories() const { return trajectories_; }

 private:
  io::Recorder& recorder_;
  ProgressDisplay& display_;
  solve::Trajectories trajectories_;
  bool quick_;
  bool rehearsed_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// How long a cure may be looked for: some times as long as the run took.
double cure_seconds(const SolveSummary& summary) { return 5 + 3 * summary.wall_time; }

std::filesystem::path result_of(const std::filesystem::path& file, const RunOptions& options) {
  return options.output.empty() ? std::filesystem::path(file.stem().string() + ".h5")
                                : options.output;
}

int run_file(const std::filesystem::path& file, const RunOptions& options, Json& all) {
  io::LoadedFile loaded = io::load(file, options.set);
  if (learning::is_plan(loaded.value))
    return run_training(loaded, result_of(file, options), options, all);
  const Prepared ready = prepare(std::move(loaded), base_of(file), options.set);
  if (ready.sweep) return run_sweep(ready, result_of(file, options), options, all);
  const std::filesystem::path result = result_of(file, options);
  check_is_not_input(result, file);
  SolveSummary summary;
  std::vector<core::Quantity> quantities;
  RunReport report{ready, summary, quantities, 0, std::nullopt, result};
  bool rehearsed = false;
  {
    io::Recorder recorder(result, *ready.system, ready.config.solver, ready.config.record,
                          run_info(ready, options.command), options.overwrite);
    ProgressDisplay display(options.quiet || options.json, file.stem().string());
    const SignalGuard guard;
    Watch watch(recorder, display, *ready.system, options.quick);
    summary =
        solve::solve(*ready.system, ready.system->initial_state(), ready.config.solver, watch);
    rehearsed = watch.rehearsed();
    report.phase = static_cast<std::size_t>(analysis::measured_phase(
        ready.system->circuit(), ready.analysis.phase, summary.phases.size()));
    const analysis::Run run{ready.config,         *ready.system,  summary,
                            watch.trajectories(), ready.analysis, report.phase};
    quantities = analysis::measure(run);
    report.cure = analysis::find_cure(run, options.quick ? quick_seconds : cure_seconds(summary));
    for (const core::Quantity& quantity : quantities) recorder.add_measure(quantity);
    if (report.cure) recorder.add_measure(analysis::as_quantity(*report.cure, run));
    recorder.finish(summary);
  }
  if (options.json)
    all.push_back(report_json(report));
  else if (!options.quiet)
    print_report(report, Style(1));
  if (summary.status == SolveSummary::Status::interrupted) {
    if (rehearsed) {
      if (!options.quiet && !options.json)
        std::cout << "  (a rehearsal: it ends after " << quick_seconds << " s)\n";
      return done;
    }
    if (!options.quiet && !options.json)
      std::cerr << "settle: " << summary.reason << "; what was recorded until then is in "
                << result.string() << '\n';
    return interrupted;
  }
  const Outcome outcome = summary.outcome();
  if (outcome == Outcome::settled || options.quiet || options.json) {
  } else if (outcome == Outcome::not_settled || outcome == Outcome::oscillating) {
    std::cerr << Style(2).yellow("settle: the circuit did not settle") << '\n';
  } else {
    std::cerr << Style(2).red(std::string("settle: the simulation ") +
                              (outcome == Outcome::diverged ? "diverged" : "failed"))
              << '\n';
  }
  return outcome == Outcome::diverged || outcome == Outcome::failed ? simulation_failed : done;
}

}  // namespace

int run(const RunOptions& options) {
  if (!options.output.empty() && options.files.size() > 1)
    throw core::InputError(
        "-o", "one result file for " + std::to_string(options.files.size()) + " configurations",
        "no -o: each result is named after its configuration");
  std::map<std::filesystem::path, std::filesystem::path> results;
  for (const auto& file : options.files)
    if (const auto [other, fresh] = results.emplace(result_of(file, options), file); !fresh)
      throw core::InputError(
          file.string(),
          "the same result " + other->first.string() + " as that of " + other->second.string(),
          "one command for each, with its own -o");
  return for_each_file(options, [&](const std::filesystem::path& file, Json& all) {
    return run_file(file, options, all);
  });
}

}  // namespace settle::cli
