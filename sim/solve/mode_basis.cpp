#include "sim/solve/mode_basis.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string_view>

namespace settle::solve {
namespace {

using Complex = std::complex<double>;
using core::ComplexModes;
using core::RealModes;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double most_error = 1e-9;  // of M v by its modes, relative

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

// --- Decompositions that are kept ------------------------------------------------------------------

std::atomic<std::int64_t> decomposed{0};

// The latest decompositions of matrices, found by their content. Threads share it; two that need the
// same one make it once. What it answers doesn't depend on what it holds.
class Kept {
 public:
  std::shared_ptr<const RealModes> modes_of(const MatrixXd& matrix) {
    const std::shared_ptr<Entry> entry = find(matrix);
    std::call_once(entry->once, [&] {
      entry->modes = std::make_shared<const RealModes>(core::real_modes(entry->matrix));
      ++decomposed;
    });
    return entry->modes;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    entries_.clear();
  }

 private:
  struct Entry {
    std::size_t hash = 0;
    MatrixXd matrix;
    std::once_flag once;
    std::shared_ptr<const RealModes> modes;
  };
  static constexpr std::size_t most_entries = 64, most_numbers = std::size_t{1} << 24;

  std::shared_ptr<Entry> find(const MatrixXd& matrix) {
    const std::size_t hash = std::hash<std::string_view>()(
        {reinterpret_cast<const char*>(matrix.data()), at(matrix.size()) * sizeof(double)});
    const std::lock_guard lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      const MatrixXd& own = (*entry)->matrix;
      if ((*entry)->hash != hash || own.rows() != matrix.rows() || own != matrix) continue;
      entries_.splice(entries_.begin(), entries_, entry);
      return entries_.front();
    }
    const auto fresh = std::make_shared<Entry>();
    fresh->hash = hash;
    fresh->matrix = matrix;
    entries_.push_front(fresh);
    std::size_t numbers = 0, count = 0;
    for (auto entry = entries_.begin(); entry != entries_.end();) {
      numbers += 3 * at((*entry)->matrix.size());
      const bool stays = ++count == 1 || (count <= most_entries && numbers <= most_numbers);
      entry = stays ? std::next(entry) : entries_.erase(entry);
    }
    return fresh;
  }

  std::mutex mutex_;
  std::list<std::shared_ptr<Entry>> entries_;  // the latest first
};

Kept& kept() {
  static Kept all;
  return all;
}

std::shared_ptr<const RealModes> modes_of(const MatrixXd& matrix) {
  return kept().modes_of(matrix);
}

// --- Matrices of two rows, in closed form ----------------------------------------------------------

// V⁻¹ of a 2 × 2 V, left empty where V is singular; det V.
template <class Modes>
auto invert_two(Modes& modes) {
  const auto& v = modes.right;
  const auto determinant = v(0, 0) * v(1, 1) - v(0, 1) * v(1, 0);
  if (determinant != 0.0) {
    modes.inverse.resize(2, 2);
    modes.inverse << v(1, 1), -v(0, 1), -v(1, 0), v(0, 0);
    modes.inverse /= determinant;
  }
  return determinant;
}

// The eigenvalue of smaller size follows from the determinant, so that a slow pole beside a fast one
// keeps its digits.
ComplexModes modes_of_two(const Eigen::Matrix2cd& m) {
  ComplexModes out;
  const Complex a = m(0, 0), b = m(0, 1), c = m(1, 0), d = m(1, 1);
  out.values.resize(2);
  out.right.setIdentity(2, 2);
  if (b == 0.0 && c == 0.0) {
    out.values << a, d;
    out.inverse = out.right;
    return out;
  }
  const Complex half = (a - d) / 2.0, mean = (a + d) / 2.0;
  Complex root = std::sqrt(half * half + b * c);
  if ((std::conj(mean) * root).real() < 0) root = -root;
  const Complex first = mean + root;
  out.values << first, first == 0.0 ? mean - root : (a * d - b * c) / first;
  for (Index k = 0; k < 2; ++k) {
    const Complex t = k == 0 ? root : -root;
    if (std::abs(half + t) >= std::abs(t - half))
      out.right.col(k) << half + t, c;
    else
      out.right.col(k) << b, t - half;
    out.right.col(k).normalize();
  }
  const Complex determinant = invert_two(out);
  out.condition = 4 / std::abs(determinant);  // bounds ‖V‖₁ ‖V⁻¹‖₁ for columns of norm 1
  return out;
}

RealModes small_modes(const MatrixXd& m) {
  if (m.rows() > 2) return core::real_modes(m);
  RealModes out;
  if (m.rows() == 1) {
    out.values = m.col(0);
    out.right = out.inverse = MatrixXd::Ones(1, 1);
    return out;
  }
  const ComplexModes modes = modes_of_two(m.cast<Complex>());
  out.values = modes.values;
  out.condition = modes.condition;
  if (!(modes.condition < infinity)) return out;
  if (modes.values[0].imag() == 0) {
    out.right = modes.right.real();
    out.inverse = modes.inverse.real();
    return out;
  }
  const Index upper = modes.values[0].imag() > 0 ? 0 : 1;
  out.values << modes.values[upper], std::conj(modes.values[upper]);
  out.right.resize(2, 2);
  out.right << modes.right.col(upper).real(), -modes.right.col(upper).imag();
  if (invert_two(out) == 0) out.condition = infinity;
  return out;
}

ComplexModes small_modes(const MatrixXcd& m) {
  if (m.rows() > 2) return core::complex_modes(m);
  if (m.rows() == 2) return modes_of_two(m);
  ComplexModes out;
  out.values = m.col(0);
  out.right = out.inverse = MatrixXcd::Ones(1, 1);
  return out;
}

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

// --- Without structure -----------------------------------------------------------------------------

class PlainBasis final : public ModeBasis {
 public:
  PlainBasis(MatrixXd matrix, const ModeLimits& limits) {
    size_ = matrix.rows();
    std::string why;
    try {
      const auto modes = modes_of(matrix);
      if (modes->condition <= limits.condition)
        eigen_ = modes;
      else
        why = condition_text(modes->condition);
      values_ = modes->values;
    } catch (const std::runtime_error& error) {
      why = error.what();
    }
    if (!eigen_) {
      be_a_knot(std::move(matrix), why);
      return;
    }
    how_ = "eigenvectors of " + std::to_string(size_) + (size_ == 1 ? " state" : " states");
    for (Index k = 0; k < size_; ++k) {
      modes_.push_back({k, 1, values_[k]});
      if (values_[k].imag() != 0) ++k;
    }
  }
  PlainBasis(MatrixXd matrix, const std::string& why) {
    size_ = matrix.rows();
    be_a_knot(std::move(matrix), why);
  }

  void to_modes(const MatrixXd& x, Rows& y) const override {
    if (eigen_)
      y = MatrixXd(eigen_->inverse * x);  // a product by columns, then sorted by rows
    else
      y = x;
  }
  void from_modes(const Rows& y, MatrixXd& x, Scratch& scratch) const override {
    if (eigen_) {
      scratch.by_columns = y;
      x.noalias() = eigen_->right * scratch.by_columns;
    } else {
      x = y;
    }
  }
  VectorXd reach() const override {
    VectorXd out(static_cast<Index>(modes_.size()));
    for (std::size_t k = 0; k < modes_.size(); ++k)
      out[static_cast<Index>(k)] =
          eigen_->right.middleCols(modes_[k].row, modes_[k].is_real() ? 1 : 2)
              .cwiseAbs()
              .rowwise()
              .sum()
              .maxCoeff();
    return out;
  }

 private:
  void be_a_knot(MatrixXd matrix, const std::string& why) {
    how_ = "matrix exponential of " + std::to_string(size_) + " states: " + why;
    modes_.clear();
    knots_.push_back({0, std::move(matrix), values_});
  }

  std::shared_ptr<const RealModes> eigen_;
  Eigen::VectorXcd values_;
};

// --- Copies of one or two spaces -------------------------------------------------------------------

class StructuredBasis final : public ModeBasis {
 public:
  /// nullopt where the core is too ill-conditioned for it.
  static std::shared_ptr<const StructuredBasis> make(system::Structure structure,
                                                     const ModeLimits& limits) {
    auto basis = std::make_shared<StructuredBasis>();
    basis->s_ = std::move(structure);
    if (!basis->decompose(limits)) return nullptr;
    return basis;
  }

  void to_modes(const MatrixXd& x, Rows& y) const override {
    const Index columns = x.cols(), p = parts();
    y.resize(size_, columns);
    MatrixXd core(s_.core, p * columns);
    std::vector<MatrixXd> rest;
    for (Index a = 0; a < p; ++a) {
      auto own = core.middleCols(a * columns, columns);
      if (!s_.parts[at(a)].lifted) {
        own = x.middleRows(s_.parts[at(a)].first, s_.core);
        continue;
      }
      rest.emplace_back(x.middleRows(s_.parts[at(a)].first, s_.larger));
      if (s_.core == 0) continue;
      own.noalias() = project_ * rest.back();
      if (has_rest_) rest.back().noalias() -= s_.lift * own;
    }
    if (s_.core > 0) {
      const Rows z = MatrixXd(eigen_->inverse * core);
      for (const Pencil& pencil : pencils_) mix_in(pencil, z, y, columns);
    }
    if (has_rest_) {
      y.bottomRows(size_ - rest_row_).setZero();
      for (Index i = 0; i < rest_.right.rows(); ++i)
        for (Index j = 0; j < rest_.right.rows(); ++j)
          y.middleRows(rest_row_ + i * s_.larger, s_.larger) += rest_.inverse(i, j) * rest[at(j)];
    }
  }

  void from_modes(const Rows& y, MatrixXd& x, Scratch& scratch) const override {
    const Index columns = y.cols(), p = parts();
    x.resize(states_, columns);
    MatrixXd& core = scratch.core;
    if (s_.core > 0) {
      Rows& z = scratch.by_rows;
      z.resize(s_.core, p * columns);
      for (const Pencil& pencil : pencils_) mix_out(pencil, y, z, columns);
      scratch.by_columns = z;
      core.noalias() = eigen_->right * scratch.by_columns;
    }
    Index lifted = 0;
    for (Index a = 0; a < p; ++a) {
      const system::Structure::Part& part = s_.parts[at(a)];
      if (!part.lifted) {
        x.middleRows(part.first, s_.core) = core.middleCols(a * columns, columns);
        continue;
      }
      auto own = x.middleRows(part.first, s_.larger);
      if (s_.core > 0)
        own.noalias() = s_.lift * core.middleCols(a * columns, columns);
      else
        own.setZero();
      if (y.rows() == size_ && has_rest_)
        for (Index j = 0; j < rest_.right.rows(); ++j)
          own += rest_.right(lifted, j) * y.middleRows(rest_row_ + j * s_.larger, s_.larger);
      ++lifted;
    }
  }

  Index narrowest() const override { return s_.core > 0 ? s_.core : s_.larger; }
  Index first_of_rest() const override { return has_rest_ ? rest_row_ : size_; }

  // |L v| ≤ ‖row of L‖₂ ‖v‖₂, so that no product is needed.
  VectorXd reach() const override {
    const Index p = parts();
    VectorXd out = VectorXd::Zero(static_cast<Index>(modes_.size()));
    const double lift = s_.lift.size() > 0 ? s_.lift.rowwise().norm().maxCoeff() : 0;
    Eigen::RowVectorXd lifted, plain;
    if (s_.core > 0) {
      lifted = lift * eigen_->right.colwise().norm();
      plain = eigen_->right.cwiseAbs().colwise().maxCoeff();
    }
    std::vector<const Pencil*> pencil_of(at(size_), nullptr);
    for (const Pencil& pencil : pencils_)
      for (Index i = 0; i < pencil.right.cols(); ++i) pencil_of[at(pencil.row + i)] = &pencil;
    for (std::size_t k = 0; k < modes_.size(); ++k) {
      const Mode& mode = modes_[k];
      double& most = out[static_cast<Index>(k)];
      const Index last = mode.row + mode.count * (mode.is_real() ? 1 : 2);
      const Pencil* const pencil = pencil_of[at(mode.row)];
      if (!pencil) {  // of the rest
        const Index first = (mode.row - rest_row_) / s_.larger;
        most = rest_.right.middleCols(first, mode.is_real() ? 1 : 2)
                   .cwiseAbs()
                   .rowwise()
                   .sum()
                   .maxCoeff();
        continue;
      }
      for (Index a = 0; a < p; ++a) {
        double own = 0;
        for (Index row = mode.row; row < last; ++row)
          for (Index half = 0; half < (pencil->pair ? 2 : 1); ++half) {
            const double size =
                s_.parts[at(a)].lifted ? lifted[pencil->k + half] : plain[pencil->k + half];
            own += std::abs(pencil->right(a + half * p, row - pencil->row)) * size;
          }
        most = std::max(most, own);
      }
    }
    return out;
  }

 private:
  // The p scalars that one eigenvalue μ of K leaves coupled, from row k of z (and k + 1 for a pair, as
  // real and imaginary part) to the rows of y.
  struct Pencil {
    Index k = 0;
    bool pair = false;
    Index row = 0;
    MatrixXd right, inverse;
  };

  Index parts() const { return static_cast<Index>(s_.parts.size()); }

  const double* z_row(const Pencil& pencil, const Rows& z, Index j, Index columns) const {
    const Index p = parts();
    return z.data() + (pencil.k + (j < p ? 0 : 1)) * z.cols() + (j % p) * columns;
  }
  void mix_in(const Pencil& pencil, const Rows& z, Rows& y, Index columns) const {
    for (Index i = 0; i < pencil.right.rows(); ++i) {
      double* out = y.data() + (pencil.row + i) * columns;
      std::fill_n(out, columns, 0.0);
      for (Index j = 0; j < pencil.right.rows(); ++j) {
        const double* in = z_row(pencil, z, j, columns);
        const double factor = pencil.inverse(i, j);
        for (Index c = 0; c < columns; ++c) out[c] += factor * in[c];
      }
    }
  }
  void mix_out(const Pencil& pencil, const Rows& y, Rows& z, Index columns) const {
    for (Index i = 0; i < pencil.right.rows(); ++i) {
      double* out = const_cast<double*>(z_row(pencil, z, i, columns));
      std::fill_n(out, columns, 0.0);
      for (Index j = 0; j < pencil.right.rows(); ++j) {
        const double* in = y.data() + (pencil.row + j) * columns;
        const double factor = pencil.right(i, j);
        for (Index c = 0; c < columns; ++c) out[c] += factor * in[c];
      }
    }
  }

  bool decompose(const ModeLimits& limits) {
    for (const auto& part : s_.parts) states_ += part.lifted ? s_.larger : s_.core;
    if (s_.core > 0) {
      if (s_.core > limits.most_core) return false;
      const MatrixXd core = s_.k();
      eigen_ = modes_of(core);
      if (!(eigen_->condition <= limits.condition)) return false;
      if (s_.larger > 0 && !find_projection(core, limits)) return false;
      for (Index k = 0; k < s_.core; ++k) {
        const Complex mu = eigen_->values[k];
        const MatrixXcd matrix = s_.of_eigenvalue(mu);
        if (mu.imag() == 0)
          add_real(k, matrix.real(), limits);
        else
          add_pair(k++, matrix, limits);
      }
    }
    has_rest_ = s_.larger > s_.core &&
                std::any_of(s_.parts.begin(), s_.parts.end(),
                            [](const system::Structure::Part& part) { return part.lifted; });
    if (has_rest_ && !add_rest(limits)) return false;
    how_ = s_.core > 0 ? "modes of " + matrix_of(s_.core) + ", shared by every leak and gain"
                       : "modes of units that hear each other one by one";
    if (!knots_.empty())
      how_ += "; " + std::to_string(knots_.size()) + " of " + std::to_string(pencils_.size()) +
              " by matrix exponential, where poles meet (a defective matrix)";
    return true;
  }

  // R with R L = I and R x = 0 for what the core does not hear: R = K⁻¹ W.
  bool find_projection(const MatrixXd& k, const ModeLimits& limits) {
    const auto project = core::solve_linear(k, s_.into);
    if (!project) return false;
    project_ = *project;
    const auto norm = [](const MatrixXd& m) { return m.cwiseAbs().colwise().sum().maxCoeff(); };
    return norm(project_) * norm(s_.lift) <= limits.condition;
  }

  void add_real(Index k, const MatrixXd& matrix, const ModeLimits& limits) {
    const Index p = parts();
    const RealModes modes = small_modes(matrix);
    if (modes.condition <= limits.condition) {
      pencils_.push_back({k, false, size_, modes.right, modes.inverse});
      for (Index j = 0; j < p; ++j) {
        modes_.push_back({size_ + j, 1, modes.values[j]});
        if (modes.values[j].imag() != 0) ++j;
      }
    } else {
      const MatrixXd identity = MatrixXd::Identity(p, p);
      pencils_.push_back({k, false, size_, identity, identity});
      knots_.push_back({size_, matrix, modes.values});
    }
    size_ += p;
  }

  void add_pair(Index k, const MatrixXcd& matrix, const ModeLimits& limits) {
    const Index p = parts();
    const ComplexModes modes = small_modes(matrix);
    if (modes.condition <= limits.condition) {
      // y is sorted by mode, real beside imaginary part.
      std::vector<Index> order;
      for (Index j = 0; j < p; ++j) {
        order.insert(order.end(), {j, p + j});
        const Complex value = modes.values[j];
        modes_.push_back({size_ + 2 * j, value.imag() == 0 ? 2 : 1, value});
      }
      pencils_.push_back({k, true, size_, as_real(modes.right)(Eigen::all, order),
                          as_real(modes.inverse)(order, Eigen::all)});
    } else {
      const MatrixXd identity = MatrixXd::Identity(2 * p, 2 * p);
      pencils_.push_back({k, true, size_, identity, identity});
      Eigen::VectorXcd values(2 * p);
      values << modes.values, modes.values.conjugate();
      knots_.push_back({size_, as_real(matrix), values});
    }
    size_ += 2 * p;
  }

  bool add_rest(const ModeLimits& limits) {
    rest_row_ = size_;
    rest_ = small_modes(s_.of_rest());
    if (!(rest_.condition <= limits.condition)) return false;
    for (Index j = 0; j < rest_.values.size(); ++j) {
      modes_.push_back({size_ + j * s_.larger, s_.larger, rest_.values[j]});
      if (rest_.values[j].imag() != 0) ++j;
    }
    size_ += rest_.values.size() * s_.larger;
    return true;
  }

  system::Structure s_;
  Index states_ = 0;
  std::shared_ptr<const RealModes> eigen_;
  MatrixXd project_;  // R, m × n
  std::vector<Pencil> pencils_;
  bool has_rest_ = false;
  Index rest_row_ = 0;
  RealModes rest_;  // of the lifted nodes, for what the core doesn't hear
};

// The relative error of M v by the modes, for one v that has a share of everything.
double error_of(const ModeBasis& basis, const system::OdeSystem& system,
                const std::vector<Index>& rows, const system::ConstBlock& x, Index trial,
                system::Workspace& workspace) {
  const Index n = static_cast<Index>(rows.size());
  MatrixXd v = MatrixXd::Zero(system.dimension(), 1), product(system.dimension(), 1);
  MatrixXd own = MatrixXd::Zero(n, steady_width(1, basis.narrowest()));
  for (Index i = 0; i < n; ++i) {
    own(i, 0) = std::cos(1.0 + 1.7 * static_cast<double>(i));
    v(rows[at(i)], 0) = own(i, 0);
  }
  system.jacobian_times(workspace.segment().begin, x, trial, v, product, workspace);
  Rows y, rate;
  basis.to_modes(own, y);
  rate.setZero(y.rows(), y.cols());
  double fastest = 0;
  for (const Mode& mode : basis.modes()) {
    const Complex value = mode.value;
    fastest = std::max(fastest, std::abs(value));
    for (Index i = 0; i < mode.count; ++i) {
      const Index re = mode.row + i, im = re + mode.count;
      rate.row(re) = value.real() * y.row(re);
      if (mode.is_real()) continue;
      rate.row(re) -= value.imag() * y.row(im);
      rate.row(im) = value.imag() * y.row(re) + value.real() * y.row(im);
    }
  }
  for (const Knot& knot : basis.knots()) {
    const Index size = knot.matrix.rows();
    rate.middleRows(knot.row, size) = knot.matrix * MatrixXd(y.middleRows(knot.row, size));
    fastest = std::max(fastest, knot.matrix.cwiseAbs().maxCoeff());
  }
  MatrixXd found;
  ModeBasis::Scratch scratch;
  basis.from_modes(rate, found, scratch);
  const MatrixXd expected = product(rows, Eigen::all);
  const double scale = std::max(expected.cwiseAbs().maxCoeff(), fastest);
  const double error = (found.col(0) - expected.col(0)).cwiseAbs().maxCoeff();
  basis.from_modes(y, found, scratch);
  const double back = (found - own).cwiseAbs().maxCoeff();
  return std::max(scale > 0 ? error / scale : error, back);
}

}  // namespace

std::shared_ptr<const ModeBasis> make_mode_basis(const system::OdeSystem& system,
                                                 const system::ConstBlock& x, Index trial,
                                                 system::Workspace& workspace,
                                                 const ModeLimits& limits) {
  const system::Segment& segment = workspace.segment();
  const std::vector<Index> rows = system.moving_rows(segment);
  if (rows.empty()) return std::make_shared<PlainBasis>(MatrixXd(0, 0), limits);
  const auto is_exact = [&](const ModeBasis& basis) {
    return error_of(basis, system, rows, x, trial, workspace) <= most_error;
  };
  try {
    if (auto structure = system::find_structure(system, segment)) {
      const auto basis = StructuredBasis::make(std::move(*structure), limits);
      if (basis && is_exact(*basis)) return basis;
    }
  } catch (const std::runtime_error&) {
    // An iteration that doesn't converge; that on the whole matrix may.
  }
  const MatrixXd matrix = system.jacobian(segment.begin, x, trial, workspace)(rows, rows);
  auto basis = std::make_shared<PlainBasis>(matrix, limits);
  if (!basis->knots().empty() || is_exact(*basis)) return basis;
  return std::make_shared<PlainBasis>(matrix,
                                      std::string("the eigenvectors don't reproduce the matrix"));
}

std::string why_too_large(const system::OdeSystem& system, int phase, const ModeLimits& limits) {
  const system::Segment segment{.phase = phase};
  const auto states = static_cast<double>(system.moving_rows(segment).size());
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

Index steady_width(Index columns, Index order) {
  return system::padded(order < 10 ? std::max<Index>(columns, 24) : columns);
}

void forget_decompositions() { kept().forget(); }

std::int64_t decompositions() { return decomposed; }

}  // namespace settle::solve
