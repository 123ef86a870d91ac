#include "learning/data.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "learning/data_kinds.hpp"
#include "sim/core/machine.hpp"

namespace settle::learning {
namespace {

using core::Value;

constexpr std::int64_t most_examples = 1'000'000'000;

Index outputs_of(const DataSet& set) {
  if (set.task == "classification") return set.classes;
  return set.task == "autoencoder" ? set.training.inputs.rows() : set.training.targets.rows();
}

MatrixXd one_hot(const std::vector<int>& labels, int classes) {
  MatrixXd out = MatrixXd::Zero(classes, static_cast<Index>(labels.size()));
  for (std::size_t k = 0; k < labels.size(); ++k) out(labels[k], static_cast<Index>(k)) = 1;
  return out;
}

std::string described(const DataSet& set, const std::string& name, const std::string& inputs) {
  std::string out = name + ": " + std::to_string(set.training.count()) + " training and " +
                    std::to_string(set.held_out.count()) + " held-out examples, " +
                    std::to_string(set.training.inputs.rows()) + " inputs, ";
  out += set.task == "autoencoder"      ? "which are the targets"
         : set.task == "classification" ? std::to_string(set.classes) + " classes"
                                        : std::to_string(set.training.targets.rows()) + " targets";
  return out + inputs;
}

}  // namespace

// ---- What all share ----

std::vector<std::string> DataSource::standardisations() const {
  return {"none", "zscore", "zscore_features"};
}

void DataSource::fields(core::Fields& f) {
  if (tasks().size() > 1)
    f.choice({"task", "", "what the targets are: numbers, classes, or the inputs"}, task_, tasks());
  f.choice({"standardise", "",
            "the inputs; unit: bytes over 255; zscore: by one mean and deviation of all training "
            "inputs; zscore_features: by each feature's own"},
           standardise_, standardisations());
}

Index DataSource::wanted(const std::string& key, std::optional<std::int64_t> asked,
                         std::optional<std::int64_t> own, Index available,
                         const DataRequest& request) const {
  const Index count = asked.value_or(own.value_or(available));
  if (count > available)
    place.fail(key, std::to_string(count) + " examples asked for",
               "at most " + std::to_string(available) + ", as many as there are");
  return request.limit > 0 ? std::min<Index>(count, request.limit) : count;
}

// x ↦ (x − m)/s in place; says how, for people.
std::string DataSource::standardise(DataSet& set) const {
  if (standardise_ == "unit") return ", over the largest integer";
  if (standardise_ == "none") return "";
  const MatrixXd& x = set.training.inputs;
  if (standardise_ == "zscore") {
    const double mean = x.mean();
    const double deviation = std::sqrt((x.array() - mean).square().mean());
    if (!(deviation > std::numeric_limits<double>::epsilon() * std::abs(mean)))
      place.fail("standardise", "\"zscore\" of inputs that are all equal", "inputs that differ");
    for (MatrixXd* inputs : {&set.training.inputs, &set.held_out.inputs})
      inputs->array() = (inputs->array() - mean) / deviation;
    return ", standardised by mean " + core::brief(mean) + " and deviation " +
           core::brief(deviation);
  }
  const Eigen::ArrayXd mean = x.rowwise().mean();
  Eigen::ArrayXd factor = (x.array().colwise() - mean).square().rowwise().mean().sqrt();
  for (Index i = 0; i < factor.size(); ++i) {
    const bool changes = factor[i] > std::numeric_limits<double>::epsilon() * std::abs(mean[i]);
    factor[i] = changes ? 1 / factor[i] : 0;
  }
  for (MatrixXd* inputs : {&set.training.inputs, &set.held_out.inputs}) {
    inputs->array().colwise() -= mean;
    inputs->array().colwise() *= factor;
  }
  return ", each standardised by its own mean and deviation";
}

void DataSource::check_sizes(const DataSet& set, const DataRequest& request) const {
  if (request.layers.empty()) return;
  const auto check = [&](std::int64_t units, Index numbers, const std::string& what,
                         const std::string& layer) {
    if (units != numbers)
      core::fail(place.at, place.path, std::to_string(numbers) + " " + what,
                 std::to_string(units) + ", the size of the network's " + layer + " layer");
  };
  check(request.layers.front(), set.training.inputs.rows(), "inputs an example", "first");
  check(request.layers.back(), outputs_of(set),
        set.task == "classification" ? "classes" : "targets an example", "last");
}

DataSet DataSource::load(const DataRequest& request) const {
  DataSet set = make(request);
  set.task = task_;
  if (set.training.count() == 0) place.fail("examples", "no example for training", "at least one");
  check_sizes(set, request);
  set.description = described(set, name(), standardise(set));
  if (task_ == "regression") return set;
  core::require_memory(static_cast<double>(outputs_of(set)) *
                           static_cast<double>(set.training.count() + set.held_out.count()),
                       "the targets", place.at, place.path);
  for (Examples* part : {&set.training, &set.held_out})
    part->targets = task_ == "autoencoder" ? part->inputs : one_hot(part->labels, set.classes);
  return set;
}

// ---- Those that are generated ----

void GeneratedData::fields(core::Fields& f) {
  f.integer({"examples", "1", "for training"}, examples_, 1, most_examples);
  f.integer({"held_out", "1", "further ones that are not trained on"}, held_out_, 0, most_examples);
  DataSource::fields(f);
}

DataSet GeneratedData::make(const DataRequest& request) const {
  const Draw draw = prepare(request);
  DataSet out;
  out.training = draw(wanted("examples", request.examples, examples_, most_examples, request),
                      "data.training");
  out.held_out = draw(wanted("held_out", request.held_out, held_out_, most_examples, request),
                      "data.held_out");
  out.classes = classes();
  return out;
}

// ---- The family ----

const core::Registry<DataSource>& data_sources() {
  static const core::Registry<DataSource> registry(
      "data sets",
      {{"linear_teacher", "y = T x of random inputs", make_linear_teacher},
       {"tanh_teacher", "random inputs through a random tanh network, linear output",
        make_tanh_teacher},
       {"relu_teacher", "random inputs through a random relu network, linear output",
        make_relu_teacher},
       {"digits", "drawn digits of any size, shifted, of several widths, noisy", make_digits},
       {"idx", "images and labels in MNIST's format, plain or gzipped", make_idx_data},
       {"csv", "rows of a text (or NumPy) file, some columns being the targets", make_csv_data},
       {"hdf5", "datasets of inputs and targets of an HDF5 file", make_hdf5_data}});
  return registry;
}

Data read_data_source(const Value& table, const std::string& path) {
  const Value* kind = table.find("kind");
  if (!kind)
    core::fail(table, path, table.is_table() ? "\"kind\" is missing" : table.describe(),
               "a table with kind = " + core::join(data_sources().names(), " or "));
  std::unique_ptr<DataSource> made = data_sources().at(*kind, path + ".kind").make();
  made->place = {table, path};
  core::Reader reader(table, path);
  std::string name;
  reader.text({"kind", "", "the data set"}, name);
  made->fields(reader);
  reader.finish();
  made->check();
  return made;
}

Value write_data_source(const Data& source) {
  core::Writer writer;
  std::string name = source->name();
  writer.text({"kind", "", ""}, name);
  const_cast<DataSource&>(*source).fields(writer);  // a Writer only reads
  return std::move(writer.result);
}

core::CustomForm data_source_form(Data& target) {
  return {"a table { kind = \"…\", its parameters }",
          [&target](const Value& value, const std::string& path) {
            target = read_data_source(value, path);
          },
          [&target] { return target ? std::optional(write_data_source(target)) : std::nullopt; }};
}

}  // namespace settle::learning
