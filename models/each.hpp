// Parameters that are one value for every layer, or a list with one each.
#pragma once

#include <vector>

#include "models/initialisation.hpp"
#include "sim/core/transfer.hpp"

namespace settle::models {

/// One transfer function, or a list of them.
core::CustomForm transfers_form(std::vector<core::Transfer>& target);

/// One initialisation, or a list of tables with one each. A list of numbers, or of lists of numbers,
/// is one initialisation by its values.
core::CustomForm inits_form(std::vector<Init>& target);

}  // namespace settle::models
