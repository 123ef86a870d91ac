// Single parts of settle by themselves, with Google Benchmark: `make bench-micro`,
// `make bench-micro ARGS=--benchmark_filter=transfer`.
#include <benchmark/benchmark.h>
#include <tbb/global_control.h>

#include <memory>

#include "bench/workload.hpp"
#include "sim/core/random.hpp"
#include "sim/core/transfer.hpp"
#include "sim/system/ode_system.hpp"
#include "sim/system/reduction.hpp"

namespace {

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;

MatrixXd random(Index rows, Index cols, const char* name) {
  const core::RandomStream stream(1, name);
  MatrixXd m(rows, cols);
  for (Index k = 0; k < m.size(); ++k) m.data()[k] = stream.normal(static_cast<std::uint64_t>(k));
  return m;
}

// φ(x) of n numbers.
void transfer_value(benchmark::State& state, const std::string& name) {
  const auto phi = core::transfer(name);
  const MatrixXd x = random(state.range(0), 1, "x");
  MatrixXd r(x.rows(), 1);
  for (auto _ : state) {
    phi->value(x.data(), r.data(), x.size());
    benchmark::DoNotOptimize(r.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * x.size());
}

// Y += W X for a form of W of m × n and X of some columns.
void weights_product(benchmark::State& state, const std::string& form) {
  const Index m = state.range(0), n = state.range(1), columns = state.range(2);
  MatrixXd dense = random(m, n, "w");
  std::unique_ptr<system::Weights> w;
  if (form == "sparse") {  // one entry in a hundred
    system::Weights::Sparse sparse(m, n);
    std::vector<Eigen::Triplet<double>> entries;
    for (Index k = 0; k < dense.size(); k += 97)
      entries.emplace_back(static_cast<int>(k % m), static_cast<int>(k / m), dense.data()[k]);
    sparse.setFromTriplets(entries.begin(), entries.end());
    w = std::make_unique<system::Weights>(std::move(sparse));
  } else if (form == "low rank") {  // of rank 10
    w = std::make_unique<system::Weights>(
        system::Weights::LowRank{{random(m, 10, "left"), random(10, n, "right")}});
  } else {
    w = std::make_unique<system::Weights>(std::move(dense));
  }
  const MatrixXd x = random(n, columns, "x");
  MatrixXd y = MatrixXd::Zero(m, columns), scratch = MatrixXd::Zero(w->scratch_rows(), columns);
  for (auto _ : state) {
    w->multiply_add(1e-3, x, y, scratch);
    benchmark::ClobberMemory();
  }
  state.counters["FLOP/s"] =
      benchmark::Counter(2.0 * static_cast<double>(w->parameters() * columns * state.iterations()),
                         benchmark::Counter::kIsRate);
}

// ẋ of a whole workload.
void right_hand_side(benchmark::State& state, const std::string& name) {
  const bench::Workload work = bench::make_workload(name);
  const system::OdeSystem system = system::compile(work.circuit);
  system::Workspace workspace = system.make_workspace();
  system.begin({0, 0, work.duration}, workspace);
  const MatrixXd x = 0.1 * random(system.dimension(), system.trials(), "x");
  MatrixXd dxdt(x.rows(), x.cols());
  for (auto _ : state) {
    system.derivative(0, x, dxdt, workspace);
    benchmark::ClobberMemory();
  }
}

// What solve() does before it begins: a circuit's exact reduction.
void reduction(benchmark::State& state, const std::string& name) {
  const bench::Workload work = bench::make_workload(name);
  const MatrixXd x0 = system::compile(work.circuit).initial_state();
  for (auto _ : state) benchmark::DoNotOptimize(system::reduce(work.circuit, x0));
}

const bool registered = [] {
  for (const std::string& name : core::transfer_functions().names())
    benchmark::RegisterBenchmark(("transfer " + name).c_str(), transfer_value, name)
        ->Arg(20)
        ->Arg(1000);
  for (const char* form : {"dense", "sparse", "low rank"})
    for (const auto& [m, n] : {std::pair<Index, Index>{10, 20}, {10, 1000}, {784, 500}})
      for (const Index columns : {1, 8, 64, 256})
        benchmark::RegisterBenchmark((std::string("product ") + form).c_str(), weights_product,
                                     form)
            ->Args({m, n, columns});
  for (const char* name : {"W1 tanh", "W1 identity", "W2", "W2t", "W3", "W4 on W2", "W4 on W3"})
    benchmark::RegisterBenchmark((std::string("right-hand side ") + name).c_str(), right_hand_side,
                                 name);
  for (const char* name : {"W1 tanh", "W2t", "W3", "W4 on W2", "W4 on W3"})
    benchmark::RegisterBenchmark((std::string("reduction ") + name).c_str(), reduction, name);
  return true;
}();

}  // namespace

int main(int argc, char** argv) {
  const tbb::global_control one(tbb::global_control::max_allowed_parallelism, 1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return registered ? 0 : 1;
}
