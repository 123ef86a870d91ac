// The file of a training run: written from several threads, killed, gone on with, refused.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "sim/io/checksum.hpp"
#include "sim/io/training_file.hpp"
#include "tests/sim/io/recorder_support.hpp"

using namespace settle;
using namespace settle::test;
using io::CourseOutcome;
using Opening = io::TrainingFile::Opening;

namespace {

io::TrainingLayout layout() {
  return {
      .rules = {"DI, α = .01", "bp"},
      .seeds = {7, 2, 9},
      .steps = {0, 10, 100, 1000},
      .layers = {1, 2},
      .variables = {{.name = "train_error", .long_name = "error on training examples"},
                    {.name = "settling_time", .unit = "time", .long_name = "time to rest"},
                    {.name = "unsettled", .long_name = "examples", .is_count = true},
                    {.name = "angle", .unit = "degree", .long_name = "to BP", .per_layer = true}}};
}

io::ResumableInfo info() { return {run_info(), {"title = \"t\"\n", "/data", {"--quick"}}}; }

io::h5::Numbers numbers(const fs::path& path, const std::string& name) {
  return io::h5::File::open(path).dataset(name).read_numbers();
}

std::string resume_error(const fs::path& path, const io::TrainingLayout& axes,
                         const io::ResumableInfo& from = info()) {
  return input_error([&] { io::TrainingFile(path, axes, from, Opening::resume); });
}

// Every number of its own: 1000 rule + 100 seed + 10 step.
double value(std::size_t rule, std::size_t seed, std::size_t step) {
  return static_cast<double>(1000 * rule + 100 * seed + 10 * step);
}

void put_all(io::TrainingFile& file, std::size_t rule, std::size_t seed) {
  for (std::size_t step = 0; step < file.layout().steps.size(); ++step) {
    file.put("train_error", rule, seed, step, value(rule, seed, step));
    const std::vector<double> angles = {value(rule, seed, step) + 1, value(rule, seed, step) + 2};
    file.put("angle", rule, seed, step, angles);
  }
}

void write_example(const fs::path& path) {
  io::TrainingFile file(path, layout(), info(), Opening::overwrite);
  put_all(file, 0, 0);
  put_all(file, 1, 2);
  file.put("unsettled", 0, 0, 1, 3);
  file.end(0, 0, CourseOutcome::trained);
  file.end(1, 2, CourseOutcome::diverged, "‖W‖ is not finite");
  MatrixXd w(2, 3);
  w << 1, 2, 3, 4, 5, 6;
  file.put_matrix(1, 2, "W_1", w, "unit_1", "unit_0");
  file.put_matrix(1, 2, "W_2", MatrixXd::Ones(4, 2), "unit_2", "unit_1");
  file.put_matrix(0, 0, "B_2", w);
  file.put_vector(1, 2, "b_1", VectorXd::Constant(2, 0.5), "unit_1");
  file.finish("done");
}

}  // namespace

TEST_CASE("what is put stands in its place, and NaN where nothing was", "[io][training]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "t.h5";
  write_example(path);
  CHECK(io::TrainingFile::is_training(path));
  const io::h5::File file = io::h5::File::open(path);
  CHECK(file.text_attribute("status") == "done");
  CHECK(file.text_attribute("title") == "A test");
  CHECK(file.dataset("config").read_text() == run_info().config);
  CHECK(file.dataset("config_expanded").text_attribute("sha256") ==
        io::sha256(run_info().config_expanded));
  const io::Resumption from = io::read_resumption(file);
  CHECK(from.config == "title = \"t\"\n");
  CHECK(from.options == std::vector<std::string>{"--quick"});
  CHECK(file.dataset("rule").read_texts() == layout().rules);
  CHECK(file.dataset("seed").read_integers() == layout().seeds);
  CHECK(file.dataset("step").read_numbers().values == layout().steps);
  CHECK(file.dataset("angle").scales() ==
        std::vector<std::string>{"/rule", "/seed", "/step", "/layer"});
  CHECK(file.dataset("settling_time").text_attribute("units") == "ms");
  CHECK(file.dataset("train_error").text_attribute("units") == "1");
  CHECK(file.dataset("unsettled").number_attribute("is_count") == 1);

  const io::h5::Numbers errors = file.dataset("train_error").read_numbers();
  REQUIRE(errors.shape == io::h5::Shape{2, 3, 4});
  const io::h5::Numbers angles = file.dataset("angle").read_numbers();
  REQUIRE(angles.shape == io::h5::Shape{2, 3, 4, 2});
  for (std::size_t rule = 0; rule < 2; ++rule)
    for (std::size_t seed = 0; seed < 3; ++seed)
      for (std::size_t step = 0; step < 4; ++step) {
        const std::size_t k = (rule * 3 + seed) * 4 + step;
        if ((rule == 0 && seed == 0) || (rule == 1 && seed == 2)) {
          CHECK(errors.values[k] == value(rule, seed, step));
          CHECK(angles.values[2 * k + 1] == value(rule, seed, step) + 2);
        } else {
          CHECK(std::isnan(errors.values[k]));
          CHECK(std::isnan(angles.values[2 * k]));
        }
      }
  CHECK(file.dataset("outcome").read_integers() == std::vector<std::int64_t>{0, -1, -1, -1, -1, 1});
  CHECK(file.dataset("outcome").text_attribute("flag_meanings") ==
        "trained diverged failed interrupted");
  CHECK(file.dataset("reason").read_texts() ==
        std::vector<std::string>{"", "", "", "", "", "‖W‖ is not finite"});
  const io::h5::Group course = file.group("weights/rule_1/seed_9");
  CHECK(course.text_attribute("rule") == "bp");
  CHECK(course.number_attribute("seed") == 9);
  CHECK(course.dataset("W_1").read_numbers().values == std::vector<double>{1, 2, 3, 4, 5, 6});
  CHECK(course.dataset("W_2").scales()[1] == "/weights/rule_1/seed_9/unit_1");
  CHECK(course.dataset("b_1").scales()[0] == "/weights/rule_1/seed_9/unit_1");
  CHECK(file.dataset("weights/rule_0/seed_7/B_2").scales()[0] == "/weights/rule_0/seed_7/B_2_row");
}

TEST_CASE("courses side by side write what they would alone", "[io][training]") {
  const TemporaryFolder folder;
  {
    io::TrainingFile file(folder / "t.h5", layout(), info(), Opening::create);
    std::vector<std::thread> threads;
    for (std::size_t course = 0; course < 6; ++course)
      threads.emplace_back([&file, course] {
        for (int k = 0; k < 20; ++k) put_all(file, course / 3, course % 3);
        file.put_matrix(course / 3, course % 3, "W_1",
                        MatrixXd::Constant(30, 20, static_cast<double>(course)));
        file.end(course / 3, course % 3, CourseOutcome::trained);
        file.flush();
      });
    for (std::thread& thread : threads) thread.join();
    file.finish("done");
  }
  const io::h5::Numbers errors = numbers(folder / "t.h5", "train_error");
  for (std::size_t k = 0; k < errors.values.size(); ++k)
    CHECK(errors.values[k] == value(k / 12, k / 4 % 3, k % 4));
  CHECK(numbers(folder / "t.h5", "weights/rule_1/seed_2/W_1").values ==
        std::vector<double>(600, 4));
}

TEST_CASE("a training run is gone on with where it was interrupted", "[io][training]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "t.h5";
  {
    io::TrainingFile file(path, layout(), info(), Opening::create);
    put_all(file, 0, 1);
    file.end(0, 1, CourseOutcome::failed, "unstable");
    file.put("train_error", 1, 0, 0, 5);
    file.end(1, 0, CourseOutcome::interrupted, "Ctrl-C");
    file.put_matrix(1, 0, "W_1", MatrixXd::Ones(2, 2));
  }
  CHECK(io::h5::File::open(path).text_attribute("status") == "interrupted");
  CHECK(contains(input_error([&] { io::TrainingFile(path, layout(), info(), Opening::create); }),
                 "settle resume"));
  {
    io::TrainingFile file(path, layout(), info(), Opening::resume);
    CHECK(file.outcome(0, 1) == CourseOutcome::failed);
    CHECK(file.reason(0, 1) == "unstable");
    CHECK_FALSE(file.outcome(1, 0));
    CHECK(file.reason(1, 0).empty());
    file.put("train_error", 1, 0, 1, 4);
    file.put_matrix(1, 0, "W_1", MatrixXd::Zero(2, 2));
    file.put_matrix(1, 0, "W_2", MatrixXd::Ones(1, 2), "", "W_1_row");
    file.set_attribute("wall_time", 2.5);
    file.end(1, 0, CourseOutcome::trained);
    file.finish("done");
  }
  const io::h5::Numbers errors = numbers(path, "train_error");
  CHECK(errors.values[4] == value(0, 1, 0));
  CHECK(errors.values[12] == 5);
  CHECK(errors.values[13] == 4);
  CHECK(numbers(path, "weights/rule_1/seed_7/W_1").values == std::vector<double>(4, 0));
  CHECK(numbers(path, "outcome").values == std::vector<double>{-1, 2, -1, 0, -1, -1});
  CHECK(contains(resume_error(path, layout()), "is done"));
  io::TrainingFile(path, layout(), info(), Opening::create).finish("done");  // may be replaced
}

TEST_CASE("a training run is only gone on with as it began", "[io][training]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "t.h5";
  { io::TrainingFile(path, layout(), info(), Opening::create).put("unsettled", 0, 0, 0, 1); }
  io::TrainingLayout other = layout();
  other.rules[1] = "fa";
  CHECK(contains(resume_error(path, other), R"(rules "DI, α = .01", "bp")"));
  other = layout();
  other.seeds.pop_back();
  CHECK(contains(resume_error(path, other), "seeds 7, 2, 9"));
  other = layout();
  other.steps[3] = 500;
  CHECK(contains(resume_error(path, other), "steps 0, 10, 100, 500"));
  other = layout();
  other.layers.push_back(3);
  CHECK(contains(resume_error(path, other), "layers 1, 2"));
  other = layout();
  other.variables[0].name = "train_eror";
  CHECK(contains(resume_error(path, other), "did you mean \"train_error\"?"));
  other = layout();
  other.variables[0].per_layer = true;
  CHECK(contains(resume_error(path, other), "dimensions of train_error"));
  io::ResumableInfo from = info();
  from.run.config_expanded += "x = 1\n";
  CHECK(contains(resume_error(path, layout(), from), "another configuration"));
  io::h5::File::create(folder / "other.h5").close();
  CHECK(contains(resume_error(folder / "other.h5", layout()), "no result of a training run"));
  CHECK_FALSE(io::TrainingFile::is_training(folder / "other.h5"));
  CHECK(contains(resume_error(folder / "none.h5", layout()), "no such file"));
  // None of these harmed it.
  io::TrainingFile(path, layout(), info(), Opening::resume).finish("done");
  CHECK(numbers(path, "unsettled").values[0] == 1);
}

TEST_CASE("a training run that is killed at any moment opens and goes on", "[io][training]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "t.h5";
  { io::TrainingFile(path, layout(), info(), Opening::create).flush(); }
  for (int round = 0; round < 10; ++round) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      io::TrainingFile file(path, layout(), info(), Opening::resume);
      for (;;) {
        put_all(file, 0, 0);
        file.flush();
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + 7 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const io::h5::File file = io::h5::File::open(path);
    CHECK(file.text_attribute("status") != "done");
    CHECK(file.dataset("angle").read_numbers().values.size() == 48);
  }
  io::TrainingFile(path, layout(), info(), Opening::resume).finish("done");
  CHECK(numbers(path, "train_error").values[3] == value(0, 0, 3));
}

TEST_CASE("a full disk leaves a training run as it was", "[io][training]") {
  const TemporaryFolder folder;
  const fs::path path = folder / "t.h5";
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // No file may grow beyond 3 MB: writing then fails like on a full disk, with EFBIG.
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{3'000'000, 3'000'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    bool told = false;
    {
      io::TrainingFile file(path, layout(), info(), Opening::create);
      put_all(file, 0, 0);
      const auto put = [&] { file.put_matrix(0, 0, "W_1", MatrixXd::Zero(1000, 1000)); };
      told = contains(output_error(put), "no room");
    }
    std::exit(told ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  const io::h5::File file = io::h5::File::open(path);
  CHECK(file.text_attribute("status") == "interrupted");
  CHECK(file.dataset("train_error").read_numbers().values[1] == value(0, 0, 1));
}

// Run by test_training_file.py alone.
TEST_CASE("an example of a training file, for other programs to open", "[.][example_file]") {
  const char* path = std::getenv("SETTLE_EXAMPLE_FILE");
  REQUIRE(path);
  write_example(path);
}
