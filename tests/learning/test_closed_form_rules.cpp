#include <catch2/catch.hpp>
#include <cmath>

#include "learning/closed_form_rules.hpp"
#include "learning/compare.hpp"
#include "models/stabilise.hpp"
#include "sim/core/linalg.hpp"
#include "tests/learning/exercise.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using Catch::Contains;
using test::error_of;
using test::exercise;
using test::Exercise;
using test::relative;
using test::toml_table;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

std::unique_ptr<Rule<double>> rule(const std::string& toml, const Network<double>& network,
                                   const RuleContext& context = {}) {
  return read_rule(toml_table(toml), "rule")->make(network, context);
}

Credit<double> credit_of(Rule<double>& rule, const Exercise<double>& at_work) {
  Credit<double> out;
  rule.assign(at_work.lesson(), out);
  return out;
}
Credit<double> credit_of(const std::string& toml, const Exercise<double>& at_work) {
  return credit_of(*rule(toml, at_work.network), at_work);
}

// One step of plain gradient descent with decay, and the rule's own learning.
void step(Rule<double>& rule, Exercise<double>& at_work, double rate, double decay) {
  const Credit<double> credit = credit_of(rule, at_work);
  const Direction<double> move = update_direction(at_work.lesson(), credit);
  for (std::size_t l = 1; l < at_work.network.weights.size(); ++l)
    at_work.network.weights[l] = (1 - decay) * at_work.network.weights[l] + rate * move.weights[l];
  rule.learn(at_work.lesson(), credit, rate);
  at_work.go_forward();
}

// δ of every layer by sums over units, from δ_{l−1,i} = φ′_i Σ_j m(l, i, j) δ_{l,j}.
template <class M>
std::vector<MatrixXd> by_loops(const Exercise<double>& at_work, const M& m) {
  const Index depth = at_work.network.depth();
  std::vector<MatrixXd> delta(at(depth) + 1);
  delta[at(depth)] = at_work.error;
  for (Index l = depth; l >= 2; --l) {
    MatrixXd below(at_work.network.size(l - 1), at_work.error.cols());
    for (Index c = 0; c < below.cols(); ++c)
      for (Index i = 0; i < below.rows(); ++i) {
        double sum = 0;
        for (Index j = 0; j < delta[at(l)].rows(); ++j) sum += m(l, i, j) * delta[at(l)](j, c);
        double slope = 0;
        at_work.network.transfers[at(l - 1)]->slope(&at_work.activity.a[at(l - 1)](i, c), &slope,
                                                    1);
        below(i, c) = slope * sum;
      }
    delta[at(l - 1)] = below;
  }
  return delta;
}

void check_deltas(const Credit<double>& credit, const std::vector<MatrixXd>& expected,
                  double tolerance) {
  for (std::size_t l = 1; l < expected.size(); ++l) {
    INFO("layer " << l);
    CHECK(relative(credit.post[l], expected[l]) < tolerance);
  }
}

const std::string deep =
    "layers = [5, 6, 4, 3], weights = { init = 'normal', std = 0.5 }, "
    "biases = { init = 'normal', std = 0.3 }";

// Sums of a few numbers, in another order.
constexpr double rounding = 1e-13;

}  // namespace

// ---- The family ----

TEST_CASE("every rule's parameters are written as they were read", "[rules]") {
  for (const auto& entry : rules().entries()) {
    INFO(entry.name);
    CHECK_FALSE(entry.summary.empty());
    const std::string toml = "kind = '" + entry.name + "'";
    const auto first = read_rule(toml_table(toml), "rule");
    CHECK(first->kind == entry.name);
    const core::Value written = write_rule(first);
    CHECK(write_rule(read_rule(written, "rule")) == written);
    core::Documenter documenter;
    entry.make()->fields(documenter);
    for (const core::ParameterDoc& doc : documenter.result) CHECK_FALSE(doc.doc.empty());

    const RuleSpec plain = read_rule_spec(toml_table(toml), "rule[0]");
    CHECK(plain.name == entry.name);
    CHECK(plain.scaling == "free");
    CHECK_FALSE(plain.learning_rate);
    const RuleSpec full = read_rule_spec(
        toml_table("name = 'a, α = .1', scaling = 'unit', learning_rate = 0.5, decay = 0.1, "
                   "clip = 2.0, " +
                   toml),
        "rule[0]");
    const core::Value all = write_rule_spec(full);
    CHECK(write_rule_spec(read_rule_spec(all, "rule[0]")) == all);
    CHECK(all.find("name")->text() == "a, α = .1");
    CHECK(all.find("kind")->text() == entry.name);
    CHECK(all.find("decay")->number() == 0.1);
  }
  CHECK(core::document(RuleSpec{}).size() == 9);
  const std::string ndi =
      "kind = 'ndi', leak = 0.0, gains = { p = 0.5, i = 2.0 }, feedback = [{ init = 'ssa' }, { "
      "init "
      "= 'normal' }], feedback_updates = 'kolen_pollack', feedback_decay = 0.1, inverse_gain = "
      "'gauss_newton', damping = 1.0, output_update = 'control'";
  const core::Value written = write_rule(read_rule(toml_table(ndi), "rule"));
  CHECK(write_rule(read_rule(written, "rule")) == written);
  CHECK(written.find("gains")->find("i")->number() == 2);
}

TEST_CASE("a wrong rule is an error that says where and what would do", "[rules]") {
  const auto error = [](const std::string& toml) {
    return error_of([&] { read_rule_spec(toml_table(toml), "rule[1]"); });
  };
  CHECK_THAT(error("kind = 'npp'"), Contains("f.toml:1:14: rule[1].kind") && Contains("pbp"));
  CHECK_THAT(error("name = 'x'"), Contains("\"kind\" is missing") && Contains("sign_symmetric"));
  CHECK_THAT(error("kind = 'fa', feedbak = 1.0"), Contains("did you mean \"feedback\""));
  CHECK_THAT(error("kind = 'fa', name = ''"), Contains("rule[1].name"));
  CHECK_THAT(error("kind = 'bp', scaling = 'matchd'"), Contains("did you mean \"matched\""));
  CHECK_THAT(error("kind = 'bp', learning_rate = 0.0"), Contains("rule[1].learning_rate"));
  CHECK_THAT(error("kind = 'bp', leak = 0.1"), Contains("unknown key"));
  CHECK_THAT(error("kind = 'ndi', leak = -0.1"), Contains("rule[1].leak"));
  CHECK_THAT(error("kind = 'ndi', gains = { i = 0.0 }"),
             Contains("gains.i or gains.p other than 0"));
  CHECK_THAT(error("kind = 'weight_mirror', noise_decay = 1.0"), Contains("noise_decay"));
  CHECK_THAT(error("kind = 'target_propagation', first_target = 'last'"), Contains("penultimate"));

  const auto made = [](const std::string& toml, const std::string& network) {
    const Network<double> net = exercise(network, 1).network;
    return error_of([&] { rule(toml, net); });
  };
  CHECK_THAT(made("kind = 'fa', feedback = [{ init = 'normal' }]", deep), Contains("no error"));
  CHECK_THAT(made("kind = 'fa', feedback = [{ init = 'normal' }, { init = 'uniform' }, { init = "
                  "'normal' }]",
                  deep),
             Contains("rule.feedback") && Contains("a list of 3"));
  CHECK_THAT(made("kind = 'fa', feedback = { init = 'transpose', of = 'W_4' }", deep),
             Contains("W_4") && Contains("W_3"));
  CHECK_THAT(made("kind = 'fa', feedback = { init = 'transpose', of = 'W_1' }", deep),
             Contains("rule.feedback"));
  CHECK_THAT(made("kind = 'ndi', leak = 0.0, output_update = 'control'", "layers = [3, 2, 4]"),
             Contains("rule.output_update"));
  CHECK_THAT(made("kind = 'ndi', output_update = 'control'", "layers = [3, 2]"),
             Contains("without hidden layer"));
}

TEST_CASE("a rule of a network without hidden layer hands the error to the only layer", "[rules]") {
  Exercise<double> at_work = exercise("layers = [3, 2]", 4);
  for (const auto& entry : closed_form_rules()) {
    INFO(entry.name);
    const auto made = rule("kind = '" + entry.name + "'", at_work.network);
    const Credit<double> credit = credit_of(*made, at_work);
    made->learn(at_work.lesson(), credit, 0.1);
    CHECK(credit.post[1] == at_work.error);
  }
}

TEST_CASE("a rule goes on from its state to the same bits", "[rules]") {
  for (const auto& entry : rules().entries()) {
    INFO(entry.name);
    const std::string toml = "kind = '" + entry.name + "'";
    Exercise<double> at_work = exercise(deep, 3);
    const auto first = rule(toml, at_work.network);
    const auto second = rule(toml, at_work.network);  // made of the same network, as resuming does
    for (int k = 0; k < 3; ++k) step(*first, at_work, 0.01, 0.001);
    test::Keeper keeper;
    first->state(keeper);
    keeper.give_back();
    second->state(keeper);
    Exercise<double> again = at_work;
    for (int k = 0; k < 2; ++k) {
      step(*first, at_work, 0.01, 0.001);
      step(*second, again, 0.01, 0.001);
    }
    for (std::size_t l = 1; l < at_work.network.weights.size(); ++l)
      CHECK(at_work.network.weights[l] == again.network.weights[l]);
  }
}

TEST_CASE("in float32 a rule gives the credit that it gives in float64", "[rules]") {
  const Exercise<double> wide = exercise(deep, 8);
  const Exercise<float> narrow = wide.cast<float>();
  for (const auto& entry : closed_form_rules()) {
    INFO(entry.name);
    const auto kind = read_rule(toml_table("kind = '" + entry.name + "'"), "rule");
    const auto in_wide = kind->make(wide.network, {});
    const auto in_narrow = kind->make(narrow.network, {});
    Credit<double> expected;
    Credit<float> found;
    for (int k = 0; k < 2; ++k) {
      in_wide->assign(wide.lesson(), expected);
      in_narrow->assign(narrow.lesson(), found);
      in_wide->learn(wide.lesson(), expected, 0.01);
      in_narrow->learn(narrow.lesson(), found, 0.01f);
    }
    // Rounding of 6e-8, times the condition of two inversions (some 10 each), over target
    // propagation's step of 0.1.
    for (std::size_t l = 1; l < expected.post.size(); ++l)
      CHECK(relative(found.post[l].cast<double>(), expected.post[l]) < 1e-4);
  }
}

// ---- Backpropagation ----

TEST_CASE("backpropagation is minus the gradient of the loss", "[rules]") {
  struct Kind {
    const char* output;
    Loss loss;
  };
  const Kind kinds[] = {{"linear", Loss::squared_error},
                        {"softmax", Loss::squared_error},
                        {"logistic", Loss::squared_error},
                        {"softmax", Loss::cross_entropy},
                        {"logistic", Loss::cross_entropy}};
  for (const auto& transfer : core::transfer_functions().entries())
    for (const Kind& kind : kinds)
      for (const bool bias : {false, true})
        for (const bool normalised : {false, true}) {
          INFO(transfer.name << ", " << kind.output << ", bias " << bias << ", normalised "
                             << normalised);
          Exercise<double> at_work = exercise(
              "layers = [3, 5, 4, 3], transfer = '" + transfer.name + "', output = '" +
                  kind.output + "', bias = " + (bias ? "true" : "false") +
                  ", weights = { init = 'normal', std = 0.6 }, biases = { init = 'normal', std = "
                  "0.3 }, batch_normalisation = " +
                  (normalised ? "true" : "false"),
              7, kind.loss);
          if (normalised)
            for (Index l = 1; l <= 2; ++l) {
              at_work.network.normalisations[at(l)].scale.setLinSpaced(0.7, 1.6);
              at_work.network.normalisations[at(l)].shift.setLinSpaced(-0.2, 0.4);
            }
          at_work.go_forward();
          const Direction<double> found =
              update_direction(at_work.lesson(), credit_of("kind = 'bp'", at_work));
          // Central differences of 1e-5: 1e-10 of truncation, and 1e-16/1e-5 of rounding a unit of
          // loss; a transfer with a kink has one within 1e-5 for none of these examples.
          constexpr double h = 1e-5, tolerance = 1e-7;
          const auto difference = [&](double& parameter) {
            const double old = parameter;
            parameter = old + h;
            at_work.go_forward();
            const double above = at_work.total_loss();
            parameter = old - h;
            at_work.go_forward();
            const double below = at_work.total_loss();
            parameter = old;
            return -(above - below) / (2 * h);
          };
          for (std::size_t l = 1; l <= 3; ++l) {
            MatrixXd expected = found.weights[l];
            for (Index k = 0; k < expected.size(); ++k)
              expected.data()[k] = difference(at_work.network.weights[l].data()[k]);
            CHECK((expected - found.weights[l]).norm() < tolerance * (1 + expected.norm()));
            VectorXd shift = found.biases[l];
            for (Index k = 0; k < shift.size(); ++k)
              shift[k] = difference(at_work.network.biases[l][k]);
            CHECK((shift - found.biases[l]).norm() < tolerance * (1 + shift.norm()));
          }
        }
}

// ---- Feedback of its own ----

TEST_CASE("feedback alignment and its kin are sums over units, with φ' once", "[rules]") {
  const Exercise<double> at_work = exercise(deep, 5);
  const Network<double>& net = at_work.network;
  SECTION("fa") {
    const auto fa = rule("kind = 'fa'", net);
    const auto b = fa->feedback(net);
    CHECK(b[2].minCoeff() < -0.3);
    CHECK(b[2].maxCoeff() > 0.3);
    CHECK(b[3].rows() == 4);
    check_deltas(credit_of(*fa, at_work),
                 by_loops(at_work, [&](Index l, Index i, Index j) { return b[at(l)](i, j); }),
                 rounding);
  }
  SECTION("fa with the transpose is backpropagation") {
    const Credit<double> bp = credit_of("kind = 'bp'", at_work);
    check_deltas(credit_of("kind = 'fa', feedback = { init = 'transpose' }", at_work), bp.post,
                 rounding);
  }
  SECTION("dfa") {
    // Of the transposed product W_3 W_2, W_3: backpropagation, if there were no φ′ between.
    const std::vector<MatrixXd> b = {
        {}, (net.w(3) * net.w(2)).transpose(), net.w(3).transpose(), {}};
    const Credit<double> credit =
        credit_of("kind = 'dfa', feedback = { init = 'transpose' }", at_work);
    CHECK(credit.post[3] == at_work.error);
    for (Index l = 1; l <= 2; ++l)
      for (Index c = 0; c < 5; ++c)
        for (Index i = 0; i < net.size(l); ++i) {
          double sum = 0;
          for (Index j = 0; j < 3; ++j) sum += b[at(l)](i, j) * at_work.error(j, c);
          const double phi = std::tanh(at_work.activity.a[at(l)](i, c));
          CHECK(credit.post[at(l)](i, c) == Approx((1 - phi * phi) * sum).epsilon(1e-12));
        }
    const auto random =
        rule("kind = 'dfa', feedback = [{ init = 'uniform' }, { init = 'normal' }]", net);
    CHECK(credit_of(*random, at_work).post[1].rows() == 6);
    CHECK(random->feedback(net).empty());
  }
  SECTION("sign_symmetric follows W") {
    Exercise<double> moved = at_work;
    const auto sign = rule("kind = 'sign_symmetric', scale = 0.3", net);
    moved.network.weights[2] = -moved.network.weights[2];
    moved.network.weights[3](1, 1) = 0;
    moved.go_forward();
    const auto expected = by_loops(moved, [&](Index l, Index i, Index j) {
      const double w = moved.network.w(l)(j, i);
      return w > 0 ? 0.3 : w < 0 ? -0.3 : 0.0;
    });
    check_deltas(credit_of(*sign, moved), expected, rounding);
    CHECK(sign->feedback(moved.network)[2](0, 1) == (moved.network.w(2)(1, 0) > 0 ? 0.3 : -0.3));
  }
  SECTION("feedback that follows the transpose stays backpropagation") {
    Exercise<double> moved = at_work;
    const auto fa =
        rule("kind = 'fa', feedback = { init = 'transpose' }, feedback_updates = 'follow'", net);
    for (int k = 0; k < 3; ++k) step(*fa, moved, 0.1, 0);
    CHECK(relative(moved.network.w(3), net.w(3)) > 0.01);
    check_deltas(credit_of(*fa, moved), credit_of("kind = 'bp'", moved).post, rounding);
  }
}

TEST_CASE("Kolen–Pollack's B − W' decays as (1 − γ)^t, and with DI's sign B + W'", "[rules]") {
  constexpr double decay = 0.05;
  RuleContext context;
  context.decay = decay;
  struct Case {
    const char* rule;
    double sign;
  };
  for (const Case& kind :
       {Case{"kind = 'kolen_pollack'", +1},
        Case{"kind = 'fa', feedback_updates = 'kolen_pollack', feedback_decay = 0.05", +1},
        Case{"kind = 'ndi', feedback = { init = 'normal' }, feedback_updates = 'kolen_pollack', "
             "leak = 1.0",
             -1}}) {
    INFO(kind.rule);
    Exercise<double> at_work = exercise(deep, 4);
    const auto made = rule(kind.rule, at_work.network, context);
    const auto gap = [&](std::size_t l) {
      return MatrixXd(made->feedback(at_work.network)[l] -
                      kind.sign * at_work.network.weights[l].transpose());
    };
    const MatrixXd first = gap(2), last = gap(3);
    const MatrixXd start = at_work.network.w(2);
    for (int t = 0; t < 60; ++t) step(*made, at_work, 0.02, decay);
    // 60 steps, each of which rounds numbers of about 1; the gap is .05 of its start by then.
    CHECK(relative(gap(2), std::pow(1 - decay, 60) * first) < 1e-12);
    CHECK(relative(gap(3), std::pow(1 - decay, 60) * last) < 1e-12);
    CHECK(relative(at_work.network.w(2), std::pow(1 - decay, 60) * start) > 0.01);
  }
}

TEST_CASE("a weight mirror learns (ησ²/γ) W' from noise", "[rules]") {
  const Exercise<double> at_work = exercise(deep, 1);
  const Network<double>& net = at_work.network;
  SECTION("by the steps of its equation") {
    const auto mirror = rule(
        "kind = 'weight_mirror', noise_before = 300, noise_examples = 2, noise_std = 0.7, "
        "noise_rate = 0.02, noise_decay = 0.01",
        net);
    mirror->learn(at_work.lesson(), {}, 0.1);
    for (Index l = 2; l <= 3; ++l) {
      MatrixXd b = rule("kind = 'fa'", net)->feedback(net)[at(l)];
      const core::RandomStream stream(1, "weight_mirror.noise_" + std::to_string(l));
      for (std::uint64_t k = 0; k < 302; ++k) {
        VectorXd xi(net.size(l - 1));
        for (Index i = 0; i < xi.size(); ++i)
          xi[i] = 0.7 * stream.normal(static_cast<std::uint64_t>(i), k);
        b += 0.02 * xi * (net.w(l) * xi).transpose() - 0.01 * b;
      }
      CHECK(relative(mirror->feedback(net)[at(l)], b) < rounding);
    }
  }
  SECTION("to the noise that stays") {
    constexpr double sigma = 0.5, eta = 0.02, gamma = 0.002;
    const auto mirror = rule(
        "kind = 'weight_mirror', noise_before = 10000, noise_std = 0.5, noise_rate = 0.02, "
        "noise_decay = 0.002",
        net);
    // B = S Wᵀ with S = Σ_k η (1 − γ)^k ξ ξᵀ, whose entries have variance η²σ⁴/(γ(2 − γ)), twice that on
    // the diagonal: ‖B − (ησ²/γ)Wᵀ‖ is about √((n + 1) γ/(2 − γ)) of ‖(ησ²/γ)Wᵀ‖ (n = d_{l−1}); its
    // square is a sum of some ten independent terms, so twice and a third bound it. The start has
    // decayed to (1 − γ)^10000 = 2e-9.
    for (Index l = 2; l <= 3; ++l) {
      const MatrixXd limit = eta * sigma * sigma / gamma * net.w(l).transpose();
      const double n = static_cast<double>(net.size(l - 1));
      const double expected = std::sqrt((n + 1) * gamma / (2 - gamma));
      const double found = relative(mirror->feedback(net)[at(l)], limit);
      CHECK(found < 2 * expected);
      CHECK(found > expected / 3);
    }
  }
}

// ---- Inversion ----

TEST_CASE("pbp and ndi are direct solves with W and B, in layers of any shape", "[rules]") {
  for (const std::string layers : {"[7, 6, 4, 3]", "[3, 4, 6, 7]", "[4, 4, 4, 4]"})
    for (const std::string feedback : {"{ init = 'negative_transpose' }", "{ init = 'normal' }"})
      for (const std::string gains :
           {"{ i = 1.0 }", "{ i = 2.0, p = 0.5 }", "{ i = 0.0, p = 4.0 }"})
        for (const double leak : {0.0, 0.1, 3.0}) {
          INFO(layers << ", " << feedback << ", " << gains << ", leak " << leak);
          const Exercise<double> at_work =
              exercise("layers = " + layers + ", weights = { init = 'normal', std = 0.5 }", 5);
          const Network<double>& net = at_work.network;
          const auto ndi = rule("kind = 'ndi', feedback = " + feedback + ", gains = " + gains +
                                    ", leak = " + core::number_text(leak),
                                net);
          const auto b = ndi->feedback(net);
          const double k_i = gains == "{ i = 1.0 }" ? 1 : gains == "{ i = 0.0, p = 4.0 }" ? 0 : 2;
          const double k_p = gains == "{ i = 1.0 }" ? 0 : k_i == 0 ? 4 : 0.5;
          const double g = k_i == 0 ? 1 / k_p : leak == 0 ? 0 : 1 / (k_i / leak + k_p);
          const auto matrices = [&](const auto& of_layer) {
            std::vector<MatrixXd> m;
            for (Index l = 2; l <= 3; ++l) m.push_back(of_layer(l));
            return by_loops(at_work, [&](Index l, Index i, Index j) { return m[at(l - 2)](i, j); });
          };
          // Solved by another decomposition: rounding times the conditions of up to two inverses.
          check_deltas(credit_of(*ndi, at_work), matrices([&](Index l) -> MatrixXd {
                         const MatrixXd &w = net.w(l), &back = b[at(l)];
                         const MatrixXd wb = w * back - g * MatrixXd::Identity(w.rows(), w.rows());
                         const MatrixXd bw = back * w - g * MatrixXd::Identity(w.cols(), w.cols());
                         if (w.rows() <= w.cols()) return back * wb.fullPivLu().inverse();
                         return bw.fullPivLu().solve(back);
                       }),
                       1e-9);
          check_deltas(credit_of("kind = 'pbp'", at_work), matrices([&](Index l) -> MatrixXd {
                         return net.w(l).completeOrthogonalDecomposition().pseudoInverse();
                       }),
                       1e-11);
        }
}

TEST_CASE("without leak, ndi of a layer that lacks rank is its pseudoinverse", "[rules]") {
  Exercise<double> at_work = exercise("layers = [4, 5, 3], bias = false", 2);
  at_work.network.weights[2].row(2) = at_work.network.weights[2].row(0);
  at_work.go_forward();
  // Singular values of WWᵀ are cut at 1e-15 of the largest, which is rounding.
  check_deltas(credit_of("kind = 'ndi', leak = 0.0", at_work),
               credit_of("kind = 'pbp'", at_work).post, 1e-11);
}

TEST_CASE("ndi falls from backpropagation's direction to the pseudoinverse's with its leak",
          "[rules]") {
  const Exercise<double> at_work =
      exercise("layers = [4, 6, 3], weights = { init = 'normal', std = 0.5 }", 1);
  const Credit<double> bp = credit_of("kind = 'bp'", at_work),
                       pbp = credit_of("kind = 'pbp'", at_work);
  const auto angles_at = [&](const char* leak) {
    const Credit<double> ndi = credit_of("kind = 'ndi', leak = " + std::string(leak), at_work);
    return std::pair(angles(at_work.lesson(), ndi, bp).layers[1],
                     angles(at_work.lesson(), ndi, pbp).layers[1]);
  };
  // Off by a fraction α/σ² of each mode, or σ²/α: .0006 degrees for 1e-5 and σ about 1.
  CHECK(angles_at("1e-6").second < 1e-3);
  CHECK(angles_at("1e6").first < 1e-3);
  CHECK(angles_at("1e-6").first > 5);
  CHECK(angles_at("1e6").second > 5);
}

TEST_CASE("ndi's feedback by SSA is stable with the rule's own leak and gains", "[rules]") {
  const Network<double> net =
      exercise("layers = [4, 6, 4], weights = { init = 'normal' }", 1).network;
  const auto ndi = rule(
      "kind = 'ndi', leak = 0.1, gains = { i = 2.0 }, feedback = { init = 'ssa', low = -0.5, high "
      "= 0.5 }",
      net);
  const MatrixXd b = ndi->feedback(net)[2];
  CHECK(core::spectral_abscissa(models::loop_matrix(net.w(2), b, {.leak = 0.1, .i = 2})) < 0);
}

// ---- Target propagation ----

TEST_CASE("layer by layer a network gives the outputs of its forward pass", "[rules]") {
  Exercise<double> at_work =
      exercise(deep + ", batch_normalisation = true, output = 'softmax'", 300);
  at_work.network.note_statistics(at_work.activity, 0.5);
  at_work.by_batch = false;
  at_work.go_forward();
  // Statistics folded into a gain, or not.
  CHECK(relative(at_work.network.outputs(at_work.inputs), at_work.activity.output()) < rounding);
  MatrixXd a, h;
  at_work.network.layer(2, at_work.activity.h[1], a, h);
  CHECK(relative(h, at_work.activity.h[2]) < rounding);
}

TEST_CASE("with exact inverses of a square linear net target propagation is the pseudoinverse rule",
          "[rules]") {
  const Exercise<double> at_work = exercise(
      "layers = [4, 4, 4, 4], transfer = 'identity', weights = { init = 'normal', std = 0.5 }", 3);
  core::Value table = toml_table("kind = 'target_propagation', target_step = 0.25");
  core::Array inverses;
  for (Index l = 2; l <= 3; ++l) {
    const MatrixXd inverse = at_work.network.w(l).inverse();
    core::Array rows;
    for (Index i = 0; i < 4; ++i) {
      core::Array row;
      for (Index j = 0; j < 4; ++j) row.emplace_back(inverse(i, j));
      rows.emplace_back(std::move(row));
    }
    core::Value values;
    values.set("values", std::move(rows));
    inverses.push_back(values);
  }
  table.set("feedback", std::move(inverses));
  const auto tp = read_rule(table, "rule")->make(at_work.network, {});
  // Rounding times the condition of two inverses, and a difference of numbers some ten times larger.
  check_deltas(credit_of(*tp, at_work), credit_of("kind = 'pbp'", at_work).post, 1e-10);
}

TEST_CASE("target propagation is differences of targets, its first one of two kinds", "[rules]") {
  const Exercise<double> at_work = exercise(deep, 3);
  const Network<double>& net = at_work.network;
  const auto tp = rule("kind = 'target_propagation', target_step = 0.5", net);
  const auto v = tp->feedback(net);
  const auto g = [&](Index l, const MatrixXd& z) {
    return MatrixXd((v[at(l)] * z).array().tanh());  // c starts at 0
  };
  const auto slope = [&](Index l) {
    return (1 - at_work.activity.h[at(l)].array().square()).eval();
  };
  const auto &h = at_work.activity.h, &a = at_work.activity.a;
  const MatrixXd t_2 = h[2] + g(3, a[3] + 0.5 * at_work.error) - g(3, a[3]);
  const MatrixXd t_1 = h[1] + g(2, t_2) - g(2, h[2]);
  const Credit<double> credit = credit_of(*tp, at_work);
  // Differences of numbers of about 1, over 0.5.
  CHECK(relative(credit.post[2], slope(2) * (t_2 - h[2]).array() / 0.5) < 1e-13);
  CHECK(relative(credit.post[1], slope(1) * (t_1 - h[1]).array() / 0.5) < 1e-12);

  const Credit<double> by_gradient =
      credit_of("kind = 'target_propagation', first_target = 'penultimate'", at_work);
  CHECK(relative(by_gradient.post[2], credit_of("kind = 'bp'", at_work).post[2]) < rounding);
}

TEST_CASE("noise phases descend the loss of the inverses", "[rules]") {
  const Exercise<double> at_work = exercise(deep, 6);
  const Network<double>& net = at_work.network;
  SECTION("by its gradient") {
    const auto tp = rule(
        "kind = 'target_propagation', noise_std = 0.0, noise_rate = 0.1, feedback = { init = "
        "'normal' }",
        net);
    const auto before = tp->feedback(net);
    tp->learn(at_work.lesson(), {}, 0.7);
    for (Index l = 2; l <= 3; ++l) {
      const MatrixXd& x = at_work.activity.h[at(l - 1)];
      const MatrixXd& z = l == 3 ? at_work.activity.a[3] : at_work.activity.h[2];
      const auto loss = [&](const MatrixXd& v) {
        return 0.5 * (MatrixXd((v * z).array().tanh()) - x).squaredNorm() / 6;
      };
      MatrixXd v = before[at(l)], gradient = v;
      for (Index k = 0; k < v.size(); ++k) {
        const double old = v.data()[k];
        v.data()[k] = old + 1e-5;
        const double above = loss(v);
        v.data()[k] = old - 1e-5;
        gradient.data()[k] = (above - loss(v)) / 2e-5;
        v.data()[k] = old;
      }
      // As for backpropagation's differences.
      CHECK((tp->feedback(net)[at(l)] - (before[at(l)] - 0.1 * gradient)).norm() < 1e-9);
    }
  }
  SECTION("to the inverse of an orthogonal layer") {
    const Exercise<double> linear = exercise(
        "layers = [5, 5, 5], transfer = 'identity', bias = false, weights = { init = 'orthogonal' "
        "}",
        4);
    const auto tp =
        rule("kind = 'target_propagation', noise_before = 3000, noise_std = 1.0, noise_rate = 0.1",
             linear.network);
    check_deltas(credit_of(*tp, linear), credit_of("kind = 'pbp'", linear).post, 1e-6);
  }
}

}  // namespace settle::learning
