// Decompositions against their defining equations.
#include <Eigen/Dense>
#include <catch2/catch.hpp>

#include "sim/core/linalg.hpp"
#include "sim/core/random.hpp"

using namespace settle::core;

namespace {

MatrixXd random_matrix(Index rows, Index cols, const char* name) {
  const RandomStream stream(5, name);
  MatrixXd a(rows, cols);
  for (Index i = 0; i < a.size(); ++i) a.data()[i] = stream.normal(static_cast<std::uint64_t>(i));
  return a;
}

Product product_with(const MatrixXd& a) {
  return [&a](const double* x, double* y) {
    Eigen::Map<VectorXd>(y, a.rows()) = a * Eigen::Map<const VectorXd>(x, a.cols());
  };
}

}  // namespace

TEST_CASE("eigenvalues come rightmost first, and a diagonal matrix has its own") {
  MatrixXd a = MatrixXd::Zero(4, 4);
  a.diagonal() << -3, 2, 0.5, -1;
  const auto values = eigenvalues(a);
  CHECK(values[0].real() == Approx(2));
  CHECK(values[3].real() == Approx(-3));
  CHECK(spectral_abscissa(a) == Approx(2));
}

TEST_CASE("the singular value decomposition multiplies back, wide and tall") {
  for (const auto& [m, n] : {std::pair{7, 4}, std::pair{4, 7}}) {
    const MatrixXd a = random_matrix(m, n, "svd");
    const auto s = svd(a);
    // Backward error of a few ε‖A‖.
    CHECK((s.u * s.s.asDiagonal() * s.vt - a).norm() < 1e-13 * a.norm());
  }
}

TEST_CASE("the pseudoinverse satisfies the four Penrose conditions, also of a singular matrix") {
  MatrixXd a = random_matrix(6, 4, "pinv");
  a.col(3) = a.col(0) + a.col(1);
  const MatrixXd p = pseudoinverse(a);
  const double small = 1e-12;  // ε times the condition on the range
  CHECK((a * p * a - a).norm() < small);
  CHECK((p * a * p - p).norm() < small);
  CHECK((a * p - (a * p).transpose()).norm() < small);
  CHECK((p * a - (p * a).transpose()).norm() < small);
}

TEST_CASE("a linear equation by products alone is solved to its tolerance") {
  MatrixXd a = random_matrix(300, 300, "gmres") / 40;
  a.diagonal().array() += 1;
  const VectorXd b = random_matrix(300, 1, "b");
  const auto x = solve_linear(product_with(a), b, 1e-10);
  REQUIRE(x.has_value());
  CHECK((a * *x - b).norm() <= 1.1e-10 * b.norm());
  MatrixXd none = MatrixXd::Zero(3, 3);
  CHECK_FALSE(solve_linear(product_with(none), VectorXd::Ones(3), 1e-10).has_value());
}

TEST_CASE("the Lyapunov solution satisfies A X + X A^T = C, and a singular equation has none") {
  MatrixXd a = random_matrix(8, 8, "lyapunov");
  a -= 6 * MatrixXd::Identity(8, 8);
  const MatrixXd c = -2 * MatrixXd::Identity(8, 8);
  const auto x = solve_lyapunov(a, c);
  REQUIRE(x.has_value());
  CHECK((a * *x + *x * a.transpose() - c).norm() < 1e-12);
  CHECK_FALSE(solve_lyapunov(MatrixXd::Zero(3, 3), MatrixXd::Identity(3, 3)).has_value());
}

TEST_CASE("the rightmost eigenvalues by products are the dense ones, no pair cut in two") {
  MatrixXd a = random_matrix(120, 120, "arnoldi") / 10;
  a(3, 3) += 3;
  const VectorXcd dense = eigenvalues(a);
  const auto found = rightmost_eigenvalues(product_with(a), 120, 5);
  REQUIRE(found.has_value());
  REQUIRE((found->values.size() == 5 || found->values.size() == 6));
  for (Index k = 0; k < found->values.size(); ++k) {
    CHECK(std::abs(found->values[k] - dense[k]) < 1e-7);  // its tolerance is 1e-8
    const VectorXcd v = found->right.col(k);
    CHECK((a * v - found->values[k] * v).norm() < 1e-6);
  }
}

TEST_CASE("a spectrum of many equal eigenvalues does not fool the iteration") {
  // The loop of an expanding layer: 200 poles at -0.05, the others left of them.
  const MatrixXd w = random_matrix(500, 300, "w") / 20;
  MatrixXd m = MatrixXd::Zero(800, 800);
  m.topLeftCorner(300, 300).diagonal().setConstant(-1);
  m.topRightCorner(300, 500) = -w.transpose();
  m.bottomLeftCorner(500, 300) = w;
  m.bottomRightCorner(500, 500).diagonal().setConstant(-0.05);
  const auto found = rightmost_eigenvalues(product_with(m), 800, 1);
  REQUIRE(found.has_value());
  CHECK(found->values[0].real() == Approx(-0.05).epsilon(1e-6));
}

TEST_CASE("left and right eigenvectors diagonalise, also of complex pairs") {
  const MatrixXd a = random_matrix(9, 9, "eigen_system");
  const EigenSystem e = eigen_system(a);
  const MatrixXcd d = e.values.asDiagonal();
  const double small = 1e-12;  // ε‖A‖ times a condition number of some ten
  CHECK((a * e.right - e.right * d).norm() < small);
  CHECK((e.left.adjoint() * a - d * e.left.adjoint()).norm() < small);
  CHECK((e.values - eigenvalues(a)).norm() < small);
  for (Index k = 0; k < 9; ++k)
    for (Index l = 0; l < 9; ++l) {
      if (k != l) CHECK(std::abs(e.left.col(k).dot(e.right.col(l))) < small);
    }
}

TEST_CASE("numerical abscissa, norm and exponential of a matrix that is known in closed form") {
  MatrixXd a(2, 2);
  a << -1, 10, 0, -2;
  CHECK(numerical_abscissa(a) == Approx(-1.5 + std::sqrt(0.25 + 25)));
  CHECK(spectral_norm(a) == Approx(std::sqrt((105 + std::sqrt(105.0 * 105 - 16)) / 2)));
  const double t = 0.7, x = std::exp(-t), y = std::exp(-2 * t);
  const MatrixXd e = exponential(a * t);
  CHECK(e(0, 0) == Approx(x));
  CHECK(e(0, 1) == Approx(10 * (x - y)));
  CHECK(e(1, 1) == Approx(y));
}

TEST_CASE("the resolvent is the inverse, and its norm's inverse the smallest singular value") {
  const MatrixXd a = random_matrix(40, 40, "resolvent") / 6;
  const MatrixXd b = random_matrix(40, 3, "b"), c = random_matrix(2, 40, "c");
  const Resolvent resolvent(a);
  const MatrixXcd input = resolvent.input(b), output = resolvent.output(c);
  for (const std::complex<double> z : {std::complex<double>(0, 1), {0.3, 0}, {-2, 5}, {1e3, 0}}) {
    const MatrixXcd shifted = z * MatrixXcd::Identity(40, 40) - a;
    const MatrixXcd direct = c * shifted.inverse() * b;
    CHECK((resolvent.response(z, output, input) - direct).norm() < 1e-11 * direct.norm());
    const double sigma = shifted.jacobiSvd().singularValues()[39];
    CHECK(resolvent.smallest_singular_value(z) == Approx(sigma).epsilon(1e-6));
  }
  MatrixXd triangular = MatrixXd::Zero(3, 3);
  triangular.diagonal() << -1, -2, -3;
  CHECK(Resolvent(triangular).smallest_singular_value(-2) == 0);
}

TEST_CASE("random numbers depend on seed, name and index alone, and have their moments") {
  const RandomStream a(1, "a"), again(1, "a"), b(1, "b"), seed(2, "a");
  CHECK(a.uniform(17) == again.uniform(17));
  CHECK(a.uniform(17) != b.uniform(17));
  CHECK(a.uniform(17) != seed.uniform(17));
  CHECK(a.uniform(17, 1) != a.uniform(17, 2));
  const int n = 40000;
  double mean = 0, square = 0, fourth = 0, flat = 0;
  for (int i = 0; i < n; ++i) {
    const double z = a.normal(static_cast<std::uint64_t>(i));
    mean += z / n;
    square += z * z / n;
    fourth += z * z * z * z / n;
    flat += a.uniform(static_cast<std::uint64_t>(i)) / n;
  }
  // Five standard errors: 1/√n, √2/√n, √96/√n, √(1/12)/√n.
  CHECK(std::abs(mean) < 5 / std::sqrt(n));
  CHECK(std::abs(square - 1) < 5 * std::sqrt(2.0 / n));
  CHECK(std::abs(fourth - 3) < 5 * std::sqrt(96.0 / n));
  CHECK(std::abs(flat - 0.5) < 5 * std::sqrt(1.0 / 12 / n));
}
