#include "sim/system/signal.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace settle::system {
namespace {

using core::Fields;
using core::Value;
constexpr double infinity = std::numeric_limits<double>::infinity();

double first_after(double t, std::initializer_list<double> times) {
  double next = infinity;
  for (const double time : times)
    if (time > t) next = std::min(next, time);
  return next;
}

/// a(t) = 1
struct Constant final : Profile {
  double value(double, double) const override { return 1; }
  double slope(double, double) const override { return 0; }
  double next_breakpoint(double) const override { return infinity; }
  bool is_piecewise_constant() const override { return true; }
};

/// a(t) = 1 from `at` on, 0 before
struct Step final : Profile {
  double at = 0;
  double value(double, double from) const override { return from >= at ? 1 : 0; }
  double slope(double, double) const override { return 0; }
  double next_breakpoint(double t) const override { return first_after(t, {at}); }
  bool is_piecewise_constant() const override { return true; }
  void fields(Fields& f) override {
    f.number({"at", "time", "when it begins"}, at, core::any_number());
  }
};

/// a(t) = 1 in [at, at + width), 0 else; with `period` again every `period`
struct Pulse final : Profile {
  double at = 0;
  double width = 1;
  std::optional<double> period;

  // The last time ≤ t at which a pulse begins.
  double last_begin(double t) const {
    if (!period || t < at) return at;
    double begin = at + *period * std::floor((t - at) / *period);
    if (begin + *period <= t) begin += *period;  // rounding of the quotient
    if (begin > t) begin -= *period;
    return begin;
  }
  double value(double, double from) const override {
    const double begin = last_begin(from);
    return from >= begin && from < begin + width ? 1 : 0;
  }
  double slope(double, double) const override { return 0; }
  double next_breakpoint(double t) const override {
    const double begin = last_begin(t);
    return first_after(t, {begin, begin + width, period ? begin + *period : infinity});
  }
  bool is_piecewise_constant() const override { return true; }
  void check(const Value& value, const std::string& path) const override {
    if (period && *period <= width)
      fail(*value.find("period"), path + ".period", "the number " + core::number_text(*period),
           "a number > width (" + core::number_text(width) + ")");
  }
  void fields(Fields& f) override {
    f.number({"at", "time", "when it begins"}, at, core::any_number());
    f.number({"width", "time", "how long it lasts"}, width, core::positive());
    f.number({"period", "time", "after which it comes again; once without it"}, period,
             core::positive());
  }
};

/// a(t) = sin(2π (t − at)/period + phase) from `at` on, 0 before
struct Sine final : Profile {
  double period = 1;
  double phase = 0;
  double at = 0;
  double angle(double t) const { return 2 * std::numbers::pi * (t - at) / period + phase; }
  double value(double t, double from) const override { return from >= at ? std::sin(angle(t)) : 0; }
  double slope(double t, double from) const override {
    return from >= at ? 2 * std::numbers::pi / period * std::cos(angle(t)) : 0;
  }
  double next_breakpoint(double t) const override { return first_after(t, {at}); }
  bool is_piecewise_constant() const override { return false; }
  std::optional<ProfileForm> form(double from) const override {
    if (from < at) return ProfileForm{};
    const double start = angle(from);
    return ProfileForm{
        .cosine = std::sin(start), .sine = std::cos(start), .omega = 2 * std::numbers::pi / period};
  }
  void fields(Fields& f) override {
    f.number({"period", "time", "of one cycle"}, period, core::positive());
    f.number({"phase", "rad", "at the beginning"}, phase, core::any_number());
    f.number({"at", "time", "when it begins"}, at, core::any_number());
  }
};

/// a(t) = 0 up to `at`, then rising linearly to 1 at at + width, and 1 from there on
struct Ramp final : Profile {
  double at = 0;
  double width = 1;
  double value(double t, double from) const override {
    if (from < at) return 0;
    return from < at + width ? (t - at) / width : 1;
  }
  double slope(double, double from) const override {
    return from >= at && from < at + width ? 1 / width : 0;
  }
  double next_breakpoint(double t) const override { return first_after(t, {at, at + width}); }
  bool is_piecewise_constant() const override { return false; }
  std::optional<ProfileForm> form(double from) const override {
    return ProfileForm{.constant = value(from, from), .slope = slope(from, from)};
  }
  void fields(Fields& f) override {
    f.number({"at", "time", "when it begins to rise"}, at, core::any_number());
    f.number({"width", "time", "how long it rises"}, width, core::positive());
  }
};

/// a(t) by linear interpolation between (times, amplitudes), or held from each time to the next;
/// the first amplitude before the first time and the last after the last
struct Tabulated final : Profile {
  std::vector<double> times{0};
  std::vector<double> amplitudes{1};
  std::string interpolation = "linear";

  // The index of the last time ≤ from, −1 before the first.
  std::ptrdiff_t piece(double from) const {
    return std::upper_bound(times.begin(), times.end(), from) - times.begin() - 1;
  }
  double slope_of(std::ptrdiff_t k) const {
    if (k < 0 || k + 1 >= std::ssize(times) || interpolation == "hold") return 0;
    const auto i = static_cast<std::size_t>(k);
    return (amplitudes[i + 1] - amplitudes[i]) / (times[i + 1] - times[i]);
  }
  double value(double t, double from) const override {
    const std::ptrdiff_t k = piece(from);
    if (k < 0) return amplitudes.front();
    const auto i = static_cast<std::size_t>(k);
    return amplitudes[i] + slope_of(k) * (t - times[i]);
  }
  double slope(double, double from) const override { return slope_of(piece(from)); }
  double next_breakpoint(double t) const override {
    const auto next = std::upper_bound(times.begin(), times.end(), t);
    return next == times.end() ? infinity : *next;
  }
  bool is_piecewise_constant() const override { return interpolation == "hold"; }
  std::optional<ProfileForm> form(double from) const override {
    return ProfileForm{.constant = value(from, from), .slope = slope(from, from)};
  }
  void check(const Value& value, const std::string& path) const override {
    if (times.size() != amplitudes.size())
      fail(value, path,
           std::to_string(times.size()) + " times and " + std::to_string(amplitudes.size()) +
               " amplitudes",
           "as many amplitudes as times");
    for (std::size_t i = 1; i < times.size(); ++i)
      if (!(times[i] > times[i - 1]))
        fail(value, path + ".times",
             core::number_text(times[i]) + " after " + core::number_text(times[i - 1]),
             "times that rise");
  }
  void fields(Fields& f) override {
    f.numbers({"times", "time", "of the amplitudes, rising", true}, times, core::any_number(),
              false);
    f.numbers({"amplitudes", "1", "factor on the values at each time", true}, amplitudes,
              core::any_number(), false);
    f.choice({"interpolation", "", "between the times"}, interpolation, {"linear", "hold"});
  }
};

}  // namespace

const core::Registry<Profile>& profiles() {
  using core::make_entry;
  static const core::Registry<Profile> registry(
      "signals",
      {{"constant", "values throughout", &make_entry<Profile, Constant>},
       {"step", "values from `at` on", &make_entry<Profile, Step>},
       {"pulse", "values from `at` for `width`, again every `period`", &make_entry<Profile, Pulse>},
       {"sine", "values · sin(2π (t − at)/period + phase)", &make_entry<Profile, Sine>},
       {"ramp", "values · (t − at)/width, held once reached", &make_entry<Profile, Ramp>},
       {"table", "values · amplitude, linear between times or held",
        &make_entry<Profile, Tabulated>}});
  return registry;
}

}  // namespace settle::system
