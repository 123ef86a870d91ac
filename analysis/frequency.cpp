#include "analysis/frequency.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <map>
#include <numbers>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "analysis/root_finding.hpp"
#include "sim/core/linalg.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

using core::brief;
using Complex = std::complex<double>;
using Permutation = std::vector<Index>;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double epsilon = std::numeric_limits<double>::epsilon();
constexpr double pi = std::numbers::pi;

void check(const BrokenLoop& loop) {
  const Index n = loop.a.rows(), p = loop.b.cols();
  if (loop.a.cols() != n || loop.b.rows() != n || loop.c.rows() != p || loop.c.cols() != n)
    throw std::invalid_argument("A, B and C don't make a loop");
  if (!loop.a.allFinite() || !loop.b.allFinite() || !loop.c.allFinite())
    throw std::invalid_argument("A, B and C of a loop must be finite");
}

// How far rounding may have moved a computed eigenvalue of a normal matrix of this size.
double rounding(const MatrixXd& m) { return static_cast<double>(m.rows()) * epsilon * m.norm(); }

// C (iω I − A)⁻¹ B and its eigenvalues at many ω.
class AxisResponse {
 public:
  AxisResponse(const MatrixXd& a, const BrokenLoop& loop)
      : resolvent_(a), input_(resolvent_.input(loop.b)), output_(resolvent_.output(loop.c)) {}

  MatrixXcd matrix(double omega) const {
    if (resolvent_.size() == 0) return MatrixXcd::Zero(output_.rows(), input_.cols());
    return resolvent_.response({0, omega}, output_, input_);
  }
  VectorXcd eigenvalues(double omega) const {
    // Real at ω = 0, so that what is real there is so exactly.
    if (omega == 0) return core::eigenvalues(MatrixXd(matrix(0).real()));
    return core::eigenvalues(matrix(omega));
  }

 private:
  core::Resolvent resolvent_;
  MatrixXcd input_, output_;
};

// --- Which eigenvalue is which -----------------------------------------------------------------

// The permutation q of least Σ_k |to[q_k] − from[k]|², by the shortest augmenting paths of the
// Hungarian method. Source: Jonker and Volgenant, Computing 38 (1987) 325.
Permutation least_squares_assignment(const VectorXcd& from, const VectorXcd& to) {
  const auto p = static_cast<std::size_t>(from.size());
  // Row and column 0 are the method's sentinel.
  std::vector<double> row_price(p + 1, 0), column_price(p + 1, 0), slack(p + 1);
  std::vector<std::size_t> row_of(p + 1, 0), parent(p + 1, 0);
  std::vector<bool> in_tree(p + 1);
  for (std::size_t row = 1; row <= p; ++row) {
    std::size_t column = 0;
    row_of[0] = row;
    std::fill(slack.begin(), slack.end(), infinity);
    std::fill(in_tree.begin(), in_tree.end(), false);
    do {
      in_tree[column] = true;
      const std::size_t i = row_of[column];
      std::size_t next = 0;
      for (std::size_t j = 1; j <= p; ++j) {
        if (in_tree[j]) continue;
        const double cost =
            std::norm(to[static_cast<Index>(j - 1)] - from[static_cast<Index>(i - 1)]);
        const double reduced = cost - row_price[i] - column_price[j];
        if (reduced < slack[j]) {
          slack[j] = reduced;
          parent[j] = column;
        }
        if (next == 0 || slack[j] < slack[next]) next = j;
      }
      const double step = slack[next];
      for (std::size_t j = 0; j <= p; ++j) {
        if (in_tree[j]) {
          row_price[row_of[j]] += step;
          column_price[j] -= step;
        } else {
          slack[j] -= step;
        }
      }
      column = next;
    } while (row_of[column] != 0);
    for (; column != 0; column = parent[column]) row_of[column] = row_of[parent[column]];
  }
  Permutation q(p);
  for (std::size_t j = 1; j <= p; ++j) q[row_of[j] - 1] = static_cast<Index>(j - 1);
  return q;
}

Permutation assignment(const VectorXcd& from, const VectorXcd& to) {
  // Where each has a nearest one of its own, those are the answer.
  Permutation q(static_cast<std::size_t>(from.size()));
  std::vector<bool> taken(q.size(), false);
  for (Index k = 0; k < from.size(); ++k) {
    Index nearest = 0;
    (to.array() - from[k]).abs2().minCoeff(&nearest);
    const auto at = static_cast<std::size_t>(nearest);
    if (taken[at]) return least_squares_assignment(from, to);
    taken[at] = true;
    q[static_cast<std::size_t>(k)] = nearest;
  }
  return q;
}

// Whether another eigenvalue than its own is about as near to where a curve was expected.
bool is_doubtful(const VectorXcd& expected, const VectorXcd& found) {
  for (Index k = 0; k < found.size(); ++k) {
    const double off = std::abs(found[k] - expected[k]);
    for (Index l = 0; l < found.size(); ++l)
      if (l != k && off > 0.5 * std::abs(found[l] - expected[k]) &&
          std::abs(found[l] - found[k]) > 1e-8 * std::abs(found[k]))
        return true;
  }
  return false;
}

// --- The frequency response --------------------------------------------------------------------

// min_k |iω − p_k|
double distance(const VectorXcd& poles, double omega) {
  return std::sqrt((poles.array() - Complex(0, omega)).abs2().minCoeff());
}

// The loci of L along rising frequencies, each eigenvalue in the place of its curve.
class Follower {
 public:
  explicit Follower(const AxisResponse& open) : open_(open) {}

  // λ(iω); ω is moved where it is an eigenvalue of A.
  VectorXcd loci(double& omega) {
    VectorXcd found = eigenvalues(omega);
    if (known_.empty()) {
      Permutation falling(static_cast<std::size_t>(found.size()));
      std::iota(falling.begin(), falling.end(), Index{0});
      std::stable_sort(falling.begin(), falling.end(),
                       [&](Index i, Index j) { return std::abs(found[i]) > std::abs(found[j]); });
      known_ = {{std::log(omega), found(falling)}};
    } else {
      advance(std::log(omega), std::move(found), 4);
    }
    return known_.back().loci;
  }
  const MatrixXcd& matrix() const { return matrix_; }  // L at the last frequency asked for

 private:
  struct Known {
    double log_omega;
    VectorXcd loci;
  };

  VectorXcd eigenvalues(double& omega) {
    matrix_ = -open_.matrix(omega);
    for (double shift = 1e-9; !matrix_.allFinite() && shift < 1; shift *= 2) {
      omega *= 1 + shift;
      matrix_ = -open_.matrix(omega);
    }
    return core::eigenvalues(matrix_);
  }

  VectorXcd expected(double u) const {
    const Known& last = known_.back();
    if (known_.size() == 1) return last.loci;
    const Known& before = known_.front();
    const double ratio = (u - last.log_omega) / (last.log_omega - before.log_omega);
    return last.loci + ratio * (last.loci - before.loci);
  }

  void advance(double u, VectorXcd found, int halvings) {
    VectorXcd heading = expected(u);
    found = VectorXcd(found(assignment(heading, found)));
    if (halvings > 0 && is_doubtful(heading, found)) {
      const double middle = (known_.back().log_omega + u) / 2;
      MatrixXcd kept = std::move(matrix_);
      double omega = std::exp(middle);
      VectorXcd between = eigenvalues(omega);
      matrix_ = std::move(kept);
      advance(middle, std::move(between), halvings - 1);
      advance(u, std::move(found), halvings - 1);
      return;
    }
    if (known_.size() == 2) known_.erase(known_.begin());
    known_.push_back({u, std::move(found)});
  }

  const AxisResponse& open_;
  MatrixXcd matrix_;
  std::vector<Known> known_;  // the last two
};

// --- Crossings of the loci of a stable closed loop ------------------------------------------------

// −λ = 1/(1 + 1/t)
double phase_of_minus_lambda(Complex t) { return -std::arg(1.0 + 1.0 / t); }
// The κ with κ λ = −1, of a real t.
double gain_to_critical_point(double t) { return 1 + 1 / t; }

// One place where the loci were evaluated; eigenvalue k goes on as eigenvalue next[k] of the next
// place.
struct Sample {
  double omega;
  VectorXcd t;
  Permutation next = {};
};

// A stretch of one locus.
struct Stretch {
  double omega_a, omega_b;
  Complex t_a, t_b;

  Complex at(double omega) const {
    return t_a + (omega - omega_a) / (omega_b - omega_a) * (t_b - t_a);
  }
  // Where the straight line between the ends has the value 0 of a function of t, linear in it.
  template <class Function>
  double zero(const Function& g) const {
    const double a = g(t_a), b = g(t_b);
    return omega_a + (omega_b - omega_a) * (a == b ? 0.5 : a / (a - b));
  }
};

// 0 on the circle |λ| = 1.
double circle(Complex t) { return t.real() + 0.5; }
// 0 on the real axis.
double axis(Complex t) { return t.imag(); }

bool crosses(double a, double b) { return (a < 0) != (b < 0); }

class Loci {
 public:
  Loci(const BrokenLoop& loop, const MatrixXd& closed, const VectorXcd& poles,
       const MarginOptions& options)
      : poles_(poles),
        response_(closed, loop),
        smallest_(1 / options.gain_limit),
        most_(static_cast<std::size_t>(options.samples)) {
    sample();
    while (halve()) {
    }
  }

  bool is_resolved() const { return is_resolved_; }
  const std::vector<Stretch>& circle_crossings() const { return circle_crossings_; }
  const std::vector<Stretch>& axis_crossings() const { return axis_crossings_; }
  // At ω = 0, where those of a real pole are.
  const VectorXcd& at_rest() const { return samples_.front().t; }
  VectorXcd eigenvalues(double omega) const { return response_.eigenvalues(omega); }

  // The crossing itself, and t there.
  template <class Function>
  std::pair<double, Complex> refined(const Stretch& s, const Function& g) const {
    std::map<double, Complex> known{{s.omega_a, s.t_a}, {s.omega_b, s.t_b}};
    const auto f = [&](double omega) {
      const auto above = known.lower_bound(omega), below = std::prev(above);
      const Complex expected =
          Stretch{below->first, above->first, below->second, above->second}.at(omega);
      const VectorXcd t = response_.eigenvalues(omega);
      Index nearest = 0;
      (t.array() - expected).abs2().minCoeff(&nearest);
      known[omega] = t[nearest];
      return g(t[nearest]);
    };
    const double omega =
        refined_sign_change(f, s.omega_a, g(s.t_a), s.omega_b, g(s.t_b), 1e-12).where;
    return {omega, known.at(omega)};
  }

 private:
  // From 0 to where no locus is of interest any more.
  void sample() {
    const double largest_pole = poles_.cwiseAbs().maxCoeff();
    std::vector<double> grid;
    // Coarser where that would take more than half of the samples: halving may need the others.
    const std::size_t most = most_ / 2;
    for (double fraction = 0.25; fraction < 1; fraction *= 1.25) {
      grid = {0};
      while (grid.back() < 3 * largest_pole && grid.size() < most)
        grid.push_back(grid.back() + fraction * distance(poles_, grid.back()));
      is_resolved_ = grid.size() < most && fraction < 0.5;
      if (grid.size() < most) break;
    }
    for (const double omega : grid) append(omega);
    while (samples_.size() < most && samples_.back().t.cwiseAbs().maxCoeff() > smallest_)
      append(1.25 * samples_.back().omega);
    if (samples_.size() >= most) is_resolved_ = false;
  }

  void append(double omega) {
    samples_.push_back({omega, response_.eigenvalues(omega)});
    if (samples_.size() > 1) join(samples_.size() - 2);
  }

  // Finds which eigenvalue of sample j + 1 continues which of sample j.
  void join(std::size_t j) {
    Sample& here = samples_[j];
    const Sample& next = samples_[j + 1];
    VectorXcd expected = here.t;
    if (j > 0) {
      const Sample& before = samples_[j - 1];
      const double ratio = (next.omega - here.omega) / (here.omega - before.omega);
      for (Index k = 0; k < here.t.size(); ++k) {
        const Index now = before.next[static_cast<std::size_t>(k)];
        expected[now] += ratio * (here.t[now] - before.t[k]);
      }
    }
    here.next = assignment(expected, next.t);
  }

  // One sample more in the middle of each interval in which it is open whether a locus crosses.
  // False when there is none. Collects the crossings on the way.
  bool halve() {
    circle_crossings_.clear();
    axis_crossings_.clear();
    std::vector<bool> is_open(samples_.size(), false);
    Permutation before;  // which eigenvalue of the sample before each one comes from
    for (std::size_t j = 0; j + 1 < samples_.size(); ++j) {
      is_open[j] = inspect(j, before);
      before.resize(samples_[j].next.size());
      for (std::size_t k = 0; k < before.size(); ++k)
        before[static_cast<std::size_t>(samples_[j].next[k])] = static_cast<Index>(k);
    }
    const auto more = static_cast<std::size_t>(std::count(is_open.begin(), is_open.end(), true));
    if (more == 0) return false;
    if (samples_.size() + more > most_) {
      is_resolved_ = false;
      return false;
    }
    std::vector<Sample> finer;
    finer.reserve(samples_.size() + more);
    std::vector<std::size_t> to_join;
    for (std::size_t j = 0; j < samples_.size(); ++j) {
      if (is_open[j]) {
        const double middle = (samples_[j].omega + samples_[j + 1].omega) / 2;
        to_join.insert(to_join.end(), {finer.size(), finer.size() + 1});
        finer.push_back(std::move(samples_[j]));
        finer.push_back({middle, response_.eigenvalues(middle)});
      } else {
        finer.push_back(std::move(samples_[j]));
      }
    }
    samples_ = std::move(finer);
    for (const std::size_t j : to_join) join(j);
    return true;
  }

  // Interval j: its crossings, and whether there may be more of them.
  bool inspect(std::size_t j, const Permutation& before) {
    const Sample &a = samples_[j], &b = samples_[j + 1];
    const double h = b.omega - a.omega;
    bool is_open = false;
    for (Index k = 0; k < a.t.size(); ++k) {
      const Index l = a.next[static_cast<std::size_t>(k)];
      const Stretch s{a.omega, b.omega, a.t[k], b.t[l]};
      const Complex slope = (s.t_b - s.t_a) / h;
      // How far the locus may stray from the chord: h²/8 |t″|, of the second differences on both
      // sides, and twice that for safety.
      double re = 0, im = 0;
      const auto bend = [&](Complex second_difference) {
        re = std::max(re, h * h / 2 * std::abs(second_difference.real()));
        im = std::max(im, h * h / 2 * std::abs(second_difference.imag()));
      };
      if (j > 0) {
        const Sample& z = samples_[j - 1];
        const Complex t_z = z.t[before[static_cast<std::size_t>(k)]];
        bend((slope - (s.t_a - t_z) / (a.omega - z.omega)) / (b.omega - z.omega));
      }
      if (j + 2 < samples_.size()) {
        const Sample& c = samples_[j + 2];
        const Complex t_c = c.t[b.next[static_cast<std::size_t>(l)]];
        bend(((t_c - s.t_b) / (c.omega - b.omega) - slope) / (c.omega - a.omega));
      }
      if (inspect(s, circle(s.t_a), circle(s.t_b), re, circle_crossings_)) is_open = true;
      // Only there can a gain within the limits reach the critical point.
      const bool matters = std::max(s.t_a.real(), s.t_b.real()) + re > smallest_ ||
                           std::min(s.t_a.real(), s.t_b.real()) - re < -1;
      if (matters && inspect(s, axis(s.t_a), axis(s.t_b), im, axis_crossings_)) is_open = true;
    }
    // Two crossings that are closer than that are a touch.
    return is_open && h > 1e-7 * distance(poles_, b.omega);
  }

  static bool inspect(const Stretch& s, double g_a, double g_b, double stray,
                      std::vector<Stretch>& crossings) {
    // At rest every real t is on the axis, and crosses nothing there.
    const bool changes = crosses(g_a, g_b) && !(s.omega_a == 0 && g_a == 0);
    if (changes) crossings.push_back(s);
    const bool is_monotone = std::abs(g_b - g_a) > 4 * stray;
    const bool stays_away = !changes && std::min(std::abs(g_a), std::abs(g_b)) > stray;
    return !is_monotone && !stays_away;
  }

  const VectorXcd& poles_;
  AxisResponse response_;
  double smallest_;  // a |t| below it doesn't matter
  std::size_t most_;
  std::vector<Sample> samples_;
  std::vector<Stretch> circle_crossings_, axis_crossings_;
  bool is_resolved_ = true;
};

// --- The margins -----------------------------------------------------------------------------

// What a crossing's value may be of that which the straight line between two samples gives.
constexpr double least_of_estimate = 0.7;

struct Estimate {
  double value;
  Stretch stretch;
};

void sort(std::vector<Estimate>& estimates) {
  std::stable_sort(estimates.begin(), estimates.end(),
                   [](const Estimate& a, const Estimate& b) { return a.value < b.value; });
}

// The lag in (0, 2π] after which a locus passes −1, from arg(−λ).
double lag(double phase) { return phase > 0 ? phase : phase + 2 * pi; }

struct Crossing {
  double value = infinity, omega = 0, phase = 0;
};

// The crossing of the circle for which value(arg(−λ), ω) is least. Those that may be it are
// refined.
template <class Value>
Crossing nearest_on_circle(const Loci& loci, const Value& value) {
  std::vector<Estimate> estimates;
  for (const Stretch& s : loci.circle_crossings()) {
    const double omega = s.zero(circle);
    estimates.push_back({value(phase_of_minus_lambda(s.at(omega)), omega), s});
  }
  sort(estimates);
  Crossing best;
  for (const Estimate& e : estimates) {
    if (least_of_estimate * e.value > best.value) break;
    const auto [omega, t] = loci.refined(e.stretch, circle);
    if (omega == 0) continue;
    const double phase = phase_of_minus_lambda(t);
    if (value(phase, omega) < best.value) best = {value(phase, omega), omega, phase};
  }
  return best;
}

// Gains κ on one side of 1 at which a locus crosses the negative real axis at −1/κ, the nearest
// among them exactly.
std::vector<double> gains_of_loci(const Loci& loci, bool up) {
  const auto is_wanted = [&](double t) { return up ? t > 0 : t < -1; };
  std::vector<double> gains;
  for (const Complex t : loci.at_rest())
    if (t.imag() == 0 && is_wanted(t.real())) gains.push_back(gain_to_critical_point(t.real()));
  const auto away = [](double gain) { return std::abs(std::log(gain)); };
  std::vector<Estimate> estimates;
  for (const Stretch& s : loci.axis_crossings()) {
    const double t = s.at(s.zero(axis)).real();
    if (is_wanted(t)) estimates.push_back({away(gain_to_critical_point(t)), s});
  }
  sort(estimates);
  double best = infinity;
  for (const Estimate& e : estimates) {
    if (least_of_estimate * e.value > best) break;
    const double t = loci.refined(e.stretch, axis).second.real();
    if (!is_wanted(t)) continue;
    gains.push_back(gain_to_critical_point(t));
    best = std::min(best, away(gains.back()));
  }
  return gains;
}

// The spectral abscissa of A + κ B C, less what rounding may have added to it.
double certain_abscissa(const BrokenLoop& loop, double gain) {
  const MatrixXd m = closed_loop(loop, gain);
  return core::spectral_abscissa(m) - rounding(m);
}

// The margin on one side of κ = 1; NaN with no reason where there is none.
Margin gain_margin(const BrokenLoop& loop, const Loci& loci, const MarginOptions& options,
                   bool up) {
  const auto f = [&](double gain) { return certain_abscissa(loop, gain); };
  const double size = std::max(1.0, static_cast<double>(loop.a.rows()) / 200);
  ScanOptions scan;
  scan.largest_ratio = std::pow(options.gain_step, size * size * size);
  // On both sides: that close a pole passes the axis, or it doesn't.
  for (const double gain : gains_of_loci(loci, up))
    scan.also.insert(scan.also.end(), {gain * (1 - 1e-7), gain * (1 + 1e-7)});
  const double limit = up ? options.gain_limit : 1 / options.gain_limit;
  SignChange found = nearest_sign_change(f, 1, f(1), limit, scan);
  if (!found.found() && !up && f(0) > 0)
    found = nearest_sign_change(f, limit, f(limit), 0, {.spacing = Spacing::linear});

  if (!found.found()) return {};
  // On the far side of the bracket the pole that crosses is the rightmost.
  const double omega = std::abs(core::eigenvalues(closed_loop(loop, found.after))[0].imag());
  // det(z I − A − κ B C) = det(z I − A − B C) det(I + (1 − κ) T(z))
  const VectorXcd t = loci.eigenvalues(omega);
  const double residual = (1.0 + (1 - found.where) * t.array()).abs().minCoeff();
  if (!(residual < 1e-4))
    return {Margin::nan, Margin::nan,
            "from a gain of " + brief(found.where) +
                " on the poles are too inexact to tell the stable from the unstable"};
  return {found.where, omega, ""};
}

// Whether at ω an eigenvalue of f L is −1.
bool is_critical(const AxisResponse& open, const Loci& loci, double omega, Complex factor) {
  double residual = infinity;
  const MatrixXcd l = -open.matrix(omega);
  // Beside a pole of A the other eigenvalues drown in rounding: then from the closed loop.
  if (l.allFinite() && l.norm() < 1e8)
    residual = (1.0 + factor * core::eigenvalues(l).array()).abs().minCoeff();
  else
    residual = (1.0 + (1.0 - factor) * loci.eigenvalues(omega).array()).abs().minCoeff();
  return residual < 1e-6;
}

// The margins that a loop without states or channels has.
void set_all_endless(StabilityMargins& out, const std::string& reason) {
  for (Margin* m : {&out.gain_up, &out.phase, &out.delay}) *m = {infinity, Margin::nan, reason};
  out.gain_down = {0, Margin::nan, reason};
}

}  // namespace

MatrixXd closed_loop(const BrokenLoop& loop, double gain) {
  return loop.a + gain * (loop.b * loop.c);
}

VectorXd frequency_grid(const VectorXcd& poles, const FrequencyOptions& options) {
  if (options.points < 2) throw std::invalid_argument("a grid has two points at least");
  double lowest = infinity, highest = 0;
  for (const Complex p : poles) highest = std::max(highest, std::abs(p));
  // Poles that are 0 but for rounding frame nothing.
  for (const Complex p : poles)
    if (std::abs(p) > epsilon * static_cast<double>(poles.size()) * highest)
      lowest = std::min(lowest, std::abs(p));
  const bool has_scale = highest > 0;
  lowest = options.lowest != 0 ? options.lowest : has_scale ? lowest / 10 : 0.1;
  highest = options.highest != 0 ? options.highest : has_scale ? 10 * highest : 10;
  const double step = 0.01, start = std::log(lowest), end = std::log(highest);
  if (!(lowest > 0) || !(end > start) || !std::isfinite(highest))
    throw std::invalid_argument("frequencies go from a lowest > 0 to a higher one");

  // Small steps of equal G, of which every so many-th is taken.
  std::vector<double> u{start};
  while (u.back() < end) {
    const double omega = std::exp(u.back());
    const double d = poles.size() == 0 ? omega : distance(poles, omega);
    u.push_back(u.back() + step * std::clamp(d / omega, 1e-3, 1.0));
  }
  // The last step ends beyond the end: it counts as the part of it that is used.
  const double before = u[u.size() - 2], part = (end - before) / (u.back() - before);
  u.back() = end;
  const auto whole = static_cast<double>(u.size() - 2);
  VectorXd grid(options.points);
  for (Index k = 0; k < options.points; ++k) {
    const double g = (whole + part) * static_cast<double>(k) / static_cast<double>(grid.size() - 1);
    const double j = std::min(std::floor(g), whole);
    const double share = std::min((g - j) / (j < whole ? 1 : part), 1.0);
    const auto at = static_cast<std::size_t>(j);
    grid[k] = std::exp(u[at] + share * (u[at + 1] - u[at]));
  }
  grid[0] = lowest;
  grid[grid.size() - 1] = highest;
  return grid;
}

FrequencyResponse frequency_response(const BrokenLoop& loop, const FrequencyOptions& options) {
  check(loop);
  const Index n = loop.a.rows(), p = loop.b.cols();
  VectorXcd poles(2 * n);
  poles << core::eigenvalues(loop.a), core::eigenvalues(closed_loop(loop));
  FrequencyResponse out;
  out.frequency = frequency_grid(poles, options);
  const Index points = out.frequency.size();
  out.loci = MatrixXcd::Zero(points, p);
  out.largest = out.smallest = VectorXd::Zero(points);
  if (n == 0 || p == 0) return out;

  const AxisResponse open(loop.a, loop);
  Follower follower(open);
  for (Index j = 0; j < points; ++j) {
    out.loci.row(j) = follower.loci(out.frequency[j]).transpose();
    // [Re, −Im; Im, Re] has the singular values of L, each twice.
    const MatrixXcd& l = follower.matrix();
    MatrixXd real(2 * p, 2 * p);
    real << l.real(), -l.imag(), l.imag(), l.real();
    const VectorXd s = core::svd(real).s;
    out.largest[j] = s[0];
    out.smallest[j] = s[2 * p - 1];
  }
  return out;
}

StabilityMargins stability_margins(const BrokenLoop& loop, const MarginOptions& options) {
  check(loop);
  if (!(options.gain_limit > 1) || !(options.gain_step > 1) || options.samples < 100)
    throw std::invalid_argument("a gain limit and step > 1 and 100 samples at least are needed");
  StabilityMargins out;
  const MatrixXd closed = closed_loop(loop);
  const VectorXcd poles = core::eigenvalues(closed);
  out.abscissa = poles.size() == 0 ? -infinity : poles[0].real();
  if (!(out.abscissa < -rounding(closed))) {
    const std::string reason = out.abscissa > rounding(closed)
                                   ? "the closed loop is unstable: max Re λ = "
                                   : "the closed loop has a pole on the axis: max Re λ = ";
    for (Margin* m : {&out.gain_up, &out.gain_down, &out.phase, &out.delay})
      m->reason = reason + brief(out.abscissa);
    return out;
  }
  if (loop.a.rows() == 0 || loop.b.cols() == 0) {
    set_all_endless(out, "there is no loop");
    return out;
  }

  const Loci loci(loop, closed, poles, options);
  out.gain_up = gain_margin(loop, loci, options, true);
  if (std::isnan(out.gain_up.value) && out.gain_up.reason.empty()) {
    out.gain_up.value = infinity;
    out.gain_up.reason = "no pole reaches the axis up to a gain of " + brief(options.gain_limit);
  }
  out.gain_down = gain_margin(loop, loci, options, false);
  if (std::isnan(out.gain_down.value) && out.gain_down.reason.empty()) {
    out.gain_down.value = 0;
    out.gain_down.reason = "no pole reaches the axis however weak the loop is";
  }

  const Crossing by_phase =
      nearest_on_circle(loci, [](double phase, double) { return std::abs(phase); });
  const Crossing by_delay =
      nearest_on_circle(loci, [](double phase, double omega) { return lag(phase) / omega; });
  if (!std::isfinite(by_phase.value)) {
    out.phase = out.delay = {infinity, Margin::nan, "no locus reaches modulus 1"};
  } else {
    const AxisResponse open(loop.a, loop);
    const auto confirmed = [&](const Crossing& at, double angle) {
      if (is_critical(open, loci, at.omega, std::polar(1.0, -angle)))
        return Margin{at.value, at.omega, ""};
      return Margin{Margin::nan, Margin::nan,
                    "the crossing of modulus 1 at ω = " + brief(at.omega) +
                        " is too inexact to be confirmed"};
    };
    out.phase_is_lag = by_phase.phase > 0;
    out.phase = confirmed(by_phase, by_phase.phase);
    out.delay = confirmed(by_delay, by_delay.value * by_delay.omega);
  }
  if (!loci.is_resolved())
    for (Margin* m : {&out.gain_up, &out.gain_down, &out.phase, &out.delay})
      m->reason += std::string(m->reason.empty() ? "" : "; ") +
                   "a nearer one may be missed: " + std::to_string(options.samples) +
                   " samples don't resolve the loci";
  return out;
}

}  // namespace settle::analysis
