#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "analysis/root_finding.hpp"

using namespace settle::analysis;

namespace {

constexpr double not_there = std::numeric_limits<double>::quiet_NaN();

SignChange search(const ScalarFunction& f, double start, double limit,
                  const ScanOptions& options = {}) {
  return nearest_sign_change(f, start, f(start), limit, options);
}

// −1, and +1 in a smooth window of half-width `width` about `center`.
ScalarFunction window(double center, double width) {
  return [=](double x) {
    const double z = (x - center) / width;
    return 2 * std::exp(-std::log(2) * z * z) - 1;
  };
}

}  // namespace

TEST_CASE("a change of sign is found to ten digits on either side, in both spacings",
          "[root_finding]") {
  const auto f = [](double x) { return std::log(x) * (x - 7) * (x - 40); };
  const ScanOptions linear{.spacing = Spacing::linear};
  // The promised tolerance.
  for (const ScanOptions& options : {ScanOptions{}, linear}) {
    CHECK(search(f, 10, 100, options).where == Approx(40).epsilon(1e-10));
    CHECK(search(f, 10, 0.1, options).where == Approx(7).epsilon(1e-10));
    CHECK(search(f, 5, 0.1, options).where == Approx(1).epsilon(1e-10));
  }
  const auto g = [](double x) { return x * x - 2; };
  CHECK(search(g, -10, -1e-3).where == Approx(-std::sqrt(2)).epsilon(1e-10));
  // Through 0, where only the absolute tolerance of 1e-12 of the way helps.
  const SignChange at_zero = search([](double x) { return std::sinh(x); }, -3, 4, linear);
  REQUIRE(at_zero.found());
  CHECK(std::abs(at_zero.where) < 7e-12);
}

TEST_CASE("of several changes of sign the nearest is found", "[root_finding]") {
  const auto f = [](double x) { return std::sin(x); };
  CHECK(search(f, 1, 100, {.spacing = Spacing::linear}).where == Approx(std::acos(-1)));
  CHECK(search(f, 1, 100).where == Approx(std::acos(-1)));
  CHECK(search(f, 50, 1).where == Approx(15 * std::acos(-1)));
}

TEST_CASE("the bracket has the start's sign before and the other after", "[root_finding]") {
  const auto f = [](double x) { return std::cos(x); };
  for (const double limit : {10.0, -10.0}) {
    const SignChange found = search(f, 0, limit, {.spacing = Spacing::linear});
    REQUIRE(found.found());
    CHECK(f(found.before) >= 0);
    CHECK(f(found.after) <= 0);
    CHECK(std::abs(found.before) <= std::abs(found.where));
    CHECK(std::abs(found.where) <= std::abs(found.after));
    CHECK(std::abs(found.after - found.before) <= 2e-10);  // 1e-10 of π/2
  }
}

TEST_CASE("a zero that is hit exactly counts, at the start too", "[root_finding]") {
  const auto f = [](double x) { return x - 1; };
  const SignChange at_start = search(f, 1, 10);
  CHECK(at_start.found());
  CHECK(at_start.where == 1);
  CHECK(at_start.evaluations == 0);
  // 3 is the end of the way, and f touches 0 there.
  const SignChange at_end = search([](double x) { return (x - 3) * (x - 3); }, 2, 3);
  CHECK(at_end.found());
  CHECK(at_end.where == 3);
}

TEST_CASE("without a change of sign the search ends at the limit and says so", "[root_finding]") {
  const SignChange ended = search([](double) { return -1.0; }, 1, 1e6);
  CHECK_FALSE(ended.found());
  CHECK(ended.end == SignChange::End::limit);
  CHECK(ended.ended_at == 1e6);
  CHECK(std::isnan(ended.where));
  CHECK(ended.reason == "no change of sign up to 1e+06");
  const SignChange nowhere = search([](double) { return -1.0; }, 2, 2);
  CHECK(nowhere.end == SignChange::End::limit);
  CHECK(nowhere.evaluations == 0);
}

TEST_CASE("a function that ceases to exist ends the search there", "[root_finding]") {
  const auto f = [](double x) { return x > 2 ? not_there : 0.5 + std::sqrt(2 - x); };
  for (const Spacing spacing : {Spacing::linear, Spacing::logarithmic}) {
    const SignChange ended = search(f, 0.5, 10, {.spacing = spacing});
    CHECK(ended.end == SignChange::End::ceased);
    CHECK(ended.ended_at == Approx(2).epsilon(2e-6));  // narrowed down to 1e-6
    CHECK(ended.ended_at <= 2);
    CHECK(ended.reason.find("ceases to exist") == 0);
  }
  const SignChange never = search([](double) { return not_there; }, 1, 10);
  CHECK(never.end == SignChange::End::ceased);
  CHECK(never.ended_at == 1);
}

TEST_CASE("a change of sign just before a function ceases to exist is found", "[root_finding]") {
  // √(2 − x) = 0.01 at x = 1.9999, a hundredth of a step before the end.
  const auto f = [](double x) { return x > 2 ? not_there : std::sqrt(2 - x) - 0.01; };
  const SignChange found = search(f, 0.5, 10);
  REQUIRE(found.found());
  CHECK(found.where == Approx(1.9999).epsilon(1e-10));
}

TEST_CASE("a hole inside the bracket ends the search at its near edge", "[root_finding]") {
  // A step of 0.1 leads from f < 0 to f > 0 over the hole from 1.01 to 1.09.
  const auto f = [](double x) { return x > 1.01 && x < 1.09 ? not_there : x - 1.05; };
  const SignChange ended =
      search(f, 1, 2, {.spacing = Spacing::linear, .first_step = 0.1, .largest_fraction = 0.1});
  CHECK(ended.end == SignChange::End::ceased);
  CHECK(ended.ended_at == Approx(1.01).epsilon(2e-6));
}

TEST_CASE("a window narrower than a step is found by the dip beside it", "[root_finding]") {
  // Of width 1e-4 where the steps are 0.15: only the parabola of f's neighbours shows it.
  const auto f = [](double x) { return std::pow(std::log(x / 50), 2) - 2.5e-9; };
  const SignChange found = search(f, 1, 1e4);
  REQUIRE(found.found());
  CHECK(found.where == Approx(50 * std::exp(-5e-5)).epsilon(1e-10));
  // And one that stays above 0 is not.
  const auto above = [](double x) { return std::pow(std::log(x / 50), 2) + 2.5e-9; };
  CHECK(search(above, 1, 1e4).end == SignChange::End::limit);
}

TEST_CASE("a window as wide as a step is found without a dip", "[root_finding]") {
  // Half-width 0.08 in 1, steps of 0.15: one of them falls inside.
  for (const double center : {1.7, 23.0, 456.0, 7890.0})
    CHECK(search(window(center, 0.08 * center), 1, 1e5).where ==
          Approx(0.92 * center).epsilon(1e-10));
  // Beside the start the steps are 1e-3.
  CHECK(search(window(1.002, 0.001), 1, 1e5).where == Approx(1.001).epsilon(1e-9));
}

TEST_CASE("a spike is found where its place is told", "[root_finding]") {
  const ScalarFunction spike = window(30, 1e-5);
  CHECK_FALSE(search(spike, 1, 100).found());
  for (const Spacing spacing : {Spacing::linear, Spacing::logarithmic}) {
    const SignChange told =
        search(spike, 1, 100, {.spacing = spacing, .also = {2000.0, 30.0, 30.0, 0.5, 1.0}});
    REQUIRE(told.found());
    CHECK(told.where == Approx(30 - 1e-5).epsilon(1e-10));
    const SignChange downwards = search(spike, 100, 1, {.spacing = spacing, .also = {30.0}});
    REQUIRE(downwards.found());
    CHECK(downwards.where == Approx(30 + 1e-5).epsilon(1e-10));
  }
}

TEST_CASE("infinite values do no harm, and every evaluation is counted", "[root_finding]") {
  int calls = 0;
  const auto f = [&](double x) {
    ++calls;
    return x < 3 ? -std::numeric_limits<double>::infinity() : x > 4 ? 1e300 : x - 3.5;
  };
  const SignChange found = nearest_sign_change(f, 1, -1, 10);
  REQUIRE(found.found());
  CHECK(found.where == Approx(3.5).epsilon(1e-10));
  CHECK(found.evaluations == calls);
  // ln(3.5)/ln(1.15) steps, ten before they are that long, and bisection where it is flat.
  CHECK(calls < 100);
}

TEST_CASE("a bracket that is known is refined, in either direction", "[root_finding]") {
  const auto f = [](double x) { return x * x * x - 2; };
  const double root = std::cbrt(2);
  CHECK(refined_sign_change(f, 1, f(1), 2, f(2), 1e-14).where == Approx(root).epsilon(1e-14));
  CHECK(refined_sign_change(f, 2, f(2), 1, f(1)).where == Approx(root).epsilon(1e-10));
  CHECK(refined_sign_change([](double x) { return x; }, 0, 0, 1, 1).where == 0);
  CHECK_THROWS_AS(refined_sign_change(f, 2, f(2), 3, f(3)), std::invalid_argument);
}

TEST_CASE("a search that makes no sense is refused", "[root_finding]") {
  const auto f = [](double x) { return x; };
  CHECK_THROWS_AS(search(f, 1, -1), std::invalid_argument);
  CHECK_THROWS_AS(search(f, 1, 0), std::invalid_argument);
  CHECK_THROWS_AS(search(f, 1, std::numeric_limits<double>::infinity()), std::invalid_argument);
  CHECK_THROWS_AS(search(f, 1, 2, {.first_step = 0}), std::invalid_argument);
  CHECK_THROWS_AS(search(f, 1, 2, {.growth = 0.9}), std::invalid_argument);
  CHECK_THROWS_AS(search(f, 1, 2, {.largest_ratio = 1}), std::invalid_argument);
  CHECK_THROWS_AS(search(f, 1, 2, {.spacing = Spacing::linear, .largest_fraction = 0}),
                  std::invalid_argument);
}
