// Small networks for rules that settle in an energy or under a controller, and what is expected of them.
#pragma once

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <functional>

#include "learning/energy_rules.hpp"
#include "sim/core/random.hpp"
#include "sim/io/toml.hpp"
#include "tests/support.hpp"

namespace settle::learning::energy {

using Matrices = std::vector<MatrixXd>;

inline MatrixXd uniform(Index rows, Index cols, const std::string& name, double scale) {
  const core::RandomStream stream(7, name);
  MatrixXd m(rows, cols);
  for (Index k = 0; k < m.size(); ++k)
    m.data()[k] = scale * (2 * stream.uniform(static_cast<std::uint64_t>(k)) - 1);
  return m;
}

// A network with random weights of spectral norm below about `scale`, and a batch for it.
struct Case {
  Case(std::vector<Index> sizes, const std::string& transfer, Index batch, double scale = 0.7,
       Network<double>::Output output = Network<double>::Output::linear) {
    const std::size_t depth = sizes.size() - 1;
    network.weights.resize(depth + 1);
    network.biases.resize(depth + 1);
    network.transfers.resize(depth + 1);
    network.kind = output;
    for (std::size_t l = 1; l <= depth; ++l) {
      const std::string number = std::to_string(l);
      MatrixXd w = uniform(sizes[l], sizes[l - 1], "W_" + number, 1);
      network.weights[l] = scale * w / w.jacobiSvd().singularValues()(0);
      network.biases[l] = uniform(sizes[l], 1, "b_" + number, 0.3);
      if (l < depth) network.transfers[l] = core::transfer(transfer);
    }
    inputs = uniform(sizes[0], batch, "x", 1);
    targets = uniform(sizes[depth], batch, "t", 1);
    if (output != Network<double>::Output::linear) {
      loss = Loss::cross_entropy;
      targets = (targets.array() + 1) / 2;
      if (output == Network<double>::Output::softmax)
        for (Index c = 0; c < batch; ++c) targets.col(c) /= targets.col(c).sum();
    }
    update();
  }

  void update() {
    network.forward(inputs, activity);
    output_error<double>(loss, network.kind, activity.output(), targets, error);
  }
  Lesson<double> lesson() const { return {network, activity, targets, error, loss, 40}; }
  std::size_t depth() const { return network.weights.size() - 1; }
  const MatrixXd& w(std::size_t l) const { return network.weights[l]; }
  MatrixXd slope(std::size_t l) const {  // 1 at the output
    return l < depth() ? activity.slope[l] : MatrixXd::Ones(w(l).rows(), inputs.cols());
  }
  // The case of some of its examples.
  Case of(Index first, Index count) const {
    Case out = *this;
    out.inputs = inputs.middleCols(first, count);
    out.targets = targets.middleCols(first, count);
    out.update();
    return out;
  }

  Network<double> network;
  MatrixXd inputs, targets, error;
  Loss loss = Loss::squared_error;
  Activity<double> activity;
};

inline std::unique_ptr<RuleKind> kind(const std::string& name, const std::string& toml) {
  const auto entries = energy_rules();
  const auto entry =
      std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.name == name; });
  auto out = entry->make();
  const core::Value table = *io::parse_toml("rule = { " + toml + " }", "f.toml").find("rule");
  core::Reader reader(table, "rule");
  out->place = {table, "rule"};
  out->fields(reader);
  reader.finish();
  return out;
}

inline std::unique_ptr<Rule<double>> rule(const std::string& name, const std::string& toml,
                                          const Case& c) {
  return kind(name, toml)->make(c.network, RuleContext{});
}

inline Credit<double> credit_of(const std::string& name, const std::string& toml, const Case& c) {
  Credit<double> credit;
  rule(name, toml, c)->assign(c.lesson(), credit);
  return credit;
}

// What W_l moves along, l = 1 … L.
inline Matrices updates(const Credit<double>& credit, const Case& c) {
  Matrices out(c.depth() + 1);
  for (std::size_t l = 1; l <= c.depth(); ++l)
    out[l] = credit.post[l] * credit.pre_of(static_cast<Index>(l), c.activity).transpose();
  return out;
}
inline Matrices updates(const std::string& name, const std::string& toml, const Case& c) {
  return updates(credit_of(name, toml, c), c);
}

// Backpropagation's.
inline Matrices bp(const Case& c) {
  Matrices out(c.depth() + 1);
  MatrixXd delta = c.error;
  for (std::size_t l = c.depth(); l >= 1; --l) {
    out[l] = delta * c.activity.h[l - 1].transpose();
    if (l > 1) delta = (c.w(l).transpose() * delta).cwiseProduct(c.activity.slope[l - 1]);
  }
  return out;
}

// ‖found − expected‖/‖expected‖ of all layers as one.
inline double distance(const Matrices& found, const Matrices& expected) {
  double difference = 0, size = 0;
  for (std::size_t l = 1; l < expected.size(); ++l) {
    difference += (found[l] - expected[l]).squaredNorm();
    size += expected[l].squaredNorm();
  }
  return std::sqrt(difference / size);
}

// The order with which something falls as its argument is halved.
inline double order(const std::function<double(double)>& of, double from) {
  return std::log2(of(from) / of(from / 2));
}

// J_l = ∂a_L/∂a_l of example k, at index l.
inline Matrices jacobians(const Case& c, Index k) {
  Matrices j(c.depth() + 1);
  j[c.depth()] = MatrixXd::Identity(c.w(c.depth()).rows(), c.w(c.depth()).rows());
  for (std::size_t l = c.depth() - 1; l >= 1; --l)
    j[l] = j[l + 1] * c.w(l + 1) * c.activity.slope[l].col(k).asDiagonal();
  return j;
}

// W_{l+1}ᵀ … W_Lᵀ, and I at L.
inline Matrices transposes(const Case& c) {
  Matrices q(c.depth() + 1);
  q[c.depth()] = MatrixXd::Identity(c.w(c.depth()).rows(), c.w(c.depth()).rows());
  for (std::size_t l = c.depth() - 1; l >= 1; --l) q[l] = c.w(l + 1).transpose() * q[l + 1];
  return q;
}

inline std::string number(double x) { return core::number_text(x); }

// The matrices that a rule keeps.
class MatrixReader final : public StateVisitor {
 public:
  void matrix(const std::string& name, MatrixXd& m) override {
    names.push_back(name);
    found.push_back(m);
  }
  void matrix(const std::string&, Eigen::MatrixXf&) override {}
  void integer(const std::string&, std::int64_t&) override {}
  void number(const std::string&, double&) override {}
  std::vector<std::string> names;
  Matrices found;
};

}  // namespace settle::learning::energy
