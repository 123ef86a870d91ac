// Training: a run of a file with [learning].
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "cli/commands.hpp"

namespace settle::cli {

/// Trains every rule and seed of a configuration into a result file, with a checkpoint beside it while it
/// lasts. @throws InputError
int run_training(const io::LoadedFile& file, const std::filesystem::path& result,
                 const RunOptions& options, nlohmann::ordered_json& all);
/// Goes on with one that was interrupted, to the same bits. @throws InputError
int resume_training(const std::filesystem::path& result, const RunOptions& options,
                    nlohmann::ordered_json& all);
/// What a run of it would do, without doing it. @throws InputError
void check_training(const io::LoadedFile& file, const CommonOptions& options,
                    nlohmann::ordered_json& all);
/// The configuration with every default. @throws InputError
core::Value expanded_training(const io::LoadedFile& file);

}  // namespace settle::cli
