// What an epoch costs by each rule, beside backpropagation in the same program: `make bench-learning`.
//
// Networks of tanh units with a softmax output learn from random images, on one thread: 784-1000-10, whose loop is
// narrow, and 784-300-300-10, one of whose loops is wide. The rules take turns, some hundred examples each, every one
// from the same weights; the table gives the median time of an example, its ratio to that of backpropagation, and how
// far the rule's hidden error is from its closed form (NDI) on the last example.
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
  LearnerOf(const std::string& name_, const Images& images, const std::vector<Index>& layers,
            const std::string& rule, Index batch, bool is_plain)
      : x_(images.x.cast<S>()),
        t_(images.t.cast<S>()),
        batch_(batch),
        network_(make_network<S>(spec(layers), 1, ".")),
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
      rule_->learn(lesson, credit_, rate * updater_.share(batch_));
    }
    return watch.seconds();
  }
  double distance_to_rest() const override { return distance_; }

 private:
  static constexpr double rate = 0.001, decay = 1e-6;
  static NetworkSpec spec(const std::vector<Index>& layers) {
    NetworkSpec out;
    out.layers = layers;
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

// The rules that take turns on networks of one shape.
class Table {
 public:
  Table(const Images& images, const std::vector<Index>& layers, Index batch)
      : images_(images), layers_(layers), batch_(batch) {}

  template <class S = double>
  void add(const std::string& name, const std::string& rule, bool is_plain = true) {
    learners_.push_back(
        std::make_unique<LearnerOf<S>>(name, images_, layers_, rule, batch_, is_plain));
  }

  /// The first rule is the one that the others are compared with.
  void print(int rounds, Index count) {
    for (auto& learner : learners_) learner->seconds(batch_);  // memory and caches
    for (int round = 0; round < rounds; ++round)
      for (std::size_t k = 0; k < learners_.size(); ++k) {
        Learner& next = *learners_[(k + static_cast<std::size_t>(round)) % learners_.size()];
        next.samples.push_back(next.seconds(count) / static_cast<double>(count));
      }
    std::string shape;
    for (const Index size : layers_) shape += (shape.empty() ? "" : "-") + std::to_string(size);
    std::printf("\n%s, tanh, softmax, batches of %td, one thread\n", shape.c_str(), batch_);
    std::printf("  %-28s %12s %10s %14s\n", "rule", "an example", "to bp's", "from its rest");
    const double own = median(learners_.front()->samples);
    for (const auto& learner : learners_) {
      const double time = median(learner->samples);
      std::printf("  %-28s %9.1f µs %10.2f ", learner->name.c_str(), time * 1e6, time / own);
      if (std::isfinite(learner->distance_to_rest()))
        std::printf("%13.1e\n", learner->distance_to_rest());
      else
        std::printf("\n");
    }
  }

 private:
  const Images& images_;
  std::vector<Index> layers_;
  Index batch_;
  std::vector<std::unique_ptr<Learner>> learners_;
};

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
  const std::string bp = "kind = \"bp\"\n", ndi = "kind = \"ndi\"\nleak = 0.01\n",
                    di = "kind = \"di\"\nleak = 0.01\n";
  for (const Index batch : {Index{1}, Index{64}}) {
    Table narrow(images, {inputs, 1000, 10}, batch);
    narrow.add("bp", bp);
    narrow.add<float>("bp, float32", bp);
    narrow.add("fa", "kind = \"fa\"\nfeedback = { init = \"uniform\" }\n");
    narrow.add("ndi", ndi);
    narrow.add("ndi, linearised loop", ndi + "loop = \"linearised\"\n");
    narrow.add("di, integrated", di);
    narrow.add("di, integrated, WB anew", di, false);
    narrow.add("di, integrated, tanh loop", di + "loop = \"transfer\"\n");
    narrow.add("di, integrated, linearised", di + "loop = \"linearised\"\n");
    narrow.add("di, at rest", di + "accuracy = \"rest\"\n");
    narrow.add("di, the paper's scheme", di + "accuracy = \"paper\"\n");
    narrow.print(rounds, count);
  }
  for (const Index batch : {Index{1}, Index{8}}) {
    Table wide(images, {inputs, 300, 300, 10}, batch);
    wide.add("bp", bp);
    wide.add("ndi", ndi);
    wide.add("ndi, inverse anew", ndi, false);
    wide.print(rounds, count);
  }
  return 0;
}

}  // namespace
}  // namespace settle::bench

int main(int argc, char** argv) { return settle::bench::run(argc, argv); }
