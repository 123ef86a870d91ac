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

}  // namespace settle::models
