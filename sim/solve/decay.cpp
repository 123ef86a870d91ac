#include "sim/solve/decay.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace settle::solve {
namespace {

using Eigen::ArrayXd;
using Eigen::Index;

constexpr double infinity = std::numeric_limits<double>::infinity();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// A bound and its slope.
struct Bound {
  double value = 0, slope = 0;
};

Bound linear(const ArrayXd& terms, const ArrayXd& rates) {
  return {terms.sum(), -(terms * rates).sum()};
}

// √Σ_families (Σ spread)², and what is of no family beside it.
Bound by_families(const Decay& decay, const ArrayXd& sizes, const ArrayXd& spreads) {
  double squares = 0, slope = 0;
  Bound others;
  for (Index k = 0; k < sizes.size();) {
    const Index family = decay.families[at(k)];
    if (family < 0) {
      others.value += sizes[k];
      others.slope -= sizes[k] * decay.rates[k];
      ++k;
      continue;
    }
    Bound own;
    for (; k < sizes.size() && decay.families[at(k)] == family; ++k) {
      own.value += spreads[k];
      own.slope -= spreads[k] * decay.rates[k];
    }
    squares += own.value * own.value;
    slope += own.value * own.slope;
  }
  const double root = std::sqrt(squares);
  return {root + others.value, (root > 0 ? slope / root : 0) + others.slope};
}

// The τ from which on a bound is at most limit: by Newton's iteration on its logarithm, which falls and is
// convex, so that from the left it stays there. `begin`: left of it.
template <class BoundAt>
double time_until(double limit, double begin, const BoundAt& bound_at) {
  double tau = begin;
  for (int k = 0; k < 100; ++k) {
    const Bound now = bound_at(tau);
    if (!(now.value > limit)) return tau;
    const double step = std::log(now.value / limit) * now.value / -now.slope;
    // The last step ends beyond, by what is left and a bit.
    tau += step < 1e-3 * tau ? 2 * step + 1e-6 * tau : step;
  }
  return infinity;
}

}  // namespace

double Decay::speed(double tau) const {
  const ArrayXd left = (-rates * tau).exp();
  const ArrayXd own = sizes * left;
  return std::min(own.sum(), by_families(*this, own, spreads * left).value);
}

double Decay::distance(double tau) const {
  const ArrayXd left = (-rates * tau).exp() / poles;
  const ArrayXd own = sizes * left;
  return std::min(own.sum(), by_families(*this, own, spreads * left).value);
}

double Decay::time_to_slow_to(double limit) const {
  if (rates.size() == 0) return 0;
  // Each term by itself is at most the sum.
  const auto begin = [&](const ArrayXd& own) {
    return std::max(0.0, ((own / limit).log() / rates).maxCoeff());
  };
  const double plain = time_until(
      limit, begin(sizes), [&](double tau) { return linear(sizes * (-rates * tau).exp(), rates); });
  const double squared = time_until(limit, 0, [&](double tau) {
    const ArrayXd left = (-rates * tau).exp();
    return by_families(*this, sizes * left, spreads * left);
  });
  const double found = std::min(plain, squared);
  // Or as if all were as slow as the slowest.
  return found < infinity ? found : std::log(sizes.sum() / limit) / rates.minCoeff();
}

double Decay::resolution(double tau, double limit) const {
  if (rates.size() == 0) return infinity;
  const ArrayXd now = sizes * (-rates * tau).exp();
  double out = 0.25 / rates.minCoeff();
  for (Index k = 0; k < rates.size(); ++k) {
    if (now[k] < 0.01 * limit) continue;
    const double omega = std::sqrt(std::max(0.0, poles[k] * poles[k] - rates[k] * rates[k]));
    out = std::min({out, 0.25 / rates[k], 2 * std::numbers::pi / omega / 12});
  }
  return out;
}

bool Decay::swings(double tau) const {
  const ArrayXd now = sizes * (-rates * tau).exp();
  return (poles > rates * (1 + 1e-12) && now > 1e-3 * now.sum()).any();
}

// The slowest modes together are d e^{−rate τ}, and the others o(τ), ‖o‖ ≤ Σ size e^{−rate τ}, which falls at
// least as fast as those: so ‖d‖ is between last ∓ ‖o‖ at the last τ, and ‖ẋ‖ between ‖d‖ e^{…} ∓ ‖o‖ at
// the others.
bool Decay::falls(std::span<const double> taus, double last) const {
  if (rates.size() == 0) return false;
  const double slowest = rates.minCoeff();
  const auto is_slowest = rates <= slowest * (1 + 1e-12);
  if ((is_slowest && poles > rates * (1 + 1e-12)).any()) return false;
  const ArrayXd others = is_slowest.select(0, sizes);
  const double begin = taus.front(), end = taus.back();
  const double at_begin = (others * (-rates * begin).exp()).sum();
  const double at_end = (others * (-rates * end).exp()).sum();
  double before = infinity;  // at least
  for (const double tau : taus) {
    const double grown = std::exp(slowest * (end - tau));
    const double off =
        tau < end ? grown * at_end + at_begin * std::exp(slowest * (begin - tau)) : 0;
    if (!(grown * last + off < 0.99 * before)) return false;
    before = grown * last - off;
  }
  return true;
}

}  // namespace settle::solve
