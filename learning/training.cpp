#include "learning/training.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "sim/core/random.hpp"

namespace settle::learning {
namespace {

constexpr double most_examples = 1e15;

core::CustomForm rules_form(std::vector<RuleSpec>& target) {
  return {
      "a list of tables, [[rule]] each",
      [&target](const core::Value& value, const std::string& path) {
        if (!value.is_array() || value.array().empty())
          core::fail(value, path, value.describe(), "tables headed [[rule]]");
        target.clear();
        for (std::size_t k = 0; k < value.array().size(); ++k)
          for (RuleSpec& rule : read_rules(value.array()[k], path + "[" + std::to_string(k) + "]"))
            target.push_back(std::move(rule));
      },
      [&target]() -> std::optional<core::Value> {
        core::Array items;
        for (const RuleSpec& rule : target) items.push_back(write_rule_spec(rule));
        return core::Value(std::move(items));
      }};
}

core::Bounds countable() { return {.low = 1, .high = most_examples}; }

}  // namespace

void LearningSpec::fields(core::Fields& f) {
  core::CustomForm loss_form{
      "squared_error or cross_entropy",
      [this](const core::Value& value, const std::string& path) {
        const std::vector<std::string> names{"squared_error", "cross_entropy"};
        if (!value.is_text() || std::find(names.begin(), names.end(), value.text()) == names.end())
          core::fail(value, path, value.describe(),
                     "one of " + core::join(names, " or ") +
                         (value.is_text() ? core::did_you_mean(value.text(), names) : ""));
        loss = value.text();
      },
      [this]() -> std::optional<core::Value> {
        if (loss.empty()) return std::nullopt;
        return core::Value(loss);
      }};
  f.custom({"loss", "", "squared_error for a linear output, else cross_entropy, unless given"},
           loss_form);
  f.number({"learning_rate", "1", "η"}, learning_rate, core::positive());
  f.number({"learning_rate_end", "1", "share of η to which it goes linearly until the end"},
           learning_rate_end, {.low = 0, .high = 1});
  f.number({"epochs", "1", "how often all examples are seen; 1 unless examples are given"}, epochs,
           {.low = 0, .high = most_examples, .low_open = true});
  f.number({"examples", "1", "how many are seen in all, in place of epochs"}, examples,
           countable());
  f.integer({"batch", "1", "examples a step"}, batch, 1, 1'000'000);
  f.choice({"batch_update", "", "whether a step is the batch's mean or its sum"}, batch_update,
           {"mean", "sum"});
  f.boolean({"shuffle", "", "a new order each epoch, the same for every rule"}, shuffle);
  f.boolean({"skip_first", "", "the first step changes nothing, so that all rules start equal"},
            skip_first);
  f.choice({"optimiser", "", "what becomes of an update"}, optimiser, {"sgd", "momentum", "adam"});
  f.number({"momentum", "1", "of optimiser \"momentum\""}, momentum,
           {.low = 0, .high = 1, .high_open = true});
  f.number({"beta_1", "1", "of Adam's mean"}, beta_1, {.low = 0, .high = 1, .high_open = true});
  f.number({"beta_2", "1", "of Adam's mean square"}, beta_2,
           {.low = 0, .high = 1, .high_open = true});
  f.number({"adam_epsilon", "1", "added to the root of Adam's mean square"}, adam_epsilon,
           core::positive());
  f.number({"decay", "1", "of weights and biases, per step, not multiplied by η"}, decay,
           {.low = 0, .high = 1, .high_open = true});
  core::Bounds norm = core::positive();
  norm.infinite = true;
  f.numbers({"clip", "1", "‖δ‖ of an example at most: one for all hidden layers, or one a layer"},
            clip, norm, true);
  f.number({"evaluate_every", "1", "examples between evaluations; a fiftieth of all unless given"},
           evaluate_every, countable());
  f.integer({"evaluate_training", "1", "training examples to evaluate at most; 0: all"},
            evaluate_training, 0, static_cast<std::int64_t>(most_examples));
  f.number({"checkpoint_every", "seconds", "between checkpoints"}, checkpoint_every,
           core::positive());
  f.boolean({"compare", "", "record angles to other rules' updates at every evaluation"}, compare);
  f.number({"gauss_newton_damping", "1",
            "λ added to J Jᵀ of the batch in the Gauss-Newton step to compare with; 0: least norm"},
           gauss_newton_damping, core::non_negative());
}

Loss LearningSpec::loss_of(const NetworkSpec& network) const {
  if (loss.empty()) return network.output == "linear" ? Loss::squared_error : Loss::cross_entropy;
  return loss == "squared_error" ? Loss::squared_error : Loss::cross_entropy;
}

void Plan::fields(core::Fields& f) {
  f.text({"title", "", "for figures and files"}, title);
  f.integers({"seeds", "1", "of weights, generated data and orders; each is a run of its own"},
             seeds, 0, std::numeric_limits<std::int64_t>::max());
  f.table({"network", "", "the network", true}, [this](core::Fields& g) { network.fields(g); });
  core::CustomForm data_form = data_source_form(data);
  f.custom({"data", "", "the examples", true}, data_form);
  f.table({"learning", "", "how it learns"}, [this](core::Fields& g) { learning.fields(g); });
  f.custom({"rule", "", "the rules, [[rule]] each", true}, rules_form(rules));
}

bool is_plan(const core::Value& file) {
  return file.find("learning") || file.find("rule") || file.find("network");
}

Plan read_plan(const core::Value& file, const std::filesystem::path& base) {
  Plan plan;
  plan.base = base;
  plan.root = {file, ""};
  const auto place = [&](const char* key) {
    const core::Value* table = file.find(key);
    return models::Place{table ? *table : file, key};
  };
  plan.network.place = place("network");
  plan.learning.place = place("learning");
  core::Reader reader(file, "");
  plan.fields(reader);
  reader.finish();

  plan.network.check();
  const LearningSpec& learning = plan.learning;
  if (learning.epochs && learning.examples)
    learning.place.fail("examples", "examples beside epochs", "one of the two");
  const std::size_t depth = plan.network.depth();
  if (learning.clip.size() > 1 && learning.clip.size() != depth)
    learning.place.fail("clip", "a list of " + std::to_string(learning.clip.size()),
                        "one number, or " + std::to_string(depth) + " of them: one for each layer");
  if (plan.network.output == "linear" && learning.loss == "cross_entropy")
    learning.place.fail("loss", "the cross-entropy of a linear output",
                        "\"squared_error\", or network.output = \"softmax\" or \"logistic\"");
  if (plan.network.batch_normalisation && learning.batch == 1)
    learning.place.fail("batch", "one example a step, with batch normalisation",
                        "a batch of at least 2");
  if (plan.seeds.empty()) plan.root.fail("seeds", "an empty list", "at least one seed");
  for (std::size_t k = 0; k < plan.seeds.size(); ++k)
    if (std::find(plan.seeds.begin(), plan.seeds.begin() + static_cast<std::ptrdiff_t>(k),
                  plan.seeds[k]) != plan.seeds.begin() + static_cast<std::ptrdiff_t>(k))
      plan.root.fail("seeds", "the seed " + std::to_string(plan.seeds[k]) + " twice",
                     "each seed once");
  for (std::size_t k = 0; k < plan.rules.size(); ++k)
    for (std::size_t j = 0; j < k; ++j)
      if (plan.rules[j].name == plan.rules[k].name)
        plan.rules[k].place.fail("name", "the name \"" + plan.rules[k].name + "\" a second time",
                                 "a name of its own for each rule");
  return plan;
}

core::Value expanded(const Plan& plan) { return core::write(plan); }

Schedule::Schedule(const LearningSpec& learning, Index available)
    : available_(available), batch_(std::min<Index>(learning.batch, available)) {
  const double all =
      learning.examples.value_or(learning.epochs.value_or(1) * static_cast<double>(available));
  const auto batches_for = [this](double examples) {
    const double epochs = std::floor(examples / static_cast<double>(available_));
    const double rest = examples - epochs * static_cast<double>(available_);
    const auto a_epoch = (available_ + batch_ - 1) / batch_;
    return static_cast<std::int64_t>(epochs) * a_epoch +
           static_cast<std::int64_t>(std::ceil(rest / static_cast<double>(batch_)));
  };
  batches_ = std::max<std::int64_t>(1, batches_for(std::round(all)));
  const double every = learning.evaluate_every.value_or(all / 50);
  for (double examples = 0;; examples += every) {
    const std::int64_t next = std::min(batches_, batches_for(std::round(examples)));
    if (evaluations_.empty() || next > evaluations_.back()) evaluations_.push_back(next);
    if (next == batches_) break;
  }
}

std::int64_t Schedule::examples_after(std::int64_t batches) const {
  const std::int64_t a_epoch = (available_ + batch_ - 1) / batch_;
  return batches / a_epoch * available_ + std::min<Index>(available_, batches % a_epoch * batch_);
}

std::vector<Index> epoch_order(std::uint64_t seed, std::int64_t epoch, Index count, bool shuffle) {
  std::vector<Index> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), Index{0});
  if (!shuffle) return order;
  // Fisher and Yates.
  const core::RandomStream stream(seed, "order");
  for (std::size_t k = order.size(); k-- > 1;) {
    const double draw = stream.uniform(k, static_cast<std::uint64_t>(epoch));
    std::swap(order[k], order[static_cast<std::size_t>(draw * static_cast<double>(k + 1))]);
  }
  return order;
}

}  // namespace settle::learning
