#include <Eigen/Dense>
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>

#include "learning/energy_rules.hpp"
#include "sim/core/random.hpp"
#include "sim/io/toml.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using Catch::Contains;
using test::relative;
using Matrices = std::vector<MatrixXd>;

MatrixXd uniform(Index rows, Index cols, const std::string& name, double scale) {
  const core::RandomStream stream(7, name);
  MatrixXd m(rows, cols);
  for (Index k = 0; k < m.size(); ++k)
    m.data()[k] = scale * (2 * stream.uniform(static_cast<std::uint64_t>(k)) - 1);
  return m;
}

// A network with random weights of spectral norm below about `scale`, and a batch for it.
struct Case {
  Case(std::vector<Index> sizes, const std::string& transfer, Index batch, double scale = 0.7,
       Network<double>::Output output = Network<double>::Output::linear) {
    const std::size_t depth = sizes.size() - 1;
    network.weights.resize(depth + 1);
    network.biases.resize(depth + 1);
    network.transfers.resize(depth + 1);
    network.kind = output;
    for (std::size_t l = 1; l <= depth; ++l) {
      const std::string number = std::to_string(l);
      MatrixXd w = uniform(sizes[l], sizes[l - 1], "W_" + number, 1);
      network.weights[l] = scale * w / w.jacobiSvd().singularValues()(0);
      network.biases[l] = uniform(sizes[l], 1, "b_" + number, 0.3);
      if (l < depth) network.transfers[l] = core::transfer(transfer);
    }
    inputs = uniform(sizes[0], batch, "x", 1);
    targets = uniform(sizes[depth], batch, "t", 1);
    if (output != Network<double>::Output::linear) {
      loss = Loss::cross_entropy;
      targets = (targets.array() + 1) / 2;
      if (output == Network<double>::Output::softmax)
        for (Index c = 0; c < batch; ++c) targets.col(c) /= targets.col(c).sum();
    }
    update();
  }

  void update() {
    network.forward(inputs, activity);
    output_error<double>(loss, network.kind, activity.output(), targets, error);
  }
  Lesson<double> lesson() const { return {network, activity, targets, error, loss, 40}; }
  std::size_t depth() const { return network.weights.size() - 1; }
  const MatrixXd& w(std::size_t l) const { return network.weights[l]; }
  MatrixXd slope(std::size_t l) const {  // 1 at the output
    return l < depth() ? activity.slope[l] : MatrixXd::Ones(w(l).rows(), inputs.cols());
  }
  // The case of some of its examples.
  Case of(Index first, Index count) const {
    Case out = *this;
    out.inputs = inputs.middleCols(first, count);
    out.targets = targets.middleCols(first, count);
    out.update();
    return out;
  }

  Network<double> network;
  MatrixXd inputs, targets, error;
  Loss loss = Loss::squared_error;
  Activity<double> activity;
};

std::unique_ptr<RuleKind> kind(const std::string& name, const std::string& toml) {
  const auto entries = energy_rules();
  const auto entry =
      std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.name == name; });
  auto out = entry->make();
  const core::Value table = *io::parse_toml("rule = { " + toml + " }", "f.toml").find("rule");
  core::Reader reader(table, "rule");
  out->place = {table, "rule"};
  out->fields(reader);
  reader.finish();
  return out;
}

std::unique_ptr<Rule<double>> rule(const std::string& name, const std::string& toml,
                                   const Case& c) {
  return kind(name, toml)->make(c.network, RuleContext{});
}

Credit<double> credit_of(const std::string& name, const std::string& toml, const Case& c) {
  Credit<double> credit;
  rule(name, toml, c)->assign(c.lesson(), credit);
  return credit;
}

// What W_l moves along, l = 1 … L.
Matrices updates(const Credit<double>& credit, const Case& c) {
  Matrices out(c.depth() + 1);
  for (std::size_t l = 1; l <= c.depth(); ++l)
    out[l] = credit.post[l] * credit.pre_of(static_cast<Index>(l), c.activity).transpose();
  return out;
}
Matrices updates(const std::string& name, const std::string& toml, const Case& c) {
  return updates(credit_of(name, toml, c), c);
}

// Backpropagation's.
Matrices bp(const Case& c) {
  Matrices out(c.depth() + 1);
  MatrixXd delta = c.error;
  for (std::size_t l = c.depth(); l >= 1; --l) {
    out[l] = delta * c.activity.h[l - 1].transpose();
    if (l > 1) delta = (c.w(l).transpose() * delta).cwiseProduct(c.activity.slope[l - 1]);
  }
  return out;
}

// ‖found − expected‖/‖expected‖ of all layers as one.
double distance(const Matrices& found, const Matrices& expected) {
  double difference = 0, size = 0;
  for (std::size_t l = 1; l < expected.size(); ++l) {
    difference += (found[l] - expected[l]).squaredNorm();
    size += expected[l].squaredNorm();
  }
  return std::sqrt(difference / size);
}

// The order with which something falls as its argument is halved.
double order(const std::function<double(double)>& of, double from) {
  return std::log2(of(from) / of(from / 2));
}

// J_l = ∂a_L/∂a_l of example k, at index l.
Matrices jacobians(const Case& c, Index k) {
  Matrices j(c.depth() + 1);
  j[c.depth()] = MatrixXd::Identity(c.w(c.depth()).rows(), c.w(c.depth()).rows());
  for (std::size_t l = c.depth() - 1; l >= 1; --l)
    j[l] = j[l + 1] * c.w(l + 1) * c.activity.slope[l].col(k).asDiagonal();
  return j;
}

// W_{l+1}ᵀ … W_Lᵀ, and I at L.
Matrices transposes(const Case& c) {
  Matrices q(c.depth() + 1);
  q[c.depth()] = MatrixXd::Identity(c.w(c.depth()).rows(), c.w(c.depth()).rows());
  for (std::size_t l = c.depth() - 1; l >= 1; --l) q[l] = c.w(l + 1).transpose() * q[l + 1];
  return q;
}

std::string number(double x) { return core::number_text(x); }

// The matrices that a rule keeps.
class MatrixReader final : public StateVisitor {
 public:
  void matrix(const std::string& name, MatrixXd& m) override {
    names.push_back(name);
    found.push_back(m);
  }
  void matrix(const std::string&, Eigen::MatrixXf&) override {}
  void integer(const std::string&, std::int64_t&) override {}
  void number(const std::string&, double&) override {}
  std::vector<std::string> names;
  Matrices found;
};

// --- Deep feedback control -----------------------------------------------------------------------

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
