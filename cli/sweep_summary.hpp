// What is told of a sweep, to people and as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "analysis/sweep_spec.hpp"
#include "cli/terminal.hpp"
#include "sim/io/sweep_file.hpp"

namespace settle::cli {

/// Name, parameters and values of every axis.
nlohmann::ordered_json axes_json(const analysis::SweepSpec& spec);

/// Inversion error, settling time and verdict against the axes, medians over trials and seeds: all
/// combinations of their values, or some of them where there are many. Empty where nothing of it was
/// measured.
Table table_of(const analysis::SweepSpec& spec, const io::SweepWriter& writer);

}  // namespace settle::cli
