// Transient growth, pseudospectra and the Kreiss constant against closed forms and brute force.
#include <Eigen/Dense>
#include <catch2/catch.hpp>
#include <cmath>

#include "analysis/transient_growth.hpp"
#include "models/stabilise.hpp"
#include "sim/core/random.hpp"
#include "tests/support.hpp"

using namespace settle;
using namespace settle::analysis;

namespace {

using Complex = std::complex<double>;
using Eigen::MatrixXcd;

constexpr double infinity = std::numeric_limits<double>::infinity();

MatrixXd random_matrix(Index rows, Index cols, const char* name, std::uint64_t seed = 1) {
  const core::RandomStream stream(seed, name);
  MatrixXd a(rows, cols);
  for (Index k = 0; k < a.size(); ++k) a.data()[k] = stream.normal(static_cast<std::uint64_t>(k));
  return a;
}

// A random matrix of this spectral abscissa.
MatrixXd with_abscissa(MatrixXd a, double abscissa) {
  a.diagonal().array() += abscissa - core::spectral_abscissa(a);
  return a;
}

MatrixXd triangular(double a, double c, double b) {
  MatrixXd m(2, 2);
  m << a, c, 0, b;
  return m;
}

// σ_min(zI − A) by a dense decomposition.
double dense_sigma(const MatrixXd& a, Complex z) {
  const MatrixXcd shifted = z * MatrixXcd::Identity(a.rows(), a.cols()) - a;
  return shifted.jacobiSvd().singularValues()[a.rows() - 1];
}

double norm_at(const MatrixXd& a, double t) {
  return core::spectral_norm(core::exponential(a * t));
}

// The largest ‖e^{At}‖ of times t = duration · k/points.
double largest_norm(const MatrixXd& a, double duration, int points) {
  const MatrixXd step = core::exponential(a * (duration / points));
  MatrixXd e = step;
  double largest = 1;
  for (int k = 0; k < points; ++k, e *= step) largest = std::max(largest, core::spectral_norm(e));
  return largest;
}

// Logarithmically from low to high.
std::vector<double> spread(double low, double high, int points) {
  std::vector<double> values;
  for (int k = 0; k < points; ++k)
    values.push_back(low * std::pow(high / low, static_cast<double>(k) / (points - 1)));
  return values;
}

// Real A = Q D Qᵀ with blocks [a, b; −b, a] on D's diagonal: normal, of eigenvalues a ± ib.
MatrixXd normal_matrix(const std::vector<Complex>& eigenvalues) {
  const Index n = 2 * static_cast<Index>(eigenvalues.size());
  MatrixXd d = MatrixXd::Zero(n, n);
  for (Index k = 0; k < n / 2; ++k) {
    const Complex value = eigenvalues[static_cast<std::size_t>(k)];
    d.block(2 * k, 2 * k, 2, 2) << value.real(), value.imag(), -value.imag(), value.real();
  }
  const MatrixXd q = core::orthonormalised(random_matrix(n, n, "q"));
  return q * d * q.transpose();
}

// σ is compared with levels to 1e-6, the accuracy that the header states; ε in closed forms.
const double level_accuracy = 2e-6;

}  // namespace

TEST_CASE("a normal matrix grows nowhere, and its pseudospectra are discs about the spectrum",
          "[transient]") {
  const MatrixXd a = normal_matrix({{-0.5, 2}, {-0.3, 7}, {-2, 0}, {-0.3, 0.1}});
  const TransientGrowth growth = transient_growth(a);
  CHECK(growth.reason.empty());
  CHECK(growth.value == 1);
  CHECK(growth.time == 0);
  CHECK(growth.evaluations == 0);
  const KreissConstant kreiss = kreiss_constant(a);
  CHECK(kreiss.value == 1);
  CHECK(kreiss.upper_bound == 1);
  CHECK(std::isinf(kreiss.at.real()));
  const DistanceToInstability distance = distance_to_instability(a);
  CHECK(distance.value == Approx(0.3).epsilon(level_accuracy));
  // At the height of either eigenvalue of abscissa −0.3; the minimum is quadratic, so that the
  // height is known to √(level accuracy) = 1e-3 of the distance.
  CHECK((std::abs(distance.frequency - 7) < 1e-3 || std::abs(distance.frequency - 0.1) < 1e-3));
  for (const double epsilon : {1e-6, 1e-2, 1.0, 30.0}) {
    const PseudospectralAbscissa abscissa = pseudospectral_abscissa(a, epsilon);
    CHECK(abscissa.reason.empty());
    CHECK(abscissa.value == Approx(-0.3 + epsilon).margin(level_accuracy * epsilon));
    CHECK(abscissa.at.real() == abscissa.value);
  }
}

TEST_CASE("a defective pair has its closed forms, also with a coupling of a million",
          "[transient]") {
  // A = [−1, c; 0, −1]: ‖e^{At}‖ = exp(asinh(ct/2) − t), σ(x) = √((x+1)² + c²/4) − c/2.
  for (const double c : {3.0, 10.0, 1e3, 1e6}) {
    CAPTURE(c);
    const MatrixXd a = triangular(-1, c, -1);
    const TransientGrowth growth = transient_growth(a);
    const double time = std::sqrt(1 - 4 / (c * c));
    const double most = std::exp(std::asinh(c * time / 2) - time);
    CHECK(growth.reason.empty());
    CHECK(growth.value == Approx(most).epsilon(1e-10));  // flat at the peak, so of its time squared
    CHECK(growth.time == Approx(time).epsilon(1e-5));
    CHECK(growth.upper_bound >= growth.value);
    CHECK(growth.upper_bound <= 1.001 * growth.value);

    const KreissConstant kreiss = kreiss_constant(a);
    CHECK(kreiss.reason.empty());
    CHECK(kreiss.value == Approx(c / 4 + 1 / c).epsilon(level_accuracy));
    CHECK(kreiss.upper_bound >= c / 4 + 1 / c);
    CHECK(kreiss.upper_bound <= 1.001 * kreiss.value);
    CHECK(kreiss.at.imag() >= 0);

    const double distance = 1 / (std::sqrt(1 + c * c / 4) + c / 2);
    // Rounding is 2 ε c.
    CHECK(distance_to_instability(a).value ==
          Approx(distance).epsilon(level_accuracy).margin(1e-15 * c));
    for (const double epsilon : {1e-3, 1.0}) {
      const double excess = std::sqrt(epsilon * epsilon + c * epsilon);
      CHECK(pseudospectral_abscissa(a, epsilon).value ==
            Approx(excess - 1).margin(level_accuracy * excess));
    }
  }
}

TEST_CASE("a coupled pair of different rates agrees with a dense search", "[transient]") {
  for (const double c : {5.0, 40.0}) {
    CAPTURE(c);
    const MatrixXd a = triangular(-1, c, -2);
    // ‖E‖ of E = [p, c(p − q); 0, q], p = e^{−t}, q = e^{−2t}, by its two invariants; the peak is
    // quadratic, 1e-5 apart in time it is met to 1e-10.
    double most = 1, time = 0;
    for (int k = 1; k <= 300000; ++k) {
      const double t = 1e-5 * k, p = std::exp(-t), q = p * p, r = c * (p - q);
      const double trace = p * p + q * q + r * r;
      const double norm = std::sqrt((trace + std::sqrt(trace * trace - 4 * p * p * q * q)) / 2);
      if (norm > most) most = norm, time = t;
    }
    const TransientGrowth growth = transient_growth(a);
    CHECK(growth.value == Approx(most).epsilon(1e-8));
    CHECK(growth.time == Approx(time).epsilon(1e-4));
    CHECK(growth.evaluations < 200);

    double ratio = 1;
    for (const double x : spread(1e-2, 1e3, 4000)) ratio = std::max(ratio, x / dense_sigma(a, x));
    const KreissConstant kreiss = kreiss_constant(a);
    // On the real axis, where steps of 0.3 % in x meet the maximum to 1e-5.
    CHECK(kreiss.value >= ratio * (1 - level_accuracy));
    CHECK(kreiss.value == Approx(ratio).epsilon(1e-5));
  }
}

TEST_CASE("dynamic inversion with transposed feedback contracts", "[transient]") {
  // ω(M) = −min(1, α)/τ for B = −Wᵀ, k = 1, τ = τ_u (science.md, section 5), expanding layers and
  // integrators without leak included.
  for (const auto& [outputs, inputs] : {std::pair{3, 5}, std::pair{5, 3}}) {
    for (const double leak : {0.0, 0.1, 3.0}) {
      const MatrixXd w = random_matrix(outputs, inputs, "w");
      const MatrixXd m =
          models::loop_matrix(w, -w.transpose(), {.tau = 2, .controller_tau = 2, .leak = leak});
      CHECK(core::numerical_abscissa(m) == Approx(-std::min(1.0, leak) / 2).margin(1e-14));
      const TransientGrowth growth = transient_growth(m);
      CHECK(growth.reason.empty());
      CHECK(growth.value == 1);
      CHECK(growth.time == 0);
      CHECK(kreiss_constant(m).value == 1);
    }
  }
}

TEST_CASE("a loop stabilised from random feedback grows first, as far as a fine grid says",
          "[transient]") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    const models::LoopParameters loop{.controller_tau = 2, .leak = 0.05};
    const MatrixXd w = random_matrix(4, 6, "w", seed);
    const models::StabiliseResult feedback =
        models::stabilise(w, random_matrix(6, 4, "b", seed), loop, {});
    REQUIRE(feedback.stable);
    const MatrixXd m = models::loop_matrix(w, feedback.b, loop);
    const TransientGrowth growth = transient_growth(m);
    CHECK(growth.reason.empty());
    CHECK(growth.value > 1.1);
    CHECK(norm_at(m, growth.time) == Approx(growth.value).epsilon(1e-12));
    // Steps of 0.005 at rates of ‖M‖ ≤ 10 miss a peak by less than (0.05)²/8.
    const double grid = largest_norm(m, 40, 8000);
    CHECK(growth.value >= grid * (1 - 1e-10));
    CHECK(growth.value <= grid * (1 + 1e-3));
    const KreissConstant kreiss = kreiss_constant(m);
    CHECK(kreiss.value > 1);
    CHECK(kreiss.value <= growth.value);
  }
}

TEST_CASE("the Kreiss constant bounds the growth from both sides", "[transient]") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    const Index n = 2 + static_cast<Index>(seed % 9);
    const double margin = std::pow(10, -0.03 * static_cast<double>(seed));  // 1 to 1e-3
    const MatrixXd a = with_abscissa(random_matrix(n, n, "a", seed), -margin);
    const TransientGrowth growth = transient_growth(a);
    const KreissConstant kreiss = kreiss_constant(a);
    CHECK(growth.reason.empty());
    CHECK(kreiss.reason.empty());
    CHECK(kreiss.value >= 1);
    CHECK(kreiss.value <= growth.value * (1 + 1e-9));
    CHECK(growth.value <= std::exp(1) * static_cast<double>(n) * kreiss.value);
    CHECK(growth.upper_bound <= 1.001 * growth.value);
    CHECK(kreiss.upper_bound <= 1.001 * kreiss.value);
    if (!std::isfinite(kreiss.at.real())) continue;
    CHECK(kreiss.at.real() / dense_sigma(a, kreiss.at) ==
          Approx(kreiss.value).epsilon(level_accuracy));
  }
}

TEST_CASE("no point of a grid has a larger Kreiss ratio than its upper bound", "[transient]") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    CAPTURE(seed);
    const MatrixXd a = with_abscissa(random_matrix(6, 6, "a", seed), -0.02);
    const KreissConstant kreiss = kreiss_constant(a);
    double ratio = 1;
    for (const double x : spread(1e-3, 1e2, 50))
      for (int k = 0; k <= 80; ++k) ratio = std::max(ratio, x / dense_sigma(a, {x, 0.05 * k}));
    CHECK(ratio <= kreiss.upper_bound);
    CHECK(ratio >= 0.98 * kreiss.value);  // steps of a quarter in x
  }
}

TEST_CASE("the distance to instability is the lowest of a fine grid of frequencies",
          "[transient]") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    const MatrixXd a = with_abscissa(random_matrix(8, 8, "a", seed), -0.1);
    const DistanceToInstability distance = distance_to_instability(a);
    CHECK(distance.reason.empty());
    double lowest = infinity;
    for (int k = 0; k <= 2500; ++k) lowest = std::min(lowest, dense_sigma(a, {0, 0.002 * k}));
    CHECK(distance.value <= lowest * (1 + level_accuracy));
    // σ changes by no more than the frequency: half a step.
    CHECK(distance.value >= lowest - 0.001);
    CHECK(dense_sigma(a, {0, distance.frequency}) ==
          Approx(distance.value).epsilon(level_accuracy));
  }
}

TEST_CASE("a perturbation as large as the distance reaches the axis", "[transient]") {
  // E = −σ u vᴴ with the singular vectors at the frequency makes iω an eigenvalue of A + E.
  const MatrixXd a = with_abscissa(random_matrix(7, 7, "a"), -0.2);
  const DistanceToInstability distance = distance_to_instability(a);
  const Complex z(0, distance.frequency);
  const MatrixXcd shifted = z * MatrixXcd::Identity(7, 7) - a;
  const Eigen::JacobiSVD<MatrixXcd> svd(shifted, Eigen::ComputeFullU | Eigen::ComputeFullV);
  const MatrixXcd e =
      svd.singularValues()[6] * svd.matrixU().col(6) * svd.matrixV().col(6).adjoint();
  CHECK(e.operatorNorm() == Approx(distance.value).epsilon(level_accuracy));
  const Complex rightmost = core::eigenvalues(MatrixXcd(a + e))[0];
  CHECK(std::abs(rightmost.real()) < 1e-8);  // an eigenvalue's condition of 10 to 100 times ε
}

TEST_CASE("no point right of the pseudospectral abscissa is in the pseudospectrum", "[transient]") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const MatrixXd a = random_matrix(6, 6, "a", seed);
    for (const double epsilon : {1e-3, 0.1, 0.7}) {
      CAPTURE(seed, epsilon);
      const PseudospectralAbscissa abscissa = pseudospectral_abscissa(a, epsilon);
      CHECK(abscissa.reason.empty());
      CHECK(abscissa.at.imag() >= 0);
      CHECK(dense_sigma(a, abscissa.at) == Approx(epsilon).epsilon(level_accuracy));
      const double excess = abscissa.value - core::spectral_abscissa(a);
      CHECK(excess >= epsilon * (1 - level_accuracy));
      const double right = abscissa.value + level_accuracy * excess;
      for (int k = 0; k <= 300; ++k) CHECK(dense_sigma(a, {right, 0.02 * k}) > epsilon);
    }
  }
}

TEST_CASE("the distance to instability is the ε whose pseudospectral abscissa is 0",
          "[transient]") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const MatrixXd a = with_abscissa(random_matrix(9, 9, "a", seed), -0.3);
    const DistanceToInstability distance = distance_to_instability(a);
    CHECK(pseudospectral_abscissa(a, distance.value).value ==
          Approx(0).margin(0.3 * 2 * level_accuracy));
  }
}

TEST_CASE("time scales of seven decades are resolved side by side", "[transient]") {
  // Fast at 1e4, slow at 1e-3: ‖e^{At}‖ rises within 1e-4 to √2 and falls within 1e3.
  const MatrixXd a = triangular(-1e4, 1e4, -1e-3);
  double most = 1;
  for (const double t : spread(1e-6, 1e4, 2000)) most = std::max(most, norm_at(a, t));
  const TransientGrowth growth = transient_growth(a);
  CHECK(growth.reason.empty());
  CHECK(growth.value == Approx(most).epsilon(1e-5));  // 1 % steps about a quadratic peak
  CHECK(growth.value >= most);
  CHECK(kreiss_constant(a).value <= growth.value);
  // To first order in the ratio of the rates σ(0) = 1e-3/√2.
  CHECK(distance_to_instability(a).value == Approx(1e-3 / std::sqrt(2)).epsilon(1e-5));
  CHECK(pseudospectral_abscissa(a, 1e-5).value > -1e-3);

  // The same numbers where the unit of time is another.
  const MatrixXd b = with_abscissa(random_matrix(5, 5, "b"), -0.1);
  const TransientGrowth ours = transient_growth(b), theirs = transient_growth(1e-8 * b);
  CHECK(theirs.value == Approx(ours.value).epsilon(1e-9));
  CHECK(theirs.time == Approx(1e8 * ours.time).epsilon(1e-4));
  CHECK(kreiss_constant(1e-8 * b).value == Approx(kreiss_constant(b).value).epsilon(1e-6));
}

TEST_CASE("a search over many swings of a weakly damped oscillation is complete", "[transient]") {
  // Grcar's matrix, shifted: hundreds of swings before the norm falls to 1.
  const Index n = 8;
  MatrixXd a = MatrixXd::Zero(n, n);
  for (Index k = 0; k < 4; ++k) a.diagonal(k).setOnes();
  a.diagonal(-1).setConstant(-1);
  a = with_abscissa(a, -0.002);
  const TransientGrowth growth = transient_growth(a);
  CHECK(growth.reason.empty());
  CHECK(growth.upper_bound <= 1.001 * growth.value);
  const double grid = largest_norm(a, 100, 20000);
  CHECK(growth.value >= grid * (1 - 1e-9));
  CHECK(grid <= growth.upper_bound);
}

TEST_CASE("an unstable matrix has no bound, and the reason says so", "[transient]") {
  const MatrixXd a = triangular(0.5, 3, -1);
  const TransientGrowth growth = transient_growth(a);
  CHECK(growth.value == infinity);
  CHECK(growth.reason.find("0.5") != std::string::npos);
  const KreissConstant kreiss = kreiss_constant(a);
  CHECK(kreiss.value == infinity);
  CHECK(kreiss.reason.find("0.5") != std::string::npos);
  CHECK(distance_to_instability(a).value == 0);
  CHECK(pseudospectral_abscissa(a, 0.1).value > 0.6);
}

TEST_CASE("integrators tend to a projection, whose norm is the bound", "[transient]") {
  // A = [0, c; 0, −1]: e^{At} → [1, c; 0, 0].
  const MatrixXd a = triangular(0, 3, -1);
  const TransientGrowth growth = transient_growth(a);
  CHECK(growth.reason.empty());
  CHECK(growth.value == Approx(std::sqrt(10)).epsilon(1e-9));
  CHECK(growth.time == infinity);
  CHECK(growth.upper_bound <= 1.001 * growth.value);
  // Re z ‖(zI − A)⁻¹‖ tends to the same norm, and is only known from below.
  const KreissConstant kreiss = kreiss_constant(a);
  CHECK(kreiss.value == Approx(std::sqrt(10)).epsilon(1e-6));
  CHECK_FALSE(kreiss.reason.empty());
  CHECK(kreiss.upper_bound == infinity);
  CHECK(distance_to_instability(a).value == 0);
}

TEST_CASE("an integrator of an integrator grows for ever", "[transient]") {
  MatrixXd a = MatrixXd::Zero(3, 3);
  a(0, 1) = 1;
  a(2, 2) = -1;
  const TransientGrowth growth = transient_growth(a);
  CHECK(growth.value == infinity);
  CHECK(growth.reason.find("semisimple") != std::string::npos);
  const KreissConstant kreiss = kreiss_constant(a);
  CHECK(kreiss.value == infinity);
  CHECK(kreiss.reason.find("semisimple") != std::string::npos);
}

TEST_CASE("an undamped oscillation gives a lower bound", "[transient]") {
  MatrixXd a(2, 2);
  a << 0, 4, -1, 0;  // ‖e^{At}‖ swings between 1 and 2
  const TransientGrowth growth = transient_growth(a, {.evaluations = 2000});
  CHECK(growth.value == Approx(2).epsilon(1e-9));
  CHECK(growth.upper_bound == infinity);
  CHECK(growth.reason.find("lower bound") != std::string::npos);
  CHECK(distance_to_instability(a).frequency == Approx(2));
}

TEST_CASE("a search that runs out of evaluations says that it is a lower bound", "[transient]") {
  const MatrixXd a = triangular(-1, 1e6, -1);
  const TransientGrowth growth = transient_growth(a, {.evaluations = 20});
  CHECK(growth.reason.find("lower bound") != std::string::npos);
  CHECK(growth.value <= 1e6 / std::exp(1) * (1 + 1e-9));
  CHECK(growth.value > 1e4);
  CHECK(growth.upper_bound >= 1e6 / std::exp(1));
}

TEST_CASE("a resolvent that is lost in rounding is told", "[transient]") {
  MatrixXd a = -MatrixXd::Identity(6, 6);
  a.diagonal(1).setConstant(1e4);  // σ(0) ≈ 1e-20
  CHECK(kreiss_constant(a).reason.find("rounding") != std::string::npos);
  CHECK(distance_to_instability(a).value < 1e-10);
  const PseudospectralAbscissa lost = pseudospectral_abscissa(a, 1e-14);
  CHECK(std::isnan(lost.value));
  CHECK(lost.reason.find("rounding") != std::string::npos);
}

TEST_CASE("growth beyond the range of numbers is told", "[transient]") {
  MatrixXd a = -MatrixXd::Identity(60, 60);
  a.diagonal(1).setConstant(1e8);  // (1e8 t)⁵⁹/59! e^{−t}
  const TransientGrowth growth = transient_growth(a);
  CHECK(std::isnan(growth.value));
  CHECK(growth.reason.find("not finite") != std::string::npos);
}

TEST_CASE("what is not a matrix to compute with is told, never a crash", "[transient]") {
  MatrixXd nan = triangular(-1, 0, -1), inf = nan;
  nan(0, 1) = std::nan("");
  inf(0, 1) = infinity;
  for (const MatrixXd& a : {nan, inf, MatrixXd(1e200 * triangular(-1, 1, -1)),
                            MatrixXd(1e-200 * triangular(-1, 5, -1)), MatrixXd(0, 0)}) {
    CHECK(std::isnan(transient_growth(a).value));
    CHECK_FALSE(transient_growth(a).reason.empty());
    CHECK(std::isnan(pseudospectral_abscissa(a, 0.1).value));
    CHECK_FALSE(pseudospectral_abscissa(a, 0.1).reason.empty());
    CHECK(std::isnan(distance_to_instability(a).value));
    CHECK_FALSE(distance_to_instability(a).reason.empty());
    CHECK(std::isnan(kreiss_constant(a).value));
    CHECK_FALSE(kreiss_constant(a).reason.empty());
    CHECK(pseudospectrum(a).sigma.size() == 0);
    CHECK_FALSE(pseudospectrum(a).reason.empty());
  }
  CHECK_THROWS_AS(transient_growth(MatrixXd(2, 3)), std::invalid_argument);
  const MatrixXd a = triangular(-1, 1, -1);
  CHECK_THROWS_AS(transient_growth(a, {.tolerance = 0}), std::invalid_argument);
  CHECK_THROWS_AS(pseudospectral_abscissa(a, 0), std::invalid_argument);
  CHECK_THROWS_AS(kreiss_constant(a, 1e-9), std::invalid_argument);
  CHECK_THROWS_AS(pseudospectrum(a, {.re_points = 1}), std::invalid_argument);
  CHECK_THROWS_AS(pseudospectrum(a, {.region = Region{1, 1, 0, 1}}), std::invalid_argument);
}

TEST_CASE("a single state decays from 1", "[transient]") {
  const MatrixXd a = MatrixXd::Constant(1, 1, -2);
  CHECK(transient_growth(a).value == 1);
  CHECK(kreiss_constant(a).value == 1);
  CHECK(distance_to_instability(a).value == Approx(2).epsilon(level_accuracy));
  CHECK(pseudospectral_abscissa(a, 0.5).value == Approx(-1.5).epsilon(level_accuracy));
}

TEST_CASE("the grid holds the smallest singular values, mirrored about the real axis",
          "[transient]") {
  const MatrixXd a = random_matrix(7, 7, "a");
  const Pseudospectrum grid = pseudospectrum(a, {.re_points = 12, .im_points = 15});
  REQUIRE(grid.reason.empty());
  REQUIRE(grid.sigma.rows() == 15);
  REQUIRE(grid.sigma.cols() == 12);
  for (Index i = 0; i < 15; ++i)
    for (Index j = 0; j < 12; ++j)
      CHECK(grid.sigma(i, j) ==
            Approx(dense_sigma(a, {grid.re[j], grid.im[i]})).epsilon(level_accuracy));
  CHECK(grid.sigma == grid.sigma.colwise().reverse());
  CHECK(grid.im == -grid.im.reverse());

  const Region region{-1, 2, -0.5, 3};
  const Pseudospectrum part = pseudospectrum(a, {.region = region, .re_points = 4, .im_points = 8});
  CHECK(part.re[0] == Approx(-1));
  CHECK(part.re[3] == Approx(2));
  CHECK(part.im[0] == Approx(-0.5));
  CHECK(part.im[7] == Approx(3));
  CHECK(part.sigma(7, 3) == Approx(dense_sigma(a, {2, 3})).epsilon(level_accuracy));
}

TEST_CASE("the default region frames all eigenvalues and both half planes", "[transient]") {
  for (const MatrixXd& a : {random_matrix(9, 9, "a"), with_abscissa(random_matrix(9, 9, "a"), -5),
                            MatrixXd(MatrixXd::Zero(2, 2)), MatrixXd(-MatrixXd::Identity(3, 3))}) {
    const Region region = spectral_region(a);
    CHECK(region.re_min < 0);
    CHECK(region.re_max > 0);
    CHECK(region.im_min == -region.im_max);
    for (const Complex value : core::eigenvalues(a)) {
      CHECK(value.real() > region.re_min);
      CHECK(value.real() < region.re_max);
      CHECK(std::abs(value.imag()) < region.im_max);
    }
  }
}

TEST_CASE("the grid has the same bits for any number of threads", "[transient]") {
  const MatrixXd a = random_matrix(30, 30, "a");
  const PseudospectrumOptions options{.re_points = 20, .im_points = 21};
  const MatrixXd many = pseudospectrum(a, options).sigma;
  const test::ThreadLimit one(1);
  CHECK(pseudospectrum(a, options).sigma == many);
}
