#include "cli/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace settle::cli {
namespace {

constexpr double bar_interval = 0.1, line_interval = 5.0;  // seconds

int terminal_width() {
  winsize size{};
  return ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// Columns that a text takes on a terminal: its UTF-8 characters.
int width(const std::string& text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

Style::Style(int descriptor)
    : terminal_(isatty(descriptor) == 1), colour_(terminal_ && !std::getenv("NO_COLOR")) {}

std::string Style::wrap(const char* code, const std::string& text) const {
  return colour_ ? std::string("\033[") + code + "m" + text + "\033[0m" : text;
}

std::size_t display_width(const std::string& text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\033')
      while (i < text.size() && text[i] != 'm') ++i;
    else
      width += (text[i] & 0xC0) != 0x80;  // not the second byte of a character or later
  }
  return width;
}

void Table::print() const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_)
    for (std::size_t c = 0; c < row.size(); ++c)
      widths[c] = std::max(widths[c], display_width(row[c]));
  const Style style(1);
  for (const auto& row : rows_) {
    std::string line = "   ";
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string space(widths[c] - display_width(row[c]), ' ');
      line += (c == 0 ? " " : "  ") +
              (c < alignment_.size() && alignment_[c] == 'l' ? row[c] + space : space + row[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    std::cout << (&row == &rows_.front() ? style.dim(line) : line) << '\n';
  }
}

std::string duration_text(double seconds) {
  const auto short_text = [](double amount, const char* unit) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.3g %s", amount, unit);
    return std::string(buffer);
  };
  if (seconds < 0.9995e-3) return short_text(1e6 * seconds, "µs");
  if (seconds < 0.9995) return short_text(1e3 * seconds, "ms");
  if (seconds < 59.95) return short_text(seconds, "s");
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

std::string count_text(double count) { return std::to_string(std::llround(count)); }

std::string bytes_text(double bytes) {
  const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 4) {
    bytes /= 1024;
    ++unit;
  }
  return core::brief(bytes) + " " + units[unit];
}

ProgressDisplay::ProgressDisplay(bool quiet, std::string name)
    : quiet_(quiet), name_(std::move(name)) {}

bool ProgressDisplay::is_due() {
  if (quiet_) return false;
  const Clock::time_point now = Clock::now();
  const double since = std::chrono::duration<double>(now - last_).count();
  if (since < (style_.is_terminal() ? bar_interval : line_interval)) return false;
  last_ = now;
  return true;
}

void ProgressDisplay::show(const solve::Progress& progress) {
  if (!is_due()) return;
  const double share = progress.t_limit > 0 ? std::min(1.0, progress.t / progress.t_limit) : 0;
  draw(share,
       "t = " + core::brief(progress.t) + "/" + core::brief(progress.t_limit) + ", " +
           std::to_string(progress.steps) + " steps, " +
           (progress.residual > 0 ? "residual " + core::brief(progress.residual) : "settled"));
}

void ProgressDisplay::show(double share, const std::string& text) {
  if (is_due()) draw(share, text);
}

void ProgressDisplay::draw(double share, std::string text) {
  const double elapsed = std::chrono::duration<double>(last_ - start_).count();
  if (share > 0.01) text += ", ≤ " + duration_text(std::ceil(elapsed * (1 - share) / share));
  if (!style_.is_terminal()) {
    std::cerr << name_ << ": " << text << std::endl;
    return;
  }
  const int room = terminal_width() - width(text) - 4;
  std::string bar;
  if (room >= 8) {
    const int cells = std::min(room, 40);
    const int full = static_cast<int>(std::lround(share * cells));
    for (int i = 0; i < cells; ++i) bar += i < full ? "█" : "░";
    bar += "  ";
  } else {
    text = text.substr(0, static_cast<std::size_t>(std::max(10, terminal_width() - 1)));
  }
  std::cerr << "\r\033[K" << bar << text << std::flush;
  visible_ = true;
}

void ProgressDisplay::clear() {
  if (visible_) std::cerr << "\r\033[K" << std::flush;
  visible_ = false;
}

}  // namespace settle::cli
