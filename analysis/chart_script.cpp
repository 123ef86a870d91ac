// The picture of a chart in gnuplot's words.
#include <algorithm>
#include <cmath>

#include "analysis/chart.hpp"
#include "analysis/chart_layout.hpp"
#include "analysis/external.hpp"
#include "analysis/palette.hpp"
#include "analysis/plot_script.hpp"
#include "analysis/text.hpp"
#include "sim/core/error.hpp"

namespace settle::analysis {
namespace {

using namespace chart_design;

std::string dash(Stroke stroke) {
  return stroke == Stroke::dashed   ? " dashtype (7,4)"
         : stroke == Stroke::dotted ? " dashtype (1.5,3)"
                                    : " dashtype 1";
}

class Picture {
 public:
  explicit Picture(const Chart& chart) : chart_(chart), layout_(chart), unit_(layout_.unit()) {}

  double height() const { return layout_.height() * unit_; }

  std::string script(const std::string& terminal) const {
    std::string out = "set encoding utf8\n" + terminal + "unset key\nset multiplot\n";
    for (std::size_t p = 0; p < chart_.panels.size(); ++p) {
      out += panel(p);
      if (layout_.has_bar(p)) out += bar(p);
    }
    return out + "unset multiplot\n";
  }

 private:
  std::string sx(double x) const { return script_number(x / design_width); }
  std::string sy(double y) const { return script_number(1 - y / layout_.height()); }
  std::string font(double size) const { return " font '," + script_number(size * unit_) + "'"; }
  std::string thickness(double width) const { return " lw " + script_number(width * unit_); }
  std::string size_of(double mark) const { return " ps " + script_number(mark * unit_); }

  std::string text(const std::string& label, const std::string& at, double size,
                   const std::string& how, const std::string& colour = ink) const {
    return "set label " + quoted(label) + " at " + at + " " + how + font(size) +
           " textcolor rgb '" + colour + "' front\n";
  }

  std::string header() const {
    std::string out;
    for (const HeaderLine& line : layout_.header()) {
      const std::string at = "screen " + sx(side) + ", screen " + sy(line.y);
      out += line.is_title
                 ? text("{/:Bold " + plain(line.text) + "}", at, title_size, "left enhanced")
                 : text(line.text, at, note_size, "left noenhanced", "#404040");
    }
    return out;
  }

  std::string key() const {
    std::string out;
    for (const KeyEntry& entry : layout_.key()) {
      const double x = entry.x, y = entry.y, middle = x + key_swatch / 2;
      if (!entry.box.empty()) {
        const double half = 6;
        out += "set object rectangle from screen " + sx(middle - half) + ", screen " +
               sy(y + half - 0.5) + " to screen " + sx(middle + half) + ", screen " +
               sy(y - half + 0.5) + " front fillstyle solid 1.0 border lc rgb '#606060'" +
               " fillcolor rgb '" + entry.box + "' lw " + script_number(0.5 * unit_) + "\n";
      }
      const auto line = [&](double width, const std::string& colour, Stroke stroke) {
        return "set arrow from screen " + sx(x) + ", screen " + sy(y) + " to screen " +
               sx(x + key_swatch) + ", screen " + sy(y) + " nohead front" + thickness(width) +
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
    const bool unnamed =
        !axis.names.empty() && std::all_of(axis.names.begin(), axis.names.end(),
                                           [](const std::string& name) { return name.empty(); });
    if (list.empty() || unnamed) return "unset " + a + "tics\n";
    return "set " + a + "tics nomirror out scale " + script_number(0.6 * unit_) + "," +
           script_number(0.3 * unit_) + " enhanced" + font(tick_size) + " textcolor rgb '" + ink +
           "'\nset " + a + "tics (" + list + ")\n";
  }

  std::string frame(std::size_t p) const {
    const ChartPanel& panel = chart_.panels[p];
    const double top = layout_.top(p), height = layout_.height(p), x = layout_.left(p);
    std::string out = "set lmargin at screen " + sx(x) + "\nset rmargin at screen " +
                      sx(x + layout_.width(p)) + "\nset tmargin at screen " + sy(top) +
                      "\nset bmargin at screen " + sy(top + height) + "\n";
    const bool is_map = !panel.cells.empty();
    out += std::string("set border ") + (is_map ? "15" : "3") + " front lw " +
           script_number(0.7 * unit_) + " lc rgb '#404040'\n";
    out += range("x", panel.x) + range("y", panel.y);
    out += tick_list("x", panel.x, layout_.x_ticks(p), layout_.shows_x(p), layout_.width(p));
    out += tick_list("y", panel.y, ChartLayout::y_ticks(panel.y, height), layout_.shows_y(p),
                     layout_.names_width());
    out += is_map ? std::string("unset grid\n")
                  : "set grid xtics ytics lw " + script_number(0.5 * unit_) +
                        " lt 1 lc rgb '#E4E4E4'\n";
    const auto lines = layout_.title_lines(p);
    for (std::size_t k = 0; k < lines.size(); ++k)
      out +=
          text(lines[k],
               "screen " + sx(x) + ", screen " +
                   sy(top - title_gap - title_line * static_cast<double>(lines.size() - 1 - k) - 5),
               panel_title_size, "left noenhanced");
    if (layout_.shows_x(p) && !panel.x.label.empty())
      out += text(panel.x.label,
                  "screen " + sx(x + layout_.width(p) / 2) + ", screen " + sy(top + height + 28),
                  label_size, "center enhanced");
    if (layout_.shows_y(p) && !panel.y.label.empty())
      out += text(panel.y.label,
                  "screen " + sx(layout_.y_label(p)) + ", screen " + sy(top + height / 2),
                  label_size, "center rotate by 90 enhanced");
    return out;
  }

  std::string fill(const ChartPanel& panel, const ChartCell& cell) const {
    if (!is_flat(panel, cell))
      return chart_.scales[static_cast<std::size_t>(panel.scale)].colour(cell.value);
    return cell.kind < 0 ? empty_cell : chart_.kinds[static_cast<std::size_t>(cell.kind)].colour;
  }

  // Cells reach under their neighbours to the right and above, which are drawn later: no seams.
  std::string cell_data(const std::string& name, std::size_t p) const {
    const ChartPanel& panel = chart_.panels[p];
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
    const auto beyond = [](const ChartAxis& axis, double edge, double length) {
      const double part = 0.7 / length;  // of the axis
      return axis.log ? edge * std::pow(axis.high / axis.low, part)
                      : edge + part * (axis.high - axis.low);
    };
    std::string out = "$" + name + " << EOD\n";
    for (const ChartCell* cell : order) {
      const double r = std::min(right, beyond(panel.x, cell->right, layout_.width(p)));
      const double t = std::min(top, beyond(panel.y, cell->top, layout_.height(p)));
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
      out = std::min({out, layout_.width(p) * share(panel.x, cell.left, cell.right),
                      layout_.height(p) * share(panel.y, cell.bottom, cell.top)});
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
      out += cell_data(id + "cells", p);
      plots.push_back("$" + id +
                      "cells using 1:2:3:4:5:6:7 with boxxyerror fillstyle solid 1.0 "
                      "noborder lc rgb variable");
      const double cell = smallest_cell(p);
      const std::string marks = cell < 4 ? "" : mark_data(id + "marks", panel);
      out += marks;
      if (!marks.empty())
        plots.push_back("$" + id + "marks using 1:2:3:4 with points pt variable" +
                        size_of(std::min(0.75, cell / 19)) + " lw " + script_number(0.8 * unit_) +
                        " lc rgb variable");
    }
    std::vector<std::string> lines;
    for (std::size_t s = 0; s < panel.series.size(); ++s)
      series(panel.series[s], panel.y, id + "s" + std::to_string(s), out, plots, lines);
    plots.insert(plots.end(), lines.begin(), lines.end());
    for (const ChartRule& rule : panel.rules)
      out += "set arrow from first " + script_number(rule.x) + ", graph 0 to first " +
             script_number(rule.x) + ", graph 1 nohead front" + thickness(1.3) + " lc rgb '" +
             rule.colour + "'" + dash(rule.stroke) + "\n";
    for (const ChartText& note : panel.texts)
      out += "set label " + quoted(note.text) + " at first " + script_number(note.x) + ", first " +
             script_number(note.y) + (note.dx < 0 ? " right" : " left") +
             " noenhanced offset screen " + script_number(note.dx / design_width) + ", screen " +
             script_number(-note.dy / layout_.height()) + font(tick_size) + " textcolor rgb '" +
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

  // Ranges lie under the lines of all series; one that begins at zero fills a logarithmic axis.
  void series(const ChartSeries& one, const ChartAxis& y, const std::string& name,
              std::string& data, std::vector<std::string>& ranges,
              std::vector<std::string>& lines) const {
    if (one.points.empty()) return;
    const std::string colour = " lc rgb '" + one.colour + "'";
    data += "$" + name + " << EOD\n";
    for (const ChartPoint& point : one.points)
      data += script_number(point.x) + " " + script_number(point.y) + " " +
              script_number(point.low) + " " + script_number(point.high) + "\n";
    data += "EOD\n";
    if (one.has_range && one.range_of_x) {
      ranges.push_back("$" + name + " using 3:2:($4-$3):(0) with vectors nohead" + thickness(0.9) +
                       colour);
    } else if (one.has_range) {
      std::string band;
      for (const ChartPoint& point : one.points)
        band += std::isfinite(point.low) && std::isfinite(point.high)
                    ? script_number(point.x) + " " +
                          script_number(y.log && point.low <= 0 ? y.low : point.low) + " " +
                          script_number(point.high) + "\n"
                    : "\n";
      data += "$" + name + "band << EOD\n" + band + "EOD\n";
      ranges.push_back("$" + name +
                       "band using 1:2:3 with filledcurves fillstyle solid 1.0 "
                       "noborder lc rgb '#C0" +
                       one.colour.substr(1) + "'");
    }
    if (one.stroke != Stroke::none) {
      if (one.halo)
        lines.push_back("$" + name + " using 1:2 with lines" + thickness(one.width + 2) +
                        " lc rgb '#FFFFFF'");
      lines.push_back("$" + name + " using 1:2 with lines" + thickness(one.width) + colour +
                      dash(one.stroke));
    }
    if (one.mark > 0)
      lines.push_back("$" + name + " using 1:2 with points pt " + std::to_string(one.mark) +
                      size_of(one.mark_size) + " lw " + script_number(unit_) + colour);
  }

  std::string bar(std::size_t p) const {
    const ColourScale& scale = chart_.scales[static_cast<std::size_t>(chart_.panels[p].scale)];
    const double left = layout_.left(p) + layout_.width(p) + bar_gap, top = layout_.top(p);
    const double height = layout_.height(p);
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
    out += tick_list("y2", axis, ChartLayout::y_ticks(axis, height), true, bar_ticks);
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

  const Chart& chart_;
  ChartLayout layout_;
  double unit_ = 1;
};

}  // namespace

std::string chart_script(const Chart& chart, const std::string& extension) {
  const Picture picture(chart);
  return picture.script(terminal(extension, chart.width, picture.height()));
}

void draw_chart(const Chart& chart, const std::filesystem::path& out) {
  const std::string extension = picture_extension(out);
  check_figure_path(out);
  run_to_file({"gnuplot", "gnuplot-nox", {"-d"}}, chart_script(chart, extension), out);
}

}  // namespace settle::analysis
