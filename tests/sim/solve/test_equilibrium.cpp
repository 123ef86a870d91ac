// Where circuits are at rest, without integrating them.
#include <catch2/catch.hpp>
#include <cmath>

#include "sim/solve/equilibrium.hpp"
#include "tests/support.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using settle::test::relative;
using settle::test::Simulation;

namespace {

solve::RestProblem rest(const Simulation& s, bool released = true) {
  const auto last = static_cast<int>(s.circuit().phases.size()) - 1;
  return {s.system, {last, 0, 1, released}, 0};
}

VectorXd start(const Simulation& s, const std::string& stream, double size) {
  const core::RandomStream random(3, stream);
  VectorXd x(s.system.dimension());
  for (Index i = 0; i < x.size(); ++i) x[i] = size * random.normal(static_cast<std::uint64_t>(i));
  return x;
}

// n units τẋ = −x + 2 tanh x: each rests at 0 or ±ρ with ρ = 2 tanh ρ.
std::string bistable(int n) {
  return "[[population]]\nname = \"x\"\nsize = " + std::to_string(n) +
         "\ntransfer = \"tanh\"\n[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = { init = "
         "\"identity\", scale = 2.0 }\n";
}
constexpr double rho = 1.9150080481545;  // of ρ = 2 tanh ρ

}  // namespace

TEST_CASE("the rest state of a linear loop is its closed form, found in one Newton step") {
  Simulation s(
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [8, 5]\ntransfer = \"identity\"\nforward = "
      "{ init = \"normal\", std = 0.4 }\nfeedback = { init = \"normal\", std = 0.2 }\nsetpoint = { "
      "init = \"normal\", std = 1.0 }\n[model.controller]\nleak = 0.3\ngains = { p = 0.4, i = 0.7 "
      "}\n");
  const auto found = solve::find_equilibrium(rest(s), s.system.initial_state().col(0));
  REQUIRE(found.converged);
  CHECK(found.iterations <= 1);
  // e* = −(I − G W B)⁻¹ y, r* = B G e*; science.md section 6.
  const MatrixXd w = s.weights("hidden->control"), b = s.weights("control->hidden");
  const double gain = 0.7 / 0.3 + 0.4;
  const VectorXd e =
      -(MatrixXd::Identity(5, 5) - gain * w * b).inverse() * s.setpoint("control").col(0);
  CHECK(relative(s.part("hidden", found.x), b * gain * e) < 1e-12);  // rounding times condition
  CHECK(relative(s.part("control.integral", found.x), e / 0.3) < 1e-12);
}

TEST_CASE("Newton ends where a tight integration ends") {
  Simulation s(
      "[solver]\nrtol = 1e-11\natol = 1e-13\nduration = 3000.0\n"
      "[model]\nkind = \"dynamic_inversion\"\nscheme = \"simultaneous\"\nlayers = [7, 6, "
      "5]\nforward = { init = \"normal\", std = 0.4 }\nsetpoint = { init = \"normal\", std = 0.2 "
      "}\n[model.controller]\nleak = 0.05\n");
  const auto summary = s.run(3000);
  const auto found = solve::find_equilibrium(rest(s), s.system.initial_state().col(0));
  REQUIRE(found.converged);
  CHECK(relative(found.x, summary.final_state.col(0)) < 1e-9);  // 100 rtol
  CHECK(found.residual < 1e-12);
}

TEST_CASE("a sequential run's holds are released: all loops rest where the simultaneous ones do") {
  const std::string tail =
      "\"\nlayers = [7, 6, 5]\nforward = { init = \"normal\", std = 0.4 }\nsetpoint = { init = "
      "\"normal\", std = 0.2 }\n[model.controller]\nleak = 0.05\n";
  const std::string head = "[model]\nkind = \"dynamic_inversion\"\nscheme = \"";
  Simulation sequential(head + "sequential" + tail), simultaneous(head + "simultaneous" + tail);
  const VectorXd zero = VectorXd::Zero(sequential.system.dimension());
  const auto a = solve::find_equilibrium(rest(sequential), zero);
  const auto b = solve::find_equilibrium(rest(simultaneous), zero);
  REQUIRE((a.converged && b.converged));
  CHECK(relative(a.x, b.x) < 1e-12);
  // With the holds, only the lowest loop moves, and a zero setpoint leaves it at zero.
  const auto held = solve::find_equilibrium(rest(sequential, false), zero);
  CHECK(held.x.norm() == 0);
}

TEST_CASE("deflation finds all nine rest states of two bistable units") {
  Simulation s(bistable(2));
  std::vector<VectorXd> starts;
  for (int k = 0; k < 8; ++k) starts.push_back(start(s, "start" + std::to_string(k), 2));
  const auto found = solve::find_equilibria(rest(s), starts, 20);
  CHECK(found.size() == 9);
  for (const auto& equilibrium : found) {
    CHECK(equilibrium.converged);
    for (const double x : equilibrium.x)
      // Newton's last step is below 1e-10.
      CHECK(std::min(std::abs(x), std::abs(std::abs(x) - rho)) < 1e-9);
  }
  CHECK(solve::find_equilibria(rest(s), starts, 4).size() == 4);
}

TEST_CASE("a tanh loop with B = -W^T has a single rest state") {
  Simulation s(
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [12, 8]\nforward = { init = \"normal\", std "
      "= 0.5 }\nsetpoint = { init = \"normal\", std = 0.5 }\n[model.controller]\nleak = 0.02\n");
  std::vector<VectorXd> starts = {VectorXd::Zero(s.system.dimension())};
  for (int k = 0; k < 10; ++k) starts.push_back(start(s, "start" + std::to_string(k), 1));
  CHECK(solve::find_equilibria(rest(s), starts, 8).size() == 1);
}

TEST_CASE("an integrator that winds up without a leak has no rest state, and the search says so") {
  // tanh r < 1 can't meet 2.
  Simulation s(
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [1, 1]\nforward = 1.0\nsetpoint = "
      "2.0\n[model.controller]\nleak = 0.0\n");
  for (const double size : {0.0, 1.0, 30.0}) {
    const auto found = solve::find_equilibrium(rest(s), start(s, "x", size));
    CHECK_FALSE(found.converged);
    CHECK_FALSE(found.reason.empty());
  }
  // x' = 1 has none either, and x' = exp-like growth none but the one it leaves.
  Simulation ramp("[[population]]\nname = \"x\"\nsize = 1\nleak = 0.0\nbias = 1.0\n");
  CHECK_FALSE(solve::find_equilibrium(rest(ramp), VectorXd::Zero(1)).converged);
}

TEST_CASE("one of a continuum of rest states counts, and is near the start") {
  // A line attractor: x' = −x + A x with A = [[½, ½], [½, ½]] rests wherever x_1 = x_2.
  Simulation s(
      "[[population]]\nname = \"x\"\nsize = 2\n[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = "
      "0.5\n");
  VectorXd x(2);
  x << 3, 1;
  const auto found = solve::find_equilibrium(rest(s), x);
  REQUIRE(found.converged);
  CHECK((found.x - VectorXd::Constant(2, 2)).norm() < 1e-12);
}

TEST_CASE("Newton with GMRES finds what Newton with the dense Jacobian finds") {
  Simulation s(
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [40, 30]\nforward = { init = \"normal\", "
      "std = 0.1 }\nsetpoint = { init = \"normal\", std = 0.2 }\n[model.controller]\nleak = 0.1\n");
  const VectorXd zero = VectorXd::Zero(s.system.dimension());
  const auto dense = solve::find_equilibrium(rest(s), zero);
  const auto krylov = solve::find_equilibrium(rest(s), zero, {}, {.dense_limit = 10});
  REQUIRE((dense.converged && krylov.converged));
  CHECK(relative(krylov.x, dense.x) < 1e-9);  // ten times the tolerance of the last step
}

TEST_CASE("kinks and a start that is not finite are survived") {
  Simulation s(
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [12, 4]\ntransfer = \"relu\"\nforward = { "
      "init = \"normal\", std = 0.5 }\nsetpoint = { init = \"uniform\", low = 0.0, high = 0.3 "
      "}\n[model.controller]\nleak = 0.05\n");
  const auto found = solve::find_equilibrium(rest(s), start(s, "x", 0.1));
  REQUIRE(found.converged);
  CHECK(found.residual < 1e-12);
  const auto none =
      solve::find_equilibrium(rest(s), VectorXd::Constant(s.system.dimension(), std::nan("")));
  CHECK_FALSE(none.converged);
  CHECK(std::isnan(none.residual));
}
