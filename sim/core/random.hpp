// Named random streams: a number depends on (seed, name, index) alone, never on order or threads.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace settle::core {

/// The stream of (seed, name): random access to its k-th sub-stream's i-th number.
/// Philox4x64-10, keyed by seed and a hash of the name, with counter (i/4, k).
/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view name);

  /// Uniform in [0, 1) with 53 bits.
  double uniform(std::uint64_t index, std::uint64_t sub = 0) const;
  /// Standard normal, by Box–Muller from one block of uniforms.
  double normal(std::uint64_t index, std::uint64_t sub = 0) const;

 private:
  std::array<std::uint64_t, 4> block(std::uint64_t counter, std::uint64_t sub) const;
  std::array<std::uint64_t, 2> key_;
};

}  // namespace settle::core
