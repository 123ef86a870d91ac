// Places for a circuit's figure. What is joined by forward projections is a column, its levels are rows, and
// a column whose state is another one's setpoint stands to the right of it, raised so that the two are at the
// same height: a chain of loops is a staircase. Within a column the forward path runs on the left and the
// feedback on the right; projections that skip a level run beside the boxes.
#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "analysis/diagram_scene.hpp"

namespace settle::analysis {
namespace {

using Kind = Arrow::Kind;

constexpr double row_gap = 62;       // between boxes one above the other
constexpr double column_gap = 44;    // between columns
constexpr double slot_gap = 40;      // between boxes of one level
constexpr double satellite_gap = 42;  // an arrow's length from a setpoint or source
constexpr double label_gap = 6;
constexpr double lane_gap = 20;      // between a box and what runs beside it
constexpr double corner = 10;        // radius
constexpr double port_gap = 18;      // between arrows on one side of a box

std::size_t at(int index) { return static_cast<std::size_t>(index); }

bool is_satellite(const Box& box) { return box.beside >= 0; }

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

struct Column {
  std::vector<int> boxes;
  int base = 0;           // row of its level 0
  double half_width = 0;  // of its boxes
  double left = 0;        // how far it reaches from its centre, with lanes, labels and satellites
  double right = 0;
  double centre = 0;
};

// How an arrow runs.
enum class Route { vertical, slanted, lane, loop, across, satellite };

class Layout {
 public:
  explicit Layout(Scene& scene) : scene_(scene) {}

  void run() {
    find_columns();
    order_columns();
    place_rows();
    place_slots();
    choose_routes();
    place_ports();
    place_lanes();
    place_columns();
    place_satellites();
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k) draw(k);
  }

 private:
  Box& box(int index) { return scene_.boxes[at(index)]; }
  int row(int index) const {
    return columns_[at(column_of_[at(index)])].base + scene_.boxes[at(index)].level;
  }
  Column& column(int index) { return columns_[at(column_of_[at(index)])]; }

  void find_columns() {
    const std::size_t n = scene_.boxes.size();
    std::vector<int> root(n);
    std::iota(root.begin(), root.end(), 0);
    const auto find = [&](int k) {
      while (root[at(k)] != k) k = root[at(k)];
      return k;
    };
    for (const Arrow& arrow : scene_.arrows)
      if (arrow.kind == Kind::forward) {
        const int a = find(arrow.from), b = find(arrow.to);
        root[at(std::max(a, b))] = std::min(a, b);
      }
    column_of_.assign(n, -1);
    std::map<int, int> index_of_root;
    for (int k = 0; k < static_cast<int>(n); ++k) {
      if (is_satellite(box(k))) continue;
      const auto [entry, is_new] =
          index_of_root.emplace(find(k), static_cast<int>(columns_.size()));
      if (is_new) columns_.emplace_back();
      column_of_[at(k)] = entry->second;
      columns_[at(entry->second)].boxes.push_back(k);
    }
    for (int k = 0; k < static_cast<int>(n); ++k)
      if (is_satellite(box(k))) column_of_[at(k)] = column_of_[at(box(k).beside)];
  }

  // Who receives a setpoint stands to the left of who sends it, and at its height.
  void order_columns() {
    std::vector<char> placed(columns_.size(), 0);
    while (order_.size() < columns_.size()) {
      int next = -1;
      for (int c = 0; c < static_cast<int>(columns_.size()) && next < 0; ++c)
        if (!placed[at(c)] && !waits(c, placed)) next = c;
      for (int c = 0; next < 0; ++c)
        if (!placed[at(c)]) next = c;
      for (const Arrow& arrow : scene_.arrows)
        if (links(arrow) && column_of_[at(arrow.from)] == next &&
            placed[at(column_of_[at(arrow.to)])])
          columns_[at(next)].base =
              std::max(columns_[at(next)].base, row(arrow.to) - box(arrow.from).level);
      placed[at(next)] = 1;
      order_.push_back(next);
    }
  }

  // A setpoint from one column to another.
  bool links(const Arrow& arrow) {
    return arrow.kind == Kind::setpoint && !is_satellite(box(arrow.from)) &&
           column_of_[at(arrow.from)] != column_of_[at(arrow.to)];
  }

  bool waits(int c, const std::vector<char>& placed) {
    return std::any_of(scene_.arrows.begin(), scene_.arrows.end(), [&](const Arrow& arrow) {
      return links(arrow) && column_of_[at(arrow.from)] == c &&
             !placed[at(column_of_[at(arrow.to)])];
    });
  }

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
          c.half_width = std::max(c.half_width, std::abs(b.centre.x) + b.width / 2);
        }
      }
      c.left = c.right = c.half_width;
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
        route = box(arrow.from).centre.x == box(arrow.to).centre.x ? Route::vertical
                                                                   : Route::slanted;
      }
      routes_.push_back(route);
    }
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
    for (auto& [side, meetings] : sides) {
      std::stable_sort(meetings.begin(), meetings.end(), [](const Meeting& a, const Meeting& b) {
        return a.height > b.height;
      });
      const auto n = static_cast<double>(meetings.size());
      const double gap = std::min(port_gap, (box(side.first).height - 16) / std::max(1.0, n - 1));
      for (std::size_t k = 0; k < meetings.size(); ++k) {
        const double offset = ((n - 1) / 2 - static_cast<double>(k)) * gap;
        (meetings[k].at_head ? head_ : tail_)[meetings[k].arrow] = offset;
      }
    }
  }

  // Beside the boxes, shorter ways inside longer ones; how far each column reaches with them.
  void place_lanes() {
    lane_.assign(scene_.arrows.size(), 0);
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k) {
      const Arrow& arrow = scene_.arrows[k];
      Column& c = column(arrow.from);
      if (routes_[k] == Route::vertical) {
        const double reach = offset_of(arrow) + label_gap + arrow.width;
        double& side = on_left(arrow) ? c.left : c.right;
        side = std::max(side, reach);
      } else if (routes_[k] == Route::slanted) {
        double& side = on_left(arrow) ? c.left : c.right;
        side = std::max(side, c.half_width + label_gap + arrow.width / 2);
      } else if (routes_[k] == Route::loop) {
        c.left = std::max(c.left, c.half_width + 34 + label_gap + arrow.width);
      }
    }
    std::vector<std::size_t> lanes;
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k)
      if (routes_[k] == Route::lane) lanes.push_back(k);
    std::stable_sort(lanes.begin(), lanes.end(), [&](std::size_t a, std::size_t b) {
      return span(scene_.arrows[a]) < span(scene_.arrows[b]);
    });
    std::map<std::pair<int, bool>, double> reach;
    for (const std::size_t k : lanes) {
      const Arrow& arrow = scene_.arrows[k];
      const bool left = on_left(arrow);
      Column& c = column(arrow.from);
      double& at_least = reach.try_emplace({column_of_[at(arrow.from)], left}, c.half_width)
                             .first->second;
      // Labels of what runs between the boxes stay clear of the lane.
      double& side = left ? c.left : c.right;
      at_least = std::max(at_least, reaches_beside(arrow, left)) + lane_gap;
      lane_[k] = left ? -at_least : at_least;
      at_least += label_gap + arrow.width;
      side = std::max(side, at_least);
    }
  }

  // How far labels between the boxes reach, in the rows that an arrow passes.
  double reaches_beside(const Arrow& arrow, bool left) {
    double out = 0;
    const int low = std::min(row(arrow.from), row(arrow.to));
    const int high = std::max(row(arrow.from), row(arrow.to));
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k) {
      const Arrow& other = scene_.arrows[k];
      if (routes_[k] != Route::vertical || on_left(other) != left ||
          column_of_[at(other.from)] != column_of_[at(arrow.from)])
        continue;
      const int other_low = std::min(row(other.from), row(other.to));
      if (other_low >= low && other_low < high)
        out = std::max(out, offset_of(other) + label_gap + other.width - 8);
    }
    return out;
  }

  int span(const Arrow& arrow) const { return std::abs(row(arrow.from) - row(arrow.to)); }

  // How far beside the middle an arrow between two boxes runs.
  double offset_of(const Arrow& arrow) {
    return std::min(box(arrow.from).width, box(arrow.to).width) * 0.22;
  }

  void place_columns() {
    // Satellites reach beyond what runs beside the boxes.
    for (int c = 0; c < static_cast<int>(columns_.size()); ++c) {
      double left = 0, right = 0;
      for (std::size_t k = 0; k < scene_.arrows.size(); ++k) {
        if (routes_[k] != Route::satellite || column_of_[at(scene_.arrows[k].to)] != c) continue;
        const double reach = satellite_gap + box(scene_.arrows[k].from).width;
        double& side = on_left(scene_.arrows[k]) ? left : right;
        side = std::max(side, reach);
      }
      Column& column = columns_[at(c)];
      satellite_left_[c] = column.left;
      satellite_right_[c] = column.right;
      if (left > 0) column.left += left;
      if (right > 0) column.right += right;
    }
    double x = 0;
    for (std::size_t k = 0; k < order_.size(); ++k) {
      Column& c = columns_[at(order_[k])];
      if (k > 0) {
        const Column& before = columns_[at(order_[k - 1])];
        x += before.right + link_width(order_[k - 1], order_[k]) + c.left;
      }
      c.centre = x;
    }
    for (Column& c : columns_)
      for (const int b : c.boxes) box(b).centre.x += c.centre;
  }

  // Room between two columns, for what links them.
  double link_width(int left, int right) {
    double width = column_gap;
    for (const Arrow& arrow : scene_.arrows)
      if (links(arrow) && column_of_[at(arrow.to)] == left && column_of_[at(arrow.from)] == right)
        width = std::max(width, arrow.width + 30);
    return width;
  }

  void place_satellites() {
    std::map<std::pair<int, bool>, std::vector<std::size_t>> groups;
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k)
      if (routes_[k] == Route::satellite)
        groups[{scene_.arrows[k].to, on_left(scene_.arrows[k])}].push_back(k);
    for (const auto& [side, members] : groups) {
      const int c = column_of_[at(side.first)];
      const Box& target = box(side.first);
      const bool left = side.second;
      const double reach = (left ? satellite_left_[c] : satellite_right_[c]) + satellite_gap;
      double height = 0;
      for (const std::size_t k : members) height += box(scene_.arrows[k].from).height + 6;
      double middle = 0;
      for (const std::size_t k : members) middle += head_[k] / static_cast<double>(members.size());
      double y = target.centre.y + middle + height / 2;
      for (const std::size_t k : members) {
        Box& satellite = box(scene_.arrows[k].from);
        const double x = reach + satellite.width / 2;
        satellite.centre = {columns_[at(c)].centre + (left ? -x : x),
                            y - satellite.height / 2 - 3};
        y -= satellite.height + 6;
      }
    }
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

  void draw_slanted(std::size_t k) {
    Arrow& arrow = scene_.arrows[k];
    const double shift = (on_left(arrow) ? -1 : 1) * offset_of(arrow);
    const Box& from = box(arrow.from);
    const Box& to = box(arrow.to);
    const double up = to.centre.y > from.centre.y ? 1 : -1;
    const Point start{from.centre.x + shift, from.centre.y + up * from.height / 2};
    const Point end{to.centre.x + shift, to.centre.y - up * to.height / 2};
    const double bend = 0.45 * (end.y - start.y);
    Path path(start);
    path.curve_to({start.x, start.y + bend}, {end.x, end.y - bend}, end);
    arrow.path = std::move(path).points();
    // Beside the tail, where arrows that meet in one box are still apart.
    const double t = 0.3;
    const double w = 3 * t * t - 2 * t * t * t;
    const double away = end.x > start.x ? 1 : -1;
    arrow.label_at = {start.x + w * (end.x - start.x) - away * (label_gap + arrow.width / 2),
                      start.y + 0.42 * (end.y - start.y)};
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
    const double bulge = 40;
    Path path(start);
    path.curve_to({start.x - bulge, start.y + 14}, {end.x - bulge, end.y - 14}, end);
    arrow.path = std::move(path).points();
    arrow.label_at = {start.x - 0.75 * bulge - label_gap - arrow.width / 2,
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
  std::vector<Column> columns_;
  std::vector<int> column_of_;  // per box
  std::vector<int> order_;      // of columns, from the left
  std::vector<Route> routes_;   // per arrow
  std::vector<double> tail_;    // per arrow: where on a side it begins and ends, from the middle
  std::vector<double> head_;
  std::vector<double> lane_;    // per arrow, from the column's centre
  std::map<int, double> satellite_left_, satellite_right_;  // per column: how far the rest reaches
};

}  // namespace

void lay_out(Scene& scene) { Layout(scene).run(); }

}  // namespace settle::analysis
