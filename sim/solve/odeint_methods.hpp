// The solvers that come from Boost.Odeint's explicit steppers, and the node-by-node Euler scheme.
#pragma once

#include <vector>

#include "sim/solve/method.hpp"

namespace settle::solve {

/// euler, semi_implicit_euler, rk4, adams_bashforth_moulton, dopri5, cash_karp54, fehlberg78 and
/// bulirsch_stoer.
std::vector<core::Entry<Method>> odeint_methods();

}  // namespace settle::solve
