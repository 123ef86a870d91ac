#include "sim/core/transfer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sim/core/elementary.hpp"

namespace settle::core {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// A transfer function from its scalar φ(x), φ′(x) and φ″(x) in `Derived`.
template <class Derived>
struct Elementwise : TransferFunction {
  void value(const double* x, double* r, Eigen::Index n) const final {
    const auto& self = static_cast<const Derived&>(*this);
    for (Eigen::Index i = 0; i < n; ++i) r[i] = self.phi(x[i]);
  }
  void slope(const double* x, double* d, Eigen::Index n) const final {
    const auto& self = static_cast<const Derived&>(*this);
    for (Eigen::Index i = 0; i < n; ++i) d[i] = self.phi_slope(x[i]);
  }
  void curvature(const double* x, double* c, Eigen::Index n) const final {
    const auto& self = static_cast<const Derived&>(*this);
    for (Eigen::Index i = 0; i < n; ++i) c[i] = self.phi_curvature(x[i]);
  }
};

// The same for φ, φ′ and φ″ of several numbers at once (elementary.hpp).
template <class Derived>
struct LaneWise : TransferFunction {
  void value(const double* x, double* r, Eigen::Index n) const final {
    for_lanes(x, r, n, [this](Lanes v) { return self().phi(v); });
  }
  void slope(const double* x, double* d, Eigen::Index n) const final {
    for_lanes(x, d, n, [this](Lanes v) { return self().phi_slope(v); });
  }
  void curvature(const double* x, double* c, Eigen::Index n) const final {
    for_lanes(x, c, n, [this](Lanes v) { return self().phi_curvature(v); });
  }

 private:
  const Derived& self() const { return static_cast<const Derived&>(*this); }
};

/// φ(x) = x
struct Identity final : Elementwise<Identity> {
  double phi(double x) const { return x; }
  double phi_slope(double) const { return 1.0; }
  double phi_curvature(double) const { return 0.0; }
  bool is_identity() const override { return true; }
  std::pair<double, double> range() const override { return {-infinity, infinity}; }
  std::pair<double, double> slopes() const override { return {1, 1}; }
  std::string equation() const override { return "x"; }
  std::string name() const override { return "identity"; }
};

/// φ(x) = tanh x,  φ′ = 1 − tanh² x = 4 e/(1 + e)² with e = e^{−2|x|}
struct Tanh final : LaneWise<Tanh> {
  Lanes phi(Lanes x) const { return hyperbolic_tangent(x); }
  Lanes phi_slope(Lanes x) const {
    const Lanes e = exp_nonpositive(-2.0 * absolute(x));
    return 4.0 * e / ((1.0 + e) * (1.0 + e));
  }
  Lanes phi_curvature(Lanes x) const { return -2.0 * phi(x) * phi_slope(x); }
  std::pair<double, double> range() const override { return {-1, 1}; }
  std::pair<double, double> slopes() const override { return {0, 1}; }
  std::string equation() const override { return "tanh x"; }
  std::string name() const override { return "tanh"; }
};

/// φ(x) = max(x, 0)
struct Relu final : Elementwise<Relu> {
  double phi(double x) const { return x < 0.0 ? 0.0 : x; }  // keeps NaN
  double phi_slope(double x) const { return x > 0.0 ? 1.0 : 0.0; }
  double phi_curvature(double) const { return 0.0; }
  std::pair<double, double> range() const override { return {0, infinity}; }
  std::pair<double, double> slopes() const override { return {0, 1}; }
  std::string equation() const override { return "max(x, 0)"; }
  std::string name() const override { return "relu"; }
};

/// φ(x) = x for x > 0, c x else
struct LeakyRelu final : Elementwise<LeakyRelu> {
  double negative_slope = 0.01;
  double phi(double x) const { return x > 0.0 ? x : negative_slope * x; }
  double phi_slope(double x) const { return x > 0.0 ? 1.0 : negative_slope; }
  double phi_curvature(double) const { return 0.0; }
  std::pair<double, double> range() const override {
    return {negative_slope > 0 ? -infinity : 0.0, infinity};
  }
  std::pair<double, double> slopes() const override { return {negative_slope, 1}; }
  std::string equation() const override { return "max(x, " + number_text(negative_slope) + " x)"; }
  std::string name() const override { return "leaky_relu"; }
  void fields(Fields& f) override {
    f.number({"slope", "1", "slope c for x < 0"}, negative_slope, between(0, 1));
  }
};

/// φ(x) = 1/(1 + e⁻ˣ),  φ′ = φ(1 − φ)
struct Logistic final : LaneWise<Logistic> {
  Lanes phi(Lanes x) const {
    const Lanes e = exp_nonpositive(-absolute(x));
    return (x > 0.0 ? in_every_lane(1.0) : e) / (1.0 + e);
  }
  Lanes phi_slope(Lanes x) const {
    const Lanes e = exp_nonpositive(-absolute(x));
    return e / ((1.0 + e) * (1.0 + e));
  }
  // φ″ = φ′ (1 − 2φ), and 1 − 2φ = −tanh x/2
  Lanes phi_curvature(Lanes x) const { return -phi_slope(x) * hyperbolic_tangent(0.5 * x); }
  std::pair<double, double> range() const override { return {0, 1}; }
  std::pair<double, double> slopes() const override { return {0, 0.25}; }
  std::string equation() const override { return "1/(1 + exp(−x))"; }
  std::string name() const override { return "logistic"; }
};

/// φ(x) = ln(1 + eˣ),  φ′ = 1/(1 + e⁻ˣ)
struct Softplus final : LaneWise<Softplus> {
  Lanes phi(Lanes x) const {
    return (x > 0.0 ? x : Lanes{}) + log1p_of_unit(exp_nonpositive(-absolute(x)));
  }
  Lanes phi_slope(Lanes x) const { return Logistic().phi(x); }
  Lanes phi_curvature(Lanes x) const { return Logistic().phi_slope(x); }
  std::pair<double, double> range() const override { return {0, infinity}; }
  std::pair<double, double> slopes() const override { return {0, 1}; }
  std::string equation() const override { return "ln(1 + exp x)"; }
  std::string name() const override { return "softplus"; }
};

/// φ(x) = x for x > 0, a (eˣ − 1) else
struct Elu final : LaneWise<Elu> {
  double scale = 1.0;
  Lanes phi(Lanes x) const { return x > 0.0 ? x : scale * expm1_nonpositive(x); }
  Lanes phi_slope(Lanes x) const {
    return x > 0.0 ? in_every_lane(1.0) : scale * exp_nonpositive(x);
  }
  Lanes phi_curvature(Lanes x) const { return x > 0.0 ? Lanes{} : scale * exp_nonpositive(x); }
  std::pair<double, double> range() const override { return {-scale, infinity}; }
  std::pair<double, double> slopes() const override { return {0, std::max(1.0, scale)}; }
  std::string equation() const override {
    const std::string factor = scale == 1 ? "" : number_text(scale) + " (";
    return "x for x > 0, " + factor + "exp x − 1" + (scale == 1 ? "" : ")") + " else";
  }
  std::string name() const override { return "elu"; }
  void fields(Fields& f) override {
    f.number({"scale", "1", "a: φ tends to −a for x → −∞"}, scale, positive());
  }
};

/// φ(x) = sin x
struct Sine final : Elementwise<Sine> {
  double phi(double x) const { return std::sin(x); }
  double phi_slope(double x) const { return std::cos(x); }
  double phi_curvature(double x) const { return -std::sin(x); }
  std::pair<double, double> range() const override { return {-1, 1}; }
  std::pair<double, double> slopes() const override { return {-1, 1}; }
  std::string equation() const override { return "sin x"; }
  std::string name() const override { return "sine"; }
};

/// φ(x) = min(max(g (x − θ), 0), s)
struct ThresholdLinear final : Elementwise<ThresholdLinear> {
  double threshold = 0.0;
  double gain = 1.0;
  double saturation = 1.0;
  double phi(double x) const {
    const double y = gain * (x - threshold);
    return y < 0.0 ? 0.0 : y > saturation ? saturation : y;  // keeps NaN
  }
  double phi_slope(double x) const {
    const double y = gain * (x - threshold);
    return y > 0.0 && y <= saturation ? gain : 0.0;
  }
  double phi_curvature(double) const { return 0.0; }
  std::pair<double, double> range() const override { return {0, saturation}; }
  std::pair<double, double> slopes() const override { return {0, gain}; }
  std::string equation() const override {
    std::string drive = threshold == 0  ? "x"
                        : threshold > 0 ? "x − " + number_text(threshold)
                                        : "x + " + number_text(-threshold);
    if (gain != 1) drive = number_text(gain) + (threshold == 0 ? " x" : " (" + drive + ")");
    return "min(max(" + drive + ", 0), " + number_text(saturation) + ")";
  }
  std::string name() const override { return "threshold_linear"; }
  void fields(Fields& f) override {
    f.number({"threshold", "1", "θ: below it the rate is 0"}, threshold, any_number());
    f.number({"gain", "1", "g: the slope between threshold and saturation"}, gain, positive());
    f.number({"saturation", "1", "s: the largest rate"}, saturation,
             {.low = 0, .low_open = true, .infinite = true});
  }
};

template <class T>
Entry<TransferFunction> entry(const char* summary) {
  return {T{}.name(), summary, &make_entry<TransferFunction, T>};
}

}  // namespace

const Registry<TransferFunction>& transfer_functions() {
  static const Registry<TransferFunction> registry(
      "transfer functions",
      {entry<Identity>("φ(x) = x"), entry<Tanh>("φ(x) = tanh x"), entry<Relu>("φ(x) = max(x, 0)"),
       entry<LeakyRelu>("φ(x) = x for x > 0, slope·x else"),
       entry<Softplus>("φ(x) = ln(1 + exp x)"), entry<Logistic>("φ(x) = 1/(1 + exp(−x))"),
       entry<Elu>("φ(x) = x for x > 0, scale·(exp x − 1) else"), entry<Sine>("φ(x) = sin x"),
       entry<ThresholdLinear>("φ(x) = min(max(gain·(x − threshold), 0), saturation)")});
  return registry;
}

Transfer transfer(const std::string& name) { return transfer_functions().find(name)->make(); }

Transfer read_transfer(const Value& value, const std::string& path) {
  const Value* kind = value.is_table() ? value.find("kind") : &value;
  if (!kind) fail(value, path, "\"kind\" is missing", "{ kind = \"…\", … }");
  std::unique_ptr<TransferFunction> made =
      transfer_functions().at(*kind, kind == &value ? path : path + ".kind").make();
  if (value.is_table()) {
    Reader reader(value, path);
    std::string name;
    reader.text({"kind", "", "the transfer function"}, name);
    made->fields(reader);
    reader.finish();
  }
  return made;
}

Value write_transfer(const Transfer& transfer) {
  Writer writer;
  std::string name = transfer->name();
  writer.text({"kind", "", ""}, name);
  const_cast<TransferFunction&>(*transfer).fields(writer);  // a Writer only reads
  return writer.result.table().size() == 1 ? Value(name) : writer.result;
}

CustomForm transfer_form(Transfer& target) {
  return {"a transfer function's name, or { kind = \"…\", its parameters }",
          [&target](const Value& v, const std::string& path) { target = read_transfer(v, path); },
          [&target] { return target ? std::optional(write_transfer(target)) : std::nullopt; }};
}

}  // namespace settle::core
