// SUNDIALS CVODE as its manual has it, on Workload::derivative(), column after column.
#include "bench/contender.hpp"

#ifdef SETTLE_HAS_SUNDIALS

#include <cvode/cvode.h>
#include <nvector/nvector_serial.h>
#include <sunlinsol/sunlinsol_dense.h>
#include <sunlinsol/sunlinsol_spgmr.h>
#include <sunmatrix/sunmatrix_dense.h>
#include <sunnonlinsol/sunnonlinsol_fixedpoint.h>

#include <stdexcept>

namespace settle::bench {
namespace {

enum class Setting { adams, bdf_dense, bdf_gmres };

struct Problem {
  const Workload& work;
  Index column;
  const Stopwatch& watch;
  VectorXd x, dxdt;
  double evaluations = 0;
};

int rates(double, N_Vector x, N_Vector dxdt, void* data) {
  auto& problem = *static_cast<Problem*>(data);
  if (problem.watch.seconds() > time_limit) return -1;
  problem.x = Eigen::Map<const VectorXd>(N_VGetArrayPointer(x), problem.work.dimension());
  problem.work.derivative(problem.column, problem.x, problem.dxdt);
  Eigen::Map<VectorXd>(N_VGetArrayPointer(dxdt), problem.work.dimension()) = problem.dxdt;
  ++problem.evaluations;
  return 0;
}

void silence(int, const char*, const char*, char*, void*) {}

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string("CVODE: ") + what);
}

// One column to T; false where CVODE gave up.
bool integrate(Problem& problem, Setting setting, Eigen::Ref<VectorXd> state) {
  const Workload& work = problem.work;
  SUNContext context = nullptr;
  require(SUNContext_Create(nullptr, &context) == 0, "SUNContext_Create");
  N_Vector x = N_VNew_Serial(work.dimension(), context);
  N_VConst(0, x);
  void* memory = CVodeCreate(setting == Setting::adams ? CV_ADAMS : CV_BDF, context);
  require(CVodeInit(memory, rates, 0, x) == 0, "CVodeInit");
  CVodeSStolerances(memory, work.rtol, work.atol);
  CVodeSetUserData(memory, &problem);
  CVodeSetErrHandlerFn(memory, silence, nullptr);
  CVodeSetMaxNumSteps(memory, 10'000'000);
  SUNMatrix matrix = nullptr;
  SUNLinearSolver linear = nullptr;
  SUNNonlinearSolver fixed_point = nullptr;
  if (setting == Setting::adams) {
    fixed_point = SUNNonlinSol_FixedPoint(x, 0, context);
    CVodeSetNonlinearSolver(memory, fixed_point);
  } else if (setting == Setting::bdf_dense) {
    matrix = SUNDenseMatrix(work.dimension(), work.dimension(), context);
    linear = SUNLinSol_Dense(x, matrix, context);
    CVodeSetLinearSolver(memory, linear, matrix);
  } else {
    linear = SUNLinSol_SPGMR(x, SUN_PREC_NONE, 0, context);
    CVodeSetLinearSolver(memory, linear, nullptr);
  }
  CVodeSetStopTime(memory, work.duration);
  double t = 0;
  const bool good = CVode(memory, work.duration, x, &t, CV_NORMAL) >= 0;
  state = Eigen::Map<const VectorXd>(N_VGetArrayPointer(x), work.dimension());
  CVodeFree(&memory);
  if (linear) SUNLinSolFree(linear);
  if (fixed_point) SUNNonlinSolFree(fixed_point);
  if (matrix) SUNMatDestroy(matrix);
  N_VDestroy(x);
  SUNContext_Free(&context);
  return good;
}

Contender contender(const char* name, const char* about, Setting setting) {
  Contender out;
  out.name = name;
  out.about = about;
  out.prepare = [setting](const Workload& work) -> Runner {
    return [&work, setting]() -> Result {
      Result result;
      result.states.resize(work.dimension(), work.columns());
      double evaluations = 0;
      const Stopwatch watch;
      for (Index c = 0; c < work.columns() && result.failure.empty(); ++c) {
        Problem problem{.work = work, .column = c, .watch = watch};
        if (!integrate(problem, setting, result.states.col(c)))
          result.failure = watch.seconds() > time_limit ? "too slow" : "CVODE gave up";
        evaluations += problem.evaluations;
      }
      result.seconds = watch.seconds();
      result.evaluations = evaluations / static_cast<double>(work.columns());
      return result;
    };
  };
  return out;
}

}  // namespace

std::vector<Contender> cvode_contenders() {
  return {
      contender("CVODE adams", "Adams of order 1 to 12, fixed-point iteration", Setting::adams),
      contender("CVODE bdf dense", "BDF of order 1 to 5, dense Jacobian by difference quotients",
                Setting::bdf_dense),
      contender("CVODE bdf GMRES", "BDF of order 1 to 5, Jacobian-free GMRES", Setting::bdf_gmres)};
}

}  // namespace settle::bench

#else

namespace settle::bench {

std::vector<Contender> cvode_contenders() { return {}; }

}  // namespace settle::bench

#endif
