// eˣ, eˣ − 1, ln(1 + x) and tanh x of several numbers at once, as wide as the processor's registers.
//
// Each is at most a few units in the last place off, keeps NaN, and is one fixed sequence of
// additions, multiplications and selections: a number's bits do not depend on its lane.
//
// Sources: the reduction of the argument by a multiple of ln 2 in two parts is Cody and Waite's
// ("Software Manual for the Elementary Functions", 1980); rounding by adding 1.5 · 2⁵² and
// ln(1 + f) = f − s (f − R(s²)) with s = f/(2 + f) stand in Muller, "Elementary Functions" (3rd ed.,
// 2016). The polynomials are Taylor series.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace settle::core {

#if defined(__AVX512F__)
inline constexpr std::size_t lanes_bytes = 64;
#elif defined(__AVX__)
inline constexpr std::size_t lanes_bytes = 32;
#else
inline constexpr std::size_t lanes_bytes = 16;
#endif

/// Numbers that are treated alike; +, −, ·, / and comparisons go lane by lane, and so does a
/// choice `condition ? a : b`. (A vector extension of gcc and clang.)
using Lanes = double __attribute__((vector_size(lanes_bytes)));
using LaneBits = std::uint64_t __attribute__((vector_size(lanes_bytes)));
inline constexpr std::ptrdiff_t lane_count = lanes_bytes / sizeof(double);

/// The numbers from `from` on, wherever that stands, and to `to` on.
template <class V = Lanes>
V load(const double* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline void store(const Lanes& v, double* to) { std::memcpy(to, &v, sizeof v); }

inline Lanes in_every_lane(double x) { return x - Lanes{}; }  // −0 stays −0

/// r_i = f(x_i), i = 0 … n − 1, for f from Lanes to Lanes. What is left at the end goes through the
/// same instructions, in lanes filled up with zeros. r may be x.
template <class F>
void for_lanes(const double* x, double* r, std::ptrdiff_t n, const F& f) {
  Lanes v;
  std::ptrdiff_t i = 0;
  for (; i + lane_count <= n; i += lane_count) {
    std::memcpy(&v, x + i, lanes_bytes);
    v = f(v);
    std::memcpy(r + i, &v, lanes_bytes);
  }
  if (i == n) return;
  const std::size_t rest = static_cast<std::size_t>(n - i) * sizeof(double);
  v = Lanes{};
  std::memcpy(&v, x + i, rest);
  v = f(v);
  std::memcpy(r + i, &v, rest);
}

inline constexpr std::uint64_t sign_bit = 1ULL << 63;
inline Lanes absolute(Lanes x) {
  return std::bit_cast<Lanes>(std::bit_cast<LaneBits>(x) & ~sign_bit);
}
/// |x| with the sign of s.
inline Lanes with_sign_of(Lanes s, Lanes x) {
  return std::bit_cast<Lanes>((std::bit_cast<LaneBits>(x) & ~sign_bit) |
                              (std::bit_cast<LaneBits>(s) & sign_bit));
}

/// eʸ = scale · (1 + p), scale = 2ᵏ, k the whole number nearest to y/ln 2.
struct ExpParts {
  Lanes p;      ///< e^{y − k ln 2} − 1, of small relative error
  Lanes scale;  ///< 2^{k + raised}
};

/// For k + raised from −1022 to 1023 and |y| < 10⁴. `raised` is a whole number in every lane.
inline ExpParts exp_parts(Lanes y, Lanes raised = Lanes{}) {
  constexpr double per_ln2 = 0x1.71547652b82fep+0;
  // ln 2 in two parts: 33 bits, so that their product with k is exact, and the rest.
  constexpr double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
  constexpr double to_whole =
      0x1.8p52;  // a sum with it is rounded to a whole number, in its low bits
  const Lanes shifted = y * per_ln2 + to_whole;
  const Lanes k = shifted - to_whole;
  const Lanes t = (y - k * ln2_high) - k * ln2_low;  // |t| ≤ ½ ln 2
  // r = (eᵗ − 1 − t)/t² = Σ tⁿ/(n + 2)!, n ≤ 11; the rest is below t¹³/14! < 1.2e-17 of eᵗ − 1.
  // Pairs, and pairs of pairs, so that not every step waits for the one before (Estrin's scheme).
  const Lanes t2 = t * t, t4 = t2 * t2;
  const Lanes low = (0.5 + t * (1.0 / 6)) + t2 * (1.0 / 24 + t * (1.0 / 120));
  const Lanes middle = (1.0 / 720 + t * (1.0 / 5040)) + t2 * (1.0 / 40320 + t * (1.0 / 362880));
  const Lanes high =
      (1.0 / 3628800 + t * (1.0 / 39916800)) + t2 * (1.0 / 479001600 + t * (1.0 / 6227020800));
  const Lanes r = low + t4 * (middle + t4 * high);
  const LaneBits exponent = std::bit_cast<LaneBits>(shifted + raised) + 1023;
  return {t + t2 * r, std::bit_cast<Lanes>(exponent << 52)};
}

/// eʸ for y ≤ 0, through the subnormal numbers down to 0.
inline Lanes exp_nonpositive(Lanes y) {
  y = y < -800.0 ? in_every_lane(-800.0) : y;
  const auto small = y < -690.0;  // made 2²⁵⁶ times too large, and put right at the end
  const auto [p, scale] = exp_parts(y, small ? in_every_lane(256.0) : Lanes{});
  return (scale * p + scale) * (small ? in_every_lane(0x1p-256) : in_every_lane(1.0));
}

/// eʸ − 1 for y ≤ 0, of small relative error for tiny y too.
inline Lanes expm1_nonpositive(Lanes y) {
  const auto [p, scale] = exp_parts(y < -40.0 ? in_every_lane(-40.0) : y);
  return with_sign_of(y, scale * p + (scale - 1.0));
}

/// ln(1 + u) for 0 ≤ u ≤ 1.
inline Lanes log1p_of_unit(Lanes u) {
  // Beyond √2 − 1: ln(1 + u) = ln 2 + ln(1 + (u − 1)/2).
  const auto far = u > 0.41421356237309503;
  const Lanes f = far ? 0.5 * u - 0.5 : u;
  const Lanes s = f / (2.0 + f);  // |s| ≤ 0.1716
  const Lanes z = s * s;
  // R/z = Σ 2 zⁿ/(2n + 3), n ≤ 9; the rest is below z¹¹/23 < 1e-18.
  Lanes r = in_every_lane(2.0 / 21);
  r = r * z + 2.0 / 19;
  r = r * z + 2.0 / 17;
  r = r * z + 2.0 / 15;
  r = r * z + 2.0 / 13;
  r = r * z + 2.0 / 11;
  r = r * z + 2.0 / 9;
  r = r * z + 2.0 / 7;
  r = r * z + 2.0 / 5;
  r = r * z + 2.0 / 3;
  constexpr double ln2 = 0x1.62e42fefa39efp-1;
  return (f - s * (f - r * z)) + (far ? in_every_lane(ln2) : Lanes{});
}

/// tanh x = −q/(2 + q) with q = e^{−2|x|} − 1, and the sign of x.
inline Lanes hyperbolic_tangent(Lanes x) {
  const Lanes y = -2.0 * absolute(x);
  const auto [p, scale] = exp_parts(y < -40.0 ? in_every_lane(-40.0) : y);
  const Lanes q = scale * p + (scale - 1.0);  // −1 for |x| > 20
  return with_sign_of(x, q / (2.0 + q));
}

}  // namespace settle::core
