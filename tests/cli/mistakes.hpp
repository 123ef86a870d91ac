// Mistakes in configuration files, and what the program must say about each.
#pragma once

#include <string>
#include <vector>

#include "tests/temporary_folder.hpp"

namespace settle::test {

struct Mistake {
  std::string name;
  std::string toml;
  int line;  ///< where the message must point; 0: to `where`
  std::vector<std::string>
      fragments;  ///< of the message: what was found, what would do, the nearest
  std::vector<std::string> set = {};  ///< --set
  std::string where = {};             ///< the place's beginning, where it is no line of the file
};

/// Prepares the configuration as every command does, and its sweep as check and run do, in a folder that holds matrix.csv (3 × 2),
/// ragged.csv, nan.csv, constant.csv, and matrix.h5 with /W (2 × 3) and /V; and checks that exactly
/// the expected is said, as an InputError.
void check(const Mistake& mistake);

// Lines 1 to 5: a model with layers [6, 4]; what follows begins in line 6.
std::string model(const std::string& more);
// The same with a part of it replaced.
std::string model_with(const std::string& part, const std::string& by);
// Lines 1 to 3: a population "a" of 2 units.
std::string population(const std::string& more);
// Lines 1 to 6: that, and a controller "c" of 2 units.
std::string controlled(const std::string& more);

}  // namespace settle::test
