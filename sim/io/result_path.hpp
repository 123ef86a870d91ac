// Where a result file goes: whether it may stand there, and room for it on the disk.
#pragma once

#include <filesystem>

#include "sim/core/error.hpp"

namespace settle::io {

/// Says whether a result may be written at `path`, before anything there is touched. A finished
/// result and an empty file may be replaced; `overwrite` allows every other file that no program
/// has open.
/// @throws InputError   for an unfinished result, and a file that is no result of settle
/// @throws OutputError  for a folder, a missing folder, no permission, a file that is open
/// elsewhere
void check_result_path(const std::filesystem::path& path, bool overwrite);

/// Moves a file into the place of another in the same folder, with its bytes on the disk before: whenever the
/// machine stops, one of the two stands there whole. @throws OutputError
void replace_file(const std::filesystem::path& from, const std::filesystem::path& to);

/// The disk has no room for more rows; the file is as it was.
class NoRoom : public core::OutputError {
 public:
  using core::OutputError::OutputError;
};

/// Takes so many bytes of the disk behind a file's end before HDF5 writes there, since a file whose
/// growth fails halfway doesn't open again. @throws NoRoom
void reserve_room(const std::filesystem::path& path, double bytes);

}  // namespace settle::io
