// Trajectories of one point of a sweep: kept in memory, and then written into a group.
#pragma once

#include <vector>

#include "sim/io/layout.hpp"
#include "sim/solve/solve.hpp"

namespace settle::io {

/// When [record] wants samples.
solve::Sampling sampling_of(const RecordOptions& options);

/// Samples what [record] selects, as the Recorder does, without a file of its own.
class PointRecorder final : public solve::Observer {
 public:
  /// @throws InputError  for a selector that matches nothing
  PointRecorder(const system::OdeSystem& system, const RecordOptions& options);

  solve::Sampling sampling() const override { return sampling_of(options_); }
  void sample(double t, const system::ConstBlock& x, system::Workspace& workspace) override;

  /// About how many bytes write() writes.
  double bytes() const;
  /// `time` and every variable (time, trial, unit).
  void write(h5::Group group, const std::string& time_unit) const;

 private:
  const system::OdeSystem& system_;
  RecordOptions options_;
  Layout layout_;
  std::vector<Variable> variables_;
  std::vector<double> times_;
  std::vector<std::vector<double>> rows_;  // of each variable
};

/// A sample of a variable (units × trials) after evaluate(): its state or rate; NaN for trials that have
/// left.
void take_sample(const system::OdeSystem& system, const Variable& variable,
                 const system::ConstBlock& x, const system::Workspace& workspace,
                 Eigen::Ref<Eigen::MatrixXd> out);

}  // namespace settle::io
