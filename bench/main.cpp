// settle beside other ways to run the same circuits: `make bench`, `make bench ARGS="W1 W5"`.
//
// Every workload is a loop of dynamic inversion (workload.hpp). All contenders (contender.hpp) get the same
// matrices and run in turns within one process (SciPy in its own), several rounds each; the table shows
// medians, the ratio to settle's, and the largest error at T over all states,
//
//     |x − x_ref| / (atol + rtol · max |x_ref|),
//
// against a reference of its own (reference.cpp). An error above 10 has failed, whoever it is. Times
// marked ~ are those of a fair sample of the columns, in proportion. Peak memory is that of a fresh
// process that does nothing else. Below each table stands what is to be reached (targets.cpp).
//
// To add a contender: an entry in the list of its family, contenders_*.cpp. To add a workload: an entry
// in workload.cpp. micro.cpp times single parts with Google Benchmark (`make bench-micro`), growth.cpp how
// time and memory grow (`make growth`).
#include <cblas.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/process.hpp"
#include "bench/table.hpp"

namespace settle::bench {
namespace {

// Whether a name is one of those given, or of its family: "W1 tanh" of "W1".
bool is_among(const std::string& name, const std::vector<std::string>& given) {
  return std::any_of(given.begin(), given.end(),
                     [&](const std::string& g) { return name == g || name.starts_with(g + " "); });
}

// The names that begin with one of those given: "W1" is "W1 tanh" and "W1 identity". All where none is.
std::vector<std::string> chosen(const std::vector<std::string>& given) {
  std::vector<std::string> out;
  for (const std::string& name : workload_names())
    if (given.empty() || is_among(name, given)) out.push_back(name);
  for (const std::string& g : given)
    if (std::none_of(out.begin(), out.end(),
                     [&](const std::string& name) { return is_among(name, {g}); }))
      throw std::runtime_error("no workload is named " + g);
  return out;
}

// What the fresh process does: one run, and its peak.
int measure_memory_here(const std::string& workload, const std::string& name) {
  const Workload work = make_workload(workload);
  for (const auto& family :
       {settle_contenders(), odeint_contenders(), cvode_contenders(), euler_contenders()})
    for (const Contender& contender : family)
      if (contender.name == name) contender.prepare(work)();
  std::cout << peak_memory() << '\n';
  return 0;
}

double measure_memory(const std::string& workload, const std::string& contender) {
  const std::string text = run_again({"--memory", workload, contender});
  return text.empty() ? not_known : std::stod(text);
}

// Times of one evaluation become those of as many as settle's explicit solver needs on the unreduced circuit.
void multiply_by_evaluations(std::vector<Measurement>& found,
                             const std::vector<Contender>& contenders) {
  const Measurement* explicit_run = find(found, "settle dopri5 in full");
  for (Measurement& m : found)
    for (const Contender& contender : contenders)
      if (contender.name == m.name && contender.per_evaluation)
        for (double& seconds : m.samples)
          seconds *= explicit_run ? explicit_run->evaluations : not_known;
}

int run(const std::vector<std::string>& workloads, const TimingOptions& options, bool scipy,
        const std::vector<std::string>& only, const std::string& json_file) {
  print_machine(std::cout);
  std::vector<Contender> contenders;
  for (Contender& contender : all_contenders())
    if ((scipy || contender.in_this_process) && (only.empty() || is_among(contender.name, only)))
      contenders.push_back(std::move(contender));
  if (scipy && only.empty() &&
      std::all_of(contenders.begin(), contenders.end(),
                  [](const Contender& c) { return c.in_this_process; }))
    std::cout << "SciPy is not here (python3-scipy): left out\n";
  if (cvode_contenders().empty()) std::cout << "SUNDIALS is not here: CVODE is left out\n";
  nlohmann::json results = nlohmann::json::array();
  for (const std::string& name : workloads) {
    std::cerr << name << ": matrices and reference" << std::endl;
    const Workload work = make_workload(name);
    const MatrixXd exact = reference(work);
    std::vector<Measurement> found = measure(work, exact, contenders, options, std::cerr);
    multiply_by_evaluations(found, contenders);
    if (work.columns() == 1)
      for (Measurement& m : found)
        if (m.name.starts_with("settle") || m.name.starts_with("Odeint"))
          m.memory = measure_memory(name, m.name);
    print_table(std::cout, work, found);
    results.push_back(as_json(work, found));
  }
  if (!json_file.empty()) {
    nlohmann::json machine;
    for (const auto& [key, value] : machine_facts()) machine[key] = value;
    std::ofstream file(json_file);
    file << nlohmann::json{{"machine", machine}, {"workloads", results}}.dump(1) << '\n';
    if (!file) throw std::runtime_error(json_file + " can't be written");
  }
  return 0;
}

}  // namespace
}  // namespace settle::bench

int main(int argc, char** argv) {
  using namespace settle::bench;
  CLI::App app("settle beside other ways to run the same circuits");
  std::vector<std::string> workloads, memory;
  TimingOptions options;
  std::string json_file;
  std::vector<std::string> only;
  bool no_scipy = false, list = false;
  app.add_option("workload", workloads, "W1 … W7, or a full name in quotes; all unless given");
  app.add_option("--rounds", options.rounds, "samples of each contender, at most")
      ->check(CLI::Range(1, 1000));
  app.add_option("--budget", options.budget, "seconds for the samples of one contender");
  app.add_option("--slice", options.slice, "seconds that one sample of many columns may take");
  app.add_option("--limit", time_limit, "seconds after which a run gives up");
  app.add_option("--json", json_file, "a file for all samples");
  app.add_option("--contender", only, "only these, by name or family; may be given again")
      ->allow_extra_args(false)
      ->take_all();
  app.add_flag("--cpu", processor_time, "processor time in place of the clock's");
  app.add_flag("--no-scipy", no_scipy, "leave SciPy out");
  app.add_flag("--list", list, "show workloads and contenders");
  app.add_option("--memory", memory, "one run of WORKLOAD by CONTENDER, for its peak memory")
      ->expected(2);
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);  // where Python ends before it should
  openblas_set_num_threads(1);
  try {
    if (!memory.empty()) return measure_memory_here(memory[0], memory[1]);
    if (list) {
      for (const std::string& name : workload_names()) std::cout << name << '\n';
      std::cout << '\n';
      for (const Contender& contender : all_contenders())
        std::cout << contender.name << ": " << contender.about << '\n';
      return 0;
    }
    return run(chosen(workloads), options, !no_scipy, only, json_file);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
