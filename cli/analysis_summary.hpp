// What `settle analyze` tells of the measures that `settle run` leaves out of its summary.
#pragma once

#include "cli/run_summary.hpp"

namespace settle::cli {

/// Tables of one trial's equilibria, poles, margins, growth, response and credit: those that were measured.
void print_analysis(const RunReport& report, std::size_t trial, const Style& style);

}  // namespace settle::cli
