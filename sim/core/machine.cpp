#include "sim/core/machine.hpp"

#include <unistd.h>

#include "sim/core/params.hpp"

namespace settle::core {

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void require_memory(double numbers, const std::string& what, const Value& at,
                    const std::string& path) {
  constexpr double gib = 1024.0 * 1024.0 * 1024.0;
  const double memory = physical_memory() / gib;
  const double needed = numbers * sizeof(double) / gib;
  if (needed > memory)
    fail(at, path, what + ", which takes " + brief(needed) + " GiB",
         "at most " + brief(memory) + " GiB, the memory of this machine");
}

}  // namespace settle::core
