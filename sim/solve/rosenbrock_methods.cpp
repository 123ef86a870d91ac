#include "sim/solve/rosenbrock_methods.hpp"

#include "sim/solve/rosenbrock4.hpp"

namespace settle::solve {
namespace {

/// Rosenbrock4Stepper, one for every trial, with the exact Jacobian and ∂ẋ/∂t. One LU factorisation
/// a trial and step: O(n³).
class Rosenbrock4 final : public Method {
 public:
  Control control() const override { return adaptive_ ? Control::error : Control::fixed; }
  int order() const override { return 4; }  // the embedded solution is of order 3: error ∝ h⁴
  bool has_dense_output() const override { return true; }
  const VectorXd& candidate() const override { return candidate_; }

  void restart(Problem& problem, double t, const VectorXd& x, const VectorXd& dxdt,
               double /*step*/) override {
    adaptive_ = problem.options().adaptive;
    old_t_ = t_ = t;
    old_x_ = x_ = candidate_ = x;
    dxdt_ = dxdt;
    error_.resize(x.size());
    n_ = problem.dimension();
    stage_ = x;
    rates_.resize(n_);
    if (steppers_.empty())
      for (Index trial = 0; trial < problem.trials(); ++trial)
        steppers_.emplace_back(static_cast<std::size_t>(n_));
    stepped_.assign(steppers_.size(), 0);
  }

  Attempt attempt(Problem& problem, double h) override {
    for (Index trial = 0; trial < problem.trials(); ++trial) step_trial(problem, trial, h);
    return {.step = h, .error = adaptive_ ? problem.error_ratio(error_, x_, candidate_) : 0.0};
  }

  void accept(Problem& problem, double t, VectorXd& dxdt) override {
    for (std::size_t k = 0; k < steppers_.size(); ++k)
      if (stepped_[k]) steppers_[k].prepare_dense_output();
    old_t_ = t_;
    old_x_.swap(x_);
    t_ = t;
    x_ = candidate_;
    problem.derivative(t_, x_, dxdt_);
    dxdt = dxdt_;
  }

  void interpolate(double t, VectorXd& x) const override {
    x = x_;
    if (t_ == old_t_) return;
    for (std::size_t k = 0; k < steppers_.size(); ++k) {
      const Index at = static_cast<Index>(k) * n_;
      if (stepped_[k])
        steppers_[k].interpolate(t, old_t_, old_x_.data() + at, t_, x_.data() + at, x.data() + at);
    }
  }

 private:
  void step_trial(Problem& problem, Index trial, double h) {
    const Index at = trial * n_;
    stepped_[static_cast<std::size_t>(trial)] = !problem.has_left(trial);
    if (problem.has_left(trial)) {
      candidate_.segment(at, n_) = x_.segment(at, n_);
      error_.segment(at, n_).setZero();
      return;
    }
    bool first = true;  // the evaluation at the current state, which is known
    const auto derivative = [&](double t, const double* x, double* dxdt) {
      Eigen::Map<VectorXd> out(dxdt, n_);
      if (first) {
        out = dxdt_.segment(at, n_);
      } else {
        stage_.segment(at, n_) = Eigen::Map<const VectorXd>(x, n_);
        problem.derivative_of_trial(t, stage_, trial, rates_);
        out = rates_;
      }
      first = false;
    };
    const auto jacobian = [&](double t, const double*, double* j, double* dfdt) {
      using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
      Eigen::Map<RowMajor>(j, n_, n_) = problem.jacobian(t, x_, trial);
      Eigen::Map<VectorXd>(dfdt, n_) = problem.time_derivative(t, x_, trial);
    };
    steppers_[static_cast<std::size_t>(trial)].step(derivative, jacobian, t_, x_.data() + at, h,
                                                    candidate_.data() + at, error_.data() + at);
  }

  bool adaptive_ = true;
  Index n_ = 0;
  double t_ = 0, old_t_ = 0;
  VectorXd x_, old_x_, dxdt_, candidate_, error_;
  VectorXd stage_;  // the state with one trial's stage in its place
  VectorXd rates_;  // of one trial
  std::vector<Rosenbrock4Stepper> steppers_;
  std::vector<char> stepped_;  // per trial, in the last attempt
};

}  // namespace

std::vector<core::Entry<Method>> rosenbrock_methods() {
  return {{"rosenbrock4",
           "Rosenbrock (RODAS) 4(3) with the exact Jacobian, adaptive, dense output; for small "
           "stiff systems",
           core::make_entry<Method, Rosenbrock4>}};
}

}  // namespace settle::solve
