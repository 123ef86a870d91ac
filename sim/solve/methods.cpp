#include "sim/solve/cvode_methods.hpp"
#include "sim/solve/odeint_methods.hpp"
#include "sim/solve/rosenbrock_methods.hpp"

namespace settle::solve {

const core::Registry<Method>& methods() {
  static const core::Registry<Method> registry("solver", [] {
    std::vector<core::Entry<Method>> all = odeint_methods();
    for (auto& family : {rosenbrock_methods(), cvode_methods()})
      all.insert(all.end(), family.begin(), family.end());
    return all;
  }());
  return registry;
}

}  // namespace settle::solve
