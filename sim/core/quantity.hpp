// What is measured of a run: named numbers with their units, one set a trial.
#pragma once

#include <Eigen/Core>
#include <limits>
#include <string>
#include <vector>

namespace settle::core {

/// An axis of a quantity beside its trials.
struct QuantityAxis {
  std::string name;  ///< the dimension in a file: "pole", "signal"
  Eigen::Index size = 0;
  std::string long_name;
  std::vector<std::string> labels;  ///< its coordinate: texts,
  std::vector<double> numbers;      ///< or numbers, or where both are empty an index from 0
  std::string units = "1";          ///< of the numbers
};

/// Numbers of every trial, NaN with a reason where they do not exist.
struct Quantity {
  std::string name;
  std::string units;  ///< "1", or "time" for the circuit's unit, "1/time" …
  std::string long_name;
  std::vector<QuantityAxis> axes;  ///< beside the trials
  Eigen::MatrixXd values;          ///< cells × trials; the last axis varies fastest
  std::vector<std::string>
      reasons;  ///< why not: one a trial; or one a cell and trial, trial by trial
  std::vector<std::string> meanings;  ///< of a flag's values 0, 1, …; empty: numbers
  std::vector<std::string> texts;     ///< a sentence a trial in place of numbers

  Eigen::Index trials() const { return values.cols(); }
  Eigen::Index cells() const {
    Eigen::Index n = 1;
    for (const QuantityAxis& axis : axes) n *= axis.size;
    return n;
  }
  /// The reason for a cell of a trial.
  const std::string& reason(Eigen::Index cell, Eigen::Index trial) const {
    const bool each = static_cast<Eigen::Index>(reasons.size()) != trials();
    return reasons[static_cast<std::size_t>(each ? trial * cells() + cell : trial)];
  }
};

}  // namespace settle::core
