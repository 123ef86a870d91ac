// A run that was recorded at the solver's steps gives the same measures when it is read back.
#include <catch2/catch.hpp>
#include <cmath>

#include "sim/io/recorder.hpp"
#include "sim/io/run_reader.hpp"
#include "tests/sim/io/recorder_support.hpp"
#include "tests/support.hpp"

using namespace settle;
using settle::test::Simulation;

namespace {

// Runs and records at once, as settle run does.
class Both final : public solve::Observer {
 public:
  Both(io::Recorder& recorder, const system::OdeSystem& system)
      : trajectories(system), recorder_(recorder) {}
  solve::Sampling sampling() const override { return recorder_.sampling(); }
  void sample(double t, const system::ConstBlock& x, system::Workspace& w) override {
    recorder_.sample(t, x, w);
  }
  bool step(const solve::Progress& progress) override {
    recorder_.step(progress);
    return true;
  }
  bool wants_states() const override { return true; }
  void arrive(int phase, solve::Index trial, double t, const solve::VectorXd& x) override {
    trajectories.add(phase, trial, t, x);
  }
  solve::Trajectories trajectories;

 private:
  io::Recorder& recorder_;
};

struct Recorded {
  explicit Recorded(const std::string& toml) : simulation(toml) {
    const system::OdeSystem& system = simulation.system;
    io::Recorder recorder(path(), system, simulation.config.solver, simulation.config.record,
                          test::run_info());
    Both both(recorder, system);
    summary = solve::solve(system, system.initial_state(), simulation.config.solver, both);
    quantities = measure(summary, both.trajectories);
    for (const core::Quantity& quantity : quantities) recorder.add_measure(quantity);
    recorder.finish(summary);
  }
  std::filesystem::path path() const { return folder / "run.h5"; }
  std::vector<core::Quantity> measure(const solve::SolveSummary& of,
                                      const solve::Trajectories& along) const {
    const analysis::AnalysisOptions options;
    const int phase =
        analysis::measured_phase(simulation.circuit(), options.phase, of.phases.size());
    return analysis::measure({simulation.config, simulation.system, of, along, options,
                              static_cast<std::size_t>(phase)});
  }

  test::TemporaryFolder folder;
  Simulation simulation;
  solve::SolveSummary summary;
  std::vector<core::Quantity> quantities;
};

const std::string head =
    "seed = 3\n[record]\ninterval = \"steps\"\n[solver]\nduration = 300.0\nsettled = {}\n"
    "[model]\nkind = \"dynamic_inversion\"\n"
    "forward = { init = \"normal\", std = 0.4 }\nsetpoint = { init = \"normal\", std = 0.2 }\n"
    "initial = { init = \"normal\", std = 0.1 }\n";

}  // namespace

TEST_CASE("measures of a run that is read back are those of the run itself", "[analysis][io]") {
  const std::string more = GENERATE(
      "layers = [6, 4]\n", "layers = [6, 4]\ntrials = 3\ntransfer = \"identity\"\n",
      "layers = [6, 5, 4]\nscheme = \"sequential\"\n[model.controller]\nleak = 0.1\n",
      "layers = [5, 4]\n[model.controller]\ngains = { p = 0.3, i = 1.0, d = 0.1 }\n",
      // Unstable: it goes on oscillating.
      "layers = [4, 4, 4, 4]\nscheme = \"single_loop\"\n[model.controller]\ngains = { i = 9.0 }\n");
  CAPTURE(more);
  const Recorded run(head + more);
  const io::ResultFile file(run.path());
  const io::RunRecord read =
      io::read_run(file, run.simulation.system, run.simulation.config.solver);
  CHECK(read.summary.status == run.summary.status);
  CHECK(read.summary.t_end == run.summary.t_end);
  CHECK(read.summary.steps == run.summary.steps);
  CHECK(read.summary.final_state == run.summary.final_state);
  REQUIRE(read.summary.phases.size() == run.summary.phases.size());
  for (std::size_t p = 0; p < run.summary.phases.size(); ++p) {
    CHECK(read.summary.phases[p].start == run.summary.phases[p].start);
    CHECK(read.summary.phases[p].end == run.summary.phases[p].end);
    CHECK(read.summary.phases[p].outcomes == run.summary.phases[p].outcomes);
    CHECK(read.summary.phases[p].state == run.summary.phases[p].state);
  }
  for (std::size_t k = 0; k < run.summary.trials.size(); ++k) {
    CHECK(read.summary.trials[k].outcome == run.summary.trials[k].outcome);
    CHECK(read.summary.trials[k].reason == run.summary.trials[k].reason);
    CHECK(read.summary.trials[k].deciding_phase == run.summary.trials[k].deciding_phase);
  }
  const auto again = run.measure(read.summary, read.trajectories);
  REQUIRE(again.size() == run.quantities.size());
  for (std::size_t q = 0; q < again.size(); ++q) {
    const core::Quantity &found = again[q], &expected = run.quantities[q];
    INFO(expected.name);
    CHECK(found.name == expected.name);
    for (Eigen::Index k = 0; k < expected.values.size(); ++k) {
      const double a = found.values.data()[k], b = expected.values.data()[k];
      CAPTURE(k);
      // The same states at the same steps: what differs is rounding in the residuals, evaluated again.
      if (std::isnan(b))
        CHECK(std::isnan(a));
      else
        CHECK(a == Approx(b).epsilon(1e-6).margin(1e-12));
    }
  }
}

TEST_CASE("a run that did not end, or of another circuit, cannot be analysed", "[analysis][io]") {
  const Recorded run(head + "layers = [6, 4]\n");
  const io::ResultFile file(run.path());
  const Simulation larger(head + "layers = [7, 4]\n"),
      other("seed = 4\n" + head.substr(9) + "layers = [6, 4]\n"),
      trials(head + "layers = [6, 4]\ntrials = 2\n");
  const auto message = [&](const Simulation& simulation) {
    return test::input_error(
        [&] { io::read_run(file, simulation.system, simulation.config.solver); });
  };
  CHECK_THAT(message(larger), Catch::Contains("run.h5"));
  CHECK_THAT(message(other), Catch::Contains("other weights of hidden->control"));
  CHECK_THAT(message(trials), Catch::Contains("1 trials"));

  const test::TemporaryFolder folder;
  {
    io::Recorder unfinished(folder / "u.h5", run.simulation.system, run.simulation.config.solver,
                            run.simulation.config.record, test::run_info());
  }
  const io::ResultFile unfinished(folder / "u.h5");
  CHECK_THAT(test::input_error([&] {
               io::read_run(unfinished, run.simulation.system, run.simulation.config.solver);
             }),
             Catch::Contains("did not end"));
}
