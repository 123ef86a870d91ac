// The solvers that come from SUNDIALS.
#pragma once

#include <vector>

#include "sim/solve/method.hpp"

namespace settle::solve {

/// cvode_adams and cvode_bdf; none in a build without SUNDIALS (SETTLE_HAS_SUNDIALS).
std::vector<core::Entry<Method>> cvode_methods();

/// SUNDIALS' version, "6.4.1"; "" in a build without it.
std::string sundials_version();

}  // namespace settle::solve
