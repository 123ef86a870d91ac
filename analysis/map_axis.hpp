// An axis of a sweep as figures draw it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "analysis/chart.hpp"
#include "sim/io/sweep_file.hpp"

namespace settle::analysis {

/// An axis of a sweep as it is drawn.
struct MapAxis {
  enum class Kind {
    linear,
    logarithmic,
    ordinal,  ///< equal steps: texts, and numbers that neither of the two spreads out
  };
  std::string name;
  std::string label;   ///< in gnuplot's enhanced text: "integral gain k_{i}"
  std::string symbol;  ///< "kᵢ", or the name where it has none
  Kind kind = Kind::ordinal;
  bool is_numeric = false;
  bool is_seed = false;            ///< its points are repetitions
  std::vector<double> numbers;     ///< of a numeric one
  std::vector<std::string> names;  ///< of every value, as text

  std::size_t size() const { return names.size(); }
  /// Where value k is drawn; where any number is.
  double position(std::size_t k) const;
  double position_of(double number) const;
  /// Lower and upper edge of the cell of value k: half-way to its neighbours, as far where there is
  /// none.
  std::pair<double, double> cell(std::size_t k) const;
  /// The axis with all cells on it.
  ChartAxis chart_axis() const;
};

/// How an axis of a sweep's file is called and drawn.
MapAxis map_axis(const io::SweepDimension& dimension, const std::string& time_unit);

/// An underscore is a space.
std::string spaced(std::string name);

}  // namespace settle::analysis
