// Checksums of texts, so that a result names exactly the configuration it came from.
#pragma once

#include <string>
#include <string_view>

namespace settle::io {

/// SHA-256 of the bytes, in 64 lower-case hexadecimal digits. Source: FIPS 180-4.
std::string sha256(std::string_view bytes);

}  // namespace settle::io
