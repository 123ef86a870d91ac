#include "analysis/diagram_scene.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <typeinfo>

#include "analysis/text.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

using system::Circuit;
using system::Controller;
using system::Edge;
using system::Index;
using system::MatrixXd;
using system::Node;
using Style = Line::Style;

// Products and comparisons of weights are made up to this many multiplications.
constexpr double largest_comparison = 2e8;

std::size_t at(int index) { return static_cast<std::size_t>(index); }

bool contains(const std::vector<int>& list, int item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// "−0.5": with the sign that print has.
std::string number(double value) {
  std::string text = core::brief(value);
  for (std::size_t k = 0; (k = text.find('-', k)) != std::string::npos;) text.replace(k, 1, "−");
  return text;
}

// "2 ξ", "−ξ", "ξ": a term that begins a sum.
std::string factor(double value) {
  if (value == 1) return "";
  if (value == -1) return "−";
  return number(value) + " ";
}

void add_term(std::string& sum, double value, const std::string& term) {
  if (value == 0) return;
  if (sum.empty())
    sum = factor(value) + term;
  else
    sum += (value < 0 ? " − " : " + ") + factor(std::abs(value)) + term;
}

// "0.5", or "0.5 … 2" where the units differ.
std::string range(const system::VectorXd& values) {
  const double low = values.minCoeff(), high = values.maxCoeff();
  return low == high ? number(low) : number(low) + " … " + number(high);
}

std::string subscript(int n) {
  static const std::array<const char*, 10> digits = {"₀", "₁", "₂", "₃", "₄",
                                                     "₅", "₆", "₇", "₈", "₉"};
  std::string out;
  for (const char c : std::to_string(n)) out += digits[static_cast<std::size_t>(c - '0')];
  return out;
}

std::string size_text(Index n) { return "n = " + std::to_string(n); }

std::string trials_text(const MatrixXd& values) {
  return values.cols() > 1 ? ", " + std::to_string(values.cols()) + " trials" : "";
}

// What the profile is called in a configuration.
std::string kind_of(const system::Source& source) {
  if (!source.profile) return "noise";
  const system::Profile& profile = *source.profile;
  for (const auto& entry : system::profiles().entries()) {
    const std::unique_ptr<system::Profile> other = entry.make();
    const system::Profile& same = *other;
    if (typeid(same) == typeid(profile)) return entry.name;
  }
  return "source";
}

class SceneMaker {
 public:
  explicit SceneMaker(const Circuit& circuit) : circuit_(circuit) {}

  Scene make() {
    add_boxes();
    add_arrows();
    find_levels();
    add_satellites();
    name_weights();
    for (Arrow& arrow : scene_.arrows) measure(arrow);
    for (Box& box : scene_.boxes) measure(box);
    return std::move(scene_);
  }

 private:
  const Node& node(int index) const { return circuit_.nodes[at(index)]; }
  Box& box(int index) { return scene_.boxes[at(index)]; }

  void add_boxes() {
    box_of_.assign(circuit_.nodes.size(), -1);
    for (const Controller& controller : circuit_.controllers)
      for (const int part :
           {controller.control, controller.error, controller.integral, controller.derivative})
        if (part >= 0) box_of_[at(part)] = -2;
    for (std::size_t k = 0; k < circuit_.nodes.size(); ++k) {
      if (box_of_[k] == -2) continue;
      box_of_[k] = static_cast<int>(scene_.boxes.size());
      scene_.boxes.push_back(population(static_cast<int>(k)));
    }
    for (const Controller& controller : circuit_.controllers) {
      const int index = static_cast<int>(scene_.boxes.size());
      for (const int part :
           {controller.control, controller.error, controller.integral, controller.derivative})
        if (part >= 0) box_of_[at(part)] = index;
      scene_.boxes.push_back(controller_box(controller));
    }
  }

  Box population(int index) const {
    const Node& n = node(index);
    const bool is_driven = std::any_of(circuit_.edges.begin(), circuit_.edges.end(),
                                       [&](const Edge& edge) { return edge.to == index; });
    const bool has_source =
        std::any_of(circuit_.sources.begin(), circuit_.sources.end(),
                    [&](const system::Source& source) { return source.to == index; });
    std::string right, detail = size_text(n.size);
    if (!n.instantaneous()) {
      const bool uniform = n.leak.minCoeff() == n.leak.maxCoeff();
      if (uniform && n.leak[0] == 1) {
        right = "−x";
      } else if (!uniform || n.leak[0] != 0) {
        right = "−λ x";
      }
      detail += ", τ = " + range(n.tau);
      if (right == "−λ x") detail += ", λ = " + range(n.leak);
    }
    if (is_driven) add_term(right, 1, "Σ");
    if (has_source) add_term(right, 1, "s(t)");
    if (n.constant.size() > 0 && (n.constant.array() != 0).any()) add_term(right, 1, "b");
    if (right.empty()) right = "0";
    Box box;
    box.kind = Box::Kind::population;
    box.name = n.name;
    box.lines = {{Style::name, n.name},
                 {Style::equation, (n.instantaneous() ? "x = " : "τ ẋ = ") + right},
                 {Style::equation, "r = " + (n.transfer ? n.transfer->equation() : "x")},
                 {Style::detail, detail}};
    return box;
  }

  static bool has_constant_setpoint(const Controller& controller) {
    return controller.setpoint.size() > 0 && (controller.setpoint.array() != 0).any();
  }

  Box controller_box(const Controller& c) const {
    const bool has_setpoint =
        has_constant_setpoint(c) || !c.setpoint_edges.empty() || !c.setpoint_sources.empty();
    Box box;
    box.kind = Box::Kind::controller;
    box.name = c.name;
    box.lines.push_back({Style::name, c.name});
    std::string error = c.sign > 0 ? "e = measured" : "e = −measured";
    if (has_setpoint) error = c.sign > 0 ? "e = measured − y" : "e = y − measured";
    box.lines.push_back({Style::equation, error});
    std::string detail = size_text(node(c.control).size);
    if (c.integral >= 0) {
      box.lines.push_back({Style::equation, c.leak == 0 ? "τᵤ ξ̇ = e" : "τᵤ ξ̇ = −α ξ + e"});
      detail += ", α = " + number(c.leak) + ", τᵤ = " + number(c.tau);
    }
    std::string control;
    if (c.integral >= 0) add_term(control, c.gain_i, "ξ");
    add_term(control, c.gain_p, "e");
    if (c.derivative >= 0) add_term(control, c.gain_d, "ė");
    box.lines.push_back({Style::equation, "u = " + (control.empty() ? "0" : control)});
    box.lines.push_back({Style::detail, detail});
    if (c.derivative >= 0)
      box.lines.push_back({Style::detail, "ė filtered, τ = " + number(c.derivative_tau)});
    return box;
  }

  // The controller whose port the edge enters; null where it enters none.
  const Controller* port_of(int edge, bool& is_setpoint) const {
    for (const Controller& controller : circuit_.controllers) {
      is_setpoint = contains(controller.setpoint_edges, edge);
      if (is_setpoint || contains(controller.measured_edges, edge)) return &controller;
    }
    return nullptr;
  }

  void add_arrows() {
    for (int e = 0; e < static_cast<int>(circuit_.edges.size()); ++e) {
      const Edge& edge = circuit_.edges[at(e)];
      bool is_setpoint = false;
      const Controller* controller = port_of(e, is_setpoint);
      Arrow arrow;
      arrow.from = box_of_[at(edge.from)];
      arrow.to = box_of_[at(edge.to)];
      const bool from_controller = box(arrow.from).kind == Box::Kind::controller;
      if (arrow.from == arrow.to && from_controller && !controller)
        continue;  // inside a controller
      // The comparator's own sign is not the projection's.
      double gain = edge.gain;
      if (controller) gain *= is_setpoint ? -controller->sign : controller->sign;
      if (is_setpoint)
        arrow.kind = Arrow::Kind::setpoint;
      else if (arrow.from == arrow.to)
        arrow.kind = Arrow::Kind::recurrent;
      else if (from_controller && !controller)
        arrow.kind = Arrow::Kind::feedback;
      arrow.inhibits = gain < 0 && !is_setpoint;
      arrow.identity = edge.weights->is_identity() && edge.gate.size() == 0;
      edge_of_.push_back(e);
      gain_of_.push_back(gain);
      scene_.arrows.push_back(std::move(arrow));
    }
  }

  // Projections that lead back to where the path came from become feedback; the level of a box is
  // the longest way up to it along the others.
  void find_levels() {
    const std::size_t n = scene_.boxes.size();
    std::vector<int> state(n, 0);  // 0 new, 1 on the path, 2 done
    for (std::size_t k = 0; k < n; ++k) visit(static_cast<int>(k), state);
    for (std::size_t round = 0; round < n; ++round)
      for (const Arrow& arrow : scene_.arrows)
        if (arrow.kind == Arrow::Kind::forward)
          box(arrow.to).level = std::max(box(arrow.to).level, box(arrow.from).level + 1);
  }

  void visit(int from, std::vector<int>& state) {
    if (state[at(from)] != 0) return;
    state[at(from)] = 1;
    for (Arrow& arrow : scene_.arrows) {
      if (arrow.from != from || arrow.kind != Arrow::Kind::forward) continue;
      if (state[at(arrow.to)] == 1)
        arrow.kind = Arrow::Kind::feedback;
      else
        visit(arrow.to, state);
    }
    state[at(from)] = 2;
  }

  void add_satellite(Box::Kind kind, int beside, const std::string& name, const std::string& detail,
                     Arrow::Kind arrow_kind, bool inhibits) {
    Box satellite;
    satellite.kind = kind;
    satellite.name = name;
    satellite.lines = {{Style::plain, name}, {Style::detail, detail}};
    satellite.beside = beside;
    Arrow arrow;
    arrow.kind = arrow_kind;
    arrow.from = static_cast<int>(scene_.boxes.size());
    arrow.to = beside;
    arrow.inhibits = inhibits;
    arrow.identity = true;
    scene_.boxes.push_back(std::move(satellite));
    scene_.arrows.push_back(std::move(arrow));
    edge_of_.push_back(-1);
    gain_of_.push_back(1);
  }

  void add_satellites() {
    for (const Controller& controller : circuit_.controllers)
      if (has_constant_setpoint(controller))
        add_satellite(
            Box::Kind::setpoint, box_of_[at(controller.error)], "setpoint",
            "y, " + size_text(controller.setpoint.rows()) + trials_text(controller.setpoint),
            Arrow::Kind::setpoint, false);
    for (int s = 0; s < static_cast<int>(circuit_.sources.size()); ++s) {
      const system::Source& source = circuit_.sources[at(s)];
      bool is_setpoint = false;
      double sign = 1;
      for (const Controller& controller : circuit_.controllers) {
        if (controller.error != source.to) continue;
        is_setpoint = contains(controller.setpoint_sources, s);
        sign = is_setpoint ? -controller.sign : controller.sign;
      }
      const std::string name = source.name.find("->") == std::string::npos ? source.name : "source";
      add_satellite(is_setpoint ? Box::Kind::setpoint : Box::Kind::source, box_of_[at(source.to)],
                    name, kind_of(source) + trials_text(source.values),
                    is_setpoint ? Arrow::Kind::setpoint : Arrow::Kind::input,
                    source.gain * sign < 0);
    }
  }

  // W for what goes up, B for what comes back, R for a population's own; numbered where there are
  // several.
  void name_weights() {
    symbol_of_.assign(scene_.arrows.size(), "");
    const auto number_all = [&](auto belongs, const std::string& letter) {
      std::vector<std::size_t> members;
      for (std::size_t k = 0; k < scene_.arrows.size(); ++k)
        if (edge_of_[k] >= 0 && !scene_.arrows[k].identity && belongs(scene_.arrows[k].kind))
          members.push_back(k);
      for (std::size_t k = 0; k < members.size(); ++k)
        symbol_of_[members[k]] =
            members.size() == 1 ? letter : letter + subscript(static_cast<int>(k) + 1);
    };
    using Kind = Arrow::Kind;
    number_all([](Kind kind) { return kind == Kind::forward; }, "W");
    number_all([](Kind kind) { return kind == Kind::feedback; }, "B");
    number_all([](Kind kind) { return kind == Kind::recurrent; }, "R");
    number_all([](Kind kind) { return kind == Kind::setpoint; }, "S");
    for (std::size_t k = 0; k < scene_.arrows.size(); ++k)
      if (edge_of_[k] >= 0) label(k);
  }

  void label(std::size_t k) {
    Arrow& arrow = scene_.arrows[k];
    const Edge& edge = circuit_.edges[at(edge_of_[k])];
    const system::Weights& weights = *edge.weights;
    const double gain = gain_of_[k];
    if (!arrow.identity) {
      arrow.label.push_back({Style::equation, factor(gain) + symbol_of_[k] + "  " +
                                                  std::to_string(weights.rows()) + "×" +
                                                  std::to_string(weights.cols())});
      if (arrow.kind == Arrow::Kind::feedback) {
        if (const auto mirror = transposed_path(k)) {
          arrow.label.push_back({Style::detail, "= " + mirror->text});
          arrow.inhibits = mirror->negative != (gain < 0);
        }
      }
      if (gain > 0 && only_inhibits(weights) && arrow.kind != Arrow::Kind::setpoint)
        arrow.inhibits = true;
      if (const std::string form = form_text(weights); !form.empty())
        arrow.label.push_back({Style::detail, form});
    } else if (gain != 1 || arrow.kind != Arrow::Kind::setpoint) {
      arrow.label.push_back({Style::detail, gain == 1 ? "1:1" : "× " + number(gain)});
    }
    if (const std::string carried = carried_text(edge); !carried.empty())
      arrow.label.push_back(
          {Style::detail, arrow.kind == Arrow::Kind::setpoint ? carried : "of " + carried});
    if (edge.receiver_slope) arrow.label.push_back({Style::detail, "× slope of receiver"});
  }

  // "sparse, 10 %", "diagonal"; nothing for plain matrices.
  static std::string form_text(const system::Weights& weights) {
    const std::string form = weights.form();
    if (form == "dense" || form == "low rank" || form == "identity") return "";
    if (form != "sparse") return form;
    const double entries =
        static_cast<double>(weights.rows()) * static_cast<double>(weights.cols());
    return "sparse, " +
           core::brief(std::round(1000 * static_cast<double>(weights.parameters()) /
                                  std::max(1.0, entries)) /
                       10) +
           " %";
  }

  // What an edge sends, where it is not the sender's own rate.
  std::string carried_text(const Edge& edge) const {
    const core::Transfer& own = node(edge.from).transfer;
    const std::string rate = own ? own->equation() : "x";
    const std::string sent = edge.transfer ? edge.transfer->equation() : rate;
    if (edge.gate.size() > 0) return "d ⊙ " + std::string(sent == rate ? "r" : sent);
    return sent == rate ? "" : sent;
  }

  static bool only_inhibits(const system::Weights& weights) {
    if (weights.is_identity() || static_cast<double>(weights.parameters()) > largest_comparison)
      return false;
    if (const auto* dense = std::get_if<MatrixXd>(&weights.as_variant()))
      return dense->size() > 0 && dense->maxCoeff() <= 0 && dense->minCoeff() < 0;
    if (const auto* sparse = std::get_if<system::Weights::Sparse>(&weights.as_variant()))
      return sparse->nonZeros() > 0 && sparse->coeffs().maxCoeff() <= 0 &&
             sparse->coeffs().minCoeff() < 0;
    if (const auto* diagonal = std::get_if<system::Weights::Diagonal>(&weights.as_variant()))
      return diagonal->entries.maxCoeff() <= 0 && diagonal->entries.minCoeff() < 0;
    return false;
  }

  struct Mirror {
    std::string text;  // "−Wᵀ"
    bool negative = false;
  };

  // The one forward path between two boxes, lowest arrow first; empty where there is none or
  // several.
  std::vector<std::size_t> path_up(int from, int to) const {
    std::vector<std::vector<std::size_t>> found;
    std::vector<std::size_t> path;
    std::size_t budget = 1000;
    walk(from, to, path, found, budget);
    return found.size() == 1 ? found.front() : std::vector<std::size_t>{};
  }

  void walk(int from, int to, std::vector<std::size_t>& path,
            std::vector<std::vector<std::size_t>>& found, std::size_t& budget) const {
    if (from == to) {
      found.push_back(path);
      return;
    }
    for (std::size_t k = 0; k < scene_.arrows.size() && found.size() < 2 && budget > 0; ++k) {
      const Arrow& arrow = scene_.arrows[k];
      if (arrow.from != from || arrow.kind != Arrow::Kind::forward) continue;
      --budget;
      path.push_back(k);
      walk(arrow.to, to, path, found, budget);
      path.pop_back();
    }
  }

  // What multiple of (W_m … W_1)ᵀ, of the forward path that they answer, these feedback weights
  // are.
  std::optional<Mirror> transposed_path(std::size_t k) const {
    const Arrow& arrow = scene_.arrows[k];
    const std::vector<std::size_t> path = path_up(arrow.to, arrow.from);
    if (path.empty() || path.size() > 4) return std::nullopt;
    const system::Weights& back = *circuit_.edges[at(edge_of_[k])].weights;
    if (static_cast<double>(back.rows()) * static_cast<double>(back.cols()) > largest_comparison)
      return std::nullopt;
    MatrixXd product;
    std::string name;
    int factors = 0;
    double cost = 0;
    for (const std::size_t step : path) {
      const system::Weights& weights = *circuit_.edges[at(edge_of_[step])].weights;
      cost += static_cast<double>(weights.rows()) * static_cast<double>(weights.cols()) *
              (step == path.front() ? 1.0 : static_cast<double>(product.cols()));
      if (cost > largest_comparison) return std::nullopt;
      product = step == path.front() ? weights.dense() : MatrixXd(weights.dense() * product);
      if (scene_.arrows[step].identity) continue;
      name = symbol_of_[step] + name;
      ++factors;
    }
    const MatrixXd feedback = back.dense();
    if (name.empty() || feedback.rows() != product.cols() || feedback.cols() != product.rows())
      return std::nullopt;
    // The multiple nearest to it; products in another order differ by rounding.
    const double square = product.squaredNorm();
    if (square == 0) return std::nullopt;
    const double scale = feedback.cwiseProduct(product.transpose()).sum() / square;
    if (scale == 0 || (feedback - scale * product.transpose()).norm() >
                          1e-9 * std::abs(scale) * std::sqrt(square))
      return std::nullopt;
    const double shown = std::abs(std::abs(scale) - 1) < 1e-9 ? std::copysign(1, scale) : scale;
    return Mirror{factor(shown) + (factors > 1 ? "(" + name + ")ᵀ" : name + "ᵀ"), scale < 0};
  }

  static void measure(Arrow& arrow) {
    for (const Line& line : arrow.label) {
      arrow.width = std::max(arrow.width, text_width(line.text, font_size(line.style)));
      arrow.height += line_height(line.style);
    }
  }

  static void measure(Box& box) {
    double width = 0, height = 0;
    for (const Line& line : box.lines) {
      // Bold is a ninth wider.
      const double bold = line.style == Style::name ? 1.11 : 1;
      width = std::max(width, bold * text_width(line.text, font_size(line.style)));
      height += line_height(line.style);
    }
    const bool plain = box.kind == Box::Kind::setpoint || box.kind == Box::Kind::source;
    box.width = width + (plain ? 10 : 28);
    box.height = height + (plain ? 4 : 16);
    if (!plain) box.width = std::max(box.width, 120.0);
  }

  const Circuit& circuit_;
  Scene scene_;
  std::vector<int> box_of_;             // per node
  std::vector<int> edge_of_;            // per arrow; −1: of a setpoint or source
  std::vector<double> gain_of_;         // per arrow
  std::vector<std::string> symbol_of_;  // per arrow
};

}  // namespace

Scene make_scene(const Circuit& circuit) { return SceneMaker(circuit).make(); }

double line_height(Line::Style style) { return std::round(1.35 * font_size(style)); }

}  // namespace settle::analysis
