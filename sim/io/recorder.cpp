#include "sim/io/recorder.hpp"

#include <H5public.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <boost/version.hpp>
#include <cmath>
#include <ctime>
#include <limits>

#include "sim/io/checksum.hpp"
#include "sim/io/circuit_group.hpp"
#include "sim/io/hdf5.hpp"
#include "sim/io/layout.hpp"

namespace settle::io {
namespace {

using system::Index;
using system::MatrixXd;
using system::VectorXd;
using Clock = std::chrono::steady_clock;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double growth_bytes = 256.0 * 1024 * 1024;  // allocated at once, at most
constexpr double buffer_bytes = 4.0 * 1024 * 1024;    // rows that wait in memory
constexpr double chunk_bytes = 128.0 * 1024;
constexpr std::uint64_t longest_chunk = 8192;  // rows
constexpr std::uint64_t first_steps = 1024;    // rows made room for where their number is not known
constexpr auto flush_interval = std::chrono::seconds(1);

std::uint64_t size_of(Index n) { return static_cast<std::uint64_t>(n); }

// ---- Before a file is made ----

void check_unfinished(const std::filesystem::path& path) {
  const char* way_out = "another name (-o), or --overwrite to replace it";
  if (!h5::File::is_hdf5(path))
    throw core::InputError(path.string(), "a file that is no result of settle is there", way_out);
  const h5::File file = h5::File::open(path);
  if (!file.has_attribute("schema_version") || !file.has_attribute("status"))
    throw core::InputError(path.string(), "an HDF5 file that is no result of settle is there",
                           way_out);
  const std::string status = file.text_attribute("status");
  if (status == "running" || status == "interrupted")
    throw core::InputError(path.string(),
                           "a result whose status is \"" + status + "\" is there", way_out);
}

// HDF5 truncates a file before it looks for a lock, so the lock is asked for here.
void check_lock(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  const bool locked = ::flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(file);
  if (locked)
    throw core::OutputError(path.string() + ": another process is writing this file");
}

// ---- Rows ----

// Samples at most, the beginning and the phases' ends included; nullopt for the solver's own steps.
std::optional<double> expected_rows(const system::Circuit& circuit,
                                    const solve::SolverOptions& solver,
                                    const RecordOptions& options) {
  if (options.steps) return std::nullopt;
  const double duration = solve::longest_duration(circuit, solver);
  const double rows = std::floor(duration / options.interval) + 2 +
                      static_cast<double>(circuit.phases.size());
  return std::isfinite(rows) ? std::optional(rows) : std::nullopt;
}

// One recorded variable: its dataset, and the rows that wait to be written.
struct Track {
  Variable variable;
  Index units = 0;
  std::size_t width = 0;  // numbers of one row
  std::uint64_t chunk_rows = 1;
  h5::Dataset dataset;
  std::vector<double> buffer;
};

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string host_name() {
  char text[256] = {};
  return gethostname(text, sizeof text - 1) == 0 ? text : "unknown";
}

std::string library_versions(const RunInfo& info) {
  std::string boost = BOOST_LIB_VERSION;
  std::replace(boost.begin(), boost.end(), '_', '.');
  const auto dotted = [](int a, int b, int c) {
    return std::to_string(a) + "." + std::to_string(b) + "." + std::to_string(c);
  };
  std::string text =
      "Eigen " + dotted(EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION) +
      ", Boost " + boost + ", HDF5 " + dotted(H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
  for (const auto& [name, version] : info.libraries) text += ", " + name + " " + version;
  return text;
}

void write_provenance(h5::Group& root, const RunInfo& info, const solve::SolverOptions& solver) {
  std::string source = "settle " + info.program_version;
  if (!info.git_revision.empty())
    source += " (git " + info.git_revision + (info.git_dirty ? ", modified)" : ")");
  root.set_attribute("Conventions", "CF-1.8");
  root.set_attribute("title", info.title);
  root.set_attribute("source", source);
  root.set_attribute("history", utc_now() + " " + info.command);
  root.set_attribute("schema_version", schema_version);
  root.set_attribute("seed", static_cast<std::int64_t>(info.seed));
  root.set_attribute("status", "running");
  root.set_attribute("stop_reason", "");
  root.set_attribute("time_unit", info.time_unit.empty() ? "1" : info.time_unit);
  root.set_attribute("solver", solver.method);
  root.set_attribute("rtol", solver.rtol);
  root.set_attribute("atol", solver.atol);
  if (solver.step) root.set_attribute("step", *solver.step);
  root.set_attribute("git_revision", info.git_revision);
  root.set_attribute("git_dirty", static_cast<std::int8_t>(info.git_dirty));
  root.set_attribute("compiler", info.compiler);
  root.set_attribute("build_flags", info.build_flags);
  root.set_attribute("libraries", library_versions(info));
  root.set_attribute("host", host_name());
}

void write_config(Shelf& root, const std::string& name, const std::string& text,
                  const std::string& long_name) {
  root.put(name, {}, std::vector<std::string>{text}, long_name)
      .set_attribute("sha256", sha256(text));
}

const char* status_name(solve::SolveSummary::Status status) {
  switch (status) {
    case solve::SolveSummary::Status::done: return "done";
    case solve::SolveSummary::Status::failed: return "failed";
    case solve::SolveSummary::Status::interrupted: break;
  }
  return "interrupted";
}

}  // namespace

void check_result_path(const std::filesystem::path& path, bool overwrite) {
  std::error_code ignored;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (path.empty() || std::filesystem::is_directory(path, ignored))
    throw core::OutputError(path.string() + ": cannot write a result there: it is a folder");
  if (!std::filesystem::is_directory(folder, ignored))
    throw core::OutputError(path.string() + ": cannot write a result there: there is no folder " +
                            folder.string());
  const bool there = std::filesystem::exists(path, ignored);
  if (::access(there ? path.c_str() : folder.c_str(), W_OK) != 0)
    throw core::OutputError(path.string() + ": cannot write a result there: no permission");
  if (!std::filesystem::is_regular_file(path, ignored)) return;
  check_lock(path);
  if (!overwrite && std::filesystem::file_size(path, ignored) > 0) check_unfinished(path);
}

// ---- Recorder ----

class Recorder::Impl {
 public:
  Impl(const std::filesystem::path& path, const system::OdeSystem& system,
       const solve::SolverOptions& solver, const RecordOptions& options, const RunInfo& info)
      : path_(path),
        system_(system),
        options_(options),
        layout_(system.circuit()),
        time_unit_(units_text(info.time_unit)),
        trials_(size_of(system.trials())) {
    const std::vector<Variable> variables = layout_.select(options);
    guarded([&] {
      file_.emplace(h5::File::create(path));
      write_provenance(*file_, info, solver);
      root_.emplace(file_->group("/"));
      make_tracks(variables, expected_rows(system.circuit(), solver, options));
      write_config(*root_, "config", info.config, "configuration, as it was given");
      write_config(*root_, "config_expanded", info.config_expanded,
                   "configuration, with everything spelt out");
      write_circuit(file_->create_group("circuit"), system.circuit(), layout_, info.time_unit);
      file_->flush();
    });
    last_flush_ = Clock::now();
  }

  ~Impl() {
    if (!is_open()) return;
    try {
      guarded([&] {
        cut();
        file_->set_attribute("status", "interrupted");
        file_->set_attribute("stop_reason", "the program ended before the run did");
        close();
      });
    } catch (...) {
    }
  }

  void sample(double t, const system::ConstBlock& x, system::Workspace& workspace) {
    if (!is_open()) return;
    if (evaluates_) system_.evaluate(t, x, workspace);
    for (Track& track : tracks_) append(track, x, workspace);
    pending_times_.push_back(t);
    if (++buffered_ == buffer_rows_) guarded([&] { write_rows(); });
    flush_when_due();
  }

  void flush_when_due() {
    if (!is_open() || pending_times_.empty()) return;
    if (Clock::now() - last_flush_ >= flush_interval || pending_times_.size() >= longest_chunk)
      guarded([&] { flush(); });
  }

  void add_measure(const std::string& name, const std::string& units, const std::string& long_name,
                   const VectorXd& per_trial, const std::vector<std::string>& reasons) {
    if (!is_open()) return;
    const bool explained = std::any_of(reasons.begin(), reasons.end(),
                                       [](const std::string& text) { return !text.empty(); });
    if (file_->exists(name) || (explained && file_->exists(name + "_reason")))
      throw core::InputError(path_.string(), "the measure \"" + name + "\" has a name that is taken",
                             "names that differ in the result file");
    guarded([&] {
      const Axis trial = {"trial", trials_};
      root_->put(name, {trial},
                 std::span(per_trial.data(), static_cast<std::size_t>(per_trial.size())),
                 units_text(units), long_name);
      if (explained) root_->put(name + "_reason", {trial}, reasons, "why " + name + " is missing");
    });
  }

  void finish(const solve::SolveSummary& summary) {
    if (!is_open()) return;
    guarded([&] {
      cut();
      write_outcome(summary);
      write_phases(summary);
      write_final_state(summary);
      write_summary(summary);
      close();
    });
  }

  const RecordOptions& options() const { return options_; }

 private:
  bool is_open() const { return file_.has_value(); }

  // Runs a write. Where it fails, the file is given up and the error goes on, this once.
  template <class Write>
  void guarded(const Write& write) {
    try {
      write();
    } catch (const core::OutputError&) {
      let_go();
      throw;
    }
  }

  void let_go() noexcept {
    tracks_.clear();
    time_.reset();
    root_.reset();
    file_.reset();
  }

  void close() {
    tracks_.clear();
    time_.reset();
    root_.reset();
    file_->close();
    file_.reset();
  }

  // ---- Making ----

  void make_tracks(const std::vector<Variable>& variables, std::optional<double> rows) {
    double row_bytes = 8;
    for (const Variable& variable : variables)
      row_bytes += 8.0 * static_cast<double>(units_of(variable)) * static_cast<double>(trials_);
    const double room = std::max(1.0, std::floor(growth_bytes / row_bytes));
    const auto first = static_cast<std::uint64_t>(
        std::min(rows.value_or(static_cast<double>(first_steps)), room));
    most_growth_ = static_cast<std::uint64_t>(room);
    buffer_rows_ = static_cast<std::size_t>(std::clamp(
        std::floor(buffer_bytes / row_bytes), 1.0, static_cast<double>(std::min(first, longest_chunk))));
    pending_times_.reserve(longest_chunk);

    h5::Dataset time = root_->make("time", {}, time_unit_, "time", {});
    make_time(first);
    for (const Variable& variable : variables) make_track(variable, first);
    grow(first);
  }
  E
echo
