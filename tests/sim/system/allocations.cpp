#include "tests/allocations.hpp"

#include <malloc.h>

#include <cstdlib>
#include <new>

namespace {
thread_local long count = 0;
}

namespace settle::test {
long allocations() { return count; }
}  // namespace settle::test

// Eigen allocates by malloc, everything else by new, which calls malloc too. The address sanitizer
// has a malloc of its own, and there nothing is counted.
#ifndef __SANITIZE_ADDRESS__
extern "C" void* __libc_malloc(std::size_t);
extern "C" void* malloc(std::size_t size) {
  ++count;
  return __libc_malloc(size);
}
#endif
