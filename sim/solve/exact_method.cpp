#include "sim/solve/exact_method.hpp"

#include <algorithm>
#include <limits>

#include "sim/solve/linear_flow.hpp"
#include "sim/solve/solve.hpp"

namespace settle::solve {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// x(t) itself, evaluated from the segment's beginning (LinearFlow). Its steps are chosen for those who
/// watch: they show every mode that is still alive, and the time at which a trial comes to rest.
class Exact final : public Method {
 public:
  Control control() const override { return Control::itself; }
  int order() const override { return std::numeric_limits<int>::max() - 1; }
  bool has_dense_output() const override { return true; }
  bool moves_trials_together() const override { return true; }
  const VectorXd& candidate() const override { return candidate_; }
  std::string how() const override { return flow_ ? flow_->how() : ""; }

  void restart(Problem& problem, double t, const VectorXd& x, const VectorXd& /*dxdt*/,
               double /*step*/) override {
    const system::Segment& segment = problem.segment();
    n_ = problem.dimension();
    trials_ = problem.trials();
    if (!flow_ || segment.phase != segment_.phase) {
      why_not_ = why_not_linear(problem.system(), segment.phase);
      set_longest(problem, segment.phase);
    }
    // Where a trial left, the others go on as they were.
    const bool goes_on = flow_ && segment.phase == segment_.phase &&
                         segment.begin == segment_.begin && segment.end == segment_.end &&
                         t == t_ && is_same(problem, x);
    segment_ = segment;
    t_ = t;
    x_ = candidate_ = x;
    if (goes_on || !why_not_.empty()) return;
    if (!flow_) flow_.emplace(problem.system(), limits_for(problem.options()));
    start_ = t;
    flow_->begin({segment.phase, t, segment.end, segment.released}, columns(x_),
                 problem.workspace());
  }

  Attempt attempt(Problem& problem, double h) override {
    if (!why_not_.empty())
      return {.step = h,
              .failure = "\"exact\" solves circuits that are linear between breakpoints: " +
                         why_not_ + " (solver.method)"};
    const double elapsed = t_ - start_;
    double step =
        std::min({flow_->step_after(elapsed), longest_, std::max(longest_to_rest_, elapsed / 32)});
    if (2 * step > h) step = step >= h ? h : h / 2;
    evaluate(t_ + step, candidate_, rate_);
    for (Index k = 0; k < trials_; ++k) {
      if (!problem.has_left(k)) continue;
      candidate_.segment(k * n_, n_) = x_.segment(k * n_, n_);
      rate_.segment(k * n_, n_).setZero();
    }
    return {.step = step};
  }

  void accept(Problem&, double t, VectorXd& dxdt) override {
    t_ = t;
    x_ = candidate_;
    dxdt = rate_;
  }

  void interpolate(double t, VectorXd& x) const override {
    x.resize(n_ * trials_);
    flow_->evaluate(t, Eigen::Map<MatrixXd>(x.data(), n_, trials_));
  }

 private:
  static ModeLimits limits_for(const SolverOptions& options) {
    // The error that an ill-conditioned basis makes is about 4 ε times its condition.
    const double most = std::min(0.1 * options.rtol, 1e-9);
    return {.condition = std::max(1e3, most / (4 * std::numeric_limits<double>::epsilon())),
            .most_states = std::numeric_limits<Index>::max(),
            .most_core = std::numeric_limits<Index>::max()};
  }

  // Steps that the modes don't ask for: a 64th of the phase, and where rest ends it, a quarter of the
  // time for which rest must last, or a 32nd of what has passed.
  void set_longest(const Problem& problem, int phase) {
    const SolverOptions& options = problem.options();
    const system::Phase& own = problem.system().circuit().phases[static_cast<std::size_t>(phase)];
    longest_ = longest_duration(own, options) / 64;
    longest_to_rest_ = infinity;
    if (ends_when_settled(own, options))
      longest_to_rest_ = settled_dwell(problem.system(), options) / 4;
  }

  bool is_same(const Problem& problem, const VectorXd& x) const {
    for (Index k = 0; k < trials_; ++k)
      if (!problem.has_left(k) && x.segment(k * n_, n_) != x_.segment(k * n_, n_)) return false;
    return true;
  }

  Eigen::Map<const MatrixXd> columns(const VectorXd& x) const { return {x.data(), n_, trials_}; }
  void evaluate(double t, VectorXd& x, VectorXd& rate) {
    x.resize(n_ * trials_);
    rate.resize(n_ * trials_);
    flow_->evaluate(t, Eigen::Map<MatrixXd>(x.data(), n_, trials_),
                    Eigen::Map<MatrixXd>(rate.data(), n_, trials_));
  }

  mutable std::optional<LinearFlow> flow_;  // with scratch
  system::Segment segment_;
  std::string why_not_;  // the phase is not linear
  Index n_ = 0, trials_ = 0;
  double t_ = 0, start_ = 0, longest_ = infinity, longest_to_rest_ = infinity;
  VectorXd x_, candidate_, rate_;
};

}  // namespace

std::vector<core::Entry<Method>> exact_methods() {
  return {{"exact",
           "the solution itself, by modes or matrix exponentials, of circuits that are linear "
           "between breakpoints; dense output; the default for them",
           core::make_entry<Method, Exact>}};
}

}  // namespace settle::solve
