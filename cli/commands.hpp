// The commands of the program. Each takes its options and returns an exit code: 0 done, 1 the
// simulation failed, 2 the input is wrong, 130 interrupted.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "analysis/options.hpp"
#include "analysis/sweep_spec.hpp"
#include "analysis/tune.hpp"
#include "models/build.hpp"
#include "sim/io/toml.hpp"
#include "sim/system/ode_system.hpp"

namespace settle::cli {

enum ExitCode { done = 0, simulation_failed = 1, input_wrong = 2, interrupted = 130 };

struct CommonOptions {
  std::vector<std::filesystem::path> files;
  std::vector<std::string> set;  ///< "path=value"
  std::filesystem::path output;
  bool json = false;
  bool quiet = false;
};

struct RunOptions : CommonOptions {
  bool quick = false;
  bool overwrite = false;
  std::string command;  ///< the command line, for the result's history
};

struct AnalyzeOptions : RunOptions {
  std::vector<std::string> measures;  ///< in place of those of [analysis]
};

struct PlotOptions : CommonOptions {
  std::vector<std::string> figures;  ///< empty: a choice of them
  bool with_data = false;
  std::filesystem::path data;  ///< empty: beside each figure
  std::vector<std::string> variables;
  std::int64_t trial = 0;
  bool log_time = false;
};

struct ShowOptions : CommonOptions {
  std::optional<double> to_error;  ///< of a result of training: what it cost to come to that
};

struct ReportOptions : CommonOptions {
  std::int64_t trial = 0;
};

/// A rehearsal takes at most so long, in seconds.
constexpr double quick_seconds = 5;

int run(const RunOptions& options);
int resume(const RunOptions& options);
int analyze(const AnalyzeOptions& options);
int tune(const RunOptions& options);
int check(const CommonOptions& options);
int show(const ShowOptions& options);
int list(const std::vector<std::string>& names, bool json);
int plot(const PlotOptions& options);
int report(const ReportOptions& options);

struct Prepared;
/// A run of a file with [sweep]: every point of it.
int run_sweep(const Prepared& ready, const std::filesystem::path& result, const RunOptions& options,
              nlohmann::ordered_json& all);

/// The whole program: parses the command line, calls a command, and turns exceptions into messages.
int program(int argc, const char* const* argv);

/// A configuration made ready; of one with [sweep], its first point.
struct Prepared {
  io::LoadedFile file;
  std::optional<analysis::SweepSpec> sweep;
  models::Config config;
  analysis::AnalysisOptions analysis;
  analysis::TuneSpec tune;
  std::unique_ptr<const system::OdeSystem> system;
  std::vector<std::string> warnings;
};
/// What a result says of the program that made it.
io::RunInfo program_info(const std::string& command);
/// Where a result of it comes from.
io::RunInfo run_info(const Prepared& ready, const std::string& command);
/// The configuration spelt out: the circuit, and how it is analysed.
core::Value expanded(const Prepared& ready);
/// The folder that a configuration's relative paths are relative to.
std::filesystem::path base_of(const std::filesystem::path& file);
/// @throws InputError
Prepared prepare(const std::filesystem::path& file, const std::vector<std::string>& set);
/// @param base  folder that relative paths are relative to
/// @param set   what was set in it on the command line
Prepared prepare(io::LoadedFile file, const std::filesystem::path& base,
                 const std::vector<std::string>& set = {});

/// @throws InputError  where an output would replace the configuration that it is made of
void check_is_not_input(const std::filesystem::path& output, const std::filesystem::path& input);

}  // namespace settle::cli
