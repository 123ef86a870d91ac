// From a run to its HDF5 file: every trajectory, the circuit, the outcome, and where they came
// from.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/quantity.hpp"
#include "sim/io/provenance.hpp"
#include "sim/io/record_options.hpp"
#include "sim/solve/options.hpp"
#include "sim/solve/solve.hpp"

namespace settle::io {

/// Writes a run to an HDF5 file while it runs.
///
/// Memory stays bounded however long the run. What was recorded reaches the file about once a
/// second; after a kill at any moment the file opens, with NaN in `time` after the last rows that
/// reached it. A write that fails is an OutputError, once; after it the recorder does nothing more.
class Recorder final : public solve::Observer {
 public:
  /// Checks everything, then makes the file. `system` must outlive the recorder.
  /// @throws InputError   for a selector that matches nothing (with the nearest name), names that
  ///                      collide in the file, and without `overwrite` a file that holds an
  ///                      unfinished result or is no result of settle
  /// @throws OutputError  where the file cannot be made: a folder, a missing folder, no permission,
  /// a full
  ///                      disk, a file that another process is writing
  Recorder(const std::filesystem::path& path, const system::OdeSystem& system,
           const solve::SolverOptions& solver, const RecordOptions& options, const RunInfo& info,
           bool overwrite = false);
  /// Keeps what was recorded, with the status "interrupted" where finish() was not called.
  ~Recorder() override;
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  solve::Sampling sampling() const override;
  void sample(double t, const system::ConstBlock& x, system::Workspace& workspace) override;
  /// Moves rows to the file about once a second. Never interrupts the run.
  bool step(const solve::Progress&) override;

  /// What was measured after the run, before finish(), as write_quantity() writes it.
  void add_measure(const core::Quantity& quantity);
  /// Writes outcome, phases and final state, cuts the trajectories to their length and closes the
  /// file.
  void finish(const solve::SolveSummary& summary);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// The result file's size to expect, at the run's longest duration; nullopt where the number of
/// rows is not known before (the solver's own steps). @throws InputError  as Recorder for selectors
/// and names
std::optional<std::size_t> expected_bytes(const system::OdeSystem& system,
                                          const solve::SolverOptions& solver,
                                          const RecordOptions& options);

}  // namespace settle::io
