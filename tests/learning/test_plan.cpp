// What is wrong with a configuration of training.
#include <catch2/catch.hpp>

#include "tests/learning/exercise.hpp"

namespace settle::learning {

using Catch::Contains;
using test::Setting;

TEST_CASE("a mistake in a plan says where it is, what was found and what would do", "[training]") {
  const std::string good =
      "seeds = [1, 2]\n"
      "[network]\n"
      "layers = [6, 5, 3]\n"
      "output = 'linear'\n"
      "precision = 'float64'\n"
      "batch_normalisation = false\n"
      "[data]\n"
      "kind = 'tanh_teacher'\n"
      "[learning]\n"
      "batch = 4\n"
      "epochs = 2\n"
      "loss = 'squared_error'\n"
      "clip = 1.0\n"
      "[[rule]]\n"
      "kind = 'bp'\n"
      "[[rule]]\n"
      "kind = 'fa'\n"
      "name = 'feedback'\n";
  struct Mistake {
    std::vector<std::pair<std::string, std::string>> edits;
    std::string where, found, expected;
  };
  const auto read = [&](const Mistake& mistake) {
    std::string text = good;
    for (const auto& [from, to] : mistake.edits) {
      const std::size_t at = text.find(from);
      if (at == std::string::npos) throw std::logic_error(from);
      text.replace(at, from.size(), to);
    }
    // What only a network shows is told before anything is trained.
    for (const Setting setting(text); const RuleSpec& rule : setting.plan.rules)
      make_course(setting.plan, rule, 1, *setting.data[0]);
  };
  CHECK_NOTHROW(read({}));
  for (const Mistake& mistake : std::vector<Mistake>{
           {{{"epochs = 2", "epoch = 2"}}, "f.toml:11:1: learning.epoch", "unknown", "epochs"},
           {{{"kind = 'bp'", "kind = 'bq'"}}, "f.toml:15:8: rule[0].kind", "\"bq\"", "bp"},
           {{{"name = 'feedback'", "name = 'bp'"}},
            "f.toml:18:8: rule[1].name",
            "the name \"bp\" a second time",
            "a name of its own"},
           {{{"name = 'feedback'", "name = ''"}}, "f.toml:18:8: rule[1].name", "empty", "a name"},
           {{{"name = 'feedback'", "leek = 1"}},
            "f.toml:18:1: rule[1].leek",
            "unknown",
            "feedback"},
           {{{"[1, 2]", "[1, 2, 1]"}}, "f.toml:1:9: seeds", "the seed 1 twice", "each seed once"},
           {{{"[1, 2]", "[]"}}, "f.toml:1:9: seeds", "an empty list", "at least one"},
           {{{"clip = 1.0", "clip = [1.0, 2.0, 3.0]"}},
            "f.toml:13:8: learning.clip",
            "a list of 3",
            "one number, or 2 of them"},
           {{{"squared_error", "cross_entropy"}},
            "f.toml:12:8: learning.loss",
            "the cross-entropy of a linear output",
            "squared_error"},
           {{{"squared_error", "squared"}},
            "f.toml:12:8: learning.loss",
            "squared",
            "squared_error"},
           {{{"normalisation = false", "normalisation = true"}, {"batch = 4", "batch = 1"}},
            "f.toml:10:9: learning.batch",
            "one example a step",
            "at least 2"},
           {{{"epochs = 2", "epochs = 2\nexamples = 9"}},
            "f.toml:12:12: learning.examples",
            "examples beside epochs",
            "one of the two"},
           {{{"[6, 5, 3]", "[6]"}}, "f.toml:3:10: network.layers", "a list of 1", "at least two"},
           {{{"learning]\n", "learning]\nlearning_rate = 0\n"}},
            "f.toml:10:17: learning.learning_rate",
            "0",
            "> 0"},
           {{{"kind = 'tanh_teacher'", "kind = 'tan_teacher'"}},
            "f.toml:8:8: data.kind",
            "tan_teacher",
            "tanh_teacher"},
           {{{"[[rule]]\nkind = 'bp'\n[[rule]]\nkind = 'fa'\nname = 'feedback'\n", ""}},
            "f.toml",
            "\"rule\" is missing",
            "[[rule]]"},
           // Series of rules.
           {{{"name = 'feedback'", "vary = { scale = [0.5, 1] }"}},
            "f.toml:18:10: rule[1].scale",
            "unknown key \"scale\"",
            "scaling"},
           {{{"name = 'feedback'", "vary = { clip = [] }"}},
            "f.toml:18:17: rule[1].vary.clip",
            "an empty list",
            "a list of values"},
           {{{"name = 'feedback'", "vary = { clip = 1, decay = 0 }"}},
            "f.toml:18:8: rule[1].vary",
            "the keys clip and decay",
            "one key with a list"},
           {{{"name = 'feedback'", "vary = [1, 2]"}}, "f.toml:18:8: rule[1].vary", "2", "one key"},
           {{{"name = 'feedback'", "vary = { clip = [1, 2, -1] }"}},
            "f.toml:18:24: rule[1].clip",
            "-1",
            "> 0"},
           {{{"name = 'feedback'", "vary = { clip = [1, 2, 1.0] }"}},
            "f.toml:18:24: rule[1].vary.clip[2]",
            "1 a second time",
            "each value once"},
           {{{"name = 'feedback'", "clip = 1\nvary = { clip = [1, 2] }"}},
            "f.toml:18:8: rule[1].clip",
            "beside those of vary",
            "one of the two"},
           {{{"name = 'feedback'", "clip = 1\nvary = { 'clip.a' = [1, 2] }"}},
            "rule[1].vary.clip.a",
            "\"clip\" is the integer 1",
            "a table"},
           {{{"name = 'feedback'", "vary = { kind = ['fa', 'dfa'] }"}},
            "f.toml:18:17: rule[1].vary.kind",
            "can't be varied",
            "another key"},
           {{{"kind = 'bp'", "kind = 'bp'\nname = 'fa, clip = 2'"},
             {"name = 'feedback'", "vary = { clip = [1, 2] }"}},
            "rule[1]",
            "the name \"fa, clip = 2\" a second time",
            "a name of its own"},
           {{{"name = 'feedback'", "series = { name = 'a', parameter = 'clip' }"}},
            "f.toml:18:36: rule[1].series.parameter",
            "\"clip\", which the rule does not give",
            "a key of the rule"},
           // What only a network shows.
           {{{"kind = 'fa'", "kind = 'di'"}, {"float64", "float32"}},
            "f.toml:17:8: rule[1].kind",
            "float64",
            "precision = \"float64\""},
           {{{"kind = 'fa'", "kind = 'dfc'"}, {"normalisation = false", "normalisation = true"}},
            "f.toml:17:8: rule[1].kind",
            "batch normalisation",
            "batch_normalisation = false"},
           {{{"name = 'feedback'", "feedback = [{ init = 'uniform' }, { init = 'uniform' }]"}},
            "f.toml:18:12: rule[1].feedback",
            "2",
            "one value"},
           {{{"name = 'feedback'", "feedback = { init = 'transpose', of = 'W_9' }"}},
            "f.toml:18",
            "W_9",
            "W_1"},
           {{{"[6, 5, 3]", "[6, 5, 4, 3]"},
             {"kind = 'fa'", "kind = 'sdi'\nfeedback_updates = 'kolen_pollack'"}},
            "f.toml:18:20: rule[1].feedback_updates",
            "kolen_pollack of one feedback through 2 layers",
            "a list of feedbacks"},
       }) {
    INFO(mistake.edits[0].second);
    try {
      read(mistake);
      FAIL_CHECK("nothing was wrong");
    } catch (const core::InputError& error) {
      CHECK_THAT(error.where, Contains(mistake.where));
      CHECK_THAT(error.found, Contains(mistake.found));
      CHECK_THAT(error.expected, Contains(mistake.expected));
    }
  }
}

TEST_CASE("vary makes a rule for each value, which read back as the same plan", "[training]") {
  const Setting setting(
      "[network]\n"
      "layers = [6, 5, 3]\n"
      "[data]\n"
      "kind = 'tanh_teacher'\n"
      "[[rule]]\n"
      "kind = 'bp'\n"
      "[[rule]]\n"
      "name = 'A'\n"
      "kind = 'ndi'\n"
      "vary = { leak = [1e-4, 1, 1.00001] }\n"
      "[[rule]]\n"
      "name = 'B'\n"
      "kind = 'ndi'\n"
      "gains = { i = 2 }\n"
      "vary = { 'gains.p' = [0, 0.5] }\n"
      "[[rule]]\n"
      "kind = 'fa'\n"
      "vary.feedback = [{ init = 'uniform', low = -1, high = 0 }, { init = 'transpose' }]\n");
  std::vector<std::string> names, series, parameters;
  std::vector<double> values;
  for (const RuleSpec& rule : setting.plan.rules) {
    names.push_back(rule.name);
    series.push_back(rule.series.name);
    parameters.push_back(rule.series.parameter);
    values.push_back(std::isnan(rule.series.value) ? -1 : rule.series.value);
  }
  using Texts = std::vector<std::string>;
  // In full where four digits do not tell values apart.
  CHECK(names == Texts{"bp", "A, leak = 1e-04", "A, leak = 1", "A, leak = 1.00001",
                       "B, gains.p = 0", "B, gains.p = 0.5",
                       "fa, feedback = uniform, low -1, high 0", "fa, feedback = transpose"});
  CHECK(series == Texts{"bp", "A", "A", "A", "B", "B", "fa", "fa"});
  CHECK(parameters ==
        Texts{"", "leak", "leak", "leak", "gains.p", "gains.p", "feedback", "feedback"});
  CHECK(values == std::vector<double>{-1, 1e-4, 1, 1.00001, 0, 0.5, -1, -1});

  const core::Value all = expanded(setting.plan);
  CHECK_FALSE(all.find("rule")->array()[1].find("vary"));
  CHECK(core::find_path(all, "rule.\"B, gains.p = 0.5\".gains")->find("i")->number() == 2);
  const Plan again = read_plan(all, "");
  CHECK(expanded(again) == all);
  CHECK(again.rules[5].series.value == 0.5);
}

}  // namespace settle::learning
