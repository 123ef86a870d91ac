// How far a stable linear system grows before it decays: norms of e^{At} and of (zI − A)⁻¹.
#pragma once

#include <complex>
#include <limits>
#include <optional>
#include <string>

#include "sim/core/linalg.hpp"

namespace settle::analysis {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// A is the real square matrix of ẋ = A x. Norms are 2-norms, so that every number here depends on
// the coordinates of x, and σ(z) = σ_min(zI − A) = 1/‖(zI − A)⁻¹‖. Rounding is n ε ‖A‖_F, with the
// ε of double precision: A is unstable where its spectral abscissa α(A) lies above it, stable where
// below minus it, and has eigenvalues on the axis between; a σ below it means little.
//
// `reason` is empty where the number exists and is what it says. Else it says why not, and the
// number is NaN, +∞ or a lower bound. std::invalid_argument is thrown where A is not square.

/// max ‖e^{At}‖ over t ≥ 0.
struct TransientGrowth {
  double value = std::numeric_limits<double>::quiet_NaN();
  double time = std::numeric_limits<double>::quiet_NaN();  ///< +∞ where the norm only tends to it
  /// No ‖e^{At}‖ is larger, but for rounding; +∞ where no bound was found.
  double upper_bound = std::numeric_limits<double>::quiet_NaN();
  Index evaluations = 0;  ///< of ‖e^{At}‖ in the search
  std::string reason;
};

struct TransientOptions {
  double tolerance = 1e-3;  ///< upper_bound ≤ (1 + tolerance) value; in (0, 1]
  /// At most, beyond those that find the horizon and sharpen the peak. Default 1000 + 2·10¹⁰/n³,
  /// but no more than 10⁵: some ten seconds.
  std::optional<Index> evaluations;
};

/// sup_{t ≥ 0} ‖e^{At}‖₂ and when: a maximum over samples between which none can be missed. With
/// E(t) = e^{At}, the numerical abscissa ω and G(h) = max_{s ≤ h} ‖E(s)‖ ≤ e^{ωh}, for s in [0, h]
///
///     ‖E(t + s)‖ ≤ G(h) ‖E(t)‖,
///     ‖E(t + s)‖ ≤ max(‖E(t)‖, ‖E(t + h)‖) + (h²/8) G(h) ‖A²E(t)‖
///
/// (linear interpolation and its remainder). [0, T] is halved until one of them is at most
/// (1 + tolerance) times the largest norm met, G(h) being what was found before on [0, h]. T is
/// a power of two with ‖E(T)‖ ≤ 1, after which no norm is larger than one before. The peak is then
/// sharpened with fresh exponentials: `value` is ‖e^{A·time}‖, a local maximum.
///
/// 1 at t = 0 where ω ≤ 0 to rounding. +∞ where A is unstable, or where an eigenvalue on the axis
/// makes the norm double with time. With other eigenvalues on the axis it is the number where
/// e^{At} tends to a projection (integrators), and else a lower bound, the maximum up to where the
/// evaluations end. A lower bound, too, where they end before a stable A's search. NaN where
/// the norm overflows.
///
/// Accuracy: ‖e^{At}‖ is good to a relative n ε t ‖A‖ and n ε value. Cost: three products and an
/// SVD an evaluation, mostly 20 to 200 of them; 3 s at n = 400.
TransientGrowth transient_growth(const MatrixXd& a, const TransientOptions& options = {});

/// α_ε(A) and the point of the ε-pseudospectrum where it is attained.
struct PseudospectralAbscissa {
  double value = std::numeric_limits<double>::quiet_NaN();
  std::complex<double> at = value;  ///< Im ≥ 0; its conjugate is another
  std::string reason;
};

/// α_ε(A) = max { Re z : σ(z) ≤ ε }, the largest real part that an eigenvalue of A + E can have
/// with a complex ‖E‖₂ ≤ ε. By the criss-cross algorithm: on the vertical line through the best x,
/// the imaginary eigenvalues iy of the Hamiltonian matrix
///
///     [A − xI, εI; −εI, −(A − xI)ᵀ]
///
/// are where σ(x + iy) = ε; from the middle between two of them, where σ < ε, the search goes right
/// to where σ = ε again. That step brackets a crossing on σ itself, n² operations an evaluation,
/// where the source takes the rightmost one from a complex eigenproblem of size 2n: what lies
/// further right is seen by the next vertical line, so that it is as global, and near the maximum
/// the crossing is the same one, so that it converges quadratically as well.
///
/// ε > 0. NaN where ε is not above rounding.
/// Accuracy: the true value is less than 10⁻⁶ (α_ε − α) larger. Cost: the eigenvalues of one to
/// five real matrices of size 2n; 1 s at n = 400.
/// @throws std::invalid_argument  where ε is not positive and finite
/// Source: Burke, Lewis & Overton, "Robust stability and a criss-cross algorithm for
/// pseudospectra", IMA J. Numer. Anal. 23 (2003).
PseudospectralAbscissa pseudospectral_abscissa(const MatrixXd& a, double epsilon);

/// β(A) and where on the imaginary axis it is attained.
struct DistanceToInstability {
  double value = std::numeric_limits<double>::quiet_NaN();
  double frequency =
      std::numeric_limits<double>::quiet_NaN();  ///< y ≥ 0, in rad/time; −y is another
  std::string reason;
};

/// β(A) = min_y σ(iy), the norm of the smallest complex E that makes A + E unstable (the complex
/// stability radius). 0, at the frequency of the rightmost eigenvalue, where A is not stable to
/// rounding. By level sets: the Hamiltonian matrix of pseudospectral_abscissa() at x = 0, with a
/// level just below the smallest σ met in place of ε, either has no imaginary eigenvalue, or they
/// show where σ is lower still.
///
/// Accuracy: the true value is less than a relative 10⁻⁶, or rounding, smaller. Cost: the
/// eigenvalues of one to three real matrices of size 2n; 1 s at n = 400.
/// Sources: Boyd & Balakrishnan, Syst. Control Lett. 15 (1990); Bruinsma & Steinbuch, Syst. Control
/// Lett. 14 (1990); Byers, SIAM J. Sci. Stat. Comput. 9 (1988).
DistanceToInstability distance_to_instability(const MatrixXd& a);

/// K(A) and the point where it is attained.
struct KreissConstant {
  double value = std::numeric_limits<double>::quiet_NaN();
  double upper_bound = std::numeric_limits<double>::quiet_NaN();  ///< +∞ where none was found
  /// Im ≥ 0; its conjugate is another. Infinite where no z gave more than 1, the limit |z| → ∞.
  std::complex<double> at = value;
  std::string reason;
};

/// K(A) = sup_{ε > 0} α_ε(A)/ε = sup_{Re z > 0} Re z ‖(zI − A)⁻¹‖, for which
/// 1 ≤ K ≤ sup_t ‖e^{At}‖ ≤ e n K (the Kreiss matrix theorem).
///
/// φ(x) = min_y σ(x + iy) is the inverse of ε ↦ α_ε, so that K = sup_{x > 0} x/φ(x), a search over
/// vertical lines, each by the level sets of distance_to_instability(). By Hadamard's three lines
/// −ln φ is convex: between two lines ln(x/φ(x)) lies below ln x plus their chord, and beyond the
/// last x/φ(x) ≤ x/(x − ω) with the numerical abscissa ω. The next line is where that is largest,
/// until it is at most (1 + tolerance) times the best ratio; its point is then sharpened to a local
/// maximum. The result is global: K is no smaller than `value` and no larger than `upper_bound`,
/// which is at most (1 + tolerance) `value`; `tolerance` in [10⁻⁵, 1].
///
/// 1 where ω ≤ 0 to rounding. +∞ where A is unstable or has an eigenvalue on the axis that is not
/// semisimple. A lower bound with other eigenvalues on the axis (the largest found for
/// Re z > 1000 times rounding, by descent from the eigenvalues' heights) and where φ is lost in
/// rounding. Cost: ten to twenty lines; 3 to 10 s at n = 400.
/// Source: Trefethen & Embree, "Spectra and Pseudospectra" (2005), sections 14 and 18.
KreissConstant kreiss_constant(const MatrixXd& a, double tolerance = 1e-3);

/// A rectangle of the complex plane.
struct Region {
  double re_min, re_max, im_min, im_max;
};

/// The region that holds all eigenvalues and the origin, with a margin of three tenths of its
/// longer side (of 1 where that is 0) all around.
/// @throws std::invalid_argument  where A is empty or not finite
Region spectral_region(const MatrixXd& a);

struct PseudospectrumOptions {
  std::optional<Region> region;            ///< default: spectral_region()
  Index re_points = 101, im_points = 101;  ///< ≥ 2
};

/// σ(z) on a grid of the complex plane; all of it empty where there is a reason.
struct Pseudospectrum {
  VectorXd re, im;  ///< rising, from end to end of the region
  MatrixXd sigma;   ///< im.size() × re.size()
  std::string reason;
};

/// σ_min(zI − A) on a grid, whose contour at ε bounds the ε-pseudospectrum. A row whose mirror
/// image about the real axis is on the grid is computed once. Rows in parallel, with the same bits
/// for any number of threads.
///
/// Accuracy: a relative 10⁻⁶, or rounding. Cost: n² operations a point; 5 s of one core for the
/// default grid at n = 400.
/// @throws std::invalid_argument  where the region is empty or a side has fewer than two points
Pseudospectrum pseudospectrum(const MatrixXd& a, const PseudospectrumOptions& options = {});

}  // namespace settle::analysis
