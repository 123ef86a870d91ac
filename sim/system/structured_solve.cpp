#include "sim/system/structured_solve.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace settle::system {
namespace {

using Sparse = Weights::Sparse;

constexpr double smallest_pivot = 1e-8;

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

const MatrixXd* StructuredSolve::dense(const Part& part) const {
  if (part.kind == Part::product) return &part.own;
  return part.same_as >= 0 ? &parts_[at(part.same_as)].own : part.dense;
}

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
    pivots_[i] = (held_[i] && s == 0 ? 1.0 : s) * node.tau;
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
