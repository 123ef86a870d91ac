#include "sim/system/circuit.hpp"

#include <algorithm>
#include <functional>

namespace settle::system {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

int Circuit::find(const std::string& name) const {
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (nodes[i].name == name) return static_cast<int>(i);
  return -1;
}

const core::Transfer& Circuit::transfer_of(const Edge& edge) const {
  return edge.transfer ? edge.transfer : nodes[at(edge.from)].transfer;
}

std::vector<double> Circuit::gains(int phase) const {
  std::vector<double> out;
  for (const Edge& edge : edges) out.push_back(edge.gain);
  for (const int k : phases[at(phase)].off) out[at(k)] = 0;
  return out;
}

bool Circuit::is_driven() const {
  return std::any_of(sources.begin(), sources.end(),
                     [](const Source& source) { return source.varies(); });
}

Circuit Circuit::of_trials(Index first, Index count) const {
  Circuit out = *this;
  const auto pick = [=](MatrixXd& m) {
    if (m.cols() > 1) m = m.middleCols(first, count).eval();
  };
  for (Node& node : out.nodes) {
    pick(node.initial);
    pick(node.constant);
  }
  for (Edge& edge : out.edges) {
    pick(edge.gate);
    pick(edge.receiver_gate);
  }
  for (Source& source : out.sources) {
    pick(source.values);
    source.noise.first_trial += first;
  }
  for (Controller& controller : out.controllers) pick(controller.setpoint);
  out.trials = count;
  return out;
}

// Depth-first over the instantaneous senders of each instantaneous node.
InstantaneousOrder order_instantaneous(const Circuit& circuit) {
  enum Mark : char { fresh, open, done };
  std::vector<Mark> marks(circuit.nodes.size(), fresh);
  std::vector<std::vector<int>> heard(circuit.nodes.size());  // edges
  for (std::size_t k = 0; k < circuit.edges.size(); ++k) {
    const Edge& edge = circuit.edges[k];
    if (circuit.nodes[at(edge.from)].instantaneous() && circuit.nodes[at(edge.to)].instantaneous())
      heard[at(edge.to)].push_back(static_cast<int>(k));
  }
  InstantaneousOrder out;
  std::vector<int> path;  // edges, each into the sender of the one before
  const std::function<void(int)> visit = [&](int i) {
    marks[at(i)] = open;
    for (const int k : heard[at(i)]) {
      const int from = circuit.edges[at(k)].from;
      path.push_back(k);
      if (marks[at(from)] == open && out.loop.empty()) {
        auto edge = path.rbegin();
        do out.loop.push_back(*edge);
        while (circuit.edges[at(*edge++)].to != from);
      }
      if (marks[at(from)] == fresh) visit(from);
      path.pop_back();
    }
    marks[at(i)] = done;
    out.nodes.push_back(i);
  };
  for (std::size_t i = 0; i < circuit.nodes.size(); ++i)
    if (circuit.nodes[i].instantaneous() && marks[i] == fresh) visit(static_cast<int>(i));
  return out;
}

std::string loop_text(const Circuit& circuit, const std::vector<int>& loop) {
  std::string text = circuit.nodes[at(circuit.edges[at(loop.front())].from)].name;
  for (const int k : loop) text += " -> " + circuit.nodes[at(circuit.edges[at(k)].to)].name;
  return text;
}

}  // namespace settle::system
