#include "sim/system/structured_solve.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace settle::system {
namespace {

using Sparse = Weights::Sparse;

constexpr double smallest_pivot = 1e-8;
// Right-hand sides that are solved for with one factorisation, and what one small product costs in
// multiplications besides its own: what the plan weighs.
constexpr double solves = 6, call = 200;

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

double largest_entry(const MatrixXd& m) { return m.size() > 0 ? m.cwiseAbs().maxCoeff() : 0.0; }
double largest_entry(const VectorXd& v) { return v.size() > 0 ? v.cwiseAbs().maxCoeff() : 1.0; }
double largest_entry(const Sparse& m) {
  return m.nonZeros() > 0
             ? Eigen::Map<const VectorXd>(m.valuePtr(), m.nonZeros()).cwiseAbs().maxCoeff()
             : 0.0;
}

// d ⊙ v where v is not empty, that is 1.
void times(Eigen::Ref<VectorXd> d, const VectorXd& v) {
  if (v.size() > 0) d.array() *= v.array();
}

void erase(std::vector<int>& list, int entry) {
  list.erase(std::find(list.begin(), list.end(), entry));
}

Eigen::Map<MatrixXd> as_matrix(VectorXd& buffer, Index rows, Index cols) {
  if (buffer.size() < rows * cols) buffer.resize(rows * cols);
  return {buffer.data(), rows, cols};
}

// into = or += diag(left) M diag(right)
template <class Left, class Matrix, class Right>
void add_scaled(const Left& left, const Matrix& m, const Right& right, bool is_first,
                MatrixXd& into) {
  if (is_first) into.resize(m.rows(), m.cols());
  for (Index j = 0; j < m.cols(); ++j) {
    const double r = right.size() > 0 ? right[j] : 1.0;
    const auto add = [&](const auto& column) {
      if (is_first)
        into.col(j) = column;
      else
        into.col(j) += column;
    };
    if (left.size() > 0)
      add(r * left.cwiseProduct(m.col(j)));
    else
      add(r * m.col(j));
  }
}

// block += sign · diag(left) S diag(right)
template <class Left, class Right, class Block>
void add_scaled(double sign, const Left& left, const Sparse& m, const Right& right, Block&& block) {
  for (Index i = 0; i < m.rows(); ++i) {
    const double l = sign * (left.size() > 0 ? left[i] : 1.0);
    for (Sparse::InnerIterator entry(m, i); entry; ++entry)
      block(i, entry.col()) += l * entry.value() * (right.size() > 0 ? right[entry.col()] : 1.0);
  }
}

}  // namespace

StructuredSolve::StructuredSolve(const OdeSystem& system) : system_(system) {
  const Circuit& circuit = system.circuit();
  Index first = 0, widest = 0;
  const auto add_unknown = [&](Index size) {
    unknowns_.push_back({size, first});
    first += size;
    widest = std::max(widest, size);
    return static_cast<int>(unknowns_.size()) - 1;
  };
  for (const Node& node : circuit.nodes) add_unknown(node.size);
  for (std::size_t k = 0; k < circuit.edges.size(); ++k) {
    const Edge& edge = circuit.edges[k];
    Link whole{.edge = static_cast<int>(k),
               .to = edge.to,
               .from = edge.from,
               .is_first = true,
               .is_last = true};
    const auto& form = edge.weights->as_variant();
    if (const auto* product = std::get_if<Weights::LowRank>(&form)) {
      const std::size_t count = product->factors.size();
      int to = edge.to;
      for (std::size_t f = 0; f < count; ++f) {
        const MatrixXd& factor = product->factors[f];
        Link link = whole;
        link.is_first = f == 0;
        link.is_last = f + 1 == count;
        link.to = to;
        link.from = to = link.is_last ? edge.from : add_unknown(factor.cols());
        link.dense = &factor;
        link.largest = largest_entry(factor);
        links_.push_back(link);
      }
      continue;
    }
    if ((whole.dense = std::get_if<MatrixXd>(&form)))
      whole.largest = largest_entry(*whole.dense);
    else if ((whole.sparse = std::get_if<Sparse>(&form)))
      whole.largest = largest_entry(*whole.sparse);
    else if (const auto* diagonal = std::get_if<Weights::Diagonal>(&form))
      whole.diagonal = &diagonal->entries;
    links_.push_back(whole);
  }
  tangents_.resize(circuit.edges.size());
  keeps_.assign(unknowns_.size(), 0);
  pivots_.resize(unknowns_.size());
  inverses_.resize(unknowns_.size());
  is_zero_.resize(unknowns_.size());
  k_.resize(first);
  for (VectorXd* v : {&divided_, &sent_, &received_, &middle_}) v->resize(widest);
}

bool StructuredSolve::is_dynamic(int u) const {
  return at(u) < system_.circuit().nodes.size() && system_.offset(u) >= 0;
}

Index StructuredSolve::postponed() const { return std::count(keeps_.begin(), keeps_.end(), 1); }

void StructuredSolve::linearise(double t, const ConstBlock& x, Index column, Workspace& w) {
  system_.evaluate(t, x, w, column);
  std::vector<char> carries(tangents_.size()), held(system_.circuit().nodes.size());
  for (std::size_t k = 0; k < tangents_.size(); ++k) {
    system_.edge_tangent(static_cast<int>(k), x, column, w, tangents_[k]);
    carries[k] = tangents_[k].gain != 0;
  }
  for (std::size_t i = 0; i < held.size(); ++i)
    held[i] = system_.is_held(w.segment(), static_cast<int>(i));
  if (carries != carries_ || held != held_ || postponed() > 0) {
    carries_ = std::move(carries);
    held_ = std::move(held);
    std::fill(keeps_.begin(), keeps_.end(), 0);
    make_plan();
  }
  distribute();
}

bool StructuredSolve::factorise(double s) {
  for (int too_small = -1; !eliminate(s, too_small); too_small = -1) {
    if (too_small < 0) return false;
    keeps_[at(too_small)] = 1;
    make_plan();
    distribute();
  }
  return dense_.size() == 0 || factors_.factorise(dense_);
}

// --- The plan: which unknowns are eliminated, and what products that takes ---------------------------

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

const MatrixXd* StructuredSolve::dense(const Part& part) const {
  if (part.kind == Part::product) return &part.own;
  return part.same_as >= 0 ? &parts_[at(part.same_as)].own : part.dense;
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

// The tangents' numbers into the plan's parts.
void StructuredSolve::distribute() {
  for (const Block& k : blocks_)
    if (k.diagonal >= 0) parts_[at(k.diagonal)].given.setZero(unknowns_[at(k.to)].size);
  for (const Link& link : links_) {
    if (link.part < 0) continue;
    Part& part = parts_[at(link.part)];
    const EdgeTangent& tangent = tangents_[at(link.edge)];
    const Index rows = unknowns_[at(link.to)].size;
    VectorXd own;
    VectorXd& left = part.kind == Part::diagonal ? own : part.left;
    left.resize(0);
    if (link.is_first) {
      left.setConstant(rows, tangent.gain);
      times(left, tangent.receiver);
    }
    if (part.kind == Part::diagonal) {
      if (link.diagonal) times(left, *link.diagonal);
      times(left, tangent.sender);
      part.given += left;
    } else if (link.is_last) {
      part.right = tangent.sender;
    }
    if (link.bend >= 0) parts_[at(link.bend)].given += tangent.bend;
  }
}

// --- Numbers ------------------------------------------------------------------------------------------

double StructuredSolve::largest(const std::vector<int>& list) const {
  double found = 0;
  for (const int k : list)
    for (const int p : blocks_[at(k)].parts) {
      const Part& part = parts_[at(p)];
      const double own = part.kind == Part::diagonal ? 1.0
                         : part.sparse || part.dense ? part.largest
                                                     : largest_entry(*dense(part));
      found = std::max(found, own * largest_entry(part.left) * largest_entry(part.right));
    }
  return found;
}

// Eliminates, and puts together what is kept. False where pivots are not finite or, of `too_small`, too
// small.
bool StructuredSolve::eliminate(double s, int& too_small) {
  for (Part& part : parts_)
    if (part.kind == Part::diagonal) part.left = part.given;
  for (std::size_t i = 0; i < unknowns_.size(); ++i) {
    if (!is_dynamic(static_cast<int>(i))) {
      pivots_[i].setOnes(unknowns_[i].size);
      continue;
    }
    const Node& node = system_.circuit().nodes[i];
    pivots_[i] = s * node.tau;
    if (!held_[i]) pivots_[i] += node.leak;
  }
  for (const Elimination& elimination : plan_) {
    VectorXd& pivots = pivots_[at(elimination.unknown)];
    if (elimination.self >= 0) pivots -= parts_[at(blocks_[at(elimination.self)].diagonal)].left;
    if (!pivots.allFinite()) return false;
    const double smallest = pivots.cwiseAbs().minCoeff();
    const double coupled = std::min(largest(elimination.in), largest(elimination.out));
    if (smallest < smallest_pivot * coupled || smallest == 0) {
      too_small = elimination.unknown;
      return false;
    }
    VectorXd& inverse = inverses_[at(elimination.unknown)];
    inverse = pivots.cwiseInverse();
    for (const Operation& operation : elimination.products) multiply(operation, inverse);
  }
  dense_.setZero(rest_.size(), rest_.size());
  for (const int u : kept_) {
    const Index row = kept_at_[at(u)], size = unknowns_[at(u)].size;
    dense_.diagonal().segment(row, size) = pivots_[at(u)];
    for (const int k : into_[at(u)]) add_dense(blocks_[at(k)]);
  }
  return true;
}

void StructuredSolve::multiply(const Operation& operation, const VectorXd& inverse) {
  const Part &a = parts_[at(operation.a)], &b = parts_[at(operation.b)];
  Part& into = parts_[at(operation.into)];
  Eigen::Map<VectorXd> middle(middle_.data(), inverse.size());
  middle = inverse;
  times(middle, a.kind == Part::diagonal ? a.left : a.right);
  times(middle, b.left);
  if (into.kind == Part::diagonal) {
    into.left += middle;
    return;
  }
  const bool is_first = operation.is_first;
  if (a.kind == Part::diagonal || b.kind == Part::diagonal) {
    const Part& scaled = a.kind == Part::diagonal ? b : a;
    if (into.kind == Part::matrix) {
      into.left = a.left;
      into.right = b.right;
      (a.kind == Part::diagonal ? into.left : into.right) = middle;
      into.largest = scaled.largest;
      return;
    }
    const auto add = [&](const auto& left, const auto& right) {
      if (const MatrixXd* m = dense(scaled)) {
        add_scaled(left, *m, right, is_first, into.own);
      } else {
        if (is_first) into.own.setZero(scaled.sparse->rows(), scaled.sparse->cols());
        add_scaled(1.0, left, *scaled.sparse, right, into.own);
      }
    };
    if (a.kind == Part::diagonal)
      add(middle, b.right);
    else
      add(a.left, middle);
    return;
  }
  const MatrixXd *m = dense(a), *n = dense(b);
  const Index rows = m ? m->rows() : a.sparse->rows(), cols = n ? n->cols() : b.sparse->cols();
  const Index inner = middle.size();
  auto product = as_matrix(product_, rows, cols);
  if (m && (!n || rows < cols)) {
    auto scaled = as_matrix(scaled_, rows, inner);
    scaled = *m * middle.asDiagonal();
    if (n)
      product.noalias() = scaled * *n;
    else
      product = scaled * *b.sparse;
  } else if (n) {
    auto scaled = as_matrix(scaled_, inner, cols);
    scaled = middle.asDiagonal() * *n;
    if (m)
      product.noalias() = *m * scaled;
    else
      product = *a.sparse * scaled;
  } else {
    product.setZero();
    for (Index i = 0; i < rows; ++i)
      for (Sparse::InnerIterator left(*a.sparse, i); left; ++left)
        for (Sparse::InnerIterator right(*b.sparse, left.col()); right; ++right)
          product(i, right.col()) += left.value() * middle[left.col()] * right.value();
  }
  add_scaled(a.left, product, b.right, is_first, into.own);
}

void StructuredSolve::add_dense(const Block& k) {
  auto block = dense_.block(kept_at_[at(k.to)], kept_at_[at(k.from)], unknowns_[at(k.to)].size,
                            unknowns_[at(k.from)].size);
  for (const int p : k.parts) {
    const Part& part = parts_[at(p)];
    if (part.kind == Part::diagonal) {
      block.diagonal() -= part.left;
    } else if (part.sparse) {
      add_scaled(-1.0, part.left, *part.sparse, part.right, block);
    } else {
      const MatrixXd& m = *dense(part);
      for (Index j = 0; j < m.cols(); ++j) {
        const double r = part.right.size() > 0 ? part.right[j] : 1.0;
        if (part.left.size() > 0)
          block.col(j) -= r * part.left.cwiseProduct(m.col(j));
        else
          block.col(j) -= r * m.col(j);
      }
    }
  }
}

// y += what x of the sender adds to the receiver
void StructuredSolve::add(const Block& k, const double* x, double* y) {
  const Index rows = unknowns_[at(k.to)].size, cols = unknowns_[at(k.from)].size;
  const Eigen::Map<const VectorXd> from(x, cols);
  Eigen::Map<VectorXd> to(y, rows);
  for (const int p : k.parts) {
    const Part& part = parts_[at(p)];
    if (part.kind == Part::diagonal) {
      to += part.left.cwiseProduct(from);
      continue;
    }
    Eigen::Map<VectorXd> sent(sent_.data(), cols), received(received_.data(), rows);
    if (part.right.size() > 0)
      sent = part.right.cwiseProduct(from);
    else
      sent = from;
    if (part.sparse) {
      for (Index i = 0; i < rows; ++i) {
        received[i] = 0;
        for (Sparse::InnerIterator entry(*part.sparse, i); entry; ++entry)
          received[i] += entry.value() * sent[entry.col()];
      }
    } else if (rows == 1) {  // whose product allocates
      received[0] = dense(part)->row(0).dot(sent);
    } else {
      received.noalias() = *dense(part) * sent;
    }
    if (part.left.size() > 0)
      to += part.left.cwiseProduct(received);
    else
      to += received;
  }
}

void StructuredSolve::solve(Eigen::Ref<VectorXd> b) {
  const auto numbers = [&](int u) {
    return Eigen::Map<VectorXd>(k_.data() + unknowns_[at(u)].first, unknowns_[at(u)].size);
  };
  k_.setZero();
  std::fill(is_zero_.begin(), is_zero_.end(), 1);
  for (const int i : system_.dynamic_nodes()) {
    const Node& node = system_.circuit().nodes[at(i)];
    const auto own = b.segment(system_.offset(i), node.size);
    if ((own.array() == 0).all()) continue;
    numbers(i) = node.tau.cwiseProduct(own);
    is_zero_[at(i)] = 0;
  }
  for (const Elimination& elimination : plan_) {
    const int u = elimination.unknown;
    if (is_zero_[at(u)]) continue;
    auto divided = divided_.head(unknowns_[at(u)].size);
    divided = inverses_[at(u)].cwiseProduct(numbers(u));
    for (const int k : elimination.out) {
      const int to = blocks_[at(k)].to;
      add(blocks_[at(k)], divided.data(), numbers(to).data());
      is_zero_[at(to)] = 0;
    }
  }
  for (const int u : kept_) rest_.segment(kept_at_[at(u)], unknowns_[at(u)].size) = numbers(u);
  if (rest_.size() > 0) factors_.solve(rest_);
  for (const int u : kept_) {
    numbers(u) = rest_.segment(kept_at_[at(u)], unknowns_[at(u)].size);
    is_zero_[at(u)] = 0;
  }
  for (auto elimination = plan_.rbegin(); elimination != plan_.rend(); ++elimination) {
    if (!elimination->is_wanted) continue;
    const int u = elimination->unknown;
    for (const int k : elimination->in) {
      const int from = blocks_[at(k)].from;
      if (is_zero_[at(from)]) continue;
      add(blocks_[at(k)], numbers(from).data(), numbers(u).data());
      is_zero_[at(u)] = 0;
    }
    numbers(u).array() *= inverses_[at(u)].array();
  }
  for (const int i : system_.dynamic_nodes())
    b.segment(system_.offset(i), numbers(i).size()) = numbers(i);
}

}  // namespace settle::system
