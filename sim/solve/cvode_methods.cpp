#include "sim/solve/cvode_methods.hpp"

#ifdef SETTLE_HAS_SUNDIALS

#include <cvode/cvode.h>
#include <nvector/nvector_serial.h>
#include <sundials/sundials_context.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace settle::solve {
namespace {

// What a failure of CVode() means to someone who set up a simulation.
std::string meaning(int flag) {
  switch (flag) {
    case CV_TOO_MUCH_ACC:
      return "the tolerances are tighter than the numbers' precision";
    case CV_ERR_FAILURE:
      return "the error test fails however small the step";
    case CV_CONV_FAILURE:
      return "the implicit equation of a step does not converge however small the step";
    case CV_LINIT_FAIL:
    case CV_LSETUP_FAIL:
    case CV_LSOLVE_FAIL:
      return "the linear solver failed";
    case CV_RHSFUNC_FAIL:
    case CV_FIRST_RHSFUNC_ERR:
    case CV_REPTD_RHSFUNC_ERR:
    case CV_UNREC_RHSFUNC_ERR:
      return "the right-hand side is not finite however small the step";
    case CV_TOO_CLOSE:
      return "the stretch that is left is shorter than the precision of time";
    default:
      return "unexpected";
  }
}

// Releases what SUNDIALS allocates.
struct ContextDeleter {
  void operator()(SUNContext context) const { SUNContext_Free(&context); }
};
struct VectorDeleter {
  void operator()(N_Vector v) const { N_VDestroy(v); }
};
struct MatrixDeleter {
  void operator()(SUNMatrix m) const { SUNMatDestroy(m); }
};
struct LinearDeleter {
  void operator()(SUNLinearSolver s) const { SUNLinSolFree(s); }
};
struct NonlinearDeleter {
  void operator()(SUNNonlinearSolver s) const { SUNNonlinSolFree(s); }
};
struct MemoryDeleter {
  void operator()(void* memory) const { CVodeFree(&memory); }
};
template <class Handle, class Deleter>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Deleter>;

std::string flag_name(int flag) {
  char* text = CVodeGetReturnFlagName(flag);  // from malloc()
  std::string name = text ? text : std::to_string(flag);
  std::free(text);
  return name;
}
void check(int flag, const char* what) {
  if (flag < 0) throw std::runtime_error(std::string(what) + ": " + flag_name(flag));
}
template <class Pointer>
Pointer check(Pointer pointer, const char* what) {
  if (!pointer) throw std::runtime_error(std::string(what) + " failed");
  return pointer;
}

/// CVODE's variable-step, variable-order multistep methods
///
///     Σ_{i=0}^{K₁} α_{n,i} x_{n−i} + h_n Σ_{i=0}^{K₂} β_{n,i} ẋ_{n−i} = 0
///
/// with Adams–Moulton formulas of order 1 … 12, whose equation is solved by fixed-point iteration,
/// or backward differentiation formulas (BDF) of order 1 … 5 by Newton's iteration: dense with the
/// exact Jacobian, block after block for the trials, up to solver.linear_solver_limit states, else
/// by GMRES with the exact product.
///
/// CVODE measures errors e as √(1/N Σ (w_i e_i)²). The weights are w_i = √N / (atol + rtol |x_i|),
/// so that this is never less than the largest of |e_i| / (atol + rtol |x_i|): no unit's error is
/// diluted by the others'.
///
/// Source: Hindmarsh et al., ACM Trans. Math. Softw. 31 (2005), and the CVODE user guide, v6.4.
class Cvode : public Method {
 public:
  explicit Cvode(int formula) : formula_(formula) {}

  Control control() const override { return Control::itself; }
  int order() const override { return formula_ == CV_ADAMS ? 12 : 5; }  // at most
  bool has_dense_output() const override { return true; }
  const VectorXd& candidate() const override { return candidate_; }

  void restart(Problem& problem, double t, const VectorXd& x, const VectorXd& dxdt,
               double step) override {
    problem_ = &problem;
    const bool fresh = !memory_ || candidate_.size() != x.size();
    if (fresh) release();
    old_t_ = t_ = t;
    candidate_ = x;
    start_ = x;
    dxdt_ = dxdt;
    known_ = true;
    error_failures_ = solve_failures_ = 0;
    stalled_ = 0;
    if (fresh)
      create(t);
    else
      check(CVodeReInit(memory_.get(), t, state_.get()), "CVodeReInit");
    check(CVodeSetInitStep(memory_.get(), step), "CVodeSetInitStep");
  }

  Attempt attempt(Problem& problem, double h) override {
    problem_ = &problem;
    Attempt attempt;
    attempt.step = h;
    double reached = t_;
    int flag = CVodeSetStopTime(memory_.get(), t_ + h);
    if (flag == CV_ILL_INPUT) flag = CV_TOO_CLOSE;
    if (flag >= 0) flag = CVode(memory_.get(), t_ + h, state_.get(), &reached, CV_ONE_STEP);
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));

    attempt.rejections = new_rejections();
    if (flag < 0) {
      attempt.failure = "CVODE: " + meaning(flag) + " (" + flag_name(flag) + ")";
      return attempt;
    }
    if (flag == CV_TSTOP_RETURN) return attempt;
    attempt.step = reached - t_;
    // CVODE itself takes steps that leave t where it is, for ever.
    const bool stalls = attempt.step <= 16 * std::numeric_limits<double>::epsilon() * std::abs(t_);
    stalled_ = stalls ? stalled_ + 1 : 0;
    if (stalled_ > 100)
      attempt.failure = "CVODE: the step fell below what the precision of time allows";
    return attempt;
  }

  void accept(Problem& problem, double t, VectorXd& dxdt) override {
    old_t_ = t_;
    t_ = t;
    problem.derivative(t, candidate_, dxdt);
  }

  void interpolate(double t, VectorXd& x) const override {
    x = candidate_;
    if (t_ == old_t_) return;
    N_VSetArrayPointer(x.data(), output_.get());
    check(CVodeGetDky(memory_.get(), std::clamp(t, old_t_, t_), 0, output_.get()), "CVodeGetDky");
  }

 private:
  void release() {
    memory_.reset();
    linear_.reset();
    nonlinear_.reset();
    matrix_.reset();
    output_.reset();
    state_.reset();
    context_.reset();
  }

  void create(double t) {
    const Index size = candidate_.size();
    SUNContext context = nullptr;
    check(SUNContext_Create(nullptr, &context), "SUNContext_Create");
    context_.reset(context);
    state_.reset(check(N_VMake_Serial(size, candidate_.data(), context), "N_VMake_Serial"));
    output_.reset(check(N_VMake_Serial(size, candidate_.data(), context), "N_VMake_Serial"));
    memory_.reset(check(CVodeCreate(formula_, context), "CVodeCreate"));
    void* memory = memory_.get();
    check(CVodeSetErrHandlerFn(memory, silence, nullptr), "CVodeSetErrHandlerFn");
    check(CVodeInit(memory, rates, t, state_.get()), "CVodeInit");
    check(CVodeSetUserData(memory, this), "CVodeSetUserData");
    check(CVodeWFtolerances(memory, weights), "CVodeWFtolerances");
    check(CVodeSetMaxNumSteps(memory, -1), "CVodeSetMaxNumSteps");
    check(CVodeSetMaxHnilWarns(memory, -1), "CVodeSetMaxHnilWarns");
    check(CVodeSetMaxStep(memory, problem_->options().max_step.value_or(0)), "CVodeSetMaxStep");
    // Each failure for values that aren't finite quarters the step.
    check(CVodeSetMaxConvFails(memory, 20), "CVodeSetMaxConvFails");
    if (formula_ == CV_ADAMS)
      set_fixed_point(context);
    else if (is_dense(size))
      set_dense(context, size);
    else
      set_gmres(context, size);
  }

  bool is_dense(Index size) const {
    const SolverOptions& options = problem_->options();
    return options.linear_solver == "dense" ||
           (options.linear_solver == "auto" && size <= options.linear_solver_limit);
  }

  void set_fixed_point(SUNContext context) {
    nonlinear_.reset(
        check(SUNNonlinSol_FixedPoint(state_.get(), 0, context), "SUNNonlinSol_FixedPoint"));
    check(CVodeSetNonlinearSolver(memory_.get(), nonlinear_.get()), "CVodeSetNonlinearSolver");
  }

  void set_dense(SUNContext context, Index size) {
    matrix_.reset(check(SUNDenseMatrix(size, size, context), "SUNDenseMatrix"));
    linear_.reset(check(SUNLinSol_Dense(state_.get(), matrix_.get(), context), "SUNLinSol_Dense"));
    check(CVodeSetLinearSolver(memory_.get(), linear_.get(), matrix_.get()),
          "CVodeSetLinearSolver");
    check(CVodeSetJacFn(memory_.get(), jacobian), "CVodeSetJacFn");
  }

  void set_gmres(SUNContext context, Index size) {
    // Enough directions for the few slow and fast modes of a circuit; five, the default, are not.
    const int directions = static_cast<int>(std::min<Index>(size, 40));
    linear_.reset(check(SUNLinSol_SPGMR(state_.get(), SUN_PREC_NONE, directions, context),
                        "SUNLinSol_SPGMR"));
    check(CVodeSetLinearSolver(memory_.get(), linear_.get(), nullptr), "CVodeSetLinearSolver");
    check(CVodeSetJacTimes(memory_.get(), nullptr, jacobian_times), "CVodeSetJacTimes");
    argument_.resize(size);
    direction_.resize(size);
  }

  // Steps that were tried and not taken since the last call.
  int new_rejections() {
    long error_failures = 0;
    long solve_failures = 0;
    CVodeGetNumErrTestFails(memory_.get(), &error_failures);
    CVodeGetNumStepSolveFails(memory_.get(), &solve_failures);
    const long more = error_failures - error_failures_ + solve_failures - solve_failures_;
    error_failures_ = error_failures;
    solve_failures_ = solve_failures;
    return static_cast<int>(more);
  }

  // Runs what CVODE calls back. No exception crosses its C frames: it is kept for attempt() to
  // throw.
  template <class Body>
  static int guarded(void* self, const Body& body) {
    auto& method = *static_cast<Cvode*>(self);
    if (method.thrown_) return -1;  // CVODE may try again before it gives up
    try {
      return body(method, *method.problem_);
    } catch (...) {
      method.thrown_ = std::current_exception();
      return -1;
    }
  }
  static Eigen::Map<VectorXd> map(N_Vector v) { return {N_VGetArrayPointer(v), N_VGetLength(v)}; }

  // 1 asks for a shorter step.
  static int rates(double t, N_Vector x, N_Vector dxdt, void* self) {
    return guarded(self, [&](Cvode& method, Problem& problem) {
      method.argument_ = map(x);
      if (method.known_ && t == method.t_ && method.argument_ == method.start_) {
        map(dxdt) = method.dxdt_;  // the first evaluation after a restart
      } else {
        problem.derivative(t, method.argument_, method.result_);
        map(dxdt) = method.result_;
      }
      method.known_ = false;
      return map(dxdt).allFinite() ? 0 : 1;
    });
  }

  static int weights(N_Vector x, N_Vector weight, void* self) {
    return guarded(self, [&](Cvode&, Problem& problem) {
      const SolverOptions& options = problem.options();
      const auto state = map(x).array();
      if (!state.isFinite().all()) return -1;
      map(weight) = std::sqrt(static_cast<double>(state.size())) /
                    (options.atol + options.rtol * state.abs());
      return map(weight).allFinite() ? 0 : -1;
    });
  }

  static int jacobian(double t, N_Vector x, N_Vector, SUNMatrix j, void* self, N_Vector, N_Vector,
                      N_Vector) {
    return guarded(self, [&](Cvode& method, Problem& problem) {
      method.argument_ = map(x);
      const Index n = problem.dimension();
      Eigen::Map<MatrixXd> all(SUNDenseMatrix_Data(j), problem.size(), problem.size());
      all.setZero();
      for (Index trial = 0; trial < problem.trials(); ++trial)
        if (!problem.has_left(trial))
          all.block(trial * n, trial * n, n, n) = problem.jacobian(t, method.argument_, trial);
      return all.allFinite() ? 0 : 1;
    });
  }

  static int jacobian_times(N_Vector v, N_Vector jv, double t, N_Vector x, N_Vector, void* self,
                            N_Vector) {
    return guarded(self, [&](Cvode& method, Problem& problem) {
      method.argument_ = map(x);
      method.direction_ = map(v);
      problem.jacobian_times(t, method.argument_, method.direction_, method.result_);
      map(jv) = method.result_;
      return map(jv).allFinite() ? 0 : 1;
    });
  }

  static void silence(int, const char*, const char*, char*, void*) {}

  const int formula_;
  Problem* problem_ = nullptr;
  double t_ = 0, old_t_ = 0;
  VectorXd candidate_;                      // state_ is a view of it
  VectorXd start_, dxdt_;                   // at the last restart
  VectorXd argument_, direction_, result_;  // of what CVODE calls back
  bool known_ = false;                      // ẋ at start_ hasn't been asked for yet
  long error_failures_ = 0, solve_failures_ = 0;
  int stalled_ = 0;  // steps in a row too short for t
  std::exception_ptr thrown_;

  Owned<SUNContext, ContextDeleter> context_;  // outlives what follows
  Owned<N_Vector, VectorDeleter> state_, output_;
  Owned<SUNMatrix, MatrixDeleter> matrix_;
  Owned<SUNLinearSolver, LinearDeleter> linear_;
  Owned<SUNNonlinearSolver, NonlinearDeleter> nonlinear_;
  std::unique_ptr<void, MemoryDeleter> memory_;
};

struct CvodeAdams final : Cvode {
  CvodeAdams() : Cvode(CV_ADAMS) {}
};
struct CvodeBdf final : Cvode {
  CvodeBdf() : Cvode(CV_BDF) {}
};

}  // namespace

std::vector<core::Entry<Method>> cvode_methods() {
  using core::make_entry;
  return {
      {"cvode_adams",
       "SUNDIALS CVODE, Adams of order 1 to 12, adaptive, dense output; for smooth systems that "
       "aren't stiff and costly to evaluate",
       make_entry<Method, CvodeAdams>},
      {"cvode_bdf",
       "SUNDIALS CVODE, BDF of order 1 to 5 with the exact Jacobian (dense or GMRES), adaptive, "
       "dense output; for stiff and large systems",
       make_entry<Method, CvodeBdf>},
  };
}

std::string sundials_version() { return SUNDIALS_VERSION; }

}  // namespace settle::solve

#else

namespace settle::solve {

std::vector<core::Entry<Method>> cvode_methods() { return {}; }
std::string sundials_version() { return ""; }

}  // namespace settle::solve

#endif
