#include "sim/core/linalg.hpp"

#include <Spectra/GenEigsSolver.h>
#include <cblas.h>
#include <lapacke.h>

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

#include "sim/core/random.hpp"

namespace settle::core {
namespace {

// OpenBLAS' bits depend on its number of threads.
[[maybe_unused]] const bool one_thread = (openblas_set_num_threads(1), true);

lapack_int size(Index n) { return static_cast<lapack_int>(n); }

}  // namespace

Eigen::VectorXcd eigenvalues(const MatrixXd& a) {
  const Index n = a.rows();
  if (n == 0) return {};
  MatrixXd work = a;
  VectorXd re(n), im(n);
  if (LAPACKE_dgeev(LAPACK_COL_MAJOR, 'N', 'N', size(n), work.data(), size(n), re.data(), im.data(),
                    nullptr, 1, nullptr, 1) != 0)
    throw std::runtime_error("the eigenvalues of a " + std::to_string(n) + " × " +
                             std::to_string(n) + " matrix did not converge");
  std::vector<std::complex<double>> poles;
  for (Index i = 0; i < n; ++i) poles.emplace_back(re[i], im[i]);
  std::sort(poles.begin(), poles.end(), [](const auto& p, const auto& q) {
    return p.real() != q.real() ? p.real() > q.real() : p.imag() > q.imag();
  });
  return Eigen::Map<Eigen::VectorXcd>(poles.data(), n);
}

std::optional<std::complex<double>> rightmost_eigenvalue(
    const std::function<void(const double* x, double* y)>& product, Index n) {
  struct Operator {
    using Scalar = double;
    const std::function<void(const double*, double*)>& product;
    Index n;
    Index rows() const { return n; }
    Index cols() const { return n; }
    void perform_op(const double* x, double* y) const { product(x, y); }
  } operation{product, n};
  constexpr Index wanted =
      3;  // a pair is never cut in two, and a close second doesn't slow the first
  // A spectrum of many equal eigenvalues breaks the iteration down, and what it then calls
  // converged need not be an eigenvalue: each is checked against the product, and another start is
  // tried.
  for (std::uint64_t attempt = 0; attempt < 8; ++attempt) {
    Spectra::GenEigsSolver<Operator> solver(operation, wanted, std::min<Index>(n, 40));
    const RandomStream stream(attempt, "rightmost_eigenvalue");
    VectorXd start(n);
    for (Index i = 0; i < n; ++i) start[i] = stream.normal(static_cast<std::uint64_t>(i));
    solver.init(start.data());
    solver.compute(Spectra::SortRule::LargestReal, 200, 1e-8);
    if (solver.info() != Spectra::CompInfo::Successful) continue;
    const Eigen::VectorXcd values = solver.eigenvalues();
    const Eigen::MatrixXcd vectors = solver.eigenvectors();
    Index best = 0;
    for (Index k = 1; k < values.size(); ++k)
      if (values[k].real() > values[best].real()) best = k;
    const VectorXd re = vectors.col(best).real(), im = vectors.col(best).imag();
    VectorXd a_re(n), a_im(n);
    product(re.data(), a_re.data());
    product(im.data(), a_im.data());
    const std::complex<double> i(0, 1), value = values[best];
    const double off = (a_re + i * a_im - value * vectors.col(best)).norm();
    if (off <= 1e-6 * std::max(1.0, std::abs(value)) * vectors.col(best).norm())
      return std::complex<double>(value.real(), std::abs(value.imag()));
  }
  return std::nullopt;
}

double spectral_abscissa(const MatrixXd& a) {
  if (a.rows() == 0) return -std::numeric_limits<double>::infinity();
  return eigenvalues(a)[0].real();
}

SingularValues svd(const MatrixXd& a) {
  const Index m = a.rows(), n = a.cols(), k = std::min(m, n);
  SingularValues out{MatrixXd(m, k), VectorXd(k), MatrixXd(k, n)};
  if (k == 0) return out;
  MatrixXd work = a;
  if (LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'S', size(m), size(n), work.data(), size(m), out.s.data(),
                     out.u.data(), size(m), out.vt.data(), size(k)) != 0)
    throw std::runtime_error("the singular values of a " + std::to_string(m) + " × " +
                             std::to_string(n) + " matrix did not converge");
  return out;
}

MatrixXd pseudoinverse(const MatrixXd& a) {
  const SingularValues d = svd(a);
  const double floor = d.s.size() == 0 ? 0.0
                                       : d.s[0] * std::numeric_limits<double>::epsilon() *
                                             static_cast<double>(std::max(a.rows(), a.cols()));
  VectorXd inverse(d.s.size());
  for (Index i = 0; i < d.s.size(); ++i) inverse[i] = d.s[i] > floor ? 1.0 / d.s[i] : 0.0;
  return d.vt.transpose() * inverse.asDiagonal() * d.u.transpose();
}

MatrixXd orthonormalised(const MatrixXd& a) {
  if (a.rows() < a.cols()) return orthonormalised(a.transpose()).transpose();
  const Index m = a.rows(), n = a.cols();
  MatrixXd q = a;
  VectorXd tau(n);
  LAPACKE_dgeqrf(LAPACK_COL_MAJOR, size(m), size(n), q.data(), size(m), tau.data());
  const VectorXd r = q.diagonal();
  LAPACKE_dorgqr(LAPACK_COL_MAJOR, size(m), size(n), size(n), q.data(), size(m), tau.data());
  for (Index j = 0; j < n; ++j)
    if (r[j] < 0) q.col(j) = -q.col(j);
  return q;
}

std::optional<MatrixXd> solve_linear(const MatrixXd& a, const MatrixXd& b) {
  const Index n = a.rows();
  MatrixXd factors = a, x = b;
  std::vector<lapack_int> pivots(static_cast<std::size_t>(n));
  const double norm = LAPACKE_dlange(LAPACK_COL_MAJOR, '1', size(n), size(n), a.data(), size(n));
  if (LAPACKE_dgetrf(LAPACK_COL_MAJOR, size(n), size(n), factors.data(), size(n), pivots.data()) !=
      0)
    return std::nullopt;
  double reciprocal = 0;
  LAPACKE_dgecon(LAPACK_COL_MAJOR, '1', size(n), factors.data(), size(n), norm, &reciprocal);
  if (!(reciprocal > std::numeric_limits<double>::epsilon())) return std::nullopt;
  LAPACKE_dgetrs(LAPACK_COL_MAJOR, 'N', size(n), size(b.cols()), factors.data(), size(n),
                 pivots.data(), x.data(), size(n));
  return x;
}

std::optional<MatrixXd> solve_lyapunov(const MatrixXd& a, const MatrixXd& c) {
  const Index n = a.rows();
  MatrixXd t = a, u(n, n);
  VectorXd re(n), im(n);
  lapack_int selected = 0;
  if (LAPACKE_dgees(LAPACK_COL_MAJOR, 'V', 'N', nullptr, size(n), t.data(), size(n), &selected,
                    re.data(), im.data(), u.data(), size(n)) != 0)
    return std::nullopt;
  MatrixXd y = u.transpose() * c * u;
  double scale = 1.0;
  // T Y + Y Tᵀ = scale · UᵀCU; a positive info says that close eigenvalues were perturbed.
  if (LAPACKE_dtrsyl(LAPACK_COL_MAJOR, 'N', 'T', 1, size(n), size(n), t.data(), size(n), t.data(),
                     size(n), y.data(), size(n), &scale) != 0)
    return std::nullopt;
  return u * y * u.transpose() / scale;
}

}  // namespace settle::core
