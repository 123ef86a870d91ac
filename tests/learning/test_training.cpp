#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>
#include <set>

#include "learning/compare.hpp"
#include "learning/forward_feedback.hpp"
#include "learning/trainer.hpp"
#include "learning/update.hpp"
#include "tests/learning/exercise.hpp"
#include "tests/support.hpp"

namespace settle::learning {
namespace {

using Catch::Contains;
using test::plan_of;
using test::relative;
using test::Setting;
using Values = std::vector<std::vector<double>>;

// --- The same bits -------------------------------------------------------------------------------

template <class T>
bool same_bits(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;  // NaN is as good as any other
}
template <class S>
bool same_bits(const Matrix<S>& a, const Matrix<S>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), sizeof(S) * static_cast<std::size_t>(a.size())) == 0;
}
bool same_bits(const std::string& a, const std::string& b) { return a == b; }

// What differs first between two states; "" where they are the same bits.
std::string difference(const Snapshot& a, const Snapshot& b) {
  if (a.numbers.size() != b.numbers.size()) return "the number of numbers";
  for (std::size_t k = 0; k < a.numbers.size(); ++k) {
    const auto& [name, number] = a.numbers[k];
    const bool is_same =
        name == b.numbers[k].first && number.index() == b.numbers[k].second.index() &&
        std::visit(
            [&](const auto& x) {
              return same_bits(x, std::get<std::decay_t<decltype(x)>>(b.numbers[k].second));
            },
            number);
    if (!is_same) return name;
  }
  return "";
}

// Likewise of what was recorded, but for the time that it took.
std::string difference(const std::vector<Values>& a, const std::vector<Values>& b) {
  if (a.size() != b.size()) return "the number of evaluations";
  for (std::size_t step = 0; step < a.size(); ++step)
    for (std::size_t v = 0; v < a[step].size(); ++v) {
      const Variable& variable = course_variables()[v];
      if (variable.unit == "s") continue;
      bool is_same = a[step][v].size() == b[step][v].size();
      for (std::size_t l = 0; is_same && l < a[step][v].size(); ++l)
        is_same = same_bits(a[step][v][l], b[step][v][l]);
      if (!is_same) return variable.name + " of evaluation " + std::to_string(step);
    }
  return "";
}

// Gives a state back in the order in which it was taken.
class Restorer final : public StateVisitor {
 public:
  explicit Restorer(const Snapshot& snapshot) : snapshot_(snapshot) {}
  void matrix(const std::string& name, MatrixXd& m) override { next(name, m); }
  void matrix(const std::string& name, Eigen::MatrixXf& m) override { next(name, m); }
  void integer(const std::string& name, std::int64_t& n) override { next(name, n); }
  void number(const std::string& name, double& x) override { next(name, x); }
  void text(const std::string& name, std::string& text) override { next(name, text); }
  bool is_done() const { return next_ == snapshot_.numbers.size(); }

 private:
  template <class T>
  void next(const std::string& name, T& value) {
    const auto& [known, number] = snapshot_.numbers.at(next_++);
    if (known != name) throw std::logic_error(name + " where " + known + " was kept");
    value = std::get<T>(number);
  }
  const Snapshot& snapshot_;
  std::size_t next_ = 0;
};

void restore(Course& course, const Snapshot& snapshot) {
  Restorer restorer(snapshot);
  course.state(restorer);
  if (!restorer.is_done()) throw std::logic_error("more was kept than is there");
}

// A rule that asks for a pause with every batch, where it is to.
struct Bell {
  bool rings = false;
  std::atomic<bool> pauses = false;
};
template <class S>
class Interrupted final : public Rule<S> {
 public:
  Interrupted(std::unique_ptr<Rule<S>> rule, Bell& bell) : rule_(std::move(rule)), bell_(bell) {
    count();  // of what it did before the first lesson
  }
  void assign(const Lesson<S>& lesson, Credit<S>& credit) override {
    rule_->assign(lesson, credit);
    count();
    if (bell_.rings) bell_.pauses = true;
  }
  void learn(const Lesson<S>& lesson, const Credit<S>& credit, double rate) override {
    rule_->learn(lesson, credit, rate);
    count();
  }
  double multiplications(const Network<S>& network, Index examples) const override {
    return rule_->multiplications(network, examples);
  }
  std::vector<Matrix<S>> feedback(const Network<S>& network) const override {
    return rule_->feedback(network);
  }
  double feedback_sign() const override { return rule_->feedback_sign(); }
  double inverse_gain() const override { return rule_->inverse_gain(); }
  bool is_linearised() const override { return rule_->is_linearised(); }
  bool is_about_rest() const override { return rule_->is_about_rest(); }
  std::vector<Matrix<S>> output_feedback() const override { return rule_->output_feedback(); }
  typename Rule<S>::Abscissas abscissas(const Lesson<S>& lesson) const override {
    return rule_->abscissas(lesson);
  }
  const ForwardFeedbackSpec* forward_feedback() const override { return rule_->forward_feedback(); }
  Matrix<S> displacement(const Lesson<S>& lesson, Index l, double gate,
                         const Matrix<S>& setpoint) override {
    const Matrix<S> out = rule_->displacement(lesson, l, gate, setpoint);
    count();
    return out;
  }
  void state(StateVisitor& visitor) override { rule_->state(visitor); }

 private:
  void count() {
    const Settling own = rule_->take_settling();
    Settling& all = this->settling_;
    all.examples += own.examples;
    all.unsettled += own.unsettled;
    all.time += own.time;
    all.evaluations += own.evaluations;
    all.multiplications += own.multiplications;
    all.interventions += own.interventions;
    all.unstable += own.unstable;
    all.unstable_paper += own.unstable_paper;
    if (all.first_failure.empty()) all.first_failure = own.first_failure;
  }
  std::unique_ptr<Rule<S>> rule_;
  Bell& bell_;
};
class InterruptedKind final : public RuleKind {
 public:
  InterruptedKind(std::shared_ptr<const RuleKind> own, Bell& bell)
      : own_(std::move(own)), bell_(bell) {}
  std::unique_ptr<Rule<double>> make(const Network<double>& network,
                                     const RuleContext& context) const override {
    return std::make_unique<Interrupted<double>>(own_->make(network, context), bell_);
  }
  std::unique_ptr<Rule<float>> make(const Network<float>& network,
                                    const RuleContext& context) const override {
    return std::make_unique<Interrupted<float>>(own_->make(network, context), bell_);
  }

 private:
  std::shared_ptr<const RuleKind> own_;
  Bell& bell_;
};

struct Run {
  std::vector<Values> values;
  Snapshot end;
  CourseOutcome outcome = CourseOutcome::running;
  std::string reason;
  std::size_t interruptions = 0;
};

// A matrix of a checkpoint.
MatrixXd kept(const Snapshot& snapshot, const std::string& name) {
  for (const auto& [known, number] : snapshot.numbers)
    if (known == name) return std::get<MatrixXd>(number);
  throw std::out_of_range(name);
}

// Trains to the end; with a bell, by a new course after every batch.
Run run(const Setting& setting, std::size_t rule = 0, Bell* bell = nullptr) {
  const std::atomic<bool> never = false;
  Run out;
  auto course = setting.course(rule);
  while (course->outcome() == CourseOutcome::running) {
    if (course->advance(bell ? bell->pauses : never)) {
      out.values.push_back(course->evaluate());
      continue;
    }
    const Snapshot kept = take_snapshot(*course);
    course = setting.course(rule);
    restore(*course, kept);
    if (bell) bell->pauses = false;
    ++out.interruptions;
  }
  out.outcome = course->outcome();
  out.reason = course->reason();
  out.end = take_snapshot(*course);
  return out;
}

// What a rule is to have beside its name, so that as much of it as possible changes on the way.
std::string parameters(const std::string& rule) {
  static const std::map<std::string, std::string> more{
      {"fa",
       "feedback_updates = 'kolen_pollack', feedback_decay = 0.01, stability = 'correct', "
       "gains = { i = 30.0 }"},
      {"weight_mirror", "noise_before = 3"},
      {"target_propagation", "noise_before = 2"},
      {"ndi",
       "feedback_updates = 'follow', stability = 'monitor', loop = 'linearised', "
       "forward_feedback = { gate = 1.0, setpoint_error = 0.1 }"},
      {"di",
       "warm_start = true, stability = 'monitor', feedback_updates = 'kolen_pollack', "
       "forward_feedback = { gate = 0.5, setpoint_error = 0.1 }"},
      {"sdi", "warm_start = true, loop = 'transfer', stability = 'monitor'"},
      {"dfc", "feedback_updates = 'learned', noise = { samples = 2 }"},
      {"equilibrium_propagation", "symmetric = true"},
  };
  const auto found = more.find(rule);
  return found == more.end() ? "" : ", " + found->second;
}

// Ten examples, in batches of 4, 4 and 2; evaluated after batches 0, 2, 4, 5, 7.
std::string small_plan(const std::string& learning, const std::string& network,
                       const std::vector<std::string>& names) {
  std::string out =
      "network = { layers = [6, 5, 3], weights = { init = 'normal', std = 0.3 }" +
      (network.empty() ? "" : ", " + network) +
      " }\ndata = { kind = 'tanh_teacher', examples = 10, held_out = 7 }\n"
      "learning = { examples = 23, batch = 4, evaluate_every = 6, learning_rate = 0.05, " +
      learning + " }\nrule = [";
  for (const std::string& name : names)
    out += "{ kind = '" + name + "'" + parameters(name) + " },\n";
  return out + "]\n";
}

bool fits(const std::string& plan) {
  try {
    Setting(plan).course();
    return true;
  } catch (const core::InputError&) {
    return false;
  }
}

}  // namespace

TEST_CASE("a course that is interrupted after every batch goes on to the same bits", "[training]") {
  const std::set<std::string> without_normalisation{"dfc", "equilibrium_propagation",
                                                    "predictive_coding"};
  std::set<std::string> float64_alone = without_normalisation;
  float64_alone.insert({"di", "sdi"});
  struct Way {
    const char *learning, *network;
    const std::set<std::string>* except;
  };
  const std::set<std::string> none;
  for (const Way& way :
       {Way{"optimiser = 'sgd', decay = 1e-3, clip = 0.5", "", &none},
        Way{"optimiser = 'momentum', batch_update = 'sum'", "", &none},
        Way{"optimiser = 'adam', skip_first = true", "bias = false", &none},
        Way{"optimiser = 'adam'", "batch_normalisation = true", &without_normalisation},
        Way{"optimiser = 'momentum'", "precision = 'float32'", &float64_alone}})
    for (const std::string& name : rules().names()) {
      INFO(name << ", " << way.learning << ", " << way.network);
      const std::string toml = small_plan(way.learning, way.network, {name});
      CHECK(fits(toml) != way.except->contains(name));
      if (!fits(toml)) continue;
      Setting setting(toml);
      Bell bell;
      setting.plan.rules[0].kind =
          std::make_shared<InterruptedKind>(setting.plan.rules[0].kind, bell);
      const Run whole = run(setting);
      bell.rings = true;
      const Run parts = run(setting, 0, &bell);
      CHECK(whole.outcome == CourseOutcome::trained);
      CHECK(parts.outcome == whole.outcome);
      CHECK(parts.reason == whole.reason);
      CHECK(parts.interruptions == 6);  // of 7 batches; after the last it is over
      CHECK(difference(parts.values, whole.values) == "");
      CHECK(difference(parts.end, whole.end) == "");
    }
}

TEST_CASE("products that loops keep beside W are in a checkpoint", "[training]") {
  // One example a step, and layers of four units and more: the products of both loops go with W.
  Setting setting(
      "network = { layers = [5, 8, 6, 4], weights = { init = 'normal', std = 0.3 } }\n"
      "data = { kind = 'tanh_teacher', examples = 10, held_out = 0 }\n"
      "learning = { examples = 12, evaluate_every = 4, decay = 1e-3 }\nrule = [{ kind = 'di' }]\n");
  Bell bell;
  setting.plan.rules[0].kind = std::make_shared<InterruptedKind>(setting.plan.rules[0].kind, bell);
  const Run whole = run(setting);
  for (const char* product : {"loop_product_2", "loop_product_3"})
    CHECK(kept(whole.end, product).size() > 0);
  bell.rings = true;
  const Run parts = run(setting, 0, &bell);
  CHECK(parts.interruptions > 5);
  CHECK(difference(parts.values, whole.values) == "");
  CHECK(difference(parts.end, whole.end) == "");
}

TEST_CASE("a course that is over stays over when it is put back", "[training]") {
  const Setting setting(small_plan("optimiser = 'sgd'", "", {"bp"}));
  const Run whole = run(setting);
  auto again = setting.course();
  restore(*again, whole.end);
  CHECK(again->outcome() == CourseOutcome::trained);
  CHECK(again->evaluated() == whole.values.size());
  CHECK(again->batches() == again->schedule().batches());
  CHECK(difference(take_snapshot(*again), whole.end) == "");
}

// --- Side by side --------------------------------------------------------------------------------

namespace {

class Collector final : public TrainingObserver {
 public:
  void evaluated(CourseId id, std::size_t step, const Values& values) override {
    Run& own = runs[{id.rule, id.seed}];
    in_order = in_order && step == own.values.size();
    own.values.push_back(values);
  }
  void ended(CourseId id, const Course& course) override {
    Run& own = runs[{id.rule, id.seed}];
    own.outcome = course.outcome();
    own.reason = course.reason();
    own.end = take_snapshot(course);
    examples[{id.rule, id.seed}] = course.examples();
    ++ends;
  }
  void keep(CourseId, Snapshot) override {}
  bool proceed(const std::vector<const Course*>&) override { return true; }

  std::map<std::pair<std::size_t, std::size_t>, Run> runs;
  std::map<std::pair<std::size_t, std::size_t>, std::int64_t> examples;
  bool in_order = true;
  std::size_t ends = 0;
};

Collector train_all(const Setting& setting) {
  Collector collector;
  train(setting.plan, setting.data, collector);
  return collector;
}

}  // namespace

TEST_CASE("a course has the same bits alone and beside others, on one thread and on two",
          "[training]") {
  const std::string seeds = "seeds = [3, 8]\n";
  const std::vector<std::string> names = rules().names();
  const Setting setting(seeds + small_plan("optimiser = 'momentum'", "", names));
  const auto at_once = [&](std::size_t threads) {
    const test::ThreadLimit limit(threads);
    return train_all(setting);
  };
  const Collector one = at_once(1), two = at_once(2);
  CHECK(one.in_order);
  CHECK(two.in_order);
  CHECK(one.ends == 2 * names.size());
  CHECK(two.ends == 2 * names.size());
  for (std::size_t r = 0; r < names.size(); ++r) {
    const Setting lone(seeds + small_plan("optimiser = 'momentum'", "", {names[r]}));
    const Collector alone = train_all(lone);
    for (std::size_t s = 0; s < 2; ++s) {
      INFO(names[r] << ", seed " << lone.plan.seeds[s]);
      const Run& expected = alone.runs.at({0, s});
      CHECK(expected.outcome == CourseOutcome::trained);
      for (const Collector* beside : {&one, &two}) {
        const Run& found = beside->runs.at({r, s});
        CHECK(difference(found.values, expected.values) == "");
        CHECK(difference(found.end, expected.end) == "");
        CHECK(found.outcome == expected.outcome);
      }
    }
    // Seeds have weights and examples of their own.
    CHECK(difference(alone.runs.at({0, 0}).values, alone.runs.at({0, 1}).values) != "");
  }
}

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

namespace {

std::vector<double> recorded(const Values& values, const std::string& name) {
  for (std::size_t v = 0; v < values.size(); ++v)
    if (course_variables()[v].name == name) return values[v];
  throw std::out_of_range(name);
}

MatrixXd kept(const Course& course, const std::string& name) {
  for (const auto& [known, matrix] : course.parameters())
    if (known == name) return matrix;
  throw std::out_of_range(name);
}

// A plan with one batch from each evaluation to the next.
std::string step_by_step(const std::string& learning, const std::string& network,
                         const std::string& rule) {
  return "network = { layers = [6, 5, 3], weights = { init = 'normal', std = 0.3 }" +
         (network.empty() ? "" : ", " + network) +
         " }\ndata = { kind = 'tanh_teacher', examples = 40, held_out = 0 }\n"
         "learning = { batch = 4, evaluate_every = 4, learning_rate = 0.05" +
         (learning.empty() ? "" : ", " + learning) + " }\nrule = [{ " + rule + " }]\n";
}

// Trains one batch, or none the first time.
Values go_on(Course& course) {
  const std::atomic<bool> never = false;
  course.advance(never);
  return course.evaluate();
}

}  // namespace

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

TEST_CASE("multiplications of a step are those of its equations", "[training]") {
  const std::string head =
      "[network]\n"
      "layers = [6, 5, 3]\n"
      "[data]\n"
      "kind = 'tanh_teacher'\n"
      "examples = 16\n"
      "[learning]\n"
      "batch = 4\n"
      "epochs = 2\n"
      "evaluate_every = 16\n"
      "compare = false\n";
  const auto counted = [&](const std::string& rule) {
    const Setting setting(head + "[[rule]]\n" + rule);
    const auto course = setting.course();
    const std::atomic<bool> pauses = false;
    std::vector<double> out;
    for (int step = 0; step < 3; ++step) {
      course->advance(pauses);
      const Values values = course->evaluate();
      for (std::size_t v = 0; v < values.size(); ++v)
        if (course_variables()[v].name == "multiplications") out.push_back(values[v][0]);
    }
    CHECK(std::isnan(out[0]));
    return std::vector<double>(out.begin() + 1, out.end());
  };
  const auto each = [](double n) { return std::vector<double>{n, n}; };
  // W_1 is 5 × 6, W_2 3 × 5. Forward and update take a product with both; credit one with W_2.
  const double both = 6 * 5 + 5 * 3, upper = 5 * 3;
  CHECK(counted("kind = 'bp'") == each(3 * both - 6 * 5));
  CHECK(counted("kind = 'fa'") == each(2 * both + upper));
  CHECK(counted("kind = 'dfa'") == each(2 * both + upper));
  CHECK(counted("kind = 'kolen_pollack'") == each(2 * both + 2 * upper));
  // W B (3 × 5 by 5 × 3) and its factors once a batch of 4, then 3² and B's 5 × 3 an example.
  CHECK(counted("kind = 'ndi'") == each(2 * both + (3 * 3 * 5 + 27 / 3) / 4.0 + 3 * 3 + upper));
  // Factors of each example's own.
  CHECK(counted("kind = 'ndi'\ninverse_gain = 'gauss_newton'") ==
        each(2 * both + 3 * 3 * 5 / 4.0 + 27 / 3 + 3 * 3 + upper));
  CHECK(counted("kind = 'pbp'") == each(2 * both + (10 * 27 + 4 * 9 * 5) / 4.0 + upper));
  // Two inversions, and in the noise phase up, down and the step of V.
  CHECK(counted("kind = 'target_propagation'") == each(2 * both + 2 * upper + 3 * upper));
  // Noise after each step of 4 examples: W ξ and ξ (W ξ)ᵀ, and before the first one for 16 examples.
  CHECK(counted("kind = 'weight_mirror'\nnoise_examples = 8\nnoise_before = 32") ==
        std::vector<double>{2 * both + upper + (8 / 4.0 + 32 / 16.0) * 2 * upper,
                            2 * both + upper + 8 / 4.0 * 2 * upper});
}

TEST_CASE("every rule tells of more multiplications than forward pass and update take",
          "[training]") {
  for (const auto& entry : rules().entries()) {
    INFO(entry.name);
    const Setting setting(
        "[network]\nlayers = [6, 5, 4, 3]\n[data]\nkind = 'tanh_teacher'\nexamples = 8\n"
        "[learning]\nbatch = 4\ncompare = false\nevaluate_every = 8\n[[rule]]\nkind = '" +
        entry.name + "'\n");
    const auto course = setting.course();
    const std::atomic<bool> pauses = false;
    course->evaluate();
    course->advance(pauses);
    const Values values = course->evaluate();
    for (std::size_t v = 0; v < values.size(); ++v)
      if (course_variables()[v].name == "multiplications")
        CHECK(values[v][0] > 2 * (6 * 5 + 5 * 4 + 4 * 3));
  }
}

}  // namespace settle::learning
