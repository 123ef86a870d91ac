#include "sim/solve/settling.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "sim/core/linalg.hpp"

namespace settle::solve {
namespace {

const double nan = std::numeric_limits<double>::quiet_NaN();
constexpr Index most_for_poles = 400;  // states; beyond it the eigenvalues take too long

// The envelope of a residual in `groups` stretches of equal length, the last half of them.
struct Envelope {
  static constexpr int groups = 16, half = groups / 2;
  std::array<double, half> value{};  // largest in each; 0 where no step ended in it
  int turns = 0;
  double scale = 0;
};

Envelope last_half(const std::vector<ResidualHistory::Bin>& bins) {
  Envelope e;
  if (bins.empty()) return e;
  const double span = static_cast<double>(bins.back().index + 1);
  for (const auto& bin : bins) {
    const int group = static_cast<int>(Envelope::groups * (static_cast<double>(bin.index) / span));
    if (group < Envelope::half) continue;
    double& value = e.value[static_cast<std::size_t>(group - Envelope::half)];
    value = std::max(value, bin.value);
    e.turns += bin.turns;
    e.scale = std::max(e.scale, bin.scale);
  }
  return e;
}

// Growing throughout, by more than 10 % in all, and not about to level off: the later half's growth of
// the logarithm is at least half of the earlier one's. Stretches in which no step ended say nothing.
bool grows(const Envelope& e) {
  std::vector<double> values;
  for (const double value : e.value)
    if (value > 0) values.push_back(value);
  if (values.size() < 4) return false;
  for (std::size_t i = 1; i < values.size(); ++i)
    if (!(values[i] > values[i - 1])) return false;
  const std::size_t middle = values.size() / 2;
  const double first = std::log(values[middle] / values.front());
  const double last = std::log(values.back() / values[middle]);
  return first + last > std::log(1.1) && last >= 0.5 * first;
}

// Growing by its swings, which may be longer than a stretch: from quarter to quarter of the whole run,
// twofold at least, and not about to level off.
bool swings_grow(const std::vector<ResidualHistory::Bin>& bins) {
  std::array<double, 4> value{};
  const double span = static_cast<double>(bins.back().index + 1);
  for (const auto& bin : bins) {
    const auto quarter = static_cast<std::size_t>(4 * (static_cast<double>(bin.index) / span));
    value[quarter] = std::max(value[quarter], bin.value);
  }
  const double before = std::log(value[2] / value[1]), last = std::log(value[3] / value[2]);
  return before > 0 && last >= 0.5 * before && before + last > std::log(2);
}

// Not decaying: the later half of it is at least 98 % of the earlier, that is, within the error at
// which an envelope can be read off steps of some eighty a period.
bool persists(const Envelope& e) {
  const double early = *std::max_element(e.value.begin(), e.value.begin() + 4);
  const double late = *std::max_element(e.value.begin() + 4, e.value.end());
  return late >= 0.98 * early;
}

}  // namespace

const std::vector<std::string>& outcome_names() {
  static const std::vector<std::string> names{"settled", "not_settled", "oscillating", "diverged",
                                              "failed"};
  return names;
}

const char* name(Outcome outcome) {
  return outcome_names()[static_cast<std::size_t>(outcome)].c_str();
}

void ResidualHistory::add(double t, double residual, double scale, bool turned) {
  auto index = static_cast<std::int64_t>((t - start_) / width_);
  while (index >= static_cast<std::int64_t>(capacity)) {
    width_ *= 2;
    index /= 2;
    std::vector<Bin> merged;
    for (Bin bin : bins_) {
      bin.index /= 2;
      if (merged.empty() || merged.back().index != bin.index) {
        merged.push_back(bin);
        continue;
      }
      Bin& into = merged.back();
      if (bin.value > into.value) {
        into.value = bin.value;
        into.time = bin.time;
      }
      into.scale = std::max(into.scale, bin.scale);
      into.turns += bin.turns;
    }
    bins_ = std::move(merged);
  }
  if (bins_.empty() || bins_.back().index != index) bins_.push_back({index, residual, t, scale, 0});
  Bin& bin = bins_.back();
  if (residual > bin.value) {
    bin.value = residual;
    bin.time = t;
  }
  bin.scale = std::max(bin.scale, scale);
  bin.turns += turned;
}

void check(const system::OdeSystem& system, const SolverOptions& options) {
  SettlingMonitor(system, options);
}

double settled_dwell(const system::OdeSystem& system, const SolverOptions& options) {
  return SettlingMonitor(system, options).dwell();
}

SettlingMonitor::SettlingMonitor(const system::OdeSystem& system, const SolverOptions& options)
    : system_(system),
      rtol_(options.rtol),
      floor_(options.atol / options.rtol),
      tolerance_(options.settled_tolerance()),
      trials_(at(system.trials())) {
  const system::Circuit& circuit = system.circuit();
  counts_.assign(circuit.nodes.size(), options.settled.nodes.empty());
  std::vector<std::string> known;
  for (const int i : system.dynamic_nodes()) known.push_back(circuit.nodes[at(i)].name);
  for (const auto& controller : circuit.controllers)
    if (controller.integral >= 0 || controller.derivative >= 0) known.push_back(controller.name);
  for (const std::string& wanted : options.settled.nodes) {
    bool found = false;
    const auto count = [&](int node) {
      if (node < 0 || system.offset(node) < 0) return;
      counts_[at(node)] = 1;
      found = true;
    };
    count(circuit.find(wanted));
    for (const auto& controller : circuit.controllers) {
      if (controller.name != wanted) continue;
      count(controller.integral);
      count(controller.derivative);
    }
    if (!found)
      throw core::InputError(
          "solver.settled.nodes", "\"" + wanted + "\" names no state",
          "one of " + core::join(known, " or ") + core::did_you_mean(wanted, known));
  }
  double slowest = 0;
  for (const int i : system.dynamic_nodes())
    if (counts_[at(i)]) slowest = std::max(slowest, circuit.nodes[at(i)].tau.maxCoeff());
  dwell_ = options.settled.dwell.value_or(5 * slowest);
}

void SettlingMonitor::begin_phase(int phase, double t) {
  const Index n = system_.dimension();
  taus_.setZero(n);
  for (const int i : system_.dynamic_nodes()) {
    if (!counts_[at(i)] || system_.is_held({phase, t, t}, i)) continue;
    const Index first = system_.offset(i), size = system_.circuit().nodes[at(i)].size;
    taus_.segment(first, size) = system_.tau().segment(first, size);
  }
  for (Trial& trial : trials_) {
    trial.t = t;
    trial.relative = 0;
    trial.below_since = nan;
    trial.is_at_rest = false;
    trial.history = ResidualHistory(t, dwell_ > 0 ? dwell_ / 64 : 1);
    trial.direction.setZero(n);
  }
}

SettlingMonitor::Residual SettlingMonitor::residual(const system::ConstBlock& x,
                                                    const system::ConstBlock& dxdt) const {
  Motion motion;
  measure_motion({x.rows(), 1}, x.data(), dxdt.data(), taus_.data(), dxdt.data(), 0, &motion);
  return residual(motion.scale, motion.residual);
}

SettlingMonitor::Weights SettlingMonitor::weights() const {
  return {taus_, (taus_.array() > 0).cast<double>()};
}

void SettlingMonitor::note(Index k, double t, const Residual& now, bool turned, bool by_steps) {
  Trial& trial = trials_[at(k)];
  const double t_before = trial.t, before = trial.relative;
  trial.t = t;
  trial.relative = now.relative();
  if (!(trial.relative <= tolerance_)) {
    trial.below_since = nan;
  } else if (std::isnan(trial.below_since)) {
    trial.below_since = t;
    // A step that is longer than the dwell says too little of when: the residual falls exponentially in it.
    if (by_steps && t - t_before > dwell_ && before > tolerance_ && trial.relative > 0)
      trial.below_since = t_before + (t - t_before) * std::log(before / tolerance_) /
                                         std::log(before / trial.relative);
  }
  trial.history.add(t, now.value, now.scale, turned);
}

bool SettlingMonitor::observe(Index k, double t, const Motion& motion) {
  const bool first = trials_[at(k)].history.bins().empty(), turns = !first && motion.along < 0;
  note(k, t, residual(motion.scale, motion.residual), turns, true);
  return !first && !turns;
}

void SettlingMonitor::turn(Index k, const VectorXd& dxdt) {
  trials_[at(k)].direction = (taus_.array() > 0).select(dxdt, 0);
}

void SettlingMonitor::observe(Index k, double t, const VectorXd& x, const VectorXd& dxdt) {
  Motion motion;
  measure_motion({x.size(), 1}, x.data(), dxdt.data(), taus_.data(), direction(k).data(),
                 std::numeric_limits<double>::infinity(), &motion);
  if (!observe(k, t, motion)) turn(k, dxdt);
}

void SettlingMonitor::observe(Index k, double t, const Residual& now) {
  note(k, t, now, false, false);
}

void SettlingMonitor::put_to_rest(Index k, double t, const VectorXd& x, const VectorXd& dxdt) {
  Trial& trial = trials_[at(k)];
  trial.t = t;
  trial.relative = residual(x, dxdt).relative();
  trial.is_at_rest = true;
}

bool SettlingMonitor::is_settled(Index k) const {
  const Trial& trial = trials_[at(k)];
  if (trial.is_at_rest) return true;
  // A dwell that ends with a step is through despite the rounding of its time.
  return trial.below_since + dwell_ <= trial.t * (1 + 1e-12);
}

bool SettlingMonitor::decays_at_last(Index k, const system::Segment& last) const {
  if (!system_.is_linear()) return false;
  const std::vector<Index> rows = system_.moving_rows(last);
  if (rows.empty() || static_cast<Index>(rows.size()) > most_for_poles) return false;
  system::Workspace workspace = system_.make_workspace();
  system_.begin(last, workspace);
  const MatrixXd j = system_.jacobian(trials_[at(k)].t, VectorXd::Zero(system_.dimension()), k,
                                      workspace)(rows, rows);
  return core::spectral_abscissa(j) < -1e-9 / system_.tau().maxCoeff();
}

std::pair<Outcome, std::string> SettlingMonitor::classify(Index k,
                                                          const system::Segment& last) const {
  if (is_settled(k)) return {Outcome::settled, ""};
  const Trial& trial = trials_[at(k)];
  const std::string residual =
      "relative residual " + core::brief(trial.relative) + ", tolerance " + core::brief(tolerance_);
  if (!std::isnan(trial.below_since))
    return {Outcome::not_settled,
            residual + ": below it only since t = " + core::brief(trial.below_since) +
                ", for less than the dwell of " + core::brief(dwell_)};
  const Envelope envelope = last_half(trial.history.bins());
  const bool counts = trial.relative > 30 * rtol_;  // else it is the solver's own noise
  const bool leaves = grows(envelope) || (envelope.turns >= 3 && swings_grow(trial.history.bins()));
  if (counts && leaves) {
    if (system_.is_bounded())
      return {Outcome::not_settled, residual +
                                        ": still moving away from a state that is no stable "
                                        "one; its saturation will bound it"};
    if (decays_at_last(k, last))
      return {Outcome::not_settled,
              residual + ": a transient that still grows; all poles are stable"};
    return {Outcome::diverged, residual + ": the rate of change grew throughout the last half"};
  }
  if (const std::string source = system_.changing_source(last, trial.t); !source.empty())
    return {Outcome::not_settled, residual + ": driven by \"" + source + "\", which still changes"};
  if (counts && envelope.turns >= 3 && persists(envelope))
    return {Outcome::oscillating, residual + ": bounded, and it does not decay"};
  if (trial.relative <= 30 * rtol_)
    return {Outcome::not_settled, residual + ": at the level of the solver's own error"};
  return {Outcome::not_settled, residual + ": still moving when the time was up"};
}

}  // namespace settle::solve
