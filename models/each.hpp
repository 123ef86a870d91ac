// Parameters that are one value for every layer, or a list with one each.
#pragma once

#include <vector>

#include "models/spelt_out.hpp"

namespace settle::models {

/// One transfer function, or a list of them.
core::CustomForm transfers_form(std::vector<core::Transfer>& target);

/// One initialisation, or a list of tables with one each. A list of numbers, or of lists of numbers,
/// is one initialisation by its values.
core::CustomForm inits_form(std::vector<Init>& target);

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
