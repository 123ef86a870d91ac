// Odeint's rosenbrock4 behind plain pointers. Its uBLAS fails under C++20, so rosenbrock4.cpp is
// compiled as C++17, and neither file includes another of this project.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace settle::solve {

/// RODAS 4(3), a linearly implicit (Rosenbrock) method of six stages, L-stable and stiffly
/// accurate:
///
///     (1/(γh) − J) g_i = f(t + c_i h, x + Σ_j a_ij g_j) + Σ_j c_ij g_j / h + h d_i ∂f/∂t,   i = 1
///     … 6
///
/// with x_{n+1} = x + Σ_j a_6j g_j + g_6 and the error estimate g_6. Its dense output is of
/// order 3.
///
/// Source: Hairer, Wanner, Solving Ordinary Differential Equations II, section IV.7.
class Rosenbrock4Stepper {
 public:
  /// dxdt = f(t, x)
  using Derivative = std::function<void(double t, const double* x, double* dxdt)>;
  /// J = ∂f/∂x (n × n, row after row) and ∂f/∂t (n)
  using Jacobian = std::function<void(double t, const double* x, double* jacobian, double* dfdt)>;

  explicit Rosenbrock4Stepper(std::size_t n);
  ~Rosenbrock4Stepper();
  Rosenbrock4Stepper(Rosenbrock4Stepper&&) noexcept;
  Rosenbrock4Stepper& operator=(Rosenbrock4Stepper&&) noexcept;

  /// One step of length h from (t, x). Where the matrix is singular, what it writes isn't finite.
  /// The first evaluation is that at (t, x).
  void step(const Derivative& derivative, const Jacobian& jacobian, double t, const double* x,
            double h, double* x_new, double* error);
  /// Prepares interpolate() within the last step.
  void prepare_dense_output();
  void interpolate(double t, double t_old, const double* x_old, double t_new, const double* x_new,
                   double* x) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace settle::solve
