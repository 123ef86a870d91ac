// Times contenders in turns, so that whatever the machine does meets them all alike.
#pragma once

#include <iosfwd>

#include "bench/contender.hpp"

namespace settle::bench {

struct TimingOptions {
  int rounds = 7;         ///< samples a contender at most
  double slice = 0.3;     ///< seconds that one sample of many columns may take
  double budget = 2.0;    ///< seconds for all samples of a contender; one sample is always taken
  double checking = 2.0;  ///< seconds for one run of as many columns as fit, for their errors
};

/// What was found of one contender on one workload.
struct Measurement {
  std::string name;
  std::vector<double> samples;  ///< seconds for all columns
  Index timed = 0;              ///< columns that were timed, or tried; the rest is by proportion
  Index checked = 0;            ///< columns whose errors were measured
  Index wrong = 0;              ///< of these: with an error that fails
  double error = not_known;     ///< the largest over tolerance
  double evaluations = not_known;
  double memory = not_known;  ///< peak of a fresh process in MB
  std::string failure;        ///< why there are no states

  double median() const;
  bool failed() const { return !failure.empty() || wrong > 0; }
};

/// Runs every contender that takes the workload: once for its errors, then `rounds` times in turns,
/// beginning with another one each time. Progress goes to `log`.
std::vector<Measurement> measure(const Workload& work, const MatrixXd& exact,
                                 const std::vector<Contender>& contenders,
                                 const TimingOptions& options, std::ostream& log);

}  // namespace settle::bench
