#include "analysis/contour.hpp"

#include <array>
#include <cmath>
#include <map>

namespace settle::analysis {
namespace {

// An edge of the grid: from (i, j) to (i, j + 1) or to (i + 1, j).
using Edge = std::array<Index, 3>;  // i, j, 0 for the first

class Squares {
 public:
  Squares(const VectorXd& x, const VectorXd& y, const MatrixXd& z, double level)
      : x_(x), y_(y), z_(z), level_(level) {
    for (Index i = 0; i + 1 < z.rows(); ++i)
      for (Index j = 0; j + 1 < z.cols(); ++j) march(i, j);
  }

  std::vector<std::vector<PlotPoint>> lines() {
    std::vector<std::vector<PlotPoint>> out;
    // Open lines first, from an end of each.
    for (const bool open : {true, false})
      for (auto& [edge, neighbours] : next_)
        if (!neighbours.empty() && (!open || neighbours.size() == 1)) out.push_back(trace(edge));
    return out;
  }

 private:
  bool above(Index i, Index j) const { return z_(i, j) > level_; }

  void march(Index i, Index j) {
    if (!z_.block(i, j, 2, 2).allFinite()) return;
    // Edges of the cell, around it, and the corner where each begins.
    const std::array<Edge, 4> edges = {{{i, j, 0}, {i, j + 1, 1}, {i + 1, j, 0}, {i, j, 1}}};
    const std::array<bool, 4> corners = {above(i, j), above(i, j + 1), above(i + 1, j + 1),
                                         above(i + 1, j)};
    std::array<std::size_t, 4> crossed{};
    std::size_t n = 0;
    for (std::size_t k = 0; k < 4; ++k)
      if (corners[k] != corners[(k + 1) % 4]) crossed[n++] = k;
    if (n == 2) join(edges[crossed[0]], edges[crossed[1]]);
    if (n < 4) return;
    // Each line cuts off the two corners that are on the other side than the middle.
    const bool middle = z_.block(i, j, 2, 2).mean() > level_;
    const std::size_t shift = corners[0] == middle ? 0 : 3;
    join(edges[shift], edges[(shift + 1) % 4]);
    join(edges[(shift + 2) % 4], edges[(shift + 3) % 4]);
  }

  void join(const Edge& a, const Edge& b) {
    next_[a].push_back(b);
    next_[b].push_back(a);
  }

  PlotPoint point(const Edge& edge) const {
    const auto [i, j, vertical] = edge;
    const Index k = vertical ? i + 1 : i, l = vertical ? j : j + 1;
    const double share = (level_ - z_(i, j)) / (z_(k, l) - z_(i, j));
    return {x_[j] + share * (x_[l] - x_[j]), y_[i] + share * (y_[k] - y_[i])};
  }

  std::vector<PlotPoint> trace(Edge at) {
    std::vector<PlotPoint> line = {point(at)};
    while (!next_[at].empty()) {
      const Edge to = next_[at].back();
      next_[at].pop_back();
      std::erase(next_[to], at);
      line.push_back(point(to));
      at = to;
    }
    return line;
  }

  const VectorXd& x_;
  const VectorXd& y_;
  const MatrixXd& z_;
  double level_;
  std::map<Edge, std::vector<Edge>> next_;
};

}  // namespace

std::vector<std::vector<PlotPoint>> contour_lines(const VectorXd& x, const VectorXd& y,
                                                  const MatrixXd& z, double level) {
  return Squares(x, y, z, level).lines();
}

}  // namespace settle::analysis
