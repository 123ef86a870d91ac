#include "learning/compare.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <stdexcept>

#include "learning/update.hpp"
#include "sim/core/linalg.hpp"

namespace settle::learning {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double degrees = 180 / std::numbers::pi;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// ⟨ΔW_l, ΔW'_l⟩ + ⟨Δb_l, Δb'_l⟩
template <class S>
double inner(const Lesson<S>& lesson, const Credit<S>& a, const Credit<S>& b, Index l) {
  return update_product(a.post[at(l)], a.pre_of(l, lesson.activity), b.post[at(l)],
                        b.pre_of(l, lesson.activity), lesson.network.has_biases());
}

double angle_of(double inner, double square_a, double square_b) {
  const double cosine = inner / std::sqrt(square_a) / std::sqrt(square_b);
  return std::isfinite(cosine) ? std::acos(std::clamp(cosine, -1.0, 1.0)) * degrees : nan;
}

// (J Jᵀ)⁻¹ b of example c, J Jᵀ = Σ_l P_lᵀ P_l.
MatrixXd solved_by_gram(const std::vector<MatrixXd>& p, Index c, const MatrixXd& b) {
  const Index outputs = b.rows();
  MatrixXd gram = MatrixXd::Zero(outputs, outputs);
  for (std::size_t l = 1; l < p.size(); ++l) {
    const auto own = p[l].middleCols(c * outputs, outputs);
    gram += own.transpose() * own;
  }
  const auto solved = core::solve_linear(gram, b);  // P_L = I: singular only where it is not finite
  return solved ? *solved : MatrixXd::Constant(b.rows(), b.cols(), nan);
}

// A⁺ b of a symmetric A ≥ 0.
VectorXd shortest_solution(const MatrixXd& a, const VectorXd& b) {
  const core::RealModes modes = core::real_modes((a + a.transpose()) / 2);
  const VectorXd values = modes.values.real();
  const double floor = values.cwiseAbs().maxCoeff() * std::numeric_limits<double>::epsilon() *
                       static_cast<double>(b.size());
  const VectorXd inverse = (values.array() > floor).select(1 / values.array(), 0);
  return modes.right * inverse.cwiseProduct(modes.inverse * b);
}

// post_l = P_l v of every example, v d_L × B.
template <class S>
void send_back(const std::vector<MatrixXd>& p, const MatrixXd& v, Credit<S>& credit) {
  const Index outputs = v.rows();
  credit.reset(p.size());
  for (std::size_t l = 1; l < p.size(); ++l) {
    Matrix<S>& post = credit.post[l];
    post.resize(p[l].rows(), v.cols());
    for (Index c = 0; c < v.cols(); ++c)
      post.col(c) = (p[l].middleCols(c * outputs, outputs) * v.col(c)).template cast<S>();
    credit.pre[l].resize(0, 0);
  }
}

}  // namespace

template <class S>
Direction<S> update_direction(const Lesson<S>& lesson, const Credit<S>& credit) {
  const std::size_t layers = lesson.network.weights.size();
  Direction<S> out{std::vector<Matrix<S>>(layers), std::vector<Vector<S>>(layers)};
  for (std::size_t l = 1; l < layers; ++l) {
    out.weights[l].noalias() =
        credit.post[l] * credit.pre_of(static_cast<Index>(l), lesson.activity).transpose();
    if (lesson.network.has_biases()) out.biases[l] = credit.post[l].rowwise().sum();
  }
  return out;
}

double angle(const Eigen::Ref<const MatrixXd>& a, const Eigen::Ref<const MatrixXd>& b) {
  const double norm_a = a.stableNorm(), norm_b = b.stableNorm();
  if (!(norm_a > 0 && norm_b > 0 && std::isfinite(norm_a) && std::isfinite(norm_b))) return nan;
  const MatrixXd x = a / norm_a, y = b / norm_b;
  return 2 * std::atan2((x - y).norm(), (x + y).norm()) * degrees;
}

template <class S>
double feedback_angle(const Matrix<S>& b, const Matrix<S>& w, double sign) {
  return angle(b.template cast<double>(), sign * w.transpose().template cast<double>());
}

template <class S>
Angles angles(const Lesson<S>& lesson, const Credit<S>& a, const Credit<S>& b) {
  Angles out{{nan}, nan};
  double ab = 0, aa = 0, bb = 0;
  for (Index l = 1; l <= lesson.network.depth(); ++l) {
    const double x = inner(lesson, a, b, l), y = inner(lesson, a, a, l), z = inner(lesson, b, b, l);
    out.layers.push_back(angle_of(x, y, z));
    ab += x;
    aa += y;
    bb += z;
  }
  out.all = angle_of(ab, aa, bb);
  return out;
}

template <class S>
double departure(const Matrix<S>& a, const Matrix<S>& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return nan;
  const MatrixXd wanted = b.template cast<double>();
  const double share = (a.template cast<double>() - wanted).norm() / wanted.norm();
  return std::isfinite(share) ? share : nan;
}

template <class S>
std::vector<double> update_norms(const Lesson<S>& lesson, const Credit<S>& credit) {
  std::vector<double> out{0};
  for (Index l = 1; l <= lesson.network.depth(); ++l)
    out.push_back(std::sqrt(std::max(0.0, inner(lesson, credit, credit, l))));
  return out;
}

template <class S>
std::vector<MatrixXd> output_jacobians(const Lesson<S>& lesson) {
  const Network<S>& network = lesson.network;
  const Activity<S>& activity = lesson.activity;
  if (activity.by_batch)
    throw std::invalid_argument("a Jacobian of each example through statistics of the batch");
  const Index depth = network.depth(), outputs = network.size(depth), count = activity.count();
  std::vector<MatrixXd> p(at(depth) + 1);
  p[at(depth)] = MatrixXd::Identity(outputs, outputs).replicate(1, count);
  for (Index l = depth; l >= 2; --l) {
    p[at(l - 1)] = network.w(l).template cast<double>().transpose() * p[at(l)];
    for (Index c = 0; c < count; ++c)
      p[at(l - 1)].middleCols(c * outputs, outputs).array().colwise() *=
          activity.slope[at(l - 1)].col(c).template cast<double>().array();
  }
  return p;
}

template <class S>
void gauss_newton_credit(const Lesson<S>& lesson, double damping, Credit<S>& credit) {
  const Network<S>& network = lesson.network;
  const Activity<S>& activity = lesson.activity;
  const std::vector<MatrixXd> p = output_jacobians(lesson);
  const Index depth = network.depth(), outputs = network.size(depth), count = activity.count();
  const Index n = outputs * count;  // example by example
  MatrixXd jj = MatrixXd::Zero(n, n);
  for (Index l = 1; l <= depth; ++l) {
    const MatrixXd h = activity.h[at(l - 1)].template cast<double>();
    MatrixXd k = h.transpose() * h;
    if (network.has_biases()) k.array() += 1;
    const MatrixXd pp = p[at(l)].transpose() * p[at(l)];
    for (Index c = 0; c < count; ++c)
      for (Index r = 0; r < count; ++r)
        jj.block(r * outputs, c * outputs, outputs, outputs) +=
            k(r, c) * pp.block(r * outputs, c * outputs, outputs, outputs);
  }
  jj.diagonal().array() += damping;

  const VectorXd e = lesson.error.template cast<double>().reshaped();
  const auto solved = core::solve_linear(jj, e);
  const VectorXd v = solved ? VectorXd(*solved) : shortest_solution(jj, e);
  send_back(p, v.reshaped(outputs, count), credit);
}

template <class S>
void minimum_norm_credit(const Lesson<S>& lesson, Credit<S>& credit) {
  const std::vector<MatrixXd> p = output_jacobians(lesson);
  MatrixXd v = lesson.error.template cast<double>();
  for (Index c = 0; c < v.cols(); ++c) v.col(c) = solved_by_gram(p, c, v.col(c));
  send_back(p, v, credit);
}

template <class S>
double feedback_in_row_space(const Lesson<S>& lesson, const std::vector<Matrix<S>>& q) {
  const std::vector<MatrixXd> p = output_jacobians(lesson);
  const Index outputs = lesson.error.rows(), count = lesson.error.cols();
  double square = 0, sum = 0;
  for (std::size_t l = 1; l < p.size(); ++l) square += static_cast<double>(q[l].squaredNorm());
  if (!(square > 0 && std::isfinite(square))) return nan;
  for (Index c = 0; c < count; ++c) {
    MatrixXd jq = MatrixXd::Zero(outputs, outputs);
    for (std::size_t l = 1; l < p.size(); ++l)
      jq += p[l].middleCols(c * outputs, outputs).transpose() * q[l].template cast<double>();
    // ‖P Q‖² = tr (J Q)ᵀ (J Jᵀ)⁻¹ J Q
    sum += std::sqrt(jq.cwiseProduct(solved_by_gram(p, c, jq)).sum() / square);
  }
  return sum / static_cast<double>(count);
}

template <class S>
double norm_spread(const Activity<S>& activity) {
  double sum = 0;
  const std::size_t layers = activity.h.size() - 1;
  VectorXd norms(static_cast<Index>(layers));
  for (Index c = 0; c < activity.count(); ++c) {
    for (std::size_t l = 0; l < layers; ++l)
      norms[static_cast<Index>(l)] = static_cast<double>(activity.h[l].col(c).norm());
    const double mean = norms.mean();
    sum += std::sqrt((norms.array() - mean).square().mean()) / mean;
  }
  return sum / static_cast<double>(activity.count());
}

template Direction<double> update_direction<double>(const Lesson<double>&, const Credit<double>&);
template Direction<float> update_direction<float>(const Lesson<float>&, const Credit<float>&);
template double feedback_angle<double>(const Matrix<double>&, const Matrix<double>&, double);
template double feedback_angle<float>(const Matrix<float>&, const Matrix<float>&, double);
template Angles angles<double>(const Lesson<double>&, const Credit<double>&, const Credit<double>&);
template double departure<double>(const Matrix<double>&, const Matrix<double>&);
template double departure<float>(const Matrix<float>&, const Matrix<float>&);
template Angles angles<float>(const Lesson<float>&, const Credit<float>&, const Credit<float>&);
template std::vector<double> update_norms<double>(const Lesson<double>&, const Credit<double>&);
template std::vector<double> update_norms<float>(const Lesson<float>&, const Credit<float>&);
template std::vector<MatrixXd> output_jacobians<double>(const Lesson<double>&);
template std::vector<MatrixXd> output_jacobians<float>(const Lesson<float>&);
template void gauss_newton_credit<double>(const Lesson<double>&, double, Credit<double>&);
template void gauss_newton_credit<float>(const Lesson<float>&, double, Credit<float>&);
template void minimum_norm_credit<double>(const Lesson<double>&, Credit<double>&);
template void minimum_norm_credit<float>(const Lesson<float>&, Credit<float>&);
template double feedback_in_row_space<double>(const Lesson<double>&, const std::vector<MatrixXd>&);
template double feedback_in_row_space<float>(const Lesson<float>&,
                                             const std::vector<Matrix<float>>&);
template double norm_spread<double>(const Activity<double>&);
template double norm_spread<float>(const Activity<float>&);

}  // namespace settle::learning
