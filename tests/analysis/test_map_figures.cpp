#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "analysis/map_figures.hpp"
#include "analysis/sweep.hpp"
#include "analysis/sweep_maps.hpp"
#include "models/build.hpp"
#include "sim/core/value.hpp"
#include "sim/io/analysis_file.hpp"
#include "sim/io/toml.hpp"
#include "tests/temporary_folder.hpp"

namespace settle::analysis {
namespace {

using Catch::Matchers::Contains;
using core::Quantity;
using Path = std::filesystem::path;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::string read(const Path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string configuration(const std::string& axes, const std::string& more = "",
                          const std::string& scheme = "single_loop") {
  return R"(
title = "A 'sweep' & {a_b} ^2"
time_unit = "ms"
seed = 1
[model]
kind = "dynamic_inversion"
scheme = ")" +
         scheme + R"("
layers = [4, 3, 2]
transfer = "tanh"
forward = { init = "uniform", low = -1.0, high = 1.0 }
setpoint = { init = "normal", std = 0.1 }
)" + more +
         R"(
[model.controller]
leak = 0.05
[solver]
duration = 40.0
settled = { tolerance = 1e-4, dwell = 1.0 }
[sweep]
axes = [ )" +
         axes + " ]\n";
}

const std::string leaks =
    R"({ parameter = "model.controller.leak", log = [0.01, 1.0], points = 4 })";
const std::string gains =
    R"({ parameter = "model.controller.gains.i", log = [0.3, 30.0], points = 3 })";

// Runs a sweep and writes its file; `most` points of it.
Path sweep(const std::string& text, const Path& out, std::size_t most = 1000) {
  const core::Value file = io::parse_toml(text, "test.toml");
  const SweepStudy study(file, ".");
  const models::Config config = models::read_config(with_point(file, study.spec(), 0), ".");
  io::ResumableInfo info{.resumption = {.base = "."}};
  info.run.title = config.title;
  info.run.time_unit = config.time_unit;
  info.resumption.config = text;
  const auto trials =
      static_cast<std::uint64_t>(system::compile(models::build_circuit(config)).trials());
  io::SweepWriter writer(out, study.dimensions(), trials, info, config.solver, false);
  for (std::size_t p = 0; p < std::min(most, study.spec().points()); ++p) {
    const PointResult result = study.run(p, [] { return true; });
    if (result.failure.empty())
      writer.add(p, result.quantities, result.numbers);
    else
      writer.add_failure(p, result.failure);
  }
  writer.finish(most < study.spec().points() ? "interrupted" : "done", "");
  return out;
}

// The same with the boundary of stability: leak α_c over the gain as a line through the plane.
void add_boundary(const Path& file) {
  io::SweepWriter writer(file);
  std::vector<double> leak, gain, curve;
  for (const double g : {1.0, 3.0, 10.0}) {
    leak.push_back(0.05 * g);
    gain.push_back(g);
    curve.push_back(0);
  }
  writer.put_table("boundary_point", "points of the boundary",
                   {{"boundary_leak", "1", "leak on the boundary of stability", leak},
                    {"boundary_gains_i", "1", "gains_i on the boundary of stability", gain},
                    {"boundary_curve", "1", "curve", curve}});
  writer.finish("done", "");
}

void check_renders(const Path& file, const std::string& figure, const test::TemporaryFolder& to,
                   const PlotOptions& options = {}) {
  PlotOptions with_data = options;
  with_data.data = to / "f.csv";
  for (const char* name : {"f.svg", "f.png", "f.pdf"}) plot_map(file, with_data, figure, to / name);
  const std::string csv = read(to / "f.csv");
  CHECK(csv.starts_with("figure,panel,series,x_quantity,x,y_quantity,y"));
  CHECK(static_cast<std::size_t>(std::count(csv.begin(), csv.end(), '\n')) ==
        1 + map_figure_rows(file, options, figure).size());
  CHECK(read(to / "f.png").substr(1, 3) == "PNG");
  CHECK(read(to / "f.pdf").substr(0, 4) == "%PDF");
  CHECK_THAT(read(to / "f.svg"), Contains("</svg>"));
}

// Rows of a panel whose name begins so.
std::vector<CsvRow> rows_of(const std::vector<CsvRow>& all, const std::string& panel) {
  std::vector<CsvRow> out;
  for (const CsvRow& row : all)
    if (row[0].starts_with(panel)) out.push_back(row);
  return out;
}

TEST_CASE("a sweep over two numbers is drawn as maps whose numbers are those of the file") {
  const test::TemporaryFolder folder;
  const Path file = sweep(configuration(leaks + ", " + gains), folder / "s.h5");
  CHECK(map_figure_names(file) == std::vector<std::string>{"map", "lines"});
  check_renders(file, "map", folder);
  const std::string svg = read(folder / "f.svg");
  CHECK_THAT(svg, Contains("settling time of the error to 2 % (ms)"));
  CHECK_THAT(svg, Contains("predicted by the slowest pole"));
  CHECK_THAT(svg, Contains("leak α"));
  CHECK_THAT(svg, Contains("4 × 3 points"));

  const std::vector<CsvRow> all = map_figure_rows(file, {}, "");
  const io::SweepFile maps(file);
  const std::vector<double> leak = maps.axes()[0].numbers, gain = maps.axes()[1].numbers;
  const Quantity time = maps.map("settling_time"), error = maps.map("inversion_error"),
                 expected = maps.map("predicted_settling_time"), verdict = maps.map("verdict");
  const auto place = [](const core::QuantityAxis& axis, const std::string& label) {
    return std::find(axis.labels.begin(), axis.labels.end(), label) - axis.labels.begin();
  };
  const Eigen::Index band = place(time.axes[2], "2 %"),
                     signal = place(time.axes[1], "control.error");
  const auto simulated = rows_of(all, "settling time of the error"),
             predicted = rows_of(all, "predicted"), errors = rows_of(all, "inversion error");
  REQUIRE(simulated.size() == 12);
  REQUIRE(predicted.size() == 12);
  REQUIRE(errors.size() == 12);
  bool any_unsettled = false;
  for (std::size_t p = 0; p < 12; ++p) {
    CHECK(simulated[p][2] == "leak");
    CHECK(std::stod(simulated[p][3]) == leak[p / 3]);
    CHECK(simulated[p][4] == "gains_i");
    CHECK(std::stod(simulated[p][5]) == gain[p % 3]);
    const auto column = static_cast<Eigen::Index>(p);
    const auto same = [](const std::string& text, double value) {
      return std::isnan(value) ? text == "NaN" : std::stod(text) == value;
    };
    CHECK(same(simulated[p][7], time.values(signal * time.axes[2].size + band, column)));
    CHECK(same(predicted[p][7], expected.values(band, column)));
    CHECK(same(errors[p][7], error.values(0, column)));
    std::string word = verdict.meanings[static_cast<std::size_t>(verdict.values(0, column))];
    std::replace(word.begin(), word.end(), '_', ' ');
    CHECK(simulated[p][1] == (word == "settled" ? "" : word));
    any_unsettled = any_unsettled || word == "limit cycle";
  }
  // Single-loop inversion of two populations has a gain limit of about 2 / σ².
  CHECK(any_unsettled);
  CHECK_THAT(svg, Contains("limit cycle"));
}

TEST_CASE("the boundary of stability is drawn over the maps and at the lines that it crosses") {
  const test::TemporaryFolder folder;
  // An unfinished file, so that the table can be added.
  const Path file = sweep(configuration(leaks + ", " + gains), folder / "s.h5", 11);
  add_boundary(file);
  const Chart map = map_figure(file, {}, "map");
  REQUIRE(!map.panels.empty());
  for (const ChartPanel& panel : map.panels) {
    REQUIRE(panel.series.size() == 1);
    CHECK(panel.series[0].points.size() == 3);
    CHECK(panel.series[0].points[1].x == 0.05 * 3);
    CHECK(panel.series[0].points[1].y == 3);
  }
  CHECK_THAT(map.notes[0], Contains("1 not run"));
  // Of the gains .3, 3 and 30 the boundary has a point at 3 alone.
  const Chart lines = map_figure(file, {}, "lines");
  REQUIRE(lines.panels[0].rules.size() == 1);
  CHECK(lines.panels[0].rules[0].x == 0.05 * 3);
}

TEST_CASE("a sweep over one number is drawn as lines with the closed form beside the error") {
  const test::TemporaryFolder folder;
  const Path file = sweep(configuration(leaks, "", "sequential") + "\n", folder / "s.h5");
  CHECK(map_figure_names(file) == std::vector<std::string>{"lines"});
  check_renders(file, "", folder);
  const std::vector<CsvRow> all = map_figure_rows(file, {}, "lines");
  const io::SweepFile maps(file);
  const Quantity direct = maps.map("direction_error_control_1"),
                 closed = maps.map("direction_error_linear_control_1");
  std::size_t found = 0;
  for (const CsvRow& row : rows_of(all, "error in each singular direction of control_1"))
    for (std::size_t p = 0; p < 4; ++p)
      if (row[1].starts_with("direction 0") &&
          row[3] == core::number_text(maps.axes()[0].numbers[p])) {
        const bool is_closed = row[1].ends_with("1/(1 + Gs²)");
        CHECK(std::stod(row[5]) ==
              (is_closed ? closed : direct).values(0, static_cast<Eigen::Index>(p)));
        ++found;
      }
  CHECK(found == 8);
  const auto of_loops = rows_of(all, "inversion error of each loop");
  CHECK(of_loops.size() == 8);
  CHECK(std::stod(of_loops[0][5]) == maps.map("inversion_error_control_1").values(0, 0));
}

TEST_CASE("a line for each name, and mean and range over seeds") {
  const test::TemporaryFolder folder;
  const Path file = sweep(
      configuration(R"({ parameter = "model.transfer", values = ["identity", "tanh"] }, )" +
                        std::string(R"({ parameter = "seed", values = [1, 2, 3] }, )") + leaks,
                    "", "sequential"),
      folder / "s.h5");
  CHECK(map_figure_names(file) == std::vector<std::string>{"lines"});
  check_renders(file, "", folder);
  CHECK_THAT(read(folder / "f.svg"), Contains("transfer = identity"));
  const SweepMaps maps(file, 0);
  const std::vector<double> error = maps.inversion_error()->values;
  double sum = 0, most = 0;
  for (std::size_t seed = 0; seed < 3; ++seed) {
    const double one = error[maps.point({1, seed, 2})];
    sum += one;
    most = std::max(most, one);
  }
  std::size_t found = 0;
  for (const CsvRow& row : rows_of(map_figure_rows(file, {}, ""), "inversion error")) {
    if (row[3] != core::number_text(maps.axes()[2].numbers[2])) continue;
    if (row[1] == "transfer = tanh") {
      CHECK(std::stod(row[5]) == Approx(sum / 3).epsilon(1e-14));  // rounding of three numbers
      ++found;
    } else if (row[1] == "transfer = tanh (largest)") {
      CHECK(std::stod(row[5]) == most);
      ++found;
    }
  }
  CHECK(found == 2);
}

TEST_CASE("a sweep over names alone is drawn as dots") {
  const test::TemporaryFolder folder;
  const Path file = sweep(configuration(
                              R"({ parameter = "model.transfer", values = ["identity", "tanh"] },
             { parameter = "model.scheme", values = ["sequential", "single_loop"] })"),
                          folder / "s.h5");
  CHECK(map_figure_names(file) == std::vector<std::string>{"dots"});
  check_renders(file, "", folder);
  const std::string svg = read(folder / "f.svg");
  for (const char* row : {"identity, sequential", "tanh, single_loop"})
    CHECK_THAT(svg, Contains(row));
}

TEST_CASE("of three axes a map is drawn for values of the third, and those left out are told") {
  const test::TemporaryFolder folder;
  const std::string proportional =
      R"({ parameter = "model.controller.gains.p", values = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 1] })";
  const Path file =
      sweep(configuration(leaks + ", " + gains + ", " + proportional), folder / "s.h5");
  check_renders(file, "map", folder);
  check_renders(file, "lines", folder);
  const Chart chart = map_figure(file, {}, "map");
  CHECK(chart.panels.size() == 6);
  CHECK(chart.panels.front().title == "kₚ = 0");
  CHECK(chart.panels.back().title == "kₚ = 1");
  CHECK_THAT(chart.notes[0], Contains("6 of 7 maps are drawn"));
}

TEST_CASE("chosen maps are drawn in place of the standard ones") {
  const test::TemporaryFolder folder;
  const Path file = sweep(configuration(leaks + ", " + gains, "trials = 2"), folder / "s.h5");
  PlotOptions options;
  options.trial = 1;
  options.variables = {"settling_time:state:1 %", "predicted_stability"};
  check_renders(file, "map", folder, options);
  const Chart chart = map_figure(file, options, "map");
  REQUIRE(chart.panels.size() == 2);
  const Quantity time = io::SweepFile(file).map("settling_time");
  const Eigen::Index bands = time.axes[2].size;
  CHECK(time.axes[1].labels[0] == "state");
  // Trial 1, signal 0, band "1 %" (the third), first point.
  const double value = time.values(time.axes[1].size * bands + 2, 0);
  CHECK((chart.panels[0].cells[0].value == value || std::isnan(value)));
  for (const char* name : {"settlingtime", "settling_time:stat", "outcome_reason"}) {
    options.variables = {name};
    CHECK_THROWS_AS(map_figure(file, options, "map"), core::InputError);
  }
  options.variables = {};
  options.trial = 2;
  CHECK_THROWS_WITH(map_figure(file, options, "map"), Contains("0 to 1"));
  options.trial = 0;
  CHECK_THROWS_WITH(map_figure(file, options, "maps"), Contains("map or lines"));
  CHECK_THROWS_WITH(plot_map(file, options, "", folder / "f.gif"), Contains(".svg"));
}

TEST_CASE("points that fail and points without a settling time are drawn as what they are") {
  const test::TemporaryFolder folder;
  io::ResumableInfo info{.resumption = {.base = "."}};
  info.run.title = "Failures";
  io::SweepDimension leak{.name = "leak", .long_name = "model.controller.leak"};
  leak.numbers = {0, 0.01, 0.1};
  io::SweepDimension gain{.name = "gains_i", .long_name = "model.controller.gains.i"};
  gain.numbers = {1, 2};
  {
    io::SweepWriter writer(folder / "s.h5", {leak, gain}, 1, info, {}, false);
    for (std::size_t p = 0; p < 4; ++p) writer.add_failure(p, "no such point");
    writer.finish("interrupted", "");
  }
  CHECK_THROWS_WITH(map_figure(folder / "s.h5", {}, ""), Contains("point_status"));
  PlotOptions options;
  options.variables = {"point_status"};
  check_renders(folder / "s.h5", "", folder, options);
  const SweepMaps maps(folder / "s.h5", 0);
  // 0 cannot stand on a logarithmic axis, and .01 would vanish on a linear one.
  CHECK(maps.axes()[0].kind == MapAxis::Kind::ordinal);
  CHECK(maps.axes()[1].kind == MapAxis::Kind::linear);
  CHECK(maps.outcomes()[0] == SweepMaps::kind("could not be run"));
  CHECK(maps.outcomes()[5] == SweepMaps::kind("not run"));
}

Quantity numbers(const std::string& name, const std::string& axis, std::vector<double> values) {
  Quantity out;
  out.name = name;
  out.units = name.find("time") == std::string::npos ? "1" : "time";
  out.long_name = name;
  if (!axis.empty()) {
    core::QuantityAxis one;
    one.name = axis;
    one.size = static_cast<Eigen::Index>(values.size());
    one.long_name = axis;
    out.axes.push_back(one);
  }
  out.values = Eigen::Map<Eigen::VectorXd>(values.data(), static_cast<Eigen::Index>(values.size()));
  out.reasons.assign(1, "");
  return out;
}

TEST_CASE("a tuning is drawn as the front of settling time against error") {
  const test::TemporaryFolder folder;
  std::vector<double> leaks_of, errors, times;
  for (int k = 0; k < 20; ++k) {
    const double a = std::pow(10, -4 + 0.2 * k);
    leaks_of.push_back(a);
    errors.push_back(k == 7 ? nan : a / (a + 0.25));
    times.push_back(4 / (0.05 + a / (1 + a)));
  }
  io::RunInfo info;
  info.title = "Tuning of one loop";
  info.time_unit = "ms";
  io::write_analysis(
      folder / "t.h5", "tuning", "one loop",
      {numbers("front_inversion_error", "front", errors),
       numbers("front_settling_time", "front", times), numbers("front_leak", "front", leaks_of),
       numbers("inversion_error_before", "", {0.2}), numbers("inversion_error_after", "", {0.04}),
       numbers("settling_time_before", "", {90}), numbers("settling_time_after", "", {30}),
       numbers("error_bound", "", {0.05})},
      info, {}, false);
  CHECK(map_figure_names(folder / "t.h5") == std::vector<std::string>{"tuning"});
  check_renders(folder / "t.h5", "", folder);
  const std::string svg = read(folder / "f.svg");
  for (const char* text : {"settling time (ms)", "as it was", "as tuned", "largest error allowed"})
    CHECK_THAT(svg, Contains(text));
  const std::vector<CsvRow> all = map_figure_rows(folder / "t.h5", {}, "tuning");
  REQUIRE(all.size() == 20 + 2 + 1);
  for (std::size_t k = 0; k < 20; ++k) {
    if (k != 7) CHECK(std::stod(all[k][3]) == errors[k]);
    CHECK(std::stod(all[k][5]) == times[k]);
  }
  CHECK(all[20][3] == "0.2");
  CHECK(all[22][3] == "0.05");
  CHECK_THROWS_WITH(map_figure(folder.write("x.h5", "text"), {}, ""), Contains("settle tune"));
}

TEST_CASE("cells meet half-way between their points, along a logarithmic axis too") {
  MapAxis axis;
  axis.kind = MapAxis::Kind::logarithmic;
  axis.numbers = {1, 100, 10};
  axis.names = {"1", "100", "10"};
  CHECK(axis.cell(0).second == Approx(std::sqrt(10)));
  CHECK(axis.cell(0).first == Approx(1 / std::sqrt(10)));
  CHECK(axis.cell(2).first == Approx(std::sqrt(10)));
  CHECK(axis.cell(2).second == Approx(axis.cell(1).first));
  axis.kind = MapAxis::Kind::linear;
  CHECK(axis.cell(0).first == Approx(-3.5));
  axis.kind = MapAxis::Kind::ordinal;
  axis.numbers = {0, 0.01, 0.1};
  CHECK(axis.position_of(0.055) == Approx(1.5));
  CHECK(std::isnan(axis.position_of(1)));
}

TEST_CASE("an axis' ticks are round numbers within it") {
  for (const auto& [low, high, log] :
       {std::tuple{0.3, 0.31, true}, {1e-9, 1e9, true}, {0.2, 40.0, true}, {-3.0, 8.0, false}}) {
    ChartAxis axis;
    axis.low = low;
    axis.high = high;
    axis.log = log;
    std::size_t labelled = 0;
    for (const ChartTick& tick : ticks(axis, 6)) {
      CHECK(tick.at >= low * (low > 0 ? 0.999 : 1.001));
      CHECK(tick.at <= high * 1.001);
      labelled += !tick.label.empty();
    }
    CHECK(labelled >= 2);
    CHECK(labelled <= 10);
  }
}

}  // namespace
}  // namespace settle::analysis
