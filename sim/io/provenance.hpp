// Where a result came from, in the root attributes and the datasets `config` and `config_expanded`.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sim/io/layout.hpp"
#include "sim/solve/options.hpp"

namespace settle::io {

/// Where a result came from; it goes into the file's root attributes.
struct RunInfo {
  std::string title;
  std::string time_unit = "1";
  std::string command;          ///< the command line
  std::string config;           ///< the configuration, verbatim
  std::string config_expanded;  ///< as TOML, with everything spelt out
  std::string program_version;
  std::string git_revision;
  bool git_dirty = false;
  std::string compiler;
  std::string build_flags;
  std::uint64_t seed = 0;
  /// Name and version of libraries beside Eigen, Boost and HDF5 ("SUNDIALS", "6.4.1").
  std::vector<std::pair<std::string, std::string>> libraries;
};

/// Writes the root attributes of a run that begins: Conventions, title, source, history,
/// schema_version, seed, status "running", the solver's, versions and host. @throws OutputError
void write_provenance(h5::Group& root, const RunInfo& info, const solve::SolverOptions& solver);

/// Writes both forms of the configuration, each with its SHA-256. @throws OutputError
void write_configuration(Shelf& root, const RunInfo& info);

}  // namespace settle::io
