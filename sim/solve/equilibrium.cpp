#include "sim/solve/equilibrium.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "sim/core/linalg.hpp"
#include "sim/core/value.hpp"
#include "sim/system/structured_solve.hpp"

namespace settle::solve {
namespace {

using core::brief;

constexpr double epsilon = std::numeric_limits<double>::epsilon();
constexpr double runaway = 1e10;     // times the size of what drives the circuit: no state of rest
constexpr double same_place = 1e-6;  // relative distance below which two equilibria are one

double largest(const VectorXd& v) { return v.size() == 0 ? 0 : v.cwiseAbs().maxCoeff(); }

bool is_same(const VectorXd& a, const VectorXd& b) {
  return largest(a - b) <= same_place * std::max({largest(a), largest(b), 1e-12});
}

class Search {
 public:
  Search(const RestProblem& problem, const EquilibriumOptions& options, const VectorXd& start)
      : problem_(problem),
        options_(options),
        system_(problem.system),
        workspace_(system_.make_workspace({problem.trial})),
        solve_(system_),
        rows_(system_.moving_rows(problem.segment)),
        all_move_(static_cast<Index>(rows_.size()) == system_.dimension()),
        x_(start) {
    system_.begin(problem.segment, workspace_);
    VectorXd at_zero = x_;
    at_zero(rows_).setZero();
    scale_ = std::max(largest(force(at_zero)), largest(moving(start)));
    if (!(scale_ > 0)) scale_ = 1;
  }

  Equilibrium run(const std::vector<VectorXd>& known) {
    Equilibrium out;
    out.reason = descend(known, out);
    out.converged = out.reason.empty();
    out.x = x_;
    return out;
  }

 private:
  // F = T ẋ, zero for what is held.
  VectorXd force(const VectorXd& x) {
    rate_.resize(x.size(), 1);
    system_.derivative(problem_.t, x, rate_, workspace_);
    return system_.tau().cwiseProduct(rate_.col(0));
  }

  VectorXd moving(const VectorXd& x) const { return all_move_ ? x : VectorXd(x(rows_)); }

  MatrixXd jacobian() {
    return system_.tau()(rows_).asDiagonal() *
           system_.jacobian(problem_.t, x_, 0, workspace_)(rows_, rows_);
  }

  bool is_small() const { return static_cast<Index>(rows_.size()) <= options_.dense_limit; }

  // (I s − J)⁻¹ ẋ; with s = 0 that is Newton's step −J_F⁻¹ F. Zero for what is held.
  std::optional<VectorXd> implicit_step(const VectorXd& f, double s) {
    solve_.linearise(problem_.t, x_, 0, workspace_);
    if (solve_.dense_order() > options_.dense_limit) return krylov_step(f, s);
    if (solve_.factorise(s) && solve_.pivot_ratio() > epsilon) {
      VectorXd step = f.cwiseQuotient(system_.tau());
      solve_.solve(step);
      if (step.allFinite()) return step;
    }
    if (s != 0 || !is_small()) return std::nullopt;
    const MatrixXd j = jacobian();
    if (!j.allFinite()) return std::nullopt;
    VectorXd step = VectorXd::Zero(x_.size());
    if (const auto own = core::solve_linear(j, -f(rows_)))
      step(rows_) = own->col(0);
    else
      step(rows_) = core::pseudoinverse(j) * -f(rows_);
    return step;
  }

  std::optional<VectorXd> krylov_step(const VectorXd& f, double s) {
    const auto n = static_cast<Index>(rows_.size());
    const VectorXd tau = system_.tau()(rows_);
    MatrixXd v = MatrixXd::Zero(system_.dimension(), 1), jv = v;
    const auto own = core::solve_linear(
        [&](const double* in, double* out) {
          const Eigen::Map<const VectorXd> from(in, n);
          v(rows_, 0) = from;
          system_.jacobian_times(problem_.t, x_, 0, v, jv, workspace_);
          Eigen::Map<VectorXd>(out, n) = tau.cwiseProduct(s * from - jv(rows_, 0));
        },
        f(rows_), 1e-10);
    if (!own) return std::nullopt;
    VectorXd step = VectorXd::Zero(x_.size());
    step(rows_) = *own;
    return step;
  }

  // The deflation operator's factor μ.
  double factor_at(const VectorXd& x, const std::vector<VectorXd>& known) const {
    double factor = 1;
    for (const VectorXd& other : known) factor *= 1 / (moving(x) - other).squaredNorm() + 1;
    return factor;
  }
  // The product of its gradient with a step, over μ.
  double slope_at(const VectorXd& x, const VectorXd& step,
                  const std::vector<VectorXd>& known) const {
    double slope = 0;
    for (const VectorXd& other : known) {
      const VectorXd from = moving(x) - other;
      const double square = from.squaredNorm();
      slope += -2 / (square * square) * from.dot(moving(step)) / (1 / square + 1);
    }
    return slope;
  }

  // What rounding leaves of F where it is zero.
  double rounding() {
    const double terms =
        is_small() ? largest(jacobian().cwiseAbs() * moving(x_).cwiseAbs()) : largest(moving(x_));
    return 64 * epsilon * (terms + scale_);
  }

  // Whether a Newton step ends the search; it is made where it improves.
  bool ends(const VectorXd& step, Equilibrium& out) {
    out.step = largest(step) / std::max(largest(moving(x_)), epsilon * scale_);
    const bool is_short = out.step <= options_.tolerance;
    if (!(is_short && (out.residual <= 1e-8 * scale_ || out.residual <= rounding())) &&
        out.residual != 0)
      return false;
    const VectorXd x = x_ + step;
    const VectorXd after = force(x);
    if (largest(after) < out.residual) {
      x_ = x;
      out.residual = largest(after);
    }
    return true;
  }

  std::string ran_away(const VectorXd& f) const {
    if (!(largest(moving(x_)) > runaway * scale_)) return "";
    return "the search ran away, to |x| > " + brief(runaway * scale_) + ", with residual " +
           brief(largest(f)) + ": nothing pulls back there";
  }

  // Until F, deflated by what is known, is zero; returns why it is not, or "".
  std::string descend(const std::vector<VectorXd>& known, Equilibrium& out) {
    VectorXd f = force(x_);
    std::vector<VectorXd> others;
    for (const VectorXd& other : known) others.push_back(moving(other));
    for (; out.iterations <= options_.iterations; ++out.iterations) {
      out.residual = largest(f);
      if (!f.allFinite()) return "the rate of change is not finite on the way";
      const std::optional<VectorXd> step = implicit_step(f, 0);
      if (!step || !step->allFinite()) return "no Newton step: the Jacobian is singular";
      if (ends(*step, out)) return "";
      for (const VectorXd& other : others)
        if (is_same(moving(x_), other)) return "it came to a known equilibrium";
      // Newton's step of the deflated F is the plain one times 1/(1 − ∇μ·δ/μ).
      VectorXd direction = *step / (1 - slope_at(x_, *step, others));
      if (!direction.allFinite()) direction = *step;
      const double before = factor_at(x_, others) * f.norm();
      double length = 1;
      VectorXd x, after;
      for (;; length /= 2) {
        x = x_ + length * direction;
        after = force(x);
        const double merit = factor_at(x, others) * after.norm();
        if (merit <= (1 - 1e-4 * length) * before) break;
        if (length >= 1e-9) continue;
        if (others.empty() && continue_in_time(f, out)) return "";
        return "the line search found no smaller residual than " + brief(out.residual) + " after " +
               std::to_string(out.iterations) + " Newton steps";
      }
      x_ = x;
      f = after;
      if (const std::string why = ran_away(f); !why.empty()) return why;
    }
    return "no convergence in " + std::to_string(options_.iterations) +
           " Newton steps, at residual " + brief(out.residual);
  }

  // Pseudo-transient continuation from x_, where F is f. Whether it converges.
  bool continue_in_time(VectorXd f, Equilibrium& out) {
    const VectorXd begin = x_;
    const VectorXd tau = moving(system_.tau());
    const double shortest = tau.minCoeff(), longest = tau.maxCoeff();
    double s = 1 / shortest;
    for (; out.iterations <= options_.iterations; ++out.iterations) {
      const bool is_newton = s < 1e-6 / longest;
      const std::optional<VectorXd> step = implicit_step(f, is_newton ? 0 : s);
      if (!step) break;
      out.residual = largest(f);
      if (is_newton && ends(*step, out)) return true;
      const VectorXd x = x_ + *step;
      const VectorXd after = force(x);
      const double growth = after.norm() / f.norm();
      if (!(growth <= 10)) {
        s = std::max(4 * s, 1e-6 / shortest);
        if (s > 1e9 / shortest) break;
        continue;
      }
      s *= std::clamp(growth, 0.1, 2.0);
      x_ = x;
      f = after;
      if (!ran_away(f).empty()) break;
    }
    x_ = begin;
    return false;
  }

  const RestProblem& problem_;
  const EquilibriumOptions& options_;
  const system::OdeSystem& system_;
  system::Workspace workspace_;
  system::StructuredSolve solve_;
  std::vector<Index> rows_;  // that move
  bool all_move_;
  VectorXd x_;
  double scale_ = 1;  // of what drives the circuit
  MatrixXd rate_;
};

}  // namespace

Equilibrium find_equilibrium(const RestProblem& problem, const VectorXd& start,
                             const std::vector<VectorXd>& known,
                             const EquilibriumOptions& options) {
  if (!start.allFinite()) {
    Equilibrium none;
    none.x = start;
    none.reason = "the start is not finite";
    none.residual = none.step = std::numeric_limits<double>::quiet_NaN();
    return none;
  }
  return Search(problem, options, start).run(known);
}

std::vector<Equilibrium> find_equilibria(const RestProblem& problem,
                                         const std::vector<VectorXd>& starts, std::size_t most,
                                         const EquilibriumOptions& options) {
  std::vector<Equilibrium> found;
  std::vector<VectorXd> known;
  for (const VectorXd& start : starts)
    while (found.size() < most) {
      Equilibrium next = find_equilibrium(problem, start, known, options);
      const bool is_new =
          next.converged && std::none_of(known.begin(), known.end(), [&](const VectorXd& other) {
            return is_same(next.x, other);
          });
      if (!is_new) break;
      known.push_back(next.x);
      found.push_back(std::move(next));
    }
  return found;
}

}  // namespace settle::solve
