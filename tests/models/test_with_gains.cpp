// The circuit with other gains: everything else stays.
#include <catch2/catch.hpp>

#include "tests/support.hpp"

using namespace settle;
using models::Gains;
using settle::test::Simulation;

namespace {

const std::string head =
    "seed = 5\n[solver]\nduration = 30.0\n[model]\nkind = \"dynamic_inversion\"\n"
    "forward = { init = \"normal\", std = 0.4 }\nsetpoint = { init = \"normal\", std = 0.2 }\n";

std::vector<std::string> nodes(const system::Circuit& circuit) {
  std::vector<std::string> out;
  for (const auto& node : circuit.nodes) out.push_back(node.name);
  return out;
}

// Edges that are not inside of a controller.
std::map<std::string, Eigen::MatrixXd> weights(const system::Circuit& circuit) {
  std::map<std::string, Eigen::MatrixXd> out;
  for (const auto& edge : circuit.edges)
    if (!edge.weights->is_identity()) out[edge.name] = edge.weights->dense();
  return out;
}

Eigen::MatrixXd final_state(const system::Circuit& circuit, const models::Config& config) {
  const system::OdeSystem system = system::compile(circuit);
  test::Samples samples;
  return solve::solve(system, system.initial_state(), config.solver, samples).final_state;
}

}  // namespace

TEST_CASE("other gains leave the weights as they are, even those made for the old ones",
          "[models][gains]") {
  // ssa makes B for the loop's leak and gains: built anew it would be another.
  const std::string feedback =
      GENERATE("", "feedback = { init = \"ssa\" }\n", "feedback = { init = \"uniform\" }\n");
  const Simulation s(head + "layers = [4, 6]\n" + feedback);
  const system::Circuit other =
      models::with_gains(s.config, s.circuit(), 0, {.leak = 0.3, .p = 0.0, .i = 2.0, .d = 0.0});
  CHECK(nodes(other) == nodes(s.circuit()));
  CHECK(weights(other) == weights(s.circuit()));
  CHECK(other.controllers[0].leak == 0.3);
  CHECK(other.controllers[0].gain_i == 2);
  CHECK(other.controllers[0].setpoint == s.circuit().controllers[0].setpoint);
}

TEST_CASE("nodes of gains that become zero go, those of new gains come", "[models][gains]") {
  const Simulation s(head + "layers = [6, 4]\n[model.controller]\nleak = 0.1\n");
  CHECK(s.circuit().controllers[0].derivative == -1);
  const auto with = [&](const system::Circuit& circuit, const Gains& gains) {
    return models::with_gains(s.config, circuit, 0, gains);
  };
  const system::Circuit pd = with(s.circuit(), {.leak = 0.1, .p = 0.5, .i = 0, .d = 0.2});
  CHECK(pd.controllers[0].integral == -1);
  CHECK(pd.controllers[0].derivative >= 0);
  CHECK(pd.controllers[0].gain_p == 0.5);
  CHECK(pd.find("control.integral") == -1);
  CHECK(pd.find("control.derivative") >= 0);
  CHECK(weights(pd) == weights(s.circuit()));
  const system::Circuit back = with(pd, {.leak = 0.1, .p = 0, .i = 1, .d = 0});
  CHECK(nodes(back) == nodes(s.circuit()));
  CHECK(final_state(back, s.config) == final_state(s.circuit(), s.config));
}

TEST_CASE("changed gains give the circuit that the configuration with them gives",
          "[models][gains]") {
  const std::string gains = "gains = { p = 0.4, i = 0.7, d = 0.1 }\nleak = 0.2\n";
  const std::string rest = GENERATE(
      "layers = [6, 4]\ntrials = 2\n", "layers = [6, 5, 4]\nscheme = \"simultaneous\"\n",
      "layers = [6, 5, 4]\nscheme = \"single_loop\"\ninitial = { init = \"normal\", std = 0.1 }\n");
  const Simulation s(head + rest), expected(head + rest + "[model.controller]\n" + gains);
  models::Config config = s.config;
  for (std::size_t c = 0; c < s.circuit().controllers.size(); ++c)
    models::set_gains(config, c, {.leak = 0.2, .p = 0.4, .i = 0.7, .d = 0.1});
  const system::Circuit changed = models::rebuilt(config, s.circuit());
  CHECK(nodes(changed) == nodes(expected.circuit()));
  CHECK(final_state(changed, s.config) == final_state(expected.circuit(), expected.config));
}

TEST_CASE("one trial's circuit keeps its own setpoint under other gains", "[models][gains]") {
  const Simulation s(head + "layers = [6, 4]\ntrials = 3\n");
  const system::Circuit one = s.circuit().of_trial(2);
  const system::Circuit changed = models::with_gains(s.config, one, 0, {.leak = 0.5, .i = 1});
  CHECK(changed.trials == 1);
  CHECK(changed.controllers[0].setpoint == one.controllers[0].setpoint);
  CHECK(weights(changed) == weights(one));
}
