// The recorder and the reader of results, on a small circuit with made-up samples.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cmath>
#include <fstream>
#include <thread>

#include "sim/io/circuit_group.hpp"
#include "sim/io/recorder.hpp"
#include "sim/io/result_reader.hpp"

namespace {

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
namespace fs = std::filesystem;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// A folder of this test's own, gone with it.
struct Folder {
  Folder() {
    std::string name = (fs::temp_directory_path() / "settle_recorder_XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  fs::path operator/(const std::string& name) const { return path / name; }
  fs::path path;
};

system::Node node(const std::string& name, Index size, double tau, const std::string& transfer) {
  return {.name = name,
          .size = size,
          .tau = VectorXd::Constant(size, tau),
          .leak = VectorXd::Constant(size, 1.0),
          .transfer = core::transfer(transfer),
          .initial = MatrixXd::Zero(size, 1),
          .constant = {}};
}

system::Edge edge(const std::string& name, int from, int to, const MatrixXd& weights,
                  double gain = 1) {
  return {.name = name,
          .from = from,
          .to = to,
          .gain = gain,
          .weights = std::make_shared<system::Weights>(weights),
          .transfer = nullptr,
          .receiver_slope = false,
          .gate = {}};
}

// hidden (3, tanh) with a recurrent loop, read out by W (2 × 3) into a leaky-integral controller.
system::Circuit small_circuit(Index trials = 2) {
  system::Circuit circuit;
  circuit.nodes = {node("hidden", 3, 1.0, "tanh"), node("control.error", 2, 0.0, "identity"),
                   node("control.integral", 2, 2.0, "identity"),
                   node("control", 2, 0.0, "identity")};
  MatrixXd w(2, 3);
  w << 1, 2, 3, 4, 5, 6;
  const MatrixXd identity = MatrixXd::Identity(2, 2);
  circuit.edges = {edge("hidden->control", 0, 1, w), edge("e->i", 1, 2, identity),
                   edge("i->u", 2, 3, identity), edge("control->hidden", 3, 0, -w.transpose(), 0.5),
                   edge("hidden->hidden", 0, 0, MatrixXd::Constant(3, 3, 0.125))};
  MatrixXd y(2, trials);
  for (Index k = 0; k < trials; ++k) y.col(k) << 0.5 + static_cast<double>(k), -0.25;
  circuit.nodes[0].constant = VectorXd::Constant(3, 0.75);
  circuit.nodes[1].constant = -y;
  circuit.controllers = {{.name = "control",
                          .control = 3,
                          .error = 1,
                          .integral = 2,
                          .leak = 0.01,
                          .measured_edges = {0},
                          .setpoint_edges = {},
                          .setpoint_sources = {},
                          .setpoint = y}};
  circuit.phases = {
      {.name = "run", .duration = {}, .until_settled = false, .off = {}, .hold = {}, .reset = {}}};
  circuit.trials = trials;
  return circuit;
}

io::RunInfo run_info() {
  io::RunInfo info;
  info.title = "A test";
  info.time_unit = "milliseconds";
  info.command = "settle run test.toml";
  info.config = "title = \"A test\"  # α\n";
  info.config_expanded = "title = \"A test\"\n";
  info.program_version = "0.1.0";
  info.seed = 7;
  info.libraries = {{"SUNDIALS", "6.4.1"}};
  return info;
}

solve::SolverOptions solver_options(double duration) {
  solve::SolverOptions options;
  options.duration = duration;
  return options;
}

// The state of row k: every unit of every trial its own number.
MatrixXd state_at(const system::OdeSystem& system, double t) {
  MatrixXd x(system.dimension(), system.trials());
  for (Index j = 0; j < x.cols(); ++j)
    for (Index i = 0; i < x.rows(); ++i)
      x(i, j) = std::sin(t + static_cast<double>(i)) + static_cast<double>(j);
  return x;
}

struct Feed {
  explicit Feed(const system::OdeSystem& s) : system(s), workspace(s.make_workspace()) {
    system.begin({0, 0.0, 1e9}, workspace);
  }
  void operator()(io::Recorder& recorder, double t) {
    recorder.sample(t, state_at(system, t), workspace);
  }
  const system::OdeSystem& system;
  system::Workspace workspace;
};

solve::SolveSummary summary_of(const system::OdeSystem& system, double t_end) {
  solve::SolveSummary summary;
  summary.t_end = t_end;
  summary.steps = 42;
  summary.final_state = state_at(system, t_end);
  solve::PhaseResult phase{
      .name = "run", .start = 0, .end = t_end, .outcomes = {}, .settled_at = {}};
  for (Index k = 0; k < system.trials(); ++k) {
    solve::TrialResult trial;
    trial.outcome = k == 0 ? solve::Outcome::settled : solve::Outcome::oscillating;
    trial.reason = k == 0 ? "the residual stayed below tolerance" : "its envelope does not decay";
    trial.settled_at = k == 0 ? 0.5 * t_end : nan;
    trial.residual = 1e-7;
    phase.outcomes.push_back(trial.outcome);
    phase.settled_at.push_back(trial.settled_at);
    summary.trials.push_back(std::move(trial));
  }
  summary.phases = {phase};
  return summary;
}

template <class Body>
std::string input_error(const Body& body) {
  try {
    body();
  } catch (const core::InputError& error) {
    return error.what();
  }
  return "no error";
}

template <class Body>
std::string output_error(const Body& body) {
  try {
    body();
  } catch (const core::OutputError& error) {
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("what a run records is read back to the bit", "[io][recorder]") {
  const Folder folder;
  const auto system = system::compile(small_circuit());
  io::RecordOptions options;
  options.variables = {"*", "hidden.rate"};
  options.interval = 0.5;
  Feed feed(system);
  {
    io::Recorder recorder(folder / "run.h5", system, solver_options(10), options, run_info());
    for (int k = 0; k <= 20; ++k) feed(recorder, 0.5 * k);
    VectorXd inversion_error(2);
    inversion_error << 0.25, nan;
    recorder.add_measure("inversion_error", "1", "inversion error", inversion_error,
                         {"", "it did not settle"});
    recorder.finish(summary_of(system, 10));
  }
  const io::ResultFile result(folder / "run.h5");
  CHECK(result.title() == "A test");
  CHECK(result.status() == "done");
  CHECK(result.attribute("outcome") == "oscillating");
  CHECK(result.number("steps") == 42.0);
  CHECK(result.number("seed") == 7.0);
  CHECK(result.config() == "title = \"A test\"  # α\n");
  CHECK(contains(result.attribute("libraries"), "SUNDIALS 6.4.1"));
  CHECK(contains(result.attribute("history"), "settle run test.toml"));
  CHECK(result.trials() == 2);

  REQUIRE(result.time().size() == 21);
  CHECK(result.time()(20) == 10.0);
  std::vector<std::string> names;
  for (const io::VariableInfo& info : result.trajectories()) {
    names.push_back(info.name);
    CHECK(info.units == "1");
    CHECK_FALSE(info.long_name.empty());
    CHECK(info.shape[0] == 21);
  }
  CHECK(names == std::vector<std::string>{"hidden", "hidden_rate", "control_error",
                                          "control_integral", "control"});
  CHECK(result.trajectory_info("control.error").dimensions ==
        std::vector<std::string>{"time", "trial", "control_unit"});

  const MatrixXd hidden = result.trajectory("hidden");
  const MatrixXd rate = result.trajectory("hidden_rate", 1);
  const MatrixXd error = result.trajectory("control.error", 1);
  const MatrixXd w = small_circuit().edges[0].weights->dense();
  for (Index k = 0; k < 21; ++k) {
    const MatrixXd x = state_at(system, 0.5 * static_cast<double>(k)).topRows(3);
    CHECK(hidden.row(k) == Eigen::Map<const Eigen::RowVectorXd>(x.data(), 6));
    CHECK(rate.row(k).transpose() == x.col(1).array().tanh().matrix());
    // e = W φ(r) − y, to the rounding of sums of four terms below 20.
    const VectorXd expected = w * x.col(1).array().tanh().matrix() - Eigen::Vector2d(1.5, -0.25);
    CHECK((error.row(k).transpose() - expected).cwiseAbs().maxCoeff() < 1e-13);
  }

  CHECK(result.final_nodes() == std::vector<std::string>{"hidden", "control.integral"});
  CHECK(result.final_state("control.integral") == state_at(system, 10).bottomRows(2));
  CHECK(result.final_state("hidden") == state_at(system, 10).topRows(3));
  REQUIRE(result.phases().size() == 1);
  CHECK(result.phases()[0].outcomes == std::vector<std::string>{"settled", "oscillating"});
  CHECK(result.outcomes() == result.phases()[0].outcomes);
  CHECK(result.outcome_reasons()[1] == "its envelope does not decay");
  const io::Measure* measure = result.measure("inversion_error");
  REQUIRE(measure);
  CHECK(measure->values(0) == 0.25);
  CHECK(std::isnan(measure->values(1)));
  CHECK(measure->reasons == std::vector<std::string>{"", "it did not settle"});
  CHECK(result.measure("settled_at")->units == "ms");  // never "milliseconds"
}

TEST_CASE("a result holds the circuit that made it", "[io][recorder]") {
  const Folder folder;
  const auto system = system::compile(small_circuit());
  io::Recorder(folder / "run.h5", system, solver_options(1), {}, run_info());
  const io::ResultFile result(folder / "run.h5");
  const h5::Group& file = result.file();
  const auto numbers = [&](const std::string& name) {
    return file.dataset("circuit/" + name).read_numbers();
  };
  CHECK(numbers("weights_hidden_to_control").values == std::vector<double>{1, 2, 3, 4, 5, 6});
  CHECK(numbers("weights_control_to_hidden").shape == io::h5::Shape{3, 2});
  CHECK(file.dataset("circuit/weights_control_to_hidden").number_attribute("gain") == 0.5);
  CHECK(file.dataset("circuit/weights_hidden_to_hidden").scales() ==
        std::vector<std::string>{"/circuit/hidden_unit", "/circuit/hidden_unit_sender"});
  CHECK(numbers("setpoint_control").values == std::vector<double>{0.5, -0.25, 1.5, -0.25});
  CHECK(numbers("bias_hidden").values == std::vector<double>(3, 0.75));
  CHECK(numbers("tau_control_integral").values == std::vector<double>(2, 2.0));
  CHECK(file.group("circuit").text_attribute("transfer_hidden") == "tanh");
  CHECK_FALSE(file.exists("circuit/weights_control_error_to_control_integral"));
  CHECK_FALSE(file.exists("circuit/bias_control_error"));
}

TEST_CASE("weights too large to be dense are kept in their form", "[io][recorder]") {
  const Folder folder;
  system::Circuit circuit = small_circuit();
  system::Weights::Sparse sparse(2, 3);
  sparse.insert(0, 1) = 7;
  sparse.insert(1, 0) = 8;
  sparse.insert(1, 2) = 9;
  circuit.edges[0].weights = std::make_shared<system::Weights>(sparse);
  circuit.edges[3].weights = std::make_shared<system::Weights>(
      system::Weights::LowRank{{MatrixXd::Constant(3, 1, 2.0), MatrixXd::Constant(1, 2, 3.0)}});
  circuit.edges[4].weights = std::make_shared<system::Weights>(system::Weights::Identity{3});
  auto file = io::h5::File::create(folder / "circuit.h5");
  io::write_circuit(file.create_group("circuit"), circuit, io::Layout(circuit), "1", 0);
  const io::h5::Group group = file.group("circuit");
  const auto values = [&](const std::string& name) {
    return group.dataset("weights_" + name).read_numbers().values;
  };
  CHECK(values("hidden_to_control_values") == std::vector<double>{7, 8, 9});
  CHECK(values("hidden_to_control_columns") == std::vector<double>{1, 0, 2});
  CHECK(values("hidden_to_control_row_starts") == std::vector<double>{0, 1, 3});
  CHECK(values("control_to_hidden_factor_1") == std::vector<double>(3, 2.0));
  CHECK(values("control_to_hidden_factor_2") == std::vector<double>(2, 3.0));
  CHECK(values("hidden_to_hidden_diagonal") == std::vector<double>(3, 1.0));
}

TEST_CASE("selectors choose what is recorded", "[io][recorder]") {
  const io::Layout layout(small_circuit());
  const auto chosen = [&](std::vector<std::string> variables) {
    io::RecordOptions options;
    options.variables = std::move(variables);
    std::vector<std::string> out;
    for (const io::Variable& variable : layout.select(options)) out.push_back(variable.name);
    return out;
  };
  using Names = std::vector<std::string>;
  CHECK(chosen({"*"}) == Names{"hidden", "control.error", "control.integral", "control"});
  CHECK(chosen({"control.error", "hidden"}) == Names{"hidden", "control.error"});
  CHECK(chosen({"h*", "hidden"}) == Names{"hidden"});  // a * stops at the dot
  CHECK(chosen({"control.*"}) ==
        Names{"control.error", "control.integral"});  // rates of identities are not meant
  CHECK(chosen({"*.rate"}) == Names{"hidden.rate"});
  CHECK(chosen({"hid?en.rate"}) == Names{"hidden.rate"});
  CHECK(chosen({}) == Names{});

  const std::string nearest = input_error([&] { chosen({"*", "control.eror"}); });
  CHECK(contains(nearest, "record.variables"));
  CHECK(contains(nearest, "\"control.eror\" matches no variable"));
  CHECK(contains(nearest, "did you mean \"control.error\"?"));
  CHECK(contains(input_error([&] { chosen({"x*"}); }), "\"x*\" matches no variable"));
}

TEST_CASE("names that would collide in the file are refused", "[io][recorder]") {
  system::Circuit circuit = small_circuit();
  circuit.nodes[0].name = "time";
  CHECK(contains(input_error([&] { io::Layout{circuit}; }), "population \"time\""));
  circuit.nodes[0].name = "control_error";
  CHECK(contains(input_error([&] { io::Layout{circuit}; }), "\"control_error\""));
}

TEST_CASE("[record] is read with its positions", "[io][recorder]") {
  core::Value table;
  table.set("variables", core::Array{core::Value("hidden")}).array()[0].position = {"a.toml", 3,
                                                                                    14};
  table.set("interval", "steps");
  table.set("every", 10);
  const auto options = core::read<io::RecordOptions>(table, "record");
  CHECK(options.variables == std::vector<std::string>{"hidden"});
  CHECK(options.positions[0].line == 3);
  CHECK(options.steps);
  CHECK(options.every == 10);
  CHECK(core::read<io::RecordOptions>(core::write(options), "record").every == 10);

  const auto reads = [&](const char* key, core::Value value) {
    core::Value one;
    one.set(key, std::move(value));
    return input_error([&] { core::read<io::RecordOptions>(one, "record"); });
  };
  CHECK(contains(reads("interval", 0.0), "a number > 0, or \"steps\""));
  CHECK(contains(reads("interval", nan), "a number > 0"));
  CHECK(contains(reads("interval", "step"), "a number > 0, or \"steps\""));
  CHECK(contains(reads("every", 0), "an integer >= 1"));
  CHECK(contains(reads("every", 2), "every without steps"));
  CHECK(contains(reads("variables", 3), "a list of texts"));
  CHECK(contains(reads("variable", 3), "did you mean \"variables\"?"));
  CHECK(reads("every", 1) == "no error");

  const auto system = system::compile(small_circuit());
  auto wrong = options;
  wrong.variables = {"hiden"};
  CHECK(contains(input_error([&] { io::expected_bytes(system, solver_options(1), wrong); }),
                 "a.toml:3:14: record.variables"));
}

TEST_CASE("a trial that has left is NaN from then on, instantaneous nodes and rates too",
          "[io][recorder]") {
  const Folder folder;
  system::Circuit circuit = small_circuit();
  circuit.nodes[0].transfer = core::transfer("relu");  // max(0, NaN) is 0
  const auto system = system::compile(circuit);
  io::RecordOptions options;
  options.variables = {"*", "hidden.rate"};
  Feed feed(system);
  {
    io::Recorder recorder(folder / "run.h5", system, solver_options(10), options, run_info());
    MatrixXd x = state_at(system, 0);
    recorder.sample(0, x, feed.workspace);
    x.col(1).setConstant(nan);
    recorder.sample(1, x, feed.workspace);
  }
  const io::ResultFile result(folder / "run.h5");
  for (const io::VariableInfo& info : result.trajectories()) {
    INFO(info.name);
    CHECK(result.trajectory(info.name).row(0).allFinite());
    CHECK(result.trajectory(info.name, 0).row(1).allFinite());
    CHECK(result.trajectory(info.name, 1).row(1).array().isNaN().all());
  }
}

TEST_CASE("a run longer than expected, or at the solver's steps, grows its file",
          "[io][recorder]") {
  const Folder folder;
  const auto system = system::compile(small_circuit());
  io::RecordOptions options;
  options.steps = GENERATE(true, false);
  const int rows = 20'000;  // beyond several doublings of the first room, and beyond the buffers
  {
    io::Recorder recorder(folder / "run.h5", system, solver_options(10), options, run_info());
    Feed feed(system);
    for (int k = 0; k < rows; ++k) feed(recorder, 0.001 * k);
    recorder.finish(summary_of(system, 0.001 * (rows - 1)));
  }
  const io::ResultFile result(folder / "run.h5");
  REQUIRE(result.time().size() == rows);
  const MatrixXd hidden = result.trajectory("hidden");
  double worst = 0;
  for (Index k = 0; k < rows; ++k) {
    CHECK_FALSE(result.time()(k) != 0.001 * static_cast<double>(k));
    const MatrixXd x = state_at(system, result.time()(k)).topRows(3);
    worst = std::max(worst, (hidden.row(k).transpose() - x.reshaped()).cwiseAbs().maxCoeff());
  }
  CHECK(worst == 0);
}

TEST_CASE("the room that a short run leaves unused is given back", "[io][recorder]") {
  const Folder folder;
  const auto system = system::compile(small_circuit());
  io::RecordOptions options;
  options.interval = 0.01;
  const auto expected = io::expected_bytes(system, solver_options(5000), options);
  REQUIRE(expected);
  {
    io::Recorder recorder(folder / "run.h5", system, solver_options(5000), options, run_info());
    // 500001 rows of 9 numbers in two trials and the time are 76 MB.
    CHECK(fs::file_size(folder / "run.h5") > 70e6);
    Feed feed(system);
    for (int k = 0; k < 1000; ++k) feed(recorder, 0.01 * k);
    recorder.finish(summary_of(system, 10));
  }
  CHECK(*expected > 75'000'000);
  CHECK(*expected < 80'000'000);
  CHECK(fs::file_size(folder / "run.h5") < 4e6);
  CHECK(io::ResultFile(folder / "run.h5").time().size() == 1000);
}

TEST_CASE("the expected size is the size, and unknown for the solver's steps", "[io][recorder]") {
  const Folder folder;
  const auto system = system::compile(small_circuit());
  io::RecordOptions options;
  options.interval = 0.1;
  {
    io::Recorder recorder(folder / "run.h5", system, solver_options(2000), options, run_info());
    Feed feed(system);
    for (int k = 0; k <= 20'000; ++k) feed(recorder, 0.1 * k);
    recorder.finish(summary_of(system, 2000));
  }
  const auto expected =
      static_cast<double>(*io::expected_bytes(system, solver_options(2000), options));
  const auto size = static_cast<double>(fs::file_size(folder / "run.h5"));
  CHECK(size / expected == Approx(1).margin(0.3));  // indices of chunks and the last chunk's rest
  options.steps = true;
  CHECK_FALSE(io::expected_bytes(system, solver_options(2000), options));
}

TEST_CASE("a recorder that goes without finish() leaves an interrupted, readable file",
          "[io][recorder]") {
  const Folder folder;
  const auto system = system::compile(small_circuit());
  {
    io::Recorder recorder(folder / "run.h5", system, solver_options(100), {}, run_info());
    Feed feed(system);
    for (int k = 0; k < 7; ++k) feed(recorder, k);
  }
  const io::ResultFile result(folder / "run.h5");
  CHECK(result.status() == "interrupted");
  CHECK(result.time().size() == 7);
  CHECK(result.trajectory_info("hidden").shape[0] == 7);
  CHECK(result.phases().empty());
  CHECK(contains(input_error([&] { result.final_state("hidden"); }), "interrupted"));
}

TEST_CASE("a killed run leaves a file that opens, without a time after the last flush",
          "[io][recorder]") {
  const Folder folder;
  const auto system = system::compile(small_circuit());
  io::RecordOptions options;
  options.steps = GENERATE(false, true);
  options.interval = 0.01;
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    io::Recorder recorder(folder / "run.h5", system, solver_options(1000), options, run_info());
    Feed feed(system);
    for (int k = 0; k < 5000; ++k) feed(recorder, 0.01 * k);  // grows, where the number is unknown
    std::this_thread::sleep_for(std::chrono::milliseconds(1050));
    recorder.step({});
    for (int k = 5000; k < 5100; ++k) feed(recorder, 0.01 * k);
    raise(SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  const io::ResultFile result(folder / "run.h5");
  CHECK(result.status() == "running");
  REQUIRE(result.time().size() == 5000);
  CHECK(result.time()(4999) == 0.01 * 4999);
  const MatrixXd hidden = result.trajectory("hidden");
  CHECK(hidden.row(4999).transpose() == state_at(system, 0.01 * 4999).topRows(3).reshaped());
  CHECK(hidden.allFinite());
  const auto all = result.file().dataset("time").read_numbers().values;
  CHECK(all.size() > 5000);
  CHECK(std::isnan(all[5000]));
  CHECK(contains(input_error([&] { io::check_result_path(folder / "run.h5", false); }),
                 "status is \"running\""));
}

TEST_CASE("a full disk is one error that says so, and nothing crashes", "[io][recorder]") {
  const Folder folder;
  const auto system = system::compile(small_circuit());
  const fs::path told = folder / "told.txt";
  const bool early = GENERATE(false, true);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // No file may grow beyond 1 MB: writing then fails like on a full disk, with EFBIG.
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{early ? 100'000U : 1'000'000U, early ? 100'000U : 1'000'000U};
    setrlimit(RLIMIT_FSIZE, &limit);
    io::RecordOptions options;
    options.steps = true;
    int errors = 0;
    std::string what;
    try {
      io::Recorder recorder(folder / "run.h5", system, solver_options(1000), options, run_info());
      Feed feed(system);
      for (int k = 0; k < 100'000; ++k) {
        try {
          feed(recorder, 0.01 * k);
        } catch (const core::OutputError& error) {
          ++errors;
          what = error.what();
        }
      }
      recorder.finish(summary_of(system, 1000));
    } catch (const core::OutputError& error) {
      ++errors;
      what = error.what();
    }
    std::ofstream(told) << errors << " " << what;
    std::exit(0);  // with HDF5's own clean-up at exit
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  std::ifstream in(told);
  int errors = 0;
  std::string what;
  in >> errors;
  std::getline(in, what);
  INFO(what);
  CHECK(errors == 1);
  CHECK(contains(what, (folder / "run.h5").string()));
  CHECK(contains(what, "File too large"));
  if (early) CHECK_FALSE(fs::exists(folder / "run.h5"));
}

TEST_CASE("only a finished result is replaced without being asked", "[io][recorder]") {
  const Folder folder;
  const auto system = system::compile(small_circuit());
  const fs::path path = folder / "run.h5";
  const auto record = [&](bool overwrite, bool finish) {
    io::Recorder recorder(path, system, solver_options(10), {}, run_info(), overwrite);
    if (finish) recorder.finish(summary_of(system, 10));
  };
  record(false, true);
  record(false, false);  // a finished one goes silently
  const std::string interrupted = input_error([&] { record(false, true); });
  CHECK(contains(interrupted, path.string()));
  CHECK(contains(interrupted, "status is \"interrupted\""));
  CHECK(contains(interrupted, "--overwrite"));
  record(true, true);
  CHECK(io::ResultFile(path).status() == "done");

  // A selector's mistake leaves the old file alone.
  io::RecordOptions wrong;
  wrong.variables = {"nothing"};
  CHECK(contains(
      input_error([&] { io::Recorder(path, system, solver_options(10), wrong, run_info()); }),
      "matches no variable"));
  CHECK(io::ResultFile(path).status() == "done");

  std::ofstream(path) << "my notes";
  CHECK(contains(input_error([&] { record(false, true); }), "no result of settle"));
  CHECK(fs::file_size(path) == 8);
  io::h5::File::create(path).close();
  CHECK(contains(input_error([&] { record(false, true); }), "no result of settle"));
  std::ofstream{path};
  record(false, true);  // an empty file holds nothing
}

TEST_CASE("a path that cannot be written is said so", "[io][recorder]") {
  const Folder folder;
  const auto system = system::compile(small_circuit());
  const auto at = [&](const fs::path& path) {
    return output_error([&] { io::Recorder(path, system, solver_options(1), {}, run_info()); });
  };
  CHECK(contains(at(folder.path), "it is a folder"));
  CHECK(contains(at(folder / "no/such/run.h5"), "there is no folder"));
  CHECK(contains(at("/dev/null"), "/dev/null"));

  const fs::path path = folder / "run.h5";
  std::ofstream(path) << "x";
  const int file = open(path.c_str(), O_RDWR);
  REQUIRE(flock(file, LOCK_EX) == 0);
  CHECK(contains(
      output_error([&] { io::Recorder(path, system, solver_options(1), {}, run_info(), true); }),
      "another process is writing"));
  close(file);
  CHECK(fs::file_size(path) == 1);
}

TEST_CASE("a file that is no result is refused by the reader", "[io][recorder]") {
  const Folder folder;
  const auto opens = [&](const fs::path& path) {
    return input_error([&] { io::ResultFile{path}; });
  };
  CHECK(contains(opens(folder / "none.h5"), "no such file"));
  CHECK(contains(opens(folder.path), "a folder"));
  std::ofstream(folder / "notes.txt") << "my notes, which are longer than a superblock's signature";
  CHECK(contains(opens(folder / "notes.txt"), "HDF5"));
  io::h5::File::create(folder / "other.h5").close();
  CHECK(contains(opens(folder / "other.h5"), "no result of settle"));

  const auto system = system::compile(small_circuit());
  {
    io::Recorder recorder(folder / "run.h5", system, solver_options(1), {}, run_info());
    recorder.add_measure("gain", "1", "gain", VectorXd::Ones(2));
    CHECK(contains(
        input_error([&] { recorder.add_measure("hidden", "1", "taken", VectorXd::Ones(2)); }),
        "taken"));
    recorder.finish(summary_of(system, 1));
  }
  const io::ResultFile result(folder / "run.h5");
  CHECK(result.time().size() == 0);
  CHECK(result.trajectory("hidden").rows() == 0);
  CHECK(contains(input_error([&] { result.trajectory("hiden"); }), "did you mean \"hidden\"?"));
  CHECK(contains(input_error([&] { result.trajectory("hidden", 2); }), "a trial from 0 to 1"));
  CHECK(contains(input_error([&] { result.final_state("control.integal"); }),
                 "did you mean \"control.integral\"?"));
}

TEST_CASE("units of time are none that xarray turns into timedelta", "[io][recorder]") {
  CHECK(io::units_text("ms") == "ms");
  CHECK(io::units_text("milliseconds") == "ms");
  CHECK(io::units_text("seconds") == "s");
  CHECK(io::units_text("days") == "d");
  CHECK(io::units_text("") == "1");
  CHECK(io::units_text("days since 2000-01-01") == "1");
  CHECK(io::units_text("tau_u") == "tau_u");
}
