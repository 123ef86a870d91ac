// A file that is written for long, a little at a time, and may be killed or find the disk full meanwhile.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "sim/io/hdf5.hpp"

namespace settle::io {

/// An HDF5 file whose growth reaches the disk in write_out() alone, after room was taken for it: a process that
/// is killed in between, or a disk that is full, leaves the file as it was.
class RunningFile : public h5::File {
 public:
  RunningFile(std::filesystem::path path, h5::File file);

  /// Takes room for so many bytes more. @throws NoRoom
  void make_room(double bytes);
  /// Lets `write` write, so many bytes at most without what HDF5 needs for itself, and flushes.
  /// @throws NoRoom  where the disk is full, before `write` is called
  void write_out(double bytes, const std::function<void()>& write);
  /// About once a second, and more rarely where write_out() takes long.
  bool flush_is_due() const;
  /// Closes, and gives the room back that was not needed.
  void close();
  /// Says how it ended, and closes.
  void finish(const std::string& status, const std::string& reason);

 private:
  std::filesystem::path path_;
  double next_flush_ = 0;
};

}  // namespace settle::io
