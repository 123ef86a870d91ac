// Pieces of a gnuplot script.
#pragma once

#include <string>
#include <vector>

#include "analysis/plot_data.hpp"

namespace settle::analysis {

/// A line of a panel, and how it is drawn.
struct Curve {
  std::vector<PlotPoint> points;
  std::string style;  ///< "lc rgb '#0072B2' lw 1"
  std::string key;    ///< "" for none
};

struct Panel {
  std::string title;
  std::string symbol;  ///< of the y axis
  bool log_y = false;
  std::vector<Curve> curves;
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

/// `set terminal` for ".svg", ".png" or ".pdf"; width and height in points.
std::string terminal(const std::string& extension, double width, double height);

}  // namespace settle::analysis
