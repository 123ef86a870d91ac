#include "cli/train.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "analysis/summary.hpp"
#include "cli/interrupt.hpp"
#include "cli/run_summary.hpp"
#include "cli/terminal.hpp"
#include "learning/trainer.hpp"
#include "sim/io/checkpoint.hpp"
#include "sim/io/training_file.hpp"

namespace settle::cli {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using learning::Course;
using learning::CourseId;
using learning::CourseOutcome;

constexpr std::int64_t quick_examples = 200;

std::filesystem::path checkpoint_of(const std::filesystem::path& result) {
  return result.parent_path() / (result.stem().string() + ".checkpoint.h5");
}

// A configuration with its data.
struct Lesson {
  learning::Plan plan;
  std::vector<std::shared_ptr<const learning::DataSet>> data;
};

Lesson prepare_training(const core::Value& value, const std::filesystem::path& base, bool quick) {
  Lesson out{learning::read_plan(value, base), {}};
  learning::DataRequest request;
  request.base = base;
  request.layers = out.plan.network.layers;
  if (quick) request.limit = quick_examples;
  out.data = learning::load_data(out.plan, request);
  if (quick) {
    learning::LearningSpec& spec = out.plan.learning;
    const double all = spec.examples.value_or(
        spec.epochs.value_or(1) * static_cast<double>(out.data.front()->training.count()));
    spec.epochs.reset();
    spec.examples = std::min<double>(all, quick_examples);
  }
  return out;
}

io::TrainingLayout layout_of(const Lesson& lesson) {
  const learning::Schedule schedule(lesson.plan.learning, lesson.data.front()->training.count());
  io::TrainingLayout layout;
  for (const auto& rule : lesson.plan.rules) layout.rules.push_back(rule.name);
  layout.seeds = lesson.plan.seeds;
  for (const std::int64_t batches : schedule.evaluations())
    layout.steps.push_back(static_cast<double>(schedule.examples_after(batches)));
  for (std::size_t l = 1; l <= lesson.plan.network.depth(); ++l)
    layout.layers.push_back(static_cast<std::int64_t>(l));
  for (const learning::Variable& variable : learning::course_variables())
    layout.variables.push_back({.name = variable.name,
                                .unit = variable.unit,
                                .long_name = variable.long_name,
                                .per_layer = variable.per_layer});
  return layout;
}

// What became of a rule, over its seeds.
struct Standing {
  std::vector<double> first, last, seconds;
  double unsettled = 0;
  std::map<std::string, std::size_t> outcomes;
};

// Records, shows the progress, keeps checkpoints, and ends the training where the user wants it.
class Watch final : public learning::TrainingObserver {
 public:
  Watch(const Lesson& lesson, io::TrainingFile& file, const std::filesystem::path& result,
        ProgressDisplay& display, bool quick)
      : lesson_(lesson),
        file_(file),
        checkpoint_(checkpoint_of(result)),
        display_(display),
        quick_(quick),
        standings(lesson.plan.rules.size()) {}

  void evaluated(CourseId id, std::size_t step,
                 const std::vector<std::vector<double>>& values) override {
    const auto& variables = learning::course_variables();
    for (std::size_t v = 0; v < variables.size(); ++v)
      file_.put(variables[v].name, id.rule, id.seed, step, values[v]);
    Standing& own = standings[id.rule];
    const auto value = [&](const char* name) {
      for (std::size_t v = 0; v < variables.size(); ++v)
        if (variables[v].name == name) return values[v].front();
      return std::nan("");
    };
    const bool has_test = lesson_.data[id.seed]->held_out.count() > 0;
    const double error = value(has_test ? "test_error" : "train_error");
    if (step == 0) own.first.push_back(error);
    latest_[{id.rule, id.seed}] = error;
    if (std::isfinite(value("seconds_per_example")))
      own.seconds.push_back(value("seconds_per_example"));
    own.unsettled += value("unsettled");
  }

  void ended(CourseId id, const Course& course) override {
    const std::map<CourseOutcome, io::CourseOutcome> names{
        {CourseOutcome::running, io::CourseOutcome::interrupted},
        {CourseOutcome::trained, io::CourseOutcome::trained},
        {CourseOutcome::diverged, io::CourseOutcome::diverged},
        {CourseOutcome::failed, io::CourseOutcome::failed}};
    const io::CourseOutcome outcome = names.at(course.outcome());
    file_.end(id.rule, id.seed, outcome, course.reason());
    ++standings[id.rule].outcomes[io::course_outcome_names()[static_cast<std::size_t>(outcome)]];
    for (const auto& [name, matrix] : course.parameters())
      if (matrix.cols() == 1 && !name.starts_with("W_"))
        file_.put_vector(id.rule, id.seed, name, matrix.col(0));
      else
        file_.put_matrix(id.rule, id.seed, name, matrix);
  }

  void keep(CourseId id, learning::Snapshot snapshot) override {
    kept_[{id.rule, id.seed}] = std::move(snapshot);
    const std::chrono::duration<double> since = Clock::now() - written_;
    if (since.count() > lesson_.plan.learning.checkpoint_every / 2) write_checkpoint();
  }

  bool proceed(const std::vector<const Course*>& courses) override {
    double seen = 0, all = 0, error = 0;
    std::size_t known = 0;
    for (const Course* course : courses) {
      seen += static_cast<double>(course->examples());
      all += static_cast<double>(course->schedule().examples_after(course->schedule().batches()));
      if (!std::isfinite(course->last_error())) continue;
      error += course->last_error();
      ++known;
    }
    if (seen_before_ < 0) seen_before_ = seen;
    const std::chrono::duration<double> passed = Clock::now() - start_;
    std::string text;
    if (known > 0) text += "error " + core::brief(error / static_cast<double>(known)) + ", ";
    text += core::brief(std::round((seen - seen_before_) / std::max(passed.count(), 1e-3))) +
            " examples/s";
    display_.show(seen / all, text);
    rehearsed_ = quick_ && passed.count() > quick_seconds;
    return !stop_requested() && !rehearsed_;
  }

  void write_checkpoint() {
    file_.flush();
    io::CheckpointWriter writer(checkpoint_);
    for (const auto& [id, snapshot] : kept_)
      for (const auto& [name, number] : snapshot.numbers)
        std::visit(
            [&, full = prefix(lesson_.plan, {id.first, id.second}) + name](const auto& value) {
              using T = std::decay_t<decltype(value)>;
              if constexpr (std::is_same_v<T, std::int64_t>)
                writer.integer(full, value);
              else if constexpr (std::is_same_v<T, double>)
                writer.number(full, value);
              else
                writer.matrix(full, value);
            },
            number);
    writer.commit();
    written_ = Clock::now();
  }

  // Where a course stands in a checkpoint.
  static std::string prefix(const learning::Plan& plan, CourseId id) {
    return "rule_" + std::to_string(id.rule) + "/seed_" + std::to_string(plan.seeds[id.seed]) + "/";
  }

  bool rehearsed() const { return rehearsed_; }
  double last_error(CourseId id) const {
    const auto found = latest_.find({id.rule, id.seed});
    return found == latest_.end() ? std::nan("") : found->second;
  }

 private:
  const Lesson& lesson_;
  io::TrainingFile& file_;
  std::filesystem::path checkpoint_;
  ProgressDisplay& display_;
  bool quick_, rehearsed_ = false;
  std::map<std::pair<std::size_t, std::size_t>, learning::Snapshot> kept_;
  std::map<std::pair<std::size_t, std::size_t>, double> latest_;
  Clock::time_point start_ = Clock::now(), written_ = start_;
  double seen_before_ = -1;

 public:
  std::vector<Standing> standings;
};

// Puts a course where a checkpoint has it.
class CheckpointVisitor final : public learning::StateVisitor {
 public:
  CheckpointVisitor(const io::CheckpointReader& reader, std::string prefix)
      : reader_(reader), prefix_(std::move(prefix)) {}
  void matrix(const std::string& name, Eigen::MatrixXd& m) override {
    if (m.size() == 0)
      m = reader_.matrix(prefix_ + name);
    else
      reader_.matrix(prefix_ + name, m);
  }
  void matrix(const std::string& name, Eigen::MatrixXf& m) override {
    if (m.size() == 0)
      m = reader_.matrix_float32(prefix_ + name);
    else
      reader_.matrix(prefix_ + name, m);
  }
  void integer(const std::string& name, std::int64_t& n) override {
    n = reader_.integer(prefix_ + name);
  }
  void number(const std::string& name, double& x) override { x = reader_.number(prefix_ + name); }

 private:
  const io::CheckpointReader& reader_;
  std::string prefix_;
};

std::string network_text(const learning::NetworkSpec& network) {
  std::string text;
  double parameters = 0;
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    text += (l > 0 ? "-" : "") + std::to_string(network.layers[l]);
    if (l > 0)
      parameters += static_cast<double>(network.layers[l]) *
                    (static_cast<double>(network.layers[l - 1]) + (network.bias ? 1 : 0));
  }
  if (network.depth() > 1) {
    std::vector<std::string> names;
    for (const auto& transfer : network.transfer)
      if (names.empty() || names.back() != transfer->name()) names.push_back(transfer->name());
    text += ", " + core::join(names, ", ");
  }
  return text + ", " + network.output + " output, " + core::brief(parameters) +
         " weights and biases, " + network.precision;
}

std::string middle_text(std::vector<double> values) {
  if (values.empty()) return "";
  std::sort(values.begin(), values.end());
  return core::brief(analysis::median(values));
}

void print(const Lesson& lesson, const Watch& watch, const io::TrainingLayout& layout,
           const std::filesystem::path& result, double seconds) {
  const Style style(1);
  const auto& plan = lesson.plan;
  std::cout << style.bold(plan.title.empty() ? result.stem().string() : plan.title) << '\n';
  print_line("data", lesson.data.front()->description);
  print_line("network", network_text(plan.network));
  const std::size_t courses = plan.rules.size() * plan.seeds.size();
  print_line("trained", std::to_string(plan.rules.size()) +
                            (plan.rules.size() == 1 ? " rule" : " rules") + " with " +
                            std::to_string(plan.seeds.size()) +
                            (plan.seeds.size() == 1 ? " seed" : " seeds") + ", " +
                            core::brief(layout.steps.back()) + " examples each, in " +
                            duration_text(seconds) + (courses > 1 ? ", side by side" : ""));
  print_line("result", result.string());
  const bool is_class = lesson.data.front()->classes > 0;
  const bool has_test = lesson.data.front()->held_out.count() > 0;
  std::cout << '\n';
  Table table({"rule",
               std::string(has_test ? "test" : "training") + " error" +
                   (is_class ? " (share wrong)" : " (mean square)"),
               "at the start", "worst seed", "per example", "not settled", "outcome"},
              "lrrrrrl");
  for (std::size_t r = 0; r < plan.rules.size(); ++r) {
    const Standing& own = watch.standings[r];
    std::vector<double> last;
    for (std::size_t s = 0; s < plan.seeds.size(); ++s) last.push_back(watch.last_error({r, s}));
    std::string outcome;
    for (const auto& [name, count] : own.outcomes)
      outcome += (outcome.empty() ? "" : ", ") + name +
                 (plan.seeds.size() > 1 ? " " + std::to_string(count) : "");
    const double worst = *std::max_element(last.begin(), last.end());
    table.add({plan.rules[r].name, middle_text(last), middle_text(own.first), core::brief(worst),
               own.seconds.empty() ? "" : duration_text(analysis::median(own.seconds)),
               core::brief(own.unsettled), outcome});
  }
  table.print();
  std::cout.flush();
}

Json to_json(const Lesson& lesson, const Watch& watch, const std::filesystem::path& result,
             const std::string& status, double seconds) {
  Json out;
  out["result"] = result.string();
  out["title"] = lesson.plan.title;
  out["status"] = status;
  out["data"] = lesson.data.front()->description;
  for (std::size_t r = 0; r < lesson.plan.rules.size(); ++r) {
    Json rule;
    rule["name"] = lesson.plan.rules[r].name;
    for (std::size_t s = 0; s < lesson.plan.seeds.size(); ++s)
      rule["error"].push_back(json_number(watch.last_error({r, s})));
    for (const auto& [name, count] : watch.standings[r].outcomes) rule["outcomes"][name] = count;
    rule["unsettled"] = watch.standings[r].unsettled;
    out["rules"].push_back(std::move(rule));
  }
  out["wall_time"] = seconds;
  return out;
}

// Trains, and closes the file.
int finish(const Lesson& lesson, io::TrainingFile& file, const std::filesystem::path& result,
           const RunOptions& options, Json& all,
           const std::function<void(CourseId, Course&)>& begin) {
  const auto start = Clock::now();
  file.set_attribute("error_measure", lesson.data.front()->classes > 0 ? "share of wrong classes"
                                                                       : "mean squared error");
  ProgressDisplay display(options.quiet || options.json, result.stem().string());
  Watch watch(lesson, file, result, display, options.quick);
  {
    const SignalGuard guard;
    learning::train(lesson.plan, lesson.data, watch, begin);
  }
  display.clear();
  const bool complete = !stop_requested() && !watch.rehearsed();
  bool any = false;
  for (const Standing& standing : watch.standings)
    any = any || standing.outcomes.contains("trained");
  const std::string status = !complete ? "interrupted" : any ? "done" : "failed";
  if (!complete) watch.write_checkpoint();
  file.finish(status, complete ? "" : stop_requested() ? "interrupted" : "a rehearsal");
  std::error_code ignored;
  if (complete) std::filesystem::remove(checkpoint_of(result), ignored);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (options.json)
    all.push_back(to_json(lesson, watch, result, status, seconds));
  else if (!options.quiet)
    print(lesson, watch, file.layout(), result, seconds);
  if (!complete) {
    if (!options.quiet && !options.json)
      std::cerr << "settle: " << (stop_requested() ? "interrupted" : "a rehearsal")
                << "; settle resume " << result.string() << " goes on with it\n";
    return stop_requested() ? interrupted : done;
  }
  return any ? done : simulation_failed;
}

}  // namespace

core::Value expanded_training(const io::LoadedFile& file) {
  return learning::expanded(learning::read_plan(file.value, base_of(file.path)));
}

int run_training(const io::LoadedFile& file, const std::filesystem::path& result,
                 const RunOptions& options, Json& all) {
  check_is_not_input(result, file.path);
  const std::filesystem::path base = base_of(file.path);
  const Lesson lesson = prepare_training(file.value, base, options.quick);
  io::ResumableInfo info{program_info(options.command), {io::toml_text(file.value), base, {}}};
  info.run.title = lesson.plan.title.empty() ? file.path.stem().string() : lesson.plan.title;
  info.run.config = file.text;
  info.run.config_expanded = io::toml_text(learning::expanded(lesson.plan));
  info.run.seed = static_cast<std::uint64_t>(lesson.plan.seeds.front());
  if (options.quick) info.resumption.options.emplace_back("--quick");
  io::TrainingFile recorded(
      result, layout_of(lesson), info,
      options.overwrite ? io::TrainingFile::Opening::overwrite : io::TrainingFile::Opening::create);
  recorded.set_attribute("data", lesson.data.front()->description);
  return finish(lesson, recorded, result, options, all, {});
}

int resume_training(const std::filesystem::path& result, const RunOptions& options, Json& all) {
  const io::Resumption from = io::read_resumption(io::h5::File::open(result));
  RunOptions same = options;
  same.quick = false;  // a rehearsal that goes on is the whole run of its few examples
  const bool quick =
      std::find(from.options.begin(), from.options.end(), "--quick") != from.options.end();
  const core::Value value = io::parse_toml(from.config, result.string() + ": resume_config");
  const Lesson lesson = prepare_training(value, from.base, quick);
  const io::CheckpointReader checkpoint(checkpoint_of(result));
  io::ResumableInfo info{program_info(options.command), from};
  io::TrainingFile recorded(result, layout_of(lesson), info, io::TrainingFile::Opening::resume);
  return finish(lesson, recorded, result, same, all, [&](CourseId id, Course& course) {
    const std::string prefix = Watch::prefix(lesson.plan, id);
    if (!checkpoint.has(prefix + "batches")) return;
    CheckpointVisitor visitor(checkpoint, prefix);
    course.state(visitor);
  });
}

void check_training(const io::LoadedFile& file, const CommonOptions& options, Json& all) {
  const Lesson lesson = prepare_training(file.value, base_of(file.path), false);
  const io::TrainingLayout layout = layout_of(lesson);
  for (const auto& rule : lesson.plan.rules)
    learning::make_course(lesson.plan, rule, lesson.plan.seeds.front(), *lesson.data.front());
  if (options.json) {
    all.push_back({{"title", lesson.plan.title},
                   {"data", lesson.data.front()->description},
                   {"network", network_text(lesson.plan.network)},
                   {"rules", layout.rules},
                   {"seeds", layout.seeds},
                   {"examples", layout.steps.back()},
                   {"evaluations", layout.steps.size()}});
    return;
  }
  if (options.quiet) return;
  std::cout << Style(1).bold(lesson.plan.title.empty() ? file.path.stem().string()
                                                       : lesson.plan.title)
            << '\n';
  print_line("data", lesson.data.front()->description);
  print_line("network", network_text(lesson.plan.network));
  print_line("rules", core::join(layout.rules, ", "));
  print_line("training", core::brief(layout.steps.back()) + " examples a rule and seed, " +
                             std::to_string(layout.seeds.size()) +
                             (layout.seeds.size() == 1 ? " seed, " : " seeds, ") +
                             std::to_string(layout.steps.size()) + " evaluations");
}

}  // namespace settle::cli
