// What a circuit may not be: names that stand twice, sizes beyond the machine, algebraic loops.
#pragma once

#include "models/build.hpp"

namespace settle::models {

/// @throws InputError  for names of nodes or phases that are reserved, stand twice, or would take
///                     the place of another's quantity in a result file
void check_names(const Config& config);

/// Before anything is made: states, held some thirty times over (solver stages, rates, records),
/// and the weights that surely are dense. @throws InputError  where they don't fit into memory
void check_memory(const Config& config, system::Index trials);

/// Follows what instantaneous nodes send to each other. The edges of the projections are the last
/// ones of `circuit`, in their order. @throws InputError  at a projection of a cycle
void check_algebraic_loops(const Config& config, const system::Circuit& circuit);

}  // namespace settle::models
