#include "learning/loop_products.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/core/linalg.hpp"

namespace settle::learning {
namespace {

constexpr std::int64_t renewed_every = 1000;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

bool is_inner(const MatrixXd& w) { return w.rows() <= w.cols(); }

// Whether an inverse of order n is kept beside steps of so many columns.
bool is_inverse_kept(Index columns, Index n) { return 12 * columns <= n; }

// x with (P − g I) x = y by an inverse that is nearly that; nothing where it isn't near enough.
std::optional<MatrixXd> refined(const MatrixXd& inverse, const MatrixXd& product, double g,
                                const MatrixXd& y) {
  constexpr int rounds = 3;
  const double tolerance =
      10 * std::numeric_limits<double>::epsilon() * (product.norm() + std::abs(g));
  MatrixXd x = inverse * y, residual;
  for (int round = 0;; ++round) {
    residual = y + g * x;
    residual.noalias() -= product * x;
    if ((residual.colwise().norm().array() <= tolerance * x.colwise().norm().array()).all())
      return x;
    if (round == rounds) return std::nullopt;
    x.noalias() += inverse * residual;
  }
}

// M of P − g I to that of P + U Vᵀ − g I; none where that is singular.
void update_inverse(MatrixXd& inverse, const MatrixXd& u, const MatrixXd& v) {
  const MatrixXd mu = inverse * u, vm = v.transpose() * inverse;
  MatrixXd capacitance = v.transpose() * mu;
  capacitance.diagonal().array() += 1;
  if (const auto change = core::solve_linear(capacitance, vm))
    inverse.noalias() -= mu * *change;
  else
    inverse.resize(0, 0);
}

}  // namespace

const MatrixXd& LoopProducts::of(Index l, const Lesson<double>& lesson, const MatrixXd& b) {
  MatrixXd& kept = products_[at(l)];
  if (kept.size() > 0 && !lesson.holds_multiple_of(renewed_every)) return kept;
  const MatrixXd& w = lesson.network.w(l);
  const Index narrow = std::min(w.rows(), w.cols());
  kept.resize(narrow, narrow);
  if (is_inner(w))
    kept.noalias() = w * b;
  else
    kept.noalias() = b * w;
  work_ += static_cast<double>(narrow) * static_cast<double>(w.size());
  return kept;
}

const std::vector<MatrixXd>& LoopProducts::all(const Lesson<double>& lesson,
                                               const std::vector<MatrixXd>& b) {
  for (Index l = 2; l <= lesson.network.depth(); ++l) of(l, lesson, b[at(l)]);
  return products_;
}

std::optional<MatrixXd> LoopProducts::rest(Index l, const Lesson<double>& lesson, const MatrixXd& b,
                                           double inverse_gain, const MatrixXd& delta) {
  const MatrixXd& product = of(l, lesson, b);
  if (!is_inner(lesson.network.w(l)))
    return solve(product, inverses_[at(l)], inverse_gain, b * delta);
  auto x = solve(product, inverses_[at(l)], inverse_gain, delta);
  if (x) *x = b * *x;
  return x;
}

std::optional<MatrixXd> LoopProducts::solve(const MatrixXd& product, MatrixXd& inverse,
                                            double inverse_gain, const MatrixXd& y) const {
  if (inverse.size() > 0)
    if (auto x = refined(inverse, product, inverse_gain, y)) return x;
  inverse.resize(0, 0);
  MatrixXd shifted = product;
  shifted.diagonal().array() -= inverse_gain;
  const Index n = shifted.rows();
  if (context_.is_plain && is_inverse_kept(y.cols(), n))
    if (auto fresh = core::solve_linear(shifted, MatrixXd::Identity(n, n)))
      inverse = std::move(*fresh);
  return core::solve_linear(shifted, y);
}

void LoopProducts::learn(const Lesson<double>& lesson, const Credit<double>& credit, double rate,
                         const std::vector<MatrixXd>& b) {
  for (std::size_t l = 2; l < products_.size(); ++l) {
    MatrixXd &product = products_[l], &inverse = inverses_[l];
    const MatrixXd &post = credit.post[l],
                   &pre = credit.pre_of(static_cast<Index>(l), lesson.activity);
    if (!context_.is_plain || 4 * post.cols() > product.rows()) product.resize(0, 0);
    if (product.size() == 0) {
      inverse.resize(0, 0);
      continue;
    }
    // The product goes by U Vᵀ.
    const bool inner = is_inner(lesson.network.weights[l]);
    const MatrixXd u = inner ? MatrixXd(rate * post) : MatrixXd(rate * (b[l] * post));
    const MatrixXd v = inner ? MatrixXd(b[l].transpose() * pre) : pre;
    const double remains = 1 - context_.decay;
    if (remains != 1) product *= remains;
    product.noalias() += u * v.transpose();
    work_ += static_cast<double>(post.cols()) * static_cast<double>(b[l].size() + product.size());
    if (!is_inverse_kept(post.cols(), product.rows())) inverse.resize(0, 0);
    if (inverse.size() == 0) continue;
    if (remains != 1) inverse /= remains;
    update_inverse(inverse, u, v);
  }
}

void LoopProducts::forget() {
  for (MatrixXd& product : products_) product.resize(0, 0);
  for (MatrixXd& inverse : inverses_) inverse.resize(0, 0);
}

void LoopProducts::state(StateVisitor& visitor) {
  for (std::size_t l = 2; l < products_.size(); ++l) {
    visitor.matrix("loop_product_" + std::to_string(l), products_[l]);
    visitor.matrix("loop_inverse_" + std::to_string(l), inverses_[l]);
  }
}

}  // namespace settle::learning
