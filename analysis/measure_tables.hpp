// Measured quantities as tables of a page.
#pragma once

#include "analysis/report_page.hpp"
#include "sim/core/quantity.hpp"

namespace settle::analysis {

/// How good a verdict or an outcome is, by its name; plain for other words.
Tone tone_of(const std::string& word);

/// "limit cycle" of "limit_cycle".
std::string words_of(const std::string& name);

/// With a capital letter, where it begins with a word.
std::string capitalised(std::string text);

/// A number to four digits, "∞", or "–" where there is none.
std::string number_text(double value);

/// The numbers of one cell over all trials that have one, ∞ among them, in rising order.
std::vector<double> known(const core::Quantity& quantity, Eigen::Index cell = 0);

/// The coordinate of an entry of an axis: its label, its number, or its index.
std::string entry_text(const core::QuantityAxis& axis, Eigen::Index entry);

/// Its axes of more than one entry, and the only entries of the others ("control"): an axis of one entry
/// says what a number is of.
struct OwnAxes {
  std::vector<std::size_t> longer;
  std::string only;
};
OwnAxes own_axes(const core::Quantity& quantity);

/// The text with every number in it left out: what reasons have in common that differ in numbers alone.
std::string without_numbers(const std::string& text);

/// The themes that quantities are told by, in order: "Accuracy" …; the last one takes what has no other.
const std::vector<std::string>& themes();
std::size_t theme_of(const std::string& quantity);

/// Every quantity, by theme: one number a trial as it is (of more than eight trials the median and the range);
/// of more numbers along an axis or two the first ones, in medians over the trials; of longer arrays how they
/// begin. Where a number is missing, the reason stands below its name.
std::vector<PageBlock> measure_tables(const std::vector<core::Quantity>& quantities);

}  // namespace settle::analysis
