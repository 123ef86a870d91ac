// A model is a builder: from its parameters to populations, controllers, projections and phases.
#pragma once

#include "models/spelt_out.hpp"

namespace settle::models {

/// What a model makes of its parameters.
struct Expansion {
  CircuitSpec circuit;
  std::vector<std::string> update_order;  ///< of semi_implicit_euler
};

class Model {
 public:
  virtual ~Model() = default;
  /// Its parameters, as keys of [model] beside `kind` and `trials`.
  virtual void fields(core::Fields& f) = 0;
  /// @throws InputError  for parameters that contradict each other
  virtual Expansion expand(const Place& place) const = 0;
};

/// Every model: dynamic_inversion.
const core::Registry<Model>& models();

/// Entry k of n of a list that holds one value for all or one each.
/// @throws InputError  at `key` for another length
template <class T>
const T& one_each(const std::vector<T>& values, std::size_t k, std::size_t n, const Place& place,
                  const std::string& key, const std::string& each) {
  if (values.size() != 1 && values.size() != n)
    place.fail(key, "a list of " + std::to_string(values.size()),
               n == 1 ? "one value" : "one value, or " + std::to_string(n) + " of them: " + each);
  return values.size() == 1 ? values.front() : values[k];
}

}  // namespace settle::models
