#include "sim/solve/mode_basis.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "sim/solve/small_modes.hpp"
#include "sim/solve/steady_product.hpp"

namespace settle::solve {
namespace {

using Complex = std::complex<double>;
using Eigen::MatrixXcd;
using system::ConstBlock;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double most_error = 1e-9;  // of M v by its modes, relative

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// [Re −Im; Im Re]: what a complex matrix does to (Re y, Im y).
MatrixXd as_real(const MatrixXcd& m) {
  const Index n = m.rows();
  MatrixXd out(2 * n, 2 * n);
  out << m.real(), -m.imag(), m.imag(), m.real();
  return out;
}

std::string matrix_of(Index n) {
  return "a " + std::to_string(n) + " × " + std::to_string(n) + " matrix";
}

std::string condition_text(double condition) {
  return condition < infinity ? "the eigenvectors' condition is " + core::brief(condition)
                              : "the eigenvectors don't span the space (a defective matrix)";
}

// Where the columns of a block begin.
void columns_of(system::Block x, std::vector<double*>& to) {
  to.clear();
  for (Index c = 0; c < x.cols(); ++c) to.push_back(x.col(c).data());
}

// Some neighbouring numbers of x, from row `first` on.
void include(const Eigen::Ref<const VectorXd>& x, Index first, ModeBasis::Measure& measure) {
  const Eigen::Map<const Eigen::ArrayXd> weights(measure.weights + first, x.size());
  double largest = 0;
  if (measure.base) {
    const Eigen::Map<const Eigen::ArrayXd> base(measure.base + first, x.size());
    largest = (weights * (base - x.array()).abs()).maxCoeff();
  } else {
    largest = (weights * x.array().abs()).maxCoeff();
  }
  measure.largest = std::max(measure.largest, largest);
}

// --- Without structure -----------------------------------------------------------------------------

class PlainBasis final : public ModeBasis {
 public:
  PlainBasis(const MatrixXd& matrix, const ModeLimits& limits) {
    size_ = matrix.rows();
    std::string why;
    Eigen::VectorXcd values;
    try {
      eigen_ = core_modes(std::make_shared<const system::Weights>(matrix));
      values = eigen_->values;
      if (!(eigen_->condition <= limits.condition))
        why = condition_text(eigen_->condition);
      else if (!(eigen_->error <= most_error))
        why = "the eigenvectors don't reproduce the matrix";
    } catch (const std::runtime_error& error) {
      why = error.what();
    }
    if (!why.empty()) {
      eigen_ = nullptr;
      how_ = "matrix exponential of " + std::to_string(size_) + " states: " + why;
      knots_.push_back({0, matrix, values});
      return;
    }
    how_ = "eigenvectors of " + std::to_string(size_) + (size_ == 1 ? " state" : " states");
    const VectorXd& reach = eigen_->out.reach;
    for (Index k = 0; k < size_; ++k) {
      const bool pair = values[k].imag() != 0;
      modes_.push_back({.row = k,
                        .value = values[k],
                        .reach = reach[k] + (pair ? reach[k + 1] : 0),
                        .spread = eigen_->out.row,
                        .family = static_cast<Index>(modes_.size())});
      k += pair;
    }
  }

  void to_modes(const ConstBlock& x, Rows& y) const override {
    if (!eigen_) {
      y = x;
      return;
    }
    MatrixXd by_columns(size_, x.cols());
    std::vector<double*> to;
    columns_of(by_columns, to);
    multiply(eigen_->in, x, to);
    y = by_columns;
  }
  void from_modes(const Rows& y, std::span<double* const> x, Scratch& scratch) const override {
    scratch.by_columns = y;
    if (eigen_)
      multiply(eigen_->out.q, scratch.by_columns, x);
    else
      for (Index c = 0; c < y.cols(); ++c)
        std::copy_n(scratch.by_columns.col(c).data(), size_, x[at(c)]);
  }
  void measure(const Rows& y, std::span<Measure> measures, Scratch& scratch) const override {
    scratch.by_columns = y;
    for (Measure& measure : measures) measure.largest = 0;
    const auto take = [&](Index row, Index column, const ConstBlock& block) {
      for (Index c = 0; c < block.cols(); ++c) include(block.col(c), row, measures[at(column + c)]);
    };
    if (eigen_)
      multiply_by_blocks(eigen_->out.q, scratch.by_columns, take);
    else if (size_ > 0)
      take(0, 0, scratch.by_columns);
  }

 private:
  std::shared_ptr<const CoreModes> eigen_;
};

// --- Copies of one or two spaces -------------------------------------------------------------------

class StructuredBasis final : public ModeBasis {
 public:
  /// nullptr where the core is too ill-conditioned for it.
  static std::shared_ptr<const StructuredBasis> make(system::Structure structure,
                                                     const ModeLimits& limits) {
    auto basis = std::make_shared<StructuredBasis>();
    basis->s_ = std::move(structure);
    if (!basis->decompose(limits)) return nullptr;
    return basis;
  }

  void to_modes(const ConstBlock& x, Rows& y) const override {
    const Index columns = x.cols(), p = parts();
    bool has_lifted = false;
    MatrixXd by_columns(s_.core, p * columns);
    std::vector<double*> to;
    for (Index a = 0; a < p; ++a) {
      const auto from = rows_of(a, x);
      auto own = by_columns.middleCols(slots_[at(a)] * columns, columns);
      if (system::is_zero(from)) {
        own.setZero();
        continue;
      }
      has_lifted = has_lifted || is_lifted(a);
      if (s_.core == 0) continue;
      columns_of(own, to);
      multiply(is_lifted(a) ? core_->project : core_->in, from, to);
    }
    const bool has_rest = has_rest_ && has_lifted;
    y.resize(has_rest || !has_rest_ ? size_ : rest_row_, columns);
    if (s_.core > 0) {
      const Rows z = by_columns;
      for (const Pencil& pencil : pencils_) mix_in(pencil, z, y, columns);
    }
    if (!has_rest) return;
    // What is left where the modes of the core are taken away.
    y.bottomRows(size_ - rest_row_).setZero();
    MatrixXd rest(s_.larger, columns);
    columns_of(rest, to);
    for (Index a = 0, j = 0; a < p; ++a) {
      if (!is_lifted(a)) continue;
      if (s_.core > 0) {
        multiply(core_->lifted.q, by_columns.middleCols(slots_[at(a)] * columns, columns), to);
        rest = rows_of(a, x) - rest;
      } else {
        rest = rows_of(a, x);
      }
      for (Index i = 0; i < rest_.right.rows(); ++i)
        y.middleRows(rest_row_ + i * s_.larger, s_.larger) += rest_.inverse(i, j) * rest;
      ++j;
    }
  }

  void from_modes(const Rows& y, std::span<double* const> x, Scratch& scratch) const override {
    const Index columns = y.cols(), p = parts();
    if (s_.core > 0) {
      to_core(y, scratch);
      scratch.to.resize(at(p * columns));
      for (Index a = 0; a < p; ++a)
        for (Index c = 0; c < columns; ++c)
          scratch.to[at(slots_[at(a)] * columns + c)] = x[at(c)] + s_.parts[at(a)].first;
      const Index plain = plain_parts_ * columns;
      const std::span<double* const> to(scratch.to);
      multiply(core_->out.q, scratch.by_columns.leftCols(plain), to.first(at(plain)));
      if (plain_parts_ < p)
        multiply(core_->lifted.q, scratch.by_columns.rightCols(p * columns - plain),
                 to.subspan(at(plain)));
    }
    for (Index a = 0; a < p; ++a) {
      if (!is_lifted(a)) continue;
      for (Index c = 0; c < columns; ++c) {
        Eigen::Map<VectorXd> own(x[at(c)] + s_.parts[at(a)].first, s_.larger);
        if (s_.core == 0) own.setZero();
        add_rest(y, a, c, 0, own);
      }
    }
  }

  void measure(const Rows& y, std::span<Measure> measures, Scratch& scratch) const override {
    const Index columns = y.cols(), p = parts();
    for (Measure& measure : measures) measure.largest = 0;
    VectorXd own;
    const auto take = [&](Index first_slot) {
      return [&, first_slot](Index row, Index column, const ConstBlock& block) {
        for (Index k = 0; k < block.cols(); ++k) {
          const Index a = part_of_slot_[at(first_slot + (column + k) / columns)];
          const Index c = (column + k) % columns, first = s_.parts[at(a)].first + row;
          if (!is_lifted(a) || !has_rest(y)) {
            include(block.col(k), first, measures[at(c)]);
            continue;
          }
          own = block.col(k);
          add_rest(y, a, c, row, own);
          include(own, first, measures[at(c)]);
        }
      };
    };
    if (s_.core > 0) {
      to_core(y, scratch);
      const Index plain = plain_parts_ * columns;
      multiply_by_blocks(core_->out.q, scratch.by_columns.leftCols(plain), take(0));
      if (plain_parts_ < p)
        multiply_by_blocks(core_->lifted.q, scratch.by_columns.rightCols(p * columns - plain),
                           take(plain_parts_));
    } else {
      take(0)(0, 0, MatrixXd::Zero(s_.larger, p * columns));
    }
  }

 private:
  // The p scalars that one eigenvalue μ of K leaves coupled, from row k of z (and k + 1 for a pair, as
  // real and imaginary part) to `size` rows of y. Its eigenvectors and their inverse stand in numbers_
  // from `place` on, by rows.
  struct Pencil {
    Index k = 0;
    bool pair = false;
    Index row = 0, size = 0;
    std::size_t place = 0;
  };

  // From modes to the eigenvectors of K, a part's columns beside another's in the order of their slots.
  void to_core(const Rows& y, Scratch& scratch) const {
    scratch.by_rows.resize(s_.core, parts() * y.cols());
    for (const Pencil& pencil : pencils_) mix_out(pencil, y, scratch.by_rows, y.cols());
    scratch.by_columns = scratch.by_rows;
  }
  bool has_rest(const Rows& y) const { return has_rest_ && y.rows() == size_; }
  // Of a lifted part's numbers from row `first` on, in column c.
  void add_rest(const Rows& y, Index a, Index c, Index first, Eigen::Ref<VectorXd> x) const {
    if (!has_rest(y)) return;
    for (Index j = 0; j < rest_.right.rows(); ++j)
      x += rest_.right(slots_[at(a)] - plain_parts_, j) *
           y.col(c).segment(rest_row_ + j * s_.larger + first, x.size());
  }

  Index parts() const { return static_cast<Index>(s_.parts.size()); }
  bool is_lifted(Index a) const { return s_.parts[at(a)].lifted; }
  ConstBlock rows_of(Index a, const ConstBlock& x) const {
    return x.middleRows(s_.parts[at(a)].first, is_lifted(a) ? s_.larger : s_.core);
  }
  const double* right(const Pencil& pencil) const { return numbers_.data() + pencil.place; }
  const double* inverse(const Pencil& pencil) const {
    return right(pencil) + pencil.size * pencil.size;
  }

  // z: the parts' columns beside each other, in the order of their slots.
  Index place_in_z(const Pencil& pencil, Index j, Index columns) const {
    const Index p = parts();
    return (pencil.k + (j < p ? 0 : 1)) * p * columns + slots_[at(j % p)] * columns;
  }
  static void add_row(double factor, const double* in, Index columns, bool first, double* out) {
    if (first)
      for (Index c = 0; c < columns; ++c) out[c] = factor * in[c];
    else
      for (Index c = 0; c < columns; ++c) out[c] += factor * in[c];
  }
  void mix_in(const Pencil& pencil, const Rows& z, Rows& y, Index columns) const {
    const double* factor = inverse(pencil);
    for (Index i = 0; i < pencil.size; ++i)
      for (Index j = 0; j < pencil.size; ++j)
        add_row(*factor++, z.data() + place_in_z(pencil, j, columns), columns, j == 0,
                y.data() + (pencil.row + i) * columns);
  }
  void mix_out(const Pencil& pencil, const Rows& y, Rows& z, Index columns) const {
    const double* factor = right(pencil);
    for (Index i = 0; i < pencil.size; ++i)
      for (Index j = 0; j < pencil.size; ++j)
        add_row(*factor++, y.data() + (pencil.row + j) * columns, columns, j == 0,
                z.data() + place_in_z(pencil, i, columns));
  }

  bool decompose(const ModeLimits& limits) {
    const Index p = parts();
    for (Index a = 0; a < p; ++a)
      if (!is_lifted(a)) ++plain_parts_;
    for (Index a = 0, plain = 0, lifted = plain_parts_; a < p; ++a)
      slots_.push_back(is_lifted(a) ? lifted++ : plain++);
    part_of_slot_.resize(at(p));
    for (Index a = 0; a < p; ++a) part_of_slot_[at(slots_[at(a)])] = a;
    if (s_.core > 0) {
      if (s_.core > limits.most_core) return false;
      core_ = core_modes(s_.into, s_.lift);
      if (!(core_->condition <= limits.condition && core_->lifted_condition <= limits.condition &&
            core_->error <= most_error))
        return false;
      add_pencils(limits);
    }
    has_rest_ = s_.larger > s_.core && plain_parts_ < p;
    if (has_rest_ && !add_rest(limits)) return false;
    how_ = s_.core > 0 ? "modes of " + matrix_of(s_.core) + ", shared by every leak and gain"
                       : "modes of units that hear each other one by one";
    if (!knots_.empty())
      how_ += "; " + std::to_string(knots_.size()) + " of " + std::to_string(pencils_.size()) +
              " by matrix exponential, where poles meet (a defective matrix)";
    return true;
  }

  void add_pencils(const ModeLimits& limits) {
    const Index p = parts();
    pencils_.reserve(at(s_.core));
    modes_.reserve(at(p * s_.core));
    numbers_.reserve(at(2 * p * p * s_.core));
    MatrixXd real, real_scratch;
    MatrixXcd complex, complex_scratch;
    for (Index k = 0; k < s_.core; ++k) {
      const Complex mu = core_->values[k];
      if (mu.imag() == 0) {
        s_.of_eigenvalue(mu.real(), real, real_scratch);
        if (p == 2) {
          const TwoModes modes = modes_of_two(Eigen::Matrix2d(real));
          add_real(k, real, modes, limits);
        } else {
          add_real(k, real, small_modes(real), limits);
        }
      } else {
        s_.of_eigenvalue(mu, complex, complex_scratch);
        add_pair(k++, complex, limits);
      }
    }
  }

  template <class Matrix>
  void add_numbers(const Matrix& m) {
    for (Index i = 0; i < m.rows(); ++i)
      for (Index j = 0; j < m.cols(); ++j) numbers_.push_back(m(i, j));
  }
  template <class Matrix>
  const Pencil& add_pencil(Index k, bool pair, const Matrix& right, const Matrix& inverse) {
    pencils_.push_back({k, pair, size_, right.rows(), numbers_.size()});
    add_numbers(right);
    add_numbers(inverse);
    size_ += right.rows();
    return pencils_.back();
  }
  // Where poles meet, the coordinates stay as they are.
  void add_knot(Index k, bool pair, const MatrixXd& matrix, const Eigen::VectorXcd& values) {
    const MatrixXd identity = MatrixXd::Identity(matrix.rows(), matrix.rows());
    knots_.push_back({size_, matrix, values});
    add_pencil(k, pair, identity, identity);
  }

  template <class Modes>
  void add_real(Index k, const MatrixXd& matrix, const Modes& modes, const ModeLimits& limits) {
    if (!(modes.condition <= limits.condition)) {
      add_knot(k, false, matrix, modes.values);
      return;
    }
    const Pencil& pencil = add_pencil(k, false, modes.right, modes.inverse);
    for (Index j = 0; j < pencil.size; ++j) {
      add_mode(pencil, j, 1, modes.values[j]);
      j += modes.values[j].imag() != 0;
    }
  }

  void add_pair(Index k, const MatrixXcd& matrix, const ModeLimits& limits) {
    const Index p = parts();
    const core::ComplexModes modes = small_modes(matrix);
    if (!(modes.condition <= limits.condition)) {
      Eigen::VectorXcd values(2 * p);
      values << modes.values, modes.values.conjugate();
      add_knot(k, true, as_real(matrix), values);
      return;
    }
    // y is sorted by mode, real beside imaginary part.
    std::vector<Index> order;
    for (Index j = 0; j < p; ++j) order.insert(order.end(), {j, p + j});
    const Pencil& pencil = add_pencil(k, true, MatrixXd(as_real(modes.right)(Eigen::all, order)),
                                      MatrixXd(as_real(modes.inverse)(order, Eigen::all)));
    for (Index j = 0; j < p; ++j)
      add_mode(pencil, 2 * j, modes.values[j].imag() == 0 ? 2 : 1, modes.values[j]);
  }

  // Of the rows of a pencil from its j-th on, with how far they reach: in part a |x_i| is at most the sum of
  // what its one or two eigenvectors of K reach, or ‖z‖₂ of that part times the largest ‖row‖₂.
  void add_mode(const Pencil& pencil, Index j, Index count, Complex value) {
    const Index p = parts(), rows = value.imag() == 0 ? count : 2 * count;
    Mode mode{.row = pencil.row + j,
              .count = count,
              .value = value,
              .family = static_cast<Index>(pencils_.size()) - 1};
    const double* const numbers = right(pencil);
    for (Index a = 0; a < p; ++a) {
      const Image& image = is_lifted(a) ? core_->lifted : core_->out;
      double reach = 0, square = 0;
      for (Index half = 0; half < (pencil.pair ? 2 : 1); ++half)
        for (Index i = j; i < j + rows; ++i) {
          const double factor = numbers[(a + half * p) * pencil.size + i];
          reach += std::abs(factor) * image.reach[pencil.k + half];
          square += factor * factor;
        }
      mode.reach = std::max(mode.reach, reach);
      mode.spread = std::max(mode.spread, std::sqrt(square) * image.row);
    }
    modes_.push_back(mode);
  }

  bool add_rest(const ModeLimits& limits) {
    rest_row_ = size_;
    rest_ = small_modes(s_.of_rest());
    if (!(rest_.condition <= limits.condition)) return false;
    for (Index j = 0; j < rest_.values.size(); ++j) {
      const Complex value = rest_.values[j];
      const Index rows = value.imag() == 0 ? 1 : 2;
      const double reach = rest_.right.middleCols(j, rows).cwiseAbs().rowwise().sum().maxCoeff();
      modes_.push_back(
          {.row = size_ + j * s_.larger, .count = s_.larger, .value = value, .reach = reach});
      j += rows - 1;
    }
    size_ += rest_.values.size() * s_.larger;
    return true;
  }

  system::Structure s_;
  std::vector<Index> slots_;  // per part: its place in z, those of the core first
  std::vector<Index> part_of_slot_;
  Index plain_parts_ = 0;  // of the core
  std::shared_ptr<const CoreModes> core_;
  std::vector<Pencil> pencils_;
  std::vector<double> numbers_;
  bool has_rest_ = false;
  Index rest_row_ = 0;
  core::RealModes rest_;  // of the lifted nodes, for what the core doesn't hear
};

}  // namespace

std::shared_ptr<const ModeBasis> make_mode_basis(const system::OdeSystem& system,
                                                 const system::ConstBlock& x, Index trial,
                                                 system::Workspace& workspace,
                                                 const ModeLimits& limits) {
  const system::Segment& segment = workspace.segment();
  try {
    if (auto structure = system::find_structure(system, segment))
      if (auto basis = StructuredBasis::make(std::move(*structure), limits)) return basis;
  } catch (const std::runtime_error&) {
    // An iteration that doesn't converge; that on the whole matrix may.
  }
  const std::vector<Index> rows = system.moving_rows(segment);
  if (rows.empty()) return std::make_shared<PlainBasis>(MatrixXd(0, 0), limits);
  return std::make_shared<PlainBasis>(
      system.jacobian(segment.begin, x, trial, workspace)(rows, rows), limits);
}

std::string why_too_large(const system::OdeSystem& system, int phase, const ModeLimits& limits) {
  const system::Segment segment{.phase = phase};
  Index moving = 0;
  for (const int i : system.dynamic_nodes())
    if (!system.is_held(segment, i)) moving += system.circuit().nodes[at(i)].size;
  const auto states = static_cast<double>(moving);
  const auto most = static_cast<double>(limits.most_states);
  const auto groups = static_cast<double>(system::trials_of_one_matrix(system, phase).size());
  if (groups * std::pow(states, 3) <= std::pow(most, 3)) return "";
  if (const auto structure = system::find_structure(system, segment))
    if (structure->core <= limits.most_core) return "";
  return groups > 1 ? core::brief(groups) + " trials have each a matrix of " + core::brief(states) +
                          " states, more than is decomposed unasked"
                    : core::brief(states) + " states that move, more than the " +
                          core::brief(most) + " that are decomposed unasked";
}

}  // namespace settle::solve
