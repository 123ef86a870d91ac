#include "cli/train.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "analysis/summary.hpp"
#include "cli/interrupt.hpp"
#include "cli/run_summary.hpp"
#include "cli/train_summary.hpp"
#include "learning/trainer.hpp"
#include "sim/io/checkpoint.hpp"
#include "sim/io/checksum.hpp"
#include "sim/io/training_file.hpp"

namespace settle::cli {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;
using learning::Course;
using learning::CourseId;
using learning::CourseOutcome;

constexpr std::int64_t quick_examples = 200;
constexpr const char* identity_name = "run_sha256";  // in a checkpoint

std::filesystem::path checkpoint_of(const std::filesystem::path& result) {
  return result.parent_path() / (result.stem().string() + ".checkpoint.h5");
}

// A configuration with its data.
struct Lesson {
  learning::Plan plan;
  std::string title;
  std::vector<std::shared_ptr<const learning::DataSet>> data;
};

Lesson prepare_training(const core::Value& value, const std::filesystem::path& base,
                        const std::string& name, bool quick) {
  Lesson out{learning::read_plan(value, base), "", {}};
  out.title = out.plan.title.empty() ? name : out.plan.title;
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

std::string expanded_text(const Lesson& lesson) {
  return io::toml_text(learning::expanded(lesson.plan));
}

// What a checkpoint belongs to: the configuration, and what was in the files of its data.
std::string identity_of(const Lesson& lesson) {
  constexpr std::size_t digest = 64;  // characters of a SHA-256
  std::string text = expanded_text(lesson);
  for (const std::string& file : lesson.data.front()->files) text += file.substr(0, digest) + "\n";
  return io::sha256(text);
}

io::TrainingLayout layout_of(const Lesson& lesson) {
  const learning::Schedule schedule(lesson.plan.learning, lesson.data.front()->training.count());
  io::TrainingLayout layout;
  for (const learning::RuleSpec& rule : lesson.plan.rules) {
    layout.rules.push_back(rule.name);
    layout.series.push_back({rule.series.name, rule.series.parameter, rule.series.value});
  }
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

// Records, shows the progress, keeps checkpoints, and ends the training where the user wants it.
class Watch final : public learning::TrainingObserver {
 public:
  Watch(const Lesson& lesson, io::TrainingFile& file, const std::filesystem::path& result,
        ProgressDisplay& display, bool quick)
      : lesson_(lesson),
        file_(file),
        checkpoint_(checkpoint_of(result)),
        identity_(identity_of(lesson)),
        display_(display),
        quick_(quick) {}

  void evaluated(CourseId id, std::size_t step,
                 const std::vector<std::vector<double>>& values) override {
    const auto& variables = learning::course_variables();
    for (std::size_t v = 0; v < variables.size(); ++v)
      file_.put(variables[v].name, id.rule, id.seed, step, values[v]);
  }

  void ended(CourseId id, const Course& course) override {
    const std::map<CourseOutcome, io::CourseOutcome> names{
        {CourseOutcome::running, io::CourseOutcome::interrupted},
        {CourseOutcome::trained, io::CourseOutcome::trained},
        {CourseOutcome::diverged, io::CourseOutcome::diverged},
        {CourseOutcome::failed, io::CourseOutcome::failed}};
    for (const auto& [name, matrix] : course.parameters())
      if (matrix.cols() == 1 && !name.starts_with("W_"))
        file_.put_vector(id.rule, id.seed, name, matrix.col(0));
      else
        file_.put_matrix(id.rule, id.seed, name, matrix);
    file_.end(id.rule, id.seed, names.at(course.outcome()), course.reason());
    seen_ += static_cast<double>(course.examples());
    if (course.outcome() != CourseOutcome::running) kept_.erase({id.rule, id.seed});
  }

  // Of a course that was over before.
  void leave_out(const Course& course) {
    seen_ += static_cast<double>(course.schedule().examples_after(course.schedule().batches()));
  }
  // Until there is a newer one.
  void begin_from(CourseId id, learning::Snapshot snapshot) {
    kept_[{id.rule, id.seed}] = std::move(snapshot);
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
    text += count_text((seen - seen_before_) / std::max(passed.count(), 1e-3)) + " examples/s";
    display_.show(all > 0 ? seen / all : 1, text);
    rehearsed_ = quick_ && passed.count() > quick_seconds;
    return !stop_requested() && !rehearsed_;
  }

  void write_checkpoint() {
    file_.flush();
    io::CheckpointWriter writer(checkpoint_);
    writer.text(identity_name, identity_);
    for (const auto& [id, snapshot] : kept_)
      for (const auto& [name, number] : snapshot.numbers)
        std::visit(
            [&, full = prefix(lesson_.plan, {id.first, id.second}) + name](const auto& value) {
              using T = std::decay_t<decltype(value)>;
              if constexpr (std::is_same_v<T, std::int64_t>)
                writer.integer(full, value);
              else if constexpr (std::is_same_v<T, double>)
                writer.number(full, value);
              else if constexpr (std::is_same_v<T, std::string>)
                writer.text(full, value);
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
  double seen() const { return seen_; }

 private:
  const Lesson& lesson_;
  io::TrainingFile& file_;
  std::filesystem::path checkpoint_;
  std::string identity_;
  ProgressDisplay& display_;
  bool quick_, rehearsed_ = false;
  std::map<std::pair<std::size_t, std::size_t>, learning::Snapshot> kept_;
  Clock::time_point start_ = Clock::now(), written_ = start_;
  double seen_before_ = -1;  // by all that run, when they began
  double seen_ = 0;          // by all that have ended
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
  void text(const std::string& name, std::string& text) override {
    text = reader_.text(prefix_ + name);
  }

 private:
  const io::CheckpointReader& reader_;
  std::string prefix_;
};

// The checkpoint beside a result; null where there is none yet, since the result holds nothing either.
// @throws InputError
std::unique_ptr<io::CheckpointReader> open_checkpoint(const std::filesystem::path& result,
                                                      const std::string& identity) {
  const std::filesystem::path path = checkpoint_of(result);
  const std::string way_out =
      "that of " + result.string() + ", or settle run --overwrite to begin the training anew";
  if (!std::filesystem::exists(path)) {
    const std::vector<double> errors =
        io::h5::File::open(result).dataset("train_error").read_numbers().values;
    if (std::all_of(errors.begin(), errors.end(), [](double error) { return std::isnan(error); }))
      return nullptr;
    throw core::InputError(path.string(), "no such file", "the checkpoint: " + way_out);
  }
  auto reader = std::make_unique<io::CheckpointReader>(path);
  if (!reader->has(identity_name) || reader->text(identity_name) != identity)
    throw core::InputError(path.string(), "a checkpoint of another configuration, or of other data",
                           way_out);
  return reader;
}

// What is said on standard error, and the exit code.
int conclude(const TrainReport& report, bool speaks) {
  const Style style(2);
  if (report.status == "interrupted") {
    if (speaks)
      std::cerr << "settle: " << (stop_requested() ? "interrupted" : "a rehearsal")
                << "; settle resume " << report.result.string() << " goes on with it\n";
    return stop_requested() ? interrupted : done;
  }
  std::map<std::string, std::size_t> ends;
  std::size_t all = 0;
  for (const auto& courses : report.courses)
    for (const CourseReport& course : courses) {
      ++ends[course.outcome];
      ++all;
    }
  const auto say = [&](const std::string& outcome, const std::string& then) {
    if (!speaks || ends[outcome] == 0) return;
    std::cerr << style.red("settle: " +
                           (all == 1 ? std::string("the training")
                                     : std::to_string(ends[outcome]) + " of " +
                                           std::to_string(all) + " courses") +
                           " " + outcome)
              << "; " << then << '\n';
  };
  say("diverged", "a smaller learning_rate, or a clip, may cure it");
  say("failed", "`reason` in the file says why");
  return report.status == "failed" ? simulation_failed : done;
}

// Trains, from the checkpoint where there is one, and closes the file.
int finish(const Lesson& lesson, io::TrainingFile& file, const std::filesystem::path& result,
           const RunOptions& options, Json& all, const io::CheckpointReader* checkpoint) {
  const auto start = Clock::now();
  file.set_attribute("error_measure", lesson.data.front()->is_classification()
                                          ? "share of wrong classes"
                                          : "mean squared error");
  ProgressDisplay display(options.quiet || options.json, result.stem().string());
  Watch watch(lesson, file, result, display, options.quick);
  TrainReport report{
      .title = lesson.title,
      .data = lesson.data.front()->description,
      .network = network_text(lesson.plan.network),
      .result = result,
      .is_class = lesson.data.front()->is_classification(),
      .is_held_out = lesson.data.front()->held_out.count() > 0,
      .is_resumed = checkpoint != nullptr,
      .all = file.layout().steps.back() *
             static_cast<double>(lesson.plan.rules.size() * lesson.plan.seeds.size()),
      .rules = file.layout().rules,
      .seeds = file.layout().seeds};
  // From the start, so that a training that is killed soon can be resumed, and an older checkpoint goes.
  if (!checkpoint) watch.write_checkpoint();
  const auto begin = [&](CourseId id, Course& course) {
    if (file.outcome(id.rule, id.seed)) {
      watch.leave_out(course);
      return false;
    }
    const std::string prefix = Watch::prefix(lesson.plan, id);
    if (checkpoint && checkpoint->has(prefix + "batches")) {
      CheckpointVisitor visitor(*checkpoint, prefix);
      course.state(visitor);
      watch.begin_from(id, learning::take_snapshot(course));
    }
    return true;
  };
  {
    const SignalGuard guard;
    learning::train(lesson.plan, lesson.data, watch, begin);
  }
  display.clear();
  bool any = false, complete = true;
  for (std::size_t r = 0; r < report.rules.size(); ++r)
    for (std::size_t s = 0; s < report.seeds.size(); ++s) {
      any = any || file.outcome(r, s) == io::CourseOutcome::trained;
      complete = complete && file.outcome(r, s) != io::CourseOutcome::interrupted;
    }
  report.status = !complete ? "interrupted" : any ? "done" : "failed";
  if (!complete) watch.write_checkpoint();
  file.finish(report.status, complete ? "" : stop_requested() ? "interrupted" : "a rehearsal");
  std::error_code ignored;
  if (complete) std::filesystem::remove(checkpoint_of(result), ignored);
  report.seen = watch.seen();
  report.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  read_courses(report);
  if (options.json)
    all.push_back(training_json(report));
  else if (!options.quiet)
    print_training(report);
  return conclude(report, !options.json && !options.quiet);
}

}  // namespace

core::Value expanded_training(const io::LoadedFile& file) {
  return learning::expanded(learning::read_plan(file.value, base_of(file.path)));
}

int run_training(const io::LoadedFile& file, const std::filesystem::path& result,
                 const RunOptions& options, Json& all) {
  check_is_not_input(result, file.path);
  const std::filesystem::path base = base_of(file.path);
  const Lesson lesson =
      prepare_training(file.value, base, file.path.stem().string(), options.quick);
  io::ResumableInfo info{program_info(options.command), {io::toml_text(file.value), base, {}}};
  info.run.title = lesson.title;
  info.run.config = file.text;
  info.run.config_expanded = expanded_text(lesson);
  info.run.seed = static_cast<std::uint64_t>(lesson.plan.seeds.front());
  if (options.quick) info.resumption.options.emplace_back("--quick");
  io::TrainingFile recorded(
      result, layout_of(lesson), info,
      options.overwrite ? io::TrainingFile::Opening::overwrite : io::TrainingFile::Opening::create);
  recorded.set_attribute("data", lesson.data.front()->description);
  return finish(lesson, recorded, result, options, all, nullptr);
}

int resume_training(const std::filesystem::path& result, const RunOptions& options, Json& all) {
  io::Resumption from;
  std::string title;
  {
    const io::h5::File file = io::h5::File::open(result);
    const std::string status = file.text_attribute("status");
    if (status == "done" || status == "failed") {
      if (options.json)
        all.push_back({{"result", result.string()}, {"status", status}});
      else if (!options.quiet)
        std::cout << result.string() << " is complete\n";
      return status == "done" ? done : simulation_failed;
    }
    from = io::read_resumption(file);
    title = file.text_attribute("title");
  }
  RunOptions same = options;
  same.quick = false;  // a rehearsal that goes on is the whole run of its few examples
  const bool quick =
      std::find(from.options.begin(), from.options.end(), "--quick") != from.options.end();
  const core::Value value = io::parse_toml(from.config, result.string() + ": resume_config");
  const Lesson lesson = prepare_training(value, from.base, title, quick);
  io::ResumableInfo info{program_info(options.command), from};
  info.run.config_expanded = expanded_text(lesson);
  const auto checkpoint = open_checkpoint(result, identity_of(lesson));
  io::TrainingFile recorded(result, layout_of(lesson), info, io::TrainingFile::Opening::resume);
  return finish(lesson, recorded, result, same, all, checkpoint.get());
}

void check_training(const io::LoadedFile& file, const CommonOptions& options, Json& all) {
  const Lesson lesson =
      prepare_training(file.value, base_of(file.path), file.path.stem().string(), false);
  const io::TrainingLayout layout = layout_of(lesson);
  for (const auto& rule : lesson.plan.rules)
    learning::make_course(lesson.plan, rule, lesson.plan.seeds.front(), *lesson.data.front());
  if (options.json) {
    all.push_back({{"title", lesson.title},
                   {"data", lesson.data.front()->description},
                   {"network", network_text(lesson.plan.network)},
                   {"rules", layout.rules},
                   {"seeds", layout.seeds},
                   {"examples", std::llround(layout.steps.back())},
                   {"evaluations", layout.steps.size()}});
    return;
  }
  if (options.quiet) return;
  std::cout << Style(1).bold(lesson.title) << '\n';
  print_line("data", lesson.data.front()->description);
  print_line("network", network_text(lesson.plan.network));
  print_line("rules", rules_text(lesson.plan.rules));
  print_line("training", count_text(layout.steps.back()) + " examples a rule and seed, " +
                             analysis::counted(layout.seeds.size(), "seed") + ", " +
                             analysis::counted(layout.steps.size(), "evaluation"));
}

}  // namespace settle::cli
