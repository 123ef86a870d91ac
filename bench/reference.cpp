#include <boost/numeric/odeint.hpp>
#include <cmath>
#include <limits>
#include <stdexcept>
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

MatrixXd rest_reference(const Workload& work, const MatrixXd& at_end) {
  const Index n = work.inputs(), m = work.outputs();
  const MatrixXd identity = MatrixXd::Identity(m, m);
  MatrixXd out(n + m, work.columns());
  if (!work.tanh && !work.is_map) {  // one matrix for all
    const double alpha = work.leaks[0], k = work.gains[0];
    const auto xi = core::solve_linear(k * work.w * work.b - alpha * identity, work.setpoints);
    if (!xi) throw std::runtime_error(work.name + ": no state at rest");
    out << k * work.b * *xi, *xi;
    return out;
  }
  for (Index c = 0; c < work.columns(); ++c) {
    const double alpha = work.leaks[c], k = work.gains[c];
    VectorXd xi = at_end.col(c).tail(m), r(n);
    double step = 1;
    for (int iteration = 0; iteration < 50 && step > 1e-10; ++iteration) {
      r = k * work.b * xi;
      VectorXd rate = r, slope = VectorXd::Ones(n);
      if (work.tanh) {
        rate = r.array().tanh();
        slope = 1 - rate.array().square();
      }
      const VectorXd residual = work.w * rate - alpha * xi - work.setpoints.col(c);
      const MatrixXd jacobian = k * work.w * slope.asDiagonal() * work.b - alpha * identity;
      const auto change = core::solve_linear(jacobian, residual);
      if (!change) break;
      xi -= *change;
      step = change->lpNorm<Eigen::Infinity>() / xi.lpNorm<Eigen::Infinity>();
    }
    if (!(step <= 1e-10))
      throw std::runtime_error(work.name + ": Newton's method finds no state at rest");
    out.col(c) << k * work.b * xi, xi;
  }
  return out;
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
