// Parts that reports of every kind have, and the reports of each kind.
#pragma once

#include "analysis/measure_tables.hpp"
#include "analysis/report.hpp"
#include "analysis/summary.hpp"
#include "sim/io/analysis_file.hpp"
#include "sim/io/result_reader.hpp"
#include "sim/io/sweep_file.hpp"

namespace settle::analysis {

// report_run.cpp, report_sweep.cpp, report_tuning.cpp
Page run_report(const io::ResultFile& run, const ReportOptions& options);
Page analysis_report(const io::AnalysisFile& file, const ReportOptions& options);
Page sweep_report(const io::SweepFile& sweep, const ReportOptions& options);
Page tuning_report(const io::AnalysisFile& file, const ReportOptions& options);

// report.cpp

/// Kind, title, origin and generator.
Page titled_page(const std::string& kind, const io::h5::File& file,
                 const std::filesystem::path& path, const ReportOptions& options);
/// A root attribute as text, numbers too; "" where there is none.
std::string attribute_text(const io::h5::File& file, const std::string& name);
/// Command, program, solver, cost, and the configuration as it was given.
PageSection making_section(const io::h5::File& file);

// report_figures.cpp

/// What the file can be drawn as, the main figure first.
std::vector<PageBlock> report_figures(const std::filesystem::path& path,
                                      const ReportOptions& options);
/// The circuit that the file's configuration spells out.
PageSection circuit_section(const io::h5::File& file, const std::string& remark = "");

}  // namespace settle::analysis
