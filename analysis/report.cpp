#include "analysis/report.hpp"

#include <cmath>

#include "analysis/report_parts.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

constexpr std::size_t longest_listing = 400'000;  // bytes of a configuration

// "2026-11-24T22:38:33Z settle run x.toml": when, and the command.
std::pair<std::string, std::string> history_of(const io::h5::File& file) {
  const std::string history = attribute_text(file, "history");
  const std::size_t blank = history.find(' ');
  if (blank == std::string::npos) return {"", history};
  return {history.substr(0, blank), history.substr(blank + 1)};
}

// "2026-11-24 22:38 UTC"
std::string time_text(const std::string& iso) {
  if (iso.size() < 17 || iso[10] != 'T') return iso;
  return iso.substr(0, 10) + " " + iso.substr(11, 5) + " UTC";
}

std::string solver_text(const io::h5::File& file) {
  std::string out = attribute_text(file, "solver");
  for (const char* name : {"rtol", "atol", "step"})
    if (const std::string text = attribute_text(file, name); !text.empty())
      out += std::string(", ") + name + " " + text;
  return out;
}

std::string cost_text(const io::h5::File& file) {
  std::string out;
  for (const char* name : {"steps", "rejections", "evaluations", "jacobians"})
    if (const std::string text = attribute_text(file, name); !text.empty())
      out += (out.empty() ? "" : ", ") + text + " " + name;
  if (const std::string text = attribute_text(file, "wall_time"); !text.empty())
    out += " in " + text + " s";
  return out;
}

PageListing listing(const io::h5::File& file, const std::string& dataset,
                    const std::string& title) {
  std::string text = file.is_dataset(dataset) ? file.dataset(dataset).read_text() : "";
  if (text.size() > longest_listing)
    text = text.substr(0, longest_listing) + "\n… (all of it is in the file's dataset " + dataset +
           ")";
  return {title, text};
}

}  // namespace

std::string attribute_text(const io::h5::File& file, const std::string& name) {
  if (!file.has_attribute(name)) return "";
  try {
    return file.text_attribute(name);
  } catch (const core::InputError&) {
    const double number = file.number_attribute(name);
    const bool is_count = number == std::round(number) && std::abs(number) < 1e15;
    return is_count ? std::to_string(static_cast<long long>(number)) : core::brief(number);
  }
}

Page titled_page(const std::string& kind, const io::h5::File& file,
                 const std::filesystem::path& path, const ReportOptions& options) {
  Page out;
  out.kind = kind;
  out.title = attribute_text(file, "title");
  if (out.title.empty()) out.title = path.stem().string();
  out.origin = time_text(history_of(file).first) + " · " + attribute_text(file, "source") + " · " +
               path.filename().string();
  out.generator = options.generator;
  return out;
}

PageSection making_section(const io::h5::File& file) {
  PageTable table;
  table.alignment = "ll";
  const auto add = [&](const std::string& what, const std::string& text) {
    if (!text.empty()) table.rows.push_back({{.text = what}, {.text = text, .is_sentence = true}});
  };
  const std::string unit = attribute_text(file, "time_unit");
  add("Command", history_of(file).second);
  add("About", attribute_text(file, "about"));
  add("Solver", solver_text(file));
  add("Cost", cost_text(file));
  add("Unit of time",
      unit == "1" || unit.empty() ? "the circuit's own (every time, rate and τ)" : unit);
  add("Seed", attribute_text(file, "seed"));
  add("Program", attribute_text(file, "source"));
  add("Compiler", attribute_text(file, "compiler") + ", " + attribute_text(file, "build_flags"));
  add("Libraries", attribute_text(file, "libraries"));
  add("Host", attribute_text(file, "host"));
  add("Status", attribute_text(file, "status"));
  PageSection out{"How it was made", {}};
  out.blocks.emplace_back(std::move(table));
  out.blocks.emplace_back(listing(file, "config", "The configuration, as it was given"));
  out.blocks.emplace_back(
      listing(file, "config_expanded", "The same with the circuit spelt out, as it was run"));
  return out;
}

Page report(const std::filesystem::path& file, const ReportOptions& options) {
  if (io::SweepFile::is_sweep(file)) return sweep_report(io::SweepFile(file), options);
  const std::string kind = io::AnalysisFile::kind_of(file);
  if (kind == "tuning") return tuning_report(io::AnalysisFile(file), options);
  if (kind == "analysis") return analysis_report(io::AnalysisFile(file), options);
  if (!kind.empty())
    throw core::InputError(file.string(), "a file of the kind \"" + kind + "\"",
                           "what settle run, analyze or tune wrote");
  return run_report(io::ResultFile(file), options);
}

}  // namespace settle::analysis
