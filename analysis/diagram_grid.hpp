// Columns and rows of a circuit's figure.
#pragma once

#include <vector>

#include "analysis/diagram_scene.hpp"

namespace settle::analysis {

/// What is joined by forward projections is a column; its levels are rows.
struct Grid {
  std::vector<int> column_of;           ///< per box; a setpoint or source has that of its box
  std::vector<std::vector<int>> boxes;  ///< per column, without setpoints and sources
  std::vector<int> base;                ///< per column: the row of its lowest level
  std::vector<int> order;               ///< the columns from the left

  /// Whether an arrow is a setpoint from one column to another.
  bool links(const Scene& scene, const Arrow& arrow) const;
};

/// A column whose state is another one's setpoint stands to the right of it, raised so that the two
/// are at the same height: a chain of loops is a staircase.
Grid arrange(const Scene& scene);

inline bool is_satellite(const Box& box) { return box.beside >= 0; }

}  // namespace settle::analysis
