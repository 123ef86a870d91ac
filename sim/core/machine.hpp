// What the machine has.
#pragma once

namespace settle::core {

/// Physical memory in bytes.
double physical_memory();

}  // namespace settle::core
