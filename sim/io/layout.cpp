#include "sim/io/layout.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "sim/io/row_major.hpp"

namespace settle::io {
namespace {

using system::Circuit;
using system::Controller;

std::string with_underscores(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

NodeName population_name(const std::string& name) {
  const std::string dataset = with_underscores(name);
  return {name, dataset, name, dataset + "_unit", "state of " + name};
}

NodeName controller_name(const Controller& controller, const std::string& quantity,
                         const std::string& long_name) {
  const std::string name = quantity.empty() ? controller.name : controller.name + "." + quantity;
  return {name, with_underscores(name), controller.name,
          with_underscores(controller.name) + "_unit", long_name + " of " + controller.name};
}

std::uint64_t entries(const std::vector<Axis>& axes) {
  return std::accumulate(axes.begin(), axes.end(), std::uint64_t{1},
                         [](std::uint64_t n, const Axis& axis) { return n * axis.size; });
}

h5::Shape shape_of(const std::vector<Axis>& axes) {
  h5::Shape shape;
  for (const Axis& axis : axes) shape.push_back(axis.size);
  return shape;
}

// Whether a selector's glob matches a name; neither * nor ? matches a ".".
bool matches(std::string_view glob, std::string_view name) {
  if (glob.empty()) return name.empty();
  if (glob.front() == '*') {
    for (std::size_t skip = 0; skip <= name.size(); ++skip) {
      if (matches(glob.substr(1), name.substr(skip))) return true;
      if (skip < name.size() && name[skip] == '.') break;
    }
    return false;
  }
  if (name.empty()) return false;
  const bool same = glob.front() == '?' ? name.front() != '.' : glob.front() == name.front();
  return same && matches(glob.substr(1), name.substr(1));
}

bool is_glob(const std::string& selector) {
  return selector.find_first_of("*?") != std::string::npos;
}

[[noreturn]] void selects_nothing(const RecordOptions& options, std::size_t k,
                                  std::vector<std::string> names) {
  const std::string path = "record.variables";
  const std::string at = k < options.positions.size() ? options.positions[k].text() : "";
  const std::string hint = core::did_you_mean(options.variables[k], names);
  if (names.size() > 20) {
    names.resize(20);
    names.emplace_back("…");
  }
  throw core::InputError(at.empty() ? path : at + ": " + path,
                         "\"" + options.variables[k] + "\" matches no variable",
                         "one of " + core::join(names) + ", NODE.rate, or a glob" + hint);
}

}  // namespace

std::string units_text(const std::string& unit) {
  static const std::map<std::string, std::string> symbols = {
      {"days", "d"},         {"hours", "h"},         {"minutes", "min"},
      {"seconds", "s"},      {"milliseconds", "ms"}, {"microseconds", "µs"},
      {"nanoseconds", "ns"}, {"day", "d"},           {"hour", "h"},
      {"minute", "min"},     {"second", "s"},        {"millisecond", "ms"},
      {"microsecond", "µs"}, {"nanosecond", "ns"},   {"", "1"}};
  if (const auto symbol = symbols.find(unit); symbol != symbols.end()) return symbol->second;
  return unit.find("since") == std::string::npos ? unit : "1";
}

const std::vector<std::string>& reserved_names() {
  static const std::vector<std::string> names = {
      "time",          "trial",          "phase",           "phase_start",      "phase_end",
      "phase_outcome", "outcome",        "outcome_reason",  "phase_settled_at", "settled_at",
      "config",        "final_residual", "config_expanded", "circuit",          "final",
      "phase_skipped"};
  return names;
}

// ---- Layout ----

Layout::Layout(const Circuit& circuit) {
  name_nodes(circuit);
  name_edges(circuit);
  list_variables(circuit);
  check_collisions(circuit);
}

void Layout::name_nodes(const Circuit& circuit) {
  for (const system::Node& node : circuit.nodes) nodes_.push_back(population_name(node.name));
  controller_of_.assign(circuit.nodes.size(), -1);
  for (std::size_t c = 0; c < circuit.controllers.size(); ++c) {
    const Controller& controller = circuit.controllers[c];
    const auto name = [&](int node, const std::string& quantity, const std::string& long_name) {
      if (node < 0) return;
      const auto at = static_cast<std::size_t>(node);
      nodes_[at] = controller_name(controller, quantity, long_name);
      controller_of_[at] = static_cast<int>(c);
    };
    name(controller.derivative, "derivative", "low-pass filtered error");
    name(controller.integral, "integral", "leaky integral of the error");
    name(controller.error, "error",
         controller.sign > 0 ? "error (measured − setpoint)" : "error (setpoint − measured)");
    name(controller.control, "", "output");
  }
}

bool Layout::is_internal(const system::Edge& edge) const {
  const int from = controller_of_[static_cast<std::size_t>(edge.from)];
  return from >= 0 && from == controller_of_[static_cast<std::size_t>(edge.to)];
}

void Layout::name_edges(const Circuit& circuit) {
  std::set<std::string> taken;
  for (std::size_t e = 0; e < circuit.edges.size(); ++e) {
    const system::Edge& edge = circuit.edges[e];
    std::string to = node(edge.to).dataset;
    for (const Controller& controller : circuit.controllers) {
      const auto is_in = [&](const std::vector<int>& edges) {
        return std::find(edges.begin(), edges.end(), static_cast<int>(e)) != edges.end();
      };
      if (is_in(controller.measured_edges)) to = with_underscores(controller.name);
      if (is_in(controller.setpoint_edges)) to = with_underscores(controller.name) + "_setpoint";
    }
    const std::string plain = node(edge.from).dataset + "_to_" + to;
    std::string name = plain;
    for (int k = 2; !taken.insert(name).second; ++k) name = plain + "_" + std::to_string(k);
    edges_.push_back(name);
  }
}

void Layout::list_variables(const Circuit& circuit) {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const system::Node& node = circuit.nodes[i];
    const NodeName& name = nodes_[i];
    const bool output_or_error = std::any_of(
        circuit.controllers.begin(), circuit.controllers.end(), [&](const Controller& c) {
          return c.control == static_cast<int>(i) || c.error == static_cast<int>(i);
        });
    variables_.push_back({.name = name.name,
                          .dataset = name.dataset,
                          .long_name = name.long_name,
                          .node = static_cast<int>(i),
                          .rate = false,
                          .standard = output_or_error || !node.instantaneous(),
                          .by_name = false});
    if (!node.transfer) continue;
    variables_.push_back({.name = name.name + ".rate",
                          .dataset = name.dataset + "_rate",
                          .long_name = "rate of " + name.name + ", " + node.transfer->equation(),
                          .node = static_cast<int>(i),
                          .rate = true,
                          .standard = false,
                          .by_name = node.transfer->is_identity()});
  }
}

void Layout::check_collisions(const Circuit& circuit) const {
  std::map<std::string, std::string> owners;
  for (const std::string& name : reserved_names()) owners[name] = "what the result file calls so";
  const auto claim = [&](const std::string& dataset, const std::string& owner) {
    const auto [other, is_new] = owners.emplace(dataset, owner);
    if (!is_new)
      throw core::InputError(owner, "\"" + dataset + "\" is also the name of " + other->second,
                             "names that differ in the result file");
  };
  std::set<std::string> dimensions;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const std::string owner =
        (controller_of_[i] < 0 ? "population \"" : "controller \"") + nodes_[i].owner + "\"";
    claim(nodes_[i].dataset, owner);
    const bool first_of_controller =
        controller_of_[i] < 0 || dimensions.insert(nodes_[i].dimension).second;
    if (first_of_controller) claim(nodes_[i].dimension, "the units of " + owner);
    if (circuit.nodes[i].transfer && !circuit.nodes[i].transfer->is_identity())
      claim(nodes_[i].dataset + "_rate", "the rate of " + owner);
  }
}

std::vector<Variable> Layout::select(const RecordOptions& options) const {
  std::vector<char> chosen(variables_.size(), 0);
  for (std::size_t k = 0; k < options.variables.size(); ++k) {
    const std::string& selector = options.variables[k];
    bool any = selector == "*";
    for (std::size_t v = 0; v < variables_.size(); ++v) {
      const Variable& variable = variables_[v];
      const bool match = selector == "*"    ? variable.standard
                         : variable.by_name ? selector == variable.name
                                            : matches(selector, variable.name);
      if (!match) continue;
      chosen[v] = 1;
      any = true;
    }
    if (any) continue;
    std::vector<std::string> names;
    for (const Variable& variable : variables_)
      if (!variable.rate || (!is_glob(selector) && selector.ends_with("rate")))
        names.push_back(variable.name);
    selects_nothing(options, k, std::move(names));
  }
  std::vector<Variable> out;
  for (std::size_t v = 0; v < variables_.size(); ++v)
    if (chosen[v]) out.push_back(variables_[v]);
  return out;
}

// ---- Shelf ----

h5::Dataset& Shelf::scale(const Axis& axis) {
  const auto found = scales_.find(axis.dimension);
  if (found != scales_.end()) return found->second;
  if (group_.is_dataset(axis.dimension))
    return scales_.emplace(axis.dimension, group_.dataset(axis.dimension)).first->second;
  std::vector<std::int64_t> index(axis.size);
  std::iota(index.begin(), index.end(), 0);
  std::string what = axis.dimension;
  std::replace(what.begin(), what.end(), '_', ' ');
  put_scale(axis.dimension, std::span<const std::int64_t>(index), what + ", from 0");
  return scales_.at(axis.dimension);
}

void Shelf::put_scale(const std::string& dimension, const std::vector<std::string>& texts,
                      const std::string& long_name) {
  h5::Dataset dataset = group_.write_dataset(dimension, texts);
  describe(dataset, {}, "1", long_name);
  add_scale(dimension, std::move(dataset));
}

void Shelf::put_scale(const std::string& dimension, std::span<const double> numbers,
                      const std::string& units, const std::string& long_name) {
  h5::Dataset dataset = group_.write_dataset(dimension, {numbers.size()}, numbers);
  describe(dataset, {}, units, long_name);
  add_scale(dimension, std::move(dataset));
}

void Shelf::put_scale(const std::string& dimension, std::span<const std::int64_t> numbers,
                      const std::string& long_name) {
  h5::Dataset dataset = group_.write_dataset(dimension, {numbers.size()}, numbers);
  describe(dataset, {}, "1", long_name);
  add_scale(dimension, std::move(dataset));
}

bool Shelf::has_scale(const std::string& dimension, std::uint64_t size) const {
  const auto found = scales_.find(dimension);
  return found != scales_.end() && found->second.shape() == h5::Shape{size};
}

void Shelf::add_scale(const std::string& dimension, h5::Dataset scale) {
  scale.make_scale(dimension);
  scales_.emplace(dimension, std::move(scale));
}

void Shelf::describe(h5::Dataset& dataset, const std::vector<Axis>& axes, const std::string& units,
                     const std::string& long_name) {
  dataset.set_attribute("units", units);
  dataset.set_attribute("long_name", long_name);
  for (unsigned k = 0; k < axes.size(); ++k) dataset.attach_scale(scale(axes[k]), k);
}

h5::Dataset Shelf::make(const std::string& name, const std::vector<Axis>& axes,
                        const std::string& units, const std::string& long_name,
                        h5::DatasetOptions options) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  options.fill = nan;
  h5::Dataset dataset = group_.create_dataset(name, h5::Type::float64, shape_of(axes), options);
  dataset.set_attribute("_FillValue", nan);
  describe(dataset, axes, units, long_name);
  return dataset;
}

h5::Dataset Shelf::put(const std::string& name, const std::vector<Axis>& axes,
                       std::span<const double> data, const std::string& units,
                       const std::string& long_name) {
  h5::Dataset dataset = make(name, axes, units, long_name);
  if (entries(axes) > 0) dataset.write(data);
  return dataset;
}

h5::Dataset Shelf::put(const std::string& name, const std::vector<Axis>& axes,
                       std::span<const std::int64_t> data, const std::string& units,
                       const std::string& long_name) {
  h5::Dataset dataset = group_.create_dataset(name, h5::Type::int64, shape_of(axes));
  describe(dataset, axes, units, long_name);
  if (entries(axes) > 0) dataset.write(data);
  return dataset;
}

h5::Dataset Shelf::put(const std::string& name, const std::vector<Axis>& axes,
                       const std::vector<std::string>& texts, const std::string& long_name) {
  h5::Dataset dataset = group_.create_dataset(name, h5::Type::text, shape_of(axes));
  describe(dataset, axes, "1", long_name);
  if (entries(axes) > 0) dataset.write(texts);
  return dataset;
}

h5::Dataset Shelf::put(const std::string& name, const Axis& rows, const Axis& columns,
                       const Eigen::MatrixXd& matrix, const std::string& long_name) {
  h5::Dataset dataset = make(name, {rows, columns}, "1", long_name);
  write_matrix(dataset, matrix);
  return dataset;
}

h5::Dataset Shelf::put_flags(const std::string& name, const std::vector<Axis>& axes,
                             const std::vector<std::int8_t>& data,
                             const std::vector<std::string>& names, const std::string& long_name) {
  h5::Dataset dataset = group_.create_dataset(name, h5::Type::int8, shape_of(axes));
  describe(dataset, axes, "1", long_name);
  std::vector<std::int8_t> values(names.size());
  std::iota(values.begin(), values.end(), std::int8_t{0});
  std::string meanings;
  for (const std::string& word : names) meanings += (meanings.empty() ? "" : " ") + word;
  dataset.set_attribute("flag_values", values);
  dataset.set_attribute("flag_meanings", meanings);
  if (entries(axes) > 0) dataset.write(std::span<const std::int8_t>(data));
  return dataset;
}

}  // namespace settle::io
