#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/learning/energy_case.hpp"

namespace settle::learning {
namespace {

using namespace energy;
using Catch::Contains;
using test::relative;

// --- Equilibrium propagation ---------------------------------------------------------------------

// The free state of rest of the Hopfield energy, by plain iteration.
Matrices free_state(const Case& c) {
  Matrices s = c.activity.a;
  const auto rho = [&](std::size_t l) -> MatrixXd {
    if (l == 0) return c.inputs;
    if (l == c.depth()) return s[l];
    return s[l].array().tanh();
  };
  for (int sweep = 0; sweep < 2000; ++sweep)
    for (std::size_t l = 1; l <= c.depth(); ++l) {
      MatrixXd heard = (c.w(l) * rho(l - 1)).colwise() + c.network.biases[l];
      if (l < c.depth()) {
        heard += c.w(l + 1).transpose() * rho(l + 1);
        heard.array() *= 1 - rho(l).array().square();
      }
      s[l] = heard;
    }
  return s;
}

TEST_CASE("EP is the gradient of the free state's cost, off by O(β), symmetric by O(β²)",
          "[energy]") {
  Case c({4, 5, 3, 2}, "tanh", 2, 0.5);
  // −∂C/∂W by central differences of the cost at the free state.
  Matrices gradient(c.depth() + 1);
  const auto cost = [&] { return 0.5 * (free_state(c).back() - c.targets).squaredNorm(); };
  for (std::size_t l = 1; l <= c.depth(); ++l) {
    gradient[l].resizeLike(c.w(l));
    for (Index k = 0; k < c.w(l).size(); ++k) {
      double& w = c.network.weights[l].data()[k];
      const double at = w, h = 1e-5;
      w = at + h;
      const double up = cost();
      w = at - h;
      gradient[l].data()[k] = (cost() - up) / (2 * h);
      w = at;
    }
  }
  for (const bool symmetric : {false, true}) {
    const auto off = [&](double beta) {
      return distance(
          updates("equilibrium_propagation",
                  "tolerance = 1e-11, symmetric = " + std::string(symmetric ? "true" : "false") +
                      ", beta = " + number(beta),
                  c),
          gradient);
    };
    INFO("symmetric " << symmetric);
    CHECK(order(off, 0.05) == Approx(symmetric ? 2 : 1).margin(0.1));
    CHECK(off(0.025) < (symmetric ? 2e-3 : 5e-2));
  }
}

TEST_CASE("EP by rates is backpropagation as feedback and nudging become weak", "[energy]") {
  const Case c({4, 5, 3, 2}, "tanh", 3);
  const Matrices expected = bp(c);
  // By Newton's method, whose rounding of 1e-16 is divided by β γ², here 1e-7 at least.
  const std::string common = "energy = \"rate\", accuracy = \"rest\"";
  for (const bool symmetric : {false, true}) {
    const auto off = [&](double beta) {
      return distance(
          updates("equilibrium_propagation",
                  common + ", feedback_gain = 1e-4, symmetric = " +
                      std::string(symmetric ? "true" : "false") + ", beta = " + number(beta),
                  c),
          expected);
    };
    INFO("symmetric " << symmetric);
    CHECK(order(off, symmetric ? 0.2 : 0.1) == Approx(symmetric ? 2 : 1).margin(0.1));
  }
  const auto off = [&](double gain) {
    return distance(
        updates("equilibrium_propagation",
                common + ", symmetric = true, beta = 1e-3, feedback_gain = " + number(gain), c),
        expected);
  };
  CHECK(order(off, 0.04) == Approx(1).margin(0.1));
}

TEST_CASE("EP of softmax and logistic outputs tends to backpropagation too", "[energy]") {
  using Output = Network<double>::Output;
  for (const Output output : {Output::softmax, Output::logistic}) {
    const Case c({4, 5, 3}, "tanh", 3, 0.7, output);
    const Matrices found = updates("equilibrium_propagation",
                                   "energy = \"rate\", accuracy = \"rest\", symmetric = true, beta "
                                   "= 1e-2, feedback_gain = 1e-5",
                                   c);
    CHECK(distance(found, bp(c)) < 1e-4);  // β² and γ
  }
}

TEST_CASE("EP of a linear net rests where dense equations say", "[energy]") {
  const Case c({4, 5, 3, 2}, "identity", 3);
  const double beta = 0.3;
  // s_l − W_l s_{l−1} − W_{l+1}ᵀ s_{l+1} = b_l, with (1 + β) s_L and β t at the output.
  const auto rest = [&](double b) {
    MatrixXd m = MatrixXd::Identity(10, 10), right(10, 3);
    m.block(5, 0, 3, 5) = -c.w(2);
    m.block(0, 5, 5, 3) = -c.w(2).transpose();
    m.block(8, 5, 2, 3) = -c.w(3);
    m.block(5, 8, 3, 2) = -c.w(3).transpose();
    m.bottomRightCorner(2, 2) *= 1 + b;
    right << c.w(1) * c.inputs, MatrixXd::Zero(5, 3);
    right.colwise() +=
        (VectorXd(10) << c.network.biases[1], c.network.biases[2], c.network.biases[3]).finished();
    right.bottomRows(2) += b * c.targets;
    return MatrixXd(m.lu().solve(right));
  };
  const MatrixXd free = rest(0), nudged = rest(beta);
  const Credit<double> credit =
      credit_of("equilibrium_propagation", "beta = 0.3, tolerance = 1e-12", c);
  CHECK(relative(credit.pre[3].leftCols(3), nudged.middleRows(5, 3)) < 1e-10);
  CHECK(relative(credit.pre[3].rightCols(3), free.middleRows(5, 3)) < 1e-10);
  CHECK(relative(credit.post[3].leftCols(3), nudged.bottomRows(2) / beta) < 1e-10);
  CHECK(relative(credit.post[3].rightCols(3), -free.bottomRows(2) / beta) < 1e-10);
  CHECK(relative(credit.post[1], (nudged - free).topRows(5) / beta) < 1e-9);
}

// --- Predictive coding ---------------------------------------------------------------------------

TEST_CASE("predictive coding backpropagates what is left of small output errors", "[energy]") {
  using Output = Network<double>::Output;
  for (const Output output : {Output::linear, Output::softmax, Output::logistic}) {
    const Case c({4, 5, 6, 3}, "tanh", 3, 0.9, output);
    Case left = c;
    for (Index k = 0; k < 3; ++k) {
      const Matrices j = jacobians(c, k);
      const MatrixXd m =
          MatrixXd::Identity(3, 3) + j[1] * j[1].transpose() + j[2] * j[2].transpose();
      left.error.col(k) = m.llt().solve(c.error.col(k));
    }
    const auto off = [&](double step) {
      return distance(
          updates("predictive_coding", "accuracy = \"rest\", target_step = " + number(step), c),
          bp(left));
    };
    CHECK(order(off, 0.01) == Approx(1).margin(0.1));
    CHECK(off(0.01) < 0.02);
  }
}

TEST_CASE("predictive coding is backpropagation for an output of little precision", "[energy]") {
  const Case c({4, 5, 6, 3}, "tanh", 3, 0.9);
  const auto off = [&](double precision) {
    return distance(updates("predictive_coding",
                            "accuracy = \"rest\", output_precision = " + number(precision), c),
                    bp(c));
  };
  CHECK(order(off, 0.01) == Approx(1).margin(0.1));
  CHECK(off(0.01) < 0.02);
}

TEST_CASE("predictive coding of a linear net rests in the least squares of its errors",
          "[energy]") {
  const Case c({4, 5, 6, 3}, "identity", 3);
  // ε = A v − y of v = (v_1, v_2)
  MatrixXd a = MatrixXd::Zero(14, 11), y(14, 3);
  a.topLeftCorner(11, 11).setIdentity();
  a.block(5, 0, 6, 5) = -c.w(2);
  a.block(11, 5, 3, 6) = -c.w(3);
  y << c.w(1) * c.inputs, MatrixXd::Zero(6, 3), -c.targets;
  y.colwise() +=
      (VectorXd(14) << c.network.biases[1], c.network.biases[2], c.network.biases[3]).finished();
  const MatrixXd v = a.colPivHouseholderQr().solve(y), error = a * v - y;
  for (const char* accuracy : {"dynamics", "rest"}) {
    const Credit<double> credit = credit_of(
        "predictive_coding", "tolerance = 1e-12, accuracy = \"" + std::string(accuracy) + "\"", c);
    CHECK(relative(credit.post[1], error.topRows(5)) < 1e-9);
    CHECK(relative(credit.post[2], error.middleRows(5, 6)) < 1e-9);
    CHECK(relative(credit.post[3], error.bottomRows(3)) < 1e-9);
    CHECK(relative(credit.pre[2], v.topRows(5)) < 1e-9);
    CHECK(relative(credit.pre[3], v.bottomRows(6)) < 1e-9);
  }
}

TEST_CASE("a single layer needs no inference", "[energy]") {
  const Case c({4, 3}, "tanh", 2);
  CHECK(distance(updates("predictive_coding", "", c), bp(c)) == 0);
  // s_L = a_L + β (t − s_L) is a_L + β δ/(1 + β)
  Matrices ep = updates("equilibrium_propagation", "beta = 0.5, tolerance = 1e-11", c);
  ep[1] *= 1.5;
  CHECK(distance(ep, bp(c)) < 1e-9);
}

// --- What all have in common ---------------------------------------------------------------------

const std::vector<std::string> names = {"dfc", "equilibrium_propagation", "predictive_coding"};

TEST_CASE("integrating and Newton's method find the same updates", "[energy]") {
  const Case c({4, 5, 6, 3}, "tanh", 5, 0.5);
  for (const std::string& name : names) {
    INFO(name);
    CHECK(distance(updates(name, "tolerance = 1e-10", c), updates(name, "accuracy = \"rest\"", c)) <
          1e-6);
  }
}

TEST_CASE("examples that do not settle are counted, and skipped or used", "[energy]") {
  Case c({4, 5, 6, 3}, "tanh", 4);
  // Two of them have nothing to learn, and are at rest from the start on.
  c.targets.leftCols(2) = c.activity.output().leftCols(2);
  c.update();
  for (const char* name : {"dfc", "predictive_coding"}) {
    INFO(name);
    // Longer than what is called at rest, shorter than what the others take.
    const std::string brief = "duration = 6, tolerance = 1e-9";
    const auto skips = rule(name, brief + ", unsettled = \"skip\"", c), uses = rule(name, brief, c);
    Credit<double> skipped, used;
    skips->assign(c.lesson(), skipped);
    uses->assign(c.lesson(), used);
    for (std::size_t l = 1; l <= 3; ++l) {
      CHECK(skipped.post[l].leftCols(2).norm() < 1e-9);
      CHECK(skipped.post[l].rightCols(2).norm() == 0);
      CHECK(used.post[l].leftCols(2).norm() < 1e-9);
      CHECK(used.post[l].col(2).norm() > 1e-4);
      CHECK(used.post[l].col(3).norm() > 1e-4);
    }
    for (const auto& r : {skips.get(), uses.get()}) {
      const Settling tally = r->take_settling();
      CHECK(tally.examples == 4);
      CHECK(tally.unsettled == 2);
      CHECK_THAT(tally.first_failure, Contains("example 42, "));
      CHECK(tally.evaluations > 0);
      CHECK(tally.multiplications > tally.evaluations);
      CHECK(r->take_settling().examples == 0);
    }
  }
  const auto ep =
      rule("equilibrium_propagation", "duration = 5.5, tolerance = 1e-9, unsettled = \"skip\"", c);
  Credit<double> credit;
  ep->assign(c.lesson(), credit);
  for (std::size_t l = 1; l <= 3; ++l) CHECK(credit.post[l].norm() == 0);
  const Settling tally = ep->take_settling();
  CHECK(tally.examples == 4);
  CHECK(tally.unsettled == 4);
  CHECK_THAT(tally.first_failure, Contains("example 40, free phase: "));
}

TEST_CASE("a loop that runs away is no credit, even where it is to be used", "[energy]") {
  const Case c({4, 5, 3}, "identity", 2);
  const auto r = rule("dfc", "gains = { p = 0, i = -1 }, unsettled = \"use\"", c);
  Credit<double> credit;
  r->assign(c.lesson(), credit);
  for (std::size_t l = 1; l <= 2; ++l) CHECK(credit.post[l].norm() == 0);
  CHECK(r->take_settling().unsettled == 2);
}

TEST_CASE("settled examples add up their times", "[energy]") {
  const Case c({4, 5, 3}, "tanh", 3);
  for (const std::string& name : names) {
    const auto r = rule(name, "", c);
    Credit<double> credit;
    r->assign(c.lesson(), credit);
    const Settling tally = r->take_settling();
    INFO(name);
    CHECK(tally.unsettled == 0);
    CHECK(tally.first_failure.empty());
    CHECK(tally.time > 3);
    CHECK(tally.time < 3 * 1000);
  }
}

TEST_CASE("energy rules learn what a linear teacher does", "[energy]") {
  const MatrixXd teacher = uniform(3, 4, "teacher", 0.5);
  const std::vector<std::pair<std::string, std::string>> all = {
      {"dfc", "target_step = 1, accuracy = \"rest\""},
      {"equilibrium_propagation", "accuracy = \"rest\", symmetric = true, feedback_gain = 1e-3"},
      {"predictive_coding", "accuracy = \"rest\""}};
  for (const auto& [name, options] : all) {
    INFO(name);
    Case c({4, 5, 3}, "identity", 8);
    c.targets = teacher * c.inputs;
    c.update();
    const double before = c.error.norm();
    const auto r = rule(name, options, c);
    for (int step = 0; step < 1500; ++step) {
      Credit<double> credit;
      r->assign(c.lesson(), credit);
      const Matrices moves = updates(credit, c);
      for (std::size_t l = 1; l <= 2; ++l) {
        c.network.weights[l] += 0.1 * moves[l];
        c.network.biases[l] += 0.1 * credit.post[l].rowwise().sum();
      }
      c.update();
    }
    // EP teaches its free state, which with feedback is off from the forward pass by O(γ).
    CHECK(c.error.norm() < (name == "equilibrium_propagation" ? 1e-2 : 1e-4) * before);
  }
}

TEST_CASE("energy rules give the same bits again, with any number of threads", "[energy]") {
  const Case c({4, 9, 3}, "tanh", 150, 0.5);
  for (const std::string& name : names) {
    for (const char* more : {"accuracy = \"dynamics\"", "accuracy = \"rest\""}) {
      INFO(name << " " << more);
      std::vector<Credit<double>> runs;
      for (const std::size_t threads : {1, 1, 2, 3}) {
        const test::ThreadLimit limit(threads);
        runs.push_back(credit_of(name, more, c));
      }
      for (const Credit<double>& run : runs)
        for (std::size_t l = 1; l <= 2; ++l) {
          CHECK(run.post[l] == runs[0].post[l]);
          CHECK(run.pre[l] == runs[0].pre[l]);
        }
    }
  }
}

TEST_CASE("an example's credit does not depend on those beside it", "[energy]") {
  const Case all({4, 9, 3}, "tanh", 20, 0.5), some = all.of(3, 5);
  for (const std::string& name : names) {
    INFO(name);
    const Credit<double> wide = credit_of(name, "tolerance = 1e-8", all),
                         narrow = credit_of(name, "tolerance = 1e-8", some);
    for (std::size_t l = 1; l <= 2; ++l)
      for (Index copy = 0; copy < narrow.post[l].cols() / 5; ++copy)
        // The same steps, but for rounding of products of another width, over β for EP.
        CHECK((wide.post[l].middleCols(20 * copy + 3, 5) - narrow.post[l].middleCols(5 * copy, 5))
                  .norm() < 1e-12);
  }
}

TEST_CASE("what energy rules can't do is said at its place", "[energy]") {
  Case c({4, 5, 3}, "tanh", 1);
  CHECK_THROWS_WITH(rule("dfc", "gains = { p = 0, i = 0 }", c),
                    Contains("f.toml:1:") && Contains("p or i other than 0"));
  CHECK_THROWS_WITH(rule("dfc", "update = \"continuous\", accuracy = \"rest\"", c),
                    Contains("f.toml:1:") && Contains("accuracy = \"dynamics\""));
  CHECK_THROWS_WITH(kind("equilibrium_propagation", "beta = 0"), Contains("a number > 0"));
  CHECK_THROWS_WITH(kind("predictive_coding", "betta = 0"), Contains("betta"));
  CHECK_THROWS_WITH(kind("dfc", "")->make(c.network.cast<float>(), RuleContext{}),
                    Contains("float64"));
  c.network.normalisations.resize(3);
  for (const std::string& name : names)
    CHECK_THROWS_WITH(rule(name, "", c), Contains("batch normalisation"));
}

}  // namespace
}  // namespace settle::learning
