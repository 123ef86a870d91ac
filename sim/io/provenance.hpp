// Where a result came from, in the root attributes and the datasets `config` and `config_expanded`.
#pragma once

#include <cstdint>
#include <filesystem>
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

/// Writes the root attributes of a result that begins: Conventions, title, source, history,
/// schema_version, seed, status "running", versions and host. @throws OutputError
void write_provenance(h5::Group& root, const RunInfo& info);
/// The same with the solver's.
void write_provenance(h5::Group& root, const RunInfo& info, const solve::SolverOptions& solver);

/// Writes both forms of the configuration, each with its SHA-256. @throws OutputError
void write_configuration(Shelf& root, const RunInfo& info);

/// What it takes to go on with a result that was interrupted.
struct Resumption {
  std::string config;                ///< the file with what was set on the command line, as TOML
  std::filesystem::path base;        ///< folder that its relative paths are relative to
  std::vector<std::string> options;  ///< of the command line that bear on the result ("--quick")
};

/// Where a result that can be gone on with came from.
struct ResumableInfo {
  RunInfo run;
  Resumption resumption;
};

/// Writes the attributes `base_folder`, `resume_options` and the dataset `resume_config`. @throws OutputError
void write_resumption(Shelf& root, const Resumption& resumption);
/// @throws InputError  where they are not there
Resumption read_resumption(const h5::Group& root);

}  // namespace settle::io
