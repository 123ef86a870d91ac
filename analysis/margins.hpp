// How stability depends on a controller's leak and gains, the equilibrium following them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "analysis/linearisation.hpp"
#include "models/build.hpp"

namespace settle::analysis {

/// One of a controller's four numbers.
enum class Parameter { leak, p, i, d };
constexpr Parameter all_parameters[] = {Parameter::leak, Parameter::p, Parameter::i, Parameter::d};
/// "leak", "p", "i", "d".
const char* name(Parameter parameter);
/// The key that sets it: "leak", "gains.p" …
std::string key(Parameter parameter);
double value(const models::Gains& gains, Parameter parameter);
models::Gains with(models::Gains gains, Parameter parameter, double value);
models::Gains gains_of(const system::Controller& controller);

/// The circuit of one trial with other gains, at rest: each asked for is built, brought to its
/// equilibrium by Newton's method from the one asked for last, and linearised there.
class GainStudy {
 public:
  /// @param config   of the circuit, for what a gain that was zero must build
  /// @param problem  a circuit of one trial, and its segment
  /// @param rest     its state of rest, from which others are looked for
  GainStudy(const models::Config& config, const solve::RestProblem& problem, VectorXd rest,
            Index dense_limit = default_dense_limit);

  struct Point {
    std::string why_not;   ///< no equilibrium, or no pole; empty where both exist
    double abscissa = 0;   ///< max Re s; exactly 0 where it is so to rounding
    double frequency = 0;  ///< |Im s| of that pole
  };
  Point at(std::size_t controller, const models::Gains& gains);

 private:
  VectorXd carried_to(const system::OdeSystem& system) const;

  const models::Config& config_;
  solve::RestProblem problem_;
  Index dense_limit_;
  std::unique_ptr<const system::OdeSystem> last_;  // asked for; null: problem_'s
  VectorXd rest_;                                  // of it
};

/// Where stability changes as one parameter moves one way from its value, the rest staying.
struct ParameterMargin {
  double at = 0;  ///< the parameter where max Re s = 0; NaN where there is none
  double frequency =
      0;  ///< angular, of the pole that crosses: 0 for a real pole, else an oscillating pair
  std::string reason;  ///< why there is none
};

/// The nearest change below (`upwards` false) or above the parameter's value v: a leak is followed from
/// 0, a gain keeps its sign, both up to 10⁴ v (a parameter that is 0: to 10⁴). It is found by root finding on
/// max Re s + rate over the equilibria that follow the parameter.
/// @param rate  the decay that counts as stable; 0: the boundary of stability itself
ParameterMargin parameter_margin(GainStudy& study, std::size_t controller,
                                 const models::Gains& gains, Parameter parameter, bool upwards,
                                 double rate = 0);

}  // namespace settle::analysis
