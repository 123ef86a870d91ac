// States of rest as a measure: several of them, with their stability.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/analysis/measured.hpp"

using namespace settle;
using settle::test::Index;
using settle::test::Measured;
using settle::test::number;
using settle::test::VectorXd;

namespace {

// Independent units x' = -x + w tanh(x): for w > 1 three rest states each.
std::string bistable(int units, double w) {
  return "[solver]\nduration = 60.0\nsettled = {}\n[[population]]\nname = \"x\"\nsize = " +
         std::to_string(units) +
         "\ntransfer = \"tanh\"\ninitial = 0.3\n[[projection]]\nfrom = \"x\"\nto = \"x\"\n"
         "weights = { init = \"identity\", scale = " +
         number(w) + " }\n";
}

// The positive root of x = w tanh x.
double upper(double w) {
  double x = w;
  for (int i = 0; i < 200; ++i) x = w * std::tanh(x);
  return x;
}

}  // namespace

TEST_CASE("a bistable unit rests at 0, unstably, and on both sides of it, stably") {
  const double w = 2, x = upper(w), slope = 1 - std::tanh(x) * std::tanh(x);
  const Measured m(bistable(1, w), {"equilibria"});
  REQUIRE(m.value("equilibria_found") == 3);
  int seen = 0;
  for (const char* k : {"0", "1", "2"}) {
    const double at = m.value("equilibria_x", {k, "0"});
    CAPTURE(k, at);
    CHECK(m.value("equilibria_pole_angular_frequency", {k}) == 0);
    CHECK(m.value("equilibria_residual", {k}) < 1e-12);
    if (std::abs(at) < 1) {
      CHECK(at == Approx(0).margin(1e-12));
      CHECK(m.value("equilibria_pole", {k}) == Approx(w - 1).epsilon(1e-12));
      CHECK(m.meaning("equilibria_stability", {k}) == "unstable");
      seen |= 1;
    } else {
      CHECK(std::abs(at) == Approx(x).epsilon(1e-10));
      CHECK(m.value("equilibria_pole", {k}) == Approx(-1 + w * slope).epsilon(1e-9));
      CHECK(m.meaning("equilibria_stability", {k}) == "stable");
      seen |= at > 0 ? 2 : 4;
    }
    // The run ended at the positive one.
    const double distance = m.value("equilibria_distance", {k});
    CHECK(distance == Approx(std::abs(at - x) / x).margin(1e-4));
  }
  CHECK(seen == 7);
  // The places that are left over are missing, with the reason.
  CHECK(std::isnan(m.value("equilibria_pole", {"3"})));
  CHECK(m.reason("equilibria_pole", {"3"}) == "only 3 found");
}

TEST_CASE("two bistable units have nine states of rest, four of them stable") {
  analysis::AnalysisOptions options;
  options.equilibria = 20;
  options.starts = 60;
  const Measured m(bistable(2, 2), {"equilibria"}, options);
  REQUIRE(m.value("equilibria_found") == 9);
  int stable = 0;
  std::vector<std::pair<long, long>> places;
  for (int k = 0; k < 9; ++k) {
    const std::string at = std::to_string(k);
    const double a = m.value("equilibria_x", {at, "0"}), b = m.value("equilibria_x", {at, "1"});
    places.emplace_back(std::lround(a / upper(2)), std::lround(b / upper(2)));
    const bool is_stable = m.meaning("equilibria_stability", {at}) == "stable";
    CHECK(is_stable == (std::abs(a) > 1 && std::abs(b) > 1));
    stable += is_stable;
  }
  CHECK(stable == 4);
  std::sort(places.begin(), places.end());
  CHECK(std::unique(places.begin(), places.end()) == places.end());
}

TEST_CASE("a bistable unit at the pitchfork w = 1 has one, and below it too") {
  const Measured m(bistable(1, 0.9), {"equilibria"});
  CHECK(m.value("equilibria_found") == 1);
  CHECK(m.value("equilibria_pole", {"0"}) == Approx(-0.1).epsilon(1e-9));
}

TEST_CASE("a loop under B = -W' has a single rest state, of any increasing transfer") {
  for (const char* transfer : {"tanh", "softplus", "logistic", "leaky_relu"}) {
    CAPTURE(transfer);
    const Measured m(
        "seed = 2\n[solver]\nduration = 600.0\nsettled = {}\n"
        "[model]\nkind = \"dynamic_inversion\"\nlayers = [5, 3]\ntransfer = \"" +
            std::string(transfer) +
            "\"\nforward = { init = \"normal\", std = 0.7 }\n"
            "setpoint = { init = \"normal\", std = 0.5 }\n"
            "[model.controller]\nleak = 0.1\n",
        {"equilibria", "equilibrium"});
    CHECK(m.value("equilibria_found") == 1);
    CHECK(m.meaning("equilibria_stability", {"0"}) == "stable");
    CHECK(m.value("equilibria_distance", {"0"}) < 1e-4);
    // Over the norm of the equilibrium and of the end, which differ by as much.
    CHECK(m.value("equilibrium_distance") ==
          Approx(m.value("equilibria_distance", {"0"})).epsilon(1e-3));
  }
}

TEST_CASE("a loop with positive feedback through tanh has three, and the run ends at one") {
  // x* = b u, u = (W tanh x* - y)/alpha with y = 0: x = (b/alpha) tanh x, b = alpha w.
  const Measured m(
      "[solver]\nduration = 300.0\nsettled = {}\n[model]\nkind = \"dynamic_inversion\"\n"
      "layers = [1, 1]\nforward = 1.0\nfeedback = 1.0\nsetpoint = 1e-3\n"
      "[model.controller]\nleak = 0.5\n",
      {"equilibria"});
  REQUIRE(m.value("equilibria_found") == 3);
  int ends = 0;
  for (const char* k : {"0", "1", "2"}) ends += m.value("equilibria_distance", {k}) < 1e-3;
  CHECK(ends == 1);
}

TEST_CASE("a circuit that cannot rest has no state of rest, and says why") {
  // x' = tanh(y) + 2 with y at rest: nothing pulls x back.
  const Measured m(
      "[solver]\nduration = 10.0\n[[population]]\nname = \"x\"\nsize = 1\nleak = 0.0\nbias = 2.0\n"
      "transfer = \"tanh\"\n[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = 1.0\n",
      {"equilibria", "equilibrium"});
  CHECK(m.value("equilibria_found") == 0);
  for (const char* name : {"equilibria_pole", "equilibria_stability", "equilibria_residual"}) {
    CHECK(std::isnan(m.value(name, {"0"})));
    CHECK(!m.reason(name, {"0"}).empty());
  }
  CHECK(std::isnan(m.value("equilibrium_distance")));
  CHECK(!m.reason("equilibrium_distance").empty());
}
