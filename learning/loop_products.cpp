#include "learning/loop_products.hpp"

#include <algorithm>

namespace settle::learning {
namespace {

constexpr std::int64_t renewed_every = 1000;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

bool is_inner(const MatrixXd& w) { return w.rows() <= w.cols(); }

}  // namespace

const MatrixXd& LoopProducts::of(Index l, const Lesson<double>& lesson, const MatrixXd& b) {
  MatrixXd& kept = kept_[at(l)];
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
  return kept_;
}

void LoopProducts::learn(const Lesson<double>& lesson, const Credit<double>& credit, double rate,
                         const std::vector<MatrixXd>& b) {
  for (std::size_t l = 2; l < kept_.size(); ++l) {
    MatrixXd& kept = kept_[l];
    const MatrixXd &post = credit.post[l],
                   &pre = credit.pre_of(static_cast<Index>(l), lesson.activity);
    if (!context_.is_plain || 4 * post.cols() > kept.rows()) kept.resize(0, 0);
    if (kept.size() == 0) continue;
    if (context_.decay > 0) kept *= 1 - context_.decay;
    if (is_inner(lesson.network.weights[l]))
      kept.noalias() += (rate * post) * (b[l].transpose() * pre).transpose();
    else
      kept.noalias() += (rate * (b[l] * post)) * pre.transpose();
    work_ += static_cast<double>(post.cols()) * static_cast<double>(b[l].size() + kept.size());
  }
}

void LoopProducts::forget() {
  for (MatrixXd& kept : kept_) kept.resize(0, 0);
}

void LoopProducts::state(StateVisitor& visitor) {
  for (std::size_t l = 2; l < kept_.size(); ++l)
    visitor.matrix("loop_product_" + std::to_string(l), kept_[l]);
}

}  // namespace settle::learning
