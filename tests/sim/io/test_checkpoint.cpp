// Checkpoints: the same bits, the old one until the new one is whole, and what is wrong is told.
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <thread>

#include "sim/io/checkpoint.hpp"
#include "tests/sim/io/recorder_support.hpp"

using namespace settle;
using namespace settle::test;

namespace {

// Numbers whose bits are easily lost: −0, subnormal, infinite, quiet and signalling NaN with a payload.
const std::vector<double> doubles = {-0.0,
                                     5e-324,
                                     -std::numeric_limits<double>::infinity(),
                                     std::bit_cast<double>(0x7ff8'0000'dead'beefULL),
                                     std::bit_cast<double>(0xfff0'0000'0000'0001ULL),
                                     0.1};

std::vector<std::uint64_t> bits(const std::vector<double>& numbers) {
  std::vector<std::uint64_t> out;
  for (const double x : numbers) out.push_back(std::bit_cast<std::uint64_t>(x));
  return out;
}

MatrixXd awkward() { return Eigen::Map<const MatrixXd>(doubles.data(), 2, 3); }

void write(const fs::path& path, double number) {
  io::CheckpointWriter writer(path);
  writer.number("number", number);
  writer.matrix("W/1", MatrixXd(MatrixXd::Constant(20, 30, number)));
  writer.commit();
}

}  // namespace

TEST_CASE("what a checkpoint keeps comes back bit by bit", "[io][checkpoint]") {
  const TemporaryFolder folder;
  Eigen::MatrixXf floats(3, 1);
  floats << -0.0F, std::bit_cast<float>(0x7fc0'beefU), std::bit_cast<float>(0xff80'0001U);
  io::CheckpointWriter writer(folder / "c.h5");
  writer.matrix("network/W/1", awkward());
  writer.matrix("network/W/2", floats);
  writer.matrix("network/none", MatrixXd(0, 4));
  for (std::size_t k = 0; k < doubles.size(); ++k)
    writer.number("x/" + std::to_string(k), doubles[k]);
  writer.integer("examples", std::numeric_limits<std::int64_t>::min());
  writer.text("rule", "DI, α = .01\nzwei");
  writer.text("empty", "");
  CHECK(folder.files() == 0);  // nothing until commit()
  writer.commit();
  CHECK(folder.files() == 1);

  const io::CheckpointReader reader(folder / "c.h5");
  const MatrixXd m = reader.matrix("network/W/1");
  REQUIRE(m.rows() == 2);
  CHECK(bits({m.data(), m.data() + m.size()}) == bits(doubles));
  const Eigen::MatrixXf f = reader.matrix_float32("network/W/2");
  REQUIRE(f.rows() == 3);
  for (Index k = 0; k < 3; ++k)
    CHECK(std::bit_cast<std::uint32_t>(f(k)) == std::bit_cast<std::uint32_t>(floats(k)));
  CHECK(reader.matrix("network/none").rows() == 0);
  CHECK(reader.matrix("network/none").cols() == 4);
  std::vector<double> numbers;
  for (std::size_t k = 0; k < doubles.size(); ++k)
    numbers.push_back(reader.number("x/" + std::to_string(k)));
  CHECK(bits(numbers) == bits(doubles));
  CHECK(reader.integer("examples") == std::numeric_limits<std::int64_t>::min());
  CHECK(reader.text("rule") == "DI, α = .01\nzwei");
  CHECK(reader.text("empty").empty());
  CHECK(reader.has("network/W/2"));
  CHECK_FALSE(reader.has("network/W"));
  CHECK_FALSE(reader.has("network/V"));

  MatrixXd into(2, 3);
  reader.matrix("network/W/1", into);
  CHECK(bits({into.data(), into.data() + into.size()}) == bits(doubles));
}

TEST_CASE("what a checkpoint does not hold is told", "[io][checkpoint]") {
  const TemporaryFolder folder;
  io::CheckpointWriter writer(folder / "c.h5");
  writer.matrix("W_1", MatrixXd(2, 3));
  writer.matrix("F_1", Eigen::MatrixXf(2, 3));
  writer.integer("examples", 3);
  writer.commit();
  const io::CheckpointReader reader(folder / "c.h5");
  CHECK(contains(input_error([&] { reader.matrix("W_l"); }), "did you mean \"W_1\"?"));
  MatrixXd other(3, 2);
  Eigen::MatrixXf single(2, 3);
  CHECK(contains(input_error([&] { reader.matrix("W_1", other); }), "a matrix of 2 × 3"));
  CHECK(contains(input_error([&] { reader.matrix("W_1", other); }), "3 × 2"));
  CHECK(contains(input_error([&] { reader.matrix("W_1", single); }), "a float32 matrix"));
  CHECK(contains(input_error([&] { reader.matrix("F_1"); }), "a float64 matrix"));
  CHECK(contains(input_error([&] { reader.number("examples"); }), "a float64 number"));
  CHECK(contains(input_error([&] { reader.integer("W_1"); }), "an integer"));
  CHECK(contains(input_error([&] { reader.number("W_1"); }), "2 × 3"));
  CHECK(contains(input_error([&] { reader.text("examples"); }), "a text"));
}

TEST_CASE("a file that is no whole checkpoint is told", "[io][checkpoint]") {
  const TemporaryFolder folder;
  folder.write("notes.h5", "my notes");
  io::h5::File::create(folder / "other.h5").close();
  const auto error = [&](const char* name) {
    return input_error([&] { io::CheckpointReader{folder / name}; });
  };
  CHECK(contains(error("none.h5"), "no such file"));
  CHECK(contains(error("notes.h5"), "cannot open it as HDF5"));
  CHECK(contains(error("other.h5"), "no checkpoint"));
  write(folder / "c.h5", 1);
  const auto whole = fs::file_size(folder / "c.h5");
  for (const std::uintmax_t bytes : {whole - 1, whole / 2, std::uintmax_t{100}}) {
    fs::resize_file(folder / "c.h5", bytes);
    CHECK(contains(error("c.h5"), "cannot open it as HDF5"));
  }
}

TEST_CASE("an old checkpoint stays until the new one is whole", "[io][checkpoint]") {
  const TemporaryFolder folder;
  write(folder / "c.h5", 1);
  write(folder / "c.h5", 2);
  CHECK(io::CheckpointReader(folder / "c.h5").number("number") == 2);

  SECTION("on a full disk") {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      // No file may grow beyond 2 MB: writing then fails like on a full disk, with EFBIG.
      signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{2'000'000, 2'000'000};
      setrlimit(RLIMIT_FSIZE, &limit);
      io::CheckpointWriter writer(folder / "c.h5");
      writer.matrix("W/1", MatrixXd(MatrixXd::Zero(1000, 1000)));
      const std::string said = output_error([&] { writer.commit(); });
      std::exit(contains(said, "no room") && contains(said, "c.h5") ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
    CHECK(folder.files() == 1);
  }
  SECTION("where its folder is gone") {
    io::CheckpointWriter writer(folder / "gone" / "c.h5");
    CHECK(contains(output_error([&] { writer.commit(); }), "No such file"));
  }
  SECTION("while a killed writer was at it") {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
      for (;;) write(folder / "c.h5", 2);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  const io::CheckpointReader reader(folder / "c.h5");
  CHECK(reader.number("number") == 2);
  CHECK(reader.matrix("W/1") == MatrixXd::Constant(20, 30, 2));
}

TEST_CASE("checkpoints may be written side by side", "[io][checkpoint]") {
  const TemporaryFolder folder;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&folder, t] {
      for (int k = 0; k < 5; ++k) write(folder / std::to_string(t), 10 * t + k);
    });
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < 4; ++t)
    CHECK(io::CheckpointReader(folder / std::to_string(t)).number("number") == 10 * t + 4);
}
