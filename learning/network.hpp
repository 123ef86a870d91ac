// Feedforward networks: what a rule assigns credit in, and what a trainer changes.
#pragma once

#include <Eigen/Core>
#include <filesystem>
#include <string>
#include <vector>

#include "models/spelt_out.hpp"

namespace settle::learning {

using Eigen::Index;
template <class S>
using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic>;
template <class S>
using Vector = Eigen::Matrix<S, Eigen::Dynamic, 1>;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// [network]: h_l = φ_l(a_l), a_l = W_l h_{l−1} + b_l, l = 1 … L, h_0 the input, and an output
/// y = a_L (linear), softmax(a_L) or the logistic function of a_L.
struct NetworkSpec {
  std::vector<std::int64_t> layers;  ///< d_0 … d_L, at least two
  std::vector<core::Transfer> transfer{
      core::transfer("tanh")};    ///< of hidden layers: one, or L − 1
  std::string output = "linear";  ///< linear | softmax | logistic
  bool bias = true;
  std::vector<models::Init> weights{models::initialisation("uniform")};  ///< one, or L
  std::vector<models::Init> biases{models::constant_init(0)};            ///< one, or L
  bool batch_normalisation = false;  ///< of hidden layers, between a_l and φ_l
  double normalisation_momentum = 0.1;
  std::string precision = "float64";  ///< float64 | float32
  models::Place place;

  void fields(core::Fields& f);
  std::size_t depth() const { return layers.size() - 1; }  ///< L
  /// @throws InputError  for lists of other lengths
  void check() const;
};

/// Batch normalisation of one layer, â = γ ⊙ (a − m)/√(v + ε) + β, with a batch's own mean m and variance v
/// while training, and their running averages else.
///
/// Source: Ioffe & Szegedy, "Batch normalization", ICML 2015.
template <class S>
struct Normalisation {
  Vector<S> scale, shift;    ///< γ, β
  Vector<S> mean, variance;  ///< running averages
  static constexpr double epsilon = 1e-5;

  /// γ/√(v + ε) of the running averages: what the layer multiplies by once they are folded into W.
  Vector<S> folded_gain() const;
};

/// The activity of a network for a batch of B examples, a column each. Index l is the layer's; there is no
/// a_0.
template <class S>
struct Activity {
  std::vector<Matrix<S>> a;  ///< a_l = W_l h_{l−1} + b_l, d_l × B
  std::vector<Matrix<S>> h;  ///< h_l; the last is the output y
  std::vector<Matrix<S>>
      slope;  ///< ∂h_l/∂a_l of hidden layers at fixed statistics: φ′(â) γ/√(v + ε)
  std::vector<Matrix<S>> spread;  ///< (a − m)/√(v + ε) of normalised layers
  std::vector<Vector<S>> gain;    ///< γ/√(v + ε) of normalised layers
  /// φ′(â) γ/√(v + ε) ⊙ the credit of h_l, as pull_back() has last found it: what γ and β learn from, where
  /// layers are normalised by the batch.
  mutable std::vector<Matrix<S>> credit;
  bool by_batch = false;  ///< normalised by the batch's own statistics
  Index count() const { return h.front().cols(); }
  const Matrix<S>& output() const { return h.back(); }
};

/// A network's parameters. W_l is weights[l], d_l × d_{l−1}, l = 1 … L; weights[0] is empty, so that an
/// index is the equations' own.
template <class S>
class Network {
 public:
  enum class Output { linear, softmax, logistic };

  std::vector<Matrix<S>> weights;
  std::vector<Vector<S>> biases;                 ///< b_l; all empty without
  std::vector<core::Transfer> transfers;         ///< φ_l of hidden layers; null for l = 0 and L
  std::vector<Normalisation<S>> normalisations;  ///< of hidden layers; empty without
  Output kind = Output::linear;

  Index depth() const { return static_cast<Index>(weights.size()) - 1; }  ///< L
  Index size(Index layer) const {
    return layer == 0 ? weights[1].cols() : weights[static_cast<std::size_t>(layer)].rows();
  }
  const Matrix<S>& w(Index l) const { return weights[static_cast<std::size_t>(l)]; }
  bool has_biases() const { return biases.back().size() > 0; }
  bool is_normalised() const { return !normalisations.empty(); }
  bool is_linear() const;  ///< all φ_l the identity, the output linear

  /// The activity of a batch of inputs (d_0 × B). `by_batch`: layers are normalised by the batch's own
  /// statistics, as in training, else by the running ones. Allocates where the batch has another size.
  void forward(const Eigen::Ref<const Matrix<S>>& inputs, Activity<S>& activity,
               bool by_batch = false) const;
  /// forward() in its parts, for those who change h_{l−1} on its way up: begin(), then step(l) for l = 1 … L.
  void begin(const Eigen::Ref<const Matrix<S>>& inputs, Activity<S>& activity,
             bool by_batch = false) const;
  void step(Index l, Activity<S>& activity) const;
  /// One layer by itself: a = W_l in + b_l, normalised by the running statistics where the layer is, and
  /// h_l of it.
  void layer(Index l, const Matrix<S>& in, Matrix<S>& a, Matrix<S>& h) const;
  /// What φ_l of a hidden layer was applied to: a_l, or where the layer is normalised γ ⊙ (a − m)/√(v + ε) + β.
  Matrix<S> argument(Index l, const Activity<S>& activity) const;
  /// An activity with the slopes of φ_l (g ⊙ a) at a = 0, g of the running statistics where layers are normalised:
  /// what a loop that starts from rest sees first.
  Activity<S> about_rest(Activity<S> activity) const;
  /// forward() without what rules alone need (a, slopes), of any number of inputs, in pieces.
  Matrix<S> outputs(const Eigen::Ref<const Matrix<S>>& inputs) const;

  /// m ← ∂h_l/∂a_lᵀ m of a hidden layer, through φ_l and where there is one the normalisation (by the batch
  /// exactly, as a function of all its columns): the one place in which φ′ is applied to a credit.
  void pull_back(Index layer, const Activity<S>& activity, Matrix<S>& m) const;

  /// Moves the running averages of normalised layers towards the batch's.
  void note_statistics(const Activity<S>& activity, double momentum);

  template <class T>
  Network<T> cast() const;
};

/// r = φ(x) and d = φ′(x) of every number; r and d may not be x.
template <class S>
void transfer_value(const core::TransferFunction& phi, const Matrix<S>& x, Matrix<S>& r);
template <class S>
void transfer_slope(const core::TransferFunction& phi, const Matrix<S>& x, Matrix<S>& d);

/// Makes a network: W_l from the stream "W_l" and b_l from "b_l" of `seed`, whatever the rule is.
/// @throws InputError  for initialisations that don't fit
template <class S>
Network<S> make_network(const NetworkSpec& spec, std::uint64_t seed,
                        const std::filesystem::path& base);

/// The output y of a_L.
template <class S>
void output_of(typename Network<S>::Output kind, const Matrix<S>& a, Matrix<S>& y);

/// ½ ‖y − t‖² (squared_error) or the cross-entropy of y with t (of each unit, where the output is logistic),
/// summed over outputs.
enum class Loss { squared_error, cross_entropy };

/// The losses of a batch, summed over its columns.
/// @param outputs  y, d_L × B
/// @param targets  t, d_L × B
template <class S>
double total_loss(Loss loss, typename Network<S>::Output kind, const Matrix<S>& outputs,
                  const Eigen::Ref<const Matrix<S>>& targets);

/// δ_L = −∂loss/∂a_L (d_L × B): t − y for a linear output with squared error, and for softmax and logistic
/// outputs with cross-entropy; through the output's own Jacobian else.
template <class S>
void output_error(Loss loss, typename Network<S>::Output kind, const Matrix<S>& outputs,
                  const Eigen::Ref<const Matrix<S>>& targets, Matrix<S>& error);

}  // namespace settle::learning
