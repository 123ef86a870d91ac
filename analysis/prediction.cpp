#include "analysis/prediction.hpp"

#include <cmath>

#include "analysis/equilibria.hpp"
#include "analysis/measures.hpp"

namespace settle::analysis {

double Prediction::settling_time(double band) const {
  if (stability != Linearisation::Stability::stable)
    return std::numeric_limits<double>::quiet_NaN();
  return std::log(band) / pole.real();
}

Prediction predict(const system::OdeSystem& system, const solve::SolverOptions& solver,
                   const AnalysisOptions& options) {
  Prediction out;
  const solve::RestProblem problem = rest_problem(system, solver, options);
  VectorXd x = system.initial_state().col(0);
  if (!system.is_linear()) {
    if (const std::string source = system.changing_source(problem.segment, problem.t);
        !source.empty()) {
      out.why_not = "\"" + source + "\" drives the circuit without end";
      return out;
    }
    const solve::Equilibrium found = solve::find_equilibrium(problem, x);
    if (!found.converged) {
      out.why_not = "no equilibrium: " + found.reason;
      return out;
    }
    x = found.x;
  }
  const Linearisation linearisation(problem, std::move(x), options.dense_limit);
  const auto pole = linearisation.rightmost();
  if (!pole) {
    out.why_not = linearisation.size() == 0 ? "nothing moves in the phase"
                                            : "the eigenvalue iteration did not converge";
    return out;
  }
  out.pole = {pole->real(), std::abs(pole->imag())};
  out.stability = linearisation.stability();
  return out;
}

namespace {

/// What the poles predict before the run: stability, and when it settles.
class PredictionMeasure final : public Measure {
 public:
  bool is_of_jacobian() const override { return true; }
  bool is_standard() const override { return false; }

  std::vector<core::Quantity> quantities(const Run& run) const override {
    std::vector<core::Quantity> out = {
        declare("predicted_pole", "1/time", "real part of the slowest pole, found without the run"),
        declare("predicted_pole_angular_frequency", "1/time", "imaginary part of that pole (>= 0)"),
        declare("predicted_stability", "1", "stability by that pole"),
        declare("predicted_settling_time", "time",
                "time to settle to the band with that pole alone, -ln(band)/|Re s|",
                {band_axis(run)})};
    out[2].meanings = {"stable", "neutral", "unstable"};
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    const Prediction found =
        predict(subject.system(), subject.run.config.solver, subject.run.options);
    for (Cells& cells : out) cells.missing(found.why_not);
    if (!found.why_not.empty()) return;
    out[0].set(0, found.pole.real());
    out[1].set(0, found.pole.imag());
    out[2].set(0, static_cast<double>(found.stability));
    const std::vector<double> bands = settling_bands(subject.run);
    for (std::size_t b = 0; b < bands.size(); ++b)
      out[3].set(static_cast<Index>(b), found.settling_time(bands[b]));
    if (found.stability != Linearisation::Stability::stable)
      out[3].missing("the slowest pole does not decay");
  }
};

}  // namespace

std::unique_ptr<Measure> prediction() { return std::make_unique<PredictionMeasure>(); }

}  // namespace settle::analysis
