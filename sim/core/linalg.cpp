#include "sim/core/linalg.hpp"

// LAPACKE's complex type is std::complex here.
#include <complex>
#define lapack_complex_float std::complex<float>
#define lapack_complex_double std::complex<double>

#include <Spectra/GenEigsSolver.h>
#include <cblas.h>
#include <lapacke.h>

#include <Eigen/SparseCore>
#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <unsupported/Eigen/IterativeSolvers>
#include <unsupported/Eigen/MatrixFunctions>
#include <utility>
#include <vector>

#include "sim/core/random.hpp"

namespace settle::core {
namespace {
class ProductMatrix;
}
}  // namespace settle::core

template <>
struct Eigen::internal::traits<settle::core::ProductMatrix>
    : Eigen::internal::traits<Eigen::SparseMatrix<double>> {};

namespace settle::core {
namespace {

// A matrix that is known by its product, for Eigen's iterative solvers.
class ProductMatrix : public Eigen::EigenBase<ProductMatrix> {
 public:
  using Scalar = double;
  using RealScalar = double;
  using StorageIndex = int;
  enum {
    ColsAtCompileTime = Eigen::Dynamic,
    MaxColsAtCompileTime = Eigen::Dynamic,
    IsRowMajor = false
  };

  ProductMatrix(const Product& product, Index n) : product_(product), n_(n) {}
  Index rows() const { return n_; }
  Index cols() const { return n_; }
  void multiply(const double* x, double* y) const { product_(x, y); }
  template <class Rhs>
  Eigen::Product<ProductMatrix, Rhs, Eigen::AliasFreeProduct> operator*(
      const Eigen::MatrixBase<Rhs>& x) const {
    return {*this, x.derived()};
  }

 private:
  const settle::core::Product& product_;
  Index n_;
};

}  // namespace
}  // namespace settle::core

template <class Rhs>
struct Eigen::internal::generic_product_impl<settle::core::ProductMatrix, Rhs, Eigen::SparseShape,
                                             Eigen::DenseShape, Eigen::GemvProduct>
    : Eigen::internal::generic_product_impl_base<
          settle::core::ProductMatrix, Rhs,
          Eigen::internal::generic_product_impl<settle::core::ProductMatrix, Rhs>> {
  using Scalar = double;
  template <class Dest>
  static void scaleAndAddTo(Dest& out, const settle::core::ProductMatrix& a, const Rhs& x,
                            const double& factor) {
    const Eigen::VectorXd in = x;
    Eigen::VectorXd product(in.size());
    a.multiply(in.data(), product.data());
    out += factor * product;
  }
};

namespace settle::core {
namespace {

// OpenBLAS' bits depend on its number of threads.
[[maybe_unused]] const bool one_thread = (openblas_set_num_threads(1), true);

lapack_int lapack(Index n) { return static_cast<lapack_int>(n); }

// Throws where LAPACK's answer to a matrix with infinities or NaN would be one of chance.
template <class Matrix>
void require_finite(const Matrix& a, const std::string& wanted) {
  if (!a.allFinite())
    throw std::runtime_error("the " + wanted + " of a " + std::to_string(a.rows()) + " × " +
                             std::to_string(a.cols()) +
                             " matrix that holds infinite numbers or NaN do not exist");
}

template <class Matrix>
void require_converged(lapack_int info, const Matrix& a, const std::string& wanted) {
  if (info != 0)
    throw std::runtime_error("the " + wanted + " of a " + std::to_string(a.rows()) + " × " +
                             std::to_string(a.cols()) + " matrix did not converge");
}

constexpr const char *eigen = "eigenvalues", *singular = "singular values";

VectorXcd joined(const VectorXd& re, const VectorXd& im) {
  return re + std::complex<double>(0, 1) * im;
}

std::vector<Index> rightmost_first(const VectorXcd& values) {
  std::vector<Index> order(static_cast<std::size_t>(values.size()));
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index i, Index j) {
    const auto p = values[i], q = values[j];
    return p.real() != q.real() ? p.real() > q.real() : p.imag() > q.imag();
  });
  return order;
}

}  // namespace

VectorXcd eigenvalues(const MatrixXd& a) {
  const Index n = a.rows();
  if (n == 0) return {};
  require_finite(a, eigen);
  MatrixXd work = a;
  VectorXd re(n), im(n);
  require_converged(LAPACKE_dgeev(LAPACK_COL_MAJOR, 'N', 'N', lapack(n), work.data(), lapack(n),
                                  re.data(), im.data(), nullptr, 1, nullptr, 1),
                    a, eigen);
  const VectorXcd values = joined(re, im);
  return values(rightmost_first(values));
}

VectorXcd eigenvalues(const MatrixXcd& a) {
  const Index n = a.rows();
  if (n == 0) return {};
  require_finite(a, eigen);
  MatrixXcd work = a;
  VectorXcd values(n);
  require_converged(LAPACKE_zgeev(LAPACK_COL_MAJOR, 'N', 'N', lapack(n), work.data(), lapack(n),
                                  values.data(), nullptr, 1, nullptr, 1),
                    a, eigen);
  return values(rightmost_first(values));
}

EigenSystem eigen_system(const MatrixXd& a) {
  const Index n = a.rows();
  if (n == 0) return {};
  require_finite(a, eigen);
  MatrixXd work = a, left(n, n), right(n, n);
  VectorXd re(n), im(n);
  require_converged(
      LAPACKE_dgeev(LAPACK_COL_MAJOR, 'V', 'V', lapack(n), work.data(), lapack(n), re.data(),
                    im.data(), left.data(), lapack(n), right.data(), lapack(n)),
      a, eigen);
  // A conjugate pair's vectors stand as real and imaginary part in two columns.
  const auto complex_columns = [&](const MatrixXd& v) {
    MatrixXcd out = v.cast<std::complex<double>>();
    const std::complex<double> i(0, 1);
    for (Index k = 0; k + 1 < n; ++k) {
      if (!(im[k] > 0)) continue;
      out.col(k) = v.col(k) + i * v.col(k + 1);
      out.col(k + 1) = out.col(k).conjugate();
      ++k;
    }
    return out;
  };
  EigenSystem all{joined(re, im), complex_columns(right), complex_columns(left)};
  const std::vector<Index> order = rightmost_first(all.values);
  return {all.values(order), all.right(Eigen::all, order), all.left(Eigen::all, order)};
}

RealModes real_modes(const MatrixXd& a) {
  const Index n = a.rows();
  RealModes out;
  if (n == 0) return out;
  require_finite(a, eigen);
  if ((a - a.transpose()).cwiseAbs().maxCoeff() <=
      4 * std::numeric_limits<double>::epsilon() * a.cwiseAbs().maxCoeff()) {
    out.right = (a + a.transpose()) / 2;
    VectorXd values(n);
    require_converged(LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'U', lapack(n), out.right.data(),
                                     lapack(n), values.data()),
                      a, eigen);
    out.values = values;
    out.inverse = out.right.transpose();
    return out;
  }
  MatrixXd work = a;
  out.right.resize(n, n);
  VectorXd re(n), im(n);
  require_converged(LAPACKE_dgeev(LAPACK_COL_MAJOR, 'N', 'V', lapack(n), work.data(), lapack(n),
                                  re.data(), im.data(), nullptr, 1, out.right.data(), lapack(n)),
                    a, eigen);
  out.values = joined(re, im);
  for (Index k = 0; k + 1 < n; ++k) {
    if (!(im[k] > 0)) continue;
    ++k;
    out.right.col(k) = -out.right.col(k);
  }
  out.condition = std::numeric_limits<double>::infinity();
  const auto inverse = solve_linear(out.right, MatrixXd::Identity(n, n));
  if (!inverse) return out;
  out.inverse = *inverse;
  out.condition = out.right.cwiseAbs().colwise().sum().maxCoeff() *
                  out.inverse.cwiseAbs().colwise().sum().maxCoeff();
  return out;
}

ComplexModes complex_modes(const MatrixXcd& a) {
  const Index n = a.rows();
  ComplexModes out;
  if (n == 0) return out;
  require_finite(a, eigen);
  MatrixXcd work = a;
  out.values.resize(n);
  out.right.resize(n, n);
  require_converged(LAPACKE_zgeev(LAPACK_COL_MAJOR, 'N', 'V', lapack(n), work.data(), lapack(n),
                                  out.values.data(), nullptr, 1, out.right.data(), lapack(n)),
                    a, eigen);
  out.condition = std::numeric_limits<double>::infinity();
  work = out.right;
  MatrixXcd inverse = MatrixXcd::Identity(n, n);
  std::vector<lapack_int> pivots(static_cast<std::size_t>(n));
  if (LAPACKE_zgesv(LAPACK_COL_MAJOR, lapack(n), lapack(n), work.data(), lapack(n), pivots.data(),
                    inverse.data(), lapack(n)) != 0)
    return out;
  out.inverse = std::move(inverse);
  out.condition = out.right.cwiseAbs().colwise().sum().maxCoeff() *
                  out.inverse.cwiseAbs().colwise().sum().maxCoeff();
  return out;
}

std::optional<EigenSystem> rightmost_eigenvalues(const Product& product, Index n, Index count) {
  struct Operator {
    using Scalar = double;
    const Product& product;
    Index n;
    Index rows() const { return n; }
    Index cols() const { return n; }
    void perform_op(const double* x, double* y) const { product(x, y); }
  } operation{product, n};
  // Two more than asked for: a pair is never cut in two, and a close second doesn't slow the first.
  const Index wanted = std::min(count + 2, n - 2);
  // A spectrum of many equal eigenvalues breaks the iteration down, and what it then calls
  // converged need not be an eigenvalue: each is checked against the product, and another start is
  // tried where the first `count` are not.
  for (std::uint64_t attempt = 0; attempt < 8 && wanted > 0; ++attempt) {
    Spectra::GenEigsSolver<Operator> solver(operation, wanted,
                                            std::min<Index>(n, std::max<Index>(40, 3 * wanted)));
    const RandomStream stream(attempt, "rightmost_eigenvalue");
    VectorXd start(n);
    for (Index i = 0; i < n; ++i) start[i] = stream.normal(static_cast<std::uint64_t>(i));
    solver.init(start.data());
    solver.compute(Spectra::SortRule::LargestReal, 200, 1e-8);
    if (solver.info() != Spectra::CompInfo::Successful) continue;
    EigenSystem found{solver.eigenvalues(), solver.eigenvectors(), {}};
    std::vector<Index> order = rightmost_first(found.values);
    const auto is_eigenvalue = [&](Index k) {
      const VectorXd re = found.right.col(k).real(), im = found.right.col(k).imag();
      VectorXd a_re(n), a_im(n);
      product(re.data(), a_re.data());
      product(im.data(), a_im.data());
      const std::complex<double> i(0, 1), value = found.values[k];
      const double off = (a_re + i * a_im - value * found.right.col(k)).norm();
      return off <= 1e-6 * std::max(1.0, std::abs(value)) * found.right.col(k).norm();
    };
    auto keep = static_cast<std::size_t>(std::min<Index>(count, wanted));
    if (keep > order.size()) continue;
    if (keep < order.size() && found.values[order[keep - 1]].imag() > 0) ++keep;
    order.resize(keep);
    if (!std::all_of(order.begin(), order.end(), is_eigenvalue)) continue;
    return EigenSystem{found.values(order), found.right(Eigen::all, order), {}};
  }
  return std::nullopt;
}

double spectral_abscissa(const MatrixXd& a) {
  if (a.rows() == 0) return -std::numeric_limits<double>::infinity();
  return eigenvalues(a)[0].real();
}

double numerical_abscissa(const MatrixXd& a) {
  const Index n = a.rows();
  if (n == 0) return -std::numeric_limits<double>::infinity();
  require_finite(a, eigen);
  MatrixXd symmetric = (a + a.transpose()) / 2;
  VectorXd values(n);
  require_converged(LAPACKE_dsyev(LAPACK_COL_MAJOR, 'N', 'U', lapack(n), symmetric.data(),
                                  lapack(n), values.data()),
                    a, eigen);
  return values[n - 1];
}

double spectral_norm(const MatrixXd& a) {
  const Index m = a.rows(), n = a.cols();
  if (m == 0 || n == 0) return 0;
  require_finite(a, singular);
  MatrixXd work = a;
  VectorXd s(std::min(m, n));
  require_converged(LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', lapack(m), lapack(n), work.data(),
                                   lapack(m), s.data(), nullptr, 1, nullptr, 1),
                    a, singular);
  return s[0];
}

MatrixXd exponential(const MatrixXd& a) { return a.exp(); }

Resolvent::Resolvent(const MatrixXd& a)
    : u_(a.rows(), a.cols()), t_(a.cast<std::complex<double>>()) {
  const Index n = a.rows();
  if (n == 0) return;
  require_finite(a, eigen);
  VectorXcd values(n);
  lapack_int selected = 0;
  require_converged(LAPACKE_zgees(LAPACK_COL_MAJOR, 'V', 'N', nullptr, lapack(n), t_.data(),
                                  lapack(n), &selected, values.data(), u_.data(), lapack(n)),
                    a, eigen);
}

MatrixXcd Resolvent::response(std::complex<double> z, const MatrixXcd& output,
                              const MatrixXcd& input) const {
  MatrixXcd shifted = -t_;
  shifted.diagonal().array() += z;
  return output * shifted.triangularView<Eigen::Upper>().solve(input);
}

double Resolvent::smallest_singular_value(std::complex<double> z) const {
  const Index n = size();
  if (n == 0) return std::numeric_limits<double>::infinity();
  MatrixXcd shifted = -t_;
  shifted.diagonal().array() += z;
  if ((shifted.diagonal().array() == 0.0).any()) return 0;
  const auto upper = shifted.triangularView<Eigen::Upper>();
  // Lanczos on (SᴴS)⁻¹, whose largest eigenvalue is 1/σ². Fully orthogonalised: few steps are
  // needed.
  const Index most = std::min<Index>(n, 100);
  MatrixXcd basis(n, most);
  VectorXd alpha = VectorXd::Zero(most), beta = VectorXd::Zero(most);
  const RandomStream stream(1, "smallest_singular_value");
  VectorXcd v(n);
  for (Index i = 0; i < n; ++i)
    v[i] = {stream.normal(static_cast<std::uint64_t>(2 * i)),
            stream.normal(static_cast<std::uint64_t>(2 * i + 1))};
  v.normalize();
  double largest = 0;
  for (Index k = 0; k < most; ++k) {
    basis.col(k) = v;
    v = shifted.adjoint().triangularView<Eigen::Lower>().solve(v);
    v = upper.solve(v);
    if (!v.allFinite()) return 0;
    alpha[k] = basis.col(k).dot(v).real();
    for (int twice = 0; twice < 2; ++twice)
      v -= basis.leftCols(k + 1) * (basis.leftCols(k + 1).adjoint() * v);
    VectorXd diagonal = alpha.head(k + 1), below = beta.head(k + 1);
    if (LAPACKE_dsterf(lapack(k + 1), diagonal.data(), below.data()) != 0) break;
    const double before = std::exchange(largest, diagonal[k]);
    beta[k] = v.norm();
    const bool is_invariant = !(beta[k] > 1e-14 * largest);
    if (is_invariant || (k > 2 && largest - before <= 1e-8 * largest)) break;
    v /= beta[k];
  }
  return 1 / std::sqrt(largest);
}

SingularValues svd(const MatrixXd& a) {
  const Index m = a.rows(), n = a.cols(), k = std::min(m, n);
  SingularValues out{MatrixXd(m, k), VectorXd(k), MatrixXd(k, n)};
  if (k == 0) return out;
  require_finite(a, singular);
  MatrixXd work = a;
  require_converged(
      LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'S', lapack(m), lapack(n), work.data(), lapack(m),
                     out.s.data(), out.u.data(), lapack(m), out.vt.data(), lapack(k)),
      a, singular);
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
  LAPACKE_dgeqrf(LAPACK_COL_MAJOR, lapack(m), lapack(n), q.data(), lapack(m), tau.data());
  const VectorXd r = q.diagonal();
  LAPACKE_dorgqr(LAPACK_COL_MAJOR, lapack(m), lapack(n), lapack(n), q.data(), lapack(m),
                 tau.data());
  for (Index j = 0; j < n; ++j)
    if (r[j] < 0) q.col(j) = -q.col(j);
  return q;
}

std::optional<MatrixXd> solve_linear(const MatrixXd& a, const MatrixXd& b) {
  const Index n = a.rows();
  MatrixXd factors = a, x = b;
  if (n == 0) return x;
  std::vector<lapack_int> pivots(static_cast<std::size_t>(n));
  const double norm =
      LAPACKE_dlange(LAPACK_COL_MAJOR, '1', lapack(n), lapack(n), a.data(), lapack(n));
  if (LAPACKE_dgetrf(LAPACK_COL_MAJOR, lapack(n), lapack(n), factors.data(), lapack(n),
                     pivots.data()) != 0)
    return std::nullopt;
  double reciprocal = 0;
  LAPACKE_dgecon(LAPACK_COL_MAJOR, '1', lapack(n), factors.data(), lapack(n), norm, &reciprocal);
  if (!(reciprocal > std::numeric_limits<double>::epsilon())) return std::nullopt;
  LAPACKE_dgetrs(LAPACK_COL_MAJOR, 'N', lapack(n), lapack(b.cols()), factors.data(), lapack(n),
                 pivots.data(), x.data(), lapack(n));
  return x;
}

bool LuFactors::factorise(const MatrixXd& a) {
  const lapack_int n = lapack(a.rows());
  factors_ = a;
  exchanged_.resize(static_cast<std::size_t>(n));
  if (n == 0) return true;
  return LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, n, n, factors_.data(), n, exchanged_.data()) == 0 &&
         factors_.allFinite();
}

double LuFactors::pivot_ratio() const {
  if (size() == 0) return 1;
  const auto pivots = factors_.diagonal().cwiseAbs();
  return pivots.minCoeff() / pivots.maxCoeff();
}

void LuFactors::solve(Eigen::Ref<VectorXd> b) const {
  for (Index k = 0; k < size(); ++k)
    std::swap(b[k], b[exchanged_[static_cast<std::size_t>(k)] - 1]);
  factors_.triangularView<Eigen::UnitLower>().solveInPlace(b);
  factors_.triangularView<Eigen::Upper>().solveInPlace(b);
}

std::optional<VectorXd> solve_linear(const Product& product, const VectorXd& b, double tolerance) {
  const ProductMatrix a(product, b.size());
  Eigen::GMRES<ProductMatrix, Eigen::IdentityPreconditioner> solver;
  solver.set_restart(100);
  solver.setMaxIterations(1000);
  solver.setTolerance(tolerance);
  solver.compute(a);
  VectorXd x = solver.solve(b);
  if (solver.info() != Eigen::Success || !x.allFinite()) return std::nullopt;
  return x;
}

std::optional<MatrixXd> solve_lyapunov(const MatrixXd& a, const MatrixXd& c) {
  const Index n = a.rows();
  MatrixXd t = a, u(n, n);
  VectorXd re(n), im(n);
  lapack_int selected = 0;
  if (LAPACKE_dgees(LAPACK_COL_MAJOR, 'V', 'N', nullptr, lapack(n), t.data(), lapack(n), &selected,
                    re.data(), im.data(), u.data(), lapack(n)) != 0)
    return std::nullopt;
  MatrixXd y = u.transpose() * c * u;
  double scale = 1.0;
  // T Y + Y Tᵀ = scale · UᵀCU; a positive info says that close eigenvalues were perturbed.
  if (LAPACKE_dtrsyl(LAPACK_COL_MAJOR, 'N', 'T', 1, lapack(n), lapack(n), t.data(), lapack(n),
                     t.data(), lapack(n), y.data(), lapack(n), &scale) != 0)
    return std::nullopt;
  return u * y * u.transpose() / scale;
}

}  // namespace settle::core
