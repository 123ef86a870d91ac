#include "learning/feedback.hpp"

#include "models/each.hpp"

namespace settle::learning {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

void FeedbackSpec::fields(core::Fields& f) {
  f.custom({"feedback", "1", "B of each layer from the second on"}, models::inits_form(init));
  f.choice({"feedback_updates", "", "what becomes of B while the network learns"}, updates,
           {"fixed", "follow", "kolen_pollack"});
  f.number({"feedback_decay", "1", "γ of kolen_pollack, per step; the network's own unless given"},
           decay, {.low = 0, .high = 1, .high_open = true});
}

FeedbackSpec FeedbackSpec::with_loop(const models::LoopParameters& loop) const {
  FeedbackSpec out = *this;
  for (models::Init& one : out.init) one = models::with_loop(one, loop);
  return out;
}

template <class S>
Matrix<S> make_feedback(const models::Init& init, Index rows, Index cols, const std::string& stream,
                        const std::vector<Index>& of, const Network<S>& network,
                        const RuleContext& context) {
  std::vector<system::SharedWeights> made;  // that outlive what looks at them
  models::InitContext own{.rows = rows,
                          .cols = cols,
                          .seed = context.seed,
                          .stream = stream,
                          .base = context.base,
                          .weights_of = {}};
  own.weights_of = [&](const std::string& name, const core::Value& where,
                       const std::string& path) -> const system::Weights& {
    std::vector<std::string> names;
    for (Index l = 1; l <= network.depth(); ++l) {
      names.push_back("W_" + std::to_string(l));
      if (name != names.back()) continue;
      made.push_back(
          std::make_shared<const system::Weights>(network.w(l).template cast<double>().eval()));
      return *made.back();
    }
    core::fail(where, path, "\"" + name + "\", which names nothing",
               "one of " + core::join(names, " or ") + core::did_you_mean(name, names));
  };
  std::vector<std::string> named;
  for (const Index l : of) named.push_back("W_" + std::to_string(l));
  return models::make_weights(models::with_of(init, named), own)->dense().template cast<S>();
}

template <class S>
Feedback<S>::Feedback(const FeedbackSpec& spec, const Network<S>& network,
                      const RuleContext& context, const models::Place& place, double sign)
    : spec_(spec), context_(context), place_(place), sign_(sign), b_(network.weights.size()) {
  for (Index l = 2; l <= network.depth(); ++l) make(l, network);
}

template <class S>
void Feedback<S>::make(Index l, const Network<S>& network) {
  const models::Init& init =
      models::one_each(spec_.init, at(l - 2), at(network.depth() - 1), place_, "feedback",
                       "one for each layer from the second on");
  b_[at(l)] = make_feedback(init, network.size(l - 1), network.size(l), "B_" + std::to_string(l),
                            {l}, network, context_);
}

template <class S>
void Feedback<S>::learn(const Lesson<S>& lesson, const Credit<S>& credit, double rate) {
  if (spec_.updates == "fixed") return;
  for (Index l = 2; l <= lesson.network.depth(); ++l) {
    if (follows()) {
      make(l, lesson.network);
      continue;
    }
    Matrix<S>& b = b_[at(l)];
    b *= static_cast<S>(1 - spec_.decay.value_or(context_.decay));
    b.noalias() += static_cast<S>(sign_ * rate) * credit.pre_of(l, lesson.activity) *
                   credit.post[at(l)].transpose();
  }
}

template <class S>
void Feedback<S>::state(StateVisitor& visitor) {
  for (std::size_t l = 2; l < b_.size(); ++l) visitor.matrix("B_" + std::to_string(l), b_[l]);
}

template class Feedback<double>;
template class Feedback<float>;
template Matrix<double> make_feedback<double>(const models::Init&, Index, Index, const std::string&,
                                              const std::vector<Index>&, const Network<double>&,
                                              const RuleContext&);
template Matrix<float> make_feedback<float>(const models::Init&, Index, Index, const std::string&,
                                            const std::vector<Index>&, const Network<float>&,
                                            const RuleContext&);

}  // namespace settle::learning
