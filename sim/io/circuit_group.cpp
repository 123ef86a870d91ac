#include "sim/io/circuit_group.hpp"

#include <algorithm>

namespace settle::io {
namespace {

using system::Index;
using system::MatrixXd;
using system::VectorXd;
using system::Weights;

std::uint64_t size_of(Index n) { return static_cast<std::uint64_t>(n); }

double dense_bytes(const Weights& weights) {
  return 8.0 * static_cast<double>(weights.rows()) * static_cast<double>(weights.cols());
}

bool is_kept_in_its_form(const Weights& weights, std::size_t dense_limit) {
  return !std::holds_alternative<MatrixXd>(weights.as_variant()) &&
         dense_bytes(weights) > static_cast<double>(dense_limit);
}

class CircuitWriter {
 public:
  CircuitWriter(h5::Group group, const system::Circuit& circuit, const Layout& layout,
                const std::string& time_unit, std::size_t dense_limit)
      : shelf_(std::move(group)),
        circuit_(circuit),
        layout_(layout),
        time_unit_(units_text(time_unit)),
        dense_limit_(dense_limit) {}

  void write() {
    for (std::size_t i = 0; i < circuit_.nodes.size(); ++i) write_node(static_cast<int>(i));
    for (const system::Controller& controller : circuit_.controllers) write_controller(controller);
    for (std::size_t e = 0; e < circuit_.edges.size(); ++e) write_edge(static_cast<int>(e));
  }

 private:
  Axis axis_of(int node) const {
    return {layout_.node(node).dimension,
            size_of(circuit_.nodes[static_cast<std::size_t>(node)].size)};
  }

  // A value per unit, or per trial and unit; the columns of `values` are trials.
  void put(const std::string& name, const Axis& unit, const MatrixXd& values, bool per_trial,
           const std::string& long_name) {
    std::vector<Axis> axes = {unit};
    if (per_trial) axes.insert(axes.begin(), Axis{"trial", size_of(circuit_.trials)});
    const MatrixXd wide =
        per_trial && values.cols() == 1 ? values.replicate(1, circuit_.trials) : values;
    shelf_.put(name, axes, {wide.data(), static_cast<std::size_t>(wide.size())}, "1", long_name);
  }

  void write_node(int index) {
    const system::Node& node = circuit_.nodes[static_cast<std::size_t>(index)];
    const NodeName& name = layout_.node(index);
    const Axis unit = axis_of(index);
    if (!node.instantaneous()) {
      const auto n = static_cast<std::size_t>(node.size);
      shelf_.put("tau_" + name.dataset, {unit}, std::span(node.tau.data(), n), time_unit_,
                 "time constant of " + name.name);
      shelf_.put("leak_" + name.dataset, {unit}, std::span(node.leak.data(), n), "1",
                 "leak of " + name.name);
    }
    const bool is_error =
        std::any_of(circuit_.controllers.begin(), circuit_.controllers.end(),
                    [&](const system::Controller& c) { return c.error == index; });
    if (node.constant.size() > 0 && !is_error)
      put("bias_" + name.dataset, unit, node.constant, node.constant.cols() > 1,
          "constant drive of " + name.name);
    if (!node.transfer) return;
    shelf_.group().set_attribute("transfer_" + name.dataset, node.transfer->name());
    shelf_.group().set_attribute("transfer_" + name.dataset + "_equation",
                                 node.transfer->equation());
  }

  void write_controller(const system::Controller& controller) {
    const int any = controller.control >= 0 ? controller.control : controller.error;
    if (any < 0) return;
    const std::string name = layout_.node(any).dimension.substr(
        0, layout_.node(any).dimension.size() - std::string("_unit").size());
    if (controller.setpoint.size() > 0)
      put("setpoint_" + name, axis_of(any), controller.setpoint, true,
          "constant setpoint of " + controller.name);
    h5::Group& group = shelf_.group();
    group.set_attribute(name + "_error_sign", controller.sign);
    group.set_attribute(name + "_leak", controller.leak);
    group.set_attribute(name + "_gain_p", controller.gain_p);
    group.set_attribute(name + "_gain_i", controller.gain_i);
    group.set_attribute(name + "_gain_d", controller.gain_d);
    group.set_attribute(name + "_tau", controller.tau);
    group.set_attribute(name + "_derivative_tau", controller.derivative_tau);
  }

  void write_edge(int index) {
    const system::Edge& edge = circuit_.edges[static_cast<std::size_t>(index)];
    if (layout_.is_internal(edge) || !edge.weights) return;
    const std::string name = "weights_" + layout_.edge(index);
    const Axis rows = axis_of(edge.to);
    Axis columns = axis_of(edge.from);
    if (columns.dimension == rows.dimension) columns.dimension += "_sender";
    const std::string long_name = "weights of " + edge.name;
    std::vector<h5::Dataset> datasets;
    if (is_kept_in_its_form(*edge.weights, dense_limit_))
      datasets = write_form(name, rows, columns, *edge.weights, long_name);
    else
      datasets.push_back(write_dense(name, rows, columns, *edge.weights, long_name));
    const core::Transfer& transfer = circuit_.transfer_of(edge);
    for (h5::Dataset& dataset : datasets) {
      dataset.set_attribute("edge", edge.name);
      dataset.set_attribute("from", layout_.node(edge.from).name);
      dataset.set_attribute("to", layout_.node(edge.to).name);
      dataset.set_attribute("gain", edge.gain);
      if (transfer) dataset.set_attribute("transfer", transfer->name());
      dataset.set_attribute("receiver_slope", static_cast<std::int8_t>(edge.receiver_slope));
      dataset.set_attribute("form", edge.weights->form());
    }
    if (edge.gate.size() > 0)
      put("gate_" + layout_.edge(index), axis_of(edge.from), edge.gate, true,
          "gate of " + edge.name);
  }

  h5::Dataset write_dense(const std::string& name, const Axis& rows, const Axis& columns,
                          const Weights& weights, const std::string& long_name) {
    if (const auto* dense = std::get_if<MatrixXd>(&weights.as_variant()))
      return shelf_.put(name, rows, columns, *dense, long_name);
    return shelf_.put(name, rows, columns, weights.dense(), long_name);
  }

  std::vector<h5::Dataset> write_form(const std::string& name, const Axis& rows,
                                      const Axis& columns, const Weights& weights,
                                      const std::string& long_name) {
    std::vector<h5::Dataset> out;
    const auto& form = weights.as_variant();
    if (const auto* stored = std::get_if<Weights::Sparse>(&form)) {
      Weights::Sparse sparse = *stored;
      sparse.makeCompressed();
      const auto n = static_cast<std::size_t>(sparse.nonZeros());
      const Axis entry = {name + "_entry", n};
      const std::vector<std::int64_t> inner(sparse.innerIndexPtr(), sparse.innerIndexPtr() + n);
      const std::vector<std::int64_t> starts(sparse.outerIndexPtr(),
                                             sparse.outerIndexPtr() + sparse.rows() + 1);
      out.push_back(shelf_.put(name + "_values", {entry}, std::span(sparse.valuePtr(), n), "1",
                               long_name + ", entries by rows"));
      out.push_back(shelf_.put(name + "_columns", {entry}, std::span(inner), "1",
                               long_name + ", column of each entry"));
      out.push_back(shelf_.put(name + "_row_starts", {{name + "_row", starts.size()}},
                               std::span(starts), "1",
                               long_name + ", first entry of each row, and their number"));
    } else if (const auto* product = std::get_if<Weights::LowRank>(&form)) {
      Axis left = rows;
      for (std::size_t k = 0; k < product->factors.size(); ++k) {
        const std::string number = std::to_string(k + 1);
        const bool last = k + 1 == product->factors.size();
        const Axis right =
            last ? columns : Axis{name + "_inner_" + number, size_of(product->factors[k].cols())};
        out.push_back(shelf_.put(name + "_factor_" + number, left, right, product->factors[k],
                                 long_name + ", factor " + number));
        left = right;
      }
    } else {
      const auto* diagonal = std::get_if<Weights::Diagonal>(&form);
      const VectorXd entries = diagonal ? diagonal->entries : VectorXd::Ones(weights.rows());
      out.push_back(shelf_.put(name + "_diagonal", {rows},
                               std::span(entries.data(), static_cast<std::size_t>(entries.size())),
                               "1", long_name + ", diagonal"));
    }
    return out;
  }

  Shelf shelf_;
  const system::Circuit& circuit_;
  const Layout& layout_;
  std::string time_unit_;
  std::size_t dense_limit_;
};

}  // namespace

void write_circuit(h5::Group group, const system::Circuit& circuit, const Layout& layout,
                   const std::string& time_unit, std::size_t dense_limit) {
  CircuitWriter(std::move(group), circuit, layout, time_unit, dense_limit).write();
}

double circuit_bytes(const system::Circuit& circuit, const Layout& layout,
                     std::size_t dense_limit) {
  double bytes = 0;
  for (const system::Node& node : circuit.nodes)
    bytes += 8.0 * static_cast<double>(3 * node.size + node.constant.size());
  for (const system::Controller& controller : circuit.controllers)
    bytes += 8.0 * static_cast<double>(controller.setpoint.rows() * circuit.trials);
  for (const system::Edge& edge : circuit.edges) {
    if (layout.is_internal(edge) || !edge.weights) continue;
    bytes += is_kept_in_its_form(*edge.weights, dense_limit)
                 ? 2.0 * static_cast<double>(edge.weights->bytes())
                 : dense_bytes(*edge.weights);
    if (edge.gate.size() > 0) bytes += 8.0 * static_cast<double>(edge.gate.rows() * circuit.trials);
  }
  return bytes;
}

}  // namespace settle::io
