// A figure: panels of curves with a headline, drawn through gnuplot and written as numbers.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "analysis/plot_csv.hpp"
#include "analysis/plot_script.hpp"

namespace settle::analysis {

/// A text above the first panel.
struct Mark {
  double at = 0;  ///< its middle, in points from the left of the panel
  std::string text;
  int row = 0;  ///< from the lowest
};

/// What is drawn, before any of it is: a picture and its numbers come from the same panels.
struct Figure {
  std::string name;                ///< "poles"
  std::string title;               ///< broken into three lines at most
  std::vector<std::string> notes;  ///< under the title, each two lines at most
  std::vector<Panel> panels;
  std::vector<Mark> marks = {};
  std::size_t columns = 1;  ///< of panels, filled row by row
  bool shared_x = false;    ///< panels below each other have one x axis, labelled at the lowest
  double width = 820;       ///< in points (pixels of an SVG)
  double height = 0;        ///< 0: what the panels ask for; else they are stretched to it
};

/// Width of a panel's axes in a figure of that width and so many columns.
double panel_width(double width, std::size_t columns = 1);
inline double panel_width(const Figure& figure) {
  return panel_width(figure.width, figure.columns);
}

/// Draws it to a file that ends in .svg, .png or .pdf.
/// @throws core::InputError   for another extension
/// @throws core::OutputError  where gnuplot is not installed or the file cannot be written
void draw(const Figure& figure, const std::filesystem::path& out);

/// The numbers of its panels, a row a point.
std::vector<CsvRow> rows(const Figure& figure);

}  // namespace settle::analysis
