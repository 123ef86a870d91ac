#include "sim/solve/trajectory.hpp"

#include <algorithm>

namespace settle::solve {

void Trajectory::add(int phase, double t, const VectorXd& x) {
  const bool begins = places_.empty() || places_.back().phase != phase;
  if (begins) {
    arrivals_ = 0;
    if (!places_.empty()) places_.back().stays = true;
  } else if (!places_.back().stays) {
    places_.pop_back();
    states_.resize(states_.size() - entries());
  }
  if ((states_.size() + entries()) * sizeof(double) > most_bytes_ && places_.size() > 2) thin();
  places_.push_back({t, phase, arrivals_++ % stride_ == 0});
  states_.resize(states_.size() + entries());
  Eigen::Map<VectorXd>(states_.data() + states_.size() - entries(), dimension_) = x;
}

void Trajectory::thin() {
  stride_ *= 2;
  std::size_t kept = 0, in_phase = 0;
  for (std::size_t k = 0; k < places_.size(); ++k) {
    const bool first = k == 0 || places_[k - 1].phase != places_[k].phase;
    const bool last = k + 1 == places_.size() || places_[k + 1].phase != places_[k].phase;
    in_phase = first ? 0 : in_phase + 1;
    if (in_phase % 2 == 1 && !last) continue;
    std::copy_n(states_.begin() + static_cast<std::ptrdiff_t>(k * entries()), entries(),
                states_.begin() + static_cast<std::ptrdiff_t>(kept * entries()));
    places_[kept++] = places_[k];
  }
  places_.resize(kept);
  states_.resize(kept * entries());
}

std::pair<std::size_t, std::size_t> Trajectory::of_phase(int phase) const {
  const auto is_of = [&](const Place& place) { return place.phase == phase; };
  const auto first = std::find_if(places_.begin(), places_.end(), is_of);
  const auto last = std::find_if_not(first, places_.end(), is_of);
  return {static_cast<std::size_t>(first - places_.begin()),
          static_cast<std::size_t>(last - places_.begin())};
}

}  // namespace settle::solve
