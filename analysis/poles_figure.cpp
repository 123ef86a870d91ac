#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/complex_plane.hpp"
#include "analysis/palette.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

using core::brief;
using core::Quantity;

constexpr Index most_poles = 4000;   // of other trials
constexpr double rounding = 1e-13;   // of the largest pole: a part below it is 0
constexpr double crowd_share = 0.8;  // where so many poles stand within
constexpr double crowd_width = 0.2;  // this much of the width, they have a panel of their own

class Poles {
 public:
  Poles(const FigureSource& source, const PlotOptions& options)
      : source_(source),
        trial_(checked_trial(source, *source.find("pole_real"), options)),
        trials_(source.find("pole_real")->trials()),
        names_(node_names(source)),
        own_(poles_of(source, trial_)) {
    if (own_.empty())
      throw core::InputError(source.path().string(),
                             "no pole of trial " + std::to_string(trial_) + ": " +
                                 source.find("pole_real")->reason(0, trial_),
                             "a trial that has some");
    for (const Pole& pole : own_) zero_ = std::max(zero_, rounding * std::hypot(pole.re, pole.im));
    collect_others();
    choose_colours();
    figure_.name = "poles";
    figure_.title = source.title();
    figure_.notes = {note()};
    figure_.width = plane_width * options.width;
    figure_.height = options.height;
    const double left = leftmost();
    add_panel("complex plane", left);
    if (const double crowd = crowded_from(); crowd > left)
      add_panel("complex plane, rightmost poles", crowd);
  }

  Figure figure() && { return std::move(figure_); }

 private:
  // Those of other trials where they differ.
  void collect_others() {
    const Quantity& re = *source_.find("pole_real");
    const Index most = std::max<Index>(1, most_poles / std::max<Index>(1, re.cells()));
    const auto is_same = [&](Index k, const std::string& name) {
      const Eigen::MatrixXd& values = source_.find(name)->values;
      const auto other = values.col(k).array(), own = values.col(trial_).array();
      return (other == own || (other.isNaN() && own.isNaN())).all();
    };
    for (const Index k : evenly_chosen(trials_, most))
      if (k != trial_ && !(is_same(k, "pole_real") && is_same(k, "pole_angular_frequency")))
        for (const Pole& pole : poles_of(source_, k)) others_.push_back(pole);
  }

  // A colour for each node that dominates a pole, in the order of the circuit, and one for all that are
  // beyond the colours.
  void choose_colours() {
    for (const auto* poles : {&own_, &others_})
      for (const Pole& pole : *poles) colours_[pole.node] = 0;
    std::size_t next = 0;
    for (auto& [node, k] : colours_) k = std::min(next++, named_colours - 1);
  }

  double leftmost() const {
    double left = 0;
    for (const auto* poles : {&own_, &others_})
      for (const Pole& pole : *poles) left = std::min(left, pole.re);
    return left;
  }

  // From where on the trial's poles stand in a panel of their own; leftmost() where they need none.
  double crowded_from() const {
    const double left = leftmost(), right = std::max(0.0, own_.front().re);
    const auto k = static_cast<std::size_t>(crowd_share * static_cast<double>(own_.size() - 1));
    const double from = own_[k].re;  // they are sorted
    const bool is_crowd = k >= 3 && right - from < crowd_width * (right - left) && right > from;
    return is_crowd ? from - 0.05 * (right - from) : left;
  }

  void add_panel(const std::string& name, double from) {
    const bool is_first = figure_.panels.empty();
    Panel panel;
    panel.name = name;
    panel.symbol = plane_label(source_, "Im s");
    panel.x_label = plane_label(source_, "Re s");
    set_ranges(panel, from);
    panel.backdrop = half_planes(panel);
    add_curves(panel, from, is_first);
    add_texts(panel, from);
    const auto count =
        std::count_if(own_.begin(), own_.end(), [&](const Pole& pole) { return pole.re >= from; });
    // Without the nodes' shares only some were looked for.
    const bool all = is_first && !names_.empty() && own_.front().node >= 0;
    panel.title = std::string(all ? "the " : "the rightmost ") +
                  (count == 1 ? "pole" : std::to_string(count) + " poles") +
                  (is_first ? " of the circuit" + where_linearised(source_, trial_) : "");
    if (is_first && !others_.empty()) panel.title += "; other trials' pale";
    figure_.panels.push_back(std::move(panel));
  }

  void set_ranges(Panel& panel, double from) {
    double high = 0, im = 0;
    for (const auto* poles : {&own_, &others_})
      for (const Pole& pole : *poles) {
        if (pole.re < from) continue;
        high = std::max(high, pole.re);
        im = std::max(im, std::abs(pole.im));
      }
    double span = high - from;
    if (span == 0) span = im > 0 ? im : 1;
    const AxisRange x{from - 0.08 * span, high + 0.12 * span};
    const double half = im > zero_ ? 1.15 * im : 0.25 * span;
    if (figure_.panels.empty())
      set_plane(figure_, panel, x, {-half, half});
    else
      set_plane(panel, x, {-half, half}, panel_width(figure_));
  }

  void add_curves(Panel& panel, double from, bool with_key) const {
    for (const bool is_own : {false, true})
      for (std::size_t k = 0; k < std::min(colours_.size(), named_colours); ++k) {
        std::string name;
        for (const auto& [node, at] : colours_)
          if (at == k)
            name = !name.empty() ? "other nodes"
                   : node < 0    ? "poles"
                                 : names_.at(static_cast<std::size_t>(node));
        Curve curve;
        for (const Pole& pole : is_own ? own_ : others_)
          if (colours_.at(pole.node) == k && pole.re >= from)
            curve.points.push_back({pole.re, pole.im});
        if (curve.points.empty()) continue;
        curve.with = "points";
        curve.style = is_own ? "pt 7 ps 0.7 lc rgb '" + named_colour(k) + "'"
                             : "pt 7 ps 0.4 lc rgb '" + faded(named_colour(k)) + "'";
        curve.series = name + (is_own ? "" : ", other trials");
        if (is_own && colours_.size() > 1 && with_key) curve.key = name;
        panel.curves.push_back(std::move(curve));
      }
    Curve ring;
    ring.with = "points";
    ring.style = "pt 6 ps 1.5 lw 1.3 lc rgb '#202020'";
    ring.series = "rightmost";
    const Pole& rightmost = own_.front();
    ring.points = {{rightmost.re, rightmost.im}};
    if (std::abs(rightmost.im) > zero_) ring.points.push_back({rightmost.re, -rightmost.im});
    panel.curves.push_back(std::move(ring));
  }

  void add_texts(Panel& panel, double from) const {
    const double width = panel_width(figure_);
    LabelPlacement places(width, panel.height);
    const auto place = [&](const Pole& pole) { return place_in(panel, width, pole.re, pole.im); };
    for (const auto* poles : {&own_, &others_})
      for (const Pole& pole : *poles) places.avoid(place(pole).x, place(pole).y);
    for (double y = 0; y < panel.height; y += 8) places.avoid(place({}).x, y);
    const Pole& rightmost = own_.front();
    const PlotPoint at = place({rightmost.re, std::abs(rightmost.im)});
    if (const auto text = places.beside(at.x, at.y, time_constant(), 10))
      panel.texts.push_back(*text);
    // "× 10" where so many poles coincide.
    std::map<std::pair<long, long>, std::vector<PlotPoint>> cells;  // 50 a point
    for (const Pole& pole : own_) {
      const PlotPoint p = place(pole);
      if (pole.re >= from) cells[{std::lround(50 * p.x), std::lround(50 * p.y)}].push_back(p);
    }
    for (const auto& [cell, same] : cells) {
      if (same.size() < 2) continue;
      if (auto text = places.beside(same.front().x, same.front().y,
                                    "× " + std::to_string(same.size()), 9)) {
        text->colour = "#606060";
        panel.texts.push_back(*text);
      }
    }
    add_names_of_half_planes(panel, places, width);
  }

  // "time constant 2.8", "grows e-fold in 3.1".
  std::string time_constant() const {
    const double re = own_.front().re;
    if (std::abs(re) <= zero_) return "neither decays nor grows";
    return (re < 0 ? "time constant " : "grows e-fold in ") + source_.duration(1 / std::abs(re));
  }

  std::string note() const {
    const Pole& pole = own_.front();
    std::string text = trial_text(trial_, trials_);
    text += (text.empty() ? "" : ": ") + std::string("rightmost pole ") +
            brief(std::abs(pole.re) > zero_ ? pole.re : 0);
    if (std::abs(pole.im) > zero_) text += " ± " + brief(std::abs(pole.im)) + "i";
    text += ", " + time_constant();
    if (pole.node >= 0) text += " (mostly " + names_.at(static_cast<std::size_t>(pole.node)) + ")";
    return text;
  }

  const FigureSource& source_;
  Index trial_, trials_;
  std::vector<std::string> names_;  // of nodes
  std::vector<Pole> own_, others_;
  std::map<Index, std::size_t> colours_;  // of nodes
  double zero_ = 0;
  Figure figure_;
};

}  // namespace

Figure poles_figure(const FigureSource& source, const PlotOptions& options) {
  return Poles(source, options).figure();
}

}  // namespace settle::analysis
