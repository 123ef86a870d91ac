// A quantity over its trials in a few words, for people.
#pragma once

#include <string>
#include <vector>

#include "sim/core/quantity.hpp"

namespace settle::analysis {

/// The numbers of one cell over all trials that have it, in rising order.
std::vector<double> sorted(const core::Quantity& quantity, Eigen::Index cell = 0);

/// Of numbers in rising order, at least one.
double median(const std::vector<double>& sorted);

/// "0.0123", or of several trials "0.01 (median; 0.005 to 0.02)", or why there is none.
std::string spread(const core::Quantity& quantity, Eigen::Index cell = 0);

/// "2 rules", "1 rule".
std::string counted(std::size_t count, const std::string& what);

/// A sentence for each loop that the paper's criterion and its exact poles judge differently.
std::vector<std::string> disagreements(const std::vector<core::Quantity>& quantities);

}  // namespace settle::analysis
