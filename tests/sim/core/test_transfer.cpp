// Every registered transfer function: slopes, ranges and parameters.
#include <catch2/catch.hpp>
#include <cmath>

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
