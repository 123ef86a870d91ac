#include <catch2/catch.hpp>
#include <cmath>

#include "learning/compare.hpp"
#include "sim/core/linalg.hpp"
#include "tests/learning/exercise.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using test::exercise;
using test::Exercise;
using test::relative;

// All of a direction in one vector: weights and biases, layer by layer.
VectorXd flat(const Direction<double>& direction) {
  std::vector<double> all;
  for (std::size_t l = 1; l < direction.weights.size(); ++l) {
    const MatrixXd& w = direction.weights[l];
    const VectorXd& b = direction.biases[l];
    all.insert(all.end(), w.data(), w.data() + w.size());
    all.insert(all.end(), b.data(), b.data() + b.size());
  }
  return Eigen::Map<const VectorXd>(all.data(), static_cast<Index>(all.size()));
}

// ∂a_L/∂θ, a row for each output of each example: backpropagation of a lone error of 1.
MatrixXd jacobian(Exercise<double> at_work) {
  MatrixXd error = at_work.error;
  MatrixXd j;
  for (Index k = 0; k < error.size(); ++k) {
    at_work.error.setZero();
    at_work.error.data()[k] = 1;
    Credit<double> credit;
    bp_credit(at_work.lesson(), credit);
    const VectorXd row = flat(update_direction(at_work.lesson(), credit));
    j.conservativeResize(error.size(), row.size());
    j.row(k) = row.transpose();
  }
  return j;
}

template <class Make>
Credit<double> credit_of(const Make& make) {
  Credit<double> out;
  make(out);
  return out;
}

std::string network(const std::string& layers, bool bias, const std::string& transfer = "tanh") {
  return "layers = " + layers + ", transfer = '" + transfer +
         "', bias = " + (bias ? "true" : "false") +
         ", weights = { init = 'normal', std = 0.6 }, biases = { init = 'normal', std = 0.2 }";
}

}  // namespace

TEST_CASE("angles are those of the updates themselves", "[compare]") {
  for (const bool bias : {false, true}) {
    const Exercise<double> at_work = exercise(network("[5, 4, 3, 2]", bias), 6);
    const Lesson<double> lesson = at_work.lesson();
    const auto bp = credit_of([&](auto& c) { bp_credit(lesson, c); });
    const auto pbp = credit_of([&](auto& c) { pbp_credit(lesson, c); });
    const Angles found = angles(lesson, bp, pbp);
    const Direction<double> a = update_direction(lesson, bp), b = update_direction(lesson, pbp);
    // By cosines: 1e-15/sin.
    CHECK(found.all == Approx(angle(flat(a), flat(b))).epsilon(1e-10));
    const std::vector<double> norms = update_norms(lesson, bp);
    CHECK(norms.size() == 4);
    CHECK(std::isnan(found.layers[0]));
    for (std::size_t l = 1; l <= 2; ++l) {
      const auto side_by_side = [l, bias](const Direction<double>& d) {
        MatrixXd out(d.weights[l].rows(), d.weights[l].cols() + (bias ? 1 : 0));
        out.leftCols(d.weights[l].cols()) = d.weights[l];
        if (bias) out.rightCols(1) = d.biases[l];
        return out;
      };
      CHECK(found.layers[l] == Approx(angle(side_by_side(a), side_by_side(b))).epsilon(1e-10));
      CHECK(norms[l] == Approx(side_by_side(a).norm()).epsilon(1e-12));
    }
    // The same update: acos(1 − ε) is √(2ε), 1.2e-6 degrees for one rounding of the cosine, which sums have some of.
    CHECK(found.layers[3] < 1e-5);

    // A credit of two phases side by side, with a sign.
    Credit<double> two = bp;
    for (std::size_t l = 1; l <= 3; ++l) {
      const MatrixXd& pre = at_work.activity.h[l - 1];
      two.post[l].resize(bp.post[l].rows(), 12);
      two.post[l] << 2 * bp.post[l], -bp.post[l];
      two.pre[l].resize(pre.rows(), 12);
      two.pre[l] << pre, pre;
    }
    CHECK(angles(lesson, two, bp).all < 1e-5);
    CHECK(relative(flat(update_direction(lesson, two)), flat(a)) < 1e-14);
    Credit<double> none = bp;
    none.post[2].setZero();
    CHECK(std::isnan(angles(lesson, none, bp).layers[2]));
    CHECK(angles(lesson, none, bp).all > 0);
  }
}

TEST_CASE("the angle between matrices is exact where they are almost the same", "[compare]") {
  const MatrixXd a = test::normal_matrix(4, 3, "a");
  MatrixXd across = test::normal_matrix(4, 3, "b");
  across -= a.cwiseProduct(across).sum() / a.squaredNorm() * a;
  across *= a.norm() / across.norm();
  constexpr double degree = 3.14159265358979323846 / 180;
  for (const double t : {1e-9, 0.3, 60.0, 90.0, 180 - 1e-9}) {
    const MatrixXd b = 7 * (std::cos(t * degree) * a + std::sin(t * degree) * across);
    // A rounding of 1e-16 is 1e-14 degrees.
    CHECK(angle(a, b) == Approx(t).margin(1e-13));
    CHECK(180 - angle(a, -b) == Approx(t).margin(1e-13));
  }
  CHECK(std::isnan(angle(a, 0 * a)));
  CHECK(std::isnan(angle(a, MatrixXd::Constant(4, 3, NAN))));
  const MatrixXd b = -2 * a.transpose();
  CHECK(feedback_angle(b, a, -1) == Approx(0).margin(1e-13));
  CHECK(feedback_angle(b, a, +1) == Approx(180));
  CHECK(feedback_angle<float>(b.cast<float>(), a.cast<float>(), -1) == Approx(0).margin(1e-5));
}

TEST_CASE("the Gauss–Newton step is that of the Jacobian in full", "[compare]") {
  for (const bool bias : {false, true})
    for (const char* layers : {"[5, 4, 3, 2]", "[3, 2]", "[2, 3, 4]"})
      for (const Index count : {1, 3})
        for (const double damping : {0.0, 0.1, 10.0}) {
          INFO(layers << ", bias " << bias << ", batch " << count << ", λ " << damping);
          const Exercise<double> at_work = exercise(network(layers, bias), count);
          const Lesson<double> lesson = at_work.lesson();
          const MatrixXd j = jacobian(at_work);
          const VectorXd e = at_work.error.reshaped();
          const Index n = e.size();
          const MatrixXd jj = j * j.transpose() + damping * MatrixXd::Identity(n, n);
          const VectorXd expected = damping == 0 ? VectorXd(core::pseudoinverse(j) * e)
                                                 : VectorXd(j.transpose() * jj.ldlt().solve(e));
          const auto found = credit_of([&](auto& c) { gauss_newton_credit(lesson, damping, c); });
          // Rounding times the condition of J Jᵀ, some 1e4.
          CHECK(relative(flat(update_direction(lesson, found)), expected) < 1e-10);
        }
}

TEST_CASE("a Gauss–Newton step of more outputs than parameters fits them least squares",
          "[compare]") {
  const Exercise<double> at_work = exercise(network("[2, 2, 2]", false), 12);
  const Lesson<double> lesson = at_work.lesson();
  const auto found = credit_of([&](auto& c) { gauss_newton_credit(lesson, 0, c); });
  const VectorXd e = at_work.error.reshaped();
  const VectorXd expected = core::pseudoinverse(jacobian(at_work)) * e;
  // Rounding times the condition of J Jᵀ.
  CHECK(relative(flat(update_direction(lesson, found)), expected) < 1e-8);

  Exercise<double> normalised =
      exercise(network("[3, 4, 2]", true) + ", batch_normalisation = true", 5);
  Credit<double> credit;
  CHECK_THROWS_AS(gauss_newton_credit(normalised.lesson(), 0, credit), std::invalid_argument);
  normalised.by_batch = false;
  normalised.go_forward();
  gauss_newton_credit(normalised.lesson(), 0, credit);
  const VectorXd running = core::pseudoinverse(jacobian(normalised)) * normalised.error.reshaped();
  CHECK(relative(flat(update_direction(normalised.lesson(), credit)), running) < 1e-10);
}

// J = [∂a_L/∂a_1 … ∂a_L/∂a_L] of one example.
MatrixXd state_jacobian(const Exercise<double>& at_work, Index example) {
  const Network<double>& network = at_work.network;
  MatrixXd own = MatrixXd::Identity(network.size(network.depth()), network.size(network.depth()));
  MatrixXd all = own;
  for (Index l = network.depth() - 1; l >= 1; --l) {
    const VectorXd slope = at_work.activity.slope[static_cast<std::size_t>(l)].col(example);
    own = own * network.w(l + 1) * slope.asDiagonal();
    MatrixXd wider(own.rows(), own.cols() + all.cols());
    wider << own, all;
    all = wider;
  }
  return all;
}

TEST_CASE("the minimum-norm update is J⁺ of each example, over all layers", "[compare]") {
  const Exercise<double> at_work = exercise(network("[5, 4, 3, 2]", true), 3);
  const auto found = credit_of([&](auto& c) { minimum_norm_credit(at_work.lesson(), c); });
  for (Index c = 0; c < 3; ++c) {
    const VectorXd expected =
        core::pseudoinverse(state_jacobian(at_work, c)) * at_work.error.col(c);
    VectorXd all(9);
    all << found.post[1].col(c), found.post[2].col(c), found.post[3].col(c);
    CHECK(relative(all, expected) < 1e-13);  // rounding: J Jᵀ is above 1
  }
  // It is Gauss–Newton's of one example exactly where all layers hear equally much.
  Exercise<double> even = exercise(network("[4, 4, 4, 2]", false, "identity"), 1);
  for (std::size_t l = 1; l <= 2; ++l)
    even.network.weights[l] = core::orthonormalised(even.network.weights[l]);
  even.go_forward();
  const auto to_gauss_newton = [&] {
    const auto least = credit_of([&](auto& c) { minimum_norm_credit(even.lesson(), c); });
    const auto step = credit_of([&](auto& c) { gauss_newton_credit(even.lesson(), 0, c); });
    return angles(even.lesson(), least, step).all;
  };
  CHECK(norm_spread(even.activity) < 1e-14);
  CHECK(to_gauss_newton() < 1e-5);  // by cosines
  even.network.weights[1] *= 3;
  even.go_forward();
  CHECK(norm_spread(even.activity) == Approx(std::sqrt(8.0) / 7));  // of norms 1, 3, 3
  CHECK(to_gauss_newton() > 1);
}

TEST_CASE("a feedback lies in the row space of the Jacobian by its projection", "[compare]") {
  const Exercise<double> at_work = exercise(network("[5, 40, 30, 2]", true), 3);
  const auto split = [](const MatrixXd& q) {
    return std::vector<MatrixXd>{{}, q.topRows(40), q.middleRows(40, 30), q.bottomRows(2)};
  };
  MatrixXd projected = MatrixXd::Zero(1, 3);
  const MatrixXd q = test::normal_matrix(72, 2, "q");
  for (Index c = 0; c < 3; ++c) {
    const MatrixXd j = state_jacobian(at_work, c);
    projected(0, c) = (core::pseudoinverse(j) * j * q).norm() / q.norm();
  }
  CHECK(feedback_in_row_space(at_work.lesson(), split(q)) ==
        Approx(projected.mean()).epsilon(1e-12));
  // Any combination of the rows, of one example.
  const Exercise<double> one = exercise(network("[5, 40, 30, 2]", true), 1);
  const MatrixXd rows = state_jacobian(one, 0).transpose();
  const MatrixXd mixed = rows * test::normal_matrix(2, 2, "mix");
  CHECK(feedback_in_row_space(one.lesson(), split(rows)) == Approx(1).epsilon(1e-12));
  CHECK(feedback_in_row_space(one.lesson(), split(mixed)) == Approx(1).epsilon(1e-12));
  CHECK(std::isnan(feedback_in_row_space(one.lesson(), split(0 * rows))));
  // Random ones: the mean square is d_L/Σ d_l = 2/72; of 200 of them (400 numbers) it is off by 1/√(200 · 2) = 5 %
  // of one deviation.
  double square = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const MatrixXd random = test::normal_matrix(72, 2, "random", seed);
    square += std::pow(feedback_in_row_space(one.lesson(), split(random)), 2) / 200;
  }
  CHECK(square == Approx(2.0 / 72).epsilon(0.2));
}

TEST_CASE("ndi with 1/G = ‖h‖²/‖x‖² and output update −u is the Gauss–Newton step", "[compare]") {
  for (const bool bias : {false, true})
    for (const char* layers : {"[5, 4, 3]", "[5, 3, 4]", "[2, 6, 6]"})
      for (const double damping : {0.0, 0.7}) {
        INFO(layers << ", bias " << bias << ", λ " << damping);
        const Exercise<double> at_work = exercise(network(layers, bias, "identity"), 1);
        const Lesson<double> lesson = at_work.lesson();
        const auto kind = read_rule(
            test::toml_table("kind = 'ndi', inverse_gain = 'gauss_newton', output_update = "
                             "'control', damping = " +
                             core::number_text(damping)),
            "rule");
        Credit<double> ndi, step;
        kind->make(at_work.network, {})->assign(lesson, ndi);
        gauss_newton_credit(lesson, damping, step);
        const double b = bias ? 1 : 0, x = at_work.activity.h[0].squaredNorm() + b,
                     h = at_work.activity.h[1].squaredNorm() + b;
        CHECK(gauss_newton_inverse_gain(lesson, damping)[0] == Approx((h + damping) / x));
        // Two solves of conditions below 100.
        CHECK(relative(flat(update_direction(lesson, ndi)),
                       x * flat(update_direction(lesson, step))) < 1e-13);
        // By the free functions, and each example of a batch by itself.
        const MatrixXd feedback = -at_work.network.w(2).transpose();
        Credit<double> direct;
        ndi_credit(lesson, {{}, {}, feedback}, VectorXd::Constant(1, (h + damping) / x), direct);
        CHECK(relative(direct.post[1], ndi.post[1]) < 1e-14);
      }
  Exercise<double> batch = exercise(network("[4, 3, 2]", false, "identity"), 3);
  batch.inputs.col(1).setZero();
  batch.go_forward();
  const VectorXd gain = gauss_newton_inverse_gain(batch.lesson(), 0.5);
  CHECK(std::isinf(gain[1]));
  Credit<double> all;
  const std::vector<MatrixXd> b = {{}, {}, -batch.network.w(2).transpose()};
  ndi_credit(batch.lesson(), b, gain, all);
  CHECK(all.post[1].col(1).norm() == 0);
  Credit<double> shared;
  ndi_credit(batch.lesson(), b, gain.segment(2, 1), shared);
  CHECK(relative(all.post[1].col(2), shared.post[1].col(2)) < 1e-14);
}

TEST_CASE("a network of float32 is compared as one of float64 is", "[compare]") {
  const Exercise<double> wide = exercise(network("[5, 4, 3, 2]", true), 4);
  const Exercise<float> narrow = wide.cast<float>();
  Credit<double> bp, step;
  Credit<float> narrow_bp, narrow_step;
  bp_credit(wide.lesson(), bp);
  gauss_newton_credit(wide.lesson(), 0.1, step);
  bp_credit(narrow.lesson(), narrow_bp);
  gauss_newton_credit(narrow.lesson(), 0.1, narrow_step);
  const Angles expected = angles(wide.lesson(), bp, step);
  const Angles found = angles(narrow.lesson(), narrow_bp, narrow_step);
  // 6e-8 of rounding, times the condition of J Jᵀ + λ.
  for (std::size_t l = 1; l <= 3; ++l)
    CHECK(found.layers[l] == Approx(expected.layers[l]).epsilon(1e-4));
  CHECK(found.all == Approx(expected.all).epsilon(1e-4));
}

}  // namespace settle::learning
