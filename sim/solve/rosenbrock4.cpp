#include "sim/solve/rosenbrock4.hpp"

// A singular matrix ends in numbers that aren't finite, not in an exception.
#define BOOST_UBLAS_NDEBUG 1

#include <boost/numeric/odeint/stepper/rosenbrock4.hpp>
#include <utility>

namespace settle::solve {
namespace {

using Vector = boost::numeric::ublas::vector<double>;
using Matrix = boost::numeric::ublas::matrix<double>;

// Boost 1.74 has lost the sign of d₄, the weight of ∂f/∂t in the fourth stage; under a drive that
// depends on time that leaves a method of order 1. Source: Hairer and Wanner's RODAS.
struct Coefficients : boost::numeric::odeint::default_rosenbrock_coefficients<double> {
  const double d4 = -0.3620000000000023e-01;
};

double* data(Vector& v) { return &v.data()[0]; }
const double* data(const Vector& v) { return &v.data()[0]; }

}  // namespace

struct Rosenbrock4Stepper::State {
  explicit State(std::size_t n) : x(n), x_new(n), error(n) {}
  boost::numeric::odeint::rosenbrock4<double, Coefficients> stepper;
  Vector x, x_new, error;
};

Rosenbrock4Stepper::Rosenbrock4Stepper(std::size_t n) : state_(std::make_unique<State>(n)) {}
Rosenbrock4Stepper::~Rosenbrock4Stepper() = default;
Rosenbrock4Stepper::Rosenbrock4Stepper(Rosenbrock4Stepper&&) noexcept = default;
Rosenbrock4Stepper& Rosenbrock4Stepper::operator=(Rosenbrock4Stepper&&) noexcept = default;

void Rosenbrock4Stepper::step(const Derivative& derivative, const Jacobian& jacobian, double t,
                              const double* x, double h, double* x_new, double* error) {
  State& s = *state_;
  const auto rates = [&](const Vector& at, Vector& dxdt, double time) {
    derivative(time, data(at), data(dxdt));
  };
  const auto slopes = [&](const Vector& at, Matrix& j, const double& time, Vector& dfdt) {
    jacobian(time, data(at), &j.data()[0], data(dfdt));
  };
  std::copy(x, x + s.x.size(), data(s.x));
  s.stepper.do_step(std::make_pair(rates, slopes), s.x, t, s.x_new, h, s.error);
  std::copy(s.x_new.begin(), s.x_new.end(), x_new);
  std::copy(s.error.begin(), s.error.end(), error);
}

void Rosenbrock4Stepper::prepare_dense_output() { state_->stepper.prepare_dense_output(); }

void Rosenbrock4Stepper::interpolate(double t, double t_old, const double* x_old, double t_new,
                                     const double* x_new, double* x) const {
  State& s = *state_;
  std::copy(x_old, x_old + s.x.size(), data(s.x));
  std::copy(x_new, x_new + s.x.size(), data(s.x_new));
  s.stepper.calc_state(t, s.error, s.x, t_old, s.x_new, t_new);
  std::copy(s.error.begin(), s.error.end(), x);
}

}  // namespace settle::solve
