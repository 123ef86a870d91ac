// Trajectories of circuits that are linear between breakpoints, at any time.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "sim/solve/decay.hpp"
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
  /// @param rate  ẋ there, where it is known
  void begin(const system::Segment& segment, const MatrixXd& x0, system::Workspace& workspace,
             const MatrixXd* rate = nullptr);

  /// A time of one trial, from the segment's beginning on.
  struct Instant {
    Index trial = 0;
    double t = 0;
  };
  /// Memory of one evaluation at a time.
  struct Scratch {
    std::vector<std::size_t> places;
    std::vector<Index> columns;
    std::vector<double> taus;
    MatrixXd weights;
    Rows y;
    MatrixXd x;
    std::vector<double*> to;
    std::vector<ModeBasis::Measure> measures;
    std::vector<VectorXd> moving;
    ModeBasis::Scratch basis;
  };
  /// x and ẋ (n × instants, a column each), quickest where neighbours have one time. Threads may share
  /// the flow, each with its own scratch. A column's bits don't depend on the others.
  void evaluate(std::span<const Instant> instants, system::Block x, system::Block dxdt,
                Scratch& scratch) const {
    evaluate(instants, x, &dxdt, scratch);
  }
  /// x alone, the same bits.
  void evaluate(std::span<const Instant> instants, system::Block x, Scratch& scratch) const {
    evaluate(instants, x, nullptr, scratch);
  }

  /// How long a step from t₀ + elapsed may be to show all that still moves: a sixteenth of a period and
  /// a tenth of a time constant of every mode that has not decayed below 1e-12, and of the drive's
  /// periods; longer, by the fourth root, for a mode that has become small beside the slowest one (as
  /// for an interpolation of order 4). +∞ where nothing moves. Independent of the state.
  double step_after(double elapsed) const;

  /// How a trial decays; nullopt where something in it does not, where a drive varies within the segment, and
  /// where there are no modes (matrix exponentials).
  std::optional<Decay> decay(Index trial) const;

  /// Times t, t − step, … of a trial that decays.
  struct Approach {
    const Decay* decay;
    double t, step;
    Index count;
    double limit;  ///< a speed, of which a 1e-18th is nothing
    /// x at a later time, where the size of x is wanted too.
    const double* end = nullptr;
    double t_end = 0;
  };
  /// The norms of ẋ and x at those times, max_i weight_i |ẋ_i| and max_i weight_i |x_i|, the latter where it
  /// is wanted.
  struct Norms {
    double rate = 0, state = 0;
  };
  /// By the modes that are still alive, without the vectors themselves. One for each time, an approach's one
  /// after another. Threads may share the flow, each with its own scratch. A trial's bits don't depend on
  /// the others.
  /// @param of_rate, of_state  weights per unit (n); those of units that are held are not looked at
  void measure(std::span<const Approach> approaches, const VectorXd& of_rate,
               const VectorXd& of_state, std::vector<Norms>& norms, Scratch& scratch) const;

  /// In words, how: "modes of a 10 × 10 matrix, shared by every leak and gain".
  std::string how() const;

 private:
  // Trials with the same matrix.
  struct Group {
    std::vector<Index> trials;
    std::shared_ptr<const ModeBasis> basis;
    std::vector<MatrixXd> drives;  // per varying source: rows × 1 or rows × trials
    std::vector<Rows> amplitudes;  // y(t₀), β₀, p and q for each ω, β₁ if with_slope
    bool begins_at_zero = false;   // y(t₀)
    Rows slopes;                   // λ y(t₀) + β₀, the amplitude of ẏ
    MatrixXd slopes_by_trial;      // the same, a trial a column
    Index rows = 0;                // of y that are not zero throughout
    mutable std::vector<Propagator> propagators;  // per knot
    std::vector<MatrixXd> knot_states;            // per knot: y(t₀)
    std::vector<Propagator::Drive> knot_drives;
  };
  struct Plan {
    std::vector<Index> rows;  // that move
    bool all_move = false;
    std::vector<int> sources;  // that vary
    std::vector<Group> groups;
    bool with_slope = false;  // of the drive that the propagators were made for
    std::vector<double> omegas;
  };
  // Modes that fall as e^{−rate t} ask for steps of that length at first.
  struct Pace {
    double step, rate;
  };

  Plan& plan_of(const system::Segment& segment, const MatrixXd& x, system::Workspace& workspace);
  void begin_group(Group& group, const MatrixXd& x0, const MatrixXd& b,
                   const std::vector<system::ProfileForm>& forms, bool new_kinds);
  void evaluate(std::span<const Instant> instants, system::Block x, system::Block* dxdt,
                Scratch& scratch) const;
  void evaluate_modes(const Group& group, bool with_rate, Scratch& scratch) const;
  void evaluate_knots(const Group& group, bool with_rate, Scratch& scratch) const;
  void evaluate_approach(const Group& group, const Approach& approach, Index first,
                         Scratch& scratch) const;
  static void put(const Mode& mode, std::complex<double> factor, const double* slopes, Index to,
                  Rows& y);
  void deliver(const Group& group, system::Block x, system::Block* second, Scratch& scratch) const;
  void set_paces();

  const system::OdeSystem& system_;
  ModeLimits limits_;
  std::map<std::pair<int, bool>, Plan> plans_;  // by phase, and whether it is released
  Plan* plan_ = nullptr;
  double begin_ = 0;
  bool with_slope_ = false;             // whether the drive has a b₁ in this segment
  std::vector<double> omegas_;          // ω of the drive in this segment
  MatrixXd start_;                      // x(t₀), where some of it is held
  std::vector<Pace> paces_;             // those that no other one outdoes in both
  double slowest_ = 0;                  // rate
  std::vector<std::size_t> group_of_;   // per trial
  std::vector<Index> column_in_group_;  // per trial
  mutable std::mutex propagating_;
};

}  // namespace settle::solve
