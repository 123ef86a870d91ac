// The circuit as it stands in a result file: the group /circuit.
#pragma once

#include "sim/io/layout.hpp"
#include "sim/system/circuit.hpp"

namespace settle::io {

/// Writes every matrix, bias, setpoint and constant of a circuit, so that its equations can be
/// recomputed:
///
///     weights_A_to_B   (B_unit, A_unit)  W, receiving rows first, without the edge's gain
///     (attribute `gain`);
///                                        weights_A_to_C_setpoint through a controller's setpoint
///     port gate_A_to_B      (trial, A_unit)   d, where an edge has one
///     tau_A, leak_A    (A_unit)          of dynamic nodes
///     bias_A           ([trial,] A_unit) the constant drive, where there is one
///     setpoint_C       (trial, C_unit)   y, a controller's constant setpoint
///
/// A matrix that is not stored densely and would take more than `dense_limit` bytes so is kept in
/// its form: sparse by rows (…_values, …_columns, …_row_starts), diagonal (…_diagonal) or factors
/// (…_factor_1, …).
/// @throws OutputError
void write_circuit(h5::Group group, const system::Circuit& circuit, const Layout& layout,
                   const std::string& time_unit, std::size_t dense_limit = std::size_t{64} << 20);

/// The bytes that write_circuit() takes.
double circuit_bytes(const system::Circuit& circuit, const Layout& layout,
                     std::size_t dense_limit = std::size_t{64} << 20);

}  // namespace settle::io
