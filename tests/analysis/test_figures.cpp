#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>

#include "analysis/figures.hpp"
#include "analysis/plot_data.hpp"
#include "models/build.hpp"
#include "sim/io/recorder.hpp"
#include "sim/io/toml.hpp"
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

const std::string two_loops = R"(
title = "Two 'loops' & {a_b} ^2 @x"
time_unit = "ms"
[model]
kind = "dynamic_inversion"
scheme = "sequential"
layers = [60, 5, 3]
trials = 3
forward = { init = "uniform", low = -0.5, high = 0.5 }
setpoint = { init = "normal", std = 0.1 }
[solver]
duration = 20.0
[record]
interval = 0.1
)";

// Runs a configuration and writes its result.
std::filesystem::path run(const std::string& text, const std::filesystem::path& out) {
  const models::Config config = models::read_config(io::parse_toml(text, "test.toml"), ".");
  const system::OdeSystem system = system::compile(models::build_circuit(config));
  io::RunInfo info;
  info.title = config.title;
  info.time_unit = config.time_unit;
  info.config = text;
  info.config_expanded = io::toml_text(models::expanded(config));
  io::Recorder recorder(out, system, config.solver, config.record, info);
  recorder.finish(solve::solve(system, system.initial_state(), config.solver, recorder));
  return out;
}

TEST_CASE("a result is drawn to SVG, PNG and PDF with its title, phases and variables") {
  const test::TemporaryFolder folder;
  const io::ResultFile result(run(two_loops, folder / "r.h5"));
  PlotOptions options;
  options.trial = 1;
  for (const char* name : {"r.svg", "r.png", "r.pdf"}) plot_result(result, options, folder / name);
  CHECK(read(folder / "r.png").substr(1, 3) == "PNG");
  CHECK(read(folder / "r.pdf").substr(0, 4) == "%PDF");
  const std::string svg = read(folder / "r.svg");
  CHECK_THAT(svg, Contains("</svg>"));
  CHECK_THAT(svg, Contains("Two 'loops' &amp; {a_b} ^2 @x") ||
                      Contains("Two &apos;loops&apos; &amp; {a_b} ^2 @x") ||
                      Contains("Two &#39;loops&#39; &amp; {a_b} ^2 @x"));
  CHECK_THAT(svg, Contains("trial 1 (of 3, from 0)"));
  CHECK_THAT(svg, Contains("state of hidden_1   (40 of 60 units)"));
  CHECK_THAT(svg, Contains("output of control_2   (3 units)"));
  CHECK_THAT(svg, Contains("error relative to the setpoint"));
  CHECK_THAT(svg, Contains("loop_2"));
  CHECK_THAT(svg, Contains("time (ms)"));
}

TEST_CASE("named variables are drawn alone, by dataset or selector") {
  const test::TemporaryFolder folder;
  const io::ResultFile result(run(two_loops, folder / "r.h5"));
  PlotOptions options;
  options.variables = {"control_1.integral", "hidden_2"};
  options.log_time = true;
  plot_result(result, options, folder / "r.svg");
  const std::string svg = read(folder / "r.svg");
  CHECK_THAT(svg, Contains("of control_1   (5 units)"));
  CHECK_THAT(svg, Contains("state of hidden_2"));
  CHECK_THAT(svg, !Contains("state of hidden_1"));
}

TEST_CASE("an unknown variable, trial or kind of figure is an error that says what there is") {
  const test::TemporaryFolder folder;
  const io::ResultFile result(run(two_loops, folder / "r.h5"));
  PlotOptions options;
  options.variables = {"hiden_1"};
  CHECK_THROWS_WITH(plot_result(result, options, folder / "r.svg"), Contains("hidden_1"));
  options.variables = {};
  for (const std::int64_t trial : {-1, 3}) {
    options.trial = trial;
    CHECK_THROWS_WITH(plot_result(result, options, folder / "r.svg"), Contains("0 to 2"));
  }
  options.trial = 0;
  CHECK_THROWS_WITH(plot_result(result, options, folder / "r.gif"), Contains(".svg"));
  CHECK(!std::filesystem::exists(folder / "r.svg"));
}

TEST_CASE("gnuplot's absence is named with the package to install") {
  const test::TemporaryFolder folder;
  const io::ResultFile result(run(two_loops, folder / "r.h5"));
  const std::string old = std::getenv("PATH");
  setenv("PATH", folder.path().c_str(), 1);
  try {
    plot_result(result, {}, folder / "r.svg");
    setenv("PATH", old.c_str(), 1);
    FAIL("no error");
  } catch (const core::OutputError& error) {
    setenv("PATH", old.c_str(), 1);
    CHECK_THAT(error.what(), Contains("apt install gnuplot-nox"));
  }
}

TEST_CASE("the drawn error starts at one where nothing is inverted yet") {
  // r(0) = 0 and φ = tanh: e(0) = W φ(0) − y = −y for the top loop.
  const test::TemporaryFolder folder;
  const io::ResultFile result(run(two_loops, folder / "r.h5"));
  CHECK(controllers_of(result) == std::vector<std::string>{"control_1", "control_2"});
  const std::vector<ErrorSeries> errors = error_series(result, {0, 2});
  REQUIRE(errors.size() == 2);
  CHECK(errors[1].relative);
  CHECK(errors[1].values(0, 0) == Approx(1).epsilon(1e-12));  // a quotient of two roundings
  CHECK(errors[1].values(0, 1) == Approx(1).epsilon(1e-12));
  // The lower loop's setpoint r_2 is zero at first, and its loop is held while r_2 moves: e = −r_2.
  CHECK(errors[0].relative);
  CHECK(std::isnan(errors[0].values(0, 0)));
  CHECK(errors[0].values(5, 0) == Approx(1).epsilon(1e-12));
}

TEST_CASE("a source in the setpoint leaves the error as it is") {
  const test::TemporaryFolder folder;
  const std::string text = R"(
[[population]]
name = "hidden"
size = 4
[[controller]]
name = "control"
size = 2
setpoint = 1.0
[[projection]]
from = "hidden"
to = "control"
weights = { init = "normal", std = 0.5 }
[[projection]]
from = "control"
to = "hidden"
weights = { init = "negative_transpose", of = "hidden->control" }
[[source]]
to = "control.setpoint"
signal = { kind = "sine", period = 3.0, values = [0.5] }
[solver]
duration = 2.0
)";
  const io::ResultFile result(run(text, folder / "r.h5"));
  const std::vector<ErrorSeries> errors = error_series(result, {0});
  REQUIRE(errors.size() == 1);
  CHECK(!errors[0].relative);
  plot_result(result, {}, folder / "r.svg");
  CHECK_THAT(read(folder / "r.svg"), !Contains("relative to the setpoint"));
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

}  // namespace
}  // namespace settle::analysis
