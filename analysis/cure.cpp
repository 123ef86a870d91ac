// The smallest change of a leak or gain with which a trial that did not settle does.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "analysis/stability.hpp"
#include "analysis/verdict.hpp"

namespace settle::analysis {
namespace {

using core::brief;
using solve::Outcome;
using Clock = std::chrono::steady_clock;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

bool is_curable(VerdictKind kind) {
  switch (kind) {
    case VerdictKind::slow:
    case VerdictKind::slowly_damped:
    case VerdictKind::limit_cycle:
    case VerdictKind::leaving:
    case VerdictKind::integrating:
    case VerdictKind::diverged:
      return true;
    default:
      return false;
  }
}

// A run that is only asked how it ended, within some seconds.
class TrialRun final : public solve::Observer {
 public:
  explicit TrialRun(Clock::time_point end) : end_(end) {}
  bool step(const solve::Progress&) override { return Clock::now() < end_; }

 private:
  Clock::time_point end_;
};

class CureSearch {
 public:
  CureSearch(const Subject& subject, const Linearisation& linearisation, double seconds)
      : subject_(subject),
        run_(subject.run),
        linearisation_(linearisation),
        controllers_(subject.system().circuit().controllers),
        end_(Clock::now() +
             std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}

  std::optional<Cure> find() {
    const std::optional<double> rate = wanted_rate();
    if (!rate) return std::nullopt;
    std::optional<Cure> unconfirmed;
    for (Cure& cure : candidates(*rate)) {
      if (is_over()) break;
      confirm(cure, *rate);
      if (cure.confirmed) return cure;
      if (!unconfirmed) unconfirmed = cure;
    }
    return unconfirmed;
  }

 private:
  bool is_over() const { return Clock::now() >= end_; }

  // 0, stability; of a circuit that is stable but slow, the decay that would have settled it in time.
  std::optional<double> wanted_rate() const {
    if (linearisation_.stability() != Linearisation::Stability::stable) return 0;
    const solve::PhaseResult& phase = run_.phase_result();
    const double left =
        above_tolerance(run_, subject_.trial, phase, linearisation_, subject_.equilibrium());
    const double had = phase.end - phase.start,
                 use = had - solve::settled_dwell(subject_.system(), run_.config.solver);
    if (!(left > 1) || !(use > 0)) return std::nullopt;
    return (-linearisation_.rightmost()->real() * had + std::log(left)) / use;
  }

  // The boundaries of every leak and gain, the nearest by ratio first.
  std::vector<Cure> candidates(double rate) const {
    std::vector<Cure> out;
    for (const std::size_t c : controllers_of_the_mode())
      for (const Parameter parameter : all_parameters)
        for (const bool upwards : {false, true}) {
          if (is_over()) break;
          GainStudy study(run_.config, linearisation_.problem(), subject_.equilibrium().x,
                          run_.options.dense_limit);
          const models::Gains gains = gains_of(controllers_[c]);
          const ParameterMargin margin =
              parameter_margin(study, c, gains, parameter, upwards, rate);
          // A controller that is switched off is no cure.
          const bool is_off = margin.at == 0 && parameter != Parameter::leak;
          if (std::isfinite(margin.at) && !is_off)
            out.push_back({.trial = subject_.trial,
                           .controller = c,
                           .parameter = parameter,
                           .from = value(gains, parameter),
                           .boundary = margin.at,
                           .text = ""});
        }
    std::stable_sort(out.begin(), out.end(),
                     [&](const Cure& a, const Cure& b) { return distance(a) < distance(b); });
    return out;
  }

  // Those in whose feedback loop a node is that takes part in the rightmost mode.
  std::vector<std::size_t> controllers_of_the_mode() const {
    const system::OdeSystem& system = subject_.system();
    const system::Circuit& circuit = system.circuit();
    const core::EigenSystem* modes = linearisation_.modes(1);
    std::vector<std::size_t> out;
    if (!modes) return out;
    const std::vector<int> component =
        components(circuit, circuit.phases[at(linearisation_.problem().segment.phase)]);
    const VectorXd share = participation(linearisation_, *modes, 0);
    for (std::size_t c = 0; c < controllers_.size(); ++c)
      for (std::size_t i = 0; i < system.dynamic_nodes().size(); ++i)
        if (share[static_cast<Index>(i)] >= 0.05 &&
            component[at(system.dynamic_nodes()[i])] == component[at(controllers_[c].error)]) {
          out.push_back(c);
          break;
        }
    return out;
  }

  // By ratio. A parameter that is zero comes last, by what it would be beside the integral gain.
  double distance(const Cure& cure) const {
    constexpr double tiny = 1e-12;
    const double gain = std::max(std::abs(controllers_[cure.controller].gain_i), tiny);
    if (cure.from == 0) return 100 + std::abs(cure.boundary) / gain;
    return std::abs(std::log(std::max(std::abs(cure.boundary / cure.from), tiny)));
  }

  // Runs the trial with the parameter a tenth of the change beyond the boundary, then farther.
  void confirm(Cure& cure, double rate) const {
    const system::Controller& controller = controllers_[cure.controller];
    const bool upwards = std::abs(cure.boundary) > std::abs(cure.from);
    const std::string bound = "with " + controller.name + "." + key(cure.parameter) +
                              (upwards ? " above " : " below ") + brief(cure.boundary) + " (now " +
                              brief(cure.from) + ") it would " +
                              (rate > 0 ? "settle in time" : "be stable");
    for (const double farther : {0.1, 0.3, 1.0, 3.0}) {
      if (is_over()) break;
      cure.to = upwards ? cure.boundary + farther * (cure.boundary - cure.from)
                        : cure.boundary * std::pow(cure.boundary / cure.from, farther);
      const system::OdeSystem other(
          models::with_gains(run_.config, subject_.system().circuit(), cure.controller,
                             with(gains_of(controller), cure.parameter, cure.to)));
      TrialRun trial(end_);
      solve::SolverOptions solver = run_.config.solver;
      solver.shortcut = false;  // it is asked when it settles
      const solve::SolveSummary summary = solve::solve(other, other.initial_state(), solver, trial);
      cure.confirmed = summary.outcome() == Outcome::settled;
      if (!cure.confirmed) continue;
      cure.text =
          bound + "; with " + brief(cure.to) +
          " it settles at t = " + brief(summary.trials.front().settled_at, run_.config.time_unit) +
          ", with an inversion error of " + brief(inversion_error_of(other, summary, cure)) +
          " (confirmed by running it)";
      return;
    }
    cure.text = bound + " (not confirmed" +
                (is_over() ? ": there was no time to run it)"
                           : ": with " + brief(cure.to) + " it did not settle)");
  }

  // Of the controller that was changed, at the end of the phase that measures speak of.
  double inversion_error_of(const system::OdeSystem& system, const solve::SolveSummary& summary,
                            const Cure& cure) const {
    const solve::PhaseResult& phase = summary.phases[run_.phase];
    Evaluation end(system, phase.segment, phase.end, phase.state.col(0));
    const system::Controller& controller = system.circuit().controllers[cure.controller];
    return end.value(controller.error).norm() / end.setpoint(controller).norm();
  }

  const Subject& subject_;
  const Run& run_;
  const Linearisation& linearisation_;
  const std::vector<system::Controller>& controllers_;
  Clock::time_point end_;
};

}  // namespace

std::optional<Cure> find_cure(const Run& run, double seconds) {
  const auto& trials = run.summary.trials;
  const auto first = std::find_if(trials.begin(), trials.end(), [](const auto& trial) {
    return trial.outcome != Outcome::settled && trial.outcome != Outcome::failed;
  });
  if (first == trials.end()) return std::nullopt;
  const Subject subject(run, static_cast<Index>(first - trials.begin()));
  const Linearisation* linearisation = subject.linearisation();
  if (!linearisation || !linearisation->is_dense() || !subject.equilibrium().converged ||
      !is_curable(judge(subject).kind))
    return std::nullopt;
  return CureSearch(subject, *linearisation, seconds).find();
}

core::Quantity as_quantity(const Cure& cure, const Run& run) {
  core::Quantity out =
      declare("cure", "1", "smallest change of a leak or gain with which the trial settles");
  out.texts.assign(at(run.system.trials()), "");
  out.texts[at(cure.trial)] = cure.text;
  return out;
}

}  // namespace settle::analysis
