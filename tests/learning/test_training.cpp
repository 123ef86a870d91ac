#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>
#include <set>

#include "learning/compare.hpp"
#include "learning/update.hpp"
#include "tests/learning/courses.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using Catch::Contains;
using test::plan_of;
using test::relative;

// A plan with one batch from each evaluation to the next.
std::string step_by_step(const std::string& learning, const std::string& network,
                         const std::string& rule) {
  return "network = { layers = [6, 5, 3], weights = { init = 'normal', std = 0.3 }" +
         (network.empty() ? "" : ", " + network) +
         " }\ndata = { kind = 'tanh_teacher', examples = 40, held_out = 0 }\n"
         "learning = { batch = 4, evaluate_every = 4, learning_rate = 0.05" +
         (learning.empty() ? "" : ", " + learning) + " }\nrule = [{ " + rule + " }]\n";
}

}  // namespace

// --- The schedule --------------------------------------------------------------------------------

TEST_CASE("a schedule counts every example, and evaluates first, last and in order", "[training]") {
  for (const Index available : {1, 7, 12})
    for (const std::int64_t batch : {1, 3, 4, 20})
      for (const double all : {1.0, 5.0, 12.0, 13.0, 40.0})
        for (const double every : {1.0, 2.5, 5.0, 100.0}) {
          INFO(available << " examples by " << batch << ", " << all << " in all, every " << every);
          LearningSpec spec;
          spec.batch = batch;
          spec.examples = all;
          spec.evaluate_every = every;
          const Schedule schedule(spec, available);
          // By counting: an epoch's last batch is what is left of it.
          std::int64_t seen = 0;
          for (std::int64_t k = 0; k < schedule.batches(); ++k) {
            CHECK(schedule.examples_after(k) == seen);
            CHECK(static_cast<double>(seen) < all);
            seen += std::min<std::int64_t>(batch, available - seen % available);
          }
          CHECK(schedule.examples_after(schedule.batches()) == seen);
          CHECK(static_cast<double>(seen) >= all);
          const auto& steps = schedule.evaluations();
          CHECK(steps.front() == 0);
          CHECK(steps.back() == schedule.batches());
          CHECK(std::adjacent_find(steps.begin(), steps.end(), std::greater_equal<>()) ==
                steps.end());
          // None is left out: each multiple of `every` has the first batch that comes to it.
          for (double at = 0; at < all; at += every) {
            const auto met = std::find_if(steps.begin(), steps.end(), [&](std::int64_t k) {
              return static_cast<double>(schedule.examples_after(k)) >= std::round(at);
            });
            REQUIRE(met != steps.end());
            if (*met > 0)
              CHECK(static_cast<double>(schedule.examples_after(*met - 1)) < std::round(at));
          }
        }
  LearningSpec spec;
  CHECK(Schedule(spec, 40).batches() == 40);  // one epoch
  spec.epochs = 2.5;
  CHECK(Schedule(spec, 40).batches() == 100);
  CHECK(Schedule(spec, 40).evaluations().size() == 51);  // each fiftieth of all
}

TEST_CASE("every evaluation of the schedule happens once, in order, and the counts agree",
          "[training]") {
  const Setting setting(small_plan("optimiser = 'sgd'", "", {"bp", "fa", "di"}));
  const Collector found = train_all(setting);
  CHECK(found.in_order);
  CHECK(found.ends == 3);
  const Schedule schedule(setting.plan.learning, 10);
  CHECK(schedule.evaluations() == std::vector<std::int64_t>{0, 2, 4, 5, 7});
  for (const auto& [id, own] : found.runs) {
    CHECK(own.values.size() == schedule.evaluations().size());
    CHECK(found.examples.at(id) == schedule.examples_after(schedule.batches()));
    for (const Values& values : own.values) CHECK(values.size() == course_variables().size());
  }
  const auto course = setting.course();
  const std::atomic<bool> never = false;
  for (const std::int64_t step : schedule.evaluations()) {
    REQUIRE(course->outcome() == CourseOutcome::running);
    CHECK(course->advance(never));
    CHECK(course->batches() == step);
    CHECK(course->examples() == schedule.examples_after(step));
    course->evaluate();
  }
  CHECK(course->outcome() == CourseOutcome::trained);
}

TEST_CASE("an epoch's order is a permutation of (seed, epoch) alone", "[training]") {
  std::vector<Index> straight(50);
  std::iota(straight.begin(), straight.end(), Index{0});
  std::set<std::vector<Index>> all;
  for (const std::uint64_t seed : {1, 2})
    for (const std::int64_t epoch : {0, 1, 1000}) {
      std::vector<Index> order = epoch_order(seed, epoch, 50, true);
      CHECK(order == epoch_order(seed, epoch, 50, true));
      CHECK(order != straight);
      all.insert(order);
      std::sort(order.begin(), order.end());
      CHECK(order == straight);
      CHECK(epoch_order(seed, epoch, 50, false) == straight);
    }
  CHECK(all.size() == 6);
  CHECK(epoch_order(1, 0, 1, true) == std::vector<Index>{0});
  // Every place is as likely: mean place 24.5 of the first example, deviation 14.4/√400 = 0.72.
  double sum = 0;
  for (std::int64_t epoch = 0; epoch < 400; ++epoch) {
    const std::vector<Index> order = epoch_order(5, epoch, 50, true);
    sum += static_cast<double>(std::find(order.begin(), order.end(), 0) - order.begin());
  }
  CHECK(sum / 400 == Approx(24.5).margin(4 * 0.72));
}

// --- What a step is ------------------------------------------------------------------------------

TEST_CASE("matched updates have backpropagation's norm, unit ones norm 1", "[training]") {
  for (const char* learning : {"batch_update = 'mean'", "batch_update = 'sum'", "clip = 0.1",
                               "batch_update = 'sum', clip = 0.1"}) {
    INFO(learning);
    const Setting bp(step_by_step(learning, "", "kind = 'bp'"));
    for (const char* kind : {"fa", "di", "equilibrium_propagation"}) {
      INFO(kind);
      const std::string rule = "kind = '" + std::string(kind) + "', scaling = ";
      const Setting free(step_by_step(learning, "", rule + "'free'"));
      const Setting matched(step_by_step(learning, "", rule + "'matched'"));
      const Setting unit(step_by_step(learning, "", rule + "'unit'"));
      const auto norms_of = [](const Setting& setting, int steps) {
        const auto course = setting.course();
        Values values;
        MatrixXd before, after;
        for (int k = 0; k <= steps; ++k) {
          before = kept(*course, "W_1");
          values = go_on(*course);
          after = kept(*course, "W_1");
        }
        const std::vector<double> norms = recorded(values, "update_norm");
        // What is recorded is what the weights have moved by; their own size is 1 and rounds to 1e-16.
        CHECK((after - before).norm() == Approx(norms[0]).margin(1e-14).epsilon(1e-11));
        return norms;
      };
      // The first batch, before which all have the same weights.
      const std::vector<double> wanted = norms_of(bp, 1), own = norms_of(free, 1),
                                found = norms_of(matched, 1);
      for (std::size_t l = 0; l < 2; ++l) CHECK(found[l] == Approx(wanted[l]).epsilon(1e-12));
      CHECK(own[0] != Approx(wanted[0]).epsilon(1e-3));
      for (const int steps : {1, 4})
        for (const double norm : norms_of(unit, steps)) CHECK(norm == Approx(0.05).epsilon(1e-12));
    }
  }
}

TEST_CASE("the learning rate goes linearly to its share at the end", "[training]") {
  // Updates of norm 1 are as long as the rate: η (1 + (share − 1) k/K) in step k of K = 10.
  for (const double share : {0.0, 0.4}) {
    const Setting setting(step_by_step("learning_rate_end = " + std::to_string(share), "",
                                       "kind = 'bp', scaling = 'unit'"));
    const auto course = setting.course();
    go_on(*course);
    for (int k = 0; k < 10; ++k) {
      const double wanted = 0.05 * (1 + (share - 1) * k / 10.0);
      CHECK(recorded(go_on(*course), "update_norm")[0] == Approx(wanted).epsilon(1e-12));
    }
  }
}

TEST_CASE("clip bounds what an example moves a hidden layer by", "[training]") {
  // ‖ΔW_1‖ ≤ η clip ‖x‖ of one example, which a free update exceeds.
  const Setting free(step_by_step("", "", "kind = 'fa'"));
  const Setting clipped(step_by_step("clip = 1e-3", "", "kind = 'fa'"));
  const Setting own(step_by_step("", "", "kind = 'fa', clip = 1e-3"));
  const double largest = clipped.data[0]->training.inputs.colwise().norm().maxCoeff();
  const auto norm = [](const Setting& setting) {
    const auto course = setting.course();
    go_on(*course);
    return recorded(go_on(*course), "update_norm");
  };
  CHECK(norm(free)[0] > 0.05 * 1e-3 * largest);
  CHECK(norm(clipped)[0] <= 0.05 * 1e-3 * largest);
  CHECK(norm(clipped)[1] == norm(free)[1]);  // the output's δ is the error itself
  CHECK(norm(own) == norm(clipped));
}

TEST_CASE("a first batch that is skipped has no effect", "[training]") {
  for (const char* optimiser : {"sgd", "momentum", "adam"})
    for (const char* network : {"", "batch_normalisation = true"}) {
      INFO(optimiser << ", " << network);
      const std::string learning = "decay = 0.01, optimiser = '" + std::string(optimiser) + "'";
      const Setting setting(
          step_by_step(learning + ", skip_first = true", network, "kind = 'kolen_pollack'"));
      const auto course = setting.course();
      go_on(*course);
      const auto before = course->parameters();
      const MatrixXd feedback = kept(take_snapshot(*course), "B_2");
      go_on(*course);
      CHECK(course->batches() == 1);
      const auto after = course->parameters();
      for (std::size_t k = 0; k < before.size(); ++k) {
        INFO(before[k].first);
        CHECK(after[k].second == before[k].second);
      }
      CHECK(kept(take_snapshot(*course), "B_2") == feedback);
      go_on(*course);
      for (const auto& [name, matrix] : before) CHECK(kept(*course, name) != matrix);
      CHECK(kept(take_snapshot(*course), "B_2") != feedback);
    }
}

TEST_CASE("feedback that learns beside the weights comes to them as (1 − γ)^t, in batches too",
          "[training]") {
  for (const char* how : {"mean", "sum"})
    for (const char* rule :
         {"kind = 'kolen_pollack', scaling = 'unit'", "kind = 'kolen_pollack'",
          "kind = 'di', feedback = { init = 'uniform', low = -0.1, high = 0.1 }, "
          "feedback_updates = 'kolen_pollack'"}) {
      INFO(how << ", " << rule);
      const Setting setting(step_by_step(
          "decay = 0.1, clip = 0.3, batch_update = '" + std::string(how) + "'", "", rule));
      const double sign = setting.plan.rules[0].name == "di" ? -1 : 1;
      const auto course = setting.course();
      const auto distance = [&] {
        const Snapshot now = take_snapshot(*course);
        return MatrixXd(kept(now, "B_2") - sign * kept(now, "W_2").transpose());
      };
      const MatrixXd start = distance();
      for (int step = 0; step <= 8; ++step) go_on(*course);
      CHECK(relative(distance(), std::pow(0.9, 8) * start) < 1e-13);
    }
}

TEST_CASE("comparing a rule with others changes nothing", "[training]") {
  for (const std::string& name : rules().names())
    for (const char* network : {"", "batch_normalisation = true"}) {
      INFO(name << ", " << network);
      const std::string watched = small_plan("compare = true", network, {name});
      if (!fits(watched)) continue;
      const Run seen = run(Setting(watched));
      const Run unseen = run(Setting(small_plan("compare = false", network, {name})));
      CHECK(difference(seen.end, unseen.end) == "");
      CHECK(std::isfinite(recorded(seen.values.back(), "angle_to_pbp")[0]));
      CHECK(std::isnan(recorded(unseen.values.back(), "angle_to_pbp")[0]));
    }
  // Nor does what normalises a layer learn from the updates that a rule's own are scaled to.
  const std::string network = "batch_normalisation = true";
  const Setting free(step_by_step("", network, "kind = 'fa'"));
  const Setting matched(step_by_step("", network, "kind = 'fa', scaling = 'matched'"));
  const auto one = free.course(), two = matched.course();
  for (Course* course : {one.get(), two.get()})
    for (int step = 0; step <= 1; ++step) go_on(*course);
  CHECK(kept(*one, "scale_1") == kept(*two, "scale_1"));
  CHECK(kept(*one, "W_1") != kept(*two, "W_1"));
}

TEST_CASE("what is recorded of all layers together is what it says", "[training]") {
  const auto last = [](const std::string& learning, const std::string& rule,
                       const std::string& network) {
    const Run done = run(Setting(
        "network = { layers = [6, 5, 3], bias = false, weights = { init = 'normal', std = 0.5 }, " +
        network +
        " }\ndata = { kind = 'linear_teacher', examples = 4 }\nlearning = { examples = 1, "
        "learning_rate = 1e-3, " +
        learning + " }\n[[rule]]\n" + rule));
    return [values = done.values.back()](const std::string& name) {
      return recorded(values, name).back();
    };
  };
  // By science.md section 7 this is the damped Gauss–Newton step, times ‖x‖².
  const std::string step =
      "kind = 'ndi'\ninverse_gain = 'gauss_newton'\noutput_update = 'control'\ndamping = 0.1";
  const std::string linear = "transfer = 'identity'";
  const auto damped = last("gauss_newton_damping = 0.1", step, linear);
  CHECK(damped("whole_angle_to_gauss_newton") < 1e-5);  // by cosines
  CHECK(last("gauss_newton_damping = 0", step, linear)("whole_angle_to_gauss_newton") > 1e-2);
  CHECK(std::isnan(damped("angle_to_ndi")));  // no loops of one gain
  CHECK(std::isnan(damped("feedback_in_row_space")));
  CHECK(damped("norm_spread") > 0);
  // DFC of a linear net with Q = Jᵀ and hardly a leak makes the update of least norm, but for the target's step:
  // what layers hear is under control.
  const auto dfc = last("batch = 2",
                        "kind = 'dfc'\naccuracy = 'rest'\nleak = 1e-9\ntarget_step = 1e-6\n"
                        "feedback_updates = 'follow'",
                        linear);
  CHECK(dfc("whole_angle_to_minimum_norm") < 1e-3);
  CHECK(dfc("feedback_in_row_space") == Approx(1).epsilon(1e-12));
  CHECK(dfc("slowest_pole") < 0);
  CHECK(std::isnan(dfc("settling_time")));  // it was put into its rest
}

// --- How a course ends ---------------------------------------------------------------------------

TEST_CASE("a network that diverges ends its own course alone, and says when", "[training]") {
  const std::string head =
      "network = { layers = [6, 5, 3], transfer = 'identity', weights = { init = 'normal', std = "
      "0.3 } }\n"
      "data = { kind = 'linear_teacher', examples = 100, held_out = 20 }\n"
      "learning = { examples = 300, learning_rate = 0.01 }\n";
  const Setting both(head +
                     "rule = [{ kind = 'bp', learning_rate = 100.0, name = 'wild' }, { kind = 'bp' "
                     "}]\n");
  const Setting alone(head + "rule = [{ kind = 'bp' }]\n");
  const Collector found = train_all(both);
  const Run& wild = found.runs.at({0, 0});
  CHECK(wild.outcome == CourseOutcome::diverged);
  CHECK_THAT(wild.reason, Contains("infinite or NaN after") && Contains(" examples"));
  CHECK(wild.values.size() < 51);
  CHECK(found.examples.at({0, 0}) < 300);
  CHECK_FALSE(std::isfinite(recorded(wild.values.back(), "test_error")[0]));
  const Run& calm = found.runs.at({1, 0});
  const Run expected = run(alone);
  CHECK(calm.outcome == CourseOutcome::trained);
  CHECK(calm.reason == "");
  CHECK(difference(calm.values, expected.values) == "");
  CHECK(difference(calm.end, expected.end) == "");

  // Put back, it is as over as it was.
  auto again = both.course();
  restore(*again, wild.end);
  CHECK(again->outcome() == CourseOutcome::diverged);
  CHECK(again->reason() == wild.reason);

  // By its very last step, after which no batch would tell.
  const Setting late(
      "network = { layers = [6, 5, 3], weights = { init = 'normal', std = 0.3 } }\n"
      "data = { kind = 'linear_teacher', examples = 4, held_out = 4 }\n"
      "learning = { examples = 4, batch = 4, learning_rate = 1e308, batch_update = 'sum' }\n"
      "rule = [{ kind = 'bp' }]\n");
  const Run last = run(late);
  CHECK(last.outcome == CourseOutcome::diverged);
  CHECK_THAT(last.reason, Contains("infinite or NaN after 4 examples"));
}

// Backpropagation that cannot go on, or whose poles cannot be found; before that its update may be enormous.
struct Trouble {
  std::int64_t at = -1;  // the example that there is no way through
  bool has_poles = true;
  double size = 1;  // of the credit
};
class Troubled final : public Rule<double> {
 public:
  Troubled(std::unique_ptr<Rule<double>> bp, const Trouble& trouble)
      : bp_(std::move(bp)), trouble_(trouble) {}
  void assign(const Lesson<double>& lesson, Credit<double>& credit) override {
    if (static_cast<std::int64_t>(lesson.example) == trouble_.at)
      throw std::runtime_error("there is no way through");
    bp_->assign(lesson, credit);
    for (MatrixXd& post : credit.post) post *= trouble_.size;
  }
  double multiplications(const Network<double>&, Index) const override { return 0; }
  Abscissas abscissas(const Lesson<double>&) const override {
    if (!trouble_.has_poles) throw std::runtime_error("there are no poles");
    return {};
  }

 private:
  std::unique_ptr<Rule<double>> bp_;
  Trouble trouble_;
};
class TroubledKind final : public RuleKind {
 public:
  TroubledKind(std::shared_ptr<const RuleKind> bp, const Trouble& trouble)
      : bp_(std::move(bp)), trouble_(trouble) {}
  std::unique_ptr<Rule<double>> make(const Network<double>& network,
                                     const RuleContext& context) const override {
    return std::make_unique<Troubled>(bp_->make(network, context), trouble_);
  }

 private:
  std::shared_ptr<const RuleKind> bp_;
  Trouble trouble_;
};

TEST_CASE("what a rule cannot do ends its own course, and what it cannot tell ends none",
          "[training]") {
  const std::string head =
      "network = { layers = [6, 5, 3], weights = { init = 'normal', std = 0.3 } }\n"
      "data = { kind = 'linear_teacher', examples = 10, held_out = 5 }\n"
      "learning = { examples = 30, learning_rate = 0.01, evaluate_every = 10 }\n";
  const Run calm = run(Setting(head + "rule = [{ kind = 'bp' }]\n"));
  const auto beside = [&](const Trouble& trouble) {
    Setting both(head + "rule = [{ kind = 'bp', name = 'troubled' }, { kind = 'bp' }]\n");
    both.plan.rules[0].kind = std::make_shared<TroubledKind>(both.plan.rules[0].kind, trouble);
    const Collector found = train_all(both);
    CHECK(found.runs.at({1, 0}).outcome == CourseOutcome::trained);
    CHECK(difference(found.runs.at({1, 0}).values, calm.values) == "");
    const Run& own = found.runs.at({0, 0});
    // Put back, it ended as it did.
    auto again = both.course();
    restore(*again, own.end);
    CHECK(again->outcome() == own.outcome);
    CHECK(again->reason() == own.reason);
    return own;
  };
  const Run stuck = beside({.at = 12});
  CHECK(stuck.outcome == CourseOutcome::failed);
  CHECK(stuck.reason == "there is no way through, after 12 examples");
  CHECK(stuck.values.size() == 3);  // 0, 10, and where it ended
  // Where the numbers are to blame, it says that.
  const Run wild = beside({.at = 1, .size = 1e155});
  CHECK(wild.outcome == CourseOutcome::diverged);
  CHECK(wild.reason == "the network's weights were beyond 1e150 after 1 example");
  const Run blind = beside({.has_poles = false});
  CHECK(blind.outcome == CourseOutcome::trained);
  CHECK(blind.reason == "3 comparisons or searches for poles failed: there are no poles");
  CHECK(recorded(blind.values.back(), "test_error") == recorded(calm.values.back(), "test_error"));
}

TEST_CASE("circuits that do not settle are counted, and told in the course's reason",
          "[training]") {
  for (const char* kind : {"di", "sdi", "dfc", "equilibrium_propagation", "predictive_coding"})
    for (const char* unsettled : {"skip", "use"}) {
      INFO(kind << ", " << unsettled);
      const Setting setting(step_by_step(
          "", "",
          "kind = '" + std::string(kind) + "', duration = 0.1, unsettled = '" + unsettled + "'"));
      const auto course = setting.course();
      const MatrixXd before = kept(*course, "W_1");
      double count = 0;
      while (course->outcome() == CourseOutcome::running)
        count += recorded(go_on(*course), "unsettled")[0];
      CHECK(count > 0);
      CHECK(course->outcome() == CourseOutcome::trained);
      CHECK_THAT(course->reason(), Contains(core::brief(count) + " circuits did not settle: "));
      CHECK((kept(*course, "W_1") == before) == (std::string(unsettled) == "skip"));

      // What was counted before an interruption is not lost.
      Setting same = setting;
      Bell bell;
      same.plan.learning.evaluate_every = 16;
      same.plan.rules[0].kind = std::make_shared<InterruptedKind>(setting.plan.rules[0].kind, bell);
      bell.rings = true;
      const Run parts = run(same, 0, &bell);
      CHECK(parts.reason == course->reason());
      double of_parts = 0;
      for (const Values& values : parts.values) of_parts += recorded(values, "unsettled")[0];
      CHECK(of_parts == count);
    }
}

// --- All of it -----------------------------------------------------------------------------------

TEST_CASE("every rule learns a linear map to 1e-6 of the error at the start", "[training]") {
  // What a rule has beside its kind; the others learn by their defaults.
  const std::map<std::string, std::string> more{
      // With signs of size 1 the feedback is 100 times W at the start, and η of BP is too large for it.
      {"sign_symmetric", "scale = 0.2"},
      // The update is of the order of the target step λ = 0.05: η/λ in place of η, here 5 times that, as the
      // loop divides by J Q where BP multiplies by J.
      {"dfc", "learning_rate = 1.0"},
      // The energy of states has no rest once ‖W‖ ≥ 1 (below). That of rates has: with weak feedback γ its free
      // state is the forward pass but for O(γ), and so is the state at which it stops learning.
      {"equilibrium_propagation", "energy = 'rate', feedback_gain = 1e-5"},
  };
  // The setting of configs/linear_regression.toml, with its number of examples.
  std::string toml =
      "seeds = [1]\n"
      "network = { layers = [30, 20, 10], transfer = 'identity', bias = false, "
      "weights = { init = 'uniform', low = -0.01, high = 0.01 } }\n"
      "data = { kind = 'linear_teacher', examples = 2000, held_out = 100 }\n"
      "learning = { learning_rate = 0.01, examples = 2000, clip = 10.0, skip_first = true, "
      "evaluate_every = 2000 }\n"
      "rule = [\n";
  for (const std::string& name : rules().names())
    toml += "{ kind = '" + name + "'" + (more.contains(name) ? ", " + more.at(name) : "") + " },\n";
  const Setting setting(toml +
                        "{ kind = 'equilibrium_propagation', name = 'hopfield', "
                        "accuracy = 'rest' }]\n");
  const Collector found = train_all(setting);
  for (std::size_t r = 0; r < setting.plan.rules.size(); ++r) {
    const Run& own = found.runs.at({r, 0});
    const double share = recorded(own.values.back(), "test_error")[0] /
                         recorded(own.values.front(), "test_error")[0];
    INFO(setting.plan.rules[r].name << ": " << share << " of the start; " << own.reason);
    if (setting.plan.rules[r].name == "hopfield") {
      // The teacher's norm is about 5, so that tied weights W_1, W_2 with W_2 W_1 = T cannot both stay below 1.
      CHECK_FALSE(share < 0.1);
      continue;
    }
    CHECK(own.outcome == CourseOutcome::trained);
    CHECK(own.reason == "");
    CHECK(share < 1e-6);
  }
}

}  // namespace settle::learning
