#include "sim/io/result_reader.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>

#include "sim/core/error.hpp"
#include "sim/io/layout.hpp"
#include "sim/io/quantities.hpp"
#include "sim/io/row_major.hpp"

namespace settle::io {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

std::string dataset_name(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

h5::File open_result(const std::filesystem::path& path) {
  h5::File file = h5::File::open(path);
  const char* expected = "a file that settle run wrote";
  if (file.has_attribute("training_axes"))
    throw core::InputError(path.string(), "the result of training, which holds no trajectories",
                           "the result of a circuit's run");
  if (file.has_attribute("checkpoint_version"))
    throw core::InputError(path.string(), "a checkpoint of training", expected);
  if (!file.has_attribute("schema_version") || !file.has_attribute("status") ||
      !file.is_dataset("time"))
    throw core::InputError(path.string(), "an HDF5 file that is no result of settle", expected);
  const double version = file.number_attribute("schema_version");
  if (version > schema_version)
    throw core::InputError(path.string(), "layout " + core::number_text(version),
                           "layout " + std::to_string(schema_version) + " or older");
  return file;
}

}  // namespace

ResultFile::ResultFile(const std::filesystem::path& path) : path_(path), file_(open_result(path)) {
  read_time();
  list_variables();
  read_phases();
}

std::string ResultFile::attribute(const std::string& name) const { return text_of(file_, name); }

std::optional<double> ResultFile::number(const std::string& name) const {
  if (!file_.has_attribute(name)) return std::nullopt;
  return file_.number_attribute(name);
}

std::string ResultFile::config() const { return file_.dataset("config").read_text(); }

std::string ResultFile::config_expanded() const {
  return file_.dataset("config_expanded").read_text();
}

void ResultFile::read_time() {
  const std::vector<double> all = file_.dataset("time").read_numbers().values;
  const auto end = std::find_if(all.begin(), all.end(), [](double t) { return std::isnan(t); });
  time_ = Eigen::Map<const VectorXd>(all.data(), end - all.begin());
}

VariableInfo ResultFile::describe(const h5::Dataset& dataset, const std::string& name) const {
  VariableInfo info{.name = name,
                    .dimensions = dataset.scales(),
                    .shape = dataset.shape(),
                    .units = text_of(dataset, "units"),
                    .long_name = text_of(dataset, "long_name")};
  for (std::string& dimension : info.dimensions)
    dimension = dimension.substr(dimension.rfind('/') + 1);
  return info;
}

void ResultFile::list_variables() {
  if (file_.is_dataset("trial")) trials_ = file_.dataset("trial").shape().at(0);
  for (const std::string& name : file_.names()) {
    if (!file_.is_dataset(name)) continue;
    const h5::Dataset dataset = file_.dataset(name);
    VariableInfo info = describe(dataset, name);
    if (info.dimensions.size() == 3 && info.dimensions[0] == "time" && dataset.is_number()) {
      trajectories_.push_back(std::move(info));
    } else if (std::optional<core::Quantity> quantity = read_quantity(file_, name)) {
      measures_.push_back(std::move(*quantity));
    }
  }
  if (file_.is_dataset("outcome")) outcomes_ = flags("outcome");
  if (file_.is_dataset("outcome_reason"))
    outcome_reasons_ = file_.dataset("outcome_reason").read_texts();
}

std::vector<std::string> ResultFile::flags(const std::string& name) const {
  const h5::Dataset dataset = file_.dataset(name);
  std::istringstream words(dataset.text_attribute("flag_meanings"));
  const std::vector<std::string> meanings(std::istream_iterator<std::string>(words), {});
  std::vector<std::string> out;
  for (const std::int64_t flag : dataset.read_integers()) {
    if (flag < 0 || flag >= static_cast<std::int64_t>(meanings.size()))
      throw core::InputError(path_.string() + ": /" + name, "the flag " + std::to_string(flag),
                             "a flag that flag_meanings names");
    out.push_back(meanings[static_cast<std::size_t>(flag)]);
  }
  return out;
}

void ResultFile::read_phases() {
  if (!file_.is_dataset("phase")) return;
  const std::vector<std::string> names = file_.dataset("phase").read_texts();
  const std::vector<double> starts = file_.dataset("phase_start").read_numbers().values;
  const std::vector<double> ends = file_.dataset("phase_end").read_numbers().values;
  const std::vector<std::string> outcomes = flags("phase_outcome");
  if (starts.size() != names.size() || ends.size() != names.size() ||
      outcomes.size() != names.size() * trials_)
    throw core::InputError(path_.string(),
                           "phase_start, phase_end or phase_outcome of another size",
                           "one entry a phase");
  std::vector<std::string> ways(outcomes.size());
  if (file_.is_dataset("phase_skipped")) ways = flags("phase_skipped");
  if (ways.size() != outcomes.size())
    throw core::InputError(path_.string(), "phase_skipped of another size",
                           "one entry a phase and trial");
  for (std::size_t k = 0; k < names.size(); ++k) {
    const auto first = static_cast<std::ptrdiff_t>(k * trials_);
    const auto last = first + static_cast<std::ptrdiff_t>(trials_);
    PhaseInfo& phase = phases_.emplace_back(PhaseInfo{
        names[k], starts[k], ends[k], {outcomes.begin() + first, outcomes.begin() + last}, {}});
    for (auto way = ways.begin() + first; way != ways.begin() + last; ++way)
      phase.skipped.push_back(*way == "skipped");
  }
}

const VariableInfo& ResultFile::trajectory_info(const std::string& name) const {
  std::vector<std::string> names;
  for (const VariableInfo& info : trajectories_) {
    if (info.name == name || info.name == dataset_name(name)) return info;
    names.push_back(info.name);
  }
  throw core::InputError(path_.string(), "no trajectory \"" + name + "\"",
                         names.empty() ? "a run that recorded one"
                                       : "one of " + core::join(names, " or ") +
                                             core::did_you_mean(dataset_name(name), names));
}

MatrixXd ResultFile::trajectory(const std::string& name) const {
  const VariableInfo& info = trajectory_info(name);
  const auto rows = static_cast<std::uint64_t>(time_.size());
  const h5::Shape count = {std::min(rows, info.shape[0]), info.shape[1], info.shape[2]};
  return by_rows(file_.dataset(info.name).read_numbers({0, 0, 0}, count),
                 static_cast<Index>(count[0]));
}

MatrixXd ResultFile::trajectory(const std::string& name, std::size_t trial) const {
  const VariableInfo& info = trajectory_info(name);
  if (trial >= info.shape[1])
    throw core::InputError(path_.string(), "trial " + std::to_string(trial),
                           "a trial from 0 to " + std::to_string(info.shape[1] - 1));
  const auto rows = static_cast<std::uint64_t>(time_.size());
  const h5::Shape count = {std::min(rows, info.shape[0]), 1, info.shape[2]};
  return by_rows(file_.dataset(info.name).read_numbers({0, trial, 0}, count),
                 static_cast<Index>(count[0]));
}

std::vector<std::string> ResultFile::final_nodes() const {
  std::vector<std::string> out;
  if (!file_.is_group("final")) return out;
  const h5::Group group = file_.group("final");
  for (const std::string& name : group.names()) {
    if (!group.is_dataset(name)) continue;
    const std::string node = text_of(group.dataset(name), "node");
    if (!node.empty()) out.push_back(node);
  }
  return out;
}

MatrixXd ResultFile::final_state(const std::string& node) const {
  const std::vector<std::string> nodes = final_nodes();
  const auto found = std::find_if(nodes.begin(), nodes.end(), [&](const std::string& known) {
    return known == node || dataset_name(known) == node;
  });
  if (found == nodes.end()) {
    const bool ended = file_.is_group("final");
    throw core::InputError(
        path_.string(),
        ended ? "no final state of \"" + node + "\""
              : "no final state (status \"" + status() + "\")",
        ended ? "one of " + core::join(nodes, " or ") + core::did_you_mean(node, nodes)
              : "a run that came to its end");
  }
  const h5::Numbers numbers = file_.dataset("final/" + dataset_name(*found)).read_numbers();
  if (numbers.shape.size() != 2)
    throw core::InputError(path_.string() + ": /final/" + dataset_name(*found),
                           "another number of dimensions", "(trial, unit)");
  return by_rows(numbers, static_cast<Index>(numbers.shape[0])).transpose();
}

const core::Quantity* ResultFile::measure(const std::string& name) const {
  const auto found = std::find_if(measures_.begin(), measures_.end(),
                                  [&](const auto& measure) { return measure.name == name; });
  return found == measures_.end() ? nullptr : &*found;
}

}  // namespace settle::io
