// The file of a sweep: written point by point, gone on with, read.
#include "sim/io/sweep_file.hpp"
#include "tests/sim/io/recorder_support.hpp"

using namespace settle;
using namespace settle::test;
using core::Quantity;
using io::PointStatus;

namespace {

io::SweepDimension numbers(const std::string& name, std::vector<double> values, bool log = false) {
  io::SweepDimension out;
  out.name = name;
  out.long_name = "model." + name;
  out.numbers = std::move(values);
  out.logarithmic = log;
  return out;
}

io::SweepDimension labels(const std::string& name, std::vector<std::string> values) {
  io::SweepDimension out;
  out.name = name;
  out.labels = std::move(values);
  return out;
}

const std::vector<io::SweepDimension> two_axes = {labels("scheme", {"a", "b"}),
                                                  numbers("leak", {0.1, 1, 10}, true)};

io::SweepWriter writer_of(const fs::path& path,
                          const std::vector<io::SweepDimension>& axes = two_axes,
                          bool overwrite = false) {
  return {path,
          axes,
          2,
          {run_info(), {"x = 1\n", path.parent_path(), {"--quick"}}},
          solver_options(1),
          overwrite};
}

Quantity plain(const std::string& name, double a, double b) {
  MatrixXd values(1, 2);
  values << a, b;
  return measured(name, "time", values, {"", std::isnan(b) ? "none" : ""});
}

// Over nodes, cell c of trial k being first + 10 k + c.
Quantity of_nodes(const std::vector<std::string>& nodes, double first) {
  const auto n = static_cast<Index>(nodes.size());
  MatrixXd values(n, 2);
  for (Index k = 0; k < 2; ++k)
    for (Index c = 0; c < n; ++c) values(c, k) = first + static_cast<double>(10 * k + c);
  Quantity out = measured("excursion", "1", values, {"", ""});
  out.axes = {{.name = "node", .size = n, .long_name = "nodes", .labels = nodes, .numbers = {}}};
  return out;
}

Quantity of_instants(std::vector<double> times) {
  const auto n = static_cast<Index>(times.size());
  Quantity out = measured("pole_along", "1/time", MatrixXd::Constant(n, 2, 7), {"", ""});
  out.axes = {{.name = "instant",
               .size = n,
               .long_name = "times",
               .labels = {},
               .numbers = std::move(times),
               .units = "time"}};
  return out;
}

}  // namespace

TEST_CASE("points of a sweep are read back where they belong", "[io][sweep]") {
  const TemporaryFolder folder;
  {
    io::SweepWriter writer = writer_of(folder / "s.h5");
    Quantity verdict = measured("verdict_text", "1", {}, {});
    verdict.texts = {"settled", "ärger"};
    Quantity kind = measured("kind", "1", MatrixXd::Constant(1, 2, 1), {"", ""});
    kind.meanings = {"good", "bad"};
    writer.add(4, {plain("settling", 1.5, missing), verdict, kind}, {{"steps", 42}});
    writer.add_failure(1, "no such file");
    CHECK(writer.points()[4] == PointStatus::done);
    CHECK(writer.points()[0] == PointStatus::pending);
    CHECK_FALSE(writer.read("nothing"));
    writer.flush();
    CHECK(writer.read("settling")->values(0, 4) == 1.5);
    writer.finish("interrupted", "enough");
  }
  CHECK(io::SweepFile::is_sweep(folder / "s.h5"));
  const io::SweepFile file(folder / "s.h5");
  CHECK(file.attribute("status") == "interrupted");
  CHECK(file.attribute("stop_reason") == "enough");
  CHECK(file.resumption().config == "x = 1\n");
  CHECK(file.resumption().base == folder.path());
  CHECK(file.resumption().options == std::vector<std::string>{"--quick"});
  CHECK(file.trials() == 2);
  REQUIRE(file.axes().size() == 2);
  CHECK(file.axes()[0].labels == std::vector<std::string>{"a", "b"});
  CHECK(file.axes()[1].numbers == std::vector<double>{0.1, 1, 10});
  CHECK(file.axes()[1].logarithmic);
  CHECK_FALSE(file.axes()[0].logarithmic);
  const auto done = PointStatus::done, pending = PointStatus::pending;
  CHECK(file.points() ==
        std::vector<PointStatus>{pending, PointStatus::failed, pending, pending, done, pending});
  const Quantity settling = file.map("settling");
  CHECK(settling.units == "ms");
  CHECK(settling.values(0, 4) == 1.5);
  CHECK(std::isnan(settling.values(1, 4)));
  CHECK(std::isnan(settling.values(0, 3)));
  CHECK(file.map("settling_reason").texts[9] == "none");
  CHECK(file.map("verdict_text").texts[9] == "ärger");
  CHECK(file.map("point_reason").texts[1] == "no such file");
  CHECK(file.map("kind").meanings == std::vector<std::string>{"good", "bad"});
  CHECK(file.map("kind").values(0, 4) == 1);
  CHECK(std::isnan(file.map("kind").values(0, 0)));
  CHECK(file.map("steps").values(0, 4) == 42);
}

TEST_CASE("an axis holds the labels of all points, each number under its own", "[io][sweep]") {
  const TemporaryFolder folder;
  const std::vector<std::string> first = {"hidden", "control"}, second = {"control", "x", "y"};
  {
    io::SweepWriter writer = writer_of(folder / "s.h5");
    CHECK(writer.brings_new_labels({of_nodes(first, 0)}));
    writer.add(0, {of_nodes(first, 100)}, {});
    CHECK_FALSE(writer.brings_new_labels({of_nodes(first, 0)}));
    CHECK(writer.brings_new_labels({of_nodes(second, 0)}));
    writer.flush();
    writer.add(3, {of_nodes(second, 200)}, {});
    writer.add(5, {of_nodes({"y"}, 300)}, {});
    // Without entries: of a circuit without nodes.
    writer.add(1, {of_nodes({}, 0), plain("settling", 1, 2)}, {});
    writer.finish("interrupted", "");
  }
  {
    io::SweepWriter again(folder / "s.h5");
    CHECK_FALSE(again.brings_new_labels({of_nodes(second, 0)}));
    CHECK(again.points()[3] == PointStatus::done);
    again.add(2, {of_nodes({"z"}, 400)}, {});
    again.finish("done", "");
  }
  const io::SweepFile file(folder / "s.h5");
  const Quantity map = file.map("excursion");
  REQUIRE(map.axes.size() == 2);
  CHECK(map.axes[1].labels == std::vector<std::string>{"hidden", "control", "x", "y", "z"});
  const auto cell = [&](Index trial, Index node, Index point) {
    return map.values(trial * 5 + node, point);
  };
  CHECK(cell(0, 0, 0) == 100);
  CHECK(cell(1, 1, 0) == 111);
  CHECK(std::isnan(cell(0, 2, 0)));
  CHECK(cell(0, 1, 3) == 200);
  CHECK(cell(1, 3, 3) == 212);
  CHECK(cell(1, 3, 5) == 310);
  CHECK(cell(0, 4, 2) == 400);
  CHECK(std::isnan(cell(0, 0, 1)));
  // Every map fits its axes, as xarray asks for.
  CHECK(file.file().dataset("node").shape() == io::h5::Shape{5});
  CHECK(file.file().dataset("excursion").shape() == io::h5::Shape{2, 3, 2, 5});
}

TEST_CASE("an axis of numbers is an index with every point's numbers beside it", "[io][sweep]") {
  const TemporaryFolder folder;
  {
    io::SweepWriter writer = writer_of(folder / "s.h5");
    writer.add(0, {of_instants({0, 1})}, {});
    writer.add(1, {of_instants({0, 0.5, 2.5})}, {});
    writer.finish("done", "");
  }
  const io::SweepFile file(folder / "s.h5");
  const Quantity times = file.map("instant_value");
  CHECK(times.units == "ms");
  CHECK(times.values(1, 0) == 1);
  CHECK(std::isnan(times.values(2, 0)));
  CHECK(times.values(2, 1) == 2.5);
  CHECK(file.map("pole_along").values(2, 1) == 7);
  CHECK(std::isnan(file.map("pole_along").values(2, 0)));
}

TEST_CASE("an axis that is called as what is measured is an error", "[io][sweep]") {
  const TemporaryFolder folder;
  io::SweepWriter writer = writer_of(folder / "s.h5", {numbers("settling", {1, 2})});
  CHECK(contains(input_error([&] { writer.add(0, {plain("settling", 1, 2)}, {}); }),
                 "an axis of the sweep called \"settling\""));
  io::SweepWriter other = writer_of(folder / "o.h5", {numbers("node", {1, 2})});
  CHECK(contains(input_error([&] { other.add(0, {of_nodes({"a"}, 0)}, {}); }),
                 "an axis of the sweep called \"node\""));
}

TEST_CASE("a writer that goes without finish() leaves a sweep to go on with", "[io][sweep]") {
  const TemporaryFolder folder;
  { writer_of(folder / "s.h5").add(2, {plain("settling", 1, 2)}, {}); }
  {
    const io::SweepFile file(folder / "s.h5");
    CHECK(file.attribute("status") == "interrupted");
    CHECK(file.points()[2] == PointStatus::done);
    CHECK(file.map("settling").values(1, 2) == 2);
  }
  CHECK(contains(input_error([&] { writer_of(folder / "s.h5"); }), "settle resume"));
}

TEST_CASE("an unfinished sweep is only overwritten where that is asked for", "[io][sweep]") {
  const TemporaryFolder folder;
  { writer_of(folder / "s.h5").add(2, {plain("settling", 1, 2)}, {}); }
  {
    io::SweepWriter writer = writer_of(folder / "s.h5", two_axes, true);
    CHECK(writer.points()[2] == PointStatus::pending);
    writer.finish("done", "");
  }
  writer_of(folder / "s.h5").finish("done", "");  // a finished one is replaced as any result
}

TEST_CASE("what is no sweep is told", "[io][sweep]") {
  const TemporaryFolder folder;
  folder.write("notes.h5", "my notes");
  io::h5::File::create(folder / "empty.h5").close();
  for (const char* name : {"notes.h5", "empty.h5", "none.h5"})
    CHECK_FALSE(io::SweepFile::is_sweep(folder / name));
  CHECK(contains(input_error([&] { io::SweepFile(folder / "empty.h5"); }), "no result of a sweep"));
  CHECK(
      contains(input_error([&] { io::SweepWriter(folder / "empty.h5"); }), "no result of a sweep"));
  CHECK(contains(input_error([&] { io::SweepFile(folder / "none.h5"); }), "no such file"));
}

TEST_CASE("a table stands beside the maps, the group of a point is made anew", "[io][sweep]") {
  const TemporaryFolder folder;
  {
    io::SweepWriter writer = writer_of(folder / "s.h5");
    writer.put_table("boundary_point", "points of it", {{"boundary_leak", "1", "leak", {1, 2, 3}}});
    writer.set_attribute("compared", 3.0);
    writer.point_group(5, 16).write_dataset("x", {1}, std::vector<double>{1});
    writer.point_group(5, 16).write_dataset("x", {2}, std::vector<double>{1, 2});
    writer.finish("done", "");
  }
  const io::SweepFile file(folder / "s.h5");
  CHECK(file.file().dataset("boundary_leak").read_numbers().values == std::vector<double>{1, 2, 3});
  CHECK(file.file().dataset("points/00005/x").shape() == io::h5::Shape{2});
  CHECK(file.file().number_attribute("compared") == 3);
  CHECK(file.maps() == std::vector<std::string>{"point_status"});
}
