#include "cli/each_file.hpp"

#include <algorithm>
#include <iostream>

#include "cli/interrupt.hpp"
#include "cli/terminal.hpp"

namespace settle::cli {

int for_each_file(const CommonOptions& options, const FileCommand& command) {
  survive_file_size_limit();
  forget_stop_request();
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  int code = done;
  for (const auto& file : options.files) {
    try {
      code = std::max(code, command(file, all));
    } catch (const core::InputError& error) {
      if (options.files.size() == 1) throw;
      std::cerr << Style(2).red("error: ") << error.what() << '\n';
      code = std::max<int>(code, input_wrong);
    }
    if (stop_requested()) break;
  }
  if (options.json) std::cout << (all.size() == 1 ? all[0] : all).dump(2) << '\n';
  return code;
}

}  // namespace settle::cli
