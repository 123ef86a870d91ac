// Drawings of gnuplot and Graphviz as parts of an HTML page.
#pragma once

#include <string>

namespace settle::analysis {

/// The <svg> element of a drawing's file. Every id and every reference to one begins with `prefix`, so that
/// several drawings may stand in one page. Titles (which browsers show as tooltips), classes, comments,
/// scripts and what lies outside the file are left out. `label` says what is seen, for screen readers.
/// @throws core::InputError  where there is no drawing in the text
std::string inline_svg(const std::string& file, const std::string& prefix,
                       const std::string& label);

}  // namespace settle::analysis
