#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "analysis/report_parts.hpp"
#include "analysis/summary.hpp"
#include "analysis/sweep.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;
using io::PointStatus;

constexpr std::size_t most_failures = 20;  // told one by one
constexpr std::size_t most_told = 5;       // points named in a sentence
constexpr std::size_t most_points = 150;   // that have a line each
constexpr std::size_t open_points = 16;    // whose table stands open
constexpr std::size_t most_reasons = 3;
constexpr Index most_rows = 6;  // of one map's own entries

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

class SweepPage {
 public:
  explicit SweepPage(const io::SweepFile& sweep)
      : sweep_(sweep), status_(sweep.points()), unit_(sweep.attribute("time_unit")) {
    fates_ = sweep.read("verdict");
    if (!fates_) fates_ = sweep.read("outcome");
    texts_ = sweep.read("verdict_text");
    if (!texts_) texts_ = sweep.read("outcome_reason");
    for (const std::string& name : sweep.maps())
      if (name.rfind("inversion_error", 0) == 0 && !name.ends_with("_reason"))
        errors_.push_back(sweep.map(name));
    settled_at_ = sweep.read("settled_at");
    if (fates_)
      for (Index p = 0; p < fates_->values.cols(); ++p)
        for (Index k = 0; k < fates_->values.rows(); ++k)
          if (const double flag = fates_->values(k, p); !std::isnan(flag))
            kinds_[static_cast<std::size_t>(flag)].emplace_back(p, k);
  }

  std::string place_text(Index point) const {
    std::vector<std::string> words;
    auto rest = at(point);
    for (std::size_t a = sweep_.axes().size(); a-- > 0;) {
      const io::SweepDimension& axis = sweep_.axes()[a];
      words.insert(words.begin(), axis.name + " = " + value_text(axis, rest % axis.size()));
      rest /= axis.size();
    }
    return core::join(words);
  }

  std::size_t points() const { return status_.size(); }
  std::size_t count(PointStatus status) const {
    return static_cast<std::size_t>(std::count(status_.begin(), status_.end(), status));
  }

  std::string what_was_varied() const {
    std::vector<std::string> words;
    for (const io::SweepDimension& axis : sweep_.axes()) words.push_back(parameter_text(axis));
    return core::join(words, " and ");
  }

  std::vector<PageVerdict> verdicts() const {
    std::vector<PageVerdict> out;
    std::string counts;
    std::size_t runs = 0;
    for (const auto& [flag, members] : kinds_) {
      counts += (counts.empty() ? "" : ", ") + std::to_string(members.size()) + " " +
                words_of(fates_->meanings.at(flag));
      runs += members.size();
    }
    const bool all_settled =
        kinds_.size() == 1 && fates_->meanings.at(kinds_.begin()->first) == "settled";
    out.push_back({all_settled ? Tone::good : Tone::plain,
                   counts.empty() ? "Nothing has been run yet" : capitalised(counts),
                   counts.empty() ? ""
                   : sweep_.trials() > 1
                       ? counted(runs, "run") + " of " + counted(points(), "point") + " and " +
                             counted(sweep_.trials(), "trial") + "."
                       : counted(runs, "point") + "."});
    if (const std::size_t failed = count(PointStatus::failed); failed > 0)
      out.push_back(
          {Tone::bad, counted(failed, "point") + " could not be run", "The reasons stand below."});
    if (const std::size_t pending = count(PointStatus::pending); pending > 0)
      out.push_back(
          {Tone::caution,
           counted(pending, "point") + " of " + std::to_string(points()) + " still to be run",
           "The sweep was interrupted; settle resume " + sweep_.path().filename().string() +
               " goes on with it."});
    add_agreement(out);
    return out;
  }

  // The points that one looks for.
  PageFacts facts() const {
    PageFacts out;
    if (settled_at_) add_least(out, "Settles soonest, at t", *settled_at_, unit_);
    for (const Quantity& error : errors_) {
      const std::string of = error.name.substr(std::string("inversion_error").size());
      add_least(out, "Least inversion error" + (of.empty() ? "" : ", " + of.substr(1)), error, "");
    }
    return out;
  }

  PageTable axes() const {
    PageTable out;
    out.title = "What was varied";
    out.alignment = "lrll";
    out.heading = {"axis", "values", "", "spacing"};
    for (const io::SweepDimension& axis : sweep_.axes()) {
      const auto n = static_cast<std::size_t>(axis.size());
      std::string values;
      if (axis.labels.empty() && n > most_told) {
        values = value_text(axis, 0) + " to " + value_text(axis, n - 1);
      } else {
        for (std::size_t k = 0; k < std::min(n, most_told); ++k)
          values += (k == 0 ? "" : ", ") + value_text(axis, k);
        if (n > most_told) values += ", …";
      }
      out.rows.push_back({{.text = parameter_text(axis), .code = axis.name},
                          {.text = std::to_string(n)},
                          {.text = values},
                          {.text = axis.logarithmic ? "equal ratios" : ""}});
    }
    return out;
  }

  PageTable outcomes() const {
    PageTable out;
    out.title = "What became of the points";
    out.alignment = "lrll";
    out.heading = {"verdict", sweep_.trials() > 1 ? "runs" : "points", "for example at", "why"};
    std::size_t runs = 0;
    for (const auto& [flag, members] : kinds_) runs += members.size();
    for (const auto& [flag, members] : kinds_) {
      const std::string& kind = fates_->meanings.at(flag);
      const auto [point, trial] = members[members.size() / 2];
      std::string why;
      if (texts_) {
        const std::size_t trials = texts_->texts.size() / points();
        why = texts_->texts.at(at(point) * trials + at(trial));
      }
      out.rows.push_back(
          {{.text = words_of(kind),
            .tone = tone_of(kind),
            .share = static_cast<double>(members.size()) / static_cast<double>(runs)},
           {.text = std::to_string(members.size())},
           {.text = place_text(point)},
           {.text = why, .is_sentence = true}});
    }
    return out;
  }

  PageTable failures() const {
    PageTable out;
    out.title = "Points that could not be run";
    out.alignment = "ll";
    out.heading = {"point", "reason"};
    const auto reasons = sweep_.read("point_reason");
    for (std::size_t p = 0; reasons && p < points(); ++p)
      if (status_[p] == PointStatus::failed && out.rows.size() < most_failures)
        out.rows.push_back({{.text = place_text(static_cast<Index>(p))},
                            {.text = reasons->texts.at(p), .is_sentence = true}});
    if (const std::size_t failed = count(PointStatus::failed); failed > out.rows.size())
      out.notes.push_back("And " + counted(failed - out.rows.size(), "more point") +
                          "; see point_reason in the file.");
    return out;
  }

  PageTable every_point() const {
    PageTable out;
    out.title = "Every point (" + std::to_string(points()) + ")";
    out.folded = points() > open_points;
    for (const io::SweepDimension& axis : sweep_.axes()) out.heading.push_back(axis.name);
    out.alignment = std::string(out.heading.size(), 'r') + "l";
    out.alignment[0] = 'l';
    out.heading.emplace_back("verdict");
    out.heading.emplace_back("settled at");
    for (const Quantity& error : errors_) out.heading.push_back(words_of(error.name));
    const Index trials = fates_->values.rows();
    for (Index p = 0; p < fates_->values.cols(); ++p)
      for (Index k = 0; k < trials; ++k) {
        const double flag = fates_->values(k, p);
        const std::string kind =
            std::isnan(flag) ? "" : fates_->meanings.at(static_cast<std::size_t>(flag));
        std::vector<PageCell> row;
        auto rest = at(p);
        for (std::size_t a = sweep_.axes().size(); a-- > 0;) {
          const io::SweepDimension& axis = sweep_.axes()[a];
          row.insert(row.begin(), {.text = value_text(axis, rest % axis.size())});
          rest /= axis.size();
        }
        row.push_back({.text = kind.empty() ? "–" : words_of(kind), .tone = tone_of(kind)});
        row.push_back({.text = number_text(settled_at_ ? settled_at_->values(k, p) : NAN)});
        for (const Quantity& error : errors_)
          row.push_back({.text = number_text(error.values(k, p))});
        out.rows.push_back(std::move(row));
      }
    return out;
  }
  bool has_few_points() const { return fates_ && points() * sweep_.trials() <= most_points; }
  bool has_outcomes() const { return !kinds_.empty(); }

  PageSection measures() const {
    PageSection out{"All measures", {}};
    out.blocks.emplace_back(
        PageParagraph("Over all points. Below what a number is stands its name in the file."));
    std::vector<PageTable> tables(themes().size());
    for (const std::string& name : sweep_.maps()) {
      if (name.ends_with("_reason") || name == "point_status") continue;
      add_rows(tables[theme_of(name)], sweep_.map(name));
    }
    for (std::size_t t = 0; t < tables.size(); ++t) {
      if (tables[t].rows.empty()) continue;
      tables[t].title = themes()[t];
      tables[t].alignment = "l";
      tables[t].heading = {"measure", "median", "smallest", "largest", "runs"};
      out.blocks.emplace_back(std::move(tables[t]));
    }
    return out;
  }

 private:
  static std::string value_text(const io::SweepDimension& axis, std::size_t k) {
    return axis.labels.empty() ? core::brief(axis.numbers.at(k)) : axis.labels.at(k);
  }
  static std::string parameter_text(const io::SweepDimension& axis) {
    return axis.long_name.empty() ? axis.name : axis.long_name;
  }

  void add_agreement(std::vector<PageVerdict>& out) const {
    const Agreement found = agreement(sweep_);
    if (found.compared == 0) return;
    const std::size_t differing = found.differing_points.size();
    std::string text =
        "The exact poles of the linearised circuit predict whether it is stable, "
        "without the run. Compared at " +
        counted(found.compared, "run") + " that settled, rang on or diverged" +
        (found.undecided > 0 ? "; " + std::to_string(found.undecided) +
                                   (found.undecided == 1 ? " was" : " were") + " undecided."
                             : ".");
    if (differing > 0) {
      std::vector<std::string> places;
      for (std::size_t k = 0; k < std::min(differing, most_told); ++k)
        places.push_back(place_text(static_cast<Index>(found.differing_points[k])));
      text += " It differs at " + core::join(places, "; ") + (differing > most_told ? "; …" : ".");
    }
    if (found.times_compared > 0)
      text += " The settling time to " + found.band + " is " + core::brief(found.median_ratio) +
              " times what the slowest pole alone predicts (median), and more than a factor of 2 "
              "off at " +
              std::to_string(found.times_off) + " of " + std::to_string(found.times_compared) + ".";
    out.push_back({differing == 0 ? Tone::good : Tone::caution,
                   differing == 0
                       ? "Stability is as predicted everywhere"
                       : "Stability differs from the prediction at " + counted(differing, "point"),
                   text});
  }

  // The smallest number over the runs that settled.
  void add_least(PageFacts& out, const std::string& label, const Quantity& map,
                 const std::string& unit) const {
    const auto settled = std::find_if(kinds_.begin(), kinds_.end(), [&](const auto& entry) {
      return fates_->meanings.at(entry.first) == "settled";
    });
    if (settled == kinds_.end()) return;
    double least = INFINITY;
    Index where = 0;
    for (const auto& [point, trial] : settled->second)
      if (map.values(trial, point) < least) {
        least = map.values(trial, point);
        where = point;
      }
    if (std::isfinite(least))
      out.push_back({label, core::brief(least, unit), "with " + place_text(where)});
  }

  // "missing at 135 of 256: it did not settle, …", the most frequent reasons first.
  std::string reasons_text(const Quantity& map) const {
    const auto reasons = sweep_.read(map.name + "_reason");
    const auto missing = map.values.array().isNaN().count();
    if (!reasons || missing == 0) return "";
    std::map<std::string, std::pair<std::size_t, std::string>>
        found;  // by what they have in common
    for (const std::string& text : reasons->texts)
      if (!text.empty()) {
        auto& [count, first] = found[without_numbers(text)];
        if (count++ == 0) first = text;
      }
    std::vector<std::pair<std::size_t, std::string>> in_order;
    for (const auto& [pattern, entry] : found) in_order.push_back(entry);
    std::stable_sort(in_order.begin(), in_order.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
    std::vector<std::string> words;
    for (const auto& [count, text] : in_order) {
      if (words.size() == most_reasons) {
        words.emplace_back("…");
        break;
      }
      words.push_back(text);
    }
    if (words.empty()) return "";
    return "missing at " + std::to_string(missing) + " of " + std::to_string(map.values.size()) +
           ": " + core::join(words, "; ");
  }

  // The numbers of one entry of a map's own axes, over points and trials.
  static Quantity entry_of(const Quantity& map, Index entry, Index entries) {
    Quantity out = map;
    const Index trials = map.values.rows() / entries;
    out.axes.clear();
    out.values.resize(1, trials * map.values.cols());
    for (Index p = 0; p < map.values.cols(); ++p)
      for (Index k = 0; k < trials; ++k)
        out.values(0, p * trials + k) = map.values(k * entries + entry, p);
    return out;
  }

  void add_rows(PageTable& table, const Quantity& map) const {
    const std::string text = map.long_name.empty() ? words_of(map.name) : map.long_name;
    if (!map.texts.empty()) {
      const std::set<std::string> different(map.texts.begin(), map.texts.end());
      table.rows.push_back({{.text = text, .code = map.name},
                            {.text = counted(different.size(), "different text"),
                             .columns = 4,
                             .is_sentence = true}});
      return;
    }
    Quantity own = map;
    if (!own.axes.empty() && own.axes.front().name == "trial") own.axes.erase(own.axes.begin());
    const Index entries = own.cells();
    for (Index e = 0; e < entries; ++e) {
      if (e == most_rows && entries > most_rows + 1) {
        table.rows.push_back(
            {{.text = "… and " + std::to_string(entries - e) + " more", .is_part = true},
             {.text = "", .columns = 4}});
        break;
      }
      const std::string place = place_of(own, e);
      const Quantity numbers = entry_of(map, e, entries);
      PageCell name{.text = place.empty() ? text
                            : e == 0      ? text + ": " + place
                                          : place,
                    .is_part = e > 0};
      if (e == 0) {
        name.code = map.name;
        name.note = reasons_text(map);
      }
      table.rows.push_back(row_of(std::move(name), numbers));
    }
  }

  static std::string place_of(const Quantity& own, Index entry) {
    std::vector<std::string> words;
    for (std::size_t a = own.axes.size(); a-- > 0;) {
      words.insert(words.begin(), entry_text(own.axes[a], entry % own.axes[a].size));
      entry /= own.axes[a].size;
    }
    return core::join(words);
  }

  static std::vector<PageCell> row_of(PageCell name, const Quantity& numbers) {
    std::vector<PageCell> row = {std::move(name)};
    const std::vector<double> values = known(numbers);
    const PageCell runs{.text = std::to_string(values.size()) + " of " +
                                std::to_string(numbers.trials())};
    if (!numbers.meanings.empty()) {
      std::map<std::size_t, std::size_t> counts;
      for (const double flag : values) ++counts[static_cast<std::size_t>(flag)];
      std::vector<std::string> words;
      for (const auto& [flag, count] : counts)
        words.push_back(std::to_string(count) + " " + words_of(numbers.meanings.at(flag)));
      row.push_back(
          {.text = words.empty() ? "–" : core::join(words), .columns = 3, .is_sentence = true});
    } else {
      const std::string unit = numbers.units == "1" ? "" : numbers.units;
      for (const double value : values.empty()
                                    ? std::vector<double>(3, NAN)
                                    : std::vector{median(values), values.front(), values.back()})
        row.push_back(
            {.text = std::isfinite(value) ? core::brief(value, unit) : number_text(value)});
    }
    row.push_back(runs);
    return row;
  }

  const io::SweepFile& sweep_;
  std::vector<PointStatus> status_;
  std::string unit_;
  std::optional<Quantity> fates_, texts_, settled_at_;
  std::vector<Quantity> errors_;
  std::map<std::size_t, std::vector<std::pair<Index, Index>>> kinds_;  // points and trials of each
};

}  // namespace

Page sweep_report(const io::SweepFile& sweep, const ReportOptions& options) {
  if (options.trial < 0 || static_cast<std::uint64_t>(options.trial) >= sweep.trials())
    throw core::InputError(sweep.path().string(), "trial " + std::to_string(options.trial),
                           "a trial from 0 to " + std::to_string(sweep.trials() - 1));
  const SweepPage page(sweep);
  Page out = titled_page("Sweep", sweep.file(), sweep.path(), options);
  out.lead = "A circuit of rate neurons and feedback controllers, simulated anew for each of " +
             counted(page.points(), sweep.axes().size() > 1 ? "combination" : "value") + " of " +
             page.what_was_varied() + ": where it comes to rest, how fast and how exactly.";
  out.verdicts = page.verdicts();
  out.facts = page.facts();
  PageSection main{"The points", report_figures(sweep.path(), options)};
  if (page.has_outcomes()) main.blocks.emplace_back(page.outcomes());
  if (page.count(PointStatus::failed) > 0) main.blocks.emplace_back(page.failures());
  main.blocks.emplace_back(page.axes());
  if (page.has_few_points()) main.blocks.emplace_back(page.every_point());
  out.sections.push_back(std::move(main));
  out.sections.push_back(circuit_section(sweep.file(), "It is drawn for one point of the sweep: " +
                                                           page.what_was_varied() + " vary."));
  out.sections.push_back(page.measures());
  out.sections.push_back(making_section(sweep.file()));
  return out;
}

}  // namespace settle::analysis
