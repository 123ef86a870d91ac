// How time and memory grow with a circuit's size, with the number of trials and with 1/α: `make growth`.
//
// Each point is a fresh process that builds a circuit, runs it three times at most on one thread, and
// says the median of the processor's time and its peak memory. Beside each series stands the exponent that is expected of
// it, and the one found between its last points.
#include <tbb/global_control.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "analysis/chart.hpp"
#include "analysis/palette.hpp"
#include "bench/contender.hpp"
#include "bench/process.hpp"
#include "models/build.hpp"
#include "sim/core/machine.hpp"
#include "sim/io/toml.hpp"
#include "sim/solve/solve.hpp"

namespace settle::bench {
namespace {

using nlohmann::json;

/// One series: circuits of rising x.
struct Series {
  std::string axis;  ///< "units", "trials", "1/α"
  std::string name;
  std::vector<double> at;
  std::function<std::string(double)> toml;  ///< the circuit of an x
  double time_exponent, memory_exponent;    ///< expected for large x
};

std::vector<double> powers(double from, double to, int steps_a_decade) {
  std::vector<double> out;
  for (int k = 0;; ++k) {
    const double x = from * std::pow(10.0, static_cast<double>(k) / steps_a_decade);
    if (x > to * 1.001) return out;
    out.push_back(x);
  }
}

std::string number(double x) { return json(x).dump(); }
std::string whole(double x) { return std::to_string(std::llround(x)); }

// A population of n tanh units that hears itself, τ ẋ = −x + W φ(x) + b, for 10 τ; the entries of W
// are such that its spectral radius is about ½.
std::string recurrent(double n, const std::string& weights) {
  return "[[population]]\nname = \"x\"\nsize = " + whole(n) +
         "\ntransfer = \"tanh\"\nbias = { init = \"normal\", std = 0.5 }\n[[projection]]\nfrom = "
         "\"x\"\nto = \"x\"\nweights = " +
         weights + "\n[solver]\nduration = 10.0\n";
}
std::string normal(double std) { return "{ init = \"normal\", std = " + number(std) + " }"; }
std::string sparse(double n, double density) {
  return "{ init = \"sparse\", density = " + number(density) +
         ", std = " + number(0.5 / std::sqrt(density * n)) + " }";
}

// The loop of W1 for 50 time units, with many setpoints.
std::string loop(double trials, const std::string& transfer) {
  return "[model]\nkind = \"dynamic_inversion\"\ntrials = " + whole(trials) +
         "\nlayers = [20, 10]\ntransfer = \"" + transfer +
         "\"\nforward = { init = \"uniform\", low = -0.5, high = 0.5 }\nsetpoint = { init = "
         "\"normal\", std = 0.1 }\n[model.controller]\nleak = 0.01\n[solver]\nduration = 50.0\n";
}

// An expanding loop, whose slowest poles stand at −α, until it has settled.
std::string expanding(double per_leak, const std::string& transfer, const std::string& method) {
  return "[model]\nkind = \"dynamic_inversion\"\nlayers = [10, 20]\ntransfer = \"" + transfer +
         "\"\nforward = { init = \"uniform\", low = -0.5, high = 0.5 }\nsetpoint = { init = "
         "\"normal\", std = 0.001 }\n[model.controller]\nleak = " +
         number(1 / per_leak) + "\n[solver]\nmethod = \"" + method +
         "\"\nduration = " + number(100 * std::max(per_leak, 1.0)) + "\nsettled = {}\n";
}

std::vector<Series> all_series(bool quick) {
  // The dense matrix, and the copy that building it may need, fit into half the memory.
  const double most_dense =
      std::min(31623.0, std::sqrt(core::physical_memory() / (2 * 2 * sizeof(double))));
  const auto sizes = [&](double most) { return powers(10, quick ? 1000 : most, 2); };
  std::vector<Series> out = {
      {"units", "dense", sizes(std::min(most_dense, 10000.0)),
       [](double n) { return recurrent(n, normal(0.5 / std::sqrt(std::round(n)))); }, 2, 2},
      {"units", "1 % sparse", sizes(100000), [](double n) { return recurrent(n, sparse(n, 0.01)); },
       2, 2},
      {"units", "100 inputs a unit", sizes(100000),
       [](double n) { return recurrent(n, sparse(n, std::min(1.0, 100 / n))); }, 1, 1},
      {"units", "rank 10", sizes(100000),
       [](double n) {
         const double std = std::sqrt(0.5 / std::sqrt(n * 10));
         return recurrent(n, "{ init = \"product\", factors = [" + normal(std) + ", " +
                                 normal(std) + "], inner = [10] }");
       },
       1, 1},
      {"trials", "tanh", powers(1, quick ? 100 : 10000, 2),
       [](double trials) { return loop(trials, "tanh"); }, 1, 1},
      {"trials", "identity", powers(1, quick ? 100 : 10000, 2),
       [](double trials) { return loop(trials, "identity"); }, 1, 1},
  };
  // An explicit solver steps at its limit of stability for all of the time that it takes to settle; for
  // the others a slow decay is as good as none.
  const auto add = [&](const std::string& transfer, const std::string& method, double exponent) {
    if (solve::methods().find(method))
      out.push_back({"1/α", method + ", " + transfer, powers(1, quick ? 100 : 10000, 2),
                     [=](double x) { return expanding(x, transfer, method); }, exponent, 0});
  };
  add("tanh", "dopri5", 1);
  add("tanh", "cvode_bdf", 0);
  add("identity", "exact", 0);
  return out;
}

class Blind final : public solve::Observer {
 public:
  solve::Sampling sampling() const override {
    return {.interval = std::numeric_limits<double>::infinity()};
  }
};

// What the fresh process does.
int measure_here(const std::string& toml) {
  const tbb::global_control one(tbb::global_control::max_allowed_parallelism, 1);
  processor_time = true;
  const Stopwatch building;
  const models::Config config = models::read_config(io::parse_toml(toml, "growth.toml"), ".");
  const system::OdeSystem system = system::compile(models::build_circuit(config));
  const double build = building.seconds();
  const Eigen::MatrixXd x0 = system.initial_state();
  std::vector<double> seconds;
  std::string outcome;
  double spent = 0;
  while (seconds.size() < 3 && spent < 2) {
    Blind blind;
    const Stopwatch watch;
    const solve::SolveSummary summary = solve::solve(system, x0, config.solver, blind);
    seconds.push_back(watch.seconds());
    spent += seconds.back();
    outcome = summary.status == solve::SolveSummary::Status::done ? solve::name(summary.outcome())
                                                                  : summary.reason;
  }
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<long>(seconds.size() / 2),
                   seconds.end());
  std::cout << json{{"seconds", seconds[seconds.size() / 2]},
                    {"build_seconds", build},
                    {"megabytes", peak_memory()},
                    {"connections", system.parameters()},
                    {"outcome", outcome}}
                   .dump()
            << '\n';
  return 0;
}

struct Point {
  double x, seconds, build_seconds, megabytes;
  std::int64_t connections;
  std::string outcome;
};

struct Found {
  Series series;
  std::vector<Point> points;
  /// What the process of the smallest circuit takes.
  double base() const { return points.front().megabytes; }
};

// The slope of log y over log x by least squares, over the last three points.
double exponent(const std::vector<Point>& points, const std::vector<double>& y) {
  const std::size_t first = points.size() > 3 ? points.size() - 3 : 0;
  double n = 0, sx = 0, sy = 0, sxx = 0, sxy = 0;
  for (std::size_t k = first; k < points.size(); ++k) {
    const double a = std::log(points[k].x), b = std::log(y[k]);
    n += 1;
    sx += a;
    sy += b;
    sxx += a * a;
    sxy += a * b;
  }
  return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

double time_exponent(const Found& found) {
  std::vector<double> y;
  for (const Point& p : found.points) y.push_back(p.seconds);
  return exponent(found.points, y);
}

// Of what comes to the memory of the smallest circuit; 0 where that is nothing to speak of.
double memory_exponent(const Found& found) {
  if (found.points.back().megabytes - found.base() < 1) return 0;
  std::vector<double> y;
  for (const Point& p : found.points) y.push_back(std::max(p.megabytes - found.base(), 1e-3));
  return exponent(found.points, y);
}

Found measure(const Series& series) {
  Found found{series, {}};
  for (const double x : series.at) {
    const double at = series.axis == "1/α" ? x : std::round(x);
    const std::string answer = run_again({"--here", series.toml(at)});
    if (answer.empty()) {
      std::cout << "  " << series.name << " at " << at << " could not be run\n";
      break;
    }
    const json a = json::parse(answer);
    found.points.push_back(
        {at, a["seconds"], a["build_seconds"], a["megabytes"], a["connections"], a["outcome"]});
    const Point& p = found.points.back();
    char line[200];
    std::snprintf(line, sizeof line,
                  "  %9.6g %14lld connections  built in %8.3g s, run in %8.3g s, %8.1f MB  %s", p.x,
                  static_cast<long long>(p.connections), p.build_seconds, p.seconds, p.megabytes,
                  p.outcome.c_str());
    std::cout << line << std::endl;
  }
  return found;
}

void write_csv(const std::vector<Found>& all, const std::string& path) {
  std::ofstream out(path);
  out << "axis,series,x,connections,seconds,build_seconds,peak_megabytes,outcome,"
         "expected_time_exponent,expected_memory_exponent\n";
  for (const Found& found : all)
    for (const Point& p : found.points)
      out << found.series.axis << ",\"" << found.series.name << "\"," << number(p.x) << ','
          << p.connections << ',' << number(p.seconds) << ',' << number(p.build_seconds) << ','
          << number(p.megabytes) << ',' << p.outcome << ',' << number(found.series.time_exponent)
          << ',' << number(found.series.memory_exponent) << '\n';
  if (!out) throw std::runtime_error(path + " can't be written");
}

std::string colour_of(std::size_t k) {
  static constexpr std::array more = {"#000000", "#882255"};
  return k < analysis::named_colours ? analysis::named_colour(k)
                                     : more[(k - analysis::named_colours) % more.size()];
}

// Of one quantity over one axis, with the expected slope through the last point of each series.
analysis::ChartPanel panel(const std::vector<Found>& all, const std::string& axis,
                           const std::string& label, double Point::*y, const std::string& y_label,
                           double Series::*expected) {
  analysis::ChartPanel out;
  out.name = y_label + " over " + axis;
  out.x = {.label = label, .name = axis, .log = true};
  out.y = {.label = y_label, .name = y_label, .log = true};
  out.height = 210;
  std::vector<double> xs;
  std::size_t colour = 0;
  for (const Found& found : all) {
    const std::size_t own = colour++;
    if (found.series.axis != axis || found.points.empty()) continue;
    analysis::ChartSeries line, dashes;
    line.name = found.series.name;
    line.colour = dashes.colour = colour_of(own);
    line.mark = std::array{7, 5, 9, 11, 13}[own % 5];
    line.mark_size = 0.55;
    for (const Point& p : found.points) {
      line.points.push_back({p.x, p.*y});
      xs.push_back(p.x);
    }
    const Point& last = found.points.back();
    const double rest = y == &Point::megabytes ? found.base() : 0;
    dashes.name = line.name + ", expected";
    dashes.stroke = analysis::Stroke::dashed;
    dashes.width = 1;
    dashes.in_key = false;
    for (const Point& p : found.points)
      if (p.x >= last.x / 33)
        dashes.points.push_back(
            {p.x, rest + (last.*y - rest) * std::pow(p.x / last.x, found.series.*expected)});
    out.series.push_back(std::move(dashes));
    out.series.push_back(std::move(line));
  }
  analysis::fit(out.x, xs);
  return out;
}

void draw(const std::vector<Found>& all, const std::string& path) {
  analysis::Chart chart;
  chart.name = "growth";
  chart.title = "How time and memory grow";
  chart.notes = {
      "Dashed: the expected power law through the last point, of memory beside what the smallest "
      "circuit takes. One thread."};
  chart.columns = 3;
  const auto add = [&](double Point::*y, const std::string& label, double Series::*expected) {
    std::vector<double> ys;
    for (const Found& found : all)
      for (const Point& p : found.points) ys.push_back(p.*y);
    for (const auto& [axis, x_label] : {std::pair<const char*, const char*>{"units", "units"},
                                        {"trials", "trials"},
                                        {"1/α", "1/α, until settled"}}) {
      chart.panels.push_back(panel(all, axis, x_label, y, label, expected));
      analysis::fit(chart.panels.back().y, ys);
    }
  };
  add(&Point::seconds, "processor time of a run (s)", &Series::time_exponent);
  add(&Point::megabytes, "peak memory (MB)", &Series::memory_exponent);
  chart.width = 980;
  analysis::draw_chart(chart, path);
}

int run(bool quick, const std::string& csv, const std::string& figure) {
  std::vector<Found> all;
  for (const Series& series : all_series(quick)) {
    std::cout << series.axis << ", " << series.name << std::endl;
    all.push_back(measure(series));
    if (all.back().points.size() < 2) continue;
    char line[200];
    std::snprintf(line, sizeof line,
                  "  exponents: time %.2f (expected %g), memory %.2f (expected %g)",
                  time_exponent(all.back()), series.time_exponent, memory_exponent(all.back()),
                  series.memory_exponent);
    std::cout << line << std::endl;
  }
  write_csv(all, csv);
  draw(all, figure);
  std::cout << csv << ", " << figure << '\n';
  return 0;
}

}  // namespace
}  // namespace settle::bench

int main(int argc, char** argv) {
  using namespace settle::bench;
  CLI::App app("How time and memory grow with size, trials and 1/α");
  std::string csv = "growth.csv", figure = "growth.svg", here;
  bool quick = false;
  app.add_option("--csv", csv, "where the numbers go")->capture_default_str();
  app.add_option("-o", figure, "where the figure goes (.svg, .png, .pdf)")->capture_default_str();
  app.add_flag("--quick", quick, "small circuits only");
  app.add_option("--here", here, "one circuit (TOML): its time and this process' memory");
  CLI11_PARSE(app, argc, argv);
  try {
    return here.empty() ? run(quick, csv, figure) : measure_here(here);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
