// Why a run did or did not converge, how long it would take, and what cures it.
#include <catch2/catch.hpp>
#include <cmath>

#include "analysis/verdict.hpp"
#include "tests/analysis/measured.hpp"

using namespace settle;
using settle::test::Index;
using settle::test::Layer;
using settle::test::MatrixXd;
using settle::test::Measured;
using settle::test::number;
using settle::test::one_mode;
using settle::test::VectorXd;
using solve::Outcome;

namespace {

const std::vector<std::string> verdict = {"verdict"};

// W B with the eigenvalues a +- ib.
Layer turning(double a, double b, const std::string& controller = "leak = 0.1\n") {
  MatrixXd turn(2, 2);
  turn << a, -b, b, a;
  Layer layer{MatrixXd::Identity(2, 2), turn, VectorXd(2), controller};
  layer.setpoint << 0.3, -0.1;
  return layer;
}

std::string single_loop(double alpha, double k, const std::string& solver) {
  return "[solver]\n" + solver +
         "[model]\nkind = \"dynamic_inversion\"\nscheme = \"single_loop\"\nlayers = [1, 1, 1]\n"
         "transfer = \"identity\"\nforward = 1.0\nsetpoint = 1.0\n[model.controller]\nleak = " +
         number(alpha) + "\ngains = { i = " + number(k) + " }\n";
}

// x' = -leak x + w tanh(x) + bias
std::string unit(double w, double initial, const std::string& solver,
                 const std::string& more = "leak = 1.0\n") {
  return "[solver]\n" + solver +
         "[[population]]\nname = \"x\"\nsize = 1\ntransfer = \"tanh\"\ninitial = " +
         number(initial) + "\n" + more +
         "[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = " + number(w) + "\n";
}

// The number that follows these words in a sentence.
double number_after(const std::string& text, const std::string& words) {
  const auto at = text.find(words);
  if (at == std::string::npos) return std::nan("");
  return std::stod(text.substr(at + words.size()));
}

}  // namespace

TEST_CASE("each verdict is reached by a circuit that deserves it") {
  const auto judged = [](const std::string& toml) {
    const Measured m(toml, verdict);
    return std::pair{m.meaning("verdict"), m.text("verdict_text")};
  };
  const auto contains = [](const std::string& text, const std::string& part) {
    CAPTURE(text, part);
    CHECK(text.find(part) != std::string::npos);
  };

  SECTION("settled") {
    Layer layer = one_mode(1);
    layer.solver = "duration = 400.0\nsettled = {}\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "settled");
    contains(text, "settled at t = ");
    contains(text, "time constant 1.818");  // 2/(1 + alpha)
  }
  SECTION("infeasible") {
    Layer layer = one_mode(1);
    layer.transfer = "tanh";
    layer.setpoint << 4;
    layer.solver = "duration = 400.0\nsettled = {}\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "infeasible");
    contains(text, "no rates of hidden bring the error below 75 % of it");
    contains(text, "wound up to |ξ| = 30");  // (4 - 1)/0.1
  }
  SECTION("infeasible, long before it rests") {
    Layer layer = one_mode(1, "leak = 0.001\n");
    layer.transfer = "tanh";
    layer.setpoint << 4;
    layer.solver = "duration = 400.0\nsettled = {}\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "infeasible");
    contains(text, "time constant 1000");
  }
  SECTION("saturated") {
    Layer layer = one_mode(1);
    layer.feedback.setConstant(1);  // the wrong way: to tanh's other end
    layer.transfer = "tanh";
    layer.setpoint << 0.5;
    layer.solver = "duration = 400.0\nsettled = {}\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "saturated");
    contains(text, "1 of 1 units of hidden are saturated");
    contains(text, "300 % of the setpoint away");
  }
  SECTION("unstable_rest") {
    const auto [kind, text] = judged(unit(2, 0, "duration = 40.0\nsettled = {}\n"));
    CHECK(kind == "unstable_rest");
    contains(text, "pole 1 (x 100 %)");
  }
  SECTION("slow") {
    Layer layer = one_mode(0.05, "leak = 0.001\n");
    layer.solver = "duration = 100.0\nsettled = {}\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "slow");
    contains(text, "control.integral");
  }
  SECTION("slowly_damped") {
    // (1 + alpha) sqrt(alpha - a) = 0.852 is the limit.
    Layer layer = turning(-0.5, 0.8);
    layer.solver = "duration = 100.0\nsettled = {}\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "slowly_damped");
    contains(text, "slowly damped oscillation: pole ");
  }
  SECTION("limit_cycle") {
    Layer layer = turning(-0.5, 2);
    layer.transfer = "tanh";
    layer.solver = "duration = 400.0\nsettled = {}\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "limit_cycle");
    contains(text, "angular frequency");
    contains(text, "saturation bounds the motion");
  }
  SECTION("leaving") {
    const auto [kind, text] = judged(unit(2, 1e-6, "duration = 8.0\nsettled = {}\n"));
    CHECK(kind == "leaving");
    contains(text, "moving away: ");
  }
  SECTION("integrating") {
    const auto [kind, text] = judged(
        "[solver]\nduration = 50.0\nsettled = {}\n[[population]]\nname = \"x\"\nsize = 1\n"
        "leak = 0.0\nbias = 1.0\n");
    CHECK(kind == "integrating");
    contains(text, "pole at 0 (x 100 %), no leak pulls it back");
  }
  SECTION("infeasible and integrating: an expanding layer without a leak") {
    Layer layer = one_mode(1, "leak = 0.0\n");
    layer.forward = MatrixXd(2, 1);
    layer.forward << 1, 0.5;
    layer.feedback = -layer.forward.transpose();
    layer.setpoint = VectorXd(2);
    layer.setpoint << 1, -1;
    layer.solver = "duration = 200.0\nsettled = {}\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "infeasible");
    contains(text, "a state only integrates");
  }
  SECTION("driven") {
    const auto [kind, text] =
        judged(unit(0.5, 1, "duration = 50.0\nsettled = {}\n") +
               "[[source]]\nname = \"wave\"\nto = \"x\"\n"
               "signal = { kind = \"sine\", period = 5.0, values = [1.0] }\n");
    CHECK(kind == "driven");
    contains(text, "\"wave\" still drives it");
  }
  SECTION("tolerance_limited") {
    // A method at its stability limit hovers at its own error: a stiff pair, a tolerance at rtol.
    const auto [kind, text] = judged(
        "[solver]\nmethod = \"bulirsch_stoer\"\nduration = 40.0\nrtol = 1e-5\nsettled = { "
        "tolerance = 1e-5 }\n"
        "[[population]]\nname = \"x\"\nsize = 3\ntau = [1.0, 0.01, 0.03]\nbias = 1.0\n");
    CHECK(kind == "tolerance_limited");
    contains(text, "hovers at the solver's own error");
  }
  SECTION("numerical: a step that is too long, diverging and oscillating") {
    Layer layer = one_mode(2);
    layer.solver = "method = \"euler\"\nstep = 0.5\nduration = 400.0\ndivergence_limit = 1e6\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "numerical");
    contains(text, "a step of 0.5 of euler is too long");
    layer.transfer = "tanh";
    const auto [bounded, why] = judged(layer.toml());
    CHECK(bounded == "numerical");
    contains(why, "keeps oscillating although the circuit is stable");
  }
  SECTION("diverged, with and without an oscillation") {
    Layer layer = turning(-0.5, 2);
    layer.solver = "duration = 400.0\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "diverged");
    contains(text, "an oscillation that grows");
    Layer positive = one_mode(1);
    positive.feedback.setConstant(1);
    positive.solver = "duration = 400.0\n";
    const auto [other, why] = judged(positive.toml());
    CHECK(other == "diverged");
    contains(why, "growth without oscillation");
  }
  SECTION("diverged from a stable rest state, too far from it") {
    // x' = -x + 0.5 e^x-like growth: softplus with a weight above 1 beyond its knee.
    const auto [kind, text] = judged(
        "[solver]\nduration = 400.0\n[[population]]\nname = \"x\"\nsize = 1\n"
        "transfer = \"softplus\"\ninitial = 8.0\nbias = -3.0\n"
        "[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = 2.0\n");
    CHECK(kind == "diverged");
    contains(text, "diverged");
  }
  SECTION("failed") {
    Layer layer = one_mode(1);
    layer.solver = "duration = 400.0\nmax_steps = 5\n";
    const auto [kind, text] = judged(layer.toml());
    CHECK(kind == "failed");
    contains(text, "budget of 5 steps");
  }
}

TEST_CASE("how much longer to run is right: after that time it has settled, before it has not") {
  const auto longer = [](Layer layer, double duration) {
    layer.solver = "duration = " + number(duration) + "\nsettled = {}\n";
    const Measured m(layer, verdict);
    REQUIRE(m.summary.outcome() != Outcome::settled);
    const double more = number_after(m.text("verdict_text"), ", about ");
    CAPTURE(duration, more, m.text("verdict_text"));
    REQUIRE(more > 0);
    // The text has four digits; the residual is not one exponential quite.
    layer.solver = "duration = " + number(duration + 1.02 * more) + "\nsettled = {}\n";
    CHECK(Measured(layer, verdict).summary.outcome() == Outcome::settled);
    layer.solver = "duration = " + number(duration + 0.9 * more) + "\nsettled = {}\n";
    CHECK(Measured(layer, verdict).summary.outcome() != Outcome::settled);
  };
  SECTION("a slow real mode") { longer(one_mode(0.05, "leak = 0.001\n"), 300); }
  SECTION("two slow modes of different rates") {
    Layer layer{MatrixXd(2, 2), MatrixXd(2, 2), VectorXd::Ones(2), "leak = 0.002\n"};
    layer.forward << 0.12, 0, 0, 0.06;
    layer.feedback = -layer.forward;
    longer(layer, 400);
  }
  SECTION("a slowly damped pair, wherever in its swing the run ends") {
    for (const double duration : {100.0, 102.0, 104.0}) longer(turning(-0.5, 0.82), duration);
  }
  SECTION("a tanh loop near its rest state") {
    Layer layer = one_mode(0.1, "leak = 0.005\n");
    layer.transfer = "tanh";
    layer.setpoint << 0.03;
    longer(layer, 300);
  }
}

TEST_CASE(
    "a mode that still decays just above the tolerance is slow, not limited by the tolerance") {
  // Twice the tolerance is left.
  Layer layer = one_mode(0.05, "leak = 0.02\n");
  const double rate = 0.5 * (1.02 - std::sqrt(0.98 * 0.98 - 4 * 0.0025));
  layer.solver = "duration = 200.0\nsettled = {}\n";
  const Measured early(layer, verdict);
  const double more = number_after(early.text("verdict_text"), ", about ");
  const double dwell = 5, left = std::log(2) / rate;
  layer.solver = "duration = " + number(200 + more - dwell - left) + "\nsettled = {}\n";
  const Measured late(layer, verdict);
  CHECK(late.summary.trials[0].residual == Approx(2e-5).epsilon(0.02));
  CHECK(late.meaning("verdict") == "slow");
  CHECK(number_after(late.text("verdict_text"), ", about ") == Approx(left + dwell).epsilon(0.02));
}

TEST_CASE("a transient that grows to the end is not taken for divergence, and its time is right") {
  // A chain of lags of 100 with tenfold weights: x1 grows like t^2 e^{-t/100} up to t = 200.
  const std::string text =
      "[solver]\nduration = 60.0\nsettled = {}\n[[population]]\nname = \"x\"\nsize = 3\n"
      "tau = 100.0\ninitial = [0.0, 0.0, 1.0]\n[[projection]]\nfrom = \"x\"\nto = \"x\"\n"
      "weights = { values = [[0.0, 10.0, 0.0], [0.0, 0.0, 10.0], [0.0, 0.0, 0.0]] }\n";
  const Measured m(text, verdict);
  CHECK(m.summary.outcome() == Outcome::not_settled);
  CHECK(m.meaning("verdict") == "slow");
  const double more = number_after(m.text("verdict_text"), ", about ");
  for (const double share : {0.97, 1.02}) {
    std::string longer = text;
    longer.replace(longer.find("60.0"), 4, number(60 + share * more));
    CHECK((Measured(longer, verdict).summary.outcome() == Outcome::settled) == (share > 1));
  }
}

TEST_CASE("a chain of integrators integrates: its double pole at zero is not taken for unstable") {
  // Rounding splits it by 1e-8.
  const Measured m(
      "[solver]\nduration = 80.0\nsettled = {}\n[[population]]\nname = \"x\"\nsize = 3\n"
      "leak = [0.0, 0.0, 1.0]\ninitial = [0.0, 0.1, 1.0]\n[[projection]]\nfrom = \"x\"\n"
      "to = \"x\"\nweights = { values = [[0.3, 0.7, 0.1], [-0.128571428571428571, -0.3, 0.2], "
      "[0.0, "
      "0.0, 0.0]] }\n",
      {"verdict", "slowest_pole"});
  CHECK(std::abs(m.value("slowest_pole")) < 1e-7);
  CHECK(m.meaning("verdict") == "integrating");
}

TEST_CASE("a wide cycle is one, also where Newton's method does not find back from it") {
  // Of weights that wind far up: at its end all is saturated, and the linear equations there are
  // stable.
  const Measured m(
      "seed = 81\n[solver]\nduration = 6000.0\nsettled = {}\n[model]\n"
      "kind = \"dynamic_inversion\"\ntransfer = \"tanh\"\nlayers = [5, 3]\n"
      "forward = { values = [[0.67, -0.04, -0.57, 2.16, -0.38], [0.28, -0.13, 0.14, 0.14, 1.15], "
      "[-0.95, 0.19, -1.51, -0.2, -0.01]] }\n"
      "feedback = { values = [[0.26, 1.14, 0.24], [-0.01, -0.18, -0.15], [0.91, 0.48, 1.25], "
      "[-0.33, 1.8, -1.18], [-0.83, 0.06, 0.89]] }\nsetpoint = { init = \"normal\", std = 0.12 }\n"
      "[model.controller]\nleak = 0.0067\ngains = { p = 0.657, i = 1.272, d = 0.215 }\n",
      {"verdict", "equilibrium"});
  CHECK(m.meaning("verdict") == "limit_cycle");
  CHECK(m.text("verdict_text").find("the equilibrium is unstable, pole 0.3") != std::string::npos);
  CHECK(m.value("equilibrium_residual") < 1e-9);
}

TEST_CASE("of a sequence the verdict names the phase that did not settle, and its own mode") {
  // Loop 2 goes first and is slow; loop 1, faster, settles after it. Each has 100 time units.
  const std::string text =
      "[solver]\nduration = 100.0\nsettled = {}\n[model]\nkind = \"dynamic_inversion\"\n"
      "scheme = \"sequential\"\nlayers = [1, 1, 1]\ntransfer = \"identity\"\n"
      "forward = [{ init = \"identity\" }, { init = \"identity\", scale = 0.1 }]\nsetpoint = 1.0\n"
      "[model.controller]\nleak = [0.5, 0.04]\n";
  const Measured m(text, verdict);
  REQUIRE(m.summary.trials[0].deciding_phase == 0);
  CHECK(m.meaning("verdict") == "slow");
  const double pole = 0.5 * (-1.04 + std::sqrt(0.96 * 0.96 - 4 * 0.01));
  CHECK(number_after(m.text("verdict_text"), "pole ") == Approx(pole).epsilon(1e-3));
  const std::string where = "in phase " + m.summary.phases[0].name + ", slow mode";
  CHECK(m.text("verdict_text").find(where) == 0);
  const double more = number_after(m.text("verdict_text"), ", about ");
  for (const double share : {0.9, 1.05}) {
    std::string longer = text;
    longer.replace(longer.find("100.0"), 5, number(100 + share * more));
    CHECK((Measured(longer, verdict).meaning("verdict") == "settled") == (share > 1));
  }
}

TEST_CASE("the frequency of a limit cycle is that of the motion") {
  // x' = -x + u, u' = ... of two saturated units: measured against the crossings of a fine record.
  Layer layer = turning(-0.5, 2);
  layer.transfer = "tanh";
  layer.solver = "duration = 300.0\nrtol = 1e-8\natol = 1e-11\n";
  const Measured m(layer, verdict);
  const double omega = number_after(m.text("verdict_text"), "angular frequency ");
  test::Simulation fine(layer.toml());
  fine.run(0.01);
  std::vector<double> rises;
  for (std::size_t k = 20000; k + 1 < fine.samples.times.size(); ++k) {
    const double a = fine.samples.states[k](0, 0), b = fine.samples.states[k + 1](0, 0);
    if (a < 0 && b >= 0) rises.push_back(fine.samples.times[k] + 0.01 * a / (a - b));
  }
  REQUIRE(rises.size() > 5);
  const double expected =
      2 * M_PI * static_cast<double>(rises.size() - 1) / (rises.back() - rises.front());
  CHECK(omega == Approx(expected).epsilon(2e-3));  // four digits, and chords between steps
}

TEST_CASE("the nearest cure is found at its closed form, and running it settles") {
  // k s^2 < 2(1 + alpha)^2: of k = 4 at alpha = 0.1 the nearest by ratio is k below 2.42.
  const std::string solver = "duration = 600.0\nsettled = {}\n";
  const Measured m(single_loop(0.1, 4, solver), verdict);
  REQUIRE(m.meaning("verdict") == "diverged");
  const auto cure = analysis::find_cure(m.run(), 20);
  REQUIRE(cure);
  CHECK(cure->parameter == analysis::Parameter::i);
  CHECK(cure->from == 4);
  CHECK(cure->boundary == Approx(2.42).epsilon(1e-7));
  CHECK(cure->to < cure->boundary);
  CHECK(cure->confirmed);
  const Measured cured(single_loop(0.1, cure->to, solver), {"verdict", "inversion_error"});
  CHECK(cured.meaning("verdict") == "settled");
  // What it says of that run is so: four digits.
  CHECK(number_after(cure->text, "it settles at t = ") ==
        Approx(cured.summary.trials[0].settled_at).epsilon(1e-3));
  CHECK(number_after(cure->text, "an inversion error of ") ==
        Approx(cured.value("inversion_error")).epsilon(1e-3));
  CHECK(cure->text.find("with control.gains.i below 2.42 (now 4)") != std::string::npos);
}

TEST_CASE("what can be cured is, each confirmed by the run with it") {
  const auto cured = [](const std::string& toml, const std::string& kind) {
    const Measured m(toml, verdict);
    CAPTURE(toml, m.text("verdict_text"));
    CHECK(m.meaning("verdict") == kind);
    const auto cure = analysis::find_cure(m.run(), 20);
    REQUIRE(cure);
    CAPTURE(cure->text);
    CHECK(cure->confirmed);
    const test::Simulation before(toml);
    const system::OdeSystem after(models::with_gains(
        before.config, before.circuit(), cure->controller,
        analysis::with(analysis::gains_of(before.circuit().controllers[cure->controller]),
                       cure->parameter, cure->to)));
    solve::Observer nobody;
    CHECK(solve::solve(after, after.initial_state(), before.config.solver, nobody).outcome() ==
          Outcome::settled);
    return *cure;
  };
  SECTION("a limit cycle") {
    Layer layer = turning(-0.5, 1.2);
    layer.transfer = "tanh";
    layer.solver = "duration = 400.0\nsettled = {}\n";
    cured(layer.toml(), "limit_cycle");
  }
  SECTION("a diverging loop with complex eigenvalues: the parabola's limit") {
    Layer layer = turning(-0.5, 1.2);
    layer.solver = "duration = 400.0\nsettled = {}\n";
    const analysis::Cure cure = cured(layer.toml(), "diverged");
    const double leak = cure.parameter == analysis::Parameter::leak ? cure.boundary : 0.1;
    const double k = cure.parameter == analysis::Parameter::i ? cure.boundary : 1;
    CHECK((1 + leak) * (1 + leak) * (leak + 0.5 * k) == Approx(k * k * 1.44).epsilon(1e-6));
  }
  SECTION("a slow mode: it settles in the time that there was") {
    Layer layer = one_mode(0.1, "leak = 0.002\n");
    layer.solver = "duration = 300.0\nsettled = {}\n";
    cured(layer.toml(), "slow");
  }
  SECTION("a slowly damped one") {
    Layer layer = turning(-0.5, 0.82);
    layer.solver = "duration = 100.0\nsettled = {}\n";
    cured(layer.toml(), "slowly_damped");
  }
}

TEST_CASE("what no gain cures has no cure") {
  SECTION("settled") {
    Layer layer = one_mode(1);
    layer.solver = "duration = 400.0\nsettled = {}\n";
    CHECK(!analysis::find_cure(Measured(layer, verdict).run(), 5));
  }
  SECTION("driven") {
    const Measured m(unit(0.5, 1, "duration = 20.0\n") +
                         "[[source]]\nto = \"x\"\nsignal = { kind = \"sine\", period = 5.0, "
                         "values = [1.0] }\n",
                     verdict);
    CHECK(!analysis::find_cure(m.run(), 5));
  }
  SECTION("without a controller") {
    const Measured m(unit(2, 1e-6, "duration = 8.0\n"), verdict);
    REQUIRE(m.meaning("verdict") == "leaving");
    CHECK(!analysis::find_cure(m.run(), 5));
  }
}

TEST_CASE("each trial has its own verdict") {
  Layer layer = one_mode(1);
  layer.transfer = "tanh";
  layer.solver = "duration = 400.0\nsettled = {}\n";
  std::string toml = layer.toml();
  const std::string one = "setpoint = [1]";
  toml.replace(toml.find(one), one.size(), "setpoint = [[0.5], [4.0]]");
  const Measured m(toml, verdict);
  CHECK(m.meaning("verdict", {}, 0) == "settled");
  CHECK(m.meaning("verdict", {}, 1) == "infeasible");
  CHECK(m.text("verdict_text", 0) != m.text("verdict_text", 1));
}
