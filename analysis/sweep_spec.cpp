#include "analysis/sweep_spec.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optional>
#include <set>

#include "analysis/measure.hpp"

namespace settle::analysis {
namespace {

using core::Value;

constexpr std::size_t most_points = 10'000'000;

// Dimensions that a result has anyway, and names of measures. (The writer refuses the rest.)
bool is_taken(const std::string& name) {
  static const std::set<std::string> names = {
      "trial",     "time",  "phase",      "signal",    "band",  "pole",    "node",   "controller",
      "parameter", "layer", "projection", "frequency", "point", "outcome", "status", "settled_at"};
  return names.count(name) > 0 || measures().find(name);
}

std::string dimension_name(std::string text) {
  for (char& c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain) c = '_';
  }
  return text;
}

// "leak" of "model.controller.leak", "gains_i" of "model.controller.gains.i": the last `parts` keys of
// a path, a single letter never alone.
std::string ending(const std::string& path, int parts) {
  std::size_t begin = path.size();
  for (int k = 0; k < parts && begin > 0; ++k) {
    const std::size_t dot = path.rfind('.', begin - 1);
    begin = dot == std::string::npos ? 0 : dot;
    if (k == 0 && path.size() - begin <= 2 && begin > 0) ++parts;
  }
  return dimension_name(path.substr(begin == 0 ? 0 : begin + 1));
}

// What an axis is described by.
struct AxisForm {
  std::string parameter, name;
  std::vector<std::string> parameters;
  std::vector<double> linear, log;
  std::optional<core::Array> values;
  std::int64_t points = 0;

  void fields(core::Fields& f) {
    f.text({"parameter", "", "the key that is varied: \"model.controller.leak\""}, parameter);
    f.texts({"parameters", "", "keys that are varied together, in place of `parameter`"},
            parameters);
    f.text({"name", "", "of the axis; the parameter's shortest unique ending unless given"}, name);
    f.numbers({"linear", "", "[first, last], equally spaced"}, linear, core::any_number(), false);
    f.numbers({"log", "", "[first, last], in equal ratios"}, log, core::positive(), false);
    f.integer({"points", "1", "of `linear` or `log`"}, points, 2, 1'000'000);
    f.custom({"values", "", "a list of numbers, names or lists"},
             {"a list",
              [this](const Value& value, const std::string& path) {
                if (!value.is_array() || value.array().empty())
                  core::fail(value, path, value.describe(), "a list of one value or more");
                values = value.array();
              },
              [this]() -> std::optional<Value> {
                return values ? std::optional(Value(*values)) : std::nullopt;
              }});
  }
};

std::string fifteen_digits(double x) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.15g", x);
  return buffer;
}

std::vector<Value> spaced(const std::vector<double>& ends, std::int64_t points, bool logarithmic,
                          bool whole) {
  std::vector<Value> out;
  const double a = ends[0], b = ends[1];
  bool all_whole = whole;
  std::vector<double> numbers;
  for (std::int64_t k = 0; k < points; ++k) {
    const double s = static_cast<double>(k) / static_cast<double>(points - 1);
    double x =
        logarithmic ? std::exp(std::log(a) + s * (std::log(b) - std::log(a))) : a + s * (b - a);
    // 0.01, not 0.010000000000000004: one wants to find it by its coordinate.
    if (std::isfinite(x)) x = std::stod(fifteen_digits(x));
    if (k == 0) x = a;
    if (k == points - 1) x = b;
    numbers.push_back(x);
    all_whole = all_whole && x == std::trunc(x);
  }
  for (const double x : numbers)
    out.push_back(all_whole ? Value(static_cast<std::int64_t>(x)) : Value(x));
  return out;
}

SweepAxis read_axis(const Value& value, const std::string& path) {
  AxisForm form = core::read(value, path, AxisForm{});
  const auto fail = [&](const char* key, const std::string& found, const std::string& expected) {
    const Value* at = value.find(key);
    core::fail(at ? *at : value, path + "." + key, found, expected);
  };
  SweepAxis axis;
  axis.at = value;
  axis.path = path;
  axis.name = form.name;
  if (form.parameter.empty() == form.parameters.empty())
    fail("parameter", form.parameter.empty() ? "no parameter" : "both `parameter` and `parameters`",
         "parameter = \"model.controller.leak\", or parameters = […] that vary together");
  axis.parameters = form.parameter.empty() ? form.parameters : std::vector{form.parameter};
  const int ways = !form.linear.empty() + !form.log.empty() + form.values.has_value();
  if (ways != 1)
    fail("values", ways == 0 ? "no values" : "values given in more than one way",
         "one of linear = [first, last], log = [first, last] (both with points), values = […]");
  if (form.values) {
    if (form.points > 0) fail("points", "points beside values", "values alone");
    axis.values = *form.values;
    const auto kind = [](const Value& v) {
      return v.is_number() ? 0 : v.is_text() ? 1 : v.is_array() ? 2 : v.is_boolean() ? 3 : 4;
    };
    for (const Value& one : axis.values)
      if (kind(one) != kind(axis.values.front()) || one.is_table())
        core::fail(
            one, path + ".values",
            one.describe() + (one.is_table() ? "" : " beside " + axis.values.front().describe()),
            "numbers, names or lists, all of one form");
    std::set<std::string> once;
    const std::vector<std::string> labels = axis.labels();
    for (std::size_t k = 0; k < labels.size(); ++k)
      if (!once.insert(labels[k]).second)
        core::fail(axis.values[k], path + ".values", labels[k] + " a second time",
                   "each value once");
    if (axis.is_numeric()) {
      const std::vector<double> x = axis.numbers();
      // Drawn on a logarithmic axis where its values stand more evenly there.
      axis.logarithmic =
          x.size() > 2 && *std::min_element(x.begin(), x.end()) > 0 &&
          *std::max_element(x.begin(), x.end()) >= 20 * *std::min_element(x.begin(), x.end());
    }
  } else {
    const bool logarithmic = form.linear.empty();
    const std::vector<double>& ends = logarithmic ? form.log : form.linear;
    const char* key = logarithmic ? "log" : "linear";
    if (ends.size() != 2)
      fail(key, "a list of " + std::to_string(ends.size()), "two numbers, [first, last]");
    if (form.points == 0) fail("points", "no number of points", "points = 32, say");
    if (ends[0] == ends[1]) fail(key, "two ends that are equal", "two different numbers");
    const Value& given = *value.find(key);
    const bool whole = given.array()[0].is_integer() && given.array()[1].is_integer();
    axis.logarithmic = logarithmic;
    axis.values = spaced(ends, form.points, logarithmic, whole);
    for (Value& one : axis.values) one.position = given.position;
  }
  return axis;
}

core::CustomForm axes_form(std::vector<SweepAxis>& axes) {
  return {
      "a list of { parameter = \"…\", linear or log = [first, last], points = … } or { parameter = "
      "\"…\", values = […] }",
      [&axes](const Value& value, const std::string& path) {
        if (!value.is_array())
          core::fail(value, path, value.describe(), "a list of axes, [{ parameter = … }, …]");
        axes.clear();
        for (std::size_t k = 0; k < value.array().size(); ++k)
          axes.push_back(read_axis(value.array()[k], path + "[" + std::to_string(k) + "]"));
      },
      [] { return std::optional<Value>(); }};
}

// Where the axis names its parameter of that index, and the path of that place.
std::pair<const Value*, std::string> place_of(const SweepAxis& axis, std::size_t parameter) {
  if (const Value* one = axis.at.find("parameter")) return {one, axis.path + ".parameter"};
  return {&axis.at.find("parameters")->array().at(parameter),
          axis.path + ".parameters[" + std::to_string(parameter) + "]"};
}

// "model" of "model.controller.leak" is a part of it, "mode" is none.
bool is_part_of(const std::string& path, const std::string& longer) {
  return longer.starts_with(path) && (longer.size() == path.size() || longer[path.size()] == '.');
}

// No key may be set twice, nor what the sweep itself is.
void check_parameters(const std::vector<SweepAxis>& axes) {
  std::vector<std::string> before;
  for (const SweepAxis& axis : axes)
    for (std::size_t k = 0; k < axis.parameters.size(); ++k) {
      const std::string& parameter = axis.parameters[k];
      const auto [at, path] = place_of(axis, k);
      if (is_part_of("sweep", parameter))
        core::fail(*at, path, "\"" + parameter + "\", which is part of the sweep itself",
                   "a key of the circuit, its solver or its analysis");
      for (const std::string& other : before)
        if (is_part_of(other, parameter) || is_part_of(parameter, other))
          core::fail(*at, path,
                     "\"" + parameter + "\"" +
                         (other == parameter ? " a second time" : " beside \"" + other + "\""),
                     "each key once");
      before.push_back(parameter);
    }
}

void name_axes(std::vector<SweepAxis>& axes) {
  std::set<std::string> names;
  for (SweepAxis& axis : axes) {
    const bool given = !axis.name.empty();
    for (int parts = 1; axis.name.empty(); ++parts) {
      const std::string name = ending(axis.parameters.front(), parts);
      const bool is_whole = name == dimension_name(axis.parameters.front());
      const bool is_unique = std::none_of(axes.begin(), axes.end(), [&](const SweepAxis& other) {
        return &other != &axis && ending(other.parameters.front(), parts) == name;
      });
      if (is_whole || (is_unique && !is_taken(name))) axis.name = name;
    }
    const Value* at = given ? axis.at.find("name") : place_of(axis, 0).first;
    if (axis.name != dimension_name(axis.name) || is_taken(axis.name))
      core::fail(*at, axis.path + ".name", "the name \"" + axis.name + "\"",
                 is_taken(axis.name) ? "another one: a result has something of that name"
                                     : "a name of letters, digits and _");
    if (!names.insert(axis.name).second)
      core::fail(*at, axis.path + ".name", "a second axis called \"" + axis.name + "\"",
                 "a name of its own for each");
  }
}

// Sets a value, telling of a wrong path where the axis was written.
void set(Value& file, const SweepAxis& axis, const Value& value) {
  for (std::size_t k = 0; k < axis.parameters.size(); ++k) {
    const std::string& parameter = axis.parameters[k];
    const auto [at, path] = place_of(axis, k);
    try {
      // A key that the file does not have stands where the axis names it: there it is told if it is unknown.
      if (!core::find_path(file, parameter)) {
        Value named;
        named.position = at->position;
        core::set_path(file, parameter, std::move(named));
      }
      core::set_path(file, parameter, value);
    } catch (const core::InputError& error) {
      core::fail(*at, path, "\"" + parameter + "\": " + error.found, error.expected);
    }
  }
}

}  // namespace

bool SweepAxis::is_numeric() const {
  return std::all_of(values.begin(), values.end(), [](const Value& v) { return v.is_number(); });
}

std::vector<double> SweepAxis::numbers() const {
  std::vector<double> out;
  for (const Value& one : values) out.push_back(one.number());
  return out;
}

std::vector<std::string> SweepAxis::labels() const {
  const auto text = [](const auto& self, const Value& v) -> std::string {
    if (v.is_text()) return v.text();
    if (v.is_boolean()) return v.boolean() ? "true" : "false";
    if (v.is_integer()) return std::to_string(v.integer());
    if (v.is_number()) return core::number_text(v.number());
    std::vector<std::string> parts;
    for (const Value& item : v.array()) parts.push_back(self(self, item));
    return "[" + core::join(parts) + "]";
  };
  std::vector<std::string> out;
  for (const Value& one : values) out.push_back(text(text, one));
  return out;
}

void SweepSpec::fields(core::Fields& f) {
  f.custom({"axes", "", "what is varied, each combination being a point", true}, axes_form(axes));
  f.choice({"keep", "", "\"trajectories\" keeps those of every point under /points"}, keep,
           {"measures", "trajectories"});
}

std::size_t SweepSpec::points() const {
  return std::accumulate(
      axes.begin(), axes.end(), std::size_t{1},
      [](std::size_t n, const SweepAxis& axis) { return n * axis.values.size(); });
}

std::vector<std::size_t> SweepSpec::place(std::size_t point) const {
  std::vector<std::size_t> out(axes.size());
  for (std::size_t a = axes.size(); a-- > 0;) {
    out[a] = point % axes[a].values.size();
    point /= axes[a].values.size();
  }
  return out;
}

SweepSpec read_sweep(const Value& table) {
  SweepSpec sweep = core::read<SweepSpec>(table, "sweep");
  const Value* axes = table.find("axes");
  if (sweep.axes.empty()) core::fail(*axes, "sweep.axes", "an empty list", "one axis or more");
  check_parameters(sweep.axes);
  name_axes(sweep.axes);
  double points = 1;
  for (const SweepAxis& axis : sweep.axes) points *= static_cast<double>(axis.values.size());
  if (points > static_cast<double>(most_points))
    core::fail(*axes, "sweep.axes", core::brief(points) + " points",
               "at most " + std::to_string(most_points));
  return sweep;
}

Value with_point(const Value& file, const SweepSpec& sweep, std::size_t point) {
  Value out = file;
  const std::vector<std::size_t> place = sweep.place(point);
  for (std::size_t a = 0; a < sweep.axes.size(); ++a)
    set(out, sweep.axes[a], sweep.axes[a].values[place[a]]);
  auto& members = out.table();
  std::erase_if(members, [](const core::Member& member) { return member.key == "sweep"; });
  return out;
}

Value with_numbers(Value file, const SweepSpec& sweep, const std::vector<std::size_t>& axes,
                   const std::vector<double>& numbers) {
  for (std::size_t k = 0; k < axes.size(); ++k) {
    Value number(numbers[k]);
    number.position = sweep.axes[axes[k]].at.position;
    set(file, sweep.axes[axes[k]], number);
  }
  return file;
}

std::string point_text(const SweepSpec& sweep, std::size_t point) {
  std::vector<std::size_t> all(sweep.axes.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return point_text(sweep, point, all);
}

std::string point_text(const SweepSpec& sweep, std::size_t point,
                       const std::vector<std::size_t>& axes) {
  const std::vector<std::size_t> place = sweep.place(point);
  std::vector<std::string> words;
  for (const std::size_t a : axes) {
    const SweepAxis& axis = sweep.axes[a];
    words.push_back(axis.name + " = " +
                    (axis.is_numeric() ? core::brief(axis.values[place[a]].number())
                                       : axis.labels()[place[a]]));
  }
  return core::join(words);
}

std::string axes_text(const SweepSpec& sweep) {
  std::string text;
  for (const SweepAxis& axis : sweep.axes) {
    const std::vector<std::string> labels = axis.labels();
    text += (text.empty() ? "" : " × ") + axis.name + " (" + std::to_string(labels.size());
    if (axis.is_numeric() && labels.size() > 1)
      text += ": " + core::brief(axis.values.front().number()) + " to " +
              core::brief(axis.values.back().number());
    else if (labels.size() <= 4)
      text += ": " + core::join(labels);
    text += ")";
  }
  return text;
}

std::vector<core::ParameterDoc> document_axis() { return core::document(AxisForm{}); }

}  // namespace settle::analysis
