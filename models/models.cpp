#include "models/dynamic_inversion.hpp"

namespace settle::models {

const core::Registry<Model>& models() {
  static const core::Registry<Model> registry(
      "models",
      {{"dynamic_inversion",
        "feedback loops that settle to the inverse of each layer: sequential, simultaneous "
        "or one loop through all (Podlaski & Machens 2020)",
        &core::make_entry<Model, DynamicInversion>}});
  return registry;
}

}  // namespace settle::models
