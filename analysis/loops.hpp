// Feedback loops in a circuit: which nodes hear each other, and which of them invert a layer.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/linalg.hpp"
#include "sim/system/ode_system.hpp"

namespace settle::analysis {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// The phase that an analysis speaks of, among the first `phases`: the one called `wanted`; else the last
/// in which not every controller is switched off; else the last.
int measured_phase(const system::Circuit& circuit, const std::string& wanted, std::size_t phases);

/// The strongly connected components of the circuit's graph in a phase (edges that are off don't
/// count): nodes in one component hear each other. Returns the component of every node. The Jacobian
/// is block triangular between components, so its spectrum is the union of theirs.
std::vector<int> components(const system::Circuit& circuit, const system::Phase& phase);

/// Whether an edge lies inside a feedback loop: both its ends are in one component of several nodes,
/// or it leads from a node to itself.
bool is_in_a_loop(const system::Circuit& circuit, const std::vector<int>& components, int edge);

/// The loop of one controller that inverts a layer, or a path of them:
///
///     controller → (B) → populations[0] → (forward[0]) → … → populations.back() → (forward.back()) → e
///
/// in which every population hears nothing else but constants.
struct InversionLoop {
  int controller = 0;
  std::vector<int> populations;  ///< from the one that hears the controller to the measured one
  std::vector<int> forward;      ///< the edge out of each of them
  int feedback = -1;             ///< the edge B
  int setpoint_edge = -1;        ///< −1: its setpoint is constant
  int upstream = -1;             ///< the loop (index) whose first population is its setpoint
  std::string why_not;  ///< why the controller's loop is none of this form; empty where it is
};

/// One a controller, in their order.
std::vector<InversionLoop> inversion_loops(const system::Circuit& circuit);

/// Matrices of such a loop for e = measured − setpoint, every φ taken as the identity (a gate d
/// stays: it is the φ′ of a linearised loop), leaks divided out, of a circuit of one trial:
struct LoopMatrices {
  std::vector<MatrixXd> layers;  ///< W of each population on the path, lowest first
  MatrixXd path;                 ///< A = W_last … W_first, n_out × n_first
  MatrixXd feedback;             ///< B, n_first × n_out
  double inverse_gain = 0;       ///< 1/G, G = k_i/α + k_p; 0 for α = 0, ∞ for no gain at rest
};
LoopMatrices loop_matrices(const system::Circuit& circuit, const InversionLoop& loop);

/// The rest state of the linear loop with the setpoint y: δ = B (A B − I/G)⁻¹ y, or the same matrix as
/// (B A − I/G)⁻¹ B, whichever is smaller; nullopt where that is singular. Source: science.md section 4.
std::optional<MatrixXd> linear_rest(const MatrixXd& a, const MatrixXd& b, double inverse_gain,
                                    const MatrixXd& y);
inline std::optional<MatrixXd> linear_rest(const LoopMatrices& loop, const MatrixXd& y) {
  return linear_rest(loop.path, loop.feedback, loop.inverse_gain, y);
}

/// The least ‖A x − y‖₂ over low ≤ x ≤ high (n each, infinite where there is no bound), A m × n, with
/// A⁺ at hand: coordinate descent from the clipped least-squares solution, until a sweep gains less
/// than 1e-12 ‖y‖². Source: Stark & Parker, Comput. Stat. 10 (1995), for the problem.
double bounded_distance(const MatrixXd& a, const MatrixXd& inverse, const VectorXd& y,
                        const VectorXd& low, const VectorXd& high);

/// What measures need of the inversion loops of one trial's circuit, each part computed once, when it
/// is first asked for; threads may share it.
class LoopSet {
 public:
  explicit LoopSet(const system::Circuit& circuit);

  const std::vector<InversionLoop>& loops() const { return loops_; }
  // Of a loop without a why_not:
  const LoopMatrices& matrices(std::size_t loop) const;
  const core::SingularValues& singular_values(std::size_t loop) const;  ///< of A
  const std::vector<MatrixXd>& inverses(std::size_t loop) const;        ///< W⁺ of each layer
  const MatrixXd& control_inverse(std::size_t loop) const;              ///< (A B)⁺
  /// The least ‖measured − y‖ of any controller over all rates of the populations that it measures,
  /// each within the range of its φ.
  double unreachable(std::size_t controller, const VectorXd& y) const;

 private:
  template <class T>
  struct Lazy {
    std::once_flag once;
    T value;
  };
  struct Measured {
    MatrixXd a, inverse;
    VectorXd low, high;
  };
  struct Parts {
    Lazy<LoopMatrices> matrices;
    Lazy<core::SingularValues> singular_values;
    Lazy<std::vector<MatrixXd>> inverses;
    Lazy<MatrixXd> control_inverse;
    Lazy<Measured> measured;
  };
  template <class T, class Make>
  static const T& made(Lazy<T>& lazy, const Make& make) {
    std::call_once(lazy.once, [&] { lazy.value = make(); });
    return lazy.value;
  }

  const system::Circuit& circuit_;
  std::vector<InversionLoop> loops_;
  mutable std::vector<std::unique_ptr<Parts>> parts_;
};

/// A circuit of one trial at one state: the values of its nodes, and the setpoints.
class Evaluation {
 public:
  /// @param x  the state (n); where it is not finite, values are NaN
  Evaluation(const system::OdeSystem& system, const system::Segment& segment, double t, VectorXd x);

  VectorXd value(int node) const { return system_.value(node, x_, workspace_); }
  /// A controller's setpoint: its constant part and what drives it.
  VectorXd setpoint(const system::Controller& controller);

 private:
  const system::OdeSystem& system_;
  double t_;
  VectorXd x_;
  system::Workspace workspace_;
};

}  // namespace settle::analysis
