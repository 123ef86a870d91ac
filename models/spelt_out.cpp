#include "models/spelt_out.hpp"

#include <limits>

namespace settle::models {
namespace {

using core::Fields;
using core::Value;

constexpr std::int64_t largest_size = 100'000'000;

template <class Spec>
core::CustomForm list_form(std::vector<Spec>& target, const char* what) {
  return {std::string("a list of tables, [[") + what + "]] each",
          [&target, what](const Value& value, const std::string& path) {
            if (!value.is_array())
              core::fail(value, path, value.describe(),
                         std::string("tables headed [[") + what + "]]" +
                             (value.is_table() ? "; what a model expands to is changed through "
                                                 "[model], or in the file that settle show prints"
                                               : ""));
            target.clear();
            for (std::size_t k = 0; k < value.array().size(); ++k) {
              const Value& item = value.array()[k];
              Spec spec;
              spec.place = {item, path + "[" + std::to_string(k) + "]"};
              target.push_back(core::read(item, spec.place.path, spec));
            }
          },
          [&target] {
            core::Array items;
            const Value defaults = core::write(Spec{});
            for (const Spec& spec : target)
              items.push_back(core::without_defaults(core::write(spec), defaults));
            return Value(std::move(items));
          }};
}

void require_name(const std::string& name, const Place& place) {
  if (name.empty()) place.fail("name", "an empty name", "a name");
  for (const char c : name)
    if (c == '.' || c == '*' || c == '?' || c == '/' || c == '>' || c == ' ' || c == '"' || c < ' ')
      place.fail("name", "the name \"" + name + "\"",
                 "a name of ASCII letters, digits and _, with no dot, space, slash, > or wildcard");
}

// The kind of a signal, its values, and the parameters of that kind.
core::CustomForm signal_form(SourceSpec& source) {
  return {"{ kind = \"step\", values = …, its parameters }",
          [&source](const Value& value, const std::string& path) {
            core::Reader reader(value, path);
            std::vector<std::string> kinds = system::profiles().names();
            kinds.push_back("noise");
            reader.choice({"kind", "", "constant, step, pulse, sine, ramp, table or noise", true},
                          source.kind, kinds);
            reader.custom({"values", "1", "V, one a unit; or one row of them a trial"},
                          init_form(source.values));
            if (source.kind == "noise") {
              source.profile = nullptr;
              reader.number({"std", "1", "standard deviation"}, source.std, core::non_negative());
              reader.number({"interval", "time", "for which a value is held"}, source.interval,
                            core::positive());
              reader.finish();
              return;
            }
            source.profile = system::profiles().find(source.kind)->make();
            source.profile->fields(reader);
            reader.finish();
            source.profile->check(value, path);
          },
          [&source] {
            core::Writer writer;
            writer.text({"kind", "", ""}, source.kind);
            writer.custom({"values", "", ""}, init_form(source.values));
            if (source.kind == "noise") {
              writer.number({"std", "", ""}, source.std, core::any_number());
              writer.number({"interval", "", ""}, source.interval, core::any_number());
            } else if (source.profile) {
              source.profile->fields(writer);
            }
            return std::move(writer.result);
          }};
}

}  // namespace

void Place::fail(const std::string& key, const std::string& found,
                 const std::string& expected) const {
  const Value* value = at.find(key);
  core::fail(value ? *value : at, path.empty() ? key : path + "." + key, found, expected);
}

void PopulationSpec::fields(Fields& f) {
  f.text({"name", "", "the population's name", true}, name);
  f.integer({"size", "1", "number of units", true}, size, 1, largest_size);
  f.custom({"tau", "time", "τ; 0: instantaneous"}, init_form(tau));
  f.custom({"leak", "1", "λ"}, init_form(leak));
  f.custom({"transfer", "", "φ of what it sends"}, core::transfer_form(transfer));
  f.custom({"bias", "1", "constant drive b"}, init_form(bias));
  f.custom({"initial", "1", "x(0)"}, init_form(initial));
  if (place.at.find("name")) require_name(name, place);
}

void ControllerSpec::fields(Fields& f) {
  f.text({"name", "", "the controller's name", true}, name);
  f.integer({"size", "1", "number of units", true}, size, 1, largest_size);
  f.number({"leak", "1", "α"}, leak, core::non_negative());
  f.table({"gains", "", "of the three paths"}, [this](Fields& g) {
    g.number({"p", "1", "k_p"}, p, core::any_number());
    g.number({"i", "1", "k_i"}, i, core::any_number());
    g.number({"d", "1", "k_d"}, d, core::any_number());
  });
  f.number({"tau", "time", "τ_u of the integrator"}, tau, core::positive());
  f.number({"derivative_tau", "time", "τ_d of the filter behind the derivative"}, derivative_tau,
           core::positive());
  f.choice({"error", "", "its sign"}, error, {"measured - setpoint", "setpoint - measured"});
  f.custom({"setpoint", "1", "constant part of the wanted output"}, init_form(setpoint));
  f.custom({"initial", "1", "ξ(0)"}, init_form(initial));
  if (place.at.find("name")) require_name(name, place);
}

void ProjectionSpec::fields(Fields& f) {
  f.text({"name", "", "\"from->to\" unless given"}, name);
  f.text({"from", "", "population or controller that sends", true}, from);
  f.text(
      {"to", "", "population or controller that receives; \"control.setpoint\" is that port", true},
      to);
  f.custom({"weights", "1", "W, receivers × senders", true}, init_form(weights));
  f.custom({"transfer", "", "φ; the sender's unless given"}, core::transfer_form(transfer));
  f.number({"gain", "1", "g"}, gain, core::any_number());
  f.boolean({"receiver_slope", "", "multiply by φ′ of the receiver"}, receiver_slope);
  f.custom({"gate", "1", "constant factor d on what is sent, one a unit"}, init_form(gate));
  f.custom({"linearised_at", "1", "a: send φ′(a) ⊙ x in place of φ(x)"}, init_form(linearised_at));
}

void SourceSpec::fields(Fields& f) {
  f.text({"name", "", "\"source->to\" unless given"}, name);
  f.text({"to", "", "population or controller (\"control.setpoint\" is that port)", true}, to);
  f.number({"gain", "1", "g"}, gain, core::any_number());
  f.custom({"signal", "", "what it is over time", true}, signal_form(*this));
}

void PhaseSpec::fields(Fields& f) {
  f.text({"name", "", "the phase's name", true}, name);
  f.number({"duration", "time", "how long it lasts (with until: at most)"}, duration,
           core::positive());
  std::string until = until_settled ? "settled" : "end";
  f.choice({"until", "", "\"settled\": it ends when every trial has settled"}, until,
           {"end", "settled"});
  until_settled = until == "settled";
  f.texts({"off", "",
           "projections, populations or controllers that send nothing; such a "
           "controller also holds its states"},
          off);
  f.texts({"hold", "", "populations or controllers with ẋ = 0"}, hold);
  f.texts({"reset", "", "populations or controllers put back to their initial state"}, reset);
  if (place.at.find("name")) require_name(name, place);
}

void CircuitSpec::fields(Fields& f) {
  f.custom({"population", "", "rate neurons"}, list_form(populations, "population"));
  f.custom({"controller", "", "PID controllers"}, list_form(controllers, "controller"));
  f.custom({"projection", "", "weighted connections"}, list_form(projections, "projection"));
  f.custom({"source", "", "drives from outside"}, list_form(sources, "source"));
  f.custom({"phase", "", "stretches of the run, in order"}, list_form(phases, "phase"));
}

}  // namespace settle::models
