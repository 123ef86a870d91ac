#include "sim/io/training_reader.hpp"

#include <algorithm>

#include "sim/core/error.hpp"

namespace settle::io {

void check_is_training(const h5::File& file) {
  if (!file.has_attribute(training_axes_name))
    throw core::InputError(
        file.file(), "no result of a training run",
        "a file that settle run wrote of a configuration with [network] and [[rule]]");
}

TrainingReader::TrainingReader(const std::filesystem::path& path)
    : path_(path), file_(h5::File::open(path)) {
  check_is_training(file_);
  read_layout();
  outcomes_ = file_.dataset("outcome").read_integers();
  if (outcomes_.size() != layout_.rules.size() * layout_.seeds.size())
    throw core::InputError(path.string(), "outcomes of another size", "one a rule and seed");
}

// A variable is what has the three axes, and perhaps layers after them, as its dimensions.
void TrainingReader::read_layout() {
  layout_.rules = file_.dataset("rule").read_texts();
  layout_.seeds = file_.dataset("seed").read_integers();
  layout_.steps = file_.dataset("step").read_numbers().values;
  layout_.layers = file_.dataset("layer").read_integers();
  for (const std::string& rule : layout_.rules) layout_.series.push_back({.name = rule});
  if (file_.is_dataset("series")) {
    const std::vector<std::string> names = file_.dataset("series").read_texts(),
                                   parameters = file_.dataset("parameter").read_texts();
    const std::vector<double> values = file_.dataset("parameter_value").read_numbers().values;
    for (std::size_t r = 0; r < layout_.series.size(); ++r)
      layout_.series[r] = {names.at(r), parameters.at(r), values.at(r)};
  }
  for (const std::string& name : file_.names()) {
    if (!file_.is_dataset(name)) continue;
    const h5::Dataset dataset = file_.dataset(name);
    std::vector<std::string> axes;
    for (const std::string& scale : dataset.scales()) axes.push_back(h5::last_part(scale));
    const bool per_layer = axes.size() == 4;
    if (per_layer && axes.back() == "layer") axes.pop_back();
    if (axes != file_.text_list_attribute(training_axes_name)) continue;
    layout_.variables.push_back({.name = name,
                                 .unit = text_of(dataset, "units"),
                                 .long_name = text_of(dataset, "long_name"),
                                 .per_layer = per_layer,
                                 .is_count = dataset.has_attribute("is_count")});
  }
}

const TrainingVariable* TrainingReader::find(const std::string& name) const {
  const auto found =
      std::find_if(layout_.variables.begin(), layout_.variables.end(),
                   [&](const TrainingVariable& variable) { return variable.name == name; });
  return found == layout_.variables.end() ? nullptr : &*found;
}

std::vector<double> TrainingReader::numbers(const std::string& name) const {
  if (!find(name)) {
    std::vector<std::string> names;
    for (const TrainingVariable& variable : layout_.variables) names.push_back(variable.name);
    throw core::InputError(path_.string(), "no variable \"" + name + "\"",
                           "one of " + core::join(names, " or ") + core::did_you_mean(name, names));
  }
  return file_.dataset(name).read_numbers().values;
}

std::optional<CourseOutcome> TrainingReader::outcome(std::size_t rule, std::size_t seed) const {
  const std::int64_t flag = outcomes_.at(rule * layout_.seeds.size() + seed);
  if (flag < 0) return std::nullopt;
  return static_cast<CourseOutcome>(flag);
}

}  // namespace settle::io
