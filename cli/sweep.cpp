#include "analysis/sweep.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <mutex>

#include "analysis/verdict.hpp"
#include "cli/interrupt.hpp"
#include "cli/run_summary.hpp"
#include "cli/sweep_summary.hpp"
#include "sim/io/result_reader.hpp"

namespace settle::cli {
namespace {

using analysis::PointResult;
using io::PointStatus;
using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr std::size_t most_told = 5;  // failures and disagreements, one by one

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Runs every point that is still pending, on all cores. Whether all of them are through.
bool run_points(const analysis::SweepStudy& study, io::SweepWriter& writer,
                const std::string& time_unit, ProgressDisplay& display, double most_seconds) {
  std::vector<std::size_t> pending;
  for (std::size_t p = 0; p < writer.points().size(); ++p)
    if (writer.points()[p] == PointStatus::pending) pending.push_back(p);
  const auto start = Clock::now();
  const auto go_on = [&] { return !stop_requested() && seconds_since(start) < most_seconds; };
  std::mutex mutex;
  std::size_t done = writer.points().size() - pending.size(), failed = 0;
  const std::size_t before = done, all = writer.points().size();
  tbb::parallel_for(
      tbb::blocked_range<std::size_t>(0, pending.size(), 1),
      [&](const tbb::blocked_range<std::size_t>& range) {
        for (std::size_t k = range.begin(); k < range.end() && go_on(); ++k) {
          PointResult result = study.run(pending[k], go_on);
          if (result.interrupted) return;
          if (result.failure.empty() &&
              static_cast<std::uint64_t>(result.trials) != writer.trials())
            result.failure = std::to_string(result.trials) +
                             " trials, where the other points have " +
                             std::to_string(writer.trials());
          const std::lock_guard lock(mutex);
          if (result.failure.empty()) {
            writer.add(result.point, result.quantities, result.numbers);
            if (result.trajectories)
              result.trajectories->write(writer.point_group(result.point), time_unit);
          } else {
            writer.add_failure(result.point, result.failure);
            ++failed;
          }
          ++done;
          display.show(static_cast<double>(done - before) / static_cast<double>(all - before),
                       std::to_string(done) + "/" + std::to_string(all) + " points" +
                           (failed > 0 ? ", " + std::to_string(failed) + " failed" : ""));
        }
      },
      tbb::simple_partitioner());
  return done == all;
}

// The boundary as a table beside the maps: columns of the axes, the curve, and the values of the axes
// that are no part of it.
void write_boundary(io::SweepWriter& writer, const analysis::SweepStudy& study,
                    const analysis::SweepBoundary& boundary) {
  if (boundary.points.empty()) return;
  const analysis::SweepSpec& spec = study.spec();
  std::vector<io::SweepWriter::Column> columns;
  for (std::size_t a = 0; a < spec.axes.size(); ++a) {
    const auto found = std::find(boundary.axes.begin(), boundary.axes.end(), a);
    io::SweepWriter::Column column{"boundary_" + spec.axes[a].name, "1", "", {}};
    column.long_name = (found == boundary.axes.end() ? "index of " : "") + spec.axes[a].name +
                       " on the boundary of stability";
    for (std::size_t k = 0; k < boundary.points.size(); ++k)
      column.values.push_back(found == boundary.axes.end()
                                  ? static_cast<double>(spec.place(boundary.slices[k])[a])
                              : found == boundary.axes.begin() ? boundary.points[k].x
                                                               : boundary.points[k].y);
    columns.push_back(std::move(column));
  }
  io::SweepWriter::Column curve{
      "boundary_curve", "1", "curve that the point of the boundary is on", {}};
  for (const analysis::BoundaryPoint& point : boundary.points) curve.values.push_back(point.curve);
  columns.push_back(std::move(curve));
  writer.put_table("boundary_point", "points of the boundary of stability, along its curves",
                   columns);
}

// What there is to say of a sweep that is over.
struct SweepReport {
  const analysis::SweepStudy& study;
  std::string title, time_unit;
  std::filesystem::path result;
  double seconds = 0;
  std::size_t points = 0, failed = 0, pending = 0;
  std::size_t before = 0;                                     // done by an earlier session
  std::vector<std::pair<std::size_t, std::string>> failures;  // some of them
  std::map<std::string, std::size_t> verdicts;                // of trials
  analysis::Agreement agreement;
  analysis::SweepBoundary boundary;
  Table table{{}};
  std::vector<std::string> warnings;
};

SweepReport collect(const analysis::SweepStudy& study, const io::SweepWriter& writer) {
  SweepReport report{.study = study};
  report.points = writer.points().size();
  const auto reasons = writer.read("point_reason");
  for (std::size_t p = 0; p < writer.points().size(); ++p) {
    report.pending += writer.points()[p] == PointStatus::pending;
    if (writer.points()[p] != PointStatus::failed) continue;
    ++report.failed;
    if (report.failures.size() < most_told) report.failures.emplace_back(p, reasons->texts[p]);
  }
  if (const auto verdicts = writer.read("verdict"))
    for (Eigen::Index k = 0; k < verdicts->values.size(); ++k)
      if (const double kind = verdicts->values.data()[k]; !std::isnan(kind))
        ++report.verdicts[verdicts->meanings[static_cast<std::size_t>(kind)]];
  return report;
}

// Where stability changes along the one axis that it is traced along.
void print_places(const SweepReport& report) {
  const analysis::SweepSpec& spec = report.study.spec();
  const analysis::SweepBoundary& boundary = report.boundary;
  std::vector<std::size_t> others;
  for (std::size_t a = 0; a < spec.axes.size(); ++a)
    if (a != boundary.axes.front()) others.push_back(a);
  const std::size_t told = std::min(boundary.points.size(), 2 * most_told);
  for (std::size_t k = 0; k < told; ++k)
    print_line("",
               spec.axes[boundary.axes.front()].name + " = " + core::brief(boundary.points[k].x) +
                   (others.empty() ? "" : " at " + point_text(spec, boundary.slices[k], others)));
  if (told < boundary.points.size()) print_line("", "… (boundary in the file)");
}

void print(const SweepReport& report, const Style& style) {
  const analysis::SweepSpec& spec = report.study.spec();
  std::cout << style.bold(report.title) << '\n';
  print_line("sweep", analysis::axes_text(spec));
  const std::size_t through = report.points - report.pending;
  print_line(
      "points",
      std::to_string(through) + (report.pending > 0 ? " of " + std::to_string(report.points) : "") +
          (report.before > 0 ? ", " + std::to_string(through - report.before) + " of them" : "") +
          " in " + duration_text(report.seconds));
  std::string text;
  for (const std::string& kind : analysis::verdict_names())
    if (const auto found = report.verdicts.find(kind); found != report.verdicts.end())
      text += (text.empty() ? "" : ", ") + std::to_string(found->second) + " " + kind;
  if (report.failed > 0)
    text +=
        (text.empty() ? "" : ", ") + style.red(std::to_string(report.failed) + " could not be run");
  print_line("verdicts", text);
  for (const auto& [point, reason] : report.failures)
    print_line("", point_text(spec, point) + ": " + reason);
  if (report.failed > report.failures.size()) print_line("", "… (point_reason in the file)");

  const analysis::Agreement& agreement = report.agreement;
  if (agreement.compared > 0) {
    const std::size_t differing = agreement.differing.size();
    print_line("stability",
               "as the poles predict at " +
                   (differing == 0 ? "all " : "all but " + std::to_string(differing) + " of ") +
                   std::to_string(agreement.compared) + " that settled, rang on or diverged" +
                   (agreement.undecided > 0
                        ? "; " + std::to_string(agreement.undecided) +
                              (agreement.undecided == 1 ? " was" : " were") + " undecided"
                        : ""));
    for (std::size_t k = 0; k < std::min(differing, most_told); ++k)
      print_line("  differs at", point_text(spec, agreement.differing[k]));
    if (differing > most_told) print_line("", "…");
  }
  if (agreement.times_compared > 0)
    print_line(
        "settling time",
        "to " + agreement.band + ", " + core::brief(agreement.median_ratio) +
            " times what the slowest pole predicts (median); more than a factor of 2 off at " +
            std::to_string(agreement.times_off) + " of " +
            std::to_string(agreement.times_compared));
  if (!report.boundary.axes.empty()) {
    std::vector<std::string> names;
    for (const std::size_t axis : report.boundary.axes) names.push_back(spec.axes[axis].name);
    const std::string over = core::join(names);
    print_line("boundary",
               report.boundary.points.empty()
                   ? "no change of stability over " + over
                   : "of stability over " + over + ": " + std::to_string(report.boundary.curves) +
                         (report.boundary.axes.size() == 1
                              ? (report.boundary.curves == 1 ? " place" : " places")
                              : (report.boundary.curves == 1 ? " curve" : " curves")) +
                         (report.boundary.axes.size() == 1
                              ? ""
                              : ", " + std::to_string(report.boundary.points.size()) + " points"));
    if (report.boundary.axes.size() == 1) print_places(report);
  }
  print_line("result", report.result.string());
  for (const std::string& warning : report.warnings) print_line(style.yellow("warning"), warning);
  if (!report.table.empty()) {
    std::cout << '\n';
    report.table.print();
  }
  std::cout.flush();
}

Json to_json(const SweepReport& report) {
  const analysis::SweepSpec& spec = report.study.spec();
  Json out;
  out["result"] = report.result.string();
  out["title"] = report.title;
  out["status"] = report.pending > 0 ? "interrupted" : "done";
  out["axes"] = axes_json(spec);
  out["points"] = report.points;
  out["pending"] = report.pending;
  out["failed"] = report.failed;
  for (const auto& [point, reason] : report.failures)
    out["failures"].push_back({{"point", point_text(spec, point)}, {"reason", reason}});
  out["verdicts"] = report.verdicts;
  out["stability"] = {{"compared", report.agreement.compared},
                      {"differing", report.agreement.differing.size()},
                      {"undecided", report.agreement.undecided}};
  out["settling_time"] = {{"band", report.agreement.band},
                          {"compared", report.agreement.times_compared},
                          {"off_by_more_than_2", report.agreement.times_off},
                          {"median_ratio", json_number(report.agreement.median_ratio)}};
  out["boundary"] = {{"curves", report.boundary.curves}, {"points", report.boundary.points.size()}};
  out["wall_time"] = report.seconds;
  out["warnings"] = report.warnings;
  return out;
}

// Runs what is pending, compares it with the prediction, and closes the file.
int complete(const analysis::SweepStudy& study, io::SweepWriter& writer, SweepReport& report,
             const RunOptions& options, Json& all) {
  const auto start = Clock::now();
  bool complete = false;
  report.before = writer.points().size() -
                  static_cast<std::size_t>(std::count(writer.points().begin(),
                                                      writer.points().end(), PointStatus::pending));
  {
    ProgressDisplay display(options.quiet || options.json, report.result.stem().string());
    const SignalGuard guard;
    complete =
        run_points(study, writer, report.time_unit, display, options.quick ? quick_seconds : 1e18);
    SweepReport collected = collect(study, writer);
    collected.title = report.title;
    collected.time_unit = report.time_unit;
    collected.result = report.result;
    collected.warnings = report.warnings;
    report.points = collected.points;
    report.failed = collected.failed;
    report.pending = collected.pending;
    report.failures = std::move(collected.failures);
    report.verdicts = std::move(collected.verdicts);
    report.agreement = analysis::agreement(writer);
    report.table = table_of(study.spec(), writer);
    if (complete) {
      report.boundary = analysis::trace_boundary(study, writer);
      write_boundary(writer, study, report.boundary);
      writer.set_attribute("stability_compared", static_cast<double>(report.agreement.compared));
      writer.set_attribute("stability_differing",
                           static_cast<double>(report.agreement.differing.size()));
      writer.set_attribute("settling_time_compared",
                           static_cast<double>(report.agreement.times_compared));
      writer.set_attribute("settling_time_off", static_cast<double>(report.agreement.times_off));
    }
  }
  writer.finish(complete ? "done" : "interrupted", complete           ? ""
                                                   : stop_requested() ? "interrupted"
                                                                      : "a rehearsal");
  report.seconds = seconds_since(start);
  if (options.json)
    all.push_back(to_json(report));
  else if (!options.quiet)
    print(report, Style(1));
  if (!complete) {
    if (!options.quiet && !options.json)
      std::cerr << "settle: " << (stop_requested() ? "interrupted" : "a rehearsal")
                << "; settle resume " << report.result.string() << " goes on with it\n";
    return stop_requested() ? interrupted : done;
  }
  return report.failed == report.points ? simulation_failed : done;
}

}  // namespace

int run_sweep(const Prepared& ready, const std::filesystem::path& result, const RunOptions& options,
              Json& all) {
  check_is_not_input(result, ready.file.path);
  const std::filesystem::path base = std::filesystem::absolute(ready.file.path).parent_path();
  const analysis::SweepStudy study(ready.file.value, base, options.quick);
  io::SweepInfo info{run_info(ready, options.command), io::toml_text(ready.file.value), base, {}};
  if (options.quick) info.options.emplace_back("--quick");
  io::SweepWriter writer(result, study.dimensions(),
                         static_cast<std::uint64_t>(ready.system->trials()), info,
                         ready.config.solver, options.overwrite);
  SweepReport report{.study = study};
  report.title = info.run.title;
  report.time_unit = ready.config.time_unit;
  report.result = result;
  report.warnings = ready.warnings;
  return complete(study, writer, report, options, all);
}

int resume(const RunOptions& options) {
  survive_file_size_limit();
  forget_stop_request();
  Json all = Json::array();
  int code = done;
  for (const auto& path : options.files) {
    std::optional<analysis::SweepStudy> study;
    RunOptions same = options;
    std::string title, time_unit;
    {
      if (!io::SweepFile::is_sweep(path)) io::ResultFile{path};  // says what is wrong with the file
      if (!io::SweepFile::is_sweep(path))
        throw core::InputError(path.string(), "the result of a run, which cannot be resumed",
                               "the result of a sweep; a run goes on with initial = { from = \"" +
                                   path.filename().string() + "\" } in its configuration");
      const io::SweepFile file(path);
      const std::vector<std::string> flags = file.file().text_list_attribute("sweep_options");
      same.quick = std::find(flags.begin(), flags.end(), "--quick") != flags.end();
      study.emplace(io::parse_toml(file.config(), path.string() + ": sweep_config"), file.base(),
                    same.quick);
      title = file.attribute("title");
      time_unit = file.attribute("time_unit");
      if (file.attribute("status") == "done") {
        if (!options.quiet && !options.json) std::cout << path.string() << " is complete\n";
        continue;
      }
    }
    io::SweepWriter writer(path);
    if (writer.points().size() != study->spec().points())
      throw core::InputError(path.string(),
                             "a sweep of another number of points than its configuration's",
                             "the file as settle run wrote it");
    SweepReport report{.study = *study, .title = title, .time_unit = time_unit, .result = path};
    code = std::max(code, complete(*study, writer, report, same, all));
    if (stop_requested()) break;
  }
  if (options.json) std::cout << (all.size() == 1 ? all[0] : all).dump(2) << '\n';
  return code;
}

}  // namespace settle::cli
