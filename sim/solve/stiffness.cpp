// How a batch finds that stability limits a column's steps, and what moves the column then.
#include <algorithm>
#include <limits>

#include "sim/solve/batch.hpp"
#include "sim/system/structured_solve.hpp"

namespace settle::solve {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

// Measures the stiffness that accepted steps have met, before their columns arrive: every few of a column's
// own. Whether any is due.
bool Batch::look_for_stiffness() {
  constexpr std::int64_t every = 2;
  if (!may_stiffen_) return false;
  bool any = false;
  for (Slot& slot : slots_) {
    slot.is_looked_at = slot.accepted && (slot.column->steps + 1) % every == 0;
    any = any || slot.is_looked_at;
  }
  if (any) formula_->measure_stiffness(shape_, h_lambda_.data());
  return any;
}

// Hands over the columns of which most that was looked at of late was limited by stability, not by accuracy.
void Batch::hand_over() {
  constexpr int most = 3, never = std::numeric_limits<int>::min() / 2;
  for (Index c = 0; c < shape_.columns; ++c) {
    const Slot& slot = slots_[at(c)];
    if (!slot.is_looked_at || !slot.accepted || !slot.column->is_for_formula()) continue;
    Column& column = *slot.column;
    if (column.limited < 0) continue;
    column.limited =
        std::max(0, column.limited + (h_lambda_[c] > formula_->stiffness_limit() ? 1 : -1));
    if (column.limited < most) continue;
    take(c, shape_, x_, column.x);
    if (!column.run->stiffen(column)) column.limited = never;
  }
}

bool Run::stiffen(Column& column) {
  // A dense matrix of this order is factorised in the time of some ten evaluations.
  constexpr Index widest = 64;
  system::StructuredSolve solve(system());
  system::Workspace workspace = system().make_workspace({column.trial});
  system().begin(column.segment, workspace);
  solve.linearise(column.t, column.x, 0, workspace);
  if (solve.dense_order() > widest) return false;
  column.stiff = column.was_stiff = column.fresh = true;
  return true;
}

// Moves the stiff columns until they wait.
void Batch::advance_stiff() {
  std::erase_if(stiff_, [](const auto& own) { return own.first->gone || !own.first->stiff; });
  for (Column* column : columns_) {
    if (!column->stiff || !column->moves()) continue;
    auto own = std::find_if(stiff_.begin(), stiff_.end(),
                            [column](const auto& other) { return other.first == column; });
    if (own == stiff_.end()) {
      stiff_.emplace_back(column, std::make_unique<Convoy>(std::vector<Column*>{column},
                                                           column->run->method_when_stiff()));
      own = std::prev(stiff_.end());
    }
    own->second->advance(false);
  }
}

}  // namespace settle::solve
