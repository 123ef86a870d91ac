#include "sim/solve/convoy.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace settle::solve {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::vector<Index> trials_of(const std::vector<Column*>& columns) {
  std::vector<Index> out;
  for (const Column* column : columns) out.push_back(column->trial);
  return out;
}

}  // namespace

Convoy::Convoy(std::vector<Column*> columns, std::string method)
    : columns_(std::move(columns)),
      run_(*columns_.front()->run),
      options_(run_.options()),
      name_(std::move(method)),
      problem_(run_.system(), options_, trials_of(columns_)),
      method_(methods().find(name_)->make()),
      n_(run_.system().dimension()),
      x_(n_ * static_cast<Index>(columns_.size())),
      dxdt_(VectorXd::Zero(x_.size())) {}

bool Convoy::any_present() const {
  return std::any_of(columns_.begin(), columns_.end(),
                     [](const Column* column) { return !column->gone; });
}

bool Convoy::moves() const {
  return std::any_of(columns_.begin(), columns_.end(),
                     [](const Column* column) { return column->moves(); });
}

double Convoy::stop() const {
  double end = infinity;
  for (Column* column : columns_)
    if (!column->gone) end = std::min(end, run_.stop(*column));
  return end;
}

void Convoy::count() {
  const double trials = static_cast<double>(columns_.size());
  for (Column* column : columns_) {
    column->evaluations += (problem_.evaluations - evaluations_) / trials;
    column->jacobians += (problem_.jacobians - jacobians_) / trials;
  }
  evaluations_ = problem_.evaluations;
  jacobians_ = problem_.jacobians;
}

void Convoy::advance(bool proceeds) {
  for (;;) {
    if (proceeds)
      while (run_.is_waiting())
        if (!run_.proceed()) return;
    if (!moves()) return;
    try {
      if (std::any_of(columns_.begin(), columns_.end(),
                      [](const Column* column) { return !column->gone && column->fresh; }))
        enter();
      while (moves()) {
        double t_new;
        if (run_.is_fixed()) {
          t_new = 0;
          for (Column* column : columns_)
            if (!column->gone) t_new = run_.next_part(*column);
          while (any_present() && !attempt_fixed(t_new)) {
          }
        } else {
          t_new = adaptive_step();
        }
        if (!any_present()) break;
        arrive(t_new);
      }
    } catch (const StopIntegration& stop) {
      fail(stop.what());
    }
    count();
    run_.tell(method_->how());
    if (!proceeds) return;
  }
}

void Convoy::fail(const std::string& why) {
  for (Column* column : columns_)
    if (!column->gone) run_.fail(*column, why);
}

// Stands at (t, x) with a fresh ẋ, and starts the method there.
void Convoy::enter() {
  bool begun = false;
  for (std::size_t k = 0; k < columns_.size(); ++k) {
    const Column& column = *columns_[k];
    if (column.gone) continue;
    if (!begun) problem_.begin(column.segment);
    begun = true;
    t_ = column.t;
    x_.segment(static_cast<Index>(k) * n_, n_) = column.x;
  }
  for (std::size_t k = 0; k < columns_.size(); ++k) {
    if (!columns_[k]->gone) continue;
    problem_.leave(static_cast<Index>(k));
    x_.segment(static_cast<Index>(k) * n_, n_).setZero();
  }
  problem_.derivative(t_, x_, dxdt_);
  bool left = false;
  for (std::size_t k = 0; k < columns_.size(); ++k) {
    Column& column = *columns_[k];
    if (column.gone) continue;
    column.dxdt = of(static_cast<Index>(k), dxdt_);
    control_.step = column.control.step;
    if (run_.enter(column)) {
      if (control_.step == 0) control_.step = column.control.step;
      continue;
    }
    problem_.leave(static_cast<Index>(k));
    x_.segment(static_cast<Index>(k) * n_, n_).setZero();
    left = true;
  }
  if (!any_present()) return;
  if (left) problem_.derivative(t_, x_, dxdt_);
  method_->restart(problem_, t_, x_, dxdt_, control_.step);
  if (!run_.is_fixed() && control_.step == 0) {
    control_.step = first_step_length();
    method_->restart(problem_, t_, x_, dxdt_, control_.step);
  }
}

double Convoy::first_step_length() {
  const VectorXd zero = VectorXd::Zero(x_.size());
  const double size = problem_.error_ratio(x_, x_, zero) * options_.rtol;
  const double rate = problem_.error_ratio(dxdt_, x_, zero) * options_.rtol;
  const double room = problem_.segment().end - t_;
  const double h0 = first_euler_step(size, rate, room);
  VectorXd later(x_.size());
  problem_.derivative(t_ + h0, x_ + h0 * dxdt_, later);
  const double bend = problem_.error_ratio(later - dxdt_, x_, zero) * options_.rtol / h0;
  return first_step(h0, rate, bend, method_->order(),
                    std::min(room, options_.max_step.value_or(infinity)));
}

void Convoy::restart() {
  if (!any_present()) return;
  problem_.derivative(t_, x_, dxdt_);
  method_->restart(problem_, t_, x_, dxdt_, control_.step);
}

// Trials whose values are not finite or too large leave. Whether any did.
bool Convoy::leave(const VectorXd& values, bool is_state) {
  bool any = false;
  for (std::size_t k = 0; k < columns_.size(); ++k) {
    const auto trial = static_cast<Index>(k);
    Column& column = *columns_[k];
    if (!column.gone && is_state) run_.admits(column, of(trial, values));
    if (!column.gone || problem_.has_left(trial)) continue;
    problem_.leave(trial);
    x_.segment(trial * n_, n_).setZero();
    any = true;
  }
  return any;
}

bool Convoy::attempt_fixed(double t_new) {
  const Attempt result = method_->attempt(problem_, t_new - t_);
  if (!result.failure.empty()) throw StopIntegration(result.failure);
  if (!leave(method_->candidate(), true)) return true;
  restart();
  return false;
}

// Steps until one is accepted; returns the time that it reaches.
double Convoy::adaptive_step() {
  const bool pair = method_->control() == Method::Control::error;
  const double longest = options_.max_step.value_or(infinity);
  for (;;) {
    const double end = stop();
    StepControl plain = control_;
    if (!pair) plain.step = infinity;
    const StepControl::Plan plan = plain.plan(t_, end, longest);
    const Attempt result = method_->attempt(problem_, plan.h);
    for (Column* column : columns_)
      if (!column->gone && result.rejections > 0) run_.reject(*column, result.rejections);
    const bool accepted = !pair || (result.failure.empty() &&
                                    control_.judge(result.error, plan, method_->error_exponent()));
    if (accepted) {
      if (leave(method_->candidate(), true)) {
        if (!any_present()) return t_;
        restart();
        continue;
      }
      if (!result.failure.empty()) throw StopIntegration(result.failure);
      if (pair) return plan.to_stop ? end : t_ + plan.h;
      return result.step >= (end - t_) * (1 - 1e-12) ? end : t_ + result.step;
    }
    if (!result.failure.empty()) throw StopIntegration(result.failure);
    for (Column* column : columns_)
      if (!column->gone) run_.reject(*column, 1);
    if (plan.smallest) {
      if (leave(method_->candidate(), true)) {
        if (!any_present()) return t_;
        control_.step = first_step_length();
        restart();
        continue;
      }
      throw StopIntegration(StepControl::failure(plan.h, result.error, t_, name_));
    }
    if (!any_present()) return t_;
  }
}

// A step is accepted.
void Convoy::arrive(double t_new) {
  const double t_old = t_;
  method_->accept(problem_, t_new, dxdt_);
  t_ = t_new;
  x_ = method_->candidate();
  count();
  VectorXd all(x_.size());
  double interpolated = t_old;  // all, that far
  for (std::size_t k = 0; k < columns_.size(); ++k) {
    Column& column = *columns_[k];
    if (column.gone) continue;
    const auto trial = static_cast<Index>(k);
    column.t = t_new;
    column.x = of(trial, x_);
    column.dxdt = of(trial, dxdt_);
    column.control.step = control_.step;
    run_.stepped(column, t_old, [&](double t, VectorXd& x) {
      if (t != interpolated) method_->interpolate(t, all);
      interpolated = t;
      x = of(trial, all);
    });
  }
  if (leave(x_, false) && any_present() && moves()) restart();
  run_.watch(columns_);
}

}  // namespace settle::solve
