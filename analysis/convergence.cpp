// Measures of how a trajectory converges.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "analysis/measures.hpp"
#include "analysis/path.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;
using core::QuantityAxis;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

/// The rate at which the residual ‖T ẋ‖∞ decayed at last: minus the slope of ln of its envelope,
/// fitted over the last two decades above the solver's own error (up to six where it rings slowly).
class DecayRate final : public Measure {
 public:
  std::vector<Quantity> quantities(const Run& run) const override {
    return {declare("decay_rate", "1/time",
                    "decay rate of the residual, fitted over its last decades in phase " +
                        run.phase_result().name)};
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    const solve::PhaseResult& phase = subject.run.phase_result();
    const std::string source = subject.system().changing_source(phase.segment, phase.end);
    std::string reason;
    if (subject.has_left())
      reason = "the trial diverged";
    else if (phase.skipped[at(subject.trial)])
      reason = without_the_way;
    else if (!source.empty())
      reason = "the circuit is driven by \"" + source + "\"";
    else
      out[0].set(0, fit(phase.histories[at(subject.trial)].bins(), subject.run.config.solver.rtol,
                        reason));
    out[0].missing(reason);
  }

 private:
  using Bin = solve::ResidualHistory::Bin;

  // ln of the residual against time.
  struct Line {
    double slope, worst;  // worst: the largest deviation
  };
  static Line line_through(const std::vector<Bin>& bins) {
    double n = 0, st = 0, sy = 0, stt = 0, sty = 0;
    for (const Bin& bin : bins) {
      const double y = std::log(bin.value), t = bin.time - bins.front().time;
      n += 1;
      st += t;
      sy += y;
      stt += t * t;
      sty += t * y;
    }
    Line line{(n * sty - st * sy) / (n * stt - st * st), 0};
    const double offset = (sy - line.slope * st) / n;
    for (const Bin& bin : bins)
      line.worst = std::max(line.worst, std::abs(std::log(bin.value) - offset -
                                                 line.slope * (bin.time - bins.front().time)));
    return line;
  }

  // The last stretch in which the residual stands above the noise, and is within a factor `span` of
  // its end. Where it rings, it dips into the noise for less than eight bins.
  static std::vector<Bin> last_stretch(const std::vector<Bin>& all, double rtol, double span) {
    const auto is_noise = [&](const Bin& bin) { return bin.value <= 10 * rtol * bin.scale; };
    std::vector<Bin> bins;
    for (auto bin = all.rbegin(); bin != all.rend(); ++bin) {
      if (is_noise(*bin)) continue;
      if (!bins.empty() &&
          (bin->value > span * bins.front().value || bins.back().index - bin->index > 8))
        break;
      bins.push_back(*bin);
    }
    std::reverse(bins.begin(), bins.end());
    return bins;
  }

  static std::vector<Bin> maxima(const std::vector<Bin>& bins) {
    std::vector<Bin> out;
    for (std::size_t b = 1; b + 1 < bins.size(); ++b)
      if (bins[b].value >= bins[b - 1].value && bins[b].value > bins[b + 1].value)
        out.push_back(bins[b]);
    return out;
  }

  static double fit(const std::vector<Bin>& all, double rtol, std::string& reason) {
    const std::vector<Bin> bins = last_stretch(all, rtol, 100);
    if (bins.size() < 6) {
      reason = "too few steps above the solver's own error";
      return nan;
    }
    // Its envelope: local maxima where it rings, over as many decades as it takes to have four of
    // them; all bins where it falls monotonically.
    std::vector<Bin> envelope = maxima(bins);
    for (double span = 1e4; !envelope.empty() && envelope.size() < 4 && span <= 1e6; span *= 100)
      envelope = maxima(last_stretch(all, rtol, span));
    if (envelope.size() < 4) envelope = bins;
    if (envelope.size() < 4) {
      reason = "the last two decades passed within a few steps";
      return nan;
    }
    // A mixture of modes is not one: both halves must agree, or else the later half alone is asked.
    while (envelope.size() >= 8) {
      const auto middle = envelope.begin() + static_cast<std::ptrdiff_t>(envelope.size() / 2);
      const Line early = line_through({envelope.begin(), middle});
      const Line late = line_through({middle, envelope.end()});
      if (std::abs(early.slope - late.slope) <= 0.15 * std::abs(late.slope)) break;
      envelope.erase(envelope.begin(), middle);
    }
    const Line line = line_through(envelope);
    if (line.worst > (envelope.size() < 8 ? 0.1 : 0.3)) {
      reason = "the residual does not fall like one exponential";
      return nan;
    }
    const double slope = line.slope;
    if (-slope * (envelope.back().time - envelope.front().time) < 0.1) {
      reason = "the residual does not decay";
      return nan;
    }
    return -slope;
  }
};

/// How the state as a whole, each node, and each controller's error, comes from where it is at the phase's beginning to its
/// state of rest x*:
///
///     settling_time      until ‖x(t) − x*‖ ≤ band · ‖x(0) − x*‖ for good
///     rise_time          from 10 to 90 % of the way, s(t) = ⟨x(t) − x(0), x* − x(0)⟩/‖x* − x(0)‖²
///     overshoot          max s − 1, where it is above 0
///     ringing_frequency  π over the median time between turning points of s (angular)
///     largest_excursion  max over t of ‖x(t) − x*‖/‖x(0) − x*‖
///
/// x* is the equilibrium where one was found, and it is stable; else the end where that has settled.
/// Times are since the beginning of the phase in which the node moved last.
class Response final : public Measure {
 public:
  std::vector<Quantity> quantities(const Run& run) const override {
    std::vector<std::string> names;
    for (const Signal& one : signals(run)) names.push_back(one.name);
    const QuantityAxis signal = label_axis(
        "signal", "the state as a whole, a population, controller or error", std::move(names));
    const QuantityAxis band = band_axis(run);
    std::vector<Quantity> out = {
        declare("settling_time", "time", "time after which it stays within the band about rest",
                {signal, band}),
        declare("rise_time", "time", "time from 10 to 90 % of the way to rest", {signal}),
        declare("overshoot", "1", "how far it goes beyond rest, over the way", {signal}),
        declare("ringing_frequency", "1/time", "angular frequency of the ringing about rest",
                {signal}),
        declare("largest_excursion", "1", "largest distance from rest over that at the start",
                {signal})};
    for (Quantity& quantity : out) quantity.reasons.resize(1);
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    const std::vector<Signal> all = signals(subject.run);
    const auto [rest, why_not] = state_of_rest(subject);
    const std::vector<double> bands = settling_bands(subject.run);
    std::vector<std::optional<Path>> paths(subject.run.summary.phases.size());
    for (std::size_t s = 0; s < all.size(); ++s) {
      const auto cell = static_cast<Index>(s);
      std::string reason = why_not;
      if (reason.empty() && all[s].phase < 0) reason = "it moves in no phase";
      if (reason.empty() && subject.run.summary.phases[at(all[s].phase)].skipped[at(subject.trial)])
        reason = without_the_way;
      if (reason.empty()) {
        auto& path = paths[at(all[s].phase)];
        if (!path)
          path.emplace(subject.system(), subject.run.trajectories.of(subject.trial), all[s].phase);
        reason = measure(subject, all[s], *path, rest, cell, bands, out);
      }
      if (reason.empty()) continue;
      for (std::size_t b = 0; b < bands.size(); ++b)
        out[0].missing(cell * static_cast<Index>(bands.size()) + static_cast<Index>(b), reason);
      for (std::size_t q = 1; q < out.size(); ++q) out[q].missing(cell, reason);
    }
  }

 private:
  struct Signal {
    std::string name;
    int node;   // −1: all states
    int phase;  // in which it moved last, up to the measured one; −1: none
  };

  static std::vector<Signal> signals(const Run& run) {
    const system::Circuit& circuit = run.system.circuit();
    std::vector<char> owned(circuit.nodes.size(), 0);
    for (const system::Controller& c : circuit.controllers)
      for (const int node : {c.control, c.error, c.integral, c.derivative})
        if (node >= 0) owned[at(node)] = 1;
    const auto last_phase = [&](const std::vector<int>& states) {
      for (auto p = static_cast<int>(run.phase); p >= 0; --p)
        for (const int node : states)
          if (!run.system.is_held({p, 0, 0}, node)) return p;
      return -1;
    };
    std::vector<Signal> out = {{"state", -1, last_phase(run.system.dynamic_nodes())}};
    for (std::size_t i = 0; i < circuit.nodes.size(); ++i) {
      if (owned[i]) continue;
      const auto node = static_cast<int>(i);
      out.push_back({circuit.nodes[i].name, node,
                     circuit.nodes[i].instantaneous() ? last_phase(run.system.dynamic_nodes())
                                                      : last_phase({node})});
    }
    for (const system::Controller& c : circuit.controllers) {
      std::vector<int> states;
      for (const int node : {c.integral, c.derivative})
        if (node >= 0) states.push_back(node);
      if (states.empty())
        for (const int edge : c.measured_edges)
          if (const int from = circuit.edges[at(edge)].from; run.system.offset(from) >= 0)
            states.push_back(from);
      const int phase = last_phase(states);
      out.push_back({c.name, c.control, phase});
      out.push_back({c.name + ".error", c.error, phase});
    }
    return out;
  }

  // x*, or why there is none.
  static std::pair<VectorXd, std::string> state_of_rest(const Subject& subject) {
    if (subject.has_left()) return {{}, "the trial diverged"};
    if (subject.run.trajectories.of(subject.trial).size() == 0)
      return {{}, "the trajectory was not kept"};
    const solve::Equilibrium& found = subject.equilibrium();
    if (found.converged) {
      const Linearisation* linearisation = subject.linearisation();
      if (linearisation && linearisation->stability() != Linearisation::Stability::unstable)
        return {found.x, ""};
      return {{}, "the equilibrium is unstable"};
    }
    const solve::Outcome outcome = subject.run.phase_result().outcomes[at(subject.trial)];
    if (outcome == solve::Outcome::settled) return {subject.end(), ""};
    return {{}, "it has no state of rest: " + found.reason};
  }

  static std::string measure(const Subject& subject, const Signal& signal, const Path& path,
                             const VectorXd& rest_state, Index cell,
                             const std::vector<double>& bands, std::vector<Cells>& out) {
    const VectorXd rest = path.value_at(signal.node, rest_state);
    const VectorXd start = path.value(signal.node, 0);
    const VectorXd way = rest - start;
    const double length = way.norm();
    if (!rest.allFinite() || !start.allFinite()) return "its states were not recorded";
    if (!(length > 1e-12 * std::max(rest.norm(), start.norm())))
      return "it is at rest from the start";

    VectorXd distance(static_cast<Index>(path.size())), progress(distance.size());
    for (std::size_t k = 0; k < path.size(); ++k) {
      const VectorXd x = path.value(signal.node, k);
      distance[static_cast<Index>(k)] = (x - rest).norm() / length;
      progress[static_cast<Index>(k)] = (x - start).dot(way) / (length * length);
    }
    if (!distance.allFinite()) return "its states were not recorded";
    const auto distance_at = [&](std::size_t k, double t) {
      return (path.value(signal.node, k, t) - rest).norm() / length;
    };
    const auto progress_at = [&](std::size_t k, double t) {
      return (path.value(signal.node, k, t) - start).dot(way) / (length * length);
    };

    const double begin = path.time(0);
    for (std::size_t b = 0; b < bands.size(); ++b) {
      const double band = bands[b], last = distance[distance.size() - 1];
      const Index place = cell * static_cast<Index>(bands.size()) + static_cast<Index>(b);
      if (last > band) {
        out[0].missing(place, core::brief(100 * last) + " % of the way from rest at the end");
        continue;
      }
      auto k = path.size() - 1;
      while (k > 0 && distance[static_cast<Index>(k - 1)] <= band) --k;
      const auto excess = [&](double t) { return distance_at(k - 1, t) - band; };
      out[0].set(place, k == 0 ? 0 : crossing(path, k - 1, excess) - begin);
    }

    const auto first_above = [&](double level) -> std::optional<double> {
      for (Index k = 1; k < progress.size(); ++k)
        if (progress[k] >= level && progress[k - 1] < level)
          return crossing(path, at(k - 1),
                          [&](double t) { return progress_at(at(k - 1), t) - level; });
      return std::nullopt;
    };
    const auto low = first_above(0.1), high = first_above(0.9);
    if (low && high)
      out[1].set(cell, *high - *low);
    else
      out[1].missing(cell, "it does not reach 90 % of the way");

    Index peak = 0;
    progress.maxCoeff(&peak);
    out[2].set(
        cell, std::max(0.0, turning_point(path, at(peak), progress_at, progress[peak]).second - 1));

    const auto period =
        ringing_period(path, progress, progress_at, 10 * subject.run.config.solver.rtol);
    if (period)
      out[3].set(cell, 2 * M_PI / *period);
    else
      out[3].missing(cell, "it does not ring");

    distance.maxCoeff(&peak);
    out[4].set(cell, turning_point(path, at(peak), distance_at, distance[peak]).second);
    return "";
  }

  // Twice the median time between turning points that lie more than `noise` apart; nullopt for fewer
  // than three of them. (Turning points, unlike crossings, are regular on top of a slow approach too.)
  template <class Function>
  static std::optional<double> ringing_period(const Path& path, const VectorXd& progress,
                                              const Function& progress_at, double noise) {
    std::vector<double> times;
    double last = progress[0];
    for (Index k = 1; k + 1 < progress.size(); ++k) {
      const double before = progress[k] - progress[k - 1], after = progress[k + 1] - progress[k];
      if (!(before * after < 0) || std::abs(progress[k] - last) < noise) continue;
      last = progress[k];
      const double sign = before > 0 ? 1 : -1;
      times.push_back(turning_point(
                          path, at(k),
                          [&](std::size_t i, double t) { return sign * progress_at(i, t); },
                          sign * last)
                          .first);
    }
    if (times.size() < 3) return std::nullopt;
    std::vector<double> spans;
    for (std::size_t k = 1; k < times.size(); ++k) spans.push_back(times[k] - times[k - 1]);
    std::nth_element(spans.begin(), spans.begin() + static_cast<std::ptrdiff_t>(spans.size() / 2),
                     spans.end());
    return 2 * spans[spans.size() / 2];
  }

  // Where f changes its sign between the samples k and k + 1, by bisection.
  template <class Function>
  static double crossing(const Path& path, std::size_t k, const Function& f) {
    double a = path.time(k), b = path.time(k + 1);
    const bool above = f(a) > 0;
    while (b - a > 1e-9 * std::max(std::abs(b), 1e-9)) {
      const double middle = a + (b - a) / 2;
      if (middle <= a || middle >= b) break;
      ((f(middle) > 0) == above ? a : b) = middle;
    }
    return a + (b - a) / 2;
  }

  // Time and value of the largest value next to sample k, by golden sections of both intervals.
  template <class Function>
  static std::pair<double, double> turning_point(const Path& path, std::size_t k, const Function& f,
                                                 double value) {
    constexpr double golden = 0.6180339887498949;
    double when = path.time(k);
    for (std::size_t from = k == 0 ? 0 : k - 1; from <= k && from + 1 < path.size(); ++from) {
      double a = path.time(from), b = path.time(from + 1);
      for (int i = 0; i < 25; ++i) {
        const double c = b - golden * (b - a), d = a + golden * (b - a);
        const double fc = f(from, c), fd = f(from, d);
        if (std::max(fc, fd) > value) {
          value = std::max(fc, fd);
          when = fc > fd ? c : d;
        }
        (fc > fd ? b : a) = fc > fd ? d : c;
      }
    }
    return {when, value};
  }
};

}  // namespace

std::unique_ptr<Measure> decay_rate() { return std::make_unique<DecayRate>(); }
std::unique_ptr<Measure> response() { return std::make_unique<Response>(); }

}  // namespace settle::analysis
