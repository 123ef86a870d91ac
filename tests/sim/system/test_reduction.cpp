// Reductions case by case: what each takes away, and where it must not.
#include "tests/allocations.hpp"
#include "tests/sim/system/reduction_pair.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using settle::test::relative;
using settle::test::Simulation;
using system::Reduction;
using test::all_steps;
using test::all_trials;
using test::largest;
using test::Pair;

namespace {

// One loop: `hidden` hears B u, its controller W φ(hidden).
std::string loop(int below, int above, const std::string& transfer, const std::string& more = "",
                 const std::string& controller = "leak = 0.1\n") {
  return "[model]\nkind = \"dynamic_inversion\"\nlayers = [" + std::to_string(below) + ", " +
         std::to_string(above) + "]\ntransfer = \"" + transfer +
         "\"\nforward = { init = \"normal\", std = " +
         core::number_text(0.5 / std::sqrt(std::max(below, above))) +
         " }\nsetpoint = { init = \"normal\", std = 0.3 }\n" + more + "[model.controller]\n" +
         controller;
}

system::Circuit circuit_of(const std::string& toml) { return Simulation(toml).circuit(); }

system::Node& node(system::Circuit& circuit, const std::string& name) {
  return circuit.nodes.at(static_cast<std::size_t>(circuit.find(name)));
}

MatrixXd random_matrix(Index rows, Index cols, const std::string& name, double std = 1) {
  const core::RandomStream stream(3, name);
  MatrixXd m(rows, cols);
  for (Index i = 0; i < m.size(); ++i)
    m.data()[i] = std * stream.normal(static_cast<std::uint64_t>(i));
  return m;
}

const system::Edge& edge_between(const system::Circuit& circuit, Index rows, Index cols) {
  for (const system::Edge& edge : circuit.edges)
    if (edge.weights->rows() == rows && edge.weights->cols() == cols) return edge;
  throw std::out_of_range("no such edge");
}

// Two populations under a controller of three, spelt out.
std::string two_populations(const std::string& first, const std::string& second,
                            const std::string& more = "") {
  const auto population = [](const std::string& name, const std::string& keys) {
    return "[[population]]\nname = \"" + name + "\"\nsize = 12\ntransfer = \"tanh\"\n" + keys +
           "[[projection]]\nfrom = \"" + name +
           "\"\nto = \"c\"\nweights = { init = \"normal\", std = 0.3 }\n[[projection]]\nfrom = "
           "\"c\"\nto = \"" +
           name + "\"\nweights = { init = \"normal\", std = 0.3 }\n";
  };
  // Tables of one kind may stand anywhere in the file.
  return "[[controller]]\nname = \"c\"\nsize = 3\nsetpoint = [0.1, 0.2, -0.3]\n" +
         population("a", first) + population("b", second) + more;
}

}  // namespace

TEST_CASE("a linear loop of 1000 units under 10 controls takes 20 states and one small matrix") {
  Pair pair(circuit_of(loop(1000, 10, "identity")));
  CAPTURE(all_steps(pair.reduction));
  CHECK(pair.reduction.before.states == 1010);
  CHECK(pair.reduction.before.multiplications == 2 * 1000 * 10);
  CHECK(pair.reduction.after.states == 20);
  CHECK(pair.reduction.after.multiplications == 10 * 10);
  CHECK(pair.follow() < 1e-12);
}

TEST_CASE("with a transfer function the population is B v of as many states as controls") {
  Pair pair(circuit_of(loop(1000, 10, "tanh")));
  CHECK(pair.reduction.after.states == 20);
  CHECK(pair.reduction.after.multiplications == 2 * 1000 * 10);
  CHECK(pair.follow() < 1e-12);
}

TEST_CASE("the controller of an expanding layer is W p and c y, and B W is one matrix") {
  const system::Circuit circuit = circuit_of(
      loop(50, 78, "tanh", "feedback = { init = \"normal\", std = 0.1 }\n", "leak = 0.01\n"));
  Pair pair(circuit);
  CAPTURE(all_steps(pair.reduction));
  CHECK(pair.reduction.before.states == 128);
  // c is for the part of the setpoint that is outside W's range.
  CHECK(pair.reduction.after.states == 50 + 50 + 1);
  CHECK(pair.reduction.after.multiplications == 50 * 50 + 50);
  CHECK(pair.follow() < 1e-12);
  MatrixXd w, b;
  for (const auto& edge : circuit.edges) {
    if (edge.name == "hidden->control") w = edge.weights->dense();
    if (edge.name == "control->hidden") b = edge.weights->dense();
  }
  CHECK(relative(edge_between(pair.reduction.circuit, 50, 50).weights->dense(), b * w) < 1e-14);

  SECTION("P and D gains take one product all the same") {
    Pair pid(circuit_of(
        loop(50, 78, "tanh", "", "leak = 0.01\ngains = { p = 0.4, i = 1.1, d = 0.05 }\n")));
    CAPTURE(all_steps(pid.reduction));
    CHECK(pid.reduction.after.states == 3 * 50 + 2);  // ξ and f, with a constant each
    CHECK(pid.reduction.after.multiplications == 50 * 50 + 2 * 50);
    CHECK(pid.follow() < 1e-12);
  }
}

TEST_CASE("what an expanding layer's controller has integrated is no difference of large numbers") {
  // Without a leak ξ grows outside W's range for ever, and inside it settles: v must not grow with c.
  Pair pair(circuit_of("[solver]\nduration = 1e4\n" + loop(5, 8, "identity", "", "leak = 0.0\n")));
  const MatrixXd j = [&] {
    pair.reduced.begin({0, 0, 1e4}, pair.workspace);
    return pair.reduced.jacobian(0, pair.reduction.start, 0, pair.workspace);
  }();
  // The state after a long time, of a linear system with a constant drive b: z = ∫ e^{Js} b ds.
  const Index n = pair.reduced.dimension();
  MatrixXd drive = pair.derivative(0, MatrixXd::Zero(n, 1));
  MatrixXd augmented = MatrixXd::Zero(n + 1, n + 1);
  augmented.topLeftCorner(n, n) = j;
  augmented.topRightCorner(n, 1) = drive;
  const double t = 4096;
  MatrixXd propagator = augmented / 4096 * t / 1024;
  propagator = core::exponential(propagator);
  for (int k = 0; k < 10; ++k) propagator = (propagator * propagator).eval();
  for (int k = 0; k < 12; ++k) propagator = (propagator * propagator).eval();
  const MatrixXd z = propagator.topRightCorner(n, 1);
  int large = 0;
  for (Index i = 0; i < n; ++i) large += std::abs(z(i, 0)) > 100;
  CHECK(large == 1);  // c itself
}

TEST_CASE("units with two values of tau have two filters, and one that differs stays a state") {
  system::Circuit circuit = circuit_of(loop(40, 6, "tanh"));
  system::Node& hidden = node(circuit, "hidden");
  for (Index i = 0; i < 40; ++i) hidden.tau[i] = i % 3 == 0 ? 0.5 : 1.5;
  SECTION("two") {
    Pair pair(circuit);
    CHECK(pair.reduction.after.states == 6 + 2 * 6);
    CHECK(pair.follow() < 1e-12);
  }
  SECTION("two, and leaks") {
    hidden.leak.setConstant(0.3);
    Pair pair(circuit);
    CHECK(pair.reduction.after.states == 6 + 2 * 6);
    CHECK(pair.follow() < 1e-12);
  }
  SECTION("two and a lone unit") {
    hidden.tau[7] = 3;
    Pair pair(circuit);
    CHECK(pair.reduction.after.states == 6 + 2 * 6 + 1);
    CHECK(pair.follow() < 1e-12);
  }
  SECTION("all different") {
    for (Index i = 0; i < 40; ++i) hidden.tau[i] = 1 + 0.01 * static_cast<double>(i);
    CHECK_FALSE(system::reduce(circuit, system::OdeSystem(circuit).initial_state()).changed());
  }
}

TEST_CASE("a bias and a start in the range of B take no state, others one each") {
  system::Circuit circuit = circuit_of(loop(40, 6, "tanh"));
  const MatrixXd b = [&] {
    for (const auto& edge : circuit.edges)
      if (edge.name == "control->hidden") return edge.weights->dense();
    throw std::out_of_range("B");
  }();
  system::Node& hidden = node(circuit, "hidden");
  const MatrixXd inside = b * random_matrix(6, 1, "inside"), other = random_matrix(40, 1, "other");
  const auto states = [&](const MatrixXd& constant, const MatrixXd& start) {
    hidden.constant = constant;
    hidden.initial = start;
    Pair pair(circuit);
    CHECK(pair.follow() < 1e-12);
    CHECK(largest(pair.expand(pair.reduction.start) - pair.start) < 1e-14);
    return pair.reduction.after.states;
  };
  const MatrixXd none = MatrixXd::Zero(40, 1);
  CHECK(states(none, none) == 12);
  CHECK(states(inside, none) == 12);
  CHECK(states(none, inside) == 12);
  CHECK(states(inside, inside) == 12);
  CHECK(states(other, none) == 13);
  CHECK(states(none, other) == 13);
  CHECK(states(other, other) == 14);
  CHECK(states(inside, other) == 13);
}

TEST_CASE("starts, biases and sources that differ between trials") {
  Simulation s(
      "trials = 4\n" + loop(30, 4, "tanh", "initial = { init = \"normal\", std = 0.4 }\n") +
      "[[source]]\nto = \"hidden\"\nsignal = { kind = \"sine\", period = 2.0, values = { init "
      "= \"normal\", std = 0.4 } }\n");
  system::Circuit circuit = s.circuit();
  node(circuit, "hidden").constant = random_matrix(30, 4, "bias");
  Pair pair(circuit);
  CAPTURE(all_steps(pair.reduction));
  CHECK(pair.reduction.after.states == 4 + 4 + 3);  // bias, source and start outside B's range
  CHECK(pair.follow() < 1e-12);

  // Some of the trials, in any order.
  const MatrixXd z = pair.reduction.start + random_matrix(pair.reduction.after.states, 4, "z");
  const MatrixXd x = pair.expand(z);
  const std::vector<Index> some{3, 1};
  MatrixXd two(x.rows(), 2), of_two(z.rows(), 2);
  of_two << z.col(3), z.col(1);
  pair.reduction.expand(of_two, two, some);
  CHECK(relative(two.col(0), x.col(3)) < 1e-15);
  CHECK(relative(two.col(1), x.col(1)) < 1e-15);
}

TEST_CASE("expanding allocates nothing") {
  Simulation s("trials = 4\n" +
               loop(30, 4, "tanh", "initial = { init = \"normal\", std = 0.4 }\n"));
  system::Circuit circuit = s.circuit();
  for (Index i = 0; i < 30; i += 2) node(circuit, "hidden").tau[i] = 2;
  const Pair pair(circuit);
  REQUIRE(pair.reduction.changed());
  MatrixXd x(pair.full.dimension(), 4);
  const std::vector<Index> trials = all_trials(4);
  pair.reduction.expand(pair.reduction.start, x, trials);
  const long before = test::allocations();
  pair.reduction.expand(pair.reduction.start, x, trials);
  CHECK(test::allocations() == before);
}

TEST_CASE(
    "noise, a slope of the receiver and a reset to another start leave a population as it is") {
  const auto states = [](const std::string& first, const std::string& more) {
    Pair pair(circuit_of(two_populations(first, "", more)));
    CHECK(pair.follow() < 1e-12);
    return pair.reduction.after.states;
  };
  const std::string other_start = "initial = { init = \"normal\", std = 0.4 }\n";
  CHECK(states("", "") == 3 + 3);                 // shared
  CHECK(states("tau = 2.0\n", "") == 3 + 3 + 3);  // not shared
  CHECK(states("", "[[source]]\nto = \"a\"\nsignal = { kind = \"noise\" }\n") == 3 + 12 + 3);
  CHECK(states("",
               "[[projection]]\nname = \"slope\"\nfrom = \"a\"\nto = \"a\"\nreceiver_slope = "
               "true\nweights = 0.1\n") == 3 + 12 + 3);
  CHECK(states(other_start,
               "[[phase]]\nname = \"x\"\nduration = 1.0\n[[phase]]\nname = "
               "\"y\"\nreset = [\"a\", \"b\"]\n") == 3 + (3 + 1) + 3);

  // A run that goes on from elsewhere than `initial`.
  const system::Circuit circuit = circuit_of(two_populations(
      "", "",
      "[[phase]]\nname = \"x\"\nduration = 1.0\n[[phase]]\nname = \"y\"\nreset = [\"a\"]\n"));
  Pair pair(circuit, random_matrix(27, 1, "start"));
  CHECK(pair.reduction.after.states == 3 + 12 + (3 + 1));
  CHECK(pair.follow() < 1e-12);
}

TEST_CASE("two populations that hear the same controls share their filter") {
  Pair pair(circuit_of(two_populations("", "")));
  CAPTURE(all_steps(pair.reduction));
  CHECK(pair.reduction.before.states == 27);
  CHECK(pair.reduction.after.states == 6);
  CHECK(all_steps(pair.reduction).find("shared with a") != std::string::npos);
  CHECK(pair.follow() < 1e-12);
  // Held in different phases they are different functions of time.
  Pair held(circuit_of(two_populations(
      "", "",
      "[[phase]]\nname = \"x\"\nduration = 1.0\nhold = [\"a\"]\n[[phase]]\nname = \"y\"\n")));
  CHECK(held.reduction.after.states == 9);
  CHECK(held.follow() < 1e-12);
}

TEST_CASE("a network of low rank takes as many states as its rank") {
  Pair pair(circuit_of(
      "[[population]]\nname = \"r\"\nsize = 60\ntransfer = \"tanh\"\ninitial = { init = "
      "\"normal\", "
      "std = 0.5 }\n[[projection]]\nfrom = \"r\"\nto = \"r\"\nweights = { init = \"product\", "
      "factors "
      "= [{ init = \"normal\", std = 0.3 }, { init = \"normal\", std = 0.3 }], inner = [2] }\n"));
  CAPTURE(all_steps(pair.reduction));
  CHECK(pair.reduction.after.states == 2 + 1);  // and the start outside its range
  CHECK(pair.follow() < 1e-12);
}

TEST_CASE("a chain of linear layers above a narrow one is narrow throughout") {
  Pair pair(circuit_of(
      "[model]\nkind = \"dynamic_inversion\"\nscheme = \"single_loop\"\nlayers = [30, 20, 40, "
      "3]\ntransfer = \"identity\"\nforward = { init = \"normal\", std = 0.2 }\nsetpoint = 0.1\n"
      "[model.controller]\nleak = 0.1\n"));
  CAPTURE(all_steps(pair.reduction));
  CHECK(pair.reduction.after.states == 3 + 3 * 3);
  CHECK(pair.reduction.after.multiplications == 3 * 3);
  CHECK(pair.follow() < 1e-12);
}

TEST_CASE("large sparse weights stay sparse") {
  Pair pair(
      circuit_of("[model]\nkind = \"dynamic_inversion\"\nlayers = [400, 20]\ntransfer = "
                 "\"tanh\"\nforward = { init "
                 "= \"sparse\", density = 0.05, std = 0.5 }\nsetpoint = "
                 "0.1\n[model.controller]\nleak = 0.1\n"));
  CHECK(pair.reduction.after.states == 40);
  CHECK(pair.reduction.after.multiplications == pair.reduction.before.multiplications);
  for (const auto& edge : pair.reduction.circuit.edges)
    CHECK_FALSE(std::string(edge.weights->form()) == "dense");
}

TEST_CASE("what no reduction makes cheaper is the circuit as it was") {
  const system::Circuit circuit = circuit_of(loop(6, 6, "tanh"));
  const MatrixXd x0 = random_matrix(12, 1, "x0");
  const Reduction reduction = system::reduce(circuit, x0);
  CHECK_FALSE(reduction.changed());
  CHECK(reduction.circuit.nodes.size() == circuit.nodes.size());
  CHECK(reduction.circuit.edges.size() == circuit.edges.size());
  CHECK(reduction.start == x0);
  MatrixXd x(12, 1);
  reduction.expand(x0, x, all_trials(1));
  CHECK(x == x0);
}

TEST_CASE("a projection that would cost more than it saves is left") {
  // z could be W p, but W φ(r) is needed for e all the same.
  const auto states = [](const std::string& into_r) {
    const auto population = [](const std::string& name, int size, const std::string& tau) {
      return "[[population]]\nname = \"" + name + "\"\nsize = " + std::to_string(size) +
             "\ntransfer = \"tanh\"\ntau = " + tau + "\n";
    };
    const auto projection = [](const std::string& from, const std::string& to,
                               const std::string& keys) {
      return "[[projection]]\nfrom = \"" + from + "\"\nto = \"" + to + "\"\n" + keys;
    };
    const std::string random = "weights = { init = \"normal\", std = 0.3 }\n";
    Pair pair(circuit_of(
        population("r", 20, "1.0") + population("e", 30, "0.0") + population("z", 30, "1.0") +
        projection("r", "e", random) +
        projection("e", "z", "transfer = \"identity\"\nweights = { init = \"identity\" }\n") +
        projection("z", "r", random) + into_r));
    CHECK(pair.follow() < 1e-12);
    return pair.reduction.after.states;
  };
  CHECK(states("") == 40);
  CHECK(states("[[projection]]\nfrom = \"e\"\nto = \"r\"\nweights = { init = \"normal\" }\n") ==
        50);
}

TEST_CASE("a controller that is switched off by phases keeps its setpoint to itself") {
  Pair pair(
      circuit_of(loop(20, 5, "identity", "initial = { init = \"normal\", std = 0.5 }\n",
                      "leak = 0.02\ngains = { p = 0.5, i = 1.0 }\n") +
                 "[[phase]]\nname = \"off\"\nduration = 1.0\noff = [\"control\"]\n[[phase]]\nname "
                 "= \"on\"\nduration = 1.0\n"));
  CAPTURE(all_steps(pair.reduction));
  CHECK(pair.reduction.after.states < pair.reduction.before.states);
  CHECK(pair.follow() < 1e-12);
}

TEST_CASE("the Jacobian of an edge with a gate of its receiver is that of the right-hand side") {
  Simulation s("trials = 2\n" + two_populations("", "",
                                                "[[projection]]\nname = \"slope\"\nfrom = "
                                                "\"a\"\nto = \"a\"\nreceiver_slope = true\n"
                                                "weights = { init = \"normal\", std = 0.3 }\n"));
  system::Circuit circuit = s.circuit();
  for (system::Edge& edge : circuit.edges)
    if (edge.name == "slope" || edge.name == "c->a" || edge.name == "a->c")
      edge.receiver_gate =
          random_matrix(edge.weights->rows(), edge.name == "c->a" ? 1 : 2, edge.name);
  const system::OdeSystem system(circuit);
  auto w = system.make_workspace();
  system.begin({0, 0, 1}, w);
  const Index n = system.dimension();
  const MatrixXd x = random_matrix(n, 2, "x", 0.6);
  const auto derivative = [&](const MatrixXd& at) {
    MatrixXd out(n, 2);
    system.derivative(0.1, at, out, w);
    return out;
  };
  for (Index trial = 0; trial < 2; ++trial) {
    const MatrixXd j = system.jacobian(0.1, x.col(trial), trial, w);
    MatrixXd differences(n, n);
    const double h = 1e-6;
    for (Index k = 0; k < n; ++k) {
      MatrixXd up = x, down = x;
      up.row(k).array() += h;
      down.row(k).array() -= h;
      differences.col(k) = (derivative(up) - derivative(down)).col(trial) / (2 * h);
    }
    CHECK((j - differences).cwiseAbs().maxCoeff() < 1e-8);
    // A trial by itself is the same circuit.
    const system::OdeSystem alone(circuit.of_trial(trial));
    auto v = alone.make_workspace();
    alone.begin({0, 0, 1}, v);
    MatrixXd one(n, 1);
    alone.derivative(0.1, x.col(trial), one, v);
    CHECK(relative(one, derivative(x).col(trial)) < 1e-14);
    for (std::size_t k = 0; k < circuit.edges.size(); ++k) {
      const system::Edge& edge = circuit.edges[k];
      if (edge.name != "c->a") continue;
      const MatrixXd expected = edge.receiver_gate.col(0).asDiagonal() * edge.weights->dense();
      CHECK(relative(system.edge_jacobian(static_cast<int>(k), 0.1, x.col(trial), trial, w),
                     expected) < 1e-15);
    }
  }
  MatrixXd out(n, 2);
  const long before = test::allocations();
  system.derivative(0.1, x, out, w);
  CHECK(test::allocations() == before);
}

TEST_CASE("a bias along a weak direction of B is not made of a large drive of it") {
  // B's singular values are 1 and 1e-4: as B a the bias would be the small difference of errors in v.
  system::Circuit circuit = circuit_of(
      "[[population]]\nname = \"r\"\nsize = 5\n[[controller]]\nname = \"c\"\nsize = 2\nsetpoint = "
      "0.1\n"
      "[[projection]]\nfrom = \"r\"\nto = \"c\"\nweights = { init = \"normal\" "
      "}\n[[projection]]\nfrom = "
      "\"c\"\nto = \"r\"\nweights = [[1, 0], [0, 1e-4], [0, 0], [0, 0], [0, 0]]\n");
  node(circuit, "r").constant = (VectorXd(5) << 0.3, 1, 0, 0, 0).finished();
  Pair pair(circuit);
  CHECK(pair.reduction.after.states == 2 + 2 + 1);
  CHECK(pair.follow() < 1e-12);
  for (const auto& one : pair.reduction.circuit.nodes) CHECK(largest(one.constant) < 60);
}
