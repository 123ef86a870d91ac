#include "analysis/plot_script.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string_view>

namespace settle::analysis {
namespace {

// The smallest of 1, 2 and 5 times a power of ten that is not below.
double round_step(double step) {
  const double power = std::pow(10, std::floor(std::log10(step)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (step <= factor * power * 1.0001) return factor * power;
  return 10 * power;
}

// Where less than two powers of ten stand at a logarithmic axis: 1, 2 and 5 times them, and the
// shorter the axis, the more of their multiples.
std::string short_log_ticks(double bottom, double top) {
  std::string ticks;
  for (double power = std::floor(bottom); power <= top; ++power)
    for (int factor = 1; factor < 10; ++factor) {
      const double at = power + std::log10(factor);
      const double span = top - bottom;
      const bool shown = span < 0.35 || factor == 1 || factor == 2 || factor == 5 ||
                         (span < 0.8 && (factor == 3 || factor == 7));
      if (shown && at >= bottom && at <= top)
        ticks += (ticks.empty() ? "" : ", ") + script_number(std::pow(10, at));
    }
  return "set ytics (" + ticks + ")\nset mytics 1\nset format y '%.3g'\n";
}

}  // namespace

std::string script_number(double value) {
  if (!std::isfinite(value)) return "NaN";
  char text[32];
  std::snprintf(text, sizeof text, "%.7g", value);
  return text;
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'')
      out += "''";
    else
      out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  }
  return out + "'";
}

std::string plain(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\{}^_@&~").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string data_block(const std::string& name, const Panel& panel) {
  std::string out = "$" + name + " << EOD\n";
  for (std::size_t c = 0; c < panel.curves.size(); ++c) {
    if (c > 0) out += "\n\n";
    for (const PlotPoint& p : panel.curves[c].points)
      out += script_number(p.x) + " " + script_number(p.y) + "\n";
  }
  return out + "EOD\n";
}

std::string y_axis(const Panel& panel, double height) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Curve& curve : panel.curves)
    for (const PlotPoint& p : curve.points)
      if (std::isfinite(p.y)) {
        low = std::min(low, p.y);
        high = std::max(high, p.y);
      }
  if (low > high) low = panel.log_y ? 0.1 : -1, high = 1;
  const double most_ticks = std::max(3.0, height / 22);
  if (panel.log_y) {
    double top = std::log10(high) + 0.08, bottom = std::max(std::log10(low) - 0.08, top - 20);
    const double widen = std::max(0.0, 0.4 - (top - bottom)) / 2;
    top += widen;
    bottom -= widen;
    const std::string range = "set logscale y\nset yrange [" + script_number(std::pow(10, bottom)) +
                              ":" + script_number(std::pow(10, top)) + "]\n";
    if (std::floor(top) - std::ceil(bottom) < 1) return range + short_log_ticks(bottom, top);
    const double step = std::max(1.0, std::ceil((top - bottom) / most_ticks));
    return range + "set ytics " + script_number(std::pow(10, step)) + "\nset mytics " +
           (step == 1 && top - bottom <= 3 ? "10" : "1") + "\nset format y '10^{%T}'\n";
  }
  double pad = 0.06 * (high - low);
  if (!(pad > 1e-12 * std::max(std::abs(low), std::abs(high))))
    pad = std::max(0.05 * std::abs(high), 1e-3);
  low -= pad;
  high += pad;
  return "unset logscale y\nset yrange [" + script_number(low) + ":" + script_number(high) +
         "]\nset ytics " + script_number(round_step((high - low) / most_ticks)) +
         "\nset mytics 1\nset format y '%.4g'\n";
}

std::string terminal(const std::string& extension, double width, double height) {
  const auto size = [](double w, double h, const char* unit) {
    return script_number(w) + unit + "," + script_number(h) + unit;
  };
  const std::string font = " enhanced font 'DejaVu Sans,11' background rgb 'white'\n";
  if (extension == ".svg") return "set terminal svg size " + size(width, height, "") + font;
  if (extension == ".png")
    return "set terminal pngcairo size " + size(2 * width, 2 * height, "") +
           " fontscale 1.5 linewidth 2" + font;
  return "set terminal pdfcairo size " + size(width / 96, height / 96, "in") +
         " fontscale 0.56 linewidth 0.75" + font;
}

}  // namespace settle::analysis
