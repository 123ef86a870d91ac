// A chart as plain data: panels of coloured cells and of lines; its numbers, and its picture.
#pragma once

#include <cstddef>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "analysis/plot_csv.hpp"

namespace settle::analysis {

enum class Stroke { none, solid, dashed, dotted };

struct ChartAxis {
  std::string label;  ///< in gnuplot's enhanced text
  std::string name;   ///< what it is called as data, with its unit
  bool log = false;
  double low = 0, high = 1;        ///< what it spans, in positions
  std::vector<std::string> names;  ///< of the positions 0, 1, …; empty: positions are the numbers
  std::vector<double> numbers;     ///< that the names stand for, where they are of numbers
  std::vector<double> ticks;       ///< the only ones there are to be; empty: round numbers
};

/// A rectangle of one point of a map.
struct ChartCell {
  double x = 0, y = 0;  ///< positions of the point
  double left = 0, right = 1, bottom = 0, top = 1;
  double value = 0;   ///< coloured by the panel's scale; NaN: filled with the colour of its kind
  int kind = -1;      ///< what became of it, in Chart::kinds; −1: nothing to say
  bool flat = false;  ///< filled with the colour of its kind all the same
};

struct ChartPoint {
  double x = 0, y = 0;
  double low = 0, high = 0;  ///< of a series with a range
};

struct ChartSeries {
  std::string name;
  std::vector<ChartPoint> points;  ///< a NaN is a gap
  std::string colour = "#000000";
  Stroke stroke = Stroke::solid;
  double width = 1.4;
  int mark = 0;  ///< gnuplot's number of a point type; 0: none
  double mark_size = 0.5;
  bool halo = false;        ///< a white line under it
  bool has_range = false;   ///< a band from low to high, of y; of x where `range_of_x`
  bool range_of_x = false;  ///< a bar through each point
  bool in_key = true;
};

/// A line across the panel.
struct ChartRule {
  double x = 0;
  std::string name;
  std::string colour = "#000000";
  Stroke stroke = Stroke::dashed;
};

/// A text beside a place.
struct ChartText {
  double x = 0, y = 0;  ///< positions
  std::string text;
  std::string colour = "#202020";
  double dx = 5, dy = 0;  ///< how far from it, in points; to the left of it where dx < 0
};

struct ChartPanel {
  std::string title;
  std::string name;        ///< what it is called as data
  std::string value_name;  ///< of the cells' values, with its unit
  ChartAxis x, y;
  double height = 150;
  double share = 1;  ///< of the row's width, beside the others
  int scale = -1;    ///< of the cells, in Chart::scales
  std::vector<ChartCell> cells;
  bool marks_kinds = true;  ///< cells with a value have the mark of their kind over it
  std::vector<ChartSeries> series;
  std::vector<ChartRule> rules;
  std::vector<ChartText> texts;
};

struct ColourScale {
  bool log = false;
  bool diverging = false;  ///< about 1 where logarithmic, 0 where not: blue below, red above
  double low = 0, high = 1;
  bool more_above = false;  ///< there are values beyond `high`

  std::string colour(double value) const;
};

/// What became of a point, in the key.
struct ChartKind {
  std::string name;
  std::string colour = "#FFFFFF";
  int mark = 0;
};

struct Chart {
  std::string name;  ///< "map"
  std::string title;
  std::vector<std::string> notes;  ///< under it
  std::vector<ChartPanel> panels;
  std::size_t columns = 1;   ///< panels of a row share their y axis, which is labelled at the first
  bool own_heights = false;  ///< each panel of a row has its own, labelled at each
  std::vector<ColourScale> scales;
  std::vector<ChartKind> kinds;
  double width = 820;  ///< in points (pixels of an SVG); texts and lines go with it
  double height = 0;   ///< 0: what the panels ask for; else they are stretched to it
};

/// The numbers of the chart, a row a cell or point: panel, series, x quantity, x, y quantity, y,
/// value quantity, value. Cells are called by what became of them; numbers read back to the same
/// double.
std::vector<CsvRow> rows(const Chart& chart);

/// What an axis has to span to show the values, with some air; of a logarithmic one those above
/// zero.
void fit(ChartAxis& axis, const std::vector<double>& values, double air = 0.05);

/// What the panel's series span along y: their points, and the ends of their ranges; what is above
/// `at_most` as if it were there, but for the infinite.
std::vector<double> heights(const ChartPanel& panel,
                            double at_most = std::numeric_limits<double>::infinity());

/// Places of an axis' ticks, labelled or (small ones) not.
struct ChartTick {
  double at = 0;
  std::string label;  ///< in gnuplot's enhanced text
  bool small = false;
};
std::vector<ChartTick> ticks(const ChartAxis& axis, std::size_t most);

/// The picture in gnuplot's words.
/// @param extension  ".svg", ".png" or ".pdf"
std::string chart_script(const Chart& chart, const std::string& extension);

/// Draws it to a file that ends in .svg, .png or .pdf.
/// @throws core::InputError   for another extension
/// @throws core::OutputError  where gnuplot is not installed or the file cannot be written
void draw_chart(const Chart& chart, const std::filesystem::path& out);

/// The same, and its numbers to `data`, a CSV file, where that is not empty.
/// @throws core::InputError, core::OutputError  as draw_chart and write_csv
void draw_chart(const Chart& chart, const std::filesystem::path& out,
                const std::filesystem::path& data);

}  // namespace settle::analysis
