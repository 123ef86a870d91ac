#include "analysis/sweep_maps.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;
using Eigen::Index;
namespace h5 = io::h5;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::string with_unit(const std::string& name, const std::string& unit) {
  return unit.empty() || unit == "1" ? name : name + " (" + unit + ")";
}

// Own axes without the trial, and whether there is one.
std::pair<std::vector<core::QuantityAxis>, bool> own_axes(const Quantity& map) {
  std::pair<std::vector<core::QuantityAxis>, bool> out{map.axes, false};
  if (!map.axes.empty() && map.axes.front().name == "trial") {
    out.first.erase(out.first.begin());
    out.second = true;
  }
  return out;
}

// Where that entry stands among the cells of a point; −1 where there is none.
Index cell_of(const Quantity& map, std::size_t trial, const std::vector<Index>& cell) {
  const auto [axes, has_trial] = own_axes(map);
  if (axes.size() != cell.size()) return -1;
  Index out = has_trial ? static_cast<Index>(trial) : 0;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    if (cell[a] < 0 || cell[a] >= axes[a].size) return -1;
    out = out * axes[a].size + cell[a];
  }
  return out;
}

}  // namespace

std::string MapQuantity::unit() const {
  const std::size_t at = name.find(" (");
  return at == std::string::npos ? "" : name.substr(at);
}

bool MapQuantity::has_values() const {
  const auto exists = [](double value) { return std::isfinite(value); };
  return std::any_of(values.begin(), values.end(), exists) ||
         std::any_of(expected.begin(), expected.end(), exists);
}

void SweepMaps::read_axes() {
  for (const io::SweepDimension& dimension : file_.axes()) {
    MapAxis axis = map_axis(dimension, time_unit());
    points_ *= axis.size();
    axes_.push_back(std::move(axis));
  }
}

// ---- Maps ----

SweepMaps::SweepMaps(const std::filesystem::path& path, std::int64_t trial) : file_(path) {
  if (trial < 0 || static_cast<std::uint64_t>(trial) >= file_.trials())
    throw core::InputError(path.string(), "no trial " + std::to_string(trial),
                           "a trial from 0 to " + std::to_string(file_.trials() - 1));
  trial_ = static_cast<std::size_t>(trial);
  read_axes();
  read_outcomes();
  read_boundary();
}

std::string SweepMaps::title() const {
  const std::string title = file_.attribute("title");
  return title.empty() ? path().filename().string() : title;
}

std::string SweepMaps::time_unit() const {
  const std::string unit = file_.attribute("time_unit");
  return unit.empty() ? "1" : unit;
}

std::size_t SweepMaps::place(std::size_t point, std::size_t axis) const {
  for (std::size_t a = axes_.size(); a-- > axis + 1;) point /= axes_[a].size();
  return point % axes_[axis].size();
}

std::size_t SweepMaps::point(const std::vector<std::size_t>& places) const {
  std::size_t out = 0;
  for (std::size_t a = 0; a < axes_.size(); ++a) out = out * axes_[a].size() + places[a];
  return out;
}

bool SweepMaps::has(const std::string& name) const {
  return std::find(names().begin(), names().end(), name) != names().end();
}

const Quantity& SweepMaps::map(const std::string& name) const {
  const auto found = maps_.find(name);
  return found != maps_.end() ? found->second : maps_.emplace(name, file_.map(name)).first->second;
}

std::vector<double> SweepMaps::values(const std::string& name,
                                      const std::vector<Index>& cell) const {
  std::vector<double> out(points_, nan);
  if (!has(name)) return out;
  const Quantity& one = map(name);
  const Index row = cell_of(one, trial_, cell);
  if (row < 0 || one.values.rows() <= row) return out;
  for (std::size_t p = 0; p < points_; ++p) out[p] = one.values(row, static_cast<Index>(p));
  return out;
}

std::vector<char> SweepMaps::explained(const std::string& name,
                                       const std::vector<Index>& cell) const {
  std::vector<char> out(points_, 0);
  if (!has(name + "_reason")) return out;
  const Quantity& reasons = map(name + "_reason");
  const Index row = cell_of(reasons, trial_, cell);
  if (row < 0) return out;
  const auto cells = static_cast<std::size_t>(reasons.cells());
  for (std::size_t p = 0; p < points_; ++p)
    out[p] = !reasons.texts[p * cells + static_cast<std::size_t>(row)].empty();
  return out;
}

Index SweepMaps::entry(const std::string& name, const std::string& axis,
                       const std::string& label) const {
  if (!has(name)) return -1;
  for (const core::QuantityAxis& one : map(name).axes) {
    if (one.name != axis) continue;
    const auto found = std::find(one.labels.begin(), one.labels.end(), label);
    return found == one.labels.end() ? -1 : found - one.labels.begin();
  }
  return -1;
}

std::vector<double> SweepMaps::largest(const std::vector<MapCell>& cells) const {
  std::vector<double> out(points_, nan);
  std::vector<char> missing(points_, 0);
  for (const MapCell& cell : cells) {
    const std::vector<double> some = values(cell.name, cell.cell);
    const std::vector<char> why = explained(cell.name, cell.cell);
    for (std::size_t p = 0; p < points_; ++p) {
      if (std::isnan(some[p]) && why[p]) missing[p] = 1;
      if (!std::isnan(some[p]) && !(some[p] <= out[p])) out[p] = some[p];
    }
  }
  for (std::size_t p = 0; p < points_; ++p)
    if (missing[p]) out[p] = nan;
  return out;
}

// ---- Settling time and error ----

std::string SweepMaps::band() const {
  for (const char* name : {"settling_time", "predicted_settling_time"}) {
    if (!has(name)) continue;
    if (entry(name, "band", "2 %") >= 0) return "2 %";
    for (const core::QuantityAxis& axis : map(name).axes)
      if (axis.name == "band" && !axis.labels.empty()) return axis.labels.front();
  }
  return "";
}

std::vector<std::string> SweepMaps::settling_signals() const {
  std::vector<std::string> out;
  if (!has("settling_time")) return out;
  for (const core::QuantityAxis& axis : map("settling_time").axes)
    if (axis.name == "signal")
      for (const std::string& label : axis.labels)
        if (label.ends_with(".error")) out.push_back(label);
  return out.empty() ? std::vector<std::string>{"state"} : out;
}

std::optional<MapQuantity> SweepMaps::settling_time() const {
  if (!has("settling_time")) return std::nullopt;
  const std::vector<std::string> signals = settling_signals();
  std::vector<MapCell> cells;
  for (const std::string& signal : signals)
    cells.push_back(
        {"settling_time",
         {entry("settling_time", "signal", signal), entry("settling_time", "band", band())}});
  MapQuantity out;
  out.title = std::string("settling time of the ") +
              (signals.front() == "state" ? "state" : "error") +
              (signals.size() > 1 ? " (slowest loop)" : "") + " to " +
              (band() == "tolerance" ? "the " : "") + band();
  out.name = with_unit("settling_time", map("settling_time").units);
  out.values = largest(cells);
  out.log = true;
  if (has("predicted_settling_time")) {
    out.expected =
        values("predicted_settling_time", {entry("predicted_settling_time", "band", band())});
    out.expected_by = "predicted by the slowest pole";
  }
  return out;
}

std::vector<std::string> SweepMaps::inversion_errors() const {
  std::vector<std::string> out;
  for (const std::string& name : names())
    if (name == "inversion_error" ||
        (name.starts_with("inversion_error_") && !name.ends_with("_reason")))
      out.push_back(name);
  return out;
}

std::optional<MapQuantity> SweepMaps::inversion_error() const {
  std::vector<MapCell> cells;
  for (const std::string& name : inversion_errors()) cells.push_back({name, {}});
  if (cells.empty()) return std::nullopt;
  MapQuantity out;
  out.title = "inversion error, ‖e‖/‖y‖";
  if (cells.size() > 1) out.title += ", largest of " + std::to_string(cells.size()) + " loops";
  out.name = "inversion_error";
  out.of_rest = true;
  out.values = largest(cells);
  out.log = true;
  return out;
}

std::vector<MapQuantity> SweepMaps::beside_error() const {
  std::vector<MapQuantity> out;
  const auto time = settling_time();
  if (time) out.push_back(*time);
  std::vector<std::string> names;
  if (!time || settling_signals().size() > 1) names.emplace_back("settled_at");
  if (!time)
    for (const char* name : {"integral_norm", "leaked_norm", "angle_to_pbp", "angle_to_bp"})
      names.emplace_back(name);
  for (const std::string& name : names)
    if (has(name)) out.push_back(quantity(name));
  return out;
}

MapQuantity SweepMaps::quantity(const std::string& selector) const {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end = 0; end != std::string::npos; begin = end + 1) {
    end = selector.find(':', begin);
    parts.push_back(selector.substr(begin, end == std::string::npos ? end : end - begin));
  }
  const std::string& name = parts.front();
  std::vector<std::string> drawable;
  for (const std::string& one : names())
    if (!one.ends_with("_reason") && !file_.file().dataset(one).is_text()) drawable.push_back(one);
  if (std::find(drawable.begin(), drawable.end(), name) == drawable.end())
    throw core::InputError(path().string(), "no map \"" + name + "\" of numbers",
                           "one of " + core::join(drawable) + core::did_you_mean(name, drawable));
  const Quantity& one = map(name);
  const std::vector<core::QuantityAxis> axes = own_axes(one).first;
  if (parts.size() - 1 > axes.size())
    throw core::InputError("\"" + selector + "\"",
                           std::to_string(parts.size() - 1) + " entries after the name",
                           "at most " + std::to_string(axes.size()) + ", one an axis of its own");
  MapQuantity out;
  out.title = one.long_name;
  std::vector<Index> cell;
  std::string entries;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    std::vector<std::string> labels = axes[a].labels;
    if (labels.empty())
      for (Index k = 0; k < axes[a].size; ++k) labels.push_back(std::to_string(k));
    std::string wanted = a + 1 < parts.size() ? parts[a + 1] : "";
    if (wanted.empty() && axes[a].name == "band") wanted = band();
    if (wanted.empty() && axes[a].name == "signal") wanted = settling_signals().front();
    if (wanted.empty() && !labels.empty()) wanted = labels.front();
    const auto found = std::find(labels.begin(), labels.end(), wanted);
    if (found == labels.end())
      throw core::InputError("\"" + selector + "\"", "no " + axes[a].name + " \"" + wanted + "\"",
                             "one of " + core::join(labels) + core::did_you_mean(wanted, labels));
    cell.push_back(found - labels.begin());
    if (labels.size() > 1) entries += (entries.empty() ? "" : ", ") + axes[a].name + " " + wanted;
  }
  if (!entries.empty()) out.title += " (" + entries + ")";
  out.name = with_unit(name, one.units);
  out.values = values(name, cell);
  out.words = one.meanings;
  double low = std::numeric_limits<double>::infinity(), high = 0;
  for (const double value : out.values) {
    if (std::isnan(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  out.log = low > 0 && high > 20 * low;
  return out;
}

// ---- What became of the points ----

const std::vector<ChartKind>& SweepMaps::kinds() {
  // Verdicts, outcomes where there is no verdict, and what was not run. Colours that viridis hasn't
  // got, and marks for those who don't see them.
  static const std::vector<ChartKind> all = {
      {"limit cycle", "#D55E00", 6},
      {"oscillating", "#D55E00", 6},
      {"slowly damped", "#F5B98A", 6},
      {"leaving", "#A63603", 8},
      {"unstable rest", "#E69F00", 9},
      {"diverged", "#252525", 2},
      {"slow", "#D4D4D4", 1},
      {"not settled", "#D4D4D4", 0},
      {"integrating", "#B9AACB", 3},
      {"infeasible", "#CC79A7", 4},
      {"saturated", "#E9BFD6", 4},
      {"driven", "#A9CCE3", 12},
      {"tolerance limited", "#B4B4B4", 7},
      {"numerical", "#8C6D31", 10},
      {"failed", "#737373", 2},
      {"undecided", "#EAEAEA", 12},
      {"could not be run", "#FFFFFF", 2},
      {"not run", "#FFFFFF", 0},
      {"unstable (predicted)", "#D55E00", 0},
      {"pole at zero (predicted)", "#B9AACB", 0},
      {"unstable (predicted), but not by the paper's condition", "#D55E00", 12},
      {"stable (predicted), but not by the paper's condition", "#FFFFFF", 12},
      {"settled", "#BFDCD6", 0}};
  return all;
}

int SweepMaps::kind(const std::string& name) {
  const auto& all = kinds();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const ChartKind& kind) { return kind.name == name; });
  return found == all.end() ? -1 : static_cast<int>(found - all.begin());
}

std::vector<char> SweepMaps::paper_is_wrong() const {
  std::vector<char> out(points_, 0);
  if (!has("criteria_disagree")) return out;
  const Quantity& all = map("criteria_disagree");
  const Index loops = own_axes(all).first.empty() ? 1 : own_axes(all).first.front().size;
  for (std::size_t p = 0; p < points_; ++p)
    for (Index c = 0; c < loops; ++c)
      if (all.values(static_cast<Index>(trial_) * loops + c, static_cast<Index>(p)) == 1)
        out[p] = 1;
  return out;
}

void SweepMaps::read_outcomes() {
  outcomes_.assign(points_, -1);
  still_moves_.assign(points_, 0);
  // Whatever the verdict: a run that rang on to its end, and one that was cut short.
  const std::vector<std::string> moving = {"oscillating", "diverged", "failed",
                                           "limit_cycle", "leaving",  "numerical"};
  for (const char* name : {"outcome", "verdict"}) {
    const std::vector<double> flags = values(name, {});
    for (std::size_t p = 0; p < points_; ++p)
      if (!std::isnan(flags[p]) &&
          std::find(moving.begin(), moving.end(),
                    map(name).meanings.at(static_cast<std::size_t>(flags[p]))) != moving.end())
        still_moves_[p] = 1;
  }
  const std::vector<io::PointStatus> status = file_.points();
  const std::string name = has("verdict") ? "verdict" : "outcome";
  const std::vector<double> flags = values(name, {});
  for (std::size_t p = 0; p < points_; ++p) {
    if (status[p] != io::PointStatus::done) {
      outcomes_[p] = kind(status[p] == io::PointStatus::failed ? "could not be run" : "not run");
    } else if (std::isnan(flags[p])) {
      outcomes_[p] = kind("undecided");
    } else {
      const std::string word = map(name).meanings.at(static_cast<std::size_t>(flags[p]));
      outcomes_[p] = word == "settled" ? -1 : std::max(kind(spaced(word)), -1);
      if (word != "settled" && outcomes_[p] < 0) outcomes_[p] = kind("undecided");
    }
  }
}

std::vector<std::string> SweepMaps::remarks() const {
  std::string text;
  for (const MapAxis& axis : axes_)
    text += (text.empty() ? "" : " × ") + std::to_string(axis.size());
  text += points_ == 1 ? " point: " : " points: ";
  if (trials() > 1)
    text = "Trial " + std::to_string(trial_) + " (of " + std::to_string(trials()) + ", from 0), " +
           text;
  std::vector<std::size_t> count(kinds().size() + 1, 0);
  for (const int outcome : outcomes_) ++count[static_cast<std::size_t>(outcome + 1)];
  bool any = false;
  for (std::size_t k = 0; k < count.size(); ++k)
    if (count[k] > 0) {
      text += (any ? ", " : "") + std::to_string(count[k]) + " " +
              (k == 0 ? "settled" : kinds()[k - 1].name);
      any = true;
    }
  std::vector<std::string> out = {text + "."};
  const h5::File& file = file_.file();
  if (points_ > 1 && file.has_attribute("stability_compared") &&
      file.number_attribute("stability_compared") > 0) {
    const double compared = file.number_attribute("stability_compared");
    const double differing = file.number_attribute("stability_differing");
    out.back() += " Stability is as predicted at " +
                  (differing == 0 ? "all" : "all but " + core::number_text(differing) + " of") +
                  " " + core::number_text(compared) + " that settled, rang on or diverged.";
  }
  const std::vector<char> wrong = paper_is_wrong();
  if (const auto n = std::count(wrong.begin(), wrong.end(), 1); n > 0)
    out.back() +=
        " The paper's condition, max\u00A0Re\u00A0λ(k\u00A0WB\u00A0−\u00A0α)\u00A0<\u00A00, "
        "is wrong at " +
        std::to_string(n) + ".";
  const std::string status = file_.attribute("status");
  if (status != "done")
    out.back() += " The sweep is " + (status.empty() ? "unfinished" : status) + ".";
  return out;
}

// ---- The boundary of stability ----

void SweepMaps::read_boundary() {
  const h5::File& file = file_.file();
  if (!file.is_dataset("boundary_curve")) return;
  const std::vector<double> curve = file.dataset("boundary_curve").read_numbers().values;
  boundary_.resize(curve.size());
  for (std::size_t k = 0; k < curve.size(); ++k) {
    boundary_[k].curve = static_cast<int>(curve[k]);
    boundary_[k].numbers.assign(axes_.size(), 0);
  }
  for (std::size_t a = 0; a < axes_.size(); ++a) {
    const h5::Dataset column = file.dataset("boundary_" + axes_[a].name);
    const std::vector<double> numbers = column.read_numbers().values;
    for (std::size_t k = 0; k < curve.size(); ++k) boundary_[k].numbers[a] = numbers.at(k);
    if (!column.text_attribute("long_name").starts_with("index of ")) boundary_axes_.push_back(a);
  }
}

bool SweepMaps::on_slice(const MapBoundary& point, const std::vector<std::size_t>& places,
                         const std::vector<std::size_t>& free) const {
  for (std::size_t a = 0; a < axes_.size(); ++a) {
    if (std::find(free.begin(), free.end(), a) != free.end()) continue;
    const bool along =
        std::find(boundary_axes_.begin(), boundary_axes_.end(), a) != boundary_axes_.end();
    if (along || point.numbers[a] != static_cast<double>(places[a])) return false;
  }
  return true;
}

}  // namespace settle::analysis
