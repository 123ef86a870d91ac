// What the machine has.
#pragma once

#include <string>

#include "sim/core/value.hpp"

namespace settle::core {

/// Physical memory in bytes.
double physical_memory();

/// @throws InputError  at `at`, found at `path`, where that many doubles, which are `what`, don't fit
///                     into the memory
void require_memory(double numbers, const std::string& what, const Value& at,
                    const std::string& path);

}  // namespace settle::core
