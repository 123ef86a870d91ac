// Many trials at once: each with its own steps and outcome, and the same bits whatever runs beside it.
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support.hpp"

using namespace settle;
using solve::Index;
using solve::MatrixXd;
using solve::Outcome;
using solve::VectorXd;
using test::Samples;
using test::Simulation;

namespace {

std::string inversion(const std::string& layers, const std::string& trials,
                      const std::string& solver, const std::string& more = "") {
  return "[model]\nkind = \"dynamic_inversion\"\nlayers = " + layers +
         "\ntransfer = \"tanh\"\nsetpoint = { init = \"normal\", std = 0.3 }\ntrials = " + trials +
         "\nforward = { init = \"uniform\", low = -0.5, high = 0.5 }\n" + more + "[solver]\n" +
         solver;
}

// Whether some trials of a run have the bits without the others that they have beside them.
void check_parts(const Simulation& all, const solve::SolveSummary& summary,
                 const std::vector<std::pair<Index, Index>>& parts) {
  for (const auto& [first, count] : parts) {
    const system::OdeSystem some = system::compile(all.circuit().of_trials(first, count));
    Samples samples;
    const auto part = solve::solve(some, some.initial_state(), all.config.solver, samples);
    CHECK(part.final_state == summary.final_state.middleCols(first, count));
    REQUIRE(samples.times == all.samples.times);
    for (std::size_t k = 0; k < samples.times.size(); ++k)
      REQUIRE(samples.states[k] == all.samples.states[k].middleCols(first, count));
  }
}

}  // namespace

TEST_CASE("a trial's bits do not depend on which others run beside it") {
  const std::string method = GENERATE("dopri5", "cash_karp54", "fehlberg78", "rk4", "euler",
                                      "rosenbrock4", "semi_implicit_euler", "bulirsch_stoer");
  // One that runs in lanes, and one whose matrices are too large for that.
  const std::string layers = GENERATE("[20, 10]", "[100, 60]");
  CAPTURE(method, layers);
  const bool fixed = method == "rk4" || method == "euler" || method == "semi_implicit_euler";
  const bool costly = method == "rosenbrock4" && layers != "[20, 10]";
  const std::string trials = costly ? "9" : "70";
  Simulation all(
      inversion(layers, trials,
                "method = \"" + method + "\"\nduration = 6\n" + (fixed ? "step = 0.25\n" : "")));
  const auto summary = all.run();
  check_parts(all, summary, {{0, 3}, {5, 2}, {1, 8}});
  // Alone, by products of a matrix and a vector: other rounding, and so other steps, each within rtol =
  // 1e-6 of states of about 1, some dozen of them.
  const system::OdeSystem one = system::compile(all.circuit().of_trial(4));
  Samples samples;
  const auto alone = solve::solve(one, one.initial_state(), all.config.solver, samples);
  CHECK((alone.final_state - summary.final_state.col(4)).cwiseAbs().maxCoeff() < 1e-5);
}

TEST_CASE("trials that are handed over as stiff have the bits that they have without the others") {
  // By their setpoints, tanh saturates in some and the loop is fast in others.
  const std::string layers = GENERATE("[20, 10]", "[100, 60]");
  CAPTURE(layers);
  Simulation all(inversion(layers, "20", "duration = 200\n"));
  const auto summary = all.run();
  CHECK(summary.how.find("rosenbrock4 took over") != std::string::npos);
  check_parts(all, summary, {{0, 3}, {5, 2}});
}

TEST_CASE("the number of threads changes no bit of many trials") {
  Simulation s(inversion("[20, 10]", "200", "duration = 5\n"));
  const auto first = s.run(), again = s.run();
  CHECK(first.final_state == again.final_state);
  CHECK(first.steps == again.steps);
}

TEST_CASE("a circuit's bits do not depend on which others of its shape are solved beside it") {
  // Alone every gain in the batch is the same, beside the others none is. In lanes, and in columns.
  const std::string layers = GENERATE("[20, 10]", "[100, 60]");
  const bool reduce = GENERATE(true, false);
  CAPTURE(layers, reduce);
  std::vector<Simulation> all;
  for (const char* gain : {"1.0", "0.3", "2.5", "1.0"})
    all.emplace_back(inversion(
        layers, "1", "duration = 5\nreduce = " + std::string(reduce ? "true" : "false") + "\n",
        "[model.controller]\ngains = { i = " + std::string(gain) + " }\n"));
  const auto solved = [&](const std::vector<std::size_t>& chosen) {
    std::vector<MatrixXd> starts;
    std::vector<Samples> samples(chosen.size());
    std::vector<solve::Task> tasks;
    for (const std::size_t k : chosen) starts.push_back(all[k].system.initial_state());
    for (std::size_t i = 0; i < chosen.size(); ++i)
      tasks.push_back({all[chosen[i]].system, starts[i], all[chosen[i]].config.solver, samples[i]});
    return solve::solve(tasks);
  };
  const auto together = solved({0, 1, 2, 3});
  for (std::size_t k = 0; k < all.size(); ++k)
    CHECK(solved({k})[0].final_state == together[k].final_state);
  CHECK(together[0].final_state == together[3].final_state);
  CHECK(together[0].final_state != together[1].final_state);
}

TEST_CASE("every trial has its own steps") {
  // The same circuit twice but for a gate, which makes one ẋ = −2x and the other ẋ = −501x.
  const std::string toml =
      "[[population]]\nname = \"a\"\nsize = 1\ninitial = [[1.0], [1.0]]\n"
      "[[projection]]\nfrom = \"a\"\nto = \"a\"\nweights = { values = [[-1.0]] }\n"
      "[solver]\nduration = 10\nmethod = \"dopri5\"\n";
  Simulation s(toml);
  system::Circuit circuit = s.circuit();
  circuit.edges[0].gate = (MatrixXd(1, 2) << 1.0, 500.0).finished();
  const system::OdeSystem both = system::compile(circuit);
  solve::TrajectoryKeeper keeper(both);
  const auto summary = solve::solve(both, both.initial_state(), s.config.solver, keeper);
  CHECK(summary.status == solve::SolveSummary::Status::done);
  const std::size_t slow = keeper.trajectories().of(0).size(),
                    fast = keeper.trajectories().of(1).size();
  CHECK(fast > 10 * slow);
  CHECK(summary.steps == static_cast<std::int64_t>(slow + fast) - 2);
  // x = e^{−2t} at the slow one's every step, with the error of ten of its steps, 1e-6 each.
  for (std::size_t k = 0; k < slow; ++k)
    CHECK(keeper.trajectories().of(0).state(k)[0] ==
          Approx(std::exp(-2 * keeper.trajectories().of(0).time(k))).margin(1e-5));
}

TEST_CASE("a phase ends for all trials when the last has settled, and each keeps its own outcome") {
  const std::string toml =
      "[[population]]\nname = \"a\"\nsize = 1\ninitial = [[1.0], [1e-4], [1.0]]\n"
      "[[phase]]\nname = \"rest\"\nuntil = \"settled\"\n"
      "[solver]\nduration = 100\nmethod = \"dopri5\"\nsettled = { tolerance = 1e-3, dwell = 1.0 "
      "}\n";
  const double interval = GENERATE(0.01, 0.3, 5.0, 1e9);
  CAPTURE(interval);
  Simulation s(toml);
  const auto summary = s.run(interval);
  CHECK(summary.outcome() == Outcome::settled);
  // ‖T ẋ‖ ≤ 1e-3 · max(|x|, 1e-3) from |x| = 1e-6 on: after ln(1e6) for the first and third.
  CHECK(summary.t_end == Approx(std::log(1e6) + 1).margin(1.5));
  CHECK(summary.trials[0].settled_at == summary.trials[2].settled_at);
  CHECK(summary.trials[1].settled_at < summary.trials[0].settled_at - 5);
  CHECK(summary.final_state(0, 0) == summary.final_state(0, 2));
  // All are sampled up to the same end.
  CHECK(s.samples.times.back() == summary.t_end);
  for (std::size_t k = 0; k < s.samples.times.size(); ++k) {
    const double t = s.samples.times[k];
    if (k > 0) CHECK(t > s.samples.times[k - 1]);
    CHECK(s.samples.states[k](0, 0) == Approx(std::exp(-t)).margin(1e-5));
    CHECK(s.samples.states[k](0, 1) == Approx(1e-4 * std::exp(-t)).margin(1e-8));
  }
}

TEST_CASE("where nobody looks, a trial that has settled stays where it is") {
  struct Blind final : solve::Observer {
    solve::Sampling sampling() const override {
      return {.interval = std::numeric_limits<double>::infinity()};
    }
  };
  const auto run = [](const std::string& starts) {
    Simulation s("[[population]]\nname = \"a\"\nsize = 1\ninitial = " + starts +
                 "\n[[phase]]\nname = \"rest\"\nuntil = \"settled\"\n"
                 "[solver]\nduration = 100\nmethod = \"dopri5\"\nsettled = { tolerance = 1e-3, "
                 "dwell = 1.0 }\n");
    Blind blind;
    return std::pair(solve::solve(s.system, s.system.initial_state(), s.config.solver, blind),
                     s.run(1e9));
  };
  const auto [all, watched] = run("[[1.0], [1e-4], [1.0]]");
  const auto [two, watched_two] = run("[[1e-4], [1e-3]]");
  CHECK(all.outcome() == Outcome::settled);
  CHECK(all.t_end == watched.t_end);
  CHECK(all.final_state(0, 0) == watched.final_state(0, 0));
  CHECK(all.steps < watched.steps);
  // e^{−t} times the start, when it was found settled, whatever the others did then.
  CHECK(all.final_state(0, 1) > 100 * watched.final_state(0, 1));
  CHECK(all.final_state(0, 1) == two.final_state(0, 0));
  CHECK(watched.final_state(0, 1) != watched_two.final_state(0, 0));
}

TEST_CASE("a trial whose solver fails ends alone") {
  // 200 steps are many for ẋ = −2x, and too few for ẋ = −501x.
  Simulation s(
      "[[population]]\nname = \"a\"\nsize = 1\ninitial = [[1.0], [1.0]]\n"
      "[[projection]]\nfrom = \"a\"\nto = \"a\"\nweights = { values = [[-1.0]] }\n"
      "[solver]\nduration = 10\nmethod = \"dopri5\"\nmax_steps = 200\n");
  system::Circuit circuit = s.circuit();
  circuit.edges[0].gate = (MatrixXd(1, 2) << 1.0, 500.0).finished();
  const system::OdeSystem both = system::compile(circuit);
  Samples samples;
  const auto summary = solve::solve(both, both.initial_state(), s.config.solver, samples);
  CHECK(summary.trials[0].outcome != Outcome::failed);
  CHECK(summary.trials[1].outcome == Outcome::failed);
  CHECK(summary.trials[1].reason.find("200 steps") != std::string::npos);
  CHECK(summary.status == solve::SolveSummary::Status::failed);
  CHECK(summary.final_state(0, 0) == Approx(std::exp(-20)).margin(1e-6));
  CHECK(std::isnan(summary.final_state(0, 1)));
  CHECK(samples.times.back() == 10);
}

TEST_CASE("what all trials had passed when a run was interrupted is sampled") {
  // The window of sixteen rows is not over; the slower of the two has come to t = 1 or more.
  class Impatient final : public solve::Observer {
   public:
    solve::Sampling sampling() const override { return {.interval = 0.1}; }
    void sample(double t, const system::ConstBlock& x, system::Workspace&) override {
      times.push_back(t);
      complete = complete && x.allFinite();
    }
    bool step(const solve::Progress& progress) override { return progress.t < 1; }
    std::vector<double> times;
    bool complete = true;
  };
  Simulation s(
      "[[population]]\nname = \"a\"\nsize = 1\ninitial = [[1.0], [1e-3]]\n"
      "[solver]\nduration = 100\nmethod = \"dopri5\"\nmax_step = 0.25\n");
  Impatient observer;
  const auto summary = solve::solve(s.system, s.system.initial_state(), s.config.solver, observer);
  CHECK(summary.status == solve::SolveSummary::Status::interrupted);
  CHECK(observer.complete);
  REQUIRE(observer.times.size() >= 11);
  for (std::size_t k = 0; k < 11; ++k)
    CHECK(observer.times[k] == Approx(0.1 * static_cast<double>(k)));
}
