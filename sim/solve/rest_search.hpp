// The time at which a decaying trial comes to rest.
#pragma once

#include <optional>
#include <span>

#include "sim/solve/decay.hpp"
#include "sim/solve/settling.hpp"

namespace settle::solve {

/// The way to the last time at which a trial's residual passes the tolerance: backwards from a time since
/// which bounds show it below (some times at once), then within a bracket. It asks for residuals, and goes
/// on when it hears them.
class RestSearch {
 public:
  using Residual = SettlingMonitor::Residual;
  struct Point {
    double t = 0;
    Residual residual;
  };
  /// Times t, t − step, … at which ‖T ẋ‖∞ is wanted, and the scale too where it is not clear enough.
  struct Request {
    double t = 0, step = 0;
    int count = 0;  ///< 0: it is over
    bool with_scale = false;
  };

  /// A trial that is at rest at `end`, and stays so within the segment.
  /// @param at_begin  relative residual at the segment's beginning
  /// @param slowest   largest τ of the circuit: ‖T ẋ‖∞ is at most that times the speed
  RestSearch(const Decay& decay, double begin, double at_begin, const Point& end, double tolerance,
             double slowest);

  const Request& ask();
  /// The residuals that were asked for, the scale being that at the end where it was not.
  void hear(std::span<const Residual> found);
  /// A speed, the least that matters.
  double limit() const { return limit_; }

  /// Whether it found no last passage where there may be one.
  bool has_failed() const { return failed_; }
  /// The passage between two points, that at which it is still above first; empty where the residual is
  /// below throughout.
  std::span<const Point> passage() const { return {passage_, is_bracketed() ? 2u : 0u}; }

 private:
  static constexpr int block = 8, most_blocks = 100, most_probes = 8;
  static constexpr double close = 1e-4;  // of the residual to the tolerance

  bool is_bracketed() const { return probes_ >= 0; }
  double ratio(const Point& point) const { return point.residual.relative() / tolerance_; }
  double level(const Point& point) const;
  void ask_block();
  void hear_block(std::span<const Residual> found);
  void take(const Point& point);
  double guess() const;

  const Decay& decay_;
  double begin_, at_begin_, tolerance_, limit_;
  Point end_;
  Point passage_[2];              // above tolerance, and from then on below
  Point latest_, before_latest_;  // of the probes, at first the two above
  Request asked_;
  double unsure_ = 0;              // relatively, of the scale, within the block that was asked for
  std::optional<double> unclear_;  // a time at which that decides
  int blocks_ = 0, probes_ = -1;   // −1: no bracket yet
  bool over_ = false, failed_ = false;
};

}  // namespace settle::solve
