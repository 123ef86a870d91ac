#include "analysis/chart_layout.hpp"

#include <cmath>
#include <set>

#include "analysis/palette.hpp"
#include "analysis/text.hpp"

namespace settle::analysis {

using namespace chart_design;

bool is_flat(const ChartPanel& panel, const ChartCell& cell) {
  return panel.scale < 0 || cell.flat || !std::isfinite(cell.value);
}

ChartLayout::ChartLayout(const Chart& chart) : chart_(chart), unit_(chart.width / design_width) {
  collect_key();
  place_columns();
  place_rows();
}

// ---- Panels ----

void ChartLayout::place_columns() {
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
  for (std::size_t p = 0; p < chart_.panels.size(); p += chart_.own_heights ? 1 : columns()) {
    const ChartPanel& panel = chart_.panels[p];
    for (const ChartTick& tick : ticks(panel.y, y_ticks(panel.y, panel.height)))
      labels =
          std::max(labels, panel.y.names.empty() ? std::min(40.0, text_width(tick.label, tick_size))
                                                 : text_width(tick.label, tick_size));
    labelled = labelled || !panel.y.label.empty();
  }
  names_width_ = std::min(labels, 0.34 * design_width);
  left_ = 8 + names_width_ + 9 + (labelled ? 19 : 0);
  double shares = 0;
  for (std::size_t c = 0; c < columns(); ++c) shares += share(c);
  const auto n = static_cast<double>(columns());
  const double bar_areas = !bars ? 0 : one_scale_ ? bar_area : n * bar_area;
  const double gap = chart_.own_heights ? left_ + 6 : column_gap;
  const double room = design_width - left_ - side - bar_areas - (n - 1) * gap;
  double x = left_;
  for (std::size_t c = 0; c < columns(); ++c) {
    xs_.push_back(x);
    widths_.push_back(room * share(c) / shares);
    x += widths_.back() + gap + (bars && !one_scale_ ? bar_area : 0);
  }
  xs_.push_back(x);
}

// Of the row's width: as the first row has it.
double ChartLayout::share(std::size_t column) const {
  return column < chart_.panels.size() ? chart_.panels[column].share : 1;
}

std::size_t ChartLayout::y_ticks(const ChartAxis& axis, double height) {
  return static_cast<std::size_t>(std::max(2.0, height / (axis.names.empty() ? 21 : 12)));
}

std::size_t ChartLayout::x_ticks(std::size_t p) const {
  const ChartAxis& axis = chart_.panels[p].x;
  double widest = 12;
  for (const ChartTick& tick : ticks(axis, 1000))
    widest = std::max(widest, text_width(tick.label, tick_size));
  if (axis.names.empty()) widest = std::min(widest, 34.0);
  return static_cast<std::size_t>(std::max(2.0, width(p) / (widest + 9)));
}

bool ChartLayout::shows_x(std::size_t p) const {
  const std::size_t below = p + columns();
  if (below >= chart_.panels.size()) return true;
  const ChartAxis &here = chart_.panels[p].x, &there = chart_.panels[below].x;
  return here.name != there.name || here.low != there.low || here.high != there.high;
}

std::vector<std::string> ChartLayout::title_lines(std::size_t p) const {
  if (chart_.panels[p].title.empty()) return {};
  return wrapped(chart_.panels[p].title,
                 std::min(xs_[p % columns() + 1], design_width) - left(p) - 9, panel_title_size, 3);
}

void ChartLayout::place_rows() {
  for (const std::string& line :
       wrapped(chart_.title, (design_width - 2 * side) / 1.13, title_size, 3))
    header_.push_back({line, true});
  for (const std::string& note : chart_.notes)
    for (const std::string& line : wrapped(note, design_width - 2 * side, note_size, 3))
      header_.push_back({line, false, 0});
  double y = 8;
  for (HeaderLine& line : header_) {
    y += line.is_title ? 18 : 14.5;
    line.y = y - 7;
  }
  y += 6;
  double asked = 0;
  for (std::size_t p = 0; p < chart_.panels.size(); p += columns()) {
    double most = 0;
    for (std::size_t q = p; q <= last_in_row(p); ++q)
      most = std::max(most, chart_.panels[q].height);
    asked += most;
    heights_.push_back(most);
  }
  const double fixed = place(y);
  if (chart_.height > 0) {
    const double factor = std::max(0.2, (chart_.height / unit_ - fixed) / asked);
    for (double& one : heights_) one *= factor;
    place(y);
  }
}

// Tops of the rows for their heights; what is left when those are taken away.
double ChartLayout::place(double y) {
  tops_.clear();
  double panels = 0;
  for (std::size_t row = 0; row < heights_.size(); ++row) {
    const std::size_t p = row * columns();
    std::size_t lines = 0;
    double below = 11;
    for (std::size_t q = p; q <= last_in_row(p); ++q) {
      lines = std::max(lines, title_lines(q).size());
      if (shows_x(q)) below = std::max(below, chart_.panels[q].x.label.empty() ? 22.0 : 37.0);
    }
    y += lines == 0 ? 0 : title_line * static_cast<double>(lines) + title_gap;
    tops_.push_back(y);
    y += heights_[row] + below;
    panels += heights_[row];
  }
  height_ = place_key(y) + 4;
  return height_ - panels;
}

// ---- The key ----

void ChartLayout::add_key(KeyEntry entry) {
  const bool known = std::any_of(key_.begin(), key_.end(),
                                 [&](const KeyEntry& k) { return k.name == entry.name; });
  if (!known) key_.push_back(std::move(entry));
}

void ChartLayout::collect_key() {
  for (const ChartPanel& panel : chart_.panels)
    for (const ChartSeries& series : panel.series)
      if (series.in_key && !series.name.empty() && series.stroke == Stroke::none &&
          series.mark == 0)
        add_key({.name = series.name, .box = band_colour});
      else if (series.in_key && !series.name.empty())
        add_key({.name = series.name,
                 .mark = series.mark,
                 .mark_size = series.mark_size,
                 .colour = series.colour,
                 .stroke = series.stroke,
                 .width = series.width});
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

namespace {

double key_width(const KeyEntry& entry) {
  return key_swatch + 6 + text_width(entry.name, key_size) + key_gap;
}

}  // namespace

// Its end. Beside the last panel where there is room for a list, else in lines below all.
double ChartLayout::place_key(double y) {
  if (key_.empty()) return y;
  const std::size_t last = chart_.panels.size() - 1;
  double widest = 0;
  for (const KeyEntry& entry : key_) widest = std::max(widest, key_width(entry) - key_gap);
  const double free_left = xs_[last % columns() + 1] + (one_scale_ ? bar_area : 0) + 6;
  const double list = key_row * static_cast<double>(key_.size());
  if (last % columns() + 1 < columns() && widest <= design_width - side - free_left &&
      list <= heights_.back() + 20) {
    for (std::size_t k = 0; k < key_.size(); ++k) {
      key_[k].x = free_left;
      key_[k].y = tops_.back() + key_row * (static_cast<double>(k) + 0.5);
    }
    return y;
  }
  double x = left_;
  y += 4 + key_row / 2;
  for (KeyEntry& entry : key_) {
    entry.name = fitted(entry.name, design_width - side - left_ - key_swatch - 6, key_size);
    const double width = key_width(entry);
    if (x > left_ && x + width - key_gap > design_width - side) {
      x = left_;
      y += key_row;
    }
    entry.x = x;
    entry.y = y;
    x += width;
  }
  return y + key_row / 2 + 4;
}

}  // namespace settle::analysis
