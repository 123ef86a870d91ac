#include <algorithm>
#include <cmath>

#include "sim/solve/column_norms.hpp"
#include "sim/solve/method.hpp"
#include "sim/system/structured_solve.hpp"

namespace settle::solve {
namespace {

Eigen::Map<const MatrixXd> columns(const VectorXd& flat, Index n, Index trials) {
  return {flat.data(), n, trials};
}
Eigen::Map<MatrixXd> columns(VectorXd& flat, Index n, Index trials) {
  return {flat.data(), n, trials};
}

}  // namespace

Problem::Problem(const system::OdeSystem& system, const SolverOptions& options,
                 const std::vector<Index>& trials)
    : system_(system),
      options_(options),
      workspace_(system.make_workspace(trials)),
      left_(trials.size(), 0) {}

void Problem::begin(const system::Segment& segment) { system_.begin(segment, workspace_); }

void Problem::count(double evaluations_more) {
  evaluations += evaluations_more;
  if (evaluations > static_cast<double>(options_.max_evaluations))
    throw StopIntegration("the budget of " + std::to_string(options_.max_evaluations) +
                          " evaluations ran out (solver.max_evaluations)");
}

void Problem::derivative(double t, const VectorXd& x, VectorXd& dxdt) {
  count(1);
  dxdt.resize(size());
  auto out = columns(dxdt, dimension(), trials());
  system_.derivative(t, columns(x, dimension(), trials()), out, workspace_);
  for (Index k = 0; k < trials(); ++k)
    if (has_left(k)) out.col(k).setZero();
}

void Problem::derivative_of_trial(double t, const VectorXd& x, Index trial, VectorXd& dxdt) {
  count(1.0 / static_cast<double>(trials()));
  dxdt.resize(dimension());
  if (has_left(trial)) {
    dxdt.setZero();
    return;
  }
  system_.derivative(t, columns(x, dimension(), trials()).middleCols(trial, 1), dxdt, workspace_,
                     trial);
}

void Problem::derivative_of_node(int node, double t, const VectorXd& x, MatrixXd& dxdt_node) {
  dxdt_node.resize(system_.circuit().nodes[static_cast<std::size_t>(node)].size, trials());
  system_.derivative_of(node, t, columns(x, dimension(), trials()), dxdt_node, workspace_);
  for (Index k = 0; k < trials(); ++k)
    if (has_left(k)) dxdt_node.col(k).setZero();
}

void Problem::jacobian_times(double t, const VectorXd& x, const VectorXd& v, VectorXd& jv) {
  jv.resize(size());
  const Index n = dimension();
  for (Index k = 0; k < trials(); ++k) {
    if (has_left(k)) {
      jv.segment(k * n, n).setZero();
      continue;
    }
    auto out = columns(jv, n, trials()).middleCols(k, 1);
    system_.jacobian_times(t, columns(x, n, trials()).middleCols(k, 1), k,
                           columns(v, n, trials()).middleCols(k, 1), out, workspace_);
  }
}

MatrixXd Problem::jacobian(double t, const VectorXd& x, Index trial) {
  jacobians += 1.0 / static_cast<double>(trials());
  if (has_left(trial)) return MatrixXd::Zero(dimension(), dimension());
  return system_.jacobian(t, columns(x, dimension(), trials()).middleCols(trial, 1), trial,
                          workspace_);
}

void Problem::linearise(double t, const VectorXd& x, Index trial, system::StructuredSolve& solve) {
  jacobians += 1.0 / static_cast<double>(trials());
  solve.linearise(t, columns(x, dimension(), trials()).middleCols(trial, 1), trial, workspace_);
}

VectorXd Problem::time_derivative(double t, const VectorXd& x, Index trial) {
  if (has_left(trial)) return VectorXd::Zero(dimension());
  return system_.time_derivative(t, columns(x, dimension(), trials()).middleCols(trial, 1), trial,
                                 workspace_);
}

double Problem::error_ratio(const VectorXd& error, const VectorXd& x, const VectorXd& x_new) const {
  const Index n = dimension();
  double largest = 0;
  for (Index k = 0; k < trials(); ++k) {
    if (has_left(k)) continue;
    double own;
    largest_over_tolerance(options_, {n, 1}, error.data() + k * n, x.data() + k * n,
                           x_new.data() + k * n, &own);
    if (std::isnan(own)) return own;
    largest = std::max(largest, own);
  }
  return largest;
}

}  // namespace settle::solve
