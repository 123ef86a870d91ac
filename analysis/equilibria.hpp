// Where a circuit can rest, found without integrating it.
#pragma once

#include "analysis/linearisation.hpp"
#include "analysis/options.hpp"
#include "sim/solve/options.hpp"

namespace settle::analysis {

/// A state of rest and what is known of it.
struct RestState {
  solve::Equilibrium equilibrium;
  Linearisation linearisation;           ///< about it
  std::vector<double> inversion_errors;  ///< ‖e‖/‖y‖ of each controller; NaN without a setpoint
};

struct RestStates {
  std::vector<RestState> found;  ///< the first one from the initial state, where it was found there
  std::size_t starts = 0;        ///< from which they were looked for
  std::string why_none;          ///< of the first start, where nothing was found
};

/// The phase that an analysis speaks of, its holds released and its sources as they stand when the run can
/// be over.
solve::RestProblem rest_problem(const system::OdeSystem& system, const solve::SolverOptions& solver,
                                const AnalysisOptions& options);

/// ‖e‖/‖y‖ of each controller of a circuit of one trial at a state x (n); NaN for one that measures nothing.
std::vector<double> inversion_errors(const solve::RestProblem& problem, const VectorXd& x);

/// States of rest of a circuit of one trial in the phase that an analysis speaks of, its holds released and its sources as they
/// stand when the run can be over: by Newton's method from its initial state, and with deflation from
/// `options.starts` random states, normal with deviations of 0.3, 1, 3 and 10 in turn. Only from the
/// initial state where more than `options.dense_limit` states move.
RestStates find_rest_states(const system::OdeSystem& system, const solve::SolverOptions& solver,
                            const AnalysisOptions& options, std::uint64_t seed);

}  // namespace settle::analysis
