// A PID controller as the four nodes that it is.
#pragma once

#include "models/spelt_out.hpp"
#include "sim/system/circuit.hpp"

namespace settle::models {

/// Adds the nodes and edges of
///
///     e = ±(measured − setpoint)               name.error,       instantaneous
///     τ_u ξ̇ = −α ξ + e                         name.integral,    where k_i ≠ 0
///     τ_d ḟ = −f + e                           name.derivative,  where k_d ≠ 0
///     u = k_i ξ + k_p e + k_d (e − f)/τ_d      name,             instantaneous
///
/// and the controller that stands for them. `setpoint` is the constant part y of the wanted output
/// and `initial` is ξ(0), n × 1 or n × trials each. f(0) = 0.
///
/// Source: science.md section 3.
/// @throws InputError  for an initial state without an integrator
void add_controller(system::Circuit& circuit, const ControllerSpec& spec,
                    const system::MatrixXd& setpoint, const system::MatrixXd& initial);

}  // namespace settle::models
