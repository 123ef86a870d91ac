// The picture of a chart: where everything stands, and gnuplot's words for it.
#include <algorithm>
#include <cmath>
#include <set>

#include "analysis/chart.hpp"
#include "analysis/chart_colours.hpp"
#include "analysis/external.hpp"
#include "analysis/plot_script.hpp"
#include "analysis/text.hpp"
#include "sim/core/error.hpp"

namespace settle::analysis {
namespace {

// Lengths and sizes of type in a chart that is `design_width` wide; a wider one has all of them larger, so that
// it can be printed at a column's width.
constexpr double design_width = 560;
constexpr double title_size = 13, note_size = 10, panel_title_size = 10.5, label_size = 10.5,
                 tick_size = 9.5, key_size = 10;
constexpr double side = 14, column_gap = 14, bar_gap = 7, bar_width = 9, bar_ticks = 34;
constexpr double bar_area = bar_gap + bar_width + bar_ticks;
constexpr double title_gap = 7;
constexpr double key_swatch = 20, key_row = 16, key_gap = 18;
constexpr const char* ink = "#1A1A1A";
constexpr const char* empty_cell = "#F2F2F2";

std::string dash(Stroke stroke) {
  return stroke == Stroke::dashed   ? " dashtype (7,4)"
         : stroke == Stroke::dotted ? " dashtype (1.5,3)"
                                    : " dashtype 1";
}

struct KeyEntry {
  std::string name;
  std::string box;  // its colour; empty: none
  int mark = 0;
  double mark_size = 0.5;
  std::string colour;
  Stroke stroke = Stroke::none;
  double width = 1;
  bool halo = false;
};

class Picture {
 public:
  explicit Picture(const Chart& chart) : chart_(chart), unit_(chart.width / design_width) {
    collect_key();
    place_columns();
    place_rows();
  }

  double height() const { return height_ * unit_; }

  std::string script(const std::string& terminal) const {
    std::string out =
        "set encoding utf8\n" + terminal + "set datafile missing 'NaN'\nunset key\nset multiplot\n";
    for (std::size_t p = 0; p < chart_.panels.size(); ++p) {
      out += panel(p);
      if (has_bar(p)) out += bar(p);
    }
    return out + "unset multiplot\n";
  }

 private:
  // ---- Where things stand, in units of the design, from the upper left ----

  std::size_t columns() const { return std::max<std::size_t>(1, chart_.columns); }
  std::size_t last_in_row(std::size_t p) const {
    return std::min((p / columns() + 1) * columns(), chart_.panels.size()) - 1;
  }
  bool shows_x(std::size_t p) const { return p + columns() >= chart_.panels.size(); }

  // One bar a row where all panels have the same scale.
  bool has_bar(std::size_t p) const {
    return chart_.panels[p].scale >= 0 && (!one_scale_ || p == last_in_row(p));
  }

  void place_columns() {
    std::set<int> scales;
    bool all = true;
    for (const ChartPanel& panel : chart_.panels) {
      scales.insert(panel.scale);
      all = all && panel.scale >= 0;
    }
    one_scale_ = all && scales.size() == 1;
    const bool bars = !scales.empty() && *scales.rbegin() >= 0;
    double labels = 0;
    bool labelled = false;
    for (std::size_t p = 0; p < chart_.panels.size(); p += columns()) {
      const ChartPanel& panel = chart_.panels[p];
      for (const ChartTick& tick : ticks(panel.y, y_ticks(panel.height)))
        labels = std::max(labels, panel.y.names.empty()
                                      ? std::min(40.0, text_width(tick.label, tick_size))
                                      : text_width(tick.label, tick_size));
      labelled = labelled || !panel.y.label.empty();
    }
    names_width_ = std::min(labels, 0.34 * design_width);
    left_ = 8 + names_width_ + 9 + (labelled ? 19 : 0);
    const auto n = static_cast<double>(columns());
    step_ = (design_width - left_ - side - (bars && one_scale_ ? bar_area : 0) + column_gap) / n;
    panel_width_ = step_ - column_gap - (bars && !one_scale_ ? bar_area : 0);
  }

  static std::size_t y_ticks(double height) {
    return static_cast<std::size_t>(std::max(2.0, height / 21));
  }

  double x_of(std::size_t p) const { return left_ + static_cast<double>(p % columns()) * step_; }

  std::vector<std::string> title_lines(std::size_t p) const {
    if (chart_.panels[p].title.empty()) return {};
    return wrapped(chart_.panels[p].title, step_ - 4, panel_title_size, 2);
  }

  void place_rows() {
    for (const std::string& line :
         wrapped(chart_.title, (design_width - 2 * side) / 1.13, title_size, 3))
      header_.push_back({line, true});
    for (const std::string& note : chart_.notes)
      for (const std::string& line : wrapped(note, design_width - 2 * side, note_size, 3))
        header_.push_back({line, false});
    double y = 8;
    for (const HeaderLine& line : header_) y += line.is_title ? 18 : 14.5;
    y += 6;
    double asked = 0;
    for (std::size_t p = 0; p < chart_.panels.size(); p += columns()) {
      double most = 0;
      for (std::size_t q = p; q <= last_in_row(p); ++q)
        most = std::max(most, chart_.panels[q].height);
      asked += most;
      heights_.push_back(most);
    }
    const double fixed = layout(y);
    if (chart_.height > 0) {
      const double factor = std::max(0.2, (chart_.height / unit_ - fixed) / asked);
      for (double& one : heights_) one *= factor;
      layout(y);
    }
  }

  // Tops of the rows for their heights; what is left when those are taken away.
  double layout(double y) {
    tops_.clear();
    double panels = 0;
    for (std::size_t row = 0; row < heights_.size(); ++row) {
      const std::size_t p = row * columns();
      std::size_t lines = 0;
      bool labels = false;
      for (std::size_t q = p; q <= last_in_row(p); ++q) {
        lines = std::max(lines, title_lines(q).size());
        labels = labels || shows_x(q);
      }
      y += lines == 0 ? 0 : 13.5 * static_cast<double>(lines) + title_gap;
      tops_.push_back(y);
      y += heights_[row] + (labels ? 36 : 11);
      panels += heights_[row];
    }
    end_ = y;
    key_height_ = key_layout();
    height_ = end_ + key_height_ + 4;
    return height_ - panels;
  }

  // ---- The key ----

  void add_key(KeyEntry entry) {
    const bool known = std::any_of(key_.begin(), key_.end(),
                                   [&](const KeyEntry& k) { return k.name == entry.name; });
    if (!known) key_.push_back(std::move(entry));
  }

  void collect_key() {
    for (const ChartPanel& panel : chart_.panels)
      for (const ChartSeries& series : panel.series)
        if (series.in_key && !series.name.empty())
          add_key({.name = series.name,
                   .mark = series.mark,
                   .mark_size = series.mark_size,
                   .colour = series.colour,
                   .stroke = series.stroke,
                   .width = series.width,
                   .halo = false});
    for (const ChartPanel& panel : chart_.panels)
      for (const ChartRule& rule : panel.rules)
        if (!rule.name.empty())
          add_key({.name = rule.name, .colour = rule.colour, .stroke = rule.stroke, .width = 1.3});
    std::vector<bool> used(chart_.kinds.size(), false);
    bool empty = false;
    for (const ChartPanel& panel : chart_.panels)
      for (const ChartCell& cell : panel.cells) {
        const bool flat = is_flat(panel, cell);
        empty = empty || (flat && cell.kind < 0);
        if (cell.kind < 0) continue;
        const auto k = static_cast<std::size_t>(cell.kind);
        if (flat || (panel.marks_kinds && chart_.kinds[k].mark > 0)) used[k] = true;
      }
    for (std::size_t k = 0; k < used.size(); ++k)
      if (used[k]) {
        const ChartKind& kind = chart_.kinds[k];
        add_key({.name = kind.name,
                 .box = kind.colour,
                 .mark = kind.mark,
                 .colour = standing_out_from(kind.colour)});
      }
    if (empty) add_key({.name = "no value", .box = empty_cell, .colour = ink});
  }

  double key_width(const KeyEntry& entry) const {
    return key_swatch + 6 + text_width(entry.name, key_size) + key_gap;
  }

  // Beside the last panel where there is room for a list, else in lines below all.
  double key_layout() {
    key_places_.clear();
    if (key_.empty()) return 0;
    const std::size_t last = chart_.panels.size() - 1;
    double widest = 0;
    for (const KeyEntry& entry : key_) widest = std::max(widest, key_width(entry) - key_gap);
    const double free_left = x_of(last) + step_ + (one_scale_ ? bar_area : 0) + 6;
    const double list = key_row * static_cast<double>(key_.size());
    if (last % columns() + 1 < columns() && widest <= design_width - side - free_left &&
        list <= heights_.back() + 20) {
      for (std::size_t k = 0; k < key_.size(); ++k)
        key_places_.push_back({free_left, tops_.back() + key_row * (static_cast<double>(k) + 0.5)});
      return 0;
    }
    double x = left_, y = end_ + 4 + key_row / 2;
    for (const KeyEntry& entry : key_) {
      const double width = key_width(entry);
      if (x > left_ && x + width - key_gap > design_width - side) {
        x = left_;
        y += key_row;
      }
      key_places_.push_back({x, y});
      x += width;
    }
    return y + key_row / 2 - end_ + 4;
  }

  // ---- gnuplot ----

  std::string sx(double x) const { return script_number(x / design_width); }
  std::string sy(double y) const { return script_number(1 - y / height_); }
  std::string font(double size) const { return " font '," + script_number(size * unit_) + "'"; }
  std::string width_of(double width) const { return " lw " + script_number(width * unit_); }
  std::string size_of(double mark) const { return " ps " + script_number(mark * unit_); }

  std::string text(const std::string& label, const std::string& at, double size,
                   const std::string& how, const std::string& colour = ink) const {
    return "set label " + quoted(label) + " at " + at + " " + how + font(size) +
           " textcolor rgb '" + colour + "' front\n";
  }

  std::string header() const {
    std::string out;
    double y = 8;
    for (const HeaderLine& line : header_) {
      y += line.is_title ? 18 : 14.5;
      const std::string at = "screen " + sx(side) + ", screen " + sy(y - 7);
      out += line.is_title
                 ? text("{/:Bold " + plain(line.text) + "}", at, title_size, "left enhanced")
                 : text(line.text, at, note_size, "left noenhanced", "#404040");
    }
    return out;
  }

  std::string key() const {
    std::string out;
    for (std::size_t k = 0; k < key_.size(); ++k) {
      const KeyEntry& entry = key_[k];
      const double x = key_places_[k].x, y = key_places_[k].y, middle = x + key_swatch / 2;
      if (!entry.box.empty()) {
        const double half = 6;
        out += "set object rectangle from screen " + sx(middle - half) + ", screen " +
               sy(y + half - 0.5) + " to screen " + sx(middle + half) + ", screen " +
               sy(y - half + 0.5) + " front fillstyle solid 1.0 border lc rgb '#606060'" +
               " fillcolor rgb '" + entry.box + "' lw " + script_number(0.5 * unit_) + "\n";
      }
      const auto line = [&](double width, const std::string& colour, Stroke stroke) {
        return "set arrow from screen " + sx(x) + ", screen " + sy(y) + " to screen " +
               sx(x + key_swatch) + ", screen " + sy(y) + " nohead front" + width_of(width) +
               " lc rgb '" + colour + "'" + dash(stroke) + "\n";
      };
      if (entry.stroke != Stroke::none) out += line(entry.width, entry.colour, entry.stroke);
      if (entry.mark > 0)
        out += "set label '' at screen " + sx(middle) + ", screen " + sy(y) + " point pt " +
               std::to_string(entry.mark) + size_of(entry.mark_size) + " lc rgb '" + entry.colour +
               "'" + " lw " + script_number(unit_) + " front\n";
      out += text(entry.name, "screen " + sx(x + key_swatch + 6) + ", screen " + sy(y), key_size,
                  "left noenhanced");
    }
    return out;
  }

  static std::string range(const char* which, const ChartAxis& axis) {
    const std::string a = which;
    return (axis.log ? "set logscale " : "unset logscale ") + a + "\nset " + a + "range [" +
           script_number(axis.low) + ":" + script_number(axis.high) + "]\n";
  }

  std::string tick_list(const char* which, const ChartAxis& axis, std::size_t most, bool labelled,
                        double widest) const {
    std::string list;
    for (const ChartTick& tick : ticks(axis, most)) {
      const std::string label =
          axis.names.empty() ? tick.label : fitted(tick.label, widest, tick_size);
      list += (list.empty() ? "" : ", ") + quoted(labelled ? label : "") + " " +
              script_number(tick.at) + (tick.small ? " 1" : "");
    }
    const std::string a = which;
    if (list.empty()) return "unset " + a + "tics\n";
    return "set " + a + "tics nomirror out scale " + script_number(0.6 * unit_) + "," +
           script_number(0.3 * unit_) + " enhanced" + font(tick_size) + " textcolor rgb '" + ink +
           "'\nset " + a + "tics (" + list + ")\n";
  }

  std::size_t x_ticks(const ChartAxis& axis) const {
    double widest = 12;
    for (const ChartTick& tick : ticks(axis, 1000))
      widest = std::max(widest, text_width(tick.label, tick_size));
    if (axis.names.empty()) widest = std::min(widest, 34.0);
    return static_cast<std::size_t>(std::max(2.0, panel_width_ / (widest + 9)));
  }

  std::string frame(std::size_t p) const {
    const ChartPanel& panel = chart_.panels[p];
    const std::size_t row = p / columns();
    const double top = tops_[row], height = heights_[row], x = x_of(p);
    std::string out = "set lmargin at screen " + sx(x) + "\nset rmargin at screen " +
                      sx(x + panel_width_) + "\nset tmargin at screen " + sy(top) +
                      "\nset bmargin at screen " + sy(top + height) + "\n";
    const bool is_map = !panel.cells.empty();
    out += std::string("set border ") + (is_map ? "15" : "3") + " front lw " +
           script_number(0.7 * unit_) + " lc rgb '#404040'\n";
    out += range("x", panel.x) + range("y", panel.y);
    out += tick_list("x", panel.x, x_ticks(panel.x), shows_x(p), panel_width_);
    out += tick_list("y", panel.y, y_ticks(height), p % columns() == 0, names_width_);
    out += is_map ? std::string("unset grid\n")
                  : "set grid xtics ytics lw " + script_number(0.5 * unit_) +
                        " lt 1 lc rgb '#E4E4E4'\n";
    const auto lines = title_lines(p);
    for (std::size_t k = 0; k < lines.size(); ++k)
      out += text(lines[k],
                  "screen " + sx(x) + ", screen " +
                      sy(top - title_gap - 13.5 * static_cast<double>(lines.size() - 1 - k) - 5),
                  panel_title_size, "left noenhanced");
    if (shows_x(p) && !panel.x.label.empty())
      out += text(panel.x.label,
                  "screen " + sx(x + panel_width_ / 2) + ", screen " + sy(top + height + 28),
                  label_size, "center enhanced");
    if (p % columns() == 0 && !panel.y.label.empty())
      out += text(panel.y.label, "screen " + sx(13) + ", screen " + sy(top + height / 2),
                  label_size, "center rotate by 90 enhanced");
    return out;
  }

  bool is_flat(const ChartPanel& panel, const ChartCell& cell) const {
    return panel.scale < 0 || !std::isfinite(cell.value);
  }

  std::string fill(const ChartPanel& panel, const ChartCell& cell) const {
    if (!is_flat(panel, cell))
      return chart_.scales[static_cast<std::size_t>(panel.scale)].colour(cell.value);
    return cell.kind < 0 ? empty_cell : chart_.kinds[static_cast<std::size_t>(cell.kind)].colour;
  }

  // Cells reach under their neighbours to the right and above, which are drawn later: no seams.
  std::string cell_data(const std::string& name, const ChartPanel& panel) const {
    double right = panel.x.low, top = panel.y.low;
    for (const ChartCell& cell : panel.cells) {
      right = std::max(right, cell.right);
      top = std::max(top, cell.top);
    }
    std::vector<const ChartCell*> order;
    for (const ChartCell& cell : panel.cells) order.push_back(&cell);
    std::stable_sort(order.begin(), order.end(), [](const ChartCell* a, const ChartCell* b) {
      return a->bottom != b->bottom ? a->bottom < b->bottom : a->left < b->left;
    });
    const auto beyond = [](bool log, double low, double high) {
      return log ? high * std::pow(high / low, 0.3) : high + 0.3 * (high - low);
    };
    std::string out = "$" + name + " << EOD\n";
    for (const ChartCell* cell : order) {
      const double r = std::min(right, beyond(panel.x.log, cell->left, cell->right));
      const double t = std::min(top, beyond(panel.y.log, cell->bottom, cell->top));
      for (const double number : {cell->x, cell->y, cell->left, r, cell->bottom, t})
        out += script_number(number) + " ";
      out += colour_number(fill(panel, *cell)) + "\n";
    }
    return out + "EOD\n";
  }

  // Marks of the kinds, where a cell is large enough for them.
  std::string mark_data(const std::string& name, const ChartPanel& panel) const {
    std::string out;
    for (const ChartCell& cell : panel.cells) {
      if (cell.kind < 0) continue;
      const ChartKind& kind = chart_.kinds[static_cast<std::size_t>(cell.kind)];
      if (kind.mark == 0 || (!panel.marks_kinds && !is_flat(panel, cell))) continue;
      out += script_number(cell.x) + " " + script_number(cell.y) + " " + std::to_string(kind.mark) +
             " " + colour_number(standing_out_from(fill(panel, cell))) + "\n";
    }
    return out.empty() ? out : "$" + name + " << EOD\n" + out + "EOD\n";
  }

  // The smallest side of the cells in units of the design.
  double smallest_cell(std::size_t p) const {
    const ChartPanel& panel = chart_.panels[p];
    const auto share = [](const ChartAxis& axis, double low, double high) {
      return axis.log ? std::log(high / low) / std::log(axis.high / axis.low)
                      : (high - low) / (axis.high - axis.low);
    };
    double out = 100;
    for (const ChartCell& cell : panel.cells)
      out = std::min({out, panel_width_ * share(panel.x, cell.left, cell.right),
                      heights_[p / columns()] * share(panel.y, cell.bottom, cell.top)});
    return out;
  }

  std::string panel(std::size_t p) const {
    const ChartPanel& panel = chart_.panels[p];
    const std::string id = "p" + std::to_string(p);
    std::string out = "unset label\nunset arrow\nunset object\nunset y2tics\n";
    if (p == 0) out += header() + key();
    out += frame(p);
    std::vector<std::string> plots;
    if (!panel.cells.empty()) {
      out += cell_data(id + "cells", panel);
      plots.push_back("$" + id +
                      "cells using 1:2:3:4:5:6:7 with boxxyerror fillstyle solid 1.0 "
                      "noborder lc rgb variable");
      const double cell = smallest_cell(p);
      const std::string marks = cell < 4 ? "" : mark_data(id + "marks", panel);
      out += marks;
      if (!marks.empty())
        plots.push_back("$" + id + "marks using 1:2:3:4 with points pt variable" +
                        size_of(std::min(0.5, cell / 18)) + " lw " + script_number(0.8 * unit_) +
                        " lc rgb variable");
    }
    for (std::size_t s = 0; s < panel.series.size(); ++s)
      series(panel.series[s], id + "s" + std::to_string(s), out, plots);
    for (const ChartRule& rule : panel.rules)
      out += "set arrow from first " + script_number(rule.x) + ", graph 0 to first " +
             script_number(rule.x) + ", graph 1 nohead front" + width_of(1.3) + " lc rgb '" +
             rule.colour + "'" + dash(rule.stroke) + "\n";
    for (const ChartText& note : panel.texts)
      out += "set label " + quoted(note.text) + " at first " + script_number(note.x) + ", first " +
             script_number(note.y) + (note.dx < 0 ? " right" : " left") +
             " noenhanced offset screen " + script_number(note.dx / design_width) + ", screen " +
             script_number(-note.dy / height_) + font(tick_size) + " textcolor rgb '" +
             note.colour + "' front\n";
    if (plots.empty()) {
      out += "set label 'no values' at graph 0.5, graph 0.5 center" + font(note_size) +
             " textcolor rgb '#808080'\n";
      plots.emplace_back("NaN");
    }
    out += "plot ";
    for (std::size_t k = 0; k < plots.size(); ++k)
      out += (k > 0 ? ", \\\n  " : "") + plots[k] + " notitle";
    return out + "\n";
  }

  void series(const ChartSeries& one, const std::string& name, std::string& data,
              std::vector<std::string>& plots) const {
    if (one.points.empty()) return;
    const std::string colour = " lc rgb '" + one.colour + "'";
    data += "$" + name + " << EOD\n";
    for (const ChartPoint& point : one.points)
      data += script_number(point.x) + " " + script_number(point.y) + " " +
              script_number(point.low) + " " + script_number(point.high) + "\n";
    data += "EOD\n";
    if (one.has_range && one.range_of_x) {
      plots.push_back("$" + name + " using 3:2:($4-$3):(0) with vectors nohead" + width_of(0.9) +
                      colour);
    } else if (one.has_range) {
      std::string band;
      for (const ChartPoint& point : one.points)
        band += std::isfinite(point.low) && std::isfinite(point.high)
                    ? script_number(point.x) + " " + script_number(point.low) + " " +
                          script_number(point.high) + "\n"
                    : "\n";
      data += "$" + name + "band << EOD\n" + band + "EOD\n";
      plots.push_back("$" + name +
                      "band using 1:2:3 with filledcurves fillstyle solid 1.0 "
                      "noborder lc rgb '#C0" +
                      one.colour.substr(1) + "'");
    }
    if (one.stroke != Stroke::none) {
      if (one.halo)
        plots.push_back("$" + name + " using 1:2 with lines" + width_of(one.width + 2) +
                        " lc rgb '#FFFFFF'");
      plots.push_back("$" + name + " using 1:2 with lines" + width_of(one.width) + colour +
                      dash(one.stroke));
    }
    if (one.mark > 0)
      plots.push_back("$" + name + " using 1:2 with points pt " + std::to_string(one.mark) +
                      size_of(one.mark_size) + " lw " + script_number(unit_) + colour);
  }

  std::string bar(std::size_t p) const {
    const ColourScale& scale = chart_.scales[static_cast<std::size_t>(chart_.panels[p].scale)];
    const std::size_t row = p / columns();
    const double left = x_of(p) + panel_width_ + bar_gap, top = tops_[row];
    const double height = heights_[row];
    ChartAxis axis;
    axis.log = scale.log;
    axis.low = scale.low;
    axis.high = scale.high;
    std::string out =
        "unset label\nunset arrow\nunset object\nunset grid\nunset xtics\nunset ytics\n"
        "unset logscale x\nset xrange [0:1]\n" +
        range("y", axis) + range("y2", axis);
    out += "set lmargin at screen " + sx(left) + "\nset rmargin at screen " + sx(left + bar_width) +
           "\nset tmargin at screen " + sy(top) + "\nset bmargin at screen " + sy(top + height) +
           "\n";
    out += tick_list("y2", axis, y_ticks(height), true, bar_ticks);
    if (scale.more_above)
      out += text("▲", "screen " + sx(left + bar_width / 2) + ", screen " + sy(top - 3.5), 6.5,
                  "center noenhanced", scale.colour(scale.high));
    out += "$bar << EOD\n";
    constexpr int steps = 96;
    const auto at = [&](double share) {
      return scale.log ? scale.low * std::pow(scale.high / scale.low, share)
                       : scale.low + share * (scale.high - scale.low);
    };
    for (int k = 0; k < steps; ++k) {
      const double bottom = at(static_cast<double>(k) / steps);
      out += "0.5 " + script_number(bottom) + " 0 1 " + script_number(bottom) + " " +
             script_number(scale.high) + " " + colour_number(scale.colour(at((k + 0.5) / steps))) +
             "\n";
    }
    return out +
           "EOD\nplot $bar using 1:2:3:4:5:6:7 axes x1y1 with boxxyerror fillstyle solid "
           "1.0 noborder lc rgb variable notitle\nunset logscale y2\nunset y2tics\n";
  }

  struct HeaderLine {
    std::string text;
    bool is_title = false;
  };
  struct Place {
    double x = 0, y = 0;
  };

  const Chart& chart_;
  double unit_ = 1;
  bool one_scale_ = false;
  double left_ = 0, step_ = 0, panel_width_ = 0, names_width_ = 0;
  std::vector<HeaderLine> header_;
  std::vector<double> tops_, heights_;  // of the rows
  double end_ = 0, key_height_ = 0, height_ = 0;
  std::vector<KeyEntry> key_;
  std::vector<Place> key_places_;
};

}  // namespace

std::string chart_script(const Chart& chart, const std::string& extension) {
  const Picture picture(chart);
  return picture.script(terminal(extension, chart.width, picture.height()));
}

void draw_chart(const Chart& chart, const std::filesystem::path& out) {
  const std::string extension = out.extension().string();
  if (extension != ".svg" && extension != ".png" && extension != ".pdf")
    throw core::InputError(
        out.string(),
        extension.empty() ? "a name without an extension" : "the extension \"" + extension + "\"",
        "a figure that ends in .svg, .png or .pdf");
  check_figure_path(out);
  run_to_file({"gnuplot", "gnuplot-nox", {"-d"}}, chart_script(chart, extension), out);
}

}  // namespace settle::analysis
