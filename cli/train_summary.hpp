// What is told of training, to people and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/terminal.hpp"
#include "learning/training.hpp"

namespace settle::cli {

/// "784-1000-10, tanh, softmax output, 795010 weights and biases, float64".
std::string network_text(const learning::NetworkSpec& network);

/// "BP; NDI, leak = 0.001 … 0.1 (5 rules)".
std::string rules_text(const std::vector<learning::RuleSpec>& rules);

/// What became of a rule with a seed.
struct CourseReport {
  double error = 0,
         first_error = 0;  ///< on held-out data where there are any, else on training data
  double seconds = 0;      ///< to train an example, the median between evaluations; NaN: not known
  double unsettled = 0,
         evaluations = 0;  ///< examples; of right-hand sides, NaN for rules without circuits
  double unstable = 0,
         interventions =
             0;  ///< loops found unstable by the exact condition; corrections of feedback
  std::string outcome, reason;  ///< outcome: io::course_outcome_names()
};

/// Training that is over or interrupted, as its file has it.
struct TrainReport {
  std::string title, data, network;
  std::filesystem::path result;
  std::string status;     ///< done, failed, interrupted
  bool is_class = false;  ///< errors are shares, else mean squares
  bool is_held_out = false;
  bool is_resumed = false;
  double seen = 0, all = 0;  ///< examples, over all courses
  double seconds = 0;        ///< that this took
  std::vector<std::string> rules;
  std::vector<std::int64_t> seeds;
  std::vector<std::vector<CourseReport>> courses;  ///< by rule and seed
};

/// Reads `courses` from the file. @throws InputError
void read_courses(TrainReport& report);
void print_training(const TrainReport& report);
/// Of each rule the examples, seconds and multiplications after which it first had an error at most that, the median
/// over seeds; "-" where half of them did not come to it. @throws InputError  for what is no result of training
void print_costs(const std::filesystem::path& file, double error);
nlohmann::ordered_json training_json(const TrainReport& report);

}  // namespace settle::cli
