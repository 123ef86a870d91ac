#include <functional>
#include <set>

#include "learning/closed_form_rules.hpp"
#include "learning/energy_rules.hpp"
#include "learning/inversion_rules.hpp"

namespace settle::learning {
namespace {

using core::Value;

// The kind that a table names, with its defaults.
std::shared_ptr<RuleKind> named_kind(const Value& table, const std::string& path) {
  const Value* kind = table.find("kind");
  if (!kind)
    core::fail(table, path, table.is_table() ? "\"kind\" is missing" : table.describe(),
               "a table with kind = " + core::join(rules().names(), " or "));
  const core::Entry<RuleKind>& entry = rules().at(*kind, path + ".kind");
  std::shared_ptr<RuleKind> made = entry.make();
  made->kind = entry.name;
  made->place = {table, path};
  return made;
}

// `kind` and what belongs to it, as keys of the table that the fields are of.
void kind_fields(core::Fields& f, RuleKind* kind) {
  std::string name = kind ? kind->kind : "";
  f.text({"kind", "", "the rule", true}, name);
  if (kind) kind->fields(f);
}

// ---- Series of rules ----

constexpr const char* vary_form = "one key with a list of values: vary = { leak = [0.001, 0.01] }";

// What vary says.
struct Varied {
  std::string key, path;   // "feedback.degrees", "rule[0].vary.feedback.degrees"
  core::Position written;  // of the key
  const core::Array* values = nullptr;
};

Varied varied(const Value& table, const Value& vary, const std::string& rule) {
  Varied out{.key = "", .path = rule + ".vary", .written = vary.position};
  const Value* at = &vary;
  while (at->is_table()) {
    std::vector<std::string> keys;
    for (const core::Member& member : at->table()) keys.push_back(member.key);
    if (keys.size() != 1)
      core::fail(*at, out.path,
                 keys.empty() ? at->describe() : "the keys " + core::join(keys, " and "),
                 vary_form);
    const core::Member& only = at->table().front();
    if (!only.position.text().empty()) out.written = only.position;
    out.key += (out.key.empty() ? "" : ".") + only.key;
    out.path += "." + only.key;
    at = &only.value;
  }
  if (out.key.empty() || !at->is_array() || at->array().empty())
    core::fail(*at, out.path, at->describe(), out.key.empty() ? vary_form : "a list of values");
  out.values = &at->array();
  for (const std::string fixed : {"name", "kind", "series", "vary"})
    if (out.key == fixed || out.key.starts_with(fixed + "."))
      core::fail(*at, out.path, "\"" + fixed + "\", which can't be varied",
                 "another key of the rule");
  if (const Value* given = core::find_path(table, out.key))
    core::fail(*given, rule + "." + out.key, "a value beside those of vary", "one of the two");
  for (std::size_t k = 0; k < out.values->size(); ++k)
    for (std::size_t j = 0; j < k; ++j)
      if ((*out.values)[j] == (*out.values)[k])
        core::fail((*out.values)[k], out.path + "[" + std::to_string(k) + "]",
                   (*out.values)[k].describe() + " a second time", "each value once");
  return out;
}

// A value in the name of a rule.
std::string value_text(const Value& value, const std::function<std::string(double)>& of_number) {
  if (value.is_boolean()) return value.boolean() ? "true" : "false";
  if (value.is_number()) return of_number(value.number());
  if (value.is_text()) return value.text();
  std::string all;
  if (value.is_array()) {
    for (const Value& item : value.array())
      all += (all.empty() ? "" : ", ") + value_text(item, of_number);
    return "[" + all + "]";
  }
  // Of a family's member, { init = "uniform", low = 0 }, the name says which.
  for (const core::Member& member : value.table()) {
    const bool names = all.empty() && member.value.is_text();
    all += (all.empty() ? "" : ", ") + (names ? "" : member.key + " ") +
           value_text(member.value, of_number);
  }
  return all;
}

// Short, and where that does not tell one from another in full.
std::vector<std::string> value_texts(const core::Array& values) {
  std::vector<std::string> out;
  for (const Value& value : values)
    out.push_back(value_text(value, [](double x) { return core::brief(x); }));
  if (std::set<std::string>(out.begin(), out.end()).size() == out.size()) return out;
  out.clear();
  for (const Value& value : values) out.push_back(value_text(value, core::number_text));
  return out;
}

// The rule's table with one of the values in place of vary.
Value with_value(const Value& table, const Varied& varied, std::size_t k) {
  Value out = table;
  std::erase_if(out.table(), [](const core::Member& member) { return member.key == "vary"; });
  const std::size_t before = out.table().size();
  const Value& value = (*varied.values)[k];
  try {
    core::set_path(out, varied.key, value);
  } catch (const core::InputError& error) {  // knows neither file nor rule
    core::fail(value, varied.path, error.found, error.expected);
  }
  if (out.table().size() > before) out.table().back().position = varied.written;
  return out;
}

}  // namespace

void Settling::state(StateVisitor& visitor) {
  visitor.integer("tally_examples", examples);
  visitor.integer("tally_unsettled", unsettled);
  visitor.number("tally_time", time);
  visitor.number("tally_evaluations", evaluations);
  visitor.number("tally_multiplications", multiplications);
  visitor.integer("tally_interventions", interventions);
  visitor.integer("tally_unstable", unstable);
  visitor.integer("tally_unstable_paper", unstable_paper);
  visitor.text("tally_first_failure", first_failure);
}

std::unique_ptr<Rule<float>> RuleKind::make(const Network<float>&, const RuleContext&) const {
  place.fail("kind", "a rule whose circuits are float64", "network.precision = \"float64\"");
}

const core::Registry<RuleKind>& rules() {
  static const core::Registry<RuleKind> registry("rules", [] {
    std::vector<core::Entry<RuleKind>> all;
    for (const auto& family : {
             closed_form_rules(),
             inversion_rules(),
             energy_rules(),
         })
      all.insert(all.end(), family.begin(), family.end());
    return all;
  }());
  return registry;
}

std::shared_ptr<const RuleKind> read_rule(const Value& table, const std::string& path) {
  const std::shared_ptr<RuleKind> made = named_kind(table, path);
  core::Reader reader(table, path);
  kind_fields(reader, made.get());
  reader.finish();
  made->check();
  return made;
}

Value write_rule(const std::shared_ptr<const RuleKind>& rule) {
  core::Writer writer;
  kind_fields(writer, const_cast<RuleKind*>(rule.get()));  // a Writer only reads
  return std::move(writer.result);
}

void RuleSpec::fields(core::Fields& f) {
  f.text({"name", "", "of this rule in results; its kind unless given"}, name);
  f.choice(
      {"scaling", "", "of each layer's update: its own length, that of BP's update, or length 1"},
      scaling, {"free", "matched", "unit"});
  f.number({"learning_rate", "1", "η; that of [learning] unless given"}, learning_rate,
           core::positive());
  f.number({"decay", "1", "of the network's weights, per step; that of [learning] unless given"},
           decay, {.low = 0, .high = 1, .high_open = true});
  f.number({"clip", "1", "‖δ_l‖ at most; that of [learning] unless given"}, clip, core::positive());
  core::CustomForm vary{"{ KEY = [ VALUES ] }",
                        [](const Value& value, const std::string& path) {
                          core::fail(value, path, "vary of a rule that is one of a series",
                                     "a rule of its own");
                        },
                        [] { return std::optional<Value>(); }};
  f.custom({"vary", "",
            "a parameter, and values for each of which there is a rule; a key within a "
            "table is written \"feedback.degrees\""},
           vary);
  bool is_of_series = !series.parameter.empty();
  f.table(
      {"series", "", "of rules that differ in a parameter, as vary makes them"},
      [this](core::Fields& g) {
        g.text({"name", "", "of all of them", true}, series.name);
        g.text({"parameter", "", "that differs", true}, series.parameter);
      },
      &is_of_series);
  kind_fields(f, const_cast<RuleKind*>(kind.get()));  // written only where it was just made
}

RuleSpec read_rule_spec(const Value& table, const std::string& path) {
  RuleSpec spec;
  spec.kind = named_kind(table, path);
  spec.place = {table, path};
  spec.name = spec.kind->kind;
  spec = core::read(table, path, spec);
  if (spec.name.empty()) spec.place.fail("name", "an empty name", "a name");
  RuleSpec::Series& series = spec.series;
  if (!table.find("series")) {
    series.name = spec.name;
  } else {
    const auto fail = [&](const std::string& key, const std::string& found,
                          const std::string& expected) {
      core::fail(*core::find_path(table, key), path + "." + key, found, expected);
    };
    if (series.name.empty()) fail("series.name", "an empty name", "a name");
    const Value* value = core::find_path(table, series.parameter);
    if (!value)
      fail("series.parameter", "\"" + series.parameter + "\", which the rule does not give",
           "a key of the rule");
    if (value->is_number()) series.value = value->number();
  }
  spec.kind->check();
  return spec;
}

std::vector<RuleSpec> read_rules(const Value& table, const std::string& path) {
  const Value* vary = table.find("vary");
  if (!vary) return {read_rule_spec(table, path)};
  if (const Value* series = table.find("series"))
    core::fail(*series, path + ".series", "a series beside vary", "one of the two");
  const Varied varied = learning::varied(table, *vary, path);
  const std::vector<std::string> texts = value_texts(*varied.values);
  std::vector<RuleSpec> out;
  for (std::size_t k = 0; k < texts.size(); ++k) {
    Value one = with_value(table, varied, k);
    const std::string name = read_rule_spec(one, path).name;
    Value series;
    series.set("name", name);
    series.set("parameter", varied.key);
    one.set("name", name + ", " + varied.key + " = " + texts[k]);
    one.set("series", std::move(series));
    out.push_back(read_rule_spec(one, path));
  }
  return out;
}

Value write_rule_spec(const RuleSpec& spec) { return core::write(spec); }

}  // namespace settle::learning
