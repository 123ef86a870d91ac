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
  kind_fields(f, const_cast<RuleKind*>(kind.get()));  // written only where it was just made
}

RuleSpec read_rule_spec(const Value& table, const std::string& path) {
  RuleSpec spec;
  spec.kind = named_kind(table, path);
  spec.place = {table, path};
  spec.name = spec.kind->kind;
  spec = core::read(table, path, spec);
  if (spec.name.empty()) spec.place.fail("name", "an empty name", "a name");
  spec.kind->check();
  return spec;
}

Value write_rule_spec(const RuleSpec& spec) { return core::write(spec); }

}  // namespace settle::learning
