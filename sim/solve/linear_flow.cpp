#include "sim/solve/linear_flow.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace settle::solve {
namespace {

using Complex = std::complex<double>;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double decayed = 27.6;  // −log 1e-12
constexpr double points_per_period = 16, points_per_time_constant = 10;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }
Index padded(Index columns) { return (columns + 7) / 8 * 8; }

// e^z − 1 without cancellation.
Complex exp_minus_one(Complex z) {
  if (z.imag() == 0) return std::expm1(z.real());
  const double half = std::sin(z.imag() / 2), e = std::exp(z.real());
  return {std::expm1(z.real()) * std::cos(z.imag()) - 2 * half * half, e * std::sin(z.imag())};
}

// φ₁(z) = (e^z − 1)/z
Complex phi1(Complex z) { return z == 0.0 ? 1.0 : exp_minus_one(z) / z; }

// φ₂(z) = (φ₁(z) − 1)/z; by its series Σ z^k/(k + 2)! where that cancels.
Complex phi2(Complex z) {
  if (std::abs(z) > 1) return (phi1(z) - 1.0) / z;
  Complex sum = 0;
  for (int k = 18; k >= 0; --k) sum = (sum * z + 1.0) / static_cast<double>(k + 2);
  return sum;
}

// ∫₀^τ e^{λ(τ−s)} e^{iωs} ds, right at the resonance λ = iω too.
Complex swing(Complex lambda, double omega, double tau) {
  const Complex i_omega(0, omega);
  if (lambda.real() <= 0) return std::exp(i_omega * tau) * tau * phi1((lambda - i_omega) * tau);
  return std::exp(lambda * tau) * tau * phi1((i_omega - lambda) * tau);
}

// out += w a for `count` numbers, where w may have overflown: what isn't there stays away.
void add(double w, const double* a, double* out, Index count) {
  if (std::isfinite(w)) {
    for (Index c = 0; c < count; ++c) out[c] += w * a[c];
  } else {
    for (Index c = 0; c < count; ++c)
      if (a[c] != 0) out[c] += w * a[c];
  }
}

// out += w a for rows of trials: real parts, and `apart` further on the imaginary ones.
void add(Complex w, bool real, const double* a, Index a_apart, double* out, Index out_apart,
         Index count) {
  add(w.real(), a, out, count);
  if (real) return;
  add(-w.imag(), a + a_apart, out, count);
  add(w.imag(), a, out + out_apart, count);
  add(w.real(), a + a_apart, out + out_apart, count);
}

MatrixXd pad(const MatrixXd& m) {
  MatrixXd out = MatrixXd::Zero(m.rows(), padded(m.cols()));
  out.leftCols(m.cols()) = m;
  return out;
}

}  // namespace

LinearFlow::LinearFlow(const system::OdeSystem& system, const ModeLimits& limits)
    : system_(system), limits_(limits) {}

LinearFlow::Plan& LinearFlow::plan_of(const system::Segment& segment, const system::ConstBlock& x,
                                      system::Workspace& workspace) {
  const auto [place, is_new] = plans_.try_emplace({segment.phase, segment.released});
  Plan& plan = place->second;
  if (!is_new) return plan;
  const system::Circuit& circuit = system_.circuit();
  plan.rows = system_.moving_rows(segment);
  for (std::size_t k = 0; k < circuit.sources.size(); ++k)
    if (const auto& profile = circuit.sources[k].profile;
        profile && !profile->is_piecewise_constant())
      plan.sources.push_back(static_cast<int>(k));
  for (auto& trials : trials_of_one_matrix(system_, segment.phase)) {
    Group group;
    const Index first = trials.front();
    group.basis = make_mode_basis(system_, x.middleCols(first, 1), first, workspace, limits_);
    for (const int k : plan.sources) {
      const system::Source& source = circuit.sources[at(k)];
      MatrixXd values = source.values;
      if (values.cols() > 1) values = source.values(Eigen::all, trials).eval();
      const MatrixXd path = system_.input_jacobian(source.to, segment.begin,
                                                   x.middleCols(first, 1), first, workspace);
      MatrixXd drive = path(plan.rows, Eigen::all) * (source.gain * pad(values));
      group.drives.emplace_back(drive.leftCols(values.cols()));
    }
    group.trials = std::move(trials);
    plan.groups.push_back(std::move(group));
  }
  return plan;
}

void LinearFlow::begin(const system::Segment& segment, const system::ConstBlock& x0,
                       system::Workspace& workspace) {
  // b(t₀): ẋ where all that moves is zero.
  MatrixXd rest = x0, b(x0.rows(), x0.cols());
  const std::vector<Index> rows = system_.moving_rows(segment);
  rest(rows, Eigen::all).setZero();
  system_.derivative(segment.begin, rest, b, workspace);
  plan_ = &plan_of(segment, rest, workspace);
  begin_ = segment.begin;
  start_ = x0;

  std::vector<system::ProfileForm> forms;
  with_slope_ = false;
  omegas_.clear();
  for (const int k : plan_->sources) {
    const auto form = system_.circuit().sources[at(k)].profile->form(segment.begin);
    forms.push_back(form.value_or(system::ProfileForm{}));
    with_slope_ = with_slope_ || forms.back().slope != 0;
    const double omega = forms.back().omega;
    if (omega > 0 && std::find(omegas_.begin(), omegas_.end(), omega) == omegas_.end())
      omegas_.push_back(omega);
  }
  const bool new_kinds = plan_->with_slope != with_slope_ || plan_->omegas != omegas_;
  plan_->with_slope = with_slope_;
  plan_->omegas = omegas_;
  for (Group& group : plan_->groups) begin_group(group, x0, b, forms, new_kinds);
  set_paces();
}

// amplitudes: y(t₀), β₀, β₁ (zero without a slope), then p and q for each ω.
void LinearFlow::begin_group(Group& group, const system::ConstBlock& x0, const MatrixXd& b,
                             const std::vector<system::ProfileForm>& forms, bool new_kinds) {
  const Index n = static_cast<Index>(plan_->rows.size());
  const Index trials = static_cast<Index>(group.trials.size());
  const Index kinds = 3 + 2 * static_cast<Index>(omegas_.size());
  MatrixXd columns = MatrixXd::Zero(n, padded(kinds * trials));
  const auto part = [&](Index kind) { return columns.middleCols(kind * trials, trials); };
  part(0) = x0(plan_->rows, group.trials);
  part(1) = b(plan_->rows, group.trials);
  for (std::size_t k = 0; k < forms.size(); ++k) {
    const auto add_to = [&](Index kind, double factor) {
      const MatrixXd& drive = group.drives[k];
      for (Index c = 0; c < trials; ++c)
        part(kind).col(c) += factor * drive.col(drive.cols() == 1 ? 0 : c);
    };
    if (forms[k].slope != 0) add_to(2, forms[k].slope);
    if (!(forms[k].omega > 0)) continue;
    const auto place = std::find(omegas_.begin(), omegas_.end(), forms[k].omega);
    const Index kind = 3 + 2 * (place - omegas_.begin());
    add_to(1, -forms[k].cosine);  // which b(t₀) contains
    add_to(kind, forms[k].cosine);
    add_to(kind + 1, forms[k].sine);
  }
  Rows all;
  group.basis->to_modes(columns, all);
  group.amplitudes.clear();
  for (Index kind = 0; kind < kinds; ++kind)
    group.amplitudes.emplace_back(all.middleCols(kind * trials, trials));

  group.slopes = group.amplitudes[1];
  for (const Mode& mode : group.basis->modes())
    for (Index i = mode.row; i < mode.row + mode.count; ++i)
      add(mode.value, mode.is_real(), group.amplitudes[0].row(i).data(), mode.count * trials,
          group.slopes.row(i).data(), mode.count * trials, trials);

  const auto& knots = group.basis->knots();
  if (new_kinds || group.propagators.size() != knots.size()) {
    group.propagators.clear();
    for (const Knot& knot : knots)
      group.propagators.emplace_back(knot.matrix, with_slope_, omegas_);
  }
  group.knot_states.clear();
  group.knot_drives.clear();
  for (const Knot& knot : knots) {
    const auto own = [&](Index kind) {
      return pad(group.amplitudes[at(kind)].middleRows(knot.row, knot.matrix.rows()));
    };
    group.knot_states.push_back(own(0));
    Propagator::Drive drive;
    for (Index kind = 1; kind < kinds; ++kind)
      drive.push_back(kind == 2 && !with_slope_ ? MatrixXd() : own(kind));
    group.knot_drives.push_back(std::move(drive));
  }
}

// Columns of y: the trials' states, then their rates.
void LinearFlow::evaluate_modes(const Group& group, double tau, Rows& y) const {
  const Index trials = static_cast<Index>(group.trials.size()), width = y.cols();
  for (const Mode& mode : group.basis->modes()) {
    const bool real = mode.is_real();
    const Complex lambda = mode.value;
    const Complex decay = real ? std::exp(lambda.real() * tau) : std::exp(lambda * tau);
    const Complex held = tau * phi1(lambda * tau);
    const auto accumulate = [&](Complex w, const Rows& amplitude, Index column) {
      const Index apart = mode.count * trials;
      for (Index i = mode.row; i < mode.row + mode.count; ++i)
        add(w, real, amplitude.data() + i * trials, apart, y.data() + i * width + column,
            mode.count * width, trials);
    };
    accumulate(decay, group.amplitudes[0], 0);
    accumulate(held, group.amplitudes[1], 0);
    accumulate(decay, group.slopes, trials);
    if (with_slope_) {
      accumulate(tau * tau * phi2(lambda * tau), group.amplitudes[2], 0);
      accumulate(held, group.amplitudes[2], trials);
    }
    for (std::size_t j = 0; j < omegas_.size(); ++j) {
      // The responses to e^{iωτ} and e^{−iωτ} make those to cosine and sine, and their slopes.
      const Complex i(0, 1);
      const double omega = omegas_[j];
      const Complex plus = swing(lambda, omega, tau), minus = swing(lambda, -omega, tau);
      const Complex cosine = 0.5 * (plus + minus), sine = -0.5 * i * (plus - minus);
      const Rows &p = group.amplitudes[3 + 2 * j], &q = group.amplitudes[4 + 2 * j];
      accumulate(cosine, p, 0);
      accumulate(sine, q, 0);
      accumulate(decay - omega * sine, p, trials);
      accumulate(omega * cosine, q, trials);
    }
  }
}

void LinearFlow::evaluate_knots(Group& group, double tau, Rows& y) const {
  const Index trials = static_cast<Index>(group.trials.size());
  for (std::size_t k = 0; k < group.propagators.size(); ++k) {
    MatrixXd state = group.knot_states[k];
    Propagator::Drive drive = group.knot_drives[k];
    group.propagators[k].advance(tau, state, drive);
    auto rows = y.middleRows(group.basis->knots()[k].row, state.rows());
    rows.leftCols(trials) = state.leftCols(trials);
    rows.middleCols(trials, trials) =
        group.propagators[k].derivative(state, drive).leftCols(trials);
  }
}

void LinearFlow::evaluate(double t, system::Block x, system::Block dxdt) {
  const double tau = std::max(0.0, t - begin_);
  x = start_;
  dxdt.setZero();
  for (Group& group : plan_->groups) {
    const Index trials = static_cast<Index>(group.trials.size());
    y_.setZero(group.basis->size(), padded(2 * trials));
    evaluate_modes(group, tau, y_);
    evaluate_knots(group, tau, y_);
    group.basis->from_modes(y_, x_);
    for (Index c = 0; c < trials; ++c)
      for (std::size_t r = 0; r < plan_->rows.size(); ++r) {
        const Index row = plan_->rows[r], trial = group.trials[at(c)];
        x(row, trial) = x_(static_cast<Index>(r), c);
        dxdt(row, trial) = x_(static_cast<Index>(r), trials + c);
      }
  }
}

void LinearFlow::set_paces() {
  std::vector<Pace> all;
  const auto take = [&](Complex value) {
    const double period = 2 * M_PI / std::abs(value.imag()), rate = std::abs(value.real());
    const double step = std::min(period / points_per_period, 1 / rate / points_per_time_constant);
    const double until = value.real() < 0 ? decayed / rate : infinity;
    if (step < infinity) all.push_back({step, until});
  };
  for (const Group& group : plan_->groups) {
    for (const Mode& mode : group.basis->modes()) take(mode.value);
    for (const Knot& knot : group.basis->knots()) {
      for (const Complex value : knot.values) take(value);
      if (knot.values.size() == 0 && knot.matrix.size() > 0)
        take(-knot.matrix.cwiseAbs().colwise().sum().maxCoeff());
    }
  }
  for (const double omega : omegas_) take({0, omega});
  // Only modes that outlive all faster ones tell anything.
  std::sort(all.begin(), all.end(), [](const Pace& a, const Pace& b) { return a.step < b.step; });
  paces_.clear();
  double until = 0;
  for (const Pace& pace : all) {
    if (!(pace.until > until)) continue;
    until = pace.until;
    paces_.push_back(pace);
  }
}

double LinearFlow::step_after(double elapsed) const {
  for (const Pace& pace : paces_)
    if (pace.until > elapsed) return pace.step;
  return infinity;
}

std::vector<double> LinearFlow::schedule(double span, double longest) const {
  std::vector<double> times;
  for (double t = 0; t < span;) {
    const double rest = span - t;
    double step = std::min(step_after(t), longest);
    if (2 * step > rest) step = step >= rest ? rest : rest / 2;
    t = step == rest ? span : t + step;
    times.push_back(t);
  }
  return times;
}

std::string LinearFlow::how() const {
  if (!plan_ || plan_->groups.empty()) return "";
  const std::string how = plan_->groups.front().basis->how();
  const std::size_t matrices = plan_->groups.size();
  return matrices == 1 ? how
                       : how + ", one for each of " + std::to_string(matrices) + " gates";
}

}  // namespace settle::solve
