// Mistakes in [sweep].
#include <catch2/catch.hpp>

#include "tests/cli/mistakes.hpp"

using namespace settle::test;

namespace {

// An axis over the leak, with what follows it, in line 7.
std::string leak(const std::string& more) {
  return model("[sweep]\naxes = [{ parameter = \"model.controller.leak\"" + more + " }]\n");
}
std::string axes(const std::string& list) { return model("[sweep]\naxes = " + list + "\n"); }
// One value of a parameter beside another.
std::string values(const std::string& parameter, const std::string& list) {
  return axes("[{ parameter = \"" + parameter + "\", values = " + list + " }]");
}

void check_all(const std::vector<Mistake>& mistakes) {
  for (const Mistake& mistake : mistakes) check(mistake);
}

}  // namespace

TEST_CASE("mistakes in [sweep] itself", "[cli][mistakes][sweep]") {
  check_all({
      {"no axes", model("[sweep]\n"), 6, {"\"axes\" is missing", "what is varied"}},
      {"no axis", axes("[]"), 7, {"an empty list", "one axis or more"}},
      {"a number for the axes", axes("3"), 7, {"the integer 3", "a list of axes"}},
      {"a number for an axis", axes("[3]"), 7, {"sweep.axes[0]", "a table"}},
      {"a list of sweeps", model("[[sweep]]\n"), 6, {"sweep", "a list of 1", "a table"}},
      {"unknown key", model("[sweep]\naxis = []\naxes = []\n"), 7, {"did you mean \"axes\"?"}},
      {"unknown keep",
       model("[sweep]\nkeep = \"all\"\naxes = []\n"),
       7,
       {"the text \"all\"", "measures or trajectories"}},
      {"too many points",
       axes("[{ parameter = \"model.controller.leak\", linear = [0, 1], points = 10000 },"
            " { parameter = \"model.controller.gains.i\", linear = [1, 2], points = 10000 }]"),
       7,
       {"1e+08 points", "at most 10000000"}},
  });
}

TEST_CASE("mistakes in the parameter of an axis", "[cli][mistakes][sweep]") {
  check_all({
      {"no parameter", axes("[{ values = [1] }]"), 7, {"no parameter", "model.controller.leak"}},
      {"misspelt key", axes("[{ paramter = \"seed\" }]"), 7, {"did you mean \"parameter\"?"}},
      {"a number", axes("[{ parameter = 3, values = [1] }]"), 7, {"a text in quotes"}},
      {"parameter and parameters",
       leak(", parameters = [\"seed\"], values = [1]"),
       7,
       {"both `parameter` and `parameters`"}},
      {"no parameters", axes("[{ parameters = [], values = [1] }]"), 7, {"no parameter"}},
      {"an unknown key, at its own place",
       model("[[sweep.axes]]\nvalues = [1]\nparameter = \"model.controller.lek\"\n"),
       8,
       {"unknown key \"lek\"", "did you mean \"leak\"?"}},
      {"an unknown table",
       values("model.controler.leak", "[1]"),
       7,
       {"unknown key \"controler\"", "did you mean \"controller\"?"}},
      {"an unknown key at the top",
       values("sede", "[1, 2]"),
       7,
       {"unknown key \"sede\"", "did you mean \"seed\"?"}},
      {"an unknown one of several",
       axes("[{ parameters = [\"model.controller.leak\",\n\"model.controller.gains.k\"],"
            " values = [1] }]"),
       8,
       {"unknown key \"k\"", "p, i or d"}},
      {"a path through a text",
       values("model.kind.leak", "[1]"),
       7,
       {"\"model.kind.leak\"", "\"kind\" is the text"}},
      {"an empty key", values("model..leak", "[1]"), 7, {"an empty key"}},
      {"an entry that is not there",
       model("[[population]]\nname = \"other\"\nsize = 2\n[sweep]\naxes = [{ parameter = "
             "\"population.othr.tau\", values = [1.0] }]\n"),
       10,
       {"no entry is called \"othr\"", "did you mean \"other\"?"}},
      {"a key twice",
       axes("[{ parameter = \"seed\", values = [1] },\n{ parameter = \"seed\", values = [1] }]"),
       8,
       {"sweep.axes[1].parameter", "\"seed\" a second time", "each key once"}},
      {"a key twice on one axis",
       axes("[{ parameters = [\"seed\",\n\"seed\"], values = [1] }]"),
       8,
       {"parameters[1]", "\"seed\" a second time"}},
      {"a table and a key in it",
       axes("[{ parameter = \"model.controller.gains\", values = [1] },\n"
            "{ parameter = \"model.controller.gains.i\", values = [1] }]"),
       8,
       {"\"model.controller.gains.i\" beside \"model.controller.gains\""}},
      {"the sweep itself", values("sweep.keep", "[\"measures\"]"), 7, {"part of the sweep itself"}},
  });
}

TEST_CASE("mistakes in the values of an axis", "[cli][mistakes][sweep]") {
  check_all({
      {"none", leak(""), 7, {"no values", "linear", "log", "values"}},
      {"two kinds", leak(", log = [0.1, 1.0], values = [1]"), 7, {"more than one way"}},
      {"a logarithm of zero", leak(", log = [0.0, 1.0], points = 3"), 7, {"log[0]", "> 0"}},
      {"a logarithm of less", leak(", log = [1.0, -1.0], points = 3"), 7, {"log[1]", "> 0"}},
      {"three ends",
       leak(", log = [0.1, 0.2, 1.0], points = 3"),
       7,
       {"a list of 3", "two numbers"}},
      {"equal ends", leak(", linear = [1, 1], points = 3"), 7, {"equal", "two different numbers"}},
      {"an infinite end", leak(", linear = [1, inf], points = 3"), 7, {"linear[1]", "finite"}},
      {"no points", leak(", log = [0.1, 1.0]"), 7, {"no number of points", "points = 32"}},
      {"one point", leak(", log = [0.1, 1.0], points = 1"), 7, {"the integer 1", "from 2"}},
      {"half a point", leak(", log = [0.1, 1.0], points = 2.5"), 7, {"the number 2.5"}},
      {"points of values", leak(", values = [1, 2], points = 2"), 7, {"points beside values"}},
      {"an empty list", leak(", values = []"), 7, {"an empty list", "one value or more"}},
      {"no list", leak(", values = 0.1"), 7, {"the number 0.1", "a list"}},
      {"mixed forms",
       leak(", values = [0.1,\n\"a\"]"),
       8,
       {"\"a\" beside the number 0.1", "one form"}},
      {"a table", leak(", values = [{ p = 1 }]"), 7, {"a table", "numbers, names or lists"}},
      {"a value twice",
       leak(", values = [0.1, 1,\n0.10]"),
       8,
       {"0.1 a second time", "each value once"}},
      {"a name twice",
       values("model.transfer", "[\"tanh\",\n\"tanh\"]"),
       8,
       {"tanh a second time"}},
      {"out of bounds", leak(", values = [0.1,\n-1.0]"), 8, {"leak", "the number -1", ">= 0"}},
      {"an end out of bounds", leak(", linear = [-0.1, 1], points = 3"), 7, {"leak", ">= 0"}},
      {"NaN", leak(", values = [nan, 1.0]"), 7, {"leak", "the number nan"}},
      {"an unknown name",
       values("model.transfer", "[\"tanh\",\n\"tahn\"]"),
       8,
       {"did you mean \"tanh\"?"}},
      {"an unknown scheme",
       values("model.scheme", "[\"sequential\",\n\"sequental\"]"),
       8,
       {"did you mean \"sequential\"?"}},
      {"an unknown solver",
       values("solver.method", "[\"dopri5\",\n\"dopri\"]"),
       8,
       {"did you mean \"dopri5\"?"}},
      {"a broken seed", values("seed", "[1,\n2.5]"), 8, {"the number 2.5", "an integer"}},
      {"a negative layer",
       values("model.layers", "[[6, 4],\n[6, -4]]"),
       8,
       {"layers[1]", "the integer -4"}},
      {"a number among layers",
       values("model.layers", "[[6, 4],\n3]"),
       8,
       {"3 beside a list of 2"}},
      {"an unknown measure",
       values("analysis.measures", "[[\"verdict\"],\n[\"verdct\"]]"),
       8,
       {"did you mean \"verdict\"?"}},
  });
}

TEST_CASE("mistakes in the name of an axis", "[cli][mistakes][sweep]") {
  check_all({
      {"a dimension's", leak(", values = [1], name = \"trial\""), 7, {"\"trial\"", "another one"}},
      {"a measure's", leak(", values = [1], name = \"inversion_error\""), 7, {"another one"}},
      {"with a space", leak(", values = [1], name = \"a b\""), 7, {"letters, digits and _"}},
      {"one for two",
       axes("[{ parameter = \"seed\", name = \"a\", values = [1] },\n"
            "{ parameter = \"model.tau\", name = \"a\", values = [1] }]"),
       8,
       {"a second axis called \"a\""}},
  });
}
