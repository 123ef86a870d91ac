#include "analysis/verdict.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "analysis/measures.hpp"
#include "analysis/stability.hpp"
#include "sim/solve/method.hpp"

namespace settle::analysis {
namespace {

using core::brief;
using solve::Outcome;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

std::string percent(double share) { return brief(100 * share) + " %"; }

class Judge {
 public:
  explicit Judge(const Subject& subject)
      : subject_(subject),
        run_(subject.run),
        unit_(run_.config.time_unit),
        result_(run_.summary.trials[at(subject.trial)]),
        phase_(deciding_phase()),
        linearisation_(subject.linearisation()) {
    // Of another phase than the measured one: what moved in it, about where it ended.
    const VectorXd end = phase_.state.col(subject.trial);
    if (&phase_ != &run_.phase_result() && end.allFinite()) {
      own_.emplace(solve::RestProblem{subject.system(), phase_.segment, phase_.end}, end,
                   run_.options.dense_limit);
      linearisation_ = own_->size() > 0 ? &*own_ : nullptr;
    }
    if (!linearisation_) return;
    stability_ = linearisation_->stability();
    if (const auto pole = linearisation_->rightmost()) pole_ = *pole;
  }

  Verdict decide() {
    if (result_.outcome == Outcome::failed || result_.reason == "interrupted")
      return {VerdictKind::failed, "stopped before it could settle: " + result_.reason};
    if (result_.outcome == Outcome::diverged) return diverged();
    const Unmet worst = unmet();
    if (result_.outcome == Outcome::settled) return settled(worst);
    if (const std::string source = run_.system.changing_source(phase_.segment, phase_.end);
        !source.empty())
      return {VerdictKind::driven,
              "no rest to come to: \"" + source + "\" still drives it at the end"};
    if (stability_ == Linearisation::Stability::unstable) return unstable();
    if (stability_ == Linearisation::Stability::stable && is_fixed_step() &&
        result_.outcome == Outcome::oscillating)
      return numerical("keeps oscillating");
    if (at_noise())
      return {VerdictKind::tolerance_limited,
              "limited by the tolerance: the residual " + brief(residual()) +
                  " hovers at the solver's own error, above the " +
                  brief(run_.config.solver.settled_tolerance()) +
                  " that counts as settled; a smaller solver.rtol or a larger "
                  "solver.settled.tolerance would do"};
    const bool is_stable = stability_ == Linearisation::Stability::stable;
    if (result_.outcome == Outcome::oscillating && !has_rest())
      return cycle("no state of rest was found");
    // A motion that keeps its size while the linear one would have lost a tenth of it in that time.
    if (result_.outcome == Outcome::oscillating && is_stable && !run_.is_linear() &&
        -pole_.real() * (phase_.end - phase_.start) / 4 > 0.1)
      return cycle("the equilibrium is stable, " + pole_text() + ", and it does not come to it");
    if (stability_ == Linearisation::Stability::neutral) return integrating(worst);
    if (is_stable && has_rest()) return slow(worst);
    const std::string text = "still moving, and no state of rest was found";
    if (is_stable && worst.any()) return {worst.kind, worst.text + "; " + text};
    return {VerdictKind::undecided, is_stable ? text : result_.reason};
  }

 private:
  // A setpoint that is far from being met, and why.
  struct Unmet {
    VerdictKind kind = VerdictKind::undecided;
    std::string text;
    bool any() const { return !text.empty(); }
  };

  std::string time(double t) const { return brief(t, unit_); }

  std::string pole_text() const { return analysis::pole_text(*linearisation_); }

  // The phase that decided the outcome: of a trial that did not settle, the first one that did not.
  const solve::PhaseResult& deciding_phase() const {
    const bool moves =
        result_.outcome == Outcome::not_settled || result_.outcome == Outcome::oscillating;
    return moves && result_.deciding_phase >= 0 ? run_.summary.phases[at(result_.deciding_phase)]
                                                : run_.phase_result();
  }

  double residual() const { return residual_at_end(run_, subject_.trial, phase_); }

  bool is_fixed_step() const { return run_.config.solver.step.has_value(); }
  // Whether the residual is at the solver's own error, and no longer falls as its slowest mode does.
  bool at_noise() const {
    if (is_fixed_step() || !(residual() <= 30 * run_.config.solver.rtol)) return false;
    if (stability_ != Linearisation::Stability::stable) return true;
    const double rate = -pole_.real();
    const double stretch = std::min((phase_.end - phase_.start) / 2, 1 / rate);
    double before = 0, last = 0;
    for (const auto& bin : phase_.histories[at(subject_.trial)].bins()) {
      if (bin.time >= phase_.end - stretch)
        last = std::max(last, bin.value);
      else if (bin.time >= phase_.end - 2 * stretch)
        before = std::max(before, bin.value);
    }
    return !(std::log(before / last) >= 0.5 * rate * stretch);
  }

  Verdict numerical(const std::string& what) const {
    return {VerdictKind::numerical,
            what + " although the circuit is stable (" + pole_text() + "): a step of " +
                time(*run_.config.solver.step) + " of " + run_.summary.method +
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
    const std::string when = result_.skipped
                                 ? "settled (put to rest without the way there, solver.shortcut)"
                                 : "settled at t = " + time(result_.settled_at);
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
    // By its growth alone. What only integrates does not diverge, what is nonlinear may be bounded farther
    // out, and what has a stable rest state may come back to it.
    if (!subject_.has_left() && stability_ == Linearisation::Stability::neutral)
      return integrating(unmet());
    if (!subject_.has_left() && !run_.is_linear() &&
        stability_ == Linearisation::Stability::unstable)
      return unstable();
    if (!subject_.has_left() && stability_ == Linearisation::Stability::stable)
      return {VerdictKind::undecided,
              "it moved away throughout the last half of the run, although the equilibrium is "
              "stable (" +
                  pole_text() + "): a longer run tells whether it comes back"};
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
    const std::string where = !own_ && subject_.equilibrium().converged
                                  ? "the equilibrium is unstable, "
                                  : "unstable where it ended, ";
    // A linear circuit has no limit cycle, however slowly it grows.
    if (result_.outcome == Outcome::oscillating && (run_.is_linear() || still_grows()))
      return {VerdictKind::leaving, "an oscillation that grows: " + where + pole_text()};
    if (result_.outcome == Outcome::oscillating) return cycle(where + pole_text());
    return {VerdictKind::leaving, "moving away: " + where + pole_text()};
  }

  // Whether it is known where a linearisation speaks of rest.
  bool has_rest() const {
    return run_.is_linear() || own_.has_value() || subject_.equilibrium().converged;
  }

  Verdict cycle(const std::string& why) const {
    const double omega = oscillation();
    std::string text = "limit cycle";
    if (std::isfinite(omega))
      text += " of angular frequency " + brief(omega) + " (period " + time(2 * M_PI / omega) + ")";
    return {VerdictKind::limit_cycle,
            text + ": " + why +
                (run_.system.is_bounded() ? ", and saturation bounds the motion"
                                          : ", and the motion is bounded so far")};
  }

  // Whether the motion grew by a tenth from quarter to quarter of the phase, since the second.
  bool still_grows() const {
    const double length = phase_.end - phase_.start;
    std::array<double, 4> most{};
    for (const auto& bin : phase_.histories[at(subject_.trial)].bins()) {
      const double share = (bin.time - phase_.start) / length;
      double& value = most[std::min<std::size_t>(3, static_cast<std::size_t>(4 * share))];
      value = std::max(value, bin.value);
    }
    return most[2] > 1.1 * most[1] && most[3] > 1.1 * most[2];
  }

  Verdict integrating(const Unmet& worst) const {
    const std::string nodes = nodes_of_pole(*linearisation_);
    std::string text = "a state only integrates: pole at 0" +
                       (nodes.empty() ? "" : " (" + nodes + ")") + ", no leak pulls it back";
    if (worst.any()) return {worst.kind, worst.text + "; " + text};
    return {VerdictKind::integrating, text};
  }

  Verdict slow(const Unmet& worst) const {
    const solve::Equilibrium rest =
        own_ ? solve::find_equilibrium(own_->problem(), own_->state()) : subject_.equilibrium();
    const double more = time_to_settle(run_, subject_.trial, phase_, *linearisation_, rest);
    const std::string longer =
        more > 0 ? "about " + time(more) + " more until it settles" : "it has almost settled";
    const bool rings = std::abs(pole_.imag()) > std::abs(pole_.real());
    std::string text = (rings ? "slowly damped oscillation: " : "slow mode: ") + pole_text() +
                       ", time constant " + time(-1 / pole_.real()) + ", " + longer;
    if (&phase_ != &run_.phase_result()) text = "in phase " + phase_.name + ", " + text;
    if (worst.any()) return {worst.kind, worst.text + "; " + text};
    return {rings ? VerdictKind::slowly_damped : VerdictKind::slow, text};
  }

  // Angular frequency of the motion at the end: of the state that swings most, over the last quarter of
  // the run, or as much more as it takes for two swings, from the times at which it rises through its
  // middle; where that drifts too far, through a line fitted to it.
  double oscillation() const {
    const solve::Trajectory& path = run_.trajectories.of(subject_.trial);
    const auto [first, last] =
        path.of_phase(static_cast<int>(&phase_ - run_.summary.phases.data()));
    if (last - first < 8) return nan;
    const double begin = path.time(first), end = path.time(last - 1);
    for (const bool drifts : {false, true})
      for (const double share : {0.25, 0.5, 0.75}) {
        std::size_t from = first;
        while (path.time(from) < end - share * (end - begin)) ++from;
        const std::vector<double> rises = rises_through_middle(from, last, drifts);
        if (rises.size() >= 3)
          return 2 * M_PI * static_cast<double>(rises.size() - 1) / (rises.back() - rises.front());
      }
    return nan;
  }

  // With `drifts`, through a line that is fitted to each state.
  std::vector<double> rises_through_middle(std::size_t first, std::size_t last, bool drifts) const {
    const solve::Trajectory& path = run_.trajectories.of(subject_.trial);
    MatrixXd all(run_.system.dimension(), static_cast<Index>(last - first));
    for (std::size_t k = first; k < last; ++k)
      all.col(static_cast<Index>(k - first)) = path.state(k);
    std::vector<double> rises;
    if (all.cols() < 8 || !all.allFinite()) return rises;
    if (drifts) {
      VectorXd times(all.cols());
      for (Index k = 0; k < times.size(); ++k) times[k] = path.time(first + at(k));
      times.array() -= times.mean();
      all.colwise() -= all.rowwise().mean().eval();
      all -= (all * times).eval() * (times / times.squaredNorm()).transpose();
    }
    const VectorXd high = all.rowwise().maxCoeff(), low = all.rowwise().minCoeff();
    Index most = 0;
    (high - low).maxCoeff(&most);
    const double middle = (high[most] + low[most]) / 2;
    for (Index k = 1; k < all.cols(); ++k) {
      const double a = all(most, k - 1) - middle, b = all(most, k) - middle;
      const double before = path.time(first + at(k - 1)), after = path.time(first + at(k));
      if (a < 0 && b >= 0) rises.push_back(before + (after - before) * a / (a - b));
    }
    return rises;
  }

  const Subject& subject_;
  const Run& run_;
  std::string unit_;
  const solve::TrialResult& result_;
  const solve::PhaseResult& phase_;
  const Linearisation* linearisation_;  // nullptr where there is none
  std::optional<Linearisation> own_;
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

}  // namespace

const std::vector<std::string>& verdict_names() {
  static const std::vector<std::string> names = {
      "settled",           "infeasible",  "saturated", "unstable_rest", "slow",
      "slowly_damped",     "limit_cycle", "leaving",   "integrating",   "driven",
      "tolerance_limited", "numerical",   "diverged",  "failed",        "undecided"};
  return names;
}

Verdict judge(const Subject& subject) { return Judge(subject).decide(); }

double residual_at_end(const Run& run, Index trial, const solve::PhaseResult& phase) {
  if (&phase == &run.summary.phases.back()) return run.summary.trials[at(trial)].residual;
  const auto& bins = phase.histories[at(trial)].bins();
  return bins.empty() ? nan : bins.back().value / bins.back().scale;
}

namespace {

// The size of a state that its residual is relative to.
double size_of(const VectorXd& x, const Linearisation& linearisation,
               const solve::SolverOptions& options) {
  return std::max(x(linearisation.rows()).cwiseAbs().maxCoeff(), options.atol / options.rtol);
}

}  // namespace

double above_tolerance(const Run& run, Index trial, const solve::PhaseResult& phase,
                       const Linearisation& linearisation, const solve::Equilibrium& rest) {
  const solve::SolverOptions& options = run.config.solver;
  const VectorXd end = phase.state.col(trial);
  double residual = residual_at_end(run, trial, phase) * size_of(end, linearisation, options);
  const std::complex<double> pole = linearisation.rightmost().value_or(nan);
  if (std::abs(pole.imag()) > std::abs(pole.real()))
    for (const auto& bin : phase.histories[at(trial)].bins())
      if (bin.time >= phase.end - M_PI / std::abs(pole.imag()))
        residual = std::max(residual, bin.value);
  return residual / size_of(rest.converged ? rest.x : end, linearisation, options) /
         options.settled_tolerance();
}

double time_to_settle(const Run& run, Index trial, const solve::PhaseResult& phase,
                      const Linearisation& linearisation, const solve::Equilibrium& rest) {
  const system::OdeSystem& system = linearisation.problem().system;
  const solve::SolverOptions& options = run.config.solver;
  const std::complex<double> pole = linearisation.rightmost().value_or(nan);
  const double dwell = solve::settled_dwell(system, options);
  const double left = above_tolerance(run, trial, phase, linearisation, rest);
  const double one_mode = std::log(std::max(left, M_E)) / -pole.real();
  if (!linearisation.is_dense()) return left > 1 ? one_mode + dwell : 0;

  const VectorXd end = phase.state.col(trial);
  const double limit =
      options.settled_tolerance() * size_of(rest.converged ? rest.x : end, linearisation, options);
  system::Workspace workspace = system.make_workspace();
  system.begin(phase.segment, workspace);
  MatrixXd rate(end.size(), 1);
  system.derivative(phase.end, end, rate, workspace);
  const VectorXd start = rate(linearisation.rows(), 0), tau = system.tau()(linearisation.rows());

  // e^{Jt} for t = h, 2h, 4h …, of which any multiple of h is made; and in steps through a stretch that
  // no swing of the slowest mode is longer than.
  constexpr int digits = 10, doublings = 6, steps = 16;
  const double h = std::ldexp(one_mode, -digits);
  std::vector<MatrixXd> powers = {core::exponential(h * linearisation.jacobian())};
  while (powers.size() <= digits + doublings) powers.emplace_back(powers.back() * powers.back());
  const bool rings = std::abs(pole.imag()) > std::abs(pole.real());
  const double stretch = std::max(dwell, rings ? M_PI / std::abs(pole.imag()) : 0);
  const MatrixXd step = core::exponential(stretch / steps * linearisation.jacobian());
  const auto is_below = [&](long multiple) {
    VectorXd v = start;
    for (std::size_t k = 0; k < powers.size(); ++k)
      if ((multiple >> k) % 2 == 1) v = powers[k] * v;
    for (int i = 0; i <= steps; ++i) {
      if (!(tau.cwiseProduct(v).cwiseAbs().maxCoeff() <= limit)) return false;
      v = step * v;
    }
    return true;
  };
  if (is_below(0)) return 0;
  long low = 0, high = 1L << digits;
  while (!is_below(high)) {
    low = high;
    high *= 2;
    if (high >= 1L << (digits + doublings)) return one_mode + dwell;
  }
  while (high - low > 1) (is_below((low + high) / 2) ? high : low) = (low + high) / 2;
  return static_cast<double>(high) * h + dwell;
}

std::unique_ptr<Measure> verdict() { return std::make_unique<VerdictMeasure>(); }

}  // namespace settle::analysis
