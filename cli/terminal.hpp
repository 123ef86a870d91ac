// What differs between a terminal and a pipe.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "sim/solve/solve.hpp"

namespace settle::cli {

/// Words in colour where the stream is a terminal (and NO_COLOR is not set); plain elsewhere.
class Style {
 public:
  /// @param descriptor  1 for standard output, 2 for standard error
  explicit Style(int descriptor);
  bool is_terminal() const { return terminal_; }
  std::string bold(const std::string& text) const { return wrap("1", text); }
  std::string dim(const std::string& text) const { return wrap("2", text); }
  std::string red(const std::string& text) const { return wrap("1;31", text); }
  std::string green(const std::string& text) const { return wrap("1;32", text); }
  std::string yellow(const std::string& text) const { return wrap("1;33", text); }

 private:
  std::string wrap(const char* code, const std::string& text) const;
  bool terminal_;
  bool colour_;
};

/// Shows on standard error how far a run has come: a bar on a terminal, a line now and then on a
/// pipe.
class ProgressDisplay {
 public:
  ProgressDisplay(bool quiet, std::string name);
  ~ProgressDisplay() { clear(); }
  void show(const solve::Progress& progress);
  /// Any share of the work, in [0, 1], and what there is to say of it.
  void show(double share, const std::string& text);
  /// Takes the bar away.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  bool is_due();
  void draw(double share, std::string text);

  bool quiet_;
  std::string name_;
  Style style_{2};
  Clock::time_point start_ = Clock::now(), last_ = start_;
  bool visible_ = false;
};

/// Columns of texts under a heading, each as wide as its widest entry.
class Table {
 public:
  /// @param alignment  'l' or 'r' for each column; the others are right-aligned
  explicit Table(std::vector<std::string> heading, std::string alignment = "")
      : rows_{std::move(heading)}, alignment_(std::move(alignment)) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  bool empty() const { return rows_.size() <= 1; }
  /// On standard output, indented by four.
  void print() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::string alignment_;
};

/// Columns that a text takes on a terminal: marks of colour take none.
std::size_t display_width(const std::string& text);

/// "0.74 µs", "12.3 ms", "1.2 s", "3 min 20 s".
std::string duration_text(double seconds);
/// Every digit of a whole number.
std::string count_text(double count);
/// "1.2 MiB".
std::string bytes_text(double bytes);

}  // namespace settle::cli
