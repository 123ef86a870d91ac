#include "sim/io/quantities.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

namespace settle::io {
namespace {

using core::Quantity;
using core::QuantityAxis;
using Eigen::Index;

std::uint64_t size_of(Index n) { return static_cast<std::uint64_t>(n); }

// The axis' coordinate, made where the shelf has none yet.
Axis prepared(Shelf& shelf, const QuantityAxis& axis, const std::string& time_unit) {
  std::string name = axis.name;
  while (!shelf.has_scale(name, size_of(axis.size)) && shelf.group().exists(name))
    name = "measured_" + name;
  if (!shelf.has_scale(name, size_of(axis.size))) {
    if (!axis.labels.empty())
      shelf.put_scale(name, axis.labels, axis.long_name);
    else if (!axis.numbers.empty())
      shelf.put_scale(name, axis.numbers, quantity_units(axis.units, time_unit), axis.long_name);
  }
  return {name, size_of(axis.size)};
}

bool explains(const Quantity& quantity) {
  return std::any_of(quantity.reasons.begin(), quantity.reasons.end(),
                     [](const std::string& text) { return !text.empty(); });
}

}  // namespace

std::string quantity_units(const std::string& units, const std::string& time_unit) {
  const std::string unit = units_text(time_unit);
  if (units == "time") return unit;
  if (units == "1/time") return unit == "1" ? "1" : "1/" + unit;
  return units;
}

void write_quantity(Shelf& shelf, const Quantity& quantity, const std::string& time_unit) {
  std::string name = quantity.name;
  const bool explained = explains(quantity);
  while (shelf.group().exists(name) || (explained && shelf.group().exists(name + "_reason")))
    name = "measured_" + name;
  const bool is_text = !quantity.texts.empty();
  const std::uint64_t trials = is_text ? quantity.texts.size() : size_of(quantity.trials());
  std::vector<Axis> axes = {{"trial", trials}};
  if (is_text) {
    shelf.put(name, axes, quantity.texts, quantity.long_name);
    return;
  }
  for (const QuantityAxis& axis : quantity.axes) axes.push_back(prepared(shelf, axis, time_unit));
  // Column k holds trial k's cells: as a file's (trial, cells) stand in memory.
  const std::span values(quantity.values.data(), static_cast<std::size_t>(quantity.values.size()));
  if (quantity.meanings.empty()) {
    shelf.put(name, axes, values, quantity_units(quantity.units, time_unit), quantity.long_name);
  } else {
    std::vector<std::int8_t> flags;
    for (const double value : values)
      flags.push_back(std::isnan(value) ? std::int8_t{-1} : static_cast<std::int8_t>(value));
    shelf.put_flags(name, axes, flags, quantity.meanings, quantity.long_name);
  }
  if (!explained) return;
  if (quantity.reasons.size() == trials) axes.resize(1);
  shelf.put(name + "_reason", axes, quantity.reasons, "why " + name + " is missing");
}

std::optional<Quantity> read_quantity(const h5::Group& group, const std::string& name) {
  const h5::Dataset dataset = group.dataset(name);
  const std::vector<std::string> scales = dataset.scales();
  if (dataset.is_scale() || scales.empty() || h5::last_part(scales[0]) != "trial")
    return std::nullopt;
  const std::string reason = "_reason";
  if (name.ends_with(reason) && group.is_dataset(name.substr(0, name.size() - reason.size())))
    return std::nullopt;
  const h5::Shape shape = dataset.shape();
  Quantity out{.name = name,
               .units = text_of(dataset, "units"),
               .long_name = text_of(dataset, "long_name"),
               .axes = {},
               .values = {},
               .reasons = {},
               .meanings = {},
               .texts = {}};
  for (std::size_t k = 1; k < shape.size(); ++k) {
    if (scales[k].empty()) return std::nullopt;
    const h5::Dataset scale = group.dataset(h5::last_part(scales[k]));
    QuantityAxis axis{.name = h5::last_part(scales[k]),
                      .size = static_cast<Index>(shape[k]),
                      .long_name = text_of(scale, "long_name"),
                      .labels = {},
                      .numbers = {},
                      .units = text_of(scale, "units")};
    if (scale.is_text())
      axis.labels = scale.read_texts();
    else
      axis.numbers = scale.read_numbers().values;
    out.axes.push_back(std::move(axis));
  }
  if (dataset.is_text()) {
    if (shape.size() != 1) return std::nullopt;
    out.texts = dataset.read_texts();
    return out;
  }
  if (!dataset.is_number()) return std::nullopt;
  const h5::Numbers numbers = dataset.read_numbers();
  out.values = Eigen::Map<const Eigen::MatrixXd>(numbers.values.data(), out.cells(),
                                                 static_cast<Index>(shape[0]));
  if (dataset.has_attribute("flag_meanings")) {
    std::istringstream words(dataset.text_attribute("flag_meanings"));
    for (std::string word; words >> word;) out.meanings.push_back(word);
    out.values =
        (out.values.array() < 0).select(std::numeric_limits<double>::quiet_NaN(), out.values);
  }
  out.reasons.assign(static_cast<std::size_t>(shape[0]), "");
  if (group.is_dataset(name + reason)) out.reasons = group.dataset(name + reason).read_texts();
  return out;
}

}  // namespace settle::io
