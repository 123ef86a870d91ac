// The linear equations of implicit methods, solved node by node.
#pragma once

#include <vector>

#include "sim/core/linalg.hpp"
#include "sim/system/ode_system.hpp"

namespace settle::system {

/// (s I − J) k = b with the exact Jacobian J of one trial (OdeSystem::jacobian), without making J.
///
/// With the instantaneous nodes, and what lies between the factors of a low-rank projection, as unknowns
/// of their own, the equations are one block an unknown and one an edge,
///
///     (s τ + λ − Σ_edges b_e) ⊙ k_i − Σ_edges g l ⊙ W(r ⊙ k_from) = τ ⊙ b_i      (dynamic)
///                            k_i − Σ_edges g l ⊙ W(r ⊙ k_from) = 0            (instantaneous)
///                                                   s τ ⊙ k_i = τ ⊙ b_i      (held; 1 for s where it is 0)
///
/// with the factors of EdgeTangent (b_e its bend). An unknown whose own block is diagonal is eliminated,
/// the cheapest first and as long as that is cheaper than to keep it: its receivers' edges times its
/// senders' become edges between these (Schur's complement). What is kept, which is narrow or has a block
/// of its own, is one dense matrix, factorised with pivoting. ("Cheapest" is by multiplications or by new
/// entries, whichever comes to less on the whole.) So 1000 units that hear ten controls and
/// are heard by ten errors cost a product of 10 × 1000 × 10 and factors of 10 × 10. An unknown whose
/// pivots are too small, below 1e-8 of what couples it, is kept too.
///
/// The system outlives it. One thread at a time.
///
/// Source: Golub & Van Loan, Matrix Computations, 3.2 (block LU).
class StructuredSolve {
 public:
  explicit StructuredSolve(const OdeSystem& system);

  /// Takes J at (t, x), x a column (n × 1) of the workspace, whose columns are all in one segment.
  void linearise(double t, const ConstBlock& x, Index column, Workspace& workspace);
  /// Factorises s I − J, after linearise(). False where it is singular.
  bool factorise(double s);
  /// b ← (s I − J)⁻¹ b, after factorise(). Allocates nothing.
  void solve(Eigen::Ref<VectorXd> b);

  /// The order of the dense matrix that is factorised, after linearise().
  Index dense_order() const { return rest_.size(); }
  /// The smallest pivot of that matrix over its largest, after factorise(); at rounding where it is
  /// singular to working precision.
  double pivot_ratio() const { return dense_.size() == 0 ? 1 : factors_.pivot_ratio(); }
  /// Unknowns that were kept for their small pivots.
  Index postponed() const;

 private:
  // A node of the circuit (of the same index), or what lies between two factors.
  struct Unknown {
    Index size;
    Index first;  // of its numbers among all
  };
  // One matrix of the circuit between two unknowns: an edge's, or one of its factors.
  struct Link {
    int edge;
    int to, from;
    bool is_first, is_last;  // of the edge's factors: takes what stands before W, and after it
    const MatrixXd* dense = nullptr;
    const Weights::Sparse* sparse = nullptr;
    const VectorXd* diagonal = nullptr;  // no matrix at all: the identity
    double largest = 1;                  // |entry|
    int part = -1;                       // of the plan; −1: it carries nothing
    int bend = -1;                       // the diagonal part for the tangent's bend
  };
  // diag(left) M diag(right), where an empty vector is 1.
  struct Part {
    enum Kind {
      diagonal,  // no M, left is never empty
      matrix,    // M is one of the circuit's, or the M of another part
      product,   // M is its own: a sum of products; no left, no right
    } kind;
    const MatrixXd* dense = nullptr;
    const Weights::Sparse* sparse = nullptr;
    int same_as = -1;
    VectorXd left, right;
    VectorXd given{};    // of a diagonal, before elimination
    MatrixXd own{};      // of a product
    double largest = 0;  // |entry| of M
  };
  // What one unknown hears of another: Σ parts.
  struct Block {
    int to, from;
    std::vector<int> parts{};
    int diagonal = -1, product = -1;  // those among them
  };
  // into = or += a diag(pivots)⁻¹ b
  struct Operation {
    int a, b, into;
    bool is_first;
  };
  struct Elimination {
    int unknown;
    int self;                  // its own block, a diagonal; −1: none
    std::vector<int> in, out;  // blocks between it and what was still there
    std::vector<Operation> products{};
    bool is_wanted = false;  // whether its k is
  };

  bool is_dynamic(int unknown) const;
  void make_plan();
  void distribute();
  int find_block(int to, int from) const;
  int block(int to, int from);
  int add_part(int block, Part part);
  int diagonal_of(int block);
  bool has_matrix(int block) const;
  bool can_be_eliminated(int unknown) const;
  double entries(int part, const Block& block) const;
  struct Cost {
    double work, fill;  // multiplications; entries that there are more afterwards
  };
  Cost cost(int unknown) const;
  void begin_plan();
  double plan_by(double Cost::*measure);
  void plan_elimination(int unknown);
  void plan_product(const Block& out, int a, const Block& in, int b, Elimination& elimination);
  bool eliminate(double s, int& too_small);
  void multiply(const Operation& operation, const VectorXd& inverse);
  double largest(const std::vector<int>& blocks) const;
  void add(const Block& block, const double* x, double* y);
  void add_dense(const Block& block);
  const MatrixXd* dense(const Part& part) const;

  const OdeSystem& system_;
  std::vector<Unknown> unknowns_;
  std::vector<Link> links_;
  std::vector<EdgeTangent> tangents_;  // per edge
  // What the plan is for: edges that carry something, nodes that are held, unknowns that are to be kept.
  std::vector<char> carries_, held_, keeps_;

  std::vector<Part> parts_;
  std::vector<Block> blocks_;
  std::vector<std::vector<int>> into_, from_;  // per unknown that is still there, its blocks
  std::vector<Elimination> plan_;
  std::vector<int> kept_;
  std::vector<Index> kept_at_;  // per unknown, its first row in dense_; −1

  std::vector<VectorXd> pivots_, inverses_;  // per unknown
  MatrixXd dense_;
  core::LuFactors factors_;
  VectorXd k_, rest_, divided_, sent_, received_;
  VectorXd middle_, scaled_, product_;
  std::vector<char> is_zero_;  // per unknown, in solve()
};

}  // namespace settle::system
