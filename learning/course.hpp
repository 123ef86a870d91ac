// One rule that trains one network on one data set: a run of training.
#pragma once

#include <atomic>

#include "learning/training.hpp"

namespace settle::learning {

/// A number, or one for each layer 1 … L, that is recorded at an evaluation.
struct Variable {
  std::string name, unit, long_name;
  bool per_layer = false;
};
/// What a course records at every evaluation, in the order of Course::evaluate().
const std::vector<Variable>& course_variables();

/// How a course stands; diverged: its numbers left all bounds; failed: its rule could not be computed.
enum class CourseOutcome { running, trained, diverged, failed };

/// A rule's way through the examples. Its numbers depend on the plan, the rule and the seed alone: not on what
/// runs beside it, and not on where it was interrupted.
class Course {
 public:
  virtual ~Course() = default;

  /// Trains up to the next evaluation, or until `pauses` is set: then to the end of the batch at hand. Whether
  /// it came to the evaluation, or to its end before (outcome()).
  virtual bool advance(const std::atomic<bool>& pauses) = 0;
  /// The values of course_variables() now: one each, or one a layer; NaN where there is none. What is counted
  /// (failures to settle, interventions) is since the last evaluation.
  virtual std::vector<std::vector<double>> evaluate() = 0;
  /// Everything that changes, for a checkpoint of a course that was evaluated wherever it was due, or is over.
  virtual void state(StateVisitor& visitor) = 0;
  /// W_l, b_l and what normalises layers, by name, as they are now.
  virtual std::vector<std::pair<std::string, MatrixXd>> parameters() const = 0;

  const Schedule& schedule() const { return schedule_; }
  CourseOutcome outcome() const { return outcome_; }
  const std::string& reason() const { return reason_; }
  std::int64_t batches() const { return batches_; }
  /// Examples seen; any thread may ask.
  std::int64_t examples() const { return schedule_.examples_after(batches_); }
  /// How many evaluations are behind it.
  std::size_t evaluated() const { return evaluated_; }
  double last_error() const { return last_error_; }  ///< on held-out data, else on training data

 protected:
  Course(const LearningSpec& learning, Index available) : schedule_(learning, available) {}

  Schedule schedule_;
  std::atomic<std::int64_t> batches_ = 0;
  std::size_t evaluated_ = 0;
  CourseOutcome outcome_ = CourseOutcome::running;
  std::string reason_;
  std::atomic<double> last_error_ = std::numeric_limits<double>::quiet_NaN();
};

/// The course of a plan's rule with a seed, on data that outlive it.
/// @throws InputError  where the rule does not fit the network
std::unique_ptr<Course> make_course(const Plan& plan, const RuleSpec& rule, std::int64_t seed,
                                    const DataSet& data);

}  // namespace settle::learning
