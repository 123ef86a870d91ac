#include "sim/io/training_file.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <system_error>

#include "sim/core/value.hpp"
#include "sim/io/checksum.hpp"
#include "sim/io/quantities.hpp"
#include "sim/io/result_path.hpp"
#include "sim/io/row_major.hpp"

namespace settle::io {
namespace {

constexpr const char* axes_name = "training_axes";
constexpr std::int8_t not_ended = -1;

const std::vector<std::string>& axis_names() {
  static const std::vector<std::string> names = {"rule", "seed", "step"};
  return names;
}

Axis axis(const std::string& dimension, std::size_t size) { return {dimension, size}; }

h5::File open_training(const std::filesystem::path& path) {
  h5::File file = h5::File::open_to_write(path);
  if (!file.has_attribute(axes_name))
    throw core::InputError(
        path.string(), "no result of a training run",
        "a file that settle run wrote of a configuration with [network] and [[rule]]");
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
  file_.emplace(path_, h5::File::create(path_));
  try {
    file_->write_out(expected_bytes(info), [&] { make(info); });
  } catch (...) {
    let_go();
    file_.reset();
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
    throw;
  }
}

void TrainingFile::make(const ResumableInfo& info) {
  write_provenance(*file_, info.run);
  file_->set_attribute(axes_name, axis_names());
  Shelf root(file_->group("/"));
  root.put_scale("rule", layout_.rules, "learning rule");
  root.put_scale("seed", std::span<const std::int64_t>(layout_.seeds), "seed");
  root.put_scale("step", layout_.steps, "1", "examples seen");
  root.put_scale("layer", std::span<const std::int64_t>(layout_.layers),
                 "layer of weights, from 1 at the input");
  // With their room from the start, so that a flush moves raw data only.
  for (const TrainingVariable& variable : layout_.variables) {
    const std::string unit =
        variable.unit.empty() ? "1" : quantity_units(variable.unit, info.run.time_unit);
    h5::Dataset dataset = root.make(variable.name, axes_of(variable), unit, variable.long_name,
                                    {.allocate_early = true});
    if (variable.is_count) dataset.set_attribute("is_count", std::int8_t{1});
    variables_.push_back(std::move(dataset));
  }
  const std::vector<Axis> courses = {axis("rule", layout_.rules.size()),
                                     axis("seed", layout_.seeds.size())};
  outcomes_.assign(layout_.rules.size() * layout_.seeds.size(), not_ended);
  reasons_.resize(outcomes_.size());
  outcome_ = root.put_flags("outcome", courses, outcomes_, course_outcome_names(),
                            "how the course ended, -1 where it has not");
  reason_ = root.put("reason", courses, reasons_, "why the course ended early");
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
    h5::Dataset dataset = file.dataset(variable.name);
    std::vector<std::string> found, expected;
    for (const std::string& scale : dataset.scales()) found.push_back(h5::last_part(scale));
    for (const Axis& one : axes_of(variable)) expected.push_back(one.dimension);
    check_same(file, "dimensions of " + variable.name, found, expected);
    variables_.push_back(std::move(dataset));
  }
  // As it was given it may be written another way; everything spelt out, it is the same.
  if (file.dataset("config_expanded").text_attribute("sha256") != sha256(info.run.config_expanded))
    throw core::InputError(path_.string(),
                           "a training run of another configuration (SHA-256 of config_expanded)",
                           "the configuration that it began with");
  outcome_ = file.dataset("outcome");
  reason_ = file.dataset("reason");
  reasons_ = reason_->read_texts();
  const auto interrupted = static_cast<std::int8_t>(CourseOutcome::interrupted);
  for (const std::int64_t flag : outcome_->read_integers())
    outcomes_.push_back(flag == interrupted ? not_ended : static_cast<std::int8_t>(flag));
  for (std::size_t k = 0; k < outcomes_.size(); ++k)
    if (outcomes_[k] == not_ended) {
      reasons_[k].clear();
      ended_.push_back(k);
    }
  file_.emplace(path_, std::move(file));
  write_out(0, [&] {
    file_->set_attribute("status", "running");
    file_->set_attribute("stop_reason", "");
  });
}

TrainingFile::~TrainingFile() {
  const auto lock = h5::lock_library();
  if (!file_) return;
  try {
    write_out(0, [] {});
  } catch (...) {  // the disk is full: without what was put last
  }
  try {
    close("interrupted", "the program ended before the training did");
  } catch (...) {
    file_.reset();
  }
}

bool TrainingFile::is_training(const std::filesystem::path& path) {
  const auto lock = h5::lock_library();
  return h5::File::says(path, axes_name);
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

void TrainingFile::end(std::size_t rule, std::size_t seed, CourseOutcome outcome,
                       const std::string& reason) {
  const std::scoped_lock mine(mutex_);
  const std::size_t k = course(rule, seed);
  outcomes_[k] = static_cast<std::int8_t>(outcome);
  reasons_[k] = reason;
  ended_.push_back(k);
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

template <class Write>
void TrainingFile::put_array(std::size_t rule, std::size_t seed, const std::string& name,
                             const std::vector<Axis>& axes, const Write& write) {
  constexpr double for_group = 64 * 1024;
  double bytes = sizeof(double);
  for (const Axis& one : axes) bytes *= static_cast<double>(one.size);
  const std::scoped_lock mine(mutex_);
  const auto lock = h5::lock_library();
  write_out(bytes + for_group, [&] {
    const std::string group =
        "weights/rule_" + std::to_string(rule) + "/seed_" + std::to_string(layout_.seeds.at(seed));
    Shelf shelf(file_->require_group(group));
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
            [&](h5::Dataset& dataset) { write_matrix(dataset, matrix); });
}

void TrainingFile::put_vector(std::size_t rule, std::size_t seed, const std::string& name,
                              const Eigen::VectorXd& vector, std::string dimension) {
  const std::span entries(vector.data(), static_cast<std::size_t>(vector.size()));
  const Axis unit = axis(dimension.empty() ? name + "_row" : dimension, entries.size());
  put_array(rule, seed, name, {unit}, [&](h5::Dataset& dataset) { dataset.write(entries); });
}

void TrainingFile::flush_if_due() {
  if (!file_->flush_is_due()) return;
  const auto lock = h5::lock_library();
  write_out(0, [] {});
}

void TrainingFile::flush() {
  const std::scoped_lock mine(mutex_);
  const auto lock = h5::lock_library();
  write_out(0, [] {});
}

// What was put, and `more`, of so many bytes.
void TrainingFile::write_out(double bytes, const std::function<void()>& more) {
  constexpr double for_text = 64;
  for (const std::size_t k : ended_) bytes += for_text + static_cast<double>(reasons_[k].size());
  file_->write_out(bytes, [&] {
    write_added();
    more();
  });
}

void TrainingFile::write_added() {
  for (const Added& added : added_) {
    h5::Shape count(added.start.size(), 1);
    if (count.size() == 4) count.back() = layout_.layers.size();
    variables_[added.variable].write_block(added.start, count, added.values);
  }
  added_.clear();
  if (ended_.empty()) return;
  // That a course has ended follows its numbers to the disk.
  file_->flush();
  for (const std::size_t k : ended_) {
    const h5::Shape at = {k / layout_.seeds.size(), k % layout_.seeds.size()};
    reason_->write_block(at, {1, 1}, std::vector{reasons_[k]});
    outcome_->write_block(at, {1, 1}, std::span<const std::int8_t>(&outcomes_[k], 1));
  }
  ended_.clear();
}

// ---- The end ----

void TrainingFile::finish(const std::string& status, const std::string& reason) {
  const std::scoped_lock mine(mutex_);
  const auto lock = h5::lock_library();
  write_out(0, [] {});
  close(status, reason);
}

void TrainingFile::let_go() {
  outcome_.reset();
  reason_.reset();
  variables_.clear();
}

void TrainingFile::close(const std::string& status, const std::string& reason) {
  let_go();
  file_->finish(status, reason);
  file_.reset();
}

}  // namespace settle::io
