// How long the next step of a column is, and whether the last one is accepted.
#pragma once

#include <Eigen/Core>
#include <cmath>
#include <string>

#include "sim/solve/options.hpp"

namespace settle::solve {

/// Step control of an error pair: a PI controller on the error over tolerance,
///
///     h ← 0.9 h e_n^(−0.7/k) e_{n−1}^(0.4/k),   within [0.2, 5] h
///
/// after an accepted step (error ∝ h^k; not growing just after a rejection), and 0.9 h e_n^(−1/k) after
/// a rejected one.
///
/// Source: Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I, II.4 and (IV.2.43).
struct StepControl {
  double step = 0;            ///< that is tried next; 0: none is known
  double last_log_error = 0;  ///< ln of the error over tolerance of the last accepted step
  bool rejected = false;      ///< the last attempt

  struct Plan {
    double h = 0;
    bool to_stop = false;   ///< the step ends on the stop
    bool smallest = false;  ///< rounding allows no shorter one
  };
  /// A step from t that ends at `stop` at the latest, and is at most `longest`: neither is a sliver left
  /// over before the stop nor is the last step longer than wanted.
  Plan plan(double t, double stop, double longest) const;
  /// Whether a step with that error is accepted; sets the next one's length.
  bool judge(double error, const Plan& plan, int error_exponent);
  /// "the step fell to …", for a step that is the smallest and still not accepted.
  static std::string failure(double h, double error, double t, const std::string& method);
};

/// Two times that differ by rounding alone.
bool same_time(double a, double b);

/// A first step whose Euler error is about the tolerance, from the sizes over tolerance · rtol of x, ẋ and
/// the change of ẋ over an Euler step of h0. Source: Hairer, Nørsett & Wanner I, II.4.
double first_euler_step(double size, double rate, double room);
double first_step(double h0, double rate, double bend, int order, double room);

}  // namespace settle::solve
