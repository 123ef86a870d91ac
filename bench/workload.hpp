// What is to be computed: the benchmark's circuits, the same for settle and for everyone else.
#pragma once

#include <Eigen/Core>
#include <string>
#include <vector>

#include "models/build.hpp"

namespace settle::bench {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Dynamic inversion of one layer by a leaky-integral controller, from zero to T, in columns: one
/// trajectory, trials with a setpoint y each, or points of a map with a leak α and a gain k each.
///
///     ṙ = −r + B u,   ξ̇ = −α ξ + W φ(r) − y,   u = k ξ
///
/// W is m × n, B n × m. A column of the state is (r, ξ), n + m numbers.
struct Workload {
  std::string name;   ///< "W1 tanh"
  std::string about;  ///< in words
  MatrixXd w, b;
  bool tanh = false;  ///< φ; else the identity
  double duration = 0;
  double rtol = 1e-6, atol = 1e-9;
  MatrixXd setpoints;     ///< m × columns
  VectorXd leaks, gains;  ///< one a column
  bool is_map = false;    ///< columns differ in leak and gain, not in the setpoint

  models::Config config;    ///< as a user writes it, without the map's axes
  system::Circuit circuit;  ///< that settle makes of it; of a map's first column

  Index inputs() const { return w.cols(); }
  Index outputs() const { return w.rows(); }
  Index dimension() const { return w.rows() + w.cols(); }
  Index columns() const { return setpoints.cols(); }
  /// The same with some of the columns.
  Workload part(const std::vector<Index>& columns) const;
  /// ẋ of one column, in the plainest way: two products and std::tanh.
  void derivative(Index column, const VectorXd& x, VectorXd& dxdt) const;
};

/// The names in the order in which they are run: "W1 tanh", "W1 identity", "W2", …
const std::vector<std::string>& workload_names();
/// @throws std::out_of_range  for a name that is not there
Workload make_workload(const std::string& name);

/// The states at T (n + m × columns), some orders more exact than the tolerance: in closed form where
/// φ is the identity, else by Odeint's fehlberg78 at a relative 1e-13 on Workload::derivative().
MatrixXd reference(const Workload& workload);

/// The states at rest (n + m × columns), to rounding: Newton's method on W φ(k B ξ) − α ξ = y, r = k B ξ,
/// from the states at T.
/// @throws std::runtime_error  where that does not converge
MatrixXd rest_reference(const Workload& workload, const MatrixXd& at_end);

/// What |x − x_ref| is measured by, a number for each column: atol + rtol · max |x_ref|.
VectorXd errors_over_tolerance(const Workload& workload, const MatrixXd& states,
                               const MatrixXd& exact);
/// Beyond it a contender has failed.
inline constexpr double failing_error = 10;

}  // namespace settle::bench
