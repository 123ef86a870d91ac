// Why a run did or did not converge, in one line, and what would cure it.
#pragma once

#include <optional>
#include <string>

#include "analysis/margins.hpp"
#include "analysis/measure.hpp"

namespace settle::analysis {

/// What became of a trial.
enum class VerdictKind {
  settled,        ///< at a stable state of rest
  infeasible,     ///< settled or not, no rates within their range can meet the setpoint
  saturated,      ///< settled or not, rates sit at the ends of their range, far from the setpoint
  unstable_rest,  ///< settled, on an equilibrium that any perturbation leaves
  slow,           ///< a real pole decays, too slowly for the time that there was
  slowly_damped,  ///< an oscillating pair decays, too slowly
  limit_cycle,    ///< oscillates about an unstable equilibrium, bounded by saturation
  leaving,        ///< still moving away from an unstable equilibrium
  integrating,    ///< a pole at zero: a state that only integrates
  driven,         ///< a source still changes
  tolerance_limited,  ///< at the level of the solver's own error
  numerical,          ///< the circuit is stable, the fixed step is not
  diverged,
  failed,  ///< a budget ran out, or the run was interrupted
  undecided,
};
const std::vector<std::string>& verdict_names();

struct Verdict {
  VerdictKind kind = VerdictKind::undecided;
  std::string text;  ///< one sentence, with the numbers that decide it
};

/// From the outcome, the equilibrium and its poles, what the setpoint asks for, and the motion at the
/// end.
Verdict judge(const Subject& subject);

/// The relative residual at the end of a phase.
double residual_at_end(const Run& run, Index trial, const solve::PhaseResult& phase);
/// How many times the tolerance that residual is, measured as it will be at rest: by the size of the
/// rest state where one was found, and where the rightmost mode rings by the largest residual of its
/// last half swing, since at the end it may be in a trough.
double above_tolerance(const Run& run, Index trial, const solve::PhaseResult& phase,
                       const Linearisation& linearisation, const solve::Equilibrium& rest);

/// How much longer the phase must last for the trial to count as settled, its dwell included: until
/// ‖T e^{Jt} ẋ‖∞, of the linearised circuit from where it ended, is below the tolerance for good; of a
/// circuit without a dense J until its rightmost mode is. 0 where the residual is below it already.
/// Exact for a linear circuit.
double time_to_settle(const Run& run, Index trial, const solve::PhaseResult& phase,
                      const Linearisation& linearisation, const solve::Equilibrium& rest);

/// The smallest change of one controller's leak or gain with which a trial that did not settle does.
struct Cure {
  Index trial = 0;
  std::size_t controller = 0;
  Parameter parameter = Parameter::leak;
  double from = 0;
  double boundary = 0;     ///< where the rightmost pole is just good enough
  double to = 0;           ///< beyond it: the value that was run
  bool confirmed = false;  ///< the run with it settled
  std::string text;        ///< one sentence
};

/// Looks for it for the first trial that did not settle, where its verdict says that a pole is to blame (slow, slowly damped, limit cycle,
/// leaving, integrating, diverged), among the leaks and gains of all controllers, each moved alone, the
/// nearest by ratio first; then runs the circuit with it: a tenth of the change beyond the boundary, and
/// where that does not settle in the run's own duration, farther. nullopt where none was found.
/// @param seconds  of wall time that it may take
std::optional<Cure> find_cure(const Run& run, double seconds);

/// For the result file: its sentence at its trial.
core::Quantity as_quantity(const Cure& cure, const Run& run);

}  // namespace settle::analysis
