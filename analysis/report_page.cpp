#include "analysis/report_page.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "analysis/page_style.hpp"
#include "analysis/text.hpp"

namespace settle::analysis {
namespace {

const char* class_of(Tone tone) {
  switch (tone) {
    case Tone::good:
      return "good";
    case Tone::caution:
      return "caution";
    case Tone::bad:
      return "bad";
    case Tone::plain:
      break;
  }
  return "plain";
}

// A sign beside the colour.
std::string mark_of(Tone tone) {
  const std::string sign = tone == Tone::good      ? "✓"
                           : tone == Tone::caution ? "!"
                           : tone == Tone::bad     ? "✕"
                                                   : "";
  if (sign.empty()) return "";
  return "<span class=\"mark\" aria-hidden=\"true\">" + sign + "</span>";
}

std::string element(const std::string& tag, const std::string& classes, const std::string& text) {
  if (text.empty()) return "";
  return '<' + tag + (classes.empty() ? "" : " class=\"" + classes + "\"") + '>' +
         escaped_html(text) + "</" + tag + '>';
}

class Writer {
 public:
  std::string page(const Page& page) {
    out_ =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"generator\" content=\"" +
        escaped_html(page.generator) +
        "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        // Even the icon that browsers ask a server for stands in the page.
        "<link rel=\"icon\" href=\"data:,\">\n<title>" +
        escaped_html(page.title) + "</title>\n<style>" + page_style + "</style>\n</head>\n<body>\n";
    line("<header>");
    line(element("p", "kind", page.kind));
    line(element("h1", "", page.title));
    line(element("p", "origin", page.origin));
    line(element("p", "", page.lead));
    line("</header>");
    line("<main>");
    for (const PageVerdict& verdict : page.verdicts) write(verdict);
    write(page.facts);
    for (const PageSection& section : page.sections) {
      if (section.blocks.empty()) continue;
      line("<section>");
      line(element("h2", "", section.heading));
      for (const PageBlock& block : section.blocks)
        std::visit([this](const auto& what) { write(what); }, block);
      line("</section>");
    }
    line("</main>");
    line("<footer>" +
         element("p", "",
                 "Written by " + page.generator +
                     " (settle report). The page holds all that it shows; "
                     "numbers are rounded to four digits.") +
         "</footer>");
    line("</body>\n</html>");
    return std::move(out_);
  }

 private:
  void line(const std::string& text) {
    if (!text.empty()) out_ += text + '\n';
  }

  void write(const PageVerdict& verdict) {
    line(std::string("<div class=\"verdict ") + class_of(verdict.tone) + "\">");
    line("<p class=\"word\">" + mark_of(verdict.tone) + escaped_html(verdict.word) + "</p>");
    line(element("p", "", verdict.text));
    line("</div>");
  }

  void write(const PageParagraph& text) { line(element("p", "", text)); }

  void write(const PageFacts& facts) {
    if (facts.empty()) return;
    line("<dl class=\"facts\">");
    for (const PageFact& fact : facts)
      line("<div>" + element("dt", "", fact.label) + element("dd", "value", fact.value) +
           element("dd", "note", fact.note) + "</div>");
    line("</dl>");
  }

  // A part that may be wider than the page, moved sideways with a finger or the keyboard.
  void scrolled(const char* classes, const std::string& label) {
    line(std::string("<div class=\"") + classes +
         "\" tabindex=\"0\" role=\"region\" aria-label=\"" + escaped_html(label) + "\">");
  }

  void write(const PageFigure& figure) {
    line("<figure>");
    line(element("h3", "", figure.title));
    if (figure.svg.empty()) {
      line(element("p", "missing", "Left out: " + figure.why_missing));
    } else {
      scrolled("drawing", figure.title.empty() ? figure.label : figure.title);
      line(figure.svg);
      line("</div>");
    }
    line(element("figcaption", "", figure.caption));
    line("</figure>");
  }

  void write(const PageListing& listing) {
    line("<details>");
    line(element("summary", "", listing.title));
    line("<pre><code>" + escaped_html(listing.text) + "</code></pre>");
    line("</details>");
  }

  void write(const PageTable& table) {
    line(table.folded ? "<details>" : "");
    line(element(table.folded ? "summary" : "h3", "", table.title));
    if (!table.about.empty() || !table.code.empty())
      line("<p class=\"about\">" + escaped_html(table.about) +
           (table.about.empty() || table.code.empty() ? "" : " ") +
           element("code", "", table.code) + "</p>");
    scrolled("table", table.title.empty() ? "Table" : table.title);
    line("<table>");
    if (!table.heading.empty()) {
      out_ += "<thead><tr>";
      for (std::size_t c = 0; c < table.heading.size(); ++c)
        // A name is not broken at its hyphen.
        out_ += "<th scope=\"col\" class=\"" + std::string(is_left(table, c) ? "left" : "right") +
                (table.heading[c].find(' ') == std::string::npos ? " whole" : "") + "\">" +
                escaped_html(table.heading[c]) + "</th>";
      line("</tr></thead>");
    }
    line("<tbody>");
    for (const auto& row : table.rows) {
      out_ += "<tr>";
      std::size_t column = 0;
      for (const PageCell& cell : row) {
        write(cell, column == 0, is_left(table, column) || cell.is_sentence);
        column += static_cast<std::size_t>(cell.columns);
      }
      line("</tr>");
    }
    line("</tbody>");
    line("</table>");
    line("</div>");
    for (const std::string& note : table.notes) line(element("p", "notes", note));
    line(table.folded ? "</details>" : "");
  }

  static bool is_left(const PageTable& table, std::size_t column) {
    return column < table.alignment.size() && table.alignment[column] == 'l';
  }

  void write(const PageCell& cell, bool is_name, bool is_left) {
    const std::string tag = is_name ? "th" : "td";
    std::string open = '<' + tag + (is_name ? " scope=\"row\"" : "");
    if (cell.columns > 1) open += " colspan=\"" + std::to_string(cell.columns) + "\"";
    const std::string classes = cell.is_part       ? "left part"
                                : cell.is_sentence ? "left wide"
                                : is_left          ? "left"
                                                   : "";
    if (!classes.empty()) open += " class=\"" + classes + "\"";
    out_ += open + '>';
    const std::string tone = std::string("tone-") + class_of(cell.tone);
    out_ += cell.tone == Tone::plain ? escaped_html(cell.text) : element("span", tone, cell.text);
    out_ += element("code", "", cell.code) +
            element("small", cell.note.find('\n') == std::string::npos ? "" : "lines", cell.note);
    if (cell.share > 0)
      out_ += "<span class=\"bar\" aria-hidden=\"true\"><i class=\"" + tone + "\" style=\"width:" +
              std::to_string(static_cast<int>(std::lround(100 * std::min(cell.share, 1.0)))) +
              "%\"></i></span>";
    out_ += "</" + tag + '>';
  }

  std::string out_;
};

}  // namespace

std::string html(const Page& page) { return Writer().page(page); }

std::vector<std::string> missing_figures(const Page& page) {
  std::vector<std::string> out;
  for (const PageSection& section : page.sections)
    for (const PageBlock& block : section.blocks)
      if (const auto* figure = std::get_if<PageFigure>(&block); figure && figure->svg.empty())
        out.push_back((figure->title.empty() ? section.heading : figure->title) +
                      " is left out: " + figure->why_missing);
  return out;
}

bool is_our_page(const std::string& bytes) {
  return bytes.rfind("<!DOCTYPE html>", 0) == 0 &&
         bytes.substr(0, 400).find("<meta name=\"generator\" content=\"settle ") !=
             std::string::npos;
}

}  // namespace settle::analysis
