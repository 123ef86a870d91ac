// Names in a result file: how nodes, their trajectories and dimensions are called, and which of
// them a record selector means.
#pragma once

#include <Eigen/Core>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sim/io/hdf5.hpp"
#include "sim/io/record_options.hpp"
#include "sim/system/circuit.hpp"

namespace settle::io {

/// Version of the layout, in the root attribute `schema_version`.
constexpr std::int32_t schema_version = 1;

/// A unit of time as a file's `units`: never one that xarray turns into timedelta or datetime
/// ("milliseconds" is written "ms"), "1" where empty.
std::string units_text(const std::string& unit);

/// How a node is called.
struct NodeName {
  std::string name;       ///< by people: "hidden", "control", "control.error"
  std::string dataset;    ///< in a file: "hidden", "control", "control_error"
  std::string owner;      ///< population or controller: "hidden", "control"
  std::string dimension;  ///< "hidden_unit", "control_unit"
  std::string long_name;  ///< "state of hidden", "error of control (measured − setpoint)"
};

/// One trajectory that may be recorded.
struct Variable {
  std::string name;     ///< the selector: "hidden", "hidden.rate", "control.error"
  std::string dataset;  ///< "hidden", "hidden_rate", "control_error"
  std::string long_name;
  int node = 0;
  bool rate = false;      ///< φ(x) in place of x
  bool standard = false;  ///< among those that "*" means
  bool by_name = false;   ///< only chosen by its full name: a rate that is the state itself
};

class Layout {
 public:
  /// @throws InputError  for names that collide with each other or with the file's own
  explicit Layout(const system::Circuit& circuit);

  const NodeName& node(int index) const { return nodes_[static_cast<std::size_t>(index)]; }
  /// Whether an edge only joins the nodes of one controller.
  bool is_internal(const system::Edge& edge) const;
  /// "weights_hidden_to_control": what an edge's weights are called, without the prefix; each
  /// edge's own.
  const std::string& edge(int index) const { return edges_[static_cast<std::size_t>(index)]; }

  /// What `options.variables` selects, in the order of the circuit, each once.
  /// @throws InputError  for a selector that matches nothing, with the nearest name
  std::vector<Variable> select(const RecordOptions& options) const;

 private:
  void name_nodes(const system::Circuit& circuit);
  void name_edges(const system::Circuit& circuit);
  void list_variables(const system::Circuit& circuit);
  void check_collisions(const system::Circuit& circuit) const;

  std::vector<NodeName> nodes_;
  std::vector<int> controller_of_;  // per node, −1: a population
  std::vector<std::string> edges_;
  std::vector<Variable> variables_;
};

/// Names that a node can't have because its trajectories would take the place of the file's own.
const std::vector<std::string>& reserved_names();

/// One axis of a dataset.
struct Axis {
  std::string dimension;
  std::uint64_t size = 0;
};

/// Datasets in one group, each with `units`, `long_name` and a scale on every axis. An index 0 …
/// size − 1 is made for each dimension as it is first used.
class Shelf {
 public:
  explicit Shelf(h5::Group group) : group_(std::move(group)) {}

  h5::Group& group() { return group_; }
  /// Numbers; floating-point ones have NaN for what is missing.
  h5::Dataset put(const std::string& name, const std::vector<Axis>& axes,
                  std::span<const double> data, const std::string& units,
                  const std::string& long_name);
  h5::Dataset put(const std::string& name, const std::vector<Axis>& axes,
                  std::span<const std::int64_t> data, const std::string& units,
                  const std::string& long_name);
  h5::Dataset put(const std::string& name, const std::vector<Axis>& axes,
                  const std::vector<std::string>& texts, const std::string& long_name);
  /// A matrix over two axes, without units.
  h5::Dataset put(const std::string& name, const Axis& rows, const Axis& columns,
                  const Eigen::MatrixXd& matrix, const std::string& long_name);
  /// One of `names` per entry, as int8 with flag_values and flag_meanings.
  h5::Dataset put_flags(const std::string& name, const std::vector<Axis>& axes,
                        const std::vector<std::int8_t>& data, const std::vector<std::string>& names,
                        const std::string& long_name);
  /// An empty dataset of doubles that may be written in blocks.
  h5::Dataset make(const std::string& name, const std::vector<Axis>& axes, const std::string& units,
                   const std::string& long_name, h5::DatasetOptions options = {});
  /// A dimension whose coordinate is texts, or numbers.
  void put_scale(const std::string& dimension, const std::vector<std::string>& texts,
                 const std::string& long_name);
  void put_scale(const std::string& dimension, std::span<const double> numbers,
                 const std::string& units, const std::string& long_name);
  void put_scale(const std::string& dimension, std::span<const std::int64_t> numbers,
                 const std::string& long_name);
  /// Whether there is a scale of that dimension and size already.
  bool has_scale(const std::string& dimension, std::uint64_t size) const;
  /// Makes `scale` the coordinate of `dimension`.
  void add_scale(const std::string& dimension, h5::Dataset scale);
  /// The scale of a dimension, from the group, or made where there is none yet.
  h5::Dataset& scale(const Axis& axis);

 private:
  void describe(h5::Dataset& dataset, const std::vector<Axis>& axes, const std::string& units,
                const std::string& long_name);

  h5::Group group_;
  std::map<std::string, h5::Dataset> scales_;
};

}  // namespace settle::io
