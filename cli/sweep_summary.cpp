#include "cli/sweep_summary.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <optional>

#include "analysis/sweep.hpp"
#include "cli/run_summary.hpp"

namespace settle::cli {
namespace {

using Eigen::Index;
using Row = std::vector<std::string>;

constexpr std::size_t most_rows = 16;

// One number of every trial and point: a map, and the cell of its own axes that is meant.
struct Reading {
  core::Quantity map;
  std::vector<std::pair<std::string, std::string>> labels;  // of its own axes

  std::vector<double> at(std::size_t point) const {
    std::vector<double> out;
    for (Index trial = 0; trial < map.axes.front().size; ++trial) {
      Index cell = trial;
      for (std::size_t a = 1; a < map.axes.size(); ++a)
        cell = cell * map.axes[a].size + index(map.axes[a]);
      if (const double x = map.values(cell, static_cast<Index>(point)); std::isfinite(x))
        out.push_back(x);
    }
    return out;
  }

 private:
  Index index(const core::QuantityAxis& axis) const {
    for (const auto& [name, label] : labels)
      if (name == axis.name)
        return std::find(axis.labels.begin(), axis.labels.end(), label) - axis.labels.begin();
    return 0;
  }
};

struct Column {
  std::string heading;
  Reading reading;
};

// The columns that the sweep measured.
std::vector<Column> columns_of(const io::SweepWriter& writer) {
  std::vector<Column> out;
  const auto add = [&](const std::string& name, const std::string& heading,
                       std::vector<std::pair<std::string, std::string>> labels) {
    if (auto map = writer.read(name))
      out.push_back({heading, {std::move(*map), std::move(labels)}});
  };
  add("inversion_error", "inversion error", {});
  const auto times = writer.read("settling_time");
  const std::string band = times ? analysis::narrowest_share(*times) : "";
  if (!band.empty()) {
    add("settling_time", "settling to " + band, {{"signal", "state"}, {"band", band}});
    add("predicted_settling_time", "predicted", {{"band", band}});
  }
  add("settled_at", "settled at", {});
  return out;
}

std::string median_text(std::vector<double> values) {
  if (values.empty()) return "-";
  std::sort(values.begin(), values.end());
  return core::brief(0.5 * (values[values.size() / 2] + values[(values.size() - 1) / 2]));
}

// "settled", "7 settled, 2 slow".
std::string counts_text(const std::map<std::string, std::size_t>& counts) {
  if (counts.size() == 1) return counts.begin()->first;
  std::string text;
  for (const auto& [name, count] : counts)
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + name;
  return text;
}

// `count` of the places 0 … size − 1, both ends among them.
std::vector<std::size_t> spread_over(std::size_t size, std::size_t count) {
  std::vector<std::size_t> out;
  for (std::size_t k = 0; k < count; ++k)
    out.push_back(count == 1 ? 0 : (2 * k * (size - 1) + count - 1) / (2 * (count - 1)));
  return out;
}

// How many of `size` values are shown where there is room for `room`: a number that divides the intervals
// evenly, if one is near.
std::size_t fitting(std::size_t size, std::size_t room) {
  for (std::size_t count = std::min(size, room); 5 * count >= 3 * room && count > 1; --count)
    if ((size - 1) % (count - 1) == 0) return count;
  return std::min(size, room);
}

// Which values of each axis are shown: one, standing for all, of a seed; fewer of the longest axes.
std::vector<std::vector<std::size_t>> shown_places(const analysis::SweepSpec& spec) {
  std::vector<std::size_t> counts;
  for (const analysis::SweepAxis& axis : spec.axes)
    counts.push_back(axis.parameters == std::vector<std::string>{"seed"} ? 1 : axis.values.size());
  const auto product = [&] {
    std::size_t n = 1;
    for (const std::size_t count : counts) n *= count;
    return n;
  };
  while (product() > most_rows) --*std::max_element(counts.begin(), counts.end());
  std::vector<std::vector<std::size_t>> out;
  for (std::size_t a = 0; a < counts.size(); ++a)
    out.push_back(
        spread_over(spec.axes[a].values.size(), fitting(spec.axes[a].values.size(), counts[a])));
  return out;
}

}  // namespace

nlohmann::ordered_json axes_json(const analysis::SweepSpec& spec) {
  auto out = nlohmann::ordered_json::array();
  for (const analysis::SweepAxis& axis : spec.axes)
    out.push_back(
        {{"name", axis.name}, {"parameters", axis.parameters}, {"values", axis.labels()}});
  return out;
}

Table table_of(const analysis::SweepSpec& spec, const io::SweepWriter& writer) {
  const std::vector<Column> columns = columns_of(writer);
  const auto verdicts = writer.read("verdict");
  if (columns.empty() || !verdicts) return Table({});
  const std::vector<std::vector<std::size_t>> places = shown_places(spec);
  Row head;
  std::vector<std::size_t> own;  // axes that have a column
  bool is_median = writer.trials() > 1;
  for (std::size_t a = 0; a < places.size(); ++a) {
    if (spec.axes[a].parameters == std::vector<std::string>{"seed"} &&
        spec.axes[a].values.size() > 1) {
      is_median = true;
    } else {
      own.push_back(a);
      head.push_back(spec.axes[a].name);
    }
  }
  for (const Column& column : columns) head.push_back(column.heading);
  head.push_back(is_median ? "verdict (numbers are medians)" : "verdict");
  const std::string numbers(head.size() - 1, 'r');
  Table table(std::move(head), numbers + "l");

  // Points with the same shown places make one row; std::map keeps the order of the axes.
  std::map<std::vector<std::size_t>, std::vector<std::size_t>> members;
  for (std::size_t p = 0; p < spec.points(); ++p) {
    const std::vector<std::size_t> place = spec.place(p);
    std::vector<std::size_t> key;
    bool shown = true;
    for (const std::size_t a : own) {
      shown = shown && std::binary_search(places[a].begin(), places[a].end(), place[a]);
      key.push_back(place[a]);
    }
    if (shown) members[key].push_back(p);
  }
  for (const auto& [key, points] : members) {
    Row row;
    for (std::size_t k = 0; k < own.size(); ++k) {
      const analysis::SweepAxis& axis = spec.axes[own[k]];
      row.push_back(axis.is_numeric() ? core::brief(axis.values[key[k]].number())
                                      : axis.labels()[key[k]]);
    }
    for (const Column& column : columns) {
      std::vector<double> values;
      for (const std::size_t p : points)
        for (const double x : column.reading.at(p)) values.push_back(x);
      row.push_back(median_text(std::move(values)));
    }
    std::map<std::string, std::size_t> counts;
    for (const std::size_t p : points) {
      if (writer.points()[p] == io::PointStatus::failed) ++counts["could not be run"];
      for (const double kind : Reading{*verdicts, {}}.at(p))
        ++counts[verdicts->meanings[static_cast<std::size_t>(kind)]];
    }
    row.push_back(counts_text(counts));
    table.add(std::move(row));
  }
  return table;
}

}  // namespace settle::cli
