#include "sim/core/error.hpp"

#include <algorithm>
#include <numeric>

namespace settle::core {
namespace {

std::string message(const std::string& where, const std::string& found,
                    const std::string& expected) {
  std::string text = where.empty() ? "" : where + ": ";
  text += found;
  if (!expected.empty()) text += "; expected " + expected;
  return text;
}

// Levenshtein distance with the transposition of neighbours counted as one edit.
int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int substitution = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last = last;
    last = row;
  }
  return last[b.size()];
}

}  // namespace

std::string Position::text() const {
  std::string out = source;
  if (line > 0) out += ":" + std::to_string(line);
  if (column > 0) out += ":" + std::to_string(column);
  return out;
}

InputError::InputError(std::string where_, std::string found_, std::string expected_)
    : std::runtime_error(message(where_, found_, expected_)),
      where(std::move(where_)),
      found(std::move(found_)),
      expected(std::move(expected_)) {}

InputError::InputError(const Position& position, std::string found_, std::string expected_)
    : InputError(position.text(), std::move(found_), std::move(expected_)) {}

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  if (name.size() < 2) return best;  // every other letter is one edit away
  int least = std::max(1, static_cast<int>(name.size()) / 3) + 1;
  for (const std::string& candidate : candidates) {
    const int distance = edit_distance(name, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  const std::string best = nearest(name, candidates);
  return best.empty() ? "" : "; did you mean \"" + best + "\"?";
}

std::string join(const std::vector<std::string>& words, std::string_view last) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? std::string(last) : ", ";
    out += words[i];
  }
  return out;
}

}  // namespace settle::core
