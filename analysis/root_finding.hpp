// The nearest place where a scalar function changes its sign: the boundary of a stable region.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace settle::analysis {

/// f(x); NaN where it does not exist (an equilibrium that is no longer there, say).
using ScalarFunction = std::function<double(double)>;

enum class Spacing { linear, logarithmic };

/// How nearest_sign_change() walks from x₀ towards x₁. The first step is `first_step`, each one is
/// `growth` times the last, none is longer than `largest_fraction` (linear: of |x₁ − x₀|) or
/// `largest_ratio` (logarithmic: x_{k+1}/x_k or its inverse). So a window of the other sign is
/// found for certain where it is wider than the steps there: 0.1 % next to x₀, 15 % (or 2 % of the
/// way) far from it. A narrower one is found where |f| shows a local minimum at the points beside
/// it, whose parabola comes near 0: it is then followed to its lowest point.
struct ScanOptions {
  Spacing spacing = Spacing::logarithmic;
  double first_step = 1e-3;        ///< of |x₁ − x₀| (linear) or of |x| (logarithmic), > 0
  double growth = 1.5;             ///< ≥ 1
  double largest_fraction = 0.02;  ///< > 0; linear alone
  double largest_ratio = 1.15;     ///< > 1; logarithmic alone
  std::vector<double> also;        ///< places that are visited too, in any order
};

struct SignChange {
  enum class End {
    found,
    limit,   ///< no change of sign up to x₁
    ceased,  ///< f is NaN from `ended_at` on, with no change of sign before
  };
  static constexpr double nan = std::numeric_limits<double>::quiet_NaN();

  End end = End::limit;
  double where = nan;                ///< NaN where none was found
  double before = nan, after = nan;  ///< its bracket; `before` has the sign of f(x₀) or none
  double ended_at = nan;             ///< where the search ended
  int evaluations = 0;               ///< of f
  std::string reason;                ///< why it ended, for people

  bool found() const { return end == End::found; }
};

/// The first change of sign of f on the way from x₀ = `start` to x₁ = `limit`, on either side of
/// it, to a relative 1e-10 of x (linear spacing: or 1e-12 |x₁ − x₀|, whichever is wider). A zero
/// that a step hits exactly counts, at x₀ too. Where f becomes NaN the search ends, after the
/// place has been narrowed down to a relative 1e-6 and looked through for a change of sign.
/// @param value    f(x₀), which the caller knows
/// @param options  the steps; x₀ and x₁ must have one sign, and not be 0, under logarithmic spacing
/// @throws std::invalid_argument  where x₀, x₁ or the options are out of these bounds
/// Source: Alefeld, Potra and Shi, "Algorithm 748", ACM TOMS 21 (1995), once there is a bracket.
SignChange nearest_sign_change(const ScalarFunction& f, double start, double value, double limit,
                               const ScanOptions& options = {});

/// The change of sign of f between a and b, on either side of each other, whose values f(a) and
/// f(b) are known and of opposite sign (or 0), to `relative` |x| or `absolute`, whichever is wider.
/// @throws std::invalid_argument  where f(a) and f(b) have one sign
SignChange refined_sign_change(const ScalarFunction& f, double a, double f_a, double b, double f_b,
                               double relative = 1e-10, double absolute = 0);

}  // namespace settle::analysis
