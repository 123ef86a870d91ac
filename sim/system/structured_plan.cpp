// Which unknowns are eliminated, in which order, and what products that takes.
#include <algorithm>

#include "sim/system/structured_solve.hpp"

namespace settle::system {
namespace {

// Right-hand sides that are solved for with one factorisation, and what one small product costs in
// multiplications besides its own: what the plan weighs.
constexpr double solves = 6, call = 200;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

void erase(std::vector<int>& list, int entry) {
  list.erase(std::find(list.begin(), list.end(), entry));
}

}  // namespace

int StructuredSolve::find_block(int to, int from) const {
  for (const int k : into_[at(to)])
    if (blocks_[at(k)].from == from) return k;
  return -1;
}

int StructuredSolve::block(int to, int from) {
  if (const int found = find_block(to, from); found >= 0) return found;
  const int k = static_cast<int>(blocks_.size());
  blocks_.push_back({.to = to, .from = from});
  into_[at(to)].push_back(k);
  from_[at(from)].push_back(k);
  return k;
}

int StructuredSolve::add_part(int k, Part part) {
  const int p = static_cast<int>(parts_.size());
  blocks_[at(k)].parts.push_back(p);
  if (part.kind == Part::diagonal) blocks_[at(k)].diagonal = p;
  if (part.kind == Part::product) blocks_[at(k)].product = p;
  parts_.push_back(std::move(part));
  return p;
}

int StructuredSolve::diagonal_of(int k) {
  if (const int p = blocks_[at(k)].diagonal; p >= 0) return p;
  return add_part(k, {.kind = Part::diagonal});
}

bool StructuredSolve::has_matrix(int k) const {
  return blocks_[at(k)].parts.size() > (blocks_[at(k)].diagonal >= 0 ? 1u : 0u);
}

bool StructuredSolve::can_be_eliminated(int u) const {
  const int self = find_block(u, u);
  return !keeps_[at(u)] && (self < 0 || !has_matrix(self));
}

double StructuredSolve::entries(int p, const Block& of) const {
  const Part& part = parts_[at(p)];
  const double rows = static_cast<double>(unknowns_[at(of.to)].size);
  if (part.kind == Part::diagonal) return rows;
  if (part.sparse) return static_cast<double>(part.sparse->nonZeros());
  return rows * static_cast<double>(unknowns_[at(of.from)].size);
}

// Of eliminating an unknown, roughly.
StructuredSolve::Cost StructuredSolve::cost(int u) const {
  Cost sum{0, 0};
  const double size = static_cast<double>(unknowns_[at(u)].size);
  for (const std::vector<int>* list : {&into_[at(u)], &from_[at(u)]})
    for (const int k : *list)
      for (const int p : blocks_[at(k)].parts) {
        sum.work += solves * entries(p, blocks_[at(k)]);
        sum.fill -= entries(p, blocks_[at(k)]);
      }
  for (const int o : from_[at(u)])
    for (const int i : into_[at(u)]) {
      const Block &out = blocks_[at(o)], &in = blocks_[at(i)];
      if (out.to == u || in.from == u) continue;
      const int target = find_block(out.to, in.from);
      const double full = static_cast<double>(unknowns_[at(out.to)].size) *
                          static_cast<double>(unknowns_[at(in.from)].size);
      bool fills = false;
      for (const int a : out.parts)
        for (const int b : in.parts) {
          const bool a_scales = parts_[at(a)].kind == Part::diagonal;
          const bool b_scales = parts_[at(b)].kind == Part::diagonal;
          sum.work += call;
          if (a_scales && b_scales) {
            sum.work += size;
          } else if ((a_scales || b_scales) && (target < 0 || !has_matrix(target))) {
            sum.work += size;
            sum.fill += entries(a_scales ? b : a, a_scales ? in : out);
          } else {
            sum.work += a_scales   ? entries(b, in)
                        : b_scales ? entries(a, out)
                                   : entries(a, out) * entries(b, in) / size;
            fills = true;
          }
        }
      if (fills && (target < 0 || blocks_[at(target)].product < 0)) sum.fill += full;
    }
  return sum;
}

void StructuredSolve::plan_product(const Block& out, int a, const Block& in, int b,
                                   Elimination& elimination) {
  const bool a_scales = parts_[at(a)].kind == Part::diagonal;
  const bool b_scales = parts_[at(b)].kind == Part::diagonal;
  const int target = block(out.to, in.from);
  if (a_scales && b_scales) {
    elimination.products.push_back({a, b, diagonal_of(target), false});
    return;
  }
  if ((a_scales || b_scales) && !has_matrix(target)) {
    const int original = a_scales ? b : a;
    const Part& part = parts_[at(original)];
    Part scaled{.kind = Part::matrix, .dense = part.dense, .sparse = part.sparse};
    scaled.same_as = part.kind == Part::product ? original : part.same_as;
    elimination.products.push_back({a, b, add_part(target, std::move(scaled)), true});
    return;
  }
  const bool is_first = blocks_[at(target)].product < 0;
  const int into =
      is_first ? add_part(target, {.kind = Part::product}) : blocks_[at(target)].product;
  elimination.products.push_back({a, b, into, is_first});
}

void StructuredSolve::plan_elimination(int u) {
  Elimination out{.unknown = u, .self = find_block(u, u)};
  for (const int k : into_[at(u)])
    if (k != out.self) out.in.push_back(k);
  for (const int k : from_[at(u)])
    if (k != out.self) out.out.push_back(k);
  for (const int o : out.out)
    for (const int i : out.in) {
      const Block to = blocks_[at(o)], from = blocks_[at(i)];  // block() may move them
      for (const int a : to.parts)
        for (const int b : from.parts) plan_product(to, a, from, b, out);
    }
  for (const int k : out.in) erase(from_[at(blocks_[at(k)].from)], k);
  for (const int k : out.out) erase(into_[at(blocks_[at(k)].to)], k);
  into_[at(u)].clear();
  from_[at(u)].clear();
  plan_.push_back(std::move(out));
}

// The circuit's own blocks.
void StructuredSolve::begin_plan() {
  parts_.clear();
  blocks_.clear();
  plan_.clear();
  kept_.clear();
  into_.assign(unknowns_.size(), {});
  from_.assign(unknowns_.size(), {});
  for (Link& link : links_) {
    link.part = link.bend = -1;
    const Edge& edge = system_.circuit().edges[at(link.edge)];
    if (!carries_[at(link.edge)] || held_[at(edge.to)]) continue;
    if (unknowns_[at(link.to)].size == 0 || unknowns_[at(link.from)].size == 0) continue;
    if (link.is_first && edge.receiver_slope) link.bend = diagonal_of(block(edge.to, edge.to));
    const int k = block(link.to, link.from);
    link.part = link.dense || link.sparse ? add_part(k, {.kind = Part::matrix,
                                                         .dense = link.dense,
                                                         .sparse = link.sparse,
                                                         .largest = link.largest})
                                          : diagonal_of(k);
  }
}

// Eliminates what is the cheapest by a measure until nothing is worth it. What it comes to, in
// multiplications.
double StructuredSolve::plan_by(double Cost::*measure) {
  begin_plan();
  std::vector<char> there;
  for (const Unknown& unknown : unknowns_) there.push_back(unknown.size > 0);
  double order = static_cast<double>(k_.size()), total = 0;
  const auto dense_cost = [](double n) { return n * n * (n / 3 + solves); };
  for (;;) {
    int cheapest = -1;
    Cost least{};
    for (std::size_t i = 0; i < unknowns_.size(); ++i) {
      const int u = static_cast<int>(i);
      if (!there[i] || !can_be_eliminated(u)) continue;
      const Cost own = cost(u);
      const double saved =
          dense_cost(order) - dense_cost(order - static_cast<double>(unknowns_[i].size));
      if (own.work > saved || (cheapest >= 0 && own.*measure >= least.*measure)) continue;
      least = own;
      cheapest = u;
    }
    if (cheapest < 0) break;
    plan_elimination(cheapest);
    there[at(cheapest)] = 0;
    order -= static_cast<double>(unknowns_[at(cheapest)].size);
    total += least.work;
  }
  for (std::size_t i = 0; i < unknowns_.size(); ++i)
    if (there[i]) kept_.push_back(static_cast<int>(i));
  return total + dense_cost(order);
}

void StructuredSolve::make_plan() {
  const double by_work = plan_by(&Cost::work), by_fill = plan_by(&Cost::fill);
  if (by_work < by_fill) plan_by(&Cost::work);

  // k is wanted of dynamic nodes, and of what was still there when one of these was eliminated.
  std::vector<char> wanted(unknowns_.size(), 0);
  for (Elimination& elimination : plan_) {
    const int u = elimination.unknown;
    elimination.is_wanted = is_dynamic(u) || wanted[at(u)];
    if (elimination.is_wanted)
      for (const int k : elimination.in) wanted[at(blocks_[at(k)].from)] = 1;
  }
  Index row = 0;
  kept_at_.assign(unknowns_.size(), -1);
  for (const int u : kept_) {
    kept_at_[at(u)] = row;
    row += unknowns_[at(u)].size;
  }
  rest_.resize(row);
}

}  // namespace settle::system
