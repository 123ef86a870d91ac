#include "analysis/training_lines.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "analysis/palette.hpp"
#include "analysis/summary.hpp"
#include "sim/core/error.hpp"
#include "sim/core/value.hpp"

namespace settle::analysis {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t most_marked = 12;  // points of a line that still have marks
constexpr double most_apart = 0.004;     // of the axis, between lines that lie on each other

}  // namespace

const std::array<AngleVariable, 5>& angle_variables() {
  static constexpr std::array<AngleVariable, 5> all = {{
      {"angle_to_bp", "update to backpropagation's", 0},
      {"angle_to_pbp", "update to PBP's (pseudoinverses)", 0},
      {"angle_to_ndi", "update to NDI's (loops at rest)", 0},
      {"angle_to_gauss_newton", "update to the Gauss–Newton step", 0},
      {"feedback_angle", "feedback B to transposed weights", 1},
  }};
  return all;
}

void set_angle_ticks(ChartAxis& axis) {
  if (axis.high < 15) return;
  const double step = axis.high > 100 ? 45 : axis.high > 50 ? 30 : 15;
  for (double at = 0; at <= axis.high; at += step) axis.ticks.push_back(at);
}

TrainingLines::TrainingLines(const std::filesystem::path& file, const PlotOptions& options)
    : file_(file), axes_(file_.layout()), options_(options) {
  if (options.trial != 0)
    throw core::InputError(file.string(), "trial " + std::to_string(options.trial),
                           "no trial of a training run: all seeds are drawn");
  choose_strokes();
}

// ---- Numbers ----

TrainingNumber TrainingLines::numbers(const std::string& name, std::size_t layer) const {
  const io::TrainingVariable* variable = file_.find(name);
  if (!variable) return [](std::size_t, std::size_t, std::size_t) { return nan; };
  const std::size_t layers = variable->per_layer ? axes_.layers.size() : 1;
  return [=, values = file_.numbers(name), seeds = axes_.seeds.size(), steps = axes_.steps.size()](
             std::size_t r, std::size_t s, std::size_t t) {
    return values[((r * seeds + s) * steps + t) * layers + layer];
  };
}

// The numbers of the first `layers` layers made into one by `merge`, of the finite ones.
template <class Merge>
TrainingNumber TrainingLines::merged(const std::string& name, std::size_t layers,
                                     const Merge& merge) const {
  std::vector<TrainingNumber> all;
  for (std::size_t l = 0; l < layers; ++l) all.push_back(numbers(name, l));
  return [=](std::size_t r, std::size_t s, std::size_t t) {
    std::vector<double> found;
    for (const TrainingNumber& one : all)
      if (const double value = one(r, s, t); std::isfinite(value)) found.push_back(value);
    return found.empty() ? nan : merge(found);
  };
}
TrainingNumber TrainingLines::largest(const std::string& name) const {
  return merged(name, axes_.layers.size(), [](const std::vector<double>& all) {
    return *std::max_element(all.begin(), all.end());
  });
}
TrainingNumber TrainingLines::mean(const std::string& name, std::size_t layers) const {
  return merged(name, layers, [](const std::vector<double>& all) {
    return std::accumulate(all.begin(), all.end(), 0.0) / static_cast<double>(all.size());
  });
}

bool TrainingLines::any(std::size_t rule, const TrainingNumber& number,
                        const std::function<bool(double)>& is) const {
  for (std::size_t s = 0; s < axes_.seeds.size(); ++s)
    for (std::size_t t = 0; t < axes_.steps.size(); ++t)
      if (is(number(rule, s, t))) return true;
  return false;
}
bool TrainingLines::any(const TrainingNumber& number, const std::function<bool(double)>& is) const {
  for (std::size_t r = 0; r < axes_.rules.size(); ++r)
    if (any(r, number, is)) return true;
  return false;
}
bool TrainingLines::finite(double value) { return std::isfinite(value); }
bool TrainingLines::positive(double value) { return std::isfinite(value) && value > 0; }

bool TrainingLines::holds(std::size_t rule, const char* variable, bool of_hidden) const {
  const std::size_t layers = of_hidden ? hidden_layers() : axes_.layers.size();
  const io::TrainingVariable* found = file_.find(variable);
  if (!found) return false;
  // A rule that settles nothing has none unsettled.
  if (found->name == "unsettled") return any(rule, numbers(variable), positive);
  return any(rule, found->per_layer ? mean(variable, layers) : numbers(variable), finite);
}

// Of held-out examples, or of those for training where there are no others.
std::string TrainingLines::error_variable() const {
  return any(numbers("test_error"), finite) ? "test_error" : "train_error";
}

std::string TrainingLines::error_title() const {
  std::string measure = file_.attribute("error_measure");
  if (measure.empty()) measure = "error";
  return measure + " on " +
         (error_variable() == "test_error" ? "held-out examples" : "training examples");
}

bool TrainingLines::is_share() const {
  return file_.attribute("error_measure") == "share of wrong classes";
}

std::vector<double> TrainingLines::largest_errors(const TrainingNumber& error) const {
  std::vector<double> out;
  for (std::size_t s = 0; s < axes_.seeds.size(); ++s) {
    double most = 0, most_of_all = 0;
    for (std::size_t r = 0; r < axes_.rules.size(); ++r)
      for (std::size_t t = 0; t < axes_.steps.size(); ++t) {
        const double value = error(r, s, t);
        if (!std::isfinite(value)) continue;
        most_of_all = std::max(most_of_all, value);
        if (file_.outcome(r, s) != io::CourseOutcome::diverged) most = std::max(most, value);
      }
    out.push_back(most > 0 ? most : most_of_all);
  }
  return out;
}

double TrainingLines::total(std::size_t rule, const TrainingNumber& count) const {
  double sum = 0;
  for (std::size_t s = 0; s < axes_.seeds.size(); ++s)
    for (std::size_t t = 0; t < axes_.steps.size(); ++t)
      if (const double value = count(rule, s, t); std::isfinite(value)) sum += value;
  return sum;
}
double TrainingLines::total(const std::string& count) const {
  const TrainingNumber number = numbers(count);
  double sum = 0;
  for (std::size_t r = 0; r < axes_.rules.size(); ++r) sum += total(r, number);
  return sum;
}

// " (ms)", or nothing.
std::string TrainingLines::unit_of(const std::string& variable) const {
  const io::TrainingVariable* found = file_.find(variable);
  return !found || found->unit.empty() || found->unit == "1" ? "" : " (" + found->unit + ")";
}

// ---- Lines ----

ChartPoint over_seeds(double x, const std::vector<double>& values, SeedMean mean) {
  const bool log = mean == SeedMean::geometric;
  ChartPoint out{x, nan, nan, nan};
  double sum = 0;
  std::size_t n = 0;
  for (const double value : values) {
    if (!std::isfinite(value) || (log && !(value > 0))) continue;
    sum += log ? std::log(value) : value;
    ++n;
    if (!(value >= out.low)) out.low = value;
    if (!(value <= out.high)) out.high = value;
  }
  if (n == 0) return out;
  out.y = sum / static_cast<double>(n);
  if (log) out.y = std::exp(out.y);
  // Of one number the mean is that number to the last bit.
  if (out.low == out.high) out.y = out.low;
  return out;
}

// Dashed are those that share a colour with one before, and those whose errors lie on one's before, as those
// of circuits lie on their closed form's, so that both are seen.
void TrainingLines::choose_strokes() {
  const std::size_t n = axes_.rules.size();
  strokes_.assign(n, Stroke::solid);
  for (std::size_t r = named_colours; r < n; ++r)
    strokes_[r] = r < 2 * named_colours ? Stroke::dashed : Stroke::dotted;
  const TrainingNumber error = numbers(error_variable());
  ChartPanel all;
  for (std::size_t r = 0; r < n; ++r) all.series.push_back(line(r, error, SeedMean::geometric));
  ChartAxis axis;
  axis.log = true;
  fit(axis, heights(all));
  const double near = most_apart * std::log(axis.high / axis.low);
  const auto apart = [&](std::size_t r, std::size_t before) {
    double most = 0;
    for (std::size_t t = 0; t < all.series[r].points.size(); ++t) {
      const double ratio = all.series[r].points[t].y / all.series[before].points[t].y;
      if (std::isfinite(ratio)) most = std::max(most, std::abs(std::log(ratio)));
    }
    return most;
  };
  for (std::size_t r = 1; r < n; ++r) {
    if (strokes_[r] != Stroke::solid) continue;
    std::size_t nearest = r;
    double least = near;
    for (std::size_t before = 0; before < r; ++before)
      if (strokes_[before] == Stroke::solid && apart(r, before) <= least) {
        nearest = before;
        least = apart(r, before);
      }
    if (nearest == r) continue;
    strokes_[r] = Stroke::dashed;
    coincidences_ += (coincidences_.empty() ? " Coinciding, hence dashed: " : "; ") +
                     axes_.rules[r] + " on " + axes_.rules[nearest];
  }
  if (!coincidences_.empty()) coincidences_ += ".";
}

ChartSeries TrainingLines::line(std::size_t rule, const TrainingNumber& number, SeedMean mean,
                                const TrainingNumber& x) const {
  ChartSeries out;
  out.name = axes_.rules[rule];
  out.colour = named_colour(rule);
  out.stroke = strokes_[rule];
  out.has_range = axes_.seeds.size() > 1;
  if (axes_.steps.size() <= most_marked) out.mark = 7;
  for (std::size_t t = 0; t < axes_.steps.size(); ++t) {
    std::vector<double> values, xs;
    for (std::size_t s = 0; s < axes_.seeds.size(); ++s) {
      values.push_back(number(rule, s, t));
      if (x) xs.push_back(x(rule, s, t));
    }
    const double at = x ? over_seeds(0, xs, SeedMean::plain).y : axes_.steps[t];
    if ((x || options_.log_time) && !(at > 0)) continue;
    out.points.push_back(over_seeds(at, values, mean));
  }
  return out;
}

ChartPanel TrainingLines::panel(const std::string& title, const std::string& name,
                                const std::vector<std::size_t>& rules, const TrainingNumber& number,
                                bool log, double height, std::optional<SeedMean> mean,
                                const TrainingNumber& x) const {
  ChartPanel out;
  out.title = title;
  out.y.name = name;
  out.y.log = log;
  out.height = height;
  for (const std::size_t rule : rules)
    if (any(rule, number, log ? positive : finite))
      out.series.push_back(
          line(rule, number, mean.value_or(log ? SeedMean::geometric : SeedMean::plain), x));
  widen(out);
  if (x) {
    std::vector<double> all;
    for (const ChartSeries& series : out.series)
      for (const ChartPoint& point : series.points) all.push_back(point.x);
    out.x.log = true;
    fit(out.x, all, 0.03);
  } else {
    out.x.label = out.x.name = "examples seen";
    out.x.log = options_.log_time;
    fit(out.x, axes_.steps, 0.03);
  }
  fit(out.y, heights(out, ceiling(number)));
  return out;
}

double TrainingLines::ceiling(const TrainingNumber& number) const {
  const std::vector<double> most = largest_errors(number);
  const double largest = *std::max_element(most.begin(), most.end());
  return largest > 0 ? most_beyond * largest : std::numeric_limits<double>::infinity();
}

void TrainingLines::widen(ChartPanel& panel) {
  const auto n = static_cast<double>(panel.series.size());
  for (std::size_t k = 0; k < panel.series.size(); ++k)
    panel.series[k].width += std::min(0.4, 1.6 / n) * (n - 1 - static_cast<double>(k));
}

void TrainingLines::share_heights(Chart& chart, const std::vector<double>& more, double at_most) {
  std::vector<double> all = more;
  for (const ChartPanel& panel : chart.panels) {
    const std::vector<double> own = heights(panel, at_most);
    all.insert(all.end(), own.begin(), own.end());
  }
  for (ChartPanel& panel : chart.panels) fit(panel.y, all);
}

// ---- Words ----

std::string TrainingLines::spread(bool log, const std::string& but, bool bands) const {
  const std::size_t seeds = axes_.seeds.size();
  if (seeds == 1) return "";
  return std::string(" Lines: ") + (log ? "geometric mean" : "mean") + " over " +
         std::to_string(seeds) + " seeds" + but + (bands ? "; bands: smallest to largest." : ".");
}

std::string TrainingLines::remarks() const {
  const std::string status = file_.attribute("status");
  std::string out;
  if (!status.empty() && status != "done" && status != "failed")
    out = " The training has not come to its end (" + status + ").";
  std::string ended;
  for (std::size_t r = 0; r < axes_.rules.size(); ++r) {
    std::size_t n = 0;
    for (std::size_t s = 0; s < axes_.seeds.size(); ++s) {
      const auto outcome = file_.outcome(r, s);
      n += outcome == io::CourseOutcome::diverged || outcome == io::CourseOutcome::failed;
    }
    if (n > 0)
      ended += (ended.empty() ? "" : "; ") + axes_.rules[r] +
               (axes_.seeds.size() == 1 ? "" : " with " + counted(n, "seed"));
  }
  if (!ended.empty()) out += " Diverged or failed: " + ended + ".";
  return out;
}

void TrainingLines::add_note(Chart& chart, std::string note) {
  note.erase(0, note.find_first_not_of(' '));
  if (!note.empty()) chart.notes.push_back(std::move(note));
}

Chart TrainingLines::new_chart(const std::string& name) const {
  Chart out;
  out.name = name;
  out.title = file_.attribute("title");
  if (out.title.empty()) out.title = file_.path().filename().string();
  out.width = options_.width;
  out.height = options_.height;
  return out;
}

}  // namespace settle::analysis
