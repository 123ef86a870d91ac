// Who computes it: ways to run a workload that are timed beside each other.
#pragma once

#include <time.h>

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "bench/workload.hpp"

namespace settle::bench {

inline constexpr double not_known = std::numeric_limits<double>::quiet_NaN();

/// What one run came to.
struct Result {
  double seconds = not_known;
  MatrixXd states{};               ///< at T, n + m × columns
  double evaluations = not_known;  ///< of the right-hand side, the mean over columns
  std::string failure{};           ///< why there is no result; empty where there is
};

/// Runs the workload that it was prepared for, and times itself.
using Runner = std::function<Result()>;

/// One contender. To add one, add it to the list of its family (contenders_*.cpp) or of a new one.
struct Contender {
  std::string name;
  std::string about;
  /// How it treats columns, and so what a part of them tells about all.
  enum class Columns {
    each,      ///< one after another: any part will do
    together,  ///< in one product: a part of 64 will do
    all,       ///< by their structure: only all of them
  } columns = Columns::each;
  std::function<bool(const Workload&)> takes = [](const Workload&) { return true; };
  /// Everything that is not timed; called once for many runs. What a method must do anew for a new
  /// circuit belongs into the run. The workload outlives the runner.
  std::function<Runner(const Workload&)> prepare{};
  /// The time is that of one evaluation, to be multiplied by those of "settle dopri5".
  bool per_evaluation = false;
  bool at_rest = false;  ///< what it finds is the state at rest, not that at T
  bool in_this_process = true;
};

/// A run that takes longer gives up.
inline double time_limit = 8;  // seconds

/// Families. In a contender's name the family comes first.
std::vector<Contender> settle_contenders();
std::vector<Contender> odeint_contenders();
std::vector<Contender> cvode_contenders();  ///< none where SUNDIALS is not there
std::vector<Contender> euler_contenders();
std::vector<Contender> scipy_contenders();  ///< none where SciPy is not there
std::vector<Contender> bare_contenders();
std::vector<Contender> all_contenders();

/// Times are the processor's, of all threads, in place of the clock's: what to look at where others
/// use the machine too.
inline bool processor_time = false;

class Stopwatch {
 public:
  double seconds() const { return now() - start_; }

 private:
  static double now() {
    timespec t{};
    clock_gettime(processor_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  }
  double start_ = now();
};

}  // namespace settle::bench
