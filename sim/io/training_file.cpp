#include "sim/io/training_file.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "sim/core/value.hpp"
#include "sim/io/checksum.hpp"
#include "sim/io/quantities.hpp"
#include "sim/io/result_path.hpp"
#include "sim/io/row_major.hpp"
#include "sim/io/training_reader.hpp"

namespace settle::io {
namespace {

constexpr std::int8_t not_ended = -1;

const std::vector<std::string>& axis_names() {
  static const std::vector<std::string> names = {"rule", "seed", "step"};
  return names;
}

Axis axis(const std::string& dimension, std::size_t size) { return {dimension, size}; }

h5::File open_training(const std::filesystem::path& path) {
  h5::File file = h5::File::open_to_write(path);
  check_is_training(file);
  if (const std::string status = file.text_attribute("status"); status == "done")
    throw core::InputError(path.string(), "a training run that is done", "one that is not");
  return file;
}

template <class T>
std::string list_text(const std::vector<T>& entries) {
  std::vector<std::string> texts;
  for (const T& entry : entries)
    if constexpr (std::is_same_v<T, std::string>)
      texts.push_back("\"" + entry + "\"");
    else
      texts.push_back(core::number_text(static_cast<double>(entry)));
  return texts.empty() ? "none" : core::join(texts);
}

template <class T>
void check_same(const h5::File& file, const std::string& what, const std::vector<T>& found,
                const std::vector<T>& expected) {
  if (found != expected)
    throw core::InputError(file.file(), what + " " + list_text(found),
                           what + " " + list_text(expected) + ", as the configuration has");
}

}  // namespace

const std::vector<std::string>& course_outcome_names() {
  static const std::vector<std::string> names = {"trained", "diverged", "failed", "interrupted"};
  return names;
}

// ---- Opening ----

TrainingFile::TrainingFile(std::filesystem::path path, TrainingLayout layout,
                           const ResumableInfo& info, Opening opening)
    : path_(std::move(path)), layout_(std::move(layout)) {
  const auto lock = h5::lock_library();
  if (opening == Opening::resume)
    resume(info);
  else
    create(info, opening == Opening::overwrite);
}

std::vector<Axis> TrainingFile::axes_of(const TrainingVariable& variable) const {
  std::vector<Axis> axes = {axis("rule", layout_.rules.size()), axis("seed", layout_.seeds.size()),
                            axis("step", layout_.steps.size())};
  if (variable.per_layer) axes.push_back(axis("layer", layout_.layers.size()));
  return axes;
}

double TrainingFile::expected_bytes(const ResumableInfo& info) const {
  constexpr double for_header = 4096;
  double bytes = static_cast<double>(info.run.config.size() + info.run.config_expanded.size() +
                                     info.resumption.config.size());
  for (const TrainingVariable& variable : layout_.variables) {
    double entries = 1;
    for (const Axis& one : axes_of(variable)) entries *= static_cast<double>(one.size);
    bytes += sizeof(double) * entries + for_header;
  }
  for (const std::string& rule : layout_.rules)
    bytes += static_cast<double>(rule.size() + 32 * layout_.seeds.size());
  return bytes + 8.0 * static_cast<double>(layout_.steps.size());
}

void TrainingFile::create(const ResumableInfo& info, bool overwrite) {
  check_result_path(path_, overwrite);
  outcomes_.assign(layout_.rules.size() * layout_.seeds.size(), not_ended);
  reasons_.resize(outcomes_.size());
  write_whole(path_, Begin::empty, expected_bytes(info), [&](h5::File& file) { make(file, info); });
  file_.emplace(path_, h5::File::open_to_write(path_));
  open_variables();
}

void TrainingFile::make(h5::File& file, const ResumableInfo& info) const {
  write_provenance(file, info.run);
  file.set_attribute(training_axes_name, axis_names());
  Shelf root(file.group("/"));
  root.put_scale("rule", layout_.rules, "learning rule");
  root.put_scale("seed", std::span<const std::int64_t>(layout_.seeds), "seed");
  root.put_scale("step", layout_.steps, "1", "examples seen");
  root.put_scale("layer", std::span<const std::int64_t>(layout_.layers),
                 "layer of weights, from 1 at the input");
  if (!layout_.series.empty()) {
    std::vector<std::string> names, parameters;
    std::vector<double> values;
    for (const TrainingLayout::Series& one : layout_.series) {
      names.push_back(one.name);
      parameters.push_back(one.parameter);
      values.push_back(one.value);
    }
    const std::vector<Axis> along = {axis("rule", layout_.rules.size())};
    root.put("series", along, names, "rules that differ in one parameter have one series");
    root.put("parameter", along, parameters, "in which a rule differs from others of its series");
    root.put("parameter_value", along, values, "1", "its number, in the configuration's unit");
    // Where xarray looks for what it is to call so.
    file.set_attribute("coordinates", std::string("series parameter parameter_value"));
  }
  // With their room from the start, so that a flush moves raw data only.
  for (const TrainingVariable& variable : layout_.variables) {
    const std::string unit =
        variable.unit.empty() ? "1" : quantity_units(variable.unit, info.run.time_unit);
    h5::Dataset dataset = root.make(variable.name, axes_of(variable), unit, variable.long_name,
                                    {.allocate_early = true});
    if (variable.is_count) dataset.set_attribute("is_count", std::int8_t{1});
  }
  const std::vector<Axis> courses = {axis("rule", layout_.rules.size()),
                                     axis("seed", layout_.seeds.size())};
  root.put_flags("outcome", courses, outcomes_, course_outcome_names(),
                 "how the course ended, -1 where it has not");
  root.put("reason", courses, reasons_, "why the course ended early");
  write_configuration(root, info.run);
  write_resumption(root, info.resumption);
}

void TrainingFile::resume(const ResumableInfo& info) {
  h5::File file = open_training(path_);
  check_same(file, "rules", file.dataset("rule").read_texts(), layout_.rules);
  check_same(file, "seeds", file.dataset("seed").read_integers(), layout_.seeds);
  check_same(file, "steps", file.dataset("step").read_numbers().values, layout_.steps);
  check_same(file, "layers", file.dataset("layer").read_integers(), layout_.layers);
  for (const TrainingVariable& variable : layout_.variables) {
    std::vector<std::string> found, expected;
    for (const std::string& scale : file.dataset(variable.name).scales())
      found.push_back(h5::last_part(scale));
    for (const Axis& one : axes_of(variable)) expected.push_back(one.dimension);
    check_same(file, "dimensions of " + variable.name, found, expected);
  }
  // As it was given it may be written another way; everything spelt out, it is the same.
  if (file.dataset("config_expanded").text_attribute("sha256") != sha256(info.run.config_expanded))
    throw core::InputError(path_.string(),
                           "a training run of another configuration (SHA-256 of config_expanded)",
                           "the configuration that it began with");
  reasons_ = file.dataset("reason").read_texts();
  for (const std::int64_t flag : file.dataset("outcome").read_integers())
    outcomes_.push_back(static_cast<std::int8_t>(flag));
  for (std::size_t k = 0; k < outcomes_.size(); ++k)
    if (outcomes_[k] == static_cast<std::int8_t>(CourseOutcome::interrupted))
      set_course(k, not_ended, "");
  set_status("running", "");
  file_.emplace(path_, std::move(file));
  open_variables();
  write_out();
}

void TrainingFile::open_variables() {
  for (const TrainingVariable& variable : layout_.variables)
    variables_.push_back(file_->dataset(variable.name));
}

TrainingFile::~TrainingFile() {
  const auto lock = h5::lock_library();
  if (file_) {
    const auto end = [this] {
      try {
        set_status("interrupted", "the program ended before the training did");
        write_out();
      } catch (...) {
        return false;
      }
      return true;
    };
    if (!end()) {  // the disk is full: without what was put last
      added_.clear();
      changes_.clear();
      end();
    }
  }
  variables_.clear();
  file_.reset();
}

bool TrainingFile::is_training(const std::filesystem::path& path) {
  const auto lock = h5::lock_library();
  return h5::File::says(path, training_axes_name);
}

// ---- Writing ----

std::size_t TrainingFile::course(std::size_t rule, std::size_t seed) const {
  assert(rule < layout_.rules.size() && seed < layout_.seeds.size());
  return rule * layout_.seeds.size() + seed;
}

std::size_t TrainingFile::variable_index(const std::string& name) const {
  const auto found = std::find_if(layout_.variables.begin(), layout_.variables.end(),
                                  [&](const auto& variable) { return variable.name == name; });
  assert(found != layout_.variables.end());
  return static_cast<std::size_t>(found - layout_.variables.begin());
}

void TrainingFile::put(const std::string& variable, std::size_t rule, std::size_t seed,
                       std::size_t step, std::span<const double> values) {
  const std::scoped_lock mine(mutex_);
  Added added{variable_index(variable), {rule, seed, step}, {values.begin(), values.end()}};
  if (layout_.variables[added.variable].per_layer) added.start.push_back(0);
  assert(values.size() == (added.start.size() == 4 ? layout_.layers.size() : 1));
  added_.push_back(std::move(added));
  flush_if_due();
}

void TrainingFile::put(const std::string& variable, std::size_t rule, std::size_t seed,
                       std::size_t step, double value) {
  put(variable, rule, seed, step, std::span(&value, 1));
}

void TrainingFile::set_course(std::size_t k, std::int8_t outcome, const std::string& reason) {
  outcomes_[k] = outcome;
  reasons_[k] = reason;
  const h5::Shape at = {k / layout_.seeds.size(), k % layout_.seeds.size()};
  const double bytes = for_text + static_cast<double>(reason.size());
  changes_.push_back(
      {bytes, [=](h5::File& file) {
         file.dataset("reason").write_block(at, {1, 1}, std::vector{reason});
         file.dataset("outcome").write_block(at, {1, 1}, std::span<const std::int8_t>(&outcome, 1));
       }});
}

void TrainingFile::end(std::size_t rule, std::size_t seed, CourseOutcome outcome,
                       const std::string& reason) {
  const std::scoped_lock mine(mutex_);
  set_course(course(rule, seed), static_cast<std::int8_t>(outcome), reason);
  flush_if_due();
}

std::optional<CourseOutcome> TrainingFile::outcome(std::size_t rule, std::size_t seed) const {
  const std::scoped_lock mine(mutex_);
  const std::int8_t flag = outcomes_[course(rule, seed)];
  if (flag == not_ended) return std::nullopt;
  return static_cast<CourseOutcome>(flag);
}

std::string TrainingFile::reason(std::size_t rule, std::size_t seed) const {
  const std::scoped_lock mine(mutex_);
  return reasons_[course(rule, seed)];
}

void TrainingFile::change(double bytes, std::function<void(h5::File&)> apply) {
  const std::scoped_lock mine(mutex_);
  changes_.push_back({bytes, std::move(apply)});
  flush_if_due();
}

void TrainingFile::put_array(std::size_t rule, std::size_t seed, const std::string& name,
                             const std::vector<Axis>& axes,
                             std::function<void(h5::Dataset&)> write) {
  constexpr double for_group = 64 * 1024;
  double bytes = sizeof(double);
  for (const Axis& one : axes) bytes *= static_cast<double>(one.size);
  change(bytes + for_group, [=, this](h5::File& file) {
    const std::string group =
        "weights/rule_" + std::to_string(rule) + "/seed_" + std::to_string(layout_.seeds.at(seed));
    Shelf shelf(file.require_group(group));
    shelf.group().set_attribute("rule", layout_.rules.at(rule));
    shelf.group().set_attribute("seed", layout_.seeds.at(seed));
    h5::Dataset dataset = shelf.group().is_dataset(name) ? shelf.group().dataset(name)
                                                         : shelf.make(name, axes, "1", name);
    assert(std::all_of(axes.begin(), axes.end(), [&](const Axis& one) {
      return shelf.scale(one).shape() == h5::Shape{one.size};
    }));
    write(dataset);
  });
}

void TrainingFile::put_matrix(std::size_t rule, std::size_t seed, const std::string& name,
                              const Eigen::MatrixXd& matrix, std::string rows,
                              std::string columns) {
  const Axis row = axis(rows.empty() ? name + "_row" : rows, shape_of(matrix)[0]);
  const Axis column = axis(columns.empty() ? name + "_column" : columns, shape_of(matrix)[1]);
  put_array(rule, seed, name, {row, column},
            [matrix](h5::Dataset& dataset) { write_matrix(dataset, matrix); });
}

void TrainingFile::put_vector(std::size_t rule, std::size_t seed, const std::string& name,
                              const Eigen::VectorXd& vector, std::string dimension) {
  const std::vector<double> entries(vector.begin(), vector.end());
  const Axis unit = axis(dimension.empty() ? name + "_row" : dimension, entries.size());
  put_array(rule, seed, name, {unit},
            [entries](h5::Dataset& dataset) { dataset.write(std::span<const double>(entries)); });
}

void TrainingFile::flush_if_due() {
  if (!file_->flush_is_due()) return;
  const auto lock = h5::lock_library();
  write_out();
}

void TrainingFile::flush() {
  const std::scoped_lock mine(mutex_);
  const auto lock = h5::lock_library();
  write_out();
}

// Numbers before what is said of them: that their course has ended.
void TrainingFile::write_out() {
  if (!added_.empty()) {
    file_->write_out(0, [&] {
      for (const Added& added : added_) {
        h5::Shape count(added.start.size(), 1);
        if (count.size() == 4) count.back() = layout_.layers.size();
        variables_[added.variable].write_block(added.start, count, added.values);
      }
    });
    added_.clear();
  }
  if (changes_.empty()) return;
  double bytes = 0;
  for (const Change& one : changes_) bytes += one.bytes;
  variables_.clear();
  try {
    file_->restructure(bytes, [&](h5::File& file) {
      for (const Change& one : changes_) one.apply(file);
    });
  } catch (...) {
    open_variables();
    throw;
  }
  open_variables();
  changes_.clear();
}

// ---- The end ----

void TrainingFile::set_status(const std::string& status, const std::string& reason) {
  changes_.push_back({for_text + static_cast<double>(reason.size()), [=](h5::File& file) {
                        file.set_attribute("stop_reason", reason);
                        file.set_attribute("status", status);
                      }});
}

void TrainingFile::finish(const std::string& status, const std::string& reason) {
  const std::scoped_lock mine(mutex_);
  const auto lock = h5::lock_library();
  set_status(status, reason);
  write_out();
  variables_.clear();
  file_->close();
  file_.reset();
}

}  // namespace settle::io
