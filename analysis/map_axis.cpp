#include "analysis/map_axis.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/plot_script.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t most_own_ticks = 6;  // values of an axis that are its ticks

// How an axis is called: a parameter of the controller by its symbol, what someone named by that
// name.
void name_axis(MapAxis& axis, const std::string& parameters, const std::string& time_unit) {
  std::string ending = parameters;
  std::replace(ending.begin(), ending.end(), '.', '_');
  const bool own_name = !ending.ends_with(axis.name);
  const auto is = [&](const std::string& last) {
    return !own_name && (parameters == last || parameters.ends_with("." + last));
  };
  if (is("leak") && parameters.find("controller") != std::string::npos) {
    axis.label = "leak α";
    axis.symbol = "α";
    return;
  }
  struct Gain {
    const char *letter, *word, *symbol;
  };
  for (const Gain& gain : {Gain{"p", "proportional", "kₚ"}, Gain{"i", "integral", "kᵢ"},
                           Gain{"d", "derivative", "k_d"}})
    if (is(std::string("gains.") + gain.letter)) {
      axis.symbol = gain.symbol;
      axis.label = std::string(gain.word) + " gain k_{" + gain.letter + "}";
      return;
    }
  axis.symbol = spaced(axis.name);
  axis.label = plain(axis.symbol);
  if ((is("tau") || is("derivative_tau") || is("duration")) && time_unit != "1")
    axis.label += plain(" (" + time_unit + ")");
}

// Two digits.
bool is_round(double number) {
  const double power = number == 0 ? 1 : std::pow(10, 1 - std::floor(std::log10(std::abs(number))));
  return std::abs(number * power - std::round(number * power)) < 1e-6;
}

// The largest step over the smallest between sorted numbers.
double unevenness(const std::vector<double>& sorted, bool log) {
  double least = std::numeric_limits<double>::infinity(), most = 0;
  for (std::size_t k = 1; k < sorted.size(); ++k) {
    const double step = log ? std::log(sorted[k] / sorted[k - 1]) : sorted[k] - sorted[k - 1];
    least = std::min(least, step);
    most = std::max(most, step);
  }
  return most / least;
}

MapAxis::Kind kind_of(std::vector<double> numbers, bool logarithmic) {
  std::sort(numbers.begin(), numbers.end());
  if (numbers.size() < 2 || std::adjacent_find(numbers.begin(), numbers.end()) != numbers.end())
    return MapAxis::Kind::ordinal;
  const bool can_log = numbers.front() > 0;
  if (logarithmic && can_log) return MapAxis::Kind::logarithmic;
  const double linear = unevenness(numbers, false);
  if (linear < 4) return MapAxis::Kind::linear;
  if (can_log && unevenness(numbers, true) < std::min(linear, 8.0))
    return MapAxis::Kind::logarithmic;
  return linear < 6 ? MapAxis::Kind::linear : MapAxis::Kind::ordinal;
}

}  // namespace

std::string spaced(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

double MapAxis::position(std::size_t k) const {
  return kind == Kind::ordinal ? static_cast<double>(k) : numbers[k];
}

double MapAxis::position_of(double number) const {
  if (kind != Kind::ordinal) return number;
  for (std::size_t k = 0; k + 1 < numbers.size(); ++k) {
    const double a = numbers[k], b = numbers[k + 1];
    if (a != b && (number - a) * (number - b) <= 0)
      return static_cast<double>(k) + (number - a) / (b - a);
  }
  return nan;
}

std::pair<double, double> MapAxis::cell(std::size_t k) const {
  const double here = position(k);
  if (kind == Kind::ordinal) return {here - 0.5, here + 0.5};
  const bool log = kind == Kind::logarithmic;
  const auto scaled = [log](double x) { return log ? std::log(x) : x; };
  const auto back = [log](double x) { return log ? std::exp(x) : x; };
  double below = nan, above = nan;
  for (const double number : numbers) {
    if (number < here && !(number <= below)) below = number;
    if (number > here && !(number >= above)) above = number;
  }
  const double at = scaled(here);
  const double up = std::isnan(above) ? at - scaled(below) : scaled(above) - at;
  const double down = std::isnan(below) ? up : at - scaled(below);
  return {back(at - down / 2), back(at + up / 2)};
}

ChartAxis MapAxis::chart_axis() const {
  ChartAxis out;
  out.label = label;
  out.name = name;
  out.log = kind == Kind::logarithmic;
  out.low = std::numeric_limits<double>::infinity();
  out.high = -out.low;
  for (std::size_t k = 0; k < size(); ++k) {
    const auto [low, high] = cell(k);
    out.low = std::min(out.low, low);
    out.high = std::max(out.high, high);
  }
  if (kind == Kind::ordinal) {
    out.names = names;
    out.numbers = numbers;
  } else if (size() <= most_own_ticks && std::all_of(numbers.begin(), numbers.end(), is_round)) {
    out.ticks = numbers;
  }
  return out;
}

MapAxis map_axis(const io::SweepDimension& dimension, const std::string& time_unit) {
  MapAxis axis;
  axis.name = dimension.name;
  name_axis(axis, dimension.long_name, time_unit);
  axis.is_numeric = dimension.labels.empty();
  axis.is_seed = dimension.name.ends_with("seed");
  axis.numbers = dimension.numbers;
  axis.names = dimension.labels;
  if (axis.is_numeric) {
    for (const double number : axis.numbers) axis.names.push_back(core::brief(number));
    axis.kind = kind_of(axis.numbers, dimension.logarithmic);
  }
  return axis;
}

}  // namespace settle::analysis
