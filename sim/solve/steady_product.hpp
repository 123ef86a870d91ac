// Products of a matrix with columns whose bits do not depend on each other.
#pragma once

#include <functional>
#include <span>

#include "sim/system/panel.hpp"

namespace settle::solve {

/// y_c = A x_c for every column x_c of x, as a plain sum over A's columns in their order: y_c has the same
/// bits alone and beside any number of others. Columns of A that no x_c asks for (all their factors are
/// zero) are passed over; A must be finite.
/// @param a  n × k
/// @param x  k × columns
/// @param y  per column, where its n numbers go
void multiply(const system::ConstBlock& a, const system::ConstBlock& x, std::span<double* const> y);

/// The same numbers, some rows of some columns at a time, for those who need them only once: `block` stands
/// at (row, column) of A x.
using TakeBlock =
    std::function<void(system::Index row, system::Index column, const system::ConstBlock& block)>;
void multiply_by_blocks(const system::ConstBlock& a, const system::ConstBlock& x,
                        const TakeBlock& take);

}  // namespace settle::solve
