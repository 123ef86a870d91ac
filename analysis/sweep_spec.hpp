// What a user writes of a study: the parameters that are swept, and what is kept.
#pragma once

#include <string>
#include <vector>

#include "sim/core/params.hpp"

namespace settle::analysis {

/// One axis of a sweep: values that one parameter takes, or several at once.
struct SweepAxis {
  std::vector<std::string> parameters;  ///< dotted paths in the file: "model.controller.leak"
  std::string
      name;  ///< of the dimension; the shortest unique ending of the first parameter unless given
  std::vector<core::Value> values;
  bool logarithmic = false;  ///< equal ratios: how it is drawn and refined

  core::Value at;    ///< as it was written, for errors
  std::string path;  ///< "sweep.axes[0]"

  bool is_numeric() const;              ///< every value is a number
  std::vector<double> numbers() const;  ///< of a numeric one
  std::vector<std::string> labels() const;
};

/// [sweep]
struct SweepSpec {
  std::vector<SweepAxis> axes;
  std::string keep = "measures";  ///< "trajectories": those of every point, too

  void fields(core::Fields& f);
  std::size_t points() const;
  /// Indices along the axes of a point, the last axis varying fastest.
  std::vector<std::size_t> place(std::size_t point) const;
};

/// Binds [sweep] and names its axes.
/// @throws InputError  for no axes, an axis without values or with values of several forms, keys that are
///                     set twice, and names that stand twice or are taken
SweepSpec read_sweep(const core::Value& table);

/// The configuration of one point: `file` with the parameters of every axis set, and without [sweep].
/// @throws InputError  where a parameter's path leads through something that is no table
core::Value with_point(const core::Value& file, const SweepSpec& sweep, std::size_t point);
/// The same with a number in place of an axis' value: `numbers` has one for each of `axes`.
core::Value with_numbers(core::Value file, const SweepSpec& sweep,
                         const std::vector<std::size_t>& axes, const std::vector<double>& numbers);

/// "leak = 0.01, gains_i = 2": where a point is.
std::string point_text(const SweepSpec& sweep, std::size_t point);
/// The same of some of its axes.
std::string point_text(const SweepSpec& sweep, std::size_t point,
                       const std::vector<std::size_t>& axes);
/// "leak (32: 0.0001 to 1) × gains_i (32: 0.1 to 10)": what is varied.
std::string axes_text(const SweepSpec& sweep);

/// The keys of one entry of sweep.axes.
std::vector<core::ParameterDoc> document_axis();

}  // namespace settle::analysis
