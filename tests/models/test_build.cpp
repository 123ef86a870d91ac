// What models expand to: names, phases, orders and weights; and that the expansion is the same
// circuit.
#include <catch2/catch.hpp>

#include "models/stabilise.hpp"
#include "tests/support.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using settle::test::relative;
using settle::test::Simulation;

namespace {

std::string model(const std::string& more) {
  return "seed = 21\n[solver]\nduration = 20.0\n[model]\nkind = \"dynamic_inversion\"\n"
         "forward = { init = \"normal\", std = 0.3 }\nsetpoint = { init = \"normal\", std = 0.2 "
         "}\n" +
         more;
}

// Every scheme, what the loop sees, lists, trials and initialisations.
const std::vector<std::string> varieties{
    "layers = [6, 4]\n",
    "layers = [6, 5, 4]\nscheme = \"simultaneous\"\ntrials = 3\ntransfer = [\"tanh\", \"relu\"]\n",
    "layers = [6, 5, 4]\nscheme = \"sequential\"\nphase_duration = 5.0\ntau = [0.5, 2.0]\n"
    "[model.controller]\nleak = [0.1, 0.2]\ngains = { p = [0.1, 0.2], i = 1.0, d = [0.0, 0.3] }\n",
    "layers = [6, 5, 4]\nscheme = \"single_loop\"\ntransfer = { kind = \"leaky_relu\", slope = 0.2 "
    "}\n",
    "layers = [6, 5, 4]\nscheme = \"single_loop\"\nfeedback = [{ init = \"negative_transpose\" }, "
    "{ init = "
    "\"normal\", std = 0.2 }]\n",
    "layers = [6, 4]\nloop = \"linear\"\nfeedback = { init = \"ssa\" }\ninitial = { init = "
    "\"normal\" }\n",
    "layers = [6, 5, 4]\nscheme = \"simultaneous\"\nloop = \"linearised\"\nsetpoint_slope = "
    "true\nactivity = { init "
    "= \"normal\", std = 1.0 }\ntrials = 2\n",
    "layers = [6, 4]\n[model.controller]\nerror = \"setpoint - measured\"\n",
    "layers = [3, 4]\nfeedback = { init = \"negative_pseudoinverse\" }\n"
    "[[source]]\nto = \"hidden\"\nsignal = { kind = \"noise\", std = 0.1, interval = 0.5 }\n"
    "[[phase]]\nname = \"off\"\nduration = 3.0\noff = [\"control\"]\n[[phase]]\nname = \"on\"\n",
};

}  // namespace

TEST_CASE("what a model expands to runs to the same bits") {
  for (const auto& more : varieties) {
    CAPTURE(more);
    Simulation original(model(more));
    Simulation spelt_out(io::toml_text(models::expanded(original.config)));
    CHECK_FALSE(spelt_out.config.root.at.find("model"));
    CHECK(original.run().final_state == spelt_out.run().final_state);
    // And what is spelt out expands to itself.
    CHECK(io::toml_text(models::expanded(spelt_out.config)) ==
          io::toml_text(models::expanded(original.config)));
  }
}

TEST_CASE("one loop is called hidden and control, several have numbers from the bottom") {
  Simulation one(model("layers = [6, 4]\n")), three(model("layers = [6, 5, 4, 3]\n"));
  CHECK(one.circuit().find("hidden") >= 0);
  CHECK(one.circuit().find("control") >= 0);
  CHECK(three.circuit().nodes[static_cast<std::size_t>(three.circuit().find("hidden_1"))].size ==
        6);
  CHECK(three.circuit().nodes[static_cast<std::size_t>(three.circuit().find("control_1"))].size ==
        5);
  CHECK(three.circuit().nodes[static_cast<std::size_t>(three.circuit().find("control_3"))].size ==
        3);
}

TEST_CASE("sequential loops run top first, each until it has settled, while the others hold") {
  Simulation s(model("layers = [6, 5, 4, 3]\n[model.controller]\nleak = 0.1\n"));
  REQUIRE(s.circuit().phases.size() == 3);
  CHECK(s.circuit().phases[0].name == "loop_3");
  CHECK(s.circuit().phases[2].name == "loop_1");
  CHECK(s.circuit().phases[0].until_settled);
  s.config.solver.duration = 500;
  const auto summary = s.run(500);
  CHECK(summary.outcome() == solve::Outcome::settled);
  // The first phase leaves the lower loops at their initial state.
  CHECK(s.part("hidden_1", summary.phases[0].state).norm() == 0);
  CHECK(s.part("hidden_3", summary.phases[0].state) == s.part("hidden_3", summary.final_state));
}

TEST_CASE("the update order is the paper's: controller then population, or up the path") {
  const auto order = [](const std::string& more) {
    return models::read_config(io::parse_toml(model(more), "t"), ".").solver.update_order;
  };
  CHECK(order("layers = [6, 5, 4]\n") ==
        std::vector<std::string>{"control_2", "hidden_2", "control_1", "hidden_1"});
  CHECK(order("layers = [6, 5, 4]\nscheme = \"single_loop\"\n") ==
        std::vector<std::string>{"hidden_1", "hidden_2", "control"});
}

TEST_CASE("a single loop's list of feedbacks is their product with negative feedback left") {
  for (const bool textbook : {false, true})
    for (const std::string layers : {"[6, 5]", "[6, 5, 4]", "[6, 5, 4, 3]"}) {
      const std::string one =
          textbook ? "{ init = \"transpose\" }" : "{ init = \"negative_transpose\" }";
      const auto n = static_cast<std::size_t>(std::count(layers.begin(), layers.end(), ','));
      std::string list = one;
      for (std::size_t k = 1; k < n; ++k) list += ", " + one;
      CAPTURE(textbook, layers);
      Simulation s(model("layers = " + layers + "\nscheme = \"single_loop\"\nfeedback = [" + list +
                         "]\n[model.controller]\nerror = \"" +
                         (textbook ? "setpoint - measured" : "measured - setpoint") + "\"\n"));
      // A = W_N … W_1 along the path.
      MatrixXd a = MatrixXd::Identity(6, 6);
      const auto hidden = [&](std::size_t k) {
        return n == 1 ? std::string("hidden") : "hidden_" + std::to_string(k);
      };
      for (std::size_t k = 1; k <= n; ++k)
        a = s.weights(hidden(k) + "->" + (k < n ? hidden(k + 1) : "control")) * a;
      const double sign = textbook ? 1 : -1;
      CHECK(relative(s.weights("control->" + hidden(1)), sign * a.transpose()) < 1e-14);
    }
}

TEST_CASE("a linear loop sees W r, a linearised one W phi'(a) r, whatever the transfer") {
  for (const std::string loop : {"linear", "linearised"}) {
    Simulation s(
        "[solver]\nrtol = 1e-9\natol = 1e-12\nduration = 5000.0\nsettled = { tolerance = 1e-8 "
        "}\n[model]\n"
        "kind = \"dynamic_inversion\"\nlayers = [5, 3]\ntransfer = \"tanh\"\nforward = { init = "
        "\"normal\", "
        "std = 0.5 }\nsetpoint = [0.3, -0.2, 0.5]\nactivity = [0.5, -1.0, 0.2, 0.0, 1.5]\nloop = "
        "\"" +
        loop + "\"\n[model.controller]\nleak = 0.1\n");
    const auto summary = s.run(100);
    REQUIRE(summary.outcome() == solve::Outcome::settled);
    MatrixXd w = s.weights("hidden->control");
    const MatrixXd b = s.weights("control->hidden");
    if (loop == "linearised") {
      const VectorXd a = (VectorXd(5) << 0.5, -1.0, 0.2, 0.0, 1.5).finished();
      w = w * (1 - a.array().tanh().square()).matrix().asDiagonal();
    }
    const VectorXd y = (VectorXd(3) << 0.3, -0.2, 0.5).finished();
    const VectorXd rest = b * (w * b - 0.1 * MatrixXd::Identity(3, 3)).lu().solve(y);
    CHECK(relative(s.part("hidden", summary.final_state), rest) <
          1e-6);  // tolerance times condition
  }
}

TEST_CASE("the matrix that SSA works on is the Jacobian of the loop that is built") {
  for (const std::string gains :
       {"{ i = 0.9 }", "{ p = 0.6, i = 0.9 }", "{ p = 0.6, i = 0.9, d = 0.3 }",
        "{ p = 0.6, i = 0.0, d = 0.3 }"}) {
    CAPTURE(gains);
    Simulation s(
        "[model]\nkind = \"dynamic_inversion\"\nlayers = [5, 3]\ntransfer = \"identity\"\ntau = "
        "0.7\n"
        "forward = { init = \"normal\", std = 0.5 }\nfeedback = { init = \"normal\", std = 0.5 }\n"
        "setpoint = 0.1\n[model.controller]\nleak = 0.05\ntau = 1.3\nderivative_tau = 0.4\ngains "
        "= " +
        gains + "\n");
    auto workspace = s.system.make_workspace();
    s.system.begin({0, 0, 1}, workspace);
    const MatrixXd j = s.system.jacobian(0, s.system.initial_state(), 0, workspace);
    const auto& c = s.circuit().controllers[0];
    const MatrixXd m =
        models::loop_matrix(s.weights("hidden->control"), s.weights("control->hidden"),
                            {.tau = 0.7,
                             .controller_tau = c.tau,
                             .derivative_tau = c.derivative_tau,
                             .leak = c.leak,
                             .p = c.gain_p,
                             .i = c.gain_i,
                             .d = c.gain_d});
    REQUIRE(m.rows() == j.rows());
    CHECK(relative(m, j) < 1e-14);  // sums of a few products
  }
}

TEST_CASE("SSA feedback makes a random loop stable, and an impossible margin is told") {
  Simulation s(
      "[solver]\nduration = 3000.0\nsettled = {}\n[model]\nkind = \"dynamic_inversion\"\nlayers = "
      "[12, 6]\n"
      "transfer = \"identity\"\nforward = { init = \"uniform\", low = -0.5, high = 0.5 }\nfeedback "
      "= { init = "
      "\"ssa\", margin = 0.05 }\nsetpoint = 0.1\n[model.controller]\nleak = 0.0\n");
  CHECK(s.run(100).outcome() == solve::Outcome::settled);
  CHECK_THROWS_AS(
      Simulation("[model]\nkind = \"dynamic_inversion\"\nlayers = [6, 12]\nforward = { init = "
                 "\"normal\" }\nfeedback = { init = \"ssa\" }\nsetpoint = 0.1\n[model.controller]\n"
                 "leak = 0.0\n"),
      core::InputError);
}

TEST_CASE("setpoints are rows of trials, and the number of trials follows from them") {
  Simulation s(
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [3, 2]\nforward = 0.1\nsetpoint = [[1.0, "
      "2.0], [3.0, "
      "4.0], [5.0, 6.0]]\n");
  CHECK(s.system.trials() == 3);
  CHECK(s.setpoint("control")(1, 2) == 6.0);
}
