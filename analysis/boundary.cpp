#include "analysis/boundary.hpp"

#include <tbb/parallel_for.h>

#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "analysis/root_finding.hpp"

namespace settle::analysis {
namespace {

using Eigen::Index;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

double between(double a, double b, double s, bool logarithmic) {
  if (s == 0) return a;
  if (s == 1) return b;
  return logarithmic ? std::exp((1 - s) * std::log(a) + s * std::log(b)) : (1 - s) * a + s * b;
}

// An edge between neighbouring points of the grid.
struct GridEdge {
  Index i, j;
  bool along_x;
  auto operator<=>(const GridEdge&) const = default;
};

bool crosses(double a, double b) { return (a < 0 && b >= 0) || (a >= 0 && b < 0); }

class Tracer {
 public:
  Tracer(const PlaneGrid& grid, const PlaneFunction& f) : grid_(grid), f_(f) {}

  std::vector<BoundaryPoint> trace() {
    find_edges();
    if (grid_.y.size() == 1) {
      std::vector<BoundaryPoint> out;
      for (const auto& [edge, point] : zeros_) {
        out.push_back(point);
        out.back().curve = static_cast<int>(out.size()) - 1;
      }
      return out;
    }
    join_cells();
    return curves();
  }

 private:
  double value(Index i, Index j) const { return grid_.values(i, j); }

  // Zeros on all edges whose ends differ in sign.
  void find_edges() {
    std::vector<GridEdge> edges;
    for (Index i = 0; i < grid_.values.rows(); ++i)
      for (Index j = 0; j < grid_.values.cols(); ++j) {
        if (i + 1 < grid_.values.rows() && crosses(value(i, j), value(i + 1, j)))
          edges.push_back({i, j, true});
        if (j + 1 < grid_.values.cols() && crosses(value(i, j), value(i, j + 1)))
          edges.push_back({i, j, false});
      }
    std::vector<BoundaryPoint> points(edges.size());
    tbb::parallel_for(std::size_t{0}, edges.size(),
                      [&](std::size_t k) { points[k] = zero_on(edges[k]); });
    for (std::size_t k = 0; k < edges.size(); ++k) zeros_[edges[k]] = points[k];
  }

  BoundaryPoint zero_on(const GridEdge& e) const {
    const Index i = e.i, j = e.j, k = e.along_x ? i + 1 : i, l = e.along_x ? j : j + 1;
    const auto place = [&](double s) {
      return std::pair{between(grid_.x[at(i)], grid_.x[at(k)], s, grid_.log_x),
                       between(grid_.y[at(j)], grid_.y[at(l)], s, grid_.log_y)};
    };
    const auto along = [&](double s) {
      const auto [x, y] = place(s);
      return f_(x, y);
    };
    const SignChange zero =
        refined_sign_change(along, 0, value(i, j), 1, value(k, l), 1e-10, 1e-12);
    const auto [x, y] = place(zero.found() ? zero.where : 0.5);
    return {x, y, 0};
  }

  // The pairs of zeros that a curve joins inside each cell.
  void join_cells() {
    for (Index i = 0; i + 1 < grid_.values.rows(); ++i)
      for (Index j = 0; j + 1 < grid_.values.cols(); ++j) {
        // Edges of the cell, one after another around it.
        const std::array<GridEdge, 4> around = {
            {{i, j, true}, {i + 1, j, false}, {i, j + 1, true}, {i, j, false}}};
        std::vector<GridEdge> hit;
        for (const GridEdge& edge : around)
          if (zeros_.count(edge)) hit.push_back(edge);
        if (hit.size() == 2) join(hit[0], hit[1]);
        if (hit.size() != 4) continue;
        const double middle = f_(between(grid_.x[at(i)], grid_.x[at(i + 1)], 0.5, grid_.log_x),
                                 between(grid_.y[at(j)], grid_.y[at(j + 1)], 0.5, grid_.log_y));
        const bool with_corner = (middle < 0) == (value(i, j) < 0);
        // The corner (i, j) and the opposite one are joined through the middle, or cut off.
        join(hit[0], with_corner ? hit[1] : hit[3]);
        join(hit[2], with_corner ? hit[3] : hit[1]);
      }
  }

  void join(const GridEdge& a, const GridEdge& b) {
    neighbours_[a].push_back(b);
    neighbours_[b].push_back(a);
  }

  std::vector<BoundaryPoint> curves() {
    std::vector<BoundaryPoint> out;
    std::map<GridEdge, bool> used;
    int curve = 0;
    const auto follow = [&](GridEdge edge) {
      for (std::optional<GridEdge> next = edge; next;) {
        used[*next] = true;
        out.push_back(zeros_.at(*next));
        out.back().curve = curve;
        const GridEdge here = *next;
        next.reset();
        for (const GridEdge& other : neighbours_[here])
          if (!used[other]) {
            next = other;
            break;
          }
      }
    };
    // Open curves from an end; what is left is closed.
    for (const bool open : {true, false})
      for (const auto& [edge, point] : zeros_) {
        if (used[edge] || (open && neighbours_[edge].size() > 1)) continue;
        const std::size_t first = out.size();
        follow(edge);
        if (!open && out.size() > first + 2) out.push_back(out[first]);
        ++curve;
      }
    return out;
  }

  const PlaneGrid& grid_;
  const PlaneFunction& f_;
  std::map<GridEdge, BoundaryPoint> zeros_;
  std::map<GridEdge, std::vector<GridEdge>> neighbours_;
};

std::vector<double> divided(const std::vector<double>& x, int parts, bool logarithmic) {
  std::vector<double> out;
  for (std::size_t k = 0; k < x.size(); ++k)
    for (int p = 0; p < (k + 1 < x.size() ? parts : 1); ++p)
      out.push_back(p == 0 ? x[k]
                           : between(x[k], x[k + 1], static_cast<double>(p) / parts, logarithmic));
  return out;
}

}  // namespace

std::vector<BoundaryPoint> trace_zero(const PlaneGrid& grid, const PlaneFunction& f) {
  return Tracer(grid, f).trace();
}

PlaneGrid refined(const PlaneGrid& grid, int parts, const PlaneFunction& f) {
  PlaneGrid out = grid;
  out.x = divided(grid.x, parts, grid.log_x);
  out.y = divided(grid.y, parts, grid.log_y);
  const auto rows = static_cast<Index>(out.x.size()), cols = static_cast<Index>(out.y.size());
  out.values.resize(rows, cols);
  tbb::parallel_for(Index{0}, rows * cols, [&](Index k) {
    const Index i = k / cols, j = k % cols;
    out.values(i, j) = i % parts == 0 && j % parts == 0 ? grid.values(i / parts, j / parts)
                                                        : f(out.x[at(i)], out.y[at(j)]);
  });
  return out;
}

}  // namespace settle::analysis
