#include <tbb/global_control.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <new>
#include <optional>

#include "cli/commands.hpp"
#include "cli/terminal.hpp"
#include "settle_revision.hpp"
#include "settle_version.hpp"

namespace settle::cli {
namespace {

std::string command_line(int argc, const char* const* argv) {
  std::string out = "settle";
  for (int i = 1; i < argc; ++i) out += std::string(" ") + argv[i];
  return out;
}

void add_files(CLI::App* command, CommonOptions& options, const char* what, bool many) {
  auto* files = command->add_option("file", options.files, what)->required();
  if (many)
    files->type_name("FILE…");
  else
    files->expected(1)->type_name("FILE");
}

void add_set(CLI::App* command, CommonOptions& options) {
  command
      ->add_option("--set", options.set,
                   "Set a value of the file: model.controller.leak=0.1; may be given again")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->take_all();
}

// What CLI11 says of a command line, with the nearest command or option that there is.
std::string complaint(const CLI::App& app, const CLI::ParseError& error, int argc,
                      const char* const* argv) {
  std::vector<std::string> commands;
  for (const CLI::App* command : app.get_subcommands(nullptr))
    commands.push_back(command->get_name());
  const std::string first = argc > 1 ? argv[1] : "";
  const auto named = std::find(commands.begin(), commands.end(), first);
  if (named == commands.end() && !first.empty() && first[0] != '-')
    return "\"" + first + "\" is no command; expected " + core::join(commands, " or ") +
           core::did_you_mean(first, commands);
  std::string text = error.what();
  if (named == commands.end()) return text + "; see settle --help";
  std::vector<std::string> options;
  const CLI::App* command = app.get_subcommand(first);
  for (const CLI::Option* option : command->get_options())
    for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
  std::string hint;
  for (int i = 2; i < argc && hint.empty(); ++i) {
    const std::string word = argv[i], name = word.substr(0, word.find('='));
    if (name.size() > 2 && name[0] == '-' &&
        std::find(options.begin(), options.end(), name) == options.end())
      hint = core::did_you_mean(name, options);
  }
  return text + (hint.empty() ? "; see settle " + first + " --help" : hint);
}

int parse_and_call(int argc, const char* const* argv) {
  CLI::App app{
      "settle: circuits of rate neurons and feedback controllers, integrated until they settle"};
  app.set_version_flag("--version", std::string("settle ") + SETTLE_VERSION + " (" +
                                        SETTLE_GIT_REVISION +
                                        (SETTLE_GIT_DIRTY ? ", modified)" : ")"));
  app.require_subcommand(1);
  app.footer(
      "Example: settle run configs/dynamic_inversion.toml && settle plot dynamic_inversion.h5");
  std::size_t threads = 0;

  RunOptions run_options;
  CLI::App* run_command = app.add_subcommand(
      "run", "Integrate a circuit or a sweep of them, or train networks, and record it to HDF5");
  add_files(run_command, run_options, "Configuration files (TOML)", true);
  add_set(run_command, run_options);
  run_command->add_option("-o,--output", run_options.output, "Result file [<file's stem>.h5]")
      ->type_name("FILE.h5");
  run_command->add_flag("--json", run_options.json, "Print the summary as one JSON object");
  run_command->add_flag("--quiet,-q", run_options.quiet, "Print nothing but errors");
  run_command->add_flag("--quick", run_options.quick, "A rehearsal of at most 5 seconds");
  run_command->add_flag("--overwrite", run_options.overwrite,
                        "Replace a result that is unfinished, or a file that is no result");
  run_command->footer(
      "Example: settle run configs/dynamic_inversion.toml --set model.controller.leak=0.1");

  RunOptions resume_options;
  CLI::App* resume_command = app.add_subcommand(
      "resume", "Go on with a sweep or a training run that was interrupted, to the same bits");
  add_files(resume_command, resume_options, "Result files of sweeps and training runs (HDF5)",
            true);
  resume_command->add_flag("--json", resume_options.json, "Print the summary as one JSON object");
  resume_command->add_flag("--quiet,-q", resume_options.quiet, "Print nothing but errors");
  resume_command->footer("Example: settle resume leak_and_gain.h5");

  AnalyzeOptions analyze_options;
  CLI::App* analyze_command = app.add_subcommand(
      "analyze", "Measure stability, margins, growth and convergence of a run or a circuit");
  add_files(analyze_command, analyze_options, "Results of settle run, or configurations", true);
  add_set(analyze_command, analyze_options);
  analyze_command
      ->add_option("--measures", analyze_options.measures, "What is measured [everything]")
      ->type_name("NAME…")
      ->delimiter(',');
  analyze_command
      ->add_option("-o,--output", analyze_options.output,
                   "File of the measures [<file's stem>_analysis.h5]")
      ->type_name("FILE.h5");
  analyze_command->add_flag("--json", analyze_options.json,
                            "Print the measures as one JSON object");
  analyze_command->add_flag("--quiet,-q", analyze_options.quiet, "Print nothing but errors");
  analyze_command->add_flag("--overwrite", analyze_options.overwrite,
                            "Replace a file that is no result");
  analyze_command->footer("Example: settle analyze dynamic_inversion.h5");

  RunOptions tune_options;
  CLI::App* tune_command =
      app.add_subcommand("tune", "Find the leak and gains with which a circuit settles soonest");
  add_files(tune_command, tune_options, "Configuration files (TOML)", true);
  add_set(tune_command, tune_options);
  tune_command
      ->add_option("-o,--output", tune_options.output, "Result file [<file's stem>_tuning.h5]")
      ->type_name("FILE.h5");
  tune_command->add_flag("--json", tune_options.json, "Print one JSON object");
  tune_command->add_flag("--quiet,-q", tune_options.quiet, "Print nothing but errors");
  tune_command->add_flag("--overwrite", tune_options.overwrite, "Replace a file that is no result");
  tune_command->footer(
      "Example: settle tune configs/dynamic_inversion.toml --set tune.largest_error=0.02");

  CommonOptions check_options;
  CLI::App* check_command =
      app.add_subcommand("check", "Validate a configuration without integrating it");
  add_files(check_command, check_options, "Configuration files (TOML)", true);
  add_set(check_command, check_options);
  check_command->add_flag("--json", check_options.json, "Print one JSON object");
  check_command->add_flag("--quiet,-q", check_options.quiet, "Print nothing but errors");
  check_command->footer("Example: settle check configs/*.toml");

  ShowOptions show_options;
  CLI::App* show_command =
      app.add_subcommand("show", "Print a circuit spelt out as TOML, or draw it (-o circuit.svg)");
  add_files(show_command, show_options,
            "Configuration file (TOML); with --to-error a result of training (HDF5)", false);
  add_set(show_command, show_options);
  show_command
      ->add_option("-o,--output", show_options.output,
                   "Drawing (.svg, .png, .pdf, .dot) or .toml file")
      ->type_name("FILE");
  show_command
      ->add_option("--to-error", show_options.to_error,
                   "Of a result of training: what each rule took to come to that error")
      ->check(CLI::NonNegativeNumber)
      ->type_name("ERROR");
  show_command->add_flag("--quiet,-q", show_options.quiet, "Print nothing but errors");
  show_command->footer("Example: settle show configs/sequential_three_layers.toml -o circuit.svg");

  std::vector<std::string> names;
  bool list_json = false;
  CLI::App* list_command =
      app.add_subcommand("list", "What there is: models, transfers, solvers, keys of a file …");
  list_command->add_option("name", names, "A family or one of its members")->type_name("NAME…");
  list_command->add_flag("--json", list_json, "Print JSON");
  list_command->footer("Example: settle list dynamic_inversion");

  PlotOptions plot_options;
  CLI::App* plot_command =
      app.add_subcommand("plot", "Draw a file: trajectories, error, poles, Bode, Nyquist …");
  add_files(plot_command, plot_options, "Result files (HDF5)", true);
  plot_command
      ->add_option("-o,--output", plot_options.output,
                   "Figure: .svg, .png or .pdf [<file's stem>.svg]; further ones: <stem>_<name>")
      ->type_name("FILE");
  plot_command
      ->add_option("--figure", plot_options.figures,
                   "Figures to draw, by name [the main one; all where measures were asked for]")
      ->type_name("NAME,…")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->take_all();
  CLI::Option* plot_data =
      plot_command
          ->add_option("--data", plot_options.data,
                       "Write the drawn numbers as CSV too [beside each figure]")
          ->type_name("[FILE.csv]")
          ->expected(0, 1);
  // The only file may have been taken for the option's value: plot() sorts that out.
  plot_command->get_option("file")->required(false);
  plot_command
      ->add_option("--variables", plot_options.variables,
                   "Trajectories (of a training run, variables) to draw [a choice of them]")
      ->type_name("NAME…")
      ->delimiter(',');
  plot_command->add_option("--trial", plot_options.trial, "Trial to draw, from 0 [0]")
      ->type_name("K");
  plot_command->add_flag("--log-time", plot_options.log_time, "A logarithmic time axis");
  plot_command->add_flag("--quiet,-q", plot_options.quiet, "Print nothing but errors");
  plot_command->footer(
      "Example: settle plot dynamic_inversion.h5 -o dynamic_inversion.png --figure poles --data");

  ReportOptions report_options;
  CLI::App* report_command = app.add_subcommand(
      "report", "Write a page of a result: verdict, figures, circuit and every measure");
  add_files(report_command, report_options, "Files of settle run, analyze or tune (HDF5)", true);
  report_command->add_option("-o,--output", report_options.output, "Page [<file's stem>.html]")
      ->type_name("FILE.html");
  report_command->add_option("--trial", report_options.trial, "Trial to draw, from 0 [0]")
      ->type_name("K");
  report_command->add_flag("--quiet,-q", report_options.quiet, "Print nothing but errors");
  report_command->footer("Example: settle report dynamic_inversion.h5");

  for (CLI::App* command :
       {run_command, resume_command, analyze_command, tune_command, check_command, show_command})
    command->add_option("--threads", threads, "Threads at most [as many as cores]")
        ->type_name("N")
        ->check(CLI::Range(1, 4096));

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error, std::cout, std::cerr);
    std::cerr << Style(2).red("error: ") << complaint(app, error, argc, argv) << '\n';
    return input_wrong;
  }
  std::optional<tbb::global_control> limit;
  if (threads > 0) limit.emplace(tbb::global_control::max_allowed_parallelism, threads);
  run_options.command = command_line(argc, argv);
  if (run_command->parsed()) return run(run_options);
  if (resume_command->parsed()) return resume(resume_options);
  analyze_options.command = tune_options.command = run_options.command;
  if (analyze_command->parsed()) return analyze(analyze_options);
  if (tune_command->parsed()) return tune(tune_options);
  if (check_command->parsed()) return check(check_options);
  if (show_command->parsed()) return show(show_options);
  if (list_command->parsed()) return list(names, list_json);
  if (report_command->parsed()) return report(report_options);
  plot_options.with_data = plot_data->count() > 0;
  return plot(plot_options);
}

}  // namespace

int program(int argc, const char* const* argv) {
  const Style style(2);
  try {
    return parse_and_call(argc, argv);
  } catch (const core::InputError& error) {
    std::cerr << style.red("error: ") << error.what() << '\n';
    return input_wrong;
  } catch (const core::OutputError& error) {
    std::cerr << style.red("error: ") << error.what() << '\n';
    return simulation_failed;
  } catch (const std::bad_alloc&) {
    std::cerr << style.red("error: ")
              << "out of memory; expected a circuit, a number of trials or a "
                 "record that fits (see settle check)\n";
    return simulation_failed;
  } catch (const std::exception& error) {
    std::cerr << style.red("error: ") << error.what() << '\n';
    return simulation_failed;
  }
}

}  // namespace settle::cli
