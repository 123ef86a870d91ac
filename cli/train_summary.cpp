#include "cli/train_summary.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "analysis/summary.hpp"
#include "analysis/training_lines.hpp"
#include "cli/run_summary.hpp"
#include "sim/io/training_file.hpp"

namespace settle::cli {

using analysis::counted;
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t most_reasons = 5;

// The median, in which what is not a number counts as infinite.
double middle(std::vector<double> values) {
  for (double& value : values)
    if (std::isnan(value)) value = std::numeric_limits<double>::infinity();
  std::sort(values.begin(), values.end());
  return values.empty() ? std::nan("") : analysis::median(values);
}

std::vector<double> finite(std::vector<double> values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  return values;
}

std::vector<double> each(const std::vector<CourseReport>& courses, double CourseReport::*member) {
  std::vector<double> out;
  for (const CourseReport& course : courses) out.push_back(course.*member);
  return out;
}

std::map<std::string, std::size_t> outcomes_of(const std::vector<CourseReport>& courses) {
  std::map<std::string, std::size_t> out;
  for (const CourseReport& course : courses) ++out[course.outcome];
  return out;
}

bool settles(const std::vector<CourseReport>& courses) {
  return std::any_of(courses.begin(), courses.end(), [](const CourseReport& course) {
    return !std::isnan(course.evaluations) || course.unsettled > 0;
  });
}

std::string error_text(const TrainReport& report, double error) {
  if (!std::isfinite(error)) return "—";
  return report.is_class ? core::brief(100 * error) + " %" : core::brief(error);
}

std::string trained_text(const TrainReport& report) {
  const double courses = static_cast<double>(report.rules.size() * report.seeds.size());
  const std::string examples =
      report.status == "interrupted"
          ? count_text(report.seen) + " of " + count_text(report.all) + " examples"
          : count_text(report.all / courses) + " examples each";
  return counted(report.rules.size(), "rule") + " with " + counted(report.seeds.size(), "seed") +
         ", " + examples + ", in " + duration_text(report.seconds) +
         (report.is_resumed ? " since it was resumed" : "");
}

// Why courses did not come to their end, or circuits to theirs.
// How often the loops of rules that look at them were found unstable, and corrected.
void print_stability(const TrainReport& report) {
  bool any = false;
  for (std::size_t r = 0; r < report.rules.size(); ++r) {
    double unstable = 0, interventions = 0;
    for (const CourseReport& course : report.courses[r]) {
      unstable += course.unstable;
      interventions += course.interventions;
    }
    if (unstable == 0) continue;
    std::cout << (any ? "    " : "\n    ") << report.rules[r] << ": "
              << counted(static_cast<std::size_t>(unstable), "loop") << " found unstable, "
              << counted(static_cast<std::size_t>(interventions), "correction") << '\n';
    any = true;
  }
}

void print_reasons(const TrainReport& report) {
  std::size_t count = 0;
  for (std::size_t r = 0; r < report.rules.size(); ++r)
    for (std::size_t s = 0; s < report.seeds.size(); ++s) {
      const CourseReport& course = report.courses[r][s];
      if (course.reason.empty() || ++count > most_reasons) continue;
      std::cout << (count == 1 ? "\n    " : "    ") << report.rules[r];
      if (report.seeds.size() > 1) std::cout << ", seed " << report.seeds[s];
      std::cout << ": " << (course.outcome == "trained" ? "" : course.outcome + ", ")
                << course.reason << '\n';
    }
  if (count > most_reasons)
    std::cout << "    and " << count - most_reasons << " more: `reason` in the file\n";
}

}  // namespace

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
  return text + ", " + network.output + " output, " + count_text(parameters) +
         (network.bias ? " weights and biases, " : " weights, ") + network.precision;
}

// Names may hold commas.
std::string rules_text(const std::vector<learning::RuleSpec>& rules) {
  std::string text;
  for (std::size_t first = 0, end = 0; first < rules.size(); first = end) {
    const learning::RuleSpec& rule = rules[first];
    end = first + 1;
    while (!rule.series.parameter.empty() && end < rules.size() &&
           rules[end].series.name == rule.series.name &&
           rules[end].series.parameter == rule.series.parameter)
      ++end;
    text += (first == 0 ? "" : "; ") + rule.name;
    if (end == first + 1) continue;
    // What the last one's name goes on with after the series' own.
    const std::string& last = rules[end - 1].name;
    const std::string start = rule.series.name + ", " + rule.series.parameter + " = ";
    text += " … " + (last.starts_with(start) ? last.substr(start.size()) : last) + " (" +
            counted(end - first, "rule") + ")";
  }
  return text;
}

void read_courses(TrainReport& report) {
  const io::h5::File file = io::h5::File::open(report.result);
  const std::size_t steps = file.dataset("step").shape().front();
  const auto values = [&](const char* name) { return file.dataset(name).read_numbers().values; };
  const std::vector<double> errors = values(report.is_held_out ? "test_error" : "train_error"),
                            seconds = values("seconds_per_example"),
                            unsettled = values("unsettled"), evaluations = values("evaluations"),
                            unstable = values("unstable"), interventions = values("interventions"),
                            outcomes = values("outcome");
  const std::vector<std::string> reasons = file.dataset("reason").read_texts();
  report.courses.clear();
  for (std::size_t r = 0; r < report.rules.size(); ++r) {
    report.courses.emplace_back();
    for (std::size_t s = 0; s < report.seeds.size(); ++s) {
      const std::size_t k = r * report.seeds.size() + s;
      const auto of = [&](const std::vector<double>& all) {
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(k * steps);
        return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(steps));
      };
      const auto sum = [](const std::vector<double>& all) {
        double total = 0;
        for (const double one : all) total += one;
        return total;
      };
      CourseReport course;
      course.outcome = io::course_outcome_names().at(static_cast<std::size_t>(outcomes[k]));
      course.reason = reasons[k];
      course.first_error = of(errors).front();
      const std::vector<double> known = finite(of(errors));
      course.error = known.empty() || course.outcome == "diverged" ? std::nan("") : known.back();
      const std::vector<double> times = finite(of(seconds));
      course.seconds = times.empty() ? std::nan("") : middle(times);
      course.unsettled = sum(finite(of(unsettled)));
      course.unstable = sum(finite(of(unstable)));
      course.interventions = sum(finite(of(interventions)));
      const std::vector<double> costs = finite(of(evaluations));
      course.evaluations =
          costs.empty() ? std::nan("") : sum(costs) / static_cast<double>(costs.size());
      report.courses.back().push_back(std::move(course));
    }
  }
}

void print_training(const TrainReport& report) {
  std::cout << Style(1).bold(report.title) << '\n';
  print_line("data", report.data);
  print_line("network", report.network);
  print_line("trained", trained_text(report));
  const bool several = report.seeds.size() > 1;
  print_line("error",
             std::string(report.is_class ? "share of wrong classes" : "mean square") + " on " +
                 (report.is_held_out ? "held-out" : "training") + " examples" +
                 (several ? "; the median of " + counted(report.seeds.size(), "seed") : ""));
  print_line("result", report.result.string());
  std::cout << '\n';
  const bool any_settles = std::any_of(report.courses.begin(), report.courses.end(), settles);
  const auto row = [&](std::string rule, std::string error, std::string worst, std::string first,
                       std::string time, std::string unsettled, std::string outcome) {
    std::vector<std::string> out{std::move(rule), std::move(error)};
    if (several) out.push_back(std::move(worst));
    out.push_back(std::move(first));
    out.push_back(std::move(time));
    if (any_settles) out.push_back(std::move(unsettled));
    out.push_back(std::move(outcome));
    return out;
  };
  const auto heading = row("rule", "error", "of the worst seed", "at the start", "time an example",
                           "not settled", "outcome");
  Table table(heading, "l" + std::string(heading.size() - 2, 'r') + "l");
  for (std::size_t r = 0; r < report.rules.size(); ++r) {
    const std::vector<CourseReport>& own = report.courses[r];
    const std::vector<double> errors = each(own, &CourseReport::error);
    const bool all_known = finite(errors).size() == errors.size();
    const std::vector<double> times = finite(each(own, &CourseReport::seconds));
    double unsettled = 0;
    for (const CourseReport& course : own) unsettled += course.unsettled;
    std::string outcome;
    for (const auto& [name, count] : outcomes_of(own))
      outcome +=
          (outcome.empty() ? "" : ", ") + (several ? std::to_string(count) + " " : "") + name;
    const double worst = all_known ? *std::max_element(errors.begin(), errors.end()) : std::nan("");
    table.add(row(report.rules[r], error_text(report, middle(errors)), error_text(report, worst),
                  error_text(report, middle(each(own, &CourseReport::first_error))),
                  times.empty() ? "" : duration_text(middle(times)),
                  settles(own) ? count_text(unsettled) : "", outcome));
  }
  table.print();
  print_stability(report);
  print_reasons(report);
  std::cout.flush();
}

void print_costs(const std::filesystem::path& file, double error) {
  const analysis::PlotOptions all;
  const analysis::TrainingLines lines(file, all);
  const io::TrainingLayout& axes = lines.axes();
  const analysis::TrainingNumber errors = lines.numbers(lines.error_variable()),
                                 seconds = accumulated(lines, "seconds_per_example"),
                                 multiplications = accumulated(lines, "multiplications");
  print_line(
      "error",
      lines.error_title() + ", at most " + core::brief(error) +
          (axes.seeds.size() > 1 ? "; the median of " + counted(axes.seeds.size(), "seed") : ""));
  std::cout << '\n';
  Table table({"rule", "examples", "time", "multiplications"}, "lrrr");
  for (std::size_t r = 0; r < axes.rules.size(); ++r) {
    std::vector<double> seen, taken, multiplied;
    for (std::size_t s = 0; s < axes.seeds.size(); ++s) {
      std::size_t t = 0;
      while (t < axes.steps.size() && !(errors(r, s, t) <= error)) ++t;
      const bool is_reached = t < axes.steps.size();
      seen.push_back(is_reached ? axes.steps[t] : std::nan(""));
      taken.push_back(is_reached ? seconds(r, s, t) : std::nan(""));
      multiplied.push_back(is_reached ? multiplications(r, s, t) : std::nan(""));
    }
    const auto text = [](double number, const auto& of) {
      return std::isfinite(number) ? of(number) : std::string("-");
    };
    table.add({axes.rules[r], text(middle(seen), count_text), text(middle(taken), duration_text),
               text(middle(multiplied), [](double n) { return core::brief(n); })});
  }
  table.print();
}

Json training_json(const TrainReport& report) {
  Json out{{"result", report.result.string()},
           {"title", report.title},
           {"status", report.status},
           {"data", report.data},
           {"network", report.network},
           {"error", std::string(report.is_held_out ? "test_error" : "train_error")},
           {"seeds", report.seeds},
           {"rules", Json::array()}};
  for (std::size_t r = 0; r < report.rules.size(); ++r) {
    Json rule{{"name", report.rules[r]}};
    for (const CourseReport& course : report.courses[r]) {
      rule["error"].push_back(json_number(course.error));
      rule["first_error"].push_back(json_number(course.first_error));
      rule["seconds_per_example"].push_back(json_number(course.seconds));
      rule["unsettled"].push_back(std::llround(course.unsettled));
      rule["unstable"].push_back(std::llround(course.unstable));
      rule["interventions"].push_back(std::llround(course.interventions));
      rule["outcome"].push_back(course.outcome);
      rule["reason"].push_back(course.reason);
    }
    out["rules"].push_back(std::move(rule));
  }
  out["examples"] = std::llround(report.seen);
  out["wall_time"] = report.seconds;
  return out;
}

}  // namespace settle::cli
