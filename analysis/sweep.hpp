// A study: one run a point of the sweep's axes, and what the linearised circuit predicts of it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "analysis/boundary.hpp"
#include "analysis/measure.hpp"
#include "analysis/sweep_spec.hpp"
#include "sim/io/point_recorder.hpp"
#include "sim/io/sweep_file.hpp"

namespace settle::analysis {

/// What one point came to.
struct PointResult {
  std::size_t point = 0;
  bool interrupted = false;
  std::string failure;  ///< why it could not be run; empty where it was
  Index trials = 0;
  std::vector<core::Quantity> quantities;  ///< outcome, settled_at and every measure asked for
  std::vector<std::pair<std::string, double>> numbers;  ///< steps, rejections, evaluations
  std::unique_ptr<system::OdeSystem> system;            ///< that the trajectories refer to
  std::unique_ptr<io::PointRecorder> trajectories;      ///< where they are kept
};

/// A sweep of one configuration. A point depends on nothing but the configuration and its place, so that
/// it has the same bits in any order, on any number of threads, and after a resume.
class SweepStudy {
 public:
  /// @param file   the configuration with [sweep]
  /// @param base   folder that relative paths are relative to
  /// @param quick  two points an axis
  /// @throws InputError  for a mistake in [sweep], and values that no point could have
  SweepStudy(core::Value file, std::filesystem::path base, bool quick = false);

  const SweepSpec& spec() const { return spec_; }
  std::vector<io::SweepDimension> dimensions() const;

  /// Runs points, those whose circuits have one shape together. What is wrong with one is told in its
  /// result. `go_on` is asked at every step, in several threads at once.
  std::vector<PointResult> run(const std::vector<std::size_t>& points,
                               const std::function<bool()>& go_on) const;
  PointResult run(std::size_t point, const std::function<bool()>& go_on) const {
    return std::move(run(std::vector{point}, go_on).front());
  }

  /// About how many states the circuit of a point has.
  Index states(std::size_t point) const;
  /// The axes along which stability has a boundary: at most two, of numbers that are not whole by nature.
  std::vector<std::size_t> continuous_axes() const;
  /// max Re s by prediction (analysis/prediction.hpp) with numbers in place of the continuous axes' values
  /// and the others as they are at `point`; NaN where there is none. Trial 0.
  double abscissa(std::size_t point, const std::vector<double>& numbers) const;

 private:
  core::Value file_;
  std::filesystem::path base_;
  SweepSpec spec_;
};

/// How well the simulated map agrees with the predicted one.
struct Agreement {
  std::size_t compared = 0;   ///< trials that settled, oscillated or diverged, with a prediction
  std::size_t differing = 0;  ///< of these: they settled though it is unstable, or the reverse
  std::vector<std::size_t> differing_points;  ///< with a trial that differs
  std::size_t undecided = 0;                  ///< trials that did none of the three
  std::string band;                           ///< of the settling times below
  std::size_t times_compared = 0;             ///< trials with both settling times
  std::size_t times_off = 0;                  ///< that differ by more than a factor of 2
  double median_ratio = std::numeric_limits<double>::quiet_NaN();  ///< simulated over predicted
};
Agreement agreement(const io::SweepWriter& file);
Agreement agreement(const io::SweepFile& file);

/// The narrowest of the shares that settling times are of, "1 %"; "" where there is none.
std::string narrowest_share(const core::Quantity& settling_times);

/// The boundary of stability over the continuous axes, for every combination of the others: traced on the
/// grid of the points, divided further where the circuit is small enough. Where `go_on` says no, what
/// comes back is of no use.
struct SweepBoundary {
  std::vector<std::size_t> axes;  ///< one or two; none where there is no boundary to trace
  std::vector<BoundaryPoint> points;
  std::vector<std::size_t> slices;  ///< of each: a point of the sweep with the same other values
  int curves = 0;
};
SweepBoundary trace_boundary(const SweepStudy& study, const io::SweepWriter& file,
                             const std::function<bool()>& go_on);

}  // namespace settle::analysis
