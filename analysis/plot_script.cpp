#include "analysis/plot_script.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string_view>

#include "sim/core/error.hpp"

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
// shorter the axis, the more of their multiples; where hardly any falls on it, equal steps.
std::string short_log_ticks(char which, double bottom, double top) {
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
  const double low = std::pow(10, bottom), high = std::pow(10, top);
  if (std::count(ticks.begin(), ticks.end(), ',') < 2 && top - bottom < 0.8) {
    const double step = round_step((high - low) / 5);
    ticks.clear();
    for (double at = step * std::ceil(low / step); at <= high; at += step)
      ticks += (ticks.empty() ? "" : ", ") + script_number(at);
  }
  const std::string a(1, which);
  return "set " + a + "tics (" + ticks + ")\nset m" + a + "tics 1\nset format " + a + " '%.3g'\n";
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
    const Curve& curve = panel.curves[c];
    if (curve.points.empty()) out += "NaN NaN\n";  // so that the next one keeps its index
    for (const PlotPoint& p : curve.points)
      out += script_number(p.x) + " " + script_number(p.y) + "\n";
  }
  return out + "EOD\n";
}

std::string axis(char which, AxisRange range, bool log, double length, double tick_distance) {
  const std::string a(1, which);
  const double most_ticks = std::max(3.0, length / tick_distance);
  const std::string limits =
      "set " + a + "range [" + script_number(range.low) + ":" + script_number(range.high) + "]\n";
  if (!log)
    return "unset logscale " + a + "\n" + limits + "set " + a + "tics " +
           script_number(round_step((range.high - range.low) / most_ticks)) + "\nset m" + a +
           "tics 1\nset format " + a + (which == 'x' ? " '%.6g'\n" : " '%.4g'\n");
  const double bottom = std::log10(range.low), top = std::log10(range.high);
  const std::string scale = "set logscale " + a + "\n" + limits;
  if (std::floor(top) - std::ceil(bottom) < 1) return scale + short_log_ticks(which, bottom, top);
  const double step = std::max(1.0, std::ceil((top - bottom) / most_ticks));
  return scale + "set " + a + "tics " + script_number(std::pow(10, step)) + "\nset m" + a +
         "tics " + (step == 1 && top - bottom <= 3 ? "10" : "1") + "\nset format " + a +
         " '10^{%T}'\n";
}

std::string y_axis(const Panel& panel, double height) {
  constexpr double tick_height = 22;
  if (panel.y) return axis('y', *panel.y, panel.log_y, height, tick_height);
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Curve& curve : panel.curves)
    for (const PlotPoint& p : curve.points)
      if (std::isfinite(p.y)) {
        low = std::min(low, p.y);
        high = std::max(high, p.y);
      }
  if (low > high) low = panel.log_y ? 0.1 : -1, high = 1;
  if (panel.log_y) {
    double top = std::log10(high) + 0.08, bottom = std::max(std::log10(low) - 0.08, top - 20);
    const double widen = std::max(0.0, 0.4 - (top - bottom)) / 2;
    top += widen;
    bottom -= widen;
    return axis('y', {std::pow(10, bottom), std::pow(10, top)}, true, height, tick_height);
  }
  double pad = 0.06 * (high - low);
  if (!(pad > 1e-12 * std::max(std::abs(low), std::abs(high))))
    pad = std::max(0.05 * std::abs(high), 1e-3);
  return axis('y', {low - pad, high + pad}, false, height, tick_height);
}

std::string picture_extension(const std::filesystem::path& out) {
  const std::string extension = out.extension().string();
  if (extension != ".svg" && extension != ".png" && extension != ".pdf")
    throw core::InputError(
        out.string(),
        extension.empty() ? "a name without an extension" : "the extension \"" + extension + "\"",
        "a figure that ends in .svg, .png or .pdf");
  return extension;
}

std::string terminal(const std::string& extension, double width, double height) {
  const auto size = [](double w, double h, const char* unit) {
    return script_number(w) + unit + "," + script_number(h) + unit;
  };
  const std::string font = " enhanced font 'DejaVu Sans,11' background rgb 'white'\n";
  if (extension == ".svg") return "set terminal svg size " + size(width, height, "") + font;
  if (extension == ".png")
    return "set terminal pngcairo size " + size(2 * width, 2 * height, "") +
           " fontscale 1.5 linewidth 2 pointscale 2" + font;
  return "set terminal pdfcairo size " + size(width / 96, height / 96, "in") +
         " fontscale 0.56 linewidth 1.5" + font;  // of half a point: as wide as an SVG's
}

}  // namespace settle::analysis
