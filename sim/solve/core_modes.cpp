#include "sim/solve/core_modes.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <list>
#include <mutex>
#include <vector>

#include "sim/solve/steady_product.hpp"

namespace settle::solve {
namespace {

using Complex = std::complex<double>;
using system::SharedWeights;
using system::Weights;

// A matrix of weights as it is, or one made of them.
class Dense {
 public:
  explicit Dense(const Weights& weights) : whole_(std::get_if<MatrixXd>(&weights.as_variant())) {
    if (!whole_) made_ = weights.dense();
  }
  const MatrixXd& operator*() const { return whole_ ? *whole_ : made_; }

 private:
  const MatrixXd* whole_;
  MatrixXd made_;
};

Image image_of(MatrixXd q) {
  Image out;
  if (q.cols() > 0) {
    out.reach = q.cwiseAbs().colwise().maxCoeff();
    VectorXd squares = q.col(0).cwiseAbs2();
    for (Index k = 1; k < q.cols(); ++k) squares += q.col(k).cwiseAbs2();
    out.row = std::sqrt(squares.maxCoeff());
  }
  out.q = std::move(q);
  return out;
}

// ‖·‖₁
double norm(const MatrixXd& m) {
  double out = 0;
  for (Index c = 0; c < m.cols(); ++c) {
    const double own = m.col(c).cwiseAbs().sum();
    if (!(own <= out)) out = own;  // NaN stays
  }
  return out;
}

// D rows, or D⁻¹ rows, of modes with these eigenvalues.
void times_values(const Eigen::VectorXcd& values, bool inverse, MatrixXd& rows) {
  const Eigen::VectorXcd factors = inverse ? values.cwiseInverse().eval() : values;
  if ((values.imag().array() == 0).all()) {
    rows.array().colwise() *= factors.real().array();
    return;
  }
  for (Index c = 0; c < rows.cols(); ++c)
    for (Index k = 0; k < rows.rows(); ++k) {
      double* const own = &rows(k, c);
      const double re = own[0], factor = factors[k].real(), across = factors[k].imag();
      own[0] = factor * re;
      if (values[k].imag() == 0) continue;
      own[0] -= across * own[1];
      own[1] = across * re + factor * own[1];
      ++k;
    }
}

// ±1 where L is ±Wᵀ, the usual feedback; else 0.
double sign_of_transpose(const MatrixXd& w, const MatrixXd& l) {
  if (w.size() == 0 || std::abs(w(0, 0)) != std::abs(l(0, 0))) return 0;
  const double sign = w(0, 0) == l(0, 0) ? 1 : -1;
  constexpr Index tile = 32;
  for (Index j = 0; j < w.cols(); j += tile)
    for (Index i = 0; i < w.rows(); i += tile) {
      const Index last_row = std::min(i + tile, w.rows()), last = std::min(j + tile, w.cols());
      for (Index column = j; column < last; ++column)
        for (Index row = i; row < last_row; ++row)
          if (sign * w(row, column) != l(column, row)) return 0;
    }
  return sign;
}

// W L
MatrixXd product_of(const MatrixXd& w, const MatrixXd& l, double sign) {
  if (sign == 0) return w * l;
  MatrixXd out = MatrixXd::Zero(w.rows(), w.rows());
  out.selfadjointView<Eigen::Lower>().rankUpdate(w, sign);
  out.triangularView<Eigen::StrictlyUpper>() = out.transpose();
  return out;
}

// A X
MatrixXd product(const MatrixXd& a, const MatrixXd& x) {
  MatrixXd out(a.rows(), x.cols());
  std::vector<double*> columns;
  for (Index c = 0; c < x.cols(); ++c) columns.push_back(out.col(c).data());
  multiply(a, x, columns);
  return out;
}

double largest(const MatrixXd& m) { return m.size() > 0 ? m.cwiseAbs().maxCoeff() : 0; }

std::shared_ptr<const CoreModes> decompose(const Weights& weights, const Weights* lift) {
  const Dense w(weights), l(lift ? *lift : weights);
  const double sign = lift ? sign_of_transpose(*w, *l) : 0;
  const MatrixXd own = lift ? product_of(*w, *l, sign) : MatrixXd();
  const MatrixXd& k = lift ? own : *w;
  auto out = std::make_shared<CoreModes>();
  core::RealModes modes = core::real_modes(k);
  out->values = std::move(modes.values);
  out->condition = modes.condition;
  out->in = std::move(modes.inverse);
  out->out = image_of(std::move(modes.right));
  if (out->in.size() == 0) return out;
  // One vector that has a share of everything.
  VectorXd v(k.rows());
  for (Index i = 0; i < v.size(); ++i) v[i] = std::cos(1.0 + 1.7 * static_cast<double>(i));
  const MatrixXd z = out->in * v;
  MatrixXd moved = z;
  times_values(out->values, false, moved);
  const VectorXd expected = k * v;
  const double scale = std::max(largest(expected), largest(out->values.cwiseAbs()));
  const double off = largest(out->out.q * moved - expected);
  out->error = std::max(scale > 0 ? off / scale : off, largest(out->out.q * z - v));
  if (!lift) return out;
  out->lifted = image_of(product(*l, out->out.q));
  if (sign != 0)  // V⁻¹ W = Vᵀ W = ±(L V)ᵀ
    out->project = sign * out->lifted.q.transpose();
  else
    out->project = product(out->in, *w);
  times_values(out->values, true, out->project);
  out->lifted_condition = norm(out->lifted.q) * norm(out->project);
  const VectorXd lifted = *l * v;
  out->error = std::max(out->error, largest(out->project * lifted - z) / std::max(1.0, largest(z)));
  return out;
}

// The latest decompositions, found by the matrices that they are of: those themselves, or such of the
// same content.
class Kept {
 public:
  std::shared_ptr<const CoreModes> modes_of(const SharedWeights& w, const SharedWeights& l) {
    const std::shared_ptr<Entry> entry = find(w, l);
    std::call_once(entry->once, [&] {
      entry->modes = decompose(*entry->w, entry->l.get());
      ++decomposed;
    });
    return entry->modes;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    entries_.clear();
  }
  std::atomic<std::int64_t> decomposed{0};

 private:
  struct Entry {
    SharedWeights w, l;
    std::once_flag once;
    std::shared_ptr<const CoreModes> modes;
  };
  static constexpr std::size_t most_entries = 64, most_bytes = std::size_t{1} << 27;

  // Those of the entry, and its decomposition.
  static std::size_t bytes_of(const Entry& entry) {
    const auto core = static_cast<std::size_t>(entry.w->rows());
    return (entry.l ? 2 : 1) * (entry.w->bytes() + 2 * sizeof(double) * core * core) +
           (entry.l ? entry.l->bytes() : 0);
  }

  std::shared_ptr<Entry> find(const SharedWeights& w, const SharedWeights& l) {
    const std::lock_guard lock(mutex_);
    const auto is_same = [](const SharedWeights& a, const SharedWeights& b) {
      return a == b || (a && b && *a == *b);
    };
    auto entry = std::find_if(entries_.begin(), entries_.end(),
                              [&](const auto& other) { return other->w == w && other->l == l; });
    if (entry == entries_.end())
      entry = std::find_if(entries_.begin(), entries_.end(), [&](const auto& other) {
        return is_same(other->w, w) && is_same(other->l, l);
      });
    if (entry != entries_.end()) {
      entries_.splice(entries_.begin(), entries_, entry);
      return entries_.front();
    }
    const auto fresh = std::make_shared<Entry>();
    fresh->w = w;
    fresh->l = l;
    entries_.push_front(fresh);
    std::size_t bytes = 0, count = 0;
    for (auto other = entries_.begin(); other != entries_.end();) {
      bytes += bytes_of(**other);
      const bool stays = ++count == 1 || (count <= most_entries && bytes <= most_bytes);
      other = stays ? std::next(other) : entries_.erase(other);
    }
    return fresh;
  }

  std::mutex mutex_;
  std::list<std::shared_ptr<Entry>> entries_;  // the latest first
};

Kept& kept() {
  static Kept all;
  return all;
}

}  // namespace

std::shared_ptr<const CoreModes> core_modes(const SharedWeights& w, const SharedWeights& l) {
  return kept().modes_of(w, l);
}

void forget_decompositions() { kept().forget(); }

std::int64_t decompositions() { return kept().decomposed; }

}  // namespace settle::solve
