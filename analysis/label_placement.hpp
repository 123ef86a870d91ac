// Places for texts in a panel where they cover as little as possible.
#pragma once

#include <optional>
#include <vector>

#include "analysis/plot_script.hpp"

namespace settle::analysis {

/// Lengths in points, from the lower left of a panel of that size.
class LabelPlacement {
 public:
  LabelPlacement(double width, double height) : width_(width), height_(height) {}
  /// A point that is better not covered.
  void avoid(double x, double y) { points_.push_back({x, y}); }
  /// The text, next to that point: in one of eight directions, the nearest that covers least; nullopt where
  /// each is outside of the panel or covers another text.
  std::optional<PanelText> beside(double x, double y, const std::string& text, double size);
  /// The text, in the middle of the candidate that is farthest from all other texts and points;
  /// nullopt where none is free.
  std::optional<PanelText> among(const std::vector<PlotPoint>& candidates, const std::string& text,
                                 double size);

 private:
  struct Box {
    double x, y, half_width, half_height;
  };
  bool is_free(const Box& box) const;
  int covered(const Box& box) const;
  PanelText put(const Box& box, const std::string& text, double size);

  double width_, height_;
  std::vector<PlotPoint> points_;
  std::vector<Box> boxes_;
};

}  // namespace settle::analysis
