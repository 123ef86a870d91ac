#include <Eigen/Dense>
#include <catch2/catch.hpp>
#include <cmath>
#include <complex>
#include <limits>
#include <numbers>
#include <stdexcept>

#include "analysis/frequency.hpp"
#include "analysis/root_finding.hpp"
#include "sim/core/linalg.hpp"
#include "sim/core/random.hpp"

using namespace settle;
using namespace settle::analysis;

namespace {

using Complex = std::complex<double>;
constexpr double pi = std::numbers::pi;
constexpr double infinity = std::numeric_limits<double>::infinity();

// What the closed forms are compared to: ω and κ are refined to 1e-12 and 1e-10, of loops whose
// eigenvalues are as exact.
constexpr double exact = 1e-9;

MatrixXd random_matrix(Index rows, Index cols, const char* name, std::uint64_t seed = 1) {
  const core::RandomStream stream(seed, name);
  MatrixXd out(rows, cols);
  for (Index k = 0; k < out.size(); ++k)
    out.data()[k] = stream.normal(static_cast<std::uint64_t>(k));
  return out;
}

// L = (b₀ + b₁ s + …)/(a₀ + a₁ s + … + sⁿ), from {b} and {a₀ … a_{n−1}}, in companion form.
BrokenLoop quotient(const std::vector<double>& numerator, const std::vector<double>& denominator) {
  const auto n = static_cast<Index>(denominator.size());
  BrokenLoop loop{MatrixXd::Zero(n, n), MatrixXd::Zero(n, 1), MatrixXd::Zero(1, n)};
  loop.a.diagonal(1).setOnes();
  for (Index k = 0; k < n; ++k) loop.a(n - 1, k) = -denominator[static_cast<std::size_t>(k)];
  loop.b(n - 1, 0) = 1;
  for (std::size_t k = 0; k < numerator.size(); ++k)
    loop.c(0, static_cast<Index>(k)) = -numerator[k];
  return loop;
}

std::vector<double> product(const std::vector<double>& p, const std::vector<double>& q) {
  std::vector<double> out(p.size() + q.size() - 1, 0);
  for (std::size_t i = 0; i < p.size(); ++i)
    for (std::size_t j = 0; j < q.size(); ++j) out[i + j] += p[i] * q[j];
  return out;
}

// Monic, without its leading coefficient.
std::vector<double> tail(std::vector<double> monic) {
  monic.pop_back();
  return monic;
}

// A leaky integrator and N unit lags in a row: L = g/((s + α)(s + 1)^N).
BrokenLoop chain(Index lags, double gain, double leak) {
  const Index n = lags + 1;
  BrokenLoop loop{MatrixXd::Zero(n, n), MatrixXd::Zero(n, 1), MatrixXd::Zero(1, n)};
  loop.a.diagonal().setConstant(-1);
  loop.a(0, 0) = -leak;
  loop.a.diagonal(-1).setOnes();
  loop.b(0, 0) = 1;
  loop.c(0, n - 1) = -gain;
  return loop;
}

// One layer with state (r, u), τ ṙ = −r + B u, τ_u u̇ = −α u + W r, broken between u and r.
BrokenLoop layer(const MatrixXd& w, const MatrixXd& b, double tau, double controller_tau,
                 double leak) {
  const Index n = w.cols(), m = w.rows();
  BrokenLoop loop{MatrixXd::Zero(n + m, n + m), MatrixXd::Zero(n + m, m), MatrixXd::Zero(m, n + m)};
  loop.a.topLeftCorner(n, n).diagonal().setConstant(-1 / tau);
  loop.a.bottomLeftCorner(m, n) = w / controller_tau;
  loop.a.bottomRightCorner(m, m).diagonal().setConstant(-leak / controller_tau);
  loop.b.topRows(n) = b / tau;
  loop.c.rightCols(m).setIdentity();
  return loop;
}

MatrixXcd return_ratio(const BrokenLoop& loop, double omega) {
  const MatrixXcd shifted =
      Complex(0, omega) * MatrixXcd::Identity(loop.a.rows(), loop.a.rows()) - loop.a;
  return -loop.c * shifted.inverse() * loop.b;
}

// max Re λ(A + f B C) of a complex factor f.
double abscissa(const BrokenLoop& loop, Complex factor) {
  return core::eigenvalues(MatrixXcd(loop.a + factor * (loop.b * loop.c)))[0].real();
}

// The rightmost pole of ẋ(t) = A x(t) + B C x(t − T): eigenvalues of the generator of its semigroup
// on [−T, 0], collocated at N + 1 Chebyshev points, which converge exponentially in N.
// Source: Breda, Maset and Vermiglio, SIAM J. Sci. Comput. 27 (2005) 482.
double abscissa_with_delay(const BrokenLoop& loop, double delay, Index order = 16) {
  const Index n = loop.a.rows();
  MatrixXd d(order + 1, order + 1);
  VectorXd x(order + 1), c(order + 1);
  for (Index i = 0; i <= order; ++i) {
    x[i] = std::cos(pi * static_cast<double>(i) / static_cast<double>(order));
    c[i] = (i == 0 || i == order ? 2 : 1) * (i % 2 == 0 ? 1 : -1);
  }
  for (Index i = 0; i <= order; ++i) {
    for (Index j = 0; j <= order; ++j) d(i, j) = i == j ? 0 : c[i] / c[j] / (x[i] - x[j]);
    d(i, i) = -d.row(i).sum();
  }
  d *= 2 / delay;
  MatrixXd generator = MatrixXd::Zero(n * (order + 1), n * (order + 1));
  for (Index i = 1; i <= order; ++i)
    for (Index j = 0; j <= order; ++j)
      generator.block(n * i, n * j, n, n).diagonal().setConstant(d(i, j));
  generator.topLeftCorner(n, n) = loop.a;
  generator.topRightCorner(n, n) = loop.b * loop.c;
  return core::spectral_abscissa(generator);
}

// At (ω, f) the loop is critical: |det(I + f L)| against what it is at other phases of f.
double critical(const BrokenLoop& loop, double omega, Complex factor) {
  const Index p = loop.b.cols();
  const auto det = [&](Complex f) {
    return std::abs(
        MatrixXcd(MatrixXcd::Identity(p, p) + f * return_ratio(loop, omega)).determinant());
  };
  return det(factor) / (det(factor) + det(-factor) + det(factor * Complex(0, 1)));
}

}  // namespace

// --- Margins in closed form -----------------------------------------------------------------------

TEST_CASE("an integrator alone bears 90°, a delay of π/2k and any gain", "[frequency]") {
  for (const double k : {1e-3, 1.0, 250.0}) {
    const StabilityMargins m = stability_margins(quotient({k}, {0}));
    CHECK(m.abscissa == Approx(-k));
    CHECK(m.phase.value == Approx(pi / 2).epsilon(exact));
    CHECK(m.phase.frequency == Approx(k).epsilon(exact));
    CHECK(m.phase_is_lag);
    CHECK(m.delay.value == Approx(pi / (2 * k)).epsilon(exact));
    CHECK(m.delay.frequency == Approx(k).epsilon(exact));
    CHECK(m.gain_up.value == infinity);
    CHECK(m.gain_up.reason == "no pole reaches the axis up to a gain of 1e+06");
    CHECK(std::isnan(m.gain_up.frequency));
    CHECK(m.gain_down.value == 0);
    CHECK_FALSE(m.gain_down.reason.empty());
    CHECK(m.phase.reason.empty());
    CHECK(m.delay.reason.empty());
  }
}

TEST_CASE("a chain of lags under an integrator has the closed-form gain limit", "[frequency]") {
  for (const Index lags : {2, 3, 4, 7}) {
    const double angle = pi / (2 * static_cast<double>(lags));
    const double limit = std::tan(angle) / std::pow(std::cos(angle), static_cast<double>(lags));
    const double gain = 0.3 * limit;
    const StabilityMargins m = stability_margins(chain(lags, gain, 0));
    CHECK(gain * m.gain_up.value == Approx(limit).epsilon(exact));
    CHECK(m.gain_up.frequency == Approx(std::tan(angle)).epsilon(exact));
    CHECK(m.gain_up.reason.empty());
    CHECK(m.gain_down.value == 0);
  }
  CHECK(stability_margins(chain(1, 5, 0)).gain_up.value == infinity);
}

TEST_CASE("the gain limit of two lags under a leaky integrator is 2(1+α)²", "[frequency]") {
  for (const double leak : {0.0, 0.01, 0.3, 2.0}) {
    const StabilityMargins m = stability_margins(chain(2, 0.5, leak));
    CHECK(0.5 * m.gain_up.value == Approx(2 * (1 + leak) * (1 + leak)).epsilon(exact));
    CHECK(m.gain_up.frequency == Approx(std::sqrt(1 + 2 * leak)).epsilon(exact));
  }
}

TEST_CASE("the phase margin of a second-order loop is the textbook's", "[frequency]") {
  // L = ω_n²/(s (s + 2ζω_n)): tan(PM) = 2ζ/√(√(1 + 4ζ⁴) − 2ζ²), at ω = ω_n √(√(1 + 4ζ⁴) − 2ζ²).
  for (const double zeta : {1e-4, 0.05, 0.3, 0.7, 2.0}) {
    const double natural = 3;
    const double x = std::sqrt(std::sqrt(1 + 4 * std::pow(zeta, 4)) - 2 * zeta * zeta);
    const StabilityMargins m =
        stability_margins(quotient({natural * natural}, {0, 2 * zeta * natural}));
    const double phase = std::atan2(2 * zeta, x);
    CHECK(m.phase.value == Approx(phase).epsilon(exact));
    CHECK(m.phase.frequency == Approx(natural * x).epsilon(exact));
    CHECK(m.phase_is_lag);
    CHECK(m.delay.value == Approx(phase / (natural * x)).epsilon(exact));
    CHECK(m.gain_up.value == infinity);
  }
}

TEST_CASE("a conditionally stable loop has a gain margin on both sides", "[frequency]") {
  // L = K (s + 1)²/(s³ (1 + εs)²) is real where atan ω − atan εω = 45°, so ε ω² − (1 − ε) ω + 1 = 0,
  // at −K (1 + ω²)/(ω³ (1 + ε²ω²)).
  const double e = 0.02, gain = 5;
  const std::vector<double> denominator =
      tail(product({0, 0, 0, 1}, {1 / (e * e), 2 / e, 1}));  // divided by ε²
  const BrokenLoop loop =
      quotient({gain / (e * e), 2 * gain / (e * e), gain / (e * e)}, denominator);
  const double root = std::sqrt((1 - e) * (1 - e) - 4 * e);
  const auto critical_gain = [&](double w) {
    return w * w * w * (1 + e * e * w * w) / (1 + w * w);
  };
  const double low = (1 - e - root) / (2 * e), high = (1 - e + root) / (2 * e);
  const StabilityMargins m = stability_margins(loop);
  CHECK(gain * m.gain_down.value == Approx(critical_gain(low)).epsilon(exact));
  CHECK(m.gain_down.frequency == Approx(low).epsilon(exact));
  CHECK(gain * m.gain_up.value == Approx(critical_gain(high)).epsilon(exact));
  CHECK(m.gain_up.frequency == Approx(high).epsilon(exact));
}

TEST_CASE("a layer whose W B has a complex pair has the exact gain limit", "[frequency]") {
  // (τ_u + ατ)² (α − κ a) = τ τ_u κ² b², for the larger of two pairs a ± ib.
  const double tau = 0.7, controller_tau = 1.9, leak = 0.2;
  const double a = -0.4, b = 1.5;
  MatrixXd w = MatrixXd::Zero(4, 4);
  w.topLeftCorner(2, 2) << a, b, -b, a;
  w.bottomRightCorner(2, 2) << -1, 0.1, -0.1, -1;
  const MatrixXd basis = random_matrix(4, 4, "basis");
  const double square = std::pow(controller_tau + leak * tau, 2);
  const double quadratic = tau * controller_tau * b * b;
  const double limit =
      (-square * a + std::sqrt(square * square * a * a + 4 * quadratic * square * leak)) /
      (2 * quadratic);
  const double start = limit / 3.7;
  const BrokenLoop loop = layer(w * basis, start * basis.inverse(), tau, controller_tau, leak);
  const StabilityMargins m = stability_margins(loop);
  CHECK(m.gain_up.value == Approx(3.7).epsilon(exact));
  CHECK(m.gain_down.value == 0);
}

TEST_CASE("a loop that an open unstable pole needs may not be weakened below a real pole's gain",
          "[frequency]") {
  // L = k/(s − 1): s = 1 − k, a real pole that crosses at k = 1.
  const StabilityMargins m = stability_margins(quotient({4}, {-1}));
  CHECK(m.gain_down.value == Approx(0.25).epsilon(exact));
  CHECK(m.gain_down.frequency == 0);
  CHECK(m.gain_up.value == infinity);
  // |L| = 1 at ω = √15, where arg L = −π + atan √15.
  CHECK(m.phase.value == Approx(std::atan(std::sqrt(15))).epsilon(exact));
  CHECK(m.delay.value == Approx(std::atan(std::sqrt(15)) / std::sqrt(15)).epsilon(exact));
}

TEST_CASE("positive feedback has its gain margin at a real pole", "[frequency]") {
  // L = −g/((s + 1)(s + 2)): the pole at 0 comes at g = 2.
  const StabilityMargins m = stability_margins(quotient({-0.8}, {2, 3}));
  CHECK(m.gain_up.value == Approx(2.5).epsilon(exact));
  CHECK(m.gain_up.frequency == 0);
  CHECK(m.phase.value == infinity);
  CHECK(m.phase.reason == "no locus reaches modulus 1");
  CHECK(m.delay.value == infinity);
  CHECK(m.delay.reason == "no locus reaches modulus 1");
}

TEST_CASE("a gain margin below the smallest trial gain is found all the same", "[frequency]") {
  CHECK(stability_margins(quotient({1}, {-1e-8})).gain_down.value == Approx(1e-8).epsilon(exact));
}

TEST_CASE("a loop that bears less lead than lag says so", "[frequency]") {
  // L = k s²/(s + 1)³ is on the circle at ω = ½ for this k, at a lead of 3 atan ½ from −1, and again
  // at the root of k²ω⁴ = (1 + ω²)³ above, at a lag of 2π − 3 atan ω.
  const double gain = std::pow(1.25, 1.5) / 0.25;
  const BrokenLoop loop = quotient({0, 0, gain}, {1, 3, 3});
  const StabilityMargins m = stability_margins(loop);
  CHECK_FALSE(m.phase_is_lag);
  CHECK(m.phase.value == Approx(3 * std::atan(0.5)).epsilon(exact));
  CHECK(m.phase.frequency == Approx(0.5).epsilon(exact));
  // u = 1 + ω² solves u³ − k²(u − 1)² = 0, of which u = 5/4 is one root.
  const double square = gain * gain;
  const double sum = square - 1.25, rest = square / 1.25;  // of the other two, and their product
  const double omega = std::sqrt((sum + std::sqrt(sum * sum - 4 * rest)) / 2 - 1);
  CHECK(m.delay.frequency == Approx(omega).epsilon(exact));
  CHECK(m.delay.value == Approx((2 * pi - 3 * std::atan(omega)) / omega).epsilon(exact));
}

// --- What a grid would miss --------------------------------------------------------------------------

TEST_CASE("a resonance that exceeds 1 between two frequencies is not missed", "[frequency]") {
  // L = 2gζω₀s/(s² + 2ζω₀s + ω₀²) = g/(1 + ix) with x = (ω² − ω₀²)/(2ζω₀ω): on the circle at
  // x = ±√(g² − 1), where arg(−L) = π − atan x.
  const double natural = 3.7;
  for (const double zeta : {0.3, 1e-3, 1e-6})
    for (const double g : {1.5, 1.001, 1 + 1e-7}) {
      const double s = 2 * zeta * natural;
      const StabilityMargins m = stability_margins(quotient({0, g * s}, {natural * natural, s}));
      const double x = std::sqrt((g - 1) * (g + 1));
      const double upper = s * x / 2 + std::sqrt(s * s * x * x / 4 + natural * natural);
      const double lower = natural * natural / upper;
      // Lightly damped poles are known to ε|p| of their distance ζ|p| from the axis; beside a
      // touch x is half as exact.
      const double tolerance = exact + 1e-14 / zeta + 1e-12 / (zeta * x);
      INFO(zeta << " " << g);
      CHECK(m.phase.value == Approx(pi - std::atan(x)).epsilon(tolerance));
      CHECK(m.delay.value ==
            Approx(std::min((pi - std::atan(x)) / upper, (pi + std::atan(x)) / lower))
                .epsilon(tolerance));
      // Of the other sign and divided by g², it stops short of −1: a gain margin of g, and nothing
      // on the circle. The closed loop's pole is a distance ζ(1 − 1/g) ω₀ from the axis.
      if (zeta * (g - 1) < 1e-10) continue;
      const StabilityMargins other =
          stability_margins(quotient({0, -s / g}, {natural * natural, s}));
      CHECK(other.gain_up.value == Approx(g).epsilon(exact + 1e-15 / zeta));
      CHECK(other.gain_up.frequency == Approx(natural).epsilon(exact));
      CHECK(other.phase.value == infinity);
    }
}

TEST_CASE("a resonance far above the crossover sets the margins", "[frequency]") {
  // k/s and a light resonance of residue small enough to leave the crossover alone: it passes 1 at
  // ω₀ only.
  const double k = 1, natural = 200, zeta = 1e-4, r = 3e-4;
  const double s = 2 * zeta * natural;
  // k/s + r ω₀²/(s² + 2ζω₀s + ω₀²), over one denominator.
  const BrokenLoop loop = quotient({k * natural * natural, k * s + r * natural * natural, k},
                                   {0, natural * natural, s});
  const StabilityMargins m = stability_margins(loop);
  CHECK(m.delay.frequency == Approx(natural).epsilon(1e-3));
  CHECK(m.delay.value < 2 * pi / natural);
  CHECK(m.phase.frequency == Approx(natural).epsilon(1e-3));
  const double t = m.delay.value, w = m.delay.frequency;
  CHECK(critical(loop, w, std::polar(1.0, -w * t)) < exact);
  // A search about the resonance in steps of a thousandth of its half-width finds the same crossing,
  // to some 1e-3.
  double least = infinity;
  Complex last = return_ratio(loop, natural * 0.99)(0, 0);
  for (double x = natural * 0.99; x < natural * 1.01; x += natural * 1e-7) {
    const Complex l = return_ratio(loop, x)(0, 0);
    if ((std::abs(l) < 1) != (std::abs(last) < 1)) least = std::min(least, std::abs(std::arg(-l)));
    last = l;
  }
  CHECK(m.phase.value == Approx(least).epsilon(1e-2));
}

TEST_CASE("a narrow window of unstable gains is found through the loci", "[frequency]") {
  // L = (s² + s + c)/(s³ + s² + s + d) with c = 2 + κ₁ + κ₂, d = 1 − κ₁κ₂ has the Hurwitz
  // determinant (κ − κ₁)(κ − κ₂): unstable between them. A second channel's slow pole hides it from
  // the spectral abscissa on both sides.
  const double first = 1.5, second = 1.5003;
  const double c = 2 + first + second, d = 1 - first * second;
  const BrokenLoop fast = quotient({c, 1, 1}, {d, 1, 1});
  BrokenLoop loop{MatrixXd::Zero(4, 4), MatrixXd::Zero(4, 2), MatrixXd::Zero(2, 4)};
  loop.a.topLeftCorner(3, 3) = fast.a;
  loop.a(3, 3) = -1e-4;
  loop.b.topLeftCorner(3, 1) = fast.b;
  loop.b(3, 1) = 1;
  loop.c.topLeftCorner(1, 3) = fast.c;
  loop.c(1, 3) = -1e-5;
  const auto f = [&](double gain) { return core::spectral_abscissa(closed_loop(loop, gain)); };
  REQUIRE_FALSE(nearest_sign_change(f, 1, f(1), 1e6).found());
  const StabilityMargins m = stability_margins(loop);
  CHECK(m.gain_up.value == Approx(first).epsilon(exact));
  CHECK(m.gain_up.frequency == Approx(std::sqrt(1 + first)).epsilon(exact));
  // And a real pole where c κ + d = 0.
  CHECK(m.gain_down.value == Approx(-d / c).epsilon(exact));
  CHECK(m.gain_down.frequency == 0);
}

// --- Against independent computations -----------------------------------------------------------------

TEST_CASE("margins of random loops are where the poles of the loop itself reach the axis",
          "[frequency]") {
  int with_up = 0, with_down = 0, with_delay = 0, leads = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Index n = 6, p = 3;
    BrokenLoop loop{random_matrix(n, n, "a", seed), random_matrix(n, p, "b", seed),
                    random_matrix(p, n, "c", seed)};
    // Two thirds of them stable without the loop; all of them with it.
    if (seed % 3 != 0) loop.a.diagonal().array() -= core::spectral_abscissa(loop.a) + 0.3;
    const double closed = core::spectral_abscissa(closed_loop(loop));
    if (closed > -0.05) loop.a.diagonal().array() -= closed + 0.05;
    const StabilityMargins m = stability_margins(loop);
    INFO("seed " << seed);
    REQUIRE(m.abscissa < 0);

    // Gain: stable everywhere between the two margins (trial gains 1 % apart), not beyond.
    const double up = std::min(m.gain_up.value, 1e3), down = std::max(m.gain_down.value, 1e-3);
    for (double kappa = down * 1.000001; kappa < up * 0.999999; kappa *= 1.01)
      CHECK(abscissa(loop, kappa) < 0);
    if (m.gain_up.value < 1e5) {
      ++with_up;
      CHECK(abscissa(loop, m.gain_up.value * (1 - 1e-7)) < 0);
      CHECK(abscissa(loop, m.gain_up.value * (1 + 1e-7)) > 0);
      CHECK(critical(loop, m.gain_up.frequency, m.gain_up.value) < 1e-7);
    }
    if (m.gain_down.value > 0) {
      ++with_down;
      CHECK(abscissa(loop, m.gain_down.value * (1 + 1e-7)) < 0);
      CHECK(abscissa(loop, m.gain_down.value * (1 - 1e-7)) > 0);
      CHECK(critical(loop, m.gain_down.frequency, m.gain_down.value) < 1e-7);
    }

    // Phase: the poles of A + e^{∓iθ} B C, which for a complex factor are not in pairs.
    const double theta = std::min(m.phase.value, pi);
    for (double x = -theta * 0.999; x < theta; x += theta / 20)
      CHECK(abscissa(loop, std::polar(1.0, x)) < 0);
    if (m.phase.value < infinity) {
      if (!m.phase_is_lag) ++leads;
      CHECK(std::abs(abscissa(loop, std::polar(1.0, theta))) < 1e-8);
      CHECK(critical(loop, m.phase.frequency, std::polar(1.0, m.phase_is_lag ? -theta : theta)) <
            1e-7);
    }

    // Delay: stable at shorter ones, critical there, unstable beyond.
    if (m.delay.value < 20) {
      ++with_delay;
      const double delay = m.delay.value;
      for (const double part : {0.1, 0.6, 0.999})
        CHECK(abscissa_with_delay(loop, part * delay) < 0);
      CHECK(abscissa_with_delay(loop, delay * 1.001) > 0);
      // The collocation has converged to 1e-8 at these delays.
      CHECK(std::abs(abscissa_with_delay(loop, delay, 24)) < 1e-7);
      CHECK(critical(loop, m.delay.frequency, std::polar(1.0, -delay * m.delay.frequency)) < 1e-7);
    }
  }
  // Enough of each kind was met.
  CHECK(with_up > 10);
  CHECK(with_down > 5);
  CHECK(with_delay > 20);
  CHECK(leads > 1);
}

TEST_CASE("a delay at the margin puts the rightmost root on the axis", "[frequency]") {
  for (const BrokenLoop& loop : {quotient({2}, {0}), chain(2, 0.6, 0.1), chain(3, 0.4, 0)}) {
    const double delay = stability_margins(loop).delay.value;
    CHECK(abscissa_with_delay(loop, delay * (1 - 1e-6)) < 0);
    CHECK(abscissa_with_delay(loop, delay * (1 + 1e-6)) > 0);
  }
}

// --- The frequency response -----------------------------------------------------------------------

TEST_CASE("the loci are the eigenvalues of the return ratio, with its singular values",
          "[frequency]") {
  const BrokenLoop loop{random_matrix(8, 8, "a"), random_matrix(8, 3, "b"),
                        random_matrix(3, 8, "c")};
  const FrequencyResponse r = frequency_response(loop, {.points = 40});
  REQUIRE(r.frequency.size() == 40);
  REQUIRE(r.loci.rows() == 40);
  REQUIRE(r.loci.cols() == 3);
  for (Index j = 0; j < 40; ++j) {
    const MatrixXcd l = return_ratio(loop, r.frequency[j]);
    VectorXcd direct = core::eigenvalues(l);
    const double small =
        1e-11 * l.norm();  // ε times the condition of iω − A and of L's eigenvectors
    for (Index k = 0; k < 3; ++k) {
      Index nearest = 0;
      CHECK((direct.array() - r.loci(j, k)).abs().minCoeff(&nearest) < small);
      direct[nearest] = infinity;  // each of them once
    }
    const VectorXd s = l.jacobiSvd().singularValues();
    CHECK(std::abs(r.largest[j] - s[0]) < small);
    CHECK(std::abs(r.smallest[j] - s[2]) < small);
  }
}

TEST_CASE("each locus is one continuous curve", "[frequency]") {
  // Three channels with loci in closed form, mixed by a constant matrix. Their moduli cross.
  const MatrixXd mix = random_matrix(3, 3, "mix");
  const BrokenLoop parts[] = {quotient({9}, {3, 1}), quotient({2}, {0.1}),
                              quotient({4, 1}, {16, 0.3})};
  BrokenLoop loop{MatrixXd::Zero(5, 5), MatrixXd::Zero(5, 3), MatrixXd::Zero(3, 5)};
  Index at = 0;
  for (Index k = 0; k < 3; ++k) {
    const Index n = parts[k].a.rows();
    loop.a.block(at, at, n, n) = parts[k].a;
    loop.b.block(at, k, n, 1) = parts[k].b;
    loop.c.block(k, at, 1, n) = parts[k].c;
    at += n;
  }
  loop.b = loop.b * mix;
  loop.c = mix.inverse() * loop.c;
  const FrequencyResponse r = frequency_response(loop);
  Index which[3];
  for (Index j = 0; j < r.frequency.size(); ++j)
    for (Index k = 0; k < 3; ++k) {
      VectorXcd exact_loci(3);
      for (Index l = 0; l < 3; ++l) exact_loci[l] = return_ratio(parts[l], r.frequency[j])(0, 0);
      if (j == 0) (exact_loci.array() - r.loci(0, k)).abs().minCoeff(&which[k]);
      CHECK(std::abs(exact_loci[which[k]] - r.loci(j, k)) < 1e-10 * exact_loci.norm());
    }
  for (Index k = 0; k + 1 < 3; ++k) CHECK(std::abs(r.loci(0, k)) >= std::abs(r.loci(0, k + 1)));
}

TEST_CASE("many loci of a random loop stay continuous", "[frequency]") {
  const BrokenLoop loop{random_matrix(40, 40, "a") / 6, random_matrix(40, 20, "b"),
                        random_matrix(20, 40, "c")};
  const FrequencyResponse r = frequency_response(loop, {.points = 1600});
  // A wrong join bends a curve by the distance to the other eigenvalue or more. Right ones bend
  // by the square of the step; most where two loci all but meet, at ω = 1.2, by a quarter of it.
  double worst = 0;
  for (Index j = 1; j + 1 < r.frequency.size(); ++j)
    for (Index k = 0; k < 20; ++k) {
      const Complex bend = r.loci(j + 1, k) - 2.0 * r.loci(j, k) + r.loci(j - 1, k);
      for (Index l = 0; l < 20; ++l)
        if (l != k) worst = std::max(worst, std::abs(bend) / std::abs(r.loci(j, l) - r.loci(j, k)));
    }
  CHECK(worst < 0.5);
}

TEST_CASE("the grid frames all poles and is dense about lightly damped ones", "[frequency]") {
  VectorXcd poles(4);
  poles << Complex(-0.01, 5), Complex(-0.01, -5), -0.2, -70;
  const VectorXd grid = frequency_grid(poles);
  REQUIRE(grid.size() == 400);
  CHECK(grid[0] == Approx(0.02));
  CHECK(grid[399] == Approx(700));
  Index inside = 0;
  for (Index j = 0; j + 1 < grid.size(); ++j) {
    CHECK(grid[j + 1] > grid[j]);
    // G is ln(700/0.02) + 2 (ln(5/0.01) + O(1)), about 26, over 399 steps.
    CHECK(grid[j + 1] / grid[j] < 1.08);
    if (std::abs(grid[j] - 5) < 0.01) ++inside;
  }
  CHECK(inside >= 20);  // 2 asinh(1)/26 of 399 = 27
  // Poles that are 0, or so but for rounding, frame nothing.
  poles << 0, 1e-18, -1, -2;
  CHECK(frequency_grid(poles, {.points = 2})[0] == Approx(0.1));
  CHECK(frequency_grid(poles, {.points = 2})[1] == Approx(20));
  CHECK(frequency_grid(VectorXcd(0))[399] == Approx(10));
  CHECK(frequency_grid(VectorXcd::Zero(2))[0] == Approx(0.1));
  const VectorXd wanted = frequency_grid(poles, {.points = 50, .lowest = 3, .highest = 4});
  CHECK(wanted[0] == 3);
  CHECK(wanted[49] == 4);
}

TEST_CASE("a frequency upon an undamped pole of the open loop is moved aside", "[frequency]") {
  // Poles at ±2i; the grid's two ends are 1 and 2.
  const BrokenLoop loop = quotient({0, 1}, {4, 0});
  const FrequencyResponse r = frequency_response(loop, {.points = 2, .lowest = 1, .highest = 2});
  CHECK(r.frequency[1] == Approx(2).epsilon(1e-6));
  CHECK(r.loci.allFinite());
  // L = s/(s² + 4) is purely imaginary on the axis: −1 is a quarter turn away at |L| = 1.
  const StabilityMargins m = stability_margins(loop);
  CHECK(m.phase.value == Approx(pi / 2).epsilon(exact));
  CHECK(m.gain_down.value == 0);
  CHECK(m.gain_up.value == infinity);
}

// --- Ends of the range ----------------------------------------------------------------------------

TEST_CASE("a loop that is too wide for its rank has the margins of the narrow one", "[frequency]") {
  const MatrixXd w = 2 * random_matrix(2, 3, "w");
  const BrokenLoop narrow = layer(w, -w.transpose(), 1, 1, 0.1);
  const MatrixXd widening = random_matrix(2, 5, "widening");
  // C′ = V⁺C and B′ = B V have B′C′ = BC and three loci that are 0.
  const BrokenLoop wide{narrow.a, narrow.b * widening,
                        widening.completeOrthogonalDecomposition().pseudoInverse() * narrow.c};
  const StabilityMargins m = stability_margins(narrow), same = stability_margins(wide);
  REQUIRE(m.delay.value < infinity);
  CHECK(same.gain_up.value == Approx(m.gain_up.value).epsilon(exact));
  CHECK(same.gain_down.value == Approx(m.gain_down.value).epsilon(exact));
  CHECK(same.phase.value == Approx(m.phase.value).epsilon(exact));
  CHECK(same.delay.value == Approx(m.delay.value).epsilon(exact));
  const FrequencyResponse r = frequency_response(wide, {.points = 20});
  for (Index k = 2; k < 5; ++k)
    // The zeros are found to ε‖L‖ times a condition of some hundred.
    CHECK((r.loci.col(k).array().abs() < 1e-12 * r.largest.array()).all());
}

TEST_CASE("a closed loop that is not stable has no margins, and says why", "[frequency]") {
  const StabilityMargins unstable = stability_margins(chain(2, 3, 0));
  CHECK(unstable.abscissa > 0);
  for (const Margin& m : {unstable.gain_up, unstable.gain_down, unstable.phase, unstable.delay}) {
    CHECK(std::isnan(m.value));
    CHECK(std::isnan(m.frequency));
    CHECK(m.reason.find("the closed loop is unstable: max Re λ = ") == 0);
  }
  // An expanding layer without leak: one pole at 0 that only integrates.
  const MatrixXd w = random_matrix(3, 2, "w");
  const StabilityMargins on_axis = stability_margins(layer(w, -w.transpose(), 1, 1, 0));
  for (const Margin& m : {on_axis.gain_up, on_axis.gain_down, on_axis.phase, on_axis.delay}) {
    CHECK(std::isnan(m.value));
    CHECK(m.reason.find("the closed loop has a pole on the axis: max Re λ = ") == 0);
  }
  // The response exists all the same.
  CHECK(frequency_response(chain(2, 3, 0), {.points = 10}).loci.allFinite());
}

TEST_CASE("loops without states, channels or gain bear everything", "[frequency]") {
  const auto zero = [](Index n, Index p) {
    return BrokenLoop{-MatrixXd::Identity(n, n), MatrixXd::Zero(n, p), MatrixXd::Zero(p, n)};
  };
  for (const auto& [n, p] : {std::pair{0, 0}, std::pair{0, 2}, std::pair{3, 0}, std::pair{3, 2}}) {
    const StabilityMargins m = stability_margins(zero(n, p));
    CHECK(m.abscissa == (n == 0 ? -infinity : -1));
    CHECK(m.gain_up.value == infinity);
    CHECK(m.gain_down.value == 0);
    CHECK(m.phase.value == infinity);
    CHECK(m.delay.value == infinity);
    for (const Margin& each : {m.gain_up, m.gain_down, m.phase, m.delay})
      CHECK_FALSE(each.reason.empty());
    const FrequencyResponse r = frequency_response(zero(n, p), {.points = 7});
    CHECK(r.frequency.size() == 7);
    CHECK(r.loci.rows() == 7);
    CHECK(r.loci.cols() == p);
    CHECK(r.loci.isZero());
    CHECK(r.largest.isZero());
  }
}

TEST_CASE("loops and options that make no sense are refused", "[frequency]") {
  const BrokenLoop loop = chain(2, 0.5, 0);
  CHECK_THROWS_AS(stability_margins({loop.a, loop.b, loop.c.transpose()}), std::invalid_argument);
  CHECK_THROWS_AS(frequency_response({loop.a, loop.c, loop.c}), std::invalid_argument);
  BrokenLoop infinite = loop;
  infinite.a(0, 0) = infinity;
  CHECK_THROWS_AS(stability_margins(infinite), std::invalid_argument);
  CHECK_THROWS_AS(stability_margins(loop, {.gain_limit = 1}), std::invalid_argument);
  CHECK_THROWS_AS(stability_margins(loop, {.gain_step = 1}), std::invalid_argument);
  CHECK_THROWS_AS(stability_margins(loop, {.samples = 10}), std::invalid_argument);
  CHECK_THROWS_AS(frequency_response(loop, {.points = 1}), std::invalid_argument);
  CHECK_THROWS_AS(frequency_response(loop, {.lowest = -1}), std::invalid_argument);
  CHECK_THROWS_AS(frequency_response(loop, {.lowest = 2, .highest = 1}), std::invalid_argument);
}

TEST_CASE("margins of loci that the samples don't resolve say so", "[frequency]") {
  // Thirty resonances in one channel, each of which takes some hundred samples.
  const Index count = 30;
  BrokenLoop loop{MatrixXd::Zero(2 * count, 2 * count), MatrixXd::Zero(2 * count, 1),
                  MatrixXd::Zero(1, 2 * count)};
  for (Index k = 0; k < count; ++k) {
    const double natural = 1 + 0.1 * static_cast<double>(k), damping = 1e-6;
    loop.a.block(2 * k, 2 * k, 2, 2) << 0, natural, -natural, -2 * damping * natural;
    loop.b(2 * k + 1, 0) = 3e-3;
    loop.c(0, 2 * k + 1) = -3e-3;
  }
  const StabilityMargins few = stability_margins(loop, {.samples = 200});
  for (const Margin& m : {few.gain_up, few.gain_down, few.phase, few.delay})
    CHECK(m.reason.find("a nearer one may be missed") != std::string::npos);
  const StabilityMargins enough = stability_margins(loop, {.samples = 20000});
  // L is positive real: a quarter turn at least.
  CHECK(enough.phase.value >= pi / 2);
  CHECK(enough.phase.reason.empty());
}

TEST_CASE("the limit of the gain's search is where it says it ends", "[frequency]") {
  // Its margin is 4/0.001 = 4000.
  const StabilityMargins m = stability_margins(chain(2, 0.0005, 0), {.gain_limit = 1000});
  CHECK(m.gain_up.value == infinity);
  CHECK(m.gain_up.reason == "no pole reaches the axis up to a gain of 1000");
  CHECK(stability_margins(chain(2, 0.0005, 0)).gain_up.value == Approx(4000).epsilon(exact));
}
