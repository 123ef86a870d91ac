#include "bench/workload.hpp"

#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>

#include "models/stabilise.hpp"
#include "sim/core/random.hpp"
#include "sim/io/toml.hpp"

namespace settle::bench {
namespace {

// Numbers 10^low … 10^high at equal distances of their logarithms.
VectorXd logarithmic(double low, double high, Index points) {
  const VectorXd exponents = VectorXd::LinSpaced(points, low, high);
  return exponents.unaryExpr([](double e) { return std::pow(10.0, e); });
}

struct Layer {
  Index inputs, outputs;
  double range;  // W ~ U(−range, range)
  bool tanh;
  double leak = 0.01;
  double duration = 500;
  Index trials = 1;
};

Workload from_layer(const Layer& layer) {
  const auto text = [](double x) { return core::brief(x) + (x == std::floor(x) ? ".0" : ""); };
  const std::string transfer = layer.tanh ? "tanh" : "identity";
  const std::string toml =
      "seed = 1\n[model]\nkind = \"dynamic_inversion\"\ntrials = " + std::to_string(layer.trials) +
      "\nlayers = [" + std::to_string(layer.inputs) + ", " + std::to_string(layer.outputs) +
      "]\ntransfer = \"" + transfer +
      "\"\nforward = { init = \"uniform\", low = " + text(-layer.range) +
      ", high = " + text(layer.range) +
      " }\nsetpoint = { init = \"normal\", std = 0.1 }\n[model.controller]\nleak = " +
      text(layer.leak) +
      "\n[solver]\nrtol = 1e-6\natol = 1e-9\nduration = " + text(layer.duration) + "\n";
  Workload out;
  out.config = models::read_config(io::parse_toml(toml, "workload.toml"), ".");
  out.circuit = models::build_circuit(out.config);
  for (const system::Edge& edge : out.circuit.edges) {
    if (edge.name == "hidden->control") out.w = edge.weights->dense();
    if (edge.name == "control->hidden") out.b = edge.weights->dense();
  }
  out.tanh = layer.tanh;
  out.duration = layer.duration;
  out.setpoints = out.circuit.controllers.at(0).setpoint;
  out.leaks = VectorXd::Constant(layer.trials, layer.leak);
  out.gains = VectorXd::Ones(layer.trials);
  out.about = std::to_string(layer.inputs) + " → " + std::to_string(layer.outputs) + ", W ~ U(±" +
              core::brief(layer.range) + "), " + transfer + ", α = " + core::brief(layer.leak) +
              ", T = " + core::brief(layer.duration);
  if (layer.trials > 1) out.about += ", " + std::to_string(layer.trials) + " setpoints";
  return out;
}

// A map over α and k of side × side points. Every point begins with the same weights and setpoint.
Workload as_map(Workload workload, Index side) {
  const VectorXd leaks = logarithmic(-4, 0, side), gains = logarithmic(-1, 1, side);
  workload.leaks.resize(side * side);
  workload.gains.resize(side * side);
  for (Index i = 0; i < side; ++i)
    for (Index j = 0; j < side; ++j) {
      workload.leaks[i * side + j] = leaks[i];
      workload.gains[i * side + j] = gains[j];
    }
  workload.setpoints = workload.setpoints.col(0).replicate(1, side * side).eval();
  workload.is_map = true;
  workload.about +=
      ", α in 10^[−4,0] and k in 10^[−1,1]: " + std::to_string(side * side) + " points";
  return workload;
}

// A random feedback B ~ U(−range, range) in place of −Wᵀ, moved by smoothed-spectral-abscissa optimisation until the loop
// is stable by `margin` at that leak and gain. The poles depend on W B alone: with W = R Q, Q of
// orthonormal rows, B's part in W's null space stays as it was drawn, and the loop of R and Q B, which
// is small, is what is optimised.
Workload with_random_feedback(Workload workload, double range, double leak, double gain,
                              double margin) {
  const core::SingularValues svd = core::svd(workload.w);
  const MatrixXd r = svd.u * svd.s.asDiagonal(), q = svd.vt;
  const core::RandomStream stream(7, "feedback");
  MatrixXd b(workload.inputs(), workload.outputs());
  for (Index k = 0; k < b.size(); ++k)
    b.data()[k] = range * (2 * stream.uniform(static_cast<std::uint64_t>(k)) - 1);
  const MatrixXd drawn = q * b;
  const models::StabiliseResult result = models::stabilise(r, drawn, {.leak = leak, .i = gain},
                                                           {.margin = margin, .iterations = 20000});
  if (!result.stable) throw std::runtime_error(workload.name + ": " + result.reason);
  workload.b = b + q.transpose() * (result.b - drawn);
  for (system::Edge& edge : workload.circuit.edges)
    if (edge.name == "control->hidden")
      edge.weights = std::make_shared<const system::Weights>(workload.b);
  workload.about += ", random stabilised B";
  return workload;
}

constexpr Layer w1{.inputs = 20, .outputs = 10, .range = 0.5, .tanh = true};
constexpr Layer w1_identity{.inputs = 20, .outputs = 10, .range = 0.5, .tanh = false};
constexpr Layer w2{.inputs = 1000, .outputs = 10, .range = 0.1, .tanh = false};
constexpr Layer w2_tanh{.inputs = 1000, .outputs = 10, .range = 0.1, .tanh = true};
constexpr Layer w3{.inputs = 500, .outputs = 784, .range = 0.05, .tanh = false};
constexpr Layer w6{
    .inputs = 200, .outputs = 100, .range = 0.01, .tanh = false, .leak = 0.001, .duration = 5000};

Layer with_trials(Layer layer, Index trials) {
  layer.trials = trials;
  return layer;
}

Workload w7(const Layer& layer) {
  return with_random_feedback(from_layer(layer), layer.range, 0.01, 1, 0.05);
}
// Stable at the corner where that is hardest, the smallest leak with the largest gain, and so everywhere.
// From a larger B some points have several attractors, of which an error of 1e-6 on the way decides.
Workload w7_map() { return as_map(with_random_feedback(from_layer(w1), 0.1, 1e-4, 10, 0.1), 32); }

using Maker = std::function<Workload()>;
const std::vector<std::pair<std::string, Maker>>& makers() {
  static const std::vector<std::pair<std::string, Maker>> all = {
      {"W1 tanh", [] { return from_layer(w1); }},
      {"W1 identity", [] { return from_layer(w1_identity); }},
      {"W2", [] { return from_layer(w2); }},
      {"W2t", [] { return from_layer(w2_tanh); }},
      {"W3", [] { return from_layer(w3); }},
      {"W4 on W2", [] { return from_layer(with_trials(w2, 256)); }},
      {"W4 on W3", [] { return from_layer(with_trials(w3, 256)); }},
      {"W5", [] { return as_map(from_layer(w1), 32); }},
      {"W6", [] { return from_layer(w6); }},
      {"W7 on W1 tanh", [] { return w7(w1); }},
      {"W7 on W1 identity", [] { return w7(w1_identity); }},
      {"W7 on W2t", [] { return w7(w2_tanh); }},
      {"W7 on W5", [] { return w7_map(); }},
  };
  return all;
}

}  // namespace

Workload Workload::part(const std::vector<Index>& chosen) const {
  Workload out = *this;
  const auto count = static_cast<Index>(chosen.size());
  const auto pick = [&](MatrixXd& m) {
    if (m.cols() <= 1) return;
    const MatrixXd all = m;
    m.resize(all.rows(), count);
    for (Index k = 0; k < count; ++k) m.col(k) = all.col(chosen[static_cast<std::size_t>(k)]);
  };
  pick(out.setpoints);
  MatrixXd leak_row = leaks.transpose(), gain_row = gains.transpose();
  pick(leak_row);
  pick(gain_row);
  out.leaks = leak_row.transpose();
  out.gains = gain_row.transpose();
  if (is_map) return out;
  for (system::Node& node : out.circuit.nodes) {
    pick(node.initial);
    pick(node.constant);
  }
  for (system::Controller& controller : out.circuit.controllers) pick(controller.setpoint);
  out.circuit.trials = count;
  out.config.trials = count;
  return out;
}

void Workload::derivative(Index column, const VectorXd& x, VectorXd& dxdt) const {
  const Index n = inputs(), m = outputs();
  dxdt.resize(n + m);
  const auto r = x.head(n);
  const auto xi = x.tail(m);
  dxdt.head(n) = -r;
  dxdt.head(n).noalias() += gains[column] * b * xi;
  dxdt.tail(m) = -leaks[column] * xi - setpoints.col(column);
  if (tanh)
    dxdt.tail(m).noalias() += w * r.unaryExpr([](double a) { return std::tanh(a); }).matrix();
  else
    dxdt.tail(m).noalias() += w * r;
}

const std::vector<std::string>& workload_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const auto& [name, make] : makers()) out.push_back(name);
    return out;
  }();
  return names;
}

Workload make_workload(const std::string& name) {
  for (const auto& [known, make] : makers())
    if (known == name) {
      Workload workload = make();
      workload.name = name;
      return workload;
    }
  throw std::out_of_range(name);
}

}  // namespace settle::bench
