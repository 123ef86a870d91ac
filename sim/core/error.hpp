// What can go wrong, as types: a user's mistake (InputError) and a result that could not be written
// (OutputError). A solver's outcome is a status, never an exception; a bug is an assertion.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace settle::core {

/// Where a value was written: a file with line and column, or a command-line override.
struct Position {
  std::string source;  ///< the file's name, or "--set KEY"
  int line = 0;        ///< 1-based; 0 where a source has no lines
  int column = 0;      ///< 1-based; 0 where there is none

  /// "file:line:column", with the parts that exist; empty without a source.
  std::string text() const;
};

/// A mistake in what the user gave: where it stands, what was found and what would do.
class InputError : public std::runtime_error {
 public:
  InputError(std::string where, std::string found, std::string expected);
  InputError(const Position& position, std::string found, std::string expected);

  const std::string where;
  const std::string found;
  const std::string expected;
};

/// A result that cannot be written: an unwritable path, a full disk.
class OutputError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The candidate nearest to `name` by edit distance, or "" where none is near enough to be meant.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

/// `; did you mean "x"?` for the nearest candidate, or "".
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

/// "a, b and c" / "a, b or c".
std::string join(const std::vector<std::string>& words, std::string_view last = ", ");

}  // namespace settle::core
