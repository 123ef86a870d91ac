#include <unistd.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "analysis/figures.hpp"
#include "analysis/measure.hpp"
#include "analysis/plot_data.hpp"
#include "analysis/rest_approach.hpp"
#include "models/build.hpp"
#include "sim/io/analysis_file.hpp"
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

// ---- Figures of measures ----

/// Records a run and keeps its trajectory.
class Both final : public solve::Observer {
 public:
  Both(io::Recorder& recorder, const system::OdeSystem& system)
      : trajectories(system), recorder_(recorder) {}
  solve::Sampling sampling() const override { return recorder_.sampling(); }
  void sample(double t, const system::ConstBlock& x, system::Workspace& workspace) override {
    recorder_.sample(t, x, workspace);
  }
  bool step(const solve::Progress& progress) override { return recorder_.step(progress); }
  bool wants_states() const override { return true; }
  void arrive(int phase, solve::Index trial, double t, const solve::VectorXd& x) override {
    trajectories.add(phase, trial, t, x);
  }
  solve::Trajectories trajectories;

 private:
  io::Recorder& recorder_;
};

// Runs a configuration, and writes its result with these measures ("*": all); where `analysis` is given,
// the measures alone to that file.
std::filesystem::path measured(const std::string& text, const std::vector<std::string>& names,
                               const std::filesystem::path& out,
                               const std::filesystem::path& analysis = {}) {
  const models::Config config = models::read_config(io::parse_toml(text, "test.toml"), ".");
  const system::OdeSystem system = system::compile(models::build_circuit(config));
  AnalysisOptions options;
  options.measures = names;
  options.grid = 21;
  options.frequencies = 60;
  io::RunInfo info;
  info.title = config.title;
  info.time_unit = config.time_unit;
  io::Recorder recorder(out, system, config.solver, config.record, info);
  Both both(recorder, system);
  const solve::SolveSummary summary =
      solve::solve(system, system.initial_state(), config.solver, both);
  const std::vector<core::Quantity> quantities =
      measure({config, system, summary, both.trajectories, options, summary.phases.size() - 1});
  for (const core::Quantity& quantity : quantities) recorder.add_measure(quantity);
  recorder.finish(summary);
  if (!analysis.empty())
    io::write_analysis(analysis, "analysis", out.string(), quantities, info, config.solver, true);
  return out;
}

const std::string one_loop = R"(
title = "One loop"
time_unit = "ms"
[model]
kind = "dynamic_inversion"
layers = [4, 3]
transfer = "tanh"
trials = 2
forward = { init = "uniform", low = -0.5, high = 0.5 }
setpoint = { init = "normal", std = 0.1 }
[model.controller]
leak = 0.1
[solver]
duration = 200.0
settled = { tolerance = 1e-5 }
[record]
interval = 0.5
)";

const std::vector<std::string> of_measures = {"poles",   "directions",     "bode",
                                              "nyquist", "pseudospectrum", "poles_along"};

/// The rows of a CSV file, by its columns.
std::vector<std::map<std::string, std::string>> rows_of(const std::filesystem::path& file) {
  std::vector<std::vector<std::string>> lines(1, {""});
  bool is_quoted = false;
  const std::string text = read(file);
  for (const char c : text) {
    if (c == '"')
      is_quoted = !is_quoted;
    else if (c == ',' && !is_quoted)
      lines.back().emplace_back();
    else if (c == '\n' && !is_quoted)
      lines.push_back({""});
    else
      lines.back().back() += c;
  }
  lines.pop_back();
  std::vector<std::map<std::string, std::string>> out;
  for (std::size_t k = 1; k < lines.size(); ++k) {
    out.emplace_back();
    for (std::size_t c = 0; c < lines[0].size(); ++c) out.back()[lines[0][c]] = lines[k].at(c);
  }
  return out;
}

// The points of one series.
std::vector<PlotPoint> series(const std::filesystem::path& file, const std::string& name) {
  std::vector<PlotPoint> out;
  for (const auto& row : rows_of(file))
    if (row.at("series") == name)
      out.push_back(
          {std::strtod(row.at("x").c_str(), nullptr), std::strtod(row.at("y").c_str(), nullptr)});
  return out;
}

TEST_CASE("a file names the figures that it holds, the main one first") {
  const test::TemporaryFolder folder;
  using Names = std::vector<std::string>;
  const auto plain = run(one_loop, folder / "plain.h5");
  CHECK(figure_names(plain) == Names{"trajectories"});
  CHECK(default_figures(plain) == Names{"trajectories"});

  // What every run measures is drawn on request only.
  const auto standard = measured(one_loop, {}, folder / "standard.h5");
  CHECK(figure_names(standard) == Names{"trajectories", "poles", "directions"});
  CHECK(default_figures(standard) == Names{"trajectories"});

  const auto full = measured(one_loop, {"*"}, folder / "full.h5", folder / "analysis.h5");
  Names all = of_measures;
  CHECK(figure_names(folder / "analysis.h5") == all);
  CHECK(default_figures(folder / "analysis.h5") == all);
  all.insert(all.begin(), "trajectories");
  CHECK(figure_names(full) == all);
  CHECK(default_figures(full) == all);
}

TEST_CASE("every figure is drawn to SVG, PNG and PDF, of a run and of an analysis") {
  const test::TemporaryFolder folder;
  const auto full = measured(one_loop, {"*"}, folder / "full.h5", folder / "analysis.h5");
  PlotOptions options;
  options.trial = 1;
  for (const auto& file : {full, folder / "analysis.h5"})
    for (const std::string& name : figure_names(file)) {
      CAPTURE(file, name);
      for (const char* extension : {".svg", ".png", ".pdf"})
        draw_figure(file, options, name, folder / (name + extension));
      const std::string svg = read(folder / (name + ".svg"));
      CHECK_THAT(svg,
                 Contains("</svg>") && Contains("One loop") && Contains("trial 1 (of 2, from 0)"));
      CHECK(read(folder / (name + ".png")).substr(1, 3) == "PNG");
      CHECK(read(folder / (name + ".pdf")).substr(0, 4) == "%PDF");
    }
  CHECK_THAT(read(folder / "poles.svg"), Contains("Re s (1/ms)") && Contains("time constant"));
  CHECK_THAT(read(folder / "bode.svg"), Contains("angular frequency ω (1/ms)"));
}

TEST_CASE("a figure that a file does not hold is an error that says why, and what there is") {
  const test::TemporaryFolder folder;
  const auto standard = measured(one_loop, {}, folder / "standard.h5");
  const auto out = folder / "f.svg";
  CHECK_THROWS_WITH(draw_figure(standard, {}, "pole", out),
                    Contains("expected trajectories, poles or directions") &&
                        Contains("did you mean \"poles\"?"));
  CHECK_THROWS_WITH(draw_figure(standard, {}, "bode", out),
                    Contains("the measure return_ratio was not taken"));
  PlotOptions options;
  options.trial = 2;
  for (const std::string& name : figure_names(standard))
    CHECK_THROWS_WITH(draw_figure(standard, options, name, out), Contains("0 to 1"));
  options.trial = 0;
  options.data = folder / "f.txt";
  CHECK_THROWS_WITH(draw_figure(standard, options, "poles", out), Contains(".csv"));
  CHECK_THROWS_WITH(draw_figure(standard, {}, "poles", folder / "f.gif"), Contains(".svg"));
  CHECK(!std::filesystem::exists(folder / "f.gif"));
  CHECK_THROWS_AS(figure_names(folder / "none.h5"), core::InputError);
}

TEST_CASE("the numbers written beside a figure are the file's") {
  const test::TemporaryFolder folder;
  const auto full = measured(one_loop, {"*"}, folder / "full.h5");
  const io::ResultFile result(full);
  PlotOptions options;
  options.trial = 1;
  for (const std::string& name : figure_names(full)) {
    options.data = folder / (name + ".csv");
    draw_figure(full, options, name, folder / (name + ".svg"));
    for (const auto& row : rows_of(options.data)) {
      CHECK(row.at("figure") == name);
      for (const char* column : {"panel", "series", "x_quantity", "y_quantity"})
        CHECK(row.at(column) != "");
    }
  }
  const auto value = [&](const std::string& name, Index cell) {
    return result.measure(name)->values(cell, 1);
  };

  const std::vector<PlotPoint> unit = series(folder / "trajectories.csv", "unit 2");
  const MatrixXd rates = result.trajectory("hidden", 1), outputs = result.trajectory("control", 1);
  REQUIRE(static_cast<Index>(unit.size()) == 2 * rates.rows());  // of hidden and of control
  for (Index k = 0; k < rates.rows(); ++k) {
    CHECK(unit[static_cast<std::size_t>(k)].x == result.time()[k]);
    CHECK(unit[static_cast<std::size_t>(k)].y == rates(k, 2));
    CHECK(unit[static_cast<std::size_t>(k + rates.rows())].y == outputs(k, 2));
  }

  const PlotPoint rightmost = series(folder / "poles.csv", "rightmost").at(0);
  CHECK(rightmost.x == value("pole_real", 0));
  CHECK(std::abs(rightmost.y) == std::abs(value("pole_angular_frequency", 0)));
  std::size_t poles = 0;
  for (const auto& row : rows_of(folder / "poles.csv"))
    poles += row.at("panel") == "complex plane" && row.at("series") != "rightmost" &&
             !row.at("series").ends_with("other trials");
  CHECK(poles == 7);

  const std::vector<PlotPoint> largest = series(folder / "bode.csv", "largest singular value");
  REQUIRE(largest.size() >= 60);
  CHECK(largest[10].x == value("response_frequency", 10));
  CHECK(largest[10].y == value("return_ratio_largest", 10));

  const std::vector<PlotPoint> locus = series(folder / "nyquist.csv", "locus 1");
  CHECK(locus.at(20).x == value("return_ratio_real", 20 * 3 + 1));
  CHECK(locus.at(20).y == value("return_ratio_imag", 20 * 3 + 1));
  CHECK(series(folder / "nyquist.csv", "locus 1, mirror image").at(20).y == -locus[20].y);

  const std::vector<PlotPoint> errors = series(folder / "directions.csv", "measured");
  const std::vector<PlotPoint> linear = series(folder / "directions.csv", "1/(1 + Gσ²)");
  REQUIRE(errors.size() == 3);
  for (Index k = 0; k < 3; ++k) {
    CHECK(errors[static_cast<std::size_t>(k)].x == value("singular_value", k));
    CHECK(errors[static_cast<std::size_t>(k)].y == value("direction_error", k));
    CHECK(linear[static_cast<std::size_t>(k)].y == value("direction_error_linear", k));
  }

  CHECK(series(folder / "pseudospectrum.csv", "poles").size() == 7);
  CHECK(series(folder / "poles_along.csv", "trial 1").back().y == value("pole_along", 59));
}

TEST_CASE("the slowest pole's line touches the distance from rest at last, and falls like it") {
  // One unit with σ = 0.2, α = 0.5, k = 1: s = ½(−(1 + α) ± √((1 − α)² − 4σ²)) = −0.6 and −0.9.
  const test::TemporaryFolder folder;
  const std::string text = R"(
[model]
kind = "dynamic_inversion"
layers = [1, 1]
transfer = "identity"
forward = { values = [[0.2]] }
setpoint = { values = [0.3] }
[model.controller]
leak = 0.5
[solver]
rtol = 1e-10
atol = 1e-13
duration = 60.0
[record]
interval = 0.25
)";
  const io::ResultFile result(measured(text, {}, folder / "r.h5"));
  const auto approach = rest_approach(result, error_series(result, {0}).at(0), 0);
  REQUIRE(approach);
  CHECK(approach->pole == Approx(-0.6).epsilon(1e-9));
  const VectorXd& t = approach->time;
  Index last = 0;
  for (Index k = 0; k < t.size(); ++k)
    if (std::isfinite(approach->distance[k])) last = k;
  CHECK(t[last] == Approx(approach->last_shown()));
  CHECK(t[last] > 25);  // 1e-7 of the way, against a tolerance of 1e-10
  for (Index k = 0; k <= last; ++k) {
    if (k > 0)
      CHECK(approach->predicted[k] / approach->predicted[k - 1] == Approx(std::exp(-0.15)));
    if (t[k] > t[last] - 3.8) CHECK(approach->predicted[k] >= 0.999 * approach->distance[k]);
  }
  // What is left of the faster pole, which is three times as large at first: 3 e^{−0.3 t}.
  CHECK(approach->predicted[last] / approach->distance[last] == Approx(1).margin(0.02));
}

TEST_CASE("an error that is at rest before the slowest pole decays has no line of its") {
  // An expanding layer's null directions only integrate, at the leak: the error does not feel them.
  const test::TemporaryFolder folder;
  std::string text = one_loop;
  text.replace(text.find("[4, 3]"), 6, "[2, 4]");
  text.replace(text.find("leak = 0.1"), 10, "leak = 0.005");
  text.replace(text.find("duration = 200.0"), 16, "duration = 3000.0");
  text.replace(text.find("transfer = \"tanh\""), 17, "transfer = \"identity\"");
  const io::ResultFile result(measured(text, {}, folder / "r.h5"));
  const auto approach = rest_approach(result, error_series(result, {0}).at(0), 0);
  REQUIRE(approach);
  CHECK(approach->pole == Approx(-0.005));
  CHECK(approach->predicted.array().isNaN().all());
}

}  // namespace
}  // namespace settle::analysis
