// A run as its result file tells it: for an analysis that does not integrate again.
#pragma once

#include "sim/io/result_reader.hpp"
#include "sim/solve/trajectory.hpp"

namespace settle::io {

struct RunRecord {
  solve::SolveSummary summary;
  solve::Trajectories
      trajectories;  ///< at the recorded times; NaN for states that were not recorded
};

/// The run of `system` with these options that the file holds: outcomes, phases and final state as they are
/// written, the states at the recorded times, and the residual's history at these times.
/// @throws InputError  for a run that did not end, and a file of another circuit
RunRecord read_run(const ResultFile& file, const system::OdeSystem& system,
                   const solve::SolverOptions& options);

}  // namespace settle::io
