#include "sim/io/running_file.hpp"

#include <algorithm>
#include <chrono>

#include "sim/io/result_path.hpp"

namespace settle::io {
namespace {

constexpr double flush_interval = 1;  // seconds, at least

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

RunningFile::RunningFile(std::filesystem::path path, h5::File file)
    : h5::File(std::move(file)), path_(std::move(path)) {
  hold_metadata();
}

// A file whose growth fails halfway does not open again: its room is taken before.
void RunningFile::make_room(double bytes) {
  constexpr double for_hdf5 = 1 << 20;
  const double more = static_cast<double>(size()) + bytes + for_hdf5 -
                      static_cast<double>(std::filesystem::file_size(path_));
  if (more > 0) reserve_room(path_, more);
}

bool RunningFile::flush_is_due() const { return now() >= next_flush_; }

// A kill may harm the file within a flush alone: flushes are rare if they are long.
void RunningFile::write_out(double bytes, const std::function<void()>& write) {
  h5::quiet_thread();
  const double begin = now();
  make_room(bytes);
  write();
  flush();
  next_flush_ = now() + std::max(flush_interval, 50 * (now() - begin));
}

void RunningFile::close() {
  flush();
  const std::uint64_t bytes = size();
  h5::File::close();
  std::filesystem::resize_file(path_, bytes);
}

void RunningFile::finish(const std::string& status, const std::string& reason) {
  set_attribute("stop_reason", reason);
  set_attribute("status", status);
  close();
}

}  // namespace settle::io
