#include "cli/interrupt.hpp"

namespace settle::cli {
namespace {

volatile std::sig_atomic_t stop_signal = 0;

}  // namespace

SignalGuard::SignalGuard() {
  struct sigaction action {};
  action.sa_handler = [](int signal) { stop_signal = signal; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, &old_int_);
  sigaction(SIGTERM, &action, &old_term_);
}

SignalGuard::~SignalGuard() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
}

bool stop_requested() { return stop_signal != 0; }

void forget_stop_request() { stop_signal = 0; }

void survive_file_size_limit() { std::signal(SIGXFSZ, SIG_IGN); }

}  // namespace settle::cli
