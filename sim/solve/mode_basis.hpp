// Coordinates in which a linear circuit falls apart into modes that don't hear each other.
#pragma once

#include <complex>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/solve/core_modes.hpp"
#include "sim/system/linear_structure.hpp"

namespace settle::solve {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

/// Modes × columns; a mode's row lies in one piece.
using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// `count` coordinates that obey ẏ = λ y: the rows row … row + count − 1 of the real parts, and behind
/// them, where λ isn't real, as many of the imaginary parts.
///
/// What they add to x is bounded by their sizes |y|: ‖x‖∞ ≤ Σ reach |y|, and where only modes of families
/// are there, ‖x‖∞² ≤ Σ_families (Σ spread |y|)². (Of `count` > 2 coordinates each reaches a unit of its
/// own: the largest counts.)
struct Mode {
  Index row = 0;
  Index count = 1;
  std::complex<double> value;
  double reach = 0;
  double spread = 0;
  Index family = -1;  ///< a stretch of neighbouring modes; −1: of none
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
    MatrixXd by_columns;
    std::vector<double*> to;
  };

  virtual ~ModeBasis() = default;
  /// Coordinates y.
  Index size() const { return size_; }
  const std::vector<Mode>& modes() const { return modes_; }
  const std::vector<Knot>& knots() const { return knots_; }
  /// In words, which way it went and why.
  const std::string& how() const { return how_; }

  /// y = V⁻¹ x. A column's bits don't depend on the others. The last rows, of what the core of a structured
  /// matrix does not hear, are left out where all of them are zero.
  virtual void to_modes(const system::ConstBlock& x, Rows& y) const = 0;
  /// x = V y, each column to where `x` says; likewise. Rows that are left out count as zero.
  virtual void from_modes(const Rows& y, std::span<double* const> x, Scratch& scratch) const = 0;

  /// max_i weight_i |base_i − x_i| of a column x = V y, without x itself.
  struct Measure {
    const double* weights;         ///< not negative
    const double* base = nullptr;  ///< null: 0
    double largest = 0;
  };
  /// One a column of y; their `largest` are set.
  virtual void measure(const Rows& y, std::span<Measure> measures, Scratch& scratch) const = 0;

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

}  // namespace settle::solve
