#include "sim/solve/rest_search.hpp"

#include <algorithm>
#include <cmath>

namespace settle::solve {

RestSearch::RestSearch(const Decay& decay, double begin, double at_begin, const Point& end,
                       double tolerance, double slowest)
    : decay_(decay), begin_(begin), at_begin_(at_begin / tolerance), tolerance_(tolerance) {
  // While x is within a twentieth of its scale of x(∞) at both, its own is at least 0.9 times that at the end.
  limit_ = 0.9 * tolerance * end.residual.scale / slowest;
  double rest = decay.time_to_slow_to(limit_);
  if (decay.rates.size() > 0)
    while (decay.distance(rest) > 0.05 * end.residual.scale) rest += 0.5 / decay.rates.minCoeff();
  passage_[1] = end;
  passage_[1].t = std::min(begin + rest, end.t);
}

const std::vector<double>& RestSearch::ask() {
  times_.clear();
  if (over_) return times_;
  Point& below = passage_[1];
  if (!is_bracketed()) {
    const double step = decay_.resolution(below.t - begin_, limit_);
    // At first the proven time itself, whose residual is not known.
    for (int k = blocks_ == 0 ? 0 : 1; k <= block && below.t - k * step > begin_; ++k)
      times_.push_back(below.t - k * step);
    if (++blocks_ > most_blocks) {
      over_ = failed_ = true;
      times_.clear();
    }
    if (over_ || !times_.empty()) return times_;
    // Nothing is left between the beginning and what is below.
    if (!(at_begin_ > 1)) {
      over_ = true;
      return times_;
    }
    bracket({begin_, {at_begin_ * tolerance_, 1}});
  }
  // Where the logarithm of the residual, if it were straight, would pass; first a bit behind it, then a
  // bit before.
  const Point& above = passage_[0];
  const double high = std::log(ratio(above)), low = std::log(std::max(ratio(below), 1e-300));
  const double share = high / (high - low) + (probed_ % 2 == 0 ? 0.02 : -0.02);
  times_.push_back(above.t + (below.t - above.t) * std::clamp(share, 0.01, 0.99));
  return times_;
}

void RestSearch::hear(std::span<const Residual> found) {
  for (std::size_t k = 0; k < found.size(); ++k) {
    const Point point{times_[k], found[k]};
    if (ratio(point) > 1) {
      bracket(point);
      break;
    }
    passage_[1] = point;
  }
  if (!is_bracketed()) return;
  failed_ = !(passage_[0].t < passage_[1].t);  // the bound and the residual differ by rounding
  over_ = failed_ || probed_++ == probes;
}

void RestSearch::bracket(const Point& above) {
  passage_[0] = above;
  probed_ = std::max(probed_, 0);
}

}  // namespace settle::solve
