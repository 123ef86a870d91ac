// All rules and seeds of a plan, side by side on all cores.
#pragma once

#include <functional>
#include <variant>

#include "learning/course.hpp"

namespace settle::learning {

/// Which course of a plan: an index into its rules, and one into its seeds.
struct CourseId {
  std::size_t rule = 0, seed = 0;
};

/// A course's numbers as a checkpoint keeps them, in the order in which they were visited.
struct Snapshot {
  using Number = std::variant<MatrixXd, Eigen::MatrixXf, std::int64_t, double, std::string>;
  std::vector<std::pair<std::string, Number>> numbers;
};
Snapshot take_snapshot(const Course& course);

/// Follows training. Every function may be called from any thread, one at a time.
class TrainingObserver {
 public:
  virtual ~TrainingObserver() = default;
  /// A course has come to an evaluation, Schedule::evaluations()[step].
  virtual void evaluated(CourseId id, std::size_t step,
                         const std::vector<std::vector<double>>& values) = 0;
  /// A course is over, or the training ends before it is.
  virtual void ended(CourseId id, const Course& course) = 0;
  /// What to go on from; of every course that is not over, about every checkpoint_every seconds and at the end.
  virtual void keep(CourseId id, Snapshot snapshot) = 0;
  /// A few times a second. False: the training is to end, after each course's batch at hand.
  virtual bool proceed(const std::vector<const Course*>& courses) = 0;
};

/// The examples of each seed of the plan: one set for all where nothing in it is drawn.
/// @throws InputError  for data that are damaged, do not fit the network, or are no probabilities for a cross-entropy
std::vector<std::shared_ptr<const DataSet>> load_data(const Plan& plan, const DataRequest& request);

/// Trains every rule of the plan with every seed on the examples of that seed. A course's bits do not depend
/// on the others, nor on the number of threads. `begin` may put a course where it was kept before; where it
/// returns false, the course is over and left out.
/// @throws InputError  for rules that do not fit the network
void train(const Plan& plan, const std::vector<std::shared_ptr<const DataSet>>& data,
           TrainingObserver& observer, const std::function<bool(CourseId, Course&)>& begin = {});

}  // namespace settle::learning
