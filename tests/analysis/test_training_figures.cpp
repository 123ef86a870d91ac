// Figures of a training run: which there are, and that their numbers are those of the file.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>

#include "analysis/training_figures.hpp"
#include "sim/core/value.hpp"
#include "sim/io/training_reader.hpp"
#include "tests/temporary_folder.hpp"

namespace settle::analysis {
namespace {

using Catch::Matchers::Contains;
using Path = std::filesystem::path;
using Place = std::array<std::size_t, 4>;  // rule, seed, step, layer

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// A run whose numbers are given by functions of the place; a variable without one stays NaN.
struct Run {
  std::vector<std::string> rules = {"BP", "NDI, α = .01", "DI, α = .01"};
  std::vector<std::int64_t> seeds = {1, 2, 3};
  std::vector<double> steps = {0, 10, 20, 30};
  std::vector<std::int64_t> layers = {1, 2};
  std::map<std::string, std::function<double(const Place&)>> numbers;
  std::string measure = "mean squared error";
  std::string status = "done";
  std::vector<std::array<std::size_t, 2>> diverged;
  std::vector<io::TrainingLayout::Series> series{};

  Path write(const Path& path) const {
    io::ResumableInfo info{.resumption = {.base = "."}};
    info.run.title = "A 'run' of {rules} & _more_";
    info.run.time_unit = "ms";
    io::TrainingFile file(
        path,
        {rules,
         seeds,
         steps,
         layers,
         {{.name = "train_error", .long_name = "error on training examples"},
          {.name = "test_error", .long_name = "error on held-out examples"},
          {.name = "angle_to_bp", .unit = "degree", .long_name = "to BP's", .per_layer = true},
          {.name = "angle_to_ndi", .unit = "degree", .long_name = "to NDI's", .per_layer = true},
          {.name = "feedback_angle", .unit = "degree", .long_name = "of B", .per_layer = true},
          {.name = "slowest_pole", .unit = "1/time", .long_name = "max Re", .per_layer = true},
          {.name = "paper_criterion", .unit = "1/time", .long_name = "WB", .per_layer = true},
          {.name = "interventions", .long_name = "corrections"},
          {.name = "unstable", .long_name = "unstable loops"},
          {.name = "settling_time", .unit = "time", .long_name = "time to rest"},
          {.name = "unsettled", .long_name = "that did not settle"},
          {.name = "update_norm", .long_name = "norm", .per_layer = true},
          {.name = "seconds_per_example", .unit = "s", .long_name = "time"},
          {.name = "multiplications", .long_name = "multiplications"}},
         series},
        info, io::TrainingFile::Opening::overwrite);
    file.set_attribute("error_measure", measure);
    for (const io::TrainingVariable& variable : file.layout().variables) {
      const auto number = numbers.find(variable.name);
      if (number == numbers.end()) continue;
      for (std::size_t r = 0; r < rules.size(); ++r)
        for (std::size_t s = 0; s < seeds.size(); ++s)
          for (std::size_t t = 0; t < steps.size(); ++t) {
            std::vector<double> values;
            for (std::size_t l = 0; l < (variable.per_layer ? layers.size() : 1); ++l)
              values.push_back(number->second({r, s, t, l}));
            file.put(variable.name, r, s, t, values);
          }
    }
    for (const auto& [rule, seed] : diverged)
      file.end(rule, seed, io::CourseOutcome::diverged, "‖W‖ is not finite");
    file.finish(status);
    return path;
  }
};

double error(const Place& at) {
  const auto [r, s, t, l] = at;
  return 4.0 * static_cast<double>(s + 1) * std::pow(10, -static_cast<double>(t * (r + 1)));
}

// A number for everything, each its own; of loops for the last rule alone.
Run whole() {
  Run run;
  const auto own = [](const Place& at) {
    return 1 + 40.0 * static_cast<double>(at[0]) + 7.0 * static_cast<double>(at[1]) +
           2.0 * static_cast<double>(at[2]) + static_cast<double>(at[3]) / 8;
  };
  const auto of_last = [own](double factor) {
    return [own, factor](const Place& at) { return at[0] == 2 ? factor * own(at) : nan; };
  };
  run.numbers = {
      {"test_error", error},
      {"train_error", own},
      {"angle_to_bp", own},
      {"angle_to_ndi", of_last(1)},
      {"feedback_angle", of_last(1)},
      {"slowest_pole", of_last(-0.01)},
      {"paper_criterion", of_last(-0.02)},
      {"interventions",
       [](const Place& at) { return at[0] == 2 && at[2] == 1 ? double(at[1]) : 0; }},
      {"unstable", [](const Place& at) { return at[0] == 2 && at[2] == 1 ? 2.0 : 0; }},
      {"settling_time", of_last(1)},
      {"unsettled", [](const Place& at) { return at[0] == 2 && at[1] == 1 ? 1.0 : 0; }},
      {"update_norm", own},
  };
  return run;
}

std::vector<double> column(const std::vector<CsvRow>& all, const std::string& panel,
                           const std::string& series) {
  std::vector<double> out;
  for (const CsvRow& row : all)
    if (row[0].starts_with(panel) && row[1] == series)
      out.push_back(row[5] == "NaN" ? nan : std::stod(row[5]));
  return out;
}

TEST_CASE("a training run is drawn as what it holds numbers of, and the rest is refused with why") {
  const test::TemporaryFolder folder;
  const Path all = whole().write(folder / "all.h5");
  const std::vector<std::string> names = {"errors", "angles", "stability", "settling", "updates"};
  CHECK(training_figure_names(all) == names);
  CHECK(figure_names(all) == names);
  CHECK(default_figures(all) == std::vector<std::string>{"errors"});

  Run run;
  run.numbers = {{"train_error", error}, {"unsettled", [](const Place&) { return 0.0; }}};
  const Path some = run.write(folder / "some.h5");
  CHECK(training_figure_names(some) == std::vector<std::string>{"errors"});
  for (const auto& [name, why] :
       {std::pair{"angles", "compare = true"}, std::pair{"stability", "no rule has loops"},
        std::pair{"settling", "no rule settles circuits"},
        std::pair{"updates", "no update was made"}, std::pair{"angle", "no figure \"angle\""}})
    CHECK_THROWS_WITH(draw_figure(some, {}, name, folder / "f.svg"), Contains(why));
  CHECK_THROWS_WITH(training_figure(all, {}, "angle"), Contains("angles"));
  CHECK_THROWS_WITH(training_figure(all, {.trial = 1}, ""), Contains("trial 1"));
  run.numbers.clear();
  CHECK_THROWS_WITH(figure_names(run.write(folder / "none.h5")), Contains("without any number"));
  CHECK_THROWS_WITH(training_figure(folder.write("x.h5", "text"), {}, ""), Contains("x.h5"));
  CHECK(training_figure_names(folder / "x.h5").empty());
}

TEST_CASE("errors are drawn over each seed's largest, as geometric means between the extremes") {
  const test::TemporaryFolder folder;
  Run run = whole();
  run.numbers["test_error"] = [](const Place& at) {
    if (at[0] == 1 && at[1] == 0 && at[2] == 2) return nan;
    return at[0] == 0 && at[1] == 1 ? error(at) / 2 : error(at);
  };
  const std::vector<CsvRow> all = rows(training_figure(run.write(folder / "t.h5"), {}, "errors"));
  const auto mean = column(all, "mean squared error on held-out", "BP"),
             least = column(all, "mean squared error", "BP (least)"),
             most = column(all, "mean squared error", "BP (largest)"),
             gap = column(all, "mean squared error", "NDI, α = .01");
  REQUIRE(mean.size() == 4);
  REQUIRE(gap.size() == 4);
  for (std::size_t t = 0; t < 4; ++t) {
    const double full = std::pow(10, -static_cast<double>(t));
    CHECK(least[t] == Approx(full / 2).epsilon(1e-14));  // rounding of a quotient
    CHECK(most[t] == Approx(full).epsilon(1e-14));
    CHECK(mean[t] == Approx(full * std::cbrt(0.5)).epsilon(1e-13));  // and of three logarithms
  }
  CHECK(gap[2] == Approx(1e-4).epsilon(1e-13));  // of the seeds that have a number
  CHECK_THAT(all[0][4], Contains("test_error / largest test_error"));
}

TEST_CASE("of one seed the numbers are the file's own, and missing ones are gaps") {
  const test::TemporaryFolder folder;
  Run run = whole();
  run.seeds = {5};
  run.measure = "share of wrong classes";
  run.numbers.erase("test_error");
  run.numbers["train_error"] = [](const Place& at) { return at[2] == 2 ? nan : error(at) / 9; };
  const Path file = run.write(folder / "t.h5");
  const std::vector<CsvRow> all = rows(training_figure(file, {}, ""));
  const auto shares = column(all, "share of wrong classes on training examples", "BP");
  REQUIRE(shares.size() == 4);
  for (const std::size_t t : {0U, 1U, 3U}) CHECK(shares[t] == error({0, 0, t, 0}) / 9);
  CHECK(std::isnan(shares[2]));
  CHECK(all.size() == 3 * 4);  // without bands

  const auto number = [&](const std::string& name, const Place& at) {
    return run.numbers.at(name)(at);
  };
  const std::vector<CsvRow> poles = rows(training_figure(file, {}, "stability"));
  const std::vector<CsvRow> norms = rows(training_figure(file, {}, "updates"));
  const std::vector<CsvRow> angles = rows(training_figure(file, {}, "angles"));
  const std::vector<CsvRow> times = rows(training_figure(file, {}, "settling"));
  for (std::size_t t = 0; t < 4; ++t) {
    // The loop about the layer with the larger one is the slower.
    CHECK(column(poles, "slowest pole", "DI, α = .01")[t] == number("slowest_pole", {2, 0, t, 0}));
    CHECK(column(poles, "the paper's", "DI, α = .01")[t] ==
          number("paper_criterion", {2, 0, t, 0}));
    CHECK(column(norms, "weights of layer 2", "BP")[t] == number("update_norm", {0, 0, t, 1}));
    CHECK(column(angles, "update to backpropagation's", "BP")[t] ==
          number("angle_to_bp", {0, 0, t, 0}));
    // The feedback into the hidden layer belongs to the weights out of it.
    CHECK(column(angles, "feedback", "DI, α = .01")[t] == number("feedback_angle", {2, 0, t, 1}));
    CHECK(column(times, "mean settling time", "DI, α = .01")[t] ==
          number("settling_time", {2, 0, t, 0}));
  }
  CHECK(column(angles, "update to NDI's", "BP").empty());
  CHECK(column(times, "mean settling time", "BP").empty());
  CHECK_THAT(poles[0][4], Contains("slowest_pole (1/ms)"));
  CHECK_THAT(times[0][4], Contains("settling_time (ms)"));
}

TEST_CASE("interventions are marks on the slowest pole, and counts are told in full") {
  const test::TemporaryFolder folder;
  const Chart chart = training_figure(whole().write(folder / "t.h5"), {}, "stability");
  REQUIRE(chart.panels.size() == 2);
  const std::vector<CsvRow> all = rows(chart);
  const std::string name = "DI, α = .01";
  const auto marks = column(all, "slowest pole", name + ", corrected");
  REQUIRE(marks.size() == 1);
  CHECK(marks[0] == column(all, "slowest pole", name)[1]);
  CHECK(column(all, "the paper's", name + ", corrected").empty());
  for (const ChartPanel& panel : chart.panels) {
    CHECK(panel.y.low < 0);
    CHECK(panel.y.high > 0);
  }
  CHECK_THAT(chart.notes.at(1), Contains("6 by their poles") && Contains("B corrected 3 times"));
  const Chart settling = training_figure(folder / "t.h5", {}, "settling");
  CHECK(settling.panels.size() == 2);
  CHECK_THAT(settling.notes.at(0), Contains("4 of DI"));
}

TEST_CASE("a rule whose errors lie on those of another is dashed in every figure") {
  const test::TemporaryFolder folder;
  Run run = whole();
  run.numbers["test_error"] = [](Place at) {
    at[0] = std::min<std::size_t>(at[0], 1);
    return error(at);
  };
  const Path file = run.write(folder / "t.h5");
  for (const char* figure : {"errors", "updates"}) {
    const Chart chart = training_figure(file, {}, figure);
    const std::vector<ChartSeries>& lines = chart.panels.front().series;
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].stroke == Stroke::solid);
    CHECK(lines[1].stroke == Stroke::solid);
    CHECK(lines[2].stroke == Stroke::dashed);
  }
}

TEST_CASE("rules that diverged do not push the others out of sight, and are told") {
  const test::TemporaryFolder folder;
  Run run = whole();
  run.numbers["test_error"] = [](const Place& at) {
    return at[0] == 0 ? std::pow(1e30, static_cast<double>(at[2])) : error(at);
  };
  run.diverged = {{0, 0}, {0, 1}, {0, 2}};
  run.status = "interrupted";
  const Chart chart = training_figure(run.write(folder / "t.h5"), {}, "errors");
  CHECK(chart.panels[0].y.high < 1e3);
  CHECK(column(rows(chart), "mean squared", "DI, α = .01")[0] == Approx(1).epsilon(1e-14));
  CHECK_THAT(chart.notes.at(0), Contains("Diverged or failed: BP with 3 seeds") &&
                                    Contains("has not come to its end (interrupted)"));
}

TEST_CASE("of several hidden layers each has panels of its own, of many the mean is drawn") {
  const test::TemporaryFolder folder;
  Run run = whole();
  run.layers = {1, 2, 3};
  const Chart each = training_figure(run.write(folder / "3.h5"), {}, "angles");
  CHECK(each.columns == 2);
  CHECK(each.panels[1].title.starts_with("layer 2"));
  run.layers = {1, 2, 3, 4, 5, 6};
  run.seeds = {1};
  const Chart chart = training_figure(run.write(folder / "6.h5"), {}, "angles");
  const auto mean = column(rows(chart), "update to backpropagation's", "BP");
  REQUIRE(mean.size() == 4);
  CHECK(mean[3] == 1 + 6 + 2.0 / 8);  // over layers 0 to 4 of l / 8
}

TEST_CASE("chosen variables are drawn in place of the figure") {
  const test::TemporaryFolder folder;
  Run run = whole();
  run.seeds = {1};
  const Path file = run.write(folder / "t.h5");
  const Chart chart =
      training_figure(file, {.variables = {"settling_time", "update_norm"}}, "errors");
  REQUIRE(chart.panels.size() == 3);
  CHECK(column(rows(chart), "update_norm, layer 2", "DI, α = .01")[3] ==
        run.numbers.at("update_norm")({2, 0, 3, 1}));
  CHECK_THROWS_WITH(training_figure(file, {.variables = {"update_norms"}}, ""),
                    Contains("update_norm"));
}

std::vector<double> positions(const std::vector<CsvRow>& all, const std::string& panel,
                              const std::string& series) {
  std::vector<double> out;
  for (const CsvRow& row : all)
    if (row[0] == panel && row[1] == series) out.push_back(std::stod(row[3]));
  return out;
}

TEST_CASE("final numbers of a series are drawn against its parameter, those of others across") {
  const test::TemporaryFolder folder;
  Run run = whole();
  run.seeds = {5};
  run.rules = {"BP", "NDI, leak = 1", "NDI, leak = 0.01", "NDI, leak = 0.1", "FA, scaling = unit"};
  run.series = {{.name = "BP"},
                {"NDI", "leak", 1},
                {"NDI", "leak", 0.01},
                {"NDI", "leak", 0.1},
                {"FA", "scaling", nan}};
  run.numbers["slowest_pole"] = [](const Place& at) {
    return at[0] == 0 ? nan : -1.0 / static_cast<double>(1 + at[0] + at[3]);
  };
  const Path file = run.write(folder / "t.h5");
  const std::vector<std::string> names = training_figure_names(file);
  CHECK(std::count(names.begin(), names.end(), "against") == 1);
  const Chart chart = training_figure(file, {}, "against");
  CHECK(chart.panels[0].x.log);
  CHECK(chart.panels[0].x.label == "leak");
  CHECK(chart.panels[0].y.log);
  const std::vector<CsvRow> all = rows(chart);
  const std::string errors = "test_error against leak";
  using Numbers = std::vector<double>;
  // In the parameter's order, at the last evaluation.
  CHECK(positions(all, errors, "NDI") == Numbers{0.01, 0.1, 1});
  CHECK(column(all, errors, "NDI") ==
        Numbers{error({2, 0, 3, 0}), error({3, 0, 3, 0}), error({1, 0, 3, 0})});
  CHECK(column(all, errors, "BP") == Numbers(2, error({0, 0, 3, 0})));
  CHECK(column(all, errors, "FA, scaling = unit") == Numbers(2, error({4, 0, 3, 0})));
  for (const ChartSeries& series : chart.panels[0].series)
    CHECK((series.stroke == Stroke::dashed) == (series.name != "NDI"));
  // Of all layers' poles the one nearest to zero, as a rate while all are stable.
  CHECK(column(all, "slowest_pole against leak", "NDI") == Numbers{1.0 / 4, 1.0 / 5, 1.0 / 3});
  CHECK(column(all, "angle_to_bp against leak", "BP") ==
        Numbers(2, run.numbers.at("angle_to_bp")({0, 0, 3, 0})));

  const Chart one = training_figure(file, {.variables = {"update_norm"}}, "against");
  REQUIRE(one.panels.size() == 2);
  CHECK(column(rows(one), "update_norm against leak", "BP").size() == 4);
  CHECK_THROWS_WITH(training_figure(file, {.variables = {"interventionz"}}, "against"),
                    Contains("interventions"));

  run.series[2].value = 0.2;  // less than a decade to 1
  run.series[3].value = 0.5;
  run.series[1].parameter = run.series[2].parameter = run.series[3].parameter = "gains.p";
  CHECK_FALSE(training_figure(run.write(folder / "t.h5"), {}, "against").panels[0].x.log);
  run.series.clear();
  CHECK_THROWS_WITH(training_figure(run.write(folder / "t.h5"), {}, "against"),
                    Contains("vary = "));
}

TEST_CASE("parameters of several series stand side by side") {
  const test::TemporaryFolder folder;
  Run run = whole();
  run.rules = {"A, leak = 1", "A, leak = 2", "B, gains.p = 1", "B, gains.p = 0"};
  run.series = {{"A", "leak", 1}, {"A", "leak", 2}, {"B", "gains.p", 1}, {"B", "gains.p", 0}};
  const Chart chart = training_figure(run.write(folder / "t.h5"), {}, "against");
  CHECK(chart.columns == 2);
  CHECK(chart.panels.size() % 2 == 0);
  const ChartPanel &left = chart.panels[0], &right = chart.panels[1];
  CHECK(left.x.name == "leak");
  CHECK(right.x.name == "gains.p");
  CHECK_FALSE(left.x.log);
  CHECK_FALSE(right.x.log);
  CHECK(left.y.low == right.y.low);
  CHECK(left.series[0].name == "A");
  CHECK(right.series[0].name == "B");
}

TEST_CASE("cost is what an example takes, summed over examples up to the evaluation") {
  const test::TemporaryFolder folder;
  Run run = whole();
  run.steps = {0, 10, 30, 40};
  run.numbers["seconds_per_example"] = [](const Place& at) {
    return at[2] == 0 ? nan : static_cast<double>(at[0] + 1) * static_cast<double>(at[2]);
  };
  run.numbers["multiplications"] = [](const Place& at) { return at[2] == 0 ? nan : 1000.0; };
  const Chart chart = training_figure(run.write(folder / "t.h5"), {}, "cost");
  REQUIRE(chart.panels.size() == 2);
  const std::vector<CsvRow> all = rows(chart);
  using Numbers = std::vector<double>;
  const std::string name = "NDI, α = .01";
  // 2 s for 10 examples, 4 s for 20, 6 s for 10; on a logarithmic axis there is no start.
  CHECK(positions(all, "error against seconds (s)", name) == Numbers{20, 100, 160});
  CHECK(positions(all, "error against multiplications", name) == Numbers{10000, 30000, 40000});
  CHECK(column(all, "error against seconds (s)", name).size() == 3);
  CHECK(chart.panels[0].x.log);
  CHECK(chart.panels[0].y.low == chart.panels[1].y.low);
}

TEST_CASE("a training run is drawn to SVG, PNG and PDF with its numbers beside it") {
  const test::TemporaryFolder folder;
  Run run = whole();
  run.rules.clear();
  for (int k = 0; k < 12; ++k)
    run.rules.push_back("rule " + std::to_string(k) + " with {a_long} name, γ = ½ & B = −Wᵀ");
  run.rules.back() += std::string(200, 'x');
  const Path file = run.write(folder / "t.h5");
  const auto read = [&](const char* name) {
    std::ifstream in(folder / name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  for (const char* name : {"f.svg", "f.png", "f.pdf"})
    draw_figure(file, {.data = folder / "f.csv"}, "errors", folder / name);
  CHECK_THAT(read("f.svg"), Contains("γ = ½ &amp; B = −Wᵀ"));
  CHECK(read("f.png").substr(1, 3) == "PNG");
  CHECK(read("f.pdf").substr(0, 4) == "%PDF");
  const std::string csv = read("f.csv");
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 1 + 12 * 4 * 3);
}

}  // namespace
}  // namespace settle::analysis
