#include "analysis/rest_approach.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// A measure of one number a trial; NaN where there is none.
double number(const io::ResultFile& result, const std::string& name, std::size_t trial) {
  const core::Quantity* quantity = result.measure(name);
  const auto column = static_cast<Index>(trial);
  if (!quantity || quantity->cells() != 1 || column >= quantity->values.cols()) return nan;
  return quantity->values(0, column);
}

// The phase of which the measures speak: its name ends the long name of slowest_pole.
const io::PhaseInfo* measured_phase(const io::ResultFile& result) {
  const core::Quantity* pole = result.measure("slowest_pole");
  if (!pole) return nullptr;
  const io::PhaseInfo* found = nullptr;
  for (const io::PhaseInfo& phase : result.phases())
    if (pole->long_name.ends_with(" " + phase.name) &&
        (!found || phase.name.size() > found->name.size()))
      found = &phase;
  return found;
}

}  // namespace

double RestApproach::distance_at(double t) const {
  const Index after =
      static_cast<Index>(std::upper_bound(time.begin(), time.end(), t) - time.begin());
  if (after == 0 || after == time.size()) return nan;
  const double share = (t - time[after - 1]) / (time[after] - time[after - 1]);
  return distance[after - 1] * std::pow(distance[after] / distance[after - 1], share);
}

double RestApproach::last_shown() const {
  Index row = time.size() - 1;
  while (row > 0 && std::isnan(distance[row])) --row;
  return time[row];
}

std::optional<RestApproach> rest_approach(const io::ResultFile& result, const ErrorSeries& series,
                                          std::size_t k) {
  const std::size_t trial = series.trials.at(k);
  const double pole = number(result, "slowest_pole", trial);
  const io::PhaseInfo* phase = measured_phase(result);
  if (!phase || !(pole < 0) || !(number(result, "equilibrium_distance", trial) <= 0.01))
    return std::nullopt;

  const VectorXd& time = result.time();
  Index first = 0, last = time.size();
  while (first < time.size() && time[first] < phase->start) ++first;
  while (last > first && time[last - 1] > phase->end) --last;
  // A boundary is recorded at the end of one phase and at the beginning of the next.
  while (first + 1 < last && time[first + 1] == time[first]) ++first;
  const Index rows = last - first;
  if (rows < 3) return std::nullopt;
  const MatrixXd error =
      result.trajectory(series.controller + "_error", trial).middleRows(first, rows);
  const VectorXd value = series.values.col(static_cast<Index>(k)).segment(first, rows);
  if (!error.allFinite()) return std::nullopt;

  RestApproach out;
  out.pole = pole;
  out.time = time.segment(first, rows);
  const VectorXd norm = error.rowwise().norm();
  const VectorXd scale = (norm.array() > 0).select(value.cwiseQuotient(norm), nan);
  out.distance = (error.rowwise() - error.row(rows - 1)).rowwise().norm().cwiseProduct(scale);

  const double end = out.time[rows - 1], decade = std::log(10.0) / -pole;
  const double noise =
      10 * result.number("rtol").value_or(0) * value.array().isNaN().select(0, value).maxCoeff();
  Index shown = 0;  // rows
  for (Index r = 0; r < rows && out.time[r] <= end - decade; ++r)
    if (out.distance[r] > noise) shown = r + 1;
  if (shown < 3) return std::nullopt;
  out.distance.tail(rows - shown).setConstant(nan);

  // Above the distance over its last decade, which is to hold half a turn of a pole that rings.
  const double omega = std::abs(number(result, "slowest_pole_angular_frequency", trial));
  const double stretch = omega > 0 ? std::max(decade, M_PI / omega) : decade;
  const double t0 = out.time[shown - 1];
  double c = 0;
  for (Index r = 0; r < shown; ++r)
    if (out.time[r] >= t0 - stretch && std::isfinite(out.distance[r]))
      c = std::max(c, out.distance[r] * std::exp(-pole * (out.time[r] - t0)));
  if (!(c > 0)) return std::nullopt;
  out.predicted = c * (pole * (out.time.array() - t0)).exp();
  const double least =
      t0 - out.time[0] >= decade ? 0.1 * c : std::numeric_limits<double>::infinity();
  out.predicted = (out.predicted.array() >= least).select(out.predicted, nan);
  for (Index r = 0; r < rows && std::isnan(out.distance[r]); ++r) out.predicted[r] = nan;
  return out;
}

}  // namespace settle::analysis
