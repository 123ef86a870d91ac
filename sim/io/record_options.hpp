// What a user may say about recording.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/core/params.hpp"

namespace settle::io {

/// [record]: which variables are recorded, and when.
struct RecordOptions {
  /// Names of nodes ("hidden", "control.error"), "node.rate", and globs of these (`*` and `?`,
  /// neither of which matches a "."); "*" alone is every dynamic state and every controller's
  /// output and error.
  std::vector<std::string> variables = {"*"};
  bool steps = false;      ///< at the solver's own steps (interval = "steps")
  double interval = 1.0;   ///< else at its multiples, in units of time
  std::int64_t every = 1;  ///< with `steps`: at every k-th

  std::vector<core::Position> positions;  ///< where each of `variables` was written; may be empty

  void fields(core::Fields& f);
};

}  // namespace settle::io
