#include "analysis/linearisation.hpp"

#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>

#include "analysis/loops.hpp"

namespace settle::analysis {

Linearisation::Linearisation(const solve::RestProblem& problem, VectorXd x, Index dense_limit)
    : problem_(problem),
      x_(std::move(x)),
      dense_limit_(dense_limit),
      rows_(problem.system.moving_rows(problem.segment)),
      workspace_(problem.system.make_workspace()) {
  problem.system.begin(problem.segment, workspace_);
}

const MatrixXd& Linearisation::jacobian() const {
  if (!jacobian_) jacobian_ = problem_.system.jacobian(problem_.t, x_, 0, workspace_)(rows_, rows_);
  return *jacobian_;
}

const core::EigenSystem* Linearisation::modes(Index few) const {
  if (is_dense() && !modes_ && few_ == 0) {
    few_ = size() + 1;
    try {
      if (jacobian().allFinite()) modes_ = core::eigen_system(jacobian());
    } catch (const std::runtime_error&) {
    }
  } else if (!is_dense() && few > few_) {
    few_ = few;
    MatrixXd v = MatrixXd::Zero(x_.size(), 1), jv = v;
    const Index n = size();
    modes_ = core::rightmost_eigenvalues(
        [&](const double* in, double* out) {
          v(rows_, 0) = Eigen::Map<const VectorXd>(in, n);
          problem_.system.jacobian_times(problem_.t, x_, 0, v, jv, workspace_);
          Eigen::Map<VectorXd>(out, n) = jv(rows_, 0);
        },
        n, few);
  }
  return modes_ ? &*modes_ : nullptr;
}

std::optional<std::complex<double>> Linearisation::rightmost() const {
  if (tried_ || size() == 0) return rightmost_;
  tried_ = true;
  if (is_dense() && !modes_) {
    try {
      if (jacobian().allFinite()) rightmost_ = rightmost_of_blocks();
    } catch (const std::runtime_error&) {
    }
  } else if (const core::EigenSystem* found = modes(1)) {
    rightmost_ = found->values[0];
  }
  return rightmost_;
}

// J is block triangular between the strongly connected components of the circuit: its spectrum is that of
// its diagonal blocks.
std::complex<double> Linearisation::rightmost_of_blocks() const {
  const system::Circuit& circuit = problem_.system.circuit();
  const std::vector<int> component =
      components(circuit, circuit.phases[static_cast<std::size_t>(problem_.segment.phase)]);
  std::map<int, std::vector<Index>> blocks;
  for (Index r = 0; r < size(); ++r) {
    const int node = problem_.system.unit_of(rows_[static_cast<std::size_t>(r)]).first;
    blocks[component[static_cast<std::size_t>(node)]].push_back(r);
  }
  std::complex<double> out = -std::numeric_limits<double>::infinity();
  for (const auto& [number, rows] : blocks)
    if (const auto pole = core::eigenvalues(MatrixXd(jacobian()(rows, rows)))[0];
        pole.real() > out.real())
      out = pole;
  return out;
}

double Linearisation::rounding() const {
  const double slowest = problem_.system.tau().size() > 0 ? problem_.system.tau().maxCoeff() : 1;
  const double floor = 1e-9 / slowest;
  if (!is_dense()) return floor;
  const double n = static_cast<double>(size());
  return std::max(floor, n * std::numeric_limits<double>::epsilon() * jacobian().norm());
}

// Of a defective pole (integrators in a row) rounding makes several, apart by its root: by their
// condition 1/|wᴴv| each of them may be at zero.
bool Linearisation::is_lost_in_rounding(std::complex<double> pole) const {
  const double uncertain = std::numeric_limits<double>::epsilon() * static_cast<double>(size());
  if (!is_dense() || std::abs(pole) > std::sqrt(uncertain) * jacobian().norm()) return false;
  const core::EigenSystem* found = modes(1);
  if (!found || found->left.size() == 0) return false;
  const double condition = 1 / std::abs(found->left.col(0).dot(found->right.col(0)));
  return std::abs(pole.real()) <= uncertain * jacobian().norm() * condition;
}

Linearisation::Stability Linearisation::stability() const {
  const auto pole = rightmost();
  if (!pole || !std::isfinite(pole->real())) return Stability::unknown;
  if (std::abs(pole->real()) <= rounding() || is_lost_in_rounding(*pole)) return Stability::neutral;
  return pole->real() < 0 ? Stability::stable : Stability::unstable;
}

MatrixXd Linearisation::input(int node) const {
  return problem_.system.input_jacobian(node, problem_.t, x_, 0, workspace_)(rows_, Eigen::all);
}

MatrixXd Linearisation::output(int node) const {
  return problem_.system.value_jacobian(node, problem_.t, x_, 0, workspace_)(Eigen::all, rows_);
}

MatrixXd Linearisation::edge(int edge) const {
  return problem_.system.edge_jacobian(edge, problem_.t, x_, 0, workspace_);
}

const char* name(Linearisation::Stability stability) {
  constexpr const char* names[] = {"stable", "neutral", "unstable", "unknown"};
  return names[static_cast<int>(stability)];
}

}  // namespace settle::analysis
