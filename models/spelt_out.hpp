// A circuit spelt out: populations, controllers, projections, sources and phases as a user writes
// them, and what every model expands to.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "models/initialisation.hpp"
#include "sim/core/transfer.hpp"
#include "sim/system/signal.hpp"

namespace settle::models {

/// Where a specification was written, for errors about it after it was read.
struct Place {
  core::Value at;    ///< its table
  std::string path;  ///< "projection[1]"

  /// @throws InputError  at the key, or at the table where the key was not given
  [[noreturn]] void fail(const std::string& key, const std::string& found,
                         const std::string& expected) const;
};

/// [[population]]: τ ẋ = −λ x + b + Σ …, rate r = φ(x).
struct PopulationSpec {
  std::string name;
  std::int64_t size = 0;
  Init tau = constant_init(1);
  Init leak = constant_init(1);
  core::Transfer transfer = core::transfer("identity");
  Init bias = constant_init(0);
  Init initial = constant_init(0);
  Place place;

  void fields(core::Fields& f);
};

/// [[controller]]: a PID controller with a leaky integrator and a filtered derivative,
///
///     e = measured − setpoint,  τ_u ξ̇ = −α ξ + e,  τ_d ḟ = −f + e,
///     u = k_i ξ + k_p e + k_d (e − f)/τ_d
///
/// Source: science.md section 3; pure integral control is the paper's.
struct ControllerSpec {
  std::string name;
  std::int64_t size = 0;
  double leak = 0.01;
  double p = 0, i = 1, d = 0;
  double tau = 1;
  double derivative_tau = 0.1;
  std::string error = "measured - setpoint";
  Init setpoint = constant_init(0);
  Init initial = constant_init(0);
  Place place;

  void fields(core::Fields& f);
};

/// [[projection]]: g γ(x_to) ⊙ W (d ⊙ φ(x_from)).
struct ProjectionSpec {
  std::string name;  ///< "from->to" unless given
  std::string from;
  std::string to;
  Init weights = constant_init(0);
  core::Transfer transfer;  ///< the sender's unless given
  double gain = 1;
  bool receiver_slope = false;
  Init gate;           ///< d; 1 unless given
  Init linearised_at;  ///< a: φ(x) is replaced by φ′(a) ⊙ x
  Place place;

  std::string full_name() const { return name.empty() ? from + "->" + to : name; }
  void fields(core::Fields& f);
};

/// [[source]]: g a(t) V added to a node.
struct SourceSpec {
  std::string name;  ///< "source->to" unless given
  std::string to;
  double gain = 1;
  std::string kind = "constant";  ///< of a profile, or noise
  Init values = constant_init(1);
  std::shared_ptr<system::Profile> profile;  ///< null for noise
  double std = 1, interval = 1;              ///< of noise
  Place place;

  void fields(core::Fields& f);
};

/// [[phase]]: a stretch of the run.
struct PhaseSpec {
  std::string name;
  std::optional<double> duration;
  bool until_settled = false;
  std::vector<std::string> off, hold, reset;
  Place place;

  void fields(core::Fields& f);
};

struct CircuitSpec {
  std::vector<PopulationSpec> populations;
  std::vector<ControllerSpec> controllers;
  std::vector<ProjectionSpec> projections;
  std::vector<SourceSpec> sources;
  std::vector<PhaseSpec> phases;

  /// The five lists of tables, as keys of the whole file.
  void fields(core::Fields& f);
};

}  // namespace settle::models
