// Trajectories of circuits that are linear between breakpoints, at any time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/solve/mode_basis.hpp"
#include "sim/solve/propagator.hpp"

namespace settle::solve {

/// The solution of one segment, for all trials together:
///
///     ẋ = M x + b(t),   b(t) = b₀ + b₁ (t − t₀) + Σ_ω (p cos ω(t − t₀) + q sin ω(t − t₀)),
///     x(t) = V y(t),    y(t) = e^{λτ} y(t₀) + τ φ₁(λτ) β₀ + τ² φ₂(λτ) β₁ + …,   τ = t − t₀,
///
/// for each mode λ, with β = V⁻¹ b. It is evaluated from t₀, so no error adds up. Both x and ẋ come
/// from the modes, so ẋ keeps its digits where M x and b cancel. What belongs to the matrix alone is
/// made once a phase.
class LinearFlow {
 public:
  LinearFlow(const system::OdeSystem& system, const ModeLimits& limits);

  /// Stands at x0 (n × trials) at the segment's beginning. `workspace` has begun a segment in which
  /// this one lies. The phase must be linear (why_not_linear).
  void begin(const system::Segment& segment, const system::ConstBlock& x0,
             system::Workspace& workspace);
  /// x and ẋ (n × trials) at t, from the segment's beginning on.
  void evaluate(double t, system::Block x, system::Block dxdt) { evaluate(t, x, &dxdt); }
  /// x alone, the same bits.
  void evaluate(double t, system::Block x) { evaluate(t, x, nullptr); }

  /// How long a step from t₀ + elapsed may be to show all that still moves: a sixteenth of a period and
  /// a tenth of a time constant of every mode that has not decayed below 1e-12, and of the drive's
  /// periods; longer, by the fourth root, for a mode that has become small beside the slowest one (as
  /// for an interpolation of order 4). +∞ where nothing moves. Independent of the state.
  double step_after(double elapsed) const;
  /// In words, how: "modes of a 10 × 10 matrix, shared by every leak and gain".
  std::string how() const;

 private:
  // Trials with the same matrix.
  struct Group {
    std::vector<Index> trials;
    std::shared_ptr<const ModeBasis> basis;
    std::vector<MatrixXd> drives;  // per varying source: rows × 1 or rows × trials
    std::vector<Rows> amplitudes;  // y(t₀), β₀, p and q for each ω, β₁ if with_slope
    Rows slopes;                   // λ y(t₀) + β₀, the amplitude of ẏ
    std::vector<Propagator> propagators;  // per knot
    std::vector<MatrixXd> knot_states;    // per knot: y(t₀)
    std::vector<Propagator::Drive> knot_drives;
  };
  struct Plan {
    std::vector<Index> rows;   // that move
    std::vector<int> sources;  // that vary
    std::vector<Group> groups;
    bool with_slope = false;  // of the drive that the propagators were made for
    std::vector<double> omegas;
  };
  // Modes that fall as e^{−rate t} ask for steps of that length at first.
  struct Pace {
    double step, rate;
  };

  Plan& plan_of(const system::Segment& segment, const system::ConstBlock& x,
                system::Workspace& workspace);
  void begin_group(Group& group, const system::ConstBlock& x0, const MatrixXd& b,
                   const std::vector<system::ProfileForm>& forms, bool new_kinds);
  void evaluate_modes(const Group& group, double tau);
  void evaluate_knots(Group& group, double tau);
  void evaluate(double t, system::Block x, system::Block* dxdt);
  void set_paces();

  const system::OdeSystem& system_;
  ModeLimits limits_;
  std::map<std::pair<int, bool>, Plan> plans_;  // by phase, and whether it is released
  Plan* plan_ = nullptr;
  double begin_ = 0;
  bool with_slope_ = false;     // whether the drive has a b₁ in this segment
  std::vector<double> omegas_;  // ω of the drive in this segment
  MatrixXd start_;              // x(t₀)
  std::vector<Pace> paces_;     // those that no other one outdoes in both
  double slowest_ = 0;          // rate
  Rows state_, rate_;           // modes × trials of a group: y and ẏ
  Rows y_;                      // both, padded
  MatrixXd x_;
  ModeBasis::Scratch scratch_;
};

}  // namespace settle::solve
