#include <algorithm>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "analysis/measure.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "learning/data.hpp"
#include "learning/training.hpp"
#include "sim/solve/method.hpp"
#include "sim/system/signal.hpp"

namespace settle::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Item {
  std::string name, summary;
  std::function<std::vector<core::ParameterDoc>()> parameters;
};
struct Family {
  std::string name, key;  ///< where in a file it is chosen
  std::vector<Item> items;
};

template <class Base>
Family family(std::string key, const core::Registry<Base>& registry) {
  Family out{registry.family(), std::move(key), {}};
  for (const auto& entry : registry.entries())
    out.items.push_back({entry.name, entry.summary, [&entry] {
                           core::Documenter documenter;
                           entry.make()->fields(documenter);
                           return std::move(documenter.result);
                         }});
  return out;
}

std::vector<Family> families() {
  std::vector<Family> out{
      family("model.kind", models::models()),
      family("transfer", core::transfer_functions()),
      family("init", models::initialisations()),
      family("source.signal.kind", system::profiles()),
      family("solver.method", solve::methods()),
      family("written to the result file", analysis::measures()),
      family("data.kind", learning::data_sources()),
      family("rule.kind", learning::rules()),
  };
  out[4].items.insert(out[4].items.begin(),
                      {solve::automatic,
                       "exact where the circuit is linear between breakpoints, else dopri5; the "
                       "default",
                       [] { return std::vector<core::ParameterDoc>{}; }});
  out[3].items.push_back(
      {"noise", "values · normal numbers, held for `interval`", [] {
         return std::vector<core::ParameterDoc>{
             {"std", "a number >= 0", "1", "1", "standard deviation"},
             {"interval", "a number > 0", "1", "time", "for which a value is held"}};
       }});
  const auto tables = [](auto spec) { return [spec] { return core::document(spec); }; };
  out.push_back(
      {"tables of a file",
       "a configuration",
       {{"file", "keys of the whole file, beside [model]", tables(models::Config{})},
        {"population", "[[population]]", tables(models::PopulationSpec{})},
        {"controller", "[[controller]]", tables(models::ControllerSpec{})},
        {"projection", "[[projection]]", tables(models::ProjectionSpec{})},
        {"source", "[[source]]", tables(models::SourceSpec{})},
        {"phase", "[[phase]]", tables(models::PhaseSpec{})},
        {"solver", "[solver]", tables(solve::SolverOptions{})},
        {"record", "[record]", tables(io::RecordOptions{})},
        {"analysis", "[analysis]: what is measured", tables(analysis::AnalysisOptions{})},
        {"sweep", "[sweep]: parameters that are varied", tables(analysis::SweepSpec{})},
        {"axis", "[[sweep.axes]], or an entry of sweep.axes = [ … ]",
         [] { return analysis::document_axis(); }},
        {"tune", "[tune]: bounds of a search for gains", tables(analysis::TuneSpec{})},
        {"network", "[network], of a file of training", tables(learning::NetworkSpec{})},
        {"learning", "[learning]: how a network is trained", tables(learning::LearningSpec{})},
        {"rule", "[[rule]], beside the parameters of its kind", tables(learning::RuleSpec{})}}});
  return out;
}

void print(const Item& item, const Style& style, bool alone) {
  std::cout << style.bold(item.name) << "  " << item.summary << '\n';
  const auto parameters = item.parameters();
  if (parameters.empty() && alone) std::cout << "  no parameters\n";
  for (const auto& parameter : parameters) {
    std::cout << "  " << style.bold(parameter.name);
    if (parameter.default_value != "required" && parameter.default_value != "none")
      std::cout << " = " << parameter.default_value;
    else if (parameter.default_value == "required")
      std::cout << " (required)";
    std::cout << "\n      " << parameter.doc;
    if (!parameter.form.empty()) std::cout << "; " << parameter.form;
    if (!parameter.unit.empty() && parameter.unit != "1") std::cout << "; unit: " << parameter.unit;
    std::cout << '\n';
  }
}

Json to_json(const Item& item) {
  Json out{{"name", item.name}, {"summary", item.summary}, {"parameters", Json::array()}};
  for (const auto& parameter : item.parameters())
    out["parameters"].push_back({{"name", parameter.name},
                                 {"form", parameter.form},
                                 {"default", parameter.default_value},
                                 {"unit", parameter.unit},
                                 {"doc", parameter.doc}});
  return out;
}

}  // namespace

int list(const std::vector<std::string>& names, bool json) {
  const std::vector<Family> all = families();
  const Style style(1);
  std::vector<std::string> known;
  const auto know = [&known](const std::string& name) {
    if (std::find(known.begin(), known.end(), name) == known.end()) known.push_back(name);
  };
  for (const Family& family : all) {
    know(family.name);
    for (const Item& item : family.items) know(item.name);
  }
  Json out = Json::array();
  const auto give = [&](const Family& family, bool with_parameters) {
    if (json) {
      Json entry{{"family", family.name}, {"key", family.key}, {"entries", Json::array()}};
      for (const Item& item : family.items) entry["entries"].push_back(to_json(item));
      out.push_back(std::move(entry));
      return;
    }
    std::cout << style.bold(family.name) << style.dim("  (" + family.key + ")") << '\n';
    for (const Item& item : family.items) {
      if (with_parameters) {
        print(item, style, false);
      } else {
        std::cout << "  " << item.name
                  << std::string(item.name.size() < 24 ? 24 - item.name.size() : 1, ' ')
                  << item.summary << '\n';
      }
    }
    std::cout << '\n';
  };
  if (names.empty()) {
    for (const Family& family : all) give(family, false);
    if (!json) std::cout << "`settle list NAME` says more of a family or of one of its members.\n";
  }
  for (const std::string& name : names) {
    bool found = false;
    for (const Family& family : all) {
      if (family.name == name || family.key == name) {
        give(family, true);
        found = true;
      }
      for (const Item& item : family.items) {
        if (item.name != name) continue;
        found = true;
        if (json)
          out.push_back(to_json(item));
        else
          print(item, style, true);
      }
    }
    if (!found)
      throw core::InputError(
          "list", "\"" + name + "\", which names nothing",
          "one of " + core::join(known, " or ") + core::did_you_mean(name, known));
  }
  if (json) std::cout << out.dump(2) << '\n';
  return done;
}

}  // namespace settle::cli
