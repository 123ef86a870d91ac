// The linearly implicit solver for stiff circuits.
#pragma once

#include <vector>

#include "sim/solve/method.hpp"

namespace settle::solve {

/// rosenbrock4.
std::vector<core::Entry<Method>> rosenbrock_methods();

}  // namespace settle::solve
