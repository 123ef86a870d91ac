// (s I − J) k = b solved node by node is what the dense matrix gives, and wide nodes leave narrow matrices.
#include <catch2/catch.hpp>

#include "sim/system/reduction.hpp"
#include "sim/system/structured_solve.hpp"
#include "tests/allocations.hpp"
#include "tests/random_circuits.hpp"
#include "tests/support.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using system::OdeSystem;
using system::StructuredSolve;
using test::Simulation;

namespace {

MatrixXd random_matrix(Index rows, Index cols, const std::string& name) {
  const core::RandomStream stream(11, name);
  MatrixXd m(rows, cols);
  for (Index i = 0; i < m.size(); ++i) m.data()[i] = stream.normal(static_cast<std::uint64_t>(i));
  return m;
}

// ‖(s I − J) k − b‖ over ‖s I − J‖ ‖k‖ + ‖b‖, the largest over phases, trials and s.
double largest_backward_error(const OdeSystem& system) {
  const Index n = system.dimension();
  system::Workspace w = system.make_workspace();
  StructuredSolve solve(system);
  const MatrixXd x = 0.8 * random_matrix(n, system.trials(), "state");
  const VectorXd b = random_matrix(n, 1, "right-hand side");
  double largest = 0;
  for (int phase = 0; phase < static_cast<int>(system.circuit().phases.size()); ++phase) {
    system.begin({.phase = phase, .begin = 0, .end = 1}, w);
    for (Index trial = 0; trial < system.trials(); ++trial) {
      const MatrixXd j = system.jacobian(0.3, x.middleCols(trial, 1), trial, w);
      solve.linearise(0.3, x.middleCols(trial, 1), trial, w);
      for (const double s : {1e-3, 0.3, 20.0, 1e5}) {
        const MatrixXd matrix = s * MatrixXd::Identity(n, n) - j;
        VectorXd k = b;
        REQUIRE(solve.factorise(s));
        solve.solve(k);
        largest =
            std::max(largest, (matrix * k - b).norm() / (matrix.norm() * k.norm() + b.norm()));
      }
    }
  }
  return largest;
}

// One column at phase 0, factorised at s.
struct Solved {
  Solved(const OdeSystem& system, double s) : solve(system) {
    system::Workspace w = system.make_workspace();
    const MatrixXd x = 0.5 * random_matrix(system.dimension(), 1, "state");
    system.begin({.phase = 0, .begin = 0, .end = 1}, w);
    solve.linearise(0, x, 0, w);
    possible = solve.factorise(s);
    if (!possible) return;
    k = random_matrix(system.dimension(), 1, "right-hand side");
    b = k;
    solve.solve(k);
    matrix = s * MatrixXd::Identity(x.rows(), x.rows()) - system.jacobian(0, x, 0, w);
  }
  double backward_error() const {
    return (matrix * k - b).norm() / (matrix.norm() * k.norm() + b.norm());
  }
  StructuredSolve solve;
  bool possible;
  VectorXd k, b;
  MatrixXd matrix;
};

std::string inversion(const std::string& model) {
  return "[model]\nkind = \"dynamic_inversion\"\ntransfer = \"tanh\"\nforward = { init = "
         "\"uniform\", low = -0.1, high = 0.1 }\nsetpoint = { init = \"normal\", std = 0.1 }\n" +
         model;
}

// Of two populations a and b with the weights of a on b and back, and leaks.
system::Circuit pair(double leak_a, double leak_b, double weight) {
  system::Circuit c;
  for (const double leak : {leak_a, leak_b})
    c.nodes.push_back({.name = c.nodes.empty() ? "a" : "b",
                       .size = 20,
                       .tau = VectorXd::Ones(20),
                       .leak = VectorXd::Constant(20, leak),
                       .transfer = core::transfer("identity")});
  const auto weights = std::make_shared<const system::Weights>(
      MatrixXd(weight * (random_matrix(20, 20, "weights") + 9 * MatrixXd::Identity(20, 20))));
  c.edges.push_back({.name = "a->b", .from = 0, .to = 1, .weights = weights});
  c.edges.push_back({.name = "b->a", .from = 1, .to = 0, .weights = weights});
  c.phases.resize(1);
  return c;
}

}  // namespace

// Some tens of roundings, and their growth where pivots are down to 1e-3 of what couples them.
constexpr double rounding = 1e-12;

TEST_CASE("a hundred random circuits: the structured solve is that of s I - J, in every phase") {
  for (unsigned seed = 0; seed < 100; ++seed) {
    test::RandomCircuit random = test::random_circuit(seed);
    CAPTURE(seed, random.description);
    const OdeSystem reduced = system::compile(
        system::reduce(random.circuit, system::compile(random.circuit).initial_state()).circuit);
    CHECK(largest_backward_error(reduced) < rounding);
    if (seed % 2 == 1)  // which no configuration has
      for (system::Edge& edge : random.circuit.edges)
        edge.receiver_gate = random_matrix(edge.weights->rows(), 1, edge.name).cwiseAbs();
    CHECK(largest_backward_error(system::compile(random.circuit)) < rounding);
  }
}

TEST_CASE("products, sparse and diagonal weights, slopes of the receiver and self-couplings") {
  const Simulation s(R"(
[[population]]
name = "wide"
size = 40
transfer = "tanh"
tau = { init = "uniform", low = 0.5, high = 2.0 }
[[population]]
name = "sparse"
size = 40
transfer = "softplus"
[[population]]
name = "sum"
size = 40
tau = 0.0
transfer = "tanh"
[[controller]]
name = "pid"
size = 3
leak = 0.1
gains = { p = 0.4, i = 0.9, d = 0.2 }
[[projection]]
name = "lateral"
from = "wide"
to = "wide"
weights = { init = "product", factors = [{ init = "normal", std = 0.4 }, { init = "normal", std = 0.4 }, { init = "normal", std = 0.4 }], inner = [2, 3] }
receiver_slope = true
[[projection]]
name = "own"
from = "wide"
to = "wide"
transfer = "sine"
weights = { init = "identity", scale = 0.3 }
[[projection]]
from = "wide"
to = "sparse"
weights = { init = "sparse", density = 0.1, std = 0.5 }
[[projection]]
from = "sparse"
to = "sum"
weights = { init = "sparse", density = 0.1, std = 0.5 }
[[projection]]
name = "past"
from = "wide"
to = "sum"
weights = { init = "identity", scale = 0.7 }
gate = { init = "uniform", low = 0.0, high = 1.0 }
[[projection]]
from = "sum"
to = "pid"
weights = { init = "normal", std = 0.3 }
[[projection]]
from = "pid"
to = "wide"
weights = { init = "normal", std = 0.3 }
[[projection]]
from = "pid"
to = "sparse"
weights = { init = "normal", std = 0.3 }
receiver_slope = true
)");
  CHECK(largest_backward_error(s.system) < rounding);
}

TEST_CASE("wide populations are eliminated: what is factorised is as narrow as what joins them") {
  const auto order = [](const std::string& toml) {
    const Simulation s(toml);
    const Solved solved(s.system, 3.0);
    CHECK(solved.backward_error() < rounding);
    return solved.solve.dense_order();
  };
  CHECK(order(inversion("layers = [1000, 10]\n")) <= 20);
  CHECK(order(inversion("layers = [1000, 10]\n[model.controller]\ngains = { p = 0.2, i = 1.0, d = "
                        "0.1 }\n")) <= 20);
  CHECK(order(inversion("layers = [300, 400, 10]\nscheme = \"single_loop\"\n")) <= 20);
  CHECK(order(inversion("layers = [10, 400]\n")) <= 20);
  // A wide network that hears itself through two numbers.
  CHECK(order(R"(
[[population]]
name = "wide"
size = 300
transfer = "tanh"
[[projection]]
from = "wide"
to = "wide"
weights = { init = "product", factors = [{ init = "normal", std = 0.2 }, { init = "normal", std = 0.2 }], inner = [2] }
)") <= 2);
  // One that hears itself through a matrix has nothing to be eliminated, and is large enough for LAPACK.
  CHECK(order(R"(
[[population]]
name = "wide"
size = 100
transfer = "tanh"
[[projection]]
from = "wide"
to = "wide"
weights = { init = "normal", std = 0.2 }
)") == 100);
}

TEST_CASE("a population whose pivots vanish is kept and factorised with pivoting") {
  // s τ + λ = 0 for both: neither can be eliminated.
  const Solved both(system::compile(pair(-2, -2, 0.5)), 2.0);
  REQUIRE(both.possible);
  CHECK(both.solve.postponed() >= 1);
  CHECK(both.backward_error() < rounding);
  const Solved one(system::compile(pair(-2 + 1e-12, 1, 0.5)), 2.0);
  REQUIRE(one.possible);
  CHECK(one.backward_error() < rounding);
  // s is an eigenvalue of J.
  CHECK_FALSE(Solved(system::compile(pair(-2, -2, 0)), 2.0).possible);
}

TEST_CASE("neither factorising again nor solving allocates anything") {
  const Simulation s(inversion("layers = [60, 10]\n"));
  system::Workspace w = s.system.make_workspace();
  s.system.begin({.phase = 0, .begin = 0, .end = 1}, w);
  StructuredSolve solve(s.system);
  const MatrixXd x = s.system.initial_state();
  VectorXd b = random_matrix(x.rows(), 1, "right-hand side");
  solve.linearise(0, x, 0, w);
  REQUIRE(solve.factorise(1));
  solve.solve(b);
  const auto before = test::allocations();
  const bool possible = solve.factorise(2);
  solve.solve(b);
  const auto after = test::allocations();
  CHECK(possible);
  CHECK(after == before);
}
