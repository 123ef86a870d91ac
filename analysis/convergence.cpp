#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>

#include "analysis/measure.hpp"
#include "sim/core/linalg.hpp"

namespace settle::analysis {
namespace {

const double nan = std::numeric_limits<double>::quiet_NaN();

// Above this many moving states the dense eigenvalue problem takes longer than a user waits.
constexpr Index largest_dense = 400;

Quantity quantity(const Run& run, std::string name, std::string units, std::string long_name) {
  const Index trials = run.system.trials();
  return {std::move(name), std::move(units), std::move(long_name), VectorXd::Constant(trials, nan),
          std::vector<std::string>(static_cast<std::size_t>(trials))};
}

/// ‖e‖/‖y‖ with e = measured − setpoint and y the setpoint, per controller, at the end of the
/// phase.
class InversionError final : public Measure {
 public:
  std::vector<Quantity> of(const Run& run) const override {
    const system::Circuit& circuit = run.system.circuit();
    const solve::PhaseResult& phase = run.phase_result();
    system::Workspace workspace = run.system.make_workspace();
    run.system.begin(phase.segment, workspace);
    run.system.evaluate(phase.end, phase.state, workspace);
    std::vector<Quantity> out;
    for (const system::Controller& controller : circuit.controllers) {
      const std::string suffix = circuit.controllers.size() == 1 ? "" : "_" + controller.name;
      Quantity q = quantity(run, "inversion_error" + suffix, "1",
                            "norm of measured - setpoint over norm of setpoint of " +
                                controller.name + " at the end of phase " + phase.name);
      const MatrixXd error = run.system.value(controller.error, phase.state, workspace);
      MatrixXd setpoint = MatrixXd::Zero(error.rows(), error.cols());
      for (Index k = 0; k < setpoint.cols(); ++k)
        setpoint.col(k) = controller.setpoint.col(controller.setpoint.cols() == 1 ? 0 : k);
      if (!controller.setpoint_edges.empty() || !controller.setpoint_sources.empty())
        setpoint -= controller.sign * run.system.input(controller.setpoint_edges,
                                                       controller.setpoint_sources, phase.end,
                                                       phase.state, workspace);
      for (Index k = 0; k < error.cols(); ++k) {
        auto& reason = q.reasons[static_cast<std::size_t>(k)];
        if (!phase.state.col(k).allFinite())
          reason = "the trial diverged";
        else if (controller.measured_edges.empty())
          reason = "nothing is measured";
        else if (setpoint.col(k).norm() <= 1e-9 * error.col(k).norm())
          reason = "the setpoint is zero";
        else
          q.values[k] = error.col(k).norm() / setpoint.col(k).norm();
      }
      out.push_back(std::move(q));
    }
    return out;
  }
};

/// The rightmost eigenvalue s of the Jacobian at the end of the phase, over the states that move in
/// it: perturbations of the end state decay no faster than e^{Re s t} in general.
class SlowestPole final : public Measure {
 public:
  std::vector<Quantity> of(const Run& run) const override {
    const solve::PhaseResult& phase = run.phase_result();
    Quantity real = quantity(run, "slowest_pole", "1/time",
                             "real part of the rightmost eigenvalue of the Jacobian at the end of "
                             "phase " +
                                 phase.name);
    Quantity imaginary = quantity(run, "slowest_pole_angular_frequency", "1/time",
                                  "imaginary part of that eigenvalue (>= 0)");
    const std::vector<Index> rows = run.system.moving_rows(run.phase_result().segment);
    // Where the circuit is linear all trials have the same Jacobian.
    const Index distinct = is_linear(run) ? 1 : run.system.trials();
    std::vector<std::optional<std::complex<double>>> poles(static_cast<std::size_t>(distinct));
    tbb::parallel_for(Index{0}, distinct, [&](Index k) {
      if (!rows.empty() && phase.state.col(k).allFinite())
        poles[static_cast<std::size_t>(k)] = rightmost(run, rows, k);
    });
    for (Index k = 0; k < run.system.trials(); ++k) {
      const auto i = static_cast<std::size_t>(k);
      const auto& pole = poles[distinct == 1 ? 0 : i];
      std::string& reason = real.reasons[i];
      if (!phase.state.col(k).allFinite())
        reason = "the trial diverged";
      else if (rows.empty())
        reason = "nothing moves in the phase";
      else if (!pole)
        reason = "the eigenvalue iteration did not converge";
      imaginary.reasons[i] = reason;
      if (!reason.empty()) continue;
      real.values[k] = pole->real();
      imaginary.values[k] = std::abs(pole->imag());
    }
    return {std::move(real), std::move(imaginary)};
  }

 private:
  static bool is_linear(const Run& run) {
    const auto& edges = run.system.circuit().edges;
    return run.system.is_linear() && run.summary.final_state.col(0).allFinite() &&
           std::all_of(edges.begin(), edges.end(),
                       [](const system::Edge& edge) { return edge.gate.cols() <= 1; });
  }

  // Of a small circuit by all eigenvalues of the dense Jacobian, of a large one by its products.
  static std::optional<std::complex<double>> rightmost(const Run& run,
                                                       const std::vector<Index>& rows,
                                                       Index trial) {
    const solve::PhaseResult& phase = run.phase_result();
    const MatrixXd x = phase.state.col(trial);
    system::Workspace workspace = run.system.make_workspace();
    run.system.begin(phase.segment, workspace);
    const auto n = static_cast<Index>(rows.size());
    if (n <= largest_dense)
      return core::eigenvalues(
          MatrixXd(run.system.jacobian(phase.end, x, trial, workspace)(rows, rows)))[0];
    MatrixXd v = MatrixXd::Zero(run.system.dimension(), 1), jv = v;
    const auto found = core::rightmost_eigenvalues(
        [&](const double* in, double* out) {
          v(rows, 0) = Eigen::Map<const VectorXd>(in, n);
          run.system.jacobian_times(phase.end, x, trial, v, jv, workspace);
          Eigen::Map<VectorXd>(out, n) = jv(rows, 0);
        },
        n, 1);
    if (!found) return std::nullopt;
    return found->values[0];
  }
};

/// The rate at which the residual ‖T ẋ‖∞ decayed at last: minus the slope of ln of its envelope,
/// fitted over the last two decades above the solver's own error.
class DecayRate final : public Measure {
 public:
  std::vector<Quantity> of(const Run& run) const override {
    const solve::PhaseResult& phase = run.phase_result();
    Quantity q = quantity(
        run, "decay_rate", "1/time",
        "decay rate of the residual, fitted over its last two decades in phase " + phase.name);
    const std::string source = run.system.changing_source(phase.segment, phase.end);
    for (Index k = 0; k < run.system.trials(); ++k) {
      const auto i = static_cast<std::size_t>(k);
      if (!phase.state.col(k).allFinite())
        q.reasons[i] = "the trial diverged";
      else if (!source.empty())
        q.reasons[i] = "the circuit is driven by \"" + source + "\"";
      else
        q.values[k] = fit(phase.histories[i].bins(), run.options.rtol, q.reasons[i]);
    }
    return {std::move(q)};
  }

 private:
  using Bin = solve::ResidualHistory::Bin;

  // ln of the residual against time.
  struct Line {
    double slope, worst;  // worst: the largest deviation
  };
  static Line line_through(const std::vector<Bin>& bins) {
    double n = 0, st = 0, sy = 0, stt = 0, sty = 0;
    for (const Bin& bin : bins) {
      const double y = std::log(bin.value), t = bin.time - bins.front().time;
      n += 1;
      st += t;
      sy += y;
      stt += t * t;
      sty += t * y;
    }
    Line line{(n * sty - st * sy) / (n * stt - st * st), 0};
    const double offset = (sy - line.slope * st) / n;
    for (const Bin& bin : bins)
      line.worst = std::max(line.worst, std::abs(std::log(bin.value) - offset -
                                                 line.slope * (bin.time - bins.front().time)));
    return line;
  }

  static double fit(const std::vector<solve::ResidualHistory::Bin>& all, double rtol,
                    std::string& reason) {
    // The last stretch in which the residual stands above the noise, and is within two decades of
    // its end. Where it rings, it dips into the noise for less than eight bins.
    const auto is_noise = [&](const Bin& bin) { return bin.value <= 10 * rtol * bin.scale; };
    std::vector<Bin> bins;
    for (auto bin = all.rbegin(); bin != all.rend(); ++bin) {
      if (is_noise(*bin)) continue;
      if (!bins.empty() &&
          (bin->value > 100 * bins.front().value || bins.back().index - bin->index > 8))
        break;
      bins.push_back(*bin);
    }
    std::reverse(bins.begin(), bins.end());
    if (bins.size() < 6) {
      reason = "too few steps above the solver's own error";
      return nan;
    }
    // Its envelope: local maxima where it rings, all bins where it falls monotonically.
    std::vector<Bin> envelope;
    for (std::size_t b = 1; b + 1 < bins.size(); ++b)
      if (bins[b].value >= bins[b - 1].value && bins[b].value > bins[b + 1].value)
        envelope.push_back(bins[b]);
    if (envelope.size() < 4) envelope = bins;
    if (envelope.size() < 4) {
      reason = "the last two decades passed within a few steps";
      return nan;
    }
    // A mixture of modes is not one: both halves must agree, or else the later half alone is asked.
    while (envelope.size() >= 8) {
      const auto middle = envelope.begin() + static_cast<std::ptrdiff_t>(envelope.size() / 2);
      const Line early = line_through({envelope.begin(), middle});
      const Line late = line_through({middle, envelope.end()});
      if (std::abs(early.slope - late.slope) <= 0.15 * std::abs(late.slope)) break;
      envelope.erase(envelope.begin(), middle);
    }
    const Line line = line_through(envelope);
    if (line.worst > (envelope.size() < 8 ? 0.1 : 0.3)) {
      reason = "the residual does not fall like one exponential";
      return nan;
    }
    const double slope = line.slope;
    if (-slope * (envelope.back().time - envelope.front().time) < 0.1) {
      reason = "the residual does not decay";
      return nan;
    }
    return -slope;
  }
};

}  // namespace

std::size_t measured_phase(const system::OdeSystem& system, const solve::SolveSummary& summary) {
  const system::Circuit& circuit = system.circuit();
  for (std::size_t p = summary.phases.size(); p-- > 0;) {
    const std::vector<int>& off = circuit.phases[p].off;
    for (const system::Controller& controller : circuit.controllers)
      for (std::size_t k = 0; k < circuit.edges.size(); ++k)
        if (circuit.edges[k].from == controller.control &&
            std::find(off.begin(), off.end(), static_cast<int>(k)) == off.end())
          return p;
  }
  return summary.phases.size() - 1;
}

const core::Registry<Measure>& measures() {
  using core::make_entry;
  static const core::Registry<Measure> registry(
      "measures",
      {{"inversion_error", "norm of measured - setpoint over norm of setpoint, a controller each",
        &make_entry<Measure, InversionError>},
       {"slowest_pole", "rightmost eigenvalue of the exact Jacobian at the end",
        &make_entry<Measure, SlowestPole>},
       {"decay_rate", "measured decay of the residual over its last two decades",
        &make_entry<Measure, DecayRate>}});
  return registry;
}

std::vector<Quantity> measure(const Run& run) {
  std::vector<Quantity> out;
  for (const auto& entry : measures().entries())
    for (Quantity& quantity : entry.make()->of(run)) out.push_back(std::move(quantity));
  return out;
}

}  // namespace settle::analysis
