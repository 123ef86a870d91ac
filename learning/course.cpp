#include "learning/course.hpp"

#include <chrono>
#include <cmath>

#include "learning/compare.hpp"
#include "learning/forward_feedback.hpp"
#include "learning/layerwise.hpp"
#include "learning/multiplications.hpp"
#include "learning/update.hpp"

namespace settle::learning {
namespace {

using Clock = std::chrono::steady_clock;
const double nan = std::numeric_limits<double>::quiet_NaN();

// Examples that are evaluated at a time.
constexpr Index evaluated_at_once = 1024;

// Outputs of a batch for which a Gauss–Newton step is made.
constexpr Index most_outputs = 1000;

// What a rule's last update was beside others, per layer; angles in degrees.
struct Comparison {
  explicit Comparison(Index depth) {
    for (auto* list : {&bp, &pbp, &ndi, &gauss_newton, &feedback, &departure, &exact, &paper})
      list->assign(static_cast<std::size_t>(depth), nan);
  }
  std::vector<double> bp, pbp, ndi, gauss_newton, feedback, departure, exact, paper;
  // Of all layers together.
  double whole_gauss_newton = nan, whole_minimum_norm = nan;
  double row_space = nan, norm_spread = nan;
};

struct Evaluation {
  double loss = nan;   // mean
  double error = nan;  // share of wrong classes, or mean squared error of an output
  bool is_finite = true;
};

// Of a pass with feedback left on.
struct ForwardResult {
  explicit ForwardResult(Index depth)
      : displacement(static_cast<std::size_t>(depth), nan), share_of_bound(displacement) {}
  double error = nan;
  std::vector<double> displacement, share_of_bound;  // by layer
  double unsettled = nan;                            // loops
};

// What has failed since a course began, and why the first did.
struct Failures {
  std::int64_t count = 0;
  std::string first;

  void add(std::int64_t more, const std::string& why) {
    count += more;
    if (first.empty()) first = why;
  }
  void state(StateVisitor& visitor, const std::string& name) {
    visitor.integer(name, count);
    visitor.text("first_" + name, first);
  }
  // "2 circuits did not settle: diverged …"; "" where all did.
  std::string text(const std::string& one, const std::string& several,
                   const std::string& what) const {
    if (count == 0) return "";
    return std::to_string(count) + " " + (count == 1 ? one : several) + " " + what +
           (first.empty() ? "" : ": " + first);
  }
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
        learning_(learning_of(plan.learning, rule)),
        updater_(learning_, network_) {
    const RuleContext context{.seed = seed_,
                              .base = plan.base,
                              .decay = learning_.decay,
                              .is_plain = learning_.optimiser == "sgd"};
    rule_ = rule.kind->make(network_, context);
    if (scaling_ == "matched") reference_ = rules().find("bp")->make()->make(network_, context);
    credit_.reset(network_.weights.size());
    norms_.assign(network_.weights.size(), nan);
    comparison_ = Comparison(network_.depth());
  }

  bool advance(const std::atomic<bool>& pauses) override {
    const auto start = Clock::now();
    const std::int64_t goal = schedule_.evaluations()[evaluated_];
    while (batches_ < goal && outcome_ == CourseOutcome::running) {
      if (pauses.load(std::memory_order_relaxed)) break;
      try {
        train_batch();
      } catch (const std::runtime_error& error) {
        fail(error.what());
      }
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
    unsettled_.add(settling.unsettled, settling.first_failure);
    ForwardResult forward(network_.depth());
    look([&] { evaluate_forward(held_out.is_finite, forward); });
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
        comparison_.bp,
        comparison_.pbp,
        comparison_.ndi,
        comparison_.departure,
        comparison_.gauss_newton,
        {comparison_.whole_gauss_newton},
        {comparison_.whole_minimum_norm},
        comparison_.feedback,
        {comparison_.row_space},
        {comparison_.norm_spread},
        comparison_.exact,
        comparison_.paper,
        {static_cast<double>(settling.unsettled)},
        // What is put into rest takes no time.
        {settling.time > 0 ? share(settling.time, settling.examples - settling.unsettled) : nan},
        {share(settling.evaluations, settling.examples)},
        {examples > 0 ? (multiplications_ + settling.multiplications) / examples : nan},
        {static_cast<double>(settling.unstable)},
        {static_cast<double>(settling.unstable_paper)},
        {static_cast<double>(settling.interventions)},
        {forward.error},
        forward.displacement,
        forward.share_of_bound,
        {forward.unsettled},
    };
    seconds_ = 0;
    // What came before the first step is shared by the examples that come next.
    multiplications_ = examples > 0 ? 0 : multiplications_ + settling.multiplications;
    examples_then_ = this->examples();
    last_error_ = data_.held_out.count() > 0 ? held_out.error : training.error;
    ++evaluated_;
    // After the last step no further one would notice.
    if (outcome_ == CourseOutcome::running && !(training.is_finite && held_out.is_finite))
      end(CourseOutcome::diverged, "the network's error was infinite or NaN");
    if (outcome_ == CourseOutcome::running && batches_ == schedule_.batches()) {
      outcome_ = CourseOutcome::trained;
      for (const std::string& text :
           {unsettled_.text("circuit", "circuits", "did not settle"),
            unsettled_forward_.text("loop", "loops", "did not settle with feedback left on"),
            looks_.text("comparison or search for poles", "comparisons or searches for poles",
                        "failed")})
        if (!text.empty()) reason_ += (reason_.empty() ? "" : "; ") + text;
    }
    return out;
  }

  void state(StateVisitor& visitor) override {
    std::int64_t batches = batches_;
    visitor.integer("batches", batches);
    batches_ = batches;
    auto evaluated = static_cast<std::int64_t>(evaluated_);
    visitor.integer("evaluated", evaluated);
    evaluated_ = static_cast<std::size_t>(evaluated);
    auto outcome = static_cast<std::int64_t>(outcome_);
    visitor.integer("outcome", outcome);
    outcome_ = static_cast<CourseOutcome>(outcome);
    visitor.text("reason", reason_);
    double error = last_error_;
    visitor.number("last_error", error);
    last_error_ = error;
    visitor.integer("examples_then", examples_then_);
    for (std::size_t l = 1; l < norms_.size(); ++l)
      visitor.number("norm_" + std::to_string(l), norms_[l]);
    unsettled_.state(visitor, "unsettled");
    unsettled_forward_.state(visitor, "unsettled_with_feedback");
    looks_.state(visitor, "failed_looks");
    visitor.number("seconds", seconds_);
    visitor.number("multiplications", multiplications_);
    for_each_parameter(network_, [&](const std::string& name, auto& m) {
      Matrix<S> copy = m;
      visitor.matrix(name, copy);
      m = copy;
    });
    updater_.state(visitor);
    rule_->state(visitor);
    rule_->tally_state(visitor);
  }

  std::vector<std::pair<std::string, MatrixXd>> parameters() const override {
    std::vector<std::pair<std::string, MatrixXd>> out;
    for_each_parameter(network_, [&](const std::string& name, const auto& m) {
      out.emplace_back(name, m.template cast<double>());
    });
    return out;
  }

 private:
  static LearningSpec learning_of(LearningSpec learning, const RuleSpec& rule) {
    learning.learning_rate = rule.learning_rate.value_or(learning.learning_rate);
    learning.decay = rule.decay.value_or(learning.decay);
    if (rule.clip) learning.clip = {*rule.clip};
    return learning;
  }

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
    reason_ = std::move(reason) + " after " + std::to_string(examples()) + " example" +
              (examples() == 1 ? "" : "s");
  }

  // What a batch could not be taken through: no other course is to end with this one.
  void fail(const std::string& what) {
    constexpr double bound = 1e150;  // of numbers whose products are finite
    bool is_bounded = true;
    for_each_parameter(network_, [&](const std::string&, const auto& m) {
      is_bounded = is_bounded && (m.template cast<double>().array().abs() < bound).all();
    });
    if (is_bounded)
      end(CourseOutcome::failed, what + ",");
    else
      end(CourseOutcome::diverged, "the network's weights were beyond 1e150");
  }

  // Looks at the rule, of which training takes no notice.
  template <class Look>
  void look(const Look& at_it) {
    try {
      at_it();
    } catch (const std::runtime_error& error) {
      looks_.add(1, error.what());
    }
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

  // η of the batch at hand.
  double learning_rate() const {
    const double passed = static_cast<double>(batches_) / static_cast<double>(schedule_.batches());
    return learning_.learning_rate * (1 + (learning_.learning_rate_end - 1) * passed);
  }

  void train_batch() {
    take_batch();
    // An epoch's last batch may be a single example, which has no variance.
    const bool has_statistics = inputs_.cols() > 1;
    network_.forward(inputs_, activity_, has_statistics);
    output_error<S>(loss_, network_.kind, activity_.output(), targets_, error_);
    if (!error_.allFinite())
      return end(CourseOutcome::diverged, "the network's output was infinite or NaN");
    const Lesson<S> lesson{network_, activity_, targets_,
                           error_,   loss_,     static_cast<std::uint64_t>(examples())};
    rule_->assign(lesson, credit_);
    const bool is_evaluated = batches_ + 1 == schedule_.evaluations()[evaluated_];
    multiplications_ += products(network_, 1, activity_.count()) +
                        rule_->multiplications(network_, activity_.count());
    if (is_evaluated && learning_.compare) {
      const auto start = Clock::now();
      const auto own = activity_.credit;  // that others' credit goes over
      compare(lesson);
      activity_.credit = own;
      seconds_ -= std::chrono::duration<double>(Clock::now() - start).count();
    }
    updater_.clip(credit_);
    scale(lesson);
    if (reference_) multiplications_ += reference_->multiplications(network_, activity_.count());
    const double eta = learning_rate();
    updater_.set_rate(eta);
    const double rate = eta * updater_.share(activity_.count());
    if (batches_ > 0 || !plan_.learning.skip_first) {
      updater_.move(network_, activity_, credit_);
      for (Index l = 1; l <= network_.depth(); ++l)  // post_l pre_lᵀ
        multiplications_ += static_cast<double>(network_.w(l).size()) *
                            static_cast<double>(credit_.post[static_cast<std::size_t>(l)].cols());
      rule_->learn(lesson, credit_, rate);
      if (network_.is_normalised() && has_statistics)
        network_.note_statistics(activity_, plan_.network.normalisation_momentum);
    }
    ++batches_;
    if (!is_evaluated) return;
    for (Index l = 1; l <= network_.depth(); ++l)
      norms_[static_cast<std::size_t>(l)] =
          rate *
          update_norm(credit_.post[static_cast<std::size_t>(l)], credit_.pre_of(l, activity_));
  }

  // The rule's credit beside those of others, and its loops, in the state before it moves the network; each
  // comparison fails for itself.
  void compare(const Lesson<S>& lesson) {
    comparison_ = Comparison(network_.depth());
    Credit<S> other;
    const auto beside = [&](std::vector<double>& to) {
      const Angles found = angles(lesson, credit_, other);
      std::copy(found.layers.begin() + 1, found.layers.end(), to.begin());
      return found.all;
    };
    bp_credit(lesson, other);
    beside(comparison_.bp);
    look([&] {
      pbp_credit(lesson, other);
      beside(comparison_.pbp);
    });
    look([&] { compare_with_rest(lesson); });
    // The step is one of (d_L B)² numbers; a batch's own statistics make its examples depend on each other.
    if (lesson.error.size() <= most_outputs && !activity_.by_batch)
      look([&] {
        gauss_newton_credit(lesson, learning_.gauss_newton_damping, other);
        comparison_.whole_gauss_newton = beside(comparison_.gauss_newton);
      });
    if (!activity_.by_batch)
      look([&] {
        minimum_norm_credit(lesson, other);
        comparison_.whole_minimum_norm = angles(lesson, credit_, other).all;
        if (const auto q = rule_->output_feedback(); !q.empty())
          comparison_.row_space = feedback_in_row_space(lesson, q);
      });
    comparison_.norm_spread = norm_spread(activity_);
    look([&] {
      const auto loops = rule_->abscissas(lesson);
      const auto unseen =
          static_cast<std::ptrdiff_t>(comparison_.exact.size() - loops.exact.size());
      if (loops.exact.empty()) return;
      std::copy(loops.exact.begin(), loops.exact.end(), comparison_.exact.begin() + unseen);
      std::copy(loops.paper.begin(), loops.paper.end(), comparison_.paper.begin() + unseen);
    });
  }

  // With what its loops have at rest; nothing where it has no loops of one layer each, of one 1/G.
  void compare_with_rest(const Lesson<S>& lesson) {
    Credit<S> other;
    const std::vector<Matrix<S>> feedback = rule_->feedback(network_);
    const S sign = static_cast<S>(rule_->feedback_sign());
    const bool is_by_layer = feedback.size() == network_.weights.size() && network_.depth() > 1 &&
                             feedback[2].rows() == network_.w(2).cols();
    if (!is_by_layer) return;
    std::vector<Matrix<S>> inverting(feedback.size());
    for (std::size_t l = 2; l < feedback.size(); ++l) {
      inverting[l] = -sign * feedback[l];
      comparison_.feedback[l - 1] = feedback_angle(feedback[l], network_.weights[l], sign);
    }
    if (std::isnan(rule_->inverse_gain())) return;
    Activity<S> about_rest;
    if (rule_->is_about_rest()) about_rest = network_.about_rest(activity_);
    const Lesson<S> seen{network_, rule_->is_about_rest() ? about_rest : activity_,
                         targets_, error_,
                         loss_,    lesson.example};
    ndi_credit(seen, inverting, VectorXd::Constant(1, rule_->inverse_gain()), other,
               rule_->is_linearised());
    const Angles found = angles(lesson, credit_, other);
    std::copy(found.layers.begin() + 1, found.layers.end(), comparison_.ndi.begin());
    for (std::size_t l = 1; l + 1 < credit_.post.size(); ++l)
      comparison_.departure[l - 1] = departure(credit_.post[l], other.post[l]);
  }

  // Gives each layer's update the norm of backpropagation's, or norm 1.
  void scale(const Lesson<S>& lesson) {
    if (scaling_ == "free") return;
    if (reference_) {
      wanted_.reset(network_.weights.size());
      const auto own = activity_.credit;
      reference_->assign(lesson, wanted_);
      activity_.credit = own;
      updater_.clip(wanted_);
    }
    for (Index l = 1; l <= network_.depth(); ++l) {
      const auto k = static_cast<std::size_t>(l);
      const double own = update_norm(credit_.post[k], credit_.pre_of(l, activity_));
      const double wanted = reference_ ? update_norm(wanted_.post[k], wanted_.pre_of(l, activity_))
                                       : 1 / updater_.share(activity_.count());
      if (own > 0) credit_.post[k] *= static_cast<S>(wanted / own);
    }
  }

  // @param with_feedback  goes forward in the network's place, and leaves out what it can't judge
  Evaluation evaluate_on(const Examples& examples, Index count,
                         ForwardWithFeedback<S>* with_feedback = nullptr) const {
    if (count == 0) return {};
    double loss = 0, error = 0;
    Index judged = 0;
    bool is_finite = true;
    for (Index first = 0; first < count; first += evaluated_at_once) {
      const Index now = std::min(evaluated_at_once, count - first);
      const Matrix<S> inputs = examples.inputs.middleCols(first, now).template cast<S>();
      const Matrix<S> targets = examples.targets.middleCols(first, now).template cast<S>();
      const Matrix<S> outputs =
          with_feedback ? with_feedback->outputs(inputs, first) : network_.outputs(inputs);
      is_finite = is_finite && outputs.allFinite();
      loss += total_loss<S>(loss_, network_.kind, outputs, targets);
      for (Index c = 0; c < now; ++c) {
        if (with_feedback && !outputs.col(c).allFinite()) continue;
        ++judged;
        if (!data_.is_classification()) {
          error += static_cast<double>((outputs.col(c) - targets.col(c)).squaredNorm()) /
                   static_cast<double>(outputs.rows());
          continue;
        }
        Index chosen;
        outputs.col(c).maxCoeff(&chosen);
        error += chosen != examples.labels[static_cast<std::size_t>(first + c)];
      }
    }
    return {loss / static_cast<double>(count),
            judged > 0 ? error / static_cast<double>(judged) : nan,
            is_finite && std::isfinite(loss)};
  }

  // Held-out examples with feedback left on, where the rule has that and the network an answer without.
  void evaluate_forward(bool is_finite, ForwardResult& out) {
    if (!rule_->forward_feedback() || !is_finite || data_.held_out.count() == 0) return;
    ForwardWithFeedback<S> pass(network_, *rule_, seed_);
    out.error = evaluate_on(data_.held_out, data_.held_out.count(), &pass).error;
    out.displacement = pass.displacement();
    out.share_of_bound = pass.share_of_bound();
    const Settling settling = rule_->take_settling();
    unsettled_forward_.add(settling.unsettled, settling.first_failure);
    out.unsettled = static_cast<double>(settling.unsettled);
  }

  const Plan& plan_;
  const DataSet& data_;
  Loss loss_;
  std::uint64_t seed_;
  std::string scaling_;
  Network<S> network_;
  LearningSpec learning_;  // with what the rule has of its own
  Updater<S> updater_;
  std::unique_ptr<Rule<S>> rule_, reference_;
  Activity<S> activity_;
  Credit<S> credit_, wanted_;
  Matrix<S> inputs_, targets_, error_;
  std::vector<Index> order_;
  std::int64_t epoch_ = -1, examples_then_ = 0;
  std::vector<double> norms_;  // of the last update before an evaluation
  Comparison comparison_{0};
  double seconds_ = 0, multiplications_ = 0;  // since the last evaluation
  Failures unsettled_, unsettled_forward_, looks_;
};

}  // namespace

const std::vector<Variable>& course_variables() {
  static const std::vector<Variable> variables{
      {"train_loss", "1", "mean loss on training examples"},
      {"train_error", "1", "on training examples: share of wrong classes, or mean squared error"},
      {"test_loss", "1", "mean loss on held-out examples"},
      {"test_error", "1", "on held-out examples: share of wrong classes, or mean squared error"},
      {"seconds_per_example", "s", "time to train an example, since the last evaluation"},
      {"update_norm", "1",
       "learning rate times the Frobenius norm of W's last credit, after clip, before momentum, "
       "Adam and decay",
       true},
      {"angle_to_bp", "degree", "angle of the last update to backpropagation's", true},
      {"angle_to_pbp", "degree", "angle of the last update to that by pseudoinverses", true},
      {"angle_to_ndi", "degree",
       "angle of the last update to that of loops at rest with the rule's own feedback", true},
      {"departure_from_ndi", "1",
       "distance of the last hidden errors to NDI's with the rule's own feedback, over their norm",
       true},
      {"angle_to_gauss_newton", "degree", "angle of the last update to the Gauss-Newton step",
       true},
      {"whole_angle_to_gauss_newton", "degree",
       "angle of the last update of all layers together to the Gauss-Newton step"},
      {"whole_angle_to_minimum_norm", "degree",
       "angle of the last update of all layers together to each example's of least displacement"},
      {"feedback_angle", "degree", "angle of the feedback B to the transposed weights", true},
      {"feedback_in_row_space", "1",
       "share of the feedback Q's norm in the row space of the outputs' Jacobian"},
      {"norm_spread", "1", "spread of the norms of what layers hear, over their mean"},
      {"slowest_pole", "1/time",
       "max Re of the poles of the loop about a layer, but for -1/tau of what feedback doesn't "
       "move",
       true},
      {"paper_criterion", "1/time", "max Re of the eigenvalues of kWB - leak", true},
      {"unsettled", "1", "examples whose circuit did not settle, since the last evaluation"},
      {"settling_time", "1",
       "mean time to rest of those that did, in the circuit's unit; NaN where they are put into "
       "it"},
      {"evaluations", "1", "mean evaluations of a right-hand side an example"},
      {"multiplications", "1",
       "mean multiplications an example in products of matrices: forward pass, credit with "
       "settling, updates"},
      {"unstable", "1", "loops found unstable by the exact condition since the last evaluation"},
      {"unstable_paper", "1", "loops found unstable by the paper's condition"},
      {"interventions", "1", "corrections of feedback weights since the last evaluation"},
      {"test_error_with_feedback", "1", "test error with feedback left on in the forward pass"},
      {"displacement", "1", "mean norm by which feedback left on moves the layer's rate", true},
      {"displacement_to_bound", "1",
       "mean ratio of displacements to their bound for symmetric feedback", true},
      {"unsettled_with_feedback", "1", "loops left on in the forward pass that did not settle"},
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
