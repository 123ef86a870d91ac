// Products of what instantaneous nodes pass on, multiplied out where that is cheaper.
#pragma once

#include "sim/system/signal_graph.hpp"

namespace settle::system {

/// Rewrites what is heard through instantaneous vertices as heard from their senders, where an
/// evaluation then takes fewer multiplications, and clears what nothing needs any more.
void fold(SignalGraph& graph, std::vector<std::string>& steps);

}  // namespace settle::system
