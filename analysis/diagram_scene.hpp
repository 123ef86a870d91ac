// What stands in a circuit's figure, before it has a place: boxes with their lines, arrows with
// their labels.
#pragma once

#include <string>
#include <vector>

#include "sim/system/circuit.hpp"

namespace settle::analysis {

struct Point {
  double x = 0, y = 0;
};

/// A line of text in a box or beside an arrow.
struct Line {
  enum class Style { name, equation, plain, detail } style = Style::equation;
  std::string text;
};

struct Box {
  enum class Kind { population, controller, setpoint, source } kind = Kind::population;
  std::string name;
  std::vector<Line> lines;
  int level = 0;                 ///< how far up the forward path
  int beside = -1;               ///< the box that a setpoint or source belongs to
  double width = 0, height = 0;  ///< in points
  Point centre;                  ///< y upwards
};

struct Arrow {
  enum class Kind { forward, feedback, recurrent, setpoint, input } kind = Kind::forward;
  int from = 0, to = 0;  ///< boxes
  std::vector<Line> label;
  bool inhibits = false;         ///< a negative gain, negative weights, or negative feedback
  bool identity = false;         ///< weights that are the identity
  double width = 0, height = 0;  ///< of the label, in points
  std::vector<Point> path;       ///< of cubic Bézier pieces: 1 + 3 k points, from tail to tip
  Point label_at;                ///< its centre
};

struct Scene {
  std::vector<Box> boxes;
  std::vector<Arrow> arrows;
};

Scene make_scene(const system::Circuit& circuit);

/// Gives every box and arrow its place.
void lay_out(Scene& scene);

constexpr double font_size(Line::Style style) {
  return style == Line::Style::name ? 13 : style == Line::Style::detail ? 10.5 : 12;
}
double line_height(Line::Style style);

}  // namespace settle::analysis
