// Measured quantities in a file: written beside trajectories, and read back.
#pragma once

#include <optional>

#include "sim/core/quantity.hpp"
#include "sim/io/layout.hpp"

namespace settle::io {

/// A quantity's units as a file's: "1/time" with the time unit "ms" is "1/ms", with "1" it is "1".
std::string quantity_units(const std::string& units, const std::string& time_unit);

/// Writes (trial, axes …) as NAME, with the reasons, where there are any, as NAME_reason. Flags are
/// int8 with flag_values and flag_meanings, a missing one being −1. Where the name or that of an axis is
/// taken by something else, it becomes measured_NAME.
/// @throws OutputError
void write_quantity(Shelf& shelf, const core::Quantity& quantity, const std::string& time_unit);

/// The dataset as a quantity; nullopt where its first dimension is not `trial`, or where it is a
/// trajectory or a reason. @throws InputError  where it cannot be read
std::optional<core::Quantity> read_quantity(const h5::Group& group, const std::string& name);

}  // namespace settle::io
