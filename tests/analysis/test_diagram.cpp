#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "analysis/diagram.hpp"
#include "analysis/diagram_scene.hpp"
#include "analysis/external.hpp"
#include "models/build.hpp"
#include "sim/io/toml.hpp"
#include "tests/temporary_folder.hpp"

namespace settle::analysis {
namespace {

using Catch::Matchers::Contains;

system::Circuit circuit_of(const std::string& text) {
  return models::build_circuit(models::read_config(io::parse_toml(text, "test.toml"), "."));
}

const std::string two_loops = R"(
[model]
kind = "dynamic_inversion"
scheme = "simultaneous"
layers = [7, 5, 3]
forward = { init = "uniform", low = -0.5, high = 0.5 }
setpoint = { init = "normal", std = 0.1 }
)";

// A recurrent population, driven by a source, under a controller of the textbook's sign.
const std::string spelt_out = R"(
[[population]]
name = "cortex"
size = 6
tau = 10.0
transfer = "tanh"
[[controller]]
name = "readout"
size = 2
leak = 0.05
gains = { p = 1.0, i = 0.5, d = 0.1 }
error = "setpoint - measured"
setpoint = { init = "normal", std = 0.1 }
[[projection]]
from = "cortex"
to = "cortex"
gain = -2.0
weights = { init = "normal", std = 0.1 }
[[projection]]
from = "cortex"
to = "readout"
weights = { init = "normal", std = 0.1 }
[[projection]]
from = "readout"
to = "cortex"
weights = { init = "transpose", of = "cortex->readout" }
[[source]]
name = "stimulus"
to = "cortex"
signal = { kind = "step", at = 1.0, values = [1.0] }
)";

// While it lives, no program is found.
struct EmptyPath {
  explicit EmptyPath(const std::filesystem::path& folder) : old(std::getenv("PATH")) {
    setenv("PATH", folder.c_str(), 1);
  }
  ~EmptyPath() { setenv("PATH", old.c_str(), 1); }
  std::string old;
};

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += word.size()) ++n;
  return n;
}

// A label's text, without its tags and with plain blanks.
std::string without_tags(const std::string& text) {
  std::string out;
  bool in_tag = false;
  for (const char c : text) {
    if (c == '<') in_tag = true;
    if (!in_tag) out += c;
    if (c == '>') in_tag = false;
  }
  const std::string blank = "\u00A0";
  for (std::size_t at = 0; (at = out.find(blank, at)) != std::string::npos;)
    out.replace(at, blank.size(), " ");
  return out;
}

const Box& box_named(const Scene& scene, const std::string& name) {
  for (const Box& box : scene.boxes)
    if (box.name == name) return box;
  FAIL("no box " << name);
  return scene.boxes.front();
}

Scene scene_of(const system::Circuit& circuit) {
  Scene scene = make_scene(circuit);
  lay_out(scene);
  return scene;
}

bool overlap(const Box& a, const Box& b) {
  return std::abs(a.centre.x - b.centre.x) < (a.width + b.width) / 2 &&
         std::abs(a.centre.y - b.centre.y) < (a.height + b.height) / 2;
}

TEST_CASE("a diagram names each population and controller once") {
  const std::string text = diagram(circuit_of(two_loops), "Two loops");
  for (const char* name : {"hidden_1", "hidden_2", "control_1", "control_2"})
    CHECK(count(text, std::string("<B>") + name + "</B>") == 1);
  CHECK(count(text, "<B>control_1.error</B>") == 0);  // a controller is one box
}

TEST_CASE("a diagram shows each projection with its shape, and feedback that mirrors it") {
  const std::string text = without_tags(diagram(circuit_of(two_loops), "Two loops"));
  CHECK(count(text, "W₁  5×7") == 1);
  CHECK(count(text, "W₂  3×5") == 1);
  CHECK(count(text, "B₁  7×5") == 1);
  CHECK(count(text, "B₂  5×3") == 1);
  CHECK(count(text, "= −W₁ᵀ") == 1);
  CHECK(count(text, "= −W₂ᵀ") == 1);
}

TEST_CASE("a diagram shows equations with their numbers") {
  const std::string text = without_tags(diagram(circuit_of(spelt_out), ""));
  CHECK_THAT(text, Contains("τ ẋ = −x + Σ + s(t)"));
  CHECK_THAT(text, Contains("r = tanh x"));
  CHECK_THAT(text, Contains("n = 6, τ = 10"));
  CHECK_THAT(text, Contains("e = y − measured"));
  CHECK_THAT(text, Contains("τᵤ ξ̇ = −α ξ + e"));
  CHECK_THAT(text, Contains("u = 0.5 ξ + e + 0.1 ė"));
  CHECK_THAT(text, Contains("n = 2, α = 0.05, τᵤ = 1"));
  CHECK_THAT(text, Contains("−2 R  6×6"));
  CHECK_THAT(text, Contains("stimulus"));
  CHECK_THAT(text, Contains("step"));
}

TEST_CASE("only what is negative ends in a bar") {
  const Scene two = scene_of(circuit_of(two_loops));
  for (const Arrow& arrow : two.arrows)
    CHECK(arrow.inhibits == (arrow.kind == Arrow::Kind::feedback));  // B = −Wᵀ
  // The textbook's comparator turns the sign of what it measures; the projections are positive.
  for (const Arrow& arrow : scene_of(circuit_of(spelt_out)).arrows)
    CHECK(arrow.inhibits == (arrow.kind == Arrow::Kind::recurrent));
}

TEST_CASE("the forward path runs up on the left, the feedback down on the right") {
  const Scene scene = scene_of(circuit_of(two_loops));
  double forward = 0, feedback = 0;
  for (const Arrow& arrow : scene.arrows) {
    if (arrow.kind != Arrow::Kind::forward && arrow.kind != Arrow::Kind::feedback) continue;
    const double middle = scene.boxes[static_cast<std::size_t>(arrow.from)].centre.x;
    const bool up = arrow.path.back().y > arrow.path.front().y;
    if (arrow.kind == Arrow::Kind::forward) {
      ++forward;
      CHECK(up);
      CHECK(arrow.path.front().x < middle);
    } else {
      ++feedback;
      CHECK(!up);
      CHECK(arrow.path.front().x > middle);
    }
  }
  CHECK(forward == 2);
  CHECK(feedback == 2);
}

TEST_CASE("loops stand as a staircase with each setpoint at its controller's height") {
  const Scene scene = scene_of(circuit_of(two_loops));
  const Box& low = box_named(scene, "hidden_1");
  const Box& controller = box_named(scene, "control_1");
  const Box& next = box_named(scene, "hidden_2");
  CHECK(low.centre.x == controller.centre.x);
  CHECK(low.centre.y < controller.centre.y);
  CHECK(next.centre.y == controller.centre.y);
  CHECK(next.centre.x > controller.centre.x);
}

TEST_CASE("boxes never overlap") {
  std::string eight = R"(
[model]
kind = "dynamic_inversion"
layers = [9, 8, 7, 6, 5, 4, 3, 2, 2]
forward = { init = "uniform", low = -0.5, high = 0.5 }
setpoint = { init = "normal", std = 0.1 }
)";
  std::string single = eight;
  single += "scheme = \"single_loop\"\n";
  for (const std::string& text : {two_loops, spelt_out, eight, single}) {
    const Scene scene = scene_of(circuit_of(text));
    for (std::size_t a = 0; a < scene.boxes.size(); ++a)
      for (std::size_t b = 0; b < a; ++b) CHECK(!overlap(scene.boxes[a], scene.boxes[b]));
  }
}

TEST_CASE("Graphviz reads a title and names with quotes, tags and backslashes") {
  const test::TemporaryFolder folder;
  system::Circuit circuit = circuit_of(spelt_out);
  circuit.nodes[0].name = "a \"<b>\" & \\";
  const std::string title = "It's \"<b>\" & {x|y} \\N \\ \t 50 %";
  const std::string text = diagram(circuit, title);
  CHECK_THAT(text, Contains("&lt;b&gt;"));
  run_to_file({"dot", "graphviz", {"-Tcanon"}}, text, folder / "canon.dot");
  CHECK_THAT(read(folder / "canon.dot"), Contains("digraph circuit"));
  draw_circuit(circuit, title, folder / "out.svg");
  CHECK_THAT(read(folder / "out.svg"), Contains("It&#39;s &quot;&lt;b&gt;&quot; &amp; {x|y}"));
}

TEST_CASE("a circuit is drawn to SVG, PNG, PDF and dot, and nothing else is left behind") {
  const test::TemporaryFolder folder;
  const system::Circuit circuit = circuit_of(two_loops);
  for (const char* name : {"c.svg", "c.png", "c.pdf", "c.dot", "c.gv"})
    draw_circuit(circuit, "Two loops", folder / name);
  CHECK(folder.files() == 5);
  const std::string svg = read(folder / "c.svg");
  CHECK_THAT(svg, Contains("hidden_1"));
  CHECK(svg.substr(svg.size() - 7) == "</svg>\n");
  CHECK(read(folder / "c.png").substr(1, 3) == "PNG");
  CHECK(read(folder / "c.pdf").substr(0, 4) == "%PDF");
  CHECK(read(folder / "c.dot") == diagram(circuit, "Two loops"));
}

TEST_CASE("a figure of unknown kind names those that are known") {
  for (const char* name : {"circuit.jpeg", "circuit"}) {
    try {
      draw_circuit(circuit_of(two_loops), "", name);
      FAIL("no error");
    } catch (const core::InputError& error) {
      CHECK_THAT(error.expected, Contains(".svg") && Contains(".png") && Contains(".pdf"));
    }
  }
}

TEST_CASE("a missing program is named with the package to install") {
  const test::TemporaryFolder folder;
  const EmptyPath nothing(folder.path());
  CHECK_THROWS_WITH(draw_circuit(circuit_of(two_loops), "", folder / "c.svg"),
                    Contains("dot") && Contains("apt install graphviz"));
  CHECK(folder.files() == 0);
}

TEST_CASE("a program that fails says why and leaves the old file") {
  const test::TemporaryFolder folder;
  write_text_file("old", folder / "c.svg");
  CHECK_THROWS_WITH(run_to_file({"dot", "graphviz", {"-Tsvg"}}, "digraph {", folder / "c.svg"),
                    Contains("syntax error"));
  CHECK(read(folder / "c.svg") == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("a place that cannot be written is an error before anything runs") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(draw_circuit(circuit_of(two_loops), "", folder / "none/c.svg"),
                    Contains("there is no folder"));
  std::filesystem::create_directory(folder / "c.svg");
  CHECK_THROWS_AS(draw_circuit(circuit_of(two_loops), "", folder / "c.svg"), core::OutputError);
}

}  // namespace
}  // namespace settle::analysis
