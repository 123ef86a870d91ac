#include "analysis/report.hpp"

#include <fstream>
#include <iostream>
#include <iterator>

#include "analysis/external.hpp"
#include "cli/commands.hpp"
#include "cli/each_file.hpp"
#include "settle_version.hpp"

namespace settle::cli {
namespace {

// A page of ours may be replaced, and an empty file; nothing else.
void check_page_path(const std::filesystem::path& out) {
  const std::string extension = out.extension().string();
  if (extension != ".html" && extension != ".htm")
    throw core::InputError(
        "-o " + out.string(),
        extension.empty() ? "a name without an extension" : "the extension \"" + extension + "\"",
        "a page that ends in .html");
  analysis::check_figure_path(out);
  if (!std::filesystem::exists(out)) return;
  std::ifstream in(out, std::ios::binary);
  std::string bytes(400, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  if (!bytes.empty() && !analysis::is_our_page(bytes))
    throw core::InputError(out.string(), "a file that settle report did not write is there",
                           "another name (-o)");
}

}  // namespace

int report(const ReportOptions& options) {
  if (!options.output.empty() && options.files.size() > 1)
    throw core::InputError("-o",
                           "one page for " + std::to_string(options.files.size()) + " results",
                           "no -o: each page is named after its file");
  return for_each_file(options, [&](const std::filesystem::path& file, nlohmann::ordered_json&) {
    const std::filesystem::path out = options.output.empty()
                                          ? std::filesystem::path(file.stem().string() + ".html")
                                          : options.output;
    check_page_path(out);
    const analysis::Page page = analysis::report(
        file, {.trial = options.trial, .generator = std::string("settle ") + SETTLE_VERSION});
    analysis::write_text_file(analysis::html(page), out);
    if (!options.quiet) {
      std::cout << out.string() << '\n';
      for (const std::string& missing : analysis::missing_figures(page))
        std::cerr << "settle: " << missing << '\n';
    }
    return static_cast<int>(done);
  });
}

}  // namespace settle::cli
