// The numbers of a figure.
#include <algorithm>
#include <cmath>

#include "analysis/chart.hpp"
#include "analysis/external.hpp"
#include "analysis/figure.hpp"
#include "sim/core/error.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

// A field of a CSV file.
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string number(double value) { return std::isfinite(value) ? core::number_text(value) : "NaN"; }

void write_csv(const std::string& text, const std::filesystem::path& out) {
  if (out.extension() != ".csv")
    throw core::InputError(out.string(),
                           out.has_extension()
                               ? "the extension \"" + out.extension().string() + "\""
                               : "a name without an extension",
                           "a file of numbers that ends in .csv");
  write_text_file(text, out);
}

}  // namespace

std::string csv_text(const std::string& figure, const std::vector<Panel>& panels) {
  const bool with_z = std::any_of(panels.begin(), panels.end(), [](const Panel& panel) {
    return std::any_of(panel.curves.begin(), panel.curves.end(),
                       [](const Curve& curve) { return !curve.z.empty(); });
  });
  std::string out = std::string("figure,panel,series,x_quantity,x,y_quantity,y") +
                    (with_z ? ",z_quantity,z\n" : "\n");
  for (const Panel& panel : panels) {
    const std::string name =
        field(figure) + "," + field(panel.name.empty() ? panel.title : panel.name);
    for (const Curve& curve : panel.curves) {
      const std::string start = name + "," +
                                field(curve.series.empty() ? curve.key : curve.series) + "," +
                                field(panel.x_label) + ",";
      const std::string middle = "," + field(panel.symbol) + ",";
      for (std::size_t k = 0; k < curve.points.size(); ++k) {
        out += start + number(curve.points[k].x) + middle + number(curve.points[k].y);
        if (with_z)
          out += "," + field(panel.z_label) + "," + (curve.z.empty() ? "" : number(curve.z.at(k)));
        out += "\n";
      }
    }
  }
  return out;
}

std::string csv_text(const Chart& chart) {
  std::string out = "figure,panel,series,x_quantity,x,y_quantity,y,z_quantity,z\n";
  for (const ChartRow& row : rows(chart)) {
    out += field(chart.name);
    for (const std::string& one : row) out += "," + field(one);
    out += "\n";
  }
  return out;
}

void write_csv(const std::string& figure, const std::vector<Panel>& panels,
               const std::filesystem::path& out) {
  write_csv(csv_text(figure, panels), out);
}

void write_csv(const Chart& chart, const std::filesystem::path& out) {
  write_csv(csv_text(chart), out);
}

}  // namespace settle::analysis
