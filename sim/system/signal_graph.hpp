// A circuit as vertices and the terms that they add to each other, in the form in which reductions
// rewrite it.
#pragma once

#include <map>
#include <utility>

#include "sim/system/circuit.hpp"

namespace settle::system {

using SharedMatrix = std::shared_ptr<const MatrixXd>;
/// Which phases, one flag each; empty: none.
using PhaseSet = std::vector<char>;

/// g · γ(x_to) ⊙ s ⊙ W (d ⊙ φ(x_from)), an edge by itself.
struct Term {
  int from = 0;
  core::Transfer transfer;      ///< φ; null: the identity
  SharedMatrix gate;            ///< d, one column or one a trial; null: 1
  double gain = 1;              ///< g
  SharedWeights weights;        ///< W; dense, sparse, diagonal or the identity
  SharedMatrix receiver_gate;   ///< s, one column or one a trial; null: 1
  bool receiver_slope = false;  ///< γ = φ′ of the receiver; else 1
  PhaseSet off;                 ///< phases in which it carries nothing
};

/// A node, or a scalar that stands for what drives nodes from outside: the constant 1, or the profile
/// of a source. A bias V is the term V · 1, a source V · a(t), so that rewriting knows terms alone.
struct Vertex {
  enum class Kind { node, constant, profile } kind = Kind::node;
  std::string name;
  Index size = 0;
  VectorXd tau, leak;  ///< empty where it is instantaneous
  core::Transfer transfer;
  SharedMatrix initial;  ///< as in Node; null: 0
  SharedMatrix start;    ///< where the run begins, as `initial`
  PhaseSet held, paused, reset;
  std::vector<Term> in;
  std::vector<int> noise;  ///< sources of the circuit that draw noise for it
  int source = -1;         ///< of the circuit, whose profile it is
  double scale = 1;        ///< a power of two: the state is written as scale · v

  bool dynamic() const { return tau.size() > 0; }
  bool drives() const { return kind != Kind::node; }
};

/// The products of matrices that rewriting has made, so that the same two factors give the same
/// object: terms with equal matrices are known by that.
class Products {
 public:
  /// A diag(d) B; d empty: 1.
  SharedWeights operator()(const SharedWeights& a, const VectorXd& d, const SharedWeights& b);

 private:
  struct Entry {
    SharedWeights a, b, product;
    VectorXd d;
  };
  std::map<std::pair<const Weights*, const Weights*>, std::vector<Entry>> made_;
};

class SignalGraph {
 public:
  /// A circuit without algebraic loops, and where its run begins (n × trials, in OdeSystem's layout).
  SignalGraph(const Circuit& circuit, const MatrixXd& x0, Products& products);

  const Circuit& circuit() const { return *circuit_; }
  std::vector<Vertex>& vertices() { return vertices_; }
  const std::vector<Vertex>& vertices() const { return vertices_; }
  Vertex& operator[](int v) { return vertices_[static_cast<std::size_t>(v)]; }
  const Vertex& operator[](int v) const { return vertices_[static_cast<std::size_t>(v)]; }
  /// Appends a vertex; references to others are void after it.
  int add(Vertex vertex);
  int size() const { return static_cast<int>(vertices_.size()); }

  /// Whether what `in` adds to `out.from` can go on through `out` as one term.
  bool composable(const Term& out, const Term& in) const;
  /// out ∘ in: g_o s_o ⊙ W_o d_o ⊙ g_i s_i ⊙ W_i (…), for composable ones.
  Term compose(const Term& out, const Term& in) const;
  /// How many multiplications compose()'s term takes, without making it.
  double composed_multiplications(const Term& out, const Term& in) const;
  double multiplications(const Term& term) const;
  /// Adds a term to what a vertex hears, as part of one that hears the same where there is one.
  void add_term(int to, Term term);
  /// By how much multiplications would grow with add_term, and whether it would be part of another.
  std::pair<double, bool> growth(int to, const Term& out, const Term& in) const;

  /// The vertices that some dynamic one depends on, dynamic ones among them.
  std::vector<char> needed() const;
  /// Multiplications by weights in one evaluation of what is needed.
  double multiplications() const;
  Index states() const;

 private:
  Term* partner(int to, const Term& term);

  const Circuit* circuit_;
  Products* products_;
  std::vector<Vertex> vertices_;
};

/// Null where it is empty.
SharedMatrix shared(MatrixXd m);
/// The same columns, one where all trials have the same; null where all are zero.
SharedMatrix compressed(const MatrixXd& m);
bool per_trial(const SharedMatrix& m);
/// Whether φ(x_from) with its gate and phases is the same for both.
bool same_signal(const Term& a, const Term& b);
/// The term V · x_from of a scalar, V n × 1 or n × trials.
Term column_term(int from, const MatrixXd& values);
/// V of a term of a scalar, its gain included.
MatrixXd column_values(const Term& term);
/// The phases of both.
PhaseSet either(const PhaseSet& a, const PhaseSet& b);
/// Term without weights of a signal, for a receiver of the same size.
Term identity_term(int from, Index size);

}  // namespace settle::system
