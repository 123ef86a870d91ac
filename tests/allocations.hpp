// Counts every allocation of the test program.
#pragma once

namespace settle::test {

/// Calls of malloc and of operator new until now, in this thread; always 0 under the address
/// sanitizer.
long allocations();

}  // namespace settle::test
