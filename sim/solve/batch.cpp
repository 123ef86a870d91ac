#include "sim/solve/batch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace settle::solve {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

Batch::Batch(std::vector<Column*> columns, Next next)
    : columns_(std::move(columns)),
      next_(std::move(next)),
      most_columns_(columns_.size()),
      options_(columns_.front()->run->options()),
      system_(columns_.front()->run->system()),
      formula_(columns_.front()->run->method().formula()),
      alone_(!next_ && columns_.size() == 1 && columns_.front()->run->columns().size() == 1),
      lanes_(!alone_ && system_.suits_lanes()),
      shares_steps_(columns_.front()->run->shares_steps()),
      fixed_(columns_.front()->run->is_fixed()),
      n_(system_.dimension()),
      workspace_(system_.make_workspace(0, false, false)),
      candidate_(n_),
      rates_(n_),
      rates_of_([this](const VectorXd& x, VectorXd& h_dxdt, double s) { evaluate(x, h_dxdt, s); }) {
}

void Batch::advance(bool proceeds) {
  for (;;) {
    if (proceeds) proceed();
    if (!gather()) return;
    enter();
    // Until a run has to say how it goes on, or enough columns wait to make the matrix narrower.
    for (;;) {
      Index moving = 0;
      bool asks = false;
      for (const Slot& slot : slots_) {
        if (!slot.column) continue;
        if (slot.column->moves()) ++moving;
        asks = asks || (proceeds && slot.column->run->is_waiting());
      }
      if (moving == 0 || asks || (!alone_ && !shares_steps_ && system::padded(moving) < width_))
        break;
      round();
    }
  }
}

// Asks the runs whose columns all wait how they go on, and replaces those that are over.
void Batch::proceed() {
  std::vector<Column*> left;
  for (std::size_t c = 0; c < columns_.size();) {
    Run& run = *columns_[c]->run;
    std::size_t end = c;
    while (end < columns_.size() && columns_[end]->run == &run) ++end;
    bool goes_on = !run.is_waiting();
    while (!goes_on && run.proceed()) goes_on = !run.is_waiting();
    if (goes_on)
      left.insert(left.end(), columns_.begin() + static_cast<std::ptrdiff_t>(c),
                  columns_.begin() + static_cast<std::ptrdiff_t>(end));
    c = end;
    if (c == columns_.size() && next_ && left.size() < most_columns_) {
      const std::vector<Column*> more = next_(most_columns_ - left.size());
      columns_.insert(columns_.end(), more.begin(), more.end());
    }
  }
  columns_ = std::move(left);
}

// Puts the moving columns into the matrix. Whether there are any.
bool Batch::gather() {
  std::vector<Column*> moving;
  const bool any = std::any_of(columns_.begin(), columns_.end(),
                               [](const Column* column) { return column->moves(); });
  if (!any) return false;
  // Trials that share their steps go on together, until all wait.
  for (Column* column : columns_)
    if (!column->gone && (shares_steps_ || column->moves())) moving.push_back(column);
  const Index count = static_cast<Index>(moving.size());
  const Index width = alone_ ? 1 : system::padded(count);
  const bool several = std::any_of(moving.begin(), moving.end(), [&](const Column* column) {
    return &column->run->system() != &system_;
  });
  if (width != width_ || several != several_) {
    workspace_ = system_.make_workspace(width, lanes_, several);
    width_ = width;
    several_ = several;
    for (VectorXd* panel : {&x_, &k_, &x_new_, &k_new_, &error_}) panel->setZero(n_ * width);
    for (VectorXd* row : {&times_, &h_, &at_, &ratio_}) row->setZero(width);
  }
  slots_.assign(at(width), {});
  driven_ = false;
  for (Index c = 0; c < width; ++c) {
    Column* column = moving[at(std::min(c, count - 1))];
    const system::OdeSystem& own = column->run->system();
    own.assign(c, column->trial, column->segment, workspace_);
    set(c, column->x, x_);
    times_[c] = column->t;
    h_[c] = 0;
    if (c < count) slots_[at(c)].column = column;
    driven_ = driven_ || own.circuit().is_driven();
  }
  formula_->begin(driven_);
  return true;
}

void Batch::take(Index slot, const VectorXd& from, VectorXd& column) const {
  column = Eigen::Map<const VectorXd, 0, Eigen::InnerStride<>>(from.data() + first(slot), n_,
                                                               Eigen::InnerStride<>(stride()));
}

void Batch::set(Index slot, const VectorXd& column, VectorXd& to) const {
  Eigen::Map<VectorXd, 0, Eigen::InnerStride<>>(to.data() + first(slot), n_,
                                                Eigen::InnerStride<>(stride())) = column;
}

void Batch::evaluate(const VectorXd& x, VectorXd& h_dxdt, double s) {
  if (driven_) at_ = times_ + s * h_;
  system_.scaled_derivative(at_.data(), h_.data(), x.data(), h_dxdt.data(), workspace_);
  ++evaluated_;
}

// ẋ of the columns that begin a segment, and a first step where none is known.
void Batch::enter() {
  const bool any = std::any_of(slots_.begin(), slots_.end(),
                               [](const Slot& slot) { return slot.column && slot.column->fresh; });
  if (!any) return;
  h_.setOnes();
  evaluate(x_, k_, 0);
  std::vector<Index> without_step;
  for (Index c = 0; c < width_; ++c) {
    Column* column = slots_[at(c)].column;
    if (!column || !column->fresh) continue;
    ++column->evaluations;
    take(c, k_, column->dxdt);
    if (!column->run->enter(*column)) continue;
    if (!fixed_ && column->control.step == 0) without_step.push_back(c);
  }
  if (without_step.empty()) return;
  const auto size_of = [this](const VectorXd& v, const Column& column) {
    return largest_over_tolerance(options_, v, column.x, column.x) * options_.rtol;
  };
  // Each column's Euler step, and ẋ at its end.
  std::vector<double> first_steps, rates;
  x_new_ = x_;
  for (const Index c : without_step) {
    const Column& column = *slots_[at(c)].column;
    const double size = size_of(column.x, column), rate = size_of(column.dxdt, column);
    const double h0 = first_euler_step(size, rate, column.segment.end - column.t);
    first_steps.push_back(h0);
    rates.push_back(rate);
    candidate_ = column.x + h0 * column.dxdt;
    set(c, candidate_, x_new_);
    times_[c] = column.t + h0;
  }
  evaluate(x_new_, k_new_, 0);
  for (std::size_t i = 0; i < without_step.size(); ++i) {
    const Index c = without_step[i];
    Column& column = *slots_[at(c)].column;
    times_[c] = column.t;
    ++column.evaluations;
    take(c, k_new_, rates_);
    const double bend = size_of(rates_ - column.dxdt, column) / first_steps[i];
    const double room =
        std::min(column.segment.end - column.t, options_.max_step.value_or(infinity));
    column.control.step = first_step(first_steps[i], rates[i], bend, formula_->order(), room);
  }
}

// Per slot, the error over tolerance.
void Batch::measure_errors() {
  if (!lanes_) {
    for (Index c = 0; c < width_; ++c)
      ratio_[c] = largest_over_tolerance(options_, error_.segment(c * n_, n_),
                                         x_.segment(c * n_, n_), x_new_.segment(c * n_, n_));
    return;
  }
  ratio_.setZero();
  at_.setZero();  // sums, which keep NaN
  for (Index i = 0; i < n_; ++i) {
    const auto row = [&](const VectorXd& all) { return all.segment(i * width_, width_).array(); };
    const auto ratio = over_tolerance(options_, row(error_), row(x_), row(x_new_));
    at_.array() += ratio;
    ratio_ = ratio_.array().max(ratio);
  }
  for (Index c = 0; c < width_; ++c)
    if (!std::isfinite(at_[c])) ratio_[c] = nan;
}

// One attempt of every column that moves.
void Batch::round() {
  const double longest = options_.max_step.value_or(infinity);
  h_.setZero();
  for (Index c = 0; c < width_; ++c) {
    Slot& slot = slots_[at(c)];
    if (!slot.column || (!shares_steps_ && !slot.column->moves()) || slot.column->gone) continue;
    Column& column = *slot.column;
    times_[c] = column.t;
    if (fixed_) {
      slot.t_new = column.run->next_part(column);
      slot.plan = {.h = slot.t_new - column.t};
    } else {
      const double stop = column.run->stop(column);
      slot.plan = column.control.plan(column.t, stop, longest);
      slot.t_new = slot.plan.to_stop ? stop : column.t + slot.plan.h;
    }
    h_[c] = slot.plan.h;
  }
  if (shares_steps_ && !fixed_) {
    const Slot* shortest = nullptr;
    for (const Slot& slot : slots_)
      if (slot.column && !slot.column->gone && (!shortest || slot.plan.h < shortest->plan.h))
        shortest = &slot;
    const StepControl::Plan plan = shortest->plan;
    const double t_new = shortest->t_new;
    for (Index c = 0; c < width_; ++c) {
      Slot& slot = slots_[at(c)];
      if (!slot.column || slot.column->gone) continue;
      slot.plan = plan;
      slot.t_new = t_new;
      h_[c] = plan.h;
    }
  }
  for (Index c = 0; c < width_; ++c) {
    if (h_[c] == 0) continue;
    rates_ = h_[c] * slots_[at(c)].column->dxdt;
    set(c, rates_, k_);
  }
  evaluated_ = 0;
  formula_->step(rates_of_, x_, k_, x_new_, k_new_, error_);
  const double stages = evaluated_;
  if (!fixed_) measure_errors();
  if (shares_steps_ && !fixed_) {
    double largest = 0;
    for (Index c = 0; c < width_; ++c)
      if (h_[c] != 0 && !(ratio_[c] <= largest)) largest = ratio_[c];
    ratio_.setConstant(largest);
  }

  bool any = false;
  for (Index c = 0; c < width_; ++c) {
    Slot& slot = slots_[at(c)];
    slot.accepted = false;
    if (h_[c] == 0) continue;
    Column& column = *slot.column;
    column.evaluations += stages;
    if (!fixed_ && !column.control.judge(ratio_[c], slot.plan, formula_->error_exponent())) {
      column.run->reject(column, 1);
      if (slot.plan.smallest && !column.gone) {
        take(c, x_new_, candidate_);
        if (column.run->admits(column, candidate_))
          column.run->fail(column, StepControl::failure(slot.plan.h, ratio_[c], column.t,
                                                        column.run->method_name()));
      }
      continue;
    }
    take(c, x_new_, candidate_);
    slot.accepted = column.run->admits(column, candidate_);
    any = any || slot.accepted;
  }
  const bool again = any && !formula_->is_first_same_as_last();
  if (again) {
    // ẋ at the new states, of each column at its own new time.
    const VectorXd steps = h_;
    for (Index c = 0; c < width_; ++c)
      if (slots_[at(c)].accepted) {
        times_[c] = slots_[at(c)].t_new;
        ++slots_[at(c)].column->evaluations;
      }
    h_.setOnes();
    evaluate(x_new_, k_new_, 0);
    h_ = steps;
  }
  for (Index c = 0; c < width_; ++c) {
    const Slot& slot = slots_[at(c)];
    if (!slot.accepted) continue;
    Column& column = *slot.column;
    const double t_old = column.t, h = h_[c];
    take(c, x_new_, column.x);
    take(c, k_new_, column.dxdt);
    if (!again) column.dxdt /= h;
    column.t = slot.t_new;
    column.run->stepped(column, t_old, [&](double t, VectorXd& x) {
      formula_->interpolate((t - t_old) / h, first(c), stride(), x);
    });
  }
  // The columns of a run stand side by side.
  for (Index c = 0; c < width_;) {
    bool stepped = false;
    own_.clear();
    for (; c < width_ && slots_[at(c)].column &&
           (own_.empty() || slots_[at(c)].column->run == own_.front()->run);
         ++c) {
      const Slot& slot = slots_[at(c)];
      own_.push_back(slot.column);
      stepped = stepped || slot.accepted;
      if (slot.accepted) set(c, slot.column->x, x_);
    }
    if (own_.empty()) break;  // padding
    if (stepped) own_.front()->run->watch(own_);
  }
}

}  // namespace settle::solve
