#include "sim/io/running_file.hpp"

#include <algorithm>
#include <chrono>
#include <system_error>

#include "sim/io/result_path.hpp"

namespace settle::io {
namespace {

constexpr double flush_interval = 1;  // seconds, at least

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void copy_whole(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code error;
  std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing, error);
  if (error == std::errc::no_space_on_device || error == std::errc::file_too_large)
    throw NoRoom(to.string() + ": no room for a copy of " + from.string() + ": " + error.message());
  if (error) throw core::OutputError(to.string() + ": cannot write: " + error.message());
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

// Flushes are rare if they are long.
template <class Write>
void RunningFile::timed(const Write& write) {
  h5::quiet_thread();
  const double begin = now();
  write();
  next_flush_ = now() + std::max(flush_interval, 50 * (now() - begin));
}

void RunningFile::write_out(double bytes, const std::function<void()>& write) {
  timed([&] {
    make_room(bytes);
    write();
    flush();
  });
}

void RunningFile::restructure(double bytes, const std::function<void(h5::File&)>& change) {
  const auto reopen = [&] { *this = RunningFile(path_, h5::File::open_to_write(path_)); };
  timed([&] {
    close();
    try {
      write_whole(path_, Begin::copy, bytes, change);
    } catch (...) {
      reopen();
      throw;
    }
    reopen();
  });
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

void write_whole(const std::filesystem::path& path, Begin begin, double bytes,
                 const std::function<void(h5::File&)>& write) {
  std::filesystem::path part = path;
  part += ".part";
  try {
    if (begin == Begin::copy) copy_whole(path, part);
    RunningFile file(part,
                     begin == Begin::copy ? h5::File::open_to_write(part) : h5::File::create(part));
    file.write_out(bytes, [&] { write(file); });
    file.close();
    replace_file(part, path);
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(part, ignored);
    throw;
  }
}

}  // namespace settle::io
