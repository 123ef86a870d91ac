// Trials of a linear circuit that are moved by the solution itself.
#pragma once

#include "sim/solve/linear_flow.hpp"
#include "sim/solve/run.hpp"

namespace settle::solve {

/// Moves the trials of one run by x(t) (LinearFlow), evaluated from the segment's beginning: each has
/// its own times, and no error adds up from one to the next.
///
/// The steps are chosen for those who watch. Where somebody does, they show every mode that is still
/// alive, and the time at which a trial comes to rest. Where nobody does and bounds (Decay) show that a
/// trial decays throughout, stays within the divergence limit and is at rest from some time on, the last
/// time at which its residual passes the tolerance is looked for backwards from there (RestSearch); that
/// time and the segment's end are then all its steps, and of the first only the residual is known.
class ClosedForm {
 public:
  explicit ClosedForm(Run& run);
  ~ClosedForm();

  /// From the goals that are set until the run is over.
  void advance();

 private:
  struct Part;  // trials that one thread moves

  void enter();

  Run& run_;
  const system::OdeSystem& system_;
  system::Workspace workspace_;
  LinearFlow flow_;
  double longest_ = 0, longest_to_rest_ = 0;  // steps
  std::vector<std::unique_ptr<Part>> parts_;
};

}  // namespace settle::solve
