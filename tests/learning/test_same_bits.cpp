// What must not change a course's bits: interruptions, neighbours, threads.
#include <catch2/catch.hpp>
#include <set>

#include "tests/learning/courses.hpp"
#include "tests/support.hpp"

namespace settle::learning {

TEST_CASE("a course that is interrupted after every batch goes on to the same bits", "[training]") {
  const std::set<std::string> without_normalisation{"dfc", "equilibrium_propagation",
                                                    "predictive_coding"};
  std::set<std::string> float64_alone = without_normalisation;
  float64_alone.insert({"di", "sdi"});
  struct Way {
    const char *learning, *network;
    const std::set<std::string>* except;
  };
  const std::set<std::string> none;
  for (const Way& way :
       {Way{"optimiser = 'sgd', decay = 1e-3, clip = 0.5", "", &none},
        Way{"optimiser = 'momentum', batch_update = 'sum'", "", &none},
        Way{"optimiser = 'adam', skip_first = true", "bias = false", &none},
        Way{"optimiser = 'adam'", "batch_normalisation = true", &without_normalisation},
        Way{"optimiser = 'momentum'", "precision = 'float32'", &float64_alone}})
    for (const std::string& name : rules().names()) {
      INFO(name << ", " << way.learning << ", " << way.network);
      const std::string toml = small_plan(way.learning, way.network, {name});
      CHECK(fits(toml) != way.except->contains(name));
      if (!fits(toml)) continue;
      Setting setting(toml);
      Bell bell;
      setting.plan.rules[0].kind =
          std::make_shared<InterruptedKind>(setting.plan.rules[0].kind, bell);
      const Run whole = run(setting);
      bell.rings = true;
      const Run parts = run(setting, 0, &bell);
      CHECK(whole.outcome == CourseOutcome::trained);
      CHECK(parts.outcome == whole.outcome);
      CHECK(parts.reason == whole.reason);
      CHECK(parts.interruptions == 6);  // of 7 batches; after the last it is over
      CHECK(difference(parts.values, whole.values) == "");
      CHECK(difference(parts.end, whole.end) == "");
    }
}

TEST_CASE("what loops keep beside W is in a checkpoint", "[training]") {
  const std::string kind = GENERATE("di", "ndi");
  // One example a step, and layers of twelve units and more: products and inverses of both loops go with W.
  Setting setting(
      "network = { layers = [5, 16, 14, 12], weights = { init = 'normal', std = 0.3 } }\n"
      "data = { kind = 'tanh_teacher', examples = 10, held_out = 0 }\n"
      "learning = { examples = 12, evaluate_every = 4, decay = 1e-3 }\nrule = [{ kind = '" +
      kind + "' }]\n");
  Bell bell;
  setting.plan.rules[0].kind = std::make_shared<InterruptedKind>(setting.plan.rules[0].kind, bell);
  const Run whole = run(setting);
  for (const char* product : {"loop_product_2", "loop_product_3"})
    CHECK(kept(whole.end, product).size() > 0);
  if (kind == "ndi")
    for (const char* inverse : {"loop_inverse_2", "loop_inverse_3"})
      CHECK(kept(whole.end, inverse).size() > 0);
  bell.rings = true;
  const Run parts = run(setting, 0, &bell);
  CHECK(parts.interruptions > 5);
  CHECK(difference(parts.values, whole.values) == "");
  CHECK(difference(parts.end, whole.end) == "");
}

TEST_CASE("a course that is over stays over when it is put back", "[training]") {
  const Setting setting(small_plan("optimiser = 'sgd'", "", {"bp"}));
  const Run whole = run(setting);
  auto again = setting.course();
  restore(*again, whole.end);
  CHECK(again->outcome() == CourseOutcome::trained);
  CHECK(again->evaluated() == whole.values.size());
  CHECK(again->batches() == again->schedule().batches());
  CHECK(difference(take_snapshot(*again), whole.end) == "");
}

TEST_CASE("a course has the same bits alone and beside others, on one thread and on two",
          "[training]") {
  const std::string seeds = "seeds = [3, 8]\n";
  const std::vector<std::string> names = rules().names();
  const Setting setting(seeds + small_plan("optimiser = 'momentum'", "", names));
  const auto at_once = [&](std::size_t threads) {
    const test::ThreadLimit limit(threads);
    return train_all(setting);
  };
  const Collector one = at_once(1), two = at_once(2);
  CHECK(one.in_order);
  CHECK(two.in_order);
  CHECK(one.ends == 2 * names.size());
  CHECK(two.ends == 2 * names.size());
  for (std::size_t r = 0; r < names.size(); ++r) {
    const Setting lone(seeds + small_plan("optimiser = 'momentum'", "", {names[r]}));
    const Collector alone = train_all(lone);
    for (std::size_t s = 0; s < 2; ++s) {
      INFO(names[r] << ", seed " << lone.plan.seeds[s]);
      const Run& expected = alone.runs.at({0, s});
      CHECK(expected.outcome == CourseOutcome::trained);
      for (const Collector* beside : {&one, &two}) {
        const Run& found = beside->runs.at({r, s});
        CHECK(difference(found.values, expected.values) == "");
        CHECK(difference(found.end, expected.end) == "");
        CHECK(found.outcome == expected.outcome);
      }
    }
    // Seeds have weights and examples of their own.
    CHECK(difference(alone.runs.at({0, 0}).values, alone.runs.at({0, 1}).values) != "");
  }
}

}  // namespace settle::learning
