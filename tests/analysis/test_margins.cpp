// How far leak, gains, phase and delay may go, against closed forms.
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/analysis/measured.hpp"

using namespace settle;
using settle::test::Index;
using settle::test::Layer;
using settle::test::MatrixXd;
using settle::test::Measured;
using settle::test::number;
using settle::test::one_mode;
using settle::test::VectorXd;

namespace {

// Boundaries are found to 1e-10 of the parameter, and of a pole's real part 1e-9 counts as zero.
constexpr double fine = 1e-7;

// One unit a layer, W = 1: N populations in the loop of one integrator.
std::string single_loop(int populations, double alpha, double k, const std::string& gains = "") {
  std::string layers = "[1";
  for (int i = 0; i < populations; ++i) layers += ", 1";
  return "[solver]\nduration = 1.0\n[model]\nkind = \"dynamic_inversion\"\n"
         "scheme = \"single_loop\"\nlayers = " +
         layers + "]\ntransfer = \"identity\"\nforward = 1.0\nsetpoint = 1.0\n" +
         "[model.controller]\nleak = " + number(alpha) + "\ngains = { i = " + number(k) + gains +
         " }\n";
}

const std::vector<std::string> margins = {"parameter_margins", "slowest_pole"};

}  // namespace

TEST_CASE("the single loop's integral gain is limited at tan(pi/2N)/cos^N(pi/2N) without leak") {
  for (int n = 1; n <= 4; ++n) {
    CAPTURE(n);
    const Measured m(single_loop(n, 0, 0.1), margins);
    const double limit = std::tan(M_PI / (2 * n)) / std::pow(std::cos(M_PI / (2 * n)), n);
    if (n == 1) {
      CHECK(std::isnan(m.value("stability_changes_above", {"control", "i"})));
      CHECK(m.reason("stability_changes_above", {"control", "i"}) == "no change up to 1000");
    } else {
      CHECK(m.value("stability_changes_above", {"control", "i"}) == Approx(limit).epsilon(fine));
      CHECK(m.value("stability_changes_above_frequency", {"control", "i"}) ==
            Approx(std::tan(M_PI / (2 * n))).epsilon(fine));
    }
    if (n == 2) CHECK(limit == Approx(2));
    if (n == 3) CHECK(limit == Approx(8.0 / 9));
    if (n == 4) CHECK(limit == Approx(0.5685).margin(5e-5));
    // Below, it stays stable; at 0 the integrator is none of the circuit's any more.
    CHECK(std::isnan(m.value("stability_changes_below", {"control", "i"})));
    CHECK(m.reason("stability_changes_below", {"control", "i"}) == "no change down to 0");
  }
}

TEST_CASE("with a leak the single loop's gain limit is that of its characteristic equation") {
  for (const double alpha : {0.05, 0.1, 0.5, 2.0})
    for (int n = 2; n <= 4; ++n) {
      CAPTURE(alpha, n);
      // N atan w + atan(w/alpha) = pi.
      double a = 0, b = 100;
      for (int i = 0; i < 100; ++i) {
        const double w = 0.5 * (a + b);
        (n * std::atan(w) + std::atan2(w, alpha) < M_PI ? a : b) = w;
      }
      const double limit = std::pow(1 + a * a, n / 2.0) * std::sqrt(a * a + alpha * alpha);
      if (n == 2) CHECK(limit == Approx(2 * (1 + alpha) * (1 + alpha)));
      const Measured m(single_loop(n, alpha, 0.3 * limit), margins);
      CHECK(m.value("stability_changes_above", {"control", "i"}) == Approx(limit).epsilon(fine));
      CHECK(m.value("stability_changes_above_frequency", {"control", "i"}) ==
            Approx(a).epsilon(fine));
    }
}

TEST_CASE(
    "an unstable single loop is regained by leak, by P and by less gain, each in closed form") {
  // (s+1)^2 (s + alpha) + k = 0, k = 8: stable for alpha > sqrt(k/2) - 1 = 1, at w^2 = 1 + 2 alpha.
  const Measured m(single_loop(2, 0.1, 8), margins);
  REQUIRE(m.value("slowest_pole") > 0);
  CHECK(m.value("stability_changes_above", {"control", "leak"}) == Approx(1).epsilon(fine));
  CHECK(m.value("stability_changes_above_frequency", {"control", "leak"}) ==
        Approx(std::sqrt(3)).epsilon(fine));
  CHECK(m.reason("stability_changes_below", {"control", "leak"}) == "no change down to 0");
  CHECK(m.value("stability_changes_below", {"control", "i"}) == Approx(2.42).epsilon(fine));
  CHECK(m.value("stability_changes_below_frequency", {"control", "i"}) ==
        Approx(std::sqrt(1.2)).epsilon(fine));
  // With P, Routh: k < 2 (1 + alpha)^2 + 2 k_p, at w^2 = 1 + 2 alpha + k_p.
  const double p = (8 - 2.42) / 2;
  CHECK(m.value("stability_changes_above", {"control", "p"}) == Approx(p).epsilon(fine));
  CHECK(m.value("stability_changes_above_frequency", {"control", "p"}) ==
        Approx(std::sqrt(1.2 + p)).epsilon(fine));
  CHECK(m.reason("stability_changes_below", {"control", "p"}) == "p is 0");
  // Built with that D, the pole stands on the axis.
  const double d = m.value("stability_changes_above", {"control", "d"});
  REQUIRE(std::isfinite(d));
  const Measured damped(single_loop(2, 0.1, 8, ", d = " + number(d)), {"slowest_pole"});
  CHECK(damped.value("slowest_pole") == Approx(0).margin(fine));
  CHECK(damped.value("slowest_pole_angular_frequency") ==
        Approx(m.value("stability_changes_above_frequency", {"control", "d"})).epsilon(fine));
}

TEST_CASE("a complex eigenvalue's limits in leak and gain are those of the parabola") {
  // tau = tau_u = 1, mu = a + ib: (1 + alpha)^2 (alpha - k a) = k^2 b^2.
  const double a = -0.5, b = 1.5, alpha = 0.1, k = 1;
  MatrixXd turn(2, 2);
  turn << a, -b, b, a;
  const Measured m({MatrixXd::Identity(2, 2), turn, VectorXd::Ones(2), "leak = 0.1\n"}, margins);
  REQUIRE(m.value("slowest_pole") > 0);
  const auto excess = [&](double leak, double gain) {
    return (1 + leak) * (1 + leak) * (leak - gain * a) - gain * gain * b * b;
  };
  CHECK(excess(m.value("stability_changes_above", {"control", "leak"}), k) ==
        Approx(0).margin(1e-6));
  CHECK(excess(alpha, m.value("stability_changes_below", {"control", "i"})) ==
        Approx(0).margin(1e-6));
  CHECK(m.value("stability_changes_below_frequency", {"control", "i"}) > 0.1);  // a pair
  // More gain never helps: its term grows with the square.
  CHECK(std::isnan(m.value("stability_changes_above", {"control", "i"})));
}

TEST_CASE("positive feedback is lost at a real pole, at k = alpha") {
  Layer layer = one_mode(1, "leak = 0.1\ngains = { i = 0.05 }\n");
  layer.feedback.setConstant(1);
  const Measured m(layer, margins);
  CHECK(m.value("stability_changes_above", {"control", "i"}) == Approx(0.1).epsilon(fine));
  CHECK(m.value("stability_changes_above_frequency", {"control", "i"}) == Approx(0).margin(1e-6));
  CHECK(m.value("stability_changes_below", {"control", "leak"}) == Approx(0.05).epsilon(fine));
  CHECK(m.value("stability_changes_below_frequency", {"control", "leak"}) ==
        Approx(0).margin(1e-6));
}

TEST_CASE("margins of a tanh loop follow its rest state") {
  // Positive feedback of two units; W diag phi' changes with the rest state, so the limit is not that
  // of the linearisation here: at the limit found, the equilibrium there has its pole on the axis.
  MatrixXd turn(2, 2);
  turn << -0.5, -1.5, 1.5, -0.5;
  Layer layer{MatrixXd::Identity(2, 2), turn, VectorXd::Constant(2, 0.6), "leak = 0.5\n"};
  layer.transfer = "tanh";
  layer.solver = "duration = 200.0\nsettled = {}\n";
  const Measured m(layer, {"parameter_margins", "slowest_pole"});
  REQUIRE(m.value("slowest_pole") < 0);
  const double k = m.value("stability_changes_above", {"control", "i"});
  REQUIRE(std::isfinite(k));
  layer.controller = "leak = 0.5\ngains = { i = " + number(k) + " }\n";
  layer.solver = "duration = 1.0\n";
  const Measured there(layer, {"prediction"});
  CHECK(there.value("predicted_pole") == Approx(0).margin(1e-6));
  // The linear loop with the slopes frozen as they are at the first rest state has another limit.
  const VectorXd r = m.simulation.part("hidden", m.summary.final_state);
  Layer frozen{MatrixXd((1 - r.array().tanh().square()).matrix().asDiagonal()), turn,
               VectorXd::Ones(2), "leak = 0.5\n"};
  const double limit = Measured(frozen, margins).value("stability_changes_above", {"control", "i"});
  CHECK(std::abs(k / limit - 1) > 0.01);
}

TEST_CASE("gain, phase and delay margins of one mode are the textbook's at either projection") {
  // L = K/((1 + s)(alpha + s)), K = k s^2: |L| = 1 where (1 + w^2)(alpha^2 + w^2) = K^2.
  for (const double alpha : {0.01, 0.1, 0.6})
    for (const double sigma : {0.9, 2.0}) {
      CAPTURE(alpha, sigma);
      const double big = sigma * sigma, q = 1 + alpha * alpha;
      const double w = std::sqrt(
          (-q + std::sqrt((1 - alpha * alpha) * (1 - alpha * alpha) + 4 * big * big)) / 2);
      const double phase = M_PI - std::atan(w) - std::atan(w / alpha);
      const Measured m(one_mode(sigma, "leak = " + number(alpha) + "\n"), {"loop_margins"});
      REQUIRE(m.of("gain_margin").axes[0].labels ==
              std::vector<std::string>{"hidden->control", "control->hidden"});
      for (const char* at : {"hidden->control", "control->hidden"}) {
        CHECK(std::isinf(m.value("gain_margin", {at})));
        CHECK(m.value("gain_reduction_margin", {at}) == 0);
        CHECK(m.value("phase_margin", {at}) == Approx(phase * 180 / M_PI).epsilon(1e-9));
        CHECK(m.value("phase_margin_frequency", {at}) == Approx(w).epsilon(1e-9));
        CHECK(m.value("delay_margin", {at}) == Approx(phase / w).epsilon(1e-9));
        CHECK(m.value("delay_margin_frequency", {at}) == Approx(w).epsilon(1e-9));
      }
    }
}

TEST_CASE("a loop whose gain is below 1 everywhere bears any phase and delay") {
  const Measured m(one_mode(0.2, "leak = 0.5\n"), {"loop_margins"});
  CHECK(std::isinf(m.value("phase_margin", {"hidden->control"})));
  CHECK(std::isinf(m.value("delay_margin", {"hidden->control"})));
}

TEST_CASE("the single loop's gain margin is the same at each of its projections") {
  const Measured m(single_loop(3, 0, 0.4), {"loop_margins"});
  const core::Quantity& margin = m.of("gain_margin");
  REQUIRE(margin.cells() == 4);  // W_1, W_2, W_3 and B
  for (Index k = 0; k < margin.cells(); ++k) {
    CHECK(margin.values(k, 0) == Approx(8.0 / 9 / 0.4).epsilon(fine));
    CHECK(m.of("gain_margin_frequency").values(k, 0) == Approx(1 / std::sqrt(3)).epsilon(fine));
  }
}

TEST_CASE("each loop of a cascade has its own margins, and only projections in a loop have them") {
  const Measured m(
      "[solver]\nduration = 1.0\n[model]\nkind = \"dynamic_inversion\"\nscheme = \"simultaneous\"\n"
      "layers = [1, 1, 1]\ntransfer = \"identity\"\nforward = [{ init = \"identity\", scale = 0.9 "
      "}, "
      "{ init = \"identity\", scale = 2.0 }]\nsetpoint = 1.0\n[model.controller]\nleak = 0.1\n",
      {"loop_margins"});
  const auto& labels = m.of("phase_margin").axes[0].labels;
  CHECK(labels.size() == 4);  // the setpoint of loop 1, hidden_2 -> control_1, is in no loop
  for (const auto& [suffix, sigma] : {std::pair{"1", 0.9}, std::pair{"2", 2.0}}) {
    const double alpha = 0.1, big = sigma * sigma, q = 1 + alpha * alpha;
    const double w =
        std::sqrt((-q + std::sqrt((1 - alpha * alpha) * (1 - alpha * alpha) + 4 * big * big)) / 2);
    const std::string at = std::string("hidden_") + suffix + "->control_" + suffix;
    CHECK(m.value("phase_margin", {at}) ==
          Approx((M_PI - std::atan(w) - std::atan(w / alpha)) * 180 / M_PI).epsilon(1e-9));
  }
}

TEST_CASE("an unstable loop has no margins, and says so") {
  const Measured m(single_loop(2, 0.1, 8), {"loop_margins"});
  for (const char* name : {"gain_margin", "phase_margin", "delay_margin"})
    for (const char* part : {"", "_frequency"}) {
      CHECK(std::isnan(m.value(std::string(name) + part, {"control->hidden_1"})));
      CHECK(m.reason(std::string(name) + part, {"control->hidden_1"}).find("is unstable") !=
            std::string::npos);
    }
}
