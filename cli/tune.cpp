#include "analysis/tune.hpp"

#include <cmath>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "cli/each_file.hpp"
#include "cli/interrupt.hpp"
#include "cli/run_summary.hpp"
#include "cli/terminal.hpp"
#include "sim/io/analysis_file.hpp"

namespace settle::cli {
namespace {

using analysis::Parameter;
using analysis::TunedPoint;
using analysis::Tuning;
using Json = nlohmann::ordered_json;

struct TuneReport {
  const Prepared& ready;
  const analysis::TuneSpec& spec;
  const Tuning& tuning;
  std::vector<std::string> settings;  // "model.controller.leak=0.1": what makes them the file's
  std::filesystem::path result;
  double seconds = 0;
};

// What sets the file to the tuned gains: keys and values that differ from it.
std::vector<std::string> settings(const Prepared& ready, const analysis::TuneSpec& spec,
                                  const models::Gains& tuned) {
  const auto& controllers = ready.system->circuit().controllers;
  const auto is_tuned = [&](const system::Controller& controller) {
    return spec.controllers.empty() || std::find(spec.controllers.begin(), spec.controllers.end(),
                                                 controller.name) != spec.controllers.end();
  };
  const core::Value* model = ready.file.value.find("model");
  const bool all = std::all_of(controllers.begin(), controllers.end(), is_tuned);
  if (model && (!all || !model->find("controller"))) return {};
  std::vector<std::string> out;
  for (const Parameter p : analysis::all_parameters) {
    const double after = analysis::value(tuned, p);
    bool any = false;
    for (const system::Controller& controller : controllers) {
      if (!is_tuned(controller) || analysis::value(analysis::gains_of(controller), p) == after)
        continue;
      if (!model)
        out.push_back("controller." + controller.name + "." + analysis::key(p) + "=" +
                      core::brief(after));
      any = true;
    }
    if (model && any)
      out.push_back("model.controller." + analysis::key(p) + "=" + core::brief(after));
  }
  return out;
}

std::string number(double x) { return std::isfinite(x) ? core::brief(x) : "-"; }

std::string pole_text(const TunedPoint& point) {
  if (!std::isfinite(point.abscissa)) return "-";
  return core::brief(point.abscissa) +
         (point.frequency > 1e-9 ? " ± " + core::brief(point.frequency) + "i" : "");
}

std::string ratio_text(double ratio) {
  return std::isfinite(ratio) ? "× " + core::brief(ratio) : "no limit";
}

// Whether a wider bound might do better.
bool is_at_a_bound(const Tuning& tuning, const std::vector<double>& pair, Parameter p) {
  const double v = analysis::value(tuning.after.gains, p);
  return pair.back() > pair.front() && ((v <= pair.front() && v > 0) || v >= pair.back());
}

void print(const TuneReport& report, const Style& style) {
  const Tuning& tuning = report.tuning;
  const std::string& unit = report.ready.config.time_unit;
  const auto time = [&](double t) { return std::isfinite(t) ? core::brief(t, unit) : "-"; };
  const std::string band = core::brief(100 * report.spec.band) + " %";
  std::cout << style.bold(report.ready.config.title.empty() ? report.ready.file.path.stem().string()
                                                            : report.ready.config.title)
            << '\n';
  if (tuning.feasible && std::isfinite(tuning.before.settling_time))
    print_line("tuned", "settles " +
                            core::brief(tuning.before.settling_time / tuning.after.settling_time) +
                            " times as fast to " + band + ", in " + duration_text(report.seconds));
  else if (tuning.feasible)
    print_line("tuned", "settles, which it did not before, in " + duration_text(report.seconds));
  else
    print_line(style.yellow("not tuned"), tuning.why_not);
  Table table({"", "before", "after", "  bound", ""}, "lrrl");
  const std::vector<double>* bounds[] = {&report.spec.leak, &report.spec.p, &report.spec.i,
                                         &report.spec.d};
  for (const Parameter p : analysis::all_parameters) {
    const std::vector<double>& pair = *bounds[static_cast<std::size_t>(p)];
    table.add({p == Parameter::leak ? "leak α" : "gain " + std::string(analysis::name(p)),
               core::brief(analysis::value(tuning.before.gains, p)),
               core::brief(analysis::value(tuning.after.gains, p)),
               "  " + core::brief(pair.front()) +
                   (pair.back() > pair.front() ? " to " + core::brief(pair.back()) : ""),
               is_at_a_bound(tuning, pair, p) ? "reached" : ""});
  }
  table.add({"settling time to " + band, time(tuning.before.settling_time),
             time(tuning.after.settling_time), "", ""});
  table.add({"inversion error at rest", number(tuning.before.rest_error),
             number(tuning.after.rest_error), "  at most " + core::brief(report.spec.largest_error),
             ""});
  table.add({"slowest pole", pole_text(tuning.before), pole_text(tuning.after), "", ""});
  table.add({"stable up to one changed by", ratio_text(tuning.ratio_before),
             ratio_text(tuning.ratio_after), "  at least × " + core::brief(report.spec.margin),
             ""});
  table.print();
  std::cout << "\n  Pareto front: the soonest settled at each α\n";
  Table front({"α", "p", "i", "d", "inversion error", "settling time", ""}, "rrrrrrl");
  for (std::size_t k = 0; k < tuning.front.size(); ++k) {
    const TunedPoint& point = tuning.front[k];
    front.add(
        {core::brief(point.gains.leak), core::brief(point.gains.p), core::brief(point.gains.i),
         core::brief(point.gains.d), number(point.rest_error), time(point.settling_time),
         !std::isfinite(point.settling_time)
             ? (point.why_not.empty() ? "did not settle, or breaks the margin" : point.why_not)
         : tuning.dominated[k] ? "another is better in both"
                               : ""});
  }
  front.print();
  std::cout << '\n';
  print_line("result", report.result.string());
  if (tuning.feasible && !report.settings.empty()) {
    std::string text;
    for (const std::string& setting : report.settings) text += " --set " + setting;
    print_line("to run it", "settle run " + report.ready.file.path.string() + text);
  }
  if (report.ready.system->trials() > static_cast<Eigen::Index>(tuning.trials.size()))
    print_line("of", std::to_string(tuning.trials.size()) + " of the " +
                         std::to_string(report.ready.system->trials()) +
                         " trials (tune.trials); the worst of them counts");
  for (const std::string& warning : report.ready.warnings)
    print_line(style.yellow("warning"), warning);
}

Json to_json(const TunedPoint& point) {
  Json out;
  for (const Parameter p : analysis::all_parameters)
    out[analysis::name(p)] = analysis::value(point.gains, p);
  out["settling_time"] = json_number(point.settling_time);
  out["inversion_error"] = json_number(point.rest_error);
  out["slowest_pole"] = json_number(point.abscissa);
  out["slowest_pole_angular_frequency"] = json_number(point.frequency);
  if (!point.why_not.empty()) out["why_not"] = point.why_not;
  return out;
}

Json to_json(const TuneReport& report) {
  const Tuning& tuning = report.tuning;
  Json out{{"file", report.ready.file.path.string()},
           {"result", report.result.string()},
           {"feasible", tuning.feasible},
           {"before", to_json(tuning.before)},
           {"after", to_json(tuning.after)},
           {"smallest_ratio_before", json_number(tuning.ratio_before)},
           {"smallest_ratio_after", json_number(tuning.ratio_after)},
           {"settings", report.settings},
           {"front", Json::array()}};
  if (!tuning.feasible) out["reason"] = tuning.why_not;
  for (std::size_t k = 0; k < tuning.front.size(); ++k) {
    Json entry = to_json(tuning.front[k]);
    entry["dominated"] = static_cast<bool>(tuning.dominated[k]);
    out["front"].push_back(std::move(entry));
  }
  return out;
}

int tune_file(const std::filesystem::path& file, const RunOptions& options, Json& all) {
  const auto start = std::chrono::steady_clock::now();
  const Prepared ready = prepare(file, options.set);
  if (ready.sweep)
    throw core::InputError(file.string(), "a configuration with [sweep], which is many circuits",
                           "one without it");
  const std::filesystem::path result =
      options.output.empty() ? std::filesystem::path(file.stem().string() + "_tuning.h5")
                             : options.output;
  check_is_not_input(result, file);
  std::optional<Tuning> tuning;
  {
    ProgressDisplay display(options.quiet || options.json, file.stem().string());
    const SignalGuard guard;
    std::mutex mutex;
    tuning =
        analysis::tune(ready.config, *ready.system, ready.analysis, ready.tune, [&](double share) {
          const std::lock_guard lock(mutex);
          display.show(share, "tuning");
          return !stop_requested();
        });
  }
  if (!tuning) {
    std::cerr << "settle: interrupted; nothing was written\n";
    return interrupted;
  }
  io::write_analysis(result, "tuning", file.string(), analysis::as_quantities(*tuning, ready.tune),
                     run_info(ready, options.command), ready.config.solver, options.overwrite);
  const TuneReport report{
      ready,   ready.tune,
      *tuning, settings(ready, ready.tune, tuning->after.gains),
      result,  std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()};
  if (options.json)
    all.push_back(to_json(report));
  else if (!options.quiet)
    print(report, Style(1));
  return tuning->feasible ? done : simulation_failed;
}

}  // namespace

int tune(const RunOptions& options) {
  if (!options.output.empty() && options.files.size() > 1)
    throw core::InputError(
        "-o", "one result file for " + std::to_string(options.files.size()) + " configurations",
        "no -o: each result is named after its configuration");
  return for_each_file(options, [&](const std::filesystem::path& file, Json& all) {
    return tune_file(file, options, all);
  });
}

}  // namespace settle::cli
