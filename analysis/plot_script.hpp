// Pieces of a gnuplot script: panels of curves, and the text that draws them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "analysis/plot_data.hpp"

namespace settle::analysis {

/// A line of a panel, and how it is drawn.
struct Curve {
  std::vector<PlotPoint> points;
  std::string style;           ///< "lc rgb '#0072B2' lw 1"
  std::string key;             ///< "" for none
  std::string series = "";     ///< what it is called as data; its key where empty
  std::string with = "lines";  ///< gnuplot's plotting style
};

struct AxisRange {
  double low = 0, high = 1;
};

/// A text in a panel.
struct PanelText {
  double x = 0, y = 0;  ///< of its middle, as a share of the panel from the lower left
  std::string text;
  std::string colour = "#1A1A1A";
  double size = 10;
  std::string box = "";  ///< colour of what is behind it; "" for none
};

struct Panel {
  std::string title;
  std::string symbol;  ///< of the y axis
  bool log_y = false;
  std::vector<Curve> curves;
  std::string name = "";     ///< what it is called as data; its title where empty
  std::string x_label = "";  ///< with its unit
  bool log_x = false;
  std::optional<AxisRange> x = {};  ///< what the axes span; unset: the numbers themselves
  std::optional<AxisRange> y = {};
  double height = 150;        ///< in points
  std::string backdrop = "";  ///< gnuplot's objects and arrows behind the curves
  std::vector<PanelText> texts = {};
};

/// A number as gnuplot reads it; "NaN" where it is not finite.
std::string script_number(double value);

/// A text in gnuplot's single quotes, in which nothing but the quote itself is special.
std::string quoted(const std::string& text);

/// A text in which gnuplot's marks for sub- and superscripts and fonts are themselves.
std::string plain(const std::string& text);

/// `$name`: the panel's curves, one after another.
std::string data_block(const std::string& name, const Panel& panel);

/// Range and ticks of a panel's y axis, which is so many points high.
std::string y_axis(const Panel& panel, double height);

/// The same of the axis 'x' or 'y' for a range that is given (above 0 where it is logarithmic), with
/// a tick every so many points at most.
std::string axis(char which, AxisRange range, bool log, double length, double tick_distance);

/// ".svg", ".png" or ".pdf", of a figure's file. @throws core::InputError  for another
std::string picture_extension(const std::filesystem::path& out);

/// `set terminal` for ".svg", ".png" or ".pdf"; width and height in points.
std::string terminal(const std::string& extension, double width, double height);

}  // namespace settle::analysis
