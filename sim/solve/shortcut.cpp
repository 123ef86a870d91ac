// How a run puts its trials to rest without the way there (SolverOptions::shortcut).
#include <tbb/parallel_for.h>

#include <algorithm>

#include "sim/solve/run.hpp"

namespace settle::solve {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

// Whether the segment's states of rest are asked for, and are what they are whatever the time.
bool Run::may_skip() const {
  return options_.shortcut && may_settle_ && system_.changing_source(segment_, t_).empty();
}

// Puts the trials to rest that are shown to come to it.
void Run::skip() {
  const auto& edges = system_.circuit().edges;
  const bool alike = std::all_of(edges.begin(), edges.end(), [](const system::Edge& edge) {
    return edge.gate.cols() <= 1 && edge.receiver_gate.cols() <= 1;
  });
  const auto attraction_of = [&](Index trial) {
    return find_attraction({system_, segment_, t_, trial});
  };
  Attraction of_all;
  if (alike) of_all = attraction_of(0);
  std::vector<Rest> rests(columns_.size());
  const auto find = [&](std::size_t k) {
    const Column& column = columns_[k];
    if (!column.gone) rests[k] = rest_of(column, alike ? of_all : attraction_of(column.trial));
  };
  if (columns_.size() == 1)
    find(0);
  else
    tbb::parallel_for(std::size_t{0}, columns_.size(), find);
  // Trials that share their steps make them together.
  const bool all = std::none_of(columns_.begin(), columns_.end(), [&](const Column& column) {
    return !column.gone && !rests[at(column.trial)].why_not.empty();
  });
  std::size_t present = 0, skipped = 0;
  std::vector<std::string> proofs;
  std::string why_not;
  for (Column& column : columns_) {
    if (column.gone) continue;
    ++present;
    Rest& rest = rests[at(column.trial)];
    if (why_not.empty()) why_not = rest.why_not;
    if (!rest.why_not.empty() || (!all && shares_steps())) continue;
    ++skipped;
    if (std::find(proofs.begin(), proofs.end(), rest.proof) == proofs.end())
      proofs.push_back(rest.proof);
    column.x = std::move(rest.x);
    column.dxdt = std::move(rest.dxdt);
    monitor_.put_to_rest(column.trial, t_, whole(column, column.x, column.seen),
                         whole(column, column.dxdt, column.seen_dxdt));
    column.settled = column.skips = true;
    column.fresh = false;
  }
  std::string text = system_.circuit().phases[at(phase_)].name + ": ";
  if (skipped > 0)
    text += (present == 1 ? "" : std::to_string(skipped) + " of " + std::to_string(present) + " ") +
            "put to rest: every start ends there, as is shown " + core::join(proofs, ", ");
  if (skipped < present) text += (skipped > 0 ? "; else " : "") + ("integrated, since " + why_not);
  summary_.shortcuts.push_back(std::move(text));
}

// Where a trial ends, or why it must be integrated.
Run::Rest Run::rest_of(const Column& column, const Attraction& attraction) const {
  if (!attraction.is_shown()) return {.why_not = attraction.why_not};
  const system::OdeSystem& own = system();
  Equilibrium found = find_equilibrium({own, segment_, t_, column.trial}, column.x);
  if (!found.converged) return {.why_not = "no state of rest was found: " + found.reason};
  MatrixXd rate(own.dimension(), 1);
  system::Workspace workspace = own.make_workspace({column.trial});
  own.begin(segment_, workspace);
  own.derivative(t_, found.x, rate, workspace);
  Rest rest{.proof = attraction.proof, .x = std::move(found.x), .dxdt = rate.col(0)};
  VectorXd x, dxdt;
  const VectorXd& seen = whole(column, rest.x, x);
  if (!(seen.cwiseAbs().maxCoeff() <= options_.divergence_limit))
    rest.why_not = "the state of rest is beyond solver.divergence_limit";
  else if (!(monitor_.residual(seen, whole(column, rest.dxdt, dxdt)).relative() <=
             monitor_.tolerance()))
    rest.why_not = "rounding keeps the state of rest from solver.settled.tolerance";
  return rest;
}

}  // namespace settle::solve
