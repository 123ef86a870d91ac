#include "analysis/path.hpp"

#include <algorithm>

namespace settle::analysis {

Path::Path(const system::OdeSystem& system, const solve::Trajectory& trajectory, int phase)
    : system_(system), trajectory_(trajectory), phase_(phase), workspace_(system.make_workspace()) {
  std::tie(first_, last_) = trajectory.of_phase(phase);
}

// The workspace stands in the interval after sample k; at the last sample, before it.
void Path::begin(std::size_t k) const {
  const std::size_t from = k + 1 < size() || k == 0 ? k : k - 1;
  const std::size_t to = std::min(from + 1, size() - 1);
  if (interval_ == from) return;
  interval_ = from;
  system_.begin({phase_, time(from), time(to)}, workspace_);
}

VectorXd Path::state(std::size_t k, double t) const {
  begin(k);
  const double a = time(k), h = time(k + 1) - a, s = (t - a) / h;
  const VectorXd x = state(k), y = state(k + 1);
  Eigen::MatrixXd dx(x.size(), 1), dy(x.size(), 1);
  system_.derivative(a, x, dx, workspace_);
  system_.derivative(a + h, y, dy, workspace_);
  return (1 + 2 * s) * (1 - s) * (1 - s) * x + s * s * (3 - 2 * s) * y +
         h * s * (1 - s) * ((1 - s) * dx - s * dy);
}

VectorXd Path::value(int node, double t, const VectorXd& x) const {
  if (node < 0) return x;
  if (system_.offset(node) < 0) system_.evaluate(t, x, workspace_);
  return system_.value(node, x, workspace_);
}

VectorXd Path::value(int node, std::size_t k) const {
  begin(k);
  return value(node, time(k), state(k));
}

VectorXd Path::value(int node, std::size_t k, double t) const {
  return value(node, t, state(k, t));
}

VectorXd Path::value_at(int node, const VectorXd& x) const {
  begin(size() - 1);
  return value(node, time(size() - 1), x);
}

}  // namespace settle::analysis
