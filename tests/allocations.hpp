// Counts every allocation of the test program.
#pragma once

namespace settle::test {

/// Calls of malloc and of operator new until now, in this thread.
long allocations();

}  // namespace settle::test
