// A loop broken at one place: its characteristic loci, and how much gain, phase and delay the
// closed loop bears there.
#pragma once

#include <Eigen/Core>
#include <limits>
#include <string>

namespace settle::analysis {

using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXcd;
using Eigen::VectorXd;

/// A linear loop that is broken at v: without it ẋ = A x + B v, y = C x, and v = y closes it,
///
///     ẋ = (A + B C) x,        L(s) = −C (s I − A)⁻¹ B
///
/// A is n × n, B n × p, C p × n, all finite; n and p may be 0. L (p × p) is the return ratio with
/// the sign under which −1 is the critical point. Its eigenvalues λ_k(iω) are the characteristic
/// loci, p of them: where B C has a lower rank r, p − r are 0, and a B and C of width r give the
/// same loop without these. The margins speak of a common factor f of all channels, L → f L, with
/// which the poles are those of A + f B C.
struct BrokenLoop {
  MatrixXd a, b, c;
};

/// A + κ B C (n × n).
MatrixXd closed_loop(const BrokenLoop& loop, double gain = 1);

struct FrequencyOptions {
  Index points = 400;  ///< ≥ 2
  double lowest = 0;   ///< rad/time; 0: a tenth of the smallest modulus of a pole other than 0
  double highest = 0;  ///< rad/time, > lowest; 0: ten times the largest modulus of a pole
};

/// Rising frequencies (rad/time), logarithmically spaced, and closer together about lightly damped
/// poles: in equal steps of
///
///     G(ω) = ∫ max(1, ω/d(ω)) d ln ω,        d(ω) = min_k |iω − p_k| ≥ ω/1000
///
/// so that a resonance of width Re p has a fair share of the points. Without a pole other than 0
/// they go from 0.1 to 10.
/// @throws std::invalid_argument  where the options are out of their bounds
VectorXd frequency_grid(const VectorXcd& poles, const FrequencyOptions& options = {});

struct FrequencyResponse {
  VectorXd frequency;          ///< ω, rad/time, rising; N
  MatrixXcd loci;              ///< λ_k(iω_j), N × p
  VectorXd largest, smallest;  ///< singular values of L(iω_j); N
};

/// The loop's characteristic loci and singular values over frequency_grid() of the poles of A and
/// of A + B C. Each column of `loci` is one continuous curve: the eigenvalues of neighbouring
/// frequencies are joined so that the sum of the squared distances to where each curve heads is
/// least, with frequencies between them where that leaves a doubt. Curve 0 is the largest at the
/// lowest frequency, and so on. A frequency at which iω is an eigenvalue of A is moved by a
/// relative 1e-9 or so.
/// @throws std::invalid_argument  where A, B and C don't make a loop or are not finite
/// Sources: MacFarlane and Postlethwaite, "The generalized Nyquist stability criterion and
/// multivariable root loci", Int. J. Control 25 (1977) 81; Skogestad and Postlethwaite,
/// "Multivariable Feedback Control", 2nd ed., section 4.9.
FrequencyResponse frequency_response(const BrokenLoop& loop, const FrequencyOptions& options = {});

/// One margin and the frequency at which a pole reaches the axis there.
struct Margin {
  static constexpr double nan = std::numeric_limits<double>::quiet_NaN();

  double value = nan;
  double frequency = nan;  ///< ω, rad/time, 0 for a real pole; NaN where no pole reaches the axis
  std::string reason;      ///< why `value` is NaN, ∞ or 0, or in doubt; else empty
};

struct StabilityMargins {
  double abscissa = Margin::nan;  ///< max Re λ(A + B C), 1/time; −∞ without a state
  /// The smallest κ > 1 at which a pole of A + κ B C reaches the axis; ∞ where none does up to
  /// MarginOptions::gain_limit.
  Margin gain_up;
  /// The largest κ in [0, 1) at which one does; 0 where the loop may be weakened at will.
  Margin gain_down;
  /// The smallest θ in (0, π], in rad, of a lag (f = e^{−iθ}) or lead (f = e^{iθ}) of all
  /// frequencies at which one does; ∞ where no locus reaches modulus 1.
  Margin phase;
  bool phase_is_lag = true;  ///< whether that is a lag
  /// The smallest delay T > 0 (f = e^{−sT}) at which one does, in units of time; ∞ likewise.
  Margin delay;
};

struct MarginOptions {
  double gain_limit = 1e6;  ///< > 1: κ is looked for from its inverse, or 0 if A is unstable, to it
  double gain_step = 1.15;  ///< > 1: largest ratio of trial gains; its (n/200)³-th power if n > 200
  Index samples = 2000;     ///< of the loci, at most; ≥ 100. Margins say where it was too few
};

/// The margins of the closed loop. All are NaN, with the reason, where it is not stable by more
/// than the eigenvalues' rounding error: unstable, or with a pole on the imaginary axis.
///
/// The loci are followed along the whole axis from ω = 0, through the eigenvalues t_k of
///
///     T(iω) = C (iω I − A − B C)⁻¹ B,        λ_k = −t_k/(1 + t_k),
///
/// which for a stable closed loop are bounded everywhere, also at the poles of A, and vary on the
/// scale of the distance from iω to the closed loop's poles. So the samples are no further apart
/// than a quarter of that; they are halved wherever the curvature of a locus leaves open whether
/// it crosses the circle |λ| = 1 (Re t = −½) or the negative real axis (Im t = 0) between two of
/// them; and each crossing is refined along its locus to a relative 1e-12 in ω. Phase and delay
/// margin are the nearest of the crossings of the circle, and confirmed: at (ω, f) an eigenvalue
/// of f L(iω), from the open loop's own resolvent (the closed loop's, where iω is all but a pole of
/// A), is −1 to 1e-6, or the margin is NaN, with that as its reason.
///
/// The gain margins are changes of sign of the spectral abscissa of A + κ B C, found to a relative
/// 1e-10 (and the eigenvalues' rounding error) by nearest_sign_change() from κ = 1 in steps of at
/// most `gain_step`, which also looks on both sides of each κ at which a locus crosses the negative
/// real axis. So a window of unstable gains is missed only where it is narrower than a step and the
/// samples of the loci miss it too.
///
/// Cost: an eigenvalue problem of size n a trial gain (about 200 of them), one of size p and n²p
/// operations a sample (some hundred, more with lightly damped poles): seconds at n = 400, p = 100.
/// @throws std::invalid_argument  where A, B and C don't make a loop or are not finite, or the
///                                options are out of their bounds
/// Sources: Skogestad and Postlethwaite, 2nd ed., sections 2.4 and 4.9; MacFarlane and
/// Postlethwaite (1977).
StabilityMargins stability_margins(const BrokenLoop& loop, const MarginOptions& options = {});

}  // namespace settle::analysis
