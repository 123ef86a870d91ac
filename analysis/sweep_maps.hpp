// What figures draw of a sweep's file: its axes, maps of one trial, what became of its points, and
// the boundary of stability.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analysis/map_axis.hpp"
#include "sim/io/sweep_file.hpp"

namespace settle::analysis {

/// A point of the boundary of stability.
struct MapBoundary {
  std::vector<double> numbers;  ///< of every axis: a value of one it runs along, else an index
  int curve = 0;
};

/// A map at an entry of each of its own axes beside the trial.
struct MapCell {
  std::string name;
  std::vector<Eigen::Index> cell;
};

/// One number a point, to be drawn.
struct MapQuantity {
  std::string title;               ///< "settling time of the error to 2 %"
  std::string name;                ///< as data, with its unit: "settling_time (ms)"
  std::vector<double> values;      ///< a point; NaN where there is none
  std::vector<double> expected;    ///< beside them, where something predicts them
  std::string expected_by;         ///< "predicted by the slowest pole"
  std::vector<std::string> words;  ///< of values 0, 1, … where they are no numbers
  bool log = false;
  bool of_rest = false;  ///< says little of a trial that still moves

  std::string unit() const;  ///< " (ms)", or nothing
  /// Whether any point has a value, or an expected one.
  bool has_values() const;
};

class SweepMaps {
 public:
  /// @throws InputError  for a file that is no sweep, and a trial that is not there
  SweepMaps(const std::filesystem::path& path, std::int64_t trial);

  const std::filesystem::path& path() const { return file_.path(); }
  std::string title() const;
  std::string time_unit() const;
  std::int64_t trial() const { return static_cast<std::int64_t>(trial_); }
  std::size_t trials() const { return static_cast<std::size_t>(file_.trials()); }

  const std::vector<MapAxis>& axes() const { return axes_; }
  std::size_t points() const { return points_; }
  /// Index of the point's value along an axis.
  std::size_t place(std::size_t point, std::size_t axis) const;
  /// The point with these indices, one an axis.
  std::size_t point(const std::vector<std::size_t>& places) const;

  bool has(const std::string& name) const;
  const std::vector<std::string>& names() const { return file_.maps(); }
  /// The map's own axes and long name; values are trials × own axes by points.
  const core::Quantity& map(const std::string& name) const;
  /// One number a point: of the trial, at an entry of each of the map's own axes. NaN where the map
  /// or the entry is not there.
  std::vector<double> values(const std::string& name, const std::vector<Eigen::Index>& cell) const;
  /// The entry of an own axis with that label; −1 where there is none.
  Eigen::Index entry(const std::string& name, const std::string& axis,
                     const std::string& label) const;

  /// Settling time of the error (the slowest loop's where there are several) or, without one, of
  /// the state, to 2 % or else the first band, and what the slowest pole predicts. nullopt where
  /// the file doesn't hold it.
  std::optional<MapQuantity> settling_time() const;
  /// Inversion error at the end, the largest of the loops' where there are several.
  std::optional<MapQuantity> inversion_error() const;
  /// What is drawn beside the error: the settling time; when the run had settled, where there are
  /// several loops (one after another they take the sum) or no settling time; and of a study that
  /// measured the integrator or the credit instead, those.
  std::vector<MapQuantity> beside_error() const;
  /// Any map by its name, at chosen entries of its own axes: "overshoot",
  /// "overshoot:control.error", "settling_time:state:1 %". Else its error signal, the band as
  /// above, and the first entry.
  /// @throws InputError  for an unknown name or entry, with the nearest
  MapQuantity quantity(const std::string& selector) const;
  /// Names of the maps of inversion errors, one a loop.
  std::vector<std::string> inversion_errors() const;

  /// What became of the trial at each point, as an index into kinds(); −1: settled.
  const std::vector<int>& outcomes() const { return outcomes_; }
  static const std::vector<ChartKind>& kinds();
  static int kind(const std::string& name);  ///< −1 where there is none of that name
  /// Whether the trial still moved at the end, so that its error there is that of a moment.
  bool still_moves(std::size_t point) const { return still_moves_[point] != 0; }
  /// Whether the paper's condition of stability disagrees with the exact one in any loop.
  std::vector<char> paper_is_wrong() const;
  /// "256 points: 200 settled, 56 limit cycle", and how well stability was predicted.
  std::vector<std::string> remarks() const;

  /// Axes that the boundary runs along (of trial 0); empty where none was found.
  const std::vector<std::size_t>& boundary_axes() const { return boundary_axes_; }
  const std::vector<MapBoundary>& boundary() const { return boundary_; }
  /// Whether a point of the boundary belongs to the slice with these indices, one an axis, of which
  /// those of `free` don't matter.
  bool on_slice(const MapBoundary& point, const std::vector<std::size_t>& places,
                const std::vector<std::size_t>& free) const;

 private:
  void read_axes();
  void read_outcomes();
  void read_boundary();
  std::string band() const;
  std::vector<std::string> settling_signals() const;
  // Whether the file says why that number is missing: where not, it is of no such loop.
  std::vector<char> explained(const std::string& name, const std::vector<Eigen::Index>& cell) const;
  // Missing where one of them is missing with a reason.
  std::vector<double> largest(const std::vector<MapCell>& cells) const;

  io::SweepFile file_;
  std::size_t trial_ = 0, points_ = 1;
  std::vector<MapAxis> axes_;
  std::vector<int> outcomes_;
  std::vector<char> still_moves_;
  std::vector<std::size_t> boundary_axes_;
  std::vector<MapBoundary> boundary_;
  mutable std::map<std::string, core::Quantity> maps_;
};

}  // namespace settle::analysis
