// A file of measures without trajectories: what an analysis or a tuning came to.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "sim/core/quantity.hpp"
#include "sim/io/hdf5.hpp"
#include "sim/io/provenance.hpp"

namespace settle::io {

/// Writes the quantities with where they came from. `kind` is the root attribute of that name
/// ("analysis", "tuning"), `about` says of which file or circuit.
/// @throws as Recorder
void write_analysis(const std::filesystem::path& path, const std::string& kind,
                    const std::string& about, const std::vector<core::Quantity>& quantities,
                    const RunInfo& info, const solve::SolverOptions& solver, bool overwrite);

/// Reads it back.
class AnalysisFile {
 public:
  /// @throws InputError  for what is no such file
  explicit AnalysisFile(const std::filesystem::path& path);
  /// The attribute `kind` of a file, "" where there is none or it cannot be opened.
  static std::string kind_of(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::string attribute(const std::string& name) const;
  const std::vector<core::Quantity>& quantities() const { return quantities_; }
  const core::Quantity* find(const std::string& name) const;
  const h5::File& file() const { return file_; }

 private:
  std::filesystem::path path_;
  h5::File file_;
  std::vector<core::Quantity> quantities_;
};

}  // namespace settle::io
