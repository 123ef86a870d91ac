// Result files in trouble: interrupted, killed, on a full disk, in the way, not to be written, no
// results.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "sim/io/result_path.hpp"
#include "tests/sim/io/recorder_support.hpp"

namespace {

using namespace settle;
using namespace settle::test;

}  // namespace

TEST_CASE("a recorder that goes without finish() leaves an interrupted, readable file",
          "[io][recorder]") {
  const TemporaryFolder folder;
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
  const TemporaryFolder folder;
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
  {
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
  }
  CHECK(contains(input_error([&] { io::check_result_path(folder / "run.h5", false); }),
                 "status is \"running\""));
}

TEST_CASE("a full disk is one error that says so, and nothing crashes", "[io][recorder]") {
  const TemporaryFolder folder;
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
  if (early) {
    CHECK_FALSE(fs::exists(folder / "run.h5"));
  } else {
    const io::ResultFile result(folder / "run.h5");
    CHECK(result.status() == "interrupted");
    CHECK(contains(result.attribute("stop_reason"), "File too large"));
    CHECK(result.time().size() > 1000);
    CHECK(result.trajectory("hidden").allFinite());
  }
}

TEST_CASE("only a finished result is replaced without being asked", "[io][recorder]") {
  const TemporaryFolder folder;
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
  const TemporaryFolder folder;
  const auto system = system::compile(small_circuit());
  const auto at = [&](const fs::path& path) {
    return output_error([&] { io::Recorder(path, system, solver_options(1), {}, run_info()); });
  };
  CHECK(contains(at(folder.path()), "it is a folder"));
  CHECK(contains(at(folder / "no/such/run.h5"), "there is no folder"));
  CHECK(contains(at("/dev/null"), "no regular file"));

  const fs::path path = folder / "run.h5";
  std::ofstream(path) << "x";
  const int file = open(path.c_str(), O_RDWR);
  REQUIRE(flock(file, LOCK_EX) == 0);
  CHECK(contains(
      output_error([&] { io::Recorder(path, system, solver_options(1), {}, run_info(), true); }),
      "another program is writing"));
  close(file);
  CHECK(fs::file_size(path) == 1);
}

TEST_CASE("a file that is no result is refused by the reader", "[io][recorder]") {
  const TemporaryFolder folder;
  const auto opens = [&](const fs::path& path) {
    return input_error([&] { io::ResultFile{path}; });
  };
  CHECK(contains(opens(folder / "none.h5"), "no such file"));
  CHECK(contains(opens(folder.path()), "a folder"));
  std::ofstream(folder / "notes.txt") << "my notes, which are longer than a superblock's signature";
  CHECK(contains(opens(folder / "notes.txt"), "HDF5"));
  io::h5::File::create(folder / "other.h5").close();
  CHECK(contains(opens(folder / "other.h5"), "no result of settle"));

  const auto system = system::compile(small_circuit());
  {
    io::Recorder recorder(folder / "run.h5", system, solver_options(1), {}, run_info());
    recorder.add_measure(measured("gain", "1", MatrixXd::Ones(1, 2), {}));
    recorder.add_measure(measured("hidden", "1", MatrixXd::Ones(1, 2), {}));  // a population's name
    recorder.finish(summary_of(system, 1));
  }
  const io::ResultFile result(folder / "run.h5");
  CHECK(result.time().size() == 0);
  CHECK(result.trajectory("hidden").rows() == 0);
  CHECK(result.measure("measured_hidden"));
  CHECK(contains(input_error([&] { result.trajectory("hiden"); }), "did you mean \"hidden\"?"));
  CHECK(contains(input_error([&] { result.trajectory("hidden", 2); }), "a trial from 0 to 1"));
  CHECK(contains(input_error([&] { result.final_state("control.integal"); }),
                 "did you mean \"control.integral\"?"));
}
