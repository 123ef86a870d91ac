#include <catch2/catch.hpp>

#include "learning/forward_feedback.hpp"
#include "tests/learning/exercise.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using Catch::Contains;
using test::error_of;
using test::Exercise;
using test::exercise;
using test::relative;
using test::Setting;
using test::toml_table;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

std::unique_ptr<Rule<double>> rule_of(const std::string& toml, const Network<double>& network) {
  return read_rule(toml_table(toml), "rule")->make(network, RuleContext{});
}

std::string network_of(const std::string& layers, const std::string& transfer = "tanh") {
  return "layers = " + layers + ", transfer = \"" + transfer +
         "\", weights = { init = \"normal\", std = 0.5 }";
}

// Residuals below 1e-10 of the state, over a slowest pole that is not slower than the leak of .1, leave an
// error of 1e-9 at most.
const std::string strict = ", leak = 0.1, tolerance = 1e-10";
constexpr double strict_error = 3e-9;

TEST_CASE("feedback left on displaces a rate by B(WB - I/(gG))⁻¹ε") {
  const std::string layers = GENERATE("[4, 9, 3]", "[4, 3, 7]", "[4, 5, 5]");
  const auto [kind, gains, gain] =
      GENERATE(Catch::Generators::table<std::string, std::string, double>(
          {{"\"di\"" + strict, "{ i = 1.0 }", 10},
           {"\"di\"" + strict, "{ p = 0.3, i = 1.3 }", 13.3},
           {"\"ndi\", leak = 0.1", "{ p = 0.3, i = 1.3 }", 13.3}}));
  const double gate = GENERATE(0.02, 0.4, 1.0);
  const Exercise<double> set = exercise(network_of(layers), 5);
  const auto rule = rule_of("kind = " + kind + ", gains = " + gains, set.network);
  const MatrixXd &w = set.network.w(2), b = -w.transpose();
  const MatrixXd error = test::normal_matrix(w.rows(), 5, "error");
  // With B = −Wᵀ what is inverted is −(WWᵀ + I/(gG)), regular whatever the layer's shape.
  const MatrixXd closed =
      b *
      (w * b - MatrixXd::Identity(w.rows(), w.rows()) / (gate * gain)).partialPivLu().solve(error);
  CHECK(relative(rule->displacement(set.lesson(), 2, gate, error), closed) < strict_error);
  const Settling settling = rule->take_settling();
  CHECK(settling.unsettled == 0);
}

TEST_CASE("with B = -Wᵀ feedback left on displaces by ½√(g/α)|ε| at most, whatever the loop sees") {
  const std::string loop = GENERATE("linear", "linearised", "transfer", "operating_point");
  const Exercise<double> set = exercise(network_of("[4, 9, 3]"), 6);
  const auto rule =
      rule_of("kind = \"di\", leak = 0.1, tolerance = 1e-8, loop = \"" + loop + "\"", set.network);
  const MatrixXd error = test::normal_matrix(3, 6, "error");
  double largest = 0;
  for (const double gate : {1e-3, 0.01, 0.03, 0.1, 0.3, 1.0}) {
    const MatrixXd moved = rule->displacement(set.lesson(), 2, gate, error);
    for (Index c = 0; c < error.cols(); ++c)
      largest = std::max(largest,
                         moved.col(c).norm() / (0.5 * std::sqrt(gate / 0.1) * error.col(c).norm()));
  }
  // A residual of 1e-8 over a pole of .1 is all that is missing to rest.
  CHECK(largest < 1 + 1e-6);
  CHECK(largest > 0.5);
}

TEST_CASE("DI and NDI with feedback left on displace alike, linear and linearised") {
  const std::string layers = GENERATE("[4, 9, 3]", "[4, 3, 7]");
  const std::string loop = GENERATE("linear", "linearised");
  const Exercise<double> set = exercise(network_of(layers), 4);
  const MatrixXd error = test::normal_matrix(set.network.size(2), 4, "error");
  const std::string of_loop = ", loop = \"" + loop + "\"";
  CHECK(relative(rule_of("kind = \"di\"" + strict + of_loop, set.network)
                     ->displacement(set.lesson(), 2, 0.3, error),
                 rule_of("kind = \"ndi\", leak = 0.1" + of_loop, set.network)
                     ->displacement(set.lesson(), 2, 0.3, error)) < strict_error);
}

TEST_CASE("the bound is met along a singular direction with σ² = α/g, and by symmetric B alone") {
  Exercise<double> set = exercise(network_of("[4, 6, 3]", "identity"), 1);
  MatrixXd& w = set.network.weights[2];
  const Eigen::JacobiSVD<MatrixXd> svd(w, Eigen::ComputeThinU | Eigen::ComputeThinV);
  const double leak = 0.1, gate = 0.4;
  w *= std::sqrt(leak / gate) / svd.singularValues()[1];
  const MatrixXd worst = svd.matrixU().col(1);
  const double bound = 0.5 * std::sqrt(gate / leak);
  const auto symmetric = rule_of("kind = \"di\"" + strict, set.network);
  CHECK(symmetric->displacement(set.lesson(), 2, gate, worst).norm() / bound ==
        Approx(1).epsilon(strict_error));
  // That of −W⁺ is W⁺ε g/(g + α), which grows as W becomes small.
  w *= 0.01;
  const auto inverse = rule_of(
      "kind = \"di\", feedback = { init = \"negative_pseudoinverse\" }" + strict, set.network);
  const double sigma = 0.01 * std::sqrt(leak / gate);
  CHECK(inverse->displacement(set.lesson(), 2, gate, worst).norm() ==
        Approx(gate / (gate + leak) / sigma).epsilon(strict_error));
  CHECK(gate / (gate + leak) / sigma > 100 * bound);
}

// Says what it was asked, and moves nothing; or loses the examples that it is told to.
class Witness final : public Rule<double> {
 public:
  void assign(const Lesson<double>&, Credit<double>&) override {}
  const ForwardFeedbackSpec* forward_feedback() const override { return &spec; }
  MatrixXd displacement(const Lesson<double>& lesson, Index l, double,
                        const MatrixXd& setpoint) override {
    const MatrixXd& h = lesson.activity.h[at(l - 1)];
    asked.push_back(setpoint);
    drive.push_back(lesson.network.w(l) * h);
    MatrixXd out = MatrixXd::Constant(h.rows(), h.cols(), move);
    for (const Index c : lost) out.col(c).setConstant(std::numeric_limits<double>::quiet_NaN());
    return out;
  }
  double inverse_gain() const override { return 0.1; }
  double multiplications(const Network<double>&, Index) const override { return 0; }

  ForwardFeedbackSpec spec{.is_given = true, .gate = 1, .setpoint_error = 0.2};
  double move = 0;
  std::vector<Index> lost;
  std::vector<MatrixXd> asked, drive;
};

TEST_CASE("a setpoint is wrong by a share of its layer's drive, the same way for every rule") {
  const Exercise<double> set = exercise(network_of("[4, 6, 5, 3]"), 4);
  Witness whole, parts, other;
  ForwardWithFeedback<double>(set.network, whole, 7).outputs(set.inputs, 0);
  ForwardWithFeedback<double>(set.network, other, 8).outputs(set.inputs, 0);
  ForwardWithFeedback<double> in_pieces(set.network, parts, 7);
  in_pieces.outputs(set.inputs.leftCols(1), 0);
  in_pieces.outputs(set.inputs.rightCols(3), 1);
  REQUIRE(whole.asked.size() == 2);
  for (std::size_t k = 0; k < 2; ++k) {
    for (Index c = 0; c < 4; ++c)
      CHECK(whole.asked[k].col(c).norm() == Approx(0.2 * whole.drive[k].col(c).norm()));
    MatrixXd together(whole.asked[k].rows(), 4);
    together << parts.asked[k], parts.asked[k + 2];
    // A lone column's product differs from one of a batch in its rounding.
    CHECK(relative(together, whole.asked[k]) < 1e-14);
    CHECK(relative(other.asked[k], whole.asked[k]) > 0.1);
  }
  const auto cosine = [&](Index a, Index b) {
    return whole.asked[0].col(a).normalized().dot(whole.asked[0].col(b).normalized());
  };
  CHECK(std::abs(cosine(0, 1)) < 0.99);
}

TEST_CASE("a displaced rate goes on up the network, and what can't be judged stays out") {
  const Exercise<double> set = exercise(network_of("[4, 6, 5, 3]"), 4);
  Witness witness;
  witness.move = 0.3;
  witness.lost = {2};
  ForwardWithFeedback<double> pass(set.network, witness, 1);
  const MatrixXd out = pass.outputs(set.inputs, 0);
  MatrixXd h = set.inputs;
  for (Index l = 1; l <= 3; ++l) {
    if (l > 1) h.array() += 0.3;
    h = (set.network.w(l) * h).colwise() + set.network.biases[at(l)];
    if (l < 3) h = h.array().tanh();
  }
  for (const Index c : {0, 1, 3}) CHECK(relative(out.col(c), h.col(c)) < 1e-14);
  CHECK(out.col(2).hasNaN());
  // ‖r‖ of constant numbers, and none above the last layer.
  CHECK(pass.displacement()[0] == Approx(0.3 * std::sqrt(6)));
  CHECK(pass.displacement()[1] == Approx(0.3 * std::sqrt(5)));
  CHECK(std::isnan(pass.displacement()[2]));
  CHECK(std::isnan(pass.share_of_bound()[2]));
}

std::string plan(const std::string& rule, const std::string& more = "") {
  return "network = { layers = [6, 5, 4, 3]" + more +
         ", weights = { init = 'normal', std = 0.5 } }\n"
         "data = { kind = 'tanh_teacher', examples = 8, held_out = 9 }\n"
         "learning = { examples = 8, evaluate_every = 4, learning_rate = 0.05 }\nrule = [{ kind "
         "= " +
         rule + " }]\n";
}

struct Trained {
  std::vector<std::vector<std::vector<double>>> values;
  std::unique_ptr<Course> course;

  const std::vector<double>& of(const std::string& name, std::size_t step) const {
    for (std::size_t v = 0; v < course_variables().size(); ++v)
      if (course_variables()[v].name == name) return values[step][v];
    throw std::out_of_range(name);
  }
};

Trained train(const Setting& setting) {
  const std::atomic<bool> never = false;
  Trained out{{}, setting.course()};
  while (out.course->outcome() == CourseOutcome::running) {
    out.course->advance(never);
    out.values.push_back(out.course->evaluate());
  }
  return out;
}

TEST_CASE("no gate or no wrong setpoint leaves the test error as it is") {
  const std::string kind = GENERATE("'di'", "'ndi'");
  const std::string without =
      GENERATE("", "gate = 0.0, setpoint_error = 0.5", "gate = 0.5", "setpoint_error = 0.5");
  const Setting setting(plan(kind + ", forward_feedback = { " + without + " }"));
  const Trained found = train(setting);
  for (std::size_t step = 0; step < found.values.size(); ++step) {
    CHECK(found.of("test_error_with_feedback", step) == found.of("test_error", step));
    CHECK(found.of("displacement", step)[0] == 0);
    CHECK(found.of("displacement", step)[1] == 0);
    CHECK(found.of("unsettled_with_feedback", step)[0] == 0);
  }
}

TEST_CASE("feedback left on adds to the test error, and changes nothing that is learnt") {
  const std::string kind =
      GENERATE("'di'", "'di', warm_start = true", "'di', loop = 'transfer'", "'ndi'");
  const Setting on(plan(kind + ", forward_feedback = { gate = 0.5, setpoint_error = 2.0 }")),
      off(plan(kind));
  const Trained found = train(on), quiet = train(off);
  CHECK(found.course->reason() == "");
  for (std::size_t step = 0; step < found.values.size(); ++step) {
    for (const char* name : {"test_error", "settling_time", "evaluations"})
      if (!std::isnan(quiet.of(name, step)[0])) CHECK(found.of(name, step) == quiet.of(name, step));
    CHECK(std::isnan(quiet.of("test_error_with_feedback", step)[0]));
    // Setpoints that are wrong by twice what drives a layer.
    CHECK(found.of("test_error_with_feedback", step)[0] > found.of("test_error", step)[0]);
    for (const std::size_t l : {0U, 1U}) {
      CHECK(found.of("displacement", step)[l] > 0);
      CHECK(found.of("displacement_to_bound", step)[l] > 0);
      CHECK(found.of("displacement_to_bound", step)[l] < 1 + 1e-6);
    }
  }
  const auto learnt = found.course->parameters(), alone = quiet.course->parameters();
  for (std::size_t k = 0; k < learnt.size(); ++k) CHECK(learnt[k].second == alone[k].second);
}

TEST_CASE("NDI's feedback is left on in float32 as well") {
  const std::string rule = "'ndi', forward_feedback = { gate = 1.0, setpoint_error = 0.3 }";
  const Trained narrow = train(Setting(plan(rule, ", precision = 'float32'"))),
                wide = train(Setting(plan(rule)));
  // Some hundred roundings of 6e-8 in a sum of squares.
  CHECK(narrow.of("test_error_with_feedback", 0)[0] ==
        Approx(wide.of("test_error_with_feedback", 0)[0]).epsilon(1e-4));
}

TEST_CASE("loops that don't settle in the forward pass are told and leave no number behind") {
  // Eigenvalues −.05 ± i of WB: stable by the paper's condition alone.
  const std::string rule =
      "'di', leak = 0.01, feedback = { values = [[-0.05, -1.0], [1.0, -0.05]] }, "
      "unsettled = 'skip', forward_feedback = { gate = 1.0, setpoint_error = 0.1 }";
  const Setting setting(
      "network = { layers = [3, 2, 2], weights = [{ init = 'normal' }, { init = 'identity' }] }\n"
      "data = { kind = 'tanh_teacher', examples = 4, held_out = 6 }\n"
      "learning = { examples = 2, evaluate_every = 2 }\nrule = [{ kind = " +
      rule + " }]\n");
  const Trained found = train(setting);
  for (std::size_t step = 0; step < 2; ++step) {
    CHECK(found.of("unsettled_with_feedback", step)[0] == 6);
    CHECK(std::isnan(found.of("test_error_with_feedback", step)[0]));
    CHECK(std::isnan(found.of("displacement", step)[0]));
    CHECK(std::isfinite(found.of("test_error", step)[0]));
  }
  CHECK_THAT(found.course->reason(), Contains("2 circuits did not settle") &&
                                         Contains("12 loops did not settle with feedback left on"));
}

TEST_CASE("what feedback in the forward pass cannot be is said where it was asked for") {
  const auto error = [](const std::string& toml) {
    return error_of([&] { read_rule(toml_table(toml), "rule"); });
  };
  for (const std::string kind : {"kind = \"di\"", "kind = \"ndi\""}) {
    CHECK_THAT(error(kind + ", forward_feedback = { gate = 1.5 }"),
               Contains("rule.forward_feedback.gate") && Contains("f.toml:1"));
    CHECK_THAT(error(kind + ", forward_feedback = { gate = -0.1 }"), Contains("gate"));
    CHECK_THAT(error(kind + ", forward_feedback = { setpoint_error = -1 }"),
               Contains("rule.forward_feedback.setpoint_error"));
    CHECK_THAT(error(kind + ", forward_feedback = { gates = 1 }"), Contains("gate"));
    CHECK_THAT(error(kind + ", forward_feedback = 0.5"), Contains("rule.forward_feedback"));
  }
  CHECK_THAT(error("kind = \"ndi\", inverse_gain = \"gauss_newton\", forward_feedback = {}"),
             Contains("rule.forward_feedback") && Contains("fixed"));
  CHECK_THAT(error("kind = \"bp\", forward_feedback = { gate = 1.0 }"),
             Contains("forward_feedback"));
}

TEST_CASE("a rule with feedback left on reads back as it was written") {
  const auto rule = read_rule(
      toml_table("kind = \"di\", forward_feedback = { gate = 0.25, setpoint_error = 0.5 }"),
      "rule");
  const core::Value written = write_rule(rule);
  CHECK(write_rule(read_rule(written, "rule")) == written);
  CHECK(core::find_path(written, "forward_feedback.gate")->number() == 0.25);
  CHECK_FALSE(write_rule(read_rule(toml_table("kind = \"di\""), "rule")).find("forward_feedback"));
}

}  // namespace
}  // namespace settle::learning
