#include <catch2/catch.hpp>

#include "learning/layerwise.hpp"
#include "learning/linearised_rest.hpp"
#include "tests/learning/exercise.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using test::exercise;
using test::Exercise;
using test::normal_matrix;
using test::relative;
using test::toml_table;

template <class S>
Credit<S> credit_of(const std::string& toml, const Exercise<S>& at_work) {
  Credit<S> out;
  read_rule(toml_table(toml), "rule")->make(at_work.network, {})->assign(at_work.lesson(), out);
  return out;
}

// B (W D B − I/G)⁻¹ y as it stands, by another decomposition; of least norm where there is no inverse.
VectorXd as_it_stands(const MatrixXd& w, const MatrixXd& b, const VectorXd& slope, double g,
                      const VectorXd& y) {
  MatrixXd m = w * slope.asDiagonal() * b;
  m.diagonal().array() -= g;
  return b * m.completeOrthogonalDecomposition().solve(y);
}

TEST_CASE("the rest of a linearised loop is a direct solve of each example", "[rules]") {
  struct Case {
    Index outputs, inputs, closed;  // closed: units of slope 0
    double inverse_gain;
  };
  // Expanding and contracting layers, by either form of the solution; with little leak or none, and with more
  // units closed than the outputs can do without.
  const auto [outputs, inputs, closed, g] =
      GENERATE(Case{3, 20, 0, 0.1}, Case{3, 20, 8, 0.0}, Case{20, 6, 2, 0.1}, Case{9, 9, 4, 0.05},
               Case{9, 6, 0, 0.1}, Case{9, 9, 0, 0.0}, Case{10, 16, 4, 1e-10}, Case{10, 16, 4, 0.1},
               Case{10, 16, 12, 0.0}, Case{4, 5, 5, 0.2});
  INFO(outputs << " × " << inputs << ", " << closed << " closed, 1/G = " << g);
  const Index count = 4;
  const MatrixXd w = normal_matrix(outputs, inputs, "w");
  const MatrixXd b = -w.transpose() + 0.1 * normal_matrix(inputs, outputs, "b");
  MatrixXd slope = normal_matrix(inputs, count, "slope").cwiseAbs().array() + 0.3;
  for (Index c = 0; c < count; ++c)
    for (Index k = 0; k < closed; ++k) slope((c + k * 5) % inputs, c) = 0;
  const MatrixXd y = normal_matrix(outputs, count, "y");
  const MatrixXd r = linearised_rest(w, b, slope, VectorXd::Constant(1, g), y);
  for (Index c = 0; c < count; ++c)
    // Rounding times the condition, of some thousands at most.
    CHECK(relative(r.col(c), as_it_stands(w, b, slope.col(c), g, y.col(c))) < 1e-11);

  VectorXd own(count);
  own << 0.1, std::numeric_limits<double>::infinity(), 0.2, 2;
  const MatrixXd each = linearised_rest(w, b, slope, own, y);
  CHECK(each.col(1).isZero(0));
  for (const Index c : {0, 2, 3})
    CHECK(relative(each.col(c), as_it_stands(w, b, slope.col(c), own[c], y.col(c))) < 1e-11);
}

TEST_CASE("linearised dynamic inversion settles to its own non-dynamic form", "[rules]") {
  const std::string network =
      GENERATE("layers = [5, 9, 6, 4], transfer = 'relu', batch_normalisation = true",
               "layers = [4, 3, 5, 6], transfer = 'tanh'");
  const std::string feedback =
      GENERATE("{ init = 'negative_transpose' }", "{ init = 'rotated', degrees = 30 }");
  const Exercise<double> at_work =
      exercise(network + ", weights = { init = 'normal', std = 0.5 }", 6);
  const std::string loop =
      ", loop = 'linearised', leak = 0.1, gains = { p = 0.2, i = 1.0 }, feedback = " + feedback;
  const auto di = read_rule(toml_table("kind = 'di', tolerance = 1e-10" + loop), "rule")
                      ->make(at_work.network, {});
  Credit<double> settled;
  di->assign(at_work.lesson(), settled);
  REQUIRE(di->take_settling().unsettled == 0);
  const Credit<double> found = credit_of("kind = 'ndi'" + loop, at_work);
  const Credit<float> narrow = credit_of("kind = 'ndi'" + loop, at_work.cast<float>());
  const bool is_relu = network.find("relu") != std::string::npos;
  CHECK((at_work.activity.slope[1].array() == 0).any() == is_relu);
  for (std::size_t l = 1; l < found.post.size(); ++l) {
    // Residuals of 1e-10 over a slowest pole of about the leak, .1, in each of two loops.
    CHECK(relative(settled.post[l], found.post[l]) < 1e-8);
    // Rounding of 6e-8, times the condition of two inversions (some 10 each).
    CHECK(relative(narrow.post[l].cast<double>(), found.post[l]) < 1e-4);
  }
}

TEST_CASE("a linearised control at rest is the one whose feedback is the state of rest",
          "[rules]") {
  const Exercise<double> at_work =
      exercise("layers = [5, 6, 4], weights = { init = 'normal', std = 0.5 }", 3);
  const std::string ndi = "kind = 'ndi', loop = 'linearised', leak = 0.1, output_update = ";
  const Credit<double> control = credit_of(ndi + "'control'", at_work);
  // r = B u, B = −Wᵀ: rounding of well-conditioned solves.
  CHECK(relative(at_work.network.w(2).transpose() * control.post[2],
                 credit_of(ndi + "'error'", at_work).post[1]) < 1e-12);
}

TEST_CASE("a rule of linearised loops is compared with their non-dynamic form", "[training]") {
  const test::Setting setting(
      "network = { layers = [6, 8, 5, 3], transfer = 'relu', batch_normalisation = true, "
      "weights = { init = 'normal', std = 0.5 } }\n"
      "data = { kind = 'tanh_teacher', examples = 16 }\n"
      "learning = { examples = 16, batch = 8, learning_rate = 0.01, compare = true }\n"
      "rule = [{ kind = 'di', loop = 'linearised', leak = 0.1, accuracy = 'rest' },\n"
      "{ kind = 'ndi', loop = 'linearised', leak = 0.1 }]\n");
  std::size_t k = 0;
  while (course_variables()[k].name != "angle_to_ndi") ++k;
  for (std::size_t rule = 0; rule < 2; ++rule) {
    const auto course = setting.course(rule);
    const std::atomic<bool> goes_on = false;
    while (course->outcome() == CourseOutcome::running) {
      course->advance(goes_on);
      const auto values = course->evaluate();
      for (const double angle : values[k])
        if (course->examples() > 0) {
          // The tolerance of rest, 1e-6, over the leak: 1e-5 of a radian, or less.
          CHECK(angle < 1e-3);
        }
    }
  }
}

}  // namespace
}  // namespace settle::learning
