#include "sim/io/sweep_file.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <set>
#include <sstream>

#include "sim/io/quantities.hpp"
#include "sim/io/result_path.hpp"

namespace settle::io {
namespace {

using core::Quantity;
using core::QuantityAxis;
using Eigen::Index;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::uint64_t chunk_entries = 1024;
constexpr const char* status_name = "point_status";
constexpr const char* reason_name = "point_reason";

const std::vector<std::string>& status_words() {
  static const std::vector<std::string> words = {"pending", "done", "failed"};
  return words;
}

std::uint64_t product(const h5::Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
}

h5::File open_sweep(const std::filesystem::path& path, bool to_write) {
  h5::File file = to_write ? h5::File::open_to_write(path) : h5::File::open(path);
  if (!file.has_attribute("sweep_axes") || !file.is_dataset(status_name))
    throw core::InputError(path.string(), "no result of a sweep",
                           "a file that settle run wrote of a configuration with [sweep]");
  return file;
}

}  // namespace

// ---- Writing ----

SweepWriter::SweepWriter(const std::filesystem::path& path, const std::vector<SweepDimension>& axes,
                         std::uint64_t trials, const ResumableInfo& info,
                         const solve::SolverOptions& solver, bool overwrite)
    : path_(path), trials_(trials), time_unit_(info.run.time_unit) {
  check_result_path(path, overwrite);
  file_.emplace(path, h5::File::create(path));
  write_provenance(*file_, info.run, solver);
  Shelf root(file_->group("/"));
  std::vector<Axis> all;
  for (const SweepDimension& axis : axes) {
    axes_.push_back(axis.name);
    shape_.push_back(axis.size());
    all.push_back({axis.name, axis.size()});
    if (axis.labels.empty())
      root.put_scale(axis.name, axis.numbers, "1", axis.long_name);
    else
      root.put_scale(axis.name, axis.labels, axis.long_name);
    root.scale(all.back()).set_attribute("logarithmic", static_cast<std::int8_t>(axis.logarithmic));
  }
  root.scale({"trial", trials});
  file_->set_attribute("sweep_axes", axes_);
  status_.assign(product(shape_), PointStatus::pending);
  const std::vector<std::int8_t> pending(status_.size(), 0);
  maps_.emplace(status_name, root.put_flags(status_name, all, pending, status_words(),
                                            "whether the point was run"));
  axes_of_[status_name];
  write_configuration(root, info.run);
  write_resumption(root, info.resumption);
  flush();
}

SweepWriter::SweepWriter(const std::filesystem::path& path)
    : path_(path), file_(std::in_place, path, open_sweep(path, true)) {
  axes_ = file_->text_list_attribute("sweep_axes");
  trials_ = file_->dataset("trial").shape().at(0);
  time_unit_ = text_of(*file_, "time_unit");
  for (const std::string& axis : axes_) shape_.push_back(file_->dataset(axis).shape().at(0));
  for (const std::int64_t flag : file_->dataset(status_name).read_integers())
    status_.push_back(static_cast<PointStatus>(flag));
  open_maps();
  file_->set_attribute("status", "running");
  flush();
}

SweepWriter::~SweepWriter() {
  if (!file_) return;
  try {
    flush();
  } catch (...) {  // the disk is full: without what was added last
  }
  try {
    close("interrupted", "the program ended before the sweep did");
  } catch (...) {
  }
}

// Maps and own axes that are in the file already.
void SweepWriter::open_maps() {
  for (const std::string& name : file_->names()) {
    if (!file_->is_dataset(name)) continue;
    h5::Dataset dataset = file_->dataset(name);
    const std::vector<std::string> scales = dataset.scales();
    if (dataset.is_scale() || scales.size() < axes_.size()) continue;
    bool is_map = true;
    for (std::size_t a = 0; a < axes_.size(); ++a)
      is_map = is_map && h5::last_part(scales[a]) == axes_[a];
    if (!is_map) continue;
    std::vector<std::string>& own = axes_of_[name];
    for (std::size_t a = axes_.size(); a < scales.size(); ++a)
      own.push_back(h5::last_part(scales[a]));
    for (const std::string& axis : own) {
      const h5::Dataset scale = file_->dataset(axis);
      OwnAxis& known = own_[axis];
      known.size = known.written = scale.shape().at(0);
      if (scale.is_text()) known.labels = scale.read_texts();
    }
    maps_.emplace(name, std::move(dataset));
  }
}

h5::Shape SweepWriter::start_of(std::size_t point, std::size_t more) const {
  h5::Shape start(axes_.size() + more, 0);
  for (std::size_t a = axes_.size(); a-- > 0;) {
    start[a] = point % shape_[a];
    point /= shape_[a];
  }
  return start;
}

h5::Shape SweepWriter::shape_of(const std::vector<std::string>& own) const {
  h5::Shape shape = shape_;
  for (const std::string& axis : own)
    shape.push_back(axis == "trial" ? trials_ : own_.at(axis).size);
  return shape;
}

// The map of that name over the sweep's axes and `own` ones (which exist), made where it is not there.
h5::Dataset& SweepWriter::map(const std::string& name, h5::Type type,
                              const std::vector<std::string>& own, const std::string& units,
                              const std::string& long_name) {
  const h5::Shape shape = shape_of(own);
  if (const auto found = maps_.find(name); found != maps_.end()) return found->second;
  h5::DatasetOptions options;
  const bool grows =
      std::any_of(own.begin(), own.end(), [](const std::string& axis) { return axis != "trial"; });
  if (grows) {
    options.max_shape = shape_;
    options.chunk = shape_;
    for (std::size_t a = 0; a + 1 < shape_.size(); ++a) options.chunk[a] = 1;
    for (std::size_t k = 0; k < own.size(); ++k) {
      options.max_shape.push_back(own[k] == "trial" ? trials_ : h5::unlimited);
      options.chunk.push_back(std::max<std::uint64_t>(1, shape[shape_.size() + k]));
    }
    // A part of a row of points. HDF5 writes a chunk that is cut by the edge as a whole for every point.
    std::uint64_t& along = options.chunk[shape_.size() - 1];
    const std::uint64_t each = product(options.chunk) / along;
    along = std::clamp<std::uint64_t>(chunk_entries / each, 1, along);
  }
  if (type == h5::Type::float64) options.fill = nan;
  if (type == h5::Type::int8) options.fill = -1;
  h5::Dataset dataset = file_->create_dataset(name, type, shape, options);
  dataset.set_attribute("units", units);
  dataset.set_attribute("long_name", long_name);
  if (type == h5::Type::float64) dataset.set_attribute("_FillValue", nan);
  unsigned axis = 0;
  for (const std::string& one : axes_) dataset.attach_scale(file_->dataset(one), axis++);
  for (const std::string& one : own) dataset.attach_scale(file_->dataset(one), axis++);
  axes_of_[name] = own;
  return maps_.emplace(name, std::move(dataset)).first->second;
}

// The axis of that name grows to hold the entries of a quantity's.
void SweepWriter::learn(const QuantityAxis& axis) {
  OwnAxis& own = own_[axis.name];
  if (own.long_name.empty()) own.long_name = axis.long_name;
  for (const std::string& label : axis.labels)
    if (std::find(own.labels.begin(), own.labels.end(), label) == own.labels.end())
      own.labels.push_back(label);
  own.size = axis.labels.empty() ? std::max(own.size, static_cast<std::uint64_t>(axis.size))
                                 : own.labels.size();
}

// Where the entries of a quantity's axis stand in the file's axis of that name.
std::vector<std::size_t> SweepWriter::places(const QuantityAxis& axis) const {
  std::vector<std::size_t> out(static_cast<std::size_t>(axis.size));
  std::iota(out.begin(), out.end(), std::size_t{0});
  const std::vector<std::string>& known = own_.at(axis.name).labels;
  for (std::size_t k = 0; k < axis.labels.size(); ++k)
    out[k] = static_cast<std::size_t>(std::find(known.begin(), known.end(), axis.labels[k]) -
                                      known.begin());
  return out;
}

// The axes as they have grown, and all maps over them.
void SweepWriter::write_axes() {
  bool grew = false;
  for (auto& [name, own] : own_) {
    if (own.size == own.written) continue;
    grew = true;
    const bool is_text = !own.labels.empty();
    if (own.written == 0) {
      h5::Dataset scale =
          file_->create_dataset(name, is_text ? h5::Type::text : h5::Type::int64, {own.size},
                                {.max_shape = {h5::unlimited}, .chunk = {32}});
      scale.set_attribute("units", "1");
      scale.set_attribute("long_name", own.long_name);
      scale.make_scale(name);
    }
    h5::Dataset scale = file_->dataset(name);
    scale.resize({own.size});
    if (is_text) {
      scale.write(own.labels);
    } else {
      std::vector<std::int64_t> index(own.size);
      std::iota(index.begin(), index.end(), 0);
      scale.write(std::span<const std::int64_t>(index));
    }
    own.written = own.size;
  }
  if (!grew) return;
  for (auto& [name, dataset] : maps_)
    if (const h5::Shape shape = shape_of(axes_of_.at(name)); dataset.shape() != shape)
      dataset.resize(shape);
}

void SweepWriter::check_name(const std::string& name) const {
  if (std::find(axes_.begin(), axes_.end(), name) != axes_.end())
    throw core::InputError(path_.string(),
                           "an axis of the sweep called \"" + name + "\", as what is measured is",
                           "another name = \"…\" for it in sweep.axes");
}

bool SweepWriter::brings_new_labels(const std::vector<Quantity>& quantities) const {
  for (const Quantity& quantity : quantities)
    for (const QuantityAxis& axis : quantity.axes) {
      if (axis.labels.empty() || quantity.cells() == 0) continue;
      const auto own = own_.find(axis.name);
      if (own == own_.end()) return true;
      const std::vector<std::string>& known = own->second.labels;
      for (const std::string& label : axis.labels)
        if (std::find(known.begin(), known.end(), label) == known.end()) return true;
    }
  return false;
}

void SweepWriter::write_quantity(std::size_t point, const Quantity& quantity) {
  const bool is_text = !quantity.texts.empty();
  std::vector<std::string> own = {"trial"};
  std::vector<std::vector<std::size_t>> places_of;
  for (const QuantityAxis& axis : quantity.axes) {
    places_of.push_back(places(axis));
    own.push_back(axis.name);
    if (axis.numbers.empty()) continue;
    // Its numbers may be others at every point.
    h5::Shape count(axes_.size(), 1);
    count.push_back(axis.numbers.size());
    map(axis.name + "_value", h5::Type::float64, {axis.name},
        quantity_units(axis.units, time_unit_), axis.long_name)
        .write_block(start_of(point, 1), count, std::span<const double>(axis.numbers));
  }
  h5::Shape count(axes_.size(), 1);
  count.push_back(trials_);
  std::uint64_t cells = 1;
  for (std::size_t a = 1; a < own.size(); ++a) {
    count.push_back(own_.at(own[a]).size);
    cells *= count.back();
  }
  const h5::Shape start = start_of(point, own.size());
  // From the quantity's cells to the file's.
  std::vector<std::size_t> cell_of(static_cast<std::size_t>(quantity.cells()), 0);
  for (std::size_t c = 0; c < cell_of.size(); ++c) {
    std::size_t rest = c, stride = 1;
    for (std::size_t a = quantity.axes.size(); a-- > 0;) {
      const auto size = static_cast<std::size_t>(quantity.axes[a].size);
      cell_of[c] += stride * places_of[a][rest % size];
      rest /= size;
      stride *= own_.at(quantity.axes[a].name).size;
    }
  }
  const auto scattered = [&](const auto& value, auto nothing) {
    std::vector<decltype(nothing)> out(trials_ * cells, nothing);
    for (std::size_t k = 0; k < trials_; ++k)
      for (std::size_t c = 0; c < cell_of.size(); ++c)
        out[k * cells + cell_of[c]] = value(static_cast<Index>(c), static_cast<Index>(k));
    return out;
  };
  if (is_text) {
    map(quantity.name, h5::Type::text, own, "1", quantity.long_name)
        .write_block(start, count, quantity.texts);
    return;
  }
  if (quantity.meanings.empty()) {
    const std::vector<double> values =
        scattered([&](Index c, Index k) { return quantity.values(c, k); }, nan);
    map(quantity.name, h5::Type::float64, own, quantity_units(quantity.units, time_unit_),
        quantity.long_name)
        .write_block(start, count, std::span<const double>(values));
  } else {
    const std::vector<std::int8_t> flags = scattered(
        [&](Index c, Index k) {
          const double value = quantity.values(c, k);
          return std::isnan(value) ? std::int8_t{-1} : static_cast<std::int8_t>(value);
        },
        std::int8_t{-1});
    const bool fresh = !maps_.count(quantity.name);
    h5::Dataset& dataset = map(quantity.name, h5::Type::int8, own, "1", quantity.long_name);
    if (fresh) {
      std::vector<std::int8_t> values(quantity.meanings.size());
      std::iota(values.begin(), values.end(), std::int8_t{0});
      dataset.set_attribute("flag_values", values);
      std::string words;
      for (const std::string& word : quantity.meanings) words += (words.empty() ? "" : " ") + word;
      dataset.set_attribute("flag_meanings", words);
    }
    dataset.write_block(start, count, std::span<const std::int8_t>(flags));
  }
  const bool explained = std::any_of(quantity.reasons.begin(), quantity.reasons.end(),
                                     [](const std::string& text) { return !text.empty(); });
  if (!explained) return;
  const std::vector<std::string> reasons =
      scattered([&](Index c, Index k) { return quantity.reason(c, k); }, std::string());
  map(quantity.name + "_reason", h5::Type::text, own, "1", "why " + quantity.name + " is missing")
      .write_block(start, count, reasons);
}

void SweepWriter::add(std::size_t point, std::vector<Quantity> quantities,
                      std::vector<std::pair<std::string, double>> numbers) {
  // An axis may have no entries here: controllers where there are none.
  std::erase_if(quantities, [](const Quantity& quantity) { return quantity.cells() == 0; });
  for (const Quantity& quantity : quantities) {
    check_name(quantity.name);
    for (const QuantityAxis& axis : quantity.axes) check_name(axis.name);
  }
  for (const Quantity& quantity : quantities)
    for (const QuantityAxis& axis : quantity.axes) learn(axis);
  status_[point] = PointStatus::done;
  unwritten_.push_back({point, std::move(quantities), std::move(numbers), ""});
  flush_if_due();
}

void SweepWriter::add_failure(std::size_t point, std::string reason) {
  status_[point] = PointStatus::failed;
  unwritten_.push_back({point, {}, {}, std::move(reason)});
  flush_if_due();
}

h5::Group SweepWriter::point_group(std::size_t point, double bytes) {
  h5::quiet_thread();
  constexpr double for_flush = 4 << 20;  // of the measures, should it be the last one that fits
  file_->make_room(bytes + for_flush);
  char name[32];
  std::snprintf(name, sizeof name, "%05zu", point);
  h5::Group points = file_->require_group("points");
  if (points.exists(name)) points.remove(name);
  return points.create_group(name);
}

void SweepWriter::put_table(const std::string& dimension, const std::string& long_name,
                            const std::vector<Column>& columns) {
  Shelf root(file_->group("/"));
  if (columns.empty()) return;
  const std::uint64_t rows = columns.front().values.size();
  std::vector<double> index(rows);
  std::iota(index.begin(), index.end(), 0);
  root.put_scale(dimension, index, "1", long_name);
  for (const Column& column : columns)
    root.put(column.name, {{dimension, rows}}, column.values,
             quantity_units(column.units, time_unit_), column.long_name);
}

void SweepWriter::set_attribute(const std::string& name, const std::string& text) {
  file_->set_attribute(name, text);
}

void SweepWriter::set_attribute(const std::string& name, double number) {
  file_->set_attribute(name, number);
}

void SweepWriter::flush_if_due() {
  if (file_->flush_is_due()) flush();
}

void SweepWriter::flush() {
  file_->write_out(unwritten_bytes(), [&] { write_added(); });
}

void SweepWriter::write_added() {
  write_axes();
  const h5::Shape one(axes_.size(), 1);
  for (const Added& added : unwritten_) {
    for (const Quantity& quantity : added.quantities) write_quantity(added.point, quantity);
    for (const auto& [name, number] : added.numbers) {
      std::string words = name;
      std::replace(words.begin(), words.end(), '_', ' ');
      map(name, h5::Type::float64, {}, "1", words)
          .write_block(start_of(added.point, 0), one, std::span(&number, 1));
    }
    if (status_[added.point] == PointStatus::failed)
      map(reason_name, h5::Type::text, {}, "1", "why the point could not be run")
          .write_block(start_of(added.point, 0), one, std::vector{added.failure});
  }
  file_->flush();
  // The status of a point follows its numbers to the disk.
  for (const Added& added : unwritten_) {
    const auto flag = static_cast<std::int8_t>(status_[added.point]);
    maps_.at(status_name).write_block(start_of(added.point, 0), one, std::span(&flag, 1));
  }
  unwritten_.clear();
}

// At most, without what HDF5 needs for itself.
double SweepWriter::unwritten_bytes() const {
  double bytes = 0;
  std::set<std::string> made;
  for (const Added& added : unwritten_) {
    bytes += static_cast<double>(added.failure.size());
    for (const Quantity& quantity : added.quantities) {
      std::vector<std::string> own = {"trial"};
      for (const QuantityAxis& axis : quantity.axes) own.push_back(axis.name);
      const double cells = static_cast<double>(product(shape_of(own)));
      // A map takes its room as a whole, or chunk by chunk.
      if (!maps_.count(quantity.name) && made.insert(quantity.name).second)
        bytes += 16 * cells;
      else if (own.size() > 1)
        bytes += 16 * (chunk_entries + cells / static_cast<double>(status_.size()));
      for (const std::string& text : quantity.texts) bytes += static_cast<double>(text.size() + 16);
      for (const std::string& text : quantity.reasons)
        bytes += static_cast<double>(text.size() + 32);
    }
  }
  return bytes;
}

void SweepWriter::finish(const std::string& status, const std::string& reason) {
  flush();
  close(status, reason);
}

void SweepWriter::close(const std::string& status, const std::string& reason) {
  maps_.clear();
  file_->finish(status, reason);
  file_.reset();
}

std::optional<Quantity> SweepWriter::read(const std::string& name) const {
  if (!maps_.count(name)) return std::nullopt;
  return read_map(*file_, name, axes_.size());
}

// ---- Reading ----

Quantity read_map(const h5::Group& group, const std::string& name, std::size_t axes) {
  const h5::Dataset dataset = group.dataset(name);
  Quantity out;
  out.name = name;
  out.units = text_of(dataset, "units");
  out.long_name = text_of(dataset, "long_name");
  const std::vector<std::string> scales = dataset.scales();
  const h5::Shape shape = dataset.shape();
  Index points = 1;
  for (std::size_t a = 0; a < axes; ++a) points *= static_cast<Index>(shape[a]);
  for (std::size_t a = axes; a < shape.size(); ++a) {
    const h5::Dataset scale = group.dataset(h5::last_part(scales[a]));
    QuantityAxis axis;
    axis.name = h5::last_part(scales[a]);
    axis.size = static_cast<Index>(shape[a]);
    axis.long_name = text_of(scale, "long_name");
    if (scale.is_text()) axis.labels = scale.read_texts();
    out.axes.push_back(std::move(axis));
  }
  if (dataset.is_text()) {
    out.texts = dataset.read_texts();
    return out;
  }
  const h5::Numbers numbers = dataset.read_numbers();
  out.values = Eigen::Map<const Eigen::MatrixXd>(numbers.values.data(), out.cells(), points);
  if (dataset.has_attribute("flag_meanings")) {
    std::istringstream words(dataset.text_attribute("flag_meanings"));
    for (std::string word; words >> word;) out.meanings.push_back(word);
    out.values = (out.values.array() < 0).select(nan, out.values);
  }
  return out;
}

SweepFile::SweepFile(const std::filesystem::path& path)
    : path_(path), file_(open_sweep(path, false)) {
  for (const std::string& name : file_.text_list_attribute("sweep_axes")) {
    const h5::Dataset scale = file_.dataset(name);
    SweepDimension axis{.name = name,
                        .long_name = text_of(scale, "long_name"),
                        .numbers = {},
                        .labels = {},
                        .logarithmic = scale.number_attribute("logarithmic") != 0};
    if (scale.is_text())
      axis.labels = scale.read_texts();
    else
      axis.numbers = scale.read_numbers().values;
    axes_.push_back(std::move(axis));
  }
  trials_ = file_.dataset("trial").shape().at(0);
  for (const std::string& name : file_.names()) {
    if (!file_.is_dataset(name)) continue;
    const h5::Dataset dataset = file_.dataset(name);
    const std::vector<std::string> scales = dataset.scales();
    bool is_map = !dataset.is_scale() && scales.size() >= axes_.size();
    for (std::size_t a = 0; is_map && a < axes_.size(); ++a)
      is_map = h5::last_part(scales[a]) == axes_[a].name;
    if (is_map) maps_.push_back(name);
  }
}

bool SweepFile::is_sweep(const std::filesystem::path& path) {
  return h5::File::says(path, "sweep_axes");
}

std::string SweepFile::attribute(const std::string& name) const { return text_of(file_, name); }

std::vector<PointStatus> SweepFile::points() const {
  std::vector<PointStatus> out;
  for (const std::int64_t flag : file_.dataset(status_name).read_integers())
    out.push_back(static_cast<PointStatus>(flag));
  return out;
}

std::optional<Quantity> SweepFile::read(const std::string& name) const {
  if (std::find(maps_.begin(), maps_.end(), name) == maps_.end()) return std::nullopt;
  return map(name);
}

}  // namespace settle::io
