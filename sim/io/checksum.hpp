// Checksums, so that a result names exactly the configuration and the data it came from.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace settle::io {

/// SHA-256 of the bytes, in 64 lower-case hexadecimal digits. Source: FIPS 180-4.
std::string sha256(std::string_view bytes);

/// The same of a file's bytes. @throws InputError  where it cannot be read
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace settle::io
