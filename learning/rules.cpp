#include "learning/rule.hpp"

namespace settle::learning {

std::unique_ptr<Rule<float>> RuleKind::make(const Network<float>&, const RuleContext&) const {
  place.fail("kind", "a rule whose circuits are float64", "network.precision = \"float64\"");
}

}  // namespace settle::learning
