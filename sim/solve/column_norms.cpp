#include "sim/solve/column_norms.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/core/elementary.hpp"

namespace settle::solve {
namespace {

using core::absolute;
using core::lane_count;
using core::Lanes;

static_assert(system::lane_width % lane_count == 0);

double absolute(double x) { return std::abs(x); }
// NaN in b is left out.
template <class V>
V larger(V a, V b) {
  return b > a ? b : a;
}
double sum_of(Lanes v) {
  double sum = 0;
  for (std::ptrdiff_t lane = 0; lane < lane_count; ++lane) sum += v[lane];
  return sum;
}
double largest_of(Lanes v) {
  double most = v[0];
  for (std::ptrdiff_t lane = 1; lane < lane_count; ++lane) most = larger(most, v[lane]);
  return most;
}

using core::load;

// result(column, f) for all columns, where f has been given all units of the column: `begin` makes a
// Fold<V> to which units are added, in each lane one of another column, or of the same.
template <template <class> class Fold, class Inputs, class Result>
void fold(const PanelShape& shape, const Inputs& inputs, const Result& result) {
  if (shape.in_lanes) {
    for (Index c = 0; c < shape.columns; c += lane_count) {
      Fold<Lanes> wide;
      for (Index i = c; i < shape.size(); i += shape.columns) wide.add(inputs, i);
      for (std::ptrdiff_t lane = 0; lane < lane_count; ++lane) result(c + lane, wide.in(lane));
    }
    return;
  }
  for (Index c = 0; c < shape.columns; ++c) {
    const Index end = (c + 1) * shape.units;
    Index i = c * shape.units;
    Fold<Lanes> wide;
    for (; i + lane_count <= end; i += lane_count) wide.add(inputs, i);
    Fold<double> all = wide.folded();
    for (; i < end; ++i) all.add(inputs, i);
    result(c, all);
  }
}

struct ErrorInputs {
  double atol, rtol;
  const double *error, *x, *x_new;
};

template <class V>
struct ErrorFold {
  V largest{}, sum{};  // the sum keeps NaN
  void add(const ErrorInputs& in, Index i) {
    const V size = larger(absolute(load<V>(in.x + i)), absolute(load<V>(in.x_new + i)));
    const V ratio = absolute(load<V>(in.error + i)) / (in.atol + in.rtol * size);
    largest = larger(largest, ratio);
    sum += ratio;
  }
  ErrorFold<double> in(std::ptrdiff_t lane) const { return {largest[lane], sum[lane]}; }
  ErrorFold<double> folded() const { return {largest_of(largest), sum_of(sum)}; }
};

struct MotionInputs {
  const double *x, *dxdt, *taus, *direction;
};

template <class V>
struct MotionFold {
  V residual{}, scale{}, along{};
  V most{}, sum{}, rates{};  // over all units; the sums keep NaN
  void add(const MotionInputs& in, Index i) {
    const V size = absolute(load<V>(in.x + i)), rate = load<V>(in.dxdt + i);
    const V tau = load<V>(in.taus + i);
    residual = larger(residual, absolute(tau * rate));
    scale = larger(scale, tau > 0 ? size : V{});
    along += load<V>(in.direction + i) * rate;
    most = larger(most, size);
    sum += size;
    rates += absolute(rate);
  }
  MotionFold<double> in(std::ptrdiff_t lane) const {
    return {residual[lane], scale[lane], along[lane], most[lane], sum[lane], rates[lane]};
  }
  MotionFold<double> folded() const {
    return {largest_of(residual), largest_of(scale), sum_of(along),
            largest_of(most),     sum_of(sum),       sum_of(rates)};
  }
};

struct StiffnessInputs {
  const double *x, *k, *other_x, *other_k;
};

template <class V>
struct StiffnessFold {
  V apart{}, rates_apart{};
  void add(const StiffnessInputs& in, Index i) {
    const V dx = load<V>(in.x + i) - load<V>(in.other_x + i);
    const V dk = load<V>(in.k + i) - load<V>(in.other_k + i);
    apart += dx * dx;
    rates_apart += dk * dk;
  }
  StiffnessFold<double> in(std::ptrdiff_t lane) const { return {apart[lane], rates_apart[lane]}; }
  StiffnessFold<double> folded() const { return {sum_of(apart), sum_of(rates_apart)}; }
};

}  // namespace

void largest_over_tolerance(const SolverOptions& options, const PanelShape& shape,
                            const double* error, const double* x, const double* x_new,
                            double* ratio) {
  fold<ErrorFold>(shape, ErrorInputs{options.atol, options.rtol, error, x, x_new},
                  [ratio](Index c, const ErrorFold<double>& f) {
                    ratio[c] = std::isfinite(f.sum) ? f.largest : std::nan("");
                  });
}

void measure_motion(const PanelShape& shape, const double* x, const double* dxdt,
                    const double* taus, const double* direction, double limit, Motion* motion) {
  fold<MotionFold>(shape, MotionInputs{x, dxdt, taus, direction},
                   [=](Index c, const MotionFold<double>& f) {
                     motion[c] = {f.residual, f.scale, f.along,
                                  std::isfinite(f.sum) && f.most <= limit, std::isfinite(f.rates)};
                   });
}

void measure_stiffness(const PanelShape& shape, const double* x, const double* k,
                       const double* other_x, const double* other_k, double* ratio) {
  fold<StiffnessFold>(shape, StiffnessInputs{x, k, other_x, other_k},
                      [ratio](Index c, const StiffnessFold<double>& f) {
                        ratio[c] = f.apart > 0 ? std::sqrt(f.rates_apart / f.apart) : 0;
                      });
}

}  // namespace settle::solve
