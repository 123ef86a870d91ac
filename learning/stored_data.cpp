// Data sets that are read from files.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "learning/data_kinds.hpp"
#include "sim/core/random.hpp"
#include "sim/io/checksum.hpp"
#include "sim/io/data_files.hpp"

namespace settle::learning {
namespace {

namespace fs = std::filesystem;
using core::Value;
using io::DataArray;

constexpr int most_classes = 65536;

// A number of examples, or all that there are.
core::CustomForm count_form(std::optional<std::int64_t>& target, std::int64_t low) {
  const std::string form = "an integer >= " + std::to_string(low) + ", or \"all\"";
  return {form,
          [&target, form, low](const Value& value, const std::string& path) {
            target.reset();
            if (value.is_text() && value.text() == "all") return;
            if (!value.is_integer() || value.integer() < low)
              core::fail(value, path, value.describe(), form);
            target = value.integer();
          },
          [&target] { return target ? Value(*target) : Value("all"); }};
}

Index rows_of(const DataArray& array) { return array.shape.empty() ? 1 : array.shape[0]; }

// One example a column: a row of the file, which is row-major, is a column here.
MatrixXd columns_of(const DataArray& array) {
  const Index n = rows_of(array);
  return Eigen::Map<const MatrixXd>(array.values.data(),
                                    static_cast<Index>(array.values.size()) / n, n);
}

// What a file says of some examples: `targets` are numbers, or classes in a single row.
struct Raw {
  MatrixXd inputs, targets;
  std::string file;
  Index count() const { return inputs.cols(); }
};

// ---- What all of them share ----

class StoredData : public DataSource {
 public:
  bool is_drawn() const override { return false; }
  void fields(core::Fields& f) override {
    f.custom({"examples", "1", "for training, the first ones"}, count_form(examples_, 1));
    f.custom({"held_out", "1", "for tests, the first ones of those"}, count_form(held_out_, 0));
    f.integer({"classes", "1", "labels are 0 to classes - 1; 0: to the largest one for training"},
              classes_, 0, most_classes);
    DataSource::fields(f);
  }

 protected:
  using DataSource::DataSource;

  std::vector<std::string> standardisations() const override {
    std::vector<std::string> out = DataSource::standardisations();
    out.insert(out.begin() + 1, "unit");
    return out;
  }

  const Value& value_at(const std::string& key) const {
    const Value* value = place.at.find(key);
    return value ? *value : place.at;
  }
  std::string path_of(const std::string& key) const {
    return place.path.empty() ? key : place.path + "." + key;
  }

  // What `file`, that `key` names, holds.
  DataArray read(const std::string& key, const io::DataFile& file, const DataRequest& request,
                 io::DataFormat format = io::DataFormat::any) const {
    return io::read_data(file, request.base, value_at(key), path_of(key), format);
  }

  fs::path full_path(const std::string& key, const std::string& file,
                     const DataRequest& request) const {
    return request.base / io::expand_variables(file, value_at(key), path_of(key));
  }

  static void note_file(DataSet& set, const fs::path& file) {
    const std::string name = "  " + file.string();
    const auto is_it = [&](const std::string& line) { return line.ends_with(name); };
    if (std::none_of(set.files.begin(), set.files.end(), is_it))
      set.files.push_back(io::sha256_of_file(file) + name);
  }

  std::string unit_or_none() const { return standardise_ == "unit" ? "unit" : "none"; }

  // Classes from 0 to classes − 1.
  std::vector<int> labels_of(const Eigen::Ref<const Eigen::RowVectorXd>& numbers, int classes,
                             const std::string& key, const std::string& file) const {
    std::vector<int> out;
    for (Index k = 0; k < numbers.size(); ++k) {
      const double x = numbers[k];
      if (!(x >= 0 && x < classes) || x != std::floor(x))
        place.fail(
            key, file + ": the label " + core::number_text(x) + " of example " + std::to_string(k),
            "an integer from 0 to " + std::to_string(classes - 1));
      out.push_back(static_cast<int>(x));
    }
    return out;
  }

  // As many as the file says, or as the largest label for training does.
  int classes_of(const Eigen::Ref<const Eigen::RowVectorXd>& training) const {
    if (classes_ > 0) return static_cast<int>(classes_);
    return static_cast<int>(std::clamp(training.maxCoeff() + 1, 1.0, double{most_classes}));
  }

  std::optional<std::int64_t> examples_, held_out_;
  std::int64_t classes_ = 0;
};

// ---- IDX ----

/// Images and their labels, by default MNIST's: N × r × c numbers are N examples of r·c features, and
/// N bytes their classes.
///
/// Parameters: `path`, the folder (default "${SETTLE_DATA}"; a relative one is below the
/// configuration's); `training_images`, `training_labels`, `held_out_images`, `held_out_labels`, the
/// files in it, each with or without ".gz" ("" where there is none; defaults: the four of MNIST);
/// `examples` and `held_out` (all); `classes`; `task`, classification or autoencoder, which needs no
/// labels; `standardise`, by default zscore, as the paper classifies digits (its autoencoder has unit).
///
/// @throws InputError  for a file that is missing, has another magic number, is cut short or goes on,
///                     images or labels in each other's place, other counts of images and labels, and
///                     labels beyond the classes
/// Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits".
class IdxData final : public StoredData {
 public:
  IdxData() : StoredData("classification", "zscore") {}

  std::string name() const override { return "idx"; }

  void fields(core::Fields& f) override {
    f.text({"path", "", "the folder of the files; ${NAME} is an environment variable"}, path_);
    f.text({"training_images", "", "file of images, with or without .gz"}, training_part_.images);
    f.text({"training_labels", "", "file of their labels"}, training_part_.labels);
    f.text({"held_out_images", "", "file of further images; \"\" for none"}, held_out_part_.images);
    f.text({"held_out_labels", "", "file of their labels"}, held_out_part_.labels);
    StoredData::fields(f);
  }

  void check() const override {
    if (training_part_.images.empty()) place.fail("training_images", "no file", "a file of images");
    for (const Part* part : {&training_part_, &held_out_part_})
      if (task_ == "classification" && !part->images.empty() && part->labels.empty())
        place.fail(part->key + "_labels", "no file of labels",
                   "one, or task = \"autoencoder\", which needs none");
  }

 private:
  struct Part {
    std::string key, images, labels;
  };

  std::vector<std::string> tasks() const override { return {"classification", "autoencoder"}; }

  DataSet make(const DataRequest& request) const override {
    DataSet out;
    std::optional<DataArray> labels = read_labels(training_part_, request, out);
    out.training.inputs =
        read_images(training_part_, labels, "examples", request.examples, examples_, request, out);
    if (labels) {
      const Eigen::Map<const Eigen::RowVectorXd> all(labels->values.data(), rows_of(*labels));
      out.classes = classes_of(all);
      out.training.labels = labels_of(all.head(out.training.count()), out.classes,
                                      "training_labels", training_part_.labels);
    }
    if (held_out_part_.images.empty()) {
      wanted("held_out", request.held_out, held_out_, 0, request);
      out.held_out.inputs.resize(out.training.inputs.rows(), 0);
      return out;
    }
    // Labels are of use where both parts have them.
    if (labels) labels = read_labels(held_out_part_, request, out);
    out.held_out.inputs =
        read_images(held_out_part_, labels, "held_out", request.held_out, held_out_, request, out);
    if (out.held_out.inputs.rows() != out.training.inputs.rows())
      place.fail("held_out_images", std::to_string(out.held_out.inputs.rows()) + " pixels an image",
                 std::to_string(out.training.inputs.rows()) + ", as those for training have");
    if (labels) {
      const Eigen::Map<const Eigen::RowVectorXd> all(labels->values.data(), rows_of(*labels));
      out.held_out.labels = labels_of(all.head(out.held_out.count()), out.classes,
                                      "held_out_labels", held_out_part_.labels);
    }
    return out;
  }

  // The file by that name, or else with or without ".gz".
  fs::path find(const std::string& name, const DataRequest& request) const {
    const fs::path file = full_path("path", (fs::path(path_) / name).string(), request);
    std::error_code error;
    const fs::path other =
        file.extension() == ".gz" ? fs::path(file).replace_extension() : fs::path(file) += ".gz";
    return !fs::exists(file, error) && fs::exists(other, error) ? other : file;
  }

  DataArray read_file(const std::string& key, const io::DataFile& file, const DataRequest& request,
                      bool images) const {
    DataArray array = read(key, file, request, io::DataFormat::idx);
    if ((array.shape.size() > 1) != images)
      place.fail(key,
                 file.file + ": " + (images ? "one number" : "several numbers") + " an example",
                 images ? "images, of two or three dimensions (bytes have the magic number "
                          "0x00000803)"
                        : "labels, of one dimension (bytes have the magic number 0x00000801)");
    return array;
  }

  std::optional<DataArray> read_labels(const Part& part, const DataRequest& request,
                                       DataSet& set) const {
    if (part.labels.empty()) return std::nullopt;
    const fs::path file = find(part.labels, request);
    DataArray out = read_file(part.key + "_labels", {.file = file.string()}, request, false);
    note_file(set, file);
    return out;
  }

  MatrixXd read_images(const Part& part, const std::optional<DataArray>& labels,
                       const std::string& count_key, std::optional<std::int64_t> asked,
                       std::optional<std::int64_t> own, const DataRequest& request,
                       DataSet& set) const {
    const std::string key = part.key + "_images";
    const fs::path path = find(part.images, request);
    io::DataFile file{.file = path.string(), .standardise = unit_or_none()};
    // One image tells how many there are, so that a rehearsal need not read them all.
    file.range.emplace(0, 1);
    const Index available = read_file(key, file, request, true).rows_in_file;
    if (labels && rows_of(*labels) != available)
      place.fail(
          key,
          std::to_string(available) + " images and " + std::to_string(rows_of(*labels)) + " labels",
          "one label an image");
    const Index count = wanted(count_key, asked, own, available, request);
    note_file(set, path);
    if (count == 0) return MatrixXd(set.training.inputs.rows(), 0);
    file.range->second = count;
    return columns_of(read_file(key, file, request, true));
  }

  std::string path_ = "${SETTLE_DATA}";
  Part training_part_{"training", "train-images-idx3-ubyte", "train-labels-idx1-ubyte"};
  Part held_out_part_{"held_out", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
};

// ---- CSV and HDF5 ----

// Inputs beside targets, which are numbers, or classes from 0 in one column.
class TableData : public StoredData {
 public:
  bool is_drawn() const override { return held_out_fraction_ > 0; }
  TableData() : StoredData("regression", "none") {}

  void fields(core::Fields& f) override {
    f.number({"held_out_fraction", "1", "of the examples, drawn at random, where no others are"},
             held_out_fraction_, {.low = 0, .high = 1, .high_open = true});
    StoredData::fields(f);
  }

 protected:
  virtual Raw read_part(bool held_out, const DataRequest& request) const = 0;
  virtual bool has_held_out() const = 0;

  // Columns of the targets that the network or the task asks for.
  Index target_columns(const DataRequest& request) const {
    if (task_ == "autoencoder") return 0;
    return task_ == "classification" || request.layers.empty() ? 1 : request.layers.back();
  }

  void check_split(const std::string& key) const {
    if (has_held_out() && held_out_fraction_ > 0)
      place.fail("held_out_fraction", "held-out examples and a fraction to be held out",
                 "one of " + key + " and held_out_fraction");
  }

 private:
  std::vector<std::string> tasks() const override {
    return {"regression", "classification", "autoencoder"};
  }

  DataSet make(const DataRequest& request) const final {
    Raw training = read_part(false, request), held_out;
    if (has_held_out()) {
      held_out = read_part(true, request);
      if (held_out.inputs.rows() != training.inputs.rows() ||
          held_out.targets.rows() != training.targets.rows())
        core::fail(place.at, place.path,
                   held_out.file + ": " + std::to_string(held_out.inputs.rows()) + " inputs and " +
                       std::to_string(held_out.targets.rows()) + " targets an example",
                   std::to_string(training.inputs.rows()) + " and " +
                       std::to_string(training.targets.rows()) + ", as those for training have");
    } else {
      std::tie(training, held_out) = split(std::move(training), request.seed);
    }
    DataSet out;
    if (task_ == "classification") out.classes = classes_of(training.targets.row(0));
    const auto take = [&](const Raw& raw, const std::string& key, std::optional<std::int64_t> asked,
                          std::optional<std::int64_t> own) {
      const Index n = wanted(key, asked, own, raw.count(), request);
      Examples part;
      part.inputs = raw.inputs.leftCols(n);
      if (task_ == "regression") part.targets = raw.targets.leftCols(n);
      if (task_ == "classification")
        part.labels = labels_of(raw.targets.row(0).head(n), out.classes, "targets", raw.file);
      return part;
    };
    out.training = take(training, "examples", request.examples, examples_);
    out.held_out = take(held_out, "held_out", request.held_out, held_out_);
    for (const Raw* raw : {&training, &held_out})
      if (!raw->file.empty()) note_file(out, raw->file);
    return out;
  }

  // Holds the examples with the smallest random numbers out; both parts keep the file's order.
  std::pair<Raw, Raw> split(Raw all, std::uint64_t seed) const {
    if (held_out_fraction_ == 0) {
      Raw none{MatrixXd(all.inputs.rows(), 0), MatrixXd(all.targets.rows(), 0), ""};
      return {std::move(all), std::move(none)};
    }
    const core::RandomStream stream(seed, "data.split");
    std::vector<Index> order(static_cast<std::size_t>(all.count()));
    std::iota(order.begin(), order.end(), Index{0});
    std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) {
      return stream.uniform(static_cast<std::uint64_t>(a)) <
             stream.uniform(static_cast<std::uint64_t>(b));
    });
    const auto middle =
        order.begin() + std::lround(held_out_fraction_ * static_cast<double>(all.count()));
    std::sort(order.begin(), middle);
    std::sort(middle, order.end());
    const auto part = [&](auto first, auto last) {
      const std::vector<Index> columns(first, last);
      return Raw{all.inputs(Eigen::all, columns), all.targets(Eigen::all, columns), all.file};
    };
    if (middle == order.end())
      place.fail("held_out_fraction", "every one of " + std::to_string(all.count()) + " examples",
                 "some that are left for training");
    return {part(middle, order.end()), part(order.begin(), middle)};
  }

  double held_out_fraction_ = 0;
};

/// An example a row: some columns are its targets and the others its inputs.
///
/// Parameters: `file`, as text with a header or without, or .npy, gzipped or not; `targets`, columns
/// counted from 0, or from −1 backwards (default: the last ones, as many as the network has outputs;
/// one, the class, for classification; none for an autoencoder); `held_out_file` of the same columns, or
/// `held_out_fraction` of the rows; `examples`, `held_out`, `classes`, `task` and `standardise` (none).
///
/// @throws InputError  for a file that is missing or cannot be read, a cell that is no finite number
///                     (file:line:column), a column that is not there, one that is named twice, no column
///                     of inputs, and labels that are no classes
class CsvData final : public TableData {
 public:
  std::string name() const override { return "csv"; }

  void fields(core::Fields& f) override {
    f.text({"file", "", "rows of numbers; ${NAME} is an environment variable", true}, file_);
    f.integers({"targets", "1",
                "columns, from 0, or from -1 backwards; the last ones unless given, and none for "
                "an autoencoder"},
               targets_, -100'000'000, 100'000'000);
    f.text({"held_out_file", "", "further examples, in the same columns"}, held_out_file_);
    TableData::fields(f);
  }

  void check() const override {
    check_split("held_out_file");
    if (task_ == "classification" && targets_.size() > 1)
      place.fail("targets", std::to_string(targets_.size()) + " columns",
                 "one, the class, for task = \"classification\"");
  }

 private:
  bool has_held_out() const override { return !held_out_file_.empty(); }

  Raw read_part(bool held_out, const DataRequest& request) const override {
    const std::string key = held_out ? "held_out_file" : "file";
    const std::string& file = held_out ? held_out_file_ : file_;
    const MatrixXd all =
        columns_of(read(key, {.file = file, .standardise = unit_or_none()}, request));
    const auto [inputs, targets] = columns(all.rows(), request);
    return {all(inputs, Eigen::all), all(targets, Eigen::all),
            full_path(key, file, request).string()};
  }

  // Those of the inputs, and those of the targets in the order asked for.
  std::pair<std::vector<Index>, std::vector<Index>> columns(Index n,
                                                            const DataRequest& request) const {
    std::vector<std::int64_t> asked = targets_;
    if (asked.empty())
      for (Index k = target_columns(request); k >= 1; --k) asked.push_back(-k);
    std::vector<bool> is_target(static_cast<std::size_t>(n), false);
    std::vector<Index> inputs, targets;
    for (const std::int64_t column : asked) {
      const std::int64_t at = column < 0 ? column + n : column;
      if (at < 0 || at >= n)
        place.fail("targets", "column " + std::to_string(column) + " of " + std::to_string(n),
                   "one from " + std::to_string(-n) + " to " + std::to_string(n - 1));
      if (is_target[static_cast<std::size_t>(at)])
        place.fail("targets", "column " + std::to_string(column) + " twice", "each column once");
      is_target[static_cast<std::size_t>(at)] = true;
      targets.push_back(at);
    }
    for (Index k = 0; k < n; ++k)
      if (!is_target[static_cast<std::size_t>(k)]) inputs.push_back(k);
    if (inputs.empty())
      place.fail("targets", "all " + std::to_string(n) + " columns",
                 "some that are left as inputs");
    return {inputs, targets};
  }

  std::string file_, held_out_file_;
  std::vector<std::int64_t> targets_;
};

/// Datasets of N rows: inputs N × features and targets N × outputs, or N classes; further dimensions
/// count as one.
///
/// Parameters: `file`; `inputs` ("/inputs") and `targets` ("/targets"; none for an autoencoder), the
/// datasets; `held_out_file`, `held_out_inputs`, `held_out_targets`, of which those that are not given are
/// the ones for training, or `held_out_fraction` of the rows; `examples`, `held_out`, `classes`, `task` and
/// `standardise` (none).
///
/// @throws InputError  for a file or dataset that is missing or holds no numbers, a number that is not
///                     finite, other counts of inputs and targets, and labels that are no classes
class Hdf5Data final : public TableData {
 public:
  std::string name() const override { return "hdf5"; }

  void fields(core::Fields& f) override {
    f.text({"file", "", "an HDF5 file; ${NAME} is an environment variable", true}, file_);
    f.text({"inputs", "", "dataset, one row an example"}, inputs_);
    f.text({"targets", "", "dataset of numbers, or of classes"}, targets_);
    f.text({"held_out_file", "", "of further examples; `file` unless given"}, held_out_file_);
    f.text({"held_out_inputs", "", "dataset; `inputs` unless given"}, held_out_inputs_);
    f.text({"held_out_targets", "", "dataset; `targets` unless given"}, held_out_targets_);
    TableData::fields(f);
  }

  void check() const override {
    check_split("held_out_file, held_out_inputs");
    if (!has_held_out() && !held_out_targets_.empty())
      place.fail("held_out_targets", "targets of no inputs",
                 "held_out_inputs or held_out_file too");
  }

 private:
  bool has_held_out() const override {
    return !held_out_file_.empty() || !held_out_inputs_.empty();
  }

  Raw read_part(bool held_out, const DataRequest& request) const override {
    // The held-out part's own name and its key, where there is one.
    const auto named = [&](const char* key, const std::string& name, const std::string& own) {
      const bool is_own = held_out && !own.empty();
      return std::pair((is_own ? "held_out_" : "") + std::string(key), is_own ? own : name);
    };
    const auto [file_key, file] = named("file", file_, held_out_file_);
    const auto [inputs_key, inputs] = named("inputs", inputs_, held_out_inputs_);
    const auto [targets_key, targets] = named("targets", targets_, held_out_targets_);
    Raw out;
    out.file = full_path(file_key, file, request).string();
    out.inputs = columns_of(read(
        inputs_key, {.file = file, .dataset = inputs, .standardise = unit_or_none()}, request));
    if (task_ == "autoencoder") {
      out.targets.resize(0, out.count());
      return out;
    }
    out.targets = columns_of(read(targets_key, {.file = file, .dataset = targets}, request));
    if (out.targets.cols() != out.count())
      place.fail(targets_key,
                 std::to_string(out.count()) + " rows of inputs and " +
                     std::to_string(out.targets.cols()) + " of targets",
                 "one row of targets an example");
    if (task_ == "classification" && out.targets.rows() != 1)
      place.fail(targets_key, std::to_string(out.targets.rows()) + " numbers an example",
                 "one, the class, for task = \"classification\"");
    return out;
  }

  std::string file_, inputs_ = "/inputs", targets_ = "/targets";
  std::string held_out_file_, held_out_inputs_, held_out_targets_;
};

}  // namespace

std::unique_ptr<DataSource> make_idx_data() { return std::make_unique<IdxData>(); }
std::unique_ptr<DataSource> make_csv_data() { return std::make_unique<CsvData>(); }
std::unique_ptr<DataSource> make_hdf5_data() { return std::make_unique<Hdf5Data>(); }

}  // namespace settle::learning
