#include "learning/layerwise.hpp"

#include <cmath>
#include <limits>

#include "analysis/loops.hpp"
#include "learning/linearised_rest.hpp"

namespace settle::learning {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// x = solve(1/G, y, first column) for all columns at once where they share 1/G and aren't to be solved
// apart, else for each; 0 where 1/G = ∞.
template <class S, class Solve>
void for_each_gain(const VectorXd& inverse_gain, bool is_apart, const Matrix<S>& y, Index rows,
                   Matrix<S>& x, const Solve& solve) {
  x.resize(rows, y.cols());
  const bool is_shared = inverse_gain.size() == 1;
  const Index width = is_shared && !is_apart ? y.cols() : 1;
  for (Index c = 0; c < y.cols(); c += width) {
    const double own = inverse_gain[is_shared ? 0 : c];
    auto part = x.middleCols(c, width);
    if (std::isinf(own))
      part.setZero();
    else
      part = solve(own, y.middleCols(c, width).template cast<double>(), c).template cast<S>();
  }
}

MatrixXd solve_rest(const MatrixXd& w, const MatrixXd& b, double inverse_gain, const MatrixXd& y) {
  const auto x = analysis::linear_rest(w, b, inverse_gain, y);
  return x ? *x : MatrixXd(b * rest_control(w, b, inverse_gain, y));
}

// The matrix in double, without a copy where it is.
const MatrixXd& wide(const MatrixXd& m) { return m; }
MatrixXd wide(const Matrix<float>& m) { return m.cast<double>(); }

}  // namespace

template <class S>
void bp_credit(const Lesson<S>& lesson, Credit<S>& credit) {
  assign_layerwise(lesson, credit, [&](Index l, const Matrix<S>& delta, Matrix<S>& below) {
    below.noalias() = lesson.network.w(l).transpose() * delta;
  });
}

template <class S>
void pbp_credit(const Lesson<S>& lesson, Credit<S>& credit) {
  assign_layerwise(lesson, credit, [&](Index l, const Matrix<S>& delta, Matrix<S>& below) {
    below = (core::pseudoinverse(wide(lesson.network.w(l))) * wide(delta)).template cast<S>();
  });
}

template <class S>
void ndi_credit(const Lesson<S>& lesson, const std::vector<Matrix<S>>& b,
                const VectorXd& inverse_gain, Credit<S>& credit, bool is_linearised) {
  const auto rest = [&](Index l, const Matrix<S>& delta, Matrix<S>& below) {
    ndi_rest(lesson, l, b[at(l)], inverse_gain, delta, below, is_linearised);
  };
  if (is_linearised)
    carry_down(lesson, credit, rest);
  else
    assign_layerwise(lesson, credit, rest);
}

template <class S>
void ndi_rest(const Lesson<S>& lesson, Index l, const Matrix<S>& b, const VectorXd& inverse_gain,
              const Matrix<S>& delta, Matrix<S>& below, bool is_linearised) {
  const auto& w = wide(lesson.network.w(l));
  const auto& feedback = wide(b);
  if (is_linearised)
    below = linearised_rest(w, feedback, wide(lesson.activity.slope[at(l - 1)]), inverse_gain,
                            wide(delta))
                .template cast<S>();
  else
    for_each_gain(
        inverse_gain, false, delta, w.cols(), below,
        [&](double g, const MatrixXd& y, Index) { return solve_rest(w, feedback, g, y); });
}

template <class S>
void ndi_control(const Lesson<S>& lesson, const Matrix<S>& b, const VectorXd& inverse_gain,
                 Matrix<S>& control, bool is_linearised) {
  const Index depth = lesson.network.depth();
  const auto& w = wide(lesson.network.w(depth));
  const auto& slope = wide(lesson.activity.slope[at(depth - 1)]);
  const auto& feedback = wide(b);
  for_each_gain(inverse_gain, is_linearised, lesson.error, w.rows(), control,
                [&](double g, const MatrixXd& y, Index c) {
                  if (!is_linearised) return MatrixXd(-rest_control(w, feedback, g, y));
                  return MatrixXd(-rest_control(w * slope.col(c).asDiagonal(), feedback, g, y));
                });
}

template <class S>
VectorXd gauss_newton_inverse_gain(const Lesson<S>& lesson, double damping) {
  const auto depth = static_cast<std::size_t>(lesson.network.depth());
  const double bias = lesson.network.has_biases() ? 1 : 0;
  const auto squares = [&](std::size_t l) {
    return lesson.activity.h[l].template cast<double>().colwise().squaredNorm().array() + bias;
  };
  const Eigen::ArrayXXd above = squares(depth - 1) + damping, below = squares(depth - 2);
  return (below > 0).select(above / below, std::numeric_limits<double>::infinity()).transpose();
}

template void bp_credit<double>(const Lesson<double>&, Credit<double>&);
template void bp_credit<float>(const Lesson<float>&, Credit<float>&);
template void pbp_credit<double>(const Lesson<double>&, Credit<double>&);
template void pbp_credit<float>(const Lesson<float>&, Credit<float>&);
template void ndi_credit<double>(const Lesson<double>&, const std::vector<Matrix<double>>&,
                                 const VectorXd&, Credit<double>&, bool);
template void ndi_credit<float>(const Lesson<float>&, const std::vector<Matrix<float>>&,
                                const VectorXd&, Credit<float>&, bool);
template void ndi_rest<double>(const Lesson<double>&, Index, const Matrix<double>&, const VectorXd&,
                               const Matrix<double>&, Matrix<double>&, bool);
template void ndi_rest<float>(const Lesson<float>&, Index, const Matrix<float>&, const VectorXd&,
                              const Matrix<float>&, Matrix<float>&, bool);
template void ndi_control<double>(const Lesson<double>&, const Matrix<double>&, const VectorXd&,
                                  Matrix<double>&, bool);
template void ndi_control<float>(const Lesson<float>&, const Matrix<float>&, const VectorXd&,
                                 Matrix<float>&, bool);
template VectorXd gauss_newton_inverse_gain<double>(const Lesson<double>&, double);
template VectorXd gauss_newton_inverse_gain<float>(const Lesson<float>&, double);

}  // namespace settle::learning
