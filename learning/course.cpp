#include "learning/course.hpp"

#include <chrono>
#include <cmath>

#include "learning/update.hpp"

namespace settle::learning {
namespace {

using Clock = std::chrono::steady_clock;
const double nan = std::numeric_limits<double>::quiet_NaN();

// Examples that are evaluated at a time.
constexpr Index evaluated_at_once = 1024;

struct Evaluation {
  double loss = nan;   // mean
  double error = nan;  // share of wrong classes, or mean squared error of an output
};

template <class S>
class CourseOf final : public Course {
 public:
  CourseOf(const Plan& plan, const RuleSpec& rule, std::int64_t seed, const DataSet& data)
      : Course(plan.learning, data.training.count()),
        plan_(plan),
        data_(data),
        loss_(plan.learning.loss_of(plan.network)),
        seed_(static_cast<std::uint64_t>(seed)),
        scaling_(rule.scaling),
        network_(make_network<S>(plan.network, seed_, plan.base)),
        updater_(plan.learning, rule.learning_rate.value_or(plan.learning.learning_rate),
                 network_) {
    const RuleContext context{.seed = seed_,
                              .base = plan.base,
                              .learning_rate = updater_.rate(),
                              .momentum = plan.learning.momentum};
    rule_ = rule.kind->make(network_, context);
    if (scaling_ == "matched") reference_ = rules().find("bp")->make()->make(network_, context);
    credit_.reset(network_.weights.size());
    norms_.assign(network_.weights.size(), nan);
  }

  bool advance(const std::atomic<bool>& pauses) override {
    const auto start = Clock::now();
    const std::int64_t goal = schedule_.evaluations()[evaluated_];
    while (batches_ < goal && outcome_ == CourseOutcome::running) {
      if (pauses.load(std::memory_order_relaxed)) break;
      train_batch();
    }
    seconds_ += std::chrono::duration<double>(Clock::now() - start).count();
    return batches_ == goal || outcome_ != CourseOutcome::running;
  }

  std::vector<std::vector<double>> evaluate() override {
    const Index most = plan_.learning.evaluate_training;
    const Index count = data_.training.count();
    const Evaluation training =
        evaluate_on(data_.training, most > 0 ? std::min(most, count) : count);
    const Evaluation held_out = evaluate_on(data_.held_out, data_.held_out.count());
    const Settling settling = rule_->take_settling();
    const auto share = [&](double sum, std::int64_t of) {
      return of > 0 ? sum / static_cast<double>(of) : nan;
    };
    const double examples = static_cast<double>(this->examples() - examples_then_);
    std::vector<double> norms(norms_.begin() + 1, norms_.end());
    std::vector<std::vector<double>> out{
        {training.loss},
        {training.error},
        {held_out.loss},
        {held_out.error},
        {examples > 0 ? seconds_ / examples : nan},
        norms,
        {static_cast<double>(settling.unsettled)},
        {share(settling.time, settling.examples - settling.unsettled)},
        {share(settling.evaluations, settling.examples)},
        {static_cast<double>(settling.unstable)},
        {static_cast<double>(settling.unstable_paper)},
        {static_cast<double>(settling.interventions)},
    };
    seconds_ = 0;
    examples_then_ = this->examples();
    last_error_ = data_.held_out.count() > 0 ? held_out.error : training.error;
    ++evaluated_;
    if (outcome_ == CourseOutcome::running && batches_ == schedule_.batches())
      outcome_ = CourseOutcome::trained;
    return out;
  }

  void state(StateVisitor& visitor) override {
    std::int64_t batches = batches_;
    visitor.integer("batches", batches);
    batches_ = batches;
    auto evaluated = static_cast<std::int64_t>(evaluated_);
    visitor.integer("evaluated", evaluated);
    evaluated_ = static_cast<std::size_t>(evaluated);
    visitor.integer("examples_then", examples_then_);
    for (std::size_t l = 1; l < norms_.size(); ++l)
      visitor.number("norm_" + std::to_string(l), norms_[l]);
    for_each_parameter(network_, [&](const std::string& name, auto& m) {
      Matrix<S> copy = m;
      visitor.matrix(name, copy);
      m = copy;
    });
    updater_.state(visitor);
    rule_->state(visitor);
  }

  std::vector<std::pair<std::string, MatrixXd>> parameters() const override {
    std::vector<std::pair<std::string, MatrixXd>> out;
    for_each_parameter(network_, [&](const std::string& name, const auto& m) {
      out.emplace_back(name, m.template cast<double>());
    });
    return out;
  }

 private:
  template <class N, class Visit>
  static void for_each_parameter(N& network, const Visit& visit) {
    for (std::size_t l = 1; l < network.weights.size(); ++l) {
      const std::string layer = "_" + std::to_string(l);
      visit("W" + layer, network.weights[l]);
      if (network.has_biases()) visit("b" + layer, network.biases[l]);
      if (!network.is_normalised() || l + 1 == network.weights.size()) continue;
      auto& normal = network.normalisations[l];
      visit("scale" + layer, normal.scale);
      visit("shift" + layer, normal.shift);
      visit("mean" + layer, normal.mean);
      visit("variance" + layer, normal.variance);
    }
  }

  void end(CourseOutcome outcome, std::string reason) {
    outcome_ = outcome;
    reason_ = std::move(reason) + " after " + std::to_string(examples()) + " examples";
  }

  // The examples of the batch that is next, into inputs_ and targets_.
  void take_batch() {
    const Index available = schedule_.available();
    const std::int64_t an_epoch = (available + schedule_.batch() - 1) / schedule_.batch();
    const std::int64_t epoch = batches_ / an_epoch;
    if (epoch != epoch_) order_ = epoch_order(seed_, epoch, available, plan_.learning.shuffle);
    epoch_ = epoch;
    const Index first = batches_ % an_epoch * schedule_.batch();
    const Index count = std::min(schedule_.batch(), available - first);
    inputs_.resize(data_.training.inputs.rows(), count);
    targets_.resize(data_.training.targets.rows(), count);
    for (Index c = 0; c < count; ++c) {
      const Index example = order_[static_cast<std::size_t>(first + c)];
      inputs_.col(c) = data_.training.inputs.col(example).template cast<S>();
      targets_.col(c) = data_.training.targets.col(example).template cast<S>();
    }
  }

  void train_batch() {
    take_batch();
    network_.forward(inputs_, activity_, true);
    output_error<S>(loss_, network_.kind, activity_.output(), targets_, error_);
    if (!error_.allFinite())
      return end(CourseOutcome::diverged, "the network's output left the numbers");
    const Lesson<S> lesson{network_, activity_, targets_,
                           error_,   loss_,     static_cast<std::uint64_t>(examples())};
    rule_->assign(lesson, credit_);
    updater_.clip(credit_);
    scale(lesson);
    if (batches_ > 0 || !plan_.learning.skip_first) {
      updater_.move(network_, activity_, credit_);
      rule_->learn(lesson, credit_, updater_.rate());
    }
    if (network_.is_normalised())
      network_.note_statistics(activity_, plan_.network.normalisation_momentum);
    ++batches_;
    if (batches_ != schedule_.evaluations()[evaluated_]) return;
    for (Index l = 1; l <= network_.depth(); ++l)
      norms_[static_cast<std::size_t>(l)] =
          updater_.rate() *
          update_norm(credit_.post[static_cast<std::size_t>(l)], credit_.pre_of(l, activity_));
  }

  // Gives each layer's update the norm of backpropagation's, or norm 1.
  void scale(const Lesson<S>& lesson) {
    if (scaling_ == "free") return;
    if (reference_) {
      wanted_.reset(network_.weights.size());
      reference_->assign(lesson, wanted_);
    }
    for (Index l = 1; l <= network_.depth(); ++l) {
      const auto k = static_cast<std::size_t>(l);
      const double own = update_norm(credit_.post[k], credit_.pre_of(l, activity_));
      const double wanted =
          reference_ ? update_norm(wanted_.post[k], wanted_.pre_of(l, activity_)) : 1.0;
      if (own > 0) credit_.post[k] *= static_cast<S>(wanted / own);
    }
  }

  Evaluation evaluate_on(const Examples& examples, Index count) const {
    if (count == 0) return {};
    double loss = 0, error = 0;
    for (Index first = 0; first < count; first += evaluated_at_once) {
      const Index now = std::min(evaluated_at_once, count - first);
      const Matrix<S> inputs = examples.inputs.middleCols(first, now).template cast<S>();
      const Matrix<S> targets = examples.targets.middleCols(first, now).template cast<S>();
      const Matrix<S> outputs = network_.outputs(inputs);
      loss += total_loss<S>(loss_, network_.kind, outputs, targets);
      if (data_.classes == 0 || examples.labels.empty()) {
        error += static_cast<double>((outputs - targets).squaredNorm()) /
                 static_cast<double>(outputs.rows());
        continue;
      }
      for (Index c = 0; c < now; ++c) {
        Index chosen;
        outputs.col(c).maxCoeff(&chosen);
        error += chosen != examples.labels[static_cast<std::size_t>(first + c)];
      }
    }
    return {loss / static_cast<double>(count), error / static_cast<double>(count)};
  }

  const Plan& plan_;
  const DataSet& data_;
  Loss loss_;
  std::uint64_t seed_;
  std::string scaling_;
  Network<S> network_;
  Updater<S> updater_;
  std::unique_ptr<Rule<S>> rule_, reference_;
  Activity<S> activity_;
  Credit<S> credit_, wanted_;
  Matrix<S> inputs_, targets_, error_;
  std::vector<Index> order_;
  std::int64_t epoch_ = -1, examples_then_ = 0;
  std::vector<double> norms_;  // of the last update before an evaluation
  double seconds_ = 0;
};

}  // namespace

const std::vector<Variable>& course_variables() {
  static const std::vector<Variable> variables{
      {"train_loss", "1", "mean loss on training examples"},
      {"train_error", "1", "on training examples: share of wrong classes, or mean squared error"},
      {"test_loss", "1", "mean loss on held-out examples"},
      {"test_error", "1", "on held-out examples: share of wrong classes, or mean squared error"},
      {"seconds_per_example", "s", "time to train an example, since the last evaluation"},
      {"update_norm", "1", "Frobenius norm of the last update of W", true},
      {"unsettled", "1", "examples whose circuit did not settle, since the last evaluation"},
      {"settling_time", "1", "mean time to rest of those that did, in the circuit's unit"},
      {"evaluations", "1", "mean evaluations of a right-hand side an example"},
      {"unstable", "1", "loops found unstable by the exact condition since the last evaluation"},
      {"unstable_paper", "1", "loops found unstable by the paper's condition"},
      {"interventions", "1", "corrections of feedback weights since the last evaluation"},
  };
  return variables;
}

std::unique_ptr<Course> make_course(const Plan& plan, const RuleSpec& rule, std::int64_t seed,
                                    const DataSet& data) {
  if (plan.network.precision == "float32")
    return std::make_unique<CourseOf<float>>(plan, rule, seed, data);
  return std::make_unique<CourseOf<double>>(plan, rule, seed, data);
}

}  // namespace settle::learning
