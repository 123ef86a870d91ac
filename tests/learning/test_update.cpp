#include <catch2/catch.hpp>
#include <cmath>

#include "learning/compare.hpp"
#include "learning/update.hpp"
#include "tests/learning/exercise.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using test::exercise;
using test::Exercise;
using test::normal_matrix;
using test::relative;

const char* const small =
    "layers = [5, 4, 3], weights = { init = 'normal', std = 0.5 }, "
    "biases = { init = 'normal', std = 0.5 }";

Credit<double> bp(const Exercise<double>& at_work) {
  Credit<double> credit;
  bp_credit(at_work.lesson(), credit);
  return credit;
}

// Σ post preᵀ and Σ post, times `share`.
Direction<double> gradient(const Exercise<double>& at_work, const Credit<double>& credit,
                           double share) {
  Direction<double> out = update_direction(at_work.lesson(), credit);
  for (std::size_t l = 1; l < out.weights.size(); ++l) {
    out.weights[l] *= share;
    out.biases[l] *= share;
  }
  return out;
}

}  // namespace

TEST_CASE("a plain step adds η times the batch's sum or mean to what decay leaves", "[update]") {
  for (const Index batch : {1, 4})
    for (const char* how : {"sum", "mean"})
      for (const double decay : {0.0, 0.125}) {
        INFO("batch " << batch << ", " << how << ", decay " << decay);
        Exercise<double> at_work = exercise(small, batch);
        const Network<double> before = at_work.network;
        const Credit<double> credit = bp(at_work);
        LearningSpec spec;
        spec.learning_rate = 0.3;
        spec.decay = decay;
        spec.batch_update = how;
        const double share = std::string(how) == "mean" ? 1.0 / static_cast<double>(batch) : 1.0;
        const Direction<double> along = gradient(at_work, credit, share);
        Exercise<float> narrow = at_work.cast<float>();
        Updater<double>(spec, at_work.network).move(at_work.network, at_work.activity, credit);
        Credit<float> narrow_credit;
        bp_credit(narrow.lesson(), narrow_credit);
        Updater<float>(spec, narrow.network).move(narrow.network, narrow.activity, narrow_credit);
        for (std::size_t l = 1; l <= 2; ++l) {
          const MatrixXd w = (1 - decay) * before.weights[l] + 0.3 * along.weights[l];
          const VectorXd b = (1 - decay) * before.biases[l] + 0.3 * along.biases[l];
          CHECK(relative(at_work.network.weights[l], w) < 1e-15);
          CHECK(relative(at_work.network.biases[l], b) < 1e-15);
          // A few roundings of 6e-8.
          CHECK(relative(narrow.network.weights[l].cast<double>(), w) < 1e-6);
          CHECK(relative(narrow.network.biases[l].cast<double>(), b) < 1e-6);
        }
      }
}

TEST_CASE("decay is not multiplied by the learning rate, whatever the optimiser", "[update]") {
  for (const char* optimiser : {"sgd", "momentum", "adam"})
    for (const double rate : {1e-6, 1.0})
      for (const Index batch : {1, 3}) {
        INFO(optimiser << ", η " << rate << ", batch " << batch);
        Exercise<double> at_work = exercise(small, batch);
        const Network<double> before = at_work.network;
        Credit<double> nothing = bp(at_work);
        for (MatrixXd& post : nothing.post) post.setZero();
        LearningSpec spec;
        spec.optimiser = optimiser;
        spec.learning_rate = rate;
        spec.decay = 0.25;  // 0.75 x is exact to one rounding
        Updater<double>(spec, at_work.network).move(at_work.network, at_work.activity, nothing);
        for (std::size_t l = 1; l <= 2; ++l) {
          CHECK(relative(at_work.network.weights[l], 0.75 * before.weights[l]) < 1e-15);
          CHECK(relative(at_work.network.biases[l], 0.75 * before.biases[l]) < 1e-15);
        }
      }
}

TEST_CASE("momentum sums what gradients leave, m g₁ + g₂", "[update]") {
  Exercise<double> at_work = exercise(small, 3);
  LearningSpec spec;
  spec.optimiser = "momentum";
  spec.momentum = 0.7;
  spec.learning_rate = 0.1;
  Updater<double> updater(spec, at_work.network);
  MatrixXd w = at_work.network.weights[1], b = at_work.network.biases[1];
  MatrixXd mean = MatrixXd::Zero(4, 5), bias_mean = MatrixXd::Zero(4, 1);
  for (int step = 0; step < 3; ++step) {
    const Credit<double> credit = bp(at_work);
    const Direction<double> g = gradient(at_work, credit, 1.0 / 3);
    updater.move(at_work.network, at_work.activity, credit);
    mean = 0.7 * mean + g.weights[1];
    bias_mean = 0.7 * bias_mean + g.biases[1];
    w += 0.1 * mean;
    b += 0.1 * bias_mean;
    CHECK(relative(at_work.network.weights[1], w) < 1e-14);
    CHECK(relative(at_work.network.biases[1], b) < 1e-14);
    at_work.go_forward();
  }
}

TEST_CASE("Adam's first step is η g/(|g| + ε), and its second in closed form", "[update]") {
  Exercise<double> at_work = exercise(small, 3);
  LearningSpec spec;
  spec.optimiser = "adam";
  spec.learning_rate = 0.01;
  spec.adam_epsilon = 1e-3;  // large enough to be seen
  const double b1 = spec.beta_1, b2 = spec.beta_2;
  Updater<double> updater(spec, at_work.network);
  const MatrixXd w0 = at_work.network.weights[2];
  const Credit<double> first = bp(at_work);
  const Eigen::ArrayXXd g1 = gradient(at_work, first, 1.0 / 3).weights[2].array();
  updater.move(at_work.network, at_work.activity, first);
  const MatrixXd w1 = at_work.network.weights[2];
  // The bias corrections 1 − β^t lose three digits.
  CHECK(relative(w1 - w0, (0.01 * g1 / (g1.abs() + 1e-3)).matrix()) < 1e-11);

  at_work.go_forward();
  const Credit<double> second = bp(at_work);
  const Eigen::ArrayXXd g2 = gradient(at_work, second, 1.0 / 3).weights[2].array();
  updater.move(at_work.network, at_work.activity, second);
  const Eigen::ArrayXXd mean = (b1 * g1 + g2) / (1 + b1);
  const Eigen::ArrayXXd square = (b2 * g1.square() + g2.square()) / (1 + b2);
  CHECK(relative(at_work.network.weights[2] - w1, (0.01 * mean / (square.sqrt() + 1e-3)).matrix()) <
        1e-11);
}

TEST_CASE("clipping bounds each example's hidden δ, and leaves shorter ones as they are",
          "[update]") {
  Exercise<double> at_work = exercise(
      "layers = [5, 4, 6, 3], weights = { init = 'normal', std = 1.0 }, transfer = 'identity'", 8);
  const Credit<double> free = bp(at_work);
  const auto norms = [](const MatrixXd& post) { return post.colwise().norm().eval(); };
  LearningSpec spec;
  const double median = norms(free.post[2]).sum() / 8;
  for (const std::vector<double>& clip :
       {std::vector<double>{median}, std::vector<double>{INFINITY, median, median / 2}}) {
    spec.clip = clip;
    Credit<double> credit = free;
    Updater<double>(spec, at_work.network).clip(credit);
    int clipped = 0, kept = 0;
    for (std::size_t l = 1; l <= 3; ++l) {
      // One number is for hidden layers: δ_L is the error itself.
      const double most = clip.size() > 1 ? clip[l - 1] : l == 3 ? INFINITY : median;
      for (Index c = 0; c < 8; ++c) {
        const VectorXd was = free.post[l].col(c), is = credit.post[l].col(c);
        if (was.norm() <= most) {
          CHECK(is == was);
          ++kept;
        } else {
          CHECK(relative(is, was * (most / was.norm())) < 1e-15);
          ++clipped;
        }
      }
    }
    CHECK(clipped > 2);
    CHECK(kept > 2);
  }
}

TEST_CASE("the norm of an update is that of the sum it is never made as", "[update]") {
  for (const Index batch : {1, 3, 50}) {
    const MatrixXd post = normal_matrix(7, batch, "post"), pre = normal_matrix(5, batch, "pre");
    const double norm = (post * pre.transpose()).norm();
    CHECK(update_norm<double>(post, pre) == Approx(norm).epsilon(1e-13));
    CHECK(update_norm<float>(post.cast<float>(), pre.cast<float>()) == Approx(norm).epsilon(1e-5));
  }
  // Two phases: what they have in common cancels, and the rest is there to the roundings of a sum of order 1.
  const VectorXd a = normal_matrix(3, 1, "a"), b = normal_matrix(4, 1, "b");
  for (const double share : {1e-3, 1e-7, 1e-12, 0.0}) {
    MatrixXd post(3, 2), pre(4, 2);
    post << a, -a;
    pre << b, b + share * VectorXd::Ones(4);
    CHECK(update_norm<double>(post, pre) ==
          Approx(share * 2 * a.norm()).epsilon(1e-9).margin(1e-14));
    // ⟨Σ post preᵀ, a bᵀ⟩ and ⟨Σ post, a⟩
    const double inner = -share * a.squaredNorm() * b.sum();
    CHECK(update_product<double>(post, pre, a, b, true) ==
          Approx(inner).epsilon(1e-9).margin(1e-14));
  }
}

TEST_CASE("what normalises a layer learns along the loss's gradient", "[update]") {
  for (const char* optimiser : {"sgd", "momentum"})
    for (const Loss loss : {Loss::squared_error, Loss::cross_entropy}) {
      Exercise<double> at_work =
          exercise("layers = [4, 5, 3, 2], batch_normalisation = true, output = '" +
                       std::string(loss == Loss::squared_error ? "linear" : "softmax") +
                       "', weights = { init = 'normal', std = 0.7 }",
                   6, loss);
      for (std::size_t l = 1; l <= 2; ++l) {  // not where they start, at 1 and 0
        auto& normal = at_work.network.normalisations[l];
        normal.scale = normal.scale + 0.3 * normal_matrix(normal.scale.size(), 1, "scale");
        normal.shift = 0.3 * normal_matrix(normal.shift.size(), 1, "shift");
      }
      at_work.go_forward();
      const Exercise<double> before = at_work;
      LearningSpec spec;
      spec.optimiser = optimiser;
      spec.learning_rate = 0.5;
      spec.decay = 0.1;  // not of γ and β
      Updater<double> updater(spec, at_work.network);
      const Credit<double> credit = bp(at_work);
      updater.move(at_work.network, at_work.activity, credit);
      // The loss is of the batch, the step along its mean.
      const auto expected = [&](auto parameter, std::size_t l, Index i) {
        constexpr double h = 1e-6;
        Exercise<double> up = before, down = before;
        (up.network.normalisations[l].*parameter)[i] += h;
        (down.network.normalisations[l].*parameter)[i] -= h;
        up.go_forward();
        down.go_forward();
        return -0.5 / 6 * (up.total_loss() - down.total_loss()) / (2 * h);
      };
      for (std::size_t l = 1; l <= 2; ++l)
        for (const auto parameter :
             {&Normalisation<double>::scale, &Normalisation<double>::shift}) {
          const VectorXd step = at_work.network.normalisations[l].*parameter -
                                before.network.normalisations[l].*parameter;
          CHECK(step.norm() > 1e-3);
          // Differences are exact to h² and to 1e-16/h.
          for (Index i = 0; i < step.size(); ++i)
            CHECK(step[i] == Approx(expected(parameter, l, i)).margin(1e-9));
        }
    }
}

}  // namespace settle::learning
