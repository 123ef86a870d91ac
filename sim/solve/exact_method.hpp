// The exact solution of circuits that are linear between breakpoints, as a method among the others.
#pragma once

#include "sim/solve/method.hpp"

namespace settle::solve {

/// "exact".
std::vector<core::Entry<Method>> exact_methods();

}  // namespace settle::solve
