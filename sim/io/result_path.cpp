#include "sim/io/result_path.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include "sim/core/value.hpp"
#include "sim/io/hdf5.hpp"

namespace settle::io {
namespace {

void check_unfinished(const std::filesystem::path& path) {
  const char* way_out = "another name (-o), or --overwrite to replace it";
  if (!h5::File::is_hdf5(path))
    throw core::InputError(path.string(), "a file that is no result of settle is there", way_out);
  const h5::File file = h5::File::open(path);
  if (!file.has_attribute("schema_version") || !file.has_attribute("status"))
    throw core::InputError(path.string(), "an HDF5 file that is no result of settle is there",
                           way_out);
  const std::string status = file.text_attribute("status");
  if (status == "running" || status == "interrupted")
    throw core::InputError(path.string(), "a result whose status is \"" + status + "\" is there",
                           way_out + std::string(file.has_attribute("resume_options")
                                                     ? ", or settle resume to go on with it"
                                                     : ""));
}

// HDF5 truncates a file before it looks for a lock, so the lock is asked for here.
void check_lock(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  const auto is_locked = [&](int kind) {
    return ::flock(file, kind | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  };
  const bool is_written = is_locked(LOCK_SH), is_read = is_locked(LOCK_EX);
  ::close(file);
  if (is_written || is_read)
    throw core::OutputError(path.string() + ": another program is " +
                            (is_written ? "writing" : "reading") + " this file");
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

void sync(const std::filesystem::path& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  const bool done = file >= 0 && (::fsync(file) == 0 || errno == EINVAL);  // no disk is behind it
  const int error = errno;
  if (file >= 0) ::close(file);
  if (!done)
    throw core::OutputError(path.string() +
                            ": cannot bring it to the disk: " + std::strerror(error));
}

}  // namespace

void check_result_path(const std::filesystem::path& path, bool overwrite) {
  std::error_code ignored;
  const std::filesystem::path folder = folder_of(path);
  if (path.empty() || std::filesystem::is_directory(path, ignored))
    throw core::OutputError(path.string() + ": cannot write a result there: it is a folder");
  if (!std::filesystem::is_directory(folder, ignored))
    throw core::OutputError(path.string() + ": cannot write a result there: there is no folder " +
                            folder.string());
  const bool there = std::filesystem::exists(path, ignored);
  if (::access(there ? path.c_str() : folder.c_str(), W_OK) != 0)
    throw core::OutputError(path.string() + ": cannot write a result there: no permission");
  if (!there) return;
  if (!std::filesystem::is_regular_file(path, ignored))
    throw core::OutputError(path.string() + ": cannot write a result there: it is no regular file");
  check_lock(path);
  if (!overwrite && std::filesystem::file_size(path, ignored) > 0) check_unfinished(path);
}

void replace_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  sync(from, O_RDONLY);
  if (::rename(from.c_str(), to.c_str()) != 0)
    throw core::OutputError(to.string() + ": cannot replace it: " + std::strerror(errno));
  sync(folder_of(to), O_RDONLY | O_DIRECTORY);
}

void reserve_room(const std::filesystem::path& path, double bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  const off_t size = ::lseek(file, 0, SEEK_END);
  const int error = ::posix_fallocate(file, size, static_cast<off_t>(bytes));
  const bool is_full = error == ENOSPC || error == EFBIG || error == EDQUOT;
  if (is_full && ::ftruncate(file, size) != 0) {
  }
  ::close(file);
  if (is_full)
    throw NoRoom(path.string() + ": no room for " + core::brief(std::ceil(bytes / 1e6)) +
                 " MB more: " + std::strerror(error));
}

}  // namespace settle::io
