// What a user may say about the integration.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/core/params.hpp"

namespace settle::solve {

/// When a trial counts as settled: ‖T ẋ‖∞ ≤ tolerance · max(‖x‖∞, atol/rtol), with ẋ evaluated
/// afresh at every accepted state, throughout the last `dwell`.
struct SettledOptions {
  std::optional<double>
      tolerance;  ///< 10 · rtol unless given; an explicit solver hovers at about rtol, exact at rounding
  std::optional<double> dwell;     ///< five times the largest tau unless given
  std::vector<std::string> nodes;  ///< whose states count; all dynamic ones where empty

  void fields(core::Fields& f);
  bool operator==(const SettledOptions&) const = default;
};

/// The method that is chosen by the circuit (choose_method).
inline constexpr const char* automatic = "auto";

struct SolverOptions {
  std::string method = automatic;
  double rtol = 1e-6;
  double atol = 1e-9;
  std::optional<double> step;          ///< of a fixed-step run; divides each segment exactly
  bool adaptive = true;                ///< false: an error pair runs at fixed `step`
  std::optional<double> initial_step;  ///< chosen from the equation unless given
  std::optional<double> max_step;
  double duration = 100.0;  ///< of a run without phases, and the limit of a phase without duration
  bool ends_when_settled = false;  ///< whether [solver.settled] was given
  SettledOptions settled;
  double divergence_limit = 1e12;  ///< |x| beyond which a trial has diverged
  std::int64_t max_steps = 100'000'000;
  std::int64_t max_evaluations = 1'000'000'000;
  std::int64_t max_rejections = 10'000'000;
  double max_wall_time = std::numeric_limits<double>::infinity();  ///< in seconds
  std::string linear_solver = "auto";      ///< of CVODE's bdf: auto | dense | gmres
  std::int64_t linear_solver_limit = 400;  ///< "auto" is dense up to this many states
  std::vector<std::string> update_order;   ///< of semi_implicit_euler
  bool reduce = true;  ///< whether the circuit's exact reductions are integrated in its place
  /// Whether a phase that lasts until it has settled ends at once in its state of rest, where the trial
  /// is shown to come to that (Attraction).
  bool shortcut = false;

  bool operator==(const SolverOptions&) const = default;

  double settled_tolerance() const { return settled.tolerance.value_or(10 * rtol); }
  void fields(core::Fields& f);
  /// @throws InputError  for what contradicts each other or the method, at its place in `table`.
  /// "auto", which the circuit has yet to resolve, counts as an adaptive method.
  void check(const core::Value& table, const std::string& path) const;
  /// Advice that is no error ("settled.tolerance is below 3 · rtol …"), for the method that runs.
  std::vector<std::string> warnings(const std::string& chosen) const;
};

}  // namespace settle::solve
