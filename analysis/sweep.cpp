#include "analysis/sweep.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "analysis/prediction.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;
using core::Value;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// The measures that a point is asked for: those of the file, and the prediction beside them.
AnalysisOptions with_prediction(AnalysisOptions options) {
  if (options.measures.empty())
    for (const auto& entry : measures().entries())
      if (entry.make()->is_standard()) options.measures.push_back(entry.name);
  options.measures.emplace_back("prediction");
  return options;
}

AnalysisOptions options_of(const Value& file) {
  const Value* table = file.find("analysis");
  return with_prediction(table ? core::read<AnalysisOptions>(*table, "analysis")
                               : AnalysisOptions{});
}

// What the step loop says of every trial, as quantities.
std::vector<Quantity> outcome_of(const solve::SolveSummary& summary) {
  std::vector<Quantity> out = {
      declare("outcome", "1", "how the run ended"),
      declare("outcome_reason", "1", "why the run ended so"),
      declare("settled_at", "time", "when the residual fell below tolerance for good"),
      declare("final_residual", "1", "relative residual at the end")};
  const auto trials = static_cast<Index>(summary.trials.size());
  out[0].meanings = solve::outcome_names();
  for (Quantity& quantity : out) {
    quantity.values = MatrixXd::Constant(1, trials, nan);
    quantity.reasons.assign(at(trials), "");
  }
  for (Index k = 0; k < trials; ++k) {
    const solve::TrialResult& trial = summary.trials[at(k)];
    out[0].values(0, k) = static_cast<double>(trial.outcome);
    out[1].texts.push_back(trial.reason);
    out[2].values(0, k) = trial.settled_at;
    out[3].values(0, k) = trial.residual;
    if (!std::isfinite(trial.settled_at))
      out[2].reasons[at(k)] = trial.skipped ? without_the_way : "it did not settle";
    if (!std::isfinite(trial.residual)) out[3].reasons[at(k)] = "the trial diverged";
  }
  return out;
}

// Keeps the trajectory for the measures, the samples for the file, and ends where it is told to.
class PointObserver final : public solve::Observer {
 public:
  PointObserver(const system::OdeSystem& system, const models::Config& config,
                io::PointRecorder* recorder, const std::function<bool()>& go_on,
                std::size_t most_bytes)
      : recorder_(recorder), go_on_(go_on), trajectories_(system, most_bytes) {
    // Methods without dense output step onto the samples: so they must here for the same bits.
    const bool dense = solve::methods()
                           .find(solve::chosen_method(system, config.solver))
                           ->make()
                           ->has_dense_output();
    if (recorder || !dense) sampling_ = io::sampling_of(config.record);
  }

  solve::Sampling sampling() const override { return sampling_; }
  void sample(double t, const system::ConstBlock& x, system::Workspace& workspace) override {
    if (recorder_) recorder_->sample(t, x, workspace);
  }
  bool wants_states() const override { return true; }
  void arrive(int phase, Index trial, double t, const VectorXd& x) override {
    trajectories_.add(phase, trial, t, x);
  }
  bool step(const solve::Progress&) override { return go_on_(); }
  const solve::Trajectories& trajectories() const { return trajectories_; }

 private:
  io::PointRecorder* recorder_;
  const std::function<bool()>& go_on_;
  solve::Sampling sampling_{.interval = std::numeric_limits<double>::infinity()};
  solve::Trajectories trajectories_;
};

}  // namespace

SweepStudy::SweepStudy(Value file, std::filesystem::path base, bool quick)
    : file_(std::move(file)), base_(std::move(base)), spec_(read_sweep(*file_.find("sweep"))) {
  if (quick)
    for (SweepAxis& axis : spec_.axes)
      if (axis.values.size() > 2) axis.values = {axis.values.front(), axis.values.back()};
  // A value that can be none of its parameter's is a mistake in the file, not a point that fails: each one is
  // bound once, the other axes being at their first.
  std::size_t stride = spec_.points();
  for (const SweepAxis& axis : spec_.axes) {
    stride /= axis.values.size();
    for (std::size_t k = 0; k < axis.values.size(); ++k) {
      const Value point = with_point(file_, spec_, k * stride);
      models::read_config(point, base_);
      options_of(point);
    }
  }
}

std::vector<io::SweepDimension> SweepStudy::dimensions() const {
  std::vector<io::SweepDimension> out;
  for (const SweepAxis& axis : spec_.axes) {
    io::SweepDimension dimension;
    dimension.name = axis.name;
    dimension.long_name = core::join(axis.parameters);
    dimension.logarithmic = axis.logarithmic;
    if (axis.is_numeric())
      dimension.numbers = axis.numbers();
    else
      dimension.labels = axis.labels();
    out.push_back(std::move(dimension));
  }
  return out;
}

namespace {

// A point on its way.
struct Point {
  explicit Point(std::size_t number) { result.point = number; }

  void prepare(const Value& file, const std::filesystem::path& base, const SweepSpec& spec,
               const std::function<bool()>& go_on, std::size_t most_bytes) {
    const Value own = with_point(file, spec, result.point);
    config = models::read_config(own, base);
    options = options_of(own);
    result.system =
        std::make_unique<system::OdeSystem>(system::compile(models::build_circuit(config)));
    result.trials = result.system->trials();
    if (spec.keep == "trajectories")
      result.trajectories = std::make_unique<io::PointRecorder>(*result.system, config.record);
    observer = std::make_unique<PointObserver>(*result.system, config, result.trajectories.get(),
                                               go_on, most_bytes);
    x0 = result.system->initial_state();
  }

  void measure_all(const solve::SolveSummary& summary) {
    if (summary.status == solve::SolveSummary::Status::interrupted) {
      result.interrupted = true;
      return;
    }
    result.quantities = outcome_of(summary);
    const auto phase = static_cast<std::size_t>(
        measured_phase(result.system->circuit(), options.phase, summary.phases.size()));
    for (Quantity& quantity :
         measure({config, *result.system, summary, observer->trajectories(), options, phase}))
      result.quantities.push_back(std::move(quantity));
    result.numbers = {{"steps", static_cast<double>(summary.steps)},
                      {"rejections", static_cast<double>(summary.rejections)},
                      {"evaluations", static_cast<double>(summary.evaluations)}};
  }

  // Whether f could do its work; what went wrong is the point's failure.
  template <class F>
  bool attempt(const F& f) {
    if (result.failure.empty()) try {
        f();
      } catch (const std::exception& error) {
        result.failure = error.what();
      }
    return result.failure.empty();
  }

  models::Config config;
  AnalysisOptions options;
  MatrixXd x0;
  std::unique_ptr<PointObserver> observer;
  PointResult result;
};

}  // namespace

std::vector<PointResult> SweepStudy::run(const std::vector<std::size_t>& numbers,
                                         const std::function<bool()>& go_on) const {
  constexpr std::size_t most_bytes = std::size_t{256} << 20;
  std::vector<Point> points(numbers.begin(), numbers.end());
  std::vector<solve::Task> tasks;
  std::vector<Point*> running;
  for (Point& point : points) {
    const auto prepare = [&] {
      point.prepare(file_, base_, spec_, go_on, most_bytes / points.size());
      solve::check(*point.result.system, point.config.solver);
    };
    if (!point.attempt(prepare)) continue;
    tasks.push_back({*point.result.system, point.x0, point.config.solver, *point.observer});
    running.push_back(&point);
  }
  const std::vector<solve::SolveSummary> summaries = solve::solve(tasks);
  for (std::size_t k = 0; k < running.size(); ++k)
    running[k]->attempt([&] { running[k]->measure_all(summaries[k]); });
  std::vector<PointResult> out;
  for (Point& point : points) out.push_back(std::move(point.result));
  return out;
}

std::vector<std::size_t> SweepStudy::continuous_axes() const {
  std::vector<std::size_t> out;
  for (std::size_t a = 0; a < spec_.axes.size() && out.size() < 2; ++a) {
    const SweepAxis& axis = spec_.axes[a];
    if (!axis.is_numeric() || axis.values.size() < 2) continue;
    const std::vector<double> x = axis.numbers();
    if (!std::is_sorted(x.begin(), x.end()) && !std::is_sorted(x.rbegin(), x.rend())) continue;
    if (std::set<double>(x.begin(), x.end()).size() != x.size()) continue;
    try {
      const double inside = 0.43 * x[0] + 0.57 * x[1];
      models::read_config(with_numbers(with_point(file_, spec_, 0), spec_, {a}, {inside}), base_);
      out.push_back(a);
    } catch (const core::InputError&) {
      // It takes whole numbers alone.
    }
  }
  return out;
}

Index SweepStudy::states(std::size_t point) const {
  const models::Config config = models::read_config(with_point(file_, spec_, point), base_);
  Index n = 0;
  for (const auto& population : config.circuit.populations) n += population.size;
  for (const auto& controller : config.circuit.controllers) n += controller.size;
  return n;
}

double SweepStudy::abscissa(std::size_t point, const std::vector<double>& numbers) const {
  try {
    const Value file =
        with_numbers(with_point(file_, spec_, point), spec_, continuous_axes(), numbers);
    const models::Config config = models::read_config(file, base_);
    const system::OdeSystem first(models::build_circuit(config).of_trial(0));
    const Prediction found = predict(first, config.solver, options_of(file));
    if (!found.why_not.empty()) return nan;
    return found.stability == Linearisation::Stability::neutral ? 0 : found.pole.real();
  } catch (const std::exception&) {
    return nan;
  }
}

namespace {

template <typename File>
Agreement compared(const File& file) {
  Agreement out;
  const auto outcome = file.read("outcome"), predicted = file.read("predicted_stability");
  if (!outcome || !predicted) return out;
  for (Index p = 0; p < outcome->values.cols(); ++p)
    for (Index k = 0; k < outcome->values.rows(); ++k) {
      const double ended = outcome->values(k, p), said = predicted->values(k, p);
      if (std::isnan(ended) || std::isnan(said)) continue;
      const auto how = static_cast<solve::Outcome>(static_cast<int>(ended));
      const bool settled = how == solve::Outcome::settled;
      const bool moved = how == solve::Outcome::oscillating || how == solve::Outcome::diverged;
      const bool stable = said == static_cast<double>(Linearisation::Stability::stable);
      const bool unstable = said == static_cast<double>(Linearisation::Stability::unstable);
      if ((!settled && !moved) || (!stable && !unstable)) {
        ++out.undecided;
        continue;
      }
      ++out.compared;
      if (settled == stable) continue;
      ++out.differing;
      if (out.differing_points.empty() || out.differing_points.back() != at(p))
        out.differing_points.push_back(at(p));
    }
  const auto simulated = file.read("settling_time"),
             expected = file.read("predicted_settling_time");
  if (!simulated || !expected) return out;
  out.band = narrowest_share(*expected);
  if (out.band.empty() || simulated->axes.size() != 3) return out;
  const Index bands = expected->axes.back().size, band = bands - 2,
              signals = simulated->axes[1].size;
  const auto& names = simulated->axes[1].labels;
  const auto state = std::find(names.begin(), names.end(), "state") - names.begin();
  if (state == signals) return out;
  std::vector<double> ratios;
  const Index trials = expected->values.rows() / bands;
  for (Index p = 0; p < expected->values.cols(); ++p)
    for (Index k = 0; k < trials; ++k) {
      const double ratio = simulated->values((k * signals + state) * bands + band, p) /
                           expected->values(k * bands + band, p);
      if (!std::isfinite(ratio) || !(ratio > 0)) continue;
      ratios.push_back(ratio);
      out.times_off += ratio > 2 || ratio < 0.5;
    }
  out.times_compared = ratios.size();
  if (ratios.empty()) return out;
  std::nth_element(ratios.begin(), ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2),
                   ratios.end());
  out.median_ratio = ratios[ratios.size() / 2];
  return out;
}

}  // namespace

Agreement agreement(const io::SweepWriter& file) { return compared(file); }
Agreement agreement(const io::SweepFile& file) { return compared(file); }

std::string narrowest_share(const core::Quantity& settling_times) {
  // The last band is the solver's tolerance.
  const std::vector<std::string>& bands = settling_times.axes.back().labels;
  return bands.size() < 2 ? "" : bands[bands.size() - 2];
}

SweepBoundary trace_boundary(const SweepStudy& study, const io::SweepWriter& file,
                             const std::function<bool()>& go_on) {
  SweepBoundary out;
  const SweepSpec& spec = study.spec();
  const auto poles = file.read("predicted_pole");
  const auto stability = file.read("predicted_stability");
  out.axes = study.continuous_axes();
  if (!poles || !stability || out.axes.empty()) {
    out.axes.clear();
    return out;
  }
  const std::size_t a = out.axes[0];
  const bool is_plane = out.axes.size() == 2;
  PlaneGrid empty;
  empty.x = spec.axes[a].numbers();
  empty.log_x = spec.axes[a].logarithmic;
  empty.y = is_plane ? spec.axes[out.axes[1]].numbers() : std::vector<double>{0};
  empty.log_y = is_plane && spec.axes[out.axes[1]].logarithmic;
  empty.values = MatrixXd::Constant(static_cast<Index>(empty.x.size()),
                                    static_cast<Index>(empty.y.size()), nan);
  // One grid for every combination of the other axes' values, in the order of their first points.
  std::vector<std::pair<std::size_t, PlaneGrid>> slices;
  std::map<std::vector<std::size_t>, std::size_t> index;
  for (std::size_t p = 0; p < spec.points(); ++p) {
    std::vector<std::size_t> place = spec.place(p);
    const auto i = static_cast<Index>(place[a]);
    const auto j = is_plane ? static_cast<Index>(place[out.axes[1]]) : Index{0};
    for (const std::size_t axis : out.axes) place[axis] = 0;
    const auto [entry, fresh] = index.emplace(place, slices.size());
    if (fresh) slices.emplace_back(p, empty);
    const auto column = static_cast<Index>(p);
    const bool neutral =
        stability->values(0, column) == static_cast<double>(Linearisation::Stability::neutral);
    slices[entry->second].second.values(i, j) = neutral ? 0 : poles->values(0, column);
  }
  // As fine as 64 intervals an axis, or as what takes some seconds; by size, not by the clock, so that it is
  // the same again.
  const double states = static_cast<double>(study.states(0));
  const double each = 1e5 + 30 * states * states * states;  // operations of an eigenvalue problem
  constexpr double most = 1e11;
  for (const auto& [point, grid] : slices) {
    const PlaneFunction f = [&, point = point](double x, double y) {
      if (!go_on()) return nan;
      return study.abscissa(point, is_plane ? std::vector{x, y} : std::vector{x});
    };
    const auto intervals = static_cast<int>(std::max(grid.x.size(), grid.y.size())) - 1;
    const auto points = [&](int n) {
      return (n * static_cast<double>(grid.x.size() - 1) + 1) *
             (n * static_cast<double>(grid.y.size() - 1) + 1);
    };
    int parts = 1;
    while (parts * intervals < 64 &&
           points(parts + 1) * each * static_cast<double>(slices.size()) < most)
      ++parts;
    for (BoundaryPoint found : trace_zero(refined(grid, parts, f), f)) {
      found.curve += out.curves;
      out.points.push_back(found);
      out.slices.push_back(point);
    }
    out.curves = out.points.empty() ? 0 : out.points.back().curve + 1;
  }
  return out;
}

}  // namespace settle::analysis
