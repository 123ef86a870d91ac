// The whole family of measures, over circuits of every kind: what each one says is complete.
#include <catch2/catch.hpp>
#include <cmath>
#include <set>

#include "tests/analysis/measured.hpp"

using namespace settle;
using settle::test::Index;
using settle::test::Measured;

namespace {

struct Case {
  const char* name;
  std::string toml;
  analysis::AnalysisOptions options;
};

std::string model(const std::string& keys, const std::string& controller,
                  const std::string& solver) {
  return "seed = 4\n[solver]\n" + solver + "[model]\nkind = \"dynamic_inversion\"\n" + keys +
         "[model.controller]\n" + controller;
}

analysis::AnalysisOptions with(std::int64_t dense_limit, std::int64_t poles) {
  analysis::AnalysisOptions options;
  options.dense_limit = dense_limit;
  options.poles = poles;
  options.grid = 6;
  options.frequencies = 20;
  return options;
}

const std::string random_weights =
    "forward = { init = \"normal\", std = 0.6 }\nsetpoint = { init = \"normal\", std = 0.3 }\n";

std::vector<Case> cases() {
  const analysis::AnalysisOptions plain = with(400, 12);
  analysis::AnalysisOptions many = plain;
  many.equilibria = 3;
  many.starts = 4;
  std::vector<Case> out = {
      {"linear",
       model("layers = [4, 3]\ntransfer = \"identity\"\n" + random_weights,
             "leak = 0.1\ngains = { p = 0.2, i = 1.0, d = 0.1 }\n",
             "duration = 300.0\nsettled = {}\n"),
       plain},
      {"tanh, several trials",
       "trials = 3\n" + model("layers = [4, 3]\n" + random_weights, "leak = 0.1\n",
                              "duration = 100.0\nsettled = {}\n"),
       many},
      {"expanding without leak",
       model("layers = [3, 5]\ntransfer = \"identity\"\n" + random_weights, "leak = 0.0\n",
             "duration = 50.0\n"),
       plain},
      {"diverging, linear",
       model("layers = [3, 3]\ntransfer = \"identity\"\nfeedback = { init = \"normal\", std = 3.0 "
             "}\n" +
                 random_weights,
             "leak = 0.01\n", "duration = 500.0\n"),
       plain},
      {"diverging, nonlinear",
       model("layers = [2, 2]\ntransfer = \"softplus\"\nfeedback = { init = \"identity\" }\n"
             "forward = { init = \"identity\" }\nsetpoint = -1.0\n",
             "leak = 0.01\n", "duration = 500.0\n"),
       many},
      {"an oscillating tanh loop",
       model("layers = [2, 2]\nforward = { init = \"identity\" }\n"
             "feedback = { values = [[-0.5, -2.0], [2.0, -0.5]] }\nsetpoint = [0.3, -0.1]\n",
             "leak = 0.1\n", "duration = 150.0\n"),
       many},
      {"sequential, three layers",
       model("scheme = \"sequential\"\nlayers = [5, 4, 3]\n" + random_weights, "leak = 0.1\n",
             "duration = 60.0\n"),
       many},
      {"simultaneous",
       model("scheme = \"simultaneous\"\nlayers = [5, 4, 3]\n" + random_weights, "leak = 0.1\n",
             "duration = 60.0\n"),
       many},
      {"single loop, P alone",
       model("scheme = \"single_loop\"\nlayers = [5, 4, 3]\ntransfer = \"identity\"\n" +
                 random_weights,
             "leak = 0.1\ngains = { p = 0.5, i = 0.0 }\n", "duration = 60.0\n"),
       plain},
      {"off, feedback, off",
       model("layers = [4, 3]\n" + random_weights, "leak = 0.1\n", "duration = 60.0\n") +
           "[[phase]]\nname = \"before\"\nduration = 5.0\noff = [\"control\"]\n[[phase]]\n"
           "name = \"feedback\"\nuntil = \"settled\"\n[[phase]]\nname = \"after\"\n"
           "duration = 5.0\noff = [\"control\"]\n",
       many},
      {"driven by a sine",
       model("layers = [4, 3]\n" + random_weights, "leak = 0.1\n", "duration = 30.0\n") +
           "[[source]]\nto = \"control.setpoint\"\n"
           "signal = { kind = \"sine\", period = 5.0, values = [0.1, 0.2, 0.3] }\n",
       many},
      {"no controller",
       "[solver]\nduration = 30.0\n[[population]]\nname = \"x\"\nsize = 3\ntransfer = \"tanh\"\n"
       "initial = 0.1\n[[projection]]\nfrom = \"x\"\nto = \"x\"\n"
       "weights = { init = \"identity\", scale = 2.0 }\n",
       many},
      {"nothing but an integrator",
       "[solver]\nduration = 30.0\n[[population]]\nname = \"x\"\nsize = 1\nleak = 0.0\n"
       "bias = 1.0\n",
       many},
      {"no states of rest: failed at once",
       model("layers = [4, 3]\n" + random_weights, "leak = 0.1\n",
             "duration = 60.0\nmax_steps = 3\n"),
       many},
      {"too large for dense decompositions",
       model("layers = [60, 5]\nforward = { init = \"normal\", std = 0.2 }\n"
             "setpoint = { init = \"normal\", std = 0.1 }\n",
             "leak = 0.1\n", "duration = 20.0\nsettled = {}\n"),
       with(20, 6)},
      {"two trials of which one diverges",
       "[solver]\nduration = 400.0\n[[population]]\nname = \"x\"\nsize = 1\n"
       "transfer = \"softplus\"\ninitial = [[-1.0], [8.0]]\nbias = -3.0\n"
       "[[projection]]\nfrom = \"x\"\nto = \"x\"\nweights = 2.0\n",
       many}};
  return out;
}

// Names as NetCDF and Python take them.
bool is_a_name(const std::string& name) {
  for (const char c : name)
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '_')) return false;
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0]));
}

void check_completeness(const Case& one, const std::vector<std::string>& measures) {
  const std::set<std::string> units = {"1", "time", "1/time", "degree"};
  const Measured m(one.toml, measures, one.options);
  std::set<std::string> names;
  std::set<std::pair<std::string, Index>> axes;
  for (const core::Quantity& quantity : m.all) {
    INFO(one.name << ": " << quantity.name);
    CHECK(is_a_name(quantity.name));
    CHECK(names.insert(quantity.name).second);
    CHECK(units.count(quantity.units) == 1);
    CHECK(quantity.long_name.size() > 5);
    for (const core::QuantityAxis& axis : quantity.axes) {
      CHECK(is_a_name(axis.name));
      CHECK(!axis.long_name.empty());
      CHECK((axis.labels.empty() || static_cast<Index>(axis.labels.size()) == axis.size));
      CHECK((axis.numbers.empty() || static_cast<Index>(axis.numbers.size()) == axis.size));
      axes.emplace(axis.name, axis.size);
    }
    const Index trials = m.simulation.system.trials();
    REQUIRE(quantity.values.rows() == quantity.cells());
    REQUIRE(quantity.values.cols() == trials);
    const auto reasons = static_cast<Index>(quantity.reasons.size());
    REQUIRE((reasons == trials || reasons == trials * quantity.cells()));
    if (!quantity.texts.empty()) {
      REQUIRE(static_cast<Index>(quantity.texts.size()) == trials);
      for (const std::string& text : quantity.texts) CHECK(!text.empty());
      continue;
    }
    int silent = 0, no_flags = 0;
    for (Index trial = 0; trial < trials; ++trial)
      for (Index cell = 0; cell < quantity.cells(); ++cell) {
        const double value = quantity.values(cell, trial);
        const auto meanings = static_cast<double>(quantity.meanings.size());
        if (std::isnan(value))
          silent += quantity.reason(cell, trial).empty();
        else if (meanings > 0)
          no_flags += value != std::floor(value) || value < 0 || value >= meanings;
      }
    CHECK(silent == 0);
    CHECK(no_flags == 0);
  }
  // A dimension has one size in a file.
  std::set<std::string> dimensions;
  for (const auto& [name, size] : axes) {
    INFO(one.name << ": axis " << name << " of size " << size);
    CHECK(dimensions.insert(name).second);
  }
  CHECK(m.text("verdict_text").size() > 5);
}

}  // namespace

TEST_CASE("every measure of every circuit has units, a name of its own, and no silent NaN") {
  for (const Case& one : cases()) check_completeness(one, {"*"});
}

TEST_CASE("measures of a circuit of 520 states are complete, from its rightmost poles") {
  // All but parameter_margins, which solves hundreds of such circuits.
  std::vector<std::string> measures;
  for (const auto& entry : analysis::measures().entries())
    if (entry.name != "parameter_margins") measures.push_back(entry.name);
  check_completeness({"520 states",
                      model("layers = [500, 20]\nforward = { init = \"normal\", std = 0.05 }\n"
                            "setpoint = { init = \"normal\", std = 0.1 }\n",
                            "leak = 0.1\n", "duration = 20.0\nsettled = {}\n"),
                      with(50, 6)},
                     measures);
}

TEST_CASE("every measure can be asked for alone, and then gives what it gives among all") {
  const Case one = cases()[1];
  const Measured all(one.toml, {"*"}, one.options);
  std::size_t quantities = 0;
  for (const auto& entry : analysis::measures().entries()) {
    CHECK(!entry.summary.empty());
    const Measured alone(one.toml, {entry.name}, one.options);
    for (const core::Quantity& quantity : alone.all) {
      CAPTURE(entry.name, quantity.name);
      const core::Quantity& other = all.of(quantity.name);
      CHECK(((quantity.values.array() == other.values.array()) ||
             (quantity.values.array().isNaN() && other.values.array().isNaN()))
                .all());
      CHECK(quantity.texts == other.texts);
    }
    // The verdict is always there.
    quantities += alone.all.size() - (entry.name == "verdict" ? 0 : 2);
  }
  CHECK(quantities == all.all.size());
}
