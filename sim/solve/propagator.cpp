#include "sim/solve/propagator.hpp"

#include <algorithm>
#include <cmath>

namespace settle::solve {
namespace {

constexpr double reach = 0.25;  // of the series: ‖A‖₁ h
constexpr int terms = 14;       // 0.25¹⁴/14! is far below rounding

bool is_zero(const Eigen::MatrixXd& m, Eigen::Index column) {
  return m.size() == 0 || (m.col(column).array() == 0).all();
}

}  // namespace

Propagator::Propagator(MatrixXd a, bool with_slope, std::vector<double> omegas)
    : a_(std::move(a)), with_slope_(with_slope), omegas_(std::move(omegas)) {
  double fastest = a_.size() > 0 ? a_.cwiseAbs().colwise().sum().maxCoeff() : 0;
  for (const double omega : omegas_) fastest = std::max(fastest, omega);
  step_ = fastest > 0 ? reach / fastest : 1;
}

// Σ_k x^{(k)}(0) τ^k/k! with x^{(k+1)} = A x^{(k)} + f^{(k)}.
void Propagator::advance_by_series(double tau, MatrixXd& x, const Drive& drive) {
  term_ = x;
  double power = 1;  // τ^k/k!
  for (int k = 0; k < terms; ++k) {
    next_.noalias() = a_ * term_;
    if (k == 0) next_ += drive[0];
    if (k == 1 && with_slope_) next_ += power * drive[1];
    for (std::size_t j = 0; j < omegas_.size(); ++j) {
      // The k-th derivative of p cos ωτ + q sin ωτ at 0.
      const double size = power * std::pow(omegas_[j], k) * (k % 4 < 2 ? 1 : -1);
      next_ += size * drive[k % 2 == 0 ? 2 + 2 * j : 3 + 2 * j];
    }
    const double factor = tau / (k + 1);
    term_ = factor * next_;
    power *= factor;
    x += term_;
  }
}

void Propagator::shift(double tau, Drive& drive) const {
  if (with_slope_) drive[0] += tau * drive[1];
  for (std::size_t j = 0; j < omegas_.size(); ++j) {
    MatrixXd& p = drive[2 + 2 * j];
    MatrixXd& q = drive[3 + 2 * j];
    const double c = std::cos(omegas_[j] * tau), s = std::sin(omegas_[j] * tau);
    const MatrixXd old = p;
    p = c * old + s * q;
    q = c * q - s * old;
  }
}

// Over 2h: E' = E E, and F'_j = E F_j + Σ_i F_i R_ij, with R the drive's own flow over h.
const Propagator::Level& Propagator::level(std::size_t k) {
  const Index n = size();
  const std::size_t kinds = 2 + 2 * omegas_.size();
  if (levels_.empty()) {
    const MatrixXd identity = MatrixXd::Identity(n, n), zero = MatrixXd::Zero(n, n);
    Level first;
    first.e = identity;
    advance_by_series(step_, first.e, Drive(kinds, zero));
    for (std::size_t j = 0; j < kinds; ++j) {
      if (j == 1 && !with_slope_) {
        first.f.emplace_back();
        continue;
      }
      Drive drive(kinds, zero);
      drive[j] = identity;
      first.f.push_back(zero);
      advance_by_series(step_, first.f[j], drive);
    }
    levels_.push_back(std::move(first));
  }
  while (levels_.size() <= k) {
    const Level& half = levels_.back();
    const double h = std::ldexp(step_, static_cast<int>(levels_.size()) - 1);
    Level next;
    next.e = half.e * half.e;
    next.f.resize(kinds);
    next.f[0] = half.e * half.f[0] + half.f[0];
    if (with_slope_) next.f[1] = half.e * half.f[1] + half.f[1] + h * half.f[0];
    for (std::size_t j = 0; j < omegas_.size(); ++j) {
      const double c = std::cos(omegas_[j] * h), s = std::sin(omegas_[j] * h);
      const MatrixXd& p = half.f[2 + 2 * j];
      const MatrixXd& q = half.f[3 + 2 * j];
      next.f[2 + 2 * j] = half.e * p + c * p - s * q;
      next.f[3 + 2 * j] = half.e * q + s * p + c * q;
    }
    levels_.push_back(std::move(next));
  }
  return levels_[k];
}

void Propagator::advance(double tau, MatrixXd& x, Drive& drive) {
  if (size() == 0 || !(tau > 0)) return;
  // Columns in which nothing is stay at zero even where the flow of others overflows.
  std::vector<Index> still;
  for (Index c = 0; c < x.cols(); ++c)
    if (is_zero(x, c) &&
        std::all_of(drive.begin(), drive.end(), [c](const MatrixXd& m) { return is_zero(m, c); }))
      still.push_back(c);
  double whole = std::floor(tau / step_);
  const double rest = std::max(0.0, tau - whole * step_);
  advance_by_series(rest, x, drive);
  shift(rest, drive);
  for (std::size_t k = 0; whole > 0; ++k) {
    const double half = std::floor(whole / 2);
    if (whole - 2 * half > 0) {
      const Level& flow = level(k);
      next_.noalias() = flow.e * x;
      for (std::size_t j = 0; j < drive.size(); ++j)
        if (drive[j].size() > 0) next_.noalias() += flow.f[j] * drive[j];
      x.swap(next_);
      shift(std::ldexp(step_, static_cast<int>(k)), drive);
    }
    whole = half;
  }
  for (const Index c : still) x.col(c).setZero();
}

Eigen::MatrixXd Propagator::derivative(const MatrixXd& x, const Drive& drive) const {
  MatrixXd out = a_ * x + drive[0];
  for (std::size_t j = 0; j < omegas_.size(); ++j) out += drive[2 + 2 * j];
  return out;
}

}  // namespace settle::solve
