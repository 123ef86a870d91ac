#include "bench/targets.hpp"

#include <algorithm>
#include <cmath>

namespace settle::bench {

const std::vector<Target>& targets() {
  static const std::vector<Target> all = {
      // Trajectories to T, set-up included.
      {"W1 identity", "settle", "Odeint dopri5", 30},
      {"W1 identity", "settle", "Euler", 15},
      {"W1 identity", "settle", "CVODE", 250},
      {"W2", "settle", "Odeint dopri5", 500},
      {"W2", "settle", "Euler", 150},
      {"W2", "settle", "CVODE", 4000},
      {"W6", "settle", "Odeint dopri5", 45},
      {"W6", "settle", "Euler", 45},
      {"W6", "settle", "CVODE", 25},
      {"W3", "settle", "Odeint dopri5", 3},
      {"W3", "settle", "Euler", 1.3},
      {"W3", "settle", "CVODE", 3.5},
      {"W4 on W2", "settle", "Odeint dopri5", 12000},
      {"W4 on W2", "settle", "Euler", 1900},
      {"W4 on W3", "settle", "Odeint dopri5", 700},
      {"W4 on W3", "settle", "Euler", 100},
      {"W1 tanh", "settle", "Odeint dopri5", 3},
      {"W1 tanh", "settle", "CVODE", 10},
      {"W2t", "settle", "Odeint dopri5", 1.8},
      {"W2t", "settle", "CVODE", 8},
      {"W5", "settle", "Odeint dopri5", 6},
      {"W5", "settle", "Euler", 4},
      {"W5", "settle", "CVODE", 40},
      // The same with the decomposition kept.
      {"W2", "settle kept", "Odeint dopri5", 8000},
      {"W2", "settle kept", "Euler", 2000},
      {"W3", "settle kept", "Odeint dopri5", 1500},
      {"W3", "settle kept", "Euler", 600},
      // The settled answer only.
      {"W1 tanh", "settle at rest", "Odeint dopri5", 60},
      {"W1 tanh", "settle at rest", "Euler", 17},
      {"W2t", "settle at rest", "Odeint dopri5", 180},
      {"W2t", "settle at rest", "Euler", 33},
      {"W5", "settle at rest", "Odeint dopri5", 300},
      {"W5", "settle at rest", "Euler", 100},
      // Shares of what the processor can do.
      {"W4 on W3", "settle dopri5 in full", "bare", 0.85},
      {"W5", "settle dopri5 in full", "bare", 0.75},
      // Two threads.
      {"W4 on W2", "settle, 2 threads", "settle", 1.8},
      {"W4 on W3", "settle, 2 threads", "settle", 1.8},
      {"W5", "settle, 2 threads", "settle", 1.8},
  };
  return all;
}

const Measurement* find(const std::vector<Measurement>& found, const std::string& name) {
  const auto at = std::find_if(found.begin(), found.end(),
                               [&](const Measurement& m) { return m.name == name; });
  return at == found.end() ? nullptr : &*at;
}

std::optional<double> reached(const Target& target, const std::vector<Measurement>& found) {
  const Measurement* ours = find(found, target.ours);
  if (!ours || !std::isfinite(ours->median())) return std::nullopt;
  const Measurement* other = find(found, target.against);
  for (const Measurement& m : found)
    if (target.against != "settle" && m.name.starts_with(target.against + " ") && !m.failed() &&
        std::isfinite(m.median()) && (!other || m.median() < other->median()))
      other = &m;
  if (!other || !std::isfinite(other->median())) return std::nullopt;
  return other->median() / ours->median();
}

}  // namespace settle::bench
