// Where everything of a chart stands: header, panels, colour bars and key.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "analysis/chart.hpp"

namespace settle::analysis {

/// Lengths and sizes of type in a chart that is `design_width` wide; a wider one has all of them
/// larger, so that it can be printed at a column's width.
namespace chart_design {
constexpr double design_width = 560;
constexpr double title_size = 13, note_size = 10, panel_title_size = 10.5, label_size = 10.5,
                 tick_size = 9.5, key_size = 10;
constexpr double side = 14, column_gap = 14, bar_gap = 7, bar_width = 9, bar_ticks = 34;
constexpr double bar_area = bar_gap + bar_width + bar_ticks;
constexpr double title_gap = 7, title_line = 13.5;
constexpr double key_swatch = 20, key_row = 16, key_gap = 18;
constexpr const char* ink = "#1A1A1A";
constexpr const char* empty_cell = "#F2F2F2";
constexpr const char* band_colour = "#E2E2E2";
}  // namespace chart_design

/// An entry of the key, and the middle of its left end.
struct KeyEntry {
  std::string name;
  std::string box;  ///< its colour; empty: none
  int mark = 0;
  double mark_size = 0.5;
  std::string colour;
  Stroke stroke = Stroke::none;
  double width = 1;
  double x = 0, y = 0;
};

/// A line above the panels; `y` is its middle.
struct HeaderLine {
  std::string text;
  bool is_title = false;
  double y = 0;
};

/// Whether a cell has the colour of its kind rather than of its value.
bool is_flat(const ChartPanel& panel, const ChartCell& cell);

/// Places in units of the design, from the upper left. The chart must outlive it.
class ChartLayout {
 public:
  explicit ChartLayout(const Chart& chart);

  double unit() const { return unit_; }      ///< points of a unit
  double height() const { return height_; }  ///< of the chart
  const std::vector<HeaderLine>& header() const { return header_; }
  const std::vector<KeyEntry>& key() const { return key_; }

  double left(std::size_t p) const { return xs_[p % columns()]; }
  double width(std::size_t p) const { return widths_[p % columns()]; }
  double top(std::size_t p) const { return tops_[p / columns()]; }
  double height(std::size_t p) const { return heights_[p / columns()]; }
  std::vector<std::string> title_lines(std::size_t p) const;
  /// Panels below each other with the same x axis have it labelled at the lowest.
  bool shows_x(std::size_t p) const;
  bool shows_y(std::size_t p) const { return chart_.own_heights || p % columns() == 0; }
  /// Where the label of its y axis stands.
  double y_label(std::size_t p) const { return left(p) - left_ + 13; }
  /// One bar a row where all panels have the same scale.
  bool has_bar(std::size_t p) const {
    return chart_.panels[p].scale >= 0 && (!one_scale_ || p == last_in_row(p));
  }
  double names_width() const { return names_width_; }  ///< of the labels of the y ticks
  /// How many ticks have room.
  std::size_t x_ticks(std::size_t p) const;
  static std::size_t y_ticks(const ChartAxis& axis, double height);

 private:
  std::size_t columns() const { return std::max<std::size_t>(1, chart_.columns); }
  std::size_t last_in_row(std::size_t p) const {
    return std::min((p / columns() + 1) * columns(), chart_.panels.size()) - 1;
  }
  double share(std::size_t column) const;
  void place_columns();
  void place_rows();
  double place(double y);
  void add_key(KeyEntry entry);
  void collect_key();
  double place_key(double y);

  const Chart& chart_;
  double unit_ = 1;
  bool one_scale_ = false;
  double left_ = 0, names_width_ = 0, height_ = 0;
  std::vector<double> xs_, widths_;     // of the columns, and where one more would begin
  std::vector<double> tops_, heights_;  // of the rows
  std::vector<HeaderLine> header_;
  std::vector<KeyEntry> key_;
};

}  // namespace settle::analysis
