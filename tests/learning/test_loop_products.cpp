// What loops keep beside W while it moves: W B, and the inverse that is their rest.
#include <catch2/catch.hpp>

#include "learning/layerwise.hpp"
#include "learning/loop_products.hpp"
#include "learning/update.hpp"
#include "tests/learning/exercise.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using test::relative;

std::string network_of(const std::string& layers) {
  return "layers = " + layers + ", weights = { init = \"uniform\", low = -0.8, high = 0.8 }";
}

// Takes one matrix of a state.
class Finder final : public StateVisitor {
 public:
  explicit Finder(std::string name) : name_(std::move(name)) {}
  void matrix(const std::string& name, MatrixXd& m) override {
    if (name == name_) found = m;
  }
  void matrix(const std::string&, Eigen::MatrixXf&) override {}
  void integer(const std::string&, std::int64_t&) override {}
  void number(const std::string&, double&) override {}
  MatrixXd found;

 private:
  std::string name_;
};

// Two layers of weights, of which the last learns, and what its loop keeps.
struct KeptLoop {
  KeptLoop(const std::string& layers, Index examples, const RuleContext& context_)
      : context(context_),
        batch(test::exercise(network_of(layers), examples)),
        kept(context, batch.network.weights.size()),
        b(3) {
    b[2] = test::normal_matrix(batch.network.size(1), batch.network.size(2), "B");
  }

  MatrixXd& w() { return batch.network.weights[2]; }
  bool is_inner() { return w().rows() <= w().cols(); }
  MatrixXd product() { return is_inner() ? MatrixXd(w() * b[2]) : MatrixXd(b[2] * w()); }

  MatrixXd shifted(double inverse_gain) {
    MatrixXd out = product();
    out.diagonal().array() -= inverse_gain;
    return out;
  }

  // A step of the weights, η post preᵀ, of which the loop is told.
  void move(const MatrixXd& post, double rate) {
    w() = (1 - context.decay) * w() + rate * post * batch.activity.h[1].transpose();
    Credit<double> credit;
    credit.reset(3);
    credit.post[2] = post;
    kept.learn(batch.lesson(), credit, rate, b);
  }
  // No example is a multiple of 1000 but the first.
  const MatrixXd& look(int step) {
    return kept.of(2, batch.lesson(static_cast<std::uint64_t>(step % 900)), b[2]);
  }
  std::optional<MatrixXd> rest(double inverse_gain) {
    return kept.rest(2, batch.lesson(1), b[2], inverse_gain, batch.error);
  }
  MatrixXd rest_anew(double inverse_gain) {
    MatrixXd out;
    ndi_rest<double>(batch.lesson(), 2, b[2], VectorXd::Constant(1, inverse_gain), batch.error,
                     out);
    return out;
  }

  RuleContext context;
  test::Exercise<double> batch;
  LoopProducts kept;
  std::vector<MatrixXd> b;
};

// How far a product that went along for some steps is from one made anew.
double drift(const std::string& layers, Index examples, const RuleContext& context, int steps,
             double* work = nullptr) {
  KeptLoop loop(layers, examples, context);
  for (int t = 0; t < steps; ++t) {
    loop.look(t);
    if (t == 1 && work) loop.kept.take_work();
    loop.move(0.01 * loop.batch.error, 0.5);
  }
  const MatrixXd last = loop.look(1);
  if (work) *work = loop.kept.take_work();
  return relative(last, loop.product());
}

TEST_CASE("the product of a loop goes with W, and is made anew where it can't") {
  const std::string layers = GENERATE("[3, 40, 20]", "[3, 20, 40]", "[3, 20, 20]");
  const Index examples = GENERATE(1, 3);
  double kept = 0, anew = 0;
  // Some hundred roundings.
  CHECK(drift(layers, examples, {.decay = 1e-3, .is_plain = true}, 100, &kept) < 1e-13);
  CHECK(drift(layers, examples, {.decay = 1e-3, .is_plain = false}, 100, &anew) < 1e-14);
  CHECK(kept < anew);
  // A batch as wide as the layer.
  CHECK(drift(layers, 20, {.is_plain = true}, 10, &kept) < 1e-14);
}

TEST_CASE("the inverse of a loop goes with W, and gives its rest") {
  const std::string layers = GENERATE("[3, 50, 40]", "[3, 40, 50]");
  const Index examples = GENERATE(1, 3);
  const double decay = GENERATE(0.0, 1e-3), inverse_gain = GENERATE(0.0, 0.3);
  CAPTURE(layers, examples, decay, inverse_gain);
  KeptLoop loop(layers, examples, {.decay = decay, .is_plain = true});
  double worst = 0;  // condition number on the way
  for (int t = 0; t < 200; ++t) {
    const MatrixXd shifted = loop.shifted(inverse_gain);
    const double condition = shifted.norm() * shifted.inverse().norm();
    worst = std::max(worst, condition);
    const auto rest = loop.rest(inverse_gain);
    REQUIRE(rest);
    // Ten roundings of the one and some of the other, times the condition number; B may stretch them.
    CHECK(relative(*rest, loop.rest_anew(inverse_gain)) < 1e-13 * condition);
    loop.move(0.01 * loop.batch.error, 0.5);
    if (decay > 0) continue;  // with which the inverse is near enough to be refined, and not more
    Finder inverse("loop_inverse_2");
    loop.kept.state(inverse);
    const MatrixXd now = loop.shifted(inverse_gain);
    worst = std::max(worst, now.norm() * now.inverse().norm());
    // Roundings of 200 steps, times the condition number.
    CHECK(relative(MatrixXd(inverse.found * now), MatrixXd::Identity(now.rows(), now.cols())) <
          1e-13 * worst);
  }
}

TEST_CASE("the inverse of a loop is there again after a step to where there is none") {
  const double inverse_gain = 0.3;
  KeptLoop loop("[3, 50, 40]", 1, {.is_plain = true});
  const MatrixXd post = loop.batch.error;
  REQUIRE(loop.rest(inverse_gain));
  // Along post preᵀ the determinant is linear, 1 + η vᵀ (P − I/G)⁻¹ post: it has a root.
  MatrixXd shifted = loop.shifted(inverse_gain);
  const VectorXd v = loop.b[2].transpose() * loop.batch.activity.h[1];
  const double rate = -1 / v.dot(shifted.partialPivLu().solve(VectorXd(post.col(0))));
  loop.move(post, rate);
  // There it says so, or solves what rounding has left of it.
  if (const auto rest = loop.rest(inverse_gain)) {
    const VectorXd control = loop.b[2].colPivHouseholderQr().solve(VectorXd(rest->col(0)));
    shifted = loop.shifted(inverse_gain);
    // Ten roundings, and those of finding the control.
    CHECK((shifted * control - post).norm() < 1e-12 * shifted.norm() * control.norm());
  }
  loop.move(post, -0.5 * rate);
  const auto rest = loop.rest(inverse_gain);
  REQUIRE(rest);
  // Ten roundings, times the condition number half way to the root.
  CHECK(relative(*rest, loop.rest_anew(inverse_gain)) < 1e-10);
}

TEST_CASE("rules find the same, to rounding, where their products go with W") {
  const std::string rule =
      GENERATE("kind = \"di\"", "kind = \"di\", scheme = \"simultaneous\"", "kind = \"ndi\"");
  // The last has loops wide enough for their inverses to be kept.
  const std::string layers = GENERATE("[3, 12, 8, 5]", "[3, 5, 8, 12]", "[3, 20, 30, 14]");
  CAPTURE(rule, layers);
  LearningSpec learning;
  learning.decay = 1e-3;
  learning.learning_rate = 0.02;
  const auto trained = [&](bool is_plain) {
    auto batch = test::exercise(network_of(layers), 1);
    const auto own = read_rule(test::toml_table(rule + ", leak = 0.1"), "rule")
                         ->make(batch.network, {.decay = learning.decay, .is_plain = is_plain});
    Updater<double> updater(learning, batch.network);
    Credit<double> credit;
    for (std::uint64_t t = 1; t <= 30; ++t) {
      batch.go_forward();
      own->assign(batch.lesson(t), credit);
      updater.move(batch.network, batch.activity, credit);
      own->learn(batch.lesson(t), credit, learning.learning_rate);
    }
    return std::pair{credit.post[1], own->take_settling().multiplications};
  };
  const auto [kept, fewer] = trained(true);
  const auto [anew, more] = trained(false);
  // 30 roundings, over 1/G = .1.
  CHECK(relative(kept, anew) < 1e-12);
  // NDI's are counted as its equation is written.
  if (rule != "kind = \"ndi\"") CHECK(fewer < more);
}

TEST_CASE("what a loop keeps is forgotten where its feedback is corrected") {
  const std::string rule = GENERATE("kind = \"ndi\"", "kind = \"di\", tolerance = 1e-9");
  CAPTURE(rule);
  auto batch = test::exercise(network_of("[3, 30, 20]"), 1);
  const auto own =
      read_rule(test::toml_table(rule + ", leak = 0.1, stability = \"correct\""), "rule")
          ->make(batch.network, {.is_plain = true});
  Credit<double> credit, anew;
  own->assign(batch.lesson(1), credit);
  CHECK(own->take_settling().unstable == 0);
  // A step along −W h hᵀ, ten times what takes W h to 0: feedback −Wᵀ of before is then positive there.
  const MatrixXd h = batch.activity.h[1];
  const double rate = 10 / h.squaredNorm();
  credit.post[2] = -batch.network.weights[2] * h;
  batch.network.weights[2] += rate * credit.post[2] * h.transpose();
  own->learn(batch.lesson(1), credit, rate);
  batch.go_forward();
  own->assign(batch.lesson(2), credit);
  CHECK(own->take_settling().unstable == 1);
  ndi_credit(batch.lesson(2), own->feedback(batch.network), VectorXd::Constant(1, 0.1), anew);
  // What di leaves of its own residual, over a slowest pole near 0; what was kept would be off by more than 1.
  CHECK(relative(credit.post[1], anew.post[1]) < 1e-4);
}

}  // namespace
}  // namespace settle::learning
