#include "learning/linearised_rest.hpp"

#include <tbb/parallel_for.h>

#include <cmath>
#include <vector>

namespace settle::learning {
namespace {

constexpr double lost_digits = 1e-8;

// A column of the slopes: the units through which anything passes.
struct Open {
  std::vector<Index> units;
  VectorXd slope;
};

Open open_units(const Eigen::Ref<const VectorXd>& slope) {
  Open out;
  for (Index i = 0; i < slope.size(); ++i)
    if (slope[i] != 0) out.units.push_back(i);
  out.slope = slope(out.units);
  return out;
}

// B (W D B − I/G)⁻¹ y
VectorXd rest_by_control(const MatrixXd& w, const MatrixXd& b, const Open& open,
                         double inverse_gain, const VectorXd& y) {
  const MatrixXd seen = w(Eigen::all, open.units) * open.slope.asDiagonal();
  const MatrixXd driven = b(open.units, Eigen::all);
  return b * rest_control(seen, driven, inverse_gain, y);
}

// (B W D − I/G)⁻¹ B y; nothing where that is singular.
std::optional<VectorXd> rest_by_units(const MatrixXd& bw, const Open& open, double inverse_gain,
                                      const VectorXd& by) {
  MatrixXd m = bw(open.units, open.units) * open.slope.asDiagonal();
  m.diagonal().array() -= inverse_gain;
  const auto part = core::solve_linear(m, by(open.units));
  if (!part) return std::nullopt;
  VectorXd r = *part;
  if (r.size() == by.size()) return r;
  VectorXd all = -by;
  for (std::size_t k = 0; k < open.units.size(); ++k) {
    const auto i = static_cast<Index>(k);
    all += (open.slope[i] * r[i]) * bw.col(open.units[k]);
  }
  all /= inverse_gain;
  all(open.units) = r;
  return all;
}

}  // namespace

MatrixXd rest_control(const MatrixXd& w, const MatrixXd& b, double inverse_gain,
                      const MatrixXd& y) {
  MatrixXd m = w * b;
  m.diagonal().array() -= inverse_gain;
  const auto x = core::solve_linear(m, y);
  return x ? *x : MatrixXd(core::pseudoinverse(m) * y);
}

MatrixXd linearised_rest(const MatrixXd& w, const MatrixXd& b, const MatrixXd& slope,
                         const VectorXd& inverse_gain, const MatrixXd& y) {
  const Index inputs = w.cols(), count = y.cols();
  const auto outputs = static_cast<double>(w.rows());
  std::vector<Open> open(static_cast<std::size_t>(count));
  const auto is_smaller = [&](const Open& of) {
    const auto n = static_cast<double>(of.units.size());
    return n * n * n / 3 < outputs * outputs * (n + outputs / 3);
  };
  bool any = false;
  for (Index c = 0; c < count; ++c) {
    Open& own = open[static_cast<std::size_t>(c)] = open_units(slope.col(c));
    any = any || is_smaller(own);
  }
  MatrixXd bw, by;
  if (any) {
    bw.noalias() = b * w;
    by.noalias() = b * y;
  }
  const double size = bw.norm();

  MatrixXd r(inputs, count);
  tbb::parallel_for(Index{0}, count, [&](Index c) {
    const Open& own = open[static_cast<std::size_t>(c)];
    const double g = inverse_gain[inverse_gain.size() == 1 ? 0 : c];
    if (std::isinf(g)) return r.col(c).setZero(), void();
    std::optional<VectorXd> found;
    if (is_smaller(own) && (own.slope.size() == inputs ||
                            std::abs(g) > lost_digits * size * own.slope.lpNorm<Eigen::Infinity>()))
      found = rest_by_units(bw, own, g, by.col(c));
    r.col(c) = found ? *found : rest_by_control(w, b, own, g, y.col(c));
  });
  return r;
}

}  // namespace settle::learning
