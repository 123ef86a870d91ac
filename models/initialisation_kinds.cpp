#include "models/initialisation_kinds.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "sim/core/random.hpp"

namespace settle::models {

using core::any_number;
using core::Fields;
using core::RandomStream;
using core::Value;
using system::Weights;

namespace {

std::uint64_t unsigned_index(Index i) { return static_cast<std::uint64_t>(i); }

std::string matrix_text(Index rows, Index cols) {
  return "a " + std::to_string(rows) + " × " + std::to_string(cols) + " matrix";
}

void require_dense(const Initialisation& init, const InitContext& context) {
  init.require_memory(static_cast<double>(context.rows) * static_cast<double>(context.cols),
                      matrix_text(context.rows, context.cols));
}

// The matrix whose entry in row i and column j is draw(i · cols + j).
template <class Draw>
MatrixXd drawn_matrix(const InitContext& context, Draw draw) {
  MatrixXd w(context.rows, context.cols);
  for (Index j = 0; j < context.cols; ++j)
    for (Index i = 0; i < context.rows; ++i) w(i, j) = draw(unsigned_index(i * context.cols + j));
  return w;
}

// A member whose entries are independent, of a distribution draw(stream, index, sub).
template <class Derived>
struct RandomInit : Member<Derived> {
  bool is_random() const final { return true; }
  Weights make(const InitContext& context) const final {
    require_dense(*this, context);
    const RandomStream stream(context.seed, context.stream);
    const auto& self = static_cast<const Derived&>(*this);
    return Weights(drawn_matrix(context, [&](std::uint64_t k) { return self.draw(stream, k, 0); }));
  }
  VectorXd column(const InitContext& context, std::uint64_t trial) const final {
    const RandomStream stream(context.seed, context.stream);
    VectorXd x(context.rows);
    for (Index i = 0; i < x.size(); ++i)
      x[i] = static_cast<const Derived&>(*this).draw(stream, unsigned_index(i), trial);
    return x;
  }
};

/// w_ij ~ U(low, high), independent; low −0.1, high 0.1.
struct UniformInit final : RandomInit<UniformInit> {
  static constexpr const char* label = "uniform";
  double low = -0.1, high = 0.1;

  void fields(Fields& f) override {
    f.number({"low", "1", "lower end"}, low, any_number());
    f.number({"high", "1", "upper end"}, high, any_number());
  }
  void check() const override {
    if (!(low < high))
      fail("high", "low = " + core::brief(low) + " and high = " + core::brief(high), "low < high");
  }
  double draw(const RandomStream& stream, std::uint64_t index, std::uint64_t sub) const {
    return low + (high - low) * stream.uniform(index, sub);
  }
};

/// w_ij ~ N(mean, std²), independent; mean 0, std 0.1.
struct NormalInit final : RandomInit<NormalInit> {
  static constexpr const char* label = "normal";
  double mean = 0, std = 0.1;

  void fields(Fields& f) override {
    f.number({"mean", "1", "mean"}, mean, any_number());
    f.number({"std", "1", "standard deviation"}, std, core::non_negative());
  }
  double draw(const RandomStream& stream, std::uint64_t index, std::uint64_t sub) const {
    return mean + std * stream.normal(index, sub);
  }
};

/// W Wᵀ = gain² I (wide) or Wᵀ W = gain² I (tall), Haar-distributed; gain 1.
struct OrthogonalInit final : Member<OrthogonalInit> {
  static constexpr const char* label = "orthogonal";
  double gain = 1;

  void fields(Fields& f) override {
    f.number({"gain", "1", "every singular value"}, gain, any_number());
  }
  bool makes_vectors() const override { return false; }
  Weights make(const InitContext& context) const override {
    require_dense(*this, context);
    const RandomStream stream(context.seed, context.stream);
    return Weights(
        MatrixXd(gain * core::orthonormalised(drawn_matrix(
                            context, [&](std::uint64_t k) { return stream.normal(k); }))));
  }
};

/// w_ij = scale for i = j, else 0; scale 1. A square one takes no memory.
struct IdentityInit final : Member<IdentityInit> {
  static constexpr const char* label = "identity";
  double scale = 1;

  void fields(Fields& f) override {
    f.number({"scale", "1", "every diagonal entry"}, scale, any_number());
  }
  bool makes_vectors() const override { return false; }
  Weights make(const InitContext& context) const override {
    if (context.rows == context.cols) {
      const Weights identity{Weights::Identity{context.rows}};
      return scale == 1 ? identity : identity.scaled(scale);
    }
    require_dense(*this, context);
    return Weights(MatrixXd(scale * MatrixXd::Identity(context.rows, context.cols)));
  }
};

/// Each entry is there with probability `density` (0.1), and then N(0, std²), std 0.1; kept sparse.
/// Row i draws the gaps between its entries, P(gap ≥ k) = (1 − density)^k, so that a row costs as
/// much as it has entries and depends on (seed, stream, i) alone.
struct SparseInit final : Member<SparseInit> {
  static constexpr const char* label = "sparse";
  double density = 0.1, std = 0.1;

  void fields(Fields& f) override {
    f.number({"density", "1", "probability of an entry"}, density, core::between(0, 1));
    f.number({"std", "1", "standard deviation of the entries"}, std, core::non_negative());
  }
  bool makes_vectors() const override { return false; }

  Weights make(const InitContext& context) const override {
    const Index rows = context.rows, cols = context.cols;
    const double entries = density * static_cast<double>(rows) * static_cast<double>(cols);
    require_memory(1.5 * entries + 0.5 * static_cast<double>(rows), matrix_text(rows, cols));
    constexpr double most = std::numeric_limits<int>::max();
    if (entries + 10 * std::sqrt(entries) > most ||
        static_cast<double>(std::max(rows, cols)) >= most)
      fail("density", matrix_text(rows, cols) + " of about " + core::brief(entries) + " entries",
           "fewer than 2³¹ entries, rows and columns");

    const RandomStream stream(context.seed, context.stream);
    const double log_absent = std::log1p(-density);  // −∞ for density 1: no gap at all
    Weights::Sparse w(rows, cols);
    w.reserve(static_cast<Index>(entries + 4 * std::sqrt(entries)) + 1);
    for (Index i = 0; i < rows; ++i) {
      w.startVec(i);
      double j = -1;
      for (std::uint64_t k = 0; density > 0; ++k) {
        j += 1 + std::floor(std::log1p(-stream.uniform(k, 2 * unsigned_index(i))) / log_absent);
        if (j >= static_cast<double>(cols)) break;
        w.insertBack(i, static_cast<Index>(j)) = std * stream.normal(k, 2 * unsigned_index(i) + 1);
      }
    }
    w.finalize();
    return Weights(std::move(w));
  }
};

/// B = sign · scale · Wᵀ; scale 1.
struct ScaledTranspose : RelativeInit {
  double scale = 1;

  void fields(Fields& f) override {
    RelativeInit::fields(f);
    f.number({"scale", "1", "factor"}, scale, core::positive());
  }
  Weights scaled_transpose(const InitContext& context, double sign) const {
    const Weights transposed = forward(context).transposed();
    return sign * scale == 1 ? transposed : transposed.scaled(sign * scale);
  }
};

/// B = scale · Wᵀ.
struct TransposeInit final : Member<TransposeInit, ScaledTranspose> {
  static constexpr const char* label = "transpose";
  Weights make(const InitContext& context) const override { return scaled_transpose(context, 1); }
};

/// B = −scale · Wᵀ. With it every loop of the canonical form is stable for a leak > 0.
struct NegativeTransposeInit final : Member<NegativeTransposeInit, ScaledTranspose> {
  static constexpr const char* label = "negative_transpose";
  Weights make(const InitContext& context) const override { return scaled_transpose(context, -1); }
};

/// B = −W⁺, minus the Moore–Penrose pseudoinverse.
struct NegativePseudoinverseInit final : Member<NegativePseudoinverseInit, RelativeInit> {
  static constexpr const char* label = "negative_pseudoinverse";

  Weights make(const InitContext& context) const override {
    return Weights(MatrixXd(-core::pseudoinverse(forward_dense(context))));
  }
};

/// B = −scale · sign(W)ᵀ; scale 1. Not always stable.
/// Source: Liao, Leibo, Poggio, "How important is weight symmetry in backpropagation?", AAAI 2016.
struct SignSymmetricInit final : Member<SignSymmetricInit, RelativeInit> {
  static constexpr const char* label = "sign_symmetric";
  double scale = 1;

  void fields(Fields& f) override {
    RelativeInit::fields(f);
    f.number({"scale", "1", "size of every entry"}, scale, core::positive());
  }
  Weights make(const InitContext& context) const override {
    const auto entry = [this](double w) { return w > 0 ? -scale : w < 0 ? scale : 0.0; };
    const Weights w = forward(context).transposed();
    if (const auto* sparse = std::get_if<Weights::Sparse>(&w.as_variant()))
      return Weights(Weights::Sparse(sparse->unaryExpr(entry)));
    if (const auto* diagonal = std::get_if<Weights::Diagonal>(&w.as_variant()))
      return Weights(Weights::Diagonal{diagonal->entries.unaryExpr(entry)});
    if (w.is_identity()) return w.scaled(-scale);
    return Weights(MatrixXd(w.dense().unaryExpr(entry)));
  }
};

/// B0 = −Wᵀ turned away by θ, at the same length: in the Frobenius inner product
///
///     B = ‖W‖ (cos θ B0/‖B0‖ + sin θ N/‖N‖),   N_ij ~ N(0, 1), less its part along B0
///
/// Parameters: `degrees`, θ in [0, 180] (0); `from`, negative_transpose (default) | transpose, with which it is
/// minus that matrix to the bit: turned away from Wᵀ.
/// @throws InputError  for a single entry that is to be turned
struct RotatedInit final : Member<RotatedInit, RelativeInit> {
  static constexpr const char* label = "rotated";
  double degrees = 0;
  std::string from = "negative_transpose";

  void fields(Fields& f) override {
    RelativeInit::fields(f);
    f.number({"degrees", "degree", "angle to what it is turned away from"}, degrees,
             core::between(0, 180));
    f.choice({"from", "", "what it is turned away from; feedback alignment wants transpose"}, from,
             {"negative_transpose", "transpose"});
  }
  Weights make(const InitContext& context) const override {
    MatrixXd b = -forward_dense(context).transpose();
    // Sines that are exact at 0, 90 and 180 degrees.
    const auto sine = [](double angle) { return std::sin(angle * std::numbers::pi / 180); };
    const double along = sine(90 - degrees), across = sine(std::min(degrees, 180 - degrees));
    const double length = b.norm();
    if (across > 0 && length > 0) {
      if (b.size() == 1) fail("degrees", "a single entry, which can't be turned", "0 or 180");
      InitContext same = context;
      same.rows = b.rows();
      same.cols = b.cols();
      const RandomStream stream(context.seed, context.stream);
      MatrixXd normal = drawn_matrix(same, [&](std::uint64_t k) { return stream.normal(k); });
      normal -= (normal.cwiseProduct(b).sum() / (length * length)) * b;
      b = along * b + (across * length / normal.norm()) * normal;
    } else {
      b *= along;
    }
    return Weights(from == "transpose" ? MatrixXd(-b) : b);
  }
};

template <class Member>
core::Entry<Initialisation> entry(std::string summary) {
  return {Member::label, std::move(summary), core::make_entry<Initialisation, Member>};
}

// A name, or a list of names.
core::CustomForm of_form(std::vector<std::string>& of) {
  return {
      "a projection's name, or a list of them",
      [&of](const Value& value, const std::string& path) {
        const auto read_name = [&](const Value& name) {
          if (!name.is_text() || name.text().empty())
            core::fail(name, path, name.describe(), "the name of a projection, or a list of names");
          of.push_back(name.text());
        };
        of.clear();
        if (!value.is_array()) return read_name(value);
        if (value.array().empty())
          core::fail(value, path, value.describe(), "the name of a projection, or a list of names");
        for (const Value& name : value.array()) read_name(name);
      },
      [&of]() -> std::optional<Value> {
        if (of.empty()) return std::nullopt;
        if (of.size() == 1) return Value(of[0]);
        return Value(core::Array(of.begin(), of.end()));
      }};
}

Weights given_matrix(const GivenNumbers& given) {
  using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Index rows = given.shape.size() > 1 ? given.shape[0] : 1;
  const Index count = static_cast<Index>(given.values.size());
  return Weights(
      MatrixXd(Eigen::Map<const RowMajor>(given.values.data(), rows, rows > 0 ? count / rows : 0)));
}

}  // namespace

GivenNumbers read_numbers(const Value& value, const std::string& path) {
  const std::string expected = "a list of finite numbers, or a list of such lists of one length";
  GivenNumbers out;
  const auto read_row = [&](const Value& row, const std::string& where) {
    for (std::size_t j = 0; j < row.array().size(); ++j) {
      const Value& item = row.array()[j];
      const std::string here = where + "[" + std::to_string(j) + "]";
      if (!item.is_number()) core::fail(item, here, item.describe(), expected);
      if (!std::isfinite(item.number()))
        core::fail(item, here, item.describe(), any_number().text());
      out.values.push_back(item.number());
    }
  };
  if (!value.is_array() || value.array().empty())
    core::fail(value, path, value.describe(), expected);
  const core::Array& rows = value.array();
  out.shape.push_back(static_cast<Index>(rows.size()));
  if (!rows[0].is_array()) {
    read_row(value, path);
    return out;
  }
  const std::size_t length = rows[0].array().size();
  out.shape.push_back(static_cast<Index>(length));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string here = path + "[" + std::to_string(i) + "]";
    if (!rows[i].is_array() || rows[i].array().empty() || rows[i].array().size() != length)
      core::fail(rows[i], here, rows[i].describe(),
                 length == 0
                     ? expected
                     : "a list of " + std::to_string(length) + " numbers, as in the first row");
    read_row(rows[i], here);
  }
  return out;
}

void ConstantInit::fields(Fields& f) {
  f.number({"value", "1", "every entry"}, value, any_number());
}

Weights ConstantInit::make(const InitContext& context) const {
  require_dense(*this, context);
  return Weights(MatrixXd(MatrixXd::Constant(context.rows, context.cols, value)));
}

VectorXd ConstantInit::column(const InitContext& context, std::uint64_t) const {
  return VectorXd::Constant(context.rows, value);
}

void ValuesInit::fields(Fields& f) {
  const core::CustomForm form{
      "a list of numbers, or a list of such lists",
      [this](const Value& v, const std::string& where) { numbers = read_numbers(v, where); },
      [this]() -> std::optional<Value> {
        if (numbers.values.empty()) return std::nullopt;
        if (numbers.shape.size() == 1)
          return Value(core::Array(numbers.values.begin(), numbers.values.end()));
        core::Array rows;
        for (auto row = numbers.values.begin(); row != numbers.values.end();
             row += numbers.shape[1])
          rows.emplace_back(core::Array(row, row + numbers.shape[1]));
        return Value(std::move(rows));
      }};
  f.custom({"values", "1", "the numbers, row by row", true}, form);
}

std::optional<GivenNumbers> ValuesInit::given(const std::filesystem::path&) const {
  return numbers;
}

std::optional<GivenNumbers> FileInit::given(const std::filesystem::path& base) const {
  io::DataArray data = io::read_data(file, base, at, path);
  GivenNumbers out;
  out.shape.assign(data.shape.begin(), data.shape.end());
  if (out.shape.empty()) out.shape = {1};
  out.values = std::move(data.values);
  return out;
}

void FileInit::fields(Fields& f) { file.fields(f); }

void FileInit::make_absolute(const std::filesystem::path& base) {
  if (file.file.starts_with("${")) return;  // a variable says where
  file.file = (std::filesystem::absolute(base) / file.file).lexically_normal().string();
}

Weights ValuesInit::make(const InitContext&) const { return given_matrix(numbers); }

Weights FileInit::make(const InitContext& context) const {
  return given_matrix(*given(context.base));
}

void RelativeInit::fields(Fields& f) {
  f.custom({"of", "", "the projection whose matrix is W, or several whose product in order is W"},
           of_form(of));
}

Weights RelativeInit::forward(const InitContext& context) const {
  if (of.empty())
    fail("of", "\"of\" is missing",
         "the projection that \"" + name() + "\" refers to, such as of = \"hidden->control\"");
  const Value* written = at.find("of");
  const std::string where = path + ".of";

  std::vector<Weights> matrices;
  for (std::size_t k = 0; k < of.size(); ++k) {
    const Weights& next = context.weights_of(of[k], written ? *written : at, where);
    if (k > 0 && next.rows() != matrices.back().cols())
      fail("of",
           "\"" + of[k - 1] + "\" has " + std::to_string(matrices.back().cols()) +
               " columns and \"" + of[k] + "\" " + std::to_string(next.rows()) + " rows",
           "matrices that can be multiplied in this order");
    matrices.push_back(next);
  }
  return product_of(*this, matrices);
}

MatrixXd RelativeInit::forward_dense(const InitContext& context) const {
  const Weights w = forward(context);
  require_memory(static_cast<double>(w.rows()) * static_cast<double>(w.cols()),
                 matrix_text(w.rows(), w.cols()));
  return w.dense();
}

void SsaInit::fields(Fields& f) {
  RelativeInit::fields(f);
  f.number({"low", "1", "lower end of the random start"}, low, any_number());
  f.number({"high", "1", "upper end of the random start"}, high, any_number());
  f.number({"margin", "1/time", "wanted: max Re λ < −margin"}, options.margin,
           core::non_negative());
  f.number({"step", "1", "longest step, in units of the gradient"}, options.step, core::positive());
  f.integer({"iterations", "1", "at most"}, options.iterations, 0, 1'000'000'000);
  f.number({"leak", "1", "α of the loop; the model's unless given"}, leak, core::non_negative());
  f.number({"p", "1", "k_p of the loop"}, p, any_number());
  f.number({"i", "1", "k_i of the loop"}, i, any_number());
  f.number({"d", "1", "k_d of the loop"}, d, any_number());
  f.number({"tau", "time", "τ of the population"}, tau, core::positive());
  f.number({"controller_tau", "time", "τ_u of the integrator"}, controller_tau, core::positive());
  f.number({"derivative_tau", "time", "τ_d of the derivative's filter"}, derivative_tau,
           core::positive());
}

void SsaInit::check() const {
  if (!(low < high))
    fail("high", "low = " + core::brief(low) + " and high = " + core::brief(high), "low < high");
}

void SsaInit::fill(const LoopParameters& loop) {
  leak = leak.value_or(loop.leak);
  p = p.value_or(loop.p);
  i = i.value_or(loop.i);
  d = d.value_or(loop.d);
  tau = tau.value_or(loop.tau);
  controller_tau = controller_tau.value_or(loop.controller_tau);
  derivative_tau = derivative_tau.value_or(loop.derivative_tau);
}

Weights SsaInit::make(const InitContext& context) const {
  const MatrixXd w = forward_dense(context);
  if (w.rows() != context.cols || w.cols() != context.rows)
    fail("of", "W is " + matrix_text(w.rows(), w.cols()),
         matrix_text(context.cols, context.rows) + ", so that B (" + std::to_string(context.rows) +
             " × " + std::to_string(context.cols) + ") and W make a loop");
  SsaInit filled = *this;
  filled.fill({});
  const LoopParameters loop{.tau = *filled.tau,
                            .controller_tau = *filled.controller_tau,
                            .derivative_tau = *filled.derivative_tau,
                            .leak = *filled.leak,
                            .p = *filled.p,
                            .i = *filled.i,
                            .d = *filled.d};
  const RandomStream stream(context.seed, context.stream);
  StabiliseResult result = stabilise(
      w,
      drawn_matrix(context,
                   [&](std::uint64_t k) { return low + (high - low) * stream.uniform(k); }),
      loop, options);
  if (!result.stable)
    fail("init", "no feedback was found with which the loop is stable: " + result.reason,
         result.remedy);
  return Weights(std::move(result.b));
}

const core::Registry<Initialisation>& initialisations() {
  static const core::Registry<Initialisation> registry(
      "initialisations",
      {entry<ConstantInit>("every entry is `value`"),
       entry<UniformInit>("independent, uniform from `low` to `high`"),
       entry<NormalInit>("independent, normal"),
       entry<OrthogonalInit>("random with orthonormal rows or columns, times `gain`"),
       entry<IdentityInit>("`scale` on the diagonal"),
       entry<SparseInit>(
           "each entry is there with probability `density`, then normal; kept sparse"),
       entry<ValuesInit>("the numbers in place; a list alone will do"),
       entry<FileInit>("the numbers of a file; { file = \"…\" } alone will do"),
       entry<TransposeInit>("Wᵀ of another projection"),
       entry<NegativeTransposeInit>("−Wᵀ of another projection: negative feedback"),
       entry<NegativePseudoinverseInit>("−W⁺ of another projection: the exact inverse, negative"),
       entry<SignSymmetricInit>("−scale·sign(W)ᵀ of another projection"),
       entry<RotatedInit>("−Wᵀ of another projection, turned away by `degrees` at random"),
       entry<ProductInit>("a product of matrices, each with an initialisation of its own"),
       entry<SsaInit>("random, then moved until the loop with another projection is stable")});
  return registry;
}

}  // namespace settle::models
