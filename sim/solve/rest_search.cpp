#include "sim/solve/rest_search.hpp"

#include <algorithm>
#include <cmath>

namespace settle::solve {

RestSearch::RestSearch(const Decay& decay, double begin, double at_begin, const Point& end,
                       double tolerance, double slowest)
    : decay_(decay),
      begin_(begin),
      at_begin_(at_begin / tolerance),
      tolerance_(tolerance),
      end_(end) {
  // While x is within a twentieth of its scale of x(∞) at both, its own is at least 0.9 times that at the end.
  limit_ = 0.9 * tolerance * end.residual.scale / slowest;
  double rest = decay.time_to_slow_to(limit_);
  if (decay.rates.size() > 0)
    while (decay.distance(rest) > 0.05 * end.residual.scale) rest += 0.5 / decay.rates.minCoeff();
  passage_[1] = {std::min(begin + rest, end.t), end.residual};
}

double RestSearch::level(const Point& point) const {
  return std::log(std::max(ratio(point), 1e-300));
}

const RestSearch::Request& RestSearch::ask() {
  asked_ = {};
  if (!over_ && !is_bracketed() && !unclear_) ask_block();
  if (over_ || asked_.count > 0) return asked_;
  return asked_ = {unclear_ ? *unclear_ : guess(), 0, 1, true};
}

void RestSearch::ask_block() {
  if (++blocks_ > most_blocks) {
    over_ = failed_ = true;
    return;
  }
  const double below = passage_[1].t, step = decay_.resolution(below - begin_, limit_);
  // At first the proven time itself, whose residual is not known.
  const double first = blocks_ == 1 ? below : below - step;
  while (asked_.count < block && first - asked_.count * step > begin_) ++asked_.count;
  asked_.t = first;
  asked_.step = step;
  if (asked_.count > 0) {
    const double earliest = first - (asked_.count - 1) * step - begin_;
    unsure_ = (decay_.distance(earliest) + decay_.distance(end_.t - begin_)) / end_.residual.scale;
  } else if (at_begin_ > 1) {
    take({begin_, {at_begin_ * tolerance_, 1}});
  } else {
    over_ = true;  // nothing is left between the beginning and what is below
  }
}

void RestSearch::hear(std::span<const Residual> found) {
  if (!asked_.with_scale) {
    hear_block(found);
  } else {
    unclear_.reset();
    take({asked_.t, found.front()});
  }
}

void RestSearch::hear_block(std::span<const Residual> found) {
  for (std::size_t k = 0; k < found.size(); ++k) {
    const Point point{asked_.t - static_cast<double>(k) * asked_.step, found[k]};
    if (ratio(point) <= 1 - unsure_) {
      passage_[1] = point;
      continue;
    }
    if (ratio(point) > 1 + unsure_)
      take(point);
    else
      unclear_ = point.t;
    return;
  }
}

void RestSearch::take(const Point& point) {
  const bool is_above = ratio(point) > 1;
  passage_[is_above ? 0 : 1] = point;
  if (!is_bracketed()) {
    if (!is_above) return;
    latest_ = passage_[1];
    probes_ = 0;
    failed_ = !(passage_[0].t < passage_[1].t);  // the bound and the residual differ by rounding
  }
  before_latest_ = latest_;
  latest_ = point;
  over_ = failed_ || ratio(passage_[1]) >= 1 - close || probes_++ == most_probes;
}

// Where the logarithm of the residual, straight through the latest two points, would pass, and a bit behind
// that; where it would not within the bracket, as if it were straight there.
double RestSearch::guess() const {
  const auto& [above, below] = passage_;
  const double step =
      level(latest_) * (latest_.t - before_latest_.t) / (level(before_latest_) - level(latest_));
  const double t = latest_.t + step + 0.02 * std::abs(step);
  if (t > above.t && t < below.t) return t;
  const double share = level(above) / (level(above) - level(below));
  return above.t + (below.t - above.t) * std::clamp(share, 0.01, 0.99);
}

}  // namespace settle::solve
