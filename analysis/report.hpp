// A file of settle as a page: what became of it, its figures, its circuit, its numbers.
#pragma once

#include <cstdint>
#include <filesystem>

#include "analysis/report_page.hpp"

namespace settle::analysis {

struct ReportOptions {
  std::int64_t trial = 0;  ///< the one that figures draw
  std::string generator;   ///< "settle 0.1.0"
};

/// The page of what `settle run`, `analyze` or `tune` wrote. A figure that cannot be drawn is left out, and
/// the page says why. The same file gives the same page.
/// @throws core::InputError  for a file that is none of these, and a trial that is not there
Page report(const std::filesystem::path& file, const ReportOptions& options);

}  // namespace settle::analysis
