#include "bench/interleave.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <ostream>

#include "sim/core/random.hpp"

namespace settle::bench {
namespace {

// Columns in an order in which every beginning is a fair sample.
std::vector<Index> shuffled(Index columns) {
  const core::RandomStream random(1, "columns");
  std::vector<Index> order(static_cast<std::size_t>(columns));
  std::iota(order.begin(), order.end(), Index{0});
  std::sort(order.begin(), order.end(), [&](Index a, Index b) {
    return random.uniform(static_cast<std::uint64_t>(a)) <
           random.uniform(static_cast<std::uint64_t>(b));
  });
  return order;
}

// Some columns of a workload, or all.
class Part {
 public:
  Part(const Workload& work, Index count) : columns_(shuffled(work.columns())) {
    columns_.resize(static_cast<std::size_t>(std::min(count, work.columns())));
    std::sort(columns_.begin(), columns_.end());
    whole_ = static_cast<Index>(columns_.size()) == work.columns();
    if (!whole_) part_ = std::make_unique<Workload>(work.part(columns_));
    work_ = whole_ ? &work : part_.get();
  }
  const Workload& work() const { return *work_; }
  const std::vector<Index>& columns() const { return columns_; }
  Index size() const { return static_cast<Index>(columns_.size()); }

 private:
  std::vector<Index> columns_;
  bool whole_ = true;
  std::unique_ptr<Workload> part_;
  const Workload* work_ = nullptr;
};

class Participant {
 public:
  Participant(const Contender& contender, const Workload& work, const MatrixXd& exact,
              const TimingOptions& options)
      : contender_(contender), work_(work), exact_(exact), options_(options) {
    found_.name = contender.name;
  }

  /// A first run of a few columns tells how many can be checked, and how many timed.
  void begin() {
    const Index columns = work_.columns();
    const Index least = contender_.columns == Contender::Columns::each ? Index{1}
                        : contender_.columns == Contender::Columns::together
                            ? std::min<Index>(64, columns)
                            : columns;
    double seconds = run_part(std::max(least, std::min<Index>(work_.is_map ? 8 : 1, columns)));
    if (!found_.failure.empty()) {
      found_.timed = part_->size();
      finished_ = true;
      return;
    }
    const auto affordable = [&](double wanted) {
      const double per_column = seconds / static_cast<double>(part_->size());
      return std::clamp(static_cast<Index>(wanted / per_column), least, columns);
    };
    if (const Index more = affordable(options_.checking); more > 2 * part_->size()) {
      const Measurement first = found_;
      const Index few = part_->size();
      const double again = run_part(more);
      if (found_.failure.empty()) {
        seconds = again;
      } else {  // the first columns were not like the others
        found_ = first;
        set_part(few);
      }
    }
    // A run that was as long as a sample may be is one.
    if (seconds > options_.slice) {
      spent_ = seconds;
      found_.samples.push_back(scaled(seconds));
      found_.timed = part_->size();
    }
    const Index timed = affordable(options_.slice);
    const double per_sample =
        seconds * static_cast<double>(timed) / static_cast<double>(part_->size());
    finished_ = !found_.samples.empty() && spent_ + per_sample > options_.budget;
    if (finished_ || timed == part_->size()) return;
    found_.samples.clear();
    set_part(timed);
  }

  bool finished() const { return finished_; }

  void sample() {
    // What is short is repeated until the clock's grain and one interrupt are small beside it.
    constexpr double least = 0.01;
    const Stopwatch watch;
    double seconds = 0;
    int runs = 0;
    do {
      const Result result = runner_();
      seconds += result.seconds;
      ++runs;
    } while (watch.seconds() < least);
    found_.samples.push_back(scaled(seconds / runs));
    found_.timed = part_->size();
    spent_ += watch.seconds();
    finished_ = found_.samples.size() >= static_cast<std::size_t>(options_.rounds) ||
                spent_ + watch.seconds() > options_.budget;
  }

  const Measurement& found() const { return found_; }

 private:
  void set_part(Index columns) {
    part_ = std::make_unique<Part>(work_, columns);
    runner_ = contender_.prepare(part_->work());
  }

  // Prepares and runs a part, and compares its states with the exact ones.
  double run_part(Index columns) {
    set_part(columns);
    const Result result = runner_();
    found_.failure = result.failure;
    found_.evaluations = result.evaluations;
    if (!found_.failure.empty() || result.states.size() == 0) return result.seconds;
    MatrixXd exact(exact_.rows(), part_->size());
    for (Index c = 0; c < exact.cols(); ++c)
      exact.col(c) = exact_.col(part_->columns()[static_cast<std::size_t>(c)]);
    const VectorXd errors = errors_over_tolerance(part_->work(), result.states, exact);
    found_.checked = part_->size();
    found_.error = errors.maxCoeff();
    found_.wrong = (errors.array() > failing_error).count();
    return result.seconds;
  }

  double scaled(double seconds) const {
    return seconds * static_cast<double>(work_.columns()) / static_cast<double>(part_->size());
  }

  const Contender& contender_;
  const Workload& work_;
  const MatrixXd& exact_;
  const TimingOptions& options_;
  std::unique_ptr<Part> part_;
  Runner runner_;
  Measurement found_;
  double spent_ = 0;
  bool finished_ = false;
};

}  // namespace

double Measurement::median() const {
  if (samples.empty()) return not_known;
  std::vector<double> sorted = samples;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 ? sorted[middle] : 0.5 * (sorted[middle - 1] + sorted[middle]);
}

std::vector<Measurement> measure(const Workload& work, const MatrixXd& exact,
                                 const std::vector<Contender>& contenders,
                                 const TimingOptions& options, std::ostream& log) {
  std::vector<std::unique_ptr<Participant>> participants;
  MatrixXd rest;
  for (const Contender& contender : contenders) {
    if (!contender.takes(work)) continue;
    log << work.name << ": " << contender.name << std::endl;
    if (contender.at_rest && rest.size() == 0) rest = rest_reference(work, exact);
    participants.push_back(
        std::make_unique<Participant>(contender, work, contender.at_rest ? rest : exact, options));
    participants.back()->begin();
  }
  log << work.name << ": in turns" << std::endl;
  for (int round = 0; round < options.rounds; ++round)
    for (std::size_t k = 0; k < participants.size(); ++k) {
      Participant& next =
          *participants[(k + static_cast<std::size_t>(round)) % participants.size()];
      if (!next.finished()) next.sample();
    }
  std::vector<Measurement> out;
  for (const auto& participant : participants) out.push_back(participant->found());
  return out;
}

}  // namespace settle::bench
