#include <catch2/catch.hpp>

#include "learning/loop_stability.hpp"
#include "tests/learning/exercise.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using Catch::Contains;
using test::exercise;
using test::Exercise;
using test::relative;
using test::toml_table;

template <class S>
std::unique_ptr<Rule<S>> rule(const std::string& toml, const Network<S>& network) {
  return read_rule(toml_table(toml), "rule")->make(network, RuleContext{});
}

// Feedback far from −Wᵀ, whose loops are unstable at this leak.
std::string turned(const std::string& kind, const std::string& from) {
  return "kind = '" + kind + "', leak = 0.01, gains = { p = 0.1, i = 1.0, d = 0.05 }, tau = 1.5, " +
         "feedback = { init = 'rotated', degrees = 75, from = '" + from + "' }";
}

const std::string network = "layers = [5, 6, 4, 4], weights = { init = 'normal', std = 0.7 }";

TEST_CASE("without the dynamics feedback has the corrections that dynamic inversion's has",
          "[rules]") {
  const std::string loop = GENERATE("linear", "linearised");
  const std::string policy = ", stability = 'correct', loop = '" + loop + "'";
  Exercise<double> at_work = exercise(network, 3);
  const auto di = rule(turned("di", "negative_transpose") + policy, at_work.network),
             ndi = rule(turned("ndi", "negative_transpose") + policy, at_work.network),
             fa = rule(turned("fa", "transpose") + policy, at_work.network);
  std::int64_t corrected = 0;
  for (std::uint64_t step = 0; step < 3; ++step) {
    const auto poles = di->abscissas(at_work.lesson());
    REQUIRE(poles.exact.size() == 2);
    for (Rule<double>* other : {ndi.get(), fa.get()}) {
      CHECK(other->abscissas(at_work.lesson()).exact == poles.exact);
      CHECK(other->abscissas(at_work.lesson()).paper == poles.paper);
      CHECK(other->inverse_gain() == di->inverse_gain());
      CHECK(other->is_linearised() == di->is_linearised());
      CHECK(other->is_about_rest() == di->is_about_rest());
    }
    Credit<double> credit;
    di->assign(at_work.lesson(3 * step), credit);
    const Settling settling = di->take_settling();
    corrected += settling.interventions;
    for (Rule<double>* other : {ndi.get(), fa.get()}) {
      Credit<double> unused;
      other->assign(at_work.lesson(3 * step), unused);
      const Settling tally = other->take_settling();
      CHECK(tally.unstable == settling.unstable);
      CHECK(tally.unstable_paper == settling.unstable_paper);
      CHECK(tally.interventions == settling.interventions);
    }
    const auto b = di->feedback(at_work.network);
    CHECK(ndi->feedback(at_work.network) == b);
    const auto minus = fa->feedback(at_work.network);
    for (std::size_t l = 2; l < b.size(); ++l) CHECK(minus[l] == -b[l]);
    for (const double pole : di->abscissas(at_work.lesson()).exact) CHECK(pole < 0);
    // The weights move on, by another loop each time.
    at_work.network.weights[2 + step % 2] *= -1;
    at_work.go_forward();
  }
  CHECK(corrected >= 3);
}

TEST_CASE("a rule without dynamics has loops only where their stability is asked for", "[rules]") {
  const Exercise<double> at_work = exercise(network, 2);
  for (const std::string& kind : {turned("ndi", "negative_transpose"), turned("fa", "transpose")}) {
    INFO(kind);
    Credit<double> credit, watched;
    const auto off = rule(kind, at_work.network);
    off->assign(at_work.lesson(), credit);
    CHECK(off->abscissas(at_work.lesson()).exact.empty());
    CHECK(off->take_settling().unstable == 0);
    // Looked at in batches that hold a multiple of 3, and changed in none.
    const auto monitor =
        rule(kind + ", stability = 'monitor', stabilise = { every = 3 }", at_work.network);
    std::vector<bool> seen;
    for (std::uint64_t example = 0; example < 8; example += 2) {
      monitor->assign(at_work.lesson(example), watched);
      const Settling tally = monitor->take_settling();
      seen.push_back(tally.unstable > 0);
      CHECK(tally.interventions == 0);
    }
    CHECK(seen == std::vector<bool>{true, true, false, true});
    CHECK(watched.post == credit.post);
    CHECK(monitor->feedback(at_work.network) == off->feedback(at_work.network));
  }
}

TEST_CASE("in float32 feedback is corrected as in float64, to its own rounding", "[rules]") {
  const Exercise<double> wide = exercise(network, 3);
  const Exercise<float> narrow = wide.cast<float>();
  for (const std::string& kind : {turned("ndi", "negative_transpose"), turned("fa", "transpose")}) {
    INFO(kind);
    // A margin far above float's rounding, so that its B is stable as well.
    const std::string toml = kind + ", stability = 'correct', stabilise = { margin = 0.001 }";
    const auto in_wide = rule(toml, wide.network);
    const auto in_narrow = rule(toml, narrow.network);
    Credit<double> expected;
    Credit<float> found;
    in_wide->assign(wide.lesson(), expected);
    in_narrow->assign(narrow.lesson(), found);
    CHECK(in_narrow->take_settling().interventions == in_wide->take_settling().interventions);
    for (const double pole : in_narrow->abscissas(narrow.lesson()).exact) CHECK(pole < -0.0009);
    const auto b = in_wide->feedback(wide.network);
    // Roundings of 6e-8 of W and B, through tens of steps along a gradient.
    for (std::size_t l = 2; l < b.size(); ++l)
      CHECK(relative(in_narrow->feedback(narrow.network)[l].cast<double>(), b[l]) < 1e-4);
  }
}

TEST_CASE("loops that a rule cannot stand for are an error", "[rules]") {
  const auto error = [](const std::string& toml) {
    return test::error_of([&] { read_rule(toml_table(toml), "rule"); });
  };
  CHECK_THAT(error("kind = 'ndi', inverse_gain = 'gauss_newton', stability = 'monitor'"),
             Contains("rule.stability") && Contains("inverse_gain = \"fixed\""));
  CHECK_THAT(error("kind = 'fa', gains = { i = 0.0 }"), Contains("rule.gains"));
  CHECK_THAT(error("kind = 'ndi', loop = 'transfer'"), Contains("linearised"));
}

}  // namespace
}  // namespace settle::learning
