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

// out += w a, where w may have overflown: what isn't there stays away.
void add(double w, double a, double& out) {
  if (a != 0 || std::isfinite(w)) out += w * a;
}

// out += λ a for numbers of one mode, `count` real parts and where λ isn't real as many imaginary ones
// behind them.
void add_times(Complex lambda, bool real, const double* a, double* out, Index count) {
  for (Index c = 0; c < count; ++c) {
    out[c] += lambda.real() * a[c];
    if (real) continue;
    out[c] -= lambda.imag() * a[count + c];
    out[count + c] += lambda.imag() * a[c] + lambda.real() * a[count + c];
  }
}

// The columns, and some more of zeros, so many that Eigen's product with a matrix of that order gives each
// the same bits whatever their number: a multiple of 8, and at least 24 where with fewer all three sizes
// could come to less than 20, for which it has another algorithm.
MatrixXd pad(const MatrixXd& m, Index order) {
  const Index columns = system::padded(order < 10 ? std::max<Index>(m.cols(), 24) : m.cols());
  MatrixXd out = MatrixXd::Zero(m.rows(), columns);
  out.leftCols(m.cols()) = m;
  return out;
}

}  // namespace

LinearFlow::LinearFlow(const system::OdeSystem& system, const ModeLimits& limits)
    : system_(system), limits_(limits) {}

LinearFlow::Plan& LinearFlow::plan_of(const system::Segment& segment, const MatrixXd& x,
                                      system::Workspace& workspace) {
  const auto [place, is_new] = plans_.try_emplace({segment.phase, segment.released});
  Plan& plan = place->second;
  if (!is_new) return plan;
  const system::Circuit& circuit = system_.circuit();
  plan.rows = system_.moving_rows(segment);
  plan.all_move = static_cast<Index>(plan.rows.size()) == system_.dimension();
  for (std::size_t k = 0; k < circuit.sources.size(); ++k)
    if (circuit.sources[k].varies()) plan.sources.push_back(static_cast<int>(k));
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
      MatrixXd drive = path(plan.rows, Eigen::all) *
                       (source.gain * pad(values, std::min(path.rows(), path.cols())));
      group.drives.emplace_back(drive.leftCols(values.cols()));
    }
    group.trials = std::move(trials);
    plan.groups.push_back(std::move(group));
  }
  return plan;
}

void LinearFlow::begin(const system::Segment& segment, const MatrixXd& x0,
                       system::Workspace& workspace, const MatrixXd* rate) {
  plan_ = &plan_of(segment, x0, workspace);
  begin_ = segment.begin;
  if (!plan_->all_move) start_ = x0;
  // b(t₀): ẋ where all that moves is zero, which x0 may be.
  MatrixXd b;
  if (!rate || !system::is_zero(x0)) {
    MatrixXd rest = x0;
    rest(plan_->rows, Eigen::all).setZero();
    b.resize(x0.rows(), x0.cols());
    system_.derivative(segment.begin, rest, b, workspace);
    rate = &b;
  }

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
  group_of_.assign(at(x0.cols()), 0);
  column_in_group_.assign(at(x0.cols()), 0);
  for (std::size_t g = 0; g < plan_->groups.size(); ++g) {
    Group& group = plan_->groups[g];
    for (std::size_t c = 0; c < group.trials.size(); ++c) {
      group_of_[at(group.trials[c])] = g;
      column_in_group_[at(group.trials[c])] = static_cast<Index>(c);
    }
    begin_group(group, x0, *rate, forms, new_kinds);
  }
  set_paces();
}

void LinearFlow::begin_group(Group& group, const MatrixXd& x0, const MatrixXd& b,
                             const std::vector<system::ProfileForm>& forms, bool new_kinds) {
  const Index trials = static_cast<Index>(group.trials.size());
  const Index slope = 2 + 2 * static_cast<Index>(omegas_.size());
  const Index kinds = slope + (with_slope_ ? 1 : 0);
  // What moves of the group's trials.
  const bool whole = plan_->all_move && trials == x0.cols();
  const auto own = [&](const MatrixXd& all) -> MatrixXd { return all(plan_->rows, group.trials); };
  group.amplitudes.assign(at(kinds), Rows());
  if (whole)
    group.basis->to_modes(x0, group.amplitudes[0]);
  else
    group.basis->to_modes(own(x0), group.amplitudes[0]);
  if (whole && forms.empty()) {
    group.basis->to_modes(b, group.amplitudes[1]);
  } else {
    std::vector<MatrixXd> drive(at(kinds - 1));  // from b on
    drive[0] = own(b);
    for (std::size_t k = 1; k < drive.size(); ++k) drive[k].setZero(drive[0].rows(), trials);
    for (std::size_t k = 0; k < forms.size(); ++k) {
      const auto add_to = [&](Index kind, double factor) {
        const MatrixXd& values = group.drives[k];
        for (Index c = 0; c < trials; ++c)
          drive[at(kind - 1)].col(c) += factor * values.col(values.cols() == 1 ? 0 : c);
      };
      if (forms[k].slope != 0) add_to(slope, forms[k].slope);
      if (!(forms[k].omega > 0)) continue;
      const auto place = std::find(omegas_.begin(), omegas_.end(), forms[k].omega);
      const Index kind = 2 + 2 * (place - omegas_.begin());
      add_to(1, -forms[k].cosine);  // which b(t₀) contains
      add_to(kind, forms[k].cosine);
      add_to(kind + 1, forms[k].sine);
    }
    for (std::size_t k = 0; k < drive.size(); ++k)
      group.basis->to_modes(drive[k], group.amplitudes[k + 1]);
  }
  group.rows = 0;
  for (const Rows& rows : group.amplitudes) group.rows = std::max(group.rows, rows.rows());
  for (Rows& rows : group.amplitudes) {
    const Index known = rows.rows();
    rows.conservativeResize(group.rows, trials);
    rows.bottomRows(group.rows - known).setZero();
  }

  group.slopes = group.amplitudes[1];
  for (const Mode& mode : group.basis->modes())
    if (mode.row < group.rows)
      add_times(mode.value, mode.is_real(), group.amplitudes[0].row(mode.row).data(),
                group.slopes.row(mode.row).data(), mode.count * trials);

  group.slopes_by_trial = group.slopes;
  group.begins_at_zero = (group.amplitudes[0].array() == 0).all();

  const auto& knots = group.basis->knots();
  if (new_kinds || group.propagators.size() != knots.size()) {
    group.propagators.clear();
    for (const Knot& knot : knots)
      group.propagators.emplace_back(knot.matrix, with_slope_, omegas_);
  }
  group.knot_states.clear();
  group.knot_drives.clear();
  for (const Knot& knot : knots) {
    const auto of_kind = [&](Index kind) -> MatrixXd {
      return group.amplitudes[at(kind)].middleRows(knot.row, knot.matrix.rows());
    };
    group.knot_states.push_back(of_kind(0));
    Propagator::Drive drive{of_kind(1), with_slope_ ? of_kind(slope) : MatrixXd()};
    for (Index kind = 2; kind < slope; ++kind) drive.push_back(of_kind(kind));
    group.knot_drives.push_back(std::move(drive));
  }
}

// y and ẏ of the instants: the mode's amplitudes, each times its response at that time.
void LinearFlow::evaluate_modes(const Group& group, bool with_rate, Scratch& scratch) const {
  const auto& columns = scratch.columns;
  const auto& taus = scratch.taus;
  const Index instants = static_cast<Index>(taus.size());
  const std::size_t slope = 2 + 2 * omegas_.size();
  struct Part {
    const Rows* amplitudes;  // null: zero
    bool of_rate;
  };
  std::vector<Part> parts{{group.begins_at_zero ? nullptr : &group.amplitudes[0], false},
                          {&group.amplitudes[1], false}};
  if (with_slope_) parts.push_back({&group.amplitudes[slope], false});
  for (std::size_t j = 2; j < slope; ++j) parts.push_back({&group.amplitudes[j], false});
  if (with_rate) {
    parts.push_back({&group.slopes, true});
    if (with_slope_) parts.push_back({&group.amplitudes[slope], true});
    for (std::size_t j = 2; j < slope; ++j) parts.push_back({&group.amplitudes[j], true});
  }
  // Per part, the real and the imaginary parts of its weights.
  MatrixXd& weights = scratch.weights;
  weights.resize(instants, 2 * static_cast<Index>(parts.size()));
  const auto fill = [&](Index place, Complex lambda) {
    const double tau = taus[at(place)];
    Index part = 0;
    const auto put = [&](Complex w) {
      weights(place, part++) = w.real();
      weights(place, part++) = w.imag();
    };
    const auto [decay, held] = decay_and_held(lambda, tau);
    put(decay);
    put(held);
    if (with_slope_) put(tau * tau * phi2(lambda * tau));
    // The responses to e^{iωτ} and e^{−iωτ} make those to cosine and sine, and their slopes.
    std::vector<std::pair<Complex, Complex>> swings;
    for (const double omega : omegas_) {
      const Complex plus = swing(lambda, omega, tau), minus = swing(lambda, -omega, tau);
      swings.emplace_back(0.5 * (plus + minus), Complex(0, -0.5) * (plus - minus));
      put(swings.back().first);
      put(swings.back().second);
    }
    if (!with_rate) return;
    put(decay);
    if (with_slope_) put(held);
    for (std::size_t j = 0; j < omegas_.size(); ++j) {
      put(decay - omegas_[j] * swings[j].second);
      put(omegas_[j] * swings[j].first);
    }
  };
  // Neighbours at one time are taken by whole rows.
  bool together = instants > 1;
  for (std::size_t p = 1; together && p < taus.size(); ++p)
    together = taus[p] == taus[0] && columns[p] == columns[0] + static_cast<Index>(p);
  const auto stretch = [&](const double* row, Index first) {
    return Eigen::Map<const Eigen::ArrayXd>(row + first, instants);
  };
  for (const Mode& mode : group.basis->modes()) {
    if (mode.row >= group.rows) continue;
    if (together) {
      fill(0, mode.value);
      if (weights.row(0).allFinite()) {
        for (std::size_t k = 0; k < parts.size(); ++k) {
          if (!parts[k].amplitudes) continue;
          const double re = weights(0, 2 * static_cast<Index>(k)),
                       im = weights(0, 2 * static_cast<Index>(k) + 1);
          const Index first = parts[k].of_rate ? instants : 0;
          for (Index i = mode.row; i < mode.row + mode.count; ++i) {
            const auto a = stretch(parts[k].amplitudes->row(i).data(), columns[0]);
            Eigen::Map<Eigen::ArrayXd> out(scratch.y.row(i).data() + first, instants);
            out += re * a;
            if (mode.is_real()) continue;
            const auto b = stretch(parts[k].amplitudes->row(i + mode.count).data(), columns[0]);
            Eigen::Map<Eigen::ArrayXd> below(scratch.y.row(i + mode.count).data() + first,
                                             instants);
            out += -im * b;
            below += im * a;
            below += re * b;
          }
        }
        continue;
      }
    }
    for (Index p = 0; p < instants; ++p) {
      if (p > 0 && taus[at(p)] == taus[at(p - 1)])
        weights.row(p) = weights.row(p - 1);
      else
        fill(p, mode.value);
    }
    for (std::size_t k = 0; k < parts.size(); ++k) {
      if (!parts[k].amplitudes) continue;
      const double* const re = weights.col(2 * static_cast<Index>(k)).data();
      const double* const im = weights.col(2 * static_cast<Index>(k) + 1).data();
      const Index first = parts[k].of_rate ? instants : 0;
      for (Index i = mode.row; i < mode.row + mode.count; ++i) {
        const double* const a = parts[k].amplitudes->row(i).data();
        double* const out = scratch.y.row(i).data() + first;
        if (mode.is_real()) {
          for (Index p = 0; p < instants; ++p) add(re[p], a[columns[at(p)]], out[p]);
          continue;
        }
        const double* const b = parts[k].amplitudes->row(i + mode.count).data();
        double* const below = scratch.y.row(i + mode.count).data() + first;
        for (Index p = 0; p < instants; ++p) {
          const double x = a[columns[at(p)]], y = b[columns[at(p)]];
          add(re[p], x, out[p]);
          add(-im[p], y, out[p]);
          add(im[p], x, below[p]);
          add(re[p], y, below[p]);
        }
      }
    }
  }
}

void LinearFlow::evaluate_knots(const Group& group, bool with_rate, Scratch& scratch) const {
  if (group.propagators.empty()) return;
  const std::lock_guard lock(propagating_);  // they keep what they have made
  const Index instants = static_cast<Index>(scratch.taus.size());
  for (Index first = 0, end = 0; first < instants; first = end) {
    while (end < instants && scratch.taus[at(end)] == scratch.taus[at(first)]) ++end;
    const std::vector<Index> columns(scratch.columns.begin() + first,
                                     scratch.columns.begin() + end);
    const auto of_trials = [&](const MatrixXd& all) {
      return all.size() > 0 ? pad(all(Eigen::all, columns), all.rows()) : MatrixXd();
    };
    for (std::size_t k = 0; k < group.propagators.size(); ++k) {
      MatrixXd state = of_trials(group.knot_states[k]);
      Propagator::Drive drive;
      for (const MatrixXd& all : group.knot_drives[k]) drive.push_back(of_trials(all));
      group.propagators[k].advance(scratch.taus[at(first)], state, drive);
      const Index row = group.basis->knots()[k].row, count = end - first;
      scratch.y.block(row, first, state.rows(), count) = state.leftCols(count);
      if (with_rate)
        scratch.y.block(row, instants + first, state.rows(), count) =
            group.propagators[k].derivative(state, drive).leftCols(count);
    }
  }
}

// The first columns of scratch.y to those places of x, and the others to the same of `second`.
void LinearFlow::deliver(const Group& group, system::Block x, system::Block* second,
                         Scratch& scratch) const {
  scratch.to.clear();
  const Index columns = scratch.y.cols();
  if (!plan_->all_move) scratch.x.resize(static_cast<Index>(plan_->rows.size()), columns);
  const auto place = [&](Index c) {
    const std::size_t own = at(c) % scratch.places.size();
    system::Block& block = at(c) < scratch.places.size() ? x : *second;
    return block.col(static_cast<Index>(scratch.places[own]));
  };
  for (Index c = 0; c < columns; ++c)
    scratch.to.push_back(plan_->all_move ? place(c).data() : scratch.x.col(c).data());
  group.basis->from_modes(scratch.y, scratch.to, scratch.basis);
  if (!plan_->all_move)
    for (Index c = 0; c < columns; ++c) place(c)(plan_->rows) = scratch.x.col(c);
}

void LinearFlow::evaluate(std::span<const Instant> instants, system::Block x, system::Block* dxdt,
                          Scratch& scratch) const {
  if (!plan_->all_move) {
    for (std::size_t p = 0; p < instants.size(); ++p)
      x.col(static_cast<Index>(p)) = start_.col(instants[p].trial);
    if (dxdt) dxdt->setZero();
  }
  for (std::size_t g = 0; g < plan_->groups.size(); ++g) {
    const Group& group = plan_->groups[g];
    scratch.places.clear();
    scratch.columns.clear();
    scratch.taus.clear();
    for (std::size_t p = 0; p < instants.size(); ++p) {
      const std::size_t trial = at(instants[p].trial);
      if (group_of_[trial] != g) continue;
      scratch.places.push_back(p);
      scratch.columns.push_back(column_in_group_[trial]);
      scratch.taus.push_back(std::max(0.0, instants[p].t - begin_));
    }
    if (scratch.places.empty()) continue;
    scratch.y.setZero(group.rows, (dxdt ? 2 : 1) * static_cast<Index>(scratch.places.size()));
    evaluate_modes(group, dxdt != nullptr, scratch);
    evaluate_knots(group, dxdt != nullptr, scratch);
    deliver(group, x, dxdt, scratch);
  }
}

void LinearFlow::measure(std::span<const Approach> approaches, const VectorXd& of_rate,
                         const VectorXd& of_state, std::vector<Norms>& norms,
                         Scratch& scratch) const {
  // Of what moves alone.
  scratch.moving.clear();
  scratch.moving.reserve(2 + approaches.size());
  const auto moving = [&](const double* all) {
    if (plan_->all_move) return all;
    const Eigen::Map<const VectorXd> whole(all, of_rate.size());
    return static_cast<const double*>(scratch.moving.emplace_back(whole(plan_->rows)).data());
  };
  const double *const rate_weights = moving(of_rate.data()), *const state_weights =
                                                                 moving(of_state.data());
  norms.clear();
  for (const Approach& approach : approaches) norms.resize(norms.size() + at(approach.count));
  for (std::size_t g = 0; g < plan_->groups.size(); ++g) {
    const Group& group = plan_->groups[g];
    // Per approach the rates' columns, and behind them those of the way to the end.
    std::vector<ModeBasis::Measure>& measures = scratch.measures;
    measures.clear();
    for (const Approach& approach : approaches) {
      if (group_of_[at(approach.decay->trial)] != g) continue;
      measures.resize(measures.size() + at(approach.count), {.weights = rate_weights});
      if (approach.end)
        measures.resize(measures.size() + at(approach.count),
                        {.weights = state_weights, .base = moving(approach.end)});
    }
    if (measures.empty()) continue;
    scratch.y.setZero(group.rows, static_cast<Index>(measures.size()));
    Index column = 0;
    for (const Approach& approach : approaches) {
      if (group_of_[at(approach.decay->trial)] != g) continue;
      evaluate_approach(group, approach, column, scratch);
      column += (approach.end ? 2 : 1) * approach.count;
    }
    group.basis->measure(scratch.y, measures, scratch.basis);
    auto found = measures.begin();
    std::size_t place = 0;
    for (const Approach& approach : approaches) {
      if (group_of_[at(approach.decay->trial)] == g) {
        for (Index k = 0; k < approach.count; ++k) norms[place + at(k)].rate = (found++)->largest;
        for (Index k = 0; approach.end && k < approach.count; ++k)
          norms[place + at(k)].state = (found++)->largest;
      }
      place += at(approach.count);
    }
  }
}

// ẏ from column `first` of scratch.y on, and where it is wanted y(end) − y behind it.
void LinearFlow::evaluate_approach(const Group& group, const Approach& approach, Index first,
                                   Scratch& scratch) const {
  const Decay& decay = *approach.decay;
  const double* const slopes = group.slopes_by_trial.col(column_in_group_[at(decay.trial)]).data();
  const double tau = approach.t - begin_, at_end = approach.t_end - begin_;
  const double longest = static_cast<double>(approach.count - 1) * approach.step;
  const Eigen::ArrayXd largest = (-decay.rates * (tau - longest)).exp();
  for (Index k = 0; k < largest.size(); ++k) {
    const double least = 1e-18 * approach.limit / decay.sizes[k];
    if (largest[k] < least) continue;
    const Mode& mode = group.basis->modes()[at(decay.modes[at(k)])];
    const double rate = decay.rates[k], omega = mode.value.imag();
    const auto factor = [&](double t) -> Complex {
      const double size = std::exp(-rate * t);
      return mode.is_real() ? size
                            : Complex(size * std::cos(omega * t), size * std::sin(omega * t));
    };
    // By powers of the factor of one step, where that is no large one.
    const bool by_powers = approach.count > 2 && rate * longest < 30;
    const Complex back = by_powers ? factor(-approach.step) : 0;
    const Complex end = approach.end && std::exp(-rate * at_end) >= least ? factor(at_end) : 0;
    Complex now = factor(tau);
    for (Index p = 0; p < approach.count; ++p) {
      if (p > 0) {
        if (by_powers)
          now = {now.real() * back.real() - now.imag() * back.imag(),
                 now.real() * back.imag() + now.imag() * back.real()};
        else
          now = factor(tau - static_cast<double>(p) * approach.step);
      }
      put(mode, now, slopes, first + p, scratch.y);
      if (approach.end)
        put(mode, (end - now) / mode.value, slopes, first + approach.count + p, scratch.y);
    }
  }
}

// A mode's coordinates in a column of y: a factor times its slopes.
void LinearFlow::put(const Mode& mode, Complex factor, const double* slopes, Index to, Rows& y) {
  for (Index i = mode.row; i < mode.row + mode.count; ++i) {
    y(i, to) = factor.real() * slopes[i];
    if (mode.is_real()) continue;
    y(i, to) -= factor.imag() * slopes[i + mode.count];
    y(i + mode.count, to) = factor.real() * slopes[i + mode.count] + factor.imag() * slopes[i];
  }
}

std::optional<Decay> LinearFlow::decay(Index trial) const {
  const Group& group = plan_->groups[group_of_[at(trial)]];
  if (with_slope_ || !omegas_.empty() || !group.basis->knots().empty()) return std::nullopt;
  const auto& modes = group.basis->modes();
  const auto slopes = group.slopes_by_trial.col(column_in_group_[at(trial)]);
  Decay out;
  out.trial = trial;
  out.rates.resize(static_cast<Index>(modes.size()));
  out.sizes = out.poles = out.spreads = out.rates;
  Index count = 0;
  for (std::size_t k = 0; k < modes.size(); ++k) {
    const Mode& mode = modes[k];
    if (mode.row >= group.rows) continue;
    // Copies of one unit's mode reach each a unit of their own; few may reach the same.
    double size = 0;
    for (Index i = mode.row; i < mode.row + mode.count; ++i) {
      const double other = mode.is_real() ? 0 : slopes[i + mode.count];
      const double own = std::sqrt(slopes[i] * slopes[i] + other * other);
      size = mode.count > 2 ? std::max(size, own) : size + own;
    }
    if (size == 0) continue;
    if (!(mode.value.real() < 0)) return std::nullopt;
    out.modes.push_back(static_cast<Index>(k));
    out.families.push_back(mode.family);
    out.rates[count] = -mode.value.real();
    out.poles[count] = std::abs(mode.value);
    out.spreads[count] = mode.spread * size;
    out.sizes[count++] = mode.reach * size;
  }
  for (Eigen::ArrayXd* all : {&out.rates, &out.sizes, &out.poles, &out.spreads})
    all->conservativeResize(count);
  return out;
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
