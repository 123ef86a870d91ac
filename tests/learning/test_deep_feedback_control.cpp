#include <catch2/catch.hpp>
#include <cmath>

#include "tests/learning/energy_case.hpp"

namespace settle::learning {
namespace {

using namespace energy;
using Catch::Contains;
using test::relative;

TEST_CASE("DFC of a linear net rests at u = (JQ + I/G)⁻¹ δ", "[energy]") {
  const Case c({5, 4, 6, 3}, "identity", 3);
  const Matrices q = transposes(c), j = jacobians(c, 0);
  MatrixXd m = MatrixXd::Identity(3, 3) / (1 / 0.1 + 0.5);
  for (std::size_t l = 1; l <= 3; ++l) m += j[l] * q[l];
  const MatrixXd u = m.lu().solve(0.2 * c.error);
  // Integration stops at the tolerance; the slowest pole is about 0.1 times as fast as 1/tau.
  for (const auto& [accuracy, tolerance] :
       {std::pair{"dynamics", 1e-9}, std::pair{"rest", 1e-12}}) {
    INFO(accuracy);
    const Credit<double> credit =
        credit_of("dfc",
                  "leak = 0.1, gains = { p = 0.5, i = 1 }, target_step = 0.2, tolerance = 1e-11, "
                  "accuracy = \"" +
                      std::string(accuracy) + "\"",
                  c);
    MatrixXd r = c.inputs;
    for (std::size_t l = 1; l <= 3; ++l) {
      CHECK(relative(credit.post[l], q[l] * u) < tolerance);
      CHECK(relative(credit.pre_of(static_cast<Index>(l), c.activity), r) < tolerance);
      r = (c.w(l) * r + q[l] * u).colwise() + c.network.biases[l];
    }
  }
}

TEST_CASE("DFC of a tanh net rests where its own output answers to its own control", "[energy]") {
  const Case c({5, 4, 6, 3}, "tanh", 4);
  const Matrices q = transposes(c);
  const Credit<double> credit = credit_of(
      "dfc", "leak = 0.1, gains = { p = 0.5, i = 1 }, target_step = 0.8, tolerance = 1e-11", c);
  const MatrixXd u = credit.post[3];
  MatrixXd r = c.inputs, heard;
  for (std::size_t l = 1; l <= 3; ++l) {
    heard = (c.w(l) * r).colwise() + c.network.biases[l];
    const MatrixXd v = heard + q[l] * u;
    if (l == 3) {
      const MatrixXd target = c.activity.a[3] + 0.8 * c.error;
      CHECK(relative(u, (1 / 0.1 + 0.5) * (target - v)) < 1e-8);
      break;
    }
    CHECK(relative(credit.post[l], (v.array().tanh() - heard.array().tanh()).matrix()) < 1e-8);
    r = v.array().tanh();
    CHECK(relative(credit.pre[l + 1], r) < 1e-8);
  }
}

TEST_CASE("DFC's update tends to φ′ Q (JQ + I/G)⁻¹ δ, off by the order of the target step",
          "[energy]") {
  const Case c({5, 4, 6, 3}, "tanh", 2);
  const Matrices q = transposes(c);
  Matrices limit(4);
  for (std::size_t l = 1; l <= 3; ++l) limit[l] = MatrixXd::Zero(c.w(l).rows(), c.w(l).cols());
  for (Index k = 0; k < 2; ++k) {
    const Matrices j = jacobians(c, k);
    MatrixXd m = MatrixXd::Identity(3, 3) / (1 / 0.1 + 0.5);
    for (std::size_t l = 1; l <= 3; ++l) m += j[l] * q[l];
    const VectorXd u = m.lu().solve(c.error.col(k));
    for (std::size_t l = 1; l <= 3; ++l)
      limit[l] +=
          (q[l] * u).cwiseProduct(c.slope(l).col(k)) * c.activity.h[l - 1].col(k).transpose();
  }
  const auto off = [&](double step) {
    Matrices found = updates("dfc",
                             "leak = 0.1, gains = { p = 0.5, i = 1 }, accuracy = \"rest\", "
                             "target_step = " +
                                 number(step),
                             c);
    for (MatrixXd& m : found) m /= step;
    return distance(found, limit);
  };
  CHECK(off(0.01) < 0.02);
  CHECK(order(off, 0.02) == Approx(1).margin(0.1));
}

TEST_CASE("DFC with Q = Jᵀ makes a linear net's damped Gauss–Newton step of its states",
          "[energy]") {
  const Case c({5, 4, 6, 3}, "identity", 1);
  const Matrices j = jacobians(c, 0);
  MatrixXd all(3, 13);
  all << j[1], j[2], j[3];
  const Credit<double> credit = credit_of(
      "dfc", "leak = 0.25, gains = { p = 0, i = 1 }, target_step = 1, accuracy = \"rest\"", c);
  // Jᵀ (J Jᵀ + γ I)⁻¹ δ = (JᵀJ + γ I)⁻¹ Jᵀ δ, γ = 1/G = α
  const MatrixXd step = (all.transpose() * all + 0.25 * MatrixXd::Identity(13, 13))
                            .llt()
                            .solve(all.transpose() * c.error);
  MatrixXd found(13, 1);
  found << credit.post[1], credit.post[2], credit.post[3];
  CHECK(relative(found, step) < 1e-12);
}

TEST_CASE("DFC's poles are those of its linearised equations, of the first example", "[energy]") {
  const Case c({5, 4, 6, 3}, "tanh", 2, 2.0);
  const Matrices q = transposes(c), j = jacobians(c, 0);
  const double alpha = 0.1, k_p = 0.5, k_i = 2, tau = 0.3, tau_u = 1.5;
  // Of v_1, v_2, v_3 and ξ, with u = k_i ξ − k_p v_3.
  MatrixXd m = MatrixXd::Zero(16, 16);
  m.topLeftCorner(13, 13).diagonal().setConstant(-1);
  m.block(4, 0, 6, 4) = c.w(2) * c.slope(1).col(0).asDiagonal();
  m.block(10, 4, 3, 6) = c.w(3) * c.slope(2).col(0).asDiagonal();
  MatrixXd all(13, 3), jq = MatrixXd::Zero(3, 3);
  all << q[1], q[2], q[3];
  for (std::size_t l = 1; l <= 3; ++l) jq += j[l] * q[l];
  m.block(0, 10, 13, 3) -= k_p * all;
  m.block(0, 13, 13, 3) = k_i * all;
  m.topRows(13) /= tau;
  m.block(13, 10, 3, 3) = -MatrixXd::Identity(3, 3) / tau_u;
  m.block(13, 13, 3, 3) = -alpha / tau_u * MatrixXd::Identity(3, 3);
  const auto at_work =
      rule("dfc", "leak = 0.1, gains = { p = 0.5, i = 2 }, tau = 0.3, controller_tau = 1.5", c);
  const auto found = at_work->abscissas(c.lesson());
  REQUIRE(found.exact.size() == 1);
  // Eigenvalues of a matrix that is not symmetric: rounding times their condition.
  CHECK(found.exact[0] == Approx(m.eigenvalues().real().maxCoeff()).epsilon(1e-8));
  CHECK(found.paper[0] ==
        Approx((-k_i * jq).eigenvalues().real().maxCoeff() - alpha).epsilon(1e-8));
  CHECK(relative(at_work->output_feedback()[1], q[1]) < 1e-14);  // products in another order
}

TEST_CASE("DFC's continuous update is the average over the trajectory", "[energy]") {
  // One layer, w = v − a: τ ẇ = −w + ξ, ξ̇ = δ − w − α ξ, whose integrals over [0, T], once at rest by T,
  // give ⟨w⟩ = w* (1 − (1 + α τ)/((1 + α) T)), w* = δ/(1 + α).
  const Case c({4, 3}, "tanh", 2);
  const Credit<double> credit = credit_of(
      "dfc",
      "leak = 0.5, gains = { p = 0, i = 1 }, tau = 0.3, target_step = 1, update = \"continuous\", "
      "duration = 40, samples = 4000, tolerance = 1e-8",
      c);
  const MatrixXd mean = c.error / 1.5 * (1 - (1 + 0.5 * 0.3) / (1.5 * 40));
  // The trapezoidal rule is off by h² ẇ(T)/12T, that is h² δ/(12 · 40 · τ).
  CHECK(relative(credit.post[1], mean) < 1e-6);

  // In a deep net it tends to the update at rest as 1/T.
  const Case deep({5, 4, 6, 3}, "tanh", 2);
  const std::string at_rest = "leak = 0.1, gains = { p = 0.5, i = 1 }, target_step = 0.5";
  const Matrices rest = updates("dfc", at_rest + ", accuracy = \"rest\"", deep);
  const auto off = [&](double inverse) {
    return distance(updates("dfc",
                            at_rest +
                                ", update = \"continuous\", tolerance = 1e-6, samples = 1000, "
                                "duration = " +
                                number(1 / inverse),
                            deep),
                    rest);
  };
  CHECK(order(off, 1.0 / 50) == Approx(1).margin(0.1));
}

TEST_CASE("DFC's Q is any initialisation, and follows the weights where it is to", "[energy]") {
  Case c({5, 4, 6, 3}, "tanh", 2);
  const auto q_of = [](Rule<double>& r) {
    MatrixReader reader;
    r.state(reader);
    CHECK(reader.names == std::vector<std::string>{"Q_1", "Q_2", "Q_3"});
    return reader.found;
  };
  const auto fixed = rule("dfc", "", c), follows = rule("dfc", "feedback_updates = \"follow\"", c),
             random = rule("dfc",
                           "feedback = [{ init = \"normal\", std = 0.1 }, { init = "
                           "\"transpose\", of = [\"W_3\"] }]",
                           c);
  const Matrices before = q_of(*fixed);
  CHECK(relative(before[0], transposes(c)[1]) < 1e-15);
  CHECK(q_of(*random)[1] == c.w(3).transpose());
  CHECK(q_of(*random)[0].norm() < 1);
  c.network.weights[3] *= 2;
  for (const auto& r : {fixed.get(), follows.get(), random.get()}) r->learn(c.lesson(), {}, 0.1);
  CHECK(q_of(*fixed)[0] == before[0]);
  CHECK(relative(q_of(*follows)[0], transposes(c)[1]) < 1e-15);
  CHECK_THROWS_WITH(
      rule("dfc",
           "feedback = [{ init = \"normal\" }, { init = \"normal\" }, { init = \"normal\" }]", c),
      Contains("f.toml:1:") && Contains("one for each hidden layer"));
}

TEST_CASE("DFC's learned Q comes to Jᵀ (J Jᵀ + γ I)⁻¹", "[energy]") {
  const Case c({5, 4, 6, 3}, "identity", 64);
  const auto r = rule("dfc",
                      "feedback_updates = \"learned\", noise = { samples = 20, rate = 0.1, decay = "
                      "0.5 }, feedback = { init = \"normal\", std = 0.1 }",
                      c);
  for (std::uint64_t step = 0; step < 50; ++step)
    r->learn({c.network, c.activity, c.targets, c.error, c.loss, 64 * step}, {}, 0.1);
  MatrixReader last;
  r->state(last);
  const Matrices j = jacobians(c, 0);
  MatrixXd all(3, 13), q(13, 3);
  all << j[1], j[2], j[3];
  q << last.found[0], last.found[1], last.found[2];
  const MatrixXd limit =
      all.transpose() * (all * all.transpose() + 0.5 * MatrixXd::Identity(3, 3)).inverse();
  // 1280 draws a step, averaged over about 1/(rate · 1.5) = 7 steps: noise of 1/√9000 ≈ 1 % in each of 39
  // entries, against ‖Q‖ of about 1.
  CHECK(relative(q, limit) < 0.1);
}

}  // namespace
}  // namespace settle::learning
