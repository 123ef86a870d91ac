// Decompositions of dense matrices: the one file that instantiates Eigen's and LAPACK's.
#pragma once

#include <Eigen/Core>
#include <complex>
#include <functional>
#include <optional>

namespace settle::core {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Eigenvalues λ of a square real matrix, rightmost first (a conjugate pair: positive imaginary
/// part first). LAPACK dgeev. @throws std::runtime_error  where the QR iteration does not converge
Eigen::VectorXcd eigenvalues(const MatrixXd& a);

/// The rightmost eigenvalue (imaginary part ≥ 0) of an n × n real matrix that is known by its
/// product y = A x alone, by restarted Arnoldi iteration to a relative 1e-8, checked by its
/// residual to 1e-6; nullopt where that does not converge. Deterministic: it starts from fixed
/// vectors. Source: Spectra's GenEigsSolver.
std::optional<std::complex<double>> rightmost_eigenvalue(
    const std::function<void(const double* x, double* y)>& product, Index n);

/// Spectral abscissa max Re λ(A); −∞ for an empty matrix.
double spectral_abscissa(const MatrixXd& a);

struct SingularValues {
  MatrixXd u;   ///< m × k, k = min(m, n)
  VectorXd s;   ///< k, falling
  MatrixXd vt;  ///< k × n
};
/// Thin singular value decomposition A = U diag(s) Vᵀ. LAPACK dgesdd.
SingularValues svd(const MatrixXd& a);

/// Moore–Penrose pseudoinverse A⁺ (n × m); singular values below max(m, n)·ε·σ_max count as zero.
MatrixXd pseudoinverse(const MatrixXd& a);

/// A with orthonormal columns (m ≥ n) or rows (m < n): Q of the QR decomposition of a random
/// matrix, signs fixed so that R's diagonal is positive (then Q is Haar-distributed for normal A).
MatrixXd orthonormalised(const MatrixXd& a);

/// x with A x = b, by LU with partial pivoting; nullopt where A is singular to working precision.
std::optional<MatrixXd> solve_linear(const MatrixXd& a, const MatrixXd& b);

/// X with A X + X Aᵀ = C, by the real Schur form A = U T Uᵀ (Bartels–Stewart; LAPACK dgees,
/// dtrsyl). nullopt where A and −A share an eigenvalue to working precision.
std::optional<MatrixXd> solve_lyapunov(const MatrixXd& a, const MatrixXd& c);

}  // namespace settle::core
