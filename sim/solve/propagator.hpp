// The flow of a linear equation by matrix exponentials: for matrices without usable eigenvectors.
#pragma once

#include <Eigen/Core>
#include <vector>

namespace settle::solve {

/// x(τ) of ẋ = A x + f(τ), f(τ) = c₀ + c₁ τ + Σ_ω (p cos ωτ + q sin ωτ), for many columns.
///
/// With the drive's coefficients as further states the equation is homogeneous, and its flow over h is
/// x(h) = E x(0) + Σ_j F_j f_j, where E = e^{Ah} and the F_j are integrals of it. Flows over h, 2h, 4h …
/// follow by squaring, and any τ is a sum of those and a rest δ < h, over which Taylor's series
/// converges at once (‖A‖₁ h ≤ ¼). Backward stable for any A, defective ones included; no error adds up
/// over repeated calls, since each starts from τ = 0.
///
/// Source: scaling and squaring (Moler & Van Loan 2003, method 3), with its squares kept.
class Propagator {
 public:
  using Index = Eigen::Index;
  using MatrixXd = Eigen::MatrixXd;
  /// f's coefficients, n × columns each: c₀, c₁ (empty: none), then p and q for each ω.
  using Drive = std::vector<MatrixXd>;

  /// @param with_slope  whether drives have a c₁
  /// @param omegas      ω > 0 of the drives
  Propagator(MatrixXd a, bool with_slope, std::vector<double> omegas);

  Index size() const { return a_.rows(); }
  /// Carries x (n × columns) over τ ≥ 0, and the coefficients to τ as their new origin.
  void advance(double tau, MatrixXd& x, Drive& drive);
  /// A x + f at the drive's origin.
  MatrixXd derivative(const MatrixXd& x, const Drive& drive) const;

 private:
  struct Level {
    MatrixXd e;
    Drive f;
  };
  void advance_by_series(double tau, MatrixXd& x, const Drive& drive);
  void shift(double tau, Drive& drive) const;
  const Level& level(std::size_t k);

  MatrixXd a_;
  bool with_slope_;
  std::vector<double> omegas_;
  double step_ = 0;            // h of the first level
  std::vector<Level> levels_;  // over h 2^k
  MatrixXd term_, next_;       // scratch
};

}  // namespace settle::solve
