#include "analysis/figure_source.hpp"

#include "sim/core/value.hpp"
#include "sim/io/analysis_file.hpp"

namespace settle::analysis {

using core::Quantity;

FigureSource::FigureSource(const std::filesystem::path& path) : path_(path) {
  if (io::AnalysisFile::kind_of(path).empty()) {
    run_ = std::make_unique<io::ResultFile>(path);
    quantities_ = &run_->measures();
    title_ = run_->title();
    unit_ = run_->time_unit();
  } else {
    const io::AnalysisFile file(path);
    own_ = file.quantities();
    quantities_ = &own_;
    title_ = file.attribute("title");
    unit_ = file.attribute("time_unit");
  }
  if (title_.empty()) title_ = path.filename().string();
  if (unit_ == "1") unit_.clear();
}

const Quantity* FigureSource::find(const std::string& name) const {
  for (const Quantity& quantity : *quantities_)
    if (quantity.name == name && quantity.texts.empty()) return &quantity;
  return nullptr;
}

std::string FigureSource::duration(double time) const { return core::brief(time, unit_); }

Index checked_trial(const FigureSource& source, const Quantity& quantity,
                    const PlotOptions& options) {
  if (options.trial < 0 || options.trial >= quantity.trials())
    throw core::InputError(source.path().string(), "no trial " + std::to_string(options.trial),
                           "a trial from 0 to " + std::to_string(quantity.trials() - 1));
  return options.trial;
}

std::string trial_text(Index trial, Index trials) {
  return trials == 1
             ? ""
             : "trial " + std::to_string(trial) + " (of " + std::to_string(trials) + ", from 0)";
}

}  // namespace settle::analysis
