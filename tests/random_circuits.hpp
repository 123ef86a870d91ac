// Small random circuits of many kinds, for tests of what must hold for every circuit.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "models/build.hpp"
#include "sim/core/params.hpp"
#include "sim/io/toml.hpp"

namespace settle::test {

struct RandomCircuit {
  std::string toml;  ///< all but [solver]; its phases last 2 time units at most
  std::string description;
  system::Circuit circuit;
};

/// One circuit a seed. Over a hundred seeds: contracting and expanding layers, one to three of them;
/// tanh, identity and mixed; loops of their own, one loop around all, a controller that reaches every
/// layer, populations side by side; negative transpose, random and complex feedback, products, critically damped and defective
/// loops, unstable ones; P and D gains; taus and leaks shared, of two kinds, or all different; biases,
/// sources, noise, starts, gates, setpoints and starts per trial; phases with off, hold and reset.
class RandomCircuitWriter {
 public:
  explicit RandomCircuitWriter(unsigned seed) : random_(seed), seed_(seed) {}

  RandomCircuit write() {
    text_ = "seed = " + std::to_string(seed_) + "\n";
    trials_ = chance(0.35) ? 3 : 1;
    is_plain_ = chance(0.4);
    if (trials_ > 1) text_ += "trials = 3\n";
    switch (seed_ % 5) {
      case 3:
        exact_loop();
        break;
      default:
        layers();
    }
    sources();
    phases();
    RandomCircuit out{text_, description_, {}};
    if (trials_ > 1) out.description += ", 3 trials";
    out.circuit = models::build_circuit(models::read_config(io::parse_toml(text_, "test"), "."));
    return out;
  }

 private:
  double uniform(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(random_);
  }
  bool chance(double p) { return uniform(0, 1) < p; }
  int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  static std::string number(double x) { return core::number_text(x); }
  static std::string quoted(const std::string& s) { return "\"" + s + "\""; }
  void say(const std::string& word) { description_ += (description_.empty() ? "" : ", ") + word; }

  std::string normal(double std) { return "{ init = \"normal\", std = " + number(std) + " }"; }

  // One number, two different ones, or all different.
  std::string spread(int size, double low, double high, int style) {
    if (style == 0) return number(uniform(low, high));
    std::string list;
    const double a = uniform(low, high), b = uniform(low, high);
    for (int i = 0; i < size; ++i) {
      const double x = style == 2 ? uniform(low, high) : chance(0.6) ? a : b;
      list += (i == 0 ? "" : ", ") + number(x);
    }
    return "[" + list + "]";
  }

  void population(const std::string& name, int size, const std::string& transfer) {
    const int style = is_plain_ || chance(0.6) ? 0 : integer(1, 2);
    if (style == 1) say(name + " of two taus");
    if (style == 2) say(name + " of many taus");
    text_ += "[[population]]\nname = " + quoted(name) + "\nsize = " + std::to_string(size) +
             "\ntransfer = " + quoted(transfer) + "\ntau = " +
             (is_plain_ || (style == 0 && chance(0.5)) ? "1.0" : spread(size, 0.4, 2, style)) +
             "\n";
    if (style == 0 && !is_plain_ && chance(0.3))
      text_ += "leak = " + number(uniform(0.2, 1.5)) + "\n";
    if (!is_plain_ && chance(0.3)) {
      text_ += "bias = " + normal(0.3) + "\n";
      say("bias");
    }
    if (!is_plain_ && chance(0.3)) {
      text_ += "initial = " + normal(0.5) + "\n";
      say("start");
    }
    populations_.push_back(name);
  }

  void controller(const std::string& name, int size) {
    const double p = chance(0.4) ? uniform(0.1, 1) : 0, d = chance(0.3) ? uniform(0.05, 0.3) : 0;
    const double i = p != 0 && chance(0.1) ? 0 : uniform(0.3, 2);
    const double leak = chance(0.15) ? 0 : uniform(0.01, 0.5);
    text_ += "[[controller]]\nname = " + quoted(name) + "\nsize = " + std::to_string(size) +
             "\nleak = " + number(leak) + "\ngains = { p = " + number(p) + ", i = " + number(i) +
             ", d = " + number(d) + " }\n";
    if (chance(0.8)) text_ += "setpoint = " + normal(0.4) + "\n";
    if (i != 0 && chance(0.2)) text_ += "initial = " + normal(0.4) + "\n";
    if (chance(0.3)) text_ += "tau = " + number(uniform(0.5, 2)) + "\n";
    say(std::string(i != 0 ? "i" : "") + (p != 0 ? "p" : "") + (d != 0 ? "d" : "") + " control");
    controllers_.push_back(name);
  }

  void projection(const std::string& from, const std::string& to, const std::string& weights,
                  const std::string& more = "") {
    text_ += "[[projection]]\nfrom = " + quoted(from) + "\nto = " + quoted(to) +
             "\nweights = " + weights + "\n" + more;
  }

  std::string gates(int size) {
    if (chance(0.12)) {
      say("gate");
      return "gate = { init = \"uniform\", low = 0.0, high = 1.0 }\n";
    }
    if (chance(0.08)) {
      say("shared gate");
      return "gate = " + spread(size, 0, 1, 2) + "\n";
    }
    return "";
  }

  std::string feedback(const std::vector<std::string>& path, int rows) {
    std::string of;
    for (const std::string& name : path) of += (of.empty() ? "" : ", ") + quoted(name);
    if (path.size() > 1) of = "[" + of + "]";
    switch (integer(0, 4)) {
      case 0:
      case 1:
        say("negative transpose");
        return "{ init = \"negative_transpose\", of = " + of + " }";
      case 2:
        say("random feedback");
        return normal(uniform(0.2, 0.6));
      case 3:
        say("strong random feedback");
        return normal(2);
      default:
        say("product feedback");
        return "{ init = \"product\", factors = [" + normal(0.5) + ", " + normal(0.5) +
               "], inner = [" + std::to_string(std::max(1, rows / 4)) + "] }";
    }
  }

  void layers() {
    const int depth = integer(1, 3);
    std::vector<int> sizes;
    for (int l = 0; l <= depth; ++l) sizes.push_back(integer(2, 14));
    if (chance(0.5)) std::sort(sizes.rbegin(), sizes.rend());
    const char* kinds[] = {"tanh", "identity", "softplus"};
    const int kind = integer(0, 3);  // 3: mixed
    for (int l = 0; l < depth; ++l)
      population("r" + std::to_string(l), sizes[at(l)], kinds[kind == 3 ? integer(0, 2) : kind]);
    say("layers");
    for (const int size : sizes) description_ += " " + std::to_string(size);
    const auto name = [](int l) { return "r" + std::to_string(l); };
    const auto forward = [&](int l, const std::string& to) {
      projection(name(l), to, chance(0.15) ? sparse() : normal(0.5), gates(sizes[at(l)]));
    };
    const int scheme = integer(0, 3);
    if (scheme == 3) return side_by_side(sizes);
    if (scheme == 0) {
      say("a loop each");
      for (int l = 0; l < depth; ++l) controller("c" + std::to_string(l), sizes[at(l + 1)]);
      for (int l = 0; l < depth; ++l) {
        const std::string control = "c" + std::to_string(l);
        forward(l, control);
        projection(control, name(l), feedback({name(l) + "->" + control}, sizes[at(l)]));
        if (l + 1 < depth)
          projection(name(l + 1), control + ".setpoint", "{ init = \"identity\" }",
                     "transfer = \"identity\"\n" + gates(sizes[at(l + 1)]));
      }
      return;
    }
    controller("c", sizes[at(depth)]);
    std::vector<std::string> path;
    for (int l = 0; l < depth; ++l) {
      const std::string to = l + 1 < depth ? name(l + 1) : "c";
      forward(l, to);
      path.insert(path.begin(), name(l) + "->" + to);
    }
    say(scheme == 1 ? "one loop" : "one controller reaches all");
    for (int l = 0; l < (scheme == 1 ? 1 : depth); ++l)
      projection(
          "c", name(l),
          feedback({path.begin(), path.end() - static_cast<std::ptrdiff_t>(l)}, sizes[at(l)]));
    if (chance(0.15)) {
      say("lateral");
      text_ += "[[projection]]\nname = \"lateral\"\nfrom = \"r0\"\nto = \"r0\"\nweights = " +
               std::string(chance(0.5) ? normal(0.2)
                                       : "{ init = \"product\", factors = [" + normal(0.4) + ", " +
                                             normal(0.4) + "], inner = [1] }") +
               (chance(0.3) ? "\nreceiver_slope = true\n" : "\n");
    }
  }

  // Populations that all hear one controller and are all measured by it.
  void side_by_side(const std::vector<int>& sizes) {
    say("side by side");
    controller("c", std::min(3, sizes.back()));
    for (std::size_t l = 0; l < populations_.size(); ++l) {
      projection(populations_[l], "c", normal(0.5), gates(sizes[l]));
      projection("c", populations_[l], feedback({populations_[l] + "->c"}, sizes[l]));
    }
  }

  static std::string sparse() { return "{ init = \"sparse\", density = 0.4, std = 0.6 }"; }

  // One layer whose W B is given: a multiple of the identity that is critically damped, a Jordan block,
  // or a rotation.
  void exact_loop() {
    const int above = 2, below = integer(3, 6);
    const double alpha = uniform(0.05, 0.4);
    const double critical = (1 - alpha) * (1 - alpha) / 4;  // k σ², for τ = τ_u = 1
    const int kind = integer(0, 2);
    const char* names[] = {"critically damped", "Jordan block", "complex feedback"};
    say(names[kind]);
    // W = [M 0], B = [−I; 0]: W B = −M.
    const double a = kind == 2 ? uniform(-0.5, 1) : critical, b = kind == 0 ? 0 : uniform(0.2, 1);
    const auto row = [&](double x, double y) {
      std::string text = "[" + number(x) + ", " + number(y);
      for (int i = above; i < below; ++i) text += ", 0.0";
      return text + "]";
    };
    std::string back;
    for (int i = 0; i < below; ++i)
      back += std::string(i == 0 ? "" : ", ") + (i == 0   ? "[-1.0, 0.0]"
                                                 : i == 1 ? "[0.0, -1.0]"
                                                          : "[0.0, 0.0]");
    text_ += "[[population]]\nname = \"r0\"\nsize = " + std::to_string(below) +
             "\ntransfer = " + quoted(chance(0.3) ? "tanh" : "identity") + "\n";
    if (chance(0.5)) text_ += "initial = " + normal(0.5) + "\n";
    text_ += "[[controller]]\nname = \"c\"\nsize = 2\nleak = " + number(alpha) +
             "\nsetpoint = " + normal(0.4) + "\n";
    projection("r0", "c", "{ values = [" + row(a, b) + ", " + row(kind == 2 ? -b : 0, a) + "] }");
    projection("c", "r0", "{ values = [" + back + "] }");
    populations_ = {"r0"};
    controllers_ = {"c"};
  }

  void sources() {
    const char* signals[] = {"kind = \"step\", at = 0.7", "kind = \"sine\", period = 1.7",
                             "kind = \"ramp\", at = 0.2, width = 1.0",
                             "kind = \"pulse\", at = 0.4, width = 0.6",
                             "kind = \"noise\", std = 0.2, interval = 0.5"};
    const auto add = [&](const std::string& to, int kind) {
      text_ += "[[source]]\nname = \"source_" + std::to_string(sources_++) +
               "\"\nto = " + quoted(to) + "\nsignal = { " + signals[kind] +
               (kind == 4 ? " }\n" : ", values = " + normal(0.4) + " }\n");
      say(kind == 4 ? "noise" : "source");
    };
    for (const std::string& name : populations_)
      if (chance(0.15)) add(name, integer(0, 4));
    for (const std::string& name : controllers_)
      if (chance(0.2)) add(name + ".setpoint", integer(0, 4));
  }

  void phases() {
    if (!chance(0.35)) {
      text_ += "[[phase]]\nname = \"all\"\nduration = 2.0\n";
      return;
    }
    say("phases");
    const std::string r = quoted(populations_[at(integer(0, int(populations_.size()) - 1))]);
    const std::string c = quoted(controllers_[at(integer(0, int(controllers_.size()) - 1))]);
    text_ += "[[phase]]\nname = \"off\"\nduration = 0.9\noff = [" + c + "]\n";
    text_ += "[[phase]]\nname = \"on\"\nduration = 1.3\n";
    text_ += "[[phase]]\nname = \"hold\"\nduration = 0.6\nhold = [" + (chance(0.5) ? r : c) +
             (chance(0.3) ? "]\noff = [" + r + "]\n" : "]\n");
    if (chance(0.5)) {
      say("reset");
      text_ += "[[phase]]\nname = \"again\"\nduration = 1.0\nreset = [" + r + ", " + c + "]\n";
    }
  }

  static std::size_t at(int i) { return static_cast<std::size_t>(i); }

  std::mt19937 random_;
  unsigned seed_;
  int trials_ = 1, sources_ = 0;
  bool is_plain_ = false;  ///< populations with the same tau and leak, without biases and starts
  std::string text_, description_;
  std::vector<std::string> populations_, controllers_;
};

inline RandomCircuit random_circuit(unsigned seed) { return RandomCircuitWriter(seed).write(); }

}  // namespace settle::test
