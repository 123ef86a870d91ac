// How the circuits move: poles, gain limits and the paper's own scheme. Source: science.md 4, 5 and
// 6.
#include <catch2/catch.hpp>
#include <cmath>
#include <complex>

#include "analysis/measure.hpp"
#include "sim/core/linalg.hpp"
#include "tests/support.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using settle::test::relative;
using settle::test::Simulation;
using solve::Outcome;

namespace {

std::string number(double x) { return core::number_text(x); }

// One unit with W = sigma, B = -sigma: a single mode of the loop.
std::string one_mode(double sigma, const std::string& more, const std::string& solver) {
  return "[solver]\n" + solver +
         "[model]\nkind = \"dynamic_inversion\"\nlayers = [1, 1]\ntransfer = \"identity\"\nforward "
         "= " +
         number(sigma) + "\nsetpoint = 1.0\n[model.controller]\n" + more;
}

// Log-linear fit of |values| against times.
double decay_of(const std::vector<double>& times, const std::vector<double>& values) {
  const auto n = static_cast<Index>(times.size());
  MatrixXd a(n, 2);
  VectorXd y(n);
  for (Index i = 0; i < n; ++i) {
    a(i, 0) = 1;
    a(i, 1) = times[static_cast<std::size_t>(i)];
    y[i] = std::log(values[static_cast<std::size_t>(i)]);
  }
  return -a.householderQr().solve(y)[1];
}

}  // namespace

TEST_CASE("an overdamped loop decays with the slow pole of science.md section 5") {
  // s = ½[−(1+α) + √((1−α)² − 4kσ²)]; the other pole has died out by the time of the fit.
  const double alpha = 0.1, sigma = 0.3;
  const double pole =
      0.5 * (-(1 + alpha) + std::sqrt((1 - alpha) * (1 - alpha) - 4 * sigma * sigma));
  Simulation s(one_mode(sigma, "leak = 0.1\n", "rtol = 1e-10\natol = 1e-13\nduration = 60.0\n"));
  s.run(0.5);
  const double rest = -sigma * (1 / (alpha + sigma * sigma)) * -1.0;  // r* = B u* = σ G y/(1 + Gσ²)
  std::vector<double> times, values;
  for (std::size_t i = 30; i < 80; ++i) {
    times.push_back(s.samples.times[i]);
    values.push_back(std::abs(s.samples.states[i](0, 0) - rest));
  }
  // The fast pole's remainder at t = 15, e^{-(1.1 − 2·0.11) 15} ≈ 2e-6, bounds the fit's error.
  CHECK(decay_of(times, values) == Approx(-pole).epsilon(1e-4));
}

TEST_CASE("an underdamped loop rings at Im s and decays at (1 + alpha)/2") {
  const double alpha = 0.1, sigma = 1.5;
  const double omega = 0.5 * std::sqrt(4 * sigma * sigma - (1 - alpha) * (1 - alpha));
  Simulation s(one_mode(sigma, "leak = 0.1\n", "rtol = 1e-10\natol = 1e-13\nduration = 25.0\n"));
  s.run(0.001);
  const double rest = sigma / (alpha + sigma * sigma);
  // Zero crossings are half a period apart, peaks between them fall by e^{−π(1+α)/(2ω)}.
  std::vector<double> crossings, peaks{0};
  for (std::size_t i = 1; i < s.samples.times.size(); ++i) {
    const double a = s.samples.states[i - 1](0, 0) - rest, b = s.samples.states[i](0, 0) - rest;
    peaks.back() = std::max(peaks.back(), std::abs(b));
    if (a * b < 0) {
      crossings.push_back(s.samples.times[i - 1] + 0.001 * a / (a - b));
      peaks.push_back(0);
    }
  }
  REQUIRE(crossings.size() > 8);
  const double half_period = (crossings[8] - crossings[2]) / 6;
  CHECK(M_PI / half_period == Approx(omega).epsilon(1e-5));  // linear interpolation at 0.001
  CHECK(std::log(peaks[3] / peaks[7]) / (4 * half_period) == Approx((1 + alpha) / 2).epsilon(1e-4));
}

TEST_CASE(
    "with P and D the Jacobian's poles solve (tau s + 1) = mu [kp + ki/(tau_u s + alpha) + kd "
    "s/(tau_d s + 1)]") {
  Simulation s(
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [6, 4]\ntransfer = \"identity\"\ntau = 0.7\n"
      "forward = { init = \"normal\", std = 0.5 }\nfeedback = { init = \"normal\", std = 0.5 "
      "}\nsetpoint = 0.1\n"
      "[model.controller]\nleak = 0.05\ntau = 1.3\nderivative_tau = 0.4\ngains = { p = 0.6, i = "
      "0.9, d = 0.3 }\n");
  const MatrixXd w = s.weights("hidden->control"), b = s.weights("control->hidden");
  auto workspace = s.system.make_workspace();
  s.system.begin({0, 0, 1}, workspace);
  const MatrixXd j = s.system.jacobian(0, s.system.initial_state(), 0, workspace);
  const Eigen::VectorXcd poles = core::eigenvalues(j), mus = core::eigenvalues(MatrixXd(w * b));
  REQUIRE(poles.size() == 6 + 4 + 4);
  for (const std::complex<double> pole : poles) {
    // −1/τ is the pole of the two directions that W does not see.
    double nearest = std::abs(pole + 1 / 0.7);
    for (const std::complex<double> mu : mus) {
      const std::complex<double> f =
          0.7 * pole + 1.0 -
          mu * (0.6 + 0.9 / (1.3 * pole + 0.05) + 0.3 * pole / (0.4 * pole + 1.0));
      nearest = std::min(nearest, std::abs(f));
    }
    CHECK(nearest < 1e-8);  // condition of the eigenvalues times rounding
  }
}

TEST_CASE("the measured decay of a run is its slowest pole") {
  for (const double sigma : {0.35, 1.5}) {
    Simulation s(one_mode(sigma, "leak = 0.1\n",
                          "rtol = 1e-9\natol = 1e-12\nduration = 500.0\nsettled = {}\n"));
    const auto summary = s.run(1);
    REQUIRE(summary.outcome() == Outcome::settled);
    const auto quantities = s.measure(summary);
    double pole = 0, decay = 0;
    for (const auto& q : quantities) {
      if (q.name == "slowest_pole") pole = q.values(0);
      if (q.name == "decay_rate") decay = q.values(0);
    }
    CAPTURE(sigma);
    // Where it rings, an envelope of bins is within 10 % of the exponential.
    CHECK(decay == Approx(-pole).epsilon(0.1));
  }
}

TEST_CASE("a mixture of modes has the decay of its slowest, or none that is measured") {
  // e^{−t} and 0.02 e^{−0.1 t}: the slow one leads from t = 4 on.
  for (const double duration : {10.0, 20.0, 40.0, 80.0}) {
    Simulation s(
        "[solver]\nrtol = 1e-8\natol = 1e-10\nduration = " + number(duration) +
        "\n[[population]]\nname = \"x\"\nsize = 2\ntau = [1.0, 10.0]\ninitial = [1.0, 0.02]\n");
    const auto summary = s.run(duration);
    for (const auto& q : s.measure(summary)) {
      if (q.name != "decay_rate") continue;
      CAPTURE(duration, q.values(0), q.reasons[0]);
      // Halves that agree to 15 % leave at most about that error.
      CHECK((std::isnan(q.values(0)) || std::abs(q.values(0) / 0.1 - 1) < 0.2));
      CHECK(std::isnan(q.values(0)) == !q.reasons[0].empty());
    }
  }
}

TEST_CASE("the single loop's gain limits without leak are 2, 8/9 and 0.5685") {
  // k σ² < tan(π/2N)/cos^N(π/2N), by bisection on the simulated outcome.
  const auto diverges = [](int populations, double gain) {
    std::string layers = "[1";
    for (int i = 0; i < populations; ++i) layers += ", 1";
    Simulation s(
        "[solver]\nduration = 3000.0\ndivergence_limit = 1e4\nrtol = 1e-5\natol = 1e-8\nsettled = "
        "{}\n"
        "[model]\nkind = \"dynamic_inversion\"\nscheme = \"single_loop\"\nlayers = " +
        layers + "]\ntransfer = \"identity\"\nforward = 1.0\nsetpoint = 1.0\n" +
        "[model.controller]\nleak = 0.0\ngains = { i = " + number(gain) + " }\n");
    const auto outcome = s.run(1000).outcome();
    REQUIRE((outcome == Outcome::diverged || outcome == Outcome::settled ||
             outcome == Outcome::not_settled || outcome == Outcome::oscillating));
    return outcome == Outcome::diverged;
  };
  for (const auto& [n, limit] : {std::pair{2, 2.0}, std::pair{3, 8.0 / 9}, std::pair{4, 0.5685}}) {
    double low = 0.5 * limit, high = 2 * limit;
    REQUIRE(!diverges(n, low));
    REQUIRE(diverges(n, high));
    for (int i = 0; i < 10; ++i) {
      const double middle = 0.5 * (low + high);
      (diverges(n, middle) ? high : low) = middle;
    }
    CAPTURE(n);
    // Bisection to 0.15 %; growth over 3000 time units shows down to a rate of about 1e-3, which is
    // reached within 0.5 % of the limit.
    CHECK(0.5 * (low + high) == Approx(limit).epsilon(0.01));
  }
}

TEST_CASE("complex eigenvalues: the exact condition decides, not the half plane of the paper") {
  // W B with eigenvalues a ± ib by a rotation; τ = τ_u = 1, α = 0.1: stable iff (1+α)²(α − a) > b².
  const double alpha = 0.1, a = -0.5;
  const double limit = (1 + alpha) * std::sqrt(alpha - a);
  for (const double b : {0.97 * limit, 1.03 * limit}) {
    Simulation s(
        "[solver]\nduration = 2000.0\nsettled = {}\n"
        "[model]\nkind = \"dynamic_inversion\"\nlayers = [2, 2]\ntransfer = \"identity\"\n"
        "forward = { init = \"identity\" }\nfeedback = { values = [[" +
        number(a) + ", " + number(-b) + "], [" + number(b) + ", " + number(a) +
        "]] }\nsetpoint = [0.3, -0.1]\n[model.controller]\nleak = 0.1\n");
    CHECK(s.run(100).outcome() == (b < limit ? Outcome::settled : Outcome::diverged));
  }
}

TEST_CASE("an unstable tanh loop oscillates within bounds") {
  Simulation s(
      "[solver]\nduration = 400.0\nsettled = {}\n"
      "[model]\nkind = \"dynamic_inversion\"\nlayers = [2, 2]\ntransfer = \"tanh\"\n"
      "forward = { init = \"identity\" }\nfeedback = { values = [[-0.5, -2.0], [2.0, -0.5]] }\n"
      "setpoint = [0.3, -0.1]\n[model.controller]\nleak = 0.1\n");
  const auto summary = s.run(1);
  CHECK(summary.outcome() == Outcome::oscillating);
  CHECK(summary.final_state.cwiseAbs().maxCoeff() < 20);  // |ξ| ≤ |e|max/α, |e| ≤ 1.4
}

TEST_CASE("semi_implicit_euler is the paper's fixed-step scheme to rounding") {
  // dt = 0.5: the controller with the old rates, then the population with the new control.
  const std::string head =
      "[solver]\nmethod = \"semi_implicit_euler\"\nstep = 0.5\nduration = 500.0\n"
      "[model]\nkind = \"dynamic_inversion\"\ntransfer = \"tanh\"\nforward = { init = \"uniform\", "
      "low = -0.4, "
      "high = 0.4 }\nsetpoint = { init = \"normal\", std = 0.2 }\n";
  {
    Simulation s(head + "layers = [7, 5]\n[model.controller]\nleak = 0.01\n");
    const auto summary = s.run(500);
    const MatrixXd w = s.weights("hidden->control"), b = s.weights("control->hidden");
    const VectorXd y = s.setpoint("control");
    VectorXd r = VectorXd::Zero(7), u = VectorXd::Zero(5);
    for (int i = 0; i < 1000; ++i) {
      u += 0.5 * (-0.01 * u + w * r.array().tanh().matrix() - y);
      r += 0.5 * (-r + b * u);
    }
    // Rounding of 1000 contracting steps.
    CHECK(relative(s.part("hidden", summary.final_state), r) < 1e-12);
    CHECK(summary.steps == 1000);
  }
  {
    // SDI: the populations up the path, then the controller.
    Simulation s(head +
                 "scheme = \"single_loop\"\nlayers = [6, 5, 4]\n[model.controller]\nleak = 0.01\n");
    const auto summary = s.run(500);
    const MatrixXd w1 = s.weights("hidden_1->hidden_2"), w2 = s.weights("hidden_2->control");
    const MatrixXd b = s.weights("control->hidden_1");
    const VectorXd y = s.setpoint("control");
    VectorXd x1 = VectorXd::Zero(6), x2 = VectorXd::Zero(5), u = VectorXd::Zero(4);
    for (int i = 0; i < 1000; ++i) {
      x1 += 0.5 * (-x1 + b * u);
      x2 += 0.5 * (-x2 + w1 * x1.array().tanh().matrix());
      u += 0.5 * (-0.01 * u + w2 * x2.array().tanh().matrix() - y);
    }
    CHECK(relative(s.part("hidden_1", summary.final_state), x1) < 1e-12);
    CHECK(relative(s.part("hidden_2", summary.final_state), x2) < 1e-12);
  }
}

TEST_CASE(
    "at dt = 0.5 and alpha = 0.01 the paper's scheme is stable up to sigma^2 = 11.97, Euler's to "
    "2.01") {
  for (const auto& [method, limit] :
       {std::pair{"semi_implicit_euler", 11.97}, std::pair{"euler", 2.01}})
    for (const double factor : {0.99, 1.01}) {
      Simulation s(one_mode(std::sqrt(factor * limit), "leak = 0.01\n",
                            std::string("method = \"") + method +
                                "\"\nstep = 0.5\nduration = 3000.0\ndivergence_limit = 1e6\n"));
      CAPTURE(method, factor);
      CHECK((s.run(1000).outcome() == Outcome::diverged) == (factor > 1));
    }
}

TEST_CASE("a repeated run and runs on one or two threads give the same bits") {
  // 192 trials in three blocks of columns, large enough for the threads to share the work.
  const std::string text =
      "[solver]\nduration = 5.0\n[model]\nkind = \"dynamic_inversion\"\nlayers = [90, 70]\ntrials "
      "= 192\n"
      "forward = { init = \"normal\", std = 0.1 }\nsetpoint = { init = \"normal\", std = 0.1 }\n";
  Simulation a(text), b(text);
  const MatrixXd first = a.run().final_state;
  CHECK(first == a.run().final_state);
  MatrixXd single;
  {
    const test::ThreadLimit limit(1);
    single = b.run().final_state;
  }
  CHECK(first == single);
  {
    const test::ThreadLimit limit(2);
    CHECK(first == b.run().final_state);
  }
}

TEST_CASE("a trial's random setpoint does not depend on how many trials there are") {
  const auto setpoint = [](int trials) {
    Simulation s("trials = " + std::to_string(trials) +
                 "\n[model]\nkind = \"dynamic_inversion\"\nlayers = [4, 3]\nforward = "
                 "0.1\nsetpoint = { init = "
                 "\"normal\", std = 1.0 }\n");
    return s.setpoint("control");
  };
  CHECK(setpoint(5).leftCols(2) == setpoint(2));
}
