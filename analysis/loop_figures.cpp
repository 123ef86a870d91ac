// Bode and Nyquist diagrams of loops broken at their projections.
#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <limits>
#include <numeric>

#include "analysis/figure_source.hpp"
#include "analysis/palette.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

using core::brief;
using core::Quantity;
using Complex = std::complex<double>;

constexpr std::size_t most_loops = 6;  // in a figure
constexpr Index most_loci = 12;        // in a panel
constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// One margin as it was measured.
struct Margin {
  std::string name;  // "gain margin"
  std::string text;  // "gain × 3.2"
  std::string colour;
  double value = nan;      // phase in degrees
  double frequency = nan;  // at which it is reached; NaN where it never is
  bool is_finite() const { return std::isfinite(value) && std::isfinite(frequency); }
};

/// The loop broken at one projection.
struct Loop {
  std::string projection;
  VectorXd omega, largest, smallest;
  Eigen::MatrixXcd loci;  // ω × channels
  std::vector<Margin> margins;
  std::string why_no_margins;

  Index channels() const { return loci.cols(); }
  const Margin* margin(const std::string& name) const {
    for (const Margin& one : margins)
      if (one.name == name && one.is_finite()) return &one;
    return nullptr;
  }
  /// What is drawn: "3 channels".
  std::string title(const std::string& what) const {
    const std::string out = projection + "   (" + what + ")";
    if (!why_no_margins.empty()) return out + ": " + why_no_margins;
    std::vector<std::string> endless;
    for (const Margin& one : margins)
      if (std::isinf(one.value)) endless.push_back(one.name);
    return out + (endless.empty() ? "" : ", " + core::join(endless, " and ") + " margin ∞");
  }
  std::string title() const {
    return title(std::to_string(channels()) + (channels() == 1 ? " channel" : " channels"));
  }
};

std::vector<Margin> margins_of(const FigureSource& source, Index trial, Index projection,
                               std::string& why_none) {
  struct Kind {
    const char* quantity;
    const char* name;
    std::size_t colour;
  };
  static constexpr std::array<Kind, 4> kinds = {{{"gain_margin", "gain", 1},
                                                 {"gain_reduction_margin", "less gain", 4},
                                                 {"phase_margin", "phase", 2},
                                                 {"delay_margin", "delay", 3}}};
  std::vector<Margin> out;
  for (const Kind& kind : kinds) {
    const Quantity* value = source.find(kind.quantity);
    const Quantity* frequency = source.find(std::string(kind.quantity) + "_frequency");
    if (!value || !frequency || projection >= value->cells()) continue;
    Margin margin{kind.name, "", named_colour(kind.colour), value->values(projection, trial),
                  frequency->values(projection, trial)};
    const std::string number = brief(margin.value);
    margin.text = kind.quantity == std::string("phase_margin") ? "phase margin " + number + "°"
                  : kind.quantity == std::string("delay_margin")
                      ? "delay margin " + source.duration(margin.value)
                      : "gain margin × " + number;
    if (std::isnan(margin.value)) why_none = value->reason(projection, trial);
    out.push_back(std::move(margin));
  }
  return out;
}

/// Those loops of a trial that have numbers, at most so many, and how many more there are.
class Loops {
 public:
  Loops(const FigureSource& source, const PlotOptions& options) {
    const Quantity& frequency = *source.find("response_frequency");
    trials = frequency.trials();
    trial = checked_trial(source, frequency, options);
    const TrialValues omega(frequency, trial), re(*source.find("return_ratio_real"), trial),
        im(*source.find("return_ratio_imag"), trial),
        largest(*source.find("return_ratio_largest"), trial),
        smallest(*source.find("return_ratio_smallest"), trial);
    const Index samples = omega.size(1), channels = re.size(2);
    for (Index p = 0; p < omega.size(0); ++p) {
      Index n = 0, wide = 0;
      while (n < samples && std::isfinite(omega(p, n))) ++n;
      while (n > 0 && wide < channels && std::isfinite(re(p, 0, wide))) ++wide;
      if (n < 2 || wide == 0) continue;
      if (all.size() == most_loops) {
        ++left_out;
        continue;
      }
      Loop loop;
      loop.projection = frequency.axes[0].labels.at(static_cast<std::size_t>(p));
      loop.omega.resize(n);
      loop.largest.resize(n);
      loop.smallest.resize(n);
      loop.loci.resize(n, wide);
      for (Index k = 0; k < n; ++k) {
        loop.omega[k] = omega(p, k);
        loop.largest[k] = largest(p, k);
        loop.smallest[k] = smallest(p, k);
        for (Index l = 0; l < wide; ++l) loop.loci(k, l) = {re(p, k, l), im(p, k, l)};
      }
      loop.margins = margins_of(source, trial, p, loop.why_no_margins);
      all.push_back(std::move(loop));
    }
    if (all.empty())
      throw core::InputError(
          source.path().string(),
          "no return ratio of trial " + std::to_string(trial) + ": " + frequency.reason(0, trial),
          "a trial that has one");
  }

  std::vector<std::string> notes(const std::string& what) const {
    std::string text = trial_text(trial, trials);
    text += (text.empty() ? "" : ": ") + what;
    if (left_out > 0)
      text += "   (" + std::to_string(left_out) +
              " more projections are not drawn: analysis.break_at chooses them)";
    return {text};
  }

  Index trial = 0, trials = 1;
  std::vector<Loop> all;
  std::size_t left_out = 0;
};

// A loop broken at one place is often the same as broken at another: such are drawn once.
template <class Same>
std::vector<Loop> merged(const std::vector<Loop>& all, const Same& same) {
  std::vector<Loop> out;
  for (const Loop& loop : all) {
    const auto twin = std::find_if(out.begin(), out.end(), [&](const Loop& other) {
      return loop.omega.size() == other.omega.size() && loop.channels() == other.channels() &&
             loop.omega.isApprox(other.omega, 1e-6) && same(loop, other);
    });
    if (twin == out.end())
      out.push_back(loop);
    else
      twin->projection += ", " + loop.projection;
  }
  return out;
}

Curve line(const VectorXd& x, const VectorXd& y, const std::string& style,
           const std::string& series) {
  Curve curve;
  for (Index k = 0; k < x.size(); ++k) curve.points.push_back({x[k], y[k]});
  curve.style = style;
  curve.series = series;
  return curve;
}

// ---- Bode ----

VectorXd positive(const VectorXd& values) { return (values.array() > 0).select(values, nan); }

// In degrees, without jumps.
VectorXd phase_of(const Eigen::VectorXcd& locus) {
  VectorXd out(locus.size());
  for (Index k = 0; k < out.size(); ++k) {
    out[k] = std::arg(locus[k]) * 180 / M_PI;
    if (k > 0) out[k] -= 360 * std::round((out[k] - out[k - 1]) / 360);
  }
  return out;
}

// Vertical lines where the margins are reached, one for those that are reached at the same frequency.
void add_margin_lines(Panel& panel, const Loop& loop, bool named) {
  std::vector<const Margin*> left;
  for (const Margin& margin : loop.margins)
    if (margin.is_finite() && margin.frequency > 0) left.push_back(&margin);
  while (!left.empty()) {
    const Margin& first = *left.front();
    std::vector<std::string> texts;
    std::erase_if(left, [&](const Margin* other) {
      const bool is_same = std::abs(other->frequency / first.frequency - 1) < 1e-3;
      if (is_same) texts.push_back(other->text);
      return is_same;
    });
    const std::string text = core::join(texts, ", ");
    panel.curves.push_back(
        {.points = {{first.frequency, panel.y->low}, {first.frequency, panel.y->high}},
         .style = "lc rgb '" + first.colour + "' lw 1.6 dt (3,3)",
         .key = named ? text : "",
         .series = text});
  }
}

Panel magnitude_panel(const Loop& loop) {
  Panel panel;
  panel.name = loop.projection + ", magnitude";
  panel.title = loop.title();
  panel.log_y = true;
  const bool single = loop.channels() == 1;
  panel.symbol = single ? "|L(iω)|" : "σ of L(iω)";
  const VectorXd largest = positive(loop.largest), smallest = positive(loop.smallest);
  // Singular values that are 0 but for rounding don't stretch the axis.
  double high = 2, low = 0.5;
  for (const double value : largest)
    if (std::isfinite(value)) high = std::max(high, 1.5 * value), low = std::min(low, value / 1.5);
  for (const double value : smallest)
    if (value > 1e-4 * low) low = std::min(low, value / 1.5);
  panel.y = AxisRange{low, high};
  panel.curves.push_back(line(loop.omega, largest, "lc rgb '" + named_colour(0) + "' lw 2",
                              single ? "magnitude" : "largest singular value"));
  if (!single) panel.curves.back().key = "largest";
  if (!single && (smallest.array() > low).any()) {
    panel.curves.push_back(line(loop.omega, smallest, "lc rgb '" + named_colour(5) + "' lw 1.4",
                                "smallest singular value"));
    panel.curves.back().key = "smallest";
  }
  add_margin_lines(panel, loop, true);
  panel.backdrop =
      "set arrow from graph 0, first 1 to graph 1, first 1 nohead back lw 1.2 lc rgb '#808080'\n";
  return panel;
}

Panel phase_panel(const Loop& loop) {
  Panel panel;
  panel.name = panel.title = loop.projection + ", phase";
  panel.symbol = "arg L (degree)";
  panel.height = 120;
  const VectorXd phase = phase_of(loop.loci.col(0));
  const double low = std::min(phase.minCoeff(), -190.0), high = std::max(phase.maxCoeff(), 10.0);
  panel.y = AxisRange{low - 0.04 * (high - low), high + 0.04 * (high - low)};
  panel.curves.push_back(line(loop.omega, phase, "lc rgb '" + named_colour(0) + "' lw 2", "phase"));
  add_margin_lines(panel, loop, false);
  panel.backdrop =
      "set arrow from graph 0, first -180 to graph 1, first -180 nohead back lw 1.2 lc rgb "
      "'#808080'\n";
  return panel;
}

// ---- Nyquist ----

// The loci that are drawn: those that come nearest to −1, and others evenly.
std::vector<Index> chosen_loci(const Loop& loop) {
  std::vector<Index> order(static_cast<std::size_t>(loop.channels()));
  std::iota(order.begin(), order.end(), Index{0});
  if (loop.channels() <= most_loci) return order;
  const VectorXd distance =
      (loop.loci.array() + 1.0).abs().colwise().minCoeff().transpose().matrix();
  std::stable_sort(order.begin(), order.end(),
                   [&](Index a, Index b) { return distance[a] < distance[b]; });
  std::vector<Index> out(order.begin(), order.begin() + most_loci / 2);
  for (const Index k : evenly_chosen(loop.channels(), most_loci / 2))
    if (std::find(out.begin(), out.end(), k) == out.end()) out.push_back(k);
  std::sort(out.begin(), out.end());
  return out;
}

// About the unit circle and −1, as much of the loci as is of that size, and where they cross the axis
// beyond −1.
void set_window(Panel& panel, const Loop& loop) {
  double left = -1.6, right = 1.4, up = 1.5;
  for (const Complex value : loop.loci.reshaped())
    if (std::abs(value) <= 2) {
      left = std::min(left, value.real() - 0.2);
      right = std::max(right, value.real() + 0.2);
      up = std::max(up, std::abs(value.imag()) + 0.2);
    }
  if (const Margin* less = loop.margin("less gain"); less && less->value > 0.1)
    left = std::min(left, -1 / less->value - 0.4);
  const double half = std::max(up, (right - left) / 2), middle = (left + right) / 2;
  panel.x = AxisRange{middle - half, middle + half};
  panel.y = AxisRange{-half, half};
}

void add_point(Panel& panel, Complex at, const std::string& colour, const std::string& text) {
  Curve curve;
  curve.points = {{at.real(), at.imag()}};
  if (at.imag() != 0) curve.points.push_back({at.real(), -at.imag()});
  curve.with = "points";
  curve.style = "pt 7 ps 0.9 lc rgb '" + colour + "'";
  curve.key = text;
  panel.curves.push_back(std::move(curve));
}

Panel nyquist_panel(const Loop& loop, double width) {
  Panel panel;
  panel.name = loop.projection;
  panel.symbol = "Im λ";
  panel.x_label = "Re λ";
  panel.height = width;
  set_window(panel, loop);
  const std::vector<Index> chosen = chosen_loci(loop);
  const std::string count =
      std::to_string(loop.channels()) + (loop.channels() == 1 ? " locus" : " loci");
  panel.title = loop.title(static_cast<Index>(chosen.size()) < loop.channels()
                               ? std::to_string(chosen.size()) + " of " + count
                               : count);
  for (const bool mirrored : {true, false})
    for (std::size_t k = 0; k < chosen.size(); ++k) {
      const Eigen::VectorXcd locus = loop.loci.col(chosen[k]);
      const std::string colour = ordered_colour(
          chosen.size() == 1 ? 0.3
                             : static_cast<double>(k) / static_cast<double>(chosen.size() - 1));
      const VectorXd im = mirrored ? VectorXd(-locus.imag()) : VectorXd(locus.imag());
      panel.curves.push_back(line(
          locus.real(), im,
          mirrored ? "lc rgb '" + faded(colour) + "' lw 0.8" : "lc rgb '" + colour + "' lw 1.6",
          "locus " + std::to_string(chosen[k]) + (mirrored ? ", mirror image" : "")));
    }
  // Where the loci would have to be turned or stretched to −1.
  if (const Margin* phase = loop.margin("phase"))
    add_point(panel, std::polar(1.0, M_PI - phase->value * M_PI / 180), phase->colour, phase->text);
  for (const char* name : {"gain", "less gain"})
    if (const Margin* gain = loop.margin(name); gain && gain->value > 0)
      add_point(panel, -1 / gain->value, gain->colour, gain->text);
  Curve critical;
  critical.points = {{-1, 0}};
  critical.with = "points";
  critical.style = "pt 1 ps 1.3 lw 2.2 lc rgb '#202020'";
  critical.key = "−1";
  critical.series = "critical point";
  panel.curves.push_back(std::move(critical));
  panel.backdrop =
      "set object 1 circle at first 0, first 0 size first 1 behind fillstyle empty border lc rgb "
      "'#808080' lw 1 dt (4,4)\n"
      "set arrow from graph 0, first 0 to graph 1, first 0 nohead back lw 0.8 lc rgb '#A0A0A0'\n"
      "set arrow from first 0, graph 0 to first 0, graph 1 nohead back lw 0.8 lc rgb '#A0A0A0'\n";
  return panel;
}

}  // namespace

Figure bode_figure(const FigureSource& source, const PlotOptions& options) {
  const Loops loops(source, options);
  Figure figure;
  figure.name = "bode";
  figure.title = source.title();
  figure.notes = loops.notes(
      "return ratio L(iω) of the loop broken at a projection; a dotted line where its margin is "
      "reached");
  figure.width = options.width;
  figure.height = options.height;
  figure.shared_x = true;
  AxisRange x{std::numeric_limits<double>::infinity(), 0};
  for (const Loop& loop : merged(loops.all, [](const Loop&a, const Loop&b) {
         return a.largest.isApprox(b.largest, 1e-6) && a.smallest.isApprox(b.smallest, 1e-6);
       })) {
    x.low = std::min(x.low, loop.omega[0]);
    x.high = std::max(x.high, loop.omega[loop.omega.size() - 1]);
    figure.panels.push_back(magnitude_panel(loop));
    if (loop.channels() == 1) figure.panels.push_back(phase_panel(loop));
  }
  const std::size_t n = figure.panels.size();
  for (Panel& panel : figure.panels) {
    panel.x = x;
    panel.log_x = true;
    panel.x_label = "angular frequency ω (" + source.rate_unit() + ")";
    if (n > 4) panel.height = 110;
  }
  return figure;
}

Figure nyquist_figure(const FigureSource& source, const PlotOptions& options) {
  const Loops loops(source, options);
  Figure figure;
  figure.name = "nyquist";
  figure.title = source.title();
  figure.notes =
      loops.notes("characteristic loci λ of the return ratio, ω > 0; their mirror images thin");
  const std::vector<Loop> all =
      merged(loops.all, [](const Loop& a, const Loop& b) { return a.loci.isApprox(b.loci, 1e-6); });
  figure.columns = all.size() == 1 ? 1 : 2;
  figure.width = figure.columns == 1 ? 0.6 * options.width : options.width;
  figure.height = options.height;
  for (const Loop& loop : all) figure.panels.push_back(nyquist_panel(loop, panel_width(figure)));
  return figure;
}

}  // namespace settle::analysis
