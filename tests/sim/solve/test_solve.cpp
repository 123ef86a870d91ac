// The step loop: exact stops, settled detection, outcomes, budgets and failures, for every method.
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using settle::test::Samples;
using settle::test::Simulation;
using solve::Outcome;

namespace {

bool is_fixed(const std::string& method) {
  return solve::methods().find(method)->make()->control() == solve::Method::Control::fixed;
}

std::string solver(const std::string& method, double duration, const std::string& more = "") {
  return "[solver]\nmethod = \"" + method + "\"\nduration = " + core::number_text(duration) + "\n" +
         (is_fixed(method) ? "step = 0.01\n" : "rtol = 1e-8\natol = 1e-10\n") + more;
}

// ẋ = −x + s(t), one unit.
std::string leaky(const std::string& signal) {
  return "\n[[population]]\nname = \"x\"\nsize = 1\n[[source]]\nto = \"x\"\nsignal = " + signal +
         "\n";
}

// ẋ = rate · x.
std::string growth(double rate, double initial) {
  return "\n[[population]]\nname = \"x\"\nsize = 1\ninitial = " + core::number_text(initial) +
         "\n[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = " + core::number_text(1 + rate) +
         "\n";
}

class StopsAfter final : public solve::Observer {
 public:
  explicit StopsAfter(double t) : t_(t) {}
  bool step(const solve::Progress& progress) override { return progress.t < t_; }

 private:
  double t_;
};

}  // namespace

TEST_CASE("a step of a source is met exactly by every method") {
  // x = 1 − e^{−(t−1)} after the step at 1, and 0 before.
  for (const auto& name : solve::methods().names()) {
    CAPTURE(name);
    Simulation s(solver(name, 3.0) + leaky("{ kind = \"step\", at = 1.0, values = [1.0] }"));
    s.run(0.5);
    double largest = 0;
    for (std::size_t i = 0; i < s.samples.times.size(); ++i) {
      const double t = s.samples.times[i];
      const double exact = t <= 1 ? 0 : 1 - std::exp(-(t - 1));
      if (t <= 1) CHECK(s.samples.states[i](0, 0) == 0);
      largest = std::max(largest, std::abs(s.samples.states[i](0, 0) - exact));
    }
    // First order at h = 0.01: h/2·t·e^{−t} < 2e-3. The others: a hundred times rtol.
    const bool first_order = name == "euler" || name == "semi_implicit_euler";
    CHECK(largest < (first_order ? 2.5e-3 : 1e-6));
    CHECK(s.samples.times.back() == 3.0);
  }
}

TEST_CASE("a pulse train keeps the error at the tolerance") {
  // Without exact stops at the breakpoints the error would be a hundred times larger.
  const std::string train =
      "{ kind = \"pulse\", at = 0.3, width = 0.2, period = 1.0, values = [5.0] }";
  Simulation fine(solver("dopri5", 5.0) + leaky(train)),
      coarse("[solver]\nmethod = \"dopri5\"\nrtol = 1e-5\natol = 1e-8\nduration = 5.0\n" +
             leaky(train));
  const double exact = fine.run(5).final_state(0, 0), found = coarse.run(5).final_state(0, 0);
  CHECK(std::abs(found - exact) < 1e-5);
}

TEST_CASE("samples stand at the multiples of the interval, at phase ends and at the end") {
  Simulation s("[solver]\nduration = 2.25\n" + leaky("{ kind = \"constant\", values = [1.0] }") +
               "[[phase]]\nname = \"a\"\nduration = 1.1\n[[phase]]\nname = \"b\"\n");
  s.run(0.5);
  const std::vector<double> expected{0, 0.5, 1, 1.1, 1.5, 2, 2.5, 3, 3.35};
  REQUIRE(s.samples.times.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(s.samples.times[i] == Approx(expected[i]).epsilon(1e-12));
}

TEST_CASE("samples at the solver's own steps are as many as the steps, or every k-th of them") {
  for (const auto& name : solve::methods().names()) {
    CAPTURE(name);
    Simulation s(solver(name, 2.0) + leaky("{ kind = \"constant\", values = [1.0] }"));
    Samples all({.steps = true}), third({.steps = true, .every = 3});
    const MatrixXd x0 = s.system.initial_state();
    const auto steps =
        static_cast<std::size_t>(solve::solve(s.system, x0, s.config.solver, all).steps);
    solve::solve(s.system, x0, s.config.solver, third);
    CHECK(all.times.size() == steps + 1);
    CHECK(third.times.size() == steps / 3 + 1 + (steps % 3 != 0));
    CHECK(all.times.back() == 2.0);
  }
}

TEST_CASE("watching a fixed-step run does not change it") {
  const auto end = [](double interval) {
    Simulation s("[solver]\nmethod = \"euler\"\nstep = 0.5\nduration = 10.0\n" +
                 leaky("{ kind = \"constant\", values = [1.0] }"));
    return s.run(interval).final_state(0, 0);
  };
  CHECK(end(10.0) == end(0.3));
  CHECK(end(10.0) == 1 - std::pow(0.5, 20));
}

TEST_CASE("a run settles when the residual stays below tolerance for the whole dwell") {
  // residual e^{−t}/(1 − e^{−t}) relative to x = 1 − e^{−t} is below 1e-4 from t = 9.2103 + 1e-4
  // on.
  Simulation s(
      "[solver]\nrtol = 1e-7\natol = 1e-10\nmax_step = 0.01\nduration = 100.0\n"
      "settled = { tolerance = 1e-4, dwell = 3.0 }\n" +
      leaky("{ kind = \"constant\", values = [1.0] }"));
  const auto summary = s.run();
  CHECK(summary.outcome() == Outcome::settled);
  CHECK(summary.trials[0].settled_at == Approx(9.2104).margin(0.011));  // one step
  CHECK(summary.t_end == Approx(12.2104).margin(0.022));
}

TEST_CASE("a source that has yet to change keeps a run from settling early") {
  Simulation s("[solver]\nduration = 100.0\nsettled = {}\n" +
               leaky("{ kind = \"step\", at = 50.0, values = [1.0] }"));
  const auto summary = s.run();
  CHECK(summary.outcome() == Outcome::settled);
  CHECK(summary.t_end > 55);
  CHECK(summary.final_state(0, 0) == Approx(1).epsilon(1e-4));
}

TEST_CASE("settled.nodes restricts the criterion to the nodes that are named") {
  const std::string circuit =
      "\n[[population]]\nname = \"fast\"\nsize = 1\nbias = 1.0\n[[population]]\nname = "
      "\"slow\"\nsize = 1\n"
      "tau = 1000.0\nbias = 1.0\n";
  Simulation all("[solver]\nduration = 200.0\nsettled = {}\n" + circuit);
  Simulation fast("[solver]\nduration = 200.0\nsettled = { nodes = [\"fast\"] }\n" + circuit);
  CHECK(all.run().outcome() == Outcome::not_settled);
  const auto summary = fast.run();
  CHECK(summary.outcome() == Outcome::settled);
  CHECK(summary.t_end < 30);
  CHECK_THROWS_AS(Simulation("[solver]\nsettled = { nodes = [\"fsat\"] }\n" + circuit).run(),
                  core::InputError);
}

TEST_CASE("every outcome is told from the others") {
  const std::string method = GENERATE("dopri5", "auto");
  CAPTURE(method);
  const auto outcome = [&](const std::string& text, double duration) {
    Simulation s("[solver]\nmethod = \"" + method +
                 "\"\nsettled = {}\nduration = " + core::number_text(duration) + "\n" + text);
    return s.run(duration).outcome();
  };
  const std::string rotation =
      "\n[[population]]\nname = \"x\"\nsize = 2\ninitial = [1.0, 0.0]\n[[projection]]\nfrom = "
      "\"x\"\nto = \"x\"\n"
      "weights = ";
  CHECK(outcome(leaky("{ kind = \"constant\", values = [1.0] }"), 100) == Outcome::settled);
  CHECK(outcome(growth(0.05, 1), 200) == Outcome::diverged);  // a real pole
  CHECK(outcome(rotation + "[[1.05, -1.0], [1.0, 1.05]]\n", 200) == Outcome::diverged);  // a pair
  CHECK(outcome(rotation + "[[1.0, -1.0], [1.0, 1.0]]\n", 200) == Outcome::oscillating);
  CHECK(outcome(rotation + "[[0.99, -1.0], [1.0, 0.99]]\n", 200) ==
        Outcome::not_settled);                                     // decays
  CHECK(outcome(growth(-0.001, 1), 200) == Outcome::not_settled);  // slow
  // Growth that few steps saw is growth too, and growth that a saturation will end is none.
  const std::string coarse = "rtol = 1e-4\natol = 1e-7\n";
  CHECK(outcome(coarse + growth(0.01, 1), 300) == Outcome::diverged);
  CHECK(outcome("\n[[population]]\nname = \"x\"\nsize = 1\ninitial = 1e-6\ntransfer = \"tanh\"\n"
                "[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = 1.05\n",
                200) == Outcome::not_settled);
  // A pure integrator drifts: it neither settles nor diverges.
  CHECK(outcome("\n[[population]]\nname = \"x\"\nsize = 1\nleak = 0.0\nbias = 0.1\n", 200) ==
        Outcome::not_settled);
}

TEST_CASE("a driven circuit that does not rest names the source that drives it") {
  Simulation s("[solver]\nduration = 50.0\n" +
               leaky("{ kind = \"sine\", period = 5.0, values = [1.0] }"));
  const auto summary = s.run();
  CHECK(summary.outcome() == Outcome::not_settled);
  CHECK(summary.trials[0].reason.find("source->x") != std::string::npos);
}

TEST_CASE(
    "a trial that leaves the numbers is named with node, unit and time, and the others go on") {
  for (const auto& name : solve::methods().names()) {
    CAPTURE(name);
    // Unit 1 of trial 1 grows like e^{20t} beyond the limit; trial 0 rests at 0.
    Simulation s(solver(name, 3.0, "divergence_limit = 1e6\n") +
                 "\n[[population]]\nname = \"x\"\nsize = 2\ninitial = [[0.0, 0.0], [0.0, 1.0]]\n"
                 "[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = [[1.0, 0.0], [0.0, 21.0]]\n");
    const auto summary = s.run();
    CHECK(summary.trials[1].outcome == Outcome::diverged);
    CHECK(summary.trials[1].reason.find("x[1] passed the divergence limit") != std::string::npos);
    CHECK(summary.trials[0].outcome != Outcome::diverged);
    CHECK(summary.t_end == 3.0);
    CHECK(summary.final_state(0, 0) == 0);
    CHECK(std::isnan(summary.final_state(1, 1)));
    CHECK(std::isnan(s.samples.states.back()(0, 1)));
  }
}

TEST_CASE("overflow to infinity is caught by every method") {
  for (const auto& name : solve::methods().names()) {
    CAPTURE(name);
    Simulation s(solver(name, 200.0, "divergence_limit = inf\n") + growth(30, 1));
    const auto summary = s.run(200);
    CHECK((summary.outcome() == Outcome::diverged || summary.outcome() == Outcome::failed));
    CHECK(summary.t_end < 30);  // e^{30 t} passes 1e308 at t = 23.6
    CHECK_FALSE(summary.trials[0].reason.empty());
  }
}

TEST_CASE("each budget ends a run as failed and says which it was") {
  const auto reason = [](const std::string& budget) {
    Simulation s("[solver]\nmethod = \"dopri5\"\nduration = 1e6\nmax_step = 0.01\n" + budget +
                 leaky("{ kind = \"sine\", period = 0.1, values = [1.0] }"));
    const auto summary = s.run(1e6);
    CHECK(summary.status == solve::SolveSummary::Status::failed);
    CHECK(summary.outcome() == Outcome::failed);
    return summary.reason;
  };
  CHECK(reason("max_steps = 100\n").find("max_steps") != std::string::npos);
  CHECK(reason("max_evaluations = 100\n").find("max_evaluations") != std::string::npos);
  CHECK(reason("max_wall_time = 0.05\n").find("max_wall_time") != std::string::npos);
  Simulation s(
      "[solver]\nmethod = \"dopri5\"\nduration = 100.0\nmax_rejections = 3\ninitial_step = "
      "50.0\nrtol = 1e-10\n" +
      leaky("{ kind = \"sine\", period = 0.1, values = [1.0] }"));
  CHECK(s.run(100).reason.find("max_rejections") != std::string::npos);
}

TEST_CASE("a budget that runs out fails a run that has settled already, too") {
  Simulation s("[solver]\nduration = 5000.0\nmax_step = 1.0\nmax_steps = 1000\n" +
               leaky("{ kind = \"constant\", values = [1.0] }"));
  CHECK(s.run(5000).outcome() == Outcome::failed);
}

TEST_CASE("an observer can interrupt a run, and what was reached is kept") {
  Simulation s("[solver]\nduration = 100.0\nmax_step = 0.1\n" +
               leaky("{ kind = \"constant\", values = [1.0] }"));
  StopsAfter observer(7.0);
  const auto summary = solve::solve(s.system, s.system.initial_state(), s.config.solver, observer);
  CHECK(summary.status == solve::SolveSummary::Status::interrupted);
  CHECK(summary.t_end >= 7.0);
  CHECK(summary.t_end < 7.2);
  CHECK(summary.final_state(0, 0) == Approx(1 - std::exp(-summary.t_end)).epsilon(1e-5));
}

TEST_CASE("phases switch, hold and reset") {
  // off: the bias-driven y feeds x only in the second phase; hold: y waits; reset: x starts again
  // from 3.
  Simulation s(
      "[solver]\nrtol = 1e-9\natol = 1e-12\n[[population]]\nname = \"y\"\nsize = 1\nbias = 1.0\n"
      "[[population]]\nname = \"x\"\nsize = 1\ninitial = 3.0\n[[projection]]\nfrom = \"y\"\nto = "
      "\"x\"\nweights = "
      "2.0\n[[phase]]\nname = \"one\"\nduration = 5.0\noff = [\"y->x\"]\n[[phase]]\nname = "
      "\"two\"\nduration = "
      "1.0\nhold = [\"y\"]\nreset = [\"x\"]\n");
  const auto summary = s.run(1);
  const double y = 1 - std::exp(-5.0);
  CHECK(s.part("x", s.samples.states[5])(0, 0) == Approx(3 * std::exp(-5.0)).epsilon(1e-7));
  CHECK(s.part("y", summary.final_state)(0, 0) == Approx(y).epsilon(1e-8));
  CHECK(s.part("x", summary.final_state)(0, 0) ==
        Approx(2 * y + (3 - 2 * y) * std::exp(-1.0)).epsilon(1e-7));
  CHECK(summary.phases[1].start == 5.0);
  CHECK(summary.phases[1].end == 6.0);
}

TEST_CASE("noise is the same for every solver and step") {
  const std::string circuit = leaky("{ kind = \"noise\", std = 1.0, interval = 0.25 }");
  Simulation a(solver("dopri5", 5.0) + circuit), b(solver("rk4", 5.0) + circuit);
  CHECK(a.run().final_state(0, 0) == Approx(b.run().final_state(0, 0)).epsilon(1e-6));
}

TEST_CASE("the noise has the variance that its interval and the leak give") {
  // x_{k+1} = a x_k + (1 − a) z_k with a = e^{−0.5}: variance (1 − a)/(1 + a), over 4000 trials.
  Simulation s("trials = 4000\n[solver]\nduration = 20.0\n" +
               leaky("{ kind = \"noise\", std = 1.0, interval = 0.5 }"));
  const MatrixXd x = s.run(20).final_state;
  const double a = std::exp(-0.5), expected = (1 - a) / (1 + a);
  const double variance = x.array().square().mean();
  CHECK(std::abs(variance / expected - 1) < 5 * std::sqrt(2.0 / 4000));  // five standard errors
}
