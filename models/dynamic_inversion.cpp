#include "models/dynamic_inversion.hpp"

#include "models/each.hpp"
#include "models/stabilise.hpp"

namespace settle::models {

using core::Value;

void DynamicInversion::fields(core::Fields& f) {
  f.choice({"scheme", "", "how the loops run"}, scheme_,
           {"sequential", "simultaneous", "single_loop"});
  f.integers(
      {"layers", "1", "sizes, from the lowest population that is solved for to the output", true},
      layers_, 1, 100'000'000);
  f.custom({"transfer", "", "φ of each population"}, transfers_form(transfer_));
  f.choice({"loop", "", "what the loop sees of the rates"}, loop_,
           {"linear", "transfer", "linearised"});
  f.numbers({"tau", "time", "τ of each population"}, tau_, core::positive(), true);
  f.custom({"forward", "1", "W of each layer", true}, inits_form(forward_));
  f.custom({"feedback", "1", "B of each layer; negative_transpose unless given"},
           inits_form(feedback_));
  f.custom({"initial", "1", "r(0) of each population"}, inits_form(initial_));
  f.custom({"activity", "1", "a of each population, at which a linearised loop stands"},
           inits_form(activity_));
  f.boolean({"setpoint_slope", "", "multiply the setpoints below the top by φ′(activity)"},
            setpoint_slope_);
  f.custom({"setpoint", "1", "y of the topmost loop, one row a trial", true}, init_form(setpoint_));
  f.number({"phase_duration", "time",
            "of each sequential phase; unless given, a phase lasts until it has settled"},
           phase_duration_, core::positive());
  f.table({"controller", "", "any key may be a list, one entry a loop"}, [this](core::Fields& g) {
    g.numbers({"leak", "1", "α"}, leak_, core::non_negative(), true);
    g.table({"gains", "", "of the three paths"}, [this](core::Fields& h) {
      h.numbers({"p", "1", "k_p"}, p_, core::any_number(), true);
      h.numbers({"i", "1", "k_i"}, i_, core::any_number(), true);
      h.numbers({"d", "1", "k_d"}, d_, core::any_number(), true);
    });
    g.numbers({"tau", "time", "τ_u of the integrator"}, controller_tau_, core::positive(), true);
    g.numbers({"derivative_tau", "time", "τ_d of the filter behind the derivative"},
              derivative_tau_, core::positive(), true);
    g.choice({"error", "", "its sign"}, error_, {"measured - setpoint", "setpoint - measured"});
    g.custom({"initial", "1", "ξ(0)"}, inits_form(controller_initial_));
  });
}

std::string DynamicInversion::hidden(std::size_t k) const {
  return loops() == 1 ? "hidden" : "hidden_" + std::to_string(k + 1);
}

std::string DynamicInversion::control(std::size_t k) const {
  return loops() == 1 ? "control" : "control_" + std::to_string(k + 1);
}

PopulationSpec DynamicInversion::population(std::size_t k, const Place& place) const {
  const std::size_t n = loops();
  const auto pick = [&](const auto& list, const char* key) {
    return one_each(list, k, n, place, key, "one for each population that is solved for");
  };
  PopulationSpec spec;
  spec.name = hidden(k);
  spec.size = layers_[k];
  spec.tau = constant_init(pick(tau_, "tau"));
  spec.transfer = pick(transfer_, "transfer");
  spec.initial = pick(initial_, "initial");
  spec.place = place;
  return spec;
}

ControllerSpec DynamicInversion::controller(std::size_t k, std::size_t n, const std::string& name,
                                            const Place& place) const {
  const Value* table = place.at.find("controller");
  const Place own{table ? *table : place.at, place.path + ".controller"};
  const auto pick = [&](const auto& list, const char* key) {
    return one_each(list, k, n, own, key, "one for each loop");
  };
  ControllerSpec spec;
  spec.name = name;
  spec.leak = pick(leak_, "leak");
  const Value* gains = own.at.find("gains");
  const Place of_gains{gains ? *gains : own.at, own.path + ".gains"};
  const auto pick_gain = [&](const std::vector<double>& list, const char* key) {
    return one_each(list, k, n, of_gains, key, "one for each loop");
  };
  spec.p = pick_gain(p_, "p");
  spec.i = pick_gain(i_, "i");
  spec.d = pick_gain(d_, "d");
  spec.tau = pick(controller_tau_, "tau");
  spec.derivative_tau = pick(derivative_tau_, "derivative_tau");
  spec.error = error_;
  spec.initial = pick(controller_initial_, "initial");
  spec.place = own;
  return spec;
}

// The projection out of population k, as the loop sees it.
ProjectionSpec DynamicInversion::forward(std::size_t k, const std::string& to,
                                         const Place& place) const {
  ProjectionSpec spec;
  spec.from = hidden(k);
  spec.to = to;
  spec.weights = one_each(forward_, k, loops(), place, "forward", "one for each layer");
  if (loop_ == "linear") spec.transfer = core::transfer("identity");
  if (loop_ == "linearised")
    spec.linearised_at = one_each(activity_, k, loops(), place, "activity",
                                  "one for each population that is solved for");
  spec.place = place;
  return spec;
}

// Fills in what a feedback's initialisation needs to know about its loop, where the file does not
// say.
Init DynamicInversion::feedback_of(Init init, std::vector<std::string> of, std::size_t k,
                                   std::size_t n, const Place& place) const {
  const ControllerSpec own = controller(k, n, "", place);
  const double sign = error_ == "measured - setpoint" ? 1 : -1;
  const double tau = one_each(tau_, k, loops(), place, "tau", "one for each population");
  return with_loop(with_of(init, std::move(of)), {.tau = tau,
                                                  .controller_tau = own.tau,
                                                  .derivative_tau = own.derivative_tau,
                                                  .leak = own.leak,
                                                  .p = sign * own.p,
                                                  .i = sign * own.i,
                                                  .d = sign * own.d});
}

Expansion DynamicInversion::expand(const Place& place) const {
  if (layers_.size() < 2)
    place.fail("layers", "a list of " + std::to_string(layers_.size()),
               "at least two sizes: the population that is solved for, and the output");
  if (loop_ == "linearised" && activity_.empty())
    place.fail("loop", "a linearised loop without `activity`",
               "activity = { init = … } or { file = … }: the pre-activations a in φ′(a)");
  if (setpoint_slope_ && activity_.empty())
    place.fail("setpoint_slope", "true without `activity`",
               "activity = { init = … } or { file = … }: the pre-activations a in φ′(a)");
  if (phase_duration_ && scheme_ != "sequential")
    place.fail("phase_duration", "phases in the scheme \"" + scheme_ + "\"",
               "scheme = \"sequential\", or solver.duration");
  return scheme_ == "single_loop" ? expand_single_loop(place) : expand_loops(place);
}

Expansion DynamicInversion::expand_loops(const Place& place) const {
  const std::size_t n = loops();
  const Init standard =
      initialisation(error_ == "measured - setpoint" ? "negative_transpose" : "transpose");
  Expansion out;
  for (std::size_t k = 0; k < n; ++k) {
    out.circuit.populations.push_back(population(k, place));
    ControllerSpec loop = controller(k, n, control(k), place);
    loop.size = layers_[k + 1];
    if (k + 1 == n) loop.setpoint = setpoint_;
    out.circuit.controllers.push_back(std::move(loop));
    out.circuit.projections.push_back(forward(k, control(k), place));
    ProjectionSpec back;
    back.from = control(k);
    back.to = hidden(k);
    back.weights = feedback_of(
        feedback_.empty() ? standard
                          : one_each(feedback_, k, n, place, "feedback", "one for each layer"),
        {hidden(k) + "->" + control(k)}, k, n, place);
    back.place = place;
    out.circuit.projections.push_back(std::move(back));
    if (k + 1 == n) continue;
    ProjectionSpec setpoint;  // y_k = r_{k+1}
    setpoint.from = hidden(k + 1);
    setpoint.to = control(k) + ".setpoint";
    setpoint.weights = initialisation("identity");
    setpoint.transfer = core::transfer("identity");
    if (setpoint_slope_) {
      setpoint.transfer = nullptr;
      setpoint.linearised_at = one_each(activity_, k + 1, n, place, "activity",
                                        "one for each population that is solved for");
    }
    setpoint.place = place;
    out.circuit.projections.push_back(std::move(setpoint));
  }
  for (std::size_t k = n; k-- > 0;) {
    out.update_order.push_back(control(k));
    out.update_order.push_back(hidden(k));
  }
  if (scheme_ == "sequential" && (n > 1 || phase_duration_)) {
    for (std::size_t k = n; k-- > 0;) {
      PhaseSpec phase;
      phase.name = n == 1 ? "loop" : "loop_" + std::to_string(k + 1);
      phase.duration = phase_duration_;
      phase.until_settled = !phase_duration_;
      for (std::size_t j = 0; j < n; ++j) {
        if (j == k) continue;
        phase.hold.push_back(hidden(j));
        phase.hold.push_back(control(j));
      }
      phase.place = place;
      out.circuit.phases.push_back(std::move(phase));
    }
  }
  return out;
}

Expansion DynamicInversion::expand_single_loop(const Place& place) const {
  const std::size_t n = loops();
  Expansion out;
  ControllerSpec loop = controller(0, 1, "control", place);
  loop.size = layers_.back();
  loop.setpoint = setpoint_;
  std::vector<std::string> path;  // the forward path's projections, topmost first: A = W_N … W_1
  for (std::size_t k = 0; k < n; ++k) {
    out.circuit.populations.push_back(population(k, place));
    out.circuit.projections.push_back(forward(k, k + 1 < n ? hidden(k + 1) : "control", place));
    path.insert(path.begin(), hidden(k) + "->" + out.circuit.projections.back().to);
    out.update_order.push_back(hidden(k));
  }
  out.update_order.push_back("control");
  out.circuit.controllers.push_back(std::move(loop));

  ProjectionSpec back;
  back.from = "control";
  back.to = hidden(0);
  if (feedback_.size() > 1) {
    if (feedback_.size() != n)
      place.fail("feedback", "a list of " + std::to_string(feedback_.size()),
                 "one feedback from the output, or " + std::to_string(n) +
                     " whose product it is, one for each layer");
    std::vector<Init> factors;
    for (std::size_t k = 0; k < n; ++k)
      factors.push_back(feedback_of(feedback_[k], {path[n - 1 - k]}, 0, 1, place));
    // Each factor carries the minus where the error does not: one of them is to remain.
    const bool minus_in_feedback = error_ == "measured - setpoint";
    back.weights = product_init(factors, {layers_.begin() + 1, layers_.end() - 1},
                                minus_in_feedback && n % 2 == 0 ? -1.0 : 1.0);
  } else {
    const Init standard =
        initialisation(error_ == "measured - setpoint" ? "negative_transpose" : "transpose");
    const Init& wanted = feedback_.empty() ? standard : feedback_.front();
    if (n > 1 && wanted->name() == "ssa")
      place.fail("feedback", "\"ssa\" for a loop through " + std::to_string(n) + " populations",
                 "a list of one \"ssa\" for each layer: it makes loops of one population stable, "
                 "and their product the feedback");
    back.weights = feedback_of(wanted, path, 0, 1, place);
  }
  back.place = place;
  out.circuit.projections.push_back(std::move(back));
  return out;
}

}  // namespace settle::models
