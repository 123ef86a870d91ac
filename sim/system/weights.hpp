// The matrix of a projection, in the form in which it is cheapest to apply.
#pragma once

#include <Eigen/SparseCore>
#include <memory>
#include <type_traits>
#include <variant>
#include <vector>

#include "sim/system/panel.hpp"

namespace settle::system {

/// A factor of every column: one number for all, or in lanes one for each (none: 1).
template <int Order>
using Gain = std::conditional_t<Order == Eigen::RowMajor, const double*, double>;

/// W (rows × cols): dense, sparse by rows (CSR), diagonal, the identity, or a product of dense
/// factors kept apart where that is cheaper.
class Weights {
 public:
  using Sparse = Eigen::SparseMatrix<double, Eigen::RowMajor>;
  struct Diagonal {
    VectorXd entries;
  };
  struct Identity {
    Index size;
  };
  /// W = factors[0] · factors[1] · …, each dense.
  struct LowRank {
    std::vector<MatrixXd> factors;
  };

  explicit Weights(MatrixXd dense) : form_(std::move(dense)) {}
  explicit Weights(Sparse sparse) : form_(std::move(sparse)) {}
  explicit Weights(Diagonal diagonal) : form_(std::move(diagonal)) {}
  explicit Weights(Identity identity) : form_(identity) {}
  /// @throws std::invalid_argument  where the factors' shapes don't chain
  explicit Weights(LowRank product);

  Index rows() const;
  Index cols() const;
  Index parameters() const;   ///< stored numbers
  std::size_t bytes() const;  ///< memory that they take
  /// Whether a matrix of dense numbers in it is larger than `entries`.
  bool has_dense_beyond(Index entries) const;
  bool operator==(const Weights& other) const;
  const char* form() const;  ///< "dense", "sparse", "diagonal", "identity", "low rank"
  bool is_identity() const { return std::holds_alternative<Identity>(form_); }
  /// Length of the scratch that multiply_add needs for one column.
  Index scratch_rows() const;

  /// Y += g · W X, for any number of columns (in lanes: a multiple of lane_width); `scratch` has at least
  /// scratch_rows() rows and X's columns. A column's bits do not depend on the others, where their
  /// number is a multiple of lane_width.
  template <int Order>
  void multiply_add(Gain<Order> g, const ConstPanelRef<Order>& x, PanelRef<Order> y,
                    PanelRef<Order> scratch) const;
  void multiply_add(double g, const ConstBlock& x, Block y, Block scratch) const {
    multiply_add<Eigen::ColMajor>(g, x, y, scratch);
  }

  MatrixXd dense() const;
  Weights transposed() const;
  Weights scaled(double factor) const;
  const std::variant<MatrixXd, Sparse, Diagonal, Identity, LowRank>& as_variant() const {
    return form_;
  }

 private:
  std::variant<MatrixXd, Sparse, Diagonal, Identity, LowRank> form_;
};

using SharedWeights = std::shared_ptr<const Weights>;

/// A diag(d) B in the form that it has by itself: the identity and diagonals change no form, a product
/// of sparse matrices stays sparse while it can have few entries, all else is dense. An empty d is 1.
Weights product(const Weights& a, const VectorXd& d, const Weights& b);
/// How many numbers product() stores at most, without making it.
double product_parameters(const Weights& a, const Weights& b);
/// g A + h B, dense where one of them is, else sparse.
Weights sum(double g, const Weights& a, double h, const Weights& b);
/// Some of the rows, in that order.
Weights rows_of(const Weights& w, const std::vector<Index>& rows);
/// ‖W‖∞, the largest sum of absolute values in a row; of a product an upper bound.
double largest_row_sum(const Weights& w);
/// ‖W‖_F, the root of the sum of all entries squared.
double frobenius_norm(const Weights& w);

}  // namespace settle::system
