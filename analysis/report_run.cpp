#include <algorithm>
#include <cmath>
#include <map>

#include "analysis/measure.hpp"
#include "analysis/report_parts.hpp"
#include "analysis/summary.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;

constexpr std::size_t open_trials = 12;   // whose table stands open
constexpr std::size_t most_trials = 400;  // that have a line

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

std::string first_text(const Quantity* quantity) {
  if (!quantity) return "";
  for (const std::string& text : quantity->texts)
    if (!text.empty()) return text;
  return "";
}

// "settled at t = 28.91: the slowest mode …": the verdict's own first words are its headline.
PageVerdict split_verdict(Tone tone, const std::string& text) {
  const std::size_t end = std::min(text.find_first_of(":;("), text.size());
  std::size_t rest = std::min(text.find_first_not_of(":; ", end), text.size());
  std::string word = text.substr(0, end);
  while (!word.empty() && word.back() == ' ') word.pop_back();
  return {tone, capitalised(word), capitalised(text.substr(rest))};
}

// What became of every trial: the verdict, or where none was reached the outcome.
struct Fates {
  const Quantity* kinds = nullptr;
  const Quantity* texts = nullptr;

  explicit Fates(const std::vector<Quantity>& quantities)
      : kinds(find(quantities, "verdict")), texts(find(quantities, "verdict_text")) {
    if (kinds) return;
    kinds = find(quantities, "outcome");
    texts = find(quantities, "outcome_reason");
  }
  std::size_t trials() const { return kinds ? at(kinds->trials()) : 0; }
  std::string kind(std::size_t trial) const {
    const double flag = kinds->values(0, static_cast<Index>(trial));
    return std::isnan(flag) ? "" : kinds->meanings.at(static_cast<std::size_t>(flag));
  }
  std::string text(std::size_t trial) const {
    return texts && trial < texts->texts.size() ? texts->texts[trial] : "";
  }
};

std::vector<PageVerdict> verdicts_of(const std::vector<Quantity>& quantities) {
  std::vector<PageVerdict> out;
  const Fates fates(quantities);
  const std::size_t trials = fates.trials();
  if (trials == 1) {
    const std::string kind = fates.kind(0), text = fates.text(0);
    out.push_back(split_verdict(tone_of(kind), text.empty() ? words_of(kind) : text));
  } else if (trials > 1) {
    std::vector<std::pair<std::string, std::vector<std::size_t>>> kinds;
    for (std::size_t k = 0; k < trials; ++k) {
      const std::string kind = fates.kind(k);
      auto same = std::find_if(kinds.begin(), kinds.end(),
                               [&](const auto& entry) { return entry.first == kind; });
      if (same == kinds.end()) same = kinds.insert(kinds.end(), {kind, {}});
      same->second.push_back(k);
    }
    std::stable_sort(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) {
      return a.second.size() > b.second.size();
    });
    for (const auto& [kind, members] : kinds)
      out.push_back(
          {tone_of(kind),
           members.size() == trials ? "All " + std::to_string(trials) + " trials: " + words_of(kind)
                                    : std::to_string(members.size()) + " of " +
                                          std::to_string(trials) + " trials: " + words_of(kind),
           "Trial " + std::to_string(members.front()) + ": " + fates.text(members.front())});
  }
  if (const std::string cure = first_text(find(quantities, "cure")); !cure.empty())
    out.push_back({Tone::plain, "What would cure it", capitalised(cure)});
  for (const std::string& text : disagreements(quantities))
    out.push_back({Tone::caution, "Two criteria of stability disagree", capitalised(text)});
  return out;
}

// The number that stands for all trials, and how far they spread.
PageFact fact(const std::string& label, const Quantity& quantity, Index cell,
              const std::string& unit, const std::string& note) {
  const std::vector<double> values = sorted(quantity, cell);
  PageFact out{label, "–", note};
  const auto also = [&](const std::string& text) {
    out.note = text + (out.note.empty() ? "" : "; " + out.note);
  };
  if (values.empty()) {
    for (Index k = quantity.trials(); k-- > 0;)
      if (!quantity.reason(cell, k).empty()) out.note = quantity.reason(cell, k);
    return out;
  }
  out.value = core::brief(median(values), unit);
  if (static_cast<Index>(values.size()) < quantity.trials())
    also("in " + std::to_string(values.size()) + " of " + std::to_string(quantity.trials()) +
         " trials");
  if (values.size() > 1)
    also("median; " + core::brief(values.front()) + " to " + core::brief(values.back()));
  return out;
}

// Settling time of the slowest loop's error (of the state where there is no loop): to 2 %, or the middle
// band.
void add_settling_time(PageFacts& facts, const Quantity& times, const std::string& unit) {
  if (times.axes.size() != 2) return;
  const auto& signals = times.axes[0].labels;
  const auto& bands = times.axes[1].labels;
  if (signals.empty() || bands.empty()) return;
  const auto two = std::find(bands.begin(), bands.end(), "2 %");
  const std::size_t band =
      two == bands.end() ? bands.size() / 2 : static_cast<std::size_t>(two - bands.begin());
  const auto cell = [&](std::size_t s) { return static_cast<Index>(s * bands.size() + band); };
  std::size_t slowest = 0, loops = 0;
  double longest = -1;
  for (std::size_t s = 0; s < signals.size(); ++s) {
    if (!signals[s].ends_with(".error")) continue;
    ++loops;
    const std::vector<double> values = sorted(times, cell(s));
    const double typical = values.empty() ? INFINITY : median(values);  // it does not settle
    if (typical <= longest) continue;
    longest = typical;
    slowest = s;
  }
  facts.push_back(
      fact("Settling time to " + bands[band], times, cell(slowest), unit,
           "of " + signals[slowest] +
               (loops > 1 ? ", the slowest of " + std::to_string(loops) + " loops" : "")));
}

// The numbers that are read first.
PageFacts facts_of(const std::vector<Quantity>& quantities, const std::string& unit) {
  PageFacts out;
  for (const Quantity& quantity : quantities)
    if (quantity.name.rfind("inversion_error", 0) == 0 && quantity.axes.empty()) {
      const std::string of = quantity.name.substr(std::string("inversion_error").size());
      out.push_back(fact("Inversion error" + (of.empty() ? "" : ", " + of.substr(1)), quantity, 0,
                         "", "‖Wφ(r) − y‖/‖y‖: the share of the setpoint y that is not met"));
    }
  if (const Quantity* times = find(quantities, "settling_time"))
    add_settling_time(out, *times, unit);
  const std::string per_time = unit.empty() || unit == "1" ? "" : "1/" + unit;
  const Quantity* pole = find(quantities, "slowest_pole");
  if (const Quantity* decay = find(quantities, "decay_rate")) {
    std::string note = "measured at the end";
    if (const std::vector<double> poles = pole ? sorted(*pole) : std::vector<double>();
        !poles.empty())
      note += "; the slowest pole predicts " + core::brief(-median(poles));
    out.push_back(fact("Decay rate", *decay, 0, per_time, note));
  } else if (pole) {
    out.push_back(fact("Slowest pole", *pole, 0, per_time, "real part; below zero it decays"));
  }
  if (const Quantity* growth = find(quantities, "largest_growth"))
    out.push_back(
        fact("Largest growth", *growth, 0, "", "of any small perturbation, max ‖exp(Mt)‖"));
  return out;
}

PageTable trials_table(const std::vector<Quantity>& quantities) {
  const Fates fates(quantities);
  PageTable out;
  out.title = "Every trial (" + std::to_string(fates.trials()) + ")";
  out.folded = fates.trials() > open_trials;
  out.alignment = "ll";
  out.heading = {"trial", "verdict"};
  std::vector<const Quantity*> columns;
  for (const Quantity& quantity : quantities)
    if (quantity.axes.empty() && quantity.texts.empty() &&
        (quantity.name == "settled_at" || quantity.name.rfind("inversion_error", 0) == 0)) {
      columns.push_back(&quantity);
      out.heading.push_back(words_of(quantity.name));
    }
  for (std::size_t k = 0; k < std::min(fates.trials(), most_trials); ++k) {
    const std::string kind = fates.kind(k);
    std::vector<PageCell> row = {{.text = std::to_string(k)},
                                 {.text = words_of(kind), .tone = tone_of(kind)}};
    for (const Quantity* column : columns)
      row.push_back({.text = number_text(column->values(0, static_cast<Index>(k)))});
    out.rows.push_back(std::move(row));
  }
  if (fates.trials() > most_trials)
    out.notes.push_back("The first " + std::to_string(most_trials) + " of " +
                        std::to_string(fates.trials()) + " trials; all are in the file.");
  return out;
}

PageTable phases_table(const io::ResultFile& run, const std::string& unit) {
  PageTable out;
  out.title = "Phases";
  out.alignment = "lrrl";
  out.heading = {"phase", "from", "to", "how it ended"};
  for (const io::PhaseInfo& phase : run.phases()) {
    std::map<std::string, std::size_t> counts;
    for (const std::string& outcome : phase.outcomes) ++counts[outcome];
    PageCell outcome;
    for (const auto& [word, count] : counts)
      outcome.text += (outcome.text.empty() ? "" : ", ") +
                      (phase.outcomes.size() > 1 ? std::to_string(count) + " " : "") +
                      words_of(word);
    if (counts.size() == 1) outcome.tone = tone_of(counts.begin()->first);
    out.rows.push_back({{.text = phase.name},
                        {.text = core::brief(phase.start, unit)},
                        {.text = core::brief(phase.end, unit)},
                        outcome});
  }
  return out;
}

PageSection measures_section(const std::vector<Quantity>& quantities) {
  PageSection out{"All measures", {}};
  out.blocks.emplace_back(PageParagraph(
      "Below what a number is stands its name in the file. – is a number that does not exist, with "
      "the reason under its name."));
  for (PageBlock& table : measure_tables(quantities)) out.blocks.push_back(std::move(table));
  return out;
}

// Why there is no time of settling, which a run's file tells in the outcome alone.
std::vector<Quantity> with_reasons(std::vector<Quantity> quantities) {
  const Quantity* outcome = find(quantities, "outcome");
  for (Quantity& quantity : quantities) {
    if (!outcome || (quantity.name != "settled_at" && quantity.name != "final_residual")) continue;
    for (std::size_t k = 0; k < at(quantity.trials()) && k < quantity.reasons.size(); ++k) {
      const double flag = outcome->values(0, static_cast<Index>(k));
      if (quantity.reasons[k].empty() && !std::isnan(flag))
        quantity.reasons[k] =
            "the outcome is " + words_of(outcome->meanings.at(static_cast<std::size_t>(flag)));
    }
  }
  return quantities;
}

void check_trial(const std::filesystem::path& path, std::int64_t trial, std::size_t trials) {
  if (trial < 0 || static_cast<std::uint64_t>(trial) >= std::max<std::size_t>(trials, 1))
    throw core::InputError(
        path.string(), "trial " + std::to_string(trial),
        trials > 1 ? "a trial from 0 to " + std::to_string(trials - 1) : "trial 0, the only one");
}

// The main figure, which gives its section the title, and a section of the others.
void add_figures(Page& page, const std::string& heading, std::vector<PageBlock> figures) {
  PageSection main{heading, {}}, further{"Further figures", {}};
  for (std::size_t k = 0; k < figures.size(); ++k)
    (k == 0 ? main : further).blocks.push_back(std::move(figures[k]));
  if (!main.blocks.empty())
    main.heading = std::exchange(std::get<PageFigure>(main.blocks.front()).title, "");
  page.sections.push_back(std::move(main));
  page.sections.push_back(std::move(further));
}

}  // namespace

Page run_report(const io::ResultFile& run, const ReportOptions& options) {
  check_trial(run.path(), options.trial, run.trials());
  Page out = titled_page("Run", run.file(), run.path(), options);
  const std::string unit = run.time_unit();
  const std::vector<Quantity> quantities = with_reasons(run.measures());
  const bool inverts = std::any_of(quantities.begin(), quantities.end(), [](const Quantity& q) {
    return q.name.rfind("inversion_error", 0) == 0;
  });
  out.lead =
      "A circuit of rate neurons, simulated in continuous time until it came to rest or its time "
      "was "
      "up. " +
      std::string(inverts
                      ? "Feedback controllers drive it until its own output matches a setpoint. "
                      : "") +
      "First what became of it, then the numbers behind that.";
  if (const std::string status = run.status(); status != "done") {
    const std::string reason = run.attribute("stop_reason");
    out.verdicts.push_back(
        {status == "failed" ? Tone::bad : Tone::caution,
         status == "running" ? "This run never came to its end" : "The run was " + status,
         capitalised(reason)});
  }
  for (PageVerdict& verdict : verdicts_of(quantities)) out.verdicts.push_back(std::move(verdict));
  out.facts = facts_of(quantities, unit);
  if (const auto end = run.number("t_end"))
    out.facts.push_back({"Simulated until t", core::brief(*end, unit),
                         attribute_text(run.file(), "steps") + " steps of " +
                             run.attribute("solver") + " in " +
                             attribute_text(run.file(), "wall_time") + " s"});
  add_figures(out, "The run", report_figures(run.path(), options));
  PageSection& main = out.sections.front();
  if (run.phases().size() > 1) main.blocks.emplace_back(phases_table(run, unit));
  if (run.trials() > 1 && Fates(quantities).trials() > 1)
    main.blocks.emplace_back(trials_table(quantities));
  out.sections.insert(out.sections.begin() + 1, circuit_section(run.file()));
  out.sections.push_back(measures_section(quantities));
  out.sections.push_back(making_section(run.file()));
  return out;
}

Page analysis_report(const io::AnalysisFile& file, const ReportOptions& options) {
  const std::vector<Quantity>& quantities = file.quantities();
  std::size_t trials = 1;
  for (const Quantity& quantity : quantities) trials = std::max(trials, at(quantity.trials()));
  check_trial(file.path(), options.trial, trials);
  Page out = titled_page("Analysis", file.file(), file.path(), options);
  out.lead =
      "How stable a circuit of rate neurons is, how fast it comes to rest, and how much change its "
      "feedback bears: measured about the state in which " +
      (file.attribute("about").empty() ? std::string("it") : file.attribute("about")) + " rests.";
  out.verdicts = verdicts_of(quantities);
  out.facts = facts_of(quantities, file.attribute("time_unit"));
  add_figures(out, "The trials", report_figures(file.path(), options));
  if (trials > 1 && Fates(quantities).trials() > 1)
    out.sections.front().blocks.emplace_back(trials_table(quantities));
  out.sections.insert(out.sections.begin() + 1, circuit_section(file.file()));
  out.sections.push_back(measures_section(quantities));
  out.sections.push_back(making_section(file.file()));
  return out;
}

}  // namespace settle::analysis
