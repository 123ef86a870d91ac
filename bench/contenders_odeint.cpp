// Boost.Odeint on Eigen vectors, as its documentation has it.
#include <boost/numeric/odeint.hpp>
// Eigen's adapter last.
#include <boost/numeric/odeint/external/eigen/eigen.hpp>

#include "bench/contender.hpp"

namespace settle::bench {

std::vector<Contender> odeint_contenders() {
  namespace odeint = boost::numeric::odeint;
  using Stepper =
      odeint::runge_kutta_dopri5<VectorXd, double, VectorXd, double, odeint::vector_space_algebra>;
  Contender out;
  out.name = "Odeint dopri5";
  out.about = "integrate_adaptive with a controlled runge_kutta_dopri5, column after column";
  out.prepare = [](const Workload& work) -> Runner {
    return [&work]() -> Result {
      Result result;
      result.states.resize(work.dimension(), work.columns());
      double evaluations = 0;
      const Stopwatch watch;
      for (Index c = 0; c < work.columns(); ++c) {
        VectorXd x = VectorXd::Zero(work.dimension());
        odeint::integrate_adaptive(
            odeint::make_controlled<Stepper>(work.atol, work.rtol),
            [&](const VectorXd& at, VectorXd& dxdt, double) {
              work.derivative(c, at, dxdt);
              ++evaluations;
            },
            x, 0.0, work.duration, 1e-2);
        result.states.col(c) = x;
      }
      result.seconds = watch.seconds();
      result.evaluations = evaluations / static_cast<double>(work.columns());
      return result;
    };
  };
  return {out};
}

}  // namespace settle::bench
