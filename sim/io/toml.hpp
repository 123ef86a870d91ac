// TOML to core::Value and back. Every value and key knows its file, line and column.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "sim/core/value.hpp"

namespace settle::io {

/// A configuration with the bytes it came from.
struct LoadedFile {
  core::Value value;           ///< with the overrides in it
  std::string text;            ///< the file, verbatim
  std::filesystem::path path;  ///< as it was given
};

/// Reads a TOML file and sets each override "a.b.c=VALUE" in turn, so that the last one wins.
/// @throws InputError  for a file that is missing, a folder, unreadable or no TOML
/// (file:line:column),
///                     and as apply_override()
LoadedFile load(const std::filesystem::path& path, const std::vector<std::string>& overrides = {});

/// The table that `text` spells, members in the order of the text; positions say `source_name`.
/// @throws InputError  for what is no TOML, a key that stands twice, a date or a time
core::Value parse_toml(std::string_view text, const std::string& source_name);

/// Sets one value from "a.b.c=VALUE". VALUE is TOML; a bare word that is none (`euler`,
/// `data/w.h5`) is a text. Positions say "--set a.b.c" with the column in `assignment`.
/// @throws InputError  without "=", for a VALUE that is neither, and as core::set_path()
void apply_override(core::Value& root, const std::string& assignment);

/// TOML that parses back to an equal table: plain members first, then [tables] and [[lists of
/// tables]].
std::string toml_text(const core::Value& table);

}  // namespace settle::io
