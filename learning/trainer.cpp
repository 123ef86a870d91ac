#include "learning/trainer.hpp"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <chrono>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace settle::learning {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds look_every{100};

class SnapshotMaker final : public StateVisitor {
 public:
  explicit SnapshotMaker(Snapshot& snapshot) : snapshot_(snapshot) {}
  void matrix(const std::string& name, MatrixXd& m) override { add(name, m); }
  void matrix(const std::string& name, Eigen::MatrixXf& m) override { add(name, m); }
  void integer(const std::string& name, std::int64_t& n) override { add(name, n); }
  void number(const std::string& name, double& x) override { add(name, x); }
  void text(const std::string& name, std::string& text) override { add(name, text); }

 private:
  void add(const std::string& name, Snapshot::Number number) {
    snapshot_.numbers.emplace_back(name, std::move(number));
  }
  Snapshot& snapshot_;
};

// A course with what the thread that looks on asks of it.
struct Runner {
  CourseId id;
  std::unique_ptr<Course> course;
  std::atomic<bool> pauses = false;
};

class Training {
 public:
  Training(const Plan& plan, TrainingObserver& observer) : plan_(plan), observer_(observer) {}

  void add(CourseId id, std::unique_ptr<Course> course) {
    runners_.push_back(std::make_unique<Runner>(id, std::move(course)));
  }

  void run() {
    std::thread looker([this] { look_on(); });
    std::exception_ptr failure;
    try {
      tbb::parallel_for(
          std::size_t{0}, runners_.size(), [this](std::size_t k) { run(*runners_[k]); },
          tbb::simple_partitioner{});
    } catch (...) {
      failure = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    wake_.notify_all();
    looker.join();
    if (failure) std::rethrow_exception(failure);
  }

 private:
  void run(Runner& runner) {
    Course& course = *runner.course;
    while (course.outcome() == CourseOutcome::running) {
      // A thread that waits in a circuit's own loop must not take up another course there.
      const bool arrived =
          tbb::this_task_arena::isolate([&] { return course.advance(runner.pauses); });
      if (!arrived) {
        runner.pauses = false;
        keep(runner);
        if (stops_) break;
        continue;
      }
      const std::size_t step = course.evaluated();
      const auto values = course.evaluate();
      const std::lock_guard lock(mutex_);
      observer_.evaluated(runner.id, step, values);
    }
    const std::lock_guard lock(mutex_);
    observer_.ended(runner.id, course);
  }

  void keep(Runner& runner) {
    Snapshot snapshot = take_snapshot(*runner.course);
    const std::lock_guard lock(mutex_);
    observer_.keep(runner.id, std::move(snapshot));
  }

  // Shows the progress, asks for checkpoints, and ends the training where the observer says so.
  void look_on() {
    std::vector<const Course*> courses;
    for (const auto& runner : runners_) courses.push_back(runner->course.get());
    auto last = Clock::now();
    const std::chrono::duration<double> between(plan_.learning.checkpoint_every);
    std::unique_lock lock(mutex_);
    while (!over_) {
      wake_.wait_for(lock, look_every);
      if (!stops_ && !observer_.proceed(courses)) stops_ = true;
      const bool is_due = Clock::now() - last >= between;
      if (is_due) last = Clock::now();
      if (stops_ || is_due)
        for (const auto& runner : runners_) runner->pauses = true;
    }
  }

  const Plan& plan_;
  TrainingObserver& observer_;
  std::vector<std::unique_ptr<Runner>> runners_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::atomic<bool> stops_ = false;
};

// Cross-entropy is bounded below for probabilities alone.
void check_targets(const Plan& plan, const Examples& examples) {
  if (plan.learning.loss_of(plan.network) != Loss::cross_entropy) return;
  constexpr double rounding = 0.01;  // of probabilities as people write them
  const bool is_softmax = plan.network.output == "softmax";
  for (Index c = 0; c < examples.count(); ++c) {
    const auto t = examples.targets.col(c);
    if (t.minCoeff() >= 0 && t.maxCoeff() <= 1 &&
        (!is_softmax || std::abs(t.sum() - 1) <= rounding))
      continue;
    plan.learning.place.fail(
        "loss",
        "cross-entropy of targets from " + core::brief(t.minCoeff()) + " to " +
            core::brief(t.maxCoeff()) + (is_softmax ? " that sum to " + core::brief(t.sum()) : ""),
        std::string("targets from 0 to 1") + (is_softmax ? " that sum to 1" : "") +
            ", or loss = \"squared_error\"");
  }
}

}  // namespace

Snapshot take_snapshot(const Course& course) {
  Snapshot snapshot;
  SnapshotMaker maker(snapshot);
  const_cast<Course&>(course).state(maker);  // a maker only reads
  return snapshot;
}

std::vector<std::shared_ptr<const DataSet>> load_data(const Plan& plan,
                                                      const DataRequest& request) {
  std::vector<std::shared_ptr<const DataSet>> out;
  for (const std::int64_t seed : plan.seeds) {
    if (!out.empty() && !plan.data->is_drawn()) {
      out.push_back(out.front());
      continue;
    }
    DataRequest own = request;
    own.seed = static_cast<std::uint64_t>(seed);
    out.push_back(std::make_shared<const DataSet>(plan.data->load(own)));
    for (const Examples* examples : {&out.back()->training, &out.back()->held_out})
      check_targets(plan, *examples);
  }
  return out;
}

void train(const Plan& plan, const std::vector<std::shared_ptr<const DataSet>>& data,
           TrainingObserver& observer, const std::function<bool(CourseId, Course&)>& begin) {
  Training training(plan, observer);
  for (std::size_t s = 0; s < plan.seeds.size(); ++s)
    for (std::size_t r = 0; r < plan.rules.size(); ++r) {
      const CourseId id{r, s};
      auto course = make_course(plan, plan.rules[r], plan.seeds[s], *data[s]);
      if (!begin || begin(id, *course)) training.add(id, std::move(course));
    }
  training.run();
}

}  // namespace settle::learning
