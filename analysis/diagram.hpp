// An architecture figure of a circuit: the forward path on the left, the feedback on the right.
#pragma once

#include <filesystem>
#include <string>

#include "sim/system/circuit.hpp"

namespace settle::analysis {

/// The circuit as a Graphviz text with every place fixed (`dot -Tsvg` draws it): populations as
/// boxes with size and equation, a controller as one box, weights as arrows with their shape,
/// ending in a bar where they inhibit. Lowest population at the bottom; each loop is a column, and
/// what is another loop's setpoint stands to its right at the same height.
std::string diagram(const system::Circuit& circuit, const std::string& title);

/// Draws it to .svg, .png or .pdf, or writes the text to .dot or .gv.
/// @throws core::InputError   for another extension
/// @throws core::OutputError  where Graphviz is not installed or the file cannot be written
void draw_circuit(const system::Circuit& circuit, const std::string& title,
                  const std::filesystem::path& out);

}  // namespace settle::analysis
