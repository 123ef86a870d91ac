#include "sim/system/weights.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <stdexcept>

namespace settle::system {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

// y += g A x, with Eigen's matrix-vector kernel where there is one column. Its product of one row
// allocates, so that is a dot product a column.
void product_add(double g, const MatrixXd& a, const ConstPanelRef<Eigen::ColMajor>& x,
                 PanelRef<Eigen::ColMajor> y) {
  if (a.rows() == 1)
    for (Index c = 0; c < x.cols(); ++c) y(0, c) += g * a.row(0).dot(x.col(c));
  else if (x.cols() == 1)
    y.col(0).noalias() += g * (a * x.col(0));
  else
    y.noalias() += g * (a * x);
}

// Lanes as one value; the compiler splits it where the machine's vectors are narrower.
typedef double Lanes __attribute__((vector_size(lane_width * sizeof(double))));

Lanes load(const double* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

// `Rows` rows of y += g A x in lanes: plain sums over A's columns, the same in every lane.
template <int Rows>
void lanes_rows(double g, const MatrixXd& a, Index row, const ConstPanelRef<Eigen::RowMajor>& x,
                PanelRef<Eigen::RowMajor>& y) {
  const Index inner = a.cols(), step = a.rows();
  for (Index c = 0; c < x.cols(); c += lane_width) {
    Lanes sum[Rows] = {};
    const double* from = x.data() + c;
    const double* weight = a.data() + row;
    for (Index k = 0; k < inner; ++k, from += x.outerStride(), weight += step) {
      const Lanes value = load(from);
      for (int r = 0; r < Rows; ++r) sum[r] += weight[r] * value;
    }
    for (int r = 0; r < Rows; ++r) {
      double* to = y.data() + (row + r) * y.outerStride() + c;
      const Lanes total = load(to) + g * sum[r];
      std::memcpy(to, &total, sizeof total);
    }
  }
}

void product_add(double g, const MatrixXd& a, const ConstPanelRef<Eigen::RowMajor>& x,
                 PanelRef<Eigen::RowMajor> y) {
  assert(x.cols() % lane_width == 0);
  Index row = 0;
  for (; row + 4 <= a.rows(); row += 4) lanes_rows<4>(g, a, row, x, y);
  for (; row + 2 <= a.rows(); row += 2) lanes_rows<2>(g, a, row, x, y);
  if (row < a.rows()) lanes_rows<1>(g, a, row, x, y);
}

void sparse_product_add(double g, const Weights::Sparse& w, const ConstPanelRef<Eigen::ColMajor>& x,
                        PanelRef<Eigen::ColMajor> y) {
  for (Index c = 0; c < x.cols(); ++c)
    for (Index i = 0; i < w.rows(); ++i) {
      double sum = 0;
      for (Weights::Sparse::InnerIterator entry(w, i); entry; ++entry)
        sum += entry.value() * x(entry.col(), c);
      y(i, c) += g * sum;
    }
}

void sparse_product_add(double g, const Weights::Sparse& w, const ConstPanelRef<Eigen::RowMajor>& x,
                        PanelRef<Eigen::RowMajor> y) {
  for (Index i = 0; i < w.rows(); ++i)
    for (Weights::Sparse::InnerIterator entry(w, i); entry; ++entry)
      y.row(i) += (g * entry.value()) * x.row(entry.col());
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
void Weights::multiply_add(double g, const ConstPanelRef<Order>& x, PanelRef<Order> y,
                           PanelRef<Order> scratch) const {
  std::visit(Overloaded{[&](const MatrixXd& w) { product_add(g, w, x, y); },
                        [&](const Sparse& w) { sparse_product_add(g, w, x, y); },
                        [&](const Diagonal& w) {
                          y.array() += g * (x.array().colwise() * w.entries.array());
                        },
                        [&](const Identity&) { y += g * x; },
                        [&](const LowRank& w) {
                          const std::size_t last = w.factors.size() - 1;
                          if (last == 0) return product_add(g, w.factors[0], x, y);
                          Index half = 0;
                          const Index offset = scratch_rows() / 2;
                          auto part = [&](std::size_t k, Index which) -> PanelRef<Order> {
                            return scratch.block(which * offset, 0, w.factors[k].rows(), x.cols());
                          };
                          part(last, half).setZero();
                          product_add(1.0, w.factors[last], x, part(last, half));
                          for (std::size_t k = last - 1; k > 0; --k) {
                            part(k, 1 - half).setZero();
                            product_add(1.0, w.factors[k], part(k + 1, half), part(k, 1 - half));
                            half = 1 - half;
                          }
                          product_add(g, w.factors[0], part(1, half), y);
                        }},
             form_);
}
template void Weights::multiply_add<Eigen::ColMajor>(double, const ConstPanelRef<Eigen::ColMajor>&,
                                                     PanelRef<Eigen::ColMajor>,
                                                     PanelRef<Eigen::ColMajor>) const;
template void Weights::multiply_add<Eigen::RowMajor>(double, const ConstPanelRef<Eigen::RowMajor>&,
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

}  // namespace settle::system
