#include "analysis/diagram.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>

#include "analysis/diagram_scene.hpp"
#include "analysis/external.hpp"
#include "analysis/text.hpp"
#include "sim/core/error.hpp"

namespace settle::analysis {
namespace {

using Kind = Arrow::Kind;

// Fonts with the same widths follow for those who look at an SVG without the first.
constexpr const char* font = "DejaVu Sans,Verdana,sans-serif";

// Okabe and Ito's blue, vermilion and their neighbours: told apart with every kind of colour
// vision.
constexpr const char* forward_colour = "#00508F";
constexpr const char* feedback_colour = "#D55E00";
constexpr const char* recurrent_colour = "#007A5A";
constexpr const char* plain_colour = "#6E6E6E";
constexpr const char* text_colour = "#1A1A1A";

constexpr const char* no_break_space = "\u00A0";

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value == 0 ? 0.0 : value);
  return text;
}

std::string point(Point p) { return number(p.x) + "," + number(p.y); }

// Words of an equation: runs of letters with their marks, or single other characters.
std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> out;
  bool open = false;
  for (std::size_t k = 0; k < text.size();) {
    const auto byte = static_cast<unsigned char>(text[k]);
    const std::size_t length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
    const std::string letter = text.substr(k, length);
    const bool mark = byte == 0xCC || byte == 0xCD;
    const bool is_letter = (byte < 0x80 && std::isalpha(byte)) || byte == 0xC4 || byte == 0xCE ||
                           byte == 0xCF || letter == "ẋ" || letter == "ė";
    if (mark || (is_letter && open && !out.empty()))
      out.empty() ? out.push_back(letter) : void(out.back() += letter);
    else
      out.push_back(letter);
    open = is_letter || mark;
    k += length;
  }
  return out;
}

bool is_variable(const std::string& word) {
  const auto byte = static_cast<unsigned char>(word.front());
  const bool letter = (byte < 0x80 && std::isalpha(byte)) || byte == 0xC4 || byte == 0xCE ||
                      byte == 0xCF || word == "ẋ";
  const bool one = word.size() == 1 || (byte >= 0x80 && text_width(word, 1) < 0.9);
  return letter && one && word != "Σ";
}

// Variables in italics, functions and numbers upright. A blank beside italics is a piece of text of
// its own, since an SVG's viewer drops blanks at the ends of a piece.
std::string math(const std::string& text) {
  const std::vector<std::string> all = words(text);
  const auto ends = [&](std::size_t k) {
    return k >= all.size() || all[k] == " " || is_variable(all[k]);
  };
  std::string out;
  for (std::size_t k = 0; k < all.size(); ++k) {
    if (all[k] == " " && (ends(k - 1) || ends(k + 1)))
      out += "<I>" + std::string(no_break_space) + "</I>";
    else
      out += is_variable(all[k]) ? "<I>" + escaped_html(all[k]) + "</I>" : escaped_html(all[k]);
  }
  return out;
}

std::string styled(const Line& line) {
  std::string inner;
  switch (line.style) {
    case Line::Style::name:
      inner = "<B>" + escaped_html(line.text) + "</B>";
      break;
    case Line::Style::plain:
      inner = escaped_html(line.text);
      break;
    case Line::Style::equation:
    case Line::Style::detail:
      inner = math(line.text);
      break;
  }
  return "<FONT POINT-SIZE=\"" + number(font_size(line.style)) + "\">" + inner + "</FONT>";
}

std::string label(const std::vector<Line>& lines) {
  std::string out;
  for (const Line& line : lines)
    out +=
        "<TR><TD HEIGHT=\"" + number(line_height(line.style)) + "\">" + styled(line) + "</TD></TR>";
  return "<<TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"0\">" + out +
         "</TABLE>>";
}

// A name that Graphviz takes for itself, and that a browser shows when the mouse rests on it.
std::string id(const Scene& scene, int index) {
  const Box& box = scene.boxes[static_cast<std::size_t>(index)];
  const bool plain = box.beside < 0 && !box.name.empty() &&
                     std::all_of(box.name.begin(), box.name.end(), [](unsigned char c) {
                       return std::isalnum(c) || c == '_' || c == ' ' || c == '.';
                     });
  return plain ? "\"" + box.name + "\"" : "\"#" + std::to_string(index) + "\"";
}

const char* colour_of(const Arrow& arrow) {
  switch (arrow.kind) {
    case Kind::forward:
      return forward_colour;
    case Kind::feedback:
      return feedback_colour;
    case Kind::recurrent:
      return recurrent_colour;
    default:
      return plain_colour;
  }
}

std::string node_text(const Scene& scene, int index) {
  const Box& box = scene.boxes[static_cast<std::size_t>(index)];
  std::string out = "  " + id(scene, index) + " [pos=\"" + point(box.centre) +
                    "\", width=" + std::to_string(box.width / 72) +
                    ", height=" + std::to_string(box.height / 72) + ", ";
  switch (box.kind) {
    case Box::Kind::population:
      out += "fillcolor=\"#E8F1F8\", color=\"#2F5D80\"";
      break;
    case Box::Kind::controller:
      out += "fillcolor=\"#FCF0E4\", color=\"#A65A1B\"";
      break;
    default:
      out += "shape=none, style=\"\", fontcolor=\"#4A4A4A\"";
  }
  return out + ", label=" + label(box.lines) + "];\n";
}

// The path, with its last stretch left to the arrowhead.
std::string edge_path(const Arrow& arrow, double head) {
  std::vector<Point> p = arrow.path;
  Point& control = p[p.size() - 2];
  const double dx = p.back().x - control.x, dy = p.back().y - control.y;
  const double length = std::max(1e-9, std::hypot(dx, dy));
  const double clear = arrow.inhibits ? 2.5 : 1.2;  // of the box's outline
  const Point tip{p.back().x - clear / length * dx, p.back().y - clear / length * dy};
  const double back = std::min(1.0, head / length);
  p.back() = {tip.x - head / length * dx, tip.y - head / length * dy};
  control = {control.x - back * dx * 0.5, control.y - back * dy * 0.5};
  std::string out = "e," + point(tip);
  for (const Point& q : p) out += " " + point(q);
  return out;
}

std::string edge_text(const Scene& scene, const Arrow& arrow) {
  const double size = arrow.inhibits ? 0.95 : 0.8;
  const double head = 10 * size * (arrow.inhibits ? 0.25 : 1);
  const bool thin = arrow.identity || arrow.kind == Kind::setpoint || arrow.kind == Kind::input;
  std::string out = "  " + id(scene, arrow.from) + " -> " + id(scene, arrow.to) + " [pos=\"" +
                    edge_path(arrow, head) + "\", color=\"" + colour_of(arrow) +
                    "\", fontcolor=\"" + colour_of(arrow) +
                    "\", penwidth=" + (thin ? "1.1" : "1.9") + ", arrowsize=" + number(size);
  if (arrow.inhibits) out += ", arrowhead=tee";
  if (arrow.kind == Kind::setpoint) out += ", style=dashed";
  if (!arrow.label.empty())
    out += ", label=" + label(arrow.label) + ", lp=\"" + point(arrow.label_at) + "\"";
  return out + "];\n";
}

struct Extent {
  double left = 0, right = 0, bottom = 0, top = 0;
  void add(Point p, double width = 0, double height = 0) {
    left = std::min(left, p.x - width / 2);
    right = std::max(right, p.x + width / 2);
    bottom = std::min(bottom, p.y - height / 2);
    top = std::max(top, p.y + height / 2);
  }
};

Extent extent_of(const Scene& scene) {
  Extent out;
  if (!scene.boxes.empty()) {
    const Point p = scene.boxes.front().centre;
    out = {p.x, p.x, p.y, p.y};
  }
  for (const Box& box : scene.boxes) out.add(box.centre, box.width, box.height);
  for (const Arrow& arrow : scene.arrows) {
    for (const Point& p : arrow.path) out.add(p);
    if (!arrow.label.empty()) out.add(arrow.label_at, arrow.width, arrow.height);
  }
  return out;
}

// "forward → feedback", and how many trials there are.
std::string subtitle(const system::Circuit& circuit) {
  std::string out;
  if (circuit.trials > 1) out = std::to_string(circuit.trials) + " trials";
  if (circuit.phases.size() < 2) return out;
  out += out.empty() ? "phases: " : "; phases: ";
  for (std::size_t k = 0; k < circuit.phases.size(); ++k) {
    if (k >= 8) return out + " → …";
    out += (k == 0 ? "" : " → ") + circuit.phases[k].name;
  }
  return out;
}

std::string heading(const system::Circuit& circuit, const std::string& title, double width) {
  std::string out;
  const auto add = [&](const std::string& text, double size, bool bold) {
    if (text.empty()) return;
    const double at_size = bold ? 1.15 * size : size;
    const double most = std::max(width, 330.0);
    const auto lines = static_cast<double>(wrapped(text, most, at_size, 4).size());
    // Lines of about the same length.
    const double even = std::min(most, text_width(text, at_size) / lines + 60);
    for (const std::string& line : wrapped(text, even, at_size, 4))
      out += (out.empty() ? "" : "<BR/>") + std::string("<FONT POINT-SIZE=\"") + number(size) +
             "\">" + (bold ? "<B>" + escaped_html(line) + "</B>" : escaped_html(line)) + "</FONT>";
  };
  add(title, 14, true);
  add(subtitle(circuit), 11, false);
  if (!out.empty()) out += "<BR/><FONT POINT-SIZE=\"5\"> </FONT>";  // room below
  return out;
}

// What the colours and heads of the arrows in the figure mean.
std::string legend(const Scene& scene) {
  std::string out;
  const auto has = [&](auto what) {
    return std::any_of(scene.arrows.begin(), scene.arrows.end(), what);
  };
  std::string gap;
  for (int k = 0; k < 5; ++k) gap += no_break_space;
  const auto add = [&](const char* sign, const char* what, const char* colour) {
    out += (out.empty() ? "" : gap) + "<FONT COLOR=\"" + colour + "\">" + sign + no_break_space +
           what + "</FONT>";
  };
  if (has([](const Arrow& a) { return a.kind == Kind::forward; }))
    add("━", "forward", forward_colour);
  if (has([](const Arrow& a) { return a.kind == Kind::feedback; }))
    add("━", "feedback", feedback_colour);
  if (has([](const Arrow& a) { return a.kind == Kind::recurrent; }))
    add("━", "recurrent", recurrent_colour);
  if (has([](const Arrow& a) { return a.kind == Kind::setpoint; }))
    add("╍", "setpoint", plain_colour);
  if (has([](const Arrow& a) { return a.inhibits; })) add("┫", "negative", plain_colour);
  return out;
}

// The legend's width, without its tags.
double legend_width(const std::string& text) {
  std::string plain;
  bool in_tag = false;
  for (const char c : text) {
    if (c == '<') in_tag = true;
    if (!in_tag) plain += c;
    if (c == '>') in_tag = false;
  }
  return text_width(plain, 10.5) + 12;
}

}  // namespace

std::string diagram(const system::Circuit& circuit, const std::string& title) {
  Scene scene = make_scene(circuit);
  lay_out(scene);
  const Extent extent = extent_of(scene);
  std::string out =
      "digraph circuit {\n"
      "  graph [layout=nop2, bgcolor=white, pad=0.2, margin=0, labelloc=t, fontname=\"" +
      std::string(font) + "\", fontcolor=\"" + text_colour + "\"";
  const std::string head = heading(circuit, title, extent.right - extent.left);
  if (!head.empty()) out += ",\n    label=<" + head + ">";
  out +=
      "];\n  node [shape=box, style=\"rounded,filled\", fixedsize=true, margin=0, penwidth=1.3, "
      "fontname=\"" +
      std::string(font) + "\", fontcolor=\"" + text_colour +
      "\"];\n"
      "  edge [fontname=\"" +
      font + "\"];\n";
  for (int k = 0; k < static_cast<int>(scene.boxes.size()); ++k) out += node_text(scene, k);
  for (const Arrow& arrow : scene.arrows) out += edge_text(scene, arrow);
  if (const std::string text = legend(scene); !text.empty()) {
    const Point at{(extent.left + extent.right) / 2, extent.bottom - 26};
    out +=
        "  \"#legend\" [shape=none, style=\"\", width=" + std::to_string(legend_width(text) / 72) +
        ", height=0.25, fontsize=10.5, pos=\"" + point(at) + "\", label=<" + text + ">];\n";
  }
  return out + "}\n";
}

void draw_circuit(const system::Circuit& circuit, const std::string& title,
                  const std::filesystem::path& out) {
  const std::string extension = out.extension().string();
  if (extension == ".dot" || extension == ".gv")
    return write_text_file(diagram(circuit, title), out);
  if (extension != ".svg" && extension != ".png" && extension != ".pdf")
    throw core::InputError(
        out.string(),
        extension.empty() ? "a name without an extension" : "the extension \"" + extension + "\"",
        "a figure that ends in .svg, .png or .pdf (or .dot for its text)");
  check_figure_path(out);
  ExternalProgram dot{"dot", "graphviz", {}};
  if (extension == ".png") {
    dot.arguments = {"-Tpng", "-Gdpi=160"};
  } else {
    dot.arguments = {"-T" + extension.substr(1)};
  }
  run_to_file(dot, diagram(circuit, title), out);
}

}  // namespace settle::analysis
