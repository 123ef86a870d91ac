#include "sim/system/weights.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <stdexcept>

#include "sim/core/elementary.hpp"

namespace settle::system {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

using core::lane_count;
using core::Lanes;
using core::load;
using core::store;

// Rows of y += g A x for one column, in `Vectors` vectors of them. The last ends with the last row and
// may overlap the one before, which gives the same bits. Sums over A's even and odd columns, which do not
// wait for each other.
template <int Vectors>
void column_rows(double g, const double* a, Index step, Index inner, const double* x, double* y,
                 Index rows) {
  const auto at = [back = rows - lane_count](int v) {
    return v + 1 < Vectors ? v * lane_count : back;
  };
  Lanes even[Vectors] = {}, odd[Vectors] = {};
  Index k = 0;
  for (; k + 2 <= inner; k += 2, a += 2 * step)
    for (int v = 0; v < Vectors; ++v) {
      even[v] += x[k] * load(a + at(v));
      odd[v] += x[k + 1] * load(a + step + at(v));
    }
  if (k < inner)
    for (int v = 0; v < Vectors; ++v) even[v] += x[k] * load(a + at(v));
  for (int v = 0; v < Vectors; ++v) even[v] = load(y + at(v)) + g * (even[v] + odd[v]);
  for (int v = 0; v < Vectors; ++v) store(even[v], y + at(v));
}

void column_product_add(double g, const MatrixXd& a, const double* x, double* y) {
  const Index step = a.rows(), inner = a.cols();
  const double* from = a.data();
  if (step == 1) {
    y[0] += g * a.row(0).dot(Eigen::Map<const VectorXd>(x, inner));
    return;
  }
  if (step < lane_count) {
    for (Index i = 0; i < step; ++i) {
      double sum = 0;
      for (Index k = 0; k < inner; ++k) sum += from[k * step + i] * x[k];
      y[i] += g * sum;
    }
    return;
  }
  // Blocks of nearly the same number of vectors.
  Index vectors_left = (step + lane_count - 1) / lane_count;
  for (Index row = 0, rows; row < step; row += rows) {
    const Index blocks = (vectors_left + 3) / 4, vectors = (vectors_left + blocks - 1) / blocks;
    rows = std::min(step - row, vectors * lane_count);
    vectors_left -= vectors;
    switch (vectors) {
      case 4:
        column_rows<4>(g, from + row, step, inner, x, y + row, rows);
        break;
      case 3:
        column_rows<3>(g, from + row, step, inner, x, y + row, rows);
        break;
      case 2:
        column_rows<2>(g, from + row, step, inner, x, y + row, rows);
        break;
      default:
        column_rows<1>(g, from + row, step, inner, x, y + row, rows);
    }
  }
}

// Beyond so many numbers memory decides, and Eigen's products of blocks are as quick.
constexpr Index most_of_small = 128 * 128;

// y += g A x.
void product_add(double g, const MatrixXd& a, const ConstPanelRef<Eigen::ColMajor>& x,
                 PanelRef<Eigen::ColMajor> y) {
  if (x.cols() == 1 && a.size() <= most_of_small)
    column_product_add(g, a, x.data(), y.data());
  else if (is_zero(x))  // a start at zero is a common one
    return;
  else if (a.rows() == 1)  // of which Eigen's product allocates
    for (Index c = 0; c < x.cols(); ++c) y(0, c) += g * a.row(0).dot(x.col(c));
  else if (x.cols() == 1)
    y.col(0).noalias() += g * (a * x.col(0));
  else
    y.noalias() += g * (a * x);
}

// Vectors of lanes that are summed side by side.
constexpr Index lane_vectors = std::max<Index>(1, std::min<Index>(2, lane_width / lane_count));
static_assert(lane_width % (lane_vectors * lane_count) == 0);
constexpr Index most_lane_rows = 6;  // rows whose sums stay in registers

Lanes gain_in_lanes(const double* g, Index column) {
  return g ? load(g + column) : core::in_every_lane(1.0);
}

// `Rows` rows of y += g A x in lanes: plain sums over A's columns, the same in every lane.
template <int Rows>
void lanes_rows(const double* g, const MatrixXd& a, Index row,
                const ConstPanelRef<Eigen::RowMajor>& x, PanelRef<Eigen::RowMajor>& y) {
  const Index inner = a.cols(), step = a.rows(), x_step = x.outerStride();
  for (Index c = 0; c < x.cols(); c += lane_vectors * lane_count) {
    Lanes sum[Rows][lane_vectors] = {};
    const double* from = x.data() + c;
    const double* weight = a.data() + row;
    for (Index k = 0; k < inner; ++k, from += x_step, weight += step) {
      Lanes value[lane_vectors];
      for (Index v = 0; v < lane_vectors; ++v) value[v] = load(from + v * lane_count);
      for (int r = 0; r < Rows; ++r)
        for (Index v = 0; v < lane_vectors; ++v) sum[r][v] += weight[r] * value[v];
    }
    for (Index v = 0; v < lane_vectors; ++v) {
      const Index column = c + v * lane_count;
      const Lanes gain = gain_in_lanes(g, column);
      for (int r = 0; r < Rows; ++r) {
        double* to = y.data() + (row + r) * y.outerStride() + column;
        store(load(to) + gain * sum[r][v], to);
      }
    }
  }
}

void product_add(const double* g, const MatrixXd& a, const ConstPanelRef<Eigen::RowMajor>& x,
                 PanelRef<Eigen::RowMajor> y) {
  assert(x.cols() % lane_width == 0);
  // Blocks of nearly the same number of rows.
  Index blocks = (a.rows() + most_lane_rows - 1) / most_lane_rows;
  for (Index row = 0, rows; row < a.rows(); row += rows, --blocks) {
    rows = (a.rows() - row + blocks - 1) / blocks;
    switch (rows) {
      case 6:
        lanes_rows<6>(g, a, row, x, y);
        break;
      case 5:
        lanes_rows<5>(g, a, row, x, y);
        break;
      case 4:
        lanes_rows<4>(g, a, row, x, y);
        break;
      case 3:
        lanes_rows<3>(g, a, row, x, y);
        break;
      case 2:
        lanes_rows<2>(g, a, row, x, y);
        break;
      default:
        lanes_rows<1>(g, a, row, x, y);
    }
  }
}

void product_add(double g, const Weights::Sparse& w, const ConstPanelRef<Eigen::ColMajor>& x,
                 PanelRef<Eigen::ColMajor> y) {
  for (Index c = 0; c < x.cols(); ++c)
    for (Index i = 0; i < w.rows(); ++i) {
      double sum = 0;
      for (Weights::Sparse::InnerIterator entry(w, i); entry; ++entry)
        sum += entry.value() * x(entry.col(), c);
      y(i, c) += g * sum;
    }
}

void product_add(const double* g, const Weights::Sparse& w, const ConstPanelRef<Eigen::RowMajor>& x,
                 PanelRef<Eigen::RowMajor> y) {
  for (Index i = 0; i < w.rows(); ++i)
    for (Index c = 0; c < x.cols(); c += lane_count) {
      Lanes sum{};
      for (Weights::Sparse::InnerIterator entry(w, i); entry; ++entry)
        sum += entry.value() * load(x.data() + entry.col() * x.outerStride() + c);
      double* to = y.data() + i * y.outerStride() + c;
      store(load(to) + gain_in_lanes(g, c) * sum, to);
    }
}

// y += g d ⊙ x; without d it is 1.
void diagonal_add(double g, const VectorXd* d, const ConstPanelRef<Eigen::ColMajor>& x,
                  PanelRef<Eigen::ColMajor> y) {
  for (Index c = 0; c < x.cols(); ++c) {
    const double* from = x.data() + c * x.outerStride();
    double* to = y.data() + c * y.outerStride();
    if (d)
      for (Index i = 0; i < y.rows(); ++i) to[i] += g * ((*d)[i] * from[i]);
    else
      for (Index i = 0; i < y.rows(); ++i) to[i] += g * from[i];
  }
}

void diagonal_add(const double* g, const VectorXd* d, const ConstPanelRef<Eigen::RowMajor>& x,
                  PanelRef<Eigen::RowMajor> y) {
  for (Index i = 0; i < y.rows(); ++i) {
    const double factor = d ? (*d)[i] : 1.0;
    const double* from = x.data() + i * x.outerStride();
    double* to = y.data() + i * y.outerStride();
    for (Index c = 0; c < x.cols(); c += lane_count)
      store(load(to + c) + gain_in_lanes(g, c) * (factor * load(from + c)), to + c);
  }
}

}  // namespace

Weights::Weights(LowRank product) : form_(std::move(product)) {
  const auto& factors = std::get<LowRank>(form_).factors;
  if (factors.empty()) throw std::invalid_argument("a product of no factors");
  for (std::size_t k = 1; k < factors.size(); ++k)
    if (factors[k - 1].cols() != factors[k].rows())
      throw std::invalid_argument("the factors of a product don't chain");
}

Index Weights::rows() const {
  return std::visit(Overloaded{[](const MatrixXd& w) { return w.rows(); },
                               [](const Sparse& w) { return w.rows(); },
                               [](const Diagonal& w) { return w.entries.size(); },
                               [](const Identity& w) { return w.size; },
                               [](const LowRank& w) { return w.factors.front().rows(); }},
                    form_);
}

Index Weights::cols() const {
  return std::visit(Overloaded{[](const MatrixXd& w) { return w.cols(); },
                               [](const Sparse& w) { return w.cols(); },
                               [](const Diagonal& w) { return w.entries.size(); },
                               [](const Identity& w) { return w.size; },
                               [](const LowRank& w) { return w.factors.back().cols(); }},
                    form_);
}

Index Weights::parameters() const {
  return std::visit(Overloaded{[](const MatrixXd& w) { return w.size(); },
                               [](const Sparse& w) { return static_cast<Index>(w.nonZeros()); },
                               [](const Diagonal& w) { return w.entries.size(); },
                               [](const Identity&) { return Index{0}; },
                               [](const LowRank& w) {
                                 Index n = 0;
                                 for (const MatrixXd& f : w.factors) n += f.size();
                                 return n;
                               }},
                    form_);
}

std::size_t Weights::bytes() const {
  std::size_t bytes = static_cast<std::size_t>(parameters()) * sizeof(double);
  if (const auto* sparse = std::get_if<Sparse>(&form_))
    bytes += static_cast<std::size_t>(sparse->nonZeros() + sparse->rows() + 1) * sizeof(int);
  return bytes;
}

const char* Weights::form() const {
  return std::visit(
      Overloaded{[](const MatrixXd&) { return "dense"; }, [](const Sparse&) { return "sparse"; },
                 [](const Diagonal&) { return "diagonal"; },
                 [](const Identity&) { return "identity"; },
                 [](const LowRank&) { return "low rank"; }},
      form_);
}

Index Weights::scratch_rows() const {
  Index most = 0;
  if (const auto* product = std::get_if<LowRank>(&form_))
    for (std::size_t k = 1; k < product->factors.size(); ++k)
      most = std::max(most, product->factors[k].rows());
  return 2 * most;  // two halves, used in turn
}

template <int Order>
void Weights::multiply_add(Gain<Order> g, const ConstPanelRef<Order>& x, PanelRef<Order> y,
                           PanelRef<Order> scratch) const {
  // The form that almost all have, without the detour of a visit.
  if (const auto* dense = std::get_if<MatrixXd>(&form_)) return product_add(g, *dense, x, y);
  constexpr Gain<Order> one = Order == Eigen::RowMajor ? Gain<Order>{} : Gain<Order>(1);
  std::visit(Overloaded{[&](const MatrixXd& w) { product_add(g, w, x, y); },
                        [&](const Sparse& w) { product_add(g, w, x, y); },
                        [&](const Diagonal& w) { diagonal_add(g, &w.entries, x, y); },
                        [&](const Identity&) { diagonal_add(g, nullptr, x, y); },
                        [&](const LowRank& w) {
                          const std::size_t last = w.factors.size() - 1;
                          if (last == 0) return product_add(g, w.factors[0], x, y);
                          Index half = 0;
                          const Index offset = scratch_rows() / 2;
                          auto part = [&](std::size_t k, Index which) -> PanelRef<Order> {
                            return scratch.block(which * offset, 0, w.factors[k].rows(), x.cols());
                          };
                          part(last, half).setZero();
                          product_add(one, w.factors[last], x, part(last, half));
                          for (std::size_t k = last - 1; k > 0; --k) {
                            part(k, 1 - half).setZero();
                            product_add(one, w.factors[k], part(k + 1, half), part(k, 1 - half));
                            half = 1 - half;
                          }
                          product_add(g, w.factors[0], part(1, half), y);
                        }},
             form_);
}
template void Weights::multiply_add<Eigen::ColMajor>(double, const ConstPanelRef<Eigen::ColMajor>&,
                                                     PanelRef<Eigen::ColMajor>,
                                                     PanelRef<Eigen::ColMajor>) const;
template void Weights::multiply_add<Eigen::RowMajor>(const double*,
                                                     const ConstPanelRef<Eigen::RowMajor>&,
                                                     PanelRef<Eigen::RowMajor>,
                                                     PanelRef<Eigen::RowMajor>) const;

bool Weights::has_dense_beyond(Index entries) const {
  return std::visit(Overloaded{[=](const MatrixXd& w) { return w.size() > entries; },
                               [=](const LowRank& w) {
                                 return std::any_of(
                                     w.factors.begin(), w.factors.end(),
                                     [=](const MatrixXd& f) { return f.size() > entries; });
                               },
                               [](const auto&) { return false; }},
                    form_);
}

bool Weights::operator==(const Weights& other) const {
  if (this == &other) return true;
  if (form_.index() != other.form_.index() || rows() != other.rows() || cols() != other.cols())
    return false;
  const auto same = [](const auto& a, const auto& b) {
    return a.size() == b.size() && std::equal(a.data(), a.data() + a.size(), b.data());
  };
  return std::visit(
      Overloaded{[&](const MatrixXd& w) { return same(w, std::get<MatrixXd>(other.form_)); },
                 [&](const Sparse& w) {
                   const auto& v = std::get<Sparse>(other.form_);
                   return w.nonZeros() == v.nonZeros() &&
                          std::equal(w.valuePtr(), w.valuePtr() + w.nonZeros(), v.valuePtr()) &&
                          std::equal(w.innerIndexPtr(), w.innerIndexPtr() + w.nonZeros(),
                                     v.innerIndexPtr()) &&
                          std::equal(w.outerIndexPtr(), w.outerIndexPtr() + w.rows() + 1,
                                     v.outerIndexPtr());
                 },
                 [&](const Diagonal& w) {
                   return same(w.entries, std::get<Diagonal>(other.form_).entries);
                 },
                 [](const Identity&) { return true; },
                 [&](const LowRank& w) {
                   const auto& v = std::get<LowRank>(other.form_);
                   return std::equal(w.factors.begin(), w.factors.end(), v.factors.begin(),
                                     v.factors.end(), [&](const MatrixXd& a, const MatrixXd& b) {
                                       return a.rows() == b.rows() && same(a, b);
                                     });
                 }},
      form_);
}

MatrixXd Weights::dense() const {
  return std::visit(
      Overloaded{[](const MatrixXd& w) { return w; }, [](const Sparse& w) { return MatrixXd(w); },
                 [](const Diagonal& w) { return MatrixXd(w.entries.asDiagonal()); },
                 [](const Identity& w) { return MatrixXd(MatrixXd::Identity(w.size, w.size)); },
                 [](const LowRank& w) {
                   MatrixXd product = w.factors.back();
                   for (std::size_t k = w.factors.size() - 1; k-- > 0;)
                     product = w.factors[k] * product;
                   return product;
                 }},
      form_);
}

Weights Weights::transposed() const {
  return std::visit(Overloaded{[](const MatrixXd& w) { return Weights(MatrixXd(w.transpose())); },
                               [](const Sparse& w) { return Weights(Sparse(w.transpose())); },
                               [](const Diagonal& w) { return Weights(w); },
                               [](const Identity& w) { return Weights(w); },
                               [](const LowRank& w) {
                                 LowRank out;
                                 for (auto f = w.factors.rbegin(); f != w.factors.rend(); ++f)
                                   out.factors.push_back(f->transpose());
                                 return Weights(std::move(out));
                               }},
                    form_);
}

Weights Weights::scaled(double factor) const {
  return std::visit(
      Overloaded{
          [=](const MatrixXd& w) { return Weights(MatrixXd(factor * w)); },
          [=](const Sparse& w) { return Weights(Sparse(factor * w)); },
          [=](const Diagonal& w) { return Weights(Diagonal{factor * w.entries}); },
          [=](const Identity& w) { return Weights(Diagonal{VectorXd::Constant(w.size, factor)}); },
          [=](const LowRank& w) {
            LowRank out = w;
            out.factors.front() *= factor;
            return Weights(std::move(out));
          }},
      form_);
}

namespace {

using Sparse = Weights::Sparse;

// Entries that the product of two sparse matrices can have, at most.
double sparse_entries(const Sparse& a, const Sparse& b) {
  double entries = 0;
  for (Index i = 0; i < a.rows(); ++i)
    for (Sparse::InnerIterator entry(a, i); entry; ++entry)
      entries += static_cast<double>(b.row(entry.col()).nonZeros());
  return entries;
}

// Beyond a quarter of all entries a dense product is quicker.
bool stays_sparse(double entries, const Weights& a, const Weights& b) {
  return 4 * entries < static_cast<double>(a.rows()) * static_cast<double>(b.cols());
}

bool is_diagonal(const Weights& w) {
  return w.is_identity() || std::holds_alternative<Weights::Diagonal>(w.as_variant());
}

VectorXd diagonal_of(const Weights& w) {
  if (const auto* diagonal = std::get_if<Weights::Diagonal>(&w.as_variant()))
    return diagonal->entries;
  return VectorXd::Ones(w.rows());
}

// Of a sparse or diagonal matrix.
Sparse sparse(const Weights& w) {
  if (const auto* m = std::get_if<Sparse>(&w.as_variant())) return *m;
  Sparse out(w.rows(), w.cols());
  out.reserve(Eigen::VectorXi::Ones(w.rows()));
  const VectorXd diagonal = diagonal_of(w);
  for (Index i = 0; i < w.rows(); ++i) out.insert(i, i) = diagonal[i];
  out.makeCompressed();
  return out;
}

Weights scale_rows(const VectorXd& d, const Weights& w) {
  return std::visit(
      Overloaded{[&](const MatrixXd& m) { return Weights(MatrixXd(d.asDiagonal() * m)); },
                 [&](const Sparse& m) { return Weights(Sparse(d.asDiagonal() * m)); },
                 [&](const Weights::Diagonal& m) {
                   return Weights(Weights::Diagonal{d.cwiseProduct(m.entries)});
                 },
                 [&](const Weights::Identity&) { return Weights(Weights::Diagonal{d}); },
                 [&](const Weights::LowRank& m) {
                   Weights::LowRank out = m;
                   out.factors.front() = d.asDiagonal() * out.factors.front();
                   return Weights(std::move(out));
                 }},
      w.as_variant());
}

Weights scale_columns(const Weights& w, const VectorXd& d) {
  return std::visit(
      Overloaded{[&](const MatrixXd& m) { return Weights(MatrixXd(m * d.asDiagonal())); },
                 [&](const Sparse& m) { return Weights(Sparse(m * d.asDiagonal())); },
                 [&](const Weights::Diagonal& m) {
                   return Weights(Weights::Diagonal{d.cwiseProduct(m.entries)});
                 },
                 [&](const Weights::Identity&) { return Weights(Weights::Diagonal{d}); },
                 [&](const Weights::LowRank& m) {
                   Weights::LowRank out = m;
                   out.factors.back() = out.factors.back() * d.asDiagonal();
                   return Weights(std::move(out));
                 }},
      w.as_variant());
}

}  // namespace

Weights product(const Weights& a, const VectorXd& d, const Weights& b) {
  if (d.size() > 0) return product(scale_columns(a, d), {}, b);
  if (a.is_identity()) return b;
  if (b.is_identity()) return a;
  if (is_diagonal(a)) return scale_rows(diagonal_of(a), b);
  if (is_diagonal(b)) return scale_columns(a, diagonal_of(b));
  const auto* left = std::get_if<Sparse>(&a.as_variant());
  const auto* right = std::get_if<Sparse>(&b.as_variant());
  if (left && right && stays_sparse(sparse_entries(*left, *right), a, b))
    return Weights(Sparse(*left * *right));
  if (left) return Weights(MatrixXd(*left * b.dense()));
  if (right) return Weights(MatrixXd(a.dense() * *right));
  return Weights(MatrixXd(a.dense() * b.dense()));
}

double product_parameters(const Weights& a, const Weights& b) {
  if (is_diagonal(a) && is_diagonal(b))
    return static_cast<double>(std::max(a.parameters(), b.parameters()));
  if (is_diagonal(a)) return static_cast<double>(b.parameters());
  if (is_diagonal(b)) return static_cast<double>(a.parameters());
  const auto* left = std::get_if<Sparse>(&a.as_variant());
  const auto* right = std::get_if<Sparse>(&b.as_variant());
  if (left && right)
    if (const double entries = sparse_entries(*left, *right); stays_sparse(entries, a, b))
      return entries;
  return static_cast<double>(a.rows()) * static_cast<double>(b.cols());
}

Weights sum(double g, const Weights& a, double h, const Weights& b) {
  const auto is_thin = [](const Weights& w) {
    return is_diagonal(w) || std::holds_alternative<Sparse>(w.as_variant());
  };
  if (is_thin(a) && is_thin(b)) return Weights(Sparse(g * sparse(a) + h * sparse(b)));
  return Weights(MatrixXd(g * a.dense() + h * b.dense()));
}

Weights rows_of(const Weights& w, const std::vector<Index>& rows) {
  const auto n = static_cast<Index>(rows.size());
  const auto sparse_rows = [&](const Sparse& m) {
    std::vector<Eigen::Triplet<double>> entries;
    for (Index i = 0; i < n; ++i)
      for (Sparse::InnerIterator entry(m, rows[static_cast<std::size_t>(i)]); entry; ++entry)
        entries.emplace_back(static_cast<int>(i), static_cast<int>(entry.col()), entry.value());
    Sparse out(n, m.cols());
    out.setFromTriplets(entries.begin(), entries.end());
    return Weights(std::move(out));
  };
  return std::visit(
      Overloaded{[&](const MatrixXd& m) { return Weights(MatrixXd(m(rows, Eigen::all))); },
                 [&](const Sparse& m) { return sparse_rows(m); },
                 [&](const Weights::LowRank& m) {
                   Weights::LowRank out = m;
                   out.factors.front() = MatrixXd(m.factors.front()(rows, Eigen::all));
                   return Weights(std::move(out));
                 },
                 [&](const auto&) { return sparse_rows(sparse(w)); }},
      w.as_variant());
}

double largest_row_sum(const Weights& w) {
  const auto of_matrix = [](const MatrixXd& m) {
    return m.size() > 0 ? m.cwiseAbs().rowwise().sum().maxCoeff() : 0.0;
  };
  return std::visit(Overloaded{[&](const MatrixXd& m) { return of_matrix(m); },
                               [](const Sparse& m) {
                                 double largest = 0;
                                 for (Index i = 0; i < m.rows(); ++i) {
                                   double sum = 0;
                                   for (Sparse::InnerIterator entry(m, i); entry; ++entry)
                                     sum += std::abs(entry.value());
                                   largest = std::max(largest, sum);
                                 }
                                 return largest;
                               },
                               [](const Weights::Diagonal& m) {
                                 return m.entries.size() > 0 ? m.entries.cwiseAbs().maxCoeff()
                                                             : 0.0;
                               },
                               [](const Weights::Identity&) { return 1.0; },
                               [&](const Weights::LowRank& m) {
                                 double bound = 1;
                                 for (const MatrixXd& factor : m.factors)
                                   bound *= of_matrix(factor);
                                 return bound;
                               }},
                    w.as_variant());
}

double frobenius_norm(const Weights& w) {
  return std::visit(
      Overloaded{[](const MatrixXd& m) { return m.norm(); },
                 [](const Sparse& m) { return m.norm(); },
                 [](const Weights::Diagonal& m) { return m.entries.norm(); },
                 [](const Weights::Identity& m) { return std::sqrt(static_cast<double>(m.size)); },
                 [&](const Weights::LowRank&) { return w.dense().norm(); }},
      w.as_variant());
}

}  // namespace settle::system
