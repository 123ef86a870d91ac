// Coordinates in which a linear circuit falls apart into modes that don't hear each other.
#pragma once

#include <complex>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sim/core/linalg.hpp"
#include "sim/system/linear_structure.hpp"

namespace settle::solve {

using Eigen::Index;
using Eigen::MatrixXcd;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Modes × columns; a mode's row lies in one piece.
using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// So many columns, and some more that nobody looks at, that a product with a matrix of that order or
/// larger gives each the same bits whatever their number: a multiple of 8, and at least 24 where with
/// fewer all three sizes could come to less than 20, for which Eigen has another algorithm.
Index steady_width(Index columns, Index order);

/// `count` coordinates that obey ẏ = λ y: the rows row … row + count − 1 of the real parts, and behind
/// them, where λ isn't real, as many of the imaginary parts.
struct Mode {
  Index row = 0;
  Index count = 1;
  std::complex<double> value;
  bool is_real() const { return value.imag() == 0; }
};

/// Coordinates without usable eigenvectors: ẏ = A y for the rows row … row + A.rows() − 1.
struct Knot {
  Index row = 0;
  MatrixXd matrix;
  Eigen::VectorXcd values;  ///< its eigenvalues
};

/// How small a decomposition must keep its error, and how large one may be.
struct ModeLimits {
  double condition = 1e6;   ///< of eigenvectors that are used
  Index most_states = 400;  ///< size of a matrix without structure
  Index most_core = 1000;   ///< size of the matrix that all blocks share
};

/// The moving states of one segment, x = V y, and the modes of ẏ = V⁻¹ M V y.
///
/// Where all nodes are copies of one space (or of two, joined by W and B) and every block of M is a
/// multiple of I, of one matrix K (of W, of B; then K = W B), M falls apart over the eigenvectors of K
/// into one p × p matrix for each eigenvalue, p being the number of nodes: the circuit itself with each
/// matrix replaced by a number. K knows neither leaks nor gains nor time constants, so its
/// decomposition is kept and shared by every circuit with the same K. Else M itself is decomposed; and
/// where eigenvectors are too ill-conditioned, the coordinates are left as they are (a Knot).
class ModeBasis {
 public:
  struct Scratch {
    Rows by_rows;
    MatrixXd by_columns, core;
  };

  virtual ~ModeBasis() = default;
  /// Coordinates y.
  Index size() const { return size_; }
  const std::vector<Mode>& modes() const { return modes_; }
  const std::vector<Knot>& knots() const { return knots_; }
  /// In words, which way it went and why.
  const std::string& how() const { return how_; }

  /// The order of the smallest matrix that columns are multiplied with.
  virtual Index narrowest() const { return size_; }
  /// y = V⁻¹ x and x = V y for columns in the number of steady_width(…, narrowest()); a column's bits
  /// don't depend on the others.
  /// The rows of y from first_of_rest() on may be left out, and count as zero then.
  virtual void to_modes(const MatrixXd& x, Rows& y) const = 0;
  virtual void from_modes(const Rows& y, MatrixXd& x, Scratch& scratch) const = 0;

  /// Coordinates from here on are of what the core of a structured matrix does not hear; size() where
  /// there is nothing of it.
  virtual Index first_of_rest() const { return size_; }
  /// Per mode, a bound of ‖x‖∞ where one of its coordinates is 1 in size and nothing else is there.
  virtual VectorXd reach() const = 0;

 protected:
  Index size_ = 0;
  std::vector<Mode> modes_;
  std::vector<Knot> knots_;
  std::string how_;
};

/// The basis of one trial's moving states in a segment, which `workspace` has begun. The circuit must
/// be linear in it.
std::shared_ptr<const ModeBasis> make_mode_basis(const system::OdeSystem& system,
                                                 const system::ConstBlock& x, Index trial,
                                                 system::Workspace& workspace,
                                                 const ModeLimits& limits);

/// Why decomposing a phase's matrix would take too long; "" where it would not.
std::string why_too_large(const system::OdeSystem& system, int phase, const ModeLimits& limits);

/// Lets go of the decompositions that are kept: what comes next is as in a new program.
void forget_decompositions();
/// How many matrices have been decomposed since the program began; those kept don't count again.
std::int64_t decompositions();

}  // namespace settle::solve
