// Curves on which a function of two parameters is zero.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>

#include "analysis/boundary.hpp"
#include "tests/support.hpp"

using namespace settle;
using namespace settle::analysis;
using settle::test::Index;

namespace {

PlaneGrid grid_of(std::vector<double> x, std::vector<double> y, const PlaneFunction& f) {
  PlaneGrid grid;
  grid.x = std::move(x);
  grid.y = std::move(y);
  grid.values.resize(static_cast<Index>(grid.x.size()), static_cast<Index>(grid.y.size()));
  for (Index i = 0; i < grid.values.rows(); ++i)
    for (Index j = 0; j < grid.values.cols(); ++j)
      grid.values(i, j) =
          f(grid.x[static_cast<std::size_t>(i)], grid.y[static_cast<std::size_t>(j)]);
  return grid;
}

std::vector<double> linear(double a, double b, int n) {
  std::vector<double> out;
  for (int k = 0; k < n; ++k) out.push_back(a + (b - a) * k / (n - 1));
  return out;
}

int curves(const std::vector<BoundaryPoint>& points) {
  return points.empty() ? 0 : points.back().curve + 1;
}

}  // namespace

TEST_CASE("a circle is traced as one closed curve, every point of it on the circle",
          "[analysis][boundary]") {
  const PlaneFunction f = [](double x, double y) { return x * x + y * y - 1; };
  const auto points = trace_zero(grid_of(linear(-2, 2, 12), linear(2, -2, 9), f), f);
  REQUIRE(points.size() > 10);
  CHECK(curves(points) == 1);
  CHECK(points.front().x == points.back().x);
  CHECK(points.front().y == points.back().y);
  // A relative 1e-10 of an edge of length 0.4, or 1e-12.
  for (const BoundaryPoint& point : points)
    CHECK(std::hypot(point.x, point.y) == Approx(1).margin(1e-9));
  for (std::size_t k = 1; k < points.size(); ++k)  // along it: no jump longer than a cell
    CHECK(std::hypot(points[k].x - points[k - 1].x, points[k].y - points[k - 1].y) < 0.64);
}

TEST_CASE("curves are told apart, open ones run from end to end", "[analysis][boundary]") {
  const PlaneFunction f = [](double x, double) { return std::cos(x); };
  const auto points = trace_zero(grid_of(linear(0, 6, 20), linear(0, 1, 5), f), f);
  CHECK(curves(points) == 2);
  std::map<int, std::vector<BoundaryPoint>> each;
  for (const BoundaryPoint& point : points) each[point.curve].push_back(point);
  for (const auto& [curve, own] : each) {
    REQUIRE(own.size() == 5);
    CHECK(std::abs(own.front().y - own.back().y) == 1);
    const double zero = own.front().x < 3 ? std::acos(0.0) : 3 * std::acos(0.0);
    for (const BoundaryPoint& point : own) CHECK(point.x == Approx(zero).epsilon(1e-9));
  }
}

TEST_CASE("a cell that two curves cross is divided by its middle", "[analysis][boundary]") {
  // Hyperbolas x y = ±c: their branches keep to opposite corners.
  for (const double c : {0.2, -0.2}) {
    const PlaneFunction f = [c](double x, double y) { return x * y - c; };
    const auto points = trace_zero(grid_of({-1, 1}, {-1, 1}, f), f);
    REQUIRE(points.size() == 4);
    CHECK(curves(points) == 2);
    for (const int curve : {0, 1}) {
      const BoundaryPoint& a = points[static_cast<std::size_t>(2 * curve)];
      const BoundaryPoint& b = points[static_cast<std::size_t>(2 * curve + 1)];
      CHECK(a.curve == curve);
      CHECK(b.curve == curve);
      CHECK(a.x * b.x > 0);  // one branch: on one side of the axes
    }
  }
}

TEST_CASE("of one parameter the zeros themselves are found", "[analysis][boundary]") {
  const PlaneFunction f = [](double x, double) { return std::log10(x) * (x - 20); };
  PlaneGrid grid = grid_of({0.1, 0.5, 3, 90}, {0}, f);
  grid.log_x = true;
  const auto points = trace_zero(grid, f);
  REQUIRE(points.size() == 2);
  CHECK(points[0].x == Approx(1).epsilon(1e-9));
  CHECK(points[1].x == Approx(20).epsilon(1e-9));
  CHECK(curves(points) == 2);
}

TEST_CASE("where the function does not exist there is no boundary", "[analysis][boundary]") {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const PlaneFunction f = [](double x, double y) { return x < 0.5 ? nan : y - 0.3; };
  const auto points = trace_zero(grid_of(linear(0, 1, 5), linear(0, 1, 5), f), f);
  REQUIRE(points.size() == 3);
  for (const BoundaryPoint& point : points) {
    CHECK(point.x >= 0.5);
    CHECK(point.y == Approx(0.3).epsilon(1e-9));
  }
}

TEST_CASE("a refined grid keeps its points and divides a logarithmic axis by ratio",
          "[analysis][boundary]") {
  int calls = 0;
  const PlaneFunction f = [&](double x, double y) { return x + 10 * y; };
  PlaneGrid grid = grid_of({1, 100}, {0, 1, 3}, f);
  grid.log_x = true;
  grid.values(1, 2) = 42;  // known values are not asked for again
  const test::ThreadLimit one(1);
  const PlaneGrid fine = refined(grid, 2, [&](double x, double y) {
    ++calls;
    return f(x, y);
  });
  REQUIRE(fine.x.size() == 3);
  CHECK(fine.x[1] == Approx(10).epsilon(1e-14));
  CHECK(fine.y == std::vector<double>{0, 0.5, 1, 2, 3});
  CHECK(fine.values(2, 4) == 42);
  CHECK(fine.values(1, 3) == f(fine.x[1], 2));
  CHECK(calls == 3 * 5 - 2 * 3);
}

TEST_CASE("a boundary has the same bits for any number of threads", "[analysis][boundary]") {
  const PlaneFunction f = [](double x, double y) { return std::sin(3 * x) + std::cos(2 * y * x); };
  const PlaneGrid grid = grid_of(linear(0, 3, 30), linear(0, 3, 30), f);
  std::vector<BoundaryPoint> first;
  for (const std::size_t threads : {1, 2, 4}) {
    const test::ThreadLimit limit(threads);
    const auto points = trace_zero(refined(grid, 2, f), f);
    if (first.empty()) first = points;
    REQUIRE(points.size() == first.size());
    for (std::size_t k = 0; k < points.size(); ++k) {
      CHECK(points[k].x == first[k].x);
      CHECK(points[k].y == first[k].y);
      CHECK(points[k].curve == first[k].curve);
    }
  }
}
