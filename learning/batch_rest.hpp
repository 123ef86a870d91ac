// How the circuits that rules are made of are brought to rest, a whole batch of examples at once.
#pragma once

#include "learning/rule.hpp"
#include "sim/solve/solve.hpp"

namespace settle::learning {

/// What a rule's table says about coming to rest.
struct RestSpec {
  double tolerance = 1e-6;        ///< ‖T ẋ‖∞ relative to ‖x‖∞ below which it is rest
  double duration = 1000;         ///< time in which it must be reached
  std::string unsettled = "use";  ///< skip | use: an example that is not at rest by then
  std::string accuracy = "dynamics";  ///< dynamics | rest: integrated, or by Newton's method

  void fields(core::Fields& f);
  /// What a circuit is integrated with; the solver's own tolerance is a tenth of that of rest or less.
  solve::SolverOptions solver() const;
};

/// Looks at nothing, so that what has settled need not wait for the others.
class Unwatched final : public solve::Observer {
 public:
  solve::Sampling sampling() const override {
    return {.interval = std::numeric_limits<double>::infinity()};
  }
  bool wants_histories() const override { return false; }
};

/// A batch on its way through one circuit, or several one after another, whose trials are its examples.
class BatchRest {
 public:
  BatchRest(const RestSpec& spec, Index examples);

  /// The states of rest (n × B) that are reached from `start`. With accuracy = "rest" they are found by
  /// Newton's method from `start`, which looks at no stability: a state of rest that the circuit would leave
  /// can be among them. An example that did not arrive keeps the state it was in at the end, or where that
  /// is not finite its start. `name` is what the circuit is called in a failure's reason.
  /// @param observer  watches what is integrated; none: nobody does
  MatrixXd settle(const system::OdeSystem& system, const MatrixXd& start, const std::string& name,
                  solve::Observer* observer = nullptr);
  /// The same, integrated with options of one's own. Its trials may be the batch several times over, side by
  /// side: an example is at rest when its last trial is.
  solve::SolveSummary integrate(const system::OdeSystem& system, const MatrixXd& start,
                                const std::string& name, const solve::SolverOptions& options,
                                solve::Observer& observer);
  /// Multiplications besides those of the evaluations.
  void add_work(double multiplications) { multiplications_ += multiplications; }

  /// Whether the rule is to judge an example.
  bool counts(Index example) const;
  /// Columns of `value` for those that it is not to; m may hold the batch several times, side by side.
  void blank(MatrixXd& m, double value = 0) const;
  /// Adds the batch to a rule's tally. @param first  number of the batch's first example
  void report(std::uint64_t first, Settling& tally) const;

 private:
  MatrixXd search(const system::OdeSystem& system, const MatrixXd& start, const std::string& name);
  // Puts those back to their start that are not finite.
  void mend(MatrixXd& states, const MatrixXd& start);
  void count(double evaluations, const system::OdeSystem& system);

  struct Example {
    std::string failure;    // "": at rest, in every circuit
    bool is_finite = true;  // in every circuit
    double time = 0;
  };
  RestSpec spec_;
  std::vector<Example> examples_;
  double evaluations_ = 0, multiplications_ = 0;
};

}  // namespace settle::learning
