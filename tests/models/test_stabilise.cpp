#include <catch2/catch.hpp>
#include <cmath>

#include "models/stabilise.hpp"
#include "sim/core/random.hpp"

using namespace settle;
using namespace settle::models;

namespace {

MatrixXd random_matrix(Index rows, Index cols, double size, const char* name,
                       std::uint64_t seed = 1) {
  const core::RandomStream stream(seed, name);
  MatrixXd out(rows, cols);
  for (Index k = 0; k < out.size(); ++k)
    out.data()[k] = size * (2 * stream.uniform(static_cast<std::uint64_t>(k)) - 1);
  return out;
}

// Worst relative difference of the gradient from a central difference of the smoothed abscissa at
// the ε that belongs to s.
double gradient_error(Index inputs, Index outputs, const LoopParameters& loop) {
  const MatrixXd w = random_matrix(outputs, inputs, 0.8, "w");
  const MatrixXd b = random_matrix(inputs, outputs, 0.8, "b");
  const MatrixXd m = loop_matrix(w, b, loop);
  const double s = core::spectral_abscissa(m) + 0.1;
  const double smoothing = 1 / *lyapunov_trace(m, s);
  const MatrixXd gradient = *smoothed_abscissa_gradient(w, b, loop, s);
  const double h = 1e-5;
  MatrixXd difference(inputs, outputs);
  for (Index k = 0; k < b.size(); ++k) {
    MatrixXd above = b, below = b;
    above.data()[k] += h;
    below.data()[k] -= h;
    difference.data()[k] = (smoothed_abscissa(loop_matrix(w, above, loop), smoothing) -
                            smoothed_abscissa(loop_matrix(w, below, loop), smoothing)) /
                           (2 * h);
  }
  return (gradient - difference).norm() / difference.norm();
}

}  // namespace

TEST_CASE("the loop's matrix of integral control is that of the closed form", "[stabilise]") {
  const MatrixXd w = random_matrix(2, 3, 1, "w"), b = random_matrix(3, 2, 1, "b");
  const LoopParameters loop{.tau = 2, .controller_tau = 4, .leak = 0.3, .i = 1.5};
  const MatrixXd m = loop_matrix(w, b, loop);
  REQUIRE(m.rows() == 5);
  // M = [−I/τ, B k_i/τ; W/τ_u, −αI/τ_u] in the state (r, ξ); entries to rounding.
  MatrixXd expected(5, 5);
  expected << -MatrixXd::Identity(3, 3) / 2, 1.5 * b / 2, w / 4,
      -0.3 * MatrixXd::Identity(2, 2) / 4;
  CHECK((m - expected).norm() < 1e-14);
}

TEST_CASE("the loop's matrix of PID control has the poles of the transfer function",
          "[stabilise]") {
  // One unit: (τ s + 1) = μ [k_p + k_i/(τ_u s + α) + k_d s/(τ_d s + 1)], μ = w b.
  const LoopParameters loop{.tau = 1.3,
                            .controller_tau = 0.7,
                            .derivative_tau = 0.2,
                            .leak = 0.05,
                            .p = 0.4,
                            .i = 1.1,
                            .d = 0.6};
  const MatrixXd w = MatrixXd::Constant(1, 1, 0.9), b = MatrixXd::Constant(1, 1, -1.7);
  const Eigen::VectorXcd poles = core::eigenvalues(loop_matrix(w, b, loop));
  REQUIRE(poles.size() == 3);
  for (const std::complex<double> s : poles) {
    const std::complex<double> control = loop.p + loop.i / (loop.controller_tau * s + loop.leak) +
                                         loop.d * s / (loop.derivative_tau * s + 1.0);
    // Rounding of three eigenvalues of size 10 through a quotient.
    CHECK(std::abs(loop.tau * s + 1.0 - w(0, 0) * b(0, 0) * control) < 1e-11);
  }
}

TEST_CASE("states of absent gains are not in the loop", "[stabilise]") {
  const MatrixXd w = random_matrix(2, 3, 1, "w"), b = random_matrix(3, 2, 1, "b");
  CHECK(loop_matrix(w, b, {.p = 1, .i = 0}).rows() == 3);
  CHECK(loop_matrix(w, b, {.p = 1, .i = 1}).rows() == 5);
  CHECK(loop_matrix(w, b, {.i = 0, .d = 1}).rows() == 5);
  CHECK(loop_matrix(w, b, {.p = 1, .i = 1, .d = 1}).rows() == 7);
  CHECK_THROWS_AS(loop_matrix(w, w, {}), std::invalid_argument);
}

TEST_CASE("the gradient is that of the smoothed abscissa", "[stabilise]") {
  // Central differences with h = 1e-5: truncation ~ h² = 1e-10 times the third derivative (up to
  // 1/0.1² times the first), rounding of s (1e-13) over h ~ 1e-8.
  const double tolerance = 1e-6;
  CHECK(gradient_error(4, 3, {}) < tolerance);
  CHECK(gradient_error(3, 3, {.leak = 0.1}) < tolerance);
  CHECK(gradient_error(2, 4, {.tau = 0.5, .controller_tau = 2, .leak = 0.1}) < tolerance);
  CHECK(gradient_error(3, 2, {.p = 0.7, .i = 0}) < tolerance);
  CHECK(gradient_error(
            3, 2, {.tau = 2, .derivative_tau = 0.3, .leak = 0.05, .p = 0.7, .i = 1.2, .d = 0.4}) <
        tolerance);
}

TEST_CASE("the smoothed abscissa lies above the abscissa and tends to it", "[stabilise]") {
  const MatrixXd m = random_matrix(6, 6, 1, "m");
  const double abscissa = core::spectral_abscissa(m);
  double last = smoothed_abscissa(m, 1);
  for (const double smoothing : {1e-1, 1e-2, 1e-3, 1e-4}) {
    const double s = smoothed_abscissa(m, smoothing);
    CHECK(s > abscissa);
    CHECK(s < last);
    last = s;
  }
  // To first order s − a = ε · c with c = |left|²|right|²/|left·right|² of order 1 to 10.
  CHECK(last - abscissa < 1e-2);
}

TEST_CASE("feedback of a contracting layer is made stable", "[stabilise]") {
  for (const double size : {0.01, 0.5}) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      const MatrixXd w = random_matrix(10, 20, size, "w", seed);
      const MatrixXd b = random_matrix(20, 10, size, "b", seed);
      const StabiliseResult result = stabilise(w, b, {}, {});
      INFO(result.reason);
      REQUIRE(result.stable);
      CHECK(result.iterations > 0);
      CHECK(result.remedy.empty());
      const double abscissa = core::spectral_abscissa(loop_matrix(w, result.b, {}));
      CHECK(abscissa < 0);
      CHECK(abscissa == result.abscissa);
    }
  }
}

TEST_CASE("feedback is made stable with the margin that is asked for, under PID too",
          "[stabilise]") {
  const MatrixXd w = random_matrix(5, 8, 0.5, "w"), b = random_matrix(8, 5, 0.5, "b");
  const LoopParameters integral{.leak = 0.01}, pid{.leak = 0.01, .p = 1, .i = 1, .d = 0.05};
  for (const LoopParameters& loop : {integral, pid}) {
    const StabiliseResult result = stabilise(w, b, loop, {.margin = 0.1});
    INFO(result.reason);
    REQUIRE(result.stable);
    CHECK(core::spectral_abscissa(loop_matrix(w, result.b, loop)) < -0.1);
  }
}

TEST_CASE("stable feedback is left as it is", "[stabilise]") {
  const MatrixXd w = random_matrix(10, 20, 0.5, "w");
  const StabiliseResult result = stabilise(w, -w.transpose(), {}, {});
  CHECK(result.stable);
  CHECK(result.iterations == 0);
  CHECK(result.b == -w.transpose());
}

TEST_CASE("an expanding layer without leak cannot be stable, and the reason says so",
          "[stabilise]") {
  const MatrixXd w = random_matrix(20, 10, 0.5, "w");
  // Even −Wᵀ leaves ten poles at 0, whose computed values may fall on either side of it.
  for (const MatrixXd& b : {MatrixXd(-w.transpose()), random_matrix(10, 20, 0.5, "b")}) {
    const StabiliseResult result = stabilise(w, b, {}, {});
    CHECK_FALSE(result.stable);
    CHECK(result.iterations == 0);
    CHECK(result.reason.find("10 directions of the integrator only leak") != std::string::npos);
    CHECK(result.remedy.find("leak") != std::string::npos);
  }
  CHECK(stabilise(w, -w.transpose(), {.leak = 0.1}, {.margin = 0.05}).stable);
  CHECK_FALSE(stabilise(w, -w.transpose(), {.leak = 0.1}, {.margin = 0.1}).stable);
}

TEST_CASE("margins that no feedback reaches are told before the first step", "[stabilise]") {
  const MatrixXd square = random_matrix(4, 4, 0.5, "w");
  const MatrixXd contracting = random_matrix(2, 4, 0.5, "w");
  const MatrixXd singular = Eigen::VectorXd::Ones(3) * Eigen::VectorXd::Ones(3).transpose();
  // Pairs of mean −(1/τ + α/τ_u)/2; a population that idles at −1/τ; rank one of three.
  CHECK(margin_obstacle(square, {.leak = 0.2}, 0.61));
  CHECK_FALSE(margin_obstacle(square, {.leak = 0.2}, 0.59));
  CHECK(margin_obstacle(contracting, {.tau = 2, .p = 1}, 0.5));
  CHECK_FALSE(margin_obstacle(contracting, {.tau = 2, .p = 1}, 0.4));
  CHECK(margin_obstacle(singular, {}, 0));
  CHECK_FALSE(margin_obstacle(singular, {.leak = 0.2}, 0.1));
  CHECK(margin_obstacle(singular, {.i = 0, .d = 1}, 10));
}

TEST_CASE("unstable feedback is never returned as stable", "[stabilise]") {
  int unstable = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    // Few iterations and unfit steps, so that many attempts fail.
    const Index rows = 2 + static_cast<Index>(seed % 5), cols = 2 + static_cast<Index>(seed % 7);
    const MatrixXd w = random_matrix(rows, cols, 1, "w", seed);
    const MatrixXd b = random_matrix(cols, rows, 1, "b", seed);
    for (const double step : {1e-3, 0.5, 1e6, 1e300}) {
      for (const double leak : {0.0, 0.01}) {
        const LoopParameters loop{.leak = leak};
        const StabiliseResult result = stabilise(w, b, loop, {.step = step, .iterations = 4});
        const double abscissa = core::spectral_abscissa(loop_matrix(w, result.b, loop));
        CHECK(abscissa == result.abscissa);
        CHECK_FALSE(result.reason.empty());
        CHECK(abscissa <= core::spectral_abscissa(loop_matrix(w, b, loop)));
        if (result.stable) {
          CHECK(abscissa < 0);
        } else {
          ++unstable;
          CHECK_FALSE(result.remedy.empty());
        }
      }
    }
  }
  CHECK(unstable > 20);
}

TEST_CASE("without iterations or gains it says why nothing was done", "[stabilise]") {
  const MatrixXd w = random_matrix(3, 3, 1, "w");
  const StabiliseResult none = stabilise(w, w.transpose(), {}, {.iterations = 0});
  CHECK_FALSE(none.stable);
  CHECK(none.reason.find("0 iterations") != std::string::npos);
  // Without a controller the population alone decays.
  CHECK(stabilise(w, w.transpose(), {.i = 0}, {}).stable);
}
