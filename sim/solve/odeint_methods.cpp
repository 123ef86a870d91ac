#include "sim/solve/odeint_methods.hpp"

#include <algorithm>
#include <boost/numeric/odeint/stepper/adams_bashforth_moulton.hpp>
#include <boost/numeric/odeint/stepper/bulirsch_stoer_dense_out.hpp>
#include <boost/numeric/odeint/stepper/euler.hpp>
#include <boost/numeric/odeint/stepper/runge_kutta4.hpp>
#include <boost/numeric/odeint/stepper/runge_kutta_cash_karp54.hpp>
#include <boost/numeric/odeint/stepper/runge_kutta_dopri5.hpp>
#include <boost/numeric/odeint/stepper/runge_kutta_fehlberg78.hpp>
#include <cmath>
#include <limits>
#include <optional>
// Odeint's own headers come first, Eigen's adapter last.
#include <boost/numeric/odeint/external/eigen/eigen.hpp>

namespace settle::solve {
namespace {

namespace odeint = boost::numeric::odeint;

// Named in every stepper: left to itself, Odeint takes a VectorXd for a range.
using Algebra = odeint::vector_space_algebra;
using Euler = odeint::euler<VectorXd, double, VectorXd, double, Algebra>;
using RungeKutta4 = odeint::runge_kutta4<VectorXd, double, VectorXd, double, Algebra>;
using CashKarp54 = odeint::runge_kutta_cash_karp54<VectorXd, double, VectorXd, double, Algebra>;
using Fehlberg78 = odeint::runge_kutta_fehlberg78<VectorXd, double, VectorXd, double, Algebra>;
using DormandPrince5 = odeint::runge_kutta_dopri5<VectorXd, double, VectorXd, double, Algebra>;
using AdamsBashforthMoulton4 =
    odeint::adams_bashforth_moulton<4, VectorXd, double, VectorXd, double, Algebra>;
using BulirschStoerDense =
    odeint::bulirsch_stoer_dense_out<VectorXd, double, VectorXd, double, Algebra>;

// A current state (t, x, ẋ) and a candidate for the next. accept() copies, so that candidate()
// stays the accepted state until the next attempt.
class OneStepMethod : public Method {
 public:
  Control control() const override { return Control::fixed; }
  const VectorXd& candidate() const override { return candidate_; }

  void restart(Problem&, double t, const VectorXd& x, const VectorXd& dxdt,
               double /*step*/) override {
    t_ = t;
    x_ = x;
    dxdt_ = dxdt;
    candidate_ = x;
  }

  void accept(Problem& problem, double t, VectorXd& dxdt) override {
    t_ = t;
    x_ = candidate_;
    problem.derivative(t_, x_, dxdt_);
    dxdt = dxdt_;
  }

 protected:
  double t_ = 0;
  VectorXd x_, dxdt_, candidate_;
};

/// A method that is nothing but a formula.
template <class F>
class FormulaMethod final : public Method {
 public:
  Control control() const override { return F{}.has_error() ? Control::error : Control::fixed; }
  std::unique_ptr<Formula> formula() const override { return std::make_unique<F>(); }
  int order() const override { return F{}.order(); }
  bool has_dense_output() const override { return F{}.has_dense_output(); }
  const VectorXd& candidate() const override { return none_; }

 private:
  VectorXd none_;
};

// One step of length 1 by one of Odeint's steppers, whose scratch has the size of its first state.
template <class Stepper>
class SizedStepper {
 public:
  Stepper& of_size(Index size) {
    if (size != size_) stepper_ = Stepper();
    size_ = size;
    return stepper_;
  }

 private:
  Stepper stepper_;
  Index size_ = -1;
};

/// A formula of fixed step.
template <class Stepper, int Order>
class FixedFormula final : public Formula {
 public:
  int order() const override { return Order; }
  bool has_error() const override { return false; }
  void step(const Rates& rates, const VectorXd& x, const VectorXd& k, VectorXd& x_new, VectorXd&,
            VectorXd&) override {
    stepper_.of_size(x.size()).do_step(std::cref(rates), x, k, 0.0, x_new, 1.0);
  }

 private:
  SizedStepper<Stepper> stepper_;
};

/// x_i ← x_i + h ẋ_i(t, x) for one dynamic node i after another, each with the newest values of the
/// others (Gauss–Seidel Euler), in the circuit's update order.
///
/// Source: the fixed-step scheme of the dynamic-inversion paper's simulations.
class SemiImplicitEuler final : public OneStepMethod {
 public:
  int order() const override { return 1; }

  void restart(Problem& problem, double t, const VectorXd& x, const VectorXd& dxdt,
               double step) override {
    OneStepMethod::restart(problem, t, x, dxdt, step);
    const system::OdeSystem& system = problem.system();
    order_ = system.circuit().update_order;
    if (order_.empty()) order_ = system.dynamic_nodes();
    std::erase_if(order_, [&](int node) { return system.offset(node) < 0; });
    rates_.clear();
    for (int node : order_)
      rates_.emplace_back(system.circuit().nodes[static_cast<std::size_t>(node)].size,
                          problem.trials());
  }

  Attempt attempt(Problem& problem, double h) override {
    candidate_ = x_;
    Eigen::Map<MatrixXd> x(candidate_.data(), problem.dimension(), problem.trials());
    for (std::size_t k = 0; k < order_.size(); ++k) {
      MatrixXd& rates = rates_[k];
      problem.derivative_of_node(order_[k], t_, candidate_, rates);
      const Index first = problem.system().offset(order_[k]);
      for (Index trial = 0; trial < problem.trials(); ++trial)
        if (!problem.has_left(trial))
          x.col(trial).segment(first, rates.rows()) += h * rates.col(trial);
    }
    problem.count_evaluation();
    return {.step = h};
  }

 private:
  std::vector<int> order_;
  std::vector<MatrixXd> rates_;
};

/// Adams–Bashforth predictor and Adams–Moulton corrector of order 4, in PECE form:
///
///     x* = x_n + h Σ_j β*_j f_{n−j},   x_{n+1} = x_n + h (β_0 f(t_{n+1}, x*) + Σ_j β_{j+1}
///     f_{n−j})
///
/// The first three steps are those of rk4, whose local error h⁵ keeps the order. A change of h
/// begins a new history.
///
/// Source: Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I, section III.1.
class AdamsMethod final : public OneStepMethod {
 public:
  int order() const override { return 4; }

  void restart(Problem& problem, double t, const VectorXd& x, const VectorXd& dxdt,
               double step) override {
    OneStepMethod::restart(problem, t, x, dxdt, step);
    stepper_.reset();
    h_ = 0;
  }

  Attempt attempt(Problem& problem, double h) override {
    // Steps that differ by the rounding of t alone are of one length.
    if (std::abs(h - h_) > 1e-9 * std::abs(h)) {
      stepper_.reset();
      h_ = h;
    }
    // The stepper begins with ẋ at the current state, which is known.
    bool first = true;
    const auto rates = [&](const VectorXd& x, VectorXd& dxdt, double t) {
      if (first)
        dxdt = dxdt_;
      else
        problem.derivative(t, x, dxdt);
      first = false;
    };
    stepper_.do_step(std::cref(rates), x_, t_, candidate_, h);
    return {.step = h};
  }

 private:
  AdamsBashforthMoulton4 stepper_;
  double h_ = 0;
};

/// An embedded pair: the solution of higher order is propagated, its distance to the lower one is
/// the error.
template <class Stepper, int Order>
class ErrorPair : public Formula {
 public:
  int order() const override { return Order; }
  bool has_error() const override { return true; }
  void step(const Rates& rates, const VectorXd& x, const VectorXd& k, VectorXd& x_new, VectorXd&,
            VectorXd& error) override {
    stepper_.of_size(x.size()).do_step(std::cref(rates), x, k, 0.0, x_new, 1.0, error);
  }

 private:
  SizedStepper<Stepper> stepper_;
};

/// Fehlberg 8(7). Its estimate 41/840 h (k₁ + k₁₁ − k₁₂ − k₁₃) compares ẋ at the same two times,
/// and so is blind to what depends on time alone: for ẋ = s(t) it is zero, and the step would grow
/// past every limit. Where a drive varies between its breakpoints, the error is therefore at least
/// that of the quadrature
///
///     41/840 h |Σ_i (−1)^i C(6, i) f(t + i h/6, x)|,   i = 0 … 6
///
/// on the nodes of the method's own weights (Newton–Cotes), for six evaluations more.
///
/// Source: Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I, section II.5.
class FehlbergFormula final : public ErrorPair<Fehlberg78, 8> {
 public:
  void begin(bool driven) override { driven_ = driven; }
  void step(const Rates& rates, const VectorXd& x, const VectorXd& k, VectorXd& x_new,
            VectorXd& k_new, VectorXd& error) override {
    ErrorPair::step(rates, x, k, x_new, k_new, error);
    if (!driven_) return;
    constexpr double binomials[] = {1, -6, 15, -20, 15, -6, 1};
    quadrature_ = k;
    rates_.resize(x.size());
    for (int i = 1; i <= 6; ++i) {
      rates(x, rates_, i / 6.0);
      quadrature_ += binomials[i] * rates_;
    }
    error = error.cwiseAbs().cwiseMax(41.0 / 840.0 * quadrature_.cwiseAbs());
  }

 private:
  bool driven_ = false;
  VectorXd rates_, quadrature_;
};

/// Dormand–Prince 5(4). Its last stage is ẋ at the new state (FSAL), its dense output is of
/// order 4.
///
/// Source: Hairer, Nørsett, Wanner, Solving Ordinary Differential Equations I, section II.6 (its code
/// DOPRI5 for the dense output).
class Dopri5 final : public Formula {
 public:
  int order() const override { return 5; }
  bool has_error() const override { return true; }
  bool has_dense_output() const override { return true; }
  bool is_first_same_as_last() const override { return true; }

  void step(const Rates& rates, const VectorXd& x, const VectorXd& k, VectorXd& x_new,
            VectorXd& k_new, VectorXd& error) override {
    // Odeint keeps the stages to itself; they are where it has them written.
    stages_ = {&k};
    states_ = {&x};
    const auto watched = [&](const VectorXd& at, VectorXd& h_dxdt, double s) {
      rates(at, h_dxdt, s);
      stages_.push_back(&h_dxdt);
      states_.push_back(&at);
    };
    stepper_.of_size(x.size()).do_step(std::cref(watched), x, k, 0.0, x_new, k_new, 1.0, error);
    x_ = &x;
    x_new_ = &x_new;
  }

  /// From the last two stages, which are both at the step's end: ‖k₇ − k₆‖ / ‖x₇ − x₆‖ of the states that
  /// they are evaluated at.
  ///
  /// Source: Hairer & Wanner, Solving Ordinary Differential Equations II, IV.2 (its code DOPRI5).
  double stiffness_limit() const override { return 2.0; }
  void measure_stiffness(const PanelShape& shape, double* h_lambda) const override {
    solve::measure_stiffness(shape, states_[6]->data(), stages_[6]->data(), states_[5]->data(),
                             stages_[5]->data(), h_lambda);
  }

  void interpolate(double s, Index first, Index stride, VectorXd& x) const override {
    const auto column = [&](const VectorXd& all) {
      return Eigen::Map<const VectorXd, 0, Eigen::InnerStride<>>(all.data() + first, x.size(),
                                                                 Eigen::InnerStride<>(stride));
    };
    const auto k = [&](std::size_t i) { return column(*stages_[i - 1]); };
    const auto difference = column(*x_new_) - column(*x_);
    const auto bend = k(1) - difference;
    const double r = 1 - s;
    x = column(*x_) +
        s * (difference + r * (bend + s * (difference - k(7) - bend +
                                           r * (-12715105075.0 / 11282082432.0 * k(1) +
                                                87487479700.0 / 32700410799.0 * k(3) -
                                                10690763975.0 / 1880347072.0 * k(4) +
                                                701980252875.0 / 199316789632.0 * k(5) -
                                                1453857185.0 / 822651844.0 * k(6) +
                                                69997945.0 / 29380423.0 * k(7)))));
  }

 private:
  SizedStepper<DormandPrince5> stepper_;
  std::vector<const VectorXd*> stages_, states_;  // the stages' rates, and where they are taken
  const VectorXd* x_ = nullptr;
  const VectorXd* x_new_ = nullptr;
};

// Odeint's extrapolation method with its longest step within reach.
class LimitedBulirschStoer : public BulirschStoerDense {
 public:
  // Tolerance atol + rtol |x|, without Odeint's share of h |ẋ|; the interpolant is controlled too.
  LimitedBulirschStoer(double atol, double rtol)
      : BulirschStoerDense(atol, rtol, /*factor_x=*/1.0, /*factor_dxdt=*/0.0, /*max_dt=*/0.0,
                           /*control_interpolation=*/true) {}
  void limit(double h) { m_max_dt = h; }
};

/// Extrapolation of the modified midpoint rule with step and order chosen together, and dense
/// output.
///
/// Source: Press et al., Numerical Recipes (3rd ed.), section 17.3; Hairer, Nørsett, Wanner I,
/// section II.9.
class BulirschStoer final : public Method {
 public:
  Control control() const override { return Control::itself; }
  int order() const override { return 8; }  // varies from step to step
  bool has_dense_output() const override { return true; }
  const VectorXd& candidate() const override { return candidate_; }

  void restart(Problem& problem, double t, const VectorXd& x, const VectorXd& dxdt,
               double step) override {
    const SolverOptions& options = problem.options();
    if (!stepper_) stepper_.emplace(options.atol, options.rtol);
    t_ = t;
    dxdt_ = dxdt;
    candidate_ = x;
    first_step_ = step;
    pending_ = true;
  }

  Attempt attempt(Problem& problem, double h) override {
    double limit = std::min(h, problem.options().max_step.value_or(h));
    const double smallest =
        16 * std::numeric_limits<double>::epsilon() * std::max(std::abs(t_), 1e-6 * h);
    if (pending_) {
      stepper_->initialize(candidate_, t_, first_step_ > 0 ? std::min(first_step_, limit) : limit);
      pending_ = false;
      known_ = true;
    }
    Attempt attempt;
    bool fallen_back = false;
    for (;;) {
      // The first evaluation after a restart is that of ẋ at the current state, which is known. A
      // change of the step between two others is a rejection.
      double tried = 0;
      const VectorXd* latest = nullptr;
      const auto rates = [&](const VectorXd& x, VectorXd& dxdt, double t) {
        if (known_) {
          dxdt = dxdt_;
          known_ = false;
          return;
        }
        const double step = stepper_->current_time_step();
        if (tried != 0 && step != tried) ++attempt.rejections;
        tried = step;
        problem.derivative(t, x, dxdt);
        if (!dxdt.allFinite()) throw NotFinite{};
        latest = &dxdt;
      };
      try {
        stepper_->limit(limit);
        stepper_->do_step(std::cref(rates));
        attempt.step = tried;
        candidate_ = stepper_->current_state();
        dxdt_ = *latest;  // the last evaluation was at the state arrived at
        return attempt;
      } catch (const NotFinite&) {
        // Odeint would take NaN for a success, or try the same step again and again.
        ++attempt.rejections;
        limit = (tried != 0 ? std::min(tried, limit) : limit) / 4;
        attempt.step = limit;
        if (!(limit > smallest)) {
          attempt.failure =
              "bulirsch_stoer meets values that are not finite however small the step";
          return attempt;
        }
        stepper_->initialize(candidate_, t_, limit);
        known_ = true;
      } catch (const odeint::step_adjustment_error&) {
        // Hundreds of rejections in a row; once more with a step of a quarter.
        attempt.step = tried;
        if (fallen_back || !(tried / 4 > smallest)) {
          attempt.failure = "bulirsch_stoer finds no step that meets the tolerance";
          return attempt;
        }
        fallen_back = true;
        limit = tried / 4;
        stepper_->initialize(candidate_, t_, limit);
        known_ = true;
      }
    }
  }

  void accept(Problem&, double t, VectorXd& dxdt) override {
    t_ = t;
    dxdt = dxdt_;
  }

  void interpolate(double t, VectorXd& x) const override {
    x = candidate_;  // Odeint copies into what has its size already
    if (!pending_) stepper_->calc_state(t, x);
  }

 private:
  struct NotFinite {};

  std::optional<LimitedBulirschStoer> stepper_;
  double t_ = 0;
  double first_step_ = 0;
  bool pending_ = true;  // restarted; the stepper doesn't know yet
  bool known_ = false;   // the next evaluation asks for dxdt_
  VectorXd dxdt_, candidate_;
};

}  // namespace

std::vector<core::Entry<Method>> odeint_methods() {
  using core::make_entry;
  return {
      {"euler", "explicit Euler, order 1, fixed step; to reproduce simple simulations",
       make_entry<Method, FormulaMethod<FixedFormula<Euler, 1>>>},
      {"semi_implicit_euler",
       "Euler, order 1, fixed step, one node after another with the newest values (update_order); "
       "the "
       "paper's own scheme",
       make_entry<Method, SemiImplicitEuler>},
      {"rk4", "classical Runge-Kutta, order 4, fixed step",
       make_entry<Method, FormulaMethod<FixedFormula<RungeKutta4, 4>>>},
      {"adams_bashforth_moulton",
       "predictor-corrector, order 4, fixed step; two evaluations a step, for smooth costly "
       "systems",
       make_entry<Method, AdamsMethod>},
      {"dopri5",
       "Dormand-Prince 5(4), adaptive, dense output; the default where a circuit isn't linear, for "
       "systems that aren't stiff",
       make_entry<Method, FormulaMethod<Dopri5>>},
      {"cash_karp54", "Cash-Karp 5(4), adaptive; for systems that aren't stiff",
       make_entry<Method, FormulaMethod<ErrorPair<CashKarp54, 5>>>},
      {"fehlberg78", "Fehlberg 8(7), adaptive; for tight tolerances",
       make_entry<Method, FormulaMethod<FehlbergFormula>>},
      {"bulirsch_stoer",
       "extrapolation of varying order, adaptive, dense output; for smooth systems and very tight "
       "tolerances",
       make_entry<Method, BulirschStoer>},
  };
}

}  // namespace settle::solve
