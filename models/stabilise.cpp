#include "models/stabilise.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "sim/core/value.hpp"

namespace settle::models {
namespace {

using core::brief;

constexpr double epsilon = std::numeric_limits<double>::epsilon();

// Where the states stand in (r, ξ, f); a part that is not there has no rows.
struct Layout {
  Index n, m;          // inputs and outputs of the layer
  Index integral = 0;  // rows of ξ
  Index filter = 0;    // rows of f
  Index size() const { return n + integral + filter; }
};

Layout layout(const MatrixXd& w, const LoopParameters& loop) {
  return {w.cols(), w.rows(), loop.i != 0 ? w.rows() : 0, loop.d != 0 ? w.rows() : 0};
}

// C (m × state): u = C (r, ξ, f).
MatrixXd control_of_state(const MatrixXd& w, const LoopParameters& loop) {
  const Layout at = layout(w, loop);
  MatrixXd c = MatrixXd::Zero(at.m, at.size());
  c.leftCols(at.n) = (loop.p + loop.d / loop.derivative_tau) * w;
  c.middleCols(at.n, at.integral).diagonal().setConstant(loop.i);
  c.rightCols(at.filter).diagonal().setConstant(-loop.d / loop.derivative_tau);
  return c;
}

// M − sI
MatrixXd shifted(MatrixXd m, double s) {
  m.diagonal().array() -= s;
  return m;
}

bool positive_trace(const std::optional<MatrixXd>& x) {
  return x && std::isfinite(x->trace()) && x->trace() > 0 && x->diagonal().minCoeff() > 0;
}

// X with A X + X Aᵀ = −2I; nullopt where A is not Hurwitz to working precision.
std::optional<MatrixXd> gramian(const MatrixXd& a) {
  std::optional<MatrixXd> x =
      core::solve_lyapunov(a, -2.0 * MatrixXd::Identity(a.rows(), a.cols()));
  if (!positive_trace(x)) return std::nullopt;
  return x;
}

// How far rounding may have moved a computed eigenvalue of a normal matrix of this size.
double rounding(const MatrixXd& m) { return static_cast<double>(m.rows()) * epsilon * m.norm(); }

// The spectral abscissa; +∞ where it cannot be computed.
double abscissa_or_infinity(const MatrixXd& m) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (!m.allFinite()) return infinity;
  try {
    return core::spectral_abscissa(m);
  } catch (const std::runtime_error&) {
    return infinity;
  }
}

Index rank(const MatrixXd& w) {
  const Eigen::VectorXd s = core::svd(w).s;
  if (s.size() == 0) return 0;
  const double floor = s[0] * epsilon * static_cast<double>(std::max(w.rows(), w.cols()));
  return (s.array() > floor).count();
}

std::string count(Index n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

}  // namespace

MatrixXd loop_matrix(const MatrixXd& w, const MatrixXd& b, const LoopParameters& loop) {
  if (b.rows() != w.cols() || b.cols() != w.rows())
    throw std::invalid_argument("feedback and forward weights don't make a loop");
  const Layout at = layout(w, loop);
  MatrixXd m = MatrixXd::Zero(at.size(), at.size());
  m.topRows(at.n) = b * control_of_state(w, loop) / loop.tau;
  m.topLeftCorner(at.n, at.n).diagonal().array() -= 1 / loop.tau;
  m.block(at.n, 0, at.integral, at.n) = w.topRows(at.integral) / loop.controller_tau;
  m.block(at.n, at.n, at.integral, at.integral)
      .diagonal()
      .setConstant(-loop.leak / loop.controller_tau);
  m.bottomLeftCorner(at.filter, at.n) = w.topRows(at.filter) / loop.derivative_tau;
  m.bottomRightCorner(at.filter, at.filter).diagonal().setConstant(-1 / loop.derivative_tau);
  return m;
}

std::optional<double> lyapunov_trace(const MatrixXd& m, double s) {
  const std::optional<MatrixXd> p = gramian(shifted(m, s));
  if (!p) return std::nullopt;
  return p->trace();
}

double smoothed_abscissa(const MatrixXd& m, double smoothing) {
  if (!m.allFinite()) throw std::runtime_error("a matrix that is not finite");
  // For s beyond the numerical abscissa ω, ‖exp((M − sI)t)‖ ≤ exp((ω − s)t), so g ≤ n/(s − ω).
  const double n = static_cast<double>(m.rows());
  double low = core::spectral_abscissa(m);
  double high = core::spectral_abscissa((m + m.transpose()) / 2) + n * smoothing;
  // h(s) = 1/g(s) − ε rises from −ε. Bisection, for it is called where exactness counts.
  for (int k = 0; k < 200 && high - low > 4 * epsilon * std::max(std::abs(low), std::abs(high));
       ++k) {
    const double s = low + (high - low) / 2;
    const std::optional<double> g = lyapunov_trace(m, s);
    (g && 1 / *g > smoothing ? high : low) = s;
  }
  return low + (high - low) / 2;
}

std::optional<MatrixXd> smoothed_abscissa_gradient(const MatrixXd& w, const MatrixXd& b,
                                                   const LoopParameters& loop, double s) {
  const Index n = w.cols();
  const MatrixXd a = shifted(loop_matrix(w, b, loop), s);
  const std::optional<MatrixXd> p = gramian(a);
  const std::optional<MatrixXd> q = gramian(a.transpose());
  if (!p || !q) return std::nullopt;
  const double trace = q->cwiseProduct(*p).sum();  // tr(QP), both symmetric
  return q->topRows(n) * (*p * control_of_state(w, loop).transpose()) / (loop.tau * trace);
}

std::optional<Obstacle> margin_obstacle(const MatrixXd& w, const LoopParameters& loop,
                                        double margin) {
  const Index n = w.cols(), m = w.rows(), rho = rank(w);
  const double neuron = 1 / loop.tau, integrator = loop.leak / loop.controller_tau;
  const std::string wanted = "a margin of " + brief(margin) + " is out of reach: ";
  const std::string layer = "only " + std::to_string(rho) + " of the layer's " +
                            count(m, "output") + " are independent, and the other " +
                            count(m - rho, "direction");
  if (loop.i != 0 && m > rho && margin >= integrator)
    return Obstacle{wanted + layer + " of the integrator only leak, with poles at −α/τ_u = " +
                        brief(0 - integrator) + " whatever the feedback",
                    integrator > 0 ? "a margin below " + brief(integrator) +
                                         ", a larger leak, or a contracting layer"
                                   : "a leak > 0, or a contracting layer of full rank"};
  if (loop.d != 0 && m > rho && margin >= 1 / loop.derivative_tau)
    return Obstacle{wanted + layer + " of the derivative's filter have poles at −1/τ_d = " +
                        brief(-1 / loop.derivative_tau) + " whatever the feedback",
                    "a margin below " + brief(1 / loop.derivative_tau)};
  if (n > rho && margin >= neuron)
    return Obstacle{wanted + count(n - rho, "direction") +
                        " of the population move no output, with poles at −1/τ = " +
                        brief(-neuron) + " whatever the feedback",
                    "a margin below " + brief(neuron)};
  const double mean = (neuron + integrator) / 2;
  if (loop.i != 0 && loop.p == 0 && loop.d == 0 && margin >= mean)
    return Obstacle{
        wanted + "under integral control the poles stand in pairs of mean −(1/τ + α/τ_u)/2 = " +
            brief(-mean) + " whatever the feedback",
        "a margin below " + brief(mean) + ", a larger leak, or a proportional gain"};
  return std::nullopt;
}

StabiliseResult stabilise(const MatrixXd& w, MatrixXd b, const LoopParameters& loop,
                          const StabiliseOptions& options) {
  StabiliseResult result;
  result.b = std::move(b);
  MatrixXd current = result.b;
  MatrixXd m = loop_matrix(w, current, loop);
  double abscissa = abscissa_or_infinity(m);
  result.abscissa = abscissa;

  const auto wanted = [&] { return "max Re λ < " + brief(-options.margin); };
  const auto stop = [&](std::string reason, std::string remedy) {
    result.reason = std::move(reason);
    result.remedy = std::move(remedy);
    return result;
  };
  if (!std::isfinite(abscissa))
    return stop("the loop's eigenvalues cannot be computed", "finite weights of a fair size");
  if (std::optional<Obstacle> obstacle = margin_obstacle(w, loop, options.margin))
    return stop(std::move(obstacle->reason), std::move(obstacle->remedy));

  const double uncontrolled_norm = loop_matrix(w, MatrixXd::Zero(w.cols(), w.rows()), loop).norm();
  const MatrixXd control = control_of_state(w, loop);
  double step = options.step;
  for (;; ++result.iterations) {
    if (abscissa < result.abscissa) {
      result.b = current;
      result.abscissa = abscissa;
    }
    if (abscissa < -options.margin - rounding(m)) {
      result.stable = true;
      return stop(result.iterations == 0 ? "stable from the start: max Re λ = " + brief(abscissa)
                                         : "stable: max Re λ = " + brief(abscissa),
                  "");
    }
    if (result.iterations >= options.iterations)
      return stop("after " + count(static_cast<Index>(options.iterations), "iteration") +
                      " max Re λ is " + brief(result.abscissa) + " where " + wanted() +
                      " was wanted",
                  "more iterations, a longer step, a smaller margin or a larger leak");

    const double moved = (current * control).norm() / loop.tau;
    const double s = abscissa + std::max(0.01 * moved, 1e-6 * uncontrolled_norm);
    const std::optional<double> g = lyapunov_trace(m, s);
    const std::optional<MatrixXd> gradient = smoothed_abscissa_gradient(w, current, loop, s);
    if (!g || !gradient || !(gradient->norm() > 0))
      return stop("the smoothed abscissa has no direction in which it falls, at max Re λ = " +
                      brief(result.abscissa) + " where " + wanted() + " was wanted",
                  "another start, a smaller margin or a larger leak");

    // The same ε before and after: s̃ falls exactly where g(M, s) does.
    for (bool falls = false; !falls;) {
      const MatrixXd next = current - step * *gradient;
      MatrixXd next_m = loop_matrix(w, next, loop);
      const double next_abscissa = abscissa_or_infinity(next_m);
      if (next_abscissa < s) {
        const std::optional<double> next_g = lyapunov_trace(next_m, s);
        falls = next_g && *next_g < *g;
      }
      if (falls) {
        current = next;
        m = std::move(next_m);
        abscissa = next_abscissa;
        step = std::min(2 * step, options.step);
      } else if (!(step * gradient->norm() > 1e-12 * current.norm() + 1e-300)) {
        return stop("no step lowers the smoothed abscissa any more, at max Re λ = " +
                        brief(result.abscissa) + " where " + wanted() + " was wanted",
                    "another start, a smaller margin or a larger leak");
      } else {
        step /= 2;
      }
    }
  }
}

}  // namespace settle::models
