// Rules whose credit is a formula: bp, fa, dfa, sign_symmetric, kolen_pollack, weight_mirror, pbp, ndi,
// target_propagation.
#pragma once

#include "learning/feedback.hpp"

namespace settle::learning {

std::vector<core::Entry<RuleKind>> closed_form_rules();

/// A kind whose rules work in float64 and in float32: `Kind` has
///     template <class S> std::unique_ptr<Rule<S>> rule(const Network<S>&, const RuleContext&) const;
template <class Kind>
class InBothPrecisions : public RuleKind {
 public:
  std::unique_ptr<Rule<double>> make(const Network<double>& network,
                                     const RuleContext& context) const final {
    return self().template rule<double>(network, context);
  }
  std::unique_ptr<Rule<float>> make(const Network<float>& network,
                                    const RuleContext& context) const final {
    return self().template rule<float>(network, context);
  }

 private:
  const Kind& self() const { return static_cast<const Kind&>(*this); }
};

/// An initialisation with parameters that differ from its own defaults.
models::Init init_with(const std::string& name,
                       const std::vector<std::pair<std::string, double>>& parameters);

std::unique_ptr<RuleKind> make_target_propagation();

}  // namespace settle::learning
