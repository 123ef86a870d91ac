// This program in a process of its own, to see how much memory one thing takes.
#pragma once

#include <string>
#include <vector>

namespace settle::bench {

/// The largest resident size of this process so far, in MB; NaN where the system doesn't say.
double peak_memory();

/// Runs this program again with other arguments and returns what it wrote to its standard output; ""
/// where it could not be started or did not end well.
std::string run_again(std::vector<std::string> arguments);

}  // namespace settle::bench
