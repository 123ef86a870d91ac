#include "analysis/figure.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/external.hpp"
#include "analysis/text.hpp"
#include "sim/core/error.hpp"

namespace settle::analysis {
namespace {

// All in points.
constexpr double left_margin = 86, right_margin = 24, bottom_margin = 54;
constexpr double row_height = 17;  // of marks and of a panel's head
constexpr double title_height = 20;
constexpr double head_gap = 13;     // above a panel's head
constexpr double axis_height = 42;  // numbers and label of an x axis between two panels
constexpr double sample_width = 22, key_gap = 16, head_size = 11, key_size = 10.5;

struct HeaderLine {
  std::string text;
  bool is_title = false;
};

struct KeyItem {
  const Curve* curve;
  double x = 0;  // from the panel's left
  std::size_t row = 0;
};

/// Title and key above a panel.
struct Head {
  std::vector<std::string> title;  // lines
  std::vector<KeyItem> key;
  std::size_t rows = 1;
};

/// Where a panel's axes stand, from the figure's upper left.
struct Frame {
  double left = 0, top = 0, width = 0, height = 0;
};

double item_width(const Curve& curve) { return sample_width + 6 + text_width(curve.key, key_size); }

// The key stands right of the title where both fit, else in rows of its own below it.
Head head_of(const Panel& panel, double width) {
  Head head;
  double total = 0;
  for (const Curve& curve : panel.curves)
    if (!curve.key.empty()) {
      head.key.push_back({&curve});
      total += item_width(curve) + key_gap;
    }
  if (!panel.title.empty()) head.title = wrapped(panel.title, width, head_size, 2);
  head.rows = std::max<std::size_t>(1, head.title.size());
  if (head.key.empty()) return head;
  const bool beside = text_width(panel.title, head_size) + total <= width;
  double x = beside ? width - total + key_gap : 0;
  std::size_t row = beside ? 0 : head.title.size();
  for (KeyItem& item : head.key) {
    const double own = item_width(*item.curve);
    if (x > 0 && x + own > width) {
      x = 0;
      ++row;
    }
    item.x = x;
    item.row = row;
    x += own + key_gap;
  }
  head.rows = row + 1;
  return head;
}

class Script {
 public:
  Script(const Figure& figure, const std::string& extension)
      : figure_(figure), columns_(std::max<std::size_t>(1, figure.columns)) {
    lay_out();
    out_ = "set encoding utf8\n" + terminal(extension, figure.width, height_) +
           "set border 3 lw 0.8 lc rgb '#404040'\n"
           "set tics nomirror out scale 0.6 textcolor rgb '#202020'\n"
           "set grid xtics ytics lw 0.5 lt 1 lc rgb '#E4E4E4'\n"
           "unset key\nset multiplot\n";
    for (std::size_t k = 0; k < figure.panels.size(); ++k)
      out_ += data_block("panel" + std::to_string(k), figure.panels[k]);
    for (std::size_t k = 0; k < figure.panels.size(); ++k) add_panel(k);
    out_ += "unset multiplot\n";
  }

  const std::string& text() const { return out_; }

 private:
  void lay_out() {
    const double width = figure_.width - 40;
    for (const std::string& line : wrapped(figure_.title, width / 1.13, 15, 3))
      header_.push_back({line, true});
    for (const std::string& note : figure_.notes)
      for (const std::string& line : wrapped(note, width, 11.5, 2))
        header_.push_back({line, false});
    header_height_ = 14;
    for (const HeaderLine& line : header_)
      header_height_ += line.is_title ? title_height : row_height;
    for (const Mark& mark : figure_.marks)
      mark_rows_ = std::max(mark_rows_, static_cast<double>(mark.row + 1));

    const double inner = panel_width(figure_);
    for (const Panel& panel : figure_.panels) heads_.push_back(head_of(panel, inner));
    // What stands between the panels' rows, and what is left to these.
    const std::size_t rows = (figure_.panels.size() + columns_ - 1) / columns_;
    std::vector<double> heads(rows, 0), panels(rows, 0);
    for (std::size_t k = 0; k < figure_.panels.size(); ++k) {
      heads[k / columns_] = std::max(heads[k / columns_],
                                     row_height * static_cast<double>(heads_[k].rows) + head_gap);
      panels[k / columns_] = std::max(panels[k / columns_], figure_.panels[k].height);
    }
    double fixed = header_height_ + row_height * mark_rows_ - 6 + bottom_margin, asked = 0;
    for (std::size_t r = 0; r < rows; ++r) {
      fixed += heads[r] + (r > 0 && !figure_.shared_x ? axis_height : 0);
      asked += panels[r];
    }
    height_ = figure_.height > 0 ? figure_.height : fixed + asked;
    const double stretch = std::max(20 * static_cast<double>(rows), height_ - fixed) / asked;
    double top = header_height_ + row_height * mark_rows_ - 6;
    for (std::size_t r = 0; r < rows; ++r) {
      top += heads[r] + (r > 0 && !figure_.shared_x ? axis_height : 0);
      for (std::size_t c = 0; c < columns_ && r * columns_ + c < figure_.panels.size(); ++c)
        frames_.push_back(
            {left_margin + static_cast<double>(c) * (inner + left_margin + right_margin), top,
             inner, stretch * panels[r]});
      top += stretch * panels[r];
    }
  }

  std::string screen(double x, double y) const {
    return "screen " + script_number(x / figure_.width) + ", screen " +
           script_number(1 - y / height_);
  }

  void add_header() {
    double y = 14;
    for (const HeaderLine& line : header_) {
      y += line.is_title ? title_height : row_height;
      out_ += "set label " +
              (line.is_title ? quoted("{/:Bold " + plain(line.text) + "}") : quoted(line.text)) +
              " at " + screen(20, y - 8) + " left " +
              (line.is_title ? "enhanced font ',15'" : "noenhanced font ',11.5'") +
              " textcolor rgb '#1A1A1A'\n";
    }
    for (const Mark& mark : figure_.marks)
      out_ += "set label " + quoted(mark.text) + " at " +
              screen(left_margin + mark.at, y + 12 + row_height * (mark_rows_ - 1 - mark.row)) +
              " center noenhanced font ',10.5' textcolor rgb '#404040'\n";
  }

  void add_head(const Head& head, const Frame& frame) {
    const auto y = [&](std::size_t row) {
      return frame.top - 11 - row_height * static_cast<double>(head.rows - 1 - row);
    };
    for (std::size_t k = 0; k < head.title.size(); ++k)
      out_ += "set label " + quoted(head.title[k]) + " at " + screen(frame.left, y(k)) +
              " left noenhanced font ',11' textcolor rgb '#1A1A1A'\n";
    for (const KeyItem& item : head.key) {
      const double x = frame.left + item.x, middle = y(item.row);
      if (item.curve->with.starts_with("points"))
        out_ += "set label '' at " + screen(x + sample_width / 2 + 3, middle) + " point " +
                item.curve->style + " front\n";
      else
        out_ += "set arrow from " + screen(x, middle) + " to " + screen(x + sample_width, middle) +
                " nohead front " + item.curve->style + "\n";
      out_ += "set label " + quoted(item.curve->key) + " at " +
              screen(x + sample_width + 6, middle) +
              " left noenhanced font ',10.5' textcolor rgb '#1A1A1A'\n";
    }
  }

  // A label's style for a box of that colour, which is defined when it is first met.
  std::string box(const std::string& colour) {
    if (colour.empty()) return "";
    const auto known = std::find(boxes_.begin(), boxes_.end(), colour);
    const std::string number = std::to_string(known - boxes_.begin() + 1);
    if (known == boxes_.end()) {
      boxes_.push_back(colour);
      out_ += "set style textbox " + number + " opaque margins 0.5,0.5 fillcolor rgb '" + colour +
              "' noborder\n";
    }
    return " boxed bs " + number;
  }

  AxisRange x_range(const Panel& panel) const {
    if (panel.x) return *panel.x;
    AxisRange range{std::numeric_limits<double>::infinity(),
                    -std::numeric_limits<double>::infinity()};
    for (const Curve& curve : panel.curves)
      for (const PlotPoint& p : curve.points)
        if (std::isfinite(p.x) && (!panel.log_x || p.x > 0)) {
          range.low = std::min(range.low, p.x);
          range.high = std::max(range.high, p.x);
        }
    if (!(range.low <= range.high)) return panel.log_x ? AxisRange{0.1, 1} : AxisRange{-1, 1};
    if (range.low < range.high) return range;
    if (panel.log_x) return {range.low / 2, range.high * 2};
    const double pad = range.low == 0 ? 1 : 0.1 * std::abs(range.low);
    return {range.low - pad, range.high + pad};
  }

  void add_panel(std::size_t k) {
    const Panel& panel = figure_.panels[k];
    const Frame& frame = frames_[k];
    out_ += "unset label\nunset arrow\nunset object\n";
    if (k == 0) add_header();
    out_ += panel.backdrop;
    out_ += "set lmargin at screen " + script_number(frame.left / figure_.width) +
            "\nset rmargin at screen " + script_number((frame.left + frame.width) / figure_.width) +
            "\nset tmargin at screen " + script_number(1 - frame.top / height_) +
            "\nset bmargin at screen " + script_number(1 - (frame.top + frame.height) / height_) +
            "\n";
    add_head(heads_[k], frame);
    out_ += "set label " + quoted(panel.symbol) + " at " +
            screen(frame.left - 70, frame.top + frame.height / 2) +
            " center rotate by 90 noenhanced font ',12' textcolor rgb '#1A1A1A'\n";
    for (const PanelText& text : panel.texts) {
      const std::string style = box(text.box);
      out_ += "set label " + quoted(text.text) + " at graph " + script_number(text.x) + ", graph " +
              script_number(text.y) + " center front" + style + " noenhanced font '," +
              script_number(text.size) + "' textcolor rgb '" + text.colour + "'\n";
    }
    const bool is_lowest = !figure_.shared_x || k + columns_ >= figure_.panels.size();
    out_ += axis('x', x_range(panel), panel.log_x, frame.width, 50);
    out_ += is_lowest ? "set xlabel " + quoted(panel.x_label) +
                            " noenhanced font ',12' offset character 0,0.35\n"
                      : std::string("unset xlabel\nset format x ''\n");
    out_ += y_axis(panel, frame.height);
    out_ += "plot ";
    for (std::size_t c = 0; c < panel.curves.size(); ++c) {
      const Curve& curve = panel.curves[c];
      out_ += std::string(c > 0 ? ", \\\n  " : "") + "$panel" + std::to_string(k) + " index " +
              std::to_string(c) + " using 1:2 with " + curve.with + " " + curve.style + " notitle";
    }
    out_ += panel.curves.empty() ? "NaN notitle\n" : "\n";
  }

  const Figure& figure_;
  std::size_t columns_;
  std::vector<HeaderLine> header_;
  std::vector<Head> heads_;
  std::vector<Frame> frames_;
  double header_height_ = 0, mark_rows_ = 0, height_ = 0;
  std::vector<std::string> boxes_;  // colours
  std::string out_;
};

}  // namespace

double panel_width(double width, std::size_t columns) {
  const auto n = static_cast<double>(std::max<std::size_t>(1, columns));
  return width / n - left_margin - right_margin;
}

std::vector<CsvRow> rows(const Figure& figure) {
  std::vector<CsvRow> out;
  for (const Panel& panel : figure.panels)
    for (const Curve& curve : panel.curves)
      for (const PlotPoint& p : curve.points)
        out.push_back({panel.name.empty() ? panel.title : panel.name,
                       curve.series.empty() ? curve.key : curve.series, panel.x_label,
                       csv_number(p.x), panel.symbol, csv_number(p.y), "", ""});
  return out;
}

void draw(const Figure& figure, const std::filesystem::path& out) {
  const std::string extension = picture_extension(out);
  check_figure_path(out);
  const Script script(figure, extension);
  run_to_file({"gnuplot", "gnuplot-nox", {"-d"}}, script.text(), out);
}

}  // namespace settle::analysis
