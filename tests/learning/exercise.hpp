// What tests of rules share: a small network with a batch that has gone through it.
#pragma once

#include <Eigen/Dense>
#include <string>

#include "learning/trainer.hpp"
#include "sim/core/random.hpp"
#include "sim/io/toml.hpp"

namespace settle::test {

using learning::Activity;
using learning::Index;
using learning::Lesson;
using learning::Loss;
using learning::Matrix;
using learning::MatrixXd;
using learning::Network;
using learning::VectorXd;

inline core::Value toml_table(const std::string& toml) {
  return *io::parse_toml("t = { " + toml + " }", "f.toml").find("t");
}

inline learning::NetworkSpec network_spec(const std::string& toml) {
  const core::Value table = toml_table(toml);
  learning::NetworkSpec spec;
  spec.place = {table, "network"};
  return core::read(table, "network", spec);
}

/// N(0, 1), rows × cols, of a stream's name.
inline MatrixXd normal_matrix(Index rows, Index cols, const std::string& stream,
                              std::uint64_t seed = 1) {
  const core::RandomStream random(seed, stream);
  MatrixXd out(rows, cols);
  for (Index j = 0; j < cols; ++j)
    for (Index i = 0; i < rows; ++i)
      out(i, j) = random.normal(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(j));
  return out;
}

/// A network and a batch: inputs N(0, 1); targets N(0, 1), or with cross-entropy one-hot (softmax) or
/// between 0 and 1 (logistic).
template <class S>
struct Exercise {
  Network<S> network;
  Matrix<S> inputs, targets;
  Loss loss = Loss::squared_error;
  bool by_batch = false;
  Activity<S> activity;
  Matrix<S> error;

  /// After the network or the data have changed.
  void go_forward() {
    network.forward(inputs, activity, by_batch);
    learning::output_error<S>(loss, network.kind, activity.output(), targets, error);
  }
  Lesson<S> lesson(std::uint64_t example = 0) const {
    return {network, activity, targets, error, loss, example};
  }
  double total_loss() const {
    return learning::total_loss<S>(loss, network.kind, activity.output(), targets);
  }
  template <class T>
  Exercise<T> cast() const {
    Exercise<T> out{network.template cast<T>(),
                    inputs.template cast<T>(),
                    targets.template cast<T>(),
                    loss,
                    by_batch,
                    {},
                    {}};
    out.go_forward();
    return out;
  }
};

inline Exercise<double> exercise(const std::string& network, Index count,
                                 Loss loss = Loss::squared_error, std::uint64_t seed = 1) {
  Exercise<double> out;
  const learning::NetworkSpec spec = network_spec(network);
  out.network = learning::make_network<double>(spec, seed, ".");
  out.inputs = normal_matrix(out.network.size(0), count, "inputs", seed);
  out.targets = normal_matrix(out.network.size(out.network.depth()), count, "targets", seed);
  out.loss = loss;
  out.by_batch = spec.batch_normalisation;
  if (loss == Loss::cross_entropy && out.network.kind == Network<double>::Output::softmax) {
    for (Index c = 0; c < count; ++c) {
      Index best = 0;
      out.targets.col(c).maxCoeff(&best);
      out.targets.col(c).setZero();
      out.targets(best, c) = 1;
    }
  } else if (loss == Loss::cross_entropy) {
    out.targets = (1 + (-out.targets.array()).exp()).inverse();
  }
  out.go_forward();
  return out;
}

/// A number is read from and put into a rule's state in turn.
class Keeper final : public learning::StateVisitor {
 public:
  void matrix(const std::string& name, MatrixXd& m) override { keep(name, m, matrices_); }
  void matrix(const std::string& name, Eigen::MatrixXf& m) override { keep(name, m, singles_); }
  void integer(const std::string& name, std::int64_t& n) override { keep(name, n, integers_); }
  void number(const std::string& name, double& x) override { keep(name, x, numbers_); }
  /// From here on what was kept is given back.
  void give_back() { gives_ = true; }
  std::size_t count() const {
    return matrices_.size() + singles_.size() + integers_.size() + numbers_.size();
  }

 private:
  template <class T>
  void keep(const std::string& name, T& value, std::vector<std::pair<std::string, T>>& kept) {
    if (!gives_) return kept.push_back({name, value}), void();
    for (const auto& [known, old] : kept)
      if (known == name) value = old;
  }
  bool gives_ = false;
  std::vector<std::pair<std::string, MatrixXd>> matrices_;
  std::vector<std::pair<std::string, Eigen::MatrixXf>> singles_;
  std::vector<std::pair<std::string, std::int64_t>> integers_;
  std::vector<std::pair<std::string, double>> numbers_;
};

inline learning::Plan plan_of(const std::string& toml) {
  return learning::read_plan(io::parse_toml(toml, "f.toml"), ".");
}

// A plan with the examples of each of its seeds.
struct Setting {
  explicit Setting(const std::string& toml) : plan(plan_of(toml)) {
    data = learning::load_data(plan, {.base = ".", .layers = plan.network.layers});
  }
  std::unique_ptr<learning::Course> course(std::size_t rule = 0, std::size_t seed = 0) const {
    return learning::make_course(plan, plan.rules[rule], plan.seeds[seed], *data[seed]);
  }
  learning::Plan plan;
  std::vector<std::shared_ptr<const learning::DataSet>> data;
};

}  // namespace settle::test
