// Ctrl-C: the first one asks what runs to end, a second one kills.
#pragma once

#include <csignal>

namespace settle::cli {

/// While it lives, the first SIGINT or SIGTERM is remembered; a second one kills as usual.
class SignalGuard {
 public:
  SignalGuard();
  ~SignalGuard();
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

 private:
  struct sigaction old_int_ {
  }, old_term_{};
};

/// Whether one came since it was last forgotten.
bool stop_requested();
void forget_stop_request();

/// Makes a file-size limit an error of the write, not a signal that kills.
void survive_file_size_limit();

}  // namespace settle::cli
