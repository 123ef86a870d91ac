// Science.md section 9, question 6: what inversion loops make of small errors; and loops about an operating point.
#include <catch2/catch.hpp>

#include "learning/compare.hpp"
#include "learning/inversion_rules.hpp"
#include "tests/learning/exercise.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using Catch::Contains;
using test::error_of;
using test::exercise;
using test::relative;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// A tanh network with a batch whose errors are of size `error`.
test::Exercise<double> batch_of(const std::string& layers, Index examples, double error = 0.3,
                                const std::string& more = "") {
  auto out = exercise(
      "layers = " + layers + ", weights = { init = \"uniform\", low = -0.8, high = 0.8 }" + more,
      examples);
  out.error *= error / out.error.cwiseAbs().maxCoeff();
  return out;
}

std::unique_ptr<Rule<double>> rule_of(const std::string& toml, const Network<double>& network,
                                      const RuleContext& context = {}) {
  return read_rule(test::toml_table(toml), "rule")->make(network, context);
}

// Residuals below 1e-11 of the state, over a slowest pole that is not slower than the leak.
const std::string strict = "leak = 0.1, tolerance = 1e-11, ";

std::vector<MatrixXd> credit_of(const test::Exercise<double>& batch, const std::string& toml) {
  const auto rule = rule_of(strict + toml, batch.network);
  Credit<double> credit;
  rule->assign(batch.lesson(), credit);
  const Settling settling = rule->take_settling();
  CHECK(settling.unsettled == 0);
  CHECK(settling.examples == batch.error.cols());
  return credit.post;
}

// The least-squares slope of log y over log x.
double slope_of(const std::vector<double>& x, const std::vector<double>& y) {
  const auto n = static_cast<Index>(x.size());
  const VectorXd u = VectorXd::Map(x.data(), n).array().log();
  const VectorXd v = VectorXd::Map(y.data(), n).array().log();
  const VectorXd centred = u.array() - u.mean();
  return centred.dot(v) / centred.squaredNorm();
}

TEST_CASE("linear loops make the same of errors of any size and of either sign") {
  const std::string kind = GENERATE("kind = \"di\"", "kind = \"di\", scheme = \"simultaneous\"",
                                    "kind = \"sdi\", gains = { i = 0.1 }");
  const std::string loop = GENERATE("linear", "linearised");
  const auto batch = batch_of("[5, 7, 4, 3]", 3);
  const std::string toml = kind + ", loop = \"" + loop + "\"";
  const auto whole = credit_of(batch, toml);
  for (const std::string scale : {"1e-6", "1e-3", "7.0"})
    for (const std::string sign : {"plus", "both"}) {
      const auto part =
          credit_of(batch, toml + ", error_scale = " + scale + ", error_sign = \"" + sign + "\"");
      // Rounding alone, which a closed form over times of 2000 multiplies by some hundred. Linearised loops of
      // several trials are integrated, to the tolerance.
      for (Index l = 1; l < batch.network.depth(); ++l)
        CHECK(relative(part[at(l)], whole[at(l)]) < (loop == "linear" ? 1e-12 : 1e-8));
      CHECK(part.back() == batch.error);
    }
}

TEST_CASE("small errors come to their linear limit with slopes 2, 1 and, of both signs, 2") {
  struct Way {
    const char *loop, *sign;
    double slope;
  };
  const Way way = GENERATE(Way{"transfer", "plus", 2}, Way{"operating_point", "plus", 1},
                           Way{"operating_point", "both", 2});
  const std::string scheme = GENERATE("sequential", "simultaneous");
  const auto batch = batch_of("[5, 7, 4, 3]", 2);
  const std::string toml = "kind = \"di\", scheme = \"" + scheme + "\"";
  const bool is_at_rest = std::string(way.loop) == "transfer";
  // W φ′(0) = W for tanh, and W D: as linear loops without φ′ applied to what they find.
  std::vector<MatrixXd> limit = batch.lesson().activity.h;
  MatrixXd delta = batch.error;
  for (Index l = 3; l >= 2; --l) {
    MatrixXd below(batch.network.size(l - 1), delta.cols());
    for (Index c = 0; c < delta.cols(); ++c) {
      MatrixXd w = batch.network.w(l);
      if (!is_at_rest) w = w * batch.activity.slope[at(l - 1)].col(c).asDiagonal();
      const MatrixXd b = -batch.network.w(l).transpose();
      below.col(c) =
          b *
          (w * b - 0.1 * MatrixXd::Identity(w.rows(), w.rows())).fullPivLu().solve(delta.col(c));
    }
    limit[at(l - 1)] = delta = below;
  }
  const std::vector<double> scales{1, 0.3, 0.1, 0.03, 0.01};
  std::vector<std::vector<double>> off(3);
  for (const double scale : scales) {
    const auto found = credit_of(batch, toml + ", loop = \"" + way.loop + "\", error_sign = \"" +
                                            way.sign + "\", error_scale = " + core::brief(scale));
    for (Index l = 1; l <= 2; ++l) off[at(l)].push_back(departure(found[at(l)], limit[at(l)]));
  }
  // The next orders bend the line at its upper end, by .04 of slope at most here; the smallest departure, 1e-5,
  // is some 1e4 times what is left of the way to rest.
  for (Index l = 1; l <= 2; ++l)
    CHECK(slope_of(scales, off[at(l)]) == Approx(way.slope).margin(0.1));
}

TEST_CASE("about an operating point W (φ(a + r) − φ(a)) is what was wanted, but for the leak") {
  const std::string layers = GENERATE("[5, 7, 3]", "[5, 3, 6]");
  const std::string more = GENERATE("", ", batch_normalisation = true");
  const std::string kind = GENERATE("di", "sdi");
  auto batch = batch_of(layers, 4, 0.3, more);
  if (!more.empty()) {
    batch.network.normalisations[1].scale.setLinSpaced(0.5, 2.0);
    batch.network.normalisations[1].shift.setLinSpaced(-0.3, 0.4);
    const MatrixXd error = batch.error;
    batch.go_forward();
    batch.error = error;
  }
  const MatrixXd r = credit_of(batch, "kind = \"" + kind +
                                          "\", loop = \"operating_point\", "
                                          "gains = { p = 0.2, i = 1.0, d = 0.05 }")[1];
  const MatrixXd& w = batch.network.w(2);
  MatrixXd moved = r;
  if (!more.empty()) moved = batch.activity.gain[1].asDiagonal() * r;
  moved += batch.network.argument(1, batch.activity);
  const MatrixXd e = w * (moved.array().tanh().matrix() - batch.activity.h[1]) - batch.error;
  // r = B u, u = G e. The tolerance over the slowest pole, times G.
  CHECK(relative(r, -10.2 * w.transpose() * e) < 1e-8);
}

TEST_CASE("loops about an operating point end where they do in turn and together") {
  const std::string sign = GENERATE("plus", "both");
  const auto batch = batch_of("[7, 6, 4, 5]", 3);
  const std::string toml =
      "kind = \"di\", loop = \"operating_point\", error_scale = 0.5, "
      "error_sign = \"" +
      sign + "\"";
  const auto turns = credit_of(batch, toml);
  const auto together = credit_of(batch, toml + ", scheme = \"simultaneous\"");
  for (Index l = 1; l <= 2; ++l) CHECK(relative(together[at(l)], turns[at(l)]) < 1e-8);
}

TEST_CASE("a single loop carries displacements of every layer's operating point") {
  auto batch = batch_of("[5, 6, 4, 3]", 3, 0.1);
  const auto found = credit_of(batch,
                               "kind = \"sdi\", loop = \"operating_point\", "
                               "gains = { i = 0.1 }");
  const MatrixXd &a = batch.activity.a[1], &h = batch.activity.h[1];
  const MatrixXd moved = (a + found[1]).array().tanh().matrix() - h;
  CHECK(relative(found[2], batch.network.w(2) * moved) < 1e-8);
}

TEST_CASE("a loop about an operating point is judged by its linearisation there") {
  // W B = a I + b J is unstable; where units are saturated W D B hardly feeds back.
  auto batch = batch_of("[2, 2, 2]", 1);
  batch.network.weights[2] = MatrixXd::Identity(2, 2);
  const std::string toml =
      "kind = \"di\", leak = 0.01, stability = \"monitor\", "
      "feedback = { values = [[-0.05, -1.0], [1.0, -0.05]] }, duration = 5.0, loop = ";
  const auto unstable = [&](const std::string& loop) {
    const auto rule = rule_of(toml + loop, batch.network);
    Credit<double> credit;
    rule->assign(batch.lesson(), credit);
    return rule->take_settling().unstable;
  };
  batch.activity.slope[1].setConstant(0.01);
  CHECK(unstable("\"transfer\"") == 1);
  CHECK(unstable("\"operating_point\"") == 0);
  batch.activity.slope[1].setConstant(1);
  CHECK(unstable("\"operating_point\"") == 1);
}

TEST_CASE("an example of both signs counts once, and not where one of them fails") {
  const auto batch = batch_of("[5, 6, 3]", 3);
  const auto rule = rule_of(
      "kind = \"di\", loop = \"transfer\", leak = 0.01, duration = 3.0, "
      "error_sign = \"both\", unsettled = \"skip\"",
      batch.network);
  Credit<double> credit;
  rule->assign(batch.lesson(40), credit);
  const Settling found = rule->take_settling();
  CHECK(found.examples == 3);
  CHECK(found.unsettled == 3);
  CHECK(credit.post[1].isZero(0));
  CHECK_THAT(found.first_failure, Contains("example 40, the loop of layer 2: "));
}

TEST_CASE("scales and signs of errors that do not exist are said where they were asked for") {
  const auto batch = batch_of("[4, 5, 3]", 1);
  const auto error = [&](const std::string& toml) {
    return error_of([&] { rule_of("kind = \"di\", " + toml, batch.network); });
  };
  CHECK_THAT(error("error_scale = 0.0"), Contains("rule.error_scale"));
  CHECK_THAT(error("error_sign = \"minus\""), Contains("rule.error_sign") && Contains("both"));
  CHECK_THAT(error("loop = \"operating point\""), Contains("operating_point"));
}

TEST_CASE("a course records how far a rule's hidden errors are from their loops' limit") {
  const auto departures = [](const std::string& rule) {
    const test::Setting setting(
        "[network]\nlayers = [4, 6, 5, 3]\n"
        "weights = { init = \"uniform\", low = -0.8, high = 0.8 }\n[data]\nkind = "
        "\"tanh_teacher\"\noutput_variance = 1.0\nexamples = 4\n"
        "[learning]\nbatch = 4\n[[rule]]\n" +
        rule);
    const auto course = setting.course();
    const std::atomic<bool> pauses = false;
    course->evaluate();
    course->advance(pauses);
    const auto values = course->evaluate();
    for (std::size_t k = 0; k < values.size(); ++k)
      if (course_variables()[k].name == "departure_from_ndi") return values[k];
    return std::vector<double>{};
  };
  const std::string di = "kind = \"di\"\nleak = 0.1\ntolerance = 1e-11\n";
  const auto linear = departures(di), linearised = departures(di + "loop = \"linearised\"\n");
  const auto small = departures(di + "loop = \"transfer\"\nerror_scale = 1e-3\n");
  const auto displaced = departures(di + "loop = \"operating_point\"\nerror_scale = 1e-3\n");
  const auto bp = departures("kind = \"bp\"\n");
  REQUIRE(linear.size() == 3);
  for (std::size_t l = 0; l < 2; ++l) {
    CHECK(linear[l] < 1e-8);  // the tolerance over the leak
    CHECK(linearised[l] < 1e-8);
    CHECK(small[l] < 1e-5);  // β², of displacements that are not much more than 1
    CHECK(displaced[l] > 1e-5);
    CHECK(displaced[l] < 1e-2);  // β
    CHECK(std::isnan(bp[l]));
  }
  CHECK(std::isnan(linear[2]));
}

}  // namespace
}  // namespace settle::learning
