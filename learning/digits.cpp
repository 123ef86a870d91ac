// Digits that are drawn, for tests and first steps without any file.
#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "learning/data_kinds.hpp"
#include "sim/core/machine.hpp"
#include "sim/core/random.hpp"

namespace settle::learning {
namespace {

// A stroke from one corner to another, in a box one wide and two high; y goes down.
struct Stroke {
  double x0, y0, x1, y1;
};

// The strokes of a seven-segment display: a at the top, then clockwise to f, and g in the middle.
constexpr std::array<Stroke, 7> strokes = {{{0, 0, 1, 0},
                                            {1, 0, 1, 1},
                                            {1, 1, 1, 2},
                                            {0, 2, 1, 2},
                                            {0, 1, 0, 2},
                                            {0, 0, 0, 1},
                                            {0, 1, 1, 1}}};
constexpr std::array<std::string_view, 10> digits = {
    "abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg"};

/// Pixel (i, j) of an image of side × side pixels is
///
///     clamp(w/2 + 1/2 − d(i, j), 0, 1) + noise · z, clamped to [0, 1],
///
/// where d is its distance to the nearest stroke of the digit, w ~ U(thinnest, thickest) the strokes' width
/// and z ~ N(0, 1); the digit, 0.6 of the side high, has its centre at the image's, moved by U(−shift,
/// shift) in both directions. All in pixels. The digit itself is uniform in 0 … 9.
///
/// Inputs are side² × N, row by row. Parameters: `side` (12, from 6 to 256), `shift` (1), `thinnest` (1)
/// and `thickest` (1.5), `noise` (0.1). @throws InputError where thinnest > thickest
class Digits final : public GeneratedData {
 public:
  Digits() : GeneratedData("classification", "none") {}

  std::string name() const override { return "digits"; }

  void fields(core::Fields& f) override {
    f.integer({"side", "1", "pixels along each side of an image"}, side_, 6, 256);
    f.number({"shift", "1", "of the digit at most, in pixels"}, shift_, core::between(0, 256));
    f.number({"thinnest", "1", "width of the thinnest strokes, in pixels"}, thinnest_,
             core::non_negative());
    f.number({"thickest", "1", "width of the thickest strokes, in pixels"}, thickest_,
             core::non_negative());
    f.number({"noise", "1", "standard deviation, where ink is 1"}, noise_, core::non_negative());
    GeneratedData::fields(f);
  }

  void check() const override {
    if (thinnest_ > thickest_)
      place.fail(
          "thickest",
          "thinnest = " + core::brief(thinnest_) + " and thickest = " + core::brief(thickest_),
          "thinnest <= thickest");
  }

 private:
  std::vector<std::string> tasks() const override { return {"classification", "autoencoder"}; }
  int classes() const override { return static_cast<int>(digits.size()); }

  Draw prepare(const DataRequest& request) const override {
    return [this, seed = request.seed](Index count, const std::string& stream) {
      return draw(count, core::RandomStream(seed, stream));
    };
  }

  Examples draw(Index count, const core::RandomStream& stream) const {
    core::require_memory(static_cast<double>(side_ * side_) * static_cast<double>(count),
                         "the images", place.at, place.path);
    Examples out;
    out.inputs.resize(side_ * side_, count);
    for (Index k = 0; k < count; ++k) {
      const auto example = static_cast<std::uint64_t>(k);
      const auto digit = static_cast<std::size_t>(10 * stream.uniform(0, example));
      out.labels.push_back(static_cast<int>(digit));
      draw_digit(digits[digit], stream, example, out.inputs.col(k));
    }
    return out;
  }

  void draw_digit(std::string_view digit, const core::RandomStream& stream, std::uint64_t example,
                  Eigen::Ref<Eigen::VectorXd> image) const {
    const auto between = [&](double low, double high, std::uint64_t index) {
      return low + (high - low) * stream.uniform(index, example);
    };
    const double scale = 0.3 * static_cast<double>(side_);  // of a box one wide and two high
    const double centre = 0.5 * static_cast<double>(side_ - 1);
    const double left = centre - 0.5 * scale + between(-shift_, shift_, 1);
    const double top = centre - scale + between(-shift_, shift_, 2);
    const double width = between(thinnest_, thickest_, 3);
    const auto beyond = [](double x, double low, double high) {
      return std::max({low - x, 0.0, x - high});
    };
    for (Index i = 0; i < side_; ++i)
      for (Index j = 0; j < side_; ++j) {
        const double x = (static_cast<double>(j) - left) / scale;
        const double y = (static_cast<double>(i) - top) / scale;
        double distance = static_cast<double>(side_);
        for (const char letter : digit) {
          const Stroke& s = strokes[static_cast<std::size_t>(letter - 'a')];
          distance =
              std::min(distance, scale * std::hypot(beyond(x, s.x0, s.x1), beyond(y, s.y0, s.y1)));
        }
        const double ink = std::clamp(0.5 * width + 0.5 - distance, 0.0, 1.0);
        const Index pixel = i * side_ + j;
        // The first four numbers of the example are taken.
        const double z = stream.normal(static_cast<std::uint64_t>(pixel) + 4, example);
        image[pixel] = std::clamp(ink + noise_ * z, 0.0, 1.0);
      }
  }

  std::int64_t side_ = 12;
  double shift_ = 1, thinnest_ = 1, thickest_ = 1.5, noise_ = 0.1;
};

}  // namespace

std::unique_ptr<DataSource> make_digits() { return std::make_unique<Digits>(); }

}  // namespace settle::learning
