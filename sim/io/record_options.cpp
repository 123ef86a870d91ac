#include "sim/io/record_options.hpp"

namespace settle::io {
namespace {

using core::Value;

core::CustomForm variables_form(RecordOptions& options) {
  return {.form = "a list of texts",
          .read =
              [&options](const Value& value, const std::string& path) {
                const core::Array one = {value};
                if (!value.is_array() && !value.is_text())
                  core::fail(value, path, value.describe(), "a list of texts");
                options.variables.clear();
                options.positions.clear();
                for (const Value& item : value.is_array() ? value.array() : one) {
                  if (!item.is_text()) core::fail(item, path, item.describe(), "a text in quotes");
                  options.variables.push_back(item.text());
                  options.positions.push_back(item.position);
                }
              },
          .write =
              [&options] {
                core::Array items;
                for (const std::string& name : options.variables) items.emplace_back(name);
                return std::optional<Value>(std::move(items));
              }};
}

core::CustomForm interval_form(RecordOptions& options) {
  const core::Bounds bounds = core::positive();
  const std::string form = bounds.text() + ", or \"steps\"";
  return {
      .form = form,
      .read =
          [&options, bounds, form](const Value& value, const std::string& path) {
            const bool steps = value.is_text() && value.text() == "steps";
            if (!steps && !value.is_number()) core::fail(value, path, value.describe(), form);
            if (!steps && !bounds.contain(value.number()))
              core::fail(value, path, "the number " + core::number_text(value.number()), form);
            options.steps = steps;
            if (!steps) options.interval = value.number();
          },
      .write =
          [&options] {
            return std::optional<Value>(options.steps ? Value("steps") : Value(options.interval));
          }};
}

core::CustomForm every_form(RecordOptions& options) {
  return {.form = "an integer >= 1",
          .read =
              [&options](const Value& value, const std::string& path) {
                if (!value.is_integer() || value.integer() < 1)
                  core::fail(value, path, value.describe(), "an integer >= 1");
                if (!options.steps && value.integer() != 1)
                  core::fail(value, path, "every without steps",
                             "interval = \"steps\" beside it, or a longer interval");
                options.every = value.integer();
              },
          .write = [&options]() -> std::optional<Value> { return Value(options.every); }};
}

}  // namespace

void RecordOptions::fields(core::Fields& f) {
  f.custom({"variables", "",
            "what is recorded: nodes (\"hidden\", \"control.error\"), \"node.rate\", or globs of "
            "these; \"*\" is all states, controls and errors"},
           variables_form(*this));
  f.custom({"interval", "time",
            "time between samples (a fixed-step run is sampled at its first step from each "
            "multiple on); "
            "\"steps\" records the solver's own steps"},
           interval_form(*this));
  f.custom({"every", "1", "with interval = \"steps\": every k-th step"}, every_form(*this));
}

}  // namespace settle::io
