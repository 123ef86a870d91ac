#include "analysis/label_placement.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "analysis/text.hpp"

namespace settle::analysis {

bool LabelPlacement::is_free(const Box& box) const {
  if (box.x - box.half_width < 2 || box.x + box.half_width > width_ - 2 ||
      box.y - box.half_height < 2 || box.y + box.half_height > height_ - 2)
    return false;
  return std::none_of(boxes_.begin(), boxes_.end(), [&](const Box& other) {
    return std::abs(box.x - other.x) < box.half_width + other.half_width &&
           std::abs(box.y - other.y) < box.half_height + other.half_height;
  });
}

int LabelPlacement::covered(const Box& box) const {
  constexpr double radius = 3;
  return static_cast<int>(std::count_if(points_.begin(), points_.end(), [&](const PlotPoint& p) {
    return std::abs(p.x - box.x) < box.half_width + radius &&
           std::abs(p.y - box.y) < box.half_height + radius;
  }));
}

PanelText LabelPlacement::put(const Box& box, const std::string& text, double size) {
  boxes_.push_back(box);
  PanelText out;
  out.x = box.x / width_;
  out.y = box.y / height_;
  out.text = text;
  out.size = size;
  return out;
}

std::optional<PanelText> LabelPlacement::beside(double x, double y, const std::string& text,
                                                double size) {
  const double w = text_width(text, size) / 2 + 3, h = 0.75 * size;
  std::optional<Box> best;
  double least = std::numeric_limits<double>::infinity();
  for (const double distance : {7.0, 14.0, 24.0, 40.0})
    for (const auto& [dx, dy] :
         {std::pair{0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}}) {
      const Box box{x + dx * (w + distance), y + dy * (h + distance), w, h};
      const double cost = covered(box) + 0.05 * distance;
      if (cost < least && is_free(box)) {
        least = cost;
        best = box;
      }
    }
  if (!best) return std::nullopt;
  return put(*best, text, size);
}

std::optional<PanelText> LabelPlacement::among(const std::vector<PlotPoint>& candidates,
                                               const std::string& text, double size) {
  const double w = text_width(text, size) / 2 + 3, h = 0.75 * size;
  std::optional<Box> best;
  double farthest = -1;
  for (const PlotPoint& p : candidates) {
    const Box box{p.x, p.y, w, h};
    if (!is_free(box)) continue;
    double nearest = 120;  // beyond which more room is no better
    for (const Box& other : boxes_)
      nearest = std::min(nearest, std::hypot(p.x - other.x, p.y - other.y));
    for (const PlotPoint& point : points_)
      nearest = std::min(nearest, 1.5 * std::hypot(p.x - point.x, p.y - point.y));
    if (nearest > farthest) {
      farthest = nearest;
      best = box;
    }
  }
  if (!best) return std::nullopt;
  return put(*best, text, size);
}

}  // namespace settle::analysis
