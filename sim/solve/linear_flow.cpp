#include "sim/solve/linear_flow.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace settle::solve {
namespace {

using Complex = std::complex<double>;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double decayed = 27.6;  // −log 1e-12
constexpr double points_per_period = 16, points_per_time_constant = 10;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

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

// e^{λτ}, and (e^{λτ} − 1)/λ = τ φ₁(λτ).
std::pair<Complex, Complex> decay_and_held(Complex lambda, double tau) {
  if (lambda.imag() == 0) {
    const double rate = lambda.real(), z = rate * tau;
    if (rate == 0) return {1.0, tau};
    const double decay = std::exp(z);
    return {decay, (std::abs(z) < 0.7 ? std::expm1(z) : decay - 1) / rate};
  }
  const double x = lambda.real() * tau, y = lambda.imag() * tau;
  const double size = std::exp(x);
  const Complex decay(size * std::cos(y), size * std::sin(y));
  const Complex gone = std::abs(x) + std::abs(y) < 1 ? exp_minus_one({x, y}) : decay - 1.0;
  const double norm = std::norm(lambda);
  return {decay,
          {(gone.real() * lambda.real() + gone.imag() * lambda.imag()) / norm,
           (gone.imag() * lambda.real() - gone.real() * lambda.imag()) / norm}};
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

// The same for complex numbers, whose imaginary parts stand `count` behind the real ones.
void add(Complex w, bool real, const double* a, double* out, Index count) {
  add(w.real(), a, out, count);
  if (real) return;
  add(-w.imag(), a + count, out, count);
  add(w.imag(), a, out + count, count);
  add(w.real(), a + count, out + count, count);
}

MatrixXd pad(const MatrixXd& m) {
  MatrixXd out = MatrixXd::Zero(m.rows(), system::padded(m.cols()));
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
      const MatrixXd path = system_.input_jacobian(source.to, segment.begin, x.middleCols(first, 1),
                                                   first, workspace);
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

void LinearFlow::begin_group(Group& group, const system::ConstBlock& x0, const MatrixXd& b,
                             const std::vector<system::ProfileForm>& forms, bool new_kinds) {
  const Index n = static_cast<Index>(plan_->rows.size());
  const Index trials = static_cast<Index>(group.trials.size());
  const Index slope = 2 + 2 * static_cast<Index>(omegas_.size());
  const Index kinds = slope + (with_slope_ ? 1 : 0);
  MatrixXd columns = MatrixXd::Zero(n, system::padded(kinds * trials));
  const auto part = [&](Index kind) { return columns.middleCols(kind * trials, trials); };
  part(0) = x0(plan_->rows, group.trials);
  part(1) = b(plan_->rows, group.trials);
  for (std::size_t k = 0; k < forms.size(); ++k) {
    const auto add_to = [&](Index kind, double factor) {
      const MatrixXd& drive = group.drives[k];
      for (Index c = 0; c < trials; ++c)
        part(kind).col(c) += factor * drive.col(drive.cols() == 1 ? 0 : c);
    };
    if (forms[k].slope != 0) add_to(slope, forms[k].slope);
    if (!(forms[k].omega > 0)) continue;
    const auto place = std::find(omegas_.begin(), omegas_.end(), forms[k].omega);
    const Index kind = 2 + 2 * (place - omegas_.begin());
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
    add(mode.value, mode.is_real(), group.amplitudes[0].row(mode.row).data(),
        group.slopes.row(mode.row).data(), mode.count * trials);

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
    Propagator::Drive drive{own(1), with_slope_ ? own(slope) : MatrixXd()};
    for (Index kind = 2; kind < slope; ++kind) drive.push_back(own(kind));
    group.knot_drives.push_back(std::move(drive));
  }
}

void LinearFlow::evaluate_modes(const Group& group, double tau) {
  const Index trials = static_cast<Index>(group.trials.size());
  const std::size_t slope = 2 + 2 * omegas_.size();
  for (const Mode& mode : group.basis->modes()) {
    const bool real = mode.is_real();
    const Complex lambda = mode.value;
    const auto [decay, held] = decay_and_held(lambda, tau);
    const Index first = mode.row * trials, count = mode.count * trials;
    double* const state = state_.data() + first;
    double* const rate = rate_.data() + first;
    add(decay, real, group.amplitudes[0].data() + first, state, count);
    add(held, real, group.amplitudes[1].data() + first, state, count);
    add(decay, real, group.slopes.data() + first, rate, count);
    if (with_slope_) {
      const double* const a = group.amplitudes[slope].data() + first;
      add(tau * tau * phi2(lambda * tau), real, a, state, count);
      add(held, real, a, rate, count);
    }
    for (std::size_t j = 0; j < omegas_.size(); ++j) {
      // The responses to e^{iωτ} and e^{−iωτ} make those to cosine and sine, and their slopes.
      const Complex i(0, 1);
      const double omega = omegas_[j];
      const Complex plus = swing(lambda, omega, tau), minus = swing(lambda, -omega, tau);
      const Complex cosine = 0.5 * (plus + minus), sine = -0.5 * i * (plus - minus);
      const double* const p = group.amplitudes[2 + 2 * j].data() + first;
      const double* const q = group.amplitudes[3 + 2 * j].data() + first;
      add(cosine, real, p, state, count);
      add(sine, real, q, state, count);
      add(decay - omega * sine, real, p, rate, count);
      add(omega * cosine, real, q, rate, count);
    }
  }
}

void LinearFlow::evaluate_knots(Group& group, double tau) {
  const Index trials = static_cast<Index>(group.trials.size());
  for (std::size_t k = 0; k < group.propagators.size(); ++k) {
    MatrixXd state = group.knot_states[k];
    Propagator::Drive drive = group.knot_drives[k];
    group.propagators[k].advance(tau, state, drive);
    const Index row = group.basis->knots()[k].row;
    state_.middleRows(row, state.rows()) = state.leftCols(trials);
    rate_.middleRows(row, state.rows()) =
        group.propagators[k].derivative(state, drive).leftCols(trials);
  }
}

void LinearFlow::evaluate(double t, system::Block x, system::Block* dxdt) {
  const double tau = std::max(0.0, t - begin_);
  const auto& rows = plan_->rows;
  const bool all = plan_->groups.size() == 1 && static_cast<Index>(rows.size()) == x.rows();
  if (!all) x = start_;
  if (!all && dxdt) dxdt->setZero();
  for (Group& group : plan_->groups) {
    const Index trials = static_cast<Index>(group.trials.size());
    state_.setZero(group.basis->size(), trials);
    rate_.setZero(group.basis->size(), trials);
    evaluate_modes(group, tau);
    evaluate_knots(group, tau);
    y_.setZero(group.basis->size(), system::padded((dxdt ? 2 : 1) * trials));
    y_.leftCols(trials) = state_;
    if (dxdt) y_.middleCols(trials, trials) = rate_;
    group.basis->from_modes(y_, x_, scratch_);
    if (all) {
      x = x_.leftCols(trials);
      if (dxdt) *dxdt = x_.middleCols(trials, trials);
      continue;
    }
    for (Index c = 0; c < trials; ++c)
      for (std::size_t r = 0; r < rows.size(); ++r) {
        const Index trial = group.trials[at(c)];
        x(rows[r], trial) = x_(static_cast<Index>(r), c);
        if (dxdt) (*dxdt)(rows[r], trial) = x_(static_cast<Index>(r), trials + c);
      }
  }
}

void LinearFlow::set_paces() {
  std::vector<Pace> all;
  slowest_ = infinity;
  const auto take = [&](Complex value) {
    const double period = 2 * std::numbers::pi / std::abs(value.imag());
    const double step =
        std::min(period / points_per_period, 1 / std::abs(value.real()) / points_per_time_constant);
    if (!(step < infinity)) return;
    all.push_back({step, std::max(0.0, -value.real())});
    slowest_ = std::min(slowest_, all.back().rate);
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
  std::sort(all.begin(), all.end(), [](const Pace& a, const Pace& b) { return a.step < b.step; });
  paces_.clear();
  for (const Pace& pace : all)
    if (paces_.empty() || pace.rate < paces_.back().rate) paces_.push_back(pace);
}

double LinearFlow::step_after(double elapsed) const {
  double step = infinity;
  for (const Pace& pace : paces_)
    if (pace.rate * elapsed < decayed)
      step = std::min(step, pace.step * std::exp((pace.rate - slowest_) * elapsed / 4));
  return step;
}

std::string LinearFlow::how() const {
  if (!plan_ || plan_->groups.empty()) return "";
  const std::string how = plan_->groups.front().basis->how();
  const std::size_t matrices = plan_->groups.size();
  return matrices == 1 ? how : how + ", one for each of " + std::to_string(matrices) + " gates";
}

}  // namespace settle::solve
