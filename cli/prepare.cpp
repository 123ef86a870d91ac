#include "cli/commands.hpp"

namespace settle::cli {

Prepared prepare(const std::filesystem::path& file, const std::vector<std::string>& set) {
  Prepared out;
  out.file = io::load(file, set);
  out.config = models::read_config(out.file.value, std::filesystem::absolute(file).parent_path());
  out.system =
      std::make_unique<system::OdeSystem>(system::compile(models::build_circuit(out.config)));
  out.warnings = out.config.solver.warnings();
  for (const auto& controller : out.system->circuit().controllers) {
    const bool silent = controller.gain_p == 0 && controller.gain_i == 0 && controller.gain_d == 0;
    if (silent) out.warnings.push_back("controller " + controller.name + " has no gain: it does nothing");
    if (controller.measured_edges.empty())
      out.warnings.push_back("controller " + controller.name + " measures nothing: no projection leads to it");
  }
  return out;
}

}  // namespace settle::cli
