// Every registered transfer function: slopes, ranges and parameters.
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

#include "sim/core/random.hpp"
#include "sim/core/transfer.hpp"

using namespace settle::core;

namespace {

double value_of(const TransferFunction& f, double x) {
  double r;
  f.value(&x, &r, 1);
  return r;
}
double slope_of(const TransferFunction& f, double x) {
  double d;
  f.slope(&x, &d, 1);
  return d;
}
double curvature_of(const TransferFunction& f, double x) {
  double c;
  f.curvature(&x, &c, 1);
  return c;
}

constexpr double infinity = std::numeric_limits<double>::infinity();

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }

// How many units in the last place of the exact number lie between it and what was found.
double ulps_off(double found, long double exact) {
  if (static_cast<double>(exact) == 0) return std::abs(found) == 0 ? 0 : infinity;
  int exponent = 0;
  std::frexp(static_cast<double>(exact), &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent - 53, -1074));
  return static_cast<double>(std::abs(static_cast<long double>(found) - exact)) / ulp;
}

// The largest such distance at numbers of either sign, evenly spread on [−30, 30] and by their
// logarithms between 1e-310 and 1000.
template <class Found, class Exact>
double worst_ulps(const Found& found, const Exact& exact) {
  const RandomStream random(1, "points");
  double worst = 0;
  const auto try_at = [&](double x) {
    const double off = ulps_off(found(x), exact(static_cast<long double>(x)));
    if (!(off <= worst)) worst = off;
  };
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    try_at(60 * random.uniform(i, 0) - 30);
    const double size = std::pow(10.0, 313 * random.uniform(i, 1) - 310);
    try_at(size);
    try_at(-size);
    try_at((2 * random.uniform(i, 2) - 1) * 800);
  }
  return worst;
}

// Away from kinks, which stand at 0 and, for saturating pieces, at 1.
const std::vector<double> points{-30.2, -3.1, -0.71, -0.013, 0.017, 0.39, 0.77, 1.9, 4.3, 31.7};

}  // namespace

TEST_CASE("every transfer function's slope and curvature are its derivatives") {
  for (const auto& entry : transfer_functions().entries()) {
    const auto f = entry.make();
    CAPTURE(entry.name);
    for (const double x : points) {
      CAPTURE(x);
      // Central differences at h = 1e-5: error h²φ‴/6 + ε|φ|/h ≈ 1e-10.
      const double h = 1e-5;
      CHECK(
          slope_of(*f, x) ==
          Approx((value_of(*f, x + h) - value_of(*f, x - h)) / (2 * h)).margin(1e-9).epsilon(1e-8));
      CHECK(
          curvature_of(*f, x) ==
          Approx((slope_of(*f, x + h) - slope_of(*f, x - h)) / (2 * h)).margin(1e-9).epsilon(1e-8));
    }
  }
}

TEST_CASE("every transfer function stays within its range and is finite for any finite input") {
  for (const auto& entry : transfer_functions().entries()) {
    const auto f = entry.make();
    CAPTURE(entry.name);
    const auto [low, high] = f->range();
    for (const double x : {-1e300, -750.0, -40.0, -1.0, 0.0, 1.0, 40.0, 750.0, 1e300}) {
      CAPTURE(x);
      CHECK(std::isfinite(value_of(*f, x)));
      CHECK(std::isfinite(slope_of(*f, x)));
      CHECK(value_of(*f, x) >= low);
      CHECK(value_of(*f, x) <= high);
    }
  }
}

TEST_CASE("every transfer function has slopes within their bounds, which some inputs come near") {
  for (const auto& entry : transfer_functions().entries()) {
    const auto f = entry.make();
    CAPTURE(entry.name);
    const auto [low, high] = f->slopes();
    double least = high, most = low;
    for (double x = -20; x <= 20; x += 0.01) {
      const double slope = slope_of(*f, x);
      least = std::min(least, slope);
      most = std::max(most, slope);
    }
    CHECK(least >= low);
    CHECK(most <= high);
    CHECK(least == Approx(low).margin(0.01));
    CHECK(most == Approx(high).margin(0.01));
  }
}

TEST_CASE("every transfer function reads back from what it writes") {
  for (const auto& entry : transfer_functions().entries()) {
    const Transfer f = entry.make();
    const Value written = write_transfer(f);
    const Transfer again = read_transfer(written, "transfer");
    CHECK(again->name() == entry.name);
    CHECK(write_transfer(again) == written);
  }
}

TEST_CASE("an unknown transfer function names the nearest") {
  try {
    read_transfer(Value("tahn"), "transfer");
    FAIL("no error");
  } catch (const InputError& error) {
    CHECK(std::string(error.what()).find("did you mean \"tanh\"") != std::string::npos);
  }
}

TEST_CASE("transfer functions made of exponentials are exact to a few units in the last place") {
  // Each is a handful of operations of half a unit each; std::tanh itself is up to 2 off.
  const auto value = [](const char* name) {
    return [f = transfer(name)](double x) { return value_of(*f, x); };
  };
  const auto slope = [](const char* name) {
    return [f = transfer(name)](double x) { return slope_of(*f, x); };
  };
  CHECK(worst_ulps(value("tanh"), [](long double x) { return std::tanh(x); }) <= 2.6);
  CHECK(worst_ulps(value("logistic"), [](long double x) { return 1 / (1 + std::exp(-x)); }) <= 2.6);
  CHECK(worst_ulps(value("softplus"), [](long double x) { return std::log1p(std::exp(x)); }) <=
        2.6);
  CHECK(worst_ulps(value("elu"), [](long double x) { return x > 0 ? x : std::expm1(x); }) <= 1.5);
  CHECK(worst_ulps(slope("softplus"), [](long double x) { return 1 / (1 + std::exp(-x)); }) <= 2.6);
  CHECK(worst_ulps(slope("elu"), [](long double x) { return x > 0 ? 1 : std::exp(x); }) <= 1.5);
  // Relative, also where tanh is 1 to rounding.
  CHECK(worst_ulps(slope("tanh"), [](long double x) {
          const long double c = std::cosh(x);
          return 1 / (c * c);
        }) <= 5);
  CHECK(worst_ulps(slope("logistic"), [](long double x) {
          const long double c = std::cosh(x / 2);
          return 1 / (4 * c * c);
        }) <= 5);
}

TEST_CASE("transfer functions are right at zero and infinity and keep what is not a number") {
  const auto tanh = transfer("tanh");
  for (const double sign : {1.0, -1.0}) {
    CHECK(bits(value_of(*tanh, sign * 0.0)) == bits(sign * 0.0));
    CHECK(value_of(*tanh, sign * infinity) == sign);
    CHECK(value_of(*tanh, sign * 1e300) == sign);
    CHECK(value_of(*tanh, sign * 5e-324) == sign * 5e-324);  // the smallest number
    CHECK(value_of(*tanh, sign * 1e-8) == sign * 1e-8);      // x³/3 is below half a unit
    CHECK(slope_of(*tanh, sign * infinity) == 0);
    CHECK(curvature_of(*tanh, sign * infinity) == 0);
  }
  CHECK(slope_of(*tanh, 0) == 1);
  CHECK(value_of(*transfer("logistic"), infinity) == 1);
  CHECK(value_of(*transfer("logistic"), -infinity) == 0);
  CHECK(value_of(*transfer("logistic"), 0) == 0.5);
  CHECK(value_of(*transfer("softplus"), infinity) == infinity);
  CHECK(value_of(*transfer("softplus"), -infinity) == 0);
  CHECK(value_of(*transfer("elu"), infinity) == infinity);
  CHECK(value_of(*transfer("elu"), -infinity) == -1);
  for (const auto& entry : transfer_functions().entries()) {
    CAPTURE(entry.name);
    CHECK(std::isnan(value_of(*entry.make(), std::nan(""))));
  }
}

TEST_CASE("tanh is odd to the bit and rises from each number to one a little larger") {
  const auto tanh = transfer("tanh");
  const RandomStream random(1, "points");
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    const double x = 8 * random.uniform(i) * random.uniform(i, 1);
    const double t = value_of(*tanh, x);
    if (value_of(*tanh, -x) != -t) FAIL("not odd at " << x);
    // Eight units in the last place of x move tanh x by more than its rounding as long as φ′ x/φ > ½.
    if (x < 1 && value_of(*tanh, x + 8 * x * 0x1p-52) < t) FAIL("falls after " << x);
    if (value_of(*tanh, x + 1e-3) < t) FAIL("falls after " << x);
  }
}

TEST_CASE("a number's bits do not depend on where it stands among others") {
  const RandomStream random(1, "points");
  constexpr Eigen::Index length = 67;
  std::vector<double> x(length), alone(length), together(length);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 3 * random.normal(i);
  x[5] = infinity;
  x[11] = -infinity;
  x[12] = 800;
  x[13] = -740;
  using Apply = void (TransferFunction::*)(const double*, double*, Eigen::Index) const;
  const std::vector<std::pair<const char*, Apply>> functions = {
      {"value", &TransferFunction::value},
      {"slope", &TransferFunction::slope},
      {"curvature", &TransferFunction::curvature}};
  for (const auto& entry : transfer_functions().entries()) {
    const auto f = entry.make();
    for (const auto& [name, apply] : functions) {
      CAPTURE(entry.name, name);
      for (std::size_t i = 0; i < x.size(); ++i) (f.get()->*apply)(&x[i], &alone[i], 1);
      std::size_t different = 0;
      for (Eigen::Index first = 0; first < 9; ++first)
        for (Eigen::Index n = 0; first + n <= length; ++n) {
          std::fill(together.begin(), together.end(), -7.0);
          (f.get()->*apply)(x.data() + first, together.data() + first, n);
          for (Eigen::Index i = 0; i < length; ++i) {
            const auto at = static_cast<std::size_t>(i);
            const bool within = i >= first && i < first + n;
            different += bits(together[at]) != bits(within ? alone[at] : -7.0);
          }
        }
      CHECK(different == 0);
      // In place.
      together = x;
      (f.get()->*apply)(together.data(), together.data(), length);
      different = 0;
      for (std::size_t i = 0; i < x.size(); ++i) different += bits(together[i]) != bits(alone[i]);
      CHECK(different == 0);
    }
  }
}
