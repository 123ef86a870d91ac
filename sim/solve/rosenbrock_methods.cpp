#include "sim/solve/rosenbrock_methods.hpp"

#include <limits>

#include "sim/system/structured_solve.hpp"

namespace settle::solve {
namespace {

constexpr int stages = 6;
constexpr double gamma = 0.25;
/// Times of the stages.
constexpr double c[stages] = {0, 0.75, 0.321448134013046, 0.519745732277726, 1, 1};
/// Weights of h ∂f/∂t.
constexpr double d[stages] = {0.25, -0.5, -0.189532918363016, 0.085612108792769, 0, 0};
/// Weights of the earlier stages' g in a stage's state.
constexpr double a[stages][stages - 1] = {
    {},
    {3},
    {0.906377755268814, -0.189707390391685},
    {3.758617027739064, 1.161741776019525, -0.849258085312803},
    {7.089566927282776, 4.573591406461604, -8.423496976860259, -0.959280113459775},
    {7.089566927282776, 4.573591406461604, -8.423496976860259, -0.959280113459775, 1}};
/// Weights of the earlier stages' g/h on the right-hand side.
constexpr double b[stages][stages - 1] = {
    {},
    {-12},
    {-6.354581592719008, 0.338972550544623},
    {-8.575016317114033, -7.606483992117508, 12.22499765012482},
    {-5.888975457523102, -8.157396617841821, 24.805546872612922, 12.790401512796979},
    {-4.408651676063871, -6.692003137674639, 24.625568527593117, 16.627521966636085,
     -5.714285714285718}};
/// Weights of the g in the dense output.
constexpr double dense[2][stages - 1] = {
    {-5.323528268423303, -10.042123754867493, 17.175254928256965, -5.079931171878093,
     -0.016185991706112},
    {6.984505741529879, 6.914061169603662, -0.849178943070653, 18.104410789349338,
     -3.516963011559032}};

/// RODAS4P2, of order 4(3): a linearly implicit (Rosenbrock) method of six stages, L-stable, stiffly
/// accurate, and such that a stiff equation under a drive keeps its order,
///
///     (I/(γh) − J) g_i = f(t + c_i h, x + Σ_j a_ij g_j) + Σ_j b_ij g_j / h + h d_i ∂f/∂t,   i = 1 … 6
///
/// with γ = 1/4, the new state x + Σ_j a_6j g_j + g_6 and the error estimate g_6. With s = (t − t_old)/h
/// its dense output, of order 3, is
///
///     x(t) = (1 − s) x_old + s (x_new + (1 − s) (Σ_j p_j g_j + s Σ_j q_j g_j))
///
/// J is exact, taken once an accepted step, and the six equations are solved through the circuit's
/// structure (system::StructuredSolve).
///
/// Source: Steinebach, Improvement of Rosenbrock–Wanner method RODASP, Progress in Differential-Algebraic
/// Equations II (2020); Hairer & Wanner, Solving Ordinary Differential Equations II, section IV.7.
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
    old_x_ = x_ = candidate_ = stage_ = x;
    dxdt_ = dxdt;
    error_.setZero(x.size());
    n_ = problem.dimension();
    driven_ = problem.system().circuit().is_driven();
    if (solves_.empty())
      for (Index trial = 0; trial < problem.trials(); ++trial)
        solves_.emplace_back(problem.system());
    for (VectorXd& g : g_) g.setZero(x.size());
    slope_.setZero(x.size());
    for (VectorXd& term : dense_) term.setZero(x.size());
    knows_jacobian_ = false;
  }

  Attempt attempt(Problem& problem, double h) override {
    for (Index trial = 0; trial < problem.trials(); ++trial)
      if (!problem.has_left(trial)) step_trial(problem, trial, h);
    knows_jacobian_ = true;
    return {.step = h, .error = adaptive_ ? problem.error_ratio(error_, x_, candidate_) : 0.0};
  }

  void accept(Problem& problem, double t, VectorXd& dxdt) override {
    for (int term = 0; term < 2; ++term) {
      dense_[term] = dense[term][0] * g_[0];
      for (int j = 1; j < stages - 1; ++j) dense_[term] += dense[term][j] * g_[j];
    }
    old_t_ = t_;
    old_x_.swap(x_);
    t_ = t;
    x_ = candidate_;
    knows_jacobian_ = false;
    problem.derivative(t_, x_, dxdt_);
    dxdt = dxdt_;
  }

  void interpolate(double t, VectorXd& x) const override {
    if (t_ == old_t_) {
      x = x_;
      return;
    }
    const double s = (t - old_t_) / (t_ - old_t_);
    x = (1 - s) * old_x_ + s * (x_ + (1 - s) * (dense_[0] + s * dense_[1]));
  }

 private:
  void step_trial(Problem& problem, Index trial, double h) {
    const auto own = [&](VectorXd& all) { return all.segment(trial * n_, n_); };
    system::StructuredSolve& solve = solves_[static_cast<std::size_t>(trial)];
    if (!knows_jacobian_) {
      problem.linearise(t_, x_, trial, solve);
      if (driven_) own(slope_) = problem.time_derivative(t_, x_, trial);
    }
    if (!solve.factorise(1 / (gamma * h))) {
      own(error_).setConstant(std::numeric_limits<double>::quiet_NaN());
      return;
    }
    auto state = own(stage_);
    for (int i = 0; i < stages; ++i) {
      auto g = own(g_[i]);
      if (i == 0) {
        g = own(dxdt_);
      } else {
        state = own(x_);
        for (int j = 0; j < i; ++j) state += a[i][j] * own(g_[j]);
        problem.derivative_of_trial(t_ + c[i] * h, stage_, trial, rates_);
        g = rates_;
      }
      for (int j = 0; j < i; ++j) g += b[i][j] / h * own(g_[j]);
      if (driven_ && d[i] != 0) g += h * d[i] * own(slope_);
      solve.solve(g);
    }
    own(error_) = own(g_[stages - 1]);
    own(candidate_) = state + own(error_);
  }

  bool adaptive_ = true, driven_ = false, knows_jacobian_ = false;
  Index n_ = 0;
  double t_ = 0, old_t_ = 0;
  VectorXd x_, old_x_, dxdt_, candidate_, error_;
  VectorXd stage_;  // the state with one trial's stage in its place
  VectorXd rates_;  // of one trial
  VectorXd slope_;  // ∂f/∂t
  VectorXd g_[stages], dense_[2];
  std::vector<system::StructuredSolve> solves_;  // per trial
};

}  // namespace

std::vector<core::Entry<Method>> rosenbrock_methods() {
  return {{"rosenbrock4",
           "Rosenbrock (RODAS4P2) 4(3) with the exact Jacobian, adaptive, dense output; for stiff "
           "circuits, of wide populations too where what joins them is narrow",
           core::make_entry<Method, Rosenbrock4>}};
}

}  // namespace settle::solve
