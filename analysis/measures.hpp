// The members of the family of measures: each is made here, and listed in measure.cpp.
#pragma once

#include <memory>

#include "analysis/measure.hpp"

namespace settle::analysis {

// accuracy.cpp
std::unique_ptr<Measure> inversion_error();
std::unique_ptr<Measure> directions();
std::unique_ptr<Measure> integrator();
std::unique_ptr<Measure> feasibility();
std::unique_ptr<Measure> credit();

// stability.cpp
std::unique_ptr<Measure> equilibrium();
std::unique_ptr<Measure> slowest_pole();
std::unique_ptr<Measure> poles();
std::unique_ptr<Measure> loop_stability();

// margins.cpp
std::unique_ptr<Measure> parameter_margins();

// robustness.cpp
std::unique_ptr<Measure> loop_margins();
std::unique_ptr<Measure> return_ratio();
std::unique_ptr<Measure> nonnormality();
std::unique_ptr<Measure> pseudospectrum_grid();
std::unique_ptr<Measure> poles_along();

// equilibria.cpp
std::unique_ptr<Measure> equilibria();

// prediction.cpp
std::unique_ptr<Measure> prediction();

// verdict.cpp
std::unique_ptr<Measure> verdict();

// convergence.cpp
std::unique_ptr<Measure> decay_rate();
std::unique_ptr<Measure> response();

}  // namespace settle::analysis
