// [learning]: how a network is trained, whatever the rule is.
#pragma once

#include "learning/data.hpp"
#include "learning/rule.hpp"

namespace settle::learning {

/// One step of every layer, from a batch's credit (post_l, pre_l):
///
///     W_l ← (1 − decay) W_l + η s_l Σ_columns post_l pre_lᵀ        b_l ← (1 − decay) b_l + η s_l Σ post_l
///
/// with plain gradient descent; with momentum and Adam the sum first goes through their averages. s_l is 1, or
/// 1/B where the batch's mean counts; each column of a hidden δ_l is clipped at a norm before.
struct LearningSpec {
  std::string loss;  ///< squared_error | cross_entropy; by the output unless given
  double learning_rate = 0.01;
  double learning_rate_end = 1;    ///< s: step k of K, from 0, has η (1 + (s − 1) k/K)
  std::optional<double> epochs;    ///< or examples; 1 epoch unless given
  std::optional<double> examples;  ///< seen in all
  std::int64_t batch = 1;
  std::string batch_update = "mean";    ///< mean | sum
  bool shuffle = true;                  ///< a new order each epoch; else the data's
  bool skip_first = false;              ///< the first batch changes nothing
  std::string optimiser = "sgd";        ///< sgd | momentum | adam
  double momentum = 0.9;                ///< of momentum
  double beta_1 = 0.9, beta_2 = 0.999;  ///< of Adam
  double adam_epsilon = 1e-8;
  double decay = 0;          ///< of weights and biases, per step, not multiplied by η
  std::vector<double> clip;  ///< ‖δ_l‖ at most: one for hidden layers, or one for each layer
  std::optional<double> evaluate_every;   ///< examples; a fiftieth of all unless given
  std::int64_t evaluate_training = 2000;  ///< training examples that are evaluated, at most; 0: all
  double checkpoint_every = 60;           ///< seconds
  bool compare = true;  ///< record angles to other rules' updates at every evaluation
  double gauss_newton_damping =
      0;  ///< λ of J Jᵀ + λ I in the Gauss–Newton step that is compared with
  models::Place place;

  void fields(core::Fields& f);
  Loss loss_of(const NetworkSpec& network) const;
};

/// A configuration with [learning], bound.
struct Plan {
  std::string title;
  std::vector<std::int64_t> seeds{1};
  NetworkSpec network;
  Data data;
  LearningSpec learning;
  std::vector<RuleSpec> rules;
  std::filesystem::path base;
  models::Place root;

  void fields(core::Fields& f);
};

/// Whether a file is one of training.
bool is_plan(const core::Value& file);
/// @throws InputError  for anything that is wrong with it by itself
Plan read_plan(const core::Value& file, const std::filesystem::path& base);
/// The configuration with every default spelt out.
core::Value expanded(const Plan& plan);

/// When batches end and what is evaluated when.
class Schedule {
 public:
  /// @param available  training examples that there are
  Schedule(const LearningSpec& learning, Index available);

  std::int64_t batches() const { return batches_; }
  /// Examples seen after so many batches.
  std::int64_t examples_after(std::int64_t batches) const;
  /// The batches after which there is an evaluation: 0 first, all of them last.
  const std::vector<std::int64_t>& evaluations() const { return evaluations_; }
  Index available() const { return available_; }
  Index batch() const { return batch_; }

 private:
  Index available_, batch_;
  std::int64_t batches_ = 0;
  std::vector<std::int64_t> evaluations_;
};

/// The order in which an epoch's examples are seen: a permutation of 0 … count − 1 that depends on
/// (seed, epoch) alone.
std::vector<Index> epoch_order(std::uint64_t seed, std::int64_t epoch, Index count, bool shuffle);

}  // namespace settle::learning
