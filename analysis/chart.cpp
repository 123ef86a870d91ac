#include "analysis/chart.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/palette.hpp"
#include "analysis/plot_script.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

// What stands at a position of the axis: the number, or what it is called.
std::string coordinate(const ChartAxis& axis, double position) {
  if (axis.names.empty() || !std::isfinite(position)) return csv_number(position);
  const auto last = static_cast<double>(axis.names.size() - 1);
  const double k = std::clamp(std::floor(position), 0.0, last);
  const auto i = static_cast<std::size_t>(k);
  if (axis.numbers.empty()) return axis.names[i];
  const double rest = position - k;
  if (rest == 0 || i + 1 == axis.numbers.size()) return csv_number(axis.numbers[i]);
  return csv_number((1 - rest) * axis.numbers[i] + rest * axis.numbers[i + 1]);
}

// A power of ten, written out.
std::string decade(int power) {
  const std::string zeros(static_cast<std::size_t>(std::abs(power)), '0');
  return power < 0 ? "0." + zeros.substr(1) + "1" : "1" + zeros;
}

std::vector<ChartTick> linear_ticks(double low, double high, std::size_t most) {
  std::vector<ChartTick> out;
  const double rough = (high - low) / static_cast<double>(std::max<std::size_t>(most, 2));
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0})
    if (rough <= factor * power * 1.0001) step = factor * power;
  for (double k = std::ceil(low / step - 1e-9); k <= high / step + 1e-9; ++k)
    out.push_back({k * step, core::brief(k == 0 ? 0 : k * step), false});
  return out;
}

std::vector<ChartTick> log_ticks(double low, double high, std::size_t most) {
  std::vector<ChartTick> out;
  const double bottom = std::log10(low), top = std::log10(high), slack = 1e-6;
  const auto first = static_cast<int>(std::ceil(bottom - slack));
  const auto last = static_cast<int>(std::floor(top + slack));
  const auto add = [&](double at, const std::string& label) {
    if (at >= low * (1 - slack) && at <= high * (1 + slack))
      out.push_back({at, label, label.empty()});
  };
  if (last - first < 1) {
    // Hardly a decade: 1, 2 and 5 times a power of ten, and the shorter it is, the more of them.
    for (int power = first - 1; power <= last + 1; ++power)
      for (int factor = 1; factor < 10; ++factor) {
        const bool shown = factor == 1 || factor == 2 || factor == 5 || top - bottom < 0.35 ||
                           (top - bottom < 0.8 && (factor == 3 || factor == 7));
        const double at = factor * std::pow(10, power);
        add(at, shown ? core::brief(at) : "");
      }
    const auto labelled =
        std::count_if(out.begin(), out.end(), [](const ChartTick& tick) { return !tick.small; });
    return labelled < 2 ? linear_ticks(low, high, std::min<std::size_t>(most, 4)) : out;
  }
  const int step = std::max(
      1,
      static_cast<int>(std::ceil((last - first + 1) / std::max(2.0, static_cast<double>(most)))));
  // 1 is labelled where there is room for others too.
  const int anchor = first <= 0 && last >= 0 && last - first >= 2 * step ? 0 : first;
  const bool decimal = first >= -4 && last <= 4;
  for (int power = first - 1; power <= last; ++power) {
    const double at = std::pow(10, power);
    const bool shown = (power - anchor) % step == 0;
    if (power >= first)
      add(at, !shown ? "" : decimal ? decade(power) : "10^{" + std::to_string(power) + "}");
    if (last - first <= 4)
      for (int factor = 2; factor < 10; ++factor) add(factor * at, "");
  }
  return out;
}

}  // namespace

std::string ColourScale::colour(double value) const {
  if (!std::isfinite(value) || (log && !(value > 0))) return "#FFFFFF";
  double fraction = 0.5;
  if (high > low)
    fraction = log ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return diverging ? blue_to_red(fraction) : viridis(fraction);
}

std::vector<CsvRow> rows(const Chart& chart) {
  std::vector<CsvRow> out;
  for (const ChartPanel& panel : chart.panels) {
    const std::string& name = panel.name.empty() ? panel.title : panel.name;
    const auto add = [&](const std::string& series, double x, double y, const std::string& quantity,
                         const std::string& value) {
      out.push_back({name, series, panel.x.name, coordinate(panel.x, x), panel.y.name,
                     coordinate(panel.y, y), quantity, value});
    };
    for (const ChartCell& cell : panel.cells)
      add(cell.kind < 0 ? "" : chart.kinds[static_cast<std::size_t>(cell.kind)].name, cell.x,
          cell.y, panel.value_name, panel.value_name.empty() ? "" : csv_number(cell.value));
    for (const ChartSeries& series : panel.series)
      for (const ChartPoint& point : series.points) {
        const bool band_alone =
            series.has_range && series.stroke == Stroke::none && series.mark == 0;
        if (!band_alone) add(series.name, point.x, point.y, "", "");
        if (!series.has_range) continue;
        for (const bool lower : {true, false}) {
          const double end = lower ? point.low : point.high;
          add(series.name + (lower ? " (least)" : " (largest)"), series.range_of_x ? end : point.x,
              series.range_of_x ? point.y : end, "", "");
        }
      }
    for (const ChartRule& rule : panel.rules)
      out.push_back({name, rule.name, panel.x.name, coordinate(panel.x, rule.x), "", "", "", ""});
  }
  return out;
}

void fit(ChartAxis& axis, const std::vector<double>& values, double air) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double value : values)
    if (std::isfinite(value) && (!axis.log || value > 0)) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  if (low > high) low = axis.log ? 0.1 : 0, high = 1;
  if (axis.log) {
    const double most = 1e20;  // of the axis' span: rounding errors below are none of the picture
    low = std::max(low, high / most);
    const double factor = std::pow(high / low, air) * (high / low < 2 ? 1.25 : 1.0);
    axis.low = low / factor;
    axis.high = high * factor;
    return;
  }
  double pad = air * (high - low);
  if (!(pad > 1e-12 * std::max(std::abs(low), std::abs(high))))
    pad = std::max(0.05 * std::abs(high), 1e-3);
  axis.low = low - pad;
  axis.high = high + pad;
}

std::vector<double> heights(const ChartPanel& panel, double at_most) {
  std::vector<double> out;
  for (const ChartSeries& series : panel.series)
    for (const ChartPoint& point : series.points) {
      out.push_back(point.y);
      if (!series.has_range) continue;
      out.push_back(point.low);
      out.push_back(point.high);
    }
  for (double& value : out)
    if (value > at_most)
      value = std::isinf(value) ? std::numeric_limits<double>::quiet_NaN() : at_most;
  return out;
}

std::vector<ChartTick> ticks(const ChartAxis& axis, std::size_t most) {
  if (axis.names.empty() && axis.ticks.empty())
    return axis.log ? log_ticks(axis.low, axis.high, most)
                    : linear_ticks(axis.low, axis.high, most);
  std::vector<ChartTick> out;
  if (axis.names.empty())
    for (const double at : axis.ticks) out.push_back({at, core::brief(at), false});
  for (std::size_t k = 0; k < axis.names.size(); ++k)
    out.push_back({static_cast<double>(k), plain(axis.names[k]), false});
  const std::size_t step = (out.size() + most - 1) / std::max<std::size_t>(most, 1);
  for (std::size_t k = 0; k < out.size(); ++k)
    if (k % std::max<std::size_t>(step, 1) != 0) out[k].label = "";
  return out;
}

void draw_chart(const Chart& chart, const std::filesystem::path& out,
                const std::filesystem::path& data) {
  draw_chart(chart, out);
  if (!data.empty()) write_csv(chart.name, rows(chart), data);
}

}  // namespace settle::analysis
