// What drives a node from outside, as a function of time with known breakpoints.
#pragma once

#include <Eigen/Core>
#include <memory>
#include <optional>

#include "sim/core/random.hpp"
#include "sim/core/registry.hpp"

namespace settle::system {

using Eigen::MatrixXd;

/// a(t) = constant + slope (t − from) + cosine · cos ω(t − from) + sine · sin ω(t − from).
struct ProfileForm {
  double constant = 0;
  double slope = 0;
  double cosine = 0, sine = 0;
  double omega = 0;  ///< ω > 0 where the profile swings
};

/// s(t) = a(t) · V, with a scalar profile a(t) and values V (units × 1, shared by all trials, or
/// units × trials). Time is the run's, in the circuit's unit.
///
/// A profile is smooth between its breakpoints. It is evaluated by segment: `from`, the start of
/// the segment that is being integrated, tells which side of a jump counts, so that a step at t =
/// 100 is off throughout a segment that ends at 100 and on throughout one that starts there.
class Profile {
 public:
  virtual ~Profile() = default;
  virtual double value(double t, double from) const = 0;
  virtual double slope(double t, double from) const = 0;  ///< da/dt
  /// The first breakpoint after t; +∞ where there is none.
  virtual double next_breakpoint(double t) const = 0;
  /// Whether a(t) is constant between breakpoints.
  virtual bool is_piecewise_constant() const = 0;
  /// a(t) in closed form within the segment that starts at `from`; nullopt where there is none.
  virtual std::optional<ProfileForm> form(double from) const {
    if (!is_piecewise_constant()) return std::nullopt;
    return ProfileForm{.constant = value(from, from)};
  }
  /// @throws InputError  where parameters contradict each other
  virtual void check(const core::Value&, const std::string& /*path*/) const {}
  virtual void fields(core::Fields&) {}
};

/// constant, step, pulse, sine, ramp, table; `noise` draws anew for each unit and trial (below).
const core::Registry<Profile>& profiles();

/// Sample-and-hold Gaussian noise: s_ij(t) = std · z_ij(⌊t/interval⌋), z standard normal,
/// independent between units i, trials j and intervals; a fixed function of (seed, name), the same
/// for every solver.
struct Noise {
  double std = 1.0;
  double interval = 1.0;
  core::RandomStream stream{0, ""};
  Eigen::Index first_trial = 0;  ///< j of the circuit's first trial
};

}  // namespace settle::system
