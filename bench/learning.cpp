// What an epoch costs by each rule, beside backpropagation in the same program: `make bench-learning`.
//
// A network of 784-1000-10 tanh units with a softmax output learns online from random images, on one thread.
// The rules take turns, some hundred examples each, every one from the same weights; the table gives the
// median time of an example, its ratio to that of backpropagation, and how far the rule's hidden error is from
// its closed form (NDI) on the last example.
#include <tbb/global_control.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "bench/contender.hpp"
#include "learning/layerwise.hpp"
#include "learning/update.hpp"
#include "sim/core/random.hpp"
#include "sim/io/toml.hpp"

namespace settle::bench {
namespace {

using namespace learning;

constexpr Index inputs = 784, examples = 256;

struct Images {
  MatrixXd x{inputs, examples}, t{MatrixXd::Zero(10, examples)};
  Images() {
    const core::RandomStream stream(1, "images");
    for (Index k = 0; k < examples; ++k) {
      for (Index i = 0; i < inputs; ++i)
        x(i, k) = stream.normal(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(k));
      t(k % 10, k) = 1;
    }
  }
};

// One rule at work on a network of its own.
class Learner {
 public:
  virtual ~Learner() = default;
  /// Seconds that so many examples take.
  virtual double seconds(Index count) = 0;
  /// |δ_1 − NDI's| / |NDI's| of the last example; NaN for rules without feedback of a loop.
  virtual double distance_to_rest() const = 0;
  std::string name;
  std::vector<double> samples;
};

template <class S>
class LearnerOf final : public Learner {
 public:
  LearnerOf(const std::string& name_, const Images& images, const std::string& rule, Index batch,
            bool is_plain)
      : x_(images.x.cast<S>()),
        t_(images.t.cast<S>()),
        batch_(batch),
        network_(make_network<S>(spec(), 1, ".")),
        rule_(read_rule(io::parse_toml(rule, "rule"), "rule")
                  ->make(network_, {.decay = decay, .is_plain = is_plain})),
        updater_(learning(batch), network_) {
    name = name_;
  }

  double seconds(Index count) override {
    const Stopwatch watch;
    for (Index k = 0; k < count; k += batch_) {
      const Index first = k % (examples - batch_ + 1);
      inputs_ = x_.middleCols(first, batch_);
      targets_ = t_.middleCols(first, batch_);
      network_.forward(inputs_, activity_, true);
      output_error<S>(Loss::cross_entropy, network_.kind, activity_.output(), targets_, error_);
      const Lesson<S> lesson{network_, activity_,           targets_,
                             error_,   Loss::cross_entropy, static_cast<std::uint64_t>(k)};
      rule_->assign(lesson, credit_);
      if (k + batch_ >= count) compare(lesson);
      updater_.move(network_, activity_, credit_);
      rule_->learn(lesson, credit_, rate);
    }
    return watch.seconds();
  }
  double distance_to_rest() const override { return distance_; }

 private:
  static constexpr double rate = 0.001, decay = 1e-6;
  static NetworkSpec spec() {
    NetworkSpec out;
    out.layers = {inputs, 1000, 10};
    out.output = "softmax";
    const core::Value small =
        io::parse_toml("init = \"uniform\"\nlow = -0.01\nhigh = 0.01\n", "weights");
    out.weights = {models::read_init(small, "weights")};
    return out;
  }
  static LearningSpec learning(Index batch) {
    LearningSpec out;
    out.learning_rate = rate;
    out.decay = decay;
    out.batch = batch;
    return out;
  }
  void compare(const Lesson<S>& lesson) {
    if (rule_->feedback_sign() > 0) return;
    Credit<S> rest;
    ndi_credit(lesson, rule_->feedback(network_), VectorXd::Constant(1, rule_->inverse_gain()),
               rest, rule_->is_linearised());
    distance_ = static_cast<double>((credit_.post[1] - rest.post[1]).norm() / rest.post[1].norm());
  }

  Matrix<S> x_, t_, inputs_, targets_, error_;
  Index batch_;
  Network<S> network_;
  std::unique_ptr<Rule<S>> rule_;
  Updater<S> updater_;
  Activity<S> activity_;
  Credit<S> credit_;
  double distance_ = std::nan("");
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(int argc, char** argv) {
  CLI::App app("What an example costs by each rule, beside backpropagation");
  int rounds = 9;
  Index count = 256;
  app.add_option("--rounds", rounds, "samples of each rule")->check(CLI::Range(1, 1000));
  app.add_option("--examples", count, "examples a sample")->check(CLI::Range(1, 1'000'000));
  app.add_flag("--cpu", processor_time, "processor time in place of the clock's");
  CLI11_PARSE(app, argc, argv);
  const tbb::global_control limit(tbb::global_control::max_allowed_parallelism, 1);

  const Images images;
  const std::string di = "kind = \"di\"\nleak = 0.01\n";
  for (const Index batch : {Index{1}, Index{64}}) {
    std::vector<std::unique_ptr<Learner>> learners;
    const auto add = [&]<class S>(S, const std::string& name, const std::string& rule,
                                  bool is_plain = true) {
      learners.push_back(std::make_unique<LearnerOf<S>>(name, images, rule, batch, is_plain));
    };
    add(0.0, "bp", "kind = \"bp\"\n");
    add(0.0f, "bp, float32", "kind = \"bp\"\n");
    add(0.0, "fa", "kind = \"fa\"\nfeedback = { init = \"uniform\" }\n");
    add(0.0, "ndi", "kind = \"ndi\"\nleak = 0.01\n");
    add(0.0, "ndi, linearised loop", "kind = \"ndi\"\nleak = 0.01\nloop = \"linearised\"\n");
    add(0.0, "di, integrated", di);
    add(0.0, "di, integrated, WB anew", di, false);
    add(0.0, "di, integrated, tanh loop", di + "loop = \"transfer\"\n");
    add(0.0, "di, integrated, linearised", di + "loop = \"linearised\"\n");
    add(0.0, "di, at rest", di + "accuracy = \"rest\"\n");
    add(0.0, "di, the paper's scheme", di + "accuracy = \"paper\"\n");
    for (auto& learner : learners) learner->seconds(batch);  // memory and caches
    for (int round = 0; round < rounds; ++round)
      for (std::size_t k = 0; k < learners.size(); ++k) {
        Learner& next = *learners[(k + static_cast<std::size_t>(round)) % learners.size()];
        next.samples.push_back(next.seconds(count) / static_cast<double>(count));
      }
    std::printf("\n784-1000-10, tanh, softmax, batches of %td, one thread\n", batch);
    std::printf("  %-28s %12s %10s %14s\n", "rule", "an example", "to bp's", "from its rest");
    const double own = median(learners.front()->samples);
    for (const auto& learner : learners) {
      const double time = median(learner->samples);
      std::printf("  %-28s %9.1f µs %10.2f ", learner->name.c_str(), time * 1e6, time / own);
      if (std::isfinite(learner->distance_to_rest()))
        std::printf("%13.1e\n", learner->distance_to_rest());
      else
        std::printf("\n");
    }
  }
  return 0;
}

}  // namespace
}  // namespace settle::bench

int main(int argc, char** argv) { return settle::bench::run(argc, argv); }
