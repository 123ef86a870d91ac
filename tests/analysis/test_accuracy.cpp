// What a loop arrives at, against science.md sections 4 and 6.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "sim/core/linalg.hpp"
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

// Ends within about 1e-10 of rest.
const std::string at_rest = "duration = 4000.0\nrtol = 1e-11\natol = 1e-14\nsettled = {}\n";
constexpr double settled = 1e-8;  // relative, of what a slow mode leaves

MatrixXd normal(Index rows, Index cols, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> draw;
  return MatrixXd::NullaryExpr(rows, cols, [&] { return draw(random); });
}

std::string model(const std::string& scheme, const std::string& layers, double leak,
                  const std::string& more = "") {
  return "seed = 5\n[solver]\n" + at_rest + "[model]\nkind = \"dynamic_inversion\"\nscheme = \"" +
         scheme + "\"\nlayers = " + layers +
         "\ntransfer = \"identity\"\nforward = { init = \"normal\", std = 0.6 }\n"
         "setpoint = { init = \"normal\", std = 0.5 }\n" +
         more + "[model.controller]\nleak = " + number(leak) + "\n";
}

}  // namespace

TEST_CASE("in each direction a linear loop leaves 1/(1 + G s^2), G = k_i/alpha + k_p") {
  const MatrixXd w = 0.5 * normal(4, 6, 1);
  for (const auto& [alpha, p, i] : {std::tuple{0.1, 0.0, 1.0}, std::tuple{0.1, 0.7, 1.0},
                                    std::tuple{0.02, 2.0, 0.3}, std::tuple{0.5, 1.5, 0.0}})
    for (const bool textbook : {false, true}) {
      CAPTURE(alpha, p, i, textbook);
      // With the textbook's sign of the error B is +W'.
      const MatrixXd b = (textbook ? 1 : -1) * w.transpose();
      Layer layer{w, b, normal(4, 1, 2),
                  "leak = " + number(alpha) + "\ngains = { p = " + number(p) +
                      ", i = " + number(i) + " }\nerror = \"" +
                      (textbook ? "setpoint - measured" : "measured - setpoint") + "\"\n"};
      layer.solver = at_rest;
      const Measured m(layer, {"directions", "inversion_error", "integrator"});
      const double g = i / alpha + p;
      const auto parts = core::svd(w);
      double squares = 0;
      const VectorXd y = parts.u.transpose() * layer.setpoint;
      for (Index k = 0; k < 4; ++k) {
        const double s = parts.s[k], expected = 1 / (1 + g * s * s);
        CHECK(m.values("singular_value")[k] == Approx(s).epsilon(1e-12));
        CHECK(m.values("direction_error")[k] == Approx(expected).epsilon(settled));
        CHECK(m.values("direction_error_linear")[k] == Approx(expected).epsilon(1e-12));
        squares += std::pow(expected * y[k], 2);
      }
      CHECK(m.value("inversion_error") == Approx(std::sqrt(squares) / y.norm()).epsilon(settled));
      if (i == 0) {
        CHECK(m.reason("integral_norm", {"control"}) == "the controller has no integrator");
        continue;
      }
      // alpha xi = e at rest.
      CHECK(m.value("leaked_norm", {"control"}) == Approx(std::sqrt(squares)).epsilon(settled));
      CHECK(m.value("integral_norm", {"control"}) ==
            Approx(std::sqrt(squares) / alpha).epsilon(settled));
    }
}

TEST_CASE("a direction that W does not reach keeps its error whole, and winds up to |y|/alpha") {
  // W = [1; 0] (expanding): the second output never moves.
  MatrixXd w(2, 1);
  w << 1, 0;
  Layer layer{w, -w.transpose(), VectorXd::Constant(2, 0.5), "leak = 0.05\n"};
  layer.solver = at_rest;
  const Measured m(layer, {"directions", "integrator", "feasibility", "verdict"});
  CHECK(m.values("direction_error").size() == 1);
  CHECK(m.values("direction_error")[0] == Approx(1 / (1 + 20.0)).epsilon(settled));
  const double e1 = 0.5 / 21, e2 = 0.5;
  CHECK(m.value("integral_norm", {"control"}) ==
        Approx(std::hypot(e1, e2) / 0.05).epsilon(settled));
  // Of the setpoint, sqrt(1/2) lies beyond reach, and the control is the twenty-fold of that.
  CHECK(m.value("infeasible_error", {"control"}) == Approx(std::sqrt(0.5)).epsilon(1e-12));
  CHECK(m.value("wind_up", {"control"}) == Approx(std::hypot(e1, e2) * 20 / 0.5).epsilon(settled));
  CHECK(m.meaning("verdict") == "infeasible");
}

TEST_CASE("wind-up is near 1 where the integrator holds what inversion needs") {
  // |u| = G|y|/(1 + G s^2), and the least that would do is |y|/s^2.
  for (const double alpha : {1e-3, 0.1, 1.0}) {
    Layer layer = one_mode(0.8, "leak = " + number(alpha) + "\n");
    layer.solver = at_rest;
    const Measured m(layer, {"integrator"});
    CHECK(m.value("wind_up", {"control"}) == Approx(0.64 / (alpha + 0.64)).epsilon(settled));
  }
}

TEST_CASE("a setpoint beyond the range of tanh leaves the distance to the box, and is infeasible") {
  // W = I: the nearest rates to (2, 0.5, -3) within [-1, 1] leave (1, 0, 2).
  Layer layer{MatrixXd::Identity(3, 3), -MatrixXd::Identity(3, 3), VectorXd(3), "leak = 0.02\n"};
  layer.setpoint << 2, 0.5, -3;
  layer.transfer = "tanh";
  layer.solver = at_rest;
  const Measured m(layer, {"feasibility", "inversion_error", "integrator", "verdict"});
  const double least = std::sqrt(5.0) / layer.setpoint.norm();
  CHECK(m.value("infeasible_error", {"control"}) == Approx(least).epsilon(1e-9));
  CHECK(m.value("inversion_error") >= least);
  CHECK(m.value("inversion_error") == Approx(least).epsilon(0.01));  // e^{-2|u|} is nothing
  CHECK(m.meaning("verdict") == "infeasible");
  CHECK(m.summary.outcome() == solve::Outcome::settled);
  // |xi| = |e|/alpha.
  CHECK(m.value("integral_norm", {"control"}) ==
        Approx(m.value("inversion_error") * layer.setpoint.norm() / 0.02).epsilon(settled));
  CHECK(m.text("verdict_text").find("out of reach") != std::string::npos);
}

TEST_CASE("the least error over a box is that of a random search, and satisfies its conditions") {
  const MatrixXd w = normal(4, 5, 9);
  Layer layer{w, -w.transpose(), 4 * normal(4, 1, 3), "leak = 0.1\n"};
  layer.transfer = "tanh";
  const Measured m(layer, {"feasibility"});
  const double least = m.value("infeasible_error", {"control"}) * layer.setpoint.norm();
  // Projected gradients from the middle: x <- clamp(x - W'(W x - y)/|W|^2), to convergence.
  VectorXd x = VectorXd::Zero(5);
  const double step = 1 / std::pow(core::spectral_norm(w), 2);
  for (int i = 0; i < 100000; ++i)
    x = (x - step * w.transpose() * (w * x - layer.setpoint)).cwiseMax(-1).cwiseMin(1);
  REQUIRE(least > 0.1);
  CHECK(least == Approx((w * x - layer.setpoint).norm()).epsilon(1e-6));
}

TEST_CASE("the settled state of linear loops is that of NDI") {
  for (const char* scheme : {"sequential", "simultaneous", "single_loop"})
    for (const char* layers : {"[5, 4, 3]", "[3, 4, 5]", "[4, 4, 4]"}) {
      CAPTURE(scheme, layers);
      const Measured m(model(scheme, layers, 0.2, "tau = 0.3\n"), {"credit"});
      if (m.summary.outcome() != solve::Outcome::settled) {
        CHECK(std::string(scheme) == "single_loop");  // that one may be unstable
        continue;
      }
      for (const char* layer : {"hidden_1", "hidden_2"}) {
        CHECK(m.value("angle_to_ndi", {layer}) < 180 / M_PI * settled);
        CHECK(m.value("length_over_ndi", {layer}) == Approx(1).epsilon(settled));
      }
    }
}

TEST_CASE("a small leak gives the pseudoinverse, a large one backpropagation's direction") {
  for (const auto& [rows, cols] : {std::pair<Index, Index>{3, 5}, {4, 4}, {5, 3}}) {
    CAPTURE(rows, cols);
    const MatrixXd w = normal(rows, cols, 4);
    const VectorXd y = normal(rows, 1, 6);
    const auto parts = core::svd(w);
    const double smallest = parts.s.tail(1)[0], largest = parts.s[0];
    const auto at = [&](double alpha) {
      Layer layer{w, -w.transpose(), y, "leak = " + number(alpha) + "\n"};
      layer.solver = "method = \"rosenbrock4\"\n" + at_rest;  // a large leak is stiff
      return Measured(layer, {"credit"});
    };
    // Off by alpha/sigma^2 at most, and by sigma^2/alpha at most.
    const Measured small = at(1e-4 * smallest * smallest), large = at(1e4 * largest * largest);
    CHECK(small.value("angle_to_pbp", {"hidden"}) < 180 / M_PI * 1e-4);
    CHECK(small.value("length_over_pbp", {"hidden"}) == Approx(1).epsilon(1e-4));
    CHECK(large.value("angle_to_bp", {"hidden"}) < 180 / M_PI * 1e-4);
    CHECK(large.value("length_over_bp", {"hidden"}) * 1e4 * largest * largest ==
          Approx(1).epsilon(1e-4));
    // And each is far from the other.
    CHECK(small.value("angle_to_bp", {"hidden"}) > 5);
    CHECK(large.value("angle_to_pbp", {"hidden"}) > 5);
    // The angle between W'y and W+ y itself.
    const VectorXd bp = w.transpose() * y, pbp = core::pseudoinverse(w) * y;
    CHECK(small.value("angle_to_bp", {"hidden"}) ==
          Approx(std::acos(bp.normalized().dot(pbp.normalized())) * 180 / M_PI).margin(0.02));
  }
}

TEST_CASE("lengths over the other rules are the gains of a single direction") {
  for (const double alpha : {0.01, 0.3}) {
    Layer layer = one_mode(0.8, "leak = " + number(alpha) + "\ngains = { p = 0.4, i = 1.0 }\n");
    layer.solver = at_rest;
    const Measured m(layer, {"credit"});
    const double g = 1 / alpha + 0.4;
    CHECK(m.value("length_over_bp", {"hidden"}) == Approx(g / (1 + g * 0.64)).epsilon(settled));
    CHECK(m.value("length_over_pbp", {"hidden"}) ==
          Approx(g * 0.64 / (1 + g * 0.64)).epsilon(settled));
    CHECK(m.value("angle_to_bp", {"hidden"}) == 0);
    CHECK(m.value("angle_to_pbp", {"hidden"}) == 0);
  }
}

TEST_CASE("credit passes down a chain of loops layer by layer") {
  // Without much leak both layers are near the pseudoinverse's chain; backpropagation's is another.
  const Measured m(model("sequential", "[6, 5, 4]", 1e-5), {"credit"});
  const MatrixXd w1 = m.simulation.weights("hidden_1->control_1"),
                 w2 = m.simulation.weights("hidden_2->control_2");
  const VectorXd y = m.simulation.setpoint("control_2");
  const VectorXd r1 = m.simulation.part("hidden_1", m.summary.final_state),
                 r2 = m.simulation.part("hidden_2", m.summary.final_state);
  const auto angle = [](const VectorXd& a, const VectorXd& b) {
    return std::acos(std::min(1.0, a.normalized().dot(b.normalized()))) * 180 / M_PI;
  };
  const VectorXd pbp2 = core::pseudoinverse(w2) * y, pbp1 = core::pseudoinverse(w1) * pbp2;
  const VectorXd bp2 = w2.transpose() * y, bp1 = w1.transpose() * bp2;
  // acos loses half the digits near 0.
  CHECK(m.value("angle_to_pbp", {"hidden_2"}) == Approx(angle(r2, pbp2)).margin(1e-5));
  CHECK(m.value("angle_to_pbp", {"hidden_1"}) == Approx(angle(r1, pbp1)).margin(1e-5));
  CHECK(m.value("angle_to_bp", {"hidden_2"}) == Approx(angle(r2, bp2)).margin(1e-5));
  CHECK(m.value("angle_to_bp", {"hidden_1"}) == Approx(angle(r1, bp1)).margin(1e-5));
  CHECK(m.value("length_over_bp", {"hidden_1"}) == Approx(r1.norm() / bp1.norm()).epsilon(1e-9));
  CHECK(m.value("length_over_pbp", {"hidden_1"}) == Approx(r1.norm() / pbp1.norm()).epsilon(1e-9));
}

TEST_CASE("without a leak a direction that cannot be met has no NDI, and says so") {
  MatrixXd w(2, 1);
  w << 1, 0.5;
  Layer layer{w, -w.transpose(), VectorXd::Ones(2), "leak = 0.0\n"};
  layer.solver = "duration = 50.0\n";
  const Measured m(layer, {"credit", "directions"});
  // (B W)^-1 B exists for an expanding layer: 1/G = 0 is no hindrance there.
  CHECK(m.value("angle_to_ndi", {"hidden"}) == Approx(0).margin(1e-6));
  CHECK(m.value("direction_error_linear", {"0"}) == 0);
  // Of two equal rows, square and singular, neither form exists.
  MatrixXd singular(2, 2);
  singular << 1, 1, 1, 1;
  Layer other{singular, -singular.transpose(), VectorXd::Ones(2), "leak = 0.0\n"};
  const Measured none(other, {"credit"});
  CHECK(std::isnan(none.value("angle_to_ndi", {"hidden"})));
  CHECK(none.reason("angle_to_ndi", {"hidden"}).find("singular") != std::string::npos);
}
