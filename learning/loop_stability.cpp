#include "learning/loop_stability.hpp"

namespace settle::learning {
namespace {

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

void loop_fields(core::Fields& f, models::LoopParameters& loop) {
  f.number({"leak", "1", "α"}, loop.leak, core::non_negative());
  f.table({"gains", "", "of the three paths"}, [&loop](core::Fields& g) {
    g.number({"p", "1", "k_p"}, loop.p, core::any_number());
    g.number({"i", "1", "k_i"}, loop.i, core::any_number());
    g.number({"d", "1", "k_d"}, loop.d, core::any_number());
  });
  f.number({"tau", "time", "τ of the populations"}, loop.tau, core::positive());
  f.number({"controller_tau", "time", "τ_u of the integrator"}, loop.controller_tau,
           core::positive());
  f.number({"derivative_tau", "time", "τ_d of the filter behind the derivative"},
           loop.derivative_tau, core::positive());
}

void check_gains(const models::LoopParameters& loop, const models::Place& place) {
  if (loop.i == 0 && loop.p == 0)
    place.fail("gains", "no integral and no proportional gain", "gains.i or gains.p other than 0");
}

double inverse_gain(const models::LoopParameters& loop) {
  return loop.i == 0 ? 1 / loop.p : loop.leak / (loop.i + loop.p * loop.leak);
}

template <class S>
MatrixXd seen_weights(const std::string& loop, const Lesson<S>& lesson, Index l) {
  const Network<S>& network = lesson.network;
  MatrixXd w = network.w(l).template cast<double>();
  if (loop == "linearised" || loop == "operating_point")
    w = w * lesson.activity.slope[at(l - 1)].col(0).template cast<double>().asDiagonal();
  if (loop != "transfer") return w;
  if (network.is_normalised())
    w = w * network.normalisations[at(l - 1)].folded_gain().template cast<double>().asDiagonal();
  return network.transfers[at(l - 1)]->slopes().second * w;
}

void StabilitySpec::fields(core::Fields& f) {
  f.choice({"stability", "", "whether loops are checked, and feedback corrected"}, policy,
           {"off", "monitor", "correct"});
  f.table({"stabilise", "", "of stability"}, [this](core::Fields& g) {
    g.integer({"every", "1", "examples from check to check"}, every, 1,
              std::numeric_limits<std::int64_t>::max());
    g.number({"margin", "1/time", "wanted: max Re λ < −margin"}, options.margin,
             core::non_negative());
    g.number({"step", "1", "η of B ← B − η ∂s/∂B at first"}, options.step, core::positive());
    g.integer({"iterations", "1", "at most"}, options.iterations, 1, 1'000'000'000);
  });
}

template <class S>
bool LoopStabilityPolicy::is_due(const Lesson<S>& lesson) const {
  return is_on() && lesson.holds_multiple_of(spec_.every);
}

template <class S>
MatrixXd LoopStabilityPolicy::loop_feedback(const Feedback<S>& feedback, Index l) {
  return -feedback.sign() * feedback.b(l).template cast<double>();
}

template <class S>
std::vector<LoopStability> LoopStabilityPolicy::stabilities(const Lesson<S>& lesson,
                                                            const Feedback<S>& feedback) const {
  std::vector<LoopStability> out;
  for (Index l = 2; l <= lesson.network.depth(); ++l) {
    const MatrixXd w = seen_weights(sees_, lesson, l), b = loop_feedback(feedback, l);
    out.push_back(stability_of({{{.weights = &w}}, &b}, loop_));
  }
  return out;
}

bool LoopStabilityPolicy::tally(const std::vector<LoopStability>& found, Settling& settling) const {
  bool any = false;
  for (const LoopStability& loop : found) {
    settling.unstable += loop.unstable;
    settling.unstable_paper += loop.unstable_paper;
    any = any || loop.unstable;
  }
  return any && spec_.corrects();
}

template <class S>
void LoopStabilityPolicy::correct(const Lesson<S>& lesson, const std::vector<LoopStability>& found,
                                  Feedback<S>& feedback, Settling& settling) const {
  for (Index l = 2; l <= lesson.network.depth(); ++l) {
    if (!found[at(l - 2)].unstable) continue;
    const MatrixXd w = seen_weights(sees_, lesson, l);
    const MatrixXd b = models::stabilise(w, loop_feedback(feedback, l), loop_, spec_.options).b;
    feedback.b(l) = (-feedback.sign() * b).template cast<S>();
    ++settling.interventions;
  }
}

template <class S>
bool LoopStabilityPolicy::check(const Lesson<S>& lesson, Feedback<S>& feedback,
                                Settling& settling) const {
  if (!is_due(lesson)) return false;
  const std::vector<LoopStability> found = stabilities(lesson, feedback);
  const bool is_corrected = tally(found, settling);
  if (is_corrected) correct(lesson, found, feedback, settling);
  return is_corrected;
}

template MatrixXd seen_weights<double>(const std::string&, const Lesson<double>&, Index);
template MatrixXd seen_weights<float>(const std::string&, const Lesson<float>&, Index);
template bool LoopStabilityPolicy::is_due<double>(const Lesson<double>&) const;
template bool LoopStabilityPolicy::is_due<float>(const Lesson<float>&) const;
template std::vector<LoopStability> LoopStabilityPolicy::stabilities<double>(
    const Lesson<double>&, const Feedback<double>&) const;
template std::vector<LoopStability> LoopStabilityPolicy::stabilities<float>(
    const Lesson<float>&, const Feedback<float>&) const;
template void LoopStabilityPolicy::correct<double>(const Lesson<double>&,
                                                   const std::vector<LoopStability>&,
                                                   Feedback<double>&, Settling&) const;
template void LoopStabilityPolicy::correct<float>(const Lesson<float>&,
                                                  const std::vector<LoopStability>&,
                                                  Feedback<float>&, Settling&) const;
template bool LoopStabilityPolicy::check<double>(const Lesson<double>&, Feedback<double>&,
                                                 Settling&) const;
template bool LoopStabilityPolicy::check<float>(const Lesson<float>&, Feedback<float>&,
                                                Settling&) const;

}  // namespace settle::learning
