#include <catch2/catch.hpp>
#include <cmath>
#include <fstream>
#include <limits>

#include "sim/io/toml.hpp"
#include "tests/temporary_folder.hpp"

namespace settle::io {
namespace {

using core::InputError;
using core::Value;

// The error that `text` gives, or "".
std::string error_of(const std::string& text) {
  try {
    parse_toml(text, "f.toml");
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string override_error(Value value, const std::string& assignment) {
  try {
    apply_override(value, assignment);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

const std::string example = R"(title = "α loop"
seed = 1

[model]
kind = "dynamic_inversion"
layers = [20, 10]

[model.controller]
leak = 0.01
gains = { p = 0.0, i = 1.0 }

[[rule]]
name = "DI, α = .01"
leak = 1e-3

[[rule]]
name = "bp"
)";

}  // namespace

TEST_CASE("members keep the order of the file", "[io][toml]") {
  const Value value = parse_toml("z = 1\nb.y = 2\na = 3\nb.c = 4\n[q.z]\n[q]\na = 1\n", "f.toml");
  std::string keys;
  for (const core::Member& member : value.table()) keys += member.key;
  CHECK(keys == "zbaq");
  CHECK(value.find("b")->table()[0].key == "y");
  CHECK(value.find("q")->table()[0].key == "z");
}

TEST_CASE("every value and key knows its line and column", "[io][toml]") {
  const Value value = parse_toml(example, "f.toml");
  CHECK(value.position.text() == "f.toml:1:1");
  CHECK(core::find_path(value, "model.layers")->position.text() == "f.toml:6:10");
  CHECK(core::find_path(value, "model.layers")->array()[1].position.text() == "f.toml:6:15");
  CHECK(core::find_path(value, "model.controller.gains.i")->position.text() == "f.toml:10:24");
  CHECK(core::find_path(value, "model.controller")->table()[1].position.text() == "f.toml:10:1");
  CHECK(core::find_path(value, "rule.bp")->position.text() == "f.toml:16:1");
}

TEST_CASE("numbers, infinities and texts come as what they are", "[io][toml]") {
  const Value value =
      parse_toml("i = -9223372036854775808\nf = 1.0\nn = nan\np = inf\nb = true\ns = 'x'", "f");
  CHECK(value.find("i")->integer() == std::numeric_limits<std::int64_t>::min());
  CHECK(value.find("f")->is_number());
  CHECK_FALSE(value.find("f")->is_integer());
  CHECK(std::isnan(value.find("n")->number()));
  CHECK(std::isinf(value.find("p")->number()));
  CHECK(value.find("b")->boolean());
  CHECK(value.find("s")->text() == "x");
}

TEST_CASE("a key that stands twice is an error with its line", "[io][toml]") {
  CHECK(error_of("a = 1\nb = 2\na = 3\n") == "f.toml:3:5: the key \"a\" stands twice");
  CHECK_THAT(error_of("[a]\n[b]\n[a]\n"), Catch::StartsWith("f.toml:3:"));
}

TEST_CASE("what is no TOML is an error with line and column", "[io][toml]") {
  CHECK_THAT(error_of("a = 1\nb = \n"), Catch::StartsWith("f.toml:2:5: this is not TOML: "));
  CHECK_THAT(error_of("a = tanh\n"), Catch::Contains("a text stands in quotes"));
  CHECK_THAT(error_of("a = euler\n"), Catch::Contains("a text stands in quotes"));
  CHECK_THAT(error_of("a = \"x\nb = 1"), Catch::Contains("not closed on its line"));
  CHECK_THAT(error_of("a = \"\xff\"\n"), Catch::Contains("no UTF-8"));
  CHECK_THAT(error_of("a = 99999999999999999999"), Catch::Contains("not representable"));
  CHECK_THAT(error_of("[a]\nb = [1, 2020-01-01]"),
             Catch::StartsWith("f.toml:2:9: a date or a time"));
}

TEST_CASE("a file that is missing, a folder or empty is told apart", "[io][toml]") {
  namespace fs = std::filesystem;
  const test::TemporaryFolder temporary;
  const fs::path& folder = temporary.path();
  std::ofstream(folder / "circuit.toml") << "a = 1\r\n# é\r\nb = 2\r\n";
  std::ofstream(folder / "empty.toml").flush();
  CHECK_THROWS_WITH(load(folder / "circiut.toml"),
                    Catch::Contains("no such file") && Catch::Contains("\"circuit.toml\""));
  CHECK_THROWS_WITH(load(folder), Catch::Contains("a folder"));
  CHECK_THROWS_AS(load(""), InputError);
  CHECK(load(folder / "empty.toml").value == Value{});
  const LoadedFile file = load(folder / "circuit.toml", {"a=5", "a=6"});
  CHECK(file.text == "a = 1\r\n# é\r\nb = 2\r\n");
  CHECK(file.value.find("a")->integer() == 6);
  CHECK(file.value.find("b")->position.text() == (folder / "circuit.toml").string() + ":3:5");
}

TEST_CASE("an override sets a value and says where it stood", "[io][toml]") {
  Value value = parse_toml(example, "f.toml");
  apply_override(value, "model.controller.leak=0.1");
  apply_override(value, "model.kind=pid");
  apply_override(value, "model.file = data/w.h5");
  apply_override(value, "rule.\"DI, α = .01\".leak=inf");
  apply_override(value, "solver.settled={ dwell = 5 }");
  const Value* leak = core::find_path(value, "model.controller.leak");
  CHECK(leak->number() == 0.1);
  CHECK(leak->position.text() == "--set model.controller.leak:23");
  CHECK(core::find_path(value, "model.kind")->text() == "pid");
  CHECK(core::find_path(value, "model.file")->text() == "data/w.h5");
  CHECK(std::isinf(core::find_path(value, "rule.\"DI, α = .01\".leak")->number()));
  CHECK(core::find_path(value, "solver.settled.dwell")->position.text() ==
        "--set solver.settled:26");
  CHECK(value.table().back().position.text() == "--set solver.settled:1");
  CHECK(value.table()[2].position.text() == "f.toml:4:2");  // [model]
}

TEST_CASE("an override that cannot be meant is an error", "[io][toml]") {
  const Value value = parse_toml(example, "f.toml");
  CHECK_THAT(override_error(value, "seed"), Catch::Contains("no \"=\""));
  CHECK_THAT(override_error(value, "=1"), Catch::Contains("no key"));
  CHECK_THAT(override_error(value, "seed="), Catch::StartsWith("--set seed:6: nothing after"));
  CHECK_THAT(override_error(value, "seed=[1, 2"), Catch::StartsWith("--set seed:11: "));
  CHECK_THAT(override_error(value, "seed=1,5"), Catch::StartsWith("--set seed:7: "));
  CHECK_THAT(override_error(value, "seed=\"x"), Catch::StartsWith("--set seed:"));
  CHECK_THAT(override_error(value, "seed=1\nb=2"), Catch::Contains("a line break"));
  CHECK_THAT(override_error(value, "seed=2020-01-01"), Catch::Contains("a date or a time"));
  CHECK_THAT(override_error(value, "rule.pb.leak=1"), Catch::Contains("did you mean \"bp\""));
  CHECK_THAT(override_error(value, "seed.x=1"), Catch::Contains("\"seed\" is the integer 1"));
}

TEST_CASE("a table written as TOML reads back as the same table", "[io][toml]") {
  Value value = parse_toml(example, "f.toml");
  core::Array row, rows, numbers;
  for (int i = 0; i < 40; ++i) {
    row.emplace_back(0.1 * i);
    numbers.emplace_back(std::pow(10.0, i - 20));
  }
  for (int i = 0; i < 3; ++i) rows.emplace_back(row);
  value.set("empty", core::Table{});
  value.set("nothing", core::Array{});
  value.find("model")->set("weights", rows);
  value.find("model")->set("numbers", numbers);
  value.find("model")->set("a key.with \"quotes\"", "tab\t, quote \", back\\slash, \x01, é\n");
  value.find("rule")->array()[0].set("signal", core::Table{{"values", rows, {}}, {"at", 1, {}}});
  value.find("rule")->array()[1].set(
      "axes", core::Array{core::Table{{"a", 1, {}}}, core::Table{{"b", core::Table{}, {}}}});
  value.set("mixed", core::Array{1, "x", core::Table{{"y", core::Array{true, 1e300}, {}}}});
  value.set("integer", std::numeric_limits<std::int64_t>::min());
  value.set("infinite", -std::numeric_limits<double>::infinity());
  const std::string text = toml_text(value);
  CAPTURE(text);
  const Value again = parse_toml(text, "written");
  CHECK(again == value);
  CHECK(toml_text(again) == text);
  for (std::size_t begin = 0, end; begin < text.size(); begin = end + 1) {
    end = text.find('\n', begin);
    CHECK(end - begin <= 104);
  }
}

TEST_CASE("a whole number stays a float, and an integer an integer", "[io][toml]") {
  const Value value{core::Table{{"f", 1.0, {}}, {"i", 1, {}}, {"s", 1e-6, {}}, {"z", -0.0, {}}}};
  CHECK(toml_text(value) == "f = 1.0\ni = 1\ns = 1e-06\nz = -0.0\n");
  CHECK_FALSE(parse_toml(toml_text(value), "f").find("f")->is_integer());
  CHECK(toml_text(Value{core::Table{{"n", std::nan(""), {}}}}) == "n = nan\n");
}

TEST_CASE("tables stand under headings, small ones inside on one line", "[io][toml]") {
  CHECK(toml_text(parse_toml(example, "f.toml")) == R"(title = "α loop"
seed = 1

[model]
kind = "dynamic_inversion"
layers = [20, 10]

[model.controller]
leak = 0.01
gains = { p = 0.0, i = 1.0 }

[[rule]]
name = "DI, α = .01"
leak = 0.001

[[rule]]
name = "bp"
)");
  const std::string sweep = R"([sweep]
axes = [
  { parameter = "model.controller.leak", log = [0.001, 1.0], points = 32 },
  { parameter = "model.controller.gains.i", log = [0.1, 10.0], points = 32 },
]
weights = [
  [1.0, 2.0],
  [3.0, 4.0],
]
)";
  CHECK(toml_text(parse_toml(sweep, "f.toml")) == sweep);
}

}  // namespace settle::io
