// How a trajectory converges, against closed forms.
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>

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

const std::string tight = "rtol = 1e-9\natol = 1e-12\n";

// x' = -x/tau from 1.
std::string exponential(double tau, double duration) {
  return "[solver]\nduration = " + number(duration) + "\n" + tight +
         "[[population]]\nname = \"x\"\nsize = 1\ntau = " + number(tau) + "\ninitial = 1.0\n";
}

// The step response of an under-damped pair s = -d +- i w that starts at rest:
// y(t) = 1 - e^{-d t} (cos w t + (d/w) sin w t).
struct SecondOrder {
  double d, w;
  double operator()(double t) const {
    return 1 - std::exp(-d * t) * (std::cos(w * t) + d / w * std::sin(w * t));
  }
  // The first time at which it reaches the level.
  double first(double level) const {
    double a = 0, b = M_PI / w;  // it rises up to its first peak
    for (int i = 0; i < 80; ++i) ((*this)(0.5 * (a + b)) < level ? a : b) = 0.5 * (a + b);
    return a;
  }
  // The last time at which it is farther than `band` from 1: in steps that no swing fits into.
  double last_outside(double band) const {
    const double step = 1e-4 / w;
    double t = (-std::log(band) + 3) / d;
    while (std::abs((*this)(t)-1) < band) t -= step;
    return t;
  }
};

}  // namespace

TEST_CASE("an exponential settles to 5, 2 and 1 % after ln 20, ln 50 and ln 100 time constants") {
  for (const double tau : {0.02, 1.0, 300.0}) {
    CAPTURE(tau);
    const Measured m(exponential(tau, 40 * tau), {"response", "decay_rate"});
    for (const char* signal : {"state", "x"}) {
      // The solver's error, 1e-9 of each step, and interpolation between steps of that accuracy.
      const auto is = [&](double x) { return Approx(tau * x).epsilon(1e-6); };
      CHECK(m.value("settling_time", {signal, "5 %"}) == is(std::log(20)));
      CHECK(m.value("settling_time", {signal, "2 %"}) == is(std::log(50)));
      CHECK(m.value("settling_time", {signal, "1 %"}) == is(std::log(100)));
      // The solver's tolerance is 10 rtol = 1e-8, where its error is a tenth of the distance.
      CHECK(m.value("settling_time", {signal, "tolerance"}) ==
            Approx(tau * std::log(1e8)).epsilon(0.02));
      CHECK(m.value("rise_time", {signal}) == is(std::log(9)));
      CHECK(m.value("overshoot", {signal}) == Approx(0).margin(1e-8));
      CHECK(m.value("largest_excursion", {signal}) == 1);
      CHECK(std::isnan(m.value("ringing_frequency", {signal})));
      CHECK(m.reason("ringing_frequency", {signal}) == "it does not ring");
    }
    CHECK(m.value("decay_rate") == Approx(1 / tau).epsilon(1e-3));  // a fit to maxima of bins
  }
}

TEST_CASE("a second-order loop overshoots, rings, rises and settles as in closed form") {
  // r of one mode from zero has no zero in its transfer function: a plain second-order step.
  const double alpha = 0.1;
  for (const double sigma : {0.7, 1.5, 6.0}) {
    const double d = (1 + alpha) / 2, w = std::sqrt(alpha + sigma * sigma - d * d);
    const SecondOrder step{d, w};
    for (const char* method : {"dopri5", "rosenbrock4", "bulirsch_stoer"}) {
      CAPTURE(sigma, method);
      Layer layer = one_mode(sigma);
      layer.solver = std::string("method = \"") + method + "\"\nduration = 40.0\n" + tight;
      const Measured m(layer, {"response", "decay_rate", "prediction"});
      // Between steps the path is a cubic through values and slopes. bulirsch_stoer takes steps of
      // half a period, and there it is off by some percent of what a swing is.
      const double error = method[0] == 'b' ? 0.05 : 1e-4;
      CHECK(m.value("overshoot", {"hidden"}) == Approx(std::exp(-M_PI * d / w)).epsilon(error));
      CHECK(m.value("ringing_frequency", {"hidden"}) == Approx(w).epsilon(error));
      CHECK(m.value("rise_time", {"hidden"}) ==
            Approx(step.first(0.9) - step.first(0.1)).epsilon(error));
      for (const auto& [label, band] :
           {std::pair{"5 %", 0.05}, std::pair{"2 %", 0.02}, std::pair{"1 %", 0.01}})
        CHECK(m.value("settling_time", {"hidden", label}) ==
              Approx(step.last_outside(band)).epsilon(error));
      CHECK(m.value("largest_excursion", {"hidden"}) == 1);
      // An envelope of binned maxima. At sigma = 0.7 there are too few swings; the steps of the
      // other methods come near half a period towards the end.
      if (method[0] == 'd' && sigma > 1) CHECK(m.value("decay_rate") == Approx(d).epsilon(0.1));
    }
  }
}

TEST_CASE("the slowest pole predicts the settling time of a loop that it rules") {
  // sigma = 0.2, alpha = 0.05: poles -0.0976 and -0.952; the slow one has 99 % of the way.
  Layer layer = one_mode(0.2, "leak = 0.05\n");
  layer.solver = "duration = 400.0\nrtol = 1e-8\natol = 1e-11\nsettled = {}\n";
  const Measured m(layer, {"response", "decay_rate", "prediction", "slowest_pole"});
  const double pole = 0.5 * (-1.05 + std::sqrt(0.95 * 0.95 - 4 * 0.04));
  CHECK(m.value("predicted_pole") == Approx(pole).epsilon(1e-12));
  CHECK(m.value("predicted_pole") == Approx(m.value("slowest_pole")).epsilon(1e-12));
  CHECK(m.meaning("predicted_stability") == "stable");
  CHECK(m.value("predicted_settling_time", {"5 %"}) == Approx(std::log(20) / -pole));
  CHECK(m.value("predicted_settling_time", {"1 %"}) == Approx(std::log(100) / -pole));
  CHECK(m.value("predicted_settling_time", {"tolerance"}) == Approx(std::log(1e7) / -pole));
  CHECK(m.value("decay_rate") == Approx(-pole).epsilon(0.01));
  // Ruled by one pole, u = u* (1 - c e^{pt}) with c = 1 + O(pole ratio): late by ln c/|p|, below 1.2.
  for (const char* band : {"5 %", "2 %", "1 %"}) {
    const double measured = m.value("settling_time", {"hidden", band});
    CHECK(measured - m.value("predicted_settling_time", {band}) ==
          Approx(std::log(0.9524 / (0.9524 - 0.0976)) / 0.0976).epsilon(0.05));
  }
}

TEST_CASE("what does not exist is missing with its reason") {
  SECTION("a diverged trial") {
    Layer layer = one_mode(1);
    layer.feedback.setConstant(1);  // positive feedback
    layer.solver = "duration = 400.0\n";
    const Measured m(layer, {"response", "decay_rate"});
    REQUIRE(m.summary.outcome() == solve::Outcome::diverged);
    CHECK(m.reason("settling_time", {"hidden", "5 %"}) == "the trial diverged");
    CHECK(m.reason("decay_rate") == "the trial diverged");
  }
  SECTION("a band that is not reached, in a run that is too short") {
    const Measured m(exponential(1, std::log(30)), {"response"});
    CHECK(m.value("settling_time", {"x", "5 %"}) == Approx(std::log(20)).epsilon(1e-6));
    CHECK(std::isnan(m.value("settling_time", {"x", "2 %"})));
    CHECK(m.reason("settling_time", {"x", "2 %"}) == "3.333 % of the way from rest at the end");
    CHECK(m.reason("settling_time", {"x", "5 %"}).empty());
    const Measured shorter(exponential(1, 1), {"response"});
    CHECK(shorter.reason("rise_time", {"x"}) == "it does not reach 90 % of the way");
  }
  SECTION("a circuit that is driven") {
    const Measured m(exponential(1, 10) +
                         "[[source]]\nto = \"x\"\nsignal = { kind = \"sine\", period = 3.0, "
                         "values = [1.0] }\n",
                     {"response", "decay_rate", "equilibrium"});
    for (const char* name : {"decay_rate", "equilibrium_distance"}) {
      CHECK(std::isnan(m.value(name)));
      CHECK(m.reason(name).find("driven by \"source->x\"") != std::string::npos);
    }
    CHECK(m.reason("settling_time", {"x", "5 %"}).find("driven") != std::string::npos);
  }
  SECTION("an unstable rest state, and a start upon rest") {
    const Measured m(
        "[solver]\nduration = 3.0\n[[population]]\nname = \"x\"\nsize = 1\ninitial = 1.0\n"
        "[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = 1.5\n",
        {"response"});
    CHECK(m.reason("settling_time", {"x", "5 %"}) == "the equilibrium is unstable");
    const Measured rests(
        "[solver]\nduration = 3.0\n[[population]]\nname = \"x\"\nsize = 1\ninitial = 0.0\n",
        {"response"});
    CHECK(rests.reason("settling_time", {"x", "5 %"}) == "it is at rest from the start");
  }
}

TEST_CASE("times of a sequence are since the beginning of the phase in which the node moved last") {
  // Loop 2 moves in the first phase alone, loop 1 in the second.
  const std::string text =
      "[solver]\nduration = 100.0\n" + tight +
      "[model]\nkind = \"dynamic_inversion\"\nscheme = \"sequential\"\nlayers = [1, 1, 1]\n"
      "transfer = \"identity\"\nforward = [{ init = \"identity\", scale = 1.5 }, { init = "
      "\"identity\", scale = 0.7 "
      "}]\nsetpoint = 1.0\nphase_duration = 60.0\n"
      "[model.controller]\nleak = 0.1\n";
  const Measured m(text, {"response"});
  for (const auto& [node, sigma] : {std::pair{"hidden_1", 1.5}, std::pair{"hidden_2", 0.7}}) {
    const double d = 0.55, w = std::sqrt(0.1 + sigma * sigma - d * d);
    CAPTURE(node);
    CHECK(m.value("settling_time", {node, "5 %"}) ==
          Approx(SecondOrder{d, w}.last_outside(0.05)).epsilon(1e-4));
    CHECK(m.value("ringing_frequency", {node}) == Approx(w).epsilon(1e-3));
  }
}

TEST_CASE("trials are measured one by one") {
  // Each has its own start and the same shape, so the same times; one is at rest already.
  const Measured m("trials = 3\n[solver]\nduration = 30.0\n" + tight +
                       "[[population]]\nname = \"x\"\nsize = 2\n"
                       "initial = [[1.0, 2.0], [-3.0, 0.5], [0.0, 0.0]]\n",
                   {"response"});
  for (const Index trial : {0, 1})
    CHECK(m.value("settling_time", {"x", "1 %"}, trial) == Approx(std::log(100)).epsilon(1e-6));
  CHECK(std::isnan(m.value("settling_time", {"x", "1 %"}, 2)));
  CHECK(m.reason("settling_time", {"x", "1 %"}, 2) == "it is at rest from the start");
}

TEST_CASE("an excursion is the largest distance from rest on the way, also between steps") {
  // Two units, the second drives the first tenfold: x1 = 10 t e^{-t}, x2 = e^{-t}; the distance has
  // its maximum where d/dt (100 t^2 + 1) e^{-2t} = 0: 100 t - 100 t^2 - 1 = 0.
  const Measured m("[solver]\nduration = 40.0\n" + tight +
                       "[[population]]\nname = \"x\"\nsize = 2\ninitial = [0.0, 1.0]\n"
                       "[[projection]]\nfrom = \"x\"\nto = \"x\"\n"
                       "weights = { values = [[0.0, 10.0], [0.0, 0.0]] }\n",
                   {"response"});
  const double t = 0.5 + std::sqrt(0.25 - 0.01);
  CHECK(m.value("largest_excursion", {"x"}) ==
        Approx(std::sqrt(100 * t * t + 1) * std::exp(-t)).epsilon(1e-6));
}
