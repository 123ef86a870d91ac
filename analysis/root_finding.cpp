#include "analysis/root_finding.hpp"

#include <algorithm>
#include <boost/math/tools/toms748_solve.hpp>
#include <cmath>
#include <cstdint>
#include <optional>
#include <stdexcept>

#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

using core::brief;

struct Point {
  double x, y;
};

bool opposite(double p, double q) { return (p < 0) != (q < 0); }

// The steps from x₀ to x₁ in a coordinate u that is 0 at x₀ and grows: |x − x₀|/|x₁ − x₀|, or
// |ln(x/x₀)|.
class Path {
 public:
  Path(double start, double limit, const ScanOptions& options) : start_(start), limit_(limit) {
    if (!std::isfinite(start) || !std::isfinite(limit))
      throw std::invalid_argument("a search for a change of sign needs finite ends");
    if (!(options.first_step > 0) || !(options.growth >= 1))
      throw std::invalid_argument("the first step must be > 0, the growth of the steps ≥ 1");
    logarithmic_ = options.spacing == Spacing::logarithmic;
    if (logarithmic_ && (!(start * limit > 0) || !(options.largest_ratio > 1)))
      throw std::invalid_argument(
          "logarithmic steps need ends of one sign, neither of them 0, and a ratio > 1");
    if (!logarithmic_ && !(options.largest_fraction > 0))
      throw std::invalid_argument("the largest step must be > 0");
    growth_ = options.growth;
    largest_ = logarithmic_ ? std::log(options.largest_ratio) : options.largest_fraction;
    step_ = std::min(logarithmic_ ? std::log1p(options.first_step) : options.first_step, largest_);
    end_ = start == limit ? 0 : logarithmic_ ? std::abs(std::log(limit / start)) : 1;
    for (const double x : options.also)
      if ((start < x && x < limit) || (limit < x && x < start)) also_.push_back(u(x));
    std::sort(also_.begin(), also_.end(), std::greater<>());
  }

  double u(double x) const {
    return logarithmic_ ? std::abs(std::log(x / start_)) : (x - start_) / (limit_ - start_);
  }
  double x(double u) const {
    if (!(u < end_)) return limit_;
    if (!logarithmic_) return start_ + u * (limit_ - start_);
    return start_ * std::exp(std::abs(limit_) < std::abs(start_) ? -u : u);
  }
  // Nullopt at the end.
  std::optional<double> next() {
    if (!(at_ < end_)) return std::nullopt;
    while (!also_.empty() && !(also_.back() > at_)) also_.pop_back();
    const double wanted = std::min(at_ + step_, end_);
    if (!also_.empty() && also_.back() < wanted) {
      at_ = also_.back();
    } else {
      at_ = wanted;
      step_ = std::min(growth_ * step_, largest_);
    }
    return x(at_);
  }

 private:
  double start_, limit_;
  bool logarithmic_ = false;
  double growth_ = 1, largest_ = 0, step_ = 0, end_ = 0, at_ = 0;
  std::vector<double> also_;  // falling, the next one last
};

class Search {
 public:
  Search(const ScalarFunction& f, double relative, double absolute)
      : f_(f), relative_(relative), absolute_(absolute) {}

  SignChange walk(Point start, double limit, const ScanOptions& options) {
    Path path(start.x, limit, options);
    if (start.y == 0) return found(start, start, start);
    if (std::isnan(start.y)) return ceased(start.x);
    std::optional<Point> two_back;
    Point last = start;
    while (const std::optional<double> x = path.next()) {
      const Point here = evaluate(*x);
      if (std::isnan(here.y)) return edge(last, here.x);
      if (here.y == 0) return found(last, here, here);
      if (opposite(last.y, here.y)) return refine(last, here);
      if (two_back)
        if (std::optional<SignChange> dip = lowest(*two_back, last, here, path)) return *dip;
      two_back = last;
      last = here;
    }
    SignChange out = ended(SignChange::End::limit, last.x);
    out.reason = "no change of sign up to " + brief(last.x);
    return out;
  }

  // Between a, where the search comes from, and b.
  SignChange refine(Point a, Point b) {
    struct NotThere {
      double x;
    };
    Point best = std::abs(a.y) < std::abs(b.y) ? a : b;
    const auto f = [&](double x) {
      const Point p = evaluate(x);
      if (std::isnan(p.y)) throw NotThere{x};
      if (std::abs(p.y) < std::abs(best.y)) best = p;
      // Infinite values would make the secant NaN.
      return std::clamp(p.y, -1e100, 1e100);
    };
    const auto close = [&](double p, double q) {
      return std::abs(p - q) <= std::max(relative_ * std::min(std::abs(p), std::abs(q)), absolute_);
    };
    const bool rising = a.x < b.x;
    const Point low = rising ? a : b, high = rising ? b : a;
    if (low.y == 0 || high.y == 0) return found(a, best, b);
    try {
      std::uintmax_t most = 500;  // bisection of any two doubles takes a hundred or two
      const auto [p, q] =
          boost::math::tools::toms748_solve(f, low.x, high.x, std::clamp(low.y, -1e100, 1e100),
                                            std::clamp(high.y, -1e100, 1e100), close, most);
      const Point before{rising ? p : q, a.y}, after{rising ? q : p, b.y};
      return found(before, best, after);
    } catch (const NotThere& hole) {
      return edge(a, hole.x);
    }
  }

 private:
  Point evaluate(double x) {
    ++evaluations_;
    return {x, f_(x)};
  }

  SignChange ended(SignChange::End end, double at) const {
    SignChange out;
    out.end = end;
    out.ended_at = at;
    out.evaluations = evaluations_;
    return out;
  }
  SignChange found(Point before, Point at, Point after) const {
    SignChange out = ended(SignChange::End::found, at.x);
    out.where = at.x;
    out.before = before.x;
    out.after = after.x;
    out.reason = "changes its sign at " + brief(at.x);
    return out;
  }
  SignChange ceased(double at) const {
    SignChange out = ended(SignChange::End::ceased, at);
    out.reason = "ceases to exist at " + brief(at);
    return out;
  }

  // Where between `last` and `hole` f ceases to exist; a boundary of stability often ends there,
  // so a sign may change just before.
  SignChange edge(Point last, double hole) {
    while (std::abs(hole - last.x) >
           std::max(1e-6 * std::max(std::abs(hole), std::abs(last.x)), absolute_)) {
      const Point middle = evaluate(last.x + (hole - last.x) / 2);
      if (std::isnan(middle.y)) {
        hole = middle.x;
      } else if (middle.y == 0) {
        return found(last, middle, middle);
      } else if (opposite(last.y, middle.y)) {
        return refine(last, middle);
      } else {
        last = middle;
      }
    }
    return ceased(last.x);
  }

  // A change of sign between three points of one sign, the second of which is nearest to 0: the
  // vertex of the parabola through them, again and again. Nullopt where |f| stays well above 0.
  std::optional<SignChange> lowest(Point p, Point q, Point r, const Path& path) {
    const auto is_dip = [&] {
      return std::abs(q.y) < std::abs(p.y) && std::abs(q.y) <= std::abs(r.y);
    };
    for (int k = 0; k < 20 && is_dip(); ++k) {
      const double u = path.u(q.x), left = path.u(p.x) - u, right = path.u(r.x) - u;
      const double to_p = (p.y - q.y) / left, to_r = (r.y - q.y) / right;
      const double curvature = (to_r - to_p) / (right - left);
      const double slope = to_p - curvature * left;
      double shift = -slope / (2 * curvature);
      const double vertex = q.y + slope * shift / 2;
      if (!std::isfinite(shift)) return std::nullopt;
      if (!opposite(vertex, q.y) && std::abs(vertex) > 0.5 * std::abs(q.y)) return std::nullopt;
      // Not upon q, nor upon its neighbours.
      const double least = 0.01 * (right - left);
      if (std::abs(shift) < least) shift = right > -left ? least : -least;
      if (!(shift > left && shift < right)) return std::nullopt;
      const Point s = evaluate(path.x(u + shift));
      if (std::isnan(s.y)) return edge(shift < 0 ? p : q, s.x);
      if (s.y == 0) return found(shift < 0 ? p : q, s, s);
      if (opposite(s.y, q.y)) return refine(shift < 0 ? p : q, s);
      if (std::abs(s.y) < std::abs(q.y)) {
        (shift < 0 ? r : p) = q;
        q = s;
      } else {
        (shift < 0 ? p : r) = s;
      }
    }
    return std::nullopt;
  }

  const ScalarFunction& f_;
  double relative_, absolute_;
  int evaluations_ = 0;
};

}  // namespace

SignChange nearest_sign_change(const ScalarFunction& f, double start, double value, double limit,
                               const ScanOptions& options) {
  const bool linear = options.spacing == Spacing::linear;
  return Search(f, 1e-10, linear ? 1e-12 * std::abs(limit - start) : 0)
      .walk({start, value}, limit, options);
}

SignChange refined_sign_change(const ScalarFunction& f, double a, double f_a, double b, double f_b,
                               double relative, double absolute) {
  if (!(f_a == 0 || f_b == 0 || (f_a < 0 && f_b > 0) || (f_a > 0 && f_b < 0)))
    throw std::invalid_argument("the two ends have one sign");
  return Search(f, relative, absolute).refine({a, f_a}, {b, f_b});
}

}  // namespace settle::analysis
