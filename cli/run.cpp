#include <csignal>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "analysis/measure.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "settle_revision.hpp"
#include "settle_version.hpp"
#include "sim/io/recorder.hpp"
#include "sim/solve/cvode_methods.hpp"

namespace settle::cli {
namespace {

using Json = nlohmann::ordered_json;
using Eigen::Index;
using solve::Outcome;
using solve::SolveSummary;

constexpr double quick_seconds = 5;

volatile std::sig_atomic_t stop_signal = 0;

// While it lives, the first Ctrl-C or SIGTERM asks the run to end; a second one kills as usual.
class SignalGuard {
 public:
  SignalGuard() {
    struct sigaction action {};
    action.sa_handler = [](int signal) { stop_signal = signal; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, &old_int_);
    sigaction(SIGTERM, &action, &old_term_);
  }
  ~SignalGuard() {
    sigaction(SIGINT, &old_int_, nullptr);
    sigaction(SIGTERM, &old_term_, nullptr);
  }

 private:
  struct sigaction old_int_ {
  }, old_term_{};
};

// Records, shows the progress, and ends the run where the user wants it.
class Watch final : public solve::Observer {
 public:
  Watch(io::Recorder& recorder, ProgressDisplay& display, const system::OdeSystem& system,
        bool quick)
      : recorder_(recorder),
        display_(display),
        trajectory_(system.dimension(), system.trials()),
        quick_(quick) {}

  solve::Sampling sampling() const override { return recorder_.sampling(); }
  void sample(double t, const system::ConstBlock& x, system::Workspace& workspace) override {
    recorder_.sample(t, x, workspace);
  }
  bool step(const solve::Progress& progress) override {
    recorder_.step(progress);
    display_.show(progress);
    if (stop_signal != 0) return false;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    rehearsed_ = quick_ && seconds > quick_seconds;
    return !rehearsed_;
  }
  bool wants_states() const override { return true; }
  void arrive(int phase, double t, const system::ConstBlock& x) override {
    trajectory_.add(phase, t, x);
  }
  bool rehearsed() const { return rehearsed_; }
  const solve::Trajectory& trajectory() const { return trajectory_; }

 private:
  io::Recorder& recorder_;
  ProgressDisplay& display_;
  solve::Trajectory trajectory_;
  bool quick_;
  bool rehearsed_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

io::RunInfo run_info(const Prepared& ready, const std::string& command) {
  io::RunInfo info;
  info.title = ready.config.title.empty() ? ready.file.path.stem().string() : ready.config.title;
  info.time_unit = ready.config.time_unit;
  info.command = command;
  info.config = ready.file.text;
  info.config_expanded = io::toml_text(expanded(ready));
  info.program_version = SETTLE_VERSION;
  info.git_revision = SETTLE_GIT_REVISION;
  info.git_dirty = SETTLE_GIT_DIRTY;
  info.compiler = SETTLE_COMPILER;
  info.build_flags = SETTLE_BUILD_FLAGS;
  info.seed = static_cast<std::uint64_t>(ready.config.seed);
  if (const std::string version = solve::sundials_version(); !version.empty())
    info.libraries.emplace_back("SUNDIALS", version);
  return info;
}

// A time with the file's unit.
std::string time_text(double t, const std::string& unit) {
  return core::brief(t) + (unit == "1" ? "" : " " + unit);
}

std::string outcome_word(Outcome outcome, const Style& style) {
  const std::string word = solve::name(outcome);
  switch (outcome) {
    case Outcome::settled:
      return style.green(word);
    case Outcome::not_settled:
    case Outcome::oscillating:
      return style.yellow(word);
    case Outcome::diverged:
    case Outcome::failed:
      return style.red(word);
  }
  return word;
}

// "0.0123", or of several trials "0.01 (median; 0.005 to 0.02)", or why there is none.
std::string spread(const core::Quantity& quantity) {
  std::vector<double> values;
  std::string reason;
  for (Index k = 0; k < quantity.values.size(); ++k) {
    if (std::isfinite(quantity.values(k)))
      values.push_back(quantity.values(k));
    else if (reason.empty())
      reason = quantity.reasons[static_cast<std::size_t>(k)];
  }
  if (values.empty()) return "none: " + (reason.empty() ? "not a number" : reason);
  std::sort(values.begin(), values.end());
  const double median = 0.5 * (values[values.size() / 2] + values[(values.size() - 1) / 2]);
  std::string text = core::brief(median);
  if (values.size() > 1)
    text += " (median; " + core::brief(values.front()) + " to " + core::brief(values.back()) + ")";
  if (static_cast<Index>(values.size()) < quantity.values.size())
    text += ", in " + std::to_string(values.size()) + " of " +
            std::to_string(quantity.values.size()) + " trials";
  return text;
}

void line(const std::string& label, const std::string& text) {
  std::cout << "  " << label << std::string(label.size() < 18 ? 18 - label.size() : 1, ' ') << text
            << '\n';
}

void print_outcome(const Prepared& ready, const SolveSummary& summary, const Style& style) {
  const std::string& unit = ready.config.time_unit;
  std::vector<int> counts(solve::outcome_names().size());
  for (const auto& trial : summary.trials) ++counts[static_cast<std::size_t>(trial.outcome)];
  std::string heading =
      style.bold(ready.config.title.empty() ? ready.file.path.stem().string() : ready.config.title);
  std::cout << heading << '\n';
  if (summary.trials.size() == 1) {
    const solve::TrialResult& trial = summary.trials.front();
    std::string text = outcome_word(trial.outcome, style);
    if (trial.outcome == Outcome::settled)
      text += " at t = " + time_text(trial.settled_at, unit);
    else if (summary.phases.size() > 1 && trial.deciding_phase >= 0)
      text += " in phase " + summary.phases[static_cast<std::size_t>(trial.deciding_phase)].name;
    if (!trial.reason.empty()) text += ": " + trial.reason;
    line("outcome", text);
  } else {
    std::string text;
    for (std::size_t i = 0; i < counts.size(); ++i)
      if (counts[i] > 0)
        text += (text.empty() ? "" : ", ") + std::to_string(counts[i]) + " " +
                outcome_word(static_cast<Outcome>(i), style);
    line("outcome", text + " of " + std::to_string(summary.trials.size()) + " trials");
    for (std::size_t k = 0, shown = 0; k < summary.trials.size(); ++k) {
      const auto& trial = summary.trials[k];
      if (trial.outcome == Outcome::settled) continue;
      if (++shown > 3) {
        line("", "…");
        break;
      }
      line("  trial " + std::to_string(k),
           std::string(solve::name(trial.outcome)) + ": " + trial.reason);
    }
  }
  if (summary.phases.size() > 1)
    for (const auto& phase : summary.phases) {
      std::vector<int> by_outcome(solve::outcome_names().size());
      for (const Outcome outcome : phase.outcomes) ++by_outcome[static_cast<std::size_t>(outcome)];
      std::string text;
      for (std::size_t i = 0; i < by_outcome.size(); ++i)
        if (by_outcome[i] > 0)
          text += (text.empty() ? "" : ", ") +
                  (phase.outcomes.size() > 1 ? std::to_string(by_outcome[i]) + " " : "") +
                  solve::outcome_names()[i];
      line("  " + phase.name,
           "t = " + core::brief(phase.start) + " to " + time_text(phase.end, unit) + ", " + text);
    }
}

// One line a trial, where there are not too many to read.
void print_trials(const SolveSummary& summary, const std::vector<core::Quantity>& quantities) {
  constexpr std::size_t most = 32;
  if (summary.trials.size() < 2 || summary.trials.size() > most) return;
  const auto cell = [](const std::string& text, std::size_t width) {
    std::cout << std::string(text.size() < width ? width - text.size() : 1, ' ') << text;
  };
  const auto number = [](double x) { return std::isfinite(x) ? core::brief(x) : std::string("-"); };
  std::cout << "\n";
  cell("trial", 8);
  cell("outcome", 14);
  cell("settled at", 12);
  std::vector<const core::Quantity*> errors;
  for (const auto& quantity : quantities)
    if (quantity.name.rfind("inversion_error", 0) == 0) {
      errors.push_back(&quantity);
      cell(quantity.name, std::max<std::size_t>(18, quantity.name.size() + 2));
    }
  std::cout << '\n';
  for (std::size_t k = 0; k < summary.trials.size(); ++k) {
    cell(std::to_string(k), 8);
    cell(solve::name(summary.trials[k].outcome), 14);
    cell(number(summary.trials[k].settled_at), 12);
    for (const auto* error : errors)
      cell(number(error->values(static_cast<Index>(k))),
           std::max<std::size_t>(18, error->name.size() + 2));
    std::cout << '\n';
  }
}

void print_summary(const Prepared& ready, const SolveSummary& summary,
                   const std::vector<core::Quantity>& quantities, std::size_t measured,
                   const std::filesystem::path& result, const Style& style) {
  const std::string& unit = ready.config.time_unit;
  print_outcome(ready, summary, style);
  line("simulated", time_text(summary.t_end, unit) + " in " + duration_text(summary.wall_time) +
                        ", " + ready.config.solver.method + ": " + std::to_string(summary.steps) +
                        (summary.steps == 1 ? " step, " : " steps, ") +
                        std::to_string(summary.rejections) + " rejected, " +
                        std::to_string(summary.evaluations) + " evaluations");
  for (const auto& quantity : quantities)
    if (quantity.name.rfind("inversion_error", 0) == 0) {
      const std::string who = quantity.name.substr(std::string("inversion_error").size());
      line("inversion error",
           spread(quantity) + "  ‖Wφ(r) − y‖/‖y‖" + (who.empty() ? "" : " of " + who.substr(1)));
    }
  const auto* pole = analysis::find(quantities, "slowest_pole");
  const auto* frequency = analysis::find(quantities, "slowest_pole_angular_frequency");
  const auto* decay = analysis::find(quantities, "decay_rate");
  if (pole && frequency) {
    std::string text = "pole " + spread(*pole);
    if (pole->values.size() == 1 && std::isfinite(pole->values(0))) {
      const double rate = pole->values(0);
      const double rounding = 1e-9 / ready.system->tau().maxCoeff();
      if (frequency->values(0) > 0) text += " ± " + core::brief(frequency->values(0)) + "i";
      text += rate < -rounding  ? ", time constant " + time_text(-1 / rate, unit)
              : rate > rounding ? ", unstable"
                                : ", neutral: it only integrates";
    }
    const solve::PhaseResult& phase = summary.phases[measured];
    const bool at_rest = std::all_of(phase.outcomes.begin(), phase.outcomes.end(),
                                     [](Outcome o) { return o == Outcome::settled; });
    const std::string where = summary.phases.size() > 1 ? "end of " + phase.name : "end";
    if (text.rfind("pole none", 0) != 0)
      text += " (Jacobian at the " + where + (at_rest ? ")" : ", which is no state of rest)");
    line("slowest mode", text);
  }
  if (decay) {
    const std::string text = spread(*decay);
    line("measured decay",
         text + (text.rfind("none", 0) == 0 ? "" : " (last two decades of the residual)"));
  }
  line("result", result.string());
  for (const std::string& warning : ready.warnings)
    std::cout << "  " << style.yellow("warning") << "           " << warning << '\n';
  print_trials(summary, quantities);
  std::cout.flush();
}

Json number(double x) { return std::isfinite(x) ? Json(x) : Json(nullptr); }

Json summary_json(const Prepared& ready, const SolveSummary& summary,
                  const std::vector<core::Quantity>& quantities,
                  const std::filesystem::path& result) {
  Json out;
  out["file"] = ready.file.path.string();
  out["result"] = result.string();
  out["title"] = ready.config.title;
  const char* statuses[] = {"done", "failed", "interrupted"};
  out["status"] = statuses[static_cast<int>(summary.status)];
  if (!summary.reason.empty()) out["reason"] = summary.reason;
  out["outcome"] = solve::name(summary.outcome());
  out["t_end"] = number(summary.t_end);
  out["wall_time"] = number(summary.wall_time);
  out["steps"] = summary.steps;
  out["rejections"] = summary.rejections;
  out["evaluations"] = summary.evaluations;
  out["jacobians"] = summary.jacobians;
  for (const auto& trial : summary.trials)
    out["trials"].push_back({{"outcome", solve::name(trial.outcome)},
                             {"reason", trial.reason},
                             {"settled_at", number(trial.settled_at)},
                             {"residual", number(trial.residual)}});
  for (const auto& phase : summary.phases) {
    Json entry{{"name", phase.name}, {"start", number(phase.start)}, {"end", number(phase.end)}};
    for (const Outcome outcome : phase.outcomes) entry["outcomes"].push_back(solve::name(outcome));
    out["phases"].push_back(std::move(entry));
  }
  for (const auto& quantity : quantities) {
    Json values = Json::array();
    if (!quantity.axes.empty()) continue;
    for (Index k = 0; k < quantity.values.size(); ++k) values.push_back(number(quantity.values(k)));
    out["measures"][quantity.name] = {{"values", values}, {"units", quantity.units}};
    for (const std::string& reason : quantity.reasons)
      if (!reason.empty()) {
        out["measures"][quantity.name]["reasons"] = quantity.reasons;
        break;
      }
  }
  out["warnings"] = ready.warnings;
  return out;
}

std::filesystem::path result_of(const std::filesystem::path& file, const RunOptions& options) {
  return options.output.empty() ? std::filesystem::path(file.stem().string() + ".h5")
                                : options.output;
}

int run_file(const std::filesystem::path& file, const RunOptions& options, Json& all) {
  const Prepared ready = prepare(file, options.set);
  const std::filesystem::path result = result_of(file, options);
  check_is_not_input(result, file);
  const Style style(1);
  SolveSummary summary;
  std::vector<core::Quantity> quantities;
  std::size_t measured = 0;  // the phase that the measures speak of
  bool rehearsed = false;
  {
    io::Recorder recorder(result, *ready.system, ready.config.solver, ready.config.record,
                          run_info(ready, options.command), options.overwrite);
    ProgressDisplay display(options.quiet || options.json, file.stem().string());
    const SignalGuard guard;
    Watch watch(recorder, display, *ready.system, options.quick);
    summary =
        solve::solve(*ready.system, ready.system->initial_state(), ready.config.solver, watch);
    rehearsed = watch.rehearsed();
    measured = analysis::measured_phase(*ready.system, summary, ready.analysis);
    const analysis::Run run{ready.config,       *ready.system,  summary,
                            watch.trajectory(), ready.analysis, measured};
    quantities = analysis::measure(run);
    for (const core::Quantity& quantity : quantities) recorder.add_measure(quantity);
    recorder.finish(summary);
  }
  if (options.json)
    all.push_back(summary_json(ready, summary, quantities, result));
  else if (!options.quiet)
    print_summary(ready, summary, quantities, measured, result, style);
  if (summary.status == SolveSummary::Status::interrupted) {
    if (rehearsed) {
      if (!options.quiet && !options.json)
        std::cout << "  (a rehearsal: it ends after " << quick_seconds << " s)\n";
      return done;
    }
    if (!options.quiet && !options.json)
      std::cerr << "settle: " << summary.reason << "; what was recorded until then is in "
                << result.string() << '\n';
    return interrupted;
  }
  const Outcome outcome = summary.outcome();
  if (outcome == Outcome::settled || options.quiet || options.json) {
  } else if (outcome == Outcome::not_settled || outcome == Outcome::oscillating) {
    std::cerr << Style(2).yellow("settle: the circuit did not settle") << '\n';
  } else {
    std::cerr << Style(2).red(std::string("settle: the simulation ") +
                              (outcome == Outcome::diverged ? "diverged" : "failed"))
              << '\n';
  }
  return outcome == Outcome::diverged || outcome == Outcome::failed ? simulation_failed : done;
}

}  // namespace

int run(const RunOptions& options) {
  if (!options.output.empty() && options.files.size() > 1)
    throw core::InputError(
        "-o", "one result file for " + std::to_string(options.files.size()) + " configurations",
        "no -o: each result is named after its configuration");
  std::map<std::filesystem::path, std::filesystem::path> results;
  for (const auto& file : options.files)
    if (const auto [other, fresh] = results.emplace(result_of(file, options), file); !fresh)
      throw core::InputError(
          file.string(),
          "the same result " + other->first.string() + " as that of " + other->second.string(),
          "one command for each, with its own -o");
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is then an error of the write
  stop_signal = 0;
  Json all = Json::array();
  int code = done;
  // A result whose configuration is wrong must not cost those of the others.
  for (const auto& file : options.files) {
    try {
      code = std::max(code, run_file(file, options, all));
    } catch (const core::InputError& error) {
      if (options.files.size() == 1) throw;
      std::cerr << Style(2).red("error: ") << error.what() << '\n';
      code = std::max<int>(code, input_wrong);
    }
    if (stop_signal != 0) break;
  }
  if (options.json) std::cout << (all.size() == 1 ? all[0] : all).dump(2) << '\n';
  return code;
}

}  // namespace settle::cli
