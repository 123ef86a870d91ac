#include <boost/numeric/odeint.hpp>
#include <cmath>
#include <limits>
// Eigen's adapter last.
#include <boost/numeric/odeint/external/eigen/eigen.hpp>

#include "bench/workload.hpp"
#include "sim/core/linalg.hpp"

namespace settle::bench {
namespace {

namespace odeint = boost::numeric::odeint;

// x(T) of ẋ = A x + f from zero: the last column of exp([A f; 0 0] T).
VectorXd linear_response(const MatrixXd& a, const VectorXd& f, double duration) {
  const Index n = a.rows();
  MatrixXd augmented = MatrixXd::Zero(n + 1, n + 1);
  augmented.topLeftCorner(n, n) = a * duration;
  augmented.topRightCorner(n, 1) = f * duration;
  return core::exponential(augmented).topRightCorner(n, 1);
}

// B = −Wᵀ: with W = U S Vᵀ each singular direction is a loop of two states by itself, and what U does
// not span only integrates.
MatrixXd by_singular_directions(const Workload& work) {
  const core::SingularValues svd = core::svd(work.w);
  const double alpha = work.leaks[0], k = work.gains[0], t = work.duration;
  const MatrixXd y = svd.u.transpose() * work.setpoints;
  MatrixXd a(y.rows(), y.cols()), c(y.rows(), y.cols());
  for (Index i = 0; i < svd.s.size(); ++i) {
    MatrixXd loop(2, 2);
    loop << -1, -k * svd.s[i], svd.s[i], -alpha;
    const VectorXd unit = linear_response(loop, VectorXd::Unit(2, 1), t);
    a.row(i) = -unit[0] * y.row(i);
    c.row(i) = -unit[1] * y.row(i);
  }
  MatrixXd x(work.dimension(), work.columns());
  x.topRows(work.inputs()) = svd.vt.transpose() * a;
  x.bottomRows(work.outputs()) =
      svd.u * c + (svd.u * y - work.setpoints) * (-std::expm1(-alpha * t) / alpha);
  return x;
}

MatrixXd by_exponential(const Workload& work) {
  const Index n = work.inputs(), m = work.outputs();
  MatrixXd x(n + m, work.columns());
  for (Index c = 0; c < work.columns(); ++c) {
    MatrixXd a(n + m, n + m);
    a << -MatrixXd::Identity(n, n), work.gains[c] * work.b, work.w,
        -work.leaks[c] * MatrixXd::Identity(m, m);
    VectorXd f(n + m);
    f << VectorXd::Zero(n), -work.setpoints.col(c);
    x.col(c) = linear_response(a, f, work.duration);
  }
  return x;
}

MatrixXd by_tight_integration(const Workload& work) {
  using Stepper = odeint::runge_kutta_fehlberg78<VectorXd, double, VectorXd, double,
                                                 odeint::vector_space_algebra>;
  MatrixXd states(work.dimension(), work.columns());
  for (Index c = 0; c < work.columns(); ++c) {
    VectorXd x = VectorXd::Zero(work.dimension());
    odeint::integrate_adaptive(
        odeint::make_controlled<Stepper>(1e-15, 1e-13),
        [&](const VectorXd& at, VectorXd& dxdt, double) { work.derivative(c, at, dxdt); }, x, 0.0,
        work.duration, 1e-3);
    states.col(c) = x;
  }
  return states;
}

}  // namespace

MatrixXd reference(const Workload& work) {
  if (work.tanh) return by_tight_integration(work);
  return work.b == -work.w.transpose() && !work.is_map ? by_singular_directions(work)
                                                       : by_exponential(work);
}

VectorXd errors_over_tolerance(const Workload& work, const MatrixXd& states,
                               const MatrixXd& exact) {
  VectorXd out(states.cols());
  for (Index c = 0; c < states.cols(); ++c) {
    const double scale = work.atol + work.rtol * exact.col(c).cwiseAbs().maxCoeff();
    const VectorXd off = (states.col(c) - exact.col(c)).cwiseAbs();
    out[c] = off.allFinite() ? off.maxCoeff() / scale : std::numeric_limits<double>::infinity();
  }
  return out;
}

}  // namespace settle::bench
