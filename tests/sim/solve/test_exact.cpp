// The method "exact": closed forms, agreement with the adaptive solvers, and what it shares.
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>

#include "sim/core/random.hpp"
#include "sim/solve/linear_flow.hpp"
#include "tests/support.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using settle::test::Samples;
using settle::test::Simulation;
using solve::Outcome;

namespace {

std::string number(double x) { return core::number_text(x); }

std::string text(const MatrixXd& m) {
  std::string out = "[";
  for (Index i = 0; i < m.rows(); ++i) {
    out += i == 0 ? "[" : ", [";
    for (Index j = 0; j < m.cols(); ++j) out += (j == 0 ? "" : ", ") + number(m(i, j));
    out += "]";
  }
  return out + "]";
}

std::string solver(double duration, const std::string& more = "",
                   const std::string& method = "exact") {
  return "[solver]\nmethod = \"" + method + "\"\nduration = " + number(duration) + "\n" + more +
         "\n";
}

// ẋ = A x + s(t) as one population with leak 1: its weights are A + I.
std::string population(const MatrixXd& a, const std::string& initial, const std::string& more = "",
                       const std::string& signal = "") {
  const Index n = a.rows();
  return "[[population]]\nname = \"x\"\nsize = " + std::to_string(n) + "\ninitial = " + initial +
         "\n" + more + "\n[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = " +
         text(a + MatrixXd::Identity(n, n)) + "\n" +
         (signal.empty() ? "" : "[[source]]\nto = \"x\"\nsignal = " + signal + "\n");
}

// ẋ = −λ x + s(t), one unit from rest.
std::string leaky(double leak, const std::string& signal) {
  return "[[population]]\nname = \"x\"\nsize = 1\nleak = " + number(leak) +
         "\n[[source]]\nto = \"x\"\nsignal = " + signal + "\n";
}

// The largest distance of row 0 of the samples to a function of time.
template <class Function>
double distance(const Simulation& s, const Function& exact) {
  double largest = 0;
  for (std::size_t i = 0; i < s.samples.times.size(); ++i)
    largest = std::max(largest, std::abs(s.samples.states[i](0, 0) - exact(s.samples.times[i])));
  return largest;
}

// Rounding of states of order one: some hundred units in the last place.
constexpr double rounding = 1e-13;

// The largest distance between two runs' samples, over the largest entry.
double distance(const Samples& a, const Samples& b) {
  REQUIRE(a.times.size() == b.times.size());
  double largest = 0, size = 0;
  for (std::size_t i = 0; i < a.times.size(); ++i) {
    CHECK(a.times[i] == Approx(b.times[i]).epsilon(1e-9));
    largest = std::max(largest, (a.states[i] - b.states[i]).cwiseAbs().maxCoeff());
    size = std::max(size, a.states[i].cwiseAbs().maxCoeff());
  }
  return largest / size;
}

// A dynamic inversion with linear populations.
std::string inversion(Index below, Index above, const std::string& feedback,
                      const std::string& controller, const std::string& more = "") {
  return "[model]\nkind = \"dynamic_inversion\"\nlayers = [" + std::to_string(below) + ", " +
         std::to_string(above) +
         "]\ntransfer = \"identity\"\nforward = { init = \"uniform\", low = -0.5, high = 0.5 }\n"
         "feedback = " +
         feedback + "\nsetpoint = { init = \"normal\", std = 0.3 }\n" + more +
         "[model.controller]\n" + controller + "\n";
}

const std::string transposed = "{ init = \"negative_transpose\" }";

}  // namespace

TEST_CASE("exact is the closed form of a scalar loop, at rest and on the way") {
  MatrixXd a(1, 1);
  a << -0.3;
  Simulation s(solver(20) + population(a, "[2.0]", "bias = 0.6"));
  const auto summary = s.run(0.7);
  CHECK(distance(s, [](double) { return 2.0; }) < rounding);  // it starts at its rest state
  CHECK(summary.method == "exact");
  Simulation other(solver(20) + population(a, "[-1.0]", "bias = 0.6"));
  other.run(0.7);
  CHECK(distance(other, [](double t) { return 2 - 3 * std::exp(-0.3 * t); }) < rounding);
}

TEST_CASE("exact is right where eigenvectors don't exist") {
  SECTION("a critically damped pair") {
    // x = (1 + t) e^{−t}, y = ẋ = −t e^{−t}.
    Simulation s(solver(30) + population((MatrixXd(2, 2) << 0, 1, -1, -2).finished(), "[1, 0]"));
    const auto summary = s.run(0.3);
    CHECK(distance(s, [](double t) { return (1 + t) * std::exp(-t); }) < rounding);
    CHECK(summary.how.find("matrix exponential") != std::string::npos);
    CHECK(summary.how.find("defective") != std::string::npos);
  }
  SECTION("a loop at critical damping, one mode of several") {
    // k σ² = (1 − α)²/4 with α = 0.2 for σ = 0.4; σ = 0.9 rings.
    Simulation s(solver(60, "rtol = 1e-9\natol = 1e-12") +
                 "[[population]]\nname = \"r\"\nsize = 2\n[[controller]]\nname = \"c\"\nsize = 2\n"
                 "leak = 0.2\nsetpoint = [1.0, 1.0]\n[[projection]]\nfrom = \"r\"\nto = \"c\"\n"
                 "weights = [[0.4, 0.0], [0.0, 0.9]]\n[[projection]]\nfrom = \"c\"\nto = \"r\"\n"
                 "weights = [[-0.4, 0.0], [0.0, -0.9]]\n");
    const auto summary = s.run(0.5);
    // r₀ = r* (1 − (1 + βt) e^{−βt}), β = 0.6, r* = 0.4/(0.2 + 0.16).
    const double rest = 0.4 / 0.36;
    CHECK(distance(s, [=](double t) { return rest * (1 - (1 + 0.6 * t) * std::exp(-0.6 * t)); }) <
          rounding);
    CHECK(summary.how.find("modes of a 2 × 2 matrix, shared by every leak and gain; 1 of 2") == 0);
  }
  SECTION("Jordan blocks of four, stable, at zero and growing") {
    for (const double lambda : {-1.0, 0.0, 0.1}) {
      MatrixXd a = lambda * MatrixXd::Identity(4, 4);
      a.diagonal(1).setOnes();
      Simulation s(solver(10, "rtol = 1e-9\natol = 1e-12") + population(a, "[0, 0, 0, 1]"));
      s.run(0.25);
      double largest = 0, scale = 1;
      for (std::size_t i = 0; i < s.samples.times.size(); ++i) {
        const double t = s.samples.times[i], e = std::exp(lambda * t);
        const VectorXd exact = (VectorXd(4) << t * t * t / 6, t * t / 2, t, 1).finished() * e;
        largest = std::max(largest, (s.samples.states[i].col(0) - exact).cwiseAbs().maxCoeff());
        scale = std::max(scale, exact.cwiseAbs().maxCoeff());
      }
      CHECK(largest < rounding * scale);
    }
  }
  SECTION("a Jordan block of twelve under constant, ramp and sine") {
    MatrixXd a = -0.5 * MatrixXd::Identity(12, 12);
    a.diagonal(1).setOnes();
    for (const std::string signal : {"{ kind = \"constant\", values = 1.0 }",
                                     "{ kind = \"ramp\", at = 1.0, width = 3.0, values = 1.0 }",
                                     "{ kind = \"sine\", period = 2.0, values = 1.0 }"}) {
      const std::string circuit = population(a, "0.1", "", signal);
      Simulation exact(solver(12) + circuit);
      Simulation fine(solver(12, "rtol = 1e-12\natol = 1e-14", "bulirsch_stoer") + circuit);
      exact.run(1);
      fine.run(1);
      CHECK(distance(exact.samples, fine.samples) < 1e-10);
    }
  }
}

TEST_CASE("poles at zero integrate exactly, hundreds of them") {
  // A pure integrator: x = 0.1 t.
  Simulation s(solver(1000) + "[[population]]\nname = \"x\"\nsize = 1\nleak = 0.0\nbias = 0.1\n");
  const auto summary = s.run(10);
  CHECK(distance(s, [](double t) { return 0.1 * t; }) < rounding * 100);
  CHECK(summary.outcome() == Outcome::not_settled);
  // An expanding layer without leak: 290 directions of the control only integrate, r settles to
  // (BW)⁻¹ B y. Source: science.md section 5.
  Simulation layer(solver(400) + inversion(10, 300, transposed, "leak = 0.0"));
  const auto run = layer.run(100);
  const MatrixXd w = layer.weights("hidden->control"), b = layer.weights("control->hidden");
  const MatrixXd rest = (b * w).fullPivLu().solve(b * layer.setpoint("control"));
  CHECK(test::relative(layer.part("hidden", run.final_state), rest) < 1e-9);
  // u in the null space of B is −y t there.
  const MatrixXd y = layer.setpoint("control");
  const MatrixXd null = y - w * w.householderQr().solve(y);
  const MatrixXd u = layer.part("control.integral", run.final_state);
  CHECK((null.transpose() * u)(0, 0) == Approx(-400 * null.squaredNorm()).epsilon(1e-10));
  CHECK(run.how.find("modes of a 10 × 10 matrix") == 0);
}

TEST_CASE("exact follows every kind of source") {
  SECTION("a ramp, and a ramp on an integrator") {
    // Between 1 and 3, with u = t − 1: x = (u − (1 − e^{−λu})/λ)/(2λ); after 3 it decays to 1/λ.
    Simulation s(solver(8) +
                 leaky(0.5, "{ kind = \"ramp\", at = 1.0, width = 2.0, values = [1.0] }"));
    s.run(0.1);
    const auto rising = [](double u) { return (u - (1 - std::exp(-0.5 * u)) / 0.5) / (2 * 0.5); };
    CHECK(distance(s, [&](double t) {
            if (t <= 1) return 0.0;
            if (t <= 3) return rising(t - 1);
            return 2 + (rising(2) - 2) * std::exp(-0.5 * (t - 3));
          }) < rounding);
    Simulation integrator(solver(3) +
                          leaky(0, "{ kind = \"ramp\", at = 0.0, width = 4.0, values = [1.0] }"));
    integrator.run(0.1);
    CHECK(distance(integrator, [](double t) { return t * t / 8; }) < rounding);
  }
  SECTION("a table on an integrator: a sum of trapezia") {
    Simulation s(solver(3) + leaky(0,
                                   "{ kind = \"table\", times = [0.0, 1.0, 2.0], "
                                   "amplitudes = [1.0, 3.0, -1.0], values = [1.0] }"));
    s.run(0.25);
    CHECK(distance(s, [](double t) {
            if (t <= 1) return t + t * t;
            if (t <= 2) return 2 + 3 * (t - 1) - 2 * (t - 1) * (t - 1);
            return 3 - (t - 2);
          }) < rounding);
  }
  SECTION("a sine that begins later, with a phase") {
    // ẋ = −λx + sin(ωu + θ) from u = t − at on.
    const double leak = 0.7, omega = 2 * std::numbers::pi / 1.5, theta = 0.4;
    Simulation s(solver(9) + leaky(leak,
                                   "{ kind = \"sine\", period = 1.5, phase = 0.4, at = 2.0, "
                                   "values = [1.0] }"));
    s.run(0.1);
    const auto swing = [&](double u) {
      return (leak * std::sin(omega * u + theta) - omega * std::cos(omega * u + theta)) /
             (leak * leak + omega * omega);
    };
    CHECK(distance(s, [&](double t) {
            return t <= 2 ? 0 : swing(t - 2) - swing(0) * std::exp(-leak * (t - 2));
          }) < rounding);
  }
  SECTION("resonance: a rotation driven at its own frequency grows like t") {
    // ẋ = ωy, ẏ = −ωx + cos ωt: x = t sin(ωt)/2.
    const double omega = 2 * std::numbers::pi;
    MatrixXd a(2, 2);
    a << 0, omega, -omega, 0;
    Simulation s(solver(50) +
                 population(a, "0.0", "",
                            "{ kind = \"sine\", period = 1.0, phase = " +
                                number(std::numbers::pi / 2) + ", values = [0.0, 1.0] }"));
    s.run(0.05);
    CHECK(distance(s, [&](double t) { return t * std::sin(omega * t) / 2; }) < 1e-11);
  }
  SECTION("pulses and noise: the same as a fine adaptive run") {
    for (const std::string signal :
         {"{ kind = \"pulse\", at = 0.3, width = 0.2, period = 1.0, values = [5.0] }",
          "{ kind = \"noise\", std = 1.0, interval = 0.25 }"}) {
      Simulation exact(solver(6) + leaky(1, signal));
      Simulation fine(solver(6, "rtol = 1e-12\natol = 1e-13", "dopri5") + leaky(1, signal));
      exact.run(0.1);
      fine.run(0.1);
      CHECK(distance(exact.samples, fine.samples) < 1e-10);
    }
  }
}

TEST_CASE("exact agrees with fehlberg78 on random linear circuits") {
  // Populations with loops among themselves, sources of every kind, trials; a third are unstable.
  const core::RandomStream stream(7, "random linear circuits");
  std::uint64_t drawn = 0;
  const auto uniform = [&](double low, double high) {
    return low + (high - low) * stream.uniform(drawn++);
  };
  const std::string signals[] = {
      "{ kind = \"constant\", values = 0.3 }",
      "{ kind = \"step\", at = 2.3, values = -0.5 }",
      "{ kind = \"sine\", period = 3.0, phase = 0.3, values = 0.4 }",
      "{ kind = \"ramp\", at = 1.0, width = 2.5, values = 0.4 }",
      "{ kind = \"table\", times = [0.5, 1.5, 4.0], amplitudes = [0.0, 1.0, 0.2], values = 1.0 }",
      "{ kind = \"noise\", std = 0.5, interval = 1.5 }"};
  for (int k = 0; k < 60; ++k) {
    const Index n = 1 + static_cast<Index>(uniform(0, 6)),
                m = 1 + static_cast<Index>(uniform(0, 5));
    const auto matrix = [&](Index rows, Index cols, double size) {
      MatrixXd w(rows, cols);
      for (Index i = 0; i < w.size(); ++i) w(i) = uniform(-size, size);
      return text(w);
    };
    const double size = uniform(0.2, 1.0);
    std::string circuit = "trials = 3\n" + std::string("@SOLVER@") +
                          "[[population]]\nname = \"a\"\nsize = " + std::to_string(n) +
                          "\ntau = " + number(uniform(0.3, 3)) +
                          "\nleak = " + number(uniform(0, 1.5)) +
                          "\ninitial = { init = \"normal\", std = 1.0 }\n[[population]]\nname = "
                          "\"b\"\nsize = " +
                          std::to_string(m) + "\nbias = 0.2\n";
    const auto join = [&](const char* from, const char* to, Index cols, Index rows) {
      circuit += std::string("[[projection]]\nfrom = \"") + from + "\"\nto = \"" + to +
                 "\"\nweights = " + matrix(rows, cols, size) + "\n";
    };
    join("a", "b", n, m);
    join("b", "a", m, n);
    if (k % 2 == 0) join("a", "a", n, n);
    circuit += "[[source]]\nto = \"a\"\nsignal = " + signals[k % 6] + "\n";
    circuit += "[[source]]\nto = \"b\"\nsignal = " + signals[(k / 6) % 6] + "\n";
    const auto with = [&](const std::string& text_of_solver) {
      std::string out = circuit;
      return out.replace(out.find("@SOLVER@"), 8, text_of_solver);
    };
    INFO(circuit);
    Simulation exact(with(solver(6))),
        fine(with(solver(6, "rtol = 1e-12\natol = 1e-14", "fehlberg78")));
    const auto a = exact.run(0.5);
    fine.run(0.5);
    INFO(a.how);
    CHECK(distance(exact.samples, fine.samples) < 1e-9);
  }
}

TEST_CASE("exact agrees with dopri5 on controlled loops, in trajectory and outcome") {
  const std::string feedbacks[] = {transposed, "{ init = \"uniform\", low = -0.5, high = 0.5 }",
                                   "{ init = \"negative_pseudoinverse\" }"};
  const std::string gains[] = {
      "leak = 0.05", "leak = 0.3\ngains = { p = 0.5, i = 2.0 }\ntau = 0.5",
      "leak = 0.1\ngains = { p = 0.2, i = 1.0, d = 0.3 }\nderivative_tau = 0.4",
      "leak = 0.0\ngains = { p = 1.0, i = 0.0, d = 0.5 }",
      "gains = { p = 0.7, i = 0.0 }"};  // no state in the control's space
  const std::vector<std::pair<Index, Index>> layers{{4, 4}, {8, 3}, {3, 5}};
  for (const auto& feedback : feedbacks)
    for (const auto& gain : gains)
      for (const auto& [below, above] : layers) {
        const std::string circuit = inversion(below, above, feedback, gain, "trials = 3\n");
        INFO(circuit);
        const std::string settled = "settled = {}\n";
        // Long enough for what grows to reach the divergence limit.
        Simulation exact(solver(2000, settled + "rtol = 1e-9\natol = 1e-12") + circuit);
        Simulation fine(solver(2000, settled + "rtol = 1e-9\natol = 1e-12", "dopri5") + circuit);
        const auto a = exact.run(0.5), b = fine.run(0.5);
        INFO(a.how);
        for (std::size_t trial = 0; trial < 3; ++trial) {
          CHECK(a.trials[trial].outcome == b.trials[trial].outcome);
          if (b.trials[trial].outcome == Outcome::settled)
            CHECK(a.trials[trial].settled_at ==
                  Approx(b.trials[trial].settled_at).epsilon(0.1).margin(1));
        }
        const std::size_t common =
            std::min(exact.samples.times.size(), fine.samples.times.size()) - 1;
        double largest = 0, size = 0;
        for (std::size_t i = 0; i < common; ++i) {
          if (!exact.samples.states[i].allFinite()) break;
          largest = std::max(
              largest, (exact.samples.states[i] - fine.samples.states[i]).cwiseAbs().maxCoeff());
          size = std::max(size, exact.samples.states[i].cwiseAbs().maxCoeff());
        }
        CHECK(largest < 1e-6 * size);  // dopri5's errors of some hundred steps
      }
}

TEST_CASE("phases that hold, switch off, reset and wait for rest are exact too") {
  const std::string circuit =
      inversion(6, 4, "{ init = \"uniform\", low = -0.4, high = 0.4 }", "leak = 0.5") +
      "[[phase]]\nname = \"off\"\nduration = 3.0\noff = [\"control\"]\n"
      "[[phase]]\nname = \"on\"\nuntil = \"settled\"\n"
      "[[phase]]\nname = \"held\"\nduration = 2.5\nhold = [\"hidden\"]\n"
      "[[phase]]\nname = \"again\"\nduration = 4.0\nreset = [\"hidden\"]\n";
  const std::string tight =
      "rtol = 1e-10\natol = 1e-13\nsettled = { tolerance = 1e-6, dwell = 3.0 }";
  Simulation exact(solver(200, tight) + circuit), fine(solver(200, tight, "dopri5") + circuit);
  const auto a = exact.run(), b = fine.run();
  REQUIRE(a.phases.size() == 4);
  for (std::size_t p = 0; p < 4; ++p) {
    INFO(a.phases[p].name);
    CHECK(a.phases[p].end == Approx(b.phases[p].end).epsilon(0.05).margin(0.5));
    CHECK(a.phases[p].outcomes == b.phases[p].outcomes);
    // Where a phase ends by rest, the two end at slightly different times: within the tolerance.
    CHECK((a.phases[p].state - b.phases[p].state).cwiseAbs().maxCoeff() < 1e-5);
  }
}

TEST_CASE("an unstable loop ends at the divergence limit, and its neighbours go on") {
  MatrixXd a(2, 2);
  a << 0.2, 1.0, -1.0, 0.2;
  Simulation s("trials = 2\n" + solver(400, "divergence_limit = 1e6") +
               population(a, "[[1.0, 0.0], [0.0, 0.0]]"));
  const auto summary = s.run();
  CHECK(summary.trials[0].outcome == Outcome::diverged);
  CHECK(summary.trials[0].reason.find("passed the divergence limit") != std::string::npos);
  CHECK(summary.trials[1].outcome != Outcome::diverged);
  CHECK(summary.t_end == 400);
  CHECK(summary.final_state.col(1).isZero(0));
}

TEST_CASE("a tolerance below rtol is no problem for exact") {
  Simulation s(solver(200, "settled = { tolerance = 1e-11, dwell = 2.0 }") +
               inversion(6, 4, transposed, "leak = 0.5"));
  const auto summary = s.run();
  CHECK(summary.outcome() == Outcome::settled);
  CHECK(summary.trials[0].residual < 1e-11);
}

TEST_CASE("auto is exact where the circuit is linear, else dopri5, and says why") {
  const auto choice = [](const std::string& circuit) {
    Simulation s("[solver]\nduration = 1.0\n" + circuit);
    return solve::choose_method(s.system, s.config.solver);
  };
  const std::string loop = inversion(6, 4, transposed, "leak = 0.5");
  CHECK(choice(loop).method == "exact");
  std::string bent = loop;
  bent.replace(bent.find("\"identity\""), 10, "\"tanh\"");
  CHECK(choice(bent).method == "dopri5");
  CHECK(choice(bent).reason.find("the transfer of \"hidden->control\"") == 0);
  // A transfer that only what is held sends bends nothing.
  std::string held =
      "[[population]]\nname = \"a\"\nsize = 2\ntransfer = \"tanh\"\ninitial = 0.5\n"
      "[[population]]\nname = \"b\"\nsize = 2\n[[projection]]\nfrom = \"a\"\nto = "
      "\"b\"\nweights = { init = \"identity\" }\n";
  CHECK(choice(held).method == "dopri5");
  held += "[[phase]]\nname = \"p\"\nduration = 1.0\nhold = [\"a\"]\n";
  CHECK(choice(held).method == "exact");
  Simulation s("[solver]\nduration = 1.0\n" + held);
  const auto summary = s.run(0.25);
  CHECK(s.part("b", summary.final_state)(0, 0) ==
        Approx(std::tanh(0.5) * (1 - std::exp(-1))).epsilon(1e-12));
  // Asked for by name where it does not apply, it fails with words.
  Simulation forced(solver(1) + bent);
  const auto failed = forced.run();
  CHECK(failed.status == solve::SolveSummary::Status::failed);
  CHECK(failed.reason.find("the transfer of \"hidden->control\" is not the identity") !=
        std::string::npos);
}

TEST_CASE("leaks, gains and time constants share one decomposition") {
  const auto run = [](const std::string& controller, const std::string& feedback) {
    Simulation s("seed = 8231\n" + solver(5) + inversion(14, 9, feedback, controller));
    return s.run().how;
  };
  const std::string bent = "{ init = \"uniform\", low = -0.5, high = 0.5 }";
  for (const std::string& feedback : {transposed, bent}) {
    const std::int64_t before = solve::decompositions();
    for (const double leak : {1e-3, 1e-2, 0.1, 0.7})
      for (const double gain : {0.3, 1.0, 3.7}) {
        const std::string keys = "leak = " + number(leak) + "\ngains = { i = " + number(gain);
        CHECK(run(keys + " }", feedback) ==
              "modes of a 9 × 9 matrix, shared by every leak and gain");
        CHECK(run(keys + ", p = 0.4 }\ntau = 0.7", feedback) ==
              "modes of a 9 × 9 matrix, shared by every leak and gain");
      }
    CHECK(solve::decompositions() == before + 1);
  }
}

TEST_CASE("a trial's bits are the same alone and beside 7 or 300 others") {
  const Index most = 301;
  const core::RandomStream stream(3, "states");
  for (const std::string& circuit :
       {inversion(20, 10, transposed, "leak = 0.1"),
        population((MatrixXd(3, 3) << -1, 0.3, 0.1, -0.4, -2, 0.7, 0.2, 0.1, -0.3).finished(),
                   "0.0"),
        population((MatrixXd(3, 3) << -1, 1, 0, 0, -1, 1, 0, 0, -1).finished(), "0.0", "",
                   "{ kind = \"sine\", period = 2.0, values = 1.0 }")}) {
    std::vector<MatrixXd> at_end, rates;
    for (const Index trials : {Index{1}, Index{8}, most}) {
      Simulation s("trials = " + std::to_string(trials) + "\n[solver]\nduration = 5.0\n" + circuit);
      MatrixXd x0(s.system.dimension(), trials);
      for (Index i = 0; i < x0.size(); ++i) x0(i) = stream.normal(static_cast<std::uint64_t>(i));
      solve::LinearFlow flow(s.system, {});
      system::Workspace workspace = s.system.make_workspace();
      const system::Segment segment{0, 0, 5};
      s.system.begin(segment, workspace);
      flow.begin(segment, x0, workspace);
      MatrixXd x(x0.rows(), trials), rate(x0.rows(), trials);
      std::vector<solve::LinearFlow::Instant> instants;
      for (Index k = 0; k < trials; ++k) instants.push_back({k, 3.7});
      solve::LinearFlow::Scratch scratch;
      flow.evaluate(instants, x, rate, scratch);
      // ẋ of the modes is the circuit's own.
      MatrixXd expected(x0.rows(), trials);
      s.system.derivative(3.7, x, expected, workspace);
      CHECK((rate - expected).cwiseAbs().maxCoeff() < 1e-12);
      at_end.push_back(x);
      rates.push_back(rate);
      // The same bits beside other times and other trials.
      const std::vector<solve::LinearFlow::Instant> mixed{{0, 1}, {0, 3.7}, {trials - 1, 2.2}};
      MatrixXd beside(x0.rows(), 3), beside_rate(x0.rows(), 3);
      flow.evaluate(mixed, beside, beside_rate, scratch);
      CHECK(beside.col(1) == x.col(0));
      CHECK(beside_rate.col(1) == rate.col(0));
    }
    CHECK(at_end[0] == at_end[1].leftCols(1));
    CHECK(at_end[1] == at_end[2].leftCols(8));
    CHECK(rates[0] == rates[1].leftCols(1));
    CHECK(rates[1] == rates[2].leftCols(8));
  }
}

TEST_CASE("trials with gates of their own have each their own modes") {
  Simulation s("trials = 2\n" + solver(2) + population(-2 * MatrixXd::Identity(1, 1), "1.0"));
  system::Circuit circuit = s.circuit();
  // ẋ = −x − d x, or −x − s x
  const bool sender = GENERATE(true, false);
  system::Edge& edge = circuit.edges[0];
  (sender ? edge.gate : edge.receiver_gate) = (MatrixXd(1, 2) << 0, 2).finished();
  const system::OdeSystem gated = system::compile(circuit);
  Samples samples({.interval = 0.5});
  const auto summary = solve::solve(gated, gated.initial_state(), s.config.solver, samples);
  CHECK(summary.final_state(0, 0) == Approx(std::exp(-2.0)).epsilon(1e-12));
  CHECK(summary.final_state(0, 1) == Approx(std::exp(-6.0)).epsilon(1e-12));
  CHECK(summary.how.find("one for each of 2") != std::string::npos);
}

TEST_CASE("the schedule shows fast modes first and slow ones in long steps") {
  // Modes at −100, −0.01 and a swing of period 2 that decays at −1.
  MatrixXd a = MatrixXd::Zero(4, 4);
  a(0, 0) = -100;
  a(1, 1) = -0.01;
  a(2, 2) = a(3, 3) = -1;
  a(2, 3) = std::numbers::pi;
  a(3, 2) = -std::numbers::pi;
  Simulation s(solver(1) + population(a, "1.0"));
  solve::LinearFlow flow(s.system, {});
  system::Workspace workspace = s.system.make_workspace();
  const system::Segment segment{0, 0, 3000};
  s.system.begin(segment, workspace);
  flow.begin(segment, s.system.initial_state(), workspace);
  CHECK(flow.step_after(0) == Approx(0.001));
  CHECK(flow.step_after(1) == Approx(0.1 * std::exp((1 - 0.01) / 4)));  // beside the slowest
  CHECK(flow.step_after(100) == Approx(10));
  CHECK(flow.step_after(3000) == std::numeric_limits<double>::infinity());
  std::vector<double> times;
  for (double t = 0; t < 3000;)
    times.push_back(t = std::min(3000.0, t + std::min(100.0, flow.step_after(t))));
  CHECK(times.back() == 3000);
  CHECK(std::is_sorted(times.begin(), times.end()));
  CHECK(times.size() < 1000);
}

TEST_CASE("large circuits: a wide layer by its narrow core, and a dense one by its eigenvectors") {
  Simulation wide(solver(20) + inversion(1000, 10, transposed, "leak = 0.1"));
  const auto summary = wide.run(5);
  CHECK(summary.how == "modes of a 10 × 10 matrix, shared by every leak and gain");
  Simulation fine(solver(20, "rtol = 1e-10\natol = 1e-13", "dopri5") +
                  inversion(1000, 10, transposed, "leak = 0.1"));
  fine.run(5);
  CHECK(distance(wide.samples, fine.samples) < 1e-8);
  const core::RandomStream stream(5, "dense");
  MatrixXd a(150, 150);
  for (Index i = 0; i < a.size(); ++i) a(i) = 0.06 * stream.normal(static_cast<std::uint64_t>(i));
  a.diagonal().array() -= 1;
  std::string circuit = population(a, "1.0");
  Simulation dense(solver(8) + circuit),
      check(solver(8, "rtol = 1e-11\natol = 1e-13", "dopri5") + circuit);
  CHECK(dense.run(1).how == "modes of a 150 × 150 matrix, shared by every leak and gain");
  check.run(1);
  CHECK(distance(dense.samples, check.samples) < 1e-9);
}
