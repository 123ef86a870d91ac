// Measures of robustness: loops broken at a projection, and the non-normal growth of the whole.
#include <algorithm>
#include <cmath>
#include <complex>

#include "analysis/frequency.hpp"
#include "analysis/measures.hpp"
#include "analysis/path.hpp"
#include "analysis/plot_data.hpp"
#include "analysis/transient_growth.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;
using core::QuantityAxis;

constexpr Index most_instants = 60;  // along a trajectory

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// Why there is no dense Jacobian to decompose; "" where there is one.
std::string why_no_jacobian(const Subject& subject) {
  const Linearisation* linearisation = subject.linearisation();
  if (!linearisation) return subject.why_not_linearised();
  if (!linearisation->is_dense())
    return "more than " + std::to_string(subject.run.options.dense_limit) +
           " states (analysis.dense_limit)";
  return linearisation->jacobian().allFinite() ? "" : "the Jacobian is not finite";
}

// The edges at which loops are broken: those that the options name, or all projections in a loop.
std::vector<int> broken_edges(const Run& run) {
  const system::Circuit& circuit = run.system.circuit();
  const std::vector<int> component = components(circuit, circuit.phases[run.phase]);
  const auto& wanted = run.options.break_at;
  // The projections are the last edges; the others join the nodes of one controller.
  const std::size_t internal = circuit.edges.size() - run.config.circuit.projections.size();
  std::vector<int> out;
  for (std::size_t k = internal; k < circuit.edges.size(); ++k) {
    const auto edge = static_cast<int>(k);
    const bool named =
        std::find(wanted.begin(), wanted.end(), circuit.edges[k].name) != wanted.end();
    if (named || (wanted.empty() && is_in_a_loop(circuit, component, edge))) out.push_back(edge);
  }
  return out;
}

QuantityAxis projection_axis(const Run& run) {
  std::vector<std::string> names;
  for (const int edge : broken_edges(run))
    names.push_back(run.system.circuit().edges[at(edge)].name);
  return label_axis("projection", "projection at which the loop is broken", std::move(names));
}

// Channels of the loop broken there: the narrower side of the projection.
Index channels(const Run& run, int edge) {
  const system::Edge& e = run.system.circuit().edges[at(edge)];
  return std::min(e.weights->rows(), e.weights->cols());
}

BrokenLoop broken_at(const Linearisation& linearisation, int edge) {
  const system::Edge& e = linearisation.problem().system.circuit().edges[at(edge)];
  const MatrixXd b = linearisation.input(e.to), w = linearisation.edge(edge),
                 c = linearisation.output(e.from);
  const bool at_receiver = w.rows() <= w.cols();
  BrokenLoop loop{{}, at_receiver ? b : MatrixXd(b * w), at_receiver ? MatrixXd(w * c) : c};
  loop.a = linearisation.jacobian() - loop.b * loop.c;
  return loop;
}

/// Gain, phase and delay that the linearised circuit bears in one projection, all its channels alike.
class LoopMargins final : public Measure {
 public:
  bool is_of_jacobian() const override { return true; }
  bool is_standard() const override { return false; }

  std::vector<Quantity> quantities(const Run& run) const override {
    const QuantityAxis axis = projection_axis(run);
    if (axis.size == 0) return {};
    std::vector<Quantity> out;
    const auto add = [&](const std::string& name, const std::string& units,
                         const std::string& long_name) {
      out.push_back(declare(name, units, long_name, {axis}));
      out.push_back(declare(name + "_frequency", "1/time",
                            "angular frequency at which a pole reaches the axis there", {axis}));
    };
    add("gain_margin", "1", "smallest factor > 1 on the projection at which stability is lost");
    add("gain_reduction_margin", "1", "largest factor < 1 on the projection at which it is lost");
    add("phase_margin", "degree", "smallest phase shift in the projection at which it is lost");
    add("delay_margin", "time", "smallest delay in the projection at which it is lost");
    for (Quantity& quantity : out) quantity.reasons.resize(1);
    return out;
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    if (out.empty()) return;
    const std::string why_not = why_no_jacobian(subject);
    Index cell = 0;
    for (const int edge : broken_edges(subject.run)) {
      if (!why_not.empty()) {
        for (Cells& cells : out) cells.missing(cell, why_not);
      } else {
        const StabilityMargins found =
            analysis::stability_margins(broken_at(*subject.linearisation(), edge));
        const Margin* margins[] = {&found.gain_up, &found.gain_down, &found.phase, &found.delay};
        for (std::size_t k = 0; k < 4; ++k) {
          const double scale = margins[k] == &found.phase ? 180 / M_PI : 1;
          out[2 * k].set(cell, scale * margins[k]->value);
          out[2 * k + 1].set(cell, margins[k]->frequency);
          out[2 * k].missing(cell, margins[k]->reason);
          if (std::isnan(margins[k]->frequency)) out[2 * k + 1].missing(cell, margins[k]->reason);
        }
      }
      ++cell;
    }
  }
};

/// The return ratio L(iω) = −C (iωI − A)⁻¹ B of the loop broken at each projection: its characteristic
/// loci (Nyquist, critical point −1) and its largest singular value (Bode).
class ReturnRatio final : public Measure {
 public:
  bool is_of_jacobian() const override { return true; }
  bool is_standard() const override { return false; }

  std::vector<Quantity> quantities(const Run& run) const override {
    const QuantityAxis projection = projection_axis(run);
    if (projection.size == 0) return {};
    const QuantityAxis sample =
        index_axis("frequency_sample", "frequencies of a response", run.options.frequencies);
    Index most = 0;
    for (const int edge : broken_edges(run)) most = std::max(most, channels(run, edge));
    const QuantityAxis locus = index_axis("locus", "characteristic loci, largest first", most);
    return {declare("response_frequency", "1/time", "angular frequency of the sample",
                    {projection, sample}),
            declare("return_ratio_real", "1", "real part of the characteristic locus",
                    {projection, sample, locus}),
            declare("return_ratio_imag", "1", "imaginary part of the characteristic locus",
                    {projection, sample, locus}),
            declare("return_ratio_largest", "1", "largest singular value of the return ratio",
                    {projection, sample}),
            declare("return_ratio_smallest", "1", "smallest singular value of the return ratio",
                    {projection, sample})};
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    if (out.empty()) return;
    const std::string why_not = why_no_jacobian(subject);
    if (!why_not.empty()) {
      for (Cells& cells : out) cells.missing(why_not);
      return;
    }
    const std::vector<int> edges = broken_edges(subject.run);
    const Index samples = subject.run.options.frequencies;
    Index loci = 0;
    for (const int edge : edges) loci = std::max(loci, channels(subject.run, edge));
    FrequencyOptions options;
    options.points = samples;
    for (std::size_t e = 0; e < edges.size(); ++e) {
      const FrequencyResponse found =
          frequency_response(broken_at(*subject.linearisation(), edges[e]), options);
      if (found.loci.cols() < loci)
        for (const std::size_t q : {1, 2})
          out[q].missing("a loop has as many loci as its projection has channels");
      for (Index j = 0; j < std::min(samples, found.frequency.size()); ++j) {
        const Index cell = static_cast<Index>(e) * samples + j;
        out[0].set(cell, found.frequency[j]);
        out[3].set(cell, found.largest[j]);
        out[4].set(cell, found.smallest[j]);
        for (Index k = 0; k < found.loci.cols(); ++k) {
          out[1].set(cell * loci + k, found.loci(j, k).real());
          out[2].set(cell * loci + k, found.loci(j, k).imag());
        }
      }
    }
  }
};

/// Of M, the Jacobian of the circuit as a whole, in the coordinates of its states (rates r and integrals
/// ξ): how far a perturbation may grow before it decays, and how far M is from an unstable matrix.
class Nonnormality final : public Measure {
 public:
  bool is_of_jacobian() const override { return true; }
  bool is_standard() const override { return false; }

  std::vector<Quantity> quantities(const Run& run) const override {
    const std::string of = " (2-norm of the states as they are)";
    const double epsilon = epsilon_of(run);
    return {declare("numerical_abscissa", "1/time", "largest growth rate at t = 0" + of),
            declare("largest_growth", "1", "largest norm of e^{Mt} over t >= 0" + of),
            declare("largest_growth_time", "time", "when that is"),
            declare("kreiss_constant", "1", "Kreiss constant of M" + of),
            declare("pseudospectral_abscissa", "1/time",
                    "largest real part in the pseudospectrum of M for epsilon = " +
                        core::brief(epsilon)),
            declare("distance_to_instability", "1/time",
                    "norm of the smallest complex perturbation of M that makes it unstable"),
            declare("distance_to_instability_frequency", "1/time",
                    "angular frequency at which it does")};
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    const std::string why_not = why_no_jacobian(subject);
    if (!why_not.empty()) {
      for (Cells& cells : out) cells.missing(why_not);
      return;
    }
    const MatrixXd& m = subject.linearisation()->jacobian();
    out[0].set(0, core::numerical_abscissa(m));
    const TransientGrowth growth = transient_growth(m);
    out[1].set(0, growth.value);
    out[1].missing(growth.reason);
    out[2].set(0, growth.time);
    out[2].missing(growth.reason);
    const KreissConstant kreiss = kreiss_constant(m);
    out[3].set(0, kreiss.value);
    out[3].missing(kreiss.reason);
    const PseudospectralAbscissa pseudo = pseudospectral_abscissa(m, epsilon_of(subject.run));
    out[4].set(0, pseudo.value);
    out[4].missing(pseudo.reason);
    const DistanceToInstability distance = distance_to_instability(m);
    out[5].set(0, distance.value);
    out[5].missing(distance.reason);
    out[6].set(0, distance.frequency);
    out[6].missing(distance.reason);
  }

 private:
  static double epsilon_of(const Run& run) {
    return run.options.epsilon.value_or(0.01 / run.system.tau().maxCoeff());
  }
};

/// σ_min(zI − M) on a grid that frames the poles.
class PseudospectrumGrid final : public Measure {
 public:
  bool is_of_jacobian() const override { return true; }
  bool is_standard() const override { return false; }

  std::vector<Quantity> quantities(const Run& run) const override {
    const std::optional<PseudospectrumOptions> options = grid_of(run);
    if (!options) return {};
    const auto axis = [&](const std::string& name, const std::string& long_name, double low,
                          double high, Index points) {
      QuantityAxis out = index_axis(name, long_name, points);
      for (Index k = 0; k < points; ++k)
        out.numbers.push_back(low + (high - low) * static_cast<double>(k) /
                                        static_cast<double>(points - 1));
      out.units = "1/time";
      return out;
    };
    const Region& region = *options->region;
    return {declare("pseudospectrum", "1/time", "smallest singular value of zI - M",
                    {axis("pseudospectrum_im", "imaginary part of z", region.im_min, region.im_max,
                          options->im_points),
                     axis("pseudospectrum_re", "real part of z", region.re_min, region.re_max,
                          options->re_points)})};
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    const std::optional<PseudospectrumOptions> options = grid_of(subject.run);
    if (!options || out.empty()) return;
    const std::string why_not = why_no_jacobian(subject);
    if (!why_not.empty()) {
      out[0].missing(why_not);
      return;
    }
    const Pseudospectrum found =
        analysis::pseudospectrum(subject.linearisation()->jacobian(), *options);
    out[0].missing(found.reason);
    for (Index i = 0; i < found.sigma.rows(); ++i)
      for (Index j = 0; j < found.sigma.cols(); ++j)
        out[0].set(i * found.sigma.cols() + j, found.sigma(i, j));
  }

 private:
  // The region of the first trial, for all.
  static std::optional<PseudospectrumOptions> grid_of(const Run& run) {
    const Subject first(run, 0);
    if (!why_no_jacobian(first).empty()) return std::nullopt;
    PseudospectrumOptions options;
    options.region = spectral_region(first.linearisation()->jacobian());
    options.re_points = options.im_points = run.options.grid;
    return options;
  }
};

/// The rightmost pole of the circuit as a whole at states along the trajectory of the measured phase.
class PolesAlong final : public Measure {
 public:
  bool is_standard() const override { return false; }

  std::vector<Quantity> quantities(const Run& run) const override {
    QuantityAxis instant = index_axis("instant", "times along the trajectory", 0);
    instant.numbers = instants(run);
    instant.size = static_cast<Index>(instant.numbers.size());
    instant.units = "time";
    if (instant.size == 0) return {};
    return {
        declare("pole_along", "1/time", "real part of the rightmost pole at that time", {instant}),
        declare("pole_along_angular_frequency", "1/time", "imaginary part of that pole (>= 0)",
                {instant})};
  }

  void measure(const Subject& subject, std::vector<Cells>& out) const override {
    if (out.empty()) return;
    const Run& run = subject.run;
    Index cell = 0;
    bool any = false, all = true;
    const Path path(subject.system(), run.trajectories.of(subject.trial),
                    static_cast<int>(run.phase));
    std::size_t k = 0;
    for (const double t : instants(run)) {
      while (k + 1 < path.size() && path.time(k + 1) <= t) ++k;
      const bool is_there = path.size() > 0 && path.time(path.size() - 1) >= t;
      const VectorXd x = !is_there ? VectorXd::Constant(run.system.dimension(), std::nan(""))
                         : path.time(k) == t ? path.state(k)
                                             : path.state(k, t);
      const Linearisation here({subject.system(), run.whole(), t}, x, run.options.dense_limit);
      const auto pole = x.allFinite() && here.is_dense() ? here.rightmost() : std::nullopt;
      any = any || pole;
      all = all && pole;
      if (pole) {
        out[0].set(cell, pole->real());
        out[1].set(cell, std::abs(pole->imag()));
      }
      ++cell;
    }
    for (Cells& cells : out)
      if (!any)
        cells.missing("no state along the trajectory could be linearised");
      else if (!all)
        cells.missing("the trial had left, or the eigenvalue iteration did not converge");
  }

 private:
  // Some of the times at which the first trial's steps ended.
  static std::vector<double> instants(const Run& run) {
    const solve::Trajectory& path = run.trajectories.of(0);
    const auto [first, last] = path.of_phase(static_cast<int>(run.phase));
    std::vector<double> out;
    for (const Index k : evenly_chosen(static_cast<Index>(last - first), most_instants))
      out.push_back(path.time(first + at(k)));
    return out;
  }
};

}  // namespace

std::unique_ptr<Measure> loop_margins() { return std::make_unique<LoopMargins>(); }
std::unique_ptr<Measure> return_ratio() { return std::make_unique<ReturnRatio>(); }
std::unique_ptr<Measure> nonnormality() { return std::make_unique<Nonnormality>(); }
std::unique_ptr<Measure> pseudospectrum_grid() { return std::make_unique<PseudospectrumGrid>(); }
std::unique_ptr<Measure> poles_along() { return std::make_unique<PolesAlong>(); }

}  // namespace settle::analysis
