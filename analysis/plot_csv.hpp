// The numbers of a figure as CSV.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

namespace settle::analysis {

/// A drawn point: panel, series, x_quantity, x, y_quantity, y, value_quantity, value. Quantities have
/// their units ("time (ms)"); the value is the third number of a cell of a map, else both are empty.
using CsvRow = std::array<std::string, 8>;

/// A number as it reads back to the same double; "NaN" for a gap.
std::string csv_number(double value);

/// RFC 4180, UTF-8, tidy: the figure's name and the row; without the last two columns where no row has
/// a value.
std::string csv_text(const std::string& figure, const std::vector<CsvRow>& rows);

/// Writes that in place of `out`, which ends in .csv.
/// @throws core::InputError   for another extension
/// @throws core::OutputError  where it cannot be written
void write_csv(const std::string& figure, const std::vector<CsvRow>& rows,
               const std::filesystem::path& out);

}  // namespace settle::analysis
