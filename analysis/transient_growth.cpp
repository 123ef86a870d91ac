#include "analysis/transient_growth.hpp"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <boost/math/tools/minima.hpp>
#include <boost/math/tools/toms748_solve.hpp>
#include <cmath>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

using core::brief;
using Complex = std::complex<double>;

constexpr double infinity = std::numeric_limits<double>::infinity();
// Relative accuracy to which σ is compared with a level; core::Resolvent gives it a little better.
constexpr double resolution = 1e-6;

// Why nothing can be computed of A; empty where something can.
std::string unusable(const MatrixXd& a) {
  if (a.rows() != a.cols()) throw std::invalid_argument("a matrix that is not square");
  if (a.rows() == 0) return "the matrix is empty";
  if (!a.allFinite()) return "the matrix is not finite";
  if (!std::isnormal(a.squaredNorm()) && !(a.array() == 0).all())
    return "the square of the matrix's norm leaves the range of double precision";
  return "";
}

// What body() returns; a Result that says why where it cannot be computed.
template <class Result, class Body>
Result reasoned(const MatrixXd& a, Body body) {
  Result none;
  none.reason = unusable(a);
  if (!none.reason.empty()) return none;
  try {
    return body();
  } catch (const std::runtime_error& e) {
    none.reason = e.what();
    return none;
  }
}

// How far rounding may move an eigenvalue of a normal matrix of this norm.
double rounding_of(const MatrixXd& a) {
  return static_cast<double>(a.rows()) * std::numeric_limits<double>::epsilon() * a.norm();
}

struct Stability {
  explicit Stability(const MatrixXd& a)
      : rightmost(core::eigenvalues(a)[0]), rounding(rounding_of(a)) {}
  bool is_stable() const { return rightmost.real() < -rounding; }
  bool is_unstable() const { return rightmost.real() > rounding; }
  std::string why_unstable() const { return "unstable: max Re λ = " + brief(rightmost.real()); }

  Complex rightmost;
  double rounding;
};

// {x, f(x)} of a local minimum in [low, high], x to 2^(1 − bits) of its length. Brent's method.
template <class F>
std::pair<double, double> local_minimum(F f, double low, double high, int bits) {
  const auto at = [&](double part) { return low + part * (high - low); };
  std::uintmax_t evaluations = 100;
  const auto [part, least] = boost::math::tools::brent_find_minima(
      [&](double p) { return f(at(p)); }, 0.0, 1.0, bits, evaluations);
  return {at(part), least};
}

// --- ‖e^{At}‖ ------------------------------------------------------------------------------------

// ‖X‖₂ or somewhat more.
double norm_bound(const MatrixXd& x) {
  const double columns = x.cwiseAbs().colwise().sum().maxCoeff();
  const double rows = x.cwiseAbs().rowwise().sum().maxCoeff();
  return std::fmin(x.norm(), std::sqrt(columns) * std::sqrt(rows));
}

// Some ten seconds.
Index default_evaluations(Index n) {
  return std::min(1000 + Index{20'000'000'000} / (n * n * n), Index{100'000});
}

// E = e^{At} at one time.
struct Sample {
  double t;
  MatrixXd e;
  MatrixXd rate;     // A E
  double norm;       // ‖E‖₂
  double curvature;  // ≥ ‖A²E‖₂
};

class GrowthSearch {
 public:
  GrowthSearch(const MatrixXd& a, const Stability& stability, double numerical_abscissa,
               const TransientOptions& options)
      : a_(a), stability_(stability), omega_(numerical_abscissa), options_(options) {}

  TransientGrowth run();

 private:
  enum class End { decayed, at_rest, doubling, overflowing, unresolved };

  Sample sample(double t, MatrixXd e, double curvature);
  Sample after(const Sample& first, const Sample& then);
  void record(double t, double norm);
  End take_powers();
  double bound(const Sample& first, const Sample& last, std::size_t k, double slack);
  double search(End end);
  void sharpen();

  const MatrixXd& a_;
  const Stability& stability_;
  const double omega_;
  const TransientOptions& options_;

  std::vector<Sample> powers_;      // at t, 2t, 4t …
  std::vector<double> growth_;      // G(powers_[k].t)
  std::map<double, double> norms_;  // by time
  std::pair<double, double> best_;  // the largest of them, {time, norm}
  double sharpened_ = -1;           // the best time that is a peak
  Index evaluations_ = 0, most_evaluations_ = 0;
};

Sample GrowthSearch::sample(double t, MatrixXd e, double curvature) {
  ++evaluations_;
  MatrixXd rate = a_ * e;
  const double norm = e.allFinite() ? core::spectral_norm(e) : infinity;
  return {t, std::move(e), std::move(rate), norm, curvature};
}

Sample GrowthSearch::after(const Sample& first, const Sample& then) {
  // A² times E would bury what slow modes leave in it under the rounding of fast ones.
  return sample(first.t + then.t, first.e * then.e, norm_bound(first.rate * then.rate));
}

void GrowthSearch::record(double t, double norm) {
  norms_[t] = norm;
  if (norm > best_.second) best_ = {t, norm};
}

// From a time within which nothing grows by more than the tolerance to the last that matters.
GrowthSearch::End GrowthSearch::take_powers() {
  const double longest_direct = 1 / a_.norm();
  // In units of 1/rounding: e^{At} then is rounding where eigenvalues are on the axis, and has
  // decayed where they are not.
  const double longest = stability_.is_stable() ? 100 : 1e-3;
  int doublings = 0;
  for (int j = std::ilogb(std::log1p(options_.tolerance) / omega_);; ++j) {
    const double t = std::ldexp(1.0, j);
    if (powers_.empty() || t <= longest_direct) {  // squares would lose the digits of A in I + At
      MatrixXd e = core::exponential(a_ * t);
      const double curvature = norm_bound(a_ * (a_ * e));
      powers_.push_back(sample(t, std::move(e), curvature));
    } else {
      powers_.push_back(after(powers_.back(), powers_.back()));
    }
    const Sample& last = powers_.back();
    if (!std::isfinite(last.norm)) return End::overflowing;
    if (last.norm <= 1) return End::decayed;
    if (!stability_.is_stable() && norm_bound(last.rate) <= stability_.rounding * last.norm)
      return End::at_rest;
    const bool doubled = powers_.size() > 1 && last.norm >= 1.9 * powers_[powers_.size() - 2].norm;
    doublings = doubled ? doublings + 1 : 0;
    if (doublings >= 8 && !stability_.is_stable()) return End::doubling;
    if (!std::isfinite(2 * t) || t * stability_.rounding > longest) return End::unresolved;
  }
}

// Upper bound of the norm over [first.t, last.t], as long as powers_[k].t: at most `slack` times
// the largest norm met, unless the evaluations end before.
double GrowthSearch::bound(const Sample& first, const Sample& last, std::size_t k, double slack) {
  const double h = powers_[k].t;
  const double by_growth = growth_[k] * first.norm;
  const double by_curvature =
      std::max(first.norm, last.norm) + h * h / 8 * growth_[k] * first.curvature;
  const double found = std::fmin(by_growth, by_curvature);
  if (found <= slack * best_.second || k == 0 || evaluations_ >= most_evaluations_) return found;
  const Sample middle = after(first, powers_[k - 1]);
  record(middle.t, middle.norm);
  const double before = bound(first, middle, k - 1, slack);
  return std::max(before, bound(middle, last, k - 1, slack));
}

// Upper bound of the norm over all t, the largest norm being recorded; +∞ where the evaluations end
// before the last power. First roughly, which also gives G, then to the tolerance.
double GrowthSearch::search(End end) {
  const Index budget = options_.evaluations.value_or(default_evaluations(a_.rows()));
  most_evaluations_ = evaluations_ + budget / 2;
  record(0, 1);
  record(powers_[0].t, powers_[0].norm);
  growth_ = {std::exp(omega_ * powers_[0].t)};
  std::vector<double> pieces;  // over [powers_[k].t, powers_[k + 1].t]
  for (std::size_t k = 0; k + 1 < powers_.size() && evaluations_ < most_evaluations_; ++k) {
    record(powers_[k + 1].t, powers_[k + 1].norm);
    pieces.push_back(bound(powers_[k], powers_[k + 1], k, 1.5));
    growth_.push_back(
        std::fmin(std::exp(omega_ * powers_[k + 1].t), std::max(growth_[k], pieces[k])));
  }
  sharpen();
  most_evaluations_ += budget - budget / 2;
  double upper = growth_[0];
  for (std::size_t k = 0; k < pieces.size(); ++k) {
    if (!(pieces[k] <= (1 + options_.tolerance) * best_.second))
      pieces[k] = bound(powers_[k], powers_[k + 1], k, 1 + options_.tolerance);
    upper = std::max(upper, pieces[k]);
  }
  sharpen();
  const bool covers_all = end != End::unresolved && pieces.size() + 1 == powers_.size();
  return covers_all ? std::max(upper, best_.second) : infinity;
}

// The largest norm between the neighbours of the best time.
void GrowthSearch::sharpen() {
  if (best_.first == sharpened_) return;
  const auto best = norms_.find(best_.first);
  const double low = best == norms_.begin() ? best->first : std::prev(best)->first;
  const double high = std::next(best) == norms_.end() ? best->first : std::next(best)->first;
  const auto [t, minus_norm] = local_minimum(
      [this](double s) { return -core::spectral_norm(core::exponential(a_ * s)); }, low, high, 20);
  record(t, -minus_norm);
  sharpened_ = best_.first;
}

TransientGrowth GrowthSearch::run() {
  TransientGrowth result;
  const End end = take_powers();
  const double last = powers_.back().t, last_norm = powers_.back().norm;
  if (end == End::overflowing) {
    result.reason = "‖e^{At}‖ is not finite in double precision at t = " + brief(last);
  } else if (end == End::doubling) {
    result.value = result.time = result.upper_bound = infinity;
    result.reason =
        "an eigenvalue on the imaginary axis is not semisimple: ‖e^{At}‖ grows in proportion to "
        "time, to " +
        brief(last_norm) + " at t = " + brief(last);
  } else {
    result.upper_bound = search(end);
    std::tie(result.time, result.value) = best_;
    if (end == End::at_rest && last_norm >= (1 - 1e-9) * result.value) result.time = infinity;
    if (end == End::unresolved)
      result.reason = "no decay to 1 before rounding takes over (max Re λ = " +
                      brief(stability_.rightmost.real()) + "): a lower bound, the largest of " +
                      std::to_string(evaluations_) +
                      " norms up to t = " + brief(norms_.rbegin()->first);
    else if (!(result.upper_bound <= (1 + options_.tolerance) * result.value))
      result.reason =
          "a lower bound: the search ended after " + std::to_string(evaluations_) + " evaluations";
  }
  result.evaluations = evaluations_;
  return result;
}

// --- σ(z) ----------------------------------------------------------------------------------------

struct Point {
  Complex z;
  double sigma;
};

// σ(z) = σ_min(zI − A) and its level sets on vertical lines, of which Im z ≥ 0 is half.
class Plane {
 public:
  explicit Plane(const MatrixXd& a) : a_(a), resolvent_(a), rounding_(rounding_of(a)) {
    const Eigen::VectorXcd values = core::eigenvalues(a);
    for (const Complex value : values)
      if (value.imag() >= 0) eigenvalues_.push_back(value);
  }

  // Those with Im ≥ 0, rightmost first.
  const std::vector<Complex>& eigenvalues() const { return eigenvalues_; }
  double rounding() const { return rounding_; }
  double sigma(Complex z) const { return resolvent_.smallest_singular_value(z); }

  std::vector<double> heights(double x, double level) const;
  Point descended(double x, double low, double high) const;
  Point lowest(double x, const std::vector<double>& heights) const;
  Point lowest_near_eigenvalues(double x) const;
  Point line_minimum(double x) const;
  Point rightwards(Complex z, double level) const;

 private:
  const MatrixXd& a_;
  core::Resolvent resolvent_;
  double rounding_;
  std::vector<Complex> eigenvalues_;
};

std::vector<double> sorted_distinct(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

// Heights y ≥ 0 of which one stands in each dip of σ(x + iy) below the level: 0, where σ is equal
// to it, and the middles between. With M = (x + iy)I − A, M v = σu and Mᴴu = σv make (v, u) an
// eigenvector, of the eigenvalue iy, of the Hamiltonian matrix
//   [A − xI, σI; −σI, −(A − xI)ᵀ].
// Rounding moves its eigenvalues off the axis, and more so where the line just touches the level:
// all within a millionth of its norm count, and the nearest in any case. A height too many costs an
// evaluation of σ, and changes nothing.
std::vector<double> Plane::heights(double x, double level) const {
  const Index n = a_.rows();
  MatrixXd h(2 * n, 2 * n);
  h.topLeftCorner(n, n) = a_;
  h.diagonal().head(n).array() -= x;
  h.bottomRightCorner(n, n) = -h.topLeftCorner(n, n).transpose();
  h.topRightCorner(n, n) = level * MatrixXd::Identity(n, n);
  h.bottomLeftCorner(n, n) = -level * MatrixXd::Identity(n, n);

  std::vector<std::pair<double, double>> candidates;  // distance from the axis, height
  const Eigen::VectorXcd values = core::eigenvalues(h);
  for (const Complex value : values)
    if (value.imag() >= 0) candidates.emplace_back(std::abs(value.real()), value.imag());
  std::sort(candidates.begin(), candidates.end());
  const double near = 1e-6 * h.norm();
  std::vector<double> heights = {0};
  for (const auto& [distance, height] : candidates)
    if (distance <= near || heights.size() < 32) heights.push_back(height);
  heights = sorted_distinct(heights);
  for (std::size_t k = heights.size(); k-- > 1;)
    heights.push_back((heights[k] + heights[k - 1]) / 2);
  return sorted_distinct(heights);
}

// A local minimum of σ on the line Re z = x between two heights.
Point Plane::descended(double x, double low, double high) const {
  const auto [y, s] = local_minimum([&](double h) { return sigma({x, h}); }, low, high, 26);
  return {{x, y}, s};
}

// The lowest of the heights (rising) and what a descent finds between its neighbours.
Point Plane::lowest(double x, const std::vector<double>& heights) const {
  std::size_t best = 0;
  double least = infinity;
  for (std::size_t k = 0; k < heights.size(); ++k) {
    const double s = sigma({x, heights[k]});
    if (!(s < least)) continue;
    best = k;
    least = s;
  }
  const Point here{{x, heights[best]}, least};
  if (heights.size() == 1) return here;
  const Point below = descended(x, heights[best == 0 ? 0 : best - 1],
                                heights[std::min(best + 1, heights.size() - 1)]);
  return below.sigma < least ? below : here;
}

Point Plane::lowest_near_eigenvalues(double x) const {
  std::vector<double> heights = {0};
  for (const Complex value : eigenvalues_) heights.push_back(value.imag());
  return lowest(x, sorted_distinct(heights));
}

// The global minimum of σ on the line Re z = x: no level set lies below it.
Point Plane::line_minimum(double x) const {
  Point best = lowest_near_eigenvalues(x);
  while (best.sigma > rounding_) {
    const double level = best.sigma * (1 - resolution);
    const Point lower = lowest(x, heights(x, level));
    if (!(lower.sigma < level)) break;
    best = lower;
  }
  return best;
}

// Where σ reaches the level to the right of a z at which it is below.
Point Plane::rightwards(Complex z, double level) const {
  const auto excess = [&](double step) { return sigma(z + step) - level; };
  double low = 0, at_low = excess(0);
  double high = -at_low, at_high = excess(high);  // |σ(z + h) − σ(z)| ≤ h
  while (at_high < 0) {
    low = std::exchange(high, 2 * high);
    at_low = std::exchange(at_high, excess(high));
  }
  if (at_low < 0 && at_high > 0) {
    std::uintmax_t evaluations = 100;
    high = boost::math::tools::toms748_solve(excess, low, high, at_low, at_high,
                                             boost::math::tools::eps_tolerance<double>(40),
                                             evaluations)
               .second;
  }
  return {z + high, level};
}

// --- The Kreiss constant -------------------------------------------------------------------------

// Re z ‖(zI − A)⁻¹‖, a lower bound of K; with no more than rounding leaves of the resolvent.
double kreiss_ratio(const Plane& plane, const Point& p) {
  return p.z.real() / std::max(p.sigma, plane.rounding());
}

void consider(const Plane& plane, const Point& p, KreissConstant& best) {
  const double ratio = kreiss_ratio(plane, p);
  if (!(ratio > best.value)) return;
  best.value = ratio;
  best.at = p.z;
}

// On to the local maximum next to the best point.
void sharpen(const Plane& plane, KreissConstant& best) {
  if (!std::isfinite(best.at.real())) return;
  const double log_x = std::log(best.at.real()), y = best.at.imag();
  const auto on_line = [&](double l) {
    const double x = std::exp(l);
    return plane.descended(x, std::max(0.0, y - x), y + x);
  };
  const auto minus_log_ratio = [&](double l) { return -std::log(kreiss_ratio(plane, on_line(l))); };
  const double best_log_x = local_minimum(minus_log_ratio, log_x - 1, log_x + 1, 26).first;
  consider(plane, on_line(best_log_x), best);
}

struct Line {
  double x, log_norm;  // ln max ‖(zI − A)⁻¹‖ on Re z = x, or more
};

// The largest that ln(x max ‖(zI − A)⁻¹‖) can be between two lines, {x, bound}: on their chord.
std::pair<double, double> largest_between(const Line& a, const Line& b) {
  const double slope = (b.log_norm - a.log_norm) / (b.x - a.x);
  const double x = slope < 0 ? std::clamp(-1 / slope, a.x, b.x) : b.x;
  return {x, std::log(x) + a.log_norm + slope * (x - a.x)};
}

// K of a stable A with ω = ω(A) > 0.
KreissConstant search_lines(const Plane& plane, double omega, double tolerance) {
  constexpr std::size_t most_lines = 200;
  KreissConstant best{1, infinity, {infinity, 0}, ""};
  std::vector<Line> lines;
  const auto add_line = [&](double x) {
    const Point lowest = plane.line_minimum(x);
    if (!(lowest.sigma > plane.rounding()))
      best.reason = "a lower bound: σ = " + brief(lowest.sigma) + " at Re z = " + brief(x) +
                    " is lost in rounding";
    consider(plane, lowest, best);
    const auto place = std::upper_bound(lines.begin(), lines.end(), x,
                                        [](double value, const Line& l) { return value < l.x; });
    lines.insert(place, {x, -std::log(lowest.sigma * (1 - resolution))});
  };
  add_line(0);
  add_line(omega);
  // Further right x/(x − ω), the bound by the numerical range, is small enough.
  const double enough = best.value * (1 + tolerance);
  const double last = omega * enough / (enough - 1);
  if (last > omega) add_line(last);

  while (best.reason.empty()) {
    std::pair<double, double> largest{0, -infinity};
    for (std::size_t k = 0; k + 1 < lines.size(); ++k) {
      const std::pair<double, double> here = largest_between(lines[k], lines[k + 1]);
      if (here.second > largest.second) largest = here;
    }
    best.upper_bound = std::max(enough, std::exp(largest.second));
    if (best.upper_bound <= best.value * (1 + tolerance)) break;
    if (lines.size() == most_lines)
      best.reason = "a lower bound: the search ended after " + brief(most_lines) + " lines";
    else
      add_line(largest.first);
  }
  sharpen(plane, best);
  best.upper_bound = std::max(best.upper_bound, best.value);
  return best;
}

// K of an A with eigenvalues on the axis, or a lower bound.
KreissConstant search_beside_axis(const Plane& plane, double omega) {
  // Nearer to the axis the eigenvalues might as well be off it.
  const double nearest = 1000 * plane.rounding(), factor = 4;
  KreissConstant best{1, infinity, {infinity, 0}, ""};
  std::vector<double> ratios;
  for (double x = nearest; x < 1000 * std::max(omega, nearest); x *= factor) {
    const Point lowest = plane.lowest_near_eigenvalues(x);
    ratios.push_back(x / lowest.sigma);
    consider(plane, lowest, best);
  }
  // In proportion to 1/x beside a double eigenvalue, constant beside a semisimple one.
  if (ratios[0] > 3 * ratios[1])
    return {
        infinity,
        infinity,
        {0, best.at.imag()},
        "an eigenvalue on the imaginary axis is not semisimple: Re z ‖(zI − A)⁻¹‖ grows without "
        "bound towards it"};
  sharpen(plane, best);
  best.reason = "eigenvalues on the imaginary axis: a lower bound, the largest found for Re z > " +
                brief(nearest);
  return best;
}

// From low to high; where low = −high exactly symmetric about 0.
VectorXd evenly_spaced(double low, double high, Index points) {
  const double last = static_cast<double>(points - 1);
  const VectorXd k = VectorXd::LinSpaced(points, 0, last);
  return (low + high) / 2 + (high - low) / 2 * ((2 * k.array() - last) / last);
}

}  // namespace

TransientGrowth transient_growth(const MatrixXd& a, const TransientOptions& options) {
  if (!(options.tolerance > 0 && options.tolerance <= 1))
    throw std::invalid_argument("a tolerance outside (0, 1]");
  return reasoned<TransientGrowth>(a, [&]() -> TransientGrowth {
    const Stability stability(a);
    if (stability.is_unstable()) return {infinity, infinity, infinity, 0, stability.why_unstable()};
    const double omega = core::numerical_abscissa(a);
    if (omega <= stability.rounding) return {1, 0, 1, 0, ""};
    return GrowthSearch(a, stability, omega, options).run();
  });
}

PseudospectralAbscissa pseudospectral_abscissa(const MatrixXd& a, double epsilon) {
  if (!(epsilon > 0 && std::isfinite(epsilon)))
    throw std::invalid_argument("a pseudospectrum of an ε that is not positive and finite");
  return reasoned<PseudospectralAbscissa>(a, [&]() -> PseudospectralAbscissa {
    const Plane plane(a);
    PseudospectralAbscissa result;
    if (!(epsilon > plane.rounding())) {
      result.reason =
          "ε = " + brief(epsilon) + " is lost in rounding, which is " + brief(plane.rounding());
      return result;
    }
    const Complex rightmost = plane.eigenvalues()[0];
    Complex best = rightmost;
    // Whether σ < ε at the best or any given real part further right.
    const auto advance = [&](double x, double y) {
      const Complex z(std::max(x, best.real()), y);
      if (!(plane.sigma(z) < epsilon)) return false;
      best = plane.rightwards(z, epsilon).z;
      return true;
    };
    for (const Complex value : plane.eigenvalues()) advance(value.real(), value.imag());
    for (bool moved = true; moved;) {
      moved = false;
      const double x = best.real() + resolution * (best.real() - rightmost.real());
      for (const double y : plane.heights(x, epsilon)) moved = advance(x, y) || moved;
    }
    return {best.real(), best, ""};
  });
}

DistanceToInstability distance_to_instability(const MatrixXd& a) {
  return reasoned<DistanceToInstability>(a, [&]() -> DistanceToInstability {
    const Stability stability(a);
    if (!stability.is_stable()) return {0, std::abs(stability.rightmost.imag()), ""};
    const Point lowest = Plane(a).line_minimum(0);
    return {lowest.sigma, std::abs(lowest.z.imag()), ""};
  });
}

KreissConstant kreiss_constant(const MatrixXd& a, double tolerance) {
  if (!(tolerance >= 10 * resolution && tolerance <= 1))
    throw std::invalid_argument("a tolerance outside [1e-5, 1]");
  return reasoned<KreissConstant>(a, [&]() -> KreissConstant {
    const Stability stability(a);
    if (stability.is_unstable())
      return {infinity, infinity, stability.rightmost, stability.why_unstable()};
    const double omega = core::numerical_abscissa(a);
    if (omega <= stability.rounding) return {1, 1, {infinity, 0}, ""};
    const Plane plane(a);
    return stability.is_stable() ? search_lines(plane, omega, tolerance)
                                 : search_beside_axis(plane, omega);
  });
}

Region spectral_region(const MatrixXd& a) {
  if (const std::string reason = unusable(a); !reason.empty()) throw std::invalid_argument(reason);
  const Eigen::VectorXcd values = core::eigenvalues(a);
  const double left = std::min(0.0, values.real().minCoeff());
  const double right = std::max(0.0, values.real().maxCoeff());
  const double top = values.imag().maxCoeff();
  const double side = std::max(right - left, 2 * top);
  const double margin = side > 0 ? 0.3 * side : 1;
  return {left - margin, right + margin, -top - margin, top + margin};
}

Pseudospectrum pseudospectrum(const MatrixXd& a, const PseudospectrumOptions& options) {
  if (options.re_points < 2 || options.im_points < 2)
    throw std::invalid_argument("a grid of fewer than two points a side");
  return reasoned<Pseudospectrum>(a, [&] {
    const Region region = options.region ? *options.region : spectral_region(a);
    if (!(region.re_min < region.re_max && region.im_min < region.im_max))
      throw std::invalid_argument("an empty region of the complex plane");
    Pseudospectrum grid{evenly_spaced(region.re_min, region.re_max, options.re_points),
                        evenly_spaced(region.im_min, region.im_max, options.im_points),
                        MatrixXd(options.im_points, options.re_points), ""};
    const core::Resolvent resolvent(a);
    const Index rows = grid.im.size();
    const auto has_mirror = [&](Index k) {
      return 2 * k < rows - 1 && grid.im[k] == -grid.im[rows - 1 - k];
    };
    tbb::parallel_for(Index{0}, rows, [&](Index k) {
      if (has_mirror(k)) return;
      for (Index j = 0; j < grid.re.size(); ++j)
        grid.sigma(k, j) = resolvent.smallest_singular_value({grid.re[j], grid.im[k]});
    });
    for (Index k = 0; k < rows; ++k)
      if (has_mirror(k)) grid.sigma.row(k) = grid.sigma.row(rows - 1 - k);
    return grid;
  });
}

}  // namespace settle::analysis
