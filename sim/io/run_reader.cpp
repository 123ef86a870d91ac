#include "sim/io/run_reader.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/io/layout.hpp"
#include "sim/io/row_major.hpp"
#include "sim/solve/settling.hpp"

namespace settle::io {
namespace {

using solve::Outcome;
using system::Index;
using system::MatrixXd;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

Outcome outcome_of(const std::string& name) {
  const auto& names = solve::outcome_names();
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? Outcome::not_settled : static_cast<Outcome>(found - names.begin());
}

class RunReader {
 public:
  RunReader(const ResultFile& file, const system::OdeSystem& system,
            const solve::SolverOptions& options)
      : file_(file), system_(system), options_(options) {
    if (file.phases().empty() || file.final_nodes().empty())
      throw core::InputError(file.path().string(),
                             "a run that did not end (status \"" + file.status() + "\")",
                             "the result of a run that came to its end");
    if (file.trials() != static_cast<std::size_t>(system.trials()))
      throw core::InputError(file.path().string(), std::to_string(file.trials()) + " trials",
                             std::to_string(system.trials()) + ", as its configuration says");
  }

  RunRecord read() {
    check_weights();
    read_states();
    read_final();
    read_summary();
    for (std::size_t p = 0; p < file_.phases().size(); ++p) read_phase(p);
    return std::move(out_);
  }

 private:
  // The circuit may have been made anew from data files that have changed since.
  void check_weights() const {
    if (!file_.file().is_group("circuit")) return;
    const h5::Group group = file_.file().group("circuit");
    const Layout layout(system_.circuit());
    for (std::size_t k = 0; k < system_.circuit().edges.size(); ++k) {
      const system::Edge& edge = system_.circuit().edges[k];
      const std::string name = "weights_" + layout.edge(static_cast<int>(k));
      if (layout.is_internal(edge) || !edge.weights || !group.exists(name)) continue;
      const h5::Dataset dataset = group.dataset(name);
      const MatrixXd now = edge.weights->dense();
      const h5::Numbers then = dataset.read_numbers();
      const bool same = then.values.size() == static_cast<std::size_t>(now.size()) &&
                        (by_rows(then, now.rows()) - now).cwiseAbs().maxCoeff() <=
                            1e-9 * now.cwiseAbs().maxCoeff();
      if (!same)
        throw core::InputError(
            file_.path().string(),
            "a run with other weights of " + edge.name + " than its configuration makes now",
            "the data files that it was run with, or a new run");
    }
  }

  // n × trials at every recorded time; NaN rows for nodes that were not recorded.
  void read_states() {
    const Index rows = file_.time().size();
    states_.assign(at(rows), MatrixXd::Constant(system_.dimension(), system_.trials(), nan));
    const Layout layout(system_.circuit());
    for (const int node : system_.dynamic_nodes()) {
      const std::string& name = layout.node(node).dataset;
      const auto& all = file_.trajectories();
      if (std::none_of(all.begin(), all.end(), [&](const auto& v) { return v.name == name; }))
        continue;
      const MatrixXd values = file_.trajectory(name);
      const Index size = system_.circuit().nodes[static_cast<std::size_t>(node)].size;
      if (values.cols() != size * system_.trials())
        throw core::InputError(file_.path().string(),
                               "a trajectory of \"" + name + "\" of another size",
                               "the result of the circuit that its configuration describes");
      for (Index k = 0; k < rows; ++k)
        for (Index trial = 0; trial < system_.trials(); ++trial)
          states_[at(k)].col(trial).segment(system_.offset(node), size) =
              values.row(k).segment(trial * size, size);
    }
  }

  void read_final() {
    MatrixXd& x = out_.summary.final_state;
    x.resize(system_.dimension(), system_.trials());
    for (const int node : system_.dynamic_nodes()) {
      const system::Node& own = system_.circuit().nodes[static_cast<std::size_t>(node)];
      const MatrixXd state = file_.final_state(own.name);
      if (state.rows() != own.size)
        throw core::InputError(file_.path().string(),
                               "a final state of \"" + own.name + "\" of another size",
                               "the result of the circuit that its configuration describes");
      x.middleRows(system_.offset(node), own.size) = state;
    }
  }

  void read_summary() {
    solve::SolveSummary& summary = out_.summary;
    const auto number = [&](const char* name) { return file_.number(name).value_or(0); };
    const std::string status = file_.status();
    summary.status = status == "done"     ? solve::SolveSummary::Status::done
                     : status == "failed" ? solve::SolveSummary::Status::failed
                                          : solve::SolveSummary::Status::interrupted;
    summary.reason = file_.attribute("stop_reason");
    summary.method = file_.attribute("solver_used");
    summary.how = file_.attribute("solver_how");
    if (const std::string all = file_.attribute("solver_shortcuts"); !all.empty())
      summary.shortcuts = {all};
    summary.t_end = number("t_end");
    summary.steps = std::llround(number("steps"));
    summary.rejections = std::llround(number("rejections"));
    summary.evaluations = std::llround(number("evaluations"));
    summary.jacobians = std::llround(number("jacobians"));
    summary.wall_time = number("wall_time");
    const core::Quantity* settled_at = file_.measure("settled_at");
    const core::Quantity* residual = file_.measure("final_residual");
    for (std::size_t k = 0; k < file_.trials(); ++k) {
      solve::TrialResult trial;
      trial.outcome = outcome_of(file_.outcomes()[k]);
      if (k < file_.outcome_reasons().size()) trial.reason = file_.outcome_reasons()[k];
      trial.deciding_phase = static_cast<int>(file_.phases().size()) - 1;
      for (std::size_t p = file_.phases().size(); p-- > 0;)
        if (file_.phases()[p].outcomes[k] != "settled") trial.deciding_phase = static_cast<int>(p);
      trial.settled_at = settled_at ? settled_at->values(0, static_cast<Index>(k)) : nan;
      trial.skipped = !file_.phases().empty() && file_.phases().back().skipped[k];
      trial.residual = residual ? residual->values(0, static_cast<Index>(k)) : nan;
      summary.trials.push_back(std::move(trial));
    }
  }

  // The last stretch of a phase without a breakpoint inside.
  system::Segment last_segment(int phase, double begin, double end) const {
    system::Segment segment{phase, begin, end};
    for (double next = system_.next_breakpoint(begin); next < end * (1 - 1e-12);
         next = system_.next_breakpoint(next))
      segment.begin = next;
    return segment;
  }

  void read_phase(std::size_t p) {
    const PhaseInfo& info = file_.phases()[p];
    const auto phase = static_cast<int>(p);
    solve::PhaseResult result;
    result.name = info.name;
    result.start = info.start;
    result.end = info.end;
    for (const std::string& name : info.outcomes) result.outcomes.push_back(outcome_of(name));
    result.segment = last_segment(phase, info.start, info.end);
    solve::SettlingMonitor monitor(system_, options_);
    monitor.begin_phase(phase, info.start);
    system::Workspace workspace = system_.make_workspace();
    MatrixXd rate(system_.dimension(), system_.trials());
    const bool last = p + 1 == file_.phases().size();
    result.state = MatrixXd::Constant(system_.dimension(), system_.trials(), nan);
    if (out_.trajectories.trials() == 0) out_.trajectories = solve::Trajectories(system_);
    result.skipped = info.skipped;
    // From the last row of the phase before on. A phase that took no time has a row at its end too.
    const std::size_t first = row_;
    for (std::size_t k = first; k < states_.size(); ++k) {
      const double t = file_.time()[static_cast<Index>(k)];
      const bool ends = k > first && t == info.end;
      if (t < info.start) continue;
      if (t > info.end) break;
      row_ = k;
      MatrixXd x = states_[k];
      // What is recorded where a phase begins is the end of the one before.
      if (k == first && p > 0) reset(phase, x);
      if (ends) result.state = x;
      // Within the interval that ends here, where there is one.
      const double before =
          k > 0 ? std::max(info.start, file_.time()[static_cast<Index>(k - 1)]) : info.start;
      system_.begin({phase, std::min(before, t), t}, workspace);
      system_.derivative(t, x, rate, workspace);
      for (Index trial = 0; trial < system_.trials(); ++trial) {
        out_.trajectories.add(phase, trial, t, x.col(trial));
        monitor.observe(trial, t, x.col(trial), rate.col(trial));
      }
      if (ends) break;
    }
    if (last) result.state = out_.summary.final_state;
    const core::Quantity* settled_at = file_.measure("settled_at");
    for (Index k = 0; k < system_.trials(); ++k) {
      result.settled_at.push_back(last && settled_at    ? settled_at->values(0, k)
                                  : info.skipped[at(k)] ? nan
                                                        : monitor.below_since(k));
      result.histories.push_back(monitor.history(k));
    }
    out_.summary.phases.push_back(std::move(result));
  }

  void reset(int phase, MatrixXd& x) const {
    const MatrixXd initial = system_.initial_state();
    for (const int node : system_.circuit().phases[static_cast<std::size_t>(phase)].reset) {
      const Index size = system_.circuit().nodes[static_cast<std::size_t>(node)].size;
      x.middleRows(system_.offset(node), size) = initial.middleRows(system_.offset(node), size);
    }
  }

  const ResultFile& file_;
  const system::OdeSystem& system_;
  const solve::SolverOptions& options_;
  std::vector<MatrixXd> states_;
  std::size_t row_ = 0;  // the last one of the phases that have been read
  RunRecord out_;
};

}  // namespace

RunRecord read_run(const ResultFile& file, const system::OdeSystem& system,
                   const solve::SolverOptions& options) {
  return RunReader(file, system, options).read();
}

}  // namespace settle::io
