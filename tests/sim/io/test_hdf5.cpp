#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "sim/core/error.hpp"
#include "sim/io/hdf5.hpp"
#include "tests/temporary_folder.hpp"

namespace settle::io::h5 {
namespace {

namespace fs = std::filesystem;

const double nan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("numbers and texts read back as they were written", "[io][hdf5]") {
  const test::TemporaryFolder folder;
  {
    File file = File::create(folder / "a.h5");
    const std::vector<double> values = {1, 2, 3, 4, 5, nan};
    file.write_dataset("x", {2, 3}, values);
    file.write_dataset("n", {2}, std::vector<std::int64_t>{1LL << 62, -1});
    file.write_dataset("names", std::vector<std::string>{"α", "", "DI, α = .01"});
    file.write_dataset("text", std::string("verbatim\nΔ"));
    Dataset flags = file.create_dataset("flags", Type::int8, {3}, {.fill = -1});
    flags.write_block({1}, {2}, std::vector<std::int8_t>{0, 1});
    Group group = file.create_group("points");
    group.create_group("00017").write_dataset("y", {}, std::vector<double>{7});
    file.close();
    CHECK_FALSE(file.is_open());
  }
  const File file = File::open(folder / "a.h5");
  const Numbers x = file.dataset("x").read_numbers();
  CHECK(x.shape == Shape{2, 3});
  CHECK(x.values[4] == 5);
  CHECK(std::isnan(x.values[5]));
  CHECK(file.dataset("x").read_numbers({1, 0}, {1, 2}).values == std::vector<double>{4, 5});
  CHECK(file.dataset("n").read_integers() == std::vector<std::int64_t>{1LL << 62, -1});
  CHECK(file.dataset("names").read_texts() == std::vector<std::string>{"α", "", "DI, α = .01"});
  CHECK(file.dataset("text").read_text() == "verbatim\nΔ");
  CHECK(file.dataset("flags").read_integers() == std::vector<std::int64_t>{-1, 0, 1});
  CHECK(file.dataset("flags").largest_integer() == 127.0);
  CHECK(file.dataset("/points/00017/y").read_numbers().values == std::vector<double>{7});
  CHECK(file.dataset("points/00017/y").path() == "/points/00017/y");
  CHECK(file.names() == std::vector<std::string>{"x", "n", "names", "text", "flags", "points"});
  CHECK(file.dataset_paths().back() == "points/00017/y");
  CHECK(file.exists("/"));
  CHECK(file.exists("/points/00017"));
  CHECK(file.is_group("points"));
  CHECK_FALSE(file.is_dataset("points"));
  CHECK_FALSE(file.exists("points/1/y"));
  CHECK_FALSE(file.exists("x/y"));
  CHECK_FALSE(file.exists(""));
}

TEST_CASE("attributes keep their order, and one that is set again its new value", "[io][hdf5]") {
  const test::TemporaryFolder folder;
  {
    File file = File::create(folder / "a.h5");
    Dataset data = file.create_dataset("x", Type::float64, {2});
    for (int i = 30; i-- > 0;) {  // more than fit a compact object header
      file.set_attribute("a" + std::to_string(i), "text " + std::to_string(i));
      data.set_attribute("a" + std::to_string(i), static_cast<std::int64_t>(i));
    }
    file.set_attribute("status", "running");
    file.flush();
    file.set_attribute("status", "settled, and much longer than before");
    file.set_attribute("a7", 0.5);
    data.set_attribute("flag_values", std::vector<std::int8_t>{0, 1});
    data.set_attribute("flag_meanings", "off on");
    data.set_attribute("list", std::vector<std::string>{"α", "b"});
    data.set_attribute("numbers", std::vector<double>{0.5, nan});
    data.set_attribute("empty", std::vector<double>{});
  }
  const File file = File::open(folder / "a.h5");
  CHECK(file.text_attribute("status") == "settled, and much longer than before");
  CHECK(file.number_attribute("a7") == 0.5);
  CHECK(file.attribute_names().front() == "a29");
  const Dataset data = file.dataset("x");
  CHECK(data.attribute_names().front() == "a29");
  CHECK(data.number_attribute("a3") == 3);
  CHECK(data.text_list_attribute("list") == std::vector<std::string>{"α", "b"});
  CHECK(data.number_list_attribute("numbers")[0] == 0.5);
  CHECK(data.number_list_attribute("empty").empty());
  CHECK_THROWS_WITH(file.text_attribute("statsu"), Catch::Contains("did you mean \"status\""));
  CHECK_THROWS_WITH(file.text_attribute("a7"), Catch::Contains("floating-point"));
  CHECK_THROWS_WITH(file.number_attribute("status"), Catch::Contains("texts"));
}

TEST_CASE("a dataset grows with its fill value and is cut again", "[io][hdf5]") {
  const test::TemporaryFolder folder;
  File file = File::create(folder / "a.h5");
  Dataset data = file.create_dataset(
      "x", Type::float64, {4, 2},
      {.max_shape = {unlimited, 2}, .chunk = {}, .fill = nan, .allocate_early = true});
  data.write_block({1, 0}, {1, 2}, std::vector<double>{1, 2});
  data.resize({6, 2});
  CHECK(std::isnan(data.read_numbers().values[11]));
  data.resize({2, 2});
  CHECK(data.shape() == Shape{2, 2});
  CHECK(data.read_numbers().values[3] == 2);
  CHECK_THROWS_AS(data.resize({2, 3}), core::OutputError);
  Dataset packed = file.create_dataset("p", Type::float64, {1000}, {.deflate = true});
  packed.write(std::vector<double>(1000, 1.0));
  CHECK(packed.read_numbers().values == std::vector<double>(1000, 1.0));
}

TEST_CASE("each axis knows its scale", "[io][hdf5]") {
  const test::TemporaryFolder folder;
  File file = File::create(folder / "a.h5");
  Dataset time = file.write_dataset("time", {2}, std::vector<double>{0, 1});
  Dataset unit = file.write_dataset("hidden_unit", {3}, std::vector<std::int64_t>{0, 1, 2});
  time.make_scale("time");
  unit.make_scale("hidden_unit");
  Dataset hidden = file.create_dataset("hidden", Type::float64, {2, 3, 1}, {.fill = nan});
  hidden.attach_scale(time, 0);
  hidden.attach_scale(unit, 1);
  CHECK(hidden.scales() == std::vector<std::string>{"/time", "/hidden_unit", ""});
  CHECK(time.is_scale());
  CHECK_FALSE(hidden.is_scale());
}

TEST_CASE("a file or dataset that cannot be read says why", "[io][hdf5]") {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "text.h5") << "no hdf5";
  CHECK_THROWS_WITH(File::open(folder / "none.h5"), Catch::Contains("no such file"));
  CHECK_THROWS_WITH(File::open(folder.path()), Catch::Contains("a folder"));
  CHECK_THROWS_AS(File::open(folder / "text.h5"), core::InputError);
  CHECK_FALSE(File::is_hdf5(folder / "text.h5"));
  CHECK_FALSE(File::is_hdf5(folder / "none.h5"));
  {
    File file = File::create(folder / "a.h5");
    file.write_dataset("target", {2}, std::vector<double>{0, 1});
    file.write_dataset("name", std::string("x"));
    CHECK_THROWS_WITH(file.write_dataset("name", std::string("x")), Catch::Contains("\"name\""));
    CHECK_THROWS_WITH(file.create_group("a/b"), Catch::Contains("\"a/b\""));
  }
  const File file = File::open(folder / "a.h5");
  CHECK(File::is_hdf5(folder / "a.h5"));
  CHECK_THROWS_WITH(file.dataset("/targte"),
                    Catch::Contains("a.h5") && Catch::Contains("did you mean \"/target\""));
  CHECK_THROWS_WITH(file.group("target"), Catch::Contains("no group"));
  CHECK_THROWS_WITH(file.dataset("name").read_numbers(), Catch::Contains("it holds texts"));
  CHECK_THROWS_WITH(file.dataset("target").read_texts(), Catch::Contains("floating-point"));
  CHECK_THROWS_AS(file.dataset("target").read_numbers({1}, {2}), core::InputError);
  fs::copy_file(folder / "a.h5", folder / "cut.h5");
  fs::resize_file(folder / "cut.h5", 700);
  CHECK_THROWS_WITH(File::open(folder / "cut.h5"), Catch::Contains("truncated"));
}

TEST_CASE("a file that cannot be written says why", "[io][hdf5]") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(File::create(folder / "no" / "a.h5"),
                    Catch::Contains("No such file or directory"));
  CHECK_THROWS_AS(File::create(folder.path()), core::OutputError);
  { File::create(folder / "a.h5").write_dataset("x", {1}, std::vector<double>{1}); }
  File file = File::open(folder / "a.h5");
  CHECK_THROWS_WITH(file.set_attribute("status", "x"),
                    Catch::Contains("a.h5: cannot write the attribute \"status\""));
}

TEST_CASE("a file opened to write keeps what it holds", "[io][hdf5]") {
  const test::TemporaryFolder folder;
  { File::create(folder / "a.h5").write_dataset("x", {1}, std::vector<double>{1}); }
  {
    File file = File::open_to_write(folder / "a.h5");
    file.dataset("x").write(std::vector<double>{2});
    file.write_dataset("y", std::string("new"));
    file.remove("y");
    file.close();
  }
  const File file = File::open(folder / "a.h5");
  CHECK(file.dataset("x").read_numbers().values == std::vector<double>{2});
  CHECK(file.names() == std::vector<std::string>{"x"});
}

}  // namespace settle::io::h5
