// What is to be reached at least: how many times faster than whom.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/interleave.hpp"

namespace settle::bench {

/// time(against)/time(ours) ≥ factor on a workload.
struct Target {
  std::string workload;
  std::string ours;
  std::string against;  ///< a contender, or a family: then the fastest of it that has not failed
  double factor;
};
const std::vector<Target>& targets();

/// Peak memory of a single trajectory in a fresh process, in MB.
inline constexpr double memory_target = 45;

/// time(against)/time(ours); nullopt where one of the two was not measured.
std::optional<double> reached(const Target& target, const std::vector<Measurement>& found);

/// The measurement of a contender, or nullptr.
const Measurement* find(const std::vector<Measurement>& found, const std::string& name);

}  // namespace settle::bench
