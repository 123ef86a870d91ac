#include "sim/io/point_recorder.hpp"

#include <cmath>
#include <limits>

namespace settle::io {

using Eigen::Index;
using Eigen::MatrixXd;

solve::Sampling sampling_of(const RecordOptions& options) {
  return {.steps = options.steps, .every = options.every, .interval = options.interval};
}

void take_sample(const system::OdeSystem& system, const Variable& variable,
                 const system::ConstBlock& x, const system::Workspace& workspace,
                 Eigen::Ref<MatrixXd> out) {
  const auto value = system.value(variable.node, x, workspace);
  const auto& node = system.circuit().nodes[static_cast<std::size_t>(variable.node)];
  for (Index k = 0; k < value.cols(); ++k) {
    const bool has_left = x.rows() > 0 && std::isnan(x(0, k));
    if (has_left)
      out.col(k).setConstant(std::numeric_limits<double>::quiet_NaN());
    else if (variable.rate)
      node.transfer->value(value.col(k).data(), out.col(k).data(), node.size);
    else
      out.col(k) = value.col(k);
  }
}

PointRecorder::PointRecorder(const system::OdeSystem& system, const RecordOptions& options)
    : system_(system),
      options_(options),
      layout_(system.circuit()),
      variables_(layout_.select(options)),
      rows_(variables_.size()) {}

void PointRecorder::sample(double t, const system::ConstBlock& x, system::Workspace& workspace) {
  system_.evaluate(t, x, workspace);
  times_.push_back(t);
  for (std::size_t v = 0; v < variables_.size(); ++v) {
    MatrixXd row(system_.circuit().nodes[static_cast<std::size_t>(variables_[v].node)].size,
                 x.cols());
    take_sample(system_, variables_[v], x, workspace, row);
    rows_[v].insert(rows_[v].end(), row.data(), row.data() + row.size());
  }
}

double PointRecorder::bytes() const {
  std::size_t numbers = times_.size();
  for (const std::vector<double>& rows : rows_) numbers += rows.size();
  return static_cast<double>(numbers * sizeof(double));
}

void PointRecorder::write(h5::Group group, const std::string& time_unit) const {
  Shelf shelf(std::move(group));
  shelf.put_scale("time", times_, units_text(time_unit), "time");
  for (std::size_t v = 0; v < variables_.size(); ++v) {
    const Variable& variable = variables_[v];
    const auto units = static_cast<std::uint64_t>(
        system_.circuit().nodes[static_cast<std::size_t>(variable.node)].size);
    shelf.put(variable.dataset,
              {{"time", times_.size()},
               {"trial", static_cast<std::uint64_t>(system_.trials())},
               {layout_.node(variable.node).dimension, units}},
              rows_[v], "1", variable.long_name);
  }
}

}  // namespace settle::io
