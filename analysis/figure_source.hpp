// A file as what figures are made of; and the figures of runs and analyses, one maker each.
#pragma once

#include <memory>

#include "analysis/figure.hpp"
#include "analysis/figures.hpp"
#include "sim/core/quantity.hpp"

namespace settle::analysis {

/// A run or an analysis: its quantities, and of a run its trajectories too.
class FigureSource {
 public:
  /// @throws core::InputError  for a file that is neither
  explicit FigureSource(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  const io::ResultFile* run() const { return run_.get(); }
  /// The quantity of that name, or nullptr.
  const core::Quantity* find(const std::string& name) const;
  const std::vector<core::Quantity>& quantities() const { return *quantities_; }
  /// The file's title, or its name.
  const std::string& title() const { return title_; }
  /// "time", "1/time" where the circuit has no unit of time, else "ms", "1/ms".
  std::string time_unit() const { return unit_.empty() ? "time" : unit_; }
  std::string rate_unit() const { return "1/" + time_unit(); }
  /// "time", "time (ms)".
  std::string time_label() const { return unit_.empty() ? "time" : "time (" + unit_ + ")"; }
  /// A duration in a sentence: "2.81", "2.81 ms".
  std::string duration(double time) const;

 private:
  std::filesystem::path path_;
  std::unique_ptr<io::ResultFile> run_;
  std::vector<core::Quantity> own_;  // of an analysis
  const std::vector<core::Quantity>* quantities_ = nullptr;
  std::string title_, unit_;
};

/// One trial's numbers of a quantity, over its axes, the last varying fastest.
class TrialValues {
 public:
  TrialValues(const core::Quantity& quantity, Index trial) : quantity_(quantity), trial_(trial) {}
  Index size(std::size_t axis) const { return quantity_.axes.at(axis).size; }
  double operator()(Index i) const { return quantity_.values(i, trial_); }
  double operator()(Index i, Index j) const { return (*this)(i * size(1) + j); }
  double operator()(Index i, Index j, Index k) const {
    return (*this)((i * size(1) + j) * size(2) + k);
  }

 private:
  const core::Quantity& quantity_;
  Index trial_;
};

/// The options' trial. @throws core::InputError  where there is no such one
Index checked_trial(const FigureSource& source, const core::Quantity& quantity,
                    const PlotOptions& options);

/// "trial 2 (of 30, from 0)"; "" where there is one.
std::string trial_text(Index trial, Index trials);

// trajectory_figure.cpp

/// Panels one below the other over the same time: trajectories of one trial, at most 40 units of each
/// variable, and at the bottom the error ‖e‖/‖y‖ of every controller and trial on a logarithmic axis,
/// with e the recorded error and y the setpoint in the file. Phases are shaded; a dotted line says
/// when the trial had settled. Beside the error, where the trial came to rest, stand its distance from rest
/// and what the slowest pole predicts of that (rest_approach.hpp).
Figure trajectories_figure(const io::ResultFile& result, const PlotOptions& options);

// poles_figure.cpp, pseudospectrum_figure.cpp, poles_along_figure.cpp

/// The poles s in the complex plane, in the colour of the node that takes most part in each; the stable
/// half plane is shaded, the rightmost pole has a ring and its time constant 1/|Re s|. Other trials'
/// poles stand behind. Re and Im have the same scale unless one is more than four times as long.
Figure poles_figure(const FigureSource& source, const PlotOptions& options);

/// Lines of equal σ_min(zI − M) at decades, the poles, the imaginary axis, and the ε-pseudospectral
/// abscissa where it was measured.
Figure pseudospectrum_figure(const FigureSource& source, const PlotOptions& options);

/// Real part of the rightmost pole along the trajectory.
Figure poles_along_figure(const FigureSource& source, const PlotOptions& options);

// loop_figures.cpp

/// For every projection at which the loop was broken: largest and smallest singular value of the
/// return ratio L(iω), and of a loop of one channel its phase; dotted lines where a margin is reached.
Figure bode_figure(const FigureSource& source, const PlotOptions& options);

/// For every projection the characteristic loci of L(iω), ω > 0 (their mirror images thin), about the
/// unit circle and the critical point −1.
Figure nyquist_figure(const FigureSource& source, const PlotOptions& options);

// accuracy_figures.cpp

/// |error|/|setpoint| in each singular direction of the weights against the singular value, beside
/// 1/(1 + Gσ²), both logarithmic.
Figure directions_figure(const FigureSource& source, const PlotOptions& options);

}  // namespace settle::analysis
