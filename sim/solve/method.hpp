// What solvers are to the step loop: something that tries one step at a time from a current state.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "sim/solve/column_norms.hpp"
#include "sim/system/ode_system.hpp"

namespace settle::system {
class StructuredSolve;
}

namespace settle::solve {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Thrown from within an evaluation when a budget ran out or the run is interrupted, so that
/// solvers which run their own inner loops end too. Caught by the step loop alone.
struct StopIntegration : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Some trials of a system as solvers see them: one flat state (n · trials, a trial after the other),
/// evaluations counted, trials that have left frozen. Trials are counted from 0 among those that it
/// holds.
class Problem {
 public:
  Problem(const system::OdeSystem& system, const SolverOptions& options,
          const std::vector<Index>& trials);

  const system::OdeSystem& system() const { return system_; }
  const SolverOptions& options() const { return options_; }
  Index dimension() const { return system_.dimension(); }
  Index trials() const { return workspace_.columns(); }
  /// Which trial of the system one of those here is.
  Index trial_of_system(Index trial) const { return workspace_.trial(trial); }
  Index size() const { return dimension() * trials(); }

  /// Begins a segment; evaluations are within it until the next.
  void begin(const system::Segment& segment);
  const system::Segment& segment() const { return workspace_.segment(); }
  system::Workspace& workspace() { return workspace_; }

  /// ẋ of all trials; zero for trials that have left.
  /// @throws StopIntegration  where the budget of evaluations ran out
  void derivative(double t, const VectorXd& x, VectorXd& dxdt);
  /// ẋ of one trial (n), for solvers that treat trials one by one. Counted as 1/trials.
  void derivative_of_trial(double t, const VectorXd& x, Index trial, VectorXd& dxdt);
  /// The rows of one dynamic node of ẋ of all trials (n_node × trials).
  void derivative_of_node(int node, double t, const VectorXd& x, MatrixXd& dxdt_node);
  /// Counts one evaluation that was made node by node.
  void count_evaluation() { count(1); }
  /// J v for all trials' blocks at once (flat, like the state).
  void jacobian_times(double t, const VectorXd& x, const VectorXd& v, VectorXd& jv);
  /// J (n × n) of one trial.
  MatrixXd jacobian(double t, const VectorXd& x, Index trial);
  /// J of one trial into what solves equations with it.
  void linearise(double t, const VectorXd& x, Index trial, system::StructuredSolve& solve);
  /// ∂ẋ/∂t (n) of one trial.
  VectorXd time_derivative(double t, const VectorXd& x, Index trial);

  /// A trial leaves: its state no longer counts and stays where it is.
  void leave(Index trial) { left_[static_cast<std::size_t>(trial)] = 1; }
  bool has_left(Index trial) const { return left_[static_cast<std::size_t>(trial)] != 0; }

  /// largest_over_tolerance() (column_norms.hpp) of all trials that are still there.
  double error_ratio(const VectorXd& error, const VectorXd& x, const VectorXd& x_new) const;

  double evaluations = 0;  ///< of the right-hand side of all trials
  double jacobians = 0;    ///< of all trials

 private:
  void count(double evaluations_more);

  const system::OdeSystem& system_;
  const SolverOptions& options_;
  system::Workspace workspace_;
  std::vector<char> left_;
};

/// What one try of a step came to.
struct Attempt {
  double step = 0;   ///< taken, or tried
  double error = 0;  ///< estimated error over tolerance; 0 from methods that control it themselves
  int rejections = 0;     ///< made inside the method
  std::string failure{};  ///< why the method can't go on; empty if it can
};

/// A one-step formula for a batch of columns, each of which has its own time and step: in units of
/// column c's own step h_c the equation is dx/ds = h_c f(t_c + s h_c, x), and every step is one of
/// length 1. A formula keeps no history.
class Formula {
 public:
  virtual ~Formula() = default;

  /// The rates h_c ẋ_c at (s, x), for all columns at once.
  using Rates = std::function<void(const VectorXd& x, VectorXd& h_dxdt, double s)>;

  virtual int order() const = 0;
  /// Order of the local error estimate's power law, for the step controller (error ∝ h^k).
  virtual int error_exponent() const { return order(); }
  virtual bool has_error() const = 0;
  virtual bool has_dense_output() const { return false; }
  /// Whether step() also gives the rates at its end.
  virtual bool is_first_same_as_last() const { return false; }
  /// Before the steps of a segment. `driven`: a source varies within it.
  virtual void begin(bool /*driven*/) {}

  /// One step from x with rates k = h ẋ there. Writes the new state, the error where it has one, and
  /// where it is first-same-as-last the rates at the new state (in units of the same h).
  virtual void step(const Rates& rates, const VectorXd& x, const VectorXd& k, VectorXd& x_new,
                    VectorXd& k_new, VectorXd& error) = 0;
  /// The state of one column (whose units stand `stride` apart, from `first` on) at s in [0, 1] of the
  /// last step (formulas with dense output).
  virtual void interpolate(double /*s*/, Index /*first*/, Index /*stride*/, VectorXd& /*x*/) const {
  }
  /// An estimate of h |λ| of each column's last step, λ the fastest eigenvalue of its Jacobian that moved
  /// the step, and the value of it above which the formula is unstable; 0 where it knows no such.
  virtual double stiffness_limit() const { return 0; }
  virtual void measure_stiffness(const PanelShape& /*shape*/, double* /*h_lambda*/) const {}
};

/// A solver: a formula, whose steps the step loop chooses for every trial by itself; a method that moves
/// the trials it is given together; or the solution itself. The step loop restarts a method at the
/// beginning of every segment, asks for one step at a time, and alone decides whether an attempt that
/// carries an error estimate is accepted and how long the next one is.
class Method {
 public:
  virtual ~Method() = default;

  enum class Control {
    fixed,   ///< any step is taken as it is
    error,   ///< the attempt carries an error estimate; the loop accepts or rejects
    itself,  ///< the method chooses its steps up to the limit it is given
  };
  virtual Control control() const = 0;
  /// The formula, for a method that is one; the functions below are then not called.
  virtual std::unique_ptr<Formula> formula() const { return nullptr; }
  /// Whether it is no stepper but the solution itself (ClosedForm); the functions below are then not
  /// called.
  virtual bool is_solution() const { return false; }

  /// Order p of the propagated solution.
  virtual int order() const = 0;
  virtual int error_exponent() const { return order(); }
  virtual bool has_dense_output() const { return false; }

  /// Forgets its history and stands at (t, x) with ẋ = dxdt. `step` suggests the first one's length
  /// (0: none).
  virtual void restart(Problem& /*problem*/, double /*t*/, const VectorXd& /*x*/,
                       const VectorXd& /*dxdt*/, double /*step*/) {}
  /// Tries a step of length h (Control::itself: of at most h) from the current state.
  virtual Attempt attempt(Problem& /*problem*/, double /*h*/) { return {}; }
  /// The state that the last attempt arrived at.
  virtual const VectorXd& candidate() const = 0;
  /// The attempt is accepted: its end is the current state, at time t. Writes ẋ evaluated afresh
  /// there.
  virtual void accept(Problem& /*problem*/, double /*t*/, VectorXd& /*dxdt*/) {}
  /// The state at t within the last accepted step (methods with dense output).
  virtual void interpolate(double /*t*/, VectorXd& /*x*/) const {}

  /// In words, which way it went where it has several; "" else.
  virtual std::string how() const { return ""; }

  virtual void fields(core::Fields&) {}  // all options stand in [solver]
};

/// Every method, in the order in which `settle list` shows them; "auto" is none of them.
const core::Registry<Method>& methods();

/// What a run is integrated with, and why.
struct Choice {
  std::string method;  ///< a name in methods()
  std::string reason;  ///< why "auto" did not take "exact"; "" else
  /// What a trial goes over to whose steps are limited by stability, not by accuracy; "" for nothing.
  std::string when_stiff{};
};

/// The method that was asked for. "auto" is "exact" for circuits that are linear between breakpoints in
/// every phase (whatever carries what moves is the identity, every source has a closed form) and whose
/// matrix is not too large, up to 400 moving states, or 1000 units in the matrix that all blocks of a
/// structured one share; else "dopri5", which hands a trial over to "rosenbrock4" for the rest of a segment
/// in which it finds stiffness; "dopri5" alone at a fixed step.
/// @throws InputError  where that is "dopri5" and settled.tolerance is out of its reach, below rtol
Choice choose_method(const system::OdeSystem& system, const SolverOptions& options);
/// Its name.
std::string chosen_method(const system::OdeSystem& system, const SolverOptions& options);

}  // namespace settle::solve
