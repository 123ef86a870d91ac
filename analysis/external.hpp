// Running a program that draws: Graphviz' dot, gnuplot.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace settle::analysis {

/// A program that reads a script from its standard input and writes a file to its standard output.
struct ExternalProgram {
  std::string name;                    ///< looked up in PATH: "dot"
  std::string package;                 ///< the Debian package that it comes in: "graphviz"
  std::vector<std::string> arguments;  ///< without the name
};

/// Runs the program, without a shell, and puts what it writes in place of `out`. The output goes to
/// a file beside `out` that is renamed once it is whole, so that nothing is ever half-written.
/// @throws core::OutputError  for a missing program (with the package to install), one that fails
/// (with
///                            what it said) or writes nothing, and a place that cannot be written
void run_to_file(const ExternalProgram& program, const std::string& script,
                 const std::filesystem::path& out);

/// Puts `text` in place of the file, in the same way.
/// @throws core::OutputError  for a place that cannot be written
void write_text_file(const std::string& text, const std::filesystem::path& out);

/// Throws what the two above would say about a place that cannot be written, before there is
/// anything to write. @throws core::OutputError
void check_figure_path(const std::filesystem::path& out);

}  // namespace settle::analysis
