// Measured quantities in a file and back.
#include "sim/io/analysis_file.hpp"
#include "sim/io/quantities.hpp"
#include "tests/sim/io/recorder_support.hpp"

using namespace settle;
using namespace settle::test;
using core::Quantity;

namespace {

// One of every form.
std::vector<Quantity> all_forms() {
  MatrixXd plain(1, 2), cells(6, 2), flags(1, 2);
  plain << 0.25, missing;
  cells << 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, missing, 12;
  flags << 1, missing;
  std::vector<Quantity> out = {measured("settling", "time", plain, {"", "it did not settle"}),
                               measured("rate", "1/time", cells, std::vector<std::string>(12)),
                               measured("kind", "1", flags, {"", "it has none"}),
                               measured("grid", "1", cells, {"", ""}),
                               measured("words", "1", {}, {})};
  out[1].axes = {
      {.name = "node", .size = 3, .long_name = "nodes", .labels = {"a", "b", "c"}, .numbers = {}},
      {.name = "band",
       .size = 2,
       .long_name = "bands",
       .labels = {},
       .numbers = {0.1, 0.2},
       .units = "1/time"}};
  out[1].reasons[10] = "not that one";
  out[2].meanings = {"good", "bad"};
  out[3].axes = {{.name = "index", .size = 6, .long_name = "", .labels = {}, .numbers = {}}};
  out[4].texts = {"settled", "ärger"};
  return out;
}

void check_same(const Quantity& found, const Quantity& expected, const std::string& units) {
  INFO(expected.name);
  CHECK(found.name == expected.name);
  CHECK(found.units == units);
  CHECK(found.long_name == expected.long_name);
  CHECK(found.meanings == expected.meanings);
  CHECK(found.texts == expected.texts);
  REQUIRE(found.values.rows() == expected.values.rows());
  REQUIRE(found.values.cols() == expected.values.cols());
  for (Index k = 0; k < found.trials(); ++k)
    for (Index c = 0; c < found.cells(); ++c) {
      if (std::isnan(expected.values(c, k)))
        CHECK(std::isnan(found.values(c, k)));
      else
        CHECK(found.values(c, k) == expected.values(c, k));
      CHECK(found.reason(c, k) == expected.reason(c, k));
    }
  REQUIRE(found.axes.size() == expected.axes.size());
  for (std::size_t a = 0; a < found.axes.size(); ++a) {
    CHECK(found.axes[a].name == expected.axes[a].name);
    CHECK(found.axes[a].size == expected.axes[a].size);
    CHECK(found.axes[a].labels == expected.axes[a].labels);
  }
}

}  // namespace

TEST_CASE("quantities of every form are read back as they were written", "[io][quantities]") {
  const TemporaryFolder folder;
  const std::vector<Quantity> all = all_forms();
  {
    io::h5::File file = io::h5::File::create(folder / "q.h5");
    io::Shelf shelf(file.group("/"));
    for (const Quantity& quantity : all) io::write_quantity(shelf, quantity, "ms");
  }
  const io::h5::File file = io::h5::File::open(folder / "q.h5");
  const std::vector<std::string> units = {"ms", "1/ms", "1", "1", "1"};
  for (std::size_t k = 0; k < all.size(); ++k) {
    const auto found = io::read_quantity(file, all[k].name);
    REQUIRE(found);
    check_same(*found, all[k], units[k]);
  }
  const auto rate = io::read_quantity(file, "rate");
  CHECK(rate->axes[1].numbers == std::vector<double>{0.1, 0.2});
  CHECK(rate->axes[1].units == "1/ms");
  CHECK(rate->axes[1].long_name == "bands");
  // Scales, and what explains another, are no quantities.
  for (const char* name : {"node", "band", "trial", "rate_reason", "settling_reason"})
    CHECK_FALSE(io::read_quantity(file, name));
}

TEST_CASE("a name that is taken becomes measured_NAME", "[io][quantities]") {
  const TemporaryFolder folder;
  io::h5::File file = io::h5::File::create(folder / "q.h5");
  io::Shelf shelf(file.group("/"));
  shelf.put("settling", {{"time", 2}}, std::vector<double>{1, 2}, "1", "a trajectory");
  shelf.put("rate_reason", {{"time", 2}}, std::vector<double>{1, 2}, "1", "a trajectory");
  shelf.put_scale("node", std::vector<double>{1, 2, 3, 4}, "1", "of another size");
  for (const Quantity& quantity : all_forms()) io::write_quantity(shelf, quantity, "1");
  CHECK_FALSE(io::read_quantity(file, "settling"));
  CHECK(io::read_quantity(file, "measured_settling")->values(0, 0) == 0.25);
  const auto rate = io::read_quantity(file, "measured_rate");
  REQUIRE(rate);
  CHECK(rate->axes[0].name == "measured_node");
  CHECK(rate->axes[0].labels == std::vector<std::string>{"a", "b", "c"});
  CHECK(rate->reason(4, 1) == "not that one");
}

TEST_CASE("an analysis is written and read back with where it came from", "[io][analysis_file]") {
  const TemporaryFolder folder;
  const std::vector<Quantity> all = all_forms();
  io::write_analysis(folder / "a.h5", "analysis", "run.h5", all, run_info(), solver_options(10),
                     false);
  CHECK(io::AnalysisFile::kind_of(folder / "a.h5") == "analysis");
  {
    const io::AnalysisFile file(folder / "a.h5");
    CHECK(file.attribute("about") == "run.h5");
    CHECK(file.attribute("status") == "done");
    CHECK(file.attribute("title") == "A test");
    CHECK(file.attribute("nothing") == "");
    CHECK(file.quantities().size() == all.size());
    for (const Quantity& quantity : all) {
      const Quantity* found = file.find(quantity.name);
      REQUIRE(found);
      CHECK(found->texts == quantity.texts);
      CHECK(found->values.size() == quantity.values.size());
    }
    CHECK_FALSE(file.find("nothing"));
  }
  // A finished result is replaced, one of others is not.
  io::write_analysis(folder / "a.h5", "tuning", "x", {}, run_info(), solver_options(10), false);
  CHECK(io::AnalysisFile::kind_of(folder / "a.h5") == "tuning");
  folder.write("notes.h5", "my notes");
  CHECK(contains(input_error([&] {
                   io::write_analysis(folder / "notes.h5", "tuning", "x", {}, run_info(),
                                      solver_options(10), false);
                 }),
                 "--overwrite"));
}

TEST_CASE("what is no analysis is told", "[io][analysis_file]") {
  const TemporaryFolder folder;
  folder.write("notes.h5", "my notes");
  io::h5::File::create(folder / "empty.h5").close();
  CHECK(io::AnalysisFile::kind_of(folder / "notes.h5") == "");
  CHECK(io::AnalysisFile::kind_of(folder / "none.h5") == "");
  CHECK(io::AnalysisFile::kind_of(folder / "empty.h5") == "");
  CHECK(contains(input_error([&] { io::AnalysisFile(folder / "empty.h5"); }), "no analysis"));
  CHECK(contains(input_error([&] { io::AnalysisFile(folder / "none.h5"); }), "no such file"));
}
