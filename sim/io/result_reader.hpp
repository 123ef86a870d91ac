// A result file, read: for figures, reports, and runs that go on from another's end.
#pragma once

#include <Eigen/Core>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sim/core/quantity.hpp"
#include "sim/io/hdf5.hpp"

namespace settle::io {

/// A variable of a result file, as it is described there.
struct VariableInfo {
  std::string name;                     ///< the dataset: "hidden", "control_error"
  std::vector<std::string> dimensions;  ///< "time", "trial", "hidden_unit"
  std::vector<std::uint64_t> shape;     ///< as it stands in the file, rows without a time included
  std::string units;
  std::string long_name;
};

/// One phase of the run.
struct PhaseInfo {
  std::string name;
  double start = 0;
  double end = 0;
  std::vector<std::string> outcomes;  ///< per trial
  std::vector<char> skipped;          ///< per trial: put to rest without the way there
};

/// A result of settle. Rows whose time is missing (of a run that was killed) are never given out.
class ResultFile {
 public:
  /// @throws InputError  for a missing file, what is no HDF5, what is no result of settle or of a
  ///                     newer layout, and a result that is being written
  explicit ResultFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  /// A root attribute; "" where there is none.
  std::string attribute(const std::string& name) const;
  std::optional<double> number(const std::string& name) const;
  std::string title() const { return attribute("title"); }
  std::string status() const { return attribute("status"); }
  std::string time_unit() const { return attribute("time_unit"); }
  std::string config() const;           ///< verbatim
  std::string config_expanded() const;  ///< as TOML

  std::size_t trials() const { return trials_; }
  const Eigen::VectorXd& time() const { return time_; }

  /// Every (time, trial, unit) dataset at the root, in the order of the file.
  const std::vector<VariableInfo>& trajectories() const { return trajectories_; }
  /// A trajectory by its dataset's name or its selector ("control_error", "control.error").
  /// @throws InputError  with the nearest name
  const VariableInfo& trajectory_info(const std::string& name) const;
  /// time × (trials · units): trial k's units are columns k · units … (k + 1) · units − 1.
  Eigen::MatrixXd trajectory(const std::string& name) const;
  /// time × units of one trial. @throws InputError  also where there is no such trial
  Eigen::MatrixXd trajectory(const std::string& name, std::size_t trial) const;

  /// Names of the nodes whose final state is kept ("hidden", "control.integral").
  std::vector<std::string> final_nodes() const;
  /// n × trials. @throws InputError  for a node without one (with the nearest name), or a run that
  /// did not end
  Eigen::MatrixXd final_state(const std::string& node) const;

  /// In order; empty where the run did not end.
  const std::vector<PhaseInfo>& phases() const { return phases_; }
  /// Names of outcomes, and why, per trial; empty where the run did not end.
  const std::vector<std::string>& outcomes() const { return outcomes_; }
  const std::vector<std::string>& outcome_reasons() const { return outcome_reasons_; }
  /// Everything per trial, in the order of the file: outcome, settled_at, final_residual, and what
  /// was measured.
  const std::vector<core::Quantity>& measures() const { return measures_; }
  /// The quantity of that name, or nullptr.
  const core::Quantity* measure(const std::string& name) const;

  /// The file itself, for what has no place above (/circuit).
  const h5::File& file() const { return file_; }

 private:
  void read_time();
  void list_variables();
  void read_phases();
  VariableInfo describe(const h5::Dataset& dataset, const std::string& name) const;
  std::vector<std::string> flags(const std::string& name) const;

  std::filesystem::path path_;
  h5::File file_;
  std::size_t trials_ = 0;
  Eigen::VectorXd time_;
  std::vector<VariableInfo> trajectories_;
  std::vector<PhaseInfo> phases_;
  std::vector<std::string> outcomes_;
  std::vector<std::string> outcome_reasons_;
  std::vector<core::Quantity> measures_;
};

}  // namespace settle::io
