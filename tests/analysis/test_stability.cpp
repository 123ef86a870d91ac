// Poles, modes and the two criteria of a loop against science.md section 5.
#include <catch2/catch.hpp>
#include <cmath>
#include <complex>
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

// Eigenvalues of matrices of a few units, to rounding.
constexpr double rounding = 1e-10;

std::vector<std::complex<double>> poles_of(const Measured& m) {
  std::vector<std::complex<double>> out;
  const VectorXd re = m.values("pole_real"), im = m.values("pole_angular_frequency");
  for (Index k = 0; k < re.size(); ++k) out.emplace_back(re[k], im[k]);
  return out;
}

// The largest distance between two sets, each pole of one matched to the nearest of the other.
double distance(std::vector<std::complex<double>> a, std::vector<std::complex<double>> b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (const auto pole : a) {
    auto nearest = std::min_element(b.begin(), b.end(), [&](auto p, auto q) {
      return std::abs(p - pole) < std::abs(q - pole);
    });
    worst = std::max(worst, std::abs(*nearest - pole));
    b.erase(nearest);
  }
  return worst;
}

MatrixXd normal(Index rows, Index cols, std::mt19937& random) {
  std::normal_distribution<double> draw;
  return MatrixXd::NullaryExpr(rows, cols, [&] { return draw(random); });
}

std::string controller(double leak, double i, double tau = 1) {
  return "leak = " + number(leak) + "\ntau = " + number(tau) + "\ngains = { i = " + number(i) +
         " }\n";
}

}  // namespace

TEST_CASE("poles under B = -W' are the closed form of each singular value, and those of the rest") {
  std::mt19937 random(1);
  for (const auto& [rows, cols] : {std::pair<Index, Index>{3, 5}, {4, 4}, {5, 2}})
    for (const double alpha : {0.0, 0.1, 2.0})
      for (const double k : {0.5, 3.0}) {
        CAPTURE(rows, cols, alpha, k);
        const MatrixXd w = 0.4 * normal(rows, cols, random);
        const Measured m({w, -w.transpose(), VectorXd::Ones(rows), controller(alpha, k)},
                         {"poles", "slowest_pole"});
        std::vector<std::complex<double>> expected;
        for (const double sigma : core::svd(w).s)
          for (const double sign : {-1.0, 1.0})
            expected.push_back(0.5 * (-(1 + alpha) + sign * std::sqrt(std::complex<double>(
                                                                (1 - alpha) * (1 - alpha) -
                                                                4 * k * sigma * sigma))));
        for (Index n = rows; n < cols; ++n) expected.emplace_back(-1);
        for (Index n = cols; n < rows; ++n) expected.emplace_back(-alpha);
        CHECK(distance(poles_of(m), expected) < 1e-7);  // a nearly critical pair doubles digits
        const auto rightmost = std::max_element(expected.begin(), expected.end(),
                                                [](auto a, auto b) { return a.real() < b.real(); });
        CHECK(m.value("slowest_pole") == Approx(rightmost->real()).margin(1e-7));
        // Of several pairs with one real part it may be any.
        const std::complex<double> slowest(m.value("slowest_pole"),
                                           m.value("slowest_pole_angular_frequency"));
        CHECK(std::any_of(expected.begin(), expected.end(),
                          [&](auto pole) { return std::abs(pole - slowest) < 1e-7; }));
      }
}

TEST_CASE("a loop is critically damped at k s^2 = (1 - alpha)^2/4, and rings above it") {
  const double alpha = 0.1;
  const double critical = (1 - alpha) * (1 - alpha) / 4;
  // zeta = -Re s/|s| = (1 + alpha)/(2 sqrt(alpha + k s^2)) of an oscillating pair.
  const auto zeta = [&](double ks) { return (1 + alpha) / (2 * std::sqrt(alpha + ks)); };
  for (const double k : {0.5, 2.0}) {
    for (const double share : {0.5, 0.999999, 1.0, 1.000001, 1.5, 20.0}) {
      CAPTURE(k, share);
      const Measured m(one_mode(std::sqrt(share * critical / k), controller(alpha, k)), {"poles"});
      for (const char* pole : {"0", "1"}) {
        const double damping = m.value("pole_damping_ratio", {pole});
        const double frequency = std::abs(m.value("pole_angular_frequency", {pole}));
        // A double pole splits by the root of rounding: 1e-8 in s, its square in the ratio.
        if (share <= 1) {
          CHECK(damping == Approx(1).epsilon(1e-12));
          CHECK(frequency < 1e-7);
        } else {
          CHECK(damping < 1);
          CHECK(damping == Approx(zeta(share * critical)).epsilon(1e-9));
          CHECK(frequency == Approx(std::sqrt((share - 1) * critical)).epsilon(1e-6));
        }
      }
    }
  }
  // In general at (tau_u - alpha tau)^2/(4 tau tau_u).
  const double tau = 0.5, tau_u = 3;
  const double general = (tau_u - alpha * tau) * (tau_u - alpha * tau) / (4 * tau * tau_u);
  for (const double share : {0.999, 1.001}) {
    Layer layer = one_mode(std::sqrt(share * general), controller(alpha, 1, tau_u));
    layer.more = "tau = 0.5\n";
    const Measured m(layer, {"poles"});
    CHECK((m.value("pole_damping_ratio", {"0"}) < 1 - 1e-6) == (share > 1));
  }
}

TEST_CASE("below critical damping the slow pole is -(alpha + k s^2/(1 - alpha)) to first order") {
  const double alpha = 0.05, ks = 1e-3;
  const Measured m(one_mode(std::sqrt(ks), controller(alpha, 1)), {"slowest_pole"});
  // The next term of the root's expansion is (k s^2)^2/(1 - alpha)^3.
  CHECK(-m.value("slowest_pole") ==
        Approx(alpha + ks / (1 - alpha)).margin(1.1 * ks * ks / std::pow(1 - alpha, 3)));
}

TEST_CASE("shares in a mode are those of its eigenvectors, and sum to one") {
  // An oscillating pair of M = [-1, -s; s, -alpha] has |v_r| = |v_u|; a real pole p has
  // v_r : v_u = -s : p + 1, and the left vector is the right one with one sign turned.
  const double alpha = 0.1;
  for (const double sigma : {0.3, 1.5}) {
    CAPTURE(sigma);
    const Measured m(one_mode(sigma, controller(alpha, 1)), {"poles"});
    for (const char* k : {"0", "1"}) {
      const double pole = m.value("pole_real", {k});
      const double r = sigma * sigma, u = (pole + 1) * (pole + 1);
      const double expected = sigma > 1 ? 0.5 : r / (r + u);
      CHECK(m.value("pole_participation", {k, "hidden"}) == Approx(expected).epsilon(rounding));
      CHECK(m.value("pole_participation", {k, "control.integral"}) ==
            Approx(1 - expected).epsilon(rounding));
    }
  }
  const Measured pid(
      "[solver]\nduration = 1.0\n[model]\nkind = \"dynamic_inversion\"\nlayers = [7, 5, 3]\n"
      "scheme = \"simultaneous\"\nforward = { init = \"normal\", std = 0.6 }\n"
      "setpoint = { init = \"normal\", std = 0.2 }\n[model.controller]\nleak = 0.05\n"
      "gains = { p = 0.5, i = 1.0, d = 0.2 }\n",
      {"poles"});
  const core::Quantity& shares = pid.of("pole_participation");
  REQUIRE(shares.axes[1].labels.size() == 6);  // two populations, integrals and filters
  for (Index k = 0; k < shares.axes[0].size; ++k) {
    const VectorXd share = shares.values.col(0).segment(6 * k, 6);
    CHECK(share.sum() == Approx(1).epsilon(1e-12));
    CHECK(share.minCoeff() >= 0);
  }
}

TEST_CASE("a complex eigenvalue of W B is judged by the parabola, not by the half plane") {
  // Stable exactly where (tau_u + alpha tau)^2 (alpha - k a) > tau tau_u k^2 b^2, mu = a + ib; the
  // paper's criterion is k a - alpha, to the digit.
  std::mt19937 random(7);
  std::uniform_real_distribution<double> uniform;
  int disagreements = 0, unstable = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const double tau = 0.3 + 2 * uniform(random), tau_u = 0.3 + 2 * uniform(random);
    const double alpha = uniform(random) < 0.2 ? 0 : 0.5 * uniform(random);
    const double k = 0.2 + 3 * uniform(random);
    const double a = 1.5 * (uniform(random) - 0.8), b = 3 * (uniform(random) - 0.5);
    MatrixXd turn(2, 2);
    turn << a, -b, b, a;
    // W = I + an upper part, so that W B is similar to the rotation and not equal to it.
    MatrixXd w = MatrixXd::Identity(2, 2);
    w(0, 1) = 2 * uniform(random) - 1;
    Layer layer{w, MatrixXd(turn * w.inverse()), VectorXd::Ones(2), controller(alpha, k, tau_u)};
    layer.more = "tau = " + number(tau) + "\n";
    layer.solver = "duration = 0.01\n";
    const Measured m(layer, {"loop_stability", "slowest_pole"});
    const double parabola = (tau_u + alpha * tau) * (tau_u + alpha * tau) * (alpha - k * a) -
                            tau * tau_u * k * k * b * b;
    const double paper = k * a - alpha;
    CAPTURE(trial, tau, tau_u, alpha, k, a, b, parabola, paper);
    if (std::abs(parabola) < 1e-6 || std::abs(paper) < 1e-6) continue;  // on the boundary
    const bool is_stable = parabola > 0;
    CHECK((m.value("loop_pole", {"control"}) < 0) == is_stable);
    CHECK(m.value("loop_pole", {"control"}) == Approx(m.value("slowest_pole")).margin(1e-12));
    CHECK(m.value("paper_criterion", {"control"}) == Approx(paper).epsilon(1e-9));
    CHECK(m.meaning("criteria_disagree", {"control"}) == ((paper < 0) != is_stable ? "yes" : "no"));
    // Necessary: what the paper's criterion calls unstable is unstable.
    if (paper > 0) CHECK(!is_stable);
    disagreements += (paper < 0) != is_stable;
    unstable += !is_stable;
  }
  CHECK(disagreements > 40);
  CHECK(unstable > disagreements);
}

TEST_CASE("poles of a random loop are the roots of (tau s + 1)(tau_u s + alpha) = k mu") {
  std::mt19937 random(11);
  for (int trial = 0; trial < 20; ++trial) {
    const double tau = 0.6, tau_u = 1.7, alpha = 0.2, k = 1.3;
    const MatrixXd w = normal(3, 5, random), b = normal(5, 3, random);
    Layer layer{w, b, VectorXd::Ones(3), controller(alpha, k, tau_u)};
    layer.more = "tau = 0.6\n";
    layer.solver = "duration = 0.01\n";
    const Measured m(layer, {"poles", "loop_stability"});
    std::vector<std::complex<double>> expected(2, -1 / tau);
    double paper = -INFINITY, exact = -1 / tau;
    for (const std::complex<double> mu : core::eigenvalues(MatrixXd(w * b))) {
      // tau tau_u s^2 + (tau alpha + tau_u) s + alpha - k mu = 0
      const double p = tau * tau_u, q = tau * alpha + tau_u;
      const std::complex<double> root = std::sqrt(q * q - 4 * p * (alpha - k * mu));
      for (const std::complex<double> s : {(-q + root) / (2 * p), (-q - root) / (2 * p)}) {
        expected.push_back(s);
        exact = std::max(exact, s.real());
      }
      paper = std::max(paper, k * mu.real() - alpha);
    }
    CAPTURE(trial);
    CHECK(distance(poles_of(m), expected) < 1e-7);  // the double pole at -1/tau: root of rounding
    CHECK(m.value("loop_pole", {"control"}) == Approx(exact).margin(1e-8));
    CHECK(m.value("paper_criterion", {"control"}) == Approx(paper).margin(1e-8));
  }
}

TEST_CASE("the criteria of a tanh loop are those of W diag phi'(x*) at its rest state") {
  std::mt19937 random(3);
  const MatrixXd w = normal(2, 3, random);
  Layer layer{w, -w.transpose(), VectorXd::Constant(2, 0.4), controller(0.1, 2)};
  layer.transfer = "tanh";
  layer.solver = "duration = 400.0\nrtol = 1e-9\natol = 1e-12\nsettled = {}\n";
  const Measured m(layer, {"loop_stability", "equilibrium"});
  const VectorXd r = m.simulation.part("hidden", m.summary.final_state);
  const VectorXd slope = 1 - r.array().tanh().square();
  const MatrixXd wb = w * slope.asDiagonal() * -w.transpose();
  // The end is within 1e-8 of rest.
  CHECK(m.value("paper_criterion", {"control"}) ==
        Approx(core::spectral_abscissa(2 * wb) - 0.1).epsilon(1e-6));
  CHECK(m.value("equilibrium_distance") < 1e-7);
  CHECK(m.value("equilibrium_step") < 1e-9);
}

TEST_CASE("the slowest pole speaks of what moves in the phase, the poles of the whole circuit") {
  // Sequential loops with different time constants: in the last phase only loop 1 moves.
  const Measured m(
      "[solver]\nduration = 300.0\n[model]\nkind = \"dynamic_inversion\"\n"
      "scheme = \"sequential\"\nlayers = [1, 1, 1]\ntransfer = \"identity\"\n"
      "forward = [{ init = \"identity\", scale = 2.0 }, { init = \"identity\", scale = 0.5 }]\n"
      "setpoint = 1.0\n[model.controller]\nleak = [0.1, 0.4]\n",
      {"slowest_pole", "poles"});
  // loop 1: sigma = 2, alpha = 0.1: rings, Re s = -0.55. Loop 2: sigma = 0.5, alpha = 0.4:
  // -0.7 +- i sqrt(0.25 - 0.09).
  CHECK(m.value("slowest_pole") == Approx(-0.55).epsilon(rounding));
  const double a = std::sqrt(4 - 0.45 * 0.45), b = std::sqrt(0.25 - 0.09);
  CHECK(distance(poles_of(m), {{-0.55, a}, {-0.55, -a}, {-0.7, b}, {-0.7, -b}}) < rounding);
}

TEST_CASE("a loop whose poles are stable grows a hundredfold first, and the run shows it") {
  // W = I and B = -[1, c; 0, 1]: poles those of two single modes with sigma = 1, all at
  // Re s = -0.55, and the second error feeds the first c-fold.
  MatrixXd b(2, 2);
  b << -1, -1000, 0, -1;
  const MatrixXd identity = MatrixXd::Identity(2, 2);
  Layer layer{identity, b, VectorXd::Zero(2), controller(0.1, 1)};
  layer.setpoint << 0, 1;
  layer.solver = "duration = 60.0\nrtol = 1e-9\natol = 1e-12\n";
  const Measured m(layer, {"poles", "nonnormality", "response"});
  for (Index k = 0; k < 4; ++k)
    CHECK(m.values("pole_real")[k] == Approx(-0.55).margin(1e-4));  // two defective pairs
  const double growth = m.value("largest_growth");
  CHECK(growth >= 100);

  // From the start that grows most, M's right singular vector at the time of the peak, the run
  // reaches exactly that growth.
  auto workspace = m.simulation.system.make_workspace();
  m.simulation.system.begin({0, 0, 1}, workspace);
  const MatrixXd j =
      m.simulation.system.jacobian(0, m.simulation.system.initial_state(), 0, workspace);
  const MatrixXd there = core::exponential(j * m.value("largest_growth_time"));
  const VectorXd worst = core::svd(there).vt.row(0);
  CHECK(core::spectral_norm(there) == Approx(growth).epsilon(1e-9));
  const int hidden = m.simulation.circuit().find("hidden");
  const bool rates_first = m.simulation.system.offset(hidden) == 0;
  layer.setpoint.setZero();
  layer.more = "initial = " + test::list(rates_first ? worst.head(2) : worst.tail(2)) + "\n";
  layer.controller += "initial = " + test::list(rates_first ? worst.tail(2) : worst.head(2)) + "\n";
  const Measured grown(layer, {"response"});
  CHECK(grown.value("largest_excursion", {"state"}) == Approx(growth).epsilon(1e-6));  // rtol
  CHECK(grown.value("largest_excursion", {"control.error"}) > 100);
}
