// The time at which a decaying trial comes to rest.
#pragma once

#include <span>
#include <vector>

#include "sim/solve/decay.hpp"
#include "sim/solve/settling.hpp"

namespace settle::solve {

/// The way to the last time at which a trial's residual passes the tolerance: backwards from a time since
/// which bounds show it below (some times at once), then within a bracket. It asks for residuals at times,
/// and goes on when it hears them.
class RestSearch {
 public:
  using Residual = SettlingMonitor::Residual;
  struct Point {
    double t = 0;
    Residual residual;
  };

  /// A trial that is at rest at `end`, and stays so within the segment.
  /// @param begin   of the segment, where the relative residual is `at_begin`
  /// @param slowest  largest τ of the circuit: ‖T ẋ‖∞ is at most that times the speed
  RestSearch(const Decay& decay, double begin, double at_begin, const Point& end, double tolerance,
             double slowest);

  /// The times at which residuals are wanted next; none where it is over.
  const std::vector<double>& ask();
  void hear(std::span<const Residual> found);
  /// Of the speed: what adds far less than that changes nothing.
  double limit() const { return limit_; }

  /// Whether it found no last passage where there may be one.
  bool has_failed() const { return failed_; }
  /// The passage between two points, that at which it is still above first; empty where the residual is
  /// below throughout.
  std::span<const Point> passage() const { return {passage_, is_bracketed() ? 2u : 0u}; }

 private:
  static constexpr int block = 4, most_blocks = 200, probes = 4;

  bool is_bracketed() const { return probed_ >= 0; }
  double ratio(const Point& point) const { return point.residual.relative() / tolerance_; }
  void bracket(const Point& above);

  const Decay& decay_;
  double begin_, at_begin_, tolerance_, limit_;
  Point passage_[2];  // above tolerance, and from then on below
  int blocks_ = 0, probed_ = -1;
  bool over_ = false, failed_ = false;
  std::vector<double> times_;
};

}  // namespace settle::solve
