#include "sim/io/recorder.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "sim/io/circuit_group.hpp"
#include "sim/io/hdf5.hpp"
#include "sim/io/layout.hpp"
#include "sim/io/point_recorder.hpp"
#include "sim/io/quantities.hpp"
#include "sim/io/result_path.hpp"

namespace settle::io {
namespace {

using system::Index;
using system::MatrixXd;
using system::VectorXd;
using Clock = std::chrono::steady_clock;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double growth_bytes = 256.0 * 1024 * 1024;  // allocated at once, at most
constexpr double buffer_bytes = 4.0 * 1024 * 1024;    // rows that wait in memory
constexpr double least_chunk = 128.0 * 1024;
constexpr double largest_chunk = 1024.0 * 1024;
constexpr double largest_row = 64.0 * 1024 * 1024;  // in one chunk
constexpr std::uint64_t most_pending = 8192;        // rows
constexpr std::uint64_t first_steps = 1024;  // rows made room for where their number is not known
constexpr auto flush_interval = std::chrono::seconds(1);

std::uint64_t size_of(Index n) { return static_cast<std::uint64_t>(n); }

// ---- Rows ----

// Samples at most, the beginning and the phases' ends included; nullopt for the solver's own steps.
std::optional<double> expected_rows(const system::Circuit& circuit,
                                    const solve::SolverOptions& solver,
                                    const RecordOptions& options) {
  if (options.steps) return std::nullopt;
  const double duration = solve::longest_duration(circuit, solver);
  const double rows =
      std::floor(duration / options.interval) + 2 + static_cast<double>(circuit.phases.size());
  return std::isfinite(rows) ? std::optional(rows) : std::nullopt;
}

// One recorded variable: its dataset, and the rows that wait to be written.
struct Track {
  Variable variable;
  Index units = 0;
  std::size_t width = 0;  // numbers of one row
  std::uint64_t chunk_rows = 1;
  h5::Dataset dataset{h5::Handle()};
  std::vector<double> buffer;
};

const char* status_name(solve::SolveSummary::Status status) {
  switch (status) {
    case solve::SolveSummary::Status::done:
      return "done";
    case solve::SolveSummary::Status::failed:
      return "failed";
    case solve::SolveSummary::Status::interrupted:
      break;
  }
  return "interrupted";
}

}  // namespace

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
    file_.emplace(h5::File::create(path));
    try {
      guarded([&] {
        write_provenance(*file_, info, solver);
        root_.emplace(file_->group("/"));
        const std::uint64_t rows =
            make_tracks(variables, expected_rows(system.circuit(), solver, options));
        write_configuration(*root_, info);
        write_circuit(file_->create_group("circuit"), system.circuit(), layout_, info.time_unit);
        grow(rows);  // last, so that nothing stands behind what the cut will give back
      });
    } catch (...) {
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
      throw;
    }
    last_flush_ = Clock::now();
  }

  ~Impl() {
    if (!is_open()) return;
    try {
      guarded([&] { interrupt("the program ended before the run did"); });
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
    if (Clock::now() - last_flush_ >= flush_interval || pending_times_.size() >= most_pending)
      guarded([&] { flush(); });
  }

  void add_measure(const core::Quantity& quantity) {
    if (!is_open()) return;
    guarded([&] {
      cut();  // first, so that nothing stands behind what it gives back
      write_quantity(*root_, quantity, time_unit_);
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
    } catch (const NoRoom& error) {
      keep_what_is_written(error.what());
      let_go();
      throw;
    } catch (const core::OutputError&) {
      let_go();
      throw;
    }
  }

  void keep_what_is_written(const std::string& reason) noexcept {
    try {
      pending_times_.resize(pending_times_.size() - buffered_);
      buffered_ = 0;
      interrupt(reason);
    } catch (...) {
    }
  }

  void interrupt(const std::string& reason) {
    cut();
    file_->set_attribute("status", "interrupted");
    file_->set_attribute("stop_reason", reason);
    close();
  }

  void let_go() noexcept {
    tracks_.clear();
    root_.reset();
    file_.reset();
  }

  void close() {
    tracks_.clear();
    root_.reset();
    file_->close();
    file_.reset();
  }

  // ---- Making ----

  // Empty datasets; returns the rows to make room for.
  std::uint64_t make_tracks(const std::vector<Variable>& variables, std::optional<double> rows) {
    for (const Variable& variable : variables)
      row_bytes_ += 8.0 * static_cast<double>(units_of(variable)) * static_cast<double>(trials_);
    const double room = std::max(1.0, std::floor(growth_bytes / row_bytes_));
    const auto first =
        static_cast<std::uint64_t>(std::min(rows.value_or(static_cast<double>(first_steps)), room));
    most_growth_ = static_cast<std::uint64_t>(room);
    buffer_rows_ = static_cast<std::size_t>(
        std::clamp(std::floor(buffer_bytes / row_bytes_), 1.0,
                   static_cast<double>(std::min<std::uint64_t>(first, most_pending))));
    pending_times_.reserve(most_pending);

    make_time(first);
    for (const Variable& variable : variables) make_track(variable, first);
    return first;
  }

  Index units_of(const Variable& variable) const {
    return system_.circuit().nodes[static_cast<std::size_t>(variable.node)].size;
  }

  // Rows of a chunk: few where the run is short or a row long. At most 64 chunks where they are not
  // large, since the index of more is split into nodes that stand between the chunks and would not
  // let go of the room behind the cut.
  static std::uint64_t chunk_rows(double row_bytes, std::uint64_t rows) {
    const double bytes = std::max(8.0, row_bytes), expected = static_cast<double>(rows);
    const double fair = std::max(std::floor(least_chunk / bytes), std::ceil(expected / 60));
    const double most = std::max(1.0, std::floor(largest_chunk / bytes));
    return static_cast<std::uint64_t>(std::clamp(std::min(fair, expected), 1.0, most));
  }

  void make_time(std::uint64_t rows) {
    h5::Dataset time = root_->group().create_dataset("time", h5::Type::float64, {0},
                                                     {.max_shape = {h5::unlimited},
                                                      .chunk = {chunk_rows(8, rows)},
                                                      .fill = nan,
                                                      .allocate_early = true});
    time.set_attribute("_FillValue", nan);
    time.set_attribute("units", time_unit_);
    time.set_attribute("long_name", "time");
    root_->add_scale("time", std::move(time));
  }

  void make_track(const Variable& variable, std::uint64_t rows) {
    Track track;
    track.variable = variable;
    track.units = units_of(variable);
    const std::uint64_t units = size_of(track.units);
    track.width = static_cast<std::size_t>(units * trials_);
    const double row_bytes = 8.0 * static_cast<double>(track.width);
    track.chunk_rows = chunk_rows(row_bytes, rows);
    const auto trials_in_chunk = static_cast<std::uint64_t>(
        std::clamp(std::floor(largest_row / (8.0 * static_cast<double>(units))), 1.0,
                   static_cast<double>(trials_)));
    track.dataset = root_->make(
        variable.dataset,
        {{"time", 0}, {"trial", trials_}, {layout_.node(variable.node).dimension, units}}, "1",
        variable.long_name,
        {.max_shape = {h5::unlimited, trials_, units},
         .chunk = {track.chunk_rows, trials_in_chunk, units},
         .allocate_early = true});
    track.buffer.resize(track.width * buffer_rows_);
    const bool computed =
        system_.circuit().nodes[static_cast<std::size_t>(variable.node)].instantaneous();
    evaluates_ = evaluates_ || computed;
    tracks_.push_back(std::move(track));
  }

  h5::Dataset& time() { return root_->scale({"time", 0}); }

  void resize(std::uint64_t rows) {
    for (Track& track : tracks_) track.dataset.resize({rows, trials_, size_of(track.units)});
    time().resize({rows});
    capacity_ = rows;
  }

  // In small stretches of time for all variables in turn, so that what a short run leaves unused
  // stands at the file's end and goes with the cut.
  void grow(std::uint64_t rows) {
    std::uint64_t stretch = rows;
    for (const Track& track : tracks_) stretch = std::min(stretch, track.chunk_rows);
    stretch = std::max(stretch, (rows - capacity_) / 64 + 1);
    double bytes = 64.0 * 1024 + 1.01 * row_bytes_ * static_cast<double>(rows - capacity_);
    for (const Track& track : tracks_)
      bytes += 8.0 * static_cast<double>(track.width * track.chunk_rows);
    file_->flush();
    reserve_room(path_, bytes);
    while (capacity_ < rows) resize(std::min(rows, capacity_ + stretch));
    file_->flush();
  }

  // ---- Rows ----

  void append(Track& track, const system::ConstBlock& x, const system::Workspace& workspace) {
    Eigen::Map<MatrixXd> row(track.buffer.data() + track.width * buffered_, track.units, x.cols());
    take_sample(system_, track.variable, x, workspace, row);
  }

  // Trajectories only: `time` follows when they have reached the file.
  void write_rows() {
    if (buffered_ == 0) return;
    if (written_ + buffered_ > capacity_)
      grow(std::max(written_ + buffered_, capacity_ + std::min(capacity_, most_growth_)));
    for (Track& track : tracks_)
      track.dataset.write_block(
          {written_, 0, 0}, {buffered_, trials_, size_of(track.units)},
          std::span<const double>(track.buffer.data(), track.width * buffered_));
    written_ += buffered_;
    buffered_ = 0;
  }

  void flush() {
    write_rows();
    file_->flush();
    time().write_block({written_ - pending_times_.size()}, {pending_times_.size()},
                       std::span<const double>(pending_times_));
    pending_times_.clear();
    file_->flush();
    last_flush_ = Clock::now();
  }

  void cut() {
    if (!pending_times_.empty()) flush();
    if (capacity_ != written_) resize(written_);
    file_->flush();
  }

  // ---- The end ----

  void write_outcome(const solve::SolveSummary& summary) {
    std::vector<std::int8_t> outcomes;
    std::vector<std::string> reasons;
    std::vector<double> settled_at, residuals;
    for (const solve::TrialResult& trial : summary.trials) {
      outcomes.push_back(static_cast<std::int8_t>(trial.outcome));
      reasons.push_back(trial.reason);
      settled_at.push_back(trial.settled_at);
      residuals.push_back(trial.residual);
    }
    if (outcomes.size() != trials_) return;
    const std::vector<Axis> axes = {{"trial", trials_}};
    root_->put_flags("outcome", axes, outcomes, solve::outcome_names(), "how the run ended");
    root_->put("outcome_reason", axes, reasons, "why the run ended so");
    root_->put("settled_at", axes, settled_at, time_unit_,
               "when the residual fell below tolerance for good in the last phase");
    root_->put("final_residual", axes, residuals, "1", "relative residual at the end");
  }

  void write_phases(const solve::SolveSummary& summary) {
    if (summary.phases.empty()) return;
    std::vector<std::string> names;
    std::vector<double> starts, ends, settled_at;
    std::vector<std::int8_t> outcomes, skipped;
    for (const solve::PhaseResult& phase : summary.phases) {
      names.push_back(phase.name);
      starts.push_back(phase.start);
      ends.push_back(phase.end);
      for (std::size_t k = 0; k < trials_; ++k) {
        outcomes.push_back(static_cast<std::int8_t>(phase.outcomes.at(k)));
        settled_at.push_back(phase.settled_at.at(k));
        if (!summary.shortcuts.empty()) skipped.push_back(phase.skipped.at(k));
      }
    }
    const Axis phase = {"phase", names.size()};
    const std::vector<Axis> both = {phase, {"trial", trials_}};
    root_->put_scale("phase", names, "phase");
    root_->put("phase_start", {phase}, starts, time_unit_, "when the phase began");
    root_->put("phase_end", {phase}, ends, time_unit_, "when the phase ended");
    root_->put_flags("phase_outcome", both, outcomes, solve::outcome_names(),
                     "how the phase ended");
    root_->put("phase_settled_at", both, settled_at, time_unit_,
               "when the residual fell below tolerance for good in the phase");
    if (!summary.shortcuts.empty())
      root_->put_flags("phase_skipped", both, skipped, {"integrated", "skipped"},
                       "whether the trial was put to rest without the way there");
  }

  void write_final_state(const solve::SolveSummary& summary) {
    const MatrixXd& state = summary.final_state;
    if (state.rows() != system_.dimension() || size_of(state.cols()) != trials_) return;
    Shelf final(file_->create_group("final"));
    for (const int index : system_.dynamic_nodes()) {
      const NodeName& name = layout_.node(index);
      const Index n = system_.circuit().nodes[static_cast<std::size_t>(index)].size;
      const MatrixXd rows = state.middleRows(system_.offset(index), n);
      final
          .put(name.dataset, {{"trial", trials_}, {name.dimension, size_of(n)}},
               std::span(rows.data(), static_cast<std::size_t>(rows.size())), "1",
               "final " + name.long_name)
          .set_attribute("node", name.name);
    }
  }

  void write_summary(const solve::SolveSummary& summary) {
    h5::File& root = *file_;
    root.set_attribute("stop_reason", summary.reason);
    root.set_attribute("outcome", solve::name(summary.outcome()));
    root.set_attribute("solver_used", summary.method);
    root.set_attribute("solver_how", summary.how);
    root.set_attribute("solver_reductions", core::join(summary.reductions, ", "));
    root.set_attribute("solver_shortcuts", core::join(summary.shortcuts, ", "));
    root.set_attribute("t_end", summary.t_end);
    root.set_attribute("steps", summary.steps);
    root.set_attribute("rejections", summary.rejections);
    root.set_attribute("evaluations", summary.evaluations);
    root.set_attribute("jacobians", summary.jacobians);
    root.set_attribute("smallest_step", summary.smallest_step);
    root.set_attribute("largest_step", summary.largest_step);
    root.set_attribute("wall_time", summary.wall_time);
    file_->flush();
    root.set_attribute("status", status_name(summary.status));
  }

  std::filesystem::path path_;
  const system::OdeSystem& system_;
  RecordOptions options_;
  Layout layout_;
  std::string time_unit_;
  std::uint64_t trials_;

  std::optional<h5::File> file_;
  std::optional<Shelf> root_;
  std::vector<Track> tracks_;
  bool evaluates_ = false;         // some variable is of an instantaneous node
  std::size_t buffer_rows_ = 1;    // that fit in the buffers
  std::size_t buffered_ = 0;       // rows in the buffers
  std::uint64_t written_ = 0;      // rows in the datasets
  std::uint64_t capacity_ = 0;     // rows that there is room for
  double row_bytes_ = 8;           // of all trajectories and the time
  std::uint64_t most_growth_ = 1;  // rows added at once, at most
  std::vector<double> pending_times_;
  Clock::time_point last_flush_;
};

Recorder::Recorder(const std::filesystem::path& path, const system::OdeSystem& system,
                   const solve::SolverOptions& solver, const RecordOptions& options,
                   const RunInfo& info, bool overwrite) {
  check_result_path(path, overwrite);
  impl_ = std::make_unique<Impl>(path, system, solver, options, info);
}

Recorder::~Recorder() = default;

solve::Sampling Recorder::sampling() const { return sampling_of(impl_->options()); }

void Recorder::sample(double t, const system::ConstBlock& x, system::Workspace& workspace) {
  impl_->sample(t, x, workspace);
}

bool Recorder::step(const solve::Progress&) {
  impl_->flush_when_due();
  return true;
}

void Recorder::add_measure(const core::Quantity& quantity) { impl_->add_measure(quantity); }

void Recorder::finish(const solve::SolveSummary& summary) { impl_->finish(summary); }

std::optional<std::size_t> expected_bytes(const system::OdeSystem& system,
                                          const solve::SolverOptions& solver,
                                          const RecordOptions& options) {
  const system::Circuit& circuit = system.circuit();
  const Layout layout(circuit);
  const double trials = static_cast<double>(circuit.trials);
  const std::vector<Variable> variables = layout.select(options);
  const std::optional<double> rows = expected_rows(circuit, solver, options);
  if (!rows) return std::nullopt;
  double bytes = 256 * 1024;  // names, attributes, the configuration, the measures
  const auto add = [&](double row) {
    // The last chunk is as large as the others, and each has its place in an index.
    bytes += *rows * row * 1.02 + std::min(largest_chunk, std::max(least_chunk, *rows * row / 60));
  };
  add(8);
  for (const Variable& variable : variables) {
    add(8 * trials *
        static_cast<double>(circuit.nodes[static_cast<std::size_t>(variable.node)].size));
    bytes += 4096;
  }
  bytes += 1.1 * circuit_bytes(circuit, layout) +
           8 * trials * static_cast<double>(system.dimension() + 16);
  return static_cast<std::size_t>(std::min(bytes, 1e18));
}

}  // namespace settle::io
