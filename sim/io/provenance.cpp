#include "sim/io/provenance.hpp"

#include <H5public.h>
#include <unistd.h>

#include <Eigen/Core>
#include <algorithm>
#include <boost/version.hpp>
#include <ctime>

#include "sim/io/checksum.hpp"

namespace settle::io {
namespace {

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string host_name() {
  char text[256] = {};
  return gethostname(text, sizeof text - 1) == 0 ? text : "unknown";
}

std::string library_versions(const RunInfo& info) {
  std::string boost = BOOST_LIB_VERSION;
  std::replace(boost.begin(), boost.end(), '_', '.');
  const auto dotted = [](int a, int b, int c) {
    return std::to_string(a) + "." + std::to_string(b) + "." + std::to_string(c);
  };
  std::string text =
      "Eigen " + dotted(EIGEN_WORLD_VERSION, EIGEN_MAJOR_VERSION, EIGEN_MINOR_VERSION) +
      ", Boost " + boost + ", HDF5 " + dotted(H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
  for (const auto& [name, version] : info.libraries) text += ", " + name + " " + version;
  return text;
}

void write_config(Shelf& root, const std::string& name, const std::string& text,
                  const std::string& long_name) {
  root.put(name, {}, std::vector<std::string>{text}, long_name)
      .set_attribute("sha256", sha256(text));
}

}  // namespace

void write_provenance(h5::Group& root, const RunInfo& info) {
  std::string source = "settle " + info.program_version;
  if (!info.git_revision.empty())
    source += " (git " + info.git_revision + (info.git_dirty ? ", modified)" : ")");
  root.set_attribute("Conventions", "CF-1.8");
  root.set_attribute("title", info.title);
  root.set_attribute("source", source);
  root.set_attribute("history", utc_now() + " " + info.command);
  root.set_attribute("schema_version", schema_version);
  root.set_attribute("seed", static_cast<std::int64_t>(info.seed));
  root.set_attribute("status", "running");
  root.set_attribute("stop_reason", "");
  root.set_attribute("time_unit", info.time_unit.empty() ? "1" : info.time_unit);
  root.set_attribute("git_revision", info.git_revision);
  root.set_attribute("git_dirty", static_cast<std::int8_t>(info.git_dirty));
  root.set_attribute("compiler", info.compiler);
  root.set_attribute("build_flags", info.build_flags);
  root.set_attribute("libraries", library_versions(info));
  root.set_attribute("host", host_name());
}

void write_provenance(h5::Group& root, const RunInfo& info, const solve::SolverOptions& solver) {
  write_provenance(root, info);
  root.set_attribute("solver", solver.method);
  root.set_attribute("rtol", solver.rtol);
  root.set_attribute("atol", solver.atol);
  if (solver.step) root.set_attribute("step", *solver.step);
}

void write_configuration(Shelf& root, const RunInfo& info) {
  write_config(root, "config", info.config, "configuration, as it was given");
  write_config(root, "config_expanded", info.config_expanded,
               "configuration, with everything spelt out");
}

void write_resumption(Shelf& root, const Resumption& resumption) {
  root.group().set_attribute("base_folder", std::filesystem::absolute(resumption.base).string());
  root.group().set_attribute("resume_options", resumption.options);
  root.put("resume_config", {}, std::vector<std::string>{resumption.config},
           "configuration to go on with: the file with what was set on the command line");
}

Resumption read_resumption(const h5::Group& root) {
  return {.config = root.dataset("resume_config").read_text(),
          .base = root.text_attribute("base_folder"),
          .options = root.text_list_attribute("resume_options")};
}

}  // namespace settle::io
