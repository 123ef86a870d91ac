#include "analysis/verdict.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "analysis/measures.hpp"
#include "analysis/stability.hpp"
#include "sim/solve/method.hpp"

namespace settle::analysis {
namespace {

using core::brief;
using solve::Outcome;
using Clock = std::chrono::steady_clock;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

std::string percent(double share) { return brief(100 * share) + " %"; }

class Judge {
 public:
  explicit Judge(const Subject& subject)
      : subject_(subject),
        run_(subject.run),
        unit_(run_.config.time_unit),
        result_(run_.summary.trials[at(subject.trial)]) {
    if (const Linearisation* linearisation = subject.linearisation()) {
      stability_ = linearisation->stability();
      if (const auto pole = linearisation->rightmost()) pole_ = *pole;
    }
  }

  Verdict decide() {
    if (result_.outcome == Outcome::failed || result_.reason == "interrupted")
      return {VerdictKind::failed, "stopped before it could settle: " + result_.reason};
    if (result_.outcome == Outcome::diverged) return diverged();
    const Unmet worst = unmet();
    if (result_.outcome == Outcome::settled) return settled(worst);
    if (const std::string source =
            run_.system.changing_source(run_.summary.phases.back().segment, run_.summary.t_end);
        !source.empty())
      return {VerdictKind::driven,
              "no rest to come to: \"" + source + "\" still drives it at the end"};
    if (stability_ == Linearisation::Stability::unstable) return unstable();
    if (stability_ == Linearisation::Stability::stable && is_fixed_step() &&
        result_.outcome == Outcome::oscillating)
      return numerical("keeps oscillating");
    if (at_noise())
      return {VerdictKind::tolerance_limited,
              "limited by the tolerance: the residual " + brief(result_.residual) +
                  " hovers at the solver's own error, above the " +
                  brief(run_.config.solver.settled_tolerance()) +
                  " that counts as settled; a smaller solver.rtol or a larger "
                  "solver.settled.tolerance would do"};
    if (stability_ == Linearisation::Stability::neutral) return integrating(worst);
    if (stability_ == Linearisation::Stability::stable) return slow(worst);
    return {VerdictKind::undecided, result_.reason};
  }

 private:
  // A setpoint that is far from being met, and why.
  struct Unmet {
    VerdictKind kind = VerdictKind::undecided;
    std::string text;
    bool any() const { return !text.empty(); }
  };

  std::string time(double t) const { return brief(t, unit_); }

  std::string pole_text() const { return analysis::pole_text(*subject_.linearisation()); }

  bool is_fixed_step() const { return run_.config.solver.step.has_value(); }
  bool at_noise() const {
    return !is_fixed_step() && result_.residual <= 30 * run_.config.solver.rtol;
  }

  Verdict numerical(const std::string& what) const {
    return {VerdictKind::numerical,
            what + " although the circuit is stable (" + pole_text() + "): a step of " +
                time(*run_.config.solver.step) + " of " + run_.config.solver.method +
                " is too long; a smaller solver.step or an adaptive method would do"};
  }

  // The controller that is farthest from its setpoint although it could not do better, or because
  // what it drives is saturated.
  Unmet unmet() const {
    Unmet worst;
    if (subject_.has_left()) return worst;
    const solve::PhaseResult& phase = run_.phase_result();
    Evaluation end(subject_.system(), phase.segment, phase.end, subject_.end());
    const system::Circuit& circuit = subject_.system().circuit();
    double largest = 0;
    for (std::size_t c = 0; c < circuit.controllers.size(); ++c) {
      const system::Controller& controller = circuit.controllers[c];
      const VectorXd y = end.setpoint(controller);
      if (controller.measured_edges.empty() || !(y.norm() > 0)) continue;
      const double least = subject_.loops().unreachable(c, y) / y.norm();
      const double error = end.value(controller.error).norm() / y.norm();
      const int population = circuit.edges[at(controller.measured_edges[0])].from;
      const system::Node& node = circuit.nodes[at(population)];
      const Index saturated = units_at_an_end(node, end.value(population));
      // What cannot be met is a good part of the error; or half of the setpoint is missed.
      const bool is_infeasible = least >= 0.01 && least >= 0.3 * error;
      const bool is_saturated = error > 0.5 && 3 * saturated >= node.size;
      if ((!is_infeasible && !is_saturated) || error <= largest) continue;
      largest = error;
      worst.kind = is_infeasible ? VerdictKind::infeasible : VerdictKind::saturated;
      const std::string units =
          std::to_string(saturated) + " of " + std::to_string(node.size) + " units of " + node.name;
      worst.text = is_infeasible
                       ? "the setpoint of " + controller.name + " is out of reach: no rates of " +
                             node.name + " bring the error below " + percent(least) +
                             " of it (it is " + percent(error) + ")"
                       : units + " are saturated, and " + controller.name + " is " +
                             percent(error) + " of the setpoint away from it";
      if (controller.integral >= 0)
        worst.text += ", and its integral has wound up to |ξ| = " +
                      brief(end.value(controller.integral).norm());
    }
    return worst;
  }

  // Units whose rate is within a hundredth of its range of one of its ends.
  static Index units_at_an_end(const system::Node& node, const VectorXd& x) {
    const auto [low, high] = node.transfer->range();
    if (!std::isfinite(low) || !std::isfinite(high)) return 0;
    VectorXd r(x.size());
    node.transfer->value(x.data(), r.data(), x.size());
    const double margin = 0.01 * (high - low);
    return ((r.array() < low + margin) || (r.array() > high - margin)).count();
  }

  Verdict settled(const Unmet& worst) const {
    const std::string when = "settled at t = " + time(result_.settled_at);
    if (stability_ == Linearisation::Stability::unstable)
      return {VerdictKind::unstable_rest, when + ", on an unstable equilibrium: " + pole_text() +
                                              ", so that any perturbation leaves it"};
    if (worst.any()) return {worst.kind, when + "; " + worst.text};
    std::string text = when;
    if (stability_ == Linearisation::Stability::stable)
      text += ": the slowest mode, " + pole_text() + ", has the time constant " +
              time(-1 / pole_.real());
    return {VerdictKind::settled, text};
  }

  Verdict diverged() const {
    if (stability_ == Linearisation::Stability::stable && is_fixed_step() &&
        (run_.is_linear() || subject_.equilibrium().converged))
      return numerical("diverged (" + result_.reason + ")");
    std::string text = "diverged: " + result_.reason;
    if (stability_ == Linearisation::Stability::unstable)
      text += "; unstable " + pole_text() + ", " +
              (pole_.imag() != 0 ? "an oscillation that grows" : "growth without oscillation");
    else if (stability_ == Linearisation::Stability::stable)
      text +=
          ", although the equilibrium is stable (" + pole_text() + "): it started too far from it";
    else if (!subject_.why_not_linearised().empty())
      text += "; " + subject_.why_not_linearised();
    return {VerdictKind::diverged, text};
  }

  Verdict unstable() const {
    const std::string where = subject_.equilibrium().converged ? "the equilibrium is unstable, "
                                                               : "unstable where it ended, ";
    if (result_.outcome == Outcome::oscillating) {
      const double omega = oscillation();
      std::string text = "limit cycle";
      if (std::isfinite(omega))
        text +=
            " of angular frequency " + brief(omega) + " (period " + time(2 * M_PI / omega) + ")";
      return {VerdictKind::limit_cycle,
              text + ": " + where + pole_text() + ", and saturation bounds the motion"};
    }
    return {VerdictKind::leaving, "moving away: " + where + pole_text()};
  }

  Verdict integrating(const Unmet& worst) const {
    const std::string nodes = nodes_of_pole(*subject_.linearisation());
    std::string text = "a state only integrates: pole at 0" +
                       (nodes.empty() ? "" : " (" + nodes + ")") + ", no leak pulls it back";
    if (worst.any()) return {worst.kind, worst.text + "; " + text};
    return {VerdictKind::integrating, text};
  }

  Verdict slow(const Unmet& worst) const {
    const double tolerance = run_.config.solver.settled_tolerance();
    const double more = std::log(std::max(result_.residual / tolerance, 1.0)) / -pole_.real();
    std::string longer =
        more > 0 ? "about " + time(more) + " more until it settles" : "it has almost settled";
    const bool rings = std::abs(pole_.imag()) > std::abs(pole_.real());
    std::string text = (rings ? "slowly damped oscillation: " : "slow mode: ") + pole_text() +
                       ", time constant " + time(-1 / pole_.real()) + ", " + longer;
    if (worst.any()) return {worst.kind, worst.text + "; " + text};
    return {rings ? VerdictKind::slowly_damped : VerdictKind::slow, text};
  }

  // Angular frequency of the motion at the end: of the state that swings most, over the last quarter of
  // the run, from the times at which it rises through its mean.
  double oscillation() const {
    const auto [first, last] = run_.trajectory.of_phase(
        result_.deciding_phase >= 0 ? result_.deciding_phase : static_cast<int>(run_.phase));
    if (last - first < 8) return nan;
    const double begin = run_.trajectory.time(first), end = run_.trajectory.time(last - 1);
    std::vector<double> times;
    std::vector<VectorXd> states;
    for (std::size_t k = first; k < last; ++k)
      if (run_.trajectory.time(k) >= end - (end - begin) / 4) {
        times.push_back(run_.trajectory.time(k));
        states.emplace_back(run_.trajectory.state(k).col(subject_.trial));
      }
    if (states.size() < 8 || !states.back().allFinite()) return nan;
    MatrixXd all(states.front().size(), static_cast<Index>(states.size()));
    for (std::size_t k = 0; k < states.size(); ++k) all.col(static_cast<Index>(k)) = states[k];
    const VectorXd middle = (all.rowwise().maxCoeff() + all.rowwise().minCoeff()) / 2;
    Index most = 0;
    (all.rowwise().maxCoeff() - all.rowwise().minCoeff()).maxCoeff(&most);
    std::vector<double> rises;
    for (Index k = 1; k < all.cols(); ++k) {
      const double a = all(most, k - 1) - middle[most], b = all(most, k) - middle[most];
      if (a < 0 && b >= 0)
        rises.push_back(times[at(k - 1)] + (times[at(k)] - times[at(k - 1)]) * a / (a - b));
    }
    if (rises.size() < 2) return nan;
    return 2 * M_PI * static_cast<double>(rises.size() - 1) / (rises.back() - rises.front());
  }

  const Subject& subject_;
  const Run& run_;
  std::string unit_;
  const solve::TrialResult& result_;
  Linearisation::Stability stability_ = Linearisation::Stability::unknown;
  std::complex<double> pole_ = nan;
};

/// One line that says why a trial did or did not converge.
class VerdictMeasure final : public Measure {
 public:
  std::vector<core::Quantity> quantities(const Run&) const override {
    std::vector<core::Quantity> out = {
        declare("verdict", "1", "what became of the trial"),
        declare("verdict_text", "1", "why it did or did not converge")};
    out[0].meanings = verdict_names();
    out[1].texts.resize(1);
    return out;
  }
  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    const Verdict verdict = judge(subject);
    out[0].set(0, static_cast<double>(verdict.kind));
    out[1].set_text(verdict.text);
  }
};

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
    const double left =
        run_.summary.trials[at(subject_.trial)].residual / run_.config.solver.settled_tolerance();
    if (!(left > 1) || !(run_.summary.t_end > 0)) return std::nullopt;
    return -linearisation_.rightmost()->real() + std::log(left) / run_.summary.t_end;
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
      const solve::SolveSummary summary =
          solve::solve(other, other.initial_state(), run_.config.solver, trial);
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

const std::vector<std::string>& verdict_names() {
  static const std::vector<std::string> names = {
      "settled",           "infeasible",  "saturated", "unstable_rest", "slow",
      "slowly_damped",     "limit_cycle", "leaving",   "integrating",   "driven",
      "tolerance_limited", "numerical",   "diverged",  "failed",        "undecided"};
  return names;
}

Verdict judge(const Subject& subject) { return Judge(subject).decide(); }

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

std::unique_ptr<Measure> verdict() { return std::make_unique<VerdictMeasure>(); }

}  // namespace settle::analysis
