// What a linear circuit's matrix is made of: which nodes move, and whether they are copies of one space.
#pragma once

#include <complex>
#include <optional>
#include <string>
#include <vector>

#include "sim/system/ode_system.hpp"

namespace settle::system {

using Eigen::Index;
using Eigen::MatrixXd;

/// A circuit whose moving nodes are copies of one space of m units, the core, or of it and of a larger
/// one of n units, with all edges multiples of the identity, of one matrix within the core, or of one
/// from the core to the larger space and one back.
///
///     K: the matrix within the core, or the product of the two on the way round.
///
/// In the eigenvectors v of K (μ) for the core and L v for the larger space, L being the matrix out of
/// the core, the circuit is one of p scalars, in which K, or the matrix into the core, is μ and L is 1.
/// What is left of the larger space, x with W x = 0 for the matrix W into the core, hears identities
/// alone.
struct Structure {
  template <class Scalar>
  using Square = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
  struct Part {
    Index first = 0;  ///< its first row among the moving states
    bool lifted = false;
  };
  Index core = 0;           ///< m; 0 where there is no matrix, and every node is lifted
  Index larger = 0;         ///< n; 0 where all nodes are of the core
  std::vector<Part> parts;  ///< per moving dynamic node, in order
  SharedWeights lift;       ///< L, n × m; null where all nodes are of the core
  SharedWeights
      into;  ///< W, m × n; then the matrix within the core, m × m; null where there is none

  /// The p × p matrix of ẋ for an eigenvalue μ of K. `values` is scratch.
  template <class Scalar>
  void of_eigenvalue(Scalar mu, Square<Scalar>& rates, Square<Scalar>& values) const {
    evaluate(mu, 1, rates, values);
  }
  /// That of the lifted nodes alone, for what the core doesn't see.
  MatrixXd of_rest() const;

  struct Term {
    enum Kind { scalar, out_of_core, into_core } kind;
    int from, to;  // places in `places`: moving dynamic nodes first
    double factor;
  };
  std::vector<Term> terms;        // by the order in which their receivers are evaluated
  std::vector<double> leak, tau;  // per moving dynamic node
  int places = 0;

 private:
  template <class Scalar>
  void evaluate(Scalar into_core, double out_of_core, Square<Scalar>& rates,
                Square<Scalar>& values) const;
};

/// nullopt where the circuit is built otherwise. Multiplies and decomposes nothing.
std::optional<Structure> find_structure(const OdeSystem& system, const Segment& segment);

/// Why the segments of a phase have no closed form ("the transfer of "a->b" is tanh"); "" where they
/// have one: whatever carries something that moves does so linearly, and every source has a form.
std::string why_not_linear(const OdeSystem& system, int phase);

/// Groups of trials whose matrices are the same in a phase (those with equal gates), each by rising
/// trial.
std::vector<std::vector<Index>> trials_of_one_matrix(const OdeSystem& system, int phase);

}  // namespace settle::system
