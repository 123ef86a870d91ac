#include "sim/solve/steady_product.hpp"

#include <algorithm>
#include <vector>

#include "sim/core/elementary.hpp"

namespace settle::solve {
namespace {

using system::ConstBlock;
using system::Index;

using core::Lanes;
using core::load;
using core::store;

// A sum is the same s += a x everywhere, which the compiler may make one rounding, or not, in all.
constexpr Index lanes = core::lane_count;

constexpr Index few = 4;  // columns that A is read for at once

constexpr Index terms_at_once = 4;

// y_c += Σ_t a_t factor_tc, from zero on where these are the first.
template <Index Columns, Index Terms, bool AreFirst>
void add_terms(Index rows, const double* const* a, const double (*factors)[few], double* const* y) {
  // Copies that nothing else points to: they stay in registers.
  const double* from[Terms];
  double* to[Columns];
  double factor[Terms][Columns];
  for (Index c = 0; c < Columns; ++c) to[c] = y[c];
  for (Index t = 0; t < Terms; ++t) {
    from[t] = a[t];
    for (Index c = 0; c < Columns; ++c) factor[t][c] = factors[t][c];
  }
  Index i = 0;
  for (; i + lanes <= rows; i += lanes) {
    Lanes weight[Terms];
    for (Index t = 0; t < Terms; ++t) weight[t] = load(from[t] + i);
    for (Index c = 0; c < Columns; ++c) {
      Lanes sum = AreFirst ? Lanes{} : load(to[c] + i);
      for (Index t = 0; t < Terms; ++t) sum += weight[t] * factor[t][c];
      store(sum, to[c] + i);
    }
  }
  for (; i < rows; ++i)
    for (Index c = 0; c < Columns; ++c) {
      double sum = AreFirst ? 0 : to[c][i];
      for (Index t = 0; t < Terms; ++t) sum += from[t][i] * factor[t][c];
      to[c][i] = sum;
    }
}

// Rows first … first + rows of the product.
template <Index Columns>
void multiply_few(const ConstBlock& a, const ConstBlock& x, const std::vector<Index>& terms,
                  Index first, Index rows, double* const* y) {
  const Index count = static_cast<Index>(terms.size());
  if (count == 0)
    for (Index c = 0; c < Columns; ++c) std::fill_n(y[c], rows, 0.0);
  for (Index t = 0; t < count; t += terms_at_once) {
    const Index own = std::min(terms_at_once, count - t);
    const double* from[terms_at_once];
    double factors[terms_at_once][few];
    for (Index place = 0; place < own; ++place) {
      const Index k = terms[static_cast<std::size_t>(t + place)];
      from[place] = a.data() + k * a.outerStride() + first;
      for (Index c = 0; c < Columns; ++c) factors[place][c] = x(k, c);
    }
    const auto add = [&]<Index Terms>() {
      if (t == 0)
        add_terms<Columns, Terms, true>(rows, from, factors, y);
      else
        add_terms<Columns, Terms, false>(rows, from, factors, y);
    };
    switch (own) {
      case 1:
        add.template operator()<1>();
        break;
      case 2:
        add.template operator()<2>();
        break;
      case 3:
        add.template operator()<3>();
        break;
      default:
        add.template operator()<terms_at_once>();
    }
  }
}

void multiply_few(const ConstBlock& a, const ConstBlock& x, const std::vector<Index>& terms,
                  Index first, Index rows, double* const* y) {
  switch (x.cols()) {
    case 1:
      return multiply_few<1>(a, x, terms, first, rows, y);
    case 2:
      return multiply_few<2>(a, x, terms, first, rows, y);
    case 3:
      return multiply_few<3>(a, x, terms, first, rows, y);
    default:
      return multiply_few<few>(a, x, terms, first, rows, y);
  }
}

// The rows of x that are not zero throughout.
std::vector<Index> terms_of(const ConstBlock& x) {
  std::vector<Index> terms;
  terms.reserve(static_cast<std::size_t>(x.rows()));
  for (Index k = 0; k < x.rows(); ++k) {
    Index c = 0;
    while (c < x.cols() && x(k, c) == 0) ++c;
    if (c < x.cols()) terms.push_back(k);
  }
  return terms;
}

}  // namespace

void multiply(const ConstBlock& a, const ConstBlock& x, std::span<double* const> y) {
  constexpr Index rows_at_once = 1024;  // whose sums stay in the first cache
  const std::vector<Index> terms = terms_of(x);
  for (Index column = 0; column < x.cols(); column += few) {
    const Index columns = std::min(few, x.cols() - column);
    for (Index first = 0; first < a.rows(); first += rows_at_once) {
      double* own[few];
      for (Index c = 0; c < columns; ++c) own[c] = y[static_cast<std::size_t>(column + c)] + first;
      multiply_few(a, x.middleCols(column, columns), terms, first,
                   std::min(rows_at_once, a.rows() - first), own);
    }
  }
}

void multiply_by_blocks(const ConstBlock& a, const ConstBlock& x, const TakeBlock& take) {
  constexpr Index rows_at_once = 128;
  const std::vector<Index> terms = terms_of(x);
  alignas(64) double numbers[few * rows_at_once];
  double* own[few];
  for (Index c = 0; c < few; ++c) own[c] = numbers + c * rows_at_once;
  for (Index column = 0; column < x.cols(); column += few) {
    const Index columns = std::min(few, x.cols() - column);
    for (Index first = 0; first < a.rows(); first += rows_at_once) {
      const Index rows = std::min(rows_at_once, a.rows() - first);
      multiply_few(a, x.middleCols(column, columns), terms, first, rows, own);
      take(first, column,
           Eigen::Map<const Eigen::MatrixXd, 0, Eigen::OuterStride<>>(
               numbers, rows, columns, Eigen::OuterStride<>(rows_at_once)));
    }
  }
}

}  // namespace settle::solve
