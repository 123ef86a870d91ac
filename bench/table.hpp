// What was measured, as a table for people and as JSON.
#pragma once

#include <iosfwd>
#include <nlohmann/json_fwd.hpp>

#include "bench/targets.hpp"

namespace settle::bench {

/// Processor, compiler, flags, libraries and how busy the machine is, a line each.
std::vector<std::pair<std::string, std::string>> machine_facts();

void print_machine(std::ostream& out);
void print_table(std::ostream& out, const Workload& work, const std::vector<Measurement>& found);
nlohmann::json as_json(const Workload& work, const std::vector<Measurement>& found);

}  // namespace settle::bench
