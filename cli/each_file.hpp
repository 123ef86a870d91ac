// A command over several files.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"

namespace settle::cli {

using FileCommand = std::function<int(const std::filesystem::path&, nlohmann::ordered_json&)>;

/// Calls `command` for each file, which may append to the JSON that is printed where it was asked for. One
/// whose input is wrong does not cost the others; Ctrl-C ends the series. Returns the largest exit code.
int for_each_file(const CommonOptions& options, const FileCommand& command);

}  // namespace settle::cli
