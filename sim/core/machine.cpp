#include "sim/core/machine.hpp"

#include <unistd.h>

namespace settle::core {

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace settle::core
