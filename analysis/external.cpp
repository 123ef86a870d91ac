#include "analysis/external.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "sim/core/error.hpp"

extern char** environ;

namespace settle::analysis {
namespace {

using core::OutputError;

[[noreturn]] void cannot_write(const std::filesystem::path& out, const std::string& reason) {
  throw OutputError("cannot write " + out.string() + ": " + reason);
}

/// A file beside the target that takes its place once it is whole, and goes away otherwise.
class Replacement {
 public:
  explicit Replacement(const std::filesystem::path& target) : target_(target) {
    check_figure_path(target);
    static std::atomic<unsigned> count{0};
    for (int attempt = 0; attempt < 100 && fd_ < 0; ++attempt) {
      path_ = target;
      path_.replace_filename("." + target.filename().string() + "." + std::to_string(getpid()) +
                             "." + std::to_string(count++) + ".part");
      fd_ = open(path_.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
      if (fd_ < 0 && errno != EEXIST) break;
    }
    if (fd_ < 0) cannot_write(target, std::strerror(errno));
  }
  ~Replacement() {
    if (fd_ >= 0) close(fd_);
    if (!done_) unlink(path_.c_str());
  }
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;

  int fd() const { return fd_; }
  bool empty() const { return lseek(fd_, 0, SEEK_END) <= 0; }

  void write(const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t n = ::write(fd_, text.data() + at, text.size() - at);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) cannot_write(target_, std::strerror(errno));
      at += static_cast<std::size_t>(n);
    }
  }

  void commit() {
    const int fd = fd_;
    fd_ = -1;
    if (close(fd) != 0) cannot_write(target_, std::strerror(errno));
    std::error_code error;
    std::filesystem::rename(path_, target_, error);
    if (error) cannot_write(target_, error.message());
    done_ = true;
  }

 private:
  std::filesystem::path target_;
  std::filesystem::path path_;
  int fd_ = -1;
  bool done_ = false;
};

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using ScratchFile = std::unique_ptr<std::FILE, CloseFile>;

// An unnamed file with this text, to be read from its beginning.
ScratchFile scratch(const std::string& text) {
  ScratchFile file(std::tmpfile());
  if (!file || std::fwrite(text.data(), 1, text.size(), file.get()) != text.size() ||
      std::fflush(file.get()) != 0)
    throw OutputError(std::string("cannot write a temporary file: ") + std::strerror(errno));
  std::rewind(file.get());
  return file;
}

// What the program said, at most 2000 characters of it, without blanks at the ends.
std::string text_of(std::FILE* file) {
  std::string text(2000, '\0');
  std::rewind(file);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return -1;
  return status;
}

std::string with_words(const std::string& what, const std::string& said) {
  return said.empty() ? what : what + ": " + said;
}

}  // namespace

void check_figure_path(const std::filesystem::path& out) {
  std::error_code ignored;
  const std::filesystem::path folder = out.has_parent_path() ? out.parent_path() : ".";
  if (out.filename().empty() || std::filesystem::is_directory(out, ignored))
    cannot_write(out, "it is a folder");
  if (!std::filesystem::exists(folder, ignored))
    cannot_write(out, "there is no folder " + folder.string());
  if (!std::filesystem::is_directory(folder, ignored))
    cannot_write(out, folder.string() + " is no folder");
  if (access(folder.c_str(), W_OK | X_OK) != 0) cannot_write(out, std::strerror(errno));
}

void run_to_file(const ExternalProgram& program, const std::string& script,
                 const std::filesystem::path& out) {
  Replacement file(out);
  const ScratchFile input = scratch(script);
  const ScratchFile errors = scratch("");

  std::vector<std::string> words = {program.name};
  words.insert(words.end(), program.arguments.begin(), program.arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(input.get()), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, file.fd(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(errors.get()), STDERR_FILENO);
  pid_t pid = 0;
  const int failure =
      posix_spawnp(&pid, program.name.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure == ENOENT)
    throw OutputError("cannot draw " + out.string() + ": the program " + program.name +
                      " is not installed; it comes in the package " + program.package +
                      " (apt install " + program.package + ")");
  if (failure != 0)
    throw OutputError("cannot draw " + out.string() + ": cannot start " + program.name + ": " +
                      std::strerror(failure));

  const int status = wait_for(pid);
  const std::string said = text_of(errors.get());
  const std::string prefix = "cannot draw " + out.string() + ": " + program.name;
  if (status < 0) throw OutputError(prefix + " could not be waited for");
  if (WIFSIGNALED(status))
    throw OutputError(
        with_words(prefix + " was ended by signal " + std::to_string(WTERMSIG(status)), said));
  if (WEXITSTATUS(status) != 0)
    throw OutputError(
        with_words(prefix + " failed with status " + std::to_string(WEXITSTATUS(status)), said));
  if (file.empty()) throw OutputError(with_words(prefix + " wrote nothing", said));
  file.commit();
}

void write_text_file(const std::string& text, const std::filesystem::path& out) {
  Replacement file(out);
  file.write(text);
  file.commit();
}

}  // namespace settle::analysis
