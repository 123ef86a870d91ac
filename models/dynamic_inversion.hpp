// Dynamic inversion: feedback loops that settle to the inverse of a layer, in three schemes.
#pragma once

#include "models/model.hpp"

namespace settle::models {

/// With layers n_1 … n_{N+1} (n_1 the lowest population that is solved for), forward weights W_k
/// (n_{k+1} × n_k), feedback B_k (n_k × n_{k+1}) and PID controllers u_k of integral ξ_k, k = 1 …
/// N:
///
///     τ ṙ_k = −r_k + B_k u_k        e_k = W_k φ(r_k) − y_k      τ_u ξ̇_k = −α ξ_k + e_k
///
/// where y_N is the setpoint and y_k = r_{k+1} below it.
/// - sequential: one loop after another from the top, each in a phase of its own while the others
/// hold; - simultaneous: all loops at once;
/// - single_loop: one controller at the output, and the forward path carries the inversion up,
///
///     τ ẋ_1 = −x_1 + B u,   τ ẋ_k = −x_k + W_{k−1} φ(x_{k−1}),   e = W_N φ(x_N) − y_N
///
///   with one B (n_1 × n_{N+1}), which for a list of N feedbacks is (−1)^{N−1} B_1 B_2 … B_N
///   (B_1 B_2 … B_N where the error is setpoint − measured).
///
/// The loop sees W φ(r) (`transfer`), W r (`linear`) or W φ′(a) ⊙ r (`linearised` at the activity
/// a). The names are hidden_k and control_k, without a number where there is one.
///
/// Source: W. F. Podlaski and C. K. Machens, NeurIPS 2020, equations 5–10; science.md section 4.
class DynamicInversion final : public Model {
 public:
  void fields(core::Fields& f) override;
  Expansion expand(const Place& place) const override;

 private:
  std::size_t loops() const { return layers_.size() - 1; }
  Expansion expand_loops(const Place& place) const;
  Expansion expand_single_loop(const Place& place) const;
  PopulationSpec population(std::size_t k, const Place& place) const;
  ControllerSpec controller(std::size_t k, std::size_t n, const std::string& name,
                            const Place& place) const;
  ProjectionSpec forward(std::size_t k, const std::string& to, const Place& place) const;
  Init feedback_of(Init init, std::vector<std::string> of, std::size_t k, std::size_t n,
                   const Place& place) const;
  std::string hidden(std::size_t k) const;
  std::string control(std::size_t k) const;

  std::string scheme_ = "sequential";
  std::vector<std::int64_t> layers_;
  std::vector<core::Transfer> transfer_{core::transfer("tanh")};
  std::string loop_ = "transfer";
  std::vector<double> tau_{1};
  std::vector<Init> forward_;
  std::vector<Init> feedback_;
  std::vector<Init> initial_{constant_init(0)};
  std::vector<Init> activity_;
  bool setpoint_slope_ = false;
  Init setpoint_;
  std::optional<double> phase_duration_;
  std::vector<double> leak_{0.01}, p_{0}, i_{1}, d_{0}, controller_tau_{1}, derivative_tau_{0.1};
  std::string error_ = "measured - setpoint";
  std::vector<Init> controller_initial_{constant_init(0)};
};

}  // namespace settle::models
