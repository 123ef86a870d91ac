#include "sim/solve/small_modes.hpp"

#include <cmath>
#include <limits>

namespace settle::solve {
namespace {

using Complex = std::complex<double>;
using core::ComplexModes;
using core::RealModes;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;

constexpr double infinity = std::numeric_limits<double>::infinity();

// V⁻¹ of a 2 × 2 V of that determinant.
template <class Matrix, class Scalar>
Matrix inverse_of_two(const Matrix& v, Scalar determinant) {
  Matrix out(2, 2);
  out << v(1, 1), -v(0, 1), -v(1, 0), v(0, 0);
  out /= determinant;
  return out;
}

ComplexModes modes_of_two(const MatrixXcd& m) {
  ComplexModes out;
  const Complex a = m(0, 0), b = m(0, 1), c = m(1, 0), d = m(1, 1);
  out.values.resize(2);
  out.right.setIdentity(2, 2);
  if (b == 0.0 && c == 0.0) {
    out.values << a, d;
    out.inverse = out.right;
    return out;
  }
  const Complex half = (a - d) / 2.0, mean = (a + d) / 2.0;
  Complex root = std::sqrt(half * half + b * c);
  if ((std::conj(mean) * root).real() < 0) root = -root;
  const Complex first = mean + root;
  out.values << first, first == 0.0 ? mean - root : (a * d - b * c) / first;
  for (Eigen::Index k = 0; k < 2; ++k) {
    const Complex t = k == 0 ? root : -root;
    if (std::abs(half + t) >= std::abs(t - half))
      out.right.col(k) << half + t, c;
    else
      out.right.col(k) << b, t - half;
    out.right.col(k).normalize();
  }
  const Complex determinant = out.right(0, 0) * out.right(1, 1) - out.right(0, 1) * out.right(1, 0);
  out.condition = 4 / std::abs(determinant);
  if (determinant != 0.0) out.inverse = inverse_of_two(out.right, determinant);
  return out;
}

}  // namespace

TwoModes modes_of_two(const Eigen::Matrix2d& m) {
  TwoModes out;
  const double a = m(0, 0), b = m(0, 1), c = m(1, 0), d = m(1, 1);
  out.right.setIdentity();
  if (b == 0 && c == 0) {
    out.values << a, d;
    out.inverse.setIdentity();
    return out;
  }
  const double half = (a - d) / 2, mean = (a + d) / 2, square = half * half + b * c;
  if (square < 0) {
    const double omega = std::sqrt(-square);
    out.values << Complex(mean, omega), Complex(mean, -omega);
    out.right << half, -omega, c, 0;  // Re and −Im of (half + iω, c)
    out.right /= std::sqrt(half * half - square + c * c);
    // The determinant of the pair of complex columns is twice that in size.
    const double determinant = -out.right(0, 1) * out.right(1, 0);
    out.condition = 2 / std::abs(determinant);
    out.inverse = inverse_of_two(out.right, determinant);
    return out;
  }
  const double root = std::copysign(std::sqrt(square), mean);
  const double first = mean + root;
  out.values << first, first == 0 ? mean - root : (a * d - b * c) / first;
  const auto column = [&](double t) -> Eigen::Vector2d {
    if (std::abs(half + t) >= std::abs(t - half)) return Eigen::Vector2d(half + t, c).normalized();
    return Eigen::Vector2d(b, t - half).normalized();
  };
  out.right << column(root), column(-root);
  const double determinant = out.right(0, 0) * out.right(1, 1) - out.right(0, 1) * out.right(1, 0);
  out.condition = 4 / std::abs(determinant);
  if (determinant != 0) out.inverse = inverse_of_two(out.right, determinant);
  return out;
}

RealModes small_modes(const MatrixXd& m) {
  if (m.rows() > 2) return core::real_modes(m);
  RealModes out;
  if (m.rows() == 1) {
    out.values = m.col(0);
    out.right = out.inverse = MatrixXd::Ones(1, 1);
    return out;
  }
  const TwoModes modes = modes_of_two(Eigen::Matrix2d(m));
  out.values = modes.values;
  out.right = modes.right;
  out.inverse = modes.inverse;
  out.condition = modes.condition;
  return out;
}

ComplexModes small_modes(const MatrixXcd& m) {
  if (m.rows() > 2) return core::complex_modes(m);
  if (m.rows() == 2) return modes_of_two(m);
  ComplexModes out;
  out.values = m.col(0);
  out.right = out.inverse = MatrixXcd::Ones(1, 1);
  return out;
}

}  // namespace settle::solve
