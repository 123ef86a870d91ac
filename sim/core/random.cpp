#include "sim/core/random.hpp"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

namespace settle::core {
namespace {

// FNV-1a, 64 bits: the same on every platform.
std::uint64_t hash(std::string_view text) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

double unit(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

}  // namespace

RandomStream::RandomStream(std::uint64_t seed, std::string_view name) : key_{seed, hash(name)} {}

std::array<std::uint64_t, 4> RandomStream::block(std::uint64_t counter, std::uint64_t sub) const {
  const r123::Philox4x64::ctr_type out =
      r123::Philox4x64{}({{counter, sub, 0, 0}}, {{key_[0], key_[1]}});
  return {out[0], out[1], out[2], out[3]};
}

double RandomStream::uniform(std::uint64_t index, std::uint64_t sub) const {
  return unit(block(index / 4, sub)[index % 4]);
}

double RandomStream::normal(std::uint64_t index, std::uint64_t sub) const {
  const auto bits = block(index / 4, sub);
  const std::size_t pair = index % 4 / 2 * 2;
  const double radius = std::sqrt(-2.0 * std::log1p(-unit(bits[pair])));  // 1 - u is never 0
  const double angle = 2.0 * std::numbers::pi * unit(bits[pair + 1]);
  return radius * (index % 2 == 0 ? std::cos(angle) : std::sin(angle));
}

}  // namespace settle::core
