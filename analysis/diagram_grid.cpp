#include "analysis/diagram_grid.hpp"

#include <algorithm>
#include <map>
#include <numeric>

namespace settle::analysis {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

const Box& box(const Scene& scene, int index) { return scene.boxes[at(index)]; }

void find_columns(const Scene& scene, Grid& grid) {
  const auto n = static_cast<int>(scene.boxes.size());
  std::vector<int> root(scene.boxes.size());
  std::iota(root.begin(), root.end(), 0);
  const auto find = [&](int k) {
    while (root[at(k)] != k) k = root[at(k)];
    return k;
  };
  for (const Arrow& arrow : scene.arrows)
    if (arrow.kind == Arrow::Kind::forward) {
      const int a = find(arrow.from), b = find(arrow.to);
      root[at(std::max(a, b))] = std::min(a, b);
    }
  grid.column_of.assign(scene.boxes.size(), -1);
  std::map<int, int> index_of_root;
  for (int k = 0; k < n; ++k) {
    if (is_satellite(box(scene, k))) continue;
    const auto [entry, is_new] =
        index_of_root.emplace(find(k), static_cast<int>(grid.boxes.size()));
    if (is_new) grid.boxes.emplace_back();
    grid.column_of[at(k)] = entry->second;
    grid.boxes[at(entry->second)].push_back(k);
  }
  for (int k = 0; k < n; ++k)
    if (is_satellite(box(scene, k)))
      grid.column_of[at(k)] = grid.column_of[at(box(scene, k).beside)];
}

// Whether a column sends a setpoint to one that has no place yet.
bool waits(const Scene& scene, const Grid& grid, int column, const std::vector<char>& placed) {
  return std::any_of(scene.arrows.begin(), scene.arrows.end(), [&](const Arrow& arrow) {
    return grid.links(scene, arrow) && grid.column_of[at(arrow.from)] == column &&
           !placed[at(grid.column_of[at(arrow.to)])];
  });
}

}  // namespace

bool Grid::links(const Scene& scene, const Arrow& arrow) const {
  return arrow.kind == Arrow::Kind::setpoint && !is_satellite(box(scene, arrow.from)) &&
         column_of[at(arrow.from)] != column_of[at(arrow.to)];
}

Grid arrange(const Scene& scene) {
  Grid grid;
  find_columns(scene, grid);
  const std::size_t n = grid.boxes.size();
  grid.base.assign(n, 0);
  std::vector<char> placed(n, 0);
  while (grid.order.size() < n) {
    int next = -1;
    for (int c = 0; c < static_cast<int>(n) && next < 0; ++c)
      if (!placed[at(c)] && !waits(scene, grid, c, placed)) next = c;
    for (int c = 0; next < 0; ++c)  // setpoints that go round in a circle
      if (!placed[at(c)]) next = c;
    for (const Arrow& arrow : scene.arrows) {
      const int to = grid.column_of[at(arrow.to)];
      if (!grid.links(scene, arrow) || grid.column_of[at(arrow.from)] != next || !placed[at(to)])
        continue;
      const int row = grid.base[at(to)] + box(scene, arrow.to).level;
      grid.base[at(next)] = std::max(grid.base[at(next)], row - box(scene, arrow.from).level);
    }
    placed[at(next)] = 1;
    grid.order.push_back(next);
  }
  return grid;
}

}  // namespace settle::analysis
