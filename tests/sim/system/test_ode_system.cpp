// The canonical equation: right-hand side, Jacobian and values, for every kind of node and edge.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <new>

#include "tests/allocations.hpp"
#include "tests/support.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using settle::test::relative;
using settle::test::Simulation;

namespace {

MatrixXd random_state(Index rows, Index cols, const std::string& name) {
  const core::RandomStream stream(9, name);
  MatrixXd x(rows, cols);
  for (Index i = 0; i < x.size(); ++i)
    x.data()[i] = 0.8 * stream.normal(static_cast<std::uint64_t>(i));
  return x;
}

MatrixXd derivative(const Simulation& s, const MatrixXd& x, system::Workspace& w, double t = 0.3) {
  MatrixXd out(x.rows(), x.cols());
  s.system.derivative(t, x, out, w);
  return out;
}

// A circuit with everything in it: both error signs, all gains, every form of weights and of edges.
std::string everything(const std::string& transfer) {
  return R"(
[[population]]
name = "low"
size = 5
tau = [0.5, 1.0, 1.5, 2.0, 0.7]
leak = 1.2
transfer = ")" +
         transfer + R"("
bias = { init = "normal", std = 0.3 }
[[population]]
name = "high"
size = 4
transfer = ")" +
         transfer + R"("
[[population]]
name = "sum"
size = 4
tau = 0.0
transfer = "tanh"
[[controller]]
name = "pid"
size = 3
leak = 0.1
gains = { p = 0.4, i = 0.9, d = 0.2 }
setpoint = [0.1, -0.2, 0.3]
[[controller]]
name = "dfc"
size = 2
gains = { p = 0.5, i = 1.1 }
error = "setpoint - measured"
setpoint = [0.4, 0.2]
[[projection]]
from = "low"
to = "high"
weights = { init = "sparse", density = 0.6, std = 0.5 }
[[projection]]
from = "high"
to = "sum"
weights = { init = "identity", scale = 0.7 }
[[projection]]
name = "self"
from = "high"
to = "high"
transfer = "sine"
weights = { init = "orthogonal", gain = 0.6 }
[[projection]]
from = "sum"
to = "pid"
weights = { init = "normal", std = 0.5 }
[[projection]]
from = "low"
to = "pid.setpoint"
transfer = "identity"
gain = 0.4
weights = { init = "normal", std = 0.5 }
[[projection]]
from = "pid"
to = "low"
weights = { init = "product", factors = [{ init = "normal", std = 0.5 }, { init = "normal", std = 0.5 }], inner = [1] }
[[projection]]
from = "high"
to = "dfc"
weights = { init = "normal", std = 0.5 }
linearised_at = { init = "normal", std = 1.0 }
[[projection]]
from = "dfc"
to = "high"
receiver_slope = true
weights = { init = "negative_transpose", of = "high->dfc" }
[[projection]]
name = "gated"
from = "low"
to = "low"
gate = [1.0, 0.0, 0.5, 0.2, 1.0]
receiver_slope = true
weights = { init = "normal", std = 0.5 }
[[source]]
to = "low"
signal = { kind = "sine", period = 3.0, values = { init = "normal", std = 1.0 } }
[[source]]
to = "pid.setpoint"
signal = { kind = "ramp", at = 0.0, width = 4.0, values = [0.2, 0.1, -0.3] }
[[source]]
name = "noise"
to = "high"
signal = { kind = "noise", std = 0.1, interval = 0.5 }
)";
}

}  // namespace

TEST_CASE("the Jacobian of every kind of node and edge is the derivative of the right-hand side") {
  for (const auto& entry : core::transfer_functions().entries()) {
    Simulation s(everything(entry.name));
    CAPTURE(entry.name);
    auto w = s.system.make_workspace();
    s.system.begin({0, 0, 0.5}, w);
    const Index n = s.system.dimension();
    const MatrixXd x = random_state(n, 1, entry.name);
    const MatrixXd j = s.system.jacobian(0.3, x, 0, w);
    MatrixXd differences(n, n);
    const double h = 1e-6;
    for (Index k = 0; k < n; ++k) {
      MatrixXd up = x, down = x;
      up(k, 0) += h;
      down(k, 0) -= h;
      differences.col(k) = (derivative(s, up, w) - derivative(s, down, w)) / (2 * h);
    }
    // Central differences: h²·f‴ + ε/h ≈ 1e-9, times τ⁻¹ and gains of up to ten.
    CHECK((j - differences).cwiseAbs().maxCoeff() < 2e-8);
    // The product with vectors is the same matrix.
    const MatrixXd v = random_state(n, 3, "v");
    MatrixXd jv(n, 3);
    s.system.jacobian_times(0.3, x, 0, v, jv, w);
    CHECK(relative(jv, j * v) < 1e-13);
  }
}

TEST_CASE("the derivative with respect to time is that of the sources") {
  Simulation s(everything("tanh"));
  auto w = s.system.make_workspace();
  s.system.begin({0, 0, 0.5}, w);
  const MatrixXd x = random_state(s.system.dimension(), 1, "x");
  const double h = 1e-6;
  const MatrixXd differences =
      (derivative(s, x, w, 0.3 + h) - derivative(s, x, w, 0.3 - h)) / (2 * h);
  CHECK((s.system.time_derivative(0.3, x, 0, w) - differences.col(0)).cwiseAbs().maxCoeff() < 1e-7);
}

TEST_CASE("the compiled right-hand side is the canonical equation, term by term") {
  Simulation s(everything("tanh"));
  auto w = s.system.make_workspace();
  s.system.begin({0, 0, 0.5}, w);
  const MatrixXd x = random_state(s.system.dimension(), 1, "x");
  const VectorXd low = s.part("low", x), high = s.part("high", x);
  const VectorXd xi = s.part("pid.integral", x), f = s.part("pid.derivative", x);
  const auto tanh = [](const VectorXd& v) { return VectorXd(v.array().tanh()); };
  const double t = 0.3;
  const VectorXd sum = s.weights("high->sum") * tanh(high);
  const auto source = [&](const std::string& name) {
    for (const auto& one : s.circuit().sources)
      if (one.name == name) return VectorXd(one.values.col(0));
    throw std::out_of_range(name);
  };
  VectorXd setpoint = s.setpoint("pid") + 0.4 * s.weights("low->pid.setpoint") * low;
  setpoint += t / 4.0 * source("source->pid.setpoint");
  const VectorXd e = s.weights("sum->pid") * tanh(sum) - setpoint;
  const VectorXd u = 0.9 * xi + 0.4 * e + 0.2 * (e - f) / 0.1;
  VectorXd input = s.weights("pid->low") * u + source("source->low") * std::sin(2 * M_PI * t / 3);
  input += s.circuit().nodes[0].constant.col(0);
  const VectorXd gate = (VectorXd(5) << 1, 0, 0.5, 0.2, 1).finished();
  const VectorXd slope = 1 - tanh(low).array().square();
  input += slope.cwiseProduct(s.weights("gated") * gate.cwiseProduct(tanh(low)));
  const VectorXd tau = (VectorXd(5) << 0.5, 1, 1.5, 2, 0.7).finished();
  const VectorXd expected = (input - 1.2 * low).cwiseQuotient(tau);
  const MatrixXd found = derivative(s, x, w);
  CHECK(relative(s.part("low", found), expected) < 1e-13);
  CHECK(relative(s.part("pid.integral", found), e - 0.1 * xi) < 1e-13);
  CHECK(relative(s.part("pid.derivative", found), (e - f) / 0.1) < 1e-13);
}

TEST_CASE("nothing is allocated per evaluation, for every transfer function and kind of edge") {
  for (const auto& entry : core::transfer_functions().entries())
    for (const int trials : {1, 5}) {
      Simulation s("trials = " + std::to_string(trials) + "\n" + everything(entry.name));
      CAPTURE(entry.name, trials);
      auto w = s.system.make_workspace();
      s.system.begin({0, 0, 0.5}, w);
      const MatrixXd x = random_state(s.system.dimension(), trials, "x");
      MatrixXd out(x.rows(), x.cols());
      s.system.derivative(0.3, x, out, w);
      const long before = test::allocations();
      s.system.derivative(0.31, x, out, w);
      CHECK(test::allocations() == before);
    }
}

TEST_CASE("a large dense product allocates nothing either") {
  Simulation s(
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [300, 200]\ntrials = 8\n"
      "forward = { init = \"normal\", std = 0.05 }\nsetpoint = 0.1\n");
  auto w = s.system.make_workspace();
  s.system.begin({0, 0, 1}, w);
  const MatrixXd x = random_state(s.system.dimension(), 8, "x");
  MatrixXd out(x.rows(), x.cols());
  s.system.derivative(0, x, out, w);
  const long before = test::allocations();
  s.system.derivative(0, x, out, w);
  CHECK(test::allocations() == before);
}

TEST_CASE("a batch of trials is each trial by itself") {
  Simulation s("trials = 3\n" + everything("tanh"));
  auto w = s.system.make_workspace();
  s.system.begin({0, 0, 0.5}, w);
  const MatrixXd x = random_state(s.system.dimension(), 3, "x");
  const MatrixXd all = derivative(s, x, w);
  for (Index k = 0; k < 3; ++k) {
    MatrixXd one(x.rows(), 1);
    s.system.derivative(0.3, x.middleCols(k, 1), one, w, k);
    CHECK(relative(one, all.col(k)) < 1e-14);  // a lone vector is summed in another order
  }
}

TEST_CASE("a cycle of instantaneous nodes is an error that names them") {
  try {
    Simulation s(R"(
[[population]]
name = "a"
size = 1
tau = 0
[[population]]
name = "b"
size = 1
tau = 0
[[population]]
name = "c"
size = 1
[[projection]]
from = "a"
to = "b"
weights = 1.0
[[projection]]
from = "b"
to = "a"
weights = 1.0
[[projection]]
from = "b"
to = "c"
weights = 1.0
)");
    FAIL("no error");
  } catch (const core::InputError& error) {
    const std::string text = error.what();
    CHECK(text.find("algebraic loop") != std::string::npos);
    CHECK(text.find("a -> b -> a") != std::string::npos);
  }
}

TEST_CASE("an edge that is off carries nothing, and a held node does not move") {
  Simulation s(everything("tanh") + R"(
[[phase]]
name = "quiet"
duration = 1.0
off = ["pid", "self"]
hold = ["high"]
)");
  auto w = s.system.make_workspace();
  s.system.begin({0, 0, 1}, w);
  const MatrixXd x = random_state(s.system.dimension(), 1, "x");
  const MatrixXd still = derivative(s, x, w);
  CHECK(s.part("high", still).norm() == 0);
  CHECK(s.part("pid.integral", still).norm() == 0);  // a controller that is off holds its states
  MatrixXd moved = x;
  moved.middleRows(s.system.offset(s.circuit().find("pid.integral")), 3).array() += 1;
  CHECK(s.part("low", derivative(s, moved, w)) == s.part("low", still));
}

TEST_CASE("the Jacobian is that without an edge plus input, edge and value Jacobian multiplied") {
  Simulation s(everything("tanh"));
  const MatrixXd x = random_state(s.system.dimension(), 1, "x");
  auto w = s.system.make_workspace();
  s.system.begin({0, 0, 0.5}, w);
  const MatrixXd whole = s.system.jacobian(0.3, x, 0, w);
  int edges = 0;
  for (std::size_t k = 0; k < s.circuit().edges.size(); ++k) {
    const system::Edge& edge = s.circuit().edges[k];
    // Where one of these is off, what an edge with γ or the tanh of "sum" stands at is another place.
    const bool moves_the_slope = edge.receiver_slope || edge.name.find("dfc") != std::string::npos;
    if (moves_the_slope || edge.name == "high->sum") continue;
    system::Circuit cut = s.circuit();
    cut.phases[0].off = {static_cast<int>(k)};
    const system::OdeSystem without(cut);
    auto v = without.make_workspace();
    without.begin({0, 0, 0.5}, v);
    const int e = static_cast<int>(k);
    const MatrixXd product = s.system.input_jacobian(edge.to, 0.3, x, 0, w) *
                             s.system.edge_jacobian(e, 0.3, x, 0, w) *
                             s.system.value_jacobian(edge.from, 0.3, x, 0, w);
    CAPTURE(edge.name);
    CHECK(product.norm() > 0);
    // Rounding of numbers of order one.
    CHECK((without.jacobian(0.3, x, 0, v) + product - whole).norm() < 1e-12);
    CHECK(without.edge_jacobian(e, 0.3, x, 0, v).norm() == 0);
    ++edges;
  }
  CHECK(edges == 10);
}

TEST_CASE("the input Jacobian is what a small constant drive does, to dynamic nodes and others") {
  Simulation s(everything("tanh"));
  const MatrixXd x = random_state(s.system.dimension(), 1, "x");
  auto w = s.system.make_workspace();
  s.system.begin({0, 0, 0.5}, w);
  for (const std::string name : {"low", "sum", "pid.error", "dfc"}) {
    const int node = s.circuit().find(name);
    const MatrixXd jacobian = s.system.input_jacobian(node, 0.3, x, 0, w);
    const double h = 1e-6;
    for (Index unit = 0; unit < jacobian.cols(); ++unit) {
      const auto driven = [&](double drive) {
        system::Circuit circuit = s.circuit();
        system::Node& n = circuit.nodes[static_cast<std::size_t>(node)];
        if (n.constant.size() == 0) n.constant = MatrixXd::Zero(n.size, 1);
        n.constant.row(unit).array() += drive;
        const system::OdeSystem other(circuit);
        auto v = other.make_workspace();
        other.begin({0, 0, 0.5}, v);
        MatrixXd out(x.rows(), 1);
        other.derivative(0.3, x, out, v);
        return out;
      };
      const MatrixXd difference = (driven(h) - driven(-h)) / (2 * h);
      // Rounding over h, and h² of the third derivative.
      CHECK((difference - jacobian.col(unit)).norm() < 1e-8);
    }
  }
}

TEST_CASE("a released segment lets what is held move, but not a controller that is off") {
  Simulation s(everything("tanh") + R"(
[[phase]]
name = "quiet"
duration = 1.0
off = ["pid"]
hold = ["high"]
)");
  const int high = s.circuit().find("high"), integral = s.circuit().find("pid.integral");
  CHECK(s.system.is_held({0, 0, 1}, high));
  CHECK_FALSE(s.system.is_held({0, 0, 1, true}, high));
  CHECK(s.system.is_held({0, 0, 1, true}, integral));
  auto w = s.system.make_workspace();
  s.system.begin({0, 0, 1, true}, w);
  const MatrixXd rate = derivative(s, random_state(s.system.dimension(), 1, "x"), w);
  CHECK(s.part("high", rate).norm() > 0);
  CHECK(s.part("pid.integral", rate).norm() == 0);
  const auto moving = static_cast<Index>(s.system.moving_rows({0, 0, 1, true}).size());
  CHECK(moving == s.system.dimension() - 2 * 3);  // without the pid's ξ and f
}
