// Matrices as they stand in a file: row by row.
#pragma once

#include <Eigen/Core>
#include <span>

#include "sim/io/hdf5.hpp"

namespace settle::io {

template <class S>
using RowMajor = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class S>
std::span<const S> entries_of(const RowMajor<S>& m) {
  return {m.data(), static_cast<std::size_t>(m.size())};
}

template <class S>
h5::Shape shape_of(const Eigen::MatrixBase<S>& m) {
  return {static_cast<std::uint64_t>(m.rows()), static_cast<std::uint64_t>(m.cols())};
}

/// Writes a matrix to a dataset of its shape, by blocks of rows: it is never copied as a whole.
void write_matrix(h5::Dataset& dataset, const Eigen::MatrixXd& matrix);

/// An array of any number of dimensions as a matrix of so many rows.
Eigen::MatrixXd by_rows(const h5::Numbers& numbers, Eigen::Index rows);

}  // namespace settle::io
