#include "bench/table.hpp"

#include <cblas.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>

#include "settle_revision.hpp"
#include "settle_version.hpp"

namespace settle::bench {
namespace {

using nlohmann::json;

std::string format(const char* form, double x) {
  char text[64];
  std::snprintf(text, sizeof text, form, x);
  return text;
}

// Three digits: 0.0123, 1.23, 12.3, 123, 12 300.
std::string digits(double x) {
  if (!std::isfinite(x)) return std::isnan(x) ? "" : "∞";
  if (x == 0) return "0";
  const double size = std::abs(x);
  if (size >= 9.995e5 || size < 1e-3) return format("%.1e", x);
  if (size >= 99.95) return format("%.0f", x);
  return format(size >= 9.995 ? "%.1f" : size >= 0.9995 ? "%.2f" : "%.3f", x);
}

std::string time_text(double seconds) {
  if (!std::isfinite(seconds)) return "";
  if (seconds >= 1) return digits(seconds) + " s ";
  if (seconds >= 1e-3) return digits(seconds * 1e3) + " ms";
  return digits(seconds * 1e6) + " µs";
}

// Characters, not bytes.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}
std::string left(const std::string& text, std::size_t to) {
  return text + std::string(to > width(text) ? to - width(text) : 0, ' ');
}
std::string right(const std::string& text, std::size_t to) {
  return std::string(to > width(text) ? to - width(text) : 0, ' ') + text;
}

std::string first_line_of(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);)
    if (line.starts_with(key)) {
      const auto colon = line.find(": ");
      return colon == std::string::npos ? line : line.substr(colon + 2);
    }
  return "unknown";
}

std::string verdict(const Measurement& m) {
  if (m.failure == "too slow") return "given up";
  if (!m.failure.empty()) return m.failure;
  std::string text;
  if (m.wrong > 0) {
    text = "FAILED";
    if (m.checked > 1)
      text += ": " + std::to_string(m.wrong) + " of " + std::to_string(m.checked) + " wrong";
  }
  return text;
}

std::string target_text(const Target& target, double factor) {
  const bool share = target.factor < 1;
  return (share ? format("%.0f %%", 100 * factor) : digits(factor) + " ×");
}

}  // namespace

std::vector<std::pair<std::string, std::string>> machine_facts() {
  double load[3] = {};
  getloadavg(load, 3);
  return {
      {"processor", first_line_of("/proc/cpuinfo", "model name") + ", " +
                        std::to_string(std::thread::hardware_concurrency()) + " cores"},
      {"load", digits(load[0]) + ", " + digits(load[1]) + ", " + digits(load[2]) +
                   " (waiting for a processor in the last 1, 5 and 15 minutes)"},
      {"compiler", std::string(SETTLE_COMPILER) + ", " + SETTLE_BUILD_FLAGS},
      {"OpenBLAS", openblas_get_config()},
      {"settle", std::string(SETTLE_VERSION) + " (" + SETTLE_GIT_REVISION +
                     (SETTLE_GIT_DIRTY ? ", changed)" : ")")},
  };
}

void print_machine(std::ostream& out) {
  for (const auto& [name, value] : machine_facts()) out << left(name, 11) << value << '\n';
  out << left("threads", 11) << "1 unless said\n"
      << left("times", 11) << (processor_time ? "the processor's, of all threads" : "the clock's")
      << '\n';
}

void print_table(std::ostream& out, const Workload& work, const std::vector<Measurement>& found) {
  const Measurement* settle = find(found, "settle");
  const bool any_memory = std::any_of(found.begin(), found.end(),
                                      [](const Measurement& m) { return std::isfinite(m.memory); });
  out << '\n' << work.name << ": " << work.about << '\n';
  out << "  " << left("", 20) << right("median", 10) << right("to settle's", 14)
      << right("error", 10) << right("runs", 6) << (any_memory ? right("peak MB", 9) : "") << '\n';
  for (const Measurement& m : found) {
    // The sign ~ marks times of all columns that were found from a part of them.
    const bool part = m.timed > 0 && m.timed < work.columns();
    const bool given_up = m.failure == "too slow";
    const double time =
        given_up ? time_limit * static_cast<double>(work.columns()) / static_cast<double>(m.timed)
                 : m.median();
    const double ratio = settle ? time / settle->median() : not_known;
    const std::string more = given_up ? ">" : "";
    out << "  " << left(m.name, 20)
        << right((given_up ? ">"
                  : part   ? "~"
                           : "") +
                     time_text(time),
                 10)
        << right(std::isfinite(ratio) ? more + digits(ratio) : "", 14) << right(digits(m.error), 10)
        << right(m.samples.empty() ? "" : std::to_string(m.samples.size()), 6);
    if (any_memory) out << right(std::isfinite(m.memory) ? format("%.1f", m.memory) : "", 9);
    const std::string remark = verdict(m);
    out << (remark.empty() ? "" : "  " + remark) << '\n';
  }
  for (const Target& target : targets()) {
    if (target.workload != work.name) continue;
    const auto factor = reached(target, found);
    out << "  target  " << left(target.ours, 18) << " against " << left(target.against, 14)
        << right(target_text(target, target.factor), 9);
    const Measurement* ours = find(found, target.ours);
    if (!factor) {
      out << "  not measured";
    } else {
      out << ", found " << right(target_text(target, *factor), 9)
          << (ours->failed()             ? "  FAILED"
              : *factor >= target.factor ? "  reached"
                                         : "  not reached");
    }
    out << '\n';
  }
  if (settle && std::isfinite(settle->memory))
    out << "  target  settle             peak memory            " << right(digits(memory_target), 9)
        << " MB, found " << digits(settle->memory)
        << (settle->memory <= memory_target ? "  reached\n" : "  not reached\n");
  out.flush();
}

json as_json(const Workload& work, const std::vector<Measurement>& found) {
  const auto number = [](double x) { return std::isfinite(x) ? json(x) : json(); };
  json rows = json::array();
  for (const Measurement& m : found)
    rows.push_back({{"contender", m.name},
                    {"median_seconds", number(m.median())},
                    {"samples_seconds", m.samples},
                    {"columns_timed", m.timed},
                    {"columns_checked", m.checked},
                    {"columns_wrong", m.wrong},
                    {"error_over_tolerance", number(m.error)},
                    {"evaluations", number(m.evaluations)},
                    {"peak_megabytes", number(m.memory)},
                    {"failed", m.failed()},
                    {"failure", m.failure}});
  json goals = json::array();
  for (const Target& target : targets())
    if (target.workload == work.name) {
      const auto factor = reached(target, found);
      goals.push_back({{"ours", target.ours},
                       {"against", target.against},
                       {"factor", target.factor},
                       {"found", factor ? json(*factor) : json()}});
    }
  return {{"workload", work.name},
          {"about", work.about},
          {"columns", work.columns()},
          {"contenders", rows},
          {"targets", goals}};
}

}  // namespace settle::bench
