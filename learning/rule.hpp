// How a rule assigns credit: what it is given, what it gives back, and how rules are registered.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "learning/network.hpp"

namespace settle::learning {

/// A batch that a rule learns from.
template <class S>
struct Lesson {
  const Network<S>& network;
  const Activity<S>& activity;  ///< of its forward pass
  const Matrix<S>& targets;     ///< t, d_L × B
  const Matrix<S>& error;       ///< δ_L = −∂loss/∂a_L, d_L × B
  Loss loss;
  std::uint64_t example = 0;  ///< how many examples were seen before: indexes random numbers

  /// Whether it holds one of the examples 0, n, 2 n, … (n ≥ 1).
  bool holds_multiple_of(std::int64_t n) const {
    const auto step = static_cast<std::uint64_t>(n);
    return (example + static_cast<std::uint64_t>(error.cols()) - 1) / step * step >= example;
  }
};

/// What a batch says about every layer: W_l moves along Σ_columns post_l pre_lᵀ, b_l along Σ post_l. For most
/// rules post_l is δ_l, d_l × B, and pre_l the activity h_{l−1} of the forward pass; a rule that compares two
/// phases puts them side by side, with a sign.
template <class S>
struct Credit {
  std::vector<Matrix<S>> post;  ///< by layer, l = 1 … L
  std::vector<Matrix<S>> pre;   ///< by layer; empty: h_{l−1}

  const Matrix<S>& pre_of(Index l, const Activity<S>& activity) const {
    const auto k = static_cast<std::size_t>(l);
    return pre[k].size() > 0 ? pre[k] : activity.h[k - 1];
  }
  void reset(std::size_t layers) {
    post.resize(layers);
    pre.resize(layers);
  }
};

class StateVisitor;

struct ForwardFeedbackSpec;

/// What settling has cost, and how it went; of the examples since it was taken last.
struct Settling {
  std::int64_t examples = 0;   ///< that went through a circuit
  std::int64_t unsettled = 0;  ///< of those, that did not come to rest in their time
  double time = 0;             ///< simulated until rest, summed over examples (settled ones)
  double evaluations = 0;      ///< of right-hand sides, summed over examples
  double multiplications = 0;  ///< of settling (estimated), and of what came before the first step
  std::int64_t interventions = 0;   ///< corrections of a feedback matrix (stability = "correct")
  std::int64_t unstable = 0;        ///< loops found unstable by the exact condition
  std::int64_t unstable_paper = 0;  ///< loops found unstable by the paper's condition
  std::string first_failure;        ///< why the first example did not settle

  void state(StateVisitor& visitor);
};

/// Numbers of a rule that change while it learns, as a checkpoint keeps them: visited in a fixed order, by
/// name, to be written or read.
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  virtual void matrix(const std::string& name, MatrixXd& m) = 0;
  virtual void matrix(const std::string& name, Eigen::MatrixXf& m) = 0;
  virtual void integer(const std::string& name, std::int64_t& n) = 0;
  virtual void number(const std::string& name, double& x) = 0;
  /// Words of a report, from which nothing is computed.
  virtual void text(const std::string& /*name*/, std::string& /*text*/) {}
};

/// A rule at work on one network: its feedback weights and whatever else it learns.
template <class S>
class Rule {
 public:
  virtual ~Rule() = default;
  /// The credit of every layer for a batch. An example that the rule can't judge (its circuit did not
  /// settle, and the configuration says to skip it) has columns of zeros, and is counted.
  virtual void assign(const Lesson<S>& lesson, Credit<S>& credit) = 0;
  /// After the network has moved by that credit: what the rule learns itself (feedback weights).
  /// @param rate  the learning rate η of the step, decay the network's own per step
  virtual void learn(const Lesson<S>& /*lesson*/, const Credit<S>& /*credit*/, double /*rate*/) {}
  /// Multiplications (multiplications.hpp) of one step with a batch of so many examples: its credit, and what
  /// the rule learns itself. The network's own forward pass and update are not among them, nor what circuits
  /// take to settle, which the tally has.
  virtual double multiplications(const Network<S>& network, Index examples) const = 0;
  /// B_l, d_{l−1} × d_l, l = 2 … L, as it acts now, with the sign that the rule's own equation gives it; an empty
  /// list where there is none, or it has another shape.
  virtual std::vector<Matrix<S>> feedback(const Network<S>& /*network*/) const { return {}; }
  /// Q_l, d_l × d_L, l = 1 … L, through which one controller at the output reaches every layer; an empty list
  /// where there is none.
  virtual std::vector<Matrix<S>> output_feedback() const { return {}; }
  /// What NDI needs to be compared with the rule: the sign with which feedback() stands for ± W_lᵀ, 1/G of its
  /// loops, 0 where it has none, NaN where each example has its own, and whether they see W diag(φ′), or φ, of
  /// which that is the limit for small errors: φ′ of the forward pass, or about rest (Network::about_rest).
  virtual double feedback_sign() const { return 1; }
  virtual double inverse_gain() const { return 0; }
  virtual bool is_linearised() const { return false; }
  virtual bool is_about_rest() const { return false; }
  /// max Re λ (1/time) of the loops through which a lesson goes, by layer l = 2 … L or one for all: by the
  /// loop's own poles, and by the paper's criterion max Re λ(k_i W B − α I); where they depend on the example,
  /// those of the batch's first. Empty where there are no loops.
  struct Abscissas {
    std::vector<double> exact, paper;
  };
  virtual Abscissas abscissas(const Lesson<S>& /*lesson*/) const { return {}; }
  /// How feedback is left on in the forward pass (learning/forward_feedback.hpp); null: it is not looked at.
  virtual const ForwardFeedbackSpec* forward_feedback() const { return nullptr; }
  /// By what the loop of layer l moves the rate h_{l−1}, d_{l−1} × B, once it has settled with feedback
  /// gate·B_l > 0 and setpoints y: W_l times it is what the controller measures. Columns of NaN for examples
  /// whose loop left nothing to use. Every loop is counted as an example in take_settling().
  /// @param lesson  its activity is there up to layer l − 1; it has no targets and no error
  virtual Matrix<S> displacement(const Lesson<S>& /*lesson*/, Index /*l*/, double /*gate*/,
                                 const Matrix<S>& /*setpoint*/) {
    return {};
  }
  /// Numbers that a checkpoint must keep.
  virtual void state(StateVisitor&) {}
  /// Takes the tally of the examples since the last call.
  Settling take_settling() { return std::exchange(settling_, {}); }
  /// The tally itself, which a checkpoint keeps as well.
  void tally_state(StateVisitor& visitor) { settling_.state(visitor); }

 protected:
  Settling settling_;
};

/// What a rule may need to be made.
struct RuleContext {
  std::uint64_t seed = 1;
  std::filesystem::path base;  ///< data files are relative to it
  double decay = 0;            ///< of the network's weights, per step
  bool is_plain = false;       ///< W moves by η Σ post preᵀ − decay W: plain gradient descent
};

/// A [[rule]] of a configuration: which kind, with its parameters.
class RuleKind {
 public:
  virtual ~RuleKind() = default;
  virtual void fields(core::Fields&) {}
  /// What bounds on single parameters cannot say. @throws InputError
  virtual void check() const {}
  /// @throws InputError  for parameters that contradict each other, or do not fit the network
  virtual std::unique_ptr<Rule<double>> make(const Network<double>& network,
                                             const RuleContext& context) const = 0;
  /// @throws InputError  for rules whose circuits are float64
  virtual std::unique_ptr<Rule<float>> make(const Network<float>& network,
                                            const RuleContext& context) const;

  std::string kind;     ///< its name among rules(), once it was read
  models::Place place;  ///< where it was written, for errors
};

/// [[rule]]: a kind with its parameters, and what all rules have, all as keys of one table.
struct RuleSpec {
  std::string name;                      ///< of this rule in results; its kind unless given
  std::shared_ptr<const RuleKind> kind;  ///< null before it is read
  /// What the length of each layer's update is: free, the rule's own; matched, that of BP's update; unit, 1
  /// (Frobenius norm).
  std::string scaling = "free";
  std::optional<double> learning_rate;  ///< η > 0; that of [learning] unless given
  std::optional<double> decay;          ///< in [0, 1), per step; likewise
  std::optional<double> clip;           ///< ‖δ_l‖ at most, > 0; likewise
  /// What rules are that differ in one parameter, as `vary` makes them.
  struct Series {
    std::string name;       ///< of all of them; the rule's own where it stands alone
    std::string parameter;  ///< that differs, "leak" or "feedback.degrees"; "": it stands alone
    double value = std::numeric_limits<double>::quiet_NaN();  ///< here; NaN where it is no number
  } series;
  models::Place place;

  void fields(core::Fields& f);
};

/// Every rule: bp, fa, dfa, sign_symmetric, kolen_pollack, weight_mirror, pbp, ndi, di, sdi, dfc,
/// target_propagation, equilibrium_propagation, predictive_coding.
const core::Registry<RuleKind>& rules();

/// Reads the table of a kind alone: { kind = "fa", its parameters }.
/// @throws InputError  with the known kinds and parameters
std::shared_ptr<const RuleKind> read_rule(const core::Value& table, const std::string& path);
/// The table that reads back as the same.
core::Value write_rule(const std::shared_ptr<const RuleKind>& rule);

/// Reads a whole [[rule]] without `vary`. Whether its name stands twice is for those to tell who see all rules.
/// @throws InputError  likewise; for a series' parameter that the rule does not give
RuleSpec read_rule_spec(const core::Value& table, const std::string& path);
/// Reads a [[rule]] as all the rules that it stands for: itself, or with
///
///     vary = { leak = [0.001, 0.01, 0.1] }
///
/// one for each value of that key, which is any but name, kind and series, and where it is one of a table within is
/// written "feedback.degrees" or feedback.degrees. They are called "NAME, leak = 0.001" and so on, NAME being
/// their series.
/// @throws InputError  likewise; for another number of keys than one, no values, one of them twice, a key that
///                     the rule gives beside
std::vector<RuleSpec> read_rules(const core::Value& table, const std::string& path);
core::Value write_rule_spec(const RuleSpec& spec);

}  // namespace settle::learning
