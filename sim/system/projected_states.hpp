// Populations whose states are a projection of fewer ones.
#pragma once

#include "sim/system/signal_graph.hpp"

namespace settle::system {

/// Rows of a node that was dynamic, as Σ g s ⊙ W v of dynamic vertices v.
struct Projection {
  int node = 0;
  std::vector<Index> rows;  ///< empty: all
  std::vector<Term> parts;
};

/// Whether the equation of a dynamic vertex is linear with a fixed drive: no slope of its own, no noise,
/// and where a phase puts it back, back to where the run began.
bool can_be_projection(const SignalGraph& graph, int v);

/// Makes those of `nodes` that are a projection of fewer states instantaneous, with filters appended.
/// `nodes` are ones that can be.
std::vector<Projection> project_states(SignalGraph& graph, const std::vector<int>& nodes,
                                       std::vector<std::string>& steps);

}  // namespace settle::system
