// Products whose columns do not depend on each other.
#include <catch2/catch.hpp>
#include <vector>

#include "sim/core/random.hpp"
#include "sim/solve/steady_product.hpp"

using namespace settle;
using Eigen::Index;
using Eigen::MatrixXd;

namespace {

MatrixXd random(Index rows, Index cols, const char* name) {
  const core::RandomStream stream(1, name);
  MatrixXd m(rows, cols);
  for (Index k = 0; k < m.size(); ++k) m(k) = stream.normal(static_cast<std::uint64_t>(k));
  return m;
}

MatrixXd product(const MatrixXd& a, const MatrixXd& x) {
  MatrixXd y = MatrixXd::Constant(a.rows(), x.cols(), 7.0);  // whatever was there
  std::vector<double*> columns;
  for (Index c = 0; c < x.cols(); ++c) columns.push_back(y.col(c).data());
  solve::multiply(a, x, columns);
  return y;
}

}  // namespace

TEST_CASE("a column of a steady product has the same bits alone and beside others") {
  for (const Index rows : {1, 3, 10, 29, 60, 1030})
    for (const Index terms : {1, 2, 7, 40, 301}) {
      const MatrixXd a = random(rows, terms, "a"), x = random(terms, 37, "x");
      const MatrixXd all = product(a, x);
      CAPTURE(rows, terms);
      // Rounding of a sum of up to 301 numbers of order one.
      CHECK((all - a * x).cwiseAbs().maxCoeff() < 1e-12);
      for (const Index count : {1, 2, 3, 4, 5, 8, 18})
        CHECK(product(a, x.middleCols(11, count)) == all.middleCols(11, count));
      MatrixXd by_blocks = MatrixXd::Zero(rows, 37);
      solve::multiply_by_blocks(a, x,
                                [&](Index row, Index column, const system::ConstBlock& block) {
                                  by_blocks.block(row, column, block.rows(), block.cols()) += block;
                                });
      CHECK(by_blocks == all);
    }
}

TEST_CASE("what a steady product passes over changes no bit") {
  const MatrixXd a = random(30, 50, "a");
  MatrixXd x = random(50, 6, "x");
  for (Index k = 0; k < 50; k += 3) x.row(k).setZero();
  x.col(2).tail(20).setZero();
  const MatrixXd all = product(a, x);
  for (Index c = 0; c < 6; ++c) CHECK(product(a, x.col(c)) == all.col(c));
  CHECK(product(a, MatrixXd::Zero(50, 2)) == MatrixXd::Zero(30, 2));
  CHECK(product(a, MatrixXd::Zero(50, 9)) == MatrixXd::Zero(30, 9));
}
