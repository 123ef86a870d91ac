// The observed order of every method at fixed step, and what the tolerance does where it chooses
// its own.
#include <catch2/catch.hpp>
#include <cmath>

#include "sim/solve/solve.hpp"
#include "tests/problems/damped_oscillator.hpp"
#include "tests/problems/leaky_sine.hpp"
#include "tests/problems/tanh_relaxation.hpp"

using namespace settle;
using namespace settle::solve;
using problems::DampedOscillator;
using problems::LeakySine;
using problems::TanhRelaxation;

namespace {

// The largest error at any sample.
template <class Problem>
class ErrorAtSamples final : public Observer {
 public:
  ErrorAtSamples(const Problem& problem, double interval)
      : problem_(problem), interval_(interval) {}
  Sampling sampling() const override { return {.steps = false, .every = 1, .interval = interval_}; }
  void sample(double t, const system::ConstBlock& x, system::Workspace&) override {
    largest = std::max(largest, (x - problem_.exact(t)).cwiseAbs().maxCoeff());
  }
  double largest = 0;

 private:
  const Problem& problem_;
  double interval_;
};

struct Errors {
  double at_end, at_samples;
  SolveSummary summary;
};

template <class Problem>
Errors errors(const Problem& problem, SolverOptions options, double interval) {
  options.duration = problem.duration;
  const system::OdeSystem system = system::compile(problem.circuit());
  ErrorAtSamples observer(problem, interval);
  Errors out;
  out.summary = solve::solve(system, system.initial_state(), options, observer);
  INFO(options.method << ": " << out.summary.reason);
  REQUIRE(out.summary.status == SolveSummary::Status::done);
  out.at_end = (out.summary.final_state - problem.exact(problem.duration)).cwiseAbs().maxCoeff();
  out.at_samples = observer.largest;
  return out;
}

template <class Problem>
double error_at_step(const Problem& problem, const std::string& method, double step) {
  SolverOptions options;
  options.method = method;
  options.step = step;
  options.adaptive = false;
  return errors(problem, options, problem.duration).at_end;
}

// log₂ of the ratio of the errors at `step` and at half of it.
template <class Problem>
double observed_order(const Problem& problem, const std::string& method, double step) {
  const double coarse = error_at_step(problem, method, step);
  const double fine = error_at_step(problem, method, step / 2);
  INFO(method << ": " << coarse << " at a step of " << step << ", " << fine << " at half of it");
  CHECK(fine > 3e-15);  // rounding, some tens of 1e-16, counts for little
  return std::log2(coarse / fine);
}

template <class Problem>
SolverOptions at_tolerance(const Problem&, const std::string& method, double rtol) {
  SolverOptions options;
  options.method = method;
  options.rtol = rtol;
  options.atol = 1e-3 * rtol;
  return options;
}

// The error falls with rtol and stays below 100 rtol, or rtol a step: where nothing decays, the
// errors of all steps add up.
template <class Problem>
void check_tolerances(const Problem& problem, const std::string& method, double interval,
                      const std::string& linear_solver = "auto") {
  double last = std::numeric_limits<double>::infinity();
  for (const double rtol : {1e-4, 1e-6, 1e-8}) {
    SolverOptions options = at_tolerance(problem, method, rtol);
    options.linear_solver = linear_solver;
    const Errors found = errors(problem, options, interval);
    INFO(method << " at rtol = " << rtol << ": " << found.summary.steps << " steps");
    const double bound = rtol * std::max(100.0, static_cast<double>(found.summary.steps));
    CHECK(found.at_end <= bound);
    CHECK(found.at_samples <= bound);
    CHECK(found.at_samples < last);
    last = found.at_samples;
  }
}

// Adaptive methods whose error follows the tolerance; that of "exact" is rounding (test_exact.cpp).
bool has_tolerance(const core::Entry<Method>& entry) {
  return entry.make()->control() != Method::Control::fixed && entry.name != "exact";
}

bool has(const std::string& method) { return methods().find(method) != nullptr; }

}  // namespace

TEST_CASE("every method at a fixed step shows its order") {
  // Steps at which the next term of the error no longer counts and rounding doesn't yet.
  struct Case {
    const char* method;
    double driven, linear, nonlinear;
  };
  const std::vector<Case> cases = {
      {"euler", 1. / 64, 1. / 64, 1. / 64},
      {"semi_implicit_euler", 1. / 64, 1. / 64, 1. / 64},
      {"rk4", 1. / 64, 1. / 16, 1. / 16},
      {"adams_bashforth_moulton", 1. / 64, 1. / 64, 1. / 128},
      {"dopri5", 1. / 16, 1. / 16, 1. / 8},
      {"cash_karp54", 1. / 16, 1. / 16, 1. / 16},
      {"fehlberg78", 1. / 2, 1. / 4, 1. / 4},
      {"rosenbrock4", 1. / 16, 1. / 16, 1. / 16},
  };
  // Every method of fixed step and every pair is among them.
  for (const auto& entry : methods().entries())
    if (entry.make()->control() != Method::Control::itself)
      CHECK(std::any_of(cases.begin(), cases.end(),
                        [&](const Case& c) { return entry.name == c.method; }));

  for (const Case& c : cases) {
    const double order = methods().find(c.method)->make()->order();
    LeakySine driven;
    TanhRelaxation nonlinear;
    if (order == 8) {
      // With a leak the terms in h⁹ outweigh those in h⁸ down to rounding.
      driven.leak = 0;
      nonlinear.duration = 1;
    }
    INFO(c.method);
    CHECK(observed_order(driven, c.method, c.driven) == Approx(order).margin(0.2));
    CHECK(observed_order(DampedOscillator(), c.method, c.linear) == Approx(order).margin(0.2));
    CHECK(observed_order(nonlinear, c.method, c.nonlinear) == Approx(order).margin(0.2));
  }
}

TEST_CASE("the error of an adaptive method falls with rtol, at the samples too") {
  for (const auto& entry : methods().entries()) {
    if (!has_tolerance(entry)) continue;
    // Methods without dense output step onto the samples: few of them, or these would set the
    // steps.
    const double interval = entry.make()->has_dense_output() ? 0.03 : 2.5;
    check_tolerances(LeakySine(), entry.name, interval);
    check_tolerances(DampedOscillator(), entry.name, interval);
    check_tolerances(TanhRelaxation(), entry.name, interval);
  }
}

TEST_CASE("an integrator without leak under a sine drive is solved to tolerance by every method") {
  // ẋ = s(t): fehlberg78's own estimate is zero here.
  LeakySine integrator;
  integrator.leak = 0;
  integrator.duration = 20;
  for (const auto& entry : methods().entries()) {
    if (!has_tolerance(entry)) continue;
    check_tolerances(integrator, entry.name, integrator.duration);
  }
}

TEST_CASE("stiff methods follow a slow drive in few steps where τ is short") {
  LeakySine stiff;
  stiff.tau = 1e-4;
  const double rtol = 1e-5;
  const auto steps = [&](const char* method) {
    const Errors found = errors(stiff, at_tolerance(stiff, method, rtol), stiff.duration);
    CHECK(found.at_end <= 100 * rtol);
    return found.summary.steps;
  };
  // An explicit method needs at least duration/(3.3 τ) = 15 000 (dopri5's interval of stability).
  CHECK(steps("dopri5") > 10'000);
  CHECK(steps("rosenbrock4") < 1000);
  if (has("cvode_bdf")) CHECK(steps("cvode_bdf") < 1000);
}

TEST_CASE("cvode_bdf with GMRES is as exact as with the dense Jacobian") {
  if (!has("cvode_bdf")) return;
  check_tolerances(TanhRelaxation(), "cvode_bdf", 0.03, "gmres");
  check_tolerances(DampedOscillator(), "cvode_bdf", 0.03, "gmres");
  check_tolerances(TanhRelaxation(), "cvode_bdf", 0.03, "dense");
}

TEST_CASE("semi_implicit_euler is the loop over nodes with the newest values, bit for bit") {
  // ẋ = −x/2 + y/2, ẏ = −y/2 − x/2 with h = 1/2: in 10 steps every product and sum is a multiple of
  // 2⁻⁴⁰ below 1, exact in 53 bits, so that neither order of summation nor fused products matter.
  DampedOscillator problem{.damping = 0.5, .omega = 0.5, .duration = 5};
  for (const bool reversed : {false, true}) {
    system::Circuit circuit = problem.circuit();
    if (reversed) circuit.update_order = {1, 0};
    const system::OdeSystem system = system::compile(circuit);
    SolverOptions options;
    options.method = "semi_implicit_euler";
    options.step = 0.5;
    options.duration = problem.duration;
    Observer observer;
    const SolveSummary summary = solve::solve(system, system.initial_state(), options, observer);

    double x = 1, y = 0;
    for (int k = 0; k < 10; ++k) {
      if (reversed) y += 0.5 * (-0.5 * y - 0.5 * x);
      x += 0.5 * (-0.5 * x + 0.5 * y);
      if (!reversed) y += 0.5 * (-0.5 * y - 0.5 * x);
    }
    CHECK(summary.final_state(0, 0) == x);
    CHECK(summary.final_state(1, 0) == y);
  }
}

namespace {

// ẋ = −x + 3 d x with d = 0 in trial 0, which decays as e^{−t}, and d = 1 in trial 1, which grows
// as e^{2t}.
system::Circuit decay_beside_growth(double duration) {
  system::Circuit circuit = TanhRelaxation().circuit();
  circuit.nodes[0].leak.setOnes();
  circuit.nodes[0].transfer = core::transfer("identity");
  circuit.nodes[0].initial.setOnes();
  circuit.edges[0].gain = -3;  // times the weight −1
  circuit.edges[0].gate = (MatrixXd(1, 2) << 0, 1).finished();
  circuit.phases[0].duration = duration;
  return circuit;
}

SolverOptions default_options(const core::Entry<Method>& entry) {
  SolverOptions options;
  options.method = entry.name;
  if (entry.make()->control() == Method::Control::fixed) options.step = 1. / 64;
  return options;
}

}  // namespace

TEST_CASE("a trial that diverges leaves the other one exact, whatever the method") {
  const system::OdeSystem system = system::compile(decay_beside_growth(16));
  for (const auto& entry : methods().entries()) {
    INFO(entry.name);
    SolverOptions options = default_options(entry);
    Observer observer;
    const SolveSummary summary = solve::solve(system, system.initial_state(), options, observer);
    CHECK(summary.status == SolveSummary::Status::done);
    CHECK(summary.trials[0].outcome != Outcome::diverged);
    CHECK(summary.trials[1].outcome == Outcome::diverged);  // e^{2t} = 10¹² at t = 13.8
    CHECK(std::isnan(summary.final_state(0, 1)));
    // Euler's error at this step: a relative t h/2 = 1/8. The others': rtol, or h⁴.
    const double relative = methods().find(entry.name)->make()->order() == 1 ? 0.15 : 1e-2;
    CHECK(std::abs(summary.final_state(0, 0) - std::exp(-16.0)) <
          relative * std::exp(-16.0) + 1e-7);
  }
}

TEST_CASE("growth beyond the numbers ends every method with a reason") {
  const system::OdeSystem system = system::compile(decay_beside_growth(500));
  for (const auto& entry : methods().entries()) {
    INFO(entry.name);
    SolverOptions options = default_options(entry);
    options.divergence_limit =
        std::numeric_limits<double>::infinity();  // e^{2t} overflows at t = 355
    Observer observer;
    const SolveSummary summary = solve::solve(system, system.initial_state(), options, observer);
    CAPTURE(summary.reason, summary.trials[1].reason, summary.t_end);
    CHECK((summary.trials[1].outcome == Outcome::diverged ||
           summary.trials[1].outcome == Outcome::failed));
    CHECK_FALSE(summary.trials[1].reason.empty());
  }
}

TEST_CASE("a budget of evaluations ends every method, inner loops too") {
  const system::OdeSystem system = system::compile(DampedOscillator().circuit());
  for (const auto& entry : methods().entries()) {
    if (entry.name == "exact") continue;  // it evaluates once a segment
    INFO(entry.name);
    SolverOptions options = default_options(entry);
    options.max_evaluations = 25;
    Observer observer;
    const SolveSummary summary = solve::solve(system, system.initial_state(), options, observer);
    CHECK(summary.status == SolveSummary::Status::failed);
    CHECK(summary.reason.find("25 evaluations") != std::string::npos);
    // A step of a formula is made whole: at most 13 stages, and one at its end.
    CHECK(summary.evaluations <= 25 + 14);
    CHECK(summary.final_state.allFinite());
  }
}

TEST_CASE("dopri5 takes six evaluations a step: its last stage is the next one's first") {
  const system::OdeSystem system = system::compile(DampedOscillator().circuit());
  SolverOptions options;
  options.method = "dopri5";
  options.adaptive = false;
  options.step = 0.125;
  Observer observer;
  options.duration = 10;
  const SolveSummary summary = solve::solve(system, system.initial_state(), options, observer);
  CHECK(summary.steps == 80);
  CHECK(summary.evaluations == 6 * 80 + 1);
}
