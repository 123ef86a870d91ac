#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "analysis/complex_plane.hpp"
#include "analysis/contour.hpp"
#include "analysis/palette.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

using core::brief;
using core::Quantity;

// "10⁻²", "0.05".
std::string level_text(double level) {
  const double power = std::log10(level);
  if (std::abs(power - std::round(power)) > 1e-9) return brief(level);
  const long exponent = std::lround(power);
  if (exponent >= -1 && exponent <= 1) return brief(level);
  static constexpr std::array<const char*, 10> raised = {"⁰", "¹", "²", "³", "⁴",
                                                         "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string out = exponent < 0 ? "10⁻" : "10";
  for (const char digit : std::to_string(std::abs(exponent)))
    out += raised[static_cast<std::size_t>(digit - '0')];
  return out;
}

// Decades between the values; where there are few of them, 1, 2 and 5 times them.
std::vector<double> contour_levels(const MatrixXd& sigma) {
  std::vector<double> values;
  for (const double value : sigma.reshaped())
    if (value > 0 && std::isfinite(value)) values.push_back(std::log10(value));
  std::sort(values.begin(), values.end());
  if (values.empty()) return {};
  const double low = values[values.size() / 100], high = values.back();
  std::vector<double> out;
  const double step = std::max(1.0, std::ceil((high - low) / 9));
  for (double power = std::ceil(low); power < high; power += step)
    out.push_back(std::pow(10, power));
  if (out.size() >= 4) return out;
  out.clear();
  for (double power = std::floor(low); power < high; ++power)
    for (const double factor : {1.0, 2.0, 5.0})
      if (const double at = power + std::log10(factor); at >= low && at < high)
        out.push_back(factor * std::pow(10, power));
  return out;
}

class PseudospectrumPlane {
 public:
  PseudospectrumPlane(const FigureSource& source, const PlotOptions& options)
      : source_(source), grid_(*source.find("pseudospectrum")) {
    trial_ = checked_trial(source, grid_, options);
    figure_.name = "pseudospectrum";
    figure_.title = source.title();
    figure_.width = plane_width * options.width;
    figure_.height = options.height;
    y_ = Eigen::Map<const VectorXd>(grid_.axes.at(0).numbers.data(), grid_.axes[0].size);
    x_ = Eigen::Map<const VectorXd>(grid_.axes.at(1).numbers.data(), grid_.axes[1].size);
    const TrialValues values(grid_, trial_);
    sigma_.resize(y_.size(), x_.size());
    for (Index i = 0; i < y_.size(); ++i)
      for (Index j = 0; j < x_.size(); ++j) sigma_(i, j) = values(i, j);
    if (sigma_.array().isNaN().all())
      throw core::InputError(
          source.path().string(),
          "no pseudospectrum of trial " + std::to_string(trial_) + ": " + grid_.reason(0, trial_),
          "a trial that has one");
    Panel panel;
    panel.name = "complex plane";
    panel.symbol = plane_label(source, "Im z");
    panel.x_label = plane_label(source, "Re z");
    panel.title = "lines of equal σ_min(zI − M) = ε, the edges of the ε-pseudospectra";
    find_contours();
    poles_ = poles_of(source, trial_);
    set_ranges(panel);
    panel.backdrop = half_planes(panel);
    add_all(panel);
    figure_.panels.push_back(std::move(panel));
    const std::string which = trial_text(trial_, grid_.trials());
    figure_.notes = {which + (which.empty() ? "" : ": ") + "M, the Jacobian of the circuit" +
                     where_linearised(source, trial_)};
  }

  Figure figure() && { return std::move(figure_); }

 private:
  PlotPoint place(const Panel& panel, double re, double im) const {
    return place_in(panel, panel_width(figure_), re, im);
  }

  // ln σ is more nearly linear between the points of the grid than σ.
  void find_contours() {
    const MatrixXd logarithm = sigma_.array().max(1e-300).log10();
    for (const double level : contour_levels(sigma_))
      if (auto lines = contour_lines(x_, y_, logarithm, std::log10(level)); !lines.empty())
        contours_.push_back({level, std::move(lines)});
    // The outermost, of which only pieces are on the grid.
    const auto is_closed = [](const std::vector<PlotPoint>& line) {
      return line.front().x == line.back().x && line.front().y == line.back().y;
    };
    while (contours_.size() > 3 &&
           std::none_of(contours_.back().lines.begin(), contours_.back().lines.end(), is_closed))
      contours_.pop_back();
  }

  // As much of the grid as the lines, the poles and the axis take.
  void set_ranges(Panel& panel) {
    AxisRange x{0, 0}, y{0, 0};
    const auto include = [&](double re, double im) {
      x = {std::min(x.low, re), std::max(x.high, re)};
      y = {std::min(y.low, im), std::max(y.high, im)};
    };
    for (const Pole& pole : poles_) include(pole.re, pole.im);
    for (const Contour& contour : contours_)
      for (const auto& line : contour.lines)
        for (const PlotPoint& p : line) include(p.x, p.y);
    const double room = 0.04 * std::max(x.high - x.low, y.high - y.low);
    set_plane(figure_, panel,
              {std::max(x.low - room, x_[0]), std::min(x.high + room, x_[x_.size() - 1])},
              {std::max(y.low - room, y_[0]), std::min(y.high + room, y_[y_.size() - 1])});
  }

  void add_all(Panel& panel) {
    LabelPlacement places(panel_width(figure_), panel.height);
    for (const Pole& pole : poles_) {
      const PlotPoint at = place(panel, pole.re, pole.im);
      places.avoid(at.x, at.y);
    }
    add_abscissa(panel, places);
    for (std::size_t k = contours_.size(); k-- > 0;) add_contour(panel, places, k);
    if (poles_.empty()) return;
    Curve curve;
    for (const Pole& pole : poles_) curve.points.push_back({pole.re, pole.im});
    curve.with = "points";
    curve.style = "pt 7 ps 0.45 lc rgb '#D55E00'";
    curve.key = "poles";
    panel.curves.push_back(std::move(curve));
  }

  void add_contour(Panel& panel, LabelPlacement& places, std::size_t k) const {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    const double share = contours_.size() == 1
                             ? 0.3
                             : static_cast<double>(k) / static_cast<double>(contours_.size() - 1);
    Curve curve;
    std::vector<PlotPoint> candidates;
    for (const auto& line : contours_[k].lines) {
      if (!curve.points.empty()) curve.points.push_back({nan, nan});
      curve.points.insert(curve.points.end(), line.begin(), line.end());
      if (line.size() > 12)
        for (const PlotPoint& p : line) candidates.push_back(place(panel, p.x, p.y));
    }
    curve.style = "lc rgb '" + ordered_colour(share) + "' lw 1.3";
    curve.series = "σ_min = " + core::number_text(contours_[k].level);
    panel.curves.push_back(std::move(curve));
    if (auto label = places.among(candidates, level_text(contours_[k].level), 9.5)) {
      label->colour = ordered_colour(share);
      const double re = panel.x->low + label->x * (panel.x->high - panel.x->low);
      label->box = re < 0 ? stable_colour : "#FFFFFF";
      panel.texts.push_back(*label);
    }
  }

  // How far to the right a perturbation of norm ε can move a pole.
  void add_abscissa(Panel& panel, LabelPlacement& places) const {
    const Quantity* abscissa = source_.find("pseudospectral_abscissa");
    if (!abscissa || trial_ >= abscissa->trials()) return;
    const double at = abscissa->values(0, trial_);
    if (!(at > panel.x->low && at < panel.x->high)) return;
    // The measure's long name ends with its ε.
    const std::string mark = "epsilon = ";
    const auto where = abscissa->long_name.rfind(mark);
    const std::string epsilon = where == std::string::npos
                                    ? ""
                                    : " of ε = " + abscissa->long_name.substr(where + mark.size());
    Curve curve;
    curve.points = {{at, panel.y->low}, {at, panel.y->high}};
    curve.style = "lc rgb '#CC79A7' lw 1.6 dt (6,4)";
    curve.key = "pseudospectral abscissa" + epsilon + ": " + brief(at);
    panel.curves.push_back(std::move(curve));
    for (double y = 0; y < panel.height; y += 8) places.avoid(place(panel, at, 0).x, y);
  }

  const FigureSource& source_;
  const Quantity& grid_;
  Index trial_ = 0;
  struct Contour {
    double level;
    std::vector<std::vector<PlotPoint>> lines;
  };

  VectorXd x_, y_;
  MatrixXd sigma_;
  std::vector<Contour> contours_;
  std::vector<Pole> poles_;
  Figure figure_;
};

}  // namespace

Figure pseudospectrum_figure(const FigureSource& source, const PlotOptions& options) {
  return PseudospectrumPlane(source, options).figure();
}

}  // namespace settle::analysis
