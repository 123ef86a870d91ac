// settle through its public interface. Set-up (compiling the circuit, decompositions) is timed.
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>

#include "bench/contender.hpp"
#include "sim/solve/mode_basis.hpp"
#include "sim/solve/solve.hpp"

namespace settle::bench {
namespace {

// Samples nothing, and looks at the end alone.
class Blind final : public solve::Observer {
 public:
  solve::Sampling sampling() const override {
    return {.interval = std::numeric_limits<double>::infinity()};
  }
  bool wants_histories() const override { return false; }
};

// (r, ξ) of a state of the circuit.
MatrixXd as_columns(const system::OdeSystem& system, const MatrixXd& state) {
  MatrixXd out(state.rows(), state.cols());
  Index row = 0;
  for (const char* name : {"hidden", "control.integral"}) {
    const int node = system.circuit().find(name);
    const Index size = system.circuit().nodes[static_cast<std::size_t>(node)].size;
    out.middleRows(row, size) = state.middleRows(system.offset(node), size);
    row += size;
  }
  return out;
}

struct Solved {
  MatrixXd states;
  double evaluations = 0;
  std::string failure;
};

Solved solve_circuit(system::Circuit circuit, const solve::SolverOptions& options) {
  const system::OdeSystem system = system::compile(std::move(circuit));
  Blind blind;
  const solve::SolveSummary summary = solve::solve(system, system.initial_state(), options, blind);
  return {as_columns(system, summary.final_state),
          static_cast<double>(summary.evaluations) / static_cast<double>(system.trials()),
          summary.reason};
}

// All points of a map together.
Solved solve_map(const Workload& work, const solve::SolverOptions& options) {
  std::vector<system::OdeSystem> systems;
  const auto points = static_cast<std::size_t>(work.columns());
  systems.reserve(points);
  for (Index c = 0; c < work.columns(); ++c)
    systems.push_back(system::compile(models::with_gains(
        work.config, work.circuit, 0, {.leak = work.leaks[c], .i = work.gains[c]})));
  const MatrixXd x0 = systems.front().initial_state();
  std::vector<Blind> observers(points);
  std::vector<solve::Task> tasks;
  for (std::size_t k = 0; k < points; ++k) tasks.push_back({systems[k], x0, options, observers[k]});
  Solved out;
  out.states.resize(work.dimension(), work.columns());
  const std::vector<solve::SolveSummary> summaries = solve::solve(tasks);
  for (std::size_t k = 0; k < points; ++k) {
    out.states.col(static_cast<Index>(k)) = as_columns(systems[k], summaries[k].final_state);
    out.evaluations += static_cast<double>(summaries[k].evaluations) / static_cast<double>(points);
    if (out.failure.empty()) out.failure = summaries[k].reason;
  }
  return out;
}

struct Variant {
  std::string name, about;
  std::string method;  // "": the default
  bool reduce = true;
  std::size_t threads = 1;
  bool kept = false;  // the decompositions of the run before are still there
  bool at_rest = false;
};

Runner prepare(const Variant& variant, const Workload& work) {
  solve::SolverOptions options = work.config.solver;
  if (!variant.method.empty()) options.method = variant.method;
  options.reduce = variant.reduce;
  options.max_wall_time = 10 * time_limit;
  options.shortcut = options.ends_when_settled = variant.at_rest;
  return [&work, options, threads = variant.threads, kept = variant.kept]() -> Result {
    const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, threads);
    if (kept)
      solve_circuit(work.circuit, options);
    else
      solve::forget_decompositions();
    const Stopwatch watch;
    Solved solved = work.is_map ? solve_map(work, options) : solve_circuit(work.circuit, options);
    return {watch.seconds(), std::move(solved.states), solved.evaluations, solved.failure};
  };
}

Contender contender(const Variant& variant, Contender::Columns columns) {
  Contender out;
  out.name = variant.name;
  out.about = variant.about;
  out.columns = columns;
  out.at_rest = variant.at_rest;
  out.prepare = [variant](const Workload& work) { return prepare(variant, work); };
  return out;
}

}  // namespace

std::vector<Contender> settle_contenders() {
  std::vector<Contender> out;
  out.push_back(contender({.name = "settle",
                           .about = "solve::solve() with its default method, one thread",
                           .method = ""},
                          Contender::Columns::all));
  out.push_back(contender({.name = "settle, 2 threads",
                           .about = "the same with two threads",
                           .method = "",
                           .threads = 2},
                          Contender::Columns::all));
  out.back().takes = [](const Workload& work) { return work.columns() > 1 && !processor_time; };
  for (const char* method : {"dopri5", "rosenbrock4", "exact"}) {
    if (!solve::methods().find(method)) continue;
    out.push_back(contender({.name = std::string("settle ") + method,
                             .about = std::string("method = \"") + method + "\"",
                             .method = method},
                            Contender::Columns::together));
    if (std::string(method) == "exact")
      out.back().takes = [](const Workload& work) { return !work.tanh; };
    if (std::string(method) == "rosenbrock4")
      out.back().takes = [](const Workload& work) { return work.tanh; };
  }
  out.push_back(contender({.name = "settle kept",
                           .about = "the default method, with its decomposition made before",
                           .method = "",
                           .kept = true},
                          Contender::Columns::all));
  out.back().takes = [](const Workload& work) { return !work.tanh; };
  out.push_back(contender({.name = "settle at rest",
                           .about = "until settled, with shortcut = true: the state of rest alone",
                           .method = "",
                           .at_rest = true},
                          Contender::Columns::all));
  out.push_back(contender({.name = "settle dopri5 in full",
                           .about = "method = \"dopri5\", reduce = false",
                           .method = "dopri5",
                           .reduce = false},
                          Contender::Columns::together));
  return out;
}

}  // namespace settle::bench
