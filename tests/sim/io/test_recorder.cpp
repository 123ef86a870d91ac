// What the recorder writes, and what the reader gives of it.
#include "sim/io/circuit_group.hpp"
#include "tests/sim/io/recorder_support.hpp"

namespace {

using namespace settle;
using namespace settle::test;

}  // namespace

TEST_CASE("what a run records is read back to the bit", "[io][recorder]") {
  const TemporaryFolder folder;
  const auto system = system::compile(small_circuit());
  io::RecordOptions options;
  options.variables = {"*", "hidden.rate"};
  options.interval = 0.5;
  Feed feed(system);
  {
    io::Recorder recorder(folder / "run.h5", system, solver_options(10), options, run_info());
    for (int k = 0; k <= 20; ++k) feed(recorder, 0.5 * k);
    MatrixXd inversion_error(1, 2), poles(4, 2);
    inversion_error << 0.25, missing;
    poles << 1, 2, 3, 4, 5, 6, 7, missing;
    recorder.add_measure(
        measured("inversion_error", "1", inversion_error, {"", "it did not settle"}));
    core::Quantity both =
        measured("pole_real", "1/time", poles, {"", "", "", "", "", "", "", "none"});
    both.axes = {
        {.name = "pole", .size = 2, .long_name = "pole", .labels = {"a", "b"}, .numbers = {}},
        {.name = "band", .size = 2, .long_name = "band", .labels = {}, .numbers = {0.1, 0.2}}};
    recorder.add_measure(both);
    core::Quantity verdict = measured("verdict", "1", {}, {});
    verdict.texts = {"settled", "it rings"};
    recorder.add_measure(verdict);
    core::Quantity kind = measured("kind", "1", inversion_error.array().round(), {});
    kind.meanings = {"good", "bad"};
    recorder.add_measure(kind);
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
    // Another tanh than ours, each to some units in the last place.
    CHECK((rate.row(k).transpose() - x.col(1).array().tanh().matrix()).cwiseAbs().maxCoeff() <
          1e-15);
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
  const core::Quantity* measure = result.measure("inversion_error");
  REQUIRE(measure);
  CHECK(measure->values(0) == 0.25);
  CHECK(std::isnan(measure->values(1)));
  CHECK(measure->reasons == std::vector<std::string>{"", "it did not settle"});
  const core::Quantity* poles = result.measure("pole_real");
  REQUIRE(poles);
  CHECK(poles->units == "1/ms");
  REQUIRE(poles->axes.size() == 2);
  CHECK(poles->axes[0].labels == std::vector<std::string>{"a", "b"});
  CHECK(poles->axes[1].numbers == std::vector<double>{0.1, 0.2});
  CHECK(poles->values(1, 0) == 3);  // cell (a, 0.2) of trial 0
  CHECK(poles->reason(3, 1) == "none");
  CHECK(poles->reason(2, 1).empty());
  CHECK(result.measure("verdict")->texts == std::vector<std::string>{"settled", "it rings"});
  const core::Quantity* kind = result.measure("kind");
  CHECK(kind->meanings == std::vector<std::string>{"good", "bad"});
  CHECK((kind->values(0) == 0 && std::isnan(kind->values(1))));
  CHECK(result.measure("settled_at")->units == "ms");  // never "milliseconds"
}

TEST_CASE("a result holds the circuit that made it", "[io][recorder]") {
  const TemporaryFolder folder;
  const auto system = system::compile(small_circuit());
  io::Recorder(folder / "run.h5", system, solver_options(1), {}, run_info());
  const io::ResultFile result(folder / "run.h5");
  const io::h5::Group& file = result.file();
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
  const TemporaryFolder folder;
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
  CHECK(contains(reads("interval", missing), "a number > 0"));
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
  const TemporaryFolder folder;
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
    x.col(1).setConstant(missing);
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
  const TemporaryFolder folder;
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
  const TemporaryFolder folder;
  const auto system = system::compile(small_circuit());
  io::RecordOptions options;
  options.interval = 0.01;
  const auto expected = io::expected_bytes(system, solver_options(5000), options);
  REQUIRE(expected);
  {
    io::Recorder recorder(folder / "run.h5", system, solver_options(5000), options, run_info());
    // 500001 rows of 9 numbers in two trials and the time are 76 MB.
    CHECK(fs::file_size(folder / "run.h5") > 70'000'000);
    Feed feed(system);
    for (int k = 0; k < 1000; ++k) feed(recorder, 0.01 * k);
    recorder.add_measure(measured("inversion_error", "1", MatrixXd::Zero(1, 2), {}));
    recorder.finish(summary_of(system, 10));
  }
  CHECK(*expected > 75'000'000);
  CHECK(*expected < 90'000'000);
  CHECK(fs::file_size(folder / "run.h5") < 4'000'000);
  CHECK(io::ResultFile(folder / "run.h5").time().size() == 1000);
}

TEST_CASE("the expected size is an upper bound and near, and unknown for the solver's steps",
          "[io][recorder]") {
  const TemporaryFolder folder;
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
  CHECK(size <= expected);
  CHECK(size > 0.6 * expected);  // the rest of the last chunks, indices, and what is rounded up
  options.steps = true;
  CHECK_FALSE(io::expected_bytes(system, solver_options(2000), options));
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
