// Decompositions of dense matrices: the one file that instantiates Eigen's and LAPACK's.
#pragma once

#include <Eigen/Core>
#include <complex>
#include <functional>
#include <optional>
#include <vector>

namespace settle::core {

using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXcd;
using Eigen::VectorXd;

/// Eigenvalues λ of a square matrix, rightmost first (of equal real part: the larger imaginary part
/// first). LAPACK dgeev, zgeev.
/// @throws std::runtime_error  where the QR iteration does not converge, or A is not finite
VectorXcd eigenvalues(const MatrixXd& a);
VectorXcd eigenvalues(const MatrixXcd& a);

/// A = V diag(λ) V⁻¹: eigenvalues, rightmost first, with A V = V diag(λ) and Wᴴ A = diag(λ) Wᴴ.
struct EigenSystem {
  VectorXcd values;  ///< λ
  MatrixXcd right;   ///< V, columns of norm 1
  MatrixXcd left;    ///< W, columns of norm 1; empty where they were not computed
};
/// All of them. LAPACK dgeev. @throws std::runtime_error  where the iteration does not converge, or A is not finite
EigenSystem eigen_system(const MatrixXd& a);

/// A = V D V⁻¹ in real arithmetic. A real eigenvalue λ has one column v of V; a conjugate pair
/// λ = σ ± iω (ω > 0 first) has two, Re v and −Im v, so that coordinates (a, b) stand for the complex
/// c = a + ib that obeys ċ = λ c where ẋ = A x.
struct RealModes {
  VectorXcd values;      ///< n; a pair in two neighbouring places
  MatrixXd right;        ///< V
  MatrixXd inverse;      ///< V⁻¹; empty where V is singular to working precision
  double condition = 1;  ///< ‖V‖₁ ‖V⁻¹‖₁; +∞ where V is singular
};
/// LAPACK dsyevd where A is symmetric to rounding (then V is orthogonal), else dgeev.
/// @throws std::runtime_error  where the iteration does not converge, or A is not finite
RealModes real_modes(const MatrixXd& a);

/// A = V diag(λ) V⁻¹ of a complex matrix. LAPACK zgeev.
struct ComplexModes {
  VectorXcd values;
  MatrixXcd right;
  MatrixXcd inverse;
  double condition = 1;  ///< as above
};
/// @throws std::runtime_error  where the iteration does not converge, or A is not finite
ComplexModes complex_modes(const MatrixXcd& a);

/// Product y = A x of a matrix that is known by it alone.
using Product = std::function<void(const double* x, double* y)>;

/// The `count` rightmost eigenvalues of an n × n real matrix (one more where a conjugate pair would
/// be cut in two) with right eigenvectors, by restarted Arnoldi iteration to a relative 1e-8, each
/// checked by its residual to 1e-6; nullopt where that does not converge. Deterministic: it starts
/// from fixed vectors. Source: Spectra's GenEigsSolver.
std::optional<EigenSystem> rightmost_eigenvalues(const Product& product, Index n, Index count);

/// Spectral abscissa max Re λ(A); −∞ for an empty matrix. @throws std::runtime_error  as eigenvalues()
double spectral_abscissa(const MatrixXd& a);

/// Numerical abscissa ω(A) = λ_max((A + Aᵀ)/2), the initial growth rate max d‖e^{At}‖/dt at t = 0;
/// −∞ for an empty matrix. LAPACK dsyev. @throws std::runtime_error  as eigenvalues()
double numerical_abscissa(const MatrixXd& a);

/// ‖A‖₂, the largest singular value; 0 for an empty matrix. @throws std::runtime_error  as svd()
double spectral_norm(const MatrixXd& a);

/// e^A, by scaling and squaring of a Padé approximant. Source: Eigen's MatrixFunctions.
MatrixXd exponential(const MatrixXd& a);

/// The resolvent (z I − A)⁻¹ of a real n × n matrix at many z, from one complex Schur decomposition
/// A = U T Uᴴ (LAPACK zgees): n² operations a right-hand side instead of n³.
class Resolvent {
 public:
  /// @throws std::runtime_error  where the QR iteration does not converge, or A is not finite
  explicit Resolvent(const MatrixXd& a);

  Index size() const { return t_.rows(); }
  /// Uᴴ B and C U, for response().
  MatrixXcd input(const MatrixXd& b) const { return u_.adjoint() * b; }
  MatrixXcd output(const MatrixXd& c) const { return c * u_; }
  /// C (z I − A)⁻¹ B, of what input() and output() gave; not finite where z is an eigenvalue.
  MatrixXcd response(std::complex<double> z, const MatrixXcd& output, const MatrixXcd& input) const;
  /// σ_min(z I − A) = 1/‖(z I − A)⁻¹‖₂ to a relative 1e-6, by Lanczos iteration on the inverse; 0
  /// where z is an eigenvalue.
  double smallest_singular_value(std::complex<double> z) const;

 private:
  MatrixXcd u_, t_;
};

struct SingularValues {
  MatrixXd u;   ///< m × k, k = min(m, n)
  VectorXd s;   ///< k, falling
  MatrixXd vt;  ///< k × n
};
/// Thin singular value decomposition A = U diag(s) Vᵀ. LAPACK dgesdd.
/// @throws std::runtime_error  where the iteration does not converge, or A is not finite
SingularValues svd(const MatrixXd& a);

/// Moore–Penrose pseudoinverse A⁺ (n × m); singular values below max(m, n)·ε·σ_max count as zero.
/// @throws std::runtime_error  as svd()
MatrixXd pseudoinverse(const MatrixXd& a);

/// A with orthonormal columns (m ≥ n) or rows (m < n): Q of the QR decomposition of a random
/// matrix, signs fixed so that R's diagonal is positive (then Q is Haar-distributed for normal A).
MatrixXd orthonormalised(const MatrixXd& a);

/// x with A x = b, by LU with partial pivoting; nullopt where A is singular to working precision.
std::optional<MatrixXd> solve_linear(const MatrixXd& a, const MatrixXd& b);

/// P A = L U of a square matrix, for many right-hand sides. LAPACK dgetrf. Allocates nothing where the size is that of the last matrix.
class LuFactors {
 public:
  /// False where a pivot is zero or anything is not finite.
  bool factorise(const MatrixXd& a);
  Index size() const { return factors_.rows(); }
  /// |smallest pivot| / |largest|; 1 for an empty matrix.
  double pivot_ratio() const;
  /// b ← A⁻¹ b
  void solve(Eigen::Ref<VectorXd> b) const;

 private:
  MatrixXd factors_;            // U, and below the diagonal L
  std::vector<int> exchanged_;  // row k with this one, counted from 1, in turn
};

/// x with ‖A x − b‖₂ ≤ tolerance · ‖b‖₂, of a matrix that is known by its product alone, by restarted
/// GMRES; nullopt where that is not reached. Source: Eigen's GMRES.
std::optional<VectorXd> solve_linear(const Product& product, const VectorXd& b, double tolerance);

/// X with A X + X Aᵀ = C, by the real Schur form A = U T Uᵀ (Bartels–Stewart; LAPACK dgees,
/// dtrsyl). nullopt where A and −A share an eigenvalue to working precision.
std::optional<MatrixXd> solve_lyapunov(const MatrixXd& a, const MatrixXd& c);

}  // namespace settle::core
