// Bounds of how a decaying trial of a linear circuit moves.
#pragma once

#include <Eigen/Core>
#include <span>
#include <vector>

namespace settle::solve {

/// A trial all of whose motion decays: for every τ from the segment's beginning on, with a term for each
/// of its modes,
///
///     ‖ẋ‖∞ ≤ Σ size e^{−rate τ},   ‖x(∞) − x‖∞ ≤ Σ size/|λ| e^{−rate τ},   rate = −Re λ > 0,
///
/// where size = reach |λ y(t₀) + β₀|; and the same with spreads in place of sizes, in which the sums of families
/// add up as squares (ModeBasis, Mode). The lower one counts.
struct Decay {
  Eigen::Index trial = 0;
  std::vector<Eigen::Index> modes;     ///< of the basis
  Eigen::ArrayXd rates, sizes, poles;  ///< poles: |λ|
  Eigen::ArrayXd spreads;              ///< of modes that are of a family
  std::vector<Eigen::Index> families;  ///< of the modes; −1: of none

  double speed(double tau) const;
  double distance(double tau) const;
  /// A τ from which on speed(τ) ≤ limit (> 0).
  double time_to_slow_to(double limit) const;
  /// A quarter of the time constants, and a twelfth of the periods, of all that at τ adds more to the
  /// speed than a hundredth of `limit`; at most 1/(4 min rate).
  double resolution(double tau, double limit) const;
  /// Whether a mode that isn't real adds more to the speed at τ than a thousandth of it.
  bool swings(double tau) const;
  /// Whether bounds show that ‖ẋ‖, a norm of some of the units that is at most ‖·‖∞, is at most 0.99 times
  /// what it was from each of some rising τ to the next. `last`: it, at the last of them.
  bool falls(std::span<const double> taus, double last) const;
};

}  // namespace settle::solve
