#include "analysis/measure_tables.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "analysis/summary.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

using core::Quantity;
using core::QuantityAxis;
using Eigen::Index;

constexpr Index most_trials = 8;   // that have a column each
constexpr Index most_entries = 8;  // of an axis that are told
constexpr Index most_ranges = 6;   // of an axis, where each is a median with a range
constexpr Index most_first = 5;    // numbers of a longer array
constexpr std::size_t most_reasons = 3;
constexpr std::size_t most_places = 4;  // at which a number is missing for the same reason

std::size_t at(Index i) { return static_cast<std::size_t>(i); }

struct Theme {
  std::string name;
  std::vector<std::string> beginnings;  // of names
};

const std::vector<Theme>& theme_list() {
  static const std::vector<Theme> list = {
      {"Outcome", {"outcome", "settled_at", "final_residual", "verdict", "cure", "phase_"}},
      {"Accuracy",
       {"inversion_error", "singular_value", "direction_error", "infeasible_error", "integral_norm",
        "leaked_norm", "wind_up"}},
      {"Convergence",
       {"settling_time", "rise_time", "overshoot", "ringing", "largest_excursion", "decay_rate",
        "predicted_settling_time"}},
      {"Stability",
       {"equilibri", "slowest_pole", "pole", "paper_criterion", "loop_pole", "criteria_disagree",
        "predicted_", "stability_changes"}},
      {"Margins of the loop",
       {"gain_margin", "gain_reduction", "phase_margin", "delay_margin", "return_ratio",
        "response_frequency"}},
      {"Transient growth",
       {"numerical_abscissa", "largest_growth", "kreiss", "pseudospect",
        "distance_to_instability"}},
      {"Beside other rules", {"angle_to_", "length_over_"}},
      {"Work", {"steps", "rejections", "evaluations"}},
      {"Further measures", {}}};
  return list;
}

std::string unit_text(const Quantity& quantity) {
  return quantity.units == "1" ? "" : quantity.units;
}

// A measure is called by what it is; its name in the file stands below.
PageCell name_cell(const Quantity& quantity, const std::string& note) {
  const std::string only = own_axes(quantity).only;
  std::string text = quantity.long_name.empty() ? words_of(quantity.name) : quantity.long_name;
  if (!only.empty()) text += ", " + only;
  return {.text = std::move(text), .code = quantity.name, .note = note};
}

PageCell value_cell(const Quantity& quantity, Index cell, Index trial) {
  const double value = quantity.values(cell, trial);
  if (quantity.meanings.empty()) return {.text = number_text(value)};
  if (std::isnan(value)) return {.text = "–"};
  const std::string& word = quantity.meanings.at(static_cast<std::size_t>(value));
  return {.text = words_of(word), .tone = tone_of(word)};
}

// "28 stable, 2 unstable", over the trials.
std::string counts_text(const Quantity& quantity, Index cell) {
  std::vector<std::string> words;
  std::map<std::size_t, Index> counts;
  for (const double value : sorted(quantity, cell)) ++counts[static_cast<std::size_t>(value)];
  for (const auto& [flag, count] : counts)
    words.push_back(counts.size() > 1 || count < quantity.trials()
                        ? std::to_string(count) + " " + words_of(quantity.meanings.at(flag))
                        : words_of(quantity.meanings.at(flag)));
  return words.empty() ? "–" : core::join(words);
}

// What the trials have in common at a cell: the number, or median and range.
PageCell summary_cell(const Quantity& quantity, Index cell) {
  if (quantity.trials() == 1) return value_cell(quantity, cell, 0);
  if (!quantity.meanings.empty()) return {.text = counts_text(quantity, cell)};
  const std::vector<double> values = known(quantity, cell);
  if (values.empty()) return {.text = "–"};
  PageCell out{.text = number_text(median(values))};
  const std::string smallest = number_text(values.front()), largest = number_text(values.back());
  if (smallest != largest) out.note = smallest + "\nto " + largest;
  return out;
}

// Index along an axis of a cell.
Index entry_of(const Quantity& quantity, std::size_t axis, Index cell) {
  for (std::size_t a = quantity.axes.size(); a-- > axis + 1;) cell /= quantity.axes[a].size;
  return cell % quantity.axes[axis].size;
}

std::string place_text(const Quantity& quantity, const OwnAxes& own, Index cell, Index trial) {
  std::vector<std::string> words;
  for (const std::size_t a : own.longer)
    words.push_back(entry_text(quantity.axes[a], entry_of(quantity, a, cell)));
  std::string text = core::join(words, " × ");
  if (words.size() > 2) text = core::join(words);
  if (quantity.trials() > 1)
    text += (text.empty() ? "trial " : " of trial ") + std::to_string(trial);
  return text;
}

// "missing at hidden, control: it does not ring": why numbers are not there.
std::string reasons_text(const Quantity& quantity) {
  if (quantity.reasons.empty() || quantity.values.size() == 0) return "";
  const OwnAxes own = own_axes(quantity);
  struct Group {
    std::string pattern, reason;
    bool is_infinite = false;  // which is a number, and its reason an explanation
    std::vector<std::pair<Index, Index>> places;
    bool differs = false;  // in its numbers
  };
  std::vector<Group> groups;
  for (Index k = 0; k < quantity.trials(); ++k)
    for (Index c = 0; c < quantity.cells(); ++c) {
      const std::string& reason = quantity.reason(c, k);
      if (std::isfinite(quantity.values(c, k)) || reason.empty()) continue;
      const std::string pattern = without_numbers(reason);
      const bool is_infinite = std::isinf(quantity.values(c, k));
      auto same = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
        return group.pattern == pattern && group.is_infinite == is_infinite;
      });
      if (same == groups.end())
        same = groups.insert(groups.end(), {pattern, reason, is_infinite, {}, false});
      same->places.emplace_back(c, k);
      same->differs |= same->reason != reason;
    }
  std::string text;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i >= most_reasons) return text + "; and elsewhere for other reasons";
    const Group& group = groups[i];
    text += std::string(text.empty() ? "" : "; ") + (group.is_infinite ? "∞" : "missing");
    const auto all = static_cast<std::size_t>(quantity.values.size());
    if (group.places.size() < all) {
      std::vector<std::string> words;
      for (const auto& [c, k] : group.places) words.push_back(place_text(quantity, own, c, k));
      if (words.size() <= most_places)
        text += " at " + core::join(words);
      else
        text += " at " + std::to_string(words.size()) + " of " + std::to_string(all);
    }
    text += (group.differs ? ", for example: " : ": ") + group.reason;
  }
  return text;
}

void add_units(PageTable& table, const std::vector<const Quantity*>& quantities) {
  const bool any = std::any_of(quantities.begin(), quantities.end(),
                               [](const auto* q) { return !unit_text(*q).empty(); });
  if (!any) return;
  table.heading.emplace_back("unit");
  table.alignment.resize(table.heading.size(), 'r');
  table.alignment.back() = 'l';
  for (std::size_t k = 0; k < quantities.size(); ++k)
    if (quantities[k]->texts.empty())
      table.rows[k].push_back({.text = unit_text(*quantities[k])});
    else
      ++table.rows[k].back().columns;
}

PageCell text_cell(const Quantity& quantity) {
  std::vector<std::string> texts;
  for (const std::string& text : quantity.texts)
    if (!text.empty() && std::find(texts.begin(), texts.end(), text) == texts.end())
      texts.push_back(text);
  PageCell out{.text = texts.empty() ? "–" : texts.front(), .is_sentence = true};
  if (texts.size() > 1)
    out.note = "and " + std::to_string(texts.size() - 1) + " other texts over " +
               std::to_string(quantity.texts.size()) + " trials";
  return out;
}

// One number (or text) a trial.
PageTable scalar_table(const std::vector<const Quantity*>& quantities) {
  Index trials = 1;
  for (const Quantity* quantity : quantities)
    trials = std::max({trials, quantity->trials(), static_cast<Index>(quantity->texts.size())});
  PageTable out;
  out.alignment = "l";
  out.heading = {"measure"};
  if (trials == 1) {
    out.heading.emplace_back("value");
  } else if (trials <= most_trials) {
    for (Index k = 0; k < trials; ++k) out.heading.push_back("trial " + std::to_string(k));
  } else {
    for (const char* word : {"median", "smallest", "largest", "trials"})
      out.heading.emplace_back(word);
  }
  const auto columns = static_cast<int>(out.heading.size()) - 1;
  for (const Quantity* quantity : quantities) {
    std::vector<PageCell> row = {name_cell(*quantity, reasons_text(*quantity))};
    if (!quantity->texts.empty()) {
      row.push_back(text_cell(*quantity));
      row.back().columns = columns;
    } else if (trials <= most_trials) {
      for (Index k = 0; k < quantity->trials(); ++k) row.push_back(value_cell(*quantity, 0, k));
    } else if (!quantity->meanings.empty()) {
      row.push_back({.text = counts_text(*quantity, 0), .columns = columns, .is_sentence = true});
    } else {
      const std::vector<double> values = known(*quantity);
      if (values.empty())
        for (int c = 0; c < 3; ++c) row.push_back({.text = "–"});
      else
        for (const double value : {median(values), values.front(), values.back()})
          row.push_back({.text = number_text(value)});
      row.push_back(
          {.text = std::to_string(values.size()) + " of " + std::to_string(quantity->trials())});
    }
    out.rows.push_back(std::move(row));
  }
  add_units(out, quantities);
  return out;
}

std::vector<std::string> cut_note(Index shown, const QuantityAxis& axis) {
  return {"The first " + std::to_string(shown) + " of " + std::to_string(axis.size) +
          " along the axis " + axis.name + "; all are in the file."};
}

std::string over_trials(const Quantity& quantity) {
  return quantity.trials() > 1 ? "Medians over " + std::to_string(quantity.trials()) +
                                     " trials, with smallest and largest below."
                               : "";
}

// Several numbers along one axis: a row each quantity.
PageTable axis_table(const std::vector<const Quantity*>& quantities) {
  const Quantity& first = *quantities.front();
  const QuantityAxis& axis = first.axes[own_axes(first).longer.front()];
  const auto is_told = [&](Index k) {
    return std::any_of(quantities.begin(), quantities.end(),
                       [&](const Quantity* quantity) { return !known(*quantity, k).empty(); });
  };
  Index shown = std::min(axis.size, first.trials() > 1 ? most_ranges : most_entries);
  while (axis.labels.empty() && shown > 1 && !is_told(shown - 1)) --shown;
  PageTable out;
  out.about = over_trials(first);
  out.alignment = "l";
  out.heading = {"by " + words_of(axis.name)};
  for (Index k = 0; k < shown; ++k) out.heading.push_back(entry_text(axis, k));
  for (const Quantity* quantity : quantities) {
    std::vector<PageCell> row = {name_cell(*quantity, reasons_text(*quantity))};
    for (Index k = 0; k < shown; ++k) row.push_back(summary_cell(*quantity, k));
    out.rows.push_back(std::move(row));
  }
  add_units(out, quantities);
  if (shown < axis.size && is_told(shown)) out.notes = cut_note(shown, axis);
  return out;
}

std::string shape_text(const Quantity& quantity) {
  std::vector<std::string> words;
  for (const std::size_t a : own_axes(quantity).longer)
    words.push_back(words_of(quantity.axes[a].name) + " (" + std::to_string(quantity.axes[a].size) +
                    ")");
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " × ") + word;
  return text;
}

// A quantity of two axes: rows and columns.
PageTable matrix_table(const Quantity& quantity) {
  const OwnAxes own = own_axes(quantity);
  const QuantityAxis &down = quantity.axes[own.longer[0]], &across = quantity.axes[own.longer[1]];
  PageTable out;
  out.title = quantity.long_name.empty() ? words_of(quantity.name) : quantity.long_name;
  out.title = capitalised(out.title);
  if (!own.only.empty()) out.title += ", " + own.only;
  out.about =
      (unit_text(quantity).empty() ? "" : "In " + quantity.units + ". ") + over_trials(quantity);
  out.code = quantity.name;
  out.alignment = "l";
  out.heading = {words_of(down.name)};
  for (Index c = 0; c < across.size; ++c) out.heading.push_back(entry_text(across, c));
  for (Index r = 0; r < std::min(down.size, most_entries); ++r) {
    std::vector<PageCell> row = {{.text = entry_text(down, r)}};
    for (Index c = 0; c < across.size; ++c)
      row.push_back(summary_cell(quantity, r * across.size + c));
    out.rows.push_back(std::move(row));
  }
  if (down.size > most_entries) out.notes = cut_note(most_entries, down);
  if (const std::string reasons = reasons_text(quantity); !reasons.empty())
    out.notes.push_back(capitalised(reasons) + ".");
  return out;
}

PageTable array_table(const std::vector<const Quantity*>& quantities) {
  PageTable out;
  out.about = "Each begins so; all numbers are in the file.";
  out.alignment = "lll";
  out.heading = {"measure", "axes", "first numbers", "smallest", "largest"};
  for (const Quantity* quantity : quantities) {
    std::string first;
    for (Index c = 0; c < std::min(quantity->cells(), most_first); ++c)
      first += value_cell(*quantity, c, 0).text + ", ";
    double smallest = INFINITY, largest = -INFINITY;
    for (const double value : quantity->values.reshaped())
      if (std::isfinite(value)) {
        smallest = std::min(smallest, value);
        largest = std::max(largest, value);
      }
    const bool any = smallest <= largest;
    out.rows.push_back({name_cell(*quantity, reasons_text(*quantity)),
                        {.text = shape_text(*quantity)},
                        {.text = first + "…"},
                        {.text = any ? core::brief(smallest) : "–"},
                        {.text = any ? core::brief(largest) : "–"}});
  }
  add_units(out, quantities);
  return out;
}

// What quantities have in common that share a table.
std::string table_key(const Quantity& quantity) {
  const OwnAxes own = own_axes(quantity);
  if (!quantity.texts.empty() || own.longer.empty()) return "";
  const QuantityAxis& last = quantity.axes[own.longer.back()];
  if (own.longer.size() == 1) return "axis " + last.name;
  if (own.longer.size() == 2 && last.size <= most_entries) return "matrix " + quantity.name;
  return "arrays";
}

}  // namespace

Tone tone_of(const std::string& word) {
  static const std::map<std::string, Tone> tones = {{"settled", Tone::good},
                                                    {"stable", Tone::good},
                                                    {"infeasible", Tone::caution},
                                                    {"saturated", Tone::caution},
                                                    {"unstable_rest", Tone::caution},
                                                    {"slow", Tone::caution},
                                                    {"slowly_damped", Tone::caution},
                                                    {"limit_cycle", Tone::caution},
                                                    {"leaving", Tone::caution},
                                                    {"integrating", Tone::caution},
                                                    {"driven", Tone::caution},
                                                    {"tolerance_limited", Tone::caution},
                                                    {"undecided", Tone::caution},
                                                    {"not_settled", Tone::caution},
                                                    {"oscillating", Tone::caution},
                                                    {"neutral", Tone::caution},
                                                    {"unstable", Tone::caution},
                                                    {"interrupted", Tone::caution},
                                                    {"numerical", Tone::bad},
                                                    {"diverged", Tone::bad},
                                                    {"failed", Tone::bad}};
  const auto found = tones.find(word);
  return found == tones.end() ? Tone::plain : found->second;
}

std::string words_of(const std::string& name) {
  std::string out = name;
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

std::string capitalised(std::string text) {
  // A variable stays as it is: "x[0] passed the limit".
  const std::string word = text.substr(0, text.find_first_of(" ,:"));
  const bool is_word = word.size() > 1 && std::all_of(word.begin(), word.end(), [](char c) {
                         return std::isalpha(static_cast<unsigned char>(c)) != 0;
                       });
  if (is_word) text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text;
}

std::string without_numbers(const std::string& text) {
  std::string out;
  const auto is_digit = [&](std::size_t k) {
    return k < text.size() && std::isdigit(static_cast<unsigned char>(text[k])) != 0;
  };
  for (std::size_t k = 0; k < text.size(); ++k) {
    const bool is_exponent =
        k > 0 && is_digit(k - 1) && text[k] == 'e' && (is_digit(k + 1) || is_digit(k + 2));
    if (is_exponent) ++k;  // and its sign
    if (!is_exponent && !is_digit(k) && !(text[k] == '.' && is_digit(k + 1))) out += text[k];
  }
  return out;
}

std::string number_text(double value) {
  if (std::isnan(value)) return "–";
  if (std::isinf(value)) return value > 0 ? "∞" : "-∞";
  return core::brief(value);
}

std::vector<double> known(const Quantity& quantity, Index cell) {
  std::vector<double> values;
  for (Index k = 0; k < quantity.trials(); ++k)
    if (!std::isnan(quantity.values(cell, k))) values.push_back(quantity.values(cell, k));
  std::sort(values.begin(), values.end());
  return values;
}

std::string entry_text(const QuantityAxis& axis, Index entry) {
  if (at(entry) < axis.labels.size()) return axis.labels[at(entry)];
  if (at(entry) < axis.numbers.size()) return number_text(axis.numbers[at(entry)]);
  return std::to_string(entry);
}

OwnAxes own_axes(const Quantity& quantity) {
  OwnAxes out;
  for (std::size_t a = 0; a < quantity.axes.size(); ++a) {
    const QuantityAxis& axis = quantity.axes[a];
    if (axis.size > 1)
      out.longer.push_back(a);
    else if (axis.size == 1 && !axis.labels.empty())
      out.only += (out.only.empty() ? "" : ", ") + axis.labels.front();
  }
  return out;
}

const std::vector<std::string>& themes() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Theme& theme : theme_list()) out.push_back(theme.name);
    return out;
  }();
  return names;
}

// The longest beginning that fits decides: "predicted_settling_time" is no "predicted_".
std::size_t theme_of(const std::string& quantity) {
  std::size_t best = theme_list().size() - 1, length = 0;
  for (std::size_t t = 0; t < theme_list().size(); ++t)
    for (const std::string& beginning : theme_list()[t].beginnings)
      if (quantity.rfind(beginning, 0) == 0 && beginning.size() > length) {
        best = t;
        length = beginning.size();
      }
  return best;
}

std::vector<PageBlock> measure_tables(const std::vector<Quantity>& quantities) {
  std::vector<PageBlock> out;
  for (std::size_t t = 0; t < themes().size(); ++t) {
    std::vector<std::pair<std::string, std::vector<const Quantity*>>> tables;
    for (const Quantity& quantity : quantities) {
      if (theme_of(quantity.name) != t || (quantity.cells() == 0 && quantity.texts.empty()))
        continue;
      const std::string key = table_key(quantity);
      auto same = std::find_if(tables.begin(), tables.end(),
                               [&](const auto& entry) { return entry.first == key; });
      if (same == tables.end()) same = tables.insert(tables.end(), {key, {}});
      same->second.push_back(&quantity);
    }
    std::stable_partition(tables.begin(), tables.end(),
                          [](const auto& entry) { return entry.first.empty(); });
    for (const auto& [key, members] : tables) {
      PageTable table = key.empty()                    ? scalar_table(members)
                        : key == "arrays"              ? array_table(members)
                        : key.rfind("matrix ", 0) == 0 ? matrix_table(*members.front())
                                                       : axis_table(members);
      if (table.title.empty()) table.title = themes()[t];
      if (key == "arrays") table.title += ": long arrays";
      if (key.rfind("axis ", 0) == 0) table.title += " by " + words_of(key.substr(5));
      out.emplace_back(std::move(table));
    }
  }
  return out;
}

}  // namespace settle::analysis
