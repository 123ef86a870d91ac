#include "models/build.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "models/checks.hpp"
#include "models/pid.hpp"
#include "sim/io/result_reader.hpp"

namespace settle::models {
namespace {

using core::Value;
using system::Circuit;
using system::Index;
using system::MatrixXd;
using system::VectorXd;

// What `off`, `hold`, `reset` and update_order mean by a name.
struct Named {
  std::vector<int> states;    // dynamic nodes
  std::vector<int> outgoing;  // edges
};

class Builder {
 public:
  /// @param like  a circuit of the same populations, controllers and projections, whose weights and
  ///              trials' numbers are taken over; nullptr: they are made
  explicit Builder(const Config& config, const Circuit* like = nullptr)
      : config_(config), like_(like) {}

  Circuit build() {
    const CircuitSpec& spec = config_.circuit;
    if (spec.populations.empty() && spec.controllers.empty())
      core::fail(config_.root.at, "the file", "a circuit without populations",
                 "a [model], or [[population]] and [[projection]] tables");
    check_names(config_);
    circuit_.trials = count_trials();
    check_memory(config_, circuit_.trials);
    for (const PopulationSpec& population : spec.populations) add(population);
    for (const ControllerSpec& controller : spec.controllers) add(controller);
    for (std::size_t k = 0; k < spec.projections.size(); ++k) name_projection(k);
    for (std::size_t k = 0; k < spec.projections.size(); ++k) add_projection(k);
    for (const SourceSpec& source : spec.sources) add(source);
    if (spec.phases.empty()) circuit_.phases.emplace_back().name = "run";
    for (const PhaseSpec& phase : spec.phases) add(phase);
    set_update_order();
    check_algebraic_loops(config_, circuit_);
    check_settled_nodes();
    if (!config_.initial_from.empty() && !like_) take_initial_state();
    if (std::all_of(circuit_.nodes.begin(), circuit_.nodes.end(),
                    [](const system::Node& node) { return node.instantaneous(); }))
      core::fail(config_.root.at, "the file", "a circuit in which no node has a time constant",
                 "tau > 0 for at least one population, or a controller with gains.i");
    return std::move(circuit_);
  }

 private:
  InitContext context(Index rows, Index cols, const std::string& stream) const {
    InitContext context;
    context.rows = rows;
    context.cols = cols;
    context.seed = static_cast<std::uint64_t>(config_.seed);
    context.stream = stream;
    context.base = config_.base;
    return context;
  }

  MatrixXd shared(const Init& init, Index n, const std::string& stream) const {
    return make_columns(init, n, 1, false, context(n, 1, stream));
  }
  MatrixXd per_trial(const Init& init, Index n, const std::string& stream) const {
    return make_columns(init, n, circuit_.trials, true, context(n, circuit_.trials, stream));
  }

  // As many as the data has rows, where the file does not say.
  Index count_trials() const {
    if (like_) return like_->trials;
    if (config_.trials) return *config_.trials;
    Index trials = 1;
    const auto look = [&](const Init& init) {
      if (!init) return;
      if (const auto rows = init->rows_given(config_.base); rows && *rows > 1) {
        if (trials > 1 && *rows != trials)
          core::fail(
              init->at, init->path,
              std::to_string(*rows) + " rows, where other data has " + std::to_string(trials),
              "the same number of rows, one a trial, or one row for all");
        trials = *rows;
      }
    };
    for (const auto& population : config_.circuit.populations) look(population.initial);
    for (const auto& controller : config_.circuit.controllers) {
      look(controller.setpoint);
      look(controller.initial);
    }
    for (const auto& projection : config_.circuit.projections) {
      look(projection.gate);
      look(projection.linearised_at);
    }
    for (const auto& source : config_.circuit.sources) look(source.values);
    return trials;
  }

  void add(const PopulationSpec& spec) {
    const Index n = spec.size;
    system::Node node;
    node.name = spec.name;
    node.size = n;
    node.tau = shared(spec.tau, n, spec.name + ".tau");
    node.leak = shared(spec.leak, n, spec.name + ".leak");
    if ((node.tau.array() < 0).any())
      spec.place.fail("tau", "a negative time constant",
                      "tau > 0, or 0 for an instantaneous population");
    const bool none = (node.tau.array() == 0).all(), all = (node.tau.array() > 0).all();
    if (!none && !all)
      spec.place.fail("tau", "time constants of which some are 0 and some are not",
                      "tau > 0 for every unit, or 0 for every unit (instantaneous)");
    if ((node.leak.array() < 0).any()) spec.place.fail("leak", "a negative leak", "numbers >= 0");
    node.transfer = spec.transfer;
    node.initial = initial_like(spec.name, spec.initial, n, spec.name + ".initial");
    if (none && (node.initial.array() != 0).any())
      spec.place.fail("initial", "an initial state of an instantaneous population",
                      "none: its state follows from its input");
    const MatrixXd bias = shared(spec.bias, n, spec.name + ".bias");
    if ((bias.array() != 0).any()) node.constant = bias;
    circuit_.nodes.push_back(std::move(node));
  }

  void add(const ControllerSpec& spec) {
    const MatrixXd setpoint = like_ ? like_->controllers[circuit_.controllers.size()].setpoint
                                    : per_trial(spec.setpoint, spec.size, spec.name + ".setpoint");
    // Where there is no integrator its initial state says nothing.
    const MatrixXd initial = like_ && spec.i == 0
                                 ? MatrixXd::Zero(spec.size, 1)
                                 : initial_like(spec.name + ".integral", spec.initial, spec.size,
                                                spec.name + ".initial");
    add_controller(circuit_, spec, setpoint, initial);
  }

  // A node's initial state: that of the node of this name in `like_` where there is one.
  MatrixXd initial_like(const std::string& name, const Init& init, Index n,
                        const std::string& stream) const {
    if (!like_) return per_trial(init, n, stream);
    const int node = like_->find(name);
    return node < 0 ? MatrixXd::Zero(n, 1) : like_->nodes[static_cast<std::size_t>(node)].initial;
  }

  // The edge of projection k in `like_`: they are the last ones, in their order.
  const system::Edge& edge_like(std::size_t k) const {
    return like_->edges[like_->edges.size() - config_.circuit.projections.size() + k];
  }

  std::vector<std::string> node_names() const {
    std::vector<std::string> names;
    for (const auto& node : circuit_.nodes) names.push_back(node.name);
    return names;
  }

  int sender(const std::string& name, const Place& place) const {
    const int node = circuit_.find(name);
    if (node < 0)
      place.fail(
          "from", "\"" + name + "\", which names nothing",
          "one of " + core::join(node_names(), " or ") + core::did_you_mean(name, node_names()));
    return node;
  }

  // A node that receives, and for a controller the port.
  struct Port {
    int node = -1;
    system::Controller* controller = nullptr;
    bool setpoint = false;
    double sign() const {
      return !controller ? 1 : setpoint ? -controller->sign : controller->sign;
    }
  };

  Port receiver(const std::string& name, const Place& place) {
    std::vector<std::string> known;
    for (const auto& population : config_.circuit.populations) known.push_back(population.name);
    for (auto& controller : circuit_.controllers) {
      if (name == controller.name) return {controller.error, &controller, false};
      if (name == controller.name + ".setpoint") return {controller.error, &controller, true};
      known.push_back(controller.name);
      known.push_back(controller.name + ".setpoint");
    }
    for (const auto& population : config_.circuit.populations)
      if (name == population.name) return {circuit_.find(name)};
    place.fail("to", "\"" + name + "\", which names nothing that receives",
               "one of " + core::join(known, " or ") + core::did_you_mean(name, known));
  }

  void name_projection(std::size_t k) {
    const ProjectionSpec& spec = config_.circuit.projections[k];
    if (circuit_.find(spec.full_name()) >= 0)
      spec.place.fail(
          "name", "a projection called \"" + spec.full_name() + "\", which names a node",
          "another name, or none: it is then called \"" + spec.from + "->" + spec.to + "\"");
    if (!projection_index_.emplace(spec.full_name(), k).second)
      spec.place.fail("name", "a second projection called \"" + spec.full_name() + "\"",
                      "a `name` of its own for each projection between the same two");
  }

  // The weights of a projection, made when they are first asked for: another's may be made of them.
  const system::SharedWeights& weights_of(std::size_t k) {
    auto [entry, fresh] = weights_.try_emplace(k);
    const ProjectionSpec& spec = config_.circuit.projections[k];
    if (!fresh) {
      if (!entry->second)
        spec.place.fail("weights",
                        "weights of \"" + spec.full_name() + "\" that are made of themselves",
                        "an `of` that does not lead back to this projection");
      return entry->second;
    }
    if (like_) return weights_[k] = edge_like(k).weights;
    InitContext context = this->context(
        circuit_.nodes[static_cast<std::size_t>(receiver(spec.to, spec.place).node)].size,
        circuit_.nodes[static_cast<std::size_t>(sender(spec.from, spec.place))].size,
        spec.full_name());
    context.weights_of = [this](const std::string& name, const Value& at,
                                const std::string& path) -> const system::Weights& {
      const auto found = projection_index_.find(name);
      if (found == projection_index_.end()) {
        std::vector<std::string> names;
        for (const auto& [known, index] : projection_index_) names.push_back(known);
        core::fail(at, path, "\"" + name + "\", which names no projection",
                   "one of " + core::join(names, " or ") + core::did_you_mean(name, names));
      }
      return *weights_of(found->second);
    };
    return weights_[k] = make_weights(spec.weights, context);
  }

  void add_projection(std::size_t k) {
    const ProjectionSpec& spec = config_.circuit.projections[k];
    system::Edge edge;
    edge.name = spec.full_name();
    edge.from = sender(spec.from, spec.place);
    Port port = receiver(spec.to, spec.place);
    edge.to = port.node;
    edge.gain = spec.gain * port.sign();
    edge.weights = weights_of(k);
    edge.transfer = spec.transfer;
    const system::Node& from = circuit_.nodes[static_cast<std::size_t>(edge.from)];
    const system::Node& to = circuit_.nodes[static_cast<std::size_t>(edge.to)];
    edge.receiver_slope = spec.receiver_slope;
    if (spec.receiver_slope && to.instantaneous())
      spec.place.fail("receiver_slope", "the slope of an instantaneous receiver",
                      "a receiver with tau > 0");
    if (like_) {
      edge.gate = edge_like(k).gate;
      edge.transfer = edge_like(k).transfer;
    } else if (spec.gate) {
      edge.gate = per_trial(spec.gate, from.size, edge.name + ".gate");
    }
    if (spec.linearised_at && !like_) {
      if (spec.gate) spec.place.fail("gate", "both `gate` and `linearised_at`", "one of them");
      // d = φ′(a) in place of φ. The activity is the sender's, the same for all that it sends.
      const core::Transfer& phi = spec.transfer ? spec.transfer : from.transfer;
      edge.gate = per_trial(spec.linearised_at, from.size, from.name + ".activity");
      const MatrixXd activity = edge.gate;
      phi->slope(activity.data(), edge.gate.data(), activity.size());
      edge.transfer = core::transfer("identity");
    }
    if (port.controller)
      (port.setpoint ? port.controller->setpoint_edges : port.controller->measured_edges)
          .push_back(static_cast<int>(circuit_.edges.size()));
    circuit_.edges.push_back(std::move(edge));
  }

  void add(const SourceSpec& spec) {
    system::Source source;
    source.name = spec.name.empty() ? "source->" + spec.to : spec.name;
    for (const auto& other : circuit_.sources)
      if (other.name == source.name)
        spec.place.fail("name", "a second source called \"" + source.name + "\"",
                        "a `name` of its own for each source of the same node");
    Port port = receiver(spec.to, spec.place);
    source.to = port.node;
    source.gain = spec.gain * port.sign();
    const Index n = circuit_.nodes[static_cast<std::size_t>(source.to)].size;
    const system::Source* other = like_ ? &like_->sources[circuit_.sources.size()] : nullptr;
    source.values = other ? other->values : per_trial(spec.values, n, source.name + ".values");
    source.profile = spec.profile;
    source.noise = {spec.std, spec.interval,
                    core::RandomStream(static_cast<std::uint64_t>(config_.seed), source.name),
                    other ? other->noise.first_trial : 0};
    if (port.controller && port.setpoint)
      port.controller->setpoint_sources.push_back(static_cast<int>(circuit_.sources.size()));
    circuit_.sources.push_back(std::move(source));
  }

  // What a name in a phase stands for; nothing where it names nothing.
  Named named(const std::string& name) const {
    Named out;
    const auto add_state = [&](int node) {
      if (node >= 0 && !circuit_.nodes[static_cast<std::size_t>(node)].instantaneous())
        out.states.push_back(node);
    };
    for (std::size_t k = 0; k < circuit_.edges.size(); ++k)
      if (circuit_.edges[k].name == name) out.outgoing.push_back(static_cast<int>(k));
    int from = circuit_.find(name);
    for (const auto& controller : circuit_.controllers) {
      if (controller.name != name) continue;
      add_state(controller.integral);
      add_state(controller.derivative);
    }
    add_state(from);
    for (std::size_t k = 0; k < circuit_.edges.size(); ++k)
      if (circuit_.edges[k].from == from) out.outgoing.push_back(static_cast<int>(k));
    return out;
  }

  std::vector<std::string> phase_names(bool with_projections) const {
    std::vector<std::string> names;
    for (const auto& population : config_.circuit.populations) names.push_back(population.name);
    for (const auto& controller : config_.circuit.controllers) names.push_back(controller.name);
    if (with_projections)
      for (const auto& [name, index] : projection_index_) names.push_back(name);
    return names;
  }

  bool is_controller(const std::string& name) const {
    return std::any_of(circuit_.controllers.begin(), circuit_.controllers.end(),
                       [&](const auto& controller) { return controller.name == name; });
  }

  void add(const PhaseSpec& spec) {
    system::Phase phase;
    phase.name = spec.name;
    phase.duration = spec.duration;
    phase.until_settled = spec.until_settled;
    const auto unknown = [&](const char* key, const std::string& name, bool with_projections) {
      const std::vector<std::string> names = phase_names(with_projections);
      spec.place.fail(key, "\"" + name + "\", which names nothing",
                      "one of " + core::join(names, " or ") + core::did_you_mean(name, names));
    };
    for (const std::string& name : spec.off) {
      const Named meant = named(name);
      if (circuit_.find(name) < 0 && meant.outgoing.empty()) unknown("off", name, true);
      phase.off.insert(phase.off.end(), meant.outgoing.begin(), meant.outgoing.end());
      if (is_controller(name))
        phase.paused.insert(phase.paused.end(), meant.states.begin(), meant.states.end());
    }
    const auto states = [&](const char* key, const std::vector<std::string>& names,
                            std::vector<int>& target) {
      for (const std::string& name : names) {
        const Named meant = named(name);
        if (circuit_.find(name) < 0) unknown(key, name, false);
        if (meant.states.empty() && !is_controller(name))
          spec.place.fail(key, "\"" + name + "\", an instantaneous population",
                          "populations with tau > 0, or controllers");
        target.insert(target.end(), meant.states.begin(), meant.states.end());
      }
    };
    states("hold", spec.hold, phase.hold);
    states("reset", spec.reset, phase.reset);
    circuit_.phases.push_back(std::move(phase));
  }

  // Each dynamic node once.
  void set_update_order() {
    const Value* table = config_.root.at.find("solver");
    const Place place{table ? *table : config_.root.at, "solver"};
    std::vector<std::string> order = config_.solver.update_order;
    const std::vector<std::string> standard = phase_names(false);
    if (order.empty()) order = standard;
    std::set<int> seen;
    for (const std::string& name : order) {
      if (circuit_.find(name) < 0)
        place.fail("update_order", "\"" + name + "\", which names nothing",
                   "one of " + core::join(standard, " or ") + core::did_you_mean(name, standard));
      for (const int node : named(name).states) {
        if (!seen.insert(node).second)
          place.fail("update_order", "\"" + name + "\" a second time", "each name once");
        circuit_.update_order.push_back(node);
      }
    }
    for (std::size_t i = 0; i < circuit_.nodes.size(); ++i)
      if (!circuit_.nodes[i].instantaneous() && !seen.count(static_cast<int>(i)))
        place.fail("update_order", "an order without \"" + circuit_.nodes[i].name + "\"",
                   "every population and controller: " + core::join(standard));
  }

  void check_settled_nodes() const {
    const Value* table = core::find_path(config_.root.at, "solver.settled");
    const Place place{table ? *table : config_.root.at, "solver.settled"};
    std::vector<std::string> known;
    for (const std::string& name : phase_names(false))
      if (!named(name).states.empty()) known.push_back(name);
    for (const std::string& name : config_.solver.settled.nodes)
      if (named(name).states.empty())
        place.fail("nodes", "\"" + name + "\", which names no state",
                   "one of " + core::join(known, " or ") + core::did_you_mean(name, known));
  }

  void take_initial_state() {
    const Value* table = config_.root.at.find("initial");
    const Place place{table ? *table : config_.root.at, "initial"};
    try {
      take_initial_state(config_.base / config_.initial_from, place);
    } catch (const core::InputError& error) {
      if (error.where.find("initial.from") != std::string::npos) throw;
      place.fail("from", error.what(), "");
    }
  }

  void take_initial_state(const std::filesystem::path& path, const Place& place) {
    const io::ResultFile file(path);
    const std::vector<std::string> known = file.final_nodes();
    for (system::Node& node : circuit_.nodes) {
      if (node.instantaneous()) continue;
      if (std::find(known.begin(), known.end(), node.name) == known.end())
        place.fail("from", path.string() + " has no final state of \"" + node.name + "\"",
                   "the result of a circuit with the same names; it has " +
                       (known.empty() ? "no final state at all" : core::join(known)));
      const MatrixXd state = file.final_state(node.name);
      if (state.rows() != node.size || (state.cols() != 1 && state.cols() != circuit_.trials))
        place.fail("from",
                   "a final state of \"" + node.name + "\" with " + std::to_string(state.rows()) +
                       " units in " + std::to_string(state.cols()) + " trials",
                   std::to_string(node.size) + " units in 1 or " + std::to_string(circuit_.trials) +
                       " trials");
      if (!state.allFinite())
        place.fail("from", "a final state of \"" + node.name + "\" that is not finite",
                   "the result of a run in which no trial diverged");
      node.initial = state;
    }
  }

  const Config& config_;
  const Circuit* like_;
  Circuit circuit_;
  std::map<std::string, std::size_t> projection_index_;
  std::map<std::size_t, system::SharedWeights> weights_;
};

// [model]: its kind, the number of trials, and the model's own parameters.
void expand_model(const Value& table, Config& config) {
  const std::string path = "model";
  core::Reader reader(table, path);
  std::string kind;
  reader.choice({"kind", "", models().names().size() == 1 ? "the model's kind" : "the model", true},
                kind, models().names());
  std::int64_t trials = 0;
  reader.integer({"trials", "1", "number of independent trials"}, trials, 1, 100'000'000);
  if (trials > 0) {
    if (config.trials && *config.trials != trials)
      core::fail(*table.find("trials"), "model.trials",
                 std::to_string(trials) + ", where `trials` of the file is " +
                     std::to_string(*config.trials),
                 "one of the two");
    config.trials = trials;
  }
  const auto model = models().find(kind)->make();
  model->fields(reader);
  reader.finish();
  Expansion made = model->expand({table, path});
  const auto prepend = [](auto& before, auto& own) {
    before.insert(before.end(), std::make_move_iterator(own.begin()),
                  std::make_move_iterator(own.end()));
    own = std::move(before);
  };
  prepend(made.circuit.populations, config.circuit.populations);
  prepend(made.circuit.controllers, config.circuit.controllers);
  prepend(made.circuit.projections, config.circuit.projections);
  if (config.circuit.phases.empty()) config.circuit.phases = std::move(made.circuit.phases);
  if (config.solver.update_order.empty()) {
    config.solver.update_order = std::move(made.update_order);
    // What the file adds to the model comes after it.
    const auto add = [&](const auto& specs) {
      for (const auto& spec : specs)
        if (auto& order = config.solver.update_order;
            std::find(order.begin(), order.end(), spec.name) == order.end())
          order.push_back(spec.name);
    };
    add(config.circuit.populations);
    add(config.circuit.controllers);
  }
}

}  // namespace

void Config::fields(core::Fields& f) {
  f.text({"title", "", "one line about it"}, title);
  f.integer({"seed", "1", "of every random number"}, seed, 0,
            std::numeric_limits<std::int64_t>::max());
  f.text({"time_unit", "", "the unit of every time, such as \"ms\""}, time_unit);
  std::int64_t n = trials.value_or(1);
  f.custom(
      {"trials", "1", "independent trials; as many as the data has rows unless given"},
      {"an integer >= 1",
       [this](const Value& value, const std::string& path) {
         if (!value.is_integer() || value.integer() < 1 || value.integer() > 100'000'000)
           core::fail(value, path, value.describe(), "an integer from 1 to 100000000");
         trials = value.integer();
       },
       [&]() -> std::optional<Value> { return trials ? std::optional(Value(n)) : std::nullopt; }});
  bool from = !initial_from.empty();
  f.table(
      {"initial", "", "{ from = \"run.h5\" }: goes on from that result's final state"},
      [this](core::Fields& g) {
        g.text({"from", "", "result file", true}, initial_from);
      },
      &from);
  circuit.fields(f);
  f.table({"solver", "", "how it is integrated"}, [this](core::Fields& g) { solver.fields(g); });
  f.table({"record", "", "what is recorded"}, [this](core::Fields& g) { record.fields(g); });
}

Config read_config(const Value& file, const std::filesystem::path& base) {
  Config config;
  config.base = base;
  config.root = {file, ""};
  core::Reader reader(file, "");
  const Value* model = nullptr;
  reader.custom({"model", "", "a circuit by its parameters"},
                {"a table", [&](const Value& value, const std::string&) { model = &value; }, {}});
  for (const char* table : tables_of_others)
    reader.custom({table, "", ""}, {"a table", [](const Value&, const std::string&) {}, {}});
  config.fields(reader);
  reader.finish();
  const Value* solver = file.find("solver");
  config.solver.check(solver ? *solver : file, "solver");
  if (model) expand_model(*model, config);
  return config;
}

Value expanded(const Config& config) {
  Config absolute = config;
  const auto fix = [&](Init& init) {
    if (init) init = with_absolute_paths(init, config.base);
  };
  for (auto& population : absolute.circuit.populations)
    for (Init* init : {&population.tau, &population.leak, &population.bias, &population.initial})
      fix(*init);
  for (auto& controller : absolute.circuit.controllers)
    for (Init* init : {&controller.setpoint, &controller.initial}) fix(*init);
  for (auto& projection : absolute.circuit.projections)
    for (Init* init : {&projection.weights, &projection.gate, &projection.linearised_at})
      fix(*init);
  for (auto& source : absolute.circuit.sources) fix(source.values);
  if (!absolute.initial_from.empty())
    absolute.initial_from = std::filesystem::absolute(config.base / absolute.initial_from).string();
  const Value all = core::write(absolute);
  Config plain;
  Value out = core::without_defaults(all, core::write(plain));
  // Inside [solver] and [record] too, what is as it would be anyway is left out.
  for (const char* key : {"solver", "record"})
    if (Value* table = out.find(key))
      *table = core::without_defaults(*table, *core::write(plain).find(key));
  return out;
}

Circuit build_circuit(const Config& config) { return Builder(config).build(); }

void set_gains(Config& config, std::size_t controller, const Gains& gains) {
  ControllerSpec& spec = config.circuit.controllers.at(controller);
  spec.leak = gains.leak;
  spec.p = gains.p;
  spec.i = gains.i;
  spec.d = gains.d;
}

Circuit rebuilt(const Config& config, const Circuit& circuit) {
  return Builder(config, &circuit).build();
}

Circuit with_gains(const Config& config, const Circuit& circuit, std::size_t controller,
                   const Gains& gains) {
  Config changed = config;
  set_gains(changed, controller, gains);
  return rebuilt(changed, circuit);
}

}  // namespace settle::models
