#include "analysis/sweep.hpp"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <mutex>

#include "analysis/verdict.hpp"
#include "cli/each_file.hpp"
#include "cli/interrupt.hpp"
#include "cli/run_summary.hpp"
#include "cli/sweep_summary.hpp"
#include "cli/train.hpp"
#include "sim/io/result_reader.hpp"
#include "sim/io/training_file.hpp"

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

// Writes the results of points as they come. Only one that brings new labels of an axis waits for those
// before it, so that neither the number of threads nor an interruption changes the order of the labels.
class Collector {
 public:
  Collector(io::SweepWriter& writer, std::size_t points, std::string time_unit)
      : writer_(writer), written_(points, false), time_unit_(std::move(time_unit)) {}

  /// The result of the k-th of the points.
  void take(std::size_t k, PointResult result) {
    if (result.failure.empty() && static_cast<std::uint64_t>(result.trials) != writer_.trials())
      result.failure = std::to_string(result.trials) + " trials, where the other points have " +
                       std::to_string(writer_.trials());
    if (!result.failure.empty()) {
      ++failed_;
      writer_.add_failure(result.point, std::move(result.failure));
      pass(k);
    } else {
      if (result.trajectories)
        result.trajectories->write(writer_.point_group(result.point, result.trajectories->bytes()),
                                   time_unit_);
      result.trajectories.reset();
      result.system.reset();
      if (k != next_ && writer_.brings_new_labels(result.quantities)) {
        waiting_.emplace(k, std::move(result));
        return;
      }
      write(k, std::move(result));
    }
    write_waiting();
  }

  std::size_t done() const { return done_ + waiting_.size(); }
  std::size_t failed() const { return failed_; }
  bool is_complete() const { return done_ == written_.size(); }

 private:
  void write(std::size_t k, PointResult result) {
    writer_.add(result.point, std::move(result.quantities), std::move(result.numbers));
    pass(k);
  }
  void pass(std::size_t k) {
    ++done_;
    written_[k] = true;
    while (next_ < written_.size() && written_[next_]) ++next_;
  }
  void write_waiting() {
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (it->first != next_ && writer_.brings_new_labels(it->second.quantities)) {
        ++it;
        continue;
      }
      write(it->first, std::move(it->second));
      it = waiting_.erase(it);
    }
  }

  io::SweepWriter& writer_;
  std::vector<bool> written_;
  std::string time_unit_;
  std::map<std::size_t, PointResult> waiting_;  // by place among the points
  std::size_t next_ = 0;                        // the first that is not written
  std::size_t done_ = 0, failed_ = 0;
};

// Runs every point that is still pending, on all cores. Whether all of them are through.
bool run_points(const analysis::SweepStudy& study, io::SweepWriter& writer,
                const std::string& time_unit, ProgressDisplay& display, double most_seconds) {
  std::vector<std::size_t> pending;
  for (std::size_t p = 0; p < writer.points().size(); ++p)
    if (writer.points()[p] == PointStatus::pending) pending.push_back(p);
  const std::size_t all = writer.points().size(), before = all - pending.size();
  const auto start = Clock::now();
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> is_over = false;
  const auto go_on = [&] {
    return !is_over && !stop_requested() && seconds_since(start) < most_seconds;
  };
  std::mutex mutex;
  Collector collector(writer, pending.size(), time_unit);
  const auto work = [&](int) {
    try {
      // One point first; then as many together as would take a tenth of a second one by one, so that
      // little is lost where the sweep is stopped. What runs together changes no bit.
      std::size_t together = 1;
      for (;;) {
        const std::size_t first = next.fetch_add(together);
        if (first >= pending.size() || !go_on()) return;
        const std::size_t end = std::min(first + together, pending.size());
        const auto begun = Clock::now();
        // The threads of a point's own parallel loops shall not begin another point inside of it.
        std::vector<PointResult> results = tbb::this_task_arena::isolate([&] {
          return study.run({pending.begin() + static_cast<std::ptrdiff_t>(first),
                            pending.begin() + static_cast<std::ptrdiff_t>(end)},
                           go_on);
        });
        const double each = seconds_since(begun) / static_cast<double>(end - first);
        const std::lock_guard lock(mutex);
        for (std::size_t k = first; k < end; ++k)
          if (!results[k - first].interrupted) collector.take(k, std::move(results[k - first]));
        display.show(
            static_cast<double>(collector.done()) / static_cast<double>(pending.size()),
            std::to_string(before + collector.done()) + "/" + std::to_string(all) + " points" +
                (collector.failed() > 0 ? ", " + std::to_string(collector.failed()) + " failed"
                                        : ""));
        together = static_cast<std::size_t>(std::clamp(0.1 / std::max(each, 1e-9), 1.0, 64.0));
      }
    } catch (...) {  // of the file: the other threads end, too
      is_over = true;
      throw;
    }
  };
  tbb::parallel_for(0, tbb::this_task_arena::max_concurrency(), work, tbb::simple_partitioner());
  writer.flush();
  return collector.is_complete();
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
  bool complete = false;
  std::size_t points = 0, failed = 0, pending = 0;
  std::size_t before = 0;                                     // done by an earlier session
  std::vector<std::pair<std::size_t, std::string>> failures;  // some of them
  std::map<std::string, std::size_t> verdicts;                // of trials
  analysis::Agreement agreement;
  analysis::SweepBoundary boundary;
  Table table{{}};
  std::vector<std::string> warnings;
};

// What the file holds of it.
void collect(SweepReport& report, const io::SweepWriter& writer) {
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
  report.agreement = analysis::agreement(writer);
  report.table = table_of(report.study.spec(), writer);
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
    const std::size_t differing = agreement.differing, places = agreement.differing_points.size();
    print_line("stability",
               "as the poles predict at " +
                   (differing == 0 ? "all " : "all but " + std::to_string(differing) + " of ") +
                   std::to_string(agreement.compared) + " that settled, rang on or diverged" +
                   (agreement.undecided > 0
                        ? "; " + std::to_string(agreement.undecided) +
                              (agreement.undecided == 1 ? " was" : " were") + " undecided"
                        : ""));
    for (std::size_t k = 0; k < std::min(places, most_told); ++k)
      print_line("  differs at", point_text(spec, agreement.differing_points[k]));
    if (places > most_told) print_line("", "…");
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
  out["status"] = report.complete ? "done" : "interrupted";
  out["axes"] = axes_json(spec);
  out["points"] = report.points;
  out["pending"] = report.pending;
  out["failed"] = report.failed;
  for (const auto& [point, reason] : report.failures)
    out["failures"].push_back({{"point", point_text(spec, point)}, {"reason", reason}});
  out["verdicts"] = report.verdicts;
  out["stability"] = {{"compared", report.agreement.compared},
                      {"differing", report.agreement.differing},
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
int finish(const analysis::SweepStudy& study, io::SweepWriter& writer, SweepReport& report,
           const RunOptions& options, Json& all) {
  const auto start = Clock::now();
  bool& complete = report.complete;
  report.before = writer.points().size() -
                  static_cast<std::size_t>(std::count(writer.points().begin(),
                                                      writer.points().end(), PointStatus::pending));
  {
    ProgressDisplay display(options.quiet || options.json, report.result.stem().string());
    const SignalGuard guard;
    complete =
        run_points(study, writer, report.time_unit, display, options.quick ? quick_seconds : 1e18);
    collect(report, writer);
    if (complete) {
      report.boundary = analysis::trace_boundary(study, writer, [] { return !stop_requested(); });
      complete = !stop_requested();
    }
    if (complete) {
      write_boundary(writer, study, report.boundary);
      writer.set_attribute("stability_compared", static_cast<double>(report.agreement.compared));
      writer.set_attribute("stability_differing", static_cast<double>(report.agreement.differing));
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
  // Points that fail are findings, as long as there are others.
  const bool any = std::any_of(report.verdicts.begin(), report.verdicts.end(),
                               [](const auto& verdict) { return verdict.first != "failed"; });
  return any ? done : simulation_failed;
}

}  // namespace

int run_sweep(const Prepared& ready, const std::filesystem::path& result, const RunOptions& options,
              Json& all) {
  check_is_not_input(result, ready.file.path);
  const std::filesystem::path base = base_of(ready.file.path);
  const analysis::SweepStudy study(ready.file.value, base, options.quick);
  io::ResumableInfo info{run_info(ready, options.command),
                         {io::toml_text(ready.file.value), base, {}}};
  if (options.quick) info.resumption.options.emplace_back("--quick");
  io::SweepWriter writer(result, study.dimensions(),
                         static_cast<std::uint64_t>(ready.system->trials()), info,
                         ready.config.solver, options.overwrite);
  SweepReport report{.study = study};
  report.title = info.run.title;
  report.time_unit = ready.config.time_unit;
  report.result = result;
  report.warnings = ready.warnings;
  return finish(study, writer, report, options, all);
}

int resume(const RunOptions& options) {
  return for_each_file(options, [&](const std::filesystem::path& path, Json& all) {
    if (io::TrainingFile::is_training(path)) return resume_training(path, options, all);
    if (!io::SweepFile::is_sweep(path)) {
      io::ResultFile{path};  // says what is wrong with the file
      throw core::InputError(
          path.string(), "the result of a run, which cannot be resumed",
          "the result of a sweep or of training; a run goes on with initial = { from = \"" +
              path.filename().string() + "\" } in its configuration");
    }
    std::optional<analysis::SweepStudy> study;
    RunOptions same = options;
    std::string title, time_unit;
    {
      const io::SweepFile file(path);
      if (file.attribute("status") == "done") {
        if (options.json)
          all.push_back({{"result", path.string()}, {"status", "done"}});
        else if (!options.quiet)
          std::cout << path.string() << " is complete\n";
        return static_cast<int>(done);
      }
      const io::Resumption from = file.resumption();
      same.quick =
          std::find(from.options.begin(), from.options.end(), "--quick") != from.options.end();
      study.emplace(io::parse_toml(from.config, path.string() + ": resume_config"), from.base,
                    same.quick);
      title = file.attribute("title");
      time_unit = file.attribute("time_unit");
    }
    io::SweepWriter writer(path);
    if (writer.points().size() != study->spec().points())
      throw core::InputError(path.string(),
                             "a sweep of another number of points than its configuration's",
                             "the file as settle run wrote it");
    SweepReport report{.study = *study, .title = title, .time_unit = time_unit, .result = path};
    return finish(*study, writer, report, same, all);
  });
}

}  // namespace settle::cli
