// Transfer functions φ with their slopes φ′, elementwise.
#pragma once

#include <Eigen/Core>
#include <memory>

#include "sim/core/registry.hpp"

namespace settle::core {

/// r = φ(x), elementwise, with its exact slope φ′(x). At a kink the slope is that of the left piece
/// (φ′(0) = 0 for relu), so that a silent unit is silent in the Jacobian too.
class TransferFunction {
 public:
  virtual ~TransferFunction() = default;
  virtual void value(const double* x, double* r, Eigen::Index n) const = 0;
  virtual void slope(const double* x, double* d, Eigen::Index n) const = 0;
  /// φ″(x), for the Jacobian of edges that carry the receiver's slope.
  virtual void curvature(const double* x, double* c, Eigen::Index n) const = 0;
  virtual bool is_identity() const { return false; }
  /// The range (infimum, supremum) of φ.
  virtual std::pair<double, double> range() const = 0;
  /// The bounds (infimum, supremum) of φ′.
  virtual std::pair<double, double> slopes() const = 0;
  /// φ in Unicode, for equations shown to people ("tanh x").
  virtual std::string equation() const = 0;
  virtual void fields(Fields&) {}
  virtual std::string name() const = 0;
};

using Transfer = std::shared_ptr<const TransferFunction>;

/// Every transfer function: identity, tanh, relu, leaky_relu, softplus, logistic, elu, sine,
/// threshold_linear.
const Registry<TransferFunction>& transfer_functions();

/// The transfer function of that name, with its defaults.
Transfer transfer(const std::string& name);

/// Reads `"tanh"` or `{ kind = "leaky_relu", slope = 0.01 }`.
Transfer read_transfer(const Value& value, const std::string& path);
Value write_transfer(const Transfer& transfer);
/// The form for Fields::custom.
CustomForm transfer_form(Transfer& target);

}  // namespace settle::core
