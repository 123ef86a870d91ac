#include "analysis/plot_csv.hpp"

#include <algorithm>
#include <cmath>

#include "analysis/external.hpp"
#include "sim/core/error.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

constexpr std::size_t value_column = 6;  // and the one after it

void add_field(std::string& out, const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += c;
    out += c;
  }
  out += '"';
}

}  // namespace

std::string csv_number(double value) {
  return std::isfinite(value) ? core::number_text(value) : "NaN";
}

std::string csv_text(const std::string& figure, const std::vector<CsvRow>& rows) {
  const bool has_values = std::any_of(rows.begin(), rows.end(),
                                      [](const CsvRow& row) { return !row[value_column].empty(); });
  std::string out = std::string("figure,panel,series,x_quantity,x,y_quantity,y") +
                    (has_values ? ",value_quantity,value\n" : "\n");
  for (const CsvRow& row : rows) {
    add_field(out, figure);
    for (std::size_t k = 0; k < (has_values ? row.size() : value_column); ++k) {
      out += ',';
      add_field(out, row[k]);
    }
    out += '\n';
  }
  return out;
}

void write_csv(const std::string& figure, const std::vector<CsvRow>& rows,
               const std::filesystem::path& out) {
  if (out.extension() != ".csv")
    throw core::InputError(out.string(),
                           out.has_extension()
                               ? "the extension \"" + out.extension().string() + "\""
                               : "a name without an extension",
                           "a file of numbers that ends in .csv");
  write_text_file(csv_text(figure, rows), out);
}

}  // namespace settle::analysis
