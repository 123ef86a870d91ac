#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "analysis/contour.hpp"
#include "analysis/figure.hpp"
#include "tests/temporary_folder.hpp"

namespace settle::analysis {
namespace {

using Catch::Matchers::Contains;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

TEST_CASE("thinned lines keep spikes, gaps and ends within their number of points") {
  VectorXd x = VectorXd::LinSpaced(100'000, 0, 10);
  VectorXd y = x.array().sin();
  y[54'321] = 7;
  y[12'345] = -7;
  y.segment(70'000, 5'000).setConstant(nan);
  y[3] = std::numeric_limits<double>::infinity();
  const std::vector<PlotPoint> points = thinned(x, y, 2000, false);
  CHECK(points.size() <= 2000);
  CHECK(points.front().x == 0);
  CHECK(points.back().x == 10);
  double low = 0, high = 0;
  bool gap = false;
  for (std::size_t k = 0; k < points.size(); ++k) {
    if (k > 0) CHECK(points[k].x >= points[k - 1].x);
    CHECK(!std::isinf(points[k].y));
    gap = gap || (std::isnan(points[k].y) && points[k].x > 7 && points[k].x < 7.5);
    if (std::isnan(points[k].y)) continue;
    low = std::min(low, points[k].y);
    high = std::max(high, points[k].y);
  }
  CHECK(high == 7);
  CHECK(low == -7);
  CHECK(gap);
}

TEST_CASE("few points are drawn as they are, and log stretches hold equal ratios") {
  const VectorXd x = VectorXd::LinSpaced(10, 1, 10);
  CHECK(thinned(x, x, 10, false).size() == 10);
  const VectorXd many = Eigen::pow(10.0, VectorXd::LinSpaced(100'000, -3, 2).array());
  std::size_t below_one = 0;
  for (const PlotPoint& p : thinned(many, many, 1000, true)) below_one += p.x < 1;
  CHECK(std::abs(static_cast<double>(below_one) - 600) < 3);  // three of five decades
}

TEST_CASE("units are chosen evenly, with the first and the last") {
  CHECK(evenly_chosen(3, 40) == std::vector<Index>{0, 1, 2});
  const std::vector<Index> chosen = evenly_chosen(500, 40);
  CHECK(chosen.size() == 40);
  CHECK(chosen.front() == 0);
  CHECK(chosen.back() == 499);
  CHECK(evenly_chosen(5, 1) == std::vector<Index>{0});
  CHECK(evenly_chosen(0, 4).empty());
}

TEST_CASE("fields of a CSV file are quoted where they need it, gaps are NaN") {
  Figure figure;
  Panel panel;
  panel.title = "a, \"b\"";
  panel.symbol = "y (mV)";
  panel.x_label = "time (ms)";
  panel.curves.push_back({.points = {{0.1, 1}, {2, nan}}, .style = "", .key = "k"});
  figure.panels.push_back(panel);
  CHECK(csv_text("f", rows(figure)) ==
        "figure,panel,series,x_quantity,x,y_quantity,y\n"
        "f,\"a, \"\"b\"\"\",k,time (ms),0.1,y (mV),1\n"
        "f,\"a, \"\"b\"\"\",k,time (ms),2,y (mV),NaN\n");
  CHECK(csv_text("f", {{"p", "s", "x", "1", "y", "2", "z", "3"}}) ==
        "figure,panel,series,x_quantity,x,y_quantity,y,value_quantity,value\n"
        "f,p,s,x,1,y,2,z,3\n");
}

TEST_CASE("a missing value is a gap in the drawn line") {
  const test::TemporaryFolder folder;
  const auto strokes = [&](double middle) {
    Figure figure;
    Panel panel;
    panel.curves.push_back({.points = {{0, 0}, {1, 1}, {2, middle}, {3, 0}, {4, 1}},
                            .style = "lc rgb '#123456'",
                            .key = ""});
    figure.panels.push_back(panel);
    draw(figure, folder / "f.svg");
    const std::string svg = read(folder / "f.svg");
    const auto path = svg.find("<path", svg.find("gnuplot_plot_1"));
    const std::string stroke = svg.substr(path, svg.find("/>", path) - path);
    return std::count(stroke.begin(), stroke.end(), 'M');
  };
  CHECK(strokes(0.5) == 1);
  CHECK(strokes(nan) == 2);
}

TEST_CASE("contour lines of a bowl are circles, and end where values are missing") {
  const VectorXd x = VectorXd::LinSpaced(41, -2, 2);
  MatrixXd z(41, 41);
  for (Index i = 0; i < 41; ++i)
    for (Index j = 0; j < 41; ++j) z(i, j) = x[i] * x[i] + x[j] * x[j];
  const auto lines = contour_lines(x, x, z, 1.0);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].front().x == lines[0].back().x);
  CHECK(lines[0].front().y == lines[0].back().y);
  // The chord of a parabola over h = 0.1 is off by h²/4 at most, here over a slope of 2.
  for (const PlotPoint& p : lines[0]) CHECK(std::hypot(p.x, p.y) == Approx(1).margin(0.0025));
  CHECK(contour_lines(x, x, z, 9.0).empty());
  z(20, 30) = nan;  // at (1, 0)
  const auto open = contour_lines(x, x, z, 1.0);
  REQUIRE(open.size() == 1);
  CHECK(open[0].front().x == Approx(1).margin(0.01));
  CHECK(open[0].front().y == Approx(-open[0].back().y).margin(1e-12));
}

TEST_CASE("a saddle's lines cut off the corners on the other side than its middle") {
  const VectorXd x = VectorXd::LinSpaced(2, 0, 1);
  MatrixXd z(2, 2);
  z << 1, 0, 0, 1;
  for (const auto& line : contour_lines(x, x, z, 0.4))  // around the corners that are 0
    CHECK(std::abs(line.front().x - line.front().y) < 1 + 1e-12);
  const auto low = contour_lines(x, x, z, 0.4), high = contour_lines(x, x, z, 0.6);
  REQUIRE(low.size() == 2);
  REQUIRE(high.size() == 2);
  const auto length = [](const std::vector<PlotPoint>& line) {
    return std::hypot(line[0].x - line[1].x, line[0].y - line[1].y);
  };
  CHECK(length(low[0]) == Approx(0.4 * std::sqrt(2.0)));
  CHECK(length(high[0]) == Approx(0.4 * std::sqrt(2.0)));
}

}  // namespace
}  // namespace settle::analysis
