// SciPy's solve_ivp, in a Python process of its own that times itself (scipy_contenders.py).
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/contender.hpp"

extern char** environ;

namespace settle::bench {
namespace {

using nlohmann::json;

// The process: a line in, a line out.
class Python {
 public:
  Python() {
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    std::string program = "/usr/bin/python3", script = SETTLE_BENCH_FOLDER "/scipy_contenders.py";
    char* arguments[] = {program.data(), script.data(), nullptr};
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    const int failed =
        posix_spawn(&process_, program.c_str(), &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    in_ = fdopen(to[1], "w");
    out_ = fdopen(from[0], "r");
    if (failed) process_ = 0;
    const json hello = process_ ? read() : json();
    if (hello.contains("version")) version_ = hello["version"];
  }
  Python(const Python&) = delete;
  Python& operator=(const Python&) = delete;
  ~Python() {
    if (in_) std::fclose(in_);
    if (out_) std::fclose(out_);
    if (process_) waitpid(process_, nullptr, 0);
  }

  /// "" where SciPy is not there.
  const std::string& version() const { return version_; }

  json ask(const json& request) {
    std::fputs((request.dump() + "\n").c_str(), in_);
    std::fflush(in_);
    return read();
  }

 private:
  json read() {
    std::string line;
    for (int c; (c = std::fgetc(out_)) != EOF && c != '\n';) line += static_cast<char>(c);
    return line.empty() ? json() : json::parse(line);
  }

  pid_t process_ = 0;
  FILE* in_ = nullptr;
  FILE* out_ = nullptr;
  std::string version_;
};

Python& python() {
  static Python process;
  return process;
}

// Where matrices and states are handed over; gone with the program.
class SharedFile {
 public:
  SharedFile()
      : path_(std::filesystem::temp_directory_path() /
              ("settle_bench_" + std::to_string(getpid()) + ".raw")) {}
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;
  ~SharedFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  std::string path() const { return path_.string(); }
  void write(const Workload& work) const {
    std::ofstream file(path_, std::ios::binary);
    const auto put = [&](const auto& m) {
      file.write(reinterpret_cast<const char*>(m.data()),
                 static_cast<std::streamsize>(m.size()) * 8);
    };
    put(work.w);
    put(work.b);
    put(work.setpoints);
    put(work.leaks);
    put(work.gains);
  }
  void read(MatrixXd& states) const {
    std::ifstream file(path_, std::ios::binary);
    file.read(reinterpret_cast<char*>(states.data()),
              static_cast<std::streamsize>(states.size()) * 8);
  }

 private:
  std::filesystem::path path_;
};

Runner prepare(const std::string& method, const Workload& work) {
  return [&work, method]() -> Result {
    static const SharedFile shared;
    shared.write(work);
    const json answer = python().ask({{"file", shared.path()},
                                      {"method", method},
                                      {"inputs", work.inputs()},
                                      {"outputs", work.outputs()},
                                      {"columns", work.columns()},
                                      {"tanh", work.tanh},
                                      {"duration", work.duration},
                                      {"rtol", work.rtol},
                                      {"atol", work.atol},
                                      {"time_limit", time_limit},
                                      {"processor_time", processor_time}});
    Result result;
    if (!answer.contains("seconds")) {
      result.failure = "Python ended";
      return result;
    }
    result.seconds = answer["seconds"];
    result.evaluations = answer["evaluations"];
    result.failure = answer["failure"];
    result.states.resize(work.dimension(), work.columns());
    shared.read(result.states);
    return result;
  };
}

}  // namespace

std::vector<Contender> scipy_contenders() {
  if (python().version().empty()) return {};
  std::vector<Contender> out;
  for (const char* method : {"RK45", "LSODA", "Radau"}) {
    Contender next;
    next.name = std::string("SciPy ") + method;
    next.about = "solve_ivp of SciPy " + python().version() + ", column after column";
    next.in_this_process = false;
    next.prepare = [method](const Workload& work) { return prepare(method, work); };
    out.push_back(std::move(next));
  }
  return out;
}

}  // namespace settle::bench
