// Courses of small plans: how they are run, and what is read of them.
#pragma once

#include <cstring>
#include <map>
#include <stdexcept>

#include "learning/forward_feedback.hpp"
#include "learning/trainer.hpp"
#include "tests/learning/exercise.hpp"

namespace settle::learning {

using test::Setting;
using Values = std::vector<std::vector<double>>;

/// What became of a course.
struct Run {
  std::vector<Values> values;
  Snapshot end;
  CourseOutcome outcome = CourseOutcome::running;
  std::string reason;
  std::size_t interruptions = 0;
};

/// A matrix of a checkpoint.
inline MatrixXd kept(const Snapshot& snapshot, const std::string& name) {
  for (const auto& [known, number] : snapshot.numbers)
    if (known == name) return std::get<MatrixXd>(number);
  throw std::out_of_range(name);
}

/// Final parameters of a course.
inline MatrixXd kept(const Course& course, const std::string& name) {
  for (const auto& [known, matrix] : course.parameters())
    if (known == name) return matrix;
  throw std::out_of_range(name);
}

/// A variable of an evaluation.
inline std::vector<double> recorded(const Values& values, const std::string& name) {
  for (std::size_t v = 0; v < values.size(); ++v)
    if (course_variables()[v].name == name) return values[v];
  throw std::out_of_range(name);
}

/// All that a training tells of.
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

inline Collector train_all(const Setting& setting) {
  Collector collector;
  train(setting.plan, setting.data, collector);
  return collector;
}

/// Trains one batch, or none the first time.
inline Values go_on(Course& course) {
  const std::atomic<bool> never = false;
  course.advance(never);
  return course.evaluate();
}

// --- The same bits -------------------------------------------------------------------------------

template <class T>
bool same_bits(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;  // NaN is as good as any other
}
template <class S>
bool same_bits(const Matrix<S>& a, const Matrix<S>& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols()) return false;
  // An empty matrix has no data, which memcmp must not be given.
  return a.size() == 0 ||
         std::memcmp(a.data(), b.data(), sizeof(S) * static_cast<std::size_t>(a.size())) == 0;
}
inline bool same_bits(const std::string& a, const std::string& b) { return a == b; }

// What differs first between two states; "" where they are the same bits.
inline std::string difference(const Snapshot& a, const Snapshot& b) {
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
inline std::string difference(const std::vector<Values>& a, const std::vector<Values>& b) {
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

inline void restore(Course& course, const Snapshot& snapshot) {
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

// Trains to the end; with a bell, by a new course after every batch.
inline Run run(const Setting& setting, std::size_t rule = 0, Bell* bell = nullptr) {
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
inline std::string parameters(const std::string& rule) {
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
inline std::string small_plan(const std::string& learning, const std::string& network,
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

inline bool fits(const std::string& plan) {
  try {
    Setting(plan).course();
    return true;
  } catch (const core::InputError&) {
    return false;
  }
}

}  // namespace settle::learning
