#include "sim/io/row_major.hpp"

#include <algorithm>

namespace settle::io {

using Eigen::Index;

void write_matrix(h5::Dataset& dataset, const Eigen::MatrixXd& matrix) {
  constexpr Index block_entries = Index{1} << 20;
  const Index block = std::max<Index>(1, block_entries / std::max<Index>(1, matrix.cols()));
  for (Index first = 0; first < matrix.rows() && matrix.cols() > 0; first += block) {
    const RowMajor<double> part = matrix.middleRows(first, std::min(block, matrix.rows() - first));
    dataset.write_block({static_cast<std::uint64_t>(first), 0}, shape_of(part), entries_of(part));
  }
}

Eigen::MatrixXd by_rows(const h5::Numbers& numbers, Index rows) {
  const auto entries = static_cast<Index>(numbers.values.size());
  return Eigen::Map<const RowMajor<double>>(numbers.values.data(), rows,
                                            rows > 0 ? entries / rows : 0);
}

}  // namespace settle::io
