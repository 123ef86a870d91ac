#include "sim/solve/batch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace settle::solve {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// Every column of a panel times a number of its own.
void scale_columns(const PanelShape& shape, const VectorXd& factors, const VectorXd& panel,
                   VectorXd& scaled) {
  const double* from = panel.data();
  double* to = scaled.data();
  if (shape.in_lanes) {
    for (Index i = 0; i < shape.units; ++i, from += shape.columns, to += shape.columns)
      for (Index c = 0; c < shape.columns; ++c) to[c] = factors[c] * from[c];
  } else {
    for (Index c = 0; c < shape.columns; ++c, from += shape.units, to += shape.units)
      for (Index i = 0; i < shape.units; ++i) to[i] = factors[c] * from[i];
  }
}

}  // namespace

Batch::Batch(std::vector<Column*> columns, Next next)
    : columns_(std::move(columns)),
      next_(std::move(next)),
      most_columns_(columns_.size()),
      options_(columns_.front()->run->options()),
      system_(columns_.front()->run->system()),
      formula_(columns_.front()->run->method().formula()),
      alone_(!next_ && columns_.size() == 1 && columns_.front()->run->columns().size() == 1),
      shares_steps_(columns_.front()->run->shares_steps()),
      fixed_(columns_.front()->run->is_fixed()),
      several_(static_cast<bool>(next_)),
      may_stiffen_(!columns_.front()->run->method_when_stiff().empty() && !shares_steps_ &&
                   formula_->stiffness_limit() > 0),
      shape_{system_.dimension(), 0, !alone_ && system_.suits_lanes()},
      shape_of_circuit_{columns_.front()->run->dimension_of_circuit(), 0, shape_.in_lanes},
      workspace_(system_.make_workspace(0, false, false)),
      candidate_(shape_.units),
      rates_(shape_of_circuit_.units),
      rates_of_([this](const VectorXd& x, VectorXd& h_dxdt, double s) { evaluate(x, h_dxdt, s); }) {
}

void Batch::advance(bool proceeds) {
  for (;;) {
    if (proceeds) proceed();
    if (std::none_of(columns_.begin(), columns_.end(),
                     [](const Column* column) { return column->moves(); }))
      return;
    advance_stiff();
    if (!gather()) continue;
    enter();
    // Until a run has to say how it goes on, or enough columns wait to make the matrix narrower.
    for (bool stopped = true;;) {
      if (stopped) {
        Index moving = 0;
        bool asks = false;
        for (const Group& group : groups_) {
          Index own = 0;
          for (std::size_t i = 0; i < group.count; ++i)
            own += placed_[group.first + i]->is_for_formula();
          moving += own;
          asks = asks || (proceeds && own == 0);
        }
        if (moving == 0 || asks ||
            (!alone_ && !shares_steps_ && system::padded(moving) < shape_.columns))
          break;
      }
      stopped = round();
    }
    for (Slot& slot : slots_)
      if (slot.column && !slot.column->is_for_formula()) leave(slot);
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
  const bool any = std::any_of(columns_.begin(), columns_.end(),
                               [](const Column* column) { return column->is_for_formula(); });
  if (!any) return false;
  placed_.clear();
  groups_.clear();
  driven_ = false;
  // Trials that share their steps go on together, until all wait.
  for (Column* column : columns_) {
    if (column->gone || !(shares_steps_ || column->is_for_formula())) continue;
    if (groups_.empty() || groups_.back().run != column->run)
      groups_.push_back({column->run, placed_.size(), 0});
    ++groups_.back().count;
    placed_.push_back(column);
    driven_ = driven_ || column->run->system().circuit().is_driven();
  }
  const Index count = static_cast<Index>(placed_.size());
  const Index width = alone_ ? 1 : system::padded(count);
  if (width != shape_.columns) resize(width);
  Index slot = 0;
  for (Column* column : placed_) {
    if (column->slot >= 0) continue;
    while (slots_[at(slot)].column) ++slot;
    place(slot, *column);
  }
  formula_->begin(driven_);
  return true;
}

void Batch::resize(Index width) {
  for (Slot& slot : slots_)
    if (slot.column) leave(slot);
  shape_.columns = shape_of_circuit_.columns = width;
  workspace_ = system_.make_workspace(width, shape_.in_lanes, several_);
  slots_.assign(at(width), {});
  for (VectorXd* panel : {&x_, &dxdt_, &k_, &x_new_, &dxdt_new_, &k_new_, &error_})
    panel->setZero(shape_.size());
  for (VectorXd* row : {&times_, &h_, &at_, &per_h_, &ratio_, &h_lambda_}) row->setOnes(width);
  motions_.resize(at(width));
  for (VectorXd* panel : {&taus_, &directions_}) panel->setZero(shape_of_circuit_.size());
  if (const system::Reduction* reduction = placed_.front()->run->reduction()) {
    expansion_.emplace(*reduction, width, shape_.in_lanes);
    for (VectorXd* panel : {&seen_, &seen_dxdt_}) panel->setZero(shape_of_circuit_.size());
  }
}

void Batch::place(Index c, Column& column) {
  const Run& run = *column.run;
  run.system().assign(c, column.trial, column.segment, workspace_);
  if (expansion_) expansion_->assign(c, *run.reduction(), column.trial);
  set(c, shape_, column.x, x_);
  set(c, shape_, column.dxdt, dxdt_);
  set(c, shape_of_circuit_, run.monitor().taus(), taus_);
  set(c, shape_of_circuit_, run.monitor().direction(column.trial), directions_);
  times_[c] = column.t;
  h_[c] = 1;
  slots_[at(c)].column = &column;
  column.slot = c;
}

// A column takes its x and ẋ with it.
void Batch::leave(Slot& slot) {
  Column& column = *slot.column;
  take(column.slot, shape_, x_, column.x);
  take(column.slot, shape_, dxdt_, column.dxdt);
  column.slot = -1;
  slot.column = nullptr;
}

void Batch::take(Index slot, const PanelShape& shape, const VectorXd& from,
                 VectorXd& column) const {
  column = Eigen::Map<const VectorXd, 0, Eigen::InnerStride<>>(
      from.data() + shape.first(slot), shape.units, Eigen::InnerStride<>(shape.stride()));
}

void Batch::set(Index slot, const PanelShape& shape, const VectorXd& column, VectorXd& to) const {
  Eigen::Map<VectorXd, 0, Eigen::InnerStride<>>(to.data() + shape.first(slot), shape.units,
                                                Eigen::InnerStride<>(shape.stride())) = column;
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
  evaluate(x_, k_new_, 0);
  std::vector<Index> without_step;
  for (Index c = 0; c < shape_.columns; ++c) {
    Column* column = slots_[at(c)].column;
    if (!column || !column->fresh) continue;
    ++column->evaluations;
    take(c, shape_, k_new_, column->dxdt);  // h = 1
    set(c, shape_, column->dxdt, dxdt_);
    const bool goes_on = column->run->enter(*column);
    set(c, shape_of_circuit_, column->run->monitor().direction(column->trial), directions_);
    if (goes_on && !fixed_ && column->control.step == 0) without_step.push_back(c);
  }
  if (without_step.empty()) return;
  const auto size_of = [this](const VectorXd& v, const Column& column) {
    double ratio;
    largest_over_tolerance(options_, {shape_.units, 1}, v.data(), column.x.data(), column.x.data(),
                           &ratio);
    return ratio * options_.rtol;
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
    set(c, shape_, candidate_, x_new_);
    times_[c] = column.t + h0;
  }
  evaluate(x_new_, k_new_, 0);
  for (std::size_t i = 0; i < without_step.size(); ++i) {
    const Index c = without_step[i];
    Column& column = *slots_[at(c)].column;
    ++column.evaluations;
    take(c, shape_, k_new_, candidate_);
    candidate_ -= column.dxdt;
    const double bend = size_of(candidate_, column) / first_steps[i];
    const double room =
        std::min(column.segment.end - column.t, options_.max_step.value_or(infinity));
    column.control.step = first_step(first_steps[i], rates[i], bend, formula_->order(), room);
  }
}

// One attempt of every column that moves. Whether one of the columns stopped.
bool Batch::round() {
  plan();
  evaluated_ = 0;
  formula_->step(rates_of_, x_, k_, x_new_, k_new_, error_);
  if (judge(evaluated_)) {
    const bool looks = look_for_stiffness();
    arrive();
    if (looks) hand_over();
    watch();
  }
  return std::any_of(placed_.begin(), placed_.end(),
                     [](const Column* column) { return !column->is_for_formula(); });
}

// Every column's step, and k = h ẋ for it.
void Batch::plan() {
  const double longest = options_.max_step.value_or(infinity);
  const Slot* shortest = nullptr;
  for (Index c = 0; c < shape_.columns; ++c) {
    Slot& slot = slots_[at(c)];
    slot.tries =
        slot.column && !slot.column->gone && (shares_steps_ || slot.column->is_for_formula());
    if (!slot.tries) continue;
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
    if (!shortest || slot.plan.h < shortest->plan.h) shortest = &slot;
  }
  if (shares_steps_ && !fixed_)
    for (Slot& slot : slots_)
      if (slot.tries) {
        slot.plan = shortest->plan;
        slot.t_new = shortest->t_new;
      }
  for (Index c = 0; c < shape_.columns; ++c)
    if (slots_[at(c)].tries) h_[c] = slots_[at(c)].plan.h;
  scale_columns(shape_, h_, dxdt_, k_);
}

// Which columns' attempts are accepted. Whether any is.
bool Batch::judge(double evaluations) {
  if (!fixed_) {
    largest_over_tolerance(options_, shape_, error_.data(), x_.data(), x_new_.data(),
                           ratio_.data());
    if (shares_steps_) {
      double largest = 0;
      for (Index c = 0; c < shape_.columns; ++c)
        if (slots_[at(c)].tries && !(ratio_[c] <= largest)) largest = ratio_[c];
      ratio_.setConstant(largest);
    }
  }
  bool any = false;
  for (Index c = 0; c < shape_.columns; ++c) {
    Slot& slot = slots_[at(c)];
    slot.accepted = false;
    if (!slot.tries) continue;
    Column& column = *slot.column;
    column.evaluations += evaluations;
    slot.accepted =
        fixed_ || column.control.judge(ratio_[c], slot.plan, formula_->error_exponent());
    any = any || slot.accepted;
    if (slot.accepted) continue;
    column.run->reject(column, 1);
    if (!slot.plan.smallest || column.gone) continue;
    take(c, shape_, x_new_, candidate_);
    if (column.run->admits(column, candidate_))
      column.run->fail(column, StepControl::failure(slot.plan.h, ratio_[c], column.t,
                                                    column.run->method_name()));
  }
  return any;
}

// The states of the circuits, or their rates of change, from those of what is integrated.
const VectorXd& Batch::whole(const VectorXd& x, VectorXd& expanded) {
  if (!expansion_) return x;
  expansion_->expand(x.data(), expanded.data());
  return expanded;
}

// Moves the columns whose attempts are accepted to their new states.
void Batch::arrive() {
  const bool again = !formula_->is_first_same_as_last();
  if (again) {
    // ẋ of each column at its own new time.
    for (Index c = 0; c < shape_.columns; ++c)
      if (slots_[at(c)].accepted) times_[c] = slots_[at(c)].t_new;
    evaluate(x_new_, k_new_, 0);
  }
  // The rates in their own unit; k is still needed to interpolate.
  per_h_ = h_.cwiseInverse();
  scale_columns(shape_, per_h_, k_new_, dxdt_new_);
  const VectorXd& x = whole(x_new_, seen_);
  const VectorXd& dxdt = whole(dxdt_new_, seen_dxdt_);
  measure_motion(shape_of_circuit_, x.data(), dxdt.data(), taus_.data(), directions_.data(),
                 options_.divergence_limit, motions_.data());
  for (Index c = 0; c < shape_.columns; ++c) {
    Slot& slot = slots_[at(c)];
    if (!slot.accepted) continue;
    Column& column = *slot.column;
    Run& run = *column.run;
    const Motion& motion = motions_[at(c)];
    if (!motion.is_within) {
      take(c, shape_, x_new_, candidate_);
      slot.accepted = run.admits(column, candidate_);
      if (!slot.accepted) continue;
    }
    if (again) ++column.evaluations;
    const double t_old = column.t, h = h_[c];
    column.t = slot.t_new;
    if (run.is_seen(column) || !motion.moves_finitely) {
      take(c, shape_, x_new_, column.x);
      if (expansion_) take(c, shape_of_circuit_, x, column.seen);
    }
    if (!motion.moves_finitely) {
      take(c, shape_, dxdt_new_, column.dxdt);
      take(c, shape_of_circuit_, dxdt, column.seen_dxdt);
    }
    const auto between = [&](double t, VectorXd& at_t) {
      formula_->interpolate((t - t_old) / h, shape_.first(c), shape_.stride(), at_t);
    };
    if (!run.stepped(column, t_old, motion, between)) {
      take(c, shape_of_circuit_, dxdt, rates_);
      run.turn(column, rates_);
      set(c, shape_of_circuit_, run.monitor().direction(column.trial), directions_);
    }
  }
  // Those that stay where they are go into the new matrix as they were.
  for (Index c = 0; c < shape_.columns; ++c) {
    if (slots_[at(c)].accepted) continue;
    for (const auto& [from, to] : {std::pair{&x_, &x_new_}, {&dxdt_, &dxdt_new_}})
      for (Index i = shape_.first(c), unit = 0; unit < shape_.units; ++unit, i += shape_.stride())
        (*to)[i] = (*from)[i];
  }
  x_.swap(x_new_);
  dxdt_.swap(dxdt_new_);
}

void Batch::watch() {
  const Run::Clock::time_point now = Run::Clock::now();
  for (const Group& group : groups_) {
    const std::span<Column* const> own(placed_.data() + group.first, group.count);
    if (std::any_of(own.begin(), own.end(),
                    [this](const Column* column) { return slots_[at(column->slot)].accepted; }))
      group.run->watch(own, now);
  }
}

}  // namespace settle::solve
