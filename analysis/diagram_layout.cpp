// Places for a circuit's figure, column by column. Within a column the forward path runs on the
// left and the feedback on the right; projections that skip a level run beside the boxes.
#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/diagram_grid.hpp"
#include "analysis/diagram_scene.hpp"

namespace settle::analysis {
namespace {

using Kind = Arrow::Kind;

constexpr double row_gap = 62;        // between boxes one above the other
constexpr double column_gap = 44;     // between columns
constexpr double slot_gap = 40;       // between boxes of one level
constexpr double satellite_gap = 42;  // an arrow's length from a setpoint or source
constexpr double label_gap = 6;
constexpr double lane_gap = 20;  // between a box and what runs beside it
constexpr double corner = 10;    // radius
constexpr double loop_bulge = 40;
constexpr double port_gap = 18;  // between arrows on one side of a box

std::size_t at(int index) { return static_cast<std::size_t>(index); }

// Cubic pieces through straight lines and rounded corners.
class Path {
 public:
  explicit Path(Point start) : points_{start} {}
  void line_to(Point end) {
    const Point from = points_.back();
    curve_to({from.x + (end.x - from.x) / 3, from.y + (end.y - from.y) / 3},
             {from.x + 2 * (end.x - from.x) / 3, from.y + 2 * (end.y - from.y) / 3}, end);
  }
  void curve_to(Point a, Point b, Point end) {
    points_.push_back(a);
    points_.push_back(b);
    points_.push_back(end);
  }
  std::vector<Point> points() && { return std::move(points_); }

 private:
  std::vector<Point> points_;
};

// How far a column reaches from its centre, in each band: a row's is 2 · row, that of the gap above
// it the next.
using Reach = std::map<int, double>;

struct Column {
  std::vector<int> boxes;
  int base = 0;  // row of its level 0
  Reach left, right;
  double centre = 0;
};

// How an arrow runs.
enum class Route { vertical, slanted, lane, loop, across, satellite };

class Layout {
 public:
  explicit Layout(Scene& scene)
      : scene_(scene), grid_(arrange(scene)), column_of_(grid_.column_of), order_(grid_.order) {}

  void run() {
    for (std::size_t c = 0; c < grid_.boxes.size(); ++c)
      columns_.push_back({grid_.boxes[c], grid_.base[c], {}, {}, 0});
    place_rows();
    place_slots();
    choose_routes();
    place_ports();
    reach_of_boxes();
    place_lanes();
    place_satellites();
    place_columns();
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k) draw(k);
  }

 private:
  Box& box(int index) { return scene_.boxes[at(index)]; }
  int row(int index) const {
    return columns_[at(column_of_[at(index)])].base + scene_.boxes[at(index)].level;
  }
  Column& column(int index) { return columns_[at(column_of_[at(index)])]; }

  void place_rows() {
    std::map<int, double> heights;
    std::map<int, double> gaps;  // below a row
    std::vector<double> stacks(scene_.boxes.size(), 0);
    for (std::size_t k = 0; k < scene_.boxes.size(); ++k) {
      const Box& b = scene_.boxes[k];
      if (is_satellite(b)) stacks[at(b.beside)] += b.height + 6;
    }
    for (std::size_t k = 0; k < scene_.boxes.size(); ++k) {
      if (is_satellite(scene_.boxes[k])) continue;
      double& height = heights[row(static_cast<int>(k))];
      height = std::max({height, scene_.boxes[k].height, stacks[k]});
    }
    for (const Arrow& arrow : scene_.arrows) {
      if (is_satellite(box(arrow.from))) continue;
      const int low = std::min(row(arrow.from), row(arrow.to));
      const int high = std::max(row(arrow.from), row(arrow.to));
      if (high == low + 1) gaps[high] = std::max(gaps[high], arrow.height + 24);
    }
    double y = 0, previous = 0;
    bool first = true;
    std::map<int, double> centres;
    for (const auto& [r, height] : heights) {
      if (!first) y += previous / 2 + std::max(row_gap, gaps[r]) + height / 2;
      centres[r] = y;
      previous = height;
      first = false;
    }
    for (int k = 0; k < static_cast<int>(scene_.boxes.size()); ++k)
      if (!is_satellite(box(k))) box(k).centre.y = centres[row(k)];
  }

  // Boxes of one level side by side, each as near as may be to what it receives from below.
  void place_slots() {
    for (Column& c : columns_) {
      std::map<int, std::vector<int>> levels;
      for (const int b : c.boxes) levels[box(b).level].push_back(b);
      double width = 0;
      for (const int b : c.boxes) width = std::max(width, box(b).width);
      for (auto& [level, boxes] : levels) {
        std::stable_sort(boxes.begin(), boxes.end(),
                         [&](int a, int b) { return mean_below(a) < mean_below(b); });
        const double step = width + slot_gap;
        const auto n = static_cast<double>(boxes.size());
        for (std::size_t k = 0; k < boxes.size(); ++k) {
          Box& b = box(boxes[k]);
          b.centre.x = (static_cast<double>(k) - (n - 1) / 2) * step;
          if (n == 1) b.width = width;
        }
      }
    }
  }

  double mean_below(int to) {
    double sum = 0;
    int n = 0;
    for (const Arrow& arrow : scene_.arrows)
      if (arrow.kind == Kind::forward && arrow.to == to) {
        sum += box(arrow.from).centre.x;
        ++n;
      }
    return n > 0 ? sum / n : 0;
  }

  void choose_routes() {
    for (const Arrow& arrow : scene_.arrows) {
      Route route = Route::lane;
      if (is_satellite(box(arrow.from))) {
        route = Route::satellite;
      } else if (arrow.from == arrow.to) {
        route = Route::loop;
      } else if (column_of_[at(arrow.from)] != column_of_[at(arrow.to)]) {
        route = Route::across;
      } else if (std::abs(row(arrow.from) - row(arrow.to)) == 1 && !is_twin(arrow)) {
        route =
            box(arrow.from).centre.x == box(arrow.to).centre.x ? Route::vertical : Route::slanted;
      }
      routes_.push_back(route);
    }
    // A side at which slanted arrows end has all its arrows spread.
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t k = 0; k < routes_.size(); ++k) {
        if (routes_[k] != Route::vertical) continue;
        for (std::size_t j = 0; j < routes_.size() && !changed; ++j)
          changed = routes_[j] == Route::slanted && shares_side(scene_.arrows[k], scene_.arrows[j]);
        if (changed) {
          routes_[k] = Route::slanted;
          break;
        }
      }
    }
  }

  // Whether two arrows between neighbouring rows meet at the top or bottom of a box.
  bool shares_side(const Arrow& a, const Arrow& b) {
    const auto low = [&](const Arrow& x) { return row(x.from) < row(x.to) ? x.from : x.to; };
    const auto high = [&](const Arrow& x) { return row(x.from) < row(x.to) ? x.to : x.from; };
    return low(a) == low(b) || high(a) == high(b);
  }

  // Whether an earlier arrow runs the same way already.
  bool is_twin(const Arrow& arrow) const {
    for (const Arrow& other : scene_.arrows) {
      if (&other == &arrow) return false;
      if (other.from == arrow.from && other.to == arrow.to) return true;
    }
    return false;
  }

  bool on_left(const Arrow& arrow) {
    return arrow.kind == Kind::forward || arrow.kind == Kind::recurrent ||
           arrow.kind == Kind::input;
  }

  // Arrows that meet a side of a box share it, the uppermost being those that come from above.
  void place_ports() {
    struct Meeting {
      std::size_t arrow;
      bool at_head;
      double height;  // where it comes from
    };
    std::map<std::pair<int, bool>, std::vector<Meeting>> sides;
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k) {
      const Arrow& arrow = scene_.arrows[k];
      const double from = box(arrow.from).centre.y, to = box(arrow.to).centre.y;
      const auto order = static_cast<double>(k);
      switch (routes_[k]) {
        case Route::loop:
          sides[{arrow.from, true}].push_back({k, false, 1e9});
          sides[{arrow.to, true}].push_back({k, true, 1e9 - 1});
          break;
        case Route::lane:
          sides[{arrow.from, on_left(arrow)}].push_back({k, false, to});
          sides[{arrow.to, on_left(arrow)}].push_back({k, true, from});
          break;
        case Route::satellite:
          sides[{arrow.to, on_left(arrow)}].push_back({k, true, to - order / 1000});
          break;
        case Route::across:
          if (arrow.kind != Kind::setpoint) break;
          sides[{arrow.from, true}].push_back({k, false, to});
          sides[{arrow.to, false}].push_back({k, true, from});
          break;
        default:
          break;
      }
    }
    tail_.assign(scene_.arrows.size(), 0);
    head_.assign(scene_.arrows.size(), 0);
    place_slanted_ports();
    for (auto& [side, meetings] : sides) {
      std::stable_sort(meetings.begin(), meetings.end(),
                       [](const Meeting& a, const Meeting& b) { return a.height > b.height; });
      const auto n = static_cast<double>(meetings.size());
      const double gap = std::min(port_gap, (box(side.first).height - 16) / std::max(1.0, n - 1));
      for (std::size_t k = 0; k < meetings.size(); ++k) {
        const double offset = ((n - 1) / 2 - static_cast<double>(k)) * gap;
        (meetings[k].at_head ? head_ : tail_)[meetings[k].arrow] = offset;
      }
    }
  }

  // Slanted arrows share the top or bottom of a box in the order of where they lead.
  void place_slanted_ports() {
    struct Meeting {
      std::size_t arrow;
      bool at_head;
      double x;
    };
    std::map<std::pair<int, bool>, std::vector<Meeting>> sides;
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k) {
      if (routes_[k] != Route::slanted) continue;
      const Arrow& arrow = scene_.arrows[k];
      const bool up = row(arrow.to) > row(arrow.from);
      const double side = on_left(arrow) ? -1 : 1;
      sides[{arrow.from, up}].push_back({k, false, box(arrow.to).centre.x + side});
      sides[{arrow.to, !up}].push_back({k, true, box(arrow.from).centre.x + side});
    }
    for (auto& [side, meetings] : sides) {
      std::stable_sort(meetings.begin(), meetings.end(),
                       [](const Meeting& a, const Meeting& b) { return a.x < b.x; });
      const auto n = static_cast<double>(meetings.size());
      const double gap = std::min(50.0, 0.8 * box(side.first).width / n);
      for (std::size_t k = 0; k < meetings.size(); ++k)
        (meetings[k].at_head ? head_ : tail_)[meetings[k].arrow] =
            (static_cast<double>(k) - (n - 1) / 2) * gap;
    }
  }

  // ---- How far everything reaches, from its column's centre ----

  static void extend(Reach& reach, int low, int high, double value) {
    for (int band = low; band <= high; ++band)
      reach[band] = std::max(reach.try_emplace(band, value).first->second, value);
  }

  static double furthest(const Reach& reach, int low, int high) {
    double out = 0;
    for (int band = low; band <= high; ++band)
      if (const auto found = reach.find(band); found != reach.end())
        out = std::max(out, found->second);
    return out;
  }

  int low_row(const Arrow& arrow) const { return std::min(row(arrow.from), row(arrow.to)); }
  int high_row(const Arrow& arrow) const { return std::max(row(arrow.from), row(arrow.to)); }
  Reach& reach(const Arrow& arrow) {
    Column& c = column(arrow.to);
    return on_left(arrow) ? c.left : c.right;
  }

  void reach_of_boxes() {
    for (Column& c : columns_)
      for (const int b : c.boxes) {
        const int band = 2 * row(b);
        extend(c.left, band, band, box(b).width / 2 - box(b).centre.x);
        extend(c.right, band, band, box(b).width / 2 + box(b).centre.x);
      }
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k) {
      const Arrow& arrow = scene_.arrows[k];
      const int band = 2 * low_row(arrow);
      if (routes_[k] == Route::vertical) {
        const double x = (on_left(arrow) ? -1 : 1) * box(arrow.from).centre.x;
        extend(reach(arrow), band + 1, band + 1, x + offset_of(arrow) + label_gap + arrow.width);
      } else if (routes_[k] == Route::slanted) {
        const double x = slanted_label(k).x;
        extend(column(arrow.to).left, band + 1, band + 1, arrow.width / 2 - x);
        extend(column(arrow.to).right, band + 1, band + 1, arrow.width / 2 + x);
      } else if (routes_[k] == Route::loop) {
        extend(reach(arrow), band, band, loop_reach(arrow));
      }
    }
  }

  double loop_reach(const Arrow& arrow) {
    const Box& b = box(arrow.from);
    return b.width / 2 - b.centre.x + 0.75 * loop_bulge + label_gap + arrow.width;
  }

  // Beside the boxes, shorter ways inside longer ones.
  void place_lanes() {
    lane_.assign(scene_.arrows.size(), 0);
    std::vector<std::size_t> lanes;
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k)
      if (routes_[k] == Route::lane) lanes.push_back(k);
    std::stable_sort(lanes.begin(), lanes.end(), [&](std::size_t a, std::size_t b) {
      return span(scene_.arrows[a]) < span(scene_.arrows[b]);
    });
    for (const std::size_t k : lanes) {
      const Arrow& arrow = scene_.arrows[k];
      Reach& side = reach(arrow);
      const int low = 2 * low_row(arrow), high = 2 * high_row(arrow);
      const double x = furthest(side, low, high) + lane_gap;
      lane_[k] = on_left(arrow) ? -x : x;
      extend(side, low, high, x + label_gap + arrow.width);
    }
  }

  int span(const Arrow& arrow) const { return high_row(arrow) - low_row(arrow); }

  // How far beside the middle an arrow between two boxes runs.
  double offset_of(const Arrow& arrow) {
    return std::min(box(arrow.from).width, box(arrow.to).width) * 0.22;
  }

  // Setpoints and sources, as near as what else is on that side of the box allows.
  void place_satellites() {
    std::map<std::pair<int, bool>, std::vector<std::size_t>> groups;
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k)
      if (routes_[k] == Route::satellite)
        groups[{scene_.arrows[k].to, on_left(scene_.arrows[k])}].push_back(k);
    for (const auto& [side, members] : groups) {
      const auto [target, left] = side;
      const int band = 2 * row(target);
      Reach& extent = left ? column(target).left : column(target).right;
      double height = 0, width = 0, middle = 0;
      for (const std::size_t k : members) {
        const Box& satellite = box(scene_.arrows[k].from);
        height += satellite.height + 6;
        width = std::max(width, satellite.width);
        middle += head_[k] / static_cast<double>(members.size());
      }
      double near = box(target).width / 2 + (left ? -1 : 1) * box(target).centre.x;
      bool is_far = false;
      // Lanes that end at the box all lead up, or all down; the satellites stand clear of them.
      double lowest_up = 1e9, highest_down = -1e9;
      for (std::size_t k = 0; k < scene_.arrows.size(); ++k) {
        const Arrow& arrow = scene_.arrows[k];
        if (column_of_[at(arrow.to)] != column_of_[at(target)] || on_left(arrow) != left) continue;
        if (routes_[k] == Route::loop && arrow.to == target)
          near = std::max(near, loop_reach(arrow));
        if (routes_[k] != Route::lane) continue;
        if (arrow.from == target || arrow.to == target) {
          const double port = arrow.to == target ? head_[k] : tail_[k];
          const int other = arrow.to == target ? arrow.from : arrow.to;
          if (row(other) > row(target))
            lowest_up = std::min(lowest_up, port);
          else
            highest_down = std::max(highest_down, port);
        } else if (low_row(arrow) <= row(target) && high_row(arrow) >= row(target)) {
          is_far = true;
        }
      }
      is_far = is_far || (lowest_up < 1e9 && highest_down > -1e9);
      if (is_far) {
        near = furthest(extent, band, band);
      } else {
        middle = std::min(middle, lowest_up - height / 2 - 2);
        middle = std::max(middle, highest_down + height / 2 + 2);
      }
      double y = box(target).centre.y + middle + height / 2;
      for (const std::size_t k : members) {
        Box& satellite = box(scene_.arrows[k].from);
        const double x = near + satellite_gap + satellite.width / 2;
        satellite.centre = {left ? -x : x, y - satellite.height / 2 - 3};
        y -= satellite.height + 6;
      }
      extend(extent, band, band, near + satellite_gap + width);
    }
  }

  // Each column as far to the left as those before it allow.
  void place_columns() {
    for (std::size_t k = 0; k < order_.size(); ++k) {
      Column& c = columns_[at(order_[k])];
      double x = -1e9;
      for (std::size_t j = 0; j < k; ++j) {
        const Column& before = columns_[at(order_[j])];
        const double gap = link_width(order_[j], order_[k]);
        for (const auto& [band, right] : before.right)
          if (const auto left = c.left.find(band); left != c.left.end())
            x = std::max(x, before.centre + right + left->second + (band % 2 == 0 ? gap : 24));
      }
      if (x < -1e8) x = k == 0 ? 0 : columns_[at(order_[k - 1])].centre + 200;
      c.centre = x;
      for (int b = 0; b < static_cast<int>(scene_.boxes.size()); ++b)
        if (column_of_[at(b)] == order_[k]) box(b).centre.x += c.centre;
    }
  }

  // Room between two columns, for what links them.
  double link_width(int left, int right) {
    double width = column_gap;
    for (const Arrow& arrow : scene_.arrows)
      if (grid_.links(scene_, arrow) && column_of_[at(arrow.to)] == left &&
          column_of_[at(arrow.from)] == right)
        width = std::max(width, arrow.width + 30);
    return width;
  }

  // ---- Paths ----

  Point side(int index, bool left, double offset) {
    const Box& b = box(index);
    return {b.centre.x + (left ? -b.width / 2 : b.width / 2), b.centre.y + offset};
  }

  void draw(std::size_t k) {
    switch (routes_[k]) {
      case Route::vertical:
        return draw_vertical(k);
      case Route::slanted:
        return draw_slanted(k);
      case Route::lane:
        return draw_lane(k);
      case Route::loop:
        return draw_loop(k);
      case Route::across:
        return draw_across(k);
      case Route::satellite:
        return draw_satellite(k);
    }
  }

  void draw_vertical(std::size_t k) {
    Arrow& arrow = scene_.arrows[k];
    const bool left = on_left(arrow);
    const double x = box(arrow.from).centre.x + (left ? -1 : 1) * offset_of(arrow);
    const double up = box(arrow.to).centre.y > box(arrow.from).centre.y ? 1 : -1;
    const Point start{x, box(arrow.from).centre.y + up * box(arrow.from).height / 2};
    const Point end{x, box(arrow.to).centre.y - up * box(arrow.to).height / 2};
    Path path(start);
    path.line_to(end);
    arrow.path = std::move(path).points();
    arrow.label_at = {x + (left ? -1 : 1) * (label_gap + arrow.width / 2), (start.y + end.y) / 2};
  }

  std::pair<Point, Point> slanted_ends(std::size_t k) {
    const Arrow& arrow = scene_.arrows[k];
    const Box& from = box(arrow.from);
    const Box& to = box(arrow.to);
    const double up = to.centre.y > from.centre.y ? 1 : -1;
    return {{from.centre.x + tail_[k], from.centre.y + up * from.height / 2},
            {to.centre.x + head_[k], to.centre.y - up * to.height / 2}};
  }

  // Beside the middle, clear of the line whatever its slope.
  Point slanted_label(std::size_t k) {
    const Arrow& arrow = scene_.arrows[k];
    const auto [start, end] = slanted_ends(k);
    const double slope = std::abs((end.x - start.x) / (end.y - start.y));
    const double away = label_gap + arrow.width / 2 + slope * arrow.height / 2;
    const double x = (start.x + end.x) / 2;
    bool left = on_left(arrow);
    // Outwards, unless its counterpart runs beside it.
    bool has_counterpart = false;
    for (std::size_t j = 0; j < scene_.arrows.size(); ++j)
      has_counterpart |= routes_[j] == Route::slanted && scene_.arrows[j].from == arrow.to &&
                         scene_.arrows[j].to == arrow.from;
    const double middle = column(arrow.to).centre;
    if (!has_counterpart && std::abs(x - middle) > 20) left = x < middle;
    return {x + (left ? -away : away), (start.y + end.y) / 2};
  }

  void draw_slanted(std::size_t k) {
    Arrow& arrow = scene_.arrows[k];
    const auto [start, end] = slanted_ends(k);
    Path path(start);
    path.line_to(end);
    arrow.path = std::move(path).points();
    arrow.label_at = slanted_label(k);
  }

  void draw_lane(std::size_t k) {
    Arrow& arrow = scene_.arrows[k];
    const bool left = on_left(arrow);
    const Point start = side(arrow.from, left, tail_[k]);
    const Point end = side(arrow.to, left, head_[k]);
    const double x = column(arrow.from).centre + lane_[k];
    const double up = end.y > start.y ? 1 : -1;
    const double out = left ? -1 : 1;
    const double r = std::min(corner, std::abs(end.y - start.y) / 2);
    const double h = 0.45 * r;  // of a quarter circle's control points
    Path path(start);
    path.line_to({x - out * r, start.y});
    path.curve_to({x - out * h, start.y}, {x, start.y + up * h}, {x, start.y + up * r});
    path.line_to({x, end.y - up * r});
    path.curve_to({x, end.y - up * h}, {x - out * h, end.y}, {x - out * r, end.y});
    path.line_to(end);
    arrow.path = std::move(path).points();
    arrow.label_at = {x + out * (label_gap + arrow.width / 2), (start.y + end.y) / 2};
  }

  void draw_loop(std::size_t k) {
    Arrow& arrow = scene_.arrows[k];
    const Point start = side(arrow.from, true, tail_[k] + 3);
    const Point end = side(arrow.to, true, head_[k] - 3);
    Path path(start);
    path.curve_to({start.x - loop_bulge, start.y + 14}, {end.x - loop_bulge, end.y - 14}, end);
    arrow.path = std::move(path).points();
    arrow.label_at = {start.x - 0.75 * loop_bulge - label_gap - arrow.width / 2,
                      (start.y + end.y) / 2};
  }

  void draw_across(std::size_t k) {
    Arrow& arrow = scene_.arrows[k];
    const bool to_left = column(arrow.to).centre < column(arrow.from).centre;
    Point start = side(arrow.from, to_left, tail_[k]);
    const Point end = side(arrow.to, !to_left, head_[k]);
    Path path(start);
    // Level where the two boxes share a height.
    const Box& from = box(arrow.from);
    if (std::abs(end.y - from.centre.y) < from.height / 2 - 8) {
      start.y = end.y;
      path = Path(start);
      path.line_to(end);
      arrow.label_at = {(start.x + end.x) / 2, start.y + 3 + arrow.height / 2};
    } else {
      const double bend = (to_left ? -1 : 1) * std::max(40.0, 0.5 * std::abs(end.x - start.x));
      path.curve_to({start.x + bend, start.y}, {end.x - bend, end.y}, end);
      arrow.label_at = {(start.x + end.x) / 2 + label_gap + arrow.width / 2,
                        (start.y + end.y) / 2 + arrow.height / 2};
    }
    arrow.path = std::move(path).points();
  }

  void draw_satellite(std::size_t k) {
    Arrow& arrow = scene_.arrows[k];
    const bool left = on_left(arrow);
    const Point start = side(arrow.from, !left, 0);
    const Point end = side(arrow.to, left, head_[k]);
    Path path(start);
    const double bend = 0.4 * (end.x - start.x);
    path.curve_to({start.x + bend, start.y}, {end.x - bend, end.y}, end);
    arrow.path = std::move(path).points();
  }

  Scene& scene_;
  const Grid grid_;
  const std::vector<int>& column_of_;  // per box
  const std::vector<int>& order_;      // of columns, from the left
  std::vector<Column> columns_;
  std::vector<Route> routes_;  // per arrow
  std::vector<double> tail_;   // per arrow: where on a side it begins and ends, from the middle
  std::vector<double> head_;
  std::vector<double> lane_;  // per arrow, from the column's centre
};

}  // namespace

void lay_out(Scene& scene) { Layout(scene).run(); }

}  // namespace settle::analysis
