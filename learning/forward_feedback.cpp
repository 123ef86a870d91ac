#include "learning/forward_feedback.hpp"

#include <cmath>
#include <limits>

#include "sim/core/random.hpp"

namespace settle::learning {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

}  // namespace

void ForwardFeedbackSpec::fields(core::Fields& f) {
  f.table(
      {"forward_feedback", "",
       "held-out examples are evaluated a second time with feedback left on in the forward pass"},
      [this](core::Fields& g) {
        g.number({"gate", "1", "g of the feedback g B in the forward pass; 0: off"}, gate,
                 core::between(0, 1));
        g.number({"setpoint_error", "1",
                  "by how much each loop's setpoint is wrong, of the norm of what its layer hears"},
                 setpoint_error, core::non_negative());
      },
      &is_given);
}

template <class S>
ForwardWithFeedback<S>::ForwardWithFeedback(const Network<S>& network, Rule<S>& rule,
                                            std::uint64_t seed)
    : network_(network),
      rule_(rule),
      spec_(*rule.forward_feedback()),
      seed_(seed),
      displacement_(at(network.depth())),
      share_(at(network.depth())) {}

template <class S>
std::vector<double> ForwardWithFeedback<S>::means(const std::vector<Mean>& sums) {
  std::vector<double> out;
  for (const Mean& mean : sums)
    out.push_back(mean.count > 0 ? mean.sum / static_cast<double>(mean.count) : nan);
  return out;
}

template <class S>
Matrix<S> ForwardWithFeedback<S>::setpoints(Index l, const Matrix<S>& drive, Index first) const {
  const core::RandomStream stream(seed_, "setpoint_error_" + std::to_string(l));
  Matrix<S> out(drive.rows(), drive.cols());
  VectorXd direction(drive.rows());
  for (Index c = 0; c < drive.cols(); ++c) {
    for (Index i = 0; i < drive.rows(); ++i)
      direction[i] =
          stream.normal(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(first + c));
    const double length = spec_.setpoint_error * static_cast<double>(drive.col(c).norm());
    out.col(c) = (direction * (length / direction.norm())).template cast<S>();
  }
  return out;
}

template <class S>
Matrix<S> ForwardWithFeedback<S>::outputs(const Matrix<S>& inputs, Index first) {
  if (!spec_.displaces()) {
    // Nothing moves: the very same outputs.
    for (Index l = 1; l < network_.depth(); ++l) displacement_[at(l - 1)].count += inputs.cols();
    return network_.outputs(inputs);
  }
  const double bound = 0.5 * std::sqrt(spec_.gate / rule_.inverse_gain());
  const Matrix<S> none;
  std::vector<char> is_lost(at(inputs.cols()), 0);
  network_.begin(inputs, activity_);
  for (Index l = 1; l <= network_.depth(); ++l) {
    if (l > 1) {
      Matrix<S>& h = activity_.h[at(l - 1)];
      Matrix<S> wrong = setpoints(l, network_.w(l) * h, first);
      for (Index c = 0; c < wrong.cols(); ++c) {
        if (!wrong.col(c).allFinite()) is_lost[at(c)] = 1;
        if (is_lost[at(c)]) wrong.col(c).setZero();
      }
      const Lesson<S> lesson{network_, activity_,           none,
                             none,     Loss::squared_error, static_cast<std::uint64_t>(first)};
      const Matrix<S> moved = rule_.displacement(lesson, l, spec_.gate, wrong);
      for (Index c = 0; c < wrong.cols(); ++c) {
        if (!moved.col(c).allFinite()) is_lost[at(c)] = 1;
        if (is_lost[at(c)]) continue;
        h.col(c) += moved.col(c);
        const auto norm = static_cast<double>(moved.col(c).norm());
        displacement_[at(l - 2)].sum += norm;
        ++displacement_[at(l - 2)].count;
        const auto error = static_cast<double>(wrong.col(c).norm());
        if (error == 0) continue;
        share_[at(l - 2)].sum += norm / (bound * error);
        ++share_[at(l - 2)].count;
      }
    }
    network_.step(l, activity_);
  }
  Matrix<S> out = activity_.output();
  for (Index c = 0; c < out.cols(); ++c)
    if (is_lost[at(c)]) out.col(c).setConstant(static_cast<S>(nan));
  return out;
}

template class ForwardWithFeedback<double>;
template class ForwardWithFeedback<float>;

}  // namespace settle::learning
