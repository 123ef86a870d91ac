// A page for a browser: what stands on it as plain text and drawings, and its HTML.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace settle::analysis {

/// How good a piece of news is; never told by colour alone.
enum class Tone { plain, good, caution, bad };

struct PageVerdict {
  Tone tone = Tone::plain;
  std::string word;  ///< "settled at t = 28.9"
  std::string text;  ///< why
};

/// A number that is read first.
struct PageFact {
  std::string label, value, note;
};
using PageFacts = std::vector<PageFact>;

struct PageCell {
  std::string text;
  std::string code = {};     ///< a name in the file, below the text
  std::string note = {};     ///< small print below it; its own lines where it has several
  Tone tone = Tone::plain;   ///< of the text
  double share = 0;          ///< in (0, 1]: a bar of that length
  int columns = 1;           ///< that it spans
  bool is_sentence = false;  ///< broken into lines, from the left
  bool is_part = false;      ///< a name that goes on from the row above
};

struct PageTable {
  std::string title;
  std::string about;                        ///< below the title
  std::string code = {};                    ///< a name in the file, beside that
  std::vector<std::string> heading;         ///< of every column; the first one names the rows
  std::string alignment;                    ///< 'l' or 'r' a column; further ones are 'r'
  std::vector<std::vector<PageCell>> rows;  ///< the first cell of each is its name
  std::vector<std::string> notes = {};      ///< below the table
  bool folded = false;                      ///< shown on a click
};

struct PageFigure {
  std::string title;
  std::string caption;  ///< how to read it
  std::string label;    ///< for who can't see it
  std::string svg;      ///< "": it is left out
  std::string why_missing = {};
};

/// Text as it stands in a file, shown on a click.
struct PageListing {
  std::string title, text;
};

using PageParagraph = std::string;
using PageBlock = std::variant<PageParagraph, PageFacts, PageTable, PageFigure, PageListing>;

struct PageSection {
  std::string heading;
  std::vector<PageBlock> blocks;
};

struct Page {
  std::string kind;    ///< "Run", "Sweep"
  std::string title;   ///< of the circuit
  std::string lead;    ///< what the page is about, for who has never seen one
  std::string origin;  ///< when and by what it was made
  std::vector<PageVerdict> verdicts;
  PageFacts facts;
  std::vector<PageSection> sections;
  std::string generator;  ///< "settle 0.1.0"
};

/// A page of its own: nothing is fetched, no script runs.
std::string html(const Page& page);

/// A sentence for each figure that is left out.
std::vector<std::string> missing_figures(const Page& page);

/// Whether the bytes begin as html() writes them, by any version of the program.
bool is_our_page(const std::string& bytes);

}  // namespace settle::analysis
